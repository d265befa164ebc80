# %% [markdown] slide="slide"
# # Foundations: a network that reads digits
#
# From one multiplication on paper to LeNet-5, which read bank cheques by the million.
# We compute each of its operations by hand, build it, train it, and look inside.
#
# *LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document
# Recognition. Proceedings of the IEEE, 1998.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute the output size and the number of parameters of any convolution;
# 2. write softmax, cross-entropy and a training step without help;
# 3. build LeNet-5, account for each of its 61,706 parameters, and train it;
# 4. recognise a doubled softmax by its loss, and repair it.
#
# A run takes half a minute at scale `tiny`, and two to six minutes at `small` on a
# laptop.

# %% [markdown] slide="slide"
# ## Question
#
# LeNet-5 is 61,706 numbers. We show it 54,000 handwritten digits, a few times over.
#
# **Of 10,000 digits that it has never seen, how many does it misread?**
#
# *A guess, before anything is computed: 10, 100 or 1,000?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from teaching import check, diagrams, kernels, sliders
from utils import course, data, look, pictures, plot, recipe
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
digits, photos = data.mnist(), data.cifar10()

# %% [markdown] slide="slide"
# ## The idea: a function from pixels to labels
#
# Classification asks for one function: an image goes in, one of $K$ labels comes out.
# For a digit, 28 × 28 = 784 numbers go in. Here is every second row and column of one.
# Which digit is it?

# %%
digits.train.images[0, 0, 4:26:2, 4:26:2]

# %% slide="subslide"
# alt: Sixteen handwritten digits with the same label: thin and thick, upright and
# alt: slanted.
label = digits.train.labels[0]
alike = digits.train.images[digits.train.labels == label]
title = f"The first was a {label}. Which rule covers all sixteen?"
pictures.image_grid(alike[:16], title=title);

# %% [markdown] slide="notes"
# Strokes lean, bend, break and touch. Nobody has written down a rule that covers all
# images of one digit. So we choose a family of functions with many adjustable numbers,
# the *parameters*, and let labelled examples set them.

# %% [markdown] slide="subslide"
# Could we compare an image with known ones, pixel by pixel? Let us move the digit by
# three pixels. For us it stays the same.

# %%
# alt: A digit, the same one three pixels further to the right, and the nearest image
# alt: with another label; above them the distances to the first.
first, moved = alike[0].float(), alike[0].float().roll(3, dims=2)
others = digits.train.images[digits.train.labels != label][:5000].float()
distances = (others - first).flatten(1).norm(dim=1) / 255
titles = [f"a {label}", f"moved: {(moved - first).norm() / 255:.1f} away"]
titles += [f"another digit: {distances.min():.1f} away"]
three = torch.stack([first, moved, others[distances.argmin()]]) / 255
pictures.image_grid(three, titles, title="Which is nearer to the first, in pixels?");

# %% [markdown]
# The moved digit lies farther from itself than a different digit does.

# %% [markdown] slide="subslide"
# How far does this take us? Give every image the label of its nearest neighbour in
# pixels.

# %%
def nearest_accuracy(known, asked):
    """Fraction of the asked images whose nearest known image has their label."""
    a, b = asked.images.flatten(1).float(), known.images.flatten(1).float()
    guesses = known.labels[torch.cdist(a, b).argmin(dim=1)]
    return (guesses == asked.labels).float().mean().item()


for images in (digits, photos):
    right = nearest_accuracy(images.train.subset(4000), images.val.subset(500))
    print(f"{images.train.name}: {right:.0%} right, where chance gives 10%")

# %% [markdown]
# Digits stand alone, in the middle of their frame, and pixels take us far. In a
# photograph nothing has its place. We need functions that look for *local patterns,
# wherever they are*.

# %% [markdown] slide="subslide"
# **LeNet-5 turns 784 pixels into ten scores.** Convolutions find patterns, poolings
# forget their exact place, linear layers decide.

# %% tags=["hide-input"]
Stage = diagrams.Stage
diagrams.network(
    [
        Stage("input", "digit", 1, 28),
        Stage("conv", "C1: conv 5×5, padding 2", 6, 28),
        Stage("pool", "S2: mean 2×2", 6, 14),
        Stage("conv", "C3: conv 5×5", 16, 10),
        Stage("pool", "S4: mean 2×2", 16, 5),
        Stage("linear", "C5: linear", 120),
        Stage("linear", "F6: linear", 84),
        Stage("linear", "output", 10),
    ],
    alt="LeNet-5: a digit of 1×28×28, two convolutions of 6 and 16 maps, each followed"
    " by pooling, then linear layers of 120, 84 and 10 values.",
)

# %% [markdown] slide="notes"
# After Fig. 2 of the paper. Width stands for channels, height for resolution.
# Simplified: the paper draws the digit in a 32 × 32 frame, which our padding by 2
# gives; it trains a weight and a bias in each pooling; and its last layer measures
# distances to drawn digits.

# %% [markdown] slide="slide"
# ## A convolution is a sliding weighted sum
#
# Lay a small *kernel* on a window of the image, multiply cell by cell, add up. Then
# slide on. The marked number is 1 + 0 + 2 − 0 − 3 − 0 = 0. Check one more by hand.

