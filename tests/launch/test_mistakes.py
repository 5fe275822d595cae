"""A user's mistake ends every program in one sentence and exit status 2, with nothing written."""

import errno
import os
import subprocess
import sys

from absl import flags
from ml_collections import config_flags
import numpy as np
import pytest

from configs import dcgan
from configs import pix2pix
from configs import stylegan2
from jgan.data import images
from jgan.latent import directions
from jgan.runs import config as run_config
import launch

TRAIN = ["launch.train", "--config=configs/pix2pix.py:demo", "--workdir={run}"]
FOLDER = [*TRAIN, "--config.data.source=folder", "--config.data.root={data}"]
UNPAIRED = [
    "launch.train",
    "--config=configs/cyclegan.py:demo",
    "--workdir={run}",
    "--config.data.source=folder",
    "--config.data.root={data}",
]


def program(module, *flags):
    return subprocess.run([sys.executable, "-m", module, *flags], capture_output=True, text=True, timeout=120)


def pair(path, size=(72, 144), channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8))
    return path


def nothing(tmp_path):
    """No preparation."""


def empty(tmp_path):
    (tmp_path / "data" / "train").mkdir(parents=True)


def truncated(tmp_path):
    pair(tmp_path / "data" / "train" / "whole.png")
    path = pair(tmp_path / "data" / "train" / "torn.png")
    path.write_bytes(path.read_bytes()[:1000])


def uneven(tmp_path):
    for side, size in (("A", (72, 72)), ("B", (72, 80))):
        pair(tmp_path / "data" / side / "train" / "x.png", size)


def widow(tmp_path):
    for name in ("A/train/x.png", "A/train/y.png", "B/train/x.png"):
        pair(tmp_path / "data" / name, (72, 72))


def one(tmp_path):
    pair(tmp_path / "data" / "train" / "x.png")


def file(tmp_path):
    (tmp_path / "run").write_text("")


def one_domain(tmp_path):
    pair(tmp_path / "data" / "trainA" / "x.png", (72, 72))
    (tmp_path / "data" / "trainB").mkdir()


def grey_and_colour(tmp_path):
    pair(tmp_path / "data" / "trainA" / "x.png", (72, 72), channels=1)
    pair(tmp_path / "data" / "trainB" / "y.png", (72, 72))


def other_run(tmp_path):
    (tmp_path / "run").mkdir()
    config = pix2pix.get_config("demo")
    config.generator.ngf, config.data.channels = 48, (3, 3)
    run_config.write(str(tmp_path / "run"), config)


