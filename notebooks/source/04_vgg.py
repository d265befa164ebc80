# %% [markdown] slide="slide"
# # VGG: depth from small kernels
#
# One kind of layer, a 3 × 3 convolution, stacked eight to sixteen times. We test whether
# small kernels are better than large ones, build the paper's six networks from one table,
# and see what a deep network needs before it learns.
#
# *Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image
# Recognition. ICLR, 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute the receptive field and the cost of a stack of convolutions;
# 2. compare two kernels in a fair experiment, and give the difference with its error;
# 3. write VGG from its table in ten lines, and check its number of parameters;
# 4. say where a network needs memory, parameters and work;
# 5. choose first weights with which a network of twenty layers begins to learn.
#
# A run takes a quarter of a minute at scale `tiny`, and three to eight minutes at `small`
# on a laptop. Numbers in the text are from `small`; another processor gives slightly
# different ones.

# %% [markdown] slide="slide"
# ## Question
#
# Two 3 × 3 convolutions in a row see the same pixels as one 5 × 5; three see the same
# pixels as one 7 × 7.
#
# **We train both forms on the same photos. Which one recognises more new photos, and by
# how many points?** *Guess, for the small kernels: behind, no difference, up to 3 points
# ahead, or more?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from teaching import check, diagrams, kept, kernels, tables
from utils import course, data, look, plot
from utils.models import alexnet
from utils.models.vgg import vgg
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
photos = data.cifar10()

# %% [markdown] slide="slide"
# ## The idea: one small part, many times
#
# AlexNet (lecture 03) has kernels of 11, 5 and 3 pixels a side. VGG has 3 × 3 kernels
# only, the **smallest that have a left, a right, an above and a below**, and the paper
# then changes the depth alone. This is VGG-16:

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
# Each blue box is a block: its convolutions, a ReLU after each, then the pooling, whose
# output is given below. 13 convolutions and 3 linear layers have weights.

# %% [markdown] slide="subslide"
# A pooling halves the sides, and the next block has twice the channels, up to 512.
# **Which grows most against AlexNet: layers, parameters, or multiply-adds?**

# %% check=True
with torch.device("meta"):
    pair = {"AlexNet": alexnet.alexnet(), "VGG-16": vgg("D")}
tables.networks(pair, (3, 224, 224))

# %% [markdown]
# Twice the layers, 2.3 times the parameters, and **22 times the work**. In the contest
# of 2014 the right class is not among VGG's five guesses for 7.3 % of the photos (*top-5
# error*); AlexNet had 16.4 % in 2012.

# %% [markdown] slide="slide"
# ## Three 3 × 3 see what one 7 × 7 sees
#
# The *receptive field* of a value is the square of pixels on which it depends: 3 wide
# after one 3 × 3 convolution, 5 after two, since the left and the right of 3 values each
# see one pixel more. With layer i of kernel $k_i$ and stride $s_i$:
#
# $$\text{receptive field} = 1 + \sum_i (k_i - 1) \, s_1 s_2 \cdots s_{i-1}$$
#
# **Predict:** the figure shows three layers. How wide is it after four layers of 3 × 3?
# And after three with stride 2? Then change the numbers in the next cell.

# %%
# alt: Rows of dots from one value at the top to the pixels at the bottom. After three
# alt: 3 × 3 layers it depends on 3 values, these on 5, and these on 7 pixels of a row.
kernels.receptive_field(layers=3, kernel=3, stride=1);

# %% [markdown]
# Three reach 1 + 2 + 2 + 2 = 7 pixels, as one 7 × 7 does, and four reach 9. With stride
# 2 each layer's step counts double for the next: 1 + 2 + 4 + 8 = 15.

# %% [markdown] slide="slide"
# ## Fewer weights, and more ReLUs
#
# A k × k convolution with C channels in and out has $k^2 C^2$ weights. Three of 3 × 3
# have **27 C²**, one of 7 × 7 has **49 C²**, 81 % more; so it is with the multiply-adds.
#
# The stack also has three ReLUs in place of one. Without them it would be one linear map,
# a restricted 7 × 7 kernel; with them it computes what no single kernel can. So the stack
# is cheaper. Does it also recognise more?

# %% [markdown] slide="slide"
# ## Which kernels recognise more? The test
#
# In Sec. 4.1 of the paper one 5 × 5 replaces each pair of 3 × 3: the share of wrong first
# guesses, the *top-1 error*, is then "7 % higher". We repeat this with a small network.

