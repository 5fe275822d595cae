"""Prepares a named data set: python -m launch.prepare_data --name=cycle_gan/horse2zebra [--data_dir=DIR]

A run then reads it with --config.data.source=tfds:cycle_gan/horse2zebra [--config.data.root=DIR].

Your own images become such a set with --name=MY_SET --folder=FOLDER, each sub-folder (trainA, trainB, ...) a split.
"""

from absl import flags

import launch

_NAME = flags.DEFINE_string(
    "name", "", "NAME or NAME/CONFIG of TensorFlow Datasets, or a new name for --folder"
)
_FOLDER = flags.DEFINE_string("folder", "", "images to make a set of, in one folder for each split")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "where sets are kept; by default as in TensorFlow Datasets")


def main() -> None:
    from jgan.data import prepare
    from jgan.data.sources import named

    if _FOLDER.value:
        prepare.from_folder(_NAME.value, _FOLDER.value, _DATA_DIR.value)
    else:
        prepare.from_name(_NAME.value, _DATA_DIR.value)
    builder = named.open_set(_DATA_DIR.value, _NAME.value)
    splits = ", ".join(f"{split} {info.num_examples}" for split, info in sorted(builder.info.splits.items()))
    print(f"{builder.data_dir}: {splits}")


if __name__ == "__main__":
    launch.run(main, required=("name",))
