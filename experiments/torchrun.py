"""Training on several processes that `torchrun` has started, on one host or on more.

Each process, called a rank, holds the whole network and its slice of every batch;
torch's `DistributedDataParallel` adds up their gradients. Without torchrun there is one
process, and nothing here does anything.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils import recipe
from utils.batches import Pass
from utils.course import CourseError
from utils.data import ImageSet, Loader
from utils.history import Metrics

METRICS = Pass.metrics  # over the examples of one process
ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
ARRIVAL = timedelta(minutes=5)  # within which all ranks must have come
PATIENCE = 3.0  # seconds until it says that it waits
WAITING = (
    "Waiting for the other processes that torchrun is to start. If it was not torchrun"
    " that started this one, its variables are left over: unset WORLD_SIZE and RANK."
)
LOST = (
    "Another process of this run was ended, or cannot be reached, so all of them stop."
    " Start the command again; with --checkpoint and --resume it goes on after the last"
    " whole epoch."
)


def size() -> int:
    """How many processes train together."""
    joined = dist.is_available() and dist.is_initialized()
    return dist.get_world_size() if joined else 1


def rank() -> int:
    """The number of this process among them, from 0; rank 0 prints and writes files."""
    return dist.get_rank() if size() > 1 else 0


def launcher() -> str:
    """What starts the course's command here, as one types it."""
    if size() == 1:
        return "python"
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    hosts = f"--nnodes={size() // here} " if size() > here else ""
    return f"torchrun {hosts}--nproc-per-node={here}"


# --- joining and leaving -------------------------------------------------------------


@contextmanager
def joined() -> Iterator[None]:
    """Train together with the other processes inside; only rank 0 prints there.

    Whatever ends one ends all of them, by torchrun or by the broken connection. The
    first to stop raises its error, the others exit with status 2, in silence.

    Raises:
        CourseError: another process never came, was killed, or is out of reach.
    """
    started = all(map(os.environ.get, ENVIRONMENT))
    if not started or int(os.environ["WORLD_SIZE"]) == 1 or size() > 1:
        yield
        return
    store = meet()
    with ExitStack() as back:
        if rank() > 0:
            nowhere = back.enter_context(open(os.devnull, "w"))
            back.enter_context(redirect_stdout(nowhere))
        back.callback(setattr, Pass, "metrics", METRICS)
        Pass.metrics = of_all  # type: ignore[method-assign]
        try:
            yield
            dist.destroy_process_group()
        except BaseException as error:
            if not is_first_to_stop(store):
                os._exit(2)  # torch's own end would wait for the others
            if isinstance(error, dist.DistError) or "gloo/transport" in str(error):
                raise CourseError(LOST) from None
            raise


def meet() -> dist.Store:
    """Wait for the other processes; gloo carries what is on the CPU, NCCL the rest.

    torch waits outside Python, where Ctrl-C is not heard: so the system's own way of
    ending a process is put back for so long. SIGTERM always ends one.
    """
    name = "gloo"
    if torch.cuda.is_available() and dist.is_nccl_available():
        name = "cpu:gloo,cuda:nccl"  # and "cuda" is this process's own card
        here = int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()
        torch.cuda.set_device(here)
    telling = threading.Timer(PATIENCE, print, [WAITING], {"file": sys.stderr})
    telling.daemon = True
    telling.start()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        store, mine, total = next(dist.rendezvous("env://", timeout=ARRIVAL))
        group = dist.PrefixStore("group", store)
        dist.init_process_group(name, store=group, rank=mine, world_size=total)
        dist.barrier()
    except (RuntimeError, ValueError) as error:
        raise CourseError(f"The processes did not meet: {error}") from None
    finally:
        telling.cancel()
        signal.signal(signal.SIGINT, before)
    return store


