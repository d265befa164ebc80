"""Tell the course where it is published: buttons, badges, set-up cells, CITATION.cff.

python -m tools.publish https://github.com/OWNER/NAME

writes the address into every file that needs it, or, where something is wrong with it,
changes nothing. What is switched on at the host it prints: no file can do that.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tools import build, colab, lectures
from tools.outputs import SourceError, command

ROOT = build.ROOT
ADDRESS = re.compile(r"https://[\w.-]+\.[a-z]+(:\d+)?(/[\w.~-]+){2,}")
SETTING = re.compile(r'^repository = ".*"$', re.M)
CITED = re.compile(r"^repository-code: .*\n", re.M)
HOST = """\
Published at {address}, once you have committed and pushed the changes to `main`.
Switch on at the host:
"""
GITHUB = """\
- Settings > General: the repository is public. Colab, Kaggle and Binder open no other.
- Settings > Pages > Source: GitHub Actions. The website then stands at
  {pages}
- Settings > Actions > General: actions are allowed; they test each change.
"""
OTHER = """\
- The repository is public: a set-up cell clones it without a password.
- A host of web pages serves build/site, which `make site` makes.
Colab, Kaggle and Binder have buttons for courses on github.com alone: here are none.
"""


def address(text: str) -> str:
    """The address as the files need it, without `.git` and the last slash.

    Raises:
        SourceError: it is no address of a repository.
    """
    found = text.strip().removesuffix("/").removesuffix(".git")
    on_github = re.match(r"https://(www\.)?github\.com/", found)
    if not (colab.GITHUB if on_github else ADDRESS).fullmatch(found):
        raise SourceError(
            f"{text!r} is no address of a repository: give it as"
            " REPO=https://github.com/OWNER/NAME"
        )
    return found


def settings(found: str, root: Path) -> dict[Path, str]:
    """The two files that hold the address, as they will be.

    Raises:
        SourceError: pyproject.toml has no place for it.
    """
    project, cited = root / "pyproject.toml", root / "CITATION.cff"
    text = project.read_text(encoding="utf-8")
    if not SETTING.search(text):
        raise SourceError(f'{project} has no line `repository = "..."`')
    citation = CITED.sub("", cited.read_text(encoding="utf-8")).rstrip("\n")
    return {
        project: SETTING.sub(f'repository = "{found}"', text),
        cited: f'{citation}\nrepository-code: "{found}"\n',
    }


def touched(root: Path) -> Iterable[Path]:
    """All files that publishing may change."""
    yield from (root / "pyproject.toml", root / "CITATION.cff")
    yield from sorted((root / "notebooks").rglob("*.ipynb"))
    yield from (root / page for page in lectures.PAGES)


def publish(found: str, root: Path = ROOT) -> None:
    """Write the address into every file; into none if one cannot be made.

    Raises:
        SourceError: with the words of the tool that failed.
    """
    before = {path: path.read_bytes() for path in touched(root)}
    try:
        for path, text in settings(found, root).items():
            path.write_text(text, encoding="utf-8", newline="\n")
        for tool in ("build", "lectures"):
            command = [sys.executable, "-m", f"tools.{tool}"]
            done = subprocess.run(command, cwd=root, capture_output=True, text=True)
            if done.returncode:
                raise SourceError(f"nothing is changed: {done.stderr.strip()}")
    except BaseException:
        for path, old in before.items():
            path.write_bytes(old)
        raise


def told(found: str) -> str:
    """What is left to do at the host."""
    here = colab.GITHUB.fullmatch(found)
    owner, _, name = here[1].partition("/") if here else ("", "", "")
    pages = f"https://{owner.lower()}.github.io/{name}/"
    text = HOST + (GITHUB if here else OTHER)
    return text.format(address=found, pages=pages)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", help="as https://github.com/OWNER/NAME")
    found = address(parser.parse_args().repository)
    publish(found)
    print(told(found), end="")


if __name__ == "__main__":
    command(main)
