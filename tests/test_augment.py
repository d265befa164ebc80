"""Each augmentation against torchvision, its draws, its dtypes and its errors."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from scipy import stats
from torch.nn import functional as nnF
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.transforms import RandomResizedCrop as TorchvisionCrop

from experiments.flip import AlternatingFlip
from utils import course
from utils.augment import (
    ColorJitter,
    CutMix,
    Cutout,
    HorizontalFlip,
    MixUp,
    RandomCrop,
    RandomResizedCrop,
    Rotation,
    as_float,
    cut,
)
from utils.course import CourseError

RESIZE = [RandomResizedCrop(), RandomResizedCrop(9)]
KEEP_UINT8 = [RandomCrop(4), RandomCrop(0, size=15), HorizontalFlip(), Cutout(8)]
KEEP_UINT8 += RESIZE
MAKE_FLOAT = [Rotation(30), ColorJitter(0.4, 0.4, 0.4, 0.2)]
ALL = KEEP_UINT8 + MAKE_FLOAT
MIXING = [MixUp(0.4), CutMix(1.0)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uint8_images(n=24, channels=3, height=20, width=28):
    shape = (n, channels, height, width)
    return torch.randint(256, shape, dtype=torch.uint8, generator=rng(1))


def float_images(n=24, channels=3, height=20, width=28):
    return as_float(uint8_images(n, channels, height, width))


def probabilities(n=24, classes=10):
    return nnF.one_hot(torch.arange(n) % classes, classes).float()


def augmented(augmentation, images, generator=None):
    """The augmented images, of MixUp and CutMix as well."""
    generator = generator or rng()
    if augmentation not in MIXING:
        return augmentation(images, generator)
    return augmentation(images, probabilities().to(images.device), generator)[0]


def one_by_one(function, images, *params):
    """`function(image, *its parameters)` for each example, stacked again."""
    columns = [p.tolist() for p in params]
    rows = zip(images, *columns, strict=True)
    return torch.stack([function(image, *row) for image, *row in rows])


def assert_near(got, expected):
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


# --- equal to torchvision, for the same parameters -----------------------------------


@pytest.mark.parametrize("padding", [0, 1, 4, 30])
@pytest.mark.parametrize("size", [None, 15, 20])
@pytest.mark.parametrize("images", [uint8_images(), float_images()])
def test_crop_equals_torchvision(images, padding, size):
    crop = RandomCrop(padding, size)
    dy, dx = crop.draw(images, rng())
    h, w = size or 20, size or 28
    assert dy.max() <= 20 + 2 * padding - h
    assert dx.max() <= 28 + 2 * padding - w
    expected = one_by_one(
        lambda image, y, x: F.crop(F.pad(image, [padding]), y, x, h, w), images, dy, dx
    )
    for layout in (torch.contiguous_format, torch.channels_last):
        got = crop.apply(images.contiguous(memory_format=layout), (dy, dx))
        assert torch.equal(got, expected)
        assert got.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("size", [(8, 8), (64, 65)])
def test_windows_are_cut_out_of_any_images_in_any_order(size):
    images = uint8_images(9, 3, 80, 90).to(memory_format=torch.channels_last)[1:]
    i, top, left = torch.tensor([[7, 0, 3, 3], [0, 16, 5, 1], [25, 0, 9, 2]])
    expected = one_by_one(lambda p, y, x: F.crop(p, y, x, *size), images[i], top, left)
    assert torch.equal(cut(images, i, top, left, size), expected)


@pytest.mark.parametrize("images", [uint8_images(), float_images()])
def test_flip_equals_torchvision(images):
    flip = HorizontalFlip()
    mirrored = flip.draw(images, rng())
    expected = one_by_one(lambda im, m: F.hflip(im) if m else im, images, mirrored)
    assert torch.equal(flip.apply(images, mirrored), expected)


def test_alternating_flip_mirrors_one_half_and_then_the_other():
    images, flip = uint8_images(), AlternatingFlip()
    places = torch.arange(24).roll(7)
    even, odd = (flip(images, places, epoch) for epoch in (0, 1))
    mirrored = (even != images).flatten(1).any(1)
    assert 4 < mirrored.sum() < 20
    assert torch.equal(even, HorizontalFlip().apply(images, mirrored))
    assert torch.equal(odd, even.flip(-1))
    assert torch.equal(flip(images, places, 2), even)
    assert torch.equal(flip(images[:5], places[:5], 0), even[:5])


@pytest.mark.parametrize("shape", [(20, 28), (28, 28), (32, 32), (33, 17), (1, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_rotation_equals_torchvision(shape, channels):
    images = float_images(24, channels, *shape)
    rotation = Rotation(180)
    angles = rotation.draw(images, rng())
    turn = partial(F.rotate, interpolation=InterpolationMode.BILINEAR)
    expected = one_by_one(turn, images, angles)
    assert_near(rotation.apply(images, angles), expected)


@pytest.mark.parametrize("size", [None, 1, 16, 40])
@pytest.mark.parametrize("shape", [(20, 28), (32, 32)])
def test_resized_crop_equals_torchvision(size, shape):
    images = float_images(24, 3, *shape)
    crop = RandomResizedCrop(size, scale=(0.01, 1.0))
    params = crop.draw(images, rng())
    new_size = [size, size] if size else list(shape)
    expected = one_by_one(
        lambda image, *box: F.resized_crop(image, *box, new_size, antialias=False),
        images,
        *params,
    )
    assert_near(crop.apply(images, params), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [None, 16, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_resized_crop_of_uint8_is_that_of_float_rounded(layout, size, channels):
    images = uint8_images(24, channels).to(memory_format=layout)
    crop = RandomResizedCrop(size, scale=(0.01, 1.0))
    params = crop.draw(images, rng())
    got = crop.apply(images, params)
    assert got.dtype == torch.uint8
    difference = got / 255 - crop.apply(as_float(images), params)
    assert difference.abs().max() <= 1.01 / 255
    assert difference.mean().abs() <= 0.1 / 255  # not cut off, which is half a level


ADJUST = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "jitter",
    [ColorJitter(0.4, 0.4, 0.4, 0.1), ColorJitter(2, 2, 2, 0.5), ColorJitter(hue=0.5)],
    ids=str,
)
def test_colour_jitter_equals_torchvision(jitter, channels):
    images = float_images(64, channels)
    images[0] = 0.5  # grey and black: hue and saturation are not defined
    images[1] = 0.0
    order, factors = jitter.draw(images, rng())

    def adjust(image, operations, its_factors):
        for operation in operations:
            image = ADJUST[operation](image, its_factors[operation])
        return image

    expected = one_by_one(adjust, images, order, factors)
    assert_near(jitter.apply(images, (order, factors)), expected)


@pytest.mark.parametrize("images", [uint8_images(), float_images()])
@pytest.mark.parametrize("size", [1, 7, 8, 100])
def test_cutout_equals_torchvision_erase(images, size):
    cutout = Cutout(size)
    y, x = cutout.draw(images, rng())

    def erase(image, cy, cx):
        top, left = max(0, cy - size // 2), max(0, cx - size // 2)
        bottom = min(20, cy - size // 2 + size)
        right = min(28, cx - size // 2 + size)
        black = torch.zeros((), dtype=image.dtype)
        return F.erase(image, top, left, bottom - top, right - left, black)

    expected = one_by_one(erase, images, y, x)
    assert torch.equal(cutout.apply(images, (y, x)), expected)


def test_mixup_by_hand():
    images, labels = float_images(), probabilities()
    lam, partner = params = MixUp(1.0).draw(images, rng())
    got = MixUp(1.0).apply(images, labels, params)
    for i, share in enumerate(lam.tolist()):
        for new, old in zip(got, (images, labels), strict=True):
            assert_near(new[i], share * old[i] + (1 - share) * old[partner[i]])


@pytest.mark.parametrize("images", [uint8_images(96), float_images(96)])
def test_cutmix_by_hand(images):
    """The box and its share as torchvision's `v2.CutMix.make_params` has them."""
    labels = probabilities(96)
    params = CutMix(0.5).draw(images, rng())
    mixed, shares = CutMix(0.5).apply(images, labels, params)
    for i, (lam, j, y, x) in enumerate(zip(*(p.tolist() for p in params), strict=True)):
        h, w = (int(0.5 * math.sqrt(1 - lam) * side) for side in (20, 28))
        expected = images[i].clone()
        rows, columns = slice(max(y - h, 0), y + h), slice(max(x - w, 0), x + w)
        expected[:, rows, columns] = images[j, :, rows, columns]
        assert torch.equal(mixed[i], expected)
        area = expected[0, rows, columns].numel() / (20 * 28)
        assert_near(shares[i], (1 - area) * labels[i] + area * labels[j])


