"""The program of edits: its flags reach the edit, and mistakes end in one sentence and status 2."""

import json
import subprocess
import sys

import numpy as np
import pytest

from configs import dcgan
from configs import pix2pix
from jgan.data import images
from jgan.programs import train
from jgan.runs import config as run_config


def program(*flags):
    command = [sys.executable, "-m", "launch.edit", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def edit(path, **changes):
    stroke = {"brush": "colour", "points": [[6, 6], [20, 12]], "width": 4, "colour": [255, 0, 0]}
    tree = {"format": "jgan-edit", "version": 1, "space": "z", "size": [20, 30], "strokes": [stroke]}
    path.write_text(json.dumps(tree | changes))
    return path


def told(done):
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    return done.stderr


def test_what_must_be_given_is_told(tmp_path):
    run_config.write(str(tmp_path), dcgan.get_config("demo"))
    assert "--output must be given" in told(program("--workdir=run"))
    flags = (f"--workdir={tmp_path}", "--output=out")
    assert "--edit, or one of --directions, --morph" in told(program(*flags))
    assert "--mix and --truncate are one change each" in told(
        program(*flags, "--truncate=0.5", f"--mix={tmp_path / 'config.json'}")
    )
    assert "--rows goes with --directions or --mix alone" in told(
        program(*flags, "--truncate=0.5", "--rows=0")
    )


def test_a_run_that_translates_is_refused(tmp_path):
    config = pix2pix.get_config("demo")
    config.data.channels = (3, 3)
    run_config.write(str(tmp_path), config)
    flags = [
        f"--workdir={tmp_path}",
        f"--edit={edit(tmp_path / 'edit.json')}",
        f"--output={tmp_path / 'out'}",
    ]
    assert "is a run of pix2pix, which translates pictures" in told(program(*flags))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_photo_is_edited_by_a_run(tmp_path):
    config = dcgan.get_config()
    config.update_from_flattened_dict(
        {
            "steps": 3,
            "statistics_steps": 1,
            "batch_size": 2,
            "data.source": "objects",
            "data.size": 16,
            "data.load_size": 16,
            "data.number": 4,
            "data.val_number": 2,
            "latent.nz": 5,
            "generator.ngf": 4,
            "discriminator.ndf": 4,
        }
    )
    train.train(config, str(tmp_path / "run"))
    images.write(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
    flags = [
        f"--workdir={tmp_path / 'run'}",
        f"--edit={edit(tmp_path / 'edit.json')}",
        f"--image={tmp_path / 'photo.png'}",
        *("--candidates=3", "--top_k=2", "--iterations=2", "--frames=3", "--starts=1", "--evaluations=4"),
    ]
    done = program(*flags, f"--output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "of 3 candidates kept" in done.stdout and "photo of 30 x 20 pixels" in done.stdout
    assert images.read(tmp_path / "out" / "photo.png").shape == (20, 30, 3)
    assert (tmp_path / "out" / "index.html").exists()
    # A run of no predictor, asked for what needs one.
    assert "predictor" in told(program(*flags, "--method=hybrid", f"--output={tmp_path / 'no'}"))
    assert not (tmp_path / "no").exists()
