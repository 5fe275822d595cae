"""The labels of all examples of a split together: which data set each belongs to, what is not known, a digest."""

import hashlib
import os
from typing import Any

import numpy as np

import jgan
from jgan.data import examples
from jgan.data.sources import lists


def members(domain: examples.Examples, sets: tuple[Any, ...]) -> list[list[int]]:
    """The numbers of the pictures of each data set: a picture is of the first set of which an attribute is known.

    Pictures of which nothing is known are of the first set. There are no numbers if there is one set, or if the sets do
    not fit the labels.

    Raises:
        jgan.UserError: a set has no picture.
    """
    known = ~np.isnan(_values(domain)) if len(sets) > 1 else None
    if known is None or known.ndim != 2 or not all(type(number) is int and number > 0 for number in sets):
        return []
    if sum(sets) != known.shape[1]:
        return []
    of = np.argmax([part.any(1) for part in np.split(known, np.cumsum(sets)[:-1], 1)], 0)
    found = [np.flatnonzero(of == k).tolist() for k in range(len(sets))]
    for k, numbers in enumerate(found):
        if not numbers:
            names = lists.listed(domain.source.names[sum(sets[:k]) : sum(sets[: k + 1])])
            raise jgan.UserError(
                f"sets is {','.join(map(str, sets))}, but no picture belongs to set {k + 1} ({names}): pictures with "
                "attributes of that set alone would work"
            )
    return found


def check_known(domain: examples.Examples, mask: bool) -> None:
    """Refuses attributes of which the data know too little to train on them; classes are always known.

    Args:
        domain: of the training split.
        mask: whether the system is told what is not known. Otherwise it would take it for absent.

    Raises:
        jgan.UserError: an attribute is known of no picture, or, without `mask`, not of all.
    """
    values, names = _values(domain), domain.source.names
    if values.ndim != 2:
        return
    missing = np.isnan(values).sum(0)
    nowhere = [name for name, number in zip(names, missing, strict=True) if number == len(values)]
    if nowhere:
        raise jgan.UserError(
            f"the data know {_attributes(nowhere)} of no picture: data.names without it, or a value for some of the "
            "pictures, would work"
        )
    if missing.any() and not mask:
        first = int(missing.argmax())
        others = int((missing > 0).sum()) - 1
        more = f" (and {others} more attributes not of all)" if others else ""
        raise jgan.UserError(
            f"{missing[first]} of {len(values)} pictures have no value for {_attributes([names[first]])}{more}: "
            "--config.mask=true would work, or a list that has all values"
        )


def notes(domain: examples.Examples) -> list[str]:
    """A sentence on the attributes that are the same in all pictures, of which nothing can be learnt."""
    values = _values(domain)
    if values.ndim != 2 or len(values) < 2:
        return []
    with np.errstate(invalid="ignore"):
        same = np.fmin.reduce(values) == np.fmax.reduce(values)  # both leave NaN aside
    names = [name for name, constant in zip(domain.source.names, same, strict=True) if constant]
    if not names:
        return []
    have = "has" if len(names) == 1 else "have"
    return [f"{_attributes(names)} {have} one value in all pictures: what it changes cannot be learnt"]


def digest(domain: examples.Examples) -> str:
    """A digest of the labels of the examples in use, wherever they lie; empty if the pictures are not in files."""
    entries = [entry for entry in domain.entries if entry.label is not None and entry.files]
    if not entries:
        return ""
    found = hashlib.sha256(repr(domain.source.names).encode())
    for name, suffix, label in sorted(
        (entry.name, os.path.splitext(entry.files[0])[1], str(entry.label)) for entry in entries
    ):
        found.update(os.fsencode(f"{name}{suffix}\0{label}\n"))
    return found.hexdigest()[:40]


def _values(domain: examples.Examples) -> np.ndarray:
    """The labels: float32 [n] of classes, [n, k] of attributes with NaN where one is not known; [0] without labels."""
    labels = [entry.label for entry in domain.entries if entry.label is not None]
    return np.array(labels, np.float32)


def _attributes(names: list[str]) -> str:
    return f"attribute{'s' * (len(names) != 1)} {lists.listed(names)}"
