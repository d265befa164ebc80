# %% [markdown] slide="slide"
# # ResNet: add the input, go deeper
#
# More layers should never hurt. We test that on the photos a network learns from. Then we
# change one thing: each block adds its input to its output.
#
# *He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. explain what degradation is, and prove that it is not overfitting;
# 2. write a residual block with its shortcuts, and count its parameters;
# 3. build ResNet-20 to ResNet-152 from tables, and prove their sizes;
# 4. measure what a shortcut does to gradients, and to a network that loses a block;
# 5. find the same addition in later networks.
#
# A run takes 15 seconds at scale `tiny`, one or two minutes at `small` on a laptop.

# %% [markdown] slide="slide"
# ## Question
#
# Two networks of **20** and of **56** layers learn from the same 45,000 photos. **Which one
# is wrong more often, on the photos it learns from?**
#
# *Guess first: the one of 20, the one of 56, or both the same?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
from dataclasses import replace
from functools import partial
from statistics import mean, median_high

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional

from teaching import architectures, blocks, check, kept
from utils import course, data, look, plot
from utils.models import build
from utils.models.resnet import BasicBlock, Option, conv_bn, make_shortcut
from utils.train import evaluate, fit

run = course.start(seed=0)
photos = data.cifar10()

# %% [markdown] slide="slide"
# ## Deeper cannot be worse. Or can it?
#
# Take a trained network of 20 layers, and add layers that *copy* their input: the output
# stays the same. So the best network of 56 layers is at least as good as the best of 20.

# %% slide="-"
blocks.copying_layers()

# %% [markdown]
# A deep network *can* compute this. What does training *find*?

# %% [markdown] slide="subslide"
# Our networks: a 3 × 3 convolution; three stages of **blocks**, each of two 3 × 3
# convolutions with BatchNorm and ReLU; a mean over each map; a linear layer. With 3
# blocks in a stage that is 1 + 3 · 6 + 1 = 20 layers, with 9 it is 56.

# %% check=True
print(f"{'':10}{'parameters':>12}{'multiply-adds':>15}")
for name in ("plain20", "plain56"):
    parameters, multiply_adds = look.totals(build(name), (3, 32, 32))
    print(f"{name:10}{parameters:12,}{multiply_adds:15,}")

# %% [markdown] slide="slide"
# ## Plain-56 learns its own photos worse
#
# We have trained both for 20 epochs, with crops and flips as in the paper. The
# notebook reads these **kept runs** from files.

# %% slide="-"
KEPT = {"plain-20": "plain20", "plain-56": "plain56"}
KEPT |= {"ResNet-20": "resnet20", "ResNet-56": "resnet56"}
plain = {name: kept.runs(KEPT[name]) for name in ("plain-20", "plain-56")}
residual = {name: kept.runs(KEPT[name]) for name in ("ResNet-20", "ResNet-56")}
plot.MODEL_COLORS |= kept.DEPTHS

# %% slide="subslide"
# alt: Training and validation error over the epochs of kept runs of the plain networks of
# alt: 20 and 56 layers. Both errors of plain-56 stay above those of plain-20.
title = "Plain-56 learns its own training set worse than plain-20"
kept.error_curves(plain, top=80, title=title);

# %% slide="-"
print("training photos right, plain-20 minus plain-56:", end=" ")
print(kept.difference(KEPT["plain-56"], KEPT["plain-20"], "train"))
print(kept.caption(KEPT["plain-56"]))

# %% [markdown] slide="subslide"
# The paper calls a higher **training** error of the deeper network **degradation**. It
# is not overfitting: an overfitted network is *right* on the photos it learns from.
# (The training error is counted on cropped photos, during learning. So the validation
# error can be lower. The ± of a difference counts the photos; the seeds, too, where a
# run has several.)
#
# **Is it only slower?** Our runs take 20 epochs. In the paper's Fig. 1 plain-56 still
# ends worse after 164.

# %% [markdown] slide="slide"
# ## In our own hands: 500 photos
#
# To look inside, we train such networks. All but the depth is reduced: half the
# channels, and 500 photos of 16 × 16 pixels, not augmented, to learn by heart.

# %%
number, side = course.pick(tiny=(64, 8), small=(500, 16), full=(45_000, 32))
width = course.pick(tiny=0.25, small=0.5, full=1.0)
few = photos.train.subset(number)
small_images = functional.adaptive_avg_pool2d(few.images.float(), side).round().byte()
known = replace(few, images=small_images)
batch_size = course.pick(tiny=16, small=32, full=128)
sgd = partial(torch.optim.SGD, momentum=0.9, weight_decay=1e-4)
recipe = {"lr": course.pick(tiny=0.05, small=0.05, full=0.1), "schedule": "onecycle"}
recipe |= {"epochs": course.pick(tiny=2, small=30, full=60), "optimizer": sgd}
recipe |= {"progress": False}

# %% slide="subslide"
def learn(model, seed, **settings):
    """Train a network on the known photos; its history."""
    loader = known.loader(batch_size, shuffle=True, seed=seed)
    return fit(model, loader, **{**recipe, **settings})


runs, nets = {}, {}
for name, builder in {"plain-20": "plain20", "plain-56": "plain56"}.items():
    torch.manual_seed(run.seed)
    nets[name] = build(builder, width=width)
    runs[name] = [learn(nets[name], run.seed)]

# %% slide="subslide"
# alt: Training error over the epochs of our own plain-20 and plain-56. At scale small the
# alt: deeper one stays close to guessing, the other learns.
ends = {name: 1 - of[0]["train_accuracy"][-1] for name, of in runs.items()}
title = ", ".join(f"{name} is wrong on {end:.0%}" for name, end in ends.items())
kept.error_curves(runs, splits=("train",), title=f"In the last epoch {title}");

# %% [markdown]
# Guessing is wrong on 90 %: in 30 epochs plain-56 has hardly begun. This single run
# shows that it is slow, and nothing about where it would end.

# %% [markdown] slide="slide"
# ## The good network exists: we build it
#
# We load plain-20 into the first three blocks of each stage; `strict=False` leaves the
# others new. These must copy: their kernels are 1 in the middle, 0 around it, and 0
# for other channels. **Predict:** is this network wrong more often than plain-20, less
# often, or equally?

# %%
shallow = nets["plain-20"]
by_hand = build("plain56", width=width).to(run.device)
by_hand.load_state_dict(shallow.state_dict(), strict=False)  # blocks 1 to 3 of a stage
for stage in (by_hand.layer1, by_hand.layer2, by_hand.layer3):
    for block in stage[3:]:
        nn.init.dirac_(block.conv1.weight)  # copies its input
        nn.init.dirac_(block.conv2.weight)

# %% slide="subslide"
known_loader = known.loader(500)
table = {"plain-20, trained": shallow, "plain-56, by hand": by_hand}
table["plain-56, trained"] = nets["plain-56"]
for name, model in table.items():
    print(f"{name}: {1 - evaluate(model, known_loader).accuracy:.1%} wrong")

