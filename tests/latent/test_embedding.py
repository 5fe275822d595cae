"""Image2StyleGAN++'s recipes on a drawn generator of 16 px: what moves, what stays, what counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stylegan2 as presets
import jgan
from jgan.latent import costs
from jgan.latent import embedding
from jgan.latent import projection
from jgan.systems import stylegan2

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY = jax.random.key(4)
SETTINGS = projection.Settings("adam", 12, 0.05, ramp_up=0.05, ramp_down=0.25, noise_evaluations=60)
LEFT = jnp.broadcast_to(jnp.arange(16) < 8, (16, 16)).astype(jnp.float32)


@functools.cache
def begun():
    """(system, weights before the first step)."""
    system = stylegan2.build(presets.get_config("tiny"))
    return system, jax.jit(system.init)(KEY, {"images": np.zeros((2, 16, 16, 3), np.uint8)}).weights()


def space(name="w_plus_noise"):
    system, weights = begun()
    return system.spaces[name].space(weights, {})


@pytest.fixture(autouse=True)
def ready():
    """The weights are drawn before a test traces anything."""
    begun()


def photo(phase=0.0):
    """A picture that no style makes, of colours that all of them can."""
    return 0.5 * jnp.sin(jnp.arange(16 * 16 * 3.0).reshape(16, 16, 3) / 7 + phase)


def under(mask, a, b):
    """The mean squared difference of two images under a mask."""
    return float(np.sum(mask[..., None] * np.square(a - b)) / np.sum(mask) / 3)


def test_rows_are_those_of_the_paper_scaled():
    for wanted in (embedding._INPAINT, embedding._SCRIBBLE):
        assert embedding.rows_of(18, wanted) == wanted
    assert embedding.rows_of(10, embedding._INPAINT) == (0, 1, 2, 3, 4, 9)
    assert embedding.rows_of(10, embedding._SCRIBBLE) == (0, 1, 2)


def test_masks_are_blurred_by_a_gaussian():
    """At 256 px of three pixels, so that .5 lies on the border and .159 one deviation beside it."""
    mask = jnp.broadcast_to(jnp.arange(256) < 128, (256, 256)).astype(jnp.float32)
    soft = embedding.blurred(mask)
    np.testing.assert_allclose(soft, np.broadcast_to(soft[:1], soft.shape), atol=1e-6)
    np.testing.assert_allclose((soft[0, 127] + soft[0, 128]) / 2, 0.5, atol=1e-5)
    np.testing.assert_allclose((soft[0, 130] + soft[0, 131]) / 2, 0.159, atol=5e-3)
    assert soft[0, 0] == pytest.approx(1) and soft[0, -1] == 0


def test_inpainting_sees_the_known_part_alone_and_moves_its_rows():
    fill = jax.jit(lambda image: embedding.inpaint(space(), image, LEFT, KEY, SETTINGS))
    latent = fill(photo())
    other = fill(jnp.where(LEFT[..., None] > 0, photo(), -0.9))
    for a, b in zip(jax.tree.leaves(latent), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    start = embedding.middle(space())
    moved = np.abs(latent["w_plus"] - start["w_plus"]).max(1) > 1e-4
    assert tuple(np.flatnonzero(moved)) == embedding.rows_of(6, embedding._INPAINT)
    generate = jax.jit(space().generate)
    made, before = generate(latent), generate({**start, "w_plus": latent["w_plus"]})
    # The maps bring the known part nearer, and leave the rest nearly as the styles draw it.
    assert under(LEFT, made, photo()) < 0.25 * under(LEFT, before, photo())
    assert under(1 - LEFT, made, before) < 0.1 * under(LEFT, made, before)


def test_crossover_is_near_each_photo_on_its_side_and_many_go_together():
    def cross(first, second, key):
        return embedding.crossover(space(), first, second, LEFT, key, SETTINGS)

    photos = jnp.stack([photo(), photo(1.0)]), jnp.stack([photo(2.0), photo(3.0)])
    keys = jax.random.split(KEY, 2)
    every = jax.jit(jax.vmap(cross))(*photos, keys)
    alone = jax.jit(cross)(photos[0][1], photos[1][1], keys[1])
    for a, b in zip(jax.tree.leaves(every), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-4)
    made = jax.jit(space().generate)(alone)
    for mask, (near, far) in ((LEFT, (1.0, 3.0)), (1 - LEFT, (3.0, 1.0))):
        assert under(mask, made, photo(near)) < 0.25 * under(mask, made, photo(far))


def test_a_scribble_moves_coarse_rows_and_leaves_the_photo_beside_it():
    spot = jnp.zeros((16, 16)).at[2:8, 2:8].set(1.0)
    scribbled = jnp.where(spot[..., None] > 0, 0.9, photo())
    start = {
        "noise": tuple(x + 0.1 for x in space().rows.styles.maps),
        "w_plus": space().sample(KEY)["w_plus"],
    }
    latent = jax.jit(lambda image: embedding.scribble(space(), photo(), image, spot, start, KEY, SETTINGS))(
        scribbled
    )
    moved = np.abs(latent["w_plus"] - start["w_plus"]).max(1) > 1e-4
    assert tuple(np.flatnonzero(moved)) == embedding.rows_of(6, embedding._SCRIBBLE)
    made, begun = (jax.jit(space().generate)(x) for x in (latent, start))
    beside = 1 - spot
    assert under(beside, made, photo()) < 0.25 * under(beside, begun, photo())


def test_local_style_takes_colours_beside_the_mask():
    def features(image):
        return [
            jnp.concatenate([image, jnp.ones_like(image[..., :1])], -1)
        ]  # Gram: colours' means and products

    other = jnp.broadcast_to(jnp.array([0.8, -0.5, 0.1]), (16, 16, 3))

    @jax.jit
    def both(image):
        kept = embedding.local_style(
            space(), image, other, LEFT, KEY, SETTINGS, features=features, style_weight=1.0
        )
        plain = embedding.local_style(
            space(), image, other, LEFT, KEY, SETTINGS, features=features, style_weight=0.0
        )
        cost = costs.style(other, 1 - embedding.blurred(LEFT), features)
        return [(cost(space().generate(x)), space().generate(x)) for x in (kept, plain)]

    (styled, made), (unstyled, _) = both(photo())
    assert styled < 0.7 * unstyled
    assert under(LEFT, made, photo()) < 0.05


def test_attributes_are_activations_under_a_mask():
    """After the last block they are the pixels; an empty mask changes nothing, and a full one the rest of the net."""
    first, second = space().sample(jax.random.key(1)), space().sample(jax.random.key(2))
    a, b = space().generate(first), space().generate(second)
    last = embedding.transfer_attributes(space(), first, second, LEFT, 16)
    np.testing.assert_allclose(last, jnp.where(LEFT[..., None] > 0, b, a), atol=1e-5)
    none = embedding.transfer_attributes(space(), first, second, jnp.zeros((16, 16)), 8)
    np.testing.assert_allclose(none, a, atol=1e-5)
    # At 4 px with a full mask the rest of the net draws what the second latent begins: its first style and map do not
    # matter any more, and those of the second do.
    ones = jnp.ones((16, 16))
    full = embedding.transfer_attributes(space(), first, second, ones, 4)
    other = {"noise": first["noise"], "w_plus": first["w_plus"].at[0].add(3.0)}
    np.testing.assert_allclose(
        embedding.transfer_attributes(space(), other, second, ones, 4), full, atol=1e-5
    )
    changed = {"noise": second["noise"], "w_plus": second["w_plus"].at[0].add(3.0)}
    assert np.abs(embedding.transfer_attributes(space(), first, changed, ones, 4) - full).max() > 1e-3


@pytest.mark.parametrize(
    "name, image, mask, message",
    [
        ("w_plus", (16, 16, 3), (16, 16), "latents of w_plus have no maps of noise"),
        ("w_plus_noise", (8, 16, 3), (16, 16), r"an image of shape \(8, 16, 3\)"),
        ("w_plus_noise", (16, 16, 3), (8, 16), r"a mask of shape \(8, 16\) does not fit: \(16, 16\) would"),
    ],
)
def test_what_does_not_fit_is_refused(name, image, mask, message):
    with pytest.raises(jgan.UserError, match=message):
        embedding.inpaint(space(name), jnp.zeros(image), jnp.ones(mask), KEY, SETTINGS)


def test_a_resolution_that_is_none_is_refused():
    latent = space().sample(KEY)
    for resolution in (2, 12, 32):
        with pytest.raises(jgan.UserError, match=f"resolution={resolution}: .* 4, 8, ... or 16"):
            embedding.transfer_attributes(space(), latent, latent, LEFT, resolution)
