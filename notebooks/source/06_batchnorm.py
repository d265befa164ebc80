# %% [markdown] slide="slide"
# # BatchNorm: every channel on one scale
#
# This layer measures its own batch, and sets each channel's mean to 0 and variance to
# 1. We compute it by hand, test it against torch's, and measure what it brings and what
# it costs.
#
# *Ioffe, Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift. International Conference on Machine Learning, 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. normalise a batch by hand, and say which values of a feature map share a mean;
# 2. write BatchNorm with its running statistics, and test it against torch's;
# 3. explain what a network does that was left in training mode;
# 4. measure what BatchNorm changes for learning rates, gradients and small batches;
# 5. fold it into the convolution before it.
#
# A run takes a quarter of a minute at scale `tiny`, and about five minutes at `small`
# on a laptop. The text describes the outputs shown here, at scale `small`.

# %% [markdown] slide="slide"
# ## Question
#
# A network of six convolutions has 72,730 parameters. With BatchNorm after each
# convolution it has 448 more, 0.6 %.
#
# **After how many passes over the photos is it as good as the plain network after
# ten?**
#
# *Guess first: after 9, 5 or 2? And is its best learning rate larger?*

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
# ## A wrong scale in a deep network
#
# Six convolutions with ReLU, without biases. We make all weights **half as large**. By
# which factor is the output of each layer smaller? Write six numbers down.

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
# Each layer passes its factor on: 2 after the first layer, 64 after the sixth. After
# twenty layers it would be a million.

# %% [markdown] slide="subslide"
# Good first weights set these scales once (lecture 04), but each training step changes
# them in all layers at the same time. The paper calls this *internal covariate shift*:
# a layer's inputs change their distribution, because the layers before it learn.
# Whether BatchNorm helps *because* it stops this is disputed.

# %% [markdown] slide="subslide"
# **The remedy:** take the values of one channel in this batch. Subtract their mean and
# divide by their standard deviation. Then the old scale is gone.

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
# The mean is 3 and the variance 9, so σ = 3. The 0 becomes x̂ = −1 and y = 6 · (−1) +
# 10 = 4, and so on.
#
# The variance is the *biased* one, divided by m and not by m − 1. ε keeps the root
# above 0 when a channel is constant. γ and β are learned, one pair for each channel,
# and begin at 1 and 0.

# %% [markdown] slide="slide"
# ## One mean for each channel
#
# A convolution puts out (N, C, H, W). Which of these numbers share a mean? Here are six
# photos, split into red, green and blue. **How many numbers go into one mean?**

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
# 6 × 32 × 32 = 6,144 values go into each of three means. A kernel uses the same weights
# at all positions, so all positions of a channel are normalised together (section 3.2).
#
# Other axes give other layers: (C, H, W) *layer normalisation*, (H, W) alone *instance
# normalisation*. Those two use no other examples.

# %% [markdown] slide="slide"
# ## Build: statistics and formula
#
# Lines 1 and 2 of the algorithm. The second mean corrects the rounding of the first.

# %% mirror="utils.models.batchnorm:batch_statistics"

# %% [markdown] slide="subslide"
# Lines 3 and 4. The statistics have shape (C,); they meet (N, C, H, W) as (1, C, 1, 1).

# %% mirror="utils.models.batchnorm:along_channels utils.models.batchnorm:normalize" slide="-"

# %% check=True
column = batch[:, None]  # four examples of one channel: (4, 1)
gamma, beta = torch.tensor([6.0]), torch.tensor([10.0])
normalize(column, *batch_statistics(column), gamma, beta).flatten().tolist()

# %% [markdown] slide="subslide"
# Now the layer. In training it uses the statistics of the batch. In evaluation it uses
# *running statistics*, remembered from training. Then the answer to an image does not
# depend on the other images.

# %% mirror="utils.models.batchnorm:BatchNorm" slide="-"

# %% [markdown] slide="skip"
# Two names for the layer.

# %% mirror="utils.models.batchnorm:BatchNorm1d utils.models.batchnorm:BatchNorm2d" slide="skip"

# %% [markdown] slide="slide"
# ## Running statistics remember batches
#
# After each batch, the running mean moves a part of the way to the mean of the batch.
# Torch calls this share `momentum`. The running mean begins at 0, the running variance
# at 1. What are they after our batch 0, 2, 2, 8 with momentum 0.1?

# %% mirror="utils.models.batchnorm:update_running"

