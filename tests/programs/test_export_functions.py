"""The functions of a run as files: what they give in a process without jgan is what the run gives."""

import json
import math
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

import jgan
from jgan import trained
from jgan.ops import conv
from jgan.programs import export_functions
from jgan.programs import functions
from jgan.programs import project
from jgan.programs import translator
from tests.initial_weights import quick_init


def run_of(name, preset="tiny", **changes):
    """A run of a system whose weights are small and drawn, as if it had been loaded."""
    import importlib

    config = importlib.import_module(f"configs.{name}").get_config(preset)
    config.update_from_flattened_dict(changes)
    system = trained.SYSTEMS[config.system](config)
    batch = {
        key: np.zeros(x.shape, x.dtype)
        for key, x in jax.eval_shape(lambda: trained.batch_shape(config)).items()
    }
    weights = jax.device_get(quick_init(system.init)(jax.random.key(0), batch).weights())
    return trained.Run(config, config.steps, system, {**weights, "frozen": {}, "given": {}})


def written(run, folder, form="stablehlo", names=(), **settings):
    """(the manifest of an export, {name: its function on arrays, read back from the file})."""
    platforms = settings.pop("platforms", ("cpu", "cuda", "tpu"))
    made = functions.of(run, names, **settings)
    export_functions.write(run, made, str(folder), form, platforms=platforms)
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {name: folder / of["file"] for name, of in manifest["functions"].items()}
    if form == "stablehlo":
        return manifest, {
            name: jax.export.deserialize(bytearray(x.read_bytes())).call for name, x in files.items()
        }
    return manifest, {name: session(x) for name, x in files.items()}


def session(file):
    """A function on arrays of an ONNX file."""
    opened = pytest.importorskip("onnxruntime").InferenceSession(
        str(file), providers=["CPUExecutionProvider"]
    )
    names, made = ([x.name for x in some] for some in (opened.get_inputs(), opened.get_outputs()))
    return lambda *arrays: dict(
        zip(made, opened.run(made, dict(zip(names, arrays, strict=True))), strict=True)
    )


def inputs_of(described, n, seed=0):
    """Arrays as a manifest asks for them, of n examples."""
    rng, arrays = np.random.default_rng(seed), []
    for value in described["inputs"]:
        shape = (n, *value["shape"][1:])
        low, high = value["range"] or (-1, 1)
        if np.issubdtype(value["dtype"], np.integer):
            high = 2**32 - 1 if value["name"] == "key" else high
            arrays.append(
                rng.integers(low if value["range"] else 0, high, shape, value["dtype"], endpoint=True)
            )
        else:
            arrays.append(rng.uniform(low, high, shape).astype(value["dtype"]))
    return arrays


def assert_equal(one, other, share=1e-4):
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape and np.abs(other).max() > 0
    np.testing.assert_allclose(one, other, rtol=0, atol=share * np.abs(other).max())


@pytest.fixture(scope="module")
def drawn(latent_run, tmp_path_factory):
    """(a DCGAN, its manifest, its functions)."""
    run = latent_run()
    made = written(run, tmp_path_factory.mktemp("out") / "functions", starts=2, evaluations=3)
    return run, *made


@pytest.mark.parametrize("n", [1, 3])
def test_pictures_of_codes_are_those_of_the_run(drawn, n):
    run, manifest, made = drawn
    codes = inputs_of(manifest["functions"]["sample"], n)
    assert_equal(made["sample"](*codes)["output"], jax.jit(jax.vmap(run.space().generate))(*codes))


def test_a_projection_is_that_of_the_run(drawn):
    run, manifest, made = drawn
    images, masks, _ = inputs_of(manifest["functions"]["project"], 2)
    keys = np.stack([jax.random.key_data(jax.random.key(seed)) for seed in (5, 6)])
    found = made["project"](images, masks, keys)
    chosen = project.choose(run, starts=2, evaluations=3)
    own, pictures = project.projector(run, batch=2, **chosen)(images, masks, [5, 6])
    assert_equal(found["z"], own.latent)
    assert_equal(found["output"], pictures)
    assert_equal(found["cost"], own.cost)


