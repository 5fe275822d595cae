"""How soon a fresh process shows its first picture, beside a PyTorch process that does the same.

    python -m benchmarks.first_picture [--system=pix2pix|cyclegan] [--turns=5] [--photos=200] [--train=2]

Ours is `launch.translate` of one photo of 512 px by a run with pix2pix's U-Net for 64 px, or of CycleGAN's preset
maps64, with random weights; once with an empty cache of compiled programs and once with a warm one. The peer loads the
same net as a state dict, reads, translates and writes. All begin with the start of Python and end with its exit; they
take turns, on two cores. Then a folder of photos of 256 px, and the seconds until a training has taken its first step.
The last line of the output is one JSON object:

    empty_seconds, warm_seconds, peer_seconds            medians over the turns, of one photo
    empty_cpu_seconds, warm_cpu_seconds, peer_cpu_seconds   of all threads, user and system
    empty_ratio, warm_ratio                              medians of ours / peer, each turn against its neighbour
    folder_seconds, folder_peer_seconds                  of each of `photos` photos, one turn with an empty cache
    pix2pix_step_empty, pix2pix_step_warm, dcgan_step_empty, dcgan_step_warm
                                                         to the first step of pix2pix at 256 px and of DCGAN's demo
    load_before                                          the machine's load; above 0.5 the times mean little
"""

import importlib
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from absl import flags

from benchmarks import sides
import jgan
import launch

SYSTEM = flags.DEFINE_enum("system", "pix2pix", ["pix2pix", "cyclegan"], "Whose generator translates.")
TURNS = flags.DEFINE_integer("turns", 5, "Turns that each side takes.", lower_bound=1)
PHOTOS = flags.DEFINE_integer("photos", 200, "Photos of the folder; 0 leaves it out.", lower_bound=0)
TRAIN = flags.DEFINE_integer("train", 2, "Starts of each training; 0 leaves them out.", lower_bound=0)

PHOTO = pathlib.Path(__file__).parent.parent / "docs" / "photo.png"
TRAININGS = {"pix2pix": "configs/pix2pix.py:builtin", "dcgan": "configs/dcgan.py:demo"}


def main():
    if importlib.util.find_spec("torch") is None:
        raise jgan.UserError("PyTorch is missing, the peer needs it: pip install torch==2.13.0.")
    load = sides.prepare()
    with tempfile.TemporaryDirectory(prefix="jgan-first-") as folder:
        place = pathlib.Path(folder)
        for make in (write_run, write_peer):
            side = sides.Side(make, SYSTEM.value, str(place))
            side.ask("wait")
            side.close()
        write_photos(place)
        report = first_picture(place)
        if PHOTOS.value:
            report |= many_pictures(place)
        if TRAIN.value:
            for name, config in TRAININGS.items():
                report |= first_step(place, name, config)
    print(json.dumps({"system": SYSTEM.value, **report, "load_before": load}))


def first_picture(place):
    """Medians of one photo, in turns: an empty cache, a warm one, the peer."""
    ours(place, "warm", "one")
    seconds, cpu = {}, {}
    for turn in range(TURNS.value):
        told = []
        for name in ("empty", "warm", "peer") if turn % 2 == 0 else ("peer", "warm", "empty"):
            taken = peer(place, "one") if name == "peer" else ours(place, name, "one")
            for kept, value in zip((seconds, cpu), taken, strict=True):
                kept.setdefault(name, []).append(value)
            told.append(f"{name} {taken[0]:.2f} s ({taken[1]:.2f} of CPU)")
        print(f"turn {turn + 1}: {', '.join(told)}", flush=True)
    ratios = {
        f"{name}_ratio": statistics.median(o / p for o, p in zip(seconds[name], seconds["peer"], strict=True))
        for name in ("empty", "warm")
    }
    return {
        **{f"{name}_seconds": statistics.median(values) for name, values in seconds.items()},
        **{f"{name}_cpu_seconds": statistics.median(values) for name, values in cpu.items()},
        **ratios,
    }


def many_pictures(place):
    """Seconds for each photo of the folder."""
    count = PHOTOS.value
    found = {"folder_seconds": ours(place, "empty", "many"), "folder_peer_seconds": peer(place, "many")}
    return {name: seconds / count for name, (seconds, _) in found.items()}


