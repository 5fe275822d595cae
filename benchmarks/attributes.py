"""How well a StarGAN of drawn objects changes what it is asked for, and nothing else.

    python -m benchmarks.attributes --workdir=RUN [--number=500]

A small convnet learns to tell the attributes of the run's objects and all of their factors (`jgan.data.objects`) from
real drawings in the run's size. Then every held-out picture is translated to every target, each attribute present and,
but for those that exclude each other, absent, and the convnet looks at what came out. A change is measured between
what it says of a picture before and after. The bars: the target is reached in 85 of 100, the rest changes by at most a
quarter of what two random pictures differ by, and the cycle is below 0.1. The last line of the output is one JSON
object:

    accuracy             {attribute: share of held-out real pictures of which it is told right}
    error                {factor: how far off it is told in them, as a share of what two random pictures differ by}
    number               held-out pictures, each of which is translated to every target
    reached              share of the translations in which the target is seen: at least 0.85 meets the bar
    reached_by_target    {target: that share}
    reached_from_others  that share of the pictures in which the target was not seen before
    drift                mean change of the factors and attributes that the target leaves alone, each as a share of what
                         two random pictures differ by in it: at most 0.25 meets the bar. Factors with an error above
                         0.5, which the convnet does not see in pictures of this size, are left out
    drift_by_target      {target: that change}
    drift_by_name        {factor or attribute: its change, over the targets that leave it alone}
    drift_of_drawings    as `drift`, of the pictures drawn again with the target and all else as it was: as much as the
                         convnet's own error adds (of the first 100 at most)
    cycle                mean l1 distance of pictures in [-1, 1] to what came back of them: below 0.1 meets the bar
    passed               whether all bars are met
"""

import json
import random
from typing import NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm

import jgan
from jgan import fields
from jgan import trained
from jgan.data import objects
from jgan.data.objects import attributes
from jgan.nets import convnet
from jgan.programs import draws
import launch

WIDTHS = (24, 48, 96, 96, 96, 96)  # as many as leave 4 pixels
BATCH, AGAIN = 64, 100
REACHED, DRIFT, CYCLE = 0.85, 0.25, 0.1
SEEN = 0.5  # error of a factor up to which it is told


class Names(NamedTuple):
    """What is told of a picture.

    Attributes:
        attributes: of the run.
        exclusive: those of which exactly one is present.
        factors: those that all families have; a hue goes round.
    """

    attributes: tuple[str, ...]
    exclusive: tuple[str, ...]
    factors: tuple[str, ...]

    @property
    def all(self):
        """Names of what is compared: the factors, and the attributes that are no factors."""
        return self.factors + tuple(name for name in self.attributes if name not in self.factors)

    def left(self, target):
        """Which of `all` an attribute that is set leaves alone, bool."""
        moved = set(attributes.given(random.Random(0), target, 1.0)) | {target}
        moved |= set(self.exclusive if target in self.exclusive else ())
        return np.asarray([name not in moved for name in self.all])


class Reading(NamedTuple):
    """What is told of n pictures: `present` [n, attributes] bool, and `values` [n, names.all] in [0, 1]."""

    present: np.ndarray
    values: np.ndarray


def main():
    run = trained.load(WORKDIR.value)
    check(run, WORKDIR.value)
    data, seed = run.config.data, 2 * run.config.data.seed
    names = told(data)
    params = train(*drawn(of(data, DRAWN.value, seed)), names, steps=STEPS.value, seed=SEED.value)
    held_out = of(data, NUMBER.value, seed + 1)
    pictures, labels, factors = drawn(held_out)
    before = read(names, convnet.predict(params, pictures))
    truth = exactly(names, labels, factors)
    result = trust(names, before, truth) | {"number": len(pictures)}
    print(f"told right of held-out drawings: {json.dumps(result['accuracy'])}")
    seen = np.asarray([result["error"].get(name, 0.0) <= SEEN for name in names.all])
    if not all((names.left(name) & seen).any() for name in names.attributes):
        raise jgan.UserError(
            f"after {STEPS.value} steps on {DRAWN.value} drawings the convnet sees no factor that could drift: more "
            "--steps and --drawn would work."
        )
    outcomes, again = {}, {}
    made, cycles = translator(run), []
    for target, name, value, to in targets(run):
        output, back = made(pictures, to)
        cycles.append(float(np.abs(back - convnet.scaled(pictures)).mean()))
        outcomes[target] = (name, value, read(names, convnet.predict(params, output)))
        redrawn = drawn_again(held_out, min(NUMBER.value, AGAIN), name, value, pictures)
        again[target] = (name, value, read(names, convnet.predict(params, redrawn)))
    result |= report(names, before, outcomes, seen)
    of_drawings = report(names, Reading(*(x[:AGAIN] for x in before)), again, seen)
    result |= {"drift_of_drawings": of_drawings["drift"], "cycle": float(np.mean(cycles))}
    result["passed"] = bool(
        result["reached"] >= REACHED and result["drift"] <= DRIFT and result["cycle"] < CYCLE
    )
    for target, share in result["reached_by_target"].items():
        print(f"{target:>12} reached {share:6.1%}, drift {result['drift_by_target'][target]:.3f}")
    print(json.dumps(result))


