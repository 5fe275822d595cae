"""A small classifier that is trained on the pictures of a run; its features compare sets where Inception-v3 is absent.

Where pictures have labels it learns these. Where they have none it learns two other things, for neither of which
anybody has to say anything about the pictures:

* which picture a part is of: of two parts of each of 64 pictures it has to find those that belong together (van den
  Oord et al. 2018, equation 4; Chen et al. 2020, SimCLR). Features that can tell have to hold what pictures differ in,
  so that a set without some of the kinds of pictures is another set.
* what was done to a part: nothing, or one of the `TREATMENTS`, each of which is a fault that generated pictures have.
  Features that can tell have to see these faults.

Colours are changed for the second alone: a set with other colours should be another set.

Its features are those of its own data set: numbers by it compare with numbers by the same weights alone, whose digest
is told with each of them.
"""

from collections.abc import Callable
import io
import json
from typing import Any
from typing import NamedTuple
import zipfile
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jgan
from jgan import fields
from jgan import output
from jgan import paths
from jgan.data import pipeline
from jgan.data import transforms
from jgan.metrics import sets
from jgan.nets import convnet
from jgan.ops import pixels

SIDE = 64  # pixels of the largest pictures that it sees; larger ones are resized
WIDTHS = (16, 32, 64, 96)
PICTURES, HELD_OUT = 4_000, 1_000  # that it learns from, and that it is tried on, at most
STEPS, BATCH = 400, 64
TREATMENTS = ("none", "blurred", "noisy", "chequered", "shuffled", "recoloured")
_EMBEDDED, _TEMPERATURE = 64, 0.2
_FORMAT = 1


class Classifier(NamedTuple):
    """A trained classifier.

    Attributes:
        params: of `convnet`.
        side: of the pictures that it sees.
        channels: of them.
        names: of the classes or attributes that it tells; of one that was trained without labels the treatments.
        kind: `class`, `attributes`, or `treatments` where it was trained without labels.
        accuracy: the share of held-out pictures of which it is right; of attributes a mean over all that are known.
    """

    params: convnet.Params
    side: int
    channels: int
    names: tuple[str, ...]
    kind: str
    accuracy: float

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that are equal for equal weights."""
        check = 0
        for leaf in jax.tree.leaves(self.params):
            check = zlib.crc32(np.ascontiguousarray(leaf), check)
        return f"{check:08x}"

    @property
    def described(self) -> str:
        """What it is, for a protocol."""
        what = {
            "class": f"{len(self.names)} classes",
            "attributes": f"{len(self.names)} attributes",
            "treatments": "no labels",
        }[self.kind]
        return f"classifier {self.digest} of the run's data ({what}, {self.side} pixels, right on {self.accuracy:.3f})"

    def fitted(self, picture: np.ndarray) -> np.ndarray:
        """A picture [h, w, c] uint8 in the size that it sees; [side, side, c]."""
        return transforms.resize(picture, (self.side, self.side))

    def features(self, pictures: np.ndarray) -> np.ndarray:
        """Its features [n, 96] of pictures [n, side, side, channels] uint8."""
        return np.asarray(_features(self.params, pictures))

    def agreement(self, pictures: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The share of what was asked for that it finds in each picture, float [n], NaN where nothing was asked for.

        Args:
            pictures: [n, side, side, channels] uint8.
            labels: classes [n], or attributes [n, k], NaN where one is not known.
        """
        return right(np.asarray(_says(self.params, pictures)), labels)


@jax.jit
def _features(params: convnet.Params, pictures: jax.Array) -> jax.Array:
    return convnet.features(params, pixels.to_float(pictures))


@jax.jit
def _says(params: convnet.Params, pictures: jax.Array) -> jax.Array:
    return convnet.apply(params, pixels.to_float(pictures))


