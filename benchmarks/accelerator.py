"""A first check of an accelerator: the same figures as on the CPU, then images per second beside PyTorch.

    bash benchmarks/accelerator.sh            # the missing wheels, then this program
    python -m benchmarks.accelerator [--seconds=480] [--tiny] [--parts=checks,steps,projection,overhead,losses]
    JAX_PLATFORMS=cpu python -m benchmarks.accelerator --write

Every line of the output but warnings is one JSON object, printed as soon as it is known. First the machine; then

    check        a training step of a system in one of its phases, or a projection
    passed       whether it holds what follows
    error        the largest difference to the CPU's figures in benchmarks/accelerator.json, in units of the size of
                 what is compared; `tolerance` is the largest that passes, `at` says where it is
    undonated    arrays of the state that were not updated in place
    warnings     what JAX said
    failed       why there are no figures

and then, for pix2pix, CycleGAN, StyleGAN2 and DCGAN in float32 and in bfloat16 (PyTorch's autocast), of `jgan`,
`pytorch` and `pytorch compiled`

    images_per_second, step_seconds   medians over turns that they take, one at work while the others wait; a step of
                                      StyleGAN2 is 16 iterations with their regularisers
    first_step_seconds                the first step with all that is compiled for it
    peak_mib                          of the accelerator's memory
    share_of_peak                     FLOP/s that the step needs in closed form, in those of the chip's public sheet

for projection by a DCGAN of 64 px, by the same three (PyTorch's is Adam on all codes together)

    images_per_second, step_seconds   of so many `evaluations` of the cost and its gradient, and of one

for launch.train's step beside the bare compiled one what `benchmarks.overhead` prints, and for pix2pix in bfloat16

    chance       how often trainings in float32 alone would have losses as far apart as four in each precision have
                 over `steps` steps, which is within the noise above 0.05: of `g_l1` and `d_loss`

float32 is what both libraries make of it by default, products in TF32; the checks are made without. What does not
fit into --seconds is left out and named. The exit status is 0 only where all checks passed.

With --tiny everything is small enough for a CPU. --write makes the CPU's figures.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any
from typing import NamedTuple

from absl import flags

from benchmarks import accelerator_checks
from benchmarks import accelerator_programs
from benchmarks import projection_sides
from benchmarks import sides
from benchmarks import train_step
import jgan
from jgan.programs import plan_chips
import launch

SECONDS = flags.DEFINE_float("seconds", 480.0, "How long all of it may take.", lower_bound=1.0)
TINY = flags.DEFINE_bool("tiny", False, "Sizes for a CPU.")
WRITE = flags.DEFINE_bool("write", False, "Make the CPU's figures instead.")

PARTS = flags.DEFINE_list(
    "parts", ["checks", "steps", "projection", "overhead", "losses"], "What of it is done, in this order."
)

FIGURES = pathlib.Path(__file__).with_suffix(".json")
# Of what is compared. Measured by tests/benchmarks/test_accelerator.py.
TOLERANCE = 2e-4


class Setting(NamedTuple):
    """What is timed: a system at a size, with a batch that fills an accelerator."""

    system: str
    size: int
    batch: int
    width: int = 64


SETTINGS = (
    Setting("pix2pix", 256, 16),
    Setting("cyclegan", 256, 4),
    Setting("stylegan2", 256, 16),
    Setting("dcgan", 64, 128),
)
TINY_SETTINGS = (
    Setting("dcgan", 16, 4, 4),
    Setting("pix2pix", 32, 2, 4),
    Setting("cyclegan", 32, 1, 4),
    Setting("stylegan2", 16, 4, 1),
)
CHANNEL_BASE = 256  # of StyleGAN2 for each unit of width: a resolution r has base / r channels
PRECISIONS = ("float32", "bfloat16")
TURNS, TURN_SECONDS, TINY_TURN_SECONDS = 3, 1.0, 0.05
SEEDS = 4  # of trainings in each precision: chance is then told to 1 / 35
# Seconds: left to a setting that is begun, at least; to a peer that compiles when all others are ready, at most; for
# the turns of those that are ready, kept from it.
LEAST, PATIENCE, TURNING = 30.0, 90.0, 15.0


def main():
    ends = time.monotonic() + SECONDS.value
    # Two libraries share one memory.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if WRITE.value:
        write()
        return
    unknown = set(PARTS.value) - set(PARTS.default)
    if unknown:
        raise jgan.UserError(f"--parts={sorted(unknown)[0]}: there are {', '.join(PARTS.default)}.")
    side, passed = sides.Side(accelerator_checks.side), True
    try:
        platform, card = ask(side, ends, "device")
        if platform == "cpu" and not TINY.value:
            raise jgan.UserError("JAX finds no accelerator here: --tiny tries all of it on a CPU.")
        tell(card=card, platform=platform, driver=driver(), **versions())
        if "checks" in PARTS.value:
            passed = check(side, card, ends)
    finally:
        side.close(0)
    device = "cpu" if platform == "cpu" else "cuda"
    if "steps" in PARTS.value:
        for precision in PRECISIONS:
            for setting in TINY_SETTINGS if TINY.value else SETTINGS:
                speed(setting, precision, card, device, ends)
    if "projection" in PARTS.value:
        project(card, device, ends)
    if "overhead" in PARTS.value:
        overhead(card, ends)
    if "losses" in PARTS.value:
        compare_losses(card, ends)
    sys.exit(not passed)


def tell(**fields):
    print(json.dumps(fields), flush=True)


def ask(side: sides.Side, ends: float, request: str, *arguments: Any) -> Any:
    """The side's answer; a `TimeoutError` where it does not come in time."""
    side.send(request, *arguments)
    return side.receive(max(0.0, ends - time.monotonic()))


