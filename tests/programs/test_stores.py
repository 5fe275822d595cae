"""What programs read from and write to object stores is what they read from and write to disks, byte for byte."""

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import time

import httpx
import numpy as np
from PIL import Image
import pytest

import jgan
from jgan import paths
from jgan import trained
from jgan.data import images
from jgan.data import inputs
from jgan.data import pipeline
from jgan.programs import archive
from jgan.programs import archive_claims
from jgan.programs import directions
from jgan.programs import evaluate
from jgan.programs import report
from jgan.programs import train
from jgan.programs import translate
from jgan.programs import translate_archive
from jgan.programs import verify
from jgan.runs import config as run_config
from jgan.runs import log
from tests.interrupted import sigterm_after

SCHEMES = pytest.mark.parametrize("scheme", ["gs", "s3"])
SHARDS = archive.Way(shard_size=2)


@pytest.fixture
def beside(bucket, stores):
    """`(scheme) -> (folder in a bucket, the same folder on the disk)`."""

    def make(scheme):
        place = f"{bucket(scheme)}/folder"
        return place, stores / place.replace("://", "/")

    return make


def draw(folder, splits=(("train", 5), ("val", 2))):
    """Pairs side by side of 16 px."""
    rng = np.random.default_rng(0)
    for split, number in splits:
        (folder / split).mkdir(parents=True)
        for k, pair in enumerate(rng.integers(0, 256, (number, 16, 32, 3), np.uint8)):
            Image.fromarray(pair).save(folder / split / f"{k}.png")
    (folder / "train" / ".hidden.png").write_bytes(b"")


@pytest.fixture
def tiny(small_config):
    def make(root):
        config = small_config(
            **{
                "data.source": "folder",
                "data.root": str(root),
                "generator.levels": 2,
                "discriminator.n_layers": 1,
                "log_every": 1,
                "sample_every": 2,
                "validate_every": 2,
                "save_every": 2,
            }
        )
        config.data.channels = ()
        return config

    return make


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@SCHEMES
def test_data_are_those_of_a_disk_and_known_by_their_content(beside, tiny, scheme):
    place, disk = beside(scheme)
    draw(disk)
    streams = [pipeline.train(tiny(root).data, batch_size=2, seed=3) for root in (place, disk)]
    assert streams[0].files == streams[1].files and len(streams[0].files) == 5
    for there, here in itertools.islice(zip(*(stream.batches() for stream in streams), strict=True), 3):
        assert there.keys() == here.keys()
        for name in there:
            np.testing.assert_array_equal(there[name], here[name])
    for stream in streams:
        stream.close()
    (disk / "train" / "0.png").write_bytes((disk / "train" / "1.png").read_bytes())
    held = pipeline.train(tiny(place).data, batch_size=5, seed=3)
    batch = next(held.batches())
    held.close()
    assert sum((batch["a"][0] == image).all() for image in batch["a"]) >= 1  # read anew, not out of the cache


@pytest.mark.slow
@SCHEMES
def test_a_run_serves_from_a_store(beside, small_config, drawn_run, tmp_path, scheme):
    """Scores, pictures and archives of a run of drawn weights are equal to those on a disk."""
    place, disk = beside(scheme)
    draw(disk / "data")
    config = small_config(
        **{"steps": 1, "data.source": "folder", "data.root": f"{place}/data", "generator.levels": 2}
    )
    drawn_run(f"{place}/run", config, 1)
    assert run_config.read(f"{place}/run").data.root == f"{place}/data"
    (tmp_path / "run").mkdir()
    drawn_run(str(tmp_path / "run"), config, 1)
    runs = [trained.load(f"{place}/run"), trained.load(str(tmp_path / "run"))]
    scores = [
        evaluate.evaluate(run, data=data)
        for run, data in zip(runs, (f"{place}/data", str(disk / "data")), strict=True)
    ]
    assert scores[0] == scores[1] and scores[0]["examples"] == 2
    for run, out in ((f"{place}/run", f"{place}/out"), (str(tmp_path / "run"), str(tmp_path / "out"))):
        translator = translate.load(run)
        assert translate.files(translator, f"{place}/data/val", f"{out}/files", part="A") == 2
        made = translate_archive.translate(
            translator, f"{place}/data/train", f"{out}/archive", part="A", way=SHARDS
        )
        assert made == 5
        made = translate_archive.translate(
            translator, f"{place}/data/train", f"{out}/archive", part="A", way=SHARDS
        )
        assert made == 0
    assert files(disk / "out") == files(tmp_path / "out")
    assert len((disk / "out" / "archive" / "index.jsonl").read_text().splitlines()) == 5
    with pytest.raises(jgan.UserError, match=f"--output={place}/run is the directory of a run"):
        translate.files(translator, f"{place}/data/val", f"{place}/run", part="A")
    with pytest.raises(jgan.UserError, match="is where the input lies"):
        translate.files(translator, f"{place}/data/val", f"{place}/data/val/", part="A")
    # What was written among the pictures is no input the next time.
    translate.files(translator, f"{place}/data", f"{place}/data/out", part="A")
    assert len(images.find(f"{place}/data")) == 7


