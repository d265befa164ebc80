# %% [markdown] slide="slide"
# # BatchNorm: every channel on one scale
#
# A layer that measures its own batch, and sets mean and variance to 0 and 1. We compute
# it by hand, prove it equal to torch's, and measure what it buys and what it costs.
#
# *Ioffe, Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift. International Conference on Machine Learning, 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. normalise a batch by hand, and say over which axes a convolution's is averaged;
# 2. write BatchNorm with its running statistics, and prove it equal to torch's;
# 3. tell what a network does that was left in training mode;
# 4. measure what BatchNorm does to learning rates, gradients and small batches;
# 5. fold it into the convolution before it.
#
# A run takes a quarter of a minute at scale `tiny`, and about five minutes at `small`
# on a laptop.

# %% [markdown] slide="slide"
# ## Question
#
# A network of six convolutions has 72,730 parameters. With BatchNorm after each
# convolution it has 448 more, 0.6 %.
#
# **After how many passes over the photos is it as good as the plain network after
# ten?**
#
# *A guess, before anything is computed: after 9, 5 or 2? And how many times larger may
# its learning rate be?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import copy
import statistics
from dataclasses import replace
from time import perf_counter

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching import check
from utils import course, data, look, plot
from utils.course import CourseError
from utils.models.vgg import vgg
from utils.train import evaluate, fit, train_epoch

run = course.start(seed=0)
photos = data.cifar10()
seeds = range(course.pick(tiny=1, small=3, full=3))
KINDS = {"without": False, "with BatchNorm": True}
COLORS = {name: plot.color_of(name, i) for i, name in enumerate(KINDS)}

# %% [markdown] slide="slide"
# ## A wrong scale multiplies with depth
#
# Six convolutions with ReLU, biases 0. Somebody makes all the weights **half as
# large**. By which factor do the six layers' outputs shrink? Write six numbers down.

# %% check=True
torch.manual_seed(0)
convs = [nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(6)]
x = torch.randn(16, 8, 8, 8)
with torch.no_grad():
    full = half = x
    for layer, conv in enumerate(convs, start=1):
        full = F.relu(conv(full))
        half = F.relu(F.conv2d(half, conv.weight / 2, padding=1))
        print(f"layer {layer}: 1 / {full.std() / half.std():.0f}")

# %% [markdown]
# Each layer passes its factor on. What is 2 times too small behind the first layer is
# 64 times too small at the end, and behind twenty layers a million times.

# %% [markdown] slide="notes"
# ReLU(a x) = a ReLU(x) for every a > 0: without biases such a network multiplies the
# scales of its layers. Initialisation (lecture 04) chooses the scales once, before
# training. But every step of training changes them all at the same time. The paper
# calls what a layer suffers from this *internal covariate shift*: its inputs change
# their distribution because the layers before it learn. We come back to that name, for
# it is disputed whether this is the reason why the cure works.

# %% [markdown] slide="subslide"
# **The cure:** measure the values that a channel takes in this batch. Subtract their
# mean, divide by their standard deviation. Whatever the scale was, it is gone.

# %% check=True
full = half = x
for conv in convs:
    norm = nn.BatchNorm2d(8, eps=1e-12)
    full = F.relu(norm(conv(full)))
    half = F.relu(norm(F.conv2d(half, conv.weight / 2, padding=1)))
print(f"layer 6: 1 / {(full.std() / half.std()).item():.0f}")

# %% [markdown] slide="slide"
# ## Four numbers by hand
#
# One channel, a batch of four: **0, 2, 2, 8**. Algorithm 1 of the paper has four lines:
#
# $$\mu = \frac{1}{m} \sum_i x_i \qquad \sigma^2 = \frac{1}{m} \sum_i (x_i - \mu)^2
# \qquad \hat{x}_i = \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}} \qquad y_i =
# \gamma \hat{x}_i + \beta$$
#
# Take ε = 0, γ = 6, β = 10, and compute the four y on paper.

# %% check=True
batch = torch.tensor([0.0, 2.0, 2.0, 8.0])
mean = batch.mean()
variance = (batch - mean).square().mean()  # the squares 9, 1, 1, 25: sum 36
normalised = (batch - mean) / variance.sqrt()
print("mean      ", mean.item(), "  variance", variance.item())
print("normalised", *(f"{value:.3f}" for value in normalised))
print("y         ", *(6 * normalised + 10).tolist())

# %% [markdown]
# Mean 3, variance 9, so σ = 3. The normalised values are −1, −⅓, −⅓ and 5⁄3; their mean
# is 0, their variance 1. Then 6 · (−1) + 10 = 4, and so on.

# %% [markdown] slide="notes"
# Three places where one slips. The variance is the *biased* one: divided by m, not by m
# − 1; `torch.var` divides by m − 1 unless told otherwise. ε stands inside the root,
# with the variance; it is there for channels that are constant in a batch. And γ and β
# are learned, like weights: one pair for each channel, beginning at 1 and 0. Our
# lecture slides write ε into the definition of $\hat{\sigma}^2$, which is the same.

# %% [markdown] slide="slide"
# ## One mean for each channel
#
# A convolution puts out (N, C, H, W). Which numbers share a mean? Here are six photos,
# split into their channels red, green and blue. **How many numbers go into one mean?**

# %% tags=["hide-input"]
# alt: Six photos in a grid of three rows, red, green and blue. A frame runs around the
# alt: whole row of green channels: all pixels of all photos share one mean.
shown = photos.train.images[:6].float() / 255
fig, axes = plt.subplots(3, 6, figsize=(7, 3.4))
for c, name in enumerate(("red", "green", "blue")):
    for n in range(6):
        tint = f"{name.title()}s_r"
        axes[c, n].imshow(shown[n, c], cmap=tint, vmin=0, vmax=1)
        axes[c, n].set(xticks=[], yticks=[])
        axes[c, n].spines[:].set_visible(False)
        axes[0, n].set_title(f"n = {n}", fontsize=10, loc="center")
    axes[c, 0].set_ylabel(f"{name}\nc = {c}")
fig.suptitle("One mean: a channel's row, all photos, all pixels", x=0.01, ha="left")
fig.draw_without_rendering()
fig.set_layout_engine("none")  # nothing moves any more, so a frame can be drawn
left, right = axes[1, 0].get_position(), axes[1, 5].get_position()
corner = left.x0 - 0.006, left.y0 - 0.012
size = right.x1 - left.x0 + 0.012, left.height + 0.024
frame = {"fill": False, "lw": 3, "color": plot.VALIDATION}
fig.add_artist(plt.Rectangle(corner, *size, **frame));

# %% check=True slide="subslide"
x = torch.randn(6, 3, 32, 32)  # (N, C, H, W), and one pixel of each: (N, C)
for name, values in {"BatchNorm2d": x, "BatchNorm1d": x[:, :, 0, 0]}.items():
    axes = [axis for axis in range(values.dim()) if axis != 1]
    count = values[:, 0].numel()
    shape = tuple(values.mean(axes).shape)
    print(f"{name}: statistics {shape}, from {count:,} values each")

# %% [markdown]
# 6 × 32 × 32 = 6,144 values for each of three means. A kernel visits all positions with
# the same weights, so all positions of a channel are normalised alike (section 3.2).

# %% [markdown] slide="notes"
# It is the normalisation that our loaders do to the photos, with two differences: they
# use the mean of the whole training set, once and for all; BatchNorm uses that of the
# present batch, in every layer and every step. Other axes give other layers: mean over
# (C, H, W) is layer normalisation, over (H, W) alone instance normalisation. Group
# normalisation lies between the two. None of these three looks at other examples.

# %% [markdown] slide="slide"
# ## Build: statistics and formula
#
# Lines 1 and 2 of the algorithm. **Why does it compute the mean twice?** We find out
# below.

# %% mirror="utils.models.batchnorm:batch_statistics"

# %% [markdown] slide="subslide"
# Lines 3 and 4. The statistics have shape (C,); they meet (N, C, H, W) as (1, C, 1, 1).

# %% mirror="utils.models.batchnorm:along_channels utils.models.batchnorm:normalize" slide="-"

