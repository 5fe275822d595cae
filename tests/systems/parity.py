"""What the comparisons of a training step with PyTorch share: nets, objectives, weights in both layouts.

Networks are those of benchmarks/peer.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
functional = torch.nn.functional
peer = pytest.importorskip("benchmarks.peer")
torch.set_num_threads(1)  # for nets as small as here more of them only wait


def generator(config, channels=(3, 3)):
    """PyTorch's generator as the config names it."""
    g = config.generator
    if g.name == "resnet_6blocks":
        return peer.ResNet(6, *channels, width=g.ngf, norm=g.norm, dropout=g.dropout)
    return peer.UNet(g.levels, *channels, width=g.ngf, norm=g.norm, dropout=g.dropout, skips=g.name == "unet")


def discriminator(config, channels, norm):
    d = config.discriminator
    if d.name == "pixel":
        return peer.PixelDiscriminator(channels, d.ndf, norm)
    return peer.PatchDiscriminator(channels, d.n_layers, d.ndf, norm)


def objective(name):
    """What D pays for fake and for real logits, and what G pays for fake ones."""
    return {
        "vanilla": (labelled(peer.cross_entropy, 0.0), *[labelled(peer.cross_entropy, 1.0)] * 2),
        "lsgan": (labelled(peer.squares, 0.0), *[labelled(peer.squares, 1.0)] * 2),
        "hinge": (
            lambda x: functional.relu(1 + x).mean(),
            lambda x: functional.relu(1 - x).mean(),
            lambda x: -x.mean(),
        ),
        "wgan_gp": (lambda x: x.mean(), lambda x: -x.mean(), lambda x: -x.mean()),
    }[name]


def labelled(loss, label):
    return lambda x: loss(x, label)


def gradient_penalty(module, judge, real, fake, alpha):
    """Gulrajani et al. (2017), eq. 3; an image's critic value is the mean of its patches.

    `judge` are the logits of images by `module`; `alpha` [n, 1, 1, 1] places the points.
    """
    points = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    running = [(x, x.clone()) for x in module.buffers()]
    values = judge(points).flatten(1).mean(1)
    for buffer, before in running:  # made-up images leave no trace
        buffer.data.copy_(before)
    (gradient,) = torch.autograd.grad(values.sum(), points, create_graph=True)
    return ((gradient.flatten(1).square().sum(1) + 1e-16).sqrt() - 1).square().mean()


def drawn(system, batch, rng, dtype):
    """A state of the system with initial values also for what begins as 0 or 1, so that nothing is right by chance.

    The optimisers are at rest.
    """

    def draw(path, leaf):
        name = path[-1].key if hasattr(path[-1], "key") else ""
        if path[0].name == "opt" or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype)
        if name == "variance":
            return jnp.asarray(rng.uniform(0.5, 2, leaf.shape), dtype)
        return jnp.asarray(rng.normal(name == "scale", 0.02, leaf.shape), dtype)

    shapes = jax.eval_shape(system.init, jax.random.key(0), batch)
    return jax.tree_util.tree_map_with_path(draw, shapes)


def images(array):
    """PyTorch's images of ours."""
    return torch.from_numpy(np.array(array)).permute(0, 3, 1, 2)


def nudged(tree, rng):
    """The tree with every number moved by up to four units in its last place, so that all rounding falls anew."""

    def nudge(x):
        if not np.issubdtype(x.dtype, np.floating):
            return x
        return (x * (1 + rng.uniform(-4, 4, x.shape) * np.finfo(x.dtype).eps)).astype(x.dtype)

    return jax.tree.map(nudge, tree)


class Outcome(NamedTuple):
    """What a step makes, each as {name: array in PyTorch's layout}.

    Attributes:
        losses: scalars.
        gradients: of every parameter.
        changes: of every parameter, by Adam.
        kept: running statistics, and what else the next step meets.
    """

    losses: dict
    gradients: dict
    changes: dict
    kept: dict


class Comparison(NamedTuple):
    """One step from the same beginning on both sides, and what rounding does to it.

    Attributes:
        theirs: PyTorch's outcome.
        ours: ours.
        noise: an outcome of floats: how far rounding may take the two apart.
        again: `rng -> Outcome`: ours from a nudged beginning.
    """

    theirs: Outcome
    ours: Outcome
    noise: Outcome
    again: Callable


