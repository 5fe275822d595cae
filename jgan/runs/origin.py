"""Where a run comes from: versions, platform, git revision and command of each start of its training."""

from collections.abc import Sequence
import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from typing import Any

import jax

import jgan

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
# Variables that change which programs are compiled or how. Where JAX keeps them changes no number.
_VARIABLES = ("JAX_", "XLA_", "JGAN_")
_ELSEWHERE = ("CACHE", "COORDINATOR")
_PATIENCE = 10  # seconds for git, which may have to read a slow disk


def start(step: int, steps: int, init_from: str, vmapped: Sequence[int] = ()) -> dict[str, Any]:
    """What is recorded of one start of a training, as JSON has it.

    Args:
        step: the step after which it begins; 0 for a new run.
        steps: of the run, as this start was asked for them; learning rates may depend on them.
        init_from: the run whose weights a new run starts from; empty: none.
        vmapped: the seeds of all runs that one program trains together, in its order; () for a program of its own.
    """
    return {
        "step": step,
        "steps": steps,
        "init_from": init_from,
        "vmapped": list(vmapped),
        "when": datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        "command": shlex.join(sys.orig_argv),
        "folder": os.getcwd(),
        "revision": revision(),
        "versions": versions(),
        "platform": machine(),
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(_VARIABLES) and not any(word in name for word in _ELSEWHERE)
        },
    }


def versions() -> dict[str, str]:
    """{package: version} of what computes a step, jgan and Python among them."""
    own = {"jgan": jgan.__version__, "python": platform.python_version()}
    return own | {name: importlib.metadata.version(name) for name in _PACKAGES}


def machine() -> dict[str, Any]:
    """The operating system, the processor, and the devices that JAX computes on."""
    kinds = [device.device_kind for device in jax.devices()]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "backend": jax.default_backend(),
        "devices": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "processes": jax.process_count(),
    }


def revision(folder: str | os.PathLike[str] = "") -> str | None:
    """The git revision of the code, with the word "changed" where the working tree differs from it.

    A file of Python that git neither has nor ignores counts as a change, since it may be what was run.

    Args:
        folder: of the code; by default that of jgan.

    Returns:
        None where the code lies in no repository, or git is not installed.
    """
    folder = folder or pathlib.Path(__file__).parent.parent
    # An installed copy may lie in an environment below somebody's repository, which does not have it.
    if not _git(folder, "ls-files", "."):
        return None
    found = _git(folder, "rev-parse", "HEAD")
    if not found:
        return None
    top = _git(folder, "rev-parse", "--show-toplevel")
    differs = _git(top, "status", "--porcelain", "--untracked-files=no")
    differs = differs or _git(top, "ls-files", "--others", "--exclude-standard", "--", "*.py")
    return f"{found} changed" if differs else found


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """How two starts differ in what may change their numbers, a few words for each."""
    told = []
    for name in ("versions", "platform", "variables"):
        was, here = then.get(name, {}), now.get(name, {})
        told += [
            f"{field} is {_word(here.get(field))} and was {_word(was.get(field))}"
            for field in dict.fromkeys([*was, *here])
            if field != "system" and was.get(field) != here.get(field)
        ]
    was, here = then.get("revision"), now.get("revision")
    if was != here:
        told.append(f"the revision is {_word(here)} and was {_word(was)}")
    elif here and here.endswith("changed"):
        told.append(f"the code differs from the revision {here.split()[0]} in both, perhaps in other ways")
    return told


def _word(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, dict):
        return " and ".join(f"{count} {kind}" for kind, count in value.items())
    return "none" if value is None else str(value)


def _git(folder: str | os.PathLike[str], *arguments: str) -> str:
    """What git prints; empty where it cannot be asked or refuses."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    """The name of the processor, as far as the system tells it."""
    try:
        described = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        described = ""
    names = [
        line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()