# %% check=True
column = batch[:, None]  # four examples of one channel: (4, 1)
gamma, beta = torch.tensor([6.0]), torch.tensor([10.0])
normalize(column, *batch_statistics(column), gamma, beta).flatten().tolist()

# %% [markdown] slide="subslide"
# The layer. In training it measures the batch. In evaluation it uses statistics that it
# has remembered: then an image's answer no longer depends on its neighbours.

# %% mirror="utils.models.batchnorm:BatchNorm" slide="-"

# %% [markdown] slide="skip"
# What is left: two names for it.

# %% mirror="utils.models.batchnorm:BatchNorm1d utils.models.batchnorm:BatchNorm2d" slide="skip"

# %% [markdown] slide="slide"
# ## Running statistics remember batches
#
# After each batch, the running mean moves a *share* of the way towards the batch's.
# Torch calls the share `momentum`. They begin at mean 0, variance 1. After our batch 0,
# 2, 2, 8 with momentum 0.1, what are they?

# %% mirror="utils.models.batchnorm:update_running"

# %% check=True slide="subslide"
norm = BatchNorm1d(1)
norm(column)
print(f"running mean     {norm.running_mean.item():.2f} = 0.9 x 0 + 0.1 x 3")
print(f"running variance {norm.running_var.item():.2f} = 0.9 x 1 + 0.1 x 36 / 3")

# %% [markdown]
# Not 36 / 4: the *running* variance is unbiased, as an estimate for all data should be.
# In the forward pass the same batch is divided by m.

# %% [markdown] slide="notes"
# Two traps. Torch's momentum is the weight of the *new* value; in other libraries
# (Keras: 0.99), and in SGD's momentum too, it is the weight of the old one. And one
# layer uses two variances: biased in training, unbiased for evaluation. With 128 photos
# of 16 × 16 pixels the factor is 32,768 / 32,767; with four numbers it is 4 / 3.

# %% slide="subslide"
torch.manual_seed(run.seed)
batches = 3 + 3 * torch.randn(80, 4)  # a stream of small batches: mean 3, variance 9
memory = {}
for momentum in (0.9, 0.1, 0.01):
    norm = BatchNorm1d(1, momentum=momentum)
    memory[momentum] = []
    for four in batches:
        norm(four[:, None])
        memory[momentum].append(norm.running_mean.item())

# %% tags=["hide-input"] slide="subslide"
# alt: The running mean over 80 batches of four. With momentum 0.9 it jumps with every
# alt: batch, with 0.1 it settles around the true mean 3 after some twenty batches, with
# alt: 0.01 it is still far below it at the end.
fig, ax = plt.subplots(figsize=(7, 3.1))
styles = {0.9: ("-", "#BBBBBB"), 0.1: ("-", "#000000"), 0.01: ("--", plot.HIGHLIGHT)}
for momentum, (style, color) in styles.items():
    line = {"color": color, "label": f"momentum {momentum}"}
    ax.plot(range(1, 81), memory[momentum], style, **line)
ax.axhline(3, ls=":", color=plot.VALIDATION, label="true mean", zorder=5)
ax.set(xlabel="batch", ylabel="running mean")
fig.legend(loc="outside right center")
fig.suptitle("Which memory is too short, which one too long?", x=0.01, ha="left");

# %% [markdown]
# After t batches a share of $1 - (1 - 0.1)^t$ has been learned: half after seven
# batches, 90 % after 22. A long memory is calm, and late.

# %% [markdown] slide="slide"
# ## Equal to torch's
#
# Same input, same γ and β, one step in training mode, one in evaluation mode: output,
# all gradients, all statistics. In float32, float64, and around 10,000.

