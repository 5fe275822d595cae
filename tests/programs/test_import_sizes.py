"""What an import of large files takes: time and memory in proportion to the file, on files of the real sizes."""

import json
import subprocess
import sys

import pytest

from tests.weights import pickled

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
modules = pytest.importorskip("tests.weights.torch_translation")
ada = pytest.importorskip("tests.weights.torch_ada")

# Seconds from the end of the imports to the weights, and memory above that before the file is opened.
MEASURE = """
import json, resource, sys, time
from jgan.programs import import_plans, import_weights
from launch import config_files

def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before, start = memory("VmRSS"), time.perf_counter()
imported = import_weights.read(sys.argv[1:], config_files.get, import_plans.Choices())
taken = time.perf_counter() - start
print(json.dumps({"seconds": taken, "memory": memory("VmHWM") - before}))
"""


def unet(path):
    """A file of `unet_256`, 218 MB."""
    torch.save(modules.UNet().state_dict(), path)


def network(path):
    """An official pickle of 1024 px with G, D and G_ema, about 380 MB."""
    kwargs = {"channel_base": 32_768, "channel_max": 512, "conv_clamp": 256.0}
    g = ada.Generator(
        z_dim=512,
        c_dim=0,
        w_dim=512,
        img_resolution=1024,
        img_channels=3,
        mapping_kwargs={"num_layers": 8, "lr_multiplier": 0.01},
        synthesis_kwargs={**kwargs, "architecture": "skip"},
    )
    d = ada.Discriminator(0, 1024, 3, {"mbstd_group_size": 4}, **kwargs, architecture="resnet")
    found = [pickled.of(ada.persistent(net)) for net in (g, d, g)]
    with open(path, "wb") as file:
        file.write(pickled.dumps(dict(zip(("G", "D", "G_ema"), found, strict=True))))


@pytest.mark.parametrize("make, name", [(unet, "latest_net_G.pth"), (network, "network.pkl")])
def test_an_import_takes_little_more_than_reading(tmp_path, make, name):
    make(tmp_path / name)
    size = (tmp_path / name).stat().st_size
    megabytes = size / 1e6
    assert megabytes > 200
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / name)], capture_output=True, text=True, check=True
    )
    made = json.loads(found.stdout.splitlines()[-1])
    print(f"{name}: {megabytes:.0f} MB, {made['seconds']:.1f} s, {made['memory'] / size:.2f} times its size")
    assert made["memory"] <= 3 * size
    # 3 s for 218 MB; twice as long for a machine that does something else besides.
    assert made["seconds"] <= 2 * 3 * megabytes / 218
