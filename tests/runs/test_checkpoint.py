"""Laws of checkpoints: what is saved comes back bit for bit, and no accident takes the previous one away."""

import dataclasses
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jgan
from jgan.runs import checkpoint

ROOT = pathlib.Path(checkpoint.__file__).parents[2]


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    """As in jgan.state, which this leaf does not know."""

    step: Any
    params: Any
    stats: Any
    opt: Any
    ema: Any
    aux: Any
    frozen: Any


def make(step=0, width=3, ema=True):
    key = jax.random.key(step)
    net = {
        "conv": {"kernel": jax.random.normal(key, (3, 3, width, 4)), "bias": jnp.full(4, step, jnp.bfloat16)}
    }
    params = {"generator": net, "discriminator": {"list": [jnp.arange(5.0) + step, jnp.float32(step)]}}
    return State(
        step=jnp.int32(step),
        params=params,
        stats={"generator": {}, "discriminator": {}},
        opt={"gen": optax.chain(optax.clip(1.0), optax.adam(1e-3)).init(net)},
        ema={"generator": net} if ema else {},
        aux={"pool": jnp.arange(6, dtype=jnp.uint8).reshape(2, 3)},
        frozen={"vgg": jnp.ones(7)},
    )


def abstract(state):
    return jax.eval_shape(lambda: state)


