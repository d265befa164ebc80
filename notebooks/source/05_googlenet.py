# %% [markdown] slide="slide"
# # GoogLeNet: more layers, fewer numbers
#
# The winner of 2014 is deeper than any winner before it, and holds a fraction of their
# parameters. We build it from its table, check every row, and find out what pays.
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
# 3. assemble GoogLeNet from the paper's table, and tell which rows do not add up;
# 4. measure what auxiliary heads, batch normalisation and average pooling bring;
# 5. draw a map of where the network looks.
#
# A run takes a quarter of a minute at scale `tiny`, and about six minutes at `small` on
# a laptop.

# %% [markdown] slide="slide"
# ## Question
#
# AlexNet has 60,965,224 parameters. GoogLeNet, the paper says, "actually uses 12 times
# fewer", and is 22 layers deep instead of 8, counting those with weights.
#
# **How many parameters does it have, and where do the others go?**
#
# *A guess, before anything is computed: is it the clever module in the middle that
# saves them, the shape of the kernels, or the end of the network?*

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
# Is 1 × 1, 3 × 3 or 5 × 5 the right kernel for a layer? AlexNet chose by hand, VGG took
# 3 × 3 everywhere. The Inception module takes **all of them side by side**, and lets
# training decide what each is good for.

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
# The paper's Figure 2, drawn from left to right, with the channels of its first module,
# 3a. Why did the authors not stop at the left picture?

# %% [markdown] slide="notes"
# Simplified: each convolution ends in a ReLU, which the picture leaves out. All
# branches keep height and width, so their maps can be stacked as channels. Green boxes
# are the 1 × 1 convolutions that change the number of channels and nothing else. The
# paper calls the ones in front *reductions* and the one behind the pooling a
# *projection*.

# %% [markdown] slide="slide"
# ## Build: the naive module
#
# Six numbers say everything about a module. They get names, because a bare list of six
# is a mistake waiting to happen.

# %% mirror="utils.models.googlenet:Widths" slide="subslide"
from __future__ import annotations  # noqa: F404

from dataclasses import astuple, dataclass

# %% mirror="utils.models.googlenet:Form utils.models.googlenet:PAPER"

# %% mirror="utils.models.googlenet:BasicConv"

# %% mirror="utils.models.googlenet:NaiveInception"

# %% [markdown] slide="subslide"
# **Predict** for 192 channels of 28 × 28: how many channels come out? Which branch costs
# most? One value of a k × k kernel takes k × k × 192 multiply-adds.

# %% check=True
w3a = Widths(64, 96, 128, 16, 32, 32)
look.shape_table(NaiveInception(192, w3a), (192, 28, 28))

# %% [markdown]
# 64 + 128 + 32 + **192** = 416 channels: the pooling passes on all that it gets. And 32
# kernels of 5 × 5 cost 784 × 192 × 25 × 32 = 120 million, more than two thirds of what
# four times as many kernels of 3 × 3 cost, 173 million.

# %% [markdown] slide="subslide"
# **What happens in a row of nine?** Each module gets all channels of the one before,
# and the pooling never lets go of any. So the stack can only grow:

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
# This is what the paper calls a computational blow-up. Something has to reduce the
# channels, and it should cost little.

# %% [markdown] slide="slide"
# ## A 1×1 convolution is a linear layer
#
# A kernel of 1 × 1 sees one position and all its channels. Take the same weights as an
# `nn.Linear`, and apply it at every position. **Is there a difference?**

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
# No difference. The 1 × 1 convolution mixes channels and never looks at a neighbour. Its
# 16 outputs are 16 weighted sums of 192 inputs: a summary of each position.

# %% [markdown] slide="notes"
# The idea is from *Network in Network* by Lin, Chen and Yan: a small multilayer network
# that slides over the image. GoogLeNet uses it to save computation, and gets a second
# ReLU on the way: the paper calls its reductions "dual-purpose". Without that ReLU the
# 1 × 1 and the k × k behind it would be one linear map with fewer weights.

# %% [markdown] slide="slide"
# ## Reduce first, then look around
#
# By hand, for module 3a and the 5 × 5 branch, in multiply-adds per position:
#
# | | naive | with reduction to 16 |
# |---|---|---|
# | 1 × 1 | | 192 × 16 = 3,072 |
# | 5 × 5 | 25 × 192 × 32 = 153,600 | 25 × 16 × 32 = 12,800 |
# | sum | 153,600 | 15,872 |
#
# A tenth. **Do the same for the 3 × 3 branch** with its reduction to 96, then run the
# check.

