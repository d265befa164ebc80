# %% [markdown] slide="slide"
# # The bug clinic: it runs, and it is wrong
#
# A network that does not learn raises no error. Here we put faults into a program on
# purpose, one at a time. We see the symptom, find the cause, and check the repair.
#
# *Most of these faults are common mistakes in teaching material. The rest are
# classics.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. read a loss curve, and name the faults that may cause it;
# 2. ask a training program ten questions whose right answers are known;
# 3. find a fault in the loss, the data, the loop, the mode, the measure or the shapes;
# 4. repair it, and prove the repair by what the program does.
#
# A run takes a quarter of a minute at scale `tiny`, and two to three minutes at `small`
# on one core.

# %% [markdown] slide="slide"
# ## Question
#
# A program of twenty lines trains a network to read digits. We plant **one fault** in
# it, look at what happens, take it out, and plant the next.
#
# **Of ten faults, how many stop the program with an error?** And of those that do not,
# how many report that more than half of the digits are read?
#
# *Write down a guess: two, five or eight?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import copy
import math
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import transforms

from teaching import check
from teaching.checks.lecture_10 import patient
from utils import augment, course, data, look, pictures, plot
from utils.models import TwoLayerCNN
from utils.models.vgg import CONFIGS
from utils.train import evaluate, predict

run = course.start(seed=0)
digits = data.mnist()
some = digits.train.subset(course.pick(tiny=400, small=10_000, full=None))
batch_size = course.pick(tiny=20, small=50, full=100)
train_loader = some.loader(batch_size, shuffle=True)
unseen = digits.val.subset(1000)
val_loader = unseen.loader(500)
epochs = course.pick(tiny=5, small=3, full=3)

# %% [markdown] slide="slide"
# ## The patient: a healthy program first
#
# The network of lecture 00, for digits, and a plain training loop. Each fault is a
# small change in this program, in its data, or in how it is measured. Only the section
# on error messages has lines of its own.

# %%
def reader(seed=0):
    """Two convolutions and a linear layer: (N, 1, 28, 28) -> (N, 10), logits."""
    torch.manual_seed(seed)
    return TwoLayerCNN(in_channels=1, image_size=28).to(run.device)

# %% check=True
look.shape_table(TwoLayerCNN(in_channels=1, image_size=28), (1, 28, 28))

# %% [markdown] slide="subslide"
# Now the loop. Read it line by line: which line would you miss if it were gone?

# %%
def train(model, loader, lr=0.05, epochs=epochs, loss_function=F.cross_entropy,
          zero_grad=True, watch=None):
    """The plain loop; the losses of all steps, and of `watch` after each epoch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses, watched = [], []
    for _ in range(epochs):
        model.train()
        for images, labels in loader:
            loss = loss_function(model(images), labels)
            if zero_grad:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if watch is not None:
            watched.append(evaluate(model, watch).loss)
    model.eval()
    return losses, watched

# %% slide="subslide"
def read(model):
    """The fraction of the unseen digits that a network reads."""
    return evaluate(model, val_loader).accuracy


seeds = range(course.pick(tiny=1, small=3, full=3))
healthy = [reader(seed) for seed in seeds]
losses = [train(model, train_loader)[0] for model in healthy]
print(f"loss {losses[0][0]:.2f} in the first step, {losses[0][-1]:.2f} in the last")
sound = [read(model) for model in healthy]
print("read, each seed:", *(f"{share:.1%}" for share in sound))

# %% [markdown] slide="subslide"
# Later we leave out one line, `zero_grad`, and see what follows. We train three seeds
# at scale `small`, since a difference of a point may be chance. Validation digits
# replace the test set throughout.

# %% [markdown] slide="slide"
# ## Four questions with known answers
#
# A doctor measures what is known in a healthy body: 37 °C. What do we know about a
# training program **before** it has run?
#
# | | question | known answer |
# |---|---|---|
# | 1 | What does the network get? | mean 0, standard deviation 1 |
# | 2 | How large is the first loss? | ln K for K classes |
# | 3 | Does a gradient reach every layer? | no parameter's gradient is 0 |
# | 4 | Can it learn **one** batch by heart? | the loss goes to 0 |
#
# Why ln K? A new network gives each of K classes a probability of about 1/K, and
# −ln(1/K) = ln K.

# %% slide="subslide"
def checkup(model, loader, steps=60):
    """Put the four questions to a copy of the model."""
    images, labels = next(iter(loader))
    print(f"1 batch       mean {images.mean():5.2f}, std {images.std():.2f}  (0, 1)")
    twin = copy.deepcopy(model).eval()
    loss = F.cross_entropy(twin(images), labels)
    known = math.log(len(loader.classes))
    print(f"2 first loss  {loss:.2f}  (ln K = {known:.2f})")
    loss.backward()
    sizes = [0 if p.grad is None else p.grad.norm().item() for p in twin.parameters()]
    print(f"3 gradients   {min(sizes):.1e} to {max(sizes):.1e}  (none is 0)")
    losses, _ = train(twin, [(images, labels)], epochs=steps)
    print(f"4 one batch   loss {losses[-1]:.2f} after {steps} steps  (0)")


checkup(reader(), train_loader)

# %% [markdown]
# All four answers are the expected ones. Remember them: this is the healthy program.
# `checkup` takes about a second. The lecture adds questions 5 to 10, and keeps this
# numbering.
#
# Question 4 is the strongest. A network that cannot learn one batch will not learn all
# of them.

# %% [markdown] slide="slide"
# ## What should a loss curve look like?
#
# Eight runs of the program: one healthy, seven with a fault. **Draw on paper, before
# you go on**, what you expect of each. All are real runs.

# %%
def shuffled_apart(images):
    """The same images; the labels are dealt out anew."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return replace(images, labels=images.labels[order])


def doubled(seed=0):
    """The network as our slides end it: a softmax behind the logits."""
    return nn.Sequential(reader(seed), nn.Softmax(dim=1))

# %% slide="subslide"
few = digits.train.subset(course.pick(tiny=60, small=200, full=200))
long = {"lr": 0.01, "epochs": course.pick(tiny=20, small=60, full=60)}
stray = shuffled_apart(some).loader(batch_size, shuffle=True)
by_class = some.take(some.labels.argsort(stable=True)).loader(batch_size)
runs = {
    "healthy": (reader, train_loader, {}),
    "rate too low": (reader, train_loader, {"lr": 0.05 / 300}),
    "rate too high": (reader, train_loader, {"lr": 0.05 * 20}),
    "few examples": (reader, few.loader(20, shuffle=True), long),
    "labels shuffled": (reader, stray, {}),
    "sorted by class": (reader, by_class, {}),
    "softmax twice": (doubled, train_loader, {}),
    "no zero_grad": (reader, train_loader, {"zero_grad": False}),
}

# %% slide="-"
models, curves = {}, {}
for name, (make, loader, settings) in runs.items():
    models[name] = make()
    curves[name] = train(models[name], loader, watch=val_loader, **settings)

# %% tags=["hide-input"] slide="subslide"
# alt: Eight small panels of training and validation loss with ln 10 dotted. Healthy
# alt: falls near 0; rate too low sinks slowly; rate too high stays at ln 10; few
# alt: examples parts, training at 0 and validation rising; labels shuffled stays at ln
# alt: 10; sorted by class jumps; softmax twice stops above 1.46; no zero_grad leaves.
def draw(ax, title, losses, watched):
    """One run: steps smoothed and solid, validation dashed, ln 10 dotted."""
    per_epoch, window = len(losses) // len(watched), max(1, len(losses) // 60)
    smooth = torch.tensor(losses).unfold(0, window, 1).mean(dim=1)
    steps = torch.arange(len(smooth)) + window / 2
    ax.axhline(math.log(10), ls=":", color=plot.PAPER, lw=1)
    ax.plot(steps / per_epoch, smooth, color=plot.TRAIN, lw=1.3)
    ends = range(1, len(watched) + 1)
    ax.plot(ends, watched, "--", color=plot.VALIDATION, lw=1.5)
    ax.set_title(title, fontsize=11)
    ax.set(ylim=(0, 4), xticks=[0, len(watched)], yticks=range(5))


