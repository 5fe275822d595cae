"""How well a direction that is learnt from the factors of drawn objects moves its factor, and nothing else.

    python -m benchmarks.directions --workdir=RUN [--learn=drawings|samples]

A small convnet learns the families and the factors that all of them have (`jgan.data.objects`) from real drawings in
the run's size. Then directions of the run's styles are learnt (`jgan.latent.boundary`), one for each factor and free of
the others and of the families: from styles onto which drawings are projected, whose factors are known exactly, or from
drawn styles whose factors the convnet tells. Random samples follow each direction in seven steps, from two standard
deviations before to two behind, and the convnet looks at them. All rows of styles but the coarse ones move, because the
factors that all families have are colours (Karras et al. 2019, section 3.1). A change is measured as a share of what
two random drawings differ by. The bar: of one factor at least, the mean grows with every step, and every other factor
changes by less than a quarter of what it does. The last line of the output is one JSON object:

    error        {factor: how far off the convnet tells it in held-out drawings}. Factors above 0.5, which it does not
                 see in pictures of this size, are left out below
    number       styles from which the directions are learnt
    rows         of styles that move
    projected    mean square of the difference between the drawings and their reconstructions, of --learn=drawings
    moved        {factor: its mean change along its direction}
    monotone     {factor: whether its mean grows with every step}
    others       {factor: {other: mean absolute change of another one, as a share of the mean absolute change of its
                 own}}
    worst        {factor: the largest of these}: below 0.25 meets the bar
    family_kept  {factor: share of the samples whose family at both ends is the same}
    passed       factors that meet the bar; [] where none does
"""

import json

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from benchmarks import attributes
import jgan
from jgan import trained
from jgan.data import objects
from jgan.latent import boundary
from jgan.latent import projection
from jgan.latent import styles
from jgan.nets import convnet
from jgan.programs import draws
from jgan.programs import project
import launch

SEEN, SHARE, REACH, STEPS = 0.5, 0.25, 2.0, 7


def main():
    run = trained.load(WORKDIR.value, latent=True)
    check(run, WORKDIR.value)
    data, plus = run.config.data, run.within("w_plus")
    space = plus.space()
    rows = moving(styles.count(space))
    families = tuple(data.families) or objects.FAMILIES
    names = told(families)
    learning, held_out = (objects.Objects(data.size, n, 2 * data.seed + k, families) for n, k in of())
    pictures, labels, factors = drawn(learning)
    params = attributes.train(pictures, labels, factors, names, steps=TRAINING.value, seed=SEED.value)
    truth = attributes.exactly(names, *drawn(held_out)[1:])
    seen_as = attributes.read(names, convnet.predict(params, drawn(held_out)[0]))
    result = {"error": attributes.trust(names, seen_as, truth)["error"], "number": NUMBER.value}
    result["rows"] = list(map(int, rows))
    moved = [name for name in names.factors if result["error"][name] <= SEEN]
    print(f"the convnet's errors: {json.dumps(result['error'])}")
    show = shower(plus)
    if LEARN.value == "drawings":
        latents, result["projected"] = projected(run.within("w"), pictures[: NUMBER.value])
        known = attributes.encoded(names, labels, factors)[: NUMBER.value]
    else:
        samples = np.asarray(draws.codes(space, SEED.value, NUMBER.value))  # all rows of each are the same
        known, latents = convnet.predict(params, show(samples)), samples[:, 0]
    learnt = directions(names, latents, known, moved)
    found = {name: styles.lift(space, vector, rows) for name, vector in learnt.items()}
    apart = attributes.at_random(names, truth.values)
    begin = np.asarray(draws.codes(space, SEED.value + 1, SAMPLES.value))
    seen = {
        name: readings(names, params, show, begin, vector)
        for name, vector in tqdm.tqdm(found.items(), desc="moving", leave=False, disable=None)
    }
    result |= report(names, seen, apart, moved)
    for name in found:
        print(
            f"{name:>12} moves by {result['moved'][name]:.3f}, the others by {result['worst'][name]:.3f} of it"
        )
    print(json.dumps(result))


def check(run, workdir):
    """Raises a jgan.UserError unless a run has styles and was trained on drawn objects."""
    if "w" not in run.system.spaces or run.config.data.source != "objects":
        raise jgan.UserError(
            f"{workdir} is a run of {run.config.system} without styles of drawn objects: one of stylegan2 with "
            "data.source=objects would work."
        )


def moving(number):
    """Returns the rows that --rows names of so many; where it names none, those behind the coarse ones."""
    first = styles.GROUPS["middle"][0]
    return styles.choose(ROWS.value or (f"{first}-{number - 1}" if first < number else ""), number)


def of():
    """Returns ((how many drawings to learn from, 0), (how many to try the convnet on, 1))."""
    return (max(DRAWN.value, NUMBER.value), 0), (HELD_OUT.value, 1)


def told(families):
    """Returns the `attributes.Names` of families, which exclude each other, and of the factors that all have."""
    first, *others = (objects.FACTORS[family] for family in families)
    shared = tuple(name for name in first if all(name in factors for factors in others))
    return attributes.Names(tuple(families), tuple(families), shared)


