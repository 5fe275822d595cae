"""Where the tensors of StyleGAN2 lie among our weights, in the three schemes of names that its files have.

`ADA` is that of Karras et al.'s PyTorch code (StyleGAN2-ADA and the StyleGAN2 of the StyleGAN3 repository),
`ROSINALITY` that of the port in which most encoders and editors have the generator, `TENSORFLOW` that of the first
code. They differ in the order of axes, in the direction of the kernels that double the size, and in whether the bias
of a style's map has its 1 in it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jgan.weights import tables

_LEADING = tables.without_leading()
_VECTOR = tables.Layout(lambda x: x.reshape(-1), lambda x: x.reshape(1, -1, 1, 1))
_FLIPPED = tables.reversed_along(0, 1)
FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64
LAYERS_OF_LABELS = 8  # of the mapping of a D's labels
Named = tuple[str, tables.Layout]


def _torch_dense(x: tables.Array) -> tables.Array:
    """[features, 16 c] with inputs in the order (c, y, x) as [16 c, features] with (y, x, c)."""
    return x.reshape(x.shape[0], -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, x.shape[0])


def _dense_torch(x: tables.Array) -> tables.Array:
    """`_torch_dense`, undone."""
    return x.reshape(4, 4, -1, x.shape[1]).transpose(3, 2, 0, 1).reshape(x.shape[1], -1)


_FLATTENED = tables.Layout(_torch_dense, _dense_torch)


class Scheme(NamedTuple):
    """The names of a form of files, each with the layout of its tensor.

    Attributes:
        title: of the form, for people.
        fc: (name of the weight, of the bias) of a dense layer of the mapping.
        embed: the same of the map of labels; None where there are no labels.
        w_avg: of the mean style.
        const: of the constant that the synthesis begins with.
        layer: (resolution, our name of a modulated layer) -> its name.
        modulated: {our leaf: (end of the name, layout)} of one that keeps the size.
        up: the layout of the kernel of one that doubles the size, `skip` among them.
        rgb_bias: (end of the name, layout) of the bias of a layer to colours.
        noise: (resolution, layer) -> name of the map of noise.
        maps: the layout of such a map.
        judge: (size, resolution, layer) -> names of kernel and bias of a layer of D.
        kernel: the layout of a kernel of D.
        dense: the layout of the weights of a dense layer.
        flattened: the same of D's first one, whose inputs are 4x4 activations.
        labels: k -> (weight, bias) of a dense layer of the mapping of D's labels.
        ignored: names that files have besides and that are not used.
        prescaled: whether kernels are scaled before they are normalised.
    """

    title: str
    fc: Callable[[int], tuple[str, str]]
    embed: tuple[str, str] | None
    w_avg: str
    const: Named
    layer: Callable[[int, str], str]
    modulated: dict[tuple[str, ...], Named]
    up: tables.Layout
    rgb_bias: Named
    noise: Callable[[int, str], str]
    maps: tables.Layout
    judge: Callable[[int, int, str], tuple[str, str]]
    kernel: tables.Layout
    dense: tables.Layout
    flattened: tables.Layout
    labels: Callable[[int], tuple[str, str]]
    ignored: str
    prescaled: bool

    def mapping(self, layers: int, labels: bool) -> dict[str, tables.Place]:
        """The table of a mapping with so many layers."""
        table = {self.w_avg: tables.Place(("w_avg",), tables.SAME, "stats")}
        if labels and self.embed is not None:
            table |= self._dense(("embed",), self.embed)
        for k in range(layers):
            table |= self._dense((f"fc{k}",), self.fc(k))
        return table

    def synthesis(self, size: int, architecture: str) -> dict[str, tables.Place]:
        """The table of a synthesis."""
        table = {self.const[0]: tables.Place(("b4", "const"), self.const[1])}
        for r in resolutions(size):
            block = f"b{r}"
            for layer in ("conv0", "conv1")[r == 4 :]:
                name = self.layer(r, layer)
                for path, (end, layout) in self.modulated.items():
                    layout = self.up if path == ("kernel",) and layer == "conv0" else layout
                    table[name + end] = tables.Place((block, layer, *path), layout)
                table[self.noise(r, layer)] = tables.Place((block, layer), self.maps, "stats")
            if architecture == "skip" or r == size:
                name = self.layer(r, "torgb")
                for path, (end, layout) in (self.modulated | {("bias",): self.rgb_bias}).items():
                    if path != ("noise_strength",):
                        table[name + end] = tables.Place((block, "torgb", *path), layout)
            if architecture == "resnet" and r > 4:
                name = self.layer(r, "skip") + self.modulated["kernel",][0]
                table[name] = tables.Place((block, "skip", "kernel"), self.up)
        return table

    def discriminator(self, size: int, architecture: str, labels: bool) -> dict[str, tables.Place]:
        """The table of a discriminator."""
        table: dict[str, tables.Place] = {}
        for r in resolutions(size):
            layers = ["conv0", "conv1"] if r > 4 else ["conv"]
            if architecture == "skip" or r == size:
                layers.append("fromrgb")
            for layer in layers:
                kernel, bias = self.judge(size, r, layer)
                table[kernel] = tables.Place((f"b{r}", layer, "kernel"), self.kernel)
                table[bias] = tables.Place((f"b{r}", layer, "bias"), tables.SAME)
            if architecture == "resnet" and r > 4:
                kernel, _ = self.judge(size, r, "skip")
                table[kernel] = tables.Place((f"b{r}", "skip", "kernel"), self.kernel)
        table |= self._dense(("b4", "fc"), self.judge(size, 4, "fc"), self.flattened)
        table |= self._dense(("b4", "out"), self.judge(size, 4, "out"))
        if labels and self.embed is not None:
            table |= self._dense(("mapping", "embed"), self.embed)
            for k in range(LAYERS_OF_LABELS):
                table |= self._dense(("mapping", f"fc{k}"), self.labels(k))
        return table

    def _dense(
        self, path: tuple[str, ...], names: tuple[str, str], layout: tables.Layout | None = None
    ) -> dict[str, tables.Place]:
        return {
            names[0]: tables.Place((*path, "kernel"), layout or self.dense),
            names[1]: tables.Place((*path, "bias"), tables.SAME),
        }


def resolutions(size: int) -> list[int]:
    """The resolutions 4, 8, ..., size of the blocks."""
    return [2**k for k in range(2, size.bit_length())]


def _level(r: int) -> int:
    """0 for 4 px, 1 for 8 px and so on."""
    return r.bit_length() - 3


ADA = Scheme(
    title="StyleGAN2-ADA's PyTorch code",
    fc=lambda k: (f"mapping.fc{k}.weight", f"mapping.fc{k}.bias"),
    embed=("mapping.embed.weight", "mapping.embed.bias"),
    w_avg="mapping.w_avg",
    const=("synthesis.b4.const", tables.transposed(1, 2, 0)),
    layer=lambda r, layer: f"synthesis.b{r}.{layer}",
    modulated={
        ("kernel",): (".weight", tables.CONV),
        ("bias",): (".bias", tables.SAME),
        ("affine", "kernel"): (".affine.weight", tables.DENSE),
        ("affine", "bias"): (".affine.bias", tables.SAME),
        ("noise_strength",): (".noise_strength", tables.SAME),
    },
    up=tables.CONV,
    rgb_bias=(".bias", tables.SAME),
    noise=lambda r, layer: f"synthesis.b{r}.{layer}.noise_const",
    maps=tables.SAME,
    judge=lambda size, r, layer: (f"b{r}.{layer}.weight", f"b{r}.{layer}.bias"),
    kernel=tables.CONV,
    dense=tables.DENSE,
    flattened=_FLATTENED,
    labels=lambda k: (f"mapping.fc{k}.weight", f"mapping.fc{k}.bias"),
    ignored=r"(.*\.)?resample_filter",
    prescaled=False,
)


def _rosinality_layer(r: int, layer: str) -> str:
    k = _level(r)
    if layer == "torgb":
        return f"to_rgbs.{k - 1}" if k else "to_rgb1"
    return f"convs.{2 * k - 2 + (layer == 'conv1')}" if k else "conv1"


def _rosinality_judge(size: int, r: int, layer: str) -> tuple[str, str]:
    if r == 4:
        name = {"conv": "final_conv", "fc": "final_linear.0", "out": "final_linear.1"}.get(layer, layer)
        if layer == "conv":
            return f"{name}.0.weight", f"{name}.1.bias"
        return f"{name}.weight", f"{name}.bias"
    if layer == "fromrgb":
        return "convs.0.0.weight", "convs.0.1.bias"
    place = f"convs.{_level(size) - _level(r) + 1}"
    if layer == "conv0":
        return f"{place}.conv1.0.weight", f"{place}.conv1.1.bias"
    name = "skip" if layer == "skip" else "conv2"
    return f"{place}.{name}.1.weight", f"{place}.{name}.2.bias"


ROSINALITY = Scheme(
    title="rosinality's port",
    fc=lambda k: (f"style.{k + 1}.weight", f"style.{k + 1}.bias"),
    embed=None,
    w_avg="latent_avg",
    const=("input.input", tables.chain(_LEADING, tables.transposed(1, 2, 0))),
    layer=_rosinality_layer,
    modulated={
        ("kernel",): (".conv.weight", tables.chain(_LEADING, tables.CONV)),
        ("bias",): (".activate.bias", tables.SAME),
        ("affine", "kernel"): (".conv.modulation.weight", tables.DENSE),
        ("affine", "bias"): (".conv.modulation.bias", tables.SAME),
        ("noise_strength",): (".noise.weight", _LEADING),
    },
    up=tables.chain(_LEADING, tables.CONV),
    rgb_bias=(".bias", _VECTOR),
    noise=lambda r, layer: f"noises.noise_{max(2 * _level(r) - (layer == 'conv0'), 0)}",
    maps=tables.without_leading(2),
    judge=_rosinality_judge,
    kernel=tables.CONV,
    dense=tables.DENSE,
    flattened=_FLATTENED,
    labels=lambda k: ("", ""),  # it has none
    ignored=r"(.*\.)?kernel",
    prescaled=True,
)

_TF_LAYERS = {
    "conv0": "Conv0",
    "conv1": "Conv1_down",
    "skip": "Skip",
    "fromrgb": "FromRGB",
    "conv": "Conv",
    "fc": "Dense0",
}


def _tf_layer(r: int, layer: str) -> str:
    name = {"conv0": "Conv0_up", "conv1": "Conv1" if r > 4 else "Conv", "skip": "Skip", "torgb": "ToRGB"}[
        layer
    ]
    return f"synthesis/{r}x{r}/{name}"


def _tf_judge(size: int, r: int, layer: str) -> tuple[str, str]:
    name = "Output" if layer == "out" else f"{r}x{r}/{_TF_LAYERS[layer]}"
    return f"{name}/weight", f"{name}/bias"


TENSORFLOW = Scheme(
    title="StyleGAN2's TensorFlow code",
    fc=lambda k: (f"mapping/Dense{k}/weight", f"mapping/Dense{k}/bias"),
    embed=("mapping/LabelEmbed/weight", "mapping/LabelEmbed/bias"),
    w_avg="dlatent_avg",
    const=("synthesis/4x4/Const/const", tables.chain(_LEADING, tables.transposed(1, 2, 0))),
    layer=_tf_layer,
    modulated={
        ("kernel",): ("/weight", tables.SAME),
        ("bias",): ("/bias", tables.SAME),
        ("affine", "kernel"): ("/mod_weight", tables.SAME),
        ("affine", "bias"): ("/mod_bias", tables.plus(1.0)),
        ("noise_strength",): ("/noise_strength", tables.SAME),
    },
    up=_FLIPPED,
    rgb_bias=("/bias", tables.SAME),
    noise=lambda r, layer: f"synthesis/noise{max(2 * _level(r) - (layer == 'conv0'), 0)}",
    maps=tables.without_leading(2),
    judge=_tf_judge,
    kernel=tables.SAME,
    dense=tables.SAME,
    flattened=tables.chain(tables.DENSE, _FLATTENED),
    labels=lambda k: ("", ""),  # of other depths and multipliers; not taken
    ignored=r"(.*/)?lod",
    prescaled=True,
)


def ada_constants(size: int, architecture: str, discriminator: bool) -> dict[str, np.ndarray]:
    """{name: array} of the filters that ADA's classes keep beside the weights of G or of D."""
    names = []
    for r in resolutions(size):
        block = f"b{r}" if discriminator else f"synthesis.b{r}"
        layers = ["conv0", "conv1"] if r > 4 else ["conv"] if discriminator else ["conv1"]
        if discriminator and (architecture == "skip" or r == size):
            layers.append("fromrgb")
        if architecture == "resnet" and r > 4:
            layers.append("skip")
        names += [f"{block}.{layer}" for layer in layers]
        if r > 4 or not discriminator:
            names.append(block)
    return {f"{name}.resample_filter": FILTER.copy() for name in names}


def rosinality_constants(size: int, discriminator: bool) -> dict[str, np.ndarray]:
    """{name: array} of the filters that rosinality's classes keep beside the weights of G or of D."""
    blocks = range(1, _level(size) + 1)
    if discriminator:
        names = [f"convs.{k}.{layer}.0.kernel" for k in blocks for layer in ("conv2", "skip")]
        return {name: FILTER.copy() for name in names}
    names = [x for k in blocks for x in (f"convs.{2 * k - 2}.conv.blur", f"to_rgbs.{k - 1}.upsample")]
    return {f"{name}.kernel": 4 * FILTER for name in names}
