"""A run that translates, over HTTP: what its controls may be set to, codes of pictures, and what is refused."""

import io
import json
import pathlib
import shlex

import jax
import numpy as np
from PIL import Image
import pytest

from configs import bicyclegan
from configs import stargan
from jgan.programs import draws
from jgan.serve.web import service as service_lib
from tests.serve import asking


@pytest.fixture(scope="module")
def folders(tmp_path_factory, drawn_run):
    """Directories of runs of drawn weights, by their systems."""
    found = {}
    for name, config, count in (
        ("bicyclegan", bicyclegan.get_config("tiny"), 2),
        ("stargan", stargan.get_config("tiny"), 1),
    ):
        config.data.channels = (3,) * count
        found[name] = tmp_path_factory.mktemp(name)
        drawn_run(str(found[name]), config, config.steps)
    return found


@pytest.fixture(scope="module")
def clients(folders):
    """Clients of servers that translate by a run, by its system."""
    made = {}
    for name, folder in folders.items():
        service = service_lib.Service("", translator=str(folder))
        made[name] = asking.client_of(service)
    for name, client in made.items():
        client.__enter__()
        asking.until(lambda client=client: client.get("/api/status").json()["state"] != "loading", 6000)
        assert client.get("/api/status").json()["state"] == "ready", name
    yield made
    for client in made.values():
        client.__exit__(None, None, None)


@pytest.fixture
def compiled():
    """A list that grows by one for every program that XLA compiles."""
    found = []

    def listen(name, *_, **__):
        if name.endswith("backend_compile_duration"):
            found.append(name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def noise(size=16):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def ask(client, values=None, **parameters):
    data = {} if values is None else {"set": values if isinstance(values, str) else json.dumps(values)}
    return client.post("/api/translate", params=parameters, files={"file": ("a.png", noise())}, data=data)


def picture(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)), float)


def test_the_status_tells_what_ways_take(clients):
    (way,) = clients["bicyclegan"].get("/api/status").json()["ways"]
    assert way["of"] == "translating" and set(way["inputs"]) == {"a"} and way["returns"] == ["output"]
    assert way["controls"] == {"z": {"kind": "code", "spaces": ["z"]}}
    assert way["spaces"] == {"z": {"predicts": True}}
    (way,) = clients["stargan"].get("/api/status").json()["ways"]
    assert way["inputs"]["images"]["kind"] == "picture" and way["controls"]["to"]["kind"] == "attributes"
    assert way["controls"]["to"]["exclusive"] == ["red", "green", "blue"] and way["spaces"] == {}


def test_codes_are_seeds_numbers_and_what_lies_between(clients):
    client = clients["bicyclegan"]
    first, second = picture(ask(client, {"z": 3})), picture(ask(client, {"z": 4}))
    assert np.abs(first - second).max() > 0
    np.testing.assert_array_equal(picture(ask(client)), picture(ask(client, {"z": 0})))
    translation = client.service.translation
    space = translation._loaded.system.spaces["z"].space(translation._loaded.weights, {})
    numbers = np.asarray(draws.codes(space, 3, 1)[0]).tolist()
    np.testing.assert_array_equal(picture(ask(client, {"z": numbers})), first)
    for share, end in ((0, first), (1, second)):
        between = {"between": [numbers, 4], "share": share}
        np.testing.assert_allclose(picture(ask(client, {"z": between})), end, atol=1)
    half = picture(ask(client, {"z": {"between": [3, 4], "share": 0.5}}))
    assert np.abs(half - first).max() > 0 and np.abs(half - second).max() > 0


def test_the_code_of_a_picture_can_be_given_back(clients):
    client = clients["bicyclegan"]
    answer = client.post("/api/encode", files={"file": ("b.png", noise(40))})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["control"] == "z" and len(found["code"]) == 8
    assert picture(ask(client, {found["control"]: found["code"]})).shape == (16, 16, 3)
    refused = clients["stargan"].post("/api/encode", files={"file": ("b.png", noise())})
    assert refused.status_code == 400 and "no code" in refused.json()["error"]


