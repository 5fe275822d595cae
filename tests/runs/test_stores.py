"""Runs in object stores: checkpoints are whole or do not count, and no line of a log is lost that a run needs."""

import dataclasses
import json
import sys
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import paths
from jgan.runs import checkpoint
from jgan.runs import frozen
from jgan.runs import log
from jgan.runs import mirror
from jgan.runs import tracking

SCHEMES = pytest.mark.parametrize("scheme", ["gs", "s3"])


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    params: Any
    opt: Any
    ema: Any


def make(step):
    return State(
        {"g": {"kernel": jax.random.normal(jax.random.key(step), (3, 4))}}, {"g": jnp.arange(5) + step}, {}
    )


def abstract():
    return jax.eval_shape(lambda: make(0))


def equal(one, other):
    return all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


@SCHEMES
def test_what_is_saved_comes_back_and_as_many_stay_as_are_asked_for(bucket, scheme):
    place = f"{bucket(scheme)}/run/checkpoints"
    with checkpoint.Checkpoints(place, keep=1) as checkpoints:
        assert checkpoints.latest is None
        for step, l1 in ((1, 0.1), (2, 0.3), (3, 0.2)):
            assert checkpoints.save(step, make(step), {"l1": l1})
        assert not checkpoints.save(3, make(0))
        assert checkpoints.steps == [1, 3] and checkpoints.best == 1
    committed = [path.parent.name for path in paths.of(place).glob(f"*/{mirror.COMMIT}")]
    assert sorted(committed) == ["1", "3"]
    assert not paths.exists(f"{place}/2")
    with checkpoint.Checkpoints(place, read_only=True) as checkpoints:
        assert equal(checkpoints.restore(3, abstract()), make(3))
        found = checkpoints.restore_weights(1, {"params": abstract().params})
        assert equal(found["params"], make(1).params) and checkpoints.metrics(1) == {"l1": 0.1}
    with checkpoint.Checkpoints(place, keep=1) as checkpoints:
        assert equal(checkpoints.restore(3, abstract()), make(3))
        assert checkpoints.save(4, make(4), {"l1": 0.4})
        assert checkpoints.steps == [1, 4]
    assert not paths.exists(f"{place}/3")


@pytest.mark.parametrize("scheme", [pytest.param("gs", marks=pytest.mark.slow), "s3"])
def test_a_checkpoint_that_is_not_whole_does_not_count_and_is_written_again(bucket, scheme):
    place = f"{bucket(scheme)}/run/checkpoints"
    with checkpoint.Checkpoints(place) as checkpoints:
        checkpoints.save(1, make(1))
        checkpoints.save(2, make(2))
    (paths.of(place) / "2" / mirror.COMMIT).unlink()  # what a kill leaves
    with checkpoint.Checkpoints(place, read_only=True) as checkpoints:
        assert checkpoints.steps == [1]
        with pytest.raises(jgan.UserError, match="no checkpoint of step 2; there are: 1"):
            checkpoints.restore(2, abstract())
    with checkpoint.Checkpoints(place) as checkpoints:
        assert checkpoints.steps == [1] and equal(checkpoints.restore(1, abstract()), make(1))
        assert checkpoints.save(2, make(7))
    with checkpoint.Checkpoints(place, read_only=True) as checkpoints:
        assert equal(checkpoints.restore(2, abstract()), make(7))


def test_a_copy_that_fails_is_told_and_leaves_the_checkpoint_before_it(bucket, monkeypatch):
    place = f"{bucket('s3')}/run/checkpoints"
    with pytest.raises(jgan.UserError, match="params.* cannot be used: the bucket is full."):
        with checkpoint.Checkpoints(place, keep=1) as checkpoints:
            checkpoints.save(1, make(1))
            checkpoints.wait()
            store = type(paths.of(place)._store)
            put = store.put_file

            def refuse(self, lpath, rpath, **options):
                if "/2/params/" in rpath:
                    raise RuntimeError("the bucket is full")
                put(self, lpath, rpath, **options)

            monkeypatch.setattr(store, "put_file", refuse)
            checkpoints.save(2, make(2))
    monkeypatch.undo()


@SCHEMES
def test_no_checkpoints_are_read_where_there_are_none(bucket, scheme):
    with pytest.raises(jgan.UserError, match="does not exist, so there is no checkpoint"):
        checkpoint.Checkpoints(f"{bucket(scheme)}/none", read_only=True)


def test_several_processes_do_not_write_to_s3(bucket, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(jgan.UserError, match="several processes write checkpoints to gs:// or to a disk"):
        checkpoint.Checkpoints(f"{bucket('s3')}/run/checkpoints")


def test_a_log_is_put_now_and_then_and_whole(bucket, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    path = paths.of(bucket("gs")) / "run" / "metrics.jsonl"
    written = log.Log(path)
    for step in (1, 2, 3):
        now[0] += 1
        written.write({"step": step, "l1": 0.5})
    assert not path.exists()
    now[0] += log._PAUSE
    written.write({"step": 4})
    assert [record["step"] for record in log.read(path)] == [1, 2, 3, 4]
    written.write({"step": 5})
    written.flush()  # before a checkpoint
    assert [record["step"] for record in log.read(path)] == [1, 2, 3, 4, 5]
    written.write({"step": 6})
    written.close()
    text = path.read_text()
    assert text == "".join(json.dumps(record) + "\n" for record in log.read(path)) and text.count("\n") == 6
    again = log.Log(path, step=4)  # after a kill, from the checkpoint of step 4
    again.write({"step": 5, "l1": 0.25})
    again.close()
    assert log.read(path) == [
        *({"step": step, "l1": 0.5} for step in (1, 2, 3)),
        {"step": 4},
        {"step": 5, "l1": 0.25},
    ]


@SCHEMES
def test_nets_that_nobody_trains_are_kept(bucket, scheme):
    weights = {"a": {"kernel": np.float32([1, 2])}}
    frozen.write(f"{bucket(scheme)}/run", "vgg", weights)
    assert frozen.read(f"{bucket(scheme)}/run")["vgg"]["a"]["kernel"].tolist() == [1, 2]
    assert frozen.read(f"{bucket(scheme)}/other") == {}


def test_event_files_are_refused(bucket, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", types.ModuleType("tensorboardX"))
    (track,) = tracking.choose(tensorboard=True, wandb="")
    with pytest.raises(jgan.UserError, match="--tensorboard: event files are appended to"):
        track(f"{bucket('gs')}/run", None, 0)
