# %% [markdown] slide="slide"
# # Foundations: a network that learns to read digits
#
# A network is a function with many adjustable numbers. Learning changes them, to make
# fewer mistakes. We compute every part by hand, build LeNet-5, and train it.
#
# *LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document
# Recognition. Proceedings of the IEEE 86(11), 1998.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. compute a convolution's output size and number of parameters;
# 2. find the gradient of a small network by hand, and say what `backward()` does;
# 3. write a training step without help: scores, loss, gradient, update;
# 4. build LeNet-5, account for each of its 61,706 parameters, and train it.
#
# About two minutes at scale `small` on a laptop.

# %% [markdown] slide="slide"
# ## Question
#
# LeNet-5 has 61,706 adjustable numbers, and sees 54,000 handwritten digits a few times.
#
# **Of 10,000 digits that it has never seen, how many does it misread?**
#
# *Write down your guess: 10, 100 or 1,000?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from teaching import check, diagrams, kernels, learning
from utils import course, data, look, pictures, plot
from utils.train import evaluate, fit, predict

run = course.start(seed=0)
digits, photos = data.mnist(), data.cifar10()

# %% [markdown] slide="slide"
# ## The idea: a function from pixels to labels
#
# *Classification*: an image goes in, one of $K$ labels comes out. A digit of 28 × 28
# pixels is 784 numbers. Here is every second row and column of one, without its empty
# border. Which digit is it?

# %%
digits.train.images[0, 0, 4:26:2, 4:26:2]

# %% slide="subslide"
# alt: Sixteen handwritten digits with the same label: thin and thick, upright and
# alt: slanted.
label = digits.train.labels[0]
alike = digits.train.images[digits.train.labels == label]
title = f"The numbers show a {label}: here are sixteen, and no two are alike"
pictures.image_grid(alike[:16], title=title);

# %% [markdown] slide="subslide"
# Nobody has written a rule for all images of one digit. So examples with labels set our
# function's adjustable numbers, its *parameters*.
#
# Could we compare pixels instead? The *distance* of two images is the root of the
# summed squared differences. We move a digit by three pixels (`roll`). Is another digit
# nearer than this copy?

# %%
# alt: A digit, the same one three pixels further to the right, and the nearest image
# alt: with another label; above them the distances to the first.
first, moved = alike[0].float(), alike[0].float().roll(3, dims=2)
others = digits.train.take((digits.train.labels != label).nonzero()[:5000, 0])
distances = (others.images.float() - first).flatten(1).norm(dim=1) / 255
nearest = distances.argmin()
titles = [f"a {label}", f"moved: {(moved - first).norm() / 255:.1f} away"]
titles += [f"a {others.labels[nearest]}: {distances.min():.1f} away"]
shown = torch.stack([first, moved, others.images[nearest]]) / 255
title = "In pixels, another digit is nearer than the same digit moved"
pictures.image_grid(shown, titles, title=title);

# %% [markdown] slide="subslide"
# Each image gets the label of its nearest among 4,000. How many digits are right, how
# many small photographs?

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
# In a photograph an object can stand anywhere, in any colour, on any background. We
# need functions that look for *local patterns, at every position*.

# %% [markdown] slide="subslide"
# **LeNet-5 turns 784 pixels into ten scores.** Convolutions find patterns, poolings
# make their position less exact, linear layers decide. Each is explained below.

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

# %% [markdown] slide="slide"
# ## A convolution is a sliding weighted sum
#
# Lay a small table of weights, the *kernel*, on a window of the image. Multiply cell by
# cell, and add up. Move the window by one cell and repeat. The marked number is the
# left column minus the right one: 3 − 3 = 0.

# %% check=True
image = torch.tensor([[1.0, 2, 0, 1], [0, 1, 3, 1], [2, 1, 0, 0], [1, 0, 1, 2]])
kernel = torch.tensor([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]])
diagrams.convolution(image, kernel, at=(0, 0))

# %% [markdown] slide="subslide"
# In code it is two loops. Torch computes the same numbers:

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
# `conv2d` wants `(N, C, H, W)`: N images, C *channels* (grey has one, colour three), H
# rows, W columns. Each `None` adds an axis.

# %% [markdown] slide="subslide"
# What does a kernel find? Here are the outputs of four: grey is 0, white positive, black
# negative.

# %%
# alt: A digit and what four kernels make of it: its left and right edges, its upper and
# alt: lower edges, a blurred copy, and its outline.
four = {
    "left − right": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "upper − lower": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "mean": [[1 / 9] * 3] * 3,
    "centre − around": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}
digit = digits.train[0][0]
maps = [F.conv2d(digit, torch.tensor([[k]]) * 1.0) for k in four.values()]
shown = [(m / m.abs().max() + 1) / 2 for m in [digit, *maps]]
title = "Nine weights find vertical edges, horizontal edges, or outlines"
pictures.image_grid(shown, ["digit", *four], title=title);

# %% [markdown]
# Such an output is a *feature map*. Nine weights find an edge at any position. In a
# *linear layer* each output is a weighted sum of all inputs: 784 outputs of 784 pixels
# take 784² = 614,656 weights, and each position learns the same edge anew.

# %% [markdown] slide="slide"
# ## Move first, or convolve first?
#
# We move a digit by three pixels and convolve it: does the order matter?

# %% check=True
edges = torch.tensor([[four["left − right"]]]) * 1.0
moved_first = F.conv2d(digit.roll(3, dims=2), edges)
moved_last = F.conv2d(digit, edges).roll(3, dims=2)
inside = slice(3, -3)  # away from the border, where `roll` brings the other side in
same = torch.equal(moved_first[..., inside], moved_last[..., inside])
print("both maps are equal:", same)

# %% [markdown]
# No: all positions share the weights. A convolution is *equivariant*: its output moves
# with the input. *Invariant* would be: it stays the same. A classifier should be
# invariant: a moved 3 is still a 3.

# %% [markdown] slide="slide"
# ## A layer has a kernel for each channel pair
#
# A convolution layer from $C_{in}$ to $C_{out}$ channels holds $C_{out}$ *filters*. A
# filter has one kernel for each input channel; their outputs are added, and a number,
# the *bias*. How many parameters has a layer from 3 to 8 channels with 3 × 3 kernels?

# %% check=True
conv = nn.Conv2d(3, 8, kernel_size=3).requires_grad_(False)
photo = photos.train[0][0]  # (3, 32, 32)
by_hand = sum(convolve(photo[c], conv.weight[0, c]) for c in range(3)) + conv.bias[0]
assert torch.allclose(by_hand, conv(photo)[0], atol=1e-5)
print("weights", tuple(conv.weight.shape), "biases", tuple(conv.bias.shape))
print("parameters", sum(p.numel() for p in conv.parameters()))

# %% [markdown]
# Eight filters, each with 3 kernels of 9 weights and a bias: 8 × (3 × 9 + 1) = 224.
# $$\text{parameters} = C_{out}\,(C_{in}\,k^2 + 1)$$
# The image's size does not appear.

# %% [markdown] slide="slide"
# ## Padding and stride set the output size
#
# *Padding* p puts p rings of zeros around the image. *Stride* s moves the window by s
# cells. Here p = 1, s = 2. Which window gives the number at the lower right?

# %% check=True
diagrams.convolution(image, kernel, at=(0, 1), stride=2, padding=1)

# %% [markdown] slide="subslide"
# The one that starts at row 2, column 2 (counted from 0).
#
# With padding, the side n becomes n + 2p. A window of side k can move by n + 2p − k
# cells, in steps of s. Rounding down leaves out a step that does not fit:
#
# $$\text{output} = \left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# Cover what stands after the colons, and predict it.

