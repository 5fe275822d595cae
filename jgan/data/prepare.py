"""Makes the folders that `named` reads: from a folder of images, or from a set that TensorFlow Datasets knows.

A folder needs no TensorFlow: its builder hands over paths, and files are stored unchanged. A known set has code of its
own, which in most cases needs TensorFlow; it runs in a virtual environment that is made for it and removed afterwards.
"""

from collections.abc import Iterator
import contextlib
import errno
import importlib.metadata
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any
import venv

import numpy as np

import jgan
from jgan.data import check
from jgan.data import images
from jgan.data import outputs
from jgan.data.sources import named

# Formats that TensorFlow Datasets stores unchanged and that all of its readers decode.
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp")

# A package that TensorFlow Datasets imports without declaring it.
_UNDECLARED = "importlib_resources"

# The program that runs in that environment, with the name, the folder of all sets and a file for the reason of a
# failure.
_PROGRAM = f"""
import logging
import sys
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader
name, root, reason = sys.argv[1:]
downloader.MAX_RETRIES = 5  # ten take minutes where there is no network
logging.getLogger("urllib3").setLevel(logging.ERROR)
if not sys.stderr.isatty():
    tfds.disable_progress_bar()
try:
    tfds.builder(name, data_dir=root).download_and_prepare(file_format={named.FORMAT!r})
except Exception as error:
    with open(reason, "w") as file:
        file.write(f"{{type(error).__name__}}: {{error}}")
    sys.exit(1)
"""


def from_folder(name: str, source: str, root: str = "") -> None:
    """Prepares a new set `name` in the folder `root` (that of TensorFlow Datasets) of the images in a folder.

    Each sub-folder with images is a split (`trainA`, `trainB`, ...). Images beside sub-folders are not used; if there
    are no sub-folders with images, all images are the split `train`.

    Raises:
        jgan.UserError: there are no images, or some cannot be stored; or the name is taken or impossible.
    """
    tfds, parts = named.tfds(), named.parse(name)
    if parts != (parts.set, "", ""):
        raise jgan.UserError(f"{name} is no name for a folder of images: letters, digits and _ would work")
    if parts.set in tfds.list_builders(with_community_datasets=False):
        raise jgan.UserError(f"{name} is a set of TensorFlow Datasets: give the folder another name")
    there = named.prepared(root, name)
    if there:
        raise jgan.UserError(f"{there[-1]} is there already: remove it or give another name")
    top = pathlib.Path(source).expanduser()
    splits = _splits(top)
    shape, dtype = _looked_at(splits)

    class Folder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """The images of a folder, as TensorFlow Datasets builds a set of them."""

        VERSION = tfds.core.Version("1.0.0")
        code_path = None  # no package with citations and checksums of downloads

        def _info(self) -> Any:
            image = tfds.features.Image(shape=shape, dtype=dtype)
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({"image": image}))

        def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict[str, str]]]]:
            return {split: self._generate_examples(files) for split, files in splits.items()}

        def _generate_examples(self, files: list[pathlib.Path]) -> Iterator[tuple[str, dict[str, str]]]:
            for file in files:
                # The keys that sets are shuffled by have to be UTF-8.
                key = os.fsencode(file.relative_to(top).as_posix()).decode(errors="backslashreplace")
                yield key, {"image": os.fspath(file)}

    Folder.name = name
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints lines about downloads
            Folder(data_dir=named.root_folder(root)).download_and_prepare(file_format=named.FORMAT)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        reason = error.strerror or error
        raise jgan.UserError(f"{named.root_folder(root)} cannot be written: {reason}") from None


def from_name(name: str, root: str = "") -> None:
    """Downloads and prepares a set that TensorFlow Datasets knows; does nothing if it is prepared already.

    Raises:
        jgan.UserError: the name is unknown, the version cannot be made any more, there is no network, or the set's own
            code fails for another reason.
    """
    if named.prepared(root, name):
        return
    named.check_known(root, name)
    _check_version(name)
    try:
        named.root_folder(root).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise jgan.UserError(f"{named.root_folder(root)} cannot be made: {error.strerror}") from None
    _run_apart(name.removeprefix(named.PREFIX), named.root_folder(root))


def _splits(top: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """{split: its files} of a folder."""
    if not top.is_dir():
        raise jgan.UserError(f"there is no folder {top}")
    folders = sorted(path for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))
    splits = {folder.name: images.find(folder) for folder in folders if not outputs.is_written(folder)}
    splits = {split: files for split, files in splits.items() if files} or {"train": images.find(top)}
    if not any(splits.values()):
        raise jgan.UserError(f"{top} holds no images ({' '.join(SUFFIXES)})")
    for split in splits:
        if split == "all" or not re.fullmatch(r"\w+", split):
            raise jgan.UserError(
                f"{top / split} cannot be a split: letters, digits and _ would work, but not 'all'"
            )
    return splits


