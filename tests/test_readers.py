"""Files that data sets come in: good ones, damaged ones, and forged ones."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.course import CourseError
from utils.datasets import readers
from utils.datasets.cifar import read_cifar10, read_cifar_batch
from utils.datasets.readers import read_idx, read_photo

RNG = np.random.default_rng(0)


# IDX


def idx(values: np.ndarray, *, magic: int | None = None) -> bytes:
    header = struct.pack(">I", magic or 0x0800 + values.ndim)
    return header + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.mark.parametrize("shape", [(7,), (7, 5, 4)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx(tmp_path, shape, pack):
    values = RNG.integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "values"
    path.write_bytes(pack(idx(values)))
    read = read_idx(path)
    assert read.dtype == np.uint8
    assert np.array_equal(read, values)
    read[0] = 0  # it is ours to change


VALUES = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file of bytes: it begins with none"),
        (b"<html>404", "it begins with 3c68746d"),
        (idx(VALUES, magic=0x0D03), "it begins with 00000d03"),  # 32-bit floats
        (idx(VALUES)[:9], "no IDX file"),
        (idx(VALUES)[:3], "no IDX file"),
        (idx(VALUES)[:-1], r"59 values follow where its header says 60 \(5 x 4 x 3\)"),
        (idx(VALUES) + b"!", "61 values follow"),
        (gzip.compress(idx(VALUES))[:-20], "cannot be read"),
        (gzip.compress(idx(VALUES))[:12] + bytes(40), "cannot be read"),
        (struct.pack(">101I", 0x0800 + 100, *[1] * 100) + b"!", "no array has the"),
        (struct.pack(">4I", 0x0803, 0, 2**32 - 1, 2**32 - 1), "no array has the"),
    ],
    # Named, since gzip writes the time: two test processes would see other tests.
    ids=[
        "empty",
        "page",
        "floats",
        "header",
        "three",
        "short",
        "long",
        "cut",
        "zeros",
        "dimensions",
        "endless",
    ],
)
def test_a_wrong_idx_file_is_named_with_its_remedy(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "Delete it and run again" in str(caught.value)


# CIFAR-10's batch files


def batch(n: int = 6, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
    return {"data": data, "labels": rng.integers(0, 10, n).tolist()}


def old_style(content: dict) -> bytes:
    """Write a batch as Python 2 did, byte for byte: all text as bytes."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    n, width = content["data"].shape
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
    array += text(b"b") + b"\x87R(K\x01" + b"M" + struct.pack("<H", n)
    array += b"M" + struct.pack("<H", width) + b"\x86" + dtype + b"\x89"
    array += text(content["data"].tobytes()) + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([i]) for i in content["labels"]) + b"e"
    return b"\x80\x02}(" + text(b"labels") + labels + text(b"data") + array + b"u."


def forms() -> dict[str, bytes]:
    content = batch()
    found = {f"protocol {p}": pickle.dumps(content, protocol=p) for p in range(6)}
    found["Python 2"] = old_style(content)
    columns = {**content, "data": np.asfortranarray(content["data"])}
    found["columns first, 2"] = pickle.dumps(columns, protocol=2)
    found["columns first, 5"] = pickle.dumps(columns, protocol=5)
    labels = {**content, "labels": np.array(content["labels"])}
    found["labels in an array"] = pickle.dumps(labels)
    for name, blob in list(found.items()):
        other = (b"numpy._core.", b"numpy.core.")
        if other[0] in blob and b"\x8c" not in blob:  # length-prefixed names stay
            found[name + ", NumPy 1"] = blob.replace(*other)
    return found


@pytest.mark.parametrize("form", forms())
def test_a_batch_file_however_it_was_written(form):
    content = batch()
    images, labels = read_cifar_batch(io.BytesIO(forms()[form]), form)
    assert images.shape == (6, 3, 32, 32)
    assert np.array_equal(images.reshape(6, -1), content["data"])
    assert labels.dtype == np.int64
    assert labels.tolist() == content["labels"]


def test_what_python_2_wrote_is_written_here_as_well():
    usual = pickle.loads(old_style(batch()), encoding="latin1")
    assert np.array_equal(usual["data"], batch()["data"])


