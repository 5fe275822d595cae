"""Labels as the numbers that nets see, and what a classifier of them pays: classes, attributes, sets of both."""

from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jgan
from jgan import fields

CLASSIFICATIONS = ("sigmoid", "softmax")


class Domains(NamedTuple):
    """Labels of k numbers: one for each class, or one for each attribute.

    Attributes:
        field: what a label is.
        count: k.
        groups: (the place of the first, the place behind the last, sigmoid or softmax) of numbers that are known
            together and classified together: all of them, or those of each data set.
        mask: the groups of which G sees whether they are known: as `groups`, or one for each attribute; () for none.
        binary: of each attribute, whether it is there or not, and nothing between.
    """

    field: fields.Label | fields.Attributes
    count: int
    groups: tuple[tuple[int, int, str], ...]
    mask: tuple[tuple[int, int], ...]
    binary: tuple[bool, ...]

    def vector(self, label: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
        """[n, k], NaN where it is unknown, of a batch's labels: classes [n] or attributes [n, k]."""
        if isinstance(self.field, fields.Label):
            return jax.nn.one_hot(label, self.count, dtype=dtype)
        return label.astype(dtype)

    def shown(self, vector: jax.Array) -> jax.Array:
        """What G sees of labels [n, k]: 0 in place of what is unknown, and the mask behind."""
        known = ~jnp.isnan(vector)
        parts = [jnp.where(known, vector, 0)]
        parts += [jnp.any(known[:, a:b], 1, keepdims=True).astype(vector.dtype) for a, b in self.mask]
        return jnp.concatenate(parts, 1) if self.mask else parts[0]

    def loss(self, logits: jax.Array, vector: jax.Array) -> jax.Array:
        """What a classifier pays for logits [n, k] of labels [n, k]: a mean over the batch.

        Cross-entropies of each known attribute by itself, summed, or of a whole group as one class; of a group that
        is not known, nothing.
        """
        known, total = ~jnp.isnan(vector), 0.0
        values = jnp.where(known, vector, 0)
        for a, b, kind in self.groups:
            x, y, there = logits[:, a:b], values[:, a:b], known[:, a:b]
            if kind == "softmax":
                paid = jnp.all(there, 1) * optax.softmax_cross_entropy(x, y)
            else:
                paid = jnp.sum(there * optax.sigmoid_binary_cross_entropy(x, y), 1)
            total += jnp.mean(paid)
        return total

    def named(self, logits: jax.Array) -> jax.Array:
        """The labels [n, k] that logits [n, k] say: one class of a group, or what an attribute most likely is.

        Of attributes that exclude each other at most one is there.
        """
        found = []
        for a, b, kind in self.groups:
            x = logits[:, a:b]
            if kind == "softmax":
                found.append(jax.nn.one_hot(jnp.argmax(x, 1), b - a, dtype=x.dtype))
            else:
                share = jax.nn.sigmoid(x)
                found.append(jnp.where(jnp.array(self.binary[a:b]), jnp.round(share), share))
        found = jnp.concatenate(found, 1)
        places = [k for k, x in enumerate(self.field.names) if x in getattr(self.field, "exclusive", ())]
        if places:
            places = jnp.array(places)
            likeliest = jnp.argmax(logits[:, places], 1, keepdims=True) == jnp.arange(len(places))
            found = found.at[:, places].multiply(likeliest)
        return found

    def asked(self, own: jax.Array, to: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """(the label to come back to, the label to go to): [n, k] each, of pictures with labels `own` [n, k].

        Args:
            own: known throughout.
            to: a class [n], or attributes [n, k] with NaN where a picture is to stay as it is; a single one is for
                all pictures, and None leaves everything open. Of several data sets those of which `to` says nothing
                stay unknown in both: so it was in training.
        """
        if to is None:
            return own, own
        vector = jnp.broadcast_to(self.vector(jnp.asarray(to), own.dtype), own.shape)
        said = ~jnp.isnan(vector)
        nothing, back, target = ~jnp.any(said, 1, keepdims=True), [], []
        for a, b, kind in self.groups:
            there = jnp.any(said[:, a:b], 1, keepdims=True)
            # Who sets one class takes the others away.
            rest = jnp.where(there, 0, own[:, a:b]) if kind == "softmax" else own[:, a:b]
            known = there | nothing | (len(self.groups) == 1)
            back.append(jnp.where(known, own[:, a:b], jnp.nan))
            target.append(jnp.where(known, jnp.where(said[:, a:b], vector[:, a:b], rest), jnp.nan))
        return jnp.concatenate(back, 1), jnp.concatenate(target, 1)


def domains(config: Any) -> Domains:
    """The labels of a config with `data`, `mask`, `sets`, `continuous` and `loss.classification`.

    Raises:
        jgan.UserError: there are too few names, or settings do not fit them.
    """
    field = _known(config)
    count, classes = len(field.names), isinstance(field, fields.Label)
    sets, kinds = tuple(config.sets), config.loss.classification
    whole = all(type(number) is int and number > 0 for number in sets)
    if sets and (classes or not config.mask or not whole or sum(sets) != count):
        raise jgan.UserError(
            f"sets={sets}: with mask=True and data.label='attributes' they are the numbers of attributes of each data "
            f"set, such as 5,8, and {count} together; () is one data set."
        )
    if config.mask and classes:
        raise jgan.UserError(
            "mask=True is for attributes that may be unknown: a class (data.label) never is."
        )
    ends = [sum(sets[:k]) for k in range(len(sets) + 1)] if sets else [0, count]
    spans = list(zip(ends[:-1], ends[1:], strict=True))
    kinds = [("softmax" if classes else "sigmoid")] if kinds == "auto" else kinds.split(",")
    kinds = kinds * len(spans) if len(kinds) == 1 else kinds
    if len(kinds) != len(spans) or not set(kinds) <= set(CLASSIFICATIONS):
        raise jgan.UserError(
            f"loss.classification={config.loss.classification!r}: auto, {' or '.join(CLASSIFICATIONS)} would work, or "
            f"one of these two for each of {len(spans)} data sets with commas between."
        )
    unknown = [name for name in config.continuous if name not in field.names]
    if unknown:
        raise jgan.UserError(f"continuous: {unknown[0]!r} is none of the names {', '.join(field.names)}.")
    single = [(k, k + 1) for k in range(count)]
    return Domains(
        field,
        count,
        tuple((a, b, kind) for (a, b), kind in zip(spans, kinds, strict=True)),
        tuple(spans if sets else single) if config.mask else (),
        tuple(name not in config.continuous for name in field.names),
    )


def classes(config: Any) -> fields.Label:
    """The classes of a config, for systems that take no attributes.

    Raises:
        jgan.UserError: there are fewer than two, or the labels are attributes.
    """
    if config.data.label != "class":
        raise jgan.UserError(
            f"data.label={config.data.label!r}: {config.system} draws pictures of one class; 'class' would work."
        )
    return _known(config)


def _known(config: Any) -> fields.Label | fields.Attributes:
    """The labels of a config; refused where there are too few of them."""
    field = fields.of(config.data)["label"]
    least, what = (2, "2 classes") if isinstance(field, fields.Label) else (1, "1 attribute")
    if len(field.names) < least:
        raise jgan.UserError(
            f"data.names={field.names}: {config.system} needs {what} or more, and a run learns the names from its data."
        )
    return field
