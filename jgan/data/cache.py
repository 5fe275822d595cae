"""Decoded pixels, kept in their own type: in memory up to a limit, beyond that on disk.

On disk every item is a few `.npy` files under a name that contains the path, time and size of its
sources, opened as memory maps: several processes share the pages, and a small crop of a large
picture reads only its rows. Nothing depends on the cache: where it cannot be written or is full,
items are made again, and its folder may be deleted at any time.
"""

import hashlib
import os
import pathlib
import secrets
import shutil
import threading
from typing import Any

import numpy as np

from jgan import paths
from jgan.data import npy
from jgan.data import outputs

Planes = tuple[np.ndarray, ...]

# The disk is left alone when less than this would stay free.
_SPARE_BYTES = 1 << 30

# Systems allow some 65,000 memory maps per process.
_OPEN_MAPS = 8192


def folder(configured: str = "") -> pathlib.Path:
    """The cache folder: the configured one, or `jgan` in the user's cache folder."""
    if configured:
        return pathlib.Path(configured).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(home).expanduser() / "jgan" / "pixels"


def key(files: tuple[str, ...], recipe: str) -> str:
    """A name for what `recipe` makes of files in their present state (path, time, size)."""
    digest = hashlib.sha256(recipe.encode())
    for file in files:
        status = paths.status(file)
        described = f"\0{paths.absolute(file)}\0{status.version}\0{status.size}"
        digest.update(described.encode(errors="surrogateescape"))
    return digest.hexdigest()[:40]


class Cache:
    """Planes by name, in memory and on disk. Threads and processes may use it at the same time.

    A copy sent to another process starts with an empty memory and its `share` of the limit.
    """

    def __init__(self, bytes_in_memory: int, where: pathlib.Path | None, *, share: int = 0) -> None:
        """An empty cache.

        Args:
            bytes_in_memory: the limit of memory.
            where: the folder on disk; None: nothing is written to disk.
            share: the limit of memory of a copy in another process, in bytes.
        """
        self._limit, self._where, self._share = int(bytes_in_memory), where, int(share)
        self._memory, self._used, self._maps, self._lock = {}, 0, 0, threading.Lock()
        self._full = False

    def __getstate__(self) -> dict[str, Any]:
        """The settings of a copy for another process."""
        return {"limit": self._share, "where": self._where}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """An empty cache with these settings."""
        self.__init__(state["limit"], state["where"], share=state["limit"])

    def find(self, name: str) -> Planes | None:
        """The planes of that name; None where they are neither in memory nor on disk."""
        planes = self._memory.get(name)
        if planes is not None:
            return planes
        planes = self._load(name)
        if planes is None:
            return None
        self._keep(name, planes)
        return self._memory.get(name, planes)

    def put(self, name: str, planes: Planes, *, costly: bool = False) -> Planes:
        """Keeps planes that were made under that name, and returns them with contiguous memory.

        Planes that are `costly` to make go to disk even when memory has room, so that the next run can read them.
        """
        planes = tuple(np.ascontiguousarray(plane) for plane in planes)
        if not self._keep(name, planes) or costly:
            self._store(name, planes)
        return planes

    def _keep(self, name: str, planes: Planes) -> bool:
        """Keeps planes in memory if there is room; whether memory or a memory map has them now."""
        mapped = any(isinstance(plane.base, np.memmap) for plane in planes)
        size = sum(plane.nbytes for plane in planes)
        with self._lock:
            if name in self._memory:
                return True
            if self._used + size <= self._limit:
                self._memory[name] = tuple(map(np.array, planes)) if mapped else planes
                self._used += size
                return True
            if mapped and self._maps < _OPEN_MAPS:  # opening costs more than reading a crop
                self._memory[name] = planes
                self._maps += 1
            return mapped

    def _path(self, name: str) -> pathlib.Path:
        """The path of the planes of a name, without their numbers."""
        return self._where / name[:2] / name[2:]

    def _load(self, name: str) -> Planes | None:
        """The planes of that name on disk, as memory maps; None where they are not there."""
        if self._where is None:
            return None
        path, planes = self._path(name), []
        try:
            # The last plane was written first and the first one last: 0 means complete.
            while not planes or os.path.exists(f"{path}.{len(planes)}.npy"):
                planes.append(np.asarray(npy.mapped(f"{path}.{len(planes)}.npy")))
        except (OSError, ValueError):  # absent, or cut short by a crash
            return None
        return tuple(planes)

    def _store(self, name: str, planes: Planes) -> None:
        """Writes planes to disk, unless that is full or cannot be written to."""
        if self._where is None or self._full:
            return
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not outputs.is_written(self._where):  # it may lie among the pictures
                outputs.mark(self._where)
            needed = sum(plane.nbytes for plane in planes)
            if shutil.disk_usage(path.parent).free - needed < _SPARE_BYTES:
                raise OSError("the disk is nearly full")
            for index, plane in reversed(list(enumerate(planes))):
                draft = f"{path}.{secrets.token_hex(4)}.part"  # another process may write the same
                try:
                    with open(draft, "xb") as file:
                        np.save(file, plane, allow_pickle=False)
                    os.replace(draft, f"{path}.{index}.npy")
                finally:
                    pathlib.Path(draft).unlink(missing_ok=True)
        except OSError:
            self._full = True  # or read-only: from here on, items are made again