# %%
def kernel_net(kernels, widths=(16, 32, 64)):
    """Three blocks of these kernels, one linear layer: (N, 3, 32, 32) -> (N, 10)."""
    layers, inputs = [], 3
    for width in widths:
        for k in kernels:
            conv = nn.Conv2d(inputs, width, k, padding=k // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10)]
    return nn.Sequential(*layers)

# %% [markdown] slide="subslide"
# BatchNorm (lecture 06) keeps the size of the activations, so that all forms train
# without trouble. Photos, their order, steps and learning rate are the same.

# %%
some = photos.train.subset(course.pick(tiny=150, small=4000, full=None))
judge = photos.val.subset(course.pick(tiny=100, small=5000, full=5000))
epochs, seeds = course.pick(tiny=(1, 2), small=(5, 3), full=(10, 5))


def trained(sizes, seed, build=kernel_net):
    """A trained network, its history, and which validation photos it recognises."""
    torch.manual_seed(seed)
    net = build(sizes)
    loader = some.loader(64, shuffle=True, seed=seed)
    recipe = {"optimizer": "adam", "lr": 3e-3, "schedule": "onecycle"}
    history = fit(net, loader, epochs=epochs, progress=False, **recipe)
    logits, labels = predict(net, judge.loader(500))
    return net, history, logits.argmax(1) == labels

# %% slide="subslide"
forms = {"one 3×3": [3], "two 3×3": [3, 3], "one 5×5": [5]}
forms |= {"three 3×3": [3, 3, 3], "one 7×7": [7]}
nets, histories, right = {}, {}, {}
for name, sizes in forms.items():
    found = [trained(sizes, seed) for seed in range(seeds)]
    nets[name], histories[name], right[name] = zip(*found, strict=True)

# %% slide="subslide"
training = {name: [h["train_accuracy"][-1] for h in histories[name]] for name in forms}
validation = {name: [r.double().mean().item() for r in right[name]] for name in forms}
first = {name: nets[name][0] for name in forms}
tables.networks(first, (3, 32, 32), training=training, validation=validation)

# %% [markdown] slide="subslide"
# Here ± is the standard deviation over the seeds. **Are the differences more than
# chance?** All networks judge the same photos, so we compare photo by photo. After a
# difference ± is its *standard error*: chance in the seeds and in the choice of photos. We
# trust a difference of more than twice that.

# %%
small_5 = kept.paired(right["one 5×5"], right["two 3×3"])
small_7 = kept.paired(right["one 7×7"], right["three 3×3"])
print("two 3×3 minus one 5×5:  ", small_5)
print("three 3×3 minus one 7×7:", small_7)

# %% slide="subslide"
# alt: Validation accuracy of the five forms, a circle for each seed and a diamond for
# alt: their mean: two 3×3 before one 5×5, and three 3×3 before one 7×7.
title = f"Two 3×3 minus one 5×5: {small_5.points:+.1f} points;"
title += f" three minus one 7×7: {small_7.points:+.1f}"
ax = plot.spread(validation, title=title)
ax.set_xlabel("validation accuracy (%)");

# %% [markdown]
# **The stacks recognise more, in both pairs**: by 4.4 ± 0.5 and by 4.4 ± 1.6 points. Two
# 3 × 3 are ahead on their training photos, too (63.1 against 58.8 %), so this is not a
# matter of overfitting alone.
#
# They are not cheaper here. The first layer of a block has half the channels as inputs,
# which halves its weights; with one large kernel that is the whole block. So the
# parameters are about equal, and the stacks need 27 and 11 % more multiply-adds.

# %% [markdown] slide="subslide"
# **Is the gap still there in larger runs?** These kept runs have twice the channels,
# 45,000 photos with crops and mirrors, four epochs, three seeds.

# %% slide="subslide"
names = {"one 3×3": "kernels-3", "two 3×3": "kernels-3-3", "one 5×5": "kernels-5"}
names |= {"three 3×3": "kernels-3-3-3", "one 7×7": "kernels-7"}
print(kept.caption("kernels-3-3"))
pairs = [("one 5×5", "two 3×3"), ("one 7×7", "three 3×3"), ("one 5×5", "one 3×3")]
for few, many in pairs:
    more = kept.difference(names[few], names[many])
    print(f"{many} minus {few} on the test set: {more}")
kept.scoreboard(names)

# %% [markdown]
# It is larger: **7.3 ± 0.7** and **7.2 ± 0.6 points**. And it is the stack that wins, not
# the small kernel: *one* 3 × 3 is 3.7 ± 0.7 points behind one 5 × 5. Two 3 × 3 are ahead of
# one 7 × 7, too: 80.0 against 74.2 %, with fewer parameters and multiply-adds.

# %% [markdown] slide="slide"
# ## Build: ten lines and a table
#
# The paper's Table 1 holds six networks. Here a tuple holds the convolutions between two
# poolings; 64 is a 3 × 3 convolution with 64 channels. **Where do the six differ?**

# %% mirror="utils.models.vgg:Block utils.models.vgg:CONFIGS" slide="subslide"

# %% [markdown]
# They differ in how many convolutions a block has. A is VGG-11, B VGG-13, D VGG-16 and E
# VGG-19, by their layers with weights. C has three 1 × 1 convolutions. A-LRN adds AlexNet's
# normalisation, which did not lower the paper's error.

# %% [markdown] slide="subslide"
# With the table, A, B, D and E are ten lines:

# %%
def plain_vgg(config, num_classes=1000, hidden=4096, side=7):
    """VGG of 3x3 convolutions: (N, 3, 32 · side, 32 · side) -> (N, num_classes)."""
    layers, inputs = [], 3
    for block in config:
        for channels in block:
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
            inputs = channels
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(inputs * side**2, hidden), nn.ReLU()]
    layers += [nn.Dropout(0.5), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(hidden, num_classes))

# %% [markdown] slide="subslide"
# **Is it VGG?** The third block of D gets 128 channels of 56 × 56. Predict the parameters
# of its first convolution, and the shape of its output.

# %% check=True
with torch.device("meta"):
    vgg16 = plain_vgg(CONFIGS["D"])
print(f"VGG-16: {look.totals(vgg16, (3, 224, 224))[0]:,} parameters")
look.shape_table(vgg16[10:17], (128, 56, 56))

# %% [markdown]
# 256 · (128 · 9 + 1) = 295,168. Three convolutions keep 56 × 56, and the pooling leaves
# 28 × 28. The total is the **138 million** of the paper. With the same weights the
# course's own `vgg` must give the same logits:

# %% check=True
config = ((8,), (16,), (16, 16), (32, 32), (32, 32))  # A, with few channels
ours, course_vgg = plain_vgg(config, 10, 64), vgg(config, 10, hidden=(64, 64))
weights = zip(ours.state_dict(), course_vgg.state_dict().values(), strict=True)
ours.load_state_dict(dict(weights))
image = torch.randn(1, 3, 224, 224)
print("equal:", torch.allclose(ours.eval()(image), course_vgg.eval()(image), atol=1e-6))

# %% [markdown] slide="subslide"
# From A to E the network gets eight layers deeper. By how many percent do
# the parameters grow, and by how many the multiply-adds?

# %% check=True
with torch.device("meta"):
    six = {f"VGG {letter}": vgg(letter) for letter in CONFIGS}
tables.networks(six, (3, 224, 224))

# %% [markdown]
# The parameters grow by 8 %, the multiply-adds by 158 %: **depth costs work**.

# %% [markdown] slide="slide"
# ## Memory early, parameters late
#
# Each layer's output is kept for the backward pass: memory for each image. Parameters
# need memory once. **Which share of VGG-16's 138,357,544 parameters is in a single layer:
# 10, 25, 50 or 75 %? And is that the layer that computes most?**