# %% check=True
image = torch.tensor([[1.0, 2, 0, 1], [0, 1, 3, 1], [2, 1, 0, 0], [1, 0, 1, 2]])
kernel = torch.tensor([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]])
diagrams.convolution(image, kernel, at=(0, 0))

# %% [markdown] slide="subslide"
# In code it is two loops. Torch computes the same numbers, thousands of times faster.

# %% check=True
def convolve(image, kernel):
    """Slide the kernel over the image; (H, W), (k, k) -> (H - k + 1, W - k + 1)."""
    k = len(kernel)
    output = torch.zeros(image.shape[0] - k + 1, image.shape[1] - k + 1)
    for i in range(output.shape[0]):
        for j in range(output.shape[1]):
            output[i, j] = (image[i : i + k, j : j + k] * kernel).sum()
    return output


by_torch = F.conv2d(image[None, None], kernel[None, None])[0, 0]
assert torch.equal(convolve(image, kernel), by_torch)
by_torch

# %% [markdown] slide="notes"
# `conv2d` wants a batch of images with channels, `(N, C, H, W)`, and kernels
# `(C_out, C_in, k, k)`: hence the two `None`. A mathematician calls this operation
# *cross-correlation*; a convolution in the strict sense turns the kernel by 180 degrees
# first. A network learns its kernels, so it would learn them turned, and nothing is
# lost.

# %% [markdown] slide="subslide"
# What does a kernel see? Ours subtracts right from left: it is 0 where nothing changes.
# Four kernels on one digit; grey is 0, white positive, black negative.

# %%
# alt: A digit and what four kernels make of it: its left and right edges, its upper and
# alt: lower edges, a blurred copy, and its outline.
detectors = {
    "left − right": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "upper − lower": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "mean": [[1 / 9] * 3] * 3,
    "centre − around": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}
digit = digits.train[0][0]
maps = [F.conv2d(digit, torch.tensor([[k]]) * 1.0) for k in detectors.values()]
shown = [(m / m.abs().max() + 1) / 2 for m in [digit, *maps]]
title = "What does each kernel look for?"
pictures.image_grid(shown, ["digit", *detectors], title=title);

# %% [markdown]
# Nine numbers find an edge anywhere in the image. A linear layer from 784 pixels to as
# many outputs needs 784² = 614,656.

# %% [markdown] slide="slide"
# ## A layer has a kernel for each channel pair
#
# A convolution layer with $C_{in}$ input and $C_{out}$ output channels holds, for each
# output channel, a *filter*: $C_{in}$ kernels and one bias. Their results are added. We
# predict the parameters of 3 → 8 channels with 3 × 3 kernels: 8 × (3 × 9 + 1) = 224.

# %% check=True
conv = nn.Conv2d(3, 8, kernel_size=3).requires_grad_(False)
photo = photos.train[0][0]  # (3, 32, 32)
by_hand = sum(convolve(photo[c], conv.weight[0, c]) for c in range(3)) + conv.bias[0]
assert torch.allclose(by_hand, conv(photo)[0], atol=1e-5)
print("weights", tuple(conv.weight.shape), "biases", tuple(conv.bias.shape))
print("parameters", sum(p.numel() for p in conv.parameters()))

# %% [markdown]
# $$\text{parameters} = C_{out}\,(C_{in}\,k^2 + 1)$$
# The size of the image does not appear: every position shares the same weights.

# %% [markdown] slide="slide"
# ## Padding and stride set the output size
#
# *Padding* p lays p rings of zeros around the image; *stride* s moves the window s
# cells at a time. Here p = 1 and s = 2. Which window gives the number at the lower
# right?

# %% check=True
diagrams.convolution(image, kernel, at=(0, 1), stride=2, padding=1)

# %% [markdown] slide="subslide"
# Let n be the side of the image and k that of the kernel. The padded side is n + 2p. The
# window takes one first place; then it can move by up to n + 2p − k cells, in steps of s.
# A step that does not fit is not taken.
#
# $$\text{output} = \left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# Cover the last two columns, and predict each line.

# %% check=True
def output_size(n, k, p=0, s=1):
    return (n + 2 * p - k) // s + 1


print("image  kernel  padding  stride    formula  torch")
for n, k, p, s in [(28, 5, 0, 1), (28, 5, 2, 1), (32, 3, 1, 2), (227, 11, 0, 4)]:
    window = torch.zeros(1, 1, k, k)
    by_torch = F.conv2d(torch.zeros(1, 1, n, n), window, padding=p, stride=s).shape[-1]
    print(f"{n:5}  {k:6}  {p:7}  {s:6}    {output_size(n, k, p, s):7}  {by_torch:5}")
    assert output_size(n, k, p, s) == by_torch

# %% [markdown] slide="notes"
# The second line is LeNet-5's first layer: padding by (k − 1) / 2 keeps the size. In
# the third line 31 / 2 is rounded down: the padding's last column is never visited. The
# fourth is AlexNet's first layer, from 227 pixels to 55.

# %% [markdown] slide="subslide"
# **Before you move it:** at stride 2 one column is left over here. Does more padding use
# it up? And which kernel keeps 8 × 8 at stride 1, with padding 2?

