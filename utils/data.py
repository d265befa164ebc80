"""The data sets of the course, each as `Splits(train, val, test)` of uint8 images.

A set is taken from the disk (`course.data_dir()`), or downloaded, or, where there is no
network, replaced by a stand-in, which one printed line says. `data/README.md` tells
where the sets come from and how they lie on the disk.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from utils import course, download, photos
from utils.augment import AlternatingFlip, Mixing, RandomCrop, RandomResizedCrop
from utils.course import CourseError
from utils.download import DownloadError
from utils.photos import Part

SOURCES = ("auto", "real", "embedded")
STAND_INS = course.ROOT / "data" / "stand-ins"
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer")
OBJECTS += ("dog", "frog", "horse", "ship", "truck")
ANIMALS = ("cat", "dog")
SCANS_TEST = 297  # of scikit-learn's 1,797 digits
CACHED = 2**19  # numbers; in float32, 2 MB: they stay in the processor's cache
PADDED = 2**30  # bytes, at most, that are padded on the CPU as a whole
WHOLE = RandomCrop(0)  # picks images as they are
Parts = dict[str, Part]  # of "train", "test", and "val" if it comes apart


# Images in memory, and batches of them


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
            may be a map of a file.
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
        """
        start, n = int(indices[0]) if len(indices) else -1, len(indices)
        rows: Tensor | slice = indices
        if 0 <= start <= len(self) - n and indices.equal(torch.arange(n) + start):
            rows = slice(start, start + n)
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
        return self.take(balanced_order(self.labels, seed=seed)[:n])

    def raw(self) -> ImageSet:
        """The same images for looking at: a loader leaves their values in [0, 1]."""
        c = len(self.mean)
        return replace(self, mean=(0.0,) * c, std=(1.0,) * c)

    def loader(self, batch_size: int, **options) -> Loader:
        """Batches of these images; the options are those of `Loader`."""
        return Loader(self, batch_size, **options)