def test_the_manifest_says_what_goes_in_and_comes_out(drawn):
    run, manifest, _ = drawn
    assert (
        manifest["system"] == "dcgan" and manifest["step"] == run.step and manifest["weights"] == run.digest
    )
    assert manifest["jax"] == jax.__version__ and set(manifest["functions"]) == {"sample", "project"}
    for described in manifest["functions"].values():
        assert described["platforms"] == ["cpu", "cuda", "tpu"] and len(described["example"]) == 3
        assert described["calling_convention_version"] >= 9
        assert all(value["shape"][0] == "n" and value["meaning"] for value in described["inputs"])
    z, images = (manifest["functions"][name]["inputs"][0] for name in ("sample", "project"))
    assert z["shape"] == ["n", 5] and z["range"] == [-1, 1] and z["dtype"] == "float32"
    assert images["shape"] == ["n", 16, 16, 3] and images["range"] == [-1, 1]
    outputs = [value["name"] for value in manifest["functions"]["project"]["outputs"]]
    assert outputs == ["z", "output", "cost"]


def test_translations_are_those_of_the_run_in_the_size_that_is_asked_for(both_ways, tmp_path):
    settings = {"size": ("16", "24"), "platforms": ("cpu",)}
    manifest, made = written(both_ways.loaded, tmp_path, names=["translate_BtoA"], **settings)
    (images,) = inputs_of(manifest["functions"]["translate_BtoA"], 2)
    assert images.shape == (2, 16, 24, 3)
    assert_equal(made["translate_BtoA"](images)["output"], both_ways.to("BtoA").generate(images))


def test_convolutions_are_xlas_whatever_is_preferred(latent_run, tmp_path, monkeypatch):
    monkeypatch.setattr(conv, "DEFAULT_FORM", "gemm")
    written(latent_run(), tmp_path, names=["sample"], platforms=("cpu",))
    module = jax.export.deserialize(bytearray((tmp_path / "sample.jax").read_bytes())).mlir_module()
    assert module.count("stablehlo.convolution") == 2


def test_weights_of_other_nets_are_not_in_the_file(both_ways, tmp_path):
    run = both_ways.loaded
    numbers = sum(x.size for x in jax.tree.leaves(run.weights["params"]["generator_ab"]))
    written(run, tmp_path, names=["translate_AtoB"], platforms=("cpu",))
    module = jax.export.deserialize(bytearray((tmp_path / "translate_AtoB.jax").read_bytes())).mlir_module()
    shapes = re.findall(r"stablehlo.constant dense.* : tensor<([0-9x]+)xf32>", module)
    assert sum(math.prod(map(int, shape.split("x"))) for shape in shapes) == numbers


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"names": ["translate_AtoB"]}, "a run of dcgan has sample and project in this format"),
        ({"names": ["project"], "without": ["project"]}, "a run of dcgan has sample in this format"),
        ({"size": (16,)}, "--size: this is for translations, and there is none among sample, project"),
        ({"dropout": True}, "--dropout: this is for translations"),
        ({"names": ["sample"], "starts": 2}, "--starts and --evaluations: this is for the function project"),
        ({"evaluations": 0}, "evaluations=0: it must be 1 or more"),
    ],
)
def test_what_a_run_does_not_have_is_refused(latent_run, settings, sentence):
    with pytest.raises(jgan.UserError, match=sentence):
        functions.of(latent_run(), settings.pop("names", ()), **settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": (16, 16, 16)}, "--size=16,16,16: one number of pixels would work, or height and width"),
        ({"size": ("0",)}, "--size=0: one number"),
        ({"size": ("wide",)}, "--size=wide: one number"),
        ({"size": ("99999",)}, "each up to 32,768"),
        ({"dropout": True}, "the run has a generator without dropout: export it without --dropout"),
        ({"statistics": "batch"}, "statistics='batch' is unknown: use one of image, running"),
    ],
)
def test_what_a_translation_cannot_take_is_refused(both_ways, settings, sentence):
    with pytest.raises(jgan.UserError, match=sentence):
        functions.of(both_ways.loaded, **settings)


