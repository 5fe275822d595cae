"""Plans a training on many devices, without them: python -m launch.plan --config=configs/pix2pix.py --devices=256

The step that launch.train would take is compiled for so many virtual devices, and what it needs on each of them is
printed: bytes of parameters, optimisers and activations, FLOPs, and the collectives between devices. From the public
figures of chips follow the time of a step and the efficiency, and the smallest batch per device at which that is 90 %.
Memory and times are estimates; nothing is run. The last line of standard output is one JSON object.

Each device takes the config's batch_size, which is so many times the devices in all. --global_batch divides a number
of images over the devices instead, as launch.train does with its batch_size.

    --table     the plans of docs/scale.md
"""

import itertools
import json
import os
import subprocess
import sys
import time

from absl import flags
from ml_collections import config_flags

import jgan
from jgan.runs import config as run_config
import launch

_CONFIG = config_flags.DEFINE_config_file("config", None, "configs/FILE.py or configs/FILE.py:PRESET")
_DEVICES = flags.DEFINE_integer("devices", 8, "how many devices")
_GLOBAL_BATCH = flags.DEFINE_integer(
    "global_batch", None, "images of all devices together; by default each takes the config's batch_size"
)
_MODEL = flags.DEFINE_integer(
    "model_axis", 1, "divide the state over so many devices, as launch.train's flag does", lower_bound=1
)
_CHIP = flags.DEFINE_list("chip", [], "v4, v5e, v5p, a100, h100, h200, or several; by default all of them")
_REACHED = flags.DEFINE_float(
    "reached",
    1.0,
    "the share of the chip's peaks that kernels reach, if it is known from a run on one device",
)
_FROM_STEP = flags.DEFINE_integer("from_step", 0, "the step of the training from which steps are planned")
_TABLE = flags.DEFINE_bool("table", False, "plan four systems on 8, 64, 256 and 1,024 devices, as Markdown")

# Virtual devices are threads of this process; beyond this many they take more memory than a laptop has.
_MOST = 8192
_PLANNED = {
    "pix2pix, facades": "configs/pix2pix.py:facades",
    "CycleGAN, 256 px": "configs/cyclegan.py",
    "StyleGAN2, 256 px": "configs/stylegan2.py",
    "DCGAN, 64 px": "configs/dcgan.py",
}
_PLANNED_ON = (8, 64, 256, 1024)


def main() -> None:
    launch.goes_with(
        *(
            (flag, not _TABLE.value, "a plan without --table")
            for flag in (_CONFIG, _DEVICES, _GLOBAL_BATCH, _MODEL, _FROM_STEP)
        )
    )
    if not 0 < _REACHED.value <= 1:
        raise jgan.UserError(f"--reached={_REACHED.value:g}: it lies above 0 and is at most 1.")
    if _TABLE.value:
        return _table()
    devices, config = _DEVICES.value, _CONFIG.value
    if not 1 <= devices <= _MOST:
        raise jgan.UserError(f"--devices={devices}: 1 to {_MOST} would work.")
    if not 0 <= _FROM_STEP.value < config.steps:
        raise jgan.UserError(
            f"--from_step={_FROM_STEP.value}: the training has the steps 0 to {config.steps - 1}."
        )
    batch, whole = config.batch_size, _GLOBAL_BATCH.value
    if whole is not None:
        if whole < 1 or whole % devices:
            raise jgan.UserError(
                f"--global_batch={whole} does not divide over {devices} devices: use a multiple."
            )
        batch = whole // devices
    # Before JAX begins: the devices are virtual, and nothing that is compiled here will ever run.
    os.environ.update(JAX_PLATFORMS="cpu", JAX_ENABLE_COMPILATION_CACHE="false")
    import jax

    jax.config.update("jax_num_cpu_devices", devices)
    from jgan.programs import plan
    from jgan.programs import plan_chips
    from jgan.programs import plan_report
    from jgan.systems import SYSTEMS

    names = _CHIP.value or [
        name for name, chip in plan_chips.CHIPS.items() if chip.far or devices <= chip.joined
    ]
    for name in names:
        plan_chips.check(name, devices)
    run_config.check(config, SYSTEMS)
    made = plan.plan(config, batch=batch, start=_FROM_STEP.value, model_axis=_MODEL.value)
    predictions = {name: plan_report.predict(made, plan_chips.CHIPS[name], _REACHED.value) for name in names}
    found = plan_report.as_dict(made, predictions)
    print("\n".join(plan_report.lines(found)))
    print(json.dumps(found))


def _table() -> None:
    """Prints the tables of all systems; each plan is made by a process of its own, which has that many devices."""
    from jgan.programs import plan_chips
    from jgan.programs import plan_report

    chips = _CHIP.value or ["v5e", "v5p", "h100"]
    for chip, devices in itertools.product(chips, _PLANNED_ON):
        plan_chips.check(chip, devices)
    plans = []
    for name, config in _PLANNED.items():
        for devices in _PLANNED_ON:
            command = [f"--config={config}", f"--devices={devices}", f"--chip={','.join(chips)}"]
            begun, used = time.monotonic(), _processor_seconds()
            made = subprocess.run(
                [sys.executable, "-m", "launch.plan", *command, f"--reached={_REACHED.value}"],
                stdout=subprocess.PIPE,
                text=True,
            )
            if made.returncode:
                sys.exit(made.returncode)  # it has said why
            took, used = time.monotonic() - begun, _processor_seconds() - used
            print(
                f"{name} on {devices:,} devices: planned in {took:.0f} s, {used:.0f} s of processors",
                file=sys.stderr,
                flush=True,
            )
            plans.append({"name": name, **json.loads(made.stdout.splitlines()[-1])})
    print("\n".join(plan_report.table(plans)))
    print(json.dumps(plans))


def _processor_seconds() -> float:
    """That all plans so far have used."""
    used = os.times()
    return used.children_user + used.children_system


if __name__ == "__main__":
    launch.run(
        main,
        required=() if "--table" in sys.argv else ("config",),
        names=tuple(f"config.{name}" for name in run_config.NAMES),
    )
