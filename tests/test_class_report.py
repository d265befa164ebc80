"""A class's notebooks become tables: nothing is lost, nothing executed unasked."""

from __future__ import annotations

import csv
import json
import re

import nbformat
import pytest
from nbformat import v4

from teaching.check import Checker, exercises
from tools import class_report as report
from utils.course import CourseError

ASKED = exercises("00")


def cell(code, printed="", number=1, note="", **noted):
    out = [v4.new_output("stream", name="stdout", text=printed)] if printed else []
    unseen = {"text/html": f"<!-- check {note} -->", "text/plain": ""}
    out += [v4.new_output("display_data", unseen)] if note else []
    return v4.new_code_cell(code, outputs=out, execution_count=number, metadata=noted)


def hand_in(path, *cells, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=list(cells), metadata=metadata), path)


ANSWERED = (
    cell('check("00.1", s)', "✓ 00.1 (b) rounds. (try 3)\n", 7, "00.1 hints 1a2b 3c4d"),
    cell('check("00.2", 7)', "✗ 00.2 7 is too small.\n", 8, "00.2 hints 5e6f"),
    cell('check("00.3", softmax)', "○ 00.3 not answered yet\n", 9),
    cell('check.progress("00")', "1 of 7 exercises right:  ✓ 00.1  ✗ 00.2\n", 10),
)


@pytest.fixture
def folder(tmp_path):
    hand_in(tmp_path / ".class" / "anna" / "00_foundations.ipynb", *ANSWERED)
    return tmp_path / ".class"


def table(folder, *options, key="file"):
    """Run the command in process; the rows by file."""
    out = folder.parent / "class.csv"
    assert report.main([str(folder), "--out", str(out), "--force", *options]) == 0
    name = out if key == "file" else folder.parent / "points.csv"
    with name.open(encoding="utf-8-sig", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def test_outcomes_tries_and_hints_come_from_the_saved_outputs(folder, capsys):
    [row] = table(folder).values()
    facts = [row[name] for name in ("student", "lecture", "right", "of")]
    assert facts == ["anna", "00", "1", str(len(ASKED))]
    assert [row[n] for n in ASKED[:4]] == ["right", "wrong", "unanswered", "not run"]
    assert [row[f"00.{k} tries"] for k in range(1, 5)] == ["3", "1", "0", ""]
    hints = [row[f"00.{k} hints"] for k in range(1, 4)]
    assert hints == ["hint 1a2b; hint 3c4d", "7 is too small.", ""]
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
    assert [row[n] for n in ASKED[:4]] == ["wrong", "not run", "right", "right"]


def test_names_come_from_folders_or_files_and_dates_from_notebooks(folder):
    for name in ("group 1/Zoë/hand-in", "00_foundations_carla", "=1+2"):
        hand_in(folder / f"{name}.ipynb", *ANSWERED)
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
    assert rows["b/1.ipynb"]["handed out"] == "2026-02-01"
    assert rows["b/1.ipynb"]["executed"] == "2026-03-05 10:20"
    assert rows["c/1.ipynb"]["executed"] == "2026-03-05 08:40"


@pytest.mark.parametrize("names", [True, False])
def test_bad_files_are_named_and_the_others_kept(folder, capsys, names):
    (folder / "broken.ipynb").write_text('{"cells": [')
    (folder / "binary.ipynb").write_bytes(b"\xff\xfe\x00")
    hand_in(folder / "dora" / "other.ipynb", cell("1 + 1"), cell('check("q1", 5)'))
    hand_in(folder / "anna" / "again.ipynb", *ANSWERED[1:])
    hand_in(folder / "emil" / "01.ipynb", cell('check("01.1", v)', "✓ 01.1 right\n"))
    lms = "--lms", str(folder.parent / "points.csv")
    points = table(folder, *lms, *["--no-names"][names:], key="student")
    heads = [f"{n} (of {len(exercises(n))})" for n in ("00", "01")]
    made = sorted([row[head] for head in heads] for row in points.values())
    assert made == [["", "1"], ["1", ""]]
    written = (folder.parent / "class.csv").read_text(encoding="utf-8-sig")
    out, err = capsys.readouterr()
    for text in ("as a notebook", "no exercise of this course", "student and lecture"):
        assert text in written
        assert text in err
    assert "3 of 6 notebooks" in out
    secret = written + out + err + "".join(points)
    for name in ("anna", "emil", "broken", "dora", "again.ipynb"):
        assert (name in secret) == names


def test_common_mistakes_are_counted_and_lead_to_a_slide(folder, capsys, monkeypatch):
    notes = []
    monkeypatch.setitem(Checker.__call__.__globals__, "_record", notes.append)
    for student, answers in {"a": [33_024, 33_280], "b": [33_024], "c": [1]}.items():
        check = Checker()
        for number in answers:
            check("07.1", (number, 0, 14))
        last = capsys.readouterr().out.splitlines()[-1]
        asked = cell('check("07.1", answer)', last, note="".join(notes[-1:]))
        hand_in(folder / student / "07.ipynb", asked)
        notes.clear()
    table(folder)
    [line] = capsys.readouterr().out.splitlines()[1:]
    assert re.match(r"07\.1  2 of 3: .* gamma and beta\. Show slide 07-\d+ ag", line)
    assert line.endswith("again, “When the shape changes, three shortcuts”.")


def test_an_odd_notebook_leaves_the_others_whole(folder):
    shown = {"output_type": "stream", "name": "stdout", "text": "✓ 00.2 right\n"}
    plain = cell('check("00.2", 7)') | {"outputs": [shown]}
    odd = [{"execution_count": "x"}, {"metadata": None}, {"outputs": [{"name": "x"}]}]
    odd += [{"metadata": {"executionInfo": {"timestamp": float("nan")}}}]
    for number, changes in enumerate(odd):
        nb = {"cells": [plain, plain | changes], "metadata": {"course": {}}}
        text = json.dumps(nb | {"nbformat": 4, "nbformat_minor": 4})
        (folder / f"odd{number}.ipynb").write_text(text)
    good, *bad = table(folder).values()
    assert (good["right"], good["00.1 tries"], good["note"]) == ("1", "3", "")
    for row in bad:  # outcomes are there, or none and a note: never a part of them
        assert (row["right"], row["of"]) in (("1", str(len(ASKED))), ("", ""))
        assert row["right"] or "ask for it again" in row["note"]


def test_what_cannot_be_collected_is_said_and_nothing_written(tmp_path, folder, capsys):
    (tmp_path / "empty").mkdir()
    for name, said in (("class.zip", "no folder: unpack"), ("empty", "no notebook")):
        with pytest.raises(CourseError, match=said):
            report.collect(tmp_path / name)
    out, mine = tmp_path / "class.csv", tmp_path / "mine.csv"
    mine.write_text("mine")
    for options in (["--lms", str(mine)], ["--lms", str(out)]):
        assert report.main([str(folder), "--out", str(out), *options]) == 1
    said = capsys.readouterr().err
    assert "mine.csv exists: name another --lms, or add --force" in said
    assert "one file cannot hold both" in said
    assert (mine.read_text(), out.exists()) == ("mine", False)
