"""As an IPYTHONDIR, this lets each pass over a loader of the course give one batch.

A kernel runs it before a notebook's first cell. Which files the notebook asks for stays
the same, and a scale of hours is over in minutes.
"""


def _shorten() -> None:
    from utils.datasets.loader import Loader

    whole = Loader.__iter__

    def first_batch(self):
        for images, labels in whole(self):
            yield images[:16], labels[:16]
            return

    Loader.__iter__ = first_batch
    Loader.__len__ = lambda self: 1


_shorten()
del _shorten
