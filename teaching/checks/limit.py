"""Stop an answer that never ends."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from teaching.checks import Wrong


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt what runs inside after some seconds, as a reader would by hand.

    Only the main thread can be interrupted; elsewhere there is no limit.

    Raises:
        Wrong: it was still running.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late, over, lock = threading.Event(), threading.Event(), threading.Lock()

    def interrupt() -> None:
        with lock:
            if not over.is_set():
                late.set()
                _thread.interrupt_main()

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if not late.is_set():  # by the reader's own hand
            raise
        raise Wrong(
            f"It was still running after {seconds:g} s, and was stopped.",
            "Does every loop come to its end?",
        ) from None
    finally:
        with lock:
            over.set()
        timer.cancel()
