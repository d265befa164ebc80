"""Read CIFAR-10's batch files, which are pickles, and run nothing that they hold."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from utils.course import CourseError
from utils.datasets.readers import LARGEST, REMEDY

CIFAR10_FOLDER = "cifar-10-batches-py"
CIFAR10_TRAIN = tuple(f"data_batch_{k}" for k in range(1, 6))
CIFAR10_TEST = ("test_batch",)
CIFAR10_FILES = (*CIFAR10_TRAIN, *CIFAR10_TEST)
# What a pickle of arrays, numbers and text never asks for: other objects, and sets.
FORBIDDEN = (pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1)
FORBIDDEN += (pickle.EXT2, pickle.EXT4, pickle.PERSID, pickle.BINPERSID)
FORBIDDEN += (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET)


class _Described:
    """An array or its type as a pickle describes it: data that does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = self.state = arguments

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """Make the array; NumPy itself refuses bytes for anything but numbers."""
        if len(self.state) == 4:  # from pickle protocol 5 on
            data, kind, shape, fortran = *self.state[:3], self.state[3] == "F"
        else:
            _, shape, kind, fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data
        values = np.frombuffer(data, kind.arguments[0])
        return values.reshape(shape, order="F" if fortran else "C")


_PARTS = {  # of a pickled array: NumPy 1's addresses; NumPy 2 writes `numpy._core`
    "numpy.ndarray": None,  # is only passed on to the next
    "numpy.core.multiarray._reconstruct": _Described,
    "numpy.core.numeric._frombuffer": _Described,
    "numpy.dtype": _Described,
    "_codecs.encode": lambda text, _: text,
}


class _DataUnpickler(pickle._Unpickler):
    """Loads arrays and plain Python values; whatever else a file asks for, it refuses.

    NumPy's own functions would follow a forged array anywhere in memory, and Python's
    unpickler in C takes gigabytes if a few bytes say so: this is the one in Python.
    """

    dispatch = {  # noqa: RUF012 (as the class that it extends has it)
        code: load
        for code, load in pickle._Unpickler.dispatch.items()
        if bytes([code]) not in FORBIDDEN
    }

    def find_class(self, module: str, name: str) -> Any:
        address = f"{module.replace('numpy._core', 'numpy.core')}.{name}"
        if address not in _PARTS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _PARTS[address]

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], _Described):
            raise pickle.UnpicklingError("it changes what is not its own")
        super().load_build()

    def load_dict(self) -> None:
        self.require_text(self.stack[::2])
        super().load_dict()

    def load_setitems(self) -> None:
        self.require_text(self.stack[::2])
        super().load_setitems()

    def load_setitem(self) -> None:
        self.require_text(self.stack[-2:-1])
        super().load_setitem()

    def require_text(self, keys: list[Any]) -> None:
        """Refuse keys of a dict whose hash may take for ever: tuples of tuples."""
        if not all(isinstance(key, str) for key in keys):
            raise pickle.UnpicklingError("its keys are no text")

    # A bytearray would be made before it is known whether so many bytes follow.
    dispatch[pickle.BYTEARRAY8[0]] = dispatch[pickle.BINBYTES8[0]]
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.SETITEM[0]] = load_setitem


def read_cifar_batch(file: IO[bytes], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one batch file of CIFAR-10: images uint8 (n, 3, 32, 32), labels int64 (n,).

    Args:
        file: opened for reading bytes. Nothing in it is executed.
        name: what an error calls it.

    Raises:
        CourseError: no such file, or a damaged one.
    """
    try:
        content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"more than {LARGEST / 1e6:,.0f} MB")
        batch = _DataUnpickler(io.BytesIO(content), encoding="latin1").load()
        images, labels = batch["data"].array(), _whole_numbers(batch["labels"])
        if images.dtype != np.uint8 or images.shape != (len(labels), 3 * 32 * 32):
            raise ValueError(f"{images.dtype} {images.shape}, {len(labels)} labels")
        if labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    # A damaged pickle can raise anything at all.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise CourseError(
            f"{name} is no batch file of CIFAR-10, or is damaged ({reason}). {REMEDY}"
        ) from error
    return images.reshape(-1, 3, 32, 32), labels


def _whole_numbers(labels: Any) -> np.ndarray:
    """Labels out of a pickle, as int64."""
    if isinstance(labels, _Described):
        labels = labels.array()
    elif not all(type(label) is int for label in labels):
        raise ValueError("labels that are no whole numbers")
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(f"labels of {labels.dtype}, in {labels.ndim} dimensions")
    return labels.astype(np.int64)


def read_cifar10(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read CIFAR-10 from its folder of batch files or from `cifar-10-python.tar.gz`.

    The archive is read where it is: nothing is unpacked onto the disk.

    Returns:
        "train" and "test", each images uint8 (N, 3, 32, 32) and labels int64 (N,).

    Raises:
        CourseError: a file is missing or damaged.
    """
    batches = {}
    try:
        for name, file in _cifar10_files(path):
            batches[name] = read_cifar_batch(file, f"{name} in {path}")
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise CourseError(f"{path} cannot be read ({error}). {REMEDY}") from error
    missing = [name for name in CIFAR10_FILES if name not in batches]
    if missing:
        raise CourseError(f"{path} holds no {', '.join(missing)}. {REMEDY}")

    def join(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        images, labels = zip(*(batches[name] for name in names), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    return {"train": join(CIFAR10_TRAIN), "test": join(CIFAR10_TEST)}


def _cifar10_files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Open each batch file in the folder or in the archive; links lead nowhere."""
    if path.is_dir():
        for file in (path / name for name in CIFAR10_FILES):
            if file.exists():
                with file.open("rb") as opened:
                    yield file.name, opened
        return
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if archive.offset > 2 * LARGEST:  # it would unpack for hours
                raise tarfile.ReadError(f"more than {2 * LARGEST / 1e6:,.0f} MB")
            place = PurePosixPath(member.name)
            known = place.parent.name == CIFAR10_FOLDER and place.name in CIFAR10_FILES
            if known and member.isreg():
                yield place.name, archive.extractfile(member)
