"""Two processes of `torchrun` train as one does, and end together.

Run as a script, this file is one of these processes:
`torchrun --nproc-per-node=2 tests/test_distributed.py FOLDER [WORDS]`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from experiments import record, torchrun, train  # noqa: E402
from utils import augment  # noqa: E402
from utils.data import ImageSet  # noqa: E402
from utils.models import build  # noqa: E402
from utils.models.googlenet import googlenet, googlenet_loss  # noqa: E402
from utils.train import evaluate, fit  # noqa: E402

DIGITS = [
    *("--model", "lenet5", "--data", "mnist", "--stand-in", "--images", "200"),
    *("--device", "cpu", "--lr", "0.05", "--augment", "crop", "--schedule", "constant"),
]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="torchrun's signals and store differ there"
)


# --- what each of the processes does -------------------------------------------------


def net() -> nn.Sequential:
    torch.manual_seed(torchrun.rank())  # rank 0's weights are those of all
    layers = nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(6 * 15 * 15, 10))


def images(n: int) -> ImageSet:
    generator = torch.Generator().manual_seed(n)
    pixels = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    names, half = tuple("0123456789"), (0.5, 0.5, 0.5)
    return ImageSet(pixels, torch.arange(n) % 10, names, half, half)


def curve(model: nn.Module, n: int, changes: Any = (), **options: Any) -> list[float]:
    """Losses of two epochs over n images, the last batch smaller; then a test."""
    settings = {"shuffle": True, "augment": changes, "device": "cpu"}
    batches = torchrun.loader(images(n), 16, **settings)
    val = torchrun.part(images(31)).loader(20, device="cpu")
    with torchrun.shared(model, None) as (learner, _):
        chosen = {"epochs": 2, "lr": 0.02, "progress": False, **options}
        history = fit(learner, batches, val, **chosen)
    assert evaluate(model, val).loss == pytest.approx(history.best["val_loss"])
    return history["train_loss"] + history["val_loss"]


def curves() -> dict[str, list[float]]:
    """The same on one process and on two."""
    torch.manual_seed(0)
    aux = googlenet(num_classes=10, stem="cifar", width=0.125, aux=True)
    for module in aux.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    mixing = [augment.RandomCrop(2), augment.CutMix(), lambda x, generator: x]
    return {
        "plain": curve(net(), 39),  # 16, 16 and 7 examples: 3 and 4
        "even": curve(net(), 32, optimizer="adamw", lr=0.001),
        "mixing": curve(net(), 39, mixing),
        "heads": curve(aux, 20, loss_function=googlenet_loss(aux)),
    }


def main(folder: Path, words: list[str]) -> int:
    rank = os.environ["RANK"]
    (folder / f"pid-{rank}").write_text(str(os.getpid()))
    if words:
        return train.main([*DIGITS, *words])
    out = ["--out", str(folder / "out"), "--save", str(folder / "weights.pt")]
    with torchrun.joined():
        report: dict[str, Any] = curves()
        report["status"] = train.main([*DIGITS, "--epochs", "1", *out])
        (folder / f"report-{rank}.json").write_text(json.dumps(report))
        if rank == "1":  # in the end it fails, alone
            train.fit = bad_labels
        words = ["--batch-size", "16", "--epochs", "3000"]
        raise SystemExit(train.main([*DIGITS, *words]))


def bad_labels(model: nn.Module, batches: Any, val: Any, **options: Any) -> Any:
    """`fit`, of which the third batch holds a label that no class has."""
    spoiled = [(x, y + 10 * (i == 2)) for i, (x, y) in enumerate(batches)]
    return fit(model, spoiled, val, **options)


# --- what is to come of it -----------------------------------------------------------


@contextmanager
def two(folder: Path, *words: str) -> Iterator[subprocess.Popen]:
    """Two processes of this file, with their output in one pipe."""
    loopback = "lo" if sys.platform == "linux" else "lo0"
    settings = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    with subprocess.Popen(
        [*launch, "--nproc-per-node=2", __file__, str(folder), *words],
        env={**os.environ, **settings, "CNN_COURSE_SCALE": "tiny"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        try:
            yield run
        finally:
            run.terminate()


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> dict[str, Any]:
    """The reports of two processes, what they printed, and their folder."""
    folder = tmp_path_factory.mktemp("two")
    with two(folder) as run:
        printed, _ = run.communicate(timeout=240)
    files = [folder / f"report-{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in files), printed
    reports = [json.loads(file.read_text()) for file in files]
    found = {"reports": reports, "printed": printed, "folder": folder}
    return found | {"status": run.returncode}


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What a single process finds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = curves()
    torch.set_num_threads(threads)
    return found


@pytest.mark.parametrize("kind", ["plain", "even", "mixing", "heads"])
def test_the_curve_is_that_of_one_process(kind, ran, alone):
    first, second = (report[kind] for report in ran["reports"])
    assert first == second
    assert first == pytest.approx(alone[kind], rel=1e-5)


def test_one_of_them_prints_and_writes(ran):
    assert [report["status"] for report in ran["reports"]] == [0, 0]
    assert ran["printed"].count("epoch 1/1") == 1
    assert ran["printed"].count("test accuracy") == 1
    [file] = (ran["folder"] / "out").iterdir()
    found = record.read(file)
    assert (found["processes"], found["batch_size"]) == (2, 128)
    assert found["command"].startswith("torchrun --nproc-per-node=2 -m experiments")
    weights = torch.load(ran["folder"] / "weights.pt", weights_only=True)
    build("lenet5").load_state_dict(weights)


def test_an_error_in_one_ends_both_and_is_told_once(ran):
    assert ran["status"] != 0
    assert ran["printed"].count("Epoch 1: The model has") == 1
    assert ran["printed"].count("Traceback") == 1  # torchrun's own


def test_a_part_of_a_set_is_a_rank_s_own(monkeypatch):
    monkeypatch.setattr(torchrun, "size", lambda: 3)
    parts = []
    for rank in range(3):
        monkeypatch.setattr(torchrun, "rank", lambda rank=rank: rank)
        parts.append(torchrun.part(images(31)).labels)
        sizes = [len(y) for _, y in torchrun.loader(images(17), 8, device="cpu")]
        assert sizes == [[2, 2], [3, 3], [3, 3]][rank]  # the last image is left out
    assert torch.cat(parts).sort()[0].equal(images(31).labels.sort()[0])


def disturbed(act: Any, folder: Path, *words: str) -> tuple[str, int, float]:
    """The output, status and seconds to the end of a run that `act` disturbs."""
    with two(folder, "--epochs", "3000", *words) as run:
        lines = []
        for line in run.stdout:
            lines.append(line)
            if re.search(r" epoch +2/", line):
                act(run)
                begin = time.monotonic()
        status = run.wait()
    return "".join(lines), status, time.monotonic() - begin


def test_a_killed_process_ends_the_other_and_the_run_can_go_on(tmp_path):
    def kill(run: subprocess.Popen) -> None:
        os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGKILL)

    state = str(tmp_path / "state.pt")
    printed, status, seconds = disturbed(kill, tmp_path, "--checkpoint", state)
    assert seconds < 60
    assert status != 0
    assert printed.count("Traceback") == 1  # torchrun's own
    done = len(torch.load(state)["history"]["rows"])
    assert done >= 2
    # Two go on where two stopped, and then one.
    for n, start in enumerate(["torchrun", "python"], 1):
        words = ["--epochs", str(done + n), "--checkpoint", state, "--resume"]
        words += ["--out", str(tmp_path / start)]
        if start == "python":
            assert train.main([*DIGITS, *words]) == 0
        else:
            with two(tmp_path, *words) as run:
                printed, _ = run.communicate(timeout=120)
            assert run.returncode == 0, printed
        [file] = (tmp_path / start).iterdir()
        assert len(record.read(file)["history"]["rows"]) == done + n


def test_ctrl_c_ends_both(tmp_path):
    def press(run: subprocess.Popen) -> None:
        run.send_signal(signal.SIGINT)

    printed, status, seconds = disturbed(press, tmp_path)
    assert seconds < 60
    assert status != 0
    assert printed.count("Nothing was recorded") == 1


if __name__ == "__main__":
    status = main(Path(sys.argv[1]), sys.argv[2:])
    sys.stdout.flush()
    os._exit(status)  # gloo's threads may abort while the interpreter takes itself down
