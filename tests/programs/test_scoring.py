"""Scores of sets, of LPIPS and of paths: of runs with drawn weights, against the same by hand."""

import functools
import json
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import frozen
from jgan import trained
from jgan.metrics import colour
from jgan.metrics import distances
from jgan.metrics import sets
from jgan.programs import classifier as classifier_lib
from jgan.programs import describers
from jgan.programs import path_length
from jgan.programs import scoring
from jgan.programs import set_scores
from jgan.programs import translate

PAIRS = {"data.source": "facades", "data.number": 20, "data.val_number": 12, "generator.dropout": 0.5}
# A net whose features are pixels, so that LPIPS is the summed square of differences.
PIXELS = frozen.Features("pixels", (), lambda params, images: [images], comparable=True)


@pytest.fixture(scope="module")
def pix2pix(small_config, drawn_run, tmp_path_factory):
    """The directory of a pix2pix with dropout, of 16 px."""
    place = tmp_path_factory.mktemp("pix2pix")
    drawn_run(str(place), small_config(**PAIRS), 1)
    return str(place)


@pytest.fixture
def quick(monkeypatch):
    """Classifiers that have hardly learnt anything."""
    monkeypatch.setattr(classifier_lib, "of_run", functools.partial(classifier_lib.of_run, steps=2))


def labelled(channels=3, names=("a", "b"), width=96):
    """A classifier with drawn weights that says the first class of every picture."""
    rng = np.random.default_rng(0)
    params = classifier_lib.convnet.init(rng, (width,), len(names), channels=channels)
    params[-1] = (params[-1][0] * 0, np.float32([1, *[0] * (len(names) - 1)]))
    return classifier_lib.Classifier(params, 16, channels, tuple(names), "class", 1.0)


def test_sets_of_a_translation_are_what_it_makes_and_its_targets(pix2pix, tmp_path, quick):
    run = trained.load(pix2pix)
    path = str(tmp_path / "c.npz")
    found = scoring.scores(run, ("AtoB",), sets=True, classifier=path, batch_size=5)["AtoB"]
    # By hand: the translations of the same pictures, the features of both, and the functions of them.
    made, translator = classifier_lib.read(path), translate.load(pix2pix)
    examples = list(_examples(run))
    outputs = sets.bytes_of(np.asarray(translator.generate(np.stack([x["a"] for x in examples]))))
    targets = np.stack([x["b"] for x in examples])
    a, b = (made.features(x) for x in (outputs, targets))
    known = [sets.Described.empty(96).add(range(12), x, y) for x, y in ((a, outputs), (b, targets))]
    assert found["classifier_fd"] == pytest.approx(sets.frechet(*known), rel=1e-3)
    assert found["classifier_kd"] == pytest.approx(distances.kernel_blocks(a, b).value, rel=1e-3)
    assert (found["classifier_precision"], found["classifier_recall"]) == distances.coverage(a, b)
    assert found["lab_intersection"] == pytest.approx(
        colour.intersection(*(sum(map(colour.histogram, x)) for x in (outputs, targets))), abs=1e-3
    )
    assert "l1" in found and not {"fid", "label_agreement", "ppl", "diversity"} & set(found)
    told = found["protocol"]["classifier_fd"]
    assert made.digest in told and "12 made of the inputs of the split val beside its 12 targets" in told
    assert "too few pictures for the 96 numbers" in told
    # Read again, with its first eight pictures.
    fewer = scoring.scores(run, ("AtoB",), sets=True, classifier=path, number=8)["AtoB"]
    assert (
        made.digest in fewer["protocol"]["classifier_fd"]
        and "8 made of" in fewer["protocol"]["classifier_fd"]
    )


def _examples(run):
    from jgan.data import pipeline

    examples = pipeline.evaluation(run.config.data, run.config.data.val_split)
    return (examples[k] for k in range(len(examples)))


