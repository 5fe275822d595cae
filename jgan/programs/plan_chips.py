"""What accelerators do in a second, from their makers' public sheets, and the times that follow from it.

All figures are peaks; nothing here was measured. Bandwidths between chips are per direction: what a chip can send while
it receives as much. Sheets of both makers give the sum of both directions, which is halved here.

A convolution or product of float32 numbers runs, as JAX does it by default, in TF32 on NVIDIA's chips and with operands
rounded to bfloat16 on TPUs.
"""

from collections.abc import Callable
import math
from typing import NamedTuple

import jgan
from jgan.programs import plan_program

# A step of a collective from one TPU to the next takes about a microsecond ("How to Scale Your Model", part 3,
# jax-ml.github.io/scaling-book). For GPUs and for networks the figures are those of NCCL's own model (NVIDIA/nccl,
# src/graph/tuning.cc, a tree with the protocol of short messages): 4.4 us to begin, 0.52 us for a step by NVLink, 1.8
# times that where there are several nodes, and 5 us for one over the network.
_TPU_STEP, _BEGIN, _NVLINK_STEP, _NETWORK_STEP = 1e-6, 4.4e-6, 0.52e-6, 5e-6


class Chip(NamedTuple):
    """An accelerator and how many of them are connected.

    Attributes:
        float32: FLOP/s of convolutions and products of float32 numbers, by the units that JAX uses for them.
        bfloat16: the same of bfloat16 numbers.
        memory: bytes.
        bandwidth: of the memory, bytes/s.
        near: bytes/s per direction to the chips of the same node (GPU) or pod (TPU), all links of the chip together.
        joined: the number of chips of a node or pod.
        far: bytes/s per direction and chip between nodes or pods; None: not public.
        latency: (chips of a node that take part, nodes) -> seconds that a short reduction and its way back take.
        sources: of the figures.
        kinds: as JAX names devices that have these peaks (`jax.Device.device_kind`).
    """

    float32: float
    bfloat16: float
    memory: float
    bandwidth: float
    near: float
    joined: int
    far: float | None
    latency: Callable[[int, int], float]
    sources: str
    kinds: tuple[str, ...] = ()


def _tree(near: int, far: int) -> float:
    """NCCL's model: a chain through a node, and a tree over nodes."""
    step = _NVLINK_STEP * (1.8 if far > 1 else 1.0)
    return _BEGIN + 2 * ((near - 1) * step + math.ceil(math.log2(far)) * _NETWORK_STEP)


def _torus(dimensions: int) -> Callable[[int, int], float]:
    """The way half round each ring of a torus whose sides are alike, and back; a tree over pods."""

    def latency(near: int, far: int) -> float:
        steps = dimensions * near ** (1 / dimensions) / 2
        return 2 * (steps * _TPU_STEP + math.ceil(math.log2(far)) * _NETWORK_STEP)

    return latency


