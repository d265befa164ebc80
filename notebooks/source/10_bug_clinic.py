# %% [markdown] slide="slide"
# # The bug clinic: it runs, and it is wrong
#
# A network that does not learn raises no error. We plant common mistakes in **one**
# program, one at a time. We see the symptom, ask questions whose answers are known, and
# find the line.

# %% [markdown] slide="slide"
# ## Objectives
#
# After this lecture we can
#
# 1. read a loss curve, and name the faults that may cause it;
# 2. ask a training program ten questions whose right answers are known;
# 3. choose the cheapest question that tells two faults apart;
# 4. repair a fault, and prove the repair by what the program does.
#
# About a minute at scale `small`, on one core.

# %% [markdown] slide="slide"
# ## Question
#
# A program of fifty lines trains a network to *read* digits: to name them rightly. We
# change **one place** in it, look at what happens, and change it back: 24 faults.
#
# **How many of the 24 stop the program with an error?** And of those that do not, how
# many report that more than half of the digits are read?
#
# *Write down two numbers.*

# %% [markdown] slide="skip"
# ## Set-up

# %% setup

# %% slide="skip"
import torch
from torch import nn
from torch.nn import functional as F

from teaching import check, clinic
from utils import course, data, pictures
from utils.models import TwoLayerCNN

run = course.start(seed=0)
digits = data.mnist()
(mean,), (std,) = digits.train.mean, digits.train.std
count = course.pick(tiny=400, small=6_000, full=50_000)
epochs = course.pick(tiny=5, small=3, full=3)

# %% [markdown] slide="slide"
# ## The patient: a healthy program first
#
# The whole program stands in the next four cells. Each fault of this lecture is one change
# in these lines. *Say for each line what it is for.*

# %%
def load(n=count):
    """n digits to learn from and 1,000 others: images (bytes), labels, and again."""
    known = digits.train.subset(n)
    unseen = digits.val.subset(1000)
    return known.images, known.labels, unseen.images, unseen.labels


def prepare(images):
    """Bytes (N, 1, 28, 28) -> what the network gets: mean 0, deviation 1."""
    return (images.float() / 255 - mean) / std


def batches(images, labels):
    """One epoch in a new order, batch by batch: inputs and labels."""
    for chosen in torch.randperm(len(images)).split(64):
        yield prepare(images[chosen]), labels[chosen]

# %% slide="subslide"
class Reader(nn.Module):
    """Two convolutions and a linear layer: (N, 1, 28, 28) -> (N, 10), logits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.drop = nn.Dropout(0.25)
        self.fc = nn.Linear(16 * 7 * 7, 10)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 2)  # (N, 8, 14, 14)
        x = F.max_pool2d(self.conv2(x).relu(), 2)  # (N, 16, 7, 7)
        x = torch.flatten(x, 1)  # (N, 784)
        return self.fc(self.drop(x))

# %%
def train(model, images, labels, epochs=epochs, lr=0.05):
    """The plain loop; it returns the losses of all its steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses = []
    for _ in range(epochs):
        model.train()
        for x, y in batches(images, labels):
            x, y = x.to(run.device), y.to(run.device)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses

# %% slide="subslide"
def read(model, images, labels, size=100):
    """The fraction of the images whose label the network names."""
    model.eval()
    right = 0
    with torch.no_grad():
        for x, y in zip(images.split(size), labels.split(size), strict=True):
            answers = model(prepare(x).to(run.device)).argmax(dim=1)
            right += (answers.cpu() == y).sum().item()
    return right / len(images)


def main(seed=0, n=count, **settings):
    """The whole program: its network, the losses of its steps, its report."""
    torch.manual_seed(seed)
    images, labels, *unseen = load(n)
    model = Reader().to(run.device)
    losses = train(model, images, labels, **settings)
    return model, losses, read(model, *unseen)

# %%
program = clinic.Program(load, prepare, batches, Reader, train, read, main)
program.run()

# %% [markdown]
# Remember these healthy numbers. "In the last ones": the mean of the last tenth of the
# steps. The report is on validation digits, since we look at it often.
#
# `program.plant("a rate of zero", "lr=0.05", "lr=0.0")` plants a fault. The clinic shows
# each change, in lines with − and +, **after** you have looked for it.

# %% [markdown] slide="slide"
# ## Four questions with known answers
#
# What do we know about a training program **before** it has run?
#
# | | question | known answer |
# |---|---|---|
# | 1 | What goes into the network? | mean 0, deviation 1, in training and validation |
# | 2 | How large is the first loss? | ln K for K classes |
# | 3 | Does one step move every weight? | none is unmoved |
# | 4 | Is **one** batch learned by heart? | the loss goes to 0 |
#
# Why ln K? A new network gives each class a probability of about 1/K: −ln(1/K) = ln K.

# %% slide="subslide"
torch.manual_seed(0)
images, labels, *unseen = program.load()
few = images[:32], labels[:32]
model = program.Reader().to(run.device)
before = [weight.clone() for weight in model.parameters()]
losses = program.train(model, *few, epochs=1)
pairs = zip(before, model.parameters(), strict=True)
moved = [not old.equal(new) for old, new in pairs]
x = prepare(images)
print(f"1  mean {x.mean():.2f}, deviation {x.std():.2f}")
print(f"2  first loss {losses[0]:.2f}")
print(f"3  {sum(moved)} of {len(moved)} parameters have moved after one step")
print(f"4  loss {program.train(model, *few, epochs=40)[-1]:.2f} after 40 more")

