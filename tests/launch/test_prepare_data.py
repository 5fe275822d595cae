"""The program prepares a folder, or says in one sentence why not."""

import subprocess
import sys

import numpy as np

from jgan.data import images


def program(*flags):
    command = [sys.executable, "-m", "launch.prepare_data", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_folder_becomes_a_set_and_a_mistake_is_one_sentence(tmp_path):
    for split in ("trainA", "trainB"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        images.write(tmp_path / "photos" / split / "1.png", np.zeros((4, 4, 3), np.uint8))
    sets = f"--data_dir={tmp_path / 'sets'}"
    done = program("--name=mine", f"--folder={tmp_path / 'photos'}", sets)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'sets' / 'mine' / '1.0.0'}: trainA 1, trainB 1\n"
    done = program("--name=cycle_gan/horse3zebra", sets)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: cycle_gan has no configuration 'horse3zebra'")