# %% slide="subslide"
# alt: Three bar charts over the 16 layers of VGG-16. The activations are largest in the
# alt: first two convolutions and shrink; the parameters are small until the first linear
# alt: layer, which towers over all; the multiply-adds are spread over the convolutions.
title = "VGG-16: memory early, parameters late, work in all convolutions"
tables.by_layer(vgg16, (3, 224, 224), title=title)

# %% check=True
fc1 = 4096 * (512 * 7 * 7 + 1)  # the first linear layer, with its biases
print(f"first linear layer: {fc1:,} parameters, {fc1 / 138_357_544:.0%} of all")
print(f"its multiply-adds: {4096 * 512 * 7 * 7 / 15_470_264_320:.1%} of all")

# %% [markdown]
# **74 %** of the parameters are in the first linear layer, which does less than 1 % of
# the work. GoogLeNet (lecture 05) drops the large linear layer.

# %% [markdown] slide="slide"
# ## Twenty layers: do they learn at all?
#
# A pre-activation is a sum of $n_{in} = C_{in} k^2$ products of a weight and an input.
# With weights of mean 0 the mean square of the sum is $n_{in} \cdot \mathrm{Var}(W)$
# times that of the inputs. The ReLU sets half of the values to 0, so half of the mean
# square is left. Call the root of the mean square the signal's size. Each layer multiplies
# it by its *gain*:
#
# $$\text{gain of one layer} = \sqrt{\tfrac{1}{2}\, n_{in}\, \mathrm{Var}(W)}$$
#
# **Which variance has a gain of 1?** We compare three rules, and a common mistake: He's
# *standard deviation*, √(2 / n_in), used as the variance. 512 channels in and out have
# $n_{in}$ = 4,608. **How large is the signal after 16 layers with each?**

# %% check=True slide="subslide"
rules = {  # name -> Var(W), from n_in and n_out
    "N(0, 0.01²)": lambda n_in, n_out: 0.01**2,
    "Xavier": lambda n_in, n_out: 2 / (n_in + n_out),
    "He": lambda n_in, n_out: 2 / n_in,
    "root taken twice": lambda n_in, n_out: (2 / n_in) ** 0.5,
}
n = 512 * 9
for name, variance in rules.items():
    gain = (n * variance(n, n) / 2) ** 0.5
    print(f"{name:17} one layer {gain:6.3f}   16 layers {gain**16:8.2g}")

# %% [markdown]
# He's variance **2 / n_in** has a gain of 1. Xavier's rule was made for tanh, which
# halves nothing: under ReLU it loses a factor of √2 in each layer.

# %% [markdown] slide="subslide"
# Now the whole VGG-19, untrained, on noise: the standard deviation after each of its 16
# convolutions. **Which lines stay near 1?**

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
# alt: Standard deviation after each of 16 convolutions, on a logarithmic axis. He's line
# alt: stays within a factor of ten; Xavier's and that of N(0, 0.01 squared) sink; that of
# alt: the root taken twice climbs.
low, high = spreads["N(0, 0.01²)"][-1], spreads["root taken twice"][-1]
title = "He's weights keep the signal's size;"
title += f" the other rules end between {low:.0e} and {high:.0e}"
axis = {"xlabel": "convolution", "ylabel": "standard deviation"}
ax = plot.band(range(1, 17), spreads, log=True, title=title, **axis)
ax.set(xscale="linear", xticks=range(1, 17, 3), xlim=(0.5, 16.5));

# %% [markdown]
# He's line alone: it stays within a factor of ten. It rises at the poolings, which keep
# the largest of four values. With 0.01² the signal sinks further than in the table, since
# early layers have fewer inputs. torch offers He's rule as
# `nn.init.kaiming_normal_(weight, nonlinearity="relu")`.

# %% [markdown] slide="subslide"
# **Does the rule decide whether a network learns?** We take four convolutions in each of
# five blocks, so 20, without BatchNorm, with SGD and few photos. A loss of 2.303 = ln 10
# nats means that nothing is learned.

# %%
deep = [[channels] * 4 for channels in (64, 128, 256, 512, 512)]
width = course.pick(tiny=1 / 16, small=1 / 8, full=1 / 4)
few = photos.train.subset(course.pick(tiny=128, small=1000, full=20_000))
rounds, trials = course.pick(tiny=(1, 1), small=(5, 5), full=(10, 5))


def from_weights(rule, seed):
    """Train twenty layers whose weights are drawn by the rule."""
    torch.manual_seed(seed)
    model = draw(vgg(deep, 10, stem="cifar", width=width, hidden=()), rule)
    loader = few.loader(64, shuffle=True, seed=seed)
    return fit(model, loader, epochs=rounds, lr=0.02, progress=False)


three_rules = ("N(0, 0.01²)", "Xavier", "He")
starts = {n: [from_weights(rules[n], s) for s in range(trials)] for n in three_rules}

# %% slide="subslide"
# alt: Training loss by epoch of twenty layers from three rules for the weights, with a
# alt: band over the seeds: He's falls, the other two stay at 2.303.
last = {n: [history["train_loss"][-1] for history in starts[n]] for n in starts}
learned = {n: sum(loss < 2.29 for loss in last[n]) for n in last}
others = sum(learned.values()) - learned["He"]
title = f"With He's weights {learned['He']} of {trials} seeds begin to learn,"
title += f" with the other rules {others}"
plot.curves(starts, metric="loss", split="train", title=title);

# %% [markdown]
# From He's weights four of five seeds fall below 2.29 nats: with so few photos they have
# begun to learn, no more. From Xavier's and from N(0, 0.01²) **no seed moves at all**: after
# 20 layers the signal is almost 0.
#
# The paper trained A first, and copied some of its layers into the deeper networks. He's
# rule came a year later, in 2015. BatchNorm (lecture 06) makes the choice less important.

# %% [markdown] slide="slide"
# ## Does depth pay?
#
# One, two and three 3 × 3 in each block make 3, 6 and 9 convolutions. **Which of their
# differences are more than chance?**

