"""What protects a reader of a built notebook; `tools.build --check` applies it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from tools import outputs, percent
from tools.percent import Cell

MAX_LINES, MAX_COLUMNS = 26, 88
MAX_BYTES = 1_500_000  # of a lecture whose photos are 250 pixels wide
SLIDE_TYPES = {"slide", "subslide", "fragment", "skip", "notes", "-"}
MISSPELT = re.compile(  # Imagenette is the name of a data set
    r"\b(GoogleNet|Googlenet|GoogLenet|Resnet|Imagenet|Alexnet|Lenet)(?!te\b|_)"
)
BANNED = re.compile(r"\b(simply|obviously|as we can see)\b", re.I)
HEADING = re.compile(r"^(#{1,6}) +(.*)$", re.M)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)
LINK = re.compile(r"""(?:\]\(|(?:src|href)=")(?![a-z]+:|[#/])([^)"\s#]+)""")
# What a cell shows when its last line is a plot: axes and artists, of use to nobody.
STRAY = re.compile(r"^(\(|\[|\{|array\()*(<|Text\()")


def of_notebook(nb: NotebookNode, path: Path) -> list[str]:
    """Problems of one notebook: prose, headings, figures, code, outputs, size."""
    found = []
    for number, cell in enumerate(nb.cells, start=1):
        one = of_markdown(cell, path) if cell.cell_type == "markdown" else of_code(cell)
        found += [f"cell {number}: {problem}" for problem in one]
    found += outputs.bad_outputs(nb)
    titles = [m for cell in markdown(nb) for m in headings(cell.source) if m[1] == "#"]
    if len(titles) != 1:
        found.append(f"{len(titles)} headings of level 1: one, the title, is right")
    if not any("course-setup" in cell.metadata.get("tags", []) for cell in nb.cells):
        found.append("no set-up cell: put `# %% setup` into its source")
    size = path.stat().st_size
    if size > MAX_BYTES:
        most = f"over {MAX_BYTES / 1e6} MB: draw fewer or smaller figures"
        found.append(f"{size / 1e6:.1f} MB, {most}")
    return found


def of_markdown(cell: NotebookNode, path: Path) -> Iterator[str]:
    """Problems of a Markdown cell."""
    text = FENCE.sub("", cell.source)
    slide = cell.metadata.get("slideshow", {}).get("slide_type")
    if slide is None and any(match[1] == "##" for match in headings(cell.source)):
        yield 'a ## heading without slide="..." in its marker'
    if slide is not None and slide not in SLIDE_TYPES:
        yield f"slide={slide!r} is none of {', '.join(sorted(SLIDE_TYPES))}"
    if re.search(r"!\[\s*\]", text) or image_without_alt(text):
        yield "an image without alt text"
    for link in LINK.findall(text):
        if not (path.parent / link).exists():
            yield f"a link to {link}, which does not exist"
    yield from of_words(prose(text))


def of_code(cell: NotebookNode) -> Iterator[str]:
    """Problems of a code cell and its outputs."""
    lines = cell.source.split("\n")
    if lines[0].startswith("# same code as "):
        lines = lines[1:]
    if len(lines) > MAX_LINES and not outputs.is_setup(cell):  # which no slide shows
        yield f"{len(lines)} lines of code, over {MAX_LINES}"
    if max(map(len, lines)) > MAX_COLUMNS:
        yield f"code of {max(map(len, lines))} columns, over {MAX_COLUMNS}"
    yield from of_words(" ".join([*strings(cell.source), cell.metadata.get("alt", "")]))
    for output in cell.outputs:
        data = output.get("data", {})
        for kind in data:
            described = output.metadata.get(kind, {}).get("alt")
            titled = kind == "image/svg+xml" and "<title" in "".join(data[kind])
            if kind.startswith("image/") and not (described or titled):
                yield "a figure without alt text: add `# alt: ...` lines"
        if image_without_alt("".join(data.get("text/html", ""))):
            yield "an image in HTML without alt text"
        plain = "".join(data.get("text/plain", ""))
        result = output.output_type == "execute_result" and len(data) == 1
        if result and STRAY.match(plain):
            yield f"stray output {plain[:40]!r}: end the last line with ;"


def of_words(text: str) -> Iterator[str]:
    """Names as their authors write them, and no word that belittles a difficulty."""
    for match in MISSPELT.finditer(text):
        right = "GoogLeNet, ResNet, ImageNet, AlexNet, LeNet"
        yield f"{match[1]!r} is misspelt; right are {right}"
    for match in BANNED.finditer(text):
        yield f"the words {match[1]!r}"


def of_student(nb: NotebookNode, cells: list[Cell]) -> list[str]:
    """Solutions that show in the student's notebook."""
    found = []
    shown = [tidy(cell.source) for cell in nb.cells]
    for cell in cells:
        hidden = percent.solutions(cell.text) if cell.kind == "code" else []
        hidden += [cell.text] if cell.options.get("solution") else []
        for text in map(tidy, hidden):
            # One short line, such as loss.backward(), may stand elsewhere by right.
            if len(text) >= 30 and any(text in page for page in shown):
                found.append(f"a solution shows: {text[:50]!r}")
    return found


def of_source(cells: list[Cell], lecture: str, root: Path) -> list[str]:
    """Problems of a lecture's exercises and their checks."""
    found, waiting, checked = [], None, []
    for number, cell in enumerate([*cells, Cell("markdown", "# end")], start=1):
        if cell.kind == "markdown" and waiting and headings(cell.text):
            found.append(f"cell {waiting}: an exercise without a check(...) after it")
            waiting = None
        if cell.kind == "code":
            waiting = number if percent.solutions(cell.text) else waiting
            checked += re.findall(r'^check\(\s*"(.*?)"', cell.text, re.M)
            waiting = None if cell.calls_check else waiting
            found += [f"cell {number}: {text}" for text in misspelt_markers(cell.text)]
    path = root / "teaching" / "checks" / f"lecture_{lecture}.py"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    known = re.findall(r'^@exercise\("(.*?)"\)', text, re.M)
    for name in sorted({*known, *checked}):
        if name not in known:
            found.append(f'check("{name}", ...): teaching/checks has no such exercise')
        elif checked.count(name) != 1:
            found.append(f"exercise {name} is checked {checked.count(name)} times")
    return found


def misspelt_markers(text: str) -> list[str]:
    """Comments that were meant to hide a solution, and do not."""
    meant = re.findall(r"^ *# *(?:end)?[ _-]*solutions?\b.{0,3}$", text, re.M | re.I)
    wrong = {line.strip() for line in meant} - {"# solution", "# end solution"}
    return [f"{line!r} hides nothing: write `# solution`" for line in sorted(wrong)]


def differences(new: NotebookNode, old: NotebookNode) -> list[str]:
    """In which cells a notebook is not what its source builds."""
    before = {cell.get("id"): cell for cell in old.cells}
    found = []
    for number, cell in enumerate(new.cells, start=1):
        same = before.pop(cell.id, None)
        if same is None:
            found.append(f"cell {number} of the source is not in it")
        elif same.source != cell.source and "mirror" in cell.metadata:
            found.append(f"cell {number} drifted from {cell.metadata.mirror}")
        elif same.source != cell.source:
            found.append(f"cell {number} differs from its source")
    found += [f"{len(before)} of its cells are not in the source"] if before else []
    found = found or ["metadata or order of cells differ from its source"]
    return [f"{problem}: run tools.build" for problem in found]


def markdown(nb: NotebookNode) -> list[NotebookNode]:
    """The cells of prose."""
    return [cell for cell in nb.cells if cell.cell_type == "markdown"]


def headings(text: str) -> list[re.Match]:
    """The headings of a Markdown text: level, words."""
    return list(HEADING.finditer(FENCE.sub("", text)))


def prose(text: str) -> str:
    """What a reader reads: no code, addresses or tags."""
    text = re.sub(r"`[^`]*`", " ", text)
    text = re.sub(r"\]\([^)]*\)", "] ", text)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


def image_without_alt(html: str) -> bool:
    """Whether HTML holds an <img> that nobody describes."""
    return bool(re.search(r"""<img(?![^>]*\balt=["'][^"'])""", html))


def strings(code: str) -> list[str]:
    """The texts in a cell's code: titles of figures, printed lines."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except SyntaxError:  # a cell with magics
        return []
    return [
        n.value for n in nodes if isinstance(n, ast.Constant) and type(n.value) is str
    ]


def tidy(text: str) -> str:
    """A text without its indentation and empty lines."""
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())