# %% [markdown]
# The first two lines agree: a plain network of 56 layers *can* be as good as one of
# 20. Training did not find it, here, in the kept runs, or in the paper's Fig. 1.
# **Degradation is a failure of training, not of what the network can compute.**
#
# Why does a new block copy, with BatchNorm and ReLU inside? A new BatchNorm has the
# running mean 0 and variance 1: in evaluation mode it changes nothing. The block's input
# comes out of a ReLU: it is not negative, so a second ReLU changes nothing.

# %% [markdown] slide="slide"
# ## The idea: learn what to add
#
# Copying is hard to learn, the paper supposes. So the block gets the copy for free:
#
# $$H(x) = F(x) + x$$
#
# The layers learn the *residual* F. The path around them is the **shortcut**. (BatchNorm,
# and a ReLU at the end, are not drawn.)

# %% slide="-"
blocks.plain_and_residual()

# %% [markdown]
# What must the weights be now, for the block to copy?

# %% [markdown] slide="fragment"
# **All zero.** The paper argues: if the best function is close to a copy, a small F is
# easier to find than the whole function.

# %% [markdown] slide="slide"
# ## Build: the block
#
# Two 3 × 3 convolutions with BatchNorm; the sum; then a ReLU. Where the shapes differ,
# a 1 × 1 convolution, a **projection**, gives x the shape of F(x). F ends without a
# ReLU: so a block can add and subtract.

# %% slide="-"
architectures.residual_block()

# %% slide="subslide"
class ResidualBlock(nn.Module):
    """y = ReLU(F(x) + x): (N, C, H, W) -> (N, channels, H / stride, W / stride)."""

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if in_channels != channels or stride != 1:  # shapes differ
            conv = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x):
        f = self.bn1(self.conv1(x)).relu()
        f = self.bn2(self.conv2(f))
        return (f + self.shortcut(x)).relu()

# %% [markdown] slide="subslide"
# The convolutions have no bias, since BatchNorm would subtract it. **Count** the
# parameters of a block with 64 channels by hand.

# %% check=True slide="-"
look.shape_table(ResidualBlock(64, 64), (64, 56, 56))

# %% [markdown]
# 2 × 64 × 64 × 9 + 2 × 2 × 64 = 73,984. The shortcut costs one addition for each value.

# %% [markdown] slide="subslide"
# In `utils/models/resnet.py` all blocks inherit from one class. Its `downsample` is the
# shortcut: the identity, a projection, or `None` in a plain network.

# %% mirror="utils.models.resnet:Residual" slide="-"

# %% [markdown] slide="subslide"
# `BasicBlock` is one, with our block's F. It gets our weights. Then we test the copy:
# zero weights in F.

# %% check=True slide="-"
ours, theirs = ResidualBlock(8, 16, stride=2), BasicBlock(8, 16, stride=2)
weights = {n.replace("shortcut", "downsample"): t for n, t in ours.state_dict().items()}
theirs.load_state_dict(weights)
x = torch.randn(4, 8, 6, 6).relu()
print("equal to BasicBlock:", torch.equal(ours(x), theirs(x)))
block = ResidualBlock(8, 8)
for conv in (block.conv1, block.conv2):
    nn.init.zeros_(conv.weight)
print("zero weights copy the input:", torch.equal(block(x), x))

# %% [markdown] slide="slide"
# ## Train: the same photos, now with x
#
# The same recipe, and one addition in each block. **Predict:** does ResNet-56 end above
# or below ResNet-20? (Drawn as the paper's Fig. 6; dotted are its test errors.)

# %% slide="-"
# alt: Two panels of training and validation errors under 40 percent over the epochs. On
# alt: the left plain-56 stays above plain-20; on the right ResNet-56 ends below ResNet-20,
# alt: and the paper's test errors of 8.75 and 6.97 percent are dotted lines.
PAPER = {"ResNet-20": 8.75, "ResNet-56": 6.97}
title = "Plain: 56 layers learn worse than 20. With shortcuts: better"
kept.error_curves(plain, residual, paper=PAPER, top=40, title=title);

# %% [markdown] slide="slide"
# ## Does going deeper pay?
#
# ResNet-56 ends below: the addition alone makes the difference. Is it *better* on photos
# that it has not seen, too?

# %% slide="-"
print("test photos right, ResNet-56 minus ResNet-20:", end=" ")
print(kept.difference(KEPT["ResNet-20"], KEPT["ResNet-56"]))
print(kept.caption(KEPT["ResNet-56"]))
kept.error_table(KEPT, PAPER)

# %% [markdown] slide="subslide"
# Yes: the difference is more than twice its standard error.
#
# The paper trains eight times as long. Each of its numbers is one run, but for 110
# layers the best of five, with mean 6.61:
#
# | CIFAR-10, Table 6 | 20 layers | 56 | 110 | 1,202 |
# |---|---|---|---|---|
# | test error (%) | 8.75 | 6.97 | 6.43 | **7.93** |
#
# Deeper pays up to 110 layers. ResNet-1202 is worse, with a training error of less
# than 0.1 %: *that* is overfitting.

# %% slide="subslide"
board = {"AlexNet": "alexnet", "VGG-11, BatchNorm": "vgg11_bn"}
board |= {name: KEPT[name] for name in residual}
kept.scoreboard(board)

# %% [markdown]
# Two rows more for the scoreboard; its AlexNet and VGG-11 are narrower than the papers'.

# %% [markdown] slide="slide"
# ## Three shortcuts where shapes differ
#
# Between stages channels double and sides halve: F(x) and x cannot be added. The paper
# tries three ways. Where shapes agree, only C projects.

# %% slide="-"
blocks.three_shortcuts()

# %% [markdown] slide="subslide"
# Our block above has option B. Option A needs no weight:

# %% mirror="utils.models.resnet:PaddedShortcut" slide="-"

# %% [markdown] slide="subslide"
# ResNet-34 with each of them (on `meta`: shapes without numbers). **Guess**: how many
# percent of parameters does C add?

# %% check=True slide="-"
print(f"{'ResNet-34':10}{'parameters':>11}{'multiply-adds':>15}{'more parameters':>17}")
counts = []
with torch.device("meta"):
    for option in (None, "A", "B", "C"):
        network = build("resnet34", shortcut=option)
        count, multiply_adds = look.totals(network, (3, 224, 224))
        counts.append(count)
        more = f"{count / counts[0] - 1:.1%}"
        print(f"{option or 'plain':10}{count:11,}{multiply_adds:15,}{more:>17}")

# %% [markdown]
# 5.1 %. Top-1 error on ImageNet in the paper's Table 3: plain 28.54 %, A 25.03, B
# 24.52, C 24.19. A shortcut gains 3.5 points; its kind, less than one. B became the
# standard for ImageNet, A for CIFAR-10.

# %% [markdown] slide="slide"
# ## Assemble: 6 n + 2 layers
#
# A stage is a chain of blocks; the first one changes channels and resolution.

# %% mirror="utils.models.resnet:Block utils.models.resnet:make_layers"
from collections.abc import Callable, Sequence

# %% mirror="utils.models.resnet:CifarResNet" slide="subslide"

# %% [markdown] slide="subslide"
# Three stages of n blocks: 3 × 2 n convolutions, one in front, one linear layer.

