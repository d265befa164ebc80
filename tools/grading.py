"""A lecture's exercises for nbgrader and for otter-grader.

python -m tools.grading 07 --out FOLDER

FOLDER/nbgrader is a course of nbgrader with the lecture as an assignment, FOLDER/otter
holds the notebook for `otter assign`. An exercise gives one point; its test is not in
what students get, and holds no answer. Graders need the course's folder on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from nbformat import NotebookNode, v4

from tools import build, outputs, percent
from tools.outputs import SourceError, command
from tools.percent import Cell

# A checker of its own: what the notebook did to `check` does not count.
HIDDEN = """from teaching.check import Checker
outcome, hint, _ = Checker().judge({name!r}, {answer})
assert outcome == "right", hint"""
CONFIG_NBGRADER = """c = get_config()
c.ClearSolutions.code_stub = {"python": ""}  # `answer = ...` stands there already
c.Execute.timeout, c.Execute.iopub_timeout = 600, 60  # seconds for a cell
"""
CONFIG_OTTER = "# ASSIGNMENT CONFIG\ninit_cell: false\ncheck_all_cell: false"
CONFIG_OTTER += "\nexport_cell: false"
OTTER = "# BEGIN SOLUTION NO PROMPT"
QUESTION = "# BEGIN QUESTION\npoints: 1\ncheck_cell: false\nname: q"


def checked(text: str) -> tuple[str, str]:
    """The exercise that a cell checks, and the code of its answer."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    [call] = [call for call in calls if ast.unparse(call.func) == "check"]
    return ast.literal_eval(call.args[0]), ast.unparse(call.args[1])


def marked(text: str, begin: str, end: str) -> str:
    """The text with a stub and then the solution, between the grader's own marks."""

    def made(found: re.Match) -> str:
        indent, hidden = found[1], found[2].rstrip()
        stub = percent.stub(hidden, indent)
        return "\n".join([stub, indent + begin, hidden, indent + end])

    return percent.HIDDEN.sub(made, text)


def for_nbgrader(cells: list[tuple[Cell, NotebookNode]]) -> Iterator[NotebookNode]:
    """Cells as nbgrader wants them: what they are is told by their metadata."""
    for cell, node in cells:
        made = {"grade": False, "locked": False, "solution": False, "task": False}
        made |= {"schema_version": 3, "cell_type": node.cell_type}
        if cell.calls_check:
            name, answer = checked(cell.text)
            test = HIDDEN.format(name=name, answer=answer)
            node.source += f"\n### BEGIN HIDDEN TESTS\n{test}\n### END HIDDEN TESTS"
            made |= {"grade": True, "locked": True, "points": 1}
            made["grade_id"] = "check-" + name.replace(".", "-")
            node.metadata.nbgrader = made
        elif percent.solutions(cell.text):
            node.source = marked(cell.text, "### BEGIN SOLUTION", "### END SOLUTION")
            made |= {"solution": True, "grade_id": f"answer-{cell.id}"}
            node.metadata.nbgrader = made
        yield node


def for_otter(cells: list[tuple[Cell, NotebookNode]]) -> Iterator[NotebookNode]:
    """Cells as `otter assign` wants them: raw ones say what stands between them.

    Raises:
        SourceError: a solution is not followed by its check: it would not be removed.
    """
    yield v4.new_raw_cell(CONFIG_OTTER)
    answers: list[NotebookNode] = []
    for cell, node in cells:
        if percent.solutions(cell.text):
            node.source = marked(cell.text, OTTER, "# END SOLUTION")
            answers.append(node)
            continue
        if cell.calls_check:
            name, answer = checked(cell.text)
            begin = QUESTION + name.replace(".", "_")
            test = HIDDEN.format(name=name, answer=answer)
            test = v4.new_code_cell(f"# HIDDEN\n{test}")
            yield from map(v4.new_raw_cell, (begin, "# BEGIN SOLUTION"))
            yield from answers
            yield from map(v4.new_raw_cell, ("# END SOLUTION", "# BEGIN TESTS"))
            yield from (test, *map(v4.new_raw_cell, ("# END TESTS", "# END QUESTION")))
            answers = []
        if answers:
            raise SourceError(f"no check follows the solution {answers[0].source!r}")
        yield node


def exported(source: Path, form: Callable) -> NotebookNode:
    """The lecture as a notebook with its solutions, in the form of a grader."""
    told = {"kernelspec": outputs.KERNEL, "language_info": outputs.LANGUAGE}
    cells = percent.read(source)
    kept = [c for c in cells if not (c.for_deck or c.options.get("setup"))]
    pairs = [(c, build.built(c, solutions=False, root=build.ROOT)) for c in kept]
    return v4.new_notebook(cells=list(form(pairs)), metadata=told)


def write(source: Path, out: Path) -> list[Path]:
    """Write a lecture for both graders; a folder that has it already is refused."""
    place = Path(source.stem, f"{source.stem}.ipynb")
    forms = {"nbgrader/source": for_nbgrader, "otter": for_otter}
    places = {out / folder / place: form for folder, form in forms.items()}
    for path in filter(Path.exists, places):
        raise SourceError(f"{path} exists: name another --out, or remove it")
    made = {path: exported(source, form) for path, form in places.items()}
    for path, nb in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        outputs.write(nb, path)
    config = out / "nbgrader" / "nbgrader_config.py"
    config.write_text(CONFIG_NBGRADER, encoding="utf-8")
    return [*made, config]


def main() -> None:
    """Export the lectures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lecture", nargs="+", help="such as 04")
    parser.add_argument("--out", type=Path, default=build.ROOT / "build" / "grading")
    options = parser.parse_args()
    for source in build.lectures(options.lecture):
        print(*write(source, options.out), sep="\n")


if __name__ == "__main__":
    command(main)
