"""Archives as people make them: processes that die, others that go on, and flags that make no sense."""

import json
import pathlib
import re
import socket
import subprocess
import sys
import time

import numpy as np
from PIL import Image
import pytest

from configs import dcgan

NUMBER, SHARD = 2_000, 50


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, drawn_run):
    """The run of a DCGAN of 16 px, of drawn weights."""
    workdir = tmp_path_factory.mktemp("drawn") / "run"
    workdir.mkdir()
    config = dcgan.get_config()
    config.update_from_flattened_dict(
        {
            "steps": 6,
            "statistics_steps": 1,
            "data.size": 16,
            "data.channels": (3,),
            "latent.nz": 5,
            "generator.ngf": 4,
            "discriminator.ndf": 4,
        }
    )
    drawn_run(str(workdir), config, config.steps)
    return workdir


def begin(workdir, images, out, *flags):
    command = [sys.executable, "-m", "launch.project", f"--workdir={workdir}", f"--images={images}"]
    command += [f"--output={out}", "--archive", f"--shard_size={SHARD}", f"--batch={SHARD}", *flags]
    search = ["--starts=2", "--optimiser=adam", "--evaluations=50"]
    return subprocess.Popen([*command, *search], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process):
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return told


def shards(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.npz")}


def until(condition):
    for _ in range(60_000):
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in ten minutes")


@pytest.mark.slow
def test_processes_that_die_lose_nothing(workdir, tmp_path):
    """2,000 images by 2 processes: one is killed, the other helps until it is killed too, and 3 make the rest."""
    images, one, out = (tmp_path / name for name in ("images", "one", "many"))
    images.mkdir()
    for k, image in enumerate(np.random.default_rng(0).integers(0, 256, (NUMBER, 16, 16, 3), np.uint8)):
        Image.fromarray(image).save(images / f"{k:04d}.png")
    told = ended(begin(workdir, images, one))
    print(told)
    assert "devices waited for input and output" in told

    pair = [begin(workdir, images, out, "--num_processes=2", f"--process_id={k}") for k in (0, 1)]
    until(lambda: len(shards(out)) >= NUMBER // SHARD // 4)
    pair[0].kill()
    pair[0].wait()
    before = shards(out)
    until(lambda: [name for name in shards(out) if name not in before and int(name[6:11]) % 2 == 0])
    pair[1].kill()
    pair[1].wait()
    before = shards(out)
    assert NUMBER // SHARD // 4 < len(before) < NUMBER // SHARD and not (out / "index.jsonl").exists()

    # Who is killed cannot say so: the claims on what was begun count for nothing, because no such process is there.
    three = [begin(workdir, images, out, "--num_processes=3", f"--process_id={k}") for k in range(3)]
    made = [int(re.search(r"(\d+) pictures made", ended(process))[1]) for process in three]
    after = shards(out)
    assert sum(made) == NUMBER - SHARD * len(before)  # none was made twice
    assert not [path.name for path in out.iterdir() if path.name.startswith(".") and "busy" in path.name]
    assert len(after) == NUMBER // SHARD and {name: after[name] for name in before} == before

    alone, many = (
        [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
        for folder in (one, out)
    )
    names = [f"{k:04d}.png" for k in range(NUMBER)]
    assert [line["name"] for line in alone] == [line["name"] for line in many] == names
    for a, b in zip(alone, many, strict=True):
        assert {**a, "cost": 0} == {**b, "cost": 0} and abs(a["cost"] - b["cost"]) <= 0.01 * a["cost"]
    found = []
    for path in sorted(out.glob("shard-*.npz")):
        with np.load(path) as shard, np.load(one / path.name) as expected:
            found += shard["names"].tolist()
            np.testing.assert_allclose(shard["cost"], expected["cost"], rtol=0.01)
    assert found == names
    assert "2000 pictures were done already" in ended(begin(workdir, images, out))


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--shard_size=5"], "--shard_size goes with --archive alone."),
        (["--num_processes=2", "--process_id=0"], "--num_processes goes with --archive alone."),
        (["--archive", "--num_processes=2"], "--num_processes and --process_id go together"),
        (["--archive", "--num_processes=2", "--process_id=2"], "--process_id=2 of --num_processes=2: 0 to 1"),
        (["--reconstructions"], "--reconstructions goes with --archive alone."),
    ],
)
def test_flags_that_make_no_sense_are_one_sentence(workdir, tmp_path, flags, words):
    command = [sys.executable, "-m", "launch.project", f"--workdir={workdir}", f"--images={tmp_path}"]
    done = subprocess.run(
        [*command, f"--output={tmp_path / 'out'}", *flags], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_devices_give_the_same_bits_and_wait_for_no_other(tmp_path, small_config, drawn_run):
    """As many pictures for each device: the same shards on one, two and four."""
    run = str(tmp_path / "run")
    (tmp_path / "run").mkdir()
    drawn_run(
        run, small_config(**{"steps": 1, "data.size": 64, "generator.levels": 6, "generator.ngf": 4}), 1
    )
    script = pathlib.Path(__file__).parent.parent / "programs" / "archives_on_devices.py"
    for count in (1, 2, 4):
        command = [sys.executable, str(script), str(count), str(tmp_path / str(count)), run]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(f"{count} devices, 0 collectives, candidates on {count}\n")
    for name in ("project", "sample", "translate"):
        files = [
            {path.name: path.read_bytes() for path in (tmp_path / str(count) / name).iterdir()}
            for count in (1, 2, 4)
        ]
        assert files[0] == files[1] == files[2]
    found = []
    for count in (1, 2, 4):
        with np.load(tmp_path / str(count) / "edit" / "latents.npz") as saved:
            found.append((saved["z"], saved["cost"]))
    for latents, cost in found[1:]:
        np.testing.assert_allclose(latents, found[0][0], atol=1e-3)
        np.testing.assert_allclose(cost, found[0][1], rtol=1e-3)


@pytest.mark.slow
def test_processes_that_are_connected_divide_an_archive(workdir, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "launch.sample", f"--workdir={workdir}", f"--output={tmp_path / 'out'}"]
    command += ["--archive", "--number=12", "--shard_size=2", f"--coordinator_address={address}"]
    both = [
        subprocess.Popen(
            [*command, "--num_processes=2", f"--process_id={k}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in (0, 1)
    ]
    for k, process in enumerate(both):
        assert f"archive of 12 pictures in 6 shards, 6 in the share of process {k} of 2" in ended(process)
    assert len((tmp_path / "out" / "index.jsonl").read_text().splitlines()) == 12
