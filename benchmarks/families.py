"""How many samples of a generator show each family of the drawn objects, and how far they are from drawn ones.

    python -m benchmarks.families [--samples=FOLDER|FILE.npy|FILE.npz | --workdir=RUN]

A small convnet learns the families of drawn objects (`jgan.data.objects`) and is tried on others. A sample belongs to
the family that it names. The bar: every family has at least half of its share, which is an eighth. Of a run that
is asked for families each of them is asked for equally often, and the bar is that nine samples in ten show the one that
was asked for. Pictures are looked at in 64 pixels. The last line of the output is one JSON object:

    accuracy             share of held-out drawn pictures whose family is named right
    number               samples looked at (without --samples or --workdir this and what follows is absent)
    shares               {family: share of the samples}
    sure                 share of the samples whose family has a probability of at least 0.9
    least                the smallest share, as a multiple of an even one: at least 0.5 meets the bar without labels
    kernel_distance      (`jgan.metrics.distances`) of the classifier's features, of the samples to held-out drawn
                         pictures of the run's size
    distance_of_drawn    the same of as many other drawn pictures: what is reached by chance
    accuracy_at_size     of --workdir: as `accuracy`, of pictures drawn in the run's size and enlarged as samples are
    agreement            of a run with labels: share of the samples whose family is the one asked for: 0.9 meets the bar
    agreement_by_family  of a run with labels: {family asked for: that share}
    passed               whether the bar is met, by a classifier that is right at least 98 times in 100
"""

import json
import pathlib
import zipfile

from absl import flags
import jax
import numpy as np
import optax
import tqdm

import jgan
from jgan import fields
from jgan import trained
from jgan.data import images as image_files
from jgan.data import objects
from jgan.data import transforms
from jgan.metrics import distances
from jgan.nets import convnet
from jgan.programs import draws
import launch

SIZE = 64
WIDTHS = (16, 32, 64, 96)
BATCH = 64
TRUSTED, BAR, SURE, AGREED = 0.98, 0.5, 0.9, 0.9


def main():
    # First what can be a mistake, which should not take minutes to show.
    if SAMPLES.value and WORKDIR.value:
        raise jgan.UserError("--samples and --workdir both say what to look at: one of them would work.")
    run = trained.load(WORKDIR.value) if WORKDIR.value else None
    if run:
        check(run, WORKDIR.value)
    samples, asked = read(SAMPLES.value) if SAMPLES.value else None, None
    params = train(*drawn(DRAWN.value, 2 * SEED.value), steps=STEPS.value, seed=SEED.value)
    pictures, labels = drawn(HELD_OUT.value, 2 * SEED.value + 1)
    accuracy = float((classify(params, pictures)[0] == labels).mean())
    print(f"{accuracy:.4f} of {len(labels)} held-out drawn objects are named right")
    result, size = {"accuracy": accuracy}, SIZE
    if run:
        size = run.config.data.size
        pictures, labels = drawn(HELD_OUT.value, 2 * SEED.value + 1, size)
        result["accuracy_at_size"] = float((classify(params, pictures)[0] == labels).mean())
        print(f"{result['accuracy_at_size']:.4f} of those that were drawn in {size} pixels")
        samples, asked = ask(run, NUMBER.value, SEED.value)
    if samples is not None:
        named, probability = classify(params, samples)
        result |= report(named, probability, accuracy)
        others, _ = drawn(len(samples), 2 * SEED.value + 3, size)
        here, there = features(params, samples), features(params, pictures)
        result["kernel_distance"] = distances.kernel(here, there)
        result["distance_of_drawn"] = distances.kernel(features(params, others), there)
        if asked is not None:
            result |= agreement(named, asked, accuracy)
        for family, share in (result.get("agreement_by_family") or result["shares"]).items():
            print(f"{family:>8} {share:6.1%} {'#' * round((200 if asked is None else 20) * share)}")
    print(json.dumps(result))


def check(run, workdir):
    """Raises a jgan.UserError unless a run draws pictures from codes, of families of objects where it has labels."""
    way = run.way()
    label = way.controls.get("label")
    known = label.names if isinstance(label, fields.Label) else objects.FAMILIES
    if way.inputs or not set(known) <= set(objects.FAMILIES):
        raise jgan.UserError(
            f"{workdir} is a run of {run.config.system} that draws no families of objects from codes: a run with "
            "data.source=objects of one of dcgan, cgan, stylegan2 would work, and --samples takes the pictures of any."
        )


def ask(run, number, seed):
    """Returns samples uint8 [n, 64, 64, 3] of a run, and the numbers of the families asked for, equally often, [n].

    The numbers are None where the run has no labels.
    """
    way = run.way()
    label = way.controls.get("label")
    statistics = run.system.statistics(run.step)
    made = jax.jit(lambda weights, inputs: way.run(weights, inputs, statistics=statistics)["output"])
    codes, families = {"z": draws.codes(run.space(), seed, number)}, None
    if label is not None:
        codes["label"] = np.arange(number, dtype=np.int32) % len(label.names)
        families = np.asarray([objects.FAMILIES.index(name) for name in label.names], np.int32)[
            codes["label"]
        ]
    images = draws.draw(lambda inputs: made(run.weights, inputs), codes)
    return np.stack([_prepared(image, "the run") for image in images]), families


