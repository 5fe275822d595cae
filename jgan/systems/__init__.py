"""One file per GAN system: its losses, its update order, its state.

A system is a few pure functions over a `jgan.state.State`; `SYSTEMS` names the builders.
"""

from jgan.systems import cyclegan
from jgan.systems import dcgan
from jgan.systems import gan
from jgan.systems import pix2pix

SYSTEMS = {"pix2pix": pix2pix.build, "cyclegan": cyclegan.build, "gan": gan.build, "dcgan": dcgan.build}
