"""What a notebook carries beside its source: outputs, alt texts, a stamp."""

from __future__ import annotations

import ast
import base64
import copy
import hashlib
import io
import re
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from utils.files import replacing

# Without the ending, JupyterLab's "Executable Script" would be a .txt.
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ALIKE = 0.75  # the share of its text that a cell keeps where names moved
ROOMS = ("utils", "teaching")  # what a notebook's outputs may depend on


class SourceError(ValueError):
    """A lecture cannot be built; the message says where, and what to do about it."""


def command(main: Callable[[], int | None]) -> None:
    """Run a tool's `main`, and exit; what it cannot do is said in a line."""
    try:
        sys.exit(main())
    except SourceError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")


def chosen(paths: list[Path], wanted: list[str]) -> list[Path]:
    """Those of the wanted lectures, as "00" or "00_foundations"; all for none.

    Raises:
        SourceError: there is no such lecture.
    """
    for name in wanted:
        if not any(path.stem.startswith(name) for path in paths):
            there = ", ".join(path.stem for path in paths) or "none"
            raise SourceError(f"there is no lecture {name!r}; there are: {there}")
    return [p for p in paths if not wanted or p.stem.startswith(tuple(wanted))]


def load(path: Path) -> NotebookNode | None:
    """The notebook at `path`; None where there is none.

    Raises:
        SourceError: the file is no notebook.
    """
    if not path.is_file():
        return None
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise SourceError(
            f"{path} cannot be read as a notebook ({type(error).__name__}): restore it"
            " with git, or delete it and build again, without its outputs"
        ) from error


def write(nb: NotebookNode, path: Path) -> None:
    """Write a notebook whole or not at all, the same bytes on every system."""
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as file:
        file.write(text_of(nb).encode())


def text_of(nb: NotebookNode) -> str:
    """The notebook as its file holds it."""
    return nbformat.writes(nb, indent=1).rstrip("\n") + "\n"


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """The cells that run."""
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def is_setup(cell: NotebookNode) -> bool:
    """Whether this is the fixed set-up cell, which no output depends on."""
    return "course-setup" in cell.metadata.get("tags", [])


def carry_outputs(
    new: NotebookNode, old: NotebookNode, *, anyway: bool = False
) -> list[str]:
    """Give the cells of `new` the outputs that the same code has in `old`.

    Args:
        new: freshly built; changed in place.
        old: with outputs.
        anyway: also those of changed code, where the cell has kept its id or nearly
            all of its text: for names that moved, and nothing else.

    Returns:
        A line for each output that is dropped, or kept, though its code changed.
    """
    before = {cell.get("id"): cell for cell in code_cells(old)}
    moved = renamed(code_cells(new), code_cells(old)) if anyway else {}
    kept, said = [], []
    for cell in code_cells(new):
        same = before.get(moved.get(cell.id, cell.id))
        if same and (anyway or same.source == cell.source or is_setup(cell)):
            cell.outputs = copy.deepcopy(same.outputs)
            cell.execution_count = same.execution_count
            kept.append(same.get("id"))
            if cell.outputs and cell.source != same.source and not is_setup(cell):
                said.append(f"kept, though its code changed: {first_line(cell)}")
    describe_figures(new)
    if "course" in old.metadata:
        new.metadata.course = old.metadata.course
    lost = [c for c in code_cells(old) if c.outputs and c.get("id") not in kept]
    return said + [f"dropped, its code changed: {first_line(cell)}" for cell in lost]


def first_line(cell: NotebookNode) -> str:
    """What names a cell."""
    return cell.source.partition("\n")[0]


def renamed(new: list[NotebookNode], old: list[NotebookNode]) -> dict[str, str]:
    """Id of a changed cell -> id of the old cell whose code is nearly the same."""
    known = [{cell.get("id") for cell in cells} for cells in (new, old)]
    left = {cell.source: cell.id for cell in old if cell.get("id") not in known[0]}
    pairs = {}
    for cell in new:
        if cell.id not in known[1]:
            for source in get_close_matches(cell.source, left, 1, ALIKE):
                pairs[cell.id] = left.pop(source)
    return pairs


