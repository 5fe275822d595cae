"""The trace of a run: what it tells apart, and what it costs nobody."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import state as state_lib
from jgan.runs import trace


def state(kernel=1.0, step=0):
    params = {"net": {"bias": jnp.zeros(3), "kernel": jnp.full((2, 2), kernel)}}
    frozen = {"net": jnp.zeros(())}
    return state_lib.State(jnp.int32(step), params, {}, {}, aux={"on": jnp.ones(2, bool)}, frozen=frozen)


def written(folder, kernels, losses, batches=None):
    """The trace of a run whose state after step k has kernels[k]."""
    folder.mkdir()
    told = trace.Trace(str(folder), 0)
    for step, kernel in enumerate(kernels):
        told.state(step, state(kernel, step))
        if step:
            pixel = (batches or {}).get(step, 0)
            told.metrics(step, {"loss": losses[step]}, told.batch(step, {"a": np.full((1, 2), pixel)}))
    told.close()
    return trace.read(str(folder))


def test_checksums_are_of_all_bytes_and_of_all_arrays_but_the_frozen_ones():
    sums = trace.digests(state())
    assert list(sums) == ["step", "params/net/bias", "params/net/kernel", "aux/on"]
    assert sums != trace.digests(state(np.nextafter(np.float32(1), np.float32(2))))
    assert trace.checksum(np.float32(0.0)) != trace.checksum(np.float32(-0.0))
    assert trace.checksum(np.arange(4).reshape(2, 2).T) == trace.checksum(np.array([0, 2, 1, 3]))


@pytest.mark.parametrize(
    "x", [np.zeros((0, 3), np.uint8), np.float32(1), np.arange(999)[::2].astype("i2"), np.ones(7, bool)]
)
def test_checksums_are_those_of_every_library(x):
    """Or a run that was traced by another one could not be verified."""
    assert trace.checksum(x) == trace.checksum(jnp.asarray(x)) == f"{zlib.crc32(x.tobytes()):08x}"


def test_checksums_leave_the_memory_of_the_state_to_the_next_step():
    """A step that could not reuse it would need half of all memory more, and copy it."""
    step = jax.jit(lambda x: jax.tree.map(lambda leaf: leaf + 1, x), donate_argnums=0)
    now = {"x": jnp.zeros((64, 64))}
    place = now["x"].unsafe_buffer_pointer()
    trace.digests(now)
    assert step(now)["x"].unsafe_buffer_pointer() == place


KERNELS, LOSSES = [0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, None),
        ({"kernels": {0: 9.0}}, (1, "params/net/kernel", None, "params/net/kernel", 0)),
        ({"kernels": {1: 9.0}}, (1, "params/net/kernel", 0, "params/net/kernel", 1)),
        ({"losses": {3: 9.0}, "kernels": {4: 9.0}}, (3, "loss", 2, "params/net/kernel", 4)),
        ({"batches": {2: 1}}, (2, "batch/a", 1, "", 0)),
    ],
)
def test_the_first_difference_is_found(tmp_path, changes, expected):
    one = written(tmp_path / "one", KERNELS, LOSSES)
    kernels = [changes.get("kernels", {}).get(k, x) for k, x in enumerate(KERNELS)]
    losses = [changes.get("losses", {}).get(k, x) for k, x in enumerate(LOSSES)]
    other = written(tmp_path / "other", kernels, losses, changes.get("batches"))
    parting = trace.parting(one, other, 4)
    assert parting == (None if expected is None else trace.Parting(*expected))


def test_a_run_that_goes_on_forgets_later_steps_and_tells_saves(tmp_path):
    written(tmp_path / "run", KERNELS, LOSSES)
    told = trace.Trace(str(tmp_path / "run"), 2)
    told.state(3, state(7.0))
    told.state(99, state(7.0))
    told.state(100, state(7.0), saved=True)
    told.metrics(51, {"loss": 1.0}, {})
    told.close()
    found = trace.read(str(tmp_path / "run"))
    assert list(found) == [0, 1, 2, 100]
    assert found[100]["state"] == trace.digests(state(7.0)) and "step" not in found[100]


def test_processes_that_write_nothing_compute_nothing(tmp_path):
    told = trace.Trace(None, 0)
    told.state(0, dataclasses.replace(state(), params=None), saved=True)
    assert told.batch(1, {"a": np.zeros(2)}) == {}
    with pytest.raises(jgan.UserError, match="has no trace.jsonl"):
        trace.read(str(tmp_path))
