# %% [markdown] slide="slide"
# # VGG: depth from small kernels
#
# One kind of layer, a 3 × 3 convolution, stacked eight to sixteen times. We compare
# small kernels with a large one, build all six networks from one table, and ask what
# depth gains.
#
# *Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image
# Recognition. International Conference on Learning Representations (ICLR), 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute the receptive field of a stack of convolutions, and its cost;
# 2. build each VGG from its list, and prove its parameters and multiply-adds;
# 3. say where a network's memory and its parameters are, layer by layer;
# 4. write adaptive pooling's exact rule, and choose first weights that suit depth.
#
# A run takes a quarter of a minute at scale `tiny`, and six to ten minutes at `small`
# on a laptop. All numbers in the text are from a run at `small`.

# %% [markdown] slide="slide"
# ## Question
#
# VGG-16 holds **138,357,544** numbers, in 16 layers with weights.
#
# **Which share of them is in a single layer?**
#
# *A guess, before anything is computed: 10, 25, 50 or 75 %?*
#
# *A second guess: after 315 training steps on small photos, how many points is VGG-19
# ahead of VGG-11?*

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
# AlexNet has kernels of 11, 5 and 3. Which size is best? The paper takes 3 × 3, the
# **smallest kernel that knows left, right, up and down**. Then it changes one thing
# alone, the depth.

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
# layers have weights. Each box stands for a block's convolutions, a ReLU after each,
# and the pooling.

# %% [markdown] slide="subslide"
# This is VGG-16. A convolution keeps the sides. A pooling halves them, and the next
# block has twice the channels, up to 512.
#
# **Against AlexNet:** which of the three quantities grows most? The `meta` device
# builds networks of shapes without values.

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
# Twice the layers, 2.3 times the parameters, and **22 times the work**. In the contest
# of 2014 VGG has 7.3 % top-5 error; AlexNet has 16.4 % in 2012. Both average several
# networks, and neither uses outside data. GoogLeNet wins in 2014 with 6.7 %.

# %% [markdown] slide="slide"
# ## Three 3 × 3 see what one 7 × 7 sees
#
# The *receptive field* of a value is the square of pixels that it depends on. After one
# 3 × 3 convolution it is 3 pixels wide. A second one reads 3 such values, and the outer
# two reach one pixel further. **How wide is it after three?** Each adds k − 1.

