"""Whether a run can be repeated: its first steps once more, compared with what its trace has of them."""

from collections.abc import Mapping
import os
import tempfile
from typing import Any
from typing import NamedTuple

import ml_collections

import jgan
from jgan.programs import train
from jgan.runs import config as run_config
from jgan.runs import frozen as frozen_files
from jgan.runs import origin
from jgan.runs import trace


class Verdict(NamedTuple):
    """What came of a repetition.

    Attributes:
        steps: how many steps were repeated.
        parting: where they part from those of the run; None where all is equal.
        states: the steps of which all arrays of the state were compared.
        arrays: how many there are.
        differences: what else differs between the run's start and now, in words.
    """

    steps: int
    parting: trace.Parting | None
    states: tuple[int, ...]
    arrays: int
    differences: tuple[str, ...]


def verify(workdir: str, steps: int = trace.STEPS) -> Verdict:
    """Repeats the first steps of a run in a temporary directory, and compares them with the run.

    Args:
        workdir: of the run, of which nothing changes.
        steps: how many; fewer if the run or what its trace has of it is shorter.

    Raises:
        jgan.UserError: there is no run or it has no trace, or its data cannot be used any more.
        jgan.NotFinite: the repetition diverged where the run did not, although all was equal before.
    """
    config, known = run_config.read(workdir), trace.read(workdir)
    starts = run_config.facts(workdir).get("starts") or [{}]
    until = _last(config, starts, known, steps)
    with tempfile.TemporaryDirectory(prefix="jgan-verify-") as place:
        # Runs that one vmapped program trained with this one are trained again too: sums have its order only there.
        together = {
            seed: os.path.join(place, str(seed)) for seed in starts[0].get("vmapped") or [config.seed]
        }
        mine = together.setdefault(config.seed, os.path.join(place, str(config.seed)))
        for one in together.values():
            os.makedirs(one)
            for net, weights in frozen_files.read(workdir).items():
                frozen_files.write(one, net, weights)
        config.steps = starts[0].get("steps", config.steps)
        diverged = None
        digested = [step for step, told in known.items() if "state" in told]
        try:
            train.repeat(config, together, starts[0].get("init_from", ""), until, digested)
        except jgan.NotFinite as error:
            diverged = error
        again = trace.read(mine)
    parting = trace.parting(known, again, until)
    if parting is None and diverged:
        raise diverged
    if parting is None and max(again) < until:
        raise KeyboardInterrupt
    states = tuple(step for step in sorted(digested) if 0 < step <= until)
    arrays = max((len(told["state"]) for told in known.values() if "state" in told), default=0)
    now = origin.start(0, config.steps, "")
    return Verdict(until, parting, states, arrays, tuple(origin.differences(starts[0], now)))


def describe(workdir: str, verdict: Verdict) -> str:
    """The verdict in sentences, one a line."""
    parting = verdict.parting
    if parting is None:
        states = ", ".join(map(str, verdict.states))
        lines = [
            f"{workdir}: the first {verdict.steps} steps are bit-equal: batches, metrics, and all {verdict.arrays} "
            f"arrays of the state after steps {states}"
        ]
    else:
        lines = [f"{workdir}: the repeated steps part at step {parting.step}; first differs {parting.name}"]
        if parting.since is None:
            lines.append(
                "the state differs before the first step already: another seed, or other initial weights"
            )
        else:
            lines.append(f"all arrays of the state are equal after step {parting.since}")
        if parting.leaf != parting.name and parting.leaf:
            lines.append(f"of the state after step {parting.leaf_step}, first differs {parting.leaf}")
    told = [f"now and when the run began: {line}" for line in verdict.differences]
    return "\n".join(lines + (told if parting else []))


def _last(
    config: ml_collections.ConfigDict,
    starts: list[dict[str, Any]],
    known: Mapping[int, Mapping[str, Any]],
    steps: int,
) -> int:
    """The last step that can be compared."""
    # A run that went on with another number of steps may have had other learning rates from there on.
    first = starts[0].get("steps", config.steps)
    others = [start["step"] for start in starts[1:] if start.get("steps", first) != first]
    limit = min([steps, first, *(step for step in others if step)])
    return max((step for step in known if step <= limit), default=0)
