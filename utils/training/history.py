"""What a training run leaves behind: one row an epoch, and how to show it."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from utils.course import CourseError
from utils.training.tally import Metrics

MONITORS = ("val_accuracy", "val_loss")


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


@dataclass(repr=False)
class History:
    """The epochs of one run of `fit`.

    Attributes:
        name: what the run is called in tables and figures.
        rows: one dict an epoch: `epoch` (from 1), `train_loss` and `val_loss` (nats),
            `train_accuracy` and `val_accuracy` (fractions), `lr` (the one the epoch
            began with), `seconds` (training and validation) and `images_per_second`
            (training alone). Without a validation set its two columns hold None.
        monitor: the column that says which epoch is best.
        stopped: why the run ended before its last epoch: "early", "interrupted" or "".
        kept: the epoch whose weights the model was left with; None: as training ended.
    """

    name: str = "model"
    rows: list[dict[str, Any]] = field(default_factory=list)
    monitor: str = "val_accuracy"
    stopped: str = ""
    kept: int | None = None

    def add(self, train: Metrics, val: Metrics | None, **row: float) -> None:
        """Append an epoch; `row` brings its lr, seconds and images_per_second."""
        measured = {
            "epoch": len(self.rows) + 1,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "val_loss": None if val is None else val.loss,
            "val_accuracy": None if val is None else val.accuracy,
        }
        self.rows.append({**measured, **row})

    def __getitem__(self, column: str) -> list[Any]:
        if column not in COLUMNS:
            raise CourseError(
                f"No column {column!r}: choose from {', '.join(COLUMNS)}."
            )
        return [row[column] for row in self.rows]

    @property
    def validated(self) -> bool:
        """Whether the rows hold a validation loss."""
        return bool(self.rows) and self.rows[0]["val_loss"] is not None

    @property
    def watched(self) -> str:
        """The column that decides: `monitor`, or the train loss without validation."""
        return self.monitor if self.validated else "train_loss"

    @property
    def best(self) -> dict[str, Any]:
        """The row with the best watched value, the first of several."""
        if not self.rows:
            raise CourseError("No epoch is complete yet, so there is no best one.")
        choose = max if self.watched.endswith("accuracy") else min
        return choose(self.rows, key=lambda row: row[self.watched])

    @property
    def waited(self) -> int:
        """How many epochs have passed since the best one."""
        return len(self.rows) - self.best["epoch"] if self.rows else 0

    def to_dict(self) -> dict[str, Any]:
        """The history as plain numbers and strings, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> History:
        """The inverse of `to_dict`."""
        return cls(**{**data, "rows": [dict(row) for row in data["rows"]]})

    def remark(self) -> str:
        """How the run ended, in one line; empty where there is nothing to say."""
        text = ""
        if self.stopped == "early":
            text = f"Stopped early: no better {self.monitor} since the best epoch. "
        elif self.stopped == "interrupted":
            done = len(self.rows)
            text = f"Interrupted in epoch {done + 1}; whole epochs: {done}. "
        if self.kept is not None:
            text += f"The weights are those of epoch {self.kept}."
        return text.strip()

    def __repr__(self) -> str:
        table = _table(self)
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in table
        ]
        return "\n".join(filter(None, [self.name, *lines, self.remark()]))

    def _repr_html_(self) -> str:
        head, *body = _table(self)
        rows = ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
        return (
            f"<p><strong>{html.escape(self.name)}</strong></p><table>"
            f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>"
            f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
            + (f"<p>{html.escape(self.remark())}</p>" if self.remark() else "")
        )


def _table(history: History) -> list[list[str]]:
    """Headings, then at most 12 epochs as text: first, best, last and some between."""
    last = len(history.rows) - 1
    shown = {round(i * last / 10) for i in range(11)} if last >= 12 else range(last + 1)
    best = history.best["epoch"] if history.validated else None
    columns = [c for c in COLUMNS if history.validated or not c.startswith("val_")]
    body = [
        [COLUMNS[c][1](row[c]) for c in columns]
        for i, row in enumerate(history.rows)
        if i in shown or i + 1 == best
    ]
    for cells in body:
        if cells[0] == str(best) and last > 0:
            cells[0] = f"best {best}"
    return [[COLUMNS[c][0] for c in columns], *body]
