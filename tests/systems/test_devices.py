"""Steps on several devices: the same numbers as on one, and no more messages than they need.

The steps run in processes of their own, which have four virtual devices (`on_devices`).
"""

import json
import os
import re
import socket
import subprocess
import sys

import pytest

from jgan.systems import SYSTEMS

# Batch norms of a step: of each pass of a net two statistics forward and two sums backward. D judges fakes and reals
# in its own update and fakes in G's. What G makes is computed once for both updates; in cgan each has its own.
PIX2PIX_D, PIX2PIX_G, DCGAN_D, DCGAN_G, UNET = 1, 5, 1, 2, 5
STATISTICS = {
    "pix2pix": 3 * 4 * PIX2PIX_D + 4 * PIX2PIX_G,
    "dcgan": 3 * 4 * DCGAN_D + 4 * DCGAN_G,
    "cgan": 3 * 4 * DCGAN_D + 6 * DCGAN_G,
    "segmenter": 4 * UNET,
}
# Of StyleGAN2's path lengths the mean of all examples is the target of each: a number forward, and one backward.
NUMBERS = {"gen_reg": 2}


def start(what, names, *more, wide=False):
    environment = {**os.environ, "JGAN_CONV": "lax", "JAX_ENABLE_X64": str(int(wide))}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.systems.on_devices", what, ",".join(names), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def told(process):
    out, error = process.communicate(timeout=900)
    assert process.returncode == 0, error[-2000:]
    return dict(json.loads(line) for line in out.splitlines() if line.startswith('["'))


def check(name, model, updates, found):
    """Holds what devices exchange in one program to what they need."""
    assert {kind for kind, _, _ in found} <= {"all-reduce", "all-gather"}, found
    for kind, shape, where in found:
        if kind == "all-gather":
            parameters = model == 2 and ("sharding_constraint" in where or where.endswith("step)/add"))
            pool = name == "cyclegan" and "dynamic_slice" in where
            labels = name == "stargan" and re.match(r"f\d\d\[16,\d\]", shape)
            assert parameters or pool or labels, (shape, where)
    sums = [(shape, where) for kind, shape, where in found if kind == "all-reduce"]
    if name in STATISTICS:
        # Names of sums that are made together stand one after the other.
        statistics = sum(len(re.findall(r"norm_?\w*/reduce_sum", where)) for _, where in sums)
        gradients = [where for _, where in sums if "transpose(" in where and not only_norms(where)]
        parameters = 2 * (STATISTICS[name] // 4)  # scales and biases of the norms, among gradients
        assert statistics <= STATISTICS[name] + parameters, statistics
        assert 1 <= len(gradients) <= updates.count("+") + 2, gradients
    elif updates == "average":
        assert not sums
    else:
        numbers = [shape for shape, _ in sums if re.match(r"f\d\d\[\]", shape)]
        assert len(numbers) <= NUMBERS.get(updates, 0), sums
        # Numbers of two types are not summed together: some metrics are float32 among gradients in float64.
        gradients = [shape for shape, _ in sums if shape not in numbers and "f64" in shape]
        assert 1 <= len(gradients) <= updates.count("+") + 1, sums


def only_norms(where):
    return all(
        "norm" in part for part in re.findall(r"\w+/reduce_sum|\w+/dot_general|\w+/conv_general", where)
    )


def collectives(names):
    # In the types of the other tests, so that these find programs that were compiled here.
    found = told(start("collectives", names, wide=True))
    assert set(found) == set(names)
    for name, models in found.items():
        for model, programs in models.items():
            for updates, operations in programs.items():
                check(name, int(model), updates, operations)


def test_devices_exchange_one_sum_for_each_update():
    """And with a state that is divided they gather parameters, and nothing else."""
    collectives(["gan"])


@pytest.mark.slow
def test_devices_exchange_no_more_than_they_need():
    groups = ["pix2pix/instance", "pix2pix/batch:4", "dcgan/batch:4"]
    collectives([*(name for name in SYSTEMS if name != "gan"), *groups])


def equal(found, meshes):
    """Holds systems on several devices to the numbers on one."""
    for name, (_, differences) in found.items():
        assert differences.keys() == {"1", *meshes}, name
        for mesh, numbers in differences.items():
            assert len(numbers) == 4 and max(numbers) < 1e-8, (name, mesh, numbers)


def test_four_devices_and_a_divided_state_are_one_device():
    """The state and the metrics after 1 and after 20 steps, in float64."""
    equal(told(start("compared", ["gan"], wide=True)), {"4", "2x2"})


@pytest.mark.slow
def test_four_devices_and_a_divided_state_are_one_device_in_other_systems():
    """One with batch norm, and one with a loop over layers and a pool."""
    equal(told(start("compared", ["pix2pix", "cyclegan"], wide=True)), {"4", "2x2"})


@pytest.mark.slow
def test_two_processes_with_two_devices_are_one_device_in_every_system():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    first, second = (
        told(part) for part in [start("compared", SYSTEMS, str(k), port, wide=True) for k in range(2)]
    )
    assert first.keys() == set(SYSTEMS)
    equal(first, {"4"})
    assert all(first[name][0] == second[name][0] for name in SYSTEMS)  # the same metrics in both


@pytest.mark.slow
def test_gradients_in_float32_are_those_of_one_device():
    """Of the first step, for each parameter in relation to its largest."""
    for name, (noise, apart) in told(start("gradients", ["gan", "pix2pix", "cyclegan"])).items():
        assert all(parameter.endswith("bias") for parameter in noise), (name, noise)
        assert max(apart.values()) < 1e-4, (name, apart)
