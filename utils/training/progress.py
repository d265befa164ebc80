"""How a run is watched: one line an epoch, or one display in a notebook."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from utils.course import CourseError
from utils.training.distributed import is_first
from utils.training.history import History, percent

WIDTH, HEIGHT = 320, 96  # of the live loss curve, in pixels
ROLES = {"train_loss": ("#0072B2", ""), "val_loss": ("#D55E00", "6 3")}


class Progress:
    """Shows a history while it grows, and logs it to TensorBoard if asked.

    In a notebook it is one display, updated in place: a table and the loss curve while
    the run lasts, then the table alone. Elsewhere it is one line an epoch.
    """

    def __init__(
        self, history: History, epochs: int, *, show: bool, log_dir: Any = None
    ) -> None:
        self.history, self.epochs, self.show = history, epochs, show
        logs = log_dir is not None and is_first()
        self.writer = tensorboard(log_dir, history) if logs else None
        self.handle = None
        if show and in_notebook():
            from IPython.display import display

            self.handle = display(self.bundle(live=True), raw=True, display_id=True)
        elif show and history.rows:
            print(f"Resumed after epoch {len(history.rows)}.", flush=True)

    def update(self) -> None:
        """Show the epoch that the history has just gained."""
        row = self.history.rows[-1]
        if self.handle is not None:
            self.handle.update(self.bundle(live=True), raw=True)
        elif self.show:
            print(line(row, self.history.name, self.epochs), flush=True)
        if self.writer is not None:
            for column in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
                if row[column] is not None:
                    part, metric = column.split("_")
                    self.writer.add_scalar(
                        f"{metric}/{part}", row[column], row["epoch"]
                    )
            self.writer.add_scalar("lr", row["lr"], row["epoch"])

    def close(self) -> None:
        """Leave the final table in a notebook, and say elsewhere how the run ended."""
        if self.writer is not None:
            self.writer.close()
        if self.handle is not None:
            self.handle.update(self.bundle(live=False), raw=True)
        elif self.history.stopped == "interrupted" or (
            self.show and self.history.stopped
        ):
            print(self.history.remark(), flush=True)

    def bundle(self, *, live: bool) -> dict[str, str]:
        """The display in the two forms a saved notebook keeps: HTML and plain text."""
        page = self.history._repr_html_()
        if live:
            done = f"{len(self.history.rows)} of {self.epochs} epochs"
            page += f"<p>{done} · loss: training solid, validation dashed</p>"
            page += curve(self.history)
        return {"text/html": page, "text/plain": str(self.history)}


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel, not in a terminal or a script."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def line(row: dict[str, Any], name: str, epochs: int) -> str:
    """One epoch in one line."""
    text = f"{name}  epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    for part in ("train", "val"):
        if row[f"{part}_loss"] is not None:
            accuracy = percent(row[f"{part}_accuracy"])
            text += f"  {part} loss {row[f'{part}_loss']:.4f}, {accuracy:>8}"
    speed = f"{row['seconds']:.1f} s  {row['images_per_second']:,.0f} images/s"
    return f"{text}  lr {row['lr']:.3g}  {speed}"


def curve(history: History) -> str:
    """Train loss (blue) and validation loss (dashed) as a small inline SVG."""
    columns = [c for c in ROLES if history.validated or c == "train_loss"]
    top = max((row[c] for row in history.rows for c in columns), default=1.0)
    right = max(2, len(history.rows)) - 1
    lines = ""
    for column in columns:
        colour, dashes = ROLES[column]
        points = " ".join(
            f"{4 + i / right * (WIDTH - 8):.1f},"
            f"{HEIGHT - 4 - value / (top or 1) * (HEIGHT - 8):.1f}"
            for i, value in enumerate(history[column])
        )
        lines += (
            f'<polyline points="{points}" fill="none" stroke="{colour}"'
            f' stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="loss by epoch">'
        f"{lines}</svg>"
    )


def tensorboard(log_dir: str | Path, history: History) -> Any:
    """A writer of TensorBoard's event files.

    Raises:
        CourseError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise CourseError(
            "log_dir= needs TensorBoard: pip install tensorboard, or leave log_dir out."
        ) from None
    # a resumed run hides what an interrupted one logged after its last checkpoint
    return SummaryWriter(str(log_dir), purge_step=len(history.rows) + 1)
