# %% [markdown] slide="slide"
# # AlexNet: an old idea at a new size
#
# In 2012 a convolutional network wins the largest contest in computer vision, almost ten
# points ahead of the second team. We build it in one page of code, see a small one beat
# the older LeNet on the same photos, and test what dropout and crops do for it.
#
# *Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
# Networks. NIPS, 2012.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. say what came together in 2012, and compute AlexNet's sizes and parameters by hand;
# 2. write AlexNet as one `nn.Sequential`, with LRN and grouped convolutions as torch has
#    them;
# 3. compare two activations fairly: with weights and learning rates that fit each;
# 4. explain how a gradient shrinks or survives over many layers;
# 5. see from a network's curves whether it needs a remedy against overfitting.
#
# A run takes a quarter of a minute at scale `tiny`, and about two minutes at `small` on
# a laptop. Numbers in the text are from `small`.

# %% [markdown] slide="slide"
# ## Question
#
# LeNet-5 of 1998 and AlexNet of 2012 are built of the same parts. We train LeNet-5 and a
# small AlexNet, an eighth as wide as the original: the same 45,000 small photos, 20 epochs,
# the same crops and mirrors.
#
# **How many points is AlexNet ahead on new photos: 0, 5, 15 or 30?**
#
# *A second guess: in the paper's Figure 1 a network with ReLU learns six times faster than
# one with tanh. How many times is it, if each gets weights that fit it?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from teaching import architectures, check, diagrams, kept, tables
from utils import course, data, look, pictures, plot
from utils.augment import HorizontalFlip, RandomCrop
from utils.models import LeNet5, alexnet_2012
from utils.models.alexnet import alexnet
from utils.models.pretrained import pretrained
from utils.train import evaluate, fit

run = course.start(seed=0)
photos = data.cifar10()

# %% [markdown] slide="slide"
# ## Why 2012: features, photos, GPUs
#
# The contest is called ILSVRC: 1.2 million training photographs, 1,000 classes. A
# network may name five classes for each test photograph. If the right one is missing,
# that is a *top-5 error*; with one guess, a *top-1 error*.

# %%
# alt: Bars of the top-5 error of the ILSVRC winners by year: 28.2 and 25.8 percent in 2010
# alt: and 2011; AlexNet 16.4 in 2012, marked; then 11.7, 6.7, 3.6, 3.0 and 2.3. A dotted
# alt: line marks a trained human at 5.1.
winners = {"2010 NEC-UIUC": 28.2, "2011 XRCE": 25.8, "2012 AlexNet": 16.4}
winners |= {"2013 Clarifai": 11.7, "2014 GoogLeNet": 6.7, "2015 ResNet": 3.6}
winners |= {"2016 Trimps-Soushen": 3.0, "2017 SENet": 2.3}
look_at = {"highlight": "2012 AlexNet", "reference": {"a trained human": 5.1}}
title = "In 2012 the winner's error falls by 9.4 points, and keeps falling"
plot.bars(winners, xlabel="winner's top-5 error in percent", title=title, **look_at);

# %% [markdown]
# From 25.8 to **16.4 %**; the second team of 2012 has 26.2 %. Three things come together.
#
# **Learned features.** Until 2011 the winners design features by hand: they count the
# directions of edges in small windows. Only a classifier after it is trained. AlexNet
# learns all its layers from the pixels, as LeNet did for digits in 1998.
#
# **ImageNet.** Since 2009 there are 1.2 million labelled photographs; LeNet had 60,000
# digits.
#
# **GPUs.** One image needs 0.7 billion multiplications forward, and about three times that
# in training. 90 passes over all images take the paper five to six days, on two graphics
# processors (GPUs) with 3 GB each.

# %% [markdown] slide="subslide"
# The kind of network is not new. Here is LeNet-5 of 1998, and then AlexNet. Which parts
# of LeNet does AlexNet use again?

# %% check=True
diagrams.from_model(LeNet5(), (1, 28, 28), title="LeNet-5, 1998")

# %% slide="subslide" check=True
with torch.device("meta"):  # shapes without values: built in milliseconds
    winner = alexnet_2012()
diagrams.from_model(winner, (3, 227, 227), title="AlexNet, 2012")

# %% [markdown] slide="subslide"
# All of them: convolution, activation, pooling, and linear layers at the end. (The adaptive
# pooling changes nothing here: the maps are 6 × 6 already.) Work is counted in
# *multiply-adds*, one multiplication and one addition each. **Guess**: how many times more
# parameters has AlexNet, and how many times more work for one image?

# %% check=True
with torch.device("meta"):
    both = {"LeNet-5": LeNet5(), "AlexNet": winner}
tables.networks(both, {"LeNet-5": (1, 28, 28), "AlexNet": (3, 227, 227)})

# %% [markdown]
# About 1,000 times more parameters, and 1,700 times more work. What else is new:
#
# | | LeNet-5 | AlexNet |
# |---|---|---|
# | activation | tanh | **ReLU** |
# | pooling | 2 × 2 mean | **3 × 3 maximum, overlapping** |
# | against overfitting | none of these | **dropout, crops, mirrors, colours** |
# | also new | | **local response normalisation, two GPUs** |

# %% [markdown] slide="slide"
# ## The network on one page
#
# The network of 2012 as one `Sequential`. Comments give the shape after a line. `norm` is
# local response normalisation, `groups=2` stands for the two GPUs: both come below.

# %%
def plain_alexnet(num_classes=1000):
    """AlexNet of 2012: (N, 3, 227, 227) -> (N, num_classes)."""
    norm = partial(nn.LocalResponseNorm, 5, 5e-4, 0.75, 2.0)  # norm() builds one
    pool = partial(nn.MaxPool2d, 3, stride=2)
    layers = [nn.Conv2d(3, 96, 11, stride=4), nn.ReLU(), norm(), pool()]  # (96, 27, 27)
    layers += [nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), norm()]
    layers += [pool(), nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()]  # (384, 13, 13)
    layers += [nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()]
    layers += [nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU()]
    layers += [pool(), nn.Flatten(), nn.Dropout(0.5)]  # 256 * 6 * 6
    layers += [nn.Linear(256 * 6 * 6, 4096), nn.ReLU(), nn.Dropout(0.5)]
    layers += [nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, num_classes)]
    return nn.Sequential(*layers)

