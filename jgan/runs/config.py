"""The run directory: the config it was made with, and what may differ when it is continued."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import json
import os
import types
from typing import Any
from typing import NamedTuple

import ml_collections

import jgan
from jgan import paths

# Fields that may change when a run continues. Run length, logging, saving and the speed of input change no step that
# was already taken. The data are recognised not by where they lie or by what is done about bad files, but by the files
# in use and their labels: `check_files`.
FREE = frozenset(
    {
        "steps",
        "log_every",
        "sample_every",
        "validate_every",
        "save_every",
        "keep",
        "best",
        "val_examples",
        "data.root",
        "data.attributes",
        "data.skip_bad",
        "data.cache_gib",
        "data.cache_dir",
        "data.workers",
        "palette.file",
    }
)

# Fields that hold names. A flag makes numbers of names that look like numbers.
_LARGEST = 3e38  # numbers of float32 end there
NAMES = ("data.names", "data.exclusive", "data.families", "continuous")


def read(workdir: str) -> ml_collections.ConfigDict:
    """The config of the run in `workdir`.

    Raises:
        jgan.UserError: there is no run, or its config cannot be read.
    """
    path = os.path.join(workdir, "config.json")
    try:
        with paths.of(path).open(encoding="utf-8") as file:
            fields = json.load(file)
        config = ml_collections.ConfigDict(_tuples(fields["config"]))
        if not isinstance(config.get("system"), str):
            raise ValueError("it names no system")
        return config
    except (FileNotFoundError, NotADirectoryError):
        raise jgan.UserError(
            f"{workdir} holds no run: name the --workdir of a training that wrote config.json."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise jgan.UserError(f"{path} cannot be read as the config of a run: {reason}.") from None


def parse_steps(text: str, flag: str) -> range:
    """The steps START to STOP - 1 of a flag's text START:STOP.

    Raises:
        jgan.UserError: the text says no such steps.
    """
    start, _, stop = text.partition(":")
    steps = range(int(start), int(stop)) if start.isdecimal() and stop.isdecimal() else range(0)
    if not steps:
        raise jgan.UserError(
            f"--{flag}={text}: START:STOP with whole numbers from 0 on, START below STOP, would work, such as 10:20."
        )
    return steps


def parse_step(text: str) -> int | str:
    """The checkpoint a flag names: `latest`, `best` or a step."""
    if text in ("latest", "best"):
        return text
    try:
        return int(text)
    except ValueError:
        raise jgan.UserError(f"--step={text}: use latest, best or a number.") from None


def write(workdir: str, config: ml_collections.ConfigDict, **facts: Any) -> None:
    """Writes config.json: the config, and facts such as versions. Never leaves half a file behind."""
    _replace(os.path.join(workdir, "config.json"), {"config": config.to_dict(), **facts}, indent=2)


def facts(workdir: str) -> dict[str, Any]:
    """The facts that `write` was given besides the config; {} where config.json cannot be read."""
    try:
        with paths.of(os.path.join(workdir, "config.json")).open(encoding="utf-8") as file:
            return {name: value for name, value in json.load(file).items() if name != "config"}
    except (OSError, ValueError, AttributeError):
        return {}


def check(config: ml_collections.ConfigDict, systems: Iterable[str]) -> None:
    """Refuses an unknown system, and numbers that are not finite or make no sense, with a `jgan.UserError`."""
    if config.system not in systems:
        raise jgan.UserError(f"system={config.system!r} is unknown: use one of {', '.join(systems)}.")
    for name in ("steps", "batch_size", "log_every", "sample_every", "validate_every", "save_every", "keep"):
        if config[name] < 1:
            raise jgan.UserError(f"{name}={config[name]}: it must be 1 or more.")
    if config.get("val_examples", 1) < 1:
        raise jgan.UserError(f"val_examples={config.val_examples}: it must be 1 or more.")
    if not 0 <= config.get("ema", 0) < 1:
        raise jgan.UserError(f"ema={config.ema}: how much of an average is kept is 0, for none, to below 1.")
    for name, value in _flat(config.to_dict()).items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not abs(number) < _LARGEST:
                raise jgan.UserError(f"{name}={value}: it must be a finite number, below {_LARGEST:g}.")
            most = 2**63 if name == "seed" else 2**31
            if isinstance(number, int) and not -most <= number < most:
                raise jgan.UserError(
                    f"{name}={value}: a whole number from {-most:,} to {most - 1:,} would work."
                )


def take_names(config: ml_collections.ConfigDict) -> None:
    """Makes texts of all names in a config (`NAMES`)."""
    for name in NAMES:
        part, _, field = name.rpartition(".")
        place = config[part] if part else config
        if field in place:
            place[field] = tuple(map(str, place[field]))


def take_facts(config: ml_collections.ConfigDict, old: ml_collections.ConfigDict) -> None:
    """Gives the config the facts that the data had when the run began, where it leaves them to the data."""
    for name in ("channels", "names", "exclusive"):
        if name in config.data and name in old.data and not config.data[name]:
            config.data[name] = old.data[name]


def draws(config: ml_collections.ConfigDict) -> bool:
    """Whether a run of the config draws from codes alone, as far as a config shows it; otherwise it translates.

    Only the ways and spaces of its system decide it (`trained.draws`), but building a system takes seconds of imports,
    and the editor's page should appear at once. If the data have two sides, a latent only varies a translation.
    """
    return "latent" in config and config.data.get("kind", "aligned") not in ("aligned", "unaligned")


def searched(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """The folder in which a run's data are searched if they are files; an output that lies in it has to be marked."""
    data = config.data
    return (os.path.expanduser(data.root),) if data.get("source") == "folder" and data.root else ()


