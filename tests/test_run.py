"""Executing notebooks: the table, failures, rendering, and nbval's settings."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from tools import build, execute, outputs, render, run

ROOT = Path(__file__).resolve().parent.parent

GOOD = """# %% [markdown] slide="slide"
# # A demo, before [the next](91_bad.ipynb)
# ![a pixel](pixel.png)

# %% setup

# %%
import os
print("Stand-in: digits")

# %%
import sys
from IPython.display import HTML, display
shown = display(HTML("epoch 1"), display_id="live")
shown.update(HTML("epoch 2"))
print("one", flush=True)
print("\\rtwo")

# %%
# alt: One "black" pixel & no more.
from IPython.display import Image
display(Image("pixel.png", embed=True))

# %% tags=["hide-input"]
hidden_code = 1

# %% check=True
1 + 1

# %%
def check(name, answer):
    expected = "unanswered" if answer is ... else "right"
    assert os.environ.get("CNN_COURSE_STRICT") in (None, expected)

# %%
# solution
answer = 1

# %%
check("90.1", answer)

# %%
scale, here = os.environ["CNN_COURSE_SCALE"], os.path.basename(os.getcwd())
print("Headline: scale", scale, "in", here)
"""

BAD = """# %% setup

# %%
def broken():
    raise KeyError("the reason")

broken()

