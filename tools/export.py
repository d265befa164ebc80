"""Write a trained network so that a page can run it: a plan of its steps, its weights.

    python -m tools.export runs/resnet20-epochs.json

writes all epochs of a run that `experiments.train --every-epoch` has kept into
`site/play`, in float16; networks of `data/weights` the website takes by itself.
`site/play/engine.mjs` runs them; `operator.add` and the like become steps.
"""

from __future__ import annotations

import argparse
import json
import operator
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from experiments.request import MODELS
from utils.course import ROOT, CourseError
from utils.models import pretrained
from utils.models.resnet import PaddedShortcut

FORMAT = 1
WEIGHTS = ROOT / "data" / "weights"
Step = dict[str, Any]


class Tracer(fx.Tracer):
    """Sees through everything but torch's own layers and the shortcut without any."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module becomes one step."""
        return isinstance(m, PaddedShortcut) or super().is_leaf_module(
            m, module_qualified_name
        )


def one(value: int | tuple[int, ...]) -> int:
    """The one number of a size, which has to be the same in both directions."""
    values = {value} if isinstance(value, int) else set(value)
    if len(values) != 1:
        raise CourseError(f"A page draws square windows only, not {value}.")
    return int(values.pop())


def layer(module: nn.Module) -> tuple[Step, dict[str, Tensor]] | None:
    """A module as a step, and its weights; None where it changes nothing.

    Raises:
        CourseError: the page has no such layer.
    """
    kind = type(module)
    if kind in (nn.Identity, nn.Dropout):
        return None
    simple = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Flatten: "flatten"}
    if kind in simple:
        return {"op": simple[kind]}, {}
    held = {n: p for n, p in module.named_parameters() if p is not None}
    if kind is nn.Conv2d and module.groups == 1 and one(module.dilation) == 1:
        sizes = {key: one(getattr(module, key)) for key in ("stride", "padding")}
        kernel = one(module.kernel_size)
        made = {"op": "conv", "out": module.out_channels, "kernel": kernel}
        return made | sizes, held
    if kind is nn.Linear:
        return {"op": "linear", "out": module.out_features}, held
    if kind is nn.BatchNorm2d:
        held |= {"mean": module.running_mean, "variance": module.running_var}
        return {"op": "norm", "eps": module.eps}, held
    if kind in (nn.MaxPool2d, nn.AvgPool2d):
        sizes = {"kernel": one(module.kernel_size), "stride": one(module.stride)}
        sizes |= {"padding": one(module.padding), "ceil": module.ceil_mode}
        if kind is nn.AvgPool2d and (sizes["padding"] or sizes["ceil"]):
            raise CourseError("A page takes means over whole windows only.")
        return {"op": "max_pool" if kind is nn.MaxPool2d else "mean_pool"} | sizes, {}
    if kind is nn.AdaptiveAvgPool2d:
        return {"op": "adaptive_pool", "size": one(module.output_size)}, {}
    if kind is PaddedShortcut:
        return {"op": "thin", "stride": module.stride, "extra": module.extra}, {}
    raise CourseError(f"A page has no layer {module}.")


def steps(model: nn.Module) -> tuple[list[Step], list[Tensor]]:
    """A network in evaluation mode as steps in their order, and all their weights.

    A step says in `from` which earlier ones it reads, and in `weights` where its
    numbers begin and how they are shaped.
    """
    graph = Tracer().trace(model.eval())
    modules = dict(model.named_modules())
    joined = {operator.add: "add", torch.add: "add", torch.cat: "cat"}
    found: list[Step] = []
    tensors: list[Tensor] = []
    place: dict[fx.Node, int] = {}  # of what a node gives
    total = 0
    for node in graph.nodes:
        inputs = [place[other] for other in node.all_input_nodes]
        if node.op == "output":
            break
        step: Step = {"op": "input"}
        weights: dict[str, Tensor] = {}
        if node.op == "call_module":
            made = layer(modules[str(node.target)])
            if made is None:
                place[node] = inputs[0]
                continue
            step, weights = made
        elif node.op == "call_function" and node.target in joined:
            step = {"op": joined[node.target]}
        elif node.op == "call_method" and node.target == "flatten":
            step = {"op": "flatten"}
        elif node.op != "placeholder":
            raise CourseError(f"A page cannot do {node.op} {node.target}.")
        name = str(node.target) if node.op == "call_module" else node.name
        again = sum(name == other["name"].split(" ")[0] for other in found)
        step |= {"name": f"{name} {again + 1}" if again else name, "from": inputs}
        held = {}
        for name, tensor in weights.items():
            held[name] = [total, list(tensor.shape)]
            tensors.append(tensor.detach().float().flatten())
            total += tensor.numel()
        found.append(step | ({"weights": held} if held else {}))
        place[node] = len(found) - 1
    return found, tensors


