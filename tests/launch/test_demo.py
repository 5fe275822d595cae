"""The demo: each part is told before it starts, and one page shows what all of them made."""

import re

import numpy as np
import pytest

from configs import cyclegan
from configs import dcgan
from configs import pix2pix
from jgan.data import images
from launch import demo


def make(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def parts(monkeypatch, tmp_path, capsys):
    """What was said until each part began; the parts themselves are played, and those of `stopped` do not finish."""
    begun, stopped = {}, set()

    def train(system, workdir):
        begun[system] = capsys.readouterr().out
        for step in (0, 900, 1000):
            make(tmp_path / system / "samples" / f"{step:06d}.png")
        make(tmp_path / system / "samples" / "interpolation.png")
        (tmp_path / system / "index.html").touch()
        return system not in stopped

    def edit(workdir, target):
        begun["edit"] = capsys.readouterr().out
        for name in ("strip.png", "candidates.png", "index.html"):
            make(tmp_path / "edit" / name) if name.endswith("png") else (tmp_path / "edit" / name).touch()

    monkeypatch.setattr(demo, "_train", train)
    monkeypatch.setattr(demo, "_edit", edit)
    return begun, stopped


def test_parts_are_told_before_they_start_and_one_page_shows_all(parts, tmp_path, capsys):
    demo.show(str(tmp_path))
    begun, _ = parts
    assert list(begun) == ["pix2pix", "cyclegan", "dcgan", "edit"]
    for number, (name, said) in enumerate(begun.items(), 1):
        assert f"{number} of 4, about " in said and "seconds" in said
        assert f"{tmp_path / name}\n" in said  # ends the command that does the same
    page = capsys.readouterr().out.splitlines()[-1]
    assert page == str(tmp_path / "index.html")
    sources = re.findall(r'(?:src|href)="([^"]+)"', (tmp_path / "index.html").read_text())
    assert {f"{name}/index.html" for name in begun} <= set(sources)
    assert {"pix2pix/samples/001000.png", "edit/strip.png"} <= set(sources)
    assert all((tmp_path / source).exists() for source in sources)


def test_a_demo_that_is_stopped_begins_no_further_part(parts, tmp_path):
    begun, stopped = parts
    stopped.add("cyclegan")
    demo.show(str(tmp_path))
    assert list(begun) == ["pix2pix", "cyclegan"]
    assert not (tmp_path / "index.html").exists()


SMALL = {
    "steps": 3,
    "data.size": 16,
    "data.load_size": 16,
    "data.number": 8,
    "data.val_number": 2,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
}


@pytest.mark.slow
def test_the_demo_as_it_is_but_smaller(monkeypatch, tmp_path, capsys):
    for config, changes in (
        (pix2pix, {"generator.levels": 2}),
        (cyclegan, {"generator.levels": 2}),
        (dcgan, {"statistics_steps": 1}),
    ):
        monkeypatch.setitem(config.PRESETS, "demo", config.PRESETS["demo"] | SMALL | changes)
    images.write(tmp_path / "photo.png", images.read(demo._PHOTO)[::4, ::4])
    monkeypatch.setattr(demo, "_PHOTO", str(tmp_path / "photo.png"))
    demo.show(str(tmp_path))
    text = (tmp_path / "index.html").read_text()
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "index.html")
    assert all((tmp_path / source).exists() for source in re.findall(r'(?:src|href)="([^"]+)"', text))