# %%
print("Headline: not reached")
"""

# One black pixel as PNG.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080000000"
    "03a7e9b550000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


FILES = {
    "notebooks/source/90_good.py": GOOD,
    "notebooks/source/91_bad.py": BAD,
    "pyproject.toml": '[tool.course]\nrepository = ""\n',
    "teaching/checks/lecture_90.py": '@exercise("90.1")',
    "tools/colab.py": (ROOT / "tools/colab.py").read_text("utf-8"),
    "utils/course.py": "",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """A course of two lectures without torch; the second fails."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    for folder in ("notebooks", "notebooks/solutions"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "pixel.png").write_bytes(PIXEL)
    for name in ("CNN_COURSE_SCALE", "CNN_COURSE_DATA", "CNN_COURSE_STRICT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert build.main([], tmp_path) == 0
    return tmp_path


def test_one_failure_leaves_the_others_running(root, capsys):
    committed = (root / "notebooks/90_good.ipynb").read_bytes()
    assert run.main([], root) == 1
    out, err = capsys.readouterr()
    rows = [row.split() for row in out.strip().split("\n")[-4:]]
    assert "scale tiny in notebooks" in out
    assert (rows[2][0], rows[2][2]) == ("91_bad", "FAILED")
    assert "91_bad: cell 2, CellExecutionError\n    | def broken():" in err
    assert "KeyError: 'the reason'" in err
    assert "\x1b" not in err
    assert (root / "notebooks/90_good.ipynb").read_bytes() == committed
    nb = nbformat.read(root / "build/90_good.ipynb", 4)
    assert "epoch 2" in str(nb.cells)
    streams = [o.text for c in nb.cells for o in c.get("outputs", []) if "text" in o]
    assert streams[1] == "one\ntwo\n"


def test_render_stamps_and_repeats_byte_by_byte(root, monkeypatch):
    assert render.main(["90", "--scale", "tiny"], root) == 0
    paths = [root / "notebooks" / part / "90_good.ipynb" for part in ("", "solutions")]
    first = [path.read_bytes() for path in paths]
    nb = json.loads(first[0])
    stamp = nb["metadata"]["course"]
    assert set(stamp) == {
        *("code", "utils", "scale", "data", "device", "torch", "date", "seconds")
    }
    assert (stamp["scale"], stamp["data"]) == ("tiny", "stand-in")
    assert nb["metadata"]["language_info"] == outputs.LANGUAGE
    assert all("execution" not in cell["metadata"] for cell in nb["cells"])
    assert build.check_all(build.lectures(["90"], root), root) == []
    monkeypatch.setattr(build, "today", lambda: "2099-01-01")
    assert render.main(["90", "--scale", "tiny"], root) == 0
    assert first == [path.read_bytes() for path in paths]


def test_what_comes_before_the_exercises_runs_once_for_both_notebooks(root):
    note = 'import sys\nwith open("ran", "a") as file:\n    print("x", file=file)\n'
    text = GOOD.replace("import sys\n", note)
    (root / "notebooks/source/90_good.py").write_text(text, encoding="utf-8")
    assert render.main(["90", "--scale", "tiny"], root) == 0
    assert (root / "notebooks/ran").read_text() == "x\n"
    pages = [root / "notebooks" / part / "90_good.ipynb" for part in ("", "solutions")]
    told = [outputs.code_cells(outputs.load(page)) for page in pages]
    assert [cell.execution_count for cell in told[1]] == list(
        range(1, len(told[1]) + 1)
    )
    assert told[0][2].outputs == told[1][2].outputs
    assert [cells[-1].outputs[0].text for cells in told] == [
        "Headline: scale tiny in notebooks\n",
        "Headline: scale tiny in solutions\n",
    ]


def test_render_refuses_what_nobody_should_read(root, capsys):
    before = (root / "notebooks/90_good.ipynb").read_bytes()
    loud = GOOD.replace("import sys\n", "import sys\nsys.stderr.write('careful\\n')\n")
    (root / "notebooks/source/90_good.py").write_text(loud)
    assert render.main(["90", "--scale", "tiny"], root) == 1
    assert "cell 4: wrote to stderr: careful" in capsys.readouterr().err
    assert (root / "notebooks/90_good.ipynb").read_bytes() == before


def test_dead_kernel_and_endless_cell_are_failures(root):
    import asyncio

    def outcome(code: str, seconds: int) -> str:
        nb = v4.new_notebook(cells=[v4.new_code_cell(code)])
        return asyncio.run(execute.execute(nb, root, dict(os.environ), seconds))

    assert "cell 1, DeadKernelError" in outcome("import os; os._exit(1)", 30)
    assert "cell 1, CellTimeoutError" in outcome("while True: pass", 1)


def test_environment_makes_the_data_folder_absolute(root, monkeypatch):
    with pytest.raises(SystemExit, match="data folder does not exist"):
        run.main(["90", "--data", "nowhere"], root)
    (root / "images").mkdir()
    expected = str((root / "images").resolve())
    assert run.environment("images", "tiny")["CNN_COURSE_DATA"] == expected
    monkeypatch.setenv("CNN_COURSE_DATA", "images")
    monkeypatch.setenv("CNN_COURSE_STRICT", "1")
    env = run.environment(None, "small")
    assert (env["CNN_COURSE_DATA"], env["CNN_COURSE_SCALE"]) == (expected, "small")
    assert "CNN_COURSE_STRICT" not in env


def test_streams_are_merged_in_order():
    def stream(text, name="stdout"):
        return v4.new_output("stream", text=text, name=name)

    figure = v4.new_output("display_data", {"image/png": "aGk="})
    pieces = [stream("a"), stream("b\n"), figure, stream("1/2\r"), stream("2/2\n")]
    nb = v4.new_notebook(cells=[v4.new_code_cell("x", outputs=pieces)])
    outputs.merge_streams(nb)
    merged = nb.cells[0].outputs
    assert [o.get("text") for o in merged] == ["ab\n", None, "2/2\n"]


def test_nbval_runs_all_and_fails_where_it_should(root):
    good = nbformat.read(root / "notebooks/90_good.ipynb", 4)
    for number, cell in enumerate(outputs.code_cells(good), start=1):
        cell.execution_count = number
        if cell.source == "1 + 1":
            wrong = v4.new_output("execute_result", {"text/plain": "3"})
            cell.outputs = [wrong]
    outputs.write(good, root / "notebooks/90_good.ipynb")
    slow = "import time\ntry: time.sleep(30)\nexcept KeyboardInterrupt: pass"
    warned = "import warnings\nwarnings.warn('use b', DeprecationWarning)"
    nb = v4.new_notebook(cells=[v4.new_code_cell(x) for x in (warned, slow)])
    outputs.write(nb, root / "notebooks/92_odd.ipynb")
    full = root / "notebooks/solutions/90_good.ipynb"
    solved = full.read_text("utf-8").replace("answer = 1", "answer = ...")
    full.with_name("94_blank.ipynb").write_text(solved, "utf-8")
    shutil.copy(ROOT / "conftest.py", root)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    flags = ["--nbval-lax", "--nbval-current-env", "--color=no", "-rA"]
    done = subprocess.run(
        [*command, *flags, "--nbval-cell-timeout=4", "notebooks"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    failed = re.findall(r"^FAILED notebooks/(\S+)::Cell (\d)", done.stdout, re.M)
    assert sorted(failed) == [
        ("90_good.ipynb", "5"),  # a checked output differs
        ("91_bad.ipynb", "1"),
        ("92_odd.ipynb", "0"),  # uses what a library is about to drop
        ("92_odd.ipynb", "1"),  # survives its interrupt
        ("solutions/91_bad.ipynb", "1"),
        ("solutions/94_blank.ipynb", "8"),  # a solution that is none
    ], done.stdout
    assert "use b" in done.stdout
    assert "  notebooks/solutions/90_good" in done.stdout  # its seconds
