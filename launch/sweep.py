"""Trains all variants of a sweep: python -m launch.sweep --sweep=configs/sweeps/FILE.py:PRESET --workdir=DIR

Flags --config.FIELD=VALUE are for all runs. The same command again goes on: what is finished is left as it is, and
what was broken off continues. launch.report makes a table of the outcome.

    python -m launch.sweep --verify=RUN

repeats the first steps of a run, of a sweep or not, and says whether they are bit-equal.
"""

import sys

from absl import flags

import jgan
from jgan import output
from jgan.runs import config as run_config
import launch
from launch import config_files

_SWEEP = flags.DEFINE_string("sweep", "", "configs/sweeps/FILE.py or configs/sweeps/FILE.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the sweep, with a run in VARIANT/seedN of each")
_SEEDS = flags.DEFINE_integer("seeds", 3, "so many seeds of each variant", lower_bound=1)
_VMAP = flags.DEFINE_integer(
    "vmap_seeds",
    1,
    "train so many seeds of a variant together: as one vmapped program, but on CPUs in processes that divide the "
    "cores; without --seeds there are as many",
    lower_bound=1,
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "show which runs there are, and train none")
_JOBS = flags.DEFINE_integer(
    "jobs",
    None,
    "trainings at a time on this machine, each on its share of the cores: 1, or with --vmap_seeds on CPUs as many as "
    "there are cores",
    lower_bound=1,
)
_EXECUTOR = flags.DEFINE_enum(
    "executor",
    "here",
    ["here", "slurm", "kubernetes", "commands"],
    "here: train on this machine; slurm and kubernetes: write DIR/sweep.sbatch or DIR/sweep.jobs.json; commands: "
    "print the command line of each run",
)
_VERIFY = flags.DEFINE_string(
    "verify", "", "a run whose first steps are repeated and compared; it stays as it is"
)
_VERIFY_STEPS = flags.DEFINE_integer("verify_steps", 50, "so many of its steps", lower_bound=1)
_IMAGE = flags.DEFINE_string("image", "jgan:latest", "the container of a Kubernetes job")


def main() -> None:
    if _VERIFY.value:
        verify()
        return
    missing = [f"--{flag.name}" for flag in (_SWEEP, _WORKDIR) if not flag.value]
    if missing:
        raise jgan.UserError(f"{' and '.join(missing)} must be given; --help shows all flags.")
    from jgan.programs import sweep
    from jgan.programs import sweep_elsewhere

    launch.goes_with(
        (_VERIFY_STEPS, False, "--verify"),
        (_JOBS, _EXECUTOR.value == "here", "--executor=here"),
        (_IMAGE, _EXECUTOR.value == "kubernetes", "--executor=kubernetes"),
    )
    made, workdir = sweep.read(_SWEEP.value), _WORKDIR.value
    count = _SEEDS.value if _SEEDS.present or not _VMAP.present else _VMAP.value
    jobs = sweep.expand(made, workdir, seeds=count, given=_GIVEN, load=config_files.load)
    printing = _EXECUTOR.value == "commands"
    print(sweep.describe(made, jobs, _GIVEN), file=sys.stderr if printing else sys.stdout, flush=True)
    if _DRY_RUN.value:
        return
    sweep.write(workdir, _SWEEP.value, made, jobs, _GIVEN)
    left, failed = sweep.pending(jobs)
    here = _EXECUTOR.value == "here"
    divided = sweep.parts(_VMAP.value) if here and _JOBS.value is None else 1
    left = sweep.grouped(left, -(-_VMAP.value // divided))
    if printing:
        print(sweep_elsewhere.commands(left), end="")
    elif not left:
        print("nothing is left to train")
    elif here:
        failed |= sweep.here(left, workdir, _JOBS.value or divided)
    else:
        slurm = _EXECUTOR.value == "slurm"
        text = (
            sweep_elsewhere.slurm(left, workdir) if slurm else sweep_elsewhere.kubernetes(left, _IMAGE.value)
        )
        path = f"{workdir}/sweep.{'sbatch' if slurm else 'jobs.json'}"
        output.replace(path, text.encode())
        print(f"{len(left)} runs: {'sbatch' if slurm else 'kubectl apply -f'} {path}")
    if failed:
        for name, sentence in failed.items():
            print(f"{name} failed: {sentence}", file=sys.stderr, flush=True)
        sys.exit(1)


def verify() -> None:
    """Repeats a run, says what came of it, and ends with status 1 if it is another one."""
    others = (_SWEEP, _WORKDIR, _SEEDS, _VMAP, _DRY_RUN, _JOBS, _EXECUTOR, _IMAGE)
    launch.goes_with(*((flag, False, "--sweep") for flag in others))
    if _GIVEN:
        raise jgan.UserError(f"{_GIVEN[0]} goes with --sweep alone: a run is repeated with its own config.")
    run_config.read(_VERIFY.value)
    from jgan.programs import verify

    verdict = verify.verify(_VERIFY.value, _VERIFY_STEPS.value)
    print(verify.describe(_VERIFY.value, verdict), flush=True)
    if verdict.parting:
        sys.exit(1)


_GIVEN: list[str] = []

if __name__ == "__main__":
    _GIVEN += [argument for argument in sys.argv[1:] if argument.startswith("--config.")]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith("--config.")]
    launch.run(main)
