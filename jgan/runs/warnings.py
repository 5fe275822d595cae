"""Signs of a run gone wrong, one sentence for each."""

import itertools

import numpy as np

# Pictures of the first steps are alike whatever the run will become.
_WARM_UP = 300


def found(records: list[dict], rows: list[list[np.ndarray]]) -> list[str]:
    """One sentence for each sign of a run gone wrong; [] where all is well or too young to tell.

    Args:
      records: of metrics.jsonl.
      rows: the newest samples as `cells` gives them: input, output, target in a row, or an image, its translation
        and its reconstruction for both of two domains.
    """
    signs = [_saturated(records)]
    step = max((r["step"] for r in records), default=0)
    if step >= _WARM_UP and rows:
        pictures = [[np.asarray(image, np.float32) for image in row] for row in rows]
        if len(rows[0]) == 3:
            signs += [_collapsed(pictures), _inverted(pictures)]
        elif len(rows[0]) == 6:  # unpaired: the other domain's images stand for the targets
            for name, way in ((" A to B", (0, 1, 3)), (" B to A", (3, 4, 0))):
                signs.append(_collapsed([[row[k] for k in way] for row in pictures], name))
    return [sentence for sentence in signs if sentence]


def _saturated(records):
    """A discriminator that is always right gives the generator nothing to learn from."""
    names = ("d_accuracy_real", "d_accuracy_fake", "d_loss")
    recent = [r for r in records if all(isinstance(r.get(n), (int, float)) for n in names)]
    recent = recent[-max(10, len(recent) // 5) :]
    if len(recent) < 10:
        return None
    real, fake, loss = (np.array([r[n] for r in recent]) for n in names)
    if real.mean() < 0.99 or fake.mean() < 0.99 or np.abs(loss).mean() > 0.05:
        return None
    return (
        f"The discriminator is saturated: since step {recent[0]['step']:,} it tells real from generated "
        f"without error and its loss is {loss.mean():.3f}, so the generator learns little from it."
    )


def _collapsed(rows, name=""):
    """Outputs should differ between examples about as much as the targets do."""
    if len(rows) < 2 or len({image.shape for row in rows for image in row}) > 1:
        return None
    inputs, outputs, targets = (
        np.mean([np.abs(a[k] - b[k]).mean() for a, b in itertools.combinations(rows, 2)]) for k in range(3)
    )
    if outputs > 0.1 * targets or inputs < 2 or targets < 2:  # of 255: examples that do differ
        return None
    return (
        f"The generator{name} may have collapsed: its outputs are nearly the same for different inputs "
        f"(they differ by {outputs / 2.55:.1f} % of the range, the targets by {targets / 2.55:.1f} %)."
    )


def _inverted(rows):
    """Dark where the target is light, in most examples."""
    values = [_correlation(row[1].mean(axis=-1), row[2].mean(axis=-1)) for row in rows]
    values = [value for value in values if value is not None]
    if not values or np.median(values) > -0.3:
        return None
    return (
        "The colours look inverted: outputs are dark where their targets are light "
        f"(median correlation {np.median(values):.2f})."
    )


def _correlation(a, b):
    if a.shape != b.shape or a.std() < 1 or b.std() < 1:
        return None
    return float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))
