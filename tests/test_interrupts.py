"""The stop button where it would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from runs import EPOCHS, assert_equal_runs, run
from torch import nn

from utils.checkpoint import held_back


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def press_and_go_on(rest: Callable[[], Any]) -> None:
    with held_back():
        press()
        rest()


def test_an_interrupt_counts_at_the_end_of_the_block_unless_dropped():
    done = []
    with held_back(dropped=True):
        press()
    with pytest.raises(KeyboardInterrupt):
        press_and_go_on(lambda: done.append("the rest"))
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        press()
    with pytest.raises(ZeroDivisionError):  # an error goes before an interrupt
        press_and_go_on(lambda: 1 / 0)


def test_another_thread_is_never_interrupted():
    seen = []

    def work() -> None:
        with held_back():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.parametrize("epoch", [1, 3, EPOCHS])
def test_a_checkpoint_that_is_being_written_becomes_whole(epoch, tmp_path, monkeypatch):
    save, written = torch.save, []

    def save_and_press(state: dict, file: object) -> None:
        written.append(1)
        if len(written) == epoch:
            press()
        save(state, file)

    monkeypatch.setattr(torch, "save", save_and_press)
    _, history = run("course-adam", tmp_path / "run.pt")
    assert history["epoch"] == list(range(1, epoch + 1))
    assert history.stopped == ("interrupted" if epoch < EPOCHS else "")
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
    resumed = run("course-adam", tmp_path / "run.pt", resume=True)
    assert_equal_runs(resumed, run("course-adam", None))


def test_the_best_weights_come_back_as_a_whole(monkeypatch):
    load = nn.Module.load_state_dict

    def press_and_load(model: nn.Module, state: dict) -> None:
        press()
        load(model, state)

    monkeypatch.setattr(nn.Module, "load_state_dict", press_and_load)
    assert_equal_runs(run("epoch-sgd", None), run("epoch-sgd", None))