# --- the draws -----------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", ALL, ids=str)
def test_examples_of_one_batch_get_different_draws(augmentation):
    copies = float_images(1, 3, 32, 32).expand(64, -1, -1, -1)
    views = augmentation(copies, rng()).flatten(1).unique(dim=0)
    least = 2 if isinstance(augmentation, HorizontalFlip) else 30
    assert len(views) >= least


@pytest.mark.parametrize("augmentation", ALL, ids=str)
def test_the_same_seed_repeats_and_another_differs(augmentation):
    images = uint8_images()
    first = augmentation(images, rng(3))
    assert torch.equal(first, augmentation(images, rng(3)))
    assert not torch.equal(first, augmentation(images, rng(4)))
    generator = rng(3)
    augmentation(images, generator)
    assert not torch.equal(first, augmentation(images, generator))


@pytest.mark.parametrize("mixing", MIXING, ids=str)
def test_mixing_repeats_with_its_seed_and_draws_per_example(mixing):
    images, labels = float_images(), probabilities()
    first, again = (mixing(images, labels, rng(3)) for _ in range(2))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[1], mixing(images, labels, rng(4))[1])
    lam, partner, *_ = mixing.draw(images, rng(3))
    assert len(lam.unique()) == 24
    assert partner.sort().values.tolist() == list(range(24)) != partner.tolist()


