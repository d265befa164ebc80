"""Tell a student at once whether an exercise is solved: `check("00.1", answer)`."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import torch

from teaching.checks import EXERCISES, Unanswered, Wrong, code_of, in_words
from teaching.checks.limit import time_limit
from utils.course import CourseError

SIGNS = {"right": "✓", "wrong": "✗", "unanswered": "○"}
SECONDS = 60  # for the check of one answer; all of ours take less than one


class Checker:
    """Called with an exercise and its answer; `results` keeps the last outcomes."""

    def __init__(self) -> None:
        self.results: dict[str, str] = {}
        self._tries: dict[str, int] = {}
        self._reasons: dict[str, list[str]] = {}

    def __call__(self, name: str, answer: Any) -> None:
        """Print one line: a tick, a hint (a stronger one next time), or "not answered".

        The line ends with the number of the try. A notebook also keeps, unseen, the
        codes of the hints given until then: `tools.class_report` counts them.

        Args:
            name: of the exercise, as "00.1".
            answer: whatever the exercise asks for; never raises because of it.

        Raises:
            CourseError: there is no exercise of this name.
            AssertionError: `CNN_COURSE_STRICT` expects another outcome; for the tests.
        """
        outcome, text, reason = self.judge(name, answer)
        told = self._reasons.setdefault(name, [])
        if outcome != "unanswered" and self.results.get(name) != "right":
            self._tries[name] = self._tries.get(name, 0) + 1
            if reason:  # at the end, since the line tells it
                told[:] = [code for code in told if code != reason] + [reason]
        self.results[name] = outcome
        number = self._tries.get(name, 0)
        counted = f" (try {number})" if number > 1 and outcome != "unanswered" else ""
        _print_anything()
        print(SIGNS[outcome], name, text + counted)
        if told and outcome != "unanswered":
            _record(f"{name} hints {' '.join(told)}")
        expected = os.environ.get("CNN_COURSE_STRICT")
        expected = "right" if expected == "1" else expected
        if expected and outcome != expected:
            raise AssertionError(f"{name} should be {expected}, is {outcome}: {text}")

    def progress(self, lecture: str) -> None:
        """Print how many of a lecture's exercises are right; `lecture` is as "00"."""
        outcomes = {n: self.results.get(n, "unanswered") for n in exercises(lecture)}
        right = sum(outcome == "right" for outcome in outcomes.values())
        signs = "  ".join(f"{SIGNS[outcome]} {n}" for n, outcome in outcomes.items())
        _print_anything()
        print(f"{right} of {len(outcomes)} exercises right:  {signs}")

    def judge(self, name: str, answer: Any) -> tuple[str, str, str]:
        """The outcome, the line that explains it, and the code of a known reason.

        Raises:
            CourseError: there is no exercise of this name.
        """
        if name not in exercises(str(name)[:2]):
            known = ", ".join(exercises(str(name)[:2])) or "none for this lecture"
            raise CourseError(f"There is no exercise {name!r}; there are: {known}.")
        try:
            if is_blank(answer):
                raise Unanswered
            # An answer may draw numbers: the notebook's next cell must not notice.
            with torch.random.fork_rng(devices=[]), time_limit(SECONDS):
                torch.default_generator.manual_seed(0)
                remark = EXERCISES[name](answer)
        except Unanswered as error:
            detail = f" ({error})" if str(error) else ""
            return "unanswered", f"not answered yet{detail}", ""
        except Wrong as error:
            hints = error.hints or ["This is not it yet."]
            if len(hints) == 1:  # a second try gets a second hint: what is asked for
                asked = (EXERCISES[name].__doc__ or "").split("\n")[0]
                hints = [*hints, f"Asked for: {asked}"] if asked else hints
            told = " ".join(hints[: self._tries.get(name, 0) + 1])
            return "wrong", told, code_of(error.reason) if error.reason else ""
        except (Exception, SystemExit) as error:
            if "ellipsis" in str(error):
                return "unanswered", "not answered yet", ""
            told = f"The check could not use this answer: {in_words(error)}"
            return "wrong", told, ""
        return "right", remark if isinstance(remark, str) else "right", ""


def _record(note: str) -> None:
    """Keep a note in a notebook's output, as a comment in HTML, which nobody sees.

    Every front end shows HTML and saves it as it is; a type of our own some would drop.
    """
    ipython = sys.modules.get("IPython")
    if ipython and hasattr(ipython.get_ipython(), "kernel"):
        from IPython.display import display

        display({"text/html": f"<!-- check {note} -->", "text/plain": ""}, raw=True)


def _print_anything() -> None:
    """Let stdout print "?" for a sign that it lacks, as a pipe on Windows does."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")


def is_blank(answer: Any) -> bool:
    """Whether an answer, or a part of it, still is `...`, None or an empty text."""
    if isinstance(answer, str):
        return not answer.strip()
    if isinstance(answer, (list, tuple, dict)):
        parts = answer.values() if isinstance(answer, dict) else answer
        return not answer or any(is_blank(part) for part in parts)
    return answer is None or answer is ...


def exercises(lecture: str) -> list[str]:
    """The names of a lecture's exercises, in order; none where it has none."""
    if not re.fullmatch(r"\d\d", lecture):
        return []
    module = f"teaching.checks.lecture_{lecture}"
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
    names = [name for name in EXERCISES if name.split(".")[0] == lecture]
    return sorted(names, key=lambda name: int(name.split(".")[1]))


check = Checker()
