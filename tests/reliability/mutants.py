"""Faults that the suite must catch, one at a time: mistakes that people make.

Each stands for a class of them. `mutate.py` plants one in a copy of the course and runs
the tests that guard its file; a fault that survives is a test that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        name: short, for the command line.
        what: the fault in words.
        file: of `utils`, without the ending: "models/vgg".
        old: the text as it stands, once in the file.
        new: what stands there with the fault.
        tests: the test files that guard it, as "vgg" for tests/test_vgg.py.
        missed: whether no test caught it at first, and one was written for it.
    """

    name: str
    what: str
    file: str
    old: str
    new: str
    tests: str
    missed: bool = False


MODELS = (
    Mutant(
        "relu",
        "AlexNet's convolutions lose their ReLU",
        "models/alexnet",
        "return nn.Sequential(conv, nn.ReLU())",
        "return nn.Sequential(conv)",
        "alexnet",
    ),
    Mutant(
        "lrn-k",
        "local response normalisation with k = 1 in place of 2",
        "models/alexnet",
        "k: float = 2.0",
        "k: float = 1.0",
        "alexnet",
    ),
    Mutant(
        "lrn-alpha",
        "alpha divided by the number of channels, as torch has it",
        "models/alexnet",
        "self.alpha * total)",
        "self.alpha / self.size * total)",
        "alexnet",
    ),
    Mutant(
        "hidden-relu",
        "VGG's hidden linear layers lose their ReLU",
        "models/vgg",
        "nn.Linear(in_features, features), nn.ReLU(), nn.Dropout(dropout)]",
        "nn.Linear(in_features, features), nn.Dropout(dropout)]",
        "vgg",
    ),
    Mutant(
        "padding-1x1",
        "VGG C's 1x1 convolutions padded as if they were 3x3",
        "models/vgg",
        "padding=kernel // 2",
        "padding=1",
        "vgg",
    ),
    Mutant(
        "vgg-initial",
        "He's variance taken for a standard deviation",
        "models/vgg",
        'nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")',
        "nn.init.normal_(module.weight, std=2 / module.weight[:, 0].numel())",
        "vgg",
    ),
    Mutant(
        "stride-3x3",
        "the stride on the other convolution of a bottleneck",
        "models/resnet",
        '{"3x3": (1, stride), "1x1": (stride, 1)}',
        '{"1x1": (1, stride), "3x3": (stride, 1)}',
        "resnet",
    ),
    Mutant(
        "stride-second",
        "the stride on the second convolution of a basic block",
        "models/resnet",
        "conv_bn(in_channels, channels, 3, stride)\n"
        "        self.conv2, self.bn2 = conv_bn(channels, channels, 3)\n",
        "conv_bn(in_channels, channels, 3)\n"
        "        self.conv2, self.bn2 = conv_bn(channels, channels, 3, stride)\n",
        "resnet",
    ),
    Mutant(
        "shortcut",
        "the input is not added",
        "models/resnet",
        "y = y + self.downsample(x)",
        "y = y + 0 * self.downsample(x)",
        "resnet",
    ),
    Mutant(
        "projection",
        "the projection shortcut without batch normalisation",
        "models/resnet",
        "return nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride))",
        "return conv_bn(in_channels, out_channels, 1, stride)[0]",
        "resnet",
    ),
    Mutant(
        "relu-early",
        "the second ReLU before the sum",
        "models/resnet",
        "return self.bn2(self.conv2(y))",
        "return self.relu(self.bn2(self.conv2(y)))",
        "resnet",
    ),
    Mutant(
        "option-a",
        "the padded shortcut takes every second pixel from the wrong one on",
        "models/resnet",
        "x[:, :, :: self.stride, :: self.stride]",
        "x[:, :, self.stride - 1 :: self.stride, self.stride - 1 :: self.stride]",
        "resnet",
    ),
    Mutant(
        "fan-in",
        "the weights drawn for the activations' size, not for the gradients'",
        "models/resnet",
        'mode="fan_out"',
        'mode="fan_in"',
        "resnet",
    ),
    Mutant(
        "running-biased",
        "the running variance is the biased one",
        "models/batchnorm",
        "variance * n / (n - 1)",
        "variance",
        "batchnorm",
    ),
    Mutant(
        "batch-unbiased",
        "the batch is normalised by the unbiased variance",
        "models/batchnorm",
        ".square().mean(axes)",
        ".square().sum(axes) / (x.numel() // x.shape[1] - 1)",
        "batchnorm",
    ),
    Mutant(
        "momentum",
        "the batch norm's momentum the wrong way round",
        "models/batchnorm",
        "norm.running_mean.lerp_(mean, share)",
        "norm.running_mean.lerp_(mean, 1 - share)",
        "batchnorm",
    ),
    Mutant(
        "epsilon",
        "batch normalisation without its epsilon",
        "models/batchnorm",
        "variance + self.eps",
        "variance",
        "batchnorm",
        missed=True,
    ),
    Mutant(
        "widths",
        "two columns of GoogLeNet's table swapped in one row",
        "models/googlenet",
        "Widths(192, 96, 208, 16, 48, 64)",
        "Widths(192, 96, 208, 16, 64, 48)",
        "googlenet",
    ),
    Mutant(
        "branches",
        "the branches put together in another order",
        "models/googlenet",
        "self.branch_1x1, self.branch_3x3, self.branch_5x5, self.branch_pool\n",
        "self.branch_1x1, self.branch_5x5, self.branch_3x3, self.branch_pool\n",
        "googlenet",
    ),
    Mutant(
        "head-weight",
        "the auxiliary losses count in full",
        "models/googlenet",
        "weight: float = 0.3",
        "weight: float = 1.0",
        "googlenet",
    ),
    Mutant(
        "heads-in-eval",
        "the auxiliary heads run in evaluation, and their losses count",
        "models/googlenet",
        "maps = (x4a, x4d) if self.training else ()",
        "maps = (x4a, x4d)",
        "googlenet",
    ),
    Mutant(
        "frozen",
        "a frozen body's running statistics go on moving",
        "models/transfer",
        "            self.body.eval()\n",
        "            pass\n",
        "transfer",
    ),
)

