"""Where a notebook runs: scale, data folder, seed, workers, and the errors of each."""

from __future__ import annotations

import random
import shutil
import sys

import numpy as np
import pytest
import torch

from utils import course
from utils.course import CourseError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("CNN_COURSE_SCALE", "CNN_COURSE_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["tiny", "small", "full", " Full "])
def test_scale_is_what_the_variable_says(monkeypatch, name):
    monkeypatch.setenv("CNN_COURSE_SCALE", name)
    assert course.scale() == name.strip().lower()


@pytest.mark.parametrize(("kind", "expected"), [("cuda", "full"), ("cpu", "small")])
def test_scale_follows_the_device_where_nothing_is_said(monkeypatch, kind, expected):
    monkeypatch.setattr(course, "device", lambda: torch.device(kind))
    assert course.scale() == expected


def test_unknown_scale_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_SCALE", "huge")
    for call in (
        course.scale,
        course.start,
        lambda: course.pick(tiny=1, small=2, full=3),
    ):
        with pytest.raises(CourseError, match=r"'huge'.*tiny, small, full"):
            call()


@pytest.mark.parametrize(("name", "value"), [("tiny", 1), ("small", 5), ("full", 30)])
def test_pick(monkeypatch, name, value):
    monkeypatch.setenv("CNN_COURSE_SCALE", name)
    assert course.pick(tiny=1, small=5, full=30) == value


def test_data_folder_is_the_courses_own_unless_set(monkeypatch, tmp_path):
    assert course.data_dir() == course.ROOT / "data"
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path))
    assert course.data_dir() == tmp_path


def test_start_refuses_a_data_folder_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(CourseError, match=r"nowhere.*Create it or correct the path"):
        course.start()


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


@pytest.mark.parametrize("name", ["data ", "nowhere/data\t"])
def test_spaces_that_nobody_sees_are_shown(monkeypatch, tmp_path, name):
    monkeypatch.setenv("CNN_COURSE_DATA", str(tmp_path / name))
    with pytest.raises(CourseError) as caught:
        course.start()
    assert repr(str(tmp_path / name)) in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="it is not there, simply")
def test_a_data_folder_that_cannot_be_looked_for_is_refused(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", "a" * 5000)
    for call in (course.data_dir, course.start):
        with pytest.raises(CourseError, match=r"^CNN_COURSE_DATA 'a+' .*Correct the"):
            call()


@pytest.mark.skipif(sys.platform == "win32", reason="anybody's home has a path there")
def test_the_home_of_nobody_is_refused(monkeypatch):
    monkeypatch.setenv("CNN_COURSE_DATA", "~nobodyhere/x")
    for call in (course.data_dir, course.start):
        with pytest.raises(CourseError, match=r"'~nobodyhere/x' cannot be looked into"):
            call()


def test_a_data_folder_that_is_closed_to_us_is_refused(monkeypatch, tmp_path):
    folder, stat = tmp_path / "above" / "data", course.os.stat

    def denied(path, **options):  # as of a folder of another user
        if str(path).startswith(str(folder)):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setenv("CNN_COURSE_DATA", str(folder))
    monkeypatch.setattr(course.os, "stat", denied)
    for call in (course.data_dir, course.start):
        with pytest.raises(CourseError, match=r"\(Permission denied\)\. Correct the"):
            call()


def free_shared_memory(monkeypatch, folder, free: int) -> None:
    usage = shutil.disk_usage(folder)._replace(free=free)
    monkeypatch.setattr(course, "SHARED_MEMORY", folder)
    monkeypatch.setattr(course.shutil, "disk_usage", lambda path: usage)


@pytest.mark.parametrize(
    ("system", "most"), [("Windows", 0), ("Darwin", 0), ("Linux", 4)]
)
def test_workers_start_only_where_they_can_be_forked(
    monkeypatch, tmp_path, system, most
):
    free_shared_memory(monkeypatch, tmp_path, 2**30)
    monkeypatch.setattr(course.platform, "system", lambda: system)
    assert 0 <= course.num_workers() <= most
    assert (course.num_workers() > 0) == (most > 0)


def test_no_worker_starts_where_shared_memory_is_small(monkeypatch, tmp_path):
    monkeypatch.setattr(course.platform, "system", lambda: "Linux")
    free_shared_memory(monkeypatch, tmp_path, 2**26)  # what Docker gives
    assert course.num_workers() == 0
    monkeypatch.setattr(course, "SHARED_MEMORY", tmp_path / "nowhere")
    assert course.num_workers() > 0
