"""For a notebook that fetched the course, as in Colab: its packages and its version."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the lectures import. Their ranges stand in requirements.txt.
NEEDED = ("matplotlib", "pillow", "scikit-learn", "pooch", "tqdm", "ipywidgets")
KEPT = ("torch", "torchvision", "numpy")  # the machine's own, made for its GPU
SECONDS = 10  # for a look at the origin


def settle(root: Path = ROOT) -> None:
    """Install what is missing, and say in one line what runs.

    Args:
        root: the fetched course.

    Raises:
        ModuleNotFoundError: torch, torchvision or numpy is missing.
        RuntimeError: pip cannot install a package.
    """
    absent = [name for name in KEPT if not version(name)]
    if absent:
        raise ModuleNotFoundError(
            f"{', '.join(absent)} is not installed, and the course leaves its choice to"
            f" you: `%pip install {' '.join(absent)}`, then run this cell again."
        )
    install(missing(root))
    commit = git(root, "log", "-1", "--format=%h of %cs") or "unknown"
    python, torch = platform.python_version(), version("torch")
    print(f"Course {commit} · Python {python} · torch {torch}")
    origin = git(root, "ls-remote", "origin", "HEAD").partition("\t")[0]
    if origin and origin != git(root, "rev-parse", "HEAD"):
        print(
            f"The course has changed since: to update, delete {root},"
            " restart the kernel and run this cell again."
        )


def version(name: str) -> str:
    """The installed version of a package; empty where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def missing(root: Path) -> list[str]:
    """The lines of requirements.txt that a lecture needs and this machine lacks."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {re.split(r"[^\w-]", line)[0]: line for line in lines}
    return [names[name] for name in NEEDED if not version(name)]


def install(lines: list[str]) -> None:
    """Install packages, and leave torch, torchvision and numpy as they are.

    Raises:
        RuntimeError: pip fails; with its own last words.
    """
    if not lines:
        return
    kept = [f"{name}=={version(name)}" for name in KEPT]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *lines, *kept]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"pip could not install {', '.join(lines)}: check the network, and run"
            f" this cell again.\n{done.stderr.strip()}"
        )


def git(root: Path, *command: str) -> str:
    """What git answers; empty where it fails, or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command],
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
