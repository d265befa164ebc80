"""Images in memory, and the loader that turns them into batches on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from utils import course
from utils.augment import Augmentation, Mixing
from utils.datasets import store
from utils.datasets.shard import WHOLE, Shard, draw

CACHED = 2**19  # numbers; in float32, 2 MB


def balanced_order(labels: Tensor, *, seed: int = 0) -> Tensor:
    """Shuffle so that every beginning holds the classes in their overall proportions.

    The random bits are PCG64's own, which NumPy keeps the same in all its versions:
    one seed gives one order everywhere.

    Args:
        labels: int64 (N,).

    Returns:
        A permutation of 0 to N - 1, int64 (N,).
    """
    y = labels.numpy()
    shuffled = np.argsort(np.random.PCG64(abs(seed)).random_raw(len(y)), kind="stable")
    y = y[shuffled]
    counts = np.bincount(y)
    rank = np.empty(len(y))  # of each example within its class
    starts = np.cumsum(counts) - counts
    rank[np.argsort(y, kind="stable")] = np.arange(len(y)) - starts.repeat(counts)
    # Each class spread evenly over (0, 1), and then all merged.
    place = (rank + 0.5) / counts[y]
    return torch.from_numpy(shuffled[np.argsort(place, kind="stable")])


@dataclass(frozen=True, eq=False)
class ImageSet(Dataset):
    """Images with their labels; one by one it gives (float image in [0, 1], label).

    Args:
        images: uint8 (N, C, H, W), on the CPU; channels_last order loads fastest. They
            may be a map of a file that is larger than the memory.
        labels: int64 (N,), numbers of the classes.
        classes: their names.
        mean, std: per channel, of values in [0, 1], measured on the training set.
        name: of the data set, e.g. "CIFAR-10".
        real: False for a stand-in.

    Raises:
        CourseError: the parts do not fit together.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = "images"
    real: bool = True

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index].float() / 255, int(self.labels[index])

    def take(self, indices: Tensor) -> ImageSet:
        """The examples with these numbers, in this order; indices are int64 (n,).

        They are a view where the numbers follow one another, and else a copy.

        Raises:
            CourseError: the copy does not fit into memory.
        """
        start, n = int(indices[0]) if len(indices) else -1, len(indices)
        rows: Tensor | slice = indices
        if 0 <= start <= len(self) - n and indices.equal(torch.arange(n) + start):
            rows = slice(start, start + n)
        else:
            _require_memory(self, n)
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def subset(self, n: int | None, *, seed: int = 0) -> ImageSet:
        """`n` examples, the classes in the proportions of the whole set.

        With one seed, a smaller subset is a part of every larger one.

        Args:
            n: how many; None, or more than there are, gives all.
            seed: which ones.
        """
        if n is None or n >= len(self):
            return self
        _require(n >= 1, f"A subset of {n} examples is empty. Ask for 1 or more.")
        return self.take(balanced_order(self.labels, seed=seed)[:n])

    def loader(
        self,
        batch_size: int,
        *,
        augment: Sequence[Callable] = (),
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        normalize: bool = True,
        device: torch.device | str | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> Loader:
        """Batches of these images; the arguments are those of `Loader`."""
        return Loader(
            self,
            batch_size,
            augment=augment,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            normalize=normalize,
            device=device,
            shard=shard,
        )


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise course.CourseError(problem)


def _require_memory(data: ImageSet, n: int) -> None:
    needed = n * data.images[0].numel()
    free = store.free_memory(torch.device("cpu"))
    _require(
        needed < free,
        f"{data.name}: {n} images to be copied take {needed / 1e9:.1f} GB, and"
        f" {free / 1e9:.1f} GB of memory are free. Ask for fewer, or smaller ones.",
    )


def _check(data: ImageSet) -> None:
    """Refuse parts that do not fit together, before they fail far from their cause."""
    images, labels, k = data.images, data.labels, len(data.classes)
    _require(
        images.dtype == torch.uint8 and images.ndim == 4,
        f"{data.name}: images are uint8 (N, C, H, W), not {images.dtype}"
        f" {tuple(images.shape)}. Scale them to 0 to 255, use .to(torch.uint8), and add"
        " the channel with images[:, None] where it is missing.",
    )
    _require(
        len(images) > 0,
        f"{data.name}: there are no images. Check where they come from.",
    )
    _require(
        labels.dtype == torch.int64 and labels.shape == (len(images),),
        f"{data.name}: {len(images)} images need {len(images)} labels, int64 (N,), not"
        f" {labels.dtype} {tuple(labels.shape)}. Check that both come from the same"
        " files; labels.long() gives int64.",
    )
    low, high = int(labels.min()), int(labels.max())
    _require(
        low >= 0 and high < k,
        f"{data.name}: labels run from {low} to {high}, but {k} classes are numbered 0"
        f" to {k - 1}. Start the labels at 0, or name all the classes.",
    )
    _require(
        len(data.mean) == len(data.std) == images.shape[1] and min(data.std) > 0,
        f"{data.name}: {images.shape[1]} channels need as many means and positive"
        f" standard deviations, not {data.mean} and {data.std}.",
    )


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set: `train, val, test, classes = splits`."""

    train: ImageSet
    val: ImageSet
    test: ImageSet

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.train.classes

    def __iter__(self) -> Iterator:
        return iter((self.train, self.val, self.test, self.classes))


class Loader:
    """Batches of an image set on the device: augmented, then float, then normalised.

    Gives images, float32 (B, C, H, W), channels_last where C > 1, and labels, int64
    (B,), or probabilities, float (B, K), once MixUp or CutMix has mixed them. Where the
    images wait until then, and how crops are cut, is in `utils/datasets/store.py`.

    Args:
        data: the images.
        batch_size: examples in a batch; the last one may be smaller.
        augment: called in turn as `images = augmentation(images, generator)`.
        shuffle: draw a new order in every pass.
        seed: what all draws follow from, together with `epoch`.
        drop_last: leave a smaller last batch out.
        normalize: subtract the mean, divide by the standard deviation; else in [0, 1].
        device: where the batches lie; None takes `course.device()`.
        shard: (rank, size): of each batch give the part of this process out of `size`,
            which may be empty in a small last batch. Together the parts are the batch
            that a single process gets. Augmentations draw for the whole batch; what
            mixes examples, and functions of your own, are also applied to all of it.

    Attributes:
        epoch: which pass comes next, from 0. Set it, and the pass repeats.

    Raises:
        CourseError: the arguments give no batch.
    """

    def __init__(
        self,
        data: ImageSet,
        batch_size: int,
        *,
        augment: Sequence[Callable] = (),
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        normalize: bool = True,
        device: torch.device | str | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        _require(
            isinstance(batch_size, int) and batch_size >= 1,
            f"batch_size={batch_size!r} is no number of examples. Use 1 or more.",
        )
        _require(
            len(data) >= batch_size or not drop_last,
            f"drop_last leaves no batch: {len(data)} examples do not fill one of"
            f" {batch_size}. Use a smaller batch_size, or drop_last=False.",
        )
        _require(
            isinstance(augment, Sequence) and all(map(callable, augment)),
            "augment is a list of augmentations, such as [RandomCrop(4),"
            f" HorizontalFlip()], not {augment!r}.",
        )
        rank, size = shard
        _require(
            0 <= rank < size and (batch_size >= size or size == 1),
            f"shard={shard} of batches of {batch_size}: pass (rank, size), with ranks"
            " from 0 to size - 1, and at least as many examples in a batch.",
        )
        self.data, self.batch_size, self.drop_last = data, batch_size, drop_last
        self.shuffle, self.seed, self.epoch = shuffle, seed, 0
        self.augment, self.normalize = tuple(augment), normalize
        self.device = torch.device(device or course.device())
        # The exact type: a subclass may crop in its own way.
        crops_first = bool(augment) and type(augment[0]) in get_args(store.Crop)
        self._crop = augment[0] if crops_first else None
        self._after_crop = self.augment[crops_first:]
        # An augmentation of single images needs this part alone, all others the batch.
        singly = all(isinstance(each, Augmentation) for each in self.augment)
        mine = WHOLE if size == 1 else Shard(rank, size)
        self._early, self._late = (mine, WHOLE) if singly else (WHOLE, mine)
        self._store: store.Resident | store.Part | store.Fetched | None = None
        self._affine: dict[tuple, tuple[Tensor, Tensor]] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.data.classes

    @property
    def num_examples(self) -> int:
        """How many examples one pass gives."""
        n = len(self.data)
        return n - n % self.batch_size if self.drop_last else n

    def __len__(self) -> int:
        return math.ceil(self.num_examples / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Its own generator: looking at a batch changes no other random number.
        seed = np.random.SeedSequence([abs(self.seed), self.epoch]).generate_state(1)
        generator = torch.Generator(self.device).manual_seed(int(seed[0]))
        self.epoch += 1
        if self._store is None:
            self._store = store.place(self.data, self._crop, self.device, self._early)
        return self._batches(generator)

    def _batches(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.data)
        if self.shuffle:
            order = torch.randperm(n, generator=generator, device=self.device)
        else:
            order = torch.arange(n, device=self.device)
        indices = order.split(self.batch_size)[: len(self)]
        batches = self._store.batches(indices, generator, self._early)
        for i, (images, labels) in zip(indices, batches, strict=True):
            n = len(i)  # of all processes together
            for augmentation in self._after_crop:
                if isinstance(augmentation, Mixing):
                    labels = self._probabilities(labels)
                    images, labels = augmentation(images, labels, generator)
                elif self._early is WHOLE:
                    images = augmentation(images, generator)
                else:
                    rows, shape = self._early.rows(n), (n, *images.shape[1:])
                    params = draw(augmentation, shape, images, rows, generator)
                    images = augmentation.apply(images, params)
            rows = self._late.rows(n)
            yield self._to_float(images[rows]), labels[rows]

    def _probabilities(self, labels: Tensor) -> Tensor:
        """Class numbers (B,) as float (B, K), 1 for the class; (B, K) stays."""
        if labels.ndim == 2:
            return labels
        return F.one_hot(labels, len(self.classes)).float()

    def _to_float(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into float32, and normalise them."""
        _, c, h, w = images.shape
        largest = 255 if images.dtype == torch.uint8 else 1
        layout = torch.channels_last if c > 1 else torch.contiguous_format
        if (h, w, largest) not in self._affine:
            mean, std = torch.tensor(self.data.mean), torch.tensor(self.data.std)
            if not self.normalize:
                mean, std = torch.zeros(c), torch.ones(c)
            # One value per pixel: broadcasting over channels_last is ten times slower.
            self._affine[h, w, largest] = tuple(
                t.view(1, c, 1, 1)
                .expand(1, c, h, w)
                .contiguous(memory_format=layout)
                .to(self.device)
                for t in (1 / (largest * std), -mean / std)
            )
        scale, shift = self._affine[h, w, largest]
        result = torch.empty_like(images, dtype=torch.float32, memory_format=layout)
        # Some images at a time, which stay in the processor's cache; a GPU takes all.
        some = len(images) if images.is_cuda else max(1, CACHED // (c * h * w))
        for part, values in zip(result.split(some), images.split(some), strict=True):
            part.copy_(values).mul_(scale).add_(shift)
        return result
