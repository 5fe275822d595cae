"""Draws from a run with a latent space: python -m launch.sample --workdir=RUN --output=DIR --number=64 --seed=0

The same seed draws the same codes; a larger number goes on where a smaller one ended.
"""

from absl import flags

import launch

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_OUTPUT = flags.DEFINE_string("output", "", "folder for what is drawn")
_NUMBER = flags.DEFINE_integer("number", 64, "how many pictures")
_SEED = flags.DEFINE_integer("seed", 0, "of the codes")
_FORMAT = flags.DEFINE_enum(
    "format", "files", ["files", "grid", "npz"], "a PNG each, one grid, or images and codes in samples.npz"
)
_WALK = flags.DEFINE_integer("walk", 0, "instead, walk through so many codes: walk.webp and walk.png")
_STEP = flags.DEFINE_string("step", "latest", "checkpoint: latest, best or a number")


def main() -> None:
    from jgan import evaluate
    from jgan import samples

    samples.write(
        evaluate.load_run(_WORKDIR.value, evaluate.parse_step(_STEP.value), latent=True),
        _OUTPUT.value,
        number=_NUMBER.value,
        seed=_SEED.value,
        form=_FORMAT.value,
        stations=_WALK.value,
    )


if __name__ == "__main__":
    launch.run(main, required=("workdir", "output"))
