"""How several processes should scale: from a step's time and the gradients' way.

    torchrun --nproc-per-node=2 -m benchmarks.allreduce

measures, in each of the processes, the training step of ResNet-20 for several sizes of
its part of the batch, and how long gloo takes to add up the gradients. From both it
computes what N processes should reach with one global batch. It writes
`results/benchmarks/allreduce.json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F

from experiments import record
from utils import course
from utils.models import build
from utils.training import distributed
from utils.training.parallel import parallel
from utils.training.precision import place

BATCH = 128  # of all processes together
PROCESSES = (1, 2, 4, 8, 16)
NETWORKS = {"1 Gbit/s": 1e9 / 8, "10 Gbit/s": 10e9 / 8, "100 Gbit/s": 100e9 / 8}
LATENCY = 50e-6  # seconds for a message to the next host; an assumption
REPEATS = 15


def seconds(task: Callable[[], object], clock: Callable[[], float]) -> list[float]:
    """The times of some repeats, after two that warm up."""
    times = []
    for _ in range(REPEATS + 2):
        begin = clock()
        task()
        times.append(clock() - begin)
    return times[2:]


def step_time(images: int, *, together: bool = False) -> float:
    """Median processor time of a step, in seconds; others may work on this machine.

    Args:
        images: the part of one process.
        together: with what `fit` does for several processes; waiting is not counted.
    """
    model = build("resnet20", num_classes=10)
    place(model, torch.device("cpu"))
    learner = parallel(model, torch.device("cpu")) if together else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    x = torch.randn(images, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    y = torch.randint(10, (images,))

    def step() -> None:
        loss = F.cross_entropy(learner(x), y)
        optimizer.zero_grad()
        loss.backward(torch.ones_like(loss) if together else None)
        optimizer.step()

    return median(seconds(step, time.process_time))


def all_reduce_times(numbers: int) -> list[float]:
    """Wall-clock seconds to add up so many float32 numbers over all processes."""
    gradients = torch.zeros(numbers)

    def reduce() -> None:
        dist.all_reduce(gradients)

    return sorted(seconds(reduce, time.perf_counter))


def ring(size: int, nbytes: int, bandwidth: float) -> float:
    """Seconds of a ring all-reduce: 2 (N - 1) messages, each an N-th of the bytes.

    Source: Patarasuk & Yuan 2009, Sec. 3.
    """
    return 2 * (size - 1) * (nbytes / size / bandwidth + LATENCY)


def predict(steps: dict[int, float], nbytes: int, bandwidth: float) -> list[dict]:
    """Speed of N processes over that of one; nothing overlaps, which is the worst."""
    rows = []
    for size in PROCESSES:
        all_reduce = ring(size, nbytes, bandwidth)
        speed = steps[BATCH] / (steps[BATCH // size] + all_reduce)
        row = {"processes": size, "all_reduce": all_reduce, "times_as_fast": speed}
        rows.append({k: round(v, 6) for k, v in row.items()})
    return rows


def table(found: dict[str, Any]) -> list[str]:
    """The prediction as lines of Markdown."""
    head = " | ".join(f"{size} processes" for size in PROCESSES[1:])
    lines = [f"| connection | {head} |", "| --- |" + " ---: |" * len(PROCESSES[1:])]
    for name, rows in found["predicted"].items():
        speeds = " | ".join(f"{row['times_as_fast']:.1f}" for row in rows[1:])
        lines.append(f"| {name} | {speeds} |")
    return lines


def main() -> None:
    """Measure, print, and write the figures."""
    torch.set_num_threads(1)
    numbers = sum(w.numel() for w in build("resnet20", num_classes=10).parameters())
    times = all_reduce_times(numbers)
    parts = {size: BATCH // size for size in PROCESSES}
    steps = {images: step_time(images) for images in parts.values()}
    half = BATCH // distributed.size()
    found = {
        "command": f"{distributed.launcher()} -m benchmarks.allreduce",
        "commit": record.commit(),
        "machine": record.machine(torch.device("cpu")),
        "network": "resnet20",
        "gradient_bytes": 4 * numbers,
        "step_seconds": {images: round(t, 5) for images, t in steps.items()},
        "step_seconds_together": {half: round(step_time(half, together=True), 5)},
        "all_reduce_seconds": {
            "processes": distributed.size(),
            "backend": "gloo, loopback",
            "best": round(times[0], 6),
            "median": round(median(times), 6),
            "worst": round(times[-1], 6),
        },
        "assumed_latency_seconds": LATENCY,
        "predicted": {
            name: predict(steps, 4 * numbers, bandwidth)
            for name, bandwidth in NETWORKS.items()
        },
    }
    if distributed.is_first():
        record.write(course.ROOT / "results" / "benchmarks" / "allreduce.json", found)
        print(*table(found), sep="\n")
        for key in ("step_seconds", "step_seconds_together", "all_reduce_seconds"):
            print(key, found[key])


if __name__ == "__main__":
    with distributed.joined():
        main()
