"""A generator that makes images from styles, as a way and as latent spaces of a system.

Karras et al. (2019, 2020): `w` is one style for all layers. Abdal et al., "Image2StyleGAN" (2019): `w_plus` is one for
each of them. Abdal et al., "Image2StyleGAN++" (2020): `w_plus_noise` has the maps of noise besides. Everywhere else
noise is what the run drew once, so that equal codes give equal images.

The maps in latents of `w_plus_noise` are those that are added to activations: the net's noise times its strength. A
layer whose strength is 0 can so be given noise too, and a search moves all layers alike. Generators of
pictures without grain end with strengths near 0, and maps before the strength would then move nothing.
"""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jgan import fields
from jgan import space as space_lib
from jgan.nets import net as net_lib
from jgan.nets import stylegan2 as nets_lib
from jgan.systems import system

# At 1 a style is as the mapping made it, at 0 it is the mean of all.
_TRUNCATION = fields.Amount(0.0, 1.0, 1.0)
_DRAWS = 10_000  # styles of which StyleGAN2's projector takes mean and deviation
# How styles are searched for: StyleGAN2's projector, in fewer steps.
_SEARCH = {
    "method": "mean",
    "starts": 1,
    "optimiser": "adam",
    "evaluations": 300,
    "learning_rate": 0.1,
    "ramp_up": 0.05,
    "ramp_down": 0.25,
    "style_noise": 0.05,
}
# Rows that move apart from the mean on end farther from what they should draw than those that begin where W ends.
_SEARCH_ROWS = {**_SEARCH, "shared": 0.25, "style_noise_until": 0.25}
SEARCHES = {
    "w": _SEARCH,
    "w_plus": _SEARCH_ROWS,
    "w_plus_noise": {**_SEARCH_ROWS, "noise_evaluations": 300},
}