# %% check=True
def output_size(n, k, p=0, s=1):
    return (n + 2 * p - k) // s + 1


for n, k, p, s in [(28, 5, 0, 1), (28, 5, 2, 1), (32, 3, 1, 2), (227, 11, 0, 4)]:
    one, window = torch.zeros(1, 1, n, n), torch.zeros(1, 1, k, k)
    by_torch = F.conv2d(one, window, padding=p, stride=s).shape[-1]
    assert output_size(n, k, p, s) == by_torch
    print(f"n = {n}, k = {k}, p = {p}, s = {s}: {by_torch}")

# %% [markdown]
# Line 2 is LeNet-5's first layer: at stride 1, padding (k − 1) / 2 keeps the size.

# %% [markdown] slide="subslide"
# Below, the first window is blue, the second dotted, the last orange. One column is left
# over. **Predict:** does more padding use it up? Then change the numbers.

# %%
# alt: An image of 8 × 8 pixels in one ring of zeros. A window of 3 × 3 takes every
# alt: second place: four across and four down, so the output is 4 × 4. The last column
# alt: and the last row of zeros are hatched: no window reaches them.
kernels.windows(image=8, kernel=3, stride=2, padding=1);

# %% [markdown]
# No: 8 + 2p − 3 is odd for every p.

# %% [markdown] slide="slide"
# ## Pooling makes the position less exact
#
# Pooling replaces each window by its maximum, or its mean; here 2 × 2, with stride 2.
# It has no parameters, and the same size formula. Which outputs change when the 5 moves
# within its window?

# %% check=True
shown = torch.tensor([[1.0, 3, 0, 2], [5, 1, 0, 0], [0, 2, 4, 4], [1, 1, 8, 0]])
maximum = F.max_pool2d(shown[None], kernel_size=2)[0]
mean = F.avg_pool2d(shown[None], kernel_size=2)[0]
before = diagrams.grid(shown, label="feature map", window=(0, 0, 2, 2))
after = [diagrams.grid(m, window=(0, 0, 1, 1)) for m in (maximum, mean)]
diagrams.beside(before, "maximum", after[0], "mean", after[1])

# %% [markdown]
# None: the next layer does not notice a move within a window. LeNet-5 takes means,
# later networks mostly maxima.

# %% [markdown] slide="slide"
# ## Between two layers stands a non-linearity
#
# Two linear maps in a row are one: $W_2 (W_1 x) = (W_2 W_1)\, x$. More linear layers
# alone bring nothing. A *non-linearity*, or *activation*, between them changes that:
# the sigmoid $1 / (1 + e^{-x})$, $\tanh x$, ReLU $\max(0, x)$, or leaky ReLU
# $\max(0.1x, x)$. How large is the sigmoid's slope at most?

# %% tags=["hide-input"] slide="subslide"
# alt: Four activations from -4 to 4, each with its slope dashed. The slopes of sigmoid
# alt: and tanh fall to zero on both sides, that of ReLU is zero on the left, that of
# alt: leaky ReLU nowhere.
title = "Sigmoid and tanh lose their slope on both sides, ReLU on one"
learning.activations(title=title);

# %% [markdown]
# A quarter; that of tanh, which LeNet-5 uses, is 1. Learning will multiply such slopes.

# %% [markdown] slide="slide"
# ## Softmax turns scores into probabilities
#
# The last layer gives each class a score, its *logit* $z$. Softmax turns logits into
# positive numbers with the sum 1:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# What should change when we add 1,000 to all logits?

# %% check=True
def naive_softmax(z):
    return z.exp() / z.exp().sum()


z = torch.tensor([2.0, 1.0, 0.1])
assert torch.allclose(naive_softmax(z), z.softmax(dim=0))
print(naive_softmax(z))
print(naive_softmax(z + 1000), "but torch says", (z + 1000).softmax(dim=0))

# %% [markdown]
# Nothing, since $e^{1000}$ cancels. But on a computer it is infinite, and infinity
# divided by infinity is `nan`, *not a number*. Torch subtracts the largest logit first.

# %% [markdown] slide="slide"
# ## Cross-entropy: what a prediction costs
#
# The *loss* says with one number how wrong a prediction is. Ours is the
# *cross-entropy*, $-\ln p_y$: $p_y$ is the probability of the right class $y$. What do
# four predictions cost, if the first class is right?

# %% check=True
for prediction in ([1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]):
    cost = -torch.tensor(prediction[0]).log()
    print(f"{prediction}: {cost.abs():.3f} nats")

# %% [markdown]
# Probability 1 for the right class costs nothing, probability 0 infinitely much. The
# unit is called *nat*.

# %% [markdown] slide="subslide"
# `F.cross_entropy` takes **logits**, not probabilities: it applies the softmax itself.
# It returns the mean over the examples of $-\ln p_y = -z_y + \ln \sum_j e^{z_j}$.

# %% check=True
logits = torch.tensor([[2.0, 1.0, 0.1], [0.0, 3.0, 0.0]])
labels = torch.tensor([0, 2])
by_hand = (logits.logsumexp(dim=1) - logits[[0, 1], labels]).mean()
assert torch.isclose(by_hand, F.cross_entropy(logits, labels))
print(f"by hand {by_hand:.4f}, torch {F.cross_entropy(logits, labels):.4f} nats")
uniform = F.cross_entropy(torch.zeros(1, 10), torch.tensor([3]))
print(f"equal scores for ten classes: {uniform:.3f} = ln 10 = {math.log(10):.3f} nats")

# %% [markdown]
# A new network prefers no class: with ten, its loss is near **2.303 nats**. If yours
# begins far from that, something is wrong.

# %% [markdown] slide="slide"
# ## Learning, with one weight
#
# Let a single weight $w$ tell a 0 from a 1. The input $x$ is the ink in a digit's
# middle, compared with the average: a 0 is empty there. The scores are 0 for "zero",
# $w x$ for "one": softmax sees only differences.

# %%
twos = digits.train.take((digits.train.labels < 2).nonzero()[:, 0][:256])
ink = twos.images[:, 0, 11:17, 11:17].double().mean(dim=(1, 2)) / 255
x, is_one = (ink - ink.mean()) / ink.std(), twos.labels


def loss_at(w):
    """Mean cross-entropy of the scores (0, w x) over all 256 digits; nats."""
    return F.cross_entropy(torch.stack([0 * x, w * x], dim=1), is_one)


print(
    f"w = -1: {loss_at(-1):.3f} nats,"
    f" w = 0: {loss_at(0):.3f}, w = 1: {loss_at(1):.3f}"
)

# %% [markdown] slide="subslide"
# Here are the losses of 41 weights. You stand at $w = -1$, and see only what is close.
# Where would you go?

# %%
# alt: The loss over the weight: high on the left, lowest at a positive weight, rising
# alt: slowly after it. A point stands at w = -1, where the curve falls to the right.
weights = torch.linspace(-2, 10, 41)
best = min(weights, key=loss_at)
title = f"Of 41 weights, {best:.1f} has the least loss"
learning.loss_curve(loss_at, weights, start=-1.0, title=title);

# %% [markdown]
# To the right: the curve falls there. We cannot try out values of 61,706 weights, but
# we can compute their slopes.

# %% [markdown] slide="slide"
# ## The slope, three ways
#
# The *slope* at $w$: how much the loss changes, for a small change of $w$.
#
# 1. From two neighbouring points.
# 2. By calculus. Let $z = w x$ be the score and $p = 1 / (1 + e^{-z})$ the probability
#    of "one". For the label $y = 1$ the loss is $-\ln p = \ln(1 + e^{-z})$, and its
#    slope over $z$ is $-e^{-z} / (1 + e^{-z}) = p - 1$. For $y = 0$ it is $p$; both are
#    $p - y$. And $z$ changes $x$ times as fast as $w$: the slope over $w$ is **the mean
#    of $(p - y)\,x$**.
# 3. By torch, which records every operation and applies these rules: *autograd*.

