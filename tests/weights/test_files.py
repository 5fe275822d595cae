"""Pickles of arrays and tensors by many writers are read as they were written; nothing in them is called."""

import argparse
import collections
import io
import os
import pathlib
import pickle
import resource
import zipfile

import numpy as np
import pytest

import jgan
from jgan.weights import files
from jgan.weights import source
from tests.weights import pickled

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.normal(size=(3, 4)).astype("f4"),
    RNG.normal(size=(500, 2)),
    np.arange(6, dtype="i8").reshape(2, 3).T,
]


def write(path, data):
    path.write_bytes(data)
    return path


def equal(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_array_equal(found.read(), expected)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_every_protocol_are_read(tmp_path, protocol):
    value = {"gen_params": ARRAYS, "n": 3, "x": np.float64(2.5), "none": None, "t": (1, "a", {"b"}), 7: True}
    found = files.contents(write(tmp_path / "a.pkl", pickle.dumps(value, protocol)))
    for x, expected in zip(found["gen_params"], ARRAYS, strict=True):
        equal(x, expected)
    assert (found["n"], found["x"], found["none"], found[7]) == (3, 2.5, None, True)
    assert found["t"] == (1, "a", {"b"})


def by_python_2(protocol):
    """The pickle of a list with one array as Python 2 wrote it, where bytes are texts."""
    data = ARRAYS[1].tobytes()
    if protocol == 2:
        body = b"\x80\x02]q\x00cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R("
        body += (
            b"K\x01M\xf4\x01K\x02\x86cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        )
        body += b"J\xff\xff\xff\xffK\x00tb\x89T" + len(data).to_bytes(4, "little") + data + b"tba."
        return body
    quoted = "".join(f"\\x{byte:02x}" for byte in data)
    body = "(lp0\ncnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n(I1\n"
    body += (
        "(I500\nI2\ntp7\ncnumpy\ndtype\np8\n(S'f8'\np9\nI0\nI1\ntp10\nRp11\n(I3\nS'<'\np12\nNNNI-1\nI-1\nI0\n"
    )
    return (body + f"tp13\nbI00\nS'{quoted}'\np14\ntp15\nba.").encode()


@pytest.mark.parametrize("protocol", [0, 2])
def test_arrays_of_python_2_are_read(tmp_path, protocol):
    path = write(tmp_path / "shoes_64.dcgan_theano", by_python_2(protocol))
    with open(path, "rb") as file:
        np.testing.assert_array_equal(
            pickle.load(file, encoding="latin1")[0], ARRAYS[1]
        )  # and so NumPy reads it
    equal(files.contents(path)[0], ARRAYS[1])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_persistent_objects_are_read_and_their_source_is_not_run(tmp_path, monkeypatch, protocol):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
    monkeypatch.chdir(tmp_path)
    tensor = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    inner = pickled.Persistent(
        "FullyConnectedLayer",
        _parameters=collections.OrderedDict(weight=torch.nn.Parameter(tensor), bias=None),
        _buffers=collections.OrderedDict(count=torch.tensor(3)),
        _non_persistent_buffers_set=set(),
        weight_gain=np.float64(0.5),
    )
    value = {"G_ema": pickled.Persistent("Generator", _modules={"fc0": inner}, _init_kwargs={"z_dim": 4})}
    found = files.contents(write(tmp_path / "net.pkl", pickled.dumps(value, protocol)))
    net = found["G_ema"]
    assert net.type == "torch_utils.persistence.Generator" and net.state["_init_kwargs"] == {"z_dim": 4}
    layer = net.state["_modules"]["fc0"].state
    equal(layer["_parameters"]["weight"], tensor.numpy())
    equal(layer["_buffers"]["count"], np.asarray(3))
    assert layer["_parameters"]["bias"] is None and layer["weight_gain"] == 0.5
    assert [x.name for x in tmp_path.iterdir()] == ["net.pkl"]


def test_settings_beside_tensors_are_passed_over(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
    options = argparse.Namespace(size=64, path=pathlib.Path("runs/x"))
    value = {
        "g_ema": {"x": torch.ones(2)},
        "args": options,
        "opts": {"device": torch.device("cpu"), "dtype": torch.float16, "shape": torch.Size([1, 2])},
        "g_optim": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    }
    for archive in (True, False):
        torch.save(value, tmp_path / "x.pt", _use_new_zipfile_serialization=archive)
        found = files.contents(tmp_path / "x.pt")
        equal(found["g_ema"]["x"], np.ones(2, "f4"))
        assert found["args"].type == "argparse.Namespace" and found["args"].state["size"] == 64
        assert found["opts"]["shape"] == (1, 2)


class Calls:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def claimed(*shape):
    """The pickle of an array of 100 bytes that says it has another shape."""
    text = pickle.dumps(np.zeros(100, "u1"), 2)
    said = b"".join(pickle.dumps(n, 2)[2:-1] for n in shape) + b"\x85\x86"[len(shape) - 1 :][:1]
    assert b"Kd\x85" in text
    return text.replace(b"Kd\x85", said)


def inside_out(depth):
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


HOSTILE = {
    "a command": pickle.dumps({"G_ema": Calls(os.system, "touch trace")}, 2),
    "a command of protocol 4": pickle.dumps([Calls(os.system, "touch trace")], 4),
    "code": pickle.dumps([Calls(eval, "open('trace', 'w')")], 3),
    "a function that is not called": b"cos\nsystem\n.",
    "a file opened": pickle.dumps([Calls(io.open, "trace", "w")], 2),
    "an array larger than its bytes": claimed(10 * 2**30),
    "an array of a negative side": claimed(-1, -100),
    "an array of objects": pickle.dumps(np.array([None, 1], object), 2),
    "itself": b"\x80\x02]q\x00h\x00a.",
    "itself in a dictionary": b"\x80\x02}q\x00X\x01\x00\x00\x00xh\x00s.",
    "nested lists": inside_out(100_000),
    "doubled lists": b"\x80\x02]" + b"".join(b"q%c](h%ch%ce" % (k, k, k) for k in range(60)) + b".",
    "instructions without end": b"\x80\x02" + b"N0" * 600_000 + b"N.",
    "a long that is too long": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "bytes that are too long": b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.",
    "a text that is too long": b"\x80\x04\x8d\xff\xff\xff\xff\xff\x00\x00\x00.",
    "an extension": b"\x80\x02\x82\x01.",
    "a memory far away": b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\x7f.",
    "nothing": b"",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "zeros": bytes(1000),
    "a number of digits": b"I" + b"9" * 100_000 + b"\n.",
    "a persistent object without state": b"\x80\x02ctorch_utils.persistence\n_reconstruct_persistent_obj\n}\x85R.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_in_one_sentence_and_do_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "x.pkl", HOSTILE[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(jgan.UserError) as told:
        found = files.contents(path)
        for value in found if isinstance(found, list) else [found]:
            value.read()
    assert str(path) in str(told.value) and "\n" not in str(told.value) and len(str(told.value)) < 400
    assert [file.name for file in tmp_path.iterdir()] == ["x.pkl"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_every_cut_and_many_changes_of_a_file_are_refused_or_read(tmp_path):
    """No exception but a sentence, whatever bytes are changed."""
    whole = bytearray(pickle.dumps({"gen_params": ARRAYS, "x": {"y": (1, 2.5, "z")}}, 4))
    path, rng = tmp_path / "x.pkl", np.random.default_rng(1)
    for k in range(1500):
        data = bytearray(whole)
        if k < 300:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(0, min(len(data), 300), rng.integers(1, 4)):
                data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            found = files.contents(path)
            if isinstance(found, dict) and isinstance(found.get("gen_params"), list):
                for x in found["gen_params"]:
                    isinstance(x, files.Entry) and x.read()
        except jgan.UserError as error:
            assert "\n" not in str(error)


def test_bombs_and_programs_in_archives_are_refused(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", bytes(2**28))
    with pytest.raises(jgan.UserError, match="a description of more than"):
        files.contents(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data.pkl", b"\x80\x02}.")
        file.writestr("x/code/__torch__.py", b"")
        file.writestr("x/constants.pkl", b"\x80\x02).")
    with pytest.raises(jgan.UserError, match="TorchScript"):
        files.contents(path)


def test_a_whole_module_is_refused_by_name(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
    for archive in (True, False):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pt", _use_new_zipfile_serialization=archive)
        with pytest.raises(jgan.UserError, match=r"state_dict\(\)"):
            files.contents(tmp_path / "x.pt")


@pytest.mark.parametrize("suffix", [".t7", ".onnx", ".h5", ".tar"])
def test_files_of_other_kinds_are_refused_by_name(tmp_path, suffix):
    with pytest.raises(jgan.UserError, match="would work"):
        files.contents(write(tmp_path / f"x{suffix}", b"x"))


def test_bytes_that_are_gone_when_they_are_asked_for_are_told(tmp_path):
    path = write(tmp_path / "x.pkl", pickle.dumps([ARRAYS[1]], 4))
    (entry,) = files.contents(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(jgan.UserError, match="shorter"):
        entry.read()
    path.unlink()
    with pytest.raises(jgan.UserError, match="No such file"):
        entry.read()


def test_a_window_never_reads_more_than_there_is(tmp_path):
    with open(write(tmp_path / "x", b"0123456789\nabc"), "rb") as file:
        window = source.Window(file, tmp_path / "x", 2, 5)
        assert window.read(2**60) == b"23456" and window.read(1) == b""
        window.seek(0)
        assert window.readline() == b"23456"
