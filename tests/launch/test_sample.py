"""Drawing from a run: what a run with a latent space leaves, what launch.sample writes, and what it refuses."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from configs import dcgan
from configs import pix2pix
import jgan
from jgan import trained
from jgan.data import images
from jgan.programs import draws
from jgan.programs import evaluate
from jgan.programs import sample
from jgan.programs import train
from jgan.programs import translate
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.runs import warnings
from tests import cells
from tests.changed import with_codes
from tests.interrupted import sigterm_after

TINY = {
    "steps": 7,
    "statistics_steps": 2,
    "batch_size": 2,
    "ema": 0.9,
    "data.source": "objects",
    "data.size": 16,
    "data.load_size": 16,
    "data.number": 6,
    "data.val_number": 3,
    "latent.nz": 5,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
    "predictor.ndf": 4,
    "predictor.steps": 2,
    "predictor.statistics_steps": 1,
    "predictor.feature_weight": 0.0,
    "log_every": 1,
    "sample_every": 2,
    "validate_every": 2,
    "save_every": 3,
    "best": "l1",
}


def tiny(**changes):
    config = dcgan.get_config()
    config.update_from_flattened_dict({**TINY, **changes})
    return config


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, drawn_run):
    """The directory of a finished run of drawn weights."""
    workdir = tmp_path_factory.mktemp("drawn") / "run"
    workdir.mkdir()
    config = tiny()
    config.data.channels = (3,)
    drawn_run(str(workdir), config, config.steps)
    return workdir


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("dcgan") / "run"
    train.train(tiny(), str(workdir))
    return workdir


@pytest.mark.slow
def test_a_run_shows_what_it_makes_and_scores_only_what_it_predicts(finished):
    names = {path.name for path in (finished / "samples").iterdir()}
    assert names == {f"{step:06d}.png" for step in (0, 2, 4, 6, 7)} | {"interpolation.png", "walk.webp"}
    with Image.open(finished / "samples" / "walk.webp") as walk:
        assert walk.n_frames == 128 and walk.info["loop"] == 0
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "val_l1" in line] == [6, 7]
    assert [line["step"] for line in lines if "g_loss" in line] == [1, 2]
    assert [line["step"] for line in lines if "p_loss" in line] == [5, 6]
    assert not warnings.of_log(lines)
    page = (finished / "index.html").read_text()
    assert "samples/walk.webp" in page and "samples/interpolation.png" in page
    # Before the predictor learns a grid has 64 samples, then images beside what their codes give.
    grids = [images.read(finished / "samples" / f"{step:06d}.png") for step in (4, 6)]
    assert [len(cells.cells(grid)) for grid in grids] == [8, 1]


def test_files_grid_and_arrays_show_the_same_codes(drawn, tmp_path):
    loaded = trained.load(str(drawn), latent=True)
    for form in ("files", "grid", "npz"):
        sample.write(loaded, str(tmp_path), number=3, seed=5, form=form)
    stored = np.load(tmp_path / "samples.npz")
    assert stored["images"].shape == (3, 16, 16, 3) and stored["z"].shape == (3, 5)
    space = loaded.space()
    expected = jax.vmap(space.generate)(jnp.asarray(stored["z"]))
    np.testing.assert_allclose(stored["images"] / 127.5 - 1, expected, atol=0.6 / 127.5)
    for k in range(3):
        np.testing.assert_array_equal(images.read(tmp_path / f"{k:04d}.png"), stored["images"][k])
    shown = cells.cells(images.read(tmp_path / "grid.png"))[0]
    np.testing.assert_array_equal(shown[0][::7, ::7], stored["images"][0])  # enlarged to 112 pixels
    # A larger number goes on where this one ended; another seed is another choice.
    sample.write(loaded, str(tmp_path), number=70, seed=5, form="npz")
    more = np.load(tmp_path / "samples.npz")
    np.testing.assert_array_equal(more["z"][:3], stored["z"])
    np.testing.assert_array_equal(more["images"][:3], stored["images"])
    assert len(more["images"]) == 70
    assert not np.array_equal(draws.codes(space, 6, 3), stored["z"])


def test_a_walk_is_closed_and_stops_at_its_codes(drawn):
    loaded = trained.load(str(drawn), latent=True)
    space = loaded.space()
    visited = []

    def generate(codes):
        visited.append(np.asarray(codes))
        return jnp.zeros((len(codes), 8, 8, 3))

    frames = draws.walk(space, generate, seed=1, stations=3, between=4)
    path, stations = np.concatenate(visited)[:12], draws.codes(space, 1, 3)
    assert frames.shape == (12, 8, 8, 3)
    np.testing.assert_allclose(path[::4], np.clip(stations, -0.99, 0.99), atol=1e-5)
    steps = np.linalg.norm(np.roll(path, -1, 0) - path, axis=1).reshape(3, 4)
    # From the last code back to the first, at an even pace but for where the bounds cut.
    assert np.all(steps < 0.6 * np.linalg.norm(np.roll(stations, -1, 0) - stations, axis=1)[:, None])


def test_a_way_between_two_codes_keeps_their_length():
    space = train.SYSTEMS["dcgan"](tiny(**{"latent.prior": "normal"})).spaces["z"].space({}, {})
    a, b = jnp.array([3.0, 0, 0, 0, 0]), jnp.array([0, 3.0, 0, 0, 0])
    middle, same, opposite = draws.arcs(space, jnp.stack([a, a, a]), jnp.stack([b, a, -a]), 3)[1::3]
    np.testing.assert_allclose(middle, [3 / 2**0.5, 3 / 2**0.5, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(same, a, atol=1e-5)
    np.testing.assert_allclose(opposite, 0 * a, atol=1e-5)


def program(*flags):
    command = [sys.executable, "-m", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_program_draws_a_walk(finished, tmp_path):
    done = program("launch.sample", f"--workdir={finished}", f"--output={tmp_path}", "--walk=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"walk.webp and walk.png in {tmp_path}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"walk.webp", "walk.png"}


def test_a_run_of_the_wrong_kind_is_one_sentence(tmp_path):
    config = pix2pix.get_config("demo")
    config.data.channels = (3, 3)
    run_config.write(str(tmp_path), config)
    done = program("launch.sample", f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "is a run of pix2pix, which translates pictures" in done.stderr and not (tmp_path / "out").exists()


def test_other_mistakes_are_told(drawn, tmp_path):
    with pytest.raises(jgan.UserError, match="run of dcgan, which makes pictures from codes"):
        translate.load(str(drawn))
    loaded = trained.load(str(drawn), latent=True)
    with pytest.raises(jgan.UserError, match="--number=0"):
        sample.write(loaded, str(tmp_path), number=0)
    with pytest.raises(jgan.UserError, match="--number=1000000000000"):
        sample.write(loaded, str(tmp_path), number=10**12)
    with pytest.raises(jgan.UserError, match="--walk=1000000000000"):
        sample.write(loaded, str(tmp_path), stations=10**12)
    with pytest.raises(jgan.UserError, match="--walk=1"):
        sample.write(loaded, str(tmp_path), stations=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(jgan.UserError, match="cannot be made"):
        sample.write(loaded, str(tmp_path / "file"))
    with pytest.raises(jgan.UserError, match="best='l1'"):
        train.train(tiny(**{"steps": 9, "predictor.steps": 0}), str(tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_stopped_in_any_phase_ends_bit_equal(finished, tmp_path, stop):
    with sigterm_after(stop):
        train.train(tiny(), str(tmp_path))
    train.train(tiny(), str(tmp_path))
    states = []
    for workdir in (finished, tmp_path):
        config = run_config.read(str(workdir))
        system = trained.SYSTEMS[config.system](config)
        abstract = jax.eval_shape(system.init, jax.random.key(0), trained.batch_shape(config))
        with checkpoint.Checkpoints(str(workdir / "checkpoints"), best=None, read_only=True) as found:
            states.append(found.restore(7, abstract))
    for x, y in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_a_run_is_scored_by_what_its_predictor_gives_back(finished):
    done = subprocess.run(
        [sys.executable, "-m", "launch.evaluate", f"--workdir={finished}", "--batch=2"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (
        found["step"] == 7
        and found["examples"] == 3
        and set(found) == {"step", "l1", "psnr", "ssim", "examples"}
    )
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    trained = [line["val_l1"] for line in lines if "val_l1" in line][-1]
    np.testing.assert_allclose(found["l1"], trained, rtol=1e-4)  # as training itself scores it


def test_a_run_without_a_predictor_says_that_nothing_scores_it(drawn):
    loaded = trained.load(str(drawn), latent=True)
    with pytest.raises(jgan.UserError, match="predictor of codes gives back, and this one has none"):
        evaluate.evaluate(with_codes(loaded, predict=None))
    with pytest.raises(jgan.UserError, match="learns it from step 4 on, this is step 3"):
        evaluate.evaluate(loaded._replace(step=3))
    with pytest.raises(jgan.UserError, match="--size=32"):
        evaluate.evaluate(loaded, size=32)


@pytest.mark.slow
def test_programs_make_show_and_follow_directions(finished, tmp_path):
    def program(module, *flags):
        command = [sys.executable, "-m", f"launch.{module}", f"--workdir={finished}", *flags]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    file = tmp_path / "directions.npz"
    done = program("directions", f"--output={file}", "--principal=2", "--samples=20")
    assert done.returncode == 0 and "principal_1 to principal_2" in done.stdout, done.stderr
    done = program("sample", f"--output={tmp_path / 'shown'}", f"--directions={file}")
    assert done.returncode == 0 and (tmp_path / "shown" / "directions.png").exists(), done.stderr
    follow = [
        f"--output={tmp_path / 'edit'}",
        f"--directions={file}",
        "--direction=principal_2",
        "--amount=-1",
    ]
    done = program("edit", *follow)
    assert done.returncode == 0 and (tmp_path / "edit" / "strip.png").exists(), done.stderr
    sides = [f"--with={tmp_path}", f"--without={tmp_path}"]
    for flags in ((), ("--principal=2", "--name=x", *sides), ("--name=x", sides[0])):
        done = program("directions", f"--output={file}", *flags)
        assert (
            done.returncode == 2
            and "one of these must be given, and no other with it: --principal, --sefa, --name with --with"
            in done.stderr
        )