def test_platforms_and_directories_that_do_not_fit_are_refused(latent_run, tmp_path):
    run = latent_run()
    made = functions.of(run, ["sample"])
    with pytest.raises(
        jgan.UserError, match="--platforms=cpu,amiga: some of cpu, cuda, rocm, tpu would work"
    ):
        export_functions.write(run, made, str(tmp_path / "x"), "stablehlo", platforms=("cpu", "amiga"))
    (tmp_path / "sample.jax").write_text("mine")
    with pytest.raises(jgan.UserError, match="holds sample.jax already: name another directory"):
        export_functions.write(run, made, str(tmp_path), "stablehlo")
    with pytest.raises(jgan.UserError, match="is a file|cannot be made"):
        export_functions.write(run, made, str(tmp_path / "sample.jax"), "stablehlo")
    assert (tmp_path / "sample.jax").read_text() == "mine"


def test_onnx_without_its_package_is_one_sentence(latent_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "jgan.programs.onnx_graph", raising=False)
    run = latent_run()
    with pytest.raises(jgan.UserError, match="a package that is missing: pip install onnx=="):
        export_functions.write(run, functions.of(run, ["sample"]), str(tmp_path), "onnx")


def test_onnx_gives_the_pictures_of_the_run(latent_run, both_ways, tmp_path):
    pytest.importorskip("onnx")
    run = latent_run()
    manifest, made = written(run, tmp_path / "dcgan", "onnx", ["sample"])
    for n in (1, 3):
        codes = inputs_of(manifest["functions"]["sample"], n)
        assert_equal(made["sample"](*codes)["output"], jax.jit(jax.vmap(run.space().generate))(*codes))
    _, made = written(both_ways.loaded, tmp_path / "cyclegan", "onnx", ["translate_AtoB"])
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    assert_equal(made["translate_AtoB"](images)["output"], both_ways.generate(images))


def test_what_onnx_has_no_rule_for_is_refused(latent_run, tmp_path):
    pytest.importorskip("onnx")
    run = latent_run()
    made = functions.of(run, ["project"], starts=1, evaluations=1)
    with pytest.raises(
        jgan.UserError, match="--format=onnx: project needs the operation .*--format=stablehlo"
    ):
        export_functions.write(run, made, str(tmp_path), "onnx")


