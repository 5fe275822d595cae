"""What the server can be started with, as a program and in a browser: kinds of runs, a token, what is in its way."""

import io
import os
import re
import stat
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from jgan.programs import train
from tests.serve import browsing
from tests.serve import test_page

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_children")]

browser = test_page.browser
TOKEN = "a-long-secret"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, small_config, small_cyclegan):
    """Directories of tiny runs by their systems."""
    folder = tmp_path_factory.mktemp("runs")
    browsing.write_run(folder / "dcgan")
    tiny = {"steps": 2, "data.number": 2, "data.val_number": 1}
    train.train(small_config("demo", **tiny), str(folder / "pix2pix"))
    train.train(small_cyclegan("demo", **tiny), str(folder / "cyclegan"))
    return folder


@pytest.fixture
def serve():
    """`(*flags) -> Server`, which ends with the test."""
    made = []

    def start(*flags):
        made.append(browsing.Server(*flags))
        return made[-1]

    yield start
    for server in made:
        server.kill()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def draw(page, box="#t-pad"):
    """A stroke, and the answer to it."""
    answers = int(page.get_attribute("#t-answer", "data-answers") or 0)
    at = page.locator(box).bounding_box()
    page.mouse.move(at["x"] + 0.2 * at["width"], at["y"] + 0.4 * at["height"])
    page.mouse.down()
    page.mouse.move(at["x"] + 0.8 * at["width"], at["y"] + 0.6 * at["height"], steps=5)
    page.mouse.up()
    wait_for_answer(page, answers)


def wait_for_answer(page, before):
    def answered():
        return int(page.get_attribute("#t-answer", "data-answers") or 0) > before

    browsing.until(answered, "an answer", lambda: page.inner_text("#t-state"), 60)


def picture(size=16):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)).save(file, "PNG")
    return {"name": "drawing.png", "mimeType": "image/png", "buffer": file.getvalue()}


def translated(page, server, **given):
    answer = page.request.post(f"{server.address}api/translate", params=given, multipart={"file": picture()})
    assert answer.status == 200, answer.text()
    return np.asarray(Image.open(io.BytesIO(answer.body())), float)


def test_both_directions_of_a_cyclegan(runs, serve, page):
    server = serve(f"--workdir={runs / 'dcgan'}", f"--translator={runs / 'cyclegan'}")
    page.goto(server.address)
    page.wait_for_selector("body[data-screen=ready]", timeout=180_000)
    page.click("#tab-translate")
    assert page.locator("#way option").all_inner_texts() == ["day → dusk", "dusk → day"]
    draw(page)
    there = page.eval_on_selector("#t-answer", "c => c.toDataURL()")
    before = int(page.get_attribute("#t-answer", "data-answers"))
    page.select_option("#way", "BtoA")
    wait_for_answer(page, before)
    assert page.eval_on_selector("#t-answer", "c => c.toDataURL()") != there
    names = [told["name"] for told in server.status()["translations"]]
    assert names == ["AtoB", "BtoA"]
    ways = [translated(page, server, way=name) for name in names]
    assert ways[0].shape == (16, 16, 3) and np.abs(ways[0] - ways[1]).mean() > 0.1
    answer = page.request.post(
        f"{server.address}api/translate", params={"way": "up"}, multipart={"file": picture()}
    )
    assert answer.status == 400 and "AtoB and BtoA" in answer.json()["error"]


def test_a_run_that_translates_alone(runs, serve, page):
    server = serve(f"--workdir={runs / 'pix2pix'}")
    page.goto(server.address)
    page.wait_for_selector("body[data-screen=ready]", timeout=180_000)
    assert page.is_visible("#translate") and page.is_hidden("#edit") and page.is_hidden(".tabs")
    assert page.is_hidden("#save") and page.is_hidden("#way-label")
    draw(page)
    with page.expect_download() as download:
        page.click("#t-download")
    assert Image.open(download.value.path()).size == (16, 16)
    assert page.request.post(f"{server.address}api/sessions", data={}).status == 409
    assert translated(page, server).shape == (16, 16, 3)