# %%
def cifar_resnet(n, width=1.0, shortcut="A"):
    """The network of section 4.2 with 6 n + 2 layers."""

    def block(*shape):
        return BasicBlock(*shape, shortcut=shortcut)

    channels = [round(width * c) for c in (16, 32, 64)]
    return CifarResNet(make_layers(block, (n, n, n), channels), 3, num_classes=10)

# %% check=True slide="subslide"
look.shape_table(cifar_resnet(3), (3, 32, 32), depth=1)

# %% [markdown] slide="subslide"
# **Are these the paper's networks?** Table 6 gives their parameters.

# %% check=True
paper_counts = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}
print("layers  parameters   paper  plain: the same?")
for depth, millions in paper_counts.items():
    with torch.device("meta"):
        both = [cifar_resnet((depth - 2) // 6, 1, shortcut) for shortcut in ("A", None)]
    count, without = (sum(p.numel() for p in net.parameters()) for net in both)
    assert round(count / 1e6, 2 if millions < 1 else 1) == millions
    print(f"{depth:6}{count:12,}{millions:7} M  {count == without}")

# %% [markdown]
# All five. A plain network has as many: the addition was the only difference.

# %% [markdown] slide="slide"
# ## Train: our own four
#
# Do residual networks learn the 500 photos, of which plain-56 learned few?

# %% slide="-"
for name, count in {"ResNet-20": 3, "ResNet-56": 9}.items():
    torch.manual_seed(run.seed)
    nets[name] = cifar_resnet(count, width=width)
    learn(nets[name], run.seed)
for name, model in nets.items():
    print(f"{name}: {1 - evaluate(model, known_loader).accuracy:.1%} wrong")

# %% [markdown]
# Both learn them by heart (one run each).

# %% [markdown] slide="slide"
# ## Look inside: what happens to gradients?
#
# A common explanation of degradation: the gradient vanishes on its way back. Does it in
# plain-56? One batch, new networks: how long is the gradient of each convolution's
# weights?

# %%
images, labels = next(iter(known.loader(64)))


def gradient_norms(model):
    """Length of the gradient at each convolution of a new network, first to last."""
    model.to(run.device).train()
    functional.cross_entropy(model(images), labels).backward()
    convs = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    return [conv.weight.grad.norm().item() for conv in convs]


norms = {"plain-56": [], "ResNet-56": []}
for seed in range(course.pick(tiny=2, small=5, full=5)):
    torch.manual_seed(seed)
    norms["plain-56"].append(gradient_norms(build("plain56", width=width)))
    norms["ResNet-56"].append(gradient_norms(cifar_resnet(9, width=width)))

# %% tags=["hide-input"] slide="subslide"
# alt: Length of the gradient at each of 55 convolutions on a logarithmic axis. In
# alt: plain-56 it grows steadily towards the first layer; in ResNet-56 it stays within
# alt: about one order of magnitude.
factor = mean(values[0] / values[-1] for values in norms["plain-56"])
title = f"In plain-56 the first layer's gradient is {factor:,.0f} times the last one's"
labels_of = {
    "xlabel": "convolution, from the input",
    "ylabel": "length of the gradient",
}
ax = plot.band(range(1, 56), norms, log=True, title=title, **labels_of)
ax.set(xscale="linear", xlim=(0, 56))
ax.set_xticks(range(5, 56, 10), range(5, 56, 10));

# %%
ratios = {name: [v[0] / v[-1] for v in seeds] for name, seeds in norms.items()}
for name, values in ratios.items():
    low, high = min(values), max(values)
    print(f"{name}: first layer over last {low:,.0f} to {high:,.0f}, over seeds")
by_layer = mean((v[1] / v[18]) ** (1 / 17) for v in norms["plain-56"])
print(f"plain-56, first stage: {by_layer:.2f}-fold from each layer to the one before")

# %% [markdown] slide="subslide"
# **No.** In plain-56 it *grows* on its way back, with each seed (a thin line; at 20
# and 38 a new stage begins). Why? ReLU's output is not negative, so it has a mean. The
# next BatchNorm subtracts it, and multiplies what is left, to deviation 1. Going back,
# BatchNorm multiplies the gradient, too, and ReLU stops half of it: together, in theory,
# 1.21-fold at each layer (Yang and others, 2019). Does this stop plain-56 from learning?
# The figure does not say.
#
# **Why less with shortcuts?** The derivative of the sum, before its ReLU, is
#
# $$\frac{\partial}{\partial x} \left( x + F(x) \right) = 1 + F'(x).$$
#
# The 1 hands the gradient on as it is. Only the part through F is multiplied, and it
# counts less and less: each block adds to x, while BatchNorm keeps F at one size.

# %% [markdown] slide="slide"
# ## Take a block away
#
# If a block only corrects its input, a trained network should work without it. We take
# out each block in turn, and test on the known photos. **Guess** for plain-20 and
# ResNet-56.

# %%
def accuracy_without(model):
    """{block: accuracy without it}, for the blocks that do not change the shape."""
    result, number_of_block = {}, 0
    for stage in (model.layer1, model.layer2, model.layer3):
        for i, block in enumerate(stage):
            number_of_block += 1
            if block.in_channels == block.out_channels:
                stage[i] = nn.Identity()
                result[number_of_block] = evaluate(model, known_loader).accuracy
                stage[i] = block
    return result


trained = ("plain-20", "ResNet-20", "ResNet-56")
whole = {name: evaluate(nets[name], known_loader).accuracy for name in trained}
cut = {name: accuracy_without(nets[name]) for name in trained}

# %% tags=["hide-input"] slide="subslide"
# alt: Accuracy on the known photos when one block is taken out, for each block. At scale
# alt: small plain-20 falls close to chance whichever block is missing; ResNet-56 loses
# alt: little or nothing for most blocks.
middle = {name: median_high(without.values()) for name, without in cut.items()}
fig, axes = plt.subplots(1, 3, figsize=(7, 3), sharey=True, width_ratios=(9, 9, 27))
for ax, (name, values) in zip(axes, cut.items(), strict=True):
    percent = [100 * value for value in values.values()]
    ax.bar(list(values), percent, color=plot.MODEL_COLORS[name])
    ax.axhline(100 * whole[name], ls="--", color="black", lw=1)
    ax.axhline(10, ls=":", color=plot.PAPER)
    ax.set_title(f"{name}\nwhole: {whole[name]:.0%}", fontsize=11)
    ax.set_xticks([min(values), max(values)])
axes[0].set_ylabel("accuracy (%)")
right_edge = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
axes[2].annotate("chance", (1, 10), (4, -3), color=plot.PAPER, **right_edge)
fig.supxlabel("which block is missing", fontsize=11)
title = ", ".join(f"{name} {share:.0%}" for name, share in middle.items())
fig.suptitle(f"Right without one block, median: {title}", x=0.01, ha="left");

# %%
for name, by_block in cut.items():
    low, high = min(by_block.values()), max(by_block.values())
    line = f"median {middle[name]:.0%}, from {low:.0%} to {high:.0%}"
    print(f"{name:10} whole {whole[name]:.0%}; one block less: {line}")

# %% [markdown] slide="subslide"
# Plain-20 falls nearly to guessing, whichever block is gone. ResNet-56 can lose most
# blocks, one at a time, without harm; ResNet-20, which has nine, loses more. (At a gap a
# block changes the shape.)
#
# A plain network has one path from input to output. A residual network of 27 blocks
# has $2^{27}$: at each block, through F or around it. Without one block half of them
# are left (Veit and others, 2016).

# %% [markdown] slide="slide"
# ## For ImageNet: a stem and four stages
#
# A *stem* divides the sides by four: convolution 7 × 7, stride 2, padding 3; pooling
# 3 × 3, stride 2, padding 1. Then each stage but the first halves them. **Compute** all
# sides, from 224.

# %% mirror="utils.models.resnet:ResNet" slide="subslide"

# %% slide="subslide" check=True
with torch.device("meta"):
    stages = make_layers(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512))
    resnet18 = ResNet(stages, in_channels=3, num_classes=1000)
look.shape_table(resnet18, (3, 224, 224), depth=1)

# %% [markdown]
# 224 → 112 → **56, 28, 14, 7**. When sides halve, channels double, so stages cost about
# the same.

# %% [markdown] slide="subslide"
# ResNet-34 has 3, 4, 6, 3 blocks in its stages. Here it stands below VGG-19 and a plain
# network; a box is as high as its maps. **Count:** where do the 34 layers come from?

# %% slide="-"
architectures.resnet34_beside_plain34_and_vgg19()

# %% [markdown]
# 1 + 2 × (3 + 4 + 6 + 3) + 1 = 34. Maps become small early: 3.664 billion multiply-adds,
# where VGG-19 (lecture 04) needs 19.632.

# %% [markdown] slide="slide"
# ## A bottleneck: four times the channels
#
# Deeper ResNets use the block below: a 1 × 1 convolution reduces 256 channels to 64, the
# 3 × 3 works on these, a 1 × 1 restores 256.

# %% slide="-"
blocks.basic_and_bottleneck()

# %% mirror="utils.models.resnet:Bottleneck" slide="subslide"

# %% [markdown] slide="subslide"
# **Count** the multiply-adds of both blocks for one of 56 × 56 places. Which one is cheaper?

# %% check=True slide="-"
places = 56 * 56
wide = 256 * 64 + 64 * 64 * 9 + 64 * 256
kinds = {"basic, 64": (BasicBlock(64, 64), 64, 2 * 64 * 64 * 9)}
kinds["bottleneck, 256"] = Bottleneck(256, 64), 256, wide
kinds["basic, 256"] = BasicBlock(256, 256), 256, 2 * 256 * 256 * 9
print(f"{'':17}{'parameters':>11}{'multiply-adds':>16}{'a place':>11}")
for name, (block, channels, by_hand_count) in kinds.items():
    parameters, multiply_adds = look.totals(block, (channels, 56, 56))
    assert multiply_adds == places * by_hand_count
    each = multiply_adds // places
    print(f"{name:17}{parameters:11,}{multiply_adds:16,}{each:11,}")

# %% [markdown]
# The bottleneck: four times the channels, one more layer, and 6 % *cheaper*. Its
# shortcut must be free: a projection from 256 to 256 channels would add 65,536 a place.

# %% [markdown] slide="slide"
# ## Every size of the family
#
# The five networks of the paper's Table 1.

# %% check=True
family = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
family |= {101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
print("layers   parameters   multiply-adds")
for depth, numbers in family.items():
    kind, convs = (BasicBlock, 2) if depth < 50 else (Bottleneck, 3)
    with torch.device("meta"):
        stages = make_layers(kind, numbers, (64, 128, 256, 512))
        network = ResNet(stages, in_channels=3, num_classes=1000)
    parameters, multiply_adds = look.totals(network, (3, 224, 224))
    assert convs * sum(numbers) + 2 == depth
    print(f"{depth:6}{parameters:13,}{multiply_adds / 1e9:14.3f} G")

# %% [markdown]
# VGG-16 (lecture 04) needs 15.470 G: ResNet-152 is nine times as deep, and cheaper.
# (For the last three the paper counts a little less: its stride is in the first 1 × 1;
# ours, as in torchvision, in the 3 × 3.)

# %% [markdown] slide="slide"
# ## Pre-activation: a free road for x
#
# In 2016 the same authors moved BatchNorm and ReLU in front of each convolution. What
# stands on the green road, from x to y, in each row?

# %% slide="-"
blocks.before_and_after_the_sum()

# %% [markdown]
# Above, a ReLU after every sum. Below, nothing: the network's end gets x + F₁ + F₂ + …

# %% slide="subslide"
class PreActivation(nn.Module):
    """y = x + F(x), with BatchNorm and ReLU before each convolution of F."""

    def __init__(self, channels):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        f = self.conv1(self.bn1(x).relu())
        f = self.conv2(self.bn2(f).relu())
        return x + f

# %% [markdown] slide="subslide"
# A chain of 27 blocks of each kind, F zero, x half negative. **Predict** what share of
# its values comes out as it went in.

# %% check=True slide="-"
x = torch.linspace(-1, 1, 576).view(2, 8, 6, 6)
for kind in (partial(ResidualBlock, 8, 8), partial(PreActivation, 8)):
    chain = nn.Sequential(*(kind() for _ in range(27)))
    for part in chain.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.zeros_(part.weight)
    same = (chain(x) == x).double().mean()
    print(f"{type(chain[0]).__name__:14} {same:.0%} of the values come out unchanged")

# %% [markdown]
# The ReLU of 2015 cuts off what is negative. On CIFAR-10 1,001 layers of the old kind
# have 7.61 % error, of the new kind 4.92 % (He and others, ECCV 2016).

# %% [markdown] slide="slide"
# ## Since 2016: the road for x
#
# The addition outlived the convolutions. **Find** the one of the three that does not add.

# %% slide="-"
blocks.the_same_plus()

# %% [markdown] slide="subslide"
# DenseNet: it puts x and F(x) side by side, so later layers see all earlier maps.

# %% [markdown] slide="slide"
# ## Answer
#
# How often the four are wrong on the photos they learn from:

# %% tags=["hide-input"] slide="fragment"
learned = {name: 1 - mean(kept.train_accuracy(KEPT[name])) for name in KEPT}
for depth in (20, 56):
    without, added = learned[f"plain-{depth}"], learned[f"ResNet-{depth}"]
    print(f"{depth} layers: plain {without:.1%} wrong, with shortcuts {added:.1%}")
measured = f"CIFAR-10, {kept.budget(KEPT['plain-56'])}, training error: "
measured += ", ".join(f"{name} {error:.1%}" for name, error in learned.items())
grown = {name: mean(values) for name, values in ratios.items()}
counted = f"on its way back the gradient grows {grown['plain-56']:,.0f}-fold in"
counted += f" plain-56, {grown['ResNet-56']:.0f}-fold in ResNet-56 (new networks,"
counted += f" {number:,} {few.kind})"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown]
# Of plain networks the deeper one, though a good one of 56 layers exists: we built it.
# With shortcuts the deeper one is better, on its own photos and on new ones.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then its check. *Predict* means: write it down before
# any cell runs it.

# %% [markdown] slide="subslide"
# ### 07.1 Predict: a block between two stages
#
# A `BasicBlock(128, 256, stride=2)` with shortcut B gets 128 × 28 × 28 values. Answer with
# a tuple.
#
# - (a) How many parameters has its shortcut?
# - (b) How many would it have with option A?
# - (c) What is the side of its output?

# %%
# solution
sizes_of_block = (128 * 256 + 2 * 256, 0, 14)  # (a), (b), (c)

# %%
check("07.1", sizes_of_block)

# %% [markdown] slide="subslide"
# ### 07.2 Repair: a block with four faults
#
# This `forward` runs where shapes agree, and trains badly. Find its four faults, and write
# it right. `shortcut` is the identity or a projection, as needed.
#
# ```python
# def forward(self, x):
#     y = self.conv1(x).relu()
#     y = self.bn2(self.conv2(y)).relu()
#     return y + x
# ```

# %%
class OwnBlock(nn.Module):
    """Two 3x3 convolutions whose output is added to the shortcut's."""

    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.conv1, self.bn1 = conv_bn(in_channels, channels, 3, stride)
        self.conv2, self.bn2 = conv_bn(channels, channels, 3)
        self.shortcut = make_shortcut(in_channels, channels, stride, "B")

    def forward(self, x):
        # solution
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (y + self.shortcut(x)).relu()

# %%
check("07.2", OwnBlock)

# %% [markdown] slide="subslide"
# ### 07.3 Repair: when to project
#
# A common mistake: this rule always projects, since `size()` makes a new object at each
# call. Write it so that it projects where the shapes differ, and only there.
#
# ```python
# if x.size() is not out.size():
#     x = project(x)
# return out + x
# ```

# %%
def add_shortcut(x, out, project):
    """out + x, with x projected first where its shape is another one."""
    # solution
    if x.size() != out.size():
        x = project(x)
    return out + x

# %%
check("07.3", add_shortcut)

# %% [markdown] slide="subslide"
# ### 07.4 Write: the price of a bottleneck
#
# Multiply-adds of `Bottleneck(4 * channels, channels)`, with stride 1 and an identity
# shortcut, on maps of `side` × `side`. Count the convolutions, and call no network.

# %%
def bottleneck_cost(channels: int, side: int) -> int:
    """Multiply-adds of the three convolutions for one example."""
    # solution
    reduce = 4 * channels * channels
    work = 9 * channels * channels
    restore = channels * 4 * channels
    return side**2 * (reduce + work + restore)

# %%
check("07.4", bottleneck_cost)

# %% [markdown]
# **Explain:** ResNet-34 and ResNet-50 have the same numbers of blocks, 3, 4, 6, 3.
# Which one costs more in the table of the family, and why? (Look at projections, and
# at the side on which a stage's first 1 × 1 works.)

# %% [markdown] solution=True
# ResNet-50: 4.089 G against 3.664. Block by block they cost about the same: 17 × 64²
# for each place in a bottleneck at 64, 18 × 64² in a basic block. But ResNet-50 has
# four projections on four times the channels. And with the stride on the 3 × 3, the
# first 1 × 1 of a stage runs at the larger resolution.

# %% [markdown] slide="subslide"
# ### 07.5 Investigate: at which depth does it begin?
#
# `pair(depth)` returns a plain and a residual network of that depth with **the same
# initial weights**. Train pairs of 8 and 32 layers with `learn`. `compared` is a dict,
# depth → (history of the plain one, of the residual one).

# %%
def pair(depth: int, width: float = 0.25) -> tuple[nn.Module, nn.Module]:
    """A plain and a residual network (option A) with the same initial weights."""
    # solution
    n = (depth - 2) // 6
    plain = cifar_resnet(n, width=width, shortcut=None)
    residual = cifar_resnet(n, width=width, shortcut="A")
    plain.load_state_dict(residual.state_dict())
    return plain, residual

# %%
# solution
compared = {}
for depth in (8, 32):
    torch.manual_seed(run.seed)
    shorter = {"epochs": course.pick(tiny=1, small=15, full=15)}
    networks = pair(depth, width)
    compared[depth] = tuple(learn(network, run.seed, **shorter) for network in networks)
    plain, residual = (1 - h["train_accuracy"][-1] for h in compared[depth])
    print(f"{depth} layers: plain {plain:.1%} wrong, ResNet {residual:.1%}")

# %%
check("07.5", (pair, compared))

# %% [markdown]
# What does a shortcut bring at 8 layers, what at 32?

# %% [markdown] solution=True
# A few points at 8 layers; at 32, most of the error (one run each). On ImageNet the paper
# sees the change between 18 and 34 layers.

# %% [markdown]
# **Explain:** the next cell measures the size of F beside that of x in our trained
# networks. Why does depth make it smaller?

# %%
with torch.no_grad():
    for name in ("ResNet-20", "ResNet-56"):
        model, shares = nets[name].eval(), []
        x = model.relu(model.bn1(model.conv1(images)))
        for block in [*model.layer1, *model.layer2, *model.layer3]:
            share = block.residual(x).norm() / block.downsample(x).norm()
            shares.append(share.item())
            x = block(x)
        print(f"{name}: F is {mean(shares):.2f} of x, on average over the blocks")

# %% [markdown] solution=True
# ResNet-56 has three times as many blocks for the same task, so each of them has to change
# less.

# %% [markdown] slide="subslide"
# ### 07.6 Predict: a stem for small photos
#
# `build("resnet34", stem="cifar")` begins with a 3 × 3 convolution of stride 1, and does
# not pool. A photo of 32 × 32 pixels goes in. Answer with a tuple.
#
# - (a) Which side have the maps of its last stage?
# - (b) And with the stem for ImageNet?
# - (c) On maps of side (b), a 3 × 3 kernel has padding 1. How many of its nine weights ever
#   meet a value of the map?

# %%
# solution
small_photo = (4, 1, 1)  # (a), (b), (c)

# %%
check("07.6", small_photo)

# %% slide="skip"
check.progress("07")

# %% [markdown] slide="slide"
# ## Recap
#
# - Degradation: more plain layers, a higher *training* error, though a network as good
#   exists.
# - $H(x) = F(x) + x$; zero weights copy. Where shapes differ: pad (A) or project (B).
# - 6 n + 2 layers on CIFAR-10. A bottleneck has four times the channels of a basic
#   block, and costs less: $17 C^2$ a place, not $18 C^2$.
# - With BatchNorm the gradient grows on its way back. A shortcut holds that back: $1 +
#   F'$.
# - With shortcuts depth pays, in the paper up to 110 layers.

# %% [markdown] slide="skip"
# ## References
#
# - K. He, X. Zhang, S. Ren, J. Sun: *Deep Residual Learning for Image Recognition*,
#   CVPR 2016. Fig. 1, 2, 5, 6; Tables 1, 2, 3, 6; sections 3.3, 4.1, 4.2.
# - The same: *Identity Mappings in Deep Residual Networks*, ECCV 2016: pre-activation.
# - A. Veit, M. Wilber, S. Belongie: *Residual Networks Behave Like Ensembles of
#   Relatively Shallow Networks*, NIPS 2016.
# - G. Yang and others: *A Mean Field Theory of Batch Normalization*, ICLR 2019: why the
#   gradient grows.
# - From 2017: G. Huang and others (DenseNet); S. Xie and others (ResNeXt); A. Vaswani
#   and others (Transformer).
# - A. Krizhevsky: *Learning Multiple Layers of Features from Tiny Images*, 2009
#   (CIFAR-10). At scale `tiny`: drawings made by the course.

# %% [markdown] slide="only" part="Deeper"
# # ResNet: add the input, go deeper
#
# ![](draw:architectures.residual_block())
#
# He, Zhang, Ren, Sun: *Deep Residual Learning for Image Recognition*, 2016
#
# Note: 1 min. Say what they can do after the hour: prove that a fault of training is no
# overfitting, write a residual block, and count what it costs.

# %% slide="only" name="winners"
import matplotlib.pyplot as plt

from teaching import kept
from utils import look, plot
from utils.models import build

winners = {"AlexNet, 8 layers (2012)": 0.153, "VGG, 19 layers (2014)": 0.073}
winners |= {"GoogLeNet, 22 layers (2014)": 0.067, "ResNet, 152 layers (2015)": 0.0357}
labels = {"xlabel": "top-5 error in the ImageNet competition (%)"}
plot.bars(winners, highlight="ResNet, 152 layers (2015)", **labels)

# %% slide="only" name="plain-bands"
KEPT = {"plain-20": "plain20", "plain-56": "plain56"}
KEPT |= {"ResNet-20": "resnet20", "ResNet-56": "resnet56"}
histories = {name: kept.runs(run) for name, run in KEPT.items()}
plain = {name: histories[name] for name in ("plain-20", "plain-56")}
residual = {name: histories[name] for name in ("ResNet-20", "ResNet-56")}
plot.MODEL_COLORS |= kept.DEPTHS
kept.error_curves(plain, splits=("train",), top=80)

# %% slide="only" name="seen-and-unseen"
kept.error_curves(plain, top=80)

# %% slide="only" name="four-bands"
PAPER = {"ResNet-20": 8.75, "ResNet-56": 6.97}
kept.error_curves(plain, residual, paper=PAPER, top=80)

# %% slide="only" name="errors"
gain = kept.difference(KEPT["ResNet-20"], KEPT["ResNet-56"])
gap = kept.difference(KEPT["plain-56"], KEPT["plain-20"], "train")
kept.error_table(KEPT, PAPER)

# %% slide="only" name="gradients"
import torch
from torch import nn


def norms(model):
    """Length of the gradient at each convolution of a new network, one batch of noise."""
    torch.manual_seed(0)
    images, targets = torch.randn(64, 3, 16, 16), torch.arange(64) % 10
    nn.functional.cross_entropy(model.train()(images), targets).backward()
    convs = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    return [conv.weight.grad.norm().item() for conv in convs]


torch.manual_seed(0)
lengths = {"plain-56": norms(build("plain56", width=0.5))}
lengths["ResNet-56"] = norms(build("resnet56", width=0.5))
axes = {"xlabel": "convolution, from the input", "ylabel": "length of the gradient"}
ax = plot.band(range(1, 56), lengths, log=True, **axes)
ax.set(xscale="linear", xlim=(0, 56))
ax.set_xticks(range(5, 56, 10), range(5, 56, 10))

# %% slide="only" name="costs"
def giga(name, **options):
    """Billions of multiply-adds for a photo of 224 x 224."""
    with torch.device("meta"):
        return look.totals(build(name, **options), (3, 224, 224))[1] / 1e9


cost = {"VGG-16": giga("vgg16"), "VGG-19": giga("vgg19"), "ResNet-34": giga("resnet34")}
cost |= {"ResNet-50": giga("resnet50"), "ResNet-152": giga("resnet152")}
label = {"xlabel": "billion multiply-adds for a photo"}
plot.bars(cost, highlight="ResNet-152", **label)

# %% slide="only" name="missing"
left = {}
for name in ("plain-20", "ResNet-20", "ResNet-56"):
    whole = f"{name} +whole"
    left[f"{name}, whole"] = float(said(whole + r" (\d+)%")) / 100
    left[f"{name}, one block less"] = float(said(whole + r".*median (\d+)%")) / 100
plot.bars(left, xlabel="accuracy on the photos it learned, median block (%)")

# %% slide="only" name="table-6"
import matplotlib.pyplot as plt

table_6 = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}
figure, ax = plt.subplots()
ax.plot(table_6.keys(), table_6.values(), ":s", color=plot.PAPER)
for layers, error in table_6.items():
    side = {"ha": "left"} if layers < 110 else {"ha": "center"}
    ax.annotate(f"{error}", (layers, error), (2, 9), textcoords="offset points", **side)
