"""What a run tells: records survive kills, grids can be read back, warnings fire on what they name."""

from html import parser
import io
import json
import re
import sys

import numpy as np
from PIL import Image
import pytest

import jgan
from jgan import output
from jgan import pictures as pictures_lib
from jgan.runs import charts
from jgan.runs import log as log_lib
from jgan.runs import page as page_lib
from jgan.runs import warnings
from tests import cells

NAMES = ("input", "output", "target")


def pictures(n=4, size=120, seed=0):
    """`n` smooth random colour pictures, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 6, 6, 3)).astype(np.uint8)
    return [np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in coarse]


def rows_of(outputs=None):
    inputs, targets = pictures(seed=1), pictures(seed=2)
    outputs = targets if outputs is None else outputs
    return [list(row) for row in zip(inputs, outputs, targets, strict=True)]


# --- metrics.jsonl


def test_records_come_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = log_lib.Log(path)
    log.write({"step": 1, "g_loss": np.float32(0.5), "n": np.int64(3)})
    assert log_lib.read(path) == [{"step": 1, "g_loss": 0.5, "n": 3.0}]  # on disk before it is closed
    log.write({"step": 2, "g_loss": float("nan")})
    log.close()
    assert log_lib.read(path)[1] == {"step": 2, "g_loss": None}
    assert log_lib.read(tmp_path / "none") == []


def test_a_resumed_log_is_the_uninterrupted_one(tmp_path):
    """Killed after step 7 in the middle of a line, resumed at step 4: nothing twice, nothing lost."""
    once, killed = tmp_path / "once", tmp_path / "killed"
    record = lambda step: {"step": step, "g_loss": step / 3}  # noqa: E731
    log = log_lib.Log(once)
    for step in range(1, 11):
        log.write(record(step))
    log.close()
    log = log_lib.Log(killed)
    for step in range(1, 8):
        log.write(record(step))
    log.close()
    killed.write_bytes(killed.read_bytes()[:-9])
    log = log_lib.Log(killed, 4)
    for step in range(5, 11):
        log.write(record(step))
    log.close()
    assert killed.read_text() == once.read_text()


def test_a_new_run_starts_an_empty_log(tmp_path):
    (tmp_path / "m").write_text('{"step": 0}\n{"step": 5}\n')
    log_lib.Log(tmp_path / "m", 0).close()
    assert (tmp_path / "m").read_text() == ""


def test_other_processes_write_nothing():
    log = log_lib.Log(None, 3)
    log.write({"step": 4})
    log.close()


def test_a_log_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "m").symlink_to("/dev/full")
    log = log_lib.Log(None)
    log._file = open(tmp_path / "m", "a")
    with pytest.raises(jgan.UserError, match="/m could not be written: No space left"):
        log.write({"step": 1})
    log.close()


# --- grids


def test_cells_are_what_was_put_into_the_grid():
    rows = rows_of()
    found = cells.cells(pictures_lib.grid(rows, NAMES))
    assert len(found) == 4
    for row, back in zip(rows, found, strict=True):
        for image, cell in zip(row, back, strict=True):
            np.testing.assert_array_equal(cell, image)


def test_cells_of_the_background_colour_keep_their_size():
    blank = np.full((120, 130, 3), (250, 249, 247), np.uint8)
    found = cells.cells(pictures_lib.grid([[blank, blank]], NAMES[:2]))
    assert [[c.shape for c in row] for row in found] == [[(120, 130, 3)] * 2]


@pytest.mark.parametrize("size, shown", [(16, 112), (64, 128), (120, 120), (512, 512), (1024, 512)])
def test_images_are_shown_at_a_size_to_look_at(size, shown):
    image = np.zeros((size, size, 3), np.uint8)
    assert cells.cells(pictures_lib.grid([[image]], ("output",)))[0][0].shape == (shown, shown, 3)


def test_images_of_any_kind_are_shown():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (5, 7, 1)).astype(np.uint8)
    np.testing.assert_array_equal(pictures_lib.show(grey), np.repeat(grey, 3, -1))
    np.testing.assert_array_equal(pictures_lib.show(grey[..., 0]), np.repeat(grey, 3, -1))
    colour = rng.integers(0, 256, (5, 7, 5)).astype(np.uint8)
    np.testing.assert_array_equal(pictures_lib.show(colour), colour[..., :3])
    np.testing.assert_array_equal(pictures_lib.show(colour[..., :2])[..., :2], colour[..., :2])
    np.testing.assert_array_equal(pictures_lib.show(colour.astype(np.float32) / 127.5 - 1), colour[..., :3])
    np.testing.assert_array_equal(pictures_lib.show(colour.astype(np.uint16) * 257), colour[..., :3])
    np.testing.assert_array_equal(pictures_lib.show(np.array([[[-2.0, 2.0, np.nan]]])), [[[0, 255, 128]]])


# --- warnings


def records(d_loss=0.6, accuracy=0.8, steps=range(50, 3001, 50)):
    return [
        {"step": s, "d_loss": d_loss, "d_accuracy_real": accuracy, "d_accuracy_fake": accuracy} for s in steps
    ]


def signs(log, rows):
    """All that is told of the records and the newest pictures of a run that goes one way."""
    return warnings.of_log([*log, {"step": 0, "warnings": warnings.of_pictures({"AtoB": rows}, paired=True)}])


def test_a_good_run_is_not_warned_about():
    assert signs(records(), rows_of()) == []
    noisy = [np.clip(t + np.random.default_rng(0).normal(0, 60, t.shape), 0, 255) for t in pictures(seed=2)]
    assert signs(records(), rows_of([x.astype(np.uint8) for x in noisy])) == []
    assert signs([], []) == []


def test_collapse_is_told():
    one = pictures(1, seed=5)[0]
    noise = np.random.default_rng(0).integers(0, 4, (4, *one.shape))
    outputs = [np.clip(one + n, 0, 255).astype(np.uint8) for n in noise]
    (sentence,) = signs(records(), rows_of(outputs))
    assert "collapsed" in sentence and sentence.endswith(".")


@pytest.mark.parametrize("collapsed", [(), ("AtoB",), ("BtoA",), ("AtoB", "BtoA")])
def test_collapse_of_either_direction_is_told(collapsed):
    """Of two domains no picture has a target of its own: those of the other domain stand for them."""
    a, b = pictures(seed=1), pictures(seed=2)
    same = [pictures(1, seed=5)[0]] * 4
    fake_b, fake_a = (
        same if way in collapsed else made for way, made in (("AtoB", b[::-1]), ("BtoA", a[::-1]))
    )
    rows = {"AtoB": list(zip(a, fake_b, b, strict=True)), "BtoA": list(zip(b, fake_a, a, strict=True))}
    found = warnings.of_pictures(rows, paired=False)
    assert len(found) == len(collapsed) and all("collapsed" in sentence for sentence in found)
    # Colours that are inverted cannot be told without targets.
    inverted = {
        "AtoB": [(x, 255 - y, y) for x, y in zip(a, b, strict=True)],
        "BtoA": [(y, 255 - x, x) for x, y in zip(a, b, strict=True)],
    }
    assert warnings.of_pictures(inverted, paired=False) == []


def test_inverted_colours_are_told():
    (sentence,) = signs(records(), rows_of([255 - t for t in pictures(seed=2)]))
    assert "inverted" in sentence


def test_a_saturated_discriminator_is_told():
    (sentence,) = signs(records(d_loss=0.001, accuracy=1.0), rows_of())
    assert "saturated" in sentence and "2,450" in sentence
    assert signs(records(d_loss=0.001, accuracy=1.0, steps=range(10, 60, 10)), rows_of()) == []
    recovered = records(d_loss=0.001, accuracy=1.0)[:-6] + records()[-6:]
    assert signs(recovered, rows_of()) == []


# --- the page


class Checker(parser.HTMLParser):
    """Collects what a page refers to, and refuses tags that do not close."""

    VOID = {"meta", "img", "input", "link", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.data = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append(data)


@pytest.fixture
def run(tmp_path):
    config = {"system": "pix2pix", "steps": 400, "data": {"root": "<photos> & 'more'", "flip": True}}
    facts = {"versions": {"jax": "1.2.3"}, "excluded": [["bad.png", "truncated"]], "init_from": ""}
    (tmp_path / "config.json").write_text(json.dumps({"config": config, **facts}))
    log = log_lib.Log(tmp_path / "metrics.jsonl")
    for step in range(10, 401, 10):
        log.write(
            {
                "step": step,
                "g_loss": 30 / step,
                "d_accuracy_real": 0.7,
                "d_accuracy_fake": 0.9,
                "odd_one": 1.0,
            }
        )
        if step % 100 == 0:
            log.write({"step": step, "val_l1": 1 / step})
    log.warn(400, ["The colours look inverted."])
    log.close()
    (tmp_path / "samples").mkdir()
    for step in (0, 200, 400):
        outputs = [255 - t for t in pictures(seed=2)]
        Image.fromarray(pictures_lib.grid(rows_of(outputs), NAMES)).save(tmp_path / f"samples/{step:06d}.png")
    return tmp_path


def test_the_page_shows_the_run_from_its_own_files(run):
    page_lib.write(run)
    text = (run / "index.html").read_text()
    checked = Checker(text)
    assert "http" not in text  # opens from disk, without a network
    assert set(checked.sources) == {f"samples/{s:06d}.png" for s in (0, 200, 400)}
    assert all((run / source).exists() for source in checked.sources)
    assert [s for s, _ in json.loads(re.search(r'id="list">(.*?)</script>', text).group(1))] == [0, 200, 400]
    said = " ".join(checked.data)
    for words in (
        "Generator loss",
        "D's accuracy on",
        "Validation L1",
        "Odd one",
        "inverted",
        "1.2.3",
        "bad.png",
    ):
        assert words in said
    assert "<photos> & 'more'" in said  # escaped, and shown as it is
    assert text.count("<figure") == 4


def test_the_page_of_a_run_of_two_directions(run):
    """Each of its curves has a name in words; signs in its newest pictures are told."""
    metrics = [f"{name}_{x}" for name in ("g_adversarial", "g_cycle", "g_identity", "d_loss") for x in "ab"]
    scores = [f"val_{way}_{name}" for way in ("AtoB", "BtoA") for name in ("cycle", "l1")]
    log = log_lib.Log(run / "metrics.jsonl")
    for step in range(1000, 1100, 10):
        log.write({"step": step, **dict.fromkeys(metrics, 1 / step)})
        log.write({"step": step, **dict.fromkeys(scores, 2 / step)})
    log.close()
    log = log_lib.Log(run / "metrics.jsonl", 2000)
    for sentences in (["it may have collapsed."], ["it may have collapsed."], []):
        log.warn(1100, sentences)
    assert [record["warnings"] for record in log_lib.read(run / "metrics.jsonl") if "warnings" in record] == [
        ["it may have collapsed."],
        [],
    ]
    log.warn(1100, ["it may have collapsed."])
    log.close()
    page_lib.write(run)
    text = (run / "index.html").read_text()
    said = " ".join(Checker(text).data)
    assert "collapsed" in said
    for title in ("Adversarial part", "Cycle part", "Identity part", "losses", "Validation cycle error"):
        assert title in said
    for name in (*metrics, *scores):  # or a chart of its own would be named after the key
        assert charts.words(name) not in said, name
    assert "A to B" in said and "B to A" in said


def test_curves_go_through_the_data(run):
    """A straight line is drawn straight, from corner to corner of the chart."""
    rows = [{"step": s, "learning_rate": float(s)} for s in range(0, 101, 10)]
    text = page_lib.render(name="run", run={}, records=rows, samples=[], warnings=[])
    path = re.search(r'class="s0" d="M([^"]+)"', text).group(1)
    x, y = np.array([point.split() for point in path.split("L")], float).T
    np.testing.assert_allclose(np.diff(x, 2), 0, atol=0.21)  # coordinates have one decimal
    np.testing.assert_allclose(np.diff(y, 2), 0, atol=0.21)
    assert (x[0], x[-1]) == (46, 350) and y[0] == 166 and 10 <= y[-1] < 40


def test_curves_of_several_runs_are_means_with_the_runs_as_thin_lines():
    """Two seeds of "a", of which one was logged further, and one of "b" without a D; "c" is of another way alone."""
    steps = range(10, 110, 10)
    scored = {"a": [[{"step": s, "val_l1": s + d} for s in steps] for d in (0, 20)]}
    scored["a"][1].append({"step": 110, "val_l1": 999.0})
    scored["a"][0] += [{"step": s, "d_loss": 1.0} for s in steps]
    scored["a"][1] += [{"step": s, "d_loss": 3.0} for s in steps]
    scored["b"] = [[{"step": s, "val_l1": 60.0, "g_loss": 2.0} for s in steps]]
    scored["c<"] = [[{"step": s, "val_BtoA_l1": 1.0, "images_per_second": 9.0} for s in steps]]
    text = charts.compared(scored)
    Checker(text)
    figures = dict(re.findall(r"<figcaption><span>(.*?)</span>(.*?)</figure>", text, re.S))
    assert list(figures) == ["Validation L1", "Validation L1 B to A", "Generator loss", "Discriminator loss"]
    body = figures["Validation L1"]
    lines = {kind: [] for kind in ("s0", "raw s0", "s1", "raw s1", "s2")}
    for kind, line in re.findall(r'<path class="([^"]+)" d="M([^"]+)"', body):
        lines[kind].append(np.array([point.split() for point in line.split("L")], float))
    assert {kind: len(found) for kind, found in lines.items()} == {
        "s0": 1, "raw s0": 2, "s1": 1, "raw s1": 0, "s2": 0,
    }  # fmt: skip
    np.testing.assert_allclose(lines["s0"][0], np.mean(lines["raw s0"], 0), atol=0.11)
    assert len(lines["s0"][0]) == 10  # the steps that both have
    assert "s1" not in re.findall(
        r'path class="(\w+)"', figures["Discriminator loss"]
    )  # each has its own colour
    legend = re.search(r'<p class="key">(.*?)</p>', text).group(1)
    assert re.findall(r'class="(s\d)">([^<]+)<', legend) == [("s0", "a"), ("s1", "b"), ("s2", "c&lt;")]
    assert "B to A" in charts.compared(
        scored, "BtoA"
    ) and "<span>Validation L1</span>" not in charts.compared(scored, "BtoA")
    assert charts.compared({"a": [[]], "b": [[{"step": 1, "g_loss": 1.0}]]}) == ""


def test_more_variants_than_colours_are_dashed():
    several = {str(k): [[{"step": s, "g_loss": float(k)} for s in (1, 2)]] for k in range(charts.COLOURS + 2)}
    text = charts.compared(several)
    assert text.count('class="s1 dashed"') == 2 and text.count('class="s1"') == 2  # a line and a name


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (3.2e-5, 4e-5), (-7.0, 12345.0), (0.999, 1.0)])
def test_ticks_are_few_round_and_enclose(low, high):
    ticks = charts._ticks(low, high)
    assert 2 <= len(ticks) <= 6
    assert ticks[0] <= low + 1e-6 * (high - low) and ticks[-1] >= high - 1e-6 * (high - low)
    digits = np.diff(ticks)[0] / 10 ** np.floor(np.log10(np.diff(ticks)[0]))
    assert min(abs(digits - d) for d in (1, 2, 2.5, 5, 10)) < 1e-6


def test_long_runs_are_thinned_and_spikes_do_not_flatten():
    rows = [{"step": s, "g_loss": 1000.0 if s == 7 else 1.0 + 0.1 * (s % 2)} for s in range(20_000)]
    text = page_lib.render(name="run", run={}, records=rows, samples=[], warnings=[])
    assert len(text) < 60_000
    labels = re.findall(r'text-anchor="end">([\d.,]+)<', text)
    assert max(float(v.replace(",", "")) for v in labels[:4]) < 10


def test_an_empty_run_has_a_page(tmp_path):
    page_lib.write(tmp_path)
    Checker((tmp_path / "index.html").read_text())


# --- progress


def test_progress_over_gives_everything_back(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(output.progress_over(iter("abc"))) == ["a", "b", "c"]


def test_without_a_terminal_a_line_comes_now_and_then(monkeypatch):
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", out)
    assert isinstance(output.progress(100, 40), output._Lines)
    lines = output._Lines(100, 40, "step", clock=lambda: now[0])
    for _ in range(60):
        now[0] += 2.0  # two seconds a step, from step 40 on
        lines.update(1)
    lines.close()
    said = out.getvalue().splitlines()
    assert said[0] == "step 45/100  2.00 s/step  01:50 left"
    assert said[-1] == "step 100/100  2.00 s/step  02:00 taken"
    assert len(said) == 5


def test_the_last_line_of_progress_comes_once(monkeypatch):
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", out)
    lines = output._Lines(2, 0, "image", clock=lambda: now[0])
    now[0] += 20.0
    lines.update(2)
    lines.close()
    assert out.getvalue() == "image 2/2  10.00 s/image  00:20 taken\n"


def test_time_that_is_left_out_changes_no_rate(monkeypatch):
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", out)
    lines = output._Lines(100, 40, "step", clock=lambda: now[0])
    for k in range(60):
        now[0] += 2.0
        if k == 0:
            now[0] += 30.0  # to compile
            lines.unpause()
            now[0] += 2.0
        lines.update(1)
    lines.close()
    said = out.getvalue().splitlines()
    assert said[0] == "step 45/100  2.00 s/step  01:50 left"
    assert said[-1] == "step 100/100  2.00 s/step  02:00 taken"


def test_an_overview_shows_all_results_by_relative_paths(tmp_path):
    parts = [
        ("Pairs & labels", "What it <learns>.", ["a/samples/000002.png"], "a/index.html"),
        ("An edit", "A stroke.", ["edit/strip.png", "edit/photo.webp"], "edit/index.html"),
    ]
    page_lib.write_overview(tmp_path / "index.html", title="The demo", lead="Four results.", parts=parts)
    text = (tmp_path / "index.html").read_text()
    checked = Checker(text)
    assert "http" not in text  # opens from disk, without a network
    assert checked.sources == [x for _, _, pictures, more in parts for x in (more, *pictures)]
    said = " ".join(checked.data)
    for words in ("The demo", "Four results.", "Pairs & labels", "What it <learns>.", "An edit", "A stroke."):
        assert words in said