# %% [markdown]
# All four answers are healthy. Each question is two or three lines of code, for your
# own programs, too. From now on `clinic.ask` puts them; six more follow, when cases
# need them. Question 4 is strong: a network that cannot learn one batch will not learn
# all.

# %% [markdown] slide="slide"
# ## Case 1: the loss falls a little, then stops
#
# **Symptom.** Compare with the healthy run above.

# %%
cases = clinic.cases(program)
cases[1].run()

# %% [markdown]
# The loss falls much less far than in the healthy run. *Which of the four questions will
# have a wrong answer?*

# %% slide="subslide"
clinic.ask(cases[1], 1, 2, 3, 4)

# %% [markdown]
# Answer 4 is wrong: not even one batch is learned. The fault may lie in the network, the
# loss or the update. **Find it**: in which range are the outputs, and what is the sum of
# a row?

# %%
with torch.no_grad():
    outputs = cases[1].run().model(program.prepare(unseen[0]).to(run.device))
low, high = outputs.min().item(), outputs.max().item()
print(f"outputs from {low:.3f} to {high:.3f}; a row adds up to {outputs[0].sum():.3f}")

# %% [markdown]
# These are probabilities. But `cross_entropy` applies a softmax of its own.

# %%
cases[1]

# %% [markdown] slide="subslide"
# The softmax is taken **twice**: once in the network, once in the loss. At best the
# outputs are 1 for the right class and 0 for nine others. The second softmax makes
# e / (e + 9) = 0.23 of this 1. So the loss cannot fall under ln(1 + 9/e) = 1.46.
# `cross_entropy` must get **logits**: any real numbers.
#
# The published run of lecture 00 (47 % of photographs) takes the softmax twice, too.

# %% [markdown] slide="subslide"
# ### 10.1 Repair: the network
#
# This `forward` ends in a softmax. Write it right: return a tensor (N, 10).
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
check("10.1", DigitReader)

# %% [markdown] slide="slide"
# ## What should a loss curve look like?
#
# Eight runs: one healthy, seven with a fault. **Draw on paper, before you go on**, what
# you expect of each: a rate too low, a rate too high, labels that belong to other
# images, digits in the order of their classes, the softmax twice, no `zero_grad`,
# pixels not divided by 255. (Curves are smoothed, and cut off at 4.)

# %%
chosen = (18, 17, 3, 16, 1, 7, 14)
curves = {"healthy": program.run().losses}
curves |= {cases[i].name: cases[i].run().losses for i in chosen}

# %% slide="subslide" name="eight-curves"
# alt: Eight small panels of training loss with ln 10 dotted. Healthy falls near 0; rate
# alt: too low sinks slowly; rate too high stays at ln 10; labels of other images stays
# alt: at ln 10; sorted by class jumps; softmax twice stops above 1.46; no zero_grad
# alt: falls, then rises; not divided by 255 begins far above and stays at ln 10.
title = "Three different faults leave the loss at ln 10"
clinic.loss_curves(curves, title=title);

# %% [markdown] slide="subslide"
# | curve | likely cause | next step |
# |---|---|---|
# | falls fast, then slowly | none: it learns | question 1, of both sides |
# | falls slowly to the end | rate too low | ten times the rate |
# | at or above ln K from the start | rate too high, or inputs too large | a tenth of the rate, question 1 |
# | flat at ln K | labels do not fit, or images are mixed | view a batch (question 5, below) |
# | jumps, again and again | order of the data | view a batch |
# | falls, then stops above 0 | limited outputs, as by a second softmax | question 4 |
# | falls, then rises without end | steps that grow | question 8, below |
#
# Several faults can cause one shape: after the curve we ask questions.

# %% [markdown] slide="subslide"
# ### 10.2 Predict: four more patients
#
# The same program, another seed. The faults: `"labels of other images"`, `"rate too
# low"`, `"softmax twice"`, `"sorted by class"`. Which is which? Answer with these names,
# for A to D, as `answer = ("...", "...", "...", "...")`.

# %% tags=["hide-input"]
# alt: Four panels, A to D, of training loss with ln 10 dotted. A falls to a floor above
# alt: 1.46, B stays flat at ln 10, C jumps, D sinks slowly.
clinic.loss_curves(clinic.four_patients(program), title="Which fault drew which?");

# %%
# solution
answer = ("softmax twice", "labels of other images", "sorted by class", "rate too low")

# %%
check("10.2", answer)

# %% [markdown] slide="slide"
# ## Case 2: the loss falls, nothing is read
#
# **Symptom.**

# %%
cases[2].run()

# %% [markdown]
# Guessing reads one digit in ten, too. *Which of the four questions finds it?*

# %% slide="subslide"
clinic.ask(cases[2], 1, 2, 3, 4)

# %% [markdown]
# Question 2: the first loss is over ten times ln 10. The inputs are right (question 1),
# so the outputs or the loss are suspect. **Find it**: which ten outputs do images of 1,
# of 4 and of 8 get?

# %%
with torch.no_grad():
    outputs = cases[2].run().model(program.prepare(unseen[0]).to(run.device)).cpu()
for digit in (1, 4, 8):
    row = outputs[unseen[1] == digit].mean(dim=0)
    print(f"images of {digit}:", *(f"{value:5.1f}" for value in row))

# %%
cases[2]

