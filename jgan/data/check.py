"""Finds bad examples before training starts, so that the pipeline meets none."""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import concurrent.futures
import os
import sys
import time
from typing import Any

import numpy as np
import tqdm

import jgan

Bad = list[tuple[str, str]]  # a file, and why it was left out: "PATH REASON" is a sentence


def scan(read: Callable[[int], Any], count: int, *, what: str = "images") -> tuple[list[Any], dict[int, str]]:
    """The results of `read(i)` for each i below count (None where it failed), and {i: sentence} of those that failed.

    Several threads read at the same time; when it takes long, progress is shown on stderr.
    """
    results, failed = [None] * count, {}
    pool = concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        futures = {pool.submit(read, index): index for index in range(count)}
        for future in _shown(concurrent.futures.as_completed(futures), count, f"checking {what}"):
            try:
                results[futures[future]] = future.result()
            except jgan.UserError as error:
                failed[futures[future]] = str(error)
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for the files still queued
    return results, failed


def usual(channels: Iterable[int]) -> int:
    """The most frequent of these numbers of channels; the largest of several such, and 0 if there are none."""
    counts = collections.Counter(channels)
    return max(counts, key=lambda count: (counts[count], count), default=0)


def odd_ones(channels: dict[int, int]) -> dict[int, str]:
    """The indices whose number of channels is not the most frequent one, each with a reason."""
    most = usual(channels.values())
    return {
        index: f"has {count} channel{'s' * (count != 1)} where most have {most}"
        for index, count in channels.items()
        if count != most
    }


def sentences(remarks: collections.Counter[str], total: int) -> list[str]:
    """A sentence for each remark, with the number of pictures that it is about and of all."""
    return [f"{count} of {total} pictures: {remark}" for remark, count in remarks.most_common()]


def report(remarks: collections.Counter[str], total: int, *others: str) -> None:
    """Prints a sentence for each remark, as `sentences` gives them, and then the others that are not empty."""
    for sentence in [*sentences(remarks, total), *filter(None, others)]:
        print(sentence)


def widest(dtypes: Iterable[Any]) -> np.dtype:
    """The type that holds the values of all these types, which are among uint8, uint16 and float32."""
    return max((np.dtype(dtype) for dtype in dtypes), key=lambda dtype: dtype.itemsize)


def refuse(bad: Bad, total: int) -> None:
    """Raises a `jgan.UserError` that names the bad files, the first five of many."""
    named = "; ".join(f"{path} {reason}" for path, reason in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    rest = "set data.skip_bad=true to go on without" if len(bad) < total else "nothing is left"
    raise jgan.UserError(f"{len(bad)} of {total} examples cannot be used, {rest}: {named}{more}")


def _shown(items: Iterable[Any], count: int, what: str) -> Iterator[Any]:
    """Yields the items and shows the progress: a bar after two seconds, or in a log a line every half minute."""
    if sys.stderr.isatty():
        yield from tqdm.tqdm(items, what, count, leave=False, delay=2)
        return
    started = shown = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - shown >= 30:
            shown, rate = now, number / (now - started)
            left = (count - number) / rate
            print(f"{what}: {number} of {count}, {rate:.0f}/s, {left:.0f} s left", file=sys.stderr)
