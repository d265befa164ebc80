"""Sliders above a figure: one output with widget and picture, nothing else moved."""

from __future__ import annotations

import base64
import io

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from teaching.sliders import WIDGET, explore
from utils.course import CourseError


def bars(height=3, colour="blue", grid=False):
    """A bar as high as the slider says; too high a one is refused."""
    if height > 8:
        raise CourseError("A bar of 9 does not fit.")
    if height == 8:
        raise ZeroDivisionError("a < b")
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.bar([0], [height], color=colour)
    ax.set(ylim=(0, 10))
    ax.grid(grid)
    return fig


def shown(explorer):
    """The picture in the widget."""
    return explorer.view.children[-2].value


def complaint(explorer):
    return explorer.view.children[-1].value


def test_one_output_holds_the_widget_and_the_picture():
    explorer = explore(bars, height=(0, 9), colour=["blue", "red"], grid=False)
    bundle = explorer._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png", WIDGET}
    assert bundle[WIDGET]["model_id"] == explorer.view.model_id
    png = base64.b64decode(bundle["image/png"])
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.width > image.height
    assert png == shown(explorer)
    assert bundle["text/plain"] == "explore(bars)"  # no address that changes


def test_each_argument_gets_its_control_at_its_default():
    controls = explore(bars, height=(0, 9), colour=["blue", "red"], grid=False).inputs
    kinds = {name: type(control).__name__ for name, control in controls.items()}
    expected = {"height": "IntSlider", "colour": "Dropdown", "grid": "Checkbox"}
    assert kinds == expected
    assert [c.value for c in controls.values()] == [3, "blue", False]
    assert not controls["height"].continuous_update


def test_moving_a_control_changes_the_picture():
    explorer = explore(bars, height=(0, 9))
    first = shown(explorer)
    explorer.inputs["height"].value = 6
    assert shown(explorer) != first
    explorer.inputs["height"].value = 3
    assert shown(explorer) == first
    assert not complaint(explorer)


@pytest.mark.parametrize(
    ("height", "reason"),
    [(9, "A bar of 9 does not fit."), (8, "ZeroDivisionError: a &lt; b")],
)
def test_what_cannot_be_drawn_is_said_and_the_next_one_drawn(height, reason):
    explorer = explore(bars, height=(0, 9))
    first = shown(explorer)
    explorer.inputs["height"].value = height
    assert reason in complaint(explorer)
    assert shown(explorer) == first
    explorer.inputs["height"].value = 2
    assert not complaint(explorer)
    assert shown(explorer) != first


def test_random_numbers_go_on_as_without_it():
    def noise(level=1.0):
        fig, ax = plt.subplots()
        ax.plot(level * torch.rand(20))
        return fig

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    explorer = explore(noise, level=(0.0, 2.0))
    first = shown(explorer)
    explorer.inputs["level"].value = 2.0
    explorer.inputs["level"].value = 1.0
    assert torch.equal(torch.rand(2), expected)
    assert shown(explorer) == first  # its own numbers are the same each time
