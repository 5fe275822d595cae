"""Runs made of other people's files compute what these compute, are taken by every program, and go back to them."""

import copy
import json
import pickle
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import run as run_configs
import jgan
from jgan import output
from jgan import trained
from jgan.programs import export
from jgan.programs import export_names
from jgan.programs import import_plans
from jgan.programs import import_weights
from jgan.programs import train
from jgan.programs import translator
from jgan.weights import files
from launch import config_files
from tests.weights import pickled

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
modules = pytest.importorskip("tests.weights.torch_translation")
stylegan2 = pytest.importorskip("tests.weights.stylegan2_modules")
ada = pytest.importorskip("tests.weights.torch_ada")
igan = pytest.importorskip("tests.weights.test_igan")

CHOICES = import_plans.Choices(size=64)


def read(paths, **choices):
    return import_weights.read(list(map(str, paths)), config_files.get, CHOICES._replace(**choices))


def save(path, module, **options):
    torch.save(module.float().state_dict(), path, **options)
    return path


@pytest.fixture(scope="module")
def pix2pix(tmp_path_factory):
    """(directory, the modules of a G and a D, the run made of their files)."""
    folder = tmp_path_factory.mktemp("pix2pix")
    g = modules.drawn(modules.UNet(levels=6, width=4))
    d = modules.drawn(modules.Patch(layers=1, width=4))
    paths = [save(folder / "latest_net_G.pth", g), save(folder / "latest_net_D.pth", d)]
    import_weights.write(read(paths), str(folder / "run"))
    return folder, g, d


def photo(seed=0, size=64):
    return np.random.default_rng(seed).uniform(-1, 1, (1, size, size, 3)).astype(np.float32)


def by_torch(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)


def near(made, expected):
    np.testing.assert_allclose(made, expected, atol=1e-4 * np.abs(expected).max())


def test_a_pix2pix_translates_in_both_modes_as_its_files_do(pix2pix):
    folder, g, _ = pix2pix
    run = str(folder / "run")
    for statistics, mode in (("running", lambda net: net.eval()), ("image", modules.training)):
        made = translator.load(run, statistics=statistics, dropout=False).generate(photo())
        near(made, by_torch(mode(copy.deepcopy(g)), photo()))  # in train mode it changes its statistics
    # What was said at the import, the old tool's test, holds if nobody says anything: other seeds, other pictures.
    as_said = translator.load(run)
    assert np.abs(np.asarray(as_said.generate(photo(), 0)) - as_said.generate(photo(), 1)).max() > 1e-3


def test_a_run_goes_back_to_its_files(pix2pix, tmp_path):
    folder, g, d = pix2pix
    run = trained.load(str(folder / "run"))
    for form in export_names.FORMATS:
        export_names.write(run, str(tmp_path / form), form)
        for net, module in (("G", g), ("D", d)):
            entries = files.entries(tmp_path / form / f"latest_net_{net}.{form}")
            state = module.state_dict()
            assert set(entries) == set(state)
            for name, entry in entries.items():
                if not name.endswith("num_batches_tracked"):
                    np.testing.assert_array_equal(entry.read(), state[name].numpy())
    modules.UNet(levels=6, width=4).load_state_dict(torch.load(tmp_path / "pth" / "latest_net_G.pth"))


@pytest.mark.slow
def test_a_generator_alone_is_a_run_that_training_takes(pix2pix, tmp_path, capsys):
    folder, _, _ = pix2pix
    run = str(tmp_path / "run")
    imported = read([folder / "latest_net_G.pth"], direction="BtoA", statistics="running", dropout=False)
    assert imported.absent == ("discriminator",)
    import_weights.write(imported, run)
    made = trained.load(run)
    assert list(made.system.ways) == ["BtoA"] and list(made.weights["params"]) == ["generator"]
    assert made.inference == {"statistics": "running", "dropout": False}
    export.write(made, run, str(tmp_path / "export"))
    assert trained.load(str(tmp_path / "export")).digest == made.digest
    config = run_configs.get_config(run)
    config.update_from_flattened_dict(
        {
            "steps": 1,
            "data.source": "facades",
            "data.number": 2,
            "data.val_number": 1,
            "discriminator.n_layers": 1,
            "discriminator.ndf": 4,
            "save_every": 1,
        }
    )
    train.train(config, str(tmp_path / "new"), run)
    assert "discriminator" in capsys.readouterr().out  # which is said to be missing there
    assert trained.load(str(tmp_path / "new")).step == 1


