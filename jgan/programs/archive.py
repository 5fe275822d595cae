"""Archives: what a program makes of very many pictures, in shards, by any number of processes that may die at any time.

Pictures in a fixed order are cut into shards (`archive_files`). A shard is the unit of work: a process makes those of
its share, and then, from the other end, those of other shares that are missing and that nobody works on
(`archive_claims`), until none is. Processes need no connection, only the same folder. Whatever is not whole is not
there, so that the same command continues, however many processes it has.

A picture's result depends on its name, its content and what the archive was claimed for; not on its neighbours, the
batch, or who makes it. A finished shard is looked at by the process in whose share it is: pictures whose content has
changed since are made anew, and the others keep their rows.
"""

import collections
from collections.abc import Iterator
import concurrent.futures
import contextlib
import os
import pathlib
import threading
from typing import Any
from typing import NamedTuple

import jgan
from jgan import output as output_lib
from jgan.data import check
from jgan.data import inputs as inputs_lib
from jgan.programs import archive_claims
from jgan.programs import archive_files
from jgan.programs import archive_stream

Item, Job = archive_stream.Item, archive_stream.Job

_PATIENCE = 0.5  # seconds between two looks at what others are still making


class Way(NamedTuple):
    """How an archive is worked on.

    Attributes:
        shard_size: pictures of a shard; 0: as the archive has them, or 256.
        share: (k, n): this is process k of n.
    """

    shard_size: int = 0
    share: tuple[int, int] = (0, 1)


ALONE = Way()


def make(
    folder: pathlib.Path,
    job: Job,
    facts: dict[str, Any],
    names: list[str],
    inputs: inputs_lib.Inputs | None = None,
    way: Way = ALONE,
) -> int:
    """The number of pictures that were made, after which the archive in `folder` is whole and has an index.

    Args:
        folder: which exists.
        job: what is made of a picture.
        facts: all on which results depend beside names and contents.
        names: of the pictures.
        inputs: by which they are read; None: there is nothing to be read.
        way: how.

    Raises:
        jgan.UserError: an archive of something else, or, after all is done, pictures that failed.
    """
    size = archive_files.claim(folder, facts, way.shard_size)
    plan = archive_files.plan(folder, names, size)
    stopped = threading.Event()
    work = _Work(folder, plan, inputs, way.share, stopped)
    total = sum(len(plan[k]) for k in work.mine)
    of = f" in the share of process {way.share[0]} of {way.share[1]}" if way.share[1] > 1 else ""
    print(f"archive of {sum(map(len, plan))} pictures in {len(plan)} shards, {total}{of}", flush=True)
    bar = output_lib.progress(total, unit="image")
    with contextlib.closing(bar), contextlib.closing(work.claims):
        work.bar = bar
        told = archive_stream.stream(
            job,
            work.chunks(),
            inputs.read if inputs else None,
            inputs_lib.digest,
            lambda chunk: work.write(chunk, job.constants),
            bar.update,
            stopped,
        )
    _report(work, told, inputs.left_out() if inputs and way.share[0] == 0 else "")
    failed = archive_files.index(folder, plan)
    archive_files.sweep(folder)
    archive_claims.sweep(folder)
    print(f"{archive_files.INDEX} in {folder} has a line for each picture")
    if failed:
        some = "; ".join(list(failed.values())[:5])
        raise jgan.UserError(
            f"{len(failed)} of {sum(map(len, plan))} pictures have no result: {some}"
            + ("; ..." if len(failed) > 5 else "")
        )
    return told.made