def check(run, workdir):
    """Raises a jgan.UserError unless a run translates drawn objects to attributes and back."""
    way, data = run.way(), run.config.data
    to = way.controls.get("to")
    if data.source != "objects" or not isinstance(to, fields.Attributes) or "back" not in way.returns:
        raise jgan.UserError(
            f"{workdir} is a run of {run.config.system} that translates no drawn objects to attributes: one of stargan "
            "with data.source=objects and data.label=attributes would work."
        )


def told(data):
    """Returns the `Names` of the `data` part of a run's config."""
    first, *others = (objects.FACTORS[family] for family in tuple(data.families) or objects.FAMILIES)
    shared = tuple(name for name in first if all(name in factors for factors in others))
    return Names(tuple(data.names), tuple(data.exclusive), shared)


def of(data, number, seed):
    """Returns so many drawings as the `data` part of a run's config describes them."""
    families = tuple(data.families) or objects.FAMILIES
    return attributes.Attributed(data.size, number, seed, families, tuple(data.names), tuple(data.exclusive))


def drawn(source):
    """Returns pictures uint8 [n, size, size, 3], their attributes float32 [n, k] and a list of their factors."""
    count = tqdm.trange(len(source), desc="drawing", leave=False, disable=None)
    pictures = np.stack([source[i] for i in count])
    labels = np.asarray([source.attributes(i) for i in range(len(source))], np.float32)
    return pictures, labels, [source.factors(i) for i in range(len(source))]


def drawn_again(source, number, name, value, pictures):
    """Returns the first of a source's pictures as an attribute would make them: those that have it stay as they are."""
    found, place = [], source.names.index(name)
    for i in range(number):
        if source.attributes(i)[place] == value:
            found.append(pictures[i])
        else:
            changed = attributes.given(random.Random(f"{name} {value} {i}"), name, value)
            found.append(objects.draw(source.size, **source.factors(i) | changed))
    return np.stack(found)


