# %% [markdown] slide="slide"
# # Augmentation: new views of the same images
#
# More data is the best cure for overfitting, and labels are expensive. We make new
# images out of old ones, measure which changes keep the label, and what they buy.
#
# *Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
# Networks. NeurIPS, 2012, section 4.1.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. say which augmentations keep the label of a task, and test the claim by measurement;
# 2. write a crop and a flip for a whole batch, with its own draw for each example;
# 3. measure what augmentation buys over seeds, and say when it costs accuracy;
# 4. mix two images and their labels, and compute the loss by hand.
#
# A run takes half a minute at scale `tiny`, and six to nine minutes at `small` on a
# laptop.

# %% [markdown] slide="slide"
# ## Question
#
# We have 500 labelled photographs, 50 of each class. A small network soon knows all of
# them by heart, and still fails on most new ones.
#
# **We show each photograph in a new form in every epoch. No new label is paid for. How
# many points of accuracy does it buy?**
#
# *A guess, before anything is computed: 0, 2, 8 or 20?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from teaching import check, diagrams, sliders
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
# Draw a change at random, apply it to the image, keep the label. Each augmentation
# claims: *whoever labelled the image would label the changed one alike*. Here is a 7,
# and two claims.

# %% tags=["hide-input"]
seven = ["●●●●", "   ●", "  ● ", " ●  ", " ●  "]
places = {"a 7": (1, 1, 1), "moved: a 7": (0, 2, 1), "mirrored: a 7?": (1, 1, -1)}
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
# The first claim holds wherever digits are written. The second holds for a horse, not
# for a 7. The network believes both.

# %% [markdown] slide="notes"
# A training set holds few images of each object: one place, one light, one side. What
# does not vary in the training images, the network may take for a sign of the class. An
# augmentation tells it what does *not* matter, by varying just that. So it brings
# knowledge into the training which no pixel holds: our own. Where we are wrong, the
# network learns our mistake.

# %% [markdown] slide="slide"
# ## Five views of one digit
#
# The course's lecture slides show a digit five times: resized to 224 × 224 pixels,
# colours jittered, perhaps mirrored, rotated by up to 20°. Is anything wrong with them?

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
# **The jitter does nothing.** Hue and saturation say how far a pixel is from grey. A
# grey pixel has none, and a factor on nothing is nothing. How much does a pixel change
# at most?

# %%
grey = digits.train.images[:64].expand(-1, 3, -1, -1)  # grey, as three equal channels
for name, images in {"digits": grey, "photos": photos.train.images[:64]}.items():
    change = jitter(images, generator) - images / 255
    print(f"{name}: at most {255 * change.abs().max():.1f} of 255 grey levels")

# %% [markdown]
# For digits it costs time and changes nothing. `Resize(224)` is no better: 64 times as
# many pixels, the same information.

# %% [markdown] slide="subslide"
# **The flip does too much.** Below each digit its mirror image, then the digit turned by
# 180°. Which columns would you still label alike?

# %%
# alt: The ten digits in three rows: as they are, mirrored, and turned by 180 degrees.
# alt: Mirrored, 0, 1 and 8 stay digits. Turned, 6 and 9 change places.
first = [int((digits.train.labels == d).nonzero()[0]) for d in range(10)]
ten = digits.train.images[first]
rows = torch.cat([ten, ten.flip(3), ten.flip(2, 3)])
titles = [f"a {d}" for d in range(10)] + ["mirrored"] * 10 + ["turned"] * 10
pictures.image_grid(rows, titles, columns=10, title="Which columns keep their label?");

# %% [markdown]
# 0, 1 and 8 survive the mirror. 2, 3, 5 and 7 become signs that nobody writes. And half
# a turn makes a 6 out of a 9: a new digit with the old label.

# %% [markdown] slide="notes"
# The slides' code also loads the whole data set again for each of the five views, and
# it calls `RandomRotation(..., resample=...)`: that argument is now
# `interpolation=`. For cats and dogs the slides rotate by up to 90°. That keeps a cat a
# cat; whether it helps is another question, which we can measure.

# %% [markdown] slide="slide"
# ## Six augmentations in a grid
#
# One photograph, and ten draws of each. **Three that move pixels.** Does any of them
# change the size of the animal?

# %% tags=["hide-input"]
def show_draws(changes, photo, title, draws=10):
    """A row for each augmentation: its name, the photo, what its draws make of it."""
    size = (7, 0.55 * len(changes) + 0.3)
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
    fig.suptitle(title, x=0.01, ha="left")
    return fig

# %%
# alt: A photograph in three rows of ten views: cropped at ten places with black borders,
# alt: mirrored in about half of them, rotated by up to 20 degrees.
horse = photos.classes.index("horse")
photo = photos.train.images[photos.train.labels == horse][0]
changes = {
    "RandomCrop(4)": augment.RandomCrop(4),
    "HorizontalFlip()": augment.HorizontalFlip(),
    "Rotation(20)": augment.Rotation(20),
}
show_draws(changes, photo, "Left the photograph, then ten draws");

