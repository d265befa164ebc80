"""Sliders above a figure, where moving them teaches; elsewhere the figure alone.

def parabola(factor=1.0):
    fig, ax = plt.subplots()
    ...
    return fig

sliders.explore(parabola, factor=(-2.0, 2.0))
"""

from __future__ import annotations

import base64
import html
import inspect
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.course import CourseError

WIDGET = "application/vnd.jupyter.widget-view+json"
Control = tuple | Sequence | bool  # a range, choices, a box to tick


def explore(draw: Callable[..., Figure | Axes], /, **controls: Control) -> Explorer:
    """Let a reader change the arguments of a drawing; end the cell with this call.

    Args:
        draw: returns a figure, or axes; every argument has a default.
        **controls: for each argument that can be changed, what it can be: (lowest,
            highest) or (lowest, highest, step) makes a slider, a list a menu, and
            True or False a box to tick.

    Raises:
        CourseError: a control is no argument of `draw`, an argument has no default, or
            what is drawn is no figure.
    """
    parameters = inspect.signature(draw).parameters
    unknown = [name for name in controls if name not in parameters]
    fixed = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty]
    name = getattr(draw, "__name__", "draw")
    if unknown or fixed:
        problem = (
            f"has no argument {unknown[0]!r}: it has {', '.join(parameters) or 'none'}"
            if unknown
            else f"needs a default for {fixed[0]!r}: the first picture shows it"
        )
        raise CourseError(f"{name} {problem}.")
    first = {control: parameters[control].default for control in controls}
    return Explorer(draw, controls, first)


class Explorer:
    """A drawing with its controls; a cell that ends in it shows both.

    The output holds the widget and the picture at the defaults. A front end that runs
    widgets shows the first, every other one the second.

    Attributes:
        png: the picture at the defaults.
        inputs: the control of each argument; empty without ipywidgets.
    """

    def __init__(
        self, draw: Callable, controls: dict[str, Control], first: dict[str, Any]
    ) -> None:
        self.draw = draw
        self.png = picture(draw, first)
        self.inputs: dict[str, Any] = {}
        self.view: Any = None
        try:
            import ipywidgets
        except ImportError:
            return
        self._build(ipywidgets, controls, first)

    def _build(self, widgets: Any, controls: dict, first: dict[str, Any]) -> None:
        """Put the controls over the picture, and a line for errors under it."""
        for name, control in controls.items():
            box = widgets.interactive.widget_from_abbrev(control, first[name])
            if box is None:
                raise CourseError(
                    f"{name}={control!r} is no control: give (lowest, highest), a list"
                    " of choices, or True or False."
                )
            box.description = name.replace("_", " ")
            box.style.description_width = "7em"
            if hasattr(box, "continuous_update"):  # a drawing for each place, not pixel
                box.continuous_update = False
            box.observe(self._redraw, names="value")
            self.inputs[name] = box
        start = {"align_self": "flex-start", "max_width": "100%"}  # do not stretch it
        self._image = widgets.Image(value=self.png, format="png", layout=start)
        self._error = widgets.HTML()
        rows = [*self.inputs.values(), self._image, self._error]
        self.view = widgets.VBox(rows)

    def _redraw(self, _: Any) -> None:
        """Show what the controls say now; or why it cannot be drawn."""
        values = {name: box.value for name, box in self.inputs.items()}
        try:
            self._image.value = picture(self.draw, values)
            self._error.value = ""
        except Exception as error:  # of any drawing: a callback's traceback is lost
            known = isinstance(error, CourseError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            self._error.value = (
                f"<b>These values cannot be drawn.</b> {html.escape(reason)} The"
                " picture is the last one that could."
            )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What Jupyter stores as the cell's one output."""
        data = {
            "text/plain": repr(self),
            "image/png": base64.b64encode(self.png).decode(),
        }
        if self.view is not None:
            model = {"version_major": 2, "version_minor": 0}
            data[WIDGET] = model | {"model_id": self.view.model_id}
        return data

    def __repr__(self) -> str:
        return f"explore({getattr(self.draw, '__name__', 'draw')})"


def picture(draw: Callable[..., Figure | Axes], values: dict[str, Any]) -> bytes:
    """What `draw` draws for these values, as PNG; it leaves no figure open.

    Raises:
        CourseError: it returned no figure.
    """
    before = set(plt.get_fignums())
    try:
        with own_random_numbers():
            drawn = draw(**values)
        figure = getattr(drawn, "figure", None)
        if not isinstance(figure, Figure):
            name = getattr(draw, "__name__", "draw")
            raise CourseError(
                f"{name} returned {type(drawn).__name__}, not a figure: end it with"
                " `return fig`."
            )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()
    finally:  # a figure left open would show once more, below the cell
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Let a drawing draw numbers, always the same; the notebook's go on untouched."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.default_generator.manual_seed(0)
        yield
