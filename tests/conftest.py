"""What all tests share: small configs, and quick compilation."""

import importlib.metadata
import os
import pathlib
import secrets
import tempfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent

# Tests compile far more than they compute. The compiler's costly passes change no result a test may look at
# (those that look at compiled programs or at speed switch them on again), and programs that several processes of a
# test compile are kept for the session. Both are set in the environment, for the processes that tests start.
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit all of it
    _cache = tempfile.TemporaryDirectory(prefix="jgan-test-")
    os.environ.update(
        JAX_DISABLE_MOST_OPTIMIZATIONS="1",
        JAX_COMPILATION_CACHE_DIR=os.path.join(_cache.name, "programs"),
        XDG_CACHE_HOME=_cache.name,  # decoded pixels go there, not to the user's own cache
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.2",
        PYTHONPATH=str(ROOT),
    )
    # Fusions by XLA's emitters take two thirds of the time of compiling, and to cut programs into parts for several
    # threads a tenth of the rest. The flags are XLA's own: where one is unknown it ends the process, and later releases
    # do not have them.
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        _flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(
            [*_flags, "--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
        )


def pytest_collection_modifyitems(items):
    """The README's commands first: they take longest, and at the end one core would wait for them."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="module")
def quick_convolutions():
    """XLA's convolutions, which compile in half the time; tests/ops holds the other forms equal to them."""
    from jgan.ops import conv  # only now: it imports jax, which reads the environment that is set above

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "DEFAULT_FORM", "lax")
        yield


