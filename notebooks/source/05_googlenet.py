# %% [markdown] slide="slide"
# # GoogLeNet: more layers, fewer numbers
#
# The winner of 2014 is deeper than those before it, and has far fewer parameters. We
# build it and find where they are saved.
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
# 4. measure what the average at the end and the auxiliary heads change;
# 5. draw a class activation map (which positions speak for a class), and test it.
#
# A run takes ten seconds at scale `tiny`, two minutes at `small`. Numbers are from
# `small`.

# %% [markdown] slide="slide"
# ## Question
#
# AlexNet has 60,965,224 parameters in 8 layers with weights. GoogLeNet has 22 such
# layers one after another, and several times fewer parameters.
#
# **How many times fewer, and where are they saved?** *Guess: in the first layers, in
# the modules between, or at the end?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching import architectures, blocks, check, kept
from utils import course, data, look, pictures, plot
from utils.models import alexnet_2012, googlenet_bn
from utils.models.alexnet import LocalResponseNorm
from utils.models.googlenet import PAPER, Form, googlenet, googlenet_loss
from utils.models.pretrained import pretrained
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
photos = data.cifar10()
seeds = range(course.pick(tiny=1, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: do not choose the kernel
#
# Is 1 × 1, 3 × 3 or 5 × 5 the right kernel? AlexNet's authors chose by hand; VGG uses
# 3 × 3 everywhere. An *Inception module* uses **all of them side by side** and stacks
# their maps. Each path from input to output is a *branch*.

# %% tags=["hide-input"]
architectures.inception(naive=True)

# %% [markdown]
# This is the *naive* module. All branches keep height and width. ReLUs are not drawn.

# %% [markdown] slide="slide"
# ## Build: the naive module
#
# First a convolution with its ReLU. It begins with He's weights (lecture 04). `norm`
# adds a BatchNorm (next lecture); the paper's network has none.

# %% mirror="utils.models.googlenet:BasicConv"

# %% [markdown] slide="subslide"
# `Widths` names the six numbers of channels of a module. The naive one needs three.

# %% mirror="utils.models.googlenet:Widths"
from __future__ import annotations  # noqa: F404

from dataclasses import astuple, dataclass

# %% mirror="utils.models.googlenet:NaiveInception"

# %% [markdown] slide="subslide"
# **Predict** for an input of 192 × 28 × 28, and 64, 128 and 32 kernels: how many
# channels come out? Which branch costs most? One output value of a k × k kernel takes k
# × k × 192 multiply-adds.

# %% check=True
w3a = Widths(64, 96, 128, 16, 32, 32)
look.shape_table(NaiveInception(192, w3a), (192, 28, 28))

# %% [markdown]
# The table ends before `torch.cat`, which stacks 64 + 128 + 32 + **192** = 416
# channels: the pooling passes on all of its input. The 3 × 3 branch costs most.

# %% [markdown] slide="subslide"
# **Predict** the channels after the next module, 3b. Its convolutions put out 128, 192
# and 96.

# %% check=True
channels, outputs = 192, {"3a": (64, 128, 32), "3b": (128, 192, 96)}
outputs |= {"4a": (192, 208, 48), "4b": (160, 224, 64), "4c": (128, 256, 64)}
for name, new in outputs.items():
    print(f"{name}: {channels} channels in, {channels + sum(new)} out")
    channels += sum(new)

# %% [markdown]
# 416 + 128 + 192 + 96 = 832. The number can only grow, to 2,176 after 4c. Something
# cheap must reduce the channels.

# %% [markdown] slide="slide"
# ## What does a 1×1 convolution do?
#
# We copy the weights of one into an `nn.Linear`, and apply that at every position. **Do
# the outputs differ?**

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
# reads one position and mixes all of its channels.

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
# A tenth. **Do the same for the 3 × 3 branch**, with its reduction to 96.

# %% [markdown] slide="fragment"
# 192 × 96 + 9 × 96 × 128 = 129,024 in place of 9 × 192 × 128 = 221,184: 58 %.
#
# 1 × 1 convolutions before a large kernel are *reductions*. The one after the pooling
# is the *projection*: it stops the growth of the channels.

# %% tags=["hide-input"] slide="subslide"
architectures.inception()

# %% [markdown]
# In code `form` is `PAPER` (2014), or torchvision's version with BatchNorm and two other
# kernel sizes.

# %% mirror="utils.models.googlenet:Inception"

# %% slide="subslide" check=True
real = Inception(192, w3a)
look.shape_table(real, (192, 28, 28), depth=2)

# %% [markdown]
# The module takes 128 million multiply-adds instead of 303, and puts out 64 + 128 + 32 +
# 32 = 256 channels.

# %% [markdown] slide="slide"
# ## The network is a table
#
# The paper's Table 1 has one row for each of nine modules. Together they have 5.8 million
# parameters. **How many would nine naive modules have?**

# %% mirror="utils.models.googlenet:TABLE_1"

# %% slide="subslide" check=True tags=["hide-input"]
def cost(module, channels, side):
    """Millions of a module's parameters, and of its multiply-adds."""
    return [count / 1e6 for count in look.totals(module, (channels, side, side))]


naive_in = real_in = 192
all_naive = all_reduced = 0
for name, w in TABLE_1.items():
    side = {"3": 28, "4": 14, "5": 7}[name[0]]
    with torch.device("meta"):  # shapes without numbers
        modules = NaiveInception(naive_in, w), Inception(real_in, w)
    naive, reduced = cost(modules[0], naive_in, side), cost(modules[1], real_in, side)
    words = f"parameters {naive[0]:4.1f} M naive, {reduced[0]:3.1f} M reduced;"
    print(f"{name}: {words} multiply-adds {naive[1]:4.0f} M, {reduced[1]:3.0f} M")
    all_naive, all_reduced = all_naive + naive[0], all_reduced + reduced[0]
    naive_in += w.out_1x1 + w.out_3x3 + w.out_5x5
    real_in = w.out_channels
print(f"all: parameters {all_naive:.1f} M naive, {all_reduced:.1f} M reduced")

# %% [markdown]
# 92.5 million, more than AlexNet. Without reductions and projections a module takes 2.4
# times as many multiply-adds at the beginning, and about 20 times at the end.

# %% [markdown] slide="slide"
# ## Build: stem, heads, stages
#
# The *stem*, the plain layers before the modules, divides the sides by 8.

# %% mirror="utils.models.googlenet:max_pool utils.models.googlenet:GoogLeNetStem"

# %% check=True
stem = GoogLeNetStem(3, 64, 192, PAPER)
look.shape_table(stem, (3, 224, 224), depth=1)

# %% [markdown] slide="subslide"
# The first convolution and the two poolings halve: 224, 112, 56 and 28.
#
# After modules 4a and 4d, two *auxiliary heads* branch off: small classifiers with a
# loss of their own, **for training only**. (Do they help? We ask below.) The numbers in
# the boxes are channels:

# %% tags=["hide-input"] check=True
blocks.googlenet()

# %% mirror="utils.models.googlenet:Head"

# %% slide="subslide" check=True
head = Head(512, 128, 1024, 1000, PAPER)
look.shape_table(head, (512, 14, 14))

# %% [markdown]
# Each head has 3.2 million parameters; none remain after training. The folded cell builds
# a *stage* from names such as "3a 3b pool".

# %% mirror="utils.models.googlenet:inception_stage utils.models.googlenet:STAGES" tags=["hide-input"]

# %% [markdown] slide="slide"
# ## Assemble: the whole network
#
# In training the forward pass stores the heads' logits in `aux_logits` for the loss.
# Here we need no heads.

# %% mirror="utils.models.googlenet:GoogLeNet"

# %% check=True
with torch.device("meta"):
    made, channels = [GoogLeNetStem(3, 64, 192, PAPER)], 192
    for names in STAGES:
        made.append(inception_stage(names, channels, PAPER))
        channels = made[-1].out_channels
    net = GoogLeNet(*made, fc=nn.Linear(channels, 1000), dropout=0.4)
parameters = sum(p.numel() for p in net.parameters())
kinds = nn.Conv2d, nn.Linear
layers = [name for name, part in net.named_modules() if isinstance(part, kinds)]
print(f"{parameters:,} parameters in {len(layers)} layers with weights")

# %% [markdown] slide="-"
# Most of the 58 stand side by side. Along the longest path are 22: three in the stem, two
# in each of nine modules, one linear.

# %% [markdown] slide="slide"
# ## Where are the parameters saved?
#
# AlexNet or GoogLeNet: which has more parameters in its convolutions, and which in its
# linear layers?

# %% check=True
def split(model):
    """Parameters of the convolutions, and of the linear layers."""
    parts = list(model.modules())
    kinds = [[m for m in parts if isinstance(m, k)] for k in (nn.Conv2d, nn.Linear)]
    return [sum(p.numel() for m in kind for p in m.parameters()) for kind in kinds]


with torch.device("meta"):
    alex = alexnet_2012()
theirs = sum(p.numel() for p in alex.parameters())
in_alex, in_google = split(alex), split(net)
print(f"all: {theirs:,} against {parameters:,}, {theirs / parameters:.1f} times fewer")
for name, a, b in zip(("convolutions", "linear"), in_alex, in_google, strict=True):
    print(f"{name}: {a:,} against {b:,}")

# %% [markdown]
# The factor is **8.7**. (The paper says 12: exercise 05.6.) GoogLeNet's
# convolutions have **2.6 times as many** parameters. The saving is at the end: one linear
# layer, not three.

# %% [markdown] slide="slide"
# ## Average the maps, then one linear layer
#
# *Global average pooling* turns 1,024 maps of 7 × 7 into 1,024 means. We could also
# flatten the maps, before one linear layer or before three as in AlexNet (4,096, 4,096,
# 1,000). **Predict** the parameters of the three ends.

# %% check=True
ends = {
    "average, linear": [(1024, 1000)],
    "flatten, linear": [(1024 * 49, 1000)],
    "flatten, AlexNet's three": [(1024 * 49, 4096), (4096, 4096), (4096, 1000)],
}
for name, sizes in ends.items():
    print(f"{name}: {sum(a * b + b for a, b in sizes):,}")

# %% [markdown] slide="subslide"
# Is the average only cheaper, or also worse? We train the first two ends on the same
# small photos, with BatchNorm and an eighth of the width. **Which network is better on
# its training photos, and which on validation photos?**

# %%
def halved(images):
    """The same photos with half the side, 16 x 16: a quarter of the work."""
    pixels = F.avg_pool2d(images.images.float(), 2).round().byte()
    return replace(images, images=pixels)


few = halved(photos.train.subset(course.pick(tiny=256, small=1000, full=20_000)))
few_val = halved(photos.val.subset(course.pick(tiny=200, small=2000, full=5000)))
width = course.pick(tiny=1 / 16, small=1 / 8, full=1 / 4)


def trained(flatten, seed):
    """Train a small GoogLeNet that averages its last maps, or flattens them."""
    torch.manual_seed(seed)
    net = googlenet_bn(10, width=width, stem="cifar")
    if flatten:
        net.pool, net.fc = nn.Identity(), nn.Linear(16 * net.fc.in_features, 10)
    loaders = few.loader(50, shuffle=True, seed=seed), few_val.loader(500)
    epochs = course.pick(tiny=2, small=5, full=20)
    adam = {"optimizer": "adam", "lr": 0.002, "schedule": "cosine"}
    return fit(net, *loaders, epochs=epochs, progress=False, keep_best=False, **adam)

# %% slide="subslide"
# alt: Four bars with whiskers over seeds: accuracy on training and on validation photos,
# alt: of a network that averages its last maps and of one that flattens them.
SPLITS = {"train": "training photos", "val": "validation photos"}
ways, reached = {"average": False, "flatten": True}, {}
runs = {name: [trained(flat, seed) for seed in seeds] for name, flat in ways.items()}
for split in SPLITS:
    for name, histories in runs.items():
        shares = [history[f"{split}_accuracy"][-1] for history in histories]
        reached[f"{name}, {SPLITS[split]}"] = shares
mean = {name: 100 * sum(shares) / len(shares) for name, shares in reached.items()}
more = [mean[f"flatten, {s}"] - mean[f"average, {s}"] for s in SPLITS.values()]
title = f"Flattened maps: {more[0]:+.1f} points on training photos,"
title += f" {more[1]:+.1f} on validation photos"
plot.bars(reached, title=title);

# %%
for split in SPLITS.values():
    pairs = zip(reached[f"flatten, {split}"], reached[f"average, {split}"], strict=True)
    points = [f"{100 * (a - b):+.1f}" for a, b in pairs]
    print(f"flatten minus average, {split}, points for each seed:", *points)

# %% [markdown] slide="subslide"
# The flattened end fits its 1,000 training photos better by about 11 points. On
# validation photos the sign changes from seed to seed: in these short trainings we see no
# gain. The paper reports 0.6 points more top-1 accuracy with the average.

# %% [markdown] slide="subslide"
# **The average has two more advantages.** The network accepts images of other sizes. And
# we can see which positions gave the score: we classify every position with a 1 × 1
# convolution first, and average afterwards. **Do the logits change?**

# %% check=True
maps, fc = torch.randn(2, 1024, 7, 7), nn.Linear(1024, 1000)
logits = fc(maps.mean(dim=(2, 3)))  # average first, then classify
scores = F.conv2d(maps, fc.weight[:, :, None, None], fc.bias)  # classify each place
assert torch.allclose(scores.mean(dim=(2, 3)), logits, atol=1e-5)
print(tuple(scores.shape), "one map for each class; its mean is the logit")

# %% [markdown]
# They do not. So each logit is the mean of a **class activation map**, the score of the
# class at each position, bias included. A position sees a large part of the photo.

# %% [markdown] slide="slide"
# ## Do the heads help the gradient?
#
# The paper's loss, here `googlenet_loss`, is L = L_end + 0.3 (L_4a + L_4d). The heads
# are to "increase the gradient signal that gets propagated back". We try He's first
# weights, and torch's default, with a sixth of their variance, without BatchNorm. **How
# many times larger do the heads make the gradient in the stem?**

# %%
stages = ("stem", "stage3", "stage4a", "stage4d", "stage5")


def gradients(net, weight):
    """Length of each stage's gradient, in proportion to its weights."""
    images, labels = next(iter(few.loader(100)))
    net.zero_grad()
    torch.manual_seed(0)  # the same dropout each time
    googlenet_loss(net, weight=weight)(net(images), labels).backward()
    sizes = []
    for name in stages:
        weights = [p for p in net.get_submodule(name).parameters() if p.dim() > 1]
        slope = sum(p.grad.pow(2).sum() for p in weights)
        sizes.append((slope / sum(p.pow(2).sum() for p in weights)).sqrt().item())
    return torch.tensor(sizes)


def by_torch(net):
    """Draw the convolutions' weights as torch does by default."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            part.reset_parameters()
    return net

# %% slide="subslide"
begin = {"He's weights": lambda net: net, "torch's default weights": by_torch}
gains = {}
for name, start in begin.items():
    gains[name] = torch.empty(len(seeds), len(stages))
    for seed in seeds:
        torch.manual_seed(seed)
        net = start(googlenet(10, aux=True, width=width, stem="cifar"))
        net = net.to(run.device).train()
        without, with_heads = gradients(net, weight=0.0), gradients(net, weight=0.3)
        gains[name][seed] = with_heads / without
        faded = without[0] / without[-1]
        print(f"{name}, seed {seed}: stem / stage 5 without heads {faded:.1g}")

# %% tags=["hide-input"] slide="subslide"
# alt: How many times larger the gradient is with heads, for five stages on a
# alt: logarithmic axis. With He's weights the line stays near 1; with torch's default
# alt: weights it rises towards the stem.
about = {"xlabel": "stage", "ylabel": "gradient with heads / without", "log": True}
stem_gains = [gain[:, 0].median().item() for gain in gains.values()]
title = "With heads the first gradient in the stem: × {:.1f} (He's weights), × {:.1f}"
title = (title + " (torch's)").format(*stem_gains)
ax = plot.band(range(5), gains, title=title, **about)
ax.set_xticks(range(5), ["stem", "3", "4a", "4b–4d", "5"]);

# %%
for name, gain in gains.items():
    words = zip(stages, gain.median(dim=0).values.tolist(), strict=True)
    print(f"{name}:", *(f"{stage} × {value:.1f}  " for stage, value in words))

# %% [markdown] slide="subslide"
# With He's weights the gradient keeps its size; the heads change it by factors of 1.0 to
# 1.1 (medians of three seeds). With torch's smaller weights it fades: in the stem it is
# about a ten-thousandth of that in stage 5. With heads it is more than 100 times larger
# before the first head, and 5 times between the two.
#
# This is the *first* gradient, not accuracy. Two of the authors later saw a regulariser
# in the heads: something against overfitting.

# %% [markdown] slide="slide"
# ## A trained network
#
# Kept runs: 45,000 photos of 32 × 32, four epochs, three seeds, an eighth of the width,
# BatchNorm. **Would more epochs help? Why can validation be ahead?**

# %%
# alt: Loss and accuracy over four epochs, of training and validation, with bands over
# alt: three seeds.
history = kept.runs("googlenet_bn-cifar10")
plot.curves(history, title="After four epochs the network is still getting better");

# %% [markdown]
# Probably: all curves still improve. Training photos are cropped and mirrored, and judged
# during the epoch. Bands go from the worst to the best seed.

# %% slide="subslide"
model, weights = pretrained("googlenet_bn", "cifar10")
model, splits = model.to(run.device), weights.prepare(photos)
val_set = splits.val.subset(course.pick(tiny=200, small=1000, full=None))
print(kept.caption("googlenet_bn-cifar10"))
accuracy = evaluate(model, val_set.loader(250)).accuracy
print(f"first seed, {len(val_set)} validation photos: {accuracy:.1%}")

# %% [markdown] slide="slide"
# ## Look inside: which branch carries what?
#
# A photo, and the first eight maps of each branch of module 3b. **Which branch has the
# coarsest maps, and why?**

# %% slide="subslide"
# alt: The photo, in colour, whose feature maps follow.
images, labels = next(iter(val_set.loader(500)))
pictures.image_grid(val_set.images[3:4].float() / 255, [photos.classes[labels[3]]]);

# %% slide="subslide"
# alt: Four rows of feature maps, one for each branch of module 3b: 1x1, 3x3, 5x5 and
# alt: pooling; the pooling branch is coarser.
where = {name: f"stage3.inception3b.branch_{name}" for name in ("1x1", "3x3", "5x5")}
where["pool"] = "stage3.inception3b.branch_pool"
maps = look.feature_maps(model, images[3], list(where.values()))
named = {name: maps[layer] for name, layer in where.items()}
title = f"Module 3b looks at a {photos.classes[labels[3]]} through four branches"
pictures.feature_maps(named, title=title);

# %% [markdown]
# The pooling: it takes the maximum of nine neighbours first.
#
# What do the answers need? We set one branch at a time to 0. **Which one is missed most?**

# %%
def right_answers(batches):
    """Which photos the network reads right, (N,)."""
    logits, labels = predict(model, batches)
    return logits.argmax(dim=1) == labels


whole = right_answers(val_set.loader(500))
for name, layer in where.items():
    branch = model.get_submodule(layer)
    hook = branch.register_forward_hook(lambda _, inputs, maps: 0 * maps)
    change = kept.paired([whole], [right_answers(val_set.loader(500))])
    hook.remove()
    print(f"without {name} ({len(named[name])} maps): {change}")

# %% [markdown]
# The 3 × 3 branch: 56.7 ± 1.8 points (± is the standard error over photos). The others
# follow in the order of their numbers of maps. But this network was trained with all
# four; one trained without a branch might make up for it.

# %% [markdown] slide="slide"
# ## Look inside: which positions count?
#
# Below, each class activation map is scaled to its own maximum; negative scores are not
# shown.

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
# alt: Eight validation photos, and each again with its class activation map laid over
# alt: it as colour; high values lie mostly near the middle, where the object stands.
right = (guesses == labels).nonzero().flatten()
order = right[sure[right].argsort(descending=True)].tolist()
chosen = [next((i for i in order if labels[i] == k), order[0]) for k in range(8)]
big = F.interpolate(heat[chosen][:, None], size=32, mode="bilinear").relu()[:, 0]
big = big / big.amax((1, 2), keepdim=True).clamp(min=1e-12)
plain = val_set.images[chosen].float() / 255
names = [photos.classes[labels[i]] for i in chosen]
title = "Where the maps of eight right, confident answers are highest"
layer = torch.cat([torch.zeros_like(big), big])
pictures.image_grid([*plain, *plain], [*names, *8 * [""]], heat=layer, title=title);

# %% [markdown] slide="subslide"
# Most objects stand in the middle. **Does the map tell more than "look at the middle"?**
# We hide a quarter of each photo: the cells with the highest scores, those with the
# lowest, the middle, or random cells.

# %%
def hidden(scores):
    """Which are right when the quarter with the highest scores (N, 8, 8) is grey."""
    cells = scores.flatten(1)
    rank = cells.argsort(dim=1, descending=True).argsort(dim=1)
    keep = (rank >= cells.shape[1] // 4).view_as(scores).float()
    mask = F.interpolate(keep[:, None], size=32)  # 0 is the mean colour
    batches = zip((images * mask).split(500), labels.split(500), strict=True)
    return right_answers(list(batches))


draw = torch.Generator().manual_seed(0)
random = torch.rand(heat.shape, generator=draw)
middle = torch.zeros_like(heat)
middle[:, 2:6, 2:6] = 1
quarters = {"least important": -heat, "random": random}
quarters |= {"middle": middle, "most important": heat}
grey = {name: hidden(scores) for name, scores in quarters.items()}
print(f"whole photos: {whole.double().mean():.1%}")
for name, right in grey.items():
    print(f"{name} quarter grey: {right.double().mean():.1%}")
gap = kept.paired([grey["middle"]], [grey["most important"]])
print(f"most important minus middle: {gap}")

# %% [markdown]
# Hiding the most important quarter costs 35.2 points, the least important one 6.4, random
# cells 27.0, the middle 32.4. So most of the 35.2 needs no map. 35.2 and 32.4 differ
# by less than twice their error, 2.8 ± 1.6 points: the test does not settle the question.

# %% [markdown] slide="slide"
# ## Against the paper
#
# The winning top-5 error of 2014, 6.67 %, needed **7 networks and 144 crops** (parts of
# the image; their answers are averaged): 1,008 passes an image. Top-5 error in percent
# (Table 3):
#
# | crops | 1 network | 7 networks |
# |---|---|---|
# | 1 | 10.07 | 8.09 |
# | 10 | 9.15 | 7.62 |
# | 144 | 7.89 | 6.67 |
#
# Ask how many passes each network had.

# %% [markdown] slide="subslide"
# All networks below had four epochs, not 20 as in lectures 03 and 04. Accuracy: mean ±
# standard deviation of three seeds. **Does GoogLeNet make more errors than the others?**

# %%
kept.scoreboard(
    {
        "AlexNet": "alexnet-cifar10",
        "VGG-11 with BatchNorm": "vgg11_bn-cifar10",
        "GoogLeNet with BatchNorm": "googlenet_bn-cifar10",
    }
)

# %%
for name, other in {"AlexNet": "alexnet", "VGG-11": "vgg11_bn"}.items():
    difference = kept.difference(f"{other}-cifar10", "googlenet_bn-cifar10")
    print(f"GoogLeNet minus {name}: {difference}")

# %% [markdown] slide="subslide"
# Fewer than AlexNet: with nine times fewer parameters it is 11.3 ± 0.9 points better (± is
# now the standard error). More than VGG-11: with six times fewer it is 3.3 ± 0.8 points
# worse. They differ in more than parameters, so the cause is open: AlexNet has dropout
# and no BatchNorm; GoogLeNet has the most multiply-adds. (Do not compare minutes: other
# programs ran.)

# %% [markdown] slide="slide"
# ## Answer
#
# How many times fewer parameters than AlexNet, and where are they saved?

# %% slide="fragment" check=True
saved, spent = in_alex[1] - in_google[1], in_google[0] - in_alex[0]
run.headline(
    f"{parameters:,} parameters, {theirs / parameters:.1f} times fewer than AlexNet:"
    f" linear layers save {saved / 1e6:.1f} million, convolutions take"
    f" {spent / 1e6:.1f} million more"
)

# %% [markdown]
# Against AlexNet, the end saves the parameters. Against naive modules, reductions and
# projections save operations *and* parameters: 5.8 million instead of 92.5.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# then a stronger one. *Predict*: before any cell runs it.

# %% [markdown] slide="subslide"
# ### 05.1 Predict: module 4b
#
# 512 channels of 14 × 14 enter `Widths(160, 112, 224, 24, 64, 64)`:
#
# - (a) how many channels come out,
# - (b) how many would come out of a naive module with 512 channels in,
# - (c) how many multiply-adds does the 5 × 5 branch take, its reduction included, at all
#   positions?

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
# From `conv_relu` and `nn.MaxPool2d` alone: four branches in the paper's order. `w` is a
# `Widths`. In the stub `a` and `b` are the widths of the two reductions, `c` the channels
# that come in.

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
# Module 4e reads 528 channels of 14 × 14 and takes 170 million multiply-adds. Keep its
# four outputs, 256, 320, 128, 128. Choose the two reductions of a `Widths`, each at least
# 16, so that it takes **110 to 120 million**. `cost(Inception(528, cheaper), 528, 14)`
# tests it.

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
# Two 1 × 1 convolutions without a ReLU between them are one: find it. "What does a 1×1
# convolution do?" shows how to copy weights into a layer.

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
# **Explain:** what would we lose if we merged a reduction of an Inception module with
# its large kernel?

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
# ### 05.6 Investigate: the numbers of Table 1
#
# Table 1 also prints parameters (in K) and operations (in M). Are they right?
# `counted` returns a pair: the weights of a row **without biases**, in units of 1,024,
# then its multiply-adds in millions. A row is a list of modules, with maps of `side` ×
# `side`.
#
# `wrong` is the set of all rows whose printed *operations* are off by more than 1
# million, such as `{"3a", "linear"}`.

# %% slide="subslide"
printed = {  # Table 1: parameters in K, operations in M
    "conv 7×7": (2.7, 34), "conv 3×3": (112, 360), "3a": (159, 128), "3b": (380, 304),
    "4a": (364, 73), "4b": (437, 88), "4c": (463, 100), "4d": (580, 119),
    "4e": (840, 170), "5a": (1072, 54), "5b": (1388, 71), "linear": (1000, 1),
}  # fmt: skip
with torch.device("meta"):
    parts = dict(googlenet().named_modules())
rows = {"conv 7×7": [parts["stem.conv1"]], "linear": [parts["fc"]]}
rows["conv 3×3"] = [parts["stem.conv2"], parts["stem.conv3"]]
rows |= {n[-2:]: [p] for n, p in parts.items() if n[:-2].endswith("inception")}
sides = {"conv 7×7": 112, "conv 3×3": 56, "linear": 1}
sides |= {name: {"3": 28, "4": 14, "5": 7}[name[0]] for name in TABLE_1}

# %%
def counted(modules, side):
    """Weights in units of 1,024, and multiply-adds in millions, of a row."""
    # solution
    weights = [p for m in modules for p in m.parameters() if p.dim() > 1]
    count = sum(w.numel() for w in weights)
    return count / 1024, count * side**2 / 1e6

# %%
# solution
wrong = {
    name
    for name, (_, millions) in printed.items()
    if abs(counted(rows[name], sides[name])[1] - millions) > 1
}
print(f"{theirs / 1000 / sum(k for k, _ in printed.values()):.1f} times fewer")

# %%
check("05.6", (counted, wrong))

# %% [markdown]
# **Explain:** do the printed parameters give "12 times fewer" than AlexNet? Which layer
# could have the 2.7K of the first row?

# %% [markdown] solution=True
# The printed parameters add up to about 6.8 million, 9 times fewer than AlexNet's. 12
# would need 5 million, which a later paper of the same authors names.
#
# The 2.7K and 34 million of the first row fit another layer: 8 kernels of 7 × 7 for
# each colour alone, then a 1 × 1 convolution to 64 channels. That has 3 × 8 × 49 + 24 ×
# 64 = 2,712 weights, times 112². That the authors used it is our guess.

# %% slide="skip"
check.progress("05")

# %% [markdown] slide="slide"
# ## Recap
#
# - A module's channels and costs are sums over its branches.
# - A 1 × 1 convolution is a linear layer at each position. It decides what the next
#   kernel costs: k × k × C_in × C_out.
# - GoogLeNet has 8.7 times fewer parameters than AlexNet. An average before the linear
#   layer saves most: C × K weights for K classes instead of C × H × W × K.
# - Heads enlarge the first gradient where it fades. With He's weights it does not fade.
# - Each logit is the mean of a class activation map, Σ_c w_c A_c + b. Test such a map
#   against a control.

# %% [markdown] slide="skip"
# ## References
#
# - C. Szegedy et al.: *Going Deeper with Convolutions*, CVPR 2015. Section 1 (12 times
#   fewer), Fig. 2 (modules), Table 1 and Fig. 3 (network, heads), Table 3 (crops).
# - M. Lin, Q. Chen, S. Yan: *Network in Network*, ICLR 2014: 1 × 1 convolutions, global
#   average pooling.
# - C. Szegedy et al.: *Rethinking the Inception Architecture for Computer Vision*, CVPR
#   2016. Sections 1 (5 million) and 4 (heads).
# - B. Zhou et al.: *Learning Deep Features for Discriminative Localization*, CVPR 2016:
#   class activation maps.
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
# convolution does, and read a whole network from one table. Ask why the L is large.
# Expect “a slip”: it honours LeNet.

# %% [markdown] slide="only"
# ## Last time: VGG, in three questions
#
# 1. How many weights has 3 × 3 from 512 to 512 channels?
# 2. Where are most of VGG-16's parameters?
# 3. Which first weights keep the signal's size under ReLU?
#
# . . .
#
# 1: 9 × 512 × 512 = 2.4 million. 2: the first linear layer. 3: He's, variance 2 / n.
#
# Note: 2 min. A different row answers each; n counts the inputs of one output. Keep the
# second answer on the board: today's network has no such layer. Expect 4,608 for the
# first: that is one output channel. Skip the third when late.

# %% [markdown] slide="only"
# ## GoogLeNet has 22 layers, and fewer parameters than AlexNet
#
# ### How many times fewer? And where are they saved?
#
# . . .
#
# Vote: in the first layers, in the middle, at the end.
#
# Note: 1.5 min. AlexNet has 8 layers and 61 million parameters. Write the votes down.
# Expect “in the middle, by small kernels”. The answer comes in half an hour.

# %% [markdown] slide="only" part="The module"
# ## An Inception module takes all kernels side by side
#
# ![](draw:architectures.inception(naive=True))
#
# Note: 2 min. AlexNet chose by hand, VGG always 3 × 3. Here training decides what each
# branch contributes. All keep height and width; ask what padding the 5 × 5 needs: 2.
# Expect “the best kernel is chosen”: no, all four outputs are joined.

# %% [markdown] slide="only"
# ## The naive module passes on all channels of its pooling
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
# Five naive modules with the paper's kernels. Something must reduce the channels.
#
# Note: 1.5 min. The modules are called 3a, 3b, 4a, 4b, 4c. Ask why the number can only
# grow. The cost of a 3 × 3 grows with the channels that come in. Expect “training can
# drop channels”: the pooling branch has no weights to learn.

# %% [markdown] slide="only"
# ## A 1 × 1 convolution is a linear layer at each place
#
# ![](run:one-by-one)
#
# Note: 2 min. Ask what it can see: one place, all channels. It mixes channels and reads
# no neighbours. The notebook copies its weights into a linear layer and gets the same.
# Expect “one pixel, so no use”: it reads all channels of it.

# %% [markdown] slide="only"
# ## Reduce first, then convolve
#
# ![](draw:architectures.inception())
#
# Note: 2 min. Let them find the four 1 × 1: two reduce before a large kernel, one
# projects after the pooling, one is a branch of its own. Expect the 1 × 1 after the
# pooling as a reduction before it: order matters there. Skip when late.

# %% [markdown] slide="only"
# ## A reduction makes the 5 × 5 branch ten times cheaper
#
# ### 192 channels to 16, then 5 × 5 with 32 kernels: how many multiply-adds a place?
#
# . . .
#
# | | naive | reduced |
# |---|---:|---:|
# | 1 × 1 | | 192 × 16 = 3,072 |
# | 5 × 5 | 25 × 192 × 32 = 153,600 | 25 × 16 × 32 = 12,800 |
# | sum | 153,600 | **15,872** |
#
# Note: 3 min. Two minutes on paper. A tenth. Then the 3 × 3 branch, reduced to 96:
# 129,024 for 221,184, only 58 percent. Ask why so little: 96 is half of 192. Expect 25
# × 32 × 192 + 16: a reduction is not an extra bias. Skip the 3 × 3 when late.

# %% [markdown] slide="only"
# ## The whole module takes 128 million in place of 303
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
# module gets fewer channels. Ask where the rest of the saving goes: to the next module,
# which reads fewer channels. Expect a tenth, as before: that was one branch.

# %% [markdown] slide="only"
# ## A trained module may do without one of its branches
#
# ### Which branch can go, and the answer stays?
#
# ![](play:inception)
#
# Note: 2 min. It was trained with all four. Let them bet on a branch of module 3a, then
# take it away. Try another photo and a later module before you say a rule. Over 1,000
# photos all four of 3b are missed, by 23 to 57 points (notebook). Late: one module only.
# Expect “1 × 1, it is the smallest”: what training gave a branch counts,
# not its size.

# %% [markdown] slide="only" part="The network"
# ## Nine modules in three stages
#
# ![](draw:blocks.googlenet())
#
# 22 layers on the longest path: 3 in the stem, 2 in each of 9 modules, 1 linear.
#
# Note: 2 min. Let them count before you say it. Ask where the sides halve: in the stem
# and at the two maximum poolings. Below each name stand its channels. Expect 11 or 58
# layers: modules counted as one layer, or side by side as one after the other.

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
# ## The four branches are joined along the channels
#
# ```python
# def forward(self, x):
#     branches = [
#         self.branch_1x1(x),
#         self.branch_3x3(x),   # reduction, then 3 x 3
#         self.branch_5x5(x),   # reduction, then 5 x 5
#         self.branch_pool(x),  # pooling, then projection
#     ]
#     return torch.cat(branches, dim=1)  # along the channels
# ```
#
# Note: 1.5 min. Ask what dim=1 is: channels. What must agree between the branches:
# height and width. What happens with dim=0: the photos multiply. Expect dim=3: that
# would put the maps side by side. Skip when late.

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
# A ReLU follows each convolution. Without it, 1 × 1 and 3 × 3 would be one linear map.
#
# Note: 2 min. Let them use the formula for the first. A published version forgot the
# ReLUs: exercise 05.4 merges its two convolutions into one. Expect 111 for the first:
# padding 3 was forgotten. Skip when late.

# %% [markdown] slide="only"
# ## Two auxiliary heads add their loss, in training only
#
# $$\text{loss} = L_{end} + 0.3\, L_{4a} + 0.3\, L_{4d}$$
#
# ### How many times larger do the two heads make the stem's gradient?
#
# . . .
#
# > **× {{ said(r"He's weights: stem × ([\d.]+)") }}** with He's first weights
#
# > **× {{ said(r"torch's default weights: stem × ([\d.]+)") }}** with torch's smaller ones
#
# Note: 2.5 min. Each head is a small classifier, in training only. Ask why it could help: a
# shorter way for the gradient. First gradients of an untrained network, medians of three
# seeds: no accuracy. Expect “always helps”, as the paper says.

# %% [markdown] slide="only" part="What it saves"
# ## Against AlexNet, parameters are saved at the end
#
# ![](run:where)
#
# Note: 2 min. Compare with the vote. GoogLeNet's convolutions have 2.6 times as many
# parameters as AlexNet's. 58.6 million of linear layers became 1.0. Expect surprise:
# most votes were for the modules, which have more parameters than AlexNet's
# convolutions. Nine naive modules would have 92 million.

# %% [markdown] slide="only"
# ## GoogLeNet has 8.7 times fewer parameters than AlexNet
#
# > **6,998,552** GoogLeNet
#
# > **60,965,224** AlexNet of 2012
#
# . . .
#
# The paper says 12 times. Its own table gives 9.
#
# Note: 1.5 min. Exercise 05.6 looks at the paper's own numbers in Table 1. Against AlexNet
# the end saves; against naive modules, the reductions. Expect “12, it is
# printed”: a printed number can be counted again. Skip when late.

# %% [markdown] slide="only"
# ## A mean over each map leaves one small linear layer
#
# ### 1,024 maps of 7 × 7, 1,000 classes: how many parameters with a mean first, and without?
#
# . . .
#
# ![](run:ends)
#
# Note: 2 min. Global average pooling. Ask what is lost: the place. And what is gained:
# any image size fits. Expect “the mean is worse”: the notebook trains both ends, and
# sees no gain by flattening.

# %% [markdown] slide="only"
# ## Each logit is the mean of a class activation map
#
# ![](run:big.amax)
#
# Classify each place, then average: the logits stay the same.
#
# Note: 2.5 min. w · mean(x) = mean(w · x): a linear layer and a mean may be swapped.
# Hiding the most important quarter costs 35 points, random cells 27, the middle 32. 35
# and 32 differ by less than twice their error. Ask what that shows: not that the map
# knows more than “look at the middle”. Expect “it proves that the network looks at the
# object”.

# %% [markdown] slide="only" part="Results"
# ## The winning 6.7 % needed 7 × 144 = 1,008 passes a photo
#
# ![](run:crops)
#
# A *crop* is a part of the photo; all answers are averaged.
#
# Note: 2 min. A third of the error goes away without a better network. Ask how many
# passes each network had whenever you compare two. Expect “seven times better”: seven
# networks bring less than two points.

# %% [markdown] slide="only"
# ## After four epochs it lies between AlexNet and VGG-11
#
# ![](run:board)
#
# Small copies for CIFAR-10: GoogLeNet {{ f"{kept.records(names['GoogLeNet'])[0]['model']['parameters']:,}" }}
# parameters, VGG-11 {{ f"{kept.records(names['VGG-11'])[0]['model']['parameters']:,}" }}. A circle is a seed, the diamond the mean.
#
# Note: 2 min. Four epochs for all three, so not the 20 of the last two lectures. Ask
# what would be fair: equal parameters, or equal multiply-adds? AlexNet has dropout and
# no BatchNorm. Expect “GoogLeNet is worse than VGG”: with a sixth of the parameters,
# after four epochs.

# %% [markdown] slide="only"
# ## Few parameters do not mean little work
#
# > **{{ f"{kept.difference(names['VGG-11'], names['GoogLeNet']).points:+.1f}" }}** points against VGG-11, standard error {{ f"{kept.difference(names['VGG-11'], names['GoogLeNet']).error:.1f}" }}
#
# . . .
#
# > **1/{{ f"{kept.records(names['VGG-11'])[0]['model']['parameters'] / kept.records(names['GoogLeNet'])[0]['model']['parameters']:.0f}" }}** of VGG-11's parameters
#
# > **{{ f"{kept.records(names['GoogLeNet'])[0]['model']['multiply_adds'] / kept.records(names['VGG-11'])[0]['model']['multiply_adds']:.1f} ×" }}** its multiply-adds
#
# Note: 1.5 min. Small GoogLeNet. More than twice its error: a difference. On small
# photos its stem keeps large maps, 8 × 8 at the end, so it works more. A reduction
# saves work against the naive module, not against every network. Expect “fewer
# parameters, so faster”. Skip the multiply-adds when late.

# %% [markdown] slide="only"
# ## The reductions and the mean remained, the heads did not
#
# - ResNet (lecture 07) reduces with 1 × 1 convolutions, too.
# - ResNet also ends with a mean and one linear layer.
# - The authors' next networks have BatchNorm, and later call the heads a regulariser.
# - Today nobody chooses six numbers a module by hand.
#
# Note: 1.5 min. Ask why the heads went: BatchNorm and shortcuts keep the gradient
# alive. Next lecture. Skip when late. Expect “because they did not work”: nobody needed
# them any more.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - An Inception module joins several kernels along the channels.
# - A 1 × 1 convolution before a large kernel saves work.
# - The end saves parameters; reductions save operations, and parameters, too.
# - Each logit is the mean of a class activation map.
# - Ask for the passes a photo before you compare errors.
#
# Note: 1.5 min. Cover it, and let five students say one each. Ask for the
# third: saved against which network? AlexNet, and naive modules.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **05.1** Module 4b on paper: channels and multiply-adds.
# - **05.2** Write an Inception module; the check compares it with the course's.
#
# Note: 1 min. The first takes ten minutes, the second twenty. 05.5 draws class
# activation maps, for those who want pictures. Ask for the channels of 4b now. Expect
# 160 + 112 + 224 + 24 + 64 + 64: the reductions do not come out.

# %% [markdown] slide="sheet"
# ![](draw:architectures.inception())
#
# ## Shapes of the first module
#
# ![](run:look.shape_table(real, (192, 28, 28), depth=2))
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard)
