"""Sweeps in use: what is expanded, skipped, continued and reported, with trainings that are played."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import pytest

import jgan
from jgan.programs import sweep
from jgan.programs import sweep_elsewhere
from jgan.programs import sweep_file
from jgan.runs import config as run_config
from launch import config_files

ROOT = pathlib.Path(__file__).parent.parent.parent
FILE = "configs/sweeps/pix2pix_objectives.py:tiny"
READY = (
    "augmentation.py",
    "augmentation.py:objects32",
    "augmentation.py:tiny",
    "cyclegan_objectives.py",
    "cyclegan_objectives.py:facades64",
    "cyclegan_objectives.py:maps64",
    "cyclegan_objectives.py:tiny",
    "dcgan_latent.py",
    "dcgan_latent.py:objects32",
    "dcgan_latent.py:tiny",
    "pix2pix_generators.py",
    "pix2pix_generators.py:facades64",
    "pix2pix_generators.py:tiny",
    "pix2pix_maps64.py",
    "pix2pix_maps64.py:short",
    "pix2pix_objectives.py",
    "pix2pix_objectives.py:facades64",
    "pix2pix_objectives.py:tiny",
    "pix2pix_receptive_fields.py",
    "pix2pix_receptive_fields.py:facades128",
    "pix2pix_receptive_fields.py:maps64",
    "pix2pix_receptive_fields.py:tiny",
)


def expanded(workdir, file=FILE, seeds=1, given=()):
    return sweep.expand(
        sweep.read(file), str(workdir), seeds=seeds, given=list(given), load=config_files.load
    )


def played(job, steps):
    """A run directory as a training of so many steps leaves it."""
    os.makedirs(os.path.join(job.workdir, "checkpoints", str(steps)))
    run_config.write(job.workdir, job.config)


def test_configs_are_those_of_the_commands(tmp_path):
    jobs = {job.name: job for job in expanded(tmp_path, seeds=2, given=["--config.generator.ngf=8"])}
    assert len(jobs) == 10 and "l1+cgan/seed1" in jobs
    job = jobs["gan/seed1"]
    assert job.workdir == str(tmp_path / "gan" / "seed1")
    assert (job.config.loss.lambda_l1, job.config.discriminator.conditional, job.config.seed) == (0, False, 1)
    assert job.config.generator.ngf == 8 and jobs["l1/seed0"].config.loss.adversarial_weight == 0
    assert job.command()[1:3] == ["-m", "launch.train"]


def test_each_file_of_a_sweep_is_tried():
    files = {path.name for path in (ROOT / "configs" / "sweeps").glob("*.py")}
    assert files == {name.partition(":")[0] for name in READY} | {"common.py", "projection.py"}


@pytest.mark.parametrize("file", READY)
def test_variants_of_ready_sweeps_can_be_built_and_differ(tmp_path, file):
    jobs = expanded(tmp_path, f"configs/sweeps/{file}")
    configs = [job.config.to_json() for job in jobs]
    assert len(set(configs)) == len(configs) > 1
    sweep.check(jobs)
    assert f"{sweep.read(f'configs/sweeps/{file}').reference}/seed0" in {job.name for job in jobs}


@pytest.mark.parametrize(
    "given, words",
    [
        ("--config.loss.lamda=3", "--config.loss.lamda=3: the config has no such field"),
        ("--config.steps=many", "--config.steps=many"),
        ("--config.steps=0", "steps=0: it must be 1 or more"),
        ("--config.seed=3", "the sweep itself sets seed"),
        ("--config.loss.lambda_l1=3", "the sweep itself sets loss.lambda_l1"),
    ],
)
def test_flags_that_cannot_be_used_are_refused(tmp_path, given, words):
    with pytest.raises(jgan.UserError, match=words):
        expanded(tmp_path, given=[given])


@pytest.mark.parametrize(
    "text, words",
    [
        (None, "there is no file"),
        ("x = 1", "no attribute 'get_sweep'"),
        ("def get_sweep(arg): return {}", "has to return"),
        ("def get_sweep(arg): raise ValueError('preset is unknown')", "preset is unknown"),
        ("from jgan import sweeps\ndef get_sweep(arg): return sweeps.Sweep('c', ())", "no variants"),
    ],
)
def test_files_that_make_no_sweep_are_refused(tmp_path, text, words):
    path = tmp_path / "file.py"
    if text:
        path.write_text(text)
    with pytest.raises(jgan.UserError, match=words):
        sweep.read(str(path))


def test_what_is_finished_is_left_and_another_config_is_told(tmp_path, capsys):
    jobs = expanded(tmp_path)
    played(jobs[0], jobs[0].config.steps)
    played(jobs[1], 1)
    played(jobs[2]._replace(config=jobs[3].config), 3)
    left, failed = sweep.pending(jobs)
    assert [job.name for job in left] == ["gan/seed0", "l1+gan/seed0", "l1+cgan/seed0"]
    assert list(failed) == ["cgan/seed0"] and "cannot go on with" in failed["cgan/seed0"]
    assert "l1/seed0: finished already" in capsys.readouterr().out
    sweep.pending(jobs, sys.stderr)
    told = capsys.readouterr()
    assert not told.out and "l1/seed0: finished already" in told.err and "cgan/seed0: FAILED" in told.err
    # More steps are a reason to go on.
    longer = expanded(tmp_path, given=["--config.steps=9"])
    assert not longer[0].is_finished() and sweep.progress(longer[0].workdir) == 3


PLAY = """
import os, sys, time
name = {name!r}
open({log!r}, "a").write(name + chr(10))
if name.startswith("gan/"):
    print("compiling")
    print("error: no such thing.", file=sys.stderr)
    print("bye")
    sys.exit(2)
