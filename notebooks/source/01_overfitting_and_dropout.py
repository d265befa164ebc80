# %% [markdown] slide="slide"
# # Overfitting and dropout: right, but only at home
#
# A network can answer all training examples, its *home*, correctly and still fail on
# new ones. We cause this fault on purpose, and measure five remedies.
#
# *Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: A Simple Way to
# Prevent Neural Networks from Overfitting. JMLR, 2014.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. read a training log, and tell underfitting from overfitting by its numbers;
# 2. explain an error by bias and variance, and say why a wider network need not be
#    worse;
# 3. measure what five remedies bring, and tell a gain from chance;
# 4. write dropout and test it against torch's, and use the test set correctly.
#
# A run takes 15 seconds at scale `tiny`, about five minutes at `small` on a laptop. The
# text speaks of outputs at `small`; another processor gives slightly different ones.

# %% [markdown] slide="slide"
# ## Question
#
# We show 1,000 handwritten digits, again and again, to a network of 269,322 parameters.
# In the end it reads **100 %** of them right.
#
# **How many digits that it has never seen does it read? And which remedy brings most:
# ten times the data, early stopping, weight decay, dropout or convolution?**
#
# *Guess: 60, 75, 90 or 99 %? How many percentage points for each remedy?*

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

from teaching import check, overfitting
from utils import course, data, plot
from utils.models import LeNet5
from utils.train import History, evaluate, fit, predict, train_epoch

