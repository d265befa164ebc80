"""Two processes of `torchrun` train as one does, and end together.

Run as a script, this file is one of these processes:
`torchrun --nproc-per-node=2 tests/test_distributed.py FOLDER [WORDS]`.
"""

from __future__ import annotations

import json
import os
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
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from benchmarks import allreduce  # noqa: E402
from experiments.options import read_options  # noqa: E402
from utils import augment  # noqa: E402
from utils.course import CourseError  # noqa: E402
from utils.data import ImageSet  # noqa: E402
from utils.datasets import store  # noqa: E402
from utils.models import build  # noqa: E402
from utils.models.batchnorm import BatchNorm2d  # noqa: E402
from utils.models.googlenet import googlenet, googlenet_loss  # noqa: E402
from utils.train import fit, train_epoch  # noqa: E402
from utils.training import (  # noqa: E402
    checkpoint,
    command,
    distributed,
    record,
    request,
)
from utils.training.parallel import check_device, parallel  # noqa: E402
from utils.training.precision import place  # noqa: E402
from utils.training.sync_batchnorm import synchronise  # noqa: E402

CPU = torch.device("cpu")
DIGITS = [
    *("--model", "lenet5", "--data", "mnist", "--stand-in", "--images", "200"),
    *("--device", "cpu", "--lr", "0.05", "--augment", "crop", "--schedule", "constant"),
]
pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="torchrun's signals and store differ there"
)


# --- what each of the processes does ------------------------------------------------


def net(norm: Any = nn.BatchNorm2d, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(distributed.rank())  # rank 0's weights are those of all
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        *([norm(6)] if norm else []),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(6 * 15 * 15, 10),
    )


def loader(
    n: int, batch_size: int = 16, augmentations: Any = (), **options: Any
) -> Any:
    generator = torch.Generator().manual_seed(n)
    pixels = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    names, half = tuple("0123456789"), (0.5, 0.5, 0.5)
    return ImageSet(pixels, torch.arange(n) % 10, names, half, half).loader(
        batch_size,
        augment=augmentations,
        device=CPU,
        **{"shard": distributed.shard(), **options},
    )


def curve(model: nn.Module, n: int, augmentations: Any, **options: Any) -> list[float]:
    """Losses of two epochs over n images; the last batch is smaller."""
    train = loader(n, augmentations=augmentations, shuffle=True)
    settings = {"epochs": 2, "lr": 0.02, "device": CPU, "progress": False, **options}
    history = fit(model, train, loader(30, 20), **settings)
    return history["train_loss"] + history["val_loss"]


def crops() -> list[Any]:
    return [augment.RandomCrop(4), augment.HorizontalFlip(), augment.Cutout(8)]


def curves() -> dict[str, list[float]]:
    """The same on one process and on two."""
    torch.manual_seed(0)
    aux = googlenet(num_classes=10, stem="cifar", width=0.125, aux=True)
    for module in aux.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    mixing = [augment.RandomCrop(2), augment.CutMix(), lambda x, generator: x]
    return {
        "crop": curve(net(None), 39, crops()),  # 16, 16 and 7 examples
        "one left": curve(net(None), 33, crops()),  # 16, 16 and 1: rank 0 has none
        "mixing": curve(net(None), 39, mixing, loss_function=F.cross_entropy),
        "norm": curve(synchronise(net()), 39, crops()),
        "norm, one left": curve(synchronise(net(BatchNorm2d)), 33, crops()),
        "heads": curve(aux, 20, [], loss_function=googlenet_loss(aux)),
    }