def train(pictures, labels, factors, names, *, steps, seed=0, batch=BATCH):
    """Returns the parameters of a convnet that tells attributes and factors of pictures uint8 [n, size, size, 3]."""
    rng, wanted = np.random.default_rng(seed % 2**63), encoded(names, labels, factors)
    places = [name in names.exclusive for name in names.attributes]
    one, other = np.flatnonzero(places), np.flatnonzero(~np.asarray(places))
    k = len(places)

    def loss(params, images, wanted):
        output = convnet.apply(params, images)
        paid = 5 * jnp.abs(output[:, k:] - wanted[:, k:]).mean()
        paid += optax.sigmoid_binary_cross_entropy(output[:, other], wanted[:, other]).sum(-1).mean()
        return paid + optax.softmax_cross_entropy(output[:, one], wanted[:, one]).mean() if len(one) else paid

    def draw():
        chosen = rng.integers(len(labels), size=batch)
        return convnet.disturbed(convnet.scaled(pictures[chosen]), rng), wanted[chosen]

    size, count = pictures.shape[1], 1
    while count < len(WIDTHS) and -(-size // 2**count) > 4:
        count += 1
    params = convnet.init(rng, WIDTHS[:count], wanted.shape[1], places=(-(-size // 2**count)) ** 2)
    return convnet.fit(params, loss, draw, steps=steps)


def encoded(names, labels, factors):
    """Returns what the convnet should say, [n, outputs]: attributes, factors, and at the end the hue as a direction."""
    values = np.asarray([[one[name] for name in names.factors] for one in factors], np.float32)
    angle = 2 * np.pi * np.asarray([one["hue"] for one in factors], np.float32)
    return np.concatenate([labels, values, np.cos(angle)[:, None], np.sin(angle)[:, None]], 1)


def read(names, output):
    """Returns the `Reading` of what the convnet says, [n, outputs]."""
    k, m = len(names.attributes), len(names.factors)
    logits, values = output[:, :k], np.clip(output[:, k : k + m], 0, 1)
    values[:, names.factors.index("hue")] = np.arctan2(output[:, -1], output[:, -2]) / (2 * np.pi) % 1
    share, present = np.asarray(jax.nn.sigmoid(logits)).copy(), logits > 0
    one = [names.attributes.index(name) for name in names.exclusive]
    if one:
        share[:, one] = np.asarray(jax.nn.softmax(logits[:, one]))
        present[:, one] = share[:, one] == share[:, one].max(-1, keepdims=True)
    return _joined(names, present, values, share)


def exactly(names, labels, factors):
    """Returns the `Reading` of who knows: the attributes and factors of pictures as they were drawn."""
    values = np.asarray([[one[name] for name in names.factors] for one in factors], np.float32)
    return _joined(names, labels > 0.5, values, labels)


def differences(names, a, b):
    """Returns how far apart values [n, names.all] are, each by itself; a hue goes round."""
    apart, hue = np.abs(a - b), names.all.index("hue")
    apart[:, hue] = np.minimum(apart[:, hue], 1 - apart[:, hue])
    return apart


def at_random(names, values):
    """Returns what two random pictures differ by, on average over all pairs, [names.all]."""
    pairs = [differences(names, values, np.roll(values, k, 0)).mean(0) for k in range(1, len(values))]
    return np.mean(pairs, 0)


def trust(names, reading, truth):
    """Returns how much the readings are worth: see `accuracy` and `error` at the top of this file."""
    right = (reading.present == truth.present).mean(0)
    off = differences(names, reading.values, truth.values).mean(0) / at_random(names, truth.values)
    return {
        "accuracy": dict(zip(names.attributes, right.tolist(), strict=True)),
        "error": dict(zip(names.factors, off[: len(names.factors)].tolist(), strict=True)),
    }


def report(names, before, outcomes, seen=True):
    """Returns what became of pictures: see the top of this file.

    Args:
        names: what is told.
        before: the reading of the pictures.
        outcomes: {target: (attribute, 1.0 present or 0.0 absent, the reading of what was made of them)}.
        seen: which of `names.all` count in the drift, bool.
    """
    reached, others, drift, changes = {}, [], {}, []
    apart = np.maximum(at_random(names, before.values), 1e-6)
    for target, (name, value, after) in outcomes.items():
        place, wanted = names.attributes.index(name), value > 0.5
        there = after.present[:, place] == wanted
        reached[target] = float(there.mean())
        others.append(there[before.present[:, place] != wanted])
        left, change = (
            names.left(name) & seen,
            differences(names, before.values, after.values).mean(0) / apart,
        )
        drift[target] = float(change[left].mean())
        changes.append(np.where(left, change, np.nan))
    others, changes = np.concatenate(others), np.asarray(changes)
    by_name = {
        name: float(np.nanmean(column))
        for name, column in zip(names.all, changes.T, strict=True)
        if not np.isnan(column).all()
    }
    return {
        "reached": float(np.mean(list(reached.values()))),
        "reached_by_target": reached,
        "reached_from_others": float(others.mean()) if len(others) else None,
        "drift": float(np.mean(list(drift.values()))),
        "drift_by_target": drift,
        "drift_by_name": by_name,
    }


def targets(run):
    """Returns [(title, attribute, 1.0 present or 0.0 absent, the value of the control)] of all targets of a run."""
    to, found = run.way().controls["to"], []
    for name in to.names:
        found.append((name, name, 1.0, to.check({name: to.high})))
        if name not in to.exclusive:
            found.append((f"no {name}", name, 0.0, to.check({name: to.low})))
    return found


def translator(run):
    """Returns a function of pictures uint8 [n, h, w, 3] and a target: (uint8 what they become, float32 come back)."""
    way, statistics = run.way(), run.system.statistics(run.step)

    @jax.jit
    def both(weights, images, to):
        made = way.run(weights, {"images": images, "to": to}, statistics=statistics)
        return jnp.concatenate([made["output"], made["back"]], -1)

    def translate(pictures, to):
        made = draws.draw(lambda images: both(run.weights, images, to), pictures)
        output, back = np.split(made, 2, -1)
        return np.rint(np.clip(output, -1, 1) * 127.5 + 127.5).astype(np.uint8), back

    return translate


def _joined(names, present, values, share):
    further = [k for k, name in enumerate(names.attributes) if name not in names.factors]
    return Reading(present, np.concatenate([values, share[:, further]], 1))


if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", "", "Run of a StarGAN of drawn objects.")
    NUMBER = flags.DEFINE_integer("number", 500, "Held-out pictures to translate.", lower_bound=8)
    DRAWN = flags.DEFINE_integer("drawn", 5_000, "Drawn objects to learn from.", lower_bound=8)
    STEPS = flags.DEFINE_integer("steps", 1_000, "Training steps of 64 pictures.", lower_bound=1)
    SEED = flags.DEFINE_integer("seed", 0, "Of the convnet.")
    launch.run(main, required=("workdir",), runs=("workdir",))
