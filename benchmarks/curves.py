"""How projections come down: the cost of each method against evaluations, and known latents found again.

    python -m benchmarks.curves --workdir=RUN [--images=32] [--starts=64] [--known=32]

The run needs a predictor (`configs/dcgan.py:objects64_predictor`). Pictures are drawn objects that no run was
trained on; the cost is that of `launch.project`, pixels and the discriminator's features. An evaluation is one pass
of the generator forward and back, those of line searches included; each method has one start.

Then two questions: whether one hybrid start with 320 evaluations does as well as the best of 64 random
ones with 100, and whether images of known latents, projected with the default budget of `launch.project`, come back.

The last line of the output is one JSON object:

    cost            {method: {evaluations: median cost over the images}}
    cost_of_many    median cost of the best of --starts random starts with 100 evaluations each
    below_many      share of the images whose hybrid cost is at or below that of the many
    recovered       share of the known latents whose image's median pixel error is below 1e-3 of the range
    known_error     the median over images of that median pixel error, as a share of the range
"""

import json

from absl import flags

import launch

WORKDIR = flags.DEFINE_string("workdir", "", "A run of dcgan on drawn objects with a predictor.")
IMAGES = flags.DEFINE_integer("images", 32, "How many drawn objects.", lower_bound=1)
STARTS = flags.DEFINE_integer(
    "starts", 64, "Random starts that hybrid is held against; 0: none.", lower_bound=0
)
KNOWN = flags.DEFINE_integer("known", 32, "How many known latents; 0: none.", lower_bound=0)

AT = (1, 20, 100, 320)
MANY = 100  # evaluations of each of the many starts
DEFAULT_STARTS = 4  # of launch.project


def main():
    import jax
    import numpy as np

    from jgan import trained
    from jgan.data import objects
    from jgan.latent import projection
    from jgan.programs import project as project_lib

    run = trained.load(WORKDIR.value, latent=True)
    size, number = run.config.data.size, IMAGES.value
    drawn = objects.Objects(size, number, seed=987_654)
    pictures = np.stack([drawn[k] for k in range(number)]).astype(np.float32) / 127.5 - 1

    def projected(pictures, evaluations, **choices):
        projects = project_lib.projector(
            run, settings=projection.Settings(evaluations=evaluations), history=True, **choices
        )
        parts = []
        for k in range(0, len(pictures), projects.batch):
            part = pictures[k : k + projects.batch]
            parts.append(projects(part, np.ones(part.shape[:3], np.float32), range(k, k + len(part))))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)

    report = {"cost": {}}
    found = {}
    for method in ("optimise", "network", "hybrid"):
        found[method], _ = projected(pictures, max(AT), method=method, starts=1)
        past = np.median(found[method].history, 0)
        report["cost"][method] = {n: round(float(past[n - 1]), 5) for n in AT}
        print(f"{method:9}" + "".join(f"  {n}: {past[n - 1]:.5f}" for n in AT), flush=True)
    if STARTS.value:
        many, _ = projected(pictures, MANY, method="optimise", starts=STARTS.value, batch=1)
        report["cost_of_many"] = float(np.median(many.cost))
        report["below_many"] = float(np.mean(found["hybrid"].cost <= many.cost))
        print(f"best of {STARTS.value} x {MANY}: {report['cost_of_many']:.5f}", flush=True)
    if KNOWN.value:
        space = run.space()
        latents = jax.vmap(space.sample)(jax.random.split(jax.random.key(3), KNOWN.value))
        wanted = np.asarray(jax.jit(jax.vmap(space.generate))(latents))
        _, made = projected(wanted, projection.DEFAULT.evaluations, method="hybrid", starts=DEFAULT_STARTS)
        errors = np.median(np.abs(made - wanted), (1, 2, 3)) / 2  # the range is 2
        report["recovered"] = float(np.mean(errors < 1e-3))
        report["known_error"] = float(np.median(errors))
    print(json.dumps(report))


if __name__ == "__main__":
    launch.run(main, required=("workdir",))