# %% [markdown] slide="subslide"
# **By hand:** a window of side k, padding p and stride s turns n pixels into ⌊(n + 2p −
# k) / s⌋ + 1. How large are the maps after the first convolution, and after its
# pooling? How many parameters has the first linear layer?

# %% check=True
with torch.device("meta"):
    network = plain_alexnet()
look.shape_table(network, (3, 227, 227))

# %% [markdown]
# (227 − 11) / 4 + 1 = 55, then (55 − 3) / 2 + 1 = 27. The first linear layer has 4,096 ·
# (9,216 + 1) = 37.8 million of the 61 million parameters. The total is **60,965,224**.
# The weights of the course's own `alexnet_2012` stand in the same order. So we copy them,
# and compare the logits for one image:

# %% check=True
course_net = alexnet_2012()
weights = zip(network.state_dict(), course_net.state_dict().values(), strict=True)
network.load_state_dict(dict(weights), assign=True)
photo = torch.rand(1, 3, 227, 227)
same = torch.allclose(network.eval()(photo), course_net.eval()(photo), atol=1e-5)
print("equal:", same)

# %% [markdown] slide="subslide"
# **Which layers hold the parameters, and which do the multiplications?** Guess the share
# of the convolutions in each. (Activations, at the left, are what a layer gives.)

# %%
# alt: Three bar charts over AlexNet's eight layers. The first convolutions have the
# alt: largest activations; almost all parameters are in the linear layers, 37.8 million
# alt: in the first; the convolutions do nearly all multiply-adds.
title = "Linear layers hold AlexNet's parameters, convolutions do its work"
tables.by_layer(network, (3, 227, 227), title=title)

# %% check=True
calls, total, work = look.trace(network, (3, 227, 227))
convs = [call for call in calls if isinstance(call.module, nn.Conv2d)]
print(f"parameters in convolutions: {sum(c.parameters for c in convs) / total:.1%}")
print(f"multiply-adds in them:      {sum(c.multiply_adds for c in convs) / work:.1%}")

# %% [markdown]
# 3.8 % of the parameters do 91.9 % of the work. A kernel's weight is used at each place
# of its map (55 × 55 in the first layer), a linear layer's weight once.

# %% [markdown] slide="slide"
# ## Two towers are a convolution in two groups
#
# A GPU of 2012 had 3 GB, too little for this network. So each of two GPUs got half of
# the channels. **Where do the two halves exchange their values?**

# %% check=True
architectures.two_towers()

# %% [markdown]
# In convolution 3 and in the linear layers. Convolutions 2, 4 and 5 read only the half
# that lies on their own GPU. One convolution with `groups=2` **is** two convolutions
# side by side:

# %% check=True
torch.manual_seed(0)
x = torch.randn(1, 96, 27, 27)
grouped_conv = nn.Conv2d(96, 256, 5, padding=2, groups=2, bias=False)
upper, lower = grouped_conv.weight.chunk(2)  # the kernels of each tower
towers = [F.conv2d(x[:, :48], upper, padding=2), F.conv2d(x[:, 48:], lower, padding=2)]
print("equal:", torch.allclose(grouped_conv(x), torch.cat(towers, dim=1), atol=1e-4))
print("weights in two groups:", tuple(grouped_conv.weight.shape))
print("weights in one column:", tuple(nn.Conv2d(96, 256, 5).weight.shape))

# %% [markdown] slide="subslide"
# Each kernel reads 48 channels in place of 96: **half the weights, half the work**. How
# much does it save in the whole network? Krizhevsky's form of 2014, which torchvision has,
# needs no towers.

# %% check=True
with torch.device("meta"):
    forms = {"2012, two towers": winner, "2012, one column": alexnet_2012(groups=1)}
    forms["2014, torchvision"] = alexnet()
shapes = dict.fromkeys(forms, (3, 227, 227)) | {"2014, torchvision": (3, 224, 224)}
tables.networks(forms, shapes)

# %% [markdown]
# The towers save 1.4 million parameters of 62, but **36 % of the work**. The form of
# 2014 saves as much with fewer channels.

# %% [markdown] slide="slide"
# ## ReLU against tanh, with fitting weights
#
# In the paper's Figure 1 a four-layer network with ReLU reaches 25 % training error on
# CIFAR-10 six times faster than one with tanh. This depends on the first weights and on the
# learning rate, so we give each activation what fits it. A *pre-activation* sums n_in =
# C_in k² inputs, each times a weight. Var(W) is the variance of the first weights.
#
# - **tanh** is close to the identity near 0. The sum keeps the size of its inputs if
#   Var(W) = 1 / n_in; the gradient on its way back asks for 1 / n_out, n_out = C_out k².
#   Xavier's rule lies between: Var(W) = 2 / (n_in + n_out). The sigmoid gets it too, as
#   was usual.
# - **ReLU** sets half of the values to 0, so half of the sum of squares is lost. He's
#   rule doubles the variance to make up for it: Var(W) = 2 / n_in.

# %%
ACTIVATIONS = {"ReLU": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def draw_weights(layer, name):
    """First weights that fit the activation; biases 0."""
    if name == "ReLU":
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # He's rule
    else:
        nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)

