"""Times one training step of ours against a PyTorch peer's.

    python -m benchmarks.train_step --system=pix2pix|cyclegan|stargan|bicyclegan|stylegan2 [--size=256 --batch=1]

pix2pix and BiCycleGAN are timed with the U-Net that halves the image to one pixel, CycleGAN with instance norm,
identity terms and the paper's generator for the size: 6 residual blocks up to 128 pixels, 9 above. A step of StarGAN
is here one cycle of its plan, five updates of D and one of G, with five attributes (--size=128 --batch=4), and one of
StyleGAN2 is 16 iterations, with four path lengths and one gradient penalty (--size=64 --batch=16).

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

import importlib.util
import json
import statistics

from absl import flags

from benchmarks import flops
from benchmarks import sides
import jgan
import launch

# Training steps in one that is timed.
CYCLES = {"pix2pix": 1, "cyclegan": 1, "stargan": 5, "bicyclegan": 1, "stylegan2": 16}
SYSTEM = flags.DEFINE_enum("system", "pix2pix", list(CYCLES), "What to train.")
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

WARM_UP = 3
BASE = 2048  # of StyleGAN2: a resolution r has BASE / r channels


def main():
    if importlib.util.find_spec("torch") is None:
        raise jgan.UserError("PyTorch is missing, the peer needs it: pip install torch==2.13.0.")
    load = sides.prepare()
    timed = (SYSTEM.value, SIZE.value, BATCH.value)
    useful = useful_flops(*timed)
    ours = sides.Side(ours_step, *timed)
    peer = sides.Side(peer_step, *timed, PEER_ADAM.value)
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
        # A long step warms up in itself.
        count = max(1, WARM_UP // CYCLES[SYSTEM.value])
        print(f"{name}: warmed up in {side.ask('warm_up', count):.1f} s", flush=True)
    steps = {side: max(1, round(TURN_SECONDS.value / side.ask("time", 1))) for side in (ours, peer)}
    for side in (ours, peer):
        side.ask("reset_peak")
    seconds = {ours: [], peer: []}
    for turn in range(TURNS.value):
        for side in (ours, peer) if turn % 2 == 0 else (peer, ours):
            if CYCLES[SYSTEM.value] == 1:
                # The system hands out memory anew after another process has worked, which steps of a training do not
                # wait for; a long step hardly notices.
                side.ask("warm_up", 1)
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


def useful_flops(system, size, batch, base=BASE):
    """Closed form of the step that is timed; `base` is StyleGAN2's width."""
    if system == "cyclegan":
        return flops.cyclegan(flops.resnet(size, blocks(size)), flops.patch(size, channels=3), batch)
    if system == "bicyclegan":
        judge = [macs for k in range(2) for macs in flops.patch(size // 2**k, channels=3, width=64 // 2**k)]
        nets = flops.unet(size, levels(size)), flops.encoder(size, encoder_blocks(size)), judge
        return flops.bicyclegan(*nets, batch)
    if system == "stargan":
        if size < 64 or size % 64:
            raise jgan.UserError(
                f"--size={size}: StarGAN's discriminator halves a picture six times, 128 would work."
            )
        nets = flops.stargan_generator(size), flops.stargan_discriminator(size)
        return flops.stargan(*nets, batch, CYCLES[system])
    if system == "stylegan2":
        nets = flops.stylegan2_synthesis(size, base), flops.stylegan2_discriminator(size, base)
        return flops.stylegan2(*nets, batch)
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


def encoder_blocks(size):
    """Residual blocks of BiCycleGAN's encoder for a size: as many as leave 8 pixels a side."""
    return max(levels(size) - 4, 1)


def images(size, batch):
    """Two batches of noise, uint8 [batch, size, size, 3]: the inputs and the targets."""
    import numpy as np

    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, 256, (batch, size, size, 3), np.uint8) for _ in "ab")


