"""Read what `torch.save` wrote, and run nothing that it may hold."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch


def load(path: Path) -> Any:
    """Tensors and plain values out of a file, on the CPU.

    Raises:
        pickle.UnpicklingError: the file holds more than that, and could run code.
        Exception: whatever else torch raises of damaged bytes.
    """
    with path.open("rb") as file:
        if _is_tar(file):
            # Before 2.6, torch trusts what lies in one (CVE-2025-32434); later versions
            # refuse them. It has written none since 2016.
            raise pickle.UnpicklingError("a tar")
        file.seek(0)
        if file.read(4) == b"PK\3\4":
            _verify(file)
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_tar(file: BinaryIO) -> bool:
    """Whether torch would take it for one."""
    try:
        with tarfile.open(fileobj=file, mode="r:"):
            return True
    except (tarfile.TarError, ValueError, EOFError):
        return False


def _verify(file: BinaryIO) -> None:
    """Refuse a zip with a flipped byte, or one that unpacks to more than the file.

    torch does not look at the checksums that it has written, and packs nothing densely.
    """
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > size:
            raise zipfile.BadZipFile(f"{size} bytes would unpack to {unpacked}")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"the checksum of {damaged} differs")
