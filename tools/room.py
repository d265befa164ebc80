"""The page of a deck whose slides are made for a room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, Template
from jupyterlab_pygments import JupyterStyle
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from tools import deck, play
from tools.deck import PICTURE, Deck, Slide
from tools.drawn import Shown, Stage
from tools.finish import EMPTY_HEAD
from tools.outputs import SourceError

PARTS = Path(__file__).parent / "slides"  # what goes into every deck
SHEETS = ("vendor/reveal.css", "room/room.css")
SCRIPTS = ("vendor/reveal.js", "vendor/notes.js")
BESIDE = 1.5  # a picture that is less than so much wider than high stands beside words
QUOTES = re.compile(r"(<blockquote>.*?</blockquote>\s*)+", re.S)


class Prose(IPythonRenderer):
    """Markdown whose formulas become MathML, which browsers draw without a script."""

    def inline_math(self, body: str) -> str:
        """A formula within a line."""
        return formula(body, "inline")

    def block_math(self, body: str) -> str:
        """A formula of its own."""
        return f"<p>{formula(body, 'block')}</p>"


def formula(tex: str, display: str) -> str:
    """MathML without its name space, of which nbconvert would make a prefix."""
    return re.sub(r' xmlns="[^"]*"', "", convert(tex, display=display))


def rendered(text: str) -> str:
    """Markdown as HTML."""
    return MarkdownWithMath(renderer=Prose(escape=False)).render(text)


class Block(NamedTuple):
    """Words, a table or a picture of a slide, and the step with which it appears."""

    step: int
    html: str
    aspect: float = 0  # of a picture, width over height

    @property
    def element(self) -> str:
        """As it stands in the page."""
        later = f' fragment" data-fragment-index="{self.step - 1}' if self.step else ""
        if self.aspect:
            style = f' style="--aspect: {self.aspect:.4f}"'
            return f'<figure class="block{later}"{style}>{self.html}</figure>'
        return f'<div class="block{later}">{self.html}</div>'


def page(lesson: Deck, *, answers: bool = True) -> str:
    """The deck as one HTML page.

    Raises:
        SourceError: a slide is over a limit, or names what does not exist.
    """
    found = deck.faults(lesson)
    if found:
        raise SourceError("\n".join(found))
    return shown(lesson if answers else deck.unanswered(lesson))


def styles(*sheets: str) -> str:
    """These style sheets, and that of the code."""
    code = HtmlFormatter(style=JupyterStyle, nobackground=True)
    return "\n".join([*map(text_of, sheets), code.get_style_defs(".highlight")])


def text_of(name: str) -> str:
    """A file that goes into every deck."""
    return (PARTS / name).read_text(encoding="utf-8")


def template(name: str) -> Template:
    """How a page is put together."""
    return Environment(loader=FileSystemLoader(PARTS / "room")).get_template(name)


def slides_of(lesson: Deck) -> list[dict]:
    """What a template needs of each slide."""
    stages: dict[str, Stage] = {}
    slides = []
    for number, slide in enumerate(lesson.slides, start=1):
        try:
            if slide.lecture not in stages:
                stages[slide.lecture] = Stage(lesson.home(slide))
            stage = stages[slide.lecture]
            slides.append(written(slide, stage, lesson.clock(number)))
        except SourceError as error:
            raise SourceError(f"{lesson.where(number)}: {error}") from None
    return slides


def shown(lesson: Deck, more: str = "") -> str:
    """The page of slides, whatever their number; `more` is style for it."""
    slides = slides_of(lesson)
    title, name = lesson.slides[0].heading, lesson.slides[0].lecture or lesson.name
    pictures = [picture for slide in lesson.slides for picture in slide.pictures]
    played = {one["what"] for one in pictures if one["kind"] == "play"}
    css = styles(*SHEETS) + more + play.style(played)
    scripts = [*map(text_of, SCRIPTS), *play.scripts(played)]
    return template("page.html").render(
        title=title, number=name[:2], slides=slides, css=css, scripts=scripts
    )


def written(slide: Slide, stage: Stage, clock: str) -> dict:
    """One slide for a template; it has a clock where there are notes to speak."""
    inside = f"{heading(slide, stage)}{body(slide, stage)}"
    inside = EMPTY_HEAD.sub(r"<td\1></td>", inside)  # which says nothing if read aloud
    notes = rendered(f"{clock}\n\n{slide.note}") if slide.note else ""
    return {"body": inside, "notes": notes, "part": slide.part, "title": slide.is_title}


def heading(slide: Slide, stage: Stage) -> str:
    """The claim, with what Markdown marks in it."""
    text = rendered(stage.filled(slide.heading)).strip()
    level = 1 if slide.is_title else 2
    return f"<h{level}>{text.removeprefix('<p>').removesuffix('</p>')}</h{level}>"


def body(slide: Slide, stage: Stage) -> str:
    """What a slide shows, from top to bottom, or a high picture beside its words."""
    blocks = [
        block for i, step in enumerate(slide.steps) for block in parts(i, step, stage)
    ]
    drawn = [block for block in blocks if block.aspect]
    words = [block for block in blocks if not block.aspect]
    first = [block.aspect for block in drawn if block.step == drawn[0].step]
    if words and drawn and sum(first) < BESIDE:
        halves = f'<div class="words">{elements(words)}</div>{row(drawn)}'
        return f'<div class="shows beside">{halves}</div>'
    inside = "".join(
        row(group) if pictures else elements(group)
        for pictures, group in groupby(blocks, key=lambda block: block.aspect > 0)
    )
    return f'<div class="shows{"" if drawn else " plain"}">{inside}</div>'


def row(blocks: Iterator[Block] | list[Block]) -> str:
    """Pictures beside one another; those of a later step cover those before it."""
    steps = groupby(blocks, key=lambda block: block.step)
    layers = [f'<div class="pictures">{elements(group)}</div>' for _, group in steps]
    return (
        layers[0] if len(layers) == 1 else f'<div class="stack">{"".join(layers)}</div>'
    )


def elements(blocks: Iterator[Block] | list[Block]) -> str:
    """Blocks one after the other."""
    return "".join(block.element for block in blocks)


def parts(number: int, step: str, stage: Stage) -> Iterator[Block]:
    """The texts and pictures of a step, in their order."""
    end = 0
    for match in [*PICTURE.finditer(step), None]:
        text = step[end : match.start() if match else len(step)].strip()
        if text:
            html = rendered(stage.filled(text))
            yield Block(number, QUOTES.sub(r'<div class="results">\g<0></div>', html))
        if match and match["kind"] == "play":
            yield Block(number, play.on_slide(match["what"]))
        elif match:
            shown: Shown = stage.picture(match["kind"], match["what"], match["alt"])
            yield Block(number, *shown)
        end = match.end() if match else end
