"""The nets in the files of iGAN, which Theano wrote: lists of arrays in the order in which its functions take them.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016). A kernel there is one of a true
convolution, which is turned round, and a transposed convolution is the input gradient of such a convolution with
padding 2 and stride 2. Activations have their channels first, also where a matrix takes or makes them.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import re
from typing import Any

import jgan
from jgan.weights import files
from jgan.weights import tables

_NETS = {"gen": "generator", "disc": "discriminator", "predict": "predictor"}
_KEYS = tuple(f"{net}_{kind}" for net in _NETS for kind in ("params", "batchnorm"))
_OLD = ("postlearn_params", "postlearn_predict_params")  # statistics, before the authors renamed them
_FILE = re.compile(r"((?:gen|disc|predict)_(?:params|batchnorm))(?:_[0-9]+)?")
_MOST = 5  # layers with a norm: 256 px
_KERNEL = (5, 5)

# [in, out, height, width] and [out, in, height, width], turned round, to [height, width, in, out].
_TRANSPOSED = tables.chain(tables.transposed(2, 3, 0, 1), tables.reversed_along(0, 1))
_CONVOLUTION = tables.chain(tables.CONV, tables.reversed_along(0, 1))

Lists = Mapping[str, Sequence[files.Entry]]


def recognise(tree: Any, inverted: bool = True) -> list[tables.Part] | None:
    """The nets of a file of iGAN; None where it is no such file.

    Statistics for inference are in the table of a net where the file has them. Otherwise the table has none, and facts
    tell it. A generator of one channel becomes one of pictures in [-1, 1] exactly. Discriminators and predictors of
    one channel see [0, 1] with 0 around the picture, which ours cannot do; they are left out, and facts tell it.

    Args:
        tree: what a pickle holds, with a `files.Entry` for each array: a `.dcgan_theano`, of today's or of the old
            keys (`postlearn_params`), or the bare list of `gen_params`, `disc_params` or `predict_params`.
        inverted: pictures of one channel are stored as 255 - grey, as the old tool did.

    Raises:
        jgan.UserError: it is a file of iGAN whose lists do not fit a net or one another.
    """
    lists = _lists(tree)
    if lists is None:
        return None
    parts, left_out = [], []
    if "gen_params" in lists:
        parts.append(_generator(lists, inverted))
    for key in ("disc", "predict"):
        if f"{key}_params" in lists:
            part = _encoder(lists, key)
            (left_out if part.facts["channels"] == 1 else parts).append(part)
    _agree([*parts, *left_out])
    if left_out:
        names = " and ".join(part.net for part in left_out)
        if not parts:
            raise jgan.UserError(
                f"the {names} of an iGAN for pictures of one channel sees them in [0, 1] with 0 around them, which no "
                "net here does: only the generator of such a model can be converted."
            )
        told = {**parts[0].facts, "left out": f"{names}: of one channel, which see [0, 1] with 0 around it"}
        parts[0] = parts[0]._replace(facts=told)
    return parts


def packed(lists: Mapping[str, Any]) -> dict[str, Any] | None:
    """The tree of a `.dcgan_theano` from what a cache of iGAN's training has in files of their own.

    Args:
        lists: {name of a file, such as `gen_params_025` or `gen_batchnorm`: the bare list in it}.

    Returns:
        {key: list}, which `recognise` takes; None where a file has another name.

    Raises:
        jgan.UserError: two files are of the same list.
    """
    made: dict[str, Any] = {}
    for name, entries in lists.items():
        match = _FILE.fullmatch(name)
        if match is None:
            return None
        if match[1] in made:
            raise jgan.UserError(
                f"two files hold {match[1]}: the one of the epoch that is wanted would work."
            )
        made[match[1]] = entries
    return made or None


def _lists(tree: Any) -> dict[str, Sequence[files.Entry]] | None:
    """The lists of a file by today's keys; None where it is no file of iGAN."""
    if isinstance(tree, (list, tuple)):
        key = _bare(tree)
        return None if key is None else {key: tree}
    if not isinstance(tree, Mapping) or not any(f"{net}_params" in tree for net in _NETS):
        return None
    unknown = [ascii(str(key))[1:-1][:60] for key in tree if key not in _KEYS + _OLD]
    if unknown:
        raise jgan.UserError(f"the iGAN file has beyond its own {', '.join(unknown[:12])}.")
    found = {key: tree[key] for key in _KEYS if key in tree}
    if _OLD[0] in tree:
        both = tree[_OLD[0]]
        if not isinstance(both, (list, tuple)) or len(both) != 2:
            raise jgan.UserError(
                f"{_OLD[0]} of the iGAN file is no pair of the discriminator's and the generator's statistics."
            )
        found = {"disc_batchnorm": both[0], "gen_batchnorm": both[1]} | found
    if _OLD[1] in tree:
        found = {"predict_batchnorm": tree[_OLD[1]]} | found
    for key, entries in found.items():
        if not isinstance(entries, (list, tuple)) or not all(isinstance(x, files.Entry) for x in entries):
            raise jgan.UserError(f"{key} of the iGAN file is no list of arrays.")
    for key in found:
        params = f"{key.split('_')[0]}_params"
        if params not in found:
            raise jgan.UserError(f"the iGAN file has {key} and no {params}.")
    return found