# %% slide="subslide"
def four_layers(name):
    """Three convolutions, each pooled, then one linear: (N, 3, 16, 16) -> (N, 10)."""
    layers, inputs = [], 3
    for channels in (16, 16, 32):
        conv = nn.Conv2d(inputs, channels, 5, padding=2)
        layers += [conv, ACTIVATIONS[name](), nn.MaxPool2d(2)]
        inputs = channels
    layers += [nn.Flatten(), nn.Linear(32 * 2 * 2, 10)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw_weights(layer, name)
    return nn.Sequential(*layers)

# %% [markdown] slide="subslide"
# As in the paper the *training* error counts, without dropout and weight decay; `fit`
# takes SGD with momentum 0.9. To save time 2,000 photos have 16 × 16 pixels, and the
# target is 40 %, not the paper's 25. One seed chooses among five rates, three other seeds
# compare. **Predict**: which activation gets the larger rate, and which learns faster?

# %%
some = photos.train.subset(course.pick(tiny=150, small=2000, full=20_000))
small = replace(some, images=F.avg_pool2d(some.images.float(), 2).round().byte())
epochs, seeds = course.pick(tiny=(3, 1), small=(10, 3), full=(30, 5))
target = course.pick(tiny=0.5, small=0.4, full=0.25)  # the paper: 0.25


def errors_of(name, lr, epochs, seed):
    """Training error after each epoch, as fractions; it begins at guessing, 0.9."""
    torch.manual_seed(seed)
    loader = small.loader(20, shuffle=True, seed=seed)
    history = fit(four_layers(name), loader, epochs=epochs, lr=lr, progress=False)
    return [0.9, *(1 - share for share in history["train_accuracy"])]


rates = course.pick(
    tiny=[0.005, 0.01],
    small=[0.00125, 0.0025, 0.005, 0.01, 0.02],
    full=[0.00125, 0.0025, 0.005, 0.01, 0.02],
)
tried = {
    name: [errors_of(name, lr, epochs, seed=99)[-1] for lr in rates]
    for name in ("ReLU", "tanh")
}
best = {name: rates[errors.index(min(errors))] for name, errors in tried.items()}

# %% slide="subslide"
# alt: Training error after the last epoch against the learning rate, for ReLU and tanh: a
# alt: curve for each, with its lowest point marked in the title.
title = f"The best of {len(rates)} rates is {best['ReLU']} for ReLU,"
title += f" {best['tanh']} for tanh"
axis = {"xlabel": "learning rate", "ylabel": "training error (%)"}
plot.band(rates, tried, title=title, log=True, **axis).set_yscale("linear");

# %%
runs = {n: [errors_of(n, best[n], epochs, seed) for seed in range(seeds)] for n in best}


def epochs_to(errors):
    """Epochs until the target, on a straight line between two epochs."""
    for epoch, (before, after) in enumerate(pairwise(errors)):
        if after <= target:
            return epoch + (before - target) / (before - after)
    return float(epochs)


needed = {n: torch.tensor([epochs_to(errors) for errors in runs[n]]) for n in runs}
ratio = needed["tanh"] / needed["ReLU"]

# %% slide="subslide"
# alt: Training error by epoch of the four-layer network with ReLU and He's weights and
# alt: with tanh and Xavier's, bands over seeds; a dotted line marks the target.
mean = {name: values.mean() for name, values in needed.items()}
title = f"tanh reaches {target:.0%} in {mean['tanh']:.1f} epochs,"
title += f" ReLU in {mean['ReLU']:.1f}"
axis = {"xlabel": "epoch", "ylabel": "training error (%)", "title": title}
axis |= {"paper": target, "paper_label": "target"}
plot.band(range(epochs + 1), runs, **axis);

# %%
print(f"tanh / ReLU by seed: {', '.join(f'{r:.2f}' for r in ratio.tolist())}; paper: 6")

# %% [markdown]
# Each best rate lies inside the grid; tanh takes the larger one. Tanh needs about **0.8
# times** ReLU's epochs, in all three seeds, and within ten epochs it alone reaches the
# paper's 25 %. The paper's six is not found here. But do not conclude that tanh is better:
# the network is small, and the photos are few. **Such a ratio says as much about first
# weights and learning rates as about the activation.** What speaks for ReLU shows in deeper
# networks.

# %% [markdown] slide="subslide"
# **What happens to a gradient in deeper networks?** On its way back each layer multiplies
# it by the activation's *slopes* and by the weights. ReLU's slope is 1 for a
# positive pre-activation and 0 for a negative one. Tanh's is 1 at 0 and falls to 0 on
# both sides, sigmoid's is 1/4 at most. The size of a gradient is the root of a sum of
# squares, so the *root mean square* (RMS) of the slopes counts: √½ for ReLU, where half
# are 1. **Before training, over 16 layers: which activation keeps the gradient best?**

# %%
def way_back(name, depth, seed):
    """Product of the layers' RMS slopes, and the size of the first layer's gradient."""
    torch.manual_seed(seed)
    x, sums, product = torch.randn(4, 32, 12, 12), [], 1.0
    for _ in range(depth):
        layer = nn.Conv2d(32, 32, 3, padding=1)
        draw_weights(layer, name)
        sums.append(layer(x).requires_grad_())
        x = ACTIVATIONS[name]()(sums[-1])
        [slopes] = torch.autograd.grad(x.sum(), sums[-1], retain_graph=True)
        product *= slopes.square().mean().sqrt().item()
    score = (x * torch.randn_like(x)).sum()
    first, last = torch.autograd.grad(score, [sums[0], sums[-1]])
    return product, (first.std() / last.std()).item()


depths = (3, 8, 16)
found = {}
for name in ACTIVATIONS:
    found[name] = [[way_back(name, d, seed) for d in depths] for seed in range(3)]
products = {n: [[p for p, _ in one] for one in found[n]] for n in found}
gradients = {n: [[g for _, g in one] for one in found[n]] for n in found}

# %% slide="subslide"
# alt: The gradient at the first layer in parts of that at the last, over 3, 8 and 16
# alt: layers: near 1 for ReLU with He's weights, smaller for tanh, vanishing for sigmoid.
title = "ReLU with He's weights keeps the gradient best"
axis = {"xlabel": "layers", "ylabel": "gradient, first / last layer", "log": True}
plot.band(depths, gradients, title=title, **axis);

# %%
print("over 16 layers     product of RMS slopes   gradient, first / last")
for name in found:
    both = products[name], gradients[name]
    slopes, left = (sum(row[-1] for row in rows) / len(rows) for rows in both)
    print(f"{name:18}{slopes:22.2g}{left:25.2g}")

# %% [markdown]
# ReLU keeps 0.65 of the gradient, tanh 0.16. By slopes alone tanh leads, 0.29 to 0.0037:
# √½ over 16 layers is 1/256. But He's rule doubles the variance of the weights, a factor
# of √2 in each layer: **√½ · √2 = 1**. Tanh's slopes are nearer to 1, but Xavier's
# weights do not make up for what is missing. Sigmoid loses nearly all: this is the
# *vanishing gradient*.

# %% [markdown] slide="slide"
# ## A small trick: normalise by the neighbours
#
# *Local response normalisation* (LRN) divides each value by a measure of n neighbouring
# channels at the same position, i − ⌊n/2⌋ to i + ⌊n/2⌋, as far as they exist:
#
# $$b_i = a_i \Big/ \Big(k + \alpha \sum_j a_j^2\Big)^{\beta}$$
#
# Four channels, a = (1, 2, 3, 4), with n = 3 and k = α = β = 1. **Compute all four.**
# torch's layer is tried with two values of α:

# %% check=True
column = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
by_hand = [1 / (1 + 5), 2 / (1 + 14), 3 / (1 + 29), 4 / (1 + 25)]
print("by hand         ", *(f"{b:.4f}" for b in by_hand))
for alpha in (1, 3):
    layer = nn.LocalResponseNorm(3, alpha=alpha, beta=1, k=1)
    print(f"torch, alpha={alpha}: ", *(f"{b:.4f}" for b in layer(column).flatten()))

# %% [markdown]
# torch divides α by n. So the paper's α = 10⁻⁴ with n = 5 is **5 · 10⁻⁴** in torch.
# Whoever types 10⁻⁴ gets another network and no error message. The paper reports 1.4
# points less top-1 error; VGG found no gain (lecture 04).

# %% [markdown] slide="slide"
# ## Dropout and new views against overfitting
#
# The paper takes 224 × 224 crops of 256 × 256 images, mirrored or not (lecture 02), shifts
# their colours (exercise 03.5), and drops half of the units of the first two linear layers
# (lecture 01). Without crops and mirrors the authors see "substantial overfitting".
#
# **What changes if crops and mirrors (*views*) are added, and then dropout?** A small
# AlexNet gets only 500 photos, many times, so that it can learn them by heart.

# %%
width = course.pick(tiny=1 / 32, small=1 / 16, full=1 / 4)
few = photos.train.subset(course.pick(tiny=100, small=500, full=5000))
judge = photos.val.subset(course.pick(tiny=100, small=2000, full=5000)).loader(500)
rounds, tries = course.pick(tiny=(2, 1), small=(40, 1), full=(60, 3))
views = (RandomCrop(4), HorizontalFlip())
FORMS = {"neither": (0.0, ()), "views": (0.0, views), "views and dropout": (0.5, views)}


def remedied(form, seed):
    """An AlexNet trained with these remedies against overfitting: its history."""
    dropout, augment = FORMS[form]
    torch.manual_seed(seed)
    net = alexnet(10, width=width, dropout=dropout, stem="cifar")
    loader = few.loader(32, augment=augment, shuffle=True, seed=seed)
    recipe = {"optimizer": "adamw", "lr": 2e-3, "schedule": "onecycle"}
    return fit(net, loader, judge, epochs=rounds, progress=False, **recipe)


remedies = {form: [remedied(form, seed) for seed in range(tries)] for form in FORMS}

# %% slide="subslide"
# alt: Training and validation accuracy by epoch in three panels. Without remedies training
# alt: climbs far above validation; with crops and mirrors, and with dropout too, the two
# alt: stay near each other.
last = [histories[0].rows[-1] for histories in remedies.values()]
gaps = [f"{100 * (r['train_accuracy'] - r['val_accuracy']):.0f}" for r in last]
title = f"Training minus validation: {gaps[0]} points, with views {gaps[1]},"
title += f" with dropout too {gaps[2]}"
plot.curves(remedies, metric="accuracy", panels=True, title=title);

# %% [markdown]
# Without remedies the network learns its 500 photos by heart: 100 % in training, and 69
# points less on new photos. With crops and mirrors the gap is 11 points, with dropout too
# it is 4, in part because training is then judged on cropped photos, with units dropped.
# **A smaller gap is not yet a better network:** on new photos the three end within about
# five points, and one seed each does not order them.

# %% [markdown] slide="slide"
# ## LeNet and AlexNet on the same photos
#
# Now the lecture's question. Three small AlexNets are kept runs: 45,000 photos of CIFAR-10,
# 20 epochs each. One is whole, one has no dropout, one no crops (mirrors stay). We train
# LeNet-5 with the same photos, epochs, views and optimizer; four epochs each choose among
# three learning rates. **In which order do the four end? Which of them overfit?**

# %%
everything = photos.train.subset(course.pick(tiny=200, small=None, full=None))
new_photos = photos.val.subset(course.pick(tiny=100, small=None, full=None)).loader(500)


def train_lenet(lr, epochs):
    """A trained LeNet-5, and its history."""
    torch.manual_seed(run.seed)
    lenet = LeNet5(10, 3)
    lenet.c1[0].padding = (0, 0)  # photos have 32 × 32 pixels already
    loader = everything.loader(128, augment=views, shuffle=True, seed=0)
    recipe = {"optimizer": "adamw", "lr": lr, "schedule": "onecycle", "progress": False}
    return lenet, fit(lenet, loader, new_photos, epochs=epochs, **recipe)

# %%
rates = (0.002, 0.004, 0.008)
short = {lr: train_lenet(lr, 4)[1]["val_accuracy"][-1] for lr in rates}
print(", ".join(f"rate {lr}: {share:.1%}" for lr, share in short.items()))
best_rate = max(short, key=short.get)
lenet, history = train_lenet(best_rate, epochs=course.pick(tiny=4, small=20, full=20))

# %% slide="subslide"
# alt: Training and validation accuracy by epoch in four panels: LeNet-5, trained here, and
# alt: the kept AlexNets: whole, without dropout, without crops. LeNet-5 ends lowest, and no
# alt: training curve ends more than a point above validation.
KEPT = {"AlexNet": "alexnet", "AlexNet, no dropout": "alexnet-no-dropout"}
KEPT |= {"AlexNet, no crops": "alexnet-no-crops"}
four = {"LeNet-5 (yours)": [history]}
four |= {k.rpartition(", ")[2]: kept.runs(name) for k, name in KEPT.items()}
ends = [seed.rows[-1] for seeds in four.values() for seed in seeds]
gap = max(100 * (end["train_accuracy"] - end["val_accuracy"]) for end in ends)
title = f"No training curve ends more than {gap:.1f} points above validation"
plot.curves(four, metric="accuracy", panels=True, title=title);

# %% [markdown] slide="subslide"
# **And on the test photos?** A *processor minute* is a minute of one processor's work.

# %%
lenet_accuracy = evaluate(lenet, photos.test.loader(1000)).accuracy
kept.scoreboard(KEPT, yours={"LeNet-5 (yours)": (lenet, history, lenet_accuracy)})

# %%
lead = kept.difference([lenet_accuracy], "alexnet")
print("test, AlexNet minus LeNet-5:", lead)
for label in list(KEPT)[1:]:
    print(f"test, {label} minus AlexNet:", kept.difference("alexnet", KEPT[label]))
print(kept.caption("alexnet"))

# %% [markdown]
# AlexNet is **about 16 points ahead** of LeNet-5, for 16 times the multiply-adds. The two
# differ in size, activation, pooling and dropout at once, so this does not show which part
# gains them.
#
# But this AlexNet is best **without dropout**: 5.3 ± 0.6 points above the whole one.
# Without crops it gains 2.7 ± 0.6. (± is the standard error. The whole AlexNet has three
# seeds, the others one; their part counts the choice of test photos alone.) Both remedies are against overfitting, and the panels
# show little. (Training is judged on cropped photos, with units dropped, so the true gap
# is larger.) Here they prevent little, and cost points. On 500 photos the same kind of
# network did overfit. **Look at the gap first, then choose the remedy.** Longer runs may
# need both.

# %% [markdown] slide="slide"
# ## Look inside
#
# What has such an AlexNet learned? The course brings the weights of a run of four epochs.
# Each row shows the eight photos with the largest values in a channel of the last
# convolution, for four of its 32 channels. **Do the photos of a row share a class? Would
# they in an untrained network?**

# %% name="rows"
# alt: Four rows of eight validation photos, those with the largest values in one channel
# alt: of the fifth convolution, with their classes. Most rows have one frequent class.
small_alexnet, _ = pretrained("alexnet", "cifar10")
asked = photos.val.subset(course.pick(tiny=100, small=1000, full=2000))


def strongest(net):
    """For each channel of convolution 5 the eight photos with its largest values."""
    batches = [images for images, _ in asked.loader(200)]
    maps = [look.feature_maps(net, one, "features.4")["features.4"] for one in batches]
    largest = torch.cat([one.amax(dim=(2, 3)) for one in maps])  # (photos, channels)
    return largest.argsort(dim=0, descending=True)[:8].T


def alike(chosen):
    """How many photos of each row are of its most frequent class."""
    labels = asked.labels[chosen]
    return (labels == labels.mode(dim=1).values[:, None]).sum(dim=1).double()


rows = strongest(small_alexnet)[:4]
titles = [photos.classes[asked.labels[i]] for i in rows.flatten()]
title = f"In each row {alike(rows).min():.0f} to {alike(rows).max():.0f} of 8 photos"
title += " are of one class"
pictures.image_grid(asked.images[rows.flatten()], titles, title=title);

# %%
torch.manual_seed(0)
eights = {"trained": strongest(small_alexnet)}
eights["untrained"] = strongest(alexnet(10, width=1 / 8, stem="cifar"))
eights["photos at random"] = torch.randint(len(asked.labels), (1000, 8))
print("photos of one class among eight, mean ± standard error over the rows")
for name, chosen in eights.items():
    counts = alike(chosen)
    print(f"{name:17} {counts.mean():.1f} ± {counts.std() / len(counts) ** 0.5:.1f}")

# %% [markdown]
# 4 to 7 of 8. Over all 32 channels it is 5.0 ± 0.3 on average; untrained it is 2.5, as with
# photos drawn at random. Nobody told a channel what to look for: this is what "learned
# features" means.

# %% [markdown] slide="slide"
# ## Against the paper: what each trick gains
#
# | the paper's trick | points of top-1 error |
# |---|---|
# | five networks averaged (exercise 03.7) | 2.6 |
# | two towers, against one with half the kernels | 1.7 |
# | ten crops of a test photo averaged | 1.5 |
# | LRN | 1.4 |
# | overlapping pooling | 0.4 |
#
# *Overlapping pooling* has windows of 3, not 2, with stride 2. All are single runs, and on
# our 10,000 test photos chance alone is worth 0.4 points.
#
# The list leaves out the network itself, and ReLU, dropout and crops in training: the paper
# gives no such number for them. The lead over the second team was 9.8 points of top-5 error.

# %% [markdown] slide="slide"
# ## Answer
#
# How far is AlexNet ahead of LeNet-5, and how many times faster is ReLU?

# %% slide="fragment"
kind = photos.test.kind  # drawings at scale tiny
print(f"AlexNet minus LeNet-5 on the test {kind}: {lead.points:+.1f} points")
print(f"tanh needs {ratio.mean():.1f} times ReLU's epochs (paper: 6)")
measured = f"AlexNet is {lead.points:.1f} points ahead of LeNet-5 on the same photos;"
measured += f" with fitting weights tanh needs {ratio.mean():.1f} times ReLU's epochs"
left, lost = (sum(g[2] for g in gradients[n]) / 3 for n in ("ReLU", "sigmoid"))
counted = f"over 16 layers a gradient keeps {left:.2f} of its size with ReLU and He's"
counted += f" weights, {lost:.0e} with sigmoid; trained on {kind} only for show"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown] slide="fragment"
# The small AlexNet is about 16 points ahead, and about 5 more without dropout. The paper's
# six is not found: with weights and rates for each, in our small network, tanh needs 0.8
# times ReLU's epochs.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# and the second time a stronger one. *Predict*: before any cell runs it.

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
# ### 03.2 Repair: four numbers that are often told wrong
#
# Each sentence has one wrong number. Give the right ones.
#
# - (a) "A photo of 224 × 224 without padding gives maps of **55** × 55 after the first
#   convolution (11 × 11, stride 4)."
# - (b) "The first layer has **253,440** values: maps of 55 × 55 in 96 channels."
# - (c) "A 256 × 256 image has **2,048** views: crops of 224 × 224, mirrored or not."
# - (d) "With 224 × 224, no padding, **9,216** values enter the linear layers." (Three
#   poolings of 3, stride 2; the other convolutions keep the sides.)