def drawn(source):
    """Returns pictures uint8 [n, size, size, 3], families float32 [n, k] and a list of factors."""
    count = tqdm.trange(len(source), desc="drawing", leave=False, disable=None)
    pictures = np.stack([source[i] for i in count])
    factors = [source.factors(i) for i in range(len(source))]
    labels = np.asarray([[one["family"] == name for name in source.families] for one in factors], np.float32)
    return pictures, labels, factors


def projected(run, pictures):
    """Returns (the styles [n, w_dim] of pictures, the mean square of what their images differ by)."""
    settings = projection.Settings(evaluations=EVALUATIONS.value)
    projects = project.projector(run, settings=settings, feature_weight=0.0, batch=BATCH.value)
    latents, apart = [], []
    for k in tqdm.trange(0, len(pictures), BATCH.value, desc="projecting", leave=False, disable=None):
        part = convnet.scaled(pictures[k : k + BATCH.value])
        one, made = projects(part, np.ones(part.shape[:3], np.float32), range(k, k + len(part)))
        latents.append(np.asarray(one.latent))
        apart.append(np.square(made - part).mean((1, 2, 3)))
    return np.concatenate(latents), float(np.concatenate(apart).mean())


def shower(run):
    """Returns a function of latents [n, ...], which is compiled once, to their images uint8 [n, size, size, 3]."""
    made = jax.jit(lambda weights, z: jax.vmap(run.space(weights).generate)(z))

    def show(latents):
        images = draws.draw(lambda z: made(run.weights, z), latents)
        return np.rint(np.clip(images, -1, 1) * 127.5 + 127.5).astype(np.uint8)

    return show


def directions(names, latents, known, moved):
    """Returns {factor: direction [d] free of the other factors and of the families}; not of the hue, a circle.

    `known` [n, outputs] are what `attributes.encoded` gives: families, factors, and the hue as a direction.
    """
    k, m = len(names.attributes), len(names.factors)
    columns = {
        name: known[:, k + i] for i, name in enumerate(names.factors) if name in moved and name != "hue"
    }
    columns |= {"cosine": known[:, k + m], "sine": known[:, k + m + 1]}
    columns |= {f"family {k}": known[:, k] for k in range(len(names.attributes))}
    find = jax.jit(boundary.normal)
    normals = {name: find(jnp.asarray(latents), jnp.asarray(column)) for name, column in columns.items()}
    return {
        name: boundary.conditional(normal, jnp.stack([x for other, x in normals.items() if other != name]))
        for name, normal in normals.items()
        if name in moved
    }


def readings(names, params, show, begin, vector):
    """Returns the `attributes.Reading` of each of the steps along a direction."""
    steps = np.linspace(-REACH, REACH, STEPS, dtype=np.float32)
    return [
        attributes.read(names, convnet.predict(params, show(begin + step * np.asarray(vector))))
        for step in steps
    ]


def report(names, seen, apart, moved):
    """Returns what is told of directions: see the top of this file.

    Args:
        names: what is told of pictures.
        seen: {factor: the readings of the steps along its direction}.
        apart: [names.all], what two random drawings differ by.
        moved: factors that count.
    """
    result = {name: {} for name in ("moved", "monotone", "others", "worst", "family_kept")}
    for name, steps in seen.items():
        place = names.all.index(name)
        means = [step.values[:, place].mean() for step in steps]
        change = attributes.differences(names, steps[-1].values, steps[0].values).mean(0) / apart
        result["moved"][name] = float((means[-1] - means[0]) / apart[place])
        result["monotone"][name] = bool(np.all(np.diff(means) > 0))
        result["others"][name] = {
            other: float(change[names.all.index(other)] / max(change[place], 1e-6))
            for other in moved
            if other != name
        }
        result["worst"][name] = max(result["others"][name].values(), default=0.0)
        kept = (steps[-1].present == steps[0].present).all(1)
        result["family_kept"][name] = float(kept.mean())
    result["passed"] = [x for x in seen if result["monotone"][x] and result["worst"][x] < SHARE]
    return result


if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", "", "Run of a StyleGAN2 of drawn objects.")
    LEARN = flags.DEFINE_enum(
        "learn", "drawings", ["drawings", "samples"], "Styles of which the factors are known."
    )
    ROWS = flags.DEFINE_string(
        "rows", "", "Rows of styles that move, such as 4-9 or fine; empty: all but coarse."
    )
    NUMBER = flags.DEFINE_integer("number", 256, "Styles to learn directions from.", lower_bound=8)
    EVALUATIONS = flags.DEFINE_integer("evaluations", 100, "Of each projection.", lower_bound=1)
    BATCH = flags.DEFINE_integer("batch", 32, "Drawings that are projected at once.", lower_bound=1)
    SAMPLES = flags.DEFINE_integer("samples", 128, "Samples that follow each direction.", lower_bound=8)
    DRAWN = flags.DEFINE_integer("drawn", 5_000, "Drawings that the convnet learns from.", lower_bound=8)
    HELD_OUT = flags.DEFINE_integer("held_out", 500, "Drawings that it is tried on.", lower_bound=8)
    TRAINING = flags.DEFINE_integer("steps", 1_000, "Its training steps of 64 pictures.", lower_bound=1)
    SEED = flags.DEFINE_integer("seed", 0, "Of the convnet and of the samples.")
    launch.run(main, required=("workdir",), runs=("workdir",))
