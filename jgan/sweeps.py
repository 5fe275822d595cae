"""Sweeps: named variants of a config, and the functions by which they are composed.

A file in `configs/sweeps/` has a function `get_sweep(arg: str = "") -> Sweep`. Variants are tuples of (name,
overrides), where overrides are {dotted field of the config: value}:

    product(named("loss.lambda_l1", {"l1": 100.0, "none": 0.0}), named("generator.ngf", {"narrow": 32, "wide": 64}))

has the four variants l1_narrow, l1_wide, none_narrow and none_wide. Overrides of a sweep of projections are
{flag of launch.project: value} instead.
"""

from collections.abc import Mapping
import itertools
import re
import types
from typing import Any
from typing import NamedTuple

import jgan

Variant = tuple[str, Mapping[str, Any]]
Variants = tuple[Variant, ...]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
PROGRAMS = ("train", "project")
PHOTOS = "photos"  # where the photos of a sweep of projections lie, beside its variants
_EMPTY: Mapping[str, Any] = types.MappingProxyType({})


class Sweep(NamedTuple):
    """What a sweep trains or projects, and what its table is compared with.

    Attributes:
        config: configs/FILE.py or configs/FILE.py:PRESET, which all variants start from. Of a sweep of projections it
            is the run that photos are projected by, or empty where a person has to name it.
        variants: in the order of the table.
        base: overrides of all variants.
        reference: the variant that the others are compared with; empty: the first.
        paper: {variant: {score: number}} as a paper has them, of its own data.
        source: where these numbers are from.
        program: `train`: variants are trainings, and overrides are fields of their config; `project`: variants are
            projections of the same photos by one run, and overrides are flags of launch.project.
    """

    config: str
    variants: Variants
    base: Mapping[str, Any] = _EMPTY
    reference: str = ""
    paper: Mapping[str, Mapping[str, float]] = _EMPTY
    source: str = ""
    program: str = "train"


def named(field: str, values: Mapping[str, Any]) -> Variants:
    """One variant for each {name: value} of a field."""
    return tuple((name, {field: value}) for name, value in values.items())


def product(*parts: Variants) -> Variants:
    """Every variant of the first part with every one of the others; names are joined by `_`.

    Raises:
        jgan.UserError: two parts set the same field.
    """
    return tuple(_joined(chosen) for chosen in itertools.product(*parts))


def zipped(*parts: Variants) -> Variants:
    """The first variant of a part with the first ones of the others, and so on.

    Raises:
        jgan.UserError: parts of different lengths, or two of them set the same field.
    """
    if len({len(part) for part in parts}) > 1:
        counts = " and ".join(str(len(part)) for part in parts)
        raise jgan.UserError(f"a zip of {counts} variants: parts of one length would work.")
    return tuple(_joined(chosen) for chosen in zip(*parts, strict=True))


def seeds(variants: Variants, count: int) -> Variants:
    """Each variant with the seeds 0 to `count` - 1; names are NAME/seed0, NAME/seed1, ..."""
    return tuple(
        (f"{name}/seed{seed}", {**overrides, "seed": seed})
        for name, overrides in variants
        for seed in range(count)
    )


def check(sweep: Sweep) -> Sweep:
    """The sweep itself.

    Raises:
        jgan.UserError: no variant, two of the same name, a name that is none of a directory, a reference that is no
            variant, or an unknown program.
    """
    if sweep.program not in PROGRAMS:
        raise jgan.UserError(f"program={sweep.program!r} is unknown: use one of {', '.join(PROGRAMS)}.")
    names = [name for name, _ in sweep.variants]
    if not names:
        raise jgan.UserError("the sweep has no variants: one (name, overrides) or more would work.")
    for place, name in enumerate(names):
        if not _NAME.fullmatch(name):
            raise jgan.UserError(
                f"variant {name!r}: letters, digits and . _ + - make the name of a directory."
            )
        if name in names[:place]:
            raise jgan.UserError(f"two variants have the name {name!r}: each needs one of its own.")
    if sweep.program == "project" and PHOTOS in names:
        raise jgan.UserError(f"no variant can have the name {PHOTOS!r}: the photos themselves lie there.")
    if sweep.reference and sweep.reference not in names:
        raise jgan.UserError(
            f"the reference {sweep.reference!r} is no variant: use one of {', '.join(names)}."
        )
    return sweep


def _joined(chosen: tuple[Variant, ...]) -> Variant:
    overrides: dict[str, Any] = {}
    for _, more in chosen:
        for field, value in more.items():
            if field in overrides:
                raise jgan.UserError(f"two parts of the sweep set {field}: one of them would work.")
            overrides[field] = value
    return "_".join(name for name, _ in chosen), overrides
