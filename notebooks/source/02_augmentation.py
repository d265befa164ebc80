# %% [markdown] slide="slide"
# # Augmentation: new views of the same images
#
# Labels are expensive. We make new images out of old ones, and measure which changes keep
# the label and what they bring.
#
# *Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
# Networks. NeurIPS, 2012, section 4.1.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. say which augmentations keep the label of a task, and test the claim;
# 2. write a crop and a flip for a whole batch, with its own draw for each example;
# 3. measure what augmentation brings over seeds, and say when it costs accuracy;
# 4. mix two images and their labels, and compute the loss by hand.
#
# A run takes 15 seconds at scale `tiny`, three to eight minutes at `small` on a laptop.
# The text speaks of outputs at `small`; another processor gives slightly different ones.

# %% [markdown] slide="slide"
# ## Question
#
# We have 500 labelled photographs, 50 of each class. A small network soon knows them
# by heart, and still fails on most new ones.
#
# **We change each photograph at random in every epoch, without any new label. How
# many points of accuracy does this bring?** (From 40 to 41 % is one point.)
#
# *Guess: 0, 2, 6 or 20?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from teaching import check, diagrams
from utils import augment, course, data, look, pictures, plot
from utils.models import LeNet5
from utils.models.small import conv_pool
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
digits, photos = data.mnist(), data.cifar10()
seeds = range(course.pick(tiny=2, small=3, full=3))

# %% [markdown] slide="slide"
# ## The idea: an augmentation is a claim
#
# An augmentation changes an image at random and keeps its label. So it claims: *whoever
# labelled the image would give the changed one the same label*. Here are two claims about a
# 7. Are both true?

# %% tags=["hide-input"]
seven = ["●●●●", "   ●", "  ● ", " ●  ", " ●  "]
places = {"a 7": (1, 1, 1), "moved: a 7?": (0, 2, 1), "mirrored: a 7?": (1, 1, -1)}
chosen = []
for label, (top, left, step) in places.items():
    cells = [[None] * 6 for _ in range(7)]
    for row, text in enumerate(seven):
        for column, mark in enumerate(text[::step]):
            cells[top + row][left + column] = None if mark == " " else mark
    chosen.append(diagrams.grid(cells, label=label, alt=label))
diagrams.beside(
    *(chosen[0], "draw: 1 up, 1 right →", chosen[1]),
    *("draw: mirror →", chosen[2]),
    alt="A seven made of cells. Moved by one cell up and one to the right it is a seven"
    " still; mirrored it is no digit.",
)

# %% [markdown]
# The first is true for all digits. The second is true for a horse, and false for a 7. The
# network believes both: where we are wrong, it learns our mistake.

# %% [markdown] slide="slide"
# ## Five views of one digit
#
# Many tutorials enlarge a digit to 224 × 224 pixels, change its colours a little
# (*colour jitter*), mirror it or not, and turn it by up to 20°. Which would you
# accept?

# %%
# alt: A handwritten five, five times: each rotated by another angle, some of them
# alt: mirrored.
jitter = augment.ColorJitter(hue=0.05, saturation=0.05)
five = digits.train.images[digits.train.labels == 5][:1].float() / 255
views = F.interpolate(five, size=(224, 224), mode="bilinear").expand(5, -1, -1, -1)
generator = torch.Generator().manual_seed(0)
for change in (jitter, augment.HorizontalFlip(), augment.Rotation(20)):
    views = change(views, generator)
pictures.image_grid(views, columns=5, title="Which of these 5s would you accept?");

# %% [markdown] slide="subslide"
# Two are mirrored, and look like a 2; the turns are fine. **And the colour jitter?**
# It changes hue, an angle on the colour circle, and saturation, the distance from
# grey. How much can a grey pixel change?

# %%
grey = digits.train.images[:64].expand(-1, 3, -1, -1)  # grey, as three equal channels
for name, images in {"digits": grey, "photos": photos.train.images[:64]}.items():
    change = jitter(images, generator) - images / 255
    print(f"{name}: at most {255 * change.abs().max():.1f} of 255 grey levels")

# %% [markdown]
# Not at all: at saturation 0 no turn of the hue changes it. The larger size adds nothing
# new either.

# %% [markdown] slide="subslide"
# **Mirrors and large turns.** Below each digit is its mirror image, then the digit turned
# by 180°. Which would you still label alike?

# %%
# alt: The ten digits in three rows: as they are, mirrored, and turned by 180 degrees.
# alt: Mirrored, 0, 1 and 8 stay digits. Turned, 6 and 9 change places.
first = [int((digits.train.labels == d).nonzero()[0]) for d in range(10)]
ten = digits.train.images[first]
rows = torch.cat([ten, ten.flip(3), ten.flip(2, 3)])
titles = [f"digit {d}" for d in range(10)] + ["mirrored"] * 10 + ["turned"] * 10
pictures.image_grid(rows, titles, columns=10, title="Which ones keep their label?");

# %% [markdown]
# In the mirror 0, 1 and 8 keep their label, after a half turn these and often 2 and 5.
# But a turned 9 is a 6 with the label 9.

# %% [markdown] slide="slide"
# ## Six augmentations, ten views of each
#
# **Three move pixels**, by up to 4 places or 20°; black comes in at the border. Would
# you refuse any view?

# %% tags=["hide-input"]
def show_draws(changes, photo, title, draws=10):
    """A row for each augmentation: its name, the photo, what its draws make of it."""
    size = (7, 0.55 * len(changes) + 0.5)
    fig, axes = plt.subplots(len(changes), draws + 1, figsize=size)
    fig.get_layout_engine().set(w_pad=0.01, h_pad=0.02, wspace=0, hspace=0)
    generator = torch.Generator().manual_seed(0)
    for row, (name, change) in zip(axes, changes.items(), strict=True):
        views = change(photo.expand(draws, -1, -1, -1), generator)
        views = views if views.is_floating_point() else views / 255
        for ax, view in zip(row, [photo / 255, *views], strict=True):
            ax.imshow(view.permute(1, 2, 0).clamp(0, 1))
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
    axes[0, 0].set_title("original", fontsize=10)
    fig.suptitle(title, x=0.01, ha="left")
    return fig

# %%
# alt: A photograph in three rows of ten views: cropped at ten places with black borders,
# alt: mirrored in about half of them, rotated by up to 20 degrees.
horse = photos.classes.index("horse")
photo = photos.train.images[photos.train.labels == horse][15]
changes = {
    "RandomCrop(4)": augment.RandomCrop(4),
    "HorizontalFlip()": augment.HorizontalFlip(),
    "Rotation(20)": augment.Rotation(20),
}
show_draws(changes, photo, "Cropped, mirrored, turned: would you refuse any?");

# %% [markdown] slide="subslide"
# None: each shows a horse. **Three more throw something away.** What is it in each
# row? (The crop keeps 30 to 100 % of the area.)

