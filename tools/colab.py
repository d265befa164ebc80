"""A notebook alone, as in Colab: its badges, its first cell, and what that cell does.

python -m tools.colab FOLDER file:///home/me/course

puts each lecture alone into a folder of its own; its first cell fetches the course from
that address. No import here needs more than Python: the first cell runs this file.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
GITHUB = re.compile(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?")
# What the lectures import. Their ranges stand in requirements.txt.
NEEDED = ("matplotlib", "pillow", "scikit-learn", "pooch", "tqdm")
KEPT = ("torch", "torchvision", "numpy")  # the machine's own, made for its GPU
# No output depends on this cell: its text can change without a new run.
SETUP = """\
# @title Set-up: finds the course, or fetches it, as in Colab
import os, runpy, sys
{get}
files = [f for n in range(9) if os.path.isfile(f := "../" * n + "tools/colab.py")]
if not (files or os.path.isdir("cnn-course") or os.system(get) == 0):
    raise RuntimeError("No course: {missing}")
runpy.run_path([*files, "cnn-course/tools/colab.py"][0])["settle"]()"""
CLONE = """\
origin = "{origin}"
get = f"git -c core.askpass=true clone -q --depth 1 {{origin}} cnn-course\""""
UNPACK = """get = f'"{sys.executable}" -m zipfile -e cnn-course.zip .'"""
NO_CLONE = "are there git and a network (Kaggle: Internet on)?"
NO_ARCHIVE = "put cnn-course.zip beside this notebook, run again."


def setup(repository: str) -> str:
    """The code of the first cell, for a course published at `repository`.

    One that is published nowhere is unpacked from the archive of the website.
    """
    if not repository:
        return SETUP.format(get=UNPACK, missing=NO_ARCHIVE)
    clone = CLONE.format(origin=quote(repository, safe=":/@%"))
    return SETUP.format(get=clone, missing=NO_CLONE)


def settle(root: Path = ROOT) -> None:
    """Let the notebook import the course; where it fetched it, install what is missing.

    Args:
        root: the course.

    Raises:
        ImportError: another module has the name of a room of the course, or torch,
            torchvision or numpy is missing.
        RuntimeError: pip cannot install a package.
    """
    refuse_others(root)
    sys.path[:] = [str(root), *(place for place in sys.path if place != str(root))]
    if root != Path.cwd() / "cnn-course":
        return  # in a clone, where requirements.txt has been installed
    absent = [name for name in KEPT if not version(name)]
    if absent:
        raise ModuleNotFoundError(
            f"{', '.join(absent)} is not installed, and the course leaves its choice to"
            f" you: `%pip install {' '.join(absent)}`, then run this cell again."
        )
    install(missing(root))
    python, torch = platform.python_version(), version("torch")
    print(f"Course in {root.name} · Python {python} · torch {torch}")


def refuse_others(root: Path) -> None:
    """Raise where `utils`, `teaching` or `tools` is loaded, and not the course's.

    Raises:
        ImportError: with the place of the other, and what to do.
    """
    for name in ("utils", "teaching", "tools"):
        other = sys.modules.get(name)
        places = [getattr(other, "__file__", None), *getattr(other, "__path__", ())]
        place = next(filter(None, places), "in this notebook")
        if other is not None and root not in Path(place).resolve().parents:
            raise ImportError(
                f"Another `{name}` was imported before the course's, {place}: restart"
                " the kernel and run this cell first, or rename the other one."
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


def badges(repository: str, path: str) -> dict[str, tuple[str, str]]:
    """The services that open one notebook, of its branch `main`.

    Args:
        repository: where the course is published, as https://github.com/OWNER/NAME.
        path: the notebook, as seen from there: notebooks/04_vgg.ipynb.

    Returns:
        Colab, Kaggle and Binder: name -> address there, and that of its button; none
        where `repository` is not on GitHub, or empty.
    """
    found = GITHUB.fullmatch(repository)
    if not found:
        return {}
    name, page = found[1], quote(path)
    source = quote(f"https://github.com/{name}/blob/main/{page}", safe=":/")
    colab, binder = "https://colab.research.google.com", "https://mybinder.org"
    kaggle, lab = "https://www.kaggle.com", quote(path, safe="")
    return {
        "Colab": (
            f"{colab}/github/{name}/blob/main/{page}",
            f"{colab}/assets/colab-badge.svg",
        ),
        "Kaggle": (
            f"{kaggle}/kernels/welcome?src={source}",
            f"{kaggle}/static/images/open-in-kaggle.svg",
        ),
        "Binder": (
            f"{binder}/v2/gh/{name}/main?labpath={lab}",
            f"{binder}/badge_logo.svg",
        ),
    }


def buttons(repository: str, path: str) -> str:
    """The badges as Markdown: pictures that are links."""
    return " ".join(
        f"[![Open in {name}]({picture})]({link})"
        for name, (link, picture) in badges(repository, path).items()
    )


def repository(root: Path = ROOT) -> str:
    """`[tool.course] repository` of pyproject.toml; empty where it is not set."""
    # Read without tomllib, which Python 3.10 does not have.
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[tool.course]\n")[2].partition("\n[")[0]
    found = re.search(r'^repository *= *"(.*?)"', section, re.M)
    return found[1] if found else ""


def put(folder: Path, address: str) -> list[Path]:
    """Write all notebooks, which fetch the course from an address; where they are."""
    written = []
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        nb = json.loads(path.read_text(encoding="utf-8"))
        for cell in nb["cells"]:
            if "course-setup" in cell["metadata"].get("tags", []):
                cell["source"] = setup(address)
        written.append(folder / path.stem / path.name)
        written[-1].parent.mkdir(parents=True)
        written[-1].write_text(json.dumps(nb), encoding="utf-8")
    return written


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where nothing lies yet")
    parser.add_argument("repository", help="an address that git can clone")
    options = parser.parse_args()
    for path in put(options.folder, options.repository):
        print(path)


if __name__ == "__main__":
    main()
