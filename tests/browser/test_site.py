"""Every page of the website: whole, described, readable, and at home on this host."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

pytest.importorskip("myst_nb", reason="needs site/requirements.txt")

PHONE = {"width": 390, "height": 844}
LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")
STATE = Path(__file__).with_name("state.js").read_text(encoding="utf-8")
KINDS = ["index", "notebooks/00_foundations", "notebooks/solutions/04_vgg"]
KINDS += ["instructor", "glossary", "search"]  # a page of each kind
HOW = {390: "tap", 768: "press", 1280: "click"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The whole website, made once."""
    from tools import website

    out = tmp_path_factory.mktemp("made") / "site"
    website.make([], out)
    return out


@pytest.fixture(scope="module")
def pages(site, browser) -> dict[Path, dict]:
    """What look.js says of every page but the decks, on a phone without a network."""
    context = browser.new_context(viewport=PHONE, offline=True)
    tab, said, found = context.new_page(), [], {}
    tab.on("console", lambda m: m.type == "error" and said.append(m.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: r.url.startswith("http") and said.append(r.url))
    for path in sorted(site.rglob("*.html")):
        if {"slides", "_static"} & {*path.parts}:
            continue
        tab.goto(path.as_uri())
        for theme in ("light", "dark"):
            found[path] = tab.evaluate(LOOK, theme)
            said += [f"{theme}: {fault}" for fault in found[path]["faults"]]
        found[path]["faults"], said[:] = said[:], []
    context.close()
    return found


def test_every_page_is_described_and_can_be_read_on_a_phone(pages):
    assert len(pages) > 24
    assert not {path: page["faults"] for path, page in pages.items() if page["faults"]}


def test_every_link_within_the_site_arrives(pages, site):
    for path, link in ((one, link) for one in pages for link in pages[one]["links"]):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / (unquote(parts.path) or path.name)).resolve()
        assert target.is_file(), f"{path.relative_to(site)}: {link}"
        anchor = unquote(parts.fragment)
        assert not anchor or target not in pages or anchor in pages[target]["ids"]


@pytest.mark.parametrize("width", HOW)
@pytest.mark.parametrize("page", KINDS)
def test_every_control_in_sight_does_something(site, browser, width, page):
    size = {"width": width, "height": 844}
    context = browser.new_context(viewport=size, has_touch=True, offline=True)
    tab, dead = context.new_page(), []
    tab.on("pageerror", lambda error: dead.append(str(error)))
    tab.goto((site / f"{page}.html").as_uri())
    for control in tab.query_selector_all("button, summary, input[type=checkbox]"):
        if not control.is_visible():
            continue
        before, name = tab.evaluate(STATE), control.evaluate("e => e.outerHTML")[:80]
        key = ["Space" if "checkbox" in name else "Enter"] * (HOW[width] == "press")
        getattr(control, HOW[width])(*key)
        tab.wait_for_timeout(60)
        dead += [name] if tab.evaluate(STATE) == before else []
        tab.keyboard.press("Escape")
    if width < 1120:
        tab.click(".bar .menu")
    tab.get_by_role("link", name="Glossary").first.click()
    assert tab.title().startswith("Glossary")
    context.close()
    assert not dead


FIRST = {"take a shortcut away": "07_resnet", "1x1 convolutions": "05_googlenet"}
FIRST |= {"what is a receptive field": "term-Receptive", "CrossEntropyLoss": "00_found"}
FIRST |= {"cuda out of memory": "memory"}  # no section has all of it


@pytest.mark.parametrize("asked", FIRST)
def test_the_search_finds_a_word_in_its_section(site, browser, asked):
    tab = browser.new_context(offline=True).new_page()
    tab.goto(f"{(site / 'search.html').as_uri()}?q={asked}")
    link = tab.locator("#search-results li a").first
    assert FIRST[asked] in link.get_attribute("href")
    assert tab.locator("#search-results mark").count()
    link.click()
    assert tab.locator(":target").count() == 1


def test_a_playground_takes_any_photo_and_names_what_is_none(site, browser):
    files = {"x.heic": b"none", "x.png": b""}
    for mode, size in {"CMYK": (70, 40), "RGB": (8000, 6000), "L": (1, 3000)}.items():
        file = io.BytesIO()
        Image.new(mode, size, 128).save(file, "jpeg")
        files[mode] = file.getvalue()
    tab = browser.new_page()
    tab.goto((site / "notebooks/07_resnet.html").as_uri())
    play = tab.locator("[data-play=shortcut]")
    play.scroll_into_view_if_needed()
    play.get_by_text("0 of 9 blocks changed: cat").wait_for()
    for name, content in files.items():
        play.locator(".said").evaluate("e => { e.textContent = '' }")
        file = {"name": name, "mimeType": "image/jpeg", "buffer": content}
        play.locator("input[type=file]").set_input_files(file)
        said = f"cannot read {name}" if "." in name else "0 of 9 blocks changed"
        play.get_by_text(said).wait_for()


# What stands where the network should -> what the page says of it.
PLAN = "{format: 1, numbers: 1, shape: [1, 28, 28], steps: [%s]}"
STEP = "{op: 'input', name: 'x', from: []}, {op: 'tanh', name: 'y', from: [%d]}"
NETS = [
    ("{format: 9}", "AAA=", "has format 9, the page reads 1"),
    (PLAN % STEP % 0, "AAAAAA==", "hold 2 numbers, the plan asks for 1"),
    (PLAN % STEP % 5, "AAA=", "reads one that comes later"),
    (PLAN % STEP % 0, "?", "export it again"),
    ("", "", "LeNet-5 reads a 7"),
]


@pytest.mark.parametrize(("plan", "data", "said"), NETS)
def test_a_network_that_does_not_fit_is_named(site, browser, plan, data, said):
    tab = browser.new_page()
    held = f"window.CNN = {{'lenet5-mnist': {{plan: {plan}, data: '{data}'}}}}"
    tab.add_init_script(held if plan else "")
    tab.goto((site / "notebooks/00_foundations.html").as_uri())
    tab.locator("[data-play=digit]").scroll_into_view_if_needed()
    tab.get_by_text(said).wait_for()
    tab.get_by_role("button", name="Clear").click()
    tab.get_by_text(said if plan else "The pad is empty").wait_for()
    tab.get_by_role("button", name="One step").click()
    tab.get_by_text("Step 1: w =").wait_for()  # the page goes on
