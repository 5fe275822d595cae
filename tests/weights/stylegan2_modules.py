"""Configs of small StyleGAN2s, and PyTorch's modules of them with random weights."""

import itertools

import torch

from configs import stylegan2 as configs
from jgan.nets import stylegan2 as nets
from jgan.weights import stylegan2_export as export
from tests.weights import torch_ada as ada
from tests.weights import torch_rosinality as ros

Z, W, LAYERS = 7, 6, 3


def configured(size=16, z=Z, labels=0, channels=3, clamp=0.0, architectures=("skip", "resnet"), **changes):
    """A config of small nets."""
    config = configs.get_config()
    base = {"channel_base": 64, "channel_max": 6, "clamp": clamp}
    for part, architecture in zip((config.generator, config.discriminator), architectures, strict=True):
        part.update({**base, "architecture": architecture})
    config.update_from_flattened_dict(
        {
            "data.size": size,
            "data.load_size": size,
            "data.channels": (channels,),
            "latent.nz": z,
            "mapping.w_dim": W,
            "mapping.num_layers": LAYERS,
            "discriminator.mbstd_group": 2,
            **changes,
        }
    )
    return config


def redrawn(module, seed=0):
    """The module with random weights in float64: nothing is right by chance, and noise is seen."""
    draw = torch.Generator().manual_seed(seed)
    module.double()
    for name, x in itertools.chain(module.named_parameters(), module.named_buffers()):
        if not name.endswith(("filter", "kernel")):
            x.data = torch.randn(x.shape, generator=draw, dtype=torch.float64) / (10 if "fc" in name else 1)
    for name, x in module.named_buffers():  # exactly, not as float32 has them
        if name.endswith(("filter", "kernel")):
            x.data = (x * 64).round() / 64
    return module


def ada_modules(config, labels=0):
    made = export.exported(config, "ada", labels)
    torch.set_num_threads(1)
    return (
        redrawn(ada.Generator(**made["generator"].arguments)),
        redrawn(ada.Discriminator(**made["discriminator"].arguments), 1),
    )


def ros_modules(config):
    widths = [min(64 // r, 6) for r in nets.resolutions(config.data.size)]
    torch.set_num_threads(1)
    made = export.exported(config, "rosinality")
    arguments = made["generator"].arguments
    return (
        redrawn(ros.Generator(widths, arguments["style_dim"], arguments["n_mlp"])),
        redrawn(ros.Discriminator(widths), 1),
    )
