"""Finds bad examples before training starts, so that none is met inside the pipeline."""

import collections
import concurrent.futures
import os
import sys
import time

import numpy as np
import tqdm

import jgan

Bad = list[tuple[str, str]]  # a file, and why it was left out: "PATH REASON" is a sentence


def scan(read, count: int, *, what: str = "images") -> tuple[list, dict[int, str]]:
    """Returns what `read(i)` gave for each i below count, and the sentences of those that failed.

    Threads read side by side; when it takes long, progress is shown on stderr.
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


def usual(channels) -> int:
    """Returns the number of channels that most have; of several the largest, 0 of none."""
    counts = collections.Counter(channels)
    return max(counts, key=lambda count: (counts[count], count), default=0)


def odd_ones(channels: dict[int, int]) -> dict[int, str]:
    """Returns the indices whose channels are not those of most, each with a reason."""
    most = usual(channels.values())
    return {
        index: f"has {count} channel{'s' * (count != 1)} where most have {most}"
        for index, count in channels.items()
        if count != most
    }


def told(remarks: collections.Counter, total: int) -> list[str]:
    """Returns a sentence for each remark, with how many pictures of all it is about."""
    return [f"{count} of {total} pictures: {remark}" for remark, count in remarks.most_common()]


def tell(remarks: collections.Counter, total: int, *others: str) -> None:
    """Prints the sentences of `told`, and others that are not empty."""
    for sentence in [*told(remarks, total), *filter(None, others)]:
        print(sentence)


def widest(dtypes) -> np.dtype:
    """Returns the type that holds all of uint8, uint16 and float32 given."""
    return max((np.dtype(dtype) for dtype in dtypes), key=lambda dtype: dtype.itemsize)


def refuse(bad: Bad, total: int) -> None:
    """Raises UserError that names the bad files, the first five of many."""
    named = "; ".join(f"{path} {reason}" for path, reason in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    rest = "set data.skip_bad=true to go on without" if len(bad) < total else "nothing is left"
    raise jgan.UserError(f"{len(bad)} of {total} examples cannot be used, {rest}: {named}{more}")


def _shown(items, count: int, what: str):
    # A bar after two seconds; where nobody watches, a line every half minute.
    if sys.stderr.isatty():
        yield from tqdm.tqdm(items, what, count, leave=False, delay=2)
        return
    started = told = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - told >= 30:
            told, rate = now, number / (now - started)
            left = (count - number) / rate
            print(f"{what}: {number} of {count}, {rate:.0f}/s, {left:.0f} s left", file=sys.stderr)
