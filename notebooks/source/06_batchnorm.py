# %% [markdown] slide="slide"
# # BatchNorm: every channel on one scale
#
# Within a batch this layer gives each channel mean 0 and variance 1, then a learned scale
# and shift. We write it forward and backward, and measure what it brings and costs.
#
# *Ioffe, Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift. ICML 2015.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. normalise a batch by hand, and say which values share a mean;
# 2. write BatchNorm forward and backward;
# 3. explain what goes wrong when a network is left in training mode;
# 4. say from measurements what it changes for learning rates and small batches;
# 5. choose between BatchNorm, LayerNorm and GroupNorm, and fold a BatchNorm away.
#
# A run takes ten seconds at scale `tiny`, one or two minutes at `small`.

# %% [markdown] slide="slide"
# ## Question
#
# VGG-11 at a quarter of its width has 578,410 parameters; BatchNorm adds two for each
# channel, 1,376 or 0.2 %. We trained both for two passes over 45,000 photos, at learning
# rates of 0.03, 0.1, 0.3 and 1.
#
# A network *learns* at a rate if all three seeds end far above 10 %, which guessing
# gives. **Up to which rate does each of the two learn?** *Guess: one rate for each.*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from teaching import architectures, check, diagrams, kept, norms
from utils import course, data, look, plot
from utils.train import evaluate, fit

run = course.start(seed=0)
photos = data.cifar10()
seeds = range(course.pick(tiny=1, small=3, full=3))

# %% [markdown] slide="slide"
# ## The network
#
# A small VGG (lecture 04), for photos halved to 16×16. `norm` puts the layer of this
# lecture before each ReLU.