def _bare(entries: Sequence[Any]) -> str | None:
    """Which list of parameters it is, by its shapes; None if it is none."""
    if len(entries) < 2 or not all(isinstance(entry, files.Entry) for entry in entries):
        return None
    first, last = entries[0].shape, entries[-1].shape
    if len(first) == 2 and len(last) == 4 and last[2:] == _KERNEL:
        return "gen_params"
    if len(first) == 4 and len(last) == 2 and first[2:] == _KERNEL:
        return "disc_params" if last[1] == 1 else "predict_params"
    return None


def _generator(lists: Lists, inverted: bool) -> tables.Part:
    """G, whose last kernel is changed for pictures of one channel.

    With a sigmoid such pictures are s(x) in [0, 1], stored as 1 - grey; 2 (1 - s(x)) - 1 is tanh(-x / 2).
    """
    key, params = "gen_params", lists["gen_params"]
    layers = _layers(key, params, 4)
    nz, _ = _shape(key, params, 0, "a matrix", (None, None))
    width, channels, *_ = _shape(key, params, -1, "a kernel of 5x5", (None, None, *_KERNEL))
    _check_channels(key, channels)
    top = width * 2**layers
    table = {
        f"{key}[0]": tables.Place(("dense", "kernel"), _columns(top)),
        f"{key}[1]": tables.Place(("dense_norm", "scale"), _units(top)),
        f"{key}[2]": tables.Place(("dense_norm", "bias"), _units(top)),
    }
    for k in range(1, layers + 1):
        table |= _layer(key, 3 * k, f"up_{k}", f"up_norm_{k}", _TRANSPOSED)
    last = _TRANSPOSED
    if channels == 1:
        last = tables.chain(last, tables.times(-0.5 if inverted else 0.5))
    table[f"{key}[{len(params) - 1}]"] = tables.Place((f"up_{layers + 1}", "kernel"), last)
    norms = [("dense_norm", _units(top)), *((f"up_norm_{k}", tables.SAME) for k in range(1, layers + 1))]
    facts: dict[str, Any] = {"codes": f"{nz} numbers in [-1, 1]"}
    if channels == 1:
        facts["stored pictures"] = "inverted" if inverted else "as they are"
    fields = {
        "latent.nz": nz,
        "latent.prior": "uniform",
        "generator.ngf": width,
        "generator.kernel": 5,
        "ema": 0.0,
    }
    return _part(lists, "gen", layers, channels, width, norms, table, facts, fields)


def _encoder(lists: Lists, net: str) -> tables.Part:
    """D, or P, which has the same layers below another matrix."""
    key = f"{net}_params"
    params, name = lists[key], _NETS[net]
    layers = _layers(key, params, 2)
    width, channels, *_ = _shape(key, params, 0, "a kernel of 5x5", (None, None, *_KERNEL))
    _check_channels(key, channels)
    _, outputs = _shape(
        key, params, -1, "a matrix" if net == "predict" else "a column", (None, 1 if net == "disc" else None)
    )
    table = {f"{key}[0]": tables.Place(("conv_1", "kernel"), _CONVOLUTION)}
    for k in range(1, layers + 1):
        table |= _layer(key, 3 * k - 2, f"conv_{k + 1}", f"norm_{k + 1}", _CONVOLUTION)
    table[f"{key}[{len(params) - 1}]"] = tables.Place(("dense", "kernel"), _rows(width * 2**layers))
    norms = [(f"norm_{k + 1}", tables.SAME) for k in range(1, layers + 1)]
    fields: dict[str, Any] = {f"{name}.ndf": width, f"{name}.kernel": 5}
    facts: dict[str, Any] = {}
    if net == "disc":
        fields["discriminator.norm"] = "batch"
    else:
        facts["codes"] = f"{outputs} numbers in [-1, 1]"
        fields |= {"latent.nz": outputs, "latent.prior": "uniform", "predictor.steps": 1}
    return _part(lists, net, layers, channels, width, norms, table, facts, fields)


