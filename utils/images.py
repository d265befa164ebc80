"""Images in memory, and the loader that turns them into batches on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from utils import course
from utils.augment import Mixing, RandomCrop, RandomResizedCrop
from utils.course import CourseError

CACHED = 2**19  # numbers; in float32, 2 MB: they stay in the processor's cache
PADDED = 2**30  # bytes, at most, that are padded on the CPU as a whole
WHOLE = RandomCrop(0)  # picks images as they are


def balanced_order(labels: Tensor, *, seed: int = 0) -> Tensor:
    """Shuffle so that every beginning holds the classes in their overall proportions.

    One seed gives one order everywhere: NumPy keeps PCG64's own bits the same. Labels
    are int64 (N,), and so is the order, a permutation of 0 to N - 1.
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
            may be a map of a file.
        labels: int64 (N,), numbers of the classes.
        classes: their names.
        mean, std: per channel, of values in [0, 1], measured on the training set.
        name: of the data set, e.g. "CIFAR-10".
        real: False for a stand-in.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = "images"
    real: bool = True

    def __post_init__(self) -> None:
        images, labels, k = self.images, self.labels, len(self.classes)
        right = images.dtype == torch.uint8 and images.ndim == 4
        right = right and len(self.mean) == len(self.std) == images.shape[1]
        right = right and labels.dtype == torch.int64 and len(images) > 0
        right = right and labels.shape == (len(images),)
        if not right or labels.min() < 0 or labels.max() >= k:
            raise CourseError(
                f"{self.name}: an ImageSet takes images, uint8 (N, C, H, W), a mean and"
                f" a std for each channel, and N labels, int64, from 0 to {k - 1} for"
                f" {k} classes; not {images.dtype} {tuple(images.shape)} and"
                f" {labels.dtype} {tuple(labels.shape)}. Bytes are .to(torch.uint8),"
                " and images[:, None] has a channel."
            )

    @property
    def kind(self) -> str:
        """What a sentence calls the images of a set of photos."""
        return "photos" if self.real else "drawings"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index].float() / 255, int(self.labels[index])

    def take(self, indices: Tensor) -> ImageSet:
        """The examples with these numbers, in this order; indices are int64 (n,).

        They are a view where the numbers follow one another, and else a copy.
        """
        start, n = int(indices[0]) if len(indices) else -1, len(indices)
        rows: Tensor | slice = indices
        if 0 <= start <= len(self) - n and indices.equal(torch.arange(n) + start):
            rows = slice(start, start + n)
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def subset(self, n: int | None, *, seed: int = 0) -> ImageSet:
        """`n` examples (None: all), the classes in the proportions of the whole set.

        With one seed, a smaller subset is a part of every larger one.
        """
        if n is None or n >= len(self):
            return self
        return self.take(balanced_order(self.labels, seed=seed)[:n])

    def raw(self) -> ImageSet:
        """The same images for looking at: a loader leaves their values in [0, 1]."""
        c = len(self.mean)
        return replace(self, mean=(0.0,) * c, std=(1.0,) * c)

    def loader(self, batch_size: int, **options) -> Loader:
        """Batches of these images; the options are those of `Loader`."""
        return Loader(self, batch_size, **options)


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

    Gives images, float32 (B, C, H, W), and labels, int64 (B,), or probabilities, float
    (B, K), once MixUp or CutMix has mixed them.

    The set waits on the device as uint8, padded for a random crop that comes first, and
    each batch's crops are cut out of it. One that is too large for that stays where it
    is, and each batch is fetched; the batches are the same.

    Args:
        batch_size: examples in a batch; the last one may be smaller.
        augment: called in turn as `images = augmentation(images, generator)`.
        shuffle: draw a new order in every pass.
        seed: what all draws follow from, together with `epoch`.
        drop_last: leave a smaller last batch out.
        device: where the batches lie; None takes `course.device()`.

    Attributes:
        epoch: which pass comes next, from 0. Set it, and the pass repeats.
        memory_format: of the images; `fit` asks for channels_last, which is faster.
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
        device: torch.device | str | None = None,
    ) -> None:
        if drop_last and len(data) < batch_size:
            raise CourseError(f"{len(data)} examples do not fill one {batch_size=}.")
        self.data, self.batch_size, self.augment = data, batch_size, tuple(augment)
        self.shuffle, self.drop_last, self.seed = shuffle, drop_last, seed
        self.device = torch.device(device or course.device())
        self.epoch, self._images = 0, None  # the images, once they are placed
        self.memory_format = torch.contiguous_format
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
        epoch, self.epoch = self.epoch, self.epoch + 1
        if self._images is None:
            self._place(room(self.device))
        return self._batches(generator, epoch)

    def _batches(
        self, generator: Generator, epoch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        n, order = len(self.data), torch.arange(len(self.data), device=self.device)
        if self.shuffle:
            order = torch.randperm(n, generator=generator, device=self.device)
        for i in order.split(self.batch_size)[: len(self)]:
            images, labels = self._cut(i, generator), self._labels[i]
            for augmentation in self.augment[bool(self._crop) :]:
                if isinstance(augmentation, Mixing):
                    if labels.ndim == 1:
                        labels = F.one_hot(labels, len(self.classes)).float()
                    images, labels = augmentation(images, labels, generator)
                elif getattr(augmentation, "by_epoch", False):
                    images = augmentation(images, i, epoch)
                else:
                    images = augmentation(images, generator)
            yield self._to_float(images), labels

    def _place(self, room: float) -> None:
        """Put the set on the device, if it takes no more than this room, in bytes.

        A crop that comes first is then cut out of it; its exact type counts, since a
        subclass may crop in its own way.
        """
        first = self.augment[0] if self.augment else None
        crop = first if type(first) in (RandomCrop, RandomResizedCrop) else None
        images, border = self.data.images, crop.padding if crop else 0
        n, c, h, w = images.shape
        needed = n * c * (h + 2 * border) * (w + 2 * border)
        self._labels, self._crop = self.data.labels.to(self.device), crop
        # On the CPU, without a border, images are used where they are.
        copied = border or images.device != self.device
        if copied and needed > room:
            self._crop = None  # it crops what is fetched, as any augmentation does
        else:
            images = images.to(self.device)
            images = F.pad(images, [border] * 4) if border else images
        self._images = images

    def _cut(self, i: Tensor, generator: Generator) -> Tensor:
        """The images `i`, cropped if the crop comes first: uint8 (B, C, H, W)."""
        if self._crop:
            shape = (len(i), *self.data.images.shape[1:])
            like = self._images.new_empty(()).expand(shape)  # a view of one number
            params = self._crop.draw(like, generator)
            return self._crop.pick(self._images, i, params)
        i = i.to(self._images.device)
        return WHOLE.pick(self._images, i, (i * 0, i * 0)).to(self.device)

    def _to_float(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) into float32, and normalise them."""
        _, c, h, w = images.shape
        largest = 255 if images.dtype == torch.uint8 else 1
        layout = self.memory_format if c > 1 else torch.contiguous_format
        key = (h, w, largest, layout)
        if key not in self._affine:
            mean, std = torch.tensor(self.data.mean), torch.tensor(self.data.std)
            # One value per pixel: broadcasting over channels_last is ten times slower.
            self._affine[key] = tuple(
                t.view(1, c, 1, 1)
                .expand(1, c, h, w)
                .contiguous(memory_format=layout)
                .to(self.device)
                for t in (1 / (largest * std), -mean / std)
            )
        scale, shift = self._affine[key]
        result = torch.empty_like(images, dtype=torch.float32, memory_format=layout)
        # Some images at a time, which stay in the processor's cache; a GPU takes all.
        some = max(1, CACHED // (c * h * w)) if images.is_cpu else len(images)
        for part, values in zip(result.split(some), images.split(some), strict=True):
            part.copy_(values).mul_(scale).add_(shift)
        return result


def room(device: torch.device) -> float:
    """Bytes that a set may take: half of what is free on a GPU, and else PADDED."""
    if device.type != "cuda":
        return PADDED
    return torch.cuda.mem_get_info(device)[0] / 2
