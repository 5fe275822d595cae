"""Random access to drawn pictures as planes, as `examples` has it to files: facades and objects, nothing on disk."""

import jgan
from jgan.data import cache
from jgan.data import facades
from jgan.data import objects
from jgan.data import pairs

_STYLES = ("day", "dusk")  # of facades without pairs: A and B


def singles(data, split: str, size: int, store: cache.Cache) -> "Drawn":
    """Returns the drawn objects, or the photos of the drawn facades, of a split; errors as in `files`.

    The splits share no picture.
    """
    number, held_out = _split(data, split)
    seed = 2 * data.seed + held_out
    if data.source == "objects":
        return Drawn(objects.Objects(size, number, seed), (), "", store)
    return Drawn(facades.Facades(size, number, seed), ("photo",), "", store)


def files(data, split: str, size: int, store: cache.Cache) -> "Drawn":
    """Returns the built-in facades of a split at `size`, which shares no building with the other split.

    Raises:
      jgan.UserError: another split, or a number or size that cannot be drawn.
    """
    number, held_out = _split(data, split)
    source = facades.Facades(size, number, seed=2 * data.seed + held_out)
    return Drawn(source, ("photo",) if data.pair else ("labels", "photo"), data.pair, store)


def domains(data, split: str, size: int, store: cache.Cache) -> tuple["Drawn", "Drawn"]:
    """Returns built-in facades by day and at dusk; neither domains nor splits share a building.

    Errors as in `files`.
    """
    number, held_out = _split(data, split)
    seed = 4 * data.seed + 2 * held_out
    sources = [facades.Facades(size, number, seed + i, style) for i, style in enumerate(_STYLES)]
    return tuple(Drawn(source, ("photo",), "", store) for source in sources)


class Drawn:
    """Planes of drawn pictures, those of these keys if they have any; kept in memory only. Pickles."""

    files: dict[str, int] = {}
    halves = None

    def __init__(self, source, keys, pair, store):
        self._source, self._keys, self._pair, self._store = source, keys, pair, store
        self.bad, self.notes = [], []

    @property
    def names(self) -> list[str]:
        return [f"{index:05d}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> cache.Planes:
        return self._store.get(f"{self._source} {index}", lambda: self._make(index))

    def _make(self, index: int) -> cache.Planes:
        made = self._source[index]
        planes = tuple(made[key] for key in self._keys) if self._keys else (made,)
        return pairs.make(self._pair, planes[0]) if self._pair in pairs.WHOLE else planes


def _split(data, split: str) -> tuple[int, bool]:
    # How many pictures a split has, and whether it is the one for validation.
    if split not in (data.split, data.val_split):
        raise jgan.UserError(
            f"drawn pictures have no split {split!r}: there are {data.split}, {data.val_split}"
        )
    held_out = split == data.val_split != data.split
    return data.val_number if held_out else data.number, held_out