def test_crop_places_are_uniform():
    dy, dx = RandomCrop(4).draw(torch.empty(9000, 0, 32, 32), rng())
    assert dy.dtype == dx.dtype == torch.int64
    for places in (dy, dx):
        assert stats.chisquare(places.bincount(minlength=9)).pvalue > 0.001
        assert len(places.bincount()) == 9
    pairs = stats.contingency.crosstab(dy, dx).count
    assert stats.chi2_contingency(pairs).pvalue > 0.001  # independent of each other


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flip_frequency(p):
    mirrored = HorizontalFlip(p).draw(torch.empty(10_000, 0), rng())
    assert mirrored.dtype == torch.bool
    assert mirrored.float().mean().item() == pytest.approx(p, abs=0.02)


def test_angles_are_uniform_between_the_limits():
    angles = Rotation(20).draw(torch.empty(5000, 0), rng())
    assert stats.kstest(angles, stats.uniform(-20, 40).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("shape", "scale", "ratio"),
    [
        ((32, 32), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((20, 60), (0.6, 1.0), (3 / 4, 4 / 3)),  # the fallback, too wide
        ((60, 20), (0.5, 1.0), (3 / 4, 4 / 3)),  # too high, and a few that fit
        ((64, 64), (0.05, 0.2), (0.25, 4.0)),  # as often wide as high
    ],
)
def test_resized_crops_follow_torchvisions_distribution(shape, scale, ratio):
    images = torch.empty(2000, 1, *shape)
    ours = torch.stack(RandomResizedCrop(None, scale, ratio).draw(images, rng()))
    top, left, h, w = ours
    assert ours.dtype == torch.int64
    assert (ours >= 0).all()
    assert ((h > 0) & (top + h <= shape[0])).all()
    assert ((w > 0) & (left + w <= shape[1])).all()
    torch.manual_seed(0)
    draw = TorchvisionCrop.get_params
    theirs = torch.tensor([draw(images[0], scale, ratio) for _ in range(2000)]).T
    areas = h * w, theirs[2] * theirs[3]
    for a, b in [*zip(ours, theirs, strict=True), areas]:
        assert stats.ks_2samp(a, b).pvalue > 0.001


def test_jitter_factors_and_orders():
    images = torch.empty(6000, 3, 1, 1)
    order, factors = ColorJitter(0.4, 0.2, 1.5, 0.1).draw(images, rng())
    ranges = [(0.6, 1.4), (0.8, 1.2), (0.0, 2.5), (-0.1, 0.1)]
    for column, (low, high) in zip(factors.T, ranges, strict=True):
        assert stats.kstest(column, stats.uniform(low, high - low).cdf).pvalue > 0.001
    _, counts = order.unique(dim=0, return_counts=True)
    assert len(counts) == 24  # all orders of four operations, equally often
    assert stats.chisquare(counts).pvalue > 0.001
    for channels, used in ((3, [(1, 3), (3, 1)]), (1, [(1,)])):
        images = torch.empty(50, channels, 1, 1)
        order, _ = ColorJitter(contrast=0.5, hue=0.5).draw(images, rng())
        assert order.unique(dim=0).tolist() == list(map(list, used))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 30.0])