# %% check=True
def conv(k, channels=8):
    return nn.Conv2d(channels, channels, k, padding=k // 2)


for sides in ([3], [3, 3], [3, 3, 3], [7], [3, 3, 3, 3, 3], [11]):
    stack = nn.Sequential(*[conv(k) for k in sides])
    formula = look.receptive_field(stack)
    seen = kernels.receptive_field_by_gradient(stack, (8, 21, 21))
    print(f"{sides!s:16} formula {formula:2}   by gradient {seen[0]:2} × {seen[1]}")

# %% [markdown]
# Three reach 7, as one 7 × 7 does; five reach AlexNet's 11. The second count asks which
# pixels have a gradient that is not 0. Two ways, one answer.

# %% [markdown] slide="subslide"
# **Before you move it:** how many layers of 3 × 3 reach 11 pixels, and how many of
# 5 × 5? And three layers of 3 × 3, each with stride 2: do they reach more than twice as
# far?

# %%
# alt: Rows of dots from one value at the top to the pixels at the bottom. Behind three
# alt: 3 × 3 layers it looks at 3 values, these at 5, and these at 7 pixels of a row.
ranges = {"layers": (1, 5), "kernel": [1, 3, 5, 7], "stride": (1, 2)}
sliders.explore(kernels.receptive_field, **ranges)

# %% [markdown]
# Five of 3 × 3 reach 1 + 5 · 2 = 11. Two of 5 × 5 reach 9, and three reach 13. With
# stride 2 each layer's step counts double for the next: 1 + 2 + 4 + 8 = 15, more than
# twice 7.

# %% [markdown] slide="subslide"
# **Does each pixel count alike?** We set all weights to 1 and take the gradient of the
# middle value. It counts the *paths* from each pixel. How many has the corner after
# three layers, and how many the centre?

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
# The corner has one path, the centre 7 × 7 = 49. A stack depends **mainly on the
# middle** of its receptive field. A single 7 × 7 kernel may weigh all 49 pixels freely.

# %% [markdown] slide="slide"
# ## 27 weights against 49, between channels
#
# For one pair of channels, three 3 × 3 kernels have 3 · 9 = 27 weights and one 7 × 7
# has 49. What do layers with C channels in and out hold?

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
# **27 C² against 49 C²**: the large kernel needs 81 % more weights. It needs 81 % more
# multiply-adds too, since each weight is used once at each position.

# %% [markdown] slide="subslide"
# The stack also has three ReLUs instead of one. Are they needed? Without them the stack
# **is** one 7 × 7 kernel. We find that kernel by sending in a single bright pixel.

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

# %% [markdown] slide="subslide"
# They are. Without ReLUs the stack is a 7 × 7 kernel made of 27 free numbers, not 49:
# not every 7 × 7 kernel is possible. With ReLUs it computes what no single kernel can.
#
# **Are small kernels better?** The paper's test (Sec. 4.1) replaces each pair of 3 × 3
# in B by one 5 × 5. The top-1 error is 7 % higher. This lecture does not repeat that
# test.

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
# In how many convolutions a block has. A is VGG-11, B VGG-13, D VGG-16 and E VGG-19,
# named by layers with weights. It is a common mistake that the first two blocks have
# one convolution: this holds for **A alone** (and A-LRN).

# %% [markdown] slide="notes"
# C has 16 layers too, three of them 1 × 1: they mix channels and leave the receptive
# field as it is. A-LRN adds AlexNet's normalisation. It does not help: 29.7 against
# 29.6 % top-1 error.

# %% [markdown] slide="subslide"
# `read_layer` turns an entry of the table into kernel size and channels. `VGGBlock`
# builds a block from a tuple.

# %% mirror="utils.models.vgg:read_layer" slide="-"

# %% mirror="utils.models.vgg:VGGBlock" slide="subslide"

# %% [markdown] slide="subslide"
# The third block of D gets 128 channels of 56 × 56. Predict its output, and the
# parameters of its first convolution.

# %% check=True
look.shape_table(VGGBlock(128, CONFIGS["D"][2]), (128, 56, 56))

# %% [markdown]
# 256 · (128 · 9 + 1) = 295,168. Three convolutions keep 56 × 56, and the pooling leaves
# 28 × 28.

# %% [markdown] slide="subslide"
# Blocks follow each other, then linear layers: any number of hidden ones, or none.

# %% mirror="utils.models.vgg:vgg_features" slide="-"

# %% mirror="utils.models.vgg:vgg_classifier" slide="subslide"

# %% [markdown] slide="subslide"
# And the whole network. Two of its lines get a section each: `AdaptiveAvgPool2d` and
# `initialize`.

# %% mirror="utils.models.vgg:initialize" slide="-"

# %% mirror="utils.models.vgg:VGG" slide="subslide"

# %% [markdown] slide="slide"
# ## Assemble: all six, counted
#
# Network D from its parts. Then the six in one loop, with the builder `vgg`, beside the
# paper's Table 2, which gives millions of parameters.

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
# All six agree with the paper. From A to E the work grows by 158 % and the parameters
# by 8 %: depth costs time.

# %% [markdown] slide="subslide"
# **What is the receptive field of the last map?** Predict whether C's 1 × 1 kernels
# change anything against B.

# %% check=True
with torch.device("meta"):
    reach = {letter: look.receptive_field(vgg(letter).features) for letter in "ABCDE"}
print(reach)

# %% [markdown]
# They do not: C reaches 156 pixels, as B does. D has 3 × 3 kernels at the same places
# and reaches 212. Its top-1 error is smaller, 27.0 against 28.1 % (the paper's Table
# 3). The paper concludes that the wider receptive field helps.

# %% [markdown] slide="subslide"
# **Three networks of published runs are one class.** The first is a VGG-11 for grey
# images of 224 × 224. The second is a VGG-16 for 32 × 32 with more dropout. The third
# is a VGG-11 with a single linear layer.

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

# %% [markdown]
# At 32 × 32 five poolings leave 1 × 1, so 512 numbers enter the linear layers. At 224
# it is 512 · 7 · 7 = 25,088. VGG needs no other first layer for small images: its
# kernels are small already.

# %% [markdown] slide="slide"
# ## Memory early, parameters late
#
# The output of a layer is kept for the backward pass. That is memory, for each image.
# Parameters need memory once. Do the same layers of VGG-16 cost both?

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
# No. Almost half of the memory is in the first block, three quarters of the parameters
# in one linear layer. The work is spread over the convolutions. **102,764,544 of
# 138,357,544**: this answers the first question.

# %% [markdown] slide="slide"
# ## Adaptive pooling: the exact rule
#
# `AdaptiveAvgPool2d(7)` makes 7 × 7 values of maps of any size. A common mistake
# describes it by one stride and one kernel: stride = n // out, kernel = n − (out − 1) ·
# stride. The output calls this rule `slides`. In torch's rule window i goes from
# ⌊i · n / out⌋ to ⌈(i + 1) · n / out⌉.

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
# 14 → 7: equal. 10 → 7: torch's windows hold 2 values or 3; the other rule's hold 4.
# And 4 → 7: torch uses values again; the other rule's stride is 0.

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
# **Which rule is torch's?** We try all sizes up to 64 and all outputs up to each. When
# is the other rule right? Our guess: when the remainder n % out is 0 or 1.

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
# The exact rule is right in all 2,080 cases, the other one in 490. The guess holds in
# every case. At VGG's own 7 → 7 each window is one value, and the layer does nothing.
# It exists to let other image sizes in.

# %% [markdown] slide="slide"
# ## Sixteen layers deep, scale is everything
#
# A pre-activation is a sum of $n_{in} = C_{in} k^2$ products. With weights of mean 0
# its mean square is $n_{in} \cdot \mathrm{Var}(W) \cdot \overline{x^2}$, and the ReLU
# halves it:
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
# He's **variance** 2 / n keeps it. A common mistake takes the root of it as the
# variance; the root is the *standard deviation*. This rule (`slides` in the output)
# multiplies by 7 in every layer.

# %% [markdown] slide="notes"
# Xavier (Glorot and Bengio 2010) was derived for tanh, where nothing is halved: under
# ReLU it loses a factor of √2 in every layer. mode="fan_out" takes n_out: it keeps the
# scale of the gradients, n_in that of the activations. Within a block both are equal.
# Either will do.

# %% [markdown] slide="subslide"
# Now the whole VGG-19, untrained, on noise. Six rules for the weights; we measure the
# standard deviation after each convolution. Which lines stay near 1?

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
# Both of He's rules stay within a factor of ten. The order is that of the table. The
# numbers differ, since the table counts 512 channels in all layers. He's line rises by
# a factor of 1.38 over a pooling: the largest of four values exceeds a typical one.

# %% [markdown] slide="slide"
# ## Which first weights learn at all?
#
# In the paper (Sec. 3.1) A begins with variance 0.01. The deeper networks take their
# first layers from a trained A. Is that necessary? We train A and E with SGD for three
# epochs of few photos. **2.303 nats = ln 10 means: nothing learned.**

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
# At `small` A learns with every seed. E does not move from N(0, 0.01²), and from the
# root (`slides`) the loss is no number (`nan`). From He's rule E leaves 2.303 with
# every seed, from variance 0.01 with two of three. So with He's rule E needs no trained
# A here.

# %% [markdown] slide="subslide"
# **He's rule is not shown to be better here.** Two of its three seeds end at 2.247 and
# 2.273. Two seeds of variance 0.01 end at 2.266 and 2.263. Three seeds do not decide.
#
# The width is one reason. At an eighth of it the widest layers have $n_{in}$ = 64 · 9 =
# 576. There variance 0.01 has a gain of √(576 / 2 · 0.01) = 1.7, not 4.8. At full
# width, as in the figure above, the difference is far larger.

# %% [markdown] slide="slide"
# ## Train: A to E, one recipe
#
# Now the paper's experiment: five depths, and everything else equal. He's weights, one
# linear layer, Adam, CIFAR-10 at an eighth of the width. Each with and without
# BatchNorm (lecture 06). **Guess the order.**

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
# The loss of A falls fastest, that of E slowest. In validation VGG-19 has 10.5 points
# less than VGG-11, and 9.1 less with BatchNorm. From two seeds each, twice the standard
# error is about 5 and 4 points.

# %% [markdown] slide="subslide"
# **Does depth harm? This run cannot say.** Each network takes 315 steps. Without
# BatchNorm it is then right on 27.0 to 42.5 % of its own *training* photos. So no
# network has finished learning, and E has less on the training photos too. That is not
# overfitting. It is **training time**: in 315 steps a deeper network gets less far.
#
# The paper took 370,000 steps and 1.3 million photos. With 4,000 photos time alone is
# not enough either. In a trial of 20 epochs, not shown, E without BatchNorm came near A
# in training, and stayed below it in validation.

# %% [markdown] slide="slide"
# ## A published list keeps 4 × 4 maps
#
# A published run trains another list on CIFAR-10 for 30 epochs: three blocks of three
# convolutions, with BatchNorm. Three poolings leave 4 × 4 maps. Its classifier begins
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
# It does not: the list ends in 256 channels, so 4,096 values. This code cannot have
# given the published result.

# %% [markdown] slide="subslide"
# Repaired, at a quarter of the width, with one linear layer. It has nine convolutions,
# one more than A, and no map smaller than 4 × 4. The figure calls the published run
# *slides*.

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

# %% [markdown]
# The published 73 % took almost 40 times as many examples. Our run has more photos,
# steps and width than A to E above. So it cannot be compared with them.

# %% [markdown] slide="slide"
# ## Look inside
#
# One photo on its way through the three blocks. Each row shows the first channels after
# a block. What is lost from row to row, and what remains?

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
# The place gets coarser: 16, then 8, then 4 cells a side. What remains is roughly where
# the deer is: in all three means the brightest cells lie on it. Each map has its own
# grey scale, so brightness cannot be compared between maps.

# %% [markdown] slide="subslide"
# **Its most confident mistakes**, on the validation set. The first word is the true
# class. After *not* stand the network's wrong answer and its confidence.

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

# %% [markdown]
# A bird in a plain sky is taken for an airplane, and three animals for horses. Even a
# confidence of 98 or 99 % can be wrong.

# %% [markdown] slide="slide"
# ## Against the paper
#
# The paper's Table 3, one scale (S = 256): A 10.4, B 9.9, C 9.4, D 8.8, E 9.0 % top-5
# error. Our errors, on the same configurations:

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
# In the paper depth helps up to D; E is 0.2 points worse, with one run each. Here E has
# a larger error than A. But 74 epochs of 1.3 million large photos stand against five
# epochs of 4,000 small ones. **The paper's claim is neither shown nor refuted here.**

# %% [markdown] slide="subslide"
# **The test set, once**, for the network with the best validation accuracy: the
# repaired list.

# %%
test = evaluate(net, photos.test.loader(500)).accuracy
judged = f"{len(photos.test):,} test {photos.test.kind}"
print(f"{test:.1%} of {judged} right after {seen:,} examples")
print(f"slides: 73% after {30 * 50_000:,} examples, at full width")

# %% [markdown] slide="slide"
# ## Answer
#
# Which share of VGG-16 is in one layer, and how far ahead is VGG-19 on small photos?

# %% slide="fragment"
print(f"first linear layer: {fc1.parameters / parameters:.0%} of {parameters:,}")
gains = [mean("E", norm, 1) - mean("A", norm, 1) for norm in (False, True)]
print(f"VGG-19 minus VGG-11: {gains[0]:+.1f} points, {gains[1]:+.1f} with BatchNorm")
part = f"one layer holds {fc1.parameters / parameters:.0%} of VGG-16's parameters"
measured = (
    f"{part}; VGG-19 minus VGG-11: {gains[0]:+.1f} points ({gains[1]:+.1f} with"
    f" BatchNorm); a published network reads {test:.1%} of the test photos"
)
counted = (
    f"{part}; noise of spread 1 leaves VGG-19 at {spreads['N(0, 0.01²)'][-1]:.0e} from"
    f" weights of N(0, 0.01²), at {spreads['He, n_in'][-1]:.1f} from He's"
)
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown] slide="fragment"
# VGG-19 is not ahead. After 315 steps it has learned less than VGG-11, on training
# photos too. What depth gains after long training stays open here.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# and the second time a stronger one. *Predict* means: write it down before any cell
# runs it.

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
# `nn.Conv2d(256, 512, 3)` gets weights from a normal distribution that keeps the scale
# of the *activations* under ReLU. Which **standard deviation**? And which one does
# `mode="fan_out"` take?

