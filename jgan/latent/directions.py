"""Directions in a latent space: principal directions, differences of attributes, arithmetic, and their file format.

Härkönen et al., "GANSpace: Discovering Interpretable GAN Controls" (2020), section 2: principal components of images or
activations of a generator, transferred to its latent by regression. Abdal, Qin, Wonka, "Image2StyleGAN" (2019), section
4.3: the transfer of a difference. A direction is a pytree like the latent.
"""

from collections.abc import Callable
from collections.abc import Mapping
import io
import math
import os
from typing import Any
from typing import NamedTuple
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import paths as paths_lib
from jgan import space as spaces
from jgan.latent import paths

_Path = str | os.PathLike[str]

FORMAT, VERSION = "jgan-directions", 1
MAX_BYTES = 2**28
MAX_NAMES = 1000


class Principal(NamedTuple):
    """Principal directions, strongest first.

    Attributes:
        vectors: latents [count, ...]; a step of 1 along one of them changes the analysed numbers by one standard
            deviation of that component, as far as the change is linear.
        share: [count], the components' shares of the whole variance.
    """

    vectors: Any
    share: jax.Array


def principal(latents: Any, count: int, features: jax.Array | None = None) -> Principal:
    """The `count` principal directions of a set of latents, or of their features.

    With `features` these are analysed, and each component is transferred to the latent by least squares (GANSpace, eq.
    2). Without them the latents themselves are analysed, which is right for latents from projections, while draws from
    a prior of independent numbers have no principal directions of their own. Signs are such that the largest number of
    a component's first array is positive.

    Args:
        latents: [m, ...].
        count: less than m, and at most the number of numbers of a feature.
        features: [m, ...], such as images or activations; all numbers of one example are one vector.

    Raises:
        jgan.UserError: there are not enough latents for so many directions.
    """
    leaves = jax.tree.leaves(latents if features is None else features)
    m = leaves[0].shape[0]
    x = jnp.concatenate([leaf.reshape(m, -1).astype(jnp.float32) for leaf in leaves], 1)
    if not 1 <= count <= min(m - 1, x.shape[1]):
        raise jgan.UserError(
            f"{m} latents of {x.shape[1]} numbers each have {max(min(m - 1, x.shape[1]), 0)} principal directions at "
            f"the most, not {count}."
        )
    x = x - jnp.mean(x, 0)
    # There are fewer examples than numbers in an image, and the smaller one of the two products has the same
    # components.
    variances, scores = jnp.linalg.eigh(jnp.matmul(x, x.T, precision="highest") / m)
    variances, scores = jnp.maximum(variances[::-1], 0), scores[:, ::-1][:, :count] * math.sqrt(m)
    # The scores have mean 0, variance 1 and no correlation, so least squares is one product.
    vectors = jax.tree.map(lambda z: jnp.tensordot(scores.T, z - jnp.mean(z, 0), 1) / m, latents)
    first = jax.tree.leaves(vectors)[0].reshape(count, -1)
    largest = jnp.take_along_axis(first, jnp.argmax(jnp.abs(first), 1)[:, None], 1)[:, 0]
    sign = jnp.where(largest < 0, -1, 1)
    vectors = jax.tree.map(lambda v: v * sign.reshape(count, *[1] * (v.ndim - 1)).astype(v.dtype), vectors)
    return Principal(vectors, variances[:count] / jnp.maximum(jnp.sum(variances), 1e-30))


def of_generator(
    space: spaces.Space,
    key: jax.Array,
    count: int,
    samples: int = 1000,
    features: Callable[[jax.Array], jax.Array] | None = None,
    batch: int = 50,
) -> Principal:
    """The `count` principal directions of a generator's images or features, from `samples` draws of its latent.

    Args:
        space: a generator and its prior.
        key: draws the latents.
        count: less than `samples`.
        samples: all their features are in memory at once.
        features: `image -> array`, the features to analyse; None: the image itself.
        batch: how many images are generated at a time.
    """
    latents = jax.vmap(space.sample)(jax.random.split(key, samples))

    def describe(latent: Any) -> jax.Array:
        image = space.generate(latent)
        return (image if features is None else features(image)).ravel()

    return principal(latents, count, jax.lax.map(describe, latents, batch_size=batch))