ax.set(xscale="log", xlabel="layers", ylabel="test error (%)", ylim=(5.5, 9.8))
ax.set_xticks(list(table_6), list(table_6))
ax.minorticks_off()

# %% slide="only" name="scoreboard"
rows = {"AlexNet": "alexnet", "VGG-11": "vgg11_bn"}
rows |= {name: KEPT[name] for name in residual}
plot.spread({name: kept.test_accuracy(run) for name, run in rows.items()})

# %% [markdown] slide="only"
# ## Last time: BatchNorm, in three questions
#
# 1. Over which values does BatchNorm take a mean?
# 2. Why does the convolution before it need no bias?
# 3. Which mean does it use when a single photo is judged?
#
# . . .
#
# One channel of all examples and places; the bias would be subtracted; the running mean
# from training.
#
# Note: 2 min. A different row answers each. Who says "over the channels" thinks of
# LayerNorm: draw a batch as a stack of cards.

# %% [markdown] slide="only"
# ## From 2012 to 2015 the best networks grew deeper
#
# ![Top-5 error in the ImageNet competition: AlexNet with 8 layers 15.3 percent, VGG with 19 7.3, GoogLeNet with 22 6.7, ResNet with 152 3.57](run:winners)
#
# . . .
#
# From 22 layers to 152 in one year. What had stopped the others?
#
# Note: 2 min. Top-5: the right class is not among the five best of 1,000. Ask how they would
# go on after GoogLeNet. Most say: more layers. Ask what could go wrong. Skip when late.

