"""The page in a browser: a whole course of editing, translation by hand, keys, losses, phones. Needs a Chromium."""

import contextlib
import io
import json
import re
import shutil
import warnings
import zipfile

import numpy as np
from PIL import Image
import pytest

from jgan.data import objects
from jgan.programs import train
from tests.serve import browsing

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_children")]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"),
    *("--disable-sync", "--no-first-run"),
)
WAVE = [(0.25, 0.5), (0.4, 0.35), (0.55, 0.6), (0.75, 0.45)]


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"NO BROWSER: THE PAGE IS NOT TESTED. Install one of {', '.join(BROWSERS)}."
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=list(FLAGS))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, small_config):
    """(directory of a tiny DCGAN of 32 px, directory of a tiny pix2pix that translates facades)."""
    folder = tmp_path_factory.mktemp("runs")
    browsing.write_run(folder / "dcgan")
    tiny = {"steps": 2, "data.number": 2, "data.val_number": 1}
    train.train(small_config("demo", **tiny), str(folder / "pix2pix"))
    return folder / "dcgan", folder / "pix2pix"


@pytest.fixture(scope="module")
def server(runs):
    server = browsing.Server(f"--workdir={runs[0]}", f"--translator={runs[1]}")
    yield server
    server.process.terminate()
    server.process.wait(30)


@pytest.fixture
def visit(browser, server):
    """`(**context) -> Editor`: a new visitor, whose page must not have complained at the end."""
    with contextlib.ExitStack() as stack:
        editors = []

        def make(server=server, **options):
            options = {"viewport": {"width": 1280, "height": 800}, **options}
            context = stack.enter_context(contextlib.closing(browser.new_context(**options)))
            editors.append(browsing.Editor(context.new_page(), server))
            return editors[-1]

        yield make
        for editor in editors:
            assert not editor.told, editor.told