def attribute(with_it: Any, without: Any) -> Any:
    """The direction of an attribute: the mean of latents [m, ...] that show it, less the mean of those that do not."""
    return jax.tree.map(lambda a, b: jnp.mean(a, 0) - jnp.mean(b, 0), with_it, without)


def transfer(v1: Any, v2: Any, v3: Any, amount: float | jax.Array = 1.0) -> Any:
    """v1 + amount (v3 - v2): the change from `v2` to `v3` applied to `v1`. Image2StyleGAN, section 4.3."""
    return jax.tree.map(lambda a, b, c: a + amount * (c - b), v1, v2, v3)


def move(space: spaces.Space, latent: Any, direction: Any, amount: float | jax.Array) -> Any:
    """The latent `amount` along a direction, kept where the space can reach; 0 gives the latent itself."""
    moved = jax.tree.map(lambda x, v: x + amount * v, latent, direction)
    return paths.inside(space, moved, 1.0)


def save(path: _Path, space: str, directions: Mapping[str, Any], generator: str = "") -> None:
    """Writes named directions in the space of that name to a file `.npz`.

    It holds `format`, `version`, `space`, `names` [k], `generator`, and `leaf_0`, `leaf_1`, ...: the arrays of the
    latent [k, ...].

    Args:
        path: of the file.
        space: the name of their space.
        directions: by their names.
        generator: the digest of the weights to which they belong; empty: it is not told.

    Raises:
        jgan.UserError: there are no directions or more than a file can hold, or one is not finite.
    """
    if not 1 <= len(directions) <= MAX_NAMES:
        raise jgan.UserError(f"a file of directions holds 1 to {MAX_NAMES} of them, not {len(directions)}.")
    columns = zip(*(jax.tree.leaves(tree) for tree in directions.values()), strict=True)
    arrays = {f"leaf_{i}": np.stack([np.asarray(x) for x in column]) for i, column in enumerate(columns)}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise jgan.UserError(f"the directions for {path} are not finite.")
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=FORMAT,
        version=VERSION,
        space=space,
        names=list(directions),
        generator=generator,
        **arrays,
    )
    paths_lib.of(path).write_bytes(buffer.getvalue())


def space_of(path: _Path) -> str:
    """The name of the space to which the directions in a file belong; errors are those of `load`."""
    return str(_read(path)["space"])


def load(path: _Path, space: str, like: Any, generator: str = "") -> dict[str, Any]:
    """The directions in a file, by name.

    Args:
        path: a file of `save`, of any origin; nothing in it is trusted and nothing in it is run.
        space: the name of the space to which they have to belong.
        like: a latent or its shapes, which every direction has to have.
        generator: the digest of the weights to which they have to belong, as far as the file tells; empty: any.

    Raises:
        jgan.UserError: the file cannot be read or is not such a file, it is of a later version, another space or
            another generator, or its arrays have the wrong shape or are not finite.
    """
    arrays = _read(path)
    names, name, of = arrays["names"], str(arrays["space"]), str(arrays.get("generator", ""))
    if name != space:
        raise jgan.UserError(
            f"the directions {path} are not for the space {space!r} of this generator, but for {ascii(name[:60])}: "
            f"where the run has that one, --space={ascii(name[:60])[1:-1]} would work."
        )
    if of and generator and of != generator:
        raise jgan.UserError(
            f"the directions {path} belong to another generator, of weights {of[:40]}, and this one has {generator}: "
            "launch.directions finds its own."
        )
    leaves, treedef = jax.tree.flatten(like)
    columns = []
    for i, leaf in enumerate(leaves):
        array, shape = arrays.get(f"leaf_{i}"), (len(names), *leaf.shape)
        if array is None or array.shape != shape or array.dtype.kind != "f":
            given = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
            raise jgan.UserError(
                f"the directions {path} have {given} for array {i} of the latent, floats {list(shape)} were needed."
            )
        with np.errstate(over="ignore"):
            array = array.astype(leaf.dtype)
        if not np.isfinite(array).all():
            raise jgan.UserError(f"the directions {path} are not finite.")
        columns.append(array)
    return {str(name): treedef.unflatten([c[i] for c in columns]) for i, name in enumerate(names)}