# %% [markdown] slide="subslide"
# **Three that throw something away**: the surroundings, the true colours, a part.

# %%
# alt: The same photograph in three rows: parts of it enlarged, in other brightness and
# alt: colours, and with a black square at ten places.
changes = {
    "RandomResizedCrop()": augment.RandomResizedCrop(scale=(0.3, 1)),
    "ColorJitter(...)": augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "Cutout(12)": augment.Cutout(12),
}
show_draws(changes, photo, "What do all ten draws of a row still tell you?");

# %% [markdown]
# We still name the animal in every view. That is the test an augmentation must pass,
# and we are the judges, not the network.

# %% slide="skip"
def at_strength(strength=4):
    """Draws of four augmentations; at strength 0 none of them does anything."""
    part = strength / 10
    changes = {
        f"RandomCrop({2 * strength})": augment.RandomCrop(2 * strength),
        f"Rotation({18 * strength})": augment.Rotation(18 * strength),
        f"ColorJitter({part}, ...)": augment.ColorJitter(part, part, part, part / 2),
        f"Cutout({3 * strength})": augment.Cutout(3 * strength),
    }
    return show_draws(changes, photo, f"Strength {strength} of 10", draws=8)

# %% [markdown] slide="subslide"
# **Before you move it:** up to which strength do you name the animal in every view?
# Which row gives out first?

# %%
# alt: A photograph, and eight views of it in each of four rows: shifted with black
# alt: borders, turned, in other colours, and with a black square on it.
sliders.explore(at_strength, strength=(0, 10))

# %% [markdown] slide="notes"
# There is no right number, but a right judge: whoever would label the new images. Where
# we hesitate, the old label begins to be wrong. The rows differ: a crop with a border of
# 20 pixels can lose the animal altogether, a turn loses the corners alone.

# %% [markdown] slide="slide"
# ## Which ones keep a digit's label?
#
# For photographs we looked. For digits we measure. LeNet-5 learns digits as they are,
# and then reads validation digits that we change. Where the label is kept, it should
# read on.

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
# The validation digits, changed in eleven ways. Which three cost the most?

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

# %% [markdown] slide="subslide"
# A mirror, four turns, two moves, a change of light, a part covered:

# %%
# alt: Bars: accuracy on validation digits as they are and changed in eleven ways.
# alt: Brightness and contrast cost nothing, a turn by 90 degrees nearly everything.
title = "Trained on upright digits: what does LeNet-5 still read?"
plot.bars(read, highlight="as they are", title=title);

# %% [markdown]
# Light costs nothing, a small turn little, a mirror much. But moving a digit by four
# pixels costs as much as mirroring it, and a moved 7 is surely a 7! So a low bar does
# not say that the label changed.

# %% [markdown] slide="notes"
# A low bar can have two reasons. *The label changed*: a turned 6 is a 9, and reading it
# as 9 is right. Or *the network has never seen such a digit*: a moved 7 is a 7, but no
# training digit stood there. In the second case augmentation is the cure, in the first
# it is poison. We need a way to tell them apart.

# %% [markdown] slide="slide"
# ## Never seen, or another digit?
#
# First, look at what it reads *in place of* the right answer. Here all digits are turned
# by 180°. Where do the sixes and the nines go?

# %%
# alt: Table of true digits against what is read after half a turn. Most sixes are read
# alt: as nine and most nines as six; ones and, in part, zeros and eights stay.
half_turn = digits.val.loader(500, augment=tests["turned by 180°"])
logits, labels = predict(upright, half_turn)
title = "After half a turn: which digits become another digit?"
pictures.confusion(logits, labels, digits.classes, title=title);

# %% [markdown]
# A 6 becomes a 9 and a 9 a 6: here the network is right, and our label is wrong. What a
# turned 7 is called means less. A network must name one of ten digits, even for a sign
# that is none.

# %% [markdown] slide="subslide"
# **Second, train with the change and look again.** If the digits were only unseen, their
# accuracy comes back. We try three changes.

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
# Read each column from the first line down to the line that trained with it: what was
# unseen comes back. Then read the first column: what does an augmentation cost the
# digits that we really meet?

# %% [markdown] slide="notes"
# Moved digits come back, at a price: one network now has to know every place. Mirrored
# ones come back too. So a mirrored 3 is not *another digit*: no other class looks like
# it. It is a sign that never arrives, and learning it spends capacity. The last line was
# trained on turns by any angle up to 180°, and its upright digits suffer most; the table
# of confusions below shows which.

# %% [markdown] slide="subslide"
# **Third, ask each digit.** Mirrored digits, read by the network that never saw one, and
# by the one trained on mirrors.