# %%
w, h = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True), 1e-5
with torch.no_grad():
    two_points = (loss_at(w + h) - loss_at(w - h)) / (2 * h)
    p = torch.sigmoid(w * x)  # the softmax of two scores 0 and w x
    by_rule = ((p - is_one) * x).mean()
loss_at(w).backward()
print(f"two points {two_points:.6f}, by rule {by_rule:.6f}, autograd {w.grad:.6f}")

# %% [markdown]
# The slope is negative: the loss falls when $w$ grows. `backward()` puts it into
# `w.grad`. All weights' slopes together are the *gradient*.

# %% [markdown] slide="subslide"
# **Gradient descent** moves the weight against its slope:
# $w \leftarrow w - \eta \cdot \text{slope}$. We choose $\eta$, the *learning rate*.
# Three steps:

# %%
w = -1.0
for _ in range(3):
    slope = ((torch.sigmoid(w * x) - is_one) * x).mean().item()
    print(f"w = {w:6.3f}, loss {loss_at(w):.3f}, slope {slope:6.3f}", end="")
    w = w - 2.0 * slope  # the learning rate is 2
    print(f"  ->  w = {w:.3f}")

# %% [markdown] slide="subslide"
# The steps shrink with the slope. What does a much smaller or larger rate do?

# %%
# alt: Eight steps of gradient descent on the same curve, with three learning rates: the
# alt: first hardly moves, the second comes near the lowest point, the third jumps far
# alt: over it.
title = "Rate 0.1 hardly moves in 8 steps, rate 40 jumps far over the valley"
rates = (0.1, 2.0, 40.0)
learning.descents(loss_at, weights, start=-1.0, rates=rates, steps=8, title=title);

# %% [markdown]
# Both end higher than rate 2. When a network does not learn, check its rate first.

# %% [markdown] slide="slide"
# ## Two layers: slopes multiply
#
# A weight of the *first* layer changes its layer's output, then the next layer's, then
# the loss. The *chain rule* multiplies the slopes along this road. Take one image,
# $x = 2$ with the label "one", and $p$ as before:
#
# $$a = w_1 x \;\to\; h = \tanh(a) \;\to\; z = w_2 h \;\to\; \text{loss} = -\ln p$$
#
# Tanh has the slope $1 - h^2$. Multiply by hand, then compare:

# %% check=True
w1, w2, x_one = 0.5, 3.0, 2.0
a = w1 * x_one
h_one = math.tanh(a)
z = w2 * h_one
p = 1 / (1 + math.exp(-z))
slopes = {
    "loss over z": p - 1,
    "z over h": w2,
    "h over a": 1 - h_one**2,
    "a over w1": x_one,
}
print({road: round(slope, 4) for road, slope in slopes.items()})
print(f"loss over w1: {math.prod(slopes.values()):.6f}")

# %% [markdown] slide="subslide"
# For $w_2$ the road is shorter: (p − 1) · h.

# %% check=True
first = torch.tensor(w1, requires_grad=True)
second = torch.tensor(w2, requires_grad=True)
loss = -torch.sigmoid(second * torch.tanh(first * x_one)).log()
loss.backward()
print(f"by hand  w1: {math.prod(slopes.values()):.6f}, w2: {(p - 1) * h_one:.6f}")
print(f"autograd w1: {first.grad:.6f}, w2: {second.grad:.6f}")

# %% [markdown]
# `backward()` walks this road back from the loss. It computes "loss over z" once, for
# both weights: this is *backpropagation*. Four sigmoids on the road leave at most
# 0.25⁴ = 1/256 of a gradient.

# %% [markdown] slide="slide"
# ## A batch gives an estimate
#
# The gradient of all 54,000 images costs a pass over them. Is that of a *batch*, a few
# random images, good enough? We ask our 256 digits, with a bias $b$ in the score. Lines
# join equal losses. Thick: the step of all; thin: those of 20 batches of 16.

# %%
def loss_of(parameters, rows=slice(None)):
    """Mean loss of the scores (0, w · 4 · ink + b) over some of the digits; nats."""
    score = 4 * ink[rows] * parameters[0] + parameters[1]
    return F.cross_entropy(torch.stack([0 * score, score], dim=1), is_one[rows])


batches = torch.randint(256, (20, 16), generator=torch.Generator().manual_seed(0))

# %% slide="subslide"
# alt: Lines of equal loss over weight and bias, an oblong valley; from one point on its
# alt: slope a thick arrow downhill, and twenty thin ones that spread around it.
learning.batch_arrows(loss_of, batches, at=(1.0, -1.0));

# %% [markdown]
# Each batch errs, but most steps still go downhill. This is *stochastic* gradient
# descent, SGD. One pass over all images is an *epoch*.

# %% [markdown] slide="slide"
# ## Four ways to walk
#
# The lines form a valley: steep across, nearly flat along. Plain SGD goes back and
# forth across it. Three improvements:
#
# - **Momentum** keeps a part of the last step: what goes back and forth cancels.
# - **Adam** divides each weight's step by the usual size of its gradient.
# - **One-cycle** lets the learning rate rise, then fall to nearly zero.

# %% slide="subslide"
# alt: The same landscape four times, with the ways of plain SGD, momentum, Adam, and SGD
# alt: with a one-cycle rate, 60 steps each from the same start.
SGD, Adam = torch.optim.SGD, torch.optim.Adam
ways = {
    "SGD": lambda p: SGD(p, lr=2.0),
    "momentum": lambda p: SGD(p, lr=0.2, momentum=0.9),
    "Adam": lambda p: Adam(p, lr=0.5),
    "one-cycle": lambda p: SGD(p, lr=4.0),
}
title = "Momentum and Adam go back and forth far less than SGD (final loss)"
start = {"start": (-2.0, 3.0), "steps": 60, "one_cycle": "one-cycle"}
learning.walks(loss_of, ways, **start, title=title);

# %% [markdown]
# One-cycle goes back and forth, too, but ends with small steps. The learning rates
# differ, so this does not say which is best. We mostly take momentum with one-cycle.

# %% [markdown] slide="slide"
# ## Assemble: LeNet-5
#
# We have all its parts. Cover the comments in `forward`, and compute the sizes.

# %% mirror="utils.models.lenet:LeNet5" slide="subslide"

# %% slide="subslide" check=True
look.shape_table(LeNet5(), (1, 28, 28))

# %% [markdown]
# 28, 14, 10 and 5: so 16 × 5 × 5 = 400 numbers enter C5. A *multiply-add* is a product
# added to a sum.

# %% [markdown] slide="subslide"
# Now the parameters by hand. A linear layer has a weight for each pair of input and
# output, and a bias for each output.

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
# The convolutions hold one parameter in twenty-four, but make 357,600 of the 416,520
# multiply-adds.

# %% [markdown] slide="slide"
# ## The pipeline has six steps
#
# Examples, batches, a network, a loss, an optimizer that moves the parameters, and two
# loops.

# %% [markdown] slide="subslide"
# **Steps 1 and 2.** A `Dataset` knows its length and gives example number `i`; pixels
# get mean 0 and standard deviation 1. The `DataLoader` shuffles examples and stacks
# them into batches.

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
# **Steps 3, 4, 5.** Model, loss and optimizer, made anew from a seed.

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
# **Step 6, training.** Each batch: scores, loss, clear the old gradients, backward,
# step. (`train()` and `eval()` matter from lecture 01 on.)