# %%
# solution
std_in, std_out = (2 / (256 * 9)) ** 0.5, (2 / (512 * 9)) ** 0.5

# %%
check("04.2", (std_in, std_out))

# %% [markdown] slide="subslide"
# ### 04.3 Modify: one linear layer, or three (slides)
#
# Both are for 32 × 32 colour photos of ten classes: (a) VGG A with **one** linear
# layer; (b) VGG D with **three** (4096, 4096, 10) and dropout 0.5. Build both with
# `vgg`, at full width. Before you count: what share of (b) is linear?

# %%
# solution
one_fc = vgg("A", 10, stem="cifar", hidden=())
three_fc = vgg("D", 10, stem="cifar", dropout=0.5)

# %%
check("04.3", (one_fc, three_fc))

# %% [markdown]
# Train both at width 1/8 on 4,000 photos with the recipe of `train_config`. Three
# linear layers begin from N(0, 0.01²). Does (b) learn at all, and at which learning
# rate?

# %% [markdown] solution=True
# Of (b)'s 33,638,218 parameters 18,923,530 are linear, 56 %; of (a)'s 9,225,610 only
# 5,130. At an eighth of the width the hidden layers have 512 units. Weights of N(0,
# 0.01²) have a gain of √(512 / 2) · 0.01 = 0.16 each. Over two of them the signal
# shrinks to a fortieth, and at a high learning rate the loss may stay at 2.303. A
# smaller rate, BatchNorm, or He's rule for the linear layers helps.

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
# The paper copies A's first four convolutions and its classifier into E. E is deeper,
# so copy each of A's first three blocks into the **beginning** of E's block, as many
# convolutions as A has there. All else in E stays.

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
# Train A as in `loss_from` with the paper's variance, then E with and without the
# copied layers, three seeds. Does it help every time?

