"""The file of a sweep's directory, from which a report knows the variants, their order and the reference."""

from collections.abc import Sequence
import json
import os
from typing import Any

import jgan
from jgan import output
from jgan import paths
from jgan import sweeps
from jgan.runs import config as run_config

FILE = "sweep.json"


def write(
    workdir: str, text: str, sweep: sweeps.Sweep, jobs: Sequence[Any], given: Sequence[str], **more: Any
) -> None:
    """Writes the file. Runs that it had before stay in it, if they are still what this sweep would make.

    Args:
        workdir: directory of the sweep, which is made where it is missing.
        text: FILE.py or FILE.py:PRESET.
        sweep: as `read` gives it.
        jobs: its runs.
        given: flags for all runs.
        more: what else is to be known of it.

    Raises:
        jgan.UserError: the directory holds another sweep.
    """
    run_config.prepare(workdir)
    known = facts(workdir)
    if known and known.get("sweep") != text:
        raise jgan.UserError(f"{workdir} holds the sweep {known.get('sweep')}: name another --workdir.")
    content = {
        "sweep": text,
        "program": sweep.program,
        "given": list(given),
        "config": sweep.config,
        "base": dict(sweep.base),
        "variants": {name: dict(overrides) for name, overrides in sweep.variants},
        "reference": sweep.reference or sweep.variants[0][0],
        "runs": [],
        "paper": {name: dict(scores) for name, scores in sweep.paper.items()},
        "source": sweep.source,
        **more,
    }
    content = json.loads(json.dumps(content))  # tuples are lists in what is known
    content["runs"] = [job.name for job in jobs]
    if all(known.get(name) == content[name] for name in ("given", "config", "base")):
        same = [name for name, given in content["variants"].items() if known["variants"].get(name) == given]
        before = [name for name in known["runs"] if name.rpartition("/")[0] in same]
        order = list(content["variants"])
        content["runs"] = sorted({*content["runs"], *before}, key=lambda name: _place(name, order))
    output.replace(os.path.join(workdir, FILE), (json.dumps(content, indent=2) + "\n").encode())


def _place(name: str, variants: list[str]) -> tuple[int, int]:
    """By what runs are in the order of their variants, and these in the order of their seeds."""
    variant, _, seed = name.rpartition("/seed")
    return variants.index(variant), int(seed)


def facts(workdir: str) -> dict[str, Any]:
    """What `write` wrote; {} where nothing can be read."""
    try:
        with paths.of(os.path.join(workdir, FILE)).open(encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
