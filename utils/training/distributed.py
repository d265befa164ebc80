"""Training on several processes that `torchrun` has started, on one host or on more.

Each process, called a rank, holds the whole model and its part of every batch; torch's
`DistributedDataParallel` adds up their gradients. A program takes part with

    with distributed.joined():
        loader = images.loader(128, shuffle=True, shard=distributed.shard())
        fit(model, loader, epochs=5)

Without torchrun there is one process, and nothing here does anything.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from functools import cache
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist

from utils.course import CourseError

T = TypeVar("T")

ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
TIMEOUT = timedelta(seconds=45)  # without a word from another rank, between two steps
PATIENCE = 3600  # seconds that a download, or the writing of a checkpoint, may take
LOST = (
    "The run was ended from outside, or one of its processes was killed or cannot be"
    " reached, so all of them stop. Start the command again; with --checkpoint and"
    " --resume it goes on after the last whole epoch."
)


def launched() -> bool:
    """Whether torchrun has started this process, as one of several."""
    return all(map(os.environ.get, ENVIRONMENT)) and int(os.environ["WORLD_SIZE"]) > 1


def size() -> int:
    """How many processes train together."""
    joined = dist.is_available() and dist.is_initialized()
    return dist.get_world_size() if joined else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return dist.get_rank() if size() > 1 else 0


def shard() -> tuple[int, int]:
    """Rank and size, as a loader takes them."""
    return rank(), size()


def is_first() -> bool:
    """Whether this is the process that prints and writes files: rank 0."""
    return rank() == 0


def local_rank() -> int:
    """The number of this process among those of its host."""
    return int(os.environ["LOCAL_RANK"]) if size() > 1 else 0


def launcher() -> str:
    """What starts the course's command here, as one types it."""
    if size() == 1:
        return "python"
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    hosts = f"--nnodes={size() // here} " if size() > here else ""
    return f"torchrun {hosts}--nproc-per-node={here}"


# --- joining and leaving ------------------------------------------------------------


@contextmanager
def joined() -> Iterator[None]:
    """Train together with the other processes inside; only rank 0 speaks there.

    Whatever ends one of them ends all of them: the first one's exception is raised as
    it is, the others exit with the same status, in silence.

    Raises:
        CourseError: another process was killed, or is out of reach.
    """
    if not launched() or size() > 1:  # alone, or inside already
        yield
        return
    try:
        with ExitStack() as stack:
            if os.environ["RANK"] != "0":
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(redirect_stdout(nowhere))
                stack.enter_context(redirect_stderr(nowhere))
            join()
            yield
        dist.destroy_process_group()
    except BaseException as error:
        stop(error)


def join() -> None:
    """Meet the other processes; gloo carries what is on the CPU, NCCL what is on CUDA.

    torchrun ends the ranks that are left with SIGTERM, and passes Ctrl-C on as SIGINT,
    more than once: the first signal counts.
    """
    heard = {signal.SIGINT: KeyboardInterrupt(), signal.SIGTERM: CourseError(LOST)}

    def once(number: int, frame: Any) -> NoReturn:
        be_deaf()
        raise heard[signal.Signals(number)]

    for number in heard:
        signal.signal(number, once)
    cuda = torch.cuda.is_available()
    if cuda:
        # From here on, "cuda" is this process's own card.
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    times = store().add(f"joined by {os.environ['RANK']}", 1)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda and dist.is_nccl_available() else "gloo",
        store=dist.PrefixStore(f"group {times}", store()),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=TIMEOUT,
    )


def be_deaf() -> None:
    """Ignore the signals of torchrun from here on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def stop(error: BaseException) -> NoReturn:
    """Raise the error on the first rank that stops; the others exit with its status.

    Of an interrupt, which torchrun sends to all of them, rank 0 tells.
    """
    be_deaf()
    broken = isinstance(error, RuntimeError) and is_lost(error)
    status: Any = 2 if broken or isinstance(error, CourseError) else 1
    if isinstance(error, KeyboardInterrupt):
        status = 130
    elif isinstance(error, SystemExit):
        status = error.code or 0
    mine = f"{status} {os.environ['RANK']}"
    try:
        found = store().compare_set("stopped", "", mine).decode()
    except RuntimeError:  # its host is gone
        found = mine
    interrupted = found.startswith("130 ")
    if interrupted and os.environ["RANK"] == "0":
        raise KeyboardInterrupt from None
    if interrupted or found != mine:
        raise SystemExit(int(found.split()[0])) from None
    if broken:
        detail = str(error).splitlines()[0].split(". ")[0]
        raise CourseError(f"{LOST}\n({detail})") from None
    raise error


def is_lost(error: RuntimeError) -> bool:
    """Whether the connection to another process broke; gloo has no class for that."""
    return isinstance(error, dist.DistError) or "gloo/transport" in str(error)


# --- waiting for each other ---------------------------------------------------------


@cache
def store() -> dist.Store:
    """torchrun's table of keys and values, which all processes share."""
    found, _, _ = next(dist.rendezvous("env://"))
    return dist.PrefixStore("course", found)


def meet() -> None:
    """Wait until all have come here, for longer than a step of training may take.

    Raises:
        CourseError: one of them has stopped, or is an hour late.
    """
    if size() == 1:
        return
    arrived = store().add("arrived", 1)
    needed = -(-arrived // size()) * size()  # all, at this meeting and those before
    deadline = time.monotonic() + PATIENCE
    while store().add("arrived", 0) < needed:
        if store().check(["stopped"]) or time.monotonic() > deadline:
            raise CourseError(LOST)
        time.sleep(0.01)


@contextmanager
def one_first() -> Iterator[None]:
    """One process of each host goes through the block first: it downloads for all."""
    if local_rank() > 0:
        meet()
    yield
    if local_rank() == 0:
        meet()


# --- giving and adding up -----------------------------------------------------------


def from_first(make: Callable[[], T]) -> T:
    """What rank 0 makes, on all ranks."""
    made = [make() if is_first() else None]
    if size() > 1:
        dist.broadcast_object_list(made, device=torch.device("cpu"))
    return made[0]  # type: ignore[return-value]


def gathered(value: T) -> list[T]:
    """Every rank's value, on all ranks."""
    values: list[Any] = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


def summed(*values: float) -> list[float]:
    """Each value added up over all ranks, which get the same bits."""
    if size() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return sums.tolist()