# %% [markdown] solution=True
# In our trial at an eighth of the width it helped some seeds and harmed others. The
# copied layers have grown weights, and twelve random layers of variance 0.01 still
# follow them. The paper worked at full width and with 370,000 steps. He's rule needs no
# copy.

# %% [markdown] slide="subslide"
# ### 04.6 Investigate: VGG-19 on CIFAR-10, two epochs (slides)
#
# Write VGG-19 as a list of your own, `my_list`, without looking at `CONFIGS`. Train it
# on `few` for two epochs, at `width`, with one linear layer and Adam at 0.001, without
# BatchNorm and with it. `histories` are what `fit` returns, in this order.

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
# **Explain:** why do two epochs say little about what VGG-19 can reach, and what do
# they say instead?

# %% [markdown] solution=True
# They say how long the loss stays near 2.303, where nothing is learned yet. With
# BatchNorm it has usually left that value. To judge what the network can reach, train
# until the curves are flat, and repeat with seeds.

# %% slide="skip"
check.progress("04")

# %% [markdown] slide="slide"
# ## Recap
#
# - Each convolution adds k − 1 to the receptive field, times the strides before it.
#   Three 3 × 3 reach as far as one 7 × 7, with 27 C² weights against 49 C², and three
#   ReLUs.
# - A list makes each VGG; all six counts equal the paper's.
# - Memory is in the first maps, three quarters of the parameters in one linear layer.
# - Adaptive windows go from ⌊i n / out⌋ to ⌈(i + 1) n / out⌉.
# - Var(W) = 2 / n_in keeps the scale under ReLU. Depth also needs data and time: after
#   315 steps VGG-19 has learned less than VGG-11.

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

