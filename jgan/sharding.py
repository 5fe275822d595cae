"""The placement of arrays: one mesh over all devices, over which batches are split.

The mesh has two axes. Over `data` a state is the same everywhere. Over `model`, which has one device if nothing else is
said, the large arrays among parameters, averages and optimiser states are divided, so that a state may be larger than
the memory of a device. Batches are split over both.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import io
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np

import jgan
from jgan import state as state_lib
from jgan.ops import placement

# Arrays of fewer numbers are whole everywhere: to divide them saves nothing and costs a message.
LARGE = 2**14


def mesh(model: int = 1) -> jax.sharding.Mesh:
    """All devices of all processes on the axes `data` and `model`, the second of so many devices.

    The axes are `Auto`, because explicit ones would need replicated kernels in every convolution.

    Raises:
        jgan.UserError: the number of devices is no multiple of `model`.
    """
    count = jax.device_count()
    if count % model:
        raise jgan.UserError(f"--model_axis={model} does not divide {count} devices: use a divisor.")
    # In the order of processes, so that the rows of a batch that are a process's own are neighbours.
    devices = np.array(sorted(jax.devices(), key=lambda device: (device.process_index, device.id)))
    return jax.sharding.Mesh(
        devices.reshape(count // model, model), placement.AXES, axis_types=(AxisType.Auto,) * 2
    )


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
    """The sharding of arrays of which every device holds the whole."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: jax.sharding.Mesh) -> NamedSharding:
    """The sharding of a batch: its first axis over the devices."""
    return NamedSharding(mesh, PartitionSpec(placement.AXES))


def divided(mesh: jax.sharding.Mesh, shape: tuple[int, ...], large: int = LARGE) -> NamedSharding:
    """The sharding of one array of a state: its longest axis that the axis `model` divides, if it is `large`."""
    count = mesh.shape["model"]
    possible = [k for k, length in enumerate(shape) if length % count == 0]
    if count == 1 or not possible or np.prod(shape) < large:
        return replicated(mesh)
    longest = max(possible, key=lambda k: shape[k])
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, "model"))


def of_state(mesh: jax.sharding.Mesh, state: state_lib.State, large: int = LARGE) -> state_lib.State:
    """The shardings of a state, given as its arrays or their shapes."""
    whole = jax.tree.map(lambda _: replicated(mesh), state)
    parts = {
        name: jax.tree.map(lambda x: divided(mesh, x.shape, large), getattr(state, name))
        for name in ("params", "opt", "ema")
    }
    return dataclasses.replace(whole, **parts)


def global_batch(batch: dict[str, np.ndarray], sharding: NamedSharding) -> dict[str, jax.Array]:
    """The batch as global arrays, from each process's own part of it."""
    return {name: jax.make_array_from_process_local_data(sharding, x) for name, x in batch.items()}


def check(batch_size: int) -> None:
    """Refuses a batch that does not divide over the devices with a `jgan.UserError`."""
    if batch_size % jax.device_count():
        raise jgan.UserError(
            f"batch_size={batch_size} does not divide over {jax.device_count()} devices: use a multiple."
        )


@contextlib.contextmanager
def once(manager: contextlib.AbstractContextManager[Any]) -> Iterator[None]:
    """Enters a context in the first process on behalf of all; if that is refused, all processes end.

    Raises:
        jgan.UserError: the error that `manager` raises.
    """
    with contextlib.ExitStack() as held:
        refused = None
        if jax.process_index() == 0:
            try:
                held.enter_context(manager)
            except jgan.UserError as error:
                refused = error
        if jax.process_count() > 1 and multihost_utils.broadcast_one_to_all(np.int32(refused is not None)):
            refused = refused or jgan.UserError("the first process was refused, and says why.")
        if refused is not None:
            raise refused
        yield


def share() -> tuple[int, int]:
    """(number of this process, how many there are), for what processes divide among themselves."""
    return jax.process_index(), jax.process_count()


def over_devices(tree: Any, rows: int = 0) -> Any:
    """Arrays [n, ...] split over the devices of this process, if n divides over them; otherwise as they are.

    Programs of one process alone take them, as those that make and look at pictures for a score.

    Args:
        tree: of arrays.
        rows: n, where the tree has other arrays too, which every device gets whole; 0: all of them are [n, ...].
    """
    devices = jax.local_devices()
    sizes = {len(x) for x in jax.tree.leaves(tree)} if rows == 0 else {rows}
    if len(devices) == 1 or len(sizes) != 1 or min(sizes) % len(devices):
        return tree
    own = jax.sharding.Mesh(np.array(devices)[:, None], placement.AXES)
    n = sizes.pop()
    places = jax.tree.map(lambda x: split(own) if np.ndim(x) and len(x) == n else replicated(own), tree)
    return jax.device_put(tree, places)


def per_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(whole, *batches) -> batches`, compiled, with its batches [n, ...] divided over this process's devices.

    Every device runs the program of its own part and waits for no other, so that a part gives the same bits as on one
    device; of those of another number it needs nothing. n must divide over the devices.
    """
    devices = jax.local_devices()
    if len(devices) == 1:
        return jax.jit(function)
    own = jax.sharding.Mesh(np.array(devices), ("data",))

    def divided(whole: Any, *batches: Any) -> Any:
        # The primitives of this project have no rules for what varies over devices, and need none: nothing is shared.
        each = jax.shard_map(
            function,
            mesh=own,
            in_specs=(PartitionSpec(), *[PartitionSpec("data")] * len(batches)),
            out_specs=PartitionSpec("data"),
            check_vma=False,
        )
        return each(whole, *batches)

    return jax.jit(divided)


def on_devices(tree: Any) -> Any:
    """A tree of arrays, whole on every device of this process, so that calls of `per_device` need not send it again."""
    devices = jax.local_devices()
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    return jax.device_put(tree, replicated(jax.sharding.Mesh(np.array(devices), ("data",))))


def gathered(data: bytes) -> list[bytes]:
    """What each process gives, in their order, in every process. All of them must call it.

    Arrays are carried as bytes, because on devices float64 would become float32.
    """
    if jax.process_count() == 1:
        return [data]
    sizes = multihost_utils.process_allgather(np.int32(len(data)))
    filled = np.zeros(int(sizes.max()), np.uint8)
    filled[: len(data)] = np.frombuffer(data, np.uint8)
    found = multihost_utils.process_allgather(filled)
    return [bytes(row[:size]) for row, size in zip(np.asarray(found), sizes, strict=True)]


def total(values: dict[str, Any]) -> dict[str, np.ndarray]:
    """{name: the sum of what the processes have under it}, numbers or arrays; 0 where one has none."""
    file, found = io.BytesIO(), {}
    np.savez(file, **{f"_{name}": x for name, x in values.items()})
    for part in gathered(file.getvalue()):
        with np.load(io.BytesIO(part)) as arrays:
            for name in arrays.files:
                found[name[1:]] = found.get(name[1:], 0) + arrays[name]
    return found
