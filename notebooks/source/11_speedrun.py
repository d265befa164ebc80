# %% [markdown] slide="slide"
# # Speed-run: 94 % in the time of a lecture?
#
# How fast can a network learn to recognise ten kinds of objects? We take the ideas of
# the last years' records one by one, and put them into one program.
#
# *Jordan: 94 % on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024.*

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. say where the seconds of a training step go;
# 2. whiten the input of a network, and say why one learning rate then fits better;
# 3. scale a learning rate when the batch grows, and predict the number of steps;
# 4. write the core of the optimizer Muon, and draw what it does to an update;
# 5. measure what one trick is worth, with its error.
#
# A run takes a quarter of a minute at scale `tiny`, some minutes at `small`.

# %% [markdown] slide="slide"
# ## Question
#
# ResNet-20 (lecture 07) passes 76 % of the validation photos in its fourth epoch, which
# ends after 4.7 minutes of one processor core.
#
# **How soon can a network pass 76 %, if each part of the program is chosen for speed?**
#
# *A guess first: after 3 minutes, 2, 1 or half a minute?*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import time
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from teaching import check, diagrams, kept, speed, tables
from utils import course, data, look, pictures, plot
from utils.augment import HorizontalFlip, RandomCrop, mirror
from utils.models import build
from utils.train import fit, predict

run = course.start(seed=0)
photos = data.cifar10()

# %% [markdown] slide="slide"
# ## Where we start: accuracy by the minute
#
# Epochs of two networks can differ tenfold in time. So we compare by the **minutes that
# a processor core works** (for these older runs: the fastest seed's minutes by the
# clock). Each has four epochs; VGG-11 has BatchNorm.
#
# **Which network would you choose for two minutes, and which for five?**

# %% slide="subslide" name="base"
# alt: Validation accuracy against processor minutes, logarithmic. AlexNet is lowest,
# alt: VGG-11 and ResNet-20 end near 77 percent, and ResNet-56 needs almost three times
# alt: the minutes of ResNet-20.
base = {"AlexNet": "alexnet-cifar10", "VGG-11": "vgg11_bn-cifar10"}
base |= {"ResNet-20": "resnet20-cifar10", "ResNet-56": "resnet56-cifar10"}
title = "In four epochs no network of the earlier lectures passes 80 %"
kept.by_minute(base, title=title);

# %% [markdown]
# For two minutes VGG-11. For five ResNet-20, which ends hardly higher.
#
# The time is a product; each factor is a place to save:
#
# $$\text{seconds} = \underbrace{\text{photos read}}_{\text{fewer, by learning more from
# each}} \times \underbrace{\frac{\text{multiply-adds}}{\text{photo}}}_{\text{a smaller
# network}} \times \underbrace{\frac{\text{seconds}}{\text{multiply-add}}}_{\text{better
# use of the processor}}$$

# %% [markdown] slide="slide"
# ## Input that never waits
#
# Each photo is first cut, mirrored, turned into floats and normalised. **By which
# factor is this faster for 500 photos at once than one by one?**

# %% tags=["timed"] name="input"
# alt: Two bars of photos per second: one photo at a time is many times slower than 500
# alt: photos at a time.
some = photos.train.subset(course.pick(tiny=500, small=2000, full=2000))
changes = [RandomCrop(2), HorizontalFlip()]
per_second = {}
for name, size in {"one photo at a time": 1, "500 at a time": 500}.items():
    loader = some.loader(size, augment=changes, shuffle=True, device="cpu")
    seconds = speed.best(lambda loader=loader: list(loader), times=2)
    per_second[name] = len(some) / seconds
factor = per_second["500 at a time"] / per_second["one photo at a time"]
title = f"Cutting and mirroring whole batches is {factor:.1f} times as fast"
plot.bars(per_second, xlabel="photos in a second of the processor", title=title);

# %% [markdown]
# The difference is the calls of functions: once for each photo, or once for 500.
# **Cost:** all photos wait in memory, as bytes (138 MB for 45,000).

# %% [markdown] slide="slide"
# ## Fewer, wider layers
#
# We measure a 3 × 3 convolution with C channels in and out, BatchNorm and ReLU, forward
# and backward. All points have equally many multiply-adds, so fewer photos where C is
# larger. **bfloat16** numbers have 16 bits in place of 32: as large a range, but only 2
# to 3 digits.
#
# **Do 8 channels take the same time as 256?**

# %% tags=["timed"] name="rates"
# alt: Billions of multiply-adds a second against channels from 8 to 256, for float32 and
# alt: bfloat16: both rise steeply up to 32 channels; bfloat16 is above, and falls at 256.
channels = (8, 16, 32, 64, 128, 256)
found = speed.rates(channels, work=course.pick(tiny=2e7, small=1.5e8, full=1.5e8))
form, values = list(found.items())[-1]
ratio = values[4] / values[1]
title = f"In {form} layers of 128 channels do {ratio:.1f} times the work of 16"
axis = {"xlabel": "channels", "ylabel": "10⁹ multiply-adds a second"}
plot.band(channels, found, title=title, **axis);

# %% [markdown]
# No: 256 channels do at least six times as much in a second. (There the batch is one
# photo, too few: bfloat16 falls.) The convolution uses each number that it fetches from
# memory 9 C times: for each place of the kernel and each output channel. BatchNorm and
# ReLU use it a few times only. So with few channels the processor mostly waits for
# memory. ResNet-20 has 16 to 64; **we take few layers with many channels**. **Cost:**
# more parameters.
#
# bfloat16 halves what is fetched, and many processors multiply it faster. All kept runs
# here use it, the ResNets' too; your run on a CPU does not. **Cost:** rounding.

# %% [markdown] slide="subslide"
# **The network.** A first layer on 2 × 2 pixels, three groups of two convolutions, and
# a linear layer, the **head**. The first layer's 12 channels $x$ are also passed on as
# $-x$, since the non-linearity keeps mainly what is positive:

# %% tags=["hide-input"] name="network"
Stage = diagrams.Stage
diagrams.network(
    [
        Stage("input", "photo", 3, 32),
        Stage("conv", "whitening 2×2, and −x", 24, 31),
        Stage("block", "2 × conv 3×3, max pool", 64, 15),
        Stage("block", "2 × conv 3×3, max pool", 256, 7),
        Stage("block", "2 × conv 3×3, max pool", 256, 3),
        Stage("pool", "largest value", 256, 1),
        Stage("linear", "linear", 10),
    ],
    alt="The speed-run network: a photo of 3×32×32, a whitening layer of 24 channels,"
    " three groups of two convolutions with 64, 256 and 256 channels, the largest value"
    " of each channel, and one linear layer of ten outputs.",
)

# %% [markdown] slide="subslide"
# The max pooling follows a group's first convolution, so all after it has a quarter of
# the work. GELU is a smooth ReLU: $x$ times the probability that a standard normal
# number is below $x$.