class Attack:
    """Runs something when it is loaded as pickles usually are."""

    def __init__(self, function, *arguments) -> None:
        self.how = function, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize(
    "attack",
    [
        (os.system, "echo hello > {}"),
        (eval, "open({!r}, 'w')"),
        (exec, "open({!r}, 'w')"),
        (open, "{}", "w"),
        (np.save, "{}", [1]),
    ],
    ids=lambda attack: attack[0].__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_pickle_runs_nothing(tmp_path, attack, protocol):
    victim = tmp_path / "victim.npy"
    function, *arguments = attack
    arguments = [a.format(str(victim)) if isinstance(a, str) else a for a in arguments]
    content = {**batch(), "extra": Attack(function, *arguments)}
    blob = pickle.dumps(content, protocol=protocol)
    with pytest.raises(CourseError, match=r"bad_batch is no batch.*it asks for"):
        read_cifar_batch(io.BytesIO(blob), "bad_batch")
    assert not victim.exists()
    pickle.loads(blob)  # the attack is a real one
    assert victim.exists()


def test_an_array_of_forged_pointers_is_refused():
    # NumPy's own constructor takes these bytes for the addresses of Python objects.
    forged = b"cnumpy\nndarray\n(K\x01\x85cnumpy\ndtype\nU\x01O\x85R"
    forged += b"U\x08\x08" + bytes(7) + b"tR"
    for blob in (b"}(U\x04data" + forged + b"u.", pickle.dumps({"data": [None]})):
        with pytest.raises(CourseError):
            read_cifar_batch(io.BytesIO(b"\x80\x02" + blob), "forged")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((6, 3072), np.float32)}, "float32"),
        ({"data": np.zeros((6, 100), np.uint8)}, r"\(6, 100\), 6 labels"),
        ({"labels": [0] * 5}, r"\(6, 3072\), 5 labels"),
        ({"labels": [0] * 5 + [10]}, "labels from 0 to 10"),
        ({"labels": [-1] + [0] * 5}, "labels from -1"),
        ({"labels": ["cat"] * 6}, "no whole numbers"),
        ({"labels": [[1, 2]] * 6}, "no whole numbers"),
        ({"labels": np.full(6, 0.5)}, "labels of float64, in 1 dimensions"),
        ({"data": "none"}, "no attribute"),
        ({"data": np.array([None] * 6)}, "is no batch file"),
    ],
)
def test_a_batch_of_other_content_is_refused(change, message):
    blob = pickle.dumps({**batch(), **change})
    with pytest.raises(CourseError, match=message):
        read_cifar_batch(io.BytesIO(blob), "batch")


@pytest.mark.parametrize("blob", [b"", b"<html>", pickle.dumps(batch())[:-500], b"]."])
def test_a_damaged_batch_is_named_with_its_remedy(blob):
    with pytest.raises(CourseError, match=r"here/data_batch_1 is no.*Delete it"):
        read_cifar_batch(io.BytesIO(blob), "here/data_batch_1")


# CIFAR-10 as a whole

FILES = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]


def cifar_files(n: int = 4) -> dict[str, bytes]:
    return {name: old_style(batch(n, seed)) for seed, name in enumerate(FILES)}


def archive(path: Path, files: dict[str, bytes], folder: str = "cifar-10-batches-py"):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_from_its_folder_and_from_its_archive(tmp_path, packed):
    files = cifar_files()
    path = tmp_path / ("c.tar.gz" if packed else "cifar-10-batches-py")
    if packed:
        archive(path, {"readme.html": b"hello", **files})
    else:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    parts = read_cifar10(path)
    images, labels = parts["train"]
    expected = [batch(4, seed) for seed in range(5)]
    assert np.array_equal(
        images.reshape(20, -1), np.concatenate([part["data"] for part in expected])
    )
    assert labels.tolist() == [y for part in expected for y in part["labels"]]
    assert parts["test"][1].tolist() == batch(4, 5)["labels"]
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked


def test_unsafe_members_of_an_archive_lead_nowhere(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(cifar_files()["test_batch"])
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in list(cifar_files().items())[:5]:
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("cifar-10-batches-py/test_batch")
            link.type, link.linkname = kind, str(secret)
            tar.addfile(link)
        escape = tarfile.TarInfo("../../escaped")
        tar.addfile(escape)
    with pytest.raises(CourseError, match=r"evil\.tar\.gz holds no test_batch"):
        read_cifar10(path)
    assert not (tmp_path.parent.parent / "escaped").exists()


def test_a_truncated_archive(tmp_path):
    path = archive(tmp_path / "c.tar.gz", cifar_files(40))
    whole = path.read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) * 3 // 4):
        path.write_bytes(whole[:keep])
        with pytest.raises(CourseError, match=r"c\.tar\.gz.*Delete it and run again"):
            read_cifar10(path)


def test_missing_files_are_named(tmp_path):
    files = cifar_files()
    del files["data_batch_3"], files["test_batch"]
    with pytest.raises(CourseError, match="holds no data_batch_3, test_batch"):
        read_cifar10(archive(tmp_path / "c.tar.gz", files))


