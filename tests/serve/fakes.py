"""An engine without a device, for tests of what lies around it: it answers at once, or when it is told to."""

from concurrent import futures
import threading
import types

import numpy as np

import jgan
from jgan import fields
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import search
from jgan.serve.device import work as work_lib


class Engine:
    """As `jgan.serve.device.engine.Engine`, of pictures of 8 x 8 pixels and latents of two numbers."""

    def __init__(self):
        self.space, self.candidates = "z", 2
        self.controls = {
            "label": fields.Label(("cat", "dog")),
            "look": fields.Attributes(("red", "blue", "striped"), exclusive=("red", "blue")),
            "truncation": fields.Amount(0.1, 1.0, 1.0),
        }
        along = {"along_smile": fields.Amount(-3.0, 3.0, 0.0), "mix_coarse": fields.Amount(0.0, 1.0, 0.0)}
        self.sliders = types.SimpleNamespace(controls=along)
        data = types.SimpleNamespace(channels=(3,), size=8)
        self.run = types.SimpleNamespace(
            config=types.SimpleNamespace(data=data, system="dcgan"),
            judges=False,
            predicts=False,
            weights={"params": {}},
        )
        self.lives, self.jobs, self.free = {}, [], threading.Event()
        self.free.set()
        self._pool = futures.ThreadPoolExecutor(4)

    def start(self):
        pass

    def stop(self):
        self.free.set()
        self._pool.shutdown(cancel_futures=True)

    def status(self):
        return "ready", ""

    def ways(self):
        described = {name: field.describe() for name, field in self.controls.items()}
        way = {"name": "sample", "inputs": {}, "controls": described, "returns": ["output"]}
        return [{**way, "spaces": {"z": {"predicts": False}}}]

    def check(self, session):
        for operation in session.operations:
            if isinstance(operation, sessions.Give):
                session_file.checked(((operation.name, operation.value),), self.controls)
            if isinstance(operation, sessions.Open):
                session_file.checked(operation.given or (), self.controls)
            if len(getattr(operation, "latent", None) or (0, 0)) != 2:
                raise jgan.UserError("the session is of another run.")

    def open(self, key, session, deliver):
        self.check(session)
        self.lives[key] = types.SimpleNamespace(session=session, deliver=deliver, ready=True, new=True)
        self._show(key)

    def update(self, key, session):
        if key in self.lives:
            self.lives[key].session, self.lives[key].new = session, True
            self._show(key)

    def ready(self, key):
        if key in self.lives:
            self.lives[key].ready = True
            self._show(key)

    def detach(self, key):
        if key in self.lives:
            self.lives[key].deliver = None

    def close(self, key):
        self.lives.pop(key, None)

    def complete(self, key, session, event):
        if isinstance(event, session_file.Choice):
            return sessions.Fix((0.5, event.candidate or 0))
        if isinstance(event, session_file.Steering):
            before = session.drawing.steered
            moved = (sum(value for _, value in event.values), 0.0)
            return sessions.Steer(moved, event.values, (0.0, 0.0) if before is None else None)
        return event

    def submit(self, job, progress=None):
        self.jobs.append(job)

        def work():
            self.free.wait(10)
            if progress:
                progress(0.5)
            return self._result(job)

        return self._pool.submit(work)

    def _show(self, key):
        it = self.lives[key]
        if not (it.ready and it.new and it.deliver):
            return
        it.ready = it.new = False
        drawing, image = it.session.drawing, np.zeros((8, 8, 3), np.uint8)
        costs = ({"colour": 0.1, "total": 0.1}, {"colour": float("nan"), "total": 0.2})
        it.deliver(
            search.Frame(
                drawing.version,
                drawing.ground,
                1,
                False,
                np.stack([image, image]),
                (1, 0),
                costs,
                image,
                1,
                None,
            )
        )

    def _result(self, job):
        film = np.zeros((3, 8, 8, 3), np.uint8)
        if isinstance(job, work_lib.Project):
            if job.photo.shape[0] == 13:
                raise jgan.UserError("this photo brings bad luck.")
            if job.photo.shape[0] == 14:
                raise ZeroDivisionError
            (h, w), side = job.photo.shape[:2], max(job.photo.shape[:2])
            box = (-((side - h) // 2), -((side - w) // 2), side)
            return work_lib.Projected((0.25, -0.25), (h, w), box, 0.1, film[0])
        if isinstance(job, work_lib.Crossover):
            return work_lib.Crossed((0.75, 0.75), film[0], film[0])
        if isinstance(job, work_lib.Transfer):
            return work_lib.Transferred(job.photo.joined(), film)
        if isinstance(job, work_lib.Film | work_lib.Between):
            return film
        latents, costs = np.zeros((2, 2), np.float32), np.float32([0.1, np.nan])
        given = self.lives[job.key].session.drawing.given if isinstance(job, work_lib.Export) else job.given
        told = {name: session_file.plain(value) for name, value in given}
        return work_lib.Exported(np.int32([1, 0]), film[:2], latents, costs, told)


class Translation:
    """As `jgan.serve.web.generation.Translation`, with a control of every kind; it answers by flat colours.

    Attributes:
        asked: what has been set, in the order of the questions.
        encoded: names of the files whose codes were asked for.
    """

    def __init__(self):
        self.asked, self.encoded = [], []
        self._pool = futures.ThreadPoolExecutor(1)
        look = fields.Attributes(("red", "blue", "striped"), exclusive=("red", "blue"))
        self._controls = {
            "to": look,
            "label": fields.Label(tuple(f"class_{k}" for k in range(12))),
            "strength": fields.Amount(0.0, 2.0, 1.0),
            "z": fields.Code(("z",)),
        }

    def describe(self):
        told = {"input": "a", "output": "b", "size": [8, 8], "channels": 3}
        return [{"name": name, **told} for name in ("AtoB", "plain")]

    def ways(self):
        controls = {name: field.describe() for name, field in self._controls.items()}
        told = {"inputs": {"a": fields.Picture().describe()}, "returns": ["output"]}
        return [
            {"name": "AtoB", **told, "controls": controls, "spaces": {"z": {"predicts": True}}},
            {"name": "plain", **told, "controls": {}, "spaces": {}},
        ]

    def submit(self, data, name, way, made, asked):
        fields.check(self._controls if way == "AtoB" else {}, asked)
        self.asked.append(asked)
        return self._pool.submit(lambda: np.full((8, 8, 3), len(self.asked), np.uint8))

    def encode(self, data, name, way, control):
        self.encoded.append(name)
        return self._pool.submit(lambda: (control, [0.5, 0.25]))

    def stop(self):
        self._pool.shutdown(cancel_futures=True)
