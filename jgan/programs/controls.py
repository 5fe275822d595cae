"""What a person sets of a way, as values on the device: one example's, and a batch's."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import fields
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.latent import codec as codec_lib
from jgan.latent import paths
from jgan.systems import system as system_lib


class Codes:
    """The codes of a way as people give them: by a seed, by numbers, between two, or in a picture.

    All that depends on a value is an argument of programs that are compiled once for the run.
    """

    def __init__(self, run: trained.Run, way: system_lib.Way, control: str):
        """Of a way's control that is a code, in the first of its spaces."""
        self._run, self._target, self._control = run, way.target, control
        self._codes = run.system.spaces[way.controls[control].spaces[0]]
        self._space = self._codes.space(run.weights, {})
        self.codec = codec_lib.Codec.of(self._space)
        # As `draws.codes` draws its first one.
        self._draw = jax.jit(
            lambda seed: self.codec.flat(self._space.sample(jax.random.fold_in(jax.random.key(seed), 0)))
        )
        self._between = jax.jit(self._arc)
        self._predict = jax.jit(self._predicted)

    @property
    def predicts(self) -> bool:
        """Whether the run has learnt to find the code of a picture."""
        return self._codes.predict is not None and self._run.step > self._codes.learnt

    @property
    def channels(self) -> int:
        """The number of channels of the pictures that have codes."""
        return fields.of(self._run.config.data)[self._target].channels

    def vector(self, value: Any) -> np.ndarray:
        """The code [d] float32 of what `fields.Code` parsed or checked.

        Raises:
            jgan.UserError: there are more or fewer numbers than the space has, or a picture that gives no code.
        """
        if isinstance(value, fields.Between):
            return np.asarray(
                self._between(self.vector(value.a), self.vector(value.b), np.float32([value.share]))
            )
        if isinstance(value, str):
            return self.encode(image_files.load(value))
        if isinstance(value, int):
            return np.asarray(self._draw(np.uint32(value)))
        if len(value) != self.codec.size:
            raise jgan.UserError(
                f"the code has {len(value)} numbers: those of this run have {self.codec.size}."
            )
        return np.float32(value)

    def latent(self, value: Any) -> Any:
        """The code as `vector` gives it, as a latent of the space."""
        return self.codec.latent(self.vector(value))

    def encode(self, picture: image_files.Picture | np.ndarray) -> np.ndarray:
        """The code [d] float32 of a picture of what the run makes: of its middle square, in the size of the data.

        Raises:
            jgan.UserError: the run finds no codes, or takes no such picture.
        """
        if not self.predicts:
            raise jgan.UserError(
                f"the code of a picture cannot be found by this run: {self._control} is set by a seed."
            )
        data = self._run.config.data
        taken = framing.adapt(picture, self.channels, framing.bits(data, self._target))
        square = framing.fit(taken.pixels, data.size, "crop").image
        return np.asarray(self._predict(self._run.weights, square))

    def _arc(self, a: jax.Array, b: jax.Array, share: jax.Array) -> jax.Array:
        # Codes of many numbers all have about the same length; `draws.arcs` says why the arc, and why the bounds.
        z = paths.arc(self.codec.latent(a), self.codec.latent(b), share)
        return self.codec.flat(self._space.bound(self._space.free(jax.tree.map(lambda x: x[0], z))))

    def _predicted(self, weights: dict[str, Any], image: jax.Array) -> jax.Array:
        latents = self._codes.predict(weights, image[None], {})
        return self.codec.flat(jax.tree.map(lambda x: x[0], latents))


def values(run: trained.Run, way: system_lib.Way, asked: Mapping[str, Any]) -> dict[str, Any]:
    """{name: value of one example, for the device} of what `fields.parse` gave: a code's seed becomes its latent."""
    result = {}
    for name, value in asked.items():
        field = way.controls[name]
        result[name] = Codes(run, way, name).latent(value) if isinstance(field, fields.Code) else value
    return result


def settable(way: system_lib.Way) -> dict[str, fields.Field]:
    """The controls that have one value for all codes of a way: a label, attributes, amounts."""
    kinds = (fields.Label, fields.Attributes, fields.Amount)
    return {name: field for name, field in way.controls.items() if isinstance(field, kinds)}


def standing(way: system_lib.Way) -> dict[str, np.ndarray]:
    """{name: value of one example} of the settable controls where nobody sets them.

    The first class, the default of an amount. Attributes stay as they are in the picture that a way starts from;
    where it starts from none, all are absent but the first of exclusive ones.
    """
    result: dict[str, Any] = {}
    for name, field in settable(way).items():
        if isinstance(field, fields.Attributes):
            absent = np.full(len(field.names), np.nan if way.inputs else field.low, np.float32)
            for first in () if way.inputs else field.exclusive[:1]:
                absent[field.names.index(first)] = field.high
            result[name] = absent
        else:
            result[name] = np.int32(0) if isinstance(field, fields.Label) else np.float32(field.default)
    return {name: np.asarray(value) for name, value in result.items()}


