"""Scores of sets: what a run makes, all together, beside the pictures that it should be distributed like.

Of a way from pictures both sets are of one split: what is made of its inputs, and its targets. Of a run that draws
from codes one set is drawn, and the other is the training split, as in the literature. What is made is rounded to 8
bits first, as in files.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import jax
import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan import sharding
from jgan import trained
from jgan.data import pipeline
from jgan.metrics import colour
from jgan.metrics import distances
from jgan.metrics import sets
from jgan.programs import classifier as classifier_lib
from jgan.programs import controls
from jgan.programs import describers
from jgan.programs import draws
from jgan.programs import evaluate
from jgan.programs import passes
from jgan.programs import sample
from jgan.systems import system as system_lib

NUMBER = 5_000  # pictures of each set
LEAST = 8  # pictures of a set, of which more than three have neighbours


class One(NamedTuple):
    """A picture of a set.

    Attributes:
        number: of the picture in its set.
        picture: [h, w, c] uint8.
        label: that was asked for; None where none was.
    """

    number: int
    picture: np.ndarray
    label: Any = None


def scores(
    run: trained.Run,
    name: str = "",
    *,
    describer: describers.Describer,
    classifier: classifier_lib.Classifier | None = None,
    number: int = NUMBER,
    data: str = "",
    split: str = "",
    size: int | None = None,
    seed: int = 0,
    share: tuple[int, int] = (0, 1),
    real: sets.Described | None = None,
    **options: Any,
) -> dict[str, Any]:
    """{score: number, "protocol": {score: how it was measured}} of a way of a run.

    Fréchet distance, kernel distance with its standard error, precision and recall under the names of the describer;
    "lab_intersection" ({"L", "a", "b"}) of pictures in colour; "label_agreement" where a class or attributes are asked
    for and the classifier has learnt them.

    Args:
        run: as `trained.load` gives it.
        name: of the way; the default one where it is empty.
        describer: whose features are compared.
        classifier: which names what is made.
        number: of pictures in each set, as far as the data have so many.
        data: another root folder.
        split: of the reference, and of the inputs of a way; by default that of validation, or of training where a run
            draws from codes.
        size: as in `evaluate.each_of`.
        seed: of codes and dropout.
        share: (k, n) of processes that share the pictures.
        real: what is made is compared with; by default the `reference` of this run.
        **options: `statistics`, `dropout` and `batch_size`, as in `evaluate.each_of`.

    Raises:
        jgan.UserError: data that cannot be used, a way without a target, or too few pictures.
    """
    way = with_target(run, name)
    if way.inputs:
        known = evaluate.arguments(
            run, name, data=data, split=split, size=size, seed=seed, required=False, **options
        )
        examples, made = known["examples"], _translated(known, number, share)
        split = split or run.config.data.val_split
    else:
        split = split or run.config.data.split
        examples = _examples(run, data, split, size)
        made = _drawn(run, examples, number, seed, share)
    agrees = classifier if classifier and classifier.names == _names(way) else None
    generated, counts = _described(made, describer, agrees)
    generated = _merged(generated)
    if real is None:
        real = _reference(examples, way.target, describer, number, share)
    counts = sharding.total(counts)
    for one, what in ((generated, "what was made"), (real, "the reference")):
        if one.moments.count < LEAST:
            raise jgan.UserError(
                f"scores of sets need {LEAST} pictures or more, and {what} has {one.moments.count}."
            )
    count, of = generated.moments.count, real.moments.count
    sizes = f"{count} made of codes beside {of} real pictures of the split {split}, 8 bits"
    if way.inputs:
        sizes = f"{count} made of the inputs of the split {split} beside its {of} targets, 8 bits"
    result, protocol = _distances(generated, real, describer, sizes)
    if not fields.of(run.config.data)[way.target].plain and generated.colours.any() and real.colours.any():
        result["lab_intersection"] = colour.intersection(generated.colours, real.colours)
        protocol["lab_intersection"] = (
            f"all pixels together, CIE Lab under D65, bins of one unit, the sum of smaller shares; {sizes}"
        )
    if agrees and counts["asked"]:
        result["label_agreement"] = float(counts["found"] / counts["asked"])
        result["classifier_accuracy"] = agrees.accuracy
        protocol["label_agreement"] = (
            f"the share of {int(counts['asked'])} pictures in which it finds what was asked for (of attributes a mean "
            f"over all), beside its accuracy on real ones; {agrees.described}"
        )
    return result | {"protocol": protocol}


def reference(
    run: trained.Run,
    name: str = "",
    *,
    describer: describers.Describer,
    number: int = NUMBER,
    data: str = "",
    split: str = "",
    size: int | None = None,
    share: tuple[int, int] = (0, 1),
) -> sets.Described:
    """What is known of the pictures that a way of a run is compared with; the arguments are those of `scores`.

    Raises:
        jgan.UserError: data that cannot be used, or a way without a target.
    """
    way = with_target(run, name)
    if way.inputs:
        examples = evaluate.arguments(run, name, data=data, split=split, size=size, required=False)[
            "examples"
        ]
    else:
        examples = _examples(run, data, split or run.config.data.split, size)
    return _reference(examples, way.target, describer, number, share)


def _reference(
    examples: pipeline.Whole, field: str, describer: describers.Describer, number: int, share: tuple[int, int]
) -> sets.Described:
    return _merged(_described(_real(examples, field, number, share), describer, None)[0])


def with_target(run: trained.Run, name: str) -> system_lib.Way:
    """The way of a run.

    Raises:
        jgan.UserError: it has no target.
    """
    way = run.way(name)
    if not way.target:
        raise jgan.UserError("scores of sets compare what is made with a target, and this way has none.")
    return way


def _distances(
    generated: sets.Described, real: sets.Described, describer: describers.Describer, sizes: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """The scores of features, and how they were measured."""
    names = describer.names
    by = f"{describer.protocol}; {sizes}"
    kept = (
        f" (the first {sets.KEPT} of each)"
        if max(generated.moments.count, real.moments.count) > sets.KEPT
        else ""
    )
    estimate = distances.kernel_blocks(generated.rows, real.rows)
    covered = distances.coverage(generated.rows, real.rows)
    few = min(generated.moments.count, real.moments.count) <= describer.width
    result = {
        names["frechet"]: sets.frechet(generated, real),
        names["kernel"]: estimate.value,
        names["error"]: estimate.error,
        names["precision"]: covered.precision,
        names["recall"]: covered.recall,
    }
    cubic = f"cubic kernel, unbiased, the mean of {estimate.blocks} blocks without common pictures{kept}"
    nearest = f"third nearest neighbours{kept}"
    protocol = {
        names["frechet"]: f"{by}; covariances over n - 1"
        + (f"; too few pictures for the {describer.width} numbers of a feature" if few else ""),
        names["kernel"]: f"{by}; {cubic}; {names['error']} is the standard error of that mean",
        names["precision"]: f"{by}; {nearest}",
        names["recall"]: f"{by}; {nearest}",
    }
    return result, protocol


def _merged(own: sets.Described) -> sets.Described:
    """What all processes know of a set."""
    first, *others = (sets.Described.load(part) for part in sharding.gathered(own.dump()))
    for other in others:
        first = first.merge(other)
    return first


def _described(
    ones: Iterable[One], describer: describers.Describer, agrees: classifier_lib.Classifier | None
) -> tuple[sets.Described, dict[str, float]]:
    """(what is known of a set, {"asked", "found"} of its labels)."""
    found, counts = sets.Described.empty(describer.width), {"asked": 0.0, "found": 0.0}
    fitted = ((one, describer.fitted(one.picture)) for one in ones)
    for group in passes.batches(fitted, lambda pair: pair[1].shape, describers.BATCH):
        shown = [one for one, _ in group]
        features = describer.describe([picture for _, picture in group])
        found = found.add([one.number for one in shown], features, [one.picture for one in shown])
        if agrees and shown[0].label is not None:
            seen = np.stack([agrees.fitted(one.picture) for one in shown])
            right = agrees.agreement(seen, np.stack([one.label for one in shown]))
            counts["asked"] += float(np.sum(~np.isnan(right)))
            counts["found"] += float(np.nansum(right))
    return found, counts


def _real(examples: pipeline.Whole, field: str, number: int, share: tuple[int, int]) -> Iterator[One]:
    """Yields the pictures of a split under the name of a field, those of this process."""
    for k in range(share[0], min(number, len(examples)), share[1]):
        example = examples[k]
        if field in example:
            yield One(k, sets.bytes_of(example[field]))


def _translated(known: dict[str, Any], number: int, share: tuple[int, int]) -> Iterator[One]:
    """Yields what a way makes of the examples of a split."""
    way, size = known["way"], known["batch_size"]
    examples = (known["examples"][k] for k in range(min(number, len(known["examples"]))))
    start = way.inputs[0]
    for first, group in passes.groups(way, examples, size, share):
        filled = group + [group[-1]] * (size - len(group))
        given = {name: np.stack([values[name] for _, values in filled]) for name in filled[0][1]}
        made = known["run"](np.stack([example[start] for example, _ in filled]), given)
        outputs = np.asarray(made[way.returns[0]])
        for k in range(len(group)):
            label = next((given[name][k] for name in _labelled(way) if name in given), None)
            yield One(first + k, sets.bytes_of(outputs[k]), label)


def _drawn(
    run: trained.Run, examples: pipeline.Whole, number: int, seed: int, share: tuple[int, int]
) -> Iterator[One]:
    """Yields draws, with the labels of the examples one after the other, so that no class is drawn more often."""
    way, made = run.way(), sample.generator(run)
    latents = draws.codes(run.space(), seed, number)
    conditions = controls.drawn(way, number, seed)
    label = next(iter(_labelled(way)), None)
    own = np.arange(share[0], number, share[1])
    for start in range(0, len(own), draws.BATCH):
        part = own[start : start + draws.BATCH]
        places = np.resize(part, draws.BATCH)
        given = {name: x[places] for name, x in conditions.items()}
        if label:
            asked = [examples[k % len(examples)]["label"] for k in places]
            given[label] = np.stack(asked).astype(given[label].dtype)
            if given[label].ndim > 1:  # what is not known of a picture is not asked for
                given[label] = np.where(np.isnan(given[label]), conditions[label][places], given[label])
        codes = jax.tree.map(lambda x, places=places: x[places], latents)
        images = np.asarray(made(run.weights, *sharding.over_devices((codes, given))))
        for place, k in enumerate(part):
            yield One(int(k), sets.bytes_of(images[place]), given[label][place] if label else None)


def _labelled(way: system_lib.Way) -> list[str]:
    """The controls of a way that are a class or attributes."""
    return [n for n, field in way.controls.items() if isinstance(field, (fields.Label, fields.Attributes))]


def _names(way: system_lib.Way) -> tuple[str, ...]:
    """The names of what can be asked for."""
    return next((tuple(way.controls[name].names) for name in _labelled(way)), ())


def _examples(run: trained.Run, data: str, split: str, size: int | None) -> pipeline.Whole:
    """The pictures that a run that draws from codes is compared with."""
    if size not in (None, run.config.data.size):
        raise jgan.UserError(f"--size={size}: the run draws {run.config.data.size} pixels a side.")
    config = ml_collections.ConfigDict(run.config.data.to_dict())
    if data:
        config.source, config.root = "folder", data
    return pipeline.evaluation(config, split)
