"""Pictures of a file or a folder, translated by a run: the files that come out, and what is printed about them."""

import collections
import itertools
import pathlib
from typing import Any

import numpy as np

import jgan
from jgan import fields
from jgan import output as output_lib
from jgan import paths
from jgan import pictures
from jgan.data import check
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.data.sources import folder
from jgan.programs import archive_files
from jgan.programs import controls
from jgan.programs import tiles
from jgan.programs.translator import Translator
from jgan.programs.translator import load
from jgan.runs import config as run_config

__all__ = ["Translator", "files", "load"]

# Pictures of so many tiles pass whole as well, to measure what tiling changes. Statistics are exact up to half of that.
_COMPARED = 8

_COLUMNS = 100  # of a strip beside its input: the attributes of CelebA, there and not there, are 80


def files(
    translator: Translator,
    source: str,
    output: str,
    *,
    samples: int = 0,
    strip: bool = False,
    seed: int = 0,
    tile: int = 0,
    part: str = "",
) -> int:
    """The number of pictures translated from a file or folder into the folder `output`.

    Names, sizes and bit depths stay; sub-folders too. With `samples` every picture gives so many files,
    NAME_1 to NAME_N. With `strip` every picture gives one PNG instead, the picture and beside it its samples, or,
    without samples, what every value of the first control makes of it. With `tile` pictures pass in tiles of so many
    pixels, and those of at most eight tiles also whole, to say by how much the two differ. With `part` A or B the
    pictures are pairs side by side, and that half is translated; by default pairs as those the run was trained on are
    refused, and `whole` takes all as they are.

    Raises:
        jgan.UserError: nothing to translate, an output that would overwrite the input, a control that must be set, or,
            after all the others are done, pictures that could not be translated.
    """
    variants = choices(translator, samples, strip)
    root, files = _inputs(source, output)
    if tile:
        translator.check_tile(tile)
        if translator.way.tiling.radius is None:
            print(tiles.BLENDED)
    archive_files.refuse(paths.of(output))
    target = outputs.make(output, root, *run_config.searched(translator.config))
    bad, wide, doubtful, differences, remarks = [], [], 0, [], collections.Counter()
    for file in output_lib.progress_over(files):
        try:
            image = image_files.load(file)
            if part in ("A", "B"):
                image = folder.half(image, part, file)
            elif not part and folder.is_pair(image, translator.halves):
                wide.append(f"{file} is {image.shape[1]} x {image.shape[0]}")
                continue
            doubtful += not part and image.shape[1] == 2 * image.shape[0]
            place = target / file.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            made = [one.picture(image, seed + k, tile) for k, one in variants]
            remarks.update(made[0].remarks)
            if strip:
                _write_strip(
                    paths.of(f"{place}.png"),
                    image,
                    made,
                    [title for title, _ in _titles(translator, samples)],
                )
            else:
                for k, picture in enumerate(made):
                    image_files.write(place.with_stem(f"{place.stem}_{k + 1}") if samples else place, picture)
            if tile and image.shape[0] * image.shape[1] <= _COMPARED * tile**2:
                whole = variants[0][1].picture(image, seed)
                differences.append(tiles.difference(made[0].pixels, whole.pixels))
        except jgan.UserError as error:
            bad.append(str(error))
        except OSError as error:
            bad.append(f"{error.filename} cannot be used: {error.strerror}")
    check.report(remarks, len(files), image_files.left_out(image_files.others(source, output)))
    if differences:
        print(
            f"tiles differ from one pass over the whole picture (compared: {len(differences)} of at most "
            f"{_COMPARED} tiles) by {np.mean([mean for mean, _ in differences]):.2f} of 255 on average, "
            f"{max(largest for _, largest in differences):.0f} at most"
        )
    if doubtful and translator.part:
        print(
            f"{doubtful} of {len(files)} pictures are twice as wide as high: of pairs side by side, "
            f"--part={translator.part} translates a half"
        )
    _refuse(bad, wide, len(files), translator.part)
    return len(files)


def _titles(translator: Translator, samples: int) -> list[tuple[str, Any]]:
    """[(title, value of the first control or None)] of what a picture is translated into."""
    first = next(iter(translator.way.controls), "")
    if samples or not first or first in translator.weights["given"]:
        return [(f"{k + 1}" if samples else "output", None) for k in range(max(samples, 1))]
    field = translator.way.controls[first]
    found = list(itertools.islice(field.spread(), _COLUMNS + 1))
    if isinstance(field, fields.Code):  # by their seeds, so that --set gives the same again
        found = [(f"{first}={seed}", seed) for _, seed in found]
    if len(found) > _COLUMNS:
        raise jgan.UserError(
            f"--strip shows {_COLUMNS} values of {first} beside each other at most, and this run has more: "
            f"--set={first}=VALUE would work."
        )
    return found


def choices(translator: Translator, samples: int, strip: bool) -> list[tuple[int, Translator]]:
    """[(what is added to the seed, translator)] of what a picture is translated into.

    Raises:
        jgan.UserError: a control must be set.
    """
    missing = controls.missing(translator.way, translator.weights["given"])
    if not (strip and not samples):
        if missing:
            some = itertools.islice(translator.way.controls[missing[0]].spread(), 8)
            values = ", ".join(title for title, _ in some)
            raise jgan.UserError(
                f"--set={missing[0]}=VALUE must be given ({values}), or --strip for a picture of all."
            )
        return [(k, translator) for k in range(max(samples, 1))]
    first = next(iter(translator.way.controls), "")
    if missing and missing != [first]:
        raise jgan.UserError(f"--set={missing[-1]}=VALUE must be given.")
    made = []
    for _, value in _titles(translator, samples):
        given = {} if value is None else controls.values(translator.loaded, translator.way, {first: value})
        made.append((0, translator.set({**translator.weights["given"], **given})))
    return made


def _write_strip(path: pathlib.Path, image: Any, made: list[image_files.Picture], titles: list[str]) -> None:
    row = [image.on_white(), *(picture.on_white() for picture in made)]
    image_files.write(path, pictures.grid([row], ["input", *titles]))


def _inputs(source: str, output: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """(the folder that names are kept of, the pictures to translate)."""
    path = paths.of(source)
    if not path.exists():
        raise jgan.UserError(f"--input={source} does not exist.")
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else image_files.find(path, output)
    if not files:
        raise jgan.UserError(f"--input={image_files.none_in(source, output)}.")
    outputs.check(output, root, files)
    return root, files


def _refuse(bad: list[str], wide: list[str], count: int, part: str) -> None:
    """Says which of `count` pictures were not translated, where there are any, and what would work."""
    sentences = []
    if bad:
        more = "; ..." if len(bad) > 5 else ""
        sentences.append(f"{len(bad)} of {count} pictures were not translated: {'; '.join(bad[:5])}{more}")
    if wide:
        more = ", ..." if len(wide) > 3 else ""
        half = "left" if part == "A" else "right"
        sentences.append(
            f"{len(wide)} of {count} pictures were not translated, since they look like pairs side by side, which the "
            f"run was trained on ({', '.join(wide[:3])}{more}): --part={part} translates the {half} halves of all, "
            "--part=whole all as they are"
        )
    if sentences:
        raise jgan.UserError("; ".join(sentences))