SYSTEMS = {
    "unet": ("pix2pix", {"data.channels": (3, 3)}),
    "antialias": ("pix2pix", {"data.channels": (4, 1), "generator.antialias": True}),
    "short": ("pix2pix", {"data.channels": (3, 3), "precision": "bfloat16"}),
    "resnet": ("cyclegan", {"data.channels": (3, 3), "generator.name": "resnet_6blocks"}),
    "resize": (
        "cyclegan",
        {"data.channels": (3, 3), "generator.name": "resnet_6blocks", "generator.upsample": "resize_conv"},
    ),
    "code": ("bicyclegan", {"data.channels": (3, 3)}),
    "attributes": ("stargan", {"data.channels": (3,), "data.names": ("a", "b", "c")}),
    "classes": ("cgan", {"data.channels": (3,), "data.names": ("a", "b", "c")}),
    "styles": ("stylegan2", {"data.channels": (3,)}),
    "growing": ("progressive", {"data.channels": (3,)}),
    "usual": ("dcgan", {"data.channels": (3,), "generator.kernel": 4}),
    "dense": ("gan", {"data.channels": (3,)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SYSTEMS)
@pytest.mark.parametrize("form", ["stablehlo", "onnx"])
def test_all_systems_are_exported(case, form, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnx")
    name, changes = SYSTEMS[case]
    run = run_of(name, **changes)
    manifest, made = written(run, tmp_path, form, without=["project"])
    assert made
    for function in functions.of(run, without=["project"]):
        for n in (1, 3):
            arrays = inputs_of(manifest["functions"][function.name], n)
            found = made[function.name](*arrays)["output"]
            own = jax.jit(function.call)(function.weights, *arrays)["output"]
            # Forms of convolution round numbers of bfloat16 otherwise.
            assert_equal(found, own, 1e-4 if case != "short" else 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "space"), [("stylegan2", "w_plus_noise"), ("cgan", "")])
def test_all_kinds_of_searches_are_exported(name, space, tmp_path):
    changes = {"data.names": ("a", "b")} if name == "cgan" else {}
    run = run_of(name, **{"data.channels": (3,), **changes})
    run = run._replace(latent=space)
    manifest, made = written(run, tmp_path, names=["project"], evaluations=3)
    described = manifest["functions"]["project"]
    for n in (1, 2):
        found = made["project"](*inputs_of(described, n))
        assert {value["name"] for value in described["outputs"]} == set(found)
        assert all(np.isfinite(x).all() and x.shape[0] == n for x in found.values())


@pytest.mark.slow
def test_dropout_is_drawn_by_a_key_for_each_picture(tmp_path):
    changes = {"generator.name": "resnet_6blocks", "generator.dropout": 0.5, "data.channels": (3, 3)}
    run = run_of("cyclegan", **changes)
    manifest, made = written(run, tmp_path, names=["translate_AtoB"], dropout=True)
    images, keys = inputs_of(manifest["functions"]["translate_AtoB"], 2)
    found = made["translate_AtoB"](images, keys)["output"]
    way = run.way("AtoB")
    for k in range(2):
        key = jax.random.wrap_key_data(keys[k])
        own = way.run(run.weights, {"a": images[k : k + 1]}, key, statistics="image", dropout=True)["output"]
        assert_equal(found[k], own[0])


@pytest.mark.slow
def test_the_program_writes_what_a_process_with_jax_alone_can_call(tmp_path, drawn_run, small_cyclegan):
    workdir, out = tmp_path / "run", tmp_path / "out"
    workdir.mkdir()
    drawn_run(str(workdir), small_cyclegan(), 2)
    command = [sys.executable, "-m", "launch.export", f"--workdir={workdir}", "--format=stablehlo"]
    done = subprocess.run([*command, f"--output={out}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    images = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    for way in ("AtoB", "BtoA"):
        example = manifest["functions"][f"translate_{way}"]["example"]
        np.save(tmp_path / "images.npy", images)
        program = "\n".join(
            [
                *example[:2],
                f"output = translate_{way}(np.load({str(tmp_path / 'images.npy')!r}))['output']",
                f"np.save({str(tmp_path / 'output.npy')!r}, output)",
                example[2],
                "import sys",
                "assert output.shape == (2, 16, 16, 3) and not {'jgan', 'flax'} & set(sys.modules)",
            ]
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=out, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        own = translator.load(str(workdir), way=way).generate(images)
        assert_equal(np.load(tmp_path / "output.npy"), own)
    for flags, sentence in (
        ([f"--output={out}"], "already: name another directory"),
        ([f"--output={out}/x", "--platforms=amiga"], "--platforms=amiga: some of"),
        ([f"--output={out}/x", "--functions=sample"], "--functions=sample: a run of cyclegan has"),
        ([f"--output={out}/x", "--format=onnx", "--dropout"], "--dropout goes with --format=stablehlo alone"),
    ):
        done = subprocess.run([*command, *flags], capture_output=True, text=True)
        assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_process_with_onnxruntime_alone_can_call_it(latent_run, tmp_path):
    pytest.importorskip("onnx")
    run = latent_run()
    manifest, made = written(run, tmp_path, "onnx", ["sample"])
    codes = inputs_of(manifest["functions"]["sample"], 2)
    example = manifest["functions"]["sample"]["example"]
    program = "\n".join(
        [
            *example,
            "import sys",
            "assert output.shape == (2, 16, 16, 3)",
            "assert not {'jgan', 'jax'} & set(sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_equal(made["sample"](*codes)["output"], jax.vmap(run.space().generate)(*codes))