run = course.start(seed=0)
digits = data.mnist()
val_loader = digits.val.loader(2000)
seeds = range(course.pick(tiny=2, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: the rule, not the list
#
# This learner stores the digits in a list and looks the answers up. How many does it read,
# known and new?

# %%
known = digits.train.subset(1000)
pairs = zip(known.images, known.labels, strict=True)
memory = {image.numpy().tobytes(): label.item() for image, label in pairs}
for name, images in {"known": known, "unseen": digits.val}.items():
    answers = [memory.get(image.numpy().tobytes()) for image in images.images]
    right = sum(a == b for a, b in zip(answers, images.labels.tolist(), strict=True))
    print(f"{right / len(images):.0%} of {len(images):,} {name} digits right")

# %% [markdown]
# All of the known digits, and none of the unseen ones. So we measure every network
# **twice**: on training digits and on validation digits. The difference is the
# *generalisation gap*.

# %% [markdown] slide="slide"
# ## A log that looks wrong
#
# We have the log of a published run, not its code. A network learns MNIST for 15 epochs:

# %%
published = {
    "training": "14.16 50.41 56.49 67.44 77.70 82.86 85.29 86.75 87.60"
    " 88.34 88.82 89.27 89.65 89.95 90.29",
    "test": "34.11 56.95 62.10 74.17 81.95 85.24 86.71 87.75 88.62"
    " 89.17 89.68 90.08 90.45 90.75 91.00",
}
published = {k: [float(v) for v in text.split()] for k, text in published.items()}

# %% slide="subslide"
# alt: Accuracy over 15 epochs in a published log. The training accuracy lies below the
# alt: test accuracy in every epoch, by twenty points in the first one.
title = "A published log: better on the test digits in all 15 epochs"
overfitting.log(published["training"], published["test"], title=title);

# %% [markdown]
# It is better on test digits than on those it learns from. **Is that possible?** Write
# down a reason.

# %% [markdown] slide="slide"
# ## Train: repeat the run
#
# The log names neither network nor learning rate nor batch size. We choose ours so that
# the last accuracy agrees. `mlp` builds a *multilayer perceptron*: linear layers with a
# ReLU between them.

# %%
def mlp(*sizes):
    """Linear layers with ReLU between them; (N, sizes[0]) -> (N, sizes[-1]), logits."""
    layers = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # no ReLU after the logits

# %% [markdown] slide="subslide"
# After each epoch we measure training digits **again**, with fixed weights.

# %%
torch.manual_seed(run.seed)
repeated = mlp(784, 200, 100, 50, 10)
optimizer = torch.optim.SGD(repeated.parameters(), lr=0.01)
batch_size = course.pick(tiny=32, small=480, full=480)
train_loader = digits.train.loader(batch_size, shuffle=True)
again = digits.train.subset(len(digits.val)).loader(2000)  # as many as validate
during, after = History("during the epoch"), History("after the epoch")
for _ in range(15):
    moving = train_epoch(repeated, train_loader, optimizer)
    val = evaluate(repeated, val_loader)
    during.add(moving, val)
    after.add(evaluate(repeated, again), val)

print(f"validation {val.accuracy:.2%}; the published test accuracy is 91.00%")

# %% slide="subslide"
# alt: Two panels of training and validation accuracy. On the left training lies below
# alt: validation while the curve is steep; on the right the two lie on each other.
both = {"measured during the epoch": during, "measured after it": after}
lead = {
    name: 100 * sum(r["val_accuracy"] - r["train_accuracy"] for r in log.rows[:5]) / 5
    for name, log in both.items()
}
first, second = lead.values()
title = f"Validation leads by {first:.1f} points if training is measured during"
title += f" the epoch,\nby {second:.1f} if after it (mean of epochs 1 to 5)"
plot.curves(both, metric="accuracy", panels=True, title=title);

# %% [markdown] slide="subslide"
# It is possible. A log's training accuracy is the average **during** the epoch, the
# validation accuracy is measured **after** it. If accuracy rises from 40 to 60 % within
# an epoch, the log says training 50 %, validation 60 %. **Ask of every log when it was
# measured.** (In epoch 15 accuracy hardly rises, yet the published lead is 0.7 points. We
# come back to it with the test set.)

# %% [markdown] slide="slide"
# ## Underfit, normal, overfit
#
# A network *underfits* if it is bad on both sets: it cannot follow the data. It
# *overfits* if it has learned details that hold for its training examples only.
#
# To see both, we give a network two numbers for each digit: its coordinates along the
# two directions in which the pixels vary most. From 200 examples it learns whether a
# digit is even or odd.

# %%
pixels = digits.train.subset(5000).images.flatten(1) / 255
directions = torch.linalg.eigh(pixels.T.cov()).eigenvectors[:, -2:]  # widest spread


def in_plane(images):
    """Two numbers for each image; labels: 0 for even digits, 1 for odd ones."""
    flat = images.images.flatten(1) / 255 - pixels.mean(dim=0)
    return flat @ directions, images.labels % 2


few, unseen = in_plane(digits.train.subset(200)), in_plane(digits.val.subset(2000))

# %% [markdown] slide="subslide"
# Which of these three networks reads the unseen points best? (Circles are even digits,
# triangles odd ones; on the black line both are equally likely.)

# %%
networks = {"no hidden layer": (2, 2), "8 hidden": (2, 8, 2)}
networks["128 + 128 hidden"] = (2, 128, 128, 2)
fits = {}
for name, sizes in networks.items():
    torch.manual_seed(run.seed)
    model = mlp(*sizes)
    adam = {"optimizer": "adam", "lr": 0.01, "keep_best": False}
    adam |= {"epochs": course.pick(tiny=150, small=600, full=600), "progress": False}
    fits[name] = model, fit(model, [few], [unseen], **adam)

# %% slide="subslide"
# alt: Three planes with 200 points. Without a hidden layer one straight border; with 8
# alt: hidden units a few bends; with 128 and 128 islands and spikes around points.
title = "A straight border underfits, islands around single points overfit"
overfitting.borders(fits, few, title=title);

# %% [markdown] slide="subslide"
# The middle one, 73 %. A straight line cannot follow the data. The largest network
# draws islands around single points: 94 % known, 67 % unseen. How does its **validation
# loss** show this? (Rings mark the epoch of the best validation *accuracy*.)

# %%
# alt: Training and validation loss of the three networks. The first two end flat, both
# alt: curves close together; in the third the training loss falls while the validation
# alt: loss turns and climbs.
histories = {name: history for name, (_, history) in fits.items()}
title = "Only the largest network's validation loss turns and climbs"
plot.curves(histories, metric="loss", panels=True, title=title);

# %% [markdown] slide="slide"
# ## Train on 1,000 digits
#
# It turns and climbs. Is it so with whole images, too? Two hidden layers of 256 units:

# %%
def wide():
    return mlp(784, 256, 256, 10)


epochs = course.pick(tiny=6, small=60, full=60)
watched = digits.val.subset(2000).loader(2000)  # what the curves show
recipe = {"epochs": epochs, "lr": 0.01, "progress": False, "keep_best": False}
torch.manual_seed(run.seed)
wide_net, thousand = wide(), digits.train.subset(1000)
overfit = fit(wide_net, thousand.loader(50, shuffle=True), watched, **recipe)
print(f"parameters: {sum(p.numel() for p in wide_net.parameters()):,}")

# %% slide="subslide"
# alt: Loss and accuracy on 1,000 training digits and on validation digits. The training
# alt: loss goes to zero. The validation loss turns early; its accuracy flattens out.
turn = 1 + overfit["val_loss"].index(min(overfit["val_loss"]))
title = f"{overfit['train_accuracy'][-1]:.0%} of known digits,"
title += f" {overfit['val_accuracy'][-1]:.0%} of unseen ones;"
plot.curves(overfit, title=f"{title} validation loss lowest in epoch {turn}");

# %% [markdown]
# It reads 90 % of the unseen digits. The validation loss turns in epoch 10, the accuracy
# (best at the ring) stays. Both can be true: the probability that a network gives to its
# answer, its **confidence**, keeps growing, for wrong answers too. The loss counts this,
# the accuracy does not.

# %% [markdown] slide="slide"
# ## Why so wrong? Bias and variance
#
# Trained on *another* 1,000 digits, the same network answers some unseen digits
# differently. For one image let $f$ be the ten outputs of such a network, $y$ the right
# answer (1 for the right class, 0 for the others), and $\mathbb{E}$ the mean over many
# such networks, each with other digits and first weights. With $\bar f = \mathbb{E}f$
# the squared error has two parts:
#
# $$\underbrace{\mathbb{E}\,\lVert f - y \rVert^2}_{\text{error}} =
# \underbrace{\lVert \bar f - y \rVert^2}_{\text{bias}^2} +
# \underbrace{\mathbb{E}\,\lVert f - \bar f \rVert^2}_{\text{variance}}$$
#
# **Bias**: even the mean answer is wrong, as when a network underfits. **Variance**: the
# answer depends on the digits that this network has learned, as when it overfits.

# %% [markdown] slide="subslide"
# With more units, does the bias fall and the variance grow without end? **Predict** the
# error near 1,000 units, as many as digits, and beyond.
#
# For speed the first layer keeps its random weights, and *least squares* (`lstsq`) gives
# the best last layer in one step.

# %%
known_digits = course.pick(tiny=100, small=1000, full=1000)
answers = F.one_hot(digits.val.labels, 10).double()


def spoil(labels, share):
    """Give a share of the labels (N,), chosen at random, another class."""
    labels, chosen = labels.clone(), torch.randperm(len(labels))
    chosen = chosen[: round(share * len(labels))]
    labels[chosen] = (labels[chosen] + torch.randint(1, 10, chosen.shape)) % 10
    return labels


def least_squares(width, seed, share):
    """Outputs (N, 10) on validation digits, and the norm of the last weights."""
    torch.manual_seed(seed)
    few = digits.train.subset(known_digits, seed=seed)
    first = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU()).double()
    with torch.no_grad():
        known, unseen = (first(x.images.double() / 255) for x in (few, digits.val))
    right = F.one_hot(spoil(few.labels, share), 10).double()
    solution = torch.linalg.lstsq(known, right).solution
    return unseen @ solution, solution.norm().item()

# %%
percents = (3, 10, 30, 60, 90, 110, 150, 300)
widths = [known_digits * percent // 100 for percent in percents]
shares = {"clean labels": 0.0, "20 % wrong labels": 0.2}
draws = course.pick(tiny=4, small=4, full=10)  # each with other digits
outputs = {
    name: [[least_squares(w, seed, share) for w in widths] for seed in range(draws)]
    for name, share in shares.items()
}
wrong = {
    name: [
        [(o.argmax(1) != digits.val.labels).double().mean() for o, _ in row]
        for row in rows
    ]
    for name, rows in outputs.items()
}


# %% slide="subslide"
# alt: Error on unseen digits against the number of units, for clean labels and 20 % wrong
# alt: ones: it falls, climbs to a peak near as many units as training digits, and falls
# alt: again.
label = "error on unseen digits (%)"
title = f"Double descent: the error peaks near {known_digits:,} units"
plot.band(widths, wrong, xlabel="units", ylabel=label, title=title)
norms = torch.tensor([[norm for _, norm in row] for row in outputs["clean labels"]])
for width, norm in zip(widths[5:], norms.mean(dim=0).tolist()[5:], strict=True):
    print(f"{width:5,} units: norm of the last weights {norm:7.1f}")

# %% [markdown]
# With as many units as digits, a single choice of weights fits them all, even if it has to
# be large. With more units many do, and `lstsq` takes the smallest: the *norm* (length as
# a vector) falls from 51.9 to 10.4. This is *double descent* (Belkin et al. 2019). With
# clean labels 3,000 units are best, with wrong ones 300. Is it bias or variance that
# peaks?

# %% slide="subslide"
# alt: Bias squared falls steadily with the number of units and then stays; the variance
# alt: climbs to a peak at the threshold and falls again.
clean = [torch.stack([o for o, _ in row]) for row in outputs["clean labels"]]
clean = torch.stack(clean)  # (draws, widths, N, 10)
variance = clean.var(dim=0).sum(dim=2).mean(dim=1)  # of each width
error = (clean - answers).square().sum(dim=3).mean(dim=(0, 2))
parts = {"bias²": error - variance, "variance": variance}
title = "The peak is variance; the bias falls, then stays"
plot.band(widths, parts, xlabel="units", ylabel="squared error", title=title);

# %% [markdown] slide="subslide"
# The variance: **beyond the peak it falls again**, together with the weights. So a wider
# network need not be worse. And if SGD trains all layers? One hidden layer of 4 to 256
# units:

# %%
def trained_error(width, seed, share):
    """Train all weights; the error on unseen digits, and on the training digits."""
    torch.manual_seed(seed)
    few, model = digits.train.subset(1000, seed=seed), mlp(784, width, 10)
    few = replace(few, labels=spoil(few.labels, share)).loader(50, shuffle=True)
    fit(model, few, **recipe | {"lr": 0.02})
    return 1 - evaluate(model, watched).accuracy, 1 - evaluate(model, few).accuracy


hidden = course.pick(
    tiny=(4, 64), small=(4, 16, 64, 256), full=(4, 8, 16, 64, 256, 1024)
)
by_width = torch.tensor(
    [
        [[trained_error(w, seed, share) for w in hidden] for seed in range(2)]
        for share in shares.values()
    ]
)

# %% slide="subslide"
# alt: Error on unseen digits of trained networks against the number of hidden units, for
# alt: clean labels and 20 % wrong ones: it falls, and shows no peak.
lines = dict(zip(shares, by_width[..., 0], strict=True))
spoiled = 100 * lines["20 % wrong labels"].mean(dim=0)  # at each width
title = f"All layers trained, 20 % wrong labels: {spoiled[0]:.0f} % error with"
title += f" {hidden[0]} units, {spoiled[-1]:.0f} % with {hidden[-1]}"
plot.band(hidden, lines, xlabel="hidden units", ylabel=label, title=title);

# %%
print("error on their own training digits, wrong labels included:")
for name, errors in zip(shares, by_width[..., 1].mean(dim=1), strict=True):
    pairs = zip(hidden, errors.tolist(), strict=True)
    print(f"{name:18}", ", ".join(f"{w} units {error:.1%}" for w, error in pairs))

# %% [markdown]
# From 16 units on the networks fit nearly every label, the wrong ones too. Yet the
# error on unseen digits falls further; at most a narrow peak could hide between our
# widths. **A smaller network is not the remedy.**

# %% [markdown] slide="slide"
# ## Remedy 1: more data
#
# The same network learns on more and more digits, in the **same number of steps**.
# How many points do ten times the data bring?

# %%
sizes = course.pick(
    tiny=(50, 250, 1250),
    small=(100, 300, 1000, 3000, 10000),
    full=(100, 300, 1000, 3000, 10000, 54000),
)
shown = course.pick(tiny=2_000, small=40_000, full=600_000)  # digits shown in each run


def error_from(n, seed, build):
    """Train on n digits, in as many steps as any other; error on unseen digits."""
    torch.manual_seed(seed)
    model, steps = build(), shown // 50
    some = digits.train.subset(n, seed=seed)
    order = torch.randint(n, (steps * 50,))  # with repetition: equal steps for all n
    fit(model, some.take(order).loader(50), epochs=1, lr=0.01, progress=False)
    return 1 - evaluate(model, val_loader).accuracy


errors = {"no remedy": [[error_from(n, seed, wide) for n in sizes] for seed in seeds]}

# %% slide="subslide"
# alt: Error on unseen digits against the number of training digits, both axes
# alt: logarithmic: nearly a straight line down.
mean = torch.tensor(errors["no remedy"]).mean(dim=0)
title = f"From {sizes[2]:,} to {sizes[-1]:,} digits: {mean[2]:.1%} wrong, then"
title += f" {mean[-1]:.1%}; {100 * (mean[2] - mean[-1]):.1f} points"
overfitting.by_size(sizes, errors, title=title);

# %% [markdown]
# About 5 points: the error falls by half.

# %% [markdown] slide="slide"
# ## Remedy 2: early stopping
#
# **Early stopping** ends a run when the validation accuracy, or the loss, has not
# improved for some epochs, the *patience*, and restores the best weights:
# `fit(..., patience=5)`. Here we run all 60 epochs: no patience can keep more than the
# best one. Where would it pay, on clean labels or with 20 % wrong ones?

# %%
stopping = {}
for name, share in shares.items():
    stopping[name] = []
    for seed in range(2):
        torch.manual_seed(seed)
        some, model = digits.train.subset(1000, seed=seed), wide()
        some = replace(some, labels=spoil(some.labels, share))
        loader = some.loader(50, shuffle=True)
        stopping[name].append(fit(model, loader, watched, **recipe))

# %% slide="subslide"
# alt: Validation accuracy by epoch: with clean labels it rises and stays; with wrong
# alt: labels it rises as fast, then falls by some points.
lost = {
    name: [100 * (max(h["val_accuracy"]) - h["val_accuracy"][-1]) for h in histories]
    for name, histories in stopping.items()
}
saved = {name: sum(points) / len(points) for name, points in lost.items()}
first, second = saved.values()
title = f"From best to last epoch: {first:.1f} points on clean labels,"
title += f" {second:.1f} with wrong ones"
plot.curves(stopping, metric="accuracy", title=title);

# %% [markdown]
# With wrong labels: the best epoch lies **8.5 points** above the last (mean of two
# runs). The usual explanation: a network learns first what most labels have in common,
# and the wrong ones last. (A part may be luck: the same digits choose and judge.)

# %% [markdown] slide="slide"
# ## May the test set choose the model?
#
# We train 32 networks that differ only in their seed. An *exam* of 100 validation digits
# plays the test set: we report the best score there. How good is that network on all
# other digits?

# %%
tries = course.pick(tiny=4, small=32, full=32)
exam_size = course.pick(tiny=50, small=100, full=100)
passes = course.pick(tiny=6, small=20, full=20)
few = digits.train.subset(300).loader(50, shuffle=True)
right = []
for seed in range(tries):
    torch.manual_seed(seed)
    model = mlp(784, 32, 10)
    fit(model, few, epochs=passes, lr=0.02, progress=False)
    logits, labels = predict(model, val_loader)
    right.append(logits.argmax(dim=1) == labels)
right = torch.stack(right).double()  # (networks, digits): 1 where it was right

# %% slide="subslide"
def choose(k):
    """Choose one of k networks by an exam: its score there, and on all other digits."""
    some, order = torch.randperm(tries)[:k], torch.randperm(right.shape[1])
    exam = right[some][:, order[:exam_size]].mean(dim=1)
    rest = right[some][:, order[exam_size:]].mean(dim=1)
    return exam.max().item(), rest[exam.argmax()].item()


counts = [k for k in (1, 2, 4, 8, 16, 32) if k <= tries]
outcomes = torch.tensor([[choose(k) for k in counts] for _ in range(500)]).mean(dim=0)
reported, worth = outcomes.T.tolist()
luck = 100 * (reported[-1] - worth[-1])

# %% slide="subslide"
# alt: Accuracy against the number of networks tried. The score reported on the exam
# alt: climbs with every doubling; the accuracy on other digits stays nearly the same.
title = f"Best of {tries}: {luck:.1f} points of the reported score are luck"
lines = {"reported: the exam": reported, "worth: other digits": worth}
tried = "networks tried (the best by exam is reported)"
plot.band(counts, lines, xlabel=tried, ylabel="accuracy (%)", title=title);

# %% [markdown]
# No: with one network the exam is fair, but the best of 32 reports 3.0 points too much.
# So **the validation set chooses, and the test set judges once**.

# %% [markdown] slide="slide"
# ## Remedy 3: dropout
#
# In each training step, and for each example, dropout sets every unit to zero with
# probability p. What remains is a *thinned* network. The paper's argument: every unit
# must be useful alone, and cannot rely on others to correct its mistakes
# (*co-adaptation*).

# %% slide="subslide"
# alt: Two networks of five inputs, two hidden layers of five units and two outputs. In
# alt: the right one about half of the units are crossed out and their lines are gone.
title = "Dropout: another thinned network in every step"
overfitting.thinned(title=title);

# %% [markdown] slide="subslide"
# **The scale matters.** With p = 0.5 the next layer gets half its input in training,
# all of it in evaluation. So the paper multiplies by 1 − p in evaluation; torch divides
# by 1 − p in training. (The paper's p is our 1 − p.) All inputs are 1: predict the means,
# with the mask alone and with each rule.

# %%
p, x = 0.5, torch.ones(100_000)
mask = torch.rand_like(x) >= p
rules = {
    "mask alone": (x * mask, x),
    "paper: scale evaluation": (x * mask, x * (1 - p)),
    "torch: scale training": (x * mask / (1 - p), x),
}
for name, (training, evaluation) in rules.items():
    print(f"{name}: training {training.mean():.2f}, evaluation {evaluation.mean():.2f}")

# %% [markdown]
# Each rule makes the means equal; the mask alone does not. Torch's rule is the whole
# method:

# %%
class Dropout(nn.Module):
    """Set each value to zero with probability p in training; keep the mean.

    Shape: any -> the same.
    Source: Srivastava et al. 2014, Sec. 4, scaled as at the end of Sec. 10.
    """

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def draw(self, x):
        """Which values to keep: one draw for each unit of each example."""
        return torch.rand_like(x) >= self.p

    def forward(self, x):
        if not self.training:
            return x
        return x * self.draw(x) / (1 - self.p)

# %% slide="skip" tags=["hide-input"]
digit, _ = next(iter(digits.val.loader(1)))
with torch.no_grad():
    layer_1 = wide_net[:3](digit)[0].cpu()  # after its ReLU, (256,)
units = layer_1[layer_1 > 0][:24]


def after_dropout(rate=0.5, draw=1):
    """The values after one draw, and the mean of 1,000 draws."""
    layer = Dropout(rate)
    with torch.random.fork_rng():  # random numbers of later cells stay the same
        torch.manual_seed(draw)
        after, mean = layer(units), layer(units.expand(1000, -1)).mean(dim=0)
    figure = overfitting.bars_after_dropout(units, after, mean)
    gone = f"{(after == 0).sum()} of {len(units)} are dropped"
    plot.headline(figure, f"{gone}, the others times {1 / (1 - rate):.2f}")
    return figure

# %% [markdown] slide="subslide"
# Outlines are 24 values of a layer for one digit, bars the values after dropout, dots
# the means of 1,000 draws. **Predict** for rate 0.5: how high are the kept values, and
# where are the dots?

# %%
# alt: Bars for 24 units. Some are gone, the others twice as high as their outlines; the
# alt: dots, means of 1,000 draws, lie near the tops of the outlines.
after_dropout(rate=0.5, draw=1);

# %% [markdown] slide="subslide"
# Twice as high; the dots stay near the tops of the outlines: dropout keeps the mean.
# (Try `rate=0.75`: four times.) Is our class the same as torch's? We give it torch's mask:

# %% check=True
ours, theirs, x = Dropout(0.3), nn.Dropout(0.3), torch.randn(1000, 50)
output = theirs(x)
ours.draw = lambda x: output != 0  # torch's own mask
assert torch.allclose(ours(x), output)
print("same mask, same output")
assert torch.equal(ours.eval()(x), x)
assert torch.equal(theirs.eval()(x), x)
print("evaluation: both return their input")

# %% [markdown] slide="subslide"
# With the paper's rates:

# %%
def wide_dropout():
    """The same network with dropout before each linear layer."""
    layers = [nn.Flatten(), Dropout(0.2)]
    for inputs, outputs in pairwise((784, 256, 256, 10)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), Dropout(0.5)]
    return nn.Sequential(*layers[:-2])  # neither after the logits

# %% [markdown] slide="slide"
# ## Remedy 4: weight decay
#
# An older remedy adds $\frac{\lambda}{2} \lVert w \rVert^2$ to the loss, with the gradient
# $\lambda w$. So each step with learning rate η first brings every weight nearer to 0:
#
# $$w \leftarrow (1 - \eta\lambda)\,w - \eta\,\frac{\partial L}{\partial w}$$
#
# Let η = 0.1, λ = 0.01 and the gradient of the loss be 0. What becomes of a weight of 1?

# %% check=True
w = torch.ones(1, requires_grad=True)
w.grad = torch.zeros(1)
torch.optim.SGD([w], lr=0.1, weight_decay=0.01).step()
print(f"{w.item():.3f}")

# %% [markdown] slide="subslide"
# 0.999. A weight that no example needs slowly goes to zero; a needed one is kept by its
# gradient.

# %% [markdown] slide="slide"
# ## Remedy 5: convolution
#
# A convolution assumes that **neighbours belong together, and that a stroke is the same
# wherever it stands.** How many parameters does LeNet-5 have, against 269,322?

# %%
def lenet():
    return LeNet5(activation=nn.ReLU)


print(f"{sum(p.numel() for p in lenet().parameters()):,} parameters")

# %% [markdown]
# Fewer than a quarter. But the narrow networks above had fewer, too, and were *worse*.

# %% [markdown] slide="slide"
# ## Four networks on the same axes
#
# No remedy, weight decay, dropout and convolution, on 1,000 digits each, in the same
# recipe. The seed sets the first weights *and* the digits. **Order them by accuracy
# first.**

# %%
remedies = {
    "no remedy": (wide, 0.0),
    "weight decay": (wide, 0.01),
    "dropout": (wide_dropout, 0.0),
    "LeNet-5": (lenet, 0.0),
}
runs = {name: [] for name in remedies}
nets = {name: [] for name in remedies}
for name, (build, decay) in remedies.items():
    for seed in seeds:
        torch.manual_seed(seed)
        model, some = build(), digits.train.subset(1000, seed=seed)
        loader = some.loader(50, shuffle=True, seed=seed)
        sgd = partial(torch.optim.SGD, momentum=0.9, weight_decay=decay)
        runs[name].append(fit(model, loader, watched, **recipe, optimizer=sgd))
        nets[name].append(model)

# %% slide="subslide"
# alt: Validation loss and accuracy of four networks over the later epochs, with bands
# alt: over seeds; LeNet-5 ends highest in accuracy.
ends = {
    column: {k: sum(h[column][-1] for h in some) for k, some in runs.items()}
    for column in ("val_accuracy", "val_loss")
}
best = max(ends["val_accuracy"], key=ends["val_accuracy"].get)
lowest = min(ends["val_loss"], key=ends["val_loss"].get)
late = {k: [replace(h, rows=h.rows[epochs // 4 :]) for h in runs[k]] for k in runs}
title = f"Highest accuracy in the end: {best}; lowest loss: {lowest}"
plot.curves(late, title=f"{title} (from epoch {epochs // 4 + 1})");

# %% [markdown] slide="subslide"
# By how much? Networks of one seed learn the same digits, so we subtract within a seed,
# digit by digit. The mean difference is the gain.
#
# How far could other seeds, or other digits, move it? The *standard error* of a mean of
# n numbers is their standard deviation over √n: $s_1$ over the seeds, $s_2$ over the
# 6,000 validation digits. Independent errors add as squares. So a gain counts if it
# exceeds $2 \sqrt{s_1^2 + s_2^2}$, printed behind ±.

# %%
def hits(model, loader):
    """1 for each digit that the model reads right, else 0."""
    logits, labels = predict(model, loader)
    return (logits.argmax(dim=1) == labels).double()


def gain(right, base):
    """Points gained from (seeds, digits) to (seeds, digits), with twice the error."""
    more = 100 * (right - base)
    over_seeds, over_digits = more.mean(dim=1), more.mean(dim=0)
    error = over_seeds.var() / len(over_seeds) + over_digits.var() / len(over_digits)
    return f"{more.mean():+.1f} ± {2 * error**0.5:.1f} points"


right = {k: torch.stack([hits(m, val_loader) for m in nets[k]]) for k in nets}
for name, models in nets.items():
    loss = sum(evaluate(model, val_loader).loss for model in models) / len(models)
    words = "" if name == "no remedy" else gain(right[name], right["no remedy"])
    known = sum(h["train_accuracy"][-1] for h in runs[name]) / len(models)
    print(
        f"{name:14}{right[name].mean():7.1%}{words:>20}, loss {loss:.3f} nats;"
        f" training, in its last epoch: {known:.1%}"
    )
print("LeNet-5 minus dropout:", gain(right["LeNet-5"], right["dropout"]))

# %% [markdown] slide="subslide"
# **LeNet-5 gains most**, 2.9 points; dropout gains 2.1, and LeNet-5's lead of 0.8 over
# it counts too. Weight decay shows no gain in accuracy, but the lowest loss. LeNet-5
# still overfits: its generalisation gap is 8.1 points.

# %% [markdown] slide="subslide"
# **Is it the assumption?** Give all digits the same new order of pixels: neighbours no
# longer belong together. For linear layers the task is as before. What is left of
# LeNet-5's gain?

# %%
order = torch.randperm(784)


def shuffled(some):
    """The same digits, the pixels of all of them in one other order."""
    return replace(some, images=some.images.flatten(1)[:, order].view_as(some.images))


read = []
for seed in seeds:
    torch.manual_seed(seed)
    model, some = lenet(), shuffled(digits.train.subset(1000, seed=seed))
    fit(model, some.loader(50, shuffle=True, seed=seed), **recipe)
    read.append(hits(model, shuffled(digits.val).loader(2000)))
read = torch.stack(read)
print(f"LeNet-5 on shuffled pixels: {read.mean():.1%}")
print("minus no remedy:", gain(read, right["no remedy"]))

# %% [markdown]
# Nothing: it reads 8.3 points *fewer* digits than linear layers without a remedy. So the gain
# came from what convolution assumes.

# %% [markdown] slide="slide"
# ## Can we believe the confidence?
#
# A network is *calibrated* if it is right in 80 % of the answers in which its
# confidence is 80 %: a point on the dotted line. **Predict**: does a network that
# overfits lie above or below it? (One network of each kind.)

# %% slide="subslide"
# alt: Share right against confidence for four networks. Weight decay follows the
# alt: diagonal, the others lie up to thirty points below it.
judged = {name: predict(models[0], val_loader) for name, models in nets.items()}
judged = {k: (logits.softmax(dim=1), labels) for k, (logits, labels) in judged.items()}
gaps = {k: 100 * overfitting.calibration_gap(*pair) for k, pair in judged.items()}
least, *others = sorted(gaps, key=gaps.get)
title = f"Confidence minus accuracy: {least} {gaps[least]:+.1f} points,"
title += f" the others {gaps[others[0]]:+.1f} to {gaps[others[-1]]:+.1f}"
overfitting.calibration(judged, title=title)
listed = ", ".join(f"{k} {points:+.1f}" for k, points in gaps.items())
print(f"mean confidence minus accuracy, in points: {listed}")

# %% [markdown]
# Below it: the answers are less often right than the network says. **This is what the
# rising validation loss meant.** With weight decay hardly anything of it is left.

# %% [markdown] slide="slide"
# ## Look inside: one network, or many?
#
# How good is one thinned network, and how good the average of many?

# %%
images, labels = (torch.cat(part) for part in zip(*watched, strict=True))
net = nets["dropout"][0].train()  # dropping, on purpose
passes = course.pick(tiny=10, small=100, full=100)
with torch.no_grad():
    votes = torch.stack([net(images).softmax(dim=1) for _ in range(passes)]).cpu()
in_eval = evaluate(net.eval(), watched).accuracy

# %% slide="subslide"
# alt: Accuracy of the average of k thinned networks against k. One alone lies points
# alt: below; with some tens the average reaches the dotted line of evaluation mode.
counts = [k for k in (1, 2, 5, 10, 20, 50, 100) if k <= passes]
overfitting.averages(votes, labels.cpu(), counts, in_eval);

# %% [markdown]
# Many: one pass in evaluation mode is about as good as the average of 50 or more, as in
# Fig. 11 of the paper. The left end is what you get if you **forget `eval()`**, and what
# `fit` measures as training accuracy.

# %% [markdown] slide="slide"
# ## Against the paper
#
# In section 7.4 of the paper dropout brings no gain with 100 or 500 digits; with more
# the gain grows, then falls. Do we find the same?

# %%
more = {"dropout": (wide_dropout, seeds), "LeNet-5": (lenet, range(1))}
for name, (build, some) in more.items():
    errors[name] = [[error_from(n, seed, build) for n in sizes] for seed in some]
plain, dropped = (torch.tensor(errors[name]) for name in ("no remedy", "dropout"))
for n, points in zip(sizes, (100 * (plain - dropped)).T, strict=True):
    twice = 2 * points.std() / len(points) ** 0.5
    print(f"{n:6,} digits: dropout gains {points.mean():+.1f} ± {twice:.1f} points")

# %% slide="subslide"
# alt: Error against the number of training digits, both axes logarithmic, for no remedy,
# alt: dropout and LeNet-5, whose line is the lowest.
ends = {name: torch.tensor(rows).mean(dim=0) for name, rows in errors.items()}
title = f"{sizes[2]:,} digits: no remedy {ends['no remedy'][2]:.1%} wrong, dropout"
title += f" {ends['dropout'][2]:.1%}, LeNet-5 {ends['LeNet-5'][2]:.1%}"
overfitting.by_size(sizes, errors, title=title);

# %% [markdown] slide="subslide"
# In part: no gain is shown at 100 digits, one at 1,000, none at 3,000. But ours begins
# at 300, and at 10,000 dropout seems to *cost* 0.8 points (± counts the seeds alone).
# Perhaps it learns more slowly: all runs make 800 steps.
#
# **Convolution makes the fewest errors at every size**, clearly so from 1,000 on (one
# seed).

# %% [markdown] slide="slide"
# ## The test set, once
#
# All choices are made. The networks of 1,000 digits read the test digits, and so does
# the one that repeated the log:

# %%
test_loader = digits.test.loader(2000)
tested = {k: torch.stack([hits(m, test_loader) for m in nets[k]]) for k in nets}
for name, read in tested.items():
    words = "" if name == "no remedy" else gain(read, tested["no remedy"])
    print(f"{name:14}{read.mean():7.1%}{words:>20}")
log_reads = hits(repeated, test_loader)
halves = [half.mean() for half in log_reads.chunk(2)]
error = 2 * sum(a * (1 - a) / (len(log_reads) / 2) for a in halves) ** 0.5
print(f"the repeated log: {log_reads.mean():.2%}; first half {halves[0]:.1%},")
apart = f"{100 * (halves[1] - halves[0]):+.1f} ± {100 * error:.1f} points"
print(f"second half {halves[1]:.1%}: {apart}")

# %% [markdown]
# The gains agree with those on the validation digits within their errors. And the log's
# lead of 0.7 points? The test set is no easier than our validation digits (91.26 and
# 91.22 %). But its halves differ by 4.6: such a lead may come from the choice of digits.
#
# (An accuracy a on n digits has the standard error √(a (1 − a) / n).)

# %% [markdown] slide="slide"
# ## Answer

# %% slide="fragment"
mean = {name: read.mean().item() for name, read in tested.items()}
listed = ", ".join(f"{name} {share:.1%}" for name, share in mean.items())
print(f"test digits read after learning 1,000: {listed}")
print(f"early stopping: at most {saved['clean labels']:.1f} points (validation)")
few, many = (1 - ends["no remedy"][i].item() for i in (2, -1))
print(f"ten times the digits: {many:.1%}, against {few:.1%} (validation, equal steps)")
measured = (
    f"1,000 digits by heart ({digits.test.name}): {mean['no remedy']:.1%} of new ones,"
    f" {mean['dropout']:.1%} with dropout, {mean['LeNet-5']:.1%} by LeNet-5; a"
    f" published log, made again, ends at {log_reads.mean():.2%} (there: 91.00%)"
)
peak = [100 * sum(row[i] for row in wrong["clean labels"]) / draws for i in (3, 5, 7)]
counted = f"double descent ({digits.val.name}): {peak[0]:.0f}, {peak[1]:.0f} and"
counted += f" {peak[2]:.0f} % wrong with {widths[3]}, {widths[5]} and {widths[7]} units"
counted += f" on {known_digits} digits"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown]
# The network reads 90 % of unseen digits. Ten times the data brings most, 5.3 points,
# then convolution 2.6 and dropout 1.9. Weight decay and early stopping show no gain on
# clean labels.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint.

# %% [markdown] slide="subslide"
# ### 01.1 Predict: one value through dropout
#
# A unit has the value 6. After it comes `nn.Dropout(p=0.25)`. Which value does the next
# layer get
#
# - (a) in training, if the unit is kept,
# - (b) in training, on average over many draws,
# - (c) in evaluation?

# %%
# solution
values = (8, 6, 6)  # (a), (b), (c)

# %%
check("01.1", values)

# %% [markdown] slide="subslide"
# ### 01.2 Write: early stopping
#
# The function gets the validation losses of all epochs that could be run, and the
# patience. It returns two epochs, counted from 1: the one with the lowest loss, which is
# kept, and the last one that is run. Training stops when the best epoch is `patience`
# epochs ago.

# %%
def stop_early(losses: list[float], patience: int) -> tuple[int, int]:
    """The epoch to keep, and the last epoch that is run; both counted from 1."""
    # solution
    best = 1
    for epoch, loss in enumerate(losses, start=1):
        if loss < losses[best - 1]:
            best = epoch
        if epoch - best >= patience:
            break
    return best, epoch
    # end solution


losses = [0.9, 0.6, 0.5, 0.55, 0.45, 0.5, 0.6, 0.7]
print("kept and last epoch:", stop_early(losses, patience=2))

# %%
check("01.2", stop_early)

# %% [markdown] slide="subslide"
# ### 01.3 Explain: a log
#
# A network with dropout has trained for 60 epochs. Nothing has changed for the last 20.
# The log says: training 86 %, validation 91 %. Measured again in evaluation mode, the
# training set gives 98 %.
#
# `reason`: what makes the logged training figure low, `"moving weights"`, `"dropped
# units"`, `"an easier validation set"` or `"too few epochs"`? `gap`: the generalisation
# gap in points, both accuracies measured alike?

# %%
# solution
reason, gap = "dropped units", 98 - 91

# %%
check("01.3", (reason, gap))

# %% [markdown]
# **Explain**: which measurement would tell "dropped units" from "moving weights"? Why is
# the validation set not easier?

# %% [markdown] solution=True
# Measure the training set again *in training mode*, with weights that do not change. If
# the figure stays low, the dropped units are the reason; if it rises, the moving
# weights were. An easier validation set would still be ahead when both are measured
# alike, but training leads, 98 % against 91 %.

# %% [markdown] slide="subslide"
# ### 01.4 Modify: rates of your own
#
# Build the network 784-512-512-10 with a ReLU after each hidden layer and torch's own
# `nn.Dropout`: drop 10 % of the pixels and 40 % of each hidden layer, and nothing of the
# logits. It takes images of 1 × 28 × 28.

# %%
# solution
own = nn.Sequential(
    nn.Flatten(),
    nn.Dropout(0.1),
    nn.Linear(784, 512),
    nn.ReLU(),
    nn.Dropout(0.4),
    nn.Linear(512, 512),
    nn.ReLU(),
    nn.Dropout(0.4),
    nn.Linear(512, 10),
)

# %%
check("01.4", own)

# %% [markdown] slide="subslide"
# ### 01.5 Investigate: does dropout help against wrong labels?
#
# Train `wide_dropout()` with 20 % wrong labels: repeat the lines of "Remedy 2: early
# stopping" with `seed = 0`. `falls`: how many points of validation accuracy does it lose
# from its best epoch to the last? `share`: what fraction of its training labels, wrong or
# not, does it give at the end, in evaluation mode?

# %%
# solution
torch.manual_seed(0)
some, model = digits.train.subset(1000, seed=0), wide_dropout()
loader = replace(some, labels=spoil(some.labels, 0.2)).loader(50, shuffle=True)
history = fit(model, loader, watched, **recipe)
falls = 100 * (max(history["val_accuracy"]) - history["val_accuracy"][-1])
share = evaluate(model, loader).accuracy
print(f"loses {falls:.1f} points, predicts {share:.1%} of its training labels")

# %%
check("01.5", (model, loader, history, falls, share))

# %% [markdown]
# Compare with the network without dropout. Why does one of them fall less?

# %% [markdown] solution=True
# To fit a wrong label, the network needs units that speak for this one example. Dropout
# drops them in half of the steps, so fewer wrong labels are learned: the share of its
# own labels stays below 100 %, and less is lost after the best epoch.

# %% slide="skip"
check.progress("01")

# %% [markdown] slide="slide"
# ## Recap
#
# - Ask of a log when, and in which mode, it was measured.
# - Error = bias² + variance. Underfit: much bias. Overfit: much variance, which peaks
#   where a network can only just fit its examples.
# - Dropout, a mask times 1 / (1 − p) in training only, raised the accuracy, weight decay
#   the calibration.
# - More data brought most, then convolution. Early stopping paid with wrong labels.
# - The validation set chooses, the test set judges once. A gain counts if it exceeds
#   twice its standard error.

# %% [markdown] slide="skip"
# ## References
#
# - Srivastava et al.: *Dropout*. JMLR 15, 2014. Sections 4, 7.4, 7.5 and 10, Fig. 11.
# - Belkin et al.: on double descent. PNAS 116(32), 2019.
# - MNIST: sources and licences stand in `data/README.md`.

# %% slide="only" name="log"
# alt: Accuracy over 15 epochs in a published log: training below test in every epoch.
import re

import matplotlib.pyplot as plt
import torch
from torch import nn

from teaching import architectures, blocks, overfitting
from utils import plot

LOG = {
    "training": "14.16 50.41 56.49 67.44 77.70 82.86 85.29 86.75 87.60 88.34 88.82 89.27 89.65 89.95 90.29",
    "test": "34.11 56.95 62.10 74.17 81.95 85.24 86.71 87.75 88.62 89.17 89.68 90.08 90.45 90.75 91.00",
}
overfitting.log(*([float(v) for v in text.split()] for text in LOG.values()), title="")

# %% slide="only" name="during"
# alt: Accuracy that rises from 40 to 60 percent within one epoch: the log's training value
# alt: is the mean, 50, the validation value is the end, 60.
figure, ax = plt.subplots(figsize=(7, 2.7))
ax.plot([0, 1], [40, 60], color=plot.TRAIN)
ax.plot([0, 1], [50, 50], ":", color=plot.TRAIN)
ax.plot(1, 60, "o", color=plot.VALIDATION, ms=9)
ax.annotate("training in the log: the mean, 50 %", (0.02, 51), color=plot.TRAIN)
ax.annotate("validation: measured\nat the end, 60 %", (0.72, 61), color=plot.VALIDATION)
ax.set(xlabel="within one epoch", ylabel="accuracy (%)", ylim=(38, 68), xticks=[])

# %% slide="only" name="three-fits"
# alt: Ten points and three curves through them: a line misses them, a curve of degree 3
# alt: follows them, one of degree 9 meets each and swings between them.
torch.manual_seed(1)
x = torch.linspace(-1, 1, 10).double()
y = torch.sin(2.6 * x) + 0.25 * torch.randn(10).double()
fine = torch.linspace(-1, 1, 200).double()
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6), sharey=True)
for ax, degree, name in zip(axes, (1, 3, 9), ("underfit", "right", "overfit"), strict=True):
    powers = torch.stack([x**i for i in range(degree + 1)], 1)
    weights = torch.linalg.lstsq(powers, y[:, None]).solution
    ax.plot(x, y, "o", color=plot.TRAIN)
    curve = torch.stack([fine**i for i in range(degree + 1)], 1) @ weights
    ax.plot(fine, curve, color=plot.VALIDATION)
    ax.set(title=name, ylim=(-1.8, 1.8), xticks=[], yticks=[])

# %% slide="only" name="scale"
# alt: Four values 2, 1, 3, 2; a mask keeps the first and the last; divided by 0.5 they are
# alt: 4 and 4; in evaluation all four stay as they are.
parts = [("input", "2, 1, 3, 2"), ("pool!", "drop half:|2, 0, 0, 2"), ("linear", "divide by 1 − p:|4, 0, 0, 4")]
train = blocks.chain(75, [*parts, ("input", "next layer")])[0]
test = blocks.chain(195, [("input", "2, 1, 3, 2"), ("input", "next layer")])[0]
words = blocks.left_text(22, "training: p = 0.5, the mean stays 2") + blocks.left_text(145, "evaluation: nothing happens")
told = "In training half of the values are dropped and the others doubled; in evaluation nothing."
blocks.Diagram(words + train + test, blocks.WIDTH, 235, told)

# %% slide="only" name="remedies"
# alt: Points gained by each remedy, with twice the standard error: ten times the data most,
# alt: then LeNet-5 and dropout; weight decay and early stopping nothing that exceeds it.
found = {}
for name in ("weight decay", "dropout", "LeNet-5"):
    more = said(rf"{name} +[\d.]+% +\+([\d.]+) ± [\d.]+ points\n")
    found[name] = [float(more), float(said(rf"{name} +[\d.]+% +\+[\d.]+ ± ([\d.]+) points\n"))]
data = float(said(r"digits: ([\d.]+)%, against")) - float(said(r"against ([\d.]+)%"))
found = {"early stopping": [float(said(r"at most ([\d.]+) points")), 0.0]} | found
found |= {"ten times the data": [data, 0.0]}
figure, ax = plt.subplots(figsize=(7, 2.9))
for row, (more, error) in enumerate(found.values()):
    color = plot.HIGHLIGHT if more > error > 0 else plot.PAPER
    ax.errorbar(more, row, xerr=error or None, fmt="o", ms=9, lw=3, capsize=6, color=color)
    ax.annotate(f"+{more:.1f}", (more, row), (0, 9), textcoords="offset points", ha="center", color=color)
ax.axvline(0, color=plot.PALETTE["black"], lw=1)
ax.set_yticks(range(len(found)), found)
ax.set(xlabel="points gained on unseen digits", ylim=(-0.5, 4.8))

# %% slide="only" name="shapes"
from itertools import pairwise

from utils import look

layers = [nn.Flatten()]
for before, after in pairwise((784, 200, 100, 50, 10)):
    layers += [nn.Linear(before, after), nn.ReLU()]
look.shape_table(nn.Sequential(*layers[:-1]), (1, 28, 28))

# %% [markdown] slide="only" part="The fault"
# # Overfitting and dropout: right, but only at home
#
# Srivastava and others: *Dropout*, 2014
#
# ![](draw:architectures.dropout_thinned())
#
# Note: 1 min. Home is the set that a network learned from. Ask who has passed a test by
# learning old ones by heart. After the hour they can read a log, and choose a remedy by
# measurement.

# %% [markdown] slide="only"
# ## Last time: a network that reads digits, in three questions
#
# 1. How large is 28 × 28 after 5 × 5 without padding?
# 2. What is the loss of a network that knows nothing about ten classes?
# 3. How often is the test set used?
#
# . . .
#
# 1. 24 × 24
#
# . . .
#
# 2. 2.303 nats
#
# . . .
#
# 3. Once.
#
# Note: 2 min. A different row answers each. Expect 23 for the first: count the first place
# too. The third is the thread of today: who chooses by a set has used it.

# %% [markdown] slide="only"
# ## 1,000 digits, known by heart
#
# ### The network reads 100 % of them. How many does it read that it has never seen?
#
# . . .
#
# Vote: 60, 75, 90 or 99 %. We will know in ten minutes.
#
# Note: 1.5 min. 269,322 parameters, 1,000 digits. Write the counts on the board. Most say
# 60 or 75: they think of a list, which comes next. Ask which remedy they would try first.

# %% [markdown] slide="only"
# ## A list that knows everything reads nothing new
#
# ### A mere list of images and labels: how many digits does it read?
#
# . . .
#
# > **{{ said(r"(\d+)% of 1,000 known digits") }} %** of known digits
#
# > **{{ said(r"(\d+)% of [\d,]+ unseen digits") }} %** of unseen digits
#
# . . .
#
# So measure every network **twice**.
#
# Note: 1.5 min. This is not our network, which comes in ten minutes. Ask what a training
# accuracy of 100 percent proves. Expect “that it has learned”: the list has, too. The
# generalisation gap is the difference of the two.

# %% [markdown] slide="only" part="Reading a log"
# ## Better on test than on training digits: is that possible?
#
# ![](run:log)
#
# Note: 2 min. A published log. Let them write down a reason. Expect “the test digits are
# easier” and “a mistake”. Both can be tested; neither explains
# the first epochs.

# %% [markdown] slide="only"
# ## Ask of every log: when was it measured?
#
# ![](run:during)
#
# . . .
#
# Measured at the same moment, the two curves lie on each other.
#
# Note: 2 min. Training accuracy is averaged during the epoch, validation measured after
# it. Ask what happens late in a run. Expect “the same”: the curve is flat, so both agree.

# %% [markdown] slide="only"
# ## Too stiff, right, too free
#
# ![](run:three-fits)
#
# ### Which curve is nearest to the points? Which would you trust between them?
#
# . . .
#
# The right one is nearest to the **known** points. For new ones: the middle.
#
# Note: 2 min. Curves of degree 1, 3 and 9 through ten points. Degree 9 meets each point, and
# swings between them. Skip when late.

# %% [markdown] slide="only"
# ## Two accuracies tell the two faults apart
#
# ![](run:title = "A straight border underfits)
#
# **Underfit:** bad on both. **Overfit:** good on known, worse on unseen digits.
#
# Note: 2 min. The border between even and odd digits, from two numbers a digit, by three
# networks. Ask which is which before they read the titles. Expect that the largest is best:
# islands around single points are learned by heart.

# %% [markdown] slide="only"
# ## The validation loss turns while the accuracy stays
#
# ![](run:turn = 1 + overfit)
#
# . . .
#
# ### Accuracy stays, loss climbs. How can that be?
#
# . . .
#
# It grows more **confident**, also where it is wrong: −ln 0.01 = 4.6 nats.
#
# Note: 2.5 min. The answer to the vote stands in the title. Accuracy asks for the largest
# score alone, the loss for its probability. Expect “a mistake in the loss”. Here 0.01 is
# what the right digit gets.

# %% [markdown] slide="only" part="Why"
# ## An error has two parts: bias and variance
#
# Many networks of one kind, each trained on **other** digits.
#
# . . .
#
# **Bias:** even their mean answer is wrong.
#
# **Variance:** their answers differ from one another.
#
# . . .
#
# Squared error = bias² + variance
#
# Note: 2 min. Compare with arrows on a target: all in the wrong place, or scattered. Ask
# which of the two overfitting is. Expect bias, as “prejudice”: but what is true of its own
# digits alone changes with the digits. The formula is in the notebook.

# %% [markdown] slide="only"
# ## Double descent: beyond a peak, more units help again
#
# ### 1,000 digits, more and more units: what happens to the error?
#
# . . .
#
# ![](run:title = f"Double descent: the error peaks)
#
# Note: 2.5 min. Most expect it to grow for ever. At 1,000 units there is one solution;
# beyond it there are many, and the one with the smallest weights is taken. Only the last
# layer is learned here.

# %% [markdown] slide="only"
# ## The peak is variance, and more units remove it
#
# ![](run:title = "The peak is variance)
#
# . . .
#
# So a smaller network is not the remedy: what is missing is **information**.
#
# Note: 2 min. Ask what they would have done before this slide: most make the network
# smaller. With all layers trained, the notebook sees no turn from 4 to 256 units. More
# digits bring information, or the right assumption. Skip when late.

# %% [markdown] slide="only" part="Remedies"
# ## Remedy 1: ten times the data halve the error
#
# ### 1,000 digits, then 10,000, in equal steps: how many points?
#
# . . .
#
# ![](run:mean = torch.tensor(errors["no remedy"]))
#
# Note: 2 min. Expect ten points or more. Both axes are logarithmic: the points lie nearly on
# a line, three times the data divide the error by about 1.4. Ask what data cost.

# %% [markdown] slide="only"
# ## Remedy 2: stop when it gets worse
#
# ### With clean labels, or with 20 % wrong ones: where does it pay?
#
# . . .
#
# ![](run:From best to last epoch)
#
# Note: 2 min. In code: fit(..., patience=5), epochs without a better accuracy. Here all 60
# epochs are run: the best one is the most that stopping can keep. Expect “both”. The
# network learns first what most labels agree on, and last the wrong ones. Ask who chooses
# the epoch: the validation set.

# %% [markdown] slide="only"
# ## The best of 32 on an exam is partly lucky
#
# ### 32 equal networks, one exam. We report the best score. Is it fair?
#
# . . .
#
# ![](run:title = f"Best of {tries})
#
# The validation set **chooses**, the test set judges **once**.
#
# Note: 2 min. Compare with 32 people who guess ten coins: one gets nine right. Expect “fair,
# since all had the same exam”: the best was also lucky. Skip the coins when late.

# %% [markdown] slide="only"
# ## Remedy 3: dropout thins the network
#
# ![](draw:architectures.dropout_thinned())
#
# In each step, for each example, each unit is dropped with probability p.
#
# Note: 2 min. Ask what a unit can no longer do: rely on a certain neighbour. Ask how many
# thinned networks there are. Expect the number of units: it is 2 to that number.

# %% [markdown] slide="only"
# ## Half a network reads a digit
#
# ### Half of the units are dropped: which network reads better?
#
# ![](play:dropout)
#
# Note: 2 min. Both networks know the same 1,000 digits. Let them vote, then read the
# count out of 200 for both, whole and at 0.5. Expect “dropout only weakens”: a network
# that met thinned ones in training bears them better. Late: one network only.

# %% [markdown] slide="only"
# ## The scale matters: divide by what is kept
#
# ![](run:scale)
#
# Note: 2 min. Ask what goes wrong without the division. Expect “nothing”: but the next
# layer then gets half in training and all in evaluation. The mean stays 2 on average over
# many draws. The paper's p is the probability to keep; torch's to drop.

# %% [markdown] slide="only"
# ## Dropout is four lines of code
#
# ```python
# def dropout(x, p, training):
#     if not training:
#         return x
#     mask = torch.rand_like(x) >= p
#     return x * mask / (1 - p)
# ```
#
# ### p = 0.75: by how much are the kept values larger?
#
# . . .
#
# > **4 ×** = 1 / (1 − 0.75)
#
# Note: 2 min. Who says 1.33 divided by p. Ask what happens when eval() is forgotten: noise
# in every answer. Evaluation stands for the average of many thinned networks.

# %% [markdown] slide="only"
# ## Remedy 4: weight decay shrinks what nobody needs
#
# $$w \leftarrow (1 - \eta\lambda)\,w - \eta\,\frac{\partial L}{\partial w}$$
#
# Learning rate η, decay λ, loss L.
#
# ### η = 0.1, λ = 0.01, no gradient: what becomes of a weight of 1?
#
# . . .
#
# > **0.999** now, and nearer to 0 in each further step
#
# Note: 1.5 min. Expect 0.99, without η. A weight that an example needs is kept by its
# gradient. Ask what a small weight does to the output when the image changes a little. Skip
# this when late.

# %% [markdown] slide="only"
# ## Remedy 5: convolution assumes the right thing
#
# ### Shuffle the pixels of all images in the same way: for whom is it harder?
#
# . . .
#
# Not for a linear layer: it treats all pixels alike.
#
# For a convolution it is: it assumes that **neighbours belong together**, and that a stroke
# is the same everywhere.
#
# Note: 2 min. Expect “for both”. LeNet-5 has a quarter of the parameters, 61,706. But narrow
# networks had fewer, too, and did not gain. The notebook trains it on shuffled pixels.

# %% [markdown] slide="only" part="Result"
# ## Not every remedy gains more than its error
#
# ### Early stopping, weight decay, dropout, convolution: which brings most?
#
# . . .
#
# ![](run:remedies)
#
# Note: 2.5 min. Compare with the votes. Bars are twice the standard error, over seeds and
# digits; grey is no gain that is shown, or has no bar. Clean labels; networks of 1,000
# digits on the test set; data and stopping on the validation set. LeNet-5 is the
# convolution. Expect dropout first: it is the famous one.

# %% [markdown] slide="only"
# ## Weight decay brings no accuracy, but honest confidence
#
# ![](run:judged = {name: predict)
#
# Note: 2 min. Confidence across, share right upward: on the dotted line a network is as
# often right as it says. Ask what the others do. Expect “too careful”: below the line they
# are too sure. This is what the climbing loss meant. Skip when late.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - Measure twice, and ask of every log when.
# - Overfitting: known good, unseen bad; the validation loss turns.
# - Double descent: variance peaks, then more units help.
# - Dropout: drop with p, divide by 1 − p, nothing in evaluation.
# - The right assumption brought more than dropout or decay.
#
# Note: 1.5 min. Cover it, and let five students say one each. Who stumbles over the third
# gets the picture with the peak again.

# %% [markdown] slide="only"
# ## For home: two exercises in the notebook
#
# - **01.1** One value through dropout: in training, on average, in evaluation.
# - **01.2** Write early stopping; the check gives it its own loss curves.
#
# Note: 1 min. Fifteen minutes each. Next time: more photos out of the same photos.

# %% [markdown] slide="sheet"
# ![](draw:architectures.dropout_thinned())
#
# ## Shapes: 200, 100 and 50 units
#
# ![](run:shapes)
