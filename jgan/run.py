"""The run directory: the config it was made with, and what may differ when it is continued."""

from collections.abc import Iterable
import json
import os
from typing import Any

import ml_collections

import jgan

# Run length, logging, saving and the speed of input change no step that was already taken.
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
        "data.cache_gib",
        "data.cache_dir",
        "data.workers",
    }
)


def read(workdir: str) -> ml_collections.ConfigDict:
    """The config of the run in `workdir`.

    Raises:
        jgan.UserError: there is no run, or its config cannot be read.
    """
    path = os.path.join(workdir, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            fields = json.load(file)
        return ml_collections.ConfigDict(_tuples(fields["config"]))
    except (FileNotFoundError, NotADirectoryError):
        raise jgan.UserError(
            f"{workdir} holds no run: name the --workdir of a training that wrote config.json."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise jgan.UserError(f"{path} cannot be read as the config of a run: {error}.") from None


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
    path = os.path.join(workdir, "config.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"config": config.to_dict(), **facts}, file, indent=2)
        file.write("\n")
    os.replace(path + ".new", path)


def check(config: ml_collections.ConfigDict, systems: Iterable[str]) -> None:
    """Refuses an unknown system, and what is counted and below 1, with a `jgan.UserError`."""
    if config.system not in systems:
        raise jgan.UserError(f"system={config.system!r} is unknown: use one of {', '.join(systems)}.")
    for name in ("steps", "batch_size", "log_every", "sample_every", "validate_every", "save_every", "keep"):
        if config[name] < 1:
            raise jgan.UserError(f"{name}={config[name]}: it must be 1 or more.")


def prepare(workdir: str) -> None:
    """Makes the directory of a run; a `jgan.UserError` where a file stands in its place."""
    try:
        os.makedirs(workdir, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise jgan.UserError(f"--workdir={workdir} is a file or lies in one: name a directory.") from None
    except OSError as error:
        raise jgan.UserError(f"--workdir={workdir} cannot be made: {error.strerror}.") from None


def check_continuation(workdir: str, old: ml_collections.ConfigDict, new: ml_collections.ConfigDict) -> None:
    """Refuses, by name, what may not change when a run is continued: everything but `FREE`."""
    was, now = _flat(old.to_dict()), _flat(new.to_dict())
    for name in sorted(was.keys() | now.keys()):
        if name not in FREE and was.get(name) != now.get(name):
            raise jgan.UserError(
                f"the run in {workdir} has {name}={was.get(name)!r} and cannot go on with {now.get(name)!r}: "
                "keep the value, or name another --workdir (with --init_from for its weights)."
            )


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = tuple(value) if isinstance(value, (list, tuple)) else value
    return flat


def _tuples(fields: Any) -> Any:
    """JSON has lists where configs have tuples."""
    if isinstance(fields, dict):
        return {name: _tuples(value) for name, value in fields.items()}
    return tuple(_tuples(x) for x in fields) if isinstance(fields, list) else fields