# %% check=True slide="subslide"
norm = BatchNorm1d(1)
norm(column)
print(f"running mean     {norm.running_mean.item():.2f} = 0.9 x 0 + 0.1 x 3")
print(f"running variance {norm.running_var.item():.2f} = 0.9 x 1 + 0.1 x 36 / 3")

# %% [markdown]
# They are 0.3 and 2.1. The *running* variance is unbiased: the sum of squares, 36, is
# divided by m − 1 = 3. In the forward pass it is divided by m = 4.
#
# In torch's BatchNorm, momentum is the weight of the *new* value. In SGD's momentum it
# is the weight of the old one.

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
# 0.9 is too short a memory: the mean follows each batch of four. 0.01 is too long:
# after 80 batches it is still below 2. With 0.1 the share $1 - 0.9^t$ is learned after
# t batches: 90 % after 22.

# %% [markdown] slide="slide"
# ## Equal to torch's
#
# We give both layers the same input, γ and β, and compare output, gradients and running
# statistics, in both modes.

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
# The differences are rounding errors: float32 has about seven digits, and around 10,000
# fewer are left. It is the same layer. We write no backward pass: autograd
# differentiates through mean and variance too.

# %% [markdown] slide="slide"
# ## A short formula for the variance
#
# E[x²] − E[x]² also gives the variance. **What does it give in float32 for values
# around 10,000 with variance 1?**

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
# It gives 0. Near 10⁸, where the squares are, float32 numbers are 8 apart, and a
# variance of 1 is lost. So **subtract the mean before you square**, as our layer does.

# %% [markdown] slide="slide"
# ## Assemble: a small VGG, twice
#
# We take the blocks of lecture 04 at a quarter of their width, for photos of 16 × 16.
# Predict how many parameters a BatchNorm of 16 channels adds to the first of three
# blocks.

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
# running statistics are no parameters: the optimizer does not change them.

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

# %% [markdown] slide="-"
# The last linear layer begins with torch's weights. VGG's own are smaller and would
# delay the plain network, which would make the comparison unfair.

# %% [markdown] slide="slide"
# ## Train: which learning rates work?
#
# We train both networks briefly, from the same weights and with the same batches, at
# six learning rates. **At which rates does each network learn, and where does it
# fail?**

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

# %% [markdown] slide="subslide"
# **Both networks are best at a rate of 0.1.** In this run BatchNorm does not make the
# best rate larger. At that rate it brings 43.4 % instead of 32.9 %.
#
# It makes the choice easier. At 0.03 and 0.3 it reaches about 40 %, more than the plain
# network's best. (At 0.01 its lead is one point, too small to count.) At 1 both are
# near chance. The paper's rates, 5 and 30 times higher, need a larger test than three
# passes over 4,000 photos.

# %% [markdown] slide="slide"
# ## The race: each at its best rate
#
# Ten passes over 5,000 photos, each network at its best rate: 0.1 for both. After how
# many passes does BatchNorm reach the plain network's final accuracy?

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

# %% [markdown] slide="-"
# After 3 to 5 passes, half of the ten or fewer. In the end BatchNorm leads with each
# seed, by 11 to 18 points. A pass takes about a quarter longer.

# %% [markdown] slide="slide"
# ## In training mode, neighbours decide
#
# In training mode mean and variance come from the whole batch. We ask about the same
# photo 30 times, each time together with 31 other photos. How many of 100 photos change
# their class?

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

# %% [markdown] slide="subslide"
# 59 of 100. The figure shows the photo whose class changes most often. Its probability
# of being a horse lies between about 10 and 40 %, depending on its neighbours. In
# evaluation mode there is one answer.

# %% [markdown] slide="slide"
# ## Forget eval(), and the accuracy is wrong
#
# It is a common mistake to measure accuracy in training mode. **Guess the order of six
# accuracies.** One is in evaluation mode. Five are in training mode, with batches of 128
# at random, 8 at random, one photo, 128 sorted by class, and 10 with one of each class.

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
# Large random batches hide the mistake: 52.9 instead of 52.8 %. With 8 photos it shows:
# 46.4 %. One photo alone is near chance. Sorted batches lose what their photos have in
# common, and that is the class.
#
# 55.6 % is *above* the true accuracy. The neighbours are of the nine other classes,
# which may give the answer away. But 2.8 points are less than twice the standard error
# (3.2), so this run does not prove it.

# %% [markdown] slide="subslide"
# The last column shows a second fault. In training mode each forward pass *changes the
# running statistics*, also under `torch.no_grad()`. So the measurement has changed the
# network, with validation data. `eval()` prevents this; our `evaluate` calls it.

