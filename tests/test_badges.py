"""The links that open a notebook in Colab, on Kaggle and on Binder."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import nbformat
import pytest

from tools import build
from tools import pages
from tools.badges import badges, repository
from tools.slides import export

COURSE = "https://github.com/someone/course"
PAGE = "notebooks/04_vgg.ipynb"


def course(folder, address):
    """A course of one lecture, published at `address`; its student's notebook."""
    (folder / "notebooks/source").mkdir(parents=True)
    source = folder / "notebooks/source/04_vgg.py"
    source.write_text('# %% [markdown] slide="slide"\n# # VGG\n\n# %% setup\n')
    text = f'[tool.course]\n# where\nrepository = "{address}"\n[tool.ruff]\n'
    (folder / "pyproject.toml").write_text(text)
    return build.notebook(source, solutions=False, root=folder)


def links(path, address=COURSE):
    return {badge.name: badge.link for badge in badges(address, path)}


def test_each_service_is_led_to_branch_path_and_notebook():
    assert links(PAGE) == {
        "Colab": "https://colab.research.google.com/github/someone/course/blob/main/"
        "notebooks/04_vgg.ipynb",
        "Kaggle": "https://www.kaggle.com/kernels/welcome?src="
        "https://github.com/someone/course/blob/main/notebooks/04_vgg.ipynb",
        "Binder": "https://mybinder.org/v2/gh/someone/course/main"
        "?labpath=notebooks%2F04_vgg.ipynb",
    }


def test_names_that_an_address_cannot_hold_are_quoted():
    found = links("my notes/a&b#1.ipynb")
    assert found["Colab"].endswith("/blob/main/my%20notes/a%26b%231.ipynb")
    kaggle = parse_qs(urlsplit(found["Kaggle"]).query)["src"]
    assert kaggle == [f"{COURSE}/blob/main/my%20notes/a%26b%231.ipynb"]
    binder = parse_qs(urlsplit(found["Binder"]).query)["labpath"]
    assert binder == ["my notes/a&b#1.ipynb"]
    assert unquote(urlsplit(found["Colab"]).path).endswith("a&b#1.ipynb")


@pytest.mark.parametrize("address", [f"{COURSE}.git", f"{COURSE}/"])
def test_an_address_may_end_as_git_shows_it(address):
    assert links(PAGE, address) == links(PAGE)


@pytest.mark.parametrize("address", ["", "https://example.org/a/b", f"{COURSE}/tree/x"])
def test_without_an_address_on_github_there_are_no_badges(address, tmp_path):
    assert badges(address, PAGE) == []
    assert all(cell.id != "badges" for cell in course(tmp_path, address).cells)


def test_the_one_setting_puts_badges_below_the_title(tmp_path):
    nb = course(tmp_path, COURSE)
    assert repository(tmp_path) == COURSE
    assert nb.cells[1].source.count("[![Open in ") == 3
    for link in links(PAGE).values():
        assert f"({link})" in nb.cells[1].source
    source = tmp_path / "notebooks/source/04_vgg.py"
    solved = build.notebook(source, solutions=True, root=tmp_path).cells[1].source
    for link in links("notebooks/solutions/04_vgg.ipynb").values():
        assert f"({link})" in solved


def test_slides_and_pages_ask_no_service_for_a_picture(tmp_path):
    nb = course(tmp_path, COURSE)
    nbformat.write(nb, tmp_path / "04_vgg.ipynb")
    pages.write(nb, tmp_path / "page.html", tmp_path)
    for page in (
        export(tmp_path / "04_vgg.ipynb"),
        (tmp_path / "page.html").read_text(encoding="utf-8"),
    ):
        assert "<h1" in page
        assert "Open in" not in page
        assert "kaggle" not in page