# %%
class ConvGroup(nn.Module):
    """Two convolutions: (N, inputs, H, W) -> (N, outputs, H // 2, W // 2)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4)
        self.norm2 = nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4)
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            nn.init.dirac_(conv.weight.data[: conv.in_channels])  # see below
            norm.weight.requires_grad_(False)  # no scale: the next filters have one

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.gelu(self.norm1(x))
        return F.gelu(self.norm2(self.conv2(x)))

# %% slide="subslide"
class SpeedrunNet(nn.Module):
    """Whitening, three groups, a linear layer: (N, 3, 32, 32) -> (N, 10)."""

    def __init__(self, width=1.0, num_classes=10):
        super().__init__()
        sizes = [24, *(round(width * channels) for channels in (64, 256, 256))]
        self.whitening = nn.Conv2d(3, 12, 2, bias=False)
        self.groups = nn.Sequential(*map(ConvGroup, sizes[:-1], sizes[1:]))
        self.head = nn.Linear(sizes[-1], num_classes, bias=False)
        nn.init.normal_(self.head.weight)

    def forward(self, x):
        x = self.whitening(x)  # (N, 12, 31, 31)
        x = F.gelu(torch.cat([x, -x], 1))  # (N, 24, 31, 31): GELU alone loses half
        x = self.groups(x)  # (N, 256, 3, 3) at full width
        x = x.amax((2, 3))  # (N, 256)
        return self.head(x) / x.shape[1]  # small logits at the start

# %% [markdown] slide="subslide"
# **Which has more parameters, this network or ResNet-20, and which more
# multiply-adds?**

# %% check=True name="sizes"
with torch.device("meta"):
    sizes = {"ResNet-20": build("resnet20"), "speed-run": SpeedrunNet()}
    sizes["speed-run, half width"] = SpeedrunNet(0.5)
tables.networks(sizes, (3, 32, 32))

# %% [markdown]
# Seven times the parameters of ResNet-20, in eight layers. At full width almost three
# times its multiply-adds, at half width fewer; and wide layers do them faster.

# %% [markdown] slide="slide"
# ## Whitening: a first layer without training
#
# Neighbouring pixels are almost equal, and so are the three colours of one pixel. So
# the 12 numbers of a patch of 2 × 2 pixels vary together. Their **covariance** $C$ is
# the mean product of each two, with patches $p$ as columns of mean about 0:
#
# $$C = \text{mean of } p\,p^\top = V \Lambda V^\top$$
#
# The columns of $V$ (eigenvectors) are the directions in which patches vary; the
# diagonal of $\Lambda$ holds the variance along each. To **whiten** is to divide each
# direction by its standard deviation.

# %%
def whitening_filters(images, size=2, noise=5e-4):
    """Filters (12, 3, 2, 2): uncorrelated outputs, of variance 1 or a bit less."""
    patches = images.unfold(2, size, 1).unfold(3, size, 1)  # (N, 3, 31, 31, 2, 2)
    patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)  # (M, 12)
    covariance = patches.T @ patches / len(patches)
    variances, directions = torch.linalg.eigh(covariance)
    filters = directions / (variances + noise).sqrt()  # one in each column
    return filters.T.unflatten(1, (images.shape[1], size, size))

# %% [markdown] slide="subslide"
# Afterwards the 12 outputs are uncorrelated, with variance 1, or less where photos
# hardly vary: `noise` keeps us from dividing by almost 0. **Which of the 12 filters, by
# falling variance, comes first?**

# %% name="filters"
# alt: Twelve filters of two by two pixels in colour: the first are even in colour, the
# alt: later ones differ between left and right, top and bottom, and between colours.
sample = next(iter(photos.train.loader(course.pick(tiny=500, small=5000, full=5000))))
sample = sample[0].cpu()
filters = whitening_filters(sample)
title = "From plain brightness to fine differences: twelve directions of 2 × 2 patches"
directions = F.normalize(filters.flip(0).flatten(1)).view_as(filters)
pictures.filters(directions, columns=6, title=title);

# %% [markdown]
# Brightness. Then come colour and edges; at the end fine patterns, in which photos
# hardly vary.
#
# **How strongly do the 12 numbers vary together, before and after?**

# %% slide="subslide" name="covariances"
# alt: Two squares of 12 by 12. Before whitening nearly all entries are far from zero;
# alt: after whitening only the diagonal is.
def covariance(maps):
    """Covariance (C, C) of channels (N, C, H, W) whose mean is about 0."""
    rows = maps.transpose(0, 1).flatten(1)
    return rows @ rows.T / rows.shape[1]


pixels = F.unfold(sample, 2).unflatten(2, (31, 31))  # (N, 12, 31, 31)
before, after = covariance(pixels), covariance(F.conv2d(sample, filters))
matrices = {"12 numbers of a patch": before, "12 outputs of whitening": after}
spread = [torch.linalg.eigvalsh(matrix) for matrix in (before, after)]
was, now = (values[-1] / values[0] for values in spread)
title = f"Largest over smallest variance: {was:,.0f} before, {now:.1f} after whitening"
speed.covariances(matrices, title=title)

# %% [markdown]
# Before, the largest variance is about 18,000 times the smallest; after, only the
# diagonal is left. **This can help:** a gradient step has one rate for all directions.
# It must be small enough for the one with the largest variance, and is then far too
# small for the others. Whitening makes all variances alike. (BatchNorm does it for
# channels alone, lecture 06.) **Cost:** a first layer that does not learn.

# %%
def whitened(net, images=sample):
    """The network with a first layer that whitens, and stays so."""
    with torch.no_grad():
        net.whitening.weight.copy_(whitening_filters(images))
    net.whitening.requires_grad_(False)
    return net

# %% [markdown] slide="slide"
# ## Dirac filters: begin by copying
#
# A ResNet block starts near the identity, since its input is added (lecture 07). Here
# the **first $C_{in}$ filters of a convolution copy their input** instead: 1 in the
# middle of their own channel, 0 elsewhere, like Dirac's delta. The others stay random.

# %% name="dirac"
# alt: A photo's maps after each layer of the untrained network: with Dirac filters each
# alt: group gives a coarser copy of it, down to 3 by 3 places.
torch.manual_seed(run.seed)
net = whitened(SpeedrunNet())
layers = [f"groups.{i}" for i in range(3)]
maps = look.feature_maps(net, sample[2], ["whitening", *layers])
maps = {name: layer[4:12] for name, layer in maps.items()}  # not the faintest ones
title = "Before any training each group passes on a coarser copy of the photo"
pictures.feature_maps(maps, title=title);

# %% [markdown]
# In the last row little of the photo is left.
#
# **What does the second convolution of an untrained group do to its 64 channels?**

# %% check=True
x = torch.randn(2, 64, 15, 15)
copied = net.groups[0].conv2(x)
print("a group's second convolution copies its input:", torch.equal(copied, x))

# %% [markdown]
# It copies all 64, since it has as many outputs as inputs. In the first convolution 24
# of 64 filters copy. So one path through the untrained network only copies, between
# poolings, BatchNorm and GELU.

# %% [markdown] slide="slide"
# ## Label smoothing: be sure, not certain
#
# With a target of 1 for the right class the logits grow without limit. Smoothing by
# $\varepsilon$ gives each of the $K$ classes $\varepsilon / K$, and the right one
# $1 - \varepsilon$ more. With $\varepsilon = 0.2$ and $K = 10$ that is 0.02, and 0.82.
# The **lead** is the right logit minus the nine others, here all equal.
#
# **At which lead is the loss smallest?**

# %% name="smoothing"
# alt: Loss against the lead of the right logit. With a hard target it falls for ever; with
# alt: smoothing it has its minimum at 3.71.
title = "With smoothing the best lead is ln(0.82 / 0.02) = 3.71 nats, not infinite"
speed.smoothing(0.2, title=title);

# %% [markdown]
# A photo with this lead pulls no more, and the gradient is left to the others. The loss
# no longer goes to 0, so we compare runs by accuracy.

# %% [markdown] slide="slide"
# ## Large batches, scaled rates
#
# A large batch keeps the processor busy, and the optimizer works once for all its
# photos. **Cost:** fewer steps, a tenth with batches of 500 in place of 50. A step
# moves the weights by the *mean* of the batch's gradients:
#
# $$\Delta w = -\eta \cdot \frac{1}{B} \sum_{i=1}^{B} g_i$$
#
# **What must happen to the rate, so that each photo counts as much as before?** We look
# at the rates of the head and of the **shifts**, which BatchNorm adds.

# %% check=True
for batch in (50, 500, 2000):
    steps = -(-45_000 // batch)
    rates = f"head {0.67 * batch:7.1f}, shifts {0.053 * batch:6.2f}"
    print(f"batch {batch:5}: {steps:4} steps an epoch, rates: {rates}")

# %% [markdown]
# A photo counts for $\eta / B$. So when $B$ is multiplied by ten, so is $\eta$: the
# **linear scaling rule**. It holds as long as the weights hardly move within ten steps.
#
# 335 is no mistake: the head divides by its 256 inputs, so its gradients are small, and
# so are SGD's steps. So **each kind of weight gets its own rate**: in Jordan's program
# 0.67 and 0.053 for each photo of a batch.

# %% [markdown] slide="slide"
# ## Muon: move all directions alike
#
# All filters of a layer are one matrix, a row for each output channel, and so is their
# gradient. Its **singular value decomposition** (SVD) is $G = U \Sigma V^\top$: $U$ and
# $V$ hold directions, the **singular values** in $\Sigma$ say how strongly each is
# pulled. SGD moves along $G$, mainly in few directions. Muon moves along about
# $U V^\top$, in all alike: the hope is that weak directions matter, too.
#
# A matrix turns the unit circle into an ellipse with the singular values as half axes;
# $U V^\top$ would leave it a circle. Muon comes near in three cheap steps.
#
# **How near, if the two singular values are 0.95 and 0.15?**

# %%
def orthogonalise(matrix, steps=3):
    """Bring all singular values near 1, and leave the directions (Newton–Schulz)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm()  # now no singular value is above 1
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x

