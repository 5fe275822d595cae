"""StyleGAN2-ADA's modules with all buffers of its files, and as readers give them of pickles, TensorFlow's too."""

import numpy as np
import torch
from torch import nn

from benchmarks import peer_stylegan2 as peer
from jgan.weights import files

FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


class Generator(nn.Module):
    def __init__(self, z_dim, c_dim, w_dim, img_resolution, img_channels, mapping_kwargs, synthesis_kwargs):
        super().__init__()
        self._init_kwargs = {
            "z_dim": z_dim,
            "c_dim": c_dim,
            "w_dim": w_dim,
            "img_resolution": img_resolution,
            "img_channels": img_channels,
            "mapping_kwargs": mapping_kwargs,
            "synthesis_kwargs": synthesis_kwargs,
        }
        layers, slower = mapping_kwargs["num_layers"], mapping_kwargs["lr_multiplier"]
        kwargs = synthesis_kwargs
        self.mapping = peer.Mapping(z_dim, c_dim, w_dim, layers, slower)
        self.mapping.register_buffer("w_avg", torch.randn(w_dim))
        self.synthesis = peer.Synthesis(
            img_resolution,
            w_dim,
            img_channels,
            kwargs["channel_base"],
            kwargs["channel_max"],
            kwargs["architecture"],
            kwargs["conv_clamp"],
        )
        for name, block in self.synthesis.named_children():
            for layer in block.children():
                if isinstance(layer, peer.SynthesisLayer):
                    r = int(name[1:])
                    layer.register_buffer("noise_const", torch.randn(r, r))
        _with_filters(self)

    def forward(self, ws):
        """Images of styles and the module's own noise."""
        layers = [x for x in self.synthesis.modules() if isinstance(x, peer.SynthesisLayer)]
        return self.synthesis(ws, [x.noise_const[None, None] for x in layers])


class Discriminator(peer.Discriminator):
    def __init__(self, c_dim, img_resolution, img_channels, epilogue_kwargs, num_fp16_res=0, **kwargs):
        base, most = kwargs["channel_base"], kwargs["channel_max"]
        group = epilogue_kwargs["mbstd_group_size"]
        architecture, clamp = kwargs["architecture"], kwargs["conv_clamp"]
        super().__init__(img_resolution, img_channels, c_dim, base, most, architecture, group, clamp)
        self._init_kwargs = {"c_dim": c_dim, "epilogue_kwargs": epilogue_kwargs, **kwargs}
        _with_filters(self)


def _with_filters(module):
    kept = (peer.SynthesisLayer, peer.SynthesisBlock, peer.Conv, peer.DiscriminatorBlock)
    for part in module.modules():
        if isinstance(part, kept):
            part.register_buffer("resample_filter", FILTER.clone())


def entry(values):
    values = np.array(values)
    return files.Entry(values.shape, values.dtype, lambda: values)


def entries(state):
    """A state dict as a reader gives it."""
    return {name: entry(x.detach().numpy()) for name, x in state.items()}


def persistent(module):
    """A module as a reader gives it of an official pickle."""
    state = {
        "training": False,
        "_parameters": {k: None if x is None else entry(x.detach()) for k, x in module._parameters.items()},
        "_buffers": {k: entry(x) for k, x in module._buffers.items()},
        "_modules": {k: None if x is None else persistent(x) for k, x in module._modules.items()},
        "_forward_hooks": {},
        "_init_args": (),
        "_init_kwargs": getattr(module, "_init_kwargs", {}),
    }
    kind = type(module).__name__
    if isinstance(module, peer.Dense):
        kind = "FullyConnectedLayer"
        gain = module.multiplier / np.sqrt(module.weight.shape[1])
        state |= {"activation": "lrelu" if module.activate else "linear"}
        state |= {"bias_gain": module.multiplier, "weight_gain": np.float64(gain)}
    elif isinstance(module, peer.SynthesisLayer):
        state |= {"activation": "lrelu", "use_noise": True, "conv_clamp": module.clamp, "up": 1 + module.up}
    elif isinstance(module, peer.Conv):
        kind = "Conv2dLayer"
        state |= {
            "activation": "lrelu" if module.bias is not None else "linear",
            "conv_clamp": module.clamp,
        }
    elif isinstance(module, peer.ToRGB):
        state["conv_clamp"] = module.clamp
    elif isinstance(module, peer.SynthesisBlock | peer.DiscriminatorBlock):
        state["use_fp16"] = False
    elif isinstance(module, peer.Epilogue):
        spread = {"_parameters": {}, "_buffers": {}, "_modules": {}}
        spread |= {"group_size": module.group, "num_channels": 1}
        state["_modules"]["mbstd"] = files.Object("torch_utils.persistence.MinibatchStdLayer", spread)
    return files.Object(f"torch_utils.persistence.{kind}", state)


