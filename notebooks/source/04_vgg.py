# %% [markdown] slide="slide"
# # VGG: depth from small kernels
#
# One kind of layer, a 3 × 3 convolution, stacked eight to sixteen times. We weigh small
# kernels against a large one, build all six networks from one table, and ask what depth
# is worth.
#
# *Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image
# Recognition. International Conference on Learning Representations (ICLR), 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute what a stack of convolutions sees, and what it costs;
# 2. build each VGG from its list, and prove its parameters and multiply-adds;
# 3. say where a network's memory and its parameters sit, layer by layer;
# 4. write adaptive pooling's exact rule, and choose initial weights that survive depth.
#
# A run takes a quarter of a minute at scale `tiny`, and six to ten minutes at `small`
# on a laptop.

# %% [markdown] slide="slide"
# ## Question
#
# VGG-16 holds **138,357,544** numbers, in 16 layers with weights.
#
# **Which share of them sits in a single layer?**
#
# *A guess, before anything is computed: 10, 25, 50 or 75 %?*
#
# *A second guess: on small photos, how many points does VGG-19 gain over VGG-11?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import math
from collections.abc import Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teaching import check, diagrams, kernels, sliders
from utils import course, data, look, pictures, plot
from utils.course import CourseError
from utils.look import trace
from utils.models import alexnet
from utils.models.alexnet import LocalResponseNorm
from utils.models.vgg import scaled_config, vgg
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
photos = data.cifar10()

# %% [markdown] slide="slide"
# ## The idea: one small part, many times
#
# AlexNet has kernels of 11, 5 and 3. Which size is best? The paper does not choose: it
# takes the **smallest kernel that knows left from right and up from down**, 3 × 3, and
# varies one thing alone, the depth.

# %% tags=["hide-input"]
Stage = diagrams.Stage
sides, channels = (112, 56, 28, 14, 7), (64, 128, 256, 512, 512)
blocks = [
    Stage("block", f"{n} × conv 3×3, max pool", c, s)
    for n, c, s in zip((2, 2, 3, 3, 3), channels, sides, strict=True)
]
linear = [Stage("linear", "linear", n) for n in (4096, 4096, 1000)]
diagrams.network(
    [Stage("input", "photo", 3, 224), *blocks, *linear],
    alt="VGG-16: a photo of 3×224×224, five blocks of two, two, three, three and three"
    " 3×3 convolutions, each ended by max pooling that halves the sides, and three"
    " linear layers of 4096, 4096 and 1000 values.",
)

# %% [markdown] slide="notes"
# Configuration D of the paper's Table 1, known as VGG-16: 13 convolutions and 3 linear
# layers have weights. Simplified: each box of a block stands for its convolutions, a
# ReLU behind each, and the pooling. Two rules give the whole shape. A convolution pads
# by one ring and keeps the sides; a pooling halves them, and the next block has twice
# the channels, up to 512.

# %% [markdown] slide="subslide"
# **Against AlexNet**: predict which of the three quantities grows most, from AlexNet to
# VGG-16. The networks stand on the `meta` device: shapes, and no values.

# %% check=True
with torch.device("meta"):
    pair = {"AlexNet": alexnet.alexnet(), "VGG-16": vgg("D")}
print(f"{'':8}  layers  kernels      parameters   multiply-adds")
for name, net in pair.items():
    convs = [m.kernel_size[0] for m in net.modules() if isinstance(m, nn.Conv2d)]
    layers = len(convs) + sum(isinstance(m, nn.Linear) for m in net.modules())
    parameters, work = look.totals(net, (3, 224, 224))
    sides = ", ".join(map(str, sorted(set(convs), reverse=True)))
    print(f"{name:8}{layers:8}  {sides:9}{parameters:14,}{work:16,}")

# %% [markdown]
# Twice the layers, 2.3 times the parameters, and **22 times the work**. In the
# competition of 2014 VGG had 7.3 % top-5 error; AlexNet had 15.3 % in 2012.

# %% [markdown] slide="notes"
# In both cases the predictions of several networks were averaged. Our count is of the
# AlexNet that torchvision builds, in one column (2014); that of 2012 has 60,965,224
# parameters. The slides quote "11.7 % in 2013 → 7.3
# %": the 11.7 are the winner's of 2013, another group, as the paper's Table 7 says.
# GoogLeNet won in 2014 with 6.7 %; two VGG networks reached 6.8 % after the deadline.

# %% [markdown] slide="slide"
# ## Three 3 × 3 see what one 7 × 7 sees
#
# A value behind one 3 × 3 convolution sees 3 pixels across. Put a second one behind: it
# sees 3 values, the outer ones see one pixel further. **How many pixels do three
# see?** Each adds k − 1.

