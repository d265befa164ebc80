"""Faults that the suite must catch, one at a time: mistakes that people make.

Each stands for a class of them. `mutate.py` plants one in a copy of the course and runs
the tests that guard its file; a fault that survives is a test that is missing.
"""

from mutants.augment import AUGMENT
from mutants.data import DATA
from mutants.look import LOOK
from mutants.models import MODELS
from mutants.mutant import Mutant
from mutants.train import TRAIN

__all__ = ["MUTANTS", "Mutant"]

MUTANTS = (*MODELS, *TRAIN, *DATA, *AUGMENT, *LOOK)