# %% [markdown] slide="subslide"
# **A batch of one** with one value per channel has no variance, and torch refuses it.
# What does BatchNorm make of a batch of *two*? Predict the output for 3 and 5.

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
# Always −1 and 1, whatever the two numbers are. Only their order is left.

# %% [markdown] slide="slide"
# ## Batch size 2 against 128
#
# Feature maps help: in a batch of two, our last layer still averages 2 × 4 × 4 = 32
# values. How far is a batch's mean from the true one, in σ of the channel?

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
# 0.34 σ with two photos, 0.03 σ with 128: the noise falls with the square root of the
# batch size.

# %% [markdown] slide="subslide"
# Now we train with each batch size for two passes over the same photos. The learning
# rate is in proportion to the batch size. With batches of 2 there are 64 times as many
# steps as with 128. **Is the gain from BatchNorm the same at 2?**

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

# %% [markdown] slide="subslide"
# **Between 128 and 2 only the plain network moves**, from about 22 to 32 %, probably
# because it gains from more steps. BatchNorm has about 36 % at both ends. So its gain
# falls from 10.5–15.2 to 2.6–5.5 points. This run does not separate batch size from the
# number of steps.
#
# One thing does point to small batches: at 2 the accuracies in the two modes differ by
# 4.2 to 7.1 points. On ImageNet ResNet-50's error rises from 23.6 % with 32 images per
# GPU to 34.7 % with 2. *Group normalisation*, which uses one image alone, stays at 24.1
# % (Wu and He 2018).

# %% [markdown] slide="slide"
# ## Look inside: scales through ten layers
#
# Ten convolutions now, with first weights times ½, 1 and 2. The input of a ReLU is
# called its *pre-activation*. We record it and the gradient of the loss there. **Draw
# the three curves of each network before you see them.**

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

# %% [markdown] slide="subslide"
# Without BatchNorm the curves spread over many powers of ten. With it the three are
# *one*, in values and in gradients: the factor is gone before it reaches the ReLU.
#
# **Why does the plain gradient fade even at × 1**, about 30-fold from layer 10 to layer
# 1? `vgg` draws weights with `fan_out`. That keeps the gradient's size, but counts
# neither padding nor pooling. In a 2 × 2 map, more than half of each 3 × 3 kernel lies
# on padding. And max pooling passes a gradient to one of four positions. We tried the
# network without both: then the gradient keeps its size.

# %% [markdown] slide="subslide"
# And after training? Weights begin at × 1 and train for 64 steps. The bands hold 50 and
# 90 % of each layer's pre-activations.

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

# %% [markdown] slide="-"
# Without BatchNorm the bands become narrower with depth, and after training they differ
# from layer to layer. With BatchNorm all layers have about the same bands, before and
# after.

# %% [markdown] slide="slide"
# ## Gamma and beta can undo it all
#
# A layer that always gives mean 0 and variance 1 could not pass its input on unchanged.
# **Which γ and β give back the batch 0, 2, 2, 8?**

# %% check=True
gamma, beta = batch.std(correction=0), batch.mean()  # sigma and mu
print("gamma", gamma.item(), "beta", beta.item())
print((gamma * normalised + beta).tolist())

# %% [markdown]
# γ = σ = 3 and β = μ = 3. So the network can still compute every function that it could
# compute before. But now one learned number sets the scale of a channel, instead of all
# layers before it.

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

# %% [markdown] slide="-"
# Training does not undo the normalisation: γ stays between 0.62 and 1.41. 81 % of the β
# are below 0, so ReLU sets more of a channel's values to 0.

# %% [markdown] slide="slide"
# ## A bias before BatchNorm
#
# We add 5 to all values of a channel. Its mean grows by 5, and the subtraction removes
# the 5 again. How large is the gradient of a bias before BatchNorm?

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
# It is 0; the 2e-07 is rounding. β does the work of the bias. So networks with
# BatchNorm use `nn.Conv2d(..., bias=False)`, as ResNet does (lecture 07).

# %% [markdown] slide="slide"
# ## Ten times the weights, the same output
#
# BatchNorm divides by σ, and σ grows with the weights before it. So ten times the
# weights give the same output. **What happens to the gradient?**

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
# It becomes ten times *smaller*. It also stands at a right angle to the weights (their
# product is 0), so each step makes the weights longer, and later steps relatively
# smaller.