def tensorflow(generator, discriminator):
    """(G, D, Gs) as a reader gives them of a pickle of the first code, with the weights of ADA's modules."""
    state = {k: x.detach().numpy() for k, x in generator.state_dict().items()}
    mapping, synthesis = [], []
    for name, x in state.items():
        part, *rest = name.split(".")
        if part == "mapping":
            if rest[0] != "w_avg":
                layer = {"embed": "LabelEmbed"}.get(rest[0], rest[0].replace("fc", "Dense"))
                mapping.append((f"{layer}/{rest[1]}", x.T))
            continue
        block, *rest = rest
        r, leaf = int(block[1:]), ".".join(rest)
        level = int(np.log2(r))
        if leaf == "const":
            synthesis.append(("4x4/Const/const", x[None]))
        elif leaf.endswith("noise_const"):
            j = 0 if r == 4 else 2 * level - 5 if rest[0] == "conv0" else 2 * level - 4
            synthesis.append((f"noise{j}", x[None, None]))
        elif "resample_filter" not in leaf:
            layer = {
                "conv0": "Conv0_up",
                "conv1": "Conv" if r == 4 else "Conv1",
                "torgb": "ToRGB",
                "skip": "Skip",
            }[rest[0]]
            what = {"affine.weight": "mod_weight", "affine.bias": "mod_bias"}.get(".".join(rest[1:]), rest[1])
            if what == "mod_weight":
                x = x.T
            elif what == "mod_bias":
                x = x - 1
            elif what == "weight":
                x = x.transpose(2, 3, 1, 0)
                x = x[::-1, ::-1] if rest[0] in ("conv0", "skip") else x
            synthesis.append((f"{r}x{r}/{layer}/{what}", x))
    judge = []
    for name, x in discriminator.state_dict().items():
        block, layer, *leaf = name.split(".")
        if name.endswith("resample_filter"):
            continue
        r = block[1:]
        theirs = {
            "fromrgb": "FromRGB",
            "conv0": "Conv0",
            "conv1": "Conv1_down",
            "skip": "Skip",
            "conv": "Conv",
            "fc": "Dense0",
        }
        place = "Output" if layer == "out" else f"{r}x{r}/{theirs[layer]}"
        x = x.detach().numpy()
        judge.append((f"{place}/{leaf[0]}", x.transpose(2, 3, 1, 0) if x.ndim == 4 else x.T))

    def network(name, variables, components=None, kwargs=None):
        return files.Object(
            "dnnlib.tflib.network.Network",
            {
                "version": 4,
                "name": name,
                "static_kwargs": kwargs or {},
                "components": components or {},
                "build_func_name": "G_main",
                "variables": [(k, entry(x)) for k, x in variables],
            },
        )

    asked, judged = generator._init_kwargs, discriminator._init_kwargs
    kwargs = {
        "fmap_base": asked["synthesis_kwargs"]["channel_base"] // 2,
        "fmap_max": asked["synthesis_kwargs"]["channel_max"],
        "resolution": asked["img_resolution"],
        "mapping_lrmul": asked["mapping_kwargs"]["lr_multiplier"],
        "resample_kernel": [1, 3, 3, 1],
    }
    gs = network(
        "Gs",
        [("lod", np.float32(0)), ("dlatent_avg", state["mapping.w_avg"])],
        {"mapping": network("G_mapping", mapping), "synthesis": network("G_synthesis", synthesis)},
        kwargs,
    )
    d = network("D", judge, kwargs={"mbstd_group_size": judged["epilogue_kwargs"]["mbstd_group_size"]})
    return network("G", []), d, gs
