"""The cell that finds the course, or fetches it: what `# %% setup` stands for."""

from __future__ import annotations

import json

# In a clone of the course it only sets the path. Elsewhere, as in Colab, it fetches the
# course; utils/fetched.py then sees to the rest. No output depends on this cell, so its
# text can change without a new run of the notebooks.
SETUP = """\
import subprocess
import sys
import tempfile
from pathlib import Path

here, origin = Path.cwd(), {origin}
places = [here, *here.parents, here / "cnn-course"]
course = next((p for p in places if (p / "utils/course.py").is_file()), None)
if course is None:  # alone, as in Colab: fetch it, whole or not at all
    course = places[-1]
    with tempfile.TemporaryDirectory(dir=here) as part:
        git = ["git", "-c", "core.askpass=true", "clone", "-q", "--depth", "1"]
        git += [origin, f"{{part}}/course"]
        try:
            subprocess.run(git, check=True, stderr=subprocess.PIPE, text=True)
            Path(part, "course").rename(course)
        except (OSError, subprocess.CalledProcessError) as error:
            if not course.is_dir():  # nor has another notebook fetched it meanwhile
                raise RuntimeError(
                    "The course is not around this notebook, and git could not fetch"
                    f" it: {{getattr(error, 'stderr', error)}} Is there a network (on"
                    " Kaggle: Settings, Internet on), and git? Or open this notebook"
                    " in a clone of the course."
                ) from None
sys.path.insert(0, str(course))
if course == places[-1]:
    from tools.colab import settle

    settle()"""


def setup(repository: str) -> str:
    """The code of the cell, for a course published at `repository`."""
    return SETUP.format(origin=json.dumps(repository))