# %% slide="subslide" name="circles"
# alt: Three panels. The gradient makes of the circle a thin ellipse; after one step it is
# alt: wider; after three steps it is nearly a circle in the same directions.
turn = torch.linalg.qr(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))[0]
gradient = turn @ torch.diag(torch.tensor([0.95, 0.15])) @ turn.T
shapes = {"gradient": gradient, "after 1 step": orthogonalise(gradient, 1)}
shapes["after 3 steps"] = orthogonalise(gradient, 3)
title = "Muon lets the weak direction move about as far as the strong one"
speed.circles(shapes, title=title)

# %% [markdown]
# They become 0.71 and 0.92: still an ellipse, but no weak direction.
#
# In $X = U \Sigma V^\top$ the product $X X^\top X$ is $U \Sigma^3 V^\top$: the same
# directions, cubed values. So a polynomial of odd powers changes each singular value
# $\sigma$ by itself, in a **Newton–Schulz** step:
#
# $$\sigma \;\rightarrow\; 3.4445\, \sigma - 4.7750\, \sigma^3 + 2.0315\, \sigma^5$$
#
# Small values become about 3.4 times as large; large ones swing between about 0.7 and
# 1.2. It needs matrix products alone.

# %% [markdown] slide="subslide"
# **Is a real gradient so uneven?** One batch and one layer of the untrained network:

# %% name="spectra"
# alt: Singular values of a layer's gradient, by rank, logarithmic: those of the gradient
# alt: fall over several orders, those of Muon's update stay near 1 for most ranks.
batch = course.pick(tiny=200, small=500, full=500)
images, labels = next(iter(photos.train.loader(batch)))
F.cross_entropy(net.train()(images.cpu()), labels.cpu()).backward()
gradient = net.groups[1].conv2.weight.grad.flatten(1)  # (256, 2304)
values = {"gradient": gradient / torch.linalg.matrix_norm(gradient, 2)}
values["orthogonalised"] = orthogonalise(gradient)
spectra = {name: torch.linalg.svdvals(x).numpy() for name, x in values.items()}
weak = (spectra["gradient"] < 0.1).mean()
title = f"{weak:.0%} of a gradient's singular values are below a tenth of the largest"
axis = {"xlabel": "singular value, by rank", "ylabel": "size"}
ax = plot.band(range(1, 257), spectra, log=True, title=title, **axis)
ax.set(xscale="linear", xlim=(-4, 262), xticks=[1, 64, 128, 192, 256]);

# %% [markdown]
# This one is, and three steps lift most of its 256 values to about 1. The whole
# optimizer: momentum (lecture 00; Nesterov's form counts the new gradient once more),
# then orthogonalise, then a step. Before it, a layer's filters are set to the norm
# √rows: with BatchNorm their size does not matter (lecture 06).

