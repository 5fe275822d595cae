"""The program: a real server, killed and started again, fed with what is too large, and one that trains first."""

import contextlib
import io
import json
import os
import pathlib
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import httpx
import numpy as np
from PIL import Image
import pytest
from websockets import exceptions as closings
from websockets.sync import client as websockets

from configs import dcgan
from configs import pix2pix
from jgan.programs import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_children")]

STROKE = {"brush": "colour", "points": [[60, 60], [200, 120]], "width": 40, "colour": [255, 0, 0]}
TINY = {
    "steps": 3,
    "statistics_steps": 1,
    "batch_size": 2,
    "data.source": "objects",
    "data.size": 16,
    "data.load_size": 16,
    "data.number": 4,
    "data.val_number": 2,
    "latent.nz": 5,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Directories of a run with a latent and of one that translates."""
    folder = tmp_path_factory.mktemp("runs")
    config = dcgan.get_config()
    config.update_from_flattened_dict(TINY)
    train.train(config, str(folder / "latent"))
    config = pix2pix.get_config("demo")
    changes = {"steps": 2, "data.size": 16, "data.load_size": 18, "data.number": 4, "data.val_number": 2}
    nets = {"generator.name": "unet", "generator.levels": 4, "generator.ngf": 4, "discriminator.ndf": 4}
    config.update_from_flattened_dict({**changes, **nets, "discriminator.n_layers": 1})
    train.train(config, str(folder / "translator"))
    return folder / "latent", folder / "translator"


class Server:
    """A server of its own process, and a way to ask it."""

    def __init__(self, *flags, port=0, environment=None, cwd=None):
        command = [sys.executable, "-m", "launch.serve", f"--port={port}", *flags]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=cwd,
        )
        self.begun = time.monotonic()
        line = self.process.stdout.readline()
        assert line.startswith("the editor: "), self.process.stderr.read()
        self.address = line.split()[2].rstrip("/")
        self.port = int(self.address.rsplit(":")[-1])
        self.http = httpx.Client(base_url=self.address, timeout=60)
        self._errors = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._errors.start()

    def until(self, true, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if true(self.http.get("/api/status").json()):
                return
            time.sleep(0.1)
        raise AssertionError(self.http.get("/api/status").text)

    def ready(self):
        self.until(lambda status: status["state"] == "ready")
        return self

    def socket(self, key):
        return websockets.connect(f"ws://127.0.0.1:{self.port}/api/sessions/{key}/socket", max_size=2**26)

    def memory(self):
        """Resident MiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(60)


@contextlib.contextmanager
def server(*flags, **kwargs):
    made = Server(*flags, **kwargs)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def take(page, kind, seconds=60):
    """The next message of a kind; of frames the header."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = page.recv(timeout=seconds)
        if isinstance(message, bytes):
            if kind == "frame":
                return json.loads(message[4 : 4 + struct.unpack(">I", message[:4])[0]])
        elif (told := json.loads(message))["type"] == kind:
            return told
    raise AssertionError(f"no {kind} came")


def send(page, **message):
    page.send(json.dumps(message))


def picture(height, width):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def told(*flags):
    done = subprocess.run(
        [sys.executable, "-m", "launch.serve", *flags], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr


def test_mistakes_end_in_one_sentence(runs, tmp_path):
    latent, translator = runs
    assert "--workdir, --translator or both must be given" in told("--port=0")
    assert "--workdir must be given" in told(
        "--port=0", "--train=configs/dcgan.py:editor", f"--translator={translator}"
    )
    assert "makes pictures from codes" in told(f"--translator={latent}")
    assert "holds no run" in told(f"--translator={tmp_path}")
    assert "holds no run" in told(f"--workdir={tmp_path}")
    assert "needs --token" in told(f"--workdir={latent}", "--host=0.0.0.0")
    assert "8 to 200" in told(f"--workdir={latent}", "--token=x")
    assert "makes pictures from codes" in told(f"--workdir={latent}", f"--translator={latent}")
    assert "translates" in told(f"--workdir={translator}", f"--translator={translator}")
    assert "is no config" in told(f"--workdir={tmp_path}", "--train=configs/none.py")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "cannot be listened at" in told(f"--workdir={latent}", f"--port={port}")


def test_make_editor_opens_with_what_comes_with_the_project():
    """In twice the 30 seconds that a machine with nothing else to do may take."""
    root = pathlib.Path(__file__).parent.parent.parent
    said = subprocess.run(
        ["make", "-n", "editor"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    command = next(line for line in said.splitlines() if "launch.serve" in line)
    flags = shlex.split(command.partition("launch.serve")[2])
    flags.remove("--open")
    with server(*flags, environment={"JGAN_CONV": "auto"}, cwd=root) as one:
        one.until(lambda status: status["state"] == "ready", seconds=60)
        key = one.http.post("/api/sessions", json={}).json()["id"]
        with one.socket(key) as page:
            take(page, "frame")
            send(page, type="op", op={"op": "stroke", "stroke": STROKE})
            send(page, type="ready")
            assert take(page, "frame")["moving"]


def test_killed_and_started_again_a_page_goes_on(runs):
    latent, translator = runs
    flags = f"--workdir={latent}", f"--translator={translator}"
    with server(*flags) as first:
        first.ready()
        key = first.http.post("/api/sessions", json={}).json()["id"]
        with first.socket(key) as page:
            take(page, "frame")
            send(page, type="op", op={"op": "stroke", "stroke": STROKE})
            send(page, type="ready")
            while take(page, "frame")["moving"]:
                send(page, type="ready")
            send(page, type="fix", candidate=None)
            while len((kept := take(page, "session"))["session"]["ops"]) < 2:
                pass
            files = {"file": ("shoe.png", picture(20, 30), "image/png")}
            assert first.http.post(f"/api/sessions/{key}/photo", files=files).status_code == 202
            while take(page, "job")["state"] != "done":
                pass
            saved = first.http.get(f"/api/sessions/{key}", params={"photos": True}).json()
            assert saved["ops"][:2] == kept["session"]["ops"] and len(saved["ops"]) == 3
            first.stop(signal.SIGKILL)
            with pytest.raises(closings.ConnectionClosed):
                take(page, "nothing")
    with server(*flags, port=first.port) as second:
        second.ready()
        with second.socket(key) as page, pytest.raises(closings.ConnectionClosed) as end:
            take(page, "nothing")
        assert end.value.rcvd.code == 4404
        other = second.http.post("/api/sessions", json=saved).json()["id"]
        assert second.http.get(f"/api/sessions/{other}", params={"photos": True}).json() == saved
        with second.socket(other) as page:
            restored = take(page, "session")
            assert restored["can_undo"] and restored["drawing"]["photo"]["name"] == "shoe.png"
            take(page, "frame")
            begun = second.http.post(f"/api/sessions/{other}/apply", json={}).json()
            while (job := take(page, "job"))["state"] not in ("done", "failed"):
                pass
            assert job["job"] == begun["job"] and job["state"] == "done", job
            edited = Image.open(io.BytesIO(second.http.get(job["results"][0]).content))
            assert edited.size == (30, 20)
        files = {"file": ("labels.png", picture(16, 16), "image/png")}
        answer = second.http.post("/api/translate", params={"way": "AtoB"}, files=files)
        assert Image.open(io.BytesIO(answer.content)).size == (16, 16)
        assert second.http.get("/api/palette").json()[0]["name"] == "sky"
        assert second.stop() == 0


def test_what_is_too_large_leaves_no_trace(runs, tmp_path):
    folders = {name: tmp_path / name for name in ("home", "tmp")}
    for folder in folders.values():
        folder.mkdir()
    environment = {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"])}
    with server(f"--workdir={runs[0]}", environment=environment) as it:
        it.ready()
        before, files = it.memory(), sorted(runs[0].rglob("*"))
        key = it.http.post("/api/sessions", json={}).json()["id"]
        address = f"/api/sessions/{key}/photo"

        def endless():
            for _ in range(1024):
                yield bytes(2**20)

        for headers in ({"content-length": str(2**30)}, {}):
            begun = time.monotonic()
            headers["content-type"] = "multipart/form-data; boundary=b"
            try:
                assert it.http.post(address, content=endless(), headers=headers).status_code in (400, 413)
            except httpx.TransportError:
                pass  # the server closed while we were still sending
            assert time.monotonic() - begun < 30
        assert it.memory() - before < 300
        bomb = io.BytesIO()
        Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
        found = {"file": ("../../bomb.png", bomb.getvalue(), "image/png")}
        answer = it.http.post("/api/project", files=found)
        assert answer.status_code == 400 and answer.json()["error"].startswith("bomb.png has too many pixels")
        with it.socket(key) as page:
            with pytest.raises(closings.ConnectionClosed):
                for _ in range(5000):
                    send(page, type="ping")
                take(page, "nothing")
        assert it.memory() - before < 300
        assert it.http.get("/api/status", headers={"host": "evil.example"}).status_code == 403
        assert it.http.get(f"/api/sessions/{key}").status_code == 200
        assert it.stop() == 0
        assert sorted(runs[0].rglob("*")) == files
    assert not list(folders["tmp"].iterdir())


def test_a_run_that_is_not_there_is_trained(tmp_path):
    config = tmp_path / "tiny.py"
    changes = {**TINY, "steps": 400, "log_every": 1, "sample_every": 20, "save_every": 50, "data.number": 16}
    config.write_text(
        "from configs import dcgan\n\n\ndef get_config(arg=''):\n    config = dcgan.get_config()\n"
        f"    config.update_from_flattened_dict({changes!r})\n    return config\n"
    )
    flags = f"--workdir={tmp_path / 'run'}", f"--train={config}"
    with server(*flags) as first:
        assert first.http.get("/").status_code == 200
        assert time.monotonic() - first.begun < 10
        first.until(lambda status: status["step"] and status["samples"])
        status = first.http.get("/api/status").json()
        assert status["state"] == "training" and status["steps"] == 400
        assert Image.open(io.BytesIO(first.http.get(status["samples"][-1]).content)).size[0] > 0
        assert first.http.post("/api/sessions", json={}).status_code == 409
        assert first.stop() == 0
    saved = sorted(int(p.name) for p in (tmp_path / "run" / "checkpoints").iterdir() if p.name.isdigit())
    assert 0 < saved[-1] < 400  # what it had learnt
    with server(*flags) as second:
        second.until(lambda status: (status["step"] or 0) > saved[-1])
        second.stop(signal.SIGKILL)  # nobody is left who could end the training
    until_alone(tmp_path)
    with server(*flags) as third:
        third.ready()
        assert third.http.post("/api/sessions", json={}).status_code == 201
        assert third.stop() == 0


def until_alone(folder):
    """Until no process trains in a folder any more."""
    for _ in range(300):
        found = [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in _text(p)]
        if not found:
            return
        time.sleep(0.1)
    raise AssertionError("the training outlived its server")


def _text(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_training_that_fails_is_told(tmp_path):
    config = tmp_path / "wrong.py"
    config.write_text(
        "from configs import dcgan\n\n\ndef get_config(arg=''):\n    config = dcgan.get_config()\n"
        "    config.data.root = '/nowhere'\n    return config\n"
    )
    with server(f"--workdir={tmp_path / 'run'}", f"--train={config}") as it:
        it.until(lambda status: status["state"] == "failed")
        assert "nowhere" in it.http.get("/api/status").json()["message"]
        assert it.http.get("/").status_code == 200
