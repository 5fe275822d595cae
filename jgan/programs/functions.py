"""What a run does as functions of arrays alone, for programs that do not have jgan.

for function in functions.of(trained.load("RUN")):
    images = function.call(function.weights, *inputs)["output"]     # pure
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import fields
from jgan import trained
from jgan.latent import codec as codec_lib
from jgan.ops import conv
from jgan.programs import controls
from jgan.programs import project as project_lib
from jgan.programs import translator

STATISTICS = ("image", "running")
MAX_SIDE = 2**15  # pixels of a side


class Value(NamedTuple):
    """One array that a function takes or gives.

    Attributes:
        name: of the array.
        shape: of one example: the array has a leading axis over examples besides.
        dtype: the name of its type.
        meaning: a sentence for who calls the function.
        low: the least number in it; None where there is no limit.
        high: the largest number in it, likewise.
        names: of the classes or attributes that its numbers stand for.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()


class Function(NamedTuple):
    """A function of a run: arrays [n, ...] in, arrays [n, ...] out, each example by itself.

    Attributes:
        name: of the function.
        meaning: a sentence for who calls it.
        call: `(weights, *arrays) -> {name: array}`, with the arrays in the order of `inputs`.
        weights: the pytree that `call` takes.
        inputs: what it takes.
        outputs: what it gives.
    """

    name: str
    meaning: str
    call: Callable[..., dict[str, jax.Array]]
    weights: Any
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def shapes(self, n: Any) -> list[jax.ShapeDtypeStruct]:
        """The shapes and types of the inputs for n examples; n may be a symbol of `jax.export`."""
        return [jax.ShapeDtypeStruct((n, *value.shape), value.dtype) for value in self.inputs]


def of(
    run: trained.Run,
    names: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
    size: Sequence[int | str] = (),
    statistics: str = "image",
    dropout: bool = False,
    **search: Any,
) -> list[Function]:
    """The functions of a run.

    Ways that start from a picture are `translate_WAY` (or `translate`, which is the name of StarGAN's way). Runs that
    draw from codes have `sample`, from latents of the space that the run is within, and `project`, into this space.

    Args:
        run: as `trained.load` gives it.
        names: of the functions; empty: all that the run has.
        without: names of functions that are not wanted.
        size: height and width of the pictures that are translated, or one number for both; empty: `data.size`.
        statistics: what normalises in translations, `image` or `running`.
        dropout: whether translations keep dropout on; they then take a key for each picture.
        search: of the projection, as in `project.choose`.

    Raises:
        jgan.UserError: a name that the run has no function for, or settings that do not fit the run.
    """
    made: dict[str, Callable[[], Function]] = {}
    for way in translator.ways(run.system):
        name = way if way == "translate" else f"translate_{way}"
        made[name] = lambda way=way, name=name: _translation(run, name, way, size, statistics, dropout)
    if trained.draws(run.system):
        made |= {"sample": lambda: _sample(run), "project": lambda: _projection(run, search)}
    usable = [name for name in made if name not in without]
    for name in names:
        if name not in usable:
            raise jgan.UserError(
                f"--functions={name}: a run of {run.config.system} has {' and '.join(usable)} in this format."
            )
    chosen = tuple(dict.fromkeys(names or usable))
    translates = any(name.startswith("translate") for name in chosen)
    effects = (
        ("--size", bool(size), translates, "translations"),
        ("--dropout", dropout, translates, "translations"),
        ("--statistics", statistics != "image", translates, "translations"),
        ("--starts and --evaluations", bool(search), "project" in chosen, "the function project"),
        ("--space", bool(run.latent), not translates, "functions that sample and project"),
    )
    for flag, given, used, of_what in effects:
        if given and not used:
            raise jgan.UserError(
                f"{flag}: this is for {of_what}, and there is none among {', '.join(chosen)}."
            )
    return [made[name]() for name in chosen]


def closed(function: Function, form: str) -> Callable[..., dict[str, jax.Array]]:
    """`(*arrays) -> {name: array}` with the weights that matter as constants.

    Args:
        function: as `of` gives it.
        form: of all convolutions, one that does not depend on the number of examples; as in `conv.conv`.
    """
    leaves, tree = jax.tree.flatten(function.weights)

    def open_call(leaves: Sequence[Any], *arrays: jax.Array) -> dict[str, jax.Array]:
        with conv.prefer(form, always=True):
            return function.call(tree.unflatten(leaves), *arrays)

    used = _used(jax.make_jaxpr(open_call)(leaves, *function.shapes(1)).jaxpr)

    def call(*arrays: jax.Array) -> dict[str, jax.Array]:
        # Others would stay in a file where nothing takes them, such as the net of a CycleGAN's way back.
        kept = [x if there else jnp.zeros(x.shape, x.dtype) for x, there in zip(leaves, used, strict=False)]
        return open_call(kept, *arrays)

    call.__name__ = call.__qualname__ = function.name
    return call


