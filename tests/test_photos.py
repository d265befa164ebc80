"""Photos: found in folders and zips, decoded whatever they are, kept in one map."""

from __future__ import annotations

import io
import os
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from utils import data, photos
from utils.augment import HorizontalFlip, RandomCrop, RandomResizedCrop
from utils.course import CourseError
from utils.photos import decode_photo

RED, BLUE = (200, 30, 30), (30, 30, 200)  # cats are red here, dogs are blue
REAL = Path(os.environ.get("CNN_COURSE_DATA", "no folder"))
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder for cats and dogs, at scale small, with no network."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    monkeypatch.setenv("CNN_COURSE_SCALE", "small")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    dead = photos.MICROSOFT._replace(urls=("http://127.0.0.1:9/nobody-listens",))
    monkeypatch.setattr(photos, "MICROSOFT", dead)
    (tmp_path / "dogs_vs_cats").mkdir()
    return tmp_path / "dogs_vs_cats"


def jpeg(colour=RED, size=(40, 30), **options) -> bytes:
    file, image = io.BytesIO(), Image.new("RGB", size, colour)
    image.paste((128, 128, 128), (0, 0, size[0], size[1] // 5))
    image.save(file, "JPEG", **options)
    return file.getvalue()


def noise(side: int = 12) -> bytes:
    """A PNG of which there is no second."""
    file = io.BytesIO()
    pixels = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
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


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def classes(folder: Path, **counts: int) -> Path:
    """Images by class: `cat=5`; `train__cat=5` for one in a part."""
    for name, n in counts.items():
        place = name.replace("__", "/")
        write(folder, {f"{place}/{i}.png": noise() for i in range(n)})
    return folder


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

    monkeypatch.setattr(photos, "_decode_all", refuse)


# Dogs vs. Cats

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
                "train.zip": packed(kaggle(), zipfile.ZIP_STORED),
            }
        )
    },
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
    no_decoding(monkeypatch)
    again = data.dogs_vs_cats(16)
    assert torch.equal(again.train.images, splits.train.images)
    assert (again.train.mean, again.train.std) == (splits.train.mean, splits.train.std)
    assert len(stores(folder)) == 1
    assert capfd.readouterr() == ("", "")


def test_microsofts_zip_is_verified(folder, monkeypatch):
    content = packed(petimages())
    write(folder, {photos.MICROSOFT.name: content})
    with pytest.raises(CourseError, match=r"kagglecats.*zip is damaged"):
        data.dogs_vs_cats(8)
    known = photos.MICROSOFT._replace(
        checksum=photos.hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setattr(photos, "MICROSOFT", known)
    check_labels(data.dogs_vs_cats(16))


def test_parts_that_say_a_class_are_kept_and_others_not_used(folder):
    more = {"originals/train/cat.99.jpg": jpeg(BLUE), "test1/1.jpg": jpeg()}
    write(folder, kaggle(10, test=3) | more | {"@eaDir/cat.1.jpg": jpeg(BLUE)})
    splits = data.dogs_vs_cats(16)
    assert sizes(splits) == (18, 2, 6)
    check_labels(splits)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/cat.0.jpg", ("train", 0)),
        ("train/DOG.7.JPG", ("train", 1)),
        ("test/dog.7.jpg", ("test", 1)),
        ("PetImages/Dog/7.jpg", ("train", 1)),
        ("validation/cats/cat.7.jpg", ("val", 0)),
        ("test1/7.jpg", None),
        ("train/category.jpg", None),
        ("PetImages/Cat/Thumbs.db", None),
        ("__MACOSX/PetImages/Cat/._7.jpg", None),
        ("cat.jpg", ("train", 0)),
    ],
)
def test_a_name_says_part_and_class(tmp_path, name, expected):
    write(tmp_path, {name: b""})
    found = [photo[:2] for photo in photos._by_name(tmp_path)]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize("name", ["train.zip", "dogs-vs-cats.zip"])
def test_a_damaged_zip_says_what_to_do(folder, name):
    write(folder, {name: b"PK no zip at all"})
    with pytest.raises(CourseError, match=rf"{name} cannot be unpacked.*there"):
        data.dogs_vs_cats()


def test_bad_members_of_a_zip_are_skipped_counted_and_named_once(folder, capsys):
    more = {"train/cat.no.jpg": b"no photo", "train/dog.3.jpg": jpeg()[:300]}
    write(folder, {"train.zip": packed(kaggle() | more)})
    assert sum(sizes(data.dogs_vs_cats(8))) == 19
    line = capsys.readouterr().out
    assert line.startswith("Left out 2 of 21 files: ")
    assert "cat.no.jpg: no image" in line
    assert "dog.3.jpg: damaged or unreadable" in line