def compare(theirs, ours, before, images):
    """The `Comparison` of two steps `(state, images) -> Outcome`."""
    rng = np.random.default_rng(0)
    made = theirs(before, images)
    noise = rounding([made, *(theirs(*nudged((before, images), rng)) for _ in range(3))])
    return Comparison(made, ours(before, images), noise, lambda rng: ours(*nudged((before, images), rng)))


def rounding(outcomes):
    """How far rounding may take outcomes apart, from some whose beginnings were nudged.

    A hundred times the spread among them: another program takes its sums in another order and its convolutions by
    another algorithm. What is left of exact terms may show no spread: a gradient below a hundred times the last place
    of its net's largest is rounding as a whole.
    """
    made = outcomes[0]
    noise = Outcome(
        *(
            {name: 100 * np.ptp([of[name] for of in kind], axis=0).max() for name in kind[0]}
            for kind in zip(*outcomes, strict=True)
        )
    )
    largest = {}
    for name, x in made.gradients.items():
        net = name.split("/")[0]
        largest[net] = max(largest.get(net, 0.0), np.abs(x).max())
    for name, x in made.gradients.items():
        least = 100 * np.finfo(x.dtype).eps * largest[name.split("/")[0]]
        if np.abs(x).max() < least:
            noise.gradients[name] = max(noise.gradients[name], least)
    return noise


def assert_close(theirs, ours, noise, tolerance):
    """Of {name: array}: errors are within `tolerance` of the largest number, or within rounding where that is more."""
    for name, expected in theirs.items():
        error, bound = np.abs(expected - ours[name]).max(), tolerance * np.abs(expected).max()
        assert error <= max(bound, noise[name]), (
            f"{name}: {error:.1e} above {bound:.1e} and {noise[name]:.1e}"
        )


def assert_same(theirs, ours, noise, tolerance, rate=2e-4):
    """Two outcomes agree to `tolerance`; changes of parameters are measured against the learning rate.

    Adam divides a gradient by its own size, so where rounding is all there is of one (of a bias before a norm) it makes
    a step of it: changes are compared only where rounding is below that `tolerance` of the gradient.
    """
    for kind in ("losses", "gradients", "kept"):
        assert_close(*(getattr(side, kind) for side in (theirs, ours, noise)), tolerance)
    for name, gradient in theirs.gradients.items():
        known = tolerance * np.abs(gradient) > noise.gradients[name]
        error = np.abs(theirs.changes[name] - ours.changes[name])[known]
        assert np.all(error <= tolerance * rate), f"change of {name}: {error.max() / rate:.1e} of the rate"


def assert_same_moments(one, two):
    """Two lists of PyTorch's optimisers met the same gradients, to 1e-12 of the largest of an optimiser."""
    for optimisers in zip(one, two, strict=True):
        moments = [[x["exp_avg"] for x in optimiser.state.values()] for optimiser in optimisers]
        largest = max(x.abs().max() for x in moments[0])
        assert all((x - y).abs().max() <= 1e-12 * largest for x, y in zip(*moments, strict=True))


def assert_moved(outcome, rate=2e-4):
    """Adam's first step is the learning rate, wherever there is a gradient."""
    for net in {name.split("/")[0] for name in outcome.changes}:
        largest = max(np.abs(x).max() for name, x in outcome.changes.items() if name.startswith(f"{net}/"))
        assert rate / 2 < largest < 1.05 * rate, net


def outcome_of_theirs(modules, optimisers, before, losses, find=None):
    """Of PyTorch's {net: module} after a step of `optimisers` from the weights of a state `before`."""
    # After one step Adam's first moment is half of the gradient, decay of weights included.
    moments = {x: of["exp_avg"] for optimiser in optimisers for x, of in optimiser.state.items()}
    gradients, changes, kept = {}, {}, {}
    for name, (tensor, old) in flat(modules, before.params, before.stats, find).items():
        if isinstance(tensor, torch.nn.Parameter):
            gradients[name] = 2 * moments.get(tensor, torch.zeros_like(tensor)).numpy()
            changes[name] = tensor.detach().numpy() - old
        else:
            kept[name] = tensor.numpy()
    return Outcome(losses, gradients, changes, kept)


