"""Training on labels: what is refused of them before the first step, when a run begins and when it goes on."""

import ml_collections
import numpy as np
import pytest

from configs import stargan
import jgan
from jgan.data import images
from jgan.data import pipeline
from jgan.programs import train


@pytest.fixture
def config(tmp_path):
    """A tiny StarGAN on six pictures, whose list is not among them."""
    config = stargan.get_config("tiny")
    config.data.update(source="folder", root=str(tmp_path / "data"), names=("0", "1"), exclusive=())
    config.data.update(attributes=str(tmp_path / "list.csv"), cache_dir=str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for k in range(6):
        images.write(tmp_path / "data" / f"{k}.png", np.full((16, 16, 3), k, np.uint8))
    (tmp_path / "list.csv").write_text(
        "file,0,1\n" + "".join(f"{k}.png,{k % 2},{k // 3}\n" for k in range(6))
    )
    return config


def begun(config, workdir):
    """Leaves a run of `config` in `workdir`, as `train` does before its first step."""
    config = ml_collections.ConfigDict(config.to_dict())
    stream = pipeline.train(config.data, batch_size=2, seed=0)
    stream.close()
    config.data.update(stream.facts)
    workdir.mkdir()
    train._write(str(workdir), config, stream, None, "")


def test_a_run_goes_on_with_a_list_elsewhere_and_not_with_other_labels(config, tmp_path, monkeypatch):
    class Begun(Exception):
        pass

    def begin(*_, **__):
        raise Begun

    monkeypatch.setattr(train.loop, "Loop", begin)
    begun(config, tmp_path / "run")
    text, moved = (tmp_path / "list.csv").read_text(), tmp_path / "moved.csv"
    moved.write_text(text)
    config.data.attributes = str(moved)
    config.data.names = (0, 1)  # as a flag makes them
    with pytest.raises(Begun):
        train.train(config, str(tmp_path / "run"))
    for changed in (text.replace("file,0,1", "file,1,0"), text.replace("2.png,0,0", "2.png,1,0")):
        moved.write_text(changed)
        with pytest.raises(jgan.UserError, match=r"same, but not their labels \(\.\./moved\.csv\).*--allow_"):
            train.train(config, str(tmp_path / "run"))
        with pytest.raises(Begun):
            train.train(config, str(tmp_path / "run"), allow_changed_data=True)


def test_what_is_not_known_needs_a_mask(config, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(path.read_text().replace("4.png,0,", "4.png,,"))
    with pytest.raises(
        jgan.UserError, match="pictures have no value for attribute 0: --config.mask=true would"
    ):
        train.train(config, str(tmp_path / "run"))
    begun(config, tmp_path / "masked")  # no mistake of the data themselves