@pytest.mark.parametrize(
    "prepare, flags, words",
    [
        (nothing, ["launch.train"], ["--config and --workdir must be given"]),
        (
            nothing,
            ["launch.train", "--config=configs/pix2pix.py:city", "--workdir={run}"],
            ["'city' is unknown"],
        ),
        (nothing, ["launch.train", "--config=configs/none.py", "--workdir={run}"], ["configs/none.py"]),
        (nothing, [*TRAIN, "--config.generator.width=3"], ["generator.width"]),
        (nothing, [*TRAIN, "--config.loss.lambda=3"], ["--config.loss.lambda: the config has no such field"]),
        (
            nothing,
            [*TRAIN, "--config.loss.lambda_l2=3"],
            ["--config.loss.lambda_l2=3: the config has no such"],
        ),
        (nothing, [*TRAIN, "--config.steps=many"], ["steps", "many"]),
        (nothing, [*TRAIN, "--speed=3"], ["speed"]),
        (nothing, [*TRAIN, "--profile=20:10"], ["--profile=20:10", "START:STOP"]),
        (nothing, [*TRAIN, "--timeout=inf", "--distributed"], ["--timeout=inf", "seconds"]),
        (nothing, [*TRAIN, "--timeout=nan", "--distributed"], ["--timeout=nan", "seconds"]),
        (nothing, ["launch.plan", "--table", "--config=configs/none.py"], ["configs/none.py"]),
        (nothing, ["launch.plan", "--table", "--devices=64"], ["--devices goes with a plan without --table"]),
        (nothing, ["launch.plan", "--table", "--chip=v7000"], ["--chip=v7000"]),
        (nothing, ["launch.plan", "--table", "--reached=2"], ["--reached=2"]),
        (nothing, [*TRAIN, "more"], ["'more'"]),
        (nothing, [*TRAIN, "--config.system=gan3"], ["'gan3' is unknown"]),
        (nothing, [*TRAIN, "--config.generator.name=vit"], ["'vit' is unknown"]),
        (nothing, [*TRAIN, "--config.loss.adversarial=wasserstein"], ["'wasserstein' is unknown"]),
        (nothing, [*TRAIN, "--config.data.size=72"], ["multiples of 16"]),
        (nothing, [*TRAIN, "--config.data.workers=500"], ["500", "400 examples"]),
        (nothing, [*TRAIN, "--init_from={run}/no"], ["holds no run"]),
        (file, TRAIN, ["is a file"]),
        (other_run, TRAIN, ["generator.ngf=48", "32"]),
        (nothing, FOLDER, ["{data}"]),
        (empty, FOLDER, ["{data}"]),
        (truncated, FOLDER, ["torn.png"]),
        (uneven, FOLDER, ["x"]),
        (widow, FOLDER, ["y"]),
        (one, [*FOLDER, "--config.data.workers=2"], ["workers"]),
        (one_domain, UNPAIRED, ["domain B is empty", "{data}"]),
        (
            grey_and_colour,
            [*UNPAIRED, "--config.loss.lambda_identity=0.5"],
            ["lambda_identity=0.5", "A has 1 channels and B has 3", "set it to 0"],
        ),
        (nothing, [*UNPAIRED, "--config.best=l1"], ["best='l1'", "AtoB_l1", "BtoA_cycle"]),
        (nothing, ["launch.translate", "--workdir={run}"], ["--input and --output"]),
        (nothing, ["launch.evaluate", "--workdir={run}"], ["holds no run"]),
        (nothing, ["launch.evaluate", "--workdir={run}", "--size=big"], ["size"]),
        (nothing, ["launch.translate", "--workdir={run}", "--input=x", "--output=y"], ["holds no run"]),
    ],
)
def test_one_sentence_and_status_2(tmp_path, prepare, flags, words):
    prepare(tmp_path)
    places = {"run": tmp_path / "run", "data": tmp_path / "data"}
    done = program(*(flag.format(**places) for flag in flags))
    told = done.stderr.strip()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in told and told.count("\n") == 0 and told.startswith("error: "), told
    for word in words:
        assert word.format(**places) in told
    assert prepare is other_run or not (tmp_path / "run" / "config.json").exists()
    assert not (tmp_path / "run" / "checkpoints").exists() or not list(
        (tmp_path / "run" / "checkpoints").iterdir()
    )


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--space=w_pluss"], ["--space=w_pluss", "has z, w, w_plus and w_plus_noise only"]),
        (["--space=w", "--train=configs/dcgan.py:editor"], ["--space=w", "dcgan has z only"]),
        (
            ["--space=z", "--train=configs/dcgan.py:best"],
            ["configs/dcgan.py:best", "preset 'best' is unknown"],
        ),
        (["--space=z", "--train=configs/common.py"], ["configs/common.py", "get_config"]),
    ],
)
def test_a_space_that_the_editor_will_not_find_is_refused_before_it_listens_or_trains(tmp_path, flags, words):
    """Of a run that is there, and of one that is to be trained."""
    run = tmp_path / "run"
    if len(flags) == 1:
        run.mkdir()
        run_config.write(str(run), stylegan2.get_config("tiny"))
    done = program("launch.serve", f"--workdir={run}", "--port=0", *flags)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ") and all(word in done.stderr for word in words)
    assert run.exists() == (len(flags) == 1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, drawn_run):
    """The directory of a run of drawn weights."""
    workdir = tmp_path_factory.mktemp("drawn")
    config = dcgan.get_config("tiny")
    config.data.channels = (3,)
    drawn_run(str(workdir), config, config.steps)
    return workdir


@pytest.mark.parametrize(
    "made, flags, words",
    [
        ("", [], "file.npz does not exist"),
        ("text", [], "is no file of directions"),
        ("text", ["--train=configs/dcgan.py:editor"], "is no file of directions"),
        ("other", [], "another generator"),
    ],
)
def test_directions_that_the_editor_cannot_use_are_refused_before_it_listens(
    drawn, tmp_path, made, flags, words
):
    """A file that is missing, one of something else, and one of other weights; of a run that is there or comes."""
    file = tmp_path / "file.npz"
    if made == "text":
        file.write_text("smile")
    elif made:
        directions.save(file, "z", {"smile": np.ones(5, np.float32)}, generator="0" * 64)
    workdir = tmp_path / "run" if flags else drawn
    done = program("launch.serve", f"--workdir={workdir}", "--port=0", f"--directions={file}", *flags)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ") and words in done.stderr and str(file) in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["sample", "--rows=0-3"], "--rows goes with --directions alone"),
        (["sample", "--amount=3"], "--amount goes with --directions alone"),
        (["sample", "--walk=3", "--number=2"], "--number goes with pictures without --walk"),
        (["sample", "--walk=3", "--format=npz"], "--format goes with"),
        (["sample", "--mix=coarse", "--walk=3"], "--walk and --mix are pictures of their own"),
        (["directions", "--sefa=2", "--samples=9"], "--samples goes with --principal alone"),
        (["edit", "--truncate=0.5", "--candidates=3"], "--candidates goes with --edit alone"),
        (["edit", "--truncate=0.5", "--realism=1"], "--realism goes with --edit alone"),
        (["edit", "--truncate=0.5", "--starts=2"], "--starts goes with --image (and no --latent) alone"),
        (["edit", "--truncate=0.5", "--fit=crop"], "--fit goes with --image alone"),
    ],
)
def test_a_flag_that_would_have_no_effect_is_refused(tmp_path, flags, words):
    run_config.write(str(tmp_path), stylegan2.get_config("tiny"))
    done = program(f"launch.{flags[0]}", f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}", *flags[1:])
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr and not (tmp_path / "out").exists()


