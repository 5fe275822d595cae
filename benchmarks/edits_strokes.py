"""Random strokes on pictures: a line of colour, a piece of an outline, a square that is moved.

`benchmarks.edits` says what they ask for. Each function returns (stroke, number of the sample that lent something to
it).
"""

import colorsys

import numpy as np

import jgan
from jgan.latent import document

NEAR = 16  # samples most alike, which lend outlines
DIFFERS = 0.25  # of the range, by which a new colour differs from the old
STRONG = 0.4  # contrast of an outline, of the range
TRIES = 200


def colour(rng, images, k, colours):
    """A line on the object of image k, an eighth to a quarter of the side long."""
    size, inside = images.shape[1], on_object(images[k])
    places = np.argwhere(inside)
    best = None
    for _ in range(TRIES):
        y, x = places[rng.integers(len(places))] + 0.5
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(size / 8, size / 4)
        line = [(x, y), (x + length * np.cos(angle), y + length * np.sin(angle))]
        way = np.linspace(*np.array(line), 8)
        if way.min() < 0 or way.max() >= size or not all(inside[int(v), int(u)] for u, v in way):
            continue
        rows, columns = way.astype(int).T[::-1]
        donor = int(rng.integers(len(images)))
        if colours == "others":
            wanted = np.median(images[donor][rows, columns], 0)
            lent = on_object(images[donor])[rows, columns].all()
        else:
            wanted, lent = saturated(rng)[: images.shape[-1]], True
        differs = np.abs(wanted - np.median(images[k][rows, columns], 0)).max() / 2
        rgb = np.broadcast_to((wanted + 1) * 127.5, 3).clip(0, 255)
        stroke = document.Colour(
            tuple(map(tuple, np.asarray(line).tolist())), max(1.0, size / 16), tuple(rgb.tolist())
        )
        if lent and differs >= DIFFERS:
            return stroke, donor
        if lent or best is None:
            best = stroke, donor
    if best is None:
        raise jgan.UserError(f"sample {k} shows no object on which a line would fit: is the run trained?")
    return best


def sketch(rng, images, k):
    """A piece of the outlines of a sample like image k, where it has none itself."""
    size = images.shape[1]
    distance = np.square(images - images[k]).mean((1, 2, 3))
    near = np.argsort(distance)[1 : NEAR + 1]
    own = slope(images[k])
    blurred = np.max([np.roll(own, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3)], 0)
    best, fewest = None, np.inf
    for _ in range(TRIES):
        donor = int(rng.choice(near))
        line = outline(rng, slope(images[donor]), size // 3)
        if len(line) < size // 8:
            continue
        # The share of it that lies beside edges which are there already.
        known = np.mean([blurred[y, x] > STRONG / 2 for y, x in line])
        if known < fewest:
            points = tuple((x + 0.5, y + 0.5) for y, x in line)
            best, fewest = (document.Sketch(points, max(1.0, size / 64)), donor), known
        if known < 0.25:
            break
    if best is None:
        raise jgan.UserError(f"no sample like sample {k} has an outline: is the run trained?")
    return best


def warp(rng, images, k):
    """A square with an edge in it, and how it is moved."""
    size, edges = images.shape[1], slope(images[k])
    strongest = None
    for _ in range(TRIES):
        side = rng.uniform(size / 4, 3 * size / 8)
        source = rng.uniform(side / 2, size - side / 2, 2)
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(size / 16, size / 8)
        target = source + length * np.array([np.cos(angle), np.sin(angle)])
        if target.min() < side / 2 or target.max() > size - side / 2:
            continue
        left, top = (source - side / 2).astype(int)
        # As many pixels on edges as two lines across it have.
        strength = (edges[top : top + int(side), left : left + int(side)] > STRONG / 2).sum() / (2 * side)
        stroke = document.Warp(tuple(source.tolist()), tuple(target.tolist()), float(side)), k
        if strength >= 1:
            return stroke
        if strongest is None or strength > strongest[0]:
            strongest = strength, stroke
    return strongest[1]


def on_object(image):
    """Where an image [h, w, c] differs from the median colour of its border, or everywhere if that is nowhere."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    mask = np.abs(image - np.median(border, 0)).max(-1) > 0.3
    return mask if mask.mean() > 0.05 else np.ones_like(mask)


def slope(image):
    """The length [h, w] of the gradient of the grey image in [0, 1]; a step of 1 has 1."""
    grey = np.pad((image.mean(-1) + 1) / 2, 1, mode="edge")
    return np.hypot(grey[2:, 1:-1] - grey[:-2, 1:-1], grey[1:-1, 2:] - grey[1:-1, :-2])


def outline(rng, strength, longest):
    """A chain of pixels (y, x) along the ridge of strong edges, from a random one of them on."""
    # Of pictures of little contrast the strongest edges.
    places = {tuple(p) for p in np.argwhere(strength >= min(STRONG, np.quantile(strength, 0.97))).tolist()}
    here = sorted(places)[rng.integers(len(places))]
    line = [here]
    while len(line) < longest:
        y, x = here
        # Pixels beside the chain are used up: it does not turn back along the other side of the ridge.
        steps = [
            (y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (y + i, x + j) in places and (i or j)
        ]
        places -= {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
        if not steps:
            break
        # Straight on, if it is as strong there.
        before = line[-2] if len(line) > 1 else here
        ahead = (y - before[0], x - before[1])
        here = max(steps, key=lambda s: strength[s] + 0.2 * ((s[0] - y) * ahead[0] + (s[1] - x) * ahead[1]))
        line.append(here)
    return line


def saturated(rng):
    """A random colour of full saturation and of any hue, in [-1, 1]."""
    return 2 * np.array(colorsys.hsv_to_rgb(rng.uniform(), 1, 1)) - 1
