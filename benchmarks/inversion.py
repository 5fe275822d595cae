"""How near a StyleGAN2's latent spaces come to drawn objects that it never saw, and what is made of two of them.

    python -m benchmarks.inversion --workdir=RUN [--number=64] [--parts=own,held_out,crossover,inpainting]

Pictures of the generator itself are projected into `w`, and held-out objects of the run's own data into `w`, `w_plus`
and `w_plus_noise`, each as `launch.project` does it without further flags. Then every object is crossed over with the
next one, the left half of the first beside the right half of the second, and of every object a square is taken away and
painted in again (`jgan.latent.embedding`). Values are compared as pictures show them, in [-1, 1]; the range is 2.
--page=FILE.png shows the first objects and all that became of them. The last line of the output is one JSON object:

    number           objects, and pictures of the generator
    own              median PSNR in dB of the generator's own pictures from w: above 30 meets the bar
    w, w_plus, w_plus_noise  the same of held-out objects
    w_plus_gain      w_plus - w: 3 or more meets the bar
    noise_gain       w_plus_noise - w_plus: 5 or more meets the bar
    NAME_known       median PSNR of the known part in a crossover or an inpainting, after the maps of noise: above 35
                     meets the bar. Of a crossover each half is known, but for the border that its mask blurs
    NAME_seam        mean absolute difference of neighbours on both sides of the mask's edge; median over pictures
    NAME_seam_paste  the same where the other object is pasted along the mask: NAME_seam below it meets the bar
    inpainting_hole  median PSNR of what was painted in, to what was there; it is one answer of several
    passed           {bar: whether it is met}
    seconds          of all parts, with compilation
"""

from collections.abc import Callable
from collections.abc import Iterator
import json
import time
from typing import Any
from typing import NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from benchmarks import directions
import jgan
from jgan import pictures
from jgan import trained
from jgan.data import images as image_files
from jgan.data import objects
from jgan.latent import embedding
from jgan.metrics import images as metrics
from jgan.nets import convnet
from jgan.programs import draws
from jgan.programs import project
import launch

PARTS = ("own", "held_out", "crossover", "inpainting")
# Of the side: top, bottom, left and right of what is taken away, which is a part of the object and of the background.
HOLE = (5 / 16, 11 / 16, 1 / 2, 7 / 8)
SHOWN = 16  # objects on the page
BARS = {
    "own": "own > 30",
    "w_plus_gain": "w_plus_gain >= 3",
    "noise_gain": "noise_gain >= 5",
    "crossover_known": "crossover_known > 35",
    "crossover_seam": "crossover_seam < crossover_seam_paste",
    "inpainting_known": "inpainting_known > 35",
    "inpainting_seam": "inpainting_seam < inpainting_seam_paste",
}


def main() -> None:
    run = trained.load(WORKDIR.value, latent=True)
    directions.check(run, WORKDIR.value)
    parts = tuple(PART.value)
    if not parts or set(parts) - set(PARTS):
        raise jgan.UserError(f"--parts={','.join(parts)}: some of {', '.join(PARTS)} would work.")
    begun = time.perf_counter()
    result, shown = measure(run, NUMBER.value, parts, batch=BATCH.value, seed=SEED.value)
    if PAGE.value:
        image_files.write(PAGE.value, page(shown))
    for name, bar in BARS.items():
        if name in result:
            print(f"{name:>17} {result[name]:7.3f} {'meets' if result['passed'][name] else 'misses'} {bar}")
    print(json.dumps(result | {"step": run.step, "seconds": round(time.perf_counter() - begun, 1)}))


class Searches(NamedTuple):
    """How pictures are searched for.

    Attributes:
        run: of a StyleGAN2.
        batch: pictures at once.
        seed: of the first picture's search; the next ones follow.
        evaluations: of each search; None: as many as `launch.project` makes.
        line: on which progress is shown, by one for every `batch`.
    """

    run: trained.Run
    batch: int
    seed: int
    evaluations: int | None
    line: tqdm.tqdm


