"""Pictures that stream through a device: what is read ahead, how waiting is counted, and errors that end it."""

import threading
import time

import numpy as np
import pytest

import jgan
from jgan.programs import archive_stream

NAMES = [f"{k:02d}" for k in range(48)]


def stream(make=None, read=None, write=None, chunks=None, number=48):
    """(what the stream told, {name: value}) of pictures whose value is their number, in shards of eight."""
    found = {}
    if chunks is None:
        chunks = [
            archive_stream.Chunk(k, NAMES[k * 8 : k * 8 + 8], NAMES[k * 8 : k * 8 + 8], {})
            for k in range(number // 8)
        ]

    def keep(chunk):
        found.update({name: row.why or row.values["x"] for name, row in chunk.rows.items()})

    def parse(name, data):
        if data == b"07":
            raise jgan.UserError("it is bad")
        return archive_stream.Item(int(data), group=int(data) % 3 == 0, remarks=("seen",))

    job = archive_stream.Job(
        batch=lambda group: 2,
        read=parse,
        make=make or (lambda names, numbers: np.array(numbers)),
        finish=lambda name, number, row: {"x": row},
        constants={},
    )
    told = archive_stream.stream(
        job,
        chunks,
        read or str.encode,
        lambda data: data.decode(),
        write or keep,
        lambda n: None,
        threading.Event(),
    )
    return told, found


def test_every_picture_has_its_own_result_whatever_shares_its_batch():
    told, found = stream()
    assert found == {name: "it is bad" if name == "07" else int(name) for name in NAMES}
    assert told.made == 47 and told.remarks == {"seen": 47} and 0 <= told.waited <= told.seconds


def test_waiting_is_that_of_the_device():
    def slowly(name):
        time.sleep(0.05 * archive_stream._THREADS)
        return name.encode()

    def long(names, numbers):
        time.sleep(0.1)
        return np.array(numbers)

    told, _ = stream(read=slowly, number=16)
    assert told.waited > 0.25 and told.waited > 0.8 * told.seconds
    told, _ = stream(make=long)
    assert told.seconds > 1.5 and told.waited < 0.5 * told.seconds


def test_what_is_read_ahead_has_a_limit(monkeypatch):
    monkeypatch.setattr(archive_stream, "_THREADS", 1)
    read, ahead = [], []

    def make(names, numbers):
        time.sleep(0.02)
        ahead.append(len(read) - 2 * len(ahead))
        return np.array(numbers)

    stream(make=make, read=lambda name: read.append(name) or name.encode())
    # Pairs in the queue and in the hands of the reader, halves of two groups, and what is decoded.
    assert 2 < max(ahead) <= 2 * (archive_stream._BATCHES + 1) + 2 + 4 + 1


@pytest.mark.parametrize("where", ["make", "read", "write", "chunks"])
def test_an_error_ends_the_stream(where):
    def fails(*_):
        raise RuntimeError("a fault")

    def chunks():
        yield archive_stream.Chunk(0, NAMES[:8], NAMES[:8], {})
        fails()

    with pytest.raises(RuntimeError, match="a fault"):
        stream(**{where: chunks() if where == "chunks" else fails})
    assert not [thread for thread in threading.enumerate() if "(_run)" in thread.name]