# %% [markdown] slide="subslide"
# The gradient is 1⁄10, the weight 10 times as large. For the same *relative* step the
# learning rate must be 10² = 100 times larger. If that is right, two of these three
# trainings are the same.

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
# The first and the last line agree. What counts is the *effective rate*, **rate /
# ‖w‖²**. Then what does weight decay do before BatchNorm, where the length of w does
# not change the output?

# %% slide="subslide"
begin = conv.weight.norm().item()
for decay in (0.0, 0.02):
    values, end = losses(1, 1.0, decay)
    lengths = f"length of w {begin:.2f} -> {end:.2f}"
    print(f"decay {decay:4}: {lengths}, effective rate x {(begin / end) ** 2:.2f}")

# %% [markdown]
# It keeps ‖w‖ small, and so the effective rate high: × 1.80 with decay, × 0.83 without.
# It does not make the function simpler (van Laarhoven 2017).

# %% [markdown] slide="slide"
# ## Folded away, it costs nothing
#
# In evaluation mode mean and variance are constants. Then convolution and BatchNorm are
# two linear functions, one after the other, and together they are one:
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
# Is the folded network faster? We time both in turn on the CPU.

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

# %% [markdown] slide="-"
# Yes: the quartiles in brackets do not overlap. BatchNorm needs few operations, but it
# reads and writes each feature map once more.

# %% [markdown] slide="slide"
# ## Why does it help? A test of the name
#
# The paper's reason is *internal covariate shift*: a layer learns badly while its
# inputs move. Santurkar et al. (2018) made them move again: **a random scale and shift
# of each channel after each BatchNorm, new in every step.** If the benefit stays, the
# paper's reason is wrong. If it goes, the reason may be right, or the noise itself does
# harm.

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
# First the inputs, as in Fig. 1 of the paper: in each step the 15th, 50th and 85th
# percentile of one channel before the last ReLU.

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
# The values drift without BatchNorm, stay in place with it, and jump in every step when
# shaken. Now the accuracies, with scale and shift of at most ¼ and ½:

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

# %% [markdown] slide="subslide"
# **Our result is mixed.** Shaken by ¼ the network reaches 41.5 %, by ½ 34.7 %, against
# 43.4 % with BatchNorm and 32.9 % without. On 2,000 photos twice the standard error of
# a difference is about 3 points. So at ¼ we see no loss, and at ½ no gain over the
# plain network.
#
# Santurkar et al. trained on all of CIFAR-10 to the end, and their shaken network was
# about as good as BatchNorm. Our 96 steps are too few to decide the question.

# %% [markdown] slide="subslide"
# Santurkar's own explanation: the loss becomes *smoother*, so a gradient holds for
# longer steps. We measure that. At weights w with gradient g we go to w − a·η·g and
# ask: **how different is the gradient there?**

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

# %% [markdown] slide="subslide"
# 1 means that the gradient changes by as much as its own length. After pass 1 the plain
# network's changes *less*, about 0.9. In the second half it changes more: median 3.2,
# with BatchNorm 2.1. But in pass 5 the bands overlap. Three seeds support Santurkar's
# explanation only in part; why BatchNorm helps is not settled.

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

# %% [markdown] slide="subslide"
# For BatchNorm alone, our 2.0 to 3.3 agree with the paper's 2.3. The abstract's "14
# times fewer training steps" includes other changes, such as a higher rate, no dropout
# and less weight decay (section 4.2.1). Our task is much smaller: ten classes, 5,000
# photos of 16 × 16, six layers.

# %% [markdown] slide="subslide"
# **Sigmoids.** The slope of a sigmoid is at most a quarter (lecture 00). Without
# BatchNorm the paper's Inception with sigmoids stays at chance. Here are six layers of
# them:

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

# %% [markdown] slide="-"
# Without BatchNorm all three seeds stay at chance. With it the network learns.

# %% [markdown] slide="subslide"
# **The test set, once.** All choices were made on validation photos. We print the mean
# over seeds ± half the distance from the worst to the best.

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
# After how many passes is the network with BatchNorm as good as the plain one at its
# end? And is its best learning rate larger?

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

# %% [markdown] slide="-"
# After 3 to 5 of 10 passes. In the end it is 13 points better on test photos, with
# every seed. Its best rate is not larger, but with three times that rate it still beats
# the plain network's best. All this is for 5,000 small photos and a short training.

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
# `fold_linear` gets an `nn.Linear` and the `nn.BatchNorm1d` after it, both in
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
# evaluation mode show, after so few steps? Then write `recalibrate`. It measures all
# running statistics anew, every batch of the loader with the same weight (`momentum =
# None` does that). It trains nothing, and returns the model in evaluation mode. `before`
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
# **Explain:** why does the training loss of this run not show the fault? And when
# should we recalibrate a network that was trained with momentum 0.1?