# %%
def train_one_epoch(loader, model, loss_function, optimizer):
    model.train()
    total = 0.0
    for images, labels in loader:
        images, labels = images.to(run.device), labels.to(run.device)
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()  # else the gradients of the last step would be added
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)  # the last batch may be shorter
    return total / len(loader.dataset)

# %% [markdown] slide="subslide"
# **Step 6, testing.** No gradients, no step. We measure on images kept from training,
# the *validation set*. The *test set* is used once, at the end.

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

# %% [markdown] slide="slide"
# ## Train
#
# From here on `fit` runs both loops, and keeps the epoch that is best on validation.
# The column `lr` shows one-cycle.

# %% slide="subslide"
batch_size = course.pick(tiny=32, small=128, full=128)
train = digits.train.loader(batch_size, shuffle=True, seed=run.seed)
val = digits.val.loader(500)
epochs = course.pick(tiny=7, small=5, full=20)

torch.manual_seed(run.seed)
lenet = LeNet5()
history = fit(
    lenet, train, val, epochs=epochs, lr=0.1, schedule="onecycle", name="LeNet-5"
)

# %% slide="subslide"
# alt: Loss and accuracy of LeNet-5 on training and validation digits, epoch by epoch.
reached = history["val_accuracy"][0]
title = f"One pass over the digits, and {reached:.0%} of new digits are read right"
plot.curves(history, title=title);

# %% [markdown]
# At first validation looks better: training is a mean over the epoch, validation is
# measured after it.

# %% [markdown] slide="slide"
# ## Look inside
#
# What has training made of C1's six kernels? (Each row is divided by its largest weight.)

# %% slide="subslide"
# alt: Two rows of six kernels of five by five weights. Above, before training, red and
# alt: blue are mixed; below, after it, most kernels hold a red and a blue region.
torch.manual_seed(run.seed)  # the weights that the training began with
rows = [net.c1[0].weight.detach().cpu() for net in (LeNet5(), lenet)]
title = "Training turns noise into regions: C1 before (above) and after"
pictures.filters(torch.cat([w / w.abs().max() for w in rows]), columns=6, title=title);

# %%
for name, w in zip(("before", "after"), rows, strict=True):  # (6, 1, 5, 5)
    one = torch.cat([w[..., :-1].flatten(), w[..., :-1, :].flatten()])
    next_to_it = torch.cat([w[..., 1:].flatten(), w[..., 1:, :].flatten()])
    together = torch.stack([one, next_to_it]).corrcoef()[0, 1]
    print(f"{name} training, neighbouring weights correlate by {together:.2f}")

# %% [markdown]
# Random numbers would give 0 ± 0.06. Where a positive region meets a negative one, the
# kernel answers to an edge.

# %% slide="subslide"
# alt: Feature maps of one digit in four layers: strokes and edges in C1 and S2, coarse
# alt: regions in C3 and S4.
inputs, labels = next(iter(digits.val.loader(1)))
maps = look.feature_maps(lenet, inputs[0], ["c1", "s2", "c3", "s4"])
title = f"From strokes to regions: a {labels.item()} in four layers"
pictures.feature_maps(maps, title=title);

# %% [markdown]
# C1 still shows the digit, by its edges. In S4 each number stands for a region.
# (Brighter is larger; C3 and S4: the first eight maps.)

# %% [markdown] slide="subslide"
# *Confidence* is the probability of the chosen class. **Where is it high, and wrong?**

# %%
# alt: Misread digits, each with its label, what LeNet-5 read, and its confidence.
logits, labels = predict(lenet, val)
worst, guesses, sure = look.most_wrong(logits, labels, 12)
titles = [
    f"{labels[i]} read {guess}\n{p:.0%}"
    for i, guess, p in zip(worst, guesses, sure, strict=True)
]
wrong = (logits.argmax(dim=1) != labels).sum()
title = f"{wrong} of {len(labels):,} validation digits are misread; the most confident"
pictures.image_grid(digits.val.images[worst], titles, columns=6, title=title);

# %% [markdown] slide="slide"
# ## How invariant is it?
#
# Pooling forgives small moves, but the linear layers read *positions*. Predict: by how
# many pixels must digits move until half are misread?

# %%
# alt: Accuracy against the shift in pixels, for LeNet-5 and for the nearest neighbour
# alt: in pixels; both fall, LeNet-5 later.
known, asked = digits.train.subset(4000), digits.val.subset(500)
rights = {"LeNet-5": [], "nearest neighbour": []}
for shift in range(6):
    moved = replace(asked, images=asked.images.roll(shift, dims=3))
    rights["LeNet-5"].append(evaluate(lenet, moved.loader(500)).accuracy)
    rights["nearest neighbour"].append(nearest_accuracy(known, moved))
title = f"Moved by five pixels, LeNet-5 reads {rights['LeNet-5'][5]:.0%} right"
plot.band(range(6), rights, xlabel="shift to the right (pixels)", title=title);

# %% [markdown]
# **At five pixels about half are misread.** LeNet-5 is invariant to small shifts only;
# it has seen only centred digits. Lecture 02 moves the training images.

# %% [markdown] slide="slide"
# ## Against the paper
#
# Now the one use of the test set: the paper's own 10,000 digits (Fig. 9).

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
title = f"LeNet-5 misread 95 of 10,000 in 1998, and {errors['LeNet-5, ours']} here"
label = "misread digits of 10,000"
plot.bars(errors, xlabel=label, highlight="LeNet-5, ours", title=title);

# %% [markdown]
# The difference, 5, has a standard error of about √(90 + 95) = 14: it may be chance.
# The paper trains on 60,000 digits for 20 epochs, we on 54,000 for 5.

# %% [markdown] slide="slide"
# ## Photographs: a network of two layers
#
# CIFAR-10 has 60,000 small photographs of ten kinds of objects.

# %%
# alt: Eight small photographs with their class names.
first = photos.train.images[:8]
names = [photos.classes[label] for label in photos.train.labels[:8]]
title = "Any place, any colour, any background: 32 × 32 pixels each"
pictures.image_grid(first, names, title=title);

# %% [markdown] slide="subslide"
# Two of these blocks and a linear layer:

# %% mirror="utils.models.small:conv_pool"

# %% mirror="utils.models.small:TwoLayerCNN" slide="subslide"

# %% slide="subslide" check=True
look.shape_table(TwoLayerCNN(), (3, 32, 32))

# %% [markdown] slide="subslide"
# We use SGD with momentum 0.9. A published run of this network ends at 47 %.

# %%
def train_on_photos(model, name):
    some = photos.train.subset(course.pick(tiny=1200, small=None, full=None))
    loader = some.loader(8, shuffle=True, seed=run.seed)
    return fit(model, loader, photos.val.loader(500), epochs=4, lr=0.001, name=name)


torch.manual_seed(run.seed)
two_layers = TwoLayerCNN()
photo_history = train_on_photos(two_layers, "two layers")

# %% slide="subslide"
# alt: Loss and accuracy of the network of two layers over four epochs, with the published
# alt: accuracies dotted.
published = {"accuracy": {1: 0.33, 2: 0.40, 3: 0.44, 4: 0.47}}
reached = photo_history["val_accuracy"][-1]
title = f"Photographs are harder: {reached:.0%} after 4 epochs"
plot.curves(photo_history, paper=published, paper_label="published", title=title);

# %%
cnn = evaluate(two_layers, photos.test.loader(500))
print(f"{cnn.accuracy:.1%} of {cnn.examples:,} test {photos.test.kind}; published: 47%")

# %% [markdown]
# The published program makes a common mistake, which raises no error. Lecture 10 finds
# it.

# %% [markdown] slide="slide"
# ## Answer
#
# How many of 10,000 new digits does LeNet-5 misread?

