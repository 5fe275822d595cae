"""Very many draws from a run, as an archive: pictures and the codes that they were made of."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import jgan
from jgan import fields
from jgan import sharding
from jgan import trained
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.latent import codec
from jgan.ops import pixels
from jgan.programs import archive
from jgan.programs import archive_files
from jgan.programs import controls
from jgan.programs import draws
from jgan.programs import sample as sample_lib
from jgan.runs import config as run_config


def sample(
    run: trained.Run,
    output: str,
    *,
    number: int = 64,
    seed: int = 0,
    given: Sequence[str] = (),
    batch: int = 0,
    way: archive.Way = archive.ALONE,
) -> int:
    """The number of pictures drawn into the archive `output`, which is whole then.

    They are those of `sample.write`. A shard holds, of each, the PNG `pictures/NUMBER.png` (.npy for more than four
    channels), its code by the name of its space, classes and attributes by theirs, and of all `space`, `step` of the
    run and `generator` (a digest of its weights). A larger number goes on where a smaller one ended.

    Args:
        run: as `trained.load` gives it, with a latent space and a way from codes alone.
        output: is made where it is missing.
        number: how many pictures.
        seed: of their codes, and of the classes and attributes that are not set.
        given: `NAME=VALUE` of the way's controls.
        batch: pictures at once; 0: 64 on each device. It is brought to a multiple of the devices.
        way: how the archive is worked on.

    Raises:
        jgan.UserError: a number that gives nothing, a control that there is not, an output made with other settings, or
            a folder that cannot be written.
    """
    sample_lib.check(run, number)
    if not 0 <= batch <= sample_lib.MAX_NUMBER:
        raise jgan.UserError(f"--batch={batch}: 1 or more would work, or 0 for a number that fits.")
    asked = fields.parse(controls.settable(run.way()), list(given))
    folder = outputs.make(output, *run_config.searched(run.config))
    facts = {
        "program": "sample",
        "system": run.config.system,
        "step": run.step,
        "seed": seed,
        "given": controls.as_json(run.way(), asked),
        **({"space": run.latent} if run.latent else {}),
        "weights": run.digest,
    }
    devices = jax.local_device_count()
    job = _job(run, number, seed, asked, -(-(batch or draws.BATCH * devices) // devices) * devices)
    names = [f"{k:0{len(str(sample_lib.MAX_NUMBER - 1))}d}" for k in range(number)]
    return archive.make(folder, job, facts, names, None, way)


def _job(run: trained.Run, number: int, seed: int, asked: dict[str, Any], batch: int) -> archive.Job:
    space, way = run.space().name, run.way()
    fixed = {name: np.asarray(value) for name, value in jax.device_get(asked).items()}
    drawn = {"number": number, "values": controls.drawn(way, number, seed)}

    def every(whole: Any, places: jax.Array, given: dict[str, jax.Array]) -> Any:
        weights, base = whole

        def one(place: jax.Array, given: dict[str, jax.Array]) -> Any:
            code = run.space(weights).sample(jax.random.fold_in(base, place))
            image = run.codes.space(weights, given).generate(code)
            return code, given, pixels.from_float(image, np.uint8)

        return jax.vmap(one)(places, given)

    whole = sharding.on_devices((run.weights, jax.random.key(seed)))
    program = sharding.per_device(every)

    def make(names: list[str], places: list[int]) -> Any:
        taken = np.array([*places, *places[-1:] * (batch - len(places))], np.uint32)
        if taken.max() >= drawn["number"]:  # of an archive that was begun with a larger number
            drawn.update(number=taken.max() + 1, values=controls.drawn(way, taken.max() + 1, seed))
        given = {name: x[taken] for name, x in drawn["values"].items()}
        given |= {name: np.broadcast_to(x, (batch, *x.shape)) for name, x in fixed.items()}
        return program(whole, taken, given)

    def finish(name: str, place: int, row: Any) -> dict[str, np.ndarray | bytes]:
        code, given, image = row
        file = archive_files.place(f"{name}.{'png' if image.shape[-1] <= 4 else 'npy'}")
        arrays = {key: np.asarray(x) for key, x in given.items()}
        return {**codec.arrays(space, code), **arrays, file: image_files.encode(file, image)}

    constants = {"space": space, "step": run.step, "generator": run.digest}
    return archive.Job(
        lambda group: batch, lambda name, data: archive.Item(int(name)), make, finish, constants
    )
