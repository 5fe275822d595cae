"""What every GAN system offers: a handful of pure functions."""

from collections.abc import Callable
from collections.abc import Mapping
import functools
import logging
import types
from typing import Any
from typing import NamedTuple

import jax

from jgan import state as state_lib

# XLA on CPU copies every parameter that is updated in place, unless it may look at the order of the program.
COMPILER_OPTIONS = {"xla_cpu_copy_insertion_use_region_analysis": True}
# LLVM's costlier passes take time to compile a step, and made those of pix2pix and DCGAN no faster.
STEP_COMPILER_OPTIONS = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 1}
# Random numbers are long programs, and these run once. Without any such passes (0) they run too long to gain by it.
INIT_COMPILER_OPTIONS = {"xla_backend_optimization_level": 1, "xla_cpu_use_fusion_emitters": False}
# Names without a platform in them that are set for CPUs alone.
_FOR_CPU = ("xla_backend_",)


class Translation(NamedTuple):
    """One way a translation system goes: fields of a batch, and names in what `System.apply` returns.

    Attributes:
        source: the batch field it starts from; `apply` needs no other.
        output: the translation.
        target: the batch field the translation should equal, where examples are pairs.
        back: the reconstruction of the source; empty where the system has no way back.
    """

    source: str
    output: str
    target: str
    back: str = ""


class System(NamedTuple):
    """A GAN system as pure functions, built from a config.

    Attributes:
        init: `(key, batch) -> State`; traceable, only the batch's shapes matter.
        step: `(state, batch, key, updates) -> (State, metrics)`; `updates` is a static tuple from `plan`, metrics
            a flat dict of float scalars.
        apply: `(weights, inputs, key, **controls) -> {name: images}`; inference and previews. `weights` as
            `State.weights` returns them.
        plan: `step -> updates`, on the host and equal on all processes.
        space: `(weights, condition) -> Space | None`; None for systems without a latent.
        translations: {direction: Translation}, the default first; empty for systems that do not translate.
        multiple: `apply` pads images to multiples of this many pixels and crops what comes out.
        radius: with `running` statistics, how many pixels away a pixel of a translation sees; None where it may
            see all.
        gather: `(weights, inputs) -> weights` whose `running` statistics are those of the inputs, taken as parts
            of one picture, in every net between them and their translation.
        judge: `(weights, images) -> {"logits": [...], "features": [...]}`, the discriminator of a system with a
            latent, each image by itself.
        predict: `(weights, images) -> latents`, where the system has learnt to: the way back from `space`.
        phases: {phase: its steps}, 0-based, of a run that has several: while in `gan` only the statistics of a
            batch are good for pictures, from `predictor` on `predict` is learnt. Empty where all steps are alike.
        compiler_options: XLA's, under which `step` is to be compiled, as far as they are `supported`.
    """

    init: Callable[..., state_lib.State]
    step: Callable[..., tuple[state_lib.State, dict[str, Any]]]
    apply: Callable[..., dict[str, Any]]
    plan: Callable[[int], tuple[str, ...]]
    space: Callable[[Any, Any], Any]
    translations: dict[str, Translation]
    multiple: int = 1
    radius: int | None = None
    gather: Callable[..., Any] | None = None
    judge: Callable[..., dict[str, Any]] | None = None
    predict: Callable[..., Any] | None = None
    phases: Mapping[str, range] = types.MappingProxyType({})
    compiler_options: Mapping[str, Any] = types.MappingProxyType(STEP_COMPILER_OPTIONS)


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