# %% [markdown] slide="subslide"
# All ten outputs are the mean of the class numbers, for every image, and the largest of
# ten equal numbers is chance. This loss treats class numbers as amounts: an 8 taken for
# a 9 costs 1, and taken for a 0 it costs 64.
#
# Where does such a line come from? `F.mse_loss(model(x), y)` stops with an error, and a
# student changes shapes until it is gone. **That an error is gone proves nothing.**

# %% [markdown] slide="slide"
# ## Case 3: flat, and four healthy answers
#
# **Symptom**: flat at ln 10, as in the panel "labels of other images" above. *Which
# question finds it?*

# %%
clinic.ask(cases[3], 1, 2, 3, 4)

# %% [markdown]
# All four are healthy: a few wrong pairs can be learned by heart, too. So we need
# **question 5: do pictures and labels agree?** View them as the network gets them: from
# `batches`, not from the file. *How many labels are right?*

# %% name="batch"
# alt: Eight digits from the program's batches with their labels above; most are wrong.
torch.manual_seed(0)
x, y = next(iter(cases[3].batches(*cases[3].load()[:2])))
title = "Case 3: a batch, and its labels"
pictures.image_grid(x[:8], y[:8].tolist(), vmin=-0.5, vmax=3, title=title);

# %%
cases[3]

# %% [markdown]
# None of these eight. The labels were put into a new order, and the images were not. The
# same look shows batches of one class ("sorted by class").

# %% [markdown] slide="subslide"
# ### 10.3 Repair: the shuffle
#
# Return both tensors, each example with its own label, in a new order in every call.
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
check("10.3", shuffled)

# %% [markdown] slide="slide"
# ## Case 4: good in training only
#
# **Symptom**: the loss is the healthy program's, the report is lower, as in
# overfitting. "Measured rightly" is the healthy program's report of the same network.

# %%
told = cases[4].run()
print(f"reported {told.reported:.1%}, measured rightly {told.true:.1%}")
clinic.ask(cases[4], 1)

# %% [markdown]
# Question 1 is asked of **both** sides, and they disagree. *Which line do you suspect?*

# %%
cases[4]

# %% [markdown] slide="subslide"
# Validation has a preparation of its own. One function for both sides, `prepare`, makes
# this fault impossible.

# %% [markdown] slide="subslide"
# ### `nan`: not a number
#
# **Symptom**: no error, and the loss is `nan` from the first step on.

# %%
print(cases[13].run())
clinic.ask(cases[13], 1)

# %%
cases[13]

# %% [markdown]
# Every pixel is divided by its own deviation, which is 0 where all images are black.
# Look for the **first** place where `nan` or `inf` appears: inputs, loss, or gradients.

# %% [markdown] slide="slide"
# ## Case 5: fewer digits, nothing unusual
#
# **Symptom**: fewer digits are read than by the healthy program (96.9 %). The first four
# questions have healthy answers.

# %%
cases[5].run()

# %% [markdown]
# *Use question 5. Which of the pictures below should not be there?*

# %%
# alt: Eight digits from the program's batches; several are mirrored.
torch.manual_seed(1)
x, y = next(iter(cases[5].batches(*cases[5].load()[:2])))
title = "Case 5: a batch, and its labels"
pictures.image_grid(x[:8], y[:8].tolist(), vmin=-0.5, vmax=3, title=title);

# %%
cases[5]

# %% [markdown]
# The mirrored ones, about half of the images. The report is 4.9 points lower, with a standard
# error of about 1.0 from 1,000 digits. An augmentation is a claim: *this change
# keeps the label*. A mirrored cat is a cat; a mirrored 2 is not a 2.

# %% [markdown] slide="slide"
# ## Case 6: the highest report of all
#
# **Symptom**: none. *Is the report worse than the healthy one?*

# %%
cases[6].run()

# %% [markdown]
# No: the difference is 1.1 points, its standard error 0.9 (400 digits against 1,000).
# **Question 6: how good is it without the images?** We train on few digits, once with
# images and once with black ones. *What will each program report?*

# %% slide="subslide"
for name, one in {"healthy": program, "case 6": cases[6]}.items():
    x, y, unseen_x, unseen_y = one.load(320)
    for word, factor in (("with images", 1), ("black", 0)):
        torch.manual_seed(0)
        model = one.Reader().to(run.device)
        one.train(model, factor * x, y, epochs=6)
        share = one.read(model, factor * unseen_x, unseen_y)
        print(f"{name}, {word}: {share:.0%}")
print(f"case 6, of digits in equal numbers: {cases[6].run().true:.1%}")

# %%
cases[6]

# %% [markdown] slide="subslide"
# Nearly all digits are ones, in training **and** in validation. Always answering "1" is
# right 19 times in 20. With classes of unequal size, report the mean of the classes'
# accuracies, and beside it the share of the largest class.

# %% [markdown] slide="slide"
# ## Case 7: it falls, then it rises
#
# **Symptom**: the panel "no zero_grad" above. *Which question finds it?*

# %%
clinic.ask(cases[7], 1, 2, 3, 4)

# %% [markdown]
# Question 4 fails, as for the doubled softmax. **Question 8: is the gradient the same
# again?** tells them apart. With a rate of 0 no weight moves, so the same batch must give
# the same gradient, apart from dropout's draws.

# %% slide="subslide"
for name, one in {"healthy": program, "case 1": cases[1], "case 7": cases[7]}.items():
    for steps in (1, 2, 4):
        torch.manual_seed(0)
        model = one.Reader().to(run.device)
        one.train(model, *few, epochs=steps, lr=0.0)
        print(f"{name}, step {steps}: gradient {model.fc.weight.grad.norm():.2f}")