# %%
def one_step(layer, x, training):
    """What a step leaves behind: outputs, gradients, running statistics."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer.train(training)(x)
    (y * torch.linspace(-1, 1, y.numel()).to(y).view_as(y)).sum().backward()
    gradients = [x.grad, layer.weight.grad, layer.bias.grad]
    return [y.detach()], gradients, [layer.running_mean, layer.running_var]


def largest_difference(ours, theirs):
    """Relative to the largest value of each tensor."""
    pairs = zip(ours, theirs, strict=True)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)

# %% slide="subslide"
torch.manual_seed(run.seed)
print("            around  mode        output  gradients  statistics")
for dtype in (torch.float32, torch.float64):
    for around in (0, 10_000):
        layers = BatchNorm2d(5).to(dtype), nn.BatchNorm2d(5).to(dtype)
        for layer in layers:
            layer.weight.data = torch.linspace(0.5, 2, 5).to(dtype)
            layer.bias.data = torch.linspace(-1, 1, 5).to(dtype)
        for training in (True, False):
            x = (around + 3 * torch.randn(32, 5, 8, 8, dtype=torch.double)).to(dtype)
            ours, theirs = (one_step(layer, x, training) for layer in layers)
            parts = zip(ours, theirs, strict=True)
            off = "".join(f"{largest_difference(*part):11.0e}" for part in parts)
            mode = "training" if training else "evaluation"
            print(f"{str(dtype)[6:]} {around:9,}  {mode:10}{off}")

# %% [markdown]
# float32 keeps seven digits, float64 sixteen. Around 10,000 four of them are spent on
# the 10,000. The differences are roundings of that size: it is the same layer.

# %% [markdown] slide="notes"
# `tests/test_batchnorm.py` says the same for BatchNorm1d with (N, C) and (N, C, L), for
# every momentum and in half precision, and compares the gradients with finite
# differences. The gradient needs no code of ours: autograd differentiates through the
# mean and the variance as well. A layer that treated the two as constants would train
# another network; that is what Sec. 2 of the paper warns of.

# %% [markdown] slide="slide"
# ## A short formula that loses all digits
#
# Variance is also the mean of the squares minus the square of the mean: one pass over
# the data instead of two. **Values around 10,000 with variance 1: what does it say in
# float32?**

# %%
print("  around  E[x²]−E[x]²     ours    torch   exact")
for around in (0, 100, 1_000, 10_000):
    torch.manual_seed(run.seed)
    x = (torch.randn(4096, 1, dtype=torch.double) + around).float()
    short = (x.square().mean() - x.mean().square()).item()
    norm = nn.BatchNorm1d(1, momentum=1)
    norm(x)  # its running variance is now the batch's, times n / (n - 1)
    values = batch_statistics(x)[1].item(), norm.running_var.item() * 4095 / 4096
    exact = x.double().var(correction=0).item()
    print(f"{around:8,} {short:12.4f} {values[0]:8.4f} {values[1]:8.4f} {exact:7.4f}")

# %% check=True slide="subslide"
square = torch.tensor(10_000.0).square()
step = (torch.nextafter(square, torch.tensor(torch.inf)) - square).item()
print(f"float32 next to {square.item():,.0f}: the nearest numbers are {step:.0f} apart")

# %% [markdown]
# The squares are near 10⁸, where float32 counts in steps of 8. A variance of 1 hides
# between two steps. The difference of two large numbers can even be negative: then the
# root is not a number.

# %% [markdown] slide="notes"
# So ours subtracts the mean first. And the mean itself is rounded: around 10,000
# float32 counts in steps of 0.001, and a sum of thousands of numbers rounds again and
# again. That is the second mean in `batch_statistics`: the mean of what is left after
# the subtraction is small, so it is exact, and it repairs the first. It is a lesson for
# every formula: **subtract before you square**.

# %% [markdown] slide="slide"
# ## Assemble: a small VGG, twice
#
# The blocks of lecture 04, at a quarter of their width, on photos of 16 × 16. Here is
# the first of three. Predict what a BatchNorm of 16 channels adds to the parameters.

# %% check=True
SIX = ((64, 64), (128, 128), (256, 256))  # convolutions between two poolings
options = {"width": 1 / 4, "hidden": (), "stem": "cifar"}
look.shape_table(vgg(SIX, 10, batch_norm=True, **options).features[0], (3, 16, 16))

# %% check=True slide="subslide"
counts = [
    look.totals(vgg(SIX, 10, batch_norm=norm, **options), (3, 16, 16))[0]
    for norm in (False, True)
]
more = counts[1] - counts[0]
print(f"without {counts[0]:,}, with BatchNorm {counts[1]:,}: {more} more")

# %% [markdown]
# γ and β: 2 × 16 = 32. All six layers: 2 × (16 + 16 + 32 + 32 + 64 + 64) = 448. The
# running statistics are no parameters: nothing trains them.

# %% slide="subslide"
def network(norm, seed, config=SIX):
    """A small VGG; one seed gives the same weights with and without BatchNorm."""
    torch.manual_seed(seed)
    width = course.pick(tiny=1 / 8, small=1 / 4, full=1)
    model = vgg(config, 10, batch_norm=norm, width=width, hidden=(), stem="cifar")
    model.classifier[0].reset_parameters()  # VGG's N(0, 0.01) delays the plain one
    return model.to(run.device)


def shrunk(images):
    """Photos at half their side: a quarter of the work."""
    if course.pick(tiny=False, small=False, full=True):
        return images
    return replace(images, images=F.avg_pool2d(images.images.float(), 2).byte())


train = shrunk(photos.train.subset(course.pick(tiny=1280, small=5000, full=None)))
val = shrunk(photos.val.subset(course.pick(tiny=200, small=2000, full=None)))
val_loader = val.loader(500)

# %% [markdown] slide="notes"
# The network is VGG's, with the course's `vgg` and blocks of our own. One departure:
# the last linear layer begins with torch's weights. VGG's own, N(0, 0.01), are so small
# that hardly a gradient reaches the convolutions. BatchNorm does not care, the plain
# network stalls for an epoch: we do not want to win by that. Learning rates fall along
# a cosine, so that both end at rest.

# %% [markdown] slide="slide"
# ## Train: which learning rates work?
#
# The same short training, with and without, from the same weights and in the same
# order, at learning rates over more than two powers of ten. **Where does each network
# begin to learn, and where does it fail?**

# %% slide="subslide"
rates = course.pick(
    tiny=(0.03, 0.1, 0.3),
    small=(0.003, 0.01, 0.03, 0.1, 0.3, 1),
    full=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
)
few = train.subset(course.pick(tiny=512, small=4000, full=20_000))
short = {"epochs": course.pick(tiny=2, small=3, full=5), "schedule": "cosine"}
short |= {"keep_best": False, "progress": False}


def accuracy_at(lr, norm, seed):
    """Validation accuracy after a short training; an overflow counts as a guess."""
    model, loader = network(norm, seed), few.loader(128, shuffle=True, seed=seed)
    try:
        fit(model, loader, lr=lr, **short)
    except CourseError as error:
        if "not finite" in str(error):
            return 0.1
        raise
    return evaluate(model, val_loader).accuracy

# %%
sweep = {
    name: [[accuracy_at(lr, norm, seed) for lr in rates] for seed in seeds]
    for name, norm in KINDS.items()
}

# %% slide="subslide"
# alt: Validation accuracy against the learning rate on a logarithmic axis. Without
# alt: BatchNorm a low, narrow hill; with it a higher plateau that begins at smaller
# alt: rates and ends at larger ones. At the largest rate both guess.
title = "Which network needs its learning rate chosen with care?"
plot.band(rates, sweep, xlabel="highest learning rate", title=title);

# %% slide="subslide"
means = {name: torch.tensor(values).mean(dim=0) for name, values in sweep.items()}
best = {name: rates[mean.argmax()] for name, mean in means.items()}
peak = means["without"].max().item()
better = [lr for i, lr in enumerate(rates) if means["with BatchNorm"][i] > peak]
for name, mean in means.items():
    print(f"{name:15} best at {best[name]:g}: {mean.max().item():.1%}")
if better:
    span = f"{better[0]:g} to {better[-1]:g}"
    print(f"BatchNorm beats the plain network's best everywhere from {span}")

# %% [markdown] slide="notes"
# Read the figure in two ways. *Upwards*: the best rate is higher, or at least as high,
# and so is the accuracy. *Sideways*: this is what practitioners value most. The plain
# network learns in a narrow window; with BatchNorm a wide range of rates gives nearly
# the same result. It has an end as well: at a rate of 1, with momentum 0.9, our network
# does little better than guessing with BatchNorm too. BatchNorm widens the window; it
# does not remove the frame.

# %% [markdown] slide="slide"
# ## The race: each at its best rate
#
# Ten passes, each network at the rate that the sweep chose for it. The first answer to
# our question: when does one curve pass the other's end?

# %%
race, nets = {name: [] for name in KINDS}, {name: [] for name in KINDS}
passes = course.pick(tiny=5, small=10, full=30)
for name, norm in KINDS.items():
    for seed in seeds:
        model, loader = network(norm, seed), train.loader(128, shuffle=True, seed=seed)
        settings = {"lr": best[name], "schedule": "cosine", "keep_best": False}
        settings |= {"epochs": passes, "name": name, "progress": False}
        race[name].append(fit(model, loader, val_loader, **settings))
        nets[name].append(model)

# %% slide="subslide"
# alt: Validation loss and accuracy over the epochs, with a band over seeds. With
# alt: BatchNorm the network is ahead from the first epochs to the last.
plot.curves(race, title="When is the one as good as the other at its end?");

# %% slide="subslide" tags=["timed"]
goals = [history["val_accuracy"][-1] for history in race["without"]]
needed = []
for goal, history in zip(goals, race["with BatchNorm"], strict=True):
    reached = [row["epoch"] for row in history.rows if row["val_accuracy"] >= goal]
    needed.append(reached[0] if reached else passes)
    end = history["val_accuracy"][-1]
    text = f"passed in epoch {needed[-1]}, in the end {end:.1%}"
    print(f"plain network after {passes} epochs {goal:.1%}: {text}")
for name in KINDS:
    speeds = [speed for history in race[name] for speed in history["images_per_second"]]
    print(f"{name:15} {statistics.median(speeds):,.0f} photos a second in training")

# %% [markdown] slide="slide"
# ## In training mode, neighbours decide
#
# A network answers about *one* photo. In training mode its mean and variance come from
# the whole batch. We ask about the same photo 30 times, each time among 31 other
# photos.

# %%
judged = nets["with BatchNorm"][0]
images, labels = next(iter(val.loader(len(val))))


def among_others(photo, others=31, times=30):
    """Probabilities of one photo in training mode, with ever new neighbours."""
    model, answers = copy.deepcopy(judged).train(), []  # a copy: it changes itself
    for _ in range(times):
        chosen = torch.randint(len(images), (others,), device=images.device)
        with torch.no_grad():
            answers.append(model(torch.cat([photo[None], images[chosen]]))[0])
    return torch.stack(answers).softmax(dim=1)


torch.manual_seed(run.seed)
asked = images[: course.pick(tiny=4, small=100, full=100)]
answers = torch.stack([among_others(photo) for photo in asked])
classes = answers.argmax(dim=2)  # (photos, times)
waver = (classes != classes.mode(dim=1).values[:, None]).float().mean(dim=1)
share = (waver > 0).float().mean()
print(f"{share:.0%} of {len(asked)} photos change their class with their neighbours")

# %% tags=["hide-input"] slide="subslide"
# alt: Probabilities of ten classes for one photo. In training mode 30 dots for each
# alt: class are spread wide, one for each set of neighbours; in evaluation mode there
# alt: is one value for each class.
i = waver.argmax().item()
wide = {"width_ratios": (1, 4), "wspace": 0.02}
fig, (photo, ax) = plt.subplots(1, 2, figsize=(7, 3.3), gridspec_kw=wide)
photo.imshow(val.images[i].permute(1, 2, 0))
photo.set_title(f"label:\n{photos.classes[labels[i]]}", loc="center", fontsize=10)
photo.axis("off")
jitter, blue = torch.linspace(-0.28, 0.28, answers.shape[1]), plot.PALETTE["sky blue"]
for k in range(10):
    ax.plot(k + jitter, 100 * answers[i, :, k].cpu(), ".", color=blue, ms=5)
with torch.no_grad():
    once = 100 * judged.eval()(images[i : i + 1])[0].softmax(dim=0).cpu()
ax.plot(range(10), once, "D", color="black", ms=6, label="evaluation mode")
ax.plot([], [], ".", color=blue, label=f"training mode, {len(jitter)} batches")
ax.set_xticks(range(10), photos.classes, rotation=35, ha="right")
ax.set(ylabel="probability (%)", ylim=(0, None))
ax.legend(loc="lower right", ncols=2, bbox_to_anchor=(1, 0.99))
fig.suptitle("One photo: what is it?", x=0.01, ha="left");

# %% [markdown] slide="notes"
# We show the photo, of the first hundred, whose answer wavers most. In evaluation mode
# there is one answer, whoever sits beside it. That is the reason for `eval()`, and with
# BatchNorm it weighs more than with dropout: dropout makes answers noisy, BatchNorm
# makes them depend on *which other examples* are asked at the same time.

# %% [markdown] slide="slide"
# ## Forget eval(), and the figure is wrong
#
# In one place our slides measure a network's accuracy in training mode. How wrong is
# that? It depends on the neighbours. **Guess the order** of the six accuracies.

# %%
def in_training_mode(model, examples, batch_size, shuffle=True):
    """Accuracy of a copy that was left in training mode, and the copy."""
    model, right = copy.deepcopy(model).train(), 0
    for x, y in examples.loader(batch_size, shuffle=shuffle):
        with torch.no_grad():
            right += (model(x).argmax(dim=1) == y).sum().item()
    return right / len(examples), model

# %% slide="subslide"
right = evaluate(judged, val_loader).accuracy
print(f"evaluation mode{right:36.1%}")
by_class = val.take(val.labels.argsort(stable=True))
for text, examples, size, shuffle in (
    ("128 at random", val, 128, True),
    ("8 at random", val, 8, True),
    ("one by one", val, 1, True),
    ("128, sorted by class", by_class, 128, False),
    ("10, one of each class", val, 10, False),  # the order of our data sets
):
    share, left = in_training_mode(judged, examples, size, shuffle)
    print(f"training mode, {text:22}{share:14.1%}", end="")
    print(f"   then eval(): {evaluate(left, val_loader).accuracy:.1%}")

# %% [markdown]
# Large random batches hide the fault; small ones show it. Sorted batches lose what all
# their photos have in common: the class. And with one photo of each class the network
# scores *above* its true accuracy: the neighbours give something away.

# %% [markdown] slide="notes"
# The last line is the most dangerous one, since nobody doubts a figure that is too
# good. Relative to nine photos of the nine other classes, a photo's own features stand
# out; in use there are no such neighbours. Contrastive learning meets the same leak,
# and shuffles batches between its devices to close it.
#
# The last column: in training mode each forward pass also *moves the running
# statistics*, gradients or not. So the check itself has changed the network, with
# validation data. `torch.no_grad()` does not help; `eval()` does. Our
# `utils.train.evaluate` sets the mode and puts it back. The slides' accuracy check
# leaves out `eval()` with ordinary batches, the mildest case of our table. That is why
# such a fault can live for years.

# %% [markdown] slide="subslide"
# **A batch of one** with one value per channel has no variance. Torch refuses it. With
# a batch of *two*, something stranger happens. Predict the output:

# %% check=True
norm = nn.BatchNorm1d(1, eps=1e-12)
for pair in ([3.0, 5.0], [3.0, 3.001], [-100.0, 50_000.0]):
    y = norm(torch.tensor(pair)[:, None]).flatten()
    print(pair, "->", [round(value, 2) for value in y.tolist()])
try:
    norm(torch.tensor([[3.0]]))
except ValueError as error:
    print(error)

# %% [markdown]
# Always −1 and 1: of two numbers only their order survives.

# %% [markdown] slide="slide"
# ## Batch size 2 against 128
#
# Feature maps help: in a batch of two, our last layer still averages 2 × 4 × 4 = 32
# values. How far does a batch's mean miss the true one, in σ of the channel?

# %% slide="subslide"
norms = [m for m in judged.modules() if isinstance(m, nn.BatchNorm2d)]
first_and_last = {}
for name, layer in {"first": norms[0], "last": norms[-1]}.items():
    kept = []
    handle = layer.register_forward_pre_hook(lambda _, x, to=kept: to.append(x[0]))
    with torch.no_grad():
        judged.eval()(images)
    handle.remove()
    first_and_last[name] = kept[0]
sizes = course.pick(tiny=(2, 32), small=(2, 8, 32, 128), full=(2, 8, 32, 128))
print("batch size", *(f"{size:6}" for size in sizes))
for name, x in first_and_last.items():
    noise = []
    for size in sizes:
        groups = x[: len(x) // size * size].unflatten(0, (-1, size))
        noise.append(groups.mean(dim=(1, 3, 4)).std(dim=0) / x.std(dim=(0, 2, 3)))
    line = " ".join(f"{part.nanmean().item():6.2f}" for part in noise)
    print(f"{name:5} layer {line}")

# %% [markdown]
# The noise falls with the root of the batch size. The values of one map are alike, so
# 32 of them tell less than 32 independent ones would: σ / √32 is 0.18.

# %% [markdown] slide="subslide"
# Now we train with each batch size, the learning rate in proportion, on the same photos
# for two passes, without and with BatchNorm. **Does the gain survive at 2?**

# %%
def small_batches(size, norm, seed):
    """Accuracy in evaluation mode, and in training mode with batches of this size."""
    model = network(norm, seed)
    some = few.subset(course.pick(tiny=96, small=3000, full=10_000))
    settings = short | {"epochs": course.pick(tiny=1, small=2, full=2)}
    rate = best[list(KINDS)[norm]] * size / 128
    fit(model, some.loader(size, shuffle=True, seed=seed), lr=rate, **settings)
    as_trained = in_training_mode(model, val, size)[0]
    return evaluate(model, val_loader).accuracy, as_trained


scores = {
    name: torch.tensor([[small_batches(n, norm, s) for n in sizes] for s in seeds])
    for name, norm in KINDS.items()
}  # each (seeds, sizes, 2)

# %% slide="subslide"
# alt: Validation accuracy against the batch size: the plain network, the network with
# alt: BatchNorm in evaluation mode, and the same network left in training mode. The
# alt: last one falls behind at small batches.
lines = {"without": scores["without"][..., 0]}
lines["with BatchNorm"] = scores["with BatchNorm"][..., 0]
lines["the same, left in training mode"] = scores["with BatchNorm"][..., 1]
title = "Two passes over the same photos: what does a small batch cost?"
plot.band(sizes, lines, xlabel="batch size", title=title);

# %% slide="subslide"
without, normed, left = (100 * values for values in lines.values())
print("batch size   gain by BatchNorm (points)   training minus evaluation mode")
for i, size in enumerate(sizes):
    gain, gap = (normed - without)[:, i], (left - normed)[:, i]
    spread = f"{gain.min():+.1f} to {gain.max():+.1f}"
    print(f"{size:10}{spread:>24}{gap.min():+23.1f} to {gap.max():+.1f}")

# %% [markdown] slide="notes"
# Small batches mean more steps over the same photos, which helps both networks; the
# fair figure is the *gain* at the same batch size. In our run it shrinks from more than
# ten points at 128 to a few at 2. And the gap between the modes opens: the network has
# learned with noise that evaluation takes away. So BatchNorm still helps our network at
# batch size 2, thanks to its 32 values and more for each channel. On ImageNet it does
# harm: Wu and He (2018) report for ResNet-50 an error of 23.6 % with 32 images per GPU
# and of 34.7 % with 2; group normalisation, which looks at one image alone, stays at
# 24.1 %. That is the case of detection and video, where a batch of two is all that the
# memory holds.

# %% [markdown] slide="slide"
# ## Look inside: one scale at every depth
#
# Ten convolutions now, weights times ½, 1 and 2 at the beginning. We record what each
# ReLU gets, and the gradient of the loss there. **Draw the six curves before you see
# them.**

# %% slide="subslide"
TEN = ((64, 64), (128, 128), 3 * (256,), 3 * (512,))


def deep(norm, factor=1.0):
    """Ten convolutions, their first weights multiplied by a factor."""
    model = network(norm, run.seed, TEN)
    for conv in model.features.modules():
        if isinstance(conv, nn.Conv2d):
            conv.weight.data.mul_(factor)
    return model


def at_each_relu(model):
    """What each ReLU gets in training mode, and the loss's gradient there."""
    model, got = copy.deepcopy(model).train(), []
    for layer in model.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_pre_hook(lambda _, x: got.append(x[0]))
    loss = F.cross_entropy(model(some_images), some_labels)
    return [x.detach() for x in got], torch.autograd.grad(loss, got)

