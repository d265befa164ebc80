"""Where a notebook runs: scale, data folder, seed, workers, and the errors of each."""

from __future__ import annotations

import platform
import random

import numpy as np
import pytest
import torch

from utils import course
from utils.course import CourseError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("CNN_COURSE_SCALE", "CNN_COURSE_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("name", "value"), [("tiny", 1), ("small", 5), (" Full ", 30)])
def test_scale_and_pick_follow_the_variable(monkeypatch, name, value):
    monkeypatch.setenv("CNN_COURSE_SCALE", name)
    assert course.scale() == name.strip().lower()
    assert course.pick(tiny=1, small=5, full=30) == value


@pytest.mark.parametrize(("kind", "expected"), [("cuda", "full"), ("cpu", "small")])
def test_scale_follows_the_device_where_nothing_is_said(monkeypatch, kind, expected):
    monkeypatch.setattr(course, "device", lambda: torch.device(kind))
    assert course.scale() == expected


def test_unknown_scale_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "huge")
    for call in (course.scale, course.start):
        with pytest.raises(CourseError, match=r"'huge'.*'tiny', 'small', 'full'"):
            call()


def test_data_folder_is_the_courses_own_unless_set(monkeypatch, tmp_path):
    assert course.data_dir() == course.ROOT / "data"
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    assert course.data_dir() == tmp_path


def test_start_says_where_we_are_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("CNN_COURSE_SCALE", "tiny")
    run = course.start(seed=7)
    assert (run.scale, run.seed, run.device) == ("tiny", 7, course.device())
    (line,) = capsys.readouterr().out.splitlines()
    for part in (torch.__version__, "scale tiny", "seed 7"):
        assert part in line


def test_headline_is_what_the_table_looks_for(capsys):
    course.Run(torch.device("cpu"), "tiny", 0).headline("99 % right")
    assert capsys.readouterr().out == "Headline: 99 % right\n"


def test_seed_repeats_every_generator():
    draws = []
    for _ in range(2):
        course.set_seed(5)
        legacy = np.random.rand()  # noqa: NPY002
        draws.append((random.random(), legacy, torch.rand(1).item()))
    assert draws[0] == draws[1]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_kept_for_the_next_batch():
    """Else the system hands out each of its pages anew."""
    resource = pytest.importorskip("resource")

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.zeros(64, 3, 200, 200)  # 31 MB are 7,500 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert min(faults() for _ in range(30)) < 1000  # once there is room to fit it in
