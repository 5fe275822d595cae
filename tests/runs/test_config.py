"""The directory of a run: what the data are that it goes on with."""

import os
import pathlib

import ml_collections
import pytest

from configs import cyclegan
from configs import pix2pix
import jgan
from jgan.runs import config as run_config

FILES = {"train/A/0.png": 100, "train/A/1.png": 200, "train/B/0.png": 300}


def config(root):
    return ml_collections.ConfigDict({"data": {"root": str(root), "split": "train"}})


@pytest.fixture
def known(tmp_path):
    """The directory of a run that was trained on FILES in /data/one."""
    run_config.write_files(str(tmp_path), {"train": run_config.Data(FILES)})
    return str(tmp_path)


@pytest.mark.parametrize("root", ["/data/one/", "one", "/elsewhere"])
def test_the_same_files_are_the_same_data_wherever_they_lie(known, root):
    assert run_config.check_files(known, config("/data/one"), config(root), run_config.Data(FILES)) == ""


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"train/A/1.png": None}, r"of 3 files 1 is missing \(train/A/1.png\): put back"),
        ({"train/A/1.png": 199, "train/B/0.png": 1}, r"2 are of another size \(train/A/1.png, train/B/0.png\)"),
        ({f"A/{k}.png": 1 for k in range(4, 9)}, r"5 are new \(A/4.png, A/5.png, A/6.png, \.\.\.\)"),
        ({"train/A/\udce9.png": 1}, r"1 is new \(train/A/\\udce9.png\)"),
    ],
)  # fmt: skip
def test_other_data_are_refused_by_how_they_differ_and_taken_by_a_flag(known, changes, words):
    files = {name: size for name, size in {**FILES, **changes}.items() if size is not None}
    arguments = known, config("/data/one"), config("/data/one"), run_config.Data(files)
    with pytest.raises(jgan.UserError, match=words) as told:
        run_config.check_files(*arguments)
    assert "--allow_changed_data" in str(told.value)
    assert "differ" in run_config.check_files(*arguments, allow=True)


def test_files_that_are_there_but_cannot_be_used_are_told_from_missing_ones(known, tmp_path):
    (tmp_path / "train" / "A").mkdir(parents=True)
    (tmp_path / "train" / "A" / "1.png").touch()
    with pytest.raises(
        jgan.UserError, match=r"1 is missing \(.*B/0.png\), 1 is there but not usable \(train/A/1"
    ):
        data = run_config.Data({"train/A/0.png": 100, "2": 3})
        run_config.check_files(known, config(tmp_path), config(tmp_path), data)


def test_other_labels_of_the_same_pictures_are_other_data_wherever_they_were_read(tmp_path):
    def go(labels, lists, root="/data/one", **flags):
        data = run_config.Data(FILES, labels, lists)
        return run_config.check_files(str(tmp_path), config("/data/one"), config(root), data, **flags)

    run_config.write_files(str(tmp_path), {"train": run_config.Data(FILES, "abc", {"a.csv": 30})})
    assert go("abc", {"../b.csv": 31}, "/elsewhere") == ""
    with pytest.raises(jgan.UserError, match=r"same, but not their labels \(a.csv\): .*--allow_changed_data"):
        go("abd", {"a.csv": 30})
    assert "not their labels" in go("abd", {"a.csv": 30}, allow=True)
    # A run of before knows the size of its list alone.
    run_config.write_files(str(tmp_path), {"train": run_config.Data({**FILES, "a.csv": 30})})
    assert go("abd", {"a.csv": 30}) == ""
    with pytest.raises(jgan.UserError, match=r"of 4 files 1 is of another size \(a.csv\)"):
        go("abd", {"a.csv": 31})


def test_a_run_that_did_not_write_down_its_files_goes_on_in_the_same_folder(tmp_path):
    data = run_config.Data(FILES)
    assert run_config.check_files(str(tmp_path), config(tmp_path), config(f"{tmp_path}/"), data) == ""
    with pytest.raises(jgan.UserError, match="does not know their files.*--allow_changed_data"):
        run_config.check_files(str(tmp_path), config(tmp_path), config("/elsewhere"), data)


def test_a_field_that_came_after_the_run_stays_as_it_was(tmp_path):
    old, new = config("x"), config("x")
    new.data.labels = ""
    run_config.check_continuation(str(tmp_path), old, new)
    new.data.labels = "b"
    with pytest.raises(jgan.UserError, match="data.labels"):
        run_config.check_continuation(str(tmp_path), old, new)


def test_the_folder_of_a_run_s_data_is_where_files_are_searched():
    data = {"source": "folder", "root": "~/x"}
    assert run_config.searched(ml_collections.ConfigDict({"data": data})) == (os.path.expanduser("~/x"),)
    for other in ({"source": "facades"}, {"root": ""}):
        assert run_config.searched(ml_collections.ConfigDict({"data": {**data, **other}})) == ()


def test_facts_are_read_back_and_missing_ones_are_none(tmp_path):
    assert run_config.facts(str(tmp_path)) == {}
    run_config.write(str(tmp_path), config("x"), halves=(1.0, 1.5))
    assert run_config.facts(str(tmp_path)) == {"halves": [1.0, 1.5]}
    pathlib.Path(tmp_path, "config.json").write_text("[]")
    assert run_config.facts(str(tmp_path)) == {}


def test_a_run_of_another_system_is_refused_as_that(tmp_path):
    with pytest.raises(jgan.UserError, match="has system='pix2pix' and cannot go on with 'cyclegan'"):
        run_config.check_continuation(str(tmp_path), pix2pix.get_config(), cyclegan.get_config())


@pytest.mark.parametrize(
    "name, value",
    [
        ("loss.lambda_l1", float("nan")),
        ("optimiser.learning_rate", float("inf")),
        ("ema", 1.0),
        ("ema", -0.5),
        ("val_examples", 0),
        ("steps", 2**31),
        ("generator.ngf", 10**12),
        ("seed", 2**63),
    ],
)
def test_numbers_that_no_training_could_use_are_refused_by_name(name, value):
    config = pix2pix.get_config()
    config.update_from_flattened_dict({name: value})
    with pytest.raises(jgan.UserError, match=f"^{name}={value}"):
        run_config.check(config, ("pix2pix",))
