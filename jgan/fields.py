"""What one entry of a batch is, and equally what a person may set in its place: one vocabulary for both.

A system names the fields that a way of it takes (`systems.system.Way`); batch shapes, previews, scores, flags, the
editor's API and its page follow from them. Numpy only: data, systems and programs import it.

Each class answers the same questions:

- `spec(n, size)`: (shape, dtype) of a batch of n.
- `parse(text)`: the value that a flag such as `--set to=Blond_Hair` names, of one entry.
- `check(value)`: the same of a value from JSON, whoever sent it.
- `describe()`: a dict of JSON for the page, which has one widget for each `kind`.
- `spread()`: yields (title, value), values that are worth showing side by side.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import math
import os
import re
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan

MAX_TITLE = 40  # letters of a name or a value that are shown
MAX_CODE = 100_000  # numbers of a code


class Picture(NamedTuple):
    """An image [h, w, channels], in the type of its file or float32 in [-1, 1].

    `plain` is whether it holds classes in plain colours, which must not be mixed.
    """

    channels: int = 3
    plain: bool = False

    def spec(self, n: int, size: int) -> tuple[tuple[int, ...], np.dtype]:
        """((n, size, size, channels), float32), as a system's `init` sees it."""
        return (n, size, size, self.channels), np.dtype(np.float32)

    def parse(self, text: str) -> Any:
        """Refuses: a picture is no value of a flag."""
        raise jgan.UserError("a picture is given as a file (--input), not by --set.")

    check = parse

    def describe(self) -> dict[str, Any]:
        """{"kind": "picture", "channels", "plain"}."""
        return {"kind": "picture", "channels": self.channels, "plain": self.plain}

    def spread(self) -> Iterator[tuple[str, Any]]:
        """Nothing: no value is worth showing without a picture."""
        return iter(())


class Label(NamedTuple):
    """One of several classes: an int32 scalar, the place of its name.

    Attributes:
        names: of the classes, in the order of their numbers.
    """

    names: tuple[str, ...]

    def spec(self, n: int, size: int) -> tuple[tuple[int, ...], np.dtype]:
        """((n,), int32)."""
        return (n,), np.dtype(np.int32)

    def parse(self, text: str) -> np.int32:
        """The number of a class, given by its name or as that number.

        Raises:
            jgan.UserError: there is no such class.
        """
        if text in self.names:
            return np.int32(self.names.index(text))
        if re.fullmatch("[0-9]{1,9}", text) and int(text) < len(self.names):
            return np.int32(text)
        raise jgan.UserError(
            f"{text[:MAX_TITLE]!r} is none of the classes: {_listed(self.names)} would work."
        )

    def check(self, value: Any) -> np.int32:
        """As `parse`, of a name or a number."""
        return self.parse(_text(value, _listed(self.names)))

    def describe(self) -> dict[str, Any]:
        """{"kind": "label", "names"}."""
        return {"kind": "label", "names": list(self.names)}

    def spread(self) -> Iterator[tuple[str, np.int32]]:
        """All classes."""
        return ((_title(name), np.int32(k)) for k, name in enumerate(self.names))


