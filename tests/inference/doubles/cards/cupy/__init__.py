"""A double of CuPy: see faults.py."""

from tests.inference.doubles.cards.faults import CARD

cuda, RawKernel = CARD.cupy.cuda, CARD.cupy.RawKernel
