"""A class's notebooks become one table: nothing is lost, nothing executed unasked."""

from __future__ import annotations

import csv
import json

import nbformat
import pytest
from nbformat import v4

from teaching.check import exercises
from tools import class_report as report
from utils.course import CourseError


def cell(code, printed="", number=1, **metadata):
    outputs = [v4.new_output("stream", name="stdout", text=printed)] if printed else []
    return v4.new_code_cell(
        code, outputs=outputs, execution_count=number, metadata=metadata
    )


def hand_in(path, *cells, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    nb = v4.new_notebook(cells=list(cells), metadata=metadata)
    nbformat.write(nb, path)


ANSWERED = (
    cell('check("00.1", sizes)', "✓ 00.1 (b) needs no rounding. (try 3)\n", 7),
    cell('check("00.2", 7)', "✗ 00.2 7 is too small.\n", 8),
    cell('check("00.3", softmax)', "○ 00.3 not answered yet\n", 9),
    cell('check.progress("00")', "1 of 7 exercises right:  ✓ 00.1  ✗ 00.2\n", 10),
)


ASKED = exercises("00")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / ".class"
    hand_in(path / "anna" / "00_foundations.ipynb", *ANSWERED)
    return path


def table(folder):
    """Run the command in process; the rows by file."""
    out = folder.parent / "class.csv"
    assert report.main([str(folder), "--out", str(out)]) == 0
    with out.open(encoding="utf-8-sig", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_outcomes_and_tries_come_from_the_saved_outputs(folder, capsys):
    [row] = table(folder).values()
    assert (row["student"], row["lecture"]) == ("anna", "00")
    assert (row["right"], row["of"]) == ("1", str(len(ASKED)))
    outcomes = [row[name] for name in ASKED]
    assert outcomes[:4] == ["right", "wrong", "unanswered", "not run"]
    assert [row[f"00.{k} tries"] for k in range(1, 5)] == ["3", "1", "0", ""]
    assert "1 of 1 notebooks read, nothing executed" in capsys.readouterr().out


def test_the_last_run_counts_and_only_what_a_check_printed(folder):
    hand_in(
        folder / "ben" / "00.ipynb",
        cell('check("00.1", 20)', "✗ 00.1 Give three numbers.\n", 9),
        cell('check("00.1", sizes)', "✓ 00.1 right\n", 2),
        cell('print("✓ 00.2 right")', "✓ 00.2 right\n", 3),
        cell('check("00.3", f)\ncheck("00.4", g)', "✓ 00.3 right\n✓ 00.4 right\n", 4),
    )
    row = table(folder)["ben/00.ipynb"]
    outcomes = [row[f"00.{k}"] for k in range(1, 5)]
    assert outcomes == ["wrong", "not run", "right", "right"]


def test_names_come_from_folders_or_files_and_dates_from_notebooks(folder):
    hand_in(folder / "group 1" / "Zoë" / "hand-in.ipynb", *ANSWERED)
    hand_in(folder / "00_foundations_carla.ipynb", *ANSWERED)
    hand_in(folder / "=1+2.ipynb", *ANSWERED)
    hand_in(folder / "anna" / ".ipynb_checkpoints" / "old.ipynb", *ANSWERED)
    hand_in(folder / "__MACOSX" / "._old.ipynb", *ANSWERED)
    done = {"shell.execute_reply": "2026-03-05T10:20:30.123Z"}
    colab = {"timestamp": 1772700000000}
    for name, noted in (("b", {"execution": done}), ("c", {"executionInfo": colab})):
        answered = cell('check("00.1", sizes)', **noted)
        hand_in(folder / name / "1.ipynb", answered, course={"date": "2026-02-01"})
    rows = table(folder)
    students = {row["student"] for row in rows.values()}
    assert students == {"anna", "group 1/Zoë", "carla", "'=1+2", "b", "c"}
    assert rows["b/1.ipynb"]["executed"] == "2026-03-05 10:20"
    assert rows["b/1.ipynb"]["handed out"] == "2026-02-01"
    assert rows["c/1.ipynb"]["executed"] == "2026-03-05 08:40"
    assert rows["anna/00_foundations.ipynb"]["executed"] == ""


def test_bad_files_are_named_and_the_others_kept(folder, capsys):
    (folder / "broken.ipynb").write_text('{"cells": [')
    (folder / "binary.ipynb").write_bytes(b"\xff\xfe\x00")
    hand_in(folder / "dora" / "other.ipynb", cell("1 + 1"), cell('check("q1", 5)'))
    hand_in(folder / "anna" / "again.ipynb", *ANSWERED)
    hand_in(folder / "emil" / "01.ipynb", cell('check("01.1", v)', "✓ 01.1 right\n"))
    rows = table(folder)
    assert len(rows) == 6
    for name in ("broken.ipynb", "binary.ipynb"):
        assert "cannot be read as a notebook" in rows[name]["note"]
    assert rows["dora/other.ipynb"]["note"] == "holds no exercise of this course"
    note = rows["anna/again.ipynb"]["note"]
    assert note == "the same student and lecture as anna/00_foundations.ipynb"
    assert rows["anna/00_foundations.ipynb"]["note"].endswith("anna/again.ipynb")
    assert rows["emil/01.ipynb"]["01.1"] == "right"
    out, err = capsys.readouterr()
    assert "broken.ipynb: cannot be read" in err
    assert "3 of 6 notebooks" in out


@pytest.mark.parametrize(
    "changes",
    [
        {"execution_count": "x"},
        {"metadata": None},
        {"metadata": {"executionInfo": {"timestamp": float("nan")}}},
        {"outputs": [{"output_type": "stream", "name": "stdout"}]},
    ],
)
def test_an_odd_notebook_leaves_the_others_whole(folder, changes):
    plain = {"cell_type": "code", "source": 'check("00.2", 7)', "metadata": {}}
    shown = {"output_type": "stream", "name": "stdout", "text": "✓ 00.2 right\n"}
    plain |= {"execution_count": 1, "outputs": [shown]}
    nb = {"cells": [plain, plain | changes], "metadata": {"course": {}}}
    (folder / "odd").mkdir()
    text = json.dumps(nb | {"nbformat": 4, "nbformat_minor": 4})
    (folder / "odd/00.ipynb").write_text(text)
    rows = table(folder)
    good, bad = rows["anna/00_foundations.ipynb"], rows["odd/00.ipynb"]
    assert (good["right"], good["00.1 tries"], good["note"]) == ("1", "3", "")
    # Outcomes are there, or none and a note: never a part of them.
    assert (bad["right"], bad["of"]) in (("1", str(len(ASKED))), ("", ""))
    assert bad["right"] or "ask for it again" in bad["note"]


def test_what_cannot_be_collected_is_said(tmp_path, folder, capsys):
    with pytest.raises(CourseError, match="no folder: unpack"):
        report.collect(tmp_path / "class.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CourseError, match="no notebook"):
        report.collect(tmp_path / "empty")
    out = tmp_path / "class.csv"
    out.write_text("mine")
    arguments = [str(folder), "--out", str(out)]
    assert report.main(arguments) == 1
    assert "class.csv exists: name another --out, or add --force" in (
        capsys.readouterr().err
    )
    assert out.read_text() == "mine"
    assert report.main([*arguments, "--force"]) == 0
