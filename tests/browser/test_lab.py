"""Every notebook in JupyterLab, as a student opens it: all cells run, none fails."""

from __future__ import annotations

import json
import shutil
import urllib.request

import pytest

from labserver import DIRECT, assert_private, jupyterlab
from utils.course import ROOT

LECTURES = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NEEDED = ("notebooks", "utils", "teaching", "experiments", "tools")
NEEDED += ("data/weights", "data/stand-ins")
NEEDED += ("results", "pyproject.toml")
FEW = ("04_vgg",)  # what CI opens
# The empty request waits in the kernel's queue behind all cells.
RUN = """async () => {
  const panel = jupyterapp.shell.currentWidget;
  await panel.sessionContext.ready;
  await jupyterapp.commands.execute("notebook:run-all-cells").catch(() => {});
  const kernel = panel.sessionContext.session.kernel;
  await kernel.requestExecute({code: ""}).done.catch(() => {});
}"""
# What is wrong with the open notebook, for each cell.
FAULTS = """() => {
  const panel = jupyterapp.shell.currentWidget, found = [];
  panel.content.widgets.forEach((cell, i) => {
    const {type, sharedModel} = cell.model;
    if (type != "code" || !sharedModel.source.trim()) return;
    const say = text => found.push(`cell ${i + 1}: ${text}`);
    const meant = (cell.model.getMetadata("tags") || []).includes("raises-exception");
    if (!cell.model.executionCount) say("did not run");
    for (let n = 0; n < cell.model.outputs.length; n++) {
      const one = cell.model.outputs.get(n).toJSON();
      if (one.output_type == "error" && !meant) say(`${one.ename}: ${one.evalue}`);
      if (one.name == "stderr" && !meant) say(`wrote to stderr: ${one.text}`);
    }
    const area = cell.outputArea.node;
    for (const e of area.querySelectorAll(".jp-OutputArea-output"))
      if (e.clientWidth && e.scrollWidth > e.clientWidth + 1)
        say(`scrolls sideways: ${e.innerText.slice(0, 60)}`);
  });
  const status = panel.sessionContext.session?.kernel?.status;
  if (!["idle", "busy"].includes(status)) found.push(`kernel ${status}`);
  return found;
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab in a copy of the course: nothing committed changes."""
    course, home = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("home")
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, course / name)
    with jupyterlab(course, home, "--expose-app-in-browser") as info:
        yield info


@pytest.fixture(scope="module")
def context(browser, lab):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield context
    context.close()


def test_the_server_is_for_this_machine_and_its_user_alone(lab):
    assert_private(lab["url"], lab["port"], lab["token"])


@pytest.mark.parametrize("notebook", LECTURES, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(lab, context, notebook, thorough):
    if not thorough and notebook.stem not in FEW:
        pytest.skip("nbval runs it, too; --thorough opens each")
    page = executed(lab, context, notebook.name)
    complaints = page.evaluate(FAULTS)
    page.close(run_before_unload=False)
    end_kernels(lab)
    assert not complaints, "\n".join(complaints)


def executed(lab, context, name):
    """A page with a notebook, all of whose cells have run."""
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{lab['url']}lab/tree/{name}?token={lab['token']}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.evaluate(RUN)
    return page


def end_kernels(lab) -> None:
    """Make room for the next notebook."""
    headers = {"Authorization": f"token {lab['token']}"}
    every = f"{lab['url']}api/kernels"
    with DIRECT.open(urllib.request.Request(every, headers=headers)) as answer:
        kernels = json.load(answer)
    for kernel in kernels:
        one = f"{every}/{kernel['id']}"
        DIRECT.open(urllib.request.Request(one, headers=headers, method="DELETE"))
