"""Dogs vs. Cats in all its layouts, and the cache of photos that are decoded once."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import threading
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from utils import data
from utils.augment import CenterCrop, HorizontalFlip, RandomCrop, RandomResizedCrop
from utils.course import CourseError
from utils.datasets import (
    cache,
    decoded,
    download,
    maps,
    photos,
    pixels,
    sources,
    standins,
    store,
)
from utils.datasets.loader import ImageSet
from utils.datasets.sources import Photo

DEAD = ("http://127.0.0.1:9/nobody-listens/",)
RED, BLUE = (200, 30, 30), (30, 30, 200)  # cats are red here, dogs are blue


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder for the photos, at scale small, with no network."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    dead = download.DOGS_VS_CATS._replace(urls=DEAD)
    monkeypatch.setattr(download, "DOGS_VS_CATS", dead)
    (tmp_path / "dogs_vs_cats").mkdir()
    return tmp_path / "dogs_vs_cats"


def jpeg(colour=RED, size=(40, 30), **options) -> bytes:
    file = io.BytesIO()
    Image.new(options.pop("mode", "RGB"), size, colour).save(file, "JPEG", **options)
    return file.getvalue()


def kaggle(n: int = 10, test: int = 0) -> dict[str, bytes]:
    """Files in Kaggle's layout, every one another photo."""
    files = {}
    for part, count in (("train", n), ("test", test)):
        for i in range(count):
            files[f"{part}/cat.{i}.jpg"] = jpeg((200, 30, i))
            files[f"{part}/dog.{i}.jpg"] = jpeg((30, i, 200))
    return files


