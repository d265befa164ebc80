"""A run that is killed or stopped at any moment goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple

import nbformat
import pytest
import torch
from nbclient.exceptions import DeadKernelError
from runs import EPOCHS, RUNS, assert_equal_runs, net, run, set_seed
from stopping import PHASES, Child, flat, go_on, kill, left, same, state, timeless

from tools.execute import running
from utils import checkpoint, files
from utils.course import CourseError

WORK = ("step", "evaluation", "writing")
AIMS = (*WORK, "any moment")
FEW = ("course-adam",)  # the kind of run that stands for all in CI


class Whole(NamedTuple):
    """A run that nobody disturbed: its folder, and seconds of each phase and of all."""

    folder: Path
    phases: dict[str, float]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Callable[..., Whole]:
    """The run of a kind, to its end; it is made once."""

    @cache
    def whole(kind: str, keep_best: bool) -> Whole:
        folder = tmp_path_factory.mktemp(kind)
        child = Child(folder, {"kind": kind, "keep_best": keep_best})
        process = child.start()
        child.wait_for(WORK, process.is_alive)
        begin = time.perf_counter()
        process.join()
        assert process.exitcode == 0
        spent = {name: s / EPOCHS for name, s in zip(PHASES, child.spent, strict=True)}
        return Whole(folder, spent, time.perf_counter() - begin)

    return whole


def wait(child: Child, process, aim: str, whole: Whole, draw: random.Random) -> bool:
    """Until a random moment of the run, or of a phase; False if fit ended before."""
    begun = child.wait_for(WORK, process.is_alive)
    file = child.folder / "run.pt"
    done = len(state(child.folder)["history"]["rows"]) if file.exists() else 0
    time.sleep(draw.uniform(0, whole.seconds * (1 - done / EPOCHS)))
    if aim in WORK:
        begun = child.wait_for((aim,), process.is_alive)
        time.sleep(draw.uniform(0, whole.phases[aim]))
    return begun and PHASES[child.phase.value] != "outside"


def finish(child: Child) -> None:
    """Let it run to its end."""
    process = child.start()
    process.join()
    assert process.exitcode == 0


def assert_as_undisturbed(folder: Path, whole: Whole) -> None:
    """Weights, history, and what the checkpoint holds: optimizer, random numbers."""
    assert same(state(folder), state(whole.folder))
    mine, right = left(folder), left(whole.folder)
    assert same(mine["model"], right["model"])
    assert timeless(mine["rows"]) == timeless(right["rows"])
    assert (mine["kept"], mine["stopped"]) == (right["kept"], "")


def test_a_killed_run_goes_on_bit_for_bit(undisturbed, thorough, keep, tmp_path):
    draw, aims, hit = random.Random(7), cycle(AIMS), Counter()
    kinds, wanted, rounds = cycle(RUNS if thorough else FEW), 50 if thorough else 3, 0
    while hit.total() < wanted or not hit.keys() >= set(WORK):
        kind, keep_best = next(kinds), rounds % 2 == 0
        whole = undisturbed(kind, keep_best)
        (folder := tmp_path / f"{rounds}").mkdir()
        child = Child(folder, {"kind": kind, "keep_best": keep_best})
        for _ in range(draw.choice((1, 1, 2, 3))):
            process = child.start()
            wait(child, process, next(aims), whole, draw)
            if kill(process) and child.phase.value:  # it died inside fit
                hit[PHASES[child.phase.value]] += 1
        finish(child)
        assert_as_undisturbed(folder, whole)
        rounds += 1
    keep(
        "killed",
        f"{hit.total()} kills in {rounds} runs: {hit['step']} in a step,"
        f" {hit['evaluation']} in an evaluation, {hit['writing']} while a checkpoint"
        f" was written, {hit['between']} between; all ended bit for bit alike",
        kills=hit.total(),
        runs=rounds,
        **hit,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_the_stop_button_leaves_a_usable_model(undisturbed, thorough, keep, tmp_path):
    draw, aims, hit = random.Random(11), cycle(AIMS[::-1]), Counter()
    kinds, wanted, rounds = cycle(RUNS if thorough else FEW), 20 if thorough else 2, 0
    while hit.total() < wanted:
        kind, keep_best = next(kinds), rounds % 2 == 0
        whole = undisturbed(kind, keep_best)
        (folder := tmp_path / f"{rounds}").mkdir()
        child = Child(folder, {"kind": kind, "keep_best": keep_best})
        process = child.start(then=go_on)
        stopped = wait(child, process, next(aims), whole, draw)
        moment = PHASES[child.phase.value]
        if stopped:
            os.kill(process.pid, signal.SIGINT)
        process.join()
        assert process.exitcode == 0
        assert_stopped_well(folder, whole)
        if left(folder)["stopped"]:  # else it came too late
            hit[moment] += 1
        finish(child)
        assert_as_undisturbed(folder, whole)
        rounds += 1
    keep(
        "stopped",
        f"{hit.total()} of {hit.total()} stops: the model usable, the history complete,"
        " and the run resumed bit for bit",
        stops=hit.total(),
        **hit,
    )


def assert_stopped_well(folder: Path, whole: Whole) -> None:
    """All whole epochs are there, and the weights are those of one moment."""
    mine, right = left(folder), left(whole.folder)
    done = len(mine["rows"])
    assert mine["stopped"] == ("interrupted" if done < EPOCHS else "")
    assert timeless(mine["rows"]) == timeless(right["rows"][:done])
    saved = state(folder)["history"]["rows"] if done else []
    assert saved == timeless(mine["rows"])
    assert not mine["training"]
    if mine["kept"]:
        assert same(mine["model"], right["epochs"][mine["kept"] - 1])
    else:
        set_seed(0)
        moments = [flat(net().parameters()), *right["steps"]]
        assert any(torch.equal(mine["parameters"], moment) for moment in moments)
    [row] = torch.load(folder / "again.pt", weights_only=True)
    assert math.isfinite(row["train_loss"])


# --- a folder that comes and goes -----------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system, as Drive is in Colab, where there is one."""
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        yield tmp_path
        return
    with TemporaryDirectory(dir=other) as folder:
        yield Path(folder)