# %%
# solution
repaired = (54, 55 * 55 * 96, 2 * 33 * 33, 256 * 5 * 5)  # (a), (b), (c), (d)

# %%
check("03.2", repaired)

# %% [markdown] solution=True
# (54 − 3) / 2 + 1 = 26 with half a step left, then 12 and 5: 256 · 5 · 5 = 6,400. For 55
# × 55 the photo needs 227 pixels, or padding by 2. The printed 253,440 is 55 · 48 · 96:
# somebody took the 48 channels of one GPU for a side. Two more numbers to doubt: AlexNet
# without outside data has 16.4 % top-5 error, and 15.3 % is with it; "11.7 % in 2013, 7.3
# % in 2014" are two teams, Clarifai and VGG.

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
# [0, 1] of shape (N, 3, H, W), and `draws` (N, 3), the α of each image. (The paper draws
# them with a standard deviation of 0.1.)

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

# %% [markdown] slide="subslide"
# ### 03.6 Investigate: one convolution less
#
# Section 7 of the paper: without any one of the middle layers the top-1 error rises by
# about 2 points. Write `shallow(width)`, the small AlexNet **without convolution 5**
# (`features[4]`). Train it and the whole one with `history_of`. `pairs` holds for each
# of two or more seeds (history of the whole, history of the shallow one).

