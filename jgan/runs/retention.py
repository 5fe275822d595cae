"""Which checkpoints stay, and what a kill in the middle of a deletion leaves.

Orbax deletes an old checkpoint OLD file by file after a new one, NEW, is complete. If the process is
killed in between, half of OLD may be left, which nothing distinguishes from a whole checkpoint. So before anything
is deleted an empty file "OLD.replaced-by-NEW" is made beside it: where that file exists and NEW is complete,
OLD is no longer a checkpoint.
"""

from collections.abc import Sequence
import math
import pathlib
from typing import Any

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from jgan import paths

_MARK = ".replaced-by-"


class Policy:
    """Keeps the last checkpoints and the best one, as a preservation policy of Orbax.

    Set `saving` to the step of a new checkpoint before it is saved.
    """

    def __init__(self, directory: pathlib.Path, keep: int, best: tuple[str, str] | None) -> None:
        """The policy for the checkpoints in `directory`.

        Args:
            directory: of the checkpoints.
            keep: how many of the last checkpoints stay.
            best: (metric, "min" | "max") by which one more stays; None for no other.
        """
        policies = ocp.training.preservation_policies
        kept = [policies.LatestN(keep)]
        if best is not None:
            kept.append(
                policies.BestN(
                    get_metric_fn=lambda metrics: score(metrics, best),
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        self.policy = policies.AnyPreservationPolicy(kept)
        self.directory = directory
        self.saving = None

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        """Whether each of the checkpoints stays; marks those that do not, before Orbax deletes them."""
        kept = self.policy.should_preserve(checkpoints, context=context)
        if jax.process_index() == 0:
            for mark, old, _ in _marks(self.directory):
                if not (self.directory / str(old)).exists():
                    mark.unlink(missing_ok=True)
            for info, stays in zip(checkpoints, kept, strict=True):
                if not stays:
                    (self.directory / f"{info.step}{_MARK}{self.saving}").touch()
        return kept


def score(metrics: dict | None, best: tuple[str, str]) -> float:
    """The score of a checkpoint, of which greater ones are better; -inf if its metric is not finite."""
    name, mode = best
    value = (metrics or {}).get(name)
    if value is None or not math.isfinite(value):
        return -math.inf
    return -value if mode == "min" else value


def deletions(directory: pathlib.Path) -> set[int]:
    """The steps whose deletion may have begun, since what replaces them is complete."""
    return {old for _, old, new in _marks(directory) if (directory / str(new)).is_dir()}


def finish_deletions(directory: pathlib.Path) -> None:
    """Deletes what is left of `deletions`; every process calls it, before any of them lists the directory."""
    if jax.process_index() == 0:
        for old in deletions(directory):
            paths.remove_tree(directory / str(old))
        for mark, _, _ in _marks(directory):
            mark.unlink(missing_ok=True)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("deletions finished")


def _marks(directory: pathlib.Path) -> list[tuple[pathlib.Path, int, int]]:
    """(file, old step, new step) of each mark."""
    return [(file, *map(int, file.name.split(_MARK))) for file in directory.glob(f"*{_MARK}*")]