def prepare(workdir: str) -> None:
    """Makes the directory of a run; a `jgan.UserError` where a file stands in its place."""
    try:
        paths.of(workdir).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise jgan.UserError(f"--workdir={workdir} is a file or lies in one: name a directory.") from None
    except OSError as error:
        raise jgan.UserError(f"--workdir={workdir} cannot be made: {error.strerror}.") from None


def check_continuation(workdir: str, old: ml_collections.ConfigDict, new: ml_collections.ConfigDict) -> None:
    """Refuses, by name, what may not change when a run is continued: everything but `FREE`."""
    was, now = _flat(old.to_dict()), _flat(new.to_dict())
    # Another system first: all other differences follow from it.
    for name in sorted(was.keys() | now.keys(), key=lambda name: (name != "system", name)):
        if name not in was and not now[name]:
            continue  # a field newer than the run, at the value that does what was done before it
        if name not in FREE and was.get(name) != now.get(name):
            raise jgan.UserError(
                f"the run in {workdir} has {name}={was.get(name)!r} and cannot go on with {now.get(name)!r}: "
                "keep the value, or name another --workdir (with --init_from for its weights)."
            )


class Data(NamedTuple):
    """The data of a split, as far as they are recognised when a run goes on.

    Attributes:
        files: {file: size in bytes} of the examples in use, by their places below data.root.
        labels: a digest of their labels; empty where they have none.
        lists: files as above that the labels were read from.
    """

    files: Mapping[str, int]
    labels: str = ""
    lists: Mapping[str, int] = types.MappingProxyType({})


def write_files(workdir: str, splits: dict[str, Data]) -> None:
    """Writes data.json, by which `check_files` recognises the data: {split: {file: size in bytes, "": labels}}.

    The labels are those of a split together. They have the name that no file can have.
    """
    files = {
        name: {**data.files, **({"": data.labels} if data.labels else {})} for name, data in splits.items()
    }
    _replace(os.path.join(workdir, "data.json"), files, indent=0)


def check_files(
    workdir: str,
    old: ml_collections.ConfigDict,
    new: ml_collections.ConfigDict,
    data: Data,
    *,
    split: str = "",
    allow: bool = False,
) -> str:
    """Refuses data that are not those the run was trained on; returns how they differ, "" if they do not.

    The same files, by their places below data.root and their sizes, with the same labels are the same data, wherever
    data.root is and the labels were read from. Of runs of earlier versions less is known: if they wrote no digest of
    labels, the sizes of the lists are compared, and if they wrote no data.json, only the folder is.

    Args:
        workdir: of the run.
        old: its config.
        new: the config it is continued with.
        data: those in use.
        split: of the data; by default the training split.
        allow: whether to continue with other data.

    Raises:
        jgan.UserError: the data differ, unless `allow`.
    """
    try:
        with paths.of(os.path.join(workdir, "data.json")).open(encoding="utf-8") as file:
            known = json.load(file).get(split or old.data.split)
        if known is None:
            return ""  # no files were recorded
        difference = _difference(known, data, os.path.expanduser(new.data.root))
    except FileNotFoundError:
        places = [paths.real(os.path.expanduser(config.data.root)) for config in (old, new)]
        if places[0] == places[1]:
            return ""
        difference = f"are in {new.data.root}, not in {old.data.root}, and it does not know their files"
    except (OSError, ValueError, AttributeError) as error:
        difference = f"are not known: its data.json cannot be read ({error})"
    if difference and not allow:
        raise jgan.UserError(
            f"the data of the run in {workdir} {difference}: put back what it was trained on, or go on with these by "
            "--allow_changed_data."
        )
    return difference


def _replace(path: str, content: Any, indent: int) -> None:
    """Writes JSON to a file that is there whole or not at all."""
    if paths.is_remote(path):
        paths.of(path).write_text(json.dumps(content, indent=indent) + "\n")
        return
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=indent)
        file.write("\n")
    os.replace(path + ".new", path)


def _difference(known: dict[str, Any], data: Data, top: str) -> str:
    """How data below `top` differ from what data.json knows of them; "" if they do not."""
    labels = known.pop("", "")
    files = data.files if labels else {**data.files, **data.lists}
    gone = known.keys() - files.keys()
    bad = {name for name in gone if paths.exists(os.path.join(top, name))}
    kinds = {
        "missing": gone - bad,
        "there but not usable": bad,
        "new": files.keys() - known.keys(),
        "of another size": {name for name, size in files.items() if known.get(name, size) != size},
    }
    if any(kinds.values()):
        return f"differ: of {len(known)} files " + ", ".join(
            f"{len(names)} {'is' if len(names) == 1 else 'are'} {kind} ({_some(names)})"
            for kind, names in kinds.items()
            if names
        )
    if labels in ("", data.labels):
        return ""
    where = f" ({_some(data.lists)})" if data.lists else ""
    return f"differ: the pictures are the same, but not their labels{where}"


def _some(names: Collection[str]) -> str:
    """The first three of some names, as a sentence lists them."""
    shown = [ascii(name)[1:-1] if not name.isprintable() else name for name in sorted(names)[:3]]
    return ", ".join(shown) + ", ..." * (len(names) > 3)


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted name: value} of nested fields."""
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = tuple(value) if isinstance(value, (list, tuple)) else value
    return flat


def _tuples(fields: Any) -> Any:
    """The same fields with tuples in the place of lists, which JSON has instead of tuples."""
    if isinstance(fields, dict):
        return {name: _tuples(value) for name, value in fields.items()}
    return tuple(_tuples(x) for x in fields) if isinstance(fields, list) else fields