fig, axes = plt.subplots(2, 4, figsize=(7, 3.7), sharey=True)
for ax, (name, curve) in zip(axes.ravel(), curves.items(), strict=True):
    draw(ax, name, *curve)
axes[0, 0].annotate("ln 10", (0.4, 2.45), color=plot.PAPER, fontsize=9)
fig.supxlabel("epochs", fontsize=11)
fig.supylabel("loss (nats)", fontsize=11)
title = "Eight runs: training solid, validation dashed. Which shapes did you draw?"
fig.suptitle(title, x=0.01, ha="left");

# %% [markdown] slide="subslide"
# | curve | likely cause | next step |
# |---|---|---|
# | falls fast, then slowly; both curves close | none: it learns | is validation measured right? |
# | falls slowly to the end | rate too low | ten times the rate |
# | at or above ln K from the start | rate too high | a tenth of the rate |
# | training to 0, validation rises | overfitting | more data, lecture 01 |
# | flat at ln K, at any rate | labels do not fit the images | view a batch |
# | jumps, again and again | order of the data | `shuffle=True`? |
# | falls, then stops above 0 | the loss cannot get lower | what enters the loss? |
# | rises without end | steps that grow | `zero_grad`? the rate? |

# %% [markdown] slide="subslide"
# Several faults can cause one shape. "Flat at ln K" may come from shuffled labels, or
# from a rate so high that every ReLU gives 0. So we first read the curve, then ask the
# questions. The first hundred steps tell most.

# %% slide="subslide"
print(f"{'':16}first step  lowest  last epoch  unseen digits read")
for name, (losses, watched) in curves.items():
    steps = len(losses) // len(watched)  # in an epoch
    last, share = sum(losses[-steps:]) / steps, read(models[name])
    print(f"{name:16}{losses[0]:10.2f}{min(losses):8.2f}{last:12.2f}{share:16.1%}")

# %% [markdown] slide="subslide"
# Compare "softmax twice" with the healthy run. Its accuracy, 86.4 % at scale `small`,
# could be that of a weak network. But even its lowest loss is 1.48, where the healthy
# run comes to 0.00.

# %% [markdown] slide="subslide"
# ### 10.1 Predict: four more patients
#
# The same program, another seed and rate. Each has one of these faults: `"labels
# shuffled"`, `"rate too low"`, `"softmax twice"`, `"sorted by class"`. Which is which?
# Four names, for A to D.

# %% tags=["hide-input"]
# alt: Four panels, A to D, of training and validation loss with ln 10 dotted. A is flat
# alt: at ln 10, B falls to a floor above 1.46, C jumps, D sinks slowly.
four = ("labels shuffled", "rate too low", "softmax twice", "sorted by class")
fig, axes = plt.subplots(1, 4, figsize=(7, 2.3), sharey=True)
letters = sorted(four, key=lambda name: name[::-1])  # an order that gives nothing away
for ax, letter, name in zip(axes, "ABCD", letters, strict=True):
    make, loader, settings = runs[name]
    settings = {"lr": 0.03, "epochs": 2} | settings
    draw(ax, letter, *train(make(seed=1), loader, watch=val_loader, **settings))
axes[0].set_ylabel("loss (nats)")
fig.supxlabel("epochs", fontsize=11)
fig.suptitle("Which fault drew which of these?", x=0.01, ha="left");

# %%
# solution
answer = ("labels shuffled", "softmax twice", "sorted by class", "rate too low")

# %%
check("10.1", answer)

# %% [markdown] slide="slide"
# ## Ward 1, the loss: softmax twice
#
# **Symptom**: the loss falls, but stops high. Here `forward` ends in
# `F.softmax(x, dim=1)`, a common mistake. The four questions:

# %%
checkup(doubled(), train_loader)
chart = {"softmax twice": read(models["softmax twice"])}  # for the end: all reports

# %% [markdown]
# Which of the four answers is wrong? *Which lines would you check?*

# %% [markdown] slide="subslide"
# **Find it.** Answer 4 is wrong: the network does not even learn one batch. What range
# do the outputs have, and what is the sum of a row?

# %%
images, labels = next(iter(val_loader))
with torch.no_grad():
    outputs = models["softmax twice"](images)
low, high = outputs.min().item(), outputs.max().item()
print(f"outputs from {low:.3f} to {high:.3f}; a row adds up to {outputs[0].sum():.3f}")
print(f"floor of the loss: ln(1 + 9/e) = {math.log(1 + 9 / math.e):.3f}")

# %% [markdown]
# The outputs are probabilities. `cross_entropy` applies a softmax of its own, so it
# must get **logits**: any real numbers.
#
# At best the outputs are 1 for the right class and 0 for nine others. The second
# softmax makes e / (e + 9) of this 1. So the loss cannot fall under ln(1 +
# 9/e) = 1.461.

# %% [markdown] slide="subslide"
# ### 10.2 Repair: the network
#
# This `forward` ends in a softmax. Write it right.
#
# ```python
# def forward(self, x):
#     x = self.body(x)
#     return F.softmax(x, dim=1)
# ```

# %%
class DigitReader(nn.Module):
    """(N, 1, 28, 28) -> (N, 10), for CrossEntropyLoss."""

    def __init__(self):
        super().__init__()
        self.body = TwoLayerCNN(in_channels=1, image_size=28)

    def forward(self, x):
        # solution
        return self.body(x)

# %%
check("10.2", DigitReader)

# %% [markdown] slide="slide"
# ## Squared error between logits and labels
#
# Another common mistake: `loss_function = nn.MSELoss()`, called with the network's
# output and the class numbers. **Symptom**: this.

# %% slide="skip"
def attempt(name, action):
    """Run it; print the error, if there is one, and return how it ended."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:140]}")
        return "stops"
    print(f"{name}: no error here")
    return "runs"

# %%
images, labels = next(iter(train_loader))
for n in (len(images), 10):
    batch = images[:n], labels[:n]
    attempt(f"{n} images", lambda b=batch: nn.MSELoss()(reader()(b[0]), b[1]))

# %% [markdown]
# Ten images fit by accident: PyTorch spreads the ten labels along the ten outputs. A
# student removes the error with `labels[:, None].float()`, which always fits. *The
# program runs now. What does it learn?*

# %% slide="subslide"
def squared(logits, labels):
    """What makes the error go away."""
    return F.mse_loss(logits, labels[:, None].float().expand(-1, 10))


model = reader()
losses, _ = train(model, train_loader, lr=0.01, loss_function=squared)
chart["MSE on class numbers"] = read(model)
print(f"loss from {losses[0]:.1f} to {losses[-1]:.1f}: it falls!")
print(f"{read(model):.1%} of the unseen digits are read")

# %% [markdown] slide="subslide"
# **Find it.** The loss falls, and the accuracy stays near one in ten. What does each of
# the ten outputs say?

# %%
logits, labels = predict(model, val_loader)
for digit in (1, 4, 8):
    mean = logits[labels == digit].mean(dim=0)
    print(f"images of {digit}:", *(f"{value:5.1f}" for value in mean))

# %% [markdown]
# All ten outputs give the same number, an estimate of the digit: 1.6 for images of 1,
# and 7.0 for images of 8. The largest of ten almost equal numbers is chance. This loss
# also treats class numbers as amounts: an 8 taken for a 9 costs 1, and taken for a 0 it
# costs 64.

# %% [markdown] slide="subslide"
# ### 10.3 Repair: the loss
#
# Write the loss that fits ten outputs and one class number: the mean over the batch, in
# nats.

# %%
def class_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits (N, K), labels (N,) -> one number to minimise."""
    # solution
    return F.cross_entropy(logits, labels)

