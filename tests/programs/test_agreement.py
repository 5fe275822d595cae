"""Processes that would not train one run together are refused before the first step."""

import types

import pytest

import jgan
from jgan import sharding
from jgan.programs import train


def member(small_config, start=4, **changes):
    config = small_config(**{name: value for name, value in changes.items() if name != "files"})
    stream = types.SimpleNamespace(examples=3, files=changes.get("files", {"a.png": 10}), labels="", lists={})
    return types.SimpleNamespace(config=config, stream=stream, start=start)


def told(monkeypatch, one, given=None):
    """What a process tells the others."""
    said = []
    with monkeypatch.context() as patch:
        patch.setattr(sharding, "gathered", lambda data: said.append(data) or [data])
        train._agree([one], given)
    return said[0]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({}, ""),
        ({"data.root": "/local/copy"}, ""),
        ({"steps": 5}, "process 2 has another config"),
        ({"loss.lambda_l1": 3.0}, "process 2 has another config"),
        ({"files": {"a.png": 11}}, "process 2 reads other data"),
        ({"start": 2}, "process 2 finds step 2 in the checkpoints where process 0 finds step 4"),
    ],
)
def test_processes_agree_on_config_data_and_checkpoints(monkeypatch, small_config, changes, sentence):
    same, other = member(small_config), member(small_config, **changes)
    everyone = [told(monkeypatch, one) for one in (same, same, other)]
    monkeypatch.setattr(sharding, "gathered", lambda data: everyone)
    for one in (same, other):  # each of them says the same
        if sentence:
            with pytest.raises(jgan.UserError, match=sentence):
                train._agree([one])
        else:
            train._agree([one])


def test_processes_agree_on_the_mesh(monkeypatch, small_config):
    same = member(small_config)
    everyone = [told(monkeypatch, same, {"model_axis": count}) for count in (1, 2)]
    monkeypatch.setattr(sharding, "gathered", lambda data: everyone)
    with pytest.raises(jgan.UserError, match="process 1 has another config"):
        train._agree([same], {"model_axis": 1})
