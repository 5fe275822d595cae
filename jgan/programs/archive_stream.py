"""Pictures that stream through the devices: read ahead and encoded behind by threads, so that no device waits.

One thread gives out what is to be read, a pool of them decodes and encodes, the caller's thread does nothing but start
batches and fetch results, with one batch always under way, and one thread writes. Queues between them are bounded.
"""

import collections
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Iterator
import concurrent.futures
import dataclasses
import os
import queue
import threading
import time
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

import jgan
from jgan.programs import archive_files

_THREADS = min(16, os.cpu_count() or 1)
_BATCHES = 2  # that are ready before the device asks for them
_BYTES = (
    2**28
)  # of pictures that are decoded ahead, beside those batches, and as many that are encoded behind
_WRITING = 2  # shards that wait until they are written


class Item(NamedTuple):
    """A picture as it was read.

    Attributes:
        payload: what `Job.make` and `Job.finish` take.
        group: pictures of one group can share a batch.
        remarks: for the person who uses the archive.
    """

    payload: Any
    group: Hashable = ()
    remarks: tuple[str, ...] = ()


class Job(NamedTuple):
    """What a program makes of pictures, none of which depends on another.

    Attributes:
        batch: of a group, how many are made together at most.
        read: (name, bytes of the file) to an item, in a thread; a `jgan.UserError` where it cannot be used.
        make: (names, payloads), at most `batch` of them, to arrays [n or more, ...] on the devices, not waited for.
        finish: (name, payload, its arrays) to the values of its row (`archive_files.Row`), in a thread; a
            `jgan.UserError` where the result cannot be used.
        constants: of all shards, numbers and texts.
    """

    batch: Callable[[Hashable], int]
    read: Callable[[str, bytes], Item]
    make: Callable[[list[str], list[Any]], Any]
    finish: Callable[[str, Any, Any], dict[str, np.ndarray | bytes]]
    constants: dict[str, Any]


@dataclasses.dataclass
class Chunk:
    """The pictures of a shard on their way.

    Attributes:
        number: of the shard.
        names: all of them, in order.
        todo: those that have to be made.
        rows: what is known.
        anew: whether the shard takes the place of one that is there.
    """

    number: int
    names: list[str]
    todo: list[str]
    rows: archive_files.Rows
    anew: bool = False
    finishing: list[tuple[str, str, concurrent.futures.Future]] = dataclasses.field(default_factory=list)


class Told(NamedTuple):
    """What a stream says of itself.

    Attributes:
        made: pictures that have results.
        first: of them, those of the first batch, whose program had to be compiled.
        seconds: from the end of the first batch to that of the last one.
        waited: of them those in which no batch was under way, because none could be read or kept in time.
        remarks: with their numbers.
    """

    made: int
    first: int
    seconds: float
    waited: float
    remarks: collections.Counter


class _Batch(NamedTuple):
    chunk: Chunk
    items: list[tuple[str, str, Any]]  # (name, sha256, payload)
    behind: int  # how many such pictures may wait until they are encoded
    made: Any = None


class _End(NamedTuple):
    """Follows the last batch of a chunk."""

    chunk: Chunk


def stream(
    job: Job,
    chunks: Iterable[Chunk | None],
    read: Callable[[str], bytes] | None,
    digest: Callable[[bytes], str],
    write: Callable[[Chunk], None],
    update: Callable[[int], None],
    stopped: threading.Event,
) -> Told:
    """Makes all that chunks have to do, and hands each whole chunk to `write`, in order, in a thread.

    Args:
        job: what is made.
        chunks: taken from in a thread, a few batches ahead; None: the next one may take long, and those before it
            should not wait for it.
        read: the bytes of a name; None: there is nothing to read.
        digest: of bytes.
        write: is called with whole chunks.
        update: is called with numbers of pictures that are done with.
        stopped: is set at the end, for whoever `chunks` waits for.

    Raises:
        Whatever any of the functions raises that is not said to be the failure of a picture.
    """
    pool = concurrent.futures.ThreadPoolExecutor(_THREADS)
    writer = concurrent.futures.ThreadPoolExecutor(1)
    reader = _Reader(job, chunks, read, digest, pool, stopped)
    try:
        return _Maker(job, reader, pool, writer, write, update).run()
    finally:
        reader.stop()
        pool.shutdown(cancel_futures=True)
        writer.shutdown(cancel_futures=True)