# %% tags=["hide-input"] slide="subslide"
# alt: Bars for each digit: read when mirrored, by two networks. Without mirrors in
# alt: training 0, 1 and 8 are read far better than 3 and 5; with them, all are.
mirrored = digits.val.loader(500, augment=tests["mirrored"])
styles = {"nothing": (-0.2, plot.TRAIN), "mirrors": (0.2, plot.HIGHLIGHT)}
for name, (shift, color) in styles.items():
    logits, labels = predict(learned[name], mirrored)
    hits = (logits.argmax(dim=1) == labels).float()
    right = [100 * hits[labels == digit].mean() for digit in range(10)]
    places = torch.arange(10) + shift
    plt.bar(places, right, 0.38, color=color, label=f"trained with {name}")
plt.gca().set(xticks=range(10), xlabel="digit, mirrored", ylabel="read right (%)")
plt.gcf().legend(loc="outside right upper")
plt.title("Which digits bear a mirror?");

# %% [markdown] slide="subslide"
# And the *upright* digits? Which ones does each network confuse?

# %%
pairs = [(6, 9), (9, 6), (2, 5), (5, 2)]
print(f"{'trained with':16}" + "".join(f"   {a} read as {b}" for a, b in pairs))
for name, model in learned.items():
    logits, labels = predict(model, digits.val.loader(500))
    shares = [(logits.argmax(1)[labels == a] == b).float().mean() for a, b in pairs]
    print(f"{name:16}" + "".join(f"{share:14.1%}" for share in shares))

# %% [markdown]
# Whoever learns from turned digits takes 6 for 9. No amount of training repairs that,
# since the same image came with both labels. **That is what a false claim costs.** Did
# the mirrors bring 2 and 5 closer together?

# %% [markdown] slide="slide"
# ## The judge: new digits, few labels
#
# What counts in the end is the accuracy on digits *as they come*, where labels are few.
# Some hundred digits, each augmentation alone, several seeds. Which one do you bet on?