# %%
# alt: An image of 8 × 8 pixels in one ring of zeros. A window of 3 × 3 takes every
# alt: second place: four across and four down, so the output is 4 × 4. The last column
# alt: and the last row of zeros are hatched: no window reaches them.
ranges = {"image": (4, 12), "kernel": (1, 7), "stride": (1, 4), "padding": (0, 3)}
sliders.explore(kernels.windows, **ranges)

# %% [markdown] slide="notes"
# No padding does: it adds 2p, an even number, and 8 − 3 is odd. An image of 7 or 9
# pixels leaves nothing over. With padding 2 the kernel of 5 keeps the size, as in
# LeNet-5's first layer.

# %% [markdown] slide="slide"
# ## Pooling forgets the exact place
#
# Pooling puts one number for each window: its maximum, or its mean. It has no
# parameters, and its output follows the same formula. With a 2 × 2 window and stride 2,
# sides halve.

# %% check=True
shown = torch.tensor([[1.0, 3, 0, 2], [5, 1, 0, 0], [0, 2, 4, 4], [1, 1, 8, 0]])
windows = shown.unfold(0, 2, 2).unfold(1, 2, 2)  # (2, 2, 2, 2): window, then cell
maximum, mean = windows.amax(dim=(2, 3)), windows.mean(dim=(2, 3))
assert torch.equal(maximum, F.max_pool2d(shown[None], 2)[0])
assert torch.equal(mean, F.avg_pool2d(shown[None], 2)[0])
before = diagrams.grid(shown, label="feature map", window=(0, 0, 2, 2))
after = [diagrams.grid(m, window=(0, 0, 1, 1)) for m in (maximum, mean)]
diagrams.beside(before, "maximum", after[0], "mean", after[1])

# %% [markdown]
# Move the 5 to any other cell of its window: neither output changes. A pattern may
# shift a little, and the next layer does not notice. LeNet-5 takes means; later
# networks maxima.

# %% [markdown] slide="slide"
# ## An activation bends the line
#
# Two linear maps in a row are one linear map, so depth alone brings nothing. A
# non-linear *activation* between them does. Here are six of them, with their gradients.

# %%
activations = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "leaky ReLU (0.1)": lambda x: torch.maximum(0.1 * x, x),
    "maxout of x and −x/2": lambda x: torch.maximum(x, -x / 2),
    "ELU (α = 1)": F.elu,
}
x = torch.linspace(-4, 4, 801, requires_grad=True)
slopes = {n: torch.autograd.grad(f(x).sum(), x)[0] for n, f in activations.items()}

# %% tags=["hide-input"] slide="subslide"
# alt: Six activations from -4 to 4, each with its gradient dashed. Those of sigmoid and
# alt: tanh fall to zero on both sides, that of ReLU is zero on the left, the others
# alt: never vanish on both sides.
fig, axes = plt.subplots(2, 3, figsize=(7, 3.6), sharex=True, sharey=True)
for ax, (name, function) in zip(axes.flat, activations.items(), strict=True):
    ax.plot(x.detach(), function(x).detach(), color=plot.PALETTE["black"])
    ax.plot(x.detach(), slopes[name], "--", color=plot.HIGHLIGHT)
    ax.set(title=name, ylim=(-1.3, 2.3))
axes[0, 0].text(-3.8, 1.25, "activation")
axes[0, 0].text(-3.8, -0.85, "its gradient", color=plot.HIGHLIGHT)
fig.supxlabel("input", fontsize=11)
fig.suptitle("Where does the gradient die?", x=0.01, ha="left");

# %% [markdown] slide="subslide"
# Backpropagation multiplies the gradients of all layers. Read a few of them:

# %% check=True
print(f"{'gradient at':22}" + "".join(f"{at:8}" for at in (-4, -1, 1, 4)))
for name, slope in slopes.items():
    print(f"{name:22}" + "".join(f"{slope[i]:8.3f}" for i in (0, 300, 500, 800)))
print(f"largest of the sigmoid: {slopes['sigmoid'].max():.2f}")

# %% [markdown]
# The sigmoid passes on a quarter at best, and 2 % at ±4. ReLU passes all or nothing;
# leaky ReLU, maxout and ELU leave a way back from the negative side (ELU's fades: 2 %
# at −4).

# %% [markdown] slide="notes"
# LeNet-5 has tanh: its gradient is 1 at 0. Maxout takes the larger of two learned
# linear functions, $\max(w_1^T x + b_1, w_2^T x + b_2)$, and so doubles the parameters
# of its layer; the one drawn is an example. Lecture 03 measures what ReLU did for
# AlexNet.

# %% [markdown] slide="slide"
# ## Softmax turns scores into probabilities
#
# The last layer gives one score for each class, the *logits* $z$. Softmax makes them
# positive, with the sum 1:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$

# %% check=True
def naive_softmax(z):
    return z.exp() / z.exp().sum()


z = torch.tensor([2.0, 1.0, 0.1])
assert torch.allclose(naive_softmax(z), z.softmax(dim=0))
print(naive_softmax(z))
print(naive_softmax(z + 1000), "but torch says", (z + 1000).softmax(dim=0))

# %% [markdown]
# Adding 1,000 to all logits must change nothing: $e^{1000}$ cancels. On a computer it
# is infinite, and ∞ / ∞ is `nan`. Torch subtracts the largest logit first. So will we,
# in exercise 00.3.