# %%
fewer = photos.train.subset(course.pick(tiny=100, small=1000, full=20_000))
passes = course.pick(tiny=1, small=6, full=20)


def whole(width: float) -> nn.Module:
    """AlexNet for 32x32 images and ten classes."""
    return alexnet(10, width=width, stem="cifar", dropout=0.2)


def history_of(build, seed):
    """Train the network that `build` gives, from He's weights."""
    torch.manual_seed(seed)
    net = build(1 / 16)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw_weights(layer, "ReLU")
    loader = fewer.loader(32, shuffle=True, seed=seed)
    return fit(net, loader, judge, epochs=passes, lr=0.01, progress=False)

# %% slide="subslide"
def shallow(width: float) -> nn.Module:
    """AlexNet for 32x32 images and ten classes, without its fifth convolution."""
    # solution
    model = whole(width)
    model.features[4] = nn.Identity()
    return model

# %%
# solution
pairs = [(history_of(whole, seed), history_of(shallow, seed)) for seed in range(3)]

# %%
check("03.6", (shallow, pairs))

# %% [markdown]
# **Explain:** do the seeds agree on the sign? What would you change to see 2 points
# with confidence?

# %% [markdown] solution=True
# Ours lose +3.9, −5.6 and +10.0 points: they do not agree. With 1,000 photos and few
# passes no network has finished learning, and chance is larger than 2 points. To see 2
# points, first make every network learn to the end, on more photos,
# then take more seeds. Their spread tells how many.

