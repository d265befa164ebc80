"""As an IPYTHONDIR, this lets each pass over a shuffled loader give five small batches.

A kernel runs it before a notebook's first cell. Which files the notebook asks for stays
the same, and training of hours is over in minutes. Loaders in order, which evaluate,
stay whole.
"""


def _shorten() -> None:
    from utils.data import Loader

    batches, length = Loader.__iter__, Loader.__len__

    def small_batches(self):
        if not self.shuffle:
            return batches(self)
        return ((images[:16], labels[:16]) for images, labels in batches(self))

    def few(self) -> int:
        return min(length(self), 5) if self.shuffle else length(self)

    Loader.__iter__, Loader.__len__ = small_batches, few


_shorten()
del _shorten
