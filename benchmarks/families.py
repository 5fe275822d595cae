"""How many samples of a generator show each family of the drawn objects.

    python -m benchmarks.families [--samples=FOLDER|FILE.npy|FILE.npz]

A small convnet learns the families of drawn objects (`jgan.data.objects`) and is tried on others. A sample belongs to
the family that it names. The bar: every family has at least half of its share, which is an eighth. The last line of
the output is one JSON object:

    accuracy    share of held-out drawn pictures whose family is named right
    number      samples looked at (without --samples this and what follows is absent)
    shares      {family: share of the samples}
    sure        share of the samples whose family has a probability of at least 0.9
    least       the smallest share, as a multiple of an even one: at least 0.5 meets the bar
    passed      whether the bar is met, by a classifier that is right at least 98 times in 100
"""

import functools
import itertools
import json
import pathlib
import zipfile

from absl import flags
import jax
import numpy as np
import optax
import tqdm

import jgan
from jgan.data import images as image_files
from jgan.data import objects
from jgan.data import transforms
import launch

SIZE = 64
WIDTHS = (16, 32, 64, 96)
BATCH = 64
TRUSTED, BAR, SURE = 0.98, 0.5, 0.9


def main():
    samples = (
        read(SAMPLES.value) if SAMPLES.value else None
    )  # first: a mistake should not take minutes to show
    params = train(*drawn(DRAWN.value, 2 * SEED.value), steps=STEPS.value, seed=SEED.value)
    pictures, labels = drawn(HELD_OUT.value, 2 * SEED.value + 1)
    accuracy = float((classify(params, pictures)[0] == labels).mean())
    print(f"{accuracy:.4f} of {len(labels)} held-out drawn objects are named right")
    result = {"accuracy": accuracy}
    if samples is not None:
        result |= report(*classify(params, samples), accuracy)
        for family, share in result["shares"].items():
            print(f"{family:>8} {share:6.1%} {'#' * round(200 * share)}")
    print(json.dumps(result))


def drawn(number, seed):
    """Returns drawn objects, uint8 [n, 64, 64, 3], and the numbers of their families, int32 [n]."""
    source = objects.Objects(SIZE, number, seed)
    pictures = np.stack([source[i] for i in tqdm.trange(number, desc="drawing", leave=False, disable=None)])
    labels = [objects.FAMILIES.index(source.factors(i)["family"]) for i in range(number)]
    return pictures, np.asarray(labels, np.int32)


def train(pictures, labels, *, steps, seed=0, batch=BATCH, learning_rate=2e-3):
    """Returns the parameters of a classifier of pictures, uint8 [n, 64, 64, 3], by labels, int32 [n]."""
    rng = np.random.default_rng(seed % 2**63)
    params = init(rng)
    optimiser = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    moments = optimiser.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, moments, images, named):
        def loss(params):
            logits = apply(params, images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, named).mean()

        change, moments = optimiser.update(jax.grad(loss)(params), moments, params)
        return optax.apply_updates(params, change), moments

    for _ in tqdm.trange(steps, desc="training", leave=False, disable=None):
        chosen = rng.integers(len(labels), size=batch)
        params, moments = step(params, moments, _disturbed(_scaled(pictures[chosen]), rng), labels[chosen])
    return params


def classify(params, pictures, batch=250):
    """Returns the family's number, int [n], and its probability, float [n], of uint8 [n, 64, 64, 3]."""
    run = jax.jit(lambda params, images: jax.nn.softmax(apply(params, images)))
    parts = [
        np.asarray(run(params, _scaled(pictures[i : i + batch]))) for i in range(0, len(pictures), batch)
    ]
    probabilities = np.concatenate(parts)
    return probabilities.argmax(-1), probabilities.max(-1)


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
    prepared = []
    for picture in pictures:
        if picture.ndim != 3 or picture.shape[-1] != 3 or picture.dtype.kind not in "uf":
            raise jgan.UserError(
                f"{where} holds {picture.dtype} {list(picture.shape)}: colour images [h, w, 3] would work"
            )
        if picture.dtype.kind == "f":
            picture = np.rint(np.clip(picture.astype(np.float32), -1, 1) * 127.5 + 127.5).astype(np.uint8)
        elif picture.dtype != np.uint8:
            picture = (picture // 257).astype(np.uint8)
        prepared.append(transforms.resize(picture, (SIZE, SIZE)))
    return np.stack(prepared)


def init(rng):
    """Returns the classifier's parameters: [(kernel, bias), ...], strided 3x3 convolutions and a last product."""
    shapes = [(3, 3, into, out) for into, out in itertools.pairwise((3, *WIDTHS))]
    shapes.append((WIDTHS[-1], len(objects.FAMILIES)))
    return [(_normal(rng, shape, np.prod(shape[:-1])), np.zeros(shape[-1], np.float32)) for shape in shapes]


def apply(params, images):
    """Returns logits [n, families] of images [n, 64, 64, 3] in [-1, 1]."""
    # The reach of the last layer is nearly the picture, and its mean over places knows no position.
    for kernel, bias in params[:-1]:
        images = jax.lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        images = jax.nn.relu(images + bias)
    kernel, bias = params[-1]
    return images.mean((1, 2)) @ kernel + bias


def _normal(rng, shape, reach):
    return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / reach))


def _scaled(pictures):
    return pictures.astype(np.float32) / np.float32(127.5) - 1


def _disturbed(images, rng):
    # Samples are noisier and paler than drawings, and stand a little to the side.
    n = len(images)
    moved = np.stack([np.roll(image, rng.integers(-4, 5, 2), (0, 1)) for image in images])
    gain = rng.uniform(0.85, 1.0, (n, 1, 1, 1)).astype(np.float32)
    sigma = rng.uniform(0.0, 0.15, (n, 1, 1, 1)).astype(np.float32)
    return 1 - gain * (1 - moved) + sigma * rng.standard_normal(images.shape, np.float32)


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
    DRAWN = flags.DEFINE_integer("drawn", 4_000, "Drawn objects to learn from.", lower_bound=8)
    HELD_OUT = flags.DEFINE_integer("held_out", 1_000, "Drawn objects to try it on.", lower_bound=8)
    STEPS = flags.DEFINE_integer("steps", 300, "Training steps of 64 pictures.", lower_bound=1)
    SEED = flags.DEFINE_integer("seed", 0, "Of the drawn objects and of everything random.")
    launch.run(main)
