"""Finds bad examples before training starts, so that none is met inside the pipeline."""

import collections
import concurrent.futures
import os

import numpy as np
import tqdm

import jgan

Bad = list[tuple[str, str]]


def scan(read, count: int, *, what: str = "images") -> tuple[list, dict[int, str]]:
    """Returns what `read(i)` gave for each i below count, and the sentences of those that failed.

    Threads read side by side; a progress bar appears in a terminal when it takes long.
    """
    results, failed = [None] * count, {}
    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        futures = {pool.submit(read, index): index for index in range(count)}
        done = concurrent.futures.as_completed(futures)
        for future in tqdm.tqdm(
            done, total=count, desc=f"checking {what}", unit="", delay=2, disable=None, leave=False
        ):
            try:
                results[futures[future]] = future.result()
            except jgan.UserError as error:
                failed[futures[future]] = str(error)
    return results, failed


def odd_ones(channels: dict[int, int]) -> dict[int, str]:
    """Returns the indices whose channels are not those of most, each with a reason."""
    counts = collections.Counter(channels.values())
    usual = max(counts, key=lambda count: (counts[count], count), default=0)
    return {
        index: f"has {count} channel{'s' * (count != 1)} where most have {usual}"
        for index, count in channels.items()
        if count != usual
    }


def widest(dtypes) -> np.dtype:
    """Returns the type that holds all of uint8, uint16 and float32 given."""
    return max((np.dtype(dtype) for dtype in dtypes), key=lambda dtype: dtype.itemsize)


def refuse(bad: Bad, total: int, hint: str = "data.skip_bad=true leaves them out") -> None:
    """Raises UserError that names the bad files, the first five of many."""
    named = "; ".join(reason if path in reason else f"{path}: {reason}" for path, reason in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    raise jgan.UserError(f"{len(bad)} of {total} files cannot be used ({named}{more}): {hint}")

