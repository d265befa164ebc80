"""Build the notebooks from `source/NN_topic.py`: the student's, and one with solutions.

    python -m tools.build            build all lectures
    python -m tools.build 00 01      build these
    python -m tools.build --check    change nothing; fail where something is wrong
    python -m tools.build --carry-over "why"    keep outputs of changed code, too

Outputs stay with the cells whose code did not change; `tools.render` makes them.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from collections.abc import Callable
from pathlib import Path

from nbformat import NotebookNode, v4

from tools import deck, outputs, percent, rules
from tools.colab import buttons, repository, setup
from tools.outputs import SourceError, text_of
from tools.percent import Cell

ROOT = Path(__file__).resolve().parent.parent

YOUR_ANSWER = "*Your answer:* replace this line (double-click to edit)."
LINK = re.compile(r"""(\]\(|(?:src|href)=")(?![a-z]+:|[#/])([^)"\s]+)""")


def lectures(wanted: list[str], root: Path = ROOT) -> list[Path]:
    """The sources of the wanted lectures, as "00" or "00_foundations"; of all for none.

    Raises:
        SourceError: there is no such lecture.
    """
    sources = sorted((root / "notebooks" / "source").glob("[0-9][0-9]_*.py"))
    return outputs.chosen(sources, wanted)


def target(source: Path, *, solutions: bool) -> Path:
    """Where the notebook of a source belongs."""
    folder = source.parent.parent / ("solutions" if solutions else "")
    return folder / f"{source.stem}.ipynb"


def notebook(source: Path, *, solutions: bool, root: Path = ROOT) -> NotebookNode:
    """Build one notebook, without outputs.

    Args:
        source: the lecture's percent script.
        solutions: fill the exercises in, instead of leaving stubs.
        root: the course's folder.

    Raises:
        SourceError: the source cannot be built.
    """
    nb = v4.new_notebook()
    nb.metadata = {"kernelspec": outputs.KERNEL, "language_info": outputs.LANGUAGE}
    for number, cell in enumerate(percent.read(source), start=1):
        if cell.for_deck:
            continue
        try:
            nb.cells.append(built(cell, solutions=solutions, root=root))
        except (SourceError, SyntaxError) as error:
            raise SourceError(f"{source.name}, cell {number}: {error}") from None
    folder = "notebooks/solutions" if solutions else "notebooks"
    add_badges(nb, f"{folder}/{source.stem}.ipynb", root)
    return nb


def built(cell: Cell, *, solutions: bool, root: Path) -> NotebookNode:
    """One cell of a notebook."""
    text = cell.text
    if cell.options.get("setup"):
        text = setup(repository(root))
    elif cell.options.get("mirror"):
        text = percent.mirrored(cell, root)
    elif cell.kind == "code":
        text = percent.solved(text) if solutions else percent.unsolved(text)
    elif cell.options.get("solution") and not solutions:
        text = YOUR_ANSWER
    elif solutions:
        text = LINK.sub(r"\1../\2", text)  # solutions lie one folder deeper
    new: Callable = v4.new_code_cell if cell.kind == "code" else v4.new_markdown_cell
    return new(text, id=cell.id, metadata=metadata(cell))


def metadata(cell: Cell) -> dict:
    """What the marker's short options stand for."""
    options = cell.options
    tags = [*options.get("tags", [])]
    tags += ["nbval-check-output"] if options.get("check") else []
    tags += ["course-setup"] if options.get("setup") else []
    default = "skip" if options.get("setup") or cell.calls_check else None
    default = "subslide" if options.get("mirror") else default
    slide = options.get("slide", default)
    folded = "hide-input" in tags or options.get("setup")
    full = {
        "tags": tags,
        "slideshow": {"slide_type": slide} if slide else None,
        "mirror": options.get("mirror"),
        "alt": options.get("alt"),
        "jupyter": {"source_hidden": True} if folded else None,
        "cellView": "form" if folded else None,  # the same in Colab
    }
    return {key: value for key, value in full.items() if value}


def add_badges(nb: NotebookNode, page: str, root: Path) -> None:
    """Put the links that open the notebook elsewhere below its title.

    Slides and pages leave the cell out: there its pictures would need a network.
    """
    text = buttons(repository(root), page)
    if text and nb.cells:
        hidden = {"tags": ["remove-cell"], "slideshow": {"slide_type": "skip"}}
        cell = v4.new_markdown_cell(text, id="badges", metadata=hidden)
        nb.cells.insert(1, cell)