# %% [markdown] slide="slide"
# ## Cross-entropy: the price of a surprise
#
# Let $P$ be the truth and $Q$ the prediction. The cross-entropy is
# $H(P, Q) = -\sum_i P_i \ln Q_i$. With one right class $y$ only one term remains:
# $-\ln Q_y$. What do these four predictions cost, if the first of two classes is right?

# %% check=True
truth = torch.tensor([1.0, 0.0])
for prediction in ([1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]):
    cost = -torch.xlogy(truth, torch.tensor(prediction)).sum()  # 0 ln 0 counts as 0
    print(f"{prediction}: {cost.abs():.3f} nats")

# %% [markdown]
# Nothing for a sure and right prediction; without limit for a sure and wrong one. The
# unit of the natural logarithm is the *nat*.

# %% [markdown] slide="subslide"
# `F.cross_entropy` takes **logits**, not probabilities: it applies the softmax itself,
# as $-z_y + \ln \sum_j e^{z_j}$. It returns the mean over the examples.

# %% check=True
logits = torch.tensor([[2.0, 1.0, 0.1], [0.0, 3.0, 0.0]])
labels = torch.tensor([0, 2])
by_hand = (logits.logsumexp(dim=1) - logits[[0, 1], labels]).mean()
assert torch.isclose(by_hand, F.cross_entropy(logits, labels))
print(f"by hand {by_hand:.4f}, torch {F.cross_entropy(logits, labels):.4f} nats")
uniform = F.cross_entropy(torch.zeros(1, 10), torch.tensor([3]))
print(f"equal scores for ten classes: {uniform:.3f} = ln 10 = {math.log(10):.3f} nats")

# %% [markdown]
# Keep the last line in mind: a network that knows nothing about ten classes costs
# **2.303 nats**. If training does not start there, something is wrong.

# %% [markdown] slide="slide"
# ## Assemble: LeNet-5
#
# We have all its parts. Follow its maps before running it: from 28 × 28 to which sizes?

# %% mirror="utils.models.lenet:LeNet5" slide="subslide"

# %% slide="subslide" check=True
look.shape_table(LeNet5(), (1, 28, 28))

# %% [markdown]
# C1 keeps 28 by padding, S2 halves it, C3 takes 4 away, S4 halves again: 28 → 28 → 14 →
# 10 → 5. So 16 × 5 × 5 = 400 numbers enter the first linear layer.

# %% [markdown] slide="subslide"
# Every one of its parameters, by hand. A linear layer has a weight for each pair and a
# bias for each output.

# %% check=True
by_hand = {
    "C1": 6 * (1 * 5 * 5 + 1),
    "C3": 16 * (6 * 5 * 5 + 1),
    "C5": 120 * (16 * 5 * 5 + 1),
    "F6": 84 * (120 + 1),
    "output": 10 * (84 + 1),
}
assert sum(by_hand.values()) == sum(p.numel() for p in LeNet5().parameters())
print(by_hand)
print(f"{sum(by_hand.values()):,} in all; {by_hand['C5'] / 61706:.0%} of them in C5")

# %% [markdown]
# The two convolutions hold 2,572 of them, one in twenty-four, and do most of the
# multiplications: the table above counts 117,600 and 240,000 of 416,520.

# %% [markdown] slide="slide"
# ## The pipeline has six steps
#
# | | step | in torch |
# |---|---|---|
# | 1 | the examples | `Dataset` |
# | 2 | batches of them | `DataLoader` |
# | 3 | a function with parameters | `nn.Module` |
# | 4 | how wrong it is | a loss |
# | 5 | how parameters move | an optimizer |
# | 6 | repeat, and measure | train and test loop |
#
# We write them out once in full; later one line, `fit`, does the same.

# %% [markdown] slide="subslide"
# **Steps 1 and 2.** A `Dataset` knows its length and gives example number `i`. The
# `DataLoader` shuffles and stacks. Pixels get mean 0 and standard deviation 1.

# %%
class Digits(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, label = self.images[i]  # (1, 28, 28) in [0, 1], and 0 to 9
        return (image - self.images.mean[0]) / self.images.std[0], label


few = Digits(digits.train.subset(course.pick(tiny=600, small=6000, full=6000)))
unseen = DataLoader(Digits(digits.val.subset(1000)), batch_size=250)

# %% [markdown] slide="subslide"
# **Steps 3, 4, 5.** The model, the loss, the optimizer. A function makes them anew from
# a seed, since we train twice.

# %%
def start_afresh():
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(few, batch_size=32, shuffle=True, generator=order)
    torch.manual_seed(0)
    model = LeNet5().to(run.device)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return loader, model, loss_function, optimizer


next(iter(start_afresh()[0]))[0].shape

# %% [markdown] slide="subslide"
# **Step 6, training.** For each batch: forward, loss, clear the old gradients,
# backward, step. `train()` and `eval()` tell layers such as dropout which pass it is.

# %%
def train_one_epoch(loader, model, loss_function, optimizer):
    model.train()
    total = 0.0
    for images, labels in loader:
        images, labels = images.to(run.device), labels.to(run.device)
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()  # gradients of the last step would be added
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)  # the last batch may be shorter
    return total / len(loader.dataset)

