"""Faults in the augmentations."""

from mutants.mutant import Mutant

AUGMENT = (
    Mutant(
        "crop",
        "a random crop never reaches the lowest row",
        "augment",
        "return (dy * (height - h + 1)).long()",
        "return (dy * (height - h)).long()",
        "augment",
    ),
    Mutant(
        "flip",
        "images are mirrored upside down",
        "augment",
        "result, axis = rows.clone(), 2 if last else 3",
        "result, axis = rows.clone(), 1 if last else 2",
        "augment",
    ),
    Mutant(
        "rotation",
        "images turn clockwise",
        "augment",
        "cos * x - sin * y, sin * x + cos * y",
        "cos * x + sin * y, cos * y - sin * x",
        "augment",
    ),
    Mutant(
        "ratio",
        "wide crops come more often than high ones",
        "augment",
        "ratio = torch.exp(low + u_ratio * (high - low))",
        "ratio = self.ratio[0] + u_ratio * (self.ratio[1] - self.ratio[0])",
        "augment",
        missed=True,
    ),
    Mutant(
        "one-draw",
        "all examples of a batch share one draw",
        "augment",
        "return draws.to(images.device)",
        "return draws[:1].expand_as(draws).to(images.device)",
        "augment",
    ),
    Mutant(
        "mixup-labels",
        "MixUp gives the label the partner's share",
        "augment",
        "mix(as_float(images), partner, kept), mix(labels, partner, kept)",
        "mix(as_float(images), partner, kept), mix(labels, partner, 1 - kept)",
        "augment",
    ),
    Mutant(
        "cutmix-area",
        "CutMix mixes labels by lambda, not by the area that was pasted",
        "augment",
        "        kept = 1 - pasted.float().mean((1, 2, 3))\n",
        "",
        "augment",
    ),
    Mutant(
        "cutout",
        "the covered square begins at its centre",
        "augment",
        "y, x = (centre - self.size // 2 for centre in params)",
        "y, x = params",
        "augment",
    ),
    Mutant(
        "contrast",
        "contrast moves away from the batch's mean, not from the image's",
        "augment",
        "grey.mean((1, 2, 3), keepdim=True)",
        "grey.mean()",
        "augment",
    ),
)