def outcome_of_ours(modules, before, after, metrics, find=None):
    """Of our step between two states; PyTorch's {net: module} say how its leaves are called and laid out."""
    moments = {}
    for group in after.opt.values():
        moments |= next(part for part in group if hasattr(part, "mu")).mu
    old, new, mu = (flat(modules, x, after.stats, find) for x in (before.params, after.params, moments))
    parameters = {name for name, (tensor, _) in new.items() if isinstance(tensor, torch.nn.Parameter)}
    return Outcome(
        metrics,
        {name: 2 * mu[name][1] for name in parameters},
        {name: new[name][1] - old[name][1] for name in parameters},
        {name: array for name, (_, array) in new.items() if name not in parameters},
    )


def flat(modules, params, stats, find=None):
    """{net/layer/leaf: (PyTorch's tensor, our array in its layout)} for all leaves of {net: module}."""
    found = {}
    for net, module in modules.items():
        leaves = list((find or pairs)(module, params[net], stats[net]))
        assert sum(ours.size for *_, ours in leaves) == sum(
            x.size for x in jax.tree.leaves((params[net], stats[net]))
        )
        found |= {f"{net}/{name}": (theirs, ours) for name, theirs, ours in leaves}
    return found


def copy(modules, state, find=None):
    """Gives PyTorch's nets {name: module} the weights and statistics of a state, and their type."""
    for net, module in modules.items():
        module.to(torch.from_numpy(np.array(jax.tree.leaves(state.params[net])[0])).dtype)
    for theirs, ours in flat(modules, state.params, state.stats, find).values():
        theirs.data.copy_(torch.from_numpy(np.array(ours)))


def pairs(module, params, stats=None):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net."""
    for path, layer in named_layers(module):
        *parents, last = path.split("/")
        ours, running = params, stats or {}
        for part in (*parents, last):
            if part.isdigit():  # of the arrays of all residual blocks, those of one
                ours, running = jax.tree.map(lambda x, k=int(part): x[k], (ours, running))
            else:
                ours, running = ours[part], running.get(part, {})
        if isinstance(layer, torch.nn.BatchNorm2d):
            yield f"{path}/scale", layer.weight, ours["scale"]
            yield f"{path}/bias", layer.bias, ours["bias"]
            if running:
                yield f"{path}/mean", layer.running_mean, running["mean"]
                yield f"{path}/variance", layer.running_var, running["variance"]
            continue
        transposed = isinstance(layer, torch.nn.ConvTranspose2d)
        kernel = ours["kernel"].transpose((2, 3, 0, 1) if transposed else (3, 2, 0, 1))
        yield f"{path}/kernel", layer.weight, kernel
        if layer.bias is not None:
            yield f"{path}/bias", layer.bias, ours["bias"]


def named_layers(module):
    """(our path, PyTorch's layer) for the layers of a net that hold anything."""
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d), torch.nn.BatchNorm2d
    convs, norms = ([m for m in module.modules() if isinstance(m, kind)] for kind in kinds)
    if isinstance(module, peer.UNet):
        depth = range(1, len(module.down) + 1)
        named = [(f"down_{k}", module.down[k - 1]) for k in depth]
        named += [(f"up_{k}/conv", module.up[k - 1]) for k in depth]
        named += [(f"down_norm_{k}", module.down_norm[k - 1]) for k in depth]
        named += [(f"up_norm_{k}", module.up_norm[k - 1]) for k in depth]
        return [(path, layer) for path, layer in named if layer in convs or layer in norms]
    if isinstance(module, peer.ResNet):
        blocks = [f"blocks/{k}/KIND_{half}" for k in range(6) for half in "ab"]
        names = ["first", "down_1", "down_2", *blocks, "up_1", "up_2"]
        paths = [f"{name}/conv" if name.startswith("up") else name.replace("KIND", "conv") for name in names]
        paths.append("last")
        norm_paths = [
            name.replace("KIND", "norm") if name.startswith("blocks") else f"{name}_norm" for name in names
        ]
    else:
        paths = [f"conv_{k}" for k in range(1, len(convs))] + ["logits"]
        norm_paths = [f"norm_{k}" for k in range(2, len(convs))]
    assert not norms or len(norms) == len(norm_paths)
    return list(zip(paths, convs, strict=True)) + list(zip(norm_paths, norms, strict=False))