def normalised() -> dict[str, list[float]]:
    """In float64: outputs, gradients and statistics of a batch norm, uneven parts."""
    found = {}
    for kind, shape in ((nn.BatchNorm2d, (7, 3, 2, 2)), (nn.BatchNorm1d, (5, 3))):
        torch.manual_seed(0)
        model = synchronise(nn.Sequential(kind(3, momentum=0.3), nn.Tanh())).double()
        x = (10 + torch.randn(shape, dtype=torch.float64)).requires_grad_()
        weights = torch.randn(shape, dtype=torch.float64)
        rank, size = distributed.shard()
        cut = len(x) - 1  # all but one for rank 0
        mine = slice(None) if size == 1 else (slice(cut), slice(cut, None))[rank]
        y = model(x[mine])
        (y * weights[mine]).sum().backward()
        if size > 1:
            for weight in model.parameters():
                torch.distributed.all_reduce(weight.grad)
        whole = torch.cat(distributed.gathered(y.detach()))
        x_grad = sum(distributed.gathered(x.grad))
        parts = [whole, x_grad, *(w.grad for w in model.parameters()), *model.buffers()]
        found[kind.__name__] = torch.cat([p.flatten().double() for p in parts]).tolist()
    return found


def resumed(folder: Path) -> bool:
    """Whether a run with dropout that was stopped ends with the same weights."""
    options = {"keep_best": False, "schedule": "onecycle", "epochs": 3}
    whole = net(dropout=0.5)
    curve(whole, 39, crops(), **options)
    save = checkpoint.Checkpoint.save

    def save_and_stop(self: Any, *state: Any) -> None:
        save(self, *state)
        raise KeyboardInterrupt

    checkpoint.Checkpoint.save = save_and_stop
    options["checkpoint"] = folder / "resumed.pt"
    part = net(dropout=0.5)
    curve(part, 39, crops(), **options)
    checkpoint.Checkpoint.save = save
    part = net(dropout=0.5)
    torch.manual_seed(9)  # what is drawn must come from the file
    curve(part, 39, crops(), resume=True, **options)
    states = whole.state_dict(), part.state_dict()
    return all(map(torch.equal, *(state.values() for state in states)))


def refusals() -> list[str]:
    """What cannot be done on several processes says so."""
    model = net(None)
    model.unused = nn.Linear(2, 2)
    model.forward = lambda x: nn.Sequential(*list(model)[:-1])(x)
    told = []
    for attempt in (
        lambda: curve(model, 39, []),
        lambda: check_device(torch.device("mps")),
        lambda: check_device(torch.device("cuda", 0)),
        lambda: check_device(torch.device("cuda")),
        lambda: loader(30, 1),
    ):
        try:
            attempt()
        except CourseError as error:
            told.append(str(error))
    return told


def seen() -> dict[str, Any]:
    """What else two processes are to agree on, or not."""
    model, batches = net(), loader(40, 16, crops(), shuffle=True)
    place(model, CPU)
    learner = parallel(model, CPU)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    sizes = [len(labels) for _, labels in batches]
    metrics = train_epoch(learner, batches, optimizer, device=CPU)
    drawn = distributed.gathered(torch.rand(1).item())
    return {
        "sizes": sizes,
        "held": type(batches._store).__name__,
        "examples": metrics.examples,
        "keys": list(model.state_dict()),
        "drawn apart": len(set(drawn)) == distributed.size(),
    }


def main(folder: Path, words: list[str]) -> int:
    rank = os.environ["RANK"]
    (folder / f"pid-{rank}").write_text(str(os.getpid()))
    if words:
        return command.main([*DIGITS, *words])
    out = ["--out", str(folder / "out"), "--save", str(folder / "weights.pt")]
    with distributed.joined():
        report = {**curves(), **normalised(), **seen()}
        report |= {"resumed": resumed(folder), "refusals": refusals()}
        report["status"] = command.main([*DIGITS, "--epochs", "1", *out])
        (folder / f"report-{rank}.json").write_text(json.dumps(report))
    if rank == "1":  # in the end it fails, alone
        command.fit = bad_labels
    return command.main([*DIGITS, "--batch-size", "16", "--epochs", "3000"])


def bad_labels(model: nn.Module, train: Any, val: Any, **options: Any) -> Any:
    """`fit`, of which the third batch holds a label that no class has."""
    batches = [(x, y + 10 * (i == 2)) for i, (x, y) in enumerate(train)]
    return fit(model, batches, val, **options)