# %%
cases[7]

# %% [markdown] slide="subslide"
# `backward` **adds** to what `.grad` holds. Without `zero_grad` each step follows the
# sum of all gradients since the beginning: momentum that never decays.

# %% [markdown] slide="subslide"
# ### 10.4 Repair: the epoch
#
# Three things are wrong or missing here. The scheduler counts epochs, and the first
# epoch must have the first rate. Return the losses of the steps, a list of numbers.
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
check("10.4", train_epoch)

# %% [markdown] slide="slide"
# ## Case 8: it learns, a little worse
#
# **Symptom**: more mistakes and a higher loss, but a curve that looks normal.

# %%
cases[8].run()

# %% [markdown]
# *How many of the six tensors of weights and biases move in a step?*

# %% slide="subslide"
clinic.ask(cases[8], 1, 2, 3)

# %%
cases[8]

# %% [markdown]
# Only the last layer learns. The same happens when a layer is replaced **after** the
# optimizer was made, or stays frozen by mistake.

# %% [markdown] slide="slide"
# ## Case 9: another number each time
#
# **Symptom**: the same network, validated again, gets another accuracy. **Question 9:
# is the result the same again**, and with another batch size? The third one leaves the
# last digit alone in a batch.

# %%
for name, one in {"healthy": program, "case 9": cases[9]}.items():
    model, unseen = one.run().model.train(), one.load()[2:]  # as training leaves it
    sizes = (100, 100, len(unseen[0]) - 1)
    shares = [one.read(model, *unseen, size=size) for size in sizes]
    print(f"{name}:", *(f"{share:.1%}" for share in shares))

# %% [markdown]
# *What is random in `read`?*

# %%
cases[9]

# %% [markdown] slide="subslide"
# Dropout draws as long as the network is in training mode: here the network is better
# than its report. With BatchNorm the mode changes the answers, too (lecture 06).

# %% [markdown] slide="subslide"
# ### 10.5 Repair: the validation
#
# ```python
# def validate(model, images):
#     loader = images.loader(100, augment=[augment.Rotation(45)], shuffle=True)
#     right = 0
#     for inputs, labels in loader:
#         right += (model(inputs).argmax(dim=1) == labels).sum().item()
#     return right / len(images)
# ```
#
# Write it right, as `validated`: it returns a fraction from 0 to 1. `images` is an image
# set, of which `images.loader(...)` makes batches.

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
check("10.5", validated)

# %% [markdown] slide="slide"
# ## Case 10: the number depends on the batch
#
# **Symptom**: question 9 again. *Why does the third number differ?*

# %%
one = cases[10]
model, unseen = one.run().model, one.load()[2:]
sizes = (100, 100, len(unseen[0]) - 1)
print(*(f"{one.read(model, *unseen, size=size):.1%}" for size in sizes))
one

# %% [markdown]
# In a mean of means the last digit alone counts as much as all digits before it. With
# equal batches of 100 the fault is invisible.

# %% [markdown] slide="subslide"
# ### 10.6 Predict: 210 digits in three batches
#
# Batches of 100, 100 and 10; right are 90, 90 and 1. Give three numbers in percent,
# `answer = (a, b, c)`:
#
# - (a) what a mean of the batches' accuracies reports,
# - (b) what share of the 210 digits is read,
# - (c) what `drop_last=True` would report.

# %%
# solution
answer = ((90 + 90 + 10) / 3, 100 * 181 / 210, 90)

# %%
check("10.6", answer)

# %% [markdown]
# Count right examples and divide once.

# %% [markdown] slide="slide"
# ## Case 11: a little too good
#
# **Symptom**: hardly any. *Is the report too good?*

# %%
told, n = cases[11].run(), len(unseen[0])
error = sum(p * (1 - p) / n for p in (told.reported, told.true)) ** 0.5
print(f"reported {told.reported:.1%}, of other digits {told.true:.1%}")
print(f"difference {told.reported - told.true:.1%}, its standard error {error:.1%}")
clinic.ask(cases[11], 1, 2, 3, 4)

# %% [markdown]
# The difference is under twice its error: the report does not show this fault. *What
# would you check?* **Question 10: is a test image in the training set?**

# %% slide="subslide"
clinic.ask(cases[11], 10)

# %%
cases[11]

# %% [markdown] slide="subslide"
# The digits that judge are taken from the training set. A small network does not learn
# thousands of digits by heart, so its report hardly rises. Typical leaks: photos of one
# patient in both sets, or augmenting first and splitting afterwards.

# %% [markdown] slide="subslide"
# ### 10.7 Write: the search
#
# Which test images lie in the training set, too? Return a list of their positions in the
# test set, each once. Every pixel must be equal.

# %%
def leaked(train_images: torch.Tensor, test_images: torch.Tensor) -> list:
    """uint8 (N, C, H, W) and (M, C, H, W) -> the positions, from 0 to M - 1."""
    # solution
    known = {image.numpy().tobytes() for image in train_images}
    return [i for i, x in enumerate(test_images) if x.numpy().tobytes() in known]

# %%
check("10.7", leaked)

# %% [markdown] slide="slide"
# ## Case 12: nothing but guesses
#
# **Symptom**: flat at ln 10. Rate, labels and inputs are right.

# %%
print(cases[12].run())
clinic.ask(cases[12], 1, 2, 3, 4, 5)

