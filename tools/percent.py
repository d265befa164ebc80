"""Read a lecture's percent script: cells, markers, mirrored code, exercises."""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.outputs import SourceError

OPTIONS = ("slide", "mirror", "check", "tags", "setup", "solution", "name", "part")
JUPYTEXT_OPTIONS = ("title", "cell_marker", "lines_to_next_cell")
# Its indentation, and what a solution hides.
HIDDEN = re.compile(r"^( *)# solution\n(.*?)(?:\n *# end solution$|\Z)", re.M | re.S)


@dataclass
class Cell:
    """One cell of the source, as its author wrote it."""

    kind: str
    text: str
    options: dict[str, Any] = field(default_factory=dict)
    id: str = ""

    @property
    def calls_check(self) -> bool:
        """Whether the cell checks an exercise's answer."""
        return self.kind == "code" and bool(re.search(r"^check\(", self.text, re.M))

    @property
    def for_deck(self) -> bool:
        """Whether the cell stands in the lecture's deck, or on its sheet, alone."""
        return self.options.get("slide") in ("only", "sheet")


def read(path: Path) -> list[Cell]:
    """The cells of `path`, each with its id.

    Raises:
        SourceError: a marker holds something the build does not know.
    """
    import jupytext  # here: who only presents the lectures does not have it

    script = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    cells = []
    for number, found in enumerate(script.cells, start=1):
        options = {k: v for k, v in found.metadata.items() if k not in JUPYTEXT_OPTIONS}
        title = found.metadata.get("title")
        if title == "setup":
            options["setup"] = True
        unknown = [k for k in options if k not in OPTIONS]
        unknown += [title] if title not in (None, "setup") else []
        unknown += [found.cell_type] if found.cell_type == "raw" else []
        if unknown:
            raise SourceError(
                f"{path.name}, cell {number}: {unknown[0]!r} in its marker is unknown;"
                f" there are setup and {', '.join(f'{name}=' for name in OPTIONS)}"
            )
        cells.append(with_alt(Cell(found.cell_type, found.source.strip("\n"), options)))
    number_cells(path.stem, cells)
    return cells


def with_alt(cell: Cell) -> Cell:
    """Take a code cell's leading `# alt: ...` lines out of it, into its options."""
    lines = cell.text.split("\n")
    words = []
    while cell.kind == "code" and lines and lines[0].startswith("# alt: "):
        words.append(lines.pop(0).removeprefix("# alt: ").strip())
    if words:
        cell.text = "\n".join(lines).strip("\n")
        cell.options["alt"] = " ".join(words)
    return cell


def number_cells(lecture: str, cells: list[Cell]) -> None:
    """Give each cell an id made of its own text, whatever changes around it."""
    seen: set[str] = set()
    for cell in cells:
        what = "setup" if cell.options.get("setup") else cell.text
        key = f"{lecture}\n{cell.kind}\n{cell.options.get('mirror', '')}\n{what}"
        occurrence = 0
        while not cell.id or cell.id in seen:
            text = f"{key}\n{occurrence}".encode()
            cell.id = hashlib.sha256(text).hexdigest()[:8]
            occurrence += 1
        seen.add(cell.id)


def mirrored(cell: Cell, root: Path) -> str:
    """The code that `mirror="utils.models.lenet:LeNet5 utils.train:evaluate"` names.

    Args:
        cell: may hold the imports that this code needs, and nothing else.
        root: the folder that holds `utils`.

    Raises:
        SourceError: no such module or name, or other code in the cell.
    """
    for statement in ast.parse(cell.text).body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            raise SourceError(
                f"a cell with mirror={cell.options['mirror']!r} may hold imports only,"
                f" not {ast.unparse(statement).splitlines()[0]!r}"
            )
    paths, pieces = [], []
    for name in cell.options["mirror"].split():
        module, _, target = name.partition(":")
        path = module.replace(".", "/") + ".py"
        if path not in paths:
            paths.append(path)
        if not target or not (root / path).is_file():
            raise SourceError(f"mirror={name!r} should be 'utils.module:Name'")
        pieces.append(definition((root / path).read_text(encoding="utf-8"), target))
    text = f"# same code as {', '.join(paths)}\n{cell.text}".rstrip()
    for number, piece in enumerate(pieces):
        alone = number == 0 and not cell.text  # right under the comment
        text += "\n" if alone else "\n\n" if is_assignment(piece) else "\n\n\n"
        text += piece
    return text


def is_assignment(code: str) -> bool:
    """Whether code assigns, rather than defines a class or a function."""
    return isinstance(ast.parse(code).body[0], (ast.Assign, ast.AnnAssign))


def definition(source: str, target: str) -> str:
    """The source of one class, function, method or constant, decorators included."""
    lines, body = source.splitlines(), ast.parse(source).body
    node: ast.AST | None = None
    for part in target.split("."):
        node = next((item for item in body if part in names(item)), None)
        if node is None:
            raise SourceError(f"the mirrored module defines no {target!r}")
        body = getattr(node, "body", [])
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno]))


def names(statement: ast.stmt) -> list[str]:
    """What a statement defines: a class, a function, or the names it assigns to."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef)):
        return [statement.name]
    if isinstance(statement, ast.AnnAssign):
        targets: list[ast.expr] = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return []
    inner = [getattr(target, "elts", [target]) for target in targets]
    return [t.id for part in inner for t in part if isinstance(t, ast.Name)]


def solved(text: str) -> str:
    """The text as the solutions show it: without the markers."""
    return HIDDEN.sub(r"\2", text)


def unsolved(text: str) -> str:
    """The text as the student gets it: each solution replaced by a stub."""
    return HIDDEN.sub(lambda found: stub(found[2], found[1]), text)


def solutions(text: str) -> list[str]:
    """The hidden parts of a cell."""
    return [found[2] for found in HIDDEN.finditer(text)]


def stub(code: str, indent: str) -> str:
    """What stands in for a solution: `name = ...` for its names, and `return ...`."""
    if any(line.strip() and not line.startswith(indent) for line in code.split("\n")):
        raise SourceError(
            "a solution ends where its indentation does: put `# end solution` there"
        )
    found: list[str] = []
    tree = ast.parse(textwrap.dedent(code))
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            raise SourceError(
                f"the solution defines {statement.name!r}: leave its first line"
                " outside, so that the check finds the name"
            )
        found += [name for name in names(statement) if name not in found]
    # A last line `...` beside them would show as the cell's output, "Ellipsis".
    lines = [f"{name} = ..." for name in found]
    lines += ["return ..."] * any(isinstance(n, ast.Return) for n in ast.walk(tree))
    return textwrap.indent("\n".join(lines or ["..."]), indent) + "  # your code here"
