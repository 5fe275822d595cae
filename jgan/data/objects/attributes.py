"""Drawn objects with attributes: the same objects, whose named factors are clearly high or clearly low.

The attributes are `red`, `green` and `blue`, three windows of the hue that nobody confuses, and the factors of the
families by their names. Factors that no attribute names keep their random values.
"""

from collections.abc import Sequence
import random

import jgan
from jgan.data import objects

# Shares of the hue around the three primary colours, as OKLab counts them (see `colours.strong`).
COLOURS = {"red": (0.04, 0.085), "green": (0.37, 0.43), "blue": (0.68, 0.735)}
_OF_COLOURS = ("hue", "chroma", "tone")  # factors that a colour sets
_VIVID = {"chroma": (0.85, 1.0), "tone": (0.2, 0.5)}  # lighter red would be pink, darker blue black
_APART = 0.07  # of the hue: the distance that objects without a colour keep from its window

PRESENT, ABSENT = (0.7, 1.0), (0.0, 0.3)  # of a factor


def known(families: Sequence[str]) -> tuple[str, ...]:
    """The names that attributes of these families may have: the colours, and the factors that all share."""
    first, *others = (objects.FACTORS[family] for family in families)
    return (*COLOURS, *(name for name in first if all(name in factors for factors in others)))


def usual(families: Sequence[str]) -> tuple[str, ...]:
    """As many of the known names as go together: the colours, and the factors that colours do not set."""
    return tuple(name for name in known(families) if name not in _OF_COLOURS)


def exclusive(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names of which an object can have only one at a time: the colours, if there are several."""
    colours = tuple(name for name in names if name in COLOURS)
    return colours if len(colours) > 1 else ()


def given(d: random.Random, name: str, value: float) -> dict[str, float]:
    """The factors that an attribute sets, drawn for its value: 1.0 or 0.0, for a colour only 1.0."""
    if name not in COLOURS:
        return {name: d.uniform(*(PRESENT if value else ABSENT))}
    return {"hue": d.uniform(*COLOURS[name])} | {name: d.uniform(*ends) for name, ends in _VIVID.items()}


class Attributed(objects.Objects):
    """Objects with attributes: `attributes(index)` beside the picture, 1.0 where one is present and 0.0 where not.

    Each is present in half of the objects, at random; of exclusive attributes exactly one is present, all equally
    often.
    """

    def __init__(
        self,
        size: int,
        number: int,
        seed: int,
        families: Sequence[str],
        names: Sequence[str],
        exclusive: Sequence[str] = (),
    ) -> None:
        """Objects of these families, with attributes `names`, of which those in `exclusive` exclude each other.

        Raises:
            jgan.UserError: as in `Objects`, or attributes that the families lack or that contradict each other.
        """
        super().__init__(size, number, seed, families)
        self.names, self._exclusive = tuple(names), tuple(exclusive)
        for name in names:
            if name not in known(families):
                raise jgan.UserError(
                    f"{name!r} is no attribute of {' and '.join(families)}: {', '.join(known(families))} would work"
                )
        colours = [name for name in names if name in COLOURS]
        taken = [name for name in names if name in _OF_COLOURS]
        if colours and taken:
            raise jgan.UserError(
                f"attributes {colours[0]} and {taken[0]} contradict each other, since a colour sets "
                f"{', '.join(_OF_COLOURS)}: one of them in data.names would work"
            )
        if len(colours) > 1 and not set(colours) <= set(exclusive):
            raise jgan.UserError(
                f"data.exclusive is {','.join(exclusive)}, but an object has only one colour at a time: "
                f"{','.join(colours)} among them would work"
            )

    def attributes(self, index: int) -> tuple[float, ...]:
        """The values of `names`, 0.0 or 1.0."""
        d = random.Random(f"attributes {self.seed} {index}")
        one = d.choice(self._exclusive) if self._exclusive else ""
        values = {name: float(d.random() < 0.5) for name in self.names}
        values |= {name: float(name == one) for name in self._exclusive}
        return tuple(values[name] for name in self.names)

    def factors(self, index: int) -> dict[str, str | float]:
        """The factors of a picture as `Objects.factors` gives them, with values that the attributes ask for."""
        factors = super().factors(index)
        d = random.Random(f"places {self.seed} {index}")
        values = dict(zip(self.names, self.attributes(index), strict=True))
        for name, value in values.items():
            if name not in COLOURS:
                factors |= given(d, name, value)
        colours = [name for name in self.names if name in COLOURS]
        shown = [name for name in colours if values[name]]
        if shown:
            factors |= given(d, shown[0], 1.0)
        elif colours:
            factors["hue"] = _elsewhere(d, colours)
        return factors

    def __repr__(self) -> str:
        rest = f"{self.families}, {self.names}, {self._exclusive}"
        return f"Attributed({self.size}, {self.number}, seed={self.seed}, {rest})"


def _elsewhere(d: random.Random, colours: Sequence[str]) -> float:
    """A hue in none of the windows of these colours, nor near one."""
    ends = sorted((COLOURS[name][0] - _APART, COLOURS[name][1] + _APART) for name in colours)
    # From the end of each window to the beginning of the next; the last gap goes around the circle of hues.
    gaps = [(ends[i][1], ends[i + 1][0] if i + 1 < len(ends) else ends[0][0] + 1) for i in range(len(ends))]
    (low, high) = d.choices(gaps, [high - low for low, high in gaps])[0]
    return d.uniform(low, high) % 1