class _Reader:
    """A thread that puts batches into a queue."""

    def __init__(
        self, job: Job, chunks: Any, read: Any, digest: Any, pool: Any, stopped: threading.Event
    ) -> None:
        self._job, self._chunks, self._read, self._digest, self._pool = job, chunks, read, digest, pool
        self._stopped = stopped
        self.queue: queue.Queue = queue.Queue(_BATCHES)
        self.remarks = collections.Counter()
        self._groups: dict[Hashable, list[tuple[str, str, Any]]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._feed()
            self._put(None)
        except _Stopped:
            pass
        except BaseException as error:  # it is raised where the queue is read
            try:
                self._put(error)
            except _Stopped:
                pass

    def _feed(self) -> None:
        ahead, window = 1, collections.deque()
        for chunk, name in self._names():
            if chunk:
                future = None if name is None else self._pool.submit(self._item, name)
                window.append((chunk, name, future))
            while len(window) > (ahead if chunk else 0):
                ahead = self._take(*window.popleft()) or ahead

    def _names(self) -> Iterator[tuple[Chunk | None, str | None]]:
        """Yields what is to be read, (a chunk, None) at its end, and (None, None) where nothing follows soon."""
        for chunk in self._chunks:
            yield from ((chunk, name) for name in (chunk.todo if chunk else ()))
            yield chunk, None
        yield None, None

    def _item(self, name: str) -> tuple[str, Item | jgan.UserError]:
        """(digest, the item or what is wrong with it) of a picture."""
        found = ""
        try:
            data = b""
            if self._read:
                data = self._read(name)
                found = self._digest(data)
            return found, self._job.read(name, data)
        except jgan.UserError as error:
            return found, error

    def _take(self, chunk: Chunk, name: str | None, future: Any) -> int:
        """How many pictures such as this one may be decoded ahead, after it was taken into a batch; 0: it was none."""
        if name is None:
            for items in self._groups.values():
                self._put(_Batch(chunk, items, _several(items)))
            self._groups = {}
            self._put(_End(chunk))
            return 0
        found, item = future.result()
        if isinstance(item, jgan.UserError):
            chunk.rows[name] = archive_files.Row(found, None, str(item))
            return 0
        self.remarks.update(item.remarks)
        items = self._groups.setdefault(item.group, [])
        items.append((name, found, item.payload))
        size = self._job.batch(item.group)
        if len(items) == size:
            self._put(_Batch(chunk, self._groups.pop(item.group), _several(items)))
        return max(2 * size, _several(items))

    def _put(self, message: Any) -> None:
        while not self._stopped.is_set():
            try:
                return self.queue.put(message, timeout=0.1)
            except queue.Full:
                pass
        raise _Stopped


def _several(items: list[tuple[str, str, Any]]) -> int:
    """How many pictures such as the last of these keep all threads at work without filling the memory."""
    leaves = jax.tree.leaves(items[-1][-1])
    size = sum(x.nbytes for x in leaves if isinstance(x, np.ndarray))
    return max(1, min(4 * _THREADS, _BYTES // max(size, 1)))


class _Stopped(Exception):
    """The stream has ended."""


class _Maker:
    """The loop that keeps the devices busy."""

    def __init__(self, job: Job, reader: _Reader, pool: Any, writer: Any, write: Any, update: Any) -> None:
        self._job, self._reader, self._pool, self._writer = job, reader, pool, writer
        self._write, self._update = write, update
        self._under_way = collections.deque()  # batches that were begun and ends of chunks, in order
        self._finishing = collections.deque()
        self._writing = collections.deque()
        self._made = self._first = 0
        self._begun, self._waited = 0.0, 0.0

    def run(self) -> Told:
        """Takes all batches."""
        while (message := self._next()) is not None:
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, _Batch):
                names = [name for name, _, _ in message.items]
                message = message._replace(made=self._job.make(names, [x for *_, x in message.items]))
            self._under_way.append(message)
            while sum(isinstance(one, _Batch) for one in self._under_way) > 1 or isinstance(
                self._under_way[0] if self._under_way else None, _End
            ):
                self._settle(self._under_way.popleft())
        self._drain()
        end = time.perf_counter()
        while self._writing:
            self._writing.popleft().result()
        seconds = end - self._begun if self._begun else 0.0
        return Told(self._made, self._first, seconds, self._waited, self._reader.remarks)

    def _next(self) -> Any:
        try:
            return self._reader.queue.get_nowait()
        except queue.Empty:
            pass
        # Only from here on, when what is under way has ended, is a device without work.
        jax.block_until_ready([one.made for one in self._under_way if isinstance(one, _Batch)])
        before, waited = time.perf_counter(), self._waited
        self._drain()
        message = self._reader.queue.get()
        if message is not None:
            self._waited = waited  # what was waited for in `_drain` is part of the time since `before`
            self._wait_ended(before)
        return message

    def _drain(self) -> None:
        while self._under_way:
            self._settle(self._under_way.popleft())

    def _settle(self, one: _Batch | _End) -> None:
        """Hands on the results of a batch, or a whole chunk."""
        if isinstance(one, _End):
            before = time.perf_counter()
            while len(self._writing) >= _WRITING or self._writing and self._writing[0].done():
                self._writing.popleft().result()
            self._wait_ended(before)
            self._update(len(one.chunk.todo) - len(one.chunk.finishing))  # those that could not be read
            self._writing.append(self._writer.submit(self._whole, one.chunk))
            return
        made = jax.device_get(one.made)
        if not self._begun:
            self._begun, self._first = time.perf_counter(), len(one.items)
        self._made += len(one.items)
        self._update(len(one.items))
        before = time.perf_counter()
        while len(self._finishing) > max(2 * len(one.items), one.behind):
            concurrent.futures.wait([self._finishing.popleft()])
        self._wait_ended(before)
        for k, (name, found, payload) in enumerate(one.items):
            row = jax.tree.map(lambda x, k=k: x[k], made)
            future = self._pool.submit(self._job.finish, name, payload, row)
            self._finishing.append(future)
            one.chunk.finishing.append((name, found, future))

    def _wait_ended(self, before: float) -> None:
        if self._begun:
            self._waited += time.perf_counter() - max(before, self._begun)

    def _whole(self, chunk: Chunk) -> None:
        for name, found, future in chunk.finishing:
            try:
                chunk.rows[name] = archive_files.Row(found, future.result())
            except jgan.UserError as error:
                chunk.rows[name] = archive_files.Row(found, None, str(error))
        chunk.rows = {name: chunk.rows[name] for name in chunk.names}
        self._write(chunk)