@pytest.mark.skipif(
    not (Path(os.environ.get("CNN_COURSE_DATA", "-")) / "cifar-10-batches-py").is_dir(),
    reason="no real CIFAR-10 in CNN_COURSE_DATA",
)
def test_real_cifar10_equals_torchvisions():
    datasets = pytest.importorskip("torchvision.datasets")
    root = Path(os.environ["CNN_COURSE_DATA"])
    images, labels = read_cifar10(root / "cifar-10-batches-py")["test"]
    theirs = datasets.CIFAR10(root, train=False)
    assert np.array_equal(images.transpose(0, 2, 3, 1), theirs.data)
    assert labels.tolist() == theirs.targets


# Photos


def smooth(height: int = 40, width: int = 60) -> np.ndarray:
    """A picture without edges, so that JPEG hardly changes it: uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    channels = [20 + 3 * x, 230 - 4 * y, 60 + x + y]
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def test_rgb_is_read_as_it_is(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(smooth()))
    assert np.array_equal(read_photo(path), smooth())


def test_photo_is_resized_and_its_centre_kept(tmp_path):
    # Left and right thirds would show if the shape were squeezed into the square.
    image = np.zeros((30, 90, 3), np.uint8)
    for third, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
        image[:, 30 * third : 30 * (third + 1)] = colour
    read = read_photo(saved(tmp_path / "a.png", Image.fromarray(image)), size=10)
    assert read.shape == (10, 10, 3)
    assert (read[:, 1:-1] == (0, 255, 0)).all()
    path = saved(tmp_path / "b.png", Image.fromarray(smooth(32, 32)))
    assert np.array_equal(read_photo(path, size=32), smooth(32, 32))


def test_large_jpeg_is_close_to_a_full_resize(tmp_path):
    picture = Image.fromarray(smooth(60, 60)).resize((900, 900))
    path = saved(tmp_path / "a.jpg", picture, quality=95)
    expected = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), int)
    assert np.abs(read_photo(path, size=32) - expected).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_respected(tmp_path, orientation):
    upright = Image.fromarray(smooth())
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", stored, exif=exif)
    assert np.array_equal(read_photo(path), smooth())


def test_cmyk_jpeg(tmp_path):
    path = saved(
        tmp_path / "a.jpg", Image.fromarray(smooth()).convert("CMYK"), quality=98
    )
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    assert np.abs(read_photo(path).astype(int) - smooth()).max() <= 12
    assert read_photo(path, size=16).shape == (16, 16, 3)


def test_grey(tmp_path):
    grey = smooth()[:, :, 0]
    read = read_photo(saved(tmp_path / "a.png", Image.fromarray(grey)))
    assert np.array_equal(read, np.repeat(grey[:, :, None], 3, 2))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_cut_off(tmp_path, suffix):
    levels = np.array([[0, 128, 257, 1000, 32768, 65278, 65535]], np.uint16)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(levels))
    assert read_photo(path)[0, :, 0].tolist() == [0, 0, 1, 4, 128, 254, 255]


def test_brightness_without_a_known_range_is_refused(tmp_path):
    for values in (np.ones((4, 4), np.float32), np.full((4, 4), 2**20, np.int32)):
        path = saved(tmp_path / "a.tif", Image.fromarray(values))
        with pytest.raises(CourseError, match="no known range"):
            read_photo(path)


def test_palette(tmp_path):
    image = Image.fromarray(smooth()).quantize(16)
    path = saved(tmp_path / "a.png", image)
    assert np.array_equal(read_photo(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_palette_with_transparency_becomes_white(tmp_path, transparency):
    image = Image.new("P", (8, 4), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (4, 0, 8, 4))
    path = saved(tmp_path / "a.png", image, transparency=transparency)
    read = read_photo(path)
    assert (read[:, :4] == 255).all()
    assert (read[:, 4:] == (200, 100, 50)).all()


def test_half_transparent_pixels_are_laid_over_white(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert np.abs(read_photo(path).astype(int) - 127).max() <= 1


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_first_frame_of_an_animation_and_one_line_about_it(tmp_path, capsys, suffix):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "lime", "blue")]
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert (read_photo(path) == (255, 0, 0)).all()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{path} has 3 frames; the first one is used."]
    told: list[str] = []
    read_photo(path, tell=told.append)
    assert told == lines


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_truncated_files(tmp_path, kind):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / f"cut.{kind}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        CourseError, match=f"cut.{kind}: damaged or unreadable"
    ) as caught:
        read_photo(path, size=32)
    assert "copy it again, or leave it out" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%PDF-1.7", b"\xff\xd8", bytes(999)]
)
def test_files_that_are_no_image(tmp_path, content):
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=r"notes\.jpg: no image.*leave it out"):
        read_photo(path)


def test_a_missing_photo(tmp_path):
    with pytest.raises(CourseError, match=r"x\.jpg: there is no such file"):
        read_photo(tmp_path / "x.jpg")


def test_a_large_cameras_jpeg_is_read_in_little_memory(tmp_path):
    large = Image.new("L", (12_000, 9_000), 200)  # 108 million pixels
    plain, progressive = tmp_path / "plain.jpg", tmp_path / "progressive.jpg"
    large.save(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (read_photo(plain, size=64) == 200).all()
    for options in ({"size": None}, {"size": 64}):
        path = progressive if options["size"] else plain
        large.save(progressive, progressive=True)
        with pytest.raises(CourseError, match="more than 89 million pixels"):
            read_photo(path, **options)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_decompression_bomb_is_not_opened(tmp_path, side):
    path = saved(tmp_path / "bomb.png", Image.new("1", (side, side)))
    assert path.stat().st_size < 100_000
    with pytest.raises(CourseError, match=r"bomb\.png: more than 89 million pixels"):
        read_photo(path, size=64)


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
showpage
"""


