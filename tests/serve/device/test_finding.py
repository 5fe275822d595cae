"""The search of photos in the engine, in a space with maps of noise: what `launch.project` and Image2StyleGAN++ do."""

import functools
import types

import jax
import numpy as np
import pytest

from jgan.latent import codec as codec_lib
from jgan.latent import embedding
from jgan.programs import project
from jgan.serve.device import finding

pytestmark = pytest.mark.usefixtures("quick_convolutions")


class Engine:
    """One that has the programs of searches alone, of few evaluations, and compiles each when it is asked for."""

    def __init__(self, run, **changes):
        self.run, self.compiled = run, []
        search = finding.choose(run)
        self.search = {**search, "settings": search["settings"]._replace(**changes)}
        self.codec = codec_lib.Codec.of(run.space())
        made = finding.sources(run, self.codec, self.search)
        self._made = {
            name: functools.cache(lambda source=source: jax.jit(source()[0])) for name, source in made.items()
        }
        self.programs = types.SimpleNamespace(
            evaluations=finding.evaluations(run, self.search), get=lambda name: self.draw
        )

    def draw(self, weights, latent):
        image = jax.jit(lambda w, x: self.run.space(w).generate(self.codec.latent(x)))(weights, latent)
        return image, np.asarray(image)

    def under(self, given):
        return self.run.weights

    def program(self, name):
        yield None
        self.compiled.append(name)
        return self._made[name]()


def ended(parts):
    """(what a job's parts return, the shares that they told)."""
    told = []
    while True:
        try:
            told.append(next(parts))
        except StopIteration as end:
            return end.value, [x for x in told if x is not None]


def test_a_crossover_is_searched_for_in_styles_and_then_in_maps(styles_run):
    run = styles_run.within("w_plus_noise")
    assert finding.choose(run) == project.choose(run)
    engine = Engine(run, evaluations=20, noise_evaluations=60)
    plain = np.ones((16, 16, 3), np.float32) * np.float32([0.5, -0.2, 0.1])
    left = np.broadcast_to(np.arange(16) < 8, (16, 16)).astype(np.float32)
    share = np.asarray(embedding.blurred(left))
    photos = ((0.4 * plain, 1 - share), (-plain, share))
    (latent, cost, made), told = ended(finding.found(engine, "cross", photos, 3, ()))
    assert engine.compiled == ["cross", "cross_on", "cross_maps", "cross_maps_on"]
    assert told == sorted(told) and told[-1] == 1
    for mask, near, far in ((left, -plain, 0.4 * plain), (1 - left, 0.4 * plain, -plain)):
        off = [np.sum(mask[..., None] * np.square(made - x)) for x in (near, far)]
        assert off[0] < 0.1 * off[1]
    # The maps moved after the styles, and both are in the latent.
    found = engine.codec.latent(np.float32(latent))
    own = run.space().rows.styles.maps
    assert max(np.abs(a - b).max() for a, b in zip(found["noise"], own, strict=True)) > 1e-3
    middle = run.space().rows.styles.middle()
    assert np.ptp(found["w_plus"], axis=0).max() > 1e-3 and np.abs(found["w_plus"] - middle).max() > 1e-2
    assert cost < 0.05


def test_a_space_that_declares_no_search_is_searched_from_several_starts(latent_run):
    run = latent_run()
    search = finding.choose(run)
    assert (search["method"], search["starts"]) == ("optimise", 4)
    assert finding.evaluations(run, search) == {"": 160}
    assert set(finding.sources(run, codec_lib.Codec.of(run.space()), search)) == {
        *("project", "project_on", "cross", "cross_on")
    }
