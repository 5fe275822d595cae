"""What is kept of a set of examples while it streams past: sums that can be merged, whoever has seen which part.

Each is a value: adding and merging give new ones, in whatever order, so that several processes that share a set
come to what one would. `dump` and `load` carry it between them, without a loss of digits.
"""

from collections.abc import Sequence
import io
from typing import NamedTuple

import numpy as np

from jgan.metrics import colour
from jgan.metrics import distances

KEPT = 10_000  # rows of features that are kept whole: those of the examples with the lowest numbers


class Moments(NamedTuple):
    """Mean and spread of rows, in float64.

    Attributes:
        count: of rows.
        mean: [d].
        scatter: [d, d], the sum of products of what rows differ from their mean by.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Moments":
        """Those of rows [n, d]."""
        rows = np.asarray(rows, np.float64)
        mean = rows.mean(0) if len(rows) else np.zeros(rows.shape[1])
        return cls(len(rows), mean, (rows - mean).T @ (rows - mean))

    def merge(self, other: "Moments") -> "Moments":
        """Those of the rows of both.

        Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983): sums of squares, whose
        difference leaves few digits, appear nowhere.
        """
        count = self.count + other.count
        if not self.count or not other.count:
            return other if not self.count else self
        apart, share = other.mean - self.mean, other.count / count
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.count * share)
        return Moments(count, self.mean + share * apart, scatter)

    @property
    def covariance(self) -> np.ndarray:
        """[d, d], divided by count - 1."""
        return self.scatter / (self.count - 1)


class Described(NamedTuple):
    """What is known of a set of pictures.

    Attributes:
        moments: of the features of all.
        numbers: [k] int64, those of the examples whose features are kept, ascending.
        rows: [k, d] float32, these features; at most `KEPT`.
        colours: [3, bins] int64, the histograms of `colour.histogram`; of pictures without colours 0.
    """

    moments: Moments
    numbers: np.ndarray
    rows: np.ndarray
    colours: np.ndarray

    @classmethod
    def empty(cls, width: int) -> "Described":
        """Of no pictures, with features of so many numbers."""
        rows = np.zeros((0, width), np.float32)
        return cls(Moments.of(rows), np.zeros(0, np.int64), rows, np.zeros(colour.SHAPE, np.int64))

    def add(
        self, numbers: Sequence[int], features: np.ndarray, pictures: Sequence[np.ndarray]
    ) -> "Described":
        """With further pictures.

        Args:
            numbers: [n] of the examples in the whole set, none of which is there twice.
            features: [n, d].
            pictures: n of [h, w, c] uint8; their colours are counted where c is 3.
        """
        colours = np.zeros(colour.SHAPE, np.int64)
        for picture in pictures:
            if picture.shape[-1] == 3:
                colours += colour.histogram(picture)
        rows = np.asarray(features, np.float32)
        return self.merge(Described(Moments.of(rows), np.asarray(numbers, np.int64), rows, colours))

    def merge(self, other: "Described") -> "Described":
        """Of the pictures of both."""
        numbers = np.concatenate([self.numbers, other.numbers])
        order = np.argsort(numbers, kind="stable")[:KEPT]
        return Described(
            self.moments.merge(other.moments),
            numbers[order],
            np.concatenate([self.rows, other.rows])[order],
            self.colours + other.colours,
        )

    def dump(self) -> bytes:
        """The set as `load` takes it."""
        file = io.BytesIO()
        count, mean, scatter = self.moments
        np.savez(
            file,
            count=count,
            mean=mean,
            scatter=scatter,
            numbers=self.numbers,
            rows=self.rows,
            colours=self.colours,
        )
        return file.getvalue()

    @classmethod
    def load(cls, data: bytes) -> "Described":
        """The set that `dump` gave."""
        with np.load(io.BytesIO(data)) as file:
            moments = Moments(int(file["count"]), file["mean"], file["scatter"])
            return cls(moments, file["numbers"], file["rows"], file["colours"])


def frechet(generated: Described, real: Described) -> float:
    """The Fréchet distance of two sets of at least two pictures each, of all of their features."""
    a, b = generated.moments, real.moments
    return distances.frechet(a.mean, a.covariance, b.mean, b.covariance)


def bytes_of(picture: np.ndarray) -> np.ndarray:
    """A picture of any type of the data, or floats in about [-1, 1], as uint8: clipped and rounded, as in a file."""
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype == np.uint16:
        return np.rint(picture / 257).astype(np.uint8)
    return np.rint((np.clip(picture.astype(np.float32), -1, 1) + 1) * 127.5).astype(np.uint8)
