"""What networks cost: tables of them side by side, and bars of one, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import prod
from statistics import mean, stdev
from typing import NamedTuple

import matplotlib.pyplot as plt
from torch import nn

from utils import look, plot


class Table(NamedTuple):
    """Lines of short texts below the names of their columns, to the right or left."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: bool = False

    def __repr__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        just = str.ljust if self.left else str.rjust
        return "\n".join("  ".join(map(just, row, widths)) for row in lines)

    def _repr_html_(self) -> str:
        style = ' style="text-align: left"' * self.left

        def line(tag: str, row: tuple[str, ...]) -> str:
            cells = "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for cell in row)
            return f"<tr>{cells}</tr>"

        body = "".join(line("td", row) for row in self.rows)
        head = line("th", self.columns)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def spread(values: Sequence[float], unit: str = "") -> str:
    """Mean and standard deviation of numbers over seeds, one decimal."""
    around = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{around}{unit}"


def networks(
    models: Mapping[str, nn.Module],
    shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
    **measured: Mapping[str, Sequence[float]],
) -> Table:
    """Layers with weights, parameters and multiply-adds of networks, and what they did.

    Args:
        models: {what the table calls it: the network}.
        shape: of one example, (C, H, W), for all or by name.
        **measured: more columns, {network: numbers over seeds}: accuracies as
            fractions, shown in percent; the name's underscores become blanks.
    """
    columns = ("network", "layers", "parameters", "multiply-adds")
    columns += tuple(name.replace("_", " ") for name in measured)
    rows = []
    for name, model in models.items():
        kinds = nn.Conv2d, nn.Linear
        layers = sum(isinstance(module, kinds) for module in model.modules())
        its = shape[name] if isinstance(shape, Mapping) else shape
        sizes = (f"{number:,}" for number in look.totals(model, its))
        seeds = ([100 * x for x in column[name]] for column in measured.values())
        rows.append((name, str(layers), *sizes, *(spread(s, " %") for s in seeds)))
    return Table(columns, tuple(rows))


def by_layer(model: nn.Module, shape: tuple[int, ...], *, title: str = "") -> None:
    """Draw what each layer with weights costs: activations, parameters, multiply-adds.

    Blue bars are convolutions, green ones linear layers.
    """
    calls = look.trace(model, shape)[0]
    layers = [c for c in calls if isinstance(c.module, (nn.Conv2d, nn.Linear))]
    panels = {
        "activations (MB per image)": [4 * prod(c.output) / 1e6 for c in layers],
        "parameters (millions)": [c.parameters / 1e6 for c in layers],
        "multiply-adds (millions)": [c.multiply_adds / 1e6 for c in layers],
    }
    linear = [isinstance(call.module, nn.Linear) for call in layers]
    colors = [plot.HIGHLIGHT if yes else plot.TRAIN for yes in linear]
    names = []
    for _, channels, *side in (call.output for call in layers):
        names.append(f"conv {channels}, {side[0]}²" if side else f"linear {channels}")
    height = 0.9 + 0.2 * len(layers)
    figure, axes = plt.subplots(1, 3, figsize=(7, height), sharey=True)
    for ax, (label, values) in zip(axes, panels.items(), strict=True):
        ax.barh(range(len(layers)), values, color=colors)
        ax.set_xlabel(label, fontsize=10)
        ax.grid(False)
    axes[0].set_yticks(range(len(layers)), names, fontsize=10)
    axes[0].set_ylim(len(layers) - 0.4, -0.6)
    plot.headline(figure, title)