class Attributes(NamedTuple):
    """Several properties, each a number: float32 [k]. NaN stands where one is not known, or to be left as it is.

    Attributes:
        names: of the properties.
        low: the number of one that is absent.
        high: of one that is present.
        exclusive: those of which only one is present at a time, such as colours of hair: who sets one takes the
            others away.
    """

    names: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    exclusive: tuple[str, ...] = ()

    def spec(self, n: int, size: int) -> tuple[tuple[int, ...], np.dtype]:
        """((n, k), float32)."""
        return (n, len(self.names)), np.dtype(np.float32)

    def parse(self, text: str) -> np.ndarray:
        """The values [k] that `NAME`, `NAME=NUMBER` or several of them with commas between name; the others are NaN.

        `NAME` alone is `high`. Of exclusive ones the others become `low`.

        Raises:
            jgan.UserError: an unknown name, one named twice, or a number that is none or out of range.
        """
        given: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, there, number = part.partition("=")
            if name in given:
                raise jgan.UserError(f"{_title(name)!r} is set twice: once would work.")
            given[name] = number if there else self.high
        if not given:
            raise jgan.UserError(
                f"{_title(text)!r} sets nothing: {_listed(self.names)} can be set, as NAME or NAME=NUMBER."
            )
        return self.check(given)

    def check(self, value: Any) -> np.ndarray:
        """As `parse`, of {name: number}."""
        if not isinstance(value, dict):
            raise jgan.UserError(f"attributes are {{name: number}}, with names out of {_listed(self.names)}.")
        found = np.full(len(self.names), np.nan, np.float32)
        places = {name: place for place, name in enumerate(self.names)}
        for name, number in value.items():
            if name not in places:
                raise jgan.UserError(
                    f"{str(name)[:MAX_TITLE]!r} is none of the attributes: {_listed(self.names)} would work."
                )
            found[places[name]] = _number(name, number, self.low, self.high)
        on = [name for name in self.exclusive if found[places[name]] > self.low]  # NaN is not
        if len(on) > 1:
            raise jgan.UserError(f"{on[0]} and {on[1]} exclude each other: one of them would work.")
        if on:
            for name in self.exclusive:
                if name != on[0]:
                    found[places[name]] = self.low
        return found

    def describe(self) -> dict[str, Any]:
        """{"kind": "attributes", "names", "low", "high", "exclusive"}."""
        return {
            "kind": "attributes",
            "names": list(self.names),
            "low": self.low,
            "high": self.high,
            "exclusive": list(self.exclusive),
        }

    def spread(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each property by itself: present, and, where it is not one of the exclusive ones, absent."""
        for name in self.names:
            yield _title(name), self.check({name: self.high})
            if name not in self.exclusive:
                yield _title(f"no {name}"), self.check({name: self.low})


class Amount(NamedTuple):
    """How much of something: a float32 scalar.

    Attributes:
        low: the least.
        high: the most.
        default: what it is where nobody sets it.
    """

    low: float
    high: float
    default: float

    def spec(self, n: int, size: int) -> tuple[tuple[int, ...], np.dtype]:
        """((n,), float32)."""
        return (n,), np.dtype(np.float32)

    def parse(self, text: str) -> np.float32:
        """The number; a `jgan.UserError` where it is none or out of range."""
        return self.check(text)

    def check(self, value: Any) -> np.float32:
        """As `parse`, of a number or its text."""
        return np.float32(_number("it", value, self.low, self.high))

    def describe(self) -> dict[str, Any]:
        """{"kind": "amount", "low", "high", "default"}."""
        return {"kind": "amount", "low": self.low, "high": self.high, "default": self.default}

    def spread(self) -> Iterator[tuple[str, np.float32]]:
        """The least, the usual and the most."""
        values = sorted({self.low, self.default, self.high})
        return ((f"{value:g}", np.float32(value)) for value in values)


class Between(NamedTuple):
    """A code on the arc from one to another: each a seed or a flat vector of numbers, the share from 0 to 1."""

    a: Any
    b: Any
    share: float


class Code(NamedTuple):
    """A latent. What is not set is drawn from the first space.

    Who sets it gives the seed of a draw, all its numbers, two of these and a share of the way between them, or a file:
    the picture whose code the system finds, where its space predicts.

    Attributes:
        spaces: names of the system's spaces that it may be given in.
    """

    spaces: tuple[str, ...]

    def spec(self, n: int, size: int) -> tuple[tuple[int, ...], np.dtype]:
        """((n,), int64): its seeds. The latent's own shape is its space's."""
        return (n,), np.dtype(np.int64)

    def parse(self, text: str) -> int | str:
        """The seed, or the path of a file that is there; a `jgan.UserError` where it is neither."""
        if not text.isdecimal() and os.path.isfile(text):
            return text
        try:
            return _seed(text)
        except jgan.UserError as error:
            raise jgan.UserError(f"{str(error)[:-1]}, and so would the file of a picture.") from None

    def check(self, value: Any) -> int | tuple[float, ...] | Between:
        """A seed, numbers, or {"between": [A, B], "share": t} of two of these; names of files come from flags alone.

        How many numbers there have to be is known by the space.
        """
        if not isinstance(value, dict):
            return _code(value)
        if set(value) != {"between", "share"}:
            raise jgan.UserError('a code between two is {"between": [A, B], "share": 0 to 1}.')
        ends = value["between"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise jgan.UserError("between has to be a list of two codes, each a seed or a list of numbers.")
        return Between(_code(ends[0]), _code(ends[1]), _number("share", value["share"], 0, 1))

    def describe(self) -> dict[str, Any]:
        """{"kind": "code", "spaces"}."""
        return {"kind": "code", "spaces": list(self.spaces)}

    def spread(self) -> Iterator[tuple[str, int]]:
        """Four draws."""
        return ((f"draw {seed + 1}", seed) for seed in range(4))


Field = Picture | Label | Attributes | Amount | Code

# Of `config.data.kind`: the fields of a batch. `images` of kind `labelled` have a label, one class or attributes.
KINDS: dict[str, tuple[str, ...]] = {
    "images": ("images",),
    "aligned": ("a", "b"),
    "unaligned": ("a", "b"),
    "labelled": ("images", "label"),
}


def of(data: Any) -> dict[str, Field]:
    """{name: field} of one entry of a batch, from the `data` part of a config.

    What only the data know (channels, names) is in the config once a run has begun; before, pictures count as
    colour and there are no names.

    Raises:
        jgan.UserError: an unknown kind.
    """
    if data.kind not in KINDS:
        raise jgan.UserError(f"data.kind={data.kind!r} is unknown: use one of {', '.join(KINDS)}.")
    names = [name for name in KINDS[data.kind] if name != "label"]
    channels = tuple(data.get("channels", ())) or (3,) * len(names)
    plain = data.get("labels", "")
    found: dict[str, Field] = {
        name: Picture(count, name in plain) for name, count in zip(names, channels, strict=True)
    }
    if data.kind == "labelled":
        known = tuple(data.get("names", ()))
        found["label"] = (
            Label(known)
            if data.label == "class"
            else Attributes(known, exclusive=tuple(x for x in data.exclusive if x in known))
        )
    return found


def parse(controls: dict[str, Field], texts: list[str]) -> dict[str, Any]:
    """{name: value} of what flags `NAME=VALUE` set.

    Raises:
        jgan.UserError: no such control, one that is set twice, or a value that its field refuses.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, there, value = text.partition("=")
        shown = f"--set={_title(text)}"
        if not there:
            raise jgan.UserError(f"{shown}: NAME=VALUE would work.")
        if name not in controls:
            raise jgan.UserError(f"{shown}: there is no {_title(name)!r}: {_settable(controls)}.")
        if name in found:
            raise jgan.UserError(f"{shown}: {name} is set already.")
        try:
            found[name] = controls[name].parse(value)
        except jgan.UserError as error:
            raise jgan.UserError(f"{shown}: {error}") from None
    return found


def check(controls: Mapping[str, Field], tree: Any) -> dict[str, Any]:
    """{name: value} of a JSON object {name: value}, whoever sent it.

    Raises:
        jgan.UserError: it is none, there is no such control, or a value is refused by its field.
    """
    if not isinstance(tree, dict):
        raise jgan.UserError("what is set has to be a JSON object {name: value}.")
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if name not in controls:
            raise jgan.UserError(f"there is no {ascii(name)[:MAX_TITLE]} to set: {_settable(controls)}.")
        try:
            found[name] = controls[name].check(value)
        except jgan.UserError as error:
            raise jgan.UserError(f"{name}: {error}") from None
    return found


def _settable(controls: Mapping[str, Field]) -> str:
    return f"{_listed(controls)} can be set" if controls else "nothing can be set here"


def _code(value: Any) -> int | tuple[float, ...]:
    """A seed, or the numbers of a code."""
    if not isinstance(value, list):
        return _seed(_text(value, f"a whole number from 0 to {2**32 - 1}"))
    if not 1 <= len(value) <= MAX_CODE:
        raise jgan.UserError(f"a code has 1 to {MAX_CODE} numbers, these are {len(value)}.")
    return tuple(_number("a number of a code", x, -1e6, 1e6) for x in value)


def _seed(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) >= 2**32:
        raise jgan.UserError(
            f"{text[:MAX_TITLE]!r} is no seed of a code: a whole number from 0 to {2**32 - 1} would work."
        )
    return int(text)


def _number(name: str, value: Any, low: float, high: float) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        sentence = f"{name} is {str(value)[:40]!r}, which is no number: {low:g} to {high:g} would work."
        raise jgan.UserError(sentence) from None
    if not low <= number <= high:
        raise jgan.UserError(f"{name} is {number:g}: {low:g} to {high:g} would work.")
    return number


def _text(value: Any, usable: str) -> str:
    """A text, or the text of a whole number, that came as JSON; all else is refused, and what is `usable` told."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise jgan.UserError(f"{_title(str(value))!r} is neither a text nor a whole number: {usable} would work.")


def _title(name: str) -> str:
    return name if len(name) <= MAX_TITLE else name[: MAX_TITLE - 1] + "…"


def _listed(names: Any) -> str:
    names = list(names)
    shown = ", ".join(_title(name if name.isprintable() else ascii(name)[1:-1]) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "") if names else "none"