def pictures(cell: NotebookNode) -> Iterator[tuple[str, bytes, str]]:
    """What a cell drew: "image/svg+xml" or "image/png", its bytes, and words for it."""
    for output in cell.get("outputs", []):
        data, alt = output.get("data", {}), cell.metadata.get("alt", "")
        if "image/svg+xml" in data:
            svg = "".join(data["image/svg+xml"])
            title = re.search(r"<title[^>]*>(.*?)</title>", svg, re.S)
            yield "image/svg+xml", svg.encode(), alt or (title[1] if title else "")
        elif "image/png" in data:
            png = base64.b64decode("".join(data["image/png"]))
            yield "image/png", png, alt


def describe_figures(nb: NotebookNode) -> None:
    """Write each cell's alt text into the figures it drew."""
    for cell in code_cells(nb):
        for output in cell.outputs:
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    described = output.metadata.setdefault(kind, {})
                    described.pop("alt", None)
                    if "alt" in cell.metadata:
                        described["alt"] = cell.metadata.alt
                    elif not described:
                        del output.metadata[kind]


def shrink_figures(nb: NotebookNode) -> None:
    """Reduce figures to 128 colours: a third of the bytes, and no difference to see."""
    for cell in code_cells(nb):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = shrunk(output.data["image/png"])


def shrunk(png: str) -> str:
    """A PNG in base64 with 128 colours at most, or as it was where that is smaller."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        if image.mode == "P":
            return png
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
        buffer = io.BytesIO()
        few = rgb.quantize(
            128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
        few.save(buffer, "PNG", optimize=True)
    smaller = base64.b64encode(buffer.getvalue()).decode()
    return min(smaller, png, key=len)


def code_hash(nb: NotebookNode) -> str:
    """A fingerprint of the code that made the outputs."""
    sources = [cell.source for cell in code_cells(nb) if not is_setup(cell)]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:12]


def utils_hash(nb: NotebookNode, root: Path, lecture: str) -> str:
    """A fingerprint of the files of `ROOMS` that a notebook uses, on every system."""
    digest = hashlib.sha256()
    for path in used(nb, root, lecture):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:12]


def used(nb: NotebookNode, root: Path, lecture: str) -> list[Path]:
    """The files that a notebook imports, and what these import, and its checks."""
    todo = {root / "teaching" / "checks" / f"lecture_{lecture}.py"}
    for cell in code_cells(nb):
        if not is_setup(cell):
            todo |= set(imported(cell.source, root))
    found: set[Path] = set()
    while todo:
        path = todo.pop()
        if path.is_file() and path not in found:
            found.add(path)
            todo |= set(imported(path.read_text(encoding="utf-8"), root))
    return sorted(found)


def imported(code: str, root: Path) -> Iterator[Path]:
    """Where the modules of `ROOMS` that code imports may lie, packages with them."""
    try:
        tree = ast.parse(code)
    except SyntaxError:  # a cell with a magic command
        return
    # What a module does as a command, or imports for its types alone, no notebook uses.
    apart = ("if __name__", "if TYPE_CHECKING")
    tree.body = [n for n in tree.body if not ast.unparse(n).startswith(apart)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from utils import data` names a module, `from utils.data import` a class
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1) if parts[0] in ROOMS else ():
                path = root.joinpath(*parts[:end])
                yield from (path / "__init__.py", path.with_suffix(".py"))


def merge_streams(nb: NotebookNode) -> None:
    """Join printed lines that arrived in pieces, and drop what `\r` wrote over."""
    for cell in code_cells(nb):
        merged: list[NotebookNode] = []
        for output in cell.outputs:
            last = merged[-1] if merged else {}
            if output.output_type == "stream" and output.name == last.get("name"):
                last.text += output.text
            else:
                merged.append(output)
        for output in merged:
            if output.output_type == "stream":
                lines = output.text.replace("\r\n", "\n").split("\n")
                output.text = "\n".join(line.rpartition("\r")[2] for line in lines)
        # A progress bar that has wiped itself leaves nothing.
        cell.outputs = [output for output in merged if output.get("text") != ""]


def bad_outputs(nb: NotebookNode) -> list[str]:
    """Warnings and errors that a committed notebook must not show."""
    found = []
    for number, cell in enumerate(nb.cells, start=1):
        wanted = "raises-exception" in cell.metadata.get("tags", [])
        for output in cell.get("outputs", []):
            if output.output_type == "error" and not wanted:
                found.append(f"cell {number}: failed with {output.ename}")
            if output.get("name") == "stderr" and not wanted:
                line = "".join(output.text).strip().split("\n")[-1]
                found.append(f"cell {number}: wrote to stderr: {line[:100]}")
    return found