# %% slide="subslide"
batch_size = course.pick(tiny=64, small=256, full=512)
some_images, some_labels = next(iter(train.loader(batch_size)))
depths = {
    (name, factor): at_each_relu(deep(norm, factor))
    for name, norm in KINDS.items()
    for factor in (0.5, 1, 2)
}

# %% tags=["hide-input"] slide="subslide"
# alt: Four panels over ten layers, logarithmic. Without BatchNorm the values' standard
# alt: deviation fans out with depth over many powers of ten, and so does the gradient's
# alt: towards the first layer. With BatchNorm the values lie on one line, the gradients
# alt: on lines that are nearly flat.
fig, axes = plt.subplots(2, 2, figsize=(7, 4.2), sharex=True, sharey="row")
dashes = {0.5: ":", 1: "-", 2: "--"}
for (name, factor), parts in depths.items():
    column = list(KINDS).index(name)
    for ax, tensors in zip(axes[:, column], parts, strict=True):
        spread = [x.std().item() for x in tensors]
        label = {0.5: "weights × ½", 1: "× 1", 2: "× 2"}[factor]
        ax.plot(range(1, 11), spread, dashes[factor], color=COLORS[name], label=label)
        ax.set(yscale="log", xticks=range(1, 11))
    axes[0, column].set_title(name)
    axes[1, column].set_xlabel("layer")