# %%
check("10.3", class_loss)

# %% [markdown] slide="slide"
# ## The first loss counts the outputs
#
# Three new networks, ten classes. **Which of them was built wrongly, and how?**

# %%
images, labels = next(iter(val_loader))
loud = reader()
loud.fc.weight.data *= 30
thousand = TwoLayerCNN(1000, 1, image_size=28).to(run.device)
for name, model in {"A": reader(), "B": thousand, "C": loud}.items():
    print(name, f"{F.cross_entropy(model(images), labels).item():.2f}")
print(f"ln 10 = {math.log(10):.2f}, ln 1000 = {math.log(1000):.2f}")

# %% [markdown]
# A is right. B has 1,000 outputs: `num_classes` was not passed on. No label would ever
# use the other 990. The loss of C is far above ln 10: its weights are too large, so it
# gives wrong answers with high confidence before it has learned anything.

# %% [markdown] slide="subslide"
# A harmless fault: the `f` before a string is missing. No accuracy changes, but nobody
# can read the prediction.

# %% check=True
y_pred, y = 7, 7
print("Predicted class: {y_pred}, True label: {y}")
print(f"Predicted class: {y_pred}, True label: {y}")

# %% [markdown] slide="slide"
# ## Ward 2, the data: labels of others
#
# **Symptom**: flat at ln 10, as the fifth curve above. The four questions:

# %%
checkup(reader(), stray)
chart["labels shuffled"] = read(models["labels shuffled"])

# %% [markdown]
# All four answers are healthy. The network even learns one batch. *Why does that prove
# nothing about the labels? What would you check now?*

# %% [markdown] slide="subslide"
# **Find it.** A network learns a few wrong pairs by heart, too. So we need
# **question 5: do picture and label agree?** View them as the network gets them, from
# the loader and not from the file.

# %%
# alt: Eight digits from the loader with their labels above; most labels are wrong.
images, labels = next(iter(stray))
title = "Would you learn to read from this?"
pictures.image_grid(images[:8], labels[:8].tolist(), vmin=-0.5, vmax=3, title=title);

# %% [markdown]
# Most labels are wrong. Only a person who reads the pictures sees this. Do it before
# every first run.

# %% [markdown] slide="subslide"
# ### 10.4 Repair: the shuffle
#
# ```python
# def shuffled(images, labels):
#     images = images[torch.randperm(len(images))]
#     labels = labels[torch.randperm(len(labels))]
#     return images, labels
# ```

# %%
def shuffled(images: torch.Tensor, labels: torch.Tensor):
    """The same examples in a new random order: images (N, ...), labels (N,)."""
    # solution
    order = torch.randperm(len(images))
    return images[order], labels[order]

# %%
check("10.4", shuffled)

# %% [markdown] slide="slide"
# ## Trained on one scale, judged on another
#
# **Symptom**: training goes well, validation is poor, as if the network overfitted.
# Here the loader normalises, and validation has a helper of its own. **Guess** which of
# four wrong helpers does the most harm, and which the least.

# %%
(mean,), (std,) = digits.train.mean, digits.train.std
helpers = {  # what each does to images that are normalised already
    "as in training": lambda x: x,
    "normalised twice": lambda x: (x - mean) / std,
    "not normalised": lambda x: x * std + mean,
    "mean 0.5, std 0.5": lambda x: (x * std + mean - 0.5) / 0.5,
    "by 255 twice": lambda x: ((x * std + mean) / 255 - mean) / std,
}


def judged(model, helper):
    """What a validation with this helper reports."""
    return evaluate(model, [(helper(x), y) for x, y in val_loader]).accuracy

# %% tags=["hide-input"] slide="subslide"
# alt: Bars of the accuracy that is reported with each helper. Divided by 255 twice it
# alt: falls to about one in ten; the others lie between that and the healthy figure.
reports = {n: [judged(m, helper) for m in healthy] for n, helper in helpers.items()}
xlabel = "reported accuracy (%)"
title = "The same networks, the same digits: which helper hurts?"
plot.bars(reports, xlabel=xlabel, highlight="as in training", title=title);
for name in ("normalised twice", "by 255 twice"):
    chart[name] = (reports[name][0], sound[0])

# %% [markdown] slide="subslide"
# Dividing by 255 twice does the most harm: 11.2 % is little better than guessing.
# Almost nothing is left of the contrast, so the biases decide, and all digits look
# alike. Normalising twice does no harm that we can measure, 97.1 against 97.2 %: it
# gives more contrast, and a network with ReLU mostly scales with it.

# %% [markdown] slide="subslide"
# **Find it.** **Question 6: are training and validation alike?** Put question 1 to
# **both** loaders.

# %%
for name, helper in helpers.items():
    images = torch.cat([helper(x) for x, _ in val_loader])
    low, high = images.min().item(), images.max().item()
    moments = f"mean {images.mean():5.2f}, std {images.std():4.2f}"
    print(f"{name:17} {moments}, from {low:5.2f} to {high:.2f}")

# %% [markdown]
# Training gets the first line. No other line agrees with it, whatever the accuracy
# says. A helper that does little harm is found only by this question.

# %% [markdown] slide="subslide"
# ### 10.5 Repair: the preparation
#
# From stored bytes to what the network gets, once, with the training set's statistics.
# It must work for one channel and for three.

# %%
def prepare(images: torch.Tensor, mean: tuple, std: tuple) -> torch.Tensor:
    """uint8 (N, C, H, W), C means and deviations of values in [0, 1] -> float."""
    # solution
    mean, std = (torch.tensor(values)[:, None, None] for values in (mean, std))
    return (images.float() / 255 - mean) / std

# %%
check("10.5", prepare)

# %% [markdown] slide="slide"
# ## A flip that makes another digit
#
# Another common mistake: random flips for digits. **Symptom**: fewer digits are read
# than without, and nothing else is unusual. One number for each seed:

# %%
flipped = []
for seed in seeds:
    model = reader(seed)
    flips = {"augment": [augment.HorizontalFlip()], "shuffle": True}
    train(model, some.loader(batch_size, **flips))
    flipped.append(read(model))
for name, shares in {"plain": sound, "flipped": flipped}.items():
    print(f"{name:8}", *(f"{share:.1%}" for share in shares))
chart["flips on digits"] = flipped[0]

# %% [markdown] slide="subslide"
# **Find it.** View what the augmentation makes.

# %%
# alt: Two rows of digits, plain and mirrored. Mirrored, 2, 3, 5 and 7 are no digits any
# alt: more, or look like other ones; 0 and 8 stay what they are.
chosen = [int((unseen.labels == digit).nonzero()[0]) for digit in (0, 1, 2, 3, 5, 7, 8)]
plain = unseen.images[chosen]
both = torch.cat([plain, plain.flip(3)])
title = "Which of the mirrored ones still have their label?"
pictures.image_grid(both, columns=7, title=title);

# %% [markdown]
# The 0 and the 8 keep their label; the mirrored 2, 3, 5 and 7 do not. An augmentation
# is a claim: *this change keeps the label*. For a cat it does, for a 2 it does not
# (lecture 02).

# %% [markdown] slide="subslide"
# Another fault in the data: photos of two shapes do not fit into one batch.
# `Resize(224)` makes the **shorter** side 224 and keeps the proportions.