def assert_equal(a, b):
    """Same structure, types and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert isinstance(x, jax.Array) and x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_restore_is_the_identity(tmp_path):
    state = make(7)
    with checkpoint.Checkpoints(tmp_path / "c") as c:
        assert c.latest is None and c.best is None and c.steps == []
        assert c.save(7, state, {"l1": np.float32(0.5)})
        assert c.latest == 7
    with checkpoint.Checkpoints(tmp_path / "c", read_only=True) as c:
        restored = c.restore(7, dataclasses.replace(abstract(state), frozen={}))
        assert c.metrics(7) == {"l1": 0.5}
    assert restored.frozen == {}
    assert_equal(restored, dataclasses.replace(state, frozen={}))


def test_a_donated_state_is_saved_as_it_was(tmp_path):
    """`save` returns when the arrays may be overwritten: a step that reuses their memory changes nothing."""
    increment = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    state = {"w": jax.random.normal(jax.random.key(0), (512, 1024))}
    expected = np.array(state["w"])
    increment({"w": jnp.zeros((512, 1024))})  # compiled beforehand, so that it runs while the save does
    state = dataclasses.replace(make(), params=state)
    with checkpoint.Checkpoints(tmp_path) as c:
        c.save(1, state)
        jax.block_until_ready(increment(state.params))
        got = c.restore_weights(1, {"params": {"w": jax.ShapeDtypeStruct((512, 1024), jnp.float32)}})
    np.testing.assert_array_equal(got["params"]["w"], expected)


def test_frozen_is_not_stored(tmp_path):
    with checkpoint.Checkpoints(tmp_path) as c:
        c.save(1, make())
    assert not list(tmp_path.glob("*/frozen"))


def test_weights_alone_are_read_even_where_the_optimiser_is_gone(tmp_path):
    state = make(3)
    shapes = abstract(state)
    with checkpoint.Checkpoints(tmp_path) as c:
        c.save(3, state)
        c.wait()
        for file in (tmp_path / "3" / "opt").rglob("*"):
            if file.is_file() and file.parent.name == "d":
                file.unlink()
        weights = c.restore_weights(3, {"params": shapes.params, "stats": shapes.stats, "ema": shapes.ema})
        generator = c.restore_weights(3, {"params": {"generator": shapes.params["generator"]}})
        with pytest.raises(jgan.UserError, match="step 3 in .* is damaged"):
            c.restore(3, shapes)
    assert_equal(weights, {"params": state.params, "stats": state.stats, "ema": state.ema})
    assert_equal(generator, {"params": {"generator": state.params["generator"]}})


def test_the_last_and_the_best_stay(tmp_path):
    values = {1: 0.5, 2: 0.1, 3: float("nan"), 4: 0.4, 5: 0.3}
    with checkpoint.Checkpoints(tmp_path, keep=2, best=("l1", "min")) as c:
        for step, value in values.items():
            c.save(step, make(step), {"l1": value})
        assert (c.steps, c.latest, c.best) == ([2, 4, 5], 5, 2)
    with checkpoint.Checkpoints(tmp_path, keep=1, best=("l1", "max")) as c:
        assert c.best == 4
        c.save(6, make(6))  # not judged
        assert (c.steps, c.best) == ([4, 6], 4)
    with checkpoint.Checkpoints(tmp_path, keep=1, best=None) as c:
        c.save(7, make(7))
        assert (c.steps, c.best) == ([7], None)


def test_a_step_is_saved_once(tmp_path):
    with checkpoint.Checkpoints(tmp_path) as c:
        assert c.save(1, make(1))
        assert not c.save(1, make(2))
        assert int(c.restore(1, abstract(make())).params["discriminator"]["list"][1]) == 1


def test_what_was_being_deleted_is_no_checkpoint(tmp_path):
    """Half-deleted files are not listed by a reader, and gone after the next writer has opened them."""
    with checkpoint.Checkpoints(tmp_path, keep=3) as c:
        for step in (1, 2, 3):
            c.save(step, make(step))
    (tmp_path / "1.replaced-by-3").touch()  # the kill came when 3 was complete
    (tmp_path / "2.replaced-by-4").touch()  # the kill came before 4 was
    with checkpoint.Checkpoints(tmp_path, keep=3, read_only=True) as c:
        assert c.steps == [2, 3]
    with checkpoint.Checkpoints(tmp_path, keep=3) as c:
        assert c.steps == [2, 3]
        assert_equal(c.restore(2, abstract(make())).params, make(2).params)
    assert sorted(os.listdir(tmp_path)) == ["2", "3"]


def test_arrays_go_where_the_abstract_state_says(tmp_path):
    mesh = jax.make_mesh((1,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    there = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    state = make()
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), abstract(state))
    with checkpoint.Checkpoints(tmp_path) as c:
        c.save(0, state)
        restored = c.restore(0, dataclasses.replace(placed, frozen={}))
    assert all(x.sharding == there for x in jax.tree.leaves(restored))


@pytest.mark.parametrize(
    "change, sentence",
    [
        (
            lambda s: make(width=5),
            r"params/generator/conv/kernel is float32\[3,3,3,4\] there, float32\[3,3,5,4\] here",
        ),
        (
            lambda s: dataclasses.replace(s, opt=make(width=5).opt),
            r"opt/gen/1/0/mu/conv/kernel is float32\[3,3,3,4\]",
        ),
        (lambda s: make(ema=False), r"it has ema/generator/conv/bias \(bfloat16\[4\]\), which is not here"),
        (
            lambda s: dataclasses.replace(s, stats={"generator": {"mean": jnp.ones(2)}}),
            r"no stats/generator/mean",
        ),
        (lambda s: dataclasses.replace(s, step=jnp.float32(0)), r"step is int32\[\] there, float32\[\] here"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, change, sentence):
    with checkpoint.Checkpoints(tmp_path) as c:
        c.save(0, make())
        with pytest.raises(jgan.UserError, match=sentence):
            c.restore(0, abstract(change(make())))


def test_mistakes_are_told_in_a_sentence(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, file / "below"):
        with pytest.raises(jgan.UserError, match="file is a file"):
            checkpoint.Checkpoints(path)
    with pytest.raises(jgan.UserError, match="does not exist"):
        checkpoint.Checkpoints(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    with pytest.raises(jgan.UserError, match="whose name is not UTF-8"):
        checkpoint.Checkpoints(tmp_path / os.fsdecode(b"caf\xe9") / "checkpoints")
    with pytest.raises(jgan.UserError, match="at least 1"):
        checkpoint.Checkpoints(tmp_path / "a", keep=0)
    with pytest.raises(jgan.UserError, match='"min" or "max"'):
        checkpoint.Checkpoints(tmp_path / "a", best=("l1", "least"))
    with checkpoint.Checkpoints(tmp_path / "a") as c:
        c.save(4, make())
        with pytest.raises(jgan.UserError, match="no checkpoint of step 5; there are: 4"):
            c.restore(5, abstract(make()))
    with checkpoint.Checkpoints(tmp_path / "a", read_only=True) as c:
        with pytest.raises(jgan.UserError, match="opened for reading"):
            c.save(5, make())


def test_the_first_error_is_the_one_that_is_raised(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with checkpoint.Checkpoints(tmp_path) as c:
            c.save(1, make())
            raise ZeroDivisionError
    with checkpoint.Checkpoints(tmp_path) as c:
        assert c.steps == [1]


# A program of its own: fills what RLIMIT_FSIZE leaves of the disk, as a full one would refuse.
FULL = """
import resource, sys, time
import jax.numpy as jnp
import jgan
from jgan.runs import checkpoint
from tests_state import State

def state(n):
    params = {"g": {f"w{i}": jnp.full(n, 2.0) for i in range(8)}}
    return State(jnp.int32(0), params, {}, {}, {}, {}, {})

try:
    with checkpoint.Checkpoints(sys.argv[1]) as c:
        c.save(1, state(1000), {"l1": 1.0})
        c.wait()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        c.save(2, state(1_000_000), {"l1": 0.0})
        while True:  # as between steps: nobody waits for the save, and none comes after it
            c.check()
            time.sleep(0.01)
except jgan.UserError as error:
    print(error)
    sys.exit(2)
