"""The teaching kit: options are the checks' misconceptions, and an LMS can read it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from teaching.checks import NUMBER
from tools import build, deck, kit
from tools.outputs import SourceError

SOURCES = {path.stem: path for path in build.lectures([])}
CHECKS = kit.build.ROOT / "teaching" / "checks"


def told(number):
    """Patterns of all texts that stand in a lecture's checks, numbers left out."""
    files = [CHECKS / f"lecture_{number}.py", CHECKS / "clinic" / "epochs.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            fixed = [getattr(part, "value", None) for part in parts]
            if sum(len(text) for text in fixed if isinstance(text, str)) > 8:
                known = [
                    NUMBER.sub("#", f) if isinstance(f, str) else "" for f in fixed
                ]
                yield ".*".join(re.escape(text) for text in known).replace("\\#", "#")


GIFT = re.compile(
    r"::((?:\\.|[^:\\])+)::\[markdown\]((?:\\.|[^{\\])+)\{\n(.*?)\n####", re.S
)


def questions(text):
    """The questions of a GIFT file: name, text, and options, each with its hint."""
    for name, asked, options in GIFT.findall(text):
        split = [re.split(r"(?<!\\)#", line) for line in options.split("\n")]
        yield name, asked, split


def plain(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)


@pytest.mark.parametrize("lecture", SOURCES)
def test_a_kit_is_whole(lecture):
    found, lesson = kit.read(lecture, fill=True), deck.read(SOURCES[lecture])
    assert (len(found.polls), len(found.exams)) == (5, 3)
    known = [re.compile(pattern) for pattern in told(lecture[:2])]
    for poll in found.polls:
        assert len({option.text for option in poll.options}) == len(poll.options)
        assert kit.slide_of(poll, lesson)
        for option in poll.options[1:]:
            reason = NUMBER.sub("#", option.reason)
            assert option.exercise.startswith(lecture[:2])
            assert any(p.fullmatch(reason) for p in known), option.reason
    assert all(4 <= exam.points <= 10 and exam.answer for exam in found.exams)
    read = list(questions(kit.gift(found)))
    assert len(read) == 5
    for poll, (name, asked, options) in zip(found.polls, read, strict=True):
        assert plain(name).endswith(poll.heading)
        assert plain(asked) == poll.question
        texts = ["=" + poll.options[0].text] + [f"~{o.text}" for o in poll.options[1:]]
        assert [option[0][0] + plain(option[0][1:]) for option in options] == texts
        assert all(len(option) == 2 and option[1] for option in options[1:])


def test_what_GIFT_means_otherwise_is_escaped():
    odd = r"a = {b: ~c} # \d :: 1"
    option = kit.Option(odd, "07.1", "why not: {x}?")
    poll = kit.Poll("H: 1", odd, [kit.Option("x" + odd), option], "so", "S")
    [(name, asked, options)] = questions(kit.gift(kit.Kit("07_x", [poll], [])))
    assert [plain(text) for text in (name, asked)] == ["07-1 H: 1", odd]
    assert [plain(one) for one in options[1]] == ["~" + odd, "Why not: {x}?"]


FAULTS = {
    "is missing": ("", None),
    "two parts": ("# Exam", "# Exams"),
    "“The price of a projection” is not of the form": ("Why: 128", "Because: 128"),
    "“Where the last ReLU stands” needs a right option": (" <- 07.2 After", " After"),
    "36 over 260": ("In which", "y" * 258 + "In which"),
    "0 slides have a heading that begins with": ("Show: A common", "Show: A rare"),
    "fails with NameError": ("{{ 4 + 9 + 4 }}", "{{ weights }}"),
}  # fmt: skip


@pytest.mark.parametrize("message", FAULTS)
def test_a_faulty_source_is_named_and_nothing_written(message, tmp_path, monkeypatch):
    text = (kit.SOURCES / "07.md").read_text(encoding="utf-8")
    monkeypatch.setattr(kit, "SOURCES", tmp_path)
    old, new = FAULTS[message]
    assert old in text
    if new is not None:
        Path(tmp_path / "07.md").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(SourceError, match=re.escape(message)) as caught:
        kit.write(["07"], tmp_path / "out")
    assert "07" in str(caught.value) or "weights" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_slides_tell_the_teacher_and_the_exam_alone_tells_no_answer(tmp_path):
    paths = {path.name: path for path in kit.write(["07"], tmp_path)}
    pages = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    assert pages["07_poll.html"].count("<section>") == 6
    assert "33,280" in pages["07_poll.html"]
    assert re.search(r"show slide 07-\d+ again", pages["07_poll.html"])
    assert 'src="http' not in "".join(pages.values())
    assert "Model answer" in pages["07_exam_answers.html"]
    assert "degradation" not in pages["07_exam.html"]
    assert all(f'href="kit/{name}"' in kit.links(["07_resnet"]) for name in paths)
