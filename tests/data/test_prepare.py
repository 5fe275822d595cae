"""Sets are made of folders as they are; what a set's own code needs comes and goes with an environment of its own."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.data import prepare
from jgan.data.sources import named


def put(path, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.random.default_rng(0).integers(0, 256, (6, 8, channels)).astype(np.uint8))


def refused(match, call, *arguments):
    with pytest.raises(jgan.UserError, match=match) as raised:
        call(*arguments)
    assert "\n" not in str(raised.value)


def test_files_are_stored_as_they_are(tmp_path):
    put(tmp_path / "photos" / "deep" / "1.jpg")
    put(tmp_path / "photos" / "2.jpg")
    prepare.from_folder("mine", str(tmp_path / "photos"), str(tmp_path / "sets"))
    (found,) = named.Images(str(tmp_path / "sets"), "mine", "deep")  # files beside sub-folders are no split
    np.testing.assert_array_equal(found, images.read(tmp_path / "photos" / "deep" / "1.jpg"))
    shard = next((tmp_path / "sets").rglob("*.array_record-*"))
    assert (tmp_path / "photos" / "deep" / "1.jpg").stat().st_size < shard.stat().st_size
    prepare.from_folder("flat", str(tmp_path / "photos" / "deep"), str(tmp_path / "sets"))
    assert len(named.Images(str(tmp_path / "sets"), "flat", "train")) == 1


def test_folders_that_make_no_set_are_refused(tmp_path):
    sets = str(tmp_path / "sets")
    refused("there is no folder", prepare.from_folder, "mine", str(tmp_path / "none"), sets)
    (tmp_path / "photos").mkdir()
    refused("holds no images", prepare.from_folder, "mine", str(tmp_path / "photos"), sets)
    put(tmp_path / "photos" / "train" / "1.png")
    for name in ("My Set", "mine/small", "mine:1.0.0"):
        refused("name", prepare.from_folder, name, str(tmp_path / "photos"), sets)
    refused(
        "is a set of TensorFlow Datasets", prepare.from_folder, "cycle_gan", str(tmp_path / "photos"), sets
    )
    prepare.from_folder("mine", str(tmp_path / "photos"), sets)
    refused("1.0.0 is there already", prepare.from_folder, "mine", str(tmp_path / "photos"), sets)
    (tmp_path / "file").touch()
    refused(
        "cannot be written", prepare.from_folder, "other", str(tmp_path / "photos"), str(tmp_path / "file")
    )
    put(tmp_path / "photos" / "train" / "2.webp")
    refused(
        r"2\.webp cannot be stored as it is: .png", prepare.from_folder, "web", str(tmp_path / "photos"), sets
    )
    (tmp_path / "photos" / "train" / "2.webp").rename(tmp_path / "photos" / "train" / "2.png")
    (tmp_path / "photos" / "train" / "2.png").write_bytes(b"")
    refused(r"2\.png cannot be decoded", prepare.from_folder, "torn", str(tmp_path / "photos"), sets)
    put(tmp_path / "photos" / "all" / "1.png")
    refused("cannot be a split", prepare.from_folder, "every", str(tmp_path / "photos"), sets)
    assert sorted(path.name for path in pathlib.Path(sets).iterdir() if path.name != "downloads") == ["mine"]


def test_impossible_names_are_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_run_apart", None)
    refused("there is no data set cycle_gam", prepare.from_name, "cycle_gam/maps", str(tmp_path))
    refused("no configuration 'zebra'", prepare.from_name, "cycle_gan/zebra", str(tmp_path))
    refused(r"version 2\.0\.0 .*makes 3\.0\.0", prepare.from_name, "cycle_gan/maps:2.0.0", str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def apart(monkeypatch):
    """Environments that are never made: what would be installed, and the reasons attempts are given one by one."""
    installed, reasons = [], []
    monkeypatch.setattr(prepare.venv, "create", lambda where, with_pip: None)
    monkeypatch.setattr(prepare, "_install", lambda name, python, *packages: installed.append(packages[0]))
    monkeypatch.setattr(prepare, "_attempt", lambda *_: reasons.pop(0))
    return installed, reasons


@pytest.mark.parametrize(
    ("reasons", "times", "match"),
    [
        (["ModuleNotFoundError: No module named 'tensorflow'", ""], 2, None),
        ([""], 1, None),
        (
            ["ConnectionError: HTTPSConnectionPool(host='pictures.org', port=443): Max retries\n exceeded"],
            1,
            "cycle_gan/maps cannot be downloaded: pictures.org cannot be reached from here",
        ),
        (
            ["ImportError: No module named 'tensorflow'", "ValueError: odd\nlines"],
            2,
            "prepared: ValueError: odd lines",
        ),
    ],
)
def test_tensorflow_comes_only_where_it_is_asked_for(tmp_path, apart, reasons, times, match):
    installed, given = apart
    given += reasons
    if match:
        refused(match, prepare.from_name, "cycle_gan/maps", str(tmp_path))
    else:
        prepare.from_name("cycle_gan/maps", str(tmp_path))
    assert given == [] and installed[0].startswith("tensorflow-datasets[cycle_gan]==")
    assert installed[1:] == ["tensorflow"] * (times - 1)


def test_the_program_of_an_environment_tells_why_it_failed(tmp_path):
    reason = prepare._attempt("no_such_set", tmp_path, sys.executable, str(tmp_path))
    assert reason.startswith("DatasetNotFoundError: ")
    killed = prepare._attempt("no_such_set", tmp_path, "false", str(tmp_path))
    assert killed == "its code ended with status 1"


def test_a_package_that_cannot_be_installed_is_named(monkeypatch):
    told = "WARNING: slow\nERROR: Could not find a version\nERROR: No matching distribution found for tensorflow\n"
    failed = subprocess.CompletedProcess([], 1, "", told)
    monkeypatch.setattr(prepare.subprocess, "run", lambda *_, **__: failed)
    refused(
        r"tensorflow, which its code needs, cannot be installed \(No matching distribution",
        prepare._install,
        "cycle_gan/maps",
        "python",
        "tensorflow",
    )
