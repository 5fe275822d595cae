"""Files of directions of a generator with styles: principal, in closed form, from scores; whose they are; rows."""

import jax
import numpy as np
import pytest

import jgan
from jgan.latent import directions
from jgan.programs import directions as directions_lib

ROWS, WIDTH = 6, 6


@pytest.fixture(scope="module")
def w(styles_run):
    return styles_run.within("w")


def cosine(a, b):
    return float(np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


def test_principal_directions_are_those_of_the_styles_themselves(w, styles_run, tmp_path):
    path, plus = str(tmp_path / "w.npz"), str(tmp_path / "w_plus.npz")
    directions_lib.write_principal(w, path, 2, number=200, seed=1)
    found = directions_lib.load_all(w, path)
    x = np.asarray(jax.jit(jax.vmap(w.space().sample))(jax.random.split(jax.random.key(1), 200)), np.float64)
    _, s, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    for k in (0, 1):
        vector = found[f"principal_{k + 1}"]
        np.testing.assert_allclose(np.linalg.norm(vector), s[k] / np.sqrt(200), rtol=1e-3)
        assert abs(cosine(vector, axes[k])) > 0.999
    directions_lib.write_principal(styles_run, plus, 1, number=200, seed=1)
    rows = directions_lib.load(styles_run, plus, "")
    np.testing.assert_allclose(rows, np.tile(found["principal_1"], (ROWS, 1)), atol=1e-5)


def test_directions_in_closed_form_move_their_rows(w, styles_run, tmp_path):
    path, plus = str(tmp_path / "w.npz"), str(tmp_path / "w_plus.npz")
    assert directions_lib.write_closed_form(w, path, 2, "0-2") == ["sefa_1", "sefa_2"]
    directions_lib.write_closed_form(styles_run, plus, 2, "0-2")
    vector, rows = (directions_lib.load(r, p, "sefa_2") for r, p in ((w, path), (styles_run, plus)))
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
    np.testing.assert_allclose(rows, np.where(np.arange(ROWS)[:, None] < 3, vector, 0), atol=1e-6)
    # Those of other layers are others.
    directions_lib.write_closed_form(w, path, 2, "4")
    assert abs(cosine(directions_lib.load(w, path, "sefa_2"), vector)) < 0.99


def test_a_direction_of_w_moves_rows_of_w_plus(w, styles_run, tmp_path):
    path, vector = str(tmp_path / "w.npz"), np.arange(1, 7, dtype=np.float32)
    directions.save(path, "w", {"smile": vector}, w.digest)
    np.testing.assert_array_equal(directions_lib.load(styles_run, path, "smile"), np.tile(vector, (ROWS, 1)))
    coarse = directions_lib.load(styles_run, path, "smile", "coarse")
    np.testing.assert_array_equal(coarse, np.where(np.arange(ROWS)[:, None] < 4, vector, 0))
    noisy = directions_lib.load(styles_run.within("w_plus_noise"), path, "smile", "5")
    np.testing.assert_array_equal(noisy["w_plus"], np.where(np.arange(ROWS)[:, None] == 5, vector, 0))
    assert not any(map(np.any, noisy["noise"]))
    # In its own space as it is; a move along it in all rows is the same image.
    np.testing.assert_array_equal(directions_lib.load(w, path, "smile"), vector)
    for run, rows, message in (
        (w, "0-3", "one style for all layers"),
        (styles_run, "3-6", "has 6, 0 to 5"),
        (
            styles_run.within("z"),
            "",
            "not for the space 'z' of this generator, but for 'w': .* --space=w would work",
        ),
        (styles_run.within("z"), "0-3", "not for the space 'z'"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            directions_lib.load_all(run, path, rows)
    # A file stays in its space: nothing of another one is added to it.
    with pytest.raises(jgan.UserError, match="not for the space 'w_plus'"):
        directions_lib.write_closed_form(styles_run, path, 1)


def test_another_generators_directions_are_refused(w, tmp_path):
    path = str(tmp_path / "w.npz")
    directions_lib.write_closed_form(w, path, 1)
    other = w._replace(weights=jax.tree.map(lambda x: x + 1, w.weights))
    assert other.digest != w.digest == w._replace(weights={**w.weights, "given": {"truncation": 1.0}}).digest
    for call in (
        lambda: directions_lib.load_all(other, path),
        lambda: directions_lib.write_closed_form(other, path, 1),
    ):
        with pytest.raises(jgan.UserError, match="another generator") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.fixture
def scored(tmp_path):
    """A samples.npz of 40 styles whose score is a sum, and the file of scores."""
    x = np.random.default_rng(0).normal(size=(40, WIDTH)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", w=x, images=np.zeros((40, 2, 2, 3), np.uint8))
    lines = [f"{k},{3 * x[k, 0] - x[k, 1]:.6f}" for k in range(39)]
    (tmp_path / "scores.csv").write_text("\n".join(["number,score", *lines]) + "\n")
    return x, str(tmp_path / "samples.npz"), str(tmp_path / "scores.csv")


def test_a_boundary_by_scores_and_one_between_folders(w, scored, tmp_path):
    x, samples, scores = scored
    path = str(tmp_path / "d.npz")
    directions_lib.write_boundary(w, path, "sum", samples, scores)
    found = directions_lib.load(w, path, "sum")
    np.testing.assert_allclose(
        np.linalg.norm(found), np.std(x[:39] @ found) / np.linalg.norm(found), rtol=1e-3
    )
    ahead = x @ found
    assert np.corrcoef(ahead, 3 * x[:, 0] - x[:, 1])[0, 1] > 0.99
    for name, places in (("high", ahead > np.median(ahead)), ("low", ahead <= np.median(ahead))):
        (tmp_path / name).mkdir()
        for k in np.flatnonzero(places):
            np.savez(tmp_path / name / f"{k}.png.npz", w=x[k])
    ends = str(tmp_path / "high"), str(tmp_path / "low")
    directions_lib.write_difference(w, path, "set", *ends, boundary=True)
    made = directions_lib.load_all(w, path)
    assert cosine(made["set"], found) > 0.85
    directions_lib.write_difference(w, path, "rest", *ends, boundary=True, conditional=["sum"])
    assert abs(cosine(directions_lib.load(w, path, "rest"), found)) < 1e-4


@pytest.mark.parametrize(
    "line, message",
    [
        ("40,1", "line 2 is '40,1': the name of a latent such as '0' and a number"),
        ("1,nan", "line 2"),
        ("1,many", "line 2"),
        ("1,1e300", "line 2"),
        ("1,2,3", "line 2"),
        ("1,2", "no two that differ"),
        ("1,2\n1,3", "line 3: '1' is the name of several lines"),
        ("", "0 scores"),
    ],
)
def test_scores_that_do_not_fit(w, scored, tmp_path, line, message):
    _, samples, _ = scored
    (tmp_path / "bad.csv").write_text(f"number,score\n{line}\n")
    with pytest.raises(jgan.UserError, match=message):
        directions_lib.write_boundary(w, str(tmp_path / "d.npz"), "n", samples, str(tmp_path / "bad.csv"))
    assert not (tmp_path / "d.npz").exists()


def test_what_a_boundary_cannot_be_found_of(w, styles_run, scored, tmp_path):
    _, samples, scores = scored
    path = str(tmp_path / "d.npz")
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "one.npz", w=np.ones(WIDTH, np.float32))
    one, large = str(tmp_path / "one.npz"), str(tmp_path / "large.npz")
    np.savez(large, w=np.full(WIDTH, 1e30))
    (tmp_path / "two").mkdir()
    for name in "ab":
        np.savez(tmp_path / "two" / f"{name}.npz", w=np.ones((2, WIDTH), np.float32))
    for call, message in (
        (lambda: directions_lib.write_boundary(styles_run, path, "n", samples, scores), "space 'w_plus'"),
        (lambda: directions_lib.write_boundary(w, path, "n", str(tmp_path / "text.npz"), scores), "no proj"),
        (lambda: directions_lib.write_boundary(w, path, "n", str(tmp_path / "no"), scores), "--latents=.*no"),
        (lambda: directions_lib.write_boundary(w, path, "", samples, scores), "--name"),
        (lambda: directions_lib.write_boundary(w, path, "n", samples, str(tmp_path / "x")), "0 scores"),
        (lambda: directions_lib.write_difference(w, path, "n", one, one, boundary=True), "two sets are the"),
        (
            lambda: directions_lib.write_boundary(w, path, "n", samples, scores, conditional=["age"]),
            "--conditional=age: the file holds none",
        ),
        (lambda: directions_lib.write_difference(w, path, "n", one, one), "have the same mean"),
        (lambda: directions_lib.write_difference(w, path, "n", large, one), "large.npz is no projection"),
        (
            lambda: directions_lib.write_boundary(w, path, "n", str(tmp_path / "two"), scores),
            "line 2: '0' is the name of several latents",
        ),
        (lambda: directions_lib.write_principal(w, path, 1, 0), "--samples=0"),
        (lambda: directions_lib.write_principal(w, path, 1, 10**12), "--samples=1000000000000"),
        (lambda: directions_lib.show(w, path, str(tmp_path / "out"), amount=1e30), "--amount=1e\\+30"),
        (lambda: directions_lib.show(w, path, str(tmp_path / "out"), number=10**9), "--number=1000000000"),
        (lambda: directions_lib.write_closed_form(w, path, 7), "1 to 6 directions, not 7"),
        (lambda: directions_lib.write_closed_form(w.within("z"), path, 1), "space 'z' hold no styles"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            call()
    directions_lib.write_boundary(w, path, "n", samples, scores)
    with pytest.raises(jgan.UserError, match="nothing is left"):
        directions_lib.write_boundary(w, path, "m", samples, scores, conditional=["n"])