def test_parts_of_two_processes_are_the_sets_of_one(pix2pix):
    from jgan.programs import evaluate

    run, describer = trained.load(pix2pix), describers.of_classifier(labelled())
    known = evaluate.arguments(run, "", batch_size=2)

    def described(*share):
        return set_scores._described(set_scores._translated(known, 11, share), describer, None)[0]

    whole, merged = described(0, 1), described(0, 2).merge(described(1, 2))
    assert whole.moments.count == merged.moments.count == 11
    np.testing.assert_array_equal(merged.numbers, np.arange(11))
    np.testing.assert_allclose(merged.rows, whole.rows, rtol=1e-6)
    np.testing.assert_allclose(merged.moments.covariance, whole.moments.covariance, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(merged.colours, whole.colours)


@pytest.mark.slow
def test_draws_stand_beside_the_training_split(latent_run, quick):
    run = latent_run(**{"data.source": "objects", "data.number": 30, "data.val_number": 4})
    (way,) = run.system.ways
    found = scoring.scores(run, (way,), sets=True, number=20)[way]
    assert found["classifier_fd"] > 0 and set(found["lab_intersection"]) == {"L", "a", "b"}
    assert "20 made of codes beside 20 real pictures of the split train" in found["protocol"]["classifier_fd"]
    with pytest.raises(jgan.UserError, match="need 8 pictures or more, and the reference has 4"):
        scoring.scores(run, (way,), sets=True, number=20, split="val")
    with pytest.raises(jgan.UserError, match="--size=32: the run draws 16"):
        scoring.scores(run, (way,), sets=True, size=32)


def test_labels_that_are_asked_for_are_those_of_the_data(tmp_path):
    from configs import cgan
    from jgan.systems import cgan as system_lib

    config = cgan.get_config("tiny")
    families = ("shoe", "mug", "hat", "bag")
    config.data.update({"channels": (3,), "names": families, "families": families})
    system = system_lib.build(config)
    batch = trained.batch_shape(config)
    state = jax.jit(system.init)(
        jax.random.key(0), jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), batch)
    )
    run = trained.Run(config, 3, system, jax.device_get(state.weights()))
    made = labelled(names=families)
    found = set_scores.scores(
        run, describer=describers.of_classifier(made), classifier=made, number=16, data="", split=""
    )
    assert (
        found["label_agreement"] == 0.25 and found["classifier_accuracy"] == 1
    )  # each is asked for equally often
    assert "16 pictures" in found["protocol"]["label_agreement"]
    other = labelled(names=("x", "y"))
    assert "label_agreement" not in set_scores.scores(
        run, describer=describers.of_classifier(other), classifier=other, number=8
    )


