"""Training steps of StarGAN equal PyTorch's in float64, with the nets and updates that the benchmark times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.systems import stargan
from tests.systems import parity
from tests.systems.parity import functional
from tests.systems.parity import torch
from tests.systems.test_stargan import KEY
from tests.systems.test_stargan import batch
from tests.systems.test_stargan import small

peer = pytest.importorskip("benchmarks.peer_stargan")
TWO_SETS = {
    "data.names": ("a", "b", "c", "d", "e"),
    "mask": True,
    "sets": (2, 3),
    "loss.classification": "sigmoid,softmax",
}


def classes(logits, own):
    return functional.cross_entropy(logits, own.argmax(1))


def of_two_sets(logits, own):
    """Each example belongs to one set, two attributes or one of three classes, and the mean is over both."""
    first = ~own[:, 0].isnan()
    told = functional.binary_cross_entropy_with_logits(logits[first, :2], own[first, :2], reduction="sum")
    chosen = own[~first, 2:].argmax(1)
    return (told + functional.cross_entropy(logits[~first, 2:], chosen, reduction="sum")) / len(own)


def with_mask(label):
    """The label as section 3.3 of the paper has it: both sets' numbers, those of the other 0, and which it is."""
    first = ~label[:, :1].isnan()
    return torch.cat([label.nan_to_num(0.0), first, ~first], 1)


CASES = {
    "attributes": ({}, peer.binary, lambda label: label),
    "classes": ({"data.label": "class"}, classes, lambda label: label),
    "two data sets": (TWO_SETS, of_two_sets, with_mask),
}


def leaves(module, params, stats):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net."""

    def kernel(name, layer, ours):
        yield f"{name}/kernel", layer.weight, ours["kernel"].transpose(3, 2, 0, 1)
        if layer.bias is not None:
            yield f"{name}/bias", layer.bias, ours["bias"]

    if isinstance(module, peer.Discriminator):
        convs = [layer for layer in module.trunk if isinstance(layer, torch.nn.Conv2d)]
        for k, layer in enumerate(convs, start=1):
            yield from kernel(f"conv_{k}", layer, params[f"conv_{k}"])
        yield from kernel("logits", module.patches, params["logits"])
        side, c = module.classes.kernel_size[0], module.classes.in_channels
        square = params["classes"]["kernel"].reshape(side, side, c, -1)
        yield "classes/kernel", module.classes.weight, square.transpose(3, 2, 0, 1)
        return
    names = ["first", "down_1", "down_2", "up_1", "up_2", "last"]
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    for name, layer in zip(names, [x for x in module.layers if isinstance(x, kinds)], strict=True):
        axes = (2, 3, 0, 1) if name.startswith("up") else (3, 2, 0, 1)
        yield f"{name}/kernel", layer.weight, params[name]["kernel"].transpose(axes)
    norms = [x for x in module.layers if isinstance(x, torch.nn.InstanceNorm2d)]
    norms = [(f"{name}_norm", x, params[f"{name}_norm"]) for name, x in zip(names, norms, strict=False)]
    for k, block in enumerate(x for x in module.layers if isinstance(x, peer.Residual)):
        ours = jax.tree.map(lambda x, k=k: x[k], params["blocks"])
        for half, at in (("a", 0), ("b", 3)):
            yield from kernel(f"blocks/{k}/conv_{half}", block.layers[at], ours[f"conv_{half}"])
            norms.append((f"blocks/{k}/norm_{half}", block.layers[at + 1], ours[f"norm_{half}"]))
    for name, layer, ours in norms:
        yield f"{name}/scale", layer.weight, ours["scale"]
        yield f"{name}/bias", layer.bias, ours["bias"]


# The first case at once, the others among the slow tests.
@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * (k > 0)) for k, c in enumerate(CASES)]
)
def test_a_step_of_both_in_float64(case, monkeypatch):
    """Losses and changes agree to 1e-8, gradients too: of D with its penalty, and of G behind the updated D."""
    monkeypatch.setattr(
        conv, "DEFAULT_FORM", "lax"
    )  # XLA's compile in half the time; tests/ops holds all forms equal
    changes, classification, see = CASES[case]
    config, rng = small(**changes, **{"optimiser.schedule": "constant"}), np.random.default_rng(3)
    given, updates = batch(config, np.float64), ("dis", "gen")
    given["images"] = rng.uniform(-1, 1, given["images"].shape)
    with jax.enable_x64(True):
        system = stargan.build(config)
        before = jax.device_get(parity.drawn(system, given, rng, jnp.float64))
        step = jax.jit(system.step, static_argnames="updates")
        k_target, k_penalty = jax.random.split(KEY)
        order = np.array(jax.random.permutation(k_target, config.batch_size))
        alpha = np.array(jax.random.uniform(k_penalty, (config.batch_size, 1, 1, 1), jnp.float64))
    own = np.eye(5)[given["label"]] if case == "classes" else given["label"]

    def made(state):
        numbers = 5 + 2 * (case == "two data sets")
        g, d = config.generator, config.discriminator
        nets = {
            "generator": peer.Generator(numbers, width=g.ngf, blocks=g.blocks),
            "discriminator": peer.Discriminator(config.data.size, 5, width=d.ndf, layers=d.n_layers),
        }
        parity.copy(nets, state, leaves)
        return nets

    def theirs(before, images):
        nets = made(before)
        model = peer.StarGAN(nets["generator"], nets["discriminator"], classification)
        label, places = torch.from_numpy(own), torch.from_numpy(alpha)
        told = model.step(parity.images(images), label, label[order], places, True, see)
        optimisers = [model.gen_optimiser, model.dis_optimiser]
        told = {name: value.item() for name, value in told.items()}
        return parity.outcome_of_theirs(nets, optimisers, before, told, leaves)

    def ours(before, images):
        with jax.enable_x64(True):
            after, told = jax.device_get(step(before, {**given, "images": images}, KEY, updates=updates))
        return parity.outcome_of_ours(made(before), before, after, told, leaves)

    found = parity.compare(theirs, ours, before, given["images"])
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8, rate=1e-4)
    parity.assert_moved(found.ours, rate=1e-4)
