# %% [markdown] slide="slide"
# # Overfitting and dropout: right, but only at home
#
# A network can be right about everything it was shown, and wrong about the rest. We
# read a training log, provoke the fault on purpose, and measure four remedies.
#
# *Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: A Simple Way to
# Prevent Neural Networks from Overfitting. Journal of Machine Learning Research, 2014.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. read a training log, and say when each of its figures was measured;
# 2. tell underfit, normal fit and overfit apart by numbers;
# 3. measure what more data and early stopping buy, and keep the test set honest;
# 4. write dropout, prove it equal to torch's, and compare it with weight decay.
#
# A run takes half a minute at scale `tiny`, and five to ten minutes at `small` on a
# laptop.

# %% [markdown] slide="slide"
# ## Question
#
# A network of 269,322 parameters is shown 1,000 handwritten digits, again and again. In
# the end it reads **100 %** of them right.
#
# **How many of the digits that it has never seen does it read?**
#
# *A guess, before anything is computed: 60, 75, 90 or 99 %? And what would you do to
# get one point more?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
from dataclasses import replace
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from torch import nn

from teaching import check, sliders
from utils import course, data, look, pictures, plot
from utils.train import History, evaluate, fit, predict, train_epoch

run = course.start(seed=0)
digits = data.mnist()
val_loader = digits.val.loader(2000)
seeds = range(course.pick(tiny=2, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: the rule, not the list
#
# Whoever learns a list by heart answers every question on the list. Here is such a
# learner. How many digits does it read, of those it knows and of those it does not?

# %%
known = digits.train.subset(1000)
pairs = zip(known.images, known.labels, strict=True)
memory = {image.numpy().tobytes(): label.item() for image, label in pairs}
for name, images in {"known": known, "unseen": digits.val}.items():
    answers = [memory.get(image.numpy().tobytes()) for image in images.images]
    right = sum(a == b for a, b in zip(answers, images.labels.tolist(), strict=True))
    print(f"{right / len(images):.0%} of {len(images):,} {name} digits right")

# %% [markdown]
# A perfect score on the list tells nothing about the rule. So every network gets **two
# numbers**: one on examples it learned from, one on examples it did not.

# %% [markdown] slide="subslide"
# Three sets, three tasks:
#
# | set | what it does | how often we look |
# |---|---|---|
# | training | moves the weights | in every step |
# | validation | chooses: when to stop, which network, which remedy | after every epoch |
# | test | judges what was chosen | once, at the end |

# %% [markdown] slide="notes"
# The difference between the two numbers is the *generalisation gap*. A network that
# does badly on both *underfits*; one that does well on the first and clearly worse on
# the second *overfits*. Both words get a measurable meaning below.

# %% [markdown] slide="slide"
# ## A log that looks wrong
#
# The course's lecture slides show a network on MNIST for 15 epochs: loss in nats,
# accuracy in percent.

# %%
columns = {
    "train_loss": "2.2817 2.1948 1.8551 1.3052 0.9017 0.6930 0.5783 0.5090"
    " 0.4633 0.4306 0.4056 0.3855 0.3686 0.3540 0.3407",
    "test_loss": "2.2540 2.0867 1.5684 1.0489 0.7621 0.6112 0.5238 0.4686"
    " 0.4298 0.4009 0.3788 0.3602 0.3444 0.3310 0.3183",
    "train_accuracy": "14.16 50.41 56.49 67.44 77.70 82.86 85.29 86.75 87.60"
    " 88.34 88.82 89.27 89.65 89.95 90.29",
    "test_accuracy": "34.11 56.95 62.10 74.17 81.95 85.24 86.71 87.75 88.62"
    " 89.17 89.68 90.08 90.45 90.75 91.00",
}
slides = {name: [float(v) for v in text.split()] for name, text in columns.items()}

# %% tags=["hide-input"] slide="subslide"
# alt: Accuracy over 15 epochs in the slides' log. The training accuracy lies below the
# alt: test accuracy in every epoch, by twenty points in the first one.
fig, ax = plt.subplots()
epochs = range(1, 16)
ax.plot(epochs, slides["test_accuracy"], ":s", color=plot.PAPER, markersize=4)
ax.plot(epochs, slides["train_accuracy"], "-o", color=plot.TRAIN, markersize=4)
ax.annotate("test", (1.2, 37), color=plot.PAPER)
ax.annotate("training", (1.5, 20), color=plot.TRAIN)
ax.set(xlabel="epoch", ylabel="accuracy (%)", xticks=range(1, 16, 2))
fig.suptitle("The slides' log: better on what it has never seen?", x=0.01, ha="left");

# %% [markdown]
# In all 15 epochs the network does better on test digits than on those it learns from.
# **Is that possible?** Write down a reason before reading on.

# %% [markdown] slide="slide"
# ## Build: a network of linear layers
#
# To find the reason we make the log again. The slides name neither network nor step
# size. This function builds whatever *multilayer perceptron* we need: linear layers,
# with a ReLU between any two.

# %%
def mlp(*sizes):
    """Linear layers with ReLU between them; (N, sizes[0]) -> (N, sizes[-1]), logits."""
    layers = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])  # no ReLU behind the logits

# %% [markdown]
# Three hidden layers of 200, 100 and 50. Predict the parameters of the first layer: 784
# pixels, 200 outputs, a bias each.

# %% check=True
look.shape_table(mlp(784, 200, 100, 50, 10), (1, 28, 28))

# %% [markdown]
# 784 × 200 + 200 = 157,000, six in seven of all.

# %% [markdown] slide="notes"
# How do we know the step size? The log starts near ln 10 = 2.303 nats and hardly falls
# for two epochs: no momentum, and a small learning rate. SGD with 0.01 and batches of
# 480 (113 steps an epoch) comes close. We tried a dozen shapes, compared their curves
# with the slides', and took one that comes near. Others fit about as well: a log
# does not tell its network.

# %% [markdown] slide="slide"
# ## Train: the log again
#
# One addition: after each epoch we measure the training digits **again**, with the
# weights at rest, as the validation digits are measured.

