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
    """Writes the file.

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
        "runs": [job.name for job in jobs],
        "paper": {name: dict(scores) for name, scores in sweep.paper.items()},
        "source": sweep.source,
        **more,
    }
    output.replace(os.path.join(workdir, FILE), (json.dumps(content, indent=2) + "\n").encode())


def facts(workdir: str) -> dict[str, Any]:
    """What `write` wrote; {} where nothing can be read."""
    try:
        with paths.of(os.path.join(workdir, FILE)).open(encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