def test_claims_are_kept_alive_and_taken_over(beside, monkeypatch):
    place, disk = beside("s3")
    folder, claim = paths.of(place), disk / ".shard-00003.busy"
    monkeypatch.setattr(archive_claims, "_BEAT", 0.02)
    mine, other = archive_claims.Claims(folder), archive_claims.Claims(folder)
    assert mine.take(3) and not other.take(3)
    os.utime(claim, (0, 0))
    for _ in range(500):
        if claim.stat().st_mtime > 1:
            break
        time.sleep(0.01)
    assert not other.take(3)
    mine.close()
    assert not claim.exists() and other.take(3)
    other.close()
    claim.write_text("1 a machine that is gone")
    os.utime(claim, (0, 0))
    third = archive_claims.Claims(folder)
    assert third.take(3)
    archive_claims.sweep(folder)
    third.close()
    assert files(disk) == {}


def test_records_are_read_from_gs_alone(beside, monkeypatch):
    from array_record.python import array_record_module

    for scheme in ("gs", "s3"):
        place, disk = beside(scheme)
        disk.mkdir(parents=True)
        writer = array_record_module.ArrayRecordWriter(str(disk / "x.arrayrecord"), "group_size:1")
        for k in range(3):
            writer.write(b"%d" % k)
        writer.close()
        if scheme == "s3":
            with pytest.raises(
                jgan.UserError, match=f"--input={place}: ArrayRecord files are read from disks and gs://"
            ):
                inputs.open(place, "input")
            continue
        for source in (place, f"{place}/*.arrayrecord", f"{place}/x.arrayrecord"):
            found = inputs.open(source, "input")
            assert found.names == [f"x.arrayrecord/{k:06d}" for k in range(3)]
            assert found.read(found.names[2]) == b"2"


def command(program, *flags):
    return [sys.executable, "-m", f"launch.{program}", *flags]


def ended(process, status=0):
    told, _ = process.communicate(timeout=600)
    assert process.returncode == status, told
    return told


def begin(*arguments):
    return subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


TINY = (
    "--config=configs/pix2pix.py:tiny",
    "--config.data.source=folder",
    "--config.steps=40",
    "--config.generator.levels=2",
    "--config.data.workers=0",
    "--config.save_every=2",
    "--config.sample_every=20",
    "--config.validate_every=10",
)


