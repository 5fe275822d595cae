"""The folder of projections: whose it is, which photos are done, and a seed for each photo."""

import contextlib
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

import jgan
from jgan import output as output_lib
from jgan.data import images as image_files


def files(images: str, target: pathlib.Path) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """(the folder that photos are named after, the photos) of a file or folder, without those of the output.

    Raises:
        jgan.UserError: there are none.
    """
    source = pathlib.Path(images)
    if not source.exists():
        raise jgan.UserError(f"--images={images} does not exist.")
    root = source.parent if source.is_file() else source
    files = [source] if source.is_file() else image_files.find(source, target)
    if not files:
        raise jgan.UserError(f"--images={image_files.none_in(images, target)}.")
    return root, files


def todo(
    files: list[pathlib.Path], root: pathlib.Path, target: pathlib.Path
) -> tuple[list[pathlib.Path], int]:
    """(the photos that are not projected in their present content, how many of them were in another one)."""
    todo, changed = [], 0
    for file in files:
        made = target / f"{file.relative_to(root)}.npz"
        if made.exists():
            # Whatever is wrong with the archive or the photo is reported where they are used.
            with contextlib.suppress(Exception), np.load(made, allow_pickle=False) as saved:
                if str(saved["photo"]) == content(file):
                    continue
            changed += 1
        todo.append(file)
    return todo, changed


def content(file: pathlib.Path) -> str:
    """The digest of what is in a file."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def claim(target: pathlib.Path, facts: dict[str, Any]) -> None:
    """Makes the output folder this projection's own, or refuses one of another projection."""
    path = target / "projection.json"
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            old = None
        if not isinstance(old, dict):
            raise jgan.UserError(f"{path} cannot be read: remove it, or name another --output.")
        old = {"weights": facts["weights"], **old}  # an earlier version did not write them
        changed = [name for name in {**facts, **old} if old.get(name) != facts.get(name)]
        if changed:
            raise jgan.UserError(
                f"--output={target} holds projections with other {', '.join(changed)}: name another folder."
            )
    else:
        output_lib.replace(path, json.dumps(facts, indent=2).encode())


def seed(seed: int, name: str) -> int:
    """A number for a photo's starts that its name and nothing else decides (FNV-1a, 32 bits)."""
    value = 2166136261 ^ (seed % 2**32)
    for byte in os.fsencode(name):
        value = (value ^ byte) * 16777619 % 2**32
    return value