def _read(path: _Path) -> dict[str, np.ndarray]:
    """The arrays in a file of directions, of which all but those of the latents are checked."""
    try:
        arrays = unpack(path)
    except jgan.UserError:
        raise
    except OSError as error:
        raise jgan.UserError(f"the directions {path} cannot be read: {error.strerror or error}.") from None
    except (
        Exception
    ):  # decoders of archives and headers raise many kinds of errors, which all mean the same here
        raise jgan.UserError(
            f"{path} is no file of directions: it is not a sound .npz of plain arrays."
        ) from None
    if not _is_text(arrays.get("format"), ()) or str(arrays["format"]) != FORMAT:
        raise jgan.UserError(f"{path} is no file of directions: its format is not {FORMAT!r}.")
    version, name, names = (arrays.get(field) for field in ("version", "space", "names"))
    if version is None or version.shape or version.dtype.kind not in "iu" or int(version) != VERSION:
        raise jgan.UserError(f"the directions {path} are not of version {VERSION}, which this program reads.")
    if not _is_text(name, ()):
        raise jgan.UserError(f"the directions {path} are not for any space: it has no name.")
    if not _is_text(arrays.get("generator", np.array("")), ()):
        raise jgan.UserError(f"the directions {path} belong to a generator that is told by no text.")
    if not (
        names is not None
        and names.ndim == 1
        and 1 <= len(names) <= MAX_NAMES
        and _is_text(names, names.shape)
    ):
        raise jgan.UserError(f"the directions {path} have no list of 1 to {MAX_NAMES} names.")
    if len({str(name) for name in names}) < len(names):
        raise jgan.UserError(f"the directions {path} have the same name twice.")
    return arrays


def unpack(path: _Path) -> dict[str, np.ndarray]:
    """The arrays in a file `.npz` of any origin, without objects; whatever is wrong with it, it raises an `Exception`.

    Nothing in it is run, and it cannot claim more than `MAX_BYTES`.
    """
    with paths_lib.of(path).open("rb") as file, zipfile.ZipFile(file) as archive:
        members = _members(archive, path)
        return {info.filename.removesuffix(".npy"): _member(archive, info) for info in members}


def _members(archive: zipfile.ZipFile, path: _Path) -> list[zipfile.ZipInfo]:
    """The arrays in an archive, if they are not too many or too large; other files in it are passed over."""
    members = [info for info in archive.infolist() if not info.filename.startswith("pictures/")]
    if len(members) > MAX_NAMES or sum(info.file_size for info in members) > MAX_BYTES:
        raise jgan.UserError(
            f"{path} is refused: it holds more than {MAX_NAMES} arrays or {MAX_BYTES} bytes."
        )
    return members


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """The array of a member.

    Its header is compared with the bytes behind it first, because NumPy reserves what it claims before reading.
    """
    with archive.open(info) as file:
        major, _ = np.lib.format.read_magic(file)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}.get(
            major
        )
        if read_header is None:
            raise ValueError(f"version {major} of the array format")
        shape, _, dtype = read_header(file)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize > info.file_size:
            raise ValueError("objects, or more elements than bytes")
    with archive.open(info) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind == "U":
        array.tolist()  # raises an error if a number is not a character
    return array


def _is_text(array: np.ndarray | None, shape: tuple[int, ...]) -> bool:
    """Whether an array is there, holds texts and has this shape."""
    return array is not None and array.dtype.kind == "U" and array.shape == shape