def test_one_animal_is_not_enough(folder):
    write(folder, {name: x for name, x in kaggle().items() if "cat" in name})
    with pytest.raises(CourseError, match="too few are left to train on: none of dog"):
        data.dogs_vs_cats(8)


@pytest.mark.parametrize("size", [0, -1, 2.5, "64"])
def test_a_size_that_is_none_is_refused(folder, size):
    write(folder, kaggle())
    with pytest.raises(CourseError, match="is no side in pixels"):
        data.dogs_vs_cats(size)


# Folders of one's own: which folder is what

PARTS = {  # folder -> images of each of two classes; and the parts' sizes
    "Training Testing": (18, 2, 20),
    "training_set test_set": (18, 2, 20),
    "seg_train seg_test": (18, 2, 20),
    "train_images val_images": (18, 20, 2),
    "TrainData ValidationData": (18, 20, 2),
    "train2017 val2017": (18, 20, 2),
    "TRAIN TEST": (18, 2, 20),
    "trainset devset": (18, 20, 2),
    "train val test": (20, 20, 20),
    "train": (16, 2, 2),
}


@pytest.mark.parametrize("names", PARTS)
@pytest.mark.parametrize("twice", [False, True], ids=["", "packed twice"])
def test_parts_are_known_by_the_stems_of_their_names(tmp_path, names, twice):
    root = tmp_path / "photos"
    for name in names.split():
        place = root / name / name if twice else root / name
        classes(place, cat=10, dog=10)
    splits = data.image_folder(root, 8, val_fraction=0.1, test_fraction=0.1)
    assert splits.classes == ("cat", "dog")
    assert sizes(splits) == PARTS[names]