# %% [markdown]
# Question 4 does not say where. **Question 7: does an answer depend on its own image
# alone?** We ask autograd: the gradient of the first answer must be 0 for all images but
# the first.

# %% slide="subslide"
for name, one in {"healthy": program, "case 12": cases[12]}.items():
    torch.manual_seed(0)
    model, x = one.Reader().eval(), program.prepare(few[0]).requires_grad_()
    model(x)[0].sum().backward()
    moved = (x.grad.flatten(1).abs().sum(dim=1) > 0).sum()
    print(f"{name}: answer 1 depends on {moved} of {len(x)} images")

# %%
cases[12]

# %% [markdown] slide="subslide"
# `reshape` takes numbers in order. After `transpose(0, 1)` this order begins with
# channel 0 of **all** images: a row of 784 numbers holds 16 maps of 49, from 16 images.
# The shape is right, and no error is raised. `torch.flatten(x, 1)` never touches the
# first axis.

# %% [markdown] slide="slide"
# ## It stops in the epoch's last step
#
# **Symptom**: the program runs for almost an epoch, and stops.

# %%
cases[20].run()

# %% [markdown]
# *This is the linear layer's product. Why are there fewer than 784 numbers in a row? How
# many images does the last batch hold?*

# %% slide="subslide"
last = count % 64
print(f"last batch: {last} images, {last} · 784 / 64 = {last * 784 // 64} in a row")
print(cases[20])
larger = torch.zeros(8, 16, 14, 14)  # feature maps of 8 images of 56 × 56 pixels
print("view(-1, 784):", tuple(larger.view(-1, 784).shape), "for 8 images")

# %% [markdown]
# `view(-1, 784)` is no repair: it gives 32 answers to 8 larger images. A good repair
# **stops** where it does not fit.

# %% [markdown] slide="subslide"
# ### 10.8 Repair: the flattening
#
# It must take any number N of images, and return logits (N, 10): never more or fewer
# answers than images.
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
check("10.8", AnyBatch)

# %% [markdown] slide="slide"
# ## Errors that name their place
#
# Four more cases stop the program. **Which word of each message says what to check?**

# %%
for i in (21, 22, 23, 24):
    print(f"case {i}: {cases[i].run().error}\n")

# %% [markdown]
# *Decide, then go on.*

# %% slide="subslide"
for i in (21, 22, 23, 24):
    print(f"case {i}\n{cases[i]}\n")

# %% [markdown]
# - **Long** and **Float**: class numbers are integers.
# - **device**, named twice: one tensor was not moved.
# - **784 and 3136**: 16 · 7 · 7 comes in, 16 · 14 · 14 is expected; a pooling was forgotten.
# - **10 and 64**: a class number has no 10 values. Forcing this shape gives case 2.

# %% [markdown] slide="slide"
# ## The memory grows
#
# **Symptom**: the memory in use grows. *Does the report change?*

# %%
print(f"healthy {program.run().reported:.1%}, here {cases[19].run().reported:.1%}")
print(cases[19])

# %% [markdown] slide="subslide"
# No. But `loss` keeps the **graph** of how it was computed. We count what a forward pass
# of all unseen digits saves for a backward pass.

# %%
kept = []
hooks = torch.autograd.graph.saved_tensors_hooks
with hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
    outputs = program.Reader()(program.prepare(unseen[0]))
size = sum(tensor.numel() * tensor.element_size() for tensor in kept) / 2**20
print(f"{size:.0f} MB for {len(outputs)} digits, as long as `outputs` is kept")

# %% [markdown]
# In training the leak is slow: `backward` frees most of this. A validation without
# `torch.no_grad()` frees nothing: `total += loss` keeps **every** batch's activations,
# until no memory is left. Keep `loss.item()`.

# %% [markdown] slide="subslide"
# ### 10.9 Write: two questions of your own
#
# `unmoved` is question 3: it calls the function `step`, without arguments, once, and
# returns a list of the names of the parameters that are exactly the same afterwards.
# `keeps_graph` finds the fault above: is any value of the list (numbers or tensors) still
# connected to a graph? It returns `True` or `False`.

# %%
def unmoved(model: nn.Module, step) -> list:
    """Names of the parameters that one step leaves as they were."""
    # solution
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    step()
    after = dict(model.named_parameters())
    return [name for name, weight in before.items() if weight.equal(after[name])]
    # end solution


def keeps_graph(values: list) -> bool:
    """Whether a number of the list still holds the graph that it came from."""
    # solution
    return any(torch.is_tensor(value) and value.requires_grad for value in values)

# %%
check("10.9", (unmoved, keeps_graph))

# %% [markdown] slide="slide"
# ## Ten questions, and what they find
#
# All ten, with a price: about the minutes to write and run them.

# %%
clinic.prices()

# %% [markdown]
# First our two numbers: how many faults stop the program, and how many of the others
# report more than half of the digits?

# %%
ended = {one.name: one.run() for one in cases.values()}
stopped = [name for name, one in ended.items() if one.error]
ran = {name: one for name, one in ended.items() if not one.error}
calm = [name for name, one in ran.items() if one.reported > 0.5]
counts = f"{len(stopped)} stop the program, {len(ran)} run through, {len(calm)} of them"
of = f"with a report of over 50 % ({digits.test.name})"
run.headline(f"{len(ended)} planted faults: {counts} {of}")

# %% [markdown]
# **Is each of those without an error found by at least one question? Which question
# finds most?** "Found": an answer outside of a wide limit, as a first loss more than 0.4
# from ln 10. (Question 5 is answered here by comparing with the file.)

