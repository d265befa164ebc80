"""Faults in the train loop, its checkpoints, and the command."""

from mutants.mutant import Mutant

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
        "training/generators",
        '        loader.epoch = state["epoch"]\n',
        "        pass\n",
        "checkpoint",
    ),
    Mutant(
        "thin-layout",
        "a thin strided 1x1 convolution is trained in the order that oneDNN spoils",
        "training/precision",
        'if thin and device.type == "cpu":',
        "if False:",
        "train",
    ),
    Mutant(
        "forged-state",
        "a checkpoint's optimizer is trusted, whatever its buffers' sizes",
        "training/checkpoint",
        '        state["optimizer"] = fitted_optimizer('
        'state["optimizer"], self.optimizer)\n',
        "",
        "checkpoint",
    ),
    Mutant(
        "flipped-bit",
        "a checkpoint with a flipped bit is taken",
        "training/tensors",
        "while content.read(CHUNK):",
        "while False:",
        "checkpoint",
    ),
    Mutant(
        "two-kernels",
        "two kernels train into one checkpoint",
        "train",
        "@sole_run\n",
        "",
        "claims",
    ),
    Mutant(
        "power-cut",
        "a file's new name is not forced to the disk",
        "files",
        "    _force(path.parent)\n",
        "",
        "files",
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
