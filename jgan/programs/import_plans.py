"""What run the nets of files make together: the system, its config, and which net is which."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import pathlib
from typing import NamedTuple

import ml_collections

import jgan
from jgan.weights import tables

_DROPOUT = 0.5  # of the old tool's nets that have any
_SIZE = 256  # its crops


class Choices(NamedTuple):
    """What no file says. The defaults are those of the tools that wrote the files.

    Attributes:
        direction: of pairs, `AtoB` or `BtoA`: the name of the way of a single generator.
        statistics: what normalises when pictures are made: each `image`, as batch norm in train mode does with a batch
            of one, or the `running` averages, as in eval mode.
        dropout: whether dropout is on when pictures are made; None: if the net has any, as the old tool's test has it.
        size: pixels a side for training; 0: 256, or what the net needs.
        inverted: grey pictures of iGAN are stored as 255 minus what people see.
        palette: JSON file of the colours of classes, for scores.
        names: of the classes of a generator with labels; empty: their numbers.
    """

    direction: str = "AtoB"
    statistics: str = "image"
    dropout: bool | None = None
    size: int = 0
    inverted: bool = True
    palette: str = ""
    names: tuple[str, ...] = ()


class Found(NamedTuple):
    """A net and the file that it is from."""

    path: str
    part: tables.Part


def _update(config: ml_collections.ConfigDict, parts: Sequence[tables.Part]) -> None:
    """Sets the fields of a config that nets were recognised by."""
    for part in parts:
        config.update_from_flattened_dict(dict(part.fields))


def _named(found: Sequence[Found], net: str) -> dict[str, Found]:
    """{"A", "B" or "": net} of the files of one kind of net, by the ends of their names.

    Raises:
        jgan.UserError: two have the same end.
    """
    nets: dict[str, Found] = {}
    for one in found:
        if one.part.net == net:
            stem = pathlib.Path(one.path).stem
            side = stem[-1] if stem[-2:] in ("_A", "_B") else ""
            if side in nets:
                raise jgan.UserError(
                    f"{nets[side].path} and {one.path} both hold a {net}: those of a CycleGAN have names that end in "
                    "_A and _B."
                )
            nets[side] = one
    return nets


def translation(
    found: Sequence[Found], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> tuple[ml_collections.ConfigDict, dict[str, Found]]:
    """The config and the nets of a pix2pix or a CycleGAN."""
    generators, judges = _named(found, "generator"), _named(found, "discriminator")
    if not generators:
        raise jgan.UserError(
            f"{found[0].path} holds a discriminator alone, which makes no pictures: add --input=G."
        )
    pair = len(generators) > 1
    if pair and set(generators) != {"A", "B"}:
        names = " and ".join(one.path for one in generators.values())
        raise jgan.UserError(
            f"{names} hold generators: those of a CycleGAN have names that end in _A and _B."
        )
    _check_no_names(choices)
    if pair and choices.direction != Choices().direction:
        raise jgan.UserError(f"--direction={choices.direction} goes with a single generator alone.")
    config = configs("cyclegan" if pair else "pix2pix")
    for nets in (generators, judges):
        _same(list(nets.values()))
        _update(config, [one.part for one in nets.values()])
    first = next(iter(generators.values())).part if not pair else generators["A"].part
    source, output = first.facts["input channels"], first.facts["output channels"]
    config.data.channels = (source, output)
    unet = "unet" in config.generator.name
    size = choices.size or max(_SIZE, 2**config.generator.levels if unet else 0)
    config.data.size, config.data.load_size = size, size * 286 // 256
    if unet:
        # It stands at levels 5 and more but the last.
        asked = config.generator.levels > 5 and (not pair if choices.dropout is None else choices.dropout)
        config.generator.dropout = _DROPOUT if asked else 0.0
    if pair:
        back = generators["B"].part.facts
        if (back["input channels"], back["output channels"]) != (output, source):
            raise jgan.UserError(
                f"{generators['B'].path} does not lead back: {generators['A'].path} makes {output} channels of "
                f"{source}."
            )
        # D_A of the old tool judges B, what G_A makes.
        nets = {"generator_ab": generators["A"], "generator_ba": generators["B"]}
        nets |= {f"discriminator_{'ba'['AB'.index(side)]}": one for side, one in _sided(judges).items()}
        return config, nets
    config.data.direction = choices.direction
    nets = {"generator": next(iter(generators.values()))}
    if judges:
        if len(judges) > 1:
            raise jgan.UserError(
                "one generator and two discriminators: a CycleGAN has two generators as well."
            )
        if {*generators, *judges} == {"A", "B"}:
            # D_A of the old tool judges what G_A makes.
            paths = [next(iter(nets.values())).path for nets in (generators, judges)]
            raise jgan.UserError(
                f"{paths[1]} does not judge what {paths[0]} makes: the names of both end in _A, or in _B."
            )
        nets["discriminator"] = judge = next(iter(judges.values()))
        seen = judge.part.facts["input channels"]
        if seen not in (output, source + output):
            raise jgan.UserError(
                f"{judge.path} judges pictures of {seen} channels; with a generator that makes {output} of {source} it "
                f"would be {source + output}, or {output} without the input."
            )
        config.discriminator.conditional = seen != output
    return config, nets


def _sided(judges: Mapping[str, Found]) -> Mapping[str, Found]:
    """Discriminators of a CycleGAN, each with its side."""
    if "" in judges:
        raise jgan.UserError(
            f"{judges[''].path}: discriminators of a CycleGAN have names that end in _A and _B."
        )
    return judges


def _same(found: Sequence[Found]) -> None:
    """Refuses two nets of a CycleGAN that differ in more than their channels."""
    if len(found) == 2 and found[0].part.fields != found[1].part.fields:
        one, other = found
        different = [
            f"{name} {value!r} and {other.part.fields.get(name)!r}"
            for name, value in one.part.fields.items()
            if other.part.fields.get(name) != value
        ]
        raise jgan.UserError(f"{one.path} and {other.path} are different nets: {', '.join(different)}.")


def stylegan2(
    found: Sequence[Found], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> tuple[ml_collections.ConfigDict, dict[str, Found]]:
    """The config and the nets of a StyleGAN2."""
    nets = _once(found)
    if "synthesis" not in nets:
        raise jgan.UserError(
            f"{found[0].path} holds a discriminator alone, which makes no pictures: add --input=G."
        )
    config = configs("stylegan2")
    _update(config, [one.part for one in nets.values()])
    _check_single(choices, config)
    config.data.load_size = config.data.size
    config.data.channels = (nets["synthesis"].part.facts["channels"],)
    if labels := nets["mapping"].part.facts["labels"]:
        if choices.names and len(choices.names) != labels:
            raise jgan.UserError(
                f"--names has {len(choices.names)} names, and the generator has {labels} classes."
            )
        if len(set(choices.names)) < len(choices.names):
            raise jgan.UserError("--names has the same name twice.")
        config.data.kind = "labelled"
        config.data.names = choices.names or tuple(map(str, range(labels)))
    else:
        _check_no_names(choices)
    return config, nets


def dcgan(
    found: Sequence[Found], configs: Callable[[str], ml_collections.ConfigDict], choices: Choices
) -> tuple[ml_collections.ConfigDict, dict[str, Found]]:
    """The config and the nets of iGAN's DCGAN."""
    nets = _once(found)
    for net, (path, part) in list(nets.items()):
        if not any(place.kind == "stats" for place in part.table.values()):
            if net == "generator":
                raise jgan.UserError(
                    f"{path} has no statistics of the generator's norms: --input=gen_batchnorm beside it would work."
                )
            del nets[net]
    if "generator" not in nets:
        raise jgan.UserError(
            f"{found[0].path} holds no generator, and nothing else makes pictures: add --input=G."
        )
    config = configs("dcgan:igan64")
    _update(config, [one.part for one in nets.values()])
    _check_single(choices, config)
    _check_no_names(choices)
    config.data.load_size = config.data.size
    config.data.channels = (nets["generator"].part.facts["channels"],)
    if "predictor" not in nets:
        learnt = config.predictor.warm_steps + config.predictor.steps + config.predictor.statistics_steps
        config.steps -= learnt
        config.predictor.update({"warm_steps": 0, "steps": 0, "statistics_steps": 0})
    return config, nets


def _check_single(choices: Choices, config: ml_collections.ConfigDict) -> None:
    """Refuses flags that have no effect on a generator of pictures out of codes."""
    if choices.size not in (0, config.data.size):
        raise jgan.UserError(
            f"--size={choices.size}: the generator makes pictures of {config.data.size} px and no others."
        )
    if choices.direction != Choices().direction:
        raise jgan.UserError(
            f"--direction={choices.direction} is of pairs, and the generator makes pictures of codes."
        )


def _check_no_names(choices: Choices) -> None:
    """Refuses names of classes where there are none."""
    if choices.names:
        raise jgan.UserError("--names: the generator has no classes.")


def _once(found: Sequence[Found]) -> dict[str, Found]:
    """{net: where it is}, each from one file."""
    nets: dict[str, Found] = {}
    for one in found:
        if one.part.net in nets:
            raise jgan.UserError(f"{nets[one.part.net].path} and {one.path} both hold a {one.part.net}.")
        nets[one.part.net] = one
    return nets


PLANS = {"translation": translation, "stylegan2": stylegan2, "dcgan": dcgan}
