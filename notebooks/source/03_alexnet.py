# %% [markdown] slide="slide"
# # AlexNet: an old idea at a new size
#
# In 2012 a convolutional network wins the largest contest in computer vision by ten
# points. We build it, count it, and test its tricks one by one.
#
# *Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
# Networks. NIPS, 2012.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute every size, parameter and multiply-add of AlexNet by hand;
# 2. run the paper's comparison of ReLU and tanh, and say what is unfair in ours;
# 3. write local response normalisation and a grouped convolution, and prove both equal
#    to torch's;
# 4. judge a trick that is worth half a point: with seeds, and with an error;
# 5. train with a plateau schedule, and measure what averaging networks gains.
#
# A run takes a quarter of a minute at scale `tiny`, and about six minutes at `small` on
# a laptop. All numbers in the text are from a run at `small`.

# %% [markdown] slide="slide"
# ## Question
#
# The paper's Figure 1: a small network with ReLU reaches 25 % training error on
# CIFAR-10 **six times faster** than the same network with tanh.
#
# **We run it twice: with the pixels and first weights of 2012, and with torch's of
# today. How many times faster is ReLU in each?**
#
# *Two guesses, before anything is computed: 1/2, 1, 2, 6 or 20?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
from dataclasses import replace
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from teaching import check, diagrams
from utils import course, data, look, pictures, plot
from utils.augment import HorizontalFlip, RandomCrop
from utils.look import trace
from utils.models import LeNet5, alexnet_2012
from utils.models.alexnet import alexnet
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
photos = data.cifar10()
watched = photos.val.subset(course.pick(tiny=100, small=2000, full=5000))
seeds = range(course.pick(tiny=1, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: LeNet-5, a thousand times larger
#
# The contest is called ILSVRC: 1.2 million training photographs, 1,000 classes. A
# network may name five classes for each test photograph. If the right one is missing,
# that is a *top-5 error*. What share does each year's winner get wrong?

# %% tags=["hide-input"]
# alt: Top-5 error of the ILSVRC winners by year: 28.2 and 25.8 percent in 2010 and 2011
# alt: without deep networks; AlexNet 16.4 in 2012, then 11.7, 6.7, 3.6, 3.0 and 2.3. A
# alt: dotted line marks a trained human at 5.1.
winners = {
    2010: (28.2, "NEC-UIUC"),
    2011: (25.8, "XRCE"),
    2012: (16.4, "AlexNet"),
    2013: (11.7, "Clarifai"),
    2014: (6.7, "GoogLeNet"),
    2015: (3.6, "ResNet"),
    2016: (3.0, "Trimps-\nSoushen"),
    2017: (2.3, "SENet"),
}
fig, ax = plt.subplots(figsize=(7, 3.3))
for year, (error, name) in winners.items():
    color = "#BBBBBB" if year < 2012 else plot.PALETTE["sky blue"]
    ax.bar(year, error, 0.66, color=plot.MODEL_COLORS.get(name, color))
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0}
    ax.text(year, error + 0.4, f"{error:.1f}", ha="center", va="bottom", bbox=clear)
ax.axhline(5.1, ls=":", color=plot.PAPER, zorder=0)
ax.text(2017.5, 7.4, "dotted: a trained human, 5.1", ha="right", color=plot.PAPER)
ax.set_xticks(list(winners), [f"{y}\n{n}" for y, (_, n) in winners.items()], fontsize=9)
ax.set(ylabel="top-5 error (%)", ylim=(0, 32))
title = "Grey: no deep network. In which year does the field turn?"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown] slide="subslide"
# The turn is 2012: from 25.8 to **16.4 %**. The second team of 2012 has 26.2 %. Three
# things come together:
#
# - **Learned features.** The other teams design features by hand, such as histograms of
#   edge directions (SIFT), and train only a classifier after them. AlexNet trains all
#   its layers.
# - **ImageNet** (2009) gives 1.2 million labelled photographs. With much less, 61
#   million parameters overfit.
# - **GPUs.** Two with 3 GB each train it in five to six days.

# %% [markdown] slide="subslide"
# The kind of network is not new. Here is LeNet-5 of 1998. Which of its parts does
# AlexNet use again?

# %% check=True
diagrams.from_model(LeNet5(), (1, 28, 28), title="LeNet-5, 1998")

# %% slide="subslide" check=True
with torch.device("meta"):  # shapes without values: built in milliseconds
    winner = alexnet_2012()
diagrams.from_model(winner, (3, 227, 227), title="AlexNet, 2012")

# %% [markdown] slide="subslide"
# All of them: convolution, activation, pooling, and linear layers at the end. How many
# times more parameters has AlexNet, and how many times more work for one image? Guess.

# %% check=True
old, new = look.totals(LeNet5(), (1, 28, 28)), look.totals(winner, (3, 227, 227))
for what, a, b in zip(("parameters", "multiply-adds"), old, new, strict=True):
    print(f"{what:14}{a:12,}{b:14,}  {b / a:6,.0f} times")

# %% [markdown] slide="subslide"
# | | LeNet-5 | AlexNet |
# |---|---|---|
# | layers with weights | 2 convolutions, 3 linear | 5 convolutions, 3 linear |
# | activation | tanh | **ReLU** |
# | pooling | 2 × 2 mean | **3 × 3 maximum, overlapping** |
# | against overfitting | little | **dropout, crops, mirrors, colours** |
# | also new | | **LRN, two GPUs** |
# | training images | 60,000 digits | 1.2 million photographs |
#
# ReLU itself is older: the paper cites Nair and Hinton (2010). We test the bold entries
# one by one.

# %% [markdown] slide="slide"
# ## The layer table, by hand
#
# From lecture 00: a window of side k, padding p and stride s turns n pixels into
# ⌊(n + 2p − k) / s⌋ + 1. Cover the output, and compute from 227 to the last pooling.

# %% check=True
def output_size(n, k, p=0, s=1):
    return (n + 2 * p - k) // s + 1

# %% check=True slide="subslide"
layers = [("conv 1", 11, 0, 4, 96), ("pool 1", 3, 0, 2, 96), ("conv 2", 5, 2, 1, 256)]
layers += [("pool 2", 3, 0, 2, 256), ("conv 3", 3, 1, 1, 384)]
layers += [("conv 4", 3, 1, 1, 384), ("conv 5", 3, 1, 1, 256), ("pool 3", 3, 0, 2, 256)]
n = 227
for name, k, p, s, channels in layers:
    before, n = n, output_size(n, k, p, s)
    sizes = f"({before:3} + 2·{p} - {k:2}) / {s} + 1 = {n:2}"
    print(f"{name}  {sizes}   {channels} channels")
print(f"linear layers get {channels} · {n} · {n} = {channels * n * n:,} numbers")

# %% [markdown] slide="subslide"
# **227 or 224?** The paper writes 224 × 224 pixels, and 55 × 55 for the first maps. Can
# both be true?

# %% check=True
print("image  padding  (n + 2p - 11) / 4 + 1    sides                numbers")
for n, p in ((224, 0), (224, 2), (227, 0)):
    sides = [output_size(n, 11, p, 4)]
    for _ in range(3):
        sides.append(output_size(sides[-1], 3, 0, 2))
    shown = " -> ".join(f"{side:2}" for side in sides)
    exact = (n + 2 * p - 11) / 4 + 1
    print(f"{n:5}  {p:7}  {exact:21}    {shown}   {256 * sides[-1] ** 2:6,}")

# %% [markdown]
# Not without padding: 224 pixels give 54. Either the image has 227 pixels, or we pad by
# 2. Both lead to 9,216 numbers. Without either it is **6,400**.

# %% [markdown] slide="subslide"
# The caption of the paper's Figure 2 counts the values of each layer. One of the
# numbers for the five convolutions is wrong. Which?

# %% check=True
caption = {"conv 1": 253_440, "conv 2": 186_624, "conv 3": 64_896}
caption |= {"conv 4": 64_896, "conv 5": 43_264}
maps = {"conv 1": (55, 96), "conv 2": (27, 256), "conv 3": (13, 384)}
maps |= {"conv 4": (13, 384), "conv 5": (13, 256)}
for name, (side, channels) in maps.items():
    counted = side * side * channels
    same = "as printed" if counted == caption[name] else f"printed {caption[name]:,}"
    print(f"{name}  {side} · {side} · {channels} = {counted:7,}  {same}")
assert caption["conv 1"] == 55 * 48 * 96  # somebody took 48, the channels of one GPU

# %% [markdown] slide="slide"
# ## ReLU: six times faster than tanh?
#
# The number that enters an activation is its *pre-activation* (the output calls it
# `sum`). ReLU passes a positive one on unchanged. Tanh and sigmoid are flat for large
# numbers of either sign. The gradient is multiplied by the *slope*. How large is it?