# %% [markdown] slide="subslide"
# **Step 6, testing.** No gradients, no step. We measure on the *validation set*; the
# test set waits until the end.

# %%
@torch.no_grad()
def accuracy(loader, model):
    model.eval()
    right = 0
    for images, labels in loader:
        guesses = model(images.to(run.device)).argmax(dim=1).cpu()
        right += (guesses == labels).sum().item()
    return right / len(loader.dataset)


parts, losses = start_afresh(), []
for _ in range(2):
    losses.append(train_one_epoch(*parts))
    print(f"loss {losses[-1]:.4f} nats, {accuracy(unseen, parts[1]):.1%} right")

# %% [markdown] slide="subslide"
# **Two faults that such loops often have.** The course's lecture slides had both. Which
# outputs do you expect?

# %% check=True
seven = 7
for guess in (8, 1):
    print(f"squared error of a 7 read as {guess}: {(seven - guess) ** 2}")
print("Predicted class: {guess}, true label: {seven}")

# %% [markdown]
# - `nn.MSELoss` on class numbers claims that a 1 is 36 times as wrong as an 8. Labels
#   are names, not amounts: cross-entropy treats all wrong classes alike.
# - The text lacks its `f`, so it prints braces in place of values. Right is
#   `print(f"Predicted class: {guess}, ...")`.

# %% [markdown] slide="notes"
# The squared error is not only the wrong measure. Ten outputs for each of 16 examples
# do not pair with 16 labels, so that line stops with an error; in a batch of ten it
# runs and compares every example with all ten labels.

# %% [markdown] slide="subslide"
# **`fit` does the same six steps.** From the same start it must give the same losses.

# %%
loader, model, _, sgd = start_afresh()
with recipe.use_precision("float32"):
    same = fit(model, loader, optimizer=sgd, epochs=2, progress=False)
for ours, theirs in zip(losses, same["train_loss"], strict=True):
    print(f"by hand {ours:.5f}, fit {theirs:.5f} nats")
    assert math.isclose(ours, theirs, rel_tol=0.01)

# %% [markdown] slide="notes"
# `fit` adds comfort. It keeps its sums on the device until the epoch ends, stops on a
# loss that is not finite, and keeps the best epoch's weights. It can save and resume.
# Its functions stand in `utils/train.py` and read from top to bottom in one sitting.

# %% [markdown] slide="slide"
# ## Train
#
# Now all 54,000 training digits. The loaders of the course keep the images in memory,
# so they are faster than a `Dataset` that gives one at a time.

# %% slide="subslide"
batch_size = course.pick(tiny=32, small=128, full=128)
train = digits.train.loader(batch_size, shuffle=True, seed=run.seed)
val = digits.val.loader(500)
epochs = course.pick(tiny=10, small=5, full=20)

torch.manual_seed(run.seed)
lenet = LeNet5()
history = fit(
    lenet, train, val, epochs=epochs, lr=0.1, schedule="onecycle", name="LeNet-5"
)

# %% slide="subslide"
# alt: Loss and accuracy of LeNet-5 on training and validation digits, epoch by epoch.
title = f"Before training the loss is {math.log(10):.2f} nats: how fast does it fall?"
plot.curves(history, title=title);

# %% [markdown]
# The training curve is averaged while the weights still move, the validation curve is
# taken after the epoch. So in the first epochs validation can look better than training:
# a lower loss, a higher accuracy.

# %% [markdown] slide="slide"
# ## Look inside
#
# The first layer's six kernels: red is positive, blue negative. Nobody drew them. Which
# ones answer to an edge?

# %%
# alt: Six kernels of five by five weights, each with a red and a blue region.
title = "What has the first layer learned to look for?"
pictures.filters(lenet.c1[0], columns=6, title=title);

# %% slide="subslide"
# alt: Feature maps of one digit in four layers: strokes and edges in C1 and S2, coarse
# alt: blobs in C3 and S4.
inputs, labels = next(iter(digits.val.loader(1)))
maps = look.feature_maps(lenet, inputs[0], ["c1", "s2", "c3", "s4"])
title = f"From strokes to parts: a {labels.item()} in four layers"
pictures.feature_maps(maps, title=title);

# %% [markdown]
# C1 still shows the digit, by its edges. In S4 each number sums up a region of the
# image: a part of a stroke is there, or is not. Shown are the first eight channels at
# most.

# %% [markdown] slide="subslide"
# **Where is it sure, and wrong?** The most confident mistakes on the validation set.

# %%
# alt: Misread digits, each with its label, what LeNet-5 read, and how sure it was.
logits, labels = predict(lenet, val)
worst, guesses, sure = look.most_wrong(logits, labels, 12)
titles = [
    f"{labels[i]} read {guess}\n{p:.0%}"
    for i, guess, p in zip(worst, guesses, sure, strict=True)
]
wrong = (logits.argmax(dim=1) != labels).sum()
title = f"{wrong} of {len(labels):,} validation digits are misread; the surest mistakes"
pictures.image_grid(digits.val.images[worst], titles, columns=6, title=title);

# %% slide="subslide"
# alt: Table of true against predicted digits, in percent; nearly all on the diagonal.
pictures.confusion(logits, labels, digits.classes);