class _Work:
    """The shards that a process has to make."""

    def __init__(
        self,
        folder: pathlib.Path,
        plan: list[list[str]],
        inputs: inputs_lib.Inputs | None,
        share: tuple[int, int],
        stopped: threading.Event,
    ) -> None:
        self._folder, self._plan, self._inputs, self._stopped = folder, plan, inputs, stopped
        self.mine = range(share[0], len(plan), share[1])
        # From behind, and each process from its own neighbour on, so that helpers meet late.
        others = [range(k % share[1], len(plan), share[1]) for k in range(share[0] + 1, share[0] + share[1])]
        self.others = [number for numbers in others for number in reversed(numbers)]
        self.claims = archive_claims.Claims(folder)
        self.counts = collections.Counter()
        self.bar: Any = None

    def chunks(self) -> Iterator[archive_stream.Chunk | None]:
        """Yields what there is to do, as it is found, until no shard is missing that this process does not make."""
        with concurrent.futures.ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
            for number in self.mine:
                chunk = self._look_at(number, pool)
                if chunk.todo and (chunk.anew or self._take(number)):
                    yield self._begun(chunk)
        missing = [*self.mine, *self.others]
        while missing := [number for number in missing if self._is_missing(number)]:
            found = False
            for number in missing:
                if self._take(number):
                    found, names = True, self._plan[number]
                    if number not in self.mine:
                        self.counts["helped"] += 1
                        self.bar.total += len(names)
                    yield self._begun(archive_stream.Chunk(number, names, list(names), {}))
            if not found:  # others work on the rest, who may be gone the next time
                yield None
                if self._stopped.wait(_PATIENCE):
                    return

    def write(self, chunk: archive_stream.Chunk, constants: dict[str, Any]) -> None:
        """Writes a shard."""
        path = archive_files.shard(self._folder, chunk.number)
        output_lib.publish(path, archive_files.pack(chunk.rows, constants), anew=chunk.anew)
        self.claims.drop(chunk.number)

    def _is_missing(self, number: int) -> bool:
        """Whether there is no shard, and this process does not make it either."""
        return number not in self.claims.held and not archive_files.shard(self._folder, number).exists()

    def _take(self, number: int) -> bool:
        """Whether a missing shard is this process's to make."""
        if not self._is_missing(number) or not self.claims.take(number):
            return False
        if archive_files.shard(self._folder, number).exists():  # it has just been written
            self.claims.drop(number)
            return False
        return True

    def _begun(self, chunk: archive_stream.Chunk) -> archive_stream.Chunk:
        # Whoever finds an index finds all that it tells of.
        (self._folder / archive_files.INDEX).unlink(missing_ok=True)
        return chunk

    def _look_at(self, number: int, pool: concurrent.futures.Executor) -> archive_stream.Chunk:
        """The chunk of a shard with what has to be made of it."""
        names, path = self._plan[number], archive_files.shard(self._folder, number)
        rows = archive_files.unpack(path, values=False, whole=True)
        if rows is None:
            return archive_stream.Chunk(number, names, list(names), {}, anew=path.exists())
        todo = [name for name in names if name not in rows]
        if self._inputs:
            present = dict(zip(names, pool.map(self._digest, names), strict=True))
            for name in names:
                if name in rows and _is_stale(rows[name], present[name]):
                    todo.append(name)
                    self.counts["changed"] += rows[name].values is not None
        self.counts["done"] += len(names) - len(todo)
        self.bar.update(len(names) - len(todo))
        if todo:
            rows = archive_files.unpack(path) or {}
            todo = [name for name in names if name in set(todo) or name not in rows]
        return archive_stream.Chunk(
            number, names, todo, {name: rows[name] for name in names if name not in todo}, True
        )

    def _digest(self, name: str) -> str:
        """The digest of a picture's present content; empty if it cannot be read."""
        try:
            return inputs_lib.digest(self._inputs.read(name))
        except jgan.UserError:
            return ""


def _is_stale(row: archive_files.Row, present: str) -> bool:
    """Whether a picture has to be made again; one that is gone keeps its result, and what fails fails once."""
    if row.values is None and not row.sha256:
        return True
    return present not in ("", row.sha256)


def _report(work: _Work, told: archive_stream.Told, left_out: str) -> None:
    """Prints what was done, how fast, and for which share of the time a device had nothing to do."""
    if work.counts["done"]:
        print(f"{work.counts['done']} pictures were done already")
    if work.counts["changed"]:
        print(f"{work.counts['changed']} pictures have changed since, and were made anew")
    if work.counts["helped"]:
        print(f"{work.counts['helped']} missing shards of other shares were made as well")
    if told.made > told.first:
        print(
            f"{told.made} pictures made, {(told.made - told.first) / told.seconds:.2f} per second after the first "
            f"batch, which compiled; devices waited for input and output {100 * told.waited / told.seconds:.1f} % of "
            "that time"
        )
    check.report(told.remarks, told.made, left_out)