def _part(
    lists: Lists,
    net: str,
    layers: int,
    channels: int,
    width: int,
    norms: Sequence[tuple[str, tables.Layout]],
    table: Mapping[str, tables.Place],
    facts: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> tables.Part:
    """A net with its statistics, all means before all variances, where the file has them."""
    key, size, table = f"{net}_batchnorm", 8 * 2**layers, dict(table)
    entries = _named(f"{net}_params", lists[f"{net}_params"])
    if key in lists:
        if len(lists[key]) != 2 * len(norms):
            raise jgan.UserError(
                f"{key} of the iGAN file has {len(lists[key])} arrays, and {2 * len(norms)} means and variances "
                f"belong to its {_NETS[net]}."
            )
        entries |= _named(key, lists[key])
        for k, (norm, layout) in enumerate(norms):
            table[f"{key}[{k}]"] = tables.Place((norm, "mean"), layout, "stats")
            table[f"{key}[{len(norms) + k}]"] = tables.Place((norm, "variance"), layout, "stats")
    told = {
        "size": f"{size} px",
        "channels": channels,
        "width": width,
        **facts,
        "statistics": "those of the file" if key in lists or not norms else "none in the file",
    }
    shared = {
        "data.size": size,
        "data.load_size": size,
        "data.channels": (channels,),
        "norm_epsilon": 1e-8,
    }
    return tables.Part(
        system="dcgan",
        net=_NETS[net],
        title=f"iGAN's {_NETS[net]} of {size} px",
        facts=told,
        fields={**shared, **fields},
        entries=entries,
        table=table,
    )


def _layer(key: str, first: int, conv: str, norm: str, layout: tables.Layout) -> dict[str, tables.Place]:
    """The places of a kernel and of the gains and offsets after it, from a place of the list on."""
    return {
        f"{key}[{first}]": tables.Place((conv, "kernel"), layout),
        f"{key}[{first + 1}]": tables.Place((norm, "scale"), tables.SAME),
        f"{key}[{first + 2}]": tables.Place((norm, "bias"), tables.SAME),
    }


def _named(key: str, entries: Iterable[files.Entry]) -> dict[str, files.Entry]:
    """The arrays of a list by names that sentences show."""
    return {f"{key}[{k}]": entry for k, entry in enumerate(entries)}


def _layers(key: str, params: Sequence[files.Entry], others: int) -> int:
    """How many layers with a norm the list has, beside so many other arrays."""
    layers, rest = divmod(len(params) - others, 3)
    if rest or not 0 <= layers <= _MOST:
        known = ", ".join(str(others + 3 * k) for k in range(_MOST + 1))
        raise jgan.UserError(f"{key} of the iGAN file has {len(params)} arrays: nets have {known} of them.")
    return layers


def _shape(
    key: str, params: Sequence[files.Entry], place: int, what: str, wanted: tuple[int | None, ...]
) -> tuple[int, ...]:
    """The shape of an array of a list, all of whose lengths have to be as wanted or, for None, above 0."""
    shape = params[place].shape
    fits = len(shape) == len(wanted)
    if not fits or not all(x >= 1 and w in (None, x) for x, w in zip(shape, wanted, strict=True)):
        found = "x".join(map(str, shape)) or "a single number"
        raise jgan.UserError(f"{key}[{place % len(params)}] of the iGAN file is {found} and not {what}.")
    return shape


def _check_channels(key: str, channels: int) -> None:
    """Refuses numbers of channels that iGAN does not have."""
    if channels not in (1, 3):
        raise jgan.UserError(
            f"{key} of the iGAN file is of {channels} channels: iGAN has pictures of 1 or 3."
        )


def _agree(parts: Sequence[tables.Part]) -> None:
    """Refuses nets that cannot be of one model."""
    for k, part in enumerate(parts):
        for other in parts[:k]:
            for field in part.fields:
                ours, theirs = part.fields[field], other.fields.get(field, part.fields[field])
                if ours != theirs:
                    raise jgan.UserError(
                        f"the nets of the iGAN file do not belong together: {field} is {theirs} for its "
                        f"{other.net} and {ours} for its {part.net}."
                    )


def _units(top: int) -> tables.Layout:
    """One number for each of [top, 4, 4] units, to the order [4, 4, top]."""
    return tables.Layout(
        lambda x: x.reshape(top, 4, 4).transpose(1, 2, 0).reshape(-1),
        lambda x: x.reshape(4, 4, top).transpose(2, 0, 1).reshape(-1),
    )


def _columns(top: int) -> tables.Layout:
    """A matrix whose outputs are such units."""
    return tables.Layout(
        lambda x: x.reshape(-1, top, 4, 4).transpose(0, 2, 3, 1).reshape(-1, 16 * top),
        lambda x: x.reshape(-1, 4, 4, top).transpose(0, 3, 1, 2).reshape(-1, 16 * top),
    )


def _rows(top: int) -> tables.Layout:
    """A matrix whose inputs are such units."""
    return tables.Layout(
        lambda x: x.reshape(top, 4, 4, -1).transpose(1, 2, 0, 3).reshape(16 * top, -1),
        lambda x: x.reshape(4, 4, top, -1).transpose(2, 0, 1, 3).reshape(16 * top, -1),
    )