# %% [markdown] solution=True
# In training each batch is normalised by its own statistics. The running ones are not
# read, so their fault shows in evaluation alone. After t steps they have covered 1 −
# 0.999^t of the way from (0, 1).
#
# Recalibrate when the statistics belong to other weights or images: after averaging
# weights (`torch.optim.swa_utils.update_bn`), after a training that ends at a high
# rate, or on new images.

# %% slide="skip"
check.progress("06")

# %% [markdown] slide="slide"
# ## Recap
#
# - Mean μ and *biased* variance σ² of a channel are taken over (N, H, W). Then x̂ = (x
#   − μ) / √(σ² + ε) and y = γ x̂ + β.
# - Running statistics serve in evaluation. The new batch weighs 0.1, and its variance
#   is unbiased.
# - In training mode an answer depends on the other photos of the batch, and the running
#   statistics change.
# - Our network reached the plain one's final accuracy after 3 to 5 of 10 passes. Its
#   best rate was the same, but more rates worked. Why it helps is not settled.
# - The scale of the weights before BatchNorm does not matter: rate / ‖w‖² counts.
# - In evaluation it folds into w′ = γ w / s, b′ = γ (b − μ) / s + β, with s = √(σ² +
#   ε).

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

# %% slide="only" name="rates"
# alt: Test accuracy against the learning rate from 0.03 to 1, mean and band over three
# alt: seeds: with BatchNorm high at all rates, without it lower, and near a guess at high ones.
import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F

from teaching import architectures, blocks, kept
from utils import data, plot

RATES = (0.03, 0.1, 0.3, 1)
reached = {
    name: [kept.test_accuracy(f"rate-{model}-{rate}") for rate in RATES]
    for name, model in {"without": "vgg11", "with BatchNorm": "vgg11_bn"}.items()
}
bands = {name: list(zip(*runs, strict=True)) for name, runs in reached.items()}
plot.band(RATES, bands, xlabel="learning rate", ylabel="test accuracy (%)")

# %% slide="only" name="where"
# alt: A convolution without bias, then BatchNorm with gamma and beta, then ReLU.
parts = [("text", "x"), ("conv", "conv 3×3|no bias"), ("pool", "subtract mean,|divide by σ")]
parts += [("pool", "times γ,|plus β"), ("pool", "ReLU"), ("text", "y")]
drawn, at = blocks.chain(95, parts)
drawn += blocks.text((at[2].x + at[3].x) / 2, 40, "BatchNorm, for each channel", weight="bold")
drawn += blocks.text(at[2].x, 150, "from this batch") + blocks.text(at[3].x, 150, "learned")
blocks.Diagram(drawn, blocks.WIDTH, 175, "conv without bias, BatchNorm with gamma and beta, ReLU")

# %% slide="only" name="row"
# alt: Six photos, split into red, green and blue rows; a frame runs around the whole green
# alt: row: all its pixels share one mean.
images = data.cifar10().train.images[:6]
figure, axes = plt.subplots(3, 6, figsize=(7, 3.2))
for c, color in enumerate(("Reds_r", "Greens_r", "Blues_r")):
    for i in range(6):
        axes[c, i].imshow(images[i, c], cmap=color)
        axes[c, i].axis("off")
frame = plt.Rectangle((0.005, 0.335), 0.99, 0.33, fill=False, lw=3, color=plot.VALIDATION)
figure.add_artist(frame)

# %% slide="only" name="halved"
# alt: How many times smaller the values are when all weights are halved: 2, 4, 8 to 64 after
# alt: six layers without BatchNorm, and 1 after each with it.
layers = list(range(1, 7))
about = {"xlabel": "layer", "ylabel": "times smaller"}
plot.band(layers, {"without": [2**i for i in layers], "with BatchNorm": [1] * 6}, **about)

