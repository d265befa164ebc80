"""Answers on the website: those of predictions are checked there, others are folded.

A prediction is checked on the page if its solution is arithmetic and its check asks for
numbers and words alone. What the page knows of it is overheard from that check, as it
judges the solution; `site/theme/static/predict.js` judges by it as the notebook does.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from sys import modules
from typing import Any
from unittest.mock import patch

from nbformat import NotebookNode, v4

from teaching import checks
from teaching.check import exercises
from tools import outputs
from tools.outputs import SourceError

HEADING = re.compile(r"^### (\d\d\.\d+) ", re.M)
ARITHMETIC = (ast.Module, ast.Assign, ast.Name, ast.Tuple, ast.List, ast.Constant)
ARITHMETIC += (ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)
QUESTION = re.compile(r"\?[*_\s]*$|\*\*(Predict|Guess)")
# Words of a question about what the next cell shows: only the reading is its answer.
SHOWN = re.compile(
    r"\b(here (is|are)|below|rows?|columns?|look at|figure|these|panel)\b", re.I
)
OPEN = "```{raw} html\n<details><summary>Show the answer</summary>\n```"
CLOSE = "```{raw} html\n</details>\n```"
OFF = "An answer is checked by a script, and scripts are off in this browser. The "
OFF += "notebook checks it too."


@dataclass(frozen=True)
class Prediction:
    """An exercise that numbers and words decide."""

    name: str
    code: str  # of its solution
    remark: str  # behind the tick
    asked: str  # a second hint where the check has one alone
    parts: list[dict[str, Any]]

    @property
    def table(self) -> dict[str, Any]:
        """What the page judges by."""
        parts = [{k: v for k, v in part.items() if v} for part in self.parts]
        about = {"name": self.name, "remark": self.remark, "asked": self.asked}
        return about | {"parts": parts}


def arithmetic(code: str) -> dict[str, Any] | None:
    """The names that code assigns, if it only reckons with numbers and words."""
    tree, names = ast.parse(code), {}
    if not all(isinstance(node, ARITHMETIC) for node in ast.walk(tree)):
        return None
    exec(compile(tree, "solution", "exec"), {"__builtins__": {}}, names)
    return names


def leaves(answer: Any) -> list[Any]:
    """The numbers and words of an answer, in their order."""
    if not isinstance(answer, (tuple, list)):
        return [answer]
    return [leaf for part in answer for leaf in leaves(part)]


@contextmanager
def overheard(module: Any, seen: list[Any], parts: list[dict[str, Any]]) -> Iterator:
    """Note what a check expects, and of which answers, while it judges."""
    labels: list[str] = []
    number, choice = checks.expect_number, checks.expect_choice
    labelled = checks.labelled

    def expect_number(answer: Any, right: float, **told: Any) -> None:
        tolerance = told.get("tolerance", 1e-3)
        number(answer, right, tolerance=tolerance)
        seen.append(answer)

        def near(x: float) -> list[float]:
            return [x, 0 if isinstance(x, int) else tolerance]

        wrong = told.get("misconceptions") or {}
        known = [[*near(x), why] for x, why in wrong.items()]
        shown = {"unit": told.get("unit", ""), "hint": told.get("hint", "")}
        part = {"label": " ".join(labels), "right": near(right), "known": known}
        parts.append(part | shown)

    def expect_choice(answer: Any, right: str, wrong: Mapping[str, str]) -> None:
        choice(answer, right, wrong)
        seen.append(answer)
        parts.append({"label": " ".join(labels), "right": right, "wrong": dict(wrong)})

    @contextmanager
    def with_label(label: str) -> Iterator[None]:
        labels.append(label)
        with labelled(label):
            yield
        labels.pop()

    new = {"expect_number": expect_number, "expect_choice": expect_choice}
    new["labelled"] = with_label
    with ExitStack() as stack:
        for place in (checks, module):
            for name in new.keys() & vars(place).keys():
                stack.enter_context(patch.object(place, name, new[name]))
        yield


def prediction(name: str, code: str, wanted: str) -> Prediction | None:
    """What decides an exercise; None where more than numbers and words does.

    Args:
        name: such as "00.1".
        code: of its solution.
        wanted: the expression that its check gets.
    """
    names = arithmetic(code)
    if names is None:
        return None
    answer = eval(wanted, {"__builtins__": {}}, names)
    seen: list[Any] = []
    parts: list[dict[str, Any]] = []
    check = checks.EXERCISES[name]
    with overheard(modules[check.__module__], seen, parts):
        remark = check(answer)
    if not parts or seen != leaves(answer):
        return None
    asked = (check.__doc__ or "").partition("\n")[0]
    called = re.findall(r"\w+", wanted)  # two parts without labels have names
    if len(called) != len(parts) or len(called) == 1:
        called = ["your answer"] * len(parts)
    for part, word in zip(parts, called, strict=True):
        part["field"] = part["label"] or word.capitalize().replace("_", " ")
    return Prediction(name, code, remark or "right", asked, parts)


@cache
def predictions(file: Path) -> dict[str, Prediction]:
    """The predictions of a notebook with solutions that a page can check."""
    nb, found, name, code = outputs.load(file), {}, "", []
    if nb is None:
        raise SourceError(f"{file} is missing; run tools.build")
    exercises(file.name[:2])  # reads their checks
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            heading = HEADING.search(cell.source)
            name, code = (heading[1], []) if heading else (name, code)
        elif "hide-input" in cell.metadata.get("tags", []):
            continue
        elif wanted := re.search(
            rf'^check\("{name or "-"}", (.*)\)$', cell.source, re.M
        ):
            one = prediction(name, "\n".join(code), wanted[1])
            found |= {name: one} if one else {}
            name = ""
        else:
            code.append(cell.source)
    return found


def insert(nb: NotebookNode, solutions: Path, up: str) -> None:
    """Let a lecture's page check its predictions and fold its answers, in place.

    Args:
        nb: the student's notebook.
        solutions: the file of the one with solutions.
        up: from its page to the site's root, as "../".
    """
    found, cells = predictions(solutions), []
    for cell in nb.cells:
        check = re.match(r'check\("(\d\d\.\d+)"', cell.source)
        if check and check[1] in found and cell.cell_type == "code":
            cells[-1] = v4.new_markdown_cell(form(found[check[1]]))  # of its stub
        else:
            cells.append(cell)
    nb.cells = folded(cells)
    if found:
        script = f'<script defer src="{up}_static/predict.js"></script>'
        nb.cells.append(v4.new_markdown_cell(f"```{{raw}} html\n{script}\n```"))


def form(one: Prediction) -> str:
    """A prediction's fields, its table, and its answer below them, as Markdown."""
    fields = "\n".join(map(field, one.parts))
    data = json.dumps(one.table, ensure_ascii=False).replace("</", r"<\/")
    return (
        f'```{{raw}} html\n<form class="predict" autocomplete="off">\n{fields}\n'
        f'<button>Check</button>\n<p class="verdict" role="status"></p>\n'
        f"<noscript><p>{OFF}</p></noscript>\n"
        f'<script type="application/json">{data}</script>\n</form>\n```\n\n'
        f"{OPEN}\n```python\n{one.code}\n```\n"
        f"```{{raw}} html\n<p>{html.escape(one.remark)}</p></details>\n```"
    )