time.sleep({seconds})
os.makedirs({checkpoint!r})
"""


def play(monkeypatch, log, seconds=0.0):
    """Trainings are a few lines of Python: one fails, the others leave the checkpoint of their last step."""

    def command(self, python=""):
        checkpoint = os.path.join(self.workdir, "checkpoints", str(self.config.steps))
        code = PLAY.format(name=self.name, log=str(log), checkpoint=checkpoint, seconds=seconds)
        return [sys.executable, "-c", code]

    monkeypatch.setattr(sweep.Job, "command", command)


@pytest.mark.parametrize("at_once", [1, 3])
def test_one_that_fails_is_told_and_does_not_stop_the_rest(tmp_path, monkeypatch, capfd, at_once):
    play(monkeypatch, tmp_path / "log")
    jobs = expanded(tmp_path)
    failed = sweep.here(jobs, str(tmp_path), at_once)
    assert failed == {"gan/seed0": "no such thing."}
    assert sorted((tmp_path / "log").read_text().split()) == sorted(job.name for job in jobs)
    out = capfd.readouterr().out
    assert "gan/seed0: FAILED: no such thing." in out and "l1+cgan/seed0: finished in" in out
    assert all(sweep.progress(job.workdir) == 3 for job in jobs if job.name != "gan/seed0")


def test_trainings_at_a_time_divide_the_cores(tmp_path, monkeypatch):
    cores = {0, 1, 2, 5, 7}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    assert sweep.shares(1) == [()] and sweep.shares(2) == [(0, 1), (2, 5)]
    assert sweep.shares(5) == [(0,), (1,), (2,), (5,), (7,)]
    assert sweep.shares(6) == [()] * 6  # more than there are: nobody is held to one
    monkeypatch.undo()
    own = sorted(os.sched_getaffinity(0))[-1]
    job = expanded(tmp_path)[0]
    told = [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]
    monkeypatch.setattr(sweep.Job, "command", lambda self: told)
    for chosen, found in (((own,), {own}), ((), os.sched_getaffinity(0))):
        assert sweep._start(job, -1, chosen).wait() == 0
        assert (tmp_path / job.name / "train.log").read_text().splitlines()[-1] == str(found)


def test_a_directory_holds_one_sweep(tmp_path):
    made, jobs = sweep.read(FILE), expanded(tmp_path)
    sweep_file.write(str(tmp_path), FILE, made, jobs, [])
    sweep_file.write(str(tmp_path), FILE, made, expanded(tmp_path, seeds=2), [])
    assert sweep_file.facts(str(tmp_path))["reference"] == "l1+cgan"
    assert len(sweep_file.facts(str(tmp_path))["runs"]) == 10
    with pytest.raises(jgan.UserError, match="holds the sweep"):
        sweep_file.write(str(tmp_path), "other.py", made, jobs, [])


def test_seeds_that_were_trained_before_stay_in_the_table_while_the_sweep_is_the_same(tmp_path):
    def runs(made, *given):
        jobs = sweep.expand(made, str(tmp_path), seeds=1, given=given, load=config_files.load)
        sweep_file.write(str(tmp_path), FILE, made, jobs, given)
        return sweep_file.facts(str(tmp_path))["runs"]

    made = sweep.read(FILE)
    sweep_file.write(str(tmp_path), FILE, made, expanded(tmp_path, seeds=2), [])
    assert runs(made)[:3] == ["l1/seed0", "l1/seed1", "gan/seed0"] and len(runs(made)) == 10
    changed = made._replace(variants=(("l1", {"loss.lambda_l1": 5.0}), *made.variants[1:4]))
    assert (
        "l1/seed1" not in (found := runs(changed)) and "gan/seed1" in found and "l1+cgan/seed1" not in found
    )
    assert len(runs(made, "--config.steps=9")) == 5


def test_scripts_for_clusters_hold_every_command(tmp_path):
    jobs = expanded(tmp_path / "a b")
    lines = sweep_elsewhere.commands(jobs).splitlines()
    assert [shlex.split(line) for line in lines] == [job.command() for job in jobs]
    script = tmp_path / "sweep.sbatch"
    script.write_text(sweep_elsewhere.slurm(jobs, str(tmp_path)))
    assert "#SBATCH --array=0-4\n" in script.read_text()
    # The script as a task of the array sees it, with a Python that shows its arguments.
    shown = script.read_text().replace(sys.executable, "printf %s\\\\n")
    script.write_text(shown)
    env = os.environ | {"SLURM_ARRAY_TASK_ID": "3"}
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=env | {"_": ""})
    assert done.stdout.splitlines() == jobs[3].command()[1:], done.stderr
    items = json.loads(sweep_elsewhere.kubernetes(jobs, "image:1"))["items"]
    assert len({item["metadata"]["name"] for item in items}) == 5
    container = items[1]["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == [*jobs[1].command("python"), "--unfinished_status=75"]
    assert container["image"] == "image:1"


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--sweep=no.py"], "there is no file no.py"),
        ([f"--sweep={FILE}", "--config.loss.lamda=1"], "no such field"),
        (
            [f"--sweep={FILE}", "--config.generator.margin=3"],
            "variant l1: generator.margin=3: it must be 0 or a mult",
        ),
        ([f"--sweep={FILE}", "--executor=slurm", "--jobs=2"], "--jobs goes with --executor=here alone"),
        (
            [f"--sweep={FILE}", "--variants=gan,l2"],
            "'l2' is no variant: use some of l1, gan, cgan, l1+gan, l1+cgan",
        ),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path, flags, words):
    command = [sys.executable, "-m", "launch.sweep", f"--workdir={tmp_path / 'out'}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dry_run_shows_the_expansion_and_writes_nothing(tmp_path):
    command = [sys.executable, "-m", "launch.sweep", f"--sweep={FILE}", f"--workdir={tmp_path / 'out'}"]
    done = subprocess.run([*command, "--dry_run"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "15 runs of configs/pix2pix.py:tiny" in done.stdout
    assert "gan/seed2" in done.stdout and not (tmp_path / "out").exists()


def test_variants_can_be_chosen_of_a_sweep_that_stays_whole(tmp_path):
    command = [sys.executable, "-m", "launch.sweep", f"--sweep={FILE}", f"--workdir={tmp_path / 'out'}"]
    command += ["--executor=commands", "--variants=l1+gan,gan", "--seeds=2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    places = [shlex.split(line)[-1] for line in done.stdout.splitlines()]
    names = ["gan/seed0", "gan/seed1", "l1+gan/seed0", "l1+gan/seed1"]
    assert places == [f"--workdir={tmp_path / 'out' / name}" for name in names], done.stderr
    assert len(json.loads((tmp_path / "out" / "sweep.json").read_text())["runs"]) == 10


@pytest.mark.slow
@pytest.mark.usefixtures("quick_children")
def test_a_sweep_that_was_killed_repeats_nothing_and_ends_with_the_same_table(tmp_path):
    """Killed with -9 again and again, each time a little later, until it is done."""

    def start(place, module, *flags):
        command = [sys.executable, "-m", module, f"--workdir={tmp_path / place}", *flags]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    flags = (f"--sweep={FILE}", "--seeds=1", "--config.steps=20", "--config.save_every=5")
    whole = start("whole", "launch.sweep", *flags)
    assert whole.wait(600) == 0
    kills, finished = 0, {}
    for seconds in (3, 6, 9, 12, 15, 600):
        process = start("parts", "launch.sweep", *flags)
        try:
            out, _ = process.communicate(timeout=seconds)
            assert process.returncode == 0, out
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
            time.sleep(1)
            for path in (tmp_path / "parts").glob("*/seed0/checkpoints/20"):
                assert finished.setdefault(path, path.stat().st_mtime) == path.stat().st_mtime
    assert kills >= 2
    for path, when in finished.items():
        assert path.stat().st_mtime == when
    tables = []
    for place in ("whole", "parts"):
        done = start(place, "launch.report")
        out, _ = done.communicate(timeout=600)
        assert done.returncode == 0
        tables.append(out)
    assert tables[0] == tables[1] and "l1+cgan" in tables[0]