axes[0, 0].set_ylabel("σ of the input\nof ReLU")
axes[1, 0].set_ylabel("σ of its\ngradient")
axes[0, 1].legend(loc="upper center", ncols=3, handlelength=1.6, columnspacing=1)
fig.suptitle("At the beginning: how far does a wrong scale go?", x=0.01, ha="left");

# %% slide="subslide"
for name in KINDS:
    values, gradients = depths[name, 0.5]
    kept = values[-1].std() / values[0].std()
    grown = gradients[0].std() / gradients[-1].std()
    print(f"weights × ½, {name}:")
    print(f"    σ of the values in layer 10 over layer 1: {kept:.1e}")
    print(f"    σ of the gradients in layer 1 over layer 10: {grown:.1e}")

# %% [markdown] slide="notes"
# Three things to see. Without BatchNorm the curves fan out, to both sides. Even He's
# weights (× 1) fade here: `vgg` initialises for the gradient's scale (fan_out), and at
# the end zeros from the padding take part in most sums. With BatchNorm the three curves
# are *one*, in values and in gradients: the factor is gone before it reaches the ReLU.

# %% [markdown] slide="subslide"
# And after some steps of training, with weights begun at × 1? The bands hold 50 and 90
# % of the values that each layer's ReLU gets. First the beginning, then the end.

# %%
more = {"epochs": 2, "progress": False}
trained_deep = {}
for name, norm in KINDS.items():
    model = deep(norm)
    loader = few.loader(128, shuffle=True, seed=run.seed)
    fit(model, loader, lr=best[name] / 3, **more)
    trained_deep[name] = at_each_relu(model)
    print(f"{name:15} trained for {2 * len(loader)} steps")

# %% tags=["hide-input"] slide="subslide"
# alt: Bands of the values at each of ten layers, before and after training, without and
# alt: with BatchNorm. Without it the bands narrow with depth and differ from layer to
# alt: layer; with it they have one width at the beginning, and similar ones later.
fig, axes = plt.subplots(2, 2, figsize=(7, 4.2), sharex=True, sharey=True)
quantiles = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
for column, name in enumerate(KINDS):
    for row, parts in enumerate((depths[name, 1], trained_deep[name])):
        some = [x.flatten().cpu()[:: max(1, x.numel() // 100_000)] for x in parts[0]]
        bands = torch.stack([x.quantile(quantiles) for x in some])
        ax, layers = axes[row, column], range(1, 11)
        for low, high, alpha in ((0, 4, 0.25), (1, 3, 0.5)):
            inside = bands[:, low], bands[:, high]
            ax.fill_between(layers, *inside, color=COLORS[name], alpha=alpha)
        ax.plot(layers, bands[:, 2], color="black")
        ax.set(xticks=layers)
    axes[0, column].set_title(name)
    axes[1, column].set_xlabel("layer")
axes[0, 0].set_ylabel("input of ReLU,\nbeginning")
axes[1, 0].set_ylabel("input of ReLU,\ntrained")
title = "What does each layer get? (line: median; bands: 50 and 90 %)"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown] slide="slide"
# ## Gamma and beta can undo it all
#
# A layer that is forced to mean 0 and variance 1 could no longer be, say, the identity.
# **Which γ and β give back the batch 0, 2, 2, 8?**

# %% check=True
gamma, beta = batch.std(correction=0), batch.mean()  # sigma and mu
print("gamma", gamma.item(), "beta", beta.item())
print((gamma * normalised + beta).tolist())

# %% [markdown]
# γ = σ and β = μ. So BatchNorm takes no function away. What changes is *who sets the
# scale*: one learned number, instead of all the layers before it.

# %% tags=["hide-input"] slide="subslide"
# alt: Two histograms of what the trained network has learned: the gammas around one,
# alt: the betas around zero.
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), sharey=True)
layers = [m for model in nets["with BatchNorm"] for m in model.modules()]
layers = [m for m in layers if isinstance(m, nn.BatchNorm2d)]
for ax, what, start in zip(axes, ("weight", "bias"), (1, 0), strict=True):
    values = torch.cat([getattr(layer, what).detach().cpu() for layer in layers])
    ax.hist(values, bins=40, color=COLORS["with BatchNorm"])
    ax.axvline(start, ls=":", color=plot.PAPER)
    ax.set(xlabel={"weight": "γ", "bias": "β"}[what])
    below = (values < start).float().mean()
    extremes = f"{values.min():.2f} to {values.max():.2f}"
    print(f"{what:6} {extremes}, {below:.0%} of them below {start}")
axes[0].set_ylabel("channels")
fig.suptitle("What has been learned? (dotted: the beginning)", x=0.01, ha="left");

# %% [markdown] slide="notes"
# Nobody undoes anything here: γ stays near 1, β near 0. Most β are negative: then more
# than half of a channel's values fall below 0, ReLU cuts them off, and the channel
# answers to fewer places. A γ near 0 would switch its channel off; some methods of
# pruning look for such channels, and residual networks begin with such a γ on purpose
# (lecture 07).

# %% [markdown] slide="slide"
# ## A bias before BatchNorm does nothing
#
# Add 5 to all values of a channel: its mean grows by 5, and the subtraction takes the 5
# away. So what is the gradient of a bias in front of BatchNorm?

# %%
for name, norm in KINDS.items():
    model = network(norm, seed=0).train()
    F.cross_entropy(model(some_images), some_labels).backward()
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    weights = max(conv.weight.grad.abs().max().item() for conv in convs)
    biases = max(conv.bias.grad.abs().max().item() for conv in convs)
    largest = f"of a weight {weights:.0e}, of a bias {biases:.0e}"
    print(f"{name:15} largest gradient {largest}")

# %% [markdown]
# What is left is rounding. β does the bias's work, behind the normalisation. Networks
# made for BatchNorm write `nn.Conv2d(..., bias=False)`; ResNet does (lecture 07).

# %% [markdown] slide="slide"
# ## Ten times the weights, the same output
#
# BatchNorm divides by σ, and σ grows with the weights before it. We multiply a
# convolution's weights by 10. **What happens to the output, and to the gradient?**

# %% check=True
torch.manual_seed(0)
x, target = torch.randn(16, 3, 8, 8).double(), torch.randn(16, 4, 8, 8).double()
conv = nn.Conv2d(3, 4, 3, padding=1, bias=False).double()
tenfold = copy.deepcopy(conv)
tenfold.weight.data.mul_(10)
outputs = []
for layer in (conv, tenfold):
    outputs.append(nn.BatchNorm2d(4, eps=1e-12).double()(layer(x)))
    F.mse_loss(outputs[-1], target).backward()
