"""What StyleGAN2's nets in a file must have for ours to be equal to them: filters, activations and noise."""

import re

import numpy as np

import jgan
from jgan.weights import files
from jgan.weights import stylegan2_tables as schemes
from jgan.weights import stylegan2_trees as trees

_FILTERS = {  # names of filters, and how much more than 1 they add up to
    r"(.*\.)?resample_filter": 1.0,
    r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel": 4.0,
    r"convs\.\d+\.(conv2|skip)\.0\.kernel": 1.0,
}
_ACTIVATIONS = ("activation", "nonlinearity", "mapping_nonlinearity", "act")
_LINEAR = re.compile(r"(.*\.)?(affine|embed|out|skip)")


def filters(flat: trees.Flat) -> None:
    """Refuses filters other than [1, 3, 3, 1], because ours are built in."""
    for name, entry in flat.entries.items():
        gain = next((gain for pattern, gain in _FILTERS.items() if re.fullmatch(pattern, name)), None)
        if gain is None:
            continue
        values = entry.read() if entry.shape == (4, 4) and entry.is_float else np.zeros(0)
        expected = gain * schemes.FILTER
        if values.shape != (4, 4) or not np.allclose(values.astype(np.float32), expected, 1e-2, 1e-4):
            raise jgan.UserError(
                f"this StyleGAN2 resamples with another filter, {trees.shown(name)}, and jgan's is [1, 3, 3, 1]: a net "
                "that was trained with this one would work."
            )
    for asked in trees.asked(flat):
        for name in ("resample_filter", "resample_kernel"):
            taps = asked.get(name, [1, 3, 3, 1])
            if isinstance(taps, files.Entry):
                taps = taps.read().tolist() if taps.shape == (4,) else None
            if not isinstance(taps, list | tuple) or [trees.number(x) for x in taps] != [1, 3, 3, 1]:
                raise jgan.UserError(
                    f"this StyleGAN2 resamples with another filter ({name}), and jgan's is [1, 3, 3, 1]: a net that "
                    "was trained with this one would work."
                )


def layers(flat: trees.Flat) -> None:
    """Refuses activations other than leaky ReLUs, and layers without noise, as far as the file has them."""
    for path, state in flat.states.items():
        expected = "linear" if _LINEAR.fullmatch(path) else "lrelu"
        found = state.get("activation", expected)
        if found != expected:
            raise jgan.UserError(
                f"this StyleGAN2 has as activation {trees.shown(found)} in {trees.shown(path)}, and jgan's is "
                f"{expected}: a net that was trained with the usual activations would work."
            )
        if state.get("use_noise", True) in (False, 0):
            raise _no_noise()
    for asked in trees.asked(flat):
        for name in _ACTIVATIONS:
            if asked.get(name, "lrelu") != "lrelu":
                raise jgan.UserError(
                    f"this StyleGAN2 has as activation {trees.shown(asked[name])}, and jgan's is lrelu: a net that "
                    "was trained with the usual activations would work."
                )
        if asked.get("use_noise", True) in (False, 0):
            raise _no_noise()


def _no_noise() -> jgan.UserError:
    return jgan.UserError(
        "this StyleGAN2 has layers without noise, and jgan's have it: a net that was trained with use_noise=True "
        "would work."
    )