def test_lpips_is_the_sum_over_layers_of_means_over_positions():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 3, 4, 5, 2)).astype(np.float32)
    net = frozen.Features("two", 2.0, lambda params, x: [x, params * x[:, ::2]], comparable=True)
    wanted = [
        np.mean(np.sum((x - y) ** 2, -1)) + 4 * np.mean(np.sum((x - y)[::2] ** 2, -1))
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(frozen.lpips(net)(a, b), wanted, rtol=1e-5)


@pytest.mark.slow
def test_pairs_and_draws_by_dropout_have_distances_of_features(pix2pix, small_config, drawn_run, tmp_path):
    drops = {"generator.name": "resnet", "generator.blocks": 1}  # the small U-Net has no layer with dropout
    drawn_run(str(tmp_path), small_config(**PAIRS | drops), 1)
    run = trained.load(str(tmp_path))
    found = scoring.scores(run, ("AtoB",), features=PIXELS, dropout=True)["AtoB"]
    examples = list(_examples(run))
    assert found["diversity"] > 0 and found["diversity_lpips"] > 3 * found["diversity"] ** 2
    assert found["lpips"] > 0 and found["protocol"] == dict.fromkeys(
        ("lpips", "diversity_lpips"), "pixels; a mean over examples"
    )
    plain = scoring.scores(run, ("AtoB",), features=PIXELS)["AtoB"]
    assert "diversity" not in plain
    outputs = np.asarray(translate.load(str(tmp_path)).generate(np.stack([x["a"] for x in examples])))
    squares = [np.mean((a - x["b"] / 127.5 + 1) ** 2) for a, x in zip(outputs, examples, strict=True)]
    assert plain["lpips"] == pytest.approx(3 * np.mean(squares), rel=1e-3)


@pytest.mark.slow
def test_the_path_length_is_that_of_small_steps_between_styles(styles_run):
    values = path_length.distances(styles_run, PIXELS, number=20, seed=3)
    parts = [path_length.distances(styles_run, PIXELS, number=20, seed=3, share=(k, 2)) for k in range(2)]
    np.testing.assert_allclose(np.stack(parts, 1).ravel(), values, rtol=1e-3)
    # By hand: the pair of number 4, and the derivative along the way to its second style in the place of a step.
    space = styles_run.system.spaces["w"].space(styles_run.weights, {"truncation": 1.0})
    key, *k_maps = jax.random.split(jax.random.fold_in(jax.random.key(3), 4), 1 + len(space.styles.maps))
    w, towards = space.styles.draw(key, 2)
    maps = tuple(
        jax.random.normal(k, x.shape) * s
        for k, x, s in zip(k_maps, space.styles.maps, space.styles.strengths, strict=True)
    )
    _, change = jax.jvp(lambda w: space.styles.image(w, maps), (w,), (towards - w,))
    assert values[4] == pytest.approx(float(jnp.mean(jnp.sum(change**2, -1))), rel=0.02)
    assert path_length.applies(styles_run)
    found = scoring.scores(styles_run, tuple(styles_run.system.ways), features=PIXELS, number=20, seed=3)
    (one,) = found.values()
    assert one["ppl"] == pytest.approx(path_length.score(values)) and "20 pairs" in one["protocol"]["ppl"]


def test_the_path_length_leaves_the_extremes_out():
    values = np.r_[1e9, np.arange(1, 200.0), -1e9]
    assert path_length.score(values) == pytest.approx(100)


def test_large_pictures_are_reduced_by_means():
    image = np.random.default_rng(0).uniform(-1, 1, (512, 512, 3)).astype(np.float32)
    reduced = np.asarray(path_length._reduced(image))
    assert reduced.shape == (256, 256, 3)
    np.testing.assert_allclose(reduced[3, 5], image[6:8, 10:12].mean((0, 1)), rtol=1e-4, atol=1e-6)


def program(*flags, env=None):
    return subprocess.Popen(
        [sys.executable, "-m", "launch.evaluate", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, words",
    [
        (["--number=20"], "--number goes with --set_scores, --inception or --lpips alone"),
        (["--resize=tf1", "--set_scores"], "--resize goes with --inception alone"),
        (["--features=vgg.pth"], "--features goes with --lpips alone"),
        (["--inception=none.pth"], "none.pth"),
        (["--classifier=text.npz"], "is no file of a classifier"),
        (["--set_scores", "--number=2"], "number"),
    ],
)
def test_flags_that_do_not_go_together_end_in_a_sentence(pix2pix, tmp_path, flags, words):
    (tmp_path / "text.npz").write_text("{}")
    flags = [flag.replace("=text", f"={tmp_path}/text") for flag in flags]
    done = program(f"--workdir={pix2pix}", *flags)
    _, told = done.communicate(timeout=120)
    assert done.returncode == 2 and words in told and "Traceback" not in told, told


@pytest.mark.slow
def test_two_processes_with_two_devices_each_print_what_one_prints(pix2pix, tmp_path):
    path = tmp_path / "c.npz"
    made = classifier_lib.of_run(trained.load(pix2pix).config, "b", steps=20)
    path.write_bytes(classifier_lib.dump(made))
    flags = [f"--workdir={pix2pix}", f"--classifier={path}", "--batch=2"]
    alone = program(*flags)
    wanted = json.loads(alone.communicate(timeout=300)[0].splitlines()[-1])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    more = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    both = [
        program(
            *flags,
            f"--coordinator_address=127.0.0.1:{port}",
            "--num_processes=2",
            f"--process_id={k}",
            env={**os.environ, "XLA_FLAGS": more},
        )
        for k in range(2)
    ]
    told = [one.communicate(timeout=300) for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert "step" not in told[1][0]
    found = json.loads(told[0][0].splitlines()[-1])
    assert found.keys() == wanted.keys() and found["protocol"] == wanted["protocol"]
    for name in set(wanted) - {"protocol", "lab_intersection"}:
        assert found[name] == pytest.approx(wanted[name], rel=1e-3), name
    assert found["lab_intersection"] == pytest.approx(wanted["lab_intersection"], abs=2e-3)


@pytest.mark.slow
def test_inception_has_the_names_of_the_field(pix2pix, tmp_path):
    import safetensors.numpy

    from jgan.nets import inception
    from jgan.weights import features

    shapes, rng, tensors = inception.shapes(), np.random.default_rng(0), {}
    for key, place in features.INCEPTION.items():
        at = shapes[place.kind]
        for step in place.path:
            at = at[step]
        shape = place.layout.give(np.empty(at.shape, np.float32)).shape
        tensors[key] = np.abs(rng.normal(0, 0.05, shape)).astype(np.float32) + ("running_var" in key)
    path = tmp_path / "inception.safetensors"
    safetensors.numpy.save_file(tensors, path)
    found = set_scores.scores(trained.load(pix2pix), describer=describers.of_inception(str(path)), number=8)
    assert {"fid", "kid", "kid_error", "precision", "recall"} <= set(found)
    assert not any(name.startswith("classifier") for name in found)
    assert "as pytorch-fid" in found["protocol"]["fid"] and "8 made of" in found["protocol"]["fid"]