def check(side: sides.Side, card: str, ends: float) -> bool:
    """Makes all checks, one line each, and returns whether all passed."""
    passed = True
    for name, expected in json.loads(FIGURES.read_text()).items():
        begun = time.monotonic()
        try:
            found = ask(side, ends, "result", name)
        except (TimeoutError, SystemExit) as error:
            tell(card=card, check=name, passed=False, left_out=str(error))
            return False
        error, at = deviation(found.pop("figures"), expected)
        good = error <= TOLERANCE and not any(found.values())
        error = None if math.isnan(error) else error
        told = {"passed": good, "error": error, "tolerance": TOLERANCE, "at": at, **found}
        tell(card=card, check=name, **told, seconds=round(time.monotonic() - begun, 1))
        passed &= good
    return passed


def speed(setting: Setting, precision: str, card: str, device: str, ends: float):
    """Images per second of both libraries in one setting, one line each; of what fails or is late, why."""
    name, size, batch, width = setting
    told = {"card": card, "system": name, "size": size, "batch": batch, "precision": precision}
    if ends - time.monotonic() < min(LEAST, SECONDS.value / 4):
        tell(**told, left_out="out of time")
        return
    peer: dict[str, Any] = {"device": device, "bfloat16": precision == "bfloat16"}
    base = CHANNEL_BASE * width
    if name == "stylegan2":
        ours = {"generator__channel_base": base, "discriminator__channel_base": base}
        peer["base"] = base
    else:
        ours = {"generator__ngf": width, "discriminator__ndf": width}
        peer["width"] = width
    ours["precision"] = precision
    useful = useful_flops(setting, base)
    chip = plan_chips.of(card)
    peak = getattr(chip, precision) if chip else None
    running, first = {}, {}

    def begin(side: str, step: Any, **options: Any):
        running[side] = sides.Side(step, name, size, batch, **options)
        running[side].send("warm_up", 1)

    def drop(side: str, error: BaseException):
        running.pop(side).close(0)
        tell(**told, side=side, left_out=str(error))

    def wait(side: str, patience: float = math.inf):
        try:
            first[side] = running[side].receive(max(0.0, min(patience, ends - time.monotonic())))
        except (TimeoutError, SystemExit) as error:
            drop(side, error)

    try:
        begin("jgan", train_step.ours_step, **ours)
        if importlib.util.find_spec("torch"):
            # Its compiler is at work on the processor most of the time: it does not disturb what XLA tries out.
            begin("pytorch compiled", train_step.peer_step, compiled=True, **peer)
            wait("jgan")
            begin("pytorch", train_step.peer_step, **peer)
            wait("pytorch")
            wait("pytorch compiled", min(PATIENCE, ends - time.monotonic() - TURNING))
        else:
            tell(**told, side="pytorch", left_out="PyTorch is not installed")
            wait("jgan")
        seconds, count = {side: [] for side in running}, {}
        turn_seconds = TINY_TURN_SECONDS if TINY.value else TURN_SECONDS
        for turn in range(TURNS + 1):
            for side in list(running):
                try:
                    if turn == 0:
                        ask(running[side], ends, "warm_up", 2)
                        count[side] = max(1, round(turn_seconds / ask(running[side], ends, "time", 2)))
                    else:
                        seconds[side].append(ask(running[side], ends, "time", count[side]))
                except (TimeoutError, SystemExit) as error:
                    drop(side, error)
        for side in running:
            step = statistics.median(seconds[side])
            found = {
                "images_per_second": round(batch * train_step.CYCLES.get(name, 1) / step, 2),
                "step_seconds": round(step, 6),
                "first_step_seconds": round(first[side], 2),
                "peak_mib": round(running[side].ask("accelerator")[1], 1),
            }
            if useful and peak:
                found["share_of_peak"] = round(useful / step / peak, 4)
            tell(**told, side=side, **found)
    finally:
        for side in running.values():
            side.close(0)


