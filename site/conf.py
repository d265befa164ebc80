"""How Sphinx makes the website; tools.website lays out what it reads."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))

from tools.badges import repository  # noqa: E402

REPOSITORY = repository(ROOT).rstrip("/").removesuffix(".git")

project = "Convolutional networks"
author = "The authors of the convolutional networks course"
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx_copybutton"]

# The notebooks are shown as they were committed.
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # would come from another host
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

# Scripts, fonts and formulas come with the site: a classroom may have no network.
mathjax_path = "mathjax.js"
mathjax3_config = {"svg": {"fontCache": "local"}}
html_static_path = ["static", str(ROOT / "tools" / "slides" / "vendor" / "mathjax.js")]
html_css_files = ["course.css"]
copybutton_selector = "div.cell_input pre, div.highlight-bash pre"

html_theme = "sphinx_book_theme"
html_title = "Convolutional networks"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "use_download_button": True,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "home_page_in_toc": True,
}
if REPOSITORY:
    html_theme_options |= {
        "repository_url": REPOSITORY,
        "repository_branch": "main",
        "use_repository_button": True,
        "launch_buttons": {
            "colab_url": "https://colab.research.google.com",
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        },
    }