# %%
second = kept.paired(right["one 3×3"], right["two 3×3"])
third = kept.paired(right["two 3×3"], right["three 3×3"])
print("validation, two minus one 3×3:  ", second)
print("validation, three minus two 3×3:", third)
longer = kept.difference("kernels-3-3", "kernels-3-3-3")
print("kept runs, test, three minus two:", longer)

# %% [markdown]
# From one to two convolutions in each block: **+6.6 ± 0.6 points**. From two to three:
# −0.8 ± 1.5, which decides nothing. In the larger kept runs, three are **1.4 ± 0.6 points**
# ahead of two.
#
# The paper asks this of A, B, D and E. Kept runs train them from He's weights, with a
# quarter of the width and one linear layer: 45,000 photos, 20 epochs, one learning rate for
# all. **Is the deepest one the best?**

# %%
# alt: Training accuracy by epoch of the paper's A, B, D and E: D and E begin later, and
# alt: end a little below A and B.
DEPTHS = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}
four = {letter: kept.runs(name) for letter, name in DEPTHS.items()}
own = kept.difference("vgg13", "vgg19", "train")
title = f"The deeper D and E learn later; at the end E minus B: {own.points:+.1f}"
title += f" ± {own.error:.1f} points"
plot.curves(four, metric="accuracy", split="train", title=title);

# %%
print("test, B minus A:    ", kept.difference("vgg11", "vgg13"))
print("test, E minus B:    ", kept.difference("vgg13", "vgg19"))
print("training, E minus B:", own)
kept.error_table({f"VGG {letter}": name for letter, name in DEPTHS.items()})

# %% [markdown]
# No. E, six layers deeper than B, is **1.5 ± 0.6 points behind it**; A and B cannot be told
# apart. E does not overfit: it learns fewer of its own photos, too. D and E learn later,
# and 20 epochs do not quite make up for it. So a deeper network can be harder to train: see
# lecture 07. (A number without ± in the table is from one seed: its errors count the choice
# of photos alone.)
#
# **And if they could be trained better?** BatchNorm (lecture 06) after each convolution
# allows a learning rate five times as high. Photos, width and epochs are the same.

# %% name="normed"
normed = {f"VGG {letter}, BatchNorm": f"{DEPTHS[letter]}_bn" for letter in "ABD"}
print("test, BatchNorm, B minus A:", kept.difference("vgg11_bn", "vgg13_bn"))
print("test, BatchNorm, D minus B:", kept.difference("vgg13_bn", "vgg16_bn"))
kept.error_table(normed)

# %% [markdown]
# Then depth pays from A to B, by **1.6 ± 0.5 points**. D and B cannot be told
# apart, nor in training (10.1 and 10.3 % wrong): more layers no longer harm, but do not gain
# either. (A has three seeds, B and D one; we have no such run of E.)
#
# In the paper, with 1.3 million photos, depth pays up to D: top-5 errors of 10.4, 9.9, 8.8
# and 9.0 % for A, B, D and E, one run each.

# %% [markdown] slide="subslide"
# **On the test set, once:** our own runs of the form that recognised most validation photos.

# %%
best = max(validation, key=lambda name: sum(validation[name]))
tested = [evaluate(net, photos.test.loader(500)).accuracy for net in nets[best]]
print(f"{best}: {tables.spread([100 * a for a in tested], ' %')} of the test", end=" ")
print(photos.test.kind)

# %% [markdown] slide="slide"
# ## VGG-11 against AlexNet
#
# Kept runs on 45,000 photos, 20 epochs each. VGG-11 has a quarter of its width, AlexNet
# an eighth, so both do about the same work. **Does VGG-11 recognise more than AlexNet?**

# %%
# alt: Training and validation accuracy by epoch in four panels: AlexNet, AlexNet without
# alt: dropout, VGG-11, and VGG-11 with BatchNorm, which ends highest in both.
BOARD = {"AlexNet": "alexnet", "AlexNet, no dropout": "alexnet-no-dropout"}
BOARD |= {"VGG-11": "vgg11", "VGG-11, BatchNorm": "vgg11_bn"}
curves = {k.rpartition(", ")[2]: kept.runs(name) for k, name in BOARD.items()}
title = "VGG-11 with BatchNorm ends highest, in training and on new photos"
plot.curves(curves, metric="accuracy", panels=True, title=title);

# %%
pairs = {"VGG-11 minus AlexNet": ("alexnet", "vgg11")}
pairs["VGG-11 minus AlexNet without dropout"] = ("alexnet-no-dropout", "vgg11")
pairs["VGG-11, BatchNorm minus none"] = ("vgg11", "vgg11_bn")
for label, pair in pairs.items():
    print(f"test, {label + ':':37} {kept.difference(*pair)}")
print(kept.caption("vgg11"))
kept.scoreboard(BOARD)

# %% [markdown]
# Yes, by about **4 points**. But AlexNet without dropout cannot be told apart from VGG-11:
# their difference is below twice its error. BatchNorm adds about **5 points** to VGG-11.

# %% [markdown] slide="slide"
# ## Answer
#
# Which form recognises more new photos, and by how many points?

# %% slide="fragment"
print("two 3×3 minus one 5×5:  ", small_5)
print("three 3×3 minus one 7×7:", small_7)
part = f"one layer holds {fc1 / 138_357_544:.0%} of VGG-16's parameters"
gains = [f"{gain.points:+.1f} ± {gain.error:.1f}" for gain in (small_5, small_7)]
measured = f"two 3×3 against one 5×5: {gains[0]} points, three against one 7×7: "
measured += f"{gains[1]} points; {part}"
ends = [f"{spreads[name][-1]:.0e}" for name in ("N(0, 0.01²)", "He")]
counted = f"{part}; noise leaves VGG-19 at {ends[0]} from weights of N(0, 0.01²), at"
counted += f" {ends[1]} from He's; trained on {photos.test.kind} only for show"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown] slide="fragment"
# The stacks of small kernels, by 4.4 ± 0.5 and 4.4 ± 1.6 points with about as many
# parameters, and by more in the larger kept runs.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# and the second time a stronger one. *Predict*: before any cell runs it.