# %% slide="subslide"
silent = [one for one in cases.values() if not one.run().error]
silent = sorted(silent, key=lambda one: -one.run().reported)
silent = silent[:: course.pick(tiny=9, small=1, full=1)]
found = clinic.findings(silent)
caught = sum(any(row) for row in found.values())
print("healthy program:", sum(clinic.findings([program])["healthy"]), "wrong answers")

# %% slide="subslide"
# alt: A table of 19 faults, with their reports, and ten questions: a square where a
# alt: question's answer is wrong. Nearly all ones stands on top, with the highest report.
# alt: Every row has a square but losses that keep their graph; questions 4 and 6 have most.
title = f"Ten questions find {caught} of {len(silent)} silent faults"
reported = {one.name: one.run().reported for one in silent}
clinic.found_by(found, reported, title=title);

# %% [markdown] slide="subslide"
# - The highest report belongs to one of the worst faults: it hides what the network
#   cannot do.
# - Questions 4 and 6 find most. They say **that** something is wrong, and not where.
# - The others find fewer faults each, and nearly name the line: begin with these.
# - "Losses keep their graph" changes no number. It needs your question of 10.9.

# %% [markdown] slide="slide"
# ## Answer
#
# Five of 24 stop, and eleven of the others report more than half of the digits. We chose
# these faults, so this is no share for programs in general.
# **A fault without an error is found by a question with a known answer**, and rarely by
# the report.

# %% [markdown] slide="slide"
# ## Exercises
#
# 10.1 to 10.9 stand above. One is left.

# %% [markdown] slide="subslide"
# ### 10.10 Investigate: pay, ask, name
#
# `clinic.Game` deals four of ten faults to patients A to D. `game.ask("A", 2, 3)` puts
# questions 2 and 3 to A, and each has its price. `game.name("A", "softmax twice")` names
# a fault; a wrong name costs ten minutes. **Aim: four right names in 30 minutes.** These
# ten may occur:

# %%
print(*clinic.PLAYED, sep=", ")

# %%
game = clinic.Game(program, seed=0)
# solution
for letter, questions, fault in (
    ("A", (1, 2, 3), "weights not in the optimizer"),
    ("B", (1, 2, 3, 7, 8, 9, 5), "labels of other images"),
    ("C", (1, 2, 3, 7), "images mixed"),
    ("D", (1, 2, 3, 7, 8, 9), "no eval"),
):
    print(game.ask(letter, *questions))
    print(game.name(letter, fault), "\n")
# end solution
print("the bill:", game.bill, "minutes")

# %%
check("10.10", game)

# %% [markdown]
# **Explain:** with which order of questions is the bill smallest *on average*, if each
# of the ten faults is equally likely?

# %% [markdown] solution=True
# Each question costs minutes, and divides what is still possible. For one minute,
# questions 1, 2, 7 and 8 find two of the ten faults each (dividing by zero is among
# them), and 3 finds one. Question 4 costs three minutes and divides the ten into four
# and six. So: the cheap ones first, and 4 or 6 only where they decide between what is
# left. As soon as one fault is possible, name it.

# %% slide="skip"
check.progress("10")

# %% [markdown] slide="slide"
# ## Recap
#
# - **First loss**: −ln(1/K) = ln K; 2.30 for ten classes. One batch goes to 0.
# - **Softmax once**: with two the loss stays above ln(1 + (K − 1)/e), 1.46 for ten.
# - **Means**: accuracy = right / examples, never a mean of batches of unequal size.
# - **Baseline**: beside the accuracy stands the share of the largest class.
# - **Proof**: what the program does shows a repair.

# %% [markdown] slide="skip"
# ## References
#
# - A. Karpathy: *A Recipe for Training Neural Networks*, blog post, 2019: questions 2, 4,
#   6 and 7.
# - I. Goodfellow, Y. Bengio, A. Courville: *Deep Learning*, 2016, section 11.5.
# - MNIST: Y. LeCun, C. Cortes, C. Burges. Licence CC BY-SA 3.0.
# - At scale `tiny`: digits of scikit-learn (E. Alpaydin, C. Kaynak, UCI, CC BY 4.0).

# %% slide="only" name="patient"
# alt: The program: digits, prepare, network, loss, step, and the report on unseen digits.
from teaching import blocks

parts = [("input", "digits"), ("input", "prepare:|mean 0, std 1"), ("conv", "network:|logits")]
parts += [("linear", "loss"), ("pool", "gradient,|step"), ("input", "report,|eval()")]
drawn = blocks.chain(70, parts)[0]
blocks.Diagram(drawn, blocks.WIDTH, 140, "digits, prepare, network, loss, gradient and step, report")

# %% [markdown] slide="only" part="The patient"
# # The bug clinic: it runs, and it is wrong
#
# ![](run:patient)
#
# Note: 1 min. After the hour they can name ten questions that find silent faults, and in
# which order to ask them. Ask who has had a program that ran and was wrong.

# %% [markdown] slide="only"
# ## Last time, cats and dogs, in three questions
#
# 1. Which photos choose a network, and which judge it?
# 2. What does McNemar's test count?
# 3. What does a network of two classes say to a photo of a ship?
#
# . . .
#
# 1. Validation photos; test photos.
# 2. Photos where two networks disagree.
# 3. Cat or dog.
#
# Note: 2 min. A different row answers each. Expect "nothing" for 3: softmax always names a
# class. Late: skip this slide.