def _used(program: Any) -> list[bool]:
    """Of each input of a program of JAX, whether an output depends on it."""
    live = {id(var) for var in program.outvars}
    for equation in reversed(program.eqns):
        if any(id(var) in live for var in equation.outvars):
            live |= {id(var) for var in equation.invars}
    return [id(var) in live for var in program.invars]


def described(value: Value) -> dict[str, Any]:
    """An array as a manifest has it."""
    limited = value.low is not None or value.high is not None
    return {
        "name": value.name,
        "shape": ["n", *value.shape],
        "dtype": value.dtype,
        "range": [value.low, value.high] if limited else None,
        "meaning": value.meaning,
        **({"names": list(value.names)} if value.names else {}),
    }


def _translation(
    run: trained.Run, name: str, way_name: str, size: Sequence[int | str], statistics: str, dropout: bool
) -> Function:
    """A way that starts from a picture; what a person sets of it are further inputs."""
    if statistics not in STATISTICS:
        raise jgan.UserError(f"statistics={statistics!r} is unknown: use one of {', '.join(STATISTICS)}.")
    way, known = run.way(way_name), fields.of(run.config.data)
    source, output = way.inputs[0], way.returns[0]
    given = [_of_field(run, name, field) for name, field in way.controls.items()]
    inputs = [
        _picture("images", _sides(run, size), known[source].channels, "The pictures to translate"),
        *given,
    ]

    def call(weights: Any, images: jax.Array, *rest: jax.Array) -> dict[str, jax.Array]:
        values = {value.name: x for value, x in zip(given, rest, strict=False)}
        key = jax.random.wrap_key_data(rest[-1]) if dropout else None
        made = way.run(weights, {source: images, **values}, key, statistics=statistics, dropout=dropout)
        return {"output": made[output]}

    def each(weights: Any, *arrays: jax.Array) -> dict[str, jax.Array]:
        """With a key for each example, which the result of another one cannot depend on."""

        def one(*single: jax.Array) -> dict[str, jax.Array]:
            made = call(weights, *(x[None] for x in single[:-1]), single[-1])
            return {name: x[0] for name, x in made.items()}

        return jax.vmap(one)(*arrays)

    if dropout:
        inputs.append(_KEY._replace(meaning="The key by which dropout is drawn."))
    function = Function(name, f"Pictures by the way {way_name}.", call, run.weights, tuple(inputs), ())
    if dropout:
        function = function._replace(call=each)
        if "random_bits" not in str(jax.make_jaxpr(each)(run.weights, *function.shapes(1))):
            raise jgan.UserError("the run has a generator without dropout: export it without --dropout.")
    made = jax.eval_shape(function.call, run.weights, *function.shapes(1))["output"]
    said = _picture("output", made.shape[1:3], made.shape[3], "The translations")
    return function._replace(outputs=(said,))


def _sample(run: trained.Run) -> Function:
    """Pictures of latents of the space of the run, under what a person sets."""
    space = run.space()
    latents, tree = _latents(run, "The latents")
    given = [_of_field(run, name, field) for name, field in controls.settable(run.way()).items()]

    def call(weights: Any, *arrays: jax.Array) -> dict[str, jax.Array]:
        def one(*single: jax.Array) -> jax.Array:
            values = {value.name: x for value, x in zip(given, single[len(latents) :], strict=True)}
            return run.codes.space(weights, values).generate(tree.unflatten(single[: len(latents)]))

        return {"output": jax.vmap(one)(*arrays)}

    made = jax.eval_shape(space.generate, jax.eval_shape(space.sample, jax.random.key(0)))
    said = _picture("output", made.shape[:2], made.shape[2], "The pictures of the latents")
    meaning = f"Pictures from latents of the space {space.name}."
    return Function("sample", meaning, call, run.weights, (*latents, *given), (said,))