CHIPS = {
    "v4": Chip(
        float32=275e12,
        bfloat16=275e12,
        memory=32 * 2**30,
        bandwidth=1_200e9,
        near=300e9,  # six links of 50 GB/s
        joined=4096,
        far=None,
        latency=_torus(3),
        sources="cloud.google.com/tpu/docs/v4; Jouppi et al. (2023), table 4",
        kinds=("TPU v4",),
    ),
    "v5e": Chip(
        float32=197e12,
        bfloat16=197e12,
        memory=16e9,
        bandwidth=819e9,
        near=200e9,  # 400 GB/s both ways
        joined=256,
        far=6.4e12 / 8 / 256,  # 6.4 Tbit/s of a pod
        latency=_torus(2),
        sources="cloud.google.com/tpu/docs/v5e",
        kinds=("TPU v5 lite", "TPU v5e"),
    ),
    "v5p": Chip(
        float32=459e12,
        bfloat16=459e12,
        memory=95 * 2**30,
        bandwidth=2_765e9,
        near=600e9,  # 1,200 GB/s both ways
        joined=6144,  # the largest job of a pod's 8,960
        far=50e9 / 8,
        latency=_torus(3),
        sources="cloud.google.com/tpu/docs/v5p",
        kinds=("TPU v5", "TPU v5p"),
    ),
    "a100": Chip(
        float32=156e12,
        bfloat16=312e12,
        memory=80e9,
        bandwidth=2_039e9,
        near=300e9,  # NVLink: 600 GB/s both ways
        joined=8,
        far=25e9,  # a ConnectX-6 of 200 Gbit/s for each
        latency=_tree,
        sources="A100 80 GB SXM: NVIDIA's A100 data sheet; DGX A100 user guide",
        kinds=(
            "NVIDIA A100-SXM4-80GB",
            "NVIDIA A100-SXM4-40GB",
            "NVIDIA A100 80GB PCIe",
            "NVIDIA A100-PCIE-40GB",
        ),
    ),
    "h100": Chip(
        float32=494.7e12,
        bfloat16=989.4e12,
        memory=80e9,
        bandwidth=3_350e9,
        near=450e9,  # NVLink: 900 GB/s both ways
        joined=8,
        far=50e9,  # a ConnectX-7 of 400 Gbit/s for each
        latency=_tree,
        sources="H100 SXM: NVIDIA's H100 data sheet, without sparsity; DGX H100 user guide",
        kinds=("NVIDIA H100 80GB HBM3",),
    ),
    "h200": Chip(
        float32=494.7e12,
        bfloat16=989.4e12,
        memory=141e9,
        bandwidth=4_800e9,
        near=450e9,
        joined=8,
        far=50e9,
        latency=_tree,
        sources="H200 SXM: NVIDIA's H200 data sheet, without sparsity; DGX H200 user guide",
        kinds=("NVIDIA H200",),
    ),
}


def named(name: str) -> Chip:
    """The chip of a name.

    Raises:
        jgan.UserError: its figures are not known.
    """
    if name not in CHIPS:
        raise jgan.UserError(f"--chip={name}: {', '.join(CHIPS)} are known.")
    return CHIPS[name]


def of(kind: str) -> Chip | None:
    """The chip of a device by JAX's name of its kind; None where it is not known."""
    return next((chip for chip in CHIPS.values() if kind in chip.kinds), None)


def working(program: plan_program.Program, chip: Chip, precision: str, reached: float = 1.0) -> float:
    """Seconds that one chip computes: of each kernel the longer one of its arithmetic and its memory traffic.

    Args:
        program: of one call.
        chip: on which it runs.
        precision: `float32` or `bfloat16`, of most of its arithmetic.
        reached: the share of its peaks that the kernels reach.
    """
    peak = chip.bfloat16 if precision == "bfloat16" else chip.float32
    return sum(max(x.flops / peak, x.bytes / chip.bandwidth) * x.times for x in program.operations) / reached


def check(name: str, devices: int) -> None:
    """Refuses so many chips that the network between them is not known with a `jgan.UserError`."""
    chip = named(name)
    if chip.far is None and devices > chip.joined:
        raise jgan.UserError(
            f"--chip={name}: a pod has {chip.joined:,} chips, and how fast pods are connected is not public: "
            f"--devices={chip.joined} or fewer would work."
        )


def sending(program: plan_program.Program, chip: Chip) -> float:
    """Seconds that the collectives of a call take, one after the other."""
    return sum(_seconds(x, chip) * x.times for x in program.collectives)


def sent(one: plan_program.Collective) -> float:
    """Bytes that each device sends in a collective, in rings."""
    n = len(one.group)
    if one.kind == "collective-permute":
        return one.bytes
    return (2 if one.kind == "all-reduce" else 1) * (n - 1) / n * one.bytes


def _seconds(one: plan_program.Collective, chip: Chip) -> float:
    """Of one collective: rings in a node or pod, and rings over these with what each chip has of the result then."""
    place = [device // chip.joined for device in one.group]
    n, near, far = len(one.group), max(place.count(x) for x in set(place)), len(set(place))
    between = chip.far or chip.near  # `check` refuses more chips than are joined where there is no figure
    if one.kind == "collective-permute":
        return one.bytes / (between if far > 1 else chip.near) + chip.latency(near, far) / 2
    if one.kind == "all-to-all":
        return one.bytes / n * ((near - 1) / chip.near + (n - near) / between) + chip.latency(near, far) / 2
    ways = 2 if one.kind == "all-reduce" else 1
    inside = (near - 1) / near * one.bytes / chip.near
    outside = (far - 1) / far * one.bytes / near / between
    return ways * (inside + outside + chip.latency(near, far) / 2)
