# %% [markdown] slide="slide"
# # Transfer learning: begin where others ended
#
# A network that has seen a million photos has learned features. We copy them, replace
# the last layer, and train our own classes with a hundred photos.
#
# *Yosinski, Clune, Bengio, Lipson: How Transferable Are Features in Deep Neural
# Networks? Advances in Neural Information Processing Systems, 2014.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. choose a trained network by its parameters, multiply-adds and accuracy;
# 2. replace its last layer, freeze the rest, and prove what still changes;
# 3. measure at which depth its features suit a new task, and what it forgets;
# 4. say whether one way of training is better than another, with an error;
# 5. save and load weights safely, and train on a folder of our own photos.
#
# About four minutes at scale `small` on a laptop; the text describes those outputs.

# %% [markdown] slide="slide"
# ## Question
#
# We have **100 photos** of cats and dogs, and three ways to train one architecture:
#
# - **from scratch**: random weights, everything trains;
# - **frozen**: weights from ImageNet; only a new last layer trains;
# - **fine-tuned**: the same, and then everything trains, at a low rate.
#
# **What share of unseen photos does each get right?**
#
# *A guess, before anything is computed: three percentages. Chance is 50 %.*

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

from teaching import architectures, check, kept, zoo
from utils import augment, course, data, look, pictures, plot
from utils.models import build
from utils.models.pretrained import Transfer, pretrained
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
seeds = range(course.pick(tiny=2, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: copy, replace, freeze, train
#
# The **source** network was trained by others on a large set, such as ImageNet's 1.2
# million photos. The **target** network is ours. All but the last layer is *copied*:
# this part is the **body**, and it turns a photo into features. The last layer, the
# **head**, is *new*, with one output for each of our classes.

# %% slide="-"
architectures.transfer()

# %% [markdown]
# A part of the target network is *frozen* when its weights do not change, and *trained*
# when they do. The head is always trained. One may freeze a few blocks, as drawn here;
# we shall freeze **all** of the body, or train all of it.

# %% [markdown] slide="slide"
# ## A zoo of trained networks
#
# torchvision publishes what each of its trained networks costs, and how often its first
# answer is right (*top-1*) on ImageNet.

# %% slide="-"
print(zoo.table())

# %% [markdown] slide="subslide"
# ResNet-50 is there twice. "V2" is the **same network**, trained again with a longer
# recipe of more augmentation. How many points did the recipe gain?

# %% slide="-"
# alt: Top-1 accuracy on ImageNet against multiply-adds, logarithmic, for 18 networks; a
# alt: disc's area stands for its parameters. Networks since 2019 are green and lie
# alt: above the older ones; ResNet-50 with new weights lies five points above itself.
zoo.figure("At the same work, networks and recipes since 2019 (green, V2) are better");

# %% [markdown]
# Almost five points, from 76.1 to 80.9 %, with not one multiply-add more. (A disc's area
# stands for the parameters.) So we choose by what *we* are short of: memory
# (parameters), time (multiply-adds) or accuracy, and take a network's newest weights.

# %% [markdown] slide="slide"
# ## Replace the head by hand
#
# We take AlexNet, freeze all of it, and replace its last layer, `classifier[6]`.

# %% check=True slide="-"
with torch.device("meta"):  # sizes without values: nothing to download
    net = build("alexnet")
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.classifier[6] = nn.Linear(in_features=4096, out_features=10)
print(net.classifier)

# %% [markdown] slide="subslide"
# **Which parameters have gradients now?** Count first: 4,096 inputs, 10 outputs, and a
# bias for each of them.

# %% check=True slide="-"
def trainable(network):
    """The parameters that have a gradient, and how many numbers they hold."""
    return {n: p.numel() for n, p in network.named_parameters() if p.requires_grad}


print(trainable(net), f"of {sum(p.numel() for p in net.parameters()):,}")

# %% [markdown]
# 4,096 × 10 + 10 = 40,970. A new layer begins with `requires_grad=True`, so it must
# come *after* the loop that freezes.

# %% [markdown] slide="subslide"
# `classifier[6]` is AlexNet's name for it; in ResNet it is `fc`, in SqueezeNet a
# convolution. Our `Transfer(network, classes)` cuts a copy at the right place: `body`
# gives features, `head` is a new linear layer. `freeze()` freezes the body.

# %% check=True slide="subslide"
resnet, cifar = pretrained("resnet20", "cifar10")
with_transfer = Transfer(resnet, 2)
print(f"{sum(trainable(with_transfer).values()):,} parameters train; frozen:")
print(trainable(with_transfer.freeze()))
print("body:", tuple(with_transfer.body(torch.zeros(1, 3, 32, 32)).shape))

# %% [markdown] slide="slide"
# ## Freeze. Does BatchNorm still move?
#
# `resnet` is a ResNet-20 that this course has trained on CIFAR-10. A common way to
# freeze: no parameter gets a gradient. We train *nothing*; 200 of our photos (larger
# than CIFAR-10's) only pass through, ten at a time, in training mode. **Guess**: which
# numbers change?

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
# No weight, but 57 statistics: mean, variance and a counter in each of 19 BatchNorms.
# Every pass in training mode moves them, and the "frozen" network is now worse on its
# old task. So frozen means **evaluation mode, too**. Every training loop calls
# `model.train()` in each epoch, so `Transfer` overrides `train` (exercise 08.4).

# %% [markdown] slide="slide"
# ## The body of our experiment
#
# SqueezeNet 1.1 with weights from ImageNet, 5 MB: no BatchNorm, little work. Before any
# training: what does *its own* head say to our photos?

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
# Its classes are not ours. But its most frequent answers for the cats are cats, tabby and
# Egyptian cat, and for the dogs a hound. (Boston bull is a dog: some cats are taken for
# one.) What it needs for that is one layer earlier: the features.

# %% [markdown] slide="slide"
# ## Features once, then a head in seconds
#
# A frozen body gives a photo, without augmentation, the same features in every epoch. So
# we compute them **once**.

# %% slide="-"
cut = Transfer(model, len(photos.classes)).freeze()
known = look.features(cut, photos.train.loader(200), "body")
unseen = look.features(cut, unseen_loader, "body")
spread = known[0].std(dim=0)
print(f"features {tuple(known[0].shape)} and {tuple(unseen[0].shape)}")
print(f"standard deviation of a feature: {spread.min():.1f} to {spread.max():.1f}")

# %% [markdown] slide="subslide"
# **Standardise them.** A learning rate or weight decay that suits one scale does not
# suit another. So from each feature we subtract its mean over the *training* photos, and
# divide by its standard deviation:
#
# $$z = \frac{x - \mu}{\sigma}, \qquad Wz + b = \frac{W}{\sigma}\,x + \Big(b -
# \frac{W}{\sigma}\,\mu\Big)$$
#
# The second formula puts μ and σ into the layer after training: W/σ divides each column
# of W by its feature's σ. The same logits then come from the raw features.

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
# With 512 features and 1,000 photos, a linear layer can learn its photos by heart.
# **Predict**: how many unseen photos are right, without and with weight decay?

# %% slide="-"
for decay in (0, 0.3):
    head = train_head(*known, decay)
    rights = [evaluate(head, [vectors]).accuracy for vectors in (known, unseen)]
    print(f"weight decay {decay}: known {rights[0]:.1%}, unseen {rights[1]:.1%} right")
had = {side: rights[1]}  # for exercise 08.7

# %% [markdown]
# Without weight decay the head knows 99.8 % of its own photos and 86.5 % of the unseen
# ones: it **overfits** (lecture 01). With it, 87.3 % of the unseen ones are right. One
# share of 1,000 photos has a standard error of about 1.1 points, so whether this is a
# gain is not decided. (A weight decay of 0.3 is far above the usual 0.0001.)

# %% [markdown] slide="slide"
# ## From general to special, layer by layer
#
# Yosinski and others ask: which layers hold features that suit *any* task, and which
# are special to the source's? We measure it with a **linear probe**: a linear layer,
# trained on the mean of each map of one block, while the network stays as it is.

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
# One body, our ResNet-20 that was trained on CIFAR-10, and three tasks: **its own** ten
# classes; a **near** task, cats against dogs, which are two of its classes; and a
# **far** task, handwritten digits. Each has 1,000 photos to learn and 1,000 to judge.
#
# **Predict** three curves over the depth. Where does each have its highest point?

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

# %% slide="subslide"
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
# Its own task gets better up to the last block, 89.2 %. The near task ends at 84.7 %; its
# last step is within the error. The digits are best after block 8, 87.9 %, and fall to
# 76.7 % after block 9. The fall is many standard errors long. (After blocks 3 and 6 the
# number of maps doubles, which helps every probe. Chance is 50 % for cats and dogs, 10 %
# for the others, so compare one curve's blocks, not two curves.)
#
# So what the first blocks hold is **general**: it serves all three tasks. The last one is
# **special**: it serves its own task best, and a far one worse than the block before.
# For a far task, cut the network earlier. Yosinski and others found the same in larger
# networks.

# %% [markdown] slide="subslide"
# **And SqueezeNet with ImageNet's weights?** We probe its eight blocks on our cats and
# dogs, and the same blocks with random weights. *How much do the weights bring, how much
# the architecture?*

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


torch.manual_seed(run.seed)
bodies = {"trained weights": model, "random weights": untrained(model)}
of_body = {k: probe(body, photos.train, unseen_photos) for k, body in bodies.items()}

# %% slide="subslide"
# alt: Accuracy of a linear probe on cats and dogs over the blocks of the network, with
# alt: trained and with random weights. At scale small the trained ones rise steadily with
# alt: the depth, and the random ones do not rise at all.
depth = range(1, 1 + len(of_body["trained weights"]))
title = "With trained weights deeper features are better; with random ones they are not"
labels_of["xlabel"] = "block"
labels_of |= {"paper": 0.5, "paper_label": "chance"}
ax = plot.band(depth, of_body, title=title, **labels_of)
ax.set_xticks(depth);

# %% [markdown]
# The features come mostly from the weights: random ones are above chance, but their
# deeper blocks bring nothing. With ImageNet's the last blocks are best. So no block is
# too special for us: ImageNet has cats and dogs in more than a hundred of its classes.

# %% [markdown] slide="slide"
# ## Fine-tune: what is won, what forgotten
#
# Now the body may move, too. Its learning rate is usually **lower** than the head's, to
# keep what it has learned. The head is trained first, so that its gradients are useful to
# the body (Kumar and others, 2022). Features are computed anew in each step, so each
# photo may look different each time: it is augmented.

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
# **Catastrophic forgetting** means: a network that learns a new task loses the *old*
# one. We can measure that with ResNet-20. We fine-tune it on cats and dogs, then put its
# *old* head back on the *new* body, and test it on CIFAR-10.
#
# The head's rate is 0.0003, or the body's where that is higher. **Predict**: which rate
# of the body is best for the new task, which for the old one?

# %% slide="-"
few = near.train.subset(course.pick(tiny=100, small=1000, full=None))
new_task = near.val.subset(judges).loader(500)
features = look.features(Transfer(resnet, 2).freeze(), few.loader(100), "body")
start = with_head(resnet, train_head(*features))
rates = (1e-4, 1e-3, 1e-2)
learned = {"new task: cats and dogs": [], "old task: CIFAR-10": []}
for rate in rates:
    network = copy.deepcopy(start)
    torch.manual_seed(run.seed)
    settings = {"epochs": course.pick(tiny=1, small=3, full=5), "views": flips}
    fine_tune(network, few, body=rate, head=max(rate, 3e-4), **settings)
    learned["new task: cats and dogs"].append(evaluate(network, new_task).accuracy)
    network.body.fc = resnet.fc  # the old head, where Transfer had put an Identity
    learned["old task: CIFAR-10"].append(evaluate(network.body, old_task).accuracy)

# %% slide="subslide"
# alt: Accuracy on the new and on the old task after fine-tuning, against the body's
# alt: learning rate, logarithmic; a dotted line marks the old task before. At scale small
# alt: the old task falls at every rate, and to almost chance at the highest.
before = evaluate(resnet, old_task).accuracy
title = "The higher the body's rate, the more of the old task is lost"
labels_of = {"xlabel": "learning rate of the body", "ylabel": "accuracy (%)"}
labels_of |= {"paper": before, "paper_label": "old task, before"}
plot.band(rates, learned, title=title, **labels_of);

# %% slide="-"
frozen_start = evaluate(start, new_task).accuracy
print(f"frozen:      new task {frozen_start:.1%}, old task {before:.1%}")
for rate, new, old in zip(rates, *learned.values(), strict=True):
    print(f"rate {rate:<6g}: new task {new:.1%}, old task {old:.1%}")

# %% [markdown]
# The old task falls at every rate, from 88.5 to 80.7 % even at the lowest. There most of
# the fall may come from BatchNorm's statistics: they alone cost nearly ten points above.
# At 0.01 it is at 21.0 %: now the weights have moved, and this is *catastrophic
# forgetting*. On the new task the two lower rates end 2 points above the frozen
# network's 84.7 %, which one run cannot decide, and the highest rate below it.
#
# A frozen network forgets nothing.

# %% [markdown] slide="slide"
# ## The experiment: 100 and 1,000 photos
#
# Back to SqueezeNet and our question. A seed draws the photos and their order. We keep for
# each network **which** unseen photos it gets right.

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
# These are two of our question's three shares. With 1,000 photos both ways are better
# than with 100. Is one way better than the other? We come back to this. With 100 photos
# fine-tuning takes only 8 epochs of 4 batches, 32 steps at a low rate.

# %% [markdown] slide="slide"
# ## From scratch, with many more epochs
#
# To be fair, the third way may train for longer: the same 100 photos, random weights, and
# 50 epochs. **Predict**: how many of its own photos does it get right at the end, how
# many unseen ones?

# %% slide="-"
long = course.pick(tiny=8, small=50, full=200)  # epochs
scratch, watched = [], unseen_photos.subset(200).loader(200)
for seed in seeds:
    torch.manual_seed(seed)
    fresh = Transfer(untrained(model), 2)
    settings = {"body": 1e-3, "head": 1e-3, "epochs": long, "seed": seed}
    if seed == run.seed:
        settings["val"] = watched
    history = fine_tune(fresh, photos.train.subset(counts[0], seed=seed), **settings)
    scratch.append(is_right(fresh, unseen_loader))
    if seed == run.seed:
        first_history = history
right["from scratch", counts[0]] = torch.stack(scratch).float()

# %% slide="subslide"
# alt: Accuracy of SqueezeNet from random weights on its 100 training photos and on unseen
# alt: ones over the epochs. At scale small the first rises above eight of ten, with a
# alt: fall to chance half way; the second stays a little above chance throughout.
title = "From scratch it learns its own photos, and little about unseen ones"
plot.curves(first_history, metric="accuracy", title=title);

# %% slide="-"
table = right["from scratch", counts[0]]
each = ", ".join(f"{value:.1%}" for value in table.mean(dim=1))
print(f"{counts[0]} photos, {long} epochs, from scratch: {table.mean():.1%} ({each})")
print(f"the same photos, frozen: {right['frozen', counts[0]].mean():.1%}")

# %% [markdown]
# At the end it is right on most of its own photos. (The curve watches 200 of the unseen
# photos, for one seed. Half way it falls back to chance: its steps are large.) On unseen
# ones it is right in 59.5 % on average: the question's third share. One-cycle ends at a
# rate of 0, so a flat end is no proof that longer training would bring nothing. But most
# of what tells cats from dogs is not in 100 photos. The frozen network gets 82.3 % from
# the same photos, since it has seen a million others.

# %% [markdown] slide="slide"
# ## When is a difference one?
#
# Is fine-tuning better than frozen, or is it luck? Two things are drawn by chance: the
# **seed** (photos, weights, order) and the **photos that judge**. Each of the S seeds
# has one difference $d_s$. Each of the N judging photos has one, too, $e_i$, a mean over
# the seeds: for a photo that only the second network gets right with one seed, and both
# with two, (1 + 0 + 0) / 3. The standard error of the mean difference counts both:
#
# $$\text{error} = \sqrt{\frac{\mathrm{var}(d_1, \dots, d_S)}{S} +
# \frac{\mathrm{var}(e_1, \dots, e_N)}{N}}$$
#
# **The rule of this course:** a difference counts when it exceeds **twice** its standard
# error. "All three seeds agree" is no test: by chance alone three signs agree one time
# in four.

# %% slide="-"
def difference(a, b):
    """How much better b is than a, (S, N) of right and wrong, and its error; points."""
    gain = 100 * (b - a)  # 100, 0 or -100 for each seed and photo
    seeds_error = gain.mean(dim=1).std() / math.sqrt(gain.shape[0])
    photos_error = gain.mean(dim=0).std() / math.sqrt(gain.shape[1])
    return gain.mean().item(), math.hypot(seeds_error, photos_error)


few, many = counts
pairs = {f"fine-tuned against frozen, {n:,} photos": ("frozen", n) for n in counts}
pairs = {name: (right[a], right["fine-tuned", a[1]]) for name, a in pairs.items()}
pairs[f"frozen, {many:,} against {few}"] = right["frozen", few], right["frozen", many]
pairs[f"frozen against scratch, {few}"] = table, right["frozen", few]
for name, pair in pairs.items():
    points, error = difference(*pair)
    verdict = "counts" if abs(points) > 2 * error else "cannot tell"
    print(f"{name:40}{points:+6.1f} ± {error:.1f} points: {verdict}")

# %% [markdown]
# With 1,000 photos fine-tuning is probably better than frozen features, by 1.9 points.
# With 100 photos and 32 steps we cannot tell. So a common rule fits our runs: with few
# photos try frozen features first, which cost seconds; with many, fine-tune. And
# transfer against scratch counts by far.
#
# Three seeds are few, and their standard error is itself uncertain. A difference just
# above the bound, as 1.9 points are, deserves more seeds.

# %% [markdown] slide="slide"
# ## Save the weights, not the network
#
# `torch.save(model.state_dict(), PATH)`, then `load_state_dict`. A `state_dict` is a
# table from names to tensors: parameters *and* running statistics.

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
# Where a GPU saved and there is none now, add `map_location="cpu"`. Three accidents:

# %% [markdown] slide="subslide"
# **Accident 1: the whole object.** `torch.save(model)` pickles it, and a pickle may run any
# code when it is opened. What does the safe loader say?

# %% slide="-"
torch.save(tuned, folder / "whole.pt")
try:
    torch.load(folder / "whole.pt", weights_only=True)
except pickle.UnpicklingError as error:
    reasons = [line for line in str(error).splitlines() if "nsupported" in line]
    print(f"{type(error).__name__}:", *reasons[0].split()[:8], "...")

# %% [markdown]
# It refuses. **Repair**: save `state_dict()`, and keep the code that builds the network.

# %% [markdown] slide="subslide"
# **Accident 2: `strict=False` hides an error.** After training on several GPUs each name
# begins with `module.`. Loading fails. Somebody adds `strict=False`, and the error is
# gone. What does the network get right?

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
# As by guessing. Every name was wrong, so **nothing** was loaded. Read its report.

# %% [markdown] slide="subslide"
# **Accident 3: right weights, wrong photos.** These weights expect photos normalised
# with the mean and standard deviation of their training set. We feed pixels from 0 to 1,
# and then with mean and deviation 0.5. How much is lost?

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
# It loses points without error or warning. Save mean, deviation and classes **with** the
# weights.

# %% [markdown] slide="slide"
# ## Bring your own photos
#
# One folder for each class, named after it; `train`, `val` and `test` above them if you
# like. Set `path` to yours. Without one, this cell makes a small folder from CIFAR-10.
# With so few photos to validate on, ± says **twice** the standard error.

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
error = 2 * math.sqrt(share * (1 - share) / len(val))
print(f"{share:.0%} of {len(val)} validation photos right, ± {error:.0%}")

# %% slide="subslide"
# alt: Six validation photos of the folder, each with the predicted class and its
# alt: probability.
chances, guesses = my_head.cpu()(mine_unseen[0][:6]).softmax(dim=1).max(dim=1)
titles = [f"{classes[g]} {c:.0%}" for c, g in zip(chances, guesses, strict=True)]
title = f"{len(train)} photos of our own, and seconds of training"
pictures.image_grid(val.images[:6], titles, columns=6, title=title);

# %% [markdown]
# Photos of one scene belong in one part: divide such photos yourself.

# %% [markdown] slide="slide"
# ## The test set, once
#
# The validation set chooses between frozen and fine-tuned with all training photos; the
# test photos judge the winner.

# %% slide="-"
candidates = {"frozen": frozen, "fine-tuned": tuned}
on_val = {n: evaluate(c, unseen_loader).accuracy for n, c in candidates.items()}
chosen = max(on_val, key=on_val.get)
tested = evaluate(candidates[chosen], photos.test.loader(200)).accuracy
error = 100 * math.sqrt(tested * (1 - tested) / len(photos.test))
tried = f"{len(photos.test):,} test {photos.test.kind}"
print(f"{chosen}, {tried}: {tested:.1%} right, standard error {error:.1f} points")

# %% [markdown] slide="subslide"
# **With larger photos.** In our kept runs SqueezeNet sees 1,800 photos of 224 pixels, as
# in its training. ResNet-20 sees 32 pixels.

# %% slide="-"
squeeze, small = "squeezenet1_1-dogs_vs_cats-", "resnet20-dogs_vs_cats-"
board = {"SqueezeNet, frozen": f"{squeeze}frozen"}
board["SqueezeNet, fine-tuned"] = f"{squeeze}finetuned"
board["ResNet-20, from CIFAR-10"] = f"{small}cifar10"
board["ResNet-20, from scratch"] = f"{small}random"
kept.scoreboard(board)

# %% slide="-"
pair = f"{squeeze}frozen", f"{squeeze}finetuned"
print("fine-tuned against frozen:", kept.difference(*pair))

# %% [markdown]
# At 224 pixels both ways reach 95 to 96 %, and there we cannot tell them apart. Our own
# runs above have fewer photos, of 96 pixels. A part of what fine-tuning gains there may be
# that the body gets used to small photos. (± is the deviation of three seeds. The minutes
# tell little: the machine did other work, too.)

# %% [markdown] slide="subslide"
# **Against the paper.** Yosinski and others, Table 1: a network that *begins* with
# transferred layers and is fine-tuned beats one from scratch by 1.6 points on average.
# Why is it so much more in our table?

# %% [markdown] slide="fragment"
# Their target set has 645,000 photos, ours 100 to 1,800: with many photos a network learns
# its own features, and with enough time scratch catches up (He, Girshick and Dollár,
# 2019). Transfer helps most where photos are few.

# %% [markdown] slide="slide"
# ## Answer
#
# 100 photos of cats and dogs: what share of unseen photos does each way get right?

# %% slide="fragment"
few, ways = counts[0], ("from scratch", "frozen", "fine-tuned")
mean = {way: right[way, few].mean().item() for way in ways}
run.headline(
    f"{few} {photos.test.kind}: from scratch {mean['from scratch']:.1%}, frozen"
    f" {mean['frozen']:.1%}, fine-tuned {mean['fine-tuned']:.1%}; {chosen} with"
    f" {len(photos.train):,}, test: {tested:.1%}"
)

# %% [markdown]
# With 100 photos, frozen features are 23 points ahead of 50 epochs from scratch, with a
# standard error of 1.4. Between frozen and fine-tuned we cannot tell. With 1,000 photos
# fine-tuning is probably better.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it.

# %% [markdown] slide="subslide"
# ### 08.1 Predict: what is left to train
#
# AlexNet has 61,100,840 parameters; its last layer turns 4,096 features into 1,000
# classes. We put a layer for **2** classes in its place.
#
# - (a) Frozen first, then swapped: how many parameters train?
# - (b) Swapped first, then *all* parameters frozen: how many train?
# - (c) How many has the network now, in all?
#
# Give three numbers, `left = (a, b, c)`.

# %%
# solution
left = (4096 * 2 + 2, 0, 61_100_840 - (4096 * 1000 + 1000) + (4096 * 2 + 2))

# %%
check("08.1", left)

# %% [markdown] slide="subslide"
# ### 08.2 Modify: a new last layer for VGG-16
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
# parameters that are frozen. Without a trainable body there is one group. Return a list
# of dictionaries with `"params"` and `"lr"`; the network stays as it is.

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
# the body always stays in evaluation mode, and the rest does what it is told. As every
# `train`, it returns the network itself.

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
# error. Find the one that works: measure, or read. Answer with its name, a text such as
# `"code_x"`.

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
# - (d) 30,000 photos of mushrooms of 30 kinds, and a GPU.
#
# `decisions = ("...", "...", "...", "...")`, from (a) to (d).

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
# these 30 kinds. 30,000 photos can move the body, and are few to train one.

# %% [markdown] slide="subslide"
# ### 08.7 Investigate: the size of the photos
#
# The body was trained at 224 pixels, we show smaller photos. Write the validation
# accuracy, a fraction, of a frozen body and a new head with photos of `side` pixels and
# all training photos. Then measure three sizes with it, the lecture's `side` among them:
# `by_side = {side: accuracy, ...}`. The check runs your function again at the smallest
# size, and compares the lecture's with what we had above.

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
# - Freeze, then replace: 4,096 × 10 + 10 parameters train. `requires_grad` holds
#   weights; only evaluation mode holds BatchNorm.
# - Features once, $z = (x - \mu) / \sigma$ with the training photos' μ and σ, a linear
#   layer with weight decay: a head in seconds.
# - From general to special: up to the last block for a near task; for a far one the
#   block before it is better.
# - Fine-tune the body at a lower rate. It forgets its old task all the same.
# - A difference counts when it exceeds twice its standard error over seeds and photos.

# %% [markdown] slide="skip"
# ## References
#
# - J. Yosinski, J. Clune, Y. Bengio, H. Lipson: *How Transferable Are Features in Deep
#   Neural Networks?*, NIPS 2014.
# - K. He, R. Girshick, P. Dollár: *Rethinking ImageNet Pre-training*, ICCV 2019.
# - G. Alain, Y. Bengio: *Understanding Intermediate Layers Using Linear Classifier
#   Probes*, 2016.
# - A. Kumar and others: *Fine-Tuning can Distort Pretrained Features and Underperform
#   Out-of-Distribution*, ICLR 2022.
# - F. Iandola and others: *SqueezeNet*, 2016. Weights: torchvision, trained on ImageNet
#   (O. Russakovsky and others, 2015).
# - Photos: J. Elson, J. Douceur, J. Howell, J. Saul: *Asirra*, 2007. CIFAR-10: A.
#   Krizhevsky, 2009. At scale `tiny`: drawings made by the course, and its own weights.

# %% slide="only" name="by-block"
# alt: How well a linear head on frozen features reads, at the best block and at the last:
# alt: its own task 89 and 89 percent, cats and dogs 85 and 85, digits 88 and 77.
import torch

from teaching import architectures, blocks, kept
from utils import look, plot
from utils.models import build

TASKS = {"own task": "CIFAR-10, its own task", "near: cats, dogs": "cats and dogs, near"}
TASKS |= {"far: digits": "digits, far"}
levels = {}
for name, words in TASKS.items():
    levels[f"{name}, best block"] = float(said(words + r": best after block \d+, ([\d.]+)%")) / 100
    levels[f"{name}, last block"] = float(said(words + r".*last one ([\d.]+)%")) / 100
plot.bars(levels, xlabel="right with a new linear head (%)")

# %% slide="only" name="forget"
# alt: Accuracy on the new and the old task: frozen about 85 and 89 percent; fine-tuned at
# alt: rate 0.0001 87 and 81, at 0.001 86 and 74, at 0.01 81 and 21.
RATES = {"frozen": "frozen", "rate 0.0001": "rate 0.0001", "rate 0.001": "rate 0.001 "}
RATES |= {"rate 0.01": "rate 0.01  "}
tasks = {}
for name, words in RATES.items():
    for task in ("new", "old"):
        tasks[f"{name}, {task} task"] = float(said(words + rf" *:.*?{task} task ([\d.]+)%")) / 100
plot.bars(tasks, xlabel="photos right (%)")

# %% slide="only" name="ways"
# alt: Cats and dogs right with 100 photos: from scratch about 60 percent, frozen 82,
# alt: fine-tuned 82; with 1,000 photos frozen 88, fine-tuned 90.
table = {"from scratch, 100": said(r"from scratch: ([\d.]+)%"), "frozen, 100": said(r"frozen +100 +([\d.]+)%")}
table |= {"fine-tuned, 100": said(r"fine-tuned +100 +([\d.]+)%"), "frozen, 1,000": said(r"frozen +1,000 +([\d.]+)%")}
table["fine-tuned, 1,000"] = said(r"fine-tuned +1,000 +([\d.]+)%")
plot.bars({k: float(v) / 100 for k, v in table.items()}, xlabel="validation photos right (%)")

# %% slide="only" name="three-steps"
# alt: Load a body with its weights, replace the head, freeze the body, train the head.
parts = [("conv", "body,|trained by others"), ("frozen!", "freeze:|no gradient")]
parts += [("linear", "new head:|2 classes"), ("input", "train|the head")]
drawn = blocks.chain(70, parts)[0]
blocks.Diagram(drawn, blocks.WIDTH, 140, "body, frozen, new head of two classes, trained")

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
# Note: 1 min. After the hour they can swap a head, freeze a body rightly, and say from
# measurements whether fine-tuning pays.

# %% [markdown] slide="only"
# ## Last time: ResNet, in three questions
#
# 1. What is degradation, and what is it not?
# 2. Which weights let a residual block copy?
# 3. What does a bottleneck save?
#
# . . .
#
# A higher *training* error, no overfitting; all zero; work at the 3 × 3.
#
# Note: 2 min. A different row answers each. Today we train almost nothing ourselves.

# %% [markdown] slide="only"
# ## 100 photos of cats and dogs: how far can one get?
#
# ### From scratch, and from a network that others trained: two guesses?
#
# . . .
#
# Guessing is right in 50 %.
#
# Note: 3 min. Write both on the board. Most give 80 for scratch, which is far too much.
# The answer comes in the middle.

# %% [markdown] slide="only"
# ## Copy, replace, freeze, train
#
# ![](run:three-steps)
#
# Note: 2 min. Four verbs. Ask which of them costs computing time: only the last. Then name
# which weights move.

# %% [markdown] slide="only"
# ## Replacing the head is one line
#
# ```python
# model = alexnet(weights=AlexNet_Weights.DEFAULT)
# model.classifier[6] = nn.Linear(4096, 10)
# for name, weights in model.named_parameters():
#     weights.requires_grad = name.startswith("classifier.6")
# ```
#
# ### How many of 57 million parameters train now?
#
# . . .
#
# > **40,970** = 4,096 × 10 + 10
#
# Note: 2 min. Ask why 4,096 must be right: the layer before. Each family calls its head
# differently: classifier, fc, head. Print the network first.

# %% [markdown] slide="only" part="Freeze"
# ## Frozen, and its answers changed. Why?
#
# ### All `requires_grad` are False. We run photos through it in training mode.
#
# . . .
#
# > **{{ said(r"before: ([\d.]+)%") }} %** right before
#
# > **{{ said(r"after: +([\d.]+)%") }} %** right after
#
# . . .
#
# BatchNorm's running statistics moved. Freezing needs `eval()`, too.
#
# Note: 3 min. Expect "impossible". No weight has moved, but 57 statistics have. Lecture 06
# told why: training mode writes them.

# %% [markdown] slide="only"
# ## Features once, then a head in seconds
#
# ```python
# with torch.no_grad():
#     features = torch.cat([body(images) for images, _ in loader])
# head = nn.Linear(features.shape[1], 2)
# ```
#
# . . .
#
# A frozen body gives the same numbers in each epoch. So compute them once.
#
# Note: 2 min. Ask what must not happen then: augmentation, since each view would need its
# own pass. A head of fifty epochs takes a second.

# %% [markdown] slide="only" part="How deep"
# ## From general to special, layer by layer
#
# ### Where to cut the body: is the last block always best?
#
# . . .
#
# ![](run:by-block)
#
# Note: 3 min. For its own task and a near one, yes. For digits the last block has thrown
# away what they need. Ask why: it learned to ignore what does not tell its ten classes.

# %% [markdown] slide="only"
# ## Near or far, few or many: four cases
#
# | | few photos | many photos |
# |---|---|---|
# | near task | new head | new head, then fine-tune |
# | far task | cut earlier, new head | fine-tune all |
#
# Note: 3 min. Let them fill the table before you show it. It is a rule of thumb: the
# notebook measures two of the four cells.

# %% [markdown] slide="only" part="Fine-tune"
# ## Fine-tuning: what is won, and what is forgotten?
#
# ![](run:forget)
#
# Note: 3 min. One table, two tasks. At the highest rate it has forgotten the old task, and
# learned the new one worst. Ask which rate they would take: a tenth of the usual, or less.

# %% [markdown] slide="only"
# ## Two rates: large for the head, small for the body
#
# ```python
# optimizer = torch.optim.SGD([
#     {"params": model.body.parameters(), "lr": 0.001},
#     {"params": model.head.parameters(), "lr": 0.01},
# ], momentum=0.9)
# ```
#
# Note: 2 min. The head is new and far from right; the body is nearly right. First train
# the head alone, else its large gradients destroy the body.

# %% [markdown] slide="only" part="Results"
# ## With 100 photos, begin where others ended
#
# ![](run:ways)
#
# Note: 2 min. Compare with the guesses. From scratch it trained for 50 epochs, the others
# for 8 or in a head alone: if the race is unfair, then to them.

# %% [markdown] slide="only"
# ## Which of these differences are differences?
#
# > **{{ said(r"frozen against scratch, 100 +([+\-][\d.]+ ± [\d.]+)") }}** frozen against scratch, 100
#
# > **{{ said(r"fine-tuned against frozen, 100 photos +([+\-][\d.]+ ± [\d.]+)") }}** fine-tuned against frozen, 100
#
# . . .
#
# Points, with their standard error. Only the first exceeds twice its error.
#
# Note: 2 min. Fine-tuned against frozen: with 100 photos we cannot tell, a reason to take
# the cheaper one. With 1,000 fine-tuning is probably better, 1.9 points, error 0.7.

# %% [markdown] slide="only"
# ## Ten times the photos, or a better start?
#
# > **{{ said(r"frozen, 1,000 against 100 +(\+[\d.]+ ± [\d.]+)") }}** points: 1,000 photos against 100
#
# > **{{ said(r"frozen against scratch, 100 +(\+[\d.]+ ± [\d.]+)") }}** points: trained start against scratch
#
# Note: 2 min. Ask what 900 labelled photos cost, and what a download costs. The two may be
# added.

# %% [markdown] slide="only"
# ## A body that has seen ImageNet
#
# ![](run:kept)
#
# Kept runs, three seeds each.
#
# Note: 2 min. ImageNet has many breeds of dogs: a near task. Ask whether frozen and
# fine-tuned differ: less than twice the error. Scratch stays behind with the same epochs.

# %% [markdown] slide="only" part="Care"
# ## The same network, other numbers: how were photos scaled?
#
# > **{{ said(r"as trained +([\d.]+)%") }} %** as in its training
#
# > **{{ said(r"mean and std 0.5 +([\d.]+)%") }} %** mean and deviation 0.5
#
# > **{{ said(r"from 0 to 1 +([\d.]+)%") }} %** from 0 to 1
#
# Note: 2 min. No error, no warning. The numbers belong to the weights: take the transforms
# that come with them. The clinic has this patient.

# %% [markdown] slide="only"
# ## Save the weights, not the network
#
# ```python
# torch.save(model.state_dict(), "head.pt")
# model.load_state_dict(torch.load("head.pt", weights_only=True))
# ```
#
# ### What does `strict=False` do when all names differ?
#
# . . .
#
# Nothing: it loads no weight, and says nothing. {{ said(r"strict=False: ([\d.]+)%") }} % right.
#
# Note: 2 min. A whole pickled network runs code when it is loaded. Look at what
# load_state_dict returns: missing and unexpected names.

# %% [markdown] slide="only"
# ## Four sentences to take home
#
# - Copy, replace, freeze, train: with `eval()` for BatchNorm.
# - Early blocks are general, late ones special: cut where the task is.
# - Small rates for the body, and it still forgets.
# - With few photos, a trained start beats training from scratch.
#
# Note: 2 min. Cover it, and let four students say one each.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **08.2** Write `swap`: a new head for any of four families.
# - **08.4** Train a head on features, without a loader.
#
# Note: 1 min. Fifteen minutes each. Bring thirty photos of your own: the notebook takes a
# folder. Next time: all networks on one task.

# %% [markdown] slide="sheet"
# ![](draw:architectures.transfer())
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard(board))
#
# ## Which way to begin
#
# | | few photos | many photos |
# |---|---|---|
# | near task | new head | new head, then fine-tune |
# | far task | cut earlier, new head | fine-tune all |