def useful_flops(setting: Setting, base: int) -> float | None:
    """The closed form of a step; None where there is none for it."""
    if setting.system == "dcgan" or (setting.system != "stylegan2" and setting.width != 64):
        return None
    return train_step.useful_flops(setting.system, setting.size, setting.batch, base)


def project(card: str, device: str, ends: float):
    """Images that are projected in a second by both libraries, one line each."""
    images, evaluations, ngf, turns = (4, 5, 4, 1) if TINY.value else (256, 100, 128, TURNS)
    told = {"card": card, "program": "projection", "images": images, "evaluations": evaluations}
    if not importlib.util.find_spec("torch") or not importlib.util.find_spec("scipy"):
        tell(**told, left_out="the peer needs PyTorch and SciPy")
        return
    if ends - time.monotonic() < min(LEAST, SECONDS.value / 4):
        tell(**told, left_out="out of time")
        return
    running: dict[str, sides.Side] = {}
    try:
        running["jgan"] = sides.Side(projection_sides.ours, "", ngf, images)
        problem = ask(running["jgan"], ends, "problem")
        for name, compiled in (("pytorch", False), ("pytorch compiled", True)):
            running[name] = sides.Side(projection_sides.peer, problem, device, compiled)
        requests = dict.fromkeys(running, ("adam", evaluations, 0.1))
        requests["jgan"] = ("project", evaluations, "lockstep")
        for name, side in list(running.items()):
            try:
                ask(side, ends, *requests[name])  # to warm up
                seconds = [ask(side, ends, *requests[name])[0] for _ in range(turns)]
                step = ask(side, ends, "step")
            except (TimeoutError, SystemExit) as error:
                running.pop(name).close(0)
                tell(**told, side=name, left_out=str(error))
                continue
            found = {"images_per_second": round(images / statistics.median(seconds), 2)}
            tell(**told, side=name, **found, step_seconds=round(step, 6))
    except (TimeoutError, SystemExit) as error:
        tell(**told, left_out=str(error))
    finally:
        for side in running.values():
            side.close(0)