@pytest.mark.parametrize("mixing", [MixUp, CutMix])
def test_the_share_that_is_kept_follows_beta(mixing, alpha):
    draws, *_ = mixing(alpha).draw(torch.empty(20_000, 0, 4, 4), rng())
    assert ((draws >= 0) & (draws <= 1)).all()
    # Bins, not a KS test: for a small alpha much of the mass lies nearer to 1 than a
    # float can (21 % for 0.05), rounds to 1 and is all right there.
    inner = torch.arange(1, 20, dtype=torch.float64) / 20
    edges = torch.tensor([0, 1e-3, 1e-2, *inner, 1 - 1e-2, 1 - 1e-3, 1]).double()
    cdf = stats.beta(alpha, alpha).cdf(edges)
    expected = torch.from_numpy(cdf).diff() * 20_000
    counts = torch.histogram(draws.double(), edges).hist
    counts, expected = counts[expected > 5], expected[expected > 5]
    fit = stats.chisquare(counts, expected * counts.sum() / expected.sum())
    assert fit.pvalue > 0.001


# --- what comes out ------------------------------------------------------------------


@pytest.mark.parametrize("augmentation", ALL, ids=str)
def test_dtypes(augmentation):
    """Moved pixels keep theirs; computed ones are float, between 0 and 1."""
    got = augmentation(uint8_images(), rng())
    moved = augmentation in KEEP_UINT8
    assert got.dtype == (torch.uint8 if moved else torch.float32)
    for images in (float_images(), float_images().double()):
        assert augmentation(images, rng()).dtype == images.dtype
    if not moved:
        assert 0 <= got.min() < got.max() <= 1 + 1e-6
        assert_near(got, augmentation(float_images(), rng()))


@pytest.mark.parametrize("mixing", MIXING, ids=str)
def test_mixed_labels_are_still_probabilities(mixing):
    images = uint8_images(500, 1, 8, 8)
    mixed, labels = mixing(images, probabilities(500), rng())
    assert mixed.dtype == (torch.uint8 if isinstance(mixing, CutMix) else torch.float32)
    assert labels.dtype == torch.float32
    assert_near(labels.sum(1), torch.ones(500))
    assert labels.min() >= 0
    assert ((labels > 0).sum(1) == 2).any()


STILL = [RandomCrop(0), HorizontalFlip(0), Rotation(0), ColorJitter(), Cutout(0)]
STILL += [RandomResizedCrop(scale=(1, 1), ratio=(1, 1))]


@pytest.mark.parametrize("augmentation", STILL, ids=str)
@pytest.mark.parametrize("images", [uint8_images(height=28), float_images(height=28)])
def test_degenerate_settings_change_nothing(augmentation, images):
    got = augmentation(images, rng())
    if got.dtype == torch.uint8 or isinstance(augmentation, ColorJitter):
        assert torch.equal(as_float(got), as_float(images))
    else:
        assert_near(got, as_float(images))


@pytest.mark.parametrize("augmentation", [*ALL, *MIXING], ids=str)
def test_neither_the_input_nor_the_global_generator_is_changed(augmentation):
    state = torch.get_rng_state()
    for images in (uint8_images(), float_images()):
        before = images.clone()
        augmented(augmentation, images)
        assert torch.equal(images, before)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("images", [uint8_images(), float_images()])
def test_memory_layout_plays_no_part(images):
    spread = torch.stack([images, images], 1)[:, 1]
    assert not spread.is_contiguous()
    for other in (images.to(memory_format=torch.channels_last), spread):
        for augmentation in [*ALL, *MIXING]:
            got, expected = (augmented(augmentation, each) for each in (other, images))
            assert_near(got, expected)


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("on_device", [True, False], ids=["there", "cpu"])
def test_on_an_accelerator(device, on_device):
    """A generator may live there or on the CPU; then the draws are the CPU's."""
    if course.device().type != device:
        pytest.skip(f"no {device} here")
    for augmentation in [*ALL, *MIXING]:
        generator = torch.Generator(device if on_device else "cpu").manual_seed(0)
        got = augmented(augmentation, uint8_images().to(device), generator)
        assert got.device.type == device
        if not on_device:
            expected = augmented(augmentation, uint8_images())
            torch.testing.assert_close(got.cpu(), expected, rtol=0, atol=1e-4)


def test_bad_input_says_what_to_do():
    for image in (uint8_images()[0], float_images()[0, 0]):
        with pytest.raises(CourseError, match=r"image\[None\]"):
            HorizontalFlip()(image, rng())
    for mixing in MIXING:
        with pytest.raises(CourseError, match="one_hot"):
            mixing(uint8_images(), torch.arange(24), rng())