# %%
few_digits = course.pick(tiny=(100, 12), small=(500, 40), full=(500, 80))
claims = {
    "none": (),
    "brightness, contrast": (augment.ColorJitter(0.5, 0.5),),
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
# alt: Bars with whiskers over seeds: validation accuracy after training on few digits
# alt: with no augmentation and with each of five.
gain = 100 * (sum(read["moves by 2"]) - sum(read["none"])) / len(seeds)
title = f"{few_digits[0]} labelled digits: moving them brings {gain:+.1f} points"
plot.bars(read, highlight="none", title=title);

# %% [markdown]
# What keeps the label and *does occur* among new digits helps. What keeps it but never
# occurs spends capacity. What breaks it, costs.

# %% [markdown] slide="notes"
# MNIST's digits are centred by their centre of mass, so strokes still lie a pixel or two
# apart from writer to writer: moves by 2 occur. The stand-in of scale `tiny` was cut out
# and scaled to fill its frame. There a moved digit never comes, and moves cost accuracy:
# the same augmentation, another data set.

# %% [markdown] slide="slide"
# ## Build: a random crop is one of many windows
#
# Pad the image by p, then take a window of the old size anywhere. Here is a 6 × 6 image
# with p = 1 and one of its windows. How many windows are there?

# %% check=True
image = torch.arange(36).view(1, 1, 6, 6)
label = "crop at row 0, column 1"
diagrams.grid(image[0, 0], padding=1, window=(0, 1, 6, 6), label=label)

# %% [markdown] slide="subslide"
# The padded side is 8. A window of 6 fits at 8 − 6 + 1 = 3 rows and 3 columns.
# `unfold` gives all of them at once, as a view: no pixel is copied.

# %% check=True
padded = F.pad(image, [1] * 4)  # (1, 1, 8, 8)
windows = padded.unfold(2, 6, 1).unfold(3, 6, 1)  # (N, C, row, column, H, W)
print(tuple(padded.shape), "->", tuple(windows.shape))
print("same memory:", windows.data_ptr() == padded.data_ptr())
windows[0, 0, 0, 1]

# %% [markdown]
# Compare with the picture: the first row is padding, and the zeros' column on the left
# is gone. Row 0, column 1 moves the image *down by one*.

# %% [markdown] slide="subslide"
# For a batch, each example takes its own window: index with one row and one column *for
# each example*. The flip draws one coin for each.

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
# They equal the course's own classes, draw by draw.

# %% check=True
batch = torch.arange(8 * 3 * 32 * 32).view(8, 3, 32, 32).to(torch.uint8)
theirs = {random_crop: augment.RandomCrop(4), horizontal_flip: augment.HorizontalFlip()}
for ours in theirs:
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    result = ours(batch, generators[0])
    assert torch.equal(result, theirs[ours](batch, generators[1]))
    print(ours.__name__, tuple(batch.shape), "->", tuple(result.shape), result.dtype)

# %% [markdown] slide="subslide"
# And each example has its own draw: eight copies of one photograph become eight images.

# %%
generator = torch.Generator().manual_seed(0)
crop, flip = augment.RandomCrop(4), augment.HorizontalFlip()
copies = photo.expand(8, -1, -1, -1)
top, left = crop.draw(copies, generator)
coins = flip.draw(copies, generator)
print("row     ", top.tolist())
print("column  ", left.tolist())
print("mirrored", coins.int().tolist())
views = flip.apply(crop.apply(copies, (top, left)), coins)
print(len(views.unique(dim=0)), "different images from 8 copies")

# %% [markdown] slide="subslide"
# The loader applies them to each batch, and draws anew in each epoch. The validation set
# gets none: it must look like the images to come.

# %%
# alt: Eight photographs, and below them the same eight in the next epoch: cropped and
# alt: mirrored in another way.
crop_flip = (augment.RandomCrop(4), augment.HorizontalFlip())
loader = photos.train.subset(8).raw().loader(8, augment=crop_flip)
epochs = [next(iter(loader))[0].cpu() for _ in range(2)]
titles = [f"epoch {epoch + 1}" for epoch in range(2) for _ in range(8)]
title = "The same eight labels, never the same image"
pictures.image_grid(torch.cat(epochs), titles, title=title);

# %% [markdown] slide="slide"
# ## Assemble: a small network for photographs
#
# Three blocks of lecture 00, each a convolution, ReLU and pooling, and one linear layer.
# How large are the maps that enter it?

# %%
def small_cnn(width=16):
    """Blocks of `width`, 2 `width` and 4 `width` channels, then a linear layer."""
    blocks = [conv_pool(3, width), conv_pool(width, 2 * width)]
    blocks += [conv_pool(2 * width, 4 * width), nn.Flatten()]
    return nn.Sequential(*blocks, nn.Linear(4 * width * 4 * 4, 10))

# %% check=True
look.shape_table(small_cnn(), (3, 32, 32), depth=1)

# %% [markdown]
# Three poolings halve 32 to 4, so 64 × 4 × 4 = 1,024 numbers enter the linear layer.

# %% [markdown] slide="slide"
# ## Train: equal looks, few or many images
#
# A fair comparison needs a rule. Ours: **each network looks at equally many images in
# all.** With few examples it sees each one often, with many it sees each one seldom.

# %%
looks = course.pick(tiny=1500, small=32_000, full=320_000)
sizes = course.pick(
    tiny=(20, 100, 500), small=(500, 2000, 8000), full=(500, 2000, 8000, 45_000)
)
few, many = sizes[0], sizes[-1]
width = course.pick(tiny=8, small=16, full=64)
batch_size = course.pick(tiny=20, small=50, full=100)
watched = photos.val.subset(course.pick(tiny=100, small=500, full=2000))
recipes = {"as they are": (), "crop and flip": crop_flip}

# %% [markdown] slide="subslide"
# `keep_best=False`: nothing is chosen by the validation set, so it stays a fair judge.
# For the curves, the first seed's network is measured after each epoch.

# %%
def train_cnn(n, changes, seed, looks=looks):
    """A network that saw `n` photographs, `looks` in all, and its history."""
    torch.manual_seed(seed)
    model, some = small_cnn(width), photos.train.subset(n, seed=seed)
    loader = some.loader(batch_size, augment=changes, shuffle=True, seed=seed)
    val = watched.loader(500) if seed == 0 else None
    settings = {"optimizer": "adam", "lr": 0.003, "schedule": "onecycle"}
    settings |= {"keep_best": False, "progress": False}
    return model, fit(model, loader, val, epochs=looks // n, **settings)


def accuracies(trained):
    """Accuracy of each seed's network on all validation photographs."""
    val = photos.val.loader(500)
    return [evaluate(model, val).accuracy for model, _ in trained]

# %% [markdown] slide="subslide"
# Two recipes, several sizes, several seeds: the longest run of this lecture.

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
plot.band(sizes, lines, title="When does it pay to show photographs in new forms?");

# %% [markdown] slide="subslide"
# In numbers: percent right, mean and standard deviation over seeds.

# %%
print("photographs   looks at each   as they are   crop and flip   gain (points)")
for i, n in enumerate(sizes):
    plain, augmented = (torch.tensor(rights[name][i]) for name in recipes)
    line = [f"{100 * x.mean():.1f} ± {100 * x.std():.1f}" for x in (plain, augmented)]
    gain = 100 * (augmented - plain).mean()
    print(f"{n:11,}{looks // n:16}{line[0]:>14}{line[1]:>16}{gain:+16.1f}")

# %% [markdown] slide="notes"
# Each seed draws its own subset and its own first weights, and both recipes of a seed
# share them. At scale `tiny` a few drawings and a few looks show how the cells work, not
# what photographs do: what we say of the gain is about `small` and `full`.

# %% [markdown]
# Read the last column from top to bottom. Where do new views help, and where do they
# *cost*? The curves tell why.

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
title = "Where is the gap between training and validation?"
plot.curves(panels, metric="accuracy", panels=True, title=title);

# %% [markdown]
# Where training nears 100 % there is a gap to close, and new views close a part of it.
# Where each photograph has hardly been seen there is no gap: views make the task harder,
# and that is all.

# %% [markdown] slide="subslide"
# So the many photographs need more *looks*, not fewer changes. If that is right, more
# looks raise their gain. A prediction that can fail:

# %%
more = course.pick(tiny=2, small=5, full=5) * looks
longer = {
    name: accuracies([train_cnn(many, changes, 0, looks=more)])[0]
    for name, changes in recipes.items()
}
gain = 100 * (longer["crop and flip"] - longer["as they are"])
print(f"{many:,} photographs, {more // many} looks at each, one seed:")
print(", ".join(f"{name} {right:.1%}" for name, right in longer.items()))
print(f"gain {gain:+.1f} points")

# %% [markdown] slide="slide"
# ## Mixup and CutMix change the label too
#
# So far an augmentation had to keep the label. These two mix **two examples and their
# labels**: mixup lays one image over the other, CutMix pastes a part of it. Whoever sees
# 70 % cat and 30 % ship should say so.

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
title = "Above mixup, below CutMix: what would you call them?"
pictures.image_grid(mixed, titles, columns=6, title=title);

# %% [markdown] slide="subslide"
# The share that an image keeps, λ, is drawn for each pair from Beta(α, α). It mixes
# images and labels alike:
#
# $$\tilde{x} = \lambda x_i + (1 - \lambda)\, x_j \qquad
# \tilde{y} = \lambda y_i + (1 - \lambda)\, y_j$$
#
# Small α leaves most images nearly whole; α = 1 draws any share alike. CutMix sets λ to
# the area that was not pasted over.

# %% [markdown] slide="subslide"
# The loss is cross-entropy as in lecture 00, with shares in place of one right class.
# Three classes, 0.7 and 0.3 of the first two: what does this prediction cost, and what
# does the best one cost?

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
# Even the best prediction costs 0.611 nats. **So training loss and accuracy now mean
# something else**: they are about mixed images, and never reach 0 and 100 %. Only the
# validation curve can be compared with other runs.

# %% [markdown] slide="subslide"
# What do they buy, alone and on top of crop and flip? The smallest size again.

# %%
mixes = {
    "mixup": (augment.MixUp(1),),
    "CutMix": (augment.CutMix(1),),
    "crop, flip, CutMix": (*crop_flip, augment.CutMix(1)),
}
for name, changes in mixes.items():
    trained[name, few] = [train_cnn(few, changes, seed) for seed in seeds]
compared = {name: accuracies(trained[name, few]) for name in [*recipes, *mixes]}

# %% slide="subslide"
# alt: Bars with whiskers over seeds: validation accuracy of five recipes on the smallest
# alt: number of photographs.
best = max(compared, key=lambda name: sum(compared[name]))
title = f"{few} photographs: is mixing worth as much as cropping?"
plot.bars(compared, highlight=best, title=title);

# %% [markdown] slide="subslide"
# And in training? Which recipe still knows its examples by heart?

# %%
print("recipe               training   validation")
for name, values in compared.items():
    train = [history["train_accuracy"][-1] for _, history in trained[name, few]]
    train, val = torch.tensor(train), torch.tensor(values)
    print(f"{name:18}{train.mean():11.1%}{val.mean():13.1%} ± {100 * val.std():.1f}")

# %% [markdown] slide="notes"
# At `small`, CutMix alone brings less than crop and flip, mixup next to nothing, and
# CutMix on top of crop and flip nothing: it falls behind, by less than the spread. That
# is no verdict on mixing. The papers train networks of millions of weights for 200 epochs
# (mixup) or 300 (CutMix), until they know all
# images by heart in spite of crops. Look at our training accuracy with crop, flip and
# CutMix: this network has no examples by heart any more. It would need more looks, as the
# 8,000 photographs did.

# %% [markdown] slide="slide"
# ## The same in torchvision's v2
#
# Most code that you will meet uses torchvision. Its `v2` transforms take **one image**,
# and the data loader calls them for each:

# %%
from torchvision.transforms import v2

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
# | here, a batch at once | `v2`, one image | beware |
# |---|---|---|
# | `RandomCrop(4)` | `RandomCrop(32, padding=4)` | the size must be given |
# | `HorizontalFlip()` | `RandomHorizontalFlip()` | |
# | `Rotation(20)` | `RandomRotation(20, InterpolationMode.BILINEAR)` | default: nearest pixel |
# | `RandomResizedCrop()` | `RandomResizedCrop(32)` | shrinks with antialiasing |
# | `ColorJitter(...)` | `ColorJitter(...)` | rounds uint8 after each step |
# | `Cutout(12)` | `RandomErasing()` | draws area and shape, not a square |
# | `MixUp(1)`, `CutMix(1)` | `MixUp(num_classes=10)`, `CutMix(...)` | on a batch: one λ for all |

# %% [markdown] slide="subslide"
# The same parameters must give the same pixels. We draw with our classes, and let
# torchvision's functions do the change.

# %%
from torchvision.transforms.v2 import functional as TF

top, left = crop.draw(eight, generator)
coins = flip.draw(eight, generator)
ours = flip.apply(crop.apply(eight, (top, left)), coins)
theirs = []
for image, y, x, coin in zip(eight, top, left, coins, strict=True):
    image = TF.crop(TF.pad(image, 4), int(y), int(x), 32, 32)
    theirs.append(TF.horizontal_flip(image) if coin else image)
assert torch.equal(ours, torch.stack(theirs))
print("equal, pixel by pixel")

# %% [markdown] slide="slide"
# ## One draw for a whole batch is wrong
#
# `v2` accepts a batch too, and is then many times as fast. Here is what it does to eight
# photographs. What is wrong with the second row?

# %%
# alt: Eight photographs, and below them the same: all moved by the same number of pixels,
# alt: and all mirrored or none.
whole_batch = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()])
torch.manual_seed(0)
rows = torch.cat([eight, whole_batch(eight)])
pictures.image_grid(rows, title="Below, v2 on the batch: what do all have in common?");

