"""Self-checks of lecture 09: shapes, standard errors, precision, Grad-CAM, views."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from teaching.checks import (
    Wrong,
    call,
    describe,
    exercise,
    expect_choice,
    expect_number,
    expect_numbers,
    expect_parts,
    labelled,
)
from utils.history import History
from utils.images import Splits
from utils.models.pretrained import Transfer, pretrained
from utils.train import predict


@exercise("09.1")
def three_ways(answer: Any) -> str:
    """A photo of 375 x 500: resized, cut, squashed."""
    width = {
        224: "Resize((224, 224)) does that; one number keeps the proportions.",
        168: "that is the height if the longer side becomes 224.",
        299: "round down: 298.67 becomes 298.",
        500: "the width shrinks as the height does.",
    }
    kept = {
        56: "the cut is 224 high and 224 wide; its height loses nothing.",
        0.75: "the size is right; give percent, not a fraction.",
        25: "that is what it cuts away.",
        134: "the cut is smaller than the photo.",
        100: "298 pixels are wider than 224.",
        45: "compare with 298 pixels, not with 500.",
        60: "224 / 375 is the scale of the resizing; the cut comes after it.",
        27: "compare with the resized photo, not with the original one.",
    }
    ball = {
        1.0: "each side gets a factor of its own, 224 / 375 and 224 / 500.",
        0.75: "that is the width over the height.",
        (500 / 375) ** 2: "that is for areas; a height and a width are lengths.",
        133: "give a ratio, not percent.",
        1.3: "give two decimals.",
        500 / 224: "that is how much the width shrinks; the height shrinks too.",
    }
    parts = (
        (298, width, "375 becomes 224, and 500 shrinks by the same factor."),
        (75, kept, "224 of 298 pixels in width, all of them in height."),
        (500 / 375, ball, "The height shrinks by 375 / 224, the width by 500 / 224."),
    )
    expect_numbers(answer, parts, tolerance=0.01)
    return "224 × 500 / 375 = 298; 224 / 298 = 75 %; 500 / 375 = 1.33."


@exercise("09.2")
def transform_that_stacks(function: Any) -> str:
    """Shorter side to size, then the central square; places tell what was kept."""
    for height, width in ((60, 80), (80, 60), (50, 50), (30, 45), (61, 97)):
        got = _square(function, height, width, 24)
        _check_kept(got, height, width, 24)
    return "five shapes in, one shape out, the middle kept."


def places(height: int, width: int) -> Tensor:
    """A photo (3, H, W) whose pixels hold their row, their column, and 0.5."""
    rows = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    columns = ((torch.arange(width) + 0.5) / width).expand(height, width)
    return torch.stack([rows, columns, torch.full((height, width), 0.5)])


def _square(function: Any, height: int, width: int, size: int) -> Tensor:
    """What the function makes of a photo, if its shape is right."""
    told = "interpolate takes a batch: photo[None] adds its axis, [0] takes it off."
    got = call(function, places(height, width), size, hint=told)
    case = f"A photo (3, {height}, {width}) with size {size}"
    if not torch.is_tensor(got):
        raise Wrong(f"{case} becomes {describe(got)}, not a tensor.")
    if got.shape == (1, 3, size, size):
        raise Wrong(
            f"{case}: the batch's axis is still there.",
            "interpolate takes and gives a batch: [0] takes the photo out.",
        )
    if got.shape != (3, size, size):
        cut = len(got) != 3 or min(got.shape[1:]) < size or size not in got.shape[1:]
        raise Wrong(
            f"{case} becomes {tuple(got.shape)}: it"
            f" {'has another shape' if cut else 'is not cut to the square'}.",
            "The shorter side becomes size; of the longer one the middle is kept. The"
            " channels stay first.",
        )
    return got.detach()


def _check_kept(got: Tensor, height: int, width: int, size: int) -> None:
    """Reject another part of the photo than its central square."""
    case = f"Of {height} × {width} pixels"
    if not got.is_floating_point():
        raise Wrong(f"{case}: floats go in, and {got.dtype} comes out.")
    shorter = min(height, width)
    if got[2].min() < 0.4:
        raise Wrong(f"{case}: a part of the square is black.", "Cut; fill nothing in.")
    if max(got[k].double().std(dim=1 - k).max().item() for k in (0, 1)) > 0.05:
        raise Wrong(
            f"{case}: pixels of one line end in several lines.",
            "A reshape mixes pixels, a transposition exchanges rows and columns.",
        )
    for axis, side in enumerate((height, width)):
        along = got[axis].double().mean(dim=1 - axis)
        first, last = along[0].item(), along[-1].item()
        share, right = abs(last - first) * size / (size - 1), shorter / side
        if last < first:
            raise Wrong(f"{case}: the photo is turned or mirrored.")
        if side > shorter and math.isclose(share, 1, abs_tol=0.04):
            raise Wrong(
                f"{case}: all of the longer side is squeezed into the square.",
                "Resize with one factor for both sides, then cut.",
            )
        if math.isclose(share, size / side, abs_tol=0.02) and shorter != size:
            raise Wrong(
                f"{case}: the square is cut out at once, and most is lost.",
                "First resize, so that the shorter side becomes size.",
            )
        if not math.isclose(share, right, abs_tol=0.05):
            raise Wrong(
                f"{case}: {share:.0%} of a side is kept, not {right:.0%}.",
                "The order of the axes is (C, H, W); both sides get one factor.",
            )
        if not math.isclose((first + last) / 2, 0.5, abs_tol=0.05):
            raise Wrong(
                f"{case}: the square does not lie in the middle.",
                "Leave as much out on the left as on the right: (width - size) // 2.",
            )
    if not math.isclose(got[2].double().mean().item(), 0.5, abs_tol=0.01):
        raise Wrong(f"{case}: the values themselves changed.")


@exercise("09.3")
def two_accuracies(answer: Any) -> str:
    """The distance in standard errors; the verdict; and how many photos decide."""
    function, differ, needed = expect_parts(
        answer, 3, "Give the function, a word, and a number"
    )
    _check_apart(function)
    reason = "0.6 standard errors: two equal networks lie so far apart every other time"
    with labelled("differ:"):
        expect_choice(differ, "no", {"yes": f"{reason}."})
    with labelled("needed:"):
        expect_number(
            needed,
            8556.0,
            tolerance=0.02,
            unit="photos",
            misconceptions={
                2139.0: "that is one standard error; two take four times as many.",
                2617.0: "errors shrink with the root of n: square the factor.",
                3900.0: "both numbers scatter; add the two squares.",
                4656.0: "both numbers scatter; add the two squares.",
                17112.0: "twice too many: for both together, or errors added without"
                " their squares?",
                4278.0: "two standard errors are four times the photos of one.",
            },
            hint="800 × (2 / apart)²: four times the photos halve the error.",
        )
    return "0.61 standard errors; 8,556 photos each would make it 2."


def _check_apart(function: Any) -> None:
    """Reject a distance that does not divide by the error of the difference."""
    for p, q, n in ((0.975, 0.970, 800), (0.8, 0.9, 100), (0.6, 0.5, 50)):
        got = call(function, p, q, n)
        if torch.is_tensor(got):
            got = got.item()
        if not isinstance(got, (int, float)) or isinstance(got, bool):
            raise Wrong(f"apart returns {describe(got)}, not a number.")
        a, b = p * (1 - p) / n, q * (1 - q) / n
        d, e = abs(p - q), (a + b) ** 0.5
        if math.isclose(got, d / e, rel_tol=1e-3):
            continue
        known = {
            -d / e: "A distance is not negative: take abs(p - q).",
            d / a**0.5: "Only the first number's error is in it: both scatter.",
            d / b**0.5: "Only the second number's error is in it.",
            d / (a**0.5 + b**0.5): "Errors add as squares: √(a² + b²).",
            d / e**2: "A root is missing: these are variances.",
            e: "That is the error; by it the distance is divided.",
            d / e * 2**0.5: "This takes a mean of the two errors; take the root of the"
            " sum of their squares.",
            d / e / 2: "Two errors come in `differ`; divide by one here.",
            d / max(abs(a - b), 1e-12) ** 0.5: "The accuracies are subtracted;"
            " their squared errors are added all the same.",
            d / e * n**0.5: "n stands under the root, not outside.",
            d: "This is the difference alone; divide by its error.",
            100 * d: "This is in points; divide by the error.",
            100 * d / e: "p and q are fractions, and so is the error: no 100.",
            d / e / n**0.5: "The number of photos is missing.",
            (d * n / (1 - d)) ** 0.5: "p - q is no accuracy: its error is made of those"
            " of p and of q.",
        }
        for wrong, reason in known.items():
            if math.isclose(got, wrong, rel_tol=1e-3):
                raise Wrong(reason)
        raise Wrong(
            f"apart({p}, {q}, {n}) is {got:.4g}, not {d / e:.4g}.",
            "The squared error of the difference is p(1 − p)/n + q(1 − q)/n.",
        )


@exercise("09.4")
def precision_and_recall(function: Any) -> str:
    """A column for the precision, a row for the recall."""
    tables = (
        (torch.tensor([[40, 10], [20, 130]]), 0),
        (torch.tensor([[40, 10], [20, 130]]), 1),
        (torch.tensor([[5, 1, 4], [2, 9, 0], [3, 8, 6]]), 2),
    )
    for confusion, k in tables:
        got = call(function, confusion, k)
        expect_parts(got, 2, "Return two numbers")
        right = confusion.diag()
        lines = [(right / confusion.sum(axis)).tolist() for axis in (0, 1)]
        precision, recall = (line[k] for line in lines)
        if any(torch.is_tensor(value) and value.numel() > 1 for value in got):
            raise Wrong("These are values of all classes; class k is asked for.")
        values = [float(value) for value in got]
        if _alike(values, (precision, recall)):
            continue
        share, accuracy = (
            (x / confusion.sum()).item() for x in (right[k], right.sum())
        )
        first, means = [one[0] for one in lines], [sum(x) / len(x) for x in lines]
        both = "Both come from one line: one is of a row, one of a column."
        known = (
            ((recall, precision), "The two are swapped: precision divides by a column,"
             " which holds what was called so."),
            ((1 - precision, 1 - recall), "These are the shares of mistakes: 1 minus"
             " what is asked for."),
            ((0, 0), "Both are rounded down to 0: divide with /, not with //."),
            ((precision, precision), both),
            ((recall, recall), both),
            ([p / (1 - p) for p in (precision, recall)], "The right ones belong into"
             " the sum below the line, too."),
            (first, "This is class 0; use `k`."),
            (means, "This is the mean over all classes; class k is asked for."),
            ((values[0], lines[1][1 - k]), "This recall is the other class's."),
        )  # fmt: skip
        for wrong, reason in known[: 6 if len(confusion) > 2 else None]:
            if _alike(values, wrong):
                raise Wrong(reason)
        if len(confusion) > 2:  # two classes were right
            raise Wrong("Two classes work, three do not: sum over all other classes.")
        for value in values:
            if math.isclose(value, accuracy, rel_tol=1e-4):
                raise Wrong("That is the accuracy, over all classes.")
            if math.isclose(value, share, rel_tol=1e-4):
                raise Wrong("Divide by a column or a row, not by the whole table.")
            if value > 1:
                raise Wrong("Give shares between 0 and 1, not counts or percent.")
        raise Wrong(
            f"For {confusion.tolist()} and k = {k}: {values[0]:.3f}, {values[1]:.3f}.",
            f"Right are {precision:.3f} and {recall:.3f}.",
        )
    return "precision divides by a column, recall by a row."


def _alike(values: Sequence[float], others: Sequence[float]) -> bool:
    """Whether numbers agree, one by one, to four digits."""
    pairs = zip(values, others, strict=True)
    return all(math.isclose(a, b, rel_tol=1e-4) for a, b in pairs)


@exercise("09.5")
def weights_of_grad_cam(function: Any) -> str:
    """The mean gradient of the class's logit, for each map."""
    maps = torch.randn(5, 4, 7)
    rest = nn.Sequential(
        nn.Conv2d(5, 6, 3, padding=1),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    nn.init.normal_(rest[0].weight, std=0.5)
    nn.init.normal_(rest[-1].weight)
    for target in (1, 2):
        told = "`rest` takes a batch: maps[None]; its logits are (1, classes)."
        with torch.enable_grad():  # as in a notebook
            got = call(function, maps, rest, target, hint=told)
        if isinstance(got, (list, tuple)) and len(got) == len(maps):
            got = torch.as_tensor(got)
        right = _gradient(maps, rest, lambda z, k=target: z[k]).mean(dim=(1, 2))
        if torch.is_tensor(got) and got.shape == right.shape:
            if torch.allclose(got.detach(), right, rtol=1e-3, atol=1e-5):
                continue
            _name_mistake(got.detach(), maps, rest, target)
        elif torch.is_tensor(got) and got.shape == maps.shape:
            raise Wrong(
                "This is a gradient for every place: (K, H, W).",
                "Average it over the places: .mean(dim=(1, 2)).",
            )
        else:
            told = f"It returns {describe(got)}; one weight for each map is (5,)."
            hint = "The mean runs over both axes of places, and over no maps."
            if torch.is_tensor(got) and got.numel() == len(right):
                hint = "The numbers are enough; flatten() takes the other axes off."
            raise Wrong(told, hint)
    return "equal to the mean gradient of a network with a curved rest."


def _gradient(maps: Tensor, rest: nn.Module, score: Callable) -> Tensor:
    """Of a number made of the logits, at every place of every map."""
    with torch.enable_grad():
        maps = maps.clone().requires_grad_()
        return torch.autograd.grad(score(rest(maps[None])[0]), maps)[0]


def _name_mistake(got: Tensor, maps: Tensor, rest: nn.Module, target: int) -> None:
    """Raise the hint of a known mistake, or else the size of the gap."""

    def mean_of(score: Callable) -> Tensor:
        return _gradient(maps, rest, score).mean(dim=(1, 2))

    gradient = _gradient(maps, rest, lambda z: z[target])
    mean = gradient.mean(dim=(1, 2))
    log = mean_of(lambda z: z.log_softmax(0)[target])
    known = [
        (gradient.sum(dim=(1, 2)), "This is the sum over the places; take the mean."),
        (gradient.relu().mean(dim=(1, 2)), "Keep the sign of the gradient."),
        (gradient.amax(dim=(1, 2)), "This is the largest gradient; take the mean."),
        ((gradient * maps).mean(dim=(1, 2)), "The maps are multiplied later: here only"
         " the gradient counts."),
        (-log, "The gradient of the logit, not of the loss."),
        (log, "The gradient of the logit, not of the log-probability."),
        (0 * mean, "All weights are 0: does the gradient reach the maps?"),
        (mean.relu(), "The ReLU comes after the sum over the maps, not here."),
        (mean.abs(), "A map may speak against the class: keep the sign."),
        (gradient.abs().mean(dim=(1, 2)), "Keep the sign of the gradient."),
        (mean_of(lambda z: z.softmax(0)[target]), "The formula takes the logit, not its"
         " softmax."),
        (maps.mean(dim=(1, 2)), "These are the maps' means; no gradient is in them."),
        (mean_of(Tensor.sum), "Only the class `target` counts, not the sum of all"
         " logits."),
    ]  # fmt: skip
    other = "This is another class's gradient: use `target`."
    known += [(mean_of(lambda z, k=k: z[k]), other) for k in range(3)]
    for wrong, reason in known:
        if torch.allclose(got, wrong, rtol=1e-3, atol=1e-6):
            raise Wrong(reason)
    if torch.cosine_similarity(got, mean, dim=0) > 0.9999:
        raise Wrong("Right but for one factor: the formula does not scale to 1.")
    gap = (got - mean).abs().max().item()
    raise Wrong(
        f"The shape is right; values are off by up to {gap:.3g}.",
        "maps.requires_grad_(), then rest(maps[None])[0, target].backward().",
    )


@exercise("09.6")
def two_views(function: Any) -> str:
    """The mean of two softmaxes: of the images and of their mirror images."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 5, 3)
    )
    for part in (model[0], model[-1]):
        nn.init.normal_(part.weight, std=0.7)
    images = torch.randn(6, 3, 6, 7)
    with torch.no_grad():
        right, known = _views(model, images)
        got = call(function, model, images)
    if isinstance(got, tuple) and len(got) == 1:
        got = got[0]
    if not torch.is_tensor(got) or got.shape != right.shape:
        raise Wrong(f"It returns {describe(got)}; probabilities are (N, K), (6, 3).")
    if torch.allclose(got.detach(), right, rtol=1e-4, atol=1e-6):
        return "equal to the mean over both views."
    for wrong, reason in known:
        if torch.allclose(got.detach(), wrong, rtol=1e-4, atol=1e-6):
            raise Wrong(reason)
    gap = (got.detach() - right).abs().max().item()
    raise Wrong(
        f"The shape is right; values are off by up to {gap:.3g}.",
        "model(images).softmax(dim=1), the same for images.flip(-1), and their mean.",
    )


def _views(model: nn.Module, images: Tensor) -> tuple[Tensor, list[tuple[Tensor, str]]]:
    """The right probabilities, and what known mistakes give."""
    once, twice = (model(view) for view in (images, images.flip(-1)))
    upside_down = model(images.flip(-2))
    turned = model(images.flip(-1, -2))
    blend = model((images + images.flip(-1)) / 2)
    order, colors = model(images.flip(0)), model(images.flip(1))
    p, q = once.softmax(1), twice.softmax(1)
    right = (p + q) / 2
    head = "Mirror left to right: the last axis, flip(-1)."
    return right, [
        (p + q, "The two probabilities are added; divide by 2."),
        (p, "This is the answer to the images alone."),
        (q, "This is the answer to the mirror images alone."),
        (((once + twice) / 2).softmax(1), "This averages the logits; average the"
         " probabilities."),
        ((once + twice) / 2, "These are logits: a softmax is missing."),
        (blend.softmax(1), "This averages the images: two cats in one photo."),
        ((p + upside_down.softmax(1)) / 2, f"This is upside down. {head}"),
        ((p + turned.softmax(1)) / 2, f"This is turned by 180°. {head}"),
        (((once.softmax(0) + twice.softmax(0)) / 2), "The softmax runs over the"
         " classes: dim=1."),
        ((p + order.softmax(1)) / 2, f"This turns the images' order around. {head}"),
        ((p + colors.softmax(1)) / 2, f"This turns the colours around. {head}"),
        (torch.maximum(p, q), "This is the larger one of the two, not their mean."),
        ((p * q).sqrt(), "This is a root of the product; take the mean."),
        (p + q / 2, "Only the second one is halved: put brackets around the sum."),
        (right.softmax(1), "A softmax of probabilities: take it once, of logits."),
        ((p.log() + q.log()) / 2, "These are log-probabilities: softmax, no log."),
        ((once.sigmoid() + twice.sigmoid()) / 2, "A softmax makes the classes' sum 1;"
         " a sigmoid does not."),
    ]  # fmt: skip


@exercise("09.7")
def more_pixels(answer: Any) -> str:
    """Two runs of one network at two sizes, and McNemar's verdict on their answers."""
    by_size, differ = expect_parts(answer, 2, "Give the runs and a word")
    if not isinstance(by_size, Mapping) or set(by_size) != {32, 64}:
        raise Wrong("by_size has two keys, 32 and 64.")
    small, large = (_own_run(size, by_size[size]) for size in (32, 64))
    if len(small) != len(large):
        raise Wrong("The two runs judge different numbers of photos.")
    b, c = (large & ~small).sum().item(), (small & ~large).sum().item()
    z = (b - c) / max(b + c, 1) ** 0.5
    verdict, other = ("yes", "no") if abs(z) > 2 else ("no", "yes")
    expect_choice(differ, verdict, {other: f"z is {z:+.1f}: {b} alone, {c} alone."})
    return f"64 alone {b}, 32 alone {c}: z = {z:+.1f} in your run."


def _own_run(size: int, run: Any) -> Tensor:
    """Which validation photos (N,) it gets right, if it is the run asked for."""
    told = f"by_size[{size}]"
    model, splits, history = expect_parts(run, 3, f"{told} is what compete returns")
    kinds = (model, Transfer), (splits, Splits), (history, History)
    if not all(isinstance(part, kind) for part, kind in kinds) or not history.rows:
        raise Wrong(f"{told} is (model, splits, history), as compete returns them.")
    if (side := splits.val.images.shape[-1]) != size:
        cure = f'compete("vgg11_bn", photos_at({size}), source="cifar10")'
        raise Wrong(f"{told} has photos of {side} pixels.", cure)
    own, trained = _kernels(model), _kernels(pretrained("vgg11_bn", "cifar10")[0])
    if own.shape != trained.shape:
        raise Wrong(f"{told} is another network: vgg11_bn is asked for.")
    if torch.cosine_similarity(own, trained, dim=0) < 0.1:  # 0 for unrelated weights
        raise Wrong(f"{told} did not start from CIFAR-10's weights.", "scratch=False")
    logits, labels = predict(model, splits.val.loader(100))
    right = logits.argmax(dim=1) == labels
    share, best = right.double().mean().item(), history.best["val_accuracy"]
    if not math.isclose(share, best, abs_tol=1e-6):
        raise Wrong(
            f"{told}: {share:.1%} right, but its history says {best:.1%}.",
            "The model, its photos and its history must come from one call of compete.",
        )
    return right


def _kernels(net: nn.Module) -> Tensor:
    """The weights of all convolutions, as one long vector."""
    weights = (p.detach().cpu() for p in net.parameters() if p.dim() == 4)
    return torch.cat([weight.flatten() for weight in weights])
