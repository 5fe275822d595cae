"""Directions: components that are known, arithmetic, and files from anyone."""

import io
import tracemalloc
import zipfile

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import space as spaces
from jgan.latent import directions

# Three orthogonal ways in which images of eight pixels change, the first much and the last little.
WAYS = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (8, 3)))[0] * jnp.array([4.0, 2.0, 1.0])
MIX = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (5, 5)))[0][:3]  # which numbers of z they follow
SPACE = spaces.Space(
    name="z",
    sample=lambda key: jax.random.normal(key, (5,)),
    free=lambda z: z,
    bound=lambda u: u,
    generate=lambda z: (WAYS @ (MIX @ z)).reshape(4, 2, 1),
    distance=lambda a, b: jnp.mean(jnp.square(a - b)),
)
principal = jax.jit(directions.principal, static_argnums=1)


def test_principal_directions_of_a_linear_generator():
    """Component i is way i; a step of one deviation along it is the unit step of z that drives it."""
    found = jax.jit(lambda key: directions.of_generator(SPACE, key, 3, samples=2000, batch=500))(
        jax.random.key(2)
    )
    assert found.vectors.shape == (3, 5)
    np.testing.assert_allclose(found.share, np.array([16, 4, 1]) / 21, atol=0.03)
    for vector, expected in zip(found.vectors, MIX, strict=True):
        assert abs(float(vector @ expected)) > 0.97
        assert float(vector[jnp.argmax(jnp.abs(vector))]) > 0
        np.testing.assert_allclose(jnp.linalg.norm(vector), 1, atol=0.08)


def test_principal_directions_of_latents_are_their_axes():
    latents = jax.random.normal(jax.random.key(3), (400, 5)) * jnp.array([1, 3, 0.1, 2, 0.5]) + 7
    x = np.asarray(latents, np.float64)
    _, s, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    found = principal(latents, 4)
    for vector, deviation, axis in zip(found.vectors, s / np.sqrt(len(x)), axes, strict=False):
        np.testing.assert_allclose(vector, deviation * axis * np.sign(axis @ np.asarray(vector)), atol=2e-3)
    np.testing.assert_allclose(found.share, (s**2 / (s**2).sum())[:4], atol=1e-4)


def test_principal_of_a_pytree_is_that_of_its_numbers():
    latents = jax.random.normal(jax.random.key(4), (30, 6)) * jnp.arange(1.0, 7)
    tree = {"a": latents[:, :2], "b": latents[:, 2:].reshape(30, 2, 2)}
    whole, parts = principal(latents, 2), principal(tree, 2)
    joined = jnp.concatenate([parts.vectors["a"], parts.vectors["b"].reshape(2, 4)], 1)
    np.testing.assert_allclose(jnp.abs(joined), jnp.abs(whole.vectors), atol=1e-4)


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_latents_are_refused(count):
    with pytest.raises(jgan.UserError, match=f"at the most, not {count}"):
        directions.principal(jnp.ones((5, 9)), count)


def test_arithmetic():
    a, b = jax.random.normal(jax.random.key(5), (2, 7, 5))
    np.testing.assert_allclose(directions.attribute(a + 3, a), 3, atol=1e-5)
    z, v = a[0], b[0]
    np.testing.assert_allclose(directions.transfer(z, a[1], a[1] + v, 0.5), z + 0.5 * v, atol=1e-5)
    assert np.array_equal(directions.transfer(z, a[1], b[1], 0.0), z)


def test_a_move_by_nothing_is_the_identity_and_none_leaves_the_space():
    bounded = SPACE._replace(free=jnp.arctanh, bound=jnp.tanh)
    z = jnp.array([-0.9999, -0.3, 0.0, 0.2, 0.9])
    assert np.array_equal(directions.move(bounded, z, jnp.ones(5), 0.0), z)
    np.testing.assert_allclose(
        directions.move(bounded, z, jnp.ones(5), 0.5)[1:], [0.2, 0.5, 0.7, 1.0], atol=1e-6
    )
    assert np.array_equal(directions.move(SPACE, z, jnp.ones(5), 5.0), z + 5)


LIKE = {"noise": jax.ShapeDtypeStruct((2, 3), jnp.float32), "w": jax.ShapeDtypeStruct((4,), jnp.float32)}