# %% [markdown] slide="subslide"
# **Does it bear a shift better than pixels do?** We move the validation digits to the
# right. Predict: how many pixels until half of them are misread?

# %%
# alt: Accuracy against the shift in pixels, for LeNet-5 and for the nearest neighbour
# alt: in pixels; both fall.
known, asked = digits.train.subset(4000), digits.val.subset(500)
rights = {"LeNet-5": [], "nearest neighbour": []}
for shift in range(6):
    moved = replace(asked, images=asked.images.roll(shift, dims=3))
    rights["LeNet-5"].append(evaluate(lenet, moved.loader(500)).accuracy)
    rights["nearest neighbour"].append(nearest_accuracy(known, moved))
title = f"Moved by two pixels: LeNet-5 reads {rights['LeNet-5'][2]:.0%} right"
plot.band(range(6), rights, xlabel="shift to the right (pixels)", title=title);

# %% [markdown] slide="notes"
# A small shift costs LeNet-5 little: convolutions move with the stroke, poolings absorb
# the rest. But its linear layers read *places*, so after some pixels it fails too.
# Lecture 02 moves the training images instead.

# %% [markdown] slide="slide"
# ## Against the paper
#
# The test set's one use. The paper reports each method's errors on the same 10,000 test
# digits (Fig. 9); we add ours, scaled to 10,000 where a smaller set stands in.

# %%
test = evaluate(lenet, digits.test.loader(500))
errors = {
    "linear classifier": 1200,
    "3 nearest neighbours": 500,
    "one hidden layer of 300": 470,
    "LeNet-5, paper": 95,
    "LeNet-5, distorted digits added": 80,
    "LeNet-5, ours": round(10_000 * (1 - test.accuracy)),
}
print(f"{test.examples:,} test digits, {test.accuracy:.2%} right")

# %% slide="subslide"
# alt: Errors on 10,000 test digits: a linear classifier 1,200, three nearest neighbours
# alt: 500, a network with one hidden layer 470, LeNet-5 95, with distortions 80, and
# alt: ours.
title, label = "Do the numbers of 1998 come back?", "misread digits of 10,000"
plot.bars(errors, xlabel=label, highlight="LeNet-5, ours", title=title);

# %% [markdown] slide="notes"
# What differs? The paper trains on 60,000 digits for 20 passes; we keep 6,000 of them
# for validation, and make fewer passes at scale `small`. The paper has 60,000
# parameters: 156 + 12 + 1,516 + 32 + 48,120 + 10,164. So its poolings have 44, its C3
# has 900 fewer, and its output layer, which holds drawn digits, trains none. It
# minimises a squared distance to those drawings, with a step size for each parameter.
# We take cross-entropy, momentum, and one schedule for all.

# %% [markdown] slide="slide"
# ## Photographs: a two-layer CNN
#
# The lecture slides set this exercise: classify CIFAR-10, 60,000 photographs of 32 × 32
# pixels in ten classes, with two convolutions. The first eight training images:

# %%
# alt: Eight small photographs with their class names.
first = photos.train.images[:8]
names = [photos.classes[label] for label in photos.train.labels[:8]]
pictures.image_grid(first, names, title="Could you name all of them at this size?");

# %% [markdown] slide="subslide"
# A block, and the network made of it: 8 and 16 filters, then one linear layer.

# %% mirror="utils.models.small:conv_pool"

# %% mirror="utils.models.small:TwoLayerCNN" slide="subslide"

# %% slide="subslide" check=True
look.shape_table(TwoLayerCNN(), (3, 32, 32))

# %% [markdown] slide="subslide"
# The slides end the network with a softmax: what should come out is probabilities,
# after all. They train with SGD, learning rate 0.001, momentum 0.9, 8 images a batch, 4
# epochs.

# %%
class EndsInSoftmax(TwoLayerCNN):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)


def train_on_photos(model, name):
    some = photos.train.subset(course.pick(tiny=1600, small=None, full=None))
    loader = some.loader(8, shuffle=True, seed=run.seed)
    return fit(model, loader, photos.val.loader(500), epochs=4, lr=0.001, name=name)

# %% slide="subslide"
torch.manual_seed(run.seed)
faulty = EndsInSoftmax()
faulty_history = train_on_photos(faulty, "ends in softmax")

# %% [markdown]
# The slides report 33, 40, 44 and 47 % after the four epochs, and a loss near 2.0. The
# accuracy rises, so the network learns. **Predict: what is wrong?**

# %% [markdown] slide="slide"
# ## The fault: softmax twice
#
# `F.cross_entropy` applies the softmax itself, so the network's is the second one. Take
# a network that is perfectly sure, and right: it puts out 1 for class 3 and 0 for the
# rest.

# %% check=True
sure = F.one_hot(torch.tensor([3]), num_classes=10).float()
print(f"sure and right: {F.cross_entropy(sure, torch.tensor([3])):.3f} nats")
print(f"sure and wrong: {F.cross_entropy(sure, torch.tensor([5])):.3f} nats")
print(f"by hand: ln(1 + 9/e) = {math.log(1 + 9 / math.e):.3f} nats")