print("same output:", torch.allclose(*outputs))
print(f"gradient / gradient: {(conv.weight.grad / tenfold.weight.grad).mean():.2f}")
product = (conv.weight * conv.weight.grad).sum().item()
print("weights · gradient is 0:", abs(product) < 1e-9)

# %% [markdown]
# The output is the same, the gradient ten times *smaller*. Large weights learn slowly,
# small ones fast: a network that steps too far makes its weights large, and so slows
# itself down.

# %% [markdown] slide="subslide"
# A gradient of 1⁄10 on a weight of 10: for the same *relative* step the learning rate
# must be 10² = 100 times larger. If that is right, these two trainings are the same.

# %% slide="subslide"
def losses(factor, lr, decay=0.0):
    """Twenty steps of one convolution with BatchNorm, from weights times a factor."""
    model = nn.Sequential(copy.deepcopy(conv), nn.BatchNorm2d(4, eps=1e-12).double())
    model[0].weight.data.mul_(factor)
    fast = {"params": model[0].parameters(), "lr": lr, "weight_decay": decay}
    optimizer = torch.optim.SGD([fast, {"params": model[1].parameters(), "lr": 0.1}])
    values = []
    for _ in range(20):
        loss = F.mse_loss(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values[::6], model[0].weight.norm().item()


for factor, lr in ((1, 0.1), (10, 0.1), (10, 10.0)):
    values, _ = losses(factor, lr)
    print(f"weights x {factor:2}, rate {lr:4}: losses", *(f"{v:.5f}" for v in values))

# %% [markdown]
# The first and the last line agree: what counts is **rate / ‖w‖²**. Then what does
# weight decay do in front of BatchNorm, where the scale of w means nothing?

# %% slide="subslide"
begin = conv.weight.norm().item()
for decay in (0.0, 0.02):
    values, end = losses(1, 1.0, decay)
    lengths = f"length of w {begin:.2f} -> {end:.2f}"
    print(f"decay {decay:4}: {lengths}, effective rate x {(begin / end) ** 2:.2f}")

# %% [markdown]
# It cannot make the function simpler. It keeps ‖w‖ small, and so the effective learning
# rate high; without it, every step makes w longer.

# %% [markdown] slide="notes"
# The gradient stands at a right angle to the weights ("weights · gradient is 0" was
# printed above: the scale does not matter, so there is no slope along it). A step at a
# right angle makes the weights longer, always; without decay the effective rate falls
# by itself. With decay the two reach a balance (van Laarhoven 2017). So for networks
# with BatchNorm, "more weight decay" is in good part another way to say "higher
# learning rate".

# %% [markdown] slide="slide"
# ## Folded away, it costs nothing
#
# In evaluation mode mean and variance are constants. Then BatchNorm is a linear
# function behind another one, and two linear functions are one:
#
# $$\gamma\,\frac{(w * x + b) - \mu}{s} + \beta \;=\; \underbrace{\frac{\gamma}{s}
# w}_{w'} * x + \underbrace{\frac{\gamma}{s}(b - \mu) + \beta}_{b'} \qquad s =
# \sqrt{\sigma^2 + \varepsilon}$$
#
# By hand: w = 2, b = 1; μ = 3, σ² + ε = 4, γ = 6, β = 5. What are w′ and b′?

# %% check=True
w, b, mu, s, gamma, beta, x = 2, 1, 3, 2, 6, 5, 4
print("w' =", gamma / s * w, " b' =", gamma / s * (b - mu) + beta)
print("in two steps", gamma * ((w * x + b) - mu) / s + beta)
print("folded      ", gamma / s * w * x + gamma / s * (b - mu) + beta)

# %% slide="subslide"
@torch.no_grad()
def fold(conv, norm):
    """One convolution that does the work of a convolution and its BatchNorm."""
    folded = copy.deepcopy(conv)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()  # (C_out,)
    folded.weight.mul_(scale[:, None, None, None])
    folded.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)
    return folded


def without_norms(model, fold):
    """A copy of a VGG for evaluation, each BatchNorm folded away."""
    model = copy.deepcopy(model).eval()
    for block in model.features:
        norms = [i for i, m in enumerate(block) if isinstance(m, nn.BatchNorm2d)]
        for i in reversed(norms):
            block[i - 1] = fold(block[i - 1], block.pop(i))
    return model

# %% slide="subslide"
judged = nets["with BatchNorm"][0].eval()
folded = without_norms(judged, fold)
by_torch = without_norms(judged, torch.nn.utils.fusion.fuse_conv_bn_eval)
with torch.inference_mode():
    logits = judged(images)
    for name, other in {"our fold": folded, "torch's fold": by_torch}.items():
        off = (other(images) - logits).abs().max()
        print(f"{name:13} logits differ by {off:.0e} at most")
    print(f"largest logit {logits.abs().max():.0f}")
assert torch.allclose(folded(images), logits, atol=1e-4)

# %% [markdown] slide="subslide"
# Is it faster? We time both in turn, on the CPU, and take medians.

# %% tags=["timed"]
def milliseconds(models, x, repeats):
    """Median and quartiles of a pass for each model, measured in turn."""
    times = [[] for _ in models]
    with torch.inference_mode():
        for _ in range(repeats + 3):
            for model, kept in zip(models, times, strict=True):
                begin = perf_counter()
                model(x)
                kept.append(1000 * (perf_counter() - begin))
    return [statistics.quantiles(kept[3:], n=4) for kept in times]


pair = [copy.deepcopy(model).cpu() for model in (judged, folded)]
for size, repeats in ((1, 300), (128, 60)):
    repeats = course.pick(tiny=10, small=repeats, full=repeats)
    kept, gone = milliseconds(pair, images[:size].cpu(), repeats)
    saved = 1 - gone[1] / kept[1]
    print(f"batch of {size}: {saved:.0%} saved")
    for text, (low, middle, high) in (("with", kept), ("folded", gone)):
        print(f"    {text:6} {middle:6.2f} ms ({low:.2f} to {high:.2f})")

# %% [markdown] slide="notes"
# BatchNorm has few multiply-adds; what it costs is reading and writing each feature map
# once more. That is why the saving is larger than its share of the operations. In
# brackets stand the quartiles: where they overlap, do not believe the difference.
# Folding is for evaluation only, since in training the statistics are no constants.

# %% [markdown] slide="slide"
# ## Why does it help? A test of the name
#
# The paper's reason, *internal covariate shift*: a layer learns badly while its inputs
# move. Santurkar et al. (2018) moved them on purpose: **behind each BatchNorm a random
# scale and shift of each channel, new in every step.** If the reason is right, the
# benefit should be gone.

# %%
class Shaken(nn.BatchNorm2d):
    """BatchNorm whose output is scaled and shifted at random in every training step."""

    def __init__(self, channels, strength):
        super().__init__(channels)
        self.strength = strength

    def forward(self, x):
        y = super().forward(x)
        if not self.training:
            return y
        draw = 2 * torch.rand(2, y.shape[1], 1, 1, device=y.device) - 1
        scale, shift = self.strength * draw
        return y * (1 + scale) + shift

# %% slide="subslide"
def shaken(seed, strength):
    """The network with BatchNorm, each of them shaken."""
    model = network(True, seed)
    for block in model.features:
        for i, layer in enumerate(block):
            if isinstance(layer, nn.BatchNorm2d):
                block[i] = Shaken(layer.num_features, strength)
    return model.to(run.device)

# %% [markdown] slide="subslide"
# First we look, as Fig. 1 of the paper does: in each training step the 15th, 50th and
# 85th percentile of one channel in front of the last ReLU.

# %% slide="subslide"
def one_channel(model, lr, channel=0):
    """Percentiles of its values before the last ReLU, in each step: (steps, 3)."""
    seen, levels = [], torch.tensor([0.15, 0.5, 0.85], device=run.device)
    last = [m for m in model.modules() if isinstance(m, nn.ReLU)][-1]
    handle = last.register_forward_pre_hook(
        lambda _, x: seen.append(x[0][:, channel].detach().quantile(levels).cpu())
    )
    fit(model, few.loader(128, shuffle=True), lr=lr, **short)
    handle.remove()
    return torch.stack(seen)


