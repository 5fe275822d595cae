"""What a person sets on the page, in a browser, on an engine and a translator that need no device."""

import io
import threading

import numpy as np
from PIL import Image
import pytest
import uvicorn

from jgan import fields
from jgan.serve.web import access
from jgan.serve.web import app
from jgan.serve.web import service as service_lib
from tests.serve import browsing
from tests.serve import fakes
from tests.serve import test_page

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_children")]

browser = test_page.browser


class Server:
    """An application in a thread, with fakes behind it."""

    def __init__(self, door):
        self.engine, self.translation = fakes.Engine(), fakes.Translation()
        service = service_lib.Service(
            "run",
            "run2",
            make_engine=lambda *_: self.engine,
            make_translation=lambda _: self.translation,
        )
        service._palette = [
            {"name": "background", "colour": [255, 255, 255]},
            {"name": "red", "colour": [224, 49, 49]},
        ]
        self.address = door.address()
        config = uvicorn.Config(app.build(service, door), port=door.port, log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def stop(self):
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def server():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Server(access.Door(port=port))
    browsing.until(lambda: made.server.started, "the server")
    yield made
    made.stop()


@pytest.fixture
def editor(browser, server):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    made = browsing.Editor(context.new_page(), server)
    yield made
    context.close()
    assert not made.told


def test_what_is_painted_with_is_set_in_the_panel(editor, server):
    page, panel = editor.page, editor.page.locator("#panel")
    dog = panel.get_by_role("radio", name="Dog")
    dog.click()
    editor.expects("give")
    assert dog.get_attribute("aria-checked") == "true"
    panel.get_by_role("radiogroup", name="Look").get_by_role("radio", name="Blue").click()
    slider = panel.get_by_label("Truncation")
    slider.fill("0.1")
    editor.expects("give", "give", "give")
    given = dict(next(iter(server.engine.lives.values())).session.drawing.given)
    assert given["label"] == "dog" and given["truncation"] == 0.1
    assert dict(given["look"]) == {"red": 0.0, "blue": 1.0, "striped": 0.0}
    for _ in range(3):
        page.click("#undo")
    editor.expects()
    cat = panel.get_by_role("radio", name="Cat")
    browsing.until(lambda: cat.get_attribute("aria-checked") == "true", "the first class")
    browsing.until(lambda: float(slider.input_value()) == 1, "the usual amount")
    # By keys, and through a reload.
    cat.focus()
    page.keyboard.press("ArrowRight")
    editor.expects("give")
    page.reload()
    editor.ready()
    browsing.until(lambda: dog.get_attribute("aria-checked") == "true", "what was set")


def test_what_a_slider_moves_is_shown_once(editor, server):
    page = editor.page
    server.engine.sliders.controls["truncation"] = fields.Amount(0.0, 1.0, 1.0)
    page.reload()
    editor.ready()
    assert page.get_by_label("Truncation").count() == 1
    page.locator("#sliders").get_by_label("Truncation").fill("0.5")
    editor.expects("steer")
    assert page.locator("#panel").get_by_role("radio", name="Dog").is_visible()


def test_what_a_translation_is_set_to(editor, server):
    page, panel, asked = editor.page, editor.page.locator("#t-panel"), server.translation.asked

    def expects(what, holds):
        browsing.until(lambda: asked and holds(asked[-1]), what, lambda: asked[-1:])

    page.click("#tab-translate")
    panel.get_by_role("radio", name="Blue").click()
    expects("an attribute", lambda x: x["to"] == {"red": 0, "blue": 1})
    panel.get_by_label("Striped").fill("0.25")
    expects("another one", lambda x: x["to"] == {"red": 0, "blue": 1, "striped": 0.25})
    panel.get_by_role("radio", name="as it is").click()
    panel.get_by_role("button", name="as it is").click()
    expects("the picture's own", lambda x: "to" not in x)
    panel.get_by_label("Label").select_option("class_11")
    panel.get_by_label("Strength").fill("2")
    expects("a class and an amount", lambda x: (x["label"], x["strength"]) == ("class_11", 2))
    first = asked[-1]["z"]
    panel.get_by_role("button", name="Throw the dice").click()
    expects("another code", lambda x: isinstance(x["z"], int) and x["z"] != first)
    second = asked[-1]["z"]
    panel.get_by_label("From the code before").fill("0.5")
    expects("a code between", lambda x: x["z"] == {"between": [first, second], "share": 0.5})
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, "PNG")
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Style from a picture").click()
    chooser.value.set_files({"name": "style.png", "mimeType": "image/png", "buffer": file.getvalue()})
    expects("the code of a picture", lambda x: x["z"] == [0.5, 0.25])
    assert server.translation.encoded == ["style.png"]
    page.select_option("#way", "plain")
    expects("a way without controls", lambda x: x == {})
    assert panel.is_hidden()