def test_another_value_compiles_nothing(clients, compiled):
    jax.jit(lambda x: x + len(compiled))(1.0)
    assert compiled  # they are counted
    codes = [5, 6, [0.5] * 8, {"between": [5, 6], "share": 0.3}, {"between": [[0.1] * 8, 6], "share": 0.7}]
    looks = [{"red": 1}, {"height": 0.2}, {}, {"blue": 1, "height": 1}]
    for client, name, values in (
        (clients["bicyclegan"], "z", codes),
        (clients["stargan"], "to", looks),
    ):
        picture(ask(client, {name: values[0]}))
        picture(ask(client, {name: values[-1]}))
        client.post("/api/encode", files={"file": ("b.png", noise())})
        compiled.clear()
        for value in values:
            picture(ask(client, {name: value}))
        client.post("/api/encode", files={"file": ("b.png", noise(20))})
        assert not compiled


@pytest.mark.parametrize(
    "system, values, sentence",
    [
        ("bicyclegan", "{", "JSON"),
        ("bicyclegan", [1], "JSON object"),
        ("bicyclegan", {"w": 1}, "z can be set"),
        ("bicyclegan", {"z": -1}, "no seed"),
        ("bicyclegan", {"z": 2**40}, "no seed"),
        ("bicyclegan", {"z": 1.5}, "neither a text nor a whole number"),
        ("bicyclegan", {"z": "/etc/passwd"}, "no seed"),
        ("bicyclegan", {"z": [0.5] * 7}, "7 numbers: those of this run have 8"),
        ("bicyclegan", {"z": [0.5] * 7 + ["a"]}, "no number"),
        ("bicyclegan", '{"z": [1e999]}', "no number"),
        ("bicyclegan", {"z": {"between": [1], "share": 0.5}}, "two codes"),
        ("bicyclegan", {"z": {"between": [1, 2], "share": 2}}, "0 to 1 would work"),
        (
            "bicyclegan",
            {"z": {"between": [1, {"between": [1, 2], "share": 0.5}], "share": 0}},
            "neither a text nor a whole number",
        ),
        ("stargan", {"to": {"purple": 1}}, "none of the attributes: red, green, blue, height"),
        ("stargan", {"to": {"height": 7}}, "0 to 1 would work"),
        ("stargan", {"to": {"red": 1, "blue": 1}}, "exclude each other"),
        ("stargan", {"to": "red"}, "{name: number}"),
    ],
)
def test_values_that_are_refused(clients, system, values, sentence):
    answer = ask(clients[system], values)
    assert answer.status_code == 400 and sentence in answer.json()["error"], answer.text
    assert "\n" not in answer.json()["error"] and len(answer.json()["error"]) < 300
    # Nothing is lost by it.
    assert ask(clients[system]).status_code == 200


def test_other_mistakes_are_told(clients):
    client = clients["bicyclegan"]
    assert "way: " in ask(client, way="BtoA").json()["error"]
    parameters = [({"way": "up"}, "way: "), ({"control": "w"}, "z would work")]
    for parameter, sentence in parameters:
        answer = client.post("/api/encode", params=parameter, files={"file": ("b.png", noise())})
        assert answer.status_code == 400 and sentence in answer.json()["error"]
    answer = client.post("/api/encode", files={"file": ("b.png", b"none")})
    assert answer.status_code == 400 and "no picture" in answer.json()["error"]


def test_the_commands_of_the_document_do_as_they_say(clients):
    text = (pathlib.Path(__file__).parents[3] / "docs" / "editor.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("curl ")]
    # Those of sessions are looked at in test_two_photos.
    commands = [shlex.split(line) for line in lines if "/api/sessions" not in line]
    assert len(commands) == 5
    for _, address, *rest in commands:
        path, form = address.removeprefix("http://127.0.0.1:8000"), [x for x in rest if "=" in x]
        if not form:
            assert clients["bicyclegan"].get(path).status_code == 200
            continue
        found = dict(x.split("=", 1) for x in form)
        assert found.pop("file").startswith("@")
        answer = clients["bicyclegan"].post(path, files={"file": ("a.png", noise())}, data=found)
        assert answer.status_code == 200, (address, answer.text)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["bicyclegan", "stargan"])
def test_nothing_a_program_makes_up_brings_a_translator_down(clients, system):
    asking.fuzz(clients[system], 10)