top = best["with BatchNorm"]
channel = {name: one_channel(network(norm, 0), top) for name, norm in KINDS.items()}
channel["shaken by ½"] = one_channel(shaken(0, 1 / 2), top)

# %% tags=["hide-input"] slide="subslide"
# alt: Percentiles of one channel over the training steps, in three panels. Without
# alt: BatchNorm they drift; with it they stay in one range; shaken, they jump in every
# alt: step.
fig, axes = plt.subplots(1, 3, figsize=(7, 2.9), sharey=True)
for ax, (name, values) in zip(axes, channel.items(), strict=True):
    color, steps = COLORS.get(name, plot.PALETTE["sky blue"]), range(1, len(values) + 1)
    ax.fill_between(steps, values[:, 0], values[:, 2], color=color, alpha=0.4)
    ax.plot(steps, values[:, 1], color="black", linewidth=1)
    ax.set(xlabel="training step", title=name)
axes[0].set_ylabel("input of one ReLU")
fig.suptitle("What does one channel get? (15, 50 and 85 %)", x=0.01, ha="left");

# %% [markdown] slide="subslide"
# Now the accuracies, each network at learning rates from the sweep, in two strengths.

# %%
places = {name: rates.index(rate) for name, rate in best.items()}
found = {name: [row[places[name]] for row in sweep[name]] for name in KINDS}
results = {"with BatchNorm": found["with BatchNorm"]}
for name, strength in {"shaken by ¼": 1 / 4, "shaken by ½": 1 / 2}.items():
    results[name] = []
    for seed in seeds:
        model, loader = shaken(seed, strength), few.loader(128, shuffle=True, seed=seed)
        fit(model, loader, lr=top, **short)
        results[name].append(evaluate(model, val_loader).accuracy)
results["without"] = found["without"]

# %%
# alt: Validation accuracy with whiskers over seeds, of four networks: with BatchNorm,
# alt: shaken by a quarter, shaken by a half, and without.
title = "Inputs that jump in every step: is the benefit gone?"
plot.bars(results, xlabel="validation accuracy (%)", title=title);

# %% [markdown] slide="notes"
# The third panel moves far more than the first, and the network still learns. Shaken by
# a quarter it keeps most of the benefit; by a half, in this short training, it loses
# most, and yet it is not worse than the plain network whose inputs move gently. So
# moving inputs do cost something, but standing still cannot be the whole benefit.
# Santurkar et al., with a noise of their own, train VGG on all of CIFAR-10 to the end,
# and find the shaken network about as good as the one with BatchNorm. Our run is 96
# steps long: it says less, and it does not contradict them.

# %% [markdown] slide="subslide"
# Santurkar's explanation: the loss becomes *smoother*, so a gradient holds some way
# ahead. We can measure that. Stand at w with gradient g, walk to w − a·η·g, and ask:
# **how different is the gradient there?**

# %% slide="subslide"
def gradient_change(model, x, y, lr, steps=(1, 2, 4)):
    """Largest |g(w - a lr g) - g(w)| / |g(w)| over the steps a; w is put back."""
    weights = list(model.parameters())
    before = [w.detach().clone() for w in weights]
    g = torch.autograd.grad(F.cross_entropy(model(x), y), weights)
    changes = []
    for a in steps:
        with torch.no_grad():
            for w, old, slope in zip(weights, before, g, strict=True):
                w.copy_(old - a * lr * slope)
        there = torch.autograd.grad(F.cross_entropy(model(x), y), weights)
        squares = [(p - q).square().sum() for p, q in zip(there, g, strict=True)]
        changes.append((sum(squares) / sum(q.square().sum() for q in g)).sqrt().item())
    with torch.no_grad():
        for w, old in zip(weights, before, strict=True):
            w.copy_(old)
    return max(changes)

# %% slide="subslide"
rough, rate = {name: [] for name in KINDS}, 0.1
walk = course.pick(tiny=2, small=6, full=10)  # passes, plain SGD
for name, norm in KINDS.items():
    for seed in seeds:
        model, changes = network(norm, seed), []
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        loader = few.loader(128, shuffle=True, seed=seed)
        for _ in range(walk):
            train_epoch(model, loader, optimizer)
            changes.append(gradient_change(model, some_images, some_labels, rate))
        rough[name].append(changes)

# %% slide="subslide"
# alt: Relative change of the gradient along its own direction, after each pass, on a
# alt: logarithmic axis, without and with BatchNorm, with bands over seeds.
title = "How wrong is the gradient a few steps ahead? (1: as large as itself)"
label = "change of the gradient"
passes_seen = range(1, walk + 1)
ax = plot.band(passes_seen, rough, xlabel="pass", ylabel=label, title=title, log=True)
ax.set_yticks([0.5, 1, 2, 5, 10], [0.5, 1, 2, 5, 10])
ax.minorticks_off()

# %%
for name, values in rough.items():
    half = torch.tensor(values)[:, walk // 2 :].flatten()
    print(f"{name:15} second half: median {half.median():.1f}, up to {half.max():.1f}")

# %% [markdown] slide="notes"
# At 1 the gradient ahead differs from the present one by as much as its own length.
# While the plain network sits on its first plateau (pass 1), its gradient is small and
# changes less than with BatchNorm. As soon as it learns, its surface is mostly the
# rougher one, and differs from seed to seed; with BatchNorm the curve stays where it
# began. This agrees with Santurkar's Fig. 4. What is known: BatchNorm makes the scale
# of the weights irrelevant, tames the gradient, and lets the rate be higher. What is
# not settled: which of these is the cause of the better accuracy. Noise from the
# batches acts as a regulariser on top. Be careful with everybody who has *the* reason.

# %% [markdown] slide="slide"
# ## Against the paper
#
# Its Figure 3: Inception on ImageNet, steps until the plain network's best accuracy.
#
# | network | learning rate | steps to 72.2 % | best accuracy |
# |---|---|---|---|
# | Inception, no BatchNorm | 0.0015 | 31.0 million | 72.2 % |
# | BN-Baseline: BatchNorm added | 0.0015 | 13.3 million | 72.7 % |
# | BN-x5 | 0.0075 | 2.1 million | 73.0 % |
# | BN-x30 | 0.045 | 2.7 million | 74.8 % |
# | BN-x5, sigmoid for ReLU | 0.0075 | never | 69.8 % |

# %%
factors = [passes / epoch for epoch in needed]
print("paper, BatchNorm alone:      31.0 / 13.3 = 2.3 times fewer steps")
print("paper, with all its changes: 31.0 / 2.1 = 14.8 times fewer steps")
spread = f"{min(factors):.1f} to {max(factors):.1f}"
print(f"ours, BatchNorm alone:       {spread} times fewer passes")

# %% [markdown] slide="notes"
# "14 times fewer training steps" stands in the paper's abstract, and is quoted
# everywhere. Most of it is not BatchNorm alone: BN-x5 and BN-x30 also drop dropout and
# local response normalisation, weaken the weight decay by a factor 5 and the
# augmentation, shuffle better, and let the learning rate fall 6 times faster (section
# 4.2.1). BatchNorm makes these changes possible. Alone it gives 2.3. What differs in
# our run: ten classes, photos of 16 × 16, a few thousand of them, six layers.

# %% [markdown] slide="subslide"
# **Sigmoids.** Lecture 00 saw their gradient: a quarter at best. The paper's Inception
# with sigmoids never leaves chance without BatchNorm. Six layers of them:

# %%
def with_sigmoids(norm, seed):
    """The network with a sigmoid for every ReLU."""
    model = network(norm, seed)
    for block in model.features:
        for i, layer in enumerate(block):
            if isinstance(layer, nn.ReLU):
                block[i] = nn.Sigmoid()
    return model


for name, norm in KINDS.items():
    reached = []
    for seed in seeds:
        model = with_sigmoids(norm, seed)
        loader = few.loader(128, shuffle=True, seed=seed)
        fit(model, loader, lr=0.1, **short)
        reached.append(f"{evaluate(model, val_loader).accuracy:.1%}")
    print(f"{name:15} validation accuracy, each seed: {', '.join(reached)}")

# %% [markdown] slide="subslide"
# **The test set, once.** All choices are made: rates by the sweep, networks of the
# race. We print the mean over seeds ± half the distance from the worst to the best.

# %%
test_loader = shrunk(photos.test).loader(500)
tested = {
    name: [evaluate(model, test_loader).accuracy for model in models]
    for name, models in nets.items()
}
for name, shares in tested.items():
    middle, half = sum(shares) / len(shares), (max(shares) - min(shares)) / 2
    print(f"{name:15} {100 * middle:.1f} ± {100 * half:.1f} % of the test set")

# %% [markdown] slide="slide"
# ## Answer
#
# After how many passes is the network with BatchNorm as good as the plain one after all
# of its passes, and how much larger may its learning rate be?

# %% slide="fragment"
plain, normed = (sum(tested[name]) / len(tested[name]) for name in KINDS)
epochs = f"{min(needed)} to {max(needed)}" if min(needed) < max(needed) else needed[0]
print(f"after {epochs} of {passes} passes")
print(f"in the end, on the test set: {plain:.1%} without, {normed:.1%} with it")
if better:
    ratio = better[-1] / best["without"]
    print(f"better than the plain network's best up to {ratio:.0f} times its best rate")
run.headline(
    f"BatchNorm: {normed:.1%} of the test {photos.test.kind}, {plain:.1%} without;"
    f" as good after {epochs} of {passes} passes"
)

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 06.1 Predict: a batch by hand
#
# One channel gets the batch 3, 9, 11, 17; ε = 0. On paper:
#
# - (a) what does 17 become before γ and β,
# - (b) what is y for the 3, with γ = 10 and β = 2,
# - (c) the running mean after this batch, momentum 0.1, begun at 0,
# - (d) the running variance after it, begun at 1?

# %%
# solution
values = (1.4, -12, 1.0, 0.9 + 0.1 * 100 / 3)  # (a), (b), (c), (d)

# %%
check("06.1", values)

# %% [markdown] slide="subslide"
# ### 06.2 Write: BatchNorm for feature maps
#
# `batch_norm` takes x of (N, C, H, W), γ and β of (C,), and ε; it works as in training
# mode. No `nn`, no `F`.

# %%
def batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-5) -> Tensor:
    """Normalise each channel over the batch; (N, C, H, W) -> the same."""
    # solution
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    normalised = (x - mean) / (variance + eps).sqrt()
    return gamma[:, None, None] * normalised + beta[:, None, None]

