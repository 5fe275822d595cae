"""The geometry of the trilinear form of convolution that `jgan.ops.conv` describes."""

from typing import NamedTuple


class Shape(NamedTuple):
    """Geometry of the trilinear form; each field but the last is a pair, for rows and columns."""

    big: tuple[int, ...]
    small: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]  # zeros before the big image; those after it follow from the sizes
    big_first: bool  # kernel is [kh, kw, big, small] channels rather than [kh, kw, small, big]

    def after(self) -> tuple[int, ...]:
        """The zeros behind the big image (or, negative, its rows that are not read), so that all taps fit."""
        return tuple(
            (m - 1) * s + k - b - p
            for b, m, k, s, p in zip(self.big, self.small, self.kernel, self.stride, self.pad, strict=True)
        )