# %% [markdown] slide="only" part="Degradation"
# ## Deeper cannot be worse. Or can it?
#
# ### A network of 20 layers and one of 56 learn the same photos. Which one is wrong more often, on the photos it learns from?
#
# . . .
#
# Vote by hand: the one of 20, the one of 56, both the same.
#
# Note: 2 min. Wait for every hand. Most vote for 20, since more parameters learn more by
# heart. Count the votes on the board; do not say who is right.

# %% [markdown] slide="only"
# ## A deeper network contains the shallow one
#
# ![](draw:blocks.copying_layers())
#
# Same output, same error. So the best network of 56 layers is at least as good.
#
# Note: 1.5 min. Let a student finish the sentence. It is a statement about what a network
# can compute, not about what training finds: keep the two apart from here on.

# %% [markdown] slide="only"
# ## Plain-56 learns its own photos worse than plain-20
#
# ![Training error over the epochs: plain-56 stays above plain-20](run:plain-bands)
#
# Plain: layer after layer, no shortcut. 45,000 photos of CIFAR-10,
# {{ kept.budget(KEPT["plain-56"]) }}.
#
# Note: 2 min. Back to the votes. Where there are several seeds, a pale band reaches from the
# lowest to the highest. Is it only slower? The paper's Fig. 1 shows the same after 164 epochs.

