"""Nets of pytorch-CycleGAN-and-pix2pix and of CUT: known by the names and shapes in a file, and written for both.

What a net is is found by trial: each form that it may have says which tensors it has, and the form that fits the file
best is taken. A tensor more or less is then in the sentence of `tables.fill`, and nothing is guessed.
"""

import collections
from collections.abc import Iterator
from collections.abc import Mapping
import itertools
import re
from typing import Any

import numpy as np

import jgan
from jgan.weights import files
from jgan.weights import tables
from jgan.weights import translation_forms as forms
from jgan.weights.translation_forms import Form

# Depths of the nets that are recognised: of a U-Net, a ResNet and a discriminator of patches.
_LEVELS, _BLOCKS, _LAYERS = range(2, 13), range(1, 100), range(1, 7)
_CHANNELS = 2**13  # no picture and no layer of this family has more
_TENSORS = 4096  # the deepest of these nets has fewer
_NORMS = ("batch", "instance", "none", "affine")
_SIZES = {6: "unet_64", 7: "unet_128", 8: "unet_256"}
_NAMED = (6, 9)  # blocks of ResNets with a name of their own
_WRAPPED = re.compile(
    r"(?:module\.|_orig_mod\.)*"
)  # what data parallelism and compilation put in front of all names
_HEADS = re.compile(r"mlp_\d+\.[02]\.(weight|bias)")
_BLOCK = re.compile(r"model\.(\d{1,4})\.conv_block\..*")


def recognise(tree: Any) -> list[tables.Part] | None:
    """The nets of a file, by names and shapes alone; None if it has none of this family.

    Args:
        tree: nested dicts, lists and tuples with tensors: the names of one net at the top or one level below.

    Raises:
        jgan.UserError: the heads of CUT's training, an instance norm with weights, or filters that are not those that
            jgan has.
    """
    parts = []
    for under, entries in _state_dicts(tree):
        part = _recognised(entries)
        if part is not None:
            parts.append(part._replace(facts={**part.facts, "found under": under}) if under else part)
    return parts or None


def generator_table(config: Any) -> tuple[tables.Table, dict[str, np.ndarray]]:
    """How the old tools store the generator that the `generator` part of a config describes.

    Returns:
        The place of each tensor among our weights, and {name: constant} of what their nets have to load besides.

    Raises:
        jgan.UserError: they have no such generator.
    """
    name, up = config.name, config.get("antialias_up", "auto")
    sizes = {"unet": config.levels, **{size: levels for levels, size in _SIZES.items()}}
    blocks = {"resnet": config.get("blocks", 9), **{f"resnet_{k}blocks": k for k in _NAMED}}
    odd = [f"where_add={config.where_add}"] if config.get("where_add") else []
    if name in sizes:
        form = Form("unet", sizes[name], config.norm)
        odd += ["antialias=True"] if config.antialias else []
        odd += ["antialias_up=on"] if up == "on" else []
    elif name in blocks:
        filtered = config.antialias if up == "auto" else up == "on"
        form = Form("resnet", blocks[name], config.norm, config.dropout > 0, config.antialias, filtered)
    else:
        raise jgan.UserError(f"generator {name} is none of the old tools': a U-Net or a ResNet would be.")
    odd += [f"upsample={config.upsample}"] if config.upsample != "transposed" and not form.up else []
    if odd:
        raise jgan.UserError(f"generator {name} with {', '.join(odd)} is none of the old tools'.")
    return forms.table(form), forms.constants(form, config.ngf)


def discriminator_table(config: Any, norm: str | None = None) -> tuple[tables.Table, dict[str, np.ndarray]]:
    """The same of the `discriminator` part of a config.

    Args:
        config: that part.
        norm: its norm, where the config leaves it to the loss (`auto`).

    Raises:
        jgan.UserError: the old tools have no such discriminator.
    """
    name, filtered = config.name, config.antialias and config.name == "patch"
    odd = [f"scales={config.scales}"] if config.get("scales", 1) > 1 else []
    if filtered and config.get("antialias_place", "before") == "before":
        odd.append("antialias_place=before")
    if odd:
        raise jgan.UserError(f"discriminator {name} with {', '.join(odd)} is none of the old tools'.")
    form = Form(name, config.n_layers if name == "patch" else 0, norm or config.norm, down=filtered)
    return forms.table(form), forms.constants(form, config.ndf)


