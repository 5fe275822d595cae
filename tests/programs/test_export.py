"""A run's export takes its place: the same pictures, and a sentence for what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jgan
from jgan import trained
from jgan.programs import export
from jgan.programs import train

CHANGES = {
    "steps": 6,
    "statistics_steps": 1,
    "data.size": 16,
    "latent.nz": 5,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
}


@pytest.fixture(scope="module")
def config():
    from configs import dcgan

    config = dcgan.get_config()
    config.update_from_flattened_dict({**CHANGES, "data.channels": (3,)})
    return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, drawn_run, config):
    workdir = str(tmp_path_factory.mktemp("run"))
    drawn_run(workdir, config, 2, 4)
    return workdir


@pytest.fixture(scope="module")
def whole(tmp_path_factory, workdir):
    """The directory of an export in float32."""
    directory = tmp_path_factory.mktemp("export") / "whole"
    export.write(trained.load(workdir), workdir, directory)
    return directory


def leaves(run):
    return jax.tree.leaves({name: run.weights[name] for name in ("params", "stats")})


def test_an_export_is_the_run(workdir, whole):
    run, again = trained.load(workdir, latent=True), trained.load(whole, latent=True)
    assert again.step == run.step == 4
    assert again.config.to_dict() == run.config.to_dict()
    assert jax.tree.structure(again.weights) == jax.tree.structure(run.weights)
    for x, y in zip(leaves(run), leaves(again), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def test_half_precision_rounds_and_nothing_else(workdir, tmp_path):
    size = export.write(trained.load(workdir, 2), workdir, tmp_path / "half", "float16")
    assert size == (tmp_path / "half" / trained.EXPORTED).stat().st_size
    run, half = trained.load(workdir, 2), trained.load(tmp_path / "half")
    assert half.step == 2
    for x, y in zip(leaves(run), leaves(half), strict=True):
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(np.asarray(x, np.float16).astype(x.dtype), y)


def test_another_run_may_start_from_it(config, whole):
    system = trained.SYSTEMS[config.system](config)
    state = jax.eval_shape(system.init, jax.random.key(0), trained.batch_shape(config))
    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
    state, sentence = trained.start_from(state, str(whole))
    assert sentence == f"weights from {whole} at step 4, all taken"


def test_training_does_not_go_on_in_it(config, whole):
    with pytest.raises(jgan.UserError, match=f"another --workdir with --init_from={whole} would work"):
        train.train(config, str(whole))


def test_what_is_there_is_not_overwritten(workdir, whole):
    with pytest.raises(jgan.UserError, match="holds a run already"):
        export.write(trained.load(workdir), workdir, whole)


def test_numbers_beyond_the_type_are_refused(workdir, tmp_path):
    run = trained.load(workdir)
    run.weights["params"]["generator"] = jax.tree.map(
        lambda x: 1e6 + 0 * x, run.weights["params"]["generator"]
    )
    with pytest.raises(
        jgan.UserError, match="does not fit in numbers of float16; --dtype=float32 would work"
    ):
        export.write(run, workdir, tmp_path / "x", "float16")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop(sorted(t)[0]), "does not hold the weights of"),
        (lambda t: t.update(more=np.zeros(1, np.float32)), "more are missing, too many or of another shape"),
        (lambda t: t.update({sorted(t)[0]: np.zeros((7,), np.float32)}), "another shape"),
        (lambda t: t[sorted(t)[0]].fill(np.nan), "holds numbers that are not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(whole, tmp_path, change, sentence):
    tensors = safetensors.numpy.load_file(whole / trained.EXPORTED)
    change(tensors)
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    safetensors.numpy.save_file(tensors, tmp_path / trained.EXPORTED)
    with pytest.raises(jgan.UserError, match=sentence):
        trained.load(tmp_path)


def test_a_damaged_file_and_another_step_are_refused(whole, tmp_path):
    with pytest.raises(jgan.UserError, match="is an export of step 4: it has no step 2"):
        trained.load(whole, 2)
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    (tmp_path / trained.EXPORTED).write_bytes((whole / trained.EXPORTED).read_bytes()[:-9])
    with pytest.raises(jgan.UserError, match="no sound file of safetensors"):
        trained.load(tmp_path)
