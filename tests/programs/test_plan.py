"""A plan: against a hand calculation of pix2pix, and the program as a user starts it."""

import json
import subprocess
import sys

import pytest

from configs import pix2pix
import jgan
from jgan import sharding
from jgan.programs import plan
from jgan.programs import plan_chips
from jgan.programs import plan_program
from jgan.programs import plan_report


def by_hand():
    """(FLOPs, parameters) of pix2pix's step on one image, from the paper's appendix.

    A layer of k x k costs two operations for each pixel of its small image, place in the kernel, channel in and channel
    out. U-Net: C64-C128-C256-C512-C512-C512-C512-C512 down to one pixel, and back, with twice the channels where there
    is a skip. D: C64-C128-C256, and two layers of stride 1 on 31 and 30 pixels.
    """
    encoder = [(128, 3, 64), (64, 64, 128), (32, 128, 256), (16, 256, 512)]
    encoder += [(8, 512, 512), (4, 512, 512), (2, 512, 512), (1, 512, 512)]
    decoder = [(1, 512, 512), (2, 1024, 512), (4, 1024, 512), (8, 1024, 512)]
    decoder += [(16, 1024, 256), (32, 512, 128), (64, 256, 64), (128, 128, 3)]
    critic = [(128, 6, 64), (64, 64, 128), (32, 128, 256), (31, 256, 512), (30, 512, 1)]

    def cost(layers):
        return [2 * side**2 * 16 * into * out for side, into, out in layers]

    g, d = cost(encoder + decoder), cost(critic)
    # G: forward, to its weights, and to its inputs, but for the photo. D: forward for a fake and a real image and,
    # after it has changed, for the fake again; back to its weights twice; back to the fake, half of what it sees, once.
    whole = 3 * sum(g) - g[0] + 3 * sum(d) + 2 * (2 * sum(d) - d[0]) + sum(d) - d[0] / 2
    weights = sum(16 * into * out for _, into, out in encoder + decoder + critic)
    # Batch norm has two numbers for each channel, everywhere but at the ends, the bottleneck and D's first layer.
    norms = 2 * (128 + 256 + 4 * 512) + 2 * (4 * 512 + 256 + 128 + 64 + 128 + 256 + 512)
    return whole, weights + norms


def test_the_arithmetic_of_pix2pix_is_that_by_hand():
    asked = plan.Asked(pix2pix.get_config("facades"), sharding.mesh(), 1, 0)
    step = plan.Step(1, tuple(asked.call(*each) for each in asked.shares))
    flops, parameters = by_hand()
    assert step.flops == pytest.approx(flops, rel=0.025)
    held = asked.held()
    assert held["parameters"] == pytest.approx(4 * parameters, rel=0.001)  # some have biases
    assert held["optimiser"] == pytest.approx(2 * held["parameters"], rel=0.001)
    assert not step.collectives()
    # Parameters, gradients and Adam's moments have to pass the memory, and not very much more for a single image.
    assert 7 * 4 * parameters < step.moved < 5 * 7 * 4 * parameters


def made(*flags, **options):
    options = {"timeout": 300} | options
    return subprocess.run(
        [sys.executable, "-m", "launch.plan", *flags], capture_output=True, text=True, **options
    )


def test_a_plan_for_several_devices():
    done = made("--config=configs/pix2pix.py:tiny", "--devices=4", "--chip=v5e,h100")
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["devices"], found["batch_per_device"]) == (4, 2)
    assert "--config.batch_size=8" in done.stdout and "estimate" in done.stdout
    # Gradients of all parameters, and little else: statistics of a few channels.
    parameters = found["bytes"]["parameters"]
    assert parameters < found["collectives"]["all-reduce"]["bytes"] < 1.2 * parameters
    assert set(found["collectives"]) == {"all-reduce"}
    # No device does what another one does, but for passes that XLA does not merge.
    assert found["flops_alone"] <= found["flops"] < 1.3 * found["flops_alone"]
    assert list(found["chips"]) == ["v5e", "h100"]
    for chip in found["chips"].values():
        assert 0 < chip["efficiency"] <= chip["efficiency_overlapped"] <= 1
        assert chip["step_seconds"] == pytest.approx(chip["working_seconds"] + chip["collective_seconds"])