def given(way: system_lib.Way, asked: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """As `standing`, with what is `asked` of it, as `fields.check` gives it; the same shapes whatever is asked."""
    result = standing(way)
    for name, value in asked.items():
        value = np.asarray(value, result[name].dtype)
        if isinstance(way.controls[name], fields.Attributes):
            value = np.where(np.isnan(value), result[name], value)
        result[name] = value
    return result


def as_json(way: system_lib.Way, values: Mapping[str, Any]) -> dict[str, Any]:
    """{name: value as JSON has it} of the settable controls among `values`, each of one example on the host.

    The name of a class, the number of an amount, {name: number} of the attributes that are known; `fields.check` takes
    them back.
    """
    found: dict[str, Any] = {}
    for name, field in settable(way).items():
        if name not in values:
            continue
        value = np.asarray(values[name])
        if isinstance(field, fields.Label):
            found[name] = field.names[int(value)]
        elif isinstance(field, fields.Attributes):
            known = zip(field.names, value, strict=True)
            found[name] = {attribute: _number(x) for attribute, x in known if x == x}
        else:
            found[name] = _number(value)
    return found


def changed(run: trained.Run) -> dict[str, Any]:
    """`as_json` of all values under which the run's space is; {} where they are the defaults."""
    way, given = run.way(), run.weights.get("given", {})
    values = as_json(way, given)
    return values if given and values != as_json(way, standing(way)) else {}


def told(way: system_lib.Way, values: Mapping[str, Any]) -> str:
    """The values that `as_json` gave, in one line, each in the form that --set takes; empty where there are none."""

    def shown(name: str, value: Any) -> str:
        if isinstance(value, dict):
            value = ",".join(f"{x}={number:g}" for x, number in value.items())
        return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"

    return ", ".join(shown(name, values[name]) for name in way.controls if name in values)


def _number(value: Any) -> float:
    return float(str(np.float32(value)))  # the shortest text of this float32: 0.7, not 0.699999988


def under(run: trained.Run, texts: Sequence[str]) -> trained.Run:
    """The run whose space is under what flags `NAME=VALUE` set of its way; under its defaults where there are none.

    Raises:
        jgan.UserError: as in `fields.parse`.
    """
    way = run.way()
    asked = fields.parse(settable(way), list(texts))
    return run._replace(weights={**run.weights, "given": given(way, asked)}) if asked else run


def missing(way: system_lib.Way, given: dict[str, Any]) -> list[str]:
    """The controls that have to be set: those that are neither drawn nor have a default."""
    needed = (fields.Label, fields.Attributes)
    return [name for name, field in way.controls.items() if isinstance(field, needed) and name not in given]


def repeated(given: dict[str, Any], n: int) -> dict[str, Any]:
    """Values of one example as those of a batch of n."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *jnp.shape(x))), given)


def drawn(way: system_lib.Way, n: int, seed: int) -> dict[str, np.ndarray]:
    """{name: [n, ...]} of the controls of a way that are not drawn by its key: classes and attributes at random.

    Amounts are their default. The first values are the same for every n.
    """
    result: dict[str, np.ndarray] = {}
    for name, field in way.controls.items():
        shape, dtype = field.spec(n, 0)
        chance = np.random.default_rng([seed % 2**32, len(result)])
        if isinstance(field, fields.Label):
            result[name] = (chance.random(n) * len(field.names)).astype(dtype)
        elif isinstance(field, fields.Attributes):
            result[name] = np.where(chance.random(shape) < 0.5, field.low, field.high).astype(dtype)
        elif isinstance(field, fields.Amount):
            result[name] = np.full(shape, field.default, dtype)
    return result


def described(run: trained.Run) -> list[dict[str, Any]]:
    """What a page needs to know of every way of a run, as JSON: one widget for each field, by its kind.

    [{"name", "inputs": {field: ...}, "controls": {field: ...}, "returns": [...], "spaces": {name: {"predicts"}}}].
    """
    known = fields.of(run.config.data)
    predicts = {
        name: {"predicts": codes.predict is not None and run.step > codes.learnt}
        for name, codes in run.system.spaces.items()
    }
    return [
        {
            "name": name,
            "inputs": {field: known[field].describe() for field in way.inputs},
            "controls": {field: control.describe() for field, control in way.controls.items()},
            "returns": list(way.returns),
            "spaces": predicts,
        }
        for name, way in run.system.ways.items()
    ]