def some():
    rng = np.random.default_rng(0)
    return {
        name: {k: rng.normal(size=v.shape).astype(np.float32) for k, v in LIKE.items()}
        for name in ("smile", "größer", "0")
    }


def test_a_file_gives_back_what_was_saved(tmp_path):
    path = tmp_path / "directions.npz"
    directions.save(path, "w_plus", some())
    found = directions.load(path, "w_plus", LIKE)
    assert list(found) == ["smile", "größer", "0"]
    jax.tree.map(np.testing.assert_array_equal, found, some())


def write(path, **changes):
    """A sound file with some fields changed, or left out where None."""
    fields = {
        "format": "jgan-directions",
        "version": 1,
        "space": "z",
        "names": ["a", "b"],
        "leaf_0": np.ones((2, 3), np.float32),
    } | changes
    np.savez(path, **{k: v for k, v in fields.items() if v is not None})


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"format": "other"}, "its format is not"),
        ({"format": None}, "its format is not"),
        ({"version": 2}, "not of version 1"),
        ({"version": np.ones(3)}, "not of version 1"),
        ({"space": "w"}, "not for the space 'z'"),
        ({"space": 3}, "not for any space"),
        ({"generator": "other"}, "belong to another generator, of weights other, and this one has mine"),
        ({"generator": 3}, "told by no text"),
        ({"names": []}, "no list of 1 to"),
        ({"names": ["a", "a"]}, "same name twice"),
        ({"names": ["a", "b", "c"]}, r"float32 \[2, 3\] for array 0"),
        ({"leaf_0": None}, "nothing for array 0"),
        ({"leaf_0": np.ones((2, 4))}, r"floats \[2, 3\] were needed"),
        ({"leaf_0": np.ones((2, 3), int)}, "int64"),
        ({"leaf_0": np.full((2, 3), np.nan)}, "not finite"),
        ({"leaf_0": np.full((2, 3), 1e300)}, "not finite"),
        ({"leaf_0": np.array([[print] * 3] * 2)}, "not a sound .npz"),
    ],
    ids=lambda x: x if isinstance(x, str) else "-".join(x),
)
def test_files_that_do_not_fit_are_refused_in_a_sentence(tmp_path, changes, sentence):
    path = tmp_path / "x.npz"
    write(path, **changes)
    with pytest.raises(jgan.UserError, match=sentence) as caught:
        directions.load(path, "z", jnp.zeros(3), "mine")
    assert "\n" not in str(caught.value)


def test_files_of_the_same_generator_and_old_ones_are_read(tmp_path):
    path = tmp_path / "x.npz"
    for told in ({}, {"generator": ""}, {"generator": "mine"}):
        write(path, **told)
        assert set(directions.load(path, "z", jnp.zeros(3), "mine")) == {"a", "b"}
    assert set(directions.load(path, "z", jnp.zeros(3))) == {"a", "b"}
    assert directions.space_of(path) == "z"


def test_an_array_that_claims_more_than_it_holds_reserves_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**8,)})
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("leaf_0.npy", header.getvalue())
    tracemalloc.start()
    with pytest.raises(jgan.UserError, match="not a sound .npz"):
        directions.load(path, "z", jnp.zeros(3))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("leaf_0.npy", "w", force_zip64=True) as file:
            for _ in range(directions.MAX_BYTES // 2**24 + 1):
                file.write(bytes(2**24))
    with pytest.raises(jgan.UserError, match="holds more than .* bytes"):
        directions.load(path, "z", jnp.zeros(3))
    with pytest.raises(jgan.UserError, match="cannot be read"):
        directions.load(tmp_path / "none.npz", "z", jnp.zeros(3))


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(st.data())
def test_damaged_files_never_raise_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    write(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    try:
        found = directions.load(path, "z", jnp.zeros(3))
    except jgan.UserError:
        return
    assert all(v.shape == (3,) and np.isfinite(v).all() for v in found.values())


def test_nothing_worthless_is_saved(tmp_path):
    with pytest.raises(jgan.UserError, match="holds 1 to"):
        directions.save(tmp_path / "x.npz", "z", {})
    with pytest.raises(jgan.UserError, match="not finite"):
        directions.save(tmp_path / "x.npz", "z", {"a": jnp.full(3, jnp.nan)})
