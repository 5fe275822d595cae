"""What is told of random edits: the figures of `benchmarks.edits`, and how they follow from pictures.

The bars: colour within 10 % of the range in at least 90 % of the edits, and outside at most a third of the change
inside; sketch: cost halved in at least 80 %; warp: better than before in at least 80 %; candidates: spread at least a
third, half of 16 shown, and the median shown one within 10 % as the best; a step at most 1.2 times a generator's.
The last line of the output is one JSON object:

    colour          share of edits whose mean absolute error under the mask, over pixels and channels, is at most 10 %
                    of the range from black to white
    colour_mean     the same for the mean colour under the mask, texture aside
    colour_outside  mean change outside the masks / inside, over all edits
    colour_best, colour_shown  as colour, by the best and by the median of the shown candidates of an edit
    spread          median distance of two shown candidates of an edit / of two samples; median over edits
    shown, shown_least  candidates shown: median over edits, and the fewest
    NAME_photo, NAME_fixed, NAME_both, NAME_new  the last five of photos, after a fix, and of new drawings
    sketch, sketch_ratio  share of edits whose edge cost was halved; median of the cost after / before
    sketch_donor    median of the cost of the sample that lent its outline / the cost before
    warp, warp_ratio      share of edits whose patch matches better; median of the error after / before
    step_ratio      seconds of a step for 16 candidates, realism off / of value and gradient of the mean squared error
                    of the generator's images to a target, 16 codes at once; medians of alternating turns
    seconds         of all edits, with compilation
    load_before     the machine's load; above 0.5 the times mean little
"""

import jax
import numpy as np

from jgan.latent import constraints


def tell(result, title, found):
    """Prints the figures of one kind of edits, and adds them to the result."""
    result.update({name: round(float(value), 4) for name, value in found.items()})
    print(f"{title}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()), flush=True)


def judge(brush, before, after, donors, asked):
    """{figure: value} of images [n, h, w, c] before and after edits of one brush, by their constraints."""
    change = np.abs(after - before).mean(-1)
    masks = np.stack([x.colour_mask for x in asked])
    if brush == "colour":
        wanted = np.stack([x.colour for x in asked])
        inside = masks.sum((1, 2))
        error = (np.abs(after - wanted).mean(-1) * masks).sum((1, 2)) / inside
        means = np.abs(((after - wanted) * masks[..., None]).sum((1, 2)) / inside[:, None]).mean(-1)
        within = ((change * masks).sum((1, 2)) / inside).mean()
        outside = ((change * (1 - masks)).sum((1, 2)) / (1 - masks).sum((1, 2))).mean()
        return {
            "colour": (error <= 0.2).mean(),  # of a range of 2
            "colour_mean": (means <= 0.2).mean(),
            "colour_outside": outside / max(within, 1e-9),
        }
    term = constraints.sketch if brush == "sketch" else constraints.colour
    costs = jax.jit(jax.vmap(term))
    stacked = jax.tree.map(lambda *x: np.stack(x), *asked)
    first, last = (np.maximum(costs(x, stacked), 1e-12) for x in (before, after))
    ratio = last / first
    if brush == "warp":
        return {"warp": (ratio < 1).mean(), "warp_ratio": np.median(ratio)}
    lent = np.median(costs(donors, stacked) / first)
    return {"sketch": (ratio <= 0.5).mean(), "sketch_ratio": np.median(ratio), "sketch_donor": lent}


def judge_shown(made, asked, spread):
    """{figure: value} of all candidates that are shown of edits by colour."""
    errors, bests, apart = [], [], []
    for images, mask, one in zip(made.images, made.mask, asked, strict=False):
        shown, area = images[mask], one.colour_mask
        error = (np.abs(shown - one.colour).mean(-1) * area).sum((1, 2)) / area.sum()
        errors.append(np.median(error))
        bests.append(error[0])
        apart.append(spread(shown))
    count = made.mask.sum(1)
    return {
        "colour_best": np.mean(np.array(bests) <= 0.2),
        "colour_shown": np.mean(np.array(errors) <= 0.2),
        "spread": np.median(apart),
        "shown": np.median(count),
        "shown_least": count.min(),
    }


def spreads(run, images):
    """`images [k, h, w, c] -> the median distance of two of them / of two samples`, samples being `images` [n, ...]."""

    @jax.jit
    def describe(weights, images):
        features = run.judge(weights, images)["features"] if run.judges else [images]
        return [x.reshape(len(x), -1) for x in features]

    def median(pictures):
        # Always as many at once, so that one program serves all.
        filled = np.concatenate([pictures, images[len(pictures) :]])
        features = [np.asarray(x)[: len(pictures)] for x in describe(run.weights, filled)]
        squares = sum(np.square(x[:, None] - x).mean(-1) / s for x, s in zip(features, scales, strict=True))
        first, second = np.triu_indices(len(pictures), 1)
        return np.median(np.sqrt(squares / len(scales))[first, second]) if len(pictures) > 1 else 0.0

    scales = [np.square(x).mean() for x in describe(run.weights, images)]
    prior = median(images)
    return lambda pictures: median(pictures) / prior