# %% slide="only" name="depth"
# alt: Four panels over ten layers, logarithmic: without BatchNorm values and gradients
# alt: spread with depth over many powers of ten; with it three scales give one curve.
def ten_layers(norm, factor):
    """Spread of pre-activations and of their gradients at each of ten layers."""
    torch.manual_seed(0)
    x, inputs = torch.randn(32, 16, 16, 16), []
    for _ in range(10):
        conv = nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        conv.weight.data.mul_(factor)
        x = nn.BatchNorm2d(16)(conv(x)) if norm else conv(x)
        inputs.append(x)
        x = F.relu(x)
    loss = F.cross_entropy(x.mean((2, 3)), torch.arange(32) % 16)
    gradients = torch.autograd.grad(loss, inputs)
    return [[v.std().item() for v in values] for values in (inputs, gradients)]


figure, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True)
for ax, norm in zip(axes, (False, True), strict=True):
    for scale, style in {0.5: ":", 1: "-", 2: "--"}.items():
        values, _ = ten_layers(norm, scale)
        ax.plot(range(1, 11), values, style, color=plot.TRAIN)
        if not norm:
            ax.annotate(f"× {scale:g}", (10, values[-1]), (4, -3), textcoords="offset points", annotation_clip=False)
    ax.set(yscale="log", xlabel="layer", xticks=range(1, 11, 3))
    ax.set_title("with BatchNorm" if norm else "without", fontsize=11)
axes[0].set_ylabel("standard deviation")

# %% slide="only" name="memory"
# alt: The running mean over 80 batches of four: with momentum 0.9 it jumps, with 0.1 it
# alt: settles around the true mean 3, with 0.01 it is far below it.
torch.manual_seed(0)
stream = (3 + 3 * torch.randn(80, 4)).mean(1)
means = {}
for momentum in (0.9, 0.1, 0.01):
    running = [0.0]
    for mean in stream:
        running.append((1 - momentum) * running[-1] + momentum * mean.item())
    means[f"momentum {momentum}"] = running
about = {"xlabel": "batch", "ylabel": "running mean"}
plot.band(range(81), means, paper=3, paper_label="true mean", **about)

# %% slide="only" name="folded"
# alt: A convolution followed by a BatchNorm with fixed numbers is one convolution with other
# alt: weights and another bias.
first = [("text", "x"), ("conv", "conv|w, b"), ("pool!", "BatchNorm|μ, σ, γ, β"), ("text", "y")]
second = [("text", "x"), ("conv", "conv|w′ = γ/σ · w|b′ = γ/σ · (b − μ) + β"), ("text", "y")]
above, below = blocks.chain(75, first)[0], blocks.chain(205, second)[0]
words = blocks.left_text(22, "as trained, in evaluation mode: two linear maps")
words += blocks.left_text(150, "folded: one")
told = "conv and BatchNorm in evaluation mode, and below the one convolution that equals both"
blocks.Diagram(words + above + below, blocks.WIDTH, 245, told)

# %% [markdown] slide="only" part="The problem"
# # BatchNorm: every channel on one scale
#
# Ioffe, Szegedy: *Batch Normalization*, 2015
#
# ![](run:where)
#
# Note: 1 min. After the hour they can normalise a batch by hand, say which values share a
# mean, and find the fault of a network that was left in training mode.

# %% [markdown] slide="only"
# ## Last time: GoogLeNet, in three questions
#
# 1. What does a 1 × 1 convolution do?
# 2. Why is the naive Inception module too expensive?
# 3. What takes the place of the large linear layers?
#
# . . .
#
# It mixes channels at each place; the pooling's channels pile up; a mean over each map.
#
# Note: 2 min. A different row answers each. For the second, ask which branch costs most.

# %% [markdown] slide="only"
# ## VGG-11, twice: which learning rates work?
#
# ### Rates 0.03, 0.1, 0.3 and 1. Up to which does each network learn?
#
# . . .
#
# One is VGG-11; the other has a BatchNorm after each convolution, 0.2 % more parameters.
#
# Note: 1.5 min. Let everybody write down two rates. Two passes over 45,000 photos, three
# seeds each. The answer comes in the middle.

# %% [markdown] slide="only"
# ## A wrong scale grows with depth
#
# ### All weights half as large: how much smaller is the output of layer 6?
#
# . . .
#
# ![](run:halved)
#
# Note: 2 min. Expect 2 and 12. Each layer passes its factor on: 64. After twenty layers a
# million. Then point at the flat line: that is today's remedy.

