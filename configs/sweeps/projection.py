"""Projection of the same photos by one run: methods and starts (iGAN), spaces and starts (Image2StyleGAN).

    python -m launch.sweep --sweep=configs/sweeps/projection.py --run=RUN --images=PHOTOS --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/projection.py:styles --run=RUN --images=PHOTOS --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/projection.py:objects64 --workdir=DIR

Presets: none, for a run with a predictor (configs/dcgan.py); `styles`, for a run with styles (configs/stylegan2.py);
`objects64`, the same by models/objects64 with one start and fewer evaluations, for two cores; `tiny`, for tests.
"""

from configs.sweeps import common
from jgan import sweeps

# Zhu et al. (2016), section 3.1, where the hybrid has one start.
METHODS = (
    ("network", {"method": "network"}),
    *sweeps.product(
        sweeps.named("method", {"optimise": "optimise", "hybrid": "hybrid"}),
        sweeps.named("starts", {"1": 1, "4": 4}),
    ),
)
STARTS = (
    ("mean", {"method": "mean"}),
    ("random", {"method": "optimise"}),
    ("random4", {"method": "optimise", "starts": 4}),
)
SPACES = sweeps.named("space", {"w": "w", "w_plus": "w_plus", "w_plus_noise": "w_plus_noise"})
# The abstract says so of the two spaces; section 3 of Image2StyleGAN (2019) starts from the mean.
PAPER = {"w_plus_mean": {"psnr": 20.0}, "w_plus_noise_mean": {"psnr": 45.0}}
SOURCE = "Abdal et al. (2020), Image2StyleGAN++, abstract: StyleGAN of faces, 1024 pixels"

_SHORT = 100  # evaluations


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    maps = {"noise_evaluations": _SHORT}
    shorter = tuple(
        (name, {**flags, **maps} if "noise" in name else flags)
        for name, flags in sweeps.product(SPACES, STARTS[:2])
    )
    run, variants, base = common.choose(
        {
            "": ("", METHODS, {}),
            "styles": ("", sweeps.product(SPACES, STARTS), {}),
            "objects64": ("models/objects64", shorter, {"evaluations": _SHORT}),
            "tiny": ("", METHODS, {"evaluations": 3}),
        },
        arg,
    )
    if variants is METHODS:
        return sweeps.Sweep(run, variants, base, reference="hybrid_1", program="project")
    return sweeps.Sweep(
        run, variants, base, reference="w_mean", paper=PAPER, source=SOURCE, program="project"
    )
