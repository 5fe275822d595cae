"""The files of an archive: whose it is, which picture is in which shard, the shards, and the index of all.

    OUT/archive.json        what made it, and how many pictures a shard has
    OUT/plan-00000.json     the names of the pictures, in the order of the shards; further files for what came later
    OUT/shard-00012.npz     the results of some of them (`Row`), written whole or not at all
    OUT/index.jsonl         a line for each picture: name, sha256, shard, row, cost; there when nothing is missing

A shard is an archive of NumPy's, which `numpy.load` reads, and as a ZIP file any other tool. Its arrays have a row for
each picture (`names`, `sha256`, ...); encoded pictures are files in it below `pictures/`; `failed` and `why` tell of
pictures without a result. Nothing in it tells when or by whom it was made, so that equal results are equal files.
"""

from collections.abc import Iterable
import contextlib
import hashlib
import io
import json
import pathlib
import time
from typing import Any
from typing import NamedTuple
import zipfile

import numpy as np

import jgan
from jgan import output as output_lib
from jgan.programs import projection_files

CLAIM, INDEX = "archive.json", "index.jsonl"
PICTURES = "pictures/"
SHARD_SIZE, MAX_SHARD_SIZE = 256, 100_000

_REPLAN = "remove it, so that the same command makes it again and what has to be; or name another --output"
_OWN = ("names", "sha256", "pictures", "failed", "failed_sha256", "why")  # arrays that are no values of rows


class Row(NamedTuple):
    """What an archive knows of a picture.

    Attributes:
        sha256: of the content of its file; empty if it could not be read, or where nothing was to be read.
        values: {name: array, the same shape in all rows, or, below `pictures/`, the bytes of a file}; None if it
            failed.
        why: it failed, one sentence.
    """

    sha256: str
    values: dict[str, np.ndarray | bytes] | None
    why: str = ""


Rows = dict[str, Row]


def claim(folder: pathlib.Path, facts: dict[str, Any], shard_size: int) -> int:
    """The number of pictures of a shard of this archive, which is claimed for what `facts` tell, or was before.

    Args:
        folder: which exists.
        facts: of all on which results depend.
        shard_size: that is asked for; 0: that of the archive, or `SHARD_SIZE` for a new one.

    Raises:
        jgan.UserError: the folder holds an archive of something else or with shards of another size, or no archive but
            other results.
    """
    if not 0 <= shard_size <= MAX_SHARD_SIZE:
        raise jgan.UserError(f"--shard_size={shard_size}: 1 to {MAX_SHARD_SIZE:,} would work.")
    path = folder / CLAIM
    if (folder / projection_files.CLAIM).exists():
        raise jgan.UserError(f"--output={folder} holds projections in single files: name another folder.")
    size = shard_size or SHARD_SIZE
    made = {"format": "jgan-archive", "version": 1, "shard_size": size, **facts}
    if output_lib.publish(path, json.dumps(made, indent=2).encode()):
        return size
    old = projection_files.claimed(path)
    if not shard_size:
        made["shard_size"] = size = old.get("shard_size", size)
        if type(size) is not int or not 1 <= size <= MAX_SHARD_SIZE:
            raise jgan.UserError(
                f"{path} has no shard_size that can be: remove it, or name another --output."
            )
    projection_files.check_same(folder, old, made, "an archive")
    return size


def refuse(folder: pathlib.Path) -> None:
    """Refuses a folder that is an archive, for a program that writes single files, with a `jgan.UserError`."""
    if (folder / CLAIM).exists():
        raise jgan.UserError(f"--output={folder} is an archive: add --archive, or name another folder.")


def plan(folder: pathlib.Path, names: Iterable[str], size: int) -> list[list[str]]:
    """The names of the pictures of each shard: those of earlier calls first, in the same shards, then new ones.

    All processes get the same shards, whichever of them comes first.

    Raises:
        jgan.UserError: a file of the plan that cannot be read.
    """
    shards: list[list[str]] = []
    names, known, number = list(names), set(), 0
    while True:
        path = folder / f"plan-{number:05d}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            new = [name for name in names if name not in known]
            if not new:
                return shards
            output_lib.publish(path, json.dumps(new, indent=0).encode())
            continue  # with that of another process, where it was faster
        except (OSError, ValueError) as error:
            raise jgan.UserError(f"{path} cannot be read ({error}): {_REPLAN}.") from None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise jgan.UserError(f"{path} is no list of names: {_REPLAN}.")
        found = [name for name in found if name not in known]  # some are where an earlier file was removed
        known.update(found)
        shards += [found[k : k + size] for k in range(0, len(found), size)]
        number += 1