# %%
copies = photo.expand(1000, -1, -1, -1)
each = horizontal_flip(random_crop(copies, generator), generator)
made = {"v2 on a batch": whole_batch(copies), "one draw each": each}
for name, views in made.items():
    print(f"{name}: {len(views.unique(dim=0))} different views of 1000 copies")

# %% [markdown]
# One place and one coin for all. It was made for videos, where all frames must move
# together. No error, no warning.

# %% [markdown] slide="subslide"
# **What does it do to training?** A step averages over its batch, so that the luck of
# single draws cancels, the better the larger the batch. How does the loss of *one* batch
# scatter, if we measure it again and again with new draws?

# %%
def in_one_draw(images, generator):
    """`v2` on the batch, as an augmentation for our loader."""
    return whole_batch(images)


batches = course.pick(tiny=(10, 50, 250), small=(10, 100, 1000), full=(10, 100, 1000))
model, _ = trained["as they are", few][0]
ways = {"one draw each": crop_flip, "one draw for all": (in_one_draw,)}
scatter = {name: [] for name in ways}
for name, changes in ways.items():
    for n in batches:
        loader = photos.val.subset(n).loader(n, augment=changes)
        losses = torch.tensor([evaluate(model, loader).loss for _ in range(30)])
        scatter[name].append(losses.std().item())