# %% [markdown] slide="subslide"
# ### 04.1 Predict: small kernels for AlexNet's 11 × 11
#
# `answers` holds three numbers.
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
# ### 04.2 Write: He's weights
#
# `he_weights(layer)` draws a convolution's weights from a normal distribution, so that
# ReLU keeps the scale of the **activations**. It sets the biases to 0, and returns the
# layer. No `nn.init.kaiming…`.

# %%
def he_weights(layer: nn.Conv2d) -> nn.Conv2d:
    """Draw the layer's weights with variance 2 / n_in; biases 0."""
    # solution
    n_in = layer.in_channels * math.prod(layer.kernel_size)
    nn.init.normal_(layer.weight, std=(2 / n_in) ** 0.5)
    nn.init.zeros_(layer.bias)
    return layer

# %%
check("04.2", he_weights)

# %% [markdown] slide="subslide"
# ### 04.3 Modify: one linear layer, or three
#
# Both networks are for 32 × 32 colour photos of ten classes: (a) VGG A with **one**
# linear layer; (b) VGG D with **three** (4096, 4096, 10) and dropout 0.5. Build both
# with `vgg`, at full width, without BatchNorm; `help(vgg)` lists its arguments. Five
# poolings leave 1 × 1 maps, so 512 numbers enter the linear layers: `stem="cifar"`.

# %%
# solution
one_linear = vgg("A", 10, stem="cifar", hidden=())
three_linear = vgg("D", 10, stem="cifar", dropout=0.5)

# %%
check("04.3", (one_linear, three_linear))

# %% [markdown] slide="subslide"
# ### 04.4 Write: adaptive pooling
#
# `nn.AdaptiveAvgPool2d(7)` makes 7 × 7 values of maps of any size. Of n values in a row,
# window i of `out` windows takes those from ⌊i · n / out⌋ up to, not including,
# ⌈(i + 1) · n / out⌉. So 10 → 7 has windows of 2 and of 3 values, which overlap.
#
# Write it for maps (N, C, H, W) and a size (h, w), without torch's own.