# %% mirror="utils.models.googlenet:Inception"

# %% slide="subslide" check=True
real = Inception(192, w3a)
look.shape_table(real, (192, 28, 28), depth=2)

# %% [markdown]
# Out come 64 + 128 + 32 + 32 = 256 channels, for 128 million multiply-adds instead of
# 303. The 3 × 3 branch saves less than the 5 × 5: 96 of 192 channels are a mild
# reduction.

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
# Nine modules, a row each. The published Table 1 has the same columns.

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
# Naive modules start 2.4 times as expensive, and soon 10 to 20 times. The reductions do
# not polish the idea. They make it possible.

# %% [markdown] slide="subslide"
# **A claim to check.** Section 4 expects that the share of 3 × 3 and 5 × 5 "should
# increase as we move to higher layers". Does the table do so?

# %% check=True
for name, widths in TABLE_1.items():
    spatial = (widths.out_3x3 + widths.out_5x5) / widths.out_channels
    print(f"{name}: {spatial:5.1%} of the channels look at neighbours")

# %% [markdown]
# Only from 4a to 4d. Over the whole network the share falls, from 62.5 to 50 %. The
# paper says that the exact numbers matter little, and does not tell how it found them.

# %% [markdown] slide="slide"
# ## Build: stem, heads, stages
#
# The modules begin at 28 × 28. Before them a plain *stem* takes the image down by 8.

# %% mirror="utils.models.googlenet:max_pool"

# %% mirror="utils.models.googlenet:GoogLeNetStem"

# %% [markdown] slide="subslide"
# **Predict** the side after each of the five steps. It begins at 224; then come 7 × 7
# with stride 2, pool, 1 × 1, 3 × 3, pool.

# %% check=True
stem = GoogLeNetStem(3, 64, 192, PAPER)
look.shape_table(stem, (3, 224, 224), depth=1)

# %% [markdown] slide="subslide"
# From the middle of the network two *auxiliary heads* branch off, behind 4a and 4d.
# They classify too, and exist **in training only**.

# %% mirror="utils.models.googlenet:Head"

# %% slide="subslide" check=True
head = Head(512, 128, 1024, 1000, PAPER)
look.shape_table(head, (512, 14, 14))

# %% [markdown]
# 3.2 million parameters for a head that is thrown away. Its first linear layer alone
# has two thirds of them: 2,048 × 1,024.

# %% mirror="utils.models.googlenet:inception_stage utils.models.googlenet:STAGES"

# %% [markdown] slide="slide"
# ## Assemble: 6,998,552 parameters
#
# In training the forward pass leaves the heads' logits in `aux_logits`; the loss takes
# them from there. In evaluation the heads are not computed at all.

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

# %% [markdown] slide="notes"
# `googlenet` builds the parts and puts them together; it is too long for a cell and
# holds nothing new. Its options: `num_classes`, `in_channels`, `aux`, `form`, `width`,
# `dropout`, and `stem="cifar"` for small images, which changes the stem alone. The cells
# above are the same code as the module's.

# %% [markdown] slide="slide"
# ## Which rows of Table 1 add up?
#
# The paper prints parameters and operations for each row. Nobody proofreads such
# columns, so we do. We count **weights without biases**, which the paper leaves out.

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
# Read the arrows:
#
# - **K is 1,024** here: the linear row has 1,024,000 weights, printed as 1000K.
# - Operations: ten of twelve rows are ours. Only the first row and **5a** are not.
# - 5a has the widths of 4e on 832 channels: 51 M. The printed 1072K × 49 places does
#   give 54 M, so both numbers come from a module that is *not* the printed one.
# - 4a, 4c, 4d, 4e, 5b: operations right, parameters lower than the printed widths give.

# %% [markdown] slide="notes"
# For 4c the two columns contradict each other: 463 × 1024 weights at 196 places make 93
# million, not 100. So it is the parameter column that is off, perhaps left from an
# earlier version of the network. Which version, the paper does not say. For 5a no
# change of one width to a multiple of 8 gives 1072: we tried them all.

# %% [markdown] slide="subslide"
# **The first row.** 7 × 7 × 3 × 64 = 9,408 weights, printed as 2.7K. Both of its numbers
# fit a *separable* convolution: 8 kernels of 7 × 7 for each colour, then a 1 × 1.

