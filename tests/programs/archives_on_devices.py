"""python tests/programs/archives_on_devices.py DEVICES OUT RUN: the three archives and an edit on virtual devices.

Prints the number of collectives in the programs of all archives, of which each device makes two pictures at once, and
on how many devices the candidates of the edit lie.
"""

import json
import os
import pathlib
import re
import sys

COUNT, OUT = int(sys.argv[1]), pathlib.Path(sys.argv[2])
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={COUNT}"

import jax  # noqa: E402
import numpy as np  # noqa: E402

from configs import dcgan as dcgan_presets  # noqa: E402
from jgan import sharding  # noqa: E402
from jgan import trained  # noqa: E402
from jgan.data import images  # noqa: E402
from jgan.latent import projection  # noqa: E402
from jgan.programs import archive  # noqa: E402
from jgan.programs import edit  # noqa: E402
from jgan.programs import project_archive  # noqa: E402
from jgan.programs import sample_archive  # noqa: E402
from jgan.programs import translate  # noqa: E402
from jgan.programs import translate_archive  # noqa: E402

COLLECTIVES = re.compile(
    r"\b(all-reduce|all-gather|all-to-all|reduce-scatter|collective-\w+|send|recv)[-\w]*\("
)


def run():
    """A DCGAN of 16 px, as if it had been loaded."""
    config = dcgan_presets.get_config()
    changes = {"steps": 6, "statistics_steps": 1, "data.size": 16, "data.channels": (3,), "latent.nz": 5}
    config.update_from_flattened_dict({**changes, "generator.ngf": 4, "discriminator.ndf": 4})
    system = trained.SYSTEMS["dcgan"](config)
    state = jax.jit(system.init)(jax.random.key(0), {"images": np.zeros((2, 16, 16, 3), np.uint8)})
    weights = jax.device_get(state.weights())
    kernels = weights["params"]["generator"]
    weights["params"]["generator"] = jax.tree.map(lambda x: 20 * x if x.ndim > 1 else x, kernels)
    return trained.Run(config, config.steps, system, weights)


def main():
    """Makes the archives, each with a look at its program."""
    folder, found = OUT / "photos", 0
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(8):
        images.write(folder / f"{k}.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    original = sharding.per_device

    def per_device(function):
        program = original(function)

        def call(*arguments):
            nonlocal found
            text = program.lower(*arguments).compile().as_text()
            found += len(COLLECTIVES.findall(text))
            return program(*arguments)

        return call

    sharding.per_device = per_device
    way, batch = archive.Way(8), 2 * COUNT
    settings = projection.Settings(evaluations=10)
    project_archive.project(
        run(), str(folder), str(OUT / "project"), starts=2, settings=settings, batch=batch, way=way
    )
    sample_archive.sample(run(), str(OUT / "sample"), number=8, batch=batch, way=way)
    translate_archive.translate(
        translate.load(sys.argv[3], samples=2),
        str(folder),
        str(OUT / "translate"),
        samples=2,
        batch=batch,
        way=way,
    )
    stroke = {"brush": "colour", "points": [[4, 4], [8, 8]], "width": 4, "colour": [255, 0, 0]}
    tree = {"format": "jgan-edit", "version": 1, "space": "z", "size": [16, 16], "strokes": [stroke]}
    (OUT / "edit.json").write_text(json.dumps(tree))
    settings = edit.Settings(candidates=4, iterations=5, top_k=3, frames=2)
    edit.edit_file(run(), str(OUT / "edit.json"), str(OUT / "edit"), settings=settings)
    state = edit.editor(run(), settings).begin(0)
    places = len(state.images.sharding.device_set)
    print(f"{jax.local_device_count()} devices, {found} collectives, candidates on {places}")


main()