# %%
def network(norm=None, seed=0):
    """Six convolutions; one seed gives the same first weights with every norm."""
    torch.manual_seed(seed)
    width = course.pick(tiny=8, small=16, full=64)
    layers, channels = [], 3
    for i, wider in enumerate((1, 1, 2, 2, 4, 4)):
        conv = nn.Conv2d(channels, wider * width, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        channels = wider * width
        layers += [conv, norm(channels), nn.ReLU()] if norm else [conv, nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if i % 2 else []
    layers += [nn.Flatten(), nn.Linear(4 * channels, 10)]  # 2 x 2 positions are left
    return nn.Sequential(*layers).to(run.device)

# %% tags=["hide-input"] slide="subslide"
title = "Photos of 16×16: six convolutions, three poolings, one linear layer"
diagrams.from_model(network(), (3, 16, 16), title=title)

# %% [markdown] slide="slide"
# ## What does a wrong scale do?
#
# We make all weights of six convolutions **half as large**. **By which factor is the output
# of each layer smaller?**

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
# Each layer passes its factor on. **The remedy:** take the values of one channel in this
# batch, subtract their mean, divide by their standard deviation. The old scale is gone
# (`eps`, nearly 0, comes below):

# %% check=True
full = half = x
for conv in convs:
    norm = nn.BatchNorm2d(8, eps=1e-12)
    full = F.relu(norm(conv(full)))
    half = F.relu(norm(F.conv2d(half, conv.weight / 2, padding=1)))
print(f"layer 6: 1 / {(full.std() / half.std()).item():.0f}")

# %% [markdown] slide="slide"
# ## One channel during training
#
# We watch one channel before the last ReLU during training: in every step the 15th,
# 50th and 85th percentile of its values (15 % of them lie below the 15th).

# %%
def shrunk(images):
    """Photos at half their side, 16 x 16: a quarter of the work."""
    return replace(images, images=F.avg_pool2d(images.images.float(), 2).byte())


train = shrunk(photos.train.subset(course.pick(tiny=1280, small=3000, full=None)))
val = shrunk(photos.val.subset(course.pick(tiny=200, small=2000, full=None)))
val_loader = val.loader(500)
KINDS = {"without": None, "with BatchNorm": nn.BatchNorm2d}
settings = {"lr": 0.03, "schedule": "cosine", "keep_best": False, "progress": False}

# %% slide="subslide"
def one_channel(norm):
    """Percentiles of a channel before the last ReLU in each step, (steps, 3)."""
    model, seen = network(norm), []
    levels = torch.tensor([0.15, 0.5, 0.85], device=run.device)
    model[-4].register_forward_pre_hook(  # torch calls it before the last ReLU
        lambda _, x: seen.append(x[0][:, 0].detach().quantile(levels).cpu())
    )
    fit(model, train.loader(128, shuffle=True), epochs=3, **settings)
    return torch.stack(seen)


channel = {name: one_channel(norm) for name, norm in KINDS.items()}

# %% [markdown] slide="-"
# **How do the three move, without and with BatchNorm?**

# %% tags=["hide-input"] slide="subslide"
# alt: Percentiles of one channel over the training steps, in two panels. Without
# alt: BatchNorm they drift; with it they stay in one range.
title = "Without BatchNorm a channel's values drift; with it they stay in place"
norms.drift(channel, title=title);

# %% [markdown]
# This is one channel, with one seed. Without BatchNorm each layer learns while its own
# inputs keep changing: *internal covariate shift*. BatchNorm keeps the channel in place by
# construction. Whether this is *why* it helps, we ask at the end.

# %% [markdown] slide="slide"
# ## Four numbers by hand
#
# One channel, a batch of four: **0, 2, 2, 8**. Algorithm 1 of the paper has four lines,
# for m values and two learned numbers, γ and β:
#
# $$\mu=\frac{1}{m}\sum_i x_i \qquad \sigma^2=\frac{1}{m}\sum_i(x_i-\mu)^2 \qquad
# \hat{x}_i=\frac{x_i-\mu}{\sqrt{\sigma^2+\varepsilon}} \qquad y_i=\gamma\hat{x}_i+\beta$$
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
# The variance is the *biased* one, divided by m. ε (`eps`) keeps the root above 0 when a
# channel is constant.
#
# Each channel has its own γ and β. They start at 1 and 0. **Which γ and β would give the
# batch back?**

# %% check=True
print((3 * normalised + 3).tolist())

# %% [markdown]
# γ = σ = 3 and β = μ = 3. So the layer can undo its normalisation. But now γ alone sets the
# scale and β the mean, whatever the layers before do.

# %% [markdown] slide="slide"
# ## One mean for each channel
#
# A convolution puts out (N, C, H, W). Here are six photos of 32 × 32, split into red,
# green and blue.

# %% tags=["hide-input"]
# alt: Six photos in a grid of three rows, red, green and blue. A frame runs around the
# alt: whole row of green channels: all pixels of all photos share one mean.
norms.channel_row(photos.train.images[:6]);

# %% [markdown] slide="-"
# **How many numbers go into one mean?**

# %% check=True slide="subslide"
x = torch.randn(6, 3, 32, 32)  # (N, C, H, W)
print(x.mean((0, 2, 3)).shape, "from", x[:, 0].numel(), "values each")

# %% [markdown]
# 6 × 32 × 32 = 6,144, in each of three means. A kernel uses the same weights at all
# positions, so all positions of a channel are normalised together.

# %% [markdown] slide="slide"
# ## Two modes: this batch, or the memory
#
# A trained network should judge one photo without looking at others. So in evaluation
# BatchNorm uses its memory, *running statistics*: a mean and a variance for each channel.
# After each training batch they move a small part of the way towards that batch's values.
# Torch calls this part `momentum`:
#
# $$\text{new}=(1-\text{momentum})\cdot\text{old}+\text{momentum}\cdot\text{of the batch}$$
#
# In the memory the variance is *unbiased*, divided by m − 1.

# %% [markdown] slide="slide"
# ## Forward in one function
#
# It takes (N, C) and (N, C, H, W). `old.lerp_(new, 0.1)` moves `old` a tenth of the way to
# `new`.

# %% mirror="utils.models.batchnorm:batch_norm"

# %% [markdown] slide="subslide"
# The running mean begins at 0, the running variance at 1. **What are they after our
# batch 0, 2, 2, 8, with momentum 0.1?**

# %% check=True
column = batch[:, None]  # four examples of one channel: (4, 1)
gamma, beta = torch.tensor([6.0]), torch.tensor([10.0])
memory = torch.zeros(1), torch.ones(1)
y = batch_norm(column, gamma, beta, *memory, training=True, eps=0)
print("y", *y.flatten().tolist())
print(f"running mean     {memory[0].item():.2f} = 0.9 x 0 + 0.1 x 3")
print(f"running variance {memory[1].item():.2f} = 0.9 x 1 + 0.1 x 36 / 3")

# %% [markdown]
# Here momentum is the weight of the *new* value; in SGD, of the old velocity.
#
# **Is it torch's layer?** We compare outputs and running statistics in both modes.

# %% check=True
torch.manual_seed(0)
gamma, beta = torch.linspace(0.5, 2, 5).double(), torch.linspace(-1, 1, 5).double()
ours = torch.zeros(5).double(), torch.ones(5).double()
theirs = copy.deepcopy(ours)
for training in (True, True, False):
    x = 3 * torch.randn(32, 5, 8, 8).double() + 7
    y = batch_norm(x, gamma, beta, *ours, training)
    torch.testing.assert_close(y, F.batch_norm(x, *theirs, gamma, beta, training))
    torch.testing.assert_close(ours, theirs)
    print("training  " if training else "evaluation", "equal")

# %% [markdown]
# With momentum 0.1 the memory has moved by $1-0.9^t$ after t batches: 90 % after 22.

# %% [markdown] slide="slide"
# ## Backward by hand
#
# The result says what BatchNorm does to learning. The gradient of the loss with respect to
# y comes in, dy. We want dx, dγ and dβ.
#
# y = γ x̂ + β gives dβ = Σ dy and dγ = Σ dy x̂. And g = γ dy is the gradient with respect
# to x̂. From x̂ back to x there are **three roads**: $x_j$ stands in $\hat{x}_j$ itself, in
# the mean, and in σ. (Here σ is the whole root, with ε.)
#
# Through the mean: $\partial\mu/\partial x_j=1/m$. Through σ: the derivative of
# $\sigma^2=\frac{1}{m}\sum_i(x_i-\mu)^2+\varepsilon$ is
# $2\sigma\,\partial\sigma/\partial x_j=2(x_j-\mu)/m$; what comes through the mean cancels,
# as $\sum_i(x_i-\mu)=0$. So $\partial\sigma/\partial x_j=\hat{x}_j/m$, and the quotient
# rule gives
#
# $$\frac{\partial\hat{x}_i}{\partial x_j}=\frac{[i=j]-\partial\mu/\partial x_j}{\sigma}
# -\frac{x_i-\mu}{\sigma^2}\,\frac{\partial\sigma}{\partial x_j}=\frac{1}{\sigma}
# \Big(\underbrace{[i=j]\vphantom{\frac{1}{m}}}_{\text{itself}}
# -\underbrace{\frac{1}{m}}_{\text{mean}}-\underbrace{\frac{\hat{x}_i\hat{x}_j}{m}}_{\sigma}
# \Big)$$
#
# $[i=j]$ is 1 for i = j and 0 otherwise. The loss depends on $x_j$ through all $\hat{x}_i$:
# $dx_j=\sum_i g_i\,\partial\hat{x}_i/\partial x_j$. With a bar for a mean over the batch
#
# $$dx_j=\frac{1}{\sigma}\left(g_j-\overline{g}-\hat{x}_j\,\overline{g\hat{x}}\right)$$

# %% [markdown] slide="subslide"
# **On paper:** again 0, 2, 2, 8, so σ = 3 and x̂ = −1, −⅓, −⅓, 5⁄3. Take γ = 6 and let
# the loss be the first output alone: dy = 1, 0, 0, 0. What are the four dx?

# %% check=True
g = 6 * torch.tensor([1.0, 0, 0, 0])
dx = (g - g.mean() - normalised * (g * normalised).mean()) / 3
print("mean of g", g.mean().item(), "  mean of g x̂", (g * normalised).mean().item())
print("dx", *(f"{value:.3f}" for value in dx))

# %% [markdown]
# The first output depends on *all four* numbers: a photo gets gradients from its
# neighbours in the batch. Now all channels at once:

# %% slide="subslide"
def batch_norm_backward(dy, x, gamma, eps=1e-5):
    """Gradients by x, gamma and beta from that by y; x and dy are (N, C, H, W)."""
    over = {"dim": (0, 2, 3), "keepdim": True}
    sigma = (x.var(correction=0, **over) + eps).sqrt()  # (1, C, 1, 1)
    normalised = (x - x.mean(**over)) / sigma
    g = gamma[:, None, None] * dy
    dx = (g - g.mean(**over) - normalised * (g * normalised).mean(**over)) / sigma
    return dx, (dy * normalised).sum((0, 2, 3)), dy.sum((0, 2, 3))

# %% check=True
x = (3 * torch.randn(32, 5, 8, 8).double() + 7).requires_grad_()
gamma.requires_grad_(), beta.requires_grad_()
y = batch_norm(x, gamma, beta, *ours, training=True)
dy = torch.randn(32, 5, 8, 8).double()
by_autograd = torch.autograd.grad(y, (x, gamma, beta), dy)
with torch.no_grad():
    by_hand = batch_norm_backward(dy, x, gamma)
for name, mine, other in zip(("dx", "dγ", "dβ"), by_hand, by_autograd, strict=True):
    torch.testing.assert_close(mine, other)
    print(name, "equals autograd's")

# %% [markdown] slide="subslide"
# **Two sums are 0 for every dy:** that of dx, 1 − ⅔ − ⅔ + ⅓, and that of dx · x̂, −1 + 2⁄9 +
# 2⁄9 + 5⁄9 (with ε, nearly), because x̂ has mean 0 and mean square 1. So no gradient shifts
# a whole channel, and none scales it: neither would change y.
#
# So a **bias before BatchNorm** gets the gradient 0; β does its work. Many networks
# leave it out: `nn.Conv2d(..., bias=False)`. Ours keep it, so that both kinds have the
# same convolutions.

# %% [markdown] slide="slide"
# ## Which learning rates work
#
# Our question, with *kept runs*, which we trained before: three seeds for each rate. A line
# is their mean; the band reaches from the lowest to the highest.

# %% slide="subslide"
# alt: Test accuracy against the learning rate from 0.03 to 1, mean and band over three
# alt: seeds. With BatchNorm the line is high at all four rates. Without it the line is
# alt: lower, and falls to the level of a guess at the high rates.
rates = (0.03, 0.1, 0.3, 1)
kept_runs = {
    name: [kept.test_accuracy(f"rate-{model}-{rate}") for rate in rates]
    for name, model in {"without": "vgg11", "with BatchNorm": "vgg11_bn"}.items()
}
reached = {name: list(zip(*runs, strict=True)) for name, runs in kept_runs.items()}
title = "With BatchNorm VGG-11 learns at every rate; without it, at the two lowest"
about = {"xlabel": "learning rate", "ylabel": "test accuracy (%)", "title": title}
plot.band(rates, reached, **about);

# %% slide="subslide"
for name, runs in kept_runs.items():
    for rate, seeds_ in zip(rates, runs, strict=True):
        shares = "  ".join(f"{100 * share:.1f}" for share in seeds_)
        print(f"{name:15} rate {rate:4}: {shares} % with seeds 0, 1, 2")
print("BatchNorm at 0.1 minus none at 0.1:")
print("   ", kept.difference("rate-vgg11-0.1", "rate-vgg11_bn-0.1"))
print(kept.caption("rate-vgg11_bn-0.1"))

# %% [markdown] slide="subslide"
# **With BatchNorm VGG-11 learns at all four rates**; without it at 0.03 and 0.1.
#
# But the gain does not come from the high rate: at 0.1, where the *plain* network
# learns, BatchNorm is already 14.5 ± 1.0 points better (± is the standard error). It
# brings accuracy after a short training, and a rate that needs little care.

# %% [markdown] slide="slide"
# ## A race on small photos
#
# Now your own run: our small network, both kinds at the rate 0.03, with the same first
# weights and batches.

# %%
passes = course.pick(tiny=5, small=6, full=30)
race, nets = {name: [] for name in KINDS}, {name: [] for name in KINDS}
for name, norm in KINDS.items():
    for seed in seeds:
        model, loader = network(norm, seed), train.loader(128, shuffle=True, seed=seed)
        race[name].append(fit(model, loader, val_loader, epochs=passes, **settings))
        nets[name].append(model)

# %% [markdown] slide="-"
# **After how many passes does BatchNorm reach the final accuracy of the network without
# it?**

# %% slide="subslide"
# alt: Validation loss and accuracy over the epochs, with a band over seeds. The mean
# alt: with BatchNorm is ahead in every epoch; the bands overlap in the first ones.
last = [sum(h["val_accuracy"][-1] for h in runs) / len(runs) for runs in race.values()]
title = f"After {passes} passes: {last[0]:.1%} without BatchNorm, {last[1]:.1%} with it"
plot.curves(race, title=title);

# %% slide="subslide"
needed = []
for plain, normed in zip(*race.values(), strict=True):
    goal = plain["val_accuracy"][-1]
    there = [row["epoch"] for row in normed.rows if row["val_accuracy"] >= goal]
    needed.append(there[0] if there else passes)
    print(f"without, after {passes} passes: {goal:.1%}")
    end = f"{normed['val_accuracy'][-1]:.1%}"
    print(f"    with BatchNorm: passed in pass {needed[-1]}; in the end {end}")

# %% [markdown]
# In pass 3 with each seed, so after 2 to 3 passes instead of 6: 2 to 3 times fewer.

# %% [markdown] slide="slide"
# ## Ten times the weights, the same output
#
# BatchNorm divides by σ, which grows with the weights. **What happens to the gradient?**

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
along = (conv.weight * conv.weight.grad).sum().abs()
print(f"size of w · gradient: {along.item():.6f}")

# %% [markdown]
# It becomes ten times *smaller*. For the same *relative* step the learning rate must be
# 10² = 100 times larger. **Which two of these three trainings are then the same?**

# %% slide="subslide" check=True
for factor, lr in ((1, 0.1), (10, 0.1), (10, 10.0)):
    model = nn.Sequential(copy.deepcopy(conv), nn.BatchNorm2d(4, eps=1e-12).double())
    model[0].weight.data.mul_(factor)
    optimizer = torch.optim.SGD(model[0].parameters(), lr=lr)
    losses = []
    for _ in range(20):
        losses.append(F.mse_loss(model(x), target))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    print(f"weights × {factor:2}, rate {lr:4}: last loss {losses[-1].item():.6f}")

# %% [markdown]
# The first and the last are. What counts is the *effective rate*, **rate / ‖w‖²**, with ‖w‖
# the length of w (van Laarhoven 2017).
#
# Scaling w does not change the loss, so the gradient has no part along w: above,
# w · gradient is 0. So a step makes w longer, and the next ones relatively smaller. Perhaps
# that is why high rates do less harm; we did not test it.

# %% [markdown] slide="slide"
# ## What it costs: neighbours decide
#
# In training mode mean and variance come from the whole batch. We ask about the same
# photo 30 times, each time with 31 others.

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
    return torch.stack(answers).softmax(dim=1).cpu()

# %% [markdown] slide="-"
# **How many of 50 photos get another class at least once in 30 times?**

# %% slide="subslide"
torch.manual_seed(run.seed)
asked = images[: course.pick(tiny=4, small=50, full=100)]
answers = torch.stack([among_others(photo) for photo in asked])
classes = answers.argmax(dim=2)  # (photos, times)
waver = (classes != classes.mode(dim=1).values[:, None]).float().mean(dim=1)
share = (waver > 0).float().mean()
print(f"{share:.0%} of {len(asked)} photos change their class with their neighbours")

# %% tags=["hide-input"] slide="subslide"
# alt: Probabilities of ten classes for one photo. In training mode 30 dots for each
# alt: class are spread wide, one for each set of neighbours, and the highest of each set
# alt: stand in several classes; in evaluation mode there is one value for each class.
i = waver.argmax().item()
with torch.no_grad():
    alone = judged.eval()(images[i : i + 1])[0].softmax(dim=0).cpu()
kind, given = photos.classes[labels[i]], len(classes[i].unique())
title = f"One photo ({kind}), 30 sets of neighbours: {given} different answers"
norms.answers(val.images[i], answers[i], alone, photos.classes, title);

# %% [markdown] slide="subslide"
# About half. The figure shows the one that changes most often; rings are the answers of
# training mode. In evaluation mode it has one answer.

# %% [markdown] slide="slide"
# ## Forget eval(), and the accuracy is wrong
#
# A common mistake is to measure accuracy in training mode. We make it with batches of
# 128 and 8 photos at random, of one photo, and of 128 sorted by class.

# %%
def in_training_mode(model, examples, batch_size, shuffle=True):
    """Accuracy of a copy that was left in training mode, and the copy."""
    model, right = copy.deepcopy(model).train(), 0
    for x, y in examples.loader(batch_size, shuffle=shuffle):
        with torch.no_grad():
            right += (model(x).argmax(dim=1) == y).sum().item()
    return right / len(examples), model

# %% [markdown] slide="-"
# **Which of the four are clearly lower than in evaluation mode?**

# %% slide="subslide"
right = evaluate(judged, val_loader).accuracy
by_class = val.take(val.labels.argsort(stable=True))
print(f"evaluation mode                       {right:6.1%}")
for text, examples, size, shuffle in (
    ("128 at random", val, 128, True),
    ("8 at random", val, 8, True),
    ("one by one", val, 1, True),
    ("128, sorted by class", by_class, 128, False),
):
    share, left = in_training_mode(judged, examples, size, shuffle)
    later = evaluate(left, val_loader).accuracy
    print(f"training mode, {text:22} {share:6.1%}   then eval(): {later:.1%}")

# %% [markdown]
# The last two lose nearly half of the accuracy. With 8 photos it is 3.9 points lower, more
# than twice its standard error from 2,000 photos (at most 1.6). Sorted batches lose what
# their photos have in common, and that is the class.

# %% [markdown] slide="subslide"
# The last column shows a second fault: measuring *changes the running statistics*, also
# under `torch.no_grad()`. Here that costs nearly three points at most. `eval()` prevents
# both.

# %% [markdown] slide="slide"
# ## What it costs: small batches
#
# What does BatchNorm make of a batch of *two*, with one value per channel? **Predict the
# output for 3 and 5.**

# %% check=True
norm = nn.BatchNorm1d(1, eps=1e-12)
for pair in ([3.0, 5.0], [3.0, 3.001], [-100.0, 50_000.0]):
    y = norm(torch.tensor(pair)[:, None]).flatten()
    print(pair, "->", [round(value, 2) for value in y.tolist()])

# %% [markdown]
# Always −1 and 1: only their order is left. (In maps of 4 × 4 a channel still has 32
# values.)

# %% [markdown] slide="slide"
# ## What replaces it: other axes
#
# *Layer normalisation* takes mean and variance over all channels and positions of **one**
# example. *Group normalisation* does so within groups of channels; with one channel per
# group it is *instance normalisation*.

# %% tags=["hide-input"]
architectures.norm_axes()

# %% slide="subslide"
def group_norm(x, groups, gamma, beta, eps=1e-5):
    """Normalise each group of channels of each example: (N, C, ...) -> the same."""
    grouped = x.reshape(len(x), groups, -1)
    centred = grouped - grouped.mean(2, keepdim=True)
    sigma = (centred.square().mean(2, keepdim=True) + eps).sqrt()
    shape = [1, -1] + [1] * (x.dim() - 2)
    return gamma.view(shape) * (centred / sigma).view_as(x) + beta.view(shape)

# %% check=True
x, gamma, beta = torch.randn(4, 6, 5, 5), torch.randn(6), torch.randn(6)
theirs = F.layer_norm(x, (6, 5, 5))  # with γ = 1, β = 0
torch.testing.assert_close(group_norm(x, 1, torch.ones(6), torch.zeros(6)), theirs)
print("LayerNorm: equal to F.layer_norm, 4 means")
theirs = F.group_norm(x, 2, gamma, beta)
torch.testing.assert_close(group_norm(x, 2, gamma, beta), theirs)
print("GroupNorm of 2: equal to F.group_norm, 8 means")

# %% [markdown]
# There is no memory; training and evaluation do the same.

# %% [markdown] slide="subslide"
# A network for digits has three convolutions and a hidden linear layer, all with the same
# norm. All runs take the *same number of steps* at the rate 0.02, so smaller batches see
# fewer digits: compare within a batch size.

# %%
digits = data.mnist()
NORMS = {
    "without": None,
    "BatchNorm": nn.BatchNorm2d,
    "GroupNorm": lambda channels: nn.GroupNorm(4, channels),
    "LayerNorm": lambda channels: nn.GroupNorm(1, channels),
}


def reader(norm, seed):
    """A network for digits of 14 x 14, with a norm after every layer but the last."""
    torch.manual_seed(seed)
    layers, channels = [], 1
    for wider in (8, 16, 32):
        conv = nn.Conv2d(channels, wider, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, norm(wider), nn.ReLU()] if norm else [conv, nn.ReLU()]
        layers, channels = [*layers, nn.MaxPool2d(2)], wider
    layers += [nn.Flatten(), nn.Linear(32, 32), nn.Unflatten(1, (32, 1, 1))]
    layers += [norm(32), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 10)).to(run.device)

# %% slide="subslide"
sizes, steps = (2, 4, 16), course.pick(tiny=60, small=700, full=2000)
some = shrunk(digits.train.subset(course.pick(tiny=960, small=11_200, full=32_000)))
unseen = shrunk(digits.val.subset(course.pick(tiny=None, small=2000, full=None)))


def after_steps(norm, size, seed):
    """Validation accuracy after so many steps with batches of this size."""
    model, loader = reader(norm, seed), some.subset(size * steps)
    loader = loader.loader(size, shuffle=True, seed=seed)
    fit(model, loader, epochs=1, **settings | {"lr": 0.02})
    return evaluate(model, unseen.loader(500)).accuracy


small = {
    name: [[after_steps(norm, size, seed) for size in sizes] for seed in seeds]
    for name, norm in NORMS.items()
}

# %% [markdown] slide="-"
# **Which layer is best with batches of 2, of 4 and of 16?** A circle is a seed, a diamond
# the mean.

# %% slide="subslide"
# alt: A panel for each batch size, 2, 4 and 16: validation accuracy of each seed, and
# alt: their mean, without a norm and with BatchNorm, GroupNorm and LayerNorm. BatchNorm
# alt: has the lowest mean at 2 and the highest at 16.
norms.by_batch_size(sizes, small);

# %%
print("batches of", *(f"{size:8}" for size in sizes))
for name, runs in small.items():
    shares = torch.tensor(runs).mean(0).tolist()
    print(f"{name:10}", *(f"{share:8.1%}" for share in shares))

# %% [markdown] slide="subslide"
# The figure's title names the highest *mean*. That is no ranking: look at the circles.
#
# - With 2 all seeds of BatchNorm lie below those of GroupNorm and LayerNorm, whose means are
#   more than 30 points higher. Three seeds show that it is worse here, but not by how much:
#   the circles lie far apart. A likely reason, not tested: in the hidden layer a batch of
#   two becomes −1 and 1.
# - Three seeds cannot tell whether LayerNorm or GroupNorm is better with 2, nor which of the
#   three is best with 4: those circles overlap.
# - With 16 all seeds of BatchNorm lie above all others, by less than 2 points in the mean:
#   a sign that more seeds must confirm.
#
# All runs have one rate, perhaps too high for batches of two. With its own best rate each
# layer could do better.
#
# On ImageNet the error of a ResNet-50 (lecture 07) rises from 23.6 % with 32 images per GPU
# to 34.7 % with 2; with GroupNorm it stays at 24.1 % (Wu and He 2018). Transformers use
# LayerNorm, over the channels of one position.

# %% [markdown] slide="slide"
# ## Folded away, it costs nothing
#
# In evaluation mode mean and variance are constants. Then convolution and BatchNorm are
# together one linear function (* is the convolution, s is `sigma` in our code):
#
# $$\gamma\,\frac{(w*x+b)-\mu}{s}+\beta \;=\; \underbrace{\frac{\gamma}{s}w}_{w'}*x +
# \underbrace{\frac{\gamma}{s}(b-\mu)+\beta}_{b'} \qquad s=\sqrt{\sigma^2+\varepsilon}$$
#
# By hand: w = 2, b = 1; μ = 3, s = 2, γ = 6, β = 5. **What are w′ and b′?**

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

# %%
layers = list(copy.deepcopy(judged).eval())
for i in reversed(range(len(layers))):
    if isinstance(layers[i], nn.BatchNorm2d):
        layers[i - 1 : i + 1] = [fold(layers[i - 1], layers[i])]
folded = nn.Sequential(*layers)
with torch.inference_mode():
    torch.testing.assert_close(folded(images), judged(images), rtol=1e-4, atol=1e-4)
print(f"{len(judged)} layers, folded {len(folded)}: the same logits")

# %% [markdown]
# Six layers are gone, each of which read and wrote a whole feature map.

# %% [markdown] slide="slide"
# ## Why does it help? It is not settled
#
# The paper's reason is the drift of the inputs. Santurkar and others (2018) added a random
# scale and shift after each BatchNorm, new in every step: on CIFAR-10 their network stayed
# about as good. So drift cannot be the whole reason.
#
# They propose another: the loss becomes *smoother*. The gradient changes less from point
# to point, so steps may be longer. Our runs do not decide this.

# %% [markdown] slide="slide"
# ## Against the paper
#
# On ImageNet an Inception network (lecture 05) reaches its best accuracy, 72.2 %, after
# 31.0 million steps. With BatchNorm, at the same rate, it passes 72.2 % after 13.3 million:
# 2.3 times fewer (Figure 3). The abstract's "14 times fewer" also has a rate five times as
# high, and other changes (section 4.2.1).

# %%
factors = [f"{passes / there:.1f}" for there in needed]
print("ours, BatchNorm alone, each seed:", *factors, "times fewer passes")
kept.scoreboard(
    {
        "VGG-11, rate 0.1": "rate-vgg11-0.1",
        "VGG-11 with BatchNorm, rate 0.1": "rate-vgg11_bn-0.1",
        "VGG-11 with BatchNorm, longer": "vgg11_bn",
    }
)

# %% [markdown] slide="subslide"
# Here ± is the standard deviation over seeds.

# %% [markdown] slide="slide"
# ## Answer
#
# Without BatchNorm VGG-11 learns up to a rate of 0.1; with it up to 1, the highest that we
# tried. **Does your own run also favour BatchNorm,** on test photos that it has not used
# so far?

# %% slide="fragment"
test_loader = shrunk(photos.test).loader(500)
tested = {
    name: [evaluate(model, test_loader).accuracy for model in models]
    for name, models in nets.items()
}
for name, shares in tested.items():
    print(f"{name:15}", *(f"{share:.1%}" for share in shares), "of the test set")
high = [sum(runs[2]) / len(runs[2]) for runs in kept_runs.values()]  # at 0.3
plain, normed = (sum(shares) / len(shares) for shares in tested.values())
run.headline(
    f"at a rate of 0.3 VGG-11 reaches {high[1]:.0%} with BatchNorm, {high[0]:.0%}"
    f" without (kept runs); here {normed:.1%} and {plain:.1%} of the test"
    f" {photos.test.kind}"
)

# %% [markdown] slide="-"
# Yes, with each seed: by 5.4, 7.8 and 6.2 points.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# then a stronger one. *Predict*: before any cell runs it.

# %% [markdown] slide="subslide"
# ### 06.1 Predict: a batch by hand
#
# One channel gets the batch 3, 9, 11, 17; ε = 0. On paper:
#
# - (a) what does 17 become before γ and β,
# - (b) what is y for the 3, with γ = 10 and β = 2,
# - (c) the running mean after this batch, momentum 0.1, begun at 0,
# - (d) the running variance after it, begun at 1?
#
# Write four numbers: `values = (a, b, c, d)`.

# %%
# solution
values = (1.4, -12, 1.0, 0.9 + 0.1 * 100 / 3)  # (a), (b), (c), (d)

# %%
check("06.1", values)

# %% [markdown] slide="subslide"
# ### 06.2 Write: the backward pass of LayerNorm
#
# x and dy are (N, C): each example is normalised over its C features, then multiplied
# by γ and shifted by β, both (C,). Return dx, dγ and dβ, without autograd. Over which axis
# does each mean run? Can γ still be taken out of it?

# %%
def layer_norm_backward(dy: Tensor, x: Tensor, gamma: Tensor, eps: float = 1e-5):
    """Gradients by x, gamma and beta from that by y: (N, C), (C,) and (C,)."""
    # solution
    sigma = (x.var(1, correction=0, keepdim=True) + eps).sqrt()
    normalised = (x - x.mean(1, keepdim=True)) / sigma
    g = gamma * dy  # gamma differs within a mean: it stays inside
    mean_g = g.mean(1, keepdim=True)
    mean_gx = (g * normalised).mean(1, keepdim=True)
    dx = (g - mean_g - normalised * mean_gx) / sigma
    return dx, (dy * normalised).sum(0), dy.sum(0)

# %%
check("06.2", layer_norm_backward)

# %% [markdown] slide="subslide"
# ### 06.3 Modify: fold into a linear layer
#
# `fold_linear` gets an `nn.Linear` and the `nn.BatchNorm1d` after it, both in
# evaluation mode. It leaves them unchanged, and returns one new `nn.Linear` for both. The
# old one may have no bias.

# %%
def fold_linear(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    """One linear layer that does the work of a linear layer and its BatchNorm."""
    # solution
    folded = nn.Linear(linear.in_features, linear.out_features)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    old_bias = 0 if linear.bias is None else linear.bias
    folded.weight.data = linear.weight.data * scale.data[:, None]
    folded.bias.data = ((old_bias - norm.running_mean) * scale + norm.bias).data
    return folded

# %%
check("06.3", fold_linear)

# %% [markdown] slide="subslide"
# ### 06.4 Repair: a wrong accuracy
#
# Three things are wrong or missing here; the docstring below asks for a fourth.
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
    mode, answers = model.training, []
    model.eval()
    with torch.no_grad():
        for x, y in loader:
            answers.append(model(x).argmax(dim=1) == y)
    model.train(mode)
    return torch.cat(answers).float().mean().item()

# %%
check("06.4", accuracy)

# %% [markdown] slide="subslide"
# ### 06.5 Investigate: a memory that is too long
#
# We train `late` with momentum 0.001. **Predict**: which accuracy does evaluation mode
# show, after so few steps?
#
# Then write `recalibrate`. It clears all running statistics (`reset_running_stats()`) and
# measures them anew, every batch with the same weight (`momentum = None`). It trains
# nothing, and returns the model in evaluation mode. Measure on `val_loader`, as fractions:
# `before` with `late` itself, `after` with a recalibrated copy.

# %%
late = network(lambda channels: nn.BatchNorm2d(channels, momentum=0.001))
fit(late, train.loader(128, shuffle=True), epochs=3, **settings)
some_photos = train.loader(128)

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
# solution
before = evaluate(late, val_loader).accuracy
after = evaluate(recalibrate(copy.deepcopy(late), some_photos), val_loader).accuracy

# %%
check("06.5", (recalibrate, before, after, late, some_photos, val_loader))

# %% [markdown]
# **Explain:** why does the training loss not show the fault? And which fraction of the way
# does the memory move in 72 steps, with momentum 0.001 and with 0.1?

# %% [markdown] solution=True
# In training each batch is normalised by its own statistics. The running ones are not
# read, so their fault shows in evaluation alone. In 72 steps they cover 1 − 0.999^72 = 7 %
# of the way from (0, 1); with momentum 0.1 they cover 1 − 0.9^72, more than 99.9 %.
#
# With momentum 0.1, too, recalibrate when the statistics belong to other weights or
# images: after averaging weights (`torch.optim.swa_utils.update_bn`), or on new images.

# %% slide="skip"
check.progress("06")

# %% [markdown] slide="slide"
# ## Recap
#
# - μ and the *biased* σ² of a channel are taken over (N, H, W); γ and β are learned.
# - Backward, no shift and no scale of a channel gets a gradient.
# - In evaluation it uses running statistics, and folds into the convolution before it.
#   Without `eval()` neighbours decide.
# - It learns at higher rates too; the effective rate is rate / ‖w‖².
# - With batches of two, at one rate, BatchNorm did worse than LayerNorm and GroupNorm, which
#   use one example.

# %% [markdown] slide="skip"
# ## References
#
# - S. Ioffe, C. Szegedy: *Batch Normalization*, ICML 2015. Algorithms 1 and 2, sections 3
#   and 4.2.1, Fig. 3.
# - J. L. Ba, J. R. Kiros, G. E. Hinton: *Layer Normalization*, 2016.
# - Y. Wu, K. He: *Group Normalization*, ECCV 2018.
# - S. Santurkar, D. Tsipras, A. Ilyas, A. Madry: *How Does Batch Normalization Help
#   Optimization?*, NeurIPS 2018.
# - T. van Laarhoven: *L2 Regularization versus Batch and Weight Normalization*, 2017.
# - CIFAR-10: A. Krizhevsky, 2009. At scale `tiny`: drawings of the same ten classes.
#   Digits: MNIST, Y. LeCun, C. Cortes, C. Burges; at `tiny` scikit-learn's.

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
WIDE = 600  # narrow, so that the words are large on a slide
drawn, at = blocks.chain(95, parts, right=WIDE - 16)
drawn += blocks.text((at[2].x + at[3].x) / 2, 40, "BatchNorm, for each channel", weight="bold")
drawn += blocks.text(at[2].x, 150, "from this batch") + blocks.text(at[3].x, 150, "learned")
blocks.Diagram(drawn, WIDE, 175, "conv without bias, BatchNorm with gamma and beta, ReLU")

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
axes[0].set_ylabel("standard deviation\nbefore the ReLU")

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
# alt: weights and a bias.
first = [("text", "x"), ("conv", "conv|w, no bias"), ("pool!", "BatchNorm|μ, σ, γ, β"), ("text", "y")]
second = [("text", "x"), ("conv", "conv|w′ = γ/σ · w|b′ = β − γ/σ · μ"), ("text", "y")]
above, below = (blocks.chain(y, two, right=WIDE - 16)[0] for y, two in ((75, first), (205, second)))
words = blocks.left_text(22, "as trained, in evaluation mode: two linear steps")
words += blocks.left_text(150, "folded: one")
told = "conv and BatchNorm in evaluation mode, and below the one convolution that equals both"
blocks.Diagram(words + above + below, WIDE, 245, told)

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
# 1. It mixes the channels at each place.
# 2. The pooling's channels pile up.
# 3. A mean over each map.
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
# γ = σ and β = μ would give the values back: the network loses nothing.
#
# Note: 2 min. Two numbers a channel. Now they set the scale of a channel, and not all the
# layers before it. Ask why the convolution has no bias: the mean takes it out.

# %% [markdown] slide="only"
# ## One mean for each channel
#
# ### Six photos of 32 × 32: how many numbers go into one mean?
#
# . . .
#
# ![](run:row)
#
# **6 × 32 × 32 = 6,144** in each of three means
#
# Note: 2 min. Expect 32 × 32 (per photo) and 6 (per
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
# constant. The notebook's version also keeps the memory, and equals torch's. Skip when late.

# %% [markdown] slide="only"
# ## Two modes: this batch, or the memory
#
# | | `model.train()` | `model.eval()` |
# |---|---|---|
# | uses mean and variance | of this batch | from the memory |
# | the memory | moves towards the batch's | stays |
# | a photo's answer | depends on its neighbours | does not |
#
# memory = (1 − momentum) · memory + momentum · value of this batch
#
# Note: 2 min. The memory holds the running mean and the running variance. Ask why
# evaluation cannot use the batch: one photo alone has none. This momentum weighs the new
# value, the optimizer's the old one.

# %% [markdown] slide="only"
# ## The same photo in other company
#
# ### In training mode: can seven other photos change its answer?
#
# ![](play:batch)
#
# The marks show the answer in evaluation mode.
#
# Note: 2 min. Begin in evaluation mode and change the company: nothing moves. Ask again,
# then switch to training mode. Expect “no, it is the same photo”. Late: one company only.

# %% [markdown] slide="only"
# ## A memory can be too short, or too long
#
# ![](run:memory)
#
# Momentum is the share of the new batch: four numbers with mean 3 and σ 3.
#
# Note: 2 min. Cover the labels: which line has momentum 0.9? With 0.1 the share 1 − 0.9ᵗ
# is learned after t batches: 90 percent after 22. Skip when late.

# %% [markdown] slide="only" part="Backward"
# ## Backward, a photo gets gradients from its neighbours
#
# $$dx_j = \frac{1}{\sigma} \left( g_j - \text{mean}(g) - \hat{x}_j\, \text{mean}(g \hat{x}) \right), \qquad g = \gamma\, dy$$
#
# dx, dy: gradients of the loss; x̂: normalised x. Three roads lead from x to x̂: itself,
# the mean, and σ.
#
# . . .
#
# Batch 0, 2, 2, 8, γ = 6, the loss is the first y alone: dx = 1, −⅔, −⅔, ⅓.
#
# Note: 2.5 min. Let them check that the four add up to 0. Two parts are taken out of each
# gradient: the one that shifts a channel, and the one that scales it.

# %% [markdown] slide="only"
# ## β takes the place of the bias
#
# ### A bias before BatchNorm shifts a whole channel. Its gradient?
#
# . . .
#
# > **0** and so `nn.Conv2d(..., bias=False)`
#
# . . .
#
# It is the sum of dx, which has mean 0: 1 − ⅔ − ⅔ + ⅓.
#
# Note: 1.5 min. Expect "1, as every bias". The four dx of the last slide, whatever the loss
# is: β does its work. ResNet has no bias in any convolution. Late: say it without the vote.

# %% [markdown] slide="only" part="What it buys"
# ## With BatchNorm VGG-11 learns at all four rates
#
# ![](run:rates)
#
# All 45,000 photos, 2 passes. The bands hold 3 seeds; a guess is 10 %.
#
# Note: 2.5 min. Compare with the two guesses. Chance is 10 percent. Ask at which rate the
# plain network is best, and whether BatchNorm wins there, too.

# %% [markdown] slide="only"
# ## BatchNorm wins at the same rate, and at ten times it
#
# > **{{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-0.1').points:+.1f}" }}** points, both at the rate 0.1
#
# > **{{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-1').points:+.1f}" }}** points, with BatchNorm at 1, without at 0.1
#
# . . .
#
# Standard errors: {{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-0.1').error:.1f}" }}
# and {{ f"{kept.difference('rate-vgg11-0.1', 'rate-vgg11_bn-1').error:.1f}" }} points.
#
# Note: 2 min. Of the four rates 0.1 is best for both. Which differences exceed twice their
# error, which counts other seeds and other test photos? After two passes only: which one *ends* better is not shown.

# %% [markdown] slide="only"
# ## Three scales of the weights, one curve
#
# ![](run:depth)
#
# Ten convolutions with ReLU; all weights × 0.5, 1 and 2. Right, the three lines lie on one
# another.
#
# Note: 2 min. A stack made for this slide, not trained. Left: five powers of ten apart. Right:
# which line is which? Skip when late.

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
# The same change of w is now a tenth as large, relative to w. What counts is the rate over
# ‖w‖², the squared length of w.
#
# Note: 2 min. Expect "ten times larger". σ grows with the weights and divides the
# gradient. Weight decay keeps w short, and so the relative step large. The notebook trains the three cases and gets two equal losses. Skip when late.

# %% [markdown] slide="only" part="What it costs"
# ## One photo, asked 30 times in training mode
#
# ### The same photo, 30 times, with 31 new neighbours each. Does its class change?
#
# . . .
#
# > **{{ said(r"(\d+)% of 50 photos change") }} %** of 50 photos change their class
#
# . . .
#
# Mean and variance come from the whole batch. In evaluation mode each photo has **one**
# answer.
#
# Note: 2 min. The notebook counts them with its small network, and shows one: open it
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
# 1. Each batch is judged by its own mean: sorted by class {{ said(r"128, sorted by class +([\d.]+)%") }} %
#    are right, not {{ said(r"evaluation mode  +([\d.]+)%") }} %.
# 2. The running statistics *change*, also under `no_grad()`.
#
# Note: 2 min. A patient of the clinic. Expect "nothing, there are no gradients". The
# second fault stays after the measurement. The figures are the notebook's.

# %% [markdown] slide="only"
# ## A batch of two is too small
#
# ### Two numbers, 3 and 5, through a BatchNorm. What comes out?
#
# . . .
#
# > **−1 and 1** for 3 and 5, and for −100 and 50,000: only the order is left
#
# Note: 2 min. ε acts only on pairs that are nearly equal, as 3 and 3.001. After a linear layer a batch of two has two values a channel. In a map of 4
# × 4 it still has 32. A batch of one is refused by torch.

# %% [markdown] slide="only"
# ## Other layers average over other axes
#
# ![](draw:architectures.norm_axes())
#
# Digits, batches of 2, 3 seeds: BatchNorm {{ said(r"\nBatchNorm  +([\d.]+)%") }} %, GroupNorm
# {{ said(r"\nGroupNorm  +([\d.]+)%") }} %, LayerNorm {{ said(r"\nLayerNorm  +([\d.]+)%") }} %.
#
# Note: 2.5 min. All at one rate. With 2 every seed of BatchNorm is below every seed of the
# other two; three seeds cannot tell which of those is better. With 4 all overlap, with 16
# BatchNorm is ahead by less than 2 points. Let them say which need no batch: all but the first, so training and evaluation do
# the same. LayerNorm stands in every transformer, GroupNorm where batches
# are small.

# %% [markdown] slide="only"
# ## In evaluation it can be folded away
#
# ![](run:folded)
#
# Note: 2 min. By hand: w = 2, μ = 3, σ = 2, γ = 6, β = 5 gives w′ = 6 and b′ = −4. A bias
# of the convolution, as the notebook has it, is scaled too. Ask why this fails in training
# mode. Skip when late.

# %% [markdown] slide="only" part="What we know"
# ## In the paper: BatchNorm alone saves a factor of 2.3
#
# | network | rate | steps to 72.2 % |
# |---|---:|---:|
# | Inception, no BatchNorm | 0.0015 | 31.0 million |
# | BatchNorm added | 0.0015 | 13.3 million |
# | five times the rate, other changes | 0.0075 | 2.1 million |
# | thirty times | 0.045 | 2.7 million |
#
# The “14 times fewer steps” of its abstract are the third row.
#
# Note: 2 min. Ask which two rows compare BatchNorm alone. The third has a higher rate and
# other changes (section 4.2.1); 31.0 / 2.1 is 14.8, the paper says 14. Skip when late.

# %% [markdown] slide="only"
# ## Why does it help? It is not settled
#
# - The paper: layers no longer see their inputs drift.
# - Santurkar and others, 2018: with noise *after* each BatchNorm inputs drift again. The
#   network stays about as good.
# - Their explanation: the loss becomes smoother, so steps may be longer.
#
# Note: 2 min. Our runs show that higher rates work, and not why. A name is no proof: ask
# for an experiment that would tell the two apart.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - One mean a channel, over all photos and places of a batch.
# - γ and β are learned; a bias before BatchNorm is useless.
# - It buys accuracy in few passes; the rate needs little care.
# - `train()` uses the batch, `eval()` the memory: never forget it.
# - Batches of two: LayerNorm or GroupNorm.
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

# %% [markdown] slide="sheet"
# ![](draw:architectures.norm_axes())
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard)
#
# ## Two modes
#
# | | `model.train()` | `model.eval()` |
# |---|---|---|
# | uses mean and variance | of this batch | from the memory |
# | the memory | moves towards the batch's | stays |
# | a photo's answer | depends on its neighbours | does not |