# %% [markdown]
# The second softmax sees scores 1 and 0 only: $e / (e + 9)$ is 23 %, and
# $-\ln\frac{e}{e + 9} = \ln(1 + \frac{9}{e}) = 1.461$. **No training brings the loss
# lower.** From sure and wrong to sure and right it moves by exactly one nat.

# %% [markdown] slide="subslide"
# Worse, the gradient fades. We let the right class's score lie above or below the nine
# others, and ask how hard one example pulls on it.

# %%
margin = torch.linspace(-10, 10, 401)
z = torch.zeros(401, 10)
z[:, 0] = margin  # class 0 is right
z.requires_grad_()
right = torch.zeros(401, dtype=torch.long)
pulls = {}
for name, outputs in {"logits": z, "probabilities": z.softmax(dim=1)}.items():
    loss = F.cross_entropy(outputs, right, reduction="sum")
    pulls[name] = -torch.autograd.grad(loss, z)[0][:, 0]
print({name: f"{pull[200]:.2f} at equal scores" for name, pull in pulls.items()})

# %% tags=["hide-input"] slide="subslide"
# alt: The pull on the right class's score against its lead over the others. With logits
# alt: it is 1 for a confident mistake and falls to 0 for a right answer; with
# alt: probabilities it is a small bump and 0 on both sides.
fig, ax = plt.subplots(figsize=(7, 2.6))
ax.plot(margin, pulls["logits"], color=plot.HIGHLIGHT)
ax.plot(margin, pulls["probabilities"], "--", color=plot.PALETTE["reddish purple"])
ax.text(-9.8, 0.86, "softmax once, in the loss", color=plot.HIGHLIGHT)
ax.text(-9.8, 0.07, "softmax twice", color=plot.PALETTE["reddish purple"])
ax.set(xlabel="lead of the right class's score", ylabel="pull towards it")
ax.set_title("Does a confident mistake still teach?");

# %% [markdown]
# With logits a confident mistake, at the left, pulls hardest. With the softmax doubled
# it pulls not at all, and at the start of training the pull is ten times too weak.

# %% [markdown] slide="slide"
# ## Repaired: return the logits
#
# The repair is to delete the softmax: `TwoLayerCNN` as it stands above. Same seed, same
# batches in the same order. How much will it gain after four epochs?

# %%
torch.manual_seed(run.seed)
repaired = TwoLayerCNN()
repaired_history = train_on_photos(repaired, "returns logits")

# %% slide="subslide"
# alt: Validation loss and accuracy of both networks over four epochs, with the slides'
# alt: accuracies dotted and the least loss that a doubled softmax allows.
both = {"ends in softmax": faulty_history, "returns logits": repaired_history}
slides = {"accuracy": {1: 0.33, 2: 0.40, 3: 0.44, 4: 0.47}}
title = "One deleted line: what is it worth?"
axes = plot.curves(both, paper=slides, paper_label="slides (test)", title=title)
axes[0].axhline(math.log(1 + 9 / math.e), color=plot.PALETTE["reddish purple"], ls="--")
axes[0].text(4, 1.48, "least if doubled: 1.461", fontsize=10, ha="right");

# %% [markdown] slide="subslide"
# The two losses are not on one scale, since one network hides its logits. Accuracies
# are. On the test set, once:

# %%
before = evaluate(faulty, photos.test.loader(500)).accuracy
after = evaluate(repaired, photos.test.loader(500)).accuracy
print(f"softmax twice {before:.1%}, repaired {after:.1%}; the slides report 47%")

# %% [markdown]
# A loss that starts at 2.303 and sticks near 2 while accuracy rises is the mark of this
# fault. It raises no error, and the network still learns: that is why it survives.

# %% [markdown] slide="slide"
# ## Answer
#
# Of 10,000 digits that it has never seen, how many does LeNet-5 misread?

# %% slide="fragment"
print(f"{errors['LeNet-5, ours']} of 10,000; in the paper 95.")
cnn = f"two-layer CNN {after:.1%} of photos, {before:.1%} with the fault"
run.headline(f"LeNet-5 {test.accuracy:.1%} of digits; {cnn}")

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it. A wrong answer gets a hint,
# the second time a stronger one. *Predict* means: write it down before any cell runs it.

# %% [markdown] slide="subslide"
# ### 00.1 Predict: three sizes
#
# With pencil and formula, without running a layer: how many pixels wide is the output
# of
#
# - (a) a 9 × 9 convolution with padding 4 and stride 2 on a 40 × 40 image,
# - (b) a 3 × 3 pooling with stride 2 on a 13 × 13 feature map,
# - (c) a 5 × 5 convolution with stride 2 and no padding on a 64 × 64 image?

# %%
# solution
sizes = (20, 6, 30)  # (a), (b), (c)

# %%
check("00.1", sizes)

# %% [markdown] slide="subslide"
# ### 00.2 Predict: the parameters of a layer
#
# How many parameters has `nn.Conv2d(3, 16, kernel_size=5)`? Count by hand.

# %%
# solution
parameters = 16 * (3 * 5 * 5 + 1)

# %%
check("00.2", parameters)

# %% [markdown] slide="subslide"
# ### 00.3 Write: a softmax that survives large logits
#
# It takes a batch of logits `(N, K)` and returns a probability for each class, row by
# row. Use no softmax of torch. It must bear logits of 1,000 and of −1,000.