# %% [markdown] slide="only" part="Forward"
# ## Four numbers by hand: 0, 2, 2, 8
#
# $$\mu = \frac{1}{m} \sum_i x_i \qquad \sigma^2 = \frac{1}{m} \sum_i (x_i - \mu)^2 \qquad y_i = \gamma\, \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta$$
#
# ### With γ = 6, β = 10, ε = 0: what are the four y?
#
# . . .
#
# > **4, 8, 8, 20** with mean 3 and σ = 3
#
# Note: 3 min. Two minutes on paper. Who gets σ = 3.46 divided by m − 1. Then ask which γ
# and β give the batch back: 3 and 3.

# %% [markdown] slide="only"
# ## BatchNorm stands between convolution and ReLU
#
# ![](run:where)
#
# γ and β are learned: the network can still compute what it could before.
#
# Note: 2 min. Two numbers a channel. Now they set the scale of a channel, and not all the
# layers before it. Ask why the convolution has no bias: the mean takes it out.

# %% [markdown] slide="only"
# ## All pixels of a channel share one mean
#
# ### Six photos of 32 × 32: how many numbers go into one mean?
#
# . . .
#
# ![](run:row)
#
# Note: 2 min. 6 × 32 × 32 = 6,144, and three means. Expect 32 × 32 (per photo) and 6 (per
# pixel). A kernel has the same weights everywhere, so all places go together.

# %% [markdown] slide="only"
# ## In code: three axes, one mean a channel
#
# ```python
# def batch_norm(x, gamma, beta, eps=1e-5):  # x is (N, C, H, W)
#     mean = x.mean((0, 2, 3), keepdim=True)
#     variance = x.var((0, 2, 3), correction=0, keepdim=True)
#     normalised = (x - mean) / (variance + eps).sqrt()
#     return gamma * normalised + beta
# ```
#
# Note: 2 min. Ask for the shape of mean: (1, C, 1, 1). What eps is for: a channel that is
# constant. The notebook's version also keeps the memory, and equals torch's.

# %% [markdown] slide="only"
# ## Two modes: this batch, or the memory
#
# | | `model.train()` | `model.eval()` |
# |---|---|---|
# | mean and variance | of this batch | running ones |
# | running ones | move a part of the way | stay |
# | a photo's answer | depends on its neighbours | does not |
#
# Note: 2 min. Ask why evaluation cannot use the batch: one photo alone has none. torch
# calls the part momentum; it weighs the new value.

# %% [markdown] slide="only"
# ## A memory can be too short, or too long
#
# ![](run:memory)
#
# Note: 2 min. Cover the labels: which line has momentum 0.9? With 0.1 the share 1 − 0.9ᵗ
# is learned after t batches: 90 percent after 22. Skip when late.

# %% [markdown] slide="only" part="Backward"
# ## Backward, a photo gets gradients from its neighbours
#
# $$dx_j = \frac{1}{\sigma} \left( g_j - \overline{g} - \hat{x}_j\, \overline{g \hat{x}} \right), \qquad g = \gamma\, dy$$
#
# Three roads lead from x to its normalised value: itself, the mean, and σ.
#
# . . .
#
# Batch 0, 2, 2, 8 and a loss that is the first output alone: dx = 1, −⅔, −⅔, ⅓.
#
# Note: 2.5 min. Let them check that the four add up to 0. Two parts are taken out of each
# gradient: the one that shifts a channel, and the one that scales it.

# %% [markdown] slide="only"
# ## A bias before BatchNorm learns nothing
#
# ### A bias shifts a whole channel. What is its gradient?
#
# . . .
#
# > **0** and so `nn.Conv2d(..., bias=False)`
#
# . . .
#
# β does its work.
#
# Note: 1.5 min. The four dx of the last slide add up to 0: that sum is the gradient of the
# bias. ResNet has no bias in any convolution.

# %% [markdown] slide="only" part="What it buys"
# ## With BatchNorm VGG-11 learns at every rate
#
# ![](run:rates)
#
# Kept runs: all photos, 2 passes, 3 seeds.
#
# Note: 2.5 min. Compare with the two guesses. Chance is 10 percent. Ask at which rate the
# plain network is best, and whether BatchNorm wins there, too.

# %% [markdown] slide="only"
# ## At equal rates, and each at its best
#
# > **{{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-0.1').points:+.1f}" }}** points, both at 0.1
#
# > **{{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-0.3').points:+.1f}" }}** points, 0.3 with against 0.1 without
#
# . . .
#
# Standard errors {{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-0.1').error:.1f}" }}
# and {{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-0.3').error:.1f}" }}, over seeds
# and test photos.
#
# Note: 2 min. A fair comparison gives each its own best rate. Which differences exceed
# twice their error? After two passes only: which one *ends* better is not shown.

