"""Trains all variants of a sweep: python -m launch.sweep --sweep=configs/sweeps/FILE.py:PRESET --workdir=DIR

Flags --config.FIELD=VALUE are for all runs. The same command again goes on: what is finished is left as it is, and
what was broken off continues. launch.report makes a table of the outcome.
"""

import sys

from absl import flags

from jgan import output
import launch
from launch import configs

_SWEEP = flags.DEFINE_string("sweep", "", "configs/sweeps/FILE.py or configs/sweeps/FILE.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the sweep, with a run in VARIANT/seedN of each")
_SEEDS = flags.DEFINE_integer("seeds", 3, "so many seeds of each variant", lower_bound=1)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "show which runs there are, and train none")
_JOBS = flags.DEFINE_integer("jobs", 1, "trainings at a time, on this machine", lower_bound=1)
_EXECUTOR = flags.DEFINE_enum(
    "executor",
    "here",
    ["here", "slurm", "kubernetes", "commands"],
    "here: train on this machine; slurm and kubernetes: write DIR/sweep.sbatch or DIR/sweep.jobs.json; commands: "
    "print the command line of each run",
)
_IMAGE = flags.DEFINE_string("image", "jgan:latest", "the container of a Kubernetes job")


def main() -> None:
    from jgan.programs import sweep

    launch.goes_with(
        (_JOBS, _EXECUTOR.value == "here", "--executor=here"),
        (_IMAGE, _EXECUTOR.value == "kubernetes", "--executor=kubernetes"),
    )
    made, workdir = sweep.read(_SWEEP.value), _WORKDIR.value
    jobs = sweep.expand(made, workdir, seeds=_SEEDS.value, given=_GIVEN, load=configs.load)
    printing = _EXECUTOR.value == "commands"
    print(sweep.describe(made, jobs, _GIVEN), file=sys.stderr if printing else sys.stdout, flush=True)
    if _DRY_RUN.value:
        return
    sweep.write(workdir, _SWEEP.value, made, jobs, _GIVEN)
    left, failed = sweep.pending(jobs)
    if printing:
        print(sweep.commands(left), end="")
    elif not left:
        print("nothing is left to train")
    elif _EXECUTOR.value == "here":
        failed |= sweep.here(left, workdir, _JOBS.value)
    else:
        slurm = _EXECUTOR.value == "slurm"
        text = sweep.slurm(left, workdir) if slurm else sweep.kubernetes(left, _IMAGE.value)
        path = f"{workdir}/sweep.{'sbatch' if slurm else 'jobs.json'}"
        output.replace(path, text.encode())
        print(f"{len(left)} runs: {'sbatch' if slurm else 'kubectl apply -f'} {path}")
    if failed:
        for name, sentence in failed.items():
            print(f"{name} failed: {sentence}", file=sys.stderr, flush=True)
        sys.exit(1)


_GIVEN: list[str] = []

if __name__ == "__main__":
    _GIVEN += [argument for argument in sys.argv[1:] if argument.startswith("--config.")]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith("--config.")]
    launch.run(main, required=("sweep", "workdir"))