def _state_dicts(tree: Any) -> Iterator[tuple[str, dict[str, files.Entry]]]:
    """(the name of the whole, {name: tensor}) of the nets in a file, without what wrappers put in front of names."""
    branches = [("", tree)]
    if isinstance(tree, Mapping):
        branches += tree.items()
    elif isinstance(tree, (list, tuple)):
        branches += [(str(k), x) for k, x in enumerate(tree)]
    for under, branch in branches:
        if not isinstance(branch, Mapping):
            continue
        entries = {
            name if isinstance(name, str) else f"a name of type {type(name).__name__}": entry
            for name, entry in branch.items()
            if isinstance(entry, files.Entry)
        }
        fronts = {_WRAPPED.match(name)[0] for name in entries}
        if len(fronts) == 1:
            (front,) = fronts
            entries = {name.removeprefix(front): entry for name, entry in entries.items()}
        if entries:
            yield ascii(under)[1:-1][:60] if isinstance(under, str) else type(under).__name__, entries


def _recognised(entries: Mapping[str, files.Entry]) -> tables.Part | None:
    """The net that a state dict is of."""
    if all(map(_HEADS.fullmatch, entries)):
        raise jgan.UserError(
            "these are the heads of PatchNCE (netF of CUT), which are not needed: only the training of the old tool "
            "uses them, and the file of its G would work."
        )
    if len(entries) > _TENSORS:
        return None
    form, sizes, least = None, {}, float("inf")
    for candidate in _candidates(entries):
        found, misfit = _misfit(candidate, entries)
        if misfit < least:
            form, sizes, least = candidate, found, misfit
    if form is None or max(sizes.values()) > _CHANNELS:
        return None
    if form.norm == "affine":
        raise jgan.UserError(
            f"this {form.title} has norms with weights behind convolutions with biases (affine instance norm), which "
            "jgan's nets do not have: one of batch norm, or of instance norm without weights, would work."
        )
    filters = {
        name: forms.concrete(tensor.shape, sizes)
        for name, tensor in forms.tensors(form).items()
        if tensor.place is None
    }
    wrong = [name for name, shape in filters.items() if not _is_filter(entries.get(name), shape)]
    if wrong:
        raise jgan.UserError(
            f"this {form.title} lacks the filters [1, 2, 1] and [1, 3, 3, 1] against aliasing that it should have "
            f"under {', '.join(wrong)}."
        )
    return tables.Part(
        system="translation",
        net=form.net,
        title=form.title,
        facts=_facts(form, sizes),
        fields={f"{form.net}.{name}": value for name, value in _fields(form, sizes["width"]).items()},
        entries={name: entry for name, entry in entries.items() if name not in filters},
        table=forms.table(form),
        ignored=forms.ignored(form).pattern,
    )


def _candidates(entries: Mapping[str, files.Entry]) -> Iterator[Form]:
    """The forms that such names leave possible, the likeliest first."""
    both = (False, True)
    if any(name.startswith("model.model.") for name in entries):
        yield from (Form("unet", levels, norm) for levels in _LEVELS for norm in _NORMS)
    elif blocks := {found[1] for found in map(_BLOCK.fullmatch, entries) if found}:
        depths = [depth for depth in (len(blocks), len(blocks) + 1, len(blocks) - 1) if depth in _BLOCKS]
        yield from itertools.starmap(Form, itertools.product(["resnet"], depths, _NORMS, both, both, both))
    elif any(name.startswith("model.0.") for name in entries):
        yield from (
            Form("patch", depth, norm, down=down) for down in both for depth in _LAYERS for norm in _NORMS
        )
    elif any(name.startswith("net.0.") for name in entries):
        yield from (Form("pixel", 0, norm) for norm in _NORMS)


