"""Grids of numbers, as SVG: convolution, padding and pooling by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import conv2d

from teaching.svg import (
    CONV,
    FILL,
    GAP,
    INK,
    MARGIN,
    STROKE,
    TEXT_LINE,
    Diagram,
    text,
    text_width,
)
from utils.course import CourseError

CELL = 34  # pixels: side of a cell
PADDED = None  # a cell that the padding adds


def grid(
    matrix: Tensor | Sequence[Sequence[Any]],
    *,
    label: str = "",
    window: tuple[int, int, int, int] | None = None,
    padding: int = 0,
    alt: str | None = None,
) -> Diagram:
    """Draw a matrix as cells with its numbers, to show arithmetic by hand.

    Args:
        matrix: (H, W) numbers or short texts; None leaves a cell empty.
        label: below the grid.
        window: (row, column, height, width) of the cells to stand out, counted with
            the padding.
        padding: rings of zeros around the matrix, in grey.
        alt: what it says; by default the numbers.
    """
    rows = matrix.tolist() if isinstance(matrix, Tensor) else matrix
    texts = [[_number(value) for value in row] for row in rows]
    wide = [PADDED] * padding
    inner = [[*wide, *row, *wide] for row in texts]
    ring = [[PADDED] * len(inner[0])] * padding
    cells = [*ring, *inner, *ring]
    side = max([CELL, *(text_width(t) + 8 for row in texts for t in row)])
    width, height = side * len(cells[0]), side * len(cells)
    body, left = "", max(0, text_width(label) - width) / 2 + STROKE
    for i, row in enumerate(cells):
        for j, value in enumerate(row):
            body += _cell(left + j * side, STROKE + i * side, side, value)
    if window:
        body += _frame(left, side, window)
    if label:
        body += text(left + width / 2, height + GAP, label)
    words = "; ".join(" ".join(row) for row in texts)
    return Diagram(
        body,
        width + 2 * left,
        height + 2 * STROKE + (TEXT_LINE + 4 if label else 0),
        alt or f"{label or 'Grid'}: {words}.",
        middle=height / 2 + STROKE,
    )


def _cell(x: float, y: float, side: float, value: str | None) -> str:
    """A square with its number; the padding's are grey, with a zero."""
    added = value is PADDED
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}"'
        f' fill="{FILL[INK] if added else "white"}" stroke="#999999"'
        f' stroke-dasharray="{"3 3" if added else "none"}"/>'
    ) + text(x + side / 2, y + side / 2, "0" if added else value)


def _frame(left: float, side: float, window: tuple[int, int, int, int]) -> str:
    y, x, height, width = (side * value for value in window)
    return (
        f'<rect x="{left + x:.1f}" y="{STROKE + y:.1f}" width="{width:.1f}"'
        f' height="{height:.1f}" fill="{CONV}" fill-opacity="0.18" stroke="{CONV}"'
        f' stroke-width="{2 * STROKE}"/>'
    )


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value + 0.0:.3g}".replace("-", "−")


def beside(*parts: Diagram | str, alt: str | None = None) -> Diagram:
    """Put pictures and signs, such as "∗" and "=", side by side on one middle line.

    Args:
        parts: from left to right.
        alt: what the whole says; by default the parts in words.
    """
    pictures = [part for part in parts if isinstance(part, Diagram)]
    above = max(part.middle for part in pictures)
    below = max(part.height - part.middle for part in pictures)
    body, x = "", float(MARGIN)
    for part in parts:
        if isinstance(part, str):
            width = text_width(part) + 4
            body += text(x + width / 2, MARGIN + above, part, weight="bold")
        else:
            width, y = part.width, MARGIN + above - part.middle
            body += f'<g transform="translate({x:.1f} {y:.1f})">{part.body}</g>'
        x += width + GAP
    words = " ".join(part if isinstance(part, str) else part.alt for part in parts)
    size = x - GAP + MARGIN, above + below + 2 * MARGIN
    return Diagram(body, *size, alt or words, middle=above + MARGIN)


def convolution(
    image: Tensor,
    kernel: Tensor,
    *,
    at: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
) -> Diagram:
    """Show how one number of a convolution's output comes about.

    Args:
        image: (H, W).
        kernel: (k, k).
        at: row and column of the output's number.
        stride: step between neighbouring windows.
        padding: rings of zeros around the image.

    Raises:
        CourseError: the output has no such row or column.
    """
    batch = image[None, None].float(), kernel[None, None].float()
    output = conv2d(*batch, stride=stride, padding=padding)[0, 0]
    rows, columns = output.shape
    row, column = at
    if not (0 <= row < rows and 0 <= column < columns):
        raise CourseError(
            f"The output is {rows}×{columns}: there is no number at {at}."
        )
    window = (row * stride, column * stride, *kernel.shape)
    alt = (
        f"The kernel on the window of the image at row {window[0]}, column {window[1]}"
        f" gives {_number(output[row, column].item())}, the output's number at row"
        f" {row}, column {column}."
    )
    return beside(
        grid(
            image, label=_sizes("image", image, padding), window=window, padding=padding
        ),
        "∗",
        grid(kernel, label=_sizes("kernel", kernel)),
        "=",
        grid(output, label=_sizes("output", output), window=(row, column, 1, 1)),
        alt=alt,
    )


def _sizes(name: str, matrix: Tensor, padding: int = 0) -> str:
    rings = f", padding {padding}" if padding else ""
    return f"{name} {matrix.shape[0]}×{matrix.shape[1]}{rings}"
