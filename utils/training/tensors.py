"""Read what `torch.save` wrote, and run nothing that it may hold."""

from __future__ import annotations

import pickle
import pickletools
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch

OLD_PICKLES = 5  # in torch's format of before 2020: the third holds the tensors' names
CHUNK = 2**20  # bytes
FOLDER = 0x10  # a bit with which torch gives memory as it happens to be
DEEPEST = 16  # tuples in tuples; a state dict has 4


def load(path: Path) -> Any:
    """Tensors and plain values out of a file, on the CPU.

    Raises:
        pickle.UnpicklingError: the file holds more than that, and could run code, or
            take the memory of the machine.
        Exception: whatever else torch raises of damaged bytes.
    """
    with path.open("rb") as file:
        if _is_tar(file):
            # Before 2.6, torch trusts what lies in one (CVE-2025-32434); later versions
            # refuse them. It has written none since 2016.
            raise pickle.UnpicklingError("a tar")
        file.seek(0)
        zipped = file.read(4) == b"PK\3\4"
        file.seek(0)
        (_verify if zipped else _refuse_old_hoard)(file)
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_tar(file: BinaryIO) -> bool:
    """Whether torch would take it for one."""
    try:
        with tarfile.open(fileobj=file, mode="r:"):
            return True
    except (tarfile.TarError, ValueError, EOFError):
        return False


def _verify(file: BinaryIO) -> None:
    """Refuse a zip with a flipped byte, or one that takes more than the file's size.

    torch does not look at the checksums that it has written, and packs nothing densely.
    """
    size = file.seek(0, 2)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > size:
            raise zipfile.BadZipFile(f"{size} bytes would unpack to {unpacked}")
        for member in members:
            if member.external_attr & FOLDER:
                raise zipfile.BadZipFile(f"{member.filename} is marked as a folder")
            with archive.open(member) as content:  # by its place: names may be forged
                while content.read(CHUNK):
                    pass  # the end raises an error where the checksum differs
            if member.filename.endswith("data.pkl"):
                with archive.open(member) as content:
                    _refuse_hoard(content)


def _refuse_old_hoard(file: BinaryIO) -> None:
    for _ in range(OLD_PICKLES):
        if not file.read(1):
            return  # torch says what is missing
        file.seek(-1, 1)
        _refuse_hoard(file)


def _refuse_hoard(file: IO[bytes]) -> None:
    """Refuse a pickle of a few bytes that takes gigabytes, or for ever, to be loaded.

    A bytearray is made as long as a number says. A tuple that holds another one twice,
    which holds a third one twice, and so on, takes 2^depth steps as a key of a dict.
    """
    stack: list[int | None] = []  # how deep tuples lie in what is there; None: a mark
    memo: dict[int, int | None] = {}
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL" and str(argument).endswith(" bytearray"):
                raise pickle.UnpicklingError("a bytearray")
            if opcode.name.endswith("PUT"):
                memo[argument] = stack[-1]
                continue
            taken = _take(stack, opcode)
            depth = 0
            if opcode.name.endswith("GET"):
                depth = memo[argument]
            elif "TUPLE" in opcode.name:
                depth = 1 + max((each or 0 for each in taken), default=0)
            if depth is not None and depth > DEEPEST:
                raise pickle.UnpicklingError("tuples in tuples")
            marks = opcode.stack_after == [pickletools.markobject]
            stack += [None] if marks else [depth] * len(opcode.stack_after)
    except (ValueError, LookupError) as error:
        raise pickle.UnpicklingError(f"no sound pickle: {error}") from error


def _take(stack: list[int | None], opcode: pickletools.OpcodeInfo) -> list[int | None]:
    """Take off the stack what an operation works on."""
    wanted, taken = opcode.stack_before, []
    if pickletools.markobject in wanted:
        while (top := stack.pop()) is not None:
            taken.append(top)
        wanted = wanted[: wanted.index(pickletools.markobject)]
    for _ in wanted:
        taken.append(stack.pop())
    return taken
