"""Makes a run of other people's weights: python -m launch.import_weights --input=latest_net_G.pth --workdir=RUN

What is in the files is recognised by names and shapes alone: nets of pytorch-CycleGAN-and-pix2pix and of CUT, StyleGAN2
in the files of its authors, of rosinality, of TensorFlow and inside pSp, e4e and HyperStyle, and iGAN's. --input may
be given several times, for a generator and its discriminator; generators whose names end in _A and _B make a CycleGAN.
Nothing in a file is run.
"""

from absl import flags

import launch

_INPUT = flags.DEFINE_multi_string("input", [], "a file of weights; may be repeated")
_WORKDIR = flags.DEFINE_string("workdir", "", "directory for the run")
_DIRECTION = flags.DEFINE_enum(
    "direction", "AtoB", ["AtoB", "BtoA"], "of pairs side by side: which half a single generator starts from"
)
_STATISTICS = flags.DEFINE_enum(
    "statistics",
    "image",
    ["image", "running"],
    "what normalises: each image, as batch norm in train mode with a batch of one, or training's averages (eval mode)",
)
_DROPOUT = flags.DEFINE_bool(
    "dropout", None, "dropout is on when pictures are made; by default in a pix2pix whose net has any"
)
_SIZE = flags.DEFINE_integer(
    "size", 0, "pixels a side for training; 0: 256, or what the net needs", lower_bound=0
)
_INVERTED = flags.DEFINE_bool(
    "inverted", True, "grey pictures of iGAN are stored as 255 minus what people see"
)
_PALETTE = flags.DEFINE_string("palette", "", "JSON file of class colours, for the scores of label maps")
_NAMES = flags.DEFINE_list("names", [], "of the classes of a generator with labels; by default their numbers")


def main() -> None:
    from jgan.programs import import_plans
    from jgan.programs import import_weights
    from launch import config_files

    choices = import_plans.Choices(
        _DIRECTION.value,
        _STATISTICS.value,
        _DROPOUT.value,
        _SIZE.value,
        _INVERTED.value,
        _PALETTE.value,
        tuple(_NAMES.value),
    )
    with import_weights.claimed(_WORKDIR.value):
        imported = import_weights.read(_INPUT.value, config_files.get, choices)
        widths = [max(map(len, column)) for column in list(zip(*imported.table, strict=True))[:2]]
        for file, net, told in imported.table:
            print(f"{file:{widths[0]}}  {net:{widths[1]}}  {told}")
        size = import_weights.write(imported, _WORKDIR.value)
    absent = f"; no {' and no '.join(imported.absent)}" if imported.absent else ""
    print(f"{_WORKDIR.value}: a run of {imported.config.system}, {size / 2**20:.1f} MiB of weights{absent}")
    if imported.config.system == "stylegan2":
        print("weights that NVIDIA has published are for non-commercial use only")
    print(f"to go on training: {import_weights.command(_WORKDIR.value)}")


if __name__ == "__main__":
    launch.run(main, required=("input", "workdir"), paths=("palette",))
