"""Figures: fixed colours and sizes, the right numbers, and no text over another."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from torch import nn
from torch.nn.functional import conv2d

from experiments.leaderboard import Row, scores
from teaching import kernels
from utils import course, pictures, plot
from utils.course import CourseError
from utils.plot import ink

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


@pytest.fixture(autouse=True)
def style():
    mpl.use("agg")
    course.use_style()
    yield
    plt.close("all")


def history(epochs, *, seed=0, val=True):
    """A stand-in for `History`, with smooth curves."""
    noise = np.random.default_rng(seed).random(epochs) * 0.01
    rows = []
    for i, more in enumerate(noise, start=1):
        fall = math.exp(-i / 5)
        row = {"train_loss": 2.2 * fall + more, "train_accuracy": 0.98 - 0.8 * fall}
        row["val_loss"] = 2.2 * fall + 0.1 if val else None
        row["val_accuracy"] = 0.9 - 0.8 * fall + more if val else None
        rows.append({"epoch": i, **row})
    return SimpleNamespace(rows=rows)


def logits_of(classes, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    logits = torch.randn(n, classes, generator=generator)
    logits[torch.arange(n), labels] += 2
    return logits, labels


def drawn_texts(figure):
    """The texts that reach the picture: ticks outside the limits do not."""
    seen, draw = [], Text.draw

    def note(self, *args, **kwargs):
        seen.append(self)
        return draw(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", note)
        figure.canvas.draw()
    return [text for text in seen if text.get_visible() and text.get_text().strip()]


def assert_legible(figure):
    """No text leaves the figure or lies over another, and none is tiny."""
    boxes = {text: Text.get_window_extent(text) for text in drawn_texts(figure)}
    assert boxes
    for text, box in boxes.items():
        assert min(box.x0, box.y0) >= -1, text
        assert box.x1 <= figure.bbox.width + 1, text
        assert box.y1 <= figure.bbox.height + 1, text
        assert text.get_fontsize() >= 6.5, text
    level = [text for text in boxes if text.get_rotation() in (0, 90)]
    for one, other in combinations(level, 2):
        wide = min(boxes[one].x1, boxes[other].x1) - max(boxes[one].x0, boxes[other].x0)
        high = min(boxes[one].y1, boxes[other].y1) - max(boxes[one].y0, boxes[other].y0)
        assert wide < 1 or high < 3, (one.get_text(), other.get_text())


NETWORKS = ("AlexNet", "VGG-16", "GoogLeNet", "ResNet-20")
FIGURES = {
    "one": lambda: plot.curves(history(15), title="A finding", paper=0.91),
    "one epoch": lambda: plot.curves(history(1)),
    "no validation": lambda: plot.curves(history(5, val=False)),
    "seeds": lambda: plot.curves([history(12, seed=s) for s in range(3)]),
    "points": lambda: plot.curves(
        history(8),
        paper={"train_loss": {1: 2.28, 5: 0.9, 15: 0.34}, "val_accuracy": 0.9},
        paper_label="lecture notes",
    ),
    "networks": lambda: plot.curves(
        {name: history(9 + i, seed=i) for i, name in enumerate(NETWORKS)},
        title="A title that is much too long for one line, so that it has to go on in"
        " the next one",
    ),
    "all networks": lambda: plot.curves(
        {n: history(20, seed=i) for i, n in enumerate(plot.MODEL_COLORS)}, metric="loss"
    ),
    "panels": lambda: plot.curves(
        {f"width {2**i}": history(20, seed=i) for i in range(4)},
        metric="accuracy",
        panels=True,
    ),
    "mistakes": lambda: pictures.image_grid(
        torch.rand(16, 3, 32, 32),
        [f"{CLASSES[i % 10]} taken for automobile 97 %" for i in range(16)],
        title="The most confident mistakes",
    ),
    "twelve in a row": lambda: pictures.image_grid(
        torch.rand(24, 28, 28), [CLASSES[i % 10] for i in range(24)], columns=12
    ),
    "filters": lambda: pictures.filters(nn.Conv2d(1, 6, 5), title="Filters"),
    "colour filters": lambda: pictures.filters(nn.Conv2d(3, 16, 7), title="Colour"),
    "layers": lambda: pictures.feature_maps(
        {"c1": torch.randn(6, 28, 28), "c3": torch.randn(16, 10, 10)}, title="Layers"
    ),
    "two classes": lambda: pictures.confusion(*logits_of(2, 200), ("cat", "dog")),
    "ten classes": lambda: pictures.confusion(*logits_of(10, 500), CLASSES),
    "bars": lambda: plot.bars(
        {"LeNet-5": [0.62, 0.65], "VGG-16": 0.93, "a longer name of a setting": 0.9},
        reference={"lecture notes": 0.73, "paper": 0.74},
        title="Test accuracy",
    ),
    "band": lambda: plot.band(
        [100, 200, 500, 1000, 2000, 5000, 10_000, 50_000],
        {"with": np.linspace(0.6, 0.9, 8), "without": np.linspace(0.5, 0.89, 8)},
        paper=0.7,
    ),
    "windows": kernels.windows,
    "wide steps": lambda: kernels.windows(12, 7, 4, 3),
    "what is seen": kernels.receptive_field,
    "spread": lambda: plot.spread(
        {"LeNet-5": [0.62, 0.65, 0.66], "VGG-16": [0.93, 0.91]},
        reference={"paper": 0.7},
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_overlaps_or_is_cut_off(name):
    axes = np.atleast_1d(FIGURES[name]())
    assert all(isinstance(ax, plt.Axes) for ax in axes)
    assert axes[0].figure.bbox.width == pytest.approx(770, abs=1)
    assert_legible(axes[0].figure)


@pytest.mark.parametrize("color", [*plot.PALETTE.values(), "#A5D8F5"])
def test_labels_are_dark_enough_to_read(color):
    rgb = np.array(to_rgb(ink(color)))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.45


def lines(ax, color):
    return [line for line in ax.lines if to_hex(line.get_color()) == color.lower()]


def test_curves_show_the_rows_in_their_units():
    run = history(10)
    loss, accuracy = plot.curves(run)
    for ax, kind, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        [train], [val] = lines(ax, plot.TRAIN), lines(ax, plot.VALIDATION)
        for line, split, dashes in ((train, "train", "-"), (val, "val", "--")):
            expected = [scale * row[f"{split}_{kind}"] for row in run.rows]
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert list(line.get_xdata()) == list(range(1, 11))
            assert line.get_linestyle() == dashes
    assert loss.get_ylabel() == "loss (nats)"
    assert accuracy.get_ylabel() == "accuracy (%)"
    assert all(float(tick).is_integer() for tick in loss.get_xticks())


def test_the_best_epoch_is_marked():
    run = history(9)
    run.rows[3]["val_accuracy"] = 0.99
    loss, accuracy = plot.curves(run)
    for ax in (loss, accuracy):
        [mark] = [m for m in lines(ax, plot.HIGHLIGHT) if len(m.get_xdata()) == 1]
        assert float(mark.get_xdata()[0]) == 4
    assert accuracy.get_title(loc="right") == "best: epoch 4, 99.0 %"


def test_seeds_give_mean_and_band():
    runs = [history(6 + s, seed=s) for s in range(3)]  # compared while all run
    ax = plot.curves(runs, metric="accuracy")
    values = np.array([[100 * r["val_accuracy"] for r in run.rows[:6]] for run in runs])
    shown = [np.asarray(line.get_ydata()) for line in lines(ax, plot.VALIDATION)]
    assert len(shown) == 4
    assert any(np.allclose(y, values.mean(0)) for y in shown)
    edge = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert edge.min() == pytest.approx(values.min())
    assert edge.max() == pytest.approx(values.max())


@pytest.mark.parametrize(
    ("split", "words"), [("val", "validation"), ("train", "training")]
)
def test_networks_keep_their_colours_and_are_named_at_their_lines(split, words):
    runs = {
        n: history(5, seed=i, val=split == "val") for i, n in enumerate(NETWORKS[::2])
    }
    ax = plot.curves(runs, metric="loss", split=split)
    for name, run in runs.items():
        [line] = lines(ax, plot.MODEL_COLORS[name])
        assert list(line.get_ydata()) == [row[f"{split}_loss"] for row in run.rows]
        [label] = [text for text in ax.texts if text.get_text() == name]
        assert label.xy == pytest.approx((5, line.get_ydata()[-1]))
    assert ax.get_ylabel() == f"{words} loss (nats)"


def test_papers_values_are_dotted_and_grey():
    paper = {"val_accuracy": 0.91, "train_loss": {1: 2.28, 5: 0.9}}
    loss, accuracy = plot.curves(history(5), paper=paper, paper_label="notes")
    [points], [level] = lines(loss, plot.PAPER), lines(accuracy, plot.PAPER)
    assert list(points.get_ydata()) == [2.28, 0.9]
    assert list(level.get_ydata()) == [91, 91]
    assert {points.get_linestyle(), level.get_linestyle()} == {":"}
    assert "notes, training" in [text.get_text() for text in loss.texts]


def test_panels_share_their_scale():
    runs = {"small": history(5), "large": history(9, seed=1)}
    one, other = plot.curves(runs, metric="accuracy", panels=True)
    assert one.get_ylim() == other.get_ylim()
    assert one.get_title(loc="left") == "small"


def test_images_are_shown_as_they_are():
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    ax = pictures.image_grid(images)
    for shown, image in zip(ax.images, images, strict=True):
        expected = image.permute(1, 2, 0).numpy() / 255
        np.testing.assert_allclose(shown.get_array(), expected, atol=1e-6)
    grey = pictures.image_grid(torch.tensor([[[0.0, 1.0], [0.5, 0.25]]]))
    assert grey.images[0].norm.vmin == 0
    assert grey.images[0].norm.vmax == 1
    np.testing.assert_allclose(grey.images[0].get_array(), [[0, 1], [0.5, 0.25]])


@pytest.mark.parametrize("of", [list, np.array, torch.tensor])
def test_titles_are_a_list_or_the_labels_of_a_batch(of):
    ax = pictures.image_grid(torch.rand(3, 1, 4, 4), of([4, 0, 7]))
    assert [text.get_text() for text in ax.texts[-3:]] == ["4", "0", "7"]


def test_images_stay_in_their_cells():
    ax = pictures.image_grid(
        [torch.rand(3, 20, 40), torch.rand(1, 9, 3), torch.rand(5, 5)]
    )
    extents = [image.get_extent() for image in ax.images]
    for (_, right, _, _), (left, _, _, _) in pairwise(extents):
        assert right < left
    for image, (left, right, bottom, top) in zip(ax.images, extents, strict=True):
        height, width = image.get_array().shape[:2]
        assert (right - left) / (top - bottom) == pytest.approx(width / height)


def test_normalised_images_are_refused_or_rescaled():
    images = torch.tensor([-2.0, 0.0, 2.0, 4.0]).view(1, 1, 2, 2)
    with pytest.raises(CourseError, match=r"from -2\.00 to 4\.00.*vmin="):
        pictures.image_grid(images)
    shown = pictures.image_grid(images, vmin=-2, vmax=2).images[0].get_array()
    np.testing.assert_allclose(shown, [[0, 0.5], [1, 1]])


def test_filters_are_centred_at_zero():
    weight = torch.tensor([[[[-0.5, 0.2]]], [[[0.1, 0.0]]]])
    ax = pictures.filters(weight)
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (-0.5, 0.5)
    assert ax.images[0].get_cmap().name == "RdBu_r"
    colour = pictures.filters(torch.zeros(1, 3, 2, 2)).images[0].get_array()
    np.testing.assert_allclose(colour, 0.5)


def test_feature_maps_of_a_layer_share_one_scale():
    maps = {"c1": torch.randn(4, 6, 6), "c3": torch.randn(9, 3, 3)}
    ax = pictures.feature_maps(maps)
    assert len(ax.images) == 4 + 8
    for image, channel in zip(ax.images[:4], maps["c1"], strict=True):
        np.testing.assert_allclose(image.get_array(), channel)
        assert image.norm.vmin == maps["c1"].min()
        assert image.norm.vmax == maps["c1"].max()


def test_confusion_is_in_percent_of_a_row():
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    predicted = torch.tensor([0, 0, 0, 1, 1, 1])
    ax = pictures.confusion(torch.eye(3)[predicted], labels, ("cat", "dog", "bird"))
    np.testing.assert_allclose(
        ax.images[0].get_array(), [[75, 25, 0], [0, 100, 0], [0, 0, 0]]
    )
    cells = [text.get_text() for text in ax.texts]
    assert cells == ["75.0 %\n(3)", "25.0 %\n(1)", "100.0 %\n(2)"]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["cat (4)", "dog (2)", "bird (0)"]
    assert ax.get_title(loc="left") == "83.3 % of 6 right; cells in % of a row"


def test_bars_show_percent_means_and_whiskers():
    ax = plot.bars({"LeNet-5": [0.6, 0.7], "mine": 0.8}, highlight="mine")
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([65, 80])
    assert to_hex(ax.patches[1].get_facecolor()) == plot.HIGHLIGHT.lower()
    assert list(ax.lines[0].get_xdata()) == pytest.approx([60, 70])
    assert [text.get_text() for text in ax.texts] == ["65.0", "80.0"]
    counts = plot.bars({"LeNet-5": 61_706}, xlabel="parameters")
    assert counts.texts[0].get_text() == "61,706"


def test_band_covers_the_seeds():
    values = [[0.5, 0.6], [0.7, 0.8]]
    ax = plot.band([100, 2000], values, paper=0.2)
    assert list(lines(ax, plot.PAPER)[0].get_ydata()) == [20, 20]
    assert list(ax.lines[-2].get_ydata()) == pytest.approx([60, 70])
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["100", "2,000"]


@pytest.mark.parametrize("sizes", [(8, 3, 2, 1), (12, 5, 4, 3), (6, 3, 1, 0)])
def test_windows_are_those_of_a_convolution(sizes):
    n, kernel, stride, padding = sizes
    image, window = torch.ones(1, 1, n, n), torch.ones(1, 1, kernel, kernel)
    output = conv2d(image, window, stride=stride, padding=padding)
    side = output.shape[-1]
    ax = kernels.windows(*sizes)
    assert f"output {side} × {side}" in [text.get_text() for text in ax.texts]
    dots = ax.collections[-2].get_offsets()
    assert len(dots) == side**2
    last = dots.max(axis=0)
    assert list(last) == [(side - 1) * stride + kernel / 2] * 2


def test_a_window_that_does_not_fit_is_refused():
    title = kernels.windows(8, 3, 2, 1).figure.get_suptitle()
    assert "1 column is never visited" in title
    with pytest.raises(CourseError, match=r"window of 7 does not fit onto 4 \+ 2 · 1"):
        kernels.windows(4, 7, 1, 1)


@pytest.mark.parametrize("sizes", [(3, 3, 1, 7), (5, 3, 1, 11), (3, 3, 2, 15)])
def test_receptive_fields_grow_by_the_formula(sizes):
    ax = kernels.receptive_field(*sizes[:3])
    assert f"sees {sizes[3]} × {sizes[3]} pixels" in ax.figure.get_suptitle()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.curves(SimpleNamespace(rows=[])), "no epoch"),
        (lambda: plot.curves({}, split="validation"), "one of 'train', 'val'"),
        (lambda: plot.curves({}, metric="acc"), "one of 'loss', 'accuracy', 'both'"),
        (lambda: pictures.image_grid(torch.rand(0, 3, 8, 8)), "no image"),
        (lambda: pictures.filters(nn.Conv2d(6, 16, 5)), r"weight\[:, :1\]"),
        (lambda: pictures.feature_maps({"fc": torch.randn(10)}), "fc: .*no maps"),
        (lambda: pictures.confusion(*logits_of(3, 9), "ab"), "2 class names"),
    ],
)
def test_what_cannot_be_shown_is_refused(draw, message):
    with pytest.raises(CourseError, match=message):
        draw()


def test_heat_lies_over_the_images_it_belongs_to():
    images, heat = torch.rand(2, 3, 8, 8), torch.zeros(2, 8, 8)
    heat[1, 2, 3] = 1.0
    cold, hot = (
        shown.get_array() for shown in pictures.image_grid(images, heat=heat).images
    )
    grey = images.mean(1).numpy()[..., None]
    assert np.abs(cold - grey[0]).max() < 1e-5  # without heat the picture stays
    assert np.abs(hot - grey[1]).sum(-1).argmax() == 2 * 8 + 3


def test_a_leaderboard_shows_every_run_beside_the_numbers_of_others():
    def row(name, start, *accuracies, **options):
        made = {"model": {"name": name, "options": options}, "start": start}
        return Row(tuple(made | {"test_accuracy": a} for a in accuracies))

    frozen = {"weights": "imagenet", "frozen": True}
    rows = [row("squeezenet1_1", frozen, 0.95, 0.97), row("resnet20", None, 0.8)]
    ax = plot.spread(scores(rows), reference={"VGG-16, published": 0.975})
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["SqueezeNet 1.1: ImageNet, frozen", "ResNet-20: from scratch"]
    means = [line.get_xdata() for line in ax.lines if line.get_marker() == "D"]
    assert np.concatenate(means) == pytest.approx([96, 80])
    assert ax.get_xlim()[0] > 70  # what differs fills the width
    wide = row("resnet20", None, 0.85, width=2)
    assert list(scores(rows[1:])) == ["ResNet-20"]
    assert list(scores([rows[1], wide]))[1] == "ResNet-20 (width 2): random"
