"""What the comparisons of a training step with PyTorch share: nets, objectives, weights in both layouts.

Networks are those of benchmarks/peer.py.
"""

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


def copy(modules, state):
    """Gives PyTorch's nets {name: module} the weights and statistics of a state, and their type."""
    for net, module in modules.items():
        module.to(torch.from_numpy(np.array(jax.tree.leaves(state.params[net])[0])).dtype)
        for _, theirs, ours in pairs(module, state.params[net], state.stats[net]):
            theirs.data.copy_(torch.from_numpy(np.array(ours)))


def assert_same_losses(metrics, losses, tolerance):
    for name, loss in losses.items():
        assert metrics[name] == pytest.approx(loss, rel=tolerance), name


def assert_same_nets(modules, state, tolerance):
    """Parameters and running statistics of {name: module} are those of the state."""
    for net, module in modules.items():
        leaves = list(pairs(module, state.params[net], state.stats[net]))
        everything = jax.tree.leaves((state.params[net], state.stats[net]))
        assert sum(ours.size for *_, ours in leaves) == sum(x.size for x in everything)
        assert_close({name: (theirs.detach(), ours) for name, theirs, ours in leaves}, tolerance)


def assert_same_gradients(modules, state, tolerance):
    """Ours from Adam's first moment, which is half of them after one step."""
    moments = {}
    for group in state.opt.values():
        moments |= next(part for part in group if hasattr(part, "mu")).mu
    for net, module in modules.items():
        gradients = jax.tree.map(lambda m: 2 * m, moments[net])
        leaves = {name: (theirs.grad, ours) for name, theirs, ours in pairs(module, gradients)}
        count = sum(ours.size for _, ours in leaves.values())
        assert count == sum(x.size for x in jax.tree.leaves(gradients))
        assert count == sum(x.numel() for x in module.parameters())
        assert_close(leaves, tolerance)


def assert_moved(before, after):
    """Adam's first step is the learning rate of 2e-4, wherever there is a gradient."""
    for net, params in before.params.items():
        moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), params, after.params[net])
        assert 1e-4 < max(jax.tree.leaves(moved)) < 2.1e-4


def assert_close(leaves, tolerance):
    """Errors are measured against the largest number of a leaf, {name: (theirs, ours)}."""
    leaves = {name: (theirs.numpy(), ours) for name, (theirs, ours) in leaves.items()}
    for name, (theirs, ours) in leaves.items():
        scale = np.abs(theirs).max()
        kernel = np.abs(leaves.get(name.replace("bias", "kernel"), (0, 0))[0]).max()
        noise = max(1e-5, tolerance) * kernel
        if scale < noise:  # a bias before an instance norm has no gradient but rounding noise
            assert np.abs(ours).max() < noise, name
        else:
            error = np.abs(theirs - ours).max() / scale
            assert error < tolerance, f"{name}: {error:.1e}"


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