# %% [markdown] slide="subslide"
# ### 03.7 Write: networks that vote
#
# The paper averages the predictions of five networks: the top-5 error falls from 18.2 to
# 16.4 %. `vote` gets the logits (M, N, K) of M networks for N images, and returns the N
# classes whose **averaged probability** is largest.

# %%
def vote(logits: torch.Tensor) -> torch.Tensor:
    """Classes (N,) by the mean over networks of the softmax of logits (M, N, K)."""
    # solution
    return logits.softmax(dim=2).mean(dim=0).argmax(dim=1)

# %%
check("03.7", vote)

# %% slide="skip"
check.progress("03")

# %% [markdown] slide="slide"
# ## Recap
#
# 1. A window gives ⌊(n + 2p − k) / s⌋ + 1 values: 227 → 55 → 27 → 13 → 6. The linear
#    layers hold 96 % of 61 million parameters; the convolutions do 92 % of the work.
# 2. A gradient meets slopes and weights in each layer. ReLU keeps half of the sum of
#    squares, so He's rule has Var(W) = 2 / n_in; tanh takes Xavier's, 2 / (n_in + n_out).
# 3. `groups=g`: each kernel reads C_in / g channels, C_out (C_in / g · k² + 1)
#    parameters. LRN divides by neighbouring channels; torch's α is n times the paper's.
# 4. Crops, mirrors and dropout are against overfitting. Our small AlexNet overfitted little on
#    45,000 photos; in 20 epochs it was better without dropout, and better without crops.

# %% [markdown] slide="skip"
# ## References
#
# - A. Krizhevsky, I. Sutskever, G. Hinton: *ImageNet Classification with Deep
#   Convolutional Neural Networks*, NIPS 2012: Fig. 1 (ReLU), Sec. 3 (the network), 4
#   (overfitting), 6 (results), 7 (depth).
# - A. Krizhevsky: *One weird trick for parallelizing convolutional neural networks*,
#   arXiv:1404.5997, 2014: the form in one column.
# - O. Russakovsky et al.: *ImageNet Large Scale Visual Recognition Challenge*, IJCV 115,
#   2015: winners to 2014, human accuracy; 2016 from the contest's page.
# - K. He, X. Zhang, S. Ren, J. Sun: *Deep Residual Learning for Image Recognition*, CVPR
#   2016. J. Hu, L. Shen, G. Sun: *Squeeze-and-Excitation Networks*, CVPR 2018.
# - CIFAR-10: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*,
#   2009.

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
winners |= {"2014": 0.067, "2015": 0.0357}
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
# alt: What is left of the gradient on its way back through 16 layers, logarithmic: near 1
# alt: for ReLU with He's weights and tanh with Xavier's, below a billionth for sigmoid.
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
    return [(v.grad.norm() / values[-1].grad.norm()).item() for v in values[::-1]]


ways = {"ReLU, He": left(torch.relu, 2.0), "tanh, Xavier": left(torch.tanh, 1.0)}
ways["sigmoid, Xavier"] = left(torch.sigmoid, 1.0)
about = {"xlabel": "layers on the way back", "ylabel": "gradient, at first 1"}
ax = plot.band(range(16), ways, log=True, **about)
ax.set(xscale="linear", xticks=range(0, 16, 3), xlim=(-0.5, 15.5))

# %% slide="only" name="tricks"
# alt: Points of top-1 error that the paper reports for each trick: five networks averaged
# alt: 2.6, two towers 1.7, ten crops 1.5, LRN 1.4, overlapping pooling 0.4.
tricks = {"five networks averaged": 2.6, "two towers": 1.7, "ten crops averaged": 1.5}
tricks |= {"LRN": 1.4, "overlapping pooling": 0.4}
plot.bars(tricks, xlabel="points of error less, one run of each")