def first_step(place, name, config):
    """Medians of the seconds until a new run has logged its first step; the process is killed then."""
    found = {}
    for cache in ("empty", "warm"):
        times = []
        for _ in range(TRAIN.value):
            if cache == "empty":  # its last one is the warm one, in place: the path is in the keys
                shutil.rmtree(place / name, ignore_errors=True)
            times.append(_first_step(place, config, name))
        found[f"{name}_step_{cache}"] = statistics.median(times)
    print(", ".join(f"{what} {seconds:.1f} s" for what, seconds in found.items()), flush=True)
    return found


def _first_step(place, config, cache):
    workdir = place / "training"
    shutil.rmtree(workdir, ignore_errors=True)
    command = [sys.executable, "-m", "launch.train", f"--config={config}", f"--workdir={workdir}"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--config.log_every=1"], env=environment(place, cache), stdout=subprocess.DEVNULL
    )
    try:
        log = workdir / "metrics.jsonl"
        while not (log.exists() and log.stat().st_size):
            if process.poll() is not None:
                sys.exit("a training of the benchmark failed; what it said is above")
            time.sleep(0.01)
        return time.perf_counter() - begun
    finally:
        process.kill()
        process.wait()


def ours(place, cache, photos):
    """(seconds, CPU seconds) of launch.translate."""
    flags = [f"--workdir={place / 'run'}", f"--input={place / photos}", f"--output={place / 'ours'}"]
    command = [sys.executable, "-m", "launch.translate", *flags]
    return timed(command, environment(place, cache))


def peer(place, photos):
    """(seconds, CPU seconds) of the peer."""
    arguments = [SYSTEM.value, str(place / "peer.pth"), str(place / photos), str(place / "theirs")]
    program = f"from benchmarks import peer; peer.translate_files(*{arguments!r}, {sides.THREADS})"
    return timed([sys.executable, "-c", program], dict(os.environ))


def environment(place, cache):
    """Of a process of ours: with the cache of that name, which is deleted first where it has to be empty."""
    if cache == "empty":
        shutil.rmtree(place / cache, ignore_errors=True)
    mine = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    return {**mine, "JAX_PLATFORMS": "cpu", "XDG_CACHE_HOME": str(place / cache)}


def timed(command, environment):
    """(seconds, CPU seconds) from the start of a process to its exit."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit("a side of the benchmark failed; what it said is above")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime


def write_photos(place):
    """One photo of 512 px, and as many of 256 px as are wanted, shifted copies."""
    import numpy as np
    from PIL import Image

    with Image.open(PHOTO) as photo:
        large, small = photo.resize((512, 512)), np.asarray(photo.resize((256, 256)))
    for folder in ("one", "many"):
        (place / folder).mkdir()
    large.save(place / "one" / "photo.png")
    for k in range(PHOTOS.value):
        Image.fromarray(np.roll(small, k, 1)).save(place / "many" / f"{k:04}.png")


# What only a process with the one or the other library can write.


def write_run(system, place):
    """A run of the system, with the weights that training begins with."""
    import jax
    import numpy as np

    from jgan import trained
    from jgan.runs import checkpoint
    from jgan.runs import config as run_config

    config = small(system)
    system = trained.SYSTEMS[system](config)
    zeros = {name: np.zeros(x.shape, x.dtype) for name, x in trained.batch_shape(config).items()}
    state = jax.jit(system.init)(jax.random.key(0), zeros)
    workdir = os.path.join(place, "run")
    run_config.prepare(workdir)
    run_config.write(workdir, config)
    with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints"), best=None) as checkpoints:
        checkpoints.save(config.steps, state)
    return {"wait": lambda: None}


def write_peer(system, place):
    """The peer's state dict."""
    import torch

    from benchmarks import peer

    torch.save(peer.generator(system).state_dict(), os.path.join(place, "peer.pth"))
    return {"wait": lambda: None}


def small(system):
    """The system's config with the nets of `peer.generator`."""
    config = importlib.import_module(f"configs.{system}").get_config("maps64" if system == "cyclegan" else "")
    if system == "pix2pix":
        config.update_from_flattened_dict({"data.size": 64, "generator.name": "unet_64"})
    config.data.channels = (3, 3)
    return config


if __name__ == "__main__":
    launch.run(main)