def test_a_token_opens_all_of_the_page(runs, serve, browser, page, tmp_path):
    server = serve(f"--workdir={runs / 'dcgan'}", "--host=0.0.0.0", f"--token={TOKEN}")
    told = page.goto(server.address)
    assert told.status == 401 and "needs its token" in page.inner_text("body")
    assert page.goto(f"{server.address}?token=another-secret").status == 401
    for path in ("api/status", "openapi.json", "static/main.js"):
        assert page.request.get(server.address + path).status == 401, path

    page.goto(f"{server.address}?token={TOKEN}")
    assert page.url == server.address, "the token has left the address"
    page.wait_for_selector("body[data-screen=ready]", timeout=180_000)
    page.wait_for_selector(".tile canvas", timeout=180_000)  # came over the socket
    file = tmp_path / "photo.png"
    Image.fromarray(np.full((120, 150, 3), 200, np.uint8)).save(file)
    with page.expect_file_chooser() as chooser:
        page.click("#open-photo")
    chooser.value.set_files(str(file))
    page.wait_for_selector(".photo-open:not([hidden])", timeout=120_000)
    page.wait_for_selector("#pad-progress", state="hidden", timeout=60_000)
    page.click("#apply")
    page.wait_for_selector("#compare[open]", timeout=120_000)
    for image in ("#before", "#after"):
        assert page.eval_on_selector(image, "async i => (await i.decode(), i.naturalWidth)") == 150
    with page.expect_download() as download:
        page.click("#download-photo")
    assert Image.open(download.value.path()).size == (150, 120)

    stranger = browser.new_context()
    refused = stranger.request.get(server.address + "api/status")
    assert refused.status == 401
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert stranger.request.get(server.address + "api/status", headers=shown).status == 200
    stranger.close()


def test_two_servers_of_one_host_keep_their_tokens(runs, serve, page):
    """Browsers tell cookies of the ports of a host no apart."""
    first = serve(f"--workdir={runs / 'pix2pix'}", f"--token={TOKEN}")
    second = serve(f"--workdir={runs / 'pix2pix'}", "--token=another-secret")
    page.goto(f"{first.address}?token={TOKEN}")
    page.goto(f"{second.address}?token=another-secret")
    for server in (first, second):
        assert page.goto(server.address).status == 200


def test_open_opens_the_page_with_its_token(runs, serve, tmp_path, monkeypatch):
    """The browser is a script that writes its arguments down."""
    told, script = tmp_path / "told", tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("BROWSER", str(script))
    server = serve(f"--workdir={runs / 'pix2pix'}", "--open", f"--token={TOKEN}")
    browsing.until(lambda: told.exists() and told.read_text().strip(), "the browser")
    assert told.read_text().strip() == f"{server.address}?token={TOKEN}"


def test_what_is_in_the_way_is_told(runs, serve):
    server = serve(f"--workdir={runs / 'pix2pix'}")
    dcgan, pix2pix, cyclegan = (f"{runs / name}" for name in ("dcgan", "pix2pix", "cyclegan"))
    for flags, message in (
        ((f"--workdir={pix2pix}", f"--port={server.port}"), rf"--port={server.port} cannot be listened at"),
        ((f"--workdir={cyclegan}", f"--translator={pix2pix}"), "is a run that translates"),
        ((f"--workdir={dcgan}", f"--translator={dcgan}"), "is a run that makes pictures from codes"),
        ((f"--workdir={dcgan}", f"--translator={os.devnull}"), "holds no run"),
        ((f"--workdir={dcgan}", "--host=0.0.0.0"), "needs --token"),
        ((f"--workdir={dcgan}", "--host=192.0.2.77", f"--token={TOKEN}"), "cannot be listened at"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "launch.serve", "--port=0", *flags],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2 and re.fullmatch(rf"error: .*{message}.*\n", done.stderr), done.stderr
