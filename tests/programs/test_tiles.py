"""Tiles: frozen statistics make seams vanish, every pixel counts once, memory follows the tile."""

import itertools
import os
import subprocess
import sys

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.nets import generators
from jgan.ops import pixels
from jgan.ops import resample
from jgan.programs import tiles
from jgan.systems import SYSTEMS
from tests.initial_weights import quick_init


def picture(h, w, c=3, seed=0):
    """Waves and noise: smooth and rough places, uint8."""
    y, x = np.mgrid[:h, :w]
    rng = np.random.default_rng(seed)
    waves = np.stack([np.sin(x / (9 + 4 * k) + k) * np.cos(y / (14 - 3 * k)) for k in range(c)], -1)
    rough = (x > w / 2)[..., None] * rng.standard_normal((h, w, c))
    return np.clip(127.5 + 70 * waves + 40 * rough, 0, 255).astype(np.uint8)


def resnet(blocks, **arguments):
    """(jitted apply, params, Net) of a narrow net whose output has contrast."""
    net = generators._resnet(blocks, features=3, ngf=2, norm="instance", dropout=0, **arguments)
    params, _ = net.init(jax.random.key(1), jnp.zeros((1, 32, 32, 3)))
    return jax.jit(net.apply, static_argnames="statistics"), jax.tree.map(lambda p: 3 * p, params), net


@pytest.mark.parametrize(
    "blocks, h, w, tile, arguments",
    [
        (1, 203, 178, 100, {}),  # odd, so padded unevenly
        (1, 90, 205, 128, {"antialias": True}),  # less high than a tile
        (9, 38, 415, 216, {}),  # the smallest tile
    ],
)
def test_with_frozen_statistics_tiles_leave_no_trace(blocks, h, w, tile, arguments):
    apply, params, net = resnet(blocks, **arguments)
    image = float_of(picture(h, w))
    x = resample.pad_to_multiple(image[None], 4)
    usual, stats = apply(params, {}, x, statistics="gather")
    usual = np.asarray(resample.crop_centre(usual, h, w)[0])
    assert usual.std() > 0.2 and np.abs(usual).max() < 1
    shapes = []

    def one(part):
        shapes.append(part.shape)
        return apply(params, stats, part[None], statistics="running")[0][0]

    tiled = tiles.translate(one, image, tile=tile, radius=net.radius, multiple=net.multiple)
    assert len(set(shapes)) == 1 and len(shapes) > 1
    # Everywhere, not only away from the border: the tiles end where the picture does. What is left is float32,
    # summed in another order in another shape.
    np.testing.assert_allclose(tiled, usual, atol=2e-5)
    # With tiles that overlap less the law is false.
    near = tiles.translate(one, image, tile=tile, radius=0, multiple=net.multiple)
    assert np.abs(near - usual).max() > 1e-3