# %% check=True
sums = torch.tensor([0.1, 1.0, 2.0, 5.0, 20.0], requires_grad=True)
print("sum     ", *(f"{value:8.1f}" for value in sums.tolist()))
for name, bend in (("ReLU", F.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid)):
    (slope,) = torch.autograd.grad(bend(sums).sum(), sums)
    print(f"{name:8}", *(f"{value:8.4f}" for value in slope.tolist()))

# %% [markdown]
# At a pre-activation of 5 the slope of tanh is 0.0002: almost no gradient passes.
# ReLU's slope is 1 for every positive number. For a negative one, which is not shown,
# it is 0. So **the size and sign of the pre-activations** decide.

# %% [markdown] slide="subslide"
# In AlexNet a convolution and its ReLU always come together:

# %% mirror="utils.models.alexnet:conv_relu" slide="-"

# %% [markdown] slide="subslide"
# For the paper's experiment we use a *four-layer* network: three convolutions and a
# linear layer. The activation is an argument. So is the pooling, which we need later.

# %%
widths = course.pick(tiny=(4, 4, 8), small=(16, 16, 32), full=(32, 32, 64))
side = course.pick(tiny=16, small=16, full=32)  # pixels: small photographs save time
ACTIVATIONS = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def four_layers(activation, pool=(2, 2)):
    """Three convolutions, each pooled, then one linear: (N, 3, H, W) -> (N, 10)."""
    layers, inputs = [], 3
    for channels in widths:
        layers += [nn.Conv2d(inputs, channels, 5, padding=2), activation()]
        layers += [nn.MaxPool2d(*pool)]
        inputs = channels
    layers += [nn.Flatten(), nn.Linear(inputs * (side // 8) ** 2, 10)]
    return nn.Sequential(*layers)

# %% [markdown] slide="subslide"
# Two sets of conditions. **2012**, from the paper's sections 2 and 5: pixels from −128
# to 127 with their mean taken away; weights from a normal distribution with σ = 0.01.
# **Today**: pixels divided by their standard deviation, weights as torch draws them.

# %%
def shrunk(photos):
    """The same photographs at side x side pixels."""
    images = F.avg_pool2d(photos.images.float(), 32 // side)
    return replace(photos, images=images.round().byte())


def start(form, name, seed):
    """An untrained network, and the images that it will get."""
    torch.manual_seed(seed)
    model, images = four_layers(ACTIVATIONS[name]), small
    if form == "2012":
        images = replace(small, std=(1 / 255,) * 3)  # the loader divides by std
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.01 if weight.dim() > 1 else 0.0)
    return model.to(run.device), images


small = shrunk(photos.train.subset(course.pick(tiny=200, small=4000, full=None)))

# %% [markdown] slide="subslide"
# The paper chose the learning rate *for each network, to make training as fast as
# possible*. We do the same by short trials with one seed. Neighbouring rates differ by
# a factor of three.

# %%
batch_size = course.pick(tiny=20, small=20, full=100)
trial, epochs = course.pick(tiny=(1, 3), small=(6, 14), full=(6, 30))


def train_small(form, name, lr, epochs, seed):
    """The trained network, and its training error after each epoch, as fractions."""
    model, images = start(form, name, seed)
    loader = images.loader(batch_size, shuffle=True, seed=seed)
    try:
        history = fit(model, loader, epochs=epochs, lr=lr, progress=False)
    except course.CourseError:  # the step was too large: the loss is no number any more
        return model, [1.0] * epochs
    return model, [1 - share for share in history["train_accuracy"]]

# %% slide="subslide"
grids = {
    ("2012", "ReLU"): (0.0003, 0.001, 0.003),
    ("2012", "tanh"): (0.003, 0.01, 0.03),
    ("2012", "sigmoid"): (0.03, 0.1, 0.3),
    ("today", "ReLU"): (0.003, 0.01, 0.03),
    ("today", "tanh"): (0.003, 0.01, 0.03),
    ("today", "sigmoid"): (0.03, 0.1, 0.3),
}
rates = {}
for key, grid in grids.items():
    tried = {lr: train_small(*key, lr, trial, seed=99)[1][-1] for lr in grid}
    rates[key] = min(tried, key=tried.get)
    errors = "  ".join(f"{lr:6}: {error:4.0%}" for lr, error in tried.items())
    print(f"{key[0]:6}{key[1]:8} error at {errors}   takes {rates[key]}")

# %% [markdown] slide="subslide"
# Then new seeds with the chosen rates. No dropout and no weight decay: as in the paper,
# the *training* error counts. Which line falls fastest in 2012?

# %%
runs = {
    key: [train_small(*key, rates[key], epochs, seed) for seed in seeds]
    for key in rates
}
target = course.pick(tiny=0.5, small=0.5, full=0.25)


def figure_1(form, title):
    """Training error by epoch, as in the paper's Figure 1; guessing is 90 %."""
    lines = {
        name: [[0.9, *errors] for _, errors in runs[form, name]] for name in ACTIVATIONS
    }
    label = {"xlabel": "epoch", "ylabel": "training error (%)", "title": title}
    label |= {"paper": target, "paper_label": "target"}
    return plot.band(range(epochs + 1), lines, **label)

# %% slide="subslide"
# alt: Training error by epoch with raw pixels and weights of 0.01, with bands over
# alt: seeds. ReLU falls fastest; tanh and sigmoid follow.
figure_1("2012", "Pixels and weights of 2012: who is first at the target?");

# %% [markdown] slide="subslide"
# In 2012 ReLU reaches the target first, then tanh; sigmoid does not reach it. And with
# today's pixels and weights? Decide before you run the cell.

# %%
# alt: Training error by epoch with standardised pixels and torch's weights, with bands
# alt: over seeds: tanh and ReLU close together, sigmoid far behind.
figure_1("today", "Standardised pixels, torch's weights: who is first now?");

# %% [markdown] slide="subslide"
# Now tanh is first. In numbers: epochs until the error falls to the target, with a
# straight line between whole epochs.

# %%
def epochs_to(errors):
    """Epochs until the target; as many as were run where it is never reached."""
    for epoch, (before, after) in enumerate(pairwise([0.9, *errors])):
        if after <= target:
            return epoch + (before - target) / (before - after)
    return float(epochs)

# %% slide="subslide"
needed = {
    key: torch.tensor([epochs_to(errors) for _, errors in trained])
    for key, trained in runs.items()
}
ratios = {f: needed[f, "tanh"] / needed[f, "ReLU"] for f in ("2012", "today")}
for (form, name), values in needed.items():
    never = " (or never)" if values.max() == epochs else ""
    print(f"{form:6}{name:8}{values.min():5.1f} to {values.max():4.1f} epochs{never}")
for form, ratio in ratios.items():
    times = f"{ratio.min():.1f} to {ratio.max():.1f} times"
    print(f"{form}: tanh needs {times} as many epochs as ReLU")

# %% [markdown]
# At `small`, tanh needs 1.4 to 1.5 times ReLU's epochs in 2012, and 0.7 to 0.8 times
# today. All three seeds agree. We do **not** find the paper's six.

# %% [markdown] slide="subslide"
# **Is the second comparison fair?** No, for three reasons.
#
# - **The weights fit neither activation.** torch draws them with variance 1 / (3 n),
#   for n inputs. ReLU needs 2 / n (He's rule, lecture 04), six times as much. Tanh
#   needs about 1 / n (Xavier's rule), three times as much.
# - **The grid of rates is coarse.** The best rate may lie between two that we tried,
#   and one seed judged them.
# - **It is small.** 4,000 photographs of 16 × 16 pixels, and a target of 50 %, not
#   25 %.
#
# So "0.8 times ReLU's epochs" is mostly a handicap of ReLU. A fair run takes He's
# weights for ReLU, Xavier's for tanh, and a finer grid.

# %% [markdown] slide="subslide"
# But why does the order change? We measure the mean slope of each activation, at the
# pre-activations that it really gets: before training, and after it.

# %%
def slopes(model, images):
    """The mean slope of each of the three activation layers."""
    x, _ = next(iter(images.loader(200)))
    means = []
    for layer in model:
        if isinstance(layer, tuple(ACTIVATIONS.values())):
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(layer(x).sum(), x)
            means.append(slope.mean().item())
        x = layer(x)
    return means

# %% slide="subslide"
print("                    layer 1   layer 2   layer 3")
for form, name in [key for key in runs if key[1] != "sigmoid"]:
    model, images = start(form, name, seed=0)
    for when, net in (("start", model), ("trained", runs[form, name][0][0])):
        values = "".join(f"{mean:10.3f}" for mean in slopes(net, images))
        print(f"{form:6}{name:6}{when:8}{values}")

# %% [markdown]
# For ReLU this number is the **share of units that are on**. It does not stay high:
# after training it is 0.159 and 0.096 in layers 2 and 3 in 2012. Tanh has 0.201 and
# 0.331 there. The difference is in **layer 1 of 2012**: 0.487 for ReLU, and 0.002 for
# tanh.

# %% [markdown] slide="subslide"
# A gradient passes all three layers, so we multiply the trained slopes of each row. In
# 2012 that gives 0.007 for ReLU and 0.0001 for tanh; today 0.003 and 0.03. Both times
# the faster network has the larger product. This fits the curves. It proves no cause,
# since pixels and weights change together.

# %% [markdown] slide="subslide"
# One warning: Figure 1 is about *training* error. How much of a lead is left on new
# photographs?

# %%
new_photos = shrunk(photos.val)
raw_photos = replace(new_photos, std=(1 / 255,) * 3)
print(f"{'':14}training error   validation error")
for (form, name), trained in runs.items():
    loader = (raw_photos if form == "2012" else new_photos).loader(1000)
    shares = [1 - evaluate(model, loader).accuracy for model, _ in trained]
    last = sum(errors[-1] for _, errors in trained) / len(trained)
    print(f"{form:6}{name:8}{last:14.1%}{sum(shares) / len(shares):19.1%}")

# %% [markdown]
# In 2012 ReLU's lead shrinks from 7.4 to 4.4 points. Today tanh's lead shrinks from
# 20.3 to 2.1 points. "Faster" is a statement about training. The paper claims no more.

# %% [markdown] slide="slide"
# ## LRN: dividing by the neighbours
#
# *Local response normalisation* divides each value by a measure of the same position in
# n neighbouring channels:
#
# $$b_i = a_i \Big/ \Big(k + \alpha \sum_{j = i - n/2}^{i + n/2} a_j^2\Big)^{\beta}$$
#
# Four channels, a = (1, 2, 3, 4), with n = 3 and k = α = β = 1. Compute all four.

# %% check=True
a = [1, 2, 3, 4]
for i, value in enumerate(a):
    near = a[max(0, i - 1) : i + 2]
    total = sum(v * v for v in near)
    squares = " + ".join(f"{v}²" for v in near)
    print(f"b{i} = {value} / (1 + {squares}) = {value} / {1 + total:2} = ", end="")
    print(f"{value / (1 + total):.4f}")

# %% [markdown] slide="subslide"
# The largest value, 4, becomes 0.1538. The smallest, 1, becomes 0.1667: its neighbours
# are small, so its divisor is small. The same for whole maps:

# %% mirror="utils.models.alexnet:LocalResponseNorm" slide="-"

# %% [markdown] slide="subslide"
# Is it equal to our numbers? And to torch's layer with the same α?

# %% check=True
column = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
by_hand = torch.tensor([1 / 6, 2 / 15, 3 / 30, 4 / 26])
ours = LocalResponseNorm(size=3, alpha=1, beta=1, k=1)(column).flatten()
assert torch.allclose(ours, by_hand)
for alpha in (1, 3):
    theirs = nn.LocalResponseNorm(3, alpha=alpha, beta=1, k=1)(column).flatten()
    verdict = "equal" if torch.allclose(theirs, by_hand) else "different"
    print(f"torch, alpha={alpha}:", *(f"{b:.4f}" for b in theirs.tolist()), verdict)

# %% [markdown]
# Ours is equal; torch's is not, because torch divides α by n. The paper's α = 10⁻⁴ with
# n = 5 is **5 · 10⁻⁴** in torch. Whoever types 10⁻⁴ gets another network and no error
# message.

# %% check=True
torch.manual_seed(0)
maps = 100 * torch.randn(2, 96, 7, 7)  # large values, so that the sum counts
same = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)(maps)
assert torch.allclose(LocalResponseNorm()(maps), same, rtol=1e-5)
print("the paper's constants: equal on 96 channels")

# %% [markdown] slide="subslide"
# The paper chose n = 5, k = 2, α = 10⁻⁴ and β = 0.75 on a validation set. For values of
# which size? Here all five neighbours have the same value v:

# %% check=True
for v in (0.1, 1, 10, 50, 100, 1000):
    print(f"v = {v:6}   b / a = {(2 + 1e-4 * 5 * v**2) ** -0.75:.3f}")

# %% [markdown]
# For values around 1 the layer multiplies by 0.59, whatever the neighbours are. They
# begin to matter at about 50: these constants too belong to **raw pixels**. The paper
# reports 1.4 points less top-1 error. VGG found no gain (lecture 04).

# %% [markdown] slide="slide"
# ## Overlapping pooling: windows that share
#
# Plain pooling takes windows of 2 with stride 2. AlexNet takes windows of **3** with
# stride 2. What comes out for these seven numbers?

# %% check=True
row = torch.tensor([[1.0, 2, 9, 3, 1, 4, 8]])
for name, window in (("plain", 2), ("overlapping", 3)):
    pooled = F.max_pool1d(row, window, stride=2)
    print(f"{name:12}", *(f"{value:.0f}" for value in pooled[0].tolist()))

# %% [markdown]
# Both give three numbers. The 9 appears twice, because it lies in two windows. The
# paper reports 0.4 points less top-1 error and 0.3 points less top-5 error, without an
# error over seeds.

# %% [markdown] slide="subslide"
# **Can we see 0.4 points?** We train the four-layer network with both poolings on seven
# seeds. Both have the same sizes and parameters. Padding by 1 keeps 16 → 8 → 4 → 2.

# %%
pools = {"plain": (2, 2, 0), "overlapping": (3, 2, 1)}  # window, stride, padding
pool_seeds = range(course.pick(tiny=3, small=7, full=7))
pool_epochs = course.pick(tiny=1, small=10, full=20)


def pooled_net(pool, seed, lr=0.01):
    """A trained network with this pooling."""
    torch.manual_seed(seed)
    model = four_layers(nn.ReLU, pools[pool])
    loader = small.loader(batch_size, shuffle=True, seed=seed)
    settings = {"lr": lr, "schedule": "onecycle", "progress": False}
    fit(model, loader, epochs=pool_epochs, **settings)
    return model


pooled = {pool: [pooled_net(pool, seed) for seed in pool_seeds] for pool in pools}

# %% slide="subslide"
def errors_of(nets, images):
    """The share of wrong answers of each network."""
    return [1 - evaluate(net, images.loader(1000)).accuracy for net in nets]


def compare(nets):
    """Overlapping minus plain, seed by seed: mean and standard error, in points."""
    plain, overlapping = (torch.tensor(errors_of(nets[p], new_photos)) for p in pools)
    changes = 100 * (overlapping - plain)
    return changes.mean().item(), changes.std().item() / len(changes) ** 0.5

# %% slide="subslide"
change, unsure = compare(pooled)
pool_errors = {pool: errors_of(nets, new_photos) for pool, nets in pooled.items()}
print(f"overlapping changes the validation error by {change:+.2f} points")
print(f"standard error of this mean: {unsure:.2f} points")

# %%
# alt: Bars of the mean validation error with plain and with overlapping pooling; whiskers
# alt: span the seeds.
title = f"Overlapping changes the error by {change:+.2f} points. More than chance?"
plot.bars(pool_errors, xlabel="validation error (%)", title=title);

# %% slide="subslide"
verdict = "more than" if abs(change) > 2 * unsure else "less than"
wanted = len(pool_seeds) * (2 * unsure / 0.4) ** 2
print(f"our {change:+.2f} points are {verdict} two standard errors ({2 * unsure:.2f})")
print(f"to see the paper's 0.4 points we would need about {wanted:.0f} seeds")

# %% [markdown]
# Our gain of 1.05 points exceeds twice its standard error. This error covers the seeds
# alone: the same validation photographs judge all networks.
#
# "About 10 seeds" is for even odds: half of such studies would see a true gain of 0.4.
# For four of five it takes about 19. Does the gain survive another learning rate?

# %%
quick = {
    p: [pooled_net(p, seed, lr=0.03) for seed in pool_seeds[:3]] for p in pools
}
fast_change, fast_unsure = compare(quick)
print(f"lr 0.01: {change:+.2f} ± {unsure:.2f} points")
print(f"lr 0.03: {fast_change:+.2f} ± {fast_unsure:.2f} points")

# %% [markdown] slide="subslide"
# **We cannot say.** At 0.03 three seeds give +4.02 ± 1.60 points. With three seeds,
# chance alone exceeds twice the standard error in one case of six. So the gain is shown
# for rate 0.01 alone, a rate that was chosen with plain pooling.
#
# The paper also finds overlapping networks *slightly more difficult to overfit*. Then
# the **gap** between training and validation error must be smaller. Is it?

# %%
for pool, nets in pooled.items():
    known, unseen = errors_of(nets, small), pool_errors[pool]
    training, validation = sum(known) / len(nets), sum(unseen) / len(nets)
    shown = f"training {training:.1%}, validation {validation:.1%}"
    print(f"{pool:12} {shown}: gap {100 * (validation - training):.1f} points")

# %% [markdown]
# Yes: 14.7 points against 21.6. But 5.9 of these 6.9 points come from a higher training
# error. The overlapping network learns its training set less well.

# %% [markdown] slide="slide"
# ## Two towers are a convolution in two groups
#
# A GPU of 2012 had 3 GB. So each of two GPUs got half of the channels. Convolutions 2,
# 4 and 5 read only the half that lies on their own GPU. One convolution with `groups=2`
# **is** two convolutions side by side:

# %% check=True
torch.manual_seed(0)
x = torch.randn(1, 96, 27, 27)
both = nn.Conv2d(96, 256, 5, padding=2, groups=2)
upper, lower = nn.Conv2d(48, 128, 5, padding=2), nn.Conv2d(48, 128, 5, padding=2)
for i, tower in enumerate((upper, lower)):
    tower.weight.data = both.weight.data[128 * i : 128 * (i + 1)]
    tower.bias.data = both.bias.data[128 * i : 128 * (i + 1)]
side_by_side = torch.cat([upper(x[:, :48]), lower(x[:, 48:])], dim=1)
assert torch.allclose(both(x), side_by_side, atol=1e-5)
print("weights in two groups:", tuple(both.weight.shape))
print("weights in one:       ", tuple(nn.Conv2d(96, 256, 5).weight.shape))

# %% [markdown]
# Each kernel reads 48 channels instead of 96: **half the weights, half the work**. With
# g groups both shrink to one g-th. The biases stay.

# %% [markdown] slide="subslide"
# By hand for all five: C_out (C_in / g · k² + 1) parameters. Which layers save how many?

# %% check=True
channels, kernels = (3, 96, 256, 384, 384, 256), (11, 5, 3, 3, 3)
saved = 0
for i, k in enumerate(kernels):
    c_in, c_out, g = channels[i], channels[i + 1], 1 if i in (0, 2) else 2
    two, one = (c_out * (c_in // groups * k * k + 1) for groups in (g, 1))
    saved += one - two
    print(f"conv {i + 1}  in two towers {two:9,}  in one column {one:9,}")
print(f"saved {saved:,}; 62,378,344 - 60,965,224 = {62378344 - 60965224:,}")

# %% [markdown] slide="subslide"
# Convolutions 2, 4 and 5 save 1.4 million parameters. Here are convolutions 2 to 5 as
# in the paper. Where do the towers meet?

# %% mirror="utils.models.alexnet:alexnet_2012_features" slide="-"

# %% slide="subslide" check=True
with torch.device("meta"):
    features = alexnet_2012_features()
look.shape_table(features, (96, 27, 27), depth=1)

# %% [markdown]
# In convolution 3, in LRN, and in the linear layers. The paper's gain of 1.7 points is
# measured against a network of half the width. So it is the gain of a **wider**
# network; the towers make it fit into memory.

# %% [markdown] slide="slide"
# ## Dropout and new views against overfitting
#
# 61 million parameters, 1.2 million images. Without crops and mirrors the authors see
# "substantial overfitting". A view is a 224 × 224 crop, mirrored or not. How many views
# does one 256 × 256 image have?

# %% check=True
places = 256 - 224 + 1
print(f"the paper: 32 · 32 places, mirrored: {2 * 32 * 32:,}")
print(f"counted:   {places} · {places} places, mirrored: {2 * places**2:,}")

# %% [markdown]
# - **Crops and mirrors** (lecture 02): 2,178 views. At test time the predictions for
#   ten crops are averaged.
# - **Colours**: shift each image along the principal components of all pixels' colours
#   (exercise 03.5). More than 1 point of top-1 error.
# - **Dropout** (lecture 01): 0.5 before the first two linear layers. Training takes
#   about twice as many steps.

# %% mirror="utils.models.alexnet:alexnet_classifier"

# %% slide="subslide" check=True
with torch.device("meta"):
    classifier = alexnet_classifier(1000)
look.shape_table(classifier, (9216,))

# %% [markdown]
# One linear layer holds 37.8 million parameters. Dropout stands where most parameters
# are.

# %% [markdown] slide="slide"
# ## Assemble: stem, features, classifier
#
# The *stem* is the first convolution with its pooling. It brings the image down to
# 27 × 27. It knows two cases: the paper's 227 pixels, and 224 with padding.

# %% mirror="utils.models.alexnet:AlexNetStem"

# %% mirror="utils.models.alexnet:AlexNet" slide="subslide"

# %% [markdown] slide="subslide"
# `alexnet_features` is the form of 2014: one column, fewer channels, no LRN.

# %% mirror="utils.models.alexnet:alexnet_features" slide="-"

# %% [markdown] slide="subslide"
# We put the paper's stem, features and classifier in, and count. Is it 60,965,224?

# %% check=True
with torch.device("meta"):
    stem = AlexNetStem(3, 96, paper=True)
    paper_net = AlexNet(stem, alexnet_2012_features(groups=2), alexnet_classifier(1000))
look.shape_table(paper_net, (3, 227, 227), depth=1)

# %% [markdown] slide="subslide"
# It is. **The second AlexNet.** Krizhevsky described a smaller one in 2014. It is the
# one in torchvision. Three forms, three counts:

# %% check=True
with torch.device("meta"):
    column = AlexNet(stem, alexnet_2012_features(groups=1), alexnet_classifier(1000))
    slim = AlexNet(AlexNetStem(3, 64), alexnet_features(), alexnet_classifier(1000))
    forms = {
        "2012, two towers": (paper_net, 227),
        "2012, one column": (column, 227),
        "2014, torchvision": (slim, 224),
    }
for name, (net, n) in forms.items():
    parameters, multiply_adds = look.totals(net, (3, n, n))
    print(f"{name:18} {n}  {parameters:,}  {multiply_adds / 1e9:.3f} G")

# %% [markdown]
# The towers save 1.4 million parameters of 62, but **36 % of the work**. The form of
# 2014 needs no towers: its first two convolutions have 64 and 192 channels, not 96 and
# 256.

# %% [markdown] slide="subslide"
# One function counts all forms, and two networks of published runs. One has 128, 256,
# 256 and 256 channels after the first convolution. One is for grey images, with 6,400
# numbers before the linear layers.

# %% check=True
def parameters(channels, first=3, groups=1, side=6, classes=1000):
    """Parameters by hand: five convolutions, then three linear layers."""
    inputs, shared = (first, *channels), (1, groups, 1, groups, groups)
    parts = zip(inputs, channels, (11, 5, 3, 3, 3), shared, strict=False)
    convolutions = sum(o * (i // g * k * k + 1) for i, o, k, g in parts)
    linear = 4096 * (channels[-1] * side**2 + 1) + 4096 * 4097 + classes * 4097
    return convolutions + linear


paper = (96, 256, 384, 384, 256)
assert parameters(paper, groups=2) == look.totals(paper_net, (3, 227, 227))[0]
assert parameters((64, 192, 384, 256, 256)) == look.totals(slim, (3, 224, 224))[0]
printed, today = (64, 128, 256, 256, 256), (64, 192, 384, 256, 256)
print(f"ten classes: 2014 form    {parameters(today, classes=10):,}")
print(f"             128 channels {parameters(printed, classes=10):,}")
print(f"             grey, 6,400  {parameters(paper, 1, side=5, classes=10):,}")

# %% [markdown]
# The first was published as torchvision's with a new last layer. That is a mistake: a
# new last layer changes no convolution.

# %% [markdown] slide="subslide"
# For grey images only the first kernels change. Fashion-MNIST enlarged to 1 × 224 ×
# 224, ten classes:

# %% check=True
with torch.device("meta"):
    grey = AlexNet(AlexNetStem(1, 64), alexnet_features(), alexnet_classifier(10))
look.shape_table(grey, (1, 224, 224), depth=1)

# %% [markdown]
# The stem has 15,488 fewer weights. But a 28 × 28 image enlarged to 224 has 64 times
# the pixels, and no new information.

# %% [markdown] slide="slide"
# ## Where the parameters and the work are
#
# Which layers hold the parameters, and which do the multiplications? Guess two shares
# for the convolutions.

# %% check=True
calls, total, work = trace(paper_net, (3, 227, 227), depth=2)
weighted = [call for call in calls if call.parameters]
conv = [call for call in weighted if "classifier" not in call.name]
held, done = sum(c.parameters for c in conv), sum(c.multiply_adds for c in conv)
print(f"convolutions hold {held:,} of {total:,} parameters: {held / total:.1%}")
print(f"and do {done:,} of {work:,} multiply-adds: {done / work:.1%}")

# %% tags=["hide-input"] slide="subslide"
# alt: Two bar charts over the eight layers. Parameters: almost all in the linear layers,
# alt: 37.8 million in the first of them. Multiply-adds: the convolutions do nearly all,
# alt: the second one most, 224 million.
names = [*(f"conv {i}" for i in range(1, 6)), *(f"linear {i}" for i in (6, 7, 8))]
fig, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
columns = {
    "parameters (millions)": [c.parameters / 1e6 for c in weighted],
    "multiply-adds (millions)": [c.multiply_adds / 1e6 for c in weighted],
}
for ax, (label, values) in zip(axes, columns.items(), strict=True):
    shades = [plot.PALETTE["blue"]] * 5 + [plot.HIGHLIGHT] * 3
    ax.barh(names, values, 0.66, color=shades)
    for y, value in enumerate(values):
        text = f"{value:.1f}" if value < 100 else f"{value:.0f}"
        ax.text(value + 0.015 * max(values), y, text, va="center", fontsize=10)
    ax.set(xlabel=label, xlim=(0, 1.18 * max(values)))
    ax.grid(False)
axes[0].invert_yaxis()
title = "The linear layers are large, the convolutions are busy"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown]
# The convolutions hold 3.8 % of the parameters and do 91.9 % of the work. A kernel is
# used at each place of its map (55 × 55 in the first layer), a linear weight once.

# %% [markdown] slide="slide"
# ## Train: the paper's recipe in small
#
# Batches of 128, momentum 0.9, weight decay 5 · 10⁻⁴, dropout 0.5. The learning rate
# starts at 0.01. It is **divided by 10 when the validation error stops improving**. At
# `small` we take an eighth of the width, batches of 32, and less dropout, to save time.

# %%
def with_he_weights(model):
    """Draw new weights by the rule of lecture 04; biases are 0."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return model

# %% slide="subslide"
width, dropout = course.pick(tiny=(1 / 16, 0.2), small=(1 / 8, 0.2), full=(1, 0.5))
torch.manual_seed(run.seed)
small_alexnet = with_he_weights(alexnet(10, width=width, dropout=dropout, stem="cifar"))
first_kernels = small_alexnet.stem.conv[0].weight.detach().cpu().clone()
look.shape_table(small_alexnet, (3, 32, 32), depth=1)

# %% [markdown] slide="subslide"
# `schedule="plateau"` watches the validation accuracy. After three epochs in a row
# without a better one, the learning rate becomes a tenth. What will the curve do then?

# %%
size, count, rounds = course.pick(
    tiny=(25, 150, 2), small=(32, 4000, 20), full=(128, None, 60)
)
views = course.pick(tiny=(), small=(), full=(RandomCrop(4), HorizontalFlip()))
loader = photos.train.subset(count).loader(size, augment=views, shuffle=True)
sgd = partial(torch.optim.SGD, lr=0.01, momentum=0.9, weight_decay=5e-4)
recipe = {"optimizer": sgd, "schedule": "plateau"}
recipe |= {"epochs": rounds, "name": "AlexNet", "progress": False}
history = fit(small_alexnet, loader, watched.loader(500), **recipe)

# %% slide="subslide"
history

# %% slide="subslide"
# alt: Training and validation loss and accuracy of the small AlexNet by epoch, with the
# alt: best epoch marked.
cuts = [b["epoch"] for a, b in pairwise(history.rows) if b["lr"] < a["lr"]]
when = ", ".join(map(str, cuts)) or "none yet"
plot.curves(history, title=f"Epochs that begin with a smaller step: {when}");

# %% [markdown] slide="subslide"
# From epoch 14 to 16, over the division, validation accuracy rises from 42.7 to 48.3 %:
# smaller steps let the weights settle.
#
# But training accuracy ends at 81.1 %, validation accuracy at 48.9 %, and the
# validation loss rises. **4,000 photographs are too few for AlexNet.** This run shows
# how the recipe works, not how good AlexNet is.

# %% [markdown] slide="slide"
# ## Look inside
#
# A famous picture of the paper shows its 96 first kernels: edges, stripes and colours.
# Ours are 5 × 5 pixels, and eight. Does training make edges of the first noise?

# %%
# alt: Kernels of the first convolution in colour, before training noise, after it still
# alt: noisy; the last row, the difference of the two, shows blobs and edges of colour.
trained_kernels = small_alexnet.stem.conv[0].weight.detach().cpu()
rows = [first_kernels, trained_kernels, trained_kernels - first_kernels]
kernels = torch.cat([row[:8] for row in rows])
title = "First kernels: before training, after it, and what training added"
pictures.filters(kernels, columns=min(8, len(first_kernels)), title=title);

# %% slide="subslide"
before, after, added = (row.flatten(1).norm(dim=1) for row in rows)
share = added / before
print(f"kernels moved by {share.min():.0%} to {share.max():.0%} of their first length")

# %% [markdown]
# No: the kernels are still noise. Only the difference (last row) is smooth, with
# gradients of light and colour. 20 epochs of 4,000 photographs do not remove the first
# noise. The paper's kernels saw 1.2 million images 90 times.

# %% [markdown] slide="subslide"
# What do the layers make of one photograph? From the first to the fifth convolution:

# %%
# alt: Rows of feature maps for one photograph: the first convolution keeps outlines, the
# alt: later ones show fewer and coarser spots.
photo, label = next(iter(watched.loader(8)))
names = {"conv 1": "stem.conv", "conv 2": "features.0"}
names |= {"conv 3": "features.2", "conv 5": "features.4"}
outputs = look.feature_maps(small_alexnet, photo[0], list(names.values()))
shown = {name: outputs[layer] for name, layer in names.items()}
title = f"A {photos.classes[label[0]]}: outlines first, then coarse spots"
pictures.feature_maps(shown, title=title);

# %% [markdown] slide="subslide"
# A few maps of conv 1 and 2 show parts of an outline. Their brightest lines lie at the
# **border**, where the padding begins. The later maps show a few bright cells. We would
# not recognise the deer.
#
# The paper's Figure 4 asks for neighbours: which training photographs are nearest in
# the last hidden layer? On the left stands the validation photograph.

# %%
bank = photos.train.subset(course.pick(tiny=200, small=4000, full=10_000))
known, bank_labels = look.features(small_alexnet, bank.loader(500), "classifier.5")
asked, labels = look.features(small_alexnet, watched.loader(500), "classifier.5")
nearest = torch.cdist(asked, known).argsort(dim=1)[:, :7]
chosen = [(labels == c).nonzero()[0].item() for c in (0, 7, 8)]  # three classes

# %% tags=["hide-input"] slide="subslide"
# alt: Three validation photographs, each followed by the seven training photographs that
# alt: are nearest in the last hidden layer, with their classes.
neighbours, titles = [], []
for i in chosen:
    neighbours += [watched.images[i], *bank.images[nearest[i]]]
    titles += [photos.classes[labels[i]].upper()]
    titles += [photos.classes[c] for c in bank_labels[nearest[i]]]
title = "Left: asked. Right: nearest in the last hidden layer"
pictures.image_grid(neighbours, titles, title=title);

# %% slide="subslide"
def flat(images):
    return images.images.flatten(1).float()


agree = (bank_labels[nearest] == labels[:, None]).double().mean()
by_pixels = torch.cdist(flat(watched), flat(bank)).argsort(dim=1)[:, :7]
pixels_agree = (bank.labels[by_pixels] == watched.labels[:, None]).double().mean()
print(f"neighbours of the same class: {agree:.0%}, by raw pixels {pixels_agree:.0%}")

# %% [markdown]
# In the last hidden layer 42 % of the neighbours have the right class, by raw pixels
# 22 %, by chance 10 %. Some mistakes share a background, as birds in the sky do with an
# airplane.

# %% [markdown] slide="slide"
# ## Many networks vote better than one
#
# The paper averages five networks: the top-5 error falls from 18.2 to 16.4 %. We
# average the probabilities of our seven networks with overlapping pooling, one by one,
# in twenty random orders. How much of the error goes?

# %%
logits = [predict(net, new_photos.loader(1000)) for net in pooled["overlapping"]]
votes = torch.stack([scores.softmax(dim=1) for scores, _ in logits])
truth = logits[0][1]
counts = torch.arange(1, len(votes) + 1)
ensemble_errors = []
for _ in range(20):
    order = torch.randperm(len(votes))
    means = votes[order].cumsum(dim=0) / counts[:, None, None]
    wrong = means.argmax(dim=2) != truth
    ensemble_errors.append(wrong.double().mean(dim=1).tolist())

# %% slide="subslide"
# alt: Validation error against the number of networks averaged, in twenty orders: it falls
# alt: at first quickly, then slowly.
label = {"xlabel": "networks averaged", "ylabel": "validation error (%)"}
title = "How many votes are enough? (each thin line: one order)"
plot.band(counts.tolist(), ensemble_errors, **label, title=title);

# %% slide="subslide"
curve = torch.tensor(ensemble_errors).mean(dim=0)
one, all_of_them = curve[0].item(), curve[-1].item()
print(f"1 network {one:.1%}, {len(votes)} networks {all_of_them:.1%}: ", end="")
print(f"{1 - all_of_them / one:.0%} of the mistakes are gone")
print(f"the paper: 5 networks, 18.2 -> 16.4: {1 - 16.4 / 18.2:.0%} (top-5, validation)")

# %% [markdown]
# From 50.9 to 48.0 %: 6 % of the mistakes, most of it with the first votes. Networks
# from other first weights make *other* mistakes. The price is seven trainings, and
# seven times the work for each image. All orders use the same seven networks, so the
# band does not measure the error.

# %% [markdown] slide="subslide"
# **Which number is AlexNet's?** The paper's Table 2 gives top-5 errors. One network has
# 18.2 % (validation), five averaged 16.4 % (test). Seven averaged have 15.3 % (test;
# 15.4 in validation), but two of the seven were first trained on 15 million other
# images. That is transfer learning (lecture 08). This course quotes **16.4 %**.

# %% [markdown] slide="slide"
# ## Against the paper: what each trick gains
#
# | taken from the paper | top-1, points | top-5, points | here |
# |---|---|---|---|
# | ReLU | six times faster | | 1.4 and 0.8 times, not fair |
# | two towers, not half the kernels | 1.7 | 1.2 | counted |
# | LRN | 1.4 | 1.2 | proven equal |
# | overlapping pooling | 0.4 | 0.3 | 1.05 ± 0.23, at one rate |
# | ten crops averaged | 1.5 | 1.3 | not run |
# | five networks averaged | 2.6 | 1.8 | 2.9 (seven, top-1) |
# | one of the middle layers | about 2 | | exercise 03.6 |

# %% [markdown] slide="subslide"
# Each trick gains 0.4 to 2.6 points. The lead over the second team was 9.8 points. What
# the list leaves out is a deep network, trained on 1.2 million images. That central
# claim is **not** tested here: 4,000 photographs are too few.

# %% [markdown] slide="subslide"
# **Five numbers that are often told wrong**
#
# 1. The input has 227 pixels, or 224 with padding 2. Without padding 6,400 numbers come
#    out.
# 2. The first layer has 290,400 values. The paper prints 253,440, from 48 channels.
# 3. An image has 2,178 views (33 · 33 · 2), not 2,048.
# 4. The error without outside data is 16.4 %, not 15.3 %.
# 5. "11.7 % in 2013, 7.3 % in 2014" are two teams: Clarifai, then VGG.

# %% [markdown] slide="subslide"
# Our ratios beside the paper's Figure 1:

# %%
# alt: Bars: tanh's epochs divided by ReLU's, for pixels and weights of 2012 and for
# alt: today's; a dotted line at the paper's 6.
shown = {"conditions of 2012": ratios["2012"], "conditions of today": ratios["today"]}
title = "How many times more epochs does tanh need? (whiskers: seeds)"
label = f"tanh's epochs to {target:.0%} training error, divided by ReLU's"
plot.bars(shown, xlabel=label, reference={"paper": 6, "equal": 1}, title=title);

# %% [markdown] slide="subslide"
# **The test set, once.** Every choice is made: learning rates by trial, the epoch by
# validation, the number of averaged networks as it is.

# %%
test, small_test = photos.test, shrunk(photos.test)
alexnet_accuracy = evaluate(small_alexnet, test.loader(1000)).accuracy
logits = [predict(net, small_test.loader(1000)) for net in pooled["overlapping"]]
truth = logits[0][1]
votes = torch.stack([scores.softmax(dim=1) for scores, _ in logits])
singles = (votes.argmax(dim=2) == truth).double().mean(dim=1)
together = (votes.mean(dim=0).argmax(dim=1) == truth).double().mean().item()
print(f"AlexNet, width {width}: {alexnet_accuracy:.1%}")
print(f"four-layer networks: {singles.min():.1%} to {singles.max():.1%}, ", end="")
print(f"averaged {together:.1%}")

# %% [markdown] slide="slide"
# ## Answer
#
# How many times faster is ReLU? And do we find the paper's six again?

# %% slide="fragment"
mean = {form: ratio.mean().item() for form, ratio in ratios.items()}
for form, ratio in mean.items():
    print(f"{form}: tanh needs {ratio:.1f} times as many epochs as ReLU (paper: 6)")
first = {n: slopes(*start("2012", n, seed=0))[0] for n in ("tanh", "ReLU")}
measured = (
    f"tanh needs {mean['2012']:.1f} times ReLU's epochs with raw pixels,"
    f" {mean['today']:.1f} times with scaled ones (paper: 6); AlexNet, width {width:g},"
    f" {alexnet_accuracy:.1%}; {len(votes)} small networks {singles.mean():.1%},"
    f" averaged {together:.1%}"
)
counted = (
    "with the pixels and weights of 2012 a first layer of tanh has a mean slope of"
    f" {first['tanh']:.2f}, one of ReLU {first['ReLU']:.2f} (untrained, {small.kind})"
)
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown] slide="fragment"
# No. With 2012's pixels and weights ReLU leads, by 1.4 times. There the first tanh
# layer passes almost no gradient (0.002), and ReLU's passes half (0.487). With torch's
# weights tanh leads, but they are too small for ReLU. This does not show which one is
# better.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# and the second time a stronger one. *Predict* means: write it down before any cell
# runs it.

# %% [markdown] slide="subslide"
# ### 03.1 Predict: a smaller photograph
#
# An image of 160 × 160 enters the form of 2014, with padding 2 in the first
# convolution. Give the sides of the maps after convolution 1, pool 1, pool 2 and pool
# 3. How many numbers reach the linear layers, if nothing brings the maps back to 6 × 6?

# %%
# solution
sides = (39, 19, 9, 4)
numbers = 256 * 4 * 4

# %%
check("03.1", (sides, numbers))

# %% [markdown] slide="subslide"
# ### 03.2 Predict: four towers
#
# Convolution 2 of 2012 (96 to 256 channels, 5 × 5, padding 2, on 27 × 27 maps) is split
# onto *four* GPUs. How many parameters does it have, biases included? How many
# multiply-adds for one image?

# %%
# solution
four_parameters = 256 * (24 * 5 * 5 + 1)
four_work = 256 * 24 * 5 * 5 * 27 * 27

# %%
check("03.2", (four_parameters, four_work))

# %% [markdown] slide="subslide"
# ### 03.3 Write: a grouped convolution
#
# Use `F.conv2d` without its argument `groups`. `weight` is (C_out, C_in / groups, k, k),
# as torch keeps it.

# %%
def grouped(x: torch.Tensor, weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Convolve each group of channels with its own kernels, no padding; no bias."""
    # solution
    parts = zip(x.chunk(groups, dim=1), weight.chunk(groups), strict=True)
    return torch.cat([F.conv2d(part, kernels) for part, kernels in parts], dim=1)

# %%
check("03.3", grouped)

# %% [markdown] slide="subslide"
# ### 03.4 Modify: AlexNet's LRN from torch's layer
#
# Build `nn.LocalResponseNorm` so that it equals the paper's layer: n = 5, k = 2, α =
# 10⁻⁴, β = 0.75.

# %%
# solution
norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

# %%
check("03.4", norm)

# %% [markdown] slide="subslide"
# ### 03.5 Write: the colour augmentation of section 4.1
#
# The colours of all pixels have three principal components $p_i$ with variances $λ_i$.
# Each image is shifted as a whole by $\sum_i α_i λ_i p_i$. The function gets images in
# [0, 1] of shape (N, 3, H, W), and `draws` (N, 3), the α of each image.

# %%
def shift_colours(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Shift each image along the principal components of the batch's colours."""
    # solution
    colours = images.movedim(1, -1).reshape(-1, 3)  # one row for each pixel
    variances, components = torch.linalg.eigh(colours.T.cov())
    shifts = (draws * variances) @ components.T
    return images + shifts[:, :, None, None]

# %%
check("03.5", shift_colours)

# %% [markdown]
# The paper draws α from a normal distribution with σ = 0.1. Show eight photographs with
# σ = 0.1, then with 3. From which σ on is the class hard to see?

# %% [markdown] slide="subslide"
# ### 03.6 Investigate: one convolution less
#
# Section 7 of the paper: without any one of the middle layers the top-1 error rises by
# about 2 points. Write `shallow(width)`, the small AlexNet **without convolution 5**
# (`features[4]`). Train it and the whole one alike, with `accuracy` below. `lost` holds
# the points of validation accuracy that go, one number for each seed.

# %% slide="subslide"
def whole(width: float) -> nn.Module:
    """AlexNet for 32x32 images and ten classes."""
    return alexnet(10, width=width, stem="cifar", dropout=0.2)


fewer = photos.train.subset(course.pick(tiny=100, small=3000, full=20_000))
passes = course.pick(tiny=1, small=8, full=20)


def accuracy(build, seed):
    """Train the network that `build` gives; accuracy on validation images, percent."""
    torch.manual_seed(seed)
    model = with_he_weights(build(1 / 16))
    loader = fewer.loader(32, shuffle=True, seed=seed)
    fit(model, loader, epochs=passes, lr=0.01, progress=False)
    return 100 * evaluate(model, watched.loader(500)).accuracy

# %% slide="subslide"
def shallow(width: float) -> nn.Module:
    """AlexNet for 32x32 images and ten classes, without its fifth convolution."""
    # solution
    model = whole(width)
    model.features[4] = nn.Identity()
    return model

# %%
# solution
lost = [accuracy(whole, seed) - accuracy(shallow, seed) for seed in range(3)]
print("points lost:", ", ".join(f"{points:+.1f}" for points in lost))

# %%
check("03.6", (shallow, lost))

# %% [markdown]
# **Explain:** do the seeds agree on the sign? What would you change to see 2 points
# with confidence?

# %% [markdown] solution=True
# At `small` they do not. Without the layer two of our three networks get *better*, and
# the third hardly learns in eight epochs. Such an accident is larger than 2 points. Few
# photographs and epochs favour the smaller network. To see 2 points, first make every
# network learn (lectures 04 and 06), then train to the end, then take more seeds. The
# spread of `lost` tells how many.

# %% slide="skip"
check.progress("03")

# %% [markdown] slide="slide"
# ## Recap
#
# - A window gives ⌊(n + 2p − k) / s⌋ + 1 values: 227 → 55 → 27 → 13 → 6. The linear
#   layers hold 96 % of 61 million parameters; the convolutions do 92 % of the work.
# - ReLU's slope is 1 or 0, and many units are off after training. With raw pixels the
#   first tanh layer is flat. Compare activations with weights that fit each.
# - LRN divides by neighbouring channels; torch's α is n times the paper's. Two towers
#   are `groups=2`: half the weights and half the work.
# - A gain counts when it exceeds twice its standard error. Half a point needs many
#   seeds.
# - A plateau schedule divides the learning rate by 10. Averaged networks make fewer
#   mistakes.

# %% [markdown] slide="skip"
# ## References
#
# - A. Krizhevsky, I. Sutskever, G. Hinton: *ImageNet Classification with Deep
#   Convolutional Neural Networks*, NIPS 2012. Sections 2 (pixels), 3.1 and Fig. 1 (ReLU),
#   3.2 (GPUs), 3.3 (LRN), 3.4 (pooling), 3.5 and Fig. 2 (sizes), 4 (overfitting), 5
#   (training), 6 (results, Fig. 3 and 4), 7 (depth).
# - A. Krizhevsky: *One weird trick for parallelizing convolutional neural networks*,
#   arXiv:1404.5997, 2014: the form in one column.
# - O. Russakovsky et al.: *ImageNet Large Scale Visual Recognition Challenge*, IJCV 115,
#   2015: winners of 2010 to 2014, and human accuracy; 2016 from the contest's page.
# - K. He, X. Zhang, S. Ren, J. Sun: *Deep Residual Learning for Image Recognition*, CVPR
#   2016. J. Hu, L. Shen, G. Sun: *Squeeze-and-Excitation Networks*, CVPR 2018.
# - V. Nair, G. Hinton: *Rectified Linear Units Improve Restricted Boltzmann Machines*,
#   ICML 2010: ReLU.
# - CIFAR-10: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*,
#   2009. At scale `tiny` drawings stand in for it.

# %% slide="only" name="contest"
# alt: Top-5 error of the contest's winners by year: 2010 28.2, 2011 25.8, 2012 16.4, 2013
# alt: 11.7, 2014 6.7, 2015 3.6 percent.
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from teaching import architectures, blocks, diagrams, kept
from utils import data, look, plot
from utils.models import build

winners = {"2010": 0.282, "2011": 0.258, "2012, AlexNet": 0.164, "2013": 0.117}
winners |= {"2014, GoogLeNet": 0.067, "2015, ResNet": 0.0357}
plot.bars(winners, highlight="2012, AlexNet", xlabel="top-5 error of the winner (%)")

# %% slide="only" name="network"
Stage = diagrams.Stage
stages = [Stage("input", "photo", 3, 227), Stage("conv", "conv 11×11, stride 4", 96, 55)]
stages += [Stage("pool", "max 3×3", 96, 27), Stage("conv", "conv 5×5", 256, 27)]
stages += [Stage("pool", "max 3×3", 256, 13), Stage("conv", "conv 3×3", 384, 13)]
stages += [Stage("conv", "conv 3×3", 384, 13), Stage("conv", "conv 3×3", 256, 13)]
stages += [Stage("pool", "max 3×3", 256, 6), Stage("linear", "linear", 4096)]
diagrams.network([*stages, Stage("linear", "linear", 4096), Stage("linear", "linear", 1000)])

# %% slide="only" name="share"
# alt: Share of parameters and of multiply-adds: the convolutions hold 3.8 percent of the
# alt: parameters and do 91.9 percent of the work.
with torch.device("meta"):
    network = build("alexnet_2012")
calls = [c for c in look.trace(network, (3, 227, 227))[0] if c.parameters]
convs = [c for c in calls if "Linear" not in type(c.module).__name__]
shares = {
    "parameters in convolutions": sum(c.parameters for c in convs) / sum(c.parameters for c in calls),
    "work in convolutions": sum(c.multiply_adds for c in convs) / sum(c.multiply_adds for c in calls),
}
plot.bars(shares, xlabel="share (%)")

# %% slide="only" name="groups"
# alt: One convolution reads all 96 channels in each kernel; in two groups each kernel reads
# alt: 48 of them.
first = [("input", "96 channels"), ("conv", "256 kernels|read 96 each"), ("input", "256 channels")]
upper = [("input", "48"), ("conv", "128 kernels|read 48 each"), ("input", "128")]
drawn = blocks.chain(75, first)[0] + blocks.chain(205, upper)[0] + blocks.chain(275, upper)[0]
drawn += blocks.left_text(22, "groups=1: 614,400 weights")
drawn += blocks.left_text(150, "groups=2: 307,200 weights, two towers")
blocks.Diagram(drawn, blocks.WIDTH, 312, "one convolution of 96 to 256 channels, and the same in two groups")

# %% slide="only" name="slopes"
# alt: Share of the gradient that is left after each of 16 layers on its way back, for tanh
# alt: with Xavier's weights and ReLU with He's: logarithmic.
def left(activation, variance, layers=16, width=256):
    """Length of the gradient at each layer, over that at the last one."""
    torch.manual_seed(0)
    x, values = torch.randn(64, width, requires_grad=True), []
    for _ in range(layers):
        weight = torch.randn(width, width) * (variance / width) ** 0.5
        x = activation(x @ weight)
        x.retain_grad()
        values.append(x)
    (x * torch.randn_like(x)).sum().backward()
    return [(v.grad.norm() / values[-1].grad.norm()).item() for v in values]


ways = {"ReLU, He": left(torch.relu, 2.0), "tanh, Xavier": left(torch.tanh, 1.0)}
ways["sigmoid, Xavier"] = left(torch.sigmoid, 1.0)
about = {"xlabel": "layer", "ylabel": "gradient, last layer = 1"}
ax = plot.band(range(1, 17), ways, log=True, **about)
ax.set(xscale="linear", xticks=range(1, 17, 3), xlim=(0.5, 16.5))

# %% slide="only" name="tricks"
# alt: Points of top-1 error that the paper reports for each trick: five networks averaged
# alt: 2.6, two towers 1.7, ten crops 1.5, LRN 1.4, overlapping pooling 0.4.
tricks = {"five networks averaged": 2.6, "two towers": 1.7, "ten crops averaged": 1.5}
tricks |= {"LRN": 1.4, "overlapping pooling": 0.4}
plot.bars(tricks, xlabel="points of error less, one run of each")

# %% slide="only" name="views"
# alt: A photo, and crops of it, mirrored or not.
photo = data.cifar10().train.images[5]
padded = F.pad(photo, (4, 4, 4, 4))
torch.manual_seed(3)
figure, axes = plt.subplots(1, 4, figsize=(7, 2))
for i, ax in enumerate(axes):
    y, x = torch.randint(0, 9, (2,)).tolist()
    view = photo if not i else padded[:, y : y + 32, x : x + 32]
    ax.imshow((view.flip(2) if i % 2 else view).permute(1, 2, 0))
    ax.axis("off")

# %% [markdown] slide="only" part="2012"
# # AlexNet: an old idea at a new size
#
# Krizhevsky, Sutskever, Hinton, 2012
#
# ![](draw:architectures.two_towers())
#
# Note: 1 min. After the hour they can compute every size of this picture, say where its
# parameters are, and compare two activations fairly.

# %% [markdown] slide="only"
# ## Last time: more photos out of the same, in three questions
#
# 1. Which views of a photo keep its label?
# 2. Is the validation set augmented, too?
# 3. What does dropout do in evaluation mode?
#
# . . .
#
# It depends on the task: a 6 turned is a 9; no; nothing.
#
# Note: 2 min. A different row answers each. AlexNet uses both remedies, and this is where
# they became famous.

# %% [markdown] slide="only"
# ## In which year does the field turn?
#
# ![](run:contest)
#
# Note: 2 min. A photo counts as wrong if the label is not among five names. From 25.8 to
# 16.4, and the second team of 2012 had 26.2. What had changed?

# %% [markdown] slide="only"
# ## Three things came together
#
# | | before | AlexNet |
# |---|---|---|
# | features | designed by hand | learned from pixels |
# | photos | 60,000 digits | 1.2 million |
# | computing | one processor | two GPUs, six days |
#
# Note: 2 min. Ask which of the three was new: none. LeNet learned its features in 1998.
# Without the photos 61 million parameters learn by heart.

# %% [markdown] slide="only"
# ## LeNet and AlexNet on the same photos
#
# ### Same 45,000 photos, same passes: how many points is AlexNet ahead?
#
# . . .
#
# Vote: 0, 5, 15 or 30.
#
# Note: 1.5 min. Both are built of the same parts. Write the counts on the board; the
# answer comes near the end.

# %% [markdown] slide="only" part="The network"
# ## The same parts as LeNet, a thousand times larger
#
# ![](run:network)
#
# Note: 2 min. Find LeNet's parts: convolution, activation, pooling, linear layers. New:
# ReLU, overlapping maxima, dropout. A thousand times the parameters, 1,700 times the work.

# %% [markdown] slide="only"
# ## By hand: from 227 pixels to 6
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# ### Convolution 11 × 11, stride 4; then pooling 3 × 3, stride 2: which sides?
#
# . . .
#
# > **55, then 27** and on to 13 and 6
#
# Note: 2.5 min. Two minutes on paper. With 224 pixels it is 54.25: the paper's 224 is a
# misprint, or a padding that it does not mention.

# %% [markdown] slide="only"
# ## The whole network is one page
#
# ```python
# nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), norm,     # 96 x 55 x 55
# nn.MaxPool2d(3, stride=2),                           # 96 x 27 x 27
# nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), norm,
# nn.MaxPool2d(3, stride=2),                           # 256 x 13 x 13
# nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
# nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
# nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(),
# nn.MaxPool2d(3, stride=2), nn.Flatten()              # 9,216 values
# ```
#
# Note: 2 min. Read it from top to bottom with the picture. Three linear layers follow. Ask
# where dropout stands: before the first two of them.

# %% [markdown] slide="only"
# ## Where are the parameters, and where is the work?
#
# ### Which share of each is in the convolutions?
#
# . . .
#
# ![](run:share)
#
# Note: 2 min. Expect half and half. A kernel's weight is used at each place of its map, a
# linear layer's once. The first linear layer alone has 37.8 of 61 million.

# %% [markdown] slide="only"
# ## Two towers, because a GPU had 3 GB
#
# ![](draw:architectures.two_towers())
#
# Note: 2 min. Where do the halves exchange their values? Convolution 3 and the linear
# layers. Convolutions 2, 4 and 5 read their own half alone.

# %% [markdown] slide="only"
# ## Two towers are one convolution in two groups
#
# ![](run:groups)
#
# Note: 2 min. Each kernel reads 48 channels: half the weights, half the work. In the whole
# network: 1.4 of 62 million parameters, but 36 percent of the work.

# %% [markdown] slide="only" part="Activations"
# ## The paper: ReLU learns six times faster than tanh
#
# ### What else must be equal, for this to be a fair test?
#
# . . .
#
# - first weights that fit each: He's for ReLU, Xavier's for tanh;
# - for each its own best learning rate;
# - several seeds.
#
# Note: 2 min. Collect on the board. The paper's Figure 1 is one run of each. With weights
# that suit neither, a comparison says nothing.

# %% [markdown] slide="only"
# ## With fitting weights the lead is smaller
#
# > **6 ×** the paper's Figure 1
#
# > **{{ said(r"tanh needs ([\d.]+) times") }} ×** ours, with fitting weights and rates
#
# . . .
#
# Epochs of tanh over those of ReLU, to the same training error.
#
# Note: 2 min. A small network on small photos: the number is ours, not the paper's. What
# remains of the claim, and what does not?

# %% [markdown] slide="only"
# ## On its way back, a gradient meets each slope
#
# ![](run:slopes)
#
# Note: 2 min. Slope times weights, layer by layer. ReLU's slope is 1 or 0, so He's rule
# makes up for the half that is lost. Sigmoid's is a quarter at most: read off 16 layers.

# %% [markdown] slide="only" part="Tricks"
# ## LRN divides by the neighbours, and is gone today
#
# $$b_i = a_i \Big/ \Big(k + \alpha \sum_{j = i - n/2}^{i + n/2} a_j^2\Big)^{\beta}$$
#
# ### a = 1, 2, 3, 4 with n = 3 and k = α = β = 1: what is the second b?
#
# . . .
#
# > **2 / 15** = 2 / (1 + 1 + 4 + 9)
#
# . . .
#
# torch divides α by n: the paper's 10⁻⁴ is 5 · 10⁻⁴ there.
#
# Note: 2 min. Who types 1e-4 gets another network and no error message. VGG found no gain
# from LRN; BatchNorm took its place. Skip when late.

# %% [markdown] slide="only"
# ## Each trick gains one or two points. Really?
#
# ![](run:tricks)
#
# Note: 2 min. One run of each. Ask how many seeds one needs to see 0.4 points: our kept
# runs spread by about a point, so many dozens. The notebook computes it.

# %% [markdown] slide="only"
# ## Against overfitting: other views, and dropout
#
# ![](run:views)
#
# 61 million parameters, 1.2 million photos: crops, mirrors, colours, and half of the
# units dropped.
#
# Note: 2 min. Without crops the paper's network overfits substantially. Ask how many views
# 224 of 256 pixels gives: 33 × 33 × 2, not 32 × 32 × 2.

# %% [markdown] slide="only" part="Results"
# ## AlexNet against LeNet, four passes each
#
# > **{{ said(r"AlexNet minus LeNet-5 on the test .*?: ([+\d.]+) points") }}** points on new photos
#
# . . .
#
# > **{{ said(r"LeNet-5: ([\d.]+%) of the test") }}** LeNet-5
#
# > **{{ f"{100 * sum(kept.test_accuracy('alexnet-cifar10')) / 3:.1f}%" }}** AlexNet, kept runs
#
# Note: 2 min. Compare with the votes. Four passes, an eighth of AlexNet's width; the same
# photos and views for both.

# %% [markdown] slide="only"
# ## What the list of tricks leaves out
#
# > **9.8** points ahead of the second team, top-5
#
# > **0.4 to 2.6** points from each trick
#
# . . .
#
# The network itself: deep, and learned from the pixels of 1.2 million photos.
#
# Note: 1.5 min. Ask what they would drop first, if it had to be simpler. VGG drops LRN and
# the towers, next time.

# %% [markdown] slide="only"
# ## Three numbers that are often told wrong
#
# | often | right |
# |---|---|
# | 15.3 % top-5 error | 16.4 %: the 15.3 used other data, too |
# | 224 × 224 gives 55 × 55 | 227 does, or a padding of 2 |
# | 2,048 views of a photo | 33 × 33 × 2 = 2,178 |
#
# Note: 1.5 min. Exercise 03.2. Let them find what is wrong in each row before they read
# the right column.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - Features learned, 1.2 million photos, GPUs: three things together.
# - 227 → 55 → 27 → 13 → 6.
# - Convolutions do the work, linear layers hold the parameters.
# - Compare activations with weights and rates that fit each.
# - Half a point needs many seeds.
#
# Note: 1.5 min. Cover it, and let five students say one each.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **03.1** A smaller photograph: sides and numbers on paper.
# - **03.3** Write a grouped convolution without the argument `groups`.
#
# Note: 1 min. Ten and twenty minutes. Next time: what if every convolution were 3 × 3?
