"""Pictures in SVG: what the course's diagrams are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

# Three colours: what convolves, what connects everything to everything, and ink.
CONV, LINEAR, INK = "#0072B2", "#009E73", "#333333"
FILL = {CONV: "#CCE3F0", LINEAR: "#CCECE3", INK: "#F2F2F2"}
FONT, TEXT_LINE, STROKE = 14.67, 18, 2  # pixels: 11 pt text, its line, 1.5 pt lines
PAGE, MARGIN, GAP = 900, 10, 16  # pixels


@dataclass(frozen=True, repr=False)
class Diagram:
    """A picture, with words for those who cannot see it.

    Attributes:
        body: what is drawn, as SVG elements.
        width: pixels; a wider one than the page is scaled down to it.
        height: pixels.
        alt: what the picture says.
        middle: height at which pictures beside one another are aligned.
    """

    body: str
    width: float
    height: float
    alt: str
    middle: float = 0

    def __repr__(self) -> str:
        return self.alt

    def _repr_svg_(self) -> str:
        scale = min(1, PAGE / self.width)
        alt = escape(self.alt)
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" role="img"'
            f' width="{self.width * scale:.0f}" height="{self.height * scale:.0f}"'
            f' viewBox="0 0 {self.width:.0f} {self.height:.0f}" aria-label="{alt}"'
            f' font-family="Helvetica, Arial, sans-serif" font-size="{FONT}">'
            f"<title>{alt}</title>"
            # Paper stays white where the page is dark: the ink needs it.
            f'<rect width="100%" height="100%" fill="white"/>{self.body}</svg>'
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        data = {"image/svg+xml": self._repr_svg_(), "text/plain": self.alt}
        return data, {"image/svg+xml": {"alt": self.alt}}


@dataclass(frozen=True)
class Box:
    """Where a box stands, in pixels: its middle and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """Its left edge."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width / 2


def text_width(words: str) -> float:
    """Pixels of a text, rather too many: the font of another machine may be wider."""
    narrow, wide = " .,:;'|!()[]fijlrt", "mwMW@%"
    widths = (
        0.42 if c in narrow else 0.95 if c in wide else 0.74 if c.isupper() else 0.64
        for c in words
    )
    return FONT * sum(widths)


def line(points: Sequence[tuple[float, float]], color: str = INK) -> str:
    """A line through the points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{path}" fill="none" stroke="{color}"'
        f' stroke-width="{STROKE}" stroke-linejoin="round"/>'
    )


def plus(x: float, y: float, ring: int = 9, arm: int = 5) -> str:
    """A sum, on its own ring of this radius."""
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{ring}" fill="white"'
    across = line([(x - arm, y), (x + arm, y)], LINEAR)
    down = line([(x, y - arm), (x, y + arm)], LINEAR)
    return f'{circle} stroke="{LINEAR}" stroke-width="{STROKE}"/>{across}{down}'


def text(
    x: float, y: float, words: str, *, anchor: str = "middle", weight: str = "normal"
) -> str:
    """A line of text; y is its middle."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
        f' dominant-baseline="central" fill="{INK}">{escape(words)}</text>'
    )