def petimages(n: int = 10) -> dict[str, bytes]:
    files = {"PetImages/Cat/Thumbs.db": b"no photo", "readme[1].txt": b"hello"}
    for i in range(n):
        files[f"PetImages/Cat/{i}.jpg"] = jpeg((200, 30, i))
        files[f"PetImages/Dog/{i}.jpg"] = jpeg((30, i, 200))
    return files


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def packed(files: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, member in files.items():
            archive.writestr(name, member)
    return content.getvalue()


def sizes(splits) -> tuple[int, ...]:
    return tuple(len(part) for part in (splits.train, splits.val, splits.test))


def check_labels(splits) -> None:
    """Red images are labelled as cats, and blue ones as dogs."""
    assert splits.classes == ("cat", "dog")
    for part in (splits.train, splits.val, splits.test):
        blue = part.images[:, 2].float().mean((1, 2)) > 128
        assert torch.equal(blue.long(), part.labels)


def stores(folder: Path) -> list[Path]:
    return sorted((folder.parent / "cache").glob("*"))


def no_decoding(monkeypatch) -> None:
    def refuse(*args, **kwargs):
        pytest.fail("a photo was decoded")

    monkeypatch.setattr(decoded, "decode_photo", refuse)


# Layouts

LAYOUTS = {
    "Kaggle's folders": kaggle(),
    "Kaggle's folders, by class": {
        f"train/{name[6:9]}s/{name[6:]}": content for name, content in kaggle().items()
    },
    "train.zip": {"train.zip": packed(kaggle())},
    "dogs-vs-cats.zip": {
        "dogs-vs-cats.zip": packed(
            {
                "test1.zip": packed({"test1/1.jpg": jpeg()}),
                "train.zip": packed(kaggle()),
            }
        )
    },
    "dogs-vs-cats.zip, stored": {
        "dogs-vs-cats.zip": packed({"train.zip": packed(kaggle(), zipfile.ZIP_STORED)})
    },
    "Microsoft's zip": {download.DOGS_VS_CATS.name: packed(petimages())},
    "Microsoft's folder": petimages(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_photos_are_found_in_any_layout_and_decoded_once(
    folder, layout, monkeypatch, capfd
):
    write(folder, LAYOUTS[layout])
    splits = data.dogs_vs_cats(16, source="real")
    assert sizes(splits) == (16, 2, 2)
    check_labels(splits)
    assert splits.train.images.shape == (16, 3, 16, 16)
    assert (splits.train.name, splits.train.real) == ("Dogs vs. Cats", True)
    before = sorted(folder.rglob("*"))
    no_decoding(monkeypatch)
    again = data.dogs_vs_cats(16)
    assert torch.equal(again.train.images, splits.train.images)
    assert (again.train.mean, again.train.std) == (splits.train.mean, splits.train.std)
    assert sorted(folder.rglob("*")) == before  # nothing was unpacked
    assert len(stores(folder)) == 1
    assert capfd.readouterr() == ("", "")


def test_a_labelled_test_folder_is_the_test_set(folder):
    write(folder, kaggle(10, test=3))
    write(folder, {"originals/train/cat.99.jpg": jpeg(BLUE), "test1/1.jpg": jpeg()})
    splits = data.dogs_vs_cats(16)
    assert sizes(splits) == (18, 2, 6)
    check_labels(splits)


def test_kaggles_unlabelled_test_files_are_not_used(folder):
    write(folder, {**kaggle(), "test/1.jpg": jpeg(), "test/2.jpg": jpeg()})
    assert sizes(data.dogs_vs_cats(16)) == (16, 2, 2)


def test_kaggles_folders_come_first(folder):
    write(folder, {**kaggle(5), **petimages(7), "train.zip": packed(kaggle(9))})
    assert sum(sizes(data.dogs_vs_cats(8))) == 10
    for path in (folder / "train").iterdir():
        path.unlink()
    assert sum(sizes(data.dogs_vs_cats(8))) == 18


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/cat.0.jpg", ("train", 0)),
        ("train/DOG.7.JPG", ("train", 1)),
        ("test/dog.7.jpg", ("test", 1)),
        ("PetImages/Dog/7.jpg", ("train", 1)),
        ("validation/cats/cat.7.jpg", ("val", 0)),
        ("PetImages\\Cat\\7.jpg", ("train", 0)),
        ("test1/7.jpg", None),
        ("train/category.jpg", None),
        ("PetImages/Cat/Thumbs.db", None),
        ("__MACOSX/PetImages/Cat/._7.jpg", None),
        ("cat.jpg", ("train", 0)),
        ("readme[1].txt", None),
    ],
)
def test_a_name_says_part_and_class(name, expected):
    assert photos.sort(name) == expected


def test_without_photos_and_network_drawings_stand_in(folder, monkeypatch, capsys):
    few = {"train": (20, 0), "test": (6, 1)}
    monkeypatch.setattr(standins, "DRAWN_ANIMALS", few)
    splits = data.load("Dogs vs. Cats", size=24)
    assert sizes(splits) == (18, 2, 6)
    assert splits.train.images.shape == (18, 3, 24, 24)
    assert (splits.train.real, splits.classes) == (False, ("cat", "dog"))
    line = capsys.readouterr().out
    assert line.startswith("Stand-in: 2,000 drawings of cats and dogs in place of Dogs")
    assert line.count("\n") == 1
    assert [path.name[:21] for path in stores(folder)] == ["sketches-cats_and_dog"] * 2
    with pytest.raises(CourseError, match=r"kagglecatsanddogs_5340\.zip is not in"):
        data.dogs_vs_cats(source="real")
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    write(folder, kaggle())
    assert not data.dogs_vs_cats(24).train.real
    assert data.dogs_vs_cats(24, source="real").train.real


def test_half_a_download_is_set_aside(folder, capsys):
    name = download.DOGS_VS_CATS.name
    write(folder, {name: packed(petimages())[:-100]})
    with pytest.raises(download.DownloadError):
        data.dogs_vs_cats(source="real")
    assert (folder / f"{name}.corrupt").is_file()


@pytest.mark.parametrize("name", ["train.zip", "dogs-vs-cats.zip"])
def test_a_damaged_zip_says_what_to_do(folder, name):
    write(folder, {name: b"PK no zip at all"})
    with pytest.raises(CourseError, match=rf"{name} is no zip, or is damaged"):
        data.dogs_vs_cats()
    inner = bytearray(packed({"train.zip": packed(kaggle())}))
    inner[200:400] = bytes(200)
    write(folder, {"dogs-vs-cats.zip": bytes(inner)})
    with pytest.raises(CourseError, match="Unpack it"):
        data.dogs_vs_cats()


def test_one_animal_is_not_enough(folder):
    cats = {name: x for name, x in kaggle().items() if "cat" in name}
    write(folder, cats)
    with pytest.raises(CourseError, match="holds no images of dog"):
        data.dogs_vs_cats(8)


@pytest.mark.parametrize("size", [0, -1, 2.5, "64"])
def test_a_size_that_is_none_is_refused(folder, size):
    write(folder, kaggle())
    for source in ("real", "embedded"):
        with pytest.raises(CourseError, match="is no side in pixels"):
            data.dogs_vs_cats(size, source=source)


# Bad files


def test_bad_files_are_skipped_counted_and_named_once(folder, capsys):
    files = petimages(10)
    files["PetImages/Cat/666.jpg"] = b""
    files["PetImages/Dog/11702.jpg"] = jpeg(BLUE)[:300]
    files["PetImages/Cat/grey.jpg"] = jpeg(90, mode="L")
    files["PetImages/Cat/cmyk.jpg"] = jpeg((0, 200, 200, 40), mode="CMYK")
    write(folder, {download.DOGS_VS_CATS.name: packed(files)})
    for _ in range(2):  # and again from the cache
        assert sum(sizes(data.dogs_vs_cats(8))) == 22
        line = capsys.readouterr().out
        assert line.startswith("Left out 2 of 24 files: ")
        assert line.count("\n") == line.count("666.jpg") == line.count("11702.jpg") == 1


def test_hostile_members_are_skipped_and_lead_nowhere(folder, capsys, monkeypatch):
    content = io.BytesIO(packed(kaggle()))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../train/cat.out.jpg", jpeg())
        archive.writestr("/train/cat.root.jpg", jpeg())
        archive.writestr("C:/train/cat.drive.jpg", jpeg())
        archive.writestr("train/cat.bomb.jpg", bytes(5 * 2**20))
        link = zipfile.ZipInfo("train/cat.link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    write(folder, {"train.zip": content.getvalue()})
    before = sorted(folder.parent.parent.glob("**/cat.*"))
    assert sum(sizes(data.dogs_vs_cats(8))) == 20
    line = capsys.readouterr().out
    assert line.startswith("Left out 5 of 25 files: ")
    assert line.count("its path leads out of the zip's folder") == 3
    assert "cat.bomb.jpg: it would unpack to 5 MB" in line
    assert "cat.link.jpg: no image" in line
    assert sorted(folder.parent.parent.glob("**/cat.*")) == before


def test_a_member_that_is_not_what_the_zip_says_is_skipped(folder, capsys):
    victim = jpeg((140, 90, 60))  # its bytes will not be those of its checksum
    content = packed({**kaggle(), "train/cat.4.jpg": victim}, zipfile.ZIP_STORED)
    write(folder, {"train.zip": content.replace(victim, victim[:-9] + b"123456789")})
    assert sum(sizes(data.dogs_vs_cats(8))) == 19
    assert "cat.4.jpg: damaged in the zip (Bad CRC-32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "value", "cause"),
    [(10, 99, "method is not supported"), (8, 1, "is encrypted"), (6, 99, "version")],
)
def test_an_inner_zip_of_an_unknown_kind_says_what_to_do(folder, place, value, cause):
    content = bytearray(packed({"train.zip": packed(kaggle())}, zipfile.ZIP_STORED))
    end = content.rindex(b"PK\1\2")  # of the outer zip's own list
    content[end + place] = value
    content[place - 2] = value
    write(folder, {"dogs-vs-cats.zip": bytes(content)})
    with pytest.raises(CourseError, match=cause):
        data.dogs_vs_cats(8)


def test_a_bomb_within_the_zip_is_not_unpacked(folder):
    bomb = packed({"train.zip": bytes(5 * 2**20)})
    write(folder, {"dogs-vs-cats.zip": bomb})
    with pytest.raises(CourseError, match="no photos are packed so densely"):
        data.dogs_vs_cats(8)
    assert [path.name for path in folder.iterdir()] == ["dogs-vs-cats.zip"]


def test_a_bomb_that_lies_about_its_size_is_skipped(folder, capsys):
    content = packed({**kaggle(), "train/cat.bomb.jpg": bytes(5 * 2**20)})
    told = content.replace(struct.pack("<I", 5 * 2**20), struct.pack("<I", 5000))
    assert told != content
    write(folder, {"train.zip": told})
    assert sum(sizes(data.dogs_vs_cats(8))) == 20
    assert "cat.bomb.jpg: damaged in the zip (Bad CRC-32" in capsys.readouterr().out


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_without_a_limit_is_not_unpacked(folder, capsys, method):
    content = io.BytesIO(packed(kaggle()))
    with zipfile.ZipFile(content, "a", method) as archive:
        archive.writestr("train/cat.other.jpg", jpeg())
    write(folder, {"train.zip": content.getvalue()})
    assert sum(sizes(data.dogs_vs_cats(8))) == 20
    said = "cat.other.jpg: its compression method is not supported; leave it out"
    assert said in capsys.readouterr().out


def test_a_declared_size_beyond_all_photos_is_not_read():
    info = zipfile.ZipInfo("train/cat.0.jpg")
    info.file_size = info.compress_size = 2**30
    from utils.datasets.sources import _suspicion

    assert "1,074 MB" in _suspicion(info)


def test_a_member_without_a_name_is_none(folder):
    content = packed({**kaggle(), "train/cat.x.jpg": jpeg()})
    write(folder, {"train.zip": content.replace(b"train/cat.x.jpg", bytes(15))})
    assert sum(sizes(data.dogs_vs_cats(8))) == 20


def test_two_files_of_one_name_are_two_photos(folder, tmp_path):
    content = io.BytesIO(packed({**kaggle(), "train/CAT.0.JPG": jpeg()}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second one
        with zipfile.ZipFile(content, "a") as archive:
            archive.writestr("train/cat.0.jpg", jpeg((250, 0, 0)))
    write(folder, {"train.zip": content.getvalue()})
    splits = data.dogs_vs_cats(8)
    assert sum(sizes(splits)) == 22
    check_labels(splits)


def test_two_files_of_one_name_in_other_cases_are_two_photos(folder):
    write(
        folder, {**kaggle(), "train/CAT.0.JPG": jpeg(), "train/Dog.0.jpg": jpeg(BLUE)}
    )
    alike = (folder / "train" / "Cat.0.jpg").exists()  # as Windows and macOS have it
    splits = data.dogs_vs_cats(8)
    assert sum(sizes(splits)) == (20 if alike else 22)
    check_labels(splits)


def test_nothing_but_corrupt_files_is_said_so(folder):
    write(folder, {name: content[:200] for name, content in kaggle().items()})
    for _ in range(2):  # and again from the cache
        with pytest.raises(CourseError, match="holds no images of cat, dog"):
            data.dogs_vs_cats(8)


def test_a_folder_that_cannot_be_looked_into_is_named(folder, monkeypatch):
    write(folder, kaggle())
    known = Path.iterdir

    def deny(path):
        if path.name == "train":
            raise PermissionError(13, "Permission denied", str(path))
        return known(path)

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(CourseError, match=r"train cannot be looked into \(Permission"):
        data.dogs_vs_cats(8)


def test_half_of_the_files_may_be_corrupt(folder, capsys):
    files = kaggle(20)
    for name in list(files)[::2]:
        files[name] = files[name][:200]
    files |= {f"train/cat.good{i}.jpg": jpeg() for i in range(20)}
    write(folder, files)
    splits = data.dogs_vs_cats(8)
    assert sizes(splits) == (32, 4, 4)
    check_labels(splits)
    line = capsys.readouterr().out
    assert line.startswith("Left out 20 of 60 files: ")
    assert "and 15 more." in line


def test_a_file_that_cannot_be_opened_is_tried_again(folder, monkeypatch, capsys):
    write(folder, kaggle())
    known = Image.open

    def deny(file, **options):
        if str(file).endswith("cat.3.jpg"):
            raise PermissionError(13, "Permission denied", str(file))
        return known(file, **options)

    monkeypatch.setattr(Image, "open", deny)
    assert sum(sizes(data.dogs_vs_cats(8))) == 19
    assert "cat.3.jpg: damaged or unreadable ([Errno 13]" in capsys.readouterr().out
    monkeypatch.setattr(Image, "open", known)
    assert sum(sizes(data.dogs_vs_cats(8))) == 20
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_link_that_leads_nowhere_is_skipped(folder, capsys):
    write(folder, kaggle())
    (folder / "train" / "cat.link.jpg").symlink_to(folder / "nowhere.jpg")
    assert sum(sizes(data.dogs_vs_cats(8))) == 20
    assert "cat.link.jpg: there is no such file" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
@pytest.mark.parametrize("target", [".", "..", "../..", "../../train/cat"])
def test_a_link_that_leads_round_is_not_followed(tmp_path, target):
    train = tmp_path / "x" / "train"
    write(train, {f"{c}/{i}.jpg": jpeg() for c in ("cat", "dog") for i in (1, 2)})
    (train / "cat" / "me").symlink_to(target)
    assert [p.name for p in sources.files(train / "cat")] == ["1.jpg", "2.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_links_to_other_folders_are_followed_once(tmp_path):
    write(tmp_path, {"x/cat/1.jpg": jpeg(), "more/2.jpg": jpeg(), "more/in/3.jpg": b""})
    (tmp_path / "x" / "cat" / "more").symlink_to(tmp_path / "more")
    (tmp_path / "more" / "back").symlink_to(tmp_path / "x" / "cat")
    found = [p.name for p in sources.files(tmp_path / "x" / "cat")]
    assert found == ["1.jpg", "2.jpg", "3.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_what_is_neither_file_nor_folder_is_not_read(folder, capsys):
    write(folder, kaggle())
    os.mkfifo(folder / "train" / "cat.pipe.jpg")
    (folder / "train" / "cat.device.jpg").symlink_to(os.devnull)
    assert len(list(sources.files(folder / "train"))) == 20
    assert sum(sizes(data.dogs_vs_cats(8))) == 20
    assert capsys.readouterr().out == ""


def test_photos_of_any_size_and_turned_ones(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    turned = Image.new("RGB", (32, 16), BLUE)
    turned.paste(RED, (0, 0, 16, 16))  # its left half is the upper half, upright
    file = io.BytesIO()
    turned.save(file, "JPEG", exif=exif, quality=95)
    write(folder, {**kaggle(2), "train/cat.one.jpg": jpeg(size=(1, 1))})
    write(
        folder, {"test/cat.turned.jpg": file.getvalue(), "test/dog.0.jpg": jpeg(BLUE)}
    )
    splits = data.dogs_vs_cats(16, val_fraction=0.4)
    assert sizes(splits) == (3, 2, 2)
    upright = splits.test.images[0].float()
    assert upright[0, :7].min() > 150 > upright[0, 9:].max()  # red above
    assert upright[2, 9:].min() > 150 > upright[2, :7].max()  # blue below


def test_a_large_cameras_photo_and_thin_ones_are_read(folder):
    shapes = {"large": (12_000, 9_000), "wide": (9_000, 1), "high": (1, 9_000)}
    for name, shape in shapes.items():
        write(folder, {f"train/cat.{name}.jpg": jpeg(size=shape)})
    write(folder, kaggle(9))
    splits = data.dogs_vs_cats(16)
    assert sum(sizes(splits)) == 21
    check_labels(splits)


# The cache


def test_parts_are_slices_of_one_map_whatever_the_fractions(folder, monkeypatch):
    write(folder, kaggle(20))
    first = data.dogs_vs_cats(16)
    no_decoding(monkeypatch)
    other = data.dogs_vs_cats(16, val_fraction=0.25, test_fraction=0.5)
    assert sizes(other) == (10, 10, 20)
    row = 16 * 16 * 3
    for splits in (first, other):
        train, val, test, _ = splits
        assert val.images.data_ptr() + len(val) * row == test.images.data_ptr()
        assert test.images.data_ptr() + len(test) * row == train.images.data_ptr()
        for part in (train, val, test):
            assert part.images.is_contiguous(memory_format=torch.channels_last)
            assert part.labels.bincount().tolist() == [len(part) // 2] * 2
        expected = data._measure(train.images)
        assert (train.mean, train.std) == expected
        assert test.mean == train.mean
    assert len(stores(folder)) == 1


def test_the_split_is_the_one_that_image_folder_and_the_loader_make(tmp_path):
    from utils.datasets.loader import balanced_order

    labels = torch.tensor([0] * 6 + [1] * 6)
    listed = [Photo("train", int(y), str(i), "") for i, y in enumerate(labels)]
    order = decoded._in_order(listed, seed=3)
    assert [int(p.name) for p in order] == balanced_order(labels, seed=3).tolist()
    assert decoded._in_order(listed, seed=None) == listed


def test_other_options_make_another_file_and_old_versions_go(folder):
    write(folder, kaggle())
    data.dogs_vs_cats(8)
    data.dogs_vs_cats(16)
    data.dogs_vs_cats(8, seed=1)
    assert len(stores(folder)) == 3
    old = set(stores(folder))
    write(folder, {"train/cat.0.jpg": jpeg(RED, (50, 50))})  # another size and time
    assert data.dogs_vs_cats(8).train.images.shape[2:] == (8, 8)
    assert len(stores(folder)) == 3
    assert len(old.intersection(stores(folder))) == 2


def test_another_format_version_is_not_read(folder, monkeypatch):
    write(folder, kaggle())
    data.dogs_vs_cats(8)
    before = stores(folder)
    monkeypatch.setattr(decoded, "VERSION", decoded.VERSION + 1)
    data.dogs_vs_cats(8)
    assert len(stores(folder)) == 1
    assert stores(folder) != before


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "other", "long", "text"])
def test_a_damaged_or_half_written_file_is_made_again(folder, damage):
    write(folder, kaggle())
    first = data.dogs_vs_cats(8)
    expected = first.train.images.clone()
    (path,) = stores(folder)
    content = path.read_bytes()
    spoilt = {
        "empty": b"",
        "cut": content[:-1],
        "zeros": bytes(len(content)),
        "other": content[64:],  # as if it were of fewer pixels
        "long": content + b"0",
        "text": content[:-40] + b"!" * 16 + content[-24:],
    }
    del first
    path.write_bytes(spoilt[damage])
    assert torch.equal(data.dogs_vs_cats(8).train.images, expected)
    assert path.read_bytes() == content


def test_unfinished_files_of_killed_processes_are_removed_and_live_ones_stay(folder):
    write(folder, kaggle())
    data.dogs_vs_cats(8)
    (path,) = stores(folder)
    dead, live = (path.with_name(f"{path.name}.{i}-00.part") for i in (1, 2))
    alien = path.with_name("photos-dogs_vs_cats-8-0-more-123.pixels")
    for other in (dead, live, alien):
        other.write_bytes(b"half")
    os.utime(dead, (time.time() - 7200,) * 2)
    write(folder, {"train/cat.new.jpg": jpeg()})
    data.dogs_vs_cats(8)
    left = set(stores(folder))
    assert {live, alien} < left
    assert len(left) == 3


def test_two_threads_at_once_do_no_harm(folder):
    write(folder, kaggle(20))
    found: list = []
    threads = [
        threading.Thread(target=lambda: found.append(data.dogs_vs_cats(32)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({s.train.images.numpy().tobytes() for s in found}) == 1
    assert len(stores(folder)) == 1


def test_a_file_that_is_open_elsewhere_is_taken_as_it_is(folder, monkeypatch):
    """As on Windows, which replaces no file that is mapped."""
    write(folder, kaggle())

    def faster(part, path):
        path.write_bytes(part.read_bytes())
        raise PermissionError(13, "is open")

    monkeypatch.setattr(Path, "replace", faster)
    check_labels(data.dogs_vs_cats(8))
    assert len(stores(folder)) == 1


@pytest.mark.parametrize("after", [0, 7, 20])  # images; 20: no room for the end
def test_a_full_disk_is_no_loss(folder, monkeypatch, capsys, after):
    write(folder, kaggle())
    expected = data.dogs_vs_cats(8).train.images.clone()
    for path in stores(folder):
        path.unlink()
    calls = Counter()

    def full(self, content):
        if calls["write"] == after:
            self.file.write(bytes(memoryview(content))[:5])  # a part is still taken
            raise OSError(28, "No space left on device")
        calls["write"] += 1
        known(self, content)

    known = cache.Unfinished.write
    decodings = Counter()
    read = decoded.decode_photo

    def counted(*args, **kwargs):
        decodings["all"] += 1
        return read(*args, **kwargs)

    monkeypatch.setattr(cache.Unfinished, "write", full)
    monkeypatch.setattr(decoded, "decode_photo", counted)
    splits = data.dogs_vs_cats(8)
    assert torch.equal(splits.train.images, expected)
    check_labels(splits)
    assert decodings["all"] == 20  # nothing is decoded twice
    assert stores(folder) == []
    line = capsys.readouterr().out
    assert line.startswith("No room in ")
    assert "(No space left on device): the decoded photos stay in memory" in line


def test_a_disk_without_room_is_not_filled(folder, monkeypatch, capsys):
    write(folder, kaggle())
    free = pixels.RESERVE + 1000
    monkeypatch.setattr(
        pixels.shutil, "disk_usage", lambda _: type("", (), {"free": free})
    )
    check_labels(data.dogs_vs_cats(8))
    assert "(not enough free space)" in capsys.readouterr().out
    assert stores(folder) == []


def test_no_room_anywhere_says_what_to_do(folder, monkeypatch):
    write(folder, kaggle())
    (folder.parent / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(pixels, "free_memory", lambda _: 1000)
    with pytest.raises(CourseError, match="CNN_COURSE_DATA name a folder on another"):
        data.dogs_vs_cats(8)
    monkeypatch.setattr(pixels, "free_memory", lambda _: 1e9)
    check_labels(data.dogs_vs_cats(8))
    assert (folder.parent / "cache").is_file()


def test_no_room_half_way_leaves_nothing_behind(folder, monkeypatch):
    write(folder, kaggle())
    monkeypatch.setattr(pixels, "free_memory", lambda _: 1000)
    free = type("", (), {"free": 0})
    monkeypatch.setattr(pixels.shutil, "disk_usage", lambda _: free)
    with pytest.raises(CourseError, match="not enough free space"):
        data.dogs_vs_cats(8)
    assert stores(folder) == []


def test_left_early_nothing_stays_behind(folder, monkeypatch):
    write(folder, kaggle())

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded, "_moments", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.dogs_vs_cats(8)
    assert stores(folder) == []


def test_the_map_may_be_written_to_and_the_file_stays(folder):
    write(folder, kaggle())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        splits = data.dogs_vs_cats(8)
    (path,) = stores(folder)
    before = path.read_bytes()
    splits.train.images.zero_()
    assert path.read_bytes() == before
    assert data.dogs_vs_cats(8).train.images.any()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and sparse files")
def test_a_file_may_be_larger_than_the_memory(tmp_path):
    total = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    n, path = total // 2**20 + 1000, tmp_path / "large.pixels"
    packed_arrays = io.BytesIO()
    np.savez(packed_arrays, labels=np.zeros(1))
    with path.open("wb") as file:
        file.truncate(n * 2**20)  # without a byte on the disk
        file.seek(n * 2**20)
        file.write(packed_arrays.getvalue())
        file.write(pixels.END.pack(n, packed_arrays.tell(), pixels.SIGN))
    stored = pixels.read(path, (1024, 1024, 1))
    assert stored.pixels.shape == (n, 1024, 1024, 1)
    assert stored.pixels[-1, -1, -1, 0] == 0


# Loading from the map


def resident(path: Path) -> int:
    """Bytes of a mapped file that count as memory of this process."""
    found = re.findall(
        rf"{re.escape(str(path))}\n(?:\w+: .*\n)*?Rss: +(\d+) kB",
        Path("/proc/self/smaps").read_text(),
    )
    return sum(map(int, found)) * 1024


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A mapped file of 64 images, 12.6 MB, of which 1 MB may be resident."""
    path, rng = tmp_path / "large-1.pixels", np.random.default_rng(0)
    with pixels.Writer(path, (64, 256, 256, 3)) as writer:
        for _ in range(64):
            writer.add(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
        images = writer.finish({}).pixels.transpose(0, 3, 1, 2)
    monkeypatch.setattr(maps, "READ", 2**20)
    monkeypatch.setattr(maps, "BLOCK", 2**20)
    labels = torch.arange(64) % 2
    scale = (0.5,) * 3
    images = torch.from_numpy(images)
    return ImageSet(images, labels, ("cat", "dog"), scale, scale), path


@pytest.mark.skipif(
    not Path("/proc/self/pagemap").exists(), reason="needs Linux's page table"
)
@pytest.mark.parametrize(
    "crop",
    [
        RandomCrop(0, size=224),
        RandomCrop(4, size=224),  # with a border, images are fetched
        RandomResizedCrop(224),
        CenterCrop(224),
    ],
    ids=str,
)
def test_pages_that_were_read_are_given_back(large, monkeypatch, crop):
    images, path = large
    monkeypatch.setattr(store, "PADDED", 0)
    assert resident(path) < 2**20
    images.images.sum()
    assert resident(path) >= 12 * 2**20
    for _ in range(2):
        for _ in images.loader(4, augment=[crop], shuffle=True, device="cpu"):
            pass
        assert resident(path) < 2 * 2**20


def test_what_was_written_to_a_map_stays(large):
    images, path = large
    expected = images.images.clone()
    for value in (7, 9):
        images.images[20] = expected[20] = value
        for _ in range(2):
            loader = images.loader(4, normalize=False, device="cpu")
            seen = torch.cat([x for x, _ in loader])
            assert torch.equal(seen.mul(255).round().to(torch.uint8), expected)
    assert torch.equal(images.images, expected)
    fresh = pixels.read(path, (256, 256, 3)).pixels
    assert (fresh[20] != 9).any()


@pytest.fixture
def mapped(folder):
    rng = np.random.default_rng(0)
    files = {}
    for i in range(12):
        noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).resize((256, 256), 0).save(file, "JPEG")
        files[f"train/{('cat', 'dog')[i % 2]}.{i}.jpg"] = file.getvalue()
    write(folder, files)
    return data.dogs_vs_cats(256)


def test_the_loader_does_not_copy_the_map(mapped):
    for augment in ([], [RandomCrop(0, size=224)], [RandomResizedCrop(224)]):
        loader = mapped.train.loader(4, augment=augment, device="cpu")
        next(iter(loader))
        assert loader._store.images.data_ptr() == mapped.train.images.data_ptr()


@pytest.mark.parametrize(
    "augment",
    [
        [RandomResizedCrop(224), HorizontalFlip()],
        [RandomCrop(0, size=224), HorizontalFlip()],
        [CenterCrop(224)],
    ],
    ids=str,
)
def test_photos_are_cropped_to_224_each_by_its_own_draw(mapped, augment):
    data_ = mapped.train
    loader = data_.loader(8, augment=augment, normalize=False, device="cpu")
    first, second = (next(iter(loader))[0] for _ in range(2))
    assert first.shape == (8, 3, 224, 224)
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(first, second) == isinstance(augment[0], CenterCrop)
    one = data_.take(torch.zeros(8, dtype=torch.long))  # the same photo eight times
    views = next(iter(one.loader(8, augment=augment, device="cpu")))[0]
    different = len(views.flatten(1).unique(dim=0))
    assert different == (1 if isinstance(augment[0], CenterCrop) else 8)


def test_the_central_crop_is_the_middle_of_the_stored_photo(mapped):
    loader = mapped.val.loader(
        1, augment=[CenterCrop(224)], normalize=False, device="cpu"
    )
    image, _ = next(iter(loader))
    expected = mapped.val.images[:1, :, 16:240, 16:240] / 255
    torch.testing.assert_close(image, expected)


# image_folder and the cache


def test_a_folder_of_ones_own_is_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "data"))
    for name in ("a", "b"):
        root = tmp_path / name / "photos"
        write(root, {f"{c}/{i}.jpg": jpeg() for c in ("cat", "dog") for i in range(5)})
    first = data.image_folder(tmp_path / "a" / "photos", 8)
    data.image_folder(tmp_path / "b" / "photos", 8)
    assert len(list((tmp_path / "data" / "cache").iterdir())) == 2
    no_decoding(monkeypatch)
    again = data.image_folder(tmp_path / "a" / "photos", 8, val_fraction=0.3)
    assert sizes(first) == (6, 2, 2)
    assert sizes(again) == (5, 3, 2)


def test_bad_files_are_refused_and_skipped_from_the_cache_too(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "data"))
    write(tmp_path, {f"x/{c}/{i}.jpg": jpeg() for c in "ab" for i in range(9)})
    write(tmp_path, {"x/a/notes.txt": b"no photo"})
    with pytest.raises(CourseError) as caught:
        data.image_folder(tmp_path / "x", 8)
    no_decoding(monkeypatch)
    with pytest.raises(CourseError) as again:
        data.image_folder(tmp_path / "x", 8)
    assert str(again.value) == str(caught.value)
    assert str(tmp_path / "x" / "a" / "notes.txt") + ": no image" in str(again.value)
    assert sum(sizes(data.image_folder(tmp_path / "x", 8, skip_bad=True))) == 18
    assert capsys.readouterr().out.startswith("Left out 1 of 19 files: ")


# The real photos

REAL = Path(os.environ.get("CNN_COURSE_DATA", "no folder"))


@pytest.mark.skipif(
    not (REAL / "dogs_vs_cats" / "train").is_dir(),
    reason="no real Dogs vs. Cats in CNN_COURSE_DATA",
)
def test_real_photos(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    (tmp_path / "dogs_vs_cats").symlink_to((REAL / "dogs_vs_cats").resolve())
    train, val, test, _ = data.dogs_vs_cats(32, source="real")
    for part in (train, val, test):
        assert part.labels.bincount().tolist() == [len(part) // 2] * 2
    assert train.mean == pytest.approx((0.489, 0.453, 0.416), abs=0.005)
