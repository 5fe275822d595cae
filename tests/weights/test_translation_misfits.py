"""Files that no net of the old translation tools has written: a sentence, or the word of another family."""

import random

import numpy as np
import pytest

import jgan
from jgan.weights import files
from jgan.weights import translation
from tests.weights import torch_translation as peer
from tests.weights.torch_translation import torch
from tests.weights.translated import config_of
from tests.weights.translated import entry
from tests.weights.translated import filled
from tests.weights.translated import only


def test_an_instance_norm_with_weights_is_refused():
    for module in (peer.ResNet(2, norm="affine", width=2), peer.UNet(5, norm="affine", width=2)):
        with pytest.raises(jgan.UserError, match="affine instance norm"):
            translation.recognise(peer.entries(module.state_dict()))


def test_the_heads_of_cut_are_refused_by_name():
    heads = {
        f"mlp_{k}.{j}.{leaf}": torch.zeros(3) for k in range(5) for j in (0, 2) for leaf in ("weight", "bias")
    }
    with pytest.raises(jgan.UserError, match=r"PatchNCE \(netF of CUT\).*not needed"):
        translation.recognise(peer.entries(heads))


@pytest.mark.parametrize("change", ["values", "shape", "missing", "type"])
def test_other_filters_are_refused(change):
    state = peer.drawn(peer.Patch(2, 3, 2, "instance", down=True)).state_dict()
    name = "model.2.filt"
    if change == "missing":
        del state[name]
    else:
        x = state[name]
        state[name] = {"values": 2 * x, "shape": x[:1], "type": x.to(torch.int64)}[change]
    with pytest.raises(jgan.UserError, match=r"model\.2\.filt\.$"):
        translation.recognise(peer.entries(state))


def test_a_misfit_is_told_whole():
    state = peer.drawn(peer.UNet(5, width=2)).float().state_dict()
    del state["model.model.1.model.3.model.1.weight"]
    state["model.model.1.model.2.bias"] = torch.zeros(5)
    state["model.extra"] = torch.zeros(1)
    part = only(peer.entries(state))
    with pytest.raises(jgan.UserError) as error:
        filled(part, (32, 32))
    for word in ("model.3.model.1.weight", "model.2.bias 5 instead of 4", "model.extra"):
        assert word in str(error.value)
    assert str(error.value).count(". ") == 0


@pytest.mark.parametrize(
    "tree",
    [
        {},
        [],
        None,
        3,
        {"state_dict": {}},
        {"a": [1, {"b": "c"}]},
        {"features.0.weight": (64, 3, 3, 3)},
        {"model.0.weight": (5, 7), "model.0.bias": (5,)},
        {"model.0.weight": (64, 3, 4, 4)},
        {"model.model.model.0.weight": (0, 0, 4, 4)},
        {f"model.{'9' * 9999}.conv_block.1.weight": (4, 4, 3, 3)},
        {"model.model" + ".model.3" * 9999 + ".weight": (4, 4, 4, 4)},
        {"module.": (1,), "module.module.": (1,)},
        {"\ud800": (1,), "net.0.\x00": ()},
        {("a",): (1,), 3: (4,)},
        {f"model.0.{k}": (4, 4, 4, 4) for k in range(9_999)},
    ],
)
def test_what_is_of_another_family(tree):
    if isinstance(tree, dict):
        tree = {name: entry(x) if isinstance(x, tuple) else x for name, x in tree.items()}
    assert translation.recognise(tree) is None


def test_damaged_files_end_in_a_sentence_or_are_of_another_family():
    """Random changes of names and shapes, several at a time: never another exception, and never a quiet success."""
    rng = random.Random(0)
    bases = [
        (peer.entries(peer.drawn(module).float().state_dict()), size)
        for module, size in (
            (peer.UNet(5, width=2), (32, 32)),
            (peer.ResNet(2, width=2, down=True, up=True), (32, 32)),
            (peer.Patch(2, width=2), (32, 32)),
            (peer.Pixel(width=2, norm="instance"), (32, 32)),
        )
    ]
    told = set()
    for _ in range(200):
        base, size = rng.choice(bases)
        broken = dict(base)
        for _ in range(rng.choice([1, 1, 2, 5, len(base) // 2])):
            name = rng.choice(list(broken))
            match rng.randrange(5):
                case 0:
                    del broken[name]
                case 1:
                    broken[rng.choice(["", "model.", name + ".x", "model.0.weight.", "\n" * 99])] = (
                        broken.pop(name)
                    )
                case 2:
                    shape = list(broken[name].shape) or [1]
                    shape[rng.randrange(len(shape))] = rng.choice([0, 1, 5, 7, 10**12])
                    broken[name] = files.Entry(
                        tuple(shape), np.dtype(np.float32), base.get(name, entry((1,))).read
                    )
                case 3:
                    broken[name] = entry(broken[name].shape[1:], rng.choice([np.float32, np.int64, np.bool_]))
                case 4:
                    other = rng.choice(list(broken))
                    broken[name], broken[other] = broken[other], broken[name]
            if not broken:
                break
        needed = {n: x.shape for n, x in base.items() if not n.endswith("tracked")}
        if needed.items() <= {n: x.shape for n, x in broken.items()}.items():
            continue  # what was changed was a count of batches, or two tensors of a shape
        try:
            parts = translation.recognise(broken)
            told.add("none") if parts is None else filled(parts[0], size)
            # A net that lost all of its norms, and nothing else, is one without norms.
            assert parts is None or parts[0].facts["norm"] == "none"
        except jgan.UserError as error:
            told.add("sentence")
            assert str(error).isprintable() and len(str(error)) < 9999
    assert told == {"none", "sentence"}


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"generator.name": "encoder_decoder_64"}, "encoder_decoder_64"),
        ({"generator.upsample": "resize_conv"}, "resize_conv"),
        ({"generator.antialias": True}, "antialias"),
        ({"generator.name": "unet", "generator.antialias_up": "on"}, "antialias_up"),
    ],
)
def test_generators_that_the_old_tools_lack_are_not_written(changes, word):
    with pytest.raises(jgan.UserError, match=word):
        translation.generator_table(config_of(changes).generator)


def test_discriminators_that_the_old_tools_lack_are_not_written():
    with pytest.raises(jgan.UserError, match="antialias_place=before"):
        translation.discriminator_table(config_of({"discriminator.antialias": True}).discriminator)


def test_names_are_read_without_what_several_wrappers_put_in_front(tmp_path):
    state = peer.Patch(layers=1, width=2).state_dict()
    for front in ("module.", "_orig_mod.module.", "module._orig_mod.", "module.module."):
        torch.save({front + name: x for name, x in state.items()}, tmp_path / "net_D.pth")
        assert set(only(files.contents(tmp_path / "net_D.pth")).entries) == set(state)
