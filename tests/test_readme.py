"""Every command of README.md does what it says: with small nets on small data, in the order in which they stand."""

import functools
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from jgan.data import images
from jgan.programs import project

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()

# Downloads, and what tests/serve, tests/launch and tests/programs run.
ELSEWHERE = (
    "launch.prepare_data",
    "tfds:",
    "launch.serve",
    "launch.demo",
    "launch.sweep",
    "launch.report",
    "launch.import_weights",
    "--format=pth",
    "--format=stablehlo",
)

# Of a preset's own values, what the smallest nets leave as they are: the data that it is meant for.
KEPT = ("data.source", "data.names", "data.families", "data.exclusive", "data.label", "continuous")
CONFIG = """
import importlib

def get_config(arg=""):
    name, _, preset = {config!r}.partition(":")
    module = importlib.import_module("configs." + name)
    config = module.get_config(preset)
    tiny = {{k: v for k, v in module.PRESETS["tiny"].items() if not k.startswith({kept!r})}}
    config.update_from_flattened_dict({{k: v for k, v in tiny.items() if k != "best"}})
    return config
"""
HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")


def commands(prefix):
    """The command lines of README's blocks that begin with this, by the heading above them."""
    found, heading, inside = [], "", False
    for line in README.splitlines():
        if line.startswith("```"):
            inside = not inside
        elif line.startswith("## "):
            heading = line[3:]
        elif inside and line.startswith(prefix):
            found.append((heading, line.partition("#")[0].strip()))
    return found


def picture(seed, width=20):
    return np.random.default_rng(seed).integers(0, 256, (20, width, 3), np.uint8)


def folder(root, config):
    """Data as README describes them for a config, in `root`."""
    name, _, preset = config.partition(":")
    for k in range(4):
        places = {
            "pix2pix": [f"{split}/{k}.png" for split in ("train", "val")],
            "bicyclegan": [f"{split}/{k}.png" for split in ("train", "val")],
            "cyclegan": [f"{split}{side}/{k}.png" for split in ("train", "test") for side in "AB"],
            "cgan": [f"{label}/{k}.png" for label in ("shoe", "hat")],
            "stargan": [f"{label}/{k}.png" for label in ("glad", "sad")]
            if preset == "rafd"
            else [f"{k}.png"],
        }.get(name, [f"{k}.png"])
        for j, place in enumerate(places):
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            images.write(root / place, picture(10 * k + j, 40 if name in ("pix2pix", "bicyclegan") else 20))
    if name == "stargan" and preset != "rafd":
        rows = [f"{k}.png " + " ".join(("1" if (k + j) % 2 else "-1") for j in range(5)) for k in range(4)]
        (root / "list_attr_celeba.txt").write_text("\n".join(["4", " ".join(HAIR), *rows]) + "\n")
    return str(root)


