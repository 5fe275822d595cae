"""Image2StyleGAN++'s recipes on a drawn generator of 16 px: what moves, what stays, what counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stylegan2 as presets
import jgan
from jgan.latent import coordinates
from jgan.latent import costs
from jgan.latent import embedding
from jgan.latent import projection
from jgan.systems import stylegan2
from tests.initial_weights import quick_init

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY = jax.random.key(4)
SETTINGS = projection.Settings("adam", 12, 0.05, ramp_up=0.05, ramp_down=0.25, noise_evaluations=60)
LEFT = np.broadcast_to(np.arange(16) < 8, (16, 16)).astype(np.float32)


@functools.cache
def begun():
    """(system, weights before the first step)."""
    system = stylegan2.build(presets.get_config("tiny"))
    state = quick_init(system.init)(KEY, {"images": np.zeros((2, 16, 16, 3), np.uint8)})
    return system, jax.device_get(state.weights())


@functools.cache
def space(name="w_plus_noise"):
    system, weights = begun()
    return system.spaces[name].space(weights, {})


@functools.cache
def program(name):
    """A function of the space, `generate`, `sample` or `middle`, compiled once for all tests."""
    return jax.jit(
        functools.partial(embedding.middle, space(), SETTINGS) if name == "middle" else getattr(space(), name)
    )


@pytest.fixture(autouse=True)
def ready():
    """The weights are drawn before a test traces anything."""
    space()


def photo(phase=0.0):
    """A picture that no style makes, of colours that all of them can."""
    return 0.5 * np.sin(np.arange(16 * 16 * 3, dtype=np.float32).reshape(16, 16, 3) / 7 + np.float32(phase))


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
    mask = np.broadcast_to(np.arange(256) < 128, (256, 256)).astype(np.float32)
    soft = np.asarray(jax.jit(embedding.blurred)(mask))
    np.testing.assert_allclose(soft, np.broadcast_to(soft[:1], soft.shape), atol=1e-6)
    np.testing.assert_allclose((soft[0, 127] + soft[0, 128]) / 2, 0.5, atol=1e-5)
    np.testing.assert_allclose((soft[0, 130] + soft[0, 131]) / 2, 0.159, atol=5e-3)
    assert soft[0, 0] == pytest.approx(1) and soft[0, -1] == 0


def test_inpainting_sees_the_known_part_alone_and_moves_its_rows():
    fill = jax.jit(lambda image: embedding.inpaint(space(), image, LEFT, KEY, SETTINGS))
    latent = fill(photo())
    other = fill(np.where(LEFT[..., None] > 0, photo(), np.float32(-0.9)))
    for a, b in zip(jax.tree.leaves(latent), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    latent, start = jax.device_get((latent, program("middle")()))
    moved = np.abs(latent["w_plus"] - start["w_plus"]).max(1) > 1e-4
    assert tuple(np.flatnonzero(moved)) == embedding.rows_of(6, embedding._INPAINT)
    made, before = (program("generate")(x) for x in (latent, {**start, "w_plus": latent["w_plus"]}))
    # The maps bring the known part nearer, and leave the rest nearly as the styles draw it.
    assert under(LEFT, made, photo()) < 0.25 * under(LEFT, before, photo())
    assert under(1 - LEFT, made, before) < 0.1 * under(LEFT, made, before)


def test_in_p_norm_coordinates_embeddings_begin_at_their_mean():
    def begin():
        within = coordinates.p_norm(space().rows, 0.001)
        return within.free(embedding.middle(space(), SETTINGS._replace(p_norm=0.001))["w_plus"])

    np.testing.assert_allclose(jax.jit(begin)(), 0, atol=1e-3)


def test_crossover_is_near_each_photo_on_its_side_and_many_go_together():
    def cross(first, second, key):
        return embedding.crossover(space(), first, second, LEFT, key, SETTINGS)

    photos = np.stack([photo(), photo(1.0)]), np.stack([photo(2.0), photo(3.0)])
    keys = jax.random.split(KEY, 2)
    every = jax.jit(jax.vmap(cross))(*photos, keys)
    alone = jax.jit(cross)(photos[0][1], photos[1][1], keys[1])
    for a, b in zip(jax.tree.leaves(every), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-4)
    made = program("generate")(alone)
    for mask, (near, far) in ((LEFT, (1.0, 3.0)), (1 - LEFT, (3.0, 1.0))):
        assert under(mask, made, photo(near)) < 0.25 * under(mask, made, photo(far))


def test_a_scribble_moves_coarse_rows_and_leaves_the_photo_beside_it():
    spot = np.zeros((16, 16), np.float32)
    spot[2:8, 2:8] = 1
    scribbled = np.where(spot[..., None] > 0, np.float32(0.9), photo())
    start = {
        "noise": tuple(x + np.float32(0.1) for x in space().rows.styles.maps),
        "w_plus": np.asarray(program("sample")(KEY)["w_plus"]),
    }
    latent = jax.jit(lambda image: embedding.scribble(space(), photo(), image, spot, start, KEY, SETTINGS))(
        scribbled
    )
    moved = np.abs(np.asarray(latent["w_plus"]) - start["w_plus"]).max(1) > 1e-4
    assert tuple(np.flatnonzero(moved)) == embedding.rows_of(6, embedding._SCRIBBLE)
    made, begun = (program("generate")(x) for x in (latent, start))
    beside = 1 - spot
    assert under(beside, made, photo()) < 0.25 * under(beside, begun, photo())


def test_local_style_takes_colours_beside_the_mask():
    def features(image):
        return [
            jnp.concatenate([image, jnp.ones_like(image[..., :1])], -1)
        ]  # Gram: colours' means and products

    other = np.broadcast_to(np.float32([0.8, -0.5, 0.1]), (16, 16, 3))

    @jax.jit
    def styled(image, weight):
        latent = embedding.local_style(
            space(), image, other, LEFT, KEY, SETTINGS, features=features, style_weight=weight
        )
        made = space().generate(latent)
        return costs.style(other, 1 - embedding.blurred(LEFT), features)(made), made

    (cost, made), (plain, _) = (styled(photo(), weight) for weight in (1.0, 0.0))
    assert cost < 0.7 * plain
    assert under(LEFT, made, photo()) < 0.05


def test_attributes_are_activations_under_a_mask():
    """After the last block they are the pixels; an empty mask changes nothing, and a full one the rest of the net."""
    first, second = (jax.device_get(program("sample")(jax.random.key(k))) for k in (1, 2))
    a, b = (np.asarray(program("generate")(x)) for x in (first, second))
    transfer = jax.jit(functools.partial(embedding.transfer_attributes, space()), static_argnums=3)
    last = transfer(first, second, LEFT, 16)
    np.testing.assert_allclose(last, np.where(LEFT[..., None] > 0, b, a), atol=1e-5)
    none = transfer(first, second, np.zeros_like(LEFT), 4)
    np.testing.assert_allclose(none, a, atol=1e-5)
    # At 4 px with a full mask the rest of the net draws what the second latent begins: its first style and map do not
    # matter any more, and those of the second do.
    ones, add = np.ones_like(LEFT), np.float32([[3], *[[0]] * 5])
    full = np.asarray(transfer(first, second, ones, 4))
    other = {"noise": first["noise"], "w_plus": first["w_plus"] + add}
    np.testing.assert_allclose(transfer(other, second, ones, 4), full, atol=1e-5)
    changed = {"noise": second["noise"], "w_plus": second["w_plus"] + add}
    assert np.abs(transfer(first, changed, ones, 4) - full).max() > 1e-3


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
        embedding.inpaint(space(name), np.zeros(image), np.ones(mask), KEY, SETTINGS)


def test_a_resolution_that_is_none_is_refused():
    latent = jax.eval_shape(space().sample, KEY)
    for resolution in (2, 12, 32):
        with pytest.raises(jgan.UserError, match=f"resolution={resolution}: .* 4, 8, ... or 16"):
            embedding.transfer_attributes(space(), latent, latent, LEFT, resolution)


@pytest.mark.parametrize("rows", [(), (0, 6), (-1,)])
def test_rows_that_there_are_not_are_refused(rows):
    start = {"noise": (), "w_plus": np.zeros((6, 6), np.float32)}
    with pytest.raises(jgan.UserError, match=r"this generator has rows of styles 0 to 5"):
        embedding.embed_styles(space(), jnp.sum, start, KEY, SETTINGS, rows=rows)