# %%
def log_run(seed):
    """Train for 15 epochs; the log as the slides keep it, and with both at rest."""
    torch.manual_seed(seed)
    model = mlp(784, 200, 100, 50, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batch_size = course.pick(tiny=16, small=480, full=480)
    train_loader = digits.train.loader(batch_size, shuffle=True, seed=seed)
    during, after = History("during the epoch"), History("after the epoch")
    for _ in range(15):
        moving = train_epoch(model, train_loader, optimizer)
        val = evaluate(model, val_loader)
        during.add(moving, val)
        after.add(evaluate(model, digits.train.loader(2000)), val)
    return model, during, after

# %%
logged, during, after = zip(*[log_run(seed) for seed in seeds], strict=True)
last = [history.rows[-1] for history in during]
loss = [row["train_loss"] for row in last]
val = [row["val_accuracy"] for row in last]
print(f"training loss {min(loss):.3f} to {max(loss):.3f} nats; the slides' is 0.341")
print(f"validation {min(val):.2%} to {max(val):.2%}; the slides' test figure is 91.00%")

# %% slide="subslide"
# alt: Loss and accuracy over 15 epochs, with a band over seeds: flat at first, then a
# alt: steep part, then slow progress; the slides' values run along dotted.
def points(name, scale=1):
    return {i + 1: value * scale for i, value in enumerate(slides[name])}


theirs = {"train_loss": points("train_loss"), "accuracy": points("test_accuracy", 0.01)}
title = "Does the slides' log (dotted: training loss, test accuracy) come back?"
plot.curves(list(during), paper=theirs, paper_label="slides", title=title);

# %% [markdown] slide="notes"
# The band spans our seeds. It is widest where the curve is steepest: how long the first
# plateau lasts is decided by the initial weights. The slides' log is one draw from such
# a family, so a comparison of single epochs would prove little. The test set stays
# closed: their test accuracy is drawn beside our validation accuracy.

# %% [markdown] slide="slide"
# ## The average lags behind the weights
#
# The training figure is collected **while** the epoch runs: its first batch meets the
# weights of the epoch's beginning. The test figure is taken at the end. Say the
# accuracy climbs evenly from 40 to 60 % within an epoch. What does each figure say?

# %% [markdown] slide="notes"
# The training figure says 50 %, the held-out one 60 %, though the network does equally
# well on both. So the training loss of an epoch should lie *between* the held-out
# losses before and after it. The slides' log can be tested for that without any run:

# %% check=True
before, now = slides["test_loss"][:-1], slides["test_loss"][1:]
between = [
    end < train < start
    for start, train, end in zip(before, slides["train_loss"][1:], now, strict=True)
]
print("epoch     ", *(f"{epoch:5}" for epoch in range(2, 16)))
print("in between", *(f"{'yes' if inside else 'no':>5}" for inside in between))

# %% [markdown]
# Up to epoch 9 it does. From epoch 10 on the average explains a part only: there must
# be a second reason. We keep it for the end.

# %% [markdown] slide="subslide"
# **The proof.** Left, training as logged; right, the same training digits measured
# after the epoch. If we are right, the gap vanishes.

# %%
# alt: Two panels of training and validation accuracy. On the left training lies below
# alt: validation while the curve is steep; on the right the two lie on each other.
both = {"measured during the epoch": list(during), "measured after it": list(after)}
title = "Measured at the same moment, are they still apart?"
plot.curves(both, metric="accuracy", panels=True, title=title);

# %%
for name, histories in both.items():
    gaps = [
        100 * (row["val_accuracy"] - row["train_accuracy"])
        for history in histories
        for row in history.rows[:5]
    ]
    mean = sum(gaps) / len(gaps)
    print(f"{name}: validation leads by {mean:5.2f} points over five epochs")

# %% [markdown]
# So the network is *not* better on unseen digits. Rule for every log: **ask when each
# figure was measured.** Dropout will give a second case of this.

# %% [markdown] slide="slide"
# ## Underfit, normal, overfit
#
# To see a fit we need a plane. We squeeze each digit into two numbers, its first two
# principal components, and ask: is the digit even or odd? The network gets 200
# examples.

# %%
pixels = digits.train.subset(5000).images.flatten(1) / 255
directions = torch.linalg.eigh(pixels.T.cov()).eigenvectors[:, -2:]  # widest spread


def in_plane(images):
    """Two numbers for each image; labels: 0 for even digits, 1 for odd ones."""
    flat = images.images.flatten(1) / 255 - pixels.mean(dim=0)
    return flat @ directions, images.labels % 2


few, unseen = in_plane(digits.train.subset(200)), in_plane(digits.val.subset(2000))

# %% [markdown] slide="subslide"
# Three networks, from no hidden layer to 17,154 parameters, the same 200 points. Guess:
# which one reads the unseen points best?

# %%
networks = {"no hidden layer": (2, 2), "8 hidden": (2, 8, 2)}
networks["128 + 128 hidden"] = (2, 128, 128, 2)
fits = {}
for name, sizes in networks.items():
    torch.manual_seed(run.seed)
    model = mlp(*sizes)
    adam = {"optimizer": "adam", "lr": 0.01, "keep_best": False}
    adam |= {"epochs": course.pick(tiny=300, small=600, full=600), "progress": False}
    fits[name] = model, fit(model, [few], [unseen], **adam)

# %% tags=["hide-input"] slide="subslide"
# alt: Three planes with 200 points. Without a hidden layer one straight border; with 8
# alt: hidden units a few bends; with 128 and 128 islands and spikes around points.
fig, axes = plt.subplots(1, 3, figsize=(7, 3), sharey=True)
low, high = few[0].min(dim=0).values - 0.5, few[0].max(dim=0).values + 0.5
x, y = (torch.linspace(low[i], high[i], 150) for i in (0, 1))
grid = torch.cartesian_prod(x, y).to(run.device)
for ax, (name, (model, history)) in zip(axes, fits.items(), strict=True):
    with torch.no_grad():
        odd = model(grid).softmax(dim=1)[:, 1].view(150, 150).T.cpu()
    ax.contourf(x, y, odd, levels=11, cmap="PuOr", vmin=-0.3, vmax=1.3)
    ax.contour(x, y, odd, levels=[0.5], colors="black", linewidths=1)
    for label, color, marker in ((0, "#8C4A00", "o"), (1, "#3B1E6E", "^")):
        spots = few[0][few[1] == label]
        ax.scatter(*spots.T, s=9, color=color, marker=marker, linewidths=0)
    row = history.rows[-1]
    shares = f"{row['train_accuracy']:.0%} known\n{row['val_accuracy']:.0%} unseen"
    ax.set_title(f"{name}\n{shares}", fontsize=11)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
fig.suptitle("Which border would you trust with a new point?", x=0.01, ha="left");

# %% [markdown] slide="notes"
# Circles are even digits, triangles odd ones; the line is the border where the network
# finds both equally likely. The straight line cannot follow the shape of the data. The
# large network can follow *everything*, single points too: it spends islands on them.
# The classes overlap in the plane, so no network can be right about all unseen points.

# %% [markdown] slide="subslide"
# **The decision by numbers.** Underfit: even the *training* loss is worse than what
# some network reaches on unseen points. Overfit: the validation loss has passed its
# lowest value by a fifth.

# %%
def verdict(history, reachable):
    """Judge the last epoch; reachable: the lowest validation loss of any network."""
    last = history.rows[-1]
    if last["train_loss"] > reachable:
        return "underfit"
    if last["val_loss"] > 1.2 * min(history["val_loss"]):
        return "overfit"
    return "normal"


reachable = min(min(history["val_loss"]) for _, history in fits.values())
print(f"{'loss (nats)':18}training  validation  at its best")
for name, (_, history) in fits.items():
    row, best = history.rows[-1], min(history["val_loss"])
    losses = f"{row['train_loss']:8.3f}{row['val_loss']:12.3f}{best:13.3f}"
    print(f"{name:18}{losses}  {verdict(history, reachable)}")

# %% slide="subslide"
# alt: Training and validation loss of the three networks. The first two end flat, both
# alt: curves close together; in the third the training loss falls while the validation
# alt: loss turns and climbs.
histories = {name: history for name, (_, history) in fits.items()}
title = "Where do training and validation loss part?"
plot.curves(histories, metric="loss", panels=True, title=title);

# %% [markdown] slide="notes"
# Read the third panel from left to right: for a few epochs the large network underfits,
# then it fits, then it overfits. So there are two ways to a normal fit: a smaller
# network, or the same network stopped in time.

# %% [markdown] slide="slide"
# ## 1,000 digits: the loss turns
#
# Back to whole images, and to the question. Two hidden layers of 256, 1,000 digits, 50
# a batch. By hand: (784 + 1) × 256 + (256 + 1) × 256 + (256 + 1) × 10 = 269,322.

# %%
def wide():
    return mlp(784, 256, 256, 10)


epochs = course.pick(tiny=15, small=60, full=60)
torch.manual_seed(run.seed)
wide_net = wide()
thousand = digits.train.subset(1000).loader(50, shuffle=True)
recipe = {"epochs": epochs, "lr": 0.01, "progress": False}
overfit = fit(wide_net, thousand, val_loader, keep_best=False, **recipe)
print(f"parameters: {sum(p.numel() for p in wide_net.parameters()):,}")

# %% slide="subslide"
# alt: Loss and accuracy on 1,000 training digits and on validation digits. The training
# alt: loss goes to zero. The validation loss turns early; its accuracy flattens out.
lowest = min(overfit.rows, key=lambda row: row["val_loss"])["epoch"]
title = f"The validation loss is lowest in epoch {lowest}. And then?"
plot.curves(overfit, title=title);

# %%
def mistakes(model):
    """Accuracy on the validation set, and the mean probability of a wrong answer."""
    logits, labels = predict(model, val_loader)
    sure, guesses = logits.softmax(dim=1).max(dim=1)
    wrong = guesses != labels
    return 1 - wrong.double().mean().item(), sure[wrong].mean().item()


known_share, (unseen_share, sure) = overfit["train_accuracy"][-1], mistakes(wide_net)
print(f"known {known_share:.1%}, unseen {unseen_share:.1%}")
print(f"where it is wrong, it is {sure:.0%} sure on average")

# %% [markdown]
# The answer to our question stands above. Note what overfitting does here: the accuracy
# does not collapse. The *loss* tells more, since it charges for being **sure and
# wrong**.

# %% [markdown] slide="notes"
# In the plane the accuracy fell too, because the classes overlap: whoever follows a
# stray point is wrong about its neighbours. Clean digits hardly overlap, so a network
# that knows its examples by heart still draws sensible borders between them. Wider
# networks often generalise better, not worse, on such data. Exercise 01.5 spoils some
# labels, and then accuracy falls as well.

# %% [markdown] slide="slide"
# ## Remedy 1: more data
#
# The slides' first remedy. The same network, from scratch, on ever larger parts of the
# training set. **Predict**: how many points does ten times the data bring?

# %%
sizes = course.pick(
    tiny=(50, 250, 1250),
    small=(100, 300, 1000, 3000, 10000),
    full=(100, 300, 1000, 3000, 10000, 30000, 54000),
)


def accuracy_from(n, seed, build):
    """Train on n digits, small sets more often; accuracy on the validation set."""
    torch.manual_seed(seed)
    model = build()
    loader = digits.train.subset(n, seed=seed).loader(50, shuffle=True, seed=seed)
    fit(model, loader, epochs=max(at_least, shown // n), lr=0.01, progress=False)
    return evaluate(model, val_loader).accuracy


at_least, shown = course.pick(tiny=(3, 7500), small=(30, 75_000), full=(20, 75_000))
plain = [[accuracy_from(n, seed, wide) for n in sizes] for seed in seeds]

# %% slide="subslide"
# alt: Validation accuracy against the number of training digits on a logarithmic axis;
# alt: it rises steadily, with a band over seeds that narrows.
by_size = torch.tensor(plain).mean(dim=0).tolist()
title = f"{sizes[0]} digits: {by_size[0]:.0%}; {sizes[-1]:,} digits: {by_size[-1]:.0%}"
plot.band(sizes, plain, title=title);

# %%
for n, accuracy, column in zip(sizes, by_size, zip(*plain, strict=True), strict=True):
    spread = 100 * (max(column) - min(column))
    print(f"{n:6,} digits: error {1 - accuracy:6.2%}, spread over seeds {spread:.1f}")

# %% [markdown] slide="notes"
# On this axis each step multiplies the data by the same factor, and the error is
# *divided* by roughly the same factor each time: a power law, seen with many networks
# and tasks. No other remedy of this lecture goes so far. Its price is labels, and the
# next lecture makes some for free.

# %% [markdown] slide="slide"
# ## Remedy 2: a validation set
#
# The slides' second remedy: keep the model that does best on the validation set.
# **Early stopping** ends the run when the validation accuracy has not improved for some
# epochs, the *patience*, and takes the best weights back.

# %%
torch.manual_seed(run.seed)
stopped_net = wide()
thousand = digits.train.subset(1000).loader(50, shuffle=True)
stopped = fit(stopped_net, thousand, val_loader, patience=5, **recipe)
print(stopped.remark())

# %%
print(f"{'':18}{'epochs':>8}{'val loss':>10}{'accuracy':>10}{'sure if wrong':>15}")
for name, model, history in (
    ("trained to the end", wide_net, overfit),
    ("stopped early", stopped_net, stopped),
):
    (accuracy, sure), loss = mistakes(model), evaluate(model, val_loader).loss
    line = f"{len(history.rows):8}{loss:10.3f}{accuracy:10.1%}{sure:15.0%}"
    print(f"{name:18}{line}")

# %% [markdown]
# Early stopping saves epochs. Compare the columns: what it repairs is the *loss*, that
# is the confidence in wrong answers. The accuracy it leaves about as it was.

# %% [markdown] slide="notes"
# So decide first what counts. `fit` keeps the most accurate epoch; the one of the
# lowest validation loss is the one whose probabilities can be trusted most.
# A doctor's assistant that is sure of its mistakes is worse than one that hesitates.

# %% [markdown] slide="slide"
# ## Who chooses must not judge
#
# Why not stop by the test set, and save the validation set? An experiment: networks
# that differ in their seed alone. We choose the best by an *exam* of some digits, and
# report its score. What is it worth on all the other digits?

# %%
tries = course.pick(tiny=8, small=32, full=32)
exam_size = course.pick(tiny=50, small=100, full=100)
passes = course.pick(tiny=8, small=20, full=20)
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
label = "networks tried (the best by exam is reported)"
plot.band(counts, lines, xlabel=label, ylabel="accuracy (%)", title=title);

# %% [markdown]
# With one network the exam is fair. With every further try the report grows, the worth
# hardly. A larger exam shrinks the luck, never to zero. So **the validation set
# chooses, the test set judges once**.

# %% [markdown] slide="slide"
# ## Dropout: a new network in every step
#
# The slides: *randomize the network so that it cannot easily overfit*. In each training
# step, and for each example, every unit is dropped with probability p. What remains is
# a *thinned* network.

# %% tags=["hide-input"]
# alt: Two networks of five inputs, two hidden layers of five units and two outputs. In
# alt: the right one about half of the units are crossed out and their lines are gone.
layers, dropped = (5, 5, 5, 2), {(0, 3), (1, 0), (1, 3), (2, 1), (2, 2), (2, 4)}
fig, axes = plt.subplots(1, 2, figsize=(7, 2.8))
panels = {"all units": set(), "thinned": dropped}
for ax, (name, gone) in zip(axes, panels.items(), strict=True):
    at = {(i, j): (i, j - (n - 1) / 2) for i, n in enumerate(layers) for j in range(n)}
    for (i, a), (x, y) in at.items():
        for (k, b), (u, v) in at.items():
            if k == i + 1 and not {(i, a), (k, b)} & gone:
                ax.plot((x, u), (y, v), color=plot.PAPER, linewidth=0.7, zorder=1)
    for unit, (x, y) in at.items():
        color = "white" if unit in gone else plot.PALETTE["sky blue"]
        ax.scatter(x, y, s=150, color=color, edgecolors="black", zorder=2)
        if unit in gone:
            ax.scatter(x, y, s=90, marker="x", color=plot.VALIDATION, zorder=3)
    ax.axis("off")
    ax.set_title(name, loc="center")
fig.suptitle("Which unit can still rely on a certain neighbour?", x=0.01, ha="left");

# %% [markdown] slide="notes"
# After Fig. 1 of the paper; the inputs stand at the left. Its argument: units that
# always meet the same partners learn to mend each other's mistakes, on the training
# examples. The paper calls it co-adaptation. A unit whose partners come and go must be
# useful by itself. A second reading: with n units that may be dropped there are $2^n$
# thinned networks which share their weights, and each example of a step trains one.

# %% [markdown] slide="subslide"
# **The scale matters.** Dropping halves what the next layer gets, if p = 0.5. In
# evaluation nothing is dropped. Predict the six means:

# %%
p, x = 0.5, torch.ones(100_000)
keep = torch.rand_like(x) >= p
print("                          training  evaluation")
for name, train, evaluation in (
    ("mask alone", x * keep, x),
    ("paper: scale evaluation", x * keep, x * (1 - p)),
    ("torch: scale training", x * keep / (1 - p), x),
):
    print(f"{name:26}{train.mean():8.2f}{evaluation.mean():12.2f}")

# %% [markdown]
# With the mask alone every layer gets twice the input it was trained for. The paper
# shrinks the weights when it evaluates; torch stretches what is kept while it trains.

# %% [markdown] slide="notes"
# Two traps for readers of the paper. Its p is the probability to *keep* a unit; torch's
# p, and that of our slides, is the probability to *drop* it. And the paper scales at
# test time (section 4); it mentions the other way, which everybody uses today, at the
# end of section 10. It has one advantage: evaluation needs no dropout code at all.

# %% [markdown] slide="subslide"
# The whole method:

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

# %% slide="skip"
digit, _ = next(iter(digits.val.loader(1)))
with torch.no_grad():
    layer_1 = wide_net[:3](digit)[0].cpu()  # behind its ReLU, (256,)
units = layer_1[layer_1 > 0][:24]


def after_dropout(rate=0.5, draw=1):
    """The values after one draw, and the mean of 1,000 draws."""
    torch.manual_seed(draw)
    layer = Dropout(rate)
    after, mean = layer(units), layer(units.expand(1000, -1)).mean(dim=0)
    fig, ax = plt.subplots(figsize=(7, 2.8))
    ax.bar(range(len(units)), after, color=plot.PALETTE["sky blue"])
    ax.bar(range(len(units)), units, fill=False, edgecolor="black")
    ax.plot(mean, "o", color=plot.VALIDATION, markersize=4)
    ax.set(xlabel="unit", ylabel="value", xticks=[])
    gone = (after == 0).sum()
    title = f"{gone} of {len(units)} are dropped, the others times {1 / (1 - rate):.2f}"
    fig.suptitle(title, x=0.01, ha="left")
    return fig

# %% [markdown] slide="subslide"
# Outlines: 24 values of a layer for one digit. Bars: what dropout makes of them. Dots:
# the mean of 1,000 draws. **Before you move it:** at which rate are the kept ones four
# times as high? Where do the dots go?

# %%
# alt: Bars for 24 units. Some are gone, the others twice as high as their outlines; the
# alt: dots, means of 1,000 draws, lie near the tops of the outlines.
sliders.explore(after_dropout, rate=(0.0, 0.9, 0.05), draw=(1, 20))

# %% [markdown] slide="notes"
# At 0.75, since 1 / (1 − 0.75) = 4. The dots stay at the outlines, whatever the rate:
# the mean is kept. They scatter more at higher rates: a kept 1 counts 1 / (1 − p), and
# the fewer are kept, the more it matters which.

# %% [markdown] slide="subslide"
# **Is it torch's?** Three tests: in evaluation; with the mask that torch drew; and in
# expectation, over many draws.

# %% check=True
ours, theirs, x = Dropout(0.3), nn.Dropout(0.3), torch.randn(1000, 50)
output = theirs(x)
ours.draw = lambda x: output != 0  # torch's own mask
assert torch.allclose(ours(x), output)
print("same mask, same output")
assert torch.equal(ours.eval()(x), x)
assert torch.equal(theirs.eval()(x), x)
print("evaluation: both return their input")

# %% [markdown]
# In expectation: one value is 0 or 1 / (1 − p), its mean 1, its variance p / (1 − p).
# The mean of n draws should lie within five standard errors.

# %%
n, p = 10_000, 0.3
tolerance = 5 * (p / (1 - p) / n) ** 0.5
for name, layer in {"ours": Dropout(p), "torch's": nn.Dropout(p)}.items():
    means = layer(torch.ones(n, 50)).mean(dim=0)
    worst = (means - 1).abs().max().item()
    print(f"{name:8} worst of 50 means is off by {worst:.4f}, allowed {tolerance:.4f}")
    assert worst < tolerance

# %% [markdown] slide="subslide"
# Into the network, with the paper's rates: 0.2 on the pixels, 0.5 on each hidden layer,
# none on the logits. How many parameters does dropout add?

# %%
def wide_dropout():
    """The same network with dropout before each linear layer."""
    layers = [nn.Flatten(), Dropout(0.2)]
    for inputs, outputs in pairwise((784, 256, 256, 10)):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), Dropout(0.5)]
    return nn.Sequential(*layers[:-2])  # neither behind the logits

# %% check=True
look.shape_table(wide_dropout(), (1, 28, 28))

# %% [markdown] slide="slide"
# ## Weight decay: a price on weights
#
# An older remedy stands beside it. Add $\frac{\lambda}{2} \lVert w \rVert^2$ to the
# loss: its gradient is $\lambda w$, so each step with learning rate η first shrinks
# every weight:
#
# $$w \leftarrow (1 - \eta\lambda)\,w - \eta\,\frac{\partial L}{\partial w}$$
#
# With η = 0.1, λ = 0.01 and no gradient, what becomes of a weight of 1?

# %% check=True
w = torch.ones(1, requires_grad=True)
w.grad = torch.zeros(1)
torch.optim.SGD([w], lr=0.1, weight_decay=0.01).step()
print(f"{w.item():.3f}")

# %% [markdown] slide="notes"
# A weight that no example needs fades away; one that many examples need is held up by
# its gradient. Large weights make steep functions, and steep functions are what it
# takes to run through every single point. Torch's SGD calls λ `weight_decay`; with Adam
# the two forms above differ, which is why AdamW exists.

# %% [markdown] slide="slide"
# ## Four networks on the same axes
#
# Nothing, weight decay, dropout, both: 1,000 digits each. A seed sets the initial
# weights *and* which digits are drawn.

# %%
remedies = {
    "nothing": (wide, 0.0),
    "weight decay": (wide, 0.01),
    "dropout": (wide_dropout, 0.0),
    "both": (wide_dropout, 0.01),
}
runs = {name: [] for name in remedies}
nets = {name: [] for name in remedies}
for name, (build, decay) in remedies.items():
    for seed in seeds:
        torch.manual_seed(seed)
        model, few = build(), digits.train.subset(1000, seed=seed)
        loader = few.loader(50, shuffle=True, seed=seed)
        sgd = partial(torch.optim.SGD, momentum=0.9, weight_decay=decay)
        settings = {"optimizer": sgd, "keep_best": False, "name": name}
        runs[name].append(fit(model, loader, val_loader, **recipe, **settings))
        nets[name].append(model)

# %% slide="subslide"
# alt: Validation loss and accuracy of four networks over the epochs, with bands over
# alt: seeds.
plot.curves(runs, title="Which remedy lowers the loss, which one raises the accuracy?");

# %% slide="subslide"
def over_seeds(name, column, scale=1):
    """The last epoch's value: mean over the seeds, and half the spread."""
    values = [scale * history.rows[-1][column] for history in runs[name]]
    return sum(values) / len(values), (max(values) - min(values)) / 2


print(f"{'':14}{'training (%)':>16}{'validation (%)':>18}{'val loss (nats)':>19}")
for name in runs:
    train, half = over_seeds(name, "train_accuracy", 100)
    val, val_half = over_seeds(name, "val_accuracy", 100)
    loss, loss_half = over_seeds(name, "val_loss")
    first = f"{train:9.1f} ± {half:3.1f}{val:12.1f} ± {val_half:3.1f}"
    print(f"{name:14}{first}{loss:13.3f} ± {loss_half:.3f}")

# %% [markdown]
# ± is half the distance from the smallest to the largest seed. **Compare each gain with
# it**: a gain inside the spread is no gain. And the training column reads low with
# dropout. The reason is not the log's, moving weights: it is measured with units dropped.

# %% [markdown] slide="subslide"
# As differences, seed by seed, so that lucky draws of digits cancel:

# %%
def gains(name, column):
    """What the remedy adds to the network without one, for each seed."""
    pairs = zip(runs[name], runs["nothing"], strict=True)
    return [a.rows[-1][column] - b.rows[-1][column] for a, b in pairs]


for name in ("weight decay", "dropout", "both"):
    more = [100 * gain for gain in gains(name, "val_accuracy")]
    less = gains(name, "val_loss")
    points = f"{min(more):+.1f} to {max(more):+.1f} points"
    print(f"{name}: {points}, loss {min(less):+.3f} to {max(less):+.3f} nats")

# %% [markdown] slide="notes"
# What our run at scale `small` shows: dropout raises the accuracy for every seed, and
# its loss still turns up late. Weight decay keeps the loss from turning and hardly
# moves the accuracy. Both together have the lowest loss, and no more accuracy than
# dropout alone. Remedies do not add up like prices. The strength of the decay was chosen
# on the validation set, by hand and coarsely; dropout's rates are the paper's. Exercise
# 01.4 tries others.

# %% [markdown] slide="slide"
# ## Look inside
#
# What do remedies do to the weights? The first layer's units with the largest weights,
# as pictures: red is positive, blue negative. **Which network still carries its random
# beginning?**

# %%
first = {}  # weights of the first linear layer, (256, 784)
for name in ("nothing", "dropout", "weight decay"):
    layer = next(part for part in nets[name][0] if isinstance(part, nn.Linear))
    first[name] = layer.weight.detach().cpu()

# %% tags=["hide-input"]
# alt: Three rows of weights as pictures. Without a remedy, noise all over the frame;
# alt: with dropout stronger strokes on the same noise; with weight decay the noise has
# alt: faded and strokes remain.
rows = []
for weight in first.values():
    largest = weight.norm(dim=1).argsort(descending=True)[:8]
    rows.append(weight[largest].view(-1, 1, 28, 28))
title = "First layer: nothing (top), dropout (middle), weight decay (bottom)"
pictures.filters(torch.cat(rows), columns=8, title=title);

# %% slide="subslide"
never = digits.train.images.flatten(1).amax(dim=0) == 0  # pixels without ink, ever
beginning = wide()[1].weight.detach().cpu()
for name, weight in {"beginning": beginning, **first}.items():
    inked, rim = weight[:, ~never].std(), weight[:, never].std()
    print(f"{name:13} spread of weights: {inked:.4f} inside, {rim:.4f} at empty pixels")

# %% [markdown]
# An empty pixel is the same in all digits and tells nothing, so its weights keep their
# random beginning. Only decay clears them away: what no example asks for, fades.

# %% [markdown] slide="subslide"
# **One network, or many?** In training mode the same digit meets another thinned
# network each time. What are they worth alone, and what is their average worth?

# %%
images, labels = (torch.cat(part) for part in zip(*val_loader, strict=True))
net = nets["dropout"][0].train()  # dropping, on purpose
draws = course.pick(tiny=20, small=100, full=100)
with torch.no_grad():
    votes = torch.stack([net(images).softmax(dim=1) for _ in range(draws)])
counts = [k for k in (1, 2, 5, 10, 20, 50, 100) if k <= draws]
groups = [votes[: draws // k * k].unflatten(0, (-1, k)).mean(dim=1) for k in counts]
averaged = [(g.argmax(dim=2) == labels).double().mean(dim=1) for g in groups]
in_eval = evaluate(net.eval(), val_loader).accuracy

# %% tags=["hide-input"]
# alt: Accuracy of the average of k thinned networks against k. One alone lies points
# alt: below; with some tens the average reaches the dotted line of evaluation mode.
fig, ax = plt.subplots()
mean = [100 * a.mean().item() for a in averaged]
ax.plot(counts, mean, "-o", color=plot.HIGHLIGHT, markersize=4)
low = [100 * a.min().item() for a in averaged]
high = [100 * a.max().item() for a in averaged]
ax.fill_between(counts, low, high, color=plot.HIGHLIGHT, alpha=0.2, linewidth=0)
ax.axhline(100 * in_eval, ls=":", color=plot.VALIDATION)
text = f"evaluation mode, one pass: {100 * in_eval:.1f} %"
ax.text(counts[-1], 100 * in_eval, text, ha="right", va="bottom", color=plot.VALIDATION)
ax.set(xscale="log", xlabel="thinned networks averaged", ylabel="accuracy (%)")
ax.set_xticks(counts, counts)
ax.minorticks_off()
ax.margins(y=0.15)
title = f"One alone reads {mean[0]:.1f} %. How many replace one pass in evaluation?"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown]
# Evaluation mode stands for the average of all thinned networks, at the price of one.
# The left end is also what you get if you **forget `eval()`**, as our slides once do.

# %% [markdown] slide="notes"
# Fig. 11 of the paper draws the same curve on its test set: about 50 thinned networks
# are as good as the one pass, more are a little better, within one standard deviation.
# The faint area spans the groups that the draws can be divided into.

# %% [markdown] slide="slide"
# ## Against the paper
#
# Section 7.4 varies the size of the training set, on MNIST: no gain from dropout with
# 100 or 500 digits; then it grows, then it declines. Do we find the same?

# %%
dropout = [[accuracy_from(n, seed, wide_dropout) for n in sizes] for seed in seeds]
errors = {"nothing": 1 - torch.tensor(plain), "dropout": 1 - torch.tensor(dropout)}
for i, n in enumerate(sizes):
    gain = 100 * (errors["nothing"] - errors["dropout"])[:, i]
    print(f"{n:6,} digits: dropout saves {gain.min():+.2f} to {gain.max():+.2f} points")

# %% tags=["hide-input"] slide="subslide"
# alt: Error against the number of training digits, both axes logarithmic, without and
# alt: with dropout; both fall towards the paper's 1.60 and 1.25 % at 60,000 digits.
fig, ax = plt.subplots(figsize=(7, 3.2))
looks = {"nothing": ("-o", plot.PALETTE["black"]), "dropout": ("--s", plot.HIGHLIGHT)}
for name, (style, color) in looks.items():
    percent = 100 * errors[name]
    ax.plot(sizes, percent.mean(dim=0), style, color=color, markersize=4, label=name)
    low, high = percent.min(dim=0).values, percent.max(dim=0).values
    ax.fill_between(sizes, low, high, color=color, alpha=0.15, linewidth=0)
for error, text, va in ((1.60, "1.60: no dropout", "bottom"), (1.25, "1.25", "top")):
    ax.plot(60_000, error, "s", color=plot.PAPER, markersize=5)
    ax.text(52_000, error, text, color=plot.PAPER, ha="right", va=va)
ax.set(xscale="log", yscale="log", xlabel="training examples", ylabel="error (%)")
ticks = [n for n in (100, 300, 1000, 3000, 10000, 60000) if n >= sizes[0]]
ax.set_xticks(ticks, [f"{n:,}" for n in ticks])
ax.set_yticks([1, 2, 5, 10, 20], [1, 2, 5, 10, 20])
ax.minorticks_off()
ax.legend(loc="lower left")
title = "At which sizes does dropout pay? (squares: the paper, test set)"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown] slide="notes"
# At `small` we find the rise and the decline, but dropout pays earlier: at 300 digits it
# helps every seed, where the paper sees no gain at 500.
#
# The paper's reading of its Fig. 10: with very few examples the network has enough
# parameters to learn them by heart in spite of the noise; with very many there is
# little overfitting left to prevent. In between lies a sweet spot. Part of the decline is
# time: noisy gradients learn slowly. With half the epochs (`at_least`), dropout's gain
# at 10,000 digits is gone; with more it grows.

# %% [markdown] slide="subslide"
# What the paper reports for all 60,000 digits, in percent of the test set misread:
#
# | Table 2 | error | Table 9, one network | error |
# |---|---|---|---|
# | no dropout, 2 × 800 logistic | 1.60 | weight decay (L2) | 1.62 |
# | dropout, 3 × 1024 logistic | 1.35 | max-norm | 1.35 |
# | dropout, 3 × 1024 ReLU | 1.25 | dropout + weight decay | 1.25 |
# | + max-norm, 3 × 1024 ReLU | 1.06 | dropout + max-norm | 1.05 |
# | + max-norm, 2 × 8192 ReLU | 0.95 | | |

# %% [markdown] slide="notes"
# What differs: networks four times as wide, all the digits, and a million updates where
# we make some thousands (appendix B.1). Max-norm caps the length of each unit's weight
# vector; it lets the learning rate be high, which dropout's noisy gradients need. The
# first line is not the paper's own: it quotes Simard et al. 2003, whose network differs
# in width and activation too, so not all of 1.60 − 1.25 is dropout. Table 9 compares
# remedies on one network: weight decay alone 1.62, together with dropout 1.25. It has no
# line for dropout alone; in Table 2 dropout alone reaches 1.25 too. So decay seems to add
# little accuracy to dropout, as in our table above. The paper also warns that dropout
# trains two to three times longer.

# %% [markdown] slide="subslide"
# **The test set, once.** All choices are made. First the log: the slides' 91.00 %, and
# the second reason for their gap that we kept for the end.

# %%
test_loader = digits.test.loader(2000)
log_test = [evaluate(model, test_loader) for model in logged]
last = [history.rows[-1] for history in after]
table = {
    "training, again": [(row["train_loss"], row["train_accuracy"]) for row in last],
    "validation": [(row["val_loss"], row["val_accuracy"]) for row in last],
    "test": [(metrics.loss, metrics.accuracy) for metrics in log_test],
    "slides, test": [(0.3183, 0.9100)],
}
for name, values in table.items():
    loss, accuracy = torch.tensor(values, dtype=torch.double).mean(dim=0)
    print(f"{name:16}{loss:7.4f} nats {accuracy:8.2%}")
log_accuracies = [metrics.accuracy for metrics in log_test]
print("test, each seed:", *(f"{accuracy:.2%}" for accuracy in log_accuracies))

# %% [markdown]
# On MNIST the network that was never shown the test digits reads them a little *better*
# than its training digits, with both measured at rest. That is the second reason: other
# people wrote the test set, and it is slightly easier.

# %% [markdown] slide="subslide"
# Then the networks of 1,000 digits:

# %%
tested = {
    name: [evaluate(model, test_loader).accuracy for model in models]
    for name, models in nets.items()
}
for name, shares in tested.items():
    mean, half = sum(shares) / len(shares), (max(shares) - min(shares)) / 2
    print(f"{name:14}{100 * mean:6.1f} ± {100 * half:.1f} % of the test digits")

# %% [markdown] slide="slide"
# ## Answer
#
# A network reads 100 % of 1,000 known digits. How many unseen ones does it read, and
# what buys a point more?

# %% slide="fragment"
mean = {name: sum(shares) / len(shares) for name, shares in tested.items()}
log_accuracy = sum(log_accuracies) / len(log_accuracies)
print(f"unseen, test set: {mean['nothing']:.1%}; with dropout {mean['dropout']:.1%}")
more = f"{sizes[-1]:,} digits {by_size[-1]:.1%} (validation)"
print(f"with {more}; the log made again {log_accuracy:.2%}, the slides' 91.00%")
run.headline(
    f"1,000 digits known by heart: {mean['nothing']:.1%} of new ones read,"
    f" {mean['dropout']:.1%} with dropout; the slides' training log, made again, ends"
    f" at {log_accuracy:.2%} (theirs: 91.00%)"
)

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 01.1 Predict: one value through dropout
#
# A unit puts out 6. Behind it stands `nn.Dropout(p=0.25)`. Which value does the next
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
# patience. It returns two epochs, counted from 1: the one whose weights are kept, and
# the last one that is run. Training stops when the best epoch lies `patience` epochs
# back.

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


stop_early([0.9, 0.6, 0.5, 0.55, 0.45, 0.5, 0.6, 0.7], patience=2)

# %%
check("01.2", stop_early)

# %% [markdown] slide="subslide"
# ### 01.3 Explain: a log
#
# A network with dropout has trained for 60 epochs; nothing has moved for the last 20.
# The log says: training 86 %, validation 91 %. Measured again in evaluation mode, the
# training set gives 98 %.
#
# What makes the log's training figure low: `"moving weights"`, `"dropped units"`, `"an
# easier validation set"` or `"too few epochs"`? And by how many points does the network
# overfit, training minus validation, both measured alike?

# %%
# solution
reason, gap = "dropped units", 98 - 91

# %%
check("01.3", (reason, gap))

# %% [markdown]
# **Explain** in two sentences how you would tell the four reasons apart, with one more
# measurement each.

# %% [markdown] solution=True
# Measure the training set again with the weights at rest *in training mode*: if the
# figure stays low, the units are to blame, if it rises, the weights moved. Here they do
# not move any more, so it is the dropped units; evaluation mode shows what the network
# knows. An easier validation set would still lead after both are measured alike, as
# MNIST's test set does by some tenths of a point, and with too few epochs all curves
# would still be rising.

# %% [markdown] slide="subslide"
# ### 01.4 Modify: rates of your own
#
# Build the network 784-512-512-10 with torch's own `nn.Dropout`: drop 10 % of the
# pixels and 40 % of each hidden layer, and nothing of the logits. It takes images of 1
# × 28 × 28.

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

# %% [markdown]
# Train it as in "Four networks on the same axes", with three seeds. Is it better than
# the paper's rates, by more than the spread?

# %% [markdown] slide="subslide"
# ### 01.5 Investigate: what if labels are wrong?
#
# `spoil` gives a share of the examples, chosen at random, another label than theirs; it
# returns new labels. Then train `wide()` on 1,000 digits with 20 % of the labels
# spoiled. `falls`: how many points of validation accuracy are lost from the best epoch
# to the last?

# %%
def spoil(labels: torch.Tensor, share: float) -> torch.Tensor:
    """Labels (N,) of ten classes, with a share of them wrong; a new tensor."""
    # solution
    labels = labels.clone()
    chosen = torch.randperm(len(labels))[: round(share * len(labels))]
    labels[chosen] = (labels[chosen] + torch.randint(1, 10, chosen.shape)) % 10
    return labels

# %%
# solution
torch.manual_seed(run.seed)
clean, model = digits.train.subset(1000), wide()
dirty = replace(clean, labels=spoil(clean.labels, 0.2)).loader(50, shuffle=True)
history = fit(model, dirty, val_loader, epochs=epochs, lr=0.01, progress=False)
accuracies = history["val_accuracy"]
falls = 100 * (max(accuracies) - accuracies[-1])
print(f"training {history['train_accuracy'][-1]:.1%} in the last epoch")
print(f"validation {max(accuracies):.1%} at best, then {falls:.1f} points less")

# %%
check("01.5", (spoil, falls))

# %% [markdown]
# What does early stopping save now, and why did it save so little accuracy on clean
# labels? Try dropout on the spoiled labels too.

# %% [markdown] solution=True
# A network fits the digits that agree with their neighbours first, and the wrong labels
# last, one by one. Whatever it does for a wrong label also misleads it about similar
# unseen digits. So with wrong labels the accuracy itself turns, and stopping at the
# best epoch saves points. With clean labels, knowing the last examples by heart
# misleads nobody: the answers stay, and merely get surer.

# %% slide="skip"
check.progress("01")

# %% [markdown] slide="slide"
# ## Recap
#
# - A training figure averaged over an epoch lags behind; measured again after it, the
#   gap in our log vanishes, and MNIST's slightly easier test set explains the rest of
#   the slides'. Ask of every figure when, and in which mode, it was taken.
# - Underfit: the training loss itself is bad. Overfit: the validation loss has turned,
#   even where the accuracy has not.
# - More data goes farthest. Early stopping saves epochs and repairs the sureness.
#   Whatever chooses a model flatters it, so the test set judges once.
# - Dropout is a mask and a scale: the mean stays, evaluation is the identity. It raises
#   the accuracy most where data are neither very few nor many; weight decay tames the
#   loss.

# %% [markdown] slide="skip"
# ## References
#
# - N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov: *Dropout: A
#   Simple Way to Prevent Neural Networks from Overfitting*, JMLR 15, 2014. Fig. 1 and
#   section 4 (model), Table 2 (MNIST), Table 9 (other remedies), section 7.4 and Fig.
#   10 (size of the data), section 7.5 and Fig. 11 (averaging), section 10 (scaling in
#   training), appendix B.1 (settings).
# - P. Simard, D. Steinkraus, J. Platt: *Best Practices for Convolutional Neural
#   Networks Applied to Visual Document Analysis*, ICDAR 2003: the network without
#   dropout.
# - I. Loshchilov, F. Hutter: *Decoupled Weight Decay Regularization*, ICLR 2019: AdamW.
# - MNIST: Y. LeCun, C. Cortes, C. Burges; made of NIST's Special Databases 1 and 3.
#   Licence CC BY-SA 3.0. Training and test digits come from different writers.
# - At scale `tiny`: the digits of scikit-learn (E. Alpaydin, C. Kaynak, UCI, CC BY
#   4.0).