def test_pairs_make_a_cyclegan_and_each_discriminator_judges_what_it_did(tmp_path):
    nets = {}
    for side, seed in (("A", 1), ("B", 2)):
        nets[f"G_{side}"] = modules.drawn(modules.ResNet(blocks=6, width=4), seed)
        nets[f"D_{side}"] = modules.drawn(modules.Patch(layers=2, into=3, width=4, norm="instance"), seed)
    paths = [
        save(tmp_path / f"latest_net_{name}.pth", net, _use_new_zipfile_serialization=False)
        for name, net in nets.items()
    ]
    imported = read(paths[::-1])
    assert imported.config.system == "cyclegan" and not imported.absent
    import_weights.write(imported, str(tmp_path / "run"))
    way = translator.load(str(tmp_path / "run"))
    near(way.generate(photo()), by_torch(nets["G_A"].eval(), photo()))
    near(way.to("BtoA").generate(photo()), by_torch(nets["G_B"].eval(), photo()))
    ours = imported.weights["params"]["discriminator_b"]["conv_1"]["kernel"]  # D_A of the old tool judges B
    np.testing.assert_array_equal(
        ours.transpose(3, 2, 0, 1), nets["D_A"].state_dict()["model.0.weight"].numpy()
    )
    export_names.write(trained.load(str(tmp_path / "run")), str(tmp_path / "back"), "safetensors")
    for name, net in nets.items():
        entries = files.entries(tmp_path / "back" / f"latest_net_{name}.safetensors")
        for key, x in net.state_dict().items():
            np.testing.assert_array_equal(entries[key].read(), x.numpy())
    with pytest.raises(jgan.UserError, match="end in _A and _B"):
        shutil.copy(paths[0], tmp_path / "other.pth")
        read([paths[0], paths[2], tmp_path / "other.pth"])


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    """(directory, config, the modules of a StyleGAN2), with an official pickle and a run made of it."""
    folder = tmp_path_factory.mktemp("styles")
    config = stylegan2.configured(z=stylegan2.W)
    nets = stylegan2.ada_modules(config)
    g, d = (pickled.of(ada.persistent(net.float())) for net in nets)
    (folder / "network.pkl").write_bytes(
        pickled.dumps({"training_set_kwargs": {}, "G": g, "D": d, "G_ema": g})
    )
    import_weights.write(read([folder / "network.pkl"], size=0), str(folder / "run"))
    return folder, config, nets


def images(run, z):
    space = run.within("z").space()
    return np.stack([np.asarray(jax.jit(space.generate)(x)) for x in z])


def test_an_official_pickle_draws_and_judges_what_its_modules_do(styles):
    folder, config, (g, d) = styles
    run = trained.load(str(folder / "run"))
    z = np.random.default_rng(0).normal(size=(2, config.latent.nz)).astype(np.float32)
    with torch.no_grad():
        w = g.mapping(torch.from_numpy(z))
        w = w[:, None] if w.ndim == 2 else w
        rows = w.expand(-1, 2 * int(np.log2(config.data.size)) - 2, -1) if w.shape[1] == 1 else w
        expected = g(rows).numpy().transpose(0, 2, 3, 1)
    near(images(run, z), expected)
    assert run.judges
    logits = run.judge(run.weights, expected)["logits"][0]
    with torch.no_grad():
        near(np.asarray(logits), d(torch.from_numpy(expected.transpose(0, 3, 1, 2))).numpy())


def test_a_stylegan2_goes_to_its_authors_code_and_comes_back(styles, tmp_path):
    folder, _, (g, _) = styles
    export_names.write(trained.load(str(folder / "run")), str(tmp_path), "pth", "ada")
    state = torch.load(tmp_path / "G_ema.pth")
    for name, x in g.state_dict().items():
        assert state[name].shape == x.shape and torch.equal(state[name], x), name
    read([tmp_path / "G_ema.pth", tmp_path / "D.pth"], size=0)


def test_a_stylegan2_goes_to_rosinality_and_comes_back(styles, tmp_path):
    folder, _, _ = styles
    run = trained.load(str(folder / "run"))
    export_names.write(run, str(tmp_path), "pth", "rosinality")
    state = torch.load(tmp_path / "stylegan2.pth")
    assert set(state) == {"g_ema", "d", "latent_avg"}
    again = read([tmp_path / "stylegan2.pth"], size=0)
    leaves = jax.tree_util.tree_leaves_with_path({kind: run.weights[kind] for kind in ("params", "stats")})
    back = dict(jax.tree_util.tree_leaves_with_path(again.weights))
    assert len(back) == len(leaves)
    for path, x in leaves:
        np.testing.assert_allclose(back[path], x, rtol=1e-6)
    # Of a file without the mean style and without noise they are made.
    del state["latent_avg"], state["d"]
    state["g_ema"] = {name: x for name, x in state["g_ema"].items() if not name.startswith("noises.")}
    torch.save(state, tmp_path / "early.pt")
    early = read([tmp_path / "early.pt"], size=0)
    assert early.absent == ("discriminator",)
    assert np.isfinite(early.weights["stats"]["mapping"]["w_avg"]).all()
    import_weights.write(early, str(tmp_path / "early"))
    assert not trained.load(str(tmp_path / "early"), latent=True).judges


