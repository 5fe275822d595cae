"""How many numbers a code of DCGAN needs: 2, 8, 32 or 100.

    python -m launch.sweep --sweep=configs/sweeps/dcgan_latent.py --config.data.root=DIR --workdir=DIR
    python -m launch.sweep --sweep=configs/sweeps/dcgan_latent.py:objects32 --workdir=DIR
    python -m launch.report --workdir=DIR --set_scores

Presets: none, the usual 64 px net on a folder of pictures; `objects32`, drawn products for two cores; `tiny`, for
tests. A drawn product is one of eight families with about twelve independent factors. No paper has this
table: DCGAN's codes have 100 numbers (Radford et al. 2016).
"""

from configs.sweeps import common
from jgan import sweeps

VARIANTS = sweeps.named("latent.nz", {"z2": 2, "z8": 8, "z32": 32, "z100": 100})


def get_sweep(arg: str = "") -> sweeps.Sweep:
    """The sweep of a preset."""
    config, base = common.choose(
        {
            "": ("configs/dcgan.py", {}),
            "objects32": ("configs/dcgan.py:demo", common.OBJECTS32),
            "tiny": ("configs/dcgan.py:tiny", common.UNPREDICTED),
        },
        arg,
    )
    return sweeps.Sweep(config, VARIANTS, base, reference="z100")
