"""Files of torch.save: every form gives the same arrays as torch.load, and nothing else is read, called or believed."""

import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

import jgan
from jgan.weights import files

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")


def state():
    """Tensors as nets have them: views, parts of one storage, several types, a parameter, a single number."""
    numbers = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 7
    return collections.OrderedDict(
        whole=numbers,
        turned=numbers.permute(2, 0, 1),
        part=numbers[1, 1:],
        repeated=numbers[0, 0].expand(18, 4),
        half=numbers.half(),
        brain=numbers.bfloat16(),
        double=numbers.double(),
        count=torch.tensor(3),
        parameter=torch.nn.Parameter(torch.ones(2, 2)),
        empty=torch.zeros(0, 3),
    )


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "stream"])
def test_tensors_are_those_of_pytorch(tmp_path, archive):
    path = tmp_path / "state.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=archive)
    found = files.entries(path)
    assert list(found) == list(state())
    for name, tensor in state().items():
        values = found[name].read()
        assert found[name].shape == values.shape == tuple(tensor.shape)
        np.testing.assert_array_equal(values.astype(np.float64), tensor.detach().double().numpy())


def test_a_net_saved_with_its_metadata_is_read(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    found = files.entries(tmp_path / "net.pt")
    assert list(found) == list(net.state_dict())
    np.testing.assert_array_equal(found["0.weight"].read(), net[0].weight.detach().numpy())


class Description:
    """A pickle written instruction by instruction."""

    def __init__(self):
        self.data = b"\x80\x02"

    def add(self, *parts):
        self.data += b"".join(parts)
        return self

    def text(self, value):
        return self.add(b"X", struct.pack("<I", len(value)), value.encode())

    def number(self, value):
        return self.add(pickle.dumps(value, 2)[2:-1])

    def call(self, name, arguments):
        """What a function gives of arguments that are written by `arguments`."""
        module, _, function = name.rpartition(".")
        self.add(b"c", f"{module}\n{function}\n".encode(), b"(")
        arguments(self)
        return self.add(b"tR")

    def storage(self, key="0", number=6, kind="FloatStorage", last=b""):
        self.add(b"(").text("storage").add(b"ctorch\n", kind.encode(), b"\n").text(key).text("cpu")
        return self.number(number).add(last, b"tQ")

    def tensor(self, shape=(2, 3), strides=(3, 1), offset=0, **storage):
        def arguments(self):
            self.storage(**storage).number(offset).add(pickle.dumps(shape, 2)[2:-1])
            self.add(pickle.dumps(strides, 2)[2:-1], b"\x89N")

        return self.call("torch._utils._rebuild_tensor_v2", arguments)

    def end(self):
        return self.add(b".").data


SIX = np.arange(6, dtype="f4").tobytes()


def archive(path, description, members=(("data/0", SIX),), **options):
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("state/data.pkl", description)
        for name, data in members:
            file.writestr(f"state/{name}", data)
    return path


def test_an_archive_made_by_hand_is_read_as_pytorch_reads_it(tmp_path):
    description = Description().add(b"}").text("x").tensor().add(b"s").end()
    path = archive(tmp_path / "x.pth", description, (("data/0", SIX), ("version", b"3\n")))
    np.testing.assert_array_equal(files.entries(path)["x"].read(), torch.load(path, weights_only=True)["x"])


@pytest.mark.parametrize("kind", ["torch.FloatTensor", "torch.nn.parameter.Parameter"])
def test_a_tensor_of_the_first_versions_is_read_as_pytorch_reads_it(tmp_path, kind):
    # VGG's published weights are such: an empty tensor, and then a storage, offset, shape and strides.
    body = Description().add(b"ccollections\nOrderedDict\n)R").text("x")
    body.call(kind, lambda d: d).add(b"(").storage(last=b"N").number(0)
    body.add(pickle.dumps((2, 3), 2)[2:-1], pickle.dumps((3, 1), 2)[2:-1], b"tbs")
    machine = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    data = b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, machine))
    data += body.end() + pickle.dumps(["0"], 2) + struct.pack("<q", 6) + SIX
    path = tmp_path / "old.pth"
    path.write_bytes(data)
    found = files.entries(path)["x"]
    np.testing.assert_array_equal(found.read(), np.arange(6).reshape(2, 3))
    if kind == "torch.FloatTensor":
        with open(path, "rb") as file:
            np.testing.assert_array_equal(torch.load(file, weights_only=False)["x"], found.read())
    for cut in (len(data) - 1, len(data) - 30, 100, 5):
        path.write_bytes(data[:cut])
        with pytest.raises(jgan.UserError):
            files.entries(path)
    path.write_bytes(data[:-32] + struct.pack("<q", 2**50) + data[-24:])
    with pytest.raises(jgan.UserError, match="another number of elements"):
        files.entries(path)


