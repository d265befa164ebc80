"""Diagrams: valid SVG with words for it, sizes that mean something, right sums."""

from __future__ import annotations

import inspect
import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
import torch

from teaching import architectures, blocks, diagrams
from teaching.diagrams import Stage
from teaching.svg import FONT, PAGE, text_width
from utils.course import CourseError
from utils.models import LeNet5, TwoLayerCNN

SVG = "{http://www.w3.org/2000/svg}"
LONG = [
    Stage("pool", "max pool 3×3, stride 2", 64, 56),
    Stage("linear", "linear", 1000),
]
ARCHITECTURES = [
    draw
    for module in (architectures, blocks)
    for name, draw in vars(module).items()
    if inspect.isfunction(draw)
    and draw.__module__ == module.__name__
    and draw.__annotations__["return"] == "Diagram"
]
ALL_KINDS = [Stage(kind, kind, 16, 8) for kind in diagrams.COLORS]


def parse(picture):
    return ET.fromstring(picture._repr_svg_())


def boxes(root):
    """(left, right, top, bottom) of each text outside groups, by the generous width."""
    found = {}
    for text in root.findall(f"{SVG}text"):
        width = text_width(text.text)
        x, y = float(text.get("x")), float(text.get("y"))
        left = x if text.get("text-anchor") == "start" else x - width / 2
        found[text] = (left, left + width, y - FONT / 2, y + FONT / 2)
    return found


@pytest.mark.parametrize(
    "picture",
    [
        diagrams.network(LONG * 5, title="Long labels, and vectors"),
        diagrams.network(ALL_KINDS, title="All glyphs", shortcuts=[(1, 4)]),
        diagrams.network([Stage("conv", "conv 3×3", 512, 224)] * 23),
        diagrams.from_model(LeNet5(), (1, 28, 28), title="LeNet-5"),
        diagrams.from_model(TwoLayerCNN(), (3, 32, 32)),
        *(draw() for draw in ARCHITECTURES),
        architectures.inception(naive=True),
    ],
)
def test_words_do_not_overlap_and_fit_the_page(picture):
    root = parse(picture)
    assert float(root.get("width")) <= PAGE
    places = list(boxes(root).values())
    assert places
    for left, right, top, bottom in places:
        assert 0 <= left <= right <= PAGE
        assert 0 <= top <= bottom <= picture.height
    for one, other in combinations(places, 2):
        apart = one[1] <= other[0] or other[1] <= one[0]
        assert apart or one[3] <= other[2] or other[3] <= one[2]


def test_an_architecture_is_told_in_words():
    for picture in (draw() for draw in ARCHITECTURES):
        assert 100 < len(picture.alt) < 330
        assert picture.width == PAGE


def test_the_three_networks_have_their_layers():
    root = parse(architectures.resnet34_beside_plain34_and_vgg19())
    layers = [r for r in root.findall(f"{SVG}rect") if r.get("rx")]
    assert len(layers) == 19 + 34 + 34


def test_a_picture_comes_with_words():
    alt = 'Input < "conv" & sum'
    picture = diagrams.network([Stage("conv", "conv", 8, 8)], alt=alt)
    root = parse(picture)
    assert root.get("role") == "img"
    assert root.get("aria-label") == alt
    assert root.find(f"{SVG}title").text == alt
    data, metadata = picture._repr_mimebundle_(include=None, exclude=None)
    assert data["text/plain"] == alt == repr(picture)
    assert metadata["image/svg+xml"]["alt"] == alt


def test_width_grows_with_channels_and_height_with_resolution():
    stages = [Stage("conv", "c", 8, 32), Stage("conv", "c", 64, 16)]
    first, second = parse(diagrams.network(stages)).findall(f"{SVG}rect")[1:]
    assert float(first.get("width")) < float(second.get("width"))
    assert float(first.get("height")) > float(second.get("height"))


def test_a_grid_shows_its_numbers_and_its_padding():
    picture = diagrams.grid(torch.tensor([[1.0, -0.5], [0.25, 3.0]]), padding=1)
    root = parse(picture)
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert [t for t in texts if t != "0"] == ["1", "−0.5", "0.25", "3"]
    assert texts.count("0") == 16 - 4
    assert picture.alt == "Grid: 1 −0.5; 0.25 3."


def test_a_windows_frame_lies_on_its_cells():
    root = parse(diagrams.grid(torch.zeros(4, 4), window=(1, 2, 2, 2)))
    cells, frame = root.findall(f"{SVG}rect")[1:-1], root.findall(f"{SVG}rect")[-1]
    corner = cells[1 * 4 + 2]
    assert frame.get("x") == corner.get("x")
    assert frame.get("y") == corner.get("y")
    assert float(frame.get("width")) == 2 * float(corner.get("width"))


def test_convolution_is_torchs():
    image = torch.arange(16.0).view(4, 4)
    kernel = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    picture = diagrams.convolution(image, kernel, at=(1, 2))
    # By hand: 6 · 1 + 11 · (-1), the corners of the window at row 1, column 2.
    assert "at row 1, column 2 gives −5," in picture.alt
    strided = diagrams.convolution(
        image, torch.ones(3, 3), at=(1, 1), stride=2, padding=1
    )
    total = image[1:4, 1:4].sum()
    assert f"row 2, column 2 gives {total:.0f}," in strided.alt
    with pytest.raises(CourseError, match="3×3: there is no number"):
        diagrams.convolution(image, kernel, at=(3, 0))


def test_pictures_beside_one_another_do_not_overlap():
    left, right = diagrams.grid([[1, 2], [3, 4]]), diagrams.grid([[4]], label="maximum")
    whole = diagrams.beside(left, "max →", right, alt="pooling")
    groups = parse(whole).findall(f"{SVG}g")
    starts = [float(g.get("transform")[10:].split()[0]) for g in groups]
    assert starts[0] + left.width + text_width("max →") <= starts[1]
    assert starts[1] + right.width <= whole.width
    assert whole.alt == "pooling"


def test_a_wide_picture_is_scaled_to_the_page():
    picture = diagrams.grid(torch.zeros(2, 60))
    root = parse(picture)
    assert picture.width > PAGE
    assert float(root.get("width")) == PAGE