def plan(model: nn.Module, about: dict[str, Any], precision: str) -> tuple[dict, bytes]:
    """What a page needs to run a network: its plan, and the bytes of its weights.

    Args:
        model: any that consists of the page's layers.
        about: what the page says of it, as `name`, `classes`, `mean` and `std`.
        precision: "float16" or "float32".
    """
    found, tensors = steps(model)
    numbers = torch.cat(tensors).to(getattr(torch, precision))
    if not numbers.isfinite().all():
        raise CourseError(f"A weight does not fit into {precision}: take float32.")
    data = numbers.numpy().astype(numbers.numpy().dtype.newbyteorder("<")).tobytes()
    head = {"format": FORMAT, "precision": precision, "numbers": len(numbers)}
    return head | about | {"steps": found}, data


def recorded(name: str, folder: Path = WEIGHTS) -> tuple[nn.Module, Path, dict]:
    """The untrained network of a record, the file of its weights, and the record."""
    record = folder / f"{name}.json"
    if not record.is_file():
        there = ", ".join(sorted(path.stem for path in folder.glob("*.json")))
        raise CourseError(f"There is no {name} in {folder.name}. There are: {there}.")
    run = json.loads(record.read_text(encoding="utf-8"))
    images = run["data"]
    options = {"num_classes": len(images["classes"]), "in_channels": images["shape"][0]}
    model = MODELS[run["model"]["name"]](**options, **run["model"]["options"])
    return model, record.with_suffix(".pt"), run


def about(run: dict[str, Any]) -> dict[str, Any]:
    """What a page says of a recorded network."""
    found = {key: run["data"][key] for key in ("shape", "mean", "std", "classes")}
    return found | {"name": run["name"], "test_accuracy": run["test_accuracy"]}


def trained(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """A network of `data/weights`, as resnet20-cifar10, and what a page says of it."""
    model, weights, run = recorded(name)
    model.load_state_dict(pretrained.load(weights))
    return model.eval(), about(run)


def every_epoch(name: str, folder: Path) -> tuple[dict, bytes]:
    """The plan of a run that was saved by `--every-epoch`, and all weights in a row.

    The plan has `rows` with learning rate and errors, one an epoch; the weights begin
    with those of the start.
    """
    model, weights, run = recorded(name, folder)
    keys = ("lr", "train_accuracy", "val_accuracy")
    rows = [{key: round(row[key], 4) for key in keys} for row in run["history"]["rows"]]
    more = about(run) | {"rows": rows, "command": run["command"]}
    parts = []
    for state in torch.load(weights, weights_only=True):
        model.load_state_dict(state)
        made, data = plan(model, more, "float16")
        parts.append(data)
    return made, b"".join(parts)


def main() -> int:
    """Write the run that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, help="of a run with --every-epoch")
    run, place = parser.parse_args().record, ROOT / "site" / "play"
    try:
        made, data = every_epoch(run.stem, run.parent)
        (place / f"{run.stem}.bin").write_bytes(data)
        (place / f"{run.stem}.json").write_text(json.dumps(made), encoding="utf-8")
    except (CourseError, OSError) as error:
        sys.exit(f"export: {error}")
    print(f"{run.stem}: {len(made['steps'])} steps, {len(data):,} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
