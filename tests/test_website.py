"""What README and website say of a lecture, and how a file becomes a page."""

from __future__ import annotations

import nbformat
import pytest
from nbformat import v4

from tools import answers, deck, finish, lectures, sessions, website
from tools.outputs import SourceError
from utils.course import ROOT


@pytest.fixture(scope="module")
def found():
    return lectures.all_lectures()


@pytest.mark.parametrize("name", lectures.PAGES)
def test_the_pages_tables_are_those_of_the_notebooks(name, found):
    page = (ROOT / name).read_text(encoding="utf-8")
    folder = name.rpartition("/")[0]
    assert lectures.MARKED.search(page)
    assert lectures.fill(page, found, folder) == page, "run make results"
    assert not [one.file for one in found if one.headline == "-"]


def test_the_table_has_badges_where_the_course_is_published(found, monkeypatch):
    place = "https://github.com/someone/course"
    monkeypatch.setattr(lectures, "repository", lambda root: place)
    readme, page = (lectures.table(found[:1], folder) for folder in ("", "site"))
    assert "[![Open in Colab](" in readme
    assert "](notebooks/00_" in readme
    assert "![" not in page  # a page of the website asks no other host for a picture
    assert "[Colab](https://colab" in page
    assert "](../notebooks/00_" in page


def test_a_session_is_its_lecture_with_some_of_the_clinic():
    decks = sessions.decks(plan := sessions.timetable())
    for number, (session, shown) in enumerate(zip(plan, decks, strict=True), start=1):
        heads = [slide.heading for slide in shown.slides]
        assert not {*heads} & {*session.home}
        assert {*session.clinic} <= {*heads}
        assert heads[1].startswith("Last time") == (number > 1)
        assert [head for head in heads if head.startswith("For home")] == heads[-1:]
        assert not deck.faults(shown)
    table = lectures.schedule(plan[1:2], decks[1:2], ["[A](a)"])
    last = table.splitlines()[-1]
    assert last.startswith(f"| 2 | [A](a)<br>• clinic: {plan[1].clinic[0]}<br>")
    assert last.endswith(" | 60 |")


def test_a_session_that_does_not_exist_is_named_with_those_that_do():
    for number in ("0", "99", "08", "", "x"):
        with pytest.raises(SourceError, match=rf"no session '{number}'.* 2 \(01\), 3"):
            sessions.deck_of(number)
    lesson = deck.Deck("04_vgg", [deck.Slide("## A claim")])
    with pytest.raises(SourceError, match="04_vgg has no slide 'B'; it has: A claim"):
        sessions.Session("04", ["B"], []).deck(1, {"04": lesson, "10": lesson})


def test_links_are_adapted_to_the_website():
    pages = {"site/a.md": "a.md", "README.md": "index.md"}
    pages |= {"notebooks/04_vgg.ipynb": "notebooks/04_vgg.ipynb"}
    links = website.Links(ROOT, pages, repository="")
    text = "[VGG](../notebooks/04_vgg.ipynb#answer), [start](../README.md)"
    new = links.adapt(text, "site/a.md")
    assert new == "[VGG](notebooks/04_vgg.ipynb#answer), [start](index.md)"
    assert links.adapt("[x](#here) [y](https://a.org)", "site/a.md").count("](") == 2
    # A file that is no page is linked where the course is published.
    text, notebook = "[its code](../utils/models/vgg.py)", "notebooks/04_vgg.ipynb"
    assert links.adapt(text, notebook) == "its code"
    public = website.Links(ROOT, pages, "https://github.com/a/b")
    place = "https://github.com/a/b/blob/main/utils/models/vgg.py"
    assert public.adapt(text, notebook) == f"[its code]({place})"


def test_a_notebook_gets_its_facts_and_its_figures_their_descriptions():
    drawn = v4.new_output(
        "display_data", {"image/svg+xml": "<svg><title>Two\n boxes</title></svg>"}
    )
    cells = [
        v4.new_markdown_cell("# A title\n\nA promise."),
        v4.new_code_cell("import os", metadata={"tags": ["course-setup"]}),
        v4.new_code_cell("draw()", metadata={"alt": "A curve."}),
        v4.new_code_cell("sketch()", outputs=[drawn]),
    ]
    nb = v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    website.adapt_notebook(nb, "04 · ", "Last verified today.")
    nbformat.validate(nb)
    title, setup, curve, boxes = nb.cells
    assert title.source.startswith("# 04 · A title\n\n:::{container} facts\nLast veri")
    assert title.source.endswith("A promise.")
    assert "hide-input" in setup.metadata.tags
    assert curve.metadata.mystnb.image.alt == "A curve."
    assert boxes.metadata.mystnb.image.alt == "Two boxes"


def test_what_answers_a_question_is_folded():
    def code(text):
        return v4.new_code_cell(text, outputs=[v4.new_output("stream", text="7")])

    texts = "Why?", "Because.\n\nAnd then?", "Here is a row. Which one?", "## Exercises"
    why, then, row, end = map(v4.new_markdown_cell, texts)
    done = answers.folded([why, code("a"), then, code("b"), row, code("c"), end])
    sources = [cell.source for cell in done]
    fold = [answers.OPEN, "# as above", "Because.", answers.CLOSE]
    assert sources[:7] == ["Why?", "a", *fold, "And then?"]
    assert not done[1].outputs
    assert "remove-input" in done[3].metadata.tags
    # What the question is about stays in sight.
    assert sources[-3:] == ["Here is a row. Which one?", "c", "## Exercises"]
    assert done[-2].outputs


def test_a_row_has_a_head_where_the_table_has_none():
    head, row = "<thead><tr><th></th><th>b</th></tr></thead>", "<td>1</td><td>2</td>"
    made = finish.table(
        f"<table>{head}<tr>{row}</tr><tr><td></td><td>3</td></tr></table>"
    )
    assert '<tr><th scope="row">1</th><td>2</td></tr><tr><td></td><td>3</td>' in made
    assert made.startswith('<div class="wide"><table><thead><tr><td></td>')