def _check(data: ImageSet) -> None:
    """Refuse parts that do not fit together, before they fail far from their cause."""
    images, labels, k = data.images, data.labels, len(data.classes)
    problem = ""
    if images.dtype != torch.uint8 or images.ndim != 4:
        problem = (
            f"images are uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}."
            " Scale them to 0 to 255, use .to(torch.uint8), and add the channel with"
            " images[:, None] where it is missing."
        )
    elif not len(images):
        problem = "there are no images. Check where they come from."
    elif labels.dtype != torch.int64 or labels.shape != (len(images),):
        problem = (
            f"{len(images)} images need {len(images)} labels, int64 (N,), not"
            f" {labels.dtype} {tuple(labels.shape)}. Check that both come from the same"
            " files; labels.long() gives int64."
        )
    elif labels.min() < 0 or labels.max() >= k:
        problem = (
            f"labels run from {labels.min()} to {labels.max()}, but {k} classes are"
            f" numbered 0 to {k - 1}. Start the labels at 0, or name all the classes."
        )
    elif not len(data.mean) == len(data.std) == images.shape[1] or min(data.std) <= 0:
        problem = (
            f"{images.shape[1]} channels need as many means and positive standard"
            f" deviations, not {data.mean} and {data.std}."
        )
    if problem:
        raise CourseError(f"{data.name}: {problem}")


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
    is, a map of a file for instance, and each batch is fetched; the batches are the
    same.

    Args:
        data: the images.
        batch_size: examples in a batch; the last one may be smaller.
        augment: called in turn as `images = augmentation(images, generator)`.
        shuffle: draw a new order in every pass.
        seed: what all draws follow from, together with `epoch`.
        drop_last: leave a smaller last batch out.
        device: where the batches lie; None takes `course.device()`.

    Attributes:
        epoch: which pass comes next, from 0. Set it, and the pass repeats.
        memory_format: of the images; `fit` asks for channels_last, which is faster.

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
        device: torch.device | str | None = None,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise CourseError(
                f"batch_size={batch_size!r} is no number of examples. Use 1 or more."
            )
        if drop_last and len(data) < batch_size:
            raise CourseError(
                f"drop_last leaves no batch: {len(data)} examples do not fill one of"
                f" {batch_size}. Use a smaller batch_size, or drop_last=False."
            )
        if not isinstance(augment, Sequence) or not all(map(callable, augment)):
            raise CourseError(
                "augment is a list of augmentations, such as [RandomCrop(4),"
                f" HorizontalFlip()], not {augment!r}."
            )
        self.data, self.batch_size, self.augment = data, batch_size, tuple(augment)
        self.shuffle, self.seed, self.drop_last, self.epoch = (
            shuffle,
            seed,
            drop_last,
            0,
        )
        self.device = torch.device(device or course.device())
        self._images: Tensor | None = None  # once they are placed
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
        n = len(self.data)
        if self.shuffle:
            order = torch.randperm(n, generator=generator, device=self.device)
        else:
            order = torch.arange(n, device=self.device)
        for i in order.split(self.batch_size)[: len(self)]:
            images, labels = self._cut(i, generator), self._labels[i]
            for augmentation in self.augment[bool(self._crop) :]:
                if isinstance(augmentation, Mixing):
                    labels = self._probabilities(labels)
                    images, labels = augmentation(images, labels, generator)
                elif isinstance(augmentation, AlternatingFlip):
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
        corner = torch.zeros_like(i)
        return WHOLE.pick(self._images, i, (corner, corner)).to(self.device)

    def _probabilities(self, labels: Tensor) -> Tensor:
        """Class numbers (B,) as float (B, K), 1 for the class; (B, K) stays."""
        if labels.ndim == 2:
            return labels
        return F.one_hot(labels, len(self.classes)).float()

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
        some = len(images) if images.is_cuda else max(1, CACHED // (c * h * w))
        for part, values in zip(result.split(some), images.split(some), strict=True):
            part.copy_(values).mul_(scale).add_(shift)
        return result


def room(device: torch.device) -> float:
    """Bytes that a set may take: half of what is free on a GPU, and else PADDED."""
    if device.type != "cuda":
        return PADDED
    # What torch holds back for later use is free for us as well.
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (torch.cuda.mem_get_info(device)[0] + held) / 2


# The data sets


class Images(NamedTuple):
    """A set of images: its name, its classes, and the function that reads it."""

    name: str
    classes: tuple[str, ...]
    read: Callable[[], Parts]


def mnist(*, source: str = "auto", val_fraction: float = 0.1, seed: int = 0) -> Splits:
    """Handwritten digits, 28x28, grey: 60,000 to train on, 10,000 for the test.

    Args:
        source: "auto" takes the real images where it can get them and else the
            stand-in, at scale tiny always; "real" refuses the stand-in; "embedded"
            asks for it.
        val_fraction: the fraction of the training images that validate.
        seed: which of them do.

    Raises:
        CourseError: the real images are damaged, or asked for and not to be had.

    Source: LeCun et al. 1998.
    """
    real = Images("MNIST", DIGITS.classes, partial(_read_idx, "MNIST"))
    return _load(real, DIGITS, source, {"val": val_fraction}, seed)


def fashion_mnist(
    *, source: str = "auto", val_fraction: float = 0.1, seed: int = 0
) -> Splits:
    """Articles of clothing, as many and as large as MNIST's digits.

    The arguments are those of `mnist`. The stand-in shows digits, with their classes.

    Source: Xiao et al. 2017.
    """
    from torchvision.datasets import FashionMNIST

    garments = tuple(FashionMNIST.classes)
    real = Images("Fashion-MNIST", garments, partial(_read_idx, "FashionMNIST"))
    return _load(real, DIGITS, source, {"val": val_fraction}, seed)


def cifar10(
    *, source: str = "auto", val_fraction: float = 0.1, seed: int = 0
) -> Splits:
    """Photos of ten kinds of objects, 32x32: 50,000 to train on, 10,000 for the test.

    The arguments are those of `mnist`. The stand-in is drawn: 5,000 and 1,000.

    Source: Krizhevsky 2009.
    """
    real = Images("CIFAR-10", OBJECTS, _read_cifar10)
    drawn = Images(
        "6,000 drawings of its classes", OBJECTS, lambda: _drawn("cifar10", 32)
    )
    return _load(real, drawn, source, {"val": val_fraction}, seed)


def dogs_vs_cats(
    size: int = 256,
    *,
    source: str = "auto",
    val_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 0,
) -> Splits:
    """Photos of cats and of dogs, about 12,500 each, brought to one size.

    The shorter side of each photo becomes `size` pixels, and its central square is
    kept. That is done once: later runs map the squares, 4.9 GB at 256 pixels, from a
    file in the data folder's `cache`. Files that are no photos are left out, and one
    line says so. The stand-in is drawn, 64 pixels wide: 1,600 and 400.

    Args:
        size: side of the squares, in pixels.
        source: as for `mnist`.
        val_fraction, test_fraction: the fractions of the training photos that validate
            and test; the second one where no test photos come with a class.
        seed: which of them do.

    Raises:
        CourseError: the photos are damaged, or asked for and not to be had.

    Source: Elson et al. 2007.
    """
    photos.require_size(size)
    real = Images("Dogs vs. Cats", ANIMALS, partial(_read_dogs_vs_cats, size, seed))
    drawn = partial(_drawn, "cats_and_dogs", size)
    drawn = Images("2,000 drawings of cats and dogs", ANIMALS, drawn)
    fractions = {"val": val_fraction, "test": test_fraction}
    return _load(real, drawn, source, fractions, seed)


def image_folder(
    path: str | Path,
    size: int = 64,
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
    skip_bad: bool = False,
) -> Splits:
    """Your own images, in a folder for each class: `path/<class>/...`.

    Or `path/train/<class>/...`, with `path/val` and `path/test` if you like; a part
    that is not there is taken from the training images, the same one every time. Each
    image is resized, and its central square kept; that is done once, and then taken
    from the cache until a file changes.

    Args:
        size: side of the square, in pixels.
        val_fraction, test_fraction: what such a part gets of the training images.
        seed: which of them.
        skip_bad: leave files out that cannot be read, and say so.

    Raises:
        CourseError: the folder or a class is missing or empty, or files are no images.
    """
    path = course.expanded(path).resolve()
    found, classes = photos.in_folder(path)
    # Another folder of the same name is another set.
    address = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
    slug = re.sub(r"\W", "_", path.name, flags=re.ASCII)
    parts = _decoded(found, size, f"{slug}_{address[:8]}", seed, skip_bad=skip_bad)
    fractions = {"val": val_fraction, "test": test_fraction}
    return _split(Images(path.name, classes, lambda: parts), fractions, seed)


DATASETS: dict[str, Callable[..., Splits]] = {
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "dogs_vs_cats": dogs_vs_cats,
}


def load(name: str, **options) -> Splits:
    """A data set by its name, however it is spelt: "cifar10", "CIFAR-10"; see `mnist`.

    Raises:
        CourseError: there is none of that name.
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    for known, function in DATASETS.items():
        if known.replace("_", "") == plain:
            return function(**options)
    raise CourseError(
        f"There is no data set {name!r}. Choose one of {', '.join(DATASETS)}, or use"
        " image_folder(path) for images of your own."
    )


def _load(
    real: Images, drawn: Images, source: str, fractions: dict[str, float], seed: int
) -> Splits:
    """The real set or its stand-in, as `source` and the scale say."""
    if source not in SOURCES:
        raise CourseError(
            f"source={source!r} is none of {', '.join(SOURCES)}. Leave it out for the"
            " real images where they can be had."
        )
    if source == "embedded":
        why = 'source="embedded"; source="auto" takes the real images'
    elif source == "auto" and course.scale() == "tiny":
        why = "scale tiny; CNN_COURSE_SCALE=small takes the real images"
    else:
        try:
            return _split(real, fractions, seed)
        except DownloadError as error:
            if source == "real":
                raise
            why = f"{error.reason}; data/README.md says how to get the real images"
    print(f"Stand-in: {drawn.name} in place of {real.name} ({why}).")
    drawn = drawn._replace(name=f"{real.name} (stand-in)")
    return _split(drawn, fractions, seed, real=False)


def _split(
    images: Images, fractions: dict[str, float], seed: int, *, real: bool = True
) -> Splits:
    """Take the parts that are not there from train, and measure mean and std on it."""
    parts = images.read()
    sets = {part: _image_set(images, arrays, real) for part, arrays in parts.items()}
    train, moments = sets["train"], parts["train"].moments
    order = balanced_order(train.labels, seed=seed)
    if moments is not None:  # they lie in their order already
        order = torch.arange(len(train))
    for part, fraction in fractions.items():
        if part in parts:
            continue
        if not 0 < fraction < 1:
            raise CourseError(
                f"{part}_fraction={fraction} is no fraction of the training images."
                " Use a number between 0 and 1, such as 0.1."
            )
        n = max(1, round(len(train) * fraction))
        sets[part], order = train.take(order[:n]), order[n:]
    counts = train.labels[order].bincount(minlength=len(images.classes)).tolist()
    lost = [name for name, n in zip(images.classes, counts, strict=True) if not n]
    if lost:
        raise CourseError(
            f"{images.name}: of {len(train)} images, too few are left to train on: none"
            f" of {', '.join(lost)}. Add some, or lower the fractions for validation"
            " and test."
        )
    sets["train"] = train.take(order)
    if moments is None:
        mean, std = _measure(sets["train"].images)
    else:
        mean, std = _from_moments(moments[order], train.images[0, 0].numel())
    return Splits(**{p: replace(data, mean=mean, std=std) for p, data in sets.items()})


def _image_set(images: Images, arrays: Part, real: bool) -> ImageSet:
    """A part as an image set, its mean and std not yet measured."""
    pixels = torch.from_numpy(arrays.images)
    pixels = pixels.contiguous(memory_format=torch.channels_last)  # a map is so already
    labels = torch.from_numpy(arrays.labels).long()
    zero, one = ((x,) * pixels.shape[1] for x in (0.0, 1.0))
    return ImageSet(pixels, labels, images.classes, zero, one, images.name, real)


def _measure(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of values in [0, 1], exactly."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        counts = torch.bincount(channel.flatten(), minlength=256)
        mean = (counts * values).sum() / counts.sum()
        std = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
        means.append(round(mean.item(), 4))
        stds.append(round(std.item(), 4) or 1.0)  # of one value only: nothing to scale
    return tuple(means), tuple(stds)


def _from_moments(
    moments: np.ndarray, pixels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `_measure` gives, from each image's sums (N, 2, C) over so many pixels."""
    total = moments.sum(0) / (len(moments) * pixels)
    mean = total[0] / 255
    std = np.sqrt((total[1] / 255**2 - mean**2).clip(0)).round(4)
    return tuple(mean.round(4).tolist()), tuple(s or 1.0 for s in std.tolist())


# Reading them


def _read_idx(name: str) -> Parts:
    from torchvision import datasets

    root = download.bring_idx(name).parent.parent
    parts = {}
    for part in ("train", "test"):
        found = getattr(datasets, name)(root, train=part == "train")
        parts[part] = Part(found.data.numpy()[:, None], found.targets.numpy())
    return parts


def _read_cifar10() -> Parts:
    from torchvision.datasets import CIFAR10

    root = download.bring_cifar10().parent
    parts = {}
    for part in ("train", "test"):
        found = CIFAR10(root, train=part == "train")
        images = found.data.transpose(0, 3, 1, 2)
        parts[part] = Part(images, np.array(found.targets, np.int64))
    return parts


def _read_dogs_vs_cats(size: int, seed: int) -> Parts:
    found = photos.dogs_vs_cats(course.data_dir() / "dogs_vs_cats")
    return _decoded(found, size, "dogs_vs_cats", seed, skip_bad=True)


def _decoded(
    source: photos.Source, size: int, name: str, seed: int, *, skip_bad: bool
) -> Parts:
    """Decoded photos, those of train in the order in which this seed divides them."""
    train = [photo for photo in source.photos if photo.part == "train"]
    labels = torch.tensor([photo.label for photo in train])
    order = balanced_order(labels, seed=seed) if train else ()
    others = [p for part in ("val", "test") for p in source.photos if p.part == part]
    source = source._replace(photos=[*(train[i] for i in order), *others])
    return photos.decoded(source, size, f"{name}-{seed}", skip_bad=skip_bad)


def _digits() -> Parts:
    """scikit-learn's 1,797 scans of handwritten digits, brought into MNIST's shape.

    Each scan of 8x8 pixels fills the central 20x20 of 28x28, as MNIST's digits do.

    Source: Alpaydin and Kaynak 1998; the scans are the test part of UCI's Optdigits.
    """
    from sklearn.datasets import load_digits  # takes most of a second to import

    scans = load_digits()
    ink = np.round(scans.images * (255 / 16)).astype(np.uint8)  # 0 to 16 in the file
    images = np.zeros((len(ink), 1, 28, 28), np.uint8)
    for image, scan in zip(images, ink, strict=True):
        large = Image.fromarray(scan).resize((20, 20), Image.Resampling.BICUBIC)
        image[0, 4:24, 4:24] = large
    labels = scans.target.astype(np.int64)
    order = balanced_order(torch.from_numpy(labels)).numpy()
    parts = {"train": order[SCANS_TEST:], "test": order[:SCANS_TEST]}
    return {part: Part(images[i], labels[i]) for part, i in parts.items()}


def _drawn(name: str, size: int) -> Parts:
    """Drawings that lie beside the code, on sheets, brought to a size if need be."""
    labels = json.loads((STAND_INS / "labels.json").read_text())
    parts = {}
    for part in ("train", "test"):
        digits = np.array(list(labels[f"{name}-{part}"]), np.int64)
        with Image.open(STAND_INS / f"{name}-{part}.webp") as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        side = math.isqrt(pixels.size // 3 // len(digits))
        rows, columns = (extent // side for extent in pixels.shape[:2])
        drawings = pixels.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
        drawings = drawings.reshape(-1, side, side, 3)
        if side != size:
            bilinear = ((size, size), Image.Resampling.BILINEAR)
            resized = (Image.fromarray(one).resize(*bilinear) for one in drawings)
            drawings = np.stack([np.asarray(one) for one in resized])
        parts[part] = Part(drawings.transpose(0, 3, 1, 2), digits)
    return parts


DIGITS = Images("1,797 scanned digits of scikit-learn", tuple("0123456789"), _digits)
