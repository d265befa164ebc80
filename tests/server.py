"""A web server on this machine that serves one file in good ways and in bad ones."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import random
import re
import threading
import time
from collections.abc import Iterator

from utils.download import Remote

CONTENT = random.Random(0).randbytes(100_000)
NAME = "images.gz"
STATUS = {"missing": 404, "busy": 503}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers `/KIND/NAME`: how well depends on the kind."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        self.server.asked.append(self.path)
        self.server.ranges.append(self.headers.get("Range"))
        if kind in STATUS:
            self.send_error(STATUS[kind])
        elif kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/good/{NAME}")
            self.end_headers()
        else:
            self.send_file(kind)

    def send_file(self, kind: str) -> None:
        """The file, or what the kind makes of it."""
        body, begin = content(kind), 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and kind not in ("whole", "truncated", "page"):
            begin = int(asked[1])
        if begin >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        if begin:
            said = 0 if kind == "liar" else begin
            self.send_header("Content-Range", f"bytes {said}-/{len(body)}")
        if kind == "page":
            self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        with contextlib.suppress(OSError):  # the other side has had enough
            self.send_body(kind, body[begin:])

    def send_body(self, kind: str, body: bytes) -> None:
        """Its bytes, with what comes between."""
        some = len(body) // 2
        if kind == "stalled":
            self.wfile.write(body[:some])
            self.wfile.flush()
            time.sleep(1)
        elif kind == "limited":  # 50 kB a second
            for i in range(0, len(body), 2_500):
                self.wfile.write(body[i : i + 2_500])
                time.sleep(0.05)
        elif kind in ("truncated", "breaks"):
            self.wfile.write(body[:some] if some > 3_000 else body)
        else:
            self.wfile.write(body)

    def log_message(self, *args) -> None:
        """Say nothing."""


def content(kind: str) -> bytes:
    """The bytes that a mirror of this kind has."""
    if kind == "altered":
        return CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    return b"<html>Sign in to the network" if kind == "page" else CONTENT


class Server(http.server.ThreadingHTTPServer):
    """The server; `asked` and `ranges` say what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.ranges: list[str | None] = []

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{kind}/{NAME}"

    def remote(self, *kinds: str) -> Remote:
        """The file, at mirrors of these kinds."""
        digest = hashlib.sha256(CONTENT).hexdigest()
        return Remote(NAME, digest, tuple(map(self.url, kinds)))

    def kinds(self) -> list[str]:
        """The kinds that were asked, in order."""
        return [path.split("/")[1] for path in self.asked]

    def handle_error(self, *args) -> None:
        """A client that hangs up is no error here."""


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server in a thread, while the block lasts."""
    server = Server()
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
