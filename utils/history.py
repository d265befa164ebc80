"""What a training run leaves behind: one row an epoch, and how it is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from utils.course import CourseError


def percent(fraction: float) -> str:
    """A fraction as tables show it."""
    return f"{100 * fraction:.2f} %"


# column of a row -> its heading, and how its numbers are written
COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "epoch": ("epoch", str),
    "train_loss": ("train loss", "{:.4f}".format),
    "train_accuracy": ("train accuracy", percent),
    "val_loss": ("val loss", "{:.4f}".format),
    "val_accuracy": ("val accuracy", percent),
    "lr": ("lr", "{:.3g}".format),
    "seconds": ("seconds", "{:.1f}".format),
    "images_per_second": ("images/s", "{:,.0f}".format),
}


@dataclass(frozen=True)
class Metrics:
    """Means over the examples of one pass: loss in nats, accuracy in [0, 1]."""

    loss: float
    accuracy: float
    examples: int


@dataclass(repr=False)
class History:
    """The epochs of one run of `fit`.

    Attributes:
        name: what the run is called in tables and figures.
        rows: one dict an epoch: `epoch` (from 1), `train_loss` and `val_loss` (nats),
            `train_accuracy` and `val_accuracy` (fractions), `lr` (the one the epoch
            began with), `seconds` (training and validation) and `images_per_second`
            (training alone). Without a validation set its two columns hold None.
        stopped: why the run ended before its last epoch: "early", "interrupted" or "".
        kept: the epoch whose weights the model was left with; None: as training ended.
    """

    name: str = "model"
    rows: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""
    kept: int | None = None

    def add(self, train: Metrics, val: Metrics | None, **row: float) -> None:
        """Append an epoch; `row` brings its lr, seconds and images_per_second."""
        measured = {
            "epoch": len(self.rows) + 1,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "val_loss": val and val.loss,
            "val_accuracy": val and val.accuracy,
        }
        self.rows.append(measured | row)

    def __getitem__(self, column: str) -> list[Any]:
        return [row[column] for row in self.rows]

    @property
    def validated(self) -> bool:
        """Whether the rows hold a validation loss."""
        return bool(self.rows) and self.rows[0]["val_loss"] is not None

    @property
    def best(self) -> dict[str, Any]:
        """The first row of the highest validation accuracy, or lowest train loss."""
        if not self.rows:
            raise CourseError("No epoch is complete yet, so there is no best one.")
        if self.validated:
            return max(self.rows, key=lambda row: row["val_accuracy"])
        return min(self.rows, key=lambda row: row["train_loss"])

    @property
    def waited(self) -> int:
        """How many epochs have passed since the best one."""
        return len(self.rows) - self.best["epoch"] if self.rows else 0

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, from which `History(**...)` is made again."""
        return asdict(self)

    def remark(self) -> str:
        """How the run ended, in one line; empty where there is nothing to say."""
        done = len(self.rows)
        text = {
            "early": "Stopped early: no better val_accuracy since the best epoch. ",
            "interrupted": f"Interrupted in epoch {done + 1}; whole epochs: {done}. ",
        }.get(self.stopped, "")
        if self.kept is not None:
            text += f"The weights are those of epoch {self.kept}."
        return text.strip()

    def table(self) -> list[list[str]]:
        """Headings, then at most 12 epochs as text: first, best, last, some between."""
        n = len(self.rows)
        some = 10 if n > 12 else max(1, n)
        shown = {1 + round(i * (n - 1) / some) for i in range(some + 1)}
        best = self.best["epoch"] if self.validated else None
        columns = [c for c in COLUMNS if self.validated or not c.startswith("val_")]
        table = [[COLUMNS[c][0] for c in columns]]
        for row in self.rows:
            if row["epoch"] in {*shown, best}:
                table.append([COLUMNS[c][1](row[c]) for c in columns])
                if row["epoch"] == best and n > 1:
                    table[-1][0] = f"best {best}"
        return table

    def __repr__(self) -> str:
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in table]
        return "\n".join(filter(None, [self.name, *lines, self.remark()]))


class Progress:
    """Shows a history while it grows: one table in a notebook, else a line an epoch."""

    def __init__(self, history: History, epochs: int, *, show: bool) -> None:
        self.history, self.epochs, self.show, self.handle = history, epochs, show, None
        ipython = sys.modules.get("IPython")  # else no notebook can be there
        if show and ipython and hasattr(ipython.get_ipython(), "kernel"):
            self.handle = ipython.display.display(history, display_id=True)
        elif history.rows:
            self.say(f"Resumed after epoch {len(history.rows)}.")

    def say(self, text: str, *, always: bool = False) -> None:
        """Show the history as it is now, or outside a notebook this line."""
        if self.handle is not None:
            self.handle.update(self.history)
        elif text and (self.show or always):
            print(text, flush=True)

    def line(self) -> str:
        """The last epoch in one line."""
        row, last = self.history.rows[-1], self.epochs
        text = f"{self.history.name}  epoch {row['epoch']:>{len(str(last))}}/{last}"
        for part in ("train", "val") if self.history.validated else ("train",):
            accuracy = percent(row[f"{part}_accuracy"])
            text += f"  {part} loss {row[f'{part}_loss']:.4f}, {accuracy:>8}"
        speed = f"{row['seconds']:.1f} s  {row['images_per_second']:,.0f} images/s"
        return f"{text}  lr {row['lr']:.3g}  {speed}"