"""


def test_a_folder_that_was_removed_is_told_and_not_made_anew(tmp_path):
    """A run would go on in a directory without a config."""
    for make_in_its_place in (lambda place: None, lambda place: place.write_text("")):
        place = tmp_path / "c"
        with checkpoint.Checkpoints(place) as c:
            c.save(1, make(1))
            c.wait()
            shutil.rmtree(place)
            make_in_its_place(place)
            with pytest.raises(
                jgan.UserError, match="removed while the run went on; there is no earlier one"
            ):
                c.save(2, make(2))
            assert not place.is_dir()


def test_a_save_that_goes_well_is_asked_for_without_waiting(tmp_path):
    with checkpoint.Checkpoints(tmp_path) as c:
        c.check()
        c.save(1, make(1))
        c.check()
        assert c.steps == [1]
        c.check()


KILLED = """
import sys
import jax.numpy as jnp
from jgan.runs import checkpoint
from tests_state import State

with checkpoint.Checkpoints(sys.argv[1], keep=2) as c:
    for step in range(1, 1000):
        params = {"g": {"w": jnp.full(1_000_000, 1.0 * step)}}
        c.save(step, State(jnp.int32(step), params, {}, {}, {}, {}, {}))
        c.wait() if step == 1 else None
        print(step, flush=True)
"""

STATE = """
import dataclasses, typing, jax

@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    step: typing.Any
    params: typing.Any
    stats: typing.Any
    opt: typing.Any
    ema: typing.Any
    aux: typing.Any
    frozen: typing.Any
"""


@pytest.fixture
def program(tmp_path):
    """Starts a program's text with the checkpoint directory as its argument."""
    (tmp_path / "tests_state.py").write_text(STATE)

    def start(text, *arguments):
        path = tmp_path / "program.py"
        path.write_text(text)
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, str(path), str(tmp_path / "c"), *map(str, arguments)]
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start


def test_a_full_disk_is_told_and_leaves_the_previous_one(tmp_path, program):
    process = program(FULL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert out.startswith("a checkpoint could not be written to") and out.count("\n") == 1
    assert "the one of step 1 is intact" in out
    assert "Traceback" not in err
    with checkpoint.Checkpoints(tmp_path / "c") as c:
        assert (c.steps, c.best) == ([1], 1)
        got = c.restore_weights(1, {"params": {"g": {"w3": jax.ShapeDtypeStruct((1000,), jnp.float32)}}})
        np.testing.assert_array_equal(got["params"]["g"]["w3"], np.full(1000, 2.0))
    assert os.listdir(tmp_path / "c") == ["1"]  # the partial one is gone


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_kill_leaves_a_complete_checkpoint(tmp_path, program, delay):
    process = program(KILLED)
    for line in process.stdout:
        if int(line) >= 4:
            break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with checkpoint.Checkpoints(tmp_path / "c") as c:
        assert c.latest >= 2
        for step in c.steps:
            got = c.restore_weights(
                step, {"params": {"g": {"w": jax.ShapeDtypeStruct((10**6,), jnp.float32)}}}
            )
            np.testing.assert_array_equal(got["params"]["g"]["w"], np.full(10**6, float(step)))
        c.save(1000, make())
        c.wait()
    with checkpoint.Checkpoints(tmp_path / "c"):
        pass
    assert all(name.isdigit() for name in os.listdir(tmp_path / "c"))


PROCESSES = """
import sys
import jax

address = f"127.0.0.1:{sys.argv[3]}"
jax.distributed.initialize(
    coordinator_address=address, coordinator_bind_address=address, num_processes=2,
    process_id=int(sys.argv[2]), cluster_detection_method="deactivate",
)
import jax.numpy as jnp
from jgan.runs import checkpoint
from tests_state import State

mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
shardings = State(whole, {"g": whole}, {}, {}, {}, {"pool": split}, {})
state = jax.jit(
    lambda k: State(jnp.int32(k), {"g": jnp.arange(9.0) + k}, {}, {}, {}, {"pool": jnp.arange(8.0) + k}, {}),
    out_shardings=shardings,
)
with checkpoint.Checkpoints(sys.argv[1], keep=1) as c:
    for step in range(1, 6):
        c.save(step, state(step), {"l1": abs(step - 2)})
    assert (c.steps, c.best) == ([2, 5], 2)
with checkpoint.Checkpoints(sys.argv[1], keep=1) as c:
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state(0))
    restored = c.restore(5, abstract)
    assert restored.aux["pool"].sharding == split
"""


@pytest.mark.slow
def test_two_processes_write_what_one_reads(tmp_path, program):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    both = [program(PROCESSES, i, port) for i in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    with checkpoint.Checkpoints(tmp_path / "c", read_only=True) as c:
        got = c.restore_weights(5, {"aux": {"pool": jax.ShapeDtypeStruct((8,), jnp.float32)}})
    np.testing.assert_array_equal(got["aux"]["pool"], np.arange(8.0) + 5)