def overhead(card: str, ends: float):
    """What a training adds to the bare step, as `benchmarks.overhead` prints it."""
    told = {"card": card, "program": "overhead"}
    left = ends - time.monotonic()
    if not importlib.util.find_spec("grain"):
        tell(**told, left_out="launch.train needs grain")
        return
    if left < min(LEAST, SECONDS.value / 4):
        tell(**told, left_out="out of time")
        return
    configs = "pix2pix:tiny,dcgan:tiny" if TINY.value else "pix2pix:demo,dcgan:demo"
    command = [sys.executable, "-m", "benchmarks.overhead", f"--configs={configs}"]
    command += ["--steps=5"] if TINY.value else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=True)
        tell(**told, **json.loads(done.stdout.splitlines()[-1]))
    except subprocess.SubprocessError as error:
        tell(**told, left_out=str(error))


def compare_losses(card: str, ends: float):
    """Whether losses in bfloat16 are those in float32, within what seeds make of them."""
    steps, width, size, batch = (4, 4, 16, 2) if TINY.value else (500, 32, 64, 4)
    told = {"card": card, "program": "losses", "system": "pix2pix", "size": size, "steps": steps}
    side, found = sides.Side(accelerator_programs.side, steps, width, size, batch), {}
    try:
        for precision in PRECISIONS:
            found[precision] = [ask(side, ends, "losses", precision, seed) for seed in range(SEEDS)]
    except (TimeoutError, SystemExit) as error:
        tell(**told, left_out=str(error))
        return
    finally:
        side.close(0)
    for name in accelerator_programs.LOSSES:
        curves = {precision: [one[name] for one in found[precision]] for precision in PRECISIONS}
        last = {
            precision: round(statistics.mean(x[-1] for x in curves[precision]), 4) for precision in curves
        }
        tell(**told, loss=name, **last, chance=round(accelerator_programs.chance(*curves.values()), 4))


def versions() -> dict[str, str]:
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
    found = {"python": sys.version.split()[0]}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def driver() -> str:
    """The version of NVIDIA's driver; empty where there is none."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def write():
    """Makes the CPU's figures."""
    os.environ.update(JAX_PLATFORMS="cpu", JGAN_CONV="lax")
    side = sides.Side(accelerator_checks.side)
    found = {name: side.ask("result", name) for name in side.ask("names")}
    side.close()
    for name, result in found.items():
        if result["failed"]:
            raise RuntimeError(f"{name}: {result['failed']}")
        found[name] = result["figures"]
    short = json.loads(json.dumps(found), parse_float=lambda x: float(f"{float(x):.9g}"))
    lines = [f"{json.dumps(name)}: {json.dumps(short[name])}" for name in short]
    FIGURES.write_text("{" + ",\n".join(lines) + "}\n")


def deviation(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, str]:
    """The largest difference of two sets of figures in units of their size, and its name; nan where one is missing.

    Adam makes a whole step of a gradient that is nothing but rounding, so parameters are compared where it is more
    than a thousandth of its size; they may differ by a hundredth of their step.
    """
    worst = 0.0, ""
    for name, wanted in theirs.items():
        got = ours.get(name)
        if got is None:
            return float("nan"), name
        errors = [
            abs(a - b) / max(wanted["size"], 1e-30)
            for a, b in zip([*got["numbers"], got["rms"]], [*wanted["numbers"], wanted["rms"]], strict=True)
        ]
        errors += [
            100 * TOLERANCE * abs(a - b) / wanted["step"]
            for a, b, gradient in zip(
                got.get("moved", []), wanted.get("moved", []), wanted["numbers"], strict=False
            )
            if abs(gradient) > 1e-3 * wanted["size"]
        ]
        # Not a number is the worst, and stays it.
        worst = max([worst, *((error, name) for error in errors)], key=lambda x: (x[0] != x[0], x[0]))
    return worst


if __name__ == "__main__":
    flags.FLAGS.set_default("compilation_cache", False)  # what compiling takes is one of the figures
    launch.run(main)
