"""The links that open a notebook in Colab, on Kaggle and on Binder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

GITHUB = re.compile(r"https://github\.com/([^/]+/[^/]+?)(?:\.git)?/?")


@dataclass(frozen=True)
class Badge:
    """A service that runs notebooks, and this notebook there."""

    name: str
    picture: str  # its button, an address
    link: str

    def markdown(self) -> str:
        """The button, as a link."""
        return f"[![Open in {self.name}]({self.picture})]({self.link})"


def badges(repository: str, path: str) -> list[Badge]:
    """The badges of one notebook, of its branch `main`.

    Args:
        repository: where the course is published, as https://github.com/OWNER/NAME.
        path: the notebook, as seen from there: notebooks/04_vgg.ipynb.

    Returns:
        Colab, Kaggle and Binder; none where `repository` is not on GitHub, or empty.
    """
    found = GITHUB.fullmatch(repository)
    if not found:
        return []
    name, page = found[1], quote(path)
    source = quote(f"https://github.com/{name}/blob/main/{page}", safe=":/")
    colab, binder = "https://colab.research.google.com", "https://mybinder.org"
    kaggle = "https://www.kaggle.com"
    return [
        Badge(
            "Colab",
            f"{colab}/assets/colab-badge.svg",
            f"{colab}/github/{name}/blob/main/{page}",
        ),
        Badge(
            "Kaggle",
            f"{kaggle}/static/images/open-in-kaggle.svg",
            f"{kaggle}/kernels/welcome?src={source}",
        ),
        Badge(
            "Binder",
            f"{binder}/badge_logo.svg",
            f"{binder}/v2/gh/{name}/main?labpath={quote(path, safe='')}",
        ),
    ]


def repository(root: Path) -> str:
    """`[tool.course] repository` of pyproject.toml; empty where it is not set."""
    # Read without tomllib, which Python 3.10 does not have.
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[tool.course]\n")[2].partition("\n[")[0]
    found = re.search(r'^repository *= *"(.*?)"', section, re.M)
    return found[1] if found else ""
