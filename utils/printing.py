"""Lines of output that name what comes from outside, on any terminal."""

from __future__ import annotations

import sys

LONGEST = 500  # characters that a line shows of a text from outside


def shown(text: str) -> str:
    """A text from outside as a line of output may show it: no terminal acts on it.

    What cannot be printed is escaped, and the middle of a long text left out.
    """
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_anything() -> None:
    """Let stdout print "?" for what its encoding lacks, as Windows' does ✓ in a pipe.

    stderr escapes it by itself. A notebook's stdout takes everything.
    """
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")
