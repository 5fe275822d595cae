"""No program reads what programs wrote, however the folders lie in each other."""

import os
import pathlib

import numpy as np
import pytest

from configs import dcgan
import jgan
from jgan.data import images
from jgan.data import outputs
from jgan.data import pipeline
from jgan.data import prepare


def picture(path, side=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.full((side, side, 3), 7, np.uint8))
    return path


@pytest.fixture
def photos(tmp_path):
    """A folder of three pictures."""
    for k in range(3):
        picture(tmp_path / "photos" / f"{k}.png")
    return tmp_path / "photos"


def names(folder, *output):
    return [path.relative_to(folder).as_posix() for path in images.find(folder, *output)]


def run_in(folder):
    """What training leaves in its directory."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    picture(folder / "samples" / "000000.png")
    return folder


@pytest.mark.parametrize("inside", ["run", "deep/er/run"])
def test_a_search_does_not_enter_runs(photos, inside, capsys):
    where = run_in(photos / inside)
    assert names(photos) == ["0.png", "1.png", "2.png"]
    assert str(where) in capsys.readouterr().err
    assert names(where / "samples") == ["000000.png"]  # named, it is searched


def test_a_run_that_is_trained_in_the_folder_of_its_data_does_not_see_its_samples(photos):
    run_in(photos)
    assert names(photos) == ["0.png", "1.png", "2.png"]


def test_a_run_inside_its_data_is_trained_on_the_same_files_again(photos):
    config = dcgan.get_config().data
    config.root, config.size, config.load_size = str(photos), 16, 16
    before = pipeline.train(config, batch_size=1, seed=0)
    run_in(photos / "run")
    after = pipeline.train(config, batch_size=1, seed=0)
    assert before.names == after.names and before.files == after.files and len(before.names) == 2


def test_a_search_does_not_enter_the_output_that_is_asked_for_even_by_a_link(photos, tmp_path):
    picture(photos / "out" / "0.png")
    (tmp_path / "link").symlink_to(photos / "out")
    assert "out/0.png" in names(photos)
    assert names(photos, photos / "out") == names(photos, tmp_path / "link") == ["0.png", "1.png", "2.png"]
    assert names(photos, tmp_path / "elsewhere" / "out") == names(photos)


def test_an_output_among_the_input_is_marked_for_later_searches_and_no_other_is(photos, tmp_path):
    """A second program, with another output, does not take the first one's pictures."""
    for output in (photos / "a" / "out", tmp_path / "out"):
        picture(outputs.make(output, photos) / "0.png")
    assert names(photos) == ["0.png", "1.png", "2.png"]
    assert os.listdir(tmp_path / "out") == ["0.png"]
    assert names(photos / "a" / "out") == ["0.png"]  # named, it is searched


def test_an_output_by_a_link_that_leads_out_of_the_input_is_marked(photos, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (photos / "link").symlink_to(tmp_path / "elsewhere")
    picture(outputs.make(photos / "link" / "out", photos) / "0.png")
    assert names(photos) == ["0.png", "1.png", "2.png"]


def test_a_folder_of_two_names_is_known_by_both(photos, tmp_path, monkeypatch):
    """As a mount has it, or another case of letters; here the links are hidden."""
    (tmp_path / "mount").symlink_to(photos)
    monkeypatch.setattr(os.path, "realpath", os.path.abspath)
    monkeypatch.setattr(pathlib.Path, "resolve", pathlib.Path.absolute)
    with pytest.raises(jgan.UserError, match="is where the input lies"):
        outputs.check(tmp_path / "mount", photos, images.find(photos))
    picture(outputs.make(tmp_path / "mount" / "out", photos) / "0.png")
    monkeypatch.undo()
    assert names(photos) == ["0.png", "1.png", "2.png"]


def test_outputs_are_no_splits_of_a_set_to_prepare(photos):
    picture(photos / "trainA" / "0.png")
    picture(outputs.make(photos / "out", photos) / "0.png")
    run_in(photos / "run")
    assert list(prepare._splits(photos)) == ["trainA"]


@pytest.mark.parametrize("output", ["photos", "link", "."])
def test_an_output_over_the_input_is_refused(photos, tmp_path, output):
    (tmp_path / "link").symlink_to(photos)
    picture(photos / "photos" / "9.png")  # from tmp_path it would become photos/9.png
    with pytest.raises(jgan.UserError, match="name another folder"):
        outputs.check(tmp_path / output, photos, images.find(photos))


def test_a_link_to_the_input_is_not_written_through(photos, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "0.png").symlink_to(photos / "0.png")
    with pytest.raises(jgan.UserError, match="0.png among the input"):
        outputs.check(photos, tmp_path / "links", [tmp_path / "links" / "0.png"])


def test_a_folder_above_the_input_is_an_output_where_nothing_collides(photos, tmp_path):
    outputs.check(tmp_path, photos, images.find(photos))


def test_an_output_that_cannot_be_made_is_told(photos):
    with pytest.raises(jgan.UserError, match="cannot be made: Not a directory"):
        outputs.make(photos / "0.png" / "out")
    with pytest.raises(jgan.UserError, match="is a file"):
        outputs.check(photos / "0.png", photos, [])


def test_a_folder_that_cannot_be_read_is_told(photos, monkeypatch):
    """The tests may run as root, who can read everything."""
    (photos / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(jgan.UserError, match="closed cannot be read: Permission denied"):
        images.find(photos)


def test_links_that_lead_nowhere_or_in_circles_and_folders_named_as_pictures(photos):
    (photos / "x.png").mkdir()
    picture(photos / "x.png" / "y.png")
    (photos / "circle").symlink_to(photos)
    (photos / "itself.png").symlink_to(photos / "itself.png")
    (photos / "gone.png").symlink_to(photos / "nothing.png")
    assert names(photos) == ["0.png", "1.png", "2.png", "gone.png", "itself.png", "x.png/y.png"]
    for name in ("gone.png", "itself.png"):
        with pytest.raises(jgan.UserError, match=name):
            images.read(photos / name)
    with pytest.raises(jgan.UserError, match="x.png"):
        images.read(photos / "x.png")


@pytest.mark.parametrize("other", ["checkpoints", "weights.safetensors"])
def test_the_directory_of_a_run_is_no_output(tmp_path, other):
    for name in ("config.json", other):
        (tmp_path / name).write_text("")
    with pytest.raises(jgan.UserError, match="is the directory of a run"):
        outputs.make(tmp_path)
    outputs.make(tmp_path / "below")