# %% [markdown] slide="only"
# ## Three scales of the weights, one curve
#
# ![](run:depth)
#
# Note: 2 min. First weights times one half, one and two, in ten layers. Left: five powers
# of ten apart. Right: which line is which? They lie on each other.

# %% [markdown] slide="only"
# ## Ten times the weights: what happens to the gradient?
#
# ### The output stays the same. And the gradient of the weights?
#
# . . .
#
# > **1 / 10** so the same relative step needs 100 times the rate
#
# . . .
#
# What counts is the rate over ‖w‖². Weight decay keeps ‖w‖ small, and so the step large.
#
# Note: 2 min. Expect "ten times larger". σ grows with the weights and divides the
# gradient. The notebook trains the three cases and gets two equal losses. Skip when late.

# %% [markdown] slide="only" part="What it costs"
# ## In training mode, neighbours decide
#
# ### The same photo, 30 times, with 31 new neighbours each. Does its class change?
#
# . . .
#
# For some photos it does: mean and variance come from the whole batch.
#
# . . .
#
# In evaluation mode each photo has **one** answer.
#
# Note: 2 min. The notebook counts how many of 50 photos waver, and shows one: open it
# there. Expect "no, the weights are fixed".

# %% [markdown] slide="only"
# ## Forget `eval()`, and two things go wrong
#
# ```python
# with torch.no_grad():
#     for images, labels in val_loader:
#         guesses = model(images).argmax(dim=1)
# ```
#
# ### The model was left in training mode. What is wrong?
#
# . . .
#
# 1. Each batch is judged by its own mean: sorted by class, nearly everything is wrong.
# 2. The running statistics *change*, also under `no_grad()`.
#
# Note: 2 min. A patient of the clinic. Expect "nothing, there are no gradients". The
# second fault stays after the measurement.

# %% [markdown] slide="only"
# ## A batch of two: only the order is left
#
# ### Two numbers, 3 and 5, through a BatchNorm. What comes out?
#
# . . .
#
# > **−1 and 1** for 3 and 5, for 3 and 3.001, for −100 and 50,000
#
# Note: 2 min. After a linear layer a batch of two has two values a channel. In a map of 4
# × 4 it still has 32. A batch of one is refused by torch.

# %% [markdown] slide="only"
# ## Other layers average over other axes
#
# ![](draw:architectures.norm_axes())
#
# Note: 2.5 min. Let them say which need no batch: all but the first, so training and
# evaluation do the same. LayerNorm stands in every transformer, GroupNorm where batches
# are small.

# %% [markdown] slide="only"
# ## In evaluation it can be folded away
#
# ![](run:folded)
#
# Note: 2 min. By hand: w = 2, b = 1, μ = 3, σ = 2, γ = 6, β = 5 gives w′ = 6 and b′ = −1.
# Ask why this fails in training mode.

# %% [markdown] slide="only" part="What we know"
# ## In the paper: 2.3 times fewer steps, not 14
#
# | network | rate | steps to 72.2 % |
# |---|---:|---:|
# | Inception, no BatchNorm | 0.0015 | 31.0 million |
# | BatchNorm added | 0.0015 | 13.3 million |
# | five times the rate, other changes | 0.0075 | 2.1 million |
# | thirty times | 0.045 | 2.7 million |
#
# Note: 2 min. The famous 14 includes a higher rate and other changes (section 4.2.1). Ask
# which two rows compare BatchNorm alone.

# %% [markdown] slide="only"
# ## Why does it help? It is not settled
#
# - The paper: layers no longer see their inputs drift.
# - Santurkar and others, 2018: add noise *after* each BatchNorm, so that they drift
#   again. It trains as well.
# - Their reason: the loss becomes smoother, so steps may be longer.
#
# Note: 2 min. Our runs show that higher rates work, and not why. A name is no proof: ask
# for an experiment that would tell the two apart.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - One mean a channel, over all photos and places of a batch.
# - γ and β are learned; a bias before it is useless.
# - It buys higher rates, and one scale at every depth.
# - `train()` uses the batch, `eval()` the memory: never forget it.
# - Small batches: LayerNorm or GroupNorm.
#
# Note: 1.5 min. Cover it, and let five students say one each.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **06.1** A batch by hand, and what the memory holds after it.
# - **06.4** Repair an accuracy that was measured in training mode.
#
# Note: 1 min. Ten minutes each. Next time: with BatchNorm, can we stack 56 layers? The
# answer surprises.
