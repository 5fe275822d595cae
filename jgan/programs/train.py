"""Training: what is checked and opened before the loop around a system's step begins (`loop`)."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
import os
from typing import Any
import zlib

import jax
import ml_collections

import jgan
from jgan import fields
from jgan import paths
from jgan import sharding
from jgan import trained
from jgan.data import pipeline
from jgan.metrics import scores
from jgan.metrics import segmentation
from jgan.programs import keeping
from jgan.programs import loop
from jgan.programs import previews
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.runs import lock
from jgan.runs import origin
from jgan.runs import tracking
from jgan.systems import SYSTEMS


def train(
    config: ml_collections.ConfigDict,
    workdir: str,
    init_from: str = "",
    *,
    allow_changed_data: bool = False,
    trackers: Sequence[tracking.Factory] = (),
    model_axis: int = 1,
    profile: range = range(0),
) -> None:
    """Trains what `config` describes until `config.steps`, and leaves a run in `workdir`.

    A run that is there already is continued: the outcome is bit-equal to one that was never interrupted. SIGTERM
    and Ctrl-C save and return, and before the first step end at once.

    Args:
        config: as a file in `configs/` makes it.
        workdir: directory of the run.
        init_from: directory of another run whose weights a new run starts from.
        allow_changed_data: a run goes on though its data are not those it was trained on.
        trackers: what is told of metrics and pictures besides metrics.jsonl, as `tracking.choose` gives it.
        model_axis: devices over which large arrays of the state are divided, as `sharding.mesh` takes it.
        profile: steps of the run, counted from 0, of which a profile is written; empty: none.

    Raises:
        jgan.UserError: a mistake in config, data or directory, reported before the first step; another process that
            trains the run; or what was to be saved could not be written.
        jgan.NotFinite: the run diverged; the last good checkpoint is kept.
    """
    together(
        [config],
        [workdir],
        init_from,
        allow_changed_data=allow_changed_data,
        trackers=trackers,
        model_axis=model_axis,
        profile=profile,
    )


def together(
    configs: Sequence[ml_collections.ConfigDict],
    workdirs: Sequence[str],
    init_from: str = "",
    *,
    allow_changed_data: bool = False,
    trackers: Sequence[tracking.Factory] = (),
    how: str = "",
    model_axis: int = 1,
    profile: range = range(0),
) -> None:
    """Trains several runs that differ in their seeds alone in one process, each as `train` would.

    Args:
        configs: of the runs.
        workdirs: their directories.
        init_from: as in `train`, for all of them.
        allow_changed_data: as in `train`.
        trackers: as in `train`.
        how: `in_turn` or `vmapped`, which `seeds` explains; empty: what suits the device.
        model_axis: as in `train`.
        profile: as in `train`; it is of all of them, in the directory of the first.

    Raises:
        jgan.UserError: as in `train`, or the runs have not all taken the same number of steps.
        jgan.NotFinite: one of them diverged, which ends all.
    """
    if len(configs) > 1 and jax.process_count() > 1:
        raise jgan.UserError("several seeds train in one process: start it without --distributed.")
    with contextlib.ExitStack() as locks:
        for place, workdir in enumerate(workdirs):
            if not place:
                run_config.check(configs[0], SYSTEMS)
                sharding.check(configs[0].batch_size)
                sharding.mesh(model_axis)
            run_config.prepare(workdir)
            locks.enter_context(sharding.once(lock.held(workdir)))
        options = {"how": how, "model_axis": model_axis, "profile": profile}
        _train([taken(c) for c in configs], workdirs, init_from, allow_changed_data, trackers, options)


def taken(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """A copy of a config in the types that a run has it in."""
    config = ml_collections.ConfigDict(config.to_dict())
    run_config.take_names(config)
    segmentation.take_palette(config)
    return config


def repeat(
    config: ml_collections.ConfigDict,
    workdirs: Mapping[int, str],
    init_from: str,
    until: int,
    digested: Iterable[int],
) -> None:
    """Takes the first steps of a run anew in another directory, with a trace and neither scores nor pictures.

    A run that was trained by one vmapped program with others is repeated with them.

    Args:
        config: of the run, with its number of steps, on which learning rates may depend.
        workdirs: {seed: an empty directory, but for the nets of the run that nobody trains}, of all of them.
        init_from: the run whose weights it started from; empty: none.
        until: how many steps.
        digested: the steps of which the trace shall have every array.

    Raises:
        jgan.UserError: the data of the run cannot be used any more.
        jgan.NotFinite: a number is not finite.
    """

    configs = [taken(config) for _ in workdirs]
    for one, seed in zip(configs, workdirs, strict=True):
        one.seed = seed

    def begin(members: list[keeping.Member], _: Any) -> loop.Loop:
        return loop.Loop(members, init_from, until=until, digested=digested, how="vmapped")

    sharding.check(config.batch_size)
    _open(configs, list(workdirs.values()), begin, lambda *_: None, validates=False)


def _train(
    configs: Sequence[ml_collections.ConfigDict],
    workdirs: Sequence[str],
    init_from: str,
    allow_changed_data: bool,
    trackers: Sequence[tracking.Factory],
    options: dict[str, Any],
) -> None:
    """`together`, nobody else training the runs meanwhile."""
    olds = [_old(config, workdir) for config, workdir in zip(configs, workdirs, strict=True)]

    def check(stream: Any, held: Any) -> None:
        """Refuses other data than those that runs began with."""
        for old, config, workdir in zip(olds, configs, workdirs, strict=True):
            if old is not None:
                _check_data(workdir, old, config, stream, held, allow_changed_data)

    def begin(members: list[keeping.Member], held: Any) -> loop.Loop:
        starts = {member.start for member in members}
        if len(starts) > 1:
            raise jgan.UserError(
                f"the runs in {', '.join(workdirs)} are at the steps {', '.join(map(str, sorted(starts)))}: "
                "only runs at one step can go on together."
            )
        begun = loop.Loop([m._replace(trackers=trackers) for m in members], init_from, held, **options)
        # Only now: a mistake reported above leaves no run behind that a corrected command would contradict.
        for member in members if jax.process_index() == 0 else ():
            _write(member.workdir, member.config, member.stream, held, init_from, member.start, begun.vmapped)
        return begun

    _open(configs, workdirs, begin, check, given=options)


def _open(
    configs: Sequence[ml_collections.ConfigDict],
    workdirs: Sequence[str],
    begin: Callable[[list[keeping.Member], Any], loop.Loop],
    check: Callable[[Any, Any], None],
    *,
    validates: bool = True,
    given: Any = None,
) -> None:
    """Opens data and checkpoints, runs the loop that `begin` makes of them, and closes all."""
    config = configs[0]
    # What cannot be built is refused before the data are read, which may take long; only they know their labels.
    if "label" not in fields.of(config.data) or config.data.names:
        scores.best_policy(config.best, SYSTEMS[config.system](config))
    stream = pipeline.train(
        config.data,
        batch_size=config.batch_size,
        seed=config.seed,
        processes=(jax.process_index(), jax.process_count()),
        sets=tuple(config.get("sets", ())),
        mask=config.get("mask", True),
    )
    streams = [stream, *(stream.again(other.seed) for other in configs[1:])]
    with contextlib.ExitStack() as opened:
        for one in streams:
            opened.callback(one.close)
        for each in configs:
            each.data.update(stream.facts)
        system = SYSTEMS[config.system](config)
        best = scores.best_policy(config.best, system)
        held = previews.held_out(config, system) if validates else None
        if isinstance(held, str):
            loop.say(f"no validation: {held}")
            held = None
        check(stream, held)
        members = []
        for each, workdir, one in zip(configs, workdirs, streams, strict=True):
            place = os.path.join(workdir, "checkpoints")
            checkpoints = opened.enter_context(checkpoint.Checkpoints(place, keep=config.keep, best=best))
            members.append(keeping.Member(each, workdir, one, checkpoints))
        _agree(members, given)
        begin(members, held).run()


def _agree(members: Sequence[keeping.Member], given: Any = None) -> None:
    """Refuses processes that would not train one run together with a `jgan.UserError`, in all of them.

    Args:
        members: the runs.
        given: what else the command says of the training.
    """
    config, stream = {**members[0].config.to_dict(), "given": given}, members[0].stream
    for name in ("root", "cache_dir"):  # places on each machine
        config["data"].pop(name, None)
    data = (stream.examples, stream.files, stream.labels, stream.lists)
    mine = [zlib.crc32(repr(part).encode()) for part in (config, data)] + [members[0].start]
    first, *others = (json.loads(part) for part in sharding.gathered(json.dumps(mine).encode()))
    for index, (settings, read, step) in enumerate(others, 1):
        if settings != first[0]:
            raise jgan.UserError(
                f"process {index} has another config than process 0: start all with the same flags."
            )
        if read != first[1]:
            raise jgan.UserError(
                f"process {index} reads other data than process 0: all need the same files and labels."
            )
        if step != first[2]:
            raise jgan.UserError(
                f"process {index} finds step {step} in the checkpoints where process 0 finds step {first[2]}: "
                "--workdir has to be in a file system that all share."
            )


def _old(config: ml_collections.ConfigDict, workdir: str) -> ml_collections.ConfigDict | None:
    """The config of a run that goes on, whose facts `config` takes over; None for a new one."""
    if paths.exists(os.path.join(workdir, trained.EXPORTED)):
        raise jgan.UserError(
            f"--workdir={workdir} is an export, without what training needs to go on: "
            f"another --workdir with --init_from={workdir} would work."
        )
    if not paths.exists(os.path.join(workdir, "config.json")):
        return None
    old = run_config.read(workdir)
    run_config.take_facts(config, old)
    run_config.check_continuation(workdir, old, config)
    return old


def _check_data(
    workdir: str,
    old: ml_collections.ConfigDict,
    config: ml_collections.ConfigDict,
    stream: Any,
    held: Any,
    allow: bool,
) -> None:
    """Refuses other data than those of a run that goes on, or says so."""
    run_config.check_continuation(workdir, old, config)
    sentence = run_config.check_files(workdir, old, config, _read(stream), allow=allow)
    if sentence:
        loop.say(f"going on with other data: they {sentence}")
    if held:
        sentence = run_config.check_files(
            workdir, old, config, _read(held), split=config.data.val_split, allow=True
        )
        if sentence:
            loop.say(f"validation goes on with other data: they {sentence}")


def _write(
    workdir: str,
    config: ml_collections.ConfigDict,
    stream: Any,
    held: Any,
    init_from: str,
    step: int = 0,
    vmapped: Sequence[int] = (),
) -> None:
    """Writes what the run is, where this start of it comes from, and what its data are."""
    starts = run_config.facts(workdir).get("starts", []) if step else []
    if step < config.steps:
        starts = [*starts, origin.start(step, config.steps, init_from, vmapped)]
    facts = {"init_from": init_from, "excluded": stream.bad, "halves": stream.halves, "starts": starts}
    run_config.write(workdir, config, versions=origin.versions(), **facts)
    splits = {config.data.val_split: _read(held)} if held else {}
    run_config.write_files(workdir, {**splits, config.data.split: _read(stream)})


def _read(examples: Any) -> run_config.Data:
    """What is recorded of the data of a split."""
    return run_config.Data(examples.files, examples.labels, examples.lists)
