"""The shares of the peak and of memory in metrics.jsonl, and that a step costs the host no more than it must."""

import json
import os
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan import sharding
from jgan.programs import loop
from jgan.programs import plan_chips
from jgan.programs import seeds
from jgan.programs import timing
from jgan.programs import train
from jgan.programs import usage

CHIP = plan_chips.CHIPS["h100"]._replace(float32=1e9, bfloat16=4e9, kinds=("Made-up 9000",))


@pytest.fixture
def devices(monkeypatch):
    """Two devices of a made-up kind."""
    made = [
        types.SimpleNamespace(device_kind="Made-up 9000", memory_stats=lambda n=n: {"peak_bytes_in_use": n})
        for n in (5, 7)
    ]
    monkeypatch.setitem(plan_chips.CHIPS, "made_up", CHIP)
    monkeypatch.setattr(usage.jax, "local_devices", lambda: made)
    return made


def test_the_share_of_the_peak_is_that_by_hand(devices, monkeypatch):
    """Ten steps of a product [30, 40] x [40, 50] and of one [30, 50] x [50, 2] in two seconds."""
    compiled = jax.jit(lambda x, w, v: jnp.tanh(x @ w) @ v)
    compiled = compiled.lower(jnp.ones((30, 40)), jnp.ones((40, 50)), jnp.ones((50, 2))).compile()
    by_hand = 2 * 30 * 40 * 50 + 2 * 30 * 50 * 2
    assert usage.flops(compiled) == by_hand
    clock = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    for precision, peak in (("float32", 1e9), ("bfloat16", 4e9)):
        window = timing.Window(batch_size=3)
        for _ in range(10):
            window.add({"loss": 1.0}, usage.flops(compiled) / usage.peak(precision))
        clock[0] += 2.5
        window.away = 0.5  # a picture was made
        record = window.record()
        assert record["share_of_peak_flops"] == pytest.approx(10 * by_hand / 2.0 / peak)
        assert record["images_per_second"] == pytest.approx(15) and record["peak_memory_bytes"] == 7


def test_what_is_not_known_is_left_out(devices):
    window = timing.Window(batch_size=1)
    window.add({"loss": 1.0}, 0.1)
    window.add({"loss": 1.0}, None)
    devices[:] = [types.SimpleNamespace(device_kind="cpu", memory_stats=lambda: None)]
    assert usage.peak("float32") is None and usage.memory() is None
    assert set(window.record()) == {"loss", "images_per_second", "input_wait"}
    assert usage.flops(types.SimpleNamespace(as_text=lambda: "%x = nothing known")) is None


def test_kinds_of_devices_are_of_one_chip():
    kinds = [kind for chip in plan_chips.CHIPS.values() for kind in chip.kinds]
    assert len(set(kinds)) == len(kinds) and all(chip.kinds for chip in plan_chips.CHIPS.values())
    assert plan_chips.of("NVIDIA H200") is plan_chips.CHIPS["h200"]
    assert plan_chips.of("TPU v5 lite") is plan_chips.CHIPS["v5e"]
    assert plan_chips.of("NVIDIA H100 PCIe") is None  # slower than the others of its name


@pytest.fixture
def tiny(small_config):
    config = small_config(
        **{"data.source": "facades", "data.number": 4, "data.val_number": 2, "steps": 5, "log_every": 1}
    )
    config.data.channels = ()
    return config


@pytest.mark.slow
@pytest.mark.usefixtures("quick_convolutions")
def test_a_training_logs_its_share_and_compiles_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "peak", lambda precision: 1e12)
    counted, steps = [], []
    flops = usage.flops
    monkeypatch.setattr(usage, "flops", lambda compiled: counted.append(flops(compiled)) or counted[-1])
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, _, fun_name="", **__: steps.append(name) if fun_name == "jit(step)" else None
    )
    train.train(tiny, str(tmp_path))
    assert steps.count("/jax/core/compile/backend_compile_duration") == 1
    assert len(counted) == 1 and counted[0] > 1e6
    with open(os.path.join(tmp_path, "metrics.jsonl")) as file:
        lines = [line for line in map(json.loads, file) if "g_loss" in line]
    assert len(lines) == 5
    for line in lines:  # both are by the same seconds
        seconds = tiny.batch_size / line["images_per_second"]
        assert line["share_of_peak_flops"] * 1e12 * seconds == pytest.approx(counted[0])


@pytest.mark.slow
@pytest.mark.usefixtures("quick_convolutions")
def test_steps_send_batches_alone_and_wait_for_nothing(tiny, tmp_path, monkeypatch):
    """The host sends the arrays of a batch in a step, and looks at its metrics when the next one was begun."""
    did, waited = [], []
    update, metrics, steps = seeds.InTurn.update, seeds.InTurn.metrics, loop.Loop._steps

    def updated(self, batches, updates):
        # All that the compiled call gets besides batches lies on the device.
        assert all(isinstance(x, jax.Array) for x in jax.tree.leaves((self._states, self._keys)))
        sent = jax.tree.leaves(batches)
        assert all(isinstance(x, np.ndarray) for x in sent) and len(sent) == 2
        did.append("update")
        with jax.transfer_guard_host_to_device("allow"):
            return update(self, batches, updates)

    def fetched(self, reported):
        did.append("metrics")
        return metrics(self, reported)

    def guarded(self, *arguments):
        with pytest.MonkeyPatch.context() as patch, jax.transfer_guard_host_to_device("disallow_explicit"):
            patch.setattr(jax, "block_until_ready", waited.append)
            patch.setattr(time, "sleep", waited.append)
            steps(self, *arguments)

    monkeypatch.setattr(seeds.InTurn, "update", updated)
    monkeypatch.setattr(seeds.InTurn, "metrics", fetched)
    monkeypatch.setattr(loop.Loop, "_steps", guarded)
    monkeypatch.setattr(
        loop.Loop, "_due", lambda self, done, last, pending: last and self._observe(*pending) is None
    )
    assert sharding.mesh().size == 1
    train.train(tiny, str(tmp_path))
    assert did == ["update", *["update", "metrics"] * 4, "metrics"]
    assert not waited