# %% slide="only" name="kept-three"
# alt: Training and validation accuracy over 20 epochs in three panels: the small AlexNet, the
# alt: same without dropout, which ends highest, and without crops. Training ends below or
# alt: near validation in all three.
three = {"AlexNet": "alexnet", "no dropout": "alexnet-no-dropout", "no crops": "alexnet-no-crops"}
plot.curves({k: kept.runs(v) for k, v in three.items()}, metric="accuracy", panels=True)

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
# parameters are, and compare two activations fairly. Ask who has heard the name, and
# for what. Expect “the first deep network”: LeNet is 14 years older.

# %% [markdown] slide="only"
# ## Last time: more photos out of the same, in three questions
#
# 1. Which views of a photo keep its label?
# 2. Is the validation set augmented, too?
# 3. What does dropout do in evaluation mode?
#
# . . .
#
# 1: it depends on the task; a 6 turned is a 9. 2: no. 3: nothing.
#
# Note: 2 min. A different row answers each. AlexNet uses both remedies, and this is
# where they became famous. Expect “yes” for 2: who augments the validation set measures
# another task. Skip the third when late.

# %% [markdown] slide="only"
# ## ImageNet's contest: in 2012 the error falls by 9.4 points
#
# ![](run:contest)
#
# *Top-5 error*: the right class is not among five guesses.
#
# Note: 2 min. 1.2 million photos, 1,000 classes. From 25.8 to 16.4, and the second team of
# 2012 had 26.2. Ask what had changed. Expect “deep networks were invented”: LeNet is of 1998.

# %% [markdown] slide="only"
# ## Three things came together
#
# | | LeNet, 1998 | winner, 2011 | AlexNet, 2012 |
# |---|---|---|---|
# | features | learned | by hand | learned |
# | images | 60,000 | 1.2 million | 1.2 million |
# | computing | a processor | processors | two GPUs |
#
# Note: 2 min. Ask which of the three was new: none of them alone. Without the photos 61
# million parameters learn by heart; without GPUs six days become months. Expect “the
# network”: its parts are those of 1998.

# %% [markdown] slide="only"
# ## LeNet-5 and a small AlexNet learn from the same photos
#
# ### 45,000 photos of CIFAR-10, 20 epochs: how many points is AlexNet ahead?
#
# . . .
#
# Vote: 0, 5, 15 or 30.
#
# Note: 1.5 min. Both are built of the same parts; this AlexNet has an eighth of the width.
# Write the counts on the board; the answer comes near the end. Expect most at 5.

# %% [markdown] slide="only" part="The network"
# ## The same parts as LeNet, a thousand times larger
#
# ![](run:network)
#
# LeNet-5 has 61,706 parameters, AlexNet 60,965,224. Below a layer: channels × side × side.
#
# Note: 2 min. Find LeNet's parts: convolution, activation, pooling, linear layers. New:
# ReLU, overlapping maxima, dropout. 1,700 times the work, counted in multiply-adds. Ask
# which part LeNet lacks. Expect “pooling”: it has the mean, and 2 × 2.

# %% [markdown] slide="only"
# ## By hand: from 227 pixels to 6
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# n pixels, padding p, window k, stride s; rounded down.
#
# ### Convolution 11 × 11, stride 4; then pooling 3 × 3, stride 2: which sides?
#
# . . .
#
# > **55, then 27** and on to 13 and 6
#
# Note: 2.5 min. Two minutes on paper. With 224 pixels it is 54.25: the paper's 224 is a
# misprint, or a padding that it does not mention. Expect 54 or 56: the + 1 was
# forgotten, or the division rounded up.

# %% [markdown] slide="only"
# ## The five convolutions are eight lines
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
# Note: 2 min. Read it from top to bottom with the picture. Three linear layers follow,
# with dropout before the first two. `norm` and `groups` come in a moment. Skip when
# late. Ask why padding is 2 for 5 × 5. Expect “to be safe”: it keeps the sides, since
# 27 + 4 − 5 + 1 is 27.

# %% [markdown] slide="only"
# ## A first kernel answers to colours and edges, not to objects
#
# ### Where will this kernel's map be brightest?
#
# ![](play:kernels)
#
# Note: 2 min. The first layer of our small AlexNet, for photos of 32 × 32. Choose a kernel,
# let one student point at a place, then show the map. Expect “on the object”. Late: one
# kernel.

# %% [markdown] slide="only"
# ## Linear layers hold the numbers, convolutions do the work
#
# ### Which share of the parameters is in the convolutions? And of the multiply-adds?
#
# . . .
#
# ![](run:share)
#
# Note: 2 min. Expect half and half. A kernel's weight is used at each place of its map,
# a linear layer's once. The first linear layer alone has 37.8 of 61 million. Skip the
# vote on the work when late.

# %% [markdown] slide="only"
# ## Two GPUs meet in convolution 3 and in the linear layers
#
# ![](draw:architectures.two_towers())
#
# Note: 2 min. Each has 3 GB, and computes half of the channels. Before you show it, ask where
# the halves exchange their values, and expect “at the end only”. 48 × 55²: 48 channels of
# 55 × 55. Poolings are not drawn. Convolutions 2, 4 and 5 read their own half alone; follow
# the arrows that cross.

# %% [markdown] slide="only"
# ## Two towers are one convolution in two groups
#
# ![](run:groups)
#
# Note: 2 min. Each kernel reads 48 channels: half the weights, half the work. In the
# whole network: 1.4 of 62 million parameters, but 36 percent of the work. Ask what a
# kernel of the upper group reads. Expect “all 96 channels”: that is groups=1. Skip the
# whole network when late.

# %% [markdown] slide="only" part="Activations"
# ## The paper: ReLU learns six times faster than tanh
#
# ### What else must be equal, for this to be a fair test?
#
# . . .
#
# - First weights fit the activation: variance 2 / n (He) for ReLU, smaller (Xavier) for tanh.
# - Each has its own best learning rate.
# - Each is trained from several seeds.
#
# Note: 2 min. Collect on the board. The paper's Figure 1 is one run of each. n counts
# the inputs of one output. With weights that suit neither, a comparison says nothing.
# Expect “the same learning rate for both”: that favours the one it fits.

