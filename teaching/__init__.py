"""What asks and illustrates: self-checks, drawings, and figures with sliders."""

from teaching.check import check

__all__ = ["check"]