TRAIN = (
    Mutant(
        "zero-grad",
        "gradients add up from step to step",
        "train",
        "            optimizer.zero_grad()\n",
        "",
        "train",
    ),
    Mutant(
        "train-mode",
        "training stays in evaluation mode after the first epoch",
        "train",
        "    model.train()\n",
        "",
        "train",
        missed=True,
    ),
    Mutant(
        "eval-mode",
        "validation in training mode: dropout drops, batch norm takes the batch",
        "train",
        "evaluating(model):\n        for images, labels in batches:\n"
        "            with torch.inference_mode(), precision.autocast():\n"
        "                logits = model(images)\n            batches.check",
        "torch.no_grad():\n        for images, labels in batches:\n"
        "            with torch.no_grad(), precision.autocast():\n"
        "                logits = model(images)\n            batches.check",
        "train",
    ),
    Mutant(
        "cosine",
        "the learning rate moves once an epoch where it should every step",
        "train",
        "            if scheduler is not None:\n                scheduler.step()\n"
        "            batches.add(loss, logits, labels)\n",
        "            batches.add(loss, logits, labels)\n"
        "    if scheduler is not None:\n        scheduler.step()\n",
        "train",
    ),
    Mutant(
        "smoothing",
        "label smoothing is ignored",
        "train",
        "partial(F.cross_entropy, label_smoothing=label_smoothing)",
        "F.cross_entropy",
        "train",
    ),
    Mutant(
        "best-copy",
        "the best weights are no copy, so training goes on in them",
        "train",
        "{k: w.detach().clone() for",
        "{k: w.detach() for",
        "train",
    ),
    Mutant(
        "patience",
        "early stopping waits one epoch too long",
        "train",
        "history.waited >= patience",
        "history.waited > patience",
        "train",
    ),
    Mutant(
        "batch-means",
        "the mean over batches in place of that over examples",
        "training/tally",
        "float(losses @ counts)",
        "float(losses.mean() * counts.sum())",
        "train",
    ),
    Mutant(
        "mode-back",
        "after an evaluation every module is in training mode",
        "training/tally",
        "            module.training = mode\n",
        "            module.training = True\n",
        "train",
    ),
    Mutant(
        "best-loss",
        "the epoch with the largest validation loss counts as the best",
        "training/history",
        'choose = max if self.watched.endswith("accuracy") else min',
        "choose = max",
        "train",
    ),
    Mutant(
        "nesterov",
        "SGD with Nesterov's momentum",
        "training/recipe",
        'settings["momentum"] = momentum',
        'settings |= {"momentum": momentum, "nesterov": momentum > 0}',
        "train",
    ),
    Mutant(
        "decay",
        "weight decay leaves the biases out",
        "training/recipe",
        "    return named_optimizer(choice, weights, lr, momentum, weight_decay)\n",
        "    groups = [\n"
        '        {"params": [w for w in weights if w.ndim > 1]},\n'
        '        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},\n'
        "    ]\n"
        "    return named_optimizer(choice, groups, lr, momentum, weight_decay)\n",
        "train",
    ),
    Mutant(
        "plateau",
        "the plateau schedule waits for a lower accuracy",
        "training/recipe",
        '"max" if monitor == "val_accuracy" else "min"',
        '"min" if monitor == "val_accuracy" else "max"',
        "train",
        missed=True,
    ),
    Mutant(
        "resumed-optimizer",
        "a resumed run begins with a fresh optimizer",
        "training/checkpoint",
        '        self.optimizer.load_state_dict(state["optimizer"])\n',
        "",
        "checkpoint",
    ),
    Mutant(
        "resumed-random",
        "a resumed run draws the random numbers of the beginning again",
        "training/checkpoint",
        "            restore_random(drawn[distributed.rank()])\n",
        "            pass\n",
        "checkpoint",
    ),
    Mutant(
        "resumed-order",
        "a resumed run takes the batches of the first epoch again",
        "training/checkpoint",
        '        loader.epoch = state["epoch"]\n',
        "        pass\n",
        "checkpoint",
    ),
    Mutant(
        "augmented-validation",
        "the command validates and tests on augmented images",
        "training/request",
        "return images.loader(512, device=options.device, shard=distributed.shard())",
        "return train_loader(options, images)",
        "command",
        missed=True,
    ),
    Mutant(
        "test-is-validation",
        "the test accuracy is measured on the validation set",
        "training/command",
        "request.val_loader(options, getattr(splits, part))",
        "request.val_loader(options, splits.val)",
        "command",
    ),
)

