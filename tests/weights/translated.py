"""From a file of the old translation tools to our weights and back, as the tests need it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from configs import pix2pix
from jgan.nets import discriminators
from jgan.nets import generators
from jgan.weights import files
from jgan.weights import tables
from jgan.weights import translation
from tests.weights.torch_translation import torch


def config_of(fields):
    config = pix2pix.get_config()
    config.update_from_flattened_dict(dict(fields))
    return config


def net_of(part, size):
    """Our net of what was recognised."""
    config = config_of(part.fields)
    if part.net == "generator":
        return generators.of(config.generator, part.facts["output channels"], 2**12, None)
    return discriminators.of(config.discriminator, min(size), config.discriminator.norm, None)


def shapes_of(part, size, dtype=np.float32):
    return _shapes(
        part.net,
        tuple(part.fields.items()),
        part.facts["input channels"],
        part.facts.get("output channels"),
        size,
        dtype,
    )


@functools.cache
def _shapes(net, fields, into, out, size, dtype):
    part = tables.Part("", net, "", {"output channels": out}, dict(fields), {}, {})
    found = jax.eval_shape(
        net_of(part, size).init, jax.random.key(0), jnp.zeros((1, *size, into), jnp.float32)
    )
    found = jax.tree.map(lambda x: np.empty(x.shape, dtype), found)
    return dict(zip(("params", "stats"), found, strict=True))


def filled(part, size, dtype=np.float32):
    return tables.fill("the file", part.entries, part.table, shapes_of(part, size, dtype), part.ignored)


def only(tree):
    (part,) = translation.recognise(tree)
    return part


def exported(part, weights):
    """The state dict that the old tool loads, by the config that was recognised."""
    config = config_of(part.fields)
    if part.net == "generator":
        table, constants = translation.generator_table(config.generator)
    else:
        table, constants = translation.discriminator_table(config.discriminator)
    arrays = tables.pour(weights, table) | constants
    return {name: torch.from_numpy(np.array(x)) for name, x in arrays.items()}


def entry(shape, dtype=np.float32):
    return files.Entry(shape, np.dtype(dtype), lambda: np.zeros(shape, dtype))