# %%
def adaptive_pool(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Average (N, C, H, W) to (N, C, *size) by the exact rule."""
    # solution
    rows, columns = (
        [(i * n // out, math.ceil((i + 1) * n / out)) for i in range(out)]
        for n, out in zip(maps.shape[2:], size, strict=True)
    )
    means = [maps[:, :, a:b, c:d].mean(dim=(2, 3)) for a, b in rows for c, d in columns]
    return torch.stack(means, dim=2).unflatten(2, size)

# %%
check("04.4", adaptive_pool)

# %% [markdown] slide="subslide"
# ### 04.5 Repair: a published list
#
# A published run trains this list on CIFAR-10 for 30 epochs, and reports 73 %. Its code
# cannot have given that number. Run it, and read the error.

# %% check=True
LIST = ((64, 64, 64), (128, 128, 128), (256, 256, 256))


def published(num_classes):
    layers = [*vgg(LIST, hidden=(), batch_norm=True).features, nn.Flatten()]
    layers += [nn.Linear(512 * 4 * 4, 4096), nn.ReLU(), nn.Dropout(0.5)]
    layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(4096, num_classes))


try:
    published(10)(torch.zeros(2, 3, 32, 32))
except RuntimeError as error:
    print(error)

# %% [markdown]
# Write `repaired`. Keep the list, its 4 × 4 maps, the two hidden layers of 4,096 and the
# dropout.

# %%
def repaired(num_classes: int) -> nn.Module:
    """The network of LIST for 32x32 photos."""
    # solution
    network = published(num_classes)
    network[4] = nn.Linear(256 * 4 * 4, 4096)
    return network

# %%
check("04.5", repaired)

# %% [markdown] slide="subslide"
# ### 04.6 Investigate: is it the ReLUs?
#
# Three 3 × 3 have about as many weights as one 7 × 7, and two more ReLUs in each block. Do
# the ReLUs make the difference?
#
# - Write `few_relus(kernels)`: as `kernel_net`, but with **one** ReLU in each block, after
#   its last BatchNorm.
# - `runs` holds what `trained([3, 3, 3], seed, few_relus)` returns, for each seed in
#   `range(seeds)`.
# - Compare the third part of each with `right["three 3×3"]` and with `right["one 7×7"]`,
#   by `kept.paired`.

# %%
def few_relus(kernels: list[int]) -> nn.Module:
    """kernel_net with a ReLU after the last convolution of each block alone."""
    # solution
    layers = list(kernel_net(kernels))
    relus = [i for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
    for i in relus:
        if not isinstance(layers[i + 1], nn.MaxPool2d):
            layers[i] = nn.Identity()
    return nn.Sequential(*layers)

# %%
# solution
runs = [trained([3, 3, 3], seed, few_relus) for seed in range(seeds)]
hits = [seen for _, _, seen in runs]
print("three ReLUs minus one:", kept.paired(hits, right["three 3×3"]))
print("one ReLU minus 7×7:   ", kept.paired(right["one 7×7"], hits))

# %%
check("04.6", (few_relus, runs))

# %% [markdown]
# **Explain:** what do your two differences say about the ReLUs?

# %% [markdown] solution=True
# In our run one ReLU in each block is 2.3 ± 0.8 points better than the 7 × 7. So a stack
# of small kernels, with BatchNorm between them, helps even without more ReLUs. Three
# ReLUs add 2.1 ± 1.2 points: less than twice the error, so this is not decided. Four
# times as many seeds would halve that part of the error that comes from seeds. And
# without BatchNorm the one-ReLU stack would be a single linear map: try it.

# %% [markdown] slide="subslide"
# ### 04.7 Investigate: VGG-19 on CIFAR-10, two epochs
#
# Write VGG-19's list of blocks yourself, `my_list`. Train it with `vgg` and `fit` on `few`
# for two epochs, at `width`, with one linear layer and Adam at 0.001: without BatchNorm,
# then with it. `two_runs` holds what `fit` returns, in this order.

# %%
# solution
my_list = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
two_runs = []
for norm in (False, True):
    torch.manual_seed(run.seed)
    options = {"stem": "cifar", "hidden": (), "width": width}
    model = vgg(my_list, 10, batch_norm=norm, **options)
    loader = few.loader(64, shuffle=True)
    adam = {"optimizer": "adam", "lr": 1e-3, "progress": False}
    two_runs.append(fit(model, loader, epochs=2, **adam))

# %%
check("04.7", (my_list, two_runs))

# %% [markdown]
# **Explain:** what do two epochs say about VGG-19, and what not?

# %% [markdown] solution=True
# They say how long the loss stays near 2.303, where nothing is learned yet. With
# BatchNorm it has usually left that value. To judge what the network can reach, train
# until the curves are flat, and repeat with seeds.

# %% slide="skip"
check.progress("04")

# %% [markdown] slide="slide"
# ## Recap
#
# 1. Receptive field: $1 + \sum_i (k_i - 1) \, s_1 \cdots s_{i-1}$. Three 3 × 3 reach as
#    far as one 7 × 7, with $27 C^2$ weights in place of $49 C^2$, and three ReLUs.
# 2. At about equal parameters the stacks recognise more than one large kernel; one small
#    kernel alone does not.
# 3. A table of channels makes each VGG. 74 % of VGG-16's parameters are in one layer.
# 4. $\mathrm{Var}(W) = 2 / n_{in}$, with $n_{in} = C_{in} k^2$, keeps the signal's scale
#    under ReLU: each layer's gain is $\sqrt{n_{in} \mathrm{Var}(W) / 2}$.
# 5. We trust a difference of more than twice its standard error. A deeper network can be
#    harder to train: in our runs of 20 epochs VGG-19 is behind VGG-13.

# %% [markdown] slide="skip"
# ## References
#
# - K. Simonyan, A. Zisserman: [Very Deep Convolutional Networks for Large-Scale Image
#   Recognition](https://arxiv.org/abs/1409.1556), ICLR 2015: Tables 1 to 3, Sec. 2 to 4.
# - K. He, X. Zhang, S. Ren, J. Sun: [Delving Deep into Rectifiers](
#   https://arxiv.org/abs/1502.01852), ICCV 2015: Sec. 2.2 and Fig. 3, first weights.
# - X. Glorot, Y. Bengio: [Understanding the difficulty of training deep feedforward neural
#   networks](https://proceedings.mlr.press/v9/glorot10a.html), AISTATS 2010.
# - Data: A. Krizhevsky, [CIFAR-10](https://www.cs.toronto.edu/~kriz/cifar.html), 2009.

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
words = blocks.left_text(22, "one 7 × 7: 49 weights from each channel to each, one ReLU")
words += blocks.left_text(162, "three 3 × 3: 27 weights from each channel to each, three ReLUs")
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

# %% slide="only" name="kernels"
# alt: Test accuracy of the kept runs, a circle a seed: one 3×3 lowest, then one 5×5 and one
# alt: 7×7, both below two 3×3, and three 3×3 highest.
sizes = {"one 3×3": "3", "one 5×5": "5", "two 3×3": "3-3", "one 7×7": "7", "three 3×3": "3-3-3"}
kernel_runs = {k: f"kernels-{v}" for k, v in sizes.items()}
ax = plot.spread({k: kept.test_accuracy(v) for k, v in kernel_runs.items()})
ax.set_xlabel("test accuracy (%)")

# %% slide="only" name="kept-depths"
# alt: Training accuracy by epoch of the paper's A, B, D and E: D and E begin later, and
# alt: end a little below A and B.
depths = {"A": "vgg11", "B": "vgg13", "D": "vgg16", "E": "vgg19"}
plot.curves(
    {letter: kept.runs(name) for letter, name in depths.items()},
    metric="accuracy",
    split="train",
)

# %% slide="only" name="kept-four"
# alt: Training and validation accuracy over 20 epochs in four panels: AlexNet, AlexNet
# alt: without dropout, VGG-11, and VGG-11 with BatchNorm, which ends highest.
board = {"AlexNet": "alexnet", "no dropout": "alexnet-no-dropout"}
board |= {"VGG-11": "vgg11", "with BatchNorm": "vgg11_bn"}
plot.curves({k: kept.runs(v) for k, v in board.items()}, metric="accuracy", panels=True)

# %% slide="only" name="kept-bars"
# alt: Test accuracy of the four kept runs: AlexNet lowest, AlexNet without dropout and VGG-11
# alt: about equal, VGG-11 with BatchNorm highest.
labels = ("AlexNet", "AlexNet, no dropout", "VGG-11", "VGG-11, BatchNorm")
reached = {k: kept.test_accuracy(v) for k, v in zip(labels, board.values(), strict=True)}
plot.bars({k: sum(v) / len(v) for k, v in reached.items()}, xlabel="test accuracy (%)")

# %% [markdown] slide="only" part="The idea"
# # VGG: depth from small kernels
#
# Simonyan, Zisserman: *Very Deep Convolutional Networks for Large-Scale Image
# Recognition*, 2014
#
# ![](run:vgg16)
#
# Note: 1 min. After the hour they can count the weights of any stack of kernels, say
# what it sees, and choose first weights with which twenty layers learn. Ask what the
# arrow's width and height mean: channels and sides. Expect “depth”: depth is the number
# of boxes.

# %% [markdown] slide="only"
# ## Last time: AlexNet, in three questions
#
# 1. How large is the output of 11 × 11 with stride 4 on 227 pixels?
# 2. In which layers are most of its parameters?
# 3. Which first weights fit ReLU, and which fit tanh?
#
# . . .
#
# 1: 55. 2: the linear layers. 3: He's for ReLU, Xavier's for tanh.
#
# Note: 2 min. A different row answers each. For the first, ask for the formula, too.
# Who says “ReLU is faster” for 3: in our test it was not; the weights had to fit.
# Expect 54 for the first: the + 1. Skip the third when late.

# %% [markdown] slide="only"
# ## VGG repeats one part where AlexNet chose five
#
# ![](run:two-lines)
#
# AlexNet's poolings are not drawn.
#
# Note: 2 min. Ask why 11 and then 5; expect reasons, and accept that nobody knows. VGG
# replaces five decisions by one: always 3 × 3, and double the channels after a pooling.

# %% [markdown] slide="only"
# ## Two 3 × 3 or one 5 × 5: which recognises more?
#
# ### Same photos, same steps, same channels. Who wins?
#
# . . .
#
# Vote: two small ones, the large one, no difference. We measure it on CIFAR-10: 45,000
# photos of 32 × 32, ten classes.
#
# Note: 1.5 min. Let them give reasons: more weights, or more ReLUs? Write the votes
# down: the answer comes in ten minutes, as a measurement. Expect “the large one, it
# sees more”: both see 5 × 5 pixels.

# %% [markdown] slide="only" part="Small kernels"
# ## Three 3 × 3 see what one 7 × 7 sees
#
# ![Pixels of one row, and three layers of 3 above them: one value of the last layer depends on seven pixels](draw:kernels.receptive_field())
#
# The pixels on which a value depends are its **receptive field**.
#
# Note: 2.5 min. Let them count the pixels below one value: 3, 5, 7. Each layer of 3 with
# stride 1 adds 2. Expect 9 for three layers: that counts 3 for each.

# %% [markdown] slide="only"
# ## Build a stack, and see how far it looks
#
# ### How many 3 × 3 until one value sees 13 × 13?
#
# ![](play:field)
#
# Note: 2.5 min. Let them count first, then add layers one by one: six. Ask how many for
# AlexNet's 11 × 11: five (exercise 04.1). Expect “one layer each pixel”: each adds two. Ask
# what one pooling in between changes; skip it when late.

# %% [markdown] slide="only"
# ## The same view: fewer weights, and more ReLUs
#
# ![](run:seven-or-three)
#
# Note: 2 min. Ask for both differences: fewer weights, and two ReLUs more. Which one
# matters is a question that needs an experiment: exercise 04.6. Expect “less work, so
# worse”: that is what we measure next but one.

# %% [markdown] slide="only"
# ## From 512 to 512 channels, kernels are expensive
#
# ### How many weights has one 7 × 7, and how many have three 3 × 3?
#
# . . .
#
# ![](run:weights)
#
# Note: 1.5 min. 512 × 512 × 49 is 12.8 million, in one layer. Who says 25,088 forgot the
# second 512. Three 3 × 3 save 45 percent of it, two 3 × 3 save 28 percent of a 5 × 5.

# %% [markdown] slide="only"
# ## Measured: small kernels recognise more, in both pairs
#
# ![](run:kernels)
#
# Two 3 × 3 minus one 5 × 5: {{ f"{kept.difference('kernels-5', 'kernels-3-3').points:+.1f}" }} ±
# {{ f"{kept.difference('kernels-5', 'kernels-3-3').error:.1f}" }} points; three minus one 7 × 7:
# {{ f"{kept.difference('kernels-7', 'kernels-3-3-3').points:+.1f}" }} ±
# {{ f"{kept.difference('kernels-7', 'kernels-3-3-3').error:.1f}" }}.
#
# Note: 3 min. Compare with the votes. Four epochs, three seeds, a circle each; ± is the
# standard error. Parameters are about equal in each pair, the stacks do more work. The
# paper's own test on ImageNet, one run each: 7 percent more error with one 5 × 5. Ask
# which pair is fair. Expect one 3 × 3 against one 5 × 5: they see different pixels.

# %% [markdown] slide="only" part="Build"
# ## Five blocks, and each pooling halves the sides
#
# ![](run:vgg16)
#
# Note: 2 min. Let them fill in the sides from the left: 224, 112, 56, 28, 14, 7. When
# the sides halve, the channels double, up to 512. Expect 223: without padding the sides
# would shrink. Skip when late, the title showed it.

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
# Note: 2 min. Read one line aloud as a network. Table 1 of the paper is this list; C
# has 1 × 1 kernels in places, and is left out here. Expect 13: the linear layers were
# forgotten.

# %% [markdown] slide="only"
# ## Eight lines build the convolutions of any of them
#
# ```python
# layers, inputs = [], 3
# for block in CONFIGS["D"]:
#     for channels in block:
#         layers += [nn.Conv2d(inputs, channels, 3, padding=1)]
#         layers += [nn.ReLU()]
#         inputs = channels
#     layers += [nn.MaxPool2d(2)]
# features = nn.Sequential(*layers)
# ```
#
# Note: 2 min. Ask why padding is 1: 3 × 3 keeps the sides. Ask why inputs begins with 3: the
# colours. Expect 64. Three linear layers follow. Skip the reading when late.

# %% [markdown] slide="only"
# ## One layer of VGG-16 holds most of its parameters
#
# ### Which share of the 138 million is in it: 60, 74 or 90 %?
#
# . . .
#
# > **74 %** in the first linear layer: 4,096 × (512 × 7 × 7 + 1)
#
# . . .
#
# > **{{ said(r"its multiply-adds: ([\d.]+%) of all") }}** of the multiply-adds are done there
#
# Note: 2 min. Take the vote first. 25,088 values enter it. Ask how one could get rid of
# it: a mean over each map, as GoogLeNet and ResNet do. Expect 60: most trust the
# convolutions with more, since there are 13 of them.

# %% [markdown] slide="only"
# ## Memory early, parameters late, work in between
#
# ![](run:by-layer)
#
# Activations are kept for the backward pass: that is memory. M: millions, G: billions.
#
# Note: 2 min. About half of the activations are in the first two layers. Ask what a
# batch of 64 needs: 64 times as much, but the parameters once. Expect “the parameters
# need most memory”: in training with a batch the activations do. Skip when late.

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
# Note: 1.5 min. 32, 16, 8, 4, 2, 1. A published list leaves a pooling out and keeps 4 ×
# 4 maps: exercise 04.5. Expect 25,088: that is for 224 pixels. Skip the list when late.

# %% [markdown] slide="only" part="First weights"
# ## Each layer multiplies the signal's size by its gain
#
# ### What do 16 layers leave of a signal at gain 0.9, and at 1.1?
#
# . . .
#
# > **{{ f"{0.9**16:.2f}" }}** at gain 0.9
#
# > **{{ f"{1.1**16:.1f}" }}** at gain 1.1
#
# . . .
#
# So the first weights decide whether a deep network learns at all.
#
# Note: 2 min. Let them compute 0.9 squared, to the 4th, to the 16th. Expect “a little
# less”: powers of the depth are the point. The gain must be 1, but what is it made of?

# %% [markdown] slide="only"
# ## The gain counts inputs, weights and the ReLU
#
# $$\text{gain} = \sqrt{\frac{n \cdot \mathrm{Var}(W)}{2}}$$
#
# n inputs add their mean squares, each times the variance of the weights; ReLU sets half
# of the values to 0.
#
# . . .
#
# ### Which variance gives gain 1?
#
# . . .
#
# > **2 / n** He's rule
#
# Note: 2 min. n is the channels times k². The root comes last, because the size is the root
# of the mean square. Expect 1 / n: the ReLU was forgotten.

# %% [markdown] slide="only"
# ## Xavier's rule forgets the ReLU, a fixed one the inputs
#
# | rule | variance | gain |
# |---|---|---:|
# | normal, deviation 0.01 | 0.0001 | {{ f"{(4608 * 0.0001 / 2) ** 0.5:.2f}" }} |
# | Xavier | 2 / (n + outputs · k²) | {{ f"{0.5**0.5:.2f}" }} |
# | He | 2 / n | 1.00 |
#
# For 512 channels and 3 × 3, n = 4,608.
#
# Note: 1.5 min. Xavier's rule was made for tanh, which halves nothing. A common
# mistake: √(2 / n) is He's standard deviation, not the variance. torch: kaiming_normal_
# with nonlinearity="relu". Skip the torch name when late. Ask which of the three VGG's
# authors had. Expect He's: it came a year later.

# %% [markdown] slide="only"
# ## Only He's weights keep the signal through VGG-19
#
# ![](run:spreads)
#
# Standard deviation after each of the 16 convolutions, untrained, on noise.
#
# Note: 2 min. Ask which line will learn. He's rises at the poolings: the largest of
# four values exceeds a typical one. Expect Xavier's as good enough: after 16 layers a
# thousandth is left.

# %% [markdown] slide="only"
# ## The paper had no such rule, so it copied layers
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
# Note: 1.5 min. Ask what the random layers in between do at the start. Expect “the
# copied layers stay fixed”: they train on. Skip when late.

# %% [markdown] slide="only" part="Result"
# ## In the paper, the error falls up to 16 layers
#
# ![](run:table-3)
#
# One run each: D and E, 0.2 points apart, are not decided.
#
# Note: 2 min. Top-5 error on ImageNet. C and D have the same depth, 1 × 1 against 3 ×
# 3. Ask what one would need to decide E against D: several seeds of each. Expect “E is
# worse than D”: one run each cannot say it.

# %% [markdown] slide="only"
# ## Here, the deepest learns fewer of its own photos
#
# ### CIFAR-10, 20 epochs: is E ahead of B?
#
# . . .
#
# ![](run:kept-depths)
#
# E minus B, training: {{ f"{kept.difference('vgg13', 'vgg19', 'train').points:+.1f}" }} ±
# {{ f"{kept.difference('vgg13', 'vgg19', 'train').error:.1f}" }} points; test: {{ f"{kept.difference('vgg13', 'vgg19').points:+.1f}" }} ±
# {{ f"{kept.difference('vgg13', 'vgg19').error:.1f}" }} points.
#
# Note: 2 min. Ask whether E overfits: no, it is behind on its training photos, too.
# Expect “more epochs would do it”: perhaps; lecture 07 trains 56 layers and asks again.
# With BatchNorm B is {{ f"{kept.difference('vgg11_bn', 'vgg13_bn').points:.1f}" }} points ahead of A, and D no further.

# %% [markdown] slide="only"
# ## On the same photos, BatchNorm lifts VGG-11
#
# ![](run:kept-four)
#
# CIFAR-10, {{ kept.budget("vgg11") }} each.
#
# Note: 2 min. VGG-11 at a quarter of its width, AlexNet at an eighth: about equal
# multiply-adds. Ask which network overfits: hardly any, the last by two or three
# points. Expect “VGG-11 overfits less because it is smaller”: it has about as much work
# and two thirds of the parameters.

# %% [markdown] slide="only"
# ## VGG-11 beats AlexNet only where dropout holds it back
#
# ![](run:kept-bars)
#
# VGG-11 minus AlexNet without dropout: {{ f"{kept.difference('alexnet-no-dropout', 'vgg11').points:+.1f}" }} ±
# {{ f"{kept.difference('alexnet-no-dropout', 'vgg11').error:.1f}" }} points.
#
# Note: 2 min. ± is the standard error: less than twice it, so not decided. Expect “VGG wins
# by its kernels”: this comparison does not show it, the one of kernels above does.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - L layers of 3 × 3 see 2L + 1 pixels.
# - Three need 27 weights, one 7 × 7 needs 49.
# - One layer holds 74 % of VGG-16's parameters.
# - Variance 2 / n keeps the signal's size under ReLU.
# - One run decides nothing about 0.2 points.
#
# Note: 2 min. Cover it, and let five students say one each. The cheat sheet has them.
# Expect 3L for the first: each layer after the first adds two. Skip the last when late.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **04.1** Small kernels for AlexNet's 11 × 11: weights and receptive field.
# - **04.2** Write He's weights for one layer; the check measures their spread.
#
# Note: 1 min. The first takes ten minutes. The last two exercises train, and take half
# an hour. Next time: four kernel sizes side by side. Ask for a guess at 04.1 now.
# Expect 4: 11 / 3.

# %% [markdown] slide="sheet"
# ![](run:vgg16)
#
# ## Six configurations
#
# ![](run:tables.networks(six, (3, 224, 224)))
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard(BOARD))