def test_files_that_make_no_run_together_are_refused(pix2pix, styles, tmp_path):
    g, d = (pix2pix[0] / f"latest_net_{net}.pth" for net in "GD")
    network = styles[0] / "network.pkl"
    empty, odd = tmp_path / "empty.pth", tmp_path / "odd.pkl"
    torch.save({}, empty)
    odd.write_bytes(pickle.dumps({"a": [np.zeros(3)]}))
    wide = save(tmp_path / "wide_net_D.pth", modules.drawn(modules.Patch(layers=1, into=5, width=4)))
    short = torch.load(g)
    short.pop(next(iter(short)))
    torch.save(short, tmp_path / "short.pth")
    for paths, message in (
        ([d], "a discriminator alone"),
        ([g, g], "both hold a generator"),
        ([g, network], "different systems"),
        ([network, network], "both hold"),
        ([empty], "no net that is known"),
        ([odd], "no net that is known"),
        ([g, wide], "judges pictures of 5 channels"),
        ([tmp_path / "short.pth"], "has no model.model.0.weight"),
        ([tmp_path / "none.pth"], "No such file"),
    ):
        with pytest.raises(jgan.UserError, match=message) as told:
            read(paths)
        assert "\n" not in str(told.value)
    for choices, message in (
        ({"size": 17}, "makes pictures of 16 px"),
        ({"size": 0, "names": ("a", "b")}, "has no classes"),
        ({"size": 0, "direction": "BtoA"}, "is of pairs"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            read([network], **choices)
    with pytest.raises(jgan.UserError, match="has no classes"):
        read([g], names=("a", "b"))
    with pytest.raises(jgan.UserError, match="does not judge what"):
        read([shutil.copy(g, tmp_path / "net_G_A.pth"), shutil.copy(d, tmp_path / "net_D_B.pth")])
    with pytest.raises(jgan.UserError, match="--dropout: the generator has none"):
        read([network], dropout=True, size=0)
    with pytest.raises(jgan.UserError, match="holds a run already"):
        with import_weights.claimed(str(pix2pix[0] / "run")):
            pass
    with pytest.raises(jgan.UserError, match="--size=100"):
        read([g], size=100)
    with pytest.raises(jgan.UserError, match="--palette"):
        palette = tmp_path / "palette.json"
        palette.write_text(json.dumps({"a": [0, 0, 0], "b": [1, 1, 1]}))
        read([network], palette=str(palette), size=0)


def test_an_igan_draws_what_theano_drew_and_predicts(tmp_path):
    made = igan.model(3, 2, nz=7)
    single = {key: [x.astype(np.float32) for x in arrays] for key, arrays in made.items()}
    (tmp_path / "shoes_64.dcgan_theano").write_bytes(pickle.dumps(single, 2))
    import_weights.write(read([tmp_path / "shoes_64.dcgan_theano"], size=0), str(tmp_path / "run"))
    run = trained.load(str(tmp_path / "run"), latent=True)
    z = np.random.default_rng(0).uniform(-1, 1, (2, 7)).astype(np.float32)
    expected = igan.generate(z, made["gen_params"], made["gen_batchnorm"])
    near(images(run, z), expected.transpose(0, 2, 3, 1))
    assert run.predicts and run.judges
    codes = np.tanh(igan.encode(expected, made["predict_params"], made["predict_batchnorm"]))
    near(np.asarray(run.predict(run.weights, expected.transpose(0, 2, 3, 1).astype(np.float32))), codes)
    # The training's own files, each with a list, are one model as well.
    paths = []
    for key in ("gen_params", "gen_batchnorm"):
        paths.append(tmp_path / key)
        paths[-1].write_bytes(pickle.dumps(single[key], 2))
    alone = read(paths, size=0)
    assert alone.absent == ("discriminator",) and alone.config.predictor.steps == 0
    with pytest.raises(jgan.UserError, match="gen_batchnorm"):
        read(paths[:1], size=0)


def test_the_program_prints_what_it_recognised_and_refuses_in_one_sentence(pix2pix, tmp_path):
    command = [sys.executable, "-m", "launch.import_weights", f"--workdir={tmp_path / 'run'}"]
    g = pix2pix[0] / "latest_net_G.pth"
    told = subprocess.run([*command, f"--input={g}"], capture_output=True, text=True, check=True).stdout
    assert "U-Net of 6 levels" in told and "no discriminator" in told and "--init_from" in told
    again = subprocess.run([*command, f"--input={g}"], capture_output=True, text=True)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "holds a run already" in again.stderr


def test_what_is_refused_leaves_nothing_behind(pix2pix, tmp_path, monkeypatch):
    workdir, there = tmp_path / "a", tmp_path / "there"
    there.mkdir()
    for folder in (workdir, there):
        with pytest.raises(jgan.UserError, match="discriminator alone"):
            with import_weights.claimed(str(folder)):
                read([pix2pix[0] / "latest_net_D.pth"])
    assert list(tmp_path.iterdir()) == [there]
    replace = output.replace

    def full(path, data):
        if str(path).endswith("latest_net_D.pth"):
            raise jgan.UserError(f"{path} could not be written: No space left on device")
        replace(path, data)

    monkeypatch.setattr(output, "replace", full)
    with pytest.raises(jgan.UserError, match="No space left"):
        export_names.write(trained.load(str(pix2pix[0] / "run")), str(there), "pth")
    assert not list(there.iterdir())