# %% [markdown] slide="only"
# ## An overfitted network is right on its own photos
#
# ### Is plain-56 overfitting? What would its two errors look like?
#
# . . .
#
# ![Training error dashed, validation error solid: plain-56 is worse than plain-20 on both](run:seen-and-unseen)
#
# . . .
#
# **No:** it is wrong on the photos it learns from.
#
# Note: 2 min. Expect "yes, too many parameters". That is the wrong answer of the day.
# Validation may lie lower: training photos are cropped, and counted while it still learns.

# %% [markdown] slide="only"
# ## Degradation: the training error rises with depth
#
# It rises, though a network as good exists.
#
# . . .
#
# | | on known photos | on new photos |
# |---|---|---|
# | overfitting | low | high |
# | degradation | **high** | high |
#
# Note: 1.5 min. Let them write the definition down. Ask which remedy fits which row: data
# and dropout help the first, and nothing so far helps the second.

# %% [markdown] slide="only"
# ## A good plain-56 exists; training does not find it
#
# A second, small experiment: 500 photos to learn by heart.
#
# > **{{ said(r"plain-20, trained: ([\d.]+)%") }} %** wrong: plain-20, trained
#
# > **{{ said(r"plain-56, by hand: ([\d.]+)%") }} %** plain-20 and copying layers
#
# . . .
#
# > **{{ said(r"plain-56, trained: ([\d.]+)%") }} %** plain-56, trained
#
# . . .
#
# **Degradation is a failure of training, not of what the network can compute.**
#
# Note: 3 min. Ask first why the first two numbers must agree. A kernel copies with one 1 in
# its middle. Then the sentence of the lecture: read it aloud, let them write it. More steps
# narrow the gap.

