"""What a training run leaves behind: one row an epoch, and how it is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from utils.course import CourseError

# column of a row -> its heading, and how its numbers are written
COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "epoch": ("epoch", str),
    "train_loss": ("train loss", "{:.4f}".format),
    "train_accuracy": ("train accuracy", lambda fraction: f"{100 * fraction:.2f} %"),
    "val_loss": ("val loss", "{:.4f}".format),
    "val_accuracy": ("val accuracy", lambda fraction: f"{100 * fraction:.2f} %"),
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

    A row holds `epoch` (from 1), `train_loss`, `val_loss` (nats), `train_accuracy`,
    `val_accuracy` (fractions), `lr` (at its start), `seconds`, `processor_seconds` and,
    in training, `images_per_second`. Without validation its two columns hold None.
    """

    name: str = "model"  # in tables and figures
    rows: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""  # before its last epoch: "early" or "interrupted"
    kept: int | None = None  # the epoch whose weights the model has; None: the last

    def add(self, train: Metrics, val: Metrics | None, **more: float) -> None:
        """Append an epoch; `more` is its lr, its seconds, and its speed."""
        row = {"epoch": len(self.rows) + 1}
        row |= {"train_loss": train.loss, "train_accuracy": train.accuracy}
        row |= {"val_loss": val and val.loss, "val_accuracy": val and val.accuracy}
        self.rows.append(row | more)

    def __getitem__(self, column: str) -> list[Any]:
        return [row[column] for row in self.rows]

    @property
    def best(self) -> dict[str, Any]:
        """The first row of the highest validation accuracy, or lowest train loss."""
        if not self.rows:
            raise CourseError("No epoch is complete yet, so there is no best one.")
        if self.rows[0]["val_loss"] is not None:
            return max(self.rows, key=lambda row: row["val_accuracy"])
        return min(self.rows, key=lambda row: row["train_loss"])

    def remark(self) -> str:
        """How the run ended, in one line; empty where there is nothing to say."""
        why = {
            "early": "Stopped early: no better val_accuracy since the best epoch.",
            "interrupted": f"Interrupted in epoch {len(self.rows) + 1}.",
        }.get(self.stopped, "")
        kept = f"The weights are those of epoch {self.kept}." if self.kept else ""
        return f"{why} {kept}".strip()

    def texts(self, row: dict[str, Any]) -> dict[str, str]:
        """The row's numbers as they are shown, by their headings."""
        return {h: f(row[c]) for c, (h, f) in COLUMNS.items() if row[c] is not None}

    def __repr__(self) -> str:
        """A table of at most 12 epochs: first, best and last, and some between."""
        n, best = len(self.rows), self.best["epoch"] if self.rows else 0
        some = 10 if n > 12 else max(1, n)
        shown = {best, *(1 + round(i * (n - 1) / some) for i in range(some + 1))}
        rows = [self.texts(row) for row in self.rows if row["epoch"] in shown]
        table = [list(row) for row in rows[:1]] + [list(row.values()) for row in rows]
        for row in table:
            if n > 1 and row[0] == str(best):
                row[0] = f"best {best}"
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

    def say(self, text: str) -> None:
        """Show the history as it is now, or outside a notebook this line."""
        if self.handle is not None:
            self.handle.update(self.history)
        elif self.show:
            print(text, flush=True)

    def line(self) -> str:
        """The last epoch in one line."""
        row = self.history.texts(self.history.rows[-1])
        row["epoch"] += f"/{self.epochs}"
        return "  ".join([self.history.name, *map(" ".join, row.items())])