# %% slide="subslide"
# alt: Scatter of a batch's loss against its size: with one draw each it falls towards
# alt: zero, with one draw for all it stays.
label = "scatter of its loss (nats)"
title = "Does a larger batch make the loss calmer?"
plot.band(batches, scatter, xlabel="photographs in a batch", ylabel=label, title=title);

# %% [markdown]
# With one draw each the scatter falls, by theory as $1/\sqrt{n}$. With one draw for all
# it stays: what all photographs have in common when they move never cancels.

# %% [markdown] slide="subslide"
# And the accuracy? The same training as before, with one draw for each batch.

# %%
wrong = [train_cnn(few, (in_one_draw,), seed) for seed in seeds]
compared["one draw for all"] = accuracies(wrong)
for name in ("as they are", "crop and flip", "one draw for all"):
    values = 100 * torch.tensor(compared[name])
    print(f"{name:18}{values.mean():6.1f} ± {values.std():.1f} % right")

# %% [markdown]
# Compare the difference with the spread before you judge. In many small batches much of
# the noise averages out over the steps. That is why this fault lives on unseen in
# people's code, and why we look at the images, and not at the accuracy alone.

# %% [markdown] slide="slide"
# ## Look inside
#
# A network that learned from views should not mind views. We show it validation
# photographs, each in many views. How often does it stay with what it says of the
# photograph itself?

# %%
asked, draws = photos.val.subset(course.pick(tiny=100, small=500, full=2000)), 20
views = asked.take(torch.arange(len(asked)).repeat_interleave(draws))
for name in recipes:
    model, _ = trained[name, few][0]
    plain = predict(model, asked.loader(500))[0].argmax(1)
    again = predict(model, views.loader(500, augment=crop_flip))[0].argmax(1)
    same = (again.view(-1, draws) == plain[:, None]).float()
    always = same.all(dim=1).float().mean()
    print(f"{name:14} same answer for {same.mean():.1%} of views,", end=" ")
    print(f"for all {draws} views of {always:.1%} of the photographs")

