"""The folder of projections: whose it is, which photos are done, a seed for each photo, and what is written."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

import jgan
from jgan import frozen
from jgan import output as output_lib
from jgan import paths
from jgan import pictures
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.latent import codec
from jgan.latent import projection
from jgan.ops import pixels
from jgan.programs import controls

CLAIM = "projection.json"


def files(images: str, target: pathlib.Path) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """(the folder that photos are named after, the photos) of a file or folder, without those of the output.

    Raises:
        jgan.UserError: there are none.
    """
    source = paths.of(images)
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
            with contextlib.suppress(Exception), made.open("rb") as opened, np.load(opened) as saved:
                if str(saved["photo"]) == content(file):
                    continue
            changed += 1
        todo.append(file)
    return todo, changed


def content(file: pathlib.Path) -> str:
    """The digest of what is in a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def claim(target: pathlib.Path, facts: dict[str, Any]) -> None:
    """Makes the output folder this projection's own, or refuses one of another projection."""
    path = target / CLAIM
    if path.exists():
        old = {"weights": facts["weights"], **claimed(path)}  # an earlier version did not write them
        check_same(target, old, facts, "projections")
    else:
        output_lib.replace(path, json.dumps(facts, indent=2).encode())


def claimed(path: pathlib.Path) -> dict[str, Any]:
    """The facts by which a folder was claimed; a `jgan.UserError` if the file cannot be read."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old = None
    if not isinstance(old, dict):
        raise jgan.UserError(f"{path} cannot be read: remove it, or name another --output.")
    return old


def check_same(target: pathlib.Path, old: dict[str, Any], facts: dict[str, Any], what: str) -> None:
    """Refuses a folder that was claimed for other facts with a `jgan.UserError`; `what` is what it holds."""
    changed = [name for name in {**facts, **old} if old.get(name) != facts.get(name)]
    if changed:
        raise jgan.UserError(
            f"--output={target} holds {what} with other {', '.join(changed)}: name another folder."
        )


def facts(
    run: trained.Run,
    *,
    method: str,
    starts: int,
    settings: projection.Settings,
    feature_weight: float,
    features: frozen.Features | None,
    fit: str,
    seed: int,
    part: str,
) -> dict[str, Any]:
    """All on which projections depend, for the claim of their folder. The arguments are those of `project_files`."""
    return {
        "system": run.config.system,
        "step": run.step,
        "method": method,
        "starts": starts,
        "settings": _told(settings),
        "feature_weight": feature_weight,
        "fit": fit,
        "seed": seed,
        **({} if features is None else {"features": features.name}),
        **({} if part in ("", "whole") else {"part": part}),
        **({"space": run.latent} if run.latent else {}),
        **({"given": given} if (given := controls.changed(run)) else {}),
        "weights": run.digest,
    }


def _told(settings: projection.Settings) -> dict[str, Any]:
    """The settings as the output remembers them: of those that came later only what is not as it was before."""
    first = projection.Settings._fields[:5]
    default = projection.DEFAULT._asdict()
    return {k: x for k, x in settings._asdict().items() if k in first or x != default[k]}


def seed(seed: int, name: str) -> int:
    """A number for a photo's starts that its name and nothing else decides (FNV-1a, 32 bits)."""
    value = 2166136261 ^ (seed % 2**32)
    for byte in os.fsencode(name):
        value = (value ^ byte) * 16777619 % 2**32
    return value


def save(
    run: trained.Run,
    projects: Any,
    waiting: list[tuple[pathlib.Path, np.ndarray, framing.Framed]],
    root: pathlib.Path,
    target: pathlib.Path,
    of: int,
) -> list[pathlib.Path]:
    """Projects photos and writes what comes of them; those whose cost is not finite are returned instead.

    Args:
        run: whose latents they become.
        projects: as `project.projector` gives it.
        waiting: (file, photo, its square view) of each.
        root: the folder that photos are named after.
        target: the folder of the output.
        of: the seed from which, with a photo's name, that of its starts is made.
    """
    images = np.stack([framed.image for _, _, framed in waiting])
    masks = np.stack([framed.mask for _, _, framed in waiting])
    seeds = [seed(of, str(file.relative_to(root))) for file, _, _ in waiting]
    projected, made = projects(images, masks, seeds)
    space, bits, digest = run.space().name, framing.bits(run.config.data), run.digest
    lost = []
    for k, (file, photo, framed) in enumerate(waiting):
        if not np.isfinite(projected.cost[k]):
            lost.append(file)
            continue
        place = target / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        pasted = framing.paste(photo, framed, made[k])
        picture = pictures.show(pasted) if pasted.dtype == np.float32 else framing.shrink(pasted, bits)
        image_files.write(paths.of(f"{place}.png"), picture)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            **codec.arrays(space, jax.tree.map(lambda x, k=k: x[k], projected.latent)),
            space=np.array(space),
            cost=projected.cost[k],
            evaluations=projected.evaluations[k],
            reconstruction=np.asarray(pixels.from_float(made[k], np.uint8)),
            step=np.array(run.step),
            generator=np.array(digest),
            square=np.array([framed.top, framed.left, framed.side]),
            photo=np.array(content(file)),
        )
        output_lib.replace(paths.of(f"{place}.npz"), buffer.getvalue())
    return lost