def shard(folder: pathlib.Path, number: int) -> pathlib.Path:
    """The file of a shard."""
    return folder / f"shard-{number:05d}.npz"


def place(name: str) -> str:
    """The name of a picture's file within a shard: below `pictures/` as below its folder.

    Names that a ZIP file should not have, because they lead out of a folder or cannot be shown, become digests.
    """
    path = pathlib.PurePosixPath(name)
    plain = str(path) == name and not path.is_absolute() and ".." not in path.parts
    if not plain or not name.isprintable() or any(mark in name for mark in "\\:"):
        kept = path.suffix if path.suffix.isascii() else ""
        path = pathlib.PurePosixPath(
            hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16] + kept
        )
    return PICTURES + str(path)


def pack(rows: Rows, constants: dict[str, Any]) -> bytes:
    """The bytes of a shard; the same for the same rows and constants, which are numbers and texts."""
    made = {name: row for name, row in rows.items() if row.values is not None}
    failed = {name: row for name, row in rows.items() if row.values is None}
    first = next(iter(made.values())).values if made else {}
    files = [[key for key, x in row.values.items() if isinstance(x, bytes)] for row in made.values()]
    arrays = {
        "names": _texts(made),
        "sha256": _texts(row.sha256 for row in made.values()),
        **{
            key: np.stack([row.values[key] for row in made.values()])
            for key, x in first.items()
            if not isinstance(x, bytes)
        },
        **({"pictures": np.array(files, str)} if any(files) else {}),
        "failed": _texts(failed),
        "failed_sha256": _texts(row.sha256 for row in failed.values()),
        "why": _texts(row.why for row in failed.values()),
        **constants,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # as it is: latents and pictures cannot be compressed
        for key, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
        for row, keys in zip(made.values(), files, strict=True):
            for key in keys:
                archive.writestr(zipfile.ZipInfo(key), row.values[key])
    return buffer.getvalue()


def unpack(path: pathlib.Path, *, values: bool = True, whole: bool = False) -> Rows | None:
    """The rows of a shard; None if there is no file or it is damaged.

    Without `values` those of the rows are {}, or the cost alone, and damage to others shows only if `whole` asks for
    it, which reads all of the file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            if whole and saved.zip.testzip() is not None:
                return None
            names, sums = saved["names"].tolist(), saved["sha256"].tolist()
            keys = [x for x in saved.files if not x.startswith(PICTURES) and x not in _OWN]
            arrays = {key: saved[key] for key in keys if values or key == "cost"}
            arrays = {key: x for key, x in arrays.items() if x.ndim}  # the others are constants
            files = saved["pictures"].tolist() if values and "pictures" in saved.files else [[]] * len(names)
            rows = {}
            for k, (name, sha256) in enumerate(zip(names, sums, strict=True)):
                found = {key: x[k] for key, x in arrays.items()}
                rows[name] = Row(sha256, found | {file: saved.zip.read(file) for file in files[k]})
            failed = zip(*(saved[key].tolist() for key in ("failed", "failed_sha256", "why")), strict=True)
            return rows | {name: Row(sha256, None, why) for name, sha256, why in failed}
    except FileNotFoundError:
        return None
    except Exception:  # decoders of archives raise whatever they meet; the shard is made anew
        return None


def index(folder: pathlib.Path, shards: list[list[str]]) -> dict[str, str]:
    """{name: why} of the pictures that failed, after the index was written from the shards.

    Raises:
        jgan.UserError: a shard is missing or damaged.
    """
    lines, failed = [], {}
    for number, names in enumerate(shards):
        path = shard(folder, number)
        rows = unpack(path, values=False)
        if rows is None or any(name not in rows for name in names):
            raise jgan.UserError(f"{path} is missing or damaged: the same command makes it again.")
        places = {name: k for k, name in enumerate(name for name in rows if rows[name].values is not None)}
        for name in names:
            line, row = {"name": name, "sha256": rows[name].sha256, "shard": path.name}, rows[name]
            if row.values is None:
                failed[name] = row.why
                lines.append(line | {"error": row.why})
            else:
                told = {key: float(x) for key, x in row.values.items()}
                lines.append(line | {"row": places[name]} | told)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    output_lib.publish(folder / INDEX, text.encode(), anew=True)
    return failed


def sweep(folder: pathlib.Path) -> None:
    """Removes what processes that were killed had begun to write, an hour ago or more."""
    for draft in folder.glob(".*.part"):
        with contextlib.suppress(OSError):  # another process was faster
            if time.time() - draft.stat().st_mtime > 3600:
                draft.unlink()


def _texts(values: Iterable[str]) -> np.ndarray:
    return np.array(list(values), str)