def known(workdir):
    """The metrics of a run, without what depends on time."""
    return [
        {name: value for name, value in record.items() if name not in ("images_per_second", "input_wait")}
        for record in log.read(f"{workdir}/metrics.jsonl")
    ]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, quick_children):
    """A run on a disk."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    draw(folder / "data")
    ended(begin("train", *TINY, f"--workdir={folder / 'run'}", f"--config.data.root={folder / 'data'}"))
    return folder / "run"


@pytest.mark.slow
@SCHEMES
def test_a_training_that_is_killed_goes_on_as_if_nothing_had_been(
    beside, uninterrupted, quick_children, scheme
):
    place, disk = beside(scheme)
    draw(disk / "data")
    draws = random.Random(0)
    for _ in range(3):
        process = begin("train", *TINY, f"--workdir={place}/run", f"--config.data.root={place}/data")
        before = len(list(paths.of(f"{place}/run/checkpoints").glob("*/commit_success.txt")))
        limit = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < limit:
            if len(list(paths.of(f"{place}/run/samples").glob("*.png"))) and before != len(
                list(paths.of(f"{place}/run/checkpoints").glob("*/commit_success.txt"))
            ):
                break
            time.sleep(0.01)
        time.sleep(draws.random())
        process.kill()
        process.communicate()
    ended(begin("train", *TINY, f"--workdir={place}/run", f"--config.data.root={place}/data"))
    assert known(f"{place}/run") == known(uninterrupted)
    there, here = trained.load(f"{place}/run"), trained.load(str(uninterrupted))
    assert there.step == here.step == 40 and there.digest == here.digest
    samples = files(disk / "run" / "samples")
    assert samples == files(uninterrupted / "samples") and len(samples) == 3
    assert (disk / "run" / "index.html").stat().st_size > 1000


@pytest.mark.slow
def test_two_processes_train_in_a_bucket(beside, tmp_path, quick_children):
    place, disk = beside("gs")
    draw(disk / "data")
    part = (*TINY, f"--config.data.root={place}/data", "--config.batch_size=4", "--config.data.workers=1")
    both = ("local_cluster", "--processes=2", "--devices=1", "--", "launch.train", *part)
    ended(begin(*both, f"--workdir={place}/run", "--config.steps=6"))
    ended(begin(*both, f"--workdir={place}/run", "--config.steps=12"))
    assert trained.load(f"{place}/run").step == 12
    assert {record["step"] for record in known(f"{place}/run")} >= set(range(1, 13))


@pytest.mark.slow
@SCHEMES
def test_an_archive_whose_maker_dies_is_finished_by_others(beside, tmp_path, latent_run, drawn_run, scheme):
    place, disk = beside(scheme)
    drawn_run(f"{place}/run", latent_run().config, 6)
    flags = (
        "sample",
        f"--workdir={place}/run",
        f"--output={place}/out",
        "--archive",
        "--number=400",
        "--shard_size=4",
    )
    first = begin(*flags, "--num_processes=2", "--process_id=0")
    while first.poll() is None and len(list(disk.glob("out/shard-*.npz"))) < 5:
        time.sleep(0.005)
    first.kill()
    first.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in disk.glob("out/shard-*.npz")}
    assert len(before) < 100
    pair = [begin(*flags, "--num_processes=2", f"--process_id={k}") for k in (0, 1)]
    for process in pair:
        ended(process)
    assert before == {name: (disk / "out" / name).stat().st_mtime_ns for name in before}
    ended(begin("sample", f"--workdir={place}/run", f"--output={tmp_path / 'out'}", *flags[3:]))
    assert files(disk / "out") == files(tmp_path / "out")
    lines = [json.loads(line) for line in (disk / "out" / "index.jsonl").read_text().splitlines()]
    assert len({line["name"] for line in lines}) == 400
    ended(begin("sample", f"--workdir={place}/run", f"--output={place}/grid", "--format=grid"))
    ended(begin("sample", f"--workdir={place}/run", f"--output={place}/walk", "--walk=2"))
    assert sorted(files(disk / "walk")) == ["walk.png", "walk.webp"] and list(files(disk / "grid")) == [
        "grid.png"
    ]


@contextlib.contextmanager
def served(*flags):
    """A client of `launch.serve` when its run is loaded; it is told to stop at the end, and does."""
    process = begin("serve", "--port=0", *flags)
    try:
        told = iter(process.stdout.readline, "")
        address = next(line.split()[2] for line in told if line.startswith("the editor: "))
        with httpx.Client(base_url=address, timeout=60) as client:
            limit = time.monotonic() + 120
            while (status := client.get("/api/status").json())["state"] != "ready":
                assert status["state"] != "failed" and time.monotonic() < limit, status
                time.sleep(0.1)
            yield client
        process.terminate()
        ended(process)
    finally:
        process.kill()


@pytest.mark.slow
def test_projections_continue_in_a_bucket_and_are_edited_there(beside, tmp_path, latent_run, drawn_run):
    """What is made of them, in the other store, is what is made on a disk; the editor shows it from there."""
    place, disk = beside("gs")
    other, disk_of_other = beside("s3")
    drawn_run(f"{place}/run", latent_run().config, 6)
    (disk / "photos").mkdir()
    for k, photo in enumerate(np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)):
        Image.fromarray(photo).save(disk / "photos" / f"{k}.png")
    flags = ("project", f"--workdir={place}/run", f"--images={place}/photos", "--starts=1", "--evaluations=5")
    ended(begin(*flags, f"--output={place}/out"))
    (disk / "out" / "1.png.npz").unlink()
    assert "2 of 3 photos are projected already" in ended(begin(*flags, f"--output={place}/out"))
    ended(begin(*flags, f"--output={tmp_path / 'out'}"))
    assert files(disk / "out").keys() == files(tmp_path / "out").keys()
    with np.load(disk / "out" / "1.png.npz") as there, np.load(tmp_path / "out" / "1.png.npz") as here:
        assert all(np.array_equal(there[name], here[name]) for name in there.files)
    ended(begin(*flags, f"--output={place}/archive", "--archive"))
    assert (disk / "archive" / "index.jsonl").exists()

    run, model = f"--workdir={place}/run", trained.load(f"{place}/run", latent=True)
    for file in (f"{other}/made/d.npz", f"{tmp_path}/d.npz"):
        directions.write_difference(model, file, "one", f"{place}/out/0.png.npz", f"{tmp_path}/out/1.png.npz")
    directions.write_difference(
        model, f"{tmp_path}/d.npz", "two", f"{tmp_path}/out/0.png.npz", f"{tmp_path}/out/2.png.npz"
    )
    between = ("--name=two", f"--with={place}/out/0.png.npz", f"--without={place}/out/2.png.npz")
    ended(begin("directions", run, f"--output={other}/made/d.npz", *between))
    stroke = {"brush": "colour", "points": [[2, 2], [12, 9]], "width": 4, "colour": [255, 0, 0]}
    drawn = {"format": "jgan-edit", "version": 1, "space": "z", "size": [16, 16], "strokes": [stroke]}
    (disk / "edit.json").write_text(json.dumps(drawn))
    edit_flags = ("--direction=one", "--candidates=2", "--iterations=2", "--frames=2")
    edit_flags += tuple(
        f"--{name}={place}/{file}" for name, file in (("edit", "edit.json"), ("image", "photos/0.png"))
    )
    follow = ("edit", run, f"--latent={place}/out/0.png.npz", f"--directions={other}/made/d.npz", *edit_flags)
    ended(begin(*follow, f"--output={other}/made/edit"))
    ended(begin("export", run, f"--output={other}/made/run"))
    ended(begin(*follow, f"--output={tmp_path / 'edit'}"))
    there = files(disk_of_other / "made")
    assert there["d.npz"] == (tmp_path / "d.npz").read_bytes()
    edited = {name.removeprefix("edit/"): data for name, data in there.items() if name.startswith("edit/")}
    assert edited == files(tmp_path / "edit") and edited["photo.png"]
    assert trained.load(f"{other}/made/run", latent=True).digest == model.digest
    with served(f"--workdir={other}/made/run", f"--directions={other}/made/d.npz") as client:
        assert client.get("/").text.startswith("<!doctype html>")
        assert {"along_one", "along_two"} <= client.get("/api/status").json()["sliders"].keys()
        assert client.post("/api/sessions", json={}).status_code == 201


@pytest.mark.slow
def test_an_interrupted_training_in_a_bucket_ends_bit_equal(beside, tiny, tmp_path):
    """It is profiled, repeated and reported on there."""
    place, disk = beside("gs")
    run = "sweep/one/seed0"
    draw(disk / "data")
    train.train(tiny(disk / "data"), str(tmp_path / "run"))
    with sigterm_after(1):
        train.train(tiny(f"{place}/data"), f"{place}/{run}")
    assert trained.load(f"{place}/{run}").step == 1
    train.train(tiny(f"{place}/data"), f"{place}/{run}", profile=range(2, 4))
    assert known(f"{place}/{run}") == known(tmp_path / "run")
    drawn = files(disk / run / "samples")
    assert drawn.pop("000001.png")  # of the stop
    assert drawn == files(tmp_path / "run" / "samples")
    assert {
        path.name.partition(".")[2] for path in (disk / run / "profile").rglob("*") if path.is_file()
    } == {
        "xplane.pb",
        "trace.json.gz",
    }
    before = files(disk / run)
    verdict = verify.verify(f"{place}/{run}")
    assert verdict.parting is None and verdict.steps == 4
    report.report(f"{place}/sweep")
    assert files(disk / run) == before
    assert set(files(disk / "sweep")) - {f"one/seed0/{name}" for name in before} == {
        "report.csv",
        "report.html",
        "report.md",
    }


def test_an_archive_in_a_store_is_made_once_and_has_its_index(beside):
    for scheme in ("gs", "s3"):
        place, disk = beside(scheme)
        draw(disk / "in", (("train", 5),))
        (disk / "in" / "list.txt").write_text(f"train/3.png\n{place}/in/train/1.png\n")
        job = archive.Job(
            batch=lambda group: 2,
            read=lambda name, data: archive.Item(len(data)),
            make=lambda names, sizes: np.array(sizes),
            finish=lambda name, size, row: {"cost": row},
            constants={},
        )
        for source, names in (("in", 5), ("in/list.txt", 2)):
            found = inputs.open(f"{place}/{source}", "input")
            assert len(found.names) == names
            folder = paths.of(f"{place}/out-{names}")
            for made in (names, 0):
                assert archive.make(folder, job, {"program": "count"}, found.names, found, SHARDS) == made
            lines = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
            assert [line["name"] for line in lines] == found.names
            sizes = [
                (disk / "in" / line["name"].removeprefix(f"{place}/in/")).stat().st_size for line in lines
            ]
            assert [line["cost"] for line in lines] == sizes
            shards = [f"shard-{k:05d}.npz" for k in range(-(-names // 2))]
            kept = {"archive.json", "plan-00000.json", "index.jsonl", *shards}
            assert set(files(disk / f"out-{names}")) == kept