def redness(pixels):
    return pixels[..., 0].mean() - (pixels[..., 1].mean() + pixels[..., 2].mean()) / 2


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A drawn bottle or cup on a photo of 150 x 120 pixels (width x height)."""
    whole = np.full((120, 150, 3), 245, np.uint8)
    whole[10:106, 20:116] = objects.Objects(96, 3)[1]
    path = tmp_path_factory.mktemp("photo") / "my photo.png"
    Image.fromarray(whole).save(path)
    return path


def test_a_course_of_editing(visit, photo, tmp_path):
    editor = visit()
    page = editor.page
    assert page.is_visible("#hint"), "an empty pad says what to do"

    editor.opens("#open-photo", photo)
    page.wait_for_selector(".photo-open:not([hidden])", timeout=120_000)
    page.wait_for_selector("#pad-progress", state="hidden", timeout=60_000)
    assert page.inner_text("#photo-name") == "my photo.png"
    assert "150 × 120" in page.inner_text("#photo-size")
    editor.expects("open")
    page.wait_for_timeout(1000)

    # Paint red: the candidates follow, and words tell how far they are.
    before = editor.look(".tile[data-rank='0'] canvas")
    editor.drag(WAVE)
    editor.expects("open", "stroke")
    editor.settled()
    after = editor.look(".tile[data-rank='0'] canvas")
    assert redness(after) > redness(before) + 2, "the best candidate became redder"
    assert page.inner_text("[data-term=colour] b") in ("matched", "close", "half way", "far", "not there")

    # Choose one: the pad shows it.
    tile = page.locator(".tile:not([data-gone])").last
    tile.click()
    assert tile.get_attribute("aria-checked") == "true"
    shown = editor.look("#picture")

    # Slide: at its start the way shows another picture, at its end the same.
    page.fill("#slider", "0")
    browsing.until(lambda: np.abs(editor.look("#picture") - shown).mean() > 1, "another picture at the start")
    page.fill("#slider", "1")
    assert page.is_hidden("#pad-badge")

    page.click("#fix")
    editor.expects("open", "stroke", "fix")

    page.keyboard.press("2")
    editor.drag([(0.2, 0.3), (0.5, 0.15), (0.8, 0.3)])
    editor.expects("open", "stroke", "fix", "stroke")
    page.keyboard.press("3")
    editor.drag([(0.5, 0.5), (0.6, 0.55)])
    editor.expects("open", "stroke", "fix", "stroke", "stroke")
    brushes = [op["stroke"]["brush"] for op in editor.session()["ops"] if op["op"] == "stroke"]
    assert brushes == ["colour", "sketch", "warp"]

    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    editor.expects("open", "stroke", "fix")
    page.keyboard.press("Control+Shift+z")
    editor.expects("open", "stroke", "fix", "stroke")

    name, saved = editor.saves(lambda: page.click("#save"))
    session = json.loads(saved)
    assert name.endswith(".json") and session["format"] == "jgan-session" and len(session["photos"]) == 1
    (tmp_path / name).write_bytes(saved)

    # A reload finds the same session, with all that can be redone.
    page.reload()
    editor.ready()
    editor.expects("open", "stroke", "fix", "stroke")
    assert page.inner_text("#photo-name") == "my photo.png"
    assert page.is_enabled("#redo")

    # Restart, then open what was saved.
    page.click("#restart")
    browsing.until(lambda: editor.done()[-1] == "restart", "a restart")
    editor.opens("#open-session", tmp_path / name)
    editor.expects("open", "stroke", "fix", "stroke")
    assert page.inner_text("#photo-name") == "my photo.png"
    editor.settled()

    # Done to the photo itself, at its own size; the handle shows before and after.
    page.click("#apply")
    page.wait_for_selector("#compare[open]", timeout=120_000)
    assert page.eval_on_selector("#after", "i => [i.naturalWidth, i.naturalHeight]") == [150, 120]
    page.fill("#compare-at", "80")
    name, edited = editor.saves(lambda: page.click("#download-photo"))
    assert name == "my photo-edited.png"
    edited = np.asarray(Image.open(io.BytesIO(edited)).convert("RGB"), float)
    assert edited.shape == (120, 150, 3)
    assert np.abs(edited - np.asarray(Image.open(photo), float)).mean() > 0.5, "the photo was changed"
    name, film = editor.saves(lambda: page.click("#download-film"))
    assert Image.open(io.BytesIO(film)).n_frames > 1
    page.keyboard.press("Escape")

    page.click("#export")
    _, archive = editor.saves(lambda: page.click("#export-candidates"))
    assert any(file.endswith(".png") for file in zipfile.ZipFile(io.BytesIO(archive)).namelist())
    page.click("#export")
    _, film = editor.saves(lambda: page.click("#export-path"))
    assert Image.open(io.BytesIO(film)).n_frames > 1


def test_a_film_between_two_photos(visit, photo, tmp_path):
    editor = visit()
    editor.page.click("#between")
    editor.opens("#well-a", photo)
    Image.open(photo).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "other.png")
    editor.opens("#well-b", tmp_path / "other.png")
    editor.page.click("#between-go")
    editor.page.wait_for_selector("#between-film:not([hidden])", timeout=120_000)
    _, film = editor.saves(lambda: editor.page.click("#between-save"))
    assert Image.open(io.BytesIO(film)).n_frames > 1


def test_a_translation_drawn_by_hand(visit):
    editor = visit()
    page = editor.page
    page.click("#tab-translate")
    assert page.locator("#palette button").count() > 5
    page.click("[data-label=wall]")
    page.click("[data-tool=rect]")
    editor.drag([(0.1, 0.3), (0.9, 0.95)], "#t-pad")
    page.wait_for_selector("#t-answer[data-answers]", timeout=60_000)
    first = editor.look("#t-answer")
    page.click("[data-label=window]")
    page.click("[data-tool=brush]")
    page.fill("#t-size", "2")
    editor.drag([(0.3, 0.5), (0.7, 0.5)], "#t-pad")
    page.click("[data-tool=fill]")
    page.click("[data-label=sky]")
    editor.drag([(0.5, 0.05)], "#t-pad")
    colours = {tuple(map(int, c)) for c in editor.look("#t-canvas").reshape(-1, 3)}
    assert colours == {(0, 0, 255), (0, 110, 255), (150, 210, 255)}, "flat colours, no others between them"
    browsing.until(lambda: np.abs(editor.look("#t-answer") - first).mean() > 0.01, "another answer")
    drawing = editor.look("#t-canvas")
    page.keyboard.press("Control+z")
    assert np.abs(editor.look("#t-canvas") - drawing).mean() > 1
    page.keyboard.press("Control+Shift+z")
    assert np.array_equal(editor.look("#t-canvas"), drawing)
    name, png = editor.saves(lambda: page.click("#t-download"))
    assert Image.open(io.BytesIO(png)).size == drawing.shape[1::-1]


def test_all_of_it_by_keys(visit):
    editor = visit()
    page = editor.page
    # Paint without a pointer: space puts the brush down and lifts it.
    page.focus("#pad")
    page.keyboard.press(" ")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    editor.expects("stroke")
    points = editor.session()["ops"][0]["stroke"]["points"]
    assert points[-1][0] > points[0][0] and points[-1][1] == points[0][1]

    for key, button in (("e", "#strokes"), ("a", "#average")):
        was = page.get_attribute(button, "aria-pressed")
        page.keyboard.press(key)
        assert page.get_attribute(button, "aria-pressed") != was
        page.keyboard.press(key)
        assert page.get_attribute(button, "aria-pressed") == was
    editor.settled()
    page.keyboard.press("p")
    page.wait_for_selector("#pad-badge:not([hidden])")
    page.wait_for_selector("#pad-badge", state="hidden")
    page.keyboard.press("f")
    editor.expects("stroke", "fix")
    page.keyboard.press("r")
    editor.expects("stroke", "fix", "restart")
    for key, brush in zip("1234", ("colour", "sketch", "warp", "eraser"), strict=True):
        page.keyboard.press(key)
        assert page.get_attribute(f"[data-brush={brush}]", "aria-checked") == "true"
    size = page.input_value("#size")
    page.keyboard.press("]")
    assert float(page.input_value("#size")) > float(size)
    page.keyboard.press("?")
    told = page.inner_text("#help-dialog")
    assert all(re.search(rf"\b{key}\b", told) for key in "PFRSEA")
    page.keyboard.press("Escape")
    name, _ = editor.saves(lambda: page.keyboard.press("s"))
    assert name.endswith(".json")

    # Whatever can be pressed has a name, and whatever is seen can be reached.
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, select, [tabindex]')].filter(e => !(e.ariaLabel"
        " || e.textContent.trim() || e.labels?.length || e.hidden)).map(e => e.outerHTML)"
    )
    assert nameless == []


def test_the_eraser_removes_what_it_touches(visit):
    editor = visit()
    editor.drag([(0.1, 0.2), (0.9, 0.2)])
    editor.drag([(0.1, 0.8), (0.9, 0.8)])
    editor.expects("stroke", "stroke")
    editor.page.keyboard.press("4")
    editor.drag([(0.5, 0.1), (0.5, 0.3)])
    editor.expects("stroke", "stroke", "erase")
    assert editor.session()["ops"][2]["strokes"] == [0]


def test_nothing_comes_from_elsewhere(visit):
    editor = visit(color_scheme="dark")
    editor.drag(WAVE)
    editor.settled()
    addresses = [url for url in editor.asked if not url.startswith(("blob:", editor.server.address))]
    assert addresses == []
    dark = editor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    editor.page.click("#theme")
    assert editor.page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_a_phone_has_room_for_it(visit):
    editor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = editor.page
    for tab in ("#tab-edit", "#tab-translate"):
        page.click(tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#tab-edit")
    box = page.locator("#pad").bounding_box()
    page.touchscreen.tap(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    editor.expects("stroke")


def test_a_closed_tab_frees_its_session(visit):
    editor = visit()
    before = editor.server.status()["sessions"]
    editor.page.close(run_before_unload=True)
    browsing.until(lambda: editor.server.status()["sessions"] < before, "a free place", seconds=20)


def test_a_server_that_was_killed_is_taken_up_again(visit, runs, photo):
    server = browsing.Server(f"--workdir={runs[0]}", f"--translator={runs[1]}")
    try:
        editor = visit(server)
        page = editor.page
        editor.opens("#open-photo", photo)
        page.wait_for_selector(".photo-open:not([hidden])", timeout=120_000)
        page.wait_for_selector("#pad-progress", state="hidden", timeout=60_000)
        editor.drag(WAVE)
        editor.expects("open", "stroke")
        page.wait_for_timeout(1000)  # the page takes its copy of the photo
        server.kill()
        page.wait_for_selector("#banner:not([hidden])", timeout=20_000)
        editor.drag([(0.2, 0.8), (0.8, 0.8)])  # one can go on painting
        server.start()
        page.wait_for_selector("#banner", state="hidden", timeout=180_000)
        editor.expects("open", "stroke", "stroke")
        page.click("#apply")
        page.wait_for_selector("#compare[open]", timeout=60_000)
    finally:
        editor.told.clear()  # browsers complain themselves of connections that were refused
        server.kill()
