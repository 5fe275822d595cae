"""Sweeps of projections: what is expanded, which photos they have, what counts as finished, what is refused."""

import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from configs import dcgan
from configs.sweeps import projection
import jgan
from jgan.data import images
from jgan.data import objects
from jgan.programs import projection_files
from jgan.programs import sweep
from jgan.programs import sweep_elsewhere
from jgan.programs import sweep_file
from jgan.programs import sweep_projections
from jgan.runs import config as run_config

ROOT = pathlib.Path(__file__).parent.parent.parent
FILE = "configs/sweeps/projection.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a run of which nothing but the config is there."""
    place = tmp_path_factory.mktemp("run")
    config = dcgan.get_config("tiny")
    config.data.channels = (3,)
    run_config.write(str(place), config)
    return str(place)


def expanded(run, workdir, preset="tiny", seeds=1, **options):
    made = projection.get_sweep(preset)._replace(config=run)
    return made, sweep_projections.expand(made, str(workdir), seeds=seeds, **{"given": [], **options})


def played(job, *names):
    """The folder of a projection as launch.project leaves it when these photos are done."""
    place = pathlib.Path(job.workdir)
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.savez(place / f"{name}.npz", photo=projection_files.content(pathlib.Path(job.images, name)))


def test_flags_are_those_of_the_commands_and_a_network_gets_none_of_a_search(run, tmp_path):
    given = ["--evaluations=7", "--fit=crop", "--set=a=1", "--set=b=2"]
    _, jobs = expanded(run, tmp_path, seeds=2, given=given)
    jobs = {job.name: job for job in jobs}
    assert list(jobs)[:3] == ["network/seed0", "network/seed1", "optimise_1/seed0"] and len(jobs) == 10
    job = jobs["hybrid_4/seed1"]
    assert job.command("python")[:3] == ["python", "-m", "launch.project"]
    assert job.flags == (
        *(f"--workdir={run}", f"--images={tmp_path / 'photos'}"),
        *("--method=hybrid", "--starts=4", "--seed=1", *given, f"--output={tmp_path / 'hybrid_4' / 'seed1'}"),
    )
    assert jobs["network/seed0"].flags[2:-1] == ("--method=network", "--seed=0", *given[1:])
    with pytest.raises(jgan.UserError, match="--starts=3: the sweep itself sets starts"):
        expanded(run, tmp_path, given=["--starts=3"])


def test_clusters_get_every_command(run, tmp_path):
    _, jobs = expanded(run, tmp_path / "a b")
    lines = sweep_elsewhere.commands(jobs).splitlines()
    assert [shlex.split(line) for line in lines] == [job.command() for job in jobs]
    assert f"#SBATCH --array=0-{len(jobs) - 1}\n" in sweep_elsewhere.slurm(jobs, str(tmp_path))
    items = json.loads(sweep_elsewhere.kubernetes(jobs, "image:1"))["items"]
    command = items[0]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command == jobs[0].command("python")


def test_photos_are_held_out_pictures_of_the_run_and_stay(run, tmp_path):
    made, jobs = expanded(run, tmp_path)
    with pytest.raises(jgan.UserError, match="there are 2 in its validation split.*--images=DIR would work"):
        sweep_projections.write(str(tmp_path), FILE, made, jobs, [], 3)
    assert not (tmp_path / "sweep.json").exists() and not (tmp_path / "photos").exists()
    sweep_projections.write(str(tmp_path), FILE, made, jobs, [], 2)
    drawn = objects.Objects(16, 2, seed=1)
    for k in range(2):
        np.testing.assert_array_equal(images.read(tmp_path / "photos" / f"{k:05d}.png"), drawn[k])
    written = (tmp_path / "photos" / "00000.png").stat().st_mtime_ns
    (tmp_path / "photos" / "00001.png").unlink()
    sweep_projections.write(str(tmp_path), FILE, made, jobs, [], 2)
    assert (tmp_path / "photos" / "00000.png").stat().st_mtime_ns == written
    assert (tmp_path / "photos" / "00001.png").exists()


def test_what_is_finished_is_left_and_another_run_is_not(run, tmp_path):
    made, jobs = expanded(run, tmp_path)
    sweep_projections.write(str(tmp_path), FILE, made, jobs, [], 2)
    job = jobs[0]
    assert (job.step, job.steps) == (0, 2) and not job.is_finished()
    played(job, "00000.png", "00001.png")
    assert job.step == 2 and not job.is_finished()  # its page is missing
    (tmp_path / "network" / "seed0" / "index.html").touch()
    played(jobs[1], "00001.png")
    left, failed = sweep.pending(jobs)
    assert [one.name for one in left] == [one.name for one in jobs[1:]] and not failed and left[0].step == 1
    # A run that was trained on is another one: launch.project says so.
    trained = tmp_path / "trained"
    (trained / "checkpoints" / "9").mkdir(parents=True)
    later = job._replace(run=str(trained))
    (tmp_path / "network" / "seed0" / "projection.json").write_text('{"step": 8}')
    assert not later.is_finished() and later._replace(flags=("--step=8",)).is_finished()
    (tmp_path / "network" / "seed0" / "projection.json").write_text('{"step": 9}')
    assert later.is_finished()
    # Photos that are gone are a reason of their own.
    for name in ("00000.png", "00001.png"):
        (tmp_path / "photos" / name).unlink()
    assert len(sweep.pending(jobs)[1]) == 1


