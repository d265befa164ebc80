"""Put each lecture alone into a folder of its own, as Colab opens it.

python notebooks/alone.py FOLDER file:///home/me/course

Its first cell then fetches the course from that address.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools import outputs
from tools.setup import setup

NOTEBOOKS = Path(__file__).resolve().parent


def put(folder: Path, repository: str) -> list[Path]:
    """Write all notebooks, which fetch the course from an address; where they are."""
    written = []
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        nb = outputs.load(path)
        [cell] = filter(outputs.is_setup, outputs.code_cells(nb))
        cell.source = setup(repository)
        written.append(folder / path.stem / path.name)
        written[-1].parent.mkdir(parents=True)
        outputs.write(nb, written[-1])
    return written


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where nothing lies yet")
    parser.add_argument("repository", help="an address that git can clone")
    options = parser.parse_args()
    for path in put(options.folder, options.repository):
        print(path)


if __name__ == "__main__":
    main()
