"""The teaching kit: options are the checks' misconceptions, and an LMS can read it."""

from __future__ import annotations

import re

import pytest

from teaching.check import exercises
from teaching.checks import NUMBER
from tools import build, deck, grading, kit, percent
from tools.outputs import SourceError

SOURCES = {path.stem: path for path in build.lectures([])}
CHECKS = build.ROOT / "teaching" / "checks"
GIFT = re.compile(
    r"::((?:\\.|[^:\\])+)::\[markdown\]((?:\\.|[^{\\])+)\{\n(.*?)\n####", re.S
)


def told(number):
    """The text of a lecture's checks, each hint in one line, # for what may vary."""
    files = [CHECKS / f"lecture_{number}.py", CHECKS / "clinic" / "epochs.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    text = re.sub(r'"\s*\n\s*f?"', "", text)
    return NUMBER.sub("#", re.sub(r"\{[^{}\"\n]*\}", "#", text))


def questions(text):
    """The questions of a GIFT file: name, text, and options, each with its hint."""
    for name, asked, options in GIFT.findall(text):
        split = [re.split(r"(?<!\\)#", line) for line in options.split("\n")]
        yield plain(name), plain(asked), [[*map(plain, one)] for one in split]


def plain(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)


@pytest.mark.parametrize("lecture", SOURCES)
def test_a_kit_is_whole(lecture):
    found, lesson = kit.read(lecture, fill=True), deck.read(SOURCES[lecture])
    assert (len(found.polls), len(found.exams)) == (5, 3)
    assert all(4 <= exam.points <= 10 and exam.answer for exam in found.exams)
    read = list(questions(kit.gift(found)))
    for poll, (name, asked, options) in zip(found.polls, read, strict=True):
        assert kit.slide_of(poll, lesson)
        assert len({option.text for option in poll.options}) == len(poll.options)
        for _, exercise, reason in poll.options[1:]:
            assert exercise.startswith(lecture[:2])
            assert NUMBER.sub("#", reason) in told(lecture[:2])
        assert (name[5:], asked) == (poll.heading, poll.question)
        texts = [one.text for one in poll.options]
        assert [one[0] for one in options] == [
            "=" + texts[0],
            *("~" + t for t in texts[1:]),
        ]
        hints = [one[1].lower() for one in options[1:]]
        assert hints == [one.reason.lower() for one in poll.options[1:]]


def test_what_GIFT_means_otherwise_is_escaped():
    odd = r"a = {b: ~c} # \d :: 1"
    options = [kit.Option("x" + odd), kit.Option(odd, "07.1", "why not: {x}?")]
    poll = kit.Poll("H: 1", odd, options, "so", "S")
    [(name, asked, shown)] = questions(kit.gift(kit.Kit("07_x", [poll], [])))
    assert (name, asked) == ("07-1 H: 1", odd)
    assert shown == [["=x" + odd], ["~" + odd, "Why not: {x}?"]]


FAULTS = {
    "07.md is missing": ("", None),
    "two parts": ("# Exam", "# Exams"),
    "“The price of a projection” is not of the form": ("Why: 128", "Because: 128"),
    "“Where the last ReLU stands” needs a right option": (" <- 07.2 After", " After"),
    "36 over 260": ("In which", "y" * 258 + "In which"),
    "0 slides have a heading that begins with": ("Show: A common", "Show: A rare"),
    "07.md:  weights  fails with NameError": ("{{ 4 + 9 + 4 }}", "{{ weights }}"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_faulty_source_is_named_and_nothing_written(message, tmp_path, monkeypatch):
    old, new = FAULTS[message]
    if new is not None:
        text = (kit.SOURCES / "07.md").read_text(encoding="utf-8")
        (tmp_path / "07.md").write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(kit, "SOURCES", tmp_path)
    with pytest.raises(SourceError, match=re.escape(message)):
        kit.write(["07"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_slides_tell_the_teacher_and_the_exam_alone_tells_no_answer(tmp_path):
    paths = {path.name: path for path in kit.write(["07"], tmp_path)}
    pages = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    assert pages["07_poll.html"].count("<section>") == 6
    assert re.search(r"show slide 07-\d+ again", pages["07_poll.html"])
    assert "degradation" in pages["07_exam_answers.html"]
    assert "degradation" not in pages["07_exam.html"]
    assert all(f'href="kit/{name}"' in kit.links(["07_resnet"]) for name in paths)


def test_the_class_gets_questions_alone(tmp_path):
    paths = {p.name: p for p in kit.write(["07"], tmp_path, answers=False)}
    assert set(paths) == {"07_poll.html", "07_exam.html"}
    poll = paths["07_poll.html"].read_text(encoding="utf-8")
    assert not re.search(r"show slide 07|<strong>[A-D]</strong>", poll)


RELEASED = {  # what each grader takes out for students, in words of its documentation
    grading.for_nbgrader: r"^ *### BEGIN (\w+).*?### END \1.*?$",
    grading.for_otter: r"^# HIDDEN.*|^ *# BEGIN SOLUTION NO PROMPT$.*?# END SOLUTION$",
}


def squeezed(text):
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("lecture", SOURCES)
def test_graders_give_students_stubs_and_no_test(lecture):
    wanted = [c for c in percent.read(SOURCES[lecture]) if percent.solutions(c.text)]
    for form, taken in RELEASED.items():
        cells = [c.source for c in grading.exported(SOURCES[lecture], form).cells]
        test = "Checker().judge("
        assert sum(test in cell for cell in cells) == len(exercises(lecture[:2]))
        students = [re.sub(taken, "", cell, flags=re.M | re.S) for cell in cells]
        text = squeezed("".join(students))
        assert test not in text
        for cell in wanted:
            assert squeezed(percent.unsolved(cell.text)) in text
            assert not [x for x in percent.solutions(cell.text) if squeezed(x) in text]
    marks = re.findall(r"# (BE|EN).* (QU|SOLUTION NO)", "\n".join(cells))  # otter's
    order = "".join(one[0] + what[0] for one, what in marks)
    assert re.fullmatch("(BQ(BS)+EQ)+", order)


def test_a_grader_is_given_no_solution_that_it_would_leave(tmp_path):
    cells = [
        percent.Cell("code", "x = 1\n# solution\ny = 2"),
        percent.Cell("code", "y"),
    ]
    given = [(cell, grading.v4.new_code_cell(cell.text)) for cell in cells]
    with pytest.raises(SourceError, match="no check follows the solution"):
        list(grading.for_otter(given))
    grading.write(SOURCES["07_resnet"], tmp_path)
    with pytest.raises(SourceError, match="exists: name another --out"):
        grading.write(SOURCES["07_resnet"], tmp_path)