# %% check=True
def conv(k, channels=8):
    return nn.Conv2d(channels, channels, k, padding=k // 2)


for sides in ([3], [3, 3], [3, 3, 3], [7], [3, 3, 3, 3, 3], [11]):
    stack = nn.Sequential(*[conv(k) for k in sides])
    formula = look.receptive_field(stack)
    seen = kernels.receptive_field_by_gradient(stack, (8, 21, 21))
    print(f"{sides!s:16} formula {formula:2}   by gradient {seen[0]:2} × {seen[1]}")

# %% [markdown]
# Three reach 7, as the slides say; five reach AlexNet's 11. The gradient of one output
# value is not 0 exactly where that value looks: two ways, one answer.

# %% [markdown] slide="subslide"
# **Before you move it:** how many layers of 3 × 3 see 11 pixels, and how many of 5 × 5?
# And three layers of 3 × 3, each with stride 2: more than twice as far?

# %%
# alt: Rows of dots from one value at the top to the pixels at the bottom. Behind three
# alt: 3 × 3 layers it looks at 3 values, these at 5, and these at 7 pixels of a row.
ranges = {"layers": (1, 5), "kernel": [1, 3, 5, 7], "stride": (1, 2)}
sliders.explore(kernels.receptive_field, **ranges)

# %% [markdown] slide="notes"
# Five of 3 × 3 see 1 + 5 · 2 = 11. Of 5 × 5 two see 9 and three see 13. With stride 2
# each layer's step counts double for the next: 1 + 2 + 4 + 8 = 15, more than twice 7.
# And kernels of 1 see one pixel, however many there are.

# %% [markdown] slide="subslide"
# **The same square, seen alike?** We set all weights to 1 and ask each pixel for its
# gradient. That counts the *paths* from the pixel to the middle value. How many paths
# does the corner have behind three layers, how many the centre?

# %% check=True
def paths(kernels, size=9):
    """How many ways lead from each pixel to the middle value: its gradient."""
    image = torch.ones(1, 1, size, size, requires_grad=True)
    x = image
    for k in kernels:
        x = F.conv2d(x, torch.ones(1, 1, k, k), padding=k // 2)
    x[0, 0, size // 2, size // 2].backward()
    return image.grad[0, 0]


counted = {"one 3×3": [3], "two 3×3": [3, 3], "three 3×3": [3, 3, 3], "one 7×7": [7]}
counted = {name: paths(kernels) for name, kernels in counted.items()}
counted["three 3×3"][4].int().tolist()  # the middle row

# %% tags=["hide-input"] slide="subslide"
# alt: Four squares of numbers, the paths from each pixel to the middle value. One 3×3: a
# alt: square of nine ones. Two: 25 pixels, 9 in the centre. Three: 49 pixels, 1 in the
# alt: corners, 49 in the centre. One 7×7: 49 ones.
fig, axes = plt.subplots(1, 4, figsize=(7, 2.3))
for ax, (name, grid) in zip(axes, counted.items(), strict=True):
    shown = grid.masked_fill(grid == 0, math.nan)
    ax.imshow(shown, cmap="cividis", vmin=0, vmax=grid.max())
    for i, j in grid.nonzero().tolist():
        color = "black" if grid[i, j] > grid.max() / 2 else "white"
        n = f"{grid[i, j]:.0f}"
        ax.text(j, i, n, ha="center", va="center", fontsize=6.5, color=color)
    ax.set(xticks=[], yticks=[])
    ax.set_title(name, loc="center", fontsize=11)
    ax.grid(False)
    ax.spines[:].set_visible(False)
title = "Paths from each pixel: the same 7 × 7 pixels, with another emphasis"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown]
# The corner has one path, the centre 7 × 7 = 49. A stack looks **mainly at the middle**
# and less at the rim; a single 7 × 7 kernel may weigh all 49 pixels as it likes.

# %% [markdown] slide="slide"
# ## 27 weights against 49, between channels
#
# The slides count 3 · (3 · 3) = 27 weights against 7 · 7 = 49. That is one pair of
# channels. For C channels in and out, what does a layer hold?

# %% check=True
print(f"{'':12}{'C = 64':>12}{'C = 256':>12}{'C = 512':>12}")
counts = {}
with torch.device("meta"):
    for sides in ([3, 3, 3], [7]):
        stacks = [[conv(k, c) for k in sides] for c in (64, 256, 512)]
        counts[len(sides)] = [sum(m.weight.numel() for m in s) for s in stacks]
        print(f"{sides!s:12}" + "".join(f"{n:12,}" for n in counts[len(sides)]))
assert counts == {n: [w * c * c for c in (64, 256, 512)] for n, w in ((3, 27), (1, 49))}
print(f"49 C² / 27 C² = {49 / 27:.2f}")

# %% [markdown]
# **27 C² against 49 C²**: the large kernel needs 81 % more, and as many more
# multiply-adds, since each weight is used once a position.

# %% [markdown] slide="subslide"
# And three ReLUs in place of one. Are they needed? Leave them out: then the stack **is**
# one 7 × 7 kernel. We find it by sending in a single bright pixel.

# %% check=True
small = torch.randn(3, 1, 1, 3, 3, generator=torch.Generator().manual_seed(0)).double()


def stacked(x, bend=lambda x: x):
    """Three 3x3 kernels in a row, with `bend` between them."""
    for i, kernel in enumerate(small):
        x = F.conv2d(x if i == 0 else bend(x), kernel)
    return x


dot = torch.zeros(1, 1, 13, 13).double()
dot[..., 6, 6] = 1
large = stacked(dot).flip(2, 3)  # a convolution turns what it meets; (1, 1, 7, 7)
image = torch.randn(1, 1, 20, 20, dtype=torch.float64)
by_large = F.conv2d(image, large)
print("without ReLUs:", torch.allclose(stacked(image), by_large), tuple(large.shape))
print("with ReLUs:   ", torch.allclose(stacked(image, torch.relu), by_large))

# %% [markdown] slide="notes"
# So without ReLUs the stack is a 7 × 7 kernel with 27 free numbers in place of 49: not
# every 7 × 7 kernel can be had. The paper (Sec. 2.3) calls the stack "a regularisation"
# of the 7 × 7 filters, forced into a decomposition, "with non-linearity injected in
# between". It measured the other side too (Sec. 4.1): a network like B, each pair of 3
# × 3 replaced by one 5 × 5, had a top-1 error 7 % higher.

# %% [markdown] slide="slide"
# ## Build: a network is a list
#
# Table 1 of the paper, as tuples. A tuple holds the layers between two poolings; 64 is
# the paper's *conv3-64*. Where do the six differ?

# %% mirror="utils.models.vgg:Block utils.models.vgg:CONFIGS" slide="subslide"

# %% check=True slide="subslide"
print("        convolutions by block   with weights")
for letter, config in CONFIGS.items():
    numbers = [sum(layer != "LRN" for layer in block) for block in config]
    ones = sum("conv1" in str(layer) for block in config for layer in block)
    extra = f"  ({ones} of them 1×1)" if ones else ""
    print(f"{letter:6}{numbers!s:>18}{sum(numbers) + 3:14}{extra}")

# %% [markdown]
# The slides say that "the first two blocks have one convolution": of **A alone** (and
# A-LRN). From B on they have two.

# %% [markdown] slide="notes"
# So A is VGG-11, B VGG-13, D VGG-16 and E VGG-19, named by layers with weights. C has 16
# too, three of them 1 × 1: those mix channels and bend once more, and see no further.
# A-LRN asks whether AlexNet's normalisation helps; it does not (29.7 against 29.6 %
# top-1 error), and the paper leaves it out from then on.

# %% [markdown] slide="subslide"
# A layer of the table is read into kernel and channels; a block is built from a tuple.

# %% mirror="utils.models.vgg:read_layer" slide="-"

# %% mirror="utils.models.vgg:VGGBlock" slide="subslide"

# %% [markdown] slide="subslide"
# The third block of D at its place in the network: 128 channels of 56 × 56 come in.
# Predict its output, and the parameters of its first convolution: 256 · (128 · 9 + 1).

# %% check=True
look.shape_table(VGGBlock(128, CONFIGS["D"][2]), (128, 56, 56))

# %% [markdown]
# 256 × 1,153 = 295,168. Three convolutions keep 56 × 56, the pooling leaves 28 × 28.

# %% [markdown] slide="subslide"
# Blocks in a row, then linear layers: any number of hidden ones, or none.

# %% mirror="utils.models.vgg:vgg_features" slide="-"

# %% mirror="utils.models.vgg:vgg_classifier" slide="subslide"

# %% [markdown] slide="subslide"
# And the whole. Two of its lines get a section each: `AdaptiveAvgPool2d` and
# `initialize`.

# %% mirror="utils.models.vgg:initialize" slide="-"

# %% mirror="utils.models.vgg:VGG" slide="subslide"

# %% [markdown] slide="slide"
# ## Assemble: all six, counted
#
# Network D from its parts. Then the six in one loop, beside the paper's Table 2, which
# gives millions of parameters.

# %% check=True
with torch.device("meta"):
    features = vgg_features(CONFIGS["D"], in_channels=3)
    classifier = vgg_classifier(512 * 7 * 7, (4096, 4096), 1000, dropout=0.5)
    vgg16 = VGG(features, classifier)
table = {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}
print("          parameters  paper   multiply-adds")
for letter, millions in table.items():
    with torch.device("meta"):
        parameters, work = look.totals(vgg(letter), (3, 224, 224))
    assert round(parameters / 1e6) == millions
    print(f"{letter:6}{parameters:14,}{millions:5} M{work / 1e9:13.3f} G")
assert look.totals(vgg16, (3, 224, 224)) == (138_357_544, 15_470_264_320)

# %% [markdown]
# From A to E the work grows by 158 %, the parameters by 8 %: depth is paid in time.

# %% [markdown] slide="notes"
# `vgg("D")` is the builder in `utils.models.vgg`: it puts the same parts together, and
# knows a width factor and small images besides. LRN has no weights, and the counter
# does not count its few operations.

# %% [markdown] slide="subslide"
# **What does the last map see?** The formula, for each configuration. Predict whether
# C's 1 × 1 kernels change anything against B.

# %% check=True
with torch.device("meta"):
    reach = {letter: look.receptive_field(vgg(letter).features) for letter in "ABCDE"}
print(reach)

# %% [markdown]
# C sees as far as B: its three layers add non-linearity alone. D's 3 × 3 kernels at the
# same places see further, and do better (Table 3: 27.0 against 28.1 % error). So both
# count: the paper's argument in one pair of columns.

# %% [markdown] slide="subslide"
# **Three networks of our slides are one class.** VGG-11 for grey images of 224 × 224; a
# VGG-16 for 32 × 32 with more dropout; a VGG-11 with a single linear layer.

# %% check=True
forms = {
    "VGG-11, grey": (vgg, ("A", 10, 1), {}, (16, 1, 224, 224)),
    "32×32": (vgg, ("D", 10), {"stem": "cifar", "dropout": 0.65}, (16, 3, 32, 32)),
    "one linear": (vgg, ("A", 10), {"stem": "cifar", "hidden": ()}, (16, 3, 32, 32)),
}
for name, (build, config, options, shape) in forms.items():
    with torch.device("meta"):
        net = build(*config, **options)
        logits = net(torch.empty(shape))
    parameters = sum(p.numel() for p in net.parameters())
    first = net.classifier[0]
    print(f"{name:13} {shape} -> {tuple(logits.shape)}  {parameters:11,} parameters")
    print(f"{'':13} first linear layer {first.in_features} -> {first.out_features}")

# %% [markdown] slide="notes"
# Five poolings turn 32 into 1, so 512 numbers enter the linear layers, where 512 · 7 · 7
# = 25,088 do at 224. That one matrix shrinks by a factor of 49. VGG needs no other stem
# for small images: its first kernels are small already, unlike AlexNet's.

# %% [markdown] slide="slide"
# ## Memory early, parameters late
#
# The output of a layer must be kept for the backward pass: that is memory, for each
# image. Parameters are memory once. Before we draw it, for VGG-16: is it the same
# layers that cost both?

# %% check=True
calls, parameters, work = trace(vgg16, (3, 224, 224))
layers = [call for call in calls if isinstance(call.module, (nn.Conv2d, nn.Linear))]
outputs = [math.prod(call.output) for call in layers]
first_two, all_maps = sum(outputs[:2]), sum(outputs)
fc1 = layers[13]
print(f"outputs of the two first convolutions: {first_two / all_maps:.0%} of all")
print(f"their parameters: {sum(c.parameters for c in layers[:2]):,}")
print(f"first linear layer: {fc1.parameters:,} parameters,", end=" ")
print(f"{fc1.parameters / parameters:.1%} of all")
print(f"its multiply-adds: {fc1.multiply_adds / work:.1%} of all")

# %% tags=["hide-input"] slide="subslide"
# alt: Three bar charts over the 16 layers of VGG-16. The activations are largest in the
# alt: first two convolutions and shrink; the parameters are small until the first linear
# alt: layer, which towers over all; the multiply-adds are spread over the convolutions.
fig, axes = plt.subplots(1, 3, figsize=(7, 3.5), sharey=True)
names = []
for call in layers:
    _, c, *side = call.output
    names.append(f"conv {c}, {side[0]}×{side[0]}" if side else f"linear {c}")
panels = {
    "activations (MB per image)": [4 * n / 1e6 for n in outputs],
    "parameters (millions)": [call.parameters / 1e6 for call in layers],
    "multiply-adds (G)": [call.multiply_adds / 1e9 for call in layers],
}
for ax, (label, values) in zip(axes, panels.items(), strict=True):
    ax.barh(range(13), values[:13], color=plot.PALETTE["blue"])
    ax.barh(range(13, 16), values[13:], color=plot.PALETTE["bluish green"])
    ax.set_xlabel(label, fontsize=10)
    ax.grid(False)
axes[0].set_yticks(range(16), names, fontsize=8)
axes[0].set_ylim(15.6, -0.6)
fig.suptitle("VGG-16: three costs, at three places", x=0.01, ha="left");

# %% [markdown]
# No: memory sits in the first block, parameters in one linear layer, work in between.
# **102,764,544 of 138,357,544**: the first answer.

# %% [markdown] slide="notes"
# Counted in float32, 4 bytes a value, convolutions and linear layers only. A training
# step keeps more: poolings, and a gradient for every weight. Which remedy fits which
# cost follows from the picture. Smaller images or batches save activations; leaving out
# the hidden linear layers, as GoogLeNet and ResNet do, saves parameters: VGG-11
# with one linear layer, for small photos, has 9.2 million in place of 132.9.

# %% [markdown] slide="slide"
# ## Adaptive pooling: the exact rule
#
# `AdaptiveAvgPool2d(7)` makes 7 × 7 values of maps of any size. The slides give it one
# stride and one kernel: stride = n // out, kernel = n − (out − 1) · stride. Here is
# torch's rule: window i goes from ⌊i · n / out⌋ to ⌈(i + 1) · n / out⌉.

# %% check=True slide="subslide"
def windows(n, out):
    """Start and end of each window of adaptive pooling; the end is not included."""
    return [(i * n // out, math.ceil((i + 1) * n / out)) for i in range(out)]


def slides_windows(n, out):
    stride = n // out
    kernel = n - (out - 1) * stride
    return [(i * stride, i * stride + kernel) for i in range(out)]


for n in (14, 10, 4):
    print(f"{n:2} -> 7  torch  {windows(n, 7)}")
    print(f"         slides {slides_windows(n, 7)}")

# %% [markdown]
# 14 → 7: equal. 10 → 7: torch's windows hold 2 or 3 values and overlap by one at most;
# the slides' hold 4 each. And 4 → 7: torch uses values again; the slides' stride is 0.

# %% tags=["hide-input"] slide="subslide"
# alt: Seven windows over ten values, as bars. By torch's rule lengths of two and three,
# alt: spread evenly; by the slides' rule seven bars of length four, shifted by one.
fig, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
rules = {"torch: 2 or 3 values each": windows, "slides: 4 values each": slides_windows}
for ax, (name, rule) in zip(axes, rules.items(), strict=True):
    for i, (start, end) in enumerate(rule(10, 7)):
        color = plot.PALETTE["sky blue" if rule is windows else "orange"]
        ax.barh(i, end - start, left=start, height=0.7, color=color)
    ax.set(xticks=range(11), yticks=range(7), xlim=(0, 10), xlabel="input value")
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.set_title(name, fontsize=11)
axes[0].set(ylabel="output", ylim=(6.6, -0.6))
fig.suptitle("Ten values into seven: which windows?", x=0.01, ha="left");

# %% [markdown] slide="subslide"
# **Which rule is torch's?** All sizes up to 64, all outputs up to it. And when does the
# slides' rule happen to be right? We try a conjecture: the remainder n % out is 0 or 1.

# %% check=True
def pooled(values, spans):
    return torch.stack([values[start:end].mean() for start, end in spans])


exact = lucky = pairs = 0
for n in range(1, 65):
    values = torch.arange(n).double() ** 2
    for out in range(1, n + 1):
        theirs = F.adaptive_avg_pool1d(values[None], out)[0]
        exact += torch.allclose(pooled(values, windows(n, out)), theirs)
        same = torch.allclose(pooled(values, slides_windows(n, out)), theirs)
        lucky += same
        assert same == (n % out <= 1)
        pairs += 1
print(f"exact rule right: {exact} of {pairs}; the slides' rule: {lucky}")

# %% [markdown]
# The conjecture holds in every case. At VGG's own 7 → 7 each window is one value: the
# layer does nothing, and exists to let other image sizes in.

# %% [markdown] slide="notes"
# Why the remainder 1 works: with n = k · out + 1 every window starts at k · i and ends at
# k · (i + 1) + 1, so all have k + 1 values, and stride k. With a remainder of 2 or more
# the starts no longer keep one distance. A stride and a kernel alone can never describe
# windows of two lengths.

# %% [markdown] slide="slide"
# ## Sixteen layers deep, scale is everything
#
# A value before the ReLU is a sum of $n_{in} = C_{in} k^2$ products. With weights of
# mean 0 its mean square is $n_{in} \cdot \mathrm{Var}(W) \cdot \overline{x^2}$, and the
# ReLU halves what goes on:
#
# $$\text{gain of one layer} = \sqrt{\tfrac{1}{2}\, n_{in}\, \mathrm{Var}(W)}$$
#
# For 512 channels $n_{in}$ = 4,608. Which variance keeps the scale? And what do 16
# layers make of the others?

# %% check=True slide="subslide"
rules = {  # name -> Var(W), from n_in and n_out
    "N(0, 0.01²)": lambda n_in, n_out: 0.01**2,
    "paper: Var 0.01": lambda n_in, n_out: 0.01,
    "Xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "He, n_in": lambda n_in, n_out: 2 / n_in,
    "He, n_out": lambda n_in, n_out: 2 / n_out,
    "slides: √(2/n_in)": lambda n_in, n_out: (2 / n_in) ** 0.5,
}
n = 512 * 9
print(f"{'Var(W)':18}{'one layer':>12}{'16 layers':>12}")
for name, variance in rules.items():
    gain = (n * variance(n, n) / 2) ** 0.5
    print(f"{name:18}{gain:12.3f}{gain**16:12.2g}")

# %% [markdown]
# He's **variance** is 2 / n. Our slides print a root over it: the root is the *standard
# deviation*. Taken at its word the slip multiplies by 7 in every layer.

# %% [markdown] slide="notes"
# Xavier (Glorot and Bengio 2010) was derived for tanh, where nothing is halved: under
# ReLU it loses a factor of √2 in every layer. The slides' code says mode="fan_out",
# that is n_out, while their formula says n_in. Within a block both are equal. Over the
# whole network the factors √(n_in / n_out) telescope: what remains is √(3 / 512) = 0.08
# from the first input to the last output, once, and not once per layer. n_in keeps the
# scale of the activations, n_out that of the gradients. Either will do; a wrong *power*
# will not.

# %% [markdown] slide="subslide"
# Theory for one layer; now the whole VGG-19, untrained, on noise. Six sets of weights,
# the standard deviation behind each convolution. Which lines stay on the page?

# %%
def draw(model, rule):
    """Draw the weights of all convolutions with the rule's variance; biases 0."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            area = math.prod(layer.kernel_size)
            variance = rule(layer.in_channels * area, layer.out_channels * area)
            nn.init.normal_(layer.weight, std=variance**0.5)
            nn.init.zeros_(layer.bias)
    return model


side, share = course.pick(tiny=(64, 1 / 8), small=(112, 1.0), full=(224, 1.0))
noise, spreads = torch.randn(2, 3, side, side), {}
for name, rule in rules.items():
    model = draw(vgg("E", 10, width=share, hidden=()), rule)
    maps = look.feature_maps(model, noise)  # name -> (N, C, H, W), before the ReLU
    spreads[name] = [layer.std().item() for layer in maps.values()]

# %% slide="subslide"
# alt: Standard deviation behind each of 16 convolutions, on a logarithmic axis. Both
# alt: forms of He stay within a factor of ten; Xavier and N(0, 0.01 squared) sink;
# alt: variance 0.01 climbs; the slides' rule climbs fastest.
low, high = spreads["N(0, 0.01²)"][-1], spreads["slides: √(2/n_in)"][-1]
title = f"Six ways to begin VGG-19: from {low:.0e} to {high:.0e} behind the last layer"
depth = range(1, 17)
axis = {"xlabel": "convolution", "ylabel": "std before the ReLU"}
ax = plot.band(depth, spreads, log=True, title=title, **axis)
ax.set(xscale="linear", xticks=range(1, 17, 3), xlim=(0.5, 16.5));

# %% slide="subslide"
ends = {name: (f"{s[0]:9.2g}", f"{s[-1]:9.2g}") for name, s in spreads.items()}
for name, (first, last) in ends.items():
    print(f"{name:18} first {first}   last {last}")
jumps = [b / a for a, b in pairwise(spreads["He, n_in"])]
behind = [jumps[i] for i in (1, 3, 7, 11)]  # over a pooling
within = [jump for i, jump in enumerate(jumps) if i not in (1, 3, 7, 11)]
print(f"He, n_in: factor over a pooling {sum(behind) / 4:.2f} on average,", end=" ")
print(f"else {sum(within) / len(within):.2f}")

# %% [markdown]
# The lines fan out in the table's order. Its numbers differ: it counts 512 channels in
# all layers, and the first ones have fewer. He's line rises over poolings, as the last
# line shows: the largest of four values is larger than a typical one.

# %% [markdown] slide="slide"
# ## Which beginnings learn at all?
#
# Paper, Sec. 3.1: A was shallow enough to begin with variance 0.01. The deeper ones
# borrowed layers from a trained A. Was that necessary? A and E, SGD as in the paper,
# three epochs of few photos. **2.303 nats = ln 10 means: nothing learned.**

# %%
width = course.pick(tiny=1 / 16, small=1 / 8, full=1 / 2)
few = photos.train.subset(course.pick(tiny=128, small=3000, full=20_000))
trials = range(course.pick(tiny=1, small=3, full=3))


def loss_from(config, rule, seed):
    """Training loss of the last of three epochs, from weights drawn by the rule."""
    torch.manual_seed(seed)
    model = vgg(config, 10, stem="cifar", width=width, hidden=())
    loader = few.loader(64, shuffle=True, seed=seed)
    try:
        history = fit(draw(model, rule), loader, epochs=3, lr=0.01, progress=False)
    except CourseError:  # the loss left the numbers
        return math.nan
    return history["train_loss"][-1]

# %% slide="subslide"
for config, name, some_seeds in [
    ("A", "paper: Var 0.01", trials),
    ("E", "paper: Var 0.01", trials),
    ("E", "N(0, 0.01²)", trials[:1]),
    ("E", "slides: √(2/n_in)", trials[:1]),
    ("E", "He, n_in", trials),
]:
    found = [loss_from(config, rules[name], seed) for seed in some_seeds]
    losses = "".join(f"{loss:8.3f}" for loss in found)
    print(f"{config} from {name:18} loss by seed (nats): {losses}")

# %% [markdown] slide="-"
# At scale `small` A begins with every seed, as the paper says. E from the same variance
# is a **matter of luck**; from too small weights it never moves; from the slides' rule
# the loss is no number (`nan`). From He's rule it leaves 2.303 every time.

# %% [markdown] slide="notes"
# A loss of exactly 2.303 says that every image gets the same logits. From tiny weights
# the signal is gone before it arrives. From large ones the first steps are so violent
# that ReLUs end up below zero for every image and never come back. The paper adds a
# remark: after its submission the authors found that Glorot and Bengio's rule makes
# the detour over A unnecessary. He et al. came in 2015, with VGG as one of their cases.
# Exercise 04.5 tries the detour.

# %% [markdown] slide="slide"
# ## Train: A to E, one recipe
#
# Now the experiment that the paper is about. Five depths, everything else equal: He's
# weights, one linear layer, Adam, CIFAR-10 at an eighth of the width. Each with and
# without BatchNorm, which came a year later. **Guess the order.**

# %%
some = photos.train.subset(course.pick(tiny=128, small=4000, full=45_000))
judge = photos.val.subset(course.pick(tiny=200, small=5000, full=5000)).loader(500)
epochs = course.pick(tiny=2, small=5, full=15)
lr = course.pick(tiny=1e-3, small=1e-3, full=5e-4)
seeds = range(course.pick(tiny=1, small=2, full=3))


def train_config(config, seed, batch_norm):
    """Train a configuration; its history, and its accuracy on the validation set."""
    torch.manual_seed(seed)
    options = {"stem": "cifar", "hidden": (), "width": width}
    model = vgg(config, 10, batch_norm=batch_norm, **options)
    loader = some.loader(64, shuffle=True, seed=seed)
    recipe = {"optimizer": "adam", "lr": lr, "schedule": "onecycle"}
    history = fit(model, loader, epochs=epochs, progress=False, **recipe)
    return history, evaluate(model, judge).accuracy

# %% slide="subslide"
letters = "ABCDE"
results = {
    norm: {c: [train_config(c, seed, norm) for seed in seeds] for c in letters}
    for norm in (False, True)
}
for norm, runs in results.items():
    print("with BatchNorm" if norm else "without")
    for letter, outcomes in runs.items():
        train = " ".join(f"{100 * h['train_accuracy'][-1]:5.1f}" for h, _ in outcomes)
        val = " ".join(f"{100 * accuracy:5.1f}" for _, accuracy in outcomes)
        print(f"  {letter}  training {train} %   validation {val} %")

# %% slide="subslide"
# alt: Training loss over the epochs for the five configurations without BatchNorm, with
# alt: bands over seeds.
plain = {f"VGG {c}": [history for history, _ in results[False][c]] for c in letters}
title = "Without BatchNorm: who learns the training set fastest?"
plot.curves(plain, metric="loss", split="train", title=title);

# %% slide="subslide"
def mean(config, norm, which):
    """Mean over seeds, in percent: of training (0) or of validation (1)."""
    pairs = [(h["train_accuracy"][-1], a) for h, a in results[norm][config]]
    return 100 * sum(pair[which] for pair in pairs) / len(pairs)


for norm in (False, True):
    train, val = (mean("E", norm, i) - mean("A", norm, i) for i in (0, 1))
    name = "with BatchNorm" if norm else "without"
    print(f"E minus A, {name:15} training {train:+.1f}, validation {val:+.1f} points")

# %% [markdown]
# At scale `small` depth **costs** points, with and without BatchNorm. Overfitting? Then
# training accuracy would rise. It falls too: in so few steps the deeper network cannot
# even fit its own training set as well.

# %% [markdown] slide="notes"
# An honest surprise, so we looked for reasons. First, time: the paper took 370,000 steps,
# we take some hundreds. With 20 epochs E without BatchNorm comes near A on the training
# set, and stays far behind on validation photos. So time explains the first gap, and not
# the second. Next, small maps: from 32 × 32 the fifth block works on 2 × 2, where a
# kernel meets mostly padding. But thirteen convolutions in three blocks, with no map
# under 4 × 4, did no better than D. What we cannot repeat here is the data: 1.3 million
# photos of 224 × 224. Try the first two with `train_config`: it takes a tuple like those
# of `CONFIGS` too. That deeper plain networks can be worse *on the training set* is the
# observation from which ResNet begins, in lecture 07; BatchNorm follows in lecture 06.

# %% [markdown] slide="slide"
# ## The slides' own list keeps 4 × 4 maps
#
# The slides trained another list on CIFAR-10 for 30 epochs: three blocks of three
# convolutions, with BatchNorm. Three poolings leave 4 × 4 maps. Their classifier begins
# with `Linear(512 * 4 * 4, 4096)`. Does it fit?

# %% check=True
LIST = ((64, 64, 64), (128, 128, 128), (256, 256, 256))
with torch.device("meta"):
    features = vgg_features(LIST, 3, norm=True)
    maps = features(torch.empty(1, 3, 32, 32))
    classifier = vgg_classifier(512 * 4 * 4, (4096, 4096), 10, dropout=0.5)
    broken = VGG(features, classifier, map_size=4)
print("maps", tuple(maps.shape), "so", maps.numel(), "values; expected", 512 * 4 * 4)
try:
    look.shape_table(broken, (3, 32, 32))
except CourseError as error:
    print(str(error).split(":")[0])

# %% [markdown]
# It does not: the list ends in 256 channels, 4,096 values. The printed code cannot be the
# code that gave the printed result.

# %% [markdown] slide="subslide"
# Repaired, at a quarter of the width, with one linear layer. It has nine convolutions,
# one more than A, and no map smaller than 4 × 4.

# %%
share = course.pick(tiny=1 / 16, small=1 / 4, full=1.0)
torch.manual_seed(run.seed)
features = vgg_features(scaled_config(LIST, share), 3, norm=True)
n = features[-1].out_channels * 4 * 4
net = VGG(features, vgg_classifier(n, (), 10, dropout=0.5), map_size=4)
train_loader = photos.train.subset(course.pick(tiny=256, small=8000, full=None)).loader(
    64, shuffle=True
)
recipe = {"optimizer": "adam", "lr": 3e-3, "schedule": "onecycle", "progress": False}
epochs = course.pick(tiny=2, small=5, full=30)
history = fit(net, train_loader, judge, epochs=epochs, keep_best=False, **recipe)

# %% slide="subslide"
# alt: Loss and accuracy over the epochs, training and validation; the slides' 73 percent
# alt: as a dotted line.
title = "The slides' list, repaired. Their 73 % took 30 epochs of 50,000 photos"
plot.curves(history, paper=0.73, paper_label="slides, test", title=title);

# %%
seen = epochs * train_loader.num_examples
print(f"{history['val_accuracy'][-1]:.1%} of the validation photos right")
print(f"after {seen:,} examples; the slides' run saw {30 * 50_000:,}")

# %% [markdown] slide="slide"
# ## Look inside
#
# One photo on its way through three blocks. Each row shows the first channels behind a
# block. What is lost from row to row, what is gained?

# %% slide="subslide"
# alt: Eight feature maps of a photo behind each of the three blocks: at 16 by 16 grainy,
# alt: with a bright area in some; coarser at 8 by 8; at 4 by 4 a few bright cells.
images, labels = next(iter(photos.val.loader(100)))
photo = images[0].cpu()
blocks = look.feature_maps(net, photo, [f"features.{i}" for i in range(3)])
title = "Behind each block: 16 × 16, 8 × 8, 4 × 4. What is it?"
pictures.feature_maps(blocks, title=title);

# %% slide="subslide"
# alt: The photo itself, and beside it the mean over all channels behind each block, at
# alt: 16, 8 and 4 pixels.
means = [maps.mean(dim=0, keepdim=True) for maps in blocks.values()]
means = [(m - m.min()) / (m.max() - m.min() + 1e-9) for m in means]
titles = [photos.classes[labels[0]], *(f"block {i}: mean" for i in (1, 2, 3))]
chosen = [photos.val.images[0] / 255, *means]
pictures.image_grid(chosen, titles, title="The photo, and where the channels answer");

# %% [markdown]
# Left to right the place gets coarser and the contrast larger. Behind the third block 16
# cells per channel say *that* something was found, and roughly where.

# %% [markdown] slide="subslide"
# **Its most confident mistakes**, on the validation set: what would you have said?

# %%
# alt: Five photos with their true class, the wrong prediction, and its probability.
logits, labels = predict(net, judge)
indices, guesses, sure = look.most_wrong(logits, labels, n=5)
names = photos.classes
titles = [
    f"{names[labels[i]]}, not {names[guess]} ({p:.0%})"
    for i, guess, p in zip(indices, guesses, sure, strict=True)
]
chosen = photos.val.subset(len(labels)).images[indices]
pictures.image_grid(chosen, titles, columns=5, title="Sure, and wrong");

# %% [markdown] slide="slide"
# ## Against the paper
#
# Table 3, one scale (S = 256): A 10.4, B 9.9, C 9.4, D 8.8, E 9.0 % top-5 error. Depth
# helps up to D and then saturates. Our errors, on the same configurations:

# %% tags=["hide-input"]
# alt: Two panels over configurations A to E. Left, the paper's top-5 error on ImageNet
# alt: falls from 10.4 to 8.8 and ends at 9.0. Right, our error on CIFAR-10 with and
# alt: without BatchNorm, with the seeds as dots.
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1))
ticks = [f"{c}\n{n}" for c, n in zip(letters, (11, 13, 16, 16, 19), strict=True)]
axes[0].plot(range(5), (10.4, 9.9, 9.4, 8.8, 9.0), ":s", color=plot.PAPER)
axes[0].set(ylabel="top-5 error (%)", ylim=(8, 11))
axes[0].set_title("paper: ImageNet, 224 × 224", fontsize=11)
styles = {False: ("-o", "without", "black"), True: ("--s", "BatchNorm", "bluish green")}
for norm, (style, label, color) in styles.items():
    errors = [[100 - 100 * a for _, a in results[norm][c]] for c in letters]
    means = [sum(values) / len(values) for values in errors]
    line = {"color": plot.PALETTE[color], "markersize": 5, "label": label}
    axes[1].plot(range(5), means, style, **line)
    for i, values in enumerate(errors):
        axes[1].plot([i] * len(values), values, "_", color=plot.PALETTE[color])
axes[1].set(ylabel="error (%)")
axes[1].legend(loc="best")
axes[1].set_title("ours: CIFAR-10, 32 × 32, few steps", fontsize=11)
for ax in axes:
    ax.set_xticks(range(5), ticks)
    ax.set_xlabel("configuration and its layers")
fig.suptitle("Does depth lower the error?", x=0.01, ha="left");

# %% [markdown]
# Two panels, since the scales have nothing in common. The paper's claim was made for
# large photos, 74 epochs of them, and a start borrowed from A. At scale `small`,
# **depth alone buys nothing**.

# %% [markdown] slide="notes"
# What differs: 1.3 million photos of 1,000 classes against some thousands of ten;
# channels; 74 epochs with a learning rate divided by ten three times; random crops,
# flips and colour shifts. Note that from D to E depth buys nothing in the paper either:
# E is 0.2 points worse, one run each.

# %% [markdown] slide="subslide"
# **The test set, once**, for the network that the validation set chose: the slides' list.

# %%
test = evaluate(net, photos.test.loader(500)).accuracy
print(f"{test:.1%} of {len(photos.test):,} test {photos.test.kind} right after {seen:,} examples")
print(f"slides: 73% after {30 * 50_000:,} examples, at full width")

# %% [markdown] slide="slide"
# ## Answer
#
# Which share of VGG-16 sits in one layer, and what does depth gain on small photos?

# %% slide="fragment"
print(f"first linear layer: {fc1.parameters / parameters:.0%} of {parameters:,}")
gains = [mean("E", norm, 1) - mean("A", norm, 1) for norm in (False, True)]
print(f"VGG-19 minus VGG-11: {gains[0]:+.1f} points, {gains[1]:+.1f} with BatchNorm")
run.headline(
    f"one layer holds {fc1.parameters / parameters:.0%} of VGG-16's parameters; noise"
    f" of spread 1 leaves VGG-19 at {spreads['N(0, 0.01²)'][-1]:.0e} from weights of"
    f" N(0, 0.01²), at {spreads['He, n_in'][-1]:.1f} from He's"
)

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 04.1 Predict: small kernels for AlexNet's 11 × 11
#
# - (a) How many 3 × 3 convolutions, stride 1, see 11 × 11 pixels?
# - (b) How many weights has that stack, with 64 channels in and out everywhere (no
#   biases)?
# - (c) How many has one 11 × 11 convolution?

# %%
# solution
answers = (5, 5 * 9 * 64 * 64, 121 * 64 * 64)  # (a), (b), (c)

# %%
check("04.1", answers)

# %% [markdown] slide="subslide"
# ### 04.2 Predict: He's weights for one layer
#
# `nn.Conv2d(256, 512, 3)` shall get weights from a normal distribution that keeps the
# scale of the *activations* under ReLU. Which **standard deviation**? And which one does
# `mode="fan_out"` take?

# %%
# solution
std_in, std_out = (2 / (256 * 9)) ** 0.5, (2 / (512 * 9)) ** 0.5

# %%
check("04.2", (std_in, std_out))

# %% [markdown] slide="subslide"
# ### 04.3 Modify: one linear layer, or three (slides)
#
# From our slides, both for 32 × 32 colour photos of ten classes: (a) VGG A with **one**
# linear layer; (b) VGG D with **three** (4096, 4096, 10) and dropout 0.5. Build both
# with `vgg`, at full width. Before you count: what share of (b) is linear?

# %%
# solution
one_fc = vgg("A", 10, stem="cifar", hidden=())
three_fc = vgg("D", 10, stem="cifar", dropout=0.5)

# %%
check("04.3", (one_fc, three_fc))

# %% [markdown]
# Train both at width 1/8 on 4,000 photos with the recipe of `train_config`. Three linear
# layers begin from N(0, 0.01²): does (b) move at all, and at which learning rate?

# %% [markdown] solution=True
# Of (b)'s 33,638,218 parameters 18,923,530 are linear, 56 %; of (a)'s 9,225,610 only
# 5,130. At an eighth of the width the hidden layers have 512 units, so weights of
# N(0, 0.01²) have a gain of √(512 / 2) · 0.01 = 0.16 each: the signal shrinks to a
# fortieth over two of them, and at a high learning rate the loss may stay at 2.303. A
# smaller rate, BatchNorm, or He's rule for the linear layers as well gets it going.

# %% [markdown] slide="subslide"
# ### 04.4 Write: adaptive pooling in two dimensions
#
# `adaptive_pool(maps, (h, w))` averages maps (N, C, H, W) to (N, C, h, w), each side by
# its own windows. No `F.adaptive_avg_pool2d`, no `nn.AdaptiveAvgPool2d`.

# %%
def adaptive_pool(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Average (N, C, H, W) to (N, C, *size) by the exact rule."""
    # solution
    rows, columns = windows(maps.shape[2], size[0]), windows(maps.shape[3], size[1])
    means = [maps[:, :, a:b, c:d].mean(dim=(2, 3)) for a, b in rows for c, d in columns]
    return torch.stack(means, dim=2).unflatten(2, size)

# %%
check("04.4", adaptive_pool)

# %% [markdown] slide="subslide"
# ### 04.5 Investigate: begin E from a trained A
#
# The paper's detour: copy A's first four convolutions and its classifier into E. E is
# deeper, so copy each of A's first three blocks into the **beginning** of E's block, as
# many convolutions as A has there. All else in E stays.

# %%
def borrow(deep: nn.Module, shallow: nn.Module) -> nn.Module:
    """Copy the first four convolutions and the classifier of shallow; return deep."""
    # solution
    for new, old in zip(deep.features[:3], shallow.features[:3], strict=True):
        for target, source in zip(new, old, strict=False):
            if isinstance(source, nn.Conv2d):
                target.load_state_dict(source.state_dict())
    deep.classifier.load_state_dict(shallow.classifier.state_dict())
    return deep

# %%
check("04.5", borrow)

# %% [markdown]
# Train A as in `loss_from` with the paper's variance, then E with and without the loan,
# three seeds. Does it help every time?

# %% [markdown] solution=True
# When we tried it at an eighth of the width it helped some seeds and hurt others: the
# borrowed layers arrive with grown weights, and twelve random layers of variance 0.01
# still stand behind them. The paper worked at full width and had 370,000 steps. He's
# rule needs no loan.

# %% [markdown] slide="subslide"
# ### 04.6 Investigate: VGG-19 on CIFAR-10, two epochs (slides)
#
# Our slides' assignment. Write VGG-19 as a list of your own, `my_list`, without looking
# at `CONFIGS`. Train it on `few` for two epochs, at `width`, with one linear layer and
# Adam at 0.001, without BatchNorm and with it. `histories` are what `fit` returns, in
# this order.

# %%
# solution
my_list = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
histories = []
for norm in (False, True):
    torch.manual_seed(run.seed)
    options = {"stem": "cifar", "hidden": (), "width": width}
    model = vgg(my_list, 10, batch_norm=norm, **options)
    loader = few.loader(64, shuffle=True)
    adam = {"optimizer": "adam", "lr": 1e-3, "progress": False}
    histories.append(fit(model, loader, epochs=2, **adam))

# %%
check("04.6", (my_list, histories))

# %% [markdown]
# **Explain:** why do two epochs say little about VGG-19's worth, and what do they say
# instead?

# %% [markdown] solution=True
# They say how long the first plateau lasts, not how high the network gets. Near 2.303
# nothing has been learned yet; with BatchNorm the loss has usually left that value. To
# judge worth, train until the curves are flat, and repeat with seeds.

# %% slide="skip"
check.progress("04")

# %% [markdown] slide="slide"
# ## Recap
#
# - Three 3 × 3 see what a 7 × 7 sees, with 27 C² weights against 49 C², and three ReLUs.
#   Each adds k − 1 to what is seen, times the strides before it.
# - A list makes each VGG; all six counts equal the paper's.
# - Memory sits in the first maps, three quarters of the parameters in one linear layer.
# - Adaptive windows go from ⌊i n / out⌋ to ⌈(i + 1) n / out⌉. Var(W) = 2 / n_in keeps the
#   scale; other powers vanish or explode. Depth needs a good start, data and time.

# %% [markdown] slide="skip"
# ## References
#
# - K. Simonyan, A. Zisserman: [Very Deep Convolutional Networks for Large-Scale Image
#   Recognition](https://arxiv.org/abs/1409.1556), ICLR 2015: Tables 1, 2, 3 and 7;
#   Sec. 2.1, 2.3, 3.1, 4.1.
# - K. He, X. Zhang, S. Ren, J. Sun: [Delving Deep into Rectifiers](
#   https://arxiv.org/abs/1502.01852), ICCV 2015: Sec. 2.2, initial weights.
# - X. Glorot, Y. Bengio: [Understanding the difficulty of training deep feedforward neural
#   networks](https://proceedings.mlr.press/v9/glorot10a.html), AISTATS 2010.
# - Data: A. Krizhevsky, [CIFAR-10](https://www.cs.toronto.edu/~kriz/cifar.html), 2009;
#   free for research and teaching with citation. At scale `tiny`, drawings of its
#   classes.