@pytest.mark.slow
def test_1024_devices_are_planned_in_two_minutes():
    done = made("--config=configs/dcgan.py", "--devices=1024", "--chip=v5e", timeout=120)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["devices"], found["batch_per_device"]) == (1024, 64)
    # Each device has its own images alone to compute, and the gradients of all parameters to share.
    assert found["flops_alone"] <= found["flops"] < 1.3 * found["flops_alone"]
    assert set(found["collectives"]) == {"all-reduce"}
    parameters = found["bytes"]["parameters"]
    assert parameters < found["collectives"]["all-reduce"]["bytes"] < 2 * parameters


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--devices=0"], "--devices=0"),
        (["--chip=v7000"], "v5e"),
        (["--devices=8", "--global_batch=12"], "multiple"),
        (["--chip=v4", "--devices=8192"], "4,096"),
        (["--from_step=99"], "--from_step=99"),
        (["--reached=2"], "--reached=2"),
    ],
)
def test_mistakes_are_one_sentence(flags, words):
    done = made("--config=configs/pix2pix.py:tiny", *flags)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1 and words in done.stderr


def collective(kind="all-reduce", size=8e9, group=range(8)):
    return plan_program.Program((), (plan_program.Collective(kind, size, tuple(group), 1),), 0)


def test_the_time_of_a_ring():
    chip = plan_chips.CHIPS["h100"]._replace(latency=lambda near, far: 0.0)
    # Each of 8 devices sends 7 of 8 parts twice, by NVLink.
    assert plan_chips.sending(collective(), chip) == pytest.approx(2 * 7 / 8 * 8e9 / 450e9)
    assert plan_chips.sending(collective("all-gather"), chip) == pytest.approx(7 / 8 * 8e9 / 450e9)
    # Two nodes: rings of 8 in each, and between nodes an eighth each, halved and sent there and back.
    two = 2 * (7 / 8 * 8e9 / 450e9 + 1 / 2 * 1e9 / 50e9)
    assert plan_chips.sending(collective(group=range(16)), chip) == pytest.approx(two)
    # A group with one device in each node has the network alone.
    assert plan_chips.sending(collective(group=range(0, 16, 8)), chip) == pytest.approx(8e9 / 50e9)
    assert plan_chips.sending(collective("collective-permute", group=(0, 1)), chip) == 8e9 / 450e9


def test_small_messages_take_the_time_of_the_way():
    chip = plan_chips.CHIPS["v5e"]
    # A square of 16 x 16: half round a ring in both directions, and back, a microsecond a step.
    assert plan_chips.sending(collective(size=4, group=range(256)), chip) == pytest.approx(32e-6, rel=0.01)


def step(batch, flops, moved, sent):
    program = plan_program.Program(
        (plan_program.Operation(flops, moved, 1),),
        (plan_program.Collective("all-reduce", sent, (0, 1), 1),) if sent else (),
        0,
    )
    return plan.Step(batch, (plan.Call(("gen",), 1.0, program, 1000 * batch),))


def test_efficiency_and_the_batch_that_reaches_90_per_cent():
    chip = plan_chips.Chip(1e12, 1e12, 64e3, 1e12, 1e9, 8, None, lambda near, far: 0.0, "")
    # An image takes 10 ms, the gradients 101 ms: 91 images take 0.91 s and are 0.91 / 1.011 efficient.
    there = step(64, 64e10, 0, 1.01e8)
    made = plan.Plan(
        "gan", "float32", 2, {"parameters": 4000}, step(2, 2e10, 0, 1.01e8), there, step(64, 64e10, 0, 0)
    )
    found = plan_report.predict(made, chip)
    assert (found.working, found.sending) == (pytest.approx(0.02), pytest.approx(0.101))
    assert found.alone / found.seconds == pytest.approx(20 / 121)
    assert found.alone / found.overlapped == pytest.approx(20 / 101)
    assert (found.smallest, found.smallest_overlapped) == (91, 10)
    assert (found.memory, found.fits) == (6000, 60)
    # Devices that all do the work of two are never that efficient.
    twice = made._replace(alone=step(64, 32e10, 0, 0))
    assert plan_report.predict(twice, chip).smallest is None


def test_the_network_between_pods_must_be_known():
    plan_chips.check("v4", 4096)
    with pytest.raises(jgan.UserError, match="4,096"):
        plan_chips.check("v4", 4097)
