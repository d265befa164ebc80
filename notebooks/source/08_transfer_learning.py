# %% [markdown] slide="slide"
# # Transfer learning: begin where others ended
#
# A network that has seen a million photos has learned features. We copy it, replace its
# last layer, and train that layer on a hundred photos of our own.
#
# *Yosinski, Clune, Bengio, Lipson: How Transferable Are Features in Deep Neural
# Networks? NIPS 2014.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. choose a trained network by cost and accuracy;
# 2. replace its last layer, freeze the rest, and prove what still changes;
# 3. measure which depth suits a new task, and what a network forgets;
# 4. say, with an error, whether one way of training is better;
# 5. save weights safely, and train on our own photos.
#
# About four minutes at scale `small` on a laptop; the text describes those outputs.

# %% [markdown] slide="slide"
# ## Question
#
# We have **100 photos** of cats and dogs, and three ways to train one architecture:
#
# - **from scratch**: random weights, all train;
# - **frozen**: weights from ImageNet; only a new last layer trains;
# - **fine-tuned**: as frozen, and then all train at a low rate.
#
# **What share of unseen photos does each get right?**
#
# *Note a guess: three percentages. Chance is 50 %.*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import copy
import math
import pickle
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from teaching import architectures, check, zoo
from utils import augment, course, data, look, pictures, plot
from utils.models import build
from utils.models.pretrained import Transfer, pretrained
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
seeds = range(course.pick(tiny=2, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: copy, replace, freeze, train
#
# The **source** network was trained by others, on a large set such as ImageNet. The
# **target** network is ours. We *copy* the **body**, which turns a photo into features.
# The last layer, the **head**, is *new*: one output for each of our classes.

# %% slide="-"
architectures.transfer()

# %% [markdown]
# The drawing freezes a part; we freeze **all** of the body, or none.

# %% [markdown] slide="slide"
# ## A zoo of trained networks
#
# What torchvision's networks cost, and how often their first answer is right (*top-1*)
# on ImageNet:

# %% slide="-"
print(zoo.table())

# %% [markdown] slide="subslide"
# "ResNet-50, V2" is the **same network**, trained with a longer recipe. How many points
# did the recipe gain?

# %% slide="-"
# alt: Top-1 accuracy on ImageNet against multiply-adds, logarithmic, for 18 networks; a
# alt: disc's area stands for its parameters. Networks since 2019 are green and lie
# alt: above the older ones; ResNet-50 with new weights lies five points above itself.
zoo.figure("At the same work, networks and recipes since 2019 (green, V2) are better");

# %% [markdown]
# Almost five, from 76.1 to 80.9 %, without one multiply-add more. Choose the highest
# top-1 within your limits of memory (parameters, a disc's area) and time.

# %% [markdown] slide="slide"
# ## Replace the head by hand
#
# We freeze AlexNet, and replace its last layer, `classifier[6]`.

# %% check=True slide="-"
with torch.device("meta"):  # sizes without values: nothing to download
    net = build("alexnet")
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.classifier[6] = nn.Linear(in_features=4096, out_features=10)
print(net.classifier)

# %% [markdown] slide="subslide"
# **How many parameters require a gradient now?**

# %% check=True slide="-"
def trainable(network):
    """The parameters that have a gradient, and how many numbers they hold."""
    return {n: p.numel() for n, p in network.named_parameters() if p.requires_grad}


print(trainable(net), f"of {sum(p.numel() for p in net.parameters()):,}")

# %% [markdown]
# 4,096 × 10 + 10 = 40,970 numbers. A new layer begins with `requires_grad=True`, so it
# comes *after* the loop that freezes.

# %% [markdown] slide="subslide"
# Each network gives its last layer a different name. Our `Transfer(network, classes)`
# copies the network and finds that layer: `body` gives features, `head` is a new linear
# layer.

# %% check=True slide="subslide"
resnet, cifar = pretrained("resnet20", "cifar10")
with_transfer = Transfer(resnet, 2)
print(f"{sum(trainable(with_transfer).values()):,} parameters train; frozen:")
print(trainable(with_transfer.freeze()))
print("body:", tuple(with_transfer.body(torch.zeros(1, 3, 32, 32)).shape))

# %% [markdown] slide="slide"
# ## Freeze: what still changes?
#
# `resnet` is our ResNet-20, trained on CIFAR-10 at 32 pixels. No parameter gets a
# gradient. 200 of our photos, of 96 pixels, pass through in training mode. **Guess**:
# which numbers change?

# %% slide="-"
side = course.pick(tiny=16, small=96, full=160)  # pixels
judges = course.pick(tiny=200, small=1000, full=None)  # photos to validate on
parts = {"val_fraction": course.pick(tiny=0.75, small=0.5, full=0.2)}
our_photos = data.dogs_vs_cats(side, **parts)
cifar_photos = cifar.prepare(data.cifar10())
old_task = cifar_photos.val.subset(judges).loader(500)
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
    trained = [name for name in moved if name in weights]
    return f"{len(trained)} weights and {len(moved) - len(trained)} statistics moved"

# %% slide="-"
no_gradient = copy.deepcopy(resnet).requires_grad_(False).to(run.device)
print(f"CIFAR-10, before: {evaluate(no_gradient, old_task).accuracy:.1%} right")
print(f"requires_grad = False: {what_moves(no_gradient)}")
print(f"CIFAR-10, after:  {evaluate(no_gradient, old_task).accuracy:.1%} right")
print(f"Transfer.freeze():     {what_moves(with_transfer.to(run.device))}")

# %% [markdown]
# No weight, but 57 statistics: mean, variance and a counter of batches in each of 19
# BatchNorms. They cost the old task almost ten points. So frozen means **evaluation
# mode, too**: `Transfer.train()`, called in each epoch, keeps a frozen body in it.

# %% [markdown] slide="slide"
# ## The body of our experiment
#
# SqueezeNet 1.1 with weights from ImageNet: no BatchNorm, few multiply-adds. What does
# *its own* head say to our photos?

# %% slide="-"
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
# The first answers fit, but are rare: tabby for 40 of 500 cats, foxhound for 15 dogs.
# Features, one layer earlier, may serve better.

# %% [markdown] slide="slide"
# ## Features once, then a head on them
#
# Without augmentation, a frozen body gives a photo the same features in every epoch. We
# compute them **once**, for training (`known`) and validation photos (`unseen`).

# %% slide="-"
cut = Transfer(model, len(photos.classes)).freeze()
known = look.features(cut, photos.train.loader(200), "body")
unseen = look.features(cut, unseen_loader, "body")
spread = known[0].std(dim=0)
print(f"features {tuple(known[0].shape)} and {tuple(unseen[0].shape)}")
print(f"standard deviation of a feature: {spread.min():.1f} to {spread.max():.1f}")

# %% [markdown] slide="subslide"
# **Standardise them**, so that one learning rate and one weight decay suit all. From
# each feature $x$ subtract its mean μ over the *training* photos, and divide by its
# standard deviation σ:
#
# $$z = \frac{x - \mu}{\sigma}, \qquad Wz + b = \frac{W}{\sigma}\,x + \Big(b -
# \frac{W}{\sigma}\,\mu\Big)$$
#
# The second formula puts μ and σ into the trained layer, so that it reads raw features.

# %% slide="-"
head_steps = course.pick(tiny=60, small=200, full=1000)


def train_head(features, labels, decay=0.3, seed=0):
    """A linear layer, trained on standardised features; it reads raw ones."""
    torch.manual_seed(seed)
    mean, std = features.mean(dim=0), features.std(dim=0).clamp(min=1e-6)
    head = nn.Linear(features.shape[1], int(labels.max()) + 1)
    vectors = TensorDataset((features - mean) / std, labels)
    batches = DataLoader(vectors, batch_size=50, shuffle=True)
    sgd = torch.optim.SGD(head.parameters(), 0.1, momentum=0.9, weight_decay=decay)
    recipe = {"optimizer": sgd, "schedule": "onecycle", "progress": False}
    fit(head, batches, epochs=max(1, head_steps // len(batches)), **recipe)
    with torch.no_grad():
        head.cpu().weight /= std
        head.bias -= head.weight @ mean
    return head

# %% [markdown] slide="subslide"
# **Predict**: how many known and unseen photos are right, without and with weight
# decay?

# %% slide="-"
for decay in (0, 0.3):
    head = train_head(*known, decay)
    rights = [evaluate(head, [vectors]).accuracy for vectors in (known, unseen)]
    print(f"weight decay {decay}: known {rights[0]:.1%}, unseen {rights[1]:.1%} right")
had = {side: rights[1]}  # for exercise 08.7

# %% [markdown]
# Without weight decay the head **overfits**. With it the gap between known and unseen
# shrinks from 13.3 to 5.6 points. Whether unseen photos gain, one run cannot tell.

# %% [markdown] slide="slide"
# ## From general to special, layer by layer
#
# Which features suit *any* task, and which are special to the source's? A **linear
# probe** measures it. The network stays as it is; a linear layer is trained on the mean
# of each feature map of one block.

# %% slide="-"
def pooled(network, loader, layers):
    """The mean of each map of some layers, [(N, C) for each layer], and labels (N,)."""
    found, labels = [], []
    for images, some in loader:
        maps = look.feature_maps(network, images, layers)
        found.append([maps[layer].mean(dim=(2, 3)) for layer in layers])
        labels.append(some.cpu())
    return [torch.cat(one) for one in zip(*found, strict=True)], torch.cat(labels)


def probe(network, train, val):
    """Validation accuracy of a linear layer on each block, first to last."""
    kinds = ("BasicBlock", "Fire")  # ResNet's blocks and SqueezeNet's
    blocks = [n for n, m in network.named_modules() if type(m).__name__ in kinds]
    known, labels = pooled(network, train.loader(100), blocks)
    unseen, truth = pooled(network, val.loader(100), blocks)
    heads = [train_head(features, labels, decay=0.03) for features in known]
    pairs = zip(heads, unseen, strict=True)
    return [evaluate(head, [(features, truth)]).accuracy for head, features in pairs]

# %% [markdown] slide="subslide"
# Our ResNet-20 gets three tasks at 32 pixels: **its own**, CIFAR-10; a **near** one,
# new photos of two of its classes; and a **far** one, handwritten digits. Read each
# curve alone: chance is 50 % for cats and dogs, 10 % for the others.
#
# **Predict**: after which block is each curve at its highest point?

# %% slide="-"
n = course.pick(tiny=200, small=1000, full=2000)
near, digits = cifar.prepare(data.dogs_vs_cats(32, **parts)), data.mnist()


def in_color(part):
    """Digits as this network expects its images: three channels, 32 x 32 pixels."""
    images = F.pad(part.images, (2, 2, 2, 2)).expand(-1, 3, -1, -1).contiguous()
    return replace(part, images=images, mean=cifar.mean, std=cifar.std)


tasks = {"CIFAR-10, its own task": (cifar_photos.train, cifar_photos.val)}
tasks["cats and dogs, near"] = near.train, near.val
tasks["digits, far"] = digits.train, digits.val
by_depth = {}
for name, splits in tasks.items():
    train, val = (part.subset(n) for part in splits)
    if train.images.shape[1] == 1:
        train, val = in_color(train), in_color(val)
    by_depth[name] = probe(resnet, train, val)

# %% slide="subslide" name="depth"
# alt: Accuracy of a linear probe over the nine blocks of ResNet-20, for three tasks. At
# alt: scale small, its own task and the near one rise up to the last block; the digits
# alt: rise up to the eighth and then fall.
title = "The last block suits the task it was trained for, and harms a far one"
labels_of = {"xlabel": "block of ResNet-20", "ylabel": "probe's accuracy (%)"}
ax = plot.band(range(1, 10), by_depth, title=title, **labels_of)
ax.set_xticks(range(1, 10));

# %% slide="-"
for name, values in by_depth.items():
    best = max(range(len(values)), key=values.__getitem__)
    print(f"{name}: best after block {best + 1}, {values[best]:.1%};", end=" ")
    print(f"after the last one {values[-1]:.1%}")
print(f"one standard error is at most {100 * math.sqrt(0.25 / n):.1f} points")

# %% [markdown]
# Up to block 8 each curve rises or stays nearly level. (After blocks 3 and 6 the probe
# reads twice the channels.) Block 9 splits them: its own task gains, the near one
# stays, the digits fall by many standard errors.
#
# So in this network the first eight blocks are **general**, the last is **special** to
# its own task. For a far task, cut earlier.

# %% [markdown] slide="slide"
# ## Fine-tune: what is won, what forgotten
#
# Now the body trains, too, mostly at a **lower** rate than the head, to keep what it
# has learned. The head is trained first: a random head's gradients would spoil the body
# (Kumar and others, 2022).

# %% slide="-"
flips = [augment.HorizontalFlip()]
views = [augment.RandomResizedCrop(scale=(0.5, 1)), *flips]


def fine_tune(network, images, *, body, head, epochs, views=views, val=None, seed=0):
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
    return fit(network, loader, val, **recipe)


def with_head(trained, head):
    """A copy of the trained body, and a head that has been trained on its features."""
    network = Transfer(trained, head.out_features)
    network.head.load_state_dict(head.state_dict())
    return network

# %% [markdown] slide="subslide"
# We fine-tune ResNet-20 on cats and dogs, put its *old* head back on the *new* body,
# and validate on CIFAR-10. **Predict**: which rate of the body is best for the new
# task, which for the old?

# %% slide="-"
few = near.train.subset(course.pick(tiny=100, small=1000, full=None))
new_task = near.val.subset(judges).loader(500)
features = look.features(Transfer(resnet, 2).freeze(), few.loader(100), "body")
start = with_head(resnet, train_head(*features))
rates = (1e-4, 1e-3, 1e-2)
learned = {"old task: CIFAR-10": [], "new task: cats and dogs": []}
for rate in rates:
    network = copy.deepcopy(start)
    torch.manual_seed(run.seed)
    settings = {"epochs": course.pick(tiny=1, small=3, full=5), "views": flips}
    fine_tune(network, few, body=rate, head=max(rate, 3e-4), **settings)
    learned["new task: cats and dogs"].append(evaluate(network, new_task).accuracy)
    network.body.fc = resnet.fc  # the old head, where Transfer had put an Identity
    learned["old task: CIFAR-10"].append(evaluate(network.body, old_task).accuracy)

# %% slide="subslide" name="rates"
# alt: Accuracy on the old and on the new task after fine-tuning, against the body's
# alt: learning rate, logarithmic; a dotted line marks the old task before. At scale small
# alt: the old task falls at every rate, most at the highest; the new one falls there, too.
before = evaluate(resnet, old_task).accuracy
title = "The higher the learning rates, the more of the old task is lost"
labels_of = {"ylabel": "accuracy (%)"}
labels_of["xlabel"] = "learning rate of the body (head: the same, at least 0.0003)"
labels_of |= {"paper": before, "paper_label": "old task, before"}
plot.band(rates, learned, title=title, **labels_of);

# %% slide="-"
frozen_start = evaluate(start, new_task).accuracy
print(f"frozen:      new task {frozen_start:.1%}, old task {before:.1%}")
for rate, old, new in zip(rates, *learned.values(), strict=True):
    print(f"rate {rate:<6g}: new task {new:.1%}, old task {old:.1%}")

# %% [markdown]
# The old task falls at every rate, to 20.4 % at 0.01: **catastrophic forgetting**. A
# frozen network forgets nothing. The new task gains 1.8 and 1.7 points at the lower
# rates, which one run cannot decide. It loses at 0.01: perhaps by the head's rate, as
# high there.

# %% [markdown] slide="slide"
# ## The experiment: 100 and 1,000 photos
#
# Back to SqueezeNet. A seed draws photos (100 of 1,000, or all), order and first
# weights. Only fine-tuning sees crops and flips: features computed once allow none.
# **Predict**: which way wins with 100 photos, which with 1,000?

# %% slide="-"
counts, passes = course.pick(  # numbers of photos, and epochs of fine-tuning
    tiny=((40, 150), (3, 2)),
    small=((100, 1000), (8, 3)),
    full=((100, 1000), (30, 15)),
)


def is_right(network, batches):
    """For each unseen photo whether the network names its class: (N,)."""
    logits, labels = predict(network, batches)
    return logits.argmax(dim=1) == labels


def both_ways(n, epochs, seed):
    """The frozen and the fine-tuned network, trained on n photos."""
    chosen = data.balanced_order(known[1], seed=seed)[:n]
    head = train_head(known[0][chosen], known[1][chosen], seed=seed)
    frozen, tuned = with_head(model, head), with_head(model, head)
    few = photos.train.subset(n, seed=seed)
    torch.manual_seed(seed)
    fine_tune(tuned, few, body=1e-4, head=3e-4, epochs=epochs, seed=seed)
    return frozen, tuned

# %% slide="subslide"
right = {}  # (way, number of photos): a row of right and wrong for each seed
for n, epochs in zip(counts, passes, strict=True):
    pairs = [both_ways(n, epochs, seed) for seed in seeds]
    rows = [is_right(frozen.head, [unseen]) for frozen, _ in pairs]
    right["frozen", n] = torch.stack(rows).float()
    rows = [is_right(tuned, unseen_loader) for _, tuned in pairs]
    right["fine-tuned", n] = torch.stack(rows).float()
frozen, tuned = pairs[0]  # trained on the larger number of photos

# %% slide="-"
print(f"{'':12}{'photos':>8}{'mean':>8}   each seed")
for (way, n), table in right.items():
    each = ", ".join(f"{value:.1%}" for value in table.mean(dim=1))
    print(f"{way:12}{n:8,}{table.mean():8.1%}   {each}")

# %% [markdown]
# Frozen is ahead with 100, fine-tuned with 1,000. By chance? A test follows.

# %% [markdown] slide="slide"
# ## The third way: from scratch
#
# The same 100 photos, 50 epochs: 200 steps, as many as the frozen head.

# %% slide="-"
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

# %% [markdown]
# **Predict**: how many of its own photos and of unseen ones are right?

# %% slide="-"
long = course.pick(tiny=8, small=50, full=200)  # epochs
scratch, histories, watched = [], [], unseen_photos.subset(200).loader(200)
for seed in seeds:
    torch.manual_seed(seed)
    fresh = Transfer(untrained(model), 2)
    settings = {"body": 1e-3, "head": 1e-3, "epochs": long, "seed": seed}
    settings["val"] = watched if seed == run.seed else None  # for the figure
    its_own = photos.train.subset(counts[0], seed=seed)
    histories.append(fine_tune(fresh, its_own, **settings))
    scratch.append(is_right(fresh, unseen_loader))
right["from scratch", counts[0]] = torch.stack(scratch).float()

# %% slide="subslide"
# alt: Accuracy of SqueezeNet from random weights on its own training photos and on 200
# alt: unseen ones over the epochs, guessing dotted. At scale small the first rises above
# alt: eight of ten, with a fall to chance half way; the second ends a little above chance.
ends = {"its own photos": "train_accuracy", "200 unseen ones": "val_accuracy"}
plot.MODEL_COLORS |= dict(zip(ends, (plot.TRAIN, plot.VALIDATION), strict=True))
lines = {label: histories[0][column] for label, column in ends.items()}
title = "From scratch it learns its own photos, and little about unseen ones"
labels_of = {"xlabel": "epoch", "ylabel": "accuracy (%)"}
labels_of |= {"paper": 0.5, "paper_label": "guessing"}
ax = plot.band(range(1, long + 1), lines, title=title, **labels_of)
ax.set(xscale="linear", xlim=(0, long + 1), ylim=(40, 100))
ax.set_xticks(ticks := range(0, long + 1, max(1, long // 5)), ticks);

# %% slide="-"
table = right["from scratch", counts[0]]
each = ", ".join(f"{value:.1%}" for value in table.mean(dim=1))
print(f"{counts[0]} photos, {long} epochs, from scratch: {table.mean():.1%} ({each})")
print(f"the same photos, frozen: {right['frozen', counts[0]].mean():.1%}")

# %% [markdown]
# In the last epoch more than 80 % of its own photos are right (seed 0). Of all unseen
# ones, 59.0 %.

# %% [markdown] slide="slide"
# ## When does a difference count?
#
# Chance draws the **seed** (photos, weights, order) and the **photos that judge**. As
# in lecture 01, the standard error counts both. It follows each ± below.
#
# $$\text{error} = \sqrt{\frac{\mathrm{var}(d)}{S} + \frac{\mathrm{var}(e)}{N}}$$
#
# For each seed and photo, one way's gain is 1, 0 or −1. Its mean over the photos is one
# $d$ for each of S seeds. Its mean over the seeds is one $e$ for each of N photos.
#
# **The rule of this course:** a difference counts when it exceeds **twice** its
# standard error. "All three seeds agree" is no test: by chance they do one time in
# four.

# %% slide="-"
def difference(a, b):
    """How much better b is than a, (S, N) of right and wrong, and its error; points."""
    gain = 100 * (b - a)  # 100, 0 or -100 for each seed and photo
    seeds_error = gain.mean(dim=1).std() / math.sqrt(gain.shape[0])
    photos_error = gain.mean(dim=0).std() / math.sqrt(gain.shape[1])
    return gain.mean().item(), math.hypot(seeds_error, photos_error)


few, many = counts
against = {}  # the claim, and the two tables that decide it
for n in counts:
    pair = right["frozen", n], right["fine-tuned", n]
    against[f"fine-tuned against frozen, {n:,} photos"] = pair
against[f"frozen, {many:,} against {few}"] = right["frozen", few], right["frozen", many]
against[f"frozen against scratch, {few}"] = table, right["frozen", few]
for name, pair in against.items():
    points, error = difference(*pair)
    verdict = "counts" if abs(points) > 2 * error else "cannot tell"
    print(f"{name:40}{points:+6.1f} ± {error:.1f} points: {verdict}")

# %% [markdown]
# With 1,000 photos fine-tuning's gain **counts**: 2.1 points exceed 2 × 0.8. But all
# seeds share these photos, so ± 0.8 leaves out their choice. And the gain may come from
# crops and flips.
#
# With 100 photos we cannot tell: take the cheaper way, frozen. With many, fine-tune with
# augmentation.

# %% [markdown] slide="slide"
# ## The test set, once
#
# Validation chooses; the test photos judge the winner.

# %% slide="-"
candidates = {"frozen": frozen, "fine-tuned": tuned}
on_val = {n: evaluate(c, unseen_loader).accuracy for n, c in candidates.items()}
chosen = max(on_val, key=on_val.get)
tested = evaluate(candidates[chosen], photos.test.loader(200)).accuracy
error = 100 * math.sqrt(tested * (1 - tested) / len(photos.test))
tried = f"{len(photos.test):,} test {photos.test.kind}"
print(f"{chosen}, {tried}: {tested:.1%} right, standard error {error:.1f} points")

# %% [markdown] slide="subslide"
# **Against the paper.** In its Table 1 fine-tuning beats scratch by 1.6 points on
# average, with 645,000 target photos. With many photos and enough time, scratch catches
# up (He and others, 2019).

# %% [markdown] slide="slide"
# ## Save the weights, not the network
#
# A `state_dict` is a table from names to tensors: parameters *and* running statistics.

# %% slide="-"
folder = Path(tempfile.mkdtemp())
torch.save(tuned.state_dict(), folder / "tuned.pt")
restored = Transfer(untrained(model), 2)
restored.load_state_dict(torch.load(folder / "tuned.pt", weights_only=True))
for name, network in {"saved": tuned, "restored": restored.eval()}.items():
    print(f"{name}: {evaluate(network, unseen_loader).accuracy:.2%}")
megabytes = (folder / "tuned.pt").stat().st_size / 1e6
print(f"{megabytes:.1f} MB for {len(tuned.state_dict())} tensors")

# %% [markdown]
# **Accident 1: the whole object.** `torch.save(model)` pickles it, and a pickle may run
# any code when opened. Does `weights_only=True` load it?

# %% slide="-"
torch.save(tuned, folder / "whole.pt")
try:
    torch.load(folder / "whole.pt", weights_only=True)
except pickle.UnpicklingError as error:
    reasons = [line for line in str(error).splitlines() if "nsupported" in line]
    print(f"{type(error).__name__}:", *reasons[0].split()[:8], "...")

# %% [markdown]
# It refuses: it loads tables and tensors alone. Save `state_dict()`, and keep the code
# that builds the network.
#
# **Accident 2: `strict=False` hides an error.** `DataParallel`, for several GPUs, puts
# `module.` before all names, and loading fails. With `strict=False` the error is gone.
# What does the network get right?

# %% slide="-"
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
# As by guessing: **nothing** was loaded. Read what `load_state_dict` returns.
#
# **Accident 3: right weights, wrong photos.** These weights expect photos normalised as
# in training. What is lost with pixels from 0 to 1, or mean and deviation 0.5?

# %% slide="-"
raw = unseen_photos.raw().loader(200)
halves = [((images - 0.5) / 0.5, labels) for images, labels in raw]
for name, batches in {
    "as trained": unseen_loader,
    "from 0 to 1": raw,
    "mean and std 0.5": halves,
}.items():
    print(f"{name:17} {evaluate(restored, batches).accuracy:.1%} right")

# %% [markdown]
# Almost 30 points, or 6, without a warning. Save mean, deviation and classes **with**
# the weights.

# %% [markdown] slide="slide"
# ## Bring your own photos
#
# Make one folder for each class, and set `path`; `None` takes photos from CIFAR-10.

# %% slide="-"
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
my_head = train_head(*mine_known)
share = evaluate(my_head, [mine_unseen]).accuracy
error = math.sqrt(share * (1 - share) / len(val))
print(f"{share:.0%} of {len(val)} validation photos right, ± {error:.0%}")

# %% slide="subslide" name="own-photos"
# alt: Six validation photos of the folder, each with the predicted class and its
# alt: probability.
chances, guesses = my_head.cpu()(mine_unseen[0][:6]).softmax(dim=1).max(dim=1)
titles = [f"{classes[g]} {c:.0%}" for c, g in zip(chances, guesses, strict=True)]
title = f"{len(train)} photos of our own, and seconds of training"
pictures.image_grid(val.images[:6], titles, columns=6, title=title);

# %% [markdown]
# Near-copies of training photos make a validation score too good. So sort photos by
# scene, into `train/cat`, `val/cat`, `test/cat`.

# %% [markdown] slide="slide"
# ## Answer

# %% tags=["hide-input"] slide="fragment"
# alt: Unseen photos right: with 100 photos from scratch, frozen and fine-tuned, and with
# alt: 1,000 frozen and fine-tuned; whiskers reach from the lowest to the highest seed. At
# alt: scale small about 60, 82, 82, 88 and 90 percent; guessing is dotted at 50.
ways = ("from scratch", "frozen", "fine-tuned")
order = [(way, n) for n in counts for way in ways if (way, n) in right]
means = {key: right[key].mean(dim=1).tolist() for key in order}
begun = 100 * (right["frozen", few] - right["from scratch", few]).mean()
more = 100 * (right["frozen", many] - right["frozen", few]).mean()
title = f"A trained start gains {begun:.0f} points, {many / few:.0f} times the photos"
title += f" gain {more:.0f}"
named = {f"{way}, {n:,} photos": seen for (way, n), seen in means.items()}
xlabel = "unseen photos right, mean and range over seeds (%)"
plot.bars(named, xlabel=xlabel, reference={"guessing": 0.5}, title=title);

# %% slide="fragment"
mean = {way: right[way, few].mean().item() for way in ways}
run.headline(
    f"{few} {photos.test.kind}: from scratch {mean['from scratch']:.1%}, frozen"
    f" {mean['frozen']:.1%}, fine-tuned {mean['fine-tuned']:.1%}; {chosen} with"
    f" {len(photos.train):,}, test: {tested:.1%}"
)

# %% [markdown]
# With 100 photos, frozen features are 23.4 ± 1.6 points ahead of 50 epochs from scratch.
# Between frozen and fine-tuned we cannot tell.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then its check.

# %% [markdown] slide="subslide"
# ### 08.1 Predict: what is left to train
#
# AlexNet has 61,100,840 parameters; its last layer turns 4,096 features into 1,000
# classes. We swap it for one with **2** classes. How many parameters
#
# - (a) train, when all are frozen before the swap?
# - (b) train, when all are frozen after it?
# - (c) has the new network in all?
#
# Answer with `left = (a, b, c)`.

# %%
# solution
left = (4096 * 2 + 2, 0, 61_100_840 - (4096 * 1000 + 1000) + (4096 * 2 + 2))

# %%
check("08.1", left)

# %% [markdown] slide="subslide"
# ### 08.2 Modify: a new last layer for VGG-16
#
# As with AlexNet: freeze VGG-16, and give it a new last layer for `classes` classes.
# Return the network.

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
# Return a list of dictionaries for `torch.optim`, with `"params"` (a list) and `"lr"`:
# the head at `lr`, the body at a tenth of it. Leave out frozen parameters and empty
# groups.

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
# The statistics of this body change in training. Write `train`: the body always stays
# in evaluation mode, the rest obeys `mode`. It returns the network itself.

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
# Three colleagues load `wrapped.pt` of accident 2, without an error. Which code works?
# Answer with its name, as `"code_x"`.

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
# Weights from ImageNet are at hand. Choose `"frozen"`, `"fine-tuned"` or `"scratch"`,
# of equals the cheapest:
#
# - (a) 60 photos of two breeds of dogs, and a laptop;
# - (b) 20,000 microscope images of cells, in colour, and a GPU;
# - (c) 3 million radar images with 12 channels, five GPUs for a week;
# - (d) 30,000 photos of mushrooms of 30 kinds, and a GPU.
#
# Answer with `decisions = (a, b, c, d)`.

# %%
# solution
decisions = ("frozen", "fine-tuned", "scratch", "fine-tuned")

# %%
check("08.6", decisions)

# %% [markdown]
# **Explain**: what speaks against the other two ways?

# %% [markdown] solution=True
# (a) 60 photos cannot train a body, and ImageNet has breeds of dogs. (b) Frozen
# features fit cells badly, and 20,000 images can move the body. Edges and textures are
# still a better beginning than random weights. (c) Twelve channels do not fit a first
# layer for three, and 3 million images are enough. (d) ImageNet has mushrooms, but not
# these 30 kinds. 30,000 photos can move the body, and are few to train one.

# %% [markdown] slide="subslide"
# ### 08.7 Investigate: the size of the photos
#
# The body was trained at 224 pixels; our photos are smaller. Return the validation
# accuracy of a frozen body and a new head, with all training photos at `side` pixels:
# `weights.prepare(data.dogs_vs_cats(side, **parts))`, judged on `val.subset(judges)`.
# Measure three sizes up to 144, the lecture's 96 (87.3 %) among them:
# `by_side = {side: accuracy, ...}`.

# %%
def frozen_accuracy(side: int) -> float:
    """Share of validation photos right, with a head on features of this size."""
    # solution
    resized = weights.prepare(data.dogs_vs_cats(side, **parts))
    cut = Transfer(model, 2).freeze()
    train = look.features(cut, resized.train.loader(100), "body")
    val = look.features(cut, resized.val.subset(judges).loader(100), "body")
    return evaluate(train_head(*train), [val]).accuracy

# %%
# solution
by_side = {
    side: frozen_accuracy(side)
    for side in course.pick(tiny=(8, 16), small=(48, 96, 144), full=(64, 160, 224))
}
print({side: f"{accuracy:.1%}" for side, accuracy in by_side.items()})

# %%
check("08.7", (frozen_accuracy, by_side, had))

# %% [markdown]
# What has gained more: larger photos, or ten times as many?

# %% [markdown] solution=True
# Larger photos: from 48 to 96 pixels the accuracy goes from 73.8 to 87.3 %, and to 144
# pixels to 91.7 %, without a new label. Ten times the photos gain the frozen network 5.2
# points. The price of larger photos is time: multiply-adds grow with the square of the
# side.

# %% slide="skip"
check.progress("08")

# %% [markdown] slide="slide"
# ## Recap
#
# - Freeze, then replace the head. BatchNorm needs evaluation mode, too.
# - The last block suits its own task; for a far one cut earlier.
# - Even at a low rate, fine-tuning forgets the old task.
# - A difference counts when it exceeds twice its standard error.

# %% [markdown] slide="skip"
# ## References
#
# - K. He and others: *Rethinking ImageNet Pre-training*, ICCV 2019.
# - G. Alain, Y. Bengio: *Understanding Intermediate Layers Using Linear Classifier
#   Probes*, 2016.
# - A. Kumar and others: *Fine-Tuning can Distort Pretrained Features*, ICLR 2022.
# - F. Iandola and others: *SqueezeNet*, 2016.
# - Photos: J. Elson and others: *Asirra*, 2007. CIFAR-10: A. Krizhevsky, 2009.

# %% slide="only" name="ways"
# alt: Cats and dogs right: with 100 photos from scratch about 60 percent, frozen 82,
# alt: fine-tuned 82; with 1,000 photos, in green, frozen 88, fine-tuned 90.
from teaching import architectures, blocks, kept
from utils import plot

table = {"from scratch, 100": said(r"from scratch: ([\d.]+)%"), "frozen, 100": said(r"frozen +100 +([\d.]+)%")}
table |= {"fine-tuned, 100": said(r"fine-tuned +100 +([\d.]+)%"), "frozen, 1,000": said(r"frozen +1,000 +([\d.]+)%")}
table["fine-tuned, 1,000"] = said(r"fine-tuned +1,000 +([\d.]+)%")
ax = plot.bars({k: float(v) / 100 for k, v in table.items()}, xlabel="validation photos right (%)")
for patch in ax.patches[3:]:
    patch.set_color(plot.HIGHLIGHT)

# %% slide="only" name="four-steps"
# alt: Four steps: copy the body, replace the head, freeze the body, train the head.
parts = [("conv", "1. copy|the body"), ("linear", "2. replace|the head")]
parts += [("frozen!", "3. freeze|the body"), ("input", "4. train|the head")]
drawn = blocks.chain(70, parts)[0]
blocks.Diagram(drawn, blocks.WIDTH, 140, "copy the body, replace the head, freeze the body, train the head")

# %% slide="only" name="kept"
# alt: Test accuracy of kept runs, a circle a seed: SqueezeNet frozen about 95 percent,
# alt: fine-tuned 96; ResNet-20 from CIFAR-10 88.5, from scratch lower.
NAMES = {"SqueezeNet, frozen": "squeezenet1_1-dogs_vs_cats-frozen"}
NAMES |= {"SqueezeNet, fine-tuned": "squeezenet1_1-dogs_vs_cats-finetuned"}
NAMES |= {"ResNet-20, CIFAR-10": "resnet20-dogs_vs_cats-cifar10"}
NAMES |= {"ResNet-20, scratch": "resnet20-dogs_vs_cats-random"}
plot.spread({k: kept.test_accuracy(v) for k, v in NAMES.items()})

# %% [markdown] slide="only" part="The idea"
# # Transfer learning: begin where others ended
#
# ![](draw:architectures.transfer())
#
# Note: 1 min. The body is all of the network but its last layer, the head. After the hour they
# can swap a head, freeze a body rightly, and say from measurements whether fine-tuning pays.

# %% [markdown] slide="only"
# ## Last time, ResNet, in three questions
#
# 1. A deeper plain network is worse. On which photos?
# 2. Which weights let a residual block copy its input?
# 3. Where does a bottleneck do its 3 × 3 work?
#
# . . .
#
# On its own training photos, too; all zero; on fewer channels.
#
# Note: 2 min. A different row answers each. Expect "overfitting" for 1: then the training
# photos would be fine. Late: ask the second alone.

# %% [markdown] slide="only"
# ## With 100 photos of cats and dogs, how far can one get?
#
# ### From scratch, and from a network that others trained: two guesses
#
# . . .
#
# Guessing is right in 50 %.
#
# Note: 3 min. Write both on the board, for photos that were not in training. Most give 80 for
# scratch, which is far too much: they think of what a person could do.

# %% [markdown] slide="only"
# ## Two bodies today, and cats and dogs for both
#
# | body | it learned | we use it for |
# |---|---|---|
# | ResNet-20 | CIFAR-10, ten classes, 32 pixels | freezing, depth, forgetting |
# | SqueezeNet | ImageNet, 1,000 classes, 224 pixels | 100 and 1,000 photos |
#
# Note: 2 min. Unless a slide says "test", its numbers count 1,000 validation photos. Ask which
# body has seen cats and dogs: both, so our task is near for both.

# %% [markdown] slide="only"
# ## Copy, replace, freeze, train
#
# ![](run:four-steps)
#
# ### Which of the four costs computing time?
#
# . . .
#
# Only the last.
#
# Note: 2 min. Expect "freezing": it computes nothing, it leaves gradients out. Then ask which
# weights move: those of the head.

# %% [markdown] slide="only"
# ## Replacing the head is one line
#
# ```python
# model = alexnet(weights=AlexNet_Weights.DEFAULT)
# for weights in model.parameters():
#     weights.requires_grad = False
# model.classifier[6] = nn.Linear(4096, 10)
# ```
#
# ### How many of 57 million parameters train now?
#
# . . .
#
# > **40,970** = 4,096 × 10 + 10
#
# Note: 2 min. Expect "none": a new layer begins with gradients, so it comes after the loop.
# Each family calls its head differently: classifier, fc, head. Print the network first.

# %% [markdown] slide="only" part="Freeze"
# ## Frozen, and its answers changed. Why?
#
# ### No weight gets a gradient. 200 photos pass through, in training mode.
#
# . . .
#
# > **{{ said(r"before: ([\d.]+)%") }} %** of CIFAR-10 right before
#
# > **{{ said(r"after: +([\d.]+)%") }} %** right after
#
# . . .
#
# BatchNorm's running means and variances moved. Freezing needs `eval()`, too.
#
# Note: 3 min. Expect "impossible". No weight has moved, but 57 statistics have: in training
# mode each batch writes them (lecture 06).

# %% [markdown] slide="only"
# ## Features once, then a head in seconds
#
# ```python
# with torch.no_grad():
#     features = torch.cat([body(images) for images, _ in loader])
# head = nn.Linear(features.shape[1], 2)
# ```
#
# ### Why may we compute the features only once?
#
# . . .
#
# A frozen body gives the same numbers in each epoch.
#
# Note: 2 min. Ask what must not happen then: augmentation, since each view would need its
# own pass. Expect "to save memory": it costs some, and saves time.

# %% [markdown] slide="only" part="How deep"
# ## The last block is special, the blocks before it general
#
# ### A linear head on each block's features: where is each task best?
#
# . . .
#
# ![](run:depth)
#
# Note: 3 min. ResNet-20 from CIFAR-10. For its own task and a near one the last block; digits
# fall from {{ said(r"digits, far: best after block \d+, ([\d.]+)%") }} to {{ said(r"digits, far:.*last one ([\d.]+)%") }} there: it has dropped
# what does not tell its ten classes. Expect "deeper is always better". Compare one line's
# blocks: chance is 50 % for cats and dogs, 10 % for the others.

# %% [markdown] slide="only"
# ## A rule of thumb for four cases
#
# ### Near or far task, few or many photos: what would you train?
#
# . . .
#
# | | few photos | many photos |
# |---|---|---|
# | near task | new head | new head, then fine-tune |
# | far task | cut earlier, new head | fine-tune all |
#
# Note: 3 min. Let them fill the table first. A rule of thumb: today we measure the upper row,
# and the cut for a far task. Expect "many photos: from scratch": a trained start rarely harms.

# %% [markdown] slide="only" part="Fine-tune"
# ## The higher the rates, the more it forgets
#
# ### Fine-tuned on cats and dogs, old head put back: what about CIFAR-10?
#
# . . .
#
# ![](run:rates)
#
# Note: 3 min. Expect "it keeps its old task": nobody has trained that any more. At 0.01 it has
# forgotten the old task, and learned the new one worst; the head's rate is as high there.
# Frozen: {{ said(r"frozen: +new task ([\d.]+)%") }} new,
# {{ said(r"frozen: .*old task ([\d.]+)%") }} old. One run each: two points are not decided.

# %% [markdown] slide="only"
# ## Two rates: larger for the head, small for the body
#
# ```python
# optimizer = torch.optim.AdamW([
#     {"params": model.body.parameters(), "lr": 0.0001},
#     {"params": model.head.parameters(), "lr": 0.0003},
# ])
# ```
#
# ### Why train the head alone first?
#
# . . .
#
# A new head is wrong: its large gradients would destroy the body.
#
# Note: 2 min. These are the rates of our runs with SqueezeNet. Expect "because it is faster":
# the reason is what the body would lose. Late: skip.

# %% [markdown] slide="only" part="Results"
# ## With 100 photos, begin where others ended
#
# ![](run:ways)
#
# Note: 2 min. SqueezeNet, mean of three seeds. Compare with the guesses. From scratch it trained
# for 200 steps, as the head did; fine-tuning takes 32 more. The frozen head alone saw no crops.

# %% [markdown] slide="only"
# ## A difference counts if it exceeds twice its error
#
# | with 100 photos | points |
# |---|---:|
# | frozen against scratch | {{ said(r"frozen against scratch, 100 +([+\-][\d.]+ ± [\d.]+)") }} |
# | fine-tuned against frozen | {{ said(r"fine-tuned against frozen, 100 photos +([+\-][\d.]+ ± [\d.]+)") }} |
#
# ### Which of the two would you believe?
#
# . . .
#
# The first. With 100 photos we cannot tell whether fine-tuning helps: take the cheaper way.
#
# Note: 2 min. The error counts seeds and photos; points are rounded after subtracting. With
# 1,000 photos: {{ said(r"fine-tuned against frozen, 1,000 photos +([+\-][\d.]+ ± [\d.]+)") }}.
# It counts, but may come from crops and flips. Expect "three seeds agree, so it is true": by
# chance three signs agree one time in four.

# %% [markdown] slide="only"
# ## A better start is worth more than ten times the photos
#
# ### Frozen, 1,000 photos in place of 100: how many points?
#
# . . .
#
# > **{{ said(r"frozen, 1,000 against 100 +(\+[\d.]+ ± [\d.]+)") }}** ten times the photos
#
# > **{{ said(r"frozen against scratch, 100 +(\+[\d.]+ ± [\d.]+)") }}** trained start against scratch
#
# Note: 2 min. Expect "twenty": the frozen features know most of it already. Ask what 900
# labelled photos cost, and what a download costs. Late: skip.

# %% [markdown] slide="only"
# ## Kept runs: from ImageNet 95 to 96 % on the test
#
# ![](run:kept)
#
# Note: 2 min. 1,800 photos, 800 test photos; a circle a seed, a diamond the mean. Ask what else
# differs: SqueezeNet sees 224 pixels, ResNet-20 sees 32, so this step has several causes.
# Frozen and fine-tuned overlap.

# %% [markdown] slide="only" part="Care"
# ## Scale photos as the weights' makers did
#
# ### The same network, pixels from 0 to 1 without normalisation: how many are right?
#
# . . .
#
# > **{{ said(r"as trained +([\d.]+)%") }} %** normalised as in its training
#
# > **{{ said(r"from 0 to 1 +([\d.]+)%") }} %** from 0 to 1
#
# Note: 2 min. No error, no warning. With mean and deviation 0.5: {{ said(r"mean and std 0.5 +([\d.]+)%") }} %. Expect "an
# error": the shape is right, so nothing stops. Take the transforms that come with the weights.

# %% [markdown] slide="only"
# ## Save the weights, not the network
#
# ```python
# torch.save(model.state_dict(), "head.pt")
# table = torch.load("head.pt", weights_only=True)
# model.load_state_dict(table, strict=False)
# ```
#
# ### Suppose all names in the file differ. What does `strict=False` do?
#
# . . .
#
# > **{{ said(r"strict=False: ([\d.]+)%") }} %** right: it loads nothing, and raises no error
#
# Note: 2 min. A pickled network runs code when it is loaded; a table of weights does not. Expect
# "it loads what it can": that is nothing here. Look at what load_state_dict returns.

# %% [markdown] slide="only"
# ## Four sentences to take home
#
# - Copy, replace, freeze, train: with `eval()` for BatchNorm.
# - Early blocks are general, the last ones special to their task.
# - Small rates for the body, and it still forgets.
# - With few photos, a trained start beats training from scratch.
#
# Note: 2 min. Cover it, and let four students say one each. Late: read it out.

# %% [markdown] slide="only"
# ## For home: two exercises, and your own photos
#
# ![](run:own-photos)
#
# **08.2** a new last layer for VGG-16; **08.4** a frozen body that moves.
#
# Note: 1 min. Fifteen minutes each. The picture: three classes, a head trained in seconds.
# Bring thirty photos of each of two classes. Next time: all networks on one task.

# %% [markdown] slide="sheet"
# ![](draw:architectures.transfer())
#
# ## On the scoreboard
#
# ![](draw:kept.scoreboard(NAMES))
#
# ## Which way to begin
#
# | | few photos | many photos |
# |---|---|---|
# | near task | new head | new head, then fine-tune |
# | far task | cut earlier, new head | fine-tune all |
