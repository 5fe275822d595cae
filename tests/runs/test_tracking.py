"""Metrics and pictures in other people's tools."""

import pathlib
import struct
import sys
import types

import ml_collections
import numpy as np
import pytest

import jgan
from jgan.runs import tracking

PICTURE = np.zeros((8, 8, 3), np.uint8)


def test_event_files_hold_scalars_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto import event_pb2

    def events():
        found = []
        for path in sorted((tmp_path / "tensorboard").iterdir()):
            data, at = path.read_bytes(), 0
            while at < len(data):
                (size,) = struct.unpack("<Q", data[at : at + 8])
                found.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + size]))
                at += size + 16
        return found

    (track,) = tracking.choose(tensorboard=True, wandb="")
    first = track(str(tmp_path), ml_collections.ConfigDict(), 0)
    first.scalars(3, {"g_loss": 0.5, "val_l1": 0.25})
    first.picture(3, "samples", PICTURE)
    first.close()
    told = {(e.step, v.tag): v for e in events() for v in e.summary.value}
    assert told[3, "training/g_loss"].simple_value == 0.5
    assert told[3, "validation/l1"].simple_value == 0.25
    assert told[3, "samples"].image.height == 8
    track(str(tmp_path), ml_collections.ConfigDict(), 2).close()
    # What was told of steps after 2 is hidden when the run goes on from there.
    assert [e.step for e in events() if e.session_log.status] == [3]


class Wandb(types.ModuleType):
    """As much of the library as is used."""

    def __init__(self):
        super().__init__("wandb")
        self.begun, self.logged, self.finished = [], [], 0

    def init(self, **named):
        self.begun.append(named)
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1

    @staticmethod
    def Image(picture):
        return picture.shape


def test_a_run_at_weights_and_biases_goes_on_under_its_name(tmp_path, monkeypatch):
    library = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", library)
    (track,) = tracking.choose(tensorboard=False, wandb="mine")
    for start in (0, 3):
        tracker = track(str(tmp_path), ml_collections.ConfigDict({"seed": 4}), start)
        tracker.scalars(start + 1, {"g_loss": 0.5})
        tracker.picture(start + 1, "samples", PICTURE)
        tracker.close()
    one, two = library.begun
    assert one == two and one["project"] == "mine" and one["config"] == {"seed": 4}
    assert one["name"] == tmp_path.name and len(one["id"]) == 12
    assert library.logged[2:] == [(4, {"g_loss": 0.5}), (4, {"samples": (8, 8, 3)})]
    assert library.finished == 2


@pytest.mark.parametrize("flags, words", [((True, ""), "--tensorboard"), ((False, "mine"), "--wandb=mine")])
def test_a_library_that_is_missing_is_told(monkeypatch, flags, words):
    for name in ("tensorboardX", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)  # an import of it fails
    with pytest.raises(jgan.UserError, match=f"{words} needs .*pip install .* would work"):
        tracking.choose(tensorboard=flags[0], wandb=flags[1])


def test_nothing_is_imported_that_nobody_asks_for():
    assert tracking.choose(tensorboard=False, wandb="") == ()
    text = pathlib.Path(tracking.__file__).read_text()
    assert "import tensorboardX" not in text and "import wandb" not in text
