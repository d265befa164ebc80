"""What is to be said about files once all of them are read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from utils import files
from utils.course import CourseError

SHOWN = 5  # problems that a message names


@dataclass
class Findings:
    """What a reader has to say once all files are read; lines begin with a name."""

    files: int = 0
    problems: list[str] = field(default_factory=list)
    animations: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)  # not the content's fault

    def add(self, name: str, error: CourseError) -> None:
        """Note a file that cannot be used, and whether it may be another time."""
        self.problems.append(str(error))
        cause = error.__cause__  # Pillow's own errors are OSErrors without a number
        if getattr(cause, "errno", None) or isinstance(cause, MemoryError):
            self.denied.append(name)

    def sorted(self) -> Findings:
        """The same, in the order of the names."""
        lists = (sorted(x) for x in (self.problems, self.animations, self.denied))
        return Findings(self.files, *lists)

    def report(self, path: Path, *, skip_bad: bool) -> None:
        """Print what was left out, in a line each; without `skip_bad`, refuse.

        Names hold anything that a file system or an archive takes: they are escaped.

        Raises:
            CourseError: there are bad files, and `skip_bad` is False.
        """
        place = files.shown(str(path))
        bad, more = len(self.problems), len(self.problems) - SHOWN
        first = self.problems[:SHOWN]
        named = [files.shown(f"{path}{os.sep}{line}") for line in first]
        named += [f"and {more} more"] if more > 0 else []
        if bad and not skip_bad:
            listed = "".join(f"\n  {line}" for line in named)
            raise CourseError(
                f"{bad} of {self.files} files in {place} cannot be used:{listed}\n"
                "Repair or remove them, or pass skip_bad=True to leave them out."
            )
        if bad:
            print(f"Left out {bad} of {self.files} files: {'; '.join(named)}.")
        if self.animations:
            more = len(self.animations) - 1
            others = f" So it is with {more} more." if more else ""
            print(files.shown(f"{path}{os.sep}{self.animations[0]}") + others)
