"""The website: every lecture with its kept outputs, its slides, and pages beside them.

python -m tools.website            build/site/index.html and what it needs
python -m tools.website 04 --out x a site of some lectures, for a quick look

It executes nothing, and its pages need nothing from another host.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from nbformat import NotebookNode

from tools import answers, build, finish, front, kit, lectures, outputs, play, slides
from tools.colab import badges, repository
from tools.lectures import Lecture
from tools.outputs import SourceError, command
from tools.release import ARCHIVE, pack

ROOT = build.ROOT
NAME = "Convolutional networks"
# Pages of the course that have their place elsewhere.
OTHERS = ("data/README.md", "benchmarks/README.md", "CONTRIBUTING.md", "RELIABILITY.md")
LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\((?![a-z]+:|[#/])([^)\s#]+)(#[^)\s]*)?\)")
PICTURE = re.compile(r"!\[[^\[\]]*\]\((?![a-z]+:|[#/])([^)\s#]+)\)")


def pages(chosen: list[Lecture]) -> dict[str, str]:
    """File of the course -> source of its page in the website."""
    own = sorted((ROOT / "site").glob("*.md"))
    found = {f"site/{page.name}": page.name for page in own}
    found |= {name: name for name in OTHERS if (ROOT / name).is_file()}
    for lecture in chosen:
        for name in (lecture.file, lecture.solutions):
            found[name] = name
    return found


def stage(chosen: list[Lecture], folder: Path) -> None:
    """Write what Sphinx reads: the pages and notebooks, with their links adapted."""
    found, stems = pages(chosen), [one.path.stem for one in chosen]
    links = Links(ROOT, found | {"README.md": "index.md"}, repository(ROOT))
    shutil.rmtree(folder, ignore_errors=True)
    for file, page in found.items():
        if file.endswith(".md"):
            text = (ROOT / file).read_text(encoding="utf-8")
            text = front.fill(text, chosen)
            text = text.replace("<!-- kit -->", kit.links(stems))
            write(folder / page, links.adapt(text, file))
            for picture in PICTURE.findall(text):
                target = folder / Path(page).parent / picture
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy((ROOT / file).parent / picture, target)
    for one in chosen:
        stage_notebook(one.file, f"{one.number} · ", facts(one), folder, links)
        before = f"Solutions {one.number} · "
        stage_notebook(one.solutions, before, solved(one), folder, links)


def stage_notebook(
    file: str, before: str, text: str, folder: Path, links: Links
) -> None:
    """Write one notebook for Sphinx: `before` its title, and `text` below it."""
    nb = outputs.load(ROOT / file)
    adapt_notebook(nb, before, text)
    if "solutions" not in file:
        answers.insert(nb, ROOT / "notebooks" / "solutions" / Path(file).name, "../")
        play.insert(nb, Path(file).name[:2], "../")
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = links.adapt(cell.source, file)
    write(folder / file, outputs.text_of(nb))


def facts(lecture: Lecture) -> str:
    """Where a lecture's slides and solutions are, and when it was last run."""
    name = lecture.path.stem
    parts = [
        f'<a href="../slides/{name}.html">Slides</a>, {lecture.minutes} minutes',
        f"[Solutions](solutions/{name}.ipynb)",
        f'<a href="../_sources/{lecture.file}" download>Notebook</a>',
        f'<a href="../{ARCHIVE}" download>Everything</a>',
        "[Run it yourself](../site/start.md)",
    ]
    found = badges(repository(ROOT), lecture.file)
    parts += [f"[Open in {name}]({link})" for name, (link, _) in found.items()]
    return f"{' · '.join(parts)}\n\nLast verified {lecture.verified}."


def solved(lecture: Lecture) -> str:
    """What stands below the title of a lecture's solutions."""
    title = f"[lecture {lecture.number}](../{lecture.path.name})"
    return f"The notebook of {title} with its exercises filled in."


def write(path: Path, text: str) -> None:
    """Write a file, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


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
        drawn = [alt for *_, alt in outputs.pictures(cell)]
        if alt := next(filter(None, [cell.metadata.get("alt"), *drawn]), ""):
            cell.metadata.mystnb = {"image": {"alt": re.sub(r"\s+", " ", alt).strip()}}
    nb.metadata.language_info.pygments_lexer = "ipython3"  # knows !git and %pip
    title, _, rest = nb.cells[0].source.partition("\n")
    title = title.replace("# ", f"# {before}", 1)
    nb.cells[0].source = f"{title}\n\n:::{{container}} facts\n{facts}\n:::\n{rest}"


def render(source: Path, out: Path, *, strict: bool) -> None:
    """Let Sphinx make the pages; a warning is an error if `strict`."""
    shutil.rmtree(out, ignore_errors=True)
    command = ["-m", "sphinx", "--quiet", "-E"]
    command += ["-W", "--keep-going"] if strict else []
    command += ["-c", str(ROOT / "site"), "-d", str(source.parent / "site-doctrees")]
    done = subprocess.run([sys.executable, *command, str(source), str(out)])
    if done.returncode:
        raise SourceError("Sphinx complains, see above; the site is not complete")


def add_slides(chosen: list[Lecture], out: Path) -> None:
    """Put each lecture's deck into the site, and the notebook as it was committed."""
    for lecture in chosen:
        slides.write(lecture.deck, out / "slides")
        for name in (lecture.file, lecture.solutions):
            shutil.copy(ROOT / name, out / "_sources" / name)


def make(names: list[str], out: Path) -> None:
    """Make the site of these lectures in `out`."""
    wanted = {build.target(s, solutions=False) for s in build.lectures(names)}
    chosen = [one for one in lectures.all_lectures() if one.path in wanted]
    source = out.parent / f"{out.name}-source"
    stage(chosen, source)
    render(source, out, strict=not names)  # some lectures are linked to others
    play.write(out / "_static")
    front.put(chosen, out)
    pack(out / ARCHIVE, answers=True)
    finish.finish(out, NAME)
    add_slides(chosen, out)
    kit.write([one.path.stem for one in chosen], out / "kit")


def main() -> None:
    """Make the site that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lecture", nargs="*", help="such as 04; all by default")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    options = parser.parse_args()
    make(options.lecture, options.out.resolve())
    print(options.out / "index.html")


if __name__ == "__main__":
    command(main)
