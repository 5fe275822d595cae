"""Folders to which programs write pictures: never over the input, and never read as input the next time."""

from collections.abc import Iterable
import functools
import os
import pathlib
import sys

import jgan
from jgan import paths

_Path = str | os.PathLike[str]

_MARK = ".jgan-output"  # a file that keeps searches out of its folder


def is_written(folder: _Path) -> bool:
    """Whether a folder is a run, or an output among pictures that are read (`make`)."""
    return is_run(folder) or paths.exists(os.path.join(folder, _MARK))


def check(output: _Path, root: _Path, files: Iterable[_Path], what: str = "the input lies") -> None:
    """Refuses a folder `output` in which what is made of files below `root` would be written among these files.

    Args:
        output: the folder to write to.
        root: the folder of the input.
        files: of the input, below `root`.
        what: what `root` is, as the sentence says it.

    Raises:
        jgan.UserError: names the first such file.
    """
    here, there = paths.real(root), paths.real(output)
    # A mount or another case of letters may give one folder two names.
    if here == there or _same(output, root):
        raise jgan.UserError(f"--output={output} is where {what}: name another folder.")
    if paths.exists(output) and not paths.is_folder(output):
        raise jgan.UserError(f"--output={output} is a file: name a folder.")
    # Links may lead to the input in other ways, and a folder above the input may hold it under the name of an output.
    originals = {paths.real(file) for file in files}
    above = here.startswith(os.path.join(there, ""))
    for file in files:
        place = paths.real(os.path.join(output, os.path.relpath(file, root)))
        if place in originals or above and place.startswith(os.path.join(here, "")):
            raise jgan.UserError(
                f"--output={output} would put what is made of {file} among the input: name another folder."
            )


def make(output: _Path, *searched: _Path) -> pathlib.Path:
    """The folder `output`, made where it is missing, and marked where it lies in one of the folders `searched`.

    No search enters a marked folder; otherwise a program would take its own pictures for input the next time.

    Raises:
        jgan.UserError: it cannot be made or written to, or it is the directory of a run, whose page and pictures would
            be lost.
    """
    output = paths.of(output)
    if is_run(output) or is_export(output):
        raise jgan.UserError(f"--output={output} is the directory of a run: name another folder.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Where a link in a searched folder leads elsewhere, searches follow it there.
        parents = [*output.absolute().parents, *output.resolve().parents]
        if any(_same(folder, parent) for folder in searched for parent in parents):
            mark(output)
    except OSError as error:
        raise jgan.UserError(f"--output={output} cannot be made: {error.strerror}.") from None
    return output


def mark(folder: _Path) -> None:
    """Keeps searches out of an existing folder; an OSError if it cannot be written to."""
    (paths.of(folder) / _MARK).write_text(
        "Programs of jgan wrote these files. Searches for pictures do not enter this folder.\n"
    )


def _same(one: _Path, other: _Path) -> bool:
    """Whether two paths lead to the same existing file or folder."""
    if paths.is_remote(one) or paths.is_remote(other):
        return paths.real(one) == paths.real(other)
    return os.path.exists(one) and os.path.samefile(one, other)


def is_run(folder: _Path) -> bool:
    """Whether a folder is the directory of a run."""
    return all(paths.exists(os.path.join(folder, name)) for name in ("config.json", "checkpoints"))


def is_export(folder: _Path) -> bool:
    """Whether a folder is what `launch.export` wrote."""
    return all(paths.exists(os.path.join(folder, name)) for name in ("config.json", "weights.safetensors"))


@functools.cache  # a folder is searched more than once
def report_left_out(folder: str) -> None:
    """Reports on stderr that a folder was not searched."""
    print(f"left out: {folder}, which programs of jgan wrote", file=sys.stderr, flush=True)