def right(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How much of each label [n] or [n, k] logits say: float [n], NaN where nothing is known."""
    if labels.ndim == 1:
        return (logits.argmax(-1) == labels).astype(np.float64)
    known = ~np.isnan(labels)
    agree = known & ((logits > 0) == (labels > 0.5))
    with np.errstate(invalid="ignore"):
        return agree.sum(1) / known.sum(1)


def of_run(config: Any, field: str, path: str = "", steps: int = STEPS) -> Classifier:
    """The classifier of the pictures of a run, from a file if it is there; otherwise trained, and written to it.

    Args:
        config: of the run.
        field: of a batch, such as `b` or `images`, which holds the pictures.
        path: `.npz`; empty: trained and not kept.
        steps: of its training.

    Raises:
        jgan.UserError: the file is none of a classifier, or of one of other pictures; or data that cannot be used.
    """
    channels = fields.of(config.data)[field].channels
    if path and paths.exists(path):
        found = read(path)
        if found.channels != channels:
            raise jgan.UserError(
                f"--classifier={path} sees pictures of {found.channels} channels, and the run makes some of {channels}."
            )
        return found
    side = min(SIDE, config.data.size)
    learnt = _pictures(config, field, config.data.split, side, PICTURES)
    held_out = _pictures(config, field, config.data.val_split, side, HELD_OUT)
    made = train(*learnt, *held_out, side=side, steps=steps, names=tuple(config.data.get("names", ())))
    if path:
        output.replace(path, dump(made))
    return made


def _pictures(
    config: Any, field: str, split: str, side: int, number: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """(pictures [n, side, side, c] uint8 of a split, their labels if there are any)."""
    examples, found, labels = pipeline.evaluation(config.data, split), [], []
    for k in range(len(examples)):
        if len(found) == number:
            break
        example = examples[k]
        if field in example:
            found.append(transforms.resize(sets.bytes_of(example[field]), (side, side)))
            labels.append(example.get("label"))
    if len(found) < 2:
        raise jgan.UserError(
            f"a classifier needs 2 pictures or more, and the split {split} has {len(found)}."
        )
    named = None if labels[0] is None else np.asarray(labels)
    return np.stack(found), named


def train(
    pictures: np.ndarray,
    labels: np.ndarray | None,
    held_out: np.ndarray,
    held_out_labels: np.ndarray | None,
    *,
    side: int,
    names: tuple[str, ...] = (),
    steps: int = STEPS,
    seed: int = 0,
) -> Classifier:
    """A classifier of pictures [n, side, side, c] uint8 with classes [n], attributes [n, k] or no labels (None)."""
    rng = np.random.default_rng(seed)
    channels = pictures.shape[-1]
    if labels is None:
        params = _without_labels(pictures, rng, steps)
        shown, wanted = _treated(_cut(convnet.scaled(held_out), rng), rng)
        said = np.asarray(jax.jit(convnet.apply)(params, shown))
        return Classifier(params, side, channels, TREATMENTS, "treatments", float(right(said, wanted).mean()))
    kind = "class" if labels.ndim == 1 else "attributes"

    def loss(params: convnet.Params, images: jax.Array, named: jax.Array) -> jax.Array:
        logits = convnet.apply(params, images)
        if kind == "class":
            return optax.softmax_cross_entropy_with_integer_labels(logits, named).mean()
        known = ~jnp.isnan(named)
        each = optax.sigmoid_binary_cross_entropy(logits, jnp.where(known, named, 0))
        return jnp.sum(known * each) / jnp.maximum(known.sum(), 1)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.integers(len(labels), size=BATCH)
        images = _moved(convnet.scaled(pictures[chosen]), rng)
        return convnet.disturbed(images, rng), labels[chosen]

    params = convnet.init(rng, WIDTHS, len(names), channels=channels)
    params = jax.device_get(convnet.fit(params, loss, draw, steps=steps))
    made = Classifier(params, side, channels, names, kind, 0.0)
    return made._replace(accuracy=float(np.nanmean(made.agreement(held_out, held_out_labels))))


def _without_labels(pictures: np.ndarray, rng: np.random.Generator, steps: int) -> convnet.Params:
    """Parameters after a training without labels; the last product tells treatments."""
    params = convnet.init(rng, WIDTHS, len(TREATMENTS), channels=pictures.shape[-1])
    embed = convnet.kernel(rng, (WIDTHS[-1], _EMBEDDED))[0]

    def loss(
        params: Any, first: jax.Array, second: jax.Array, third: jax.Array, wanted: jax.Array
    ) -> jax.Array:
        net, embed = params
        codes = [convnet.features(net, x) @ embed for x in (first, second)]
        a, b = (x / jnp.sqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-6) for x in codes)
        likeness, own = a @ b.T / _TEMPERATURE, jnp.arange(len(a))
        told = [
            optax.softmax_cross_entropy_with_integer_labels(x, own).mean() for x in (likeness, likeness.T)
        ]
        treated = optax.softmax_cross_entropy_with_integer_labels(convnet.apply(net, third), wanted)
        return sum(told) / 2 + treated.mean()

    batch = min(BATCH, len(pictures))

    def draw() -> tuple[np.ndarray, ...]:
        images = convnet.scaled(pictures[rng.choice(len(pictures), batch, replace=False)])
        return (_cut(images, rng), _cut(images, rng), *_treated(_cut(images, rng), rng))

    net, _ = convnet.fit((params, embed), loss, draw, steps=steps)
    return jax.device_get(net)


def _moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Images [n, h, w, c] moved by at most a sixteenth of their side; their borders are repeated."""
    side = images.shape[1]
    reach = side // 16
    wide = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), "edge")
    places = rng.integers(0, 2 * reach + 1, (len(images), 2))
    return np.stack([image[y : y + side, x : x + side] for image, (y, x) in zip(wide, places, strict=True)])