# %%
# alt: The same photograph in three rows: parts of it enlarged, in other brightness and
# alt: colours, and with a black square at ten places.
changes = {
    "RandomResizedCrop()": augment.RandomResizedCrop(scale=(0.3, 1)),
    "ColorJitter(...)": augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "Cutout(12)": augment.Cutout(12),
}
show_draws(changes, photo, "Each row has lost something: what?");

# %% [markdown]
# The surroundings, the true colours, a part of the horse. Where the person who labels
# would hesitate, the label begins to be wrong.

# %% [markdown] slide="slide"
# ## Which ones keep a digit's label?
#
# LeNet-5 learns digits as they are. Then it reads validation digits that we change.

# %%
def train_digits(n, epochs, changes=(), seed=0):
    """LeNet-5 after `epochs` passes over `n` digits, each changed anew every time."""
    torch.manual_seed(seed)
    model, few = LeNet5(), digits.train.subset(n, seed=seed)
    loader = few.loader(min(50, n // 5), augment=changes, shuffle=True, seed=seed)
    settings = {"optimizer": "adam", "lr": 0.003, "schedule": "onecycle"}
    fit(model, loader, epochs=epochs, **settings, progress=False)
    return model


many_digits = course.pick(tiny=(1200, 4), small=(12_000, 4), full=(54_000, 6))
upright = train_digits(*many_digits)

# %% [markdown] slide="subslide"
# We change them in eleven ways. Which three cost the most accuracy?

# %%
def turned(degrees):
    """Turn all images by one angle, where `Rotation` draws one for each."""
    turn = augment.Rotation(180)
    return lambda x, _: turn.apply(x, x.new_full((len(x),), degrees, dtype=torch.float))


def accuracy(model, changes):
    """Fraction of the validation digits that the model reads when they are changed."""
    loader = digits.val.subset(2000).loader(500, augment=changes)
    return evaluate(model, loader).accuracy

# %%
tests = {"as they are": (), "mirrored": (augment.HorizontalFlip(p=1),)}
tests |= {f"turned by {d}°": (turned(d),) for d in (15, 30, 90, 180)}
tests |= {f"moved by up to {p}": (augment.RandomCrop(p),) for p in (2, 4)}
tests["brightness ± 50 %"] = (augment.ColorJitter(brightness=0.5),)
tests["contrast ± 50 %"] = (augment.ColorJitter(contrast=0.5),)
tests |= {f"{side} × {side} covered": (augment.Cutout(side),) for side in (8, 14)}
read = {name: accuracy(upright, changes) for name, changes in tests.items()}

# %%
# alt: Bars: accuracy on validation digits as they are and changed in eleven ways.
# alt: Brightness and contrast cost nothing, a turn by 90 degrees nearly everything.
low = min(read, key=read.get)
title = f"Trained on upright digits, LeNet-5 reads {read[low]:.0%} of those {low}"
plot.bars(read, highlight="as they are", title=title);

# %% [markdown]
# The turns by 90° and 180° and the move by 4 pixels. Two reasons are possible:
#
# - *The label changed*: after half a turn a 6 is a 9. Then the augmentation does harm.
# - *The network has never seen such a digit*: a 7 that is moved, or lies on its side,
#   is still a 7. Then the augmentation is the remedy.

# %% [markdown] slide="slide"
# ## Never seen, or another digit?
#
# **First**, we read the wrong answers. All digits are turned by 180°. Where do the
# sixes and the nines go?

# %%
# alt: Table of true digits against what is read after half a turn. Most sixes are read
# alt: as nine and most nines as six; ones and, in part, zeros and eights stay.
half_turn = digits.val.loader(500, augment=tests["turned by 180°"])
logits, labels = predict(upright, half_turn)
share = (logits[labels == 6].argmax(dim=1) == 9).float().mean()
title = f"After half a turn {share:.0%} of the sixes are read as 9"
pictures.confusion(logits, labels, digits.classes, title=title);

# %% [markdown]
# 71 % of the sixes are read as 9, 75 % of the nines as 6: our label is wrong. But 84 % of
# the sevens are read as 6, too, and a turned 7 is no 6. So wrong answers alone do not
# prove that a label changed.

# %% [markdown] slide="subslide"
# **Second, train with the change and measure again**, on changed digits and on digits
# as they are. What should each column show if the claim is true? (*Turns by 180°*: by
# any angle up to it. *Turned by 180°*: by half a turn.)

# %%
claims = {
    "moves by 4": augment.RandomCrop(4),
    "mirrors": augment.HorizontalFlip(),
    "turns by 180°": augment.Rotation(180),
}
learned = {"nothing": upright}
learned |= {name: train_digits(*many_digits, (claims[name],)) for name in claims}

# %%
asked = ("as they are", "moved by up to 4", "mirrored", "turned by 180°")
print(f"{'trained with':16}" + "".join(f"{name:>18}" for name in asked))
for name, model in learned.items():
    rights = [accuracy(model, tests[test]) for test in asked]
    print(f"{name:16}" + "".join(f"{right:18.1%}" for right in rights))

# %% [markdown]
# On the changed digits the accuracy comes back for all three, for mirrors from 50.0 to
# 95.3 %: a network can learn a false claim, too. So look at the first column.
#
# **A fall there is a warning: the claim is false, or the task too hard for this
# training.** Mirrors cost 2.4 points, turns 11.9. With 2,000 digits these differences have
# standard errors of 0.6 and 0.9, so both are more than chance in the digits. The 0.9 points
# for moves are not (error 0.5). One network each: another seed would add to the errors.

# %% [markdown] slide="subslide"
# **Third, the confusions tell which.** A half turn exchanges 6 and 9, a mirror 2 and
# 5. Are these confused on upright digits?

# %%
pairs = [(6, 9), (9, 6), (2, 5), (5, 2)]
print(f"{'trained with':16}" + "".join(f"   {a} read as {b}" for a, b in pairs))
for name, model in learned.items():
    logits, labels = predict(model, digits.val.loader(500))
    shares = [(logits.argmax(1)[labels == a] == b).float().mean() for a, b in pairs]
    print(f"{name:16}" + "".join(f"{share:14.1%}" for share in shares))

# %% [markdown]
# With turns 10.0 % of the sixes are read as 9: **a false claim**. More training cannot
# repair it: a 6 and a turned 9 can be the same image, with two labels. Mirrors do this to
# 2 and 5, moves to none.
#
# But both errors together make 1.8 of the 11.9 points, as 6 and 9 are two of ten classes.
# Most of the rest is probably the other cause: digits in every direction are **too hard**
# for four epochs.

# %% [markdown] slide="slide"
# ## New digits, few labels
#
# We train on 500 digits with one augmentation at a time, and read new digits *as they
# come*. Which one helps most?

# %%
few_digits = course.pick(tiny=(100, 8), small=(500, 40), full=(500, 80))
claims = {
    "none": (),
    "moves by 2": (augment.RandomCrop(2),),
    "turns by 15°": (augment.Rotation(15),),
    "mirrors": (augment.HorizontalFlip(),),
    "turns by 180°": (augment.Rotation(180),),
}
read, val = {}, digits.val.loader(500)
for name, changes in claims.items():
    models = [train_digits(*few_digits, changes, seed) for seed in seeds]
    read[name] = [evaluate(model, val).accuracy for model in models]

# %% slide="subslide"
# alt: Bars with whiskers over seeds: validation accuracy after training on few digits.
# alt: Moves and small turns lie above no augmentation, mirrors and large turns below it.
gain = 100 * (sum(read["moves by 2"]) - sum(read["none"])) / len(seeds)
title = f"{few_digits[0]} labelled digits: moving them brings {gain:+.1f} points"
plot.bars(read, highlight="none", title=title);

# %% [markdown]
# Moves by 2 pixels: +4.0 points, more than the seeds differ (whiskers: lowest and highest
# seed). A change helps if it keeps the label *and* new digits differ in it, as in where a
# stroke stands.

# %% [markdown] slide="slide"
# ## Build: a random crop is one of many windows
#
# Pad the image by p pixels on each side, then take a window of the old size. Here is one,
# for a 6 × 6 image with p = 1. How many are there?

# %% check=True
image = torch.arange(1, 37).view(1, 1, 6, 6)
label = "crop at row 0, column 1"
diagrams.grid(image[0, 0], padding=1, window=(0, 1, 6, 6), label=label)

# %% [markdown] slide="subslide"
# The padded side is 8. A window of 6 fits at 8 − 6 + 1 = 3 rows and 3 columns: 9 windows.
# `unfold(dimension, size, step)` gives all windows along one dimension, without copying a
# pixel; the window becomes a new last dimension.

# %% check=True
padded = F.pad(image, [1] * 4)  # (1, 1, 8, 8)
windows = padded.unfold(2, 6, 1).unfold(3, 6, 1)  # (N, C, row, column, H, W)
print(tuple(padded.shape), "->", tuple(windows.shape))
print("same memory:", windows.data_ptr() == padded.data_ptr())
windows[0, 0, 0, 1]

# %% [markdown]
# The first row of this window is padding, its first column is not. So the image has moved
# *down by one*.

# %% [markdown] slide="subslide"
# Each example takes its own window: in `windows[torch.arange(n), :, top, left]` three
# tensors of n numbers name example, row and column; C, H and W stay whole. And `rand`
# times 2p + 1, cut by `.long()`, is a whole number from 0 to 2p.

# %%
def random_crop(images, generator, padding=4):
    """Each example's own window; (N, C, H, W) -> (N, C, H, W)."""
    n, _, height, width = images.shape
    windows = F.pad(images, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)
    draws = torch.rand(n, 2, generator=generator) * (2 * padding + 1)
    top, left = draws.long().unbind(1)  # (N,) each
    return windows[torch.arange(n), :, top, left]


def horizontal_flip(images, generator, p=0.5):
    """Each example's own coin; (N, C, H, W) -> (N, C, H, W)."""
    mirrored = torch.rand(len(images), generator=generator) < p
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)

# %% [markdown] slide="subslide"
# With the same random numbers they equal the course's classes:

# %% check=True
batch = torch.arange(8 * 3 * 32 * 32).view(8, 3, 32, 32).to(torch.uint8)
theirs = {random_crop: augment.RandomCrop(4), horizontal_flip: augment.HorizontalFlip()}
for ours in theirs:
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    result = ours(batch, generators[0])
    assert torch.equal(result, theirs[ours](batch, generators[1]))
    print(ours.__name__, tuple(batch.shape), "->", tuple(result.shape), result.dtype)

# %% [markdown] slide="subslide"
# The loader draws again in each epoch. Validation images stay as they are, like the images
# to come.

# %%
# alt: Eight photographs, and below them the same eight in the next epoch: cropped and
# alt: mirrored in another way.
crop, flip = augment.RandomCrop(4), augment.HorizontalFlip()
crop_flip = (crop, flip)
loader = photos.train.subset(8).raw().loader(8, augment=crop_flip)
epochs = [next(iter(loader))[0].cpu() for _ in range(2)]
titles = [f"epoch {epoch + 1}" for epoch in range(2) for _ in range(8)]
title = "The same eight labels, new draws in each epoch"
pictures.image_grid(torch.cat(epochs), titles, title=title);

# %% [markdown] slide="slide"
# ## Assemble: a small network for photographs
#
# Three blocks of lecture 00 (convolution, ReLU, pooling). Why does the last line say
# `4 * 4`?

# %%
def small_cnn(width=16):
    """Blocks of `width`, 2 `width` and 4 `width` channels, then a linear layer."""
    blocks = [conv_pool(3, width), conv_pool(width, 2 * width)]
    blocks += [conv_pool(2 * width, 4 * width), nn.Flatten()]
    return nn.Sequential(*blocks, nn.Linear(4 * width * 4 * 4, 10))

# %% check=True
look.shape_table(small_cnn(), (3, 32, 32), depth=1)

# %% [markdown]
# Three poolings halve 32 to 4: 64 × 4 × 4 = 1,024 numbers.

# %% [markdown] slide="slide"
# ## Train: equal exposures, few or many images
#
# One image shown to the network once is one *exposure*. **Each network gets the same
# number of exposures**: it sees 500 photographs often, or 8,000 seldom. **Predict** both
# gains of crop and flip.

# %%
exposures = course.pick(tiny=600, small=32_000, full=320_000)
sizes = course.pick(tiny=(20, 500), small=(500, 8000), full=(500, 8000, 45_000))
few, many = sizes[0], sizes[-1]
width = course.pick(tiny=8, small=16, full=64)
batch_size = course.pick(tiny=20, small=50, full=100)
watched = photos.val.subset(course.pick(tiny=100, small=500, full=2000))
recipes = {"as they are": (), "crop and flip": crop_flip}

# %% [markdown] slide="subslide"
# `keep_best=False` keeps the last epoch's weights: the validation set chooses
# nothing, and stays a fair judge.

# %%
def train_cnn(n, changes, seed, exposures=exposures, **more):
    """A network trained on `n` photographs, with its history."""
    torch.manual_seed(seed)
    model, some = small_cnn(width), photos.train.subset(n, seed=seed)
    loader = some.loader(batch_size, augment=changes, shuffle=True, seed=seed)
    val = watched.loader(500) if seed == 0 else None
    settings = {"optimizer": "adam", "lr": 0.003, "schedule": "onecycle"}
    settings |= {"keep_best": False, "progress": False, **more}
    return model, fit(model, loader, val, epochs=exposures // n, **settings)


def accuracies(trained):
    """Accuracy of each seed's network on all validation photographs."""
    val = photos.val.loader(500)
    return [evaluate(model, val).accuracy for model, _ in trained]

# %%
trained = {
    (name, n): [train_cnn(n, changes, seed) for seed in seeds]
    for name, changes in recipes.items()
    for n in sizes
}
rights = {name: [accuracies(trained[name, n]) for n in sizes] for name in recipes}

# %% slide="subslide"
# alt: Validation accuracy against the number of training photographs, with a band over
# alt: seeds, as they are and with crop and flip. With few photographs the second line is
# alt: above the first, with many below it.
lines = {name: torch.tensor(values).T for name, values in rights.items()}
gains = 100 * (lines["crop and flip"] - lines["as they are"]).mean(dim=0)
title = f"Crop and flip bring {gains[0]:+.1f} points with {few:,} photographs,"
title += f" {gains[-1]:+.1f} with {many:,}"
plot.band(sizes, lines, title=title);

# %% [markdown] slide="subslide"
# A gain with 500, a loss with 8,000. Percent right, mean and standard deviation over seeds:

# %%
print("photographs   exposures of each   as they are   crop and flip   gain")
for i, n in enumerate(sizes):
    plain, augmented = (torch.tensor(rights[name][i]) for name in recipes)
    line = [f"{100 * x.mean():.1f} ± {100 * x.std():.1f}" for x in (plain, augmented)]
    gain = 100 * (augmented - plain).mean()
    each = exposures // n
    print(f"{n:11,}{each:20}{line[0]:>14}{line[1]:>16}{gain:+7.1f}")

# %% [markdown] slide="subslide"
# Is it more than chance? With standard deviations s₁ and s₂ over three seeds, the
# standard error of a gain is about √((s₁² + s₂²) / 3), here 1.2 and 0.8 points. So with
# 8,000 photographs new views do **cost** accuracy, though a moved horse is a horse. Why?
# (*Plain*: as they are. *Views*: crop and flip.)

# %% slide="subslide"
# alt: Training and validation accuracy by epoch in four panels: few and many photographs,
# alt: each as they are and with crop and flip. Few photographs as they are reach 100
# alt: percent in training, and the gap to validation is widest there.
shown = {"plain": "as they are", "views": "crop and flip"}
panels = {
    f"{n:,} {short}": trained[name, n][0][1]
    for n in (few, many)
    for short, name in shown.items()
}
title = f"The gap to validation is widest for {few} photographs as they are"
plot.curves(panels, metric="accuracy", panels=True, title=title);

# %% [markdown]
# With 500 photographs as they are the network reaches 100 % in training, far above
# validation: new views close a part of this gap. With four exposures of each of 8,000
# there is hardly a gap, and views lower training accuracy from about 65 to 50 %: perhaps
# they are **too hard for this training**. (Seed 0; a circle marks the best epoch.)

# %% [markdown] slide="subslide"
# If so, what should four times the *exposures* of the 8,000 photographs do to the gain?

# %%
more = course.pick(tiny=2, small=4, full=5) * exposures
longer = {
    name: accuracies([train_cnn(many, changes, 0, exposures=more)])[0]
    for name, changes in recipes.items()
}
gain = 100 * (longer["crop and flip"] - longer["as they are"])
print(f"{many:,} photographs, {more // many} exposures of each, one seed:")
print(", ".join(f"{name} {right:.1%}" for name, right in longer.items()))
print(f"gain {gain:+.1f} points")

# %% [markdown] slide="subslide"
# Raise it, from −5.8 to +5.0 points. (One seed; those of the table differ by far less.)
# What a true claim costs, longer training can repair.

# %% [markdown] slide="slide"
# ## Mixup and CutMix change the label, too
#
# Mixup lays one image over another, CutMix pastes a part of it, and both mix the
# **labels** in the same shares: 0.7 cat and 0.3 ship. (A column shows one pair.)

# %%
six = photos.train.subset(6)
labels = F.one_hot(six.labels, 10).float()
mixed, titles = [], []
for mix in (augment.MixUp(alpha=1), augment.CutMix(alpha=1)):
    images, shares = mix(six.images, labels, torch.Generator().manual_seed(3))
    mixed += list(images)
    for share in shares:
        parts = [f"{share[k]:.2f} {photos.classes[k]}" for k in share.nonzero()[:, 0]]
        titles.append("\n".join(parts))

# %% slide="subslide"
# alt: Six photographs mixed with partners: in the first row overlaid, in the second with
# alt: a pasted rectangle; above each the shares of the two classes.
title = "Mixup (above) mixes every pixel, CutMix (below) shares the area"
pictures.image_grid(mixed, titles, columns=6, title=title);

# %% [markdown] slide="subslide"
# The share λ that an image keeps, between 0 and 1, is drawn for each pair:
#
# $$\tilde{x} = \lambda x_i + (1 - \lambda)\, x_j \qquad
# \tilde{y} = \lambda y_i + (1 - \lambda)\, y_j$$
#
# With α = 1 all shares are equally likely. In CutMix λ is the area that was not pasted over.

# %% [markdown] slide="subslide"
# Three classes have the shares 0.7, 0.3 and 0. What do the logits 2, 1 and −1 cost,
# by cross-entropy? And the best prediction?

# %% check=True
shares = torch.tensor([0.7, 0.3, 0.0])
logits = torch.tensor([2.0, 1.0, -1.0])
log_p = logits - logits.logsumexp(dim=0)
by_hand = -(0.7 * log_p[0] + 0.3 * log_p[1])
assert torch.isclose(by_hand, F.cross_entropy(logits[None], shares[None]))
print("probabilities", [round(p, 3) for p in log_p.exp().tolist()])
print(f"cost {by_hand:.3f} nats, by torch {F.cross_entropy(logits, shares):.3f}")
best = -torch.xlogy(shares, shares).sum()
print(f"the best prediction, 0.7 and 0.3, costs {best:.3f} nats")

# %% [markdown]
# Even the best prediction costs 0.611 nats, so training losses cannot be compared with
# those of other runs: **compare the validation accuracy.**

# %% [markdown] slide="subslide"
# **Three more.** *Label smoothing* gives the right class 0.91 and each other 0.01.
# *TrivialAugment* draws one of fourteen changes for each image, and its strength.
# *Test-time augmentation* averages the logits for an image and its mirror image. What do
# all five bring with 500 photographs?

# %%
trivial = v2.TrivialAugmentWide()


def trivial_augment(images, generator):
    """torchvision's, image by image: each has its own draw."""
    return torch.stack([trivial(image) for image in images])


smooth = {"loss_function": nn.CrossEntropyLoss(label_smoothing=0.1)}
mixes = {
    "mixup": ((augment.MixUp(1),), {}),
    "CutMix": ((augment.CutMix(1),), {}),
    "label smoothing": ((), smooth),
    "TrivialAugment": ((trivial_augment,), {}),
}
for name, (changes, more) in mixes.items():
    trained[name, few] = [train_cnn(few, changes, seed, **more) for seed in seeds]
compared = {name: accuracies(trained[name, few]) for name in [*recipes, *mixes]}

# %% slide="subslide"
class TwoViews(nn.Module):
    """Test-time augmentation: the mean of the logits for an image and its mirror."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return (self.network(x) + self.network(x.flip(3))) / 2


both = [(TwoViews(model), history) for model, history in trained["crop and flip", few]]
compared["crop, flip, two views in the test"] = accuracies(both)

# %% slide="subslide"
# alt: Bars with whiskers over seeds: validation accuracy of seven recipes on the smallest
# alt: number of photographs. Crop and flip, with two views or one, and TrivialAugment lie
# alt: highest, label smoothing lowest.
base = sum(compared["as they are"])
pair = ("crop and flip", "label smoothing")
crops, soft = (100 * (sum(compared[k]) - base) / len(seeds) for k in pair)
title = f"{few} photographs: crop and flip bring {crops:+.1f} points,"
title += f" label smoothing {soft:+.1f}"
plot.bars(compared, highlight="as they are", title=title);

# %% [markdown] slide="subslide"
# Which recipes still learn their examples by heart? (A mixed image has no single
# right class: –.)

# %%
print("recipe               training   validation        gain (points)")
base = torch.tensor(compared["as they are"])
for name in [*recipes, *mixes]:
    train = [history["train_accuracy"][-1] for _, history in trained[name, few]]
    train, val = torch.tensor(train), torch.tensor(compared[name])
    gain = 100 * (val - base)
    twice = 2 * gain.std() / len(gain) ** 0.5
    known = "–" if name in ("mixup", "CutMix") else f"{train.mean():.1%}"
    line = f"{known:>11}{val.mean():13.1%}{gain.mean():+12.1f} ± {twice:.1f}"
    print(f"{name:18}{line}")

# %% [markdown] slide="subslide"
# "As they are" and label smoothing, which *costs* 2.7 points: we do not know why.
#
# - **TrivialAugment brings about as much as crop and flip**, with nothing to tune. Two views
#   in the test add 0.5 points, less than the seeds differ.
# - CutMix's 2.0 ± 1.1 points are a weak sign with three seeds. The papers train far
#   larger networks for 200 or 300 epochs: we cannot judge mixing.
#
# (± is twice the standard error of three differences, one for each seed: what both its
# networks find hard cancels.)

# %% [markdown] slide="slide"
# ## The same in torchvision's v2
#
# Most code uses torchvision. Its `v2` transforms take **one image**, and the data loader
# calls them for each:

# %%
steps = [
    v2.RandomCrop(32, padding=4),
    v2.RandomHorizontalFlip(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize(photos.train.mean, photos.train.std),
]
pipeline, eight = v2.Compose(steps), photos.train.images[:8]
batch = torch.stack([pipeline(image) for image in eight])
batch.shape, batch.dtype

# %% [markdown] slide="subslide"
# Beware: `RandomCrop` wants the size first, and `Cutout` is called `RandomErasing` there.

# %% [markdown] slide="slide"
# ## One draw for each image, or one for all?
#
# `v2` accepts a batch too. What do all images of the second row have in common?

# %%
# alt: Eight photographs, and below them the same, all mirrored and moved by the same number
# alt: of pixels.
whole_batch = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()])
torch.manual_seed(0)
rows = torch.cat([eight, whole_batch(eight)])
pictures.image_grid(rows, title="Above, eight photographs; below, v2 on the batch");

# %%
copies = photo.expand(1000, -1, -1, -1)
each = horizontal_flip(random_crop(copies, generator), generator)
made = {"v2 on a batch": whole_batch(copies), "one draw each": each}
for name, views in made.items():
    print(f"{name}: {len(views.unique(dim=0))} different views of 1000 copies")

# %% [markdown]
# All were moved by the same pixels and mirrored: `v2` draws once for the whole batch,
# without a warning. **Does this harm the training?**

# %%
def in_one_draw(images, generator):
    """`v2` on the batch, as an augmentation for our loader."""
    return whole_batch(images)


together = [train_cnn(few, (in_one_draw,), seed) for seed in seeds]
compared["one draw for all"] = accuracies(together)
for name in ("as they are", "crop and flip", "one draw for all"):
    values = 100 * torch.tensor(compared[name])
    print(f"{name:18}{values.mean():6.1f} ± {values.std():.1f} % right")

# %% [markdown]
# **The accuracy shows no difference**: 0.2 points, with a standard error of 0.7. A harm of
# one point would not show. Perhaps the draws average out over many steps.

# %% [markdown] slide="slide"
# ## Look inside
#
# A network that learned from views should answer alike for every view. How often do
# those of seed 0 repeat their answer for the unchanged photograph?

# %%
asked, draws = photos.val.subset(course.pick(tiny=100, small=500, full=2000)), 20
views = asked.take(torch.arange(len(asked)).repeat_interleave(draws))


def reflected_border(images, generator):
    """Crop and flip, with reflected pixels at the border in place of black ones."""
    top, left = crop.draw(images, generator)
    padded = F.pad(images / 255, [4] * 4, mode="reflect")
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1)
    cropped = windows[torch.arange(len(images)), :, top, left]
    return flip(cropped, generator)


borders = {"black": crop_flip, "reflected": (reflected_border,)}
for name in recipes:
    model, _ = trained[name, few][0]
    plain = predict(model, asked.loader(500))[0].argmax(1)
    for border, changes in borders.items():
        again = predict(model, views.loader(500, augment=changes))[0].argmax(1)
        same = (again.view(-1, draws) == plain[:, None]).float().mean()
        print(f"{name:14} {border:9} border: same answer for {same:.1%} of views")

# %% [markdown] slide="subslide"
# With black borders they differ by more than 30 points; with reflected ones, which neither
# has seen, by 21. So a part of the difference was **the border**, which only one network
# knew: a second cause, or *confounder*.

# %% [markdown] slide="slide"
# ## Against the paper
#
# AlexNet's authors write that without crops and mirrors their network would overfit, and
# have to be much smaller. Later papers give numbers: which share of the errors does an
# augmentation remove there, and here?

# %%
# alt: Bars of the share of errors that an augmentation removes: less than a tenth of
# alt: ours, more than half of a ResNet-18's by crop and flip, less on top of others.
plain, augmented = (1 - sum(compared[name]) / len(seeds) for name in recipes)
ours = f"ours: crop and flip, {few} photos"
errors = {
    ours: (plain, augmented),
    "ResNet-18: crop and flip": (10.63, 4.72),
    "ResNet-18: Cutout on top": (4.72, 3.99),
    "PreAct ResNet-18: mixup on top": (5.6, 4.2),
    "LeNet-5: distorted digits": (0.95, 0.8),
}
removed = {name: 1 - after / before for name, (before, after) in errors.items()}
title = f"Crop and flip remove {removed[ours]:.0%} of our errors,"
title += f" {removed['ResNet-18: crop and flip']:.0%} of a ResNet-18's"
plot.bars(removed, xlabel="errors removed (%)", highlight=ours, title=title);

# %% [markdown]
# 9 % of ours, 56 % of a ResNet-18's. But that learned from 50,000 photographs and erred on
# one in ten; ours, from 500, on more than half.

# %% [markdown] slide="slide"
# ## Answer
#
# How many points do random changes bring? We use the test set once, for the networks of
# 500 photographs:

# %%
test = photos.test.loader(500)
final = []
for name in recipes:
    rights = [evaluate(model, test).accuracy for model, _ in trained[name, few]]
    final.append(torch.tensor(rights))
    print(f"{name:14} {final[-1].mean():.1%} ± {100 * final[-1].std():.1f}")
plain, augmented = (values.mean() for values in final)
as_is, lying = (accuracy(upright, tests[t]) for t in ("as they are", "turned by 90°"))
measured = (
    f"{few} photographs: {plain:.1%} as they are, {augmented:.1%} with crop and flip,"
    f" {100 * (augmented - plain):+.1f} points (mean of {len(seeds)} seeds)"
)
counted = f"crop and flip make {2 * 9**2} views of one image; turned by 90°,"
counted += f" {lying:.0%} of new digits are read, upright {as_is:.0%}"
counted += f" ({digits.val.name})"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown] slide="fragment"
# Of the guesses 6 was nearest. The gain is more than twice its standard error (1.1
# points), and needed no new label, only our knowledge that a moved or mirrored horse is a
# horse. But augmentation costs accuracy where its claim is false, or training too short.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint.

# %% [markdown] slide="subslide"
# ### 02.1 Predict: how many views?
#
# `RandomCrop(2)` on 32 × 32, then `HorizontalFlip()`. Into how many different images can
# one photograph turn?

# %%
# solution
views = (2 * 2 + 1) ** 2 * 2

# %%
check("02.1", views)

# %% [markdown] slide="subslide"
# ### 02.2 Predict: a mixed label
#
# Mixup lays λ = 0.7 of an image of class 3 over one of class 5; there are ten classes.
# Write the mixed label: a list of ten numbers, class 0 first.

# %%
# solution
label = [0, 0, 0, 0.7, 0, 0.3, 0, 0, 0, 0]

# %%
check("02.2", label)

# %% [markdown] slide="subslide"
# ### 02.3 Modify: a sideways shift
#
# Write an augmentation that moves each example left or right by its own whole number of
# pixels, from −`most` to `most`. Zeros come in at the border; size and type stay. Draw with
# `torch.rand` or `torch.randint`, and pass `generator=generator`.

# %%
def sideways(images, generator, most=3):
    """Move each example of a batch (N, C, H, W) sideways by its own draw."""
    # solution
    n, width = len(images), images.shape[3]
    places = torch.rand(n, generator=generator) * (2 * most + 1)
    windows = F.pad(images, [most, most]).unfold(3, width, 1)  # (N, C, H, column, W)
    return windows[torch.arange(n), :, :, places.long()]

# %%
check("02.3", sideways)

# %% [markdown] slide="subslide"
# ### 02.4 Explain: who keeps the label?
#
# Which of `"shift"` (by a few pixels), `"mirror"`, `"quarter turn"` and `"any hue"` keep
# every label, even when one comes twice in a row? (What is no digit any more has lost its
# label.) Give a dict with a list of such changes for each of three keys:
#
# - `"digits"`: grey scans;
# - `"traffic signs"`: arrows, blue and red discs;
# - `"satellite"`: land use seen from above (forest, river, dry field, ...).

# %%
# solution
keeps = {
    "digits": ["shift", "any hue"],
    "traffic signs": ["shift"],
    "satellite": ["shift", "mirror", "quarter turn"],
}

# %%
check("02.4", keeps)

# %% [markdown]
# **Explain** in one sentence for each task: which label does a change that you
# refused turn into which other one?

# %% [markdown] solution=True
# Digits: a half turn, two quarter turns, exchanges 6 and 9; a hue does nothing to grey.
# Traffic signs: a mirror exchanges "keep left" and "keep right". A quarter turn
# exchanges "ahead" and "turn left", a hue prohibition (red) and command (blue).
# Satellite: no direction is special, but a hue makes a dry field green, which is
# another class.

# %% [markdown] slide="subslide"
# ### 02.5 Investigate: how far to turn?
#
# Call `train_digits(*few_digits, (augment.Rotation(d),))` for d in 0, 15, 45, 90 and 180 (the
# comma makes a tuple). Measure with `evaluate(network, digits.val.loader(500)).accuracy`.
# Fill `networks`, `{degrees: network}`, and `by_degrees`, `{degrees: accuracy}`. Where does
# the gain turn into a loss?

# %%
# solution
networks, by_degrees = {}, {}
for degrees in (0, 15, 45, 90, 180):
    networks[degrees] = train_digits(*few_digits, (augment.Rotation(degrees),))
    by_degrees[degrees] = evaluate(networks[degrees], digits.val.loader(500)).accuracy
    print(f"{degrees:3}°  {by_degrees[degrees]:.1%}")

# %%
check("02.5", (networks, by_degrees))

# %%
check.progress("02")

# %% [markdown] slide="slide"
# ## Recap
#
# - An augmentation claims that a change keeps the label. Test it: train with it, judge by
#   new examples as they come, read the confusions.
# - A crop is one of (2p + 1)² windows, with its own draw *for each example*.
# - Augmentation helps where images are learned by heart. It costs where its claim is false,
#   or exposures are too few.
# - Mixup and CutMix mix two images, and their labels in the same shares.

# %% [markdown] slide="skip"
# ## References
#
# - Krizhevsky et al.: AlexNet. NeurIPS 2012. Section 4.1.
# - LeCun et al.: LeNet-5. Proceedings of the IEEE 86(11), 1998. Section III.
# - DeVries, Taylor: Cutout. arXiv:1708.04552, 2017. Table 1.
# - Zhang et al.: mixup. ICLR 2018. Section 2, Fig. 3a.
# - Yun et al.: CutMix. ICCV 2019. Section 3.1.
# - Szegedy et al.: label smoothing. CVPR 2016. Section 7.
# - Müller, Hutter: TrivialAugment. ICCV 2021. Section 3.
# - MNIST and CIFAR-10: sources and licences stand in `data/README.md`.

# %% slide="only" name="claims"
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from teaching import blocks, diagrams
from utils import augment, data, plot

seven = ["●●●●", "   ●", "  ● ", " ●  ", " ●  "]
places = {"a 7": (1, 1, 1), "moved: a 7?": (0, 2, 1), "mirrored: a 7?": (1, 1, -1)}
chosen = []
for label, (top, left, step) in places.items():
    cells = [[None] * 6 for _ in range(7)]
    for row, text in enumerate(seven):
        for column, mark in enumerate(text[::step]):
            cells[top + row][left + column] = None if mark == " " else mark
    chosen.append(diagrams.grid(cells, label=label, alt=label))
told = "A seven made of cells; to its left, moved, a seven still; to its right, mirrored, no digit."
diagrams.beside(chosen[1], "← move", chosen[0], "mirror →", chosen[2], alt=told)

# %% slide="only" name="spread"
tested = [said(name + r" +[\d.]+% ± ([\d.]+)") for name in ("as they are", "crop and flip")]
drawn = [said(name + r" +[\d.]+ ± ([\d.]+) % right") for name in ("crop and flip", "one draw for all")]
error, error_drawn = ((sum(float(s) ** 2 for s in two) / 3) ** 0.5 for two in (tested, drawn))

# %% slide="only" name="one-each"
# alt: Eight photos with one draw each, and the same with one draw for all: all moved by the
# alt: same pixels.
digits, photos = data.mnist(), data.cifar10()
eight = F.pad(photos.train.images[:8], (4, 4, 4, 4))
each = torch.stack([p[:, i : i + 32, 8 - i : 40 - i] for i, p in enumerate(eight)])
figure, axes = plt.subplots(2, 8, figsize=(7, 1.6))
rows = {"one each": each, "one for all": eight[:, :, 7:39, 1:33]}
for line, (name, images) in zip(axes, rows.items(), strict=True):
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.permute(1, 2, 0))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)

# %% slide="only" name="twins"
# alt: A six, and a nine turned by 180 degrees: they look alike.
figure, axes = plt.subplots(1, 2, figsize=(3.2, 1.7))
six, nine = (digits.train.images[digits.train.labels == d][0] for d in (6, 9))
for ax, image, name in zip(axes, (six, nine.flip(1, 2)), ("a 6", "a turned 9"), strict=True):
    ax.imshow(image[0], cmap="gray")
    ax.set_title(name, fontsize=10)
    ax.axis("off")

# %% slide="only" name="crop"
image = torch.arange(1, 37).view(6, 6)
padded = F.pad(image, (1, 1, 1, 1))
before = diagrams.grid(padded, label="6 × 6, padded by 1", window=(0, 1, 6, 6))
diagrams.beside(before, "crop at row 0, column 1 →", diagrams.grid(padded[:6, 1:7], label="6 × 6"))

# %% slide="only" name="mixed"
# alt: Two photos; Mixup lays one over the other, CutMix pastes a part of it.
torch.manual_seed(0)
two = photos.train.images[[3, 5]].float() / 255
mix, cut = 0.7 * two[0] + 0.3 * two[1], two[0].clone()
cut[:, 14:, 14:] = two[1][:, 14:, 14:]
figure, axes = plt.subplots(1, 4, figsize=(7, 2.2))
named = ("A", "B", "Mixup:\n0.7 A, 0.3 B", "CutMix:\n0.68 A, 0.32 B")
for ax, one, name in zip(axes, (*two, mix, cut), named, strict=True):
    ax.imshow(one.permute(1, 2, 0))
    ax.set_title(name, fontsize=10)
    ax.axis("off")

# %% [markdown] slide="only" part="Claims"
# # Augmentation: new views of the same images
#
# ![](run:epochs = [next(iter(loader)))
#
# Note: 1 min. Ask what differs between the rows, and what does not: the label. After the
# hour they can say which change keeps a label, and measure whether an augmentation helped.

# %% [markdown] slide="only"
# ## Last time: overfitting, in three questions
#
# 1. Known 94 %, unseen 67 %: which fault?
# 2. By what does dropout divide, and when?
# 3. What brought more than any remedy?
#
# . . .
#
# 1. Overfitting
#
# . . .
#
# 2. By 1 − p, in training
#
# . . .
#
# 3. More data
#
# Note: 2 min. A different row answers each. Expect p for the second: it is the share that
# is kept. Today: more data without more photos.

# %% [markdown] slide="only"
# ## 500 photos, or 8,000: does augmentation help?
#
# ### Crops and mirrors, in both cases. By how many points each?
#
# . . .
#
# Write down two numbers, with their signs.
#
# Note: 2 min. Nearly all write two positive numbers, the larger for 500. All networks see
# equally many images in all. The answer comes in the second half.

# %% [markdown] slide="only"
# ## An augmentation is a claim about labels
#
# ![](run:claims)
#
# It claims: whoever labelled the image would label the changed one alike.
#
# Note: 2 min. Ask for each arrow: true? Expect yes for both, from those who think of
# photos. For a horse the mirror is true, for a 7 not. The network believes both, and learns
# our mistake.

# %% [markdown] slide="only"
# ## Some changes make another digit
#
# ![](run:rows = torch.cat([ten, ten.flip(3))
#
# . . .
#
# ### Mirrored, or turned by 180°: which digits keep their label?
#
# . . .
#
# Mirrored: 0, 1, 8. Turned: these, often 2 and 5. But 6 and 9 change places.
#
# Note: 2 min. Let them call out the columns. Expect a mirrored 3 or 4 to be let through: ask
# who writes it so. A turned 9 is a new digit with the old label.

# %% [markdown] slide="only"
# ## Three changes move pixels: a horse stays a horse
#
# ![](run:"Rotation(20)": augment.Rotation(20))
#
# . . .
#
# ### Which view would you refuse?
#
# . . .
#
# None. Black comes in where the photo ends.
#
# Note: 2 min. Left the photo, then ten draws: up to 4 pixels, mirrored or not, up to 20°.
# Expect some to refuse a view that cuts an ear: ask whether they would still call it a horse.

# %% [markdown] slide="only"
# ## Three changes throw something away
#
# ![](run:"Cutout(12)": augment.Cutout(12))
#
# . . .
#
# ### What does each row lose?
#
# . . .
#
# The surroundings, the true colours, a part of the horse.
#
# Note: 2 min. Where they hesitate to say “horse”, the label begins to be wrong. Then ask what
# a turn of the hue does to grey digits. Expect “another grey”: it does nothing, grey has no
# hue. Skip when late.

# %% [markdown] slide="only"
# ## Beyond some strength a network gives way
#
# ### It has learned from shifted photos. Shifted or turned: what fails first?
#
# ![](play:augment)
#
# Note: 2 min. It was trained on shifted and mirrored photos, on turned ones never. Let
# them name a strength for each, then move the slider slowly. Expect “turned”; on some
# photos it is the shift. Ask when they themselves begin to hesitate. Skip the colours when
# late.

# %% [markdown] slide="only" part="Measure"
# ## A moved 7 is only unseen: training repairs it
#
# ### LeNet-5 reads {{ said(r"nothing +([\d.]+)%") }} % of new digits. And moved by up to 4 pixels?
#
# . . .
#
# > **{{ said(r"nothing +[\d.]+% +([\d.]+)%") }} %** trained without moves
#
# > **{{ said(r"moves by 4 +[\d.]+% +([\d.]+)%") }} %** trained with moves
#
# Note: 2 min. Expect 90 or more, after lecture 00. A low accuracy can mean two things: the
# label changed, or the network has never seen such a digit. A moved 7 is certainly a 7.

# %% [markdown] slide="only"
# ## A turned 9 is a 6: training cannot repair that
#
# ![](run:twins)
#
# ### Trained with turns by up to 180°: how many upright sixes are read as 9?
#
# . . .
#
# > **{{ said(r"6 read as 9[\s\S]*?turns by 180° +([\d.]+)%") }} %** with turns
#
# > **{{ said(r"6 read as 9[\s\S]*?nothing +([\d.]+)%") }} %** without
#
# Note: 2 min. The same image came with both labels. Expect half, as both labels come
# equally often: most handwritten nines, turned, still differ a little from sixes. Ask which
# other pair suffers in a mirror: 2 and 5.

# %% [markdown] slide="only"
# ## It helps if the label stays and new images differ in it
#
# ### 500 digits: do moves, small turns, mirrors or half turns help most?
#
# . . .
#
# ![](run:gain = 100 * (sum(read["moves by 2"]))
#
# Note: 2 min. Expect small turns, since writing leans. Two conditions: the label stays, and
# new images differ in just this. Let them find an example for each of the four cases, such
# as a photo on its head: label yes, new images no. Skip the examples when late.

# %% [markdown] slide="only" part="Build"
# ## A random crop is one of many windows
#
# ![](run:crop)
#
# ### How many windows are there?
#
# . . .
#
# 3 × 3 = 9. For 32 × 32 padded by 4: 9 × 9 = 81, and 162 with mirrors.
#
# Note: 2 min. 8 − 6 + 1 places each way. Expect 4, the corners. Row 0 moves the image down.

# %% [markdown] slide="only"
# ## Each example draws for itself
#
# ```python
# def random_crop(images, pad):  # (N, C, H, W)
#     n, side = len(images), images.shape[-1]
#     windows = F.pad(images, [pad] * 4)
#     windows = windows.unfold(2, side, 1).unfold(3, side, 1)
#     row, column = torch.randint(2 * pad + 1, (2, n))
#     return windows[torch.arange(n), :, row, column]
# ```
#
# ### Which lines give each example its own window?
#
# . . .
#
# The last two: n rows and n columns are drawn.
#
# Note: 2 min. N examples, C channels, height, width. unfold shows all windows without
# copying a pixel. Expect the line with unfold: it makes all windows, and chooses none. Skip
# the question when late.

# %% [markdown] slide="only"
# ## One draw for all is easily made; we saw no harm
#
# ![](run:one-each)
#
# ### torchvision's `v2` on a batch gives the lower row. Does it harm?
#
# . . .
#
# {{ said(r"one draw for all +([\d.]+) ±") }} % right, with one draw each {{ said(r"crop and flip +([\d.]+) ± [\d.]+ % right") }} %; error of the difference: {{ "%.1f" % error_drawn }} points.
#
# Note: 2 min. v2 takes one image; on a batch it draws once, without a warning. Expect “yes”:
# in one step all photos move together, but over many steps the draws may average out. A harm
# of one point would not show here. Skip when late.

# %% [markdown] slide="only"
# ## Training views change, validation images do not
#
# | set | augmented? | why |
# |---|---|---|
# | training | yes, anew in each epoch | more views |
# | validation | no | like the images to come |
# | test | no | the same |
#
# Note: 1.5 min. Ask what a validation accuracy on augmented images would measure. Expect “a
# harder test”: it is another task. Test-time augmentation is another thing: it averages
# answers.

# %% [markdown] slide="only" part="Result"
# ## 500 photos: crops and mirrors help
#
# > **{{ said(r"500 photographs: ([\d.]+)%") }} %** as they are
#
# > **{{ said(r"500 photographs: [\d.]+% as they are, ([\d.]+)%") }} %** with crops and mirrors
#
# . . .
#
# **{{ said(r"crop and flip, (\+[\d.]+) points") }}** points on the test set, mean of three seeds, with no new label.
#
# Note: 2 min. The first of the two votes. Each network saw 32,000 images in all; one image
# shown once is one exposure. Ask whether three seeds are enough. Expect “no”: next slide.

# %% [markdown] slide="only"
# ## A gain must be more than twice its error
#
# $$\text{error of a difference} \approx \sqrt{\frac{s_1^2 + s_2^2}{3}}$$
#
# $s_1$, $s_2$: standard deviations over three seeds, here {{ said(r"as they are +[\d.]+% ± ([\d.]+)") }} and {{ said(r"crop and flip +[\d.]+% ± ([\d.]+)") }} points.
#
# ### Is {{ said(r"crop and flip, (\+[\d.]+) points") }} more than chance?
#
# . . .
#
# > **{{ "%.1f" % error }}** points of error: yes, the gain is more than twice as large
#
# Note: 2 min. Compute it together. Expect the sum of both: squares are added. Chance alone
# exceeds twice its error in about one of twenty cases, and more often with few seeds.
# This rule returns in every lecture.

# %% [markdown] slide="only"
# ## 8,000 photos, shown four times each: the second vote
#
# ### By how many points do crops and mirrors help, or cost?
#
# . . .
#
# ![](run:plot.band(sizes, lines, title=title))
#
# . . .
#
# Shown 16 times each, one seed: a gain of {{ said(r"gain (\+[\d.]+) points") }} points.
#
# Note: 2.5 min. Expect “more is better”. Four exposures overfit nothing, and views make the
# task harder. So more exposures should bring the gain back: a prediction that could have
# failed. Two sizes were measured; the lines between them are only drawn.

# %% [markdown] slide="only"
# ## New views help where a network overfits
#
# ![](run:panels = {)
#
# Plain: as they are. Views: crops and mirrors. Circle: the best epoch.
#
# Note: 2 min. Ask in which panel there is a gap to close. Expect the last, since it ends
# low: but training is low, too. Views close a part of the gap at 500 photos. In real work
# there are hundreds of epochs, so the left two panels are usual.

# %% [markdown] slide="only"
# ## Mixup and CutMix change the label, too
#
# ![](run:mixed)
#
# ### The best answer is 0.7 and 0.3: what is its loss?
#
# . . .
#
# −0.7 ln 0.7 − 0.3 ln 0.3 = 0.611 nats: never 0
#
# Note: 2 min. Here the claim is another: the label moves along. Expect 0, as for a right
# answer. So training losses with and without mixing cannot be compared. Our runs are too
# short to show what mixing brings, and claim nothing. Skip when late.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - An augmentation claims that the label stays.
# - It helps where that is true, and new images differ in it.
# - Each example draws for itself, anew in each epoch.
# - Validation and test images stay as they are.
# - It costs where that is false, or training too short.
#
# Note: 2 min. Cover it, and let five students say one each. Mixing is the exception to the
# first: it moves the label along. The last two words: four exposures cost, sixteen gained.

# %% [markdown] slide="only"
# ## For home: two exercises in the notebook
#
# - **02.1** How many views? Crops and mirrors, on paper.
# - **02.4** Who keeps the label: digits, traffic signs, satellite images.
#
# Note: 1 min. Ten minutes each. Next time: the network that made all this famous.

# %% [markdown] slide="sheet"
# ![](run:"Rotation(20)": augment.Rotation(20))
#
# ## Shapes of the small network
#
# ![](run:look.shape_table(small_cnn(), (3, 32, 32), depth=1))
