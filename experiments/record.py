"""What a run leaves on the disk: one JSON file that says what was run, where, and how
well it went."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

import torch

from utils import files
from utils.course import ROOT, CourseError
from utils.photos import shown

FORMAT = 1  # of the files; another number means that the keys changed
NEEDED: dict[str, Any] = {  # by the tables
    **dict.fromkeys(("name", "machine.device", "data.name", "model.name"), str),
    **dict.fromkeys(("seed", "machine.threads"), int),
    **dict.fromkeys(("model.parameters", "model.multiply_adds"), int),
    "data.real": bool,
    "model.options": dict,
    "history.rows": list,
    **dict.fromkeys(("images_per_second", "seconds"), float),
    **dict.fromkeys(("test_accuracy", "processor_seconds"), float),
    "data.shape": tuple,
    "peak_memory_bytes": int,
    "processes": int,
    "start": dict,
}
OPTIONAL = ("test_accuracy", "processor_seconds", "peak_memory_bytes", "processes")
OPTIONAL += ("start",)
UNFINISHED = ("history.rows", "images_per_second", "seconds")


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record; the file appears under its name only once it is complete.

    Raises:
        CourseError: there is no room, or no permission.
    """
    make_folder(path.parent)
    try:
        with files.replacing(path) as file:
            file.write(f"{json.dumps(record, indent=1)}\n".encode())
    except OSError as error:
        raise CourseError(
            f"{path} cannot be written ({error.strerror}). Choose another folder."
        ) from error


def make_place(path: Path) -> None:
    """Make sure that a file can be written, or be replaced, at a path.

    Raises:
        CourseError: its folder takes no files, or what is there is no regular file.
    """
    make_folder(path.parent)
    try:
        other = path.exists() and not path.is_file()
    except OSError as error:  # such as a name that is too long
        why = f"cannot be written ({error.strerror}): name another one"
        raise CourseError(f"{shown(str(path))} {why}.") from error
    if other:
        why = "cannot be written: there is no regular file. Name another one"
        raise CourseError(f"{shown(str(path))} {why}.")


def make_folder(path: Path) -> None:
    """Make sure that files can be written to a folder.

    Raises:
        CourseError: they cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise CourseError(
            f"{str(path)!r} takes no files ({error.strerror}). Choose another folder."
        ) from error


def read(path: Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        CourseError: it is no record, one of another format, or lacks what tables need.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise CourseError(
            f"{path} is no record of a run ({error}). Make it again, or remove it."
        ) from error
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT:
        raise CourseError(
            f"{path} has format {found}, this course reads {FORMAT}. Run its command"
            " again, or remove it."
        )
    return record


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number} is no result")


def check(path: Path, run: dict[str, Any]) -> None:
    """Raise a `CourseError` unless a record holds what the tables are made of."""
    optional = (*OPTIONAL, *UNFINISHED) if "diverged" in run else OPTIONAL
    for place, kind in NEEDED.items():
        value: Any = run
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is None and place in optional:
            continue
        if (isinstance(value, bool) and kind is not bool) or not value_of(kind, value):
            raise CourseError(
                f"{path} is no whole record of a run: {place} is missing, or not what"
                " it should be. Run its command again, or remove it."
            )


def value_of(kind: Any, value: Any) -> bool:
    """Whether a value is of a kind; numbers of a reasonable size, lists not empty."""
    if kind is tuple:  # of pixels
        return isinstance(value, list) and bool(value) and value_of(int, value[-1])
    if kind is list:  # of the epochs
        rows = value if isinstance(value, list) else []
        return bool(rows) and all(
            isinstance(row, dict) and value_of(float, row.get(column))
            for row in rows
            for column in ("seconds", "images_per_second")
        )
    if kind is float or kind is int:
        known = isinstance(value, int if kind is int else int | float)
        return known and abs(value) < 1e18
    return isinstance(value, kind)


def words(command: str) -> list[str]:
    """The words of a record's command, after the module; older ones name utils.train.

    Raises:
        CourseError: it is no such command.
    """
    found = shlex.split(command)
    try:
        return found[found.index("-m") + 2 :]
    except ValueError:
        raise CourseError(f"{command!r} is no command of the course.") from None


def machine(device: torch.device) -> dict[str, Any]:
    """Where a run happened: device, processor threads, and versions."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
    }


def commit() -> str | None:
    """The commit of the code, with "+" where files differ from it; None outside git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + "+" * bool(changed)


def _git(*command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *command], capture_output=True, check=True, timeout=30
    )
    return done.stdout.decode().strip()


def peak_memory(device: torch.device) -> int | None:
    """Bytes at most: on a GPU torch's tensors, else the whole process.

    None on MPS, which does not count, and on Windows.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps" or os.name == "nt":
        return None
    status = Path("/proc/self/status")
    if status.is_file():  # `ru_maxrss` would be that of the parent if larger
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # others count in kB