def build(source: Path, *, solutions: bool, root: Path, carried: str = "") -> str:
    """Build a notebook's file; returns a line that says what happened.

    Args:
        source: the lecture's percent script.
        solutions: as in `notebook`.
        root: the course's folder.
        carried: why outputs of changed code are kept; its stamp then says so.
    """
    path = target(source, solutions=solutions)
    new, old = notebook(source, solutions=solutions, root=root), outputs.load(path)
    said = outputs.carry_outputs(new, old, anyway=bool(carried)) if old else []
    if carried and "course" in new.metadata:
        code = outputs.code_hash(new)
        utils = outputs.utils_hash(new, root, source.name[:2])
        about = {"reason": carried, "date": today()}
        new.metadata.course |= {"code": code, "utils": utils, "carried": about}
    done = "unchanged"
    if old is None or path.read_bytes() != text_of(new).encode():
        outputs.write(new, path)
        done = "built"
    lines = [f"{path.relative_to(root).as_posix()}: {done}"]
    lines += [f"    output {line}" for line in said]
    return "\n".join(lines)


def today() -> str:
    """The date, as 2025-01-31."""
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def check(source: Path, *, solutions: bool, root: Path) -> list[str]:
    """Everything that is wrong with a committed notebook."""
    path = target(source, solutions=solutions)
    name = path.relative_to(root).as_posix()
    new, old = notebook(source, solutions=solutions, root=root), outputs.load(path)
    if old is None:
        return [f"{name}: missing; run tools.build"]
    outputs.carry_outputs(new, old)
    found = []
    if path.read_text(encoding="utf-8") != text_of(new):  # whatever the line ends
        found += rules.differences(new, old)
    stamp = old.metadata.get("course")
    if stamp is None:
        found.append("no stamp: tools.render executes it")
    elif stamp.get("code") != outputs.code_hash(old):
        found.append("code changed since its outputs were made: run tools.render")
    every = percent.read(source)
    cells = [cell for cell in every if not cell.for_deck]
    found += rules.of_notebook(old, path)
    found += rules.of_student(old, cells) if not solutions else []
    found += rules.of_source(cells, source.stem[:2], root) if not solutions else []
    if len(cells) < len(every) and not solutions:
        found += deck.faults(deck.read(source))
    return [f"{name}: {problem}" for problem in found]


def check_all(sources: list[Path], root: Path) -> list[str]:
    """Problems of these lectures; says which were rendered with an older `utils`."""
    problems, stale = [], []
    for source in sources:
        for solutions in (False, True):
            problems += check(source, solutions=solutions, root=root)
            old = outputs.load(target(source, solutions=solutions))
            stamp = old.metadata.get("course", {}) if old else {}
            if "utils" not in stamp:
                continue
            if stamp.utils != outputs.utils_hash(old, root, source.name[:2]):
                path = target(source, solutions=solutions).relative_to(root)
                stale.append(path.as_posix())
    if stale:
        print(f"Rendered before a change of the utils they use: {', '.join(stale)}")
    return problems


def orphans(root: Path) -> list[str]:
    """Notebooks that no source builds."""
    known = {target(s, solutions=x) for s in lectures([], root) for x in (False, True)}
    pages = set((root / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
    left = sorted(p.relative_to(root) for p in pages - known if p.parent.name[0] != ".")
    return [f"{path.as_posix()}: no source builds it; delete it" for path in left]


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Build the notebooks from notebooks/source/NN_topic.py.",
        epilog="Outputs stay where the code stays; tools.render makes them.",
    )
    parser.add_argument("lecture", nargs="*", help="as 00; without any: all of them")
    parser.add_argument("--check", action="store_true", help="only say what is wrong")
    parser.add_argument(
        "--carry-over",
        default="",
        metavar="WHY",
        help="keep outputs though code changed, as where names moved; noted in stamps",
    )
    args = parser.parse_args(argv)
    try:
        sources = lectures(args.lecture, root)
        if not args.check:
            for source in sources:
                for full in (False, True):
                    why = args.carry_over
                    print(build(source, solutions=full, root=root, carried=why))
            return 0
        problems = check_all(sources, root)
        problems += [] if args.lecture else orphans(root)
    except SourceError as error:
        print(f"build: {error}", file=sys.stderr)
        return 2
    print("\n".join(problems) or f"{len(sources)} lectures: nothing to complain about")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
