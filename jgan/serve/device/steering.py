"""The sliders of the editor: along directions, towards the mean style, and by rows of styles towards a second photo.

All of it is arithmetic on the flat vectors of latents, in NumPy, so that no slider waits for a compilation.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

import jgan
from jgan import fields
from jgan import trained
from jgan.latent import codec as codec_lib
from jgan.latent import styles
from jgan.serve import session as sessions

REACH = 3.0  # of a direction, both ways, in its own length
TRUNCATION = "truncation"
MIX, ALONG = "mix_", "along_"  # beginnings of the names of sliders


class Steering:
    """The sliders of a run.

    Attributes:
        controls: {name: field} of the sliders, each at its default where nothing changes: `truncation`, `mix_coarse`
            and its like, `along_NAME` for each direction.
    """

    def __init__(self, run: trained.Run, directions: Mapping[str, Any]):
        """The sliders of a run, within its space, and of these directions, latents by name."""
        space, codec = run.space(), codec_lib.Codec.of(run.space())
        self._along = {ALONG + name: np.asarray(codec.flat(x)) for name, x in directions.items()}
        self.controls: dict[str, fields.Amount] = {}
        self._mixed: dict[str, np.ndarray] = {}
        if space.held is not None:
            # Where in the flat vector each number of each style is.
            places = space.held.rows(codec.latent(jnp.arange(codec.size, dtype=jnp.float32)))
            self._places = np.asarray(places).astype(np.int64)
            self._mean = np.asarray(space.held.mean)
            self.controls[TRUNCATION] = fields.Amount(0.0, 1.0, 1.0)
            number = len(self._places)
            for name, (begin, end) in styles.GROUPS.items():
                rows = self._places[begin:end]
                if number > 1 and len(rows):
                    self._mixed[MIX + name] = rows
                    self.controls[MIX + name] = fields.Amount(0.0, 1.0, 0.0)
        self.controls |= {name: fields.Amount(-REACH, REACH, 0.0) for name in self._along}

    def move(
        self, base: sessions.Latent, values: tuple[tuple[str, float], ...], second: sessions.Second | None
    ) -> sessions.Latent:
        """The latent that sliders give.

        Args:
            base: the latent at which all of them are neutral.
            values: (name, number) of those that are set; the others are neutral.
            second: the second photo, if one is open.

        Raises:
            jgan.UserError: there is no such slider, a number is beyond its range, or styles of a second photo are asked
                for and there is none.
        """
        for name, value in values:
            if name not in self.controls:
                known = ", ".join(self.controls) or "none"
                raise jgan.UserError(f"there is no slider {ascii(name[:60])}; there are {known[:1000]}.")
            fields.check(self.controls, {name: value})
        asked = {name: value for name, value in values if value != self.controls[name].default}
        x = np.array(base, np.float64)
        for name, rows in self._mixed.items():
            if name in asked and second is None:
                raise jgan.UserError("styles are mixed with those of a second photo: open one first.")
            if name in asked:
                x[rows] += asked[name] * (np.asarray(second.latent)[rows] - x[rows])
        if TRUNCATION in asked:
            x[self._places] += (1 - asked[TRUNCATION]) * (self._mean - x[self._places])
        for name, vector in self._along.items():
            x += asked.get(name, 0.0) * vector
        return tuple(x.tolist())