# %% [markdown] slide="only"
# ## We plant 24 faults in a program of 50 lines
#
# ### How many stop it with an error?
#
# . . .
#
# Write down a number. And of those that do not: how many report that more than half of
# the digits are read?
#
# Note: 2 min. Most say 15: they think of the errors that they have seen, and the others stay
# unseen. An error is a friend: it names a line. The answer comes at the end.

# %% [markdown] slide="only"
# ## The healthy program learns to read digits
#
# ```python
# for x, y in batches(images, labels):
#     loss = F.cross_entropy(model(x), y)
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()
#     losses.append(loss.item())
# ```
#
# ### What is each line for?
#
# . . .
#
# > **{{ said(r"reported: ([\d.]+%)") }}** of 1,000 unseen digits are read
#
# Note: 3 min. The heart of the 50 lines. A row a line: what is it for, and what happens
# without it? Expect "nothing" for `zero_grad`: a patient of today.

# %% [markdown] slide="only" part="Questions"
# ## Four questions have answers that we know before
#
# 1. What goes into the network?
# 2. How large is the first loss?
# 3. Does one step move every weight?
# 4. Is one batch learned by heart?
#
# . . .
#
# | | a healthy answer |
# |---|---|
# | 1 | mean 0, deviation 1, in training and validation |
# | 2 | ln 10 = 2.30: ten equal probabilities |
# | 3 | yes, every one |
# | 4 | yes: its loss goes to 0 |
#
# Note: 3 min. Let them guess each answer. Expect "near 0" or "100" for 2: a new network gives
# each of ten classes a tenth, and −ln(1/10) = 2.30. The fourth is the strongest: it tests the
# whole loop.

# %% [markdown] slide="only"
# ## Three different faults leave the loss at ln 10
#
# ### How does each of seven faults change the loss?
#
# . . .
#
# ![](run:eight-curves)
#
# Note: 3 min. First let them draw the loss of a rate too high, of the labels of other images
# and of no `zero_grad`. Expect "rate too high rises": it may stay at ln 10. Dotted: guessing.
# One curve has many causes, so ask questions next. Late: "softmax twice" and "no zero_grad".

# %% [markdown] slide="only" part="Patients"
# ## The loss never falls under 1.46
#
# ```python
# def forward(self, x):
#     return self.fc(self.features(x)).softmax(dim=1)
# ...
# loss = F.cross_entropy(model(images), labels)
# ```
#
# ### What is wrong, and why not under 1.46?
#
# . . .
#
# Softmax **twice**: `cross_entropy` has its own. At best one output is 1 and nine are 0:
# ln(1 + 9/e) = 1.46. Return logits.
#
# Note: 2.5 min. Question 4 finds it: one batch is not learned. It reports
# {{ said(r"reported: [^\n]*\n[\s\S]*?reported: ([\d.]+%)") }}, so nobody looks. Expect "a weak
# network": then one batch would still be learned.

# %% [markdown] slide="only"
# ## The loss falls, then rises without end
#
# ```python
# for images, labels in loader:
#     loss = F.cross_entropy(model(images), labels)
#     loss.backward()
#     optimizer.step()
# ```
#
# ### What is missing? The same batch, at a rate of 0: how large is the gradient?
#
# . . .
#
# | step | 1 | 2 | 4 |
# |---|---:|---:|---:|
# | gradient | {{ said(r"case 7, step 1: gradient ([\d.]+)") }} | {{ said(r"case 7, step 2: gradient ([\d.]+)") }} | {{ said(r"case 7, step 4: gradient ([\d.]+)") }} |
#
# `zero_grad()` is missing: `backward` **adds** to the last gradients.
#
# Note: 2 min. Question 8: is the gradient the same again? Healthy: three equal numbers. Expect
# "the rate is too high": a lower one only hides it for longer.

# %% [markdown] slide="only"
# ## Flat at 2.303, and every part looks healthy
#
# ```python
# order = torch.randperm(len(images))
# images, labels = images[order], labels[torch.randperm(len(labels))]
# ```
#
# ### Questions 1 to 4 are answered well. What would you ask now?
#
# . . .
#
# ![](run:batch)
#
# Images and labels come in two different orders.
#
# Note: 2.5 min. Question 5: look at images and labels, as the network gets them. `randperm`
# was drawn twice. Expect "question 4 must find it": a few wrong pairs can be learned by heart,
# too.

# %% [markdown] slide="only"
# ## Good in training, bad in the report
#
# ```python
# def prepare(images):            # in training
#     return (images / 255 - 0.13) / 0.31
# def report(model, images):
#     return model(images / 255).argmax(1)
# ```
#
# ### It reports {{ said(r"reported ([\d.]+%), measured rightly") }}. Is it overfitting?
#
# . . .
#
# > **{{ said(r"measured rightly ([\d.]+%)") }}** with `prepare` on both sides: the report was wrong
#
# Note: 2 min. Question 1, asked of both sides. Expect "overfitting": then the same network
# would stay bad. One function for both makes this fault impossible.

# %% [markdown] slide="only"
# ## The highest report of all
#
# ### One fault reports {{ said(r"loss 2.35 [^\n]*\nreported: ([\d.]+%)") }}, more than the healthy program. Are you happy?
#
# . . .
#
# > **{{ said(r"case 6, black: (\d+%)") }}** with the fault, trained and tested on black images
#
# > **{{ said(r"healthy, black: (\d+%)") }}** healthy, trained and tested on black images
#
# . . .
#
# 19 of 20 digits are ones, in training and validation.
#
# Note: 2.5 min. Question 6: how good is it without the images? Both numbers are close: the
# difference is within twice its error. Always give the share of the
# largest class beside the accuracy. Expect "yes": of digits in equal numbers it reads {{ said(r"of digits in equal numbers: ([\d.]+%)") }}.