def _misfit(form: Form, entries: Mapping[str, files.Entry]) -> tuple[dict[str, int], float]:
    """The numbers of channels of a form that most tensors agree on, and how many tensors then do not fit.

    A tensor of another shape counts twice: one is missing and one is there in vain. The misfit is infinite where less
    than half of the form is there, or more of what the form does not have.
    """
    tensors, ignored = forms.tensors(form), forms.ignored(form)
    votes: dict[str, collections.Counter[int]] = {}
    for name, tensor in tensors.items():
        shape = entries[name].shape if name in entries else ()
        if len(shape) != len(tensor.shape):
            continue
        pairs = list(zip(shape, tensor.shape, strict=True))
        if all(side == size for side, size in pairs if isinstance(size, int)):
            for side, size in pairs:
                if not isinstance(size, int) and side > 0 and side % size[1] == 0:
                    votes.setdefault(size[0], collections.Counter())[side // size[1]] += 1
    sizes = {name: counter.most_common(1)[0][0] for name, counter in votes.items()}
    asked = {size[0] for x in tensors.values() for size in x.shape if not isinstance(size, int)}
    if "width" not in sizes:
        return {}, float("inf")
    sizes |= dict.fromkeys(asked - sizes.keys(), 3)  # the layer is missing, and so is said
    known = [name for name in tensors if name in entries]
    fitting = sum(entries[name].shape == forms.concrete(tensors[name].shape, sizes) for name in known)
    surplus = sum(name not in tensors and not ignored.fullmatch(name) for name in entries)
    if 2 * fitting < len(tensors) or surplus > len(known):
        return {}, float("inf")
    return sizes, len(tensors) + len(known) - 2 * fitting + surplus


def _is_filter(entry: files.Entry | None, shape: tuple[int, ...]) -> bool:
    """Whether a tensor of a file is the filter of this shape."""
    if entry is None or entry.shape != shape or not entry.is_float:
        return False
    values = entry.read()
    return values.shape == shape and bool((values.astype(np.float32) == forms.binomial(shape)).all())


def _facts(form: Form, sizes: Mapping[str, int]) -> dict[str, Any]:
    """What a person wants to know of a net that was recognised."""
    facts: dict[str, Any] = {"input channels": sizes["in"]}
    if form.net == "generator":
        facts["output channels"] = sizes["out"]
    facts |= {"channels after the first layer": sizes["width"], "norm": form.norm}
    if form.name == "unet":
        facts["dropout"] = "not told by the file"
    if form.name == "resnet":
        facts["dropout"] = "in the blocks" if form.dropout else "none"
    if form.down or form.up:
        facts["anti-aliased"] = " and ".join(["down"] * form.down + ["up"] * form.up)
    return facts


def _fields(form: Form, width: int) -> dict[str, Any]:
    """{field: value} of the part of a config that builds such a net."""
    if form.name == "pixel":
        return {"name": "pixel", "ndf": width, "norm": form.norm, "antialias": False}
    if form.name == "patch":
        fields: dict[str, Any] = {"name": "patch", "n_layers": form.depth, "ndf": width, "norm": form.norm}
        return fields | {"antialias": form.down, "antialias_place": "after" if form.down else "before"}
    if form.name == "unet":
        fields = {"name": _SIZES.get(form.depth, "unet"), "levels": form.depth}
    else:
        name = f"resnet_{form.depth}blocks" if form.depth in _NAMED else "resnet"
        fields = {"name": name, "blocks": form.depth, "dropout": 0.5 if form.dropout else 0.0}
    up = "auto" if form.up == form.down else "on" if form.up else "off"
    fields |= {"ngf": width, "norm": form.norm, "upsample": "transposed"}
    return fields | {"antialias": form.down, "antialias_up": up}