# %% slide="only" name="vgg16"
# alt: VGG-16: five blocks of two or three 3×3 convolutions, a pooling after each halves
# alt: 224 to 112, 56, 28, 14 and 7 pixels while channels grow from 64 to 512; then three
# alt: linear layers of 4,096, 4,096 and 1,000.
import matplotlib.pyplot as plt
import torch
from torch import nn

from teaching import blocks, diagrams, kept, kernels
from utils import look, plot
from utils.models import build

Stage = diagrams.Stage
stages = [Stage("input", "photo", 3, 224)]
for i, (count, channels) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]):
    stages.append(Stage("block", f"{count} × conv 3×3", channels, 224 // 2**i))
    stages.append(Stage("pool", "max 2×2", channels, 112 // 2**i))
stages += [Stage("linear", "linear", 4096), Stage("linear", "linear", 4096)]
diagrams.network([*stages, Stage("linear", "linear", 1000)])

# %% slide="only" name="two-lines"
# alt: AlexNet with convolutions of 11, 5, 3, 3 and 3 and three linear layers; VGG's first
# alt: two blocks: two 3×3 convolutions and a pooling, twice.
alexnet = [("input", "photo"), ("conv", "11×11|96"), ("conv", "5×5|256"), ("conv", "3×3|384")]
alexnet += [("conv", "3×3|384"), ("conv", "3×3|256"), ("linear", "three|linear")]
vgg = [("input", "photo"), ("conv", "3×3|64"), ("conv", "3×3|64"), ("pool", "pool")]
vgg += [("conv", "3×3|128"), ("conv", "3×3|128"), ("pool", "pool"), ("input", "and|so on")]
above, below = blocks.chain(75, alexnet)[0], blocks.chain(215, vgg)[0]
words = blocks.left_text(22, "AlexNet: each convolution designed by itself")
words += blocks.left_text(162, "VGG: one small part, many times")
words_alt = "AlexNet's convolutions of 11, 5, 3, 3 and 3, and VGG's pairs of 3×3 convolutions."
blocks.Diagram(words + above + below, blocks.WIDTH, 255, words_alt)

# %% slide="only" name="seven-or-three"
first = [("input", "C maps"), ("conv", "conv 7×7"), ("pool", "ReLU"), ("input", "C maps")]
second = [("input", "C maps")] + [("conv", "conv 3×3"), ("pool", "ReLU")] * 3
above, below = blocks.chain(75, first)[0], blocks.chain(215, [*second, ("input", "C maps")])[0]
words = blocks.left_text(22, "one 7 × 7: 49 weights a pair of channels, one ReLU")
words += blocks.left_text(162, "three 3 × 3: 27 weights a pair of channels, three ReLUs")
told = "One 7×7 convolution with a ReLU; three 3×3 convolutions, each with a ReLU."
blocks.Diagram(words + above + below, blocks.WIDTH, 255, told)

# %% slide="only" name="weights"
# alt: Weights of a stack between 512 and 512 channels, in millions: one 5×5 6.6, two 3×3
# alt: 4.7, one 7×7 12.8, three 3×3 7.1.
sizes = {"one 5×5": 25, "two 3×3": 18, "one 7×7": 49, "three 3×3": 27}
millions = {name: 512 * 512 * count / 1e6 for name, count in sizes.items()}
plot.bars(millions, xlabel="million weights, from 512 to 512 channels")

# %% slide="only" name="by-layer"
# alt: Three bar charts over the 16 layers of VGG-16: activations are largest in the first
# alt: two convolutions, parameters in the first linear layer, multiply-adds in between.
with torch.device("meta"):
    vgg16 = build("vgg16")
calls = [c for c in look.trace(vgg16, (3, 224, 224))[0] if c.parameters]
figure, axes = plt.subplots(1, 3, figsize=(7, 2.7))
kinds = {"activations (M)": lambda c: torch.Size(c.output).numel() / 1e6}
kinds |= {"parameters (M)": lambda c: c.parameters / 1e6}
kinds |= {"multiply-adds (G)": lambda c: c.multiply_adds / 1e9}
for ax, (name, value) in zip(axes, kinds.items(), strict=True):
    colors = [plot.TRAIN if "Conv" in type(c.module).__name__ else plot.HIGHLIGHT for c in calls]
    ax.bar(range(1, len(calls) + 1), [value(c) for c in calls], color=colors)
    ax.set_title(name, fontsize=11)
    ax.set_xticks([1, 5, 10, 16])
figure.supxlabel("layer; green: linear", fontsize=11)

# %% slide="only" name="spreads"
# alt: Standard deviation after each of 16 convolutions of VGG-19, logarithmic: He's line
# alt: stays within a factor of ten, Xavier's and that of N(0, 0.01²) sink.
rules = {"N(0, 0.01²)": lambda a, b: 0.01**2, "Xavier": lambda a, b: 2 / (a + b)}
rules |= {"He": lambda a, b: 2 / a}


def spread(rule):
    """Standard deviation after each convolution of an untrained VGG-19, from noise."""
    torch.manual_seed(0)
    model, x = build("vgg19", num_classes=10, width=0.25, hidden=()), torch.randn(2, 3, 64, 64)
    found = []
    with torch.no_grad():
        for layer in model.features.modules():
            if isinstance(layer, nn.Conv2d):
                shape = layer.weight.shape
                std = rule(shape[1] * 9, shape[0] * 9) ** 0.5
                layer.weight.normal_(std=std)
                layer.bias.zero_()
                x = layer(x)
                found.append(x.std().item())
            elif not list(layer.children()):
                x = layer(x)
    return found


stds = {name: spread(rule) for name, rule in rules.items()}
ax = plot.band(range(1, 17), stds, log=True, xlabel="convolution", ylabel="standard deviation")
ax.set(xscale="linear", xticks=range(1, 17, 3), xlim=(0.5, 16.5))

# %% slide="only" name="table-3"
# alt: Top-5 error of the paper's networks: A 10.4, B 9.9, C 9.4, D 8.8, E 9.0 percent.
errors = {"A: 11 layers": 0.104, "B: 13": 0.099, "C: 16, three 1×1": 0.094}
errors |= {"D: 16 layers": 0.088, "E: 19 layers": 0.09}
plot.bars(errors, highlight="D: 16 layers", xlabel="top-5 error (%)")

# %% slide="only" name="kept-pair"
# alt: Validation accuracy over four epochs, three seeds each: VGG-11 reaches about 75
# alt: percent, AlexNet about 60.
pair = {"VGG-11": "vgg11_bn-cifar10", "AlexNet": "alexnet-cifar10"}
plot.curves({k: kept.runs(v) for k, v in pair.items()}, metric="accuracy")

# %% [markdown] slide="only" part="The idea"
# # VGG: depth from small kernels
#
# Simonyan, Zisserman: *Very Deep Convolutional Networks for Large-Scale Image
# Recognition*, 2014
#
# ![](run:vgg16)
#
# Note: 1 min. After the hour they can count the weights of any stack of kernels, say what
# it sees, and choose first weights with which twenty layers learn.

# %% [markdown] slide="only"
# ## Last time: AlexNet, in three questions
#
# 1. How large is the output of 11 × 11 with stride 4 on 227 pixels?
# 2. In which layers are most of its parameters?
# 3. Why did ReLU make it faster to train?
#
# . . .
#
# 55; in the linear layers; its slope does not vanish where the input is large.
#
# Note: 2 min. A different row answers each. For the first, ask for the formula, too.

# %% [markdown] slide="only"
# ## AlexNet was designed layer by layer. Must it be?
#
# ![](run:two-lines)
#
# Note: 2 min. Who knows why 11 and then 5? Nobody could say. VGG replaces five decisions
# by one: always 3 × 3, and double the channels after a pooling.

# %% [markdown] slide="only"
# ## Two 3 × 3 or one 5 × 5: which recognises more?
#
# ### Same photos, same steps, same channels. Who wins?
#
# . . .
#
# Vote: two small ones, the large one, no difference.
#
# Note: 1.5 min. Let them give reasons: more weights, or more ReLUs? The answer comes as a
# measurement; the paper's first.

# %% [markdown] slide="only" part="Small kernels"
# ## Three 3 × 3 see what one 7 × 7 sees
#
# ![Pixels of one row, and three layers of 3 above them: one value of the last layer depends on seven pixels](draw:kernels.receptive_field())
#
# Note: 2.5 min. Let them count the pixels below one value: 3, 5, 7. This is its receptive
# field: each layer of 3 with stride 1 adds 2.

# %% [markdown] slide="only"
# ## How many 3 × 3 replace AlexNet's 11 × 11?
#
# ### Each adds 2 to the receptive field. How many for 11?
#
# . . .
#
# > **5** layers see 3, 5, 7, 9 and 11 pixels
#
# . . .
#
# With stride 2 before it, each step counts double.
#
# Note: 1.5 min. Expect 4 (11 / 3) and 6. It is exercise 04.1; the formula is 1 + 2 n.

# %% [markdown] slide="only"
# ## The same view, with 27 weights in place of 49
#
# ![](run:seven-or-three)
#
# Note: 2 min. Ask for both differences: fewer weights, and two ReLUs more. Which one
# matters is a question that needs an experiment: exercise 04.6.

# %% [markdown] slide="only"
# ## Small kernels save nearly half of the weights
#
# ### From 512 to 512 channels: how many weights has a 7 × 7?
#
# . . .
#
# ![](run:weights)
#
# Note: 1.5 min. 512 × 512 × 49 is 12.8 million, in one layer. Who says 25,088 forgot the
# second 512.

# %% [markdown] slide="only"
# ## The paper's test: 5 × 5 errs more
#
# > **7 %** more top-1 error with one 5 × 5 in place of each two 3 × 3
#
# . . .
#
# One run of each, on ImageNet (section 4.1).
#
# Note: 2 min. Ask what one run can show. The notebook repeats the test on CIFAR-10 with
# several seeds, and compares photo by photo: show its figure here if there is time.

# %% [markdown] slide="only" part="Build"
# ## Five blocks, and each pooling halves the sides
#
# ![](run:vgg16)
#
# Note: 2 min. Let them fill in the sides from the left: 224, 112, 56, 28, 14, 7. When the
# sides halve, the channels double, up to 512.

# %% [markdown] slide="only"
# ## A network is a list of numbers
#
# ```python
# CONFIGS = {
#     "A": [[64], [128], [256] * 2, [512] * 2, [512] * 2],
#     "B": [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
#     "D": [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
#     "E": [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
# }
# ```
#
# ### How many layers with weights has D, with three linear ones?
#
# . . .
#
# > **16** = 2 + 2 + 3 + 3 + 3 + 3
#
# Note: 2 min. Read one line aloud as a network. Table 1 of the paper is this list; C has
# 1 × 1 kernels in places, and is left out here.

# %% [markdown] slide="only"
# ## Seven lines build any of them
#
# ```python
# for block in CONFIGS["D"]:
#     for channels in block:
#         layers += [nn.Conv2d(inputs, channels, 3, padding=1)]
#         layers += [nn.ReLU()]
#         inputs = channels
#     layers += [nn.MaxPool2d(2)]
# features = nn.Sequential(*layers)
# ```
#
# Note: 2 min. Ask why padding is 1: 3 × 3 keeps the sides. Ask where inputs begins: 3.

# %% [markdown] slide="only"
# ## 138 million parameters: where are they?
#
# ### Which share is in a single layer: 10, 25, 50 or 75 %?
#
# . . .
#
# > **74 %** in the first linear layer: 4,096 × (512 × 7 × 7 + 1)
#
# . . .
#
# It does less than 1 % of the multiplications.
#
# Note: 2 min. Take the vote first. 25,088 values enter it. Ask how one could get rid of
# it: a mean over each map, as GoogLeNet and ResNet do.

# %% [markdown] slide="only"
# ## Memory early, parameters late, time all over
#
# ![](run:by-layer)
#
# Note: 2 min. Activations must be kept for the backward pass: half of them in the first
# two layers. Ask what a batch of 64 needs.

# %% [markdown] slide="only"
# ## On 32 × 32 photos, five poolings leave 1 × 1
#
# ### How many values enter the first linear layer then?
#
# . . .
#
# > **512** in place of 25,088
#
# . . .
#
# So our networks for CIFAR-10 need no large linear layer.
#
# Note: 1.5 min. 32, 16, 8, 4, 2, 1. A published list leaves a pooling out and keeps 4 × 4
# maps: exercise 04.5.

# %% [markdown] slide="only" part="First weights"
# ## Built is not trained: twenty layers may learn nothing
#
# ### A weight's first value is drawn at random. How large should it be?
#
# . . .
#
# $$\text{gain of one layer} = \sqrt{\tfrac{1}{2}\, n_{in}\, \mathrm{Var}(W)}$$
#
# . . .
#
# Gain 0.9 over 16 layers leaves {{ f"{0.9**16:.2f}" }}; gain 1.1 makes {{ f"{1.1**16:.1f}" }}.
#
# Note: 2 min. A sum of n products with mean 0; the ReLU halves the mean square. Powers of
# the depth decide: let them compute 0.9 to the 16th.

# %% [markdown] slide="only"
# ## He's rule: variance 2 / n keeps the size
#
# | rule | variance | gain, 512 channels |
# |---|---|---:|
# | N(0, 0.01²) | 0.0001 | {{ f"{(4608 * 0.0001 / 2) ** 0.5:.2f}" }} |
# | Xavier | 2 / (n in + n out) | {{ f"{0.5**0.5:.2f}" }} |
# | He | 2 / n in | 1.00 |
#
# . . .
#
# A common mistake: √(2 / n) is He's *standard deviation*, not the variance.
#
# Note: 2 min. n is 512 × 9 = 4,608. Xavier's rule was made for tanh, which halves nothing.
# torch: kaiming_normal_ with nonlinearity="relu".

# %% [markdown] slide="only"
# ## Only He's weights keep the signal through VGG-19
#
# ![](run:spreads)
#
# Note: 2 min. Untrained, from noise. Ask which line will learn. He's rises at the
# poolings: the largest of four values exceeds a typical one.

# %% [markdown] slide="only"
# ## The paper had no such rule, and grew its networks
#
# 1. Train A, 11 layers.
# 2. Copy its first four convolutions and its linear layers into the deeper network.
# 3. Train on.
#
# . . .
#
# In 2015 He's rule made 30 layers learn from the start; BatchNorm made the choice less
# important.
#
# Note: 1.5 min. Exercise: begin E from a trained A. Ask what the random layers in between
# do at the start.

# %% [markdown] slide="only" part="Result"
# ## In the paper, depth helps up to 16 layers
#
# ![](run:table-3)
#
# Note: 2 min. Ask for E against D: 0.2 points from one run each, which shows nothing. C
# and D: the same depth, 1 × 1 against 3 × 3.

# %% [markdown] slide="only"
# ## Our kept runs: VGG-11 is ahead of AlexNet
#
# ![](run:kept-pair)
#
# All 45,000 photos, 4 epochs, 3 seeds; small widths.
#
# Note: 2 min. Ask what differs besides depth: kernels and BatchNorm. So it is no test of
# depth alone. Bands are lowest to highest.

# %% [markdown] slide="only"
# ## The scoreboard, one row more
#
# > **{{ f"{100 * sum(kept.test_accuracy(pair['AlexNet'])) / 3:.1f}" }} %** AlexNet, width 1/8
#
# > **{{ f"{100 * sum(kept.test_accuracy(pair['VGG-11'])) / 3:.1f}" }} %** VGG-11, width 1/4
#
# . . .
#
# Test accuracy after four epochs: {{ f"{kept.difference(pair['AlexNet'], pair['VGG-11']).points:.1f}" }}
# points apart, standard error {{ f"{kept.difference(pair['AlexNet'], pair['VGG-11']).error:.1f}" }}.
#
# Note: 1.5 min. More than twice its error: a difference. What causes it, these two runs
# do not say.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - n convolutions of 3 × 3 see 2n + 1 pixels.
# - Three 3 × 3: 27 weights for 49, and two ReLUs more.
# - Memory lies early, parameters late: 74 % in one layer.
# - First weights: variance 2 / n for ReLU.
# - One run each shows no difference of 0.2 points.
#
# Note: 2 min. Cover it, and let five students say one each. The cheat sheet has them.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **04.1** Small kernels for AlexNet's 11 × 11: weights and receptive field.
# - **04.2** Write He's weights for one layer; the check measures their spread.
#
# Note: 1 min. The first takes ten minutes. The last two exercises train, and take half an
# hour. Next time: four kernel sizes side by side.