DATA = (
    Mutant(
        "leaked-validation",
        "the validation images stay in the training set",
        "data",
        "sets[part], order = train.take(order[:n]), order[n:]",
        "sets[part], order = train.take(order[:n]), order",
        "data",
    ),
    Mutant(
        "leaked-test",
        "one test image of the stand-in digits is a training image, too",
        "datasets/standins",
        '"train": order[SCANS_TEST:]',
        '"train": order[SCANS_TEST - 1 :]',
        "data",
    ),
    Mutant(
        "leaked-mean",
        "mean and std measured on the validation images, too",
        "data",
        'mean, std = _measure(sets["train"].images)',
        "mean, std = _measure(train.images)",
        "data",
    ),
    Mutant(
        "test-batch",
        "CIFAR-10's last training batch in place of the test batch",
        "datasets/readers",
        'CIFAR10_TEST = ("test_batch",)',
        'CIFAR10_TEST = ("data_batch_5",)',
        "readers data",
    ),
    Mutant(
        "channels",
        "CIFAR-10's channels read as if they were interleaved",
        "datasets/readers",
        "images.reshape(-1, 3, 32, 32), labels",
        "images.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2), labels",
        "readers",
    ),
    Mutant(
        "normalisation",
        "the mean is subtracted without being divided by the deviation",
        "datasets/loader",
        "for t in (1 / (largest * std), -mean / std)",
        "for t in (1 / (largest * std), -mean)",
        "loader",
    ),
    Mutant(
        "seed",
        "the loader ignores its seed",
        "datasets/loader",
        "SeedSequence([abs(self.seed), self.epoch])",
        "SeedSequence([0, self.epoch])",
        "loader",
    ),
    Mutant(
        "same-order",
        "every epoch has the order and the draws of the first",
        "datasets/loader",
        "SeedSequence([abs(self.seed), self.epoch])",
        "SeedSequence([abs(self.seed), 0])",
        "loader",
    ),
    Mutant(
        "last-batch",
        "the smaller last batch is always left out",
        "datasets/loader",
        "return math.ceil(self.num_examples / self.batch_size)",
        "return self.num_examples // self.batch_size",
        "loader",
    ),
    Mutant(
        "labels",
        "the labels of a batch come in reverse order",
        "datasets/loader",
        "yield self._to_float(images[rows]), labels[rows]",
        "yield self._to_float(images[rows]), labels[rows].flip(0)",
        "loader",
    ),
)

