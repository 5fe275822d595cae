"""What becomes of random edits of each brush, how much candidates differ, and what a step of an edit costs.

    python -m benchmarks.edits --workdir=RUN [--number=50] [--photos=20] [--colours=others|saturated]

Every edit begins at the picture of a random code, as if a projection had been fixed: candidates begin near and far
from it, and the best one is judged. Strokes are such as a person might draw:

    colour   a line on the object; its colour is what another sample has there (`others`, which is what the manifold can
             show), or a random saturated one (`saturated`), and differs by at least a quarter of the range from what is
             there
    sketch   a piece of the strongest outlines of another sample, one of the 16 of 512 that are most like this one,
             where this one has none
    warp     a square of a quarter to three eighths of the side, with an edge in it, moved by a sixteenth to an eighth

How much candidates differ is measured after colour strokes: those above; as many as `photos` on the projections of
drawn objects that no run saw; after as many fixes (the middle one of the shown candidates of an edit is fixed, and
another stroke is drawn on it), without the stroke before and with both, which may ask for what no object has; and of as
many new drawings, which begin at random codes. The distance of two pictures is the root of the mean squared difference
of D's features, each layer divided by its mean square.

The last line of the output is one JSON object; `benchmarks/edits_report.py` says what its figures are, and the bars.
"""

import json
import os
import statistics
import time
from typing import Any
from typing import NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from benchmarks import edits_report as report
from benchmarks import edits_strokes as strokes_lib
from jgan import trained
from jgan.data import framing
from jgan.data import objects
from jgan.latent import candidates as candidates_lib
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import projection
from jgan.latent import raster
from jgan.programs import project as project_lib
import launch

LANES = 64  # candidates of all edits that go on together
POOL = 512  # samples that lend colours and outlines
UNSEEN = 10_000  # added to the seed of drawn objects
PROPOSALS = {"colour": strokes_lib.colour, "sketch": strokes_lib.sketch, "warp": strokes_lib.warp}
WEIGHTS = constraints.Weights()  # those of an edit that names none


def main():
    load = os.getloadavg()[0]
    run = trained.load(WORKDIR.value, latent=True)
    result = measure(
        run,
        number=NUMBER.value,
        photos=PHOTOS.value,
        candidates=CANDIDATES.value,
        iterations=ITERATIONS.value,
        colours=COLOURS.value,
        seed=SEED.value,
    )
    if TURNS.value:
        result |= step_ratio(run, TURNS.value)
    print(json.dumps({**result, "colours": COLOURS.value, "step": run.step, "load_before": load}))


def measure(
    run,
    *,
    number=50,
    photos=20,
    candidates=16,
    iterations=100,
    colours="others",
    seed=0,
    pool=POOL,
    weights=WEIGHTS,
):
    """{bar: figure} of `number` edits of each brush and `photos` of each other kind of beginning."""
    begun = time.perf_counter()
    codes, images = samples(run, max(number + strokes_lib.NEAR + 1, pool), seed)
    rng = np.random.default_rng(seed)
    follow = follower(run, candidates, iterations, weights, seed)
    spread = report.spreads(run, images[-LANES:])
    result = {"number": number, "photos": photos}

    for brush, propose in PROPOSALS.items():
        more = [colours] if brush == "colour" else []
        proposals = [propose(rng, images, k, *more) for k in range(number)]
        drawn = [(stroke,) for stroke, _ in proposals]
        asked = ask(run, drawn, images)
        made = follow(codes[:number], asked, brush)
        donors = images[[donor for _, donor in proposals]]
        report.tell(result, brush, report.judge(brush, images[:number], made.images[:, 0], donors, asked))
        if brush == "colour":
            first = drawn, asked, made

    def spread_of(name, made, asked):
        shown = report.judge_shown(made, asked, spread)
        report.tell(result, name or "candidates", {k + name: v for k, v in shown.items()})

    def stroke_on(picture):
        return strokes_lib.colour(rng, np.concatenate([picture[None], images]), 0, colours)[0]

    drawn, asked, made = first
    spread_of("", made, asked)
    few = min(number, photos)
    if few:
        spread_of("_new", follow(None, asked[:few], "new"), asked)
        middle = made.mask.sum(1)[:few] // 2
        codes, pictures = pick((made.latents, made.images), (np.arange(few), middle))
        over = [stroke_on(picture) for picture in pictures]
        for name, strokes in (
            ("_fixed", [(x,) for x in over]),
            ("_both", [(*x, y) for x, y in zip(drawn, over, strict=False)]),
        ):
            asked = ask(run, strokes, pictures)
            spread_of(name, follow(codes, asked, name), asked)
        codes, pictures = photographs(run, photos, seed)
        asked = ask(run, [(stroke_on(picture),) for picture in pictures], pictures)
        spread_of("_photo", follow(codes, asked, "photo"), asked)
    return result | {"seconds": round(time.perf_counter() - begun, 1)}