def measure(
    run: trained.Run,
    number: int,
    parts: tuple[str, ...] = PARTS,
    *,
    batch: int = 16,
    seed: int = 0,
    evaluations: int | None = None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The figures of some of the `PARTS`, and the images [n, h, w, c] that are shown, by what they are.

    The other arguments are those of `Searches`.
    """
    data = run.config.data
    batch = min(batch, number)
    drawn = objects.Objects(data.size, number, 2 * data.seed + 1, tuple(data.families) or objects.FAMILIES)
    targets = convnet.scaled(np.stack([drawn[k] for k in range(number)]))
    result, shown = {"number": number}, {"target": targets}
    calls = sum({"held_out": 2}.get(part, 1) for part in parts) * -(-number // batch)
    with tqdm.tqdm(total=calls, desc="inversion", leave=False, disable=None) as line:
        searches = Searches(run, batch, seed, evaluations, line)
        if "own" in parts or "held_out" in parts:
            in_w = projection(searches, "w")
        if "own" in parts:
            own = generated(run, seed, number)
            result["own"] = median(psnr, in_w(own)[1], own)
        if "held_out" in parts:
            shown["w"] = in_w(targets)[1]
            shown |= rows_and_noise(searches, targets)
            result |= {name: median(psnr, shown[name], targets) for name in ("w", "w_plus", "w_plus_noise")}
            result["w_plus_gain"] = result["w_plus"] - result["w"]
            result["noise_gain"] = result["w_plus_noise"] - result["w_plus"]
        others = np.roll(targets, -1, 0)
        if "crossover" in parts:
            mask = half(data.size)
            shown["crossover"] = embedded(searches, cross, targets, others, mask)
            paste = pasted(targets, others, mask)
            result |= told("crossover", shown["crossover"], paste, paste, mask, outside_border(mask))
        if "inpainting" in parts:
            mask = outside_hole(data.size)
            shown["known"] = pasted(targets, np.full_like(targets, 0.5), mask)
            shown["inpainting"] = embedded(searches, fill, shown["known"], others, mask)
            paste = pasted(targets, others, mask)
            result |= told("inpainting", shown["inpainting"], targets, paste, mask, mask)
            result["inpainting_hole"] = median(psnr, shown["inpainting"], targets, 1 - mask)
    result["passed"] = {name: passes(bar, result) for name, bar in BARS.items() if name in result}
    return result, shown


# What is projected, and how.


def generated(run: trained.Run, seed: int, number: int) -> np.ndarray:
    """Images [n, h, w, c] of drawn styles, as a file of 8 bits holds them."""
    show = directions.shower(run.within("w"))
    return convnet.scaled(show(np.asarray(draws.codes(run.within("w").space(), seed, number))))


def projection(searches: Searches, space: str) -> Callable[[np.ndarray], tuple[Any, np.ndarray]]:
    """A function of images [n, h, w, c] to their latents and the images of these, by `launch.project`'s defaults."""
    run = searches.run.within(space)
    projects = project.projector(run, **chosen(run, searches.evaluations), batch=searches.batch)

    def every(images: np.ndarray) -> tuple[Any, np.ndarray]:
        found = []
        for part in chunks(len(images), searches.batch):
            masks = np.ones(images[part].shape[:3], np.float32)
            one, made = projects(images[part], masks, [searches.seed + int(k) for k in part])
            found.append((one.latent, made))
            searches.line.update()
        return jax.tree.map(lambda *x: np.concatenate(x), *found)

    return every


def rows_and_noise(searches: Searches, images: np.ndarray) -> dict[str, np.ndarray]:
    """The images of w_plus and of w_plus_noise, in one projection: the second has the styles of the first."""
    latents, made = projection(searches, "w_plus_noise")(images)
    run = searches.run.within("w_plus")
    generate = jax.jit(lambda weights, ws: jax.vmap(run.space(weights).generate)(ws))
    rows = draws.draw(lambda ws: generate(run.weights, ws), latents["w_plus"])
    return {"w_plus": rows, "w_plus_noise": made}


def chosen(run: trained.Run, evaluations: int | None) -> dict[str, Any]:
    """The method, starts and settings of `launch.project` in the run's space, with so many evaluations."""
    maps = evaluations if run.latent == "w_plus_noise" else None
    return project.choose(run, evaluations=evaluations, noise_evaluations=maps)


def chunks(number: int, batch: int) -> Iterator[np.ndarray]:
    """Places 0 to number - 1, `batch` or fewer at a time."""
    return (np.arange(k, min(k + batch, number)) for k in range(0, number, batch))


# What is made of photos.


def cross(
    space: Any, first: jax.Array, second: jax.Array, mask: jax.Array, *rest: Any, **features: Any
) -> Any:
    """The latent of a crossover."""
    return embedding.crossover(space, first, second, mask, *rest, **features)


def fill(space: Any, photo: jax.Array, _: jax.Array, known: jax.Array, *rest: Any, **features: Any) -> Any:
    """The latent of an inpainting, which sees no other photo."""
    return embedding.inpaint(space, photo, known, *rest, **features)


def embedded(
    searches: Searches, recipe: Callable[..., Any], photos: np.ndarray, others: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """The images [n, h, w, c] of what a recipe makes of photos and others along a mask [h, w]."""
    run = searches.run.within("w_plus_noise")
    settings = chosen(run, searches.evaluations)["settings"]

    @jax.jit
    def every(weights: Any, photos: jax.Array, others: jax.Array, seeds: jax.Array) -> jax.Array:
        space = run.space(weights)

        def describe(image: jax.Array) -> list[jax.Array]:
            return [x[0] for x in run.judge(weights, image[None])["features"]]

        def one(photo: jax.Array, other: jax.Array, seed: jax.Array) -> jax.Array:
            given = (photo, other, jnp.asarray(mask), jax.random.key(seed), settings)
            latent = recipe(space, *given, features=describe, weight=project.FEATURE_WEIGHT)
            return space.generate(latent)

        return jax.vmap(one)(photos, others, seeds)

    made = []
    for part in chunks(len(photos), searches.batch):
        filled = np.minimum(
            part[0] + np.arange(searches.batch), len(photos) - 1
        )  # one program for all chunks
        seeds = (searches.seed + filled).astype(np.uint32)
        made.append(np.asarray(every(run.weights, photos[filled], others[filled], seeds))[: len(part)])
        searches.line.update()
    return np.concatenate(made)


def half(size: int) -> np.ndarray:
    """The mask [h, w] of a crossover: 1 in the left half."""
    return np.tile((np.arange(size) < size // 2).astype(np.float32), (size, 1))


def outside_hole(size: int) -> np.ndarray:
    """The mask [h, w] of an inpainting: 0 in the square that is taken away."""
    top, bottom, left, right = (round(x * size) for x in HOLE)
    mask = np.ones((size, size), np.float32)
    mask[top:bottom, left:right] = 0
    return mask


def outside_border(mask: np.ndarray) -> np.ndarray:
    """1 where a mask [h, w] that is blurred for a crossover still is 0 or 1."""
    soft = np.asarray(embedding.blurred(jnp.asarray(mask)))
    return ((soft < 0.01) | (soft > 0.99)).astype(np.float32)


def pasted(images: np.ndarray, others: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Images [n, h, w, c] with the others where a mask [h, w] is 0."""
    return np.where(mask[..., None] > 0.5, images, others)


# What is told of it.


def told(
    name: str, made: np.ndarray, targets: np.ndarray, paste: np.ndarray, mask: np.ndarray, known: np.ndarray
) -> dict[str, float]:
    """The figures of what a recipe made of `targets`, which are to be met where `known` [h, w] is 1."""
    return {
        f"{name}_known": median(psnr, made, targets, known),
        f"{name}_seam": median(seam, made, mask),
        f"{name}_seam_paste": median(seam, paste, mask),
    }


def median(measure: Callable[..., float], images: np.ndarray, *others: np.ndarray) -> float:
    """The median of a measure over images [n, h, w, c]; arrays of four axes beside them are taken one by one."""
    values = [measure(image, *(x[k] if x.ndim == 4 else x for x in others)) for k, image in enumerate(images)]
    return float(np.median(values))


def psnr(image: np.ndarray, target: np.ndarray, known: np.ndarray | None = None) -> float:
    """PSNR in dB of an image [h, w, c] as it is shown, where `known` [h, w] is 1."""
    image = np.clip(image, -1, 1)
    if known is None:
        return metrics.psnr(image, target)
    return metrics.psnr(image[known > 0.5][None], target[known > 0.5][None])


def seam(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference, as shown, of neighbours in an image [h, w, c] of which one is under a mask [h, w]."""
    image, inside = np.clip(image, -1, 1), mask > 0.5
    across = np.abs(np.diff(image, axis=1))[inside[:, 1:] != inside[:, :-1]]
    along = np.abs(np.diff(image, axis=0))[inside[1:] != inside[:-1]]
    return float(np.concatenate([across, along]).mean())


def passes(bar: str, result: dict[str, Any]) -> bool:
    """Whether figures meet a bar such as `own > 30`, whose sides are numbers or names of figures."""
    name, sign, limit = bar.split()
    value, limit = result[name], result[limit] if limit in result else float(limit)
    return bool({">": value > limit, ">=": value >= limit, "<": value < limit}[sign])


def page(shown: dict[str, np.ndarray]) -> np.ndarray:
    """One picture, uint8 [h, w, 3], of the first objects, each in a row with what became of it."""
    return pictures.grid(
        [list(row) for row in zip(*(x[:SHOWN] for x in shown.values()), strict=True)], list(shown)
    )


if __name__ == "__main__":
    WORKDIR = flags.DEFINE_string("workdir", "", "Run of a StyleGAN2 of drawn objects.")
    NUMBER = flags.DEFINE_integer("number", 64, "Held-out objects.", lower_bound=2)
    PART = flags.DEFINE_list("parts", list(PARTS), "What to measure.")
    PAGE = flags.DEFINE_string("page", "", "PNG to write the pictures of the first 16 to.")
    BATCH = flags.DEFINE_integer("batch", 16, "Pictures that are searched for at once.", lower_bound=1)
    SEED = flags.DEFINE_integer("seed", 0, "Of the generator's own pictures and of the searches.")
    launch.run(main, required=("workdir",), runs=("workdir",))
