# %% [markdown] slide="slide"
# # GoogLeNet: more layers, fewer numbers
#
# The winner of 2014 is deeper than every winner before it, and has far fewer
# parameters. We build it from its table, compute its cost by hand, and find where the
# parameters are saved.
#
# *Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going
# Deeper with Convolutions. CVPR 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute the channels and the cost of an Inception module by hand;
# 2. say what a 1 × 1 convolution is, and choose its width for a budget;
# 3. assemble GoogLeNet from the paper's table, and find where it saves parameters;
# 4. measure what auxiliary heads and BatchNorm change in a short training;
# 5. draw a class activation map and test it.
#
# A run takes a quarter of a minute at scale `tiny`, and about six minutes at `small` on
# a laptop. The text describes the outputs shown here, at scale `small`.

# %% [markdown] slide="slide"
# ## Question
#
# AlexNet has 60,965,224 parameters in 8 layers with weights. GoogLeNet has 22 such
# layers. The paper says that it "actually uses 12 times fewer" parameters.
#
# **How many parameters does it have, and where are the others saved?**
#
# *Guess first: by the module in the middle, by the size of the kernels, or at the end
# of the network?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching import check
from utils import course, data, look, pictures, plot
from utils.augment import HorizontalFlip
from utils.models import alexnet_2012, googlenet_bn
from utils.models.alexnet import LocalResponseNorm
from utils.models.googlenet import TORCHVISION, googlenet, googlenet_loss
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
photos = data.cifar10()
seeds = range(course.pick(tiny=1, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: do not choose the kernel
#
# Is 1 × 1, 3 × 3 or 5 × 5 the right kernel? AlexNet's authors chose by hand; VGG uses 3
# × 3 everywhere. An *Inception module* uses **all of them side by side** and stacks
# their maps. Each path from input to output is a *branch*. Training decides what each
# contributes.

# %% tags=["hide-input"] slide="subslide"
from teaching import svg
from teaching.svg import CONV, FILL, INK, LINEAR


def box(x, y, width, height, words, color):
    size = f'x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}"'
    style = f'fill="{FILL[color]}" stroke="{color}" stroke-width="2"'
    return f"<rect {size} {style}/>" + svg.text(x, y, words)


def module(title, rows, left, right, channels):
    """Branches from left to right; a branch is a list of (words, channels, colour)."""
    body = svg.text((left + right) / 2, 12, title, weight="bold")
    for i, branch in enumerate(rows):
        x, y = left + 18, 52 + 48 * i
        for j, (words, count, color) in enumerate(branch):
            end = left + 95 + 148 * j
            body += svg.line([(x, y), (end - 41, y)])
            body += box(end, y, 82, 30, words, color)
            body += svg.text(end + 62, y - 11, str(count))
            x = end + 41
        body += svg.line([(x, y), (right - 18, y)])
    for x, words in ((left, 192), (right, channels)):
        body += box(x, 124, 36, 180, str(words), INK)
    return body


# %% tags=["hide-input"]
wide = [("1×1", 64, CONV)], [("3×3", 128, CONV)], [("5×5", 32, CONV)]
naive_rows = [*wide, [("max 3×3", 192, INK)]]
rows = [
    [("1×1", 64, CONV)],
    [("1×1", 96, LINEAR), ("3×3", 128, CONV)],
    [("1×1", 16, LINEAR), ("5×5", 32, CONV)],
    [("max 3×3", 192, INK), ("1×1", 32, LINEAR)],
]
body = module("naive", naive_rows, 30, 300, 416)
body += module("with reductions", rows, 430, 850, 256)
svg.Diagram(
    body,
    890,
    225,
    "Two Inception modules. Naive: 192 channels go into 1x1, 3x3 and 5x5 convolutions"
    " and 3x3 pooling side by side; 64, 128, 32 and 192 channels are stacked to 416."
    " With reductions: 1x1 convolutions to 96 and 16 channels before the 3x3 and the"
    " 5x5, and one to 32 behind the pooling; 256 channels come out.",
)

# %% [markdown]
# The paper's Figure 2, with the channels of its first module, 3a. The 1 × 1
# convolutions in green are called *reductions* before a large kernel, and *projection*
# after the pooling. All branches keep height and width. Each convolution ends in a
# ReLU, which is not drawn.
#
# **Why is the left module not enough?** We build it first.

# %% [markdown] slide="slide"
# ## Build: the naive module
#
# Six numbers of channels describe a module. `Widths` gives them names, so that we
# cannot confuse them.

# %% mirror="utils.models.googlenet:Widths" slide="subslide"
from __future__ import annotations  # noqa: F404

from dataclasses import astuple, dataclass

# %% [markdown] slide="subslide"
# `Form` lists variants of the network. We build `PAPER`, the one of 2014. The option
# `batch_norm` adds BatchNorm, the layer of lecture 06; `PAPER` does not use it.

# %% mirror="utils.models.googlenet:Form utils.models.googlenet:PAPER"

# %% mirror="utils.models.googlenet:BasicConv"

# %% mirror="utils.models.googlenet:NaiveInception"

# %% [markdown] slide="subslide"
# **Predict** for an input of 192 × 28 × 28: how many channels come out? Which branch
# costs most? One output value of a k × k kernel takes k × k × 192 multiply-adds.

# %% check=True
w3a = Widths(64, 96, 128, 16, 32, 32)
look.shape_table(NaiveInception(192, w3a), (192, 28, 28))

# %% [markdown]
# 64 + 128 + 32 + **192** = 416 channels come out: the pooling passes on all of its
# input. The 3 × 3 branch costs most, 173 million multiply-adds. The 5 × 5 branch has
# only a quarter of its kernels, and still costs 120 million.

# %% [markdown] slide="subslide"
# **What happens when modules follow each other?** Each module gets all channels of the
# one before. Predict how many come out of the second module, 3b. Its convolutions put
# out 128, 192 and 96.

# %% check=True
channels = 192
print("192", end="")
for name, (a, b, c) in {
    "3a": (64, 128, 32),
    "3b": (128, 192, 96),
    "4a": (192, 208, 48),
    "4b": (160, 224, 64),
    "4c": (128, 256, 64),
}.items():
    channels += a + b + c
    print(f" -> {name} {channels}", end="")

# %% [markdown]
# 416 + 128 + 192 + 96 = 832. The number can only grow, because the pooling branch
# passes on every channel. The paper calls this a computational blow-up. Something must
# reduce the channels, and it should cost little.

# %% [markdown] slide="slide"
# ## What does a 1×1 convolution do?
#
# A 1 × 1 kernel reads one position and all of its channels. We copy its weights into an
# `nn.Linear` and apply that layer at every position. **Do the outputs differ?**

# %% check=True
conv, linear = nn.Conv2d(192, 16, 1), nn.Linear(192, 16)
with torch.no_grad():
    linear.weight.copy_(conv.weight[:, :, 0, 0])  # (16, 192, 1, 1) -> (16, 192)
    linear.bias.copy_(conv.bias)
    x = torch.randn(2, 192, 28, 28)
    at_each_position = linear(x.permute(0, 2, 3, 1))  # channels last: (2, 28, 28, 16)
    assert torch.allclose(conv(x), at_each_position.permute(0, 3, 1, 2), atol=1e-5)
print(f"equal at all {28 * 28} positions; {conv.weight.numel()} weights")

# %% [markdown]
# They do not. A 1 × 1 convolution **is a linear layer applied at each position**. It
# mixes channels and does not use neighbouring positions. Its 16 outputs are weighted
# sums of the 192 inputs. The ReLU after it adds a non-linearity.

# %% [markdown] slide="slide"
# ## Reduce first, then convolve
#
# The 5 × 5 branch of module 3a by hand, in multiply-adds per position:
#
# | | naive | with reduction to 16 |
# |---|---|---|
# | 1 × 1 | | 192 × 16 = 3,072 |
# | 5 × 5 | 25 × 192 × 32 = 153,600 | 25 × 16 × 32 = 12,800 |
# | sum | 153,600 | 15,872 |
#
# The cost falls to a tenth. **Do the same for the 3 × 3 branch**, with its reduction to
# 96.

# %% mirror="utils.models.googlenet:Inception"

# %% slide="subslide" check=True
real = Inception(192, w3a)
look.shape_table(real, (192, 28, 28), depth=2)

# %% [markdown]
# The 3 × 3 branch takes 192 × 96 + 9 × 96 × 128 = 129,024 multiply-adds instead of
# 221,184, or 58 %: its reduction keeps half of the channels. The whole module costs 128
# million instead of 303, and puts out 64 + 128 + 32 + 32 = 256 channels.

# %% tags=["hide-input"] slide="subslide"
# alt: Two bars for each of four branches, naive and reduced, in million multiply-adds.
# alt: The 5x5 branch shrinks to a tenth, the 3x3 branch by a third; the pooling branch
# alt: gets a small cost of its own.
fig, ax = plt.subplots(figsize=(7, 2.8))
names = ["1×1", "3×3", "5×5", "pool"]
parts = real.branch_1x1, real.branch_3x3, real.branch_5x5, real.branch_pool
reduced = [look.totals(part, (192, 28, 28))[1] / 1e6 for part in parts]
plain = [784 * 192 * n / 1e6 for n in (64, 9 * 128, 25 * 32, 0)]
for values, shift, color, label in (
    (plain, -0.2, plot.PAPER, "naive"),
    (reduced, 0.2, plot.HIGHLIGHT, "with reductions"),
):
    places = [i + shift for i in range(4)]
    ax.barh(places, values, 0.36, color=color, label=label)
    for y, value in zip(places, values, strict=True):
        ax.text(value + 2, y, f"{value:.1f}", va="center", fontsize=10)
ax.set_yticks(range(4), names)
ax.invert_yaxis()
ax.grid(False)
ax.set(xlabel="million multiply-adds, module 3a")
ax.legend(loc="lower right")
fig.suptitle("Which branch gains most from a 1×1 in front?", x=0.01, ha="left");

# %% [markdown] slide="slide"
# ## The network is a table
#
# The network has nine modules. The paper's Table 1 gives each of them one row.

# %% mirror="utils.models.googlenet:TABLE_1"

# %% slide="subslide" check=True
sides = {"3": 28, "4": 14, "5": 7}
naive_in = real_in = 192
print("      naive              with reductions")
for name, widths in TABLE_1.items():
    side = sides[name[0]]
    with torch.device("meta"):  # shapes without numbers
        modules = NaiveInception(naive_in, widths), Inception(real_in, widths)
    naive = look.totals(modules[0], (naive_in, side, side))[1] / 1e6
    cost = look.totals(modules[1], (real_in, side, side))[1] / 1e6
    costs = f"{naive_in:5} in {naive:7.0f} M   {real_in:5} in {cost:6.0f} M"
    print(f"{name} {costs}   {naive / cost:5.1f} times")
    naive_in += widths.out_1x1 + widths.out_3x3 + widths.out_5x5
    real_in = widths.out_channels

# %% [markdown]
# Without reductions the modules would cost 2.4 times as much at the beginning, and
# about 20 times at the end.

# %% [markdown] slide="subslide"
# Section 4 of the paper expects that the share of 3 × 3 and 5 × 5 "should increase as
# we move to higher layers". Does it in the table?

# %% check=True
for name, widths in TABLE_1.items():
    spatial = (widths.out_3x3 + widths.out_5x5) / widths.out_channels
    print(f"{name}: {spatial:5.1%} of the channels look at neighbours")

# %% [markdown]
# Only from 4a to 4d. From first to last it falls, from 62.5 to 50 %. The paper does not
# say how its numbers were found.

# %% [markdown] slide="slide"
# ## Build: stem, heads, stages
#
# The modules begin at 28 × 28. The *stem*, the plain layers before them, divides the
# image's height and width by 8.

# %% mirror="utils.models.googlenet:max_pool"

# %% mirror="utils.models.googlenet:GoogLeNetStem"

# %% [markdown] slide="subslide"
# **Predict** height and width after each of five steps. They begin at 224. Then come 7
# × 7 with stride 2, pooling, 1 × 1, 3 × 3, pooling.

# %% check=True
stem = GoogLeNetStem(3, 64, 192, PAPER)
look.shape_table(stem, (3, 224, 224), depth=1)

# %% [markdown] slide="subslide"
# They are 112, 56, 56, 56 and 28.
#
# In the middle of the network, after modules 4a and 4d, two *auxiliary heads* branch
# off. Each is a small classifier with a loss of its own. They are used **in training
# only**.

# %% mirror="utils.models.googlenet:Head"

# %% slide="subslide" check=True
head = Head(512, 128, 1024, 1000, PAPER)
look.shape_table(head, (512, 14, 14))

# %% [markdown]
# Each head has 3.2 million parameters, and none of them remain after training. Two
# thirds of them, 2,048 × 1,024, are in its first linear layer.

# %% mirror="utils.models.googlenet:inception_stage utils.models.googlenet:STAGES"

# %% [markdown] slide="slide"
# ## Assemble: the whole network
#
# In training the forward pass stores the heads' logits in `aux_logits`, where the loss
# finds them. In evaluation the heads are not computed.

# %% mirror="utils.models.googlenet:GoogLeNet"

# %% slide="subslide" check=True
with torch.device("meta"):
    net, with_heads = googlenet(), googlenet(aux=True)
look.shape_table(net, (3, 224, 224), depth=1)

# %% check=True
parameters = sum(p.numel() for p in net.parameters())
training = sum(p.numel() for p in with_heads.parameters())
print(f"{parameters:,} parameters, {training:,} while the heads are on")
kinds = nn.Conv2d, nn.Linear
layers = [name for name, part in net.named_modules() if isinstance(part, kinds)]
print(f"{len(layers)} layers with weights; the longest path has 1 + 2 + 9 * 2 + 1 = 22")

# %% [markdown] slide="-"
# GoogLeNet has **6,998,552** parameters. The option `width` multiplies all numbers of
# channels; `stem="cifar"` makes a stem for small images.

# %% [markdown] slide="slide"
# ## Which rows of Table 1 add up?
#
# Table 1 also prints each row's parameters and operations. As a check we count both:
# weights without biases, in units of K = 1,024. Nothing later depends on it.

# %%
printed = {  # Table 1: parameters in K, operations in M
    "conv 7×7": (2.7, 34), "conv 3×3": (112, 360), "3a": (159, 128), "3b": (380, 304),
    "4a": (364, 73), "4b": (437, 88), "4c": (463, 100), "4d": (580, 119),
    "4e": (840, 170), "5a": (1072, 54), "5b": (1388, 71), "linear": (1000, 1),
}  # fmt: skip
parts = dict(net.named_modules())
rows = {"conv 7×7": [parts["stem.conv1"]]}
rows["conv 3×3"] = [parts["stem.conv2"], parts["stem.conv3"]]
rows |= {n[-2:]: [p] for n, p in parts.items() if n[:-2].endswith("inception")}
rows["linear"] = [net.fc]
places = {"conv 7×7": 112, "conv 3×3": 56, "linear": 1}

# %% slide="subslide" check=True
print("          parameters (K = 1024)    operations (M)")
print("          counted     paper        counted  paper")
for name, (thousands, millions) in printed.items():
    weights = [p for m in rows[name] for p in m.parameters() if p.dim() > 1]
    count = sum(w.numel() for w in weights)
    cost = count * places.get(name, sides.get(name[0])) ** 2 / 1e6
    first = "" if abs(count / 1024 - thousands) < 1.5 else "<--"
    second = "" if abs(cost - millions) < 1 else "<--"
    numbers = f"{count / 1024:7.1f} {thousands:9} {first:5}{cost:9.1f} {millions:6}"
    print(f"{name:10}{numbers} {second}".rstrip())

# %% [markdown] slide="subslide"
# Ten of twelve rows agree in operations, five in parameters; arrows mark the rest. Some
# printed numbers are wrong, or belong to another version. We follow the printed widths.
# The first row fits another layer: 8 kernels of 7 × 7 for each colour alone, then a 1 ×
# 1.

# %% check=True
depthwise = nn.Conv2d(3, 3 * 8, 7, stride=2, padding=3, groups=3, bias=False)
separable = nn.Sequential(depthwise, nn.Conv2d(24, 64, 1, bias=False))
count, cost = look.totals(separable, (3, 224, 224))
print(f"{count:,} weights, {cost / 1e6:.1f} million multiply-adds")

# %% [markdown]
# These are the printed 2.7K and 34 million. That the authors used this layer is our
# guess.

# %% [markdown] slide="slide"
# ## The claim: 12 times fewer
#
# By which factor is GoogLeNet smaller than AlexNet? Does any way to count give 12?

# %% slide="subslide" check=True
with torch.device("meta"):
    alex = alexnet_2012()
theirs = sum(p.numel() for p in alex.parameters())
ends = sum(p.numel() for p in net.fc.parameters())
table = sum(thousands for thousands, _ in printed.values())
counts = {
    "counted, all of it": parameters,
    "counted, with both heads": training,
    "counted, no linear layer": parameters - ends,
    "paper's table, K = 1000": round(table * 1000),
    "the same, no linear layer": round(table * 1000) - 1_000_000,
    "what 12 would need": round(theirs / 12),
}
for name, count in counts.items():
    print(f"{name:26}{count:12,}   {theirs / count:5.1f} times fewer")

# %% [markdown]
# The factor is **8.7**. None of these counts gives 12, which needs about 5 million
# parameters. A later paper names these 5 million, but not what was counted.

# %% [markdown] slide="subslide"
# **Where are the parameters saved?** We split both networks into convolutions and
# linear layers. Guess first which network has more of each.

# %% check=True
def split(model):
    """Parameters of the convolutions, and of the linear layers."""
    parts = list(model.modules())
    kinds = [[m for m in parts if isinstance(m, k)] for k in (nn.Conv2d, nn.Linear)]
    return [sum(p.numel() for m in kind for p in m.parameters()) for kind in kinds]


in_alex, in_google = split(alex), split(net)
print("              AlexNet   GoogLeNet")
for name, a, b in zip(("convolutions", "linear"), in_alex, in_google, strict=True):
    print(f"{name:12}{a:11,}{b:12,}")

# %% [markdown]
# GoogLeNet's convolutions have **2.6 times more** parameters than AlexNet's. All
# savings are at the end: 1.0 million in one linear layer instead of 58.6 million in
# three.

# %% [markdown] slide="slide"
# ## Average the maps, then one linear layer
#
# *Global average pooling* turns 1,024 maps of 7 × 7 into 1,024 numbers, one mean for
# each map. The alternative is to flatten the maps. **Predict** the parameters of each
# end.

# %% check=True
with torch.device("meta"):  # shapes alone: nobody needs 226 million numbers drawn
    linear_ends = {
        "average, linear": [nn.Linear(1024, 1000)],
        "flatten, linear": [nn.Linear(1024 * 49, 1000)],
        "flatten, AlexNet's three": [
            nn.Linear(1024 * 49, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000),
        ],
    }  # fmt: skip
for name, layers in linear_ends.items():
    count = sum(p.numel() for layer in layers for p in layer.parameters())
    print(f"{name:26}{count:13,}")

# %% [markdown]
# 1 million, 50 million and 226 million. The paper reports that the average also
# *raised* top-1 accuracy by about 0.6 points. We count the parameters here; we do not
# test that gain.

# %% [markdown] slide="subslide"
# **The average has two more advantages.** The linear layer after it can be written as a
# 1 × 1 convolution. Then we may classify every position first, and average afterwards:

# %% check=True
maps, fc = torch.randn(2, 1024, 7, 7), nn.Linear(1024, 1000)
logits = fc(maps.mean(dim=(2, 3)))  # average first, then classify
scores = F.conv2d(maps, fc.weight[:, :, None, None], fc.bias)  # classify each place
assert torch.allclose(scores.mean(dim=(2, 3)), logits, atol=1e-5)
print(tuple(scores.shape), "one map for each class; its mean is the logit")

# %% [markdown]
# The result is the same. So each logit is the mean of a **class activation map**, which
# says how much each position adds to the score of the class. And the network accepts
# images of other sizes. We use both below.

# %% [markdown] slide="slide"
# ## A common mistake: no ReLU in between
#
# Without a ReLU between them, two convolutions are no more than **one**. A 7 × 7 and a
# 3 × 3 together are a kernel of side 7 + 3 − 1 = 9.

# %% check=True
conv7 = nn.Conv2d(3, 64, 7, bias=False).double()
conv3 = nn.Conv2d(64, 192, 3, bias=False).double()
one = nn.Conv2d(3, 192, 9, bias=False).double()
with torch.no_grad():  # convolve the first kernels with the second ones
    flipped = conv3.weight.flip(2, 3)
    kernels = F.conv2d(conv7.weight.transpose(0, 1), flipped, padding=2)
    one.weight.copy_(kernels.transpose(0, 1))
    x = torch.randn(1, 3, 32, 32, dtype=torch.double)
    assert torch.allclose(conv3(conv7(x)), one(x))
    assert not torch.allclose(conv3(conv7(x).relu()), one(x))
print("without ReLU: one 9×9 convolution. With ReLU: not.")

# %% [markdown]
# So in GoogLeNet's stem a ReLU follows each of the three convolutions.

# %% [markdown] slide="slide"
# ## Do the heads help the gradient?
#
# The paper adds the losses of the heads, each with weight 0.3, to "increase the
# gradient signal that gets propagated back". **Guess**: how many times larger is the
# gradient in the stem when the heads are there?

# %%
width = course.pick(tiny=1 / 16, small=1 / 8, full=1 / 4)
examples = course.pick(tiny=64, small=2000, full=10_000)


def halved(images):
    """The same photographs with half the side: a quarter of the work."""
    pixels = F.avg_pool2d(images.images.float(), 2).round().byte()
    return replace(images, images=pixels)


few = halved(photos.train.subset(examples))
small_val = halved(photos.val.subset(course.pick(tiny=64, small=1000, full=5000)))
val_loader = small_val.loader(500)

# %% slide="subslide"
stages = ("stem", "stage3", "stage4a", "stage4d", "stage5")
steps = course.pick(tiny=2, small=10, full=10)


def gradients(net):
    """Length of each stage's gradient in proportion to its weights, first steps."""
    rows, loss_function = [], googlenet_loss(net)
    optimizer = torch.optim.Adam(net.to(run.device).train().parameters(), lr=0.002)
    for _, (images, labels) in zip(range(steps), few.loader(50), strict=False):
        optimizer.zero_grad()
        loss_function(net(images), labels).backward()
        rows.append([])
        for name in stages:
            weights = [p for p in net.get_submodule(name).parameters() if p.dim() > 1]
            slope = sum(p.grad.pow(2).sum() for p in weights)
            size = sum(p.pow(2).sum() for p in weights)
            rows[-1].append((slope / size).sqrt().item())
        optimizer.step()
    return torch.tensor(rows).mean(dim=0)

# %% [markdown] slide="subslide"
# We try two kinds of first weights: those of He et al., which our modules use, and the
# smaller ones that torch draws by default.

# %%
def by_torch(net):
    """Draw the convolutions' weights as torch does by default."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            part.reset_parameters()
    return net


begin = {"He's weights": lambda net: net, "torch's default weights": by_torch}
slopes = {}
print("gradient with heads / without", *(f"{name:>8}" for name in stages))
for name, start in begin.items():
    for aux in (False, True):
        torch.manual_seed(run.seed)
        net = start(googlenet(10, aux=aux, width=width, stem="cifar"))
        slopes[name, aux] = gradients(net)
    gain = slopes[name, True] / slopes[name, False]
    print(f"{name:29}", *(f"{g:8.1f}" for g in gain))

# %% tags=["hide-input"] slide="subslide"
# alt: Two panels, relative gradient of five stages on a logarithmic axis, without and
# alt: with heads. With He's weights the two lines lie close together; with torch's
# alt: default weights the gradient falls steeply towards the stem, less so with heads.
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
for ax, name in zip(axes, begin, strict=True):
    for aux, style, color in ((False, "-o", plot.PAPER), (True, "--s", plot.HIGHLIGHT)):
        label = "with heads" if aux else "without"
        ax.plot(stages, slopes[name, aux], style, color=color, label=label)
    ax.set(yscale="log", title=name)
    ax.tick_params(axis="x", labelrotation=20)
axes[0].set_ylabel("gradient / weights (norms)")
axes[1].legend(loc="lower right")
title = "Whose gradient do the heads save? (mean of the first steps)"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown] slide="subslide"
# It depends on the first weights. With He's weights the gradient keeps its size through
# all layers, and the heads change it by factors of 0.9 to 1.3 only.
#
# With torch's smaller weights the gradient shrinks in each layer on its way back. The
# heads shorten this way, and the stem's gradient becomes 230 times larger. The paper
# does not say how it drew its weights; He's rule came later.

# %% [markdown] slide="slide"
# ## Heads or BatchNorm: what trains faster?
#
# We train three networks of the same width with the same settings: one plain, one with
# heads, one with BatchNorm. BatchNorm belongs to lecture 06. Until then it is a layer
# that sets each channel's mean to 0 and variance to 1 over the batch.
#
# `googlenet_loss(net)` adds the heads' losses in training. Validation uses the main
# output alone.

# %%
arms = {
    "plain": (googlenet, False),
    "plain + heads": (googlenet, True),
    "BatchNorm": (googlenet_bn, False),
}
runs = {name: [] for name in arms}
recipe = {"optimizer": "adam", "lr": 0.002, "progress": False}
recipe |= {"epochs": course.pick(tiny=1, small=4, full=10), "keep_best": False}
for name, (build, aux) in arms.items():
    for seed in seeds:
        torch.manual_seed(seed)
        net = build(10, aux=aux, width=width, stem="cifar")
        loader = few.loader(50, shuffle=True, seed=seed)
        heads = {"loss_function": googlenet_loss(net), "name": name}
        runs[name].append(fit(net, loader, val_loader, **recipe, **heads))

# %% slide="subslide"
# alt: Validation loss and accuracy over the epochs of three networks, with bands over
# alt: seeds.
plot.curves(runs, title="Which change moves the curve by more than its band?");

# %% slide="subslide"
def last(name, column, scale=1):
    values = [scale * history.rows[-1][column] for history in runs[name]]
    return sum(values) / len(values), min(values), max(values)


for name in runs:
    loss, low, high = last(name, "val_loss")
    mean, worst, best = last(name, "val_accuracy", 100)
    accuracy = f"{mean:.1f} % ({worst:.1f} to {best:.1f})"
    print(f"{name:14} loss {loss:.3f} ({low:.3f} to {high:.3f}), accuracy {accuracy}")
    pairs = zip(runs[name], runs["plain"], strict=True)
    less = [a.rows[-1]["val_loss"] - b.rows[-1]["val_loss"] for a, b in pairs]
    if name != "plain":
        print(f"{'':14} against plain, seed by seed:", *(f"{d:+.3f}" for d in less))

# %% [markdown]
# **Heads:** their mean difference in loss is −0.021, and twice its standard error over
# the three seeds is 0.038. This run shows no effect of the heads.
#
# **BatchNorm:** the mean difference is −0.122, twice its standard error 0.046.
# BatchNorm trains faster.

# %% [markdown] slide="subslide"
# The run is short: four epochs of 2,000 small photos, and no network above 33 %. It
# does not show what heads do late in training. Two of the authors later saw a slight
# gain near the end of training on ImageNet. They call the heads a regulariser, and
# their first explanation "most likely misplaced".

# %% [markdown] slide="slide"
# ## Train on crops, validate on whole images
#
# Now we train one network longer. It has both heads, whose answers we compare below,
# and BatchNorm, because that trained faster. It sees random crops, at scale `small` of
# 24 × 24 pixels. Validation uses **whole images of 32 × 32**: the average accepts both
# sizes.

# %%
side = course.pick(tiny=12, small=24, full=28)


def cut(images, generator):
    """A random square of the batch, the same place for all its images."""
    room = images.shape[-1] - side + 1
    y, x = torch.randint(0, room, (2,), generator=generator, device=generator.device)
    return images[..., y : y + side, x : x + side]


train_set = photos.train.subset(course.pick(tiny=128, small=6000, full=None))
val_set = photos.val.subset(course.pick(tiny=64, small=1000, full=None))
augment = [cut, HorizontalFlip()]

# %% slide="subslide"
torch.manual_seed(run.seed)
width = course.pick(tiny=1 / 16, small=1 / 8, full=1.0)
model = googlenet_bn(10, aux=True, width=width, stem="cifar")
history = fit(
    model,
    train_set.loader(64, shuffle=True, augment=augment),
    val_set.loader(250),
    epochs=course.pick(tiny=1, small=5, full=40),
    optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4),
    schedule="onecycle",
    loss_function=googlenet_loss(model),
    keep_best=False,
    name="GoogLeNet",
)

# %% slide="subslide"
# alt: Loss and accuracy over the epochs; the training loss includes the heads' losses
# alt: and lies above the validation loss.
reached = history.rows[-1]["val_accuracy"]
title = f"{reached:.1%} of the validation images, and why is the training loss higher?"
plot.curves(history, title=title);

# %% [markdown]
# The training loss is the sum of three losses, with weights 1, 0.3 and 0.3. Divided by
# 1.6 it is 1.48, still above 1.356: it is also measured on crops, with dropout, and
# while the weights change. The accuracy is low because the training is short: five
# epochs of 6,000 photos.

# %% [markdown] slide="subslide"
# **What can the heads classify?** The paper expects features in the middle of the
# network to be "very discriminative" already. We classify the same images at three
# depths:

# %%
images, labels = next(iter(val_set.loader(500)))
middle = look.feature_maps(model, images, ["stage4a", "stage4d"])
model.eval().cpu()
with torch.no_grad():
    answers = {
        "head behind 4a": model.heads[0](middle["stage4a"]),
        "head behind 4d": model.heads[1](middle["stage4d"]),
        "the network's end": model(images.cpu()),
    }
for name, logits in answers.items():
    right = (logits.argmax(dim=1) == labels.cpu()).double().mean()
    print(f"{name:18} {right:6.1%} of {len(labels)} images")
model = model.to(run.device);

# %% [markdown]
# An accuracy on 500 images has a standard error of about 2.2 points. So the end is
# better than the first head; between the second head and the end we see no clear
# difference. The middle of the network knows much already.

# %% [markdown] slide="slide"
# ## Look inside: which branch carries what?
#
# Here are the first eight maps of each branch of module 3b, for one photograph.

# %% slide="subslide"
# alt: The same photograph in four rows of feature maps, one for each branch of module
# alt: 3b: 1x1, 3x3, 5x5 and pooling; the pooling branch's maps are coarser.
names = ("branch_1x1", "branch_3x3", "branch_5x5", "branch_pool")
where = {f"stage3.inception3b.{name}": name for name in names}
maps = look.feature_maps(model, images[3], list(where))
named = {where[name].removeprefix("branch_"): m for name, m in maps.items()}
title = f"Module 3b looks at a {photos.classes[labels[3]]}: which rows show edges?"
pictures.feature_maps(named, title=title);

# %% [markdown]
# Many 1 × 1 and 3 × 3 maps show fine lines; those of the 5 × 5 and pooling branches
# show broader areas.

# %% [markdown] slide="subslide"
# **Switch one branch off.** We replace its output by zeros and measure the validation
# accuracy again. Which of the 36 branches is missed most?

# %%
probe = val_set.subset(course.pick(tiny=4, small=400, full=2000)).loader(400)


def without(branch):
    """Validation accuracy with the output of one branch set to zero."""
    handle = branch.register_forward_hook(lambda part, x, y: torch.zeros_like(y))
    accuracy = evaluate(model, probe).accuracy
    handle.remove()
    return accuracy


intact = evaluate(model, probe).accuracy
blocks = {n[-2:]: m for n, m in model.named_modules() if n[:-2].endswith("inception")}
lost = torch.tensor(
    [[intact - without(getattr(m, n)) for n in names] for m in blocks.values()]
)

# %% tags=["hide-input"] slide="subslide"
# alt: A table of nine modules by four branches; each cell shows how many points of
# alt: accuracy are lost when that branch is set to zero.
fig, ax = plt.subplots(figsize=(7, 3.3))
points = 100 * lost.T
limit = max(points.abs().max().item(), 1)
ax.imshow(points, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
for i, row in enumerate(points):
    for j, value in enumerate(row):
        color = "white" if abs(value) > 0.6 * limit else "black"
        ax.text(j, i, f"{value:.1f}", ha="center", va="center", color=color)
ax.set_xticks(range(9), list(blocks))
ax.set_yticks(range(4), ["1×1", "3×3", "5×5", "pool"])
ax.set(xlabel="module", ylabel="branch set to zero")
ax.grid(False)
ax.tick_params(length=0)
title = f"Points lost of {intact:.1%} when one branch is silent: which can be spared?"
fig.suptitle(title, x=0.01, ha="left");

# %% slide="subslide"
by_branch = 100 * lost.mean(dim=0)
spare = 100 * (intact * (1 - intact) / probe.num_examples) ** 0.5
for name, value in zip(names, by_branch, strict=True):
    print(f"{name:12} costs {value:5.1f} points on average over nine modules")
by_module = dict(zip(blocks, 100 * lost.mean(dim=1), strict=True))
for word, choose in (("least", min), ("most", max)):
    name = choose(by_module, key=by_module.get)
    print(f"{word:5} in module {name}: {by_module[name]:.1f} on average")
print(f"one accuracy on {probe.num_examples} images is uncertain by {spare:.1f} points")

# %% [markdown] slide="subslide"
# The 1 × 1 branch of 3b is missed most: 34.5 points. On average the 3 × 3 and 1 × 1
# branches cost 18.8 and 14.9 points. The other two, with fewer channels, cost 4.8 and
# 6.0. In 5b no branch costs more than 3. An accuracy here has a standard error of 2.5
# points, so single differences below about 7 show nothing.
#
# The network was trained *with* all branches. Trained without one, it might do as well.

# %% [markdown] slide="slide"
# ## Look inside: which positions count?
#
# Each logit is the mean of a map, as we saw. So one matrix product gives a map for each
# class.

# %%
def activation_maps(images, classes):
    """The map of one class for each image, and its mean: the class's logit."""
    maps = look.feature_maps(model, images, "stage5")["stage5"]
    weight, bias = model.fc.weight.detach().cpu(), model.fc.bias.detach().cpu()
    scores = F.conv2d(maps, weight[:, :, None, None], bias)
    return scores[torch.arange(len(images)), classes]


logits, labels = predict(model, val_set.loader(500))
sure, guesses = logits.softmax(dim=1).max(dim=1)
images = torch.cat([batch.cpu() for batch, _ in val_set.loader(500)])
heat = activation_maps(images, guesses)
gap = (heat.mean(dim=(1, 2)) - logits.max(dim=1).values).abs().max().item()
print(f"maps of {tuple(heat.shape[1:])}; mean against logit: off by {gap:.0e} at most")

# %% tags=["hide-input"] slide="subslide"
# alt: Eight validation photographs, and below each the same one with its class
# alt: activation map in colour on top; bright spots lie mostly on the object.
right = (guesses == labels).nonzero().flatten()
order = right[sure[right].argsort(descending=True)]
chosen = []
for index in order.tolist():
    if all(labels[index] != labels[other] for other in chosen):
        chosen.append(index)
chosen = (chosen + [i for i in order.tolist() if i not in chosen])[:8]
fig, axes = plt.subplots(2, 8, figsize=(7, 2.5))
big = F.interpolate(heat[:, None], size=32, mode="bilinear")[:, 0]
for column, index in zip(axes.T, chosen, strict=False):
    photo = val_set.images[index].permute(1, 2, 0)
    column[0].imshow(photo)
    column[0].set_title(val_set.classes[guesses[index]], fontsize=9, loc="center")
    column[1].imshow(photo.float().mean(dim=2), cmap="gray")
    column[1].imshow(big[index], cmap="inferno", alpha=0.6)
for ax in axes.flat:
    ax.axis("off")
fig.suptitle("Where do the votes for the right class come from?", x=0.01, ha="left");

# %% [markdown] slide="subslide"
# The bright positions lie mostly on the object. But these are eight confident, right
# answers, chosen by us. **Is the map right in general?** A test on all validation
# images: we hide the quarter of each image that its map finds most important, or the
# least important quarter.

# %%
def hidden(quarter):
    """Accuracy with a quarter of each image grey, chosen by its map."""
    cells = heat.flatten(1)
    rank = cells.argsort(dim=1, descending=quarter == "most").argsort(dim=1)
    keep = (rank >= cells.shape[1] // 4).view_as(heat).float()
    mask = F.interpolate(keep[:, None], size=32)  # 0 is the mean colour
    batches = zip((images * mask).split(500), labels.split(500), strict=True)
    return evaluate(model, list(batches)).accuracy


print(f"whole images                {(guesses == labels).double().mean():6.1%}")
for quarter in ("least", "most"):
    print(f"{quarter} important quarter grey {hidden(quarter):6.1%}")

# %% [markdown]
# Hiding the most important quarter costs 23.4 points, the least important one 4.5. If
# the map had no meaning, both would cost the same. So it marks positions that the
# network needs.

# %% [markdown] slide="slide"
# ## Two networks go by this name
#
# Most people who download "GoogLeNet" today get torchvision's. It differs from the
# paper's, and each difference is an option of `Form`:

# %% check=True
forms = {
    "the paper's": PAPER,
    "3×3 in the 5×5 branch": Form(third_kernel=3),
    "2×2 in the 4th pooling": Form(pool4_kernel=2),
    "BatchNorm": Form(batch_norm=True),
    "torchvision's": TORCHVISION,
}
for name, form in forms.items():
    with torch.device("meta"):
        net = googlenet(form=form)
    count, cost = look.totals(net, (3, 224, 224))
    print(f"{name:24}{count:10,} parameters  {cost / 1e9:.3f} G multiply-adds")

# %% [markdown] slide="-"
# torchvision's network has BatchNorm, and 3 × 3 kernels in its 5 × 5 branch. The latter
# is a known mistake. It stays, because the published weights were trained with it.

# %% [markdown] slide="slide"
# ## Against the paper
#
# In ILSVRC 2014 the winning top-5 error of 6.67 % needed **7 networks and 144 crops**
# of each image. What does one network reach with one crop?

# %% tags=["hide-input"]
# alt: Top-5 error against the number of network passes per image, on a logarithmic
# alt: axis. One network falls from 10.07 to 7.89 % with 144 crops; seven networks from
# alt: 8.09 to 6.67 % with 1008 passes.
fig, ax = plt.subplots(figsize=(7, 3.2))
for label, costs, errors, style in (
    ("1 network", (1, 10, 144), (10.07, 9.15, 7.89), ":s"),
    ("7 networks", (7, 70, 1008), (8.09, 7.62, 6.67), ":o"),
):
    color = plot.PAPER if label[0] == "1" else plot.MODEL_COLORS["GoogLeNet"]
    ax.plot(costs, errors, style, color=color)
    for cost, error in zip(costs, errors, strict=True):
        words = f"{error}  {label}" if cost == costs[0] else f"{error}"
        ax.annotate(words, (cost, error), (0, 6), textcoords="offset points")
ax.set(xscale="log", xlabel="passes through a network, for each image")
ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
ax.set(ylabel="top-5 error (%)", ylim=(6, 11))
title = "Table 3 of the paper: what does the last third of the error cost?"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown]
# One network with one crop reaches 10.07 %. The winner's 6.67 % take 7 × 144 = 1,008
# passes. When you compare networks, ask how many passes each of them had.

# %% [markdown] slide="subslide"
# **Our network on the test set, once.** We compare one crop, the whole image, and ten
# crops: four corners and the centre, each also mirrored. The ten probabilities are
# averaged.

# %%
test = photos.test.subset(course.pick(tiny=64, small=1500, full=None))
rest = 32 - side
looks = {"whole": test.images}
for y, x in ((0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)):
    piece = test.images[..., y : y + side, x : x + side]
    looks[y, x] = piece
    looks[y, x, "mirrored"] = piece.flip(-1)
votes = {}
for name, pixels in looks.items():
    logits, labels = predict(model, replace(test, images=pixels).loader(500))
    votes[name] = logits.softmax(dim=1)
ten = torch.stack([vote for name, vote in votes.items() if name != "whole"]).mean(dim=0)
one = votes[rest // 2, rest // 2]

# %% slide="subslide"
tested = {"one crop": one, "ten crops": ten, "whole image": votes["whole"]}
errors = {
    name: (vote.argmax(dim=1) != labels).double().mean().item()
    for name, vote in tested.items()
}
for name, error in errors.items():
    print(f"{name:12} {error:6.1%} of {len(labels):,} test images wrong")
saved = 1 - errors["ten crops"] / errors["one crop"]
print(f"ten crops save {saved:.0%} of the errors; in the paper {1 - 9.15 / 10.07:.0%}")

# %% [markdown] slide="subslide"
# Ten crops bring 2.0 points. With 1,500 images a difference of two errors has a
# standard error of up to 1.8, so ours is too small to count.
#
# Our run differs from the paper's: ten classes, top-1 error, photos of 32 pixels, an
# eighth of the width, BatchNorm, five epochs.

# %% [markdown] slide="slide"
# ## Answer
#
# How many parameters does GoogLeNet have, and where are the others saved?

# %% slide="fragment"
print(f"{parameters:,}: {theirs / parameters:.1f} times fewer than AlexNet, not 12")
saved, spent = in_alex[1] - in_google[1], in_google[0] - in_alex[0]
print(f"linear layers save {saved:,}; convolutions take {spent:,} more")
counted = f"{parameters:,} parameters, {theirs / parameters:.1f} times fewer than"
counted += " AlexNet (paper: 12)"
measured = (
    f"{counted}; width {width:g} reads {1 - errors['whole image']:.1%} of"
    f" CIFAR-10's test images, {1 - errors['ten crops']:.1%} with ten crops"
)
counted += f": linear layers save {saved / 1e6:.1f} million, convolutions"
counted += f" take {spent / 1e6:.1f} million more"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown]
# The end of the network saves the parameters: an average and one linear layer replace
# three linear layers. The module in the middle saves *operations*, which pay for depth.
#
# These counts are exact. That the error stays low is the paper's result on ImageNet;
# our short runs on few photos do not show it.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 05.1 Predict: module 4b
#
# 512 channels of 14 × 14 enter `Widths(160, 112, 224, 24, 64, 64)`. Without running
# anything:
#
# - (a) how many channels come out,
# - (b) how many would come out of the naive module,
# - (c) how many multiply-adds does the 5 × 5 branch take, its reduction included?

# %%
# solution
channels_out = 160 + 224 + 64 + 64
naive_out = 160 + 224 + 64 + 512
branch_cost = 14 * 14 * (512 * 24 + 5 * 5 * 24 * 64)
# end solution
answer = (channels_out, naive_out, branch_cost)

# %%
check("05.1", answer)

# %% [markdown] slide="subslide"
# ### 05.2 Write: an Inception module
#
# From `conv_relu` and `nn.MaxPool2d` alone: four branches in the paper's order, height
# and width kept. `w` is a `Widths`. The check tries your class with several.

# %%
def conv_relu(inputs, outputs, k):
    """A k x k convolution that keeps height and width, and its ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, k, padding=k // 2), nn.ReLU())


class MyInception(nn.Module):
    """Figure 2(b); (N, in_channels, H, W) -> (N, w.out_channels, H, W)."""

    def __init__(self, in_channels, w):
        super().__init__()
        # solution
        a, b, c = w.reduce_3x3, w.reduce_5x5, in_channels
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.one = conv_relu(c, w.out_1x1, 1)
        self.three = nn.Sequential(conv_relu(c, a, 1), conv_relu(a, w.out_3x3, 3))
        self.five = nn.Sequential(conv_relu(c, b, 1), conv_relu(b, w.out_5x5, 5))
        self.pool = nn.Sequential(pool, conv_relu(c, w.pool_proj, 1))
        # end solution

    def forward(self, x):
        # solution
        parts = self.one(x), self.three(x), self.five(x), self.pool(x)
        return torch.cat(parts, dim=1)

# %%
check("05.2", MyInception)

# %% [markdown] slide="subslide"
# ### 05.3 Modify: a module for a budget
#
# Module 4e takes 528 channels of 14 × 14 and 170 million multiply-adds. Its four
# outputs stay: 256, 320, 128, 128. Choose the two reductions so that it takes **at most
# 120 million**, and at least 110 million. Both reductions are at least 16.

# %%
# solution
cheaper = Widths(256, 80, 320, 32, 128, 128)
# end solution
cheaper

# %%
check("05.3", cheaper)

# %% [markdown] slide="subslide"
# ### 05.4 Write: two convolutions as one
#
# Two 1 × 1 convolutions without a ReLU between them are one. Write the function that
# finds it, weights and bias.

# %%
def merge(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """One 1x1 convolution that computes second(first(x)); both have a bias."""
    # solution
    merged = nn.Conv2d(first.in_channels, second.out_channels, 1)
    a, b = first.weight[:, :, 0, 0], second.weight[:, :, 0, 0]
    with torch.no_grad():
        merged.weight.copy_((b @ a)[:, :, None, None])
        merged.bias.copy_(b @ first.bias + second.bias)
    return merged

# %%
check("05.4", merge)

# %% [markdown]
# **Explain:** the pair has 192 × 16 + 16 × 128 weights, the merged one 192 × 128. What
# would we lose if we merged a reduction of an Inception module with its large kernel?

# %% [markdown] solution=True
# A ReLU stands between the reduction and the large kernel. With it the pair is not a
# linear map and cannot be merged. Without it the pair would be a linear map of limited
# rank: cheaper than a full convolution, but never able to do more.

# %% [markdown] slide="subslide"
# ### 05.5 Write: a class activation map
#
# Given the last maps, weight and bias of the linear layer, and a class: the map whose
# mean over all positions is the class's logit.

# %%
def class_map(maps, weight, bias, label):
    """Maps (N, C, H, W), weight (K, C), bias (K,), a class -> (N, H, W)."""
    # solution
    return (maps * weight[label][:, None, None]).sum(dim=1) + bias[label]

# %%
check("05.5", class_map)

# %% [markdown] slide="subslide"
# ### 05.6 Investigate: without reductions, at equal cost
#
# Take module 3a without reductions. Multiply the channels of its three convolutions by
# one **factor** below 1, so that it costs as much as the module *with* reductions.
# Compute the factor. Then train two networks that differ in this module alone, with
# several seeds. `gain`: by how many points of validation accuracy the module with
# reductions is better on average. It may be negative.

# %% slide="subslide"
def accuracy_with(build, seed):
    """Train a stem, one module and a linear layer; validation accuracy in percent."""
    torch.manual_seed(seed)
    block = build()
    channels = block(torch.zeros(1, 192, 8, 8)).shape[1]
    stem = BasicConv(3, 192, 3), nn.MaxPool2d(2)
    end = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)
    small = nn.Sequential(*stem, block, *end)
    loader = few.loader(50, shuffle=True, seed=seed)
    short = recipe | {"epochs": course.pick(tiny=1, small=3, full=10)}
    return 100 * fit(small, loader, val_loader, **short).rows[-1]["val_accuracy"]

# %%
# solution
factor = 128_049_152 / 303_464_448  # both from the tables above

# %%
# solution
narrow = Widths(*(round(factor * width) for width in astuple(w3a)))
gains = [
    accuracy_with(lambda: Inception(192, w3a), seed)
    - accuracy_with(lambda: NaiveInception(192, narrow), seed)
    for seed in seeds
]
gain = sum(gains) / len(gains)
print(f"gain {gain:+.1f} points; seed by seed", *(f"{g:+.1f}" for g in gains))

# %%
check("05.6", (factor, gain))

# %% [markdown]
# The narrow module puts out more channels than the real one. Where do they come from,
# and what would they cost the next module? Is your gain larger than twice its standard
# error?

# %% [markdown] solution=True
# 27 + 54 + 14 channels come from the convolutions and all 192 from the pooling: 287.
# Most of the output is the old maps, after a maximum over neighbours. In a row of nine,
# every later module would pay for these channels.
#
# At scale `small` the gain was 2.1 points, and negative with one seed of three. That is
# less than twice its standard error (3.2), so three seeds do not decide it.

# %% slide="skip"
check.progress("05")

# %% [markdown] slide="slide"
# ## Recap
#
# - A module's channels and costs are the sums over its branches. Without reductions the
#   channels only grow.
# - A 1 × 1 convolution is a linear layer at each position. It decides what the next
#   kernel costs: k × k × C_in × C_out at each position.
# - GoogLeNet has 6,998,552 parameters, 8.7 times fewer than AlexNet. An average and one
#   linear layer at the end save them.
# - Heads make a weak gradient larger. With He's weights it is not weak, and our short
#   run shows no effect. BatchNorm trained faster.
# - Each logit is the mean of a class activation map. Hiding its most important quarter
#   costs most.

# %% [markdown] slide="skip"
# ## References
#
# - C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V.
#   Vanhoucke, A. Rabinovich: *Going Deeper with Convolutions*, CVPR 2015. Section 1 (12
#   times fewer), Fig. 2 (modules), Table 1 and Fig. 3 (network, heads), Table 3 (crops
#   and ensembles).
# - M. Lin, Q. Chen, S. Yan: *Network in Network*, ICLR 2014: 1 × 1 convolutions, global
#   average pooling.
# - S. Ioffe, C. Szegedy: *Batch Normalization*, ICML 2015; its appendix has the
#   separable first layer.
# - C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: *Rethinking the Inception
#   Architecture for Computer Vision*, CVPR 2016. Sections 1 (5 million) and 4 (heads).
# - K. He, X. Zhang, S. Ren, J. Sun: *Delving Deep into Rectifiers*, ICCV 2015: the
#   initial weights.
# - B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba: *Learning Deep Features for
#   Discriminative Localization*, CVPR 2016: class activation maps.
# - torchvision's GoogLeNet: https://github.com/pytorch/vision/issues/906.
# - CIFAR-10: A. Krizhevsky, 2009. At scale `tiny`: the course's own drawings.

# %% slide="only" name="pile"
# alt: Channels after each naive module, from 416 after 3a to over 2,000 after 4c: the
# alt: pooling branch passes on all that came in.
import torch
from torch import nn

from teaching import architectures, blocks, kept
from utils import look, plot
from utils.models import build

channels, after = 192, {}
news = {"3a": (64, 128, 32), "3b": (128, 192, 96), "4a": (192, 208, 48)}
news |= {"4b": (160, 224, 64), "4c": (128, 256, 64)}
for name, new in news.items():
    channels += sum(new)
    after[f"after {name}"] = channels
plot.bars(after, xlabel="channels")

# %% slide="only" name="one-by-one"
# alt: A 1×1 convolution: the 192 numbers of one place enter a linear layer with 16 outputs,
# alt: the same at every place.
parts = [("input", "one place:|192 numbers"), ("linear", "16 weighted sums|192 × 16 weights")]
parts += [("pool", "ReLU"), ("input", "one place:|16 numbers")]
drawn, at = blocks.chain(70, parts)
drawn += blocks.text(450, 128, "the same weights at each of 28 × 28 places; neighbours are not read")
blocks.Diagram(drawn, blocks.WIDTH, 150, "192 numbers of a place become 16, the same everywhere")

# %% slide="only" name="where"
# alt: Parameters in millions: AlexNet has 2.3 in its convolutions and 58.6 in its linear
# alt: layers, GoogLeNet 6.0 and 1.0.
def split(model):
    """Parameters in convolutions and in linear layers, in millions."""
    kinds = {nn.Conv2d: 0, nn.Linear: 0}
    for layer in model.modules():
        if type(layer) in kinds:
            kinds[type(layer)] += sum(p.numel() for p in layer.parameters()) / 1e6
    return kinds.values()


with torch.device("meta"):
    two = {"AlexNet": split(build("alexnet_2012")), "GoogLeNet": split(build("googlenet"))}
counts = {}
for name, (convs, linear) in two.items():
    counts |= {f"{name}, convolutions": convs, f"{name}, linear": linear}
plot.bars(counts, xlabel="million parameters")

# %% slide="only" name="ends"
# alt: Parameters of the end of the network in millions: mean and one linear layer 1.0, one
# alt: linear layer on 50,176 numbers 50, three as in AlexNet 226.
ends = {"mean, one linear": 1024 * 1000 + 1000, "flatten, one linear": 1024 * 49 * 1000 + 1000}
ends["flatten, three linear"] = 1024 * 49 * 4096 + 4096 * 4096 + 4096 * 1000 + 9192
plot.bars({k: v / 1e6 for k, v in ends.items()}, xlabel="million parameters")

# %% slide="only" name="board"
# alt: Test accuracy of three kept runs after four epochs, a circle a seed: AlexNet about 61,
# alt: VGG-11 75.6, GoogLeNet 72.3 percent.
names = {"AlexNet": "alexnet-cifar10", "VGG-11": "vgg11_bn-cifar10"}
names |= {"GoogLeNet": "googlenet_bn-cifar10"}
plot.spread({k: kept.test_accuracy(v) for k, v in names.items()})

# %% slide="only" name="crops"
# alt: Top-5 error of the paper: one network and one crop 10.07 percent, one network and 144
# alt: crops 7.89, seven networks and 144 crops 6.67.
crops = {"1 network, 1 crop": 0.1007, "1 network, 144 crops": 0.0789}
crops |= {"7 networks, 1 crop": 0.0809, "7 networks, 144 crops": 0.0667}
plot.bars(crops, xlabel="top-5 error (%)")

# %% [markdown] slide="only" part="The idea"
# # GoogLeNet: more layers, fewer numbers
#
# Szegedy and others: *Going Deeper with Convolutions*, 2015
#
# ![](draw:blocks.googlenet())
#
# Note: 1 min. After the hour they can count a module's multiply-adds, say what a 1 × 1
# convolution does, and read a whole network from one table.

# %% [markdown] slide="only"
# ## Last time: VGG, in three questions
#
# 1. How many weights has 3 × 3 from 512 to 512 channels?
# 2. Where are most of VGG-16's parameters?
# 3. Which first weights keep the signal's size under ReLU?
#
# . . .
#
# 2.4 million; in the first linear layer; He's, variance 2 / n.
#
# Note: 2 min. A different row answers each. Keep the second answer on the board: today's
# network has no such layer.

# %% [markdown] slide="only"
# ## 22 layers, and fewer parameters than AlexNet
#
# ### How many times fewer? And where are they saved?
#
# . . .
#
# Vote: in the modules, by small kernels, at the end.
#
# Note: 1.5 min. AlexNet has 8 layers and 61 million. Write the votes down. Most say: in
# the modules.

# %% [markdown] slide="only" part="The module"
# ## Which kernel is right? Take all of them
#
# ![](draw:architectures.inception(naive=True))
#
# Note: 2 min. AlexNet chose by hand, VGG always 3 × 3. Here training decides what each
# branch contributes. All keep height and width; ask what padding the 5 × 5 needs: 2.

# %% [markdown] slide="only"
# ## How many channels come out of the naive module?
#
# ### 192 channels in; 64, 128 and 32 kernels. How many out?
#
# . . .
#
# > **416** = 64 + 128 + 32 + 192
#
# . . .
#
# The pooling branch passes on all 192 of its input.
#
# Note: 2 min. Expect 224: the pooling was forgotten. Ask how many come out of the next
# module with 128, 192 and 96 kernels: 832.

# %% [markdown] slide="only"
# ## Module after module, the channels pile up
#
# ![](run:pile)
#
# The number can only grow. Something must reduce it, cheaply.
#
# Note: 1.5 min. The cost of a 3 × 3 grows with the channels that come in. The paper calls
# it a computational blow-up.

# %% [markdown] slide="only"
# ## A 1 × 1 convolution is a linear layer at each place
#
# ![](run:one-by-one)
#
# Note: 2 min. Ask what it can see: one place, all channels. It mixes channels and reads no
# neighbours. The notebook copies its weights into a linear layer and gets the same.

# %% [markdown] slide="only"
# ## Reduce first, then convolve
#
# ![](draw:architectures.inception())
#
# Note: 2 min. Let them find the four 1 × 1: two reduce before a large kernel, one projects
# after the pooling, one is a branch of its own.

# %% [markdown] slide="only"
# ## The 5 × 5 branch, by hand
#
# ### 192 channels to 16, then 5 × 5 with 32 kernels: what does a place cost?
#
# . . .
#
# | | naive | reduced |
# |---|---:|---:|
# | 1 × 1 | | 192 × 16 = 3,072 |
# | 5 × 5 | 25 × 192 × 32 = 153,600 | 25 × 16 × 32 = 12,800 |
# | sum | 153,600 | **15,872** |
#
# Note: 3 min. Two minutes on paper. A tenth. Then the 3 × 3 branch, reduced to 96: 129,024
# for 221,184, only 58 percent. Ask why so little: 96 is half of 192.

# %% [markdown] slide="only"
# ## The whole module: 128 million in place of 303
#
# > **303 M** multiply-adds, naive, 416 channels out
#
# > **128 M** with reductions, 256 channels out
#
# . . .
#
# The ReLU after each reduction adds a non-linearity, too.
#
# Note: 1 min. Module 3a on 28 × 28 places. The saving is more than a half, and the next
# module gets fewer channels.

# %% [markdown] slide="only" part="The network"
# ## Nine modules in three stages
#
# ![](draw:blocks.googlenet())
#
# Note: 2 min. Count 22 layers on the longest path: 3 in the stem, 2 in each of 9 modules,
# 1 linear. Ask where the sides halve.

# %% [markdown] slide="only"
# ## A module is six numbers, the network a table
#
# ```python
# class Widths(NamedTuple):
#     out_1x1: int
#     reduce_3x3: int
#     out_3x3: int
#     reduce_5x5: int
#     out_5x5: int
#     pool_proj: int
# ```
#
# ### 3a is (64, 96, 128, 16, 32, 32). How many channels come out?
#
# . . .
#
# > **256** = 64 + 128 + 32 + 32
#
# Note: 2 min. Expect 368: the reductions do not come out. Names keep us from confusing
# six numbers; this is one row of the paper's Table 1.

# %% [markdown] slide="only"
# ## Four branches, one `torch.cat`
#
# ```python
# def forward(self, x):
#     branches = [
#         self.branch1(x),
#         self.branch2(x),
#         self.branch3(x),
#         self.branch4(x),
#     ]
#     return torch.cat(branches, dim=1)
# ```
#
# Note: 1.5 min. Ask what dim=1 is: channels. What must agree between the branches: height
# and width. What happens with dim=0: the photos multiply.

# %% [markdown] slide="only"
# ## The stem brings 224 pixels to 28
#
# ### 7 × 7 stride 2, pool, 1 × 1, 3 × 3, pool: which sides?
#
# . . .
#
# > **112, 56, 56, 56, 28**
#
# . . .
#
# A ReLU follows each convolution. Without it, 1 × 1 and 3 × 3 were one linear map.
#
# Note: 2 min. Let them use the formula for the first. A published version forgot the
# ReLUs: exercise 05.4 merges its two convolutions into one.

# %% [markdown] slide="only"
# ## Two auxiliary heads help in training only
#
# $$\text{loss} = L_{end} + 0.3\, L_{4a} + 0.3\, L_{4d}$$
#
# Each head is a small classifier with 3.2 million parameters.
#
# . . .
#
# The paper: they "increase the gradient signal". None of them remain after training.
#
# Note: 2 min. Ask why heads in the middle could help: a shorter road for the gradient. The
# notebook measures it with two kinds of first weights.

# %% [markdown] slide="only" part="What it saves"
# ## Parameters are saved at the end, not in the modules
#
# ![](run:where)
#
# Note: 2 min. Compare with the vote. GoogLeNet's convolutions have 2.6 times as many
# parameters as AlexNet's. 58.6 million of linear layers became 1.0.

# %% [markdown] slide="only"
# ## 8.7 times fewer parameters than AlexNet
#
# > **6,998,552** GoogLeNet
#
# > **60,965,224** AlexNet, two towers
#
# . . .
#
# The paper says 12 times. Count, before you quote.
#
# Note: 1.5 min. Exercise 05.6 looks at the paper's own numbers in Table 1. Modules save
# operations; the end saves parameters: two different things.

# %% [markdown] slide="only"
# ## A mean over each map, then one linear layer
#
# ### 1,024 maps of 7 × 7. How many parameters have the three ends?
#
# . . .
#
# ![](run:ends)
#
# Note: 2 min. Global average pooling. Ask what is lost: the place. And what is gained: any
# image size fits.

# %% [markdown] slide="only"
# ## Mean and linear layer may be swapped
#
# $$\text{logit} = w \cdot \frac{1}{49} \sum_{places} x = \frac{1}{49} \sum_{places} w \cdot x$$
#
# . . .
#
# So each logit is the mean of a map that says how much each place adds: a **class
# activation map**.
#
# Note: 2 min. Show the maps in the notebook: bright where the object is. It hides the most
# important quarter of each photo, and counts what is still right.

# %% [markdown] slide="only" part="Results"
# ## 6.67 % needed 1,008 passes a photo
#
# ![](run:crops)
#
# Note: 2 min. Seven networks times 144 crops. A third of the error goes away without a
# better network. Ask how many passes each network had whenever you compare two.

# %% [markdown] slide="only"
# ## On our scoreboard it lies between AlexNet and VGG
#
# ![](run:board)
#
# Four epochs each; GoogLeNet has {{ f"{kept.records(names['GoogLeNet'])[0]['model']['parameters']:,}" }}
# parameters, VGG-11 {{ f"{kept.records(names['VGG-11'])[0]['model']['parameters']:,}" }}.
#
# Note: 2 min. Difference to VGG-11 with its error is in the notebook. Ask what would be
# fair: equal parameters, or equal multiply-adds? It has a sixth, and more work.

# %% [markdown] slide="only"
# ## VGG-11 minus GoogLeNet, and how surely
#
# > **{{ f"{kept.difference(names['GoogLeNet'], names['VGG-11']).points:+.1f}" }}** points, standard error {{ f"{kept.difference(names['GoogLeNet'], names['VGG-11']).error:.1f}" }}
#
# . . .
#
# > **{{ f"{kept.records(names['VGG-11'])[0]['model']['parameters'] / kept.records(names['GoogLeNet'])[0]['model']['parameters']:.1f} ×" }}** as many parameters
#
# > **{{ f"{kept.records(names['VGG-11'])[0]['model']['multiply_adds'] / kept.records(names['GoogLeNet'])[0]['model']['multiply_adds']:.1f} ×" }}** as many multiply-adds
#
# Note: 1.5 min. More than twice its error: a difference, after four epochs. Few parameters
# do not mean little work.

# %% [markdown] slide="only"
# ## Since 2014: what remained, and what did not
#
# - 1 × 1 convolutions that reduce: ResNet's bottleneck, next but one.
# - The mean before one linear layer: nearly every network since.
# - Auxiliary heads: gone, since BatchNorm.
# - Six numbers a module, chosen by hand: gone.
#
# Note: 1.5 min. Ask why the heads went: BatchNorm and shortcuts keep the gradient alive.
# Next lecture.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - Inception: several kernels side by side, joined along channels.
# - 1 × 1 mixes channels; before a large kernel it saves work.
# - The end saves parameters, the modules save operations.
# - A mean over each map accepts any image size.
# - Ask for the passes a photo before you compare errors.
#
# Note: 1.5 min. Cover it, and let five students say one each.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **05.1** Module 4b on paper: channels, parameters, multiply-adds.
# - **05.2** Write an Inception module; the check compares it with the course's.
#
# Note: 1 min. The first takes ten minutes, the second twenty. 05.5 draws class activation
# maps, for those who want pictures.
