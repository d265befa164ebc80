"""Which files of `utils` a notebook uses: those it imports, and what these import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode


def used(nb: NotebookNode, root: Path, lecture: str) -> list[Path]:
    """The files of `utils` that a notebook runs, and its own exercises, in order."""
    todo = {root / "utils" / "exercises" / f"lecture_{lecture}.py"}
    for cell in nb.cells:
        setup = "course-setup" in cell.metadata.get("tags", [])
        if cell.cell_type == "code" and not setup:  # no output depends on it
            todo |= set(imported(cell.source, root))
    found: set[Path] = set()
    while todo:
        path = todo.pop()
        if path.is_file() and path not in found:
            found.add(path)
            todo |= set(imported(path.read_text(encoding="utf-8"), root))
    return sorted(found)


def imported(code: str, root: Path) -> Iterator[Path]:
    """Where the modules of `utils` that code imports may lie, packages with them."""
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
            for end in range(1, len(parts) + 1) if parts[0] == "utils" else ():
                path = root.joinpath(*parts[:end])
                yield from (path / "__init__.py", path.with_suffix(".py"))