@pytest.fixture(scope="module")
def quick_children():
    """The same for the processes that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JGAN_CONV", "lax")
        yield


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    """The folder of object stores, gs/BUCKET and s3/BUCKET, which this process and those that it starts can use.

    epath finds them through tests/buckets, and TensorStore gs:// through a server on this machine.
    """
    from tests.buckets import server

    folder, here = tmp_path_factory.mktemp("stores"), str(ROOT / "tests" / "buckets")
    with pytest.MonkeyPatch.context() as patch, server.started(folder) as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", str(ROOT))]))
        patch.syspath_prepend(here)
        yield folder


@pytest.fixture
def bucket(stores):
    """`("gs" | "s3") -> "gs://BUCKET"`: an empty bucket of a test."""
    name = f"bucket-{secrets.token_hex(4)}"
    return lambda scheme: f"{scheme}://{name}"


@pytest.fixture(scope="session")
def small_config():
    """`(preset="", **changes) -> ConfigDict` of pix2pix, shrunk to 16 px and four channels."""
    from configs import pix2pix

    def make(preset="", **changes):
        config = pix2pix.get_config(preset)
        config.update_from_flattened_dict(
            {
                "steps": 4,
                "data.size": 16,
                "data.load_size": 18,
                "data.channels": (3, 3),
                "generator.name": "unet",
                "generator.levels": 4,
                "generator.ngf": 4,
                "discriminator.ndf": 4,
                "discriminator.n_layers": 2,
                **changes,
            }
        )
        return config

    return make


@pytest.fixture(scope="session")
def small_cyclegan():
    """`(preset="", **changes) -> ConfigDict` of CycleGAN, shrunk to 16 px and four channels."""
    from configs import cyclegan

    def make(preset="", **changes):
        config = cyclegan.get_config(preset)
        config.update_from_flattened_dict(
            {
                "steps": 4,
                "data.size": 16,
                "data.load_size": 18,
                "data.channels": (3, 3),
                "generator.name": "unet",
                "generator.levels": 2,
                "generator.ngf": 4,
                "discriminator.ndf": 4,
                "discriminator.n_layers": 1,
                **changes,
            }
        )
        return config

    return make


@pytest.fixture(scope="session")
def latent_run():
    """`(**changes) -> Run`: of a DCGAN of 16 px, as if it had been loaded."""
    import jax
    import numpy as np

    from configs import dcgan as presets
    from jgan import trained
    from jgan.systems import dcgan

    def make(**changes):
        config = presets.get_config()
        config.update_from_flattened_dict(
            {
                "steps": 6,
                "statistics_steps": 1,
                "data.size": 16,
                "data.channels": (3,),
                "latent.nz": 5,
                "generator.ngf": 4,
                "discriminator.ndf": 4,
                **changes,
            }
        )
        system = dcgan.build(config)
        state = jax.jit(system.init)(jax.random.key(0), {"images": np.zeros((2, 16, 16, 3), np.uint8)})
        weights = jax.device_get(state.weights())
        # An untrained generator shows next to nothing; with larger kernels its images differ.
        generator = weights["params"]["generator"]
        weights["params"]["generator"] = jax.tree.map(lambda x: 20 * x if x.ndim > 1 else x, generator)
        return trained.Run(config, config.steps, system, weights)

    return make


@pytest.fixture(scope="session")
def small_latent_run(latent_run):
    """One with a predictor."""
    return latent_run(**{"predictor.ndf": 4, "predictor.steps": 2, "predictor.statistics_steps": 1})


@pytest.fixture(scope="session")
def styles_run(styles_run_of):
    """A StyleGAN2 of 16 px (6 rows of styles with 6 numbers) within w_plus, as if it had been loaded."""
    return styles_run_of(16)


@pytest.fixture(scope="session")
def styles_run_of():
    """`(size) -> Run`: such a StyleGAN2 of another size."""
    import jax
    import numpy as np

    from configs import stylegan2 as presets
    from jgan import trained
    from jgan.systems import stylegan2
    from tests.initial_weights import quick_init

    def make(size):
        config = presets.get_config("tiny")
        config.data.channels, config.data.size, config.data.load_size = (3,), size, size
        system = stylegan2.build(config)
        state = quick_init(system.init)(jax.random.key(0), {"images": np.zeros((4, size, size, 3), np.uint8)})
        weights = jax.device_get(state.weights())
        # A mean style that is not 0, and noise that is seen.
        weights["stats"]["mapping"]["w_avg"] = np.float32([0.3, -0.2, 0.1, 0.0, 0.5, -0.4])
        weights["params"]["synthesis"] = jax.tree.map(
            lambda x: x + np.float32(0.1) if x.ndim == 0 else x, weights["params"]["synthesis"]
        )
        return trained.Run(
            config, config.steps, system, {**weights, "frozen": {}, "given": {}}, latent="w_plus"
        )

    return make


@pytest.fixture(scope="session")
def drawn_run():
    """`(workdir, config, *steps) -> {step: state}`: writes a run of drawn weights, best at the first step."""
    import jax
    import numpy as np

    from jgan import trained
    from jgan.runs import checkpoint
    from jgan.runs import config as run_config

    def make(workdir, config, *steps):
        rng, states = np.random.default_rng(0), {}
        system = trained.SYSTEMS[config.system](config)
        abstract = jax.eval_shape(system.init, jax.random.key(0), trained.batch_shape(config))
        run_config.write(workdir, config)
        with checkpoint.Checkpoints(os.path.join(workdir, "checkpoints")) as checkpoints:
            for step in steps:
                # Variances are positive.
                states[step] = jax.tree_util.tree_map_with_path(
                    lambda path, x: np.asarray(
                        (np.abs if "variance" in jax.tree_util.keystr(path) else np.positive)(
                            rng.normal(0, 0.1, x.shape)
                        ),
                        x.dtype,
                    ),
                    abstract,
                )
                checkpoints.save(step, states[step], {"l1": step})
        return states

    return make


@pytest.fixture(scope="session")
def domains():
    """`(root, names_b) -> root`: folders testA and testB of three small pictures; pairs where the names agree."""
    import numpy as np

    from jgan.data import images

    def make(root, names_b):
        rng = np.random.default_rng(0)
        for split in ("train", "test"):
            for side, names in (("A", "xyz"), ("B", names_b)):
                for name in names:
                    path = root / f"{split}{side}" / f"{name}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    images.write(path, rng.integers(0, 256, (16, 16, 3), np.uint8))
        return str(root)

    return make


@pytest.fixture(scope="session")
def both_ways(tmp_path_factory, small_cyclegan, domains, drawn_run):
    """The translator of a CycleGAN of drawn weights on 16 px pictures that are pairs where they are scored."""
    from jgan.programs import translate

    root = tmp_path_factory.mktemp("both")
    config = small_cyclegan(**{"steps": 2, "data.root": domains(root / "data", "xyz"), "ema": 0.9})
    (root / "run").mkdir()
    drawn_run(str(root / "run"), config, 2)
    return translate.load(str(root / "run"))


@pytest.fixture
def optimised():
    """Programs compiled as outside the tests, which save time by leaving passes out."""
    import jax  # only now: it reads the environment that is set above

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