# %% check=True
depthwise = nn.Conv2d(3, 3 * 8, 7, stride=2, padding=3, groups=3, bias=False)
separable = nn.Sequential(depthwise, nn.Conv2d(24, 64, 1, bias=False))
count, cost = look.totals(separable, (3, 224, 224))
print(f"{count:,} weights, {cost / 1e6:.1f} million multiply-adds")

# %% [markdown]
# 2.7K and 34 M. The same group describes exactly this first layer, "depth multiplier 8",
# in its next paper (Ioffe and Szegedy 2015). That it stood here already is our guess.

# %% [markdown] slide="slide"
# ## The claim: 12 times fewer
#
# Which count makes twelve? We try the natural ones.

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
# Ours is **8.7**. No count gives 12, which would take 5 million parameters.

# %% [markdown] slide="notes"
# What is known: in a paper of 2016 two of the authors write that GoogLeNet "employed
# only 5 million parameters, which represented a 12× reduction with respect to its
# predecessor AlexNet, which used 60 million" (Szegedy et al., *Rethinking the Inception
# Architecture*). So 12 is 60 / 5. What is not known: what they counted to get 5. The
# paper's own table sums to 6.8 million. Dropping rows until 5 million is left is
# possible in several ways, and none of them has a reason.

# %% [markdown] slide="subslide"
# **Where do the others go?** Split both networks into convolutions and linear layers.
# Guess the winner of each line first.

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
# GoogLeNet's convolutions hold **2.6 times more** than AlexNet's. All that is saved,
# and more, is saved at the end: 58.6 million against 1.0 million. So what stands there
# instead?

# %% [markdown] slide="slide"
# ## Average the maps, then one linear layer
#
# *Global average pooling* turns 1,024 maps of 7 × 7 into 1,024 numbers. The alternative
# is to flatten them. **Predict** the parameters of each end.

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
# 1 million, 50 million, 226 million. The paper reports that going from fully connected
# layers to the average also *raised* top-1 accuracy by about 0.6 points.

# %% [markdown] slide="subslide"
# **Two free gifts.** The linear layer behind the average is a 1 × 1 convolution, and
# mean and linear map can change places:

# %% check=True
maps, fc = torch.randn(2, 1024, 7, 7), nn.Linear(1024, 1000)
logits = fc(maps.mean(dim=(2, 3)))  # average first, then classify
scores = F.conv2d(maps, fc.weight[:, :, None, None], fc.bias)  # classify each place
assert torch.allclose(scores.mean(dim=(2, 3)), logits, atol=1e-5)
print(tuple(scores.shape), "one map for each class; its mean is the logit")

# %% [markdown]
# So each logit is the mean of a **class activation map**: it says which places voted for
# the class. And the network takes images of any size. We use both below.

# %% [markdown] slide="slide"
# ## Four faults in the lecture slides
#
# | the slides | what is wrong |
# |---|---|
# | "no FC layers" | above code that ends in `nn.Linear(1024, 1000)` |
# | `num_classes=2` | never used: two classes get 1,000 logits |
# | `base_dim` | any value but 64 breaks the second module |
# | stem without ReLU | two convolutions in a row that learn one |

# %% [markdown] slide="notes"
# `base_dim`: the slides' second module takes `base_dim * 4` channels, and the first one
# puts out 64 + 128 + 32 + 32 = 256 whatever `base_dim` is. A second version of the
# slides uses `num_classes`; both end in `out.view(batch_size, -1)` with a global
# `batch_size`, which fails for the last, shorter batch. And a network with one linear
# layer at its end has a fully connected layer: what went are the hidden ones.

# %% [markdown] slide="subslide"
# **Two convolutions without ReLU are one.** Which kernel does the work of a 7 × 7 and a
# 3 × 3 in a row? Its side is 7 + 3 − 1 = 9.

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
# The slides put a max pooling between the two. It bends a little, and it is all the
# bend there is: in the real stem a ReLU follows each of the three convolutions.

# %% [markdown] slide="slide"
# ## Do the heads help the gradient?
#
# The paper adds the heads, with weight 0.3 each, to "increase the gradient signal that
# gets propagated back". **Guess**: by which factor, at the first layers?

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
# Two beginnings: the weights of He et al., which our modules use, and the smaller ones
# that torch draws by default.

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

# %% [markdown] slide="notes"
# With He's weights the signal keeps its size through all layers, forward and backward,
# and the heads have nothing to repair. Torch's default is smaller by a factor of about
# 2.4 for each layer, so that the gradient fades on its way back; the heads shorten the
# way and multiply what arrives at the stem. The paper does not say how it drew its
# weights. In 2014 He's rule was not yet published. So the heads answered a question
# that a better beginning, and batch normalisation, later removed.

