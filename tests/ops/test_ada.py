"""ADA's pipeline against an independent transcription in NumPy, image by image, and what it draws how often.

The transcription mirrors as far as the authors do, inserts zeros, convolves whole rows and looks up four neighbours.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.ops import ada


def sym6():
    """The filter over its sum, from its published digits: Newton's steps to what they round.

    Its shifts by two are orthonormal, and six moments of its signs in turn vanish.
    """
    digits = (
        "0.010892349 0.002468306 -0.083431602 -0.034161560 0.347228944 0.556946397 0.238952175 -0.051362481 "
        "-0.014891874 0.031625278 0.001249961 -0.005515934"
    )
    f, n = np.array(digits.split(), np.float64), 12
    moments = np.array([(np.arange(n) - 5.5) ** j * (-1.0) ** np.arange(n) / 5.5**j for j in range(6)])
    for _ in range(4):
        shifted = np.array([np.pad(f, (2 * m, 0))[:n] for m in range(6)])
        error = np.concatenate([shifted @ f - [0.5, 0, 0, 0, 0, 0], moments @ f])
        slopes = shifted + np.array([np.pad(f, (0, 2 * m))[2 * m :] for m in range(6)])
        f = f - np.linalg.solve(np.concatenate([slopes, moments]), error)
    return f


KEY, SYM6 = jax.random.key(5), sym6()
ALL = ada.GROUPS


def images(n=4, height=24, width=24, channels=3):
    return np.random.default_rng(0).uniform(-1, 1, (n, height, width, channels))


@functools.cache
def drawn(groups, p=0.8, shape=(4, 24, 24, 3), seed=5):
    """Numbers of a batch in float64."""
    with jax.enable_x64(True):
        made = jax.jit(lambda key: ada.draw(key, shape, p, groups, jnp.float64))(jax.random.key(seed))
        return {name: np.array(x) for name, x in made.items()}


def ours(x, numbers):
    with jax.enable_x64(True):
        return np.array(jax.jit(ada.transform)(x, numbers))


def rotation(t):
    return np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])


def scaling(x, y):
    return np.diag([x, y, 1.0])


def moving(x, y):
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def matrices(d, w, h):
    """[n, 3, 3] from output to input pixels, both centred."""
    found = []
    for k in range(len(next(iter(d.values())))):
        g = np.eye(3)
        if "flip" in d:
            x, y = d["shift"][k]
            g = g @ scaling(1 - 2 * d["flip"][k], 1) @ rotation(np.pi / 2 * d["turns"][k])
            g = g @ moving(-np.round(x * w), -np.round(y * h))
        if "scale" in d:
            s, a, (x, y) = d["scale"][k], d["stretch"][k], d["move"][k]
            g = g @ scaling(1 / s, 1 / s) @ rotation(d["before"][k]) @ scaling(1 / a, a)
            g = g @ rotation(d["after"][k]) @ moving(-x * w, -y * h)
        found.append(g)
    return np.array(found)


def margins(g, w, h):
    """(left, above, right, below): as many mirrored pixels as the corners of a batch ask for, and 6."""
    x, y = (w - 1) / 2, (h - 1) / 2
    corners = np.array([[-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]]).T
    places = (g @ corners)[:, :2].transpose(1, 0, 2).reshape(2, -1)
    found = np.concatenate([-places, places]).max(1) + 6 - np.array([x, y, x, y])
    return [int(np.ceil(m)) for m in np.clip(found, 0, [w - 1, h - 1, w - 1, h - 1])]


def rows(x, axis, function):
    return np.apply_along_axis(function, axis, x)


def doubled(row):
    apart = np.zeros(2 * len(row))
    apart[::2] = row
    return np.convolve(np.pad(apart, (6, 5)), 2 * SYM6, "valid")


def halved(row):
    return np.convolve(row[1:-1], SYM6[::-1], "valid")[::2]


def looked_up(image, y, x):
    h, w, c = image.shape
    made = np.zeros((*y.shape, c))
    for dy in (0, 1):
        for dx in (0, 1):
            row, column = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            weight = (1 - np.abs(y - row)) * (1 - np.abs(x - column))
            there = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            made += (weight * there)[..., None] * image[np.clip(row, 0, h - 1), np.clip(column, 0, w - 1)]
    return made


def resampled(x, g, sides=None):
    h, w = x.shape[1:3]
    left, above, right, below = sides or margins(g, w, h)
    x = np.pad(x, ((0, 0), (above, below), (left, right), (0, 0)), mode="reflect")
    g = moving((left - right) / 2, (above - below) / 2) @ g
    x = rows(rows(x, 1, doubled), 2, doubled)
    g = moving(-0.5, -0.5) @ scaling(2, 2) @ g @ scaling(0.5, 0.5) @ moving(0.5, 0.5)
    down, across = 2 * (h + 6), 2 * (w + 6)
    v, u = np.meshgrid(np.arange(down) + 0.5 - down / 2, np.arange(across) + 0.5 - across / 2, indexing="ij")
    seen = []
    for image, m in zip(x, g, strict=True):
        at_x, at_y, _ = (m @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])).reshape(3, *u.shape)
        seen.append(looked_up(image, at_y + x.shape[1] / 2 - 0.5, at_x + x.shape[2] / 2 - 0.5))
    return rows(rows(np.array(seen), 1, halved), 2, halved)


def coloured(x, d):
    v = np.array([1, 1, 1, 0]) / math.sqrt(3)
    made = []
    for k, image in enumerate(x):
        c = np.eye(4)
        c[:3, 3] += d["brightness"][k]
        c = np.diag([*[d["contrast"][k]] * 3, 1]) @ c
        c = (np.eye(4) - 2 * np.outer(v, v) * d["invert"][k]) @ c
        cos, sin = np.cos(d["hue"][k]), np.sin(d["hue"][k])
        turn = np.eye(4)
        for column in range(3):  # Rodrigues
            e = np.eye(3)[column]
            turn[:3, column] = e * cos + np.cross(v[:3], e) * sin + v[:3] * v[column] * (1 - cos)
        c = turn @ c
        c = (np.outer(v, v) + (np.eye(4) - np.outer(v, v)) * d["saturation"][k]) @ c
        if image.shape[-1] == 1:
            row = c[:3].mean(0)
            made.append(image * row[:3].sum() + row[3])
        else:
            made.append(image @ c[:3, :3].T + c[:3, 3])
    return np.array(made)


def bank():
    low = np.array([-0.129409522551, 0.224143868042, 0.836516303738, 0.482962913145])
    high = low * [1, -1, 1, -1]
    low, high = np.convolve(low, low[::-1]) / 2, np.convolve(high, high[::-1]) / 2
    found = [np.array([1.0]), np.array([0.0]), np.array([0.0]), np.array([0.0])]
    for k in (1, 2, 3):
        for band, row in enumerate(found):
            apart = np.zeros(2 * len(row) - 1)
            apart[::2] = row
            found[band] = np.convolve(apart, low)
        middle = len(found[k]) // 2
        found[k][middle - 3 : middle + 4] += high
    return np.array(found)


def filtered(x, gains):
    made, power = [], np.array([10, 1, 1, 1]) / 13
    for image, four in zip(x, gains, strict=True):
        g = np.ones(4)
        for k, gain in enumerate(four):
            t = np.where(np.arange(4) == k, gain, 1)
            g = g * t / np.sqrt((power * t**2).sum())
        kernel = g @ bank()
        for axis in (0, 1):
            image = rows(
                image, axis, lambda row, k=kernel: np.convolve(np.pad(row, 21, mode="reflect"), k, "valid")
            )
        made.append(image)
    return np.array(made)


def theirs(x, d, sides=None):
    h, w = x.shape[1:3]
    if "flip" in d or "scale" in d:
        x = resampled(x, matrices(d, w, h), sides)
    if "brightness" in d:
        x = coloured(x, d)
    if "gains" in d:
        x = filtered(x, d["gains"])
    x = x + d.get("noise", 0)
    if "hole" in d:
        x = x.copy()
        for image, (cx, cy, side) in zip(x, d["hole"], strict=True):
            for i in range(h):
                for j in range(w):
                    if abs((j + 0.5) / w - cx) < side / 2 and abs((i + 0.5) / h - cy) < side / 2:
                        image[i, j] = 0
    return x


@pytest.mark.parametrize("groups", [*((group,) for group in ALL), ALL], ids="+".join)
def test_every_group_is_as_transcribed(groups):
    x, numbers = images(), drawn(groups)
    made = ours(x, numbers)
    np.testing.assert_allclose(made, theirs(x, numbers, (23,) * 4), rtol=0, atol=1e-9)
    assert np.abs(made - x).max() > 0.1


def test_sides_may_differ_and_one_channel_has_shades():
    for shape in ((3, 16, 28, 3), (3, 12, 9, 1)):
        x, groups = images(*shape), ("blit", "geom", "color", "filter")
        numbers, sides = drawn(groups, 0.9, shape), (shape[2] - 1, shape[1] - 1) * 2
        np.testing.assert_allclose(ours(x, numbers), theirs(x, numbers, sides), rtol=0, atol=1e-9)


def test_mirroring_as_far_as_can_be_is_mirroring_far_enough():
    """The authors' margin is that of the corners and 6 pixels; where an image is shrunk its filter reads further."""
    errors = []
    for seed in range(6):
        x, numbers = images(2), drawn(("geom",), 1.0, (2, 24, 24, 3), seed)
        errors.append(np.abs(theirs(x, numbers) - ours(x, numbers)).max())
    assert min(errors) < 1e-9 and max(errors) < 1e-5, errors


