"""What asks and illustrates: self-checks, drawings, and figures."""

from teaching.check import check

__all__ = ["check"]