REFUSED = {
    "holds classes, but its name": {"train__a": 9, "train__b": 9, "holdout__a": 5},
    "its name says neither train": {"train__a": 9, "train__b": 9, "unseen__b": 1},
    "but its name says neither": {"Training__a": 9, "Training__b": 9, "eval__a": 2},
    "two folders for val": {
        f"{part}__{kind}": 5 for part in ("train", "val", "valid") for kind in "ab"
    },
    "no train with a folder for each class": {"train": 5, "test": 5},
    "is a class that train lacks": {
        "train__cat": 9,
        "train__dog": 9,
        "test__cow": 5,
    },
    "has parts, but no train with": {
        f"{kind}__{part}": 5 for kind in ("cat", "dog") for part in ("train", "test")
    },
    "holds 1 folders. Put": {"cat": 5},
    "holds 0 folders. Put": {},
    "too few are left to train on: none of": {"cat": 1, "dog": 1, "owl": 1},
    "of 3 images, too few": {"cat": 2, "dog": 1},
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_cannot_be_divided_is_refused(tmp_path, said):
    root = tmp_path / "photos"
    root.mkdir()
    with pytest.raises(CourseError, match=said):
        data.image_folder(classes(root, **REFUSED[said]), 8)


def test_a_class_may_be_called_train_and_have_no_images(tmp_path):
    root = classes(tmp_path / "photos", bus=5, train=5)
    assert data.image_folder(root, 8).classes == ("bus", "train")
    (root / "car").mkdir()
    with pytest.raises(CourseError, match=r"car holds no images\. Add some, or rem"):
        data.image_folder(root, 8)
    with pytest.raises(CourseError, match=r"no folder .*nowhere.* Check it"):
        data.image_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("other", ["test", "predict", "labels", "Bus"])
def test_what_is_passed_over_beside_train_is_printed(tmp_path, other, capsys):
    root = classes(tmp_path / "photos", train__cat=9, train__dog=9, **{other: 3})
    assert sum(sizes(data.image_folder(root, 8))) == 18
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith("Passed over in ")
    assert said.endswith(f"since they hold no classes: {other}.\n")


SYSTEM = ("@eaDir/cat", "$RECYCLE.BIN/x", "lost+found/a", "__MACOSX/cat", ".git/x")
SYSTEM += ("cat/@eaDir/0.png", "dog/more/@eaDir", "#recycle/cat", "cat/.thumbnails")
SYSTEM += ("System Volume Information/x", "__pycache__")


@pytest.mark.parametrize("place", SYSTEM)
def test_folders_of_the_system_are_neither_classes_nor_photos(tmp_path, place, capsys):
    root = classes(tmp_path / "photos", **{"cat": 9, "dog": 9, place: 3})
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", ".hidden.png"):
        write(root, {f"cat/{name}": b"no image"})
    splits = data.image_folder(root, 8)
    assert (splits.classes, sum(sizes(splits))) == (("cat", "dog"), 18)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and odd names")
def test_links_and_names_of_any_kind(tmp_path):
    root = classes(tmp_path / "photos", **{"<b>cat</b>": 5, "a$b$": 5, "50 %": 4})
    (root / "50 %" / "deeper").mkdir()
    write(root, {"50 %/deeper/4.PnG": noise()})
    (root / "50 %" / "round").symlink_to(root, target_is_directory=True)
    (root / "a$b$" / "nowhere.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(CourseError, match=r"1 of 16 files:\n.*nowhere\.png: damaged"):
        data.image_folder(root, 8)
    assert sum(sizes(data.image_folder(root, 8, skip_bad=True))) == 15


def test_images_and_labels_belong_together_and_the_split_repeats(tmp_path):
    root = classes(tmp_path / "photos", cat=20, dog=20)
    splits = data.image_folder(str(root), 12)
    found = {}
    for part in (splits.train, splits.val, splits.test):
        assert part.labels.bincount().tolist() == [len(part) // 2] * 2
        for image, label in zip(part.images, part.labels, strict=True):
            found[image.permute(1, 2, 0).numpy().tobytes()] = part.classes[label]
    files = list(root.rglob("*.png"))
    assert found == {decode_photo(p).tobytes(): p.parent.name for p in files}
    assert sizes(splits) == (28, 6, 6)
    again, other = (data.image_folder(root, 12, seed=seed) for seed in (0, 1))
    assert torch.equal(again.test.images, splits.test.images)
    assert not torch.equal(other.test.images, splits.test.images)


# What is in the files


def smooth(height: int = 40, width: int = 60) -> np.ndarray:
    """A picture without edges, so that JPEG hardly changes it: uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    channels = [20 + 3 * x, 230 - 4 * y, 60 + x + y]
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def test_photo_is_resized_and_its_centre_kept(tmp_path):
    # Left and right thirds would show if the shape were squeezed into the square.
    image = np.zeros((30, 90, 3), np.uint8)
    for third, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        image[:, 30 * third : 30 * (third + 1)] = colour
    read = decode_photo(saved(tmp_path / "a.png", Image.fromarray(image)), size=10)
    assert read.shape == (10, 10, 3)
    assert (read[:, 1:-1] == (0, 255, 0)).all()
    picture = Image.fromarray(smooth(60, 60)).resize((900, 900))
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), int)
    path = saved(tmp_path / "a.jpg", picture, quality=95)  # its detail is not decoded
    assert np.abs(decode_photo(path, size=32) - expected).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_respected(tmp_path, orientation):
    turns = [None, *(Image.Transpose(k) for k in (0, 3, 1, 5, 2, 6, 4))]
    turns[6], turns[8 - 1] = Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_270
    turns[5] = Image.Transpose.ROTATE_90
    upright, turn = Image.fromarray(smooth()), turns[orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if turn is None else upright.transpose(turn)
    path = saved(tmp_path / "a.png", stored, exif=exif)
    assert np.array_equal(decode_photo(path), smooth())


def test_modes_become_rgb(tmp_path):
    picture = Image.fromarray(smooth())
    for mode, off in {"RGB": 0, "L": 0, "P": 0, "1": 0, "LA": 0, "RGBA": 0}.items():
        converted = picture.convert(mode)
        read = decode_photo(saved(tmp_path / f"{mode}.png", converted))
        expected = np.asarray(converted.convert("RGB"), int)
        assert np.abs(read - expected).max() <= off
    path = saved(tmp_path / "a.jpg", picture.convert("CMYK"), quality=98)
    assert np.abs(decode_photo(path).astype(int) - smooth()).max() <= 12
    assert decode_photo(path, size=16).shape == (16, 16, 3)
    levels = np.array([[0, 128, 257, 1000, 32768, 65278, 65535]], np.uint16)
    for suffix in ("png", "tif"):
        path = saved(tmp_path / f"16 bits.{suffix}", Image.fromarray(levels))
        assert decode_photo(path)[0, :, 0].tolist() == [0, 0, 1, 4, 128, 254, 255]
    for values in (np.ones((4, 4), np.float32), np.full((4, 4), 2**20, np.int32)):
        path = saved(tmp_path / "a.tif", Image.fromarray(values))
        with pytest.raises(ValueError, match="no known range"):
            decode_photo(path)


def test_what_is_transparent_becomes_white(tmp_path):
    for transparency in (0, bytes([0, 255])):
        image = Image.new("P", (8, 4), 0)
        image.putpalette([10, 20, 30, 200, 100, 50])
        image.paste(1, (4, 0, 8, 4))
        read = decode_photo(saved(tmp_path / "a.png", image, transparency=transparency))
        assert (read[:, :4] == 255).all()
        assert (read[:, 4:] == (200, 100, 50)).all()
    half = saved(tmp_path / "b.png", Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert np.abs(decode_photo(half).astype(int) - 127).max() <= 1


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "lime", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    more = {"save_all": True, "append_images": frames[1:], **options}
    path = saved(tmp_path / f"a.{suffix}", frames[0], **more)
    assert (decode_photo(path) == (255, 0, 0)).all()


def cut(kind: str) -> bytes:
    file = io.BytesIO()
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()[: file.tell() // 2]


def huge(side: int = 15_000) -> bytes:
    """A small file of more pixels than Pillow opens."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


BAD = {  # content -> what is said of it
    "empty": (b"", "an empty file"),
    "text": (b"hello", "no image, or of a kind unknown"),
    "zeros": (bytes(999), "no image, or of a kind unknown"),
    "heic": (
        b"\0\0\0\x18ftypheic" + bytes(99),
        "HEIC: convert to JPEG or install pill",
    ),
    "heif": (
        b"\0\0\0\x18ftypmif1" + bytes(99),
        "HEIC: convert to JPEG or install pill",
    ),
    "film": (b"\0\0\0\x18ftypisom" + bytes(99), "a film: leave it out"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer"),
    "page": (b"<!DOCTYPE html><html>", "a web page or a drawing"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "a web page or a drawing"),
    "pdf": (b"%PDF-1.7", "a web page or a drawing"),
    "zip": (packed({"a": b"b"}), "no image, or of a kind unknown"),
    **{kind: (cut(kind), "damaged or unreadable") for kind in ("JPEG", "PNG", "GIF")},
    **{kind: (cut(kind), "damaged or unreadable") for kind in ("BMP", "TIFF", "WEBP")},
    "bomb": (huge(), "damaged or unreadable (Image size (225000000 pixels)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_with_its_kind_and_left_out_on_request(
    tmp_path, kind, capsys
):
    root, (content, said) = classes(tmp_path / "photos", cat=5, dog=5), BAD[kind]
    write(root, {"cat/odd.jpg": content})
    with pytest.raises(CourseError) as caught:
        data.image_folder(root, 8)
    assert str(caught.value).startswith("Not to be used: 1 of 11 files:")
    assert f"{root / 'cat' / 'odd.jpg'}: {said}" in str(caught.value)
    assert "skip_bad=True" in str(caught.value)
    for _ in range(2):  # the second time from the cache
        assert sum(sizes(data.image_folder(root, 8, skip_bad=True))) == 10
        line = capsys.readouterr().out
        assert line.startswith("Left out 1 of 11 files: ")
        assert said in line
        assert line.count("\n") == 1


def test_many_bad_files_are_counted_and_names_are_escaped(tmp_path):
    root = classes(tmp_path / "photos", cat=5, dog=5)
    write(root, {f"cat/\x1b[31mbad{i}.jpg": b"no" for i in range(7)})
    with pytest.raises(CourseError) as caught:
        data.image_folder(root, 8)
    message = str(caught.value)
    assert message.startswith("Not to be used: 7 of 17 files:")
    assert "\\x1b[31mbad4.jpg: no image" in message
    assert "bad5" not in message
    assert "and 2 more" in message
    assert "\x1b" not in message


def icon(colour: str, ground: tuple, mode: str = "RGBA"):
    image = Image.new(mode, (32, 32), ground)
    image.paste(colour, (8, 8, 24, 20))
    return image


FLAT = {  # what a set without contrast is made of, and what is said of it
    "white on transparent": (
        icon("white", (0,) * 4),
        "20 of 20 images in .* of one co",
    ),
    "one grey": (Image.new("L", (32, 32), 7), "20 of 20 images in .* of one colour"),
    "12 bits in 16": (
        Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)),
        "20 of 20 images in",
    ),
    "black on transparent": (icon("black", (0,) * 4), ""),
    "14 bits in 16": (
        Image.fromarray(np.arange(128**2, dtype=np.uint16).reshape(128, 128) + 100),
        "",
    ),
}


@pytest.mark.parametrize("kind", FLAT)
def test_a_set_without_contrast_is_said_so_in_one_line(tmp_path, kind, capsys):
    image, said = FLAT[kind]
    for i in range(20):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png")
    for _ in range(2):  # the second time from the cache
        data.image_folder(tmp_path / "photos", 64)
        line = capsys.readouterr().out
        assert line.count("\n") == bool(said)
        assert re.search(said, line)


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
        values = train.images.double() / 255
        std = values.std((0, 2, 3), correction=0)
        assert (train.mean, train.std) == (
            pytest.approx(values.mean((0, 2, 3)).tolist(), abs=5.1e-5),
            pytest.approx(std.tolist(), abs=5.1e-5),
        )
        assert test.mean == train.mean
    assert len(stores(folder)) == 1


def test_a_changed_photo_and_other_options_make_another_file(folder):
    write(folder, kaggle())
    first = data.dogs_vs_cats(8)
    data.dogs_vs_cats(16)
    data.dogs_vs_cats(8, seed=1)
    old = set(stores(folder))
    assert len(old) == 3
    write(folder, {"train/cat.0.jpg": jpeg(RED, (50, 50))})  # another size and time
    assert data.dogs_vs_cats(8).train.images.shape[2:] == (8, 8)
    assert set(stores(folder)) == old
    (folder / "train" / "dog.9.jpg").unlink()
    assert sum(sizes(data.dogs_vs_cats(8))) == sum(sizes(first)) - 1


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "long", "text"])
def test_a_damaged_or_half_written_file_is_made_again(folder, damage):
    write(folder, kaggle())
    expected = data.dogs_vs_cats(8).train.images.clone()
    (path,) = stores(folder)
    content = path.read_bytes()
    spoilt = {"empty": b"", "cut": content[:-99], "zeros": bytes(len(content))}
    path.write_bytes(
        spoilt.get(damage, content + b"more" if damage == "long" else b"x")
    )
    assert torch.equal(data.dogs_vs_cats(8).train.images, expected)
    assert path.read_bytes() == content


def test_a_folder_that_takes_no_file_is_no_hindrance(
    folder, monkeypatch, capsys, tmp_path_factory
):
    write(folder, kaggle())
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(photos.tempfile, "tempdir", str(elsewhere))
    (folder.parent / "cache").write_text("a file where the folder should be")
    check_labels(data.dogs_vs_cats(8))
    assert capsys.readouterr().out.startswith("The data folder takes no file (")
    assert len(list(elsewhere.iterdir())) == 1


def test_no_room_half_way_says_what_to_do_and_leaves_nothing(folder, monkeypatch):
    write(folder, kaggle())

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photos.json, "dumps", full)
    with pytest.raises(CourseError, match=r"\(No space left on device\)\. Free some"):
        data.dogs_vs_cats(8)
    assert stores(folder) == []


