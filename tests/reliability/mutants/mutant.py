"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: short, for the command line.
        what: the fault in words.
        file: without the ending, of `utils` where no other room is named: "models/vgg",
            "teaching/check".
        old: the text as it stands, once in the file.
        new: what stands there with the fault.
        tests: the test files that guard it, as "vgg" for tests/test_vgg.py.
        missed: whether no test caught it at first, and one was written for it.
    """

    name: str
    what: str
    file: str
    old: str
    new: str
    tests: str
    missed: bool = False

    @property
    def path(self) -> str:
        """The file, as seen from the course's folder."""
        rooms = ("teaching/", "experiments/", "tools/")
        return f"{'' if self.file.startswith(rooms) else 'utils/'}{self.file}.py"