def _cut(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of three quarters of the side from each image [n, h, w, c], anywhere."""
    side = max(1, images.shape[1] * 3 // 4)
    places = rng.integers(0, images.shape[1] - side + 1, (len(images), 2))
    return np.stack([image[y : y + side, x : x + side] for image, (y, x) in zip(images, places, strict=True)])


def _treated(images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(images [n, h, w, c] of each of which something was done, the places of the treatments [n])."""
    chosen = rng.integers(len(TREATMENTS), size=len(images))
    how: list[Callable[..., np.ndarray]] = [lambda x, rng: x, _blur, _noise, _chequers, _shuffle, _recolour]
    made = [how[k](image, rng) for k, image in zip(chosen, images, strict=True)]
    return np.stack(made).astype(np.float32), chosen.astype(np.int32)


def _blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means of three pixels in both directions, one to three times."""
    for _ in range(rng.integers(1, 4)):
        for axis in (0, 1):
            wide = np.pad(image, [(int(axis == k),) * 2 for k in range(3)], "edge")
            size = image.shape[axis]
            image = sum(np.take(wide, range(k, k + size), axis) for k in range(3)) / 3
    return image


def _noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image + rng.uniform(0.05, 0.3) * rng.standard_normal(image.shape, np.float32)


def _chequers(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With a pattern of every second or every fourth pixel, as strided layers leave it."""
    period = rng.choice([1, 2])
    y, x = (np.arange(size) // period % 2 for size in image.shape[:2])
    return image + rng.uniform(0.05, 0.3) * (2.0 * (y[:, None] ^ x)[..., None] - 1)


def _shuffle(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With its sixteen parts in another order: what is near is right, and the whole is not."""
    size = image.shape[0] // 4
    if not size:
        return image
    made = image.copy()
    for to, of in enumerate(rng.permutation(16)):
        (i, j), (k, m) = (tuple(size * part for part in divmod(place, 4)) for place in (to, of))
        made[i : i + size, j : j + size] = image[k : k + size, m : m + size]
    return made


def _recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With colours nearer to grey or to one tint, and less or more contrast."""
    grey = image.mean(-1, keepdims=True)
    tint = rng.uniform(-0.3, 0.3, image.shape[-1]).astype(np.float32)
    return (grey + rng.uniform(0, 0.7) * (image - grey)) * rng.uniform(0.6, 1.1) + tint


def dump(classifier: Classifier) -> bytes:
    """The bytes of its file."""
    file = io.BytesIO()
    facts = {"format": _FORMAT, **classifier._replace(params=None)._asdict()}
    arrays = {
        f"{kind}{k}": x
        for k, layer in enumerate(classifier.params)
        for kind, x in zip("kb", layer, strict=True)
    }
    np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
    return file.getvalue()


def read(path: str) -> Classifier:
    """The classifier in a file.

    Raises:
        jgan.UserError: it holds none.
    """
    try:
        with paths.of(path).open("rb") as file:
            return load(file)
    except OSError as error:
        raise jgan.UserError(f"the classifier {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise jgan.UserError(
            f"{path} is no file of a classifier: one that launch.evaluate --classifier wrote would work."
        ) from error


def of_bytes(data: bytes) -> Classifier:
    """The classifier that `dump` gave."""
    return load(io.BytesIO(data))


def load(file: Any) -> Classifier:
    """The classifier in an open file or at a path, as `dump` gave it."""
    with np.load(file, allow_pickle=False) as entries:
        facts = json.loads(str(entries["facts"]))
        if facts.pop("format") != _FORMAT:
            raise ValueError("another format")
        number = sum(name.startswith("k") for name in entries.files)
        params = [(entries[f"k{k}"], entries[f"b{k}"]) for k in range(number)]
    facts["names"] = tuple(facts["names"])
    return Classifier(**facts | {"params": params})
