"""Signs of a run gone wrong, one sentence for each."""

import itertools

import numpy as np

from jgan.pictures import show

# Pictures of the first steps are alike whatever the run will become.
WARM_UP = 300


def of_log(records: list[dict]) -> list[str]:
    """One sentence for each sign in the records of metrics.jsonl, those of the newest pictures included; [] if none."""
    pictures = [record["warnings"] for record in records if isinstance(record.get("warnings"), list)]
    return [*filter(None, [_saturated(records)]), *(pictures[-1] if pictures else [])]


def of_pictures(
    rows: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]], *, paired: bool
) -> list[str]:
    """One sentence for each sign in pictures that were just drawn; [] if none.

    Args:
        rows: {way: (input, output, reference) of each example}, images of any type; a reference is what the output
            should equal where examples are `paired`, and any picture of its kind where they are not.
        paired: whether references belong to their inputs.
    """
    signs = []
    for way, examples in rows.items():
        images = [[show(image).astype(np.float32) for image in row] for row in examples]
        name = f" {way.replace('to', ' to ')}" if len(rows) > 1 else ""
        signs.append(_collapsed(images, name))
        if paired and len(rows) == 1:
            signs.append(_inverted(images))
    return [sentence for sentence in signs if sentence]


def _saturated(records: list[dict]) -> str | None:
    """The sentence on a discriminator that is always right, so that the generator learns nothing; None if it is not."""
    names = ("d_accuracy_real", "d_accuracy_fake", "d_loss")
    recent = [r for r in records if all(isinstance(r.get(n), (int, float)) for n in names)]
    recent = recent[-max(10, len(recent) // 5) :]
    if len(recent) < 10:
        return None
    real, fake, loss = (np.array([r[n] for r in recent]) for n in names)
    if real.mean() < 0.99 or fake.mean() < 0.99 or np.abs(loss).mean() > 0.05:
        return None
    return (
        f"The discriminator is saturated: since step {recent[0]['step']:,} it separates real from "
        f"generated images without error and its loss is {loss.mean():.3f}, so the generator learns little from it."
    )


def _collapsed(rows: list[list[np.ndarray]], name: str = "") -> str | None:
    """The sentence on outputs that differ between examples far less than the targets do; None where they do not."""
    if len(rows) < 2 or len({image.shape for row in rows for image in row}) > 1:
        return None
    inputs, outputs, targets = (
        np.mean([np.abs(a[k] - b[k]).mean() for a, b in itertools.combinations(rows, 2)]) for k in range(3)
    )
    if outputs > 0.1 * targets or inputs < 2 or targets < 2:  # of 255: only examples that differ count
        return None
    return (
        f"The generator{name} may have collapsed: its outputs are nearly the same for different inputs "
        f"(they differ by {outputs / 2.55:.1f} % of the range, the targets by {targets / 2.55:.1f} %)."
    )


def _inverted(rows: list[list[np.ndarray]]) -> str | None:
    """The sentence on outputs that are dark where the targets are light, in most examples; None where they are not."""
    values = [_correlation(row[1].mean(axis=-1), row[2].mean(axis=-1)) for row in rows]
    values = [value for value in values if value is not None]
    if not values or np.median(values) > -0.3:
        return None
    return (
        "The colours look inverted: outputs are dark where their targets are light "
        f"(median correlation {np.median(values):.2f})."
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """The correlation of two pictures of one size; None where one of them is plain."""
    if a.shape != b.shape or a.std() < 1 or b.std() < 1:
        return None
    return float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))