def test_the_map_may_be_written_to_and_the_file_stays(folder):
    write(folder, kaggle())
    first = data.dogs_vs_cats(8).train
    first.images.zero_()
    assert data.dogs_vs_cats(8).train.images.sum() > 0


# Photos in a loader


@pytest.fixture
def mapped(folder):
    names = (f"train/{('cat', 'dog')[i % 2]}.{i}.jpg" for i in range(12))
    write(folder, {name: noise(256) for name in names})
    return data.dogs_vs_cats(256)


def test_the_loader_does_not_copy_the_map(mapped):
    for augment in ([], [RandomCrop(0, size=224)], [RandomResizedCrop(224)]):
        loader = mapped.train.loader(4, augment=augment, device="cpu")
        next(iter(loader))
        assert loader._images.data_ptr() == mapped.train.images.data_ptr()


@pytest.mark.parametrize(
    "augment",
    [
        [RandomResizedCrop(224), HorizontalFlip()],
        [RandomCrop(0, size=224), HorizontalFlip()],
    ],
    ids=str,
)
def test_photos_are_cropped_to_224_each_by_its_own_draw(mapped, augment):
    loader = mapped.train.loader(8, augment=augment, device="cpu")
    first, second = (next(iter(loader))[0] for _ in range(2))
    assert first.shape == (8, 3, 224, 224)
    assert not torch.equal(first, second)
    one = mapped.train.take(torch.zeros(8, dtype=torch.long))  # one photo eight times
    views = next(iter(one.loader(8, augment=augment, device="cpu")))[0]
    assert len(views.flatten(1).unique(dim=0)) == 8


@pytest.mark.skipif(
    not (REAL / "dogs_vs_cats" / "train").is_dir(),
    reason="no real Dogs vs. Cats in CNN_COURSE_DATA",
)
def test_real_photos(folder):
    folder.rmdir()
    folder.symlink_to((REAL / "dogs_vs_cats").resolve())
    train, val, test, _ = data.dogs_vs_cats(32, source="real")
    for part in (train, val, test):
        assert part.labels.bincount().tolist() == [len(part) // 2] * 2
    assert train.mean == pytest.approx((0.489, 0.453, 0.416), abs=0.005)