CELL = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from runs import run
model, history = run("course-adam", Path({file!r}), resume=True, n=1024)
"""


def test_a_new_kernel_goes_on_where_a_lost_one_stopped(mounted):
    file = mounted / "drive" / "run.pt"
    code = CELL.format(path=sys.path, file=str(file))
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])

    async def lose_and_return() -> None:
        async with running(nb, mounted, dict(os.environ), 120) as client:
            cell = asyncio.create_task(client.async_execute_cell(nb.cells[0], 0))
            while not file.exists():
                await asyncio.sleep(0.005)
            await client.km.provisioner.kill()
            with pytest.raises(DeadKernelError):
                await cell
        assert len(state(file.parent)["history"]["rows"]) < EPOCHS
        async with running(nb, mounted, dict(os.environ), 120) as client:
            await client.async_execute_cell(nb.cells[0], 0)

    asyncio.run(lose_and_return())
    again = run("course-adam", file, resume=True, seed=3, n=1024)
    assert len(again[1].rows) == EPOCHS
    assert_equal_runs(again, run("course-adam", None, n=1024))


@pytest.mark.skipif(sys.platform == "win32", reason="no folder with open files moves")
@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_folder_that_vanishes_costs_no_checkpoint(moment, tmp_path, monkeypatch):
    mount, away = tmp_path / "drive", tmp_path / "away"
    kept = {"schedule": "constant"}
    run("epoch-sgd", mount / "run.pt", epochs=2, **kept)
    good, save = (mount / "run.pt").read_bytes(), torch.save

    def unmount_before(path: Path):
        mount.rename(away)
        return files.replacing(path)

    def unmount_during(*args):
        save(*args)
        mount.rename(away)

    with monkeypatch.context() as patch:
        if moment == "before":
            patch.setattr(
                checkpoint, "files", SimpleNamespace(replacing=unmount_before)
            )
        else:
            patch.setattr(torch, "save", unmount_during)
        with pytest.raises(CourseError, match=r"Epoch 3: .*bring its folder back"):
            run("epoch-sgd", mount / "run.pt", resume=True, **kept)
    away.rename(mount)
    assert (mount / "run.pt").read_bytes() == good
    resumed = run("epoch-sgd", mount / "run.pt", resume=True, **kept)
    assert_equal_runs(resumed, run("epoch-sgd", None, **kept))
    assert os.listdir(mount) == ["run.pt"]