# %% slide="fragment"
print(f"{errors['LeNet-5, ours']} of 10,000; in the paper 95.")
run.headline(
    f"LeNet-5 reads {test.accuracy:.1%} of new digits ({digits.test.name});"
    f" a CNN of two layers names {cnn.accuracy:.1%} of new {photos.test.kind}"
)

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then its check. A wrong answer gets a hint.

# %% [markdown] slide="subslide"
# ### 00.1 Predict: three sizes
#
# By hand: how wide is the output of
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
# How many parameters has `nn.Conv2d(3, 16, kernel_size=5)`?

# %%
# solution
parameters = 16 * (3 * 5 * 5 + 1)

# %%
check("00.2", parameters)

# %% [markdown] slide="subslide"
# ### 00.3 Write: a softmax that survives large logits
#
# Write it for a batch, without torch's softmax. It must also work for 1,000 and −1,000.

# %%
def softmax(logits: Tensor) -> Tensor:
    """Probabilities; (N, K) -> (N, K), each row with the sum 1."""
    # solution
    powers = (logits - logits.max(dim=1, keepdim=True).values).exp()
    return powers / powers.sum(dim=1, keepdim=True)

# %%
check("00.3", softmax)

# %% [markdown] slide="subslide"
# ### 00.4 Write: a training step without help
#
# Without an optimizer: compute the loss and the gradients, and move each parameter
# once: `p ← p − lr · gradient`. Return the loss from before the step. Two calls must
# make two correct steps. (Inside `with torch.no_grad():` autograd does not record.)

# %%
def training_step(model: nn.Module, images: Tensor, labels: Tensor, lr: float) -> float:
    """One step of gradient descent on the mean cross-entropy of a batch."""
    # solution
    model.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad
    return loss.item()

# %%
check("00.4", training_step)

# %% [markdown]
# **Explain:** after a step with a good learning rate, is the loss of the *same* batch
# always smaller? Of the *next*?

# %% [markdown] solution=True
# The gradient is that of this batch, so a small enough step lowers its loss; a step that
# is too large can jump over the valley. The next batch has another gradient, of which
# this one is only an estimate, so its loss may rise; on the average over many steps it
# falls.

# %% [markdown] slide="subslide"
# ### 00.5 Modify: a third layer
#
# Build three `conv_pool` blocks with 8, 16 and 32 filters, then a linear layer to ten
# logits. Predict first: more parameters than with two layers, or fewer?

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
# Train it with `train_on_photos(ThreeLayerCNN(), "three layers")`, and compare.

# %% [markdown] slide="subslide"
# ### 00.6 Investigate: the gradient that reaches C1
#
# Between C1's weights and the logits stand four non-linearities. Build
# `LeNet5(activation=activation)`, compute the cross-entropy of the batch, go backward,
# and return the mean absolute gradient of C1's weights.

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
check("00.6", gradient_at_c1)


# %% slide="skip"
check.progress("00")

# %% [markdown] slide="slide"
# ## Recap
#
# - A convolution's output has $\lfloor (n + 2p - k) / s \rfloor + 1$ cells a side; its
#   layer has $C_{out}(C_{in} k^2 + 1)$ parameters.
# - Cross-entropy is $-\ln p_y$, with $p$ by softmax; ten equal scores cost 2.303 nats.
# - Learning goes against the gradient:
#   $w \leftarrow w - \eta \, \partial L / \partial w$. The chain rule multiplies slopes.
# - A training step: scores, loss, `zero_grad`, `backward`, `step`. A batch's gradient
#   is an estimate.
# - LeNet-5 has most of its 61,706 parameters in C5, and misreads about one digit in a
#   hundred.

# %% [markdown] slide="skip"
# ## References
#
# - Y. LeCun et al., 1998, as above: Fig. 2 (LeNet-5), Table I (C3; ours reads all maps
#   of S2), Fig. 9 (results).
# - D. Kingma, J. Ba: *Adam: A Method for Stochastic Optimization*, ICLR 2015.
# - L. Smith, N. Topin: *Super-Convergence*, 2018 (one-cycle).
# - MNIST: Y. LeCun, C. Cortes, C. Burges. Licence CC BY-SA 3.0.
# - CIFAR-10: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*,
#   2009; no licence named.
# - At scale `tiny`: digits of scikit-learn (E. Alpaydin, C. Kaynak, UCI, CC BY 4.0),
#   and the course's drawings.

# %% slide="only" name="alike"
# alt: Sixteen handwritten digits with the same label: thin and thick, upright and slanted.
import math
import re

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from teaching import diagrams, kernels, learning
from utils import data, pictures, plot

digits = data.mnist()
label = digits.train.labels[0]
alike = digits.train.images[digits.train.labels == label]
pictures.image_grid(alike[:16])

# %% slide="only" name="moved"
# alt: A digit, the same one three pixels further to the right, and the nearest image
# alt: with another label; in pixels the other one is nearer.
first, moved = alike[0].float(), alike[0].float().roll(3, dims=2)
others = digits.train.take((digits.train.labels != label).nonzero()[:, 0])
distances = (others.images.float() - first).flatten(1).norm(dim=1) / 255
nearest = distances.argmin()
names = [f"a {int(label)}", f"3 pixels right: distance {(moved - first).norm() / 255:.1f}"]
names += [f"a {others.labels[nearest]}: distance {distances.min():.1f}"]
shown = torch.stack([first, moved, others.images[nearest]]) / 255
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6))
for ax, one, name in zip(axes, shown, names, strict=True):
    ax.imshow(one[0], cmap="gray")
    ax.set_title(name, fontsize=11)
    ax.axis("off")

# %% slide="only" name="lenet"
# alt: LeNet-5: a digit of 1×28×28, two convolutions of 6 and 16 maps, each followed by
# alt: pooling, then linear layers of 120, 84 and 10 values.
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
    ]
)