@pytest.mark.parametrize(
    "change, words",
    [
        ({"given": ["--fit=crop"]}, "another flags"),
        ({"number": 1}, "another number of photos"),
        ({"base": {"evaluations": 4}}, "another base"),
        ({"config": "other"}, "another run"),
        ({"variants": (("network", {"method": "hybrid"}),)}, "another network"),
    ],
)
def test_a_directory_holds_projections_of_one_kind(run, tmp_path, change, words):
    made, jobs = expanded(run, tmp_path)
    sweep_projections.write(str(tmp_path), FILE, made, jobs, [], 2)
    sweep_projections.write(str(tmp_path), FILE, made, expanded(run, tmp_path, seeds=2)[1], [], 2)
    assert len(sweep_file.facts(str(tmp_path))["runs"]) == 10
    given, number = change.pop("given", []), change.pop("number", 2)
    with pytest.raises(jgan.UserError, match=f"holds projections with {words}: name another --workdir"):
        sweep_projections.write(str(tmp_path), FILE, made._replace(**change), jobs, given, number)


def launch(*flags):
    command = [sys.executable, "-m", "launch.sweep", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "--run must be given"),
        (["--run=nowhere"], "nowhere holds no run"),
        (["--run={run}", "--images=nowhere"], "--images=nowhere does not exist"),
        (["--run={run}", "--evaluation=3"], "Unknown command line flag 'evaluation'"),
        (["--run={run}", "--config.steps=3"], "--config.steps=3 goes with a sweep of trainings alone"),
        (["--run={run}", "--vmap_seeds=2"], "--vmap_seeds goes with a sweep of trainings alone"),
        (["--run={run}", "--sweep={file}"], "metod=x: launch.project has no such flag"),
        (
            ["--sweep=configs/sweeps/pix2pix_objectives.py:tiny", "--fit=crop"],
            "--fit goes with a sweep of proj",
        ),
    ],
)
def test_mistakes_end_in_a_sentence(run, tmp_path, flags, words):
    file = tmp_path / "file.py"
    file.write_text(
        "from jgan import sweeps\n"
        "def get_sweep(arg): return sweeps.Sweep('', (('a', {'metod': 'x'}),), program='project')\n"
    )
    flags = [flag.format(run=run, file=file) for flag in flags]
    done = launch(f"--workdir={tmp_path / 'out'}", f"--sweep={FILE}", *flags)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()


def test_presets_of_styles_are_for_the_model_that_comes_with_jgan(tmp_path):
    """launch.sweep looks at all variants before it shows what there is to do."""
    done = launch(f"--sweep={FILE}:objects64", f"--workdir={tmp_path / 'out'}", "--dry_run")
    assert done.returncode == 0 and "18 projections by models/objects64" in done.stdout, done.stderr
    assert "w_plus_noise_mean/seed2" in done.stdout and not (tmp_path / "out").exists()
    made = projection.get_sweep("styles")._replace(config=str(ROOT / "models" / "objects64"))
    assert len(made.variants) == 9
    sweep_projections.check(made, {"evaluations": 200})


def test_variants_that_the_run_cannot_have_are_refused_before_anything_is_projected(drawn_run, tmp_path):
    config = dcgan.get_config("tiny")
    config.data.channels = (3,)
    drawn_run(str(tmp_path), config, 4, 8)
    made = projection.get_sweep("tiny")._replace(config=str(tmp_path))
    sweep_projections.check(made, {"fit": "crop"})
    for given, words in (
        (
            {"step": "4"},
            "variant network: method=network starts from a predictor, which this run has none of",
        ),
        ({"optimiser": "lbfgs", "learning_rate": 0.2}, "variant optimise_1: learning_rate=0.2 has no effect"),
        ({"space": "w"}, "variant network: --space=w: a run of dcgan has z only"),
    ):
        with pytest.raises(jgan.UserError, match=words):
            sweep_projections.check(made, given)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_children")
def test_a_sweep_that_was_killed_repeats_no_photo_and_ends_with_the_same_table(drawn_run, tmp_path):
    """Killed with -9 as soon as there is another photo, again and again, until it is done."""
    config = dcgan.get_config("tiny")
    config.data.channels = (3,)
    (tmp_path / "run").mkdir()
    drawn_run(str(tmp_path / "run"), config, 8)
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for k in range(4):
        images.write(tmp_path / "photos" / f"{k}.png", rng.integers(0, 256, (16, 20, 3), np.uint8))
    flags = (f"--run={tmp_path / 'run'}", f"--images={tmp_path / 'photos'}", "--batch=1", "--seeds=1")

    def start(place, module, *flags):
        command = [sys.executable, "-m", module, f"--workdir={tmp_path / place}", *flags]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def sweeping(place):
        return start(place, "launch.sweep", f"--sweep={FILE}:tiny", *flags)

    def photos():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").glob("*/seed0/*.npz")}

    out, _ = sweeping("whole").communicate(timeout=600)
    assert "hybrid_4/seed0: finished in" in out
    kills, done = 0, {}
    while kills < 30:
        process = sweeping("parts")
        while process.poll() is None and len(photos()) == len(done):
            time.sleep(0.02)
        if kills < 5:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            time.sleep(1)  # the projection ends with the sweep
        else:
            out, _ = process.communicate(timeout=600)
            assert process.returncode == 0, out
        now = photos()
        assert done.items() <= now.items()
        done = now
        if process.returncode == 0:
            break
    assert kills == 5 and len(done) == 5 * 4
    tables = [start(place, "launch.report").communicate(timeout=600)[0] for place in ("whole", "parts")]
    assert tables[0] == tables[1] and "hybrid_4" in tables[0]