@functools.cache
def compiled(groups, penalty=False):
    """`(images, key, p) -> images`, p traced; or `(images, key, p, factor of D) -> (R1 through it, its slope)`."""

    def seen(x, key, p):
        return ada.transform(x, ada.draw(key, x.shape, p, groups, x.dtype))

    def slope(x, key, p, factor):
        def r1(factor):
            value, pull = jax.vjp(lambda x: seen(x, key, p), x)
            return jnp.sum(jnp.square(pull(factor * jnp.cos(factor * value))[0]))  # D is the sum of sines

        return jax.value_and_grad(r1)(factor)

    return jax.jit(slope if penalty else seen)


def test_r1_goes_through_all_of_it():
    """Its derivative with respect to D's weights is its difference."""
    x = images(2)
    with jax.enable_x64(True):
        at = lambda factor: [float(y) for y in compiled(ALL, True)(x, KEY, 0.9, factor)]  # noqa: E731
        (_, slope), (above, _), (below, _) = map(at, (1.0, 1 + 1e-5, 1 - 1e-5))
    difference = (above - below) / 2e-5
    assert abs(slope - difference) < 1e-7 * abs(slope) and abs(slope) > 1


def test_with_probability_0_images_pass_the_filters_alone():
    x = images().astype(np.float32)
    np.testing.assert_allclose(compiled(ALL)(x, KEY, 0.0), x, atol=1e-5)