def test_what_the_file_system_refuses_is_a_sentence_with_the_name_of_the_file():
    assert launch._refused(PermissionError(errno.EACCES, "Permission denied", "x/y")).startswith("x/y cannot")
    assert "Read-only" in launch._refused(OSError(errno.EROFS, "Read-only file system", "out"))
    assert "disk is full" in launch._refused(OSError(errno.ENOSPC, "No space left on device"))
    assert (
        launch._refused(FileNotFoundError(errno.ENOENT, "No such file", "lost")) == ""
    )  # a fault, with its trace


@pytest.mark.parametrize(
    "given, taken",
    [
        ("Blond_Hair,Male", ("Blond_Hair", "Male")),
        ("0,1", ("0", "1")),
        ("01, 1e3,True", ("01", "1e3", "True")),
        ("mug", ("mug",)),
        ("('a,b','c')", ("a,b", "c")),
        ("'a','b'", ("a", "b")),
        ("()", ()),
        ("it's,b", ("it's", "b")),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_names_with_commas_between_are_several_names(given, taken, apart):
    flag = "--config.data.names"
    argv = ["train", *([flag, given] if apart else [f"{flag}={given}"]), "--config.data.bits=12,8"]
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", "configs/cgan.py", flag_values=values, sys_argv=argv)
    rest = values(launch.with_tuples(argv, ("config.data.names",)))
    assert rest == ["train"] and values.config.data.names == taken and values.config.data.bits == (12, 8)


@pytest.mark.parametrize(
    "flags, status, told",
    [
        (["--help"], 141, ""),  # at once, while flags are parsed
        (["print('a', flush=True)"], 141, ""),
        (["print('a')"], 141, ""),  # only at the end
        (["raise BrokenPipeError(32, 'Broken pipe')"], 1, "BrokenPipeError"),  # another pipe
    ],
)
def test_of_an_output_that_nobody_reads_nothing_is_told(flags, status, told):
    read, written = os.pipe()
    if not told:
        os.close(read)
    code = f"""
import launch
def main():
    {flags[0] if flags[0] != "--help" else "pass"}
launch.run(main)
"""
    command = [sys.executable, "-c", code, *(flag for flag in flags if flag == "--help")]
    done = subprocess.run(command, stdout=written, stderr=subprocess.PIPE, text=True)
    os.close(written)
    if told:
        os.close(read)
    assert done.returncode == status and (told in done.stderr if told else not done.stderr), done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_are_no_utf8_are_printed_with_escapes(encoding):
    code = """
import os, jgan, launch
def main():
    print(os.fsdecode(b"caf\\xe9"))
    raise jgan.UserError(os.fsdecode(b"\\xfc"))
launch.run(main)
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert (found.returncode, found.stdout) == (2, "caf\\udce9\n")
    assert found.stderr == "error: \\udcfc\n"


@pytest.mark.parametrize(
    "error, status, told",
    [
        ("jgan.UserError('no such run.')", 2, "error: no such run.\n"),
        ("KeyboardInterrupt", 130, "error: stopped by Ctrl-C.\n"),
    ],
)
def test_the_end_does_not_wait_for_a_step_that_compiles(error, status, told):
    program = f"""if True:
        import threading, time
        import launch

        def main():
            import jgan
            from jgan.programs import timing

            class Slow:
                def lower(self):
                    begun.set()
                    time.sleep(100)

            begun = threading.Event()
            timing.Ahead(Slow()).start()
            begun.wait()
            print("compiling the step")
            raise {error}

        launch.run(main)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (status, told, "compiling the step\n")