# %% check=True
wide, tall = torch.zeros(3, 300, 400), torch.zeros(3, 400, 300)
resize, crop = transforms.Resize(224, antialias=True), transforms.CenterCrop(224)
both = {"Resize(224)": resize, "and CenterCrop": transforms.Compose([resize, crop])}
for name, prepare_photo in both.items():
    shapes = {tuple(prepare_photo(photo).shape) for photo in (wide, tall)}
    print(f"{name:15} {sorted(shapes)} stacks: {len(shapes) == 1}")

# %% [markdown] slide="slide"
# ## Ward 3, the loop: gradients that add up
#
# **Symptom**: the loss falls for some steps; then it rises and does not come back. We
# print the mean of each tenth of two epochs, for the usual rate and for a tenth of it.

# %%
for lr in (0.05, 0.005):
    losses, _ = train(reader(), train_loader, lr=lr, zero_grad=False, epochs=2)
    tenth = len(losses) // 10
    means = [sum(losses[i : i + tenth]) / tenth for i in range(0, 10 * tenth, tenth)]
    print(f"rate {lr}:", *(f"{value:.2f}" for value in means))
chart["no zero_grad"] = read(models["no zero_grad"])

# %% [markdown]
# The smaller rate delays the rise, and does not prevent it. *Which of the questions can
# find this fault?*

# %% [markdown] slide="subslide"
# **Find it.** None so far: `checkup` has a loop of its own. **Question 7: does the same
# batch give the same gradient again**, if no step lies between?

# %%
images, labels = next(iter(train_loader))
model = reader()
for time in (1, 2, 3):
    F.cross_entropy(model(images), labels).backward()
    print(f"pass {time}: gradient {model.fc.weight.grad.norm():.3f}")

# %% [markdown]
# The gradient grows by the same amount each time: `backward` **adds** to what `.grad`
# holds. Without `zero_grad` each step follows the sum of all gradients since the
# beginning. This is momentum that never decays.

# %% [markdown] slide="subslide"
# A second fault of the loop: the scheduler steps *before* the optimizer. Which rates do
# the steps use? The plan: 0.1 in the first epoch, and half as much in each new one.
# (The line "slides" is the wrong order.)

# %%
def rates(order):
    """The learning rates of three epochs in which things happen in this order."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    used = []
    for _ in range(3):
        for name in order:
            if name == "scheduler":
                scheduler.step()
            else:
                used.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
    return used


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    print("slides:", rates(("scheduler", "optimizer")))
    print("right: ", rates(("optimizer", "scheduler")))
print("torch says:", str(said[0].message).split(". ")[0][:80])

# %% [markdown] slide="subslide"
# ### 10.6 Repair: the epoch
#
# Three things are wrong or missing here. (The scheduler counts epochs.)
#
# ```python
# def train_epoch(model, loader, optimizer, scheduler):
#     losses = []
#     scheduler.step()
#     for images, labels in loader:
#         loss = F.cross_entropy(model(images), labels)
#         loss.backward()
#         optimizer.step()
#         losses.append(loss.item())
#     return losses
# ```

# %%
def train_epoch(model, loader, optimizer, scheduler) -> list:
    """One epoch; the model may come in evaluation mode. The losses of its steps."""
    # solution
    losses = []
    model.train()
    for images, labels in loader:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    scheduler.step()
    return losses

# %%
check("10.6", train_epoch)

# %% [markdown] slide="slide"
# ## The wrong learning rate
#
# **Symptom**: any of "flat", "slow" and "rising". Check the rate first, since it can
# cause almost every curve. **Find it** by trying, in factors of 10 and not of 2.

# %%
tried = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
ends = []
for lr in tried:
    losses, _ = train(reader(), train_loader, lr=lr, epochs=1)
    last = losses[-max(1, len(losses) // 5) :]
    ends.append(min(4.0, sum(last) / len(last)))  # what is infinite stays on the chart
for name in ("rate too low", "rate too high"):
    chart[name] = read(models[name])

# %% slide="subslide"
# alt: Training loss at the end of one epoch against the learning rate, logarithmic: near
# alt: ln 10 at the smallest rates, a valley in the middle, at or above ln 10 on the right.
title = "One epoch at six rates: how wide is the valley? (4: 4 or more)"
axes = plot.band(tried, ends, xlabel="learning rate", ylabel="loss (nats)", title=title,
                 paper=math.log(10), paper_label="ln 10:")
axes.set_ylim(0, 4.2);

# %% [markdown]
# The loss falls well from 0.001 to 0.1: a factor of 100. **Question 8: which rates
# learn at all?** Take a third of the largest one that does. If none does, the fault is
# elsewhere.

# %% [markdown] slide="subslide"
# A rate that is too high can do lasting damage. Which share of the second layer's
# outputs is above 0?

# %%
images, _ = next(iter(val_loader))
for name in ("healthy", "rate too low", "rate too high"):
    with torch.no_grad():
        outputs = models[name].layer2(models[name].layer1(images))
    print(f"{name:13} {(outputs > 0).float().mean():.0%} above 0")

# %% [markdown]
# At the high rate no output is above 0. Where a ReLU gives 0 for every image, no
# gradient passes. Such a layer is *dead*: start again with new weights.

# %% [markdown] slide="slide"
# ## Ward 4, the mode: two answers to one image
#
# **Symptom**: the same network, validated again, gets another accuracy, and all are
# lower than expected. The network has dropout before its last layer. This is the code:

# %%
def validate(model, images):
    """The program's accuracy on an image set."""
    loader = images.loader(100, augment=[augment.Rotation(45)], shuffle=True)
    right = 0
    for inputs, labels in loader:
        right += (model(inputs).argmax(dim=1) == labels).sum().item()
    return right / len(images)

# %% slide="subslide"
model = reader()
model.fc = nn.Sequential(nn.Dropout(0.5), model.fc)
train(model, train_loader)
model.train()  # as the loop of the slides leaves it
reported = [validate(model, unseen) for _ in range(4)]
chart["validated with dice"] = (min(reported), read(model))
print("reported:", *(f"{share:.1%}" for share in reported))
print(f"honest:   {read(model):.1%}")

# %% [markdown]
# *Two parts of this code are random. Which?*

# %% [markdown] slide="subslide"
# **Find it.** **Question 9: is the result the same again**, and with another batch
# size? Take the suspects away one at a time.

# %%
def spread(model, loader, tries=5):
    """The range of the accuracy over some tries, in points."""
    with torch.no_grad():
        shares = [
            sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(unseen)
            for _ in range(tries)
        ]
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"


turned = unseen.loader(100, augment=[augment.Rotation(45)])
for name, loader in {"augmented": turned, "as they are": val_loader}.items():
    print(f"{name:12} train mode {spread(model.train(), loader)},"
          f" eval mode {spread(model.eval(), loader)}")

# %% [markdown]
# Dropout is random in training mode, and the rotation is random in the loader. Only
# without both does the result repeat: 97.0 %. With BatchNorm, too, `eval()` changes the
# answers (lecture 06).

# %% [markdown] slide="subslide"
# ### 10.7 Repair: the validation
#
# Write `validate` right, as `validated`. It gets an image set, of which
# `images.loader(...)` makes batches. It should not keep what only a backward pass needs.

# %%
def validated(model: nn.Module, images) -> float:
    """Fraction of right answers on an image set; the same in every call."""
    # solution
    model.eval()
    right = 0
    with torch.no_grad():
        for inputs, labels in images.loader(100):
            right += (model(inputs).argmax(dim=1) == labels).sum().item()
    return right / len(images)

# %%
check("10.7", validated)

# %% [markdown] slide="slide"
# ## Ward 5, the measure: a mean of means
#
# **Symptom**: the accuracy changes with the *batch size* of the validation. The network
# does not change. How can that be? Which of the three numbers will you believe?

