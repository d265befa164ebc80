"""The cell that finds the course, or fetches it: what `# %% setup` stands for."""

from __future__ import annotations

import json

# In a clone of the course it only sets the path. Elsewhere, as in Colab, it fetches the
# course; utils/fetched.py then sees to the rest. No output depends on this cell, so its
# text can change without a new run of the notebooks.
SETUP = """\
import shutil
import subprocess
import sys
from pathlib import Path

here, origin = Path.cwd(), {origin}
places = [here, *here.parents, here / "cnn-course"]
course = next((p for p in places if (p / "utils/course.py").is_file()), None)
if course is None:  # alone, as in Colab: fetch it, whole or not at all
    part, course = here / "cnn-course.part", places[-1]
    shutil.rmtree(part, ignore_errors=True)
    git = f'git -c core.askpass=true clone -q --depth 1 "{{origin}}" "{{part}}"'
    done = subprocess.run(git, shell=True, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise RuntimeError(
            "The course is not around this notebook, and git could not fetch it:"
            f" {{done.stderr.strip()}}. Is there a network (on Kaggle: Settings,"
            " Internet on), and git? Or open this notebook in a clone of the course."
        )
    part.rename(course)
sys.path.insert(0, str(course))
if course == places[-1]:
    from utils.fetched import settle

    settle()"""


def setup(repository: str) -> str:
    """The code of the cell, for a course published at `repository`."""
    return SETUP.format(origin=json.dumps(repository))
