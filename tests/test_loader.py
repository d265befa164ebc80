"""ImageSet, Splits and Loader: what goes in, what comes out, and that it repeats."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from utils import course
from utils import images as sets
from utils.augment import CutMix, HorizontalFlip, MixUp, RandomCrop, RandomResizedCrop
from utils.data import ImageSet, Splits, balanced_order

CLASSES = tuple("abcde")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def image_set(n: int = 50, size: int = 8, channels: int = 3, **parts) -> ImageSet:
    generator = torch.Generator().manual_seed(1)
    shape = (n, channels, size, size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    usual = {"images": images, "labels": torch.arange(n) % len(CLASSES)}
    usual |= {"classes": CLASSES, "mean": MEAN[:channels], "std": STD[:channels]}
    return ImageSet(**usual | parts)


def batches(loader) -> list:
    return [(images.clone(), labels.clone()) for images, labels in loader]


def same(first: list, second: list) -> bool:
    pairs = itertools.zip_longest(first, second)
    return all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in pairs)


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(t).view(1, 3, 1, 1) for t in (MEAN, STD))
    return (images.float() / 255 - mean) / std


# ImageSet


def test_image_set_is_a_dataset():
    data = image_set()
    image, label = data[3]
    assert len(data) == 50
    assert label == 3
    assert isinstance(label, int)
    assert torch.equal(image, data.images[3] / 255)
    images, labels = next(iter(DataLoader(data, batch_size=4)))
    assert images.shape == (4, 3, 8, 8)
    assert labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"images": torch.zeros(50, 3, 8, 8)}, "uint8"),
        ({"images": torch.zeros(50, 8, 8, dtype=torch.uint8)}, r"images\[:, None\]"),
        (
            {
                "images": torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
                "labels": torch.zeros(0, dtype=torch.long),
            },
            "uint8",
        ),
        ({"labels": torch.zeros(49, dtype=torch.long)}, r"torch.int64 \(49,\)"),
        ({"labels": torch.zeros(50)}, "int64"),
        ({"labels": torch.full((50,), 5)}, "from 0 to 4 for 5 classes"),
        ({"labels": torch.full((50,), -1)}, "from 0 to 4 for 5 classes"),
        ({"mean": (0.5,)}, "a std for each channel"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(course.CourseError, match=message):
        image_set(**parts)


def test_splits_unpack():
    data = image_set()
    train, val, test, classes = Splits(data, data.subset(10), data.subset(5))
    assert (len(train), len(val), len(test), classes) == (50, 10, 5, CLASSES)


def test_neighbours_are_a_view_and_others_a_copy():
    data = image_set()
    view = data.take(torch.arange(10, 30))
    assert view.images.data_ptr() == data.images[10:].data_ptr()
    assert torch.equal(view.labels, data.labels[10:30])
    for order in ([1, 0], [3, 5], [2, 2], [-2, -1]):
        taken = data.take(torch.tensor(order))
        assert torch.equal(taken.images, data.images[order])
        assert taken.labels.tolist() == data.labels[order].tolist()
    assert torch.equal(data.take(torch.arange(50)).images, data.images)
    with pytest.raises(IndexError):
        data.take(torch.arange(45, 55))


# Balance


def test_every_beginning_of_a_balanced_order_is_balanced():
    labels = torch.arange(500) % 5
    order = balanced_order(labels, seed=3)
    assert torch.equal(order.sort()[0], torch.arange(500))
    for n in (5, 50, 123, 499):
        counts = labels[order[:n]].bincount(minlength=5)
        assert counts.max() - counts.min() <= 1


def test_unequal_classes_keep_their_proportions():
    labels = torch.cat([torch.zeros(900), torch.ones(90), torch.full((10,), 2)]).long()
    assert labels[balanced_order(labels)[:100]].bincount().tolist() == [90, 9, 1]


def test_balanced_order_never_changes():
    # Written down once: a split must be the same in every version of every library.
    order = balanced_order(torch.arange(12) % 3, seed=0)
    assert order.tolist() == [11, 3, 1, 2, 6, 7, 8, 0, 4, 10, 5, 9]
    assert balanced_order(torch.arange(12) % 3, seed=1).tolist() != order.tolist()


def test_subset_is_balanced_nested_and_repeats():
    data = image_set(500)
    small, large = data.subset(50, seed=2), data.subset(100, seed=2)
    assert small.labels.bincount().tolist() == [10] * 5
    assert torch.equal(small.images, large.images[:50])
    assert torch.equal(small.images, data.subset(50, seed=2).images)
    assert not torch.equal(small.images, data.subset(50, seed=3).images)
    assert data.subset(None) is data
    assert data.subset(501) is data
    with pytest.raises(course.CourseError, match="uint8"):
        data.subset(0)


# Loader: without augmentation


def test_batches_are_normalised_and_in_the_order_asked_for():
    data = image_set()
    loader = data.loader(16, device="cpu")
    assert (len(loader), loader.num_examples, loader.classes) == (4, 50, CLASSES)
    images, labels = zip(*loader, strict=True)
    assert [len(part) for part in images] == [16, 16, 16, 2]
    assert torch.equal(torch.cat(labels), data.labels)
    torch.testing.assert_close(torch.cat(images), normalized(data.images))
    assert images[0].dtype == torch.float32
    assert images[0].is_contiguous()  # what any network can take
    loader.memory_format = torch.channels_last
    for before, (after, _) in zip(images, loader, strict=True):
        assert torch.equal(before, after)
        assert after.is_contiguous(memory_format=torch.channels_last)


def test_raw_images_stay_in_0_to_1():
    data = image_set()
    images, _ = next(iter(data.raw().loader(50, device="cpu")))
    torch.testing.assert_close(images, data.images / 255)


def test_one_channel():
    data = image_set(channels=1)
    images, _ = next(iter(data.loader(50, device="cpu")))
    torch.testing.assert_close(images, (data.images / 255 - MEAN[0]) / STD[0])
    assert images.is_contiguous()


def test_drop_last():
    loader = image_set().loader(16, drop_last=True, device="cpu")
    assert (len(loader), loader.num_examples) == (3, 48)
    assert [len(labels) for _, labels in loader] == [16, 16, 16]
    with pytest.raises(course.CourseError, match="50 examples do not fill one batch_s"):
        image_set().loader(64, drop_last=True)


# Loader: order and draws


def test_shuffled_order_is_a_permutation_and_changes_every_epoch():
    data = image_set(
        images=torch.arange(50).byte().view(50, 1, 1, 1), mean=(0,), std=(1,)
    )
    loader = data.loader(16, shuffle=True, device="cpu")
    orders = [torch.cat([x for x, _ in loader]).flatten() * 255 for _ in range(2)]
    for order in orders:
        assert sorted(order.round().int().tolist()) == list(range(50))
    assert not torch.equal(*orders)
    assert loader.epoch == 2


AUGMENT = (RandomCrop(2), HorizontalFlip(), MixUp(0.4))


def test_the_same_seed_gives_the_same_batches_and_another_does_not():
    def first_pass(seed: int) -> list:
        options = {"augment": AUGMENT, "shuffle": True, "device": "cpu"}
        return batches(image_set().loader(16, seed=seed, **options))

    assert same(first_pass(7), first_pass(7))
    assert not same(first_pass(7), first_pass(8))


def test_setting_the_epoch_repeats_its_batches():
    loader = image_set().loader(16, augment=AUGMENT, shuffle=True, device="cpu")
    passes = [batches(loader) for _ in range(3)]
    resumed = image_set().loader(16, augment=AUGMENT, shuffle=True, device="cpu")
    resumed.epoch = 2
    assert same(batches(resumed), passes[2])
    assert not same(passes[0], passes[1])


def test_a_pass_that_is_left_early_does_not_change_the_next():
    whole, broken = (image_set().loader(16, augment=AUGMENT) for _ in range(2))
    batches(whole)
    next(iter(broken))
    assert same(batches(whole), batches(broken))


@pytest.mark.parametrize("free", [1e12, -1])
def test_the_global_generator_is_left_alone(monkeypatch, free):
    monkeypatch.setattr(sets, "room", lambda device: free)
    before = torch.get_rng_state()
    batches(image_set().loader(16, augment=AUGMENT, shuffle=True, device="cpu"))
    assert torch.equal(torch.get_rng_state(), before)


# Loader: augmentation


def test_each_crop_is_a_slice_of_the_padded_image_at_its_own_place():
    data = image_set(60, size=32)
    crop = RandomCrop(4)
    images, _ = next(iter(data.raw().loader(60, augment=[crop], device="cpu")))
    padded = F.pad(data.images, [4] * 4)
    places = []
    for image, source in zip((images * 255).round().byte(), padded, strict=True):
        for dy, dx in itertools.product(range(9), range(9)):
            if torch.equal(image, source[:, dy : dy + 32, dx : dx + 32]):
                places.append((dy, dx))
    assert len(places) == 60
    assert len(set(places)) > 20


def test_flips_are_drawn_for_each_example():
    data = image_set(400)
    loader = data.raw().loader(400, augment=[HorizontalFlip()], device="cpu")
    images, _ = next(iter(loader))
    flipped = (images - data.images.flip(-1) / 255).abs().amax((1, 2, 3)) < 1e-6
    kept = (images - data.images / 255).abs().amax((1, 2, 3)) < 1e-6
    assert torch.equal(flipped, ~kept)
    assert 150 < flipped.sum() < 250


def test_mixing_gives_probabilities():
    for augment in ([MixUp(1.0)], [CutMix(1.0)], [MixUp(1.0), CutMix(1.0)]):
        loader = image_set().loader(50, augment=augment, device="cpu")
        _, labels = next(iter(loader))
        assert labels.shape == (50, 5)
        torch.testing.assert_close(labels.sum(1), torch.ones(50))
        assert (labels.amax(1) < 1).any()


def test_an_augmentation_may_change_the_size():
    loader = image_set().loader(50, augment=[RandomResizedCrop(12)], device="cpu")
    images, _ = next(iter(loader))
    assert images.shape == (50, 3, 12, 12)


def test_the_images_are_never_changed():
    def blacken(images, generator):
        return images.zero_()

    data = image_set()
    before = data.images.clone()
    for augment in ([blacken], [RandomCrop(0), blacken]):
        loader = data.loader(16, augment=augment, device="cpu")
        first, second = batches(loader), batches(loader)
        assert torch.equal(data.images, before)
        assert same(first, second)


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: x,
        lambda x: x[:1, :, 2:].permute(0, 2, 3, 1),
        lambda x: x.numpy(),
        lambda x: x.detach()[2:],
        lambda x: (x * torch.ones(1, requires_grad=True)).grad_fn,
    ],
    ids=["batch", "view", "numpy", "detached", "graph"],
)
def test_a_batch_keeps_its_content_while_it_is_held(hold):
    def content(held) -> torch.Tensor:
        if hasattr(held, "_saved_self"):
            held = held._saved_self
        return torch.as_tensor(held).clone()

    loader = image_set().loader(5, shuffle=True, device="cpu")
    held, expected = [], []
    for x, _ in loader:
        held.append(hold(x))
        expected.append(content(held[-1]))
    assert all(map(torch.equal, map(content, held), expected))


# Loader: where the images wait


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "augment",
    [
        (),
        (RandomCrop(2), HorizontalFlip()),
        (HorizontalFlip(), RandomCrop(2)),
        (RandomCrop(0), RandomResizedCrop(), CutMix()),
        (RandomResizedCrop(6), HorizontalFlip()),
        (RandomCrop(1, size=6), HorizontalFlip()),
        AUGMENT,
    ],
)
def test_batches_do_not_depend_on_where_the_images_wait(monkeypatch, augment, shuffle):
    def two_passes(free: float) -> tuple[list, bool]:
        monkeypatch.setattr(sets, "room", lambda device: free)
        data = image_set()
        loader = data.loader(16, augment=augment, shuffle=shuffle, device="cpu")
        found = batches(loader) + batches(loader)
        return found, loader._images.data_ptr() == data.images.data_ptr()

    (placed, _), (fetched, where_it_was) = two_passes(1e12), two_passes(-1)
    assert where_it_was
    assert same(placed, fetched)


def test_a_set_is_padded_once_where_there_is_room():
    data, padded = image_set(10), 10 * 3 * 12 * 12
    for room, height in ((padded, 12), (padded - 1, 8)):
        loader = data.loader(5, augment=[RandomCrop(2)], device="cpu")
        loader._place(room)
        assert loader._images.shape[2] == height
    for augment in ([], [RandomCrop(0, size=5)]):
        loader = data.loader(5, augment=augment, device="cpu")
        loader._place(room=0)
        assert loader._images.data_ptr() == data.images.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_both_ways_give_the_same_batches(monkeypatch):
    def one_pass(free: float) -> list:
        monkeypatch.setattr(sets, "room", lambda device: free)
        loader = image_set().loader(16, augment=AUGMENT, shuffle=True, device="cuda")
        return [(x.cpu(), y.cpu()) for x, y in loader]

    assert same(one_pass(1e12), one_pass(-1))
