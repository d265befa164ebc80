"""Which runs we keep, cheap and most useful first: the plan stops early without harm.

A run is declared once, however many lectures draw it. Its words are those of
`python -m experiments.train`, but for seed, number format and places, which the plan
adds.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

CIFAR = "--data cifar10 --augment crop flip"
# float32 beside bfloat16, for a multiply-add: VGG-13, -16 and -19 beside VGG-11.
SLOWER = 5


class Run(NamedTuple):
    """One network and recipe, over several seeds.

    Attributes:
        name: of its records, `results/NAME-seedN.json`.
        words: of its command.
        minutes: what one seed takes on one core without units for bfloat16.
        purposes: the questions it answers; tables and figures are made of them.
        seeds: so many times, each from other weights and in another order.
        slower: float32 beside bfloat16, where a CPU has units for it.
    """

    name: str
    words: tuple[str, ...]
    minutes: float
    purposes: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    slower: float = SLOWER


def run(
    name: str, words: str, minutes: float, purposes: str, slower: float = SLOWER
) -> Run:
    """A run on all of CIFAR-10, cropped and flipped unless its words say otherwise."""
    told = shlex.split(words if "--data" in words else f"{words} {CIFAR}")
    return Run(name, tuple(told), minutes, tuple(purposes.split()), slower=slower)


# VGG without BatchNorm does not learn at a rate of 0.1, its deepest forms not at 0.05.
VGG = "--set width=0.25 'hidden=()' --epochs 20 --model"
PLAIN_RATE = "--lr 0.02"
ALEXNET = "--model alexnet --optimizer adamw --lr 0.002 --epochs 20 --set width=0.125"

BATCHNORM = [
    run(
        f"rate-{name}-{rate}",
        f"--model {name} --set width=0.25 'hidden=()' --epochs 2 --lr {rate}",
        2.1,
        "rates",
    )
    for rate in ("0.03", "0.1", "0.3", "1")
    for name in ("vgg11", "vgg11_bn")
]

KERNELS = [
    run(
        f"kernels-{sizes.replace(',', '-')}",
        f"--model kernel_net --set kernels=({sizes},) --epochs 4",
        minutes,
        "kernels",
    )
    for sizes, minutes in {"3": 5, "3,3": 14, "5": 10, "3,3,3": 22, "7": 18}.items()
]

SMALL = [
    run("two_layer_cnn", "--model two_layer_cnn --epochs 20", 4, "scoreboard"),
    run("alexnet", ALEXNET, 19, "scoreboard"),
    run("alexnet-no-dropout", f"{ALEXNET} dropout=0", 19, "remedies"),
    run("alexnet-no-crops", f"{ALEXNET} --data cifar10 --augment flip", 19, "remedies"),
]

DEPTH = [
    run(
        f"{name}{norm}",
        f"{VGG} {name}{norm} {'' if norm else PLAIN_RATE}",
        20 * minutes,
        "depth scoreboard" if name == "vgg11" else "depth",
    )
    for name, minutes in {"vgg11": 1, "vgg13": 1.5, "vgg16": 2, "vgg19": 2.6}.items()
    for norm in ("", "_bn")
]

BOTH = "degradation scoreboard"
# He et al. 2016, Fig. 6: the same recipe for all four, with the scoreboard's epochs.
DEGRADATION = [
    run("resnet20", "--model resnet20 --epochs 20", 98, BOTH),
    run("plain20", "--model plain20 --epochs 20", 87, BOTH),
    run("resnet56", "--model resnet56 --epochs 20", 249, BOTH),
    run("plain56", "--model plain56 --epochs 20", 223, BOTH),
]

GOOGLENET = [
    run(
        f"googlenet{name}",
        f"--model googlenet_bn --set width=0.125 aux={heads} --epochs 20",
        110,
        "heads" if heads else "scoreboard",
        slower=1.2,  # its steps wait for pooling, ReLU and BatchNorm, not for products
    )
    for name, heads in {"": False, "-heads": True}.items()
]

SPEED = "--model speedrun --data cifar10 --whiten --optimizer muon --schedule linear"
SPEED += " --label-smoothing 0.2 --batch-size 500 --augment shift alternating_flip"
SPEED += " --views"
# One trick is taken out at a time, at small width; the last of two words counts.
TRICKS = {
    "": "",
    "-no-whitening": "--no-whiten",
    "-no-dirac": "dirac=False",
    "-random-flip": "--augment shift flip",
    "-no-smoothing": "--label-smoothing 0",
    "-sgd": "--tune orthogonal=False momentum=0.85 --lr 0.7",
    "-one-rate": "--tune shift_lr=0.4",  # that of the head, for weights of its size
    "-none": "dirac=False --no-whiten --augment shift flip --label-smoothing 0"
    " --tune orthogonal=False momentum=0.85 shift_lr=0.4 --lr 0.7",
}
SPEEDRUN = [
    run("speedrun", f"{SPEED} --epochs 10", 100, "speedrun scoreboard"),
    run("speedrun-minute", f"{SPEED} --epochs 4 --set width=0.25", 2, "speedrun"),
    *(
        run(
            f"speedrun-{size}{name}",
            f"{SPEED} {budget} --set width={width} {words}",
            minutes,
            "tricks",
        )
        for size, width, budget, minutes in (
            ("quarter", 0.25, "--images 10000 --epochs 6", 1),
            ("half", 0.5, "--epochs 8", 25),
        )
        for name, words in TRICKS.items()
    ),
]

PLAN = [*BATCHNORM, *SMALL[:1], *KERNELS, *DEPTH[:2], *SMALL[1:2], *SPEEDRUN[:1]]
PLAN += [*SMALL[2:], *DEGRADATION, *DEPTH[2:], *GOOGLENET, *SPEEDRUN[1:]]