class Generator(NamedTuple):
    """The nets `mapping` and `synthesis` of a system.

    Attributes:
        mapping: from codes [n, z_dim], and labels [n, k] where there are classes, to styles [n, w_dim].
        synthesis: from styles [n, rows, w_dim] and noise to images.
        size: height and width of the images.
        z_dim: numbers of a code.
        label: the classes, if the run has any.
    """

    mapping: net_lib.Net
    synthesis: net_lib.Net
    size: int
    z_dim: int
    label: fields.Label | None = None

    @property
    def rows(self) -> int:
        """How many styles an image takes."""
        return nets_lib.rows(self.size)

    def style(
        self, weights: dict[str, Any], z: jax.Array, label: jax.Array, truncation: jax.Array
    ) -> jax.Array:
        """Styles [n, w_dim] of codes [n, z_dim], labels [n] (unused without classes) and truncations [n] or []."""
        named = () if self.label is None else (jax.nn.one_hot(label, len(self.label.names), dtype=z.dtype),)
        w, _ = self.mapping.apply(weights["params"]["mapping"], {}, z, *named)
        mean = weights["stats"]["mapping"]["w_avg"]
        return mean + jnp.reshape(truncation, (-1, 1)).astype(w.dtype) * (w - mean)

    def images(self, weights: dict[str, Any], ws: jax.Array, noise: Any = None) -> jax.Array:
        """Images [n, size, size, c] of styles [n, w_dim] or [n, rows, w_dim], under the run's noise unless it is given.

        They are clipped to [-1, 1] nowhere.
        """
        if noise is None:
            noise = nets_lib.constant_noise(weights["stats"]["synthesis"], self.size)
        return self._synthesised(weights["params"]["synthesis"], ws, noise)

    def _synthesised(
        self, params: Any, ws: jax.Array, noise: tuple[jax.Array, ...], *change: Any
    ) -> jax.Array:
        if ws.ndim == 2:
            ws = jnp.broadcast_to(ws[:, None], (ws.shape[0], self.rows, ws.shape[1]))
        return self.synthesis.apply(params, {}, ws, noise, *change)[0]

    def way(self) -> system.Way:
        """The way from codes to images; what is not set is drawn."""
        controls: dict[str, fields.Field] = {} if self.label is None else {"label": self.label}
        controls |= {"z": fields.Code(("z",)), "truncation": _TRUNCATION}

        def run(
            weights: dict[str, Any],
            inputs: dict[str, jax.Array],
            key: jax.Array | None = None,
            *,
            statistics: str = "running",
            dropout: bool = False,
        ) -> dict[str, jax.Array]:
            """{"output": [n, size, size, c]} of codes `z` [n, z_dim], a `label` [n] and a `truncation` [n].

            As many as there are of what is set, or else one.
            """
            del statistics, dropout  # it has neither
            z, label = inputs.get("z"), inputs.get("label")
            truncation = jnp.asarray(inputs.get("truncation", _TRUNCATION.default), jnp.float32)
            n = max([1, *(x.shape[0] for x in (z, label, truncation) if jnp.ndim(x) > 0)])
            if z is None:
                z = jax.random.normal(jax.random.fold_in(key, 0), (n, self.z_dim))
            if label is None:
                label = 0
                if self.label is not None:
                    label = jax.random.randint(jax.random.fold_in(key, 1), (n,), 0, len(self.label.names))
            z = jnp.broadcast_to(jnp.asarray(z), (n, self.z_dim))
            label, truncation = (jnp.broadcast_to(jnp.asarray(x), (n,)) for x in (label, truncation))
            return {"output": self.images(weights, self.style(weights, z, label, truncation))}

        return system.Way(run, controls=controls, target="images")

    def spaces(self) -> Mapping[str, Callable[[Any, Any], space_lib.Space]]:
        """{name: `system.Codes.space`} of z, w, w_plus and w_plus_noise."""
        return {
            "z": self._codes,
            "w": self._styles,
            "w_plus": self._rows,
            "w_plus_noise": self._rows_and_noise,
        }

    def _drawn(self, weights: Any, given: Any) -> Callable[[jax.Array], jax.Array]:
        """`codes [n, z_dim] -> styles [n, w_dim]` under a class, the first if none is given, and a truncation."""
        label = jnp.asarray(given.get("label", 0))
        truncation = jnp.asarray(given.get("truncation", _TRUNCATION.default))
        return lambda z: self.style(weights, z, jnp.broadcast_to(label, z.shape[:1]), truncation)

    def _codes(self, weights: dict[str, Any], given: dict[str, Any]) -> space_lib.Space:
        """The codes of the prior, [z_dim]."""
        style = self._drawn(weights, given)
        return _space(
            "z",
            lambda key: jax.random.normal(key, (self.z_dim,)),
            lambda z: self.images(weights, style(z[None]))[0],
        )

    def _styles(self, weights: dict[str, Any], given: dict[str, Any]) -> space_lib.Space:
        """One style for all layers, [w_dim]."""
        made = self._of_styles("w", lambda w: w, weights, given)
        return made._replace(held=self._held(weights, lambda w: w[None], lambda _, rows: rows[0]))

    def _rows(self, weights: dict[str, Any], given: dict[str, Any]) -> space_lib.Space:
        """A style for each layer, [rows, w_dim]; drawn ones are all the same."""
        made = self._of_styles("w_plus", lambda w: jnp.tile(w, (self.rows, 1)), weights, given)
        return made._replace(held=self._held(weights, lambda ws: ws, lambda _, rows: rows))

    def _of_styles(
        self,
        name: str,
        latent: Callable[[jax.Array], jax.Array],
        weights: dict[str, Any],
        given: dict[str, Any],
    ) -> space_lib.Space:
        """A space of styles; `latent` makes one from a style [w_dim]."""
        style = self._drawn(weights, given)
        params = weights["params"]["synthesis"]
        strengths = nets_lib.noise_strengths(params, self.size)
        own = nets_lib.constant_noise(weights["stats"]["synthesis"], self.size)

        def draw(key: jax.Array, n: int) -> jax.Array:
            return style(jax.random.normal(key, (n, self.z_dim)))

        def middle() -> jax.Array:
            return jnp.mean(draw(jax.random.key(0), _DRAWS), 0)

        def deviation() -> jax.Array:
            drawn = draw(jax.random.key(0), _DRAWS)
            return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(drawn - jnp.mean(drawn, 0)), -1)))

        def changed(latents: jax.Array, maps: tuple[jax.Array, ...], *change: Any) -> jax.Array:
            return self._synthesised(_of_strength_one(params), latents, maps, *change)

        def image(latent: jax.Array, maps: tuple[jax.Array, ...]) -> jax.Array:
            return changed(latent[None], tuple(x[None] for x in maps))[0]

        known = space_lib.Styles(
            draw,
            latent,
            lambda: latent(middle()),
            deviation,
            tuple(x[0] * strength for x, strength in zip(own, strengths, strict=True)),
            strengths,
            lambda ws: jnp.broadcast_to(jnp.mean(ws, 0), ws.shape) if ws.ndim > 1 else ws,
            image,
            changed,
        )
        made = _space(name, lambda key: latent(draw(key, 1)[0]), lambda ws: self.images(weights, ws[None])[0])
        return made._replace(styles=known)

    def _rows_and_noise(self, weights: dict[str, Any], given: dict[str, Any]) -> space_lib.Space:
        """{"w_plus": [rows, w_dim], "noise": maps [r, r, 1] as they are added}; drawn ones have new noise."""
        rows = self._rows(weights, given)
        styles = rows.styles

        def sample(key: jax.Array) -> dict[str, Any]:
            k_style, k_noise = jax.random.split(key)
            drawn = nets_lib.draw_noise(k_noise, 1, self.size)
            noise = tuple(x[0] * strength for x, strength in zip(drawn, styles.strengths, strict=True))
            return {"noise": noise, "w_plus": rows.sample(k_style)}

        def generate(latent: dict[str, Any]) -> jax.Array:
            return styles.image(latent["w_plus"], latent["noise"])

        made = _space("w_plus_noise", sample, generate)
        held = self._held(weights, lambda x: x["w_plus"], lambda x, rows: {**x, "w_plus": rows})
        return made._replace(held=held, rows=rows)

    def _held(
        self, weights: dict[str, Any], rows: Callable[[Any], jax.Array], put: Callable[[Any, jax.Array], Any]
    ) -> space_lib.Held:
        """The styles of a space whose latents hold them so."""
        affine = nets_lib.affines(weights["params"]["synthesis"], self.size)
        return space_lib.Held(weights["stats"]["mapping"]["w_avg"], rows, put, affine)


def _of_strength_one(params: dict[str, Any]) -> dict[str, Any]:
    """A synthesis that adds maps of noise as they are."""

    def one(path: Any, x: jax.Array) -> jax.Array:
        return jnp.ones_like(x) if path[-1].key == "noise_strength" else x

    return jax.tree_util.tree_map_with_path(one, params)


def _space(
    name: str, sample: Callable[[jax.Array], Any], generate: Callable[[Any], jax.Array]
) -> space_lib.Space:
    """An unbounded space. The distance of two latents is the mean square of their difference, array by array."""

    def distance(a: Any, b: Any) -> jax.Array:
        return sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.mean(jnp.square(a - b)), a, b)))

    return space_lib.Space(
        name, sample, free=lambda x: x, bound=lambda u: u, generate=generate, distance=distance
    )
