"""Tests of what RELIABILITY.md promises: few rounds in CI, all with `--thorough`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report
import torch

from experiments import record

CPU = torch.device("cpu")


@pytest.fixture
def keep(request: pytest.FixtureRequest, thorough: bool) -> Callable[..., None]:
    """`keep("killed", "50 of 50 ...", kills=50)`: the figures of a thorough run."""

    def write(promise: str, figure: str, **numbers: Any) -> None:
        if thorough:
            test = Path(request.path).relative_to(report.ROOT).as_posix()
            made = {"figure": figure, "test": test, "commit": report.commit()}
            report.write(promise, made | numbers | {"machine": record.machine(CPU)})

    return write
