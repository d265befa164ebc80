"""The file readers take any bytes, and raise nothing but their documented error."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import subprocess
import sys
from typing import Any

import fuzz
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INPUTS = {False: 300, True: 3_000}  # by whether the run is a thorough one
GUIDED = 100_000  # of each reader, in a thorough run


@pytest.fixture(autouse=True)
def in_memory(monkeypatch, tmp_path):
    """The cache lies with the inputs."""
    monkeypatch.setenv("CNN_COURSE_DATA", str(fuzz.scratch()))


@st.composite
def edited(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good file with bytes changed, left out, and put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        place, gone = draw(st.integers(0, len(data))), draw(st.integers(0, 3))
        data[place : place + gone] = draw(st.binary(max_size=4))
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


ODD: list[Any] = [None, True, {}, [], "", -1, 0.5, 10**400, float("inf")]
ODD += ["<b>|\n", "\ud800"]  # the last one is no text in UTF-8


@st.composite
def other_record(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good record with values that are of another kind, or missing."""
    run = json.loads(draw(st.sampled_from(seeds)))
    return json.dumps(draw(changed(run, ODD))).encode()


@st.composite
def changed(draw: st.DrawFn, value: Any, odd: list[Any]) -> Any:
    """The value with something in it replaced by something odd, or left out."""
    whole = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        place = whole
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = draw(st.sampled_from(keys))
            if draw(st.booleans()) or not isinstance(place[key], dict | list):
                if draw(st.booleans()):
                    place[key] = copy.deepcopy(draw(st.sampled_from(odd)))
                else:
                    del place[key]
                break
            place = place[key]
    return whole


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_no_error_but_the_documented_one(name, thorough):
    seeds = fuzz.TARGETS[name][1]()
    inputs = st.one_of(edited(seeds), st.binary(max_size=64))
    if name == "results":
        inputs = st.one_of(inputs, other_record(seeds), other_record(seeds))

    @settings(
        max_examples=INPUTS[thorough],
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def attempt(data: bytes) -> None:
        fuzz.attempt(name, data)

    attempt()


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_a_good_file_is_read(name):
    read, seeds = fuzz.TARGETS[name]
    for seed in seeds():
        read(seed)


def test_a_hundred_thousand_inputs_that_look_for_new_paths(thorough, keep):
    if not thorough or not importlib.util.find_spec("atheris"):
        pytest.skip("minutes, and atheris: pip install atheris")
    done = {}
    for name in fuzz.TARGETS:
        command = [sys.executable, fuzz.__file__, name, "--inputs", str(GUIDED)]
        ended = subprocess.run(command, capture_output=True, text=True, env=os.environ)
        assert ended.returncode == 0, (
            f"{name}\n{ended.stdout[-3000:]}{ended.stderr[-2000:]}"
        )
        done[name] = int(re.search(r"Done (\d+) runs", ended.stderr)[1])
        assert done[name] >= GUIDED
    keep(
        "fuzzed",
        f"{len(done)} readers × {GUIDED:,} inputs, guided by coverage: no crash, no"
        " error but the documented one",
        **done,
    )