def is_first_to_stop(store: dist.Store) -> bool:
    """Whether no other rank has told yet why the run ends."""
    mine = str(rank())
    try:
        return store.compare_set("stopped", "", mine).decode() == mine
    except RuntimeError:  # its host is gone
        return rank() == 0


@contextmanager
def one_first() -> Iterator[None]:
    """One process of each host goes through the block first: it downloads for all."""
    waits = size() > 1 and os.environ["LOCAL_RANK"] != "0"
    if waits:
        dist.barrier()
    yield
    if size() > 1 and not waits:
        dist.barrier()


def check_device(device: torch.device) -> None:
    """Raise a `CourseError` unless each of several processes can compute there."""
    if size() == 1 or device.type == "cpu":
        return
    here, cards = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if device.type != "cuda" or device.index is not None or here > cards:
        raise CourseError(
            f"{here} processes cannot share {device} on this host, which has {cards}"
            " GPUs: each takes one of its own, by --device cuda without a number; or"
            " add --device cpu."
        )


def of_all(batches: Pass) -> Metrics:
    """The means over the examples of all ranks."""
    mine = METRICS(batches)
    n = mine.examples
    loss, hits, n = summed(mine.loss * n, round(mine.accuracy * n), n)
    return Metrics(loss / n, hits / n, int(n))


def summed(*values: float) -> list[float]:
    """Each value added up over all ranks, which get the same bits."""
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return sums.tolist()


# --- each rank's images, and one network ---------------------------------------------


class Slices(Loader):
    """Of every batch of a single process, this rank's examples."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in super().__iter__():
            n = len(images)
            mine = slice(n * rank() // size(), n * (rank() + 1) // size())
            yield images[mine], labels[mine]


def loader(images: ImageSet, batch_size: int, **options: Any) -> Loader:
    """Batches to train on; the arguments are those of `Loader`.

    A last batch with fewer examples than there are ranks is left out.
    """
    if batch_size < size():
        raise CourseError(f"--batch-size {batch_size} is too small for {size()} ranks.")
    few = 0 < len(images) % batch_size < size()
    return Slices(images, batch_size, drop_last=few, **options)


def part(images: ImageSet) -> ImageSet:
    """This rank's examples of a set that is to be measured on."""
    if size() == 1:
        return images
    return images.take(torch.arange(rank(), len(images), size()))


class Shared(DistributedDataParallel):
    """A network whose gradients are means over the examples of all ranks' slices.

    torch takes the mean over the ranks; so each one's gradient counts by its part of
    the batch.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.register_comm_hook(self, Shared.add_up)
        self.weight = 1.0

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        if torch.is_grad_enabled():
            self.weight = len(images) / summed(len(images))[0]
        return super().forward(images)

    def add_up(self, bucket):  # type: ignore[no-untyped-def]  # torch reads the hints
        """Sum a part of the gradients over the ranks, which a future brings."""
        gradients = bucket.buffer().mul_(self.weight)
        summed = dist.all_reduce(gradients, async_op=True)
        return summed.get_future().then(lambda done: done.value()[0])


@contextmanager
def shared(
    network: nn.Module, checkpoint: Path | None
) -> Iterator[tuple[nn.Module, Path | None]]:
    """The network as all ranks train it, and where this one keeps its whole state.

    The first rank's file counts: all others begin from a copy, in a folder that goes.
    """
    if size() == 1:
        yield network, checkpoint
        return
    with TemporaryDirectory() as folder:
        if checkpoint:
            there = checkpoint.is_file() and rank() == 0
            state = [checkpoint.read_bytes() if there else None]
            dist.broadcast_object_list(state, device=torch.device("cpu"))
            if rank() > 0:
                checkpoint = Path(folder) / "state.pt"
                if state[0]:
                    checkpoint.write_bytes(state[0])
        # The order that `fit` gives the filters, before torch lays out its buffers.
        device = next(network.parameters()).device
        network.to(memory_format=recipe.layout(network, device))
        yield Shared(network), checkpoint