# %%
def softmax(logits: Tensor) -> Tensor:
    """Probabilities; (N, K) -> (N, K), each row with the sum 1."""
    # solution
    powers = (logits - logits.max(dim=1, keepdim=True).values).exp()
    return powers / powers.sum(dim=1, keepdim=True)

# %%
check("00.3", softmax)

# %% [markdown] slide="subslide"
# ### 00.4 Explain: why does the doubled softmax stop there?
#
# CIFAR-100 has 100 classes. A network ends in a softmax, and trains with
# `F.cross_entropy`. Under which loss (nats) can it not fall?

# %%
# solution
least = math.log(1 + 99 / math.e)

# %%
check("00.4", least)

# %% [markdown]
# **Explain** in two sentences why, and why a network with *more* classes looks worse.

# %% [markdown] solution=True
# What the loss takes for logits are probabilities, so they lie between 0 and 1. The
# best is 1 for the right class and 0 for the K − 1 others. The loss's softmax makes of
# these $e / (e + K - 1)$, so the loss is at least $\ln(1 + (K - 1) / e)$. Each further
# class adds $e^0 = 1$ to the sum. Of ln 10 = 2.30 nats, 1.46 can never be learned away;
# of ln 100 = 4.61 nats, 3.62.

# %% [markdown] slide="subslide"
# ### 00.5 Modify: a third layer (slides)
#
# Change the slides' network: three `conv_pool` blocks with 8, 16 and 32 filters, then
# one linear layer to ten logits, for images of 3 × 32 × 32. Predict first: has it more
# parameters than the two-layer network's 11,642, or fewer?

# %%
class ThreeLayerCNN(nn.Module):
    """Shape: (N, 3, 32, 32) -> (N, 10), logits."""

    def __init__(self):
        super().__init__()
        # solution
        self.blocks = nn.Sequential(
            conv_pool(3, 8), conv_pool(8, 16), conv_pool(16, 32)
        )
        self.fc = nn.Linear(32 * 4 * 4, 10)
        # end solution

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits."""
        # solution
        return self.fc(torch.flatten(self.blocks(x), 1))

# %%
check("00.5", ThreeLayerCNN)

# %% [markdown]
# Train it with `train_on_photos(ThreeLayerCNN(), "three layers")`. What do fewer
# parameters cost, or gain?

# %% [markdown] slide="subslide"
# ### 00.6 Predict: how much gets through four sigmoids?
#
# Between C1's weights and the logits of LeNet-5 lie four activations. If all are
# sigmoids, what is the largest factor by which the four together multiply a gradient?

# %%
# solution
factor = 0.25**4

# %%
check("00.6", factor)

# %% [markdown] slide="subslide"
# ### 00.7 Investigate: the gradient that reaches C1
#
# Build `LeNet5(activation=activation)`, compute the cross-entropy of the batch, go
# backward, and return the mean absolute gradient of the first convolution's weights.

# %%
def gradient_at_c1(activation, images, labels) -> float:
    """Mean absolute gradient of C1's weights, before any training."""
    torch.manual_seed(0)
    # solution
    model = LeNet5(activation=activation)
    F.cross_entropy(model(images), labels).backward()
    return model.c1[0].weight.grad.abs().mean().item()
    # end solution


batch = next(iter(digits.train.loader(256, shuffle=True, device="cpu")))
for kind in (nn.Sigmoid, nn.Tanh, nn.ReLU):
    print(kind.__name__, gradient_at_c1(kind, *batch))

# %%
check("00.7", gradient_at_c1)

# %% [markdown]
# Then train `LeNet5(activation=nn.Sigmoid)` as above. How long does its loss stay at
# 2.303, and does another learning rate help?

# %% slide="skip"
check.progress("00")

# %% [markdown] slide="slide"
# ## Recap
#
# - A convolution slides one small kernel over the image. Its output has ⌊(n + 2p − k) /
#   s⌋ + 1 cells a side, its layer $C_{out}(C_{in} k^2 + 1)$ parameters.
# - Softmax makes probabilities of logits; cross-entropy is $-\ln p$ of the right class.
#   A step is: forward, loss, `zero_grad`, `backward`, `step`.
# - LeNet-5 has 61,706 parameters, of which C5 holds most. Trained for a few epochs, it
#   misreads about as few digits as the paper's.
# - The loss applies the softmax. A second one keeps the loss of ten classes above 1.461
#   and takes the gradient away where it is needed most.

# %% [markdown] slide="skip"
# ## References
#
# - Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: *Gradient-Based Learning Applied to
#   Document Recognition*, Proceedings of the IEEE 86(11), 1998. Section II.B and Fig. 2
#   (LeNet-5), Table I (C3), section III and Fig. 9 (results).
# - MNIST: Y. LeCun, C. Cortes, C. Burges; made of NIST's Special Databases 1 and 3.
#   Licence CC BY-SA 3.0.
# - CIFAR-10: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*,
#   2009, chapter 3. The authors name no licence and ask to be cited.
# - At scale `tiny`: the digits of scikit-learn (E. Alpaydin, C. Kaynak, UCI, CC BY
#   4.0), and drawings made by the course itself.
