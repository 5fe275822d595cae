"""Trains all variants of a sweep: python -m launch.sweep --sweep=configs/sweeps/FILE.py:PRESET --workdir=DIR

Flags --config.FIELD=VALUE are for all runs. The same command again goes on: what is finished is left as it is, and
what was broken off continues. launch.report makes a table of the outcome.

    python -m launch.sweep --sweep=configs/sweeps/projection.py --run=RUN --images=PHOTOS --workdir=DIR

projects photos by a run in all variants of such a sweep; flags of launch.project are for all of them.

    python -m launch.sweep --verify=RUN

repeats the first steps of a run, of a sweep or not, and says whether they are bit-equal.
"""

import sys
from typing import Any

from absl import flags

import jgan
from jgan import output
from jgan.runs import config as run_config
import launch
from launch import config_files
from launch import feature_flags
from launch import project_flags

_SWEEP = flags.DEFINE_string("sweep", "", "configs/sweeps/FILE.py or configs/sweeps/FILE.py:PRESET")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the sweep, with a run in VARIANT/seedN of each")
_SEEDS = flags.DEFINE_integer("seeds", 3, "so many seeds of each variant", lower_bound=1)
_VARIANTS = flags.DEFINE_list(
    "variants", [], "names of those that are trained or projected now, separated by commas; empty: all"
)
_VMAP = flags.DEFINE_integer(
    "vmap_seeds",
    1,
    "train so many seeds of a variant together: as one vmapped program, but on CPUs in processes that divide the "
    "cores; without --seeds there are as many",
    lower_bound=1,
)
_RUN = flags.DEFINE_string(
    "run", "", "of a sweep of projections: the run that photos are projected by; empty: the sweep's own"
)
_IMAGES = flags.DEFINE_string(
    "images",
    "",
    "of a sweep of projections: a picture, or a folder of pictures; empty: pictures of the run's own data, of its "
    "validation split",
)
_NUMBER = flags.DEFINE_integer("number", 8, "so many of them, where there are no --images", lower_bound=1)
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
flags.adopt_module_key_flags(project_flags)


def main() -> None:
    if _VERIFY.value:
        verify()
        return
    missing = [f"--{flag.name}" for flag in (_SWEEP, _WORKDIR) if not flag.value]
    if missing:
        raise jgan.UserError(f"{' and '.join(missing)} must be given; --help shows all flags.")
    from jgan.programs import sweep
    from jgan.programs import sweep_elsewhere
    from jgan.programs import sweep_file

    launch.goes_with(
        (_VERIFY_STEPS, False, "--verify"),
        (_JOBS, _EXECUTOR.value == "here", "--executor=here"),
        (_IMAGE, _EXECUTOR.value == "kubernetes", "--executor=kubernetes"),
    )
    made, workdir = sweep.read(_SWEEP.value), _WORKDIR.value
    projects = made.program == "project"
    launch.goes_with(
        (_VMAP, not projects, "a sweep of trainings"),
        *((flag, projects, "a sweep of projections") for flag in _projection_flags()),
        (_NUMBER, not _IMAGES.value, "pictures of the run's own data, without --images,"),
    )
    if projects:
        made, jobs, given = projections(made, workdir)
        shown = [*given, f"--images={_IMAGES.value}" if _IMAGES.value else f"--number={_NUMBER.value}"]
    else:
        count, given = _SEEDS.value if _SEEDS.present or not _VMAP.present else _VMAP.value, _GIVEN
        jobs, shown = sweep.expand(made, workdir, seeds=count, given=given, load=config_files.load), given
    chosen = of_variants(jobs, [name for name, _ in made.variants])
    printing = _EXECUTOR.value == "commands"
    told = sys.stderr if printing else sys.stdout  # commands alone are on standard output
    print(sweep.describe(made, chosen, shown), file=told, flush=True)
    here = _EXECUTOR.value == "here"
    if here and not projects:
        sweep.check(chosen)  # not of other machines, which may have other files
    if _DRY_RUN.value:
        return
    if projects:
        from jgan.programs import sweep_projections

        number = 0 if _IMAGES.value else _NUMBER.value
        sweep_projections.write(workdir, _SWEEP.value, made, jobs, given, number)
    else:
        sweep_file.write(workdir, _SWEEP.value, made, jobs, given)
    left, failed = sweep.pending(chosen, told)
    divided = sweep.parts(_VMAP.value) if here and _JOBS.value is None else 1
    left = sweep.grouped(left, -(-_VMAP.value // divided))
    if printing:
        print(sweep_elsewhere.commands(left), end="")
    elif not left:
        print(f"nothing is left to {made.program}")
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


def of_variants(jobs: list[Any], names: list[str]) -> list[Any]:
    """The runs of --variants, some of `names`, in the order of the sweep."""
    for name in _VARIANTS.value:
        if name not in names:
            raise jgan.UserError(f"--variants: {name!r} is no variant: use some of {', '.join(names)}.")
    wanted = _VARIANTS.value or names
    return [job for job in jobs if job.name.rpartition("/")[0] in wanted]


def projections(made: Any, workdir: str) -> tuple[Any, list[Any], list[str]]:
    """(the sweep with its run, its projections, the flags that are given to all of them)."""
    from jgan.programs import sweep_projections

    if _GIVEN:
        raise jgan.UserError(f"{_GIVEN[0]} goes with a sweep of trainings alone.")
    made = made._replace(config=_RUN.value or made.config)
    if not made.config:
        raise jgan.UserError("--run must be given: the run that photos are projected by.")
    feature_flags.check()
    for overrides in (made.base, *(overrides for _, overrides in made.variants)):
        try:
            project_flags.check(overrides)
        except jgan.UserError as error:
            raise jgan.UserError(f"--sweep={_SWEEP.value}: {error}") from None
    given = project_flags.given()
    jobs = sweep_projections.expand(made, workdir, seeds=_SEEDS.value, given=given, images=_IMAGES.value)
    sweep_projections.check(made, project_flags.values())
    return made, jobs, given


def _projection_flags() -> list[Any]:
    """The flags that a sweep of projections alone has."""
    return [_RUN, _IMAGES, _NUMBER, *project_flags.every()]


def verify() -> None:
    """Repeats a run, says what came of it, and ends with status 1 if it is another one."""
    others = (
        *(_SWEEP, _WORKDIR, _SEEDS, _VARIANTS, _VMAP, _DRY_RUN, _JOBS, _EXECUTOR, _IMAGE),
        *_projection_flags(),
    )
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
    launch.run(main, stores=("verify",))
