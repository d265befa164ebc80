"""Finish the pages that Sphinx has written: heads, pictures, tables, colours, search.

A page says what it is about, its pictures know their size and wait until they are near,
and what the search looks through is one file, which a page opened from a folder reads.
"""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES

PICTURE = re.compile(r'<img ((?:[^>"]|"[^"]*")*?)/?>')
EMPTY_HEAD = re.compile(r"<th((?: [^>]*)?)>(?:<p></p>|\s*)</th>")
FIRST = re.compile(r"(<tr[^>]*>\s*)<td([^>]*>.*?)</td>", re.S)
TIMES = re.compile(r"(?<=\d) ?× ?(?=\d)")  # 3 × 3 and 3×3 are found alike
TABLE = re.compile(r"<table\b.*?</table>", re.S)
# Names that hide the words below them, and a heading without a level.
UNFIT = (' aria-label="Toggle hidden content"', ' role="heading"')
LIGHT, DARK = "a11y-high-contrast-light", "a11y-high-contrast-dark"
EXCERPT = 160
MOSTLY = 0.6  # of a drawing is white
VOID = ("area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr")
UNSAID = ("script", "style", "button", "summary", "nav", "noscript")


def finish(out: Path, name: str) -> None:
    """Finish all pages of the site in `out`, in place; `name` is the course's."""
    found = []
    for path in sorted(out.rglob("*.html")):
        place = path.relative_to(out).as_posix()
        if place.startswith(("_static/", "slides/")):
            continue
        text = Sections(path.read_text(encoding="utf-8"))
        path.write_text(dressed(text, path, name), encoding="utf-8", newline="\n")
        if "solutions" not in place and place != "search.html":
            found += text.entries(place)
    data = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    write = f"window.SEARCH = {data};\n"
    (out / "_static" / "search-data.js").write_text(write, encoding="utf-8")
    sheet = out / "_static" / "course.css"
    sheet.write_text(sheet.read_text("utf-8") + code_colours(), encoding="utf-8")


def dressed(page: Sections, path: Path, name: str) -> str:
    """A page with its head, its pictures and its tables as a reader needs them."""
    head = head_of(page, name)
    text = page.source.replace("<!-- description -->", head, 1)
    for attribute in UNFIT:
        text = text.replace(attribute, "")
    text = TABLE.sub(lambda found: table(found[0]), text)
    seen = 0

    def sized(match: re.Match) -> str:
        nonlocal seen
        seen += 1
        attributes = match[1].strip()
        source = re.search(r'src="([^"]*)"', attributes)
        size = size_of(path.parent / html.unescape(source[1])) if source else None
        if size and "width=" not in attributes:
            attributes += f' width="{size[0]}" height="{size[1]}"'
        if source and is_drawing(path.parent / html.unescape(source[1])):
            attributes += ' data-drawing=""'
        wait = ' loading="lazy" decoding="async"' if seen > 1 else ""
        return f"<img {attributes}{wait}>"

    return PICTURE.sub(sized, text)


def table(text: str) -> str:
    """A table that scrolls alone; below an empty head stand the heads of its rows."""
    if EMPTY_HEAD.search(text):
        text = EMPTY_HEAD.sub(r"<td\1></td>", text)
        head, end, body = text.partition("</thead>")
        text = head + end + FIRST.sub(row_head, body)
    return f'<div class="wide">{text}</div>'


def row_head(first: re.Match) -> str:
    """The first cell of a row as its head, if anything stands in it."""
    said = re.sub(r"<[^>]*>", "", first[2].partition(">")[2]).strip()
    return f'{first[1]}<th scope="row"{first[2]}</th>' if said else first[0]


def is_drawing(path: Path) -> bool:
    """Whether a picture is lines on white, which a dark page may show inverted."""
    if path.suffix == ".svg" and path.is_file():
        return b"<image" not in path.read_bytes()
    if path.suffix != ".png" or not path.is_file():
        return False
    with Image.open(path) as picture:
        grey = picture.convert("L").reduce(2).histogram()
    return sum(grey[250:]) > MOSTLY * sum(grey)


def head_of(page: Sections, name: str) -> str:
    """What a search engine, a chat or a bookmark shows of a page."""
    description = html.escape(page.promise or page.title or name)
    title = html.escape(page.title or name)
    lines = [
        f'<meta name="description" content="{description}">',
        f'<meta property="og:title" content="{title}">',
        f'<meta property="og:description" content="{description}">',
        '<meta property="og:type" content="article">',
        f'<meta property="og:site_name" content="{html.escape(name)}">',
    ]
    return "\n  ".join(lines)


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG or an SVG; None where it does not say."""
    if not path.is_file():
        return None
    if path.suffix == ".png":
        with Image.open(path) as image:
            return image.size
    head = path.read_bytes()[:2000]
    box = re.search(rb'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', head)
    return (round(float(box[1])), round(float(box[2]))) if box else None


def code_colours() -> str:
    """The colours of code in both themes, as the end of the style sheet."""
    light, dark = (dict(get_style_by_name(name)) for name in (LIGHT, DARK))
    rules = []
    for token, short in STANDARD_TYPES.items():
        pair = [style.get(token, {}).get("color") for style in (light, dark)]
        if short and any(pair):
            first, second = (f"#{colour}" if colour else "inherit" for colour in pair)
            if "inherit" not in (first, second):
                rules.append(
                    f".highlight .{short} {{ color: light-dark({first}, {second}); }}"
                )
    return "\n/* Code. */\n" + "\n".join(rules) + "\n"


class Sections(HTMLParser):
    """A page's title, first sentence, and the words of each of its sections."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.title = self.promise = ""
        self.parts: list[dict[str, str]] = []  # anchor, section, text
        self.open: list[str] = []  # the elements around
        self.anchors: list[str] = []  # the sections around
        self.feed(source)

    def entries(self, place: str) -> list[dict[str, str]]:
        """What the search knows of the page at this place."""
        return [
            {
                "href": f"{place}#{part['anchor']}",
                "page": self.title,
                "section": part["section"],
                "text": TIMES.sub("×", re.sub(r"\s+", " ", part["text"])).strip(),
            }
            for part in self.parts
            if part["section"]
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Go into an element; a picture's description counts as text."""
        found = dict(attrs)
        if tag == "img" and "article" in self.open:
            self.handle_data(f" {found.get('alt') or ''} ")
        if tag in VOID:
            return
        hidden = tag in UNSAID or "headerlink" in (found.get("class") or "")
        self.open.append("hidden" if hidden and tag != "article" else tag)
        if tag in ("section", "dt") and found.get("id"):  # a term of the glossary too
            self.parts.append({"anchor": found["id"], "section": "", "text": ""})

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag not in VOID and self.open:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Add words to the section that is open."""
        if "article" not in self.open or "hidden" in self.open or not self.parts:
            return
        part = self.parts[-1]
        if {"h1", "h2", "h3", "dt"} & set(self.open) and not part["text"].strip():
            part["section"] += data
            self.title += data if "h1" in self.open else ""
        else:
            part["text"] += data
        prose = (
            "p" in self.open[-3:]
            and "div" not in self.open[self.open.index("article") :]
        )
        if (
            prose
            and len(self.promise) < EXCERPT
            and self.promise[-1:] not in (".", "?")
        ):
            self.promise = re.sub(r"\s+", " ", self.promise + data)
