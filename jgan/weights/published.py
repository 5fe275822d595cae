"""The public files of weights that a user may bring: what a missing one is called, how large it is, and its SHA-256."""

from collections.abc import Sequence
import os
from typing import NamedTuple

import jgan


class File(NamedTuple):
    """A public file.

    Attributes:
        of: what it holds, as sentences name it.
        address: where its authors publish it.
        size: in bytes.
        sha256: of its bytes, in hexadecimal digits.
    """

    of: str
    address: str
    size: int
    sha256: str


_TORCHVISION = "download.pytorch.org/models/"
_LPIPS = "github.com/richzhang/PerceptualSimilarity/blob/master/lpips/weights/"

FILES = {
    "alexnet": File(
        "AlexNet",
        f"{_TORCHVISION}alexnet-owt-7be5be79.pth",
        244_408_911,
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    "vgg16": File(
        "VGG-16",
        f"{_TORCHVISION}vgg16-397923af.pth",
        553_433_881,
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "vgg19": File(
        "VGG-19",
        f"{_TORCHVISION}vgg19-dcbb9e9d.pth",
        574_673_361,
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    ),
    "lpips 0.1 alexnet": File(
        "LPIPS 0.1 on AlexNet",
        f"{_LPIPS}v0.1/alex.pth",
        6_009,
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "lpips 0.1 vgg16": File(
        "LPIPS 0.1 on VGG-16",
        f"{_LPIPS}v0.1/vgg.pth",
        7_289,
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
    "lpips 0.0 alexnet": File(
        "LPIPS 0.0 on AlexNet",
        f"{_LPIPS}v0.0/alex.pth",
        5_455,
        "18720f55913d0af89042f13faa7e536a6ce1444a0914e6db9461355ece1e8cd5",
    ),
    "lpips 0.0 vgg16": File(
        "LPIPS 0.0 on VGG-16",
        f"{_LPIPS}v0.0/vgg.pth",
        6_735,
        "b9e4236260c3dd988fc79d2a48d645d885afcbb21f9fd595e6744cf7419b582c",
    ),
    "inception": File(
        "Inception-v3 of 2015, by which FID is measured,",
        "github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        95_628_359,
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}
NETS = ("alexnet", "vgg16", "vgg19")


def demand(path: str, keys: Sequence[str]) -> None:
    """Refuses a file that is missing with a sentence on the public files that would work.

    Args:
        path: the file.
        keys: of `FILES`; where the file's name says which of them it should be, the others are not told.

    Raises:
        jgan.UserError: there is no such file.
    """
    if os.path.exists(path):
        return
    keys = _meant(path, keys)
    known = "; or ".join(
        f"{file.of} is {file.address}, {file.size:,} bytes, SHA-256 {file.sha256}"
        for file in (FILES[key] for key in keys)
    )
    raise jgan.UserError(f"{path}: No such file. {known}.")


def _meant(path: str, keys: Sequence[str]) -> Sequence[str]:
    """Those of the keys that the file's name speaks of; all of them if it speaks of none."""
    name = os.path.basename(path).lower()
    net = "vgg19" if "19" in name else "vgg16" if "vgg" in name else "alexnet" if "alex" in name else ""
    return [key for key in keys if net and net in key] or keys