def _projection(run: trained.Run, search: dict[str, Any]) -> Function:
    """The search for latents whose pictures come closest to given ones, as `launch.project` runs it."""
    chosen = project_lib.choose(run, **search)
    projects = project_lib.projector(run, batch=1, **chosen)
    latents, tree = _latents(run, "The best latents")
    given = [_of_field(run, name, field) for name, field in controls.settable(run.way()).items()]
    side, channels = projects.size, projects.channels

    def call(weights: Any, *arrays: jax.Array) -> dict[str, jax.Array]:
        def one(image: jax.Array, mask: jax.Array, key: jax.Array, *rest: jax.Array) -> dict[str, jax.Array]:
            own, foreign = weights
            own = {**own, "given": {value.name: x for value, x in zip(given, rest, strict=True)}}
            key = jax.random.wrap_key_data(key)
            found, made = projects.project((own, foreign), image[None], mask[None], key[None])
            leaves = [x[0] for x in tree.flatten_up_to(found.latent)]
            best = dict(zip([value.name for value in latents], leaves, strict=True))
            return {**best, "output": made[0], "cost": found.cost[0]}

        return jax.vmap(one)(*arrays)

    inputs = (
        _picture("images", (side, side), channels, "The pictures to project"),
        Value(
            "masks",
            (side, side),
            "float32",
            "1 where a picture is to be met, 0 where it does not count.",
            0,
            1,
        ),
        _KEY._replace(meaning="The key by which the starts of the search are drawn."),
        *given,
    )
    outputs = (
        *latents,
        _picture("output", (side, side), channels, "The pictures of these latents"),
        Value("cost", (), "float32", "How far they are from the given ones; lower is nearer.", 0),
    )
    settings = chosen["settings"]
    meaning = (
        f"Projection into the space {run.space().name}: {chosen['starts']} starts of {settings.evaluations} "
        f"evaluations by {settings.optimiser}."
    )
    return Function("project", meaning, call, projects.weights, inputs, outputs)


_KEY = Value("key", (2,), "uint32", "")


def _picture(name: str, sides: Sequence[int], channels: int, meaning: str) -> Value:
    sentence = (
        f"{meaning}: height, width, {channels} channels, sRGB with -1 for 0 and 1 for the largest number."
    )
    return Value(name, (*sides, channels), "float32", sentence, -1, 1)


def _sides(run: trained.Run, size: Sequence[int | str]) -> tuple[int, int]:
    """(height, width) of pictures that are translated."""
    given = [str(side) for side in size] or [str(run.config.data.size)]
    sides = [int(side) for side in given if side.isdecimal() and 1 <= len(side) <= 9]
    if not 1 <= len(sides) == len(given) <= 2 or not all(1 <= side <= MAX_SIDE for side in sides):
        raise jgan.UserError(
            f"--size={','.join(given)}: one number of pixels would work, or height and width, each up to {MAX_SIDE:,}."
        )
    return sides[0], sides[-1]


def _latents(run: trained.Run, meaning: str) -> tuple[list[Value], Any]:
    """(the arrays of a latent, by their names in files, and the tree that they are leaves of)."""
    space = run.space()
    latent = jax.eval_shape(space.sample, jax.random.key(0))
    leaves, tree = jax.tree.flatten(latent)
    # A bound such as tanh takes large numbers to the edge.
    far = space.bound(jax.tree.map(lambda x: jnp.full(x.shape, 1e6, x.dtype), latent))
    bounded = all(np.max(x) <= 1 for x in jax.tree.leaves(far))
    low, high = (-1.0, 1.0) if bounded else (None, None)
    kind = "."
    if space.name == "z":
        kind = (
            ", drawn uniformly in the range." if bounded else ", drawn from the standard normal distribution."
        )
    names = codec_lib.names(space.name, latent)
    values = [
        Value(name, leaf.shape, str(leaf.dtype), f"{meaning} of the space {space.name}{kind}", low, high)
        for name, leaf in zip(names, leaves, strict=True)
    ]
    return values, tree


def _of_field(run: trained.Run, name: str, field: fields.Field) -> Value:
    """What a person sets, as an input of a function."""
    if isinstance(field, fields.Label):
        sentence = "The number of the class, in the order of names."
        return Value(name, (), "int32", sentence, 0, len(field.names) - 1, tuple(field.names))
    if isinstance(field, fields.Attributes):
        sentence = (
            "A number for each attribute, in the order of names; NaN leaves it as it is in the picture."
        )
        shape = (len(field.names),)
        return Value(name, shape, "float32", sentence, field.low, field.high, tuple(field.names))
    if isinstance(field, fields.Amount):
        sentence = f"An amount; {field.default:g} where nobody sets it."
        return Value(name, (), "float32", sentence, field.low, field.high)
    within = run._replace(latent=field.spaces[0])
    (value,), _ = _latents(within, "The code")
    return value._replace(name=name)
