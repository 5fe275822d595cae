"""The nets of a run in the names of the tools that people have, so that these load what was trained here.

written = export_names.write(trained.load("RUN"), "OUT", "pth")      # {file: what loads it}
"""

from collections.abc import Callable
from collections.abc import Mapping
import importlib
import io
from typing import Any
from typing import NamedTuple

import numpy as np
import safetensors.numpy

import jgan
from jgan import output
from jgan import trained
from jgan.data import outputs
from jgan.runs import config as run_config
from jgan.systems import adversarial
from jgan.weights import stylegan2_export
from jgan.weights import tables
from jgan.weights import translation

FORMATS = ("safetensors", "pth")
NAMES = ("ada", "rosinality")


class File(NamedTuple):
    """A file to be written.

    Attributes:
        parts: {"": tensors}, or several state dicts by their names.
        loaded: what loads it, for people.
    """

    parts: Mapping[str, Mapping[str, np.ndarray]]
    loaded: str


def write(run: trained.Run, directory: str, form: str, names: str = "ada") -> dict[str, str]:
    """Writes a file for each net that generates or judges.

    Args:
        run: of pix2pix, CycleGAN or StyleGAN2.
        directory: made if missing.
        form: one of `FORMATS`; `pth` needs PyTorch.
        names: of a StyleGAN2, one of `NAMES`.

    Returns:
        {file: what loads it}.

    Raises:
        jgan.UserError: another system, a net that the tools do not have, no PyTorch, or a directory that is in use.
    """
    if form not in FORMATS:
        raise jgan.UserError(f"--format={form}: {' and '.join(FORMATS)} would work.")
    made = {"pix2pix": _pix2pix, "cyclegan": _cyclegan, "stylegan2": lambda run: _stylegan2(run, names)}
    if run.config.system not in made:
        raise jgan.UserError(
            f"--format={form}: a run of {run.config.system} has no names in other tools; those of "
            f"{', '.join(made)} have, and --format=run and --format=stablehlo write any."
        )
    save = _torch() if form == "pth" else _safetensors
    described = made[run.config.system](run)
    folder = outputs.make(directory, *run_config.searched(run.config))
    described = {f"{name}.{form}": file for name, file in described.items()}
    used = [name for name in described if (folder / name).exists()]
    if used:
        raise jgan.UserError(f"--output={directory} holds {used[0]} already: name another directory.")
    written: list[str] = []
    try:
        for name, file in described.items():
            output.replace(folder / name, save(file.parts))
            written.append(name)
    except BaseException:  # such as of a full disk: all of the files or none
        for name in written:
            (folder / name).unlink()
        raise
    return {name: file.loaded for name, file in described.items()}


def _safetensors(parts: Mapping[str, Mapping[str, np.ndarray]]) -> bytes:
    """The bytes of a file of safetensors, with the name of a part in front of its tensors."""
    return safetensors.numpy.save(
        {
            f"{part}.{name}" if part and name else part or name: x
            for part, tensors in parts.items()
            for name, x in tensors.items()
        }
    )


def _torch() -> Callable[[Mapping[str, Mapping[str, np.ndarray]]], bytes]:
    """What makes the bytes of a file of torch.save."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise jgan.UserError(
            "--format=pth needs PyTorch, which is not installed: pip install torch, or --format=safetensors."
        ) from None

    def save(parts: Mapping[str, Mapping[str, np.ndarray]]) -> bytes:
        def tensors(part: Mapping[str, np.ndarray]) -> Any:
            found = {name: torch.from_numpy(np.array(x)) for name, x in part.items()}
            return found[""] if list(found) == [""] else found

        value = {part: tensors(x) for part, x in parts.items()}
        buffer = io.BytesIO()
        torch.save(value[""] if list(value) == [""] else value, buffer)
        return buffer.getvalue()

    return save


def _net(
    run: trained.Run, net: str, described: tuple[tables.Table, Mapping[str, np.ndarray]]
) -> Mapping[str, Mapping[str, np.ndarray]]:
    """The tensors of a net by its table, and the constants that a strict load wants."""
    table, constants = described
    return {"": tables.pour(run.weights, tables.below(net, table)) | dict(constants)}


def _options(run: trained.Run) -> str:
    """How the old tool is asked for the generator of a run."""
    g = run.config.generator
    name = {"unet_128": "unet_128", "unet_256": "unet_256"}.get(g.name, g.name)
    dropout = "" if g.dropout else " --no_dropout"
    return f"--netG {name} --ngf {g.ngf} --norm {g.norm}{dropout}"


def _pix2pix(run: trained.Run) -> dict[str, File]:
    """The files of a pix2pix."""
    config = run.config
    loaded = (
        f"pytorch-CycleGAN-and-pix2pix, --model pix2pix --direction {config.data.direction} {_options(run)}"
    )
    made = {
        "latest_net_G": File(_net(run, "generator", translation.generator_table(config.generator)), loaded)
    }
    if "discriminator" in run.weights["params"]:
        norm = adversarial.norm(config.discriminator.norm, config.loss)
        table = translation.discriminator_table(config.discriminator, norm)
        made["latest_net_D"] = File(_net(run, "discriminator", table), loaded)
    return made


def _cyclegan(run: trained.Run) -> dict[str, File]:
    """The files of a CycleGAN; D_A of the old tool judges B."""
    config = run.config
    loaded = f"pytorch-CycleGAN-and-pix2pix, --model cycle_gan {_options(run)}"
    made = {}
    for name, net in (("A", "generator_ab"), ("B", "generator_ba")):
        table = translation.generator_table(config.generator)
        made[f"latest_net_G_{name}"] = File(_net(run, net, table), loaded)
    for name, net in (("A", "discriminator_b"), ("B", "discriminator_a")):
        if net in run.weights["params"]:
            table = translation.discriminator_table(config.discriminator)
            made[f"latest_net_D_{name}"] = File(_net(run, net, table), loaded)
    return made


def _stylegan2(run: trained.Run, names: str) -> dict[str, File]:
    """The files of a StyleGAN2."""
    labels = len(run.config.data.names) if run.config.data.kind == "labelled" else 0
    nets = stylegan2_export.exported(run.config, names, labels)
    if run.absent:
        nets.pop("discriminator")
    states = {net: stylegan2_export.state_dict(run.weights, found) for net, found in nets.items()}
    told = {
        net: " ".join(
            [f"{net.title()}({', '.join(f'{k}={v!r}' for k, v in found.arguments.items())})", *found.remarks]
        )
        for net, found in nets.items()
    }
    if names == "ada":
        files = {"generator": "G_ema", "discriminator": "D"}
        return {
            files[net]: File({"": state}, f"StyleGAN2-ADA's {told[net]}") for net, state in states.items()
        }
    parts: dict[str, Mapping[str, np.ndarray]] = {"g_ema": states["generator"]}
    for name, x in tables.pour(run.weights, nets["generator"].beside).items():
        parts[name] = {"": x}
    if "discriminator" in states:
        parts["d"] = states["discriminator"]
    return {"stylegan2": File(parts, f"rosinality's {'; '.join(told.values())}")}