def ask(run, drawn, pictures):
    """The constraints of strokes on pictures [n, h, w, c], one after the other."""
    size, name = pictures.shape[1:], space_name(run)
    documents = [document.Document(name, size[:2], strokes) for strokes in drawn]
    return jax.device_get(
        [raster.draw(d, size, picture) for d, picture in zip(documents, pictures, strict=False)]
    )


def samples(run, number, seed):
    """Codes [n, ...] of the prior and their images [n, h, w, c] as NumPy arrays."""

    @jax.jit
    def draw(weights, keys):
        space = run.space(weights)
        codes = jax.vmap(space.sample)(keys)
        return codes, jax.vmap(space.generate)(codes)

    keys = jax.random.split(jax.random.key(seed), -(-number // LANES) * LANES)
    parts = [jax.device_get(draw(run.weights, keys[k : k + LANES])) for k in range(0, len(keys), LANES)]
    codes, images = (np.concatenate([part[i] for part in parts])[:number] for i in range(2))
    return codes, images


def photographs(run, number, seed):
    """Codes [n, ...] of drawn objects that no run saw, projected as in the editor, and their images [n, h, w, c]."""
    size, channels = run.config.data.size, run.config.data.channels[0]
    drawn = objects.Objects(size, number, UNSEEN + seed)
    photos = [framing.fit(framing.with_channels(drawn[k], channels), size, "crop") for k in range(number)]
    projects = project_lib.projector(run, starts=4, settings=projection.Settings(evaluations=160))
    found = []
    for k in tqdm.trange(0, number, projects.batch, desc="projection", leave=False, disable=None):
        part = photos[k : k + projects.batch]
        pictures, masks = (np.stack([getattr(x, name) for x in part]) for name in ("image", "mask"))
        projections, made = projects(pictures, masks, range(k, k + len(part)))
        found.append((projections.latent, made))
    return jax.tree.map(lambda *x: np.concatenate(x), *found)


class Made(NamedTuple):
    """Candidates of n edits, best first: latents [n, k, ...], images [n, k, h, w, c], and which are shown [n, k]."""

    latents: Any
    images: np.ndarray
    mask: np.ndarray


def follower(run, candidates, iterations, weighed=WEIGHTS, seed=0):
    """`(codes [n, ...], constraints of each, title) -> Made` of n edits; codes None: of new drawings."""

    @jax.jit
    def begin(weights, codes, keys):
        space = run.space(weights)
        if codes is None:
            return jax.vmap(lambda key: candidates_lib.start(space, key, candidates))(keys)
        return jax.vmap(lambda code, key: candidates_lib.start_from(space, code, key, candidates))(
            codes, keys
        )

    @jax.jit
    def follow(weights, states, asked, keys):
        space = run.space(weights)

        def one(state, asked, key):
            state, _ = candidates_lib.trace(space, state, asked, weighed, iterations, key=key)
            shown = candidates_lib.select(state, candidates)
            return Made(*jax.tree.map(lambda x: x[shown.indices], (state.latents, state.images)), shown.mask)

        return jax.vmap(one)(states, asked, keys)

    def every(codes, asked, title):
        number, group, made = len(asked), max(1, LANES // candidates), []
        for first in tqdm.trange(0, number, group, desc=title, leave=False, disable=None):
            chosen = np.minimum(np.arange(first, first + group), number - 1)
            stacked = jax.tree.map(lambda *x: np.stack(x), *[asked[k] for k in chosen])
            keys = jax.vmap(jax.random.key)(jnp.asarray(1000 * seed + chosen, jnp.uint32))
            states = begin(run.weights, pick(codes, chosen), keys)
            part = jax.device_get(follow(run.weights, states, stacked, keys))
            made.append(pick(part, slice(number - first)))
        return jax.tree.map(lambda *x: np.concatenate(x), *made)

    return every


def pick(tree, index):
    """Parts of all arrays of a tree."""
    return jax.tree.map(lambda x: x[index], tree)


def space_name(run):
    return run.space().name


def step_ratio(run, turns, count=16):
    """Seconds of a step of an edit with strokes of all brushes, against a batched gradient of the generator."""
    codes, images = samples(run, count, 1)
    size, rng = images.shape[1], np.random.default_rng(0)
    strokes = tuple(
        propose[0]
        for propose in (strokes_lib.colour(rng, images, 0, "saturated"), strokes_lib.warp(rng, images, 0))
    )
    strokes += (document.Sketch(((size / 4, size / 4), (size / 2, size / 3)), 1.0),)
    drawn = document.Document(space_name(run), images.shape[1:3], strokes)
    asked = raster.draw(drawn, images.shape[1:], images[0])

    @jax.jit
    def begin(weights, code, key):
        return candidates_lib.start_from(run.space(weights), code, key, count)

    @jax.jit
    def step(weights, state, asked):
        return candidates_lib.steps(run.space(weights), state, asked, WEIGHTS, 1)

    @jax.jit
    def gradient(weights, u, target):
        space = run.space(weights)

        def error(u):
            return jnp.mean(jnp.square(space.generate(space.bound(u)) - target))

        return jax.vmap(jax.value_and_grad(error))(u)

    state = begin(run.weights, codes[0], jax.random.key(0))
    sides = {
        "step": lambda: step(run.weights, state, asked),
        "gradient": lambda: gradient(run.weights, state.u, images[0]),
    }
    for side in sides.values():
        jax.block_until_ready(side())
    begun = time.perf_counter()
    jax.block_until_ready(sides["gradient"]())
    repeats = max(1, round(0.5 / (time.perf_counter() - begun)))

    def timed(side):
        begun = time.perf_counter()
        for _ in range(repeats):
            jax.block_until_ready(side())
        return (time.perf_counter() - begun) / repeats

    seconds = {name: [] for name in sides}
    for turn in range(turns):
        for name in sorted(sides, reverse=turn % 2 == 1):
            seconds[name].append(timed(sides[name]))
    ratio = statistics.median(a / b for a, b in zip(seconds["step"], seconds["gradient"], strict=True))
    medians = {f"seconds_{name}": round(statistics.median(s), 5) for name, s in seconds.items()}
    return {"step_ratio": round(ratio, 3), **medians, "size": size}


if __name__ == "__main__":
    # Only here: flags are one namespace, and tests import several of these files.
    WORKDIR = flags.DEFINE_string("workdir", "", "A run with a latent space.")
    NUMBER = flags.DEFINE_integer("number", 50, "Edits of each brush.", lower_bound=1)
    PHOTOS = flags.DEFINE_integer("photos", 20, "Of each other kind of beginning; 0: none.", lower_bound=0)
    CANDIDATES = flags.DEFINE_integer("candidates", 16, "Of each edit.", lower_bound=1)
    ITERATIONS = flags.DEFINE_integer("iterations", 100, "Of each edit.", lower_bound=1)
    COLOURS = flags.DEFINE_enum("colours", "others", ["others", "saturated"], "Of the lines.")
    SEED = flags.DEFINE_integer("seed", 0, "Of codes and strokes.")
    TURNS = flags.DEFINE_integer("turns", 7, "Of the timing of a step; 0: none.", lower_bound=0)
    launch.run(main, required=("workdir",))