def attributes(batch):
    """Five attributes for each image, present or not, float32 [batch, 5]."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 2, (batch, 5)).astype(np.float32)


# The two sides. Their imports stay inside: neither process may carry the other's library.


def setting(name, size, batch, **changes):
    """The config of what is timed; `changes` are further fields, with __ for dots."""
    import importlib

    config = importlib.import_module(f"configs.{name}").get_config("")
    config.data.size, config.batch_size = size, batch
    if name in ("pix2pix", "bicyclegan"):
        config.generator.name, config.generator.levels = "unet", levels(size)
    elif name == "cyclegan":
        config.generator.name = f"resnet_{blocks(size)}blocks"
    elif name == "stylegan2":  # with the average of G's weights and without augmentations, as the peer
        config.augment.policy = ""
        for net in (config.generator, config.discriminator):
            net.channel_base, net.clamp = BASE, 0.0
    else:
        config.ema = 0.0  # the peer has no averages
    if name == "bicyclegan":
        config.encoder.blocks = encoder_blocks(size)
    config.update_from_flattened_dict({field.replace("__", "."): value for field, value in changes.items()})
    return config


def ours_step(name, size, batch, **changes):
    """What the side of ours answers: to take and time training steps, and a matrix product."""
    import jax

    from jgan.systems import SYSTEMS
    from jgan.systems import system as system_lib

    system = SYSTEMS[name](setting(name, size, batch, **changes))
    step = jax.jit(
        system.step,
        static_argnames="updates",
        donate_argnums=0,
        compiler_options=system_lib.supported(system.compiler_options),
    )
    inputs, targets = images(size, batch)
    data = {"images": targets} if name in ("dcgan", "stargan", "stylegan2") else {"a": inputs, "b": targets}
    data = jax.device_put(data | ({"label": attributes(batch)} if name == "stargan" else {}))
    key = jax.random.key(0)
    init = jax.jit(system.init)
    state = init(key, data)
    init.clear_cache()  # as training does
    cycle, taken = CYCLES.get(name, 1), 0
    plan = [system.programs(system.plan(k)) for k in range(cycle)]

    def run(count):
        nonlocal state, taken
        for _ in range(count * cycle):
            for updates in plan[taken % cycle]:
                state, metrics = step(state, data, jax.random.fold_in(key, taken), updates)
            taken += 1
        jax.block_until_ready((state, metrics))

    def accelerator():
        """Its name, and the MiB of its memory that were taken at most."""
        device = jax.devices()[0]
        memory = device.memory_stats() or {}
        return device.device_kind, memory.get("peak_bytes_in_use", 0) / 2**20

    return sides.steps(run) | {"gemm": sides.matrix_product, "accelerator": accelerator}


def peer_step(
    name, size, batch, adam="default", *, device="cpu", width=64, base=BASE, bfloat16=False, compiled=False
):
    """As `ours_step` for the peer, which gets its images as floats already.

    `bfloat16` computes by PyTorch's autocast, `compiled` compiles each net as it is called; `base` is StyleGAN2's
    width, `width` that of the others.
    """
    import torch

    from benchmarks import peer

    if device == "cpu":
        torch.set_num_threads(sides.THREADS)
    else:
        torch.set_float32_matmul_precision("high")  # TF32, as its convolutions and XLA's products have it
        torch.backends.cudnn.benchmark = True
    with torch.device(device):
        if name == "cyclegan":
            model = peer.cyclegan(blocks(size), width=width, adam=adam)
        elif name == "bicyclegan":
            from benchmarks import peer_bicyclegan

            model = peer_bicyclegan.bicyclegan(levels(size), encoder_blocks(size), width=width, adam=adam)
        elif name == "stargan":
            from benchmarks import peer_stargan

            model = peer_stargan.stargan(size, attributes(1).shape[1], CYCLES[name], width=width, adam=adam)
        elif name == "stylegan2":
            from benchmarks import peer_stylegan2

            model = peer_stylegan2.stylegan2(size, base, adam=adam)
        elif name == "dcgan":
            model = peer.dcgan(levels(size) - 2, width=width, adam=adam)
        else:
            model = peer.pix2pix(levels(size), width=width, adam=adam)
    if compiled:
        for net in vars(model).values():
            if isinstance(net, torch.nn.Module):
                net.compile()
    data = [torch.from_numpy(x).permute(0, 3, 1, 2).contiguous() / 127.5 - 1 for x in images(size, batch)]
    data = data[1:] if name in ("dcgan", "stargan", "stylegan2") else data
    data += [torch.from_numpy(attributes(batch))] if name == "stargan" else []
    data = [x.to(device) for x in data]
    take = model.cycle if name in ("stargan", "stylegan2") else model.step

    def run(count):
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            for _ in range(count):
                take(*data)
        if device != "cpu":
            torch.cuda.synchronize()

    def accelerator():
        if device == "cpu":
            return "cpu", 0.0
        return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**20

    return sides.steps(run) | {"accelerator": accelerator}


if __name__ == "__main__":
    launch.run(main)