def float_of(array):
    return np.asarray(pixels.to_float(jnp.asarray(array)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("h, w", [(97, 150), (64, 41), (5, 131), (1, 300), (7, 7)])
def test_a_net_that_changes_nothing_gives_the_picture_back(dtype, h, w):
    """Every pixel comes from its own place, and fades sum to one."""
    rng = np.random.default_rng(0)
    image = (
        rng.integers(0, np.iinfo(dtype).max + 1, (h, w, 2)) if dtype != np.float32 else rng.random((h, w, 2))
    )
    image = image.astype(dtype)
    for radius, multiple, tile in ((5, 4, 60), (None, 16, 32), (None, 32, 32)):
        shapes = []

        def same(part, shapes=shapes):
            shapes.append(part.shape)
            return float_of(part)

        output = tiles.translate(same, image, tile=tile, radius=radius, multiple=multiple)
        assert output.dtype == dtype and output.shape == image.shape
        if dtype == np.float32:
            np.testing.assert_allclose(output, image, atol=1e-6)
        else:
            assert np.array_equal(output, image)
        assert len(set(shapes)) == 1 and max(shapes[0][:2]) <= tile
        assert all(side % multiple == 0 for side in shapes[0][:2])
        if h <= tile and w <= tile:
            assert len(shapes) == 1


def test_padding_is_that_of_one_pass():
    for h, w in ((13, 22), (1, 5), (3, 30)):  # mirrored once, and again and again
        image = picture(h, w)
        padded = np.asarray(resample.pad_to_multiple(jnp.asarray(image)[None], 16)[0])
        seen = []

        def look(part, seen=seen):
            seen.append(part)
            return float_of(part)

        tiles.translate(look, image, tile=64, radius=None, multiple=16)
        assert len(seen) == 1 and np.array_equal(seen[0], padded)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(0, 40),
    st.one_of(
        st.tuples(st.integers(0, 120), st.just(4)),
        st.tuples(st.none(), st.sampled_from([4, 16, 64, 256])),
    ),
)
def test_grids(size, extra, net):
    radius, multiple = net
    least = multiple if radius is None else -(-(2 * radius + 16) // multiple) * multiple + 32
    tile = least + extra * multiple
    rows, columns, shape, fade = tiles.grid(size, 2 * tile, tile=tile, radius=radius, multiple=multiple)
    before = (-size % multiple) // 2
    assert rows[0].start == -before and rows[0].low == 0 and rows[-1].high == size
    assert rows[-1].start + shape[0] + before == size + -size % multiple
    assert len(rows) == 1 or shape[0] == tile
    step = multiple if radius is not None else multiple // 4
    assert all((span.start + before) % step == 0 for span in rows)
    for a, b in itertools.pairwise(rows):
        assert a.high - b.low == fade  # two tiles share a fade
        assert b.low - b.start >= (radius or 0)  # which is exact in both
        assert a.start + tile - a.high >= (radius or 0)
    for a, b in zip(rows, rows[2:], strict=False):
        assert a.high <= b.low  # and never three
    if len(rows) > 1:  # not more tiles than needed
        overlap = tile // 4 if radius is None else -(-(2 * radius + 16) // multiple) * multiple
        assert (len(rows) - 2) * (tile - overlap) < size + multiple - tile
    assert columns == tiles.grid(2 * tile, size, tile=tile, radius=radius, multiple=multiple).rows


@pytest.mark.parametrize(
    "tile, radius, multiple, works",
    [(212, 84, 4, 216), (300, None, 256, 512), (0, None, 64, 64), (-8, 60, 4, 168), (515, 60, 4, 516)],
)
def test_a_tile_that_does_not_fit_is_refused_with_one_that_does(tile, radius, multiple, works):
    with pytest.raises(jgan.UserError, match=f"tile={tile}: .*{works} would work"):
        tiles.grid(1000, 1000, tile=tile, radius=radius, multiple=multiple)
    tiles.check(works, radius=radius, multiple=multiple)
    if radius and tile < 500:
        with pytest.raises(jgan.UserError):
            tiles.check(works - 4, radius=radius, multiple=multiple)


def test_statistics_come_from_all_over_the_picture():
    image = picture(100, 130)
    assert np.array_equal(tiles.parts(image, tile=64, multiple=4), image[None])  # four tiles hold it
    y, x = np.mgrid[:700, :900].astype(np.uint16)
    marks = np.stack([y, x], -1)
    for multiple, count, side in ((4, 16, 32), (32, 16, 32), (64, 4, 64)):
        found = tiles.parts(marks, tile=64, multiple=multiple)
        assert found.shape == (count, side, side, 2) and found.size <= 4 * 64**2 * 2
        assert found.min((0, 1, 2)).tolist() == [0, 0] and found.max((0, 1, 2)).tolist() == [699, 899]
        assert np.array_equal(found[0], marks[:side, :side])
    assert tiles.parts(marks[:20], tile=64, multiple=4).shape == (4, 20, 32, 2)


@pytest.mark.parametrize("name, source", [("pix2pix", "a"), ("cyclegan", "b")])
def test_a_system_gathers_what_one_pass_would_use(name, source):
    system, batch = build(name, **{"generator.name": "unet", "generator.levels": 2})
    way = next(way for way in system.ways.values() if way.inputs == (source,))
    assert way.tiling.radius is None and way.tiling.multiple == 4
    weights = quick_init(system.init)(jax.random.key(0), batch).weights()

    @jax.jit
    def both(weights, inputs, others):
        frozen = way.tiling.gather(weights, inputs)
        return [
            way.run(w, images, statistics=mode)["output"]
            for w, images, mode in (
                (weights, inputs, "image"),
                (frozen, inputs, "running"),
                (weights, others, "image"),
                (frozen, others, "running"),
            )
        ]

    usual, again, other_usual, other = both(
        jax.tree.map(lambda x: 3 * x, weights),
        {source: picture(30, 37)[None]},
        {source: picture(30, 37, seed=1)[None] // 2},
    )
    np.testing.assert_allclose(again, usual, atol=1e-5)
    assert jnp.abs(other - other_usual).max() > 1e-2  # it met the first picture's statistics


def test_a_system_says_how_far_its_generators_see():
    for name in ("pix2pix", "cyclegan"):
        for way in build(name, **{"generator.name": "resnet_6blocks"})[0].ways.values():
            assert way.tiling.radius == 60


def build(name, **changes):
    from configs import cyclegan
    from configs import pix2pix

    config = {"pix2pix": pix2pix, "cyclegan": cyclegan}[name].get_config()
    small = {"data.size": 16, "data.channels": (3, 3), "generator.ngf": 2, "discriminator.ndf": 2}
    config.update_from_flattened_dict({**small, "discriminator.n_layers": 1, **changes})
    return SYSTEMS[name](config), {x: jnp.zeros((1, 16, 16, 3)) for x in "ab"}


def test_difference_is_on_the_scale_of_bytes():
    a = np.zeros((4, 5, 3), np.uint8)
    b = a.copy()
    b[1, 2, 0], b[3, 3, 1] = 30, 6
    assert tiles.difference(a, b) == tiles.difference(b, a) == (36 / 60, 30)
    wide = tiles.difference(a.astype(np.uint16) * 257, b.astype(np.uint16) * 257)
    floats = tiles.difference(float_of(a), float_of(b))
    np.testing.assert_allclose([wide, floats], [(0.6, 30)] * 2, rtol=1e-5)


LARGE = """
import resource
import jax
import jax.numpy as jnp
import numpy as np
from jgan.programs import tiles
from jgan.nets import generators
from jgan.ops import pixels

net = generators.generator("resnet_6blocks", 3, ngf=2, norm="instance", dropout=0)
params, _ = net.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
apply = jax.jit(
    lambda stats, x, mode: net.apply(params, stats, pixels.to_float(x), statistics=mode), static_argnums=2
)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = 1024
stats = apply({}, np.zeros((16, size // 2, size // 2, 3), np.uint8), "gather")[1]
jax.block_until_ready(apply(stats, np.zeros((1, size, size, 3), np.uint8), "running"))
before = peak()
image = np.tile(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8), (10, 10, 1))
stats = apply({}, tiles.parts(image, tile=size, multiple=4), "gather")[1]
output = tiles.translate(
    lambda x: apply(stats, x[None], "running")[0][0], image, tile=size, radius=net.radius, multiple=4
)
assert output.shape == image.shape == (6000, 8000, 3) and output.dtype == np.uint8
assert output[:100].std() > 0 and output[-100:].std() > 0
print(before, peak())
"""


@pytest.mark.slow
def test_a_photo_of_48_megapixels_takes_the_memory_of_its_pixels_and_a_tile():
    # It computes more than it compiles, and for two channels XLA's own convolution is the quick one.
    env = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "JGAN_CONV": "lax"}
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=600, env=env)
    assert done.returncode == 0, done.stderr
    before, after = map(float, done.stdout.split())
    # Beyond what one tile took: input and output, 137 MiB each, and less than half of one more such array for fades
    # and what the allocator keeps. Floats of the picture alone would be 549 MiB.
    assert after - before < 2 * 137.4 + 68, (before, after)