# %% [markdown] slide="slide"
# ## Heads or normalisation: what trains faster?
#
# Three networks of the same width and the same settings. `googlenet_loss(net)` adds the
# heads' losses in training; validation is the main output alone.

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
# Compare each difference with the ranges in brackets. A difference inside them is no
# finding.

# %% [markdown] slide="notes"
# At our scale `small` the heads' differences stay within the spread of the seeds, and
# batch normalisation is better with every seed. That fits the gradients above: our
# plain network begins with He's weights, so there is no fading gradient to repair.
#
# What the same group found later, on ImageNet (Rethinking the Inception Architecture,
# section 4): with and without heads the curves are almost equal early in training; near
# the end the network with heads gets slightly better; taking the lower head away does
# no harm. So the heads act as a regulariser, and the first explanation "is most likely
# misplaced", in their own words. Batch normalisation is the subject of the next lecture.
# Here it stands for a question: what makes a deep network trainable, a shorter way back
# or a signal of steady size?

# %% [markdown] slide="slide"
# ## Train on crops, validate on whole images
#
# Now one network for longer: the BatchNorm form with both heads. It sees random crops,
# at scale `small` of 24 × 24 pixels. Validation uses **whole images of 32 × 32**:
# averaged maps do not mind.

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
# The training loss is a sum of three, 1 + 0.3 + 0.3: divide by 1.6 to compare. It is
# also measured on crops, with dropout, while the weights move.

# %% [markdown] slide="subslide"
# **What do the heads know?** The paper expects features in the middle to be "very
# discriminative" already. The same images, read at three depths:

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

# %% [markdown] slide="slide"
# ## Look inside: which branch carries what?
#
# Each branch puts out its own maps. Here are the first maps of each branch of module 3b
# for one photograph.

# %% slide="subslide"
# alt: The same photograph in four rows of feature maps, one for each branch of module
# alt: 3b: 1x1, 3x3, 5x5 and pooling; the pooling branch's maps are coarser.
names = ("branch_1x1", "branch_3x3", "branch_5x5", "branch_pool")
where = {f"stage3.inception3b.{name}": name for name in names}
maps = look.feature_maps(model, images[3], list(where))
named = {where[name].removeprefix("branch_"): m for name, m in maps.items()}
title = f"Module 3b looks at a {photos.classes[labels[3]]}: which rows show edges?"
pictures.feature_maps(named, columns=8, title=title);

# %% [markdown] slide="subslide"
# **Take one branch away.** A hook replaces its output by zeros, and we read the
# validation images again. Nine modules, four branches: which loss hurts?

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

# %% [markdown] slide="notes"
# Read with care. The network was trained with all branches, so a silent one is a damage
# it never met; trained without it, the network might do as well. What the table shows
# is how this network has divided its work, not which branch is needed in principle.
# Compare also with the number of channels: the 5 × 5 branch has a tenth to a fifth of
# them. At scale `small` the last two modules lose a branch most easily: little is built
# on their maps, and on those of 5b nothing but the average.

# %% [markdown] slide="slide"
# ## Look inside: where does it look?
#
# The proof above gave each class a map for free. No gradient, no second network: one
# matrix product.

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
# **Does the map tell the truth?** Pictures flatter. A test: hide the quarter of the
# image that the map finds most important, or the least important quarter.

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
# If the map were a decoration, both quarters would cost the same.

# %% [markdown] slide="slide"
# ## Two networks go by this name
#
# Most downloads of "GoogLeNet" today are torchvision's. It differs, and each difference
# is an option of `Form` here, one line at a time:

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

# %% [markdown] slide="notes"
# The 3 × 3 is a known fault: the weights were converted from another code base that had
# it so, and the published weights only work with it. Batch norm came a year after
# the paper. Two differences move no parameter: other pooling windows in the heads, and
# an epsilon of 0.001 in the batch norms. With torchvision's weights loaded our network
# gives its logits to five digits; the course's tests prove it.

# %% [markdown] slide="slide"
# ## Against the paper
#
# ILSVRC 2014, top-5 error. The winning 6.67 % needed **7 networks and 144 crops** of
# each image. What does one network reach with one look?

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
# A thousand passes instead of one take the error from 10.07 to 6.67 %. Comparing
# networks, ask how often each was allowed to look.

# %% [markdown] slide="subslide"
# **Ours, on the test set, once.** One crop, the whole image, and ten crops: four corners
# and the centre, mirrored too, their probabilities averaged.

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

