"""How Sphinx makes the website; tools.website lays out what it reads."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

project = "Convolutional networks"
author = "The authors of the convolutional networks course"
language = "en"
extensions = ["myst_nb"]

# The notebooks are shown as they were committed.
nb_execution_mode = "off"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

# The theme, with its one script, comes with the site: a room may have no network.
html_theme_path = ["."]
html_theme = "theme"
html_title = "Convolutional networks"
html_static_path = ["static"]
html_use_index = False
html_copy_source = True
html_math_renderer = "mathml"


def formula(translator: Any, node: nodes.Element) -> None:
    """Write a formula as MathML, which browsers draw without a script."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    translator.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    return {"parallel_read_safe": True}