# %% [markdown] slide="subslide"
# The same in a picture: the numbers before the last layer, brought to two by PCA. Each
# colour is *one photograph* in forty views.

# %%
def show_views(name):
    """The views of ten photographs in the plane, by one network's features."""
    ten = photos.val.subset(10)
    views = ten.take(torch.arange(10).repeat_interleave(40))
    loader = views.loader(400, augment=crop_flip)
    features, labels = look.features(trained[name, few][0][0], loader, "3")
    groups = features.view(10, 40, -1)
    middles = groups.mean(dim=1)
    within = (groups - middles[:, None]).norm(dim=2).mean()
    between = (middles - middles.mean(dim=0)).norm(dim=1).mean()
    ratio = f"{within / between:.2f} times as far as photographs"
    title = f"Recipe: {name}. Views of one photograph scatter {ratio}"
    pictures.scatter(look.embedding(features), labels, photos.classes, title=title)

# %% slide="subslide"
# alt: Forty views of each of ten photographs as points: the ten groups overlap.
show_views("as they are");

# %% [markdown] slide="subslide"
# And of the network that trained on views. Which photographs fell apart, which hold?

# %%
# alt: The same views by the features of the network trained on views: the ten groups are
# alt: tighter against their distances.
show_views("crop and flip");

# %% [markdown] slide="subslide"
# **Where is each network sure, and wrong?** The surest mistakes: above those of the
# network trained without augmentation, below those of the one trained with it.

# %%
chosen, titles = [], []
for name in recipes:
    logits, labels = predict(trained[name, few][0][0], photos.val.loader(500))
    for i, guess, sure in zip(*look.most_wrong(logits, labels, 6), strict=True):
        chosen.append(photos.val.images[i])
        true, read = photos.classes[labels[i]], photos.classes[guess]
        titles.append(f"{true}\nread {read}\n{sure:.0%} sure")

# %% slide="subslide"
# alt: Twelve photographs, each with the true class, the class that was read, and how sure
# alt: the network was.
title = "Above the recipe as they are, below crop and flip"
pictures.image_grid(chosen, titles, columns=6, title=title);

# %% [markdown] slide="subslide"
# How sure is it of *all* validation photographs, and how often is it right?

# %%
for name in recipes:
    logits, labels = predict(trained[name, few][0][0], photos.val.loader(500))
    sure, guesses = logits.softmax(dim=1).max(dim=1)
    right = (guesses == labels).float().mean()
    print(f"{name:14} {sure.mean():.0%} sure on average, {right:.0%} right")

# %% [markdown]
# A network that knows its training images by heart is far too sure of new ones. New
# views bring its confidence nearer to the truth.

# %% [markdown] slide="slide"
# ## Against the paper
#
# Our gain beside published ones. Each compares two trainings that differ in the
# augmentation alone.

# %%
# alt: Bars of the gain in points: ours for the smallest size, and published ones from
# alt: about 6 points for crop and flip to under 1 for Cutout.
gain = sum(compared["crop and flip"]) - sum(compared["as they are"])
gains = {
    f"ours: crop and flip, {few} photos": 100 * gain / len(seeds),
    "ResNet-18: crop and flip": 10.63 - 4.72,
    "ResNet-18: Cutout on top": 4.72 - 3.99,
    "PreAct ResNet-18: mixup on top": 5.6 - 4.2,
    "AlexNet: colours shifted, on top": 1.0,
    "LeNet-5: distorted digits": 0.95 - 0.8,
}
title = "What have augmentations brought, in points of accuracy?"
plot.bars(gains, xlabel="gain (points)", highlight=next(iter(gains)), title=title);

# %% [markdown]
# ResNet-18 errs on one photograph in ten and gains about as many points as our network,
# which at `small` errs on six in ten. So compare *shares of the errors*: crop and flip
# remove more than half of ResNet-18's, and less than a tenth of ours.

# %% [markdown] slide="notes"
# Test errors in percent: ResNet-18 on all of CIFAR-10, 10.63 without and 4.72 with crop
# and flip, 3.99 with Cutout (DeVries and Taylor 2017, Table 1 and their code's page);
# PreAct ResNet-18 5.6 and with mixup 4.2 (Zhang et al. 2018, Fig. 3a; their code's page
# gives 5.53 and 4.24). AlexNet (sec. 4.1): crops of 224 × 224 and mirrors enlarge the
# training set by a factor of 2,048, and without them "our network suffers from
# substantial overfitting"; shifting the colours along their principal components lowers
# the top-1 error by over 1 point, here drawn as 1. LeNet-5 on MNIST: 0.95 and 0.8
# (LeCun et al. 1998, sec. III).
#
# What differs in ours, at `small`: 500 photographs in place of 50,000, a network of 34
# thousand parameters in place of 11 million, and no batch normalisation. We measure on
# the validation set; they on the test set.