# %% [markdown] slide="only"
# ## Another number each time
#
# The report runs under `torch.no_grad()`, right after training.
#
# ### {{ said(r"case 9: ([\d.]+%)") }}, then {{ said(r"case 9: [\d.]+% ([\d.]+%)") }}: same network, same digits. What is it?
#
# . . .
#
# Dropout still draws. `no_grad()` stops recording; only `eval()` changes the layers.
#
# Note: 2 min. Question 9: report twice. Healthy: the same number. Expect "the batches are
# shuffled": the order of the digits changes no count.

# %% [markdown] slide="only"
# ## The number depends on the batch size
#
# ### Batches of 100, 100 and 10 digits: 90, 90 and 1 are right. Which accuracy?
#
# . . .
#
# > **63.3 %** the mean of three batches' accuracies
#
# > **86.2 %** 181 of 210 digits
#
# . . .
#
# Count right answers, divide **once**.
#
# Note: 2 min. Question 9 again, with another batch size. Let half of the room compute each.
# The other suspect is BatchNorm in training mode: an image's neighbours change its answer.

# %% [markdown] slide="only"
# ## A little too good, and nobody can repeat it
#
# The program trains ten networks, and reports the best test accuracy.
#
# ### What is wrong with this report?
#
# . . .
#
# The test set **chose**. Choose by validation, test after all choices.
#
# Note: 2 min. Expect "nothing, the best is the best": part of it is luck, and new digits do
# not share it. A relative: test digits in the training set, question 10. Late: skip.

# %% [markdown] slide="only"
# ## Does an answer depend on its own image alone?
#
# ```python
# x = x.transpose(0, 1).reshape(len(x), -1)  # was: flatten(x, 1)
# ```
#
# ### No error, the right shape. What has happened to the images?
#
# . . .
#
# > **{{ said(r"case 12: answer 1 depends on (\d+) of 32") }}** of 32 images decide answer 1; healthy is 1
#
# . . .
#
# After `transpose` each row takes its 784 numbers from 16 images.
#
# Note: 2.5 min. Question 7 asks autograd: the gradient of answer 1 by other images must be 0.
# Axis 0 is the batch; a row holds 16 maps of 49 numbers. Expect "nothing": the shape is
# right, the order is not.

# %% [markdown] slide="only"
# ## It stops in the epoch's last step
#
# ```python
# x = x.reshape(64, -1)  # 64 is the size of a batch
# ```
#
# ### Why only there?
#
# . . .
#
# The last batch is shorter. `torch.flatten(x, 1)` takes any number of images.
#
# Note: 2 min. One of few that stop, and its message names the line. Expect the repair
# `view(-1, 784)`: it gives 32 answers for 8 larger images, without an error.

# %% [markdown] slide="only"
# ## The memory grows, hour by hour
#
# The loop keeps its losses: `losses.append(loss)`
#
# ### Every number is right. What fills the memory?
#
# . . .
#
# > **{{ said(r"(\d+) MB for 1000 digits") }} MB** a forward pass of 1,000 digits keeps for its backward pass
#
# . . .
#
# A loss holds its graph. Keep `loss.item()`.
#
# Note: 2 min. No question about numbers finds it: it changes none. In this loop `backward`
# frees most; in a validation without `no_grad()` nothing is freed. Late: skip.

# %% [markdown] slide="only" part="The order"
# ## Few faults stop the program, many report over 50 %
#
# ### Of 24 planted faults, how many stopped it?
#
# . . .
#
# > **{{ said(r"(\d+) stop the program") }}** stop with an error
#
# > **{{ said(r"stop the program, (\d+) run through") }}** run through
#
# > **{{ said(r"run through, (\d+) of them") }}** of these report over 50 %
#
# Note: 2 min. Back to the numbers written down. We chose the faults, so this is no share for
# programs in general. Expect surprise at the third: the report finds few faults.

# %% [markdown] slide="only"
# ## Cheap questions first: they nearly name the line
#
# | first: 1 or 2 minutes each | then: 3 to 6 minutes each |
# |---|---|
# | 1 inputs, 2 first loss, 3 moved weights | 4 one batch by heart |
# | 5 look at a batch | 6 without the images |
# | 7 own image alone, 8 gradient again, 9 report again | 10 test images in training |
#
# Note: 2 min. 4 and 6 find most, and say *that* something is wrong, not where. Expect
# "question 4 first": it finds more, and then one still has to search.

# %% [markdown] slide="only"
# ## Four sentences to take home
#
# - That a program runs proves nothing; nor does a falling loss.
# - Ask questions whose answers you know before.
# - Look at what the network gets, with its labels.
# - A number that is too good is a symptom.
#
# Note: 2 min. Cover it, and let four students say one each. Ask which patient was theirs.

# %% [markdown] slide="only"
# ## For home: repair, and play the game
#
# - **10.8** Repair the flattening, for any number of images.
# - **10.10** The game: an unknown fault, and each question costs minutes.
#
# Note: 1 min. Play one round together if there is time: the class votes for each question.

# %% [markdown] slide="sheet"
# ![](run:patient)
#
# ## Ten questions, and what each costs
#
# ![](run:clinic.prices())