def picture():
    """A file that a person chooses."""
    file = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), (40, 90, 200), np.uint8)).save(file, "PNG")
    return {"name": "blue.png", "mimeType": "image/png", "buffer": file.getvalue()}


def test_a_second_photo_is_masked_mixed_and_put_in(editor, server):
    page = editor.page

    def chooses(button):
        with page.expect_file_chooser() as chooser:
            page.click(button)
        chooser.value.set_files(picture())

    def session():
        return next(iter(server.engine.lives.values())).session

    sliders = page.locator("#sliders")
    smile = sliders.get_by_label("Along smile")
    assert smile.is_visible() and not page.is_visible("#second")
    assert not sliders.get_by_label("Mix coarse").is_visible()  # there is nothing to mix with
    chooses("#open-photo")
    editor.expects("open")
    page.wait_for_selector("#second:not([hidden])")
    page.wait_for_selector("#pad-progress", state="hidden")
    chooses("#open-second")
    editor.expects("open", "second")
    page.wait_for_selector("#second .second-open:not([hidden])")
    page.wait_for_selector("#pad-progress", state="hidden")
    assert page.inner_text("#second-name") == "blue.png" and page.is_disabled("#crossover")
    # With the second photo the mask is at hand; it is painted, and kept in the session.
    mask = page.get_by_role("radio", name="Mask", exact=True)
    browsing.until(lambda: mask.get_attribute("aria-checked") == "true", "the mask brush")
    before = editor.look("#ink")
    editor.drag([(0.3, 0.5), (0.6, 0.5)])
    editor.expects("open", "second", "stroke")
    assert session().operations[-1].stroke.erase is False
    assert np.abs(editor.look("#ink") - before).mean() > 1, "the mask is seen"
    # By keys: a piece is taken from it.
    page.keyboard.press("1")
    assert mask.get_attribute("aria-checked") == "false"
    page.keyboard.press("5")
    page.get_by_label("erase the mask").check()
    page.focus("#pad")
    for key in ("Space", "ArrowRight", "Space"):
        page.keyboard.press(key)
    editor.expects("open", "second", "stroke", "stroke")
    assert session().operations[-1].stroke.erase is True
    page.click("#crossover")
    editor.expects("open", "second", "stroke", "stroke", "fix")
    page.wait_for_selector("#pad-progress", state="hidden")
    # Sliders move what is there, by hand and by keys, and undo brings them back.
    smile.fill("1.5")
    editor.expects("open", "second", "stroke", "stroke", "fix", "steer")
    coarse = sliders.get_by_label("Mix coarse")
    coarse.focus()
    page.keyboard.press("End")
    editor.expects("open", "second", "stroke", "stroke", "fix", "steer", "steer")
    assert dict(session().drawing.steered.values) == {"along_smile": 1.5, "mix_coarse": 1.0}
    for _ in range(2):
        page.click("#undo")
    browsing.until(lambda: float(smile.input_value()) == 0, "the slider's middle")
    page.click("#close-second")
    editor.expects("open", "second", "stroke", "stroke", "fix", "part")
    browsing.until(lambda: not coarse.is_visible(), "no slider that mixes")