# %% [markdown] slide="slide"
# ## Answer
#
# How many points does it buy to show each photograph in a new form? The test set's one
# use, for the networks of the smallest size:

# %%
test = photos.test.loader(500)
final = []
for name in recipes:
    rights = [evaluate(model, test).accuracy for model, _ in trained[name, few]]
    final.append(torch.tensor(rights))
    print(f"{name:14} {final[-1].mean():.1%} ± {100 * final[-1].std():.1f}")
plain, augmented = (values.mean() for values in final)
run.headline(
    f"{few} photographs: {plain:.1%} as they are, {augmented:.1%} with crop and flip,"
    f" {100 * (augmented - plain):+.1f} points (mean of {len(seeds)} seeds)"
)

# %% [markdown] slide="fragment"
# Not one new label was paid for. What we paid was time, and knowledge: that a horse
# moved or mirrored is a horse. Where training does not overfit, or the claim is false,
# the same lines cost accuracy.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 02.1 Predict: how many views?
#
# `RandomCrop(4)` on 32 × 32, then `HorizontalFlip()`. Into how many different images can
# one photograph turn?

# %%
# solution
views = (2 * 4 + 1) ** 2 * 2

# %%
check("02.1", views)

# %% [markdown] slide="subslide"
# ### 02.2 Predict: a mixed label
#
# Mixup lays λ = 0.7 of an image of class 3 over one of class 5; there are ten classes.
# Write the ten numbers of the mixed label.

# %%
# solution
label = [0, 0, 0, 0.7, 0, 0.3, 0, 0, 0, 0]

# %%
check("02.2", label)

# %% [markdown] slide="subslide"
# ### 02.3 Modify: a sideways shift
#
# Write an augmentation that moves each example left or right by its own whole number of
# pixels, from −`most` to `most`. Zeros come in at the border; size and type stay.

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
# For three tasks, list those of `"shift"` (by a few pixels), `"mirror"`, `"quarter turn"`
# and `"any hue"` that keep every label: grey scans of digits; traffic signs (arrows,
# blue and red discs); land use seen from a satellite (forest, river, dry field, ...).
# Give a dict with the keys `"digits"`, `"traffic signs"` and `"satellite"`, each with a
# list. A change that leads out of the task (to no digit, to no sign) keeps no label, and
# a change may come twice.

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
# **Explain** in one sentence each: which labels does the worst of your refused changes
# exchange?

# %% [markdown] solution=True
# Digits: half a turn, two quarter turns, exchanges 6 and 9; a hue does nothing to grey.
# Traffic signs: a mirror exchanges "keep left" and "keep right", a quarter turn "ahead"
# and "turn left", a hue red and blue, prohibition and command. Satellite: seen from above
# no direction is special, but a hue makes a dry field green: another class.

# %% [markdown] slide="subslide"
# ### 02.5 Investigate: how far to turn?
#
# Train on few digits with `augment.Rotation(d)` for d in 0, 15, 45, 90 and 180, and
# measure on the validation digits as they are. Give `{degrees: accuracy}`, accuracies as
# fractions. Where does the gain turn into a loss?

# %%
# solution
by_degrees = {}
for degrees in (0, 15, 45, 90, 180):
    model = train_digits(*few_digits, (augment.Rotation(degrees),))
    by_degrees[degrees] = evaluate(model, digits.val.loader(500)).accuracy
    print(f"{degrees:3}°  {by_degrees[degrees]:.1%}")

# %%
check("02.5", by_degrees)

# %%
check.progress("02")

# %% [markdown] slide="slide"
# ## Recap
#
# - An augmentation claims that a change keeps the label. Test it: train with it, look at
#   the confusions, and judge by new examples as they come.
# - A crop is one of (2p + 1)² windows; index `unfold` with one place *for each example*.
# - Augmentation pays where images are seen often and known by heart. Where they are seen
#   seldom, it costs. Measure over seeds.
# - Mixup and CutMix mix labels with the images; cross-entropy takes shares as it takes
#   classes. On a batch, `v2` draws once for all.

# %% [markdown] slide="skip"
# ## References
#
# - Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural
#   Networks. NeurIPS 2012. Section 4.1.
# - LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document
#   Recognition. Proceedings of the IEEE 86(11), 1998. Section III.
# - DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout.
#   arXiv:1708.04552, 2017. Table 1.
# - Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018.
#   Section 2, Fig. 3a.
# - Yun et al.: CutMix: Regularization Strategy to Train Strong Classifiers with
#   Localizable Features. ICCV 2019. Section 3.1.
# - Data: MNIST (LeCun, Cortes, Burges) and CIFAR-10 (Krizhevsky 2009); sources and
#   licences stand in `data/README.md`.