# --- what is to come of it ----------------------------------------------------------


@contextmanager
def torchrun(folder: Path, *words: str) -> Iterator[subprocess.Popen]:
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
    with torchrun(folder) as run:
        printed, _ = run.communicate(timeout=240)
    files = (folder / f"report-{rank}.json" for rank in range(2))
    reports = [json.loads(file.read_text()) for file in files]
    found = {"reports": reports, "printed": printed, "folder": folder}
    return found | {"status": run.returncode}


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What a single process finds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = {**curves(), **normalised(), **seen()}
    torch.set_num_threads(threads)
    return found


@pytest.mark.parametrize(
    "kind", ["crop", "one left", "mixing", "norm", "norm, one left", "heads"]
)
def test_the_curve_is_that_of_one_process(kind: str, ran, alone) -> None:
    first, second = (report[kind] for report in ran["reports"])
    assert first == second
    assert first == pytest.approx(alone[kind], rel=1e-5)


@pytest.mark.parametrize("kind", ["BatchNorm1d", "BatchNorm2d"])
def test_a_batch_norm_over_two_processes_is_one(kind: str, ran, alone) -> None:
    first, second = (report[kind] for report in ran["reports"])
    assert first == pytest.approx(alone[kind], rel=1e-9, abs=1e-12)
    assert first == second


def parts(shards: int, augmentations: Any) -> list[list[Any]]:
    """The batches of two passes, on each of so many processes."""
    options = {"shuffle": True, "seed": 3, "device": CPU, "augment": augmentations}
    pixels = torch.arange(3 * 32 * 32 * 13).view(13, 3, 32, 32).to(torch.uint8)
    names, half = tuple("0123456789"), (0.5, 0.5, 0.5)
    images = ImageSet(pixels, torch.arange(13) % 10, names, half, half)
    loaders = (images.loader(6, shard=(r, shards), **options) for r in range(shards))
    return [[*each, *each] for each in loaders]


@pytest.mark.parametrize("kept", ["on the device", "fetched"])
@pytest.mark.parametrize("name", [*request.AUGMENTATIONS, "own", "none"])
def test_the_parts_are_the_batch(name: str, kept: str, monkeypatch) -> None:
    if kept == "fetched":
        monkeypatch.setattr(store, "PADDED", 1)
    augmentations = [augment.RandomCrop(4), augment.HorizontalFlip()]
    if name == "own":
        augmentations.append(lambda images, generator: images.flip(0))
    elif name == "none":
        augmentations = []
    else:
        augmentations = [request.AUGMENTATIONS[name](32), augment.HorizontalFlip()]
    [whole] = parts(1, augmentations)
    for batch, *pieces in zip(whole, *parts(3, augmentations), strict=True):
        for expected, *found in zip(batch, *pieces, strict=True):
            torch.testing.assert_close(torch.cat(found), expected, rtol=0, atol=1e-5)
    assert [len(labels) for _, labels in parts(3, augmentations)[0]] == [2, 2, 0] * 2


def test_a_shard_that_cannot_be_is_refused() -> None:
    for shard in ((2, 2), (-1, 2), (0, 17)):
        with pytest.raises(CourseError, match="pass \\(rank, size\\)"):
            loader(30, 16, shard=shard)


def test_a_frozen_network_stays_with_one_process(monkeypatch) -> None:
    options = read_options(["--model", "resnet18", "--data", "mnist", "--freeze"])
    options.weights = "imagenet"
    monkeypatch.setattr(distributed, "size", lambda: 2)
    with pytest.raises(CourseError, match="in place of torchrun"):
        request.trained(options)


def test_each_has_its_part_of_every_batch(ran, alone) -> None:
    sizes = [report["sizes"] for report in ran["reports"]]
    assert sizes == [[8, 8, 4], [8, 8, 4]]
    assert [report["held"] for report in ran["reports"]] == ["Part", "Part"]
    assert [report["examples"] for report in ran["reports"]] == [40, 40]
    assert ran["reports"][0]["keys"] == alone["keys"]
    assert all(report["drawn apart"] for report in ran["reports"])