# %% [markdown] slide="only" part="The idea"
# ## Copying is hard to learn, so the shortcut copies
#
# ![](draw:blocks.plain_and_residual())
#
# . . .
#
# $$H(x) = F(x) + x$$
#
# Note: 2 min. Point at both rows: the same layers. Below they need only learn what to
# change. "Residual" means: what is left to do.

# %% [markdown] slide="only"
# ## A residual block copies at no cost
#
# ### What must the weights of F be, for the block to hand x on unchanged?
#
# . . .
#
# > **all zero**
#
# . . .
#
# A plain layer has to learn a kernel with one 1 in the middle. Weight decay pulls towards
# zero: away from that kernel, but towards F = 0.
#
# Note: 2 min. Expect "one". That is the plain layer's answer: here x comes for free, so
# F must add nothing. x is not negative, so the last ReLU leaves it.

# %% [markdown] slide="only"
# ## The whole idea is one plus sign
#
# ```python
# def forward(self, x):
#     y = self.bn1(self.conv1(x)).relu()
#     y = self.bn2(self.conv2(y))
#     return (y + x).relu()
# ```
#
# . . .
#
# `y + x`: no weight, no multiplication, one addition for each value.
#
# Note: 1.5 min. Ask them to find the line that makes it a ResNet. Ask why F has no ReLU at
# its end: else a block could only add, never subtract.

# %% [markdown] slide="only"
# ## A residual block: two convolutions and a shortcut
#
# ![](draw:architectures.residual_block())
#
# ### How many parameters, with 64 channels?
#
# . . .
#
# 2 × 64 × 64 × 9, and 2 × 128 for BatchNorm: **73,984**, as in a plain block
#
# Note: 2 min. Two minutes on paper. Who gets 73,728 forgot the two BatchNorms; who gets
# more gave the shortcut weights.

# %% [markdown] slide="only"
# ## With shortcuts, 56 layers learn better than 20
#
# ![Left: plain-56 above plain-20. Right: ResNet-56 below ResNet-20, and the paper's test errors of 8.75 and 6.97 percent](run:four-bands)
#
# Same recipe, same parameters: one addition a block.
#
# Note: 2 min. Drawn as the paper's Fig. 6: training dashed, validation solid. The gap of
# the plain networks has turned round; ask whether ResNet-56 is better on the test photos.

# %% [markdown] slide="only"
# ## Deeper pays: more than twice the standard error
#
# ![](run:errors)
#
# . . .
#
# Test photos right, ResNet-56 minus ResNet-20: {{ gain }}.
#
# Note: 1.5 min. This is how a claim is tested in this course: difference, standard error over
# test photos (and seeds, where there are several), factor two. The paper trains eight times
# as long.

# %% [markdown] slide="only"
# ## In the paper deeper pays up to 110 layers
#
# ![Test error on CIFAR-10 against layers in the paper's Table 6: from 8.75 percent at 20 layers to 6.43 at 110; at 1202 layers 7.93](run:table-6)
#
# . . .
#
# At 1,202 layers the training error is under 0.1 %: *that* is overfitting.
#
# Note: 2 min. The paper trained 64,000 steps. Each point is one run, but at 110 layers the
# best of five, whose mean is 6.61. Ask what the last point is: now the training error tells
# degradation and overfitting apart. The axis is logarithmic.

# %% [markdown] slide="only" part="Why it works"
# ## On its way back the gradient changes its size
#
# ### Does it vanish on its way back through plain-56?
#
# . . .
#
# ![Length of the gradient at 55 convolutions of new networks, logarithmic: in plain-56 it grows by a factor of over a thousand towards the first layer, in ResNet-56 by about ten](run:gradients)
#
# Note: 2 min. The usual story says yes. Expect "almost nothing". With BatchNorm it is the
# opposite: it grows towards the first layer. New networks, one batch, logarithmic axis.

# %% [markdown] slide="only"
# ## A little at each of 54 layers makes a factor of thousands
#
# > **{{ f"{lengths['plain-56'][0] / lengths['plain-56'][-1]:,.0f}" }} ×** plain-56
#
# > **{{ f"{lengths['ResNet-56'][0] / lengths['ResNet-56'][-1]:,.0f}" }} ×** ResNet-56
#
# Gradient at the first layer over that at the last.
#
# . . .
#
# ReLU's output has a mean. BatchNorm subtracts it, and stretches what is left, forward and
# back: × {{ "%.2f" % (lengths['plain-56'][0] / lengths['plain-56'][-1]) ** (1 / 54) }} a layer.
#
# Note: 1.5 min. Let them take the 54th power. Theory for wide, fully connected layers says the
# square root of π / (π − 1), which is 1.21. Skip the reason when late.

# %% [markdown] slide="only"
# ## Around F the gradient is times 1, not stretched
#
# ![](draw:blocks.gradient_roads())
#
# The derivative of x + F(x) is 1 + F′(x). Only the part through F is stretched.
#
# Note: 2 min. Derive it on the board for one block, then multiply two: four roads. The sum x
# grows from block to block, BatchNorm keeps F at one size: so F′ counts less and less.

