"""What a cell needs of its notebook, and how a kernel runs that before the cell.

Live slides show one cell, in any order. So the cells that give the names it uses run
before it, and those that give theirs; none runs twice unless others took its names.
"""

from __future__ import annotations

import ast
import builtins
import copy
import os
import symtable
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from tools import outputs

STEP = "application/vnd.cnn-course.step+json"  # tells the page which cell runs first
KNOWN = {*dir(builtins), "In", "Out"}
BODIES = ("body", "orelse", "finalbody", "handlers")
TRAINS = ("fit", "train")  # a function called so changes its first argument


@dataclass
class Cell:
    """A cell, by the names of its code.

    Attributes:
        id: of the notebook's cell; empty for code that no cell holds.
        code: its text.
        needs: names that it uses before it gives them.
        gives: names that it sets.
        changes: names whose values it changes.
    """

    id: str
    code: str
    needs: set[str] = field(default_factory=set)
    gives: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for statement in in_order(tree_of(self.code).body):
            table = symtable.symtable(ast.unparse(statement), "cell", "exec")
            changes = set(changed(statement))
            self.needs |= (set(used(table)) | changes) - self.gives - KNOWN
            self.gives |= set(given(table))
            self.changes |= changes


def in_order(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements as they run: the head of a loop, then what stands in it."""
    for statement in body:
        parts = {n: v for n, v in ast.iter_fields(statement) if n in BODIES}
        if not parts or isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            yield statement
            continue
        if not isinstance(statement, ast.Try):
            head = copy.copy(statement)
            head.body, head.orelse = [ast.Pass()], []
            yield head
        for handler in parts.pop("handlers", []):
            yield from in_order(handler.body)
        for inside in parts.values():
            yield from in_order(inside)


def used(table: symtable.SymbolTable) -> Iterator[str]:
    """Names of the notebook that code looks up, in its functions too."""
    for symbol in table.get_symbols():
        outside = symbol.is_global() or table.get_type() == "module"
        if outside and symbol.is_referenced():
            yield symbol.get_name()
    for inner in table.get_children():
        yield from used(inner)


def given(table: symtable.SymbolTable) -> Iterator[str]:
    """Names that a statement sets: by `=`, `import`, `def`, `class` or `for`."""
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported():
            yield symbol.get_name()


def changed(statement: ast.stmt) -> Iterator[str]:
    """Names whose values change: `x.y = 1`, `x[0] = 1`, `x.append(1)`, `fit(x)`."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return
    for node in ast.walk(statement):
        owner = node.target if isinstance(node, ast.AugAssign) else None
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            owner = node.value if isinstance(node.ctx, ast.Store) else None
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            owner = getattr(node.value.func, "value", None)
        called = getattr(getattr(node, "func", None), "id", "")
        if called.startswith(TRAINS) and node.args:
            owner = node.args[0]
        while isinstance(owner, (ast.Attribute, ast.Subscript)):
            owner = owner.value
        if isinstance(owner, ast.Name):
            yield owner.id


class Needs:
    """The cells of a notebook, and from which of them each name's value came."""

    def __init__(self, notebook: NotebookNode) -> None:
        code = outputs.code_cells(notebook)
        code = [cell for cell in code if not cell.source.startswith("check")]
        self.cells = [Cell(cell.id, cell.source) for cell in code]
        self.setup = {cell.id for cell in code if outputs.is_setup(cell)}
        trees = [ast.walk(tree_of(cell.code)) for cell in self.cells]
        imports = [n for tree in trees for n in tree if hasattr(n, "names")]
        imports = [n for n in imports if isinstance(n, (ast.Import, ast.ImportFrom))]
        modules = {a.asname or a.name for node in imports for a in node.names}
        for cell in self.cells:
            cell.changes -= modules
        self.held: dict[str, str] = {}

    def unknown(self, cell: Cell) -> set[str]:
        """The names that no cell above this one gives."""
        return cell.needs.difference(*(other.gives for other in self.above(cell)))

    def first(self, cell: Cell) -> list[Cell]:
        """The cells to run before this one, in order."""
        wanted, chosen = set(cell.needs), []
        for other in reversed(self.above(cell)):
            hits = (other.gives | other.changes) & wanted
            if other.id in self.setup and other.id not in self.held.values():
                chosen.append(other)
            elif hits and all(self.held.get(name) == other.id for name in hits):
                wanted -= hits
            elif hits:
                chosen.append(other)
                wanted = (wanted - other.gives) | other.needs
        return chosen[::-1]

    def above(self, cell: Cell) -> list[Cell]:
        """The cells before one; of other code, as many as give its names."""
        ids = [other.id for other in self.cells]
        if cell.id in ids:
            return self.cells[: ids.index(cell.id)]
        missing = cell.needs & set().union(*(other.gives for other in self.cells))
        for number, other in enumerate(self.cells, start=1):
            missing -= other.gives
            if not missing and other.id not in self.setup:
                return self.cells[:number]
        return self.cells

    def ran(self, cell: Cell) -> None:
        """Note that the names of a cell have its values now."""
        self.held |= dict.fromkeys(cell.gives | cell.changes, cell.id)


def tree_of(code: str) -> ast.Module:
    """Code as a tree; an empty one where it is not Python alone."""
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.Module([], [])


def watch() -> None:
    """In a kernel: run before each cell what it needs; show what goes wrong in it."""
    from IPython import get_ipython
    from IPython.display import display
    from IPython.utils.capture import capture_output

    path, shell = Path(os.environ["CNN_COURSE_PRESENTED"]), get_ipython()
    needs, busy = Needs(nbformat.read(path, as_version=4)), []

    def prepare(info: Any) -> None:
        if busy:  # a cell that runs first
            return
        busy.append(True)
        try:
            cell = Cell(getattr(info, "cell_id", None) or "", info.raw_cell)
            first = needs.first(cell)
            for number, other in enumerate(first, start=1):
                line = other.code.partition("\n")[0]
                step = {"number": number, "of": len(first), "code": line}
                display({STEP: step}, raw=True)
                with capture_output() as shown:
                    result = shell.run_cell(other.code, store_history=False)
                if not result.success:
                    shown.show()
                    break
                needs.ran(other)
            needs.ran(cell)
            display({STEP: None}, raw=True)
        finally:
            busy.clear()
        if "matplotlib_inline" in sys.modules:  # sharp at any size
            from matplotlib_inline.backend_inline import set_matplotlib_formats

            set_matplotlib_formats("svg", bbox_inches=None)

    shell.events.register("pre_run_cell", prepare)