class Hostile:
    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def nested(depth):
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


def single(**tensor):
    return Description().add(b"}").text("x").tensor(**tensor).add(b"s").end()


HOSTILE = {
    "a command": pickle.dumps({"x": Hostile((os.system, ("touch trace",)))}, 2),
    "code": pickle.dumps({"x": Hostile((eval, ("open('trace', 'w')",)))}, 2),
    "a function of PyTorch": pickle.dumps({"x": Hostile((torch.load, ("trace",)))}, 2),
    "an object": pickle.dumps({"x": io.BytesIO(b"x")}, 2),
    "a later protocol": pickle.dumps({"x": Hostile((os.system, ("touch trace",)))}, 4),
    "no dictionary": pickle.dumps([1, 2], 2),
    "no tensor": pickle.dumps({"x": 1}, 2),
    "a number for a name": pickle.dumps({1: 2}, 2),
    "keys that take forever": Description()
    .add(b"}", pickle.dumps(nested(60), 2)[2:-1])
    .number(1)
    .add(b"s")
    .end(),
    "a dictionary that takes forever": Description()
    .call("collections.OrderedDict", lambda d: d.add(pickle.dumps([[nested(60), 1]], 2)[2:-1]))
    .end(),
    "a call of a text": Description().text("x").add(b")R.").data,
    "a call of a storage": Description().add(b"ctorch\nFloatStorage\n)R.").data,
    "nothing to take": b"\x80\x02tR.",
    "nothing below the mark": b"\x80\x02}X\x01\x00\x00\x00x((R.",
    "no end": b"\x80\x02}",
    "an unknown place": b"\x80\x02h\x07.",
    "a place without bounds": b"\x80\x02]r\xff\xff\xff\xff.",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "a text without end": b"\x80\x02X\xff\xff\xff\xffx.",
    "a part beyond the storage": single(offset=1),
    "rows beyond the storage": single(strides=(100, 1)),
    "elements on each other": single(shape=(10**6, 10**6), strides=(0, 0)),
    "a negative step": single(strides=(-3, 1)),
    "a negative offset": single(offset=-1),
    "shape and strides of two lengths": single(strides=(1,)),
    "a storage that is not there": single(key="1"),
    "a path for a storage": single(key="../0"),
    "a storage larger than its bytes": single(number=7),
    "a storage without bounds": single(number=2**62),
    "a storage of negative size": single(number=-6),
    "a storage of objects": single(kind="Storage"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence_and_do_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "x.pth", HOSTILE[name])
    with pytest.raises(jgan.UserError) as told:
        files.entries(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value) and len(str(told.value)) < 400
    assert [file.name for file in tmp_path.iterdir()] == ["x.pth"]


def test_archives_that_are_not_what_they_claim_are_refused(tmp_path):
    with pytest.raises(jgan.UserError, match="no 24 bytes"):
        files.entries(archive(tmp_path / "packed.pth", single(), compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(jgan.UserError, match="byte order"):
        files.entries(archive(tmp_path / "big.pth", single(), [("data/0", bytes(24)), ("byteorder", b"big")]))
    with pytest.raises(jgan.UserError, match="no description"):
        files.entries(archive(tmp_path / "none.pth", single(), [("more/data.pkl", b"")]))
    with pytest.raises(jgan.UserError, match="more than 4194304 bytes"):
        files.entries(archive(tmp_path / "long.pth", single() + bytes(2**22)))
    path = archive(tmp_path / "torn.pth", single())
    whole = path.read_bytes()
    damaged = whole.replace(SIX, bytes(24))
    path.write_bytes(damaged)  # its sum no longer agrees
    with pytest.raises(jgan.UserError, match="no sound file"):
        files.entries(path)["x"].read()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(jgan.UserError):
        files.entries(path)


def test_every_cut_of_a_file_is_refused_or_gives_what_it_gave(tmp_path):
    whole = io.BytesIO()
    torch.save({"x": torch.arange(6.0)}, whole, _use_new_zipfile_serialization=False)
    path = tmp_path / "x.pth"
    for cut in range(0, len(whole.getvalue()), 7):
        path.write_bytes(whole.getvalue()[:cut])
        with pytest.raises(jgan.UserError):
            files.entries(path)