# %% [markdown] slide="only"
# ## Take one block away from a trained network
#
# ### How many of its photos does each still get right?
#
# . . .
#
# ![Accuracy on the photos they learned, whole and with one block less: plain-20 falls close to chance, ResNet-56 keeps almost all](run:missing)
#
# Note: 2 min. The networks of the small experiment. Ask for a guess first. A plain network is
# one road; in ResNet half of the roads remain. Plain-56 is missing: it has learned nothing
# to lose. Skip when late.

# %% [markdown] slide="only"
# ## F and x: each can be taken out alone
#
# ### What harms more: to lose F, or to lose x?
#
# ![](play:shortcut)
#
# Note: 2 min. Vote first. Take F from block 2, make it whole again, then its shortcut.
# Expect “F, it has the weights”. It is x in blocks 2, 3, 5 and 6; in the last one, F, for
# only the linear layer follows. Late: block 2 only.

# %% [markdown] slide="only" part="Build"
# ## When the shape changes, three shortcuts
#
# ![](draw:blocks.three_shortcuts())
#
# . . .
#
# ImageNet top-1 error: plain 28.54 %, A 25.03, B 24.52, C 24.19 (paper, ResNet-34).
#
# Note: 2 min. Ask which one they would take. A shortcut gains 3.5 points, its kind less
# than one. B became the standard, A serves CIFAR-10.

# %% [markdown] slide="only"
# ## A common mistake: `is not` between shapes
#
# ```python
# if x.size() is not out.size():
#     x = self.project(x)
# return out + x
# ```
#
# ### For which inputs does x stay as it is?
#
# . . .
#
# **None.** `size()` makes a new object at each call, so the block always projects. It
# trains, and nothing warns. Right: `x.shape != out.shape`.
#
# Note: 2 min. The clinic's ward in lecture 10 has this patient. Ask how one would notice:
# count the parameters. Skip when late.

# %% [markdown] slide="only"
# ## A stage is a list of blocks
#
# ```python
# def stage(inputs, channels, count, stride):
#     blocks = [BasicBlock(inputs, channels, stride)]
#     for _ in range(count - 1):
#         blocks.append(BasicBlock(channels, channels))
#     return nn.Sequential(*blocks)
# ```
#
# . . .
#
# Only the first block changes channels and resolution.
#
# Note: 2 min. The course's own make_layers builds all stages at once; this is its inner
# loop. Ask what stride the first stage has: 1. On CIFAR-10, three such stages make 6 n + 2
# layers. Skip when late.

# %% [markdown] slide="only"
# ## ResNet-34: small maps early, and far deeper than VGG-19
#
# ![](draw:architectures.resnet34_beside_plain34_and_vgg19())
#
# Note: 2 min. A box is as high as its maps; the numbers are channels. Count together: one
# convolution, then 6, 8, 12 and 6, and one linear layer are 34. Where is the stride 2?

# %% [markdown] slide="only"
# ## Depth is not cost
#
# ### VGG-19 needs {{ f"{cost['VGG-19']:.1f}" }} billion multiply-adds for a photo. And ResNet-34?
#
# . . .
#
# > **{{ f"{cost['ResNet-34']:.1f}" }} billion**
#
# . . .
#
# Its stem brings 224 pixels to 56 before the first block. VGG convolves at 224 and 112.
#
# Note: 2 min. Most guess more than VGG. Write the guesses down before the answer. Ask
# where VGG spends its own: on 224 and 112 pixels. Skip when late.

# %% [markdown] slide="only"
# ## Three layers for the price of two: the bottleneck
#
# ![](draw:blocks.basic_and_bottleneck())
#
# . . .
#
# Multiply-adds a place: 73,728 above, **69,632** below.
#
# Note: 2 min. By hand on the board: 2 × 64 × 64 × 9, and 256 × 64 + 64 × 64 × 9 + 64 × 256.
# Four times the channels, six percent cheaper.

# %% [markdown] slide="only"
# ## 152 layers cost less than VGG-16
#
# ![Billions of multiply-adds for a photo: VGG-16 15.5, VGG-19 19.6, ResNet-34 3.7, ResNet-50 4.1, ResNet-152 11.5](run:costs)
#
# Note: 1 min. Nine times as deep as VGG-16, and cheaper. Remind them that cost is
# channels times channels times places. Skip when late.

# %% [markdown] slide="only"
# ## With nothing on the road of x, 1,001 layers train
#
# ![](draw:blocks.before_and_after_the_sum())
#
# . . .
#
# Error on CIFAR-10 with 1,001 layers: 7.61 % above, **4.92 %** below (the same authors).
#
# Note: 2 min. Ask in which row x can reach the end unchanged: only below, which is called
# pre-activation. Skip when late.

# %% [markdown] slide="only" part="What we know"
# ## The scoreboard, two rows more
#
# ![Test accuracy of four kept runs, a circle for each seed: AlexNet and VGG-11, ResNet-20 and ResNet-56](run:scoreboard)
#
# Circle: a seed. Diamond: their mean. {{ kept.budget(KEPT["ResNet-56"]) }}; AlexNet and VGG
# at reduced width.
#
# Note: 1.5 min. The same budget of epochs, not of minutes. Ask what would be a fair
# comparison: equal parameters, equal minutes, or each at its best? Skip when late.

# %% [markdown] slide="only"
# ## What each claim of today rests on
#
# | claim | evidence |
# |---|---|
# | plain-56 learns worse than plain-20 | our runs: {{ "%.1f ± %.1f" % gap }} points |
# | shortcuts repair it | our runs, the same recipe |
# | with them deeper is better | our runs: {{ "%+.1f ± %.1f" % gain }}; the paper's Table 6 |
# | plain-56 is not only slower | the paper's Fig. 1 alone |
#
# Note: 2 min. Ask for each row: what would convince you otherwise? Ours take 20 epochs, the
# paper's 164: it is honest to say what a short run does not show.

# %% [markdown] slide="only"
# ## Since 2016 the road for x has stayed
#
# ![](draw:blocks.the_same_plus())
#
# Note: 1.5 min. Let them find the plus signs, and the block that has none: DenseNet appends.
# Every large language model has two in each block.

# %% [markdown] slide="only"
# ## Four sentences to take home
#
# - Degradation is a higher *training* error: a failure of training.
# - H(x) = F(x) + x: zero weights copy, and the gradient keeps a road.
# - Where shapes differ: pad (A) or project (B).
# - A bottleneck: four times the channels for the same price.
#
# Note: 2 min. Cover the slide, let four students say one each, then show it.

# %% [markdown] slide="only"
# ## For home: repair a block, and find where it begins
#
# - **07.2** Repair a block's `forward` that has four faults; the check runs it on blocks
#   with and without projection.
# - **07.5** At which depth does degradation begin? Train pairs with the same initial
#   weights.
#
# Note: 1 min. The first takes ten minutes, the second half an hour with its runs. The
# next lecture uses a ResNet that somebody else has trained.

# %% [markdown] slide="sheet"
# ![](draw:architectures.residual_block())
#
# ## Shapes of ResNet-20 on small photos
#
# ![](run:look.shape_table(cifar_resnet(3), (3, 32, 32), depth=1))
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard(board))