# %% slide="only" name="edges"
# alt: A digit and what four kernels make of it: its left and right edges, its upper and
# alt: lower edges, a blurred copy, and its outline.
image = torch.tensor([[1.0, 2, 0, 1], [0, 1, 3, 1], [2, 1, 0, 0], [1, 0, 1, 2]])
kernel = torch.tensor([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]])
four = {
    "left − right": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "upper − lower": [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
    "mean": [[1 / 9] * 3] * 3,
    "centre − around": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}
digit = digits.train[0][0]
maps = [F.conv2d(digit, torch.tensor([[k]]) * 1.0)[0] for k in four.values()]
figure, axes = plt.subplots(1, 5, figsize=(7, 1.9))
for ax, one, name in zip(axes, [digit[0], *maps], ["digit", *four], strict=True):
    most = one.abs().max()
    ax.imshow(one, cmap="gray", vmin=-most, vmax=most)
    ax.set_title(name, fontsize=10)
    ax.axis("off")

# %% slide="only" name="equivariance"
# alt: A digit and its map of edges; below, the digit moved to the right and its map,
# alt: which is the first map moved by as much.
edge = torch.tensor([[four["left − right"]]]) * 1.0
figure, axes = plt.subplots(1, 4, figsize=(7, 2.1))
two = [digit, digit.roll(4, dims=2)]
names = ["digit", "its edges", "moved", "its edges: moved"]
for i, one in enumerate(two):
    edges = F.conv2d(one, edge)[0]
    for ax, part in zip(axes[2 * i : 2 * i + 2], (one[0], edges), strict=True):
        most = part.abs().max()
        ax.imshow(part, cmap="gray", vmin=-most, vmax=most)
for ax, name in zip(axes, names, strict=True):
    ax.set_title(name, fontsize=10)
    ax.axis("off")

# %% slide="only" name="pooling"
shown = torch.tensor([[1.0, 3, 0, 2], [5, 1, 0, 0], [0, 2, 4, 4], [1, 1, 8, 0]])
windows = shown.unfold(0, 2, 2).unfold(1, 2, 2)
before = diagrams.grid(shown, label="feature map", window=(0, 0, 2, 2))
after = [diagrams.grid(m, window=(0, 0, 1, 1)) for m in (windows.amax((2, 3)), windows.mean((2, 3)))]
diagrams.beside(before, "maximum", after[0], "mean", after[1])

# %% slide="only" name="loss-curve"
# alt: The loss over the weight: high on the left, lowest at a positive weight, rising
# alt: slowly after it. A point stands at w = -1, where the curve falls to the right.
twos = digits.train.take((digits.train.labels < 2).nonzero()[:, 0][:256])
ink = twos.images[:, 0, 11:17, 11:17].double().mean(dim=(1, 2)) / 255
x, is_one = (ink - ink.mean()) / ink.std(), twos.labels


def loss_at(w):
    """Mean cross-entropy of the scores (0, w x) over the digits; nats."""
    return F.cross_entropy(torch.stack([0 * x, w * x], dim=1), is_one)


weights = torch.linspace(-2, 10, 41)
learning.loss_curve(loss_at, weights, start=-1.0, title="")

# %% slide="only" name="slope"
# alt: The loss over the weight, with a straight line that touches it at w = -1 and falls
# alt: to the right.
slope = ((torch.sigmoid(-x) - is_one) * x).mean().item()
two_points = ((loss_at(-0.99) - loss_at(-1.01)) / 0.02).item()
ax = learning.loss_curve(loss_at, weights[:21], start=-1.0, title="")
ends = torch.tensor([-1.8, 0.4])
ax.plot(ends, loss_at(-1) + slope * (ends + 1), color=plot.HIGHLIGHT, lw=3)
ax.set_xlim(-2.2, 4.2)
ax.figure.set_size_inches(7, 2.3)

# %% slide="only" name="rates"
# alt: Eight steps of gradient descent on the same curve, with three learning rates: the
# alt: first hardly moves, the second comes near the lowest point, the third jumps over it.
learning.descents(loss_at, weights, start=-1.0, rates=(0.1, 2.0, 40.0), steps=8)
walked = [-1.0]
for _ in range(3):
    walked.append(walked[-1] - 2 * ((torch.sigmoid(walked[-1] * x) - is_one) * x).mean().item())
walked = " → ".join(f"{loss_at(w):.3f}" for w in walked)

# %% slide="only" name="batches"
# alt: Lines of equal loss over weight and bias, an oblong valley; from one point on its
# alt: slope a thick arrow downhill, and twenty thin ones that spread around it.
def loss_of(parameters, rows=slice(None)):
    """Mean loss of the scores (0, w · 4 · ink + b) over some of the digits; nats."""
    score = 4 * ink[rows] * parameters[0] + parameters[1]
    return F.cross_entropy(torch.stack([0 * score, score], dim=1), is_one[rows])


groups = torch.randint(256, (20, 16), generator=torch.Generator().manual_seed(0))
ax = learning.batch_arrows(loss_of, groups, at=(1.0, -1.0))
ax.set_title("")
ax.figure.set_size_inches(7, 3.2)

# %% slide="only" name="walks"
# alt: The same landscape four times, with the ways of plain SGD, momentum, Adam, and SGD
# alt: with a one-cycle rate, 60 steps each from the same start.
SGD, Adam = torch.optim.SGD, torch.optim.Adam
ways = {
    "SGD": lambda p: SGD(p, lr=2.0),
    "momentum": lambda p: SGD(p, lr=0.2, momentum=0.9),
    "Adam": lambda p: Adam(p, lr=0.5),
    "one-cycle": lambda p: SGD(p, lr=4.0),
}
learning.walks(loss_of, ways, start=(-2.0, 3.0), steps=60, one_cycle="one-cycle")

# %% slide="only" name="parameters"
# alt: Parameters of LeNet-5 by layer: C1 156, C3 2,416, C5 48,120, F6 10,164, output 850.
counts = {"C1: conv": 156, "C3: conv": 2416, "C5: linear": 48120, "F6: linear": 10164}
plot.bars(counts | {"output: linear": 850}, highlight="C5: linear", xlabel="parameters")

# %% slide="only" name="training"
# alt: Digits read right, in percent, over five epochs: training and validation both rise
# alt: to about 99.
rows = re.findall(r"(\d) +[\d.]+ +([\d.]+) % +[\d.]+ +([\d.]+) %", said(r"(LeNet-5\n epoch.*(?:\n(?: |best).*)+)"))
figure, ax = plt.subplots(figsize=(7, 2.8))
epochs = [int(row[0]) for row in rows]
for column, (name, color, style) in enumerate(plot.SPLITS.values(), start=1):
    y = [float(row[column]) for row in rows]
    ax.plot(epochs, y, style, color=color, marker="o")
    ax.annotate(name, (epochs[0], y[0]), (8, -16), textcoords="offset points", color=color)
ax.set(xlabel="epoch", ylabel="digits read right (%)", xticks=epochs, ylim=(70, 102))

# %% [markdown] slide="only" part="Images"
# # Foundations: a network that learns to read digits
#
# LeCun, Bottou, Bengio, Haffner: *Gradient-Based Learning Applied to Document
# Recognition*, 1998
#
# ![](run:alike)
#
# Note: 1 min. Ask which digit it is. No two are alike, and nobody hesitates. That is the
# problem of this course: we can do it, and cannot say how.

# %% [markdown] slide="only"
# ## LeNet-5 of 1998 meets 10,000 digits it has never seen
#
# ### How many of the 10,000 does it misread: 10, 100 or 1,000?
#
# . . .
#
# Write down your guess. We will know at the end of the hour.
#
# Note: 1.5 min. Vote by hand and write the counts on the board; the answer comes near the
# end. Most say 1,000: they think of it as guessing with some luck.

# %% [markdown] slide="only"
# ## For a computer, an image is a grid of numbers
#
# ![](draw:diagrams.grid(digit[0, 4:26:2, 4:26:2].mul(255).round()))
#
# ### Which digit is it?
#
# . . .
#
# A {{ int(label) }}. Shown is every second row and column of 28 × 28 = 784 pixels.
#
# **Classification:** 784 numbers in, one of ten labels out.
#
# Note: 1.5 min. Let them find the strokes among the zeros; it takes a while, and that is
# the point. Who is quick looked for the outline: say how.

# %% [markdown] slide="only"
# ## In pixels, another digit is nearer than the same one moved
#
# ![](run:moved)
#
# Note: 1.5 min. Ask first: could we compare pixel by pixel with known digits? Most say yes.
# Distance is the root of the summed squared differences. A move changes nearly all pixels.

# %% [markdown] slide="only"
# ## Comparing pixels reads digits, and fails on photos
#
# ### Each image gets the label of its nearest among 4,000. How many are right?
#
# . . .
#
# > **{{ said(r"MNIST: (\d+)%") }} %** of digits: they stand in the middle
#
# > **{{ said(r"CIFAR-10: (\d+)%") }} %** of small photos, where chance gives 10
#
# . . .
#
# We need functions that look for **local patterns, at every position**.
#
# Note: 1.5 min. Expect a low guess for digits, after the last slide. Ask why they are
# easier: they stand alone, in the middle of the frame. Skip the guess when late.

# %% [markdown] slide="only" part="Layers"
# ## A convolution is a weighted sum that slides
#
# Nine products, added up; first 1 + 0 + 2 − 0 − 3 − 0 = 0, and three times 0.
#
# ![](draw:diagrams.convolution(image, kernel, at=(0, 0)))
#
# . . .
#
# ![](draw:diagrams.convolution(image, kernel, at=(0, 1)))
#
# . . .
#
# ![](draw:diagrams.convolution(image, kernel, at=(1, 0)))
#
# . . .
#
# ![](draw:diagrams.convolution(image, kernel, at=(1, 1)))
#
# Note: 3 min. Compute the first number together, then let them say the next before the
# key. Who gets 8 forgot the minus signs.

# %% [markdown] slide="only"
# ## In code it is two loops
#
# ```python
# def convolve(image, kernel):
#     k = len(kernel)
#     output = torch.zeros(len(image) - k + 1, len(image) - k + 1)
#     for i in range(len(output)):
#         for j in range(len(output)):
#             window = image[i : i + k, j : j + k]
#             output[i, j] = (window * kernel).sum()
#     return output
# ```
#
# ### Why is the output smaller than the image?
#
# . . .
#
# A window of 3 has two places on 4 pixels: **4 − 3 + 1 = 2**.
#
# Note: 1.5 min. Read it aloud with them. Who says 1 counts the steps, not the places.
# torch's conv2d gives the same. Skip the question when late: it comes again.

# %% [markdown] slide="only"
# ## Nine weights find edges, anywhere in the image
#
# ![](run:edges)
#
# ### Which of the four kernels finds no edge?
#
# . . .
#
# The mean: it blurs. Each result is a **feature map**.
#
# Note: 1.5 min. Grey is zero, white positive, black negative. Who names the last one: it
# answers to edges on all sides. A weight for every pixel would have to learn the same edge
# at each place anew.

# %% [markdown] slide="only"
# ## A moved digit gives a moved map
#
# ![](run:equivariance)
#
# . . .
#
# **Equivariant:** the output moves along. *Invariant* would be: it stays the same.
#
# Note: 1.5 min. Ask which of the two a classifier should be at its end. Expect
# “equivariant”, since it is the new word: but a moved three is still a three. Skip when
# late.

# %% [markdown] slide="only"
# ## Each pair of channels has a kernel of its own
#
# ### 3 channels in, 8 out, kernels of 3 × 3: how many parameters?
#
# . . .
#
# > **224** = 8 × (3 × 9 + 1)
#
# . . .
#
# $$\text{parameters} = C_{out}\,(C_{in}\,k^2 + 1)$$
#
# Channels in $C_{in}$, channels out $C_{out}$, side of the kernel $k$. The 1 is the
# **bias**, a number added to each output channel.
#
# Note: 2 min. Expect 72 (one kernel for each output), 216 (no bias) and 80 (no input
# channels). The size of the image does not appear: ask why.

# %% [markdown] slide="only"
# ## Padding adds zeros, stride takes larger steps
#
# **Padding 1:** a ring of zeros. **Stride 2:** two cells at a time.
#
# ![](draw:diagrams.convolution(image, kernel, at=(0, 0), stride=2, padding=1))
#
# . . .
#
# ![](draw:diagrams.convolution(image, kernel, at=(0, 1), stride=2, padding=1))
#
# . . .
#
# ![](draw:diagrams.convolution(image, kernel, at=(1, 1), stride=2, padding=1))
#
# Note: 2 min. Ask where the third window stands before the key, and why the output has two
# rows. Expect three: a third step would leave the picture.

# %% [markdown] slide="only"
# ## The output's size: count the steps that fit
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# Image n, kernel k, padding p, stride s; ⌊ ⌋ rounds down.
#
# ### n = 227, k = 11, p = 0, s = 4: how large is the output?
#
# . . .
#
# > **55** = 216 / 4 + 1
#
# Note: 2 min. One first place, then as many steps as fit. Who says 54 forgot the first
# place. It is the first layer of AlexNet, lecture 03. With n = 28 and k = 5, ask which
# padding keeps 28.

# %% [markdown] slide="only"
# ## A step that does not fit leaves pixels unseen
#
# ![An image of 8 × 8 pixels; a window of 3 × 3 with stride 2 has three places across; the last column and row are hatched](draw:kernels.windows(padding=0))
#
# Which padding leaves nothing over?
#
# . . .
#
# None: 2p is even, and 8 − 3 is odd. With padding 1 a column of zeros is left.
#
# Note: 1.5 min. Expect “one”: try it, the image is seen whole, and a column of zeros is
# left. Ask which images leave nothing over at this stride: odd ones. Skip when late.

# %% [markdown] slide="only"
# ## Pooling makes the position less exact
#
# ![](run:pooling)
#
# ### Which outputs change when the 5 moves within its window?
#
# . . .
#
# None: neither the maximum nor the mean.
#
# Note: 1.5 min. No parameters, the same size formula. Who says “the mean” thinks that its
# place counts. LeNet-5 takes means, later networks maxima.

# %% [markdown] slide="only"
# ## Without a non-linearity, two layers are one
#
# ![Four activations, each with its slope dashed: those of sigmoid and tanh fall to zero on both sides, that of ReLU is zero on the left](draw:learning.activations())
#
# $W_2 (W_1 x) = (W_2 W_1)\, x$: so a non-linearity stands between them.
#
# ### Whose slope disappears on both sides?
#
# . . .
#
# Sigmoid's and tanh's; ReLU's on the left only.
#
# Note: 2 min. Two linear maps in a row are one linear map: write it down. Expect “ReLU's”,
# since its zero is the easiest to see. Slopes matter: learning multiplies them.

# %% [markdown] slide="only" part="The loss"
# ## Softmax turns scores into probabilities
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# | scores z (logits) | 2.0 | 1.0 | 0.1 |
# |---|---:|---:|---:|
# | probabilities p | 0.66 | 0.24 | 0.10 |
#
# ### What happens when we add 1,000 to all scores?
#
# . . .
#
# Nothing should. But on a computer $e^{1000}$ is infinite: subtract the largest score
# first.
#
# Note: 2 min. Expect “they all become 1”: the factor cancels. Infinity over infinity is
# nan, not a number. Exercise 00.3 writes the softmax that survives this.

# %% [markdown] slide="only"
# ## Cross-entropy: to be sure and wrong costs most
#
# The loss is −ln of the probability of the right class; its unit is the *nat*.
#
# | right class gets | 1.0 | 0.9 | 0.5 | 0.0 |
# |---|---:|---:|---:|---:|
# | cost in nats | 0 | 0.105 | 0.693 | ∞ |
#
# ### What do equal scores for ten classes cost?
#
# . . .
#
# > **2.303** nats = ln 10
#
# Note: 2 min. Expect 0.9, a share of errors; it gives 0.1 to the right class. If training
# does not begin there, something is wrong: a check for the whole course.

# %% [markdown] slide="only" part="Learning"
# ## Learning: see the slope, step downhill
#
# ### One weight, 41 values tried. You stand at −1: where would you go?
#
# ![](run:loss-curve)
#
# Note: 2 min. The smallest network: is it a zero or a one, from the ink in its middle?
# Expect “to 4”: but we see only what is around us. With 61,706 weights nobody can try
# values out; the slope can be computed.

# %% [markdown] slide="only"
# ## Three ways to the slope, one number
#
# ![](run:slope)
#
# . . .
#
# > **{{ f"{two_points:.3f}".replace("-", "−") }}** two neighbouring points
#
# > **{{ f"{slope:.3f}".replace("-", "−") }}** calculus: mean of (p − y) x
#
# > **{{ f"{slope:.3f}".replace("-", "−") }}** torch: `backward()`
#
# Note: 1.5 min. Negative: the loss falls when w grows. All slopes together are the
# gradient. Ask which way would do for a million weights. Expect the first: it takes two
# losses for each weight. Exercise: derive (p − y) x. Skip the derivation when late.

# %% [markdown] slide="only"
# ## Gradient descent: against the slope
#
# ```python
# for _ in range(3):
#     loss_at(w).backward()
#     with torch.no_grad():
#         w -= learning_rate * w.grad
#     w.grad = None
# ```
#
# ### What happens without the last line?
#
# . . .
#
# Gradients add up. With it, the loss falls: {{ walked }}
#
# Note: 2 min. Expect “nothing”. Learning rate 2, from w = −1. Ask why the steps become
# shorter although the rate stays: the curve gets flatter.

# %% [markdown] slide="only"
# ## Too small crawls, too large jumps over
#
# ![](run:rates)
#
# Eight steps each. Title: learning rate, and loss at the end.
#
# Note: 1.5 min. Ask which panel has the best rate before they read the titles. Expect the
# last, since it moves most: look at its axis, it went beyond the picture and comes back.
# The learning rate is the first thing to check when a network does not learn.

# %% [markdown] slide="only"
# ## Two layers: slopes along the road multiply
#
# ![](draw:blocks.chain_rule())
#
# . . .
#
# `backward()` walks this road back once, for all weights: **backpropagation**.
#
# Note: 3 min. By hand on the board; p is the probability of the right label. Ask for the
# slope over w₂. Expect all four factors: it is (p − 1) · h, a shorter road. What both roads
# share is computed once.

# %% [markdown] slide="only"
# ## Sigmoids in a row leave little of a gradient
#
# The slope of a sigmoid is at most 1/4.
#
# ### What is left of a gradient behind four of them, at most?
#
# . . .
#
# > **1 / 256** = 0.25⁴
#
# Note: 1.5 min. Who says 1/16 added instead of multiplying. This is why early layers
# learned slowly before ReLU. Exercise 00.6 measures it in LeNet-5. Skip when late.

# %% [markdown] slide="only"
# ## Each batch errs, around the right direction
#
# ![](run:batches)
#
# Thick: step of all 256 digits. Thin: 20 **batches** of 16. One pass over all is an
# **epoch**.
#
# Note: 2 min. Lines of equal loss, over a weight and a bias. Ask what is gained: a step for
# a sixteenth of the price. Expect worry about the arrow that goes astray: the next batch
# errs another way.

# %% [markdown] slide="only"
# ## Momentum and Adam go back and forth less than SGD
#
# ![](run:walks)
#
# Momentum keeps part of the last step, Adam scales each weight's step, one-cycle lets the
# rate rise and fall. Number: final loss.
#
# Note: 2 min. Ask which is best. Expect the smallest number: rates differ, so this picture
# cannot say. This course mostly takes momentum with one-cycle. Skip when late.

# %% [markdown] slide="only" part="LeNet-5"
# ## LeNet-5 turns 784 pixels into ten scores
#
# ![](run:lenet)
#
# C: convolution, S: pooling, F: linear. After each C and F6 stands a tanh.
#
# Note: 2 min. Hide the shapes and let them follow the sides: 28, 28, 14, 10, 5. Ask how
# many numbers enter C5. Expect 16: it is 16 × 5 × 5 = 400.

# %% [markdown] slide="only"
# ## LeNet-5 reads what you draw
#
# ### What will it make of a letter?
#
# ![](play:digit)
#
# . . .
#
# Always a digit: it knows ten classes, and one of them wins.
#
# Note: 2 min. Draw a digit, then ask what a letter will give, and draw it. Expect
# “it will say no”. Skip the letter when late.

# %% [markdown] slide="only"
# ## Most of the 61,706 parameters are in one layer
#
# ### In which: a convolution, or a linear layer?
#
# . . .
#
# ![](run:parameters)
#
# Note: 1.5 min. Expect a convolution. C5 has 120 × 401; the two convolutions hold one in
# twenty-four, and do most of the multiplications.

# %% [markdown] slide="only"
# ## Every training pipeline has six steps
#
# | | step | in torch |
# |---|---|---|
# | 1 | the examples | `Dataset` |
# | 2 | batches of them | `DataLoader` |
# | 3 | a function with parameters | `nn.Module` |
# | 4 | how wrong it is | `CrossEntropyLoss` |
# | 5 | how parameters move | `torch.optim.SGD` |
# | 6 | repeat, and measure | two loops |
#
# Note: 1.5 min. Cover the right column and ask for it. In the notebook every step is
# written out in full; later one line, fit, does the same. Skip when late.

# %% [markdown] slide="only"
# ## A training step has five lines
#
# ```python
# for images, labels in loader:
#     logits = model(images)
#     loss = F.cross_entropy(logits, labels)
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()
# ```
#
# ### What breaks when `zero_grad` comes after `backward`?
#
# . . .
#
# Nothing is learned: the gradients are cleared before the step.
#
# Note: 2 min. Let somebody say what each line does: scores, loss, clear, gradient, update.
# Expect “nothing”: no error comes, and the loss stays.

# %% [markdown] slide="only"
# ## Three sets: to learn, to choose, to report
#
# | set | used for | how often |
# |---|---|---|
# | training | gradients | every step |
# | validation | choosing epochs, rates, networks | every epoch |
# | test | the number we report | **once** |
#
# Note: 1.5 min. Ask why once. Expect “else it is learned by heart”: no gradient comes from
# it, but who chooses by it reports a number that is too good.

# %% [markdown] slide="only" part="Result"
# ## After one epoch it reads most of the new digits
#
# ![](run:training)
#
# ### Why is validation above training at first?
#
# . . .
#
# Training is a mean over the epoch, while the weights still move.
#
# Note: 1.5 min. Expect “the validation digits are easier”. Measured at the same moment,
# training is above. Every curve of this course is training and validation.

# %% [markdown] slide="only"
# ## It misreads fewer than one in a hundred
#
# > **{{ said(r"(\d+) of 10,000; in the paper") }}** misread by ours
#
# > **{{ said(r"10,000; in the paper (\d+)") }}** in the paper of 1998
#
# . . .
#
# Ours is not better: a difference of 5 has a standard error of about √(90 + 95) = 14.
#
# Note: 1.5 min. Look at the votes on the board. Ask whether ours is better. Expect yes:
# but the difference is within chance, and the recipes differ.

# %% [markdown] slide="only"
# ## Photographs are harder, and the recipe matters
#
# ![](run:any background: 32 × 32)
#
# . . .
#
# > **{{ said(r"([\d.]+)% of 10,000 test photos") }} %** two convolutions, trained by us
#
# > **{{ said(r"test photos; published: (\d+)") }} %** a published run, same network
#
# Note: 1.5 min. CIFAR-10: ten classes of 32 × 32, four epochs. Ask what the two runs may
# differ in. Expect the network: it is the same. The bug clinic, lecture 10, finds it.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - A convolution slides a small sum; size: ⌊(n + 2p − k) / s⌋ + 1.
# - Parameters: out × (in × k² + 1), whatever the image's size.
# - Ten classes, nothing learned: 2.303 nats.
# - `backward()` multiplies slopes along the road, once for all weights.
# - The test set is used once.
#
# Note: 1.5 min. Cover it, and let five students say one each. The formulas come back in
# every lecture.

# %% [markdown] slide="only"
# ## For home: two exercises in the notebook
#
# - **00.4** Write a training step without help, checked against torch's SGD.
# - **00.6** Measure the gradient that reaches the first layer, with sigmoid, tanh and
#   ReLU.
#
# Note: 1 min. 00.4 first: everything later stands on it. Next time: a network that learns
# by heart, and how to notice.

# %% [markdown] slide="sheet"
# ![](run:lenet)
#
# ## Shapes of LeNet-5
#
# ![](run:look.shape_table(LeNet5(), (1, 28, 28)))
