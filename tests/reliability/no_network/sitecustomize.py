"""On PYTHONPATH, this takes the network from every Python: all but this machine itself.

What is tried all the same fails as without a cable, and stands in the file that
`NO_NETWORK_LOG` names.
"""

import errno
import os
import socket

HERE = {"localhost", "0.0.0.0", "::", "::1", "", None}


def refuse(address: object) -> None:
    """Note and fail a call to another machine."""
    host = address[0] if isinstance(address, tuple) else address
    host = host.decode() if isinstance(host, bytes) else host
    if (
        not isinstance(host, str | None)
        or host in HERE
        or host.startswith(("127.", "/"))
    ):
        return
    with open(os.environ["NO_NETWORK_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{host}\n")
    raise OSError(errno.ENETUNREACH, "Network is unreachable")


def guarded(known, place: int):
    """A method of a socket that refuses other machines; `place` of the address."""

    def call(self, *arguments):
        refuse(arguments[place])
        return known(self, *arguments)

    return call


def resolve(host, *arguments, **options):
    """`socket.getaddrinfo`, of this machine's names alone."""
    refuse(host)
    return known_names(host, *arguments, **options)


known_names, socket.getaddrinfo = socket.getaddrinfo, resolve
for name, place in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
    setattr(socket.socket, name, guarded(getattr(socket.socket, name), place))
