"""How different the pictures are that a BiCycleGAN makes of one label map, beside real ones and those of dropout.

    python -m benchmarks.diversity --workdir=RUN [--other=RUN_OF_PIX2PIX]

Label maps are those of held-out drawn facades (`jgan.data.facades`), of each of which ten real photos are drawn and ten
samples made. Distances are l1, of pictures in [-1, 1], and means over all pairs of one map and over the maps. The bars:
samples are at least half as different as real photos and five times as different as those that dropout gives, and
pictures of the codes that the encoder finds are nearer to the photos than those of random codes. The last line of the
output is one JSON object:

    number         label maps
    distance       between samples of one map, by random codes
    real           between real photos of one map
    of_real        distance / real: at least 0.5 meets the bar
    l1_encoded     from a real photo to the picture of its map under the code that the encoder finds in the photo
    l1_random      from a real photo to the picture under a random code: it has to be more
    dropout        between samples of the other run, by dropout (without --other this and the next are absent)
    times_dropout  distance / dropout: at least 5 meets the bar
    passed         whether all bars are met
"""

import itertools
import json

from absl import flags
import jax
import numpy as np
import tqdm

import jgan
from jgan import fields
from jgan import trained
from jgan.data import facades
from jgan.ops import pixels
import launch

SAMPLES = 10
OF_REAL, TIMES_DROPOUT = 0.5, 5.0


def main():
    run = trained.load(WORKDIR.value)
    check(run, "--workdir", WORKDIR.value)
    other = trained.load(OTHER.value) if OTHER.value else None
    if other:
        check_other(other, OTHER.value, run)
    made, dropped = translator(run), other and by_dropout(other)
    found = []
    data = run.config.data
    for index in tqdm.trange(NUMBER.value, desc="maps", leave=False, disable=None):
        labels, photos = real(data.size, 2 * data.seed + 1, index)
        samples, encoded = made(labels, photos, index)
        found.append(of_map(photos, samples, encoded, dropped(labels, index) if other else None))
    result = report(found)
    if result.get("dropout") == 0:
        raise jgan.UserError(
            f"--other={OTHER.value}: its dropout changes nothing, a U-Net of six levels or more with "
            "generator.dropout=0.5 would work."
        )
    print(" | ".join(f"{name} {value:.3f}" for name, value in result.items() if isinstance(value, float)))
    print(json.dumps(result))


def check(run, flag, workdir):
    """Raises a jgan.UserError unless a run makes several photos of one label map and finds their codes."""
    codes = [name for name, field in run.way().controls.items() if isinstance(field, fields.Code)]
    if not codes or run.way().inputs != ("a",) or run.codes.predict is None or not _of_maps(run):
        raise jgan.UserError(
            f"{flag}={workdir} is a run of {run.config.system} that draws no facades from label maps and codes: one of "
            "bicyclegan with data.source=facades would work."
        )


def check_other(other, workdir, run):
    """Raises a jgan.UserError unless another run makes photos of the same label maps without a code."""
    if other.way().inputs != ("a",) or other.way().controls or not _of_maps(other):
        raise jgan.UserError(
            f"--other={workdir} is a run of {other.config.system} that does not make facades of label maps alone: one "
            "of pix2pix with data.source=facades would work."
        )
    if other.config.data.size != run.config.data.size:
        raise jgan.UserError(
            f"--other={workdir} makes pictures of {other.config.data.size} pixels: distances compare with those of a "
            f"run of {run.config.data.size}."
        )


def _of_maps(run):
    data = run.config.data
    aligned = data.kind == "aligned" and data.source == "facades"
    return aligned and not data.pair and data.direction == "AtoB"


def real(size, seed, index):
    """Returns a label map uint8 [size, size, 3] and ten photos of it, float32 [10, size, size, 3] in [-1, 1]."""
    drawn = [facades.draw(size, seed, index, photo=k) for k in range(SAMPLES)]
    return drawn[0][0], np.asarray(pixels.to_float(np.stack([photo for _, photo in drawn])))


def translator(run):
    """Returns a function of a label map, photos and a seed: (as many samples, pictures of the photos' codes)."""
    way, codes = run.way(), run.codes

    @jax.jit
    def both(weights, labels, photos, seed):
        a = jax.numpy.broadcast_to(labels, (len(photos), *labels.shape))
        samples = way.run(weights, {"a": a}, jax.random.key(seed))["output"]
        return samples, way.run(weights, {"a": a, "z": codes.predict(weights, photos, {})})["output"]

    return lambda *inputs: [np.asarray(x) for x in both(run.weights, *inputs)]


def by_dropout(run):
    """Returns a function of a label map and a seed: ten pictures [10, h, w, 3] by dropout."""
    way = run.way()

    @jax.jit
    def dropped(weights, labels, seed):
        a = jax.numpy.broadcast_to(labels, (SAMPLES, *labels.shape))
        return way.run(weights, {"a": a}, jax.random.key(seed), dropout=True)["output"]

    return lambda *inputs: np.asarray(dropped(run.weights, *inputs))


def of_map(photos, samples, encoded, dropped=None):
    """Returns the distances of one label map: see the top of this file. All are [n, h, w, c] in [-1, 1]."""
    found = {
        "distance": spread(samples),
        "real": spread(photos),
        "l1_encoded": float(np.abs(encoded - photos).mean()),
        "l1_random": float(np.mean([np.abs(samples - photo).mean() for photo in photos])),
    }
    return found if dropped is None else found | {"dropout": spread(dropped)}


def spread(pictures):
    """Returns the mean l1 distance of all pairs of pictures [n, h, w, c]."""
    return float(np.mean([np.abs(a - b).mean() for a, b in itertools.combinations(pictures, 2)]))


def report(found):
    """Returns what the distances of all maps say: see the top of this file."""
    result = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    result["of_real"] = result["distance"] / result["real"]
    passed = result["of_real"] >= OF_REAL and result["l1_encoded"] < result["l1_random"]
    if result.get("dropout"):
        result["times_dropout"] = result["distance"] / result["dropout"]
        passed = passed and result["times_dropout"] >= TIMES_DROPOUT
    return {"number": len(found)} | result | {"passed": bool(passed)}


if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", "", "Run of a BiCycleGAN of drawn facades.")
    OTHER = flags.DEFINE_string("other", "", "Run of a pix2pix of the same, with dropout.")
    NUMBER = flags.DEFINE_integer("number", 50, "Label maps.", lower_bound=1)
    launch.run(main, required=("workdir",), runs=("workdir", "other"))