def _looked_at(splits: dict[str, list[pathlib.Path]]) -> tuple[tuple[int | None, ...], type]:
    """The shape and the type that describe all images; grey images among those in colour count as colour."""
    files = [file for part in splits.values() for file in part]

    def kind(index: int) -> tuple[int, np.dtype]:
        """The channels and the type of a file."""
        if files[index].suffix.lower() not in SUFFIXES:
            raise jgan.UserError(f"{files[index]} cannot be stored as it is: {' '.join(SUFFIXES)} would work")
        image = images.load(files[index])
        return image.shape[-1], image.pixels.dtype

    kinds, failed = check.scan(kind, len(files))
    if failed:
        more = f" (and {len(failed) - 1} more)" * (len(failed) > 1)
        raise jgan.UserError(failed[min(failed)] + more)
    known = dict(zip(files, kinds, strict=True))
    channels = {max(known[file][0] for file in part) for part in splits.values()}
    dtype = check.widest(dtype for _, dtype in kinds).type
    return (None, None, channels.pop() if len(channels) == 1 else None), dtype


def _check_version(name: str) -> None:
    """Refuses a version that TensorFlow Datasets does not make any more."""
    tfds, parts = named.tfds(), named.parse(name)
    try:
        builder = tfds.builder_cls(parts.set)
    except (
        ImportError
    ):  # its module imports TensorFlow at once; the set's own code will report an unknown version
        return
    config = builder.builder_configs.get(parts.config)
    makes = str(config and config.version or builder.VERSION)
    if parts.version not in ("", makes):
        raise jgan.UserError(
            f"version {parts.version} of {parts.set} cannot be prepared: "
            f"TensorFlow Datasets {tfds.__version__} makes {makes}"
        )


def _run_apart(name: str, root: pathlib.Path) -> None:
    """Prepares a set by its own code in a new virtual environment.

    The first attempt is without TensorFlow, which is large; a second one uses the downloads of the first.
    """
    version = importlib.metadata.version("tensorflow-datasets")
    with tempfile.TemporaryDirectory(prefix="jgan-prepare-") as where:
        print(
            f"{name}: making an environment for its own code, removed when done", file=sys.stderr, flush=True
        )
        venv.create(where, with_pip=True)
        python = os.path.join(where, "bin", "python")
        _install(name, python, f"tensorflow-datasets[{named.parse(name).set}]=={version}", _UNDECLARED)
        reason = _attempt(name, root, python, where)
        if reason and re.search("No module named 'tensorflow'|import TensorFlow", reason):
            print(f"{name}: its code needs TensorFlow, some 2 GiB on disk", file=sys.stderr, flush=True)
            _install(name, python, "tensorflow")
            reason = _attempt(name, root, python, where)
    if reason:
        raise jgan.UserError(_explained(name, reason))


def _install(name: str, python: str, *packages: str) -> None:
    """Installs packages in the environment of a Python; a `jgan.UserError` if that fails."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    done = subprocess.run([python, "-m", "pip", "install", *quiet, *packages], capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [
            "ERROR: pip failed"
        ]
        raise jgan.UserError(
            f"{name} cannot be prepared: {packages[0]}, which its code needs, cannot be installed "
            f"({errors[-1].removeprefix('ERROR: ')})"
        )


def _attempt(name: str, root: pathlib.Path, python: str, where: str) -> str:
    """Runs the set's own code; the reason of a failure, empty if there was none."""
    reason = pathlib.Path(where, "reason")
    reason.unlink(missing_ok=True)
    command = [python, "-c", _PROGRAM, name, os.fspath(root.absolute()), os.fspath(reason)]
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, cwd=where)
    if not done.returncode:
        return ""
    return reason.read_text() if reason.exists() else f"its code ended with status {done.returncode}"


def _explained(name: str, reason: str) -> str:
    """The sentence on a set that could not be prepared."""
    host = re.search(r"host='([^']+)'", reason)
    if re.match(r"(ConnectionError|ConnectTimeout|ReadTimeout|SSLError|ProxyError|URLError)\b", reason):
        return f"{name} cannot be downloaded: {host[1] if host else 'its server'} cannot be reached from here"
    return f"{name} cannot be prepared: {' '.join(reason.split())[:400]}"
