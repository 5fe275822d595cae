"""What every GAN system offers: a handful of pure functions."""

from collections.abc import Callable
from collections.abc import Mapping
import functools
import logging
import types
from typing import Any
from typing import NamedTuple

import jax

from jgan import fields
from jgan import space as space_lib
from jgan import state as state_lib

# XLA on CPU copies every parameter that is updated in place, unless it may look at the order of the program.
COMPILER_OPTIONS = {"xla_cpu_copy_insertion_use_region_analysis": True}
# LLVM's costlier passes take time to compile a step, and made those of pix2pix and DCGAN no faster.
STEP_COMPILER_OPTIONS = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 1}
# Random numbers are long programs, and these run once. Without any such passes (0) they run too long to gain by it.
INIT_COMPILER_OPTIONS = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
# Names without a platform in them that are set for CPUs alone.
_FOR_CPU = ("xla_backend_",)


class Tiling(NamedTuple):
    """How pictures beyond memory pass a way in parts.

    Attributes:
        multiple: the way pads images to multiples of this many pixels and crops what comes out.
        radius: with `running` statistics, how many pixels away a pixel of the output sees; None where it may see all.
        gather: `(weights, inputs) -> weights` whose `running` statistics are those of the inputs, taken as parts of
            one picture, in every net of the way.
    """

    multiple: int = 1
    radius: int | None = None
    gather: Callable[..., Any] | None = None


class Way(NamedTuple):
    """One thing that a system makes: a translation, a picture from a code.

    Attributes:
        run: `(weights, inputs, key, *, statistics, dropout=False) -> {name: images in [-1, 1]}`, pure. `weights` as
            `State.weights` returns them; `inputs` hold the fields of `inputs` and, where they are set, the controls;
            `key` draws dropout and the codes that are not set; `statistics` is what normalises: each `image` by itself,
            the `running` averages of training or the whole `batch`.
        inputs: names of fields of a batch that it starts from; none where codes are enough.
        controls: {name: field}, what a person sets besides.
        target: the field of a batch that the output should equal where examples are pairs, and be distributed like
            where they are not.
        returns: names of its pictures, the output first; `back` is the first input come back.
        tiling: how larger pictures pass in parts; None: whole only.
    """

    run: Callable[..., dict[str, Any]]
    inputs: tuple[str, ...] = ()
    controls: Mapping[str, fields.Field] = types.MappingProxyType({})
    target: str = ""
    returns: tuple[str, ...] = ("output",)
    tiling: Tiling | None = None


class Codes(NamedTuple):
    """A latent space, and what the system has learnt about it.

    `given` are the other inputs and controls of a way, of one example without a leading axis; {} where a way has none.

    Attributes:
        space: `(weights, given) -> Space`.
        judge: `(weights, images, given) -> {"logits": [...], "features": [...]}`, the discriminator, each image by
            itself; None where the run keeps none.
        predict: `(weights, images, given) -> latents`, the learnt inverse of `space`; None where there is none.
        learnt: after how many steps `predict` has begun to be learnt.
        search: how a projection searches it where nothing else is asked for: values of fields of
            `projection.Settings`, and the `method` and number of `starts`; {}: as `projection` has it.
    """

    space: Callable[[Any, Any], space_lib.Space]
    judge: Callable[..., dict[str, Any]] | None = None
    predict: Callable[..., Any] | None = None
    learnt: int = 0
    search: Mapping[str, Any] = types.MappingProxyType({})


class Frozen(NamedTuple):
    """Where the weights of a net come from that the system uses and does not train.

    Attributes:
        path: a file of weights, or the directory of another run.
        net: of a file the architecture, `alexnet` or `vgg16`; of a run the name of one of its nets.
    """

    path: str
    net: str


def _image(step: int) -> str:
    return "image"


class System(NamedTuple):
    """A GAN system as pure functions, built from a config.

    Attributes:
        init: `(key, batch) -> State`; traceable, only the batch's shapes matter.
        step: `(state, batch, key, updates) -> (State, metrics)`; `updates` is a static tuple from `plan`, metrics a
            flat dict of float scalars, the learning rates among them.
        plan: `step -> updates`, on the host and equal on all processes.
        ways: {name: Way}, the default first.
        spaces: {name: Codes}, the default first; empty for systems without a latent.
        frozen: {net: where its weights come from}; training keeps them in `State.frozen` as {"params", "stats"}, and in
            the run's own directory.
        statistics: `step -> str`, what normalises pictures that are taken after that many steps.
        phases: {title: its steps}, 0-based, of a run that has several; the log names them; no program asks for them.
        compiler_options: XLA's, under which `step` is to be compiled, as far as they are `supported`.
        separate: whether a step under several updates is the same as steps under one after the other. `programs` then
            compiles every update once, where otherwise each set of updates that the plan names is compiled whole.
    """

    init: Callable[..., state_lib.State]
    step: Callable[..., tuple[state_lib.State, dict[str, Any]]]
    plan: Callable[[int], tuple[str, ...]]
    ways: Mapping[str, Way]
    spaces: Mapping[str, Codes] = types.MappingProxyType({})
    frozen: Mapping[str, Frozen] = types.MappingProxyType({})
    statistics: Callable[[int], str] = _image
    phases: Mapping[str, range] = types.MappingProxyType({})
    compiler_options: Mapping[str, Any] = types.MappingProxyType(STEP_COMPILER_OPTIONS)
    separate: bool = False

    def programs(self, updates: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """The updates of a step of the plan as `step` is to be called with them, one after the other."""
        return tuple((name,) for name in updates) if self.separate else (updates,)


def supported(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of XLA's options that are for the platform in use and that its compiler knows, for `jax.jit`.

    XLA promises no option: names come and go with its versions.
    """
    platform = jax.default_backend()
    others = tuple(f"xla_{name}_" for name in ("cpu", "gpu", "tpu") if name != platform)
    others += () if platform == "cpu" else _FOR_CPU
    return {
        name: value for name, value in options.items() if not name.startswith(others) and _known(name, value)
    }


@functools.cache
def _known(name: str, value: Any) -> bool:
    """Whether a program of one number compiles with the option; what is not known is logged once."""
    try:
        jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
    except (RuntimeError, ValueError):
        logging.getLogger(__name__).warning("this version of XLA has no %s and compiles without it", name)
        return False
    return True
