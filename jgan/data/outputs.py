"""Folders that programs write pictures to: never over the input, and never read as input the next time."""

import functools
import os
import pathlib
import sys

import jgan

_MARK = ".jgan-output"  # a file in folders that no search enters


def is_written(folder) -> bool:
    """Returns whether a folder is a run, or an output among pictures that are read (`make`)."""
    return is_run(folder) or os.path.exists(os.path.join(folder, _MARK))


def check(output, root, files, what: str = "the input lies") -> None:
    """Refuses a folder `output` that lies over the input: where files below `root` would be written among them.

    Raises:
      jgan.UserError: names the first such file.
    """
    here, there = os.path.realpath(root), os.path.realpath(output)
    # A mount or another case of letters may give one folder two names.
    if here == there or _same(output, root):
        raise jgan.UserError(f"--output={output} is where {what}: name another folder.")
    if os.path.exists(output) and not os.path.isdir(output):
        raise jgan.UserError(f"--output={output} is a file: name a folder.")
    # Links lead to the input in other ways, and a folder above it may hold it under the name of an output.
    originals = {os.path.realpath(file) for file in files}
    above = here.startswith(os.path.join(there, ""))
    for file in files:
        place = os.path.realpath(os.path.join(output, os.path.relpath(file, root)))
        if place in originals or above and place.startswith(os.path.join(here, "")):
            raise jgan.UserError(
                f"--output={output} would put what is made of {file} among the input: name another folder."
            )


def make(output, *searched) -> pathlib.Path:
    """Returns the folder `output`, made where it is missing, and marked where it lies in one of the folders `searched`.

    No search enters a folder that is marked: a program would take its own pictures for input the next time.

    Raises:
      jgan.UserError: it cannot be made or written to.
    """
    output = pathlib.Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Where a link in a searched folder leads elsewhere, searches follow it there.
        parents = [*output.absolute().parents, *output.resolve().parents]
        if any(_same(folder, parent) for folder in searched for parent in parents):
            mark(output)
    except OSError as error:
        raise jgan.UserError(f"--output={output} cannot be made: {error.strerror}.") from None
    return output


def mark(folder) -> None:
    """Keeps searches out of a folder that is there; an OSError where it cannot be written to."""
    (pathlib.Path(folder) / _MARK).write_text(
        "Programs of jgan wrote these files. Searches for pictures do not enter this folder.\n"
    )


def _same(one, other) -> bool:
    return os.path.exists(one) and os.path.samefile(one, other)


def is_run(folder) -> bool:
    """Returns whether a folder is the directory of a run."""
    return all(os.path.exists(os.path.join(folder, name)) for name in ("config.json", "checkpoints"))


@functools.cache  # a folder is searched more than once
def tell_left_out(folder: str) -> None:
    """Says that a folder was not searched."""
    print(f"left out: {folder}, which programs of jgan wrote", file=sys.stderr, flush=True)
