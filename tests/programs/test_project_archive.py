"""Archives of projections: what a shard holds, who makes what, what is made anew, what is refused."""

import contextlib
import io
import json
import os
import platform
import threading
import time
import zipfile

import numpy as np
from PIL import Image
import pytest

import jgan
from jgan.latent import projection
from jgan.programs import archive
from jgan.programs import archive_claims
from jgan.programs import archive_files
from jgan.programs import latents
from jgan.programs import project as project_lib
from jgan.programs import project_archive

QUICK = {"settings": projection.Settings("adam", evaluations=3), "batch": 2}


@pytest.fixture(scope="module", autouse=True)
def quick(quick_convolutions):
    """All of these tests compile far more than they compute."""


@pytest.fixture(scope="module")
def run(small_latent_run):
    return small_latent_run


@pytest.fixture(scope="module", autouse=True)
def one_program(run):
    """One projector for all tests: each call would compile its program anew."""
    made, original = {}, project_lib.projector

    def projector(run, **options):
        key = repr((id(run.weights), options))
        return made.setdefault(key, original(run, **options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project_lib, "projector", projector)
        yield


@pytest.fixture
def photos(tmp_path):
    """A folder with seven photos, two of them in a folder below."""
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("a", "b", "c", "d", "e", "more/f", "more/g"):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def project(run, photos, out, share=(0, 1), size=3, **options):
    return project_archive.project(
        run, str(photos), str(out), **{**QUICK, **options}, way=archive.Way(size, share)
    )


def index(out):
    return [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]


def test_an_archive_holds_what_single_files_hold(run, photos, tmp_path, capsys):
    out = tmp_path / "out"
    (photos / "x.heic").touch()
    assert project(run, photos, out, reconstructions=True) == 7
    told = capsys.readouterr().out
    assert "left out: 1 .heic; read are" in told
    assert "archive of 7 pictures in 3 shards, 7\n" in told
    assert "devices waited for input and output" in told and "index.jsonl in" in told
    assert sorted(path.name for path in out.iterdir()) == [
        "archive.json",
        "index.jsonl",
        "plan-00000.json",
        *(f"shard-0000{k}.npz" for k in range(3)),
    ]
    project_lib.project_files(run, str(photos), str(tmp_path / "files"), **QUICK)
    lines = index(out)
    names, codes = latents.read(run, "with", str(out))  # programs that read projections read archives too
    files, others = latents.read(run, "with", str(tmp_path / "files"))
    assert sorted(names) == sorted(files) == [line["name"] for line in lines]
    np.testing.assert_allclose(codes[names.index("c.png")], others[files.index("c.png")], atol=1e-5)
    assert latents.given(str(out)) == {}
    assert [line["name"] for line in lines] == [*(f"{x}.png" for x in "abcde"), "more/f.png", "more/g.png"]
    for line in lines:
        with (
            np.load(out / line["shard"]) as shard,
            np.load(tmp_path / "files" / f"{line['name']}.npz") as one,
        ):
            row = line["row"]
            assert (
                shard["names"][row] == line["name"] and shard["sha256"][row] == line["sha256"] == one["photo"]
            )
            assert line["cost"] == shard["cost"][row]
            np.testing.assert_allclose(shard["z"][row], one["z"], atol=1e-5)
            np.testing.assert_allclose(shard["cost"][row], one["cost"], rtol=1e-5)
            np.testing.assert_array_equal(shard["square"][row], one["square"])
            assert shard["space"] == "z" and shard["generator"] == run.digest and shard["step"] == run.step
            made = np.asarray(Image.open(io.BytesIO(shard[f"pictures/{line['name']}.png"])))
            assert np.abs(made.astype(int) - one["reconstruction"]).max() <= 1


def test_processes_of_any_number_make_the_same_files(run, photos, tmp_path):
    """Each makes its share and helps with what is missing, and two that make the same shard make the same bytes."""
    project(run, photos, tmp_path / "one")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    out = tmp_path / "two"
    assert project(run, photos, out, share=(1, 2)) == 7  # nobody else works: it helps with all
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    for number, made in ((0, 3), (1, 3), (2, 1)):  # what one of three lost
        (out / f"shard-0000{number}.npz").unlink()
        (out / "index.jsonl").unlink()
        assert project(run, photos, out, share=(2, 3)) == made
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert project(run, photos, out, share=(0, 2)) == 0


def test_only_what_changed_is_made_anew_and_what_is_new_goes_behind(run, photos, tmp_path, capsys):
    out = tmp_path / "out"
    project(run, photos, out)
    before = {line["name"]: line for line in index(out)}
    shards = {path.name: path.read_bytes() for path in out.glob("shard-*")}
    rng = np.random.default_rng(1)
    time = (photos / "b.png").stat().st_mtime_ns
    for name in ("b.png", "aa.png"):  # one changes, one is new and comes early in the order of names
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(photos / name)
    os.utime(photos / "b.png", ns=(time, time))
    (photos / "e.png").unlink()
    capsys.readouterr()
    assert project(run, photos, out) == 2
    assert "6 pictures were done already\n1 pictures have changed since" in capsys.readouterr().out
    after = {line["name"]: line for line in index(out)}
    assert list(after) == [*before, "aa.png"] and after["aa.png"]["shard"] == "shard-00003.npz"
    assert [name for name in before if after[name] != before[name]] == ["b.png"]
    assert [name for name in shards if (out / name).read_bytes() != shards[name]] == ["shard-00000.npz"]
    assert project(run, photos, out) == 0


def test_a_bad_photo_is_recorded_once_and_stops_no_other(run, photos, tmp_path):
    (photos / "c.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((1, 200, 3), np.uint8)).save(photos / "row.png")
    out = tmp_path / "out"
    for expected in (6, 0):
        with pytest.raises(
            jgan.UserError, match="2 of 8 pictures have no result: c.png cannot be decoded.*row.png"
        ):
            assert project(run, photos, out) == expected
    lines = {line["name"]: line for line in index(out)}
    assert "cost" not in lines["c.png"] and "not an image" in lines["c.png"]["error"]
    with np.load(out / "shard-00000.npz") as shard:
        assert shard["names"].tolist() == ["a.png", "b.png"] and shard["failed"].tolist() == ["c.png"]
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(photos / "c.png")
    with pytest.raises(jgan.UserError, match="1 of 8"):
        project(run, photos, out)
    assert [line["row"] for line in index(out)[:3]] == [0, 1, 2]


def test_lists_and_records_give_what_a_folder_gives(run, photos, tmp_path):
    from array_record.python import array_record_module

    project(run, photos, tmp_path / "folder")
    costs = [line["sha256"] for line in index(tmp_path / "folder")]
    listed = tmp_path / "list.txt"
    names = sorted(path.relative_to(tmp_path) for path in photos.rglob("*.png"))
    listed.write_text("".join(f"{name}\n" for name in [*names, names[0], ""]), encoding="utf-8-sig")
    project(run, listed, tmp_path / "listed")
    assert [line["name"] for line in index(tmp_path / "listed")] == [str(name) for name in names]
    assert [line["sha256"] for line in index(tmp_path / "listed")] == costs
    (tmp_path / "records").mkdir()
    for number, part in enumerate((names[:5], names[5:])):
        path = tmp_path / "records" / f"x.array_record-0000{number}-of-00002"
        writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        for name in part:
            writer.write((tmp_path / name).read_bytes())
        writer.close()
    for source in (tmp_path / "records", f"{tmp_path}/records/x.*"):
        out = tmp_path / f"of_{'pattern' if isinstance(source, str) else 'folder'}"
        project(run, source, out, reconstructions=True)
        assert [line["sha256"] for line in index(out)] == costs
        assert index(out)[6]["name"] == "x.array_record-00001-of-00002/000001"
    with zipfile.ZipFile(out / "shard-00002.npz") as shard:
        shard.extract("pictures/x.array_record-00001-of-00002/000001.png", tmp_path / "taken")


@pytest.mark.parametrize(
    "source, words",
    [
        ("nothing", "does not exist"),
        ("photos/*.png", "a pattern is for ArrayRecord files"),
        ("empty.txt", "names no files"),
        ("bad.arrayrecord", "bad.arrayrecord cannot be read"),
        ("none", "holds no images"),
    ],
)
def test_what_is_no_input_is_one_sentence(run, photos, tmp_path, source, words):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "bad.arrayrecord").write_bytes(b"x" * 2**17)
    (tmp_path / "none").mkdir()
    with pytest.raises(jgan.UserError, match=words):
        project(run, tmp_path / source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_of_something_else_is_refused(run, photos, tmp_path):
    out = tmp_path / "out"
    project(run, photos, out)
    project(run, photos, out, size=0)  # as the archive has it
    with pytest.raises(jgan.UserError, match="holds an archive with other shard_size: name another folder"):
        project(run, photos, out, size=4)
    with pytest.raises(jgan.UserError, match="with other starts, seed"):
        project(run, photos, out, starts=2, seed=1)
    with pytest.raises(jgan.UserError, match="is an archive: add --archive"):
        project_lib.project_files(run, str(photos), str(out), **QUICK)
    project_lib.project_files(run, str(photos / "a.png"), str(tmp_path / "files"), **QUICK)
    with pytest.raises(jgan.UserError, match="holds projections in single files"):
        project(run, photos, tmp_path / "files")
    with pytest.raises(jgan.UserError, match="is where the images lie"):
        project(run, photos, photos)


def test_a_name_of_any_kind_keeps_its_row_and_a_place_in_the_shard(tmp_path):
    places = [
        archive_files.place(name)
        for name in ("a/b c.png", "../a.png", "/a.png", "a\udce9.png", "C:\\a.png", "a//b.png")
    ]
    assert places[0] == "pictures/a/b c.png" and len(set(places)) == 6
    assert all(place.count("/") == 1 and place.endswith(".png") and place.isascii() for place in places[1:])
    rows = {
        name: archive_files.Row(f"{k:064x}", {"z": np.float32([k, 0]), archive_files.place(name): b"x" * k})
        for k, name in enumerate(("b\udce9.png", "..", "\u00fc"))
    }
    rows["bad"] = archive_files.Row("", None, "it is bad")
    data = archive_files.pack(rows, {"space": "z"})
    (tmp_path / "shard.npz").write_bytes(data)
    found = archive_files.unpack(tmp_path / "shard.npz")
    assert list(found) == list(rows) and found["bad"] == rows["bad"]
    assert archive_files.pack(found, {"space": "z"}) == data
    assert archive_files.unpack(tmp_path / "shard.npz", values=False)[".."].values == {}


def test_a_shard_that_is_damaged_is_made_again(run, photos, tmp_path):
    out = tmp_path / "out"
    project(run, photos, out)
    whole = (out / "shard-00001.npz").read_bytes()
    (out / "shard-00001.npz").write_bytes(whole[: len(whole) // 2])
    assert project(run, photos, out) == 3
    assert (out / "shard-00001.npz").read_bytes() == whole
    with zipfile.ZipFile(
        out / "shard-00001.npz"
    ) as file:  # its lists of names can be read, its latents cannot
        place = file.getinfo("failed.npy").header_offset - 8
    (out / "shard-00001.npz").write_bytes(whole[:place] + bytes(4) + whole[place + 4 :])
    assert project(run, photos, out) == 3
    assert (out / "shard-00001.npz").read_bytes() == whole


def test_other_files_that_are_damaged_are_told_or_made_again(tmp_path):
    size = archive_files.claim(tmp_path, {}, 2)
    assert archive_files.plan(tmp_path, "abc", size) == [["a", "b"], ["c"]]
    assert archive_files.plan(tmp_path, "abcde", size) == [["a", "b"], ["c"], ["d", "e"]]
    (tmp_path / "plan-00000.json").write_text("")
    with pytest.raises(jgan.UserError, match="plan-00000.json cannot be read .*: remove it"):
        archive_files.plan(tmp_path, "abcde", size)
    (tmp_path / "plan-00000.json").unlink()
    assert archive_files.plan(tmp_path, "abcde", size) == [["a", "b"], ["c", "d"], ["e"]]  # each once
    for wrong in (0, "x", None, True):
        claim = {"format": "jgan-archive", "version": 1, "shard_size": wrong}
        (tmp_path / "archive.json").write_text(json.dumps(claim))
        with pytest.raises(jgan.UserError, match="archive.json has no shard_size that can be: remove it"):
            archive_files.claim(tmp_path, {}, 0)
    (tmp_path / ".shard-00000.busy").write_bytes(b"\xff\xfe")
    (tmp_path / ".shard-00001.busy").write_text("1 elsewhere")
    os.utime(tmp_path / ".shard-00001.busy", (time.time() + 3600,) * 2)
    with contextlib.closing(archive_claims.Claims(tmp_path)) as claims:
        assert not claims.take(0)  # somebody may be about to write it
        os.utime(tmp_path / ".shard-00000.busy", (0, 0))
        assert claims.take(0) and claims.take(1)


def test_a_shard_that_another_process_makes_is_waited_for_until_it_is_gone(
    run, photos, tmp_path, monkeypatch
):
    """Of another machine, whose processes cannot be seen, it is gone when its claim was not touched for a while."""
    out = tmp_path / "out"
    project(run, photos, out)
    whole = (out / "shard-00001.npz").read_bytes()
    for claim, age in ((f"{os.getpid()} elsewhere", 70), (f"{2**22 + 1} {platform.node()}", 0)):
        (out / "shard-00001.npz").unlink()
        busy = out / ".shard-00001.busy"
        busy.write_text(claim)
        os.utime(busy, (time.time() - age,) * 2)
        assert project(run, photos, out, share=(0, 2)) == 3
        assert (out / "shard-00001.npz").read_bytes() == whole and not busy.exists()
    (out / "shard-00001.npz").unlink()
    busy.write_text("1 elsewhere")
    other = threading.Timer(1.0, lambda: (out / "shard-00001.npz").write_bytes(whole))
    other.start()
    assert project(run, photos, out) == 0 and not other.is_alive() and not busy.exists()


def test_processes_that_work_at_a_time_wait_for_no_shard_that_waits_for_them(run, photos, tmp_path):
    """What a process has begun to read is made, also where it waits for another one."""
    out, made = tmp_path / "out", []
    project(run, photos, tmp_path / "one", size=1)
    both = [
        threading.Thread(target=lambda k=k: made.append(project(run, photos, out, share=(k, 2), size=1)))
        for k in (0, 1)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(120)
    assert len(made) == 2 and sum(made) == 7
    for name in ("index.jsonl", *(f"shard-0000{k}.npz" for k in range(7))):
        assert (out / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
