"""An iteration of StyleGAN2 equals PyTorch's: four updates on the same codes, noise and images.

`benchmarks.peer_stylegan2.StyleGAN2` is the transcription of the authors' loop. What either side draws is ours.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.stylegan2_names import named
from configs import stylegan2 as presets
from jgan.nets import stylegan2 as nets
from jgan.systems import stylegan2

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
peer = pytest.importorskip("benchmarks.peer_stylegan2")
torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY, N, SIZE = jax.random.key(11), 4, 16
UPDATES = ("gen", "gen_reg", "dis", "dis_reg")
GROUPS = {"gen": ("mapping", "synthesis"), "dis": ("discriminator",)}


def drawn(key, n, nz, *, image=False):
    """What `stylegan2` draws for an update with this key, as PyTorch's `Draw`."""
    k_fake = key if image else jax.random.split(key, 3)[0]
    k_style, k_noise, *k_image = jax.random.split(k_fake, 3 if image else 2)
    k_code, k_mix, k_place = jax.random.split(k_style, 3)
    z = np.array(jax.random.normal(k_code, (2 * n, nz), jnp.float64))
    rows = nets.rows(SIZE)
    place = int(jax.random.randint(k_place, (), 1, rows)) if jax.random.uniform(k_mix) < 0.9 else rows
    noise = [images(x) for x in nets.draw_noise(k_noise, n, SIZE, jnp.float64)]
    y = images(jax.random.normal(k_image[0], (n, SIZE, SIZE, 3), jnp.float64)) if image else None
    # Of each example two codes, one after the other.
    return peer.Draw((torch.from_numpy(z[::2]), torch.from_numpy(z[1::2]), place), noise, y)


def images(x):
    return torch.from_numpy(np.array(x).transpose(0, 3, 1, 2).copy())


@pytest.fixture(scope="module")
def sides():
    """(state before, real images, our step under one update after another, what makes PyTorch's side, its draws)."""
    config, rng = presets.get_config("tiny"), np.random.default_rng(0)
    real = rng.uniform(-1, 1, (N, SIZE, SIZE, 3))
    with jax.enable_x64(True):
        system = stylegan2.build(config)
        shapes = jax.eval_shape(system.init, KEY, {"images": real})

        def start(path, leaf):
            if path[0].name in ("opt", "ema") or not jnp.issubdtype(leaf.dtype, jnp.floating):
                return np.zeros(leaf.shape, leaf.dtype)
            return rng.normal(size=leaf.shape).astype(np.float64)  # nothing is right by chance

        before = jax.tree_util.tree_map_with_path(start, shapes)
        before = before.__class__(**{**before.__dict__, "ema": {x: before.params[x] for x in before.ema}})
        before.aux["pl_mean"] = np.float64(0.3)
        step = jax.jit(system.step, static_argnames="updates")
        keys = jax.random.split(KEY, 4)
        nz = config.latent.nz
        draws = [
            drawn(keys[0], N, nz),
            drawn(keys[1], N // 2, nz, image=True),
            drawn(keys[2], N, nz),
        ]

    def ours(*updates):
        after, metrics = before, {}
        with jax.enable_x64(True):
            for part in system.programs(updates):
                after, reported = step(after, {"images": real}, KEY, updates=part)
                metrics |= reported
            return jax.device_get((after, metrics))

    def theirs():
        g, d, r1 = config.generator, config.discriminator, config.loss.r1_gamma
        widths = {"base": g.channel_base, "most": g.channel_max}
        made = {
            "mapping": peer.Mapping(nz, 0, config.mapping.w_dim, config.mapping.num_layers),
            "synthesis": peer.Synthesis(SIZE, config.mapping.w_dim, **widths),
            "discriminator": peer.Discriminator(SIZE, group=d.mbstd_group, **widths),
        }
        made["discriminator"].b4.neighbours = True
        for name, net in made.items():
            weights = {k: torch.from_numpy(np.array(x)) for k, x in named(before.params[name]).items()}
            net.double().load_state_dict(weights)
        side = peer.StyleGAN2(*made.values(), lr=config.optimiser.learning_rate, r1_gamma=r1)
        side.w_avg = torch.from_numpy(before.stats["mapping"]["w_avg"])
        side.pl_mean = torch.tensor(before.aux["pl_mean"], dtype=torch.float64)
        return side, made

    return before, real, ours, theirs, draws


def moments(state, group):
    """{net: first moments} of a group's optimiser: with b1 = 0 they are the gradients of its last update."""
    return next(part for part in state.opt[group] if hasattr(part, "mu")).mu


def assert_near(ours, theirs, what, tolerance=1e-8):
    theirs = theirs.detach().numpy()
    assert np.abs(ours - theirs).max() <= tolerance * max(np.abs(theirs).max(), 1e-3), what


@pytest.mark.slow
@pytest.mark.parametrize("update", UPDATES)
def test_an_update_in_float64(sides, update):
    """Losses, gradients and what is remembered agree to 1e-8 of the largest."""
    before, real, ours, theirs, draws = sides
    after, metrics = ours(update)
    side, made = theirs()
    act = {
        "gen": lambda: side.main_of_g(draws[0]),
        "gen_reg": lambda: side.path_length_of_g(draws[1]),
        "dis": lambda: side.main_of_d(draws[2], images(real)),
        "dis_reg": lambda: side.penalty_of_d(images(real)),
    }
    _, told = act[update]()
    for name, value in told.items():
        assert_near(metrics[name], value, name)
    assert_near(after.stats["mapping"]["w_avg"], side.w_avg, "w_avg")
    assert_near(after.aux["pl_mean"], side.pl_mean, "pl_mean")
    moved = set()
    for net in GROUPS[update[:3]]:
        gradients = named(moments(after, update[:3])[net])
        for name, parameter in made[net].named_parameters():
            expected = 0 * parameter if parameter.grad is None else parameter.grad
            assert_near(gradients[name], expected, f"{net}.{name}")
            moved |= {net} if expected.abs().max() > 0 else set()
    assert moved == set(GROUPS[update[:3]])


@pytest.mark.slow
def test_an_iteration_in_float64(sides):
    """All four in their order, then the average: parameters agree to a millionth of the learning rate."""
    before, real, ours, theirs, draws = sides
    after, metrics = ours(*UPDATES, "average")
    side, made = theirs()
    # Of the first iteration: nothing of the average is kept yet.
    told = side.iteration(0, draws, images(real), decay=0.0)
    for name, value in told.items():
        assert_near(metrics[name], value, name, 1e-7)
    for members in GROUPS.values():
        for net in members:
            new, old = named(after.params[net]), named(before.params[net])
            for name, parameter in made[net].named_parameters():
                error = np.abs(new[name] - parameter.detach().numpy())
                assert np.mean(error <= 1e-6 * 2.5e-3) > 0.999 and error.max() < 1e-5, f"{net}.{name}"
                assert np.abs(new[name] - old[name]).max() > 1e-4, f"{net}.{name}"
            if net in after.ema:
                for x, y in zip(
                    jax.tree.leaves(after.ema[net]), jax.tree.leaves(after.params[net]), strict=True
                ):
                    np.testing.assert_array_equal(x, y)
    assert_near(after.stats["mapping"]["w_avg"], side.w_avg, "w_avg")