def test_an_image_does_not_depend_on_its_neighbours():
    x = images().astype(np.float32)
    made, other = (compiled(ALL)(np.concatenate([x[:1], rest]), KEY, 1.0) for rest in (x[1:], 0 * x[1:]))
    np.testing.assert_allclose(made[0], other[0], atol=1e-6)
    same = compiled(ALL)(np.repeat(x[:1], 4, 0), KEY, 1.0)
    assert all(np.abs(same[0] - image).max() > 0.05 for image in same[1:])


N = 20_000


@functools.cache
def many(p):
    """Numbers of many images of one pixel."""
    draw = jax.jit(lambda key, p: ada.draw(key, (N, 1, 1, 1), p, ALL))
    return {name: np.array(x) for name, x in draw(jax.random.key(2), p).items()}


# (name, what it is where nothing happens, how often it happens to be that though it is drawn)
NEUTRAL = [
    ("flip", 0, 1 / 2),
    ("turns", 0, 1 / 4),
    ("shift", 0, 0),
    ("scale", 1, 0),
    ("stretch", 1, 0),
    ("move", 0, 0),
    ("brightness", 0, 0),
    ("contrast", 1, 0),
    ("invert", 0, 1 / 2),
    ("hue", 0, 0),
    ("saturation", 1, 0),
    ("noise", 0, 0),
]


@pytest.mark.parametrize("p", [0.3, 1.2])
@pytest.mark.parametrize("name, neutral, hidden", NEUTRAL, ids=[x[0] for x in NEUTRAL])
def test_a_transformation_happens_with_its_probability(name, neutral, hidden, p):
    """Above 1 always."""
    x = many(p)[name].reshape(N, -1)
    changed = np.any(x != neutral, 1).mean()
    share = min(p, 1) * (1 - hidden)
    assert abs(changed - share) <= 4 * math.sqrt(share * (1 - share) / N)


def test_one_rotation_at_least_happens_with_probability_p():
    d = many(0.3)
    either = ((d["before"] != 0) | (d["after"] != 0)).mean()
    assert abs(either - 0.3) < 4 * math.sqrt(0.21 / N)
    assert abs((d["before"] != 0).mean() - (1 - math.sqrt(0.7))) < 4 * math.sqrt(0.14 / N)
    assert np.all(many(1.2)["before"] != 0)


def test_strengths_are_the_published_ones():
    d = many(1.2)
    logs = {"scale": 0.2, "stretch": 0.2, "contrast": 0.5, "saturation": 1.0, "gains": 1.0}
    for name, x in {
        **{k: np.log2(d[k]) for k in logs},
        "brightness": d["brightness"],
        "move": d["move"],
    }.items():
        deviation = logs.get(name, {"brightness": 0.2, "move": 0.125}.get(name))
        assert abs(x.std() / deviation - 1) < 4 / math.sqrt(2 * N) and abs(
            x.mean()
        ) < 4 * deviation / math.sqrt(N)
    for name, most in {"before": math.pi, "after": math.pi, "hue": math.pi, "shift": 0.125}.items():
        assert 0.99 * most < np.abs(d[name]).max() <= most
        assert abs(np.abs(d[name]).mean() / most - 0.5) < 4 * 0.289 / math.sqrt(N)
    assert set(np.unique(d["turns"])) == {0, 1, 2, 3}
    # The product of two normal numbers, one of them the deviation.
    assert abs(d["noise"].std() / 0.1 - 1) < 4 * math.sqrt(2 / N)
    assert np.all(d["hole"][:, 2] == 0.5) and abs(d["hole"][:, :2].mean() - 0.5) < 4 * 0.289 / math.sqrt(N)


def test_colours_need_one_or_three_channels():
    with pytest.raises(jgan.UserError, match="1 or 3 channels, not 2: bg would work"):
        ada.transform(jnp.zeros((1, 8, 8, 2)), ada.draw(KEY, (1, 8, 8, 2), 1.0, ("color",)))
