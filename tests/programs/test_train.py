"""A run: what it leaves, that stopping changes nothing, and what it refuses."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from configs import stargan
import jgan
from jgan import trained
from jgan.data import images
from jgan.programs import evaluate
from jgan.programs import keeping
from jgan.programs import timing
from jgan.programs import train
from jgan.programs import translate
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.runs import lock
from tests import cells
from tests.interrupted import sigterm_after

TINY = {
    "data.source": "facades",
    "data.number": 6,
    "data.val_number": 2,
    "generator.levels": 2,
    "discriminator.n_layers": 1,
    "optimiser.schedule": "constant",
    "log_every": 1,
    "sample_every": 2,
    "validate_every": 2,
    "save_every": 2,
}


@pytest.fixture
def tiny(small_config):
    def make(**changes):
        config = small_config(**{**TINY, **changes})
        config.data.channels = ()
        return config

    return make


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_config):
    """A run of four steps that nothing interrupted."""
    workdir = str(tmp_path_factory.mktemp("finished") / "run")
    config = small_config(**TINY)
    config.data.channels = ()
    train.train(config, workdir)
    return workdir


def restored(workdir, *steps):
    """The states of these checkpoints."""
    config = run_config.read(workdir)
    system = trained.SYSTEMS[config.system](config)
    abstract = jax.eval_shape(system.init, jax.random.key(0), trained.batch_shape(config))
    with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints"), best=None, read_only=True) as found:
        return [found.restore(step, abstract) for step in steps]


def saved(workdir, step):
    """Every array of a checkpoint."""
    return jax.tree.leaves(restored(workdir, step))


def records(workdir):
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


def test_a_run_explains_itself(finished):
    assert run_config.read(finished).data.channels == (3, 3)
    with open(os.path.join(finished, "config.json")) as file:
        assert json.load(file)["versions"]["jax"] == jax.__version__
    assert sorted(os.listdir(os.path.join(finished, "samples"))) == [f"{step:06d}.png" for step in (0, 2, 4)]
    assert os.path.getsize(os.path.join(finished, "index.html")) > 1000
    lines = records(finished)
    assert [line["step"] for line in lines if "g_loss" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "val_l1" in line] == [2, 4]
    keys = {"g_loss", "g_l1", "g_adversarial", "d_loss", "d_accuracy_real", "d_accuracy_fake"}
    assert keys | {"images_per_second", "input_wait", "learning_rate"} <= set(lines[0])


def test_an_interrupted_run_ends_bit_equal(finished, tiny, tmp_path):
    """SIGTERM after step 1 saves and returns; the same call goes on."""
    workdir = str(tmp_path / "run")
    with sigterm_after(1):
        train.train(tiny(), workdir)
    with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints"), best=None, read_only=True) as found:
        assert found.steps == [1]
    train.train(tiny(), workdir)
    for x, y in zip(saved(workdir, 4), saved(finished, 4), strict=True):
        np.testing.assert_array_equal(x, y)
    losses = [[line["g_loss"] for line in records(w) if "g_loss" in line] for w in (workdir, finished)]
    assert losses[0] == losses[1]


def test_a_signal_while_a_step_is_shown_saves_the_next_one(tiny, tmp_path, monkeypatch):
    sample = keeping.Keeping.sample

    def interrupted(self, step, weights):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        sample(self, step, weights)

    monkeypatch.setattr(keeping.Keeping, "sample", interrupted)
    train.train(tiny(steps=6, save_every=100, validate_every=100), str(tmp_path))
    assert trained.load(str(tmp_path)).step == 3


def test_training_says_which_attributes_are_of_one_data_set(tmp_path, monkeypatch):
    config = stargan.get_config("tiny")
    config.data.exclusive, config.mask, config.sets = (), True, (3, 1)
    given = []

    def told(data, **named):
        given.append(named["sets"])
        raise InterruptedError

    monkeypatch.setattr(train.pipeline, "train", told)
    with pytest.raises(InterruptedError):
        train.train(config, str(tmp_path / "run"))
    assert given == [(3, 1)]


def test_ctrl_c_before_the_first_step_ends_the_run_at_once(tiny, tmp_path, monkeypatch, capsys):
    """There is nothing to save yet; the step may take a minute to compile."""
    monkeypatch.setattr(timing.Ahead, "wait", lambda _: signal.raise_signal(signal.SIGINT))
    # Whoever runs the tests in the background of a shell has it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train.train(tiny(), str(tmp_path / "run"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().out.endswith("compiling the step\n")


@pytest.fixture
def unpaired(small_cyclegan):
    """`(**changes) -> ConfigDict` of a CycleGAN on drawn facades, whose pools of two images exchange from step 3 on."""

    def make(**changes):
        seldom = {"steps": 8, "sample_every": 4, "validate_every": 8, "save_every": 1, "keep": 8}
        changes = {"generator.levels": 2, "loss.pool_size": 2, "ema": 0.9, **seldom, **changes}
        config = small_cyclegan(**{**TINY, **changes})
        config.data.channels = ()
        return config

    return make


@pytest.mark.slow
def test_an_interrupted_cyclegan_ends_bit_equal_pools_included(unpaired, tmp_path):
    """SIGTERM while the pools exchange; the same call goes on, and goes on to exchange."""
    whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
    train.train(unpaired(), whole)
    with sigterm_after(5):
        train.train(unpaired(save_every=8), parts)
    train.train(unpaired(save_every=8), parts)
    states = restored(whole, *range(1, 9))
    for x, y in zip(jax.tree.leaves(states[-1]), saved(parts, 8), strict=True):
        np.testing.assert_array_equal(x, y)
    assert [state.aux["pool_a"]["count"] for state in states] == [1, 2, 2, 2, 2, 2, 2, 2]
    for pool in ("pool_a", "pool_b"):
        held = [np.asarray(state.aux[pool]["images"]) for state in states]
        changed = [np.any(x != y) for x, y in zip(held, held[1:], strict=False)]
        # An exchange before the interruption, which comes after step 5, and one after it; and now and then none.
        assert any(changed[1:4]) and any(changed[4:]) and not all(changed)
    losses = [[line["d_loss"] for line in records(w) if "d_loss" in line] for w in (parts, whole)]
    assert losses[0] == losses[1] and len(losses[0]) == 8
    # What such a run leaves: both directions are scored and shown.
    assert {"val_AtoB_cycle", "val_BtoA_cycle"} <= set(records(whole)[-1])
    assert sorted(os.listdir(os.path.join(whole, "samples"))) == [f"{step:06d}.png" for step in (0, 4, 8)]
    grid = cells.cells(images.read(os.path.join(whole, "samples", "000008.png")))
    assert len(grid) == 2 and all(len(row) == 6 for row in grid)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"best": "l1"}, "best='l1' is unknown: use one of AtoB_l1, .*BtoA_cycle"),
        ({"loss.pool_size": 3}, "loss.pool_size=2"),
        ({"data.channels": (3, 1)}, "lambda_identity=0.5"),
    ],
)
def test_mistakes_with_a_cyclegan_are_told_before_the_first_step(unpaired, tmp_path, changes, words):
    workdir = str(tmp_path / "run")
    os.makedirs(workdir)
    if "loss.pool_size" in changes:  # with other pools a checkpoint would not fit
        old = unpaired()
        old.data.channels = (3, 3)
        run_config.write(workdir, old)
    config = unpaired()
    config.update_from_flattened_dict(changes)
    with pytest.raises(jgan.UserError, match=words):
        train.train(config, workdir)
    assert not os.path.exists(os.path.join(workdir, "checkpoints"))


def test_a_longer_run_continues_and_keeps_the_last_and_the_best(finished, tiny, tmp_path):
    workdir = str(tmp_path / "run")
    os.makedirs(workdir)
    for step in (2, 4, 6):
        train.train(tiny(steps=step, keep=1, sample_every=100), workdir)
    with checkpoint.Checkpoints(
        os.path.join(workdir, "checkpoints"), keep=1, best=("l1", "min"), read_only=True
    ) as found:
        validations = {line["step"]: line["val_l1"] for line in records(workdir) if "val_l1" in line}
        best = min(validations, key=validations.get)
        assert found.best == best and set(found.steps) == {6, best}


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"generator.ngf": 8}, "generator.ngf=4"),
        ({"batch_size": 2}, "batch_size=1"),
        ({"loss.lambda_l1": 10.0}, "loss.lambda_l1=100.0"),
        ({"data.number": 7}, "data.number=6"),
    ],
)
def test_a_change_that_matters_is_refused_by_name(finished, tiny, changes, name):
    with pytest.raises(jgan.UserError, match=name):
        train.train(tiny(**changes), finished)


def test_divergence_names_the_step_and_keeps_the_last_good_checkpoint(tiny, tmp_path):
    workdir = str(tmp_path / "run")
    train.train(tiny(steps=2), workdir)
    config = tiny(**{"steps": 20, "save_every": 1})
    stored = json.load(open(os.path.join(workdir, "config.json")))
    for fields in (config, stored["config"]):
        fields["optimiser"]["learning_rate"] = 1e30  # one step of this size overflows the next
    json.dump(stored, open(os.path.join(workdir, "config.json"), "w"))
    with pytest.raises(jgan.NotFinite, match=r"stopped at step \d+: .*; step \d+ is the last good"):
        train.train(config, workdir)
    with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints"), best=None, read_only=True) as found:
        latest = found.latest
    assert 2 <= latest < 20
    assert all(np.all(np.isfinite(x)) for x in saved(workdir, latest)[1:])


def test_weights_of_another_run_are_taken_where_they_fit(finished, tiny, tmp_path, capsys):
    config = tiny(**{"steps": 1, "optimiser.learning_rate": 0.0, "discriminator.n_layers": 2})
    workdir = str(tmp_path / "run")
    train.train(config, workdir, init_from=finished)
    told = capsys.readouterr().out
    missed = [line for line in told.splitlines() if line.startswith("  ")]
    assert "not taken" in told and missed and all("['discriminator']" in line for line in missed)
    assert "['discriminator']['logits']['kernel'] (4, 4, 16, 1) here, (4, 4, 8, 1) there" in told
    ours, theirs = (translate.load(w).weights["params"] for w in (workdir, finished))
    for x, y in zip(jax.tree.leaves(ours["generator"]), jax.tree.leaves(theirs["generator"]), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(
        ours["discriminator"]["conv_1"]["kernel"], theirs["discriminator"]["conv_1"]["kernel"]
    )


def pairs_in(folder, count=3):
    """So many pairs side by side of 18 pixels."""
    rng = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    for k in range(count):
        images.write(folder / "train" / f"{k}.png", rng.integers(0, 256, (18, 36, 3), np.uint8))
    return folder


@pytest.fixture
def on_files(tiny, tmp_path):
    """`(root="data", **changes)`: trains one step, or goes on, in tmp_path/run on the pairs in a folder."""
    pairs_in(tmp_path / "data")

    def go(root="data", allow=False, **changes):
        root = str(tmp_path / root) + "/" * root.endswith("/")
        changes = {"data.source": "folder", "data.root": root, "steps": 1, **changes}
        train.train(tiny(**changes), str(tmp_path / "run"), allow_changed_data=allow)
        return str(tmp_path / "run")

    return go


def test_a_run_goes_on_with_the_same_data_wherever_they_lie(on_files, tmp_path, monkeypatch):
    workdir = on_files()
    with open(os.path.join(workdir, "data.json")) as file:
        assert json.load(file)["train"].keys() == {f"train/{k}.png" for k in range(3)}
    assert run_config.facts(workdir)["halves"] == [1.0, 1.0]
    on_files("data/")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    on_files("link")
    (tmp_path / "data").rename(tmp_path / "moved")
    on_files("moved", **{"data.skip_bad": True})
    monkeypatch.chdir(tmp_path)
    config = run_config.read(workdir)
    config.data.root = "moved"
    train.train(config, workdir)
    assert run_config.read(workdir).data.root == "moved"


def test_a_run_goes_on_with_other_data_only_by_a_flag(on_files, tmp_path):
    """A file that was cut is left out by data.skip_bad, which may change; a file that is gone is noticed."""
    workdir, torn = on_files(), tmp_path / "data" / "train" / "1.png"
    torn.write_bytes(torn.read_bytes()[:-100])
    with pytest.raises(jgan.UserError, match="1.png.*data.skip_bad=true|data.skip_bad=true.*1.png"):
        on_files()
    words = r"of 3 files 1 is there but not usable \(train/1.png\).*--allow_changed_data"
    with pytest.raises(jgan.UserError, match=words):
        on_files(**{"data.skip_bad": True})
    on_files(allow=True, **{"data.skip_bad": True, "steps": 2})
    assert len(restored(workdir, 2)) == 1
    (tmp_path / "data" / "train" / "2.png").unlink()
    with pytest.raises(jgan.UserError, match=r"of 2 files 1 is missing \(train/2.png\)"):
        on_files(**{"data.skip_bad": True})


def test_validation_goes_on_with_other_data_and_says_so(on_files, tmp_path, capsys):
    (tmp_path / "data" / "train" / "2.png").rename(tmp_path / "data" / "val.png")
    (tmp_path / "data" / "val").mkdir()
    (tmp_path / "data" / "val.png").rename(tmp_path / "data" / "val" / "2.png")
    on_files()
    (tmp_path / "data" / "val" / "2.png").rename(tmp_path / "data" / "val" / "3.png")
    capsys.readouterr()
    on_files()
    assert "other data: they differ: of 1 files 1 is missing (val/2.png), 1 is new" in capsys.readouterr().out


def test_a_run_that_is_being_trained_is_not_trained_by_another_process(on_files, tmp_path):
    (tmp_path / "run").mkdir()
    with lock.held(str(tmp_path / "run")):
        with pytest.raises(jgan.UserError, match=f"is being trained by process {os.getpid()} on "):
            on_files()
    assert os.listdir(tmp_path / "run") == ["lock"]


def test_a_bad_picture_of_the_validation_split_is_told_before_the_first_step(on_files, tmp_path):
    (tmp_path / "data" / "val").mkdir()
    images.write(tmp_path / "data" / "val" / "odd.npy", np.zeros((18, 36, 7), np.uint8))
    with pytest.raises(jgan.UserError, match="val/odd.npy has 7 channels and the run takes 3"):
        on_files()
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_save_that_fails_ends_the_run_before_the_next_save(tiny, tmp_path, monkeypatch):
    """The writer is asked between steps how it went."""

    def fail(self):
        if self.steps:
            raise jgan.UserError("the disk is full")

    monkeypatch.setattr(checkpoint.Checkpoints, "check", fail)
    with pytest.raises(jgan.UserError, match="the disk is full"):
        train.train(tiny(**{"steps": 9, "save_every": 2, "validate_every": 9}), str(tmp_path / "run"))
    assert [line["step"] for line in records(str(tmp_path / "run"))] == [1, 2]


def test_bad_files_are_left_out_and_listed(tiny, tmp_path):
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for k in range(3):
        images.write(folder / f"{k}.png", rng.integers(0, 256, (18, 36, 3), np.uint8))
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    settings = {"data.source": "folder", "data.root": str(tmp_path / "data"), "steps": 1}
    with pytest.raises(jgan.UserError, match="1.png"):
        train.train(tiny(**settings), str(tmp_path / "refused"))
    train.train(tiny(**settings, **{"data.skip_bad": True}), str(tmp_path / "run"))
    with open(tmp_path / "run" / "config.json") as file:
        ((path, reason),) = json.load(file)["excluded"]
    assert path.endswith("1.png") and reason


def test_pictures_of_the_validation_split_that_are_left_out_are_named(tiny, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for k in range(2):
            images.write(tmp_path / split / f"{split}{k}.png", rng.integers(0, 256, (18, 36, 3), np.uint8))
    (tmp_path / "val" / "val1.png").write_bytes(b"torn")
    settings = {"data.source": "folder", "data.root": str(tmp_path), "data.skip_bad": True, "steps": 1}
    train.train(tiny(**settings), str(tmp_path / "run"))
    assert capsys.readouterr().out.count("val1.png (cannot be decoded") == 1
    evaluate.evaluate(trained.load(str(tmp_path / "run")))
    assert capsys.readouterr().err.count("val1.png (cannot be decoded") == 1


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"system": "pix2pixhd"}, "system='pix2pixhd' is unknown: use one of pix2pix"),
        ({"steps": 0}, "steps=0"),
        ({"best": "fid"}, "best='fid'"),
        ({"data.size": 18}, "multiples of 4"),
        ({"data.workers": 7}, "workers"),
        ({"data.source": "folder", "data.root": "/nowhere"}, "/nowhere"),
    ],
)
def test_mistakes_are_told_before_the_first_step(tiny, tmp_path, changes, words):
    with pytest.raises(jgan.UserError, match=words):
        train.train(tiny(**changes), str(tmp_path / "run"))


def test_a_workdir_that_is_a_file_is_refused(tiny, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(jgan.UserError, match="is a file"):
        train.train(tiny(), str(tmp_path / "run"))