class Reader:
    """Someone who types in what README says, one command after the other."""

    def __init__(self, place):
        self.place, self.count, self.run, self.projected = place, 0, "", ""
        (place / "photos").mkdir()
        (place / "scores.csv").write_text("0.png,0.2\n1.png,0.7\n")
        for k in range(2):
            images.write(place / "photos" / f"{k}.png", picture(k))
        blocks = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
        (place / "inpaint.json").write_text(next(block for block in blocks if '"recipe"' in block))
        # The demo's photo, on which its edit is drawn; a quarter as wide takes the same programs less time.
        images.write(place / "photo.png", images.read(ROOT / "docs" / "photo.png")[::4, ::4])

    def type(self, line):
        self.count += 1
        out = self.place / f"out{self.count}"
        words = shlex.split(line)
        module, flags = words[2], words[3:]
        if module == "launch.train":
            config = next(f for f in flags if f.startswith("--config=")).removeprefix("--config=configs/")
            config = config.replace(".py", "")
            self.run = str(self.place / f"run{self.count}")
            file = self.place / f"config{self.count}.py"
            file.write_text(CONFIG.format(config=config, kept=KEPT))
            flags = [f"--config={file}", *(f for f in flags if not f.startswith("--config="))]
            if any("=DIR" in flag for flag in flags):
                data = folder(self.place / f"data{self.count}", config)
                flags = [flag.replace("=DIR", f"={data}") for flag in flags]
        meant = {
            "RUN": self.run,
            "OUT": str(out),
            "PHOTOS": str(self.place / "photos"),
            "PHOTO": str(self.place / "photo.png"),
            "STYLE": str(self.place / "photos" / "0.png"),
            "DIR": self.projected
            if module in ("launch.directions", "launch.sample")
            else str(self.place / "data"),
            "A.npz": f"{self.projected}/0.png.npz",
            "B.npz": f"{self.projected}/1.png.npz",
            "scores.csv": str(self.place / "scores.csv"),
            "sefa.npz": str(self.place / "sefa.npz"),
            "heights.npz": str(self.place / "heights.npz"),
            "edit.json": str(ROOT / "docs" / "edit.json"),
            "inpaint.json": str(self.place / "inpaint.json"),
            "directions.npz": str(self.place / "directions.npz"),
        }
        flags = [re.sub(r"=([A-Za-z.]+)$", lambda m: "=" + meant.get(m[1], m[1]), flag) for flag in flags]
        if module == "launch.evaluate":  # on the run's own data
            flags = [flag for flag in flags if not flag.startswith("--data=")]
        if module == "launch.project":
            self.projected = str(out)
            flags += ["--evaluations=2", "--starts=1"]
        if module == "launch.edit":
            given = {flag.partition("=")[0] for flag in flags}
            recipe = any("inpaint" in flag for flag in flags)  # no candidates, and maps of noise
            flags += ["--evaluations=2"] * ("--image" in given) + ["--noise_evaluations=2"] * recipe
            flags += ["--iterations=2", "--candidates=2"] * ("--edit" in given and not recipe)
        if module == "launch.directions":  # the difference of a folder and itself is none
            flags = [
                f"--without={self.projected}/0.png.npz" if flag.startswith("--without=") else flag
                for flag in flags
            ]
        done = subprocess.run(
            [sys.executable, "-m", module, *flags], capture_output=True, text=True, timeout=300, cwd=ROOT
        )
        assert done.returncode == 0, f"{line}\n{shlex.join(flags)}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.usefixtures("quick_children")
def test_every_command_runs(tmp_path):
    reader, heading = Reader(tmp_path), ""
    typed = [(h, line) for h, line in commands("python -m launch.") if not any(x in line for x in ELSEWHERE)]
    assert len(typed) >= 15
    for under, line in typed:
        # What stands under Use is of a run that translates pairs: that of the first section.
        if under == "Use" and heading != "Use":
            reader.type(
                "python -m launch.train --config=configs/pix2pix.py --config.data.root=DIR --workdir=RUN"
            )
        heading = under
        reader.type(line)


@pytest.mark.parametrize("line", sorted({line for _, line in commands("python -m benchmarks.")}))
def test_programs_that_measure_have_the_flags_that_are_named(line):
    words = shlex.split(line)
    known = subprocess.run(
        [sys.executable, "-m", words[2], "--help"], capture_output=True, text=True, cwd=ROOT
    )
    for flag in words[3:]:
        assert flag.split("=")[0] in known.stdout.replace("--[no]", "--"), flag


def test_pictures_of_the_document_are_there():
    for name in re.findall(r"\]\((docs/[^)#]+)\)", README):
        assert (ROOT / name).exists(), name


@pytest.mark.slow
def test_two_drawn_photos_are_crossed_over_in_python(tmp_path, monkeypatch):
    block = next(
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "crossover" in code
    )
    few = functools.partial(project.choose, evaluations=2, noise_evaluations=2)
    monkeypatch.setattr(project, "choose", few)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    exec(compile(block, "README.md", "exec"), {})
    assert images.read(tmp_path / "crossover.png").shape[:2] == (26 + 130 + 6, 3 * 130 + 4 * 6)
