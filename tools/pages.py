"""Write an executed notebook as a page that needs no other file."""

from __future__ import annotations

import re
from pathlib import Path

from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

# nbconvert's own template leaves figures without a description.
TEMPLATE = """\
{%- extends "lab/index.html.j2" -%}
{%- block data_png scoped -%}
{%- set alt = output | get_metadata("alt", "image/png") | default("", true) -%}
{{ super() | replace("<img ", "<img alt=\\"" ~ (alt | escape_html) ~ "\\" ") }}
{%- endblock data_png -%}
"""


def write(nb: NotebookNode, page: Path, folder: Path) -> None:
    """Write `nb` as HTML.

    Args:
        nb: an executed notebook.
        page: the file to write.
        folder: where the notebook lies, and what its links are relative to.
    """
    settings = Config()
    settings.HTMLExporter.embed_images = True
    settings.TagRemovePreprocessor.enabled = True
    settings.TagRemovePreprocessor.remove_input_tags = {"hide-input"}
    settings.TagRemovePreprocessor.remove_cell_tags = {"remove-cell"}
    exporter = HTMLExporter(config=settings, raw_template=TEMPLATE)
    resources = {"metadata": {"name": page.stem, "path": str(folder)}}
    html, _ = exporter.from_notebook_node(nb, resources)
    html = re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', html)
    page.write_text(html, encoding="utf-8", newline="\n")
