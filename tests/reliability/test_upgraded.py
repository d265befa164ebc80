"""The course forces no upgrade.

That it survives one is what `matrix.py` shows, and CI with the same versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import matrix
import pytest
import report

REQUIREMENTS = report.ROOT / "requirements.txt"
LIMITS = matrix.limits("oldest").splitlines()
OLDEST = dict(line.removesuffix(".*").split("==") for line in LIMITS)
# torch and torchvision: the oldest that we support, a GPU's, and one of years to come.
PROMISED = [("2.4.0", "0.19.0"), ("2.6.0+cu124", "0.21.0+cu124"), ("2.99.0", "0.114.0")]
TORCH = {"torch", "torchvision", "numpy"}  # what a machine comes with, built for it


def with_packages(folder: Path, installed: dict[str, str]) -> Path:
    """An environment in which pip finds these versions; nothing but their names."""
    venv.create(folder, with_pip=False)
    names = {"base": str(folder), "platbase": str(folder)}
    scheme = "nt" if sys.platform == "win32" else "posix_prefix"
    site = Path(sysconfig.get_path("purelib", scheme, names))
    for name, version in installed.items():
        about = site / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (about / "METADATA").write_text(text)
        (about / "INSTALLER").write_text("pip")
        (about / "RECORD").touch()
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def would_install(python: Path, *options: str) -> set[str]:
    """What pip would install for the course."""
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--dry-run"]
    flags = ["--quiet", "--disable-pip-version-check", "--report", "-", *options]
    alone = "--no-index" in options  # then no setting of this machine's pip counts
    env = os.environ | ({"PIP_CONFIG_FILE": os.devnull} if alone else {})
    command += [*flags, "-r", REQUIREMENTS]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode and not alone:
        pytest.skip(f"pip has no answer: {done.stderr[-200:]}")
    assert done.returncode == 0, f"pip would install something: {done.stderr[-500:]}"
    return {one["metadata"]["name"] for one in json.loads(done.stdout)["install"]}


@pytest.mark.parametrize("promised", PROMISED)
def test_versions_in_range_stay(tmp_path, promised):
    torch_there, vision_there = promised
    there = OLDEST | {"torch": torch_there, "torchvision": vision_there}
    assert would_install(with_packages(tmp_path, there), "--no-index") == set()


def test_pip_keeps_the_torch_that_is_there(tmp_path, thorough, keep):
    if not thorough:
        pytest.skip("asks the package index")
    for minor in (4, 6):
        torch_there, vision_there = f"2.{minor}.0", f"0.{minor + 15}.0"
        there = {"torch": torch_there, "torchvision": vision_there, "numpy": "1.26.4"}
        new = would_install(with_packages(tmp_path / torch_there, there))
        assert len(new) > 20  # JupyterLab and all the rest
        assert not new & TORCH
    figure = f"beside torch 2.4 and 2.6, pip installs {len(new)} packages and no torch"
    keep("pip", figure, installed=len(new))
