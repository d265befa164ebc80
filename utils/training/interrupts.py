"""The stop button and Ctrl-C, held back where they would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def held_back(*, dropped: bool = False) -> Iterator[None]:
    """Let the block come to its end; only then does an interrupt that came count.

    An error of the block goes before it. Outside the main thread, which alone is
    interrupted, nothing changes.

    Args:
        dropped: an interrupt that came does not count at all.
    """
    handler = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(handler):
        yield
        return
    came: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda *interrupt: came.append(interrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came and not dropped:
        handler(*came[-1])