def drawn(number, seed, size=SIZE):
    """Returns objects drawn in a size, uint8 [n, 64, 64, 3], and the numbers of their families, int32 [n]."""
    source = objects.Objects(size, number, seed)
    pictures = (source[i] for i in tqdm.trange(number, desc="drawing", leave=False, disable=None))
    labels = [objects.FAMILIES.index(source.factors(i)["family"]) for i in range(number)]
    return np.stack([_prepared(picture, "a drawing") for picture in pictures]), np.asarray(labels, np.int32)


def train(pictures, labels, *, steps, seed=0, batch=BATCH, learning_rate=2e-3):
    """Returns the parameters of a classifier of pictures, uint8 [n, 64, 64, 3], by labels, int32 [n]."""
    rng = np.random.default_rng(seed % 2**63)

    def loss(params, images, named):
        logits = convnet.apply(params, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, named).mean()

    def draw():
        chosen = rng.integers(len(labels), size=batch)
        images = convnet.scaled(pictures[chosen])
        # Samples stand a little to the side.
        moved = np.stack([np.roll(image, rng.integers(-4, 5, 2), (0, 1)) for image in images])
        return convnet.disturbed(moved, rng), labels[chosen]

    # The reach of the last layer is nearly the picture, and its mean over places knows no position.
    params = convnet.init(rng, WIDTHS, len(objects.FAMILIES))
    return convnet.fit(params, loss, draw, steps=steps, learning_rate=learning_rate)


def classify(params, pictures, batch=250):
    """Returns the family's number, int [n], and its probability, float [n], of uint8 [n, 64, 64, 3]."""
    probabilities = np.asarray(jax.nn.softmax(convnet.predict(params, pictures, batch)))
    return probabilities.argmax(-1), probabilities.max(-1)


def features(params, pictures, batch=250):
    """Returns what the classifier's last layer takes, float [n, d], of uint8 [n, 64, 64, 3]."""
    return convnet.predict(params, pictures, batch, convnet.features)


def report(named, probability, accuracy):
    """Returns what the samples' families say: see the top of this file."""
    shares = np.bincount(named, minlength=len(objects.FAMILIES)) / len(named)
    least = float(shares.min() * len(objects.FAMILIES))
    return {
        "number": len(named),
        "shares": {family: float(share) for family, share in zip(objects.FAMILIES, shares, strict=True)},
        "sure": float((probability >= SURE).mean()),
        "least": least,
        "passed": bool(accuracy >= TRUSTED and least >= BAR),
    }


def agreement(named, asked, accuracy):
    """Returns how often the family [n] that is named is the one that was asked for: see the top of this file."""
    right = named == asked
    share = float(right.mean())
    return {
        "agreement": share,
        "agreement_by_family": {
            objects.FAMILIES[k]: float(right[asked == k].mean()) for k in np.unique(asked)
        },
        "passed": bool(accuracy >= TRUSTED and share >= AGREED),
    }


def read(path):
    """Returns the samples in a folder of images, a .npy or the first array of an .npz, uint8 [n, 64, 64, 3].

    Arrays are [n, h, w, 3], uint8 or floating-point in [-1, 1].

    Raises:
      jgan.UserError: there are none, or something else.
    """
    where = pathlib.Path(path).expanduser()
    if where.is_dir():
        pictures = [image_files.read(file) for file in image_files.find(where)]
        if not pictures:
            raise jgan.UserError(f"{where} holds no images ({' '.join(image_files.SUFFIXES)})")
    else:
        pictures = _array(where)
    return np.stack([_prepared(picture, where) for picture in pictures])


def _prepared(picture, where):
    if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype.kind not in "uf":
        raise jgan.UserError(
            f"{where} holds {picture.dtype} {list(picture.shape)}: colour images [h, w, 3] would work"
        )
    if picture.dtype.kind == "f":
        picture = np.rint(np.clip(picture.astype(np.float32), -1, 1) * 127.5 + 127.5).astype(np.uint8)
    elif picture.dtype != np.uint8:
        picture = (picture // 257).astype(np.uint8)
    return transforms.resize(picture, (SIZE, SIZE))


def _array(where):
    try:
        found = np.load(where, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            with found:
                found = found[found.files[0]] if found.files else np.zeros(0)
    except FileNotFoundError:
        raise jgan.UserError(f"there is no file or folder {where}") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise jgan.UserError(
            f"{where} cannot be read: a folder of images, a .npy or an .npz would work"
        ) from None
    if found.ndim != 4 or not len(found):
        raise jgan.UserError(f"{where} holds an array {list(found.shape)}: [n, h, w, 3] would work")
    return list(found)


if __name__ == "__main__":
    # Only here: flags are one namespace, and tests import several of these files.
    SAMPLES = flags.DEFINE_string("samples", "", "Folder of images, or .npy or .npz of samples [n, h, w, 3].")
    WORKDIR = flags.DEFINE_string("workdir", "", "Run of a GAN whose samples are looked at.")
    NUMBER = flags.DEFINE_integer("number", 1_000, "Samples of the run.", lower_bound=8)
    DRAWN = flags.DEFINE_integer("drawn", 4_000, "Drawn objects to learn from.", lower_bound=8)
    HELD_OUT = flags.DEFINE_integer("held_out", 1_000, "Drawn objects to try it on.", lower_bound=8)
    STEPS = flags.DEFINE_integer("steps", 300, "Training steps of 64 pictures.", lower_bound=1)
    SEED = flags.DEFINE_integer("seed", 0, "Of the drawn objects and of everything random.")
    launch.run(main, runs=("workdir",))