def test_a_resumed_run_ends_as_the_undisturbed_one(ran) -> None:
    assert all(report["resumed"] for report in ran["reports"])


def test_what_cannot_be_done_is_refused_on_both(ran) -> None:
    first, second = (report["refusals"] for report in ran["reports"])
    texts = ("no part in the loss", "device mps", "device cuda:0", "GPUs", "batches of")
    assert len(first) == len(texts)
    for text, one, two in zip(texts, first, second, strict=True):
        assert text in one
        assert text in two


def test_one_of_them_prints_and_writes(ran) -> None:
    assert [report["status"] for report in ran["reports"]] == [0, 0]
    assert ran["printed"].count("epoch 1/1") == 1
    assert ran["printed"].count("test accuracy") == 1
    [file] = (ran["folder"] / "out").iterdir()
    found = record.read(file)
    assert (found["processes"], found["batch_size"]) == (2, 128)
    assert found["command"].startswith("torchrun --nproc-per-node=2 -m utils.train")
    weights = torch.load(ran["folder"] / "weights.pt", weights_only=True)
    build("lenet5").load_state_dict(weights)


def test_the_website_gives_the_measured_scaling() -> None:
    found = json.loads((ROOT / "results/benchmarks/allreduce.json").read_text())
    page = (ROOT / "site/training.md").read_text(encoding="utf-8")
    assert "\n".join(allreduce.table(found)) in page
    step, part = (1000 * found["step_seconds"][n] for n in ("128", "8"))
    best, usual = (1000 * found["all_reduce_seconds"][k] for k in ("best", "median"))
    assert f"{best:.1f} ms at best, or {usual:.1f} ms" in page
    for text in (
        f"{step:.0f} ms",
        f"{part:.0f} ms",
        f"{found['gradient_bytes'] / 1e6:.2f}",
    ):
        assert text in page


def test_an_error_in_one_ends_both_and_is_told_once(ran) -> None:
    assert ran["status"] != 0
    assert ran["printed"].count("Epoch 1: Label 1") == 1
    assert "was killed" not in ran["printed"]
    assert "exitcode  : 2" in ran["printed"]
    assert ran["printed"].count("Traceback") == 1  # torchrun's own


def interrupted_by(act: Any, folder: Path, *words: str) -> tuple[str, int, float]:
    """The output, status and seconds to the end of a run that `act` disturbs."""
    with torchrun(folder, "--epochs", "3000", *words) as run:
        lines = []
        for line in run.stdout:
            lines.append(line)
            if " epoch    2/" in line:
                act(run)
                begin = time.monotonic()
        status = run.wait()
    return "".join(lines), status, time.monotonic() - begin


def test_a_killed_process_ends_the_other_and_the_run_can_go_on(tmp_path) -> None:
    def kill(run: subprocess.Popen) -> None:
        os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGKILL)

    state = tmp_path / "state.pt"
    printed, status, seconds = interrupted_by(
        kill, tmp_path, "--checkpoint", str(state)
    )
    assert seconds < 60
    assert status != 0
    assert printed.count("one of its processes was killed") == 1
    assert printed.count("Traceback") == 1  # torchrun's own
    done = len(checkpoint.read(state)["history"]["rows"])
    assert done >= 2
    # One process goes on where two stopped.
    words = ["--epochs", str(done + 1), "--checkpoint", str(state), "--resume"]
    out = tmp_path / "out"
    assert command.main([*DIGITS, *words, "--out", str(out)]) == 0
    [file] = out.iterdir()
    assert len(record.read(file)["history"]["rows"]) == done + 1


def test_ctrl_c_ends_both(tmp_path) -> None:
    def press(run: subprocess.Popen) -> None:
        run.send_signal(signal.SIGINT)

    printed, status, seconds = interrupted_by(press, tmp_path)
    assert seconds < 60
    assert status != 0
    assert printed.count("Nothing was recorded") == 1
    assert printed.count("Traceback") == 1  # torchrun's own


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
