# %% [markdown] slide="slide"
# # Transfer learning: begin where others ended
#
# A network that has seen a million photos has features for edges, fur and eyes. We keep
# these features, replace its last layer, and train our own classes with a few hundred
# photos.
#
# *Yosinski, Clune, Bengio, Lipson: How Transferable Are Features in Deep Neural
# Networks? Advances in Neural Information Processing Systems, 2014.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. choose a trained network by parameters, multiply-adds, accuracy and time;
# 2. swap its head, freeze its body, and prove what still changes;
# 3. train a head on frozen features, and then fine-tune all of it;
# 4. save and load weights without three common accidents;
# 5. do all that with a folder of our own photos.
#
# A run takes less than a minute at scale `tiny`, and about ten minutes at `small` on
# one core. All numbers in the text are from `small`.

# %% [markdown] slide="slide"
# ## Question
#
# We have **100 photos** of cats and dogs, and three ways to train one architecture:
#
# - **from scratch**: random weights, everything trains;
# - **frozen**: weights from ImageNet; only a new last layer trains;
# - **fine-tuned**: the same, and then everything trains, at a low rate.
#
# **What share of unseen photos does each get right? And with 1,000 photos?**
#
# *A guess, before anything is computed: three percentages. Chance is 50 %.*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import copy
import os
import pickle
import tempfile
import textwrap
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

