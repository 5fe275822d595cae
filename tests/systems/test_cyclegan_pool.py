"""CycleGAN's pool of earlier fakes: the rule by which it fills and exchanges, and that its draws are fair."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.systems import cyclegan


@functools.partial(jax.jit, static_argnums=(0, 1))
def passed(size, count, key):
    """(pool, what came back) after images of the values 0, 1, ... have passed a new pool one by one."""
    values = jnp.arange(count, dtype=jnp.float32).reshape(count, 1, 1, 1)
    return cyclegan.draw(cyclegan.empty_pool(size, (1, 1, 1)), values, key)


def followed(size, count, key):
    """[(value, what came back, slot or None)] of the images after the pool was full, each checked by the rule."""
    pool, back = passed(size, count, key)
    back = np.asarray(back).ravel().astype(int)
    assert list(back[:size]) == list(range(size))  # it fills first, and returns what it gets
    held, story = list(range(size)), []
    for value in range(size, count):
        slot = None
        if back[value] != value:  # an earlier one: it must be there, and its slot is the new one's
            slot = held.index(back[value])
            held[slot] = value
        story.append((value, back[value], slot))
    # Nothing else was stored: what the rule says is there is all there is.
    np.testing.assert_array_equal(np.asarray(pool["images"]).ravel(), held)
    assert pool["count"] == size
    return story


@pytest.mark.parametrize("size", [1, 3])
def test_a_pool_fills_then_keeps_the_current_or_exchanges_it(size):
    story = followed(size, 400, jax.random.key(size))
    slots = {slot for _, _, slot in story}
    assert slots == {None, *range(size)}


def test_a_full_pool_exchanges_every_second_image_in_any_slot():
    story = followed(50, 8050, jax.random.key(2))
    slots = [slot for _, _, slot in story if slot is not None]
    # Five standard deviations of a fair coin.
    assert abs(len(slots) - len(story) / 2) < 5 * np.sqrt(len(story)) / 2
    # Chi-squared with 49 degrees of freedom: mean 49, variance 98.
    expected = len(slots) / 50
    chi_squared = np.sum((np.bincount(slots, minlength=50) - expected) ** 2) / expected
    assert 49 - 5 * np.sqrt(98) < chi_squared < 49 + 5 * np.sqrt(98)
    # Coin and slot do not follow from those before: as many repeats as chance has.
    swaps = np.array([slot is not None for _, _, slot in story])
    changes = np.count_nonzero(swaps[1:] != swaps[:-1])
    assert abs(changes - len(swaps) / 2) < 5 * np.sqrt(len(swaps)) / 2


def turns(key, size, count):
    """(exchange?, slot) as `draw` takes them from its key for each of `count` images."""

    def turn(key):
        swap, slot = jax.random.split(key)
        return jax.random.bernoulli(swap), jax.random.randint(slot, (), 0, size)

    return [np.asarray(x) for x in jax.vmap(turn)(jax.random.split(key, count))]


class Pool:
    """The authors' rule, word by word, for given draws."""

    def __init__(self, size):
        self.size, self.images = size, []

    def query(self, image, swap, slot):
        if self.size == 0:
            return image
        if len(self.images) < self.size:
            self.images.append(image)
            return image
        if swap:
            old, self.images[slot] = self.images[slot], image
            return old
        return image


def test_a_pool_is_the_authors_rule():
    """Batch after batch of different length, partly full and full, against Python fed the same draws."""
    size, rng, theirs = 7, np.random.default_rng(0), Pool(7)
    ours = cyclegan.empty_pool(size, (2, 3, 1))
    draw = jax.jit(cyclegan.draw)
    for k, n in enumerate([1, 4, 1, 4, 4, 1, 4, 1, 4, 4]):
        key = jax.random.key(k)
        images = rng.normal(size=(n, 2, 3, 1)).astype(np.float32)
        ours, back = draw(ours, images, key)
        expected = [theirs.query(x, *turn) for x, *turn in zip(images, *turns(key, size, n), strict=True)]
        np.testing.assert_array_equal(back, expected)
        assert ours["count"] == len(theirs.images)
        np.testing.assert_array_equal(ours["images"][: len(theirs.images)], theirs.images)
        assert not np.any(ours["images"][len(theirs.images) :])


def test_no_gradient_passes_a_pool():
    def seen(images):
        return jnp.sum(cyclegan.draw(cyclegan.empty_pool(2, (1, 1, 1)), images, jax.random.key(0))[1])

    assert not np.any(jax.grad(seen)(jnp.ones((1, 1, 1, 1))))