# %% [markdown] slide="only"
# ## With fitting weights and rates, ReLU has no lead here
#
# ![](run:range(epochs + 1), runs)
#
# Tanh needs {{ said(r"tanh needs ([\d.]+) times") }} times ReLU's epochs; paper: 6.
#
# Note: 2 min. Four layers, 2,000 small photos, three seeds. Expect “so tanh is better”: no,
# the network is small and the photos are few. The ratio says as much about weights and
# rates as about the activation.

# %% [markdown] slide="only"
# ## Through 16 layers, sigmoid loses the gradient
#
# ![](run:slopes)
#
# Slopes: ReLU 0 or 1, tanh at most 1, sigmoid at most ¼.
#
# Note: 2 min. Each layer multiplies by slopes and weights. ReLU loses half of the sum
# of squares, and He's rule doubles the variance to make up for it. What speaks for ReLU
# is depth, and that it is cheap. Let them read off sigmoid's last value. Ask why ReLU
# with half of its slopes at 0 loses nothing. Expect “its slope is 1”: only for half of
# the units. Skip the weights when late.

# %% [markdown] slide="only" part="Tricks"
# ## Local response normalisation divides by the neighbours
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
# torch divides α by n: the paper's 10⁻⁴, with n = 5, is 5 · 10⁻⁴ there.
#
# Note: 2 min. LRN: a is one channel, j its n neighbours at the same place. Who types 1e-4
# gets another network and no error message. VGG found no gain; BatchNorm took its place.
# Skip when late.

# %% [markdown] slide="only"
# ## In the paper each trick gains 0.4 to 2.6 points
#
# ![](run:tricks)
#
# On 10,000 test photos chance alone is worth 0.4 points.
#
# Note: 2 min. Top-1 error, one run of each. Chance: √(0.8 · 0.2 / 10,000) at 80
# percent. The lead over the second team was 9.8 points of top-5 error. Ask what the
# list leaves out: the network itself, deep and learned from the pixels of 1.2 million
# photos. Expect “dropout” for the largest: the list has no such row. Skip when late.

# %% [markdown] slide="only"
# ## Against overfitting: other views, and dropout
#
# ![](run:views)
#
# Left the photo, then shifted views, two of them mirrored. Dropout: half of the units are 0.
#
# Note: 2 min. 61 million parameters, 1.2 million photos: without crops the paper's
# network overfits substantially. Ask how many views 224 of 256 pixels give: (256 − 224
# + 1)² × 2. Expect 32 × 32 × 2. Our small photos get a black border first. Skip the
# count when late.

# %% [markdown] slide="only" part="Results"
# ## AlexNet is far ahead of LeNet-5 on the same photos
#
# > **{{ said(r"AlexNet minus LeNet-5 on the test .*?: ([+\d.]+) points") }}** points on new photos
#
# . . .
#
# > **{{ f"{100 * sum(kept.test_accuracy('alexnet')) / len(kept.test_accuracy('alexnet')):.1f} %" }}** AlexNet
#
# . . .
#
# 45,000 photos of CIFAR-10, 10,000 test photos; {{ kept.budget("alexnet") }}.
#
# Note: 2 min. Compare with the votes. An eighth of AlexNet's width; the same views for
# both; the standard error is below one point. Ask what differs: size, activation,
# pooling, dropout, all at once. Expect “because it is deeper”: this comparison does not
# say which part it is.

# %% [markdown] slide="only"
# ## Little overfitting: each remedy costs points here
#
# ### Which of the three networks overfits?
#
# . . .
#
# ![](run:kept-three)
#
# No dropout: {{ f"{kept.difference('alexnet', 'alexnet-no-dropout').points:+.1f}" }} points on the
# test photos; no crops: {{ f"{kept.difference('alexnet', 'alexnet-no-crops').points:+.1f}" }}.
#
# Note: 3 min. Hardly any: training ends below or near validation, though crops and dropout
# make the gap look smaller. Expect “crops always help”. The paper's network overfits, and
# so does this one on 500 photos: in the notebook. First look at the gap, then choose the
# remedy. In longer runs crops may pay again.

# %% [markdown] slide="only"
# ## A trained channel answers to one kind of photo
#
# ### Four channels of convolution 5: what has each learned?
#
# . . .
#
# ![](run:rows)
#
# Of eight photos {{ said(r"trained +([\d.]+ ± [\d.]+)") }} are of one class; untrained
# {{ said(r"untrained +([\d.]+ ± [\d.]+)") }}.
#
# Note: 2.5 min. Each row: the eight photos with the largest values in one channel. Nobody
# told it a class. Ask how one would know that this is more than chance: compare with an
# untrained network, and with photos drawn at random.

# %% [markdown] slide="only"
# ## Three numbers are often told wrong
#
# 1. AlexNet's top-5 error is 15.3 %.
# 2. 224 × 224 pixels give maps of 55 × 55.
# 3. 224 of 256 pixels give 2,048 views.
#
# . . .
#
# 1: 16.4 %; the 15.3 used other photos, too. 2: 227 pixels do, or padding 2. 3: 2,178.
#
# Note: 1.5 min. Exercise 03.2. Let them find what is wrong in each line first. (256 −
# 224 + 1)² × 2 = 2,178. Skip the third when late. Expect 225 pixels for the second, and
# 32 for the third: the first place was not counted.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - Learned features, 1.2 million photos and GPUs came together.
# - The sides are 227, 55, 27, 13 and 6.
# - Convolutions do the work, linear layers hold the parameters.
# - Compare activations with weights and rates that fit each.
# - Look at the gap before you choose a remedy.
#
# Note: 1.5 min. Cover it, and let five students say one each. Expect that the third
# comes out the wrong way round. Skip it when late: it is on the sheet.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **03.1** A smaller photograph: sides and numbers on paper.
# - **03.3** Write a grouped convolution without the argument `groups`.
#
# Note: 1 min. Ten and twenty minutes. Next time: what if every convolution were 3 × 3?
# Ask who starts today. Expect “6 × 6” for 03.1: those maps belong to 227 pixels.

# %% [markdown] slide="sheet"
# ![](run:network)
#
# ## Shapes of AlexNet
#
# ![](run:look.shape_table(network, (3, 227, 227)))
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard)