def iptc(content: bytes) -> bytes:
    """A picture in an IPTC file, which gives Pillow the content to open."""
    fields = {(3, 60): b"\1\0", (3, 20): b"\0\x08", (3, 30): b"\0\x08"}
    fields |= {(3, 120): b"\x05", (8, 10): content}
    return b"".join(
        bytes([0x1C, *field]) + struct.pack(">H", len(value)) + value
        for field, value in fields.items()
    )


@pytest.mark.parametrize("pack", [bytes, iptc])
def test_no_picture_starts_another_program(tmp_path, monkeypatch, pack):
    started = []
    monkeypatch.setattr(
        "PIL.EpsImagePlugin.Ghostscript",
        lambda *args, **options: started.append(args) or Image.new("L", (8, 8)).im,
    )
    path = tmp_path / "9.jpg"
    path.write_bytes(pack(EPS))
    with Image.open(path) as image:
        image.load()
    assert started.pop()  # Pillow alone would
    with pytest.raises(CourseError, match=r"9\.jpg: no image, or of a kind unknown"):
        read_photo(path)
    assert not started


@pytest.mark.parametrize(
    ("kind", "options", "size", "most"),
    [
        ("png", {}, None, 1),
        ("png", {}, 8, 1),
        ("jpg", {"progressive": True}, 8, 1),
        ("jpg", {}, None, 1),
        ("jpg", {}, 8, 3),  # only an eighth of it is decoded
    ],
)
def test_large_pictures_are_decoded_one_at_a_time(
    tmp_path, monkeypatch, kind, options, size, most
):
    at_once, seen = [], []
    known = readers._upright_rgb

    def watched(image):
        at_once.append(image)
        time.sleep(0.3)  # the others come as far as they may
        seen.append(len(at_once))
        at_once.pop()
        return known(image)

    monkeypatch.setattr(readers, "LARGE", 10_000)
    monkeypatch.setattr(readers, "_upright_rgb", watched)
    path = saved(tmp_path / f"a.{kind}", Image.fromarray(smooth(200, 200)), **options)
    threads = [
        threading.Thread(target=read_photo, args=(path,), kwargs={"size": size})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 3
    assert max(seen) == most


def test_a_damaged_picture_does_not_stay_in_memory_with_its_error(tmp_path):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path / "cut.jpg", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:-999])
    with pytest.raises(CourseError) as caught:
        read_photo(path)
    image = caught.value.__cause__.__traceback__.tb_frame.f_locals["image"]
    with pytest.raises(ValueError, match="closed image"):
        image.getpixel((0, 0))


@pytest.mark.parametrize("size", [None, 8])
def test_a_jpeg_of_endless_scans_is_refused(tmp_path, monkeypatch, size):
    picture = Image.fromarray(smooth(200, 200))
    path = saved(tmp_path / "a.jpg", picture, progressive=True)
    monkeypatch.setattr(readers, "WORK", 20 * 200 * 200)
    assert read_photo(path, size=size).any()
    content = path.read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + 60 * last + content[-2:])
    with Image.open(path) as image:
        image.load()  # Pillow does not mind
    with pytest.raises(CourseError, match=r"a\.jpg: .*more than 20 scans of so many"):
        read_photo(path, size=size)


@pytest.mark.parametrize("comment", [b"", b"\xff\xda" * 1000])
def test_what_lies_beside_a_jpegs_pixels_counts_as_no_scan(
    tmp_path, monkeypatch, comment
):
    monkeypatch.setattr(readers, "WORK", 20 * 200 * 200)
    picture = Image.fromarray(smooth(200, 200))
    path = saved(tmp_path / "a.jpg", picture, comment=comment)
    film = b"\xff\xda" * 1000  # as phones add one
    path.write_bytes(path.read_bytes() + film)
    assert read_photo(path).shape == (200, 200, 3)
