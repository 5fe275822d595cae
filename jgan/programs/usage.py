"""What a training makes of its devices: the share of their peak, and their memory."""

import contextlib

import jax

from jgan.programs import plan_chips
from jgan.programs import plan_program


def peak(precision: str) -> float | None:
    """FLOP/s of each device by its maker's sheet, in float32 or bfloat16; None where its chip is not known."""
    chip = plan_chips.of(jax.local_devices()[0].device_kind)
    if chip is None:
        return None
    return chip.bfloat16 if precision == "bfloat16" else chip.float32


def flops(compiled: jax.stages.Compiled) -> float | None:
    """FLOPs of convolutions and matrix products on one device in a call, read from the text of what was compiled.

    None where they cannot be: the turns of a loop are not told, or something is written in a way that is not known.
    """
    with contextlib.suppress(Exception):  # compilers change how they write, and no training ends for that
        program = plan_program.read(compiled.as_text(), jax.device_count())
        return None if program.unknown_loops else program.flops
    return None


def memory() -> int | None:
    """Bytes that were in use at most since the start, of this process's device with most; None where none tells it."""
    told = [device.memory_stats() or {} for device in jax.local_devices()]
    return max((x["peak_bytes_in_use"] for x in told if "peak_bytes_in_use" in x), default=None)
