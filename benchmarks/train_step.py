"""Times one training step of ours against a PyTorch peer's.

    python -m benchmarks.train_step --system=pix2pix|cyclegan [--size=256 --batch=1]

pix2pix is timed with the U-Net that halves the image to one pixel, CycleGAN with instance norm, identity terms
and the paper's generator for the size: 6 residual blocks up to 128 pixels, 9 above.

Each side lives in a process of its own with two threads; they take turns, one at work while the other waits,
so that whatever else the machine does hits both. The last line of the output is one JSON object:

    ours_seconds, peer_seconds   median over the turns of the seconds per step
    ratio                        median over the turns of ours / peer, each turn against its neighbour
    useful_flops                 operations that one step needs, in closed form (benchmarks/flops.py)
    gemm_share                   useful FLOP/s of ours over those of a 2048^3 float32 product, same process
    gemm_gflops                  that product's speed, median over the turns
    ours_peak_mib, peer_peak_mib peak resident size of each process in the turns, after warming up
    load_before                  the machine's load before the start; above 0.5 the times mean little
"""

import contextlib
import ctypes
import gc
import importlib.util
import json
import multiprocessing
import os
import statistics
import sys
import threading
import time

from absl import flags

from benchmarks import flops
import jgan
import launch

SYSTEM = flags.DEFINE_enum("system", "pix2pix", ["pix2pix", "cyclegan"], "What to train.")
SIZE = flags.DEFINE_integer("size", 256, "Height and width of the images.", lower_bound=32)
BATCH = flags.DEFINE_integer("batch", 1, "Images per step.", lower_bound=1)
TURNS = flags.DEFINE_integer("turns", 12, "Turns that each side takes.", lower_bound=1)
TURN_SECONDS = flags.DEFINE_float("turn_seconds", 1.5, "Length of a turn, about.", lower_bound=0.0)
PEER_ADAM = flags.DEFINE_enum(
    "peer_adam",
    "default",
    ["default", "foreach", "fused"],
    "PyTorch's implementation of Adam; the field's code uses its default.",
)

THREADS = 2
WARM_UP = 3


def main():
    if importlib.util.find_spec("torch") is None:
        raise jgan.UserError("PyTorch is missing, the peer needs it: pip install torch==2.13.0.")
    # The processes inherit the two cores, and XLA and OpenMP size their pools by them.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    os.environ.update(JAX_PLATFORMS="cpu", OMP_NUM_THREADS=str(THREADS))
    setting = (SYSTEM.value, SIZE.value, BATCH.value)
    useful = useful_flops(*setting)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(
            f"warning: the machine is busy (load {load:.1f}); a ratio holds for a quiet one, because PyTorch"
        )
        print("and XLA do not suffer alike from others at work.")
    ours, peer = Side(ours_step, *setting), Side(peer_step, *setting, PEER_ADAM.value)
    try:
        report = compare(ours, peer)
    finally:
        ours.close()
        peer.close()
    report |= {"useful_flops": useful, "load_before": load}
    speed = useful / report["ours_seconds"]
    report["gemm_share"] = speed / report["gemm_gflops"] / 1e9
    print(
        f"ratio {report['ratio']:.3f} | {speed / 1e9:.0f} useful GFLOP/s, {report['gemm_share']:.2f}"
        f" of a matrix product's {report['gemm_gflops']:.0f}"
    )
    print(json.dumps({"system": SYSTEM.value, "size": SIZE.value, "batch": BATCH.value, **report}))


def compare(ours, peer):
    """Medians and peaks of both sides from alternating turns."""
    for name, side in (("ours", ours), ("peer", peer)):
        print(f"{name}: warmed up in {side.ask('warm_up', WARM_UP):.1f} s", flush=True)
    steps = {side: max(1, round(TURN_SECONDS.value / side.ask("time", 1))) for side in (ours, peer)}
    for side in (ours, peer):
        side.ask("reset_peak")
    seconds = {ours: [], peer: []}
    for turn in range(TURNS.value):
        for side in (ours, peer) if turn % 2 == 0 else (peer, ours):
            seconds[side].append(side.ask("time", steps[side]))
        print(f"turn {turn + 1}: ours {seconds[ours][-1]:.4f} s, peer {seconds[peer][-1]:.4f} s", flush=True)
    peaks = [side.ask("peak_mib") for side in (ours, peer)]
    gemm = [ours.ask("gemm") for _ in range(TURNS.value)]  # after the peaks: its operands count
    return {
        "ours_seconds": statistics.median(seconds[ours]),
        "peer_seconds": statistics.median(seconds[peer]),
        "ratio": statistics.median(o / p for o, p in zip(seconds[ours], seconds[peer], strict=True)),
        "gemm_gflops": statistics.median(gemm) / 1e9,
        "ours_peak_mib": peaks[0],
        "peer_peak_mib": peaks[1],
    }


