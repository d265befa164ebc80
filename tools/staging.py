"""Prepare the course's files for the website: their links, and its notebooks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from nbformat import NotebookNode

LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\((?![a-z]+:|[#/])([^)\s#]+)(#[^)\s]*)?\)")
PICTURE = re.compile(r"!\[[^\[\]]*\]\((?![a-z]+:|[#/])([^)\s#]+)\)")


@dataclass(frozen=True)
class Links:
    """Rewrites the links of the course's files for their places in the website.

    A file that is a page there is linked as a page. Any other file is linked in the
    published repository; where none is set, the words of the link remain without it.

    Args:
        root: the course's folder.
        pages: file, as seen from the root -> the page's source in the website.
        repository: address of the published course, or "".
    """

    root: Path
    pages: dict[str, str]
    repository: str

    def adapt(self, text: str, file: str) -> str:
        """The text of `file` with its links as its page needs them."""
        here = PurePosixPath(self.pages[file]).parent

        def link(match: re.Match) -> str:
            words, target = match[1], resolve(match[2], file)
            if target in self.pages:
                place = Path(os.path.relpath(self.pages[target], here)).as_posix()
                return f"[{words}]({place}{match[3] or ''})"
            if not (self.root / target).exists():
                return match[0]  # no link at all, or Sphinx will say that it is broken
            address = f"{self.repository}/blob/main/{target}"
            return f"[{words}]({address})" if self.repository else words

        return LINK.sub(link, text)


def resolve(link: str, file: str) -> str:
    """What a relative link in `file` points at, both as seen from the root."""
    return Path(os.path.normpath(Path(file).parent / unquote(link))).as_posix()


def pictures(text: str) -> list[str]:
    """The picture files that a page shows, as seen from it."""
    return PICTURE.findall(text)


def adapt_notebook(nb: NotebookNode, before: str, facts: str) -> None:
    """Prepare a notebook for MyST-NB, in place.

    Args:
        nb: with its kept outputs; its figures get their descriptions.
        before: stands in front of its title, as "04 · ".
        facts: Markdown that stands below the title.
    """
    for cell in nb.cells:
        if cell.cell_type != "code":
            continue
        if "course-setup" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-input")  # the same in every notebook
        alt = cell.metadata.get("alt") or title_of_drawing(cell)
        if alt:
            cell.metadata.mystnb = {"image": {"alt": alt}}
    nb.metadata.language_info.pygments_lexer = "ipython3"  # knows !git and %pip
    title, _, rest = nb.cells[0].source.partition("\n")
    title = title.replace("# ", f"# {before}", 1)
    nb.cells[0].source = f"{title}\n\n:::{{container}} facts\n{facts}\n:::\n{rest}"


def title_of_drawing(cell: NotebookNode) -> str:
    """What the title of an SVG among a cell's outputs says."""
    drawn = [o.get("data", {}).get("image/svg+xml", "") for o in cell.outputs]
    found = re.search(r"<title[^>]*>(.*?)</title>", "".join(drawn), re.S)
    return re.sub(r"\s+", " ", found[1]).strip() if found else ""