from teaching import check, diagrams
from utils import augment, course, data, look, pictures, plot
from utils.models import build
from utils.models.pretrained import Transfer, pretrained
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
seeds = range(course.pick(tiny=1, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: two steps
#
# 1. Train on a large set. Others have done it: ImageNet, 1.2 million photos.
# 2. Take the last layer off, put a new one there for our own classes, and train on with
#    the small set.

# %% tags=["hide-input"]
Stage = diagrams.Stage
diagrams.network(
    [
        Stage("input", "photo", 3, 224),
        Stage("block", "body: features", 64, 55),
        Stage("block", "body: features", 256, 27),
        Stage("block", "body: features", 512, 13),
        Stage("pool", "mean over each map", 512),
        Stage("linear", "new head", 2),
    ],
    alt="A network: the body, trained by others, turns a photo into 512 features; a new"
    " linear layer with two outputs, the head, stands behind it.",
)

# %% [markdown]
# The **body** turns a photo into features. The **head** is one linear layer that reads
# them. Which of the two knows what a *tabby* is, and which has features for fur?

# %% [markdown] slide="fragment"
# The old head knows the tabby, and we throw it away. The body has the features: edges
# and colours first, more special ones later.

# %% [markdown] slide="slide"
# ## Step 1 is done: the model zoo
#
# A *model zoo* is a collection of trained networks. We take one of each of twelve
# families and compare our counts with torchvision's. On the `meta` device nothing is
# downloaded.

# %% check=True
zoo = "alexnet vgg16 resnet18 squeezenet1_0 densenet161 inception_v3 googlenet"
zoo += " shufflenet_v2_x1_0 mobilenet_v2 resnext50_32x4d wide_resnet50_2 mnasnet1_0"
zoo, slow = zoo.split(), {"init_weights": False}  # random numbers that nobody needs
settings = {"inception_v3": slow, "googlenet": {**slow, "aux_logits": False}}
entries = {name: models.get_model_weights(name).IMAGENET1K_V1 for name in zoo}
nets, sizes, agree = {}, {}, []
for name, entry in entries.items():
    with torch.device("meta"):
        nets[name] = models.get_model(name, weights=None, **settings.get(name, {}))
    side = entry.transforms().crop_size[0]
    sizes[name] = look.totals(nets[name], (3, side, side))
    published = entry.meta["num_params"], round(entry.meta["_ops"], 2)
    agree.append((sizes[name][0], round(sizes[name][1] / 1e9, 2)) == published)
print(f"{sum(agree)} of {len(zoo)} families agree with torchvision in both numbers")

# %% [markdown] slide="notes"
# An entry knows its file, classes and accuracy, and by `transforms()` how to prepare
# the photos.

# %% [markdown] slide="subslide"
# Multiply-adds are not seconds. So we also time one photo on the CPU. The values of the
# weights do not matter.

# %%
def milliseconds(network, side):
    """Time for one photo on the CPU, in evaluation mode: the best of some tries."""
    network = network.to_empty(device="cpu").eval()
    for tensor in network.state_dict().values():
        tensor.fill_(0.001)
    photo, times = torch.rand(1, 3, side, side), []
    with torch.inference_mode():
        for _ in range(course.pick(tiny=1, small=4, full=6)):
            begin = perf_counter()
            network(photo)
            times.append(perf_counter() - begin)
    return 1000 * min(times)


shrink = course.pick(tiny=0.3, small=1, full=1)  # of the photo's side
for name in zoo:
    side = int(entries[name].transforms().crop_size[0] * shrink)
    time = milliseconds(copy.deepcopy(nets[name]), side)
    sizes[name] = (*sizes[name][:2], time)

# %% slide="subslide" tags=["timed"]
top1 = {n: e.meta["_metrics"]["ImageNet-1K"]["acc@1"] for n, e in entries.items()}
print(f"{'':19}{'parameters':>12}{'G mult-adds':>13}{'top-1 (%)':>11}{'ms, here':>10}")
for name in sorted(zoo, key=top1.get):
    parameters, multiply_adds, time = sizes[name]
    row = f"{parameters:12,}{multiply_adds / 1e9:13.3f}{top1[name]:11.2f}{time:10.1f}"
    print(f"{name:19}{row}")

# %% tags=["hide-input"] slide="subslide"
# alt: Top-1 accuracy on ImageNet against multiply-adds for twelve networks, logarithmic;
# alt: the disc's area stands for the parameters. MobileNet and MNASNet reach VGG-16's
# alt: accuracy with a fiftieth of its work; AlexNet and SqueezeNet lie lowest.
fig, ax = plt.subplots(figsize=(7, 3.7))
near = dict.fromkeys(zoo, (7, -4, "left"))  # where its name stands, in points
near |= {"vgg16": (-14, -4, "right"), "resnext50_32x4d": (-10, -2, "right")}
near |= {"inception_v3": (-2, -18, "right"), "densenet161": (-2, -18, "left")}
near |= {"wide_resnet50_2": (0, 11, "center"), "alexnet": (11, -5, "left")}
near |= {"shufflenet_v2_x1_0": (0, -15, "center"), "googlenet": (-6, -16, "center")}
for name in zoo:
    parameters, multiply_adds, _ = sizes[name]
    place, (x, y, ha) = (multiply_adds / 1e9, top1[name]), near[name]
    ax.scatter(*place, s=parameters / 3e5, color=plot.PALETTE["sky blue"], alpha=0.6)
    ax.scatter(*place, s=6, color="black")
    ax.annotate(name, place, (x, y), textcoords="offset points", ha=ha, fontsize=9)
ax.set_xscale("log")
ax.set_xticks([0.1, 0.3, 1, 3, 10], [0.1, 0.3, 1, 3, 10])
ax.minorticks_off()
ax.set(xlabel="multiply-adds for one photo (billions)", ylabel="top-1 accuracy (%)")
ax.set(ylim=(53, 82), xlim=(0.06, 30))
fig.suptitle("What does a point of accuracy cost? Area: parameters", x=0.01, ha="left");

# %% [markdown] slide="subslide"
# At 69 to 72 % accuracy are ShuffleNet, ResNet-18, GoogLeNet, VGG-16 and MobileNet.
# Their work differs 107-fold, their time on this CPU 27-fold. AlexNet has 61 million
# parameters but little work. So choose by what *you* are short of: memory, time or
# accuracy.

# %% [markdown] slide="slide"
# ## How to ask for trained weights
#
# Older code says `models.alexnet(pretrained=True)`. What does torchvision say to this
# argument?

# %%
with warnings.catch_warnings(record=True) as caught, torch.device("meta"):
    warnings.simplefilter("always")
    try:
        models.alexnet(pretrained=False)
    except TypeError as error:  # a version that has removed it
        print(error)
for warning in caught:
    print(textwrap.fill(str(warning.message), 88), end="\n\n")

# %% [markdown]
# It is deprecated. And "pretrained" does not say on what, with which recipe.
# `weights="IMAGENET1K_V1"` does, and stays the same when better weights arrive.

# %% [markdown] slide="slide"
# ## Swap the head by hand
#
# We take AlexNet, freeze it, and replace `classifier[6]`. In that order.

# %% check=True
with torch.device("meta"):  # sizes without values: nothing to download
    net = build("alexnet")
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.classifier[6] = nn.Linear(in_features=4096, out_features=10)
print(net.classifier)

# %% [markdown] slide="subslide"
# **Which parameters have gradients now?** Count first: 4,096 inputs, 10 outputs, and a
# bias for each of them.

# %% check=True
def trainable(network):
    """The parameters that have a gradient, and how many numbers they hold."""
    return {n: p.numel() for n, p in network.named_parameters() if p.requires_grad}


print(trainable(net), f"of {sum(p.numel() for p in net.parameters()):,}")

# %% [markdown]
# 4,096 × 10 + 10 = 40,970. A new layer begins with `requires_grad=True`, so it must
# come *after* the loop.

# %% [markdown] slide="subslide"
# `classifier[6]` is AlexNet's name for it; in ResNet it is `fc`, in SqueezeNet a
# convolution. `Transfer(network, classes)` cuts a copy at the right place: `body` gives
# features, `head` is a new linear layer. Two of its methods:

# %% mirror="utils.models.pretrained:Transfer.freeze utils.models.pretrained:Transfer.train" slide="-"
from __future__ import annotations  # noqa: F404

# %% check=True slide="subslide"
resnet, cifar = pretrained("resnet20", "cifar10")
with_transfer = Transfer(resnet, 2)
print(f"{sum(trainable(with_transfer).values()):,} parameters train; frozen:")
print(trainable(with_transfer.freeze()))
print("body:", tuple(with_transfer.body(torch.zeros(1, 3, 32, 32)).shape))

# %% [markdown] slide="slide"
# ## Freeze. Does BatchNorm still move?
#
# We take ResNet-20, trained on CIFAR-10 by this course. A common way to freeze: no
# parameter gets a gradient. We train *nothing*. 200 of our photos only pass through, in
# training mode. **Guess**: which numbers change?

# %%
side = course.pick(tiny=16, small=96, full=160)  # pixels
judges = course.pick(tiny=200, small=1000, full=None)  # photos to validate on
parts = {"val_fraction": course.pick(tiny=0.75, small=0.5, full=0.2)}
our_photos = data.dogs_vs_cats(side, **parts)
cifar_photos = cifar.prepare(data.cifar10()).val.subset(judges).loader(500)
visitors = cifar.prepare(our_photos).train.subset(200).loader(10)

# %% slide="subslide"
def what_moves(network):
    """Show 200 photos in training mode: how many weights, statistics have changed."""
    before = copy.deepcopy(network.state_dict())
    network.train()
    with torch.no_grad():
        for images, _ in visitors:
            network(images)
    after, weights = network.state_dict(), dict(network.named_parameters())
    moved = [name for name in after if not torch.equal(after[name], before[name])]
    frozen = [name for name in moved if name in weights]
    return f"{len(frozen)} weights and {len(moved) - len(frozen)} statistics moved"

# %%
slides_way = copy.deepcopy(resnet).requires_grad_(False).to(run.device)
print(f"CIFAR-10, before: {evaluate(slides_way, cifar_photos).accuracy:.1%} right")
print(f"requires_grad = False: {what_moves(slides_way)}")
print(f"CIFAR-10, after:  {evaluate(slides_way, cifar_photos).accuracy:.1%} right")
print(f"Transfer.freeze():     {what_moves(with_transfer.to(run.device))}")

# %% [markdown]
# No weight, but 57 statistics: mean, variance and a counter in each of 19 BatchNorms.
# They have no gradient; every pass in training mode moves them. The "frozen" network
# falls from 88.5 to 79.0 % on its old task. (Twice the standard error of each is at
# most 2.6 points.) So frozen means **evaluation mode, too**.

# %% [markdown]
# Every training loop calls `model.train()` in each epoch. So one `body.eval()` is not
# enough, and `Transfer` overrides `train`.

# %% [markdown] slide="slide"
# ## The body of our experiment
#
# SqueezeNet 1.1 with weights from ImageNet, 5 MB: no BatchNorm, little work. Before any
# training: what does *its own* head say to our photos?

# %%
model, weights = pretrained("squeezenet1_1", otherwise="resnet20")
photos = weights.prepare(our_photos)
unseen_photos = photos.val.subset(judges)
unseen_loader = unseen_photos.loader(200)
logits, labels = predict(model, unseen_loader)
for i, name in enumerate(photos.classes):
    said = Counter(logits[labels == i].argmax(dim=1).tolist())
    top = [f"{weights.classes[c]} {n}" for c, n in said.most_common(4)]
    print(f"{name}, {sum(labels == i)} photos: {', '.join(top)}, ...")
print(f"{len(photos.train):,} photos train, {len(unseen_photos):,} validate")

# %% [markdown]
# Its classes are not ours. But most of the frequent answers are breeds of cats for the
# cats and of dogs for the dogs. What it needs for that is one layer earlier: the
# features.

# %% [markdown] slide="slide"
# ## Features once, then a head in seconds
#
# Without augmentation, a frozen body gives a photo the same features in every epoch. So
# we compute them **once**. What remains is a linear layer on vectors.

# %% tags=["timed"]
begin = perf_counter()
cut = Transfer(model, len(photos.classes)).freeze()
known = look.features(cut, photos.train.loader(200), "body")
unseen = look.features(cut, unseen_loader, "body")
once = perf_counter() - begin
print(f"features {tuple(known[0].shape)} and {tuple(unseen[0].shape)} in {once:.1f} s")

# %% slide="subslide"
# alt: The features of the validation photos in the plane of their two widest directions.
# alt: Cats and dogs form two clouds that overlap in part.
directions = torch.pca_lowrank(unseen[0], q=2)[2]
points = unseen[0] @ directions
title = "Nobody told this network about our classes. Are they apart?"
pictures.scatter(points, unseen[1], photos.classes, title=title);

# %% [markdown]
# Partly: cats are more often at the top, dogs at the bottom, and in the middle they
# overlap. The picture shows 2 of 512 directions. A linear layer uses all.

# %% slide="subslide" tags=["timed"]
head_steps = course.pick(tiny=60, small=800, full=2000)


def train_head(features, labels, decay, seed=0):
    """A linear layer, trained on features; and its history."""
    torch.manual_seed(seed)
    head = nn.Linear(features.shape[1], int(labels.max()) + 1)
    batches = DataLoader(TensorDataset(features, labels), 50, shuffle=True)
    sgd = partial(torch.optim.SGD, lr=0.001, momentum=0.9, weight_decay=decay)
    recipe = {"optimizer": sgd, "schedule": "onecycle"}
    epochs = max(1, head_steps // len(batches))
    return head, fit(head, batches, epochs=epochs, progress=False, **recipe)


head, history = train_head(*known, decay=0)
seconds = sorted(history["seconds"])[len(history.rows) // 2]
print(f"features {once:.1f} s, and {len(history.rows)} epochs of {seconds:.3f} s each")
for name, vectors in {"known": known, "unseen": unseen}.items():
    print(f"{name} photos: {evaluate(head, [vectors]).accuracy:.1%} right")

# %% [markdown]
# The epochs cost almost nothing. But known photos are 100.0 % right and unseen ones
# 86.7 %: the head **overfits** (lecture 01).

# %% [markdown] slide="slide"
# ## A head overfits, too: weight decay
#
# With 512 features and 100 or 1,000 photos, a linear layer can fit almost any labels.
# Weight decay keeps its weights small. **Predict**: does it help more with 100 photos,
# or with all of them?

# %%
decays = (0.01, 0.1, 1, 10, 30, 100)
decays = course.pick(tiny=decays[::2], small=decays, full=decays)


def some(n, seed):
    """Features and labels of those n training photos that `subset` gives."""
    chosen = data.balanced_order(known[1], seed=seed)[:n]
    return known[0][chosen], known[1][chosen]


by_decay = {}
for n in (100, len(photos.train)):
    by_decay[f"{n:,} photos"] = [
        [
            evaluate(train_head(*some(n, seed), decay, seed)[0], [unseen]).accuracy
            for decay in decays
        ]
        for seed in seeds
    ]

# %% slide="subslide"
# alt: Validation accuracy of the head against weight decay, logarithmic, for 100 and for
# alt: all photos, with bands over seeds. At scale small both rise, 100 photos by more,
# alt: up to a decay of some tens, and fall or level off behind it.
mean = {name: torch.tensor(rows).mean(dim=0) for name, rows in by_decay.items()}
decay = decays[int(sum(mean.values()).argmax())]
title = f"Best for both together: a weight decay of {decay:g}"
plot.band(decays, by_decay, xlabel="weight decay", title=title);

# %%
for name, values in mean.items():
    gain = 100 * (values[decays.index(decay)] - values[0])
    print(f"{name}: {values[0]:.1%} nearly without, {gain:+.1f} points with {decay:g}")
print(f"mean length of a feature vector: {known[0].norm(dim=1).mean():.0f}")

# %% [markdown] slide="subslide"
# With 100 photos: 3.4 points, against 0.8. One accuracy on 1,000 photos has a standard
# error of about 1.1 points, so we do not call 0.8 a gain.
#
# **Do not learn the number 10.** It belongs to the scale of these features, vectors of
# length 214. Divide the features by 214, and the weights must be 214 times as large for
# the same logits. The same penalty then needs a decay of 10 / 214² = 0.0002, as is
# common in papers. So standardise the features, or search on a logarithmic grid, as
# here.

# %% [markdown] slide="slide"
# ## Fine-tune: two learning rates
#
# Now the body may move. The head is trained, so its gradients are useful to the body.
# The body gets a **lower rate**, to keep what it has learned. Since the body moves, the
# photos may be augmented again.

# %%
views = [augment.RandomResizedCrop(scale=(0.5, 1)), augment.HorizontalFlip()]


def fine_tune(network, images, *, body, head, epochs, val_loader=None, seed=0):
    """Train all of a network by AdamW, body and head each at its own rate."""
    rates = [
        {"params": network.body.parameters(), "lr": body},
        {"params": network.head.parameters(), "lr": head},
    ]
    optimizer = torch.optim.AdamW(rates, weight_decay=0.05)
    batch_size = course.pick(tiny=50, small=25, full=32)
    loader = images.loader(batch_size, augment=views, shuffle=True, seed=seed)
    recipe = {"schedule": "onecycle", "keep_best": False, "progress": False}
    recipe |= {"optimizer": optimizer, "epochs": epochs}
    return fit(network, loader, val_loader, **recipe)


def with_head(head):
    """The trained body, and a head that has been trained on its features."""
    network = Transfer(model, head.out_features)
    network.head.load_state_dict(head.state_dict())
    return network

# %% [markdown] slide="subslide"
# **Predict**: a body at 0.0001 and a head at 0.0003, or both at 0.001. Which is better
# after a few epochs, and is either worse than the frozen one?

# %%
head, _ = train_head(*known, decay)
frozen, tuned, hurried = with_head(head), with_head(head), with_head(head)
gentle = {"body": 1e-4, "head": 3e-4}
longer = {"epochs": course.pick(tiny=1, small=3, full=10), "val_loader": unseen_loader}
torch.manual_seed(run.seed)
compared = {
    "body at 0.0001": fine_tune(tuned, photos.train, **gentle, **longer),
    "all at 0.001": fine_tune(hurried, photos.train, body=1e-3, head=1e-3, **longer),
}
start = evaluate(frozen, unseen_loader).accuracy

# %% slide="subslide"
# alt: Validation accuracy over the epochs of fine-tuning with a low rate for the body
# alt: and with one high rate; a dotted line marks the frozen network. At scale small
# alt: the first ends above the line, and the second drops far below it on its way.
last = [history["val_accuracy"][-1] for history in compared.values()]
title = f"From {start:.1%} frozen to {last[0]:.1%} gently, to {last[1]:.1%} in a hurry"
reference = {"metric": "accuracy", "paper": start, "paper_label": "frozen"}
plot.curves(compared, title=title, **reference);

# %% [markdown] slide="subslide"
# At 0.0001 the network ends 3.0 points above frozen. At 0.001 it falls to about 76 %,
# far beyond chance, and ends at 86.2 %. With 1,000 photos and one seed that is too
# close to 87.6 % to call it worse.
#
# In such a dip the steps **overwrite features** before new ones are learned. It is not
# *catastrophic forgetting*: that means losing the *old* task, and we measure only the
# new one.

# %% [markdown]
# A random head would send random gradients into the body, so we train it first (Kumar
# and others, 2022). A third to a tenth of the head's rate is usual for the body.

# %% [markdown] slide="slide"
# ## The experiment: how many photos?
#
# Three ways, the same photos, the same validation set, three seeds. A seed draws the
# photos as well as the weights. For "from scratch" we need random weights:

# %%
def untrained(network):
    """The same architecture with random weights, as He et al. (2015) draw them."""
    fresh = copy.deepcopy(network)
    for layer in fresh.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return fresh


counts, passes = course.pick(  # numbers of photos, and epochs of fine-tuning
    tiny=((20, 100, 200), (2, 1, 1)),
    small=((30, 100, 300, 1000), (10, 6, 5, 3)),
    full=((30, 100, 300, 1000, 3000), (40, 30, 20, 15, 10)),
)

# %% slide="subslide"
scores = {"from scratch": [], "frozen": [], "fine-tuned": []}
for seed in seeds:
    for rows in scores.values():
        rows.append([])
    for n, epochs in zip(counts, passes, strict=True):
        few = photos.train.subset(n, seed=seed)
        head, _ = train_head(*some(n, seed), decay, seed)
        moving = with_head(head)
        fine_tune(moving, few, **gentle, epochs=epochs, seed=seed)
        torch.manual_seed(seed)
        fresh, more = Transfer(untrained(model), 2), -(-3 * epochs // 2)
        fine_tune(fresh, few, body=3e-4, head=3e-4, epochs=more, seed=seed)
        scores["from scratch"][-1].append(evaluate(fresh, unseen_loader).accuracy)
        scores["frozen"][-1].append(evaluate(head, [unseen]).accuracy)
        scores["fine-tuned"][-1].append(evaluate(moving, unseen_loader).accuracy)

# %% [markdown] slide="subslide"
# **Predict** before the curves appear: where do they lie, and do any two cross?

# %%
# alt: Validation accuracy against the number of training photos for the three ways, with
# alt: bands over seeds. At scale small, scratch stays near chance at first and reaches
# alt: less with all photos than the frozen network with the fewest.
mean = {way: torch.tensor(rows).mean(dim=0).tolist() for way, rows in scores.items()}
first, last = counts[0], counts[-1]
title = f"Frozen, {first} photos: {mean['frozen'][0]:.0%}. From scratch, {last:,}:"
plot.band(counts, scores, title=f"{title} {mean['from scratch'][-1]:.0%}");

# %% slide="subslide"
print(f"{'photos':>12}" + "".join(f"{n:18,}" for n in counts))
for way, rows in scores.items():
    cells = [
        f"{100 * sum(v) / len(v):.1f} ({100 * min(v):.1f}-{100 * max(v):.1f})"
        for v in zip(*rows, strict=True)
    ]
    print(f"{way:12}" + "".join(f"{cell:>18}" for cell in cells))
n = len(unseen_photos)
print(f"{n} photos judge: at 90 % one standard error is {100 * (0.09 / n) ** 0.5:.1f}")

# %% [markdown] slide="subslide"
# With transferred weights both ways are far above "from scratch", which stays near
# chance up to 300 photos. Frozen and fine-tuned cross between 100 and 300.
#
# **What this does not show.** "From scratch" was *not* trained until it stops
# improving. It takes 36 steps with 100 photos, and 200 steps with 1,000. So we compare
# small budgets, not what each way can reach. With enough data and time, scratch catches
# up (He, Girshick and Dollár, 2019).

# %% [markdown] slide="subslide"
# **Is fine-tuning better than frozen, or is it luck?** The same seed means the same
# photos, so we compare seed by seed.

# %%
pairs = zip(scores["fine-tuned"], scores["frozen"], strict=True)
gains = [[100 * (a - b) for a, b in zip(*pair, strict=True)] for pair in pairs]
for n, column in zip(counts, zip(*gains, strict=True), strict=True):
    listed = ", ".join(f"{gain:+.1f}" for gain in column)
    same = all(g > 0 for g in column) or all(g < 0 for g in column)
    print(f"{n:5,} photos: {listed} points; {'one sign' if same else 'signs differ'}")

# %% [markdown] slide="subslide"
# **The rule:** a difference counts when its mean exceeds *twice its standard error*, s
# / √3 for three seeds with standard deviation s. One sign in all seeds is no test:
# chance alone gives it one time in four.
#
# | photos | mean gain | twice its error | verdict |
# |---|---|---|---|
# | 30 | −1.6 | 6.6 | cannot tell |
# | 100 | −2.7 | 2.9 | cannot tell |
# | 300 | +2.1 | 1.8 | above the bound, barely |
# | 1,000 | +2.4 | 0.2 | better |
#
# With three seeds, chance exceeds even this bound in 18 % of cases. And the same 1,000
# photos judge all networks. If two of them disagree on one photo in ten, that alone is
# a standard error of 1 point. So the gain at 300 photos is open.

# %% [markdown] slide="subslide"
# **Can fine-tuning hurt?** With 100 photos it is lower than frozen in two of three
# seeds. Were the steps too long? The same 100 photos, the body at a third of its rate:

# %%
slower, few_at = [], counts.index(100)
for seed in seeds:
    cautious = with_head(train_head(*some(100, seed), decay, seed)[0])
    rates = {"body": gentle["body"] / 3, "head": gentle["head"]}
    rates |= {"epochs": passes[few_at], "seed": seed}
    fine_tune(cautious, photos.train.subset(100, seed=seed), **rates)
    slower.append(evaluate(cautious, unseen_loader).accuracy)
for i, seed in enumerate(seeds):
    at_rest, at_rate = (scores[w][i][few_at] for w in ("frozen", "fine-tuned"))
    line = f"frozen {at_rest:.1%}, fine-tuned {at_rate:.1%}"
    print(f"seed {seed}: {line}, at a third of the rate {slower[i]:.1%}")

# %% [markdown]
# Probably: at a third of the rate it gains 2.5 points, and twice the standard error is
# 2.2. Against frozen it is 0.2 lower, with 0.8 as twice the error: no difference. A
# common rule agrees: with few photos try frozen features first, with many fine-tune.

# %% [markdown]
# ImageNet *has* cats and dogs, in more than a hundred of its classes. So our task suits
# transfer. X-ray images would suit it less.

# %% [markdown] slide="slide"
# ## Save the weights, not the network
#
# `torch.save(model.state_dict(), PATH)`, then `load_state_dict`. A `state_dict` is a
# table from names to tensors: parameters *and* running statistics.

# %%
folder = Path(tempfile.mkdtemp())
torch.save(tuned.state_dict(), folder / "tuned.pt")
restored = Transfer(untrained(model), 2)
restored.load_state_dict(torch.load(folder / "tuned.pt", weights_only=True))
for name, network in {"saved": tuned, "restored": restored.eval()}.items():
    print(f"{name}: {evaluate(network, unseen_loader).accuracy:.2%}")
megabytes = (folder / "tuned.pt").stat().st_size / 1e6
print(f"{megabytes:.1f} MB for {len(tuned.state_dict())} tensors")

# %% [markdown]
# Where a GPU saved and there is none now, add `map_location="cpu"`.

# %% [markdown] slide="subslide"
# **Accident 1: the whole object.** `torch.save(model)` pickles it. A pickle may run any
# code when it is opened. What does the safe loader say?

# %%
torch.save(tuned, folder / "whole.pt")
try:
    torch.load(folder / "whole.pt", weights_only=True)
except pickle.UnpicklingError as error:
    reasons = [line for line in str(error).splitlines() if "nsupported" in line]
    print(f"{type(error).__name__}:", *reasons[0].split()[:8], "...")

# %% [markdown]
# It refuses. `weights_only=False` would open it, but a file from a stranger may then
# run a program. **Repair**: save `state_dict()`, and keep the code that builds the
# network.

# %% [markdown] slide="subslide"
# **Accident 2: `strict=False` hides an error.** A network trained on several GPUs is
# wrapped, and each name then begins with `module.`. Loading fails. Somebody adds
# `strict=False`, and the error is gone. What does the network get right?

# %%
torch.save(nn.DataParallel(tuned).state_dict(), folder / "wrapped.pt")
wrapped = torch.load(folder / "wrapped.pt", weights_only=True)
torch.manual_seed(run.seed)
victim = Transfer(untrained(model), 2).to(run.device)
try:
    victim.load_state_dict(wrapped)
except RuntimeError as error:
    print(str(error)[:120], "...")
report = victim.load_state_dict(wrapped, strict=False)
print(f"strict=False: {evaluate(victim, unseen_loader).accuracy:.1%} right", end="; ")
print(f"{len(report.missing_keys)} missing, {len(report.unexpected_keys)} unexpected")
victim.load_state_dict({n.removeprefix("module."): t for n, t in wrapped.items()})
print(f"repaired:     {evaluate(victim, unseen_loader).accuracy:.1%} right")

# %% [markdown]
# 50.0 %, as by guessing. Every name was wrong, so **nothing** was loaded.
# `strict=False` is for parts that are absent on purpose; read its report.

# %% [markdown] slide="subslide"
# **Accident 3: right weights, wrong photos.** These weights expect photos normalised
# with ImageNet's mean and standard deviation. The file does not say so. We feed pixels
# from 0 to 1, and then with mean and deviation 0.5. How much is lost?

# %%
raw = unseen_photos.raw().loader(200)
halves = [((images - 0.5) / 0.5, labels) for images, labels in raw]
for name, batches in {
    "as trained": unseen_loader,
    "from 0 to 1": raw,
    "mean and std 0.5": halves,
}.items():
    print(f"{name:17} {evaluate(restored, batches).accuracy:.1%} right")
print(f"as trained: mean {weights.mean}, std {weights.std}")

# %% [markdown]
# From 90.6 to 59.6 and 82.2 %, without error or warning. `weights.prepare` does what
# belongs to the weights. Save mean, deviation and classes **with** them.

# %% [markdown] slide="slide"
# ## Bring your own photos
#
# One folder for each class, named after it; `train`, `val` and `test` above them if you
# like. Set `path` to yours. Without one, this cell makes a small folder from CIFAR-10.

# %%
path = None  # such as "~/Pictures/mushrooms"
if path is None:
    path = course.data_dir() / "my_photos"
    source = data.cifar10().train
    for label in (0, 7, 8):
        place = path / source.classes[label]
        place.mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(source.images[source.labels == label][:60]):
            picture = image.permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(picture).save(place / f"{i:02}.png")
path = Path(path).expanduser()
for place in sorted(path.iterdir()):
    files = sorted(place.iterdir())
    print(f"{path.name}/{place.name}/  {files[0].name} ... {files[-1].name}")

# %% slide="subslide"
mine = weights.prepare(data.image_folder(path, side))
train, val, test, classes = mine
print(f"{len(train)} photos train, {len(val)} validate, {len(test)} test: {classes}")
cut = Transfer(model, len(classes)).freeze()
mine_known = look.features(cut, train.loader(100), "body")
mine_unseen = look.features(cut, val.loader(100), "body")
my_head, _ = train_head(*mine_known, decay)
right = evaluate(my_head, [mine_unseen]).accuracy
print(f"{right:.0%} of {len(val)} validation photos right; one is {1 / len(val):.1%}")

# %% slide="subslide"
# alt: Six validation photos of the folder, each with the predicted class and its
# alt: probability.
chances, guesses = my_head.cpu()(mine_unseen[0][:6]).softmax(dim=1).max(dim=1)
titles = [f"{classes[g]} {c:.0%}" for c, g in zip(chances, guesses, strict=True)]
title = f"{len(train)} photos of our own, and seconds of training"
pictures.image_grid(val.images[:6], titles, columns=6, title=title);

# %% [markdown]
# 89 % right is a rough number: 27 photos judge, so twice its standard error is 12
# points.

# %% [markdown] slide="subslide"
# **What goes wrong with folders.** A text file among the photos, and a single class:

# %%
broken = course.data_dir() / "broken_photos"
for name in ("airplane", "horse"):
    (broken / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(broken / name / "1.png")
(broken / "horse" / "2.jpg").write_text("Not Found")  # what a failed download leaves
for place in (broken, path / classes[0]):
    try:
        data.image_folder(place, side)
    except course.CourseError as error:
        print(str(error).replace(f"{place.parent}{os.sep}", ""), end="\n\n")

# %% [markdown]
# Photos of one scene belong in one part. Split a film's frames at random, and the test
# set shows scenes from training. Then divide them yourself.

# %% [markdown] slide="slide"
# ## Against the paper, and the test set, once
#
# The validation set chooses between frozen and fine-tuned; the test photos judge the
# winner.

# %%
candidates = {"frozen": frozen, "fine-tuned": tuned}
on_val = {n: evaluate(c, unseen_loader).accuracy for n, c in candidates.items()}
chosen = max(on_val, key=on_val.get)
tested = evaluate(candidates[chosen], photos.test.loader(200)).accuracy
error = (tested * (1 - tested) / len(photos.test)) ** 0.5
for name, accuracy in on_val.items():
    print(f"{name}: {accuracy:.2%} of {len(unseen_photos):,} validation photos right")
tried = f"{len(photos.test):,} test {photos.test.kind}"
print(f"{chosen}, {tried}: {tested:.2%} right", end=", ")
print(f"standard error {100 * error:.2f} points")

# %% [markdown]
# Yosinski and others, Table 1: a network that *begins* with transferred layers and is
# fine-tuned beats one from scratch by 1.6 points on average. Their target set has
# 645,000 photos. How many points is it in ours with 1,000 photos, and why so many more?

# %% [markdown] slide="fragment"
# 28 points: 90.3 % against 61.9 %. With 645,000 photos a network learns its own
# features; with 1,000 photos and 200 steps ours does not. So the two numbers cannot be
# compared.
#
# In the paper layers that stay *frozen* cost accuracy. Ours cost 2.4 points. One reason
# may be the size of the photos: 96 pixels, not 224 as in training (exercise 08.7).

# %% [markdown] slide="slide"
# ## Answer
#
# 100 photos, and more: what share of unseen photos does each way get right?

# %% slide="fragment"
for i in (counts.index(100), len(counts) - 1):
    shares = ", ".join(f"{way} {mean[way][i]:.1%}" for way in scores)
    print(f"{counts[i]:,} photos: {shares}")
i = counts.index(100)
run.headline(
    f"100 {photos.test.kind}: from scratch {mean['from scratch'][i]:.1%}, frozen"
    f" {mean['frozen'][i]:.1%}, fine-tuned {mean['fine-tuned'][i]:.1%}; {chosen} with"
    f" {len(photos.train):,}, test: {tested:.1%}"
)

# %% [markdown]
# With 100 photos transfer is 28 to 31 points ahead of a *short* training from scratch.
# Between frozen and fine-tuned, three seeds cannot tell. With 1,000 photos fine-tuning
# is better.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 08.1 Predict: what is left to train
#
# AlexNet has 61,100,840 parameters; its last layer turns 4,096 features into 1,000
# classes. We put a layer for **2** classes in its place.
#
# - (a) Frozen first, then swapped: how many parameters train?
# - (b) Swapped first, then *all* parameters frozen: how many train?
# - (c) How many has the network now, in all?

# %%
# solution
left = (4096 * 2 + 2, 0, 61_100_840 - (4096 * 1000 + 1000) + (4096 * 2 + 2))

# %%
check("08.1", left)

# %% [markdown] slide="subslide"
# ### 08.2 Modify: a new last layer for VGG-16 (slides)
#
# As above with AlexNet: all of VGG-16 frozen, but for a new last layer for `classes`
# classes. Return the network. (It comes without values; nothing is downloaded.)

# %%
def swap(net: nn.Module, classes: int) -> nn.Module:
    """Freeze all of a VGG but a new layer in place of its last one."""
    # solution
    net.requires_grad_(False)
    net.classifier[6] = nn.Linear(net.classifier[6].in_features, classes)
    return net

# %%
check("08.2", swap)

# %% [markdown] slide="subslide"
# ### 08.3 Write: the parameter groups
#
# For `torch.optim`: the head at `lr`, the body at a tenth of it, and no entry for
# parameters that are frozen. Without a trainable body there is one group.

# %%
def groups(network: nn.Module, lr: float) -> list[dict]:
    """Parameter groups of a network with .body and .head."""
    # solution
    result = []
    for part, rate in ((network.body, lr / 10), (network.head, lr)):
        moving = [p for p in part.parameters() if p.requires_grad]
        if moving:
            result.append({"params": moving, "lr": rate})
    return result

# %%
check("08.3", groups)

# %% [markdown] slide="subslide"
# ### 08.4 Repair: a frozen body that moves
#
# The statistics of this body change when the network is trained. Write `train`, so that
# the body always stays in evaluation mode, and the rest does what it is told.

# %%
class Frozen(nn.Module):
    """A body that must not move, and a head that learns."""

    def __init__(self, body: nn.Module, head: nn.Module):
        super().__init__()
        self.body, self.head = body.requires_grad_(False).eval(), head

    def forward(self, x):
        return self.head(self.body(x))

    def train(self, mode: bool = True):
        # solution
        super().train(mode)
        self.body.eval()
        return self

# %%
check("08.4", Frozen)

# %% [markdown] slide="subslide"
# ### 08.5 Investigate: which code loads?
#
# Three colleagues load `wrapped.pt` of accident 2. All three codes run without an
# error. Find the one that works: measure, or read. Answer with its name, as "code_b".

# %%
def code_a(network, table):
    network.load_state_dict(table, strict=False)
    return network.eval()


def code_b(network, table):
    table = {name.removeprefix("module."): value for name, value in table.items()}
    network.state_dict().update(table)
    return network.eval()


def code_c(network, table):
    parallel = nn.DataParallel(network)
    parallel.load_state_dict(table)
    return network.eval()

# %%
# solution
for code in (code_a, code_b, code_c):
    network = code(Transfer(untrained(model), 2).to(run.device), wrapped)
    print(f"{code.__name__}: {evaluate(network, unseen_loader).accuracy:.1%}")
loads = "code_c"

# %%
check("08.5", loads)

# %% [markdown] slide="subslide"
# ### 08.6 Explain: frozen, fine-tuned or scratch?
#
# Weights from ImageNet are at hand. What do you try first? Give four words, each
# `"frozen"`, `"fine-tuned"` or `"scratch"`.
#
# - (a) 60 photos of two breeds of dogs, an evening, a laptop;
# - (b) 20,000 microscope images of cells, in colour, and a GPU;
# - (c) 3 million radar images with 12 channels, five GPUs for a week;
# - (d) 2,000 photos of mushrooms of 30 kinds, and a GPU.

# %%
# solution
decisions = ("frozen", "fine-tuned", "scratch", "fine-tuned")

# %%
check("08.6", decisions)

# %% [markdown]
# **Explain** in one sentence each: what speaks against the other two ways?

# %% [markdown] solution=True
# (a) 60 photos cannot train a body, and ImageNet has breeds of dogs. (b) Frozen
# features fit cells badly, and 20,000 images can move the body. Edges and textures are
# still a better beginning than random weights. (c) Twelve channels do not fit a first
# layer for three, and 3 million images are enough. (d) ImageNet has mushrooms, but not
# these 30 kinds. 2,000 photos can move the body a little, but not train one.

# %% [markdown] slide="subslide"
# ### 08.7 Investigate: the size of the photos
#
# The body was trained at 224 pixels, we show smaller photos. Write the validation
# accuracy of a frozen body with photos of `side` pixels, all training photos and our
# weight decay, then measure three sizes: {side: accuracy}.

# %%
def frozen_accuracy(side: int) -> float:
    """Share of validation photos right, with a head on features of this size."""
    # solution
    resized = weights.prepare(data.dogs_vs_cats(side, **parts))
    cut = Transfer(model, 2).freeze()
    train = look.features(cut, resized.train.loader(100), "body")
    val = look.features(cut, resized.val.subset(judges).loader(100), "body")
    return evaluate(train_head(*train, decay)[0], [val]).accuracy

# %%
# solution
by_side = {
    side: frozen_accuracy(side)
    for side in course.pick(tiny=(8, 16), small=(48, 96, 144), full=(64, 128, 224))
}
print({side: f"{accuracy:.1%}" for side, accuracy in by_side.items()})

# %%
check("08.7", by_side)

# %% [markdown]
# What is cheaper for ten points more: larger photos, or ten times as many?

# %% [markdown] solution=True
# Larger photos: from 48 to 96 pixels the accuracy goes from 74.8 to 87.6 %, to 144
# pixels to 93.1 %, without a new label. Ten times the photos, 1,000 for 100, gain the
# frozen network 4.2 points. The price of larger photos is time: multiply-adds grow with
# the square of the side.

# %% slide="skip"
check.progress("08")

# %% [markdown] slide="slide"
# ## Recap
#
# - Choose from a zoo by what is short: parameters, multiply-adds, milliseconds,
#   accuracy.
# - Freeze, then swap: 4,096 × 10 + 10 parameters train. `requires_grad` holds weights;
#   only evaluation mode holds BatchNorm.
# - Features once, a head in seconds, weight decay to suit their scale. Then fine-tune,
#   the body at a lower rate.
# - A difference counts when it exceeds twice its standard error, s / √n over n seeds.
# - Save a `state_dict`, load it strictly, and keep mean, deviation and classes with it.

# %% [markdown] slide="skip"
# ## References
#
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson: *How Transferable Are Features in Deep
#   Neural Networks?*, NIPS 2014. Fig. 2 and Table 1.
# - K. He, R. Girshick, P. Dollár: *Rethinking ImageNet Pre-training*, ICCV 2019: what
#   scratch reaches with time and data.
# - A. Kumar, A. Raghunathan, R. Jones, T. Ma, P. Liang: *Fine-Tuning can Distort
#   Pretrained Features and Underperform Out-of-Distribution*, ICLR 2022: the head
#   first.
# - F. Iandola and others: *SqueezeNet*, 2016. Weights: torchvision, trained on ImageNet
#   (O. Russakovsky and others, 2015).
# - Photos: J. Elson, J. Douceur, J. Howell, J. Saul: *Asirra*, 2007. CIFAR-10: A.
#   Krizhevsky, 2009. At scale `tiny`: drawings made by the course, and its own weights.
