"""Help and mistakes come before what is slow to import, and a program imports only what it needs."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from configs import pix2pix
from jgan.runs import config as run_config

LAUNCH = pathlib.Path(__file__).parent.parent.parent / "launch"

# Each takes a good part of a second.
SLOW = {
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax",
    "tensorstore",
    "grain",
    "tensorflow_datasets",
    "matplotlib",
}
SLOW |= {"numpy", "scipy", "torch", "tensorflow", "fastapi"}

PROGRAMS = [path for path in LAUNCH.glob("*.py") if re.search(r"launch\.run\(\s*main", path.read_text())]

PROGRAM = """
import json, runpy, sys
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported(*arguments):
    """(exit status, roots of the modules that were imported when a program ended)."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=120
    )
    return done.returncode, set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", [path.stem for path in PROGRAMS])
def test_help_imports_nothing_slow(name):
    status, modules = imported(f"launch.{name}", "--help")
    assert status == 1 and not modules & SLOW  # absl's status


TRAIN = ["train", "--config=configs/pix2pix.py:demo", "--workdir={run}/new"]
TRANSLATE = ["translate", "--output={run}/out", "--input={run}"]


@pytest.mark.parametrize(
    "command",
    [
        ["train"],
        [*TRAIN, "--speed=3"],
        [*TRAIN, "--config.generator.width=3"],
        [*TRAIN, "--config.steps=0"],
        [*TRAIN, "--config.system=gan3"],
        [*TRAIN, "--init_from={run}/none"],
        ["train", "--config=configs/pix2pix.py:city", "--workdir={run}/new"],
        ["train", "--config=configs/pix2pix.py:demo", "--workdir={run}/config.json"],
        [*TRANSLATE, "--workdir={run}/none"],
        [*TRANSLATE, "--workdir={run}", "--step=last"],
        ["translate", "--output={run}/out", "--workdir={run}", "--input={run}/none"],
        ["evaluate", "--workdir={run}", "--palette={run}/none"],
        ["sample", "--output={run}/out", "--workdir={run}/none"],
        ["project", "--output={run}/out", "--workdir={run}", "--images={run}/none"],
        ["project", "--output={run}/out", "--workdir={run}", "--images={run}", "--features={run}/vgg16.pth"],
        ["project", "--output={run}/out", "--workdir={run}", "--images={run}", "--lpips_version=0.0"],
        ["edit", "--output={run}/out", "--workdir={run}", "--edit={run}/none"],
        ["edit", "--output={run}/out", "--workdir={run}", "--features={run}/none.pth"],
        ["directions", "--output={run}/out", "--workdir={run}", "--name=x", "--with={run}/none"],
        ["directions", "--output={run}/out", "--workdir={run}", "--name=x"],
        ["serve", "--workdir={run}/none"],
        ["serve", "--workdir={run}", "--port=many"],
    ],
    ids=" ".join,
)
def test_a_mistake_in_flags_is_told_before_anything_slow_is_imported(command, tmp_path):
    run_config.write(str(tmp_path), pix2pix.get_config("demo"))
    status, modules = imported("launch." + command[0], *(flag.format(run=tmp_path) for flag in command[1:]))
    assert status == 2 and not modules & SLOW


def test_to_translate_imports_no_input_pipeline_and_no_other_system():
    program = "import sys, json; from jgan.programs import translate; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout))
    assert not {name.partition(".")[0] for name in modules} & {
        *("grain", "tensorflow_datasets", "matplotlib", "scipy", "torch", "tensorflow", "fastapi")
    }
    assert "jgan.systems.dcgan" not in modules and "jgan.data.pipeline" not in modules