# %%
def mean_of_means(model, loader):
    """The accuracy as many loops measure it."""
    with torch.no_grad():
        shares = [(model(x).argmax(1) == y).float().mean().item() for x, y in loader]
    return sum(shares) / len(shares)


n = len(unseen)
sizes = (n, n // 2, n - 1)
found = {size: mean_of_means(healthy[0], unseen.loader(size)) for size in sizes}
for size, share in found.items():
    print(f"batches of {size:4}: {share:.2%}, last batch {(n - 1) % size + 1:4}")
chart["mean of batch means"] = (found[n - 1], sound[0])

# %% [markdown]
# The first two are right: their batches are equally large. In the third, the last digit
# alone counts as much as the 999 before it.

# %% [markdown] slide="subslide"
# ### 10.8 Predict: 210 digits in three batches
#
# Batches of 100, 100 and 10; right are 90, 90 and 1. Give, in percent,
#
# - (a) what a mean of the batches' accuracies reports,
# - (b) what share of the 210 digits is read,
# - (c) what `drop_last=True` would report.

# %%
# solution
answer = ((90 + 90 + 10) / 3, 100 * 181 / 210, 90)

# %%
check("10.8", answer)

# %% [markdown]
# Count right examples and divide once. For losses: multiply each batch's mean by its
# size, add, and divide once.

# %% [markdown] slide="slide"
# ## The leaked test set
#
# **Symptom**: too good. The network is new, has few digits to learn from, and its test
# accuracy cannot be repeated on other digits. (The validation digits play the test
# set.)

# %%
n = course.pick(tiny=80, small=200, full=200)
judges, known = unseen.take(torch.arange(n)), digits.train.subset(n)
part = 3 * n // 4
mixed = replace(
    known,
    images=torch.cat([known.images, judges.images[:part]]),
    labels=torch.cat([known.labels, judges.labels[:part]]),
)
model = reader()
train(model, mixed.loader(20, shuffle=True), lr=0.02, epochs=20)
reported = evaluate(model, judges.loader(n)).accuracy
print(f"{len(mixed)} digits to learn from; {reported:.1%} of {n} test digits are read")

# %% [markdown]
# *No curve shows this fault, and no question so far finds it. What would you check?*

# %% [markdown] slide="subslide"
# **Find it.** **Question 10: how far from each test image is the nearest training
# image?** A distance of 0 is a copy.

# %%
# alt: Two rows of digits: test images above, the nearest training image below each. Some
# alt: pairs are identical, with distance 0; others differ.
shown = judges.images[n // 16 :: n // 8][:8]
apart = torch.cdist(shown.flatten(1).float() / 255, mixed.images.flatten(1) / 255)
near, nearest = apart.min(dim=1)
pairs = torch.cat([shown, mixed.images[nearest]])
titles = ["test"] * 8 + [f"{distance:.1f}" for distance in near]
title = "Test digits, and the nearest in training: how far apart?"
pictures.image_grid(pairs, titles, columns=8, title=title);

# %% slide="subslide"
others = unseen.take(torch.arange(n, len(unseen)))
honest = evaluate(model, others.loader(500)).accuracy
chart["leaked test set"] = (reported, honest)
print(f"reported {reported:.1%}; of {len(others)} other digits {honest:.1%}")

# %% [markdown] slide="subslide"
# The nearest image is the test image itself in six of eight pairs. At scale `small` the
# network reads 97.5 % of these digits, and 89.0 % of digits that did not leak. The gap
# is over five times its error.
#
# Typical leaks: photos of one patient in both sets, or augmenting first and splitting
# afterwards. A leak without copies is keeping the epoch that does best **on the test
# set** (lecture 01).

# %% [markdown] slide="subslide"
# ### 10.9 Write: the search
#
# Which test images lie in the training set, too? Return their positions in the test
# set. Equal means: every pixel.

# %%
def leaked(train_images: torch.Tensor, test_images: torch.Tensor) -> list:
    """uint8 (N, C, H, W) and (M, C, H, W) -> the positions, from 0 to M - 1."""
    # solution
    known = {image.numpy().tobytes() for image in train_images}
    return [i for i, x in enumerate(test_images) if x.numpy().tobytes() in known]

# %%
check("10.9", leaked)

# %% [markdown] slide="slide"
# ## Better on what it has never seen?
#
# In a published run the training loss of the first epochs is **worse** than the test
# loss. Is that a leak, too?

# %%
model = reader()
losses, _ = train(model, train_loader, lr=0.01, epochs=1)
after = evaluate(model, some.loader(500)).loss
print(f"training loss during the epoch {sum(losses) / len(losses):.3f}")
print(f"training loss after the epoch  {after:.3f}")
print(f"validation loss after it       {evaluate(model, val_loader).loss:.3f}")

# %% [markdown]
# No. The first number is a mean over weights that were still changing. Measured after
# the epoch, training is as good as validation. Measure both after the epoch, or say
# when each was measured (lecture 01).

# %% [markdown] slide="slide"
# ## Ward 6, the shapes: a batch that is short
#
# **Symptom**: the program runs for almost an epoch, and stops in its last step. Before
# the linear layer stands `x.view(64, -1)`: the batch size is fixed.

# %%
class Viewed(TwoLayerCNN):
    """The slides' way to flatten, with a batch size of 64."""

    def forward(self, x):
        x = self.layer2(self.layer1(x))
        return self.fc(x.view(64, -1))


viewed = Viewed(in_channels=1, image_size=28).to(run.device)
ended = attempt("an epoch", lambda: train(viewed, some.loader(64), epochs=1))
chart["view(batch_size, -1)"] = ended

# %% [markdown]
# *The message names the linear layer's product. But why 196 numbers in place of 784?
# How many images does the last batch hold?*

# %% [markdown] slide="subslide"
# **Find it.** Print the shape before each line of `forward`. `view(-1, 784)` removes
# the error, too. What does it do to larger images?

# %%
print(f"the last batch holds {len(some) % 64} images")
larger = torch.zeros(8, 16, 14, 14)  # feature maps of 8 images of 56 × 56 pixels
print("view(-1, 784):", tuple(larger.view(-1, 784).shape), "for 8 images")
attempt("flatten(1)", lambda: nn.Linear(784, 10)(torch.flatten(larger, 1)));

# %% [markdown]
# The last batch holds 16 images. `view(64, -1)` divides their 16 × 784 numbers into 64
# rows of 196.
#
# `view(-1, 784)` is no repair: it gives 32 answers to 8 images, and no error. A good
# repair **stops** where it does not fit. `torch.flatten(x, 1)` never changes the first
# axis.

# %% [markdown] slide="subslide"
# ### 10.10 Repair: the flattening
#
# It must take any number of images, and must never give more or fewer answers than
# images.
#
# ```python
# def forward(self, x):
#     x = self.features(x)
#     return self.fc(x.view(batch_size, -1))
# ```

# %%
class AnyBatch(nn.Module):
    """(N, 1, 28, 28) -> (N, 10), logits, for every N."""

    def __init__(self):
        super().__init__()
        net = TwoLayerCNN(in_channels=1, image_size=28)
        self.features = nn.Sequential(net.layer1, net.layer2)  # (N, 16, 7, 7)
        self.fc = net.fc

    def forward(self, x):
        # solution
        return self.fc(torch.flatten(self.features(x), 1))

# %%
check("10.10", AnyBatch)

# %% [markdown] slide="slide"
# ## Errors that name their place
#
# Five lines that raise an error. None of them was ever in our program: each stands
# alone here, to show a real message. **Which word of the message says what to check?**

# %%
photos = [torch.zeros(3, 224, 298), torch.zeros(3, 298, 224)]
head = nn.Linear(512 * 4 * 4, 10)
faults = {
    "Resize(224) and stack": lambda: torch.stack(photos),
    "256 channels, not 512": lambda: head(torch.zeros(1, 256 * 4 * 4)),
    "a misspelt class": lambda: eval("Bottleneck(64, 256)"),  # defined: BottleNeck
    "an old argument": lambda: transforms.RandomRotation(20, resample=2),
    "Colab's cv2_imshow": lambda: __import__("google.colab.patches"),
}
for name, fault in faults.items():
    if attempt(name, fault) == "stops":  # in Colab the last one runs
        chart[name] = "stops"

# %% [markdown] slide="subslide"
# - The two unequal sizes in the brackets: `CenterCrop(224)` is missing.
# - 4096 and 8192, that is 256 and 512 channels of 4 × 4: one list of channels is wrong.
# - The name `Bottleneck`: the class is called `BottleNeck`.
# - The argument `resample`: it is called `interpolation` today.
# - The module `google.colab`: it exists in Colab alone; matplotlib works everywhere.
#
# Such faults cost a minute. The next ones raise no error at all.

# %% [markdown] slide="slide"
# ## Silent shapes: count, do not believe
#
# Claims about the networks of the course. **True or false?** Decide before the cell
# counts.
#
# 1. VGG's first two blocks have one convolution each, in every configuration.
# 2. With C channels, three 3 × 3 layers have 27 C² weights, and one 7 × 7 has 49 C².
# 3. AlexNet's channels are printed as 64, 192, 384, 256, 256 and as 64, 128, 256, 256,
#    256. Both are one network.
# 4. A 1 × 1 convolution with stride 2 reads all of its input.

# %% check=True slide="subslide"
for name in ("A", "A-LRN", "B", "C", "D", "E"):
    convs = [sum(layer != "LRN" for layer in block) for block in CONFIGS[name][:2]]
    print(f"{name} {convs}", end="  " if name != "E" else "\n")
C = 64
small, large = (nn.Conv2d(C, C, k, bias=False).weight.numel() for k in (3, 7))
print(f"{3 * small:,} = 27 × {C}²: {3 * small == 27 * C**2}; {large:,} against it")
for channels in ((3, 64, 192, 384, 256, 256), (3, 64, 128, 256, 256, 256)):
    kernels = zip(channels, channels[1:], (11, 5, 3, 3, 3), strict=False)
    weights = sum(a * b * k * k for a, b, k in kernels)
    print(f"AlexNet {channels[1:]}: {weights:,} weights")
x = torch.ones(1, 1, 8, 8, requires_grad=True)
nn.Conv2d(1, 1, 1, stride=2)(x).sum().backward()
print(f"1 × 1, stride 2: {(x.grad != 0).float().mean():.0%} of the positions are read")

# %% [markdown] slide="subslide"
# Only claim 2 is true. One convolution a block holds for configuration A alone, with
# its LRN form. The two AlexNets have different numbers of weights. Three of four
# positions are dropped: in a bottleneck with stride, most libraries put the stride on
# the 3 × 3 (lecture 07).

# %% [markdown] slide="subslide"
# 5. `x.size() is not out.size()` is true only where shapes differ.
# 6. Two convolutions with nothing between them are together one linear map.
# 7. Adaptive pooling has stride `in // out` and one size of window.
#
# In the output, "slides' windows" are those of claim 7.

# %% check=True
torch.manual_seed(0)
same = torch.zeros(2, 64, 8, 8)
print("`is not` for one and the same tensor:", same.size() is not same.size())
two = nn.Sequential(nn.Conv2d(3, 8, 7), nn.Identity(), nn.Conv2d(8, 8, 3)).double()
a, b, nothing = torch.randn(3, 1, 3, 16, 16).double()
for bend in (nn.Identity(), nn.ReLU()):
    two[1] = bend
    linear = torch.allclose(two(a) + two(b) - two(nothing), two(a + b - nothing))
    print(f"with {type(bend).__name__:8} between them: linear, as one is: {linear}")
n, out = 10, 4
step, kernel = n // out, n - (out - 1) * (n // out)
print("slides' windows:", [(i * step, i * step + kernel) for i in range(out)])
print("torch's windows:", [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)])

# %% [markdown]
# Only claim 6 is true. `is not` compares objects, and each call of `size()` makes a new
# one: use `!=`. The windows of adaptive pooling vary, unless `out` divides `in`.

# %% [markdown] slide="subslide"
# 8. He's weights have the **variance** √(2 / n).
# 9. A residual block trains well without BatchNorm, and without a ReLU after the sum.

# %%
torch.manual_seed(run.seed)
n = 256
variances = {"variance 2/n": 2 / n, "variance √(2/n)": math.sqrt(2 / n)}
for name, variance in variances.items():
    x, std = torch.randn(64, n), math.sqrt(variance)
    for _ in range(10):
        x = (x @ torch.randn(n, n) * std).relu()
    print(f"{name:16} after ten layers: {x.std():.3g}")
x = torch.randn(64, n)
for _ in range(16):
    x = x + x.relu() @ torch.randn(n, n) * math.sqrt(2 / n)
print(f"x + F(x), no norm  after 16 blocks: {x.std():.3g}")

# %% [markdown] slide="subslide"
# Claim 8 is false: 2 / n is the variance, and its root is the standard deviation. With
# √(2 / n) as the variance, the numbers explode.
#
# **The cell does not decide claim 9.** It shows new weights only: without BatchNorm, 16
# blocks multiply the standard deviation by 184, since each adds about as much variance
# as x has. Only training can show whether the network fails, and we train none here. He
# et al. use BatchNorm after each convolution and a ReLU after the sum (lecture 07).

# %% [markdown] slide="slide"
# ## Ten questions, in this order
#
# 1. What does the network get: is the batch's mean 0, its deviation 1?
# 2. Is the first loss ln K?
# 3. Does every layer get a gradient?
# 4. Is one batch learned by heart?
# 5. Do picture and label agree, as the network gets them?
# 6. Are training and validation alike in question 1?
# 7. Does the same batch give the same gradient again?
# 8. Which rates learn at all?
# 9. Is the result the same again, and with another batch size?
# 10. How far from each test image is the nearest training image?

# %% [markdown] slide="subslide"
# `checkup` puts the first four together. Change one thing at a time, and write down
# what you expect before you run it. Ask the questions of a healthy program once: then
# you will know a wrong answer.

# %% [markdown] slide="slide"
# ## The faults, and what is right
#
# | a common mistake | right | lecture |
# |---|---|---|
# | softmax, then `CrossEntropyLoss` | return logits | 10 |
# | `MSELoss` on class numbers | cross-entropy | 10 |
# | 1,000 outputs whatever `num_classes` | pass it on | 10, 05 |
# | flips on digits | keep what keeps the label | 10, 02 |
# | `Resize(224)` alone | and `CenterCrop(224)` | 10, 09 |
# | scheduler before optimizer | after it | 10 |
# | accuracy in training mode | `eval()` | 10, 06 |
# | epochs chosen by test data | a validation set | 10, 01 |
# | `out.view(batch_size, -1)` | `torch.flatten(x, 1)` | 10 |
# | `x.size() is not out.size()` | `!=` | 10, 07 |
# | variance √(2 / n) | variance 2 / n | 10, 04 |

# %% [markdown] slide="slide"
# ## Answer
#
# Of ten faults, how many stop the program? The cell lists those that ended in an error.

# %%
chart["sorted by class"] = read(models["sorted by class"])
ran = {name: entry for name, entry in chart.items() if entry != "stops"}
pairs = {n: e if isinstance(e, tuple) else (e, e) for n, e in ran.items()}
pairs = dict(sorted(pairs.items(), key=lambda item: item[1][0]))
for name in chart:
    if name not in pairs:
        print("stopped:", name)

# %% tags=["hide-input"] slide="subslide"
# alt: For each fault that does not stop the program, the accuracy that it reports and
# alt: the one that its network has on unseen digits; some agree near 10 %, some are high
# alt: and wrong, and some networks are better than their report.
fig, ax = plt.subplots(figsize=(7, 3.6))
for i, (claimed, true) in enumerate(pairs.values()):
    ax.plot([100 * claimed, 100 * true], [i, i], color=plot.PAPER, lw=1)
    ax.plot(100 * claimed, i, "o", color=plot.VALIDATION, ms=7, fillstyle="none", mew=2)
    ax.plot(100 * true, i, "|", color=plot.TRAIN, ms=12, mew=3)
ax.axvline(100 * sound[0], ls=":", color=plot.HIGHLIGHT)
ax.text(100 * sound[0], len(pairs) - 0.3, "healthy", ha="center", color=plot.HIGHLIGHT)
ax.set_yticks(range(len(pairs)), list(pairs))
ax.set(xlabel="accuracy (%): circle reported, bar true", xlim=(0, 103))
ax.set_ylim(-0.6, len(pairs) - 0.4)
fig.suptitle("Which of these reports would have made you doubt?", x=0.01, ha="left");

# %% slide="subslide"
stops = len(chart) - len(pairs)
calm = sum(claimed > 0.5 for claimed, _ in pairs.values())
share = f"{10 * stops / len(chart):.0f} of ten"
print(f"{stops} of {len(chart)} faults stop the program, {share};")
print(f"{calm} of the {len(pairs)} others report more than half of the digits")
found = f"{stops} stop the program, {len(pairs)} run through, {calm} of them"
of = f"over 50 % ({digits.test.name})"
run.headline(f"{len(chart)} planted faults: {found} with a report of {of}")

# %% [markdown] slide="subslide"
# **Read this count with care.** Of the six that stop, only `view(batch_size, -1)` was
# in our program. The other five were single lines that we wrote to see their messages.
# Of the 14 faults that we did plant, **one** stops: fewer than one in ten. We chose
# these faults ourselves, so this is no share for programs in general.
#
# At scale `small`, seven of the thirteen others report more than half of the digits.
# Two of these reports are better than the network: the leaked test set and the mean of
# batch means. A fault without an error is found by a question with a known answer.

# %% [markdown] slide="slide"
# ## Exercises
#
# 10.1 to 10.10 stand above. One is left, without any hint.

# %% [markdown] slide="subslide"
# ### 10.11 Investigate: four closed boxes
#
# `patient("A", some)` gives a new network and its loader; there are A, B, C and D. Each
# has one of these: `"labels of other images"`, `"softmax in the network"`,
# `"a layer gets no gradient"`, or `"healthy"`. Use `checkup`, and view the data; do not
# open the source. Answer with four names, for A to D.

# %%
# solution
for letter in "ABCD":
    print(letter)
    checkup(*patient(letter, some))
print("labels of A:", next(iter(patient("A", some)[1]))[1][:8].tolist())  # and look
boxes = ("labels of other images", "a layer gets no gradient", "healthy",
         "softmax in the network")

# %%
check("10.11", boxes)

# %% [markdown]
# **Explain:** why can the box with the softmax not learn one batch by heart? Then build
# a box for your neighbour: a fault of one line that all ten questions overlook. Which
# question would find it?

# %% [markdown] solution=True
# The loss takes the softmax's outputs, between 0 and 1, for logits. Its own softmax
# then gives the right class at most e / (e + 9). So the loss cannot fall under 1.461
# (10.2 repairs it).
#
# Faults to overlook: a `weight_decay` of 1; a padding that cuts the image's border off;
# training data without one class. For the last one, ask how many of each label are in
# an epoch. For all of them: compare with a program that is known to work, and exchange
# their parts one at a time.

# %% slide="skip"
check.progress("10")

# %% [markdown] slide="slide"
# ## Recap
#
# - A loss curve is flat, slow, rising, jumping, or stops above 0. Several faults can
#   cause each shape. The first hundred steps tell most.
# - Ten questions have known answers: the first loss is ln K, one batch is learned by
#   heart. Ask them before a long run.
# - Of our 14 planted faults, one raised an error. Read pictures and labels yourself;
#   measure twice; count examples, not batches.
# - A repair is proven by what the program does. A change that only removes an error may
#   hide the fault.

# %% [markdown] slide="skip"
# ## References
#
# - A. Karpathy: *A Recipe for Training Neural Networks*, blog post, 2019: the first
#   loss, one batch by heart, and looking at the data right before the network.
# - I. Goodfellow, Y. Bengio, A. Courville: *Deep Learning*, MIT Press 2016, section
#   11.5, "Debugging Strategies".
# - K. He, X. Zhang, S. Ren, J. Sun: *Delving Deep into Rectifiers*, ICCV 2015 (variance
#   2 / n); *Deep Residual Learning for Image Recognition*, CVPR 2016 (Fig. 2 and 5).
# - MNIST: Y. LeCun, C. Cortes, C. Burges; made of NIST's Special Databases 1 and 3.
#   Licence CC BY-SA 3.0.
# - At scale `tiny`: the digits of scikit-learn (E. Alpaydin, C. Kaynak, UCI, CC BY
#   4.0).

# %% slide="only" name="patient"
# alt: The program: digits, prepare, network, loss, step, and the report on unseen digits.
from teaching import blocks

parts = [("input", "digits"), ("input", "prepare:|mean 0, std 1"), ("conv", "network:|logits")]
parts += [("linear", "loss"), ("pool", "gradient,|step"), ("input", "report,|eval()")]
drawn = blocks.chain(70, parts)[0]
blocks.Diagram(drawn, blocks.WIDTH, 140, "digits, prepare, network, loss, gradient and step, report")

# %% slide="only" name="curves"
# alt: Sketches of six loss curves: falling, flat at 2.3, stopped half way, rising after a
# alt: fall, jumping, and falling to zero at once.
import matplotlib.pyplot as plt
import torch

t = torch.linspace(0, 1, 100)
noise = torch.randn(100, generator=torch.Generator().manual_seed(0))
shapes = {"healthy": 2.3 * torch.exp(-5 * t) + 0.1, "flat": 2.3 + 0.02 * noise}
shapes |= {"half way": 0.84 * torch.exp(-6 * t) + 1.46, "turns up": 2.3 * torch.exp(-7 * t) + 1.6 * t**2}
shapes |= {"jumps": 1.2 + 0.5 * noise.abs(), "zero at once": 2.3 * torch.exp(-60 * t)}
figure, axes = plt.subplots(2, 3, figsize=(7, 3.1), sharex=True, sharey=True)
for ax, (name, y) in zip(axes.flat, shapes.items(), strict=True):
    ax.plot(t, y)
    ax.axhline(2.303, ls=":", color="#666666")
    ax.set_title(name, fontsize=11)
    ax.set(ylim=(-0.1, 2.9), xticks=[])
axes[0, 0].set_ylabel("loss (nats)")

# %% [markdown] slide="only" part="The patient"
# # The bug clinic: it runs, and it is wrong
#
# ![](run:patient)
#
# Note: 1 min. After the hour they can name ten questions that find silent faults, and in
# which order to ask them. Everybody has had one of today's patients.

# %% [markdown] slide="only"
# ## Most faults do not stop the program
#
# ### We plant 24 faults in a program of 40 lines. How many raise an error?
#
# . . .
#
# Write down a number.
#
# Note: 2 min. Most say 15. The answer comes at the end; the notebook counts it. An error
# is a friend: it names a line.

# %% [markdown] slide="only"
# ## The whole program, and where each fault may sit
#
# ![](run:patient)
#
# Note: 2 min. Walk through it once: what is each part for? Then let each row of students
# name one thing that could be wrong in one part.

# %% [markdown] slide="only" part="Questions"
# ## Four questions with known answers
#
# | question | a healthy answer |
# |---|---|
# | 1. What is the first loss? | ln 10 = 2.303 nats |
# | 2. Are the inputs right? | mean 0, deviation 1 |
# | 3. Does every weight get a gradient? | yes |
# | 4. Can it learn 20 digits by heart? | yes, to nearly 0 |
#
# Note: 3 min. Each takes a minute. Ask why the first is known: equal scores for ten
# classes. The fourth is the strongest: it tests the whole loop.

# %% [markdown] slide="only"
# ## Read a loss curve like a doctor
#
# ![](run:curves)
#
# Note: 3 min. Sketches, not runs; dotted: guessing. Let them give a cause for each: rate
# too large or labels shuffled, softmax twice, overfitting, batches sorted, labels in the
# input.

# %% [markdown] slide="only" part="Patients"
# ## The loss stops at 1.46
#
# ```python
# def forward(self, x):
#     return self.fc(self.features(x)).softmax(dim=1)
# ...
# loss = F.cross_entropy(model(images), labels)
# ```
#
# ### What is wrong, and why 1.46?
#
# . . .
#
# Softmax **twice**. Best is one 1 and nine 0: ln(1 + 9/e) = 1.46. Return logits.
#
# Note: 2.5 min. It learns, so nobody looks. Question: in which range are the outputs?
# Compute the 1.46 on the board.

# %% [markdown] slide="only"
# ## The loss falls, and nothing is read
#
# ```python
# for images, labels in loader:
#     loss = F.cross_entropy(model(images), labels)
#     loss.backward()
#     optimizer.step()
# ```
#
# ### What is missing?
#
# . . .
#
# `optimizer.zero_grad()`: gradients of all past steps are added.
#
# Note: 2 min. Like momentum that never fades. Small rates hide it for a while. Question 4
# finds it.

# %% [markdown] slide="only"
# ## Flat at 2.303, and every part looks healthy
#
# ```python
# order = torch.randperm(len(images))
# images, labels = images[order], labels[torch.randperm(len(labels))]
# ```
#
# ### Which question finds it?
#
# . . .
#
# **Look at them:** show ten images with their labels. Labels and images were shuffled
# apart.
#
# Note: 2.5 min. A network can even learn 20 wrong pairs by heart, so question 4 says
# healthy. Question 5: look at the data, as the network gets it.

# %% [markdown] slide="only"
# ## Good in training, bad in the report
#
# ```python
# def prepare(images):            # in training
#     return (images / 255 - 0.13) / 0.31
# def report(model, images):
#     return model((images - 0.13) / 0.31).argmax(1)
# ```
#
# ### Is it overfitting?
#
# . . .
#
# No: the report forgets `/ 255`. One function for both.
#
# Note: 2 min. Expect "overfitting". Test: report on the *training* digits; if that is bad
# too, it is the report.

# %% [markdown] slide="only"
# ## The best report of all
#
# ### 100 % on unseen digits. Are you happy?
#
# . . .
#
# Ask: **how good is it without the images?** Black images, and still 100 %: the label is
# in the input.
#
# Note: 2.5 min. Leaks come as file names, sorted folders, dates in a corner. A result that
# is too good is a symptom.

# %% [markdown] slide="only"
# ## Another number each time
#
# The report runs under `torch.no_grad()`, right after training.
#
# ### Same network, same digits, another accuracy. What is it?
#
# . . .
#
# Dropout is active. `no_grad()` is not `eval()`.
#
# Note: 2 min. Ask the pair: what does each do? One stops recording, the other changes the
# layers. Question 9: report twice.

# %% [markdown] slide="only"
# ## The number depends on the batch size
#
# ### Accuracy with batches of 64 and of 100 differs. Two suspects?
#
# . . .
#
# 1. BatchNorm in training mode: neighbours decide.
# 2. A mean of batch means: the last, smaller batch weighs too much.
#
# . . .
#
# Count right answers, divide **once**.
#
# Note: 2 min. For the second, compute: 100 and 10 photos, 90 and 50 percent right. The
# mean of means is 70; right is 86.4.

# %% [markdown] slide="only"
# ## A little too good, and nobody can repeat it
#
# The program trains ten networks, and reports the best test accuracy.
#
# ### What is wrong with this report?
#
# . . .
#
# The test set **chose**. Choose by validation, test once.
#
# Note: 2 min. Lecture 01 measured it: the best of 32 reports luck. Ask how many of them
# have done it.

# %% [markdown] slide="only"
# ## Does an answer depend on its own image alone?
#
# ```python
# x = self.features(x).permute(1, 2, 3, 0)
# return self.fc(x.reshape(-1, 784))
# ```
#
# ### No error. What has happened to the images?
#
# . . .
#
# They are mixed. Ask autograd: the gradient of answer 0 by image 1 must be **0**.
#
# Note: 2.5 min. reshape and view keep the count, not the meaning. One line of autograd
# finds it: question 7.

# %% [markdown] slide="only"
# ## It stops in the last step
#
# ```python
# def forward(self, x):
#     x = self.features(x)
#     return self.fc(x.view(batch_size, -1))
# ```
#
# ### Why only there? And what is wrong with `view(-1, 784)`?
#
# . . .
#
# The last batch is shorter. `view(-1, 784)` gives 32 answers for 8 larger images, without
# an error. Use `torch.flatten(x, 1)`.
#
# Note: 2 min. A good repair stops where it does not fit. Let them say what flatten keeps:
# the first axis.

# %% [markdown] slide="only"
# ## The memory grows, hour by hour
#
# `losses.append(loss)`
#
# ### Every number is right. What fills the memory?
#
# . . .
#
# Each loss keeps its graph, with all activations. `loss.item()`, or `loss.detach()`.
#
# Note: 2 min. No question about numbers finds this one: it changes none. Watch the memory,
# or ask what each kept object holds.

# %% [markdown] slide="only" part="The order"
# ## Cheap and sharp first, strong and dear last
#
# | ask first | ask then |
# |---|---|
# | first loss, inputs, gradients | 20 digits by heart |
# | look at images and labels | without the images |
# | report twice, other batch size | train anew with other seeds |
#
# Note: 2 min. Left: a minute each, and they nearly name the line. Right: they say *that*
# something is wrong. The notebook counts which fault each finds.

# %% [markdown] slide="only"
# ## Of 24 planted faults, how many stopped the program?
#
# > **{{ said(r"(\d+) stop the program") }}** stop with an error
#
# > **{{ said(r"stop the program, (\d+) run through") }}** run through
#
# > **{{ said(r"run through, (\d+) of them") }}** of these report over 50 %
#
# Note: 2 min. Compare with the numbers written down. We chose the faults, so this is no
# share for programs in general; but look at the third number.

# %% [markdown] slide="only"
# ## Four sentences to take home
#
# - It runs is no evidence; nor is a falling loss.
# - First loss, inputs, gradients, 20 digits by heart: four minutes.
# - Look at what the network gets, with its labels.
# - A number that is too good is a symptom.
#
# Note: 2 min. Cover it, and let four students say one each. Ask which patient was theirs.

# %% [markdown] slide="only"
# ## For home: the game
#
# - **10.8** Repair the flattening, for any number of images.
# - **The game:** an unknown fault; each question costs minutes. Name it for the smallest
#   bill.
#
# Note: 1 min. Play one round together if there is time: the class votes for each question.