# %% [markdown] slide="notes"
# What differs from the paper: ten classes instead of a thousand, top-1 instead of top-5
# error, photographs of 32 pixels, a network of an eighth of the width at scale `small`,
# some thousand images, batch normalisation, and minutes instead of a week. The paper's
# networks were trained without batch normalisation, with asynchronous SGD, momentum
# 0.9, a learning rate falling by 4 % every 8 epochs, and averaged weights.

# %% [markdown] slide="slide"
# ## Answer
#
# How many parameters, and where do the others go?

# %% slide="fragment"
print(f"{parameters:,}: {theirs / parameters:.1f} times fewer than AlexNet, not 12")
saved, spent = in_alex[1] - in_google[1], in_google[0] - in_alex[0]
print(f"linear layers save {saved:,}; convolutions take {spent:,} more")
run.headline(
    f"{parameters:,} parameters, {theirs / parameters:.1f} times fewer than AlexNet"
    f" (paper: 12): linear layers save {saved / 1e6:.1f} million, convolutions take"
    f" {spent / 1e6:.1f} million more"
)

# %% [markdown]
# It is the end of the network that saves: an average in place of two hidden layers. The
# module in the middle saves *operations*, and spends them on depth.

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
# Module 4e takes 528 channels of 14 × 14 and 170 million multiply-adds. Its four outputs
# stay: 256, 320, 128, 128. Choose the two reductions so that it takes **at most 120
# million**, and at least 110: what is paid for should be used. Both at least 16.

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
# would be lost if one merged the reductions of an Inception module so?

# %% [markdown] solution=True
# Between its reduction and its large kernel stands a ReLU: with it the pair is no linear
# map, and nothing can be merged. Without it the pair would be a linear map of limited
# rank, cheaper than the full one and never better.

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
# Take module 3a without reductions, and multiply the channels of its three convolutions
# by one **factor** below 1, so that it costs as much as the module *with* reductions.
# Compute the factor. Then train two networks that differ in this module alone, with
# several seeds. `gain`: by how many points of validation
# accuracy the module with reductions is better on average; it may be negative.

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
# and what would they cost the next module?

# %% [markdown] solution=True
# Three convolutions of 27, 54 and 14 channels, and all 192 of the pooling: 287. Most of
# its output is the old maps, a little blurred by the maximum. For one module the gain
# is small: at scale `small` it was about two points, and negative with one seed of
# three. In a row of nine every later module pays for all channels that were never let
# go, and then the comparison at equal cost leaves almost nothing for the kernels.

# %% slide="skip"
check.progress("05")

# %% [markdown] slide="slide"
# ## Recap
#
# - A module's channels are the sum of its branches; its cost is counted branch by
#   branch. Without reductions a row of nine blows up.
# - A 1 × 1 convolution is a linear layer at each position. In front of a large kernel it
#   decides what that kernel costs.
# - The table gives 6,998,552 parameters. Most of its printed operations are right, many
#   of its printed parameters are not, and 12 times fewer than AlexNet is 8.7.
# - The heads lift a fading gradient. With well-drawn weights there is little to lift;
#   batch normalisation changes more.
# - An average and one linear layer replace 58 million parameters, take any image size,
#   and show where the votes come from.

# %% [markdown] slide="skip"
# ## References
#
# - C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V.
#   Vanhoucke, A. Rabinovich: *Going Deeper with Convolutions*, CVPR 2015. Section 1 (12
#   times fewer), section 4 and Fig. 2 (modules), section 5, Table 1 and Fig. 3 (network,
#   heads), section 6 (training), section 7 and Table 3 (crops and ensembles).
# - M. Lin, Q. Chen, S. Yan: *Network in Network*, ICLR 2014: 1 × 1 convolutions, global
#   average pooling.
# - S. Ioffe, C. Szegedy: *Batch Normalization*, ICML 2015, appendix: the separable first
#   layer.
# - C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: *Rethinking the Inception
#   Architecture for Computer Vision*, CVPR 2016. Section 1 (5 million), section 4
#   (heads).
# - K. He, X. Zhang, S. Ren, J. Sun: *Delving Deep into Rectifiers*, ICCV 2015: the
#   initial weights.
# - B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba: *Learning Deep Features for
#   Discriminative Localization*, CVPR 2016: class activation maps.
# - torchvision's GoogLeNet: https://github.com/pytorch/vision/issues/906.
# - CIFAR-10: A. Krizhevsky, 2009. At scale `tiny`: the course's own drawings.
