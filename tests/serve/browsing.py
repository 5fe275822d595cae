"""A server in a process of its own, and what a person does on its page in a browser."""

import dataclasses
import json
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import jax
import numpy as np

from configs import dcgan
from jgan.runs import checkpoint
from jgan.runs import config as run_config
from jgan.systems import dcgan as dcgan_system
from tests.initial_weights import quick_init


def write_run(folder: pathlib.Path) -> None:
    """A run of a DCGAN of 32 px in a folder, as if it had been trained."""
    config = dcgan.get_config("demo")
    config.update_from_flattened_dict(
        {
            "steps": 2,
            "statistics_steps": 1,
            "ema": 0.0,
            "data.channels": (3,),
            "latent.nz": 16,
            "generator.ngf": 8,
            "discriminator.ndf": 8,
        }
    )
    state = quick_init(dcgan_system.build(config).init)(
        jax.random.key(0), {"images": np.zeros((2, 32, 32, 3), np.uint8)}
    )
    # Untrained generators show next to nothing; with larger kernels this one's images are coloured and differ.
    larger = jax.tree.map(lambda x: 12 * x if x.ndim > 1 else x, state.params["generator"])
    state = dataclasses.replace(state, step=state.step + 2, params={**state.params, "generator": larger})
    run_config.prepare(str(folder))
    run_config.write(str(folder), config)
    with checkpoint.Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoints.save(2, state, {})


class Server:
    """`launch.serve` in a process of its own, with an address that outlives it."""

    def __init__(self, *flags):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        self.flags = [*flags, f"--port={self.port}"]
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-m", "launch.serve", *self.flags])
        until(self.answers, "an answer of the server", seconds=120)

    def answers(self):
        with socket.socket() as probe:
            return self.process.poll() is None and probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def status(self):
        with urllib.request.urlopen(self.address + "api/status", timeout=10) as answer:
            return json.load(answer)


class Editor:
    """A page of the editor, and what a person does on it."""

    def __init__(self, page, server):
        self.page, self.server, self.told = page, server, []
        self.asked = []
        page.on(
            "console", lambda message: self.told.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: self.told.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(server.address)
        self.ready()

    def ready(self):
        self.page.wait_for_selector("body[data-screen=ready]", timeout=180_000)
        self.page.wait_for_selector(".tile canvas", timeout=180_000)

    def session(self):
        """The session as the server has it: JSON."""
        key = self.page.evaluate("sessionStorage.getItem('jgan-session')")
        return self.page.request.get(f"{self.server.address}api/sessions/{key}").json()

    def done(self):
        """The operations that count, by name."""
        session = self.session()
        return [operation["op"] for operation in session.get("ops", [])[: session.get("cursor", 0)]]

    def expects(self, *names):
        until(lambda: self.done() == list(names), f"operations {names}", lambda: self.done())

    def drag(self, points, pad="#pad"):
        box = self.page.locator(pad).bounding_box()
        places = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()

    def look(self, selector):
        """The pixels [h, w, 3] of a canvas, as floats."""
        data = self.page.eval_on_selector(
            selector, "c => { const x = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
            " return [c.height, c.width, Array.from(x.data)] }"
        )  # fmt: skip
        return np.asarray(data[2], float).reshape(data[0], data[1], 4)[..., :3]

    def settled(self):
        self.page.wait_for_selector("#settled[data-moving=false]:not(:empty)", timeout=60_000)

    def opens(self, button, file):
        with self.page.expect_file_chooser() as chooser:
            self.page.click(button)
        chooser.value.set_files(str(file))

    def saves(self, press):
        """(name, bytes) of the file that an action downloads."""
        with self.page.expect_download(timeout=60_000) as download:
            press()
        return download.value.suggested_filename, pathlib.Path(download.value.path()).read_bytes()


def until(holds, what, seen=lambda: "", seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not come: {seen()}"
        time.sleep(0.1)
