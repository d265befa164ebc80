"""One run at a time trains into a checkpoint."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from runs import assert_equal_runs, run

from utils import train
from utils.course import ROOT, CourseError
from utils.training import claims

HOLD = """
import sys, time
from pathlib import Path
from utils.training.claims import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 0.1)


@pytest.fixture
def other_kernel(tmp_path):
    """A process that trains into run.pt."""
    command = [sys.executable, "-c", HOLD, tmp_path / "run.pt"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"held"
        yield process
        process.kill()


def test_a_file_in_use_is_refused_and_left_alone(impatient, other_kernel, tmp_path):
    file = tmp_path / "run.pt"
    file.write_bytes(b"of the other kernel")
    for resume in (False, True):
        with pytest.raises(CourseError, match=r"Another run trains into .*run\.pt now"):
            run("epoch-sgd", file, resume=resume)
    assert file.read_bytes() == b"of the other kernel"
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    run("epoch-sgd", tmp_path / "another.pt", epochs=1)


def test_a_killed_run_claims_nothing(other_kernel, tmp_path):
    other_kernel.kill()
    other_kernel.wait()
    file = tmp_path / "run.pt"
    assert_equal_runs(run("epoch-sgd", file), run("epoch-sgd", None))


@pytest.mark.parametrize("link", [False, True])
def test_a_file_has_one_claim_under_all_its_names(impatient, tmp_path, link):
    (tmp_path / "deep").mkdir()
    other = tmp_path / "deep" / ".." / "run.pt"
    if link and sys.platform == "win32":
        pytest.skip("needs links")
    if link:
        (other := tmp_path / "link").symlink_to(tmp_path / "run.pt")
    with (
        claims.claimed(tmp_path / "run.pt"),
        pytest.raises(CourseError, match="Another run"),
        claims.claimed(other),
    ):
        pass


def test_a_run_that_ends_in_any_way_gives_its_file_free(impatient, tmp_path):
    file = tmp_path / "run.pt"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(CourseError, match="epochs=0"):
        run("epoch-sgd", file, epochs=0)
    with pytest.raises(KeyboardInterrupt):
        run("epoch-sgd", file, schedule=stop)
    file.write_bytes(b"no checkpoint")
    with pytest.raises(CourseError, match=r"run\.pt was not opened"):
        run("epoch-sgd", file, resume=True)
    run("epoch-sgd", file)
    run("epoch-sgd", file, resume=True)


@pytest.mark.parametrize("error", [OSError, NotImplementedError])
def test_a_system_without_locks_trains_all_the_same(tmp_path, monkeypatch, error):
    def refuse(*_: object, **__: object) -> None:
        raise error("no locks")

    monkeypatch.setattr(claims.FileLock, "acquire", refuse)
    run("epoch-sgd", tmp_path / "run.pt", epochs=1)
    assert (tmp_path / "run.pt").is_file()


def test_nothing_else_about_fit_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "claimed", lambda path: pytest.fail("a claim"))
    run("epoch-sgd", None, epochs=1)
    assert "checkpoint" in inspect.signature(train.fit).parameters
    assert train.fit.__doc__.startswith("Train, validate after every epoch")
    assert Path(inspect.getsourcefile(inspect.unwrap(train.fit))).name == "train.py"
