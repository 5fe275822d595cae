"""Built-in single pictures without a download: drawn products on white, each of one of eight families.

An object is a family and about a dozen factors in [0, 1]: its proportions, and its colours as hue, chroma, tone and
trim. Factors are drawn independently and uniformly, each moves the picture continuously, and their values are known: a
ground truth for latent spaces. Geometry is kept in frame coordinates: the same index shows the same object at every
size.
"""

from collections.abc import Sequence
import operator
import random
import types

import numpy as np

import jgan
from jgan.data.objects import canvas
from jgan.data.objects import goods
from jgan.data.objects import vessels
from jgan.data.objects import wear

_COLOURS = {"hue": (0.0, 1.0), "chroma": (0.0, 1.0), "tone": (0.0, 1.0), "trim": (0.0, 1.0)}
_DRAWN = {
    "shoe": (wear.shoe, wear.SHOE | _COLOURS),
    "bag": (goods.bag, goods.BAG | _COLOURS),
    "bottle": (vessels.bottle, vessels.BOTTLE | _COLOURS),
    "mug": (vessels.mug, vessels.MUG | _COLOURS),
    "chair": (goods.chair, goods.CHAIR | _COLOURS),
    "lamp": (vessels.lamp, vessels.LAMP | _COLOURS),
    "shirt": (wear.shirt, wear.SHIRT | _COLOURS),
    "hat": (wear.hat, wear.HAT | _COLOURS),
}
FAMILIES = tuple(_DRAWN)
FACTORS = {family: tuple(ranges) for family, (_, ranges) in _DRAWN.items()}


class Objects:
    """Random-access source of pictures, uint8 [size, size, 3].

    A picture depends on (seed, index, size) and the families only. Successive pictures, as many as there are families,
    show one family each, so that all families have equal shares.
    """

    def __init__(self, size: int, number: int, seed: int = 0, families: Sequence[str] = FAMILIES) -> None:
        """`number` objects of these families, `size` pixels a side.

        Raises:
            jgan.UserError: an unknown family or one given twice, or a size or number that cannot be drawn.
        """
        if not 16 <= size <= 2048:
            raise jgan.UserError(f"objects of {size} pixels were asked for; 16 to 2048 can be drawn.")
        if number < 1:
            raise jgan.UserError(f"{number} objects were asked for; the number must be at least 1.")
        for family in families:
            if family not in FAMILIES:
                raise jgan.UserError(f"there is no family {family!r}: {', '.join(FAMILIES)} can be drawn")
        if len(set(families)) < len(families) or not families:
            raise jgan.UserError(f"families are {','.join(families)}: each of them once would work")
        self.size, self.number, self.seed = int(size), int(number), int(seed)
        self.families = tuple(families)

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> np.ndarray:
        factors = self.factors(index)
        return draw(self.size, **factors)

    def factors(self, index: int) -> dict[str, str | float]:
        """{"family": name, factor: number in [0, 1], ...} of a picture: what `draw` takes."""
        index = operator.index(index)
        if not 0 <= index < self.number:
            raise IndexError(f"object {index} of {self.number}")
        block, place = divmod(index, len(self.families))
        family = random.Random(f"families {self.seed} {block}").sample(self.families, len(self.families))[
            place
        ]
        d = random.Random(f"object {self.seed} {index}")
        return {"family": family} | {name: d.random() for name in FACTORS[family]}

    def __repr__(self) -> str:
        some = f", families={self.families}" if self.families != FAMILIES else ""
        return f"Objects({self.size}, {self.number}, seed={self.seed}{some})"


def draw(size: int, family: str, **factors: float) -> np.ndarray:
    """The picture of an object, uint8 [size, size, 3]; factors are in [0, 1], those not given are 0.5.

    Raises:
        jgan.UserError: an unknown family or factor, or a factor out of its range.
    """
    if family not in _DRAWN:
        raise jgan.UserError(f"there is no family {family!r}: {', '.join(FAMILIES)} can be drawn")
    paint, ranges = _DRAWN[family]
    for name, value in factors.items():
        if name not in ranges:
            raise jgan.UserError(f"a {family} has no factor {name!r}: it has {', '.join(ranges)}")
        if not 0 <= value <= 1:
            raise jgan.UserError(f"factor {name} of a {family} is {value}: 0 to 1 would work")
    c = canvas.Canvas(size)
    paint(c, types.SimpleNamespace(**{k: _between(factors.get(k, 0.5), *ends) for k, ends in ranges.items()}))
    return c.picture()


def _between(share: float, low: float, high: float) -> float:
    """The number at a share of a range."""
    return low + share * (high - low)
