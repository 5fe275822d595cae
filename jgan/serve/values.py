"""Values in the JSON of sessions and of pages' messages: each is checked, and refused by a sentence."""

import re
from typing import Any

import jgan
from jgan.latent import document
from jgan.serve import session as sessions

MAX_LATENT = 100_000  # numbers in a latent
_CANDIDATES = 10_000  # above the number of candidates of any engine
_show = document.show


def kind(tree: Any, field: str, what: str) -> str:
    """The name in a field of a JSON object; "?" for a text that cannot be a name."""
    if not isinstance(tree, dict):
        raise jgan.UserError(f"{what} is {_show(tree)}, it has to be a JSON object.")
    if not isinstance(tree.get(field), str):
        raise jgan.UserError(f"{what} has no field {field!r} that is a name.")
    return tree[field] if tree[field].isidentifier() and len(tree[field]) < 30 else "?"


def latent(value: Any) -> sessions.Latent:
    """The latent in a list of numbers."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LATENT:
        raise jgan.UserError(f"a latent is {_show(value)}, it has to be a list of 1 to {MAX_LATENT} numbers.")
    if not all(document.is_number(x) and abs(x) <= 1e6 for x in value):
        raise jgan.UserError("the numbers of a latent have to be from -1e6 to 1e6.")
    return tuple(map(float, value))


def candidate(value: Any, what: str) -> int | None:
    """The number of a candidate, or None; `what` is its name in error messages, as below."""
    return None if value is None else whole(value, what, 0, _CANDIDATES)


def whole(value: Any, what: str, least: int, most: int) -> int:
    """An integer from `least` to `most`."""
    if type(value) is not int or not least <= value <= most:
        raise jgan.UserError(f"{what} is {_show(value)}, it has to be a whole number from {least} to {most}.")
    return value


def text(value: Any, what: str, most: int) -> str:
    """A text of 1 to `most` printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise jgan.UserError(f"{what} is {_show(value)}, it has to be a text of 1 to {most} characters.")
    return value


def photo_key(value: Any) -> str:
    """The key of a photo."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise jgan.UserError(f"a photo is kept under {_show(value)}: letters, digits, _ and - would work.")
    return value