# %%
class Muon(torch.optim.Optimizer):
    """Filters (4-D): orthogonalised momentum. Head (2-D), shifts (1-D): SGD."""

    def __init__(self, weights, lr=0.12, *, batch):
        kinds = {4: (lr, 0.6), 2: (0.67 * batch, 0.85), 1: (0.053 * batch, 0.85)}
        groups = [
            {"params": [w for w in weights if w.ndim == n], "lr": rate, "beta": beta}
            for n, (rate, beta) in kinds.items()
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, beta = group["lr"], group["beta"]
            for w in group["params"]:
                momentum = self.state[w].setdefault("momentum", torch.zeros_like(w))
                momentum.mul_(beta).add_(w.grad)
                move = w.grad + beta * momentum  # Nesterov's look ahead
                if w.ndim == 4:
                    move = orthogonalise(move.flatten(1)).view_as(w)
                    w.mul_(len(w) ** 0.5 / w.norm())
                w.sub_(lr * move)

# %% [markdown]
# An orthogonalised update has one size for any batch, so we keep its rate of 0.12: an
# approximation, since more steps move the filters more. **Cost:** the matrix products.
# (Kept runs add a little weight decay.)

# %% [markdown] slide="slide"
# ## Alternating flip: both forms, by turns
#
# With random mirroring (lecture 02) only half of the photos are seen both ways in two
# epochs. Here chance decides in the first epoch alone; then each photo takes turns:

# %%
class AlternatingFlip:
    """Mirror a random half in even epochs, the other half in odd ones."""

    by_epoch = True  # the loader calls it with the photos' places i and the epoch

    def __init__(self, count, seed=0):
        draw = torch.Generator().manual_seed(seed)
        self.first = torch.rand(count, generator=draw) < 0.5

    def __call__(self, images, i, epoch):
        turn = self.first.to(i.device)[i] ^ (epoch % 2 == 1)  # ^: one or the other
        return mirror(images, turn)

# %% name="flips"
# alt: Two panels of photos by epochs, dark where mirrored. Drawn each time there are long
# alt: runs of one form; by turns each row alternates.
title = "By turns, two epochs show every photo both ways"
speed.flips(AlternatingFlip(16).first, title=title)

# %% [markdown] slide="slide"
# ## Six views of one photo
#
# In evaluation the network may look six times: at the photo, its mirror image, and both
# moved by one pixel to two opposite corners. The two in place have half the weight:

# %%
class SixViews(nn.Module):
    """Mean logits of six views of an image: (N, 3, H, W) -> (N, K)."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        border = F.pad(x, [1, 1, 1, 1], mode="reflect")
        shifted = [border[:, :, :-2, :-2], border[:, :, 2:, 2:]]
        pairs = [self.net(v) + self.net(v.flip(3)) for v in (x, *shifted)]
        return pairs[0] / 4 + pairs[1] / 8 + pairs[2] / 8

# %% name="views"
# alt: Six views of one photo with their weights: in place a quarter each, moved by a pixel
# alt: an eighth each.
image = photos.train.images[2:3].float() / 255
border = F.pad(image, [1, 1, 1, 1], mode="reflect")
three = [image, border[:, :, :-2, :-2], border[:, :, 2:, 2:]]
views = torch.cat([view for v in three for view in (v, v.flip(3))])
words = ["in place: 1/4", "mirrored: 1/4", *["moved: 1/8", "mirrored: 1/8"] * 2]
title = "Six views vote, with these weights"
pictures.image_grid(views, words, columns=6, title=title);

# %% [markdown]
# An error of one view can be outvoted. **Cost:** six times the evaluation, nothing in
# training.

# %% [markdown] slide="slide"
# ## Where the time of a step goes
#
# **Which share of a step is the input, and which is Muon?**

# %% tags=["timed"] name="parts"
# alt: Bars of the milliseconds of a training step: backward is longest, then forward;
# alt: optimizer and input are small.
width = course.pick(tiny=0.25, small=0.5, full=1.0)
batch = course.pick(tiny=50, small=500, full=500)
some = photos.train.subset(8 * batch)
flips = AlternatingFlip(len(some))
loader = some.loader(batch, augment=[RandomCrop(2), flips], shuffle=True, device="cpu")
spent = speed.parts(whitened(SpeedrunNet(width)), loader, partial(Muon, batch=batch))
shares = {name: part / sum(spent.values()) for name, part in spent.items()}
title = f"Input takes {shares['input']:.0%} of a step, Muon {shares['optimizer']:.0%}"
plot.bars(spent, xlabel="milliseconds of a step, of the processor", title=title);

# %% [markdown]
# Both are small: each works once for 500 photos. Nearly all the time is forward and
# backward, the second up to twice as long. So what can still be saved are
# multiply-adds.

# %% [markdown] slide="slide"
# ## Your run
#
# The rate falls in a straight line to 0. **How many percent do you expect, and after
# how many minutes?**

# %% tags=["timed"]
epochs = course.pick(tiny=4, small=8, full=10)
train = photos.train.subset(course.pick(tiny=1500, small=None, full=None))
judge = photos.val.subset(course.pick(tiny=300, small=None, full=None))
changes = [RandomCrop(2), AlternatingFlip(len(train))]
torch.manual_seed(run.seed)
net = whitened(SpeedrunNet(width))
clock = time.process_time if run.device.type == "cpu" else time.perf_counter
begin = clock()
history = fit(
    net,
    train.loader(batch, augment=changes, shuffle=True, seed=run.seed),
    judge.loader(500),
    epochs=epochs,
    optimizer=partial(Muon, batch=batch),
    schedule="linear",
    loss_function=nn.CrossEntropyLoss(label_smoothing=0.2),
    name="speed-run",
)
minutes = (clock() - begin) / 60

# %% slide="subslide" tags=["timed"] name="yours"
# alt: Validation accuracy against processor minutes: your run rises above the kept runs of
# alt: ResNet-20 and ResNet-56 at every minute.
best = history.best["val_accuracy"]
points = speed.mine(history, minutes)
title = f"Yours: {best:.1%} after {minutes:.1f} processor minutes"
kept.by_minute(base, yours=points, title=title);

# %% [markdown]
# The star is your run, here at half width, in float32, on two threads. The others have
# one thread and bfloat16, so yours looks slower than it is.

# %% [markdown] slide="slide"
# ## The kept runs: how far, and how soon?
#
# Two speed-runs: at full width ten epochs; at a quarter of it (16, 64 and 64 channels)
# four, in about a minute. **After how many minutes does one pass the accuracy with
# which ResNet-20 ends?**

# %% slide="subslide" name="minutes"
# alt: Validation accuracy against processor minutes of the kept runs: the speed-run network
# alt: is above all others at every minute.
fast = {"speed-run, a minute": "speedrun-minute", "speed-run": "speedrun"}
goal, end = (values[-1] for values in kept.passed("resnet20-cifar10"))
soon = speed.reached("speedrun-minute", end)
there = speed.at("speedrun-minute", goal)
title = f"ResNet-20 needs {goal:.1f} minutes for {end:.0%}, the speed-run {soon:.1f}"
kept.by_minute(base | fast, title=title);

# %% slide="subslide" name="milestones"
print(kept.caption("speedrun"))
print(f"after {goal:.1f} minutes: ResNet-20 {end:.1%}, speed-run {there:.1%}")
speed.milestones(base | fast, (0.76, 0.85, 0.90))

# %% [markdown] slide="subslide"
# The run of a minute (the shorter blue line) is past both 76 and 78 % after 0.6
# minutes, and ends with 85.8 %.
#
# **And on the 10,000 test photos, with six views: is it 94 %?**

# %%
speed.views(fast)

# %%
more = kept.difference("resnet20-cifar10", "speedrun-minute")
print("test, one view, the speed-run of a minute minus ResNet-20:", more)

# %% [markdown]
# No. The long run has 93.5 ± 0.2 % with six views, after 16 minutes (±: standard
# deviation over seeds). But **one minute is enough for 85 %** with one view, 8.9 ± 0.7
# points above ResNet-20, in a single seed.

# %% [markdown] slide="slide"
# ## What is each trick worth?
#
# We take **one trick alone** out: a quarter of the width, 10,000 photos, six epochs
# (120 steps), one or two seeds. Muon is replaced by SGD with momentum 0.85 and a rate
# of 0.7, alternating flips by random ones, and the shifts' rate of 26.5 by 0.4. Then
# **all six** are out. ± is the standard error over seeds and test photos. Hollow: we
# cannot say whether the trick helps.
#
# **Which trick would you miss most? And do the six gains add up to the gain of all?**

# %% slide="subslide" name="gains"
# alt: Gains of six tricks, and of all of them together, in points of test accuracy, with
# alt: whiskers of twice the standard error.
gains = speed.gains("speedrun-quarter")
together = gains["all six of them"]
muon = gains["Muon"].points
title = f"Without Muon {muon:.1f} points are lost,"
title += f" without all six {together.points:.1f}"
speed.draw_gains(gains, title=title);

# %%
print(kept.caption("speedrun-quarter"))
forms = {"all tricks": "speedrun-quarter"}
for name, word in speed.TRICKS.items():
    forms[f"without {name}"] = f"speedrun-quarter-{word}"
kept.scoreboard(forms)

# %% [markdown]
# **Muon carries most**, then the shifts' own rate. We searched no best rates for the
# runs without them, so both gains may be smaller. Forms without ± have one seed: their
# error is too small.
#
# The six gains add up to 12.7 points, all six together bring 17.2. Perhaps each trick
# replaces a part of what another brings. But the accuracy with all tricks (± 0.4)
# enters this difference five times: it is a hint, no proof.

# %% [markdown] slide="slide"
# ## Look inside
#
# Each copying filter began with its whole squared norm in one weight. **Which share is
# there after training: 90, 50 or 5 %?**

# %% slide="subslide"
# alt: Bars for the six convolutions: the share of a filter that still copies its own
# alt: channel, in percent of its squared norm.
copies = {}
for i, group in enumerate(net.groups):
    for name, conv in {"first": group.conv1, "second": group.conv2}.items():
        middle = conv.weight.detach().cpu()[:, :, 1, 1]
        rows = conv.weight.detach().cpu().flatten(1).norm(dim=1)
        share = (middle.diagonal() / rows[: len(middle.diagonal())]) ** 2
        copies[f"group {i + 1}, {name}"] = share.mean().item()
low, high = min(copies.values()), max(copies.values())
title = f"After training {low:.0%} to {high:.0%} of a filter still copies its channel"
plot.bars(copies, xlabel="share of a filter's squared norm (%)", title=title);

# %% [markdown]
# Less than 5 % everywhere: copying is only a beginning.

# %% [markdown] slide="subslide"
# **Its most confident mistakes** (*airplane, not cat* is an airplane taken for a cat):

# %%
# alt: Five validation photos with true class, wrong answer and confidence.
logits, labels = predict(net, judge.loader(500))
indices, guesses, confidence = look.most_wrong(logits, labels, n=5)
names = photos.classes
titles = [
    f"{names[labels[i]]}, not {names[guess]} ({p:.0%})"
    for i, guess, p in zip(indices, guesses, confidence, strict=True)
]
title = f"Its surest mistake has {max(confidence):.0%}; smoothing aims at 82 %"
pictures.image_grid(judge.images[indices], titles, columns=5, title=title);

# %% [markdown]
# **Do six views help, on all validation photos?**

# %%
one = logits.argmax(1) == labels
six = predict(SixViews(net), judge.loader(500))[0].argmax(1) == labels
print("validation, six views minus one:", kept.paired([one], [six]))
right, wrong = (six & ~one).sum(), (one & ~six).sum()
print(f"of {len(labels):,} photos {right} become right and {wrong} wrong")

# %% [markdown]
# Yes: the gain is more than twice its error.

# %% [markdown] slide="slide"
# ## Every idea: its gain and its cost
#
# | idea | gain | cost |
# |---|---|---|
# | whole batches as input | over ten times as fast | memory |
# | wide layers | 128 channels: about twice the work of 16 | more parameters |
# | bfloat16 | about 1.5 times the work | rounding |
# | large batches | a busy processor; not measured | fewer steps |
# | Muon | 7.1 ± 0.8 points | a small share of a step |
# | a rate for each kind of weight | 2.5 ± 0.7 (shifts) | rates to search |
# | label smoothing | 1.2 ± 0.7: not sure | none |
# | whitening | 1.0 ± 0.7: not sure | first layer fixed |
# | Dirac filters | 0.5 ± 0.7: not sure | none |
# | alternating flip | 0.4 ± 0.7: not sure | none |
# | six views | 0.9 ± 0.3 points | six times the evaluation |
#
# Six epochs may be too few for smoothing and flips.

# %% [markdown] slide="slide"
# ## Against the records
#
# | who | processor | to 94 % of the test photos |
# |---|---|---|
# | Jordan 2024, airbench94 | one A100 GPU | 3.29 s |
# | Jordan 2024, airbench94 with Muon | one A100 GPU | 2.59 s |
# | ours, 16 epochs of all 50,000 photos | one core of a CPU | 33 minutes |
# | ours, ten epochs of 45,000 photos | one core of a CPU | not reached: 93.5 % |
#
# Their network learns from all 50,000 photos, and both recipes were judged by test
# photos. So was our run of 16 epochs (one seed, `python -m benchmarks accuracy`): it
# looks at them after each epoch, and ends with 94.3 %. Its core had other work, too.
#
# An A100 does up to 156 · 10¹² multiply-adds a second in bfloat16 (data sheet), a
# thousand times our core's.

# %% [markdown] slide="subslide"
# **The test photos**, new to your network, with six views:

# %%
logits, labels = predict(SixViews(net), photos.test.loader(500))
tested = (logits.argmax(1) == labels).double().mean().item()
print(f"{tested:.1%} of {len(labels):,} test {photos.test.kind}")

# %% [markdown] slide="slide"
# ## Scoreboard
#
# Minutes are means over seeds, some of which waited: ResNet-20 has more than above.

# %%
kept.scoreboard(base | fast)

# %% [markdown] slide="slide"
# ## Answer
#
# How soon does a network pass the 76 % for which ResNet-20 needs 4.7 minutes?

# %% slide="fragment" tags=["timed"]
kinds = photos.test.kind
yours = f"yours: {tested:.1%} of the test {kinds} after {minutes:.1f} minutes"
main = f"{there:.0%} when ResNet-20 is at {end:.0%}"
counted = f"{tested:.0%} of 1,000 test drawings after four epochs of 1,500"
measured = f"{main} (kept runs, {goal:.1f} processor minutes); {yours}"
run.headline(course.pick(tiny=counted, small=measured, full=measured))

# %% [markdown] slide="fragment"
# After 0.6 minutes, in a run that ends with 85.8 %.
#
# **Most of the saved time is a smaller network.** The run of a minute and ResNet-20
# both read four times 45,000 photos, in 0.9 and 4.7 minutes, but at 10 and 41 million
# multiply-adds a photo. **The higher accuracy does not come from it:** VGG-11 needs as
# few, and ends at 76.3 %. The tricks are a likely reason: without all six, short runs
# lose 17.2 points. 94 % took 16 epochs of all 50,000 photos.

# %% [markdown] slide="slide"
# ## Exercises
#
# Replace each `...`, run the cell, then the check below it.

# %% [markdown] slide="subslide"
# ### 11.1 Predict: steps, photos, rates
#
# Predict three numbers, in this order:
#
# - (a) How many steps are 10 epochs of 45,000 photos in batches of 500?
# - (b) With *random* flips, how many of 45,000 photos have been seen both ways after
#   three epochs, on average?
# - (c) The head's rate is 335 for batches of 500. Which rate fits batches of 125?

# %%
# solution
answers = (900, 45_000 * 3 // 4, 335 / 4)  # (a), (b), (c)

# %%
check("11.1", answers)

# %% [markdown] slide="subslide"
# ### 11.2 Write: orthogonalise, to the end
#
# The simplest polynomial that drives singular values $s$ to 1 is
# $s \rightarrow 1.5\,s - 0.5\,s^3$, slower than Muon's. Write `orthogonal(matrix,
# steps)`: divide by the norm, then take this step so many times. Matrix products alone,
# no SVD, for tall and for wide matrices.

# %%
def orthogonal(matrix: torch.Tensor, steps: int = 30) -> torch.Tensor:
    """U V^T of a matrix U S V^T, by Newton–Schulz steps of the third power."""
    # solution
    x = matrix / matrix.norm()
    for _ in range(steps):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return x

# %%
check("11.2", orthogonal)

# %% [markdown] slide="subslide"
# ### 11.3 Modify: whiten, and turn back
#
# Our filters turn patches into their main directions. Turned back,
# $W = V\Lambda^{-1/2}V^\top$, whitened patches look like patches again. Write
# `turned_back`: of patches (M, D), one in each row and of mean about 0, it returns this
# $W$ (D, D), without noise term.

# %%
def turned_back(patches: torch.Tensor) -> torch.Tensor:
    """Symmetric W (D, D): the rows of patches @ W are uncorrelated, variance 1."""
    # solution
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    return directions / variances.sqrt() @ directions.T

# %%
check("11.3", turned_back)

# %% [markdown] slide="subslide"
# ### 11.4 Repair: a rate that does not scale
#
# A friend with little memory takes batches of 100 in place of 500, and keeps the rates.
# **Which of the three must change with the batch?** Repair `scaled_rates`:
#
# ```python
# def scaled_rates(batch):
#     return {"filters": 0.12, "head": 335.0, "shifts": 26.5}
# ```

# %%
def scaled_rates(batch: int) -> dict[str, float]:
    """The three rates for batches of this size; right as above for 500."""
    # solution
    return {"filters": 0.12, "head": 335.0 * batch / 500, "shifts": 26.5 * batch / 500}

# %%
check("11.4", scaled_rates)

# %% [markdown] slide="subslide"
# ### 11.5 Write: look again only where it is unsure
#
# Write `forward` of `SecondLook`: the logits of the photo; where the two largest differ
# by **less than** `margin`, the mean of these logits and those of the mirror image.
# Only such photos may pass the network a second time.

# %%
class SecondLook(nn.Module):
    """(N, 3, H, W) -> (N, K): a second look, mirrored, at unsure images."""

    def __init__(self, net: nn.Module, margin: float) -> None:
        super().__init__()
        self.net, self.margin = net, margin

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # solution
        logits = self.net(x)
        first, second = logits.topk(2).values.unbind(1)
        unsure = first - second < self.margin
        if unsure.any():
            again = self.net(x[unsure].flip(3))
            logits = logits.clone()
            logits[unsure] = (logits[unsure] + again) / 2
        return logits

# %%
check("11.5", SecondLook)

# %% [markdown] slide="subslide"
# ### 11.6 Investigate: one trick, on your own runs
#
# Measure what **one** trick brings. `short` trains a small network on few photos, and
# returns the history and which validation photos it reads right. Take one trick out:
# `whiten=False`, `smoothing=0.0`, `turns=False` (random flips), or `shift_rate=0.4`.

# %%
few = photos.train.subset(course.pick(tiny=300, small=5000, full=20_000))


def short(seed, *, whiten=True, smoothing=0.2, turns=True, shift_rate=None):
    """Train a quarter of the width for three epochs; one trick can be left out."""
    torch.manual_seed(seed)
    net = SpeedrunNet(0.25)
    net = whitened(net) if whiten else net
    flip = AlternatingFlip(len(few), seed) if turns else HorizontalFlip()
    loader = few.loader(100, augment=[RandomCrop(2), flip], shuffle=True, seed=seed)

    def make(weights):
        optimizer = Muon(weights, batch=100)
        optimizer.param_groups[2]["lr"] = shift_rate or 5.3
        return optimizer

    loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
    recipe = {"optimizer": make, "schedule": "linear", "loss_function": loss}
    history = fit(net, loader, epochs=3, progress=False, name=f"seed {seed}", **recipe)
    logits, labels = predict(net, judge.loader(500))
    return history, logits.argmax(1) == labels

# %% [markdown] slide="subslide"
# Train with it and without it, **with the same three seeds**. `with_it` and
# `without_it` hold what `short` returns, one for each seed. `gain` is what
# `kept.paired` says of their **second items** alone: first without, then with.

# %%
# solution
with_it = [short(seed) for seed in range(3)]
without_it = [short(seed, whiten=False) for seed in range(3)]
gain = kept.paired([seen for _, seen in without_it], [seen for _, seen in with_it])
print("whitening:", gain)

# %%
check("11.6", (with_it, without_it, gain))

# %% [markdown]
# **Explain:** does your gain agree with the kept runs' figure, within both errors? If
# not, what differs between the two experiments?

# %% [markdown] solution=True
# Here whitening is taken out of three epochs of 5,000 photos in batches of 100; the kept
# runs have six epochs of 10,000 in batches of 500. So number and size of the steps differ,
# and a trick that makes *early* steps learn more (whitening, copying filters, fitting
# rates) can look larger in one of them. The errors differ, too: ours compares the same
# validation photos pair by pair; the kept runs count test photos as if they were others
# for each form, which makes their error rather too large.

# %% slide="skip"
check.progress("11")

# %% [markdown] slide="slide"
# ## Recap
#
# 1. Seconds = photos × multiply-adds a photo × seconds a multiply-add. Whole batches,
#    wide layers and bfloat16 lower the last.
# 2. Whitening: $C = V \Lambda V^\top$, filters $\Lambda^{-1/2} V^\top$. Outputs have
#    like variance, so one rate fits all directions.
# 3. Linear scaling: a photo counts for $\eta / B$, so $\eta$ grows with the batch $B$.
# 4. Muon: of $G = U \Sigma V^\top$ it takes about $U V^\top$, by a polynomial.
# 5. A trick is worth what is missing without it, **with its error**.

# %% [markdown] slide="skip"
# ## References
#
# - K. Jordan: [94 % on CIFAR-10 in 3.29 Seconds on a Single
#   GPU](https://arxiv.org/abs/2404.00498), 2024: Sec. 3, Listing 2.
# - K. Jordan et al.: [Muon: an optimizer for hidden layers in neural
#   networks](https://kellerjordan.github.io/posts/muon), 2024.
# - D. Page: *How to Train Your ResNet*, 2019: whitening patches.
# - P. Goyal et al.: [Accurate, Large Minibatch SGD](https://arxiv.org/abs/1706.02677),
#   2017: linear scaling.
# - C. Szegedy et al.: [Rethinking the Inception
#   Architecture](https://arxiv.org/abs/1512.00567), 2016, Sec. 7: label smoothing.
# - Data: A. Krizhevsky, [CIFAR-10](https://www.cs.toronto.edu/~kriz/cifar.html), 2009;
#   free for research and teaching with citation.

# %% slide="only" name="scoreboard"
# alt: Test accuracy of kept runs, a circle for each seed: AlexNet about 61, VGG-11 and the
# alt: two ResNets about 76 percent, the speed-run about 85 after a minute, and 93.
from teaching import kept, speed
from utils import plot

board = {"AlexNet": "alexnet-cifar10", "VGG-11": "vgg11_bn-cifar10"}
board |= {"ResNet-20": "resnet20-cifar10", "ResNet-56": "resnet56-cifar10"}
board |= {"speed-run, a minute": "speedrun-minute", "speed-run": "speedrun"}
plot.spread({label: kept.test_accuracy(name) for label, name in board.items()})

# %% slide="only" name="clock"
# alt: Validation accuracy against processor minutes, logarithmic: AlexNet, VGG-11,
# alt: ResNet-20 and ResNet-56 end between 61 and 78 percent, after one to thirteen minutes.
kept.by_minute(dict(list(board.items())[:4]))

# %% slide="only" name="race"
# alt: Validation accuracy against processor minutes, logarithmic: the speed-run of a minute
# alt: and the long one are above ResNet-20 at every minute.
two = {"speed-run, a minute": "speedrun-minute", "speed-run": "speedrun"}
kept.by_minute({"ResNet-20": "resnet20-cifar10"} | two)

# %% slide="only" name="lead"
# alt: Loss against the lead of the right logit. With a hard target it falls for ever; with
# alt: smoothing it has its minimum at 3.71.
speed.smoothing(0.2)

# %% slide="only" name="worth"
# alt: Gains of six tricks, and of all of them together, in points of test accuracy, with
# alt: whiskers of twice the standard error.
worth = speed.gains("speedrun-quarter")
alone = sum(gain.points for trick, gain in worth.items() if trick != "all six of them")
minute = speed.views(two).rows[0]
_, one, six = speed.views(two).rows[1]
speed.draw_gains(worth).figure.set_size_inches(7, 3.1)

# %% [markdown] slide="only" part="The clock"
# # Speed-run: 94 % in the time of a lecture?
#
# ![](run:network)
#
# Note: 1 min. Records for CIFAR-10 are famous and hardly read. After the hour they know
# each of the ideas in them, and what each is worth.

# %% [markdown] slide="only"
# ## Last time: three questions
#
# 1. Why does a ResNet block start near the identity?
# 2. What does BatchNorm do to the size of the weights?
# 3. A batch grows ten times: how many steps has an epoch?
#
# . . .
#
# 1: its input is added. 2: the size no longer matters. 3: a tenth.
#
# Note: 2 min. A different row answers each. All three answers are used today.

# %% [markdown] slide="only"
# ## Time is the fair axis, not epochs
#
# ![](run:clock)
#
# Kept runs of four epochs; VGG-11 has BatchNorm.
#
# Note: 3 min. Ask which network they would choose with two minutes, and with five.
# These older runs know the clock's time alone, so each line is the fastest seed.

# %% [markdown] slide="only"
# ## How far in ResNet-20's minutes?
#
# ### ResNet-20 reads 77.6 % of validation photos after 4.7 minutes. And another program?
#
# . . .
#
# Write down a number.
#
# Note: 1.5 min. Most say 80. Collect the guesses on the board; the answer comes with the
# kept runs.

# %% [markdown] slide="only"
# ## Seconds are a product of three factors
#
# $$\text{photos} \times \frac{\text{multiply-adds}}{\text{photo}} \times
# \frac{\text{seconds}}{\text{multiply-add}}$$
#
# ### Name one idea for each factor
#
# . . .
#
# Better steps: whitening, Muon · pool early · wide layers, whole batches, 16-bit numbers
#
# Note: 2.5 min. Fewer photos: learn more from each. Fewer multiply-adds: a smaller network.
# Cheaper ones: use the processor well. Today's ideas fall into these three.

# %% [markdown] slide="only" part="Cheap multiply-adds"
# ## Crop and mirror whole batches, not single photos
#
# ![](run:input)
#
# Note: 2 min. Ask where the time of one photo goes: into calls of functions. Pixels are
# cheap. So the set waits in memory, and a batch is prepared at once.

# %% [markdown] slide="only"
# ## From 8 to 64 channels, each multiply-add gets cheaper
#
# ![](run:rates)
#
# bfloat16: numbers of 16 bits in place of 32, half to fetch. All kept runs here use it.
#
# Note: 3 min. At 256 this batch is one photo, too few. Equal multiply-adds everywhere.
# Ask why few channels are slow: each number that is fetched is used nine times C.
# bfloat16 costs digits: 2 to 3 are left.

# %% [markdown] slide="only"
# ## So: eight layers in place of twenty
#
# ![](run:network)
#
# ResNet-20 has 16 to 64 channels. −x: each whitened channel again, its sign turned.
#
# Note: 2 min. Let them count the layers with weights. The first one is special, and comes
# next. The pooling stands before BatchNorm: a quarter of the work.

# %% [markdown] slide="only"
# ## A group is two convolutions and a pooling
#
# ```python
# def forward(self, x):
#     x = F.max_pool2d(self.conv1(x), 2)
#     x = F.gelu(self.norm1(x))
#     return F.gelu(self.norm2(self.conv2(x)))
# ```
#
# ### Which line saves most time?
#
# . . .
#
# The first: everything after it has a quarter of the places. (`gelu`: a smooth ReLU.)
#
# Note: 2 min. Ask what GELU is: a smooth ReLU. Compare with VGG, where the pooling stands
# at the end of a block.

# %% [markdown] slide="only" part="Better steps"
# ## Twelve numbers of a patch say nearly the same
#
# ![](run:covariances)
#
# Whitening: filters whose outputs are uncorrelated and of like size. One learning rate
# then fits all directions.
#
# Note: 3 min. A patch is 2 × 2 pixels of three colours. Left: nearly all red, so
# neighbours agree. Ask why one learning rate cannot fit: the largest variance decides
# it. Right: after whitening.

# %% [markdown] slide="only"
# ## The directions: brightness first, fine detail last
#
# ![](run:filters)
#
# Note: 2.5 min. Eigenvectors as pictures, by falling variance. Divide each by its standard
# deviation: these are the filters of the first layer, and they stay fixed.

# %% [markdown] slide="only"
# ## Three lines whiten a set of photos
#
# ```python
# covariance = patches.T @ patches / len(patches)
# variances, directions = torch.linalg.eigh(covariance)
# filters = directions / (variances + noise).sqrt()
# ```
#
# ### What is the noise term for?
#
# . . .
#
# In some directions photos hardly vary: there we would divide by almost 0. With it the
# weakest direction ends at about half the variance.
#
# Note: 2.5 min. They know eigenvectors from linear algebra. Columns are directions. Cost: one
# pass over 5,000 photos before training.

# %% [markdown] slide="only"
# ## Begin by copying: Dirac filters
#
# ![](run:dirac)
#
# A Dirac filter: 1 in the middle of its own channel, 0 elsewhere. So an untrained layer
# copies its input, and its other filters are random.
#
# Note: 2.5 min. Untrained, and still a photo. Ask for the parallel: a ResNet block
# begins as the identity. Here a one in the middle of each channel's own filter does it.

# %% [markdown] slide="only"
# ## Label smoothing: a lead of 3.71 is enough
#
# ![](run:lead)
#
# Targets 0.82 and 0.02, not 1 and 0. A photo at the minimum pulls no more: the gradient
# is left to the others.
#
# Note: 2.5 min. Ask for the targets with 0.2 and ten classes. The best lead is the
# logarithm of their ratio. A logit is an output before softmax.

# %% [markdown] slide="only"
# ## Ten times the batch: what of the rate?
#
# $$\Delta w = -\frac{\eta}{B} \sum_{i=1}^{B} g_i$$
#
# Rate $\eta$, batch of $B$ photos, gradient $g_i$ of one photo
#
# ### Each photo shall count as before. Which rate?
#
# . . .
#
# > **10 times** the rate, in a tenth of the steps
#
# Note: 2.5 min. Some answer with the square root: ask what a photo then counts.
# Exercise 11.4 repairs a recipe that forgot it.

# %% [markdown] slide="only"
# ## Each kind of weight has its own rate
#
# In batches of 500: head **335**, shifts of BatchNorm **26.5**
#
# ### Why can the head have 335?
#
# . . .
#
# It divides by its 256 inputs: its gradients are tiny. Plain SGD makes small steps of
# small gradients.
#
# Note: 1.5 min. Many take 335 for a mistake. Filters come next: Muon gives all their
# directions the same size, whatever the gradient.

# %% [markdown] slide="only"
# ## Gradients pull in few directions only
#
# ![](run:spectra)
#
# The gradient of a layer's filters as one matrix: singular values say how strongly each
# direction moves.
#
# Note: 2.5 min. Singular values of one layer's gradient. Ask what SGD does with it: it
# moves mostly along the first few. The upper line is what Muon does.

# %% [markdown] slide="only"
# ## Muon: make the ellipse a circle
#
# ![](run:circles)
#
# Note: 3 min. What the update does to the unit circle. Directions stay, lengths become
# similar. Ask whether the weak direction may be noise: partly, and momentum averages it.

# %% [markdown] slide="only"
# ## A polynomial in place of an SVD
#
# ```python
# a, b, c = 3.4445, -4.7750, 2.0315
# x = gradient / gradient.norm()
# for _ in range(3):
#     s = x @ x.T
#     x = a * x + (b * s + c * s @ s) @ x
# ```
#
# ### What happens to one singular value σ?
#
# . . .
#
# $$\sigma \rightarrow a\,\sigma + b\,\sigma^3 + c\,\sigma^5$$
#
# Small values become 3.4 times as large, large ones swing between 0.7 and 1.2.
#
# Note: 3 min. U and V cancel in the middle of x x^T x. Let them check with a diagonal
# matrix. Only matrix products: the fastest thing a processor does.

# %% [markdown] slide="only" part="Data and evaluation"
# ## By turns: every photo both ways in two epochs
#
# ![](run:flips)
#
# Note: 2 min. Ask how many are seen both ways after two random epochs: half. After three:
# three quarters, exercise 11.1. It costs nothing.

# %% [markdown] slide="only"
# ## Six views vote: 0.8 points, six times the work
#
# ![](run:views)
#
# Test photos, long run: {{ one }} with one view, {{ six }} with six.
#
# Note: 1.5 min. Evaluation only, six times its cost. Ask when it is a fair comparison: the
# training time is the same, the answer takes longer.

# %% [markdown] slide="only" part="Together"
# ## Most of a step is the backward pass
#
# ![](run:parts)
#
# Note: 2 min. Ask before showing: which share is the input, which is Muon? Both are
# small, since each works once for 500 photos. More speed must come from fewer
# multiply-adds.

# %% [markdown] slide="only"
# ## One minute passes ResNet-20's five
#
# ![](run:race)
#
# A quarter of the width, four epochs: **85.8 %** of validation photos; ResNet-20:
# 77.6 %. The long run: full width, ten epochs.
#
# Note: 3 min. Compare with the guesses on the board. Kept runs, one core. Read off the
# time at which the new network passes 76 percent. A smaller network saves most of the
# time.

# %% [markdown] slide="only"
# ## Your own run reaches 90 % at half width
#
# ![](run:yours)
#
# The notebook's own run: half the channels in each layer, eight epochs. Full width takes
# {{ f"{speed.reached('speedrun', 0.9):.1f}" }} minutes to 90 %.
#
# Note: 2 min. The star is this run. On a laptop it takes some minutes; let it run during
# the break.

# %% [markdown] slide="only"
# ## Muon carries most, all six together far more
#
# ![](run:worth)
#
# Each taken out alone: {{ f"{alone:.1f}" }} points in sum. Perhaps each makes up for a
# part of another: a hint, no proof.
#
# Note: 4 min. Let them guess the order first. Full dots: more than twice the standard
# error. "A rate for each kind" is measured by the shifts' rate alone. One baseline
# enters the sum six times, with its error. Ask why hollow ones may still help in longer
# runs.

# %% [markdown] slide="only"
# ## The scoreboard's last rows: 85 and 93 %
#
# ![](run:scoreboard)
#
# One view; four epochs, the last row ten. The run of a minute is one seed.
#
# Note: 2 min. Ask what would be a fair test: equal minutes, as before. The others would
# gain from longer runs, too. A smaller network explains most of the saved time.

# %% [markdown] slide="only"
# ## 94 % in the time of a lecture? With all 50,000 photos
#
# > **{{ six.split()[0] }} %** of the test photos with six views, after 16 minutes
#
# > **{{ minute[1].split()[0] }} %** with one view, after one minute
#
# > **94.3 %** after 16 epochs of all 50,000 photos; 94 % after 33 minutes
#
# Note: 1 min. Jordan's 94 % learns from all 50,000 photos on a fast GPU, ours on one core
# of a CPU. The first two numbers are of 45,000 photos, with the test photos read once; the
# last looks at them after each epoch, as the records do.

# %% [markdown] slide="only"
# ## Five sentences to take home
#
# - Seconds = photos × multiply-adds × seconds for each.
# - Whitened input: one rate fits all directions.
# - The rate grows with the batch.
# - Muon moves all directions alike.
# - A trick is worth what is missing without it, with its error.
#
# Note: 2 min. Cover it, and let five students say one each. The cheat sheet has them.

# %% [markdown] slide="only"
# ## For home: two exercises
#
# - **11.2** Orthogonalise with a cubic polynomial, to the end.
# - **11.6** Measure one trick on your own runs, with its error.
#
# Note: 1 min. The first takes ten minutes, the second half an hour. Ask each row to choose
# another trick, and collect the gains.

# %% [markdown] slide="sheet"
# ![](run:network)
#
# ## On the scoreboard
#
# ![](run:kept.scoreboard(base | fast))
#
# ## Without one trick
#
# ![](run:kept.scoreboard(forms))