# %%
check("06.2", batch_norm)

# %% [markdown] slide="subslide"
# ### 06.3 Write: the memory
#
# `remember` gets the running statistics, both (C,), a batch x of (N, C), and torch's
# momentum. It returns the new running mean and the new running variance.

# %%
def remember(
    running_mean: Tensor, running_var: Tensor, x: Tensor, momentum: float = 0.1
) -> tuple[Tensor, Tensor]:
    """The running statistics after the batch x; new tensors."""
    # solution
    mean, variance = x.mean(dim=0), x.var(dim=0)  # torch's var is the unbiased one
    new_mean = (1 - momentum) * running_mean + momentum * mean
    return new_mean, (1 - momentum) * running_var + momentum * variance

# %%
check("06.3", remember)

# %% [markdown] slide="subslide"
# ### 06.4 Modify: fold into a linear layer
#
# `fold_linear` gets an `nn.Linear` and the `nn.BatchNorm1d` behind it, both in
# evaluation mode, and returns one `nn.Linear` for the two. The linear layer may have
# been built with `bias=False`; the new one needs a bias.

# %%
def fold_linear(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    """One linear layer that does the work of a linear layer and its BatchNorm."""
    # solution
    folded = nn.Linear(linear.in_features, linear.out_features)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    bias = 0 if linear.bias is None else linear.bias
    folded.weight.data = linear.weight.data * scale.data[:, None]
    folded.bias.data = ((bias - norm.running_mean) * scale + norm.bias).data
    return folded

# %%
check("06.4", fold_linear)

# %% [markdown] slide="subslide"
# ### 06.5 Repair: a wrong accuracy
#
# This is how a network was judged. Three things are wrong or missing. Write it right.
#
# ```python
# def accuracy(model, loader):
#     shares = []
#     for x, y in loader:
#         shares.append((model(x).argmax(dim=1) == y).float().mean().item())
#     return sum(shares) / len(shares)
# ```

# %%
def accuracy(model: nn.Module, loader) -> float:
    """Fraction of right answers; the model comes back in the mode that it had."""
    # solution
    was_training, right, examples = model.training, 0, 0
    model.eval()
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(dim=1) == y).sum().item()
            examples += len(y)
    model.train(was_training)
    return right / examples

# %%
check("06.5", accuracy)

# %% [markdown] slide="subslide"
# ### 06.6 Investigate: a memory that is too long
#
# We train with momentum 0.001 in all BatchNorms. **Predict**: which accuracy does
# evaluation mode show, after so few steps? Then write `recalibrate`: it measures all
# running statistics anew, every batch of the loader with the same weight (`momentum =
# None` does that), trains nothing, and returns the model in evaluation mode. `before`
# and `after` are the validation accuracies before and after it.

# %%
def recalibrate(model: nn.Module, loader) -> nn.Module:
    """New running statistics, the mean over the loader's batches; the same weights."""
    # solution
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    model.train()
    with torch.no_grad():
        for x, _ in loader:
            model(x)
    return model.eval()

# %%
late = network(True, seed=0)
for layer in late.modules():
    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = 0.001
fit(late, few.loader(128, shuffle=True), lr=best["with BatchNorm"], **short)
# solution
before = evaluate(late, val_loader).accuracy
after = evaluate(recalibrate(late, few.loader(128, shuffle=True)), val_loader).accuracy
print(f"validation accuracy {before:.1%}, recalibrated {after:.1%}")

# %%
check("06.6", (recalibrate, before, after))

# %% [markdown]
# **Explain:** why is the training loss of this run as good as ever? And when would you
# want to recalibrate a network that was trained with momentum 0.1?

# %% [markdown] solution=True
# In training each batch is normalised by its own statistics; the running ones are never
# read, so their fault shows in evaluation alone. After t steps they have covered 1 −
# 0.999^t of the way from (0, 1), some percent in our run. Recalibrating also helps
# after training with a constant, high learning rate, where the statistics belong to
# weights of some steps ago; after averaging the weights of several epochs
# (`torch.optim.swa_utils.update_bn`); and when a network moves to other images.

# %% slide="skip"
check.progress("06")

# %% [markdown] slide="slide"
# ## Recap
#
# - Mean and *biased* variance of a channel over (N, H, W); ε inside the root; then γ
#   and β, which could undo it all.
# - From scratch it equals torch's to the last digits, around 10,000 too, because it
#   subtracts before it squares. Running statistics: the new batch weighs 0.1, its
#   variance is unbiased.
# - Left in training mode, a network judges a photo by its neighbours, and changes while
#   it is judged.
# - It makes the scale of the weights meaningless. So learning rates may be higher and
#   may be chosen less carefully; small batches make it noisy.
# - In evaluation it is a linear function: folded into the convolution, it is gone.

# %% [markdown] slide="skip"
# ## References
#
# - S. Ioffe, C. Szegedy: *Batch Normalization: Accelerating Deep Network Training by
#   Reducing Internal Covariate Shift*, ICML 2015. Section 3 with Algorithms 1 and 2,
#   section 3.2 (convolutions), section 3.3 (scale of the weights), Fig. 1, section
#   4.2.1 (other changes), Fig. 3 (steps to 72.2 %).
# - S. Santurkar, D. Tsipras, A. Ilyas, A. Madry: *How Does Batch Normalization Help
#   Optimization?*, NeurIPS 2018: the shaken network (section 2.1), the smoother loss
#   (section 3).
# - Y. Wu, K. He: *Group Normalization*, ECCV 2018: error against batch size.
# - T. van Laarhoven: *L2 Regularization versus Batch and Weight Normalization*, 2017.
# - CIFAR-10: A. Krizhevsky: *Learning Multiple Layers of Features from Tiny Images*,
#   2009. At scale `tiny`: drawings of the same ten classes.
