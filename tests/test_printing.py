"""Names from outside, in messages and on any terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils import printing
from utils.course import ROOT, CourseError
from utils.datasets.findings import Findings


@pytest.mark.parametrize("skip_bad", [True, False])
@pytest.mark.parametrize(
    "name",
    ["M\udcfcller.png", "a\nb.png", "\x1b[31mred.png", "x" * 60_000, "\u202egpj"],
)
def test_a_name_in_a_message_is_one_short_line_of_plain_text(name, skip_bad, capsys):
    found = Findings(9, [f"{name} is no image."], [f"{name} moves."])
    if skip_bad:
        found.report(Path("folder"), skip_bad=True)
        said, lines = capsys.readouterr().out, 2
    else:
        with pytest.raises(CourseError) as error:
            found.report(Path("folder"), skip_bad=False)
        said, lines = f"{error.value}\n", 3
    assert said.count("\n") == lines
    assert said.replace("\n", "").isprintable()
    assert "is no image." in said
    assert len(said) < 1500


def test_a_plain_name_is_shown_as_it_is():
    assert printing.shown("Zoë/猫 1.jpg is no image.") == "Zoë/猫 1.jpg is no image."


PACKING = """
import sys
from pathlib import Path
from tools import bundle_command
def pack(dest, online):
    'Nothing.'
    return {}
command.pack = pack
sys.exit(command.main(["bundle", sys.argv[1]]))
"""


def test_a_pipe_that_knows_few_letters_takes_every_name():
    done = subprocess.run(
        [sys.executable, "-c", PACKING, "数字"],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"The bundle is in ??." in done.stdout
