"""Find the photos of Dogs vs. Cats, in whichever of its layouts they lie."""

from __future__ import annotations

import zipfile
from pathlib import Path

from utils.datasets import download
from utils.datasets.sources import (
    NO_CONTENT,
    PARTS,
    Folder,
    Zip,
    files,
    photo,
    visible,
)

FOLDER = "dogs_vs_cats"  # in the data folder
CLASSES = ("cat", "dog")
KAGGLE = ("dogs-vs-cats.zip", "train.zip")  # the second one lies in the first, too


def find(root: Path, *, online: bool = True) -> Folder | Zip:
    """The photos in `root`, or else those of Microsoft's zip, downloaded into it.

    Kaggle's folders come first, then its zips, Microsoft's zip, and its folder.

    Args:
        online: whether the zip may be downloaded.

    Raises:
        DownloadError: there are none, and there is no download.
        CourseError: a zip is damaged.
    """
    folders = visible(root, dirs=True) if root.is_dir() else []
    parts = [f for f in folders if f.name.lower() in sum(PARTS.values(), ())]
    kaggle = _in_folders(root, parts)
    if any(found.part == "train" for found in kaggle.photos):
        return kaggle
    zips = [root / name for name in KAGGLE if (root / name).is_file()]
    if zips:
        return Zip(zips[0], sort, inner=KAGGLE[1])
    microsoft = root / download.DOGS_VS_CATS.name
    if not zipfile.is_zipfile(microsoft):  # half a download has no end
        unpacked = _in_folders(root, [f for f in folders if f.name == "PetImages"])
        if unpacked.photos:
            return unpacked
        microsoft = download.fetch(download.DOGS_VS_CATS, root, online=online)
    return Zip(microsoft, sort)


def sort(name: str) -> tuple[str, int] | None:
    """Part and label by a name such as `train/cat.0.jpg` or `PetImages/Cat/0.jpg`.

    None for what is no photo of a known class, such as Kaggle's `test1/1.jpg`.
    """
    *folders, file = name.lower().replace("\\", "/").split("/")
    if file[:1] == "." or NO_CONTENT.intersection([*folders, file]):
        return None
    for label, animal in enumerate(CLASSES):
        if file.startswith(f"{animal}.") or folders[-1:] in ([animal], [f"{animal}s"]):
            named = (p for p, names in PARTS.items() if set(names) & set(folders))
            return next(named, "train"), label
    return None


def _in_folders(root: Path, folders: list[Path]) -> Folder:
    found = []
    for file in (file for folder in folders for file in files(folder)):
        if sorted_in := sort(str(file.relative_to(root))):
            found.append(photo(root, file, *sorted_in))
    return Folder(root, found)