AUGMENT = (
    Mutant(
        "crop",
        "a random crop never reaches the lowest row",
        "augment/geometry",
        "return (dy * (height - h + 1)).long()",
        "return (dy * (height - h)).long()",
        "augment",
    ),
    Mutant(
        "flip",
        "images are mirrored upside down",
        "augment/geometry",
        "result.numpy()[chosen.numpy()] = picked.flip(-1).numpy()",
        "result.numpy()[chosen.numpy()] = picked.flip(-2).numpy()",
        "augment",
    ),
    Mutant(
        "rotation",
        "images turn clockwise",
        "augment/geometry",
        "cos * x - sin * y, sin * x + cos * y",
        "cos * x + sin * y, cos * y - sin * x",
        "augment",
    ),
    Mutant(
        "ratio",
        "wide crops come more often than high ones",
        "augment/geometry",
        "ratio = torch.exp(low + u_ratio * (high - low))",
        "ratio = self.ratio[0] + u_ratio * (self.ratio[1] - self.ratio[0])",
        "augment",
        missed=True,
    ),
    Mutant(
        "one-draw",
        "all examples of a batch share one draw",
        "augment/base",
        "return draws.to(images.device)",
        "return draws[:1].expand_as(draws).to(images.device)",
        "augment",
    ),
    Mutant(
        "mixup-labels",
        "MixUp gives the label the partner's share",
        "augment/mixing",
        "_mix(as_float(images), partner, kept), _mix(labels, partner, kept)",
        "_mix(as_float(images), partner, kept), _mix(labels, partner, 1 - kept)",
        "augment",
    ),
    Mutant(
        "cutmix-area",
        "CutMix mixes labels by lambda, not by the area that was pasted",
        "augment/mixing",
        "        kept = 1 - pasted.float().mean((1, 2, 3))\n",
        "",
        "augment",
    ),
    Mutant(
        "cutout",
        "the covered square begins at its centre",
        "augment/colour",
        "y, x = (centre - self.size // 2 for centre in params)",
        "y, x = params",
        "augment",
    ),
    Mutant(
        "contrast",
        "contrast moves away from the batch's mean, not from the image's",
        "augment/colour",
        "grey.mean((1, 2, 3), keepdim=True)",
        "grey.mean()",
        "augment",
    ),
)

LOOK = (
    Mutant(
        "receptive-field",
        "a kernel adds its whole side to the receptive field",
        "sizes",
        "(_side(layer.kernel_size) - 1) * dilation",
        "_side(layer.kernel_size) * dilation",
        "look",
    ),
    Mutant(
        "multiply-adds",
        "a multiply-add counts as two",
        "sizes",
        "return calls, _count(model.parameters()), counter.get_total_flops() // 2",
        "return calls, _count(model.parameters()), counter.get_total_flops()",
        "look",
    ),
    Mutant(
        "most-wrong",
        "the least confident mistakes come first",
        "look",
        "descending=True",
        "descending=False",
        "look",
    ),
    Mutant(
        "grad-cam",
        "Grad-CAM shows what speaks against the class, too",
        "look",
        ".sum(1, keepdim=True).relu()",
        ".sum(1, keepdim=True).abs()",
        "look",
    ),
    Mutant(
        "feature-mode",
        "features are taken in training mode",
        "look",
        "with _hooked(hooks), evaluating(model), torch.no_grad():\n        yield",
        "with _hooked(hooks), torch.no_grad():\n        yield",
        "look",
        missed=True,
    ),
    Mutant(
        "confusion",
        "the confusion matrix is transposed",
        "figures/pictures",
        "pairs = labels.cpu().long() * size + logits.argmax(1).cpu()",
        "pairs = labels.cpu().long() + size * logits.argmax(1).cpu()",
        "plot",
        missed=True,
    ),
    Mutant(
        "deviation",
        "the spread over the seeds is that of a population",
        "results",
        "stdev(values):.2f",
        "(stdev(values) * (1 - 1 / len(values)) ** 0.5):.2f",
        "results",
    ),
    Mutant(
        "tolerance",
        "a check takes numbers that are off by a tenth",
        "exercises/__init__",
        "tolerance: float = 1e-3",
        "tolerance: float = 1e-1",
        "check",
    ),
    Mutant(
        "parameters",
        "a check takes a network with too many parameters",
        "exercises/__init__",
        "parameters is not None and count != parameters",
        "parameters is not None and count < parameters",
        "check",
        missed=True,
    ),
    Mutant(
        "blank",
        "a half-answered exercise counts as answered",
        "check",
        "return not answer or any(is_blank(part) for part in parts)",
        "return not answer or all(is_blank(part) for part in parts)",
        "check",
    ),
)

MUTANTS = (*MODELS, *TRAIN, *DATA, *AUGMENT, *LOOK)