def useful_flops(system, size, batch):
    """Closed form of the step that is timed."""
    if system == "cyclegan":
        return flops.cyclegan(flops.resnet(size, blocks(size)), flops.patch(size, channels=3), batch)
    return flops.pix2pix(flops.unet(size, levels(size)), flops.patch(size), batch)


def levels(size):
    """Depth of the U-Net that halves `size` pixels as often as it can: 8 for 256, 6 for 64."""
    count = (size & -size).bit_length() - 1
    if count < 2:
        raise jgan.UserError(f"--size={size} cannot be halved twice: a multiple of 4 would work.")
    return count


def blocks(size):
    """Residual blocks of CycleGAN's generator for a size."""
    if size % 4:
        raise jgan.UserError(f"--size={size} is no multiple of 4, as the residual generator needs it.")
    return 6 if size <= 128 else 9


def images(size, batch):
    """Two batches of noise, uint8 [batch, size, size, 3]: the inputs and the targets."""
    import numpy as np

    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 256, (batch, size, size, 3), np.uint8) for _ in "ab")


# The two sides. Their imports stay inside: neither process may carry the other's library.


def ours_step(name, size, batch):
    """A function that takes `n` training steps of ours and waits for the last, and a timed matrix product."""
    import jax

    from configs import cyclegan as cyclegan_config
    from configs import pix2pix as pix2pix_config
    from jgan import train
    from jgan.systems import cyclegan
    from jgan.systems import pix2pix

    config = (cyclegan_config if name == "cyclegan" else pix2pix_config).get_config("")
    config.data.size, config.batch_size = size, batch
    if name == "cyclegan":
        config.generator.name = f"resnet_{blocks(size)}blocks"
        system = cyclegan.build(config)
    else:
        config.generator.name, config.generator.levels = "unet", levels(size)
        system = pix2pix.build(config)
    step = jax.jit(
        system.step, static_argnames="updates", donate_argnums=0, compiler_options=train.COMPILER_OPTIONS
    )
    data = dict(zip("ab", images(size, batch), strict=True))
    key = jax.random.key(0)
    state = jax.jit(system.init)(key, data)
    updates, taken = system.plan(0), 0

    def run(count):
        nonlocal state, taken
        for _ in range(count):
            state, metrics = step(state, data, jax.random.fold_in(key, taken), updates)
            taken += 1
        jax.block_until_ready((state, metrics))

    return run, _matrix_product


def peer_step(name, size, batch, adam):
    """As `ours_step` for the peer, which gets its images as floats already."""
    import torch

    from benchmarks import peer

    torch.set_num_threads(THREADS)
    if name == "cyclegan":
        model = peer.cyclegan(blocks(size), adam=adam)
    else:
        model = peer.pix2pix(levels(size), adam=adam)
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous() / 127.5 - 1 for x in images(size, batch))

    def run(count):
        for _ in range(count):
            model.step(a, b)

    return run, None


def _matrix_product(size=2048, repeats=3):
    """FLOP/s of a float32 product of two size x size matrices."""
    import jax
    import jax.numpy as jnp

    product = jax.jit(jnp.matmul)
    x = jax.random.normal(jax.random.key(1), (size, size), jnp.float32)
    jax.block_until_ready(product(x, x))
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(product(x, x))
    return repeats * 2 * size**3 / (time.perf_counter() - start)


class Side:
    """One side in a process of its own; `ask` sends it a request and waits for the answer."""

    def __init__(self, make, *arguments):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, request, *arguments):
        self._pipe.send((request, *arguments))
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            sys.exit("a side of the benchmark failed; its traceback is above")

    def close(self):
        self._pipe.close()
        self._process.join(10)


def _serve(pipe, make, arguments):
    """Answers requests until the other end closes."""
    run, gemm = make(*arguments)

    def seconds_per_step(count):
        start = time.perf_counter()
        run(count)
        return (time.perf_counter() - start) / count

    answers = {
        "warm_up": lambda count: count * seconds_per_step(count),
        "time": seconds_per_step,
        "gemm": gemm,
        "reset_peak": _reset_peak,
        "peak_mib": _peak_mib,
    }
    while True:
        try:
            request, *rest = pipe.recv()
        except EOFError:
            return
        pipe.send(answers[request](*rest))


def _reset_peak():
    """Sets the peak resident size to the present one, after what warming up left behind is given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    if _status_mib("VmHWM") > 1.05 * _status_mib("VmRSS"):  # a sandbox that does not take it
        threading.Thread(target=_sample, daemon=True).start()


def _peak_mib():
    return max(_samples) if _samples else _status_mib("VmHWM")


_samples = []


def _sample():
    while True:
        _samples.append(_status_mib("VmRSS"))
        time.sleep(0.01)


def _status_mib(name):
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    launch.run(main)