def field(part: Mapping[str, Any]) -> str:
    """Where a reader answers one part: a line for a number, a list of words."""
    label = html.escape(part["field"].rstrip(":"))
    if "wrong" not in part:
        unit = html.escape(part["unit"])
        return f"<label>{label} <input inputmode=text> {unit}</label>"
    words = sorted([part["right"], *part["wrong"]])
    options = "".join(f"<option>{html.escape(word)}</option>" for word in words)
    return f"<label>{label} <select><option></option>{options}</select></label>"


def folded(cells: list[NotebookNode]) -> list[NotebookNode]:
    """A lecture's cells, where what answers a question is shown on demand.

    A question is the last paragraph of the text before a cell; its answer is that
    cell's output and the text after it.
    """
    done: list[NotebookNode] = []
    rest = list(cells)
    while rest:
        done.append(rest.pop(0))
        asked = last_paragraph(done[-1])
        if done[-1].source.startswith("## Exercises"):
            return done + rest
        if not (rest and QUESTION.search(asked) and rest[0].cell_type == "code"):
            continue
        if HEADING.search(done[-1].source):  # an exercise's stub is no answer
            continue
        code, inside = rest.pop(0), []
        if code.outputs and not SHOWN.search(asked):
            shown = v4.new_code_cell(
                "# as above", outputs=code.outputs, metadata=code.metadata
            )
            tags = [*code.metadata.get("tags", []), "remove-input"]
            shown.metadata = {**code.metadata, "tags": tags}
            code.outputs, inside = [], [shown]
        done.append(code)
        if rest and goes_on(rest[0]):
            reading, after = split(rest.pop(0))
            inside, rest = [*inside, *reading], [*after, *rest]
        if inside:
            done += [v4.new_markdown_cell(OPEN), *inside, v4.new_markdown_cell(CLOSE)]
    return done


def goes_on(cell: NotebookNode) -> bool:
    """Whether a text belongs to the cell before it: it begins nothing new."""
    new = cell.metadata.get("slideshow", {}).get("slide_type") in ("slide", "subslide")
    return cell.cell_type == "markdown" and cell.source[:1] != "#" and not new


def last_paragraph(cell: NotebookNode) -> str:
    """The end of a text, on one line; nothing of code."""
    text = cell.source.strip() if cell.cell_type == "markdown" else ""
    return re.split(r"\n\s*\n", text)[-1].replace("\n", " ")


def split(cell: NotebookNode) -> tuple[list[NotebookNode], list[NotebookNode]]:
    """A text that answers a question, and the new question that it may end in."""
    if not QUESTION.search(last_paragraph(cell)):
        return [cell], []
    before, _, after = cell.source.strip().rpartition("\n\n")
    answer = [v4.new_markdown_cell(before)] if before else []
    return answer, [v4.new_markdown_cell(after)]
