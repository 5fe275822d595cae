"""Edits with a recipe: what they leave is what the functions of `embedding` find, and mistakes leave nothing."""

import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import jgan
from jgan.data import framing
from jgan.data import images as image_files
from jgan.latent import codec
from jgan.latent import document
from jgan.latent import embedding
from jgan.metrics import images as metrics
from jgan.programs import operations
from jgan.programs import project
from jgan.programs import recipes
from tests import conftest

SIZE = 8
# On a canvas that is twice as large as the photo: its left half, with round ends that lie beyond the letterbox's.
LEFT_HALF = {"points": [[10, 0], [10, 24]], "width": 20}
MASK, PAINT = {"brush": "mask", **LEFT_HALF}, {"brush": "colour", **LEFT_HALF, "colour": [255, 0, 51]}
LEFT = np.broadcast_to(np.arange(SIZE) < SIZE // 2, (SIZE, SIZE)).astype(np.float32)
INSIDE = np.broadcast_to(np.isin(np.arange(SIZE), range(2, 6))[:, None], (SIZE, SIZE)).astype(np.float32)
NAMES = {"picture.png", "latents.npz", "strip.png", "index.html"}


def photo(seed):
    """12 x 20 pixels: the letterbox shows it in four of eight rows."""
    return np.random.default_rng(seed).integers(0, 256, (12, 20, 3), np.uint8)


@pytest.fixture(scope="module")
def run(styles_run_of):
    return styles_run_of(SIZE).within("w_plus_noise")


@pytest.fixture(scope="module")
def search(run):
    return project.choose(run, evaluations=2, noise_evaluations=2)


@pytest.fixture(scope="module")
def projects(run, search):
    """The projector, compiled once."""
    return project.projector(run, **search, batch=1, feature_weight=0.0)


@pytest.fixture(scope="module")
def generate(run):
    return jax.jit(run.space().generate)


@pytest.fixture(scope="module")
def start(run):
    """A latent that a projection of the first photo could have given."""
    return jax.device_get(jax.jit(run.space().sample)(jax.random.key(8)))


@pytest.fixture
def files(tmp_path, run, start):
    """Two photos of different sizes, and the latent of the first."""
    (tmp_path / "in").mkdir()
    for name, pixels in (("a", photo(0)), ("b", photo(1)[:, :12])):
        image_files.write(tmp_path / "in" / f"{name}.png", pixels)
    np.savez(tmp_path / "in" / "a.npz", **codec.arrays("w_plus_noise", start), generator=np.array(run.digest))
    given = {name: str(tmp_path / "in" / name) for name in ("a.png", "b.png", "a.npz")}
    return given | {"out": str(tmp_path / "out")}


def tree(recipe, *strokes, **changes):
    given = {"format": "jgan-edit", "version": 1, "space": "w_plus_noise", "size": [24, 40]}
    return given | {"recipe": recipe, "strokes": list(strokes)} | changes


def carry_out(run, search, files, recipe, *strokes, changes=None, **given):
    drawn = document.parse(json.dumps(tree(recipe, *strokes, **changes or {})))
    given = {"image": files["a.png"], "search": search, "seed": 3} | given
    return recipes.carry_out(run, drawn, files["out"], **given)


def expected(run, search, recipe, start, weight):
    """What the function of `embedding` finds, of the photos as the run sees them."""
    first, second = (framing.fit(x, SIZE).image for x in (photo(0), photo(1)[:, :12]))
    red = np.where(LEFT[..., None] > 0, np.float32([1, -1, -0.6]), first)

    def found(weights):
        space = run.space(weights)
        seen = {
            "features": lambda image: [x[0] for x in run.judge(weights, image[None])["features"]],
            "weight": weight,
        }
        rest = (jax.random.key(3), search["settings"])
        match recipe:
            case "crossover":
                return embedding.crossover(space, second, first, LEFT, *rest, **seen)
            case "inpaint":
                return embedding.inpaint(space, first, (1 - LEFT) * INSIDE, *rest, **seen)
            case "scribble":
                return embedding.scribble(space, first, red, LEFT, start, *rest, **seen)
            case "local_style":
                return embedding.local_style(space, first, second, 1 - LEFT, *rest, **seen)

    return jax.device_get(jax.jit(found)(run.weights))


@pytest.mark.parametrize(
    "recipe, strokes, weight, files_given",
    [
        ("crossover", [MASK], project.FEATURE_WEIGHT, {"second": "b.png"}),
        ("inpaint", [{**MASK, "width": 40}, {**MASK, "points": [[30, 0], [30, 24]], "erase": True}], 0.0, {}),
        ("scribble", [PAINT], 0.0, {"latent": "a.npz"}),
        ("local_style", [MASK], project.FEATURE_WEIGHT, {"second": "b.png"}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_recipe_leaves_what_its_function_finds(
    run, search, generate, start, files, recipe, strokes, weight, files_given, capsys
):
    given = {name: files[file] for name, file in files_given.items()}
    psnr = carry_out(run, search, files, recipe, *strokes, feature_weight=weight, **given)
    assert set(os.listdir(files["out"])) == NAMES
    left = operations.one(run, "latent", os.path.join(files["out"], "latents.npz"))
    latent = expected(run, search, recipe, start, weight)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(latent), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    shown = np.asarray(generate(latent))
    picture = image_files.read(os.path.join(files["out"], "picture.png"))
    np.testing.assert_allclose(picture, np.clip((shown + 1) * 127.5, 0, 255), atol=0.6)
    parts = (x[2:6, SIZE // 2 :] for x in (np.clip(shown, -1, 1), framing.fit(photo(0), SIZE).image))
    assert psnr == pytest.approx(metrics.psnr(*parts), abs=1e-3)
    assert f"{recipe}: what should stay of the photo has a PSNR of {psnr:.1f} dB." in capsys.readouterr().out
    with open(os.path.join(files["out"], "index.html")) as page:
        titles = [part.split("<")[0] for part in page.read().split("<figcaption>")[1:]]
    between = ["the second photo"] * ("second" in given) + ["the mask"]
    assert titles == ["the photo", *(["the scribble"] if recipe == "scribble" else between), "the picture"]


def test_the_border_that_a_mask_blurs_need_not_stay():
    left = np.broadcast_to(np.arange(64) < 32, (64, 64)).astype(np.float32)
    given = recipes.Given(None, None, left, np.ones_like(left))
    for recipe, first in (("crossover", 34), ("inpaint", 32)):
        assert np.flatnonzero(recipes._stays(given, recipe)[0])[0] == first
    thin = given._replace(mask=np.broadcast_to(np.arange(64) < 63, (64, 64)).astype(np.float32))
    assert np.flatnonzero(recipes._stays(thin, "crossover")[0]).tolist() == [63]


def test_attributes_are_those_of_two_projections(run, search, projects, files, monkeypatch):
    monkeypatch.setattr(project, "projector", lambda *given, **more: projects)
    carry_out(run, search, files, "attributes", MASK, second=files["b.png"], changes={"resolution": 4})
    views = [framing.fit(x, SIZE) for x in (photo(0), photo(1)[:, :12])]
    both = [
        jax.tree.map(lambda x: x[0], projects(view.image[None], view.mask[None], [3])[0].latent)
        for view in views
    ]
    names = codec.arrays("w_plus_noise", jax.tree.map(lambda *x: np.stack(x), *both))
    with np.load(os.path.join(files["out"], "latents.npz")) as saved:
        for name, x in names.items():
            np.testing.assert_allclose(saved[name], x, atol=1e-6)
        assert saved["cost"].shape == (2,)
    transfer = functools.partial(embedding.transfer_attributes, run.space(), mask=LEFT, resolution=4)
    made = np.asarray(jax.jit(lambda a, b: transfer(a, b))(*both))
    picture = image_files.read(os.path.join(files["out"], "picture.png"))
    np.testing.assert_allclose(picture, np.clip((made + 1) * 127.5, 0, 255), atol=0.6)


@pytest.mark.parametrize(
    "recipe, stroke, given, message",
    [
        ("crossover", MASK, {}, "crossover is of two photos: --second must be given"),
        ("inpaint", MASK, {"second": "b.png"}, "inpaint is of one photo: --second has no effect"),
        ("inpaint", MASK, {"image": ""}, "--image must be given"),
        ("inpaint", MASK, {"latent": "a.npz"}, "begins at the mean style: --latent has no effect"),
        (
            "inpaint",
            MASK,
            {"space": "w_plus"},
            "needs maps of noise beside styles, and latents of w_plus have",
        ),
        ("inpaint", MASK | {"erase": True}, {}, "the mask is empty where --fit=letterbox shows the photo"),
        ("inpaint", MASK | {"width": 1}, {"fit": "crop"}, None),
        ("inpaint", MASK | {"points": [[1, 12]], "width": 1}, {"fit": "crop"}, "mask is empty .* --fit=crop"),
        ("inpaint", MASK | {"width": 40, "points": [[0, 12], [40, 12]]}, {}, "covers the whole photo"),
        ("scribble", PAINT | {"width": 40, "points": [[0, 12], [40, 12]]}, {}, "covers the whole photo"),
        ("inpaint", MASK, {"changes": {"size": [24, 30]}}, "neither the proportions of the photo"),
        ("inpaint", MASK, {"fit": "squash"}, "letterbox, crop"),
        (
            "attributes",
            MASK,
            {"second": "b.png", "changes": {"resolution": 16}},
            "resolution is 16: .* 4, 8, ... or 8 pixels",
        ),
        ("scribble", PAINT, {"latent": "b.png"}, "b.png is no projection"),
        ("crossover", MASK, {"second": "none.png"}, "there is no file"),
    ],
)
def test_mistakes_leave_nothing_behind(run, search, files, recipe, stroke, given, message, monkeypatch):
    if message is None:  # all is right, as far as anything is checked
        monkeypatch.setattr(recipes.edit, "claim", _stop)
        message = "^reached$"
    given = {k: files.get(x, x) if isinstance(x, str) else x for k, x in given.items()}
    within = run.within(given.pop("space", "w_plus_noise"))
    with pytest.raises(jgan.UserError, match=message) as told:
        carry_out(within, search, files, recipe, stroke, **given)
    assert "\n" not in str(told.value) and not os.path.exists(files["out"])


def _stop(*given):
    raise jgan.UserError("reached")


def test_neither_folder_of_the_photos_is_written_to(run, search, files):
    here = files | {"out": os.path.dirname(files["b.png"])}
    with pytest.raises(jgan.UserError, match="is where the photo lies"):
        carry_out(run, search, here, "crossover", MASK, second=files["b.png"])
    assert not os.path.exists(files["out"])


MANY = """
import json, runpy, sys
import launch
run, given = launch.run, []
launch.run = lambda main, **names: given.append((main, names))
runpy.run_module("launch.edit", run_name="__main__", alter_sys=True)
for line in json.loads(sys.argv[1]):
    launch.flags.FLAGS.unparse_flags()
    sys.argv = ["edit", *line]
    try:
        run(given[0][0], **given[0][1])
    except SystemExit as end:
        print(end.code)
"""


def test_flags_that_a_recipe_has_no_use_for(tmp_path, files):
    """All in one process, which imports jax once."""
    for name, stroke in (("inpaint", MASK), ("crossover", MASK), ("scribble", PAINT), ("z", None)):
        written = tree(name, stroke, size=[64, 64])
        if stroke is None:
            written = tree("", PAINT, size=[64, 64])
            del written["recipe"]
        (tmp_path / f"{name}.json").write_text(json.dumps(written))
    base = [f"--workdir={conftest.ROOT / 'models' / 'objects64'}", f"--output={files['out']}"]
    cases = [
        ("inpaint", ["--candidates=3"], "--candidates goes with an edit without a recipe alone."),
        ("inpaint", ["--frames=3"], "--frames goes with an edit without a recipe alone."),
        ("inpaint", ["--realism=1"], "--realism goes with an edit without a recipe alone."),
        ("inpaint", ["--truncate=0.5"], "--truncate and the recipe inpaint are one change each"),
        ("inpaint", [f"--second={files['b.png']}"], "--second goes with recipes of two photos"),
        ("inpaint", [f"--latent={files['a.npz']}"], "--latent goes with an edit without a recipe, and with"),
        ("crossover", ["--starts=3"], "--starts goes with a recipe that projects a photo"),
        ("crossover", ["--method=mean"], "--method goes with a recipe that projects a photo"),
        (
            "scribble",
            [f"--latent={files['a.npz']}", "--starts=3"],
            "--starts goes with a recipe that projects",
        ),
        (
            "scribble",
            [f"--lpips={files['b.png']}"],
            "--lpips goes with an edit without a recipe, and with attributes, alone.",
        ),
        ("crossover", [], "crossover is of two photos: --second must be given"),
        ("inpaint", ["--space=w_plus"], "is for the space 'w_plus_noise', not for 'w_plus'"),
        ("inpaint", ["--evaluations=0"], "evaluations=0"),
        (
            "z",
            [f"--second={files['b.png']}"],
            "--second goes with an edit with a recipe of two photos alone.",
        ),
        (
            "z",
            [f"--latent={files['a.npz']}", "--starts=2"],
            "--starts goes with --image (and no --latent) alone",
        ),
    ]
    lines = [
        [*base, "--space=w_plus_noise", f"--edit={tmp_path / name}.json", f"--image={files['a.png']}", *flags]
        for name, flags, _ in cases
    ]
    done = subprocess.run(
        [sys.executable, "-c", MANY, json.dumps(lines)], capture_output=True, text=True, cwd=conftest.ROOT
    )
    assert done.stdout.split() == ["2"] * len(cases), done.stderr
    for told, (_, _, message) in zip(done.stderr.splitlines(), cases, strict=True):
        assert told.startswith("error: ") and message in told
    assert not os.path.exists(files["out"])
