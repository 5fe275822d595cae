"""Latents read back from files: of photos that `project` projected, and of pictures that `sample` drew."""

import collections
import csv
import io
import json
import math
import pathlib
from typing import Any

import jax
import numpy as np

import jgan
from jgan import paths
from jgan import trained
from jgan.latent import codec
from jgan.latent import directions
from jgan.latent import document
from jgan.latent import styles
from jgan.programs import archive_files
from jgan.programs import projection_files

MAX_BYTES = 2**26  # of a file of scores
MAX_FILES = 100_000


def read(run: trained.Run, flag: str, place: str, output: str = "") -> tuple[list[str], Any]:
    """(names, latents [m, ...]) in a folder and below, in a projection `NAME.npz`, in a `samples.npz`, or in a shard.

    A projection has the name of its photo below the folder, a drawn latent its number, one of a shard that which it has
    there.

    Args:
        run: within the space to which they have to belong.
        flag: what names the place in error messages.
        place: a folder that launch.project wrote, or a file.
        output: a file below the folder that is left out, since it is about to be written.

    Raises:
        jgan.UserError: there are none, or one that is of another space, not finite, too large or, as far as the file
            tells, of another generator.
    """
    source, written = paths.of(place), paths.of(output).resolve()
    files = [source]
    if source.is_dir():
        files = sorted(file for file in source.rglob("*.npz") if file.resolve() != written)
    if not files or len(files) > MAX_FILES or not all(file.is_file() for file in files):
        raise jgan.UserError(
            f"--{flag}={place} holds no projections: a folder that launch.project wrote would work."
        )
    space = run.space()
    leaves, tree = jax.tree.flatten(jax.eval_shape(space.sample, jax.random.key(0)))
    names, rows, generator = [], [], run.digest
    for file in files:
        try:
            *found, of, known = _rows(file, codec.names(space.name, leaves), leaves)
        except Exception:  # decoders of archives raise whatever they meet; it all means the same here
            raise jgan.UserError(
                f"{file} is no projection onto the space {space.name!r} of this run."
            ) from None
        if of not in ("", generator):
            raise jgan.UserError(
                f"{file} belongs to another generator, of weights {ascii(of[:40])[1:-1]}, and this one has "
                f"{generator}: launch.project projects onto this one."
            )
        title = str(file.relative_to(source)) if source.is_dir() else file.name
        title = title.removesuffix(".npz")
        names += [title] if found[1] else known or [str(k) for k in range(len(found[0][0]))]
        rows.append(found[0])
    if not names:
        raise jgan.UserError(f"--{flag}={place} holds no projections that have a result.")
    return names, tree.unflatten([np.concatenate(column) for column in zip(*rows, strict=True)])


def check_photo(latent: str, image: str, square: tuple[int, int, int]) -> None:
    """Refuses a projection of another photo, or of another view of it, with a `jgan.UserError`.

    Args:
        latent: a file that `read` takes; one that tells nothing of a photo, or none, fits all.
        image: the file of the photo.
        square: what is seen of it: top, left and side.
    """
    saved = directions.unpack(latent) if latent else {}
    if "photo" in saved and str(saved["photo"]) != projection_files.content(paths.of(image)):
        raise jgan.UserError(
            f"--latent={latent} is the projection of another photo than --image={image}: without --latent it would be "
            "projected."
        )
    if "square" in saved and saved["square"].tolist() != list(square):
        raise jgan.UserError(
            f"--latent={latent} is of another view of --image={image}: its own --fit and --part would work."
        )


def given(place: str) -> dict[str, Any]:
    """The values of controls under which launch.project made a folder, or one file of it; {}: the defaults."""
    source = paths.of(place)
    folder = source if source.is_dir() else source.parent
    claim = archive_files.CLAIM if (folder / archive_files.CLAIM).exists() else projection_files.CLAIM
    try:
        facts = json.loads((folder / claim).read_text())
    except (OSError, ValueError, RecursionError):
        return {}  # of another program; whether the latents fit is seen when they are read
    return facts.get("given", {}) if isinstance(facts, dict) else {}


def scores(path: str, names: list[str]) -> dict[int, float]:
    """{number of a latent: its score} of the lines `NAME,score` of a file; those without a line have none.

    Raises:
        jgan.UserError: a line that is no such line, or of no latent, or of one that has a line already, or scores that
            are all the same.
    """
    try:
        with paths.of(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig") if len(data) <= MAX_BYTES else ""
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except (OSError, UnicodeDecodeError, csv.Error):
        lines = []
    places, found = {name: k for k, name in enumerate(names)}, {}
    twice = {name for name, count in collections.Counter(names).items() if count > 1}
    for k, line in enumerate(lines):
        try:
            value = float(line[1]) if len(line) == 2 else math.nan
        except ValueError:
            if k == 0:  # the header
                continue
            value = math.nan
        name = line[0].strip()
        if name in twice or places.get(name) in found:
            raise jgan.UserError(
                f"--scores={path}, line {k + 1}: {document.show(name)} is the name of several "
                f"{'latents' if name in twice else 'lines'}, so that its score is not known."
            )
        if not math.isfinite(value) or abs(value) > 1e6 or name not in places:
            raise jgan.UserError(
                f"--scores={path}, line {k + 1} is {document.show(','.join(line))}: the name of a latent such as "
                f"{names[0]!r} and a number would work."
            )
        found[places[name]] = value
    if len(set(found.values())) < 2:
        raise jgan.UserError(
            f"--scores={path} has {len(found)} scores and no two that differ: lines NAME,score would work."
        )
    return found


def _rows(
    file: pathlib.Path, names: list[str], leaves: list[Any]
) -> tuple[list[np.ndarray], bool, str, list[str]]:
    """(arrays [m, ...] of the latents in a file, whether it is one projection, digest of their generator, their names).

    The digest is empty where the file does not tell it, and so are the names. A ValueError if they do not fit.
    """
    saved = directions.unpack(file)
    if len(saved.get("failed", ())) and not len(saved["names"]):  # a shard of pictures that all failed
        return [np.zeros((0, *leaf.shape), leaf.dtype) for leaf in leaves], False, "", []
    arrays = [saved[name] for name in names]
    single = arrays[0].shape == leaves[0].shape
    arrays = [x[None] for x in arrays] if single else arrays
    number = len(arrays[0])
    if not number or not all(
        x.shape == (number, *leaf.shape) and x.dtype.kind == "f" and (np.abs(x) <= styles.MAX_AMOUNT).all()
        for x, leaf in zip(arrays, leaves, strict=True)
    ):
        raise ValueError
    known = [str(name) for name in saved.get("names", ())]
    if known and len(known) != number:
        raise ValueError
    return arrays, single, str(saved.get("generator", "")), known
