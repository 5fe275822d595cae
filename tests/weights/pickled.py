"""Pickles as StyleGAN2-ADA's code writes them: modules that are called back with their state and a source text."""

import collections
import contextlib
import pickle
import sys
import types

from jgan.weights import files

SOURCE = "import os; os.system('touch trace')"


class Persistent:
    """What is pickled as a call of the module `torch_utils.persistence` with a class, its source and a state."""

    def __init__(self, name, **state):
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": name,
            "state": state,
        }

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextlib.contextmanager
def module():
    """The module that these files name, as far as writing them needs it."""
    made = types.ModuleType("torch_utils.persistence")

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("never called")

    _reconstruct_persistent_obj.__module__ = made.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    made._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), made.__name__: made}
    try:
        yield
    finally:
        del sys.modules["torch_utils"], sys.modules[made.__name__]


def dumps(value, protocol=4):
    """The pickle of a value that has `Persistent` objects in it."""
    with module():
        return pickle.dumps(value, protocol)


def of(found):
    """`files.Object`s of persistent modules as what is pickled, with tensors of PyTorch."""
    import torch

    def tensor(x, parameter):
        if not isinstance(x, files.Entry):
            return x
        x = torch.from_numpy(x.read().copy())
        return torch.nn.Parameter(x, requires_grad=False) if parameter else x

    state = dict(found.state)
    for kind in ("_parameters", "_buffers"):
        state[kind] = collections.OrderedDict(
            (name, tensor(x, kind == "_parameters")) for name, x in state.get(kind, {}).items()
        )
    state["_modules"] = collections.OrderedDict(
        (name, None if x is None else of(x)) for name, x in state.get("_modules", {}).items()
    )
    return Persistent(found.type.rpartition(".")[2], **state)
