"""Laws of ways through a latent space."""

import jax
import jax.numpy as jnp
import numpy as np

from jgan import space as spaces
from jgan.latent import paths


def compiled(walk):
    """`walk` in one program, its results as NumPy arrays."""
    walk = jax.jit(walk, static_argnames="n" if walk is not paths.average else ())
    return lambda *args, **kwargs: jax.device_get(walk(*args, **kwargs))


linear, spherical, resample = (compiled(walk) for walk in (paths.linear, paths.spherical, paths.resample))
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 6)).astype(np.float32)
TREE = {"w": RNG.normal(size=(3, 4)).astype(np.float32), "noise": RNG.normal(size=5).astype(np.float32)}
OTHER = jax.tree.map(lambda x: x[::-1] + 1, TREE)


def space(bound, free):
    return spaces.Space(
        "z", lambda key: jax.random.normal(key, (6,)), free, bound, lambda z: z, lambda a, b: 0.0
    )


def test_linear_ends_exactly_and_keeps_its_pace():
    line = linear(A, B, n=5)
    assert np.array_equal(line[0], A) and np.array_equal(line[-1], B)
    np.testing.assert_allclose(np.diff(line, axis=0), np.broadcast_to((B - A) / 4, (4, 6)), atol=1e-6)


def test_spherical_turns_by_equal_angles():
    a, b = A / np.linalg.norm(A), B / np.linalg.norm(B)
    arc = spherical(a, b, n=7)
    np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 1, atol=1e-6)
    angles = np.arccos(np.sum(arc[1:] * arc[:-1], 1))
    np.testing.assert_allclose(angles, np.arccos(a @ b) / 6, atol=1e-4)
    np.testing.assert_allclose(arc[0], a, atol=1e-6)
    np.testing.assert_allclose(arc[-1], b, atol=1e-6)


def test_spherical_weights_vectors_of_any_length_alike():
    """Shoemake's weights come from the directions alone."""
    w = np.arccos(np.dot(A, B) / np.linalg.norm(A) / np.linalg.norm(B))
    middle = (np.sin(w / 2) * A + np.sin(w / 2) * B) / np.sin(w)
    np.testing.assert_allclose(spherical(A, B, n=3)[1], middle, atol=1e-5)


def test_spherical_is_straight_where_there_is_no_arc():
    for b in (A, -A, 3 * A, np.zeros_like(A)):
        np.testing.assert_allclose(spherical(A, b, n=5), linear(A, b, n=5), atol=1e-6)


def test_a_pytree_is_walked_array_by_array():
    for walk in (linear, spherical):
        whole = walk(TREE, OTHER, n=4)
        for name in TREE:
            np.testing.assert_allclose(whole[name], walk(TREE[name], OTHER[name], n=4), atol=1e-6)


def test_resample_gives_equal_distances_on_the_same_line():
    """Steps of 1/2 length each: the broken line is straight, so is what comes out, in equal steps."""
    t = 1 - 0.5 ** np.arange(8)
    line = t[:, None] * (B - A) + A
    even = resample(line, n=6)
    assert np.array_equal(even[0], line[0])
    np.testing.assert_allclose(even, linear(line[0], line[-1], n=6), atol=1e-5)


def test_resample_keeps_a_corner_and_a_standstill():
    square = np.array([[0.0, 0], [1, 0], [1, 0], [1, 1]])
    np.testing.assert_allclose(resample(square, n=5), [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]], atol=1e-6)
    still = np.ones((4, 2))
    np.testing.assert_allclose(resample(still, n=3), 1)


def test_resample_measures_a_pytree_as_a_whole():
    """One array moves in the first step, the other in the second: half of the way each."""
    latents = {"a": np.array([0.0, 1, 1])[:, None], "b": np.array([0.0, 0, 1])[:, None]}
    even = resample(latents, n=5)
    np.testing.assert_allclose(even["a"][:, 0], [0, 0.5, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(even["b"][:, 0], [0, 0, 0, 0.5, 1], atol=1e-6)


def test_average_is_a_mean_by_weight():
    latents = np.stack([A, B])
    np.testing.assert_allclose(
        compiled(paths.average)(latents, np.array([3.0, 1.0])), 0.75 * A + 0.25 * B, atol=1e-6
    )
    np.testing.assert_allclose(compiled(paths.average)(latents, np.array([0.0, 2.0])), B, atol=1e-6)


def test_inside_asks_the_space_how_far_it_reaches():
    z = np.array([-1.0, -0.995, -0.5, 0.0, 0.99, 1.0])
    bounded = paths.inside(space(jnp.tanh, jnp.arctanh), z)
    np.testing.assert_allclose(bounded, [-0.99, -0.99, -0.5, 0.0, 0.99, 0.99], atol=1e-6)
    assert np.all(np.isfinite(jnp.arctanh(bounded)))
    free = space(lambda u: u, lambda z: z)
    assert np.array_equal(paths.inside(free, 50 * z), 50 * z)
