"""Times and efficiencies that a plan predicts for a chip, and how plans are shown."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from jgan.programs import plan as plan_lib
from jgan.programs import plan_chips

# What a batch is called efficient at, and up to where one is looked for.
ENOUGH, _MOST = 0.9, 2**16


class Prediction(NamedTuple):
    """A step on a chip. Efficiency is the share of its time that one device alone would take for as many images.

    Attributes:
        alone: seconds of arithmetic and memory traffic of one device without others.
        working: the same of one of the devices, which is longer where they all do the same.
        sending: seconds of all collectives.
        smallest: the smallest batch per device that is 90 % efficient, without overlap; None: there is none.
        smallest_overlapped: the same if collectives pass while kernels run.
        memory: bytes of all arrays at the batch of the plan.
        fits: the largest batch per device whose arrays fit into the chip's memory; 0: none.
    """

    alone: float
    working: float
    sending: float
    smallest: int | None
    smallest_overlapped: int | None
    memory: float
    fits: int

    @property
    def seconds(self) -> float:
        """Of a step whose collectives pass while nothing else runs."""
        return self.working + self.sending

    @property
    def overlapped(self) -> float:
        """Of a step whose collectives pass, as far as there is time, while kernels run: the best case."""
        return max(self.working, self.sending)


def predict(plan: plan_lib.Plan, chip: plan_chips.Chip, reached: float = 1.0) -> Prediction:
    """What the plan means on a chip.

    Times and memory at other batches lie on the line through those of the plan's two batches. What does not grow with
    the batch (parameters that are read and updated) one device alone does too.

    Args:
        plan: of a step.
        chip: all devices are such.
        reached: the share of the chip's peaks that kernels reach. At 1 they are as fast as they could be, and the
            efficiencies the lowest ones.
    """
    held = sum(plan.held.values())

    def seconds(step: plan_lib.Step) -> float:
        return sum(x.share * plan_chips.working(x.program, chip, plan.precision, reached) for x in step.calls)

    working = _line(plan.step, plan.larger, seconds)
    per_image = (seconds(plan.alone) - working(0)) / plan.alone.batch
    sending = _line(
        plan.step,
        plan.larger,
        lambda step: sum(x.share * plan_chips.sending(x.program, chip) for x in step.calls),
    )
    memory = _line(plan.step, plan.larger, lambda step: held + step.temporary)
    batch = plan.step.batch

    def alone(n: int) -> float:
        return min(working(0) + n * per_image, working(n))

    return Prediction(
        alone(batch),
        working(batch),
        sending(batch),
        _first(lambda n: alone(n) >= ENOUGH * (working(n) + sending(n))),
        _first(lambda n: alone(n) >= ENOUGH * max(working(n), sending(n))),
        memory(batch),
        (_first(lambda n: memory(n) > chip.memory) or _MOST + 1) - 1,
    )


def _line(
    here: plan_lib.Step, there: plan_lib.Step, of: Callable[[plan_lib.Step], float]
) -> Callable[[int], float]:
    """A number by the batch, from what it is at two batches."""
    first = of(here)
    slope = (of(there) - first) / (there.batch - here.batch)
    return lambda batch: max(first + (batch - here.batch) * slope, 0.0)


def _first(holds: Callable[[int], bool]) -> int | None:
    """The smallest batch from which on something holds; None if it does not at the most."""
    if not holds(_MOST):
        return None
    low, high = 0, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def as_dict(plan: plan_lib.Plan, predictions: Mapping[str, Prediction]) -> dict[str, Any]:
    """The plan as JSON: bytes, seconds and numbers of one device."""
    step = plan.step
    return {
        "system": plan.system,
        "precision": plan.precision,
        "devices": plan.devices,
        "batch_per_device": step.batch,
        "bytes": {**plan.held, "temporary": step.temporary},
        "flops": step.flops,
        "flops_alone": plan.alone.flops * step.batch / plan.alone.batch,
        "bytes_moved": step.moved,
        "collectives": {
            kind: {"count": count, "bytes": size} for kind, (count, size) in step.collectives().items()
        },
        "unknown_loops": sum(x.program.unknown_loops for x in step.calls),
        "chips": {
            name: {
                "alone_seconds": x.alone,
                "working_seconds": x.working,
                "collective_seconds": x.sending,
                "step_seconds": x.seconds,
                "step_seconds_overlapped": x.overlapped,
                "efficiency": x.alone / x.seconds,
                "efficiency_overlapped": x.alone / x.overlapped,
                "smallest_batch": x.smallest,
                "smallest_batch_overlapped": x.smallest_overlapped,
                "memory_bytes": x.memory,
                "largest_batch_in_memory": x.fits,
            }
            for name, x in predictions.items()
        },
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """A plan as text, from `as_dict`."""
    n, each = found["devices"], found["batch_per_device"]
    sizes = found["bytes"]
    shown = [
        f"{found['system']} in {found['precision']} on {n:,} devices: "
        f"{each} image{'s' * (each > 1)} on each, {n * each:,} in a step (launch.train --config.batch_size={n * each})",
        "",
        "on each device:",
        *(f"  {_bytes(size):>10}  {_PARTS[name]}" for name, size in sizes.items() if size),
        f"  {found['flops'] / 1e9:>10,.5g}  GFLOP of convolutions and products in a step",
        f"  {found['flops'] / found['flops_alone']:>10.4g}  times those of one device alone with as many images",
        f"  {_bytes(found['bytes_moved']):>10}  read and written by kernels in a step (estimate)",
    ]
    for kind, one in sorted(found["collectives"].items()):
        shown.append(f"  {_bytes(one['bytes']):>10}  in {one['count']:,.4g} {kind} of a step")
    if not found["collectives"]:
        shown.append(f"  {'none':>10}  in collectives")
    if found["unknown_loops"]:
        shown.append(
            f"  {found['unknown_loops']} loops of unknown length are counted as if they had one turn"
        )
    shown += [
        "",
        "predicted from the peaks of each chip (estimates; overlap: collectives while kernels run, the best case):",
        "",
        f"{'':8}{'kernels':>10}{'collectives':>13}{'step':>10}{'efficiency':>12}{'step,':>12}"
        f"{'efficiency,':>13}{'batch for 90 %':>16}{'memory':>12}{'batch that':>12}",
        f"{'chip':8}{'ms':>10}{'ms':>13}{'ms':>10}{'%':>12}{'overlap':>12}{'overlap':>13}"
        f"{'(overlap)':>16}{'':>12}{'fits':>12}",
    ]
    for name, x in found["chips"].items():
        smallest = f"{x['smallest_batch'] or 'none'} ({x['smallest_batch_overlapped'] or 'none'})"
        shown.append(
            f"{name:8}{_ms(x['working_seconds']):>10}{_ms(x['collective_seconds']):>13}"
            f"{_ms(x['step_seconds']):>10}{x['efficiency']:>12.1%}{_ms(x['step_seconds_overlapped']):>12}"
            f"{x['efficiency_overlapped']:>13.1%}{smallest:>16}{_bytes(x['memory_bytes']):>12}"
            f"{x['largest_batch_in_memory']:>12,}"
        )
    return shown


def table(plans: Sequence[Mapping[str, Any]]) -> list[str]:
    """Plans of several systems and numbers of devices as two tables in Markdown, from `as_dict` and a `name` each."""
    shown = [
        "| system | devices | images per device | parameters | optimiser | temporary (estimate) | GFLOP "
        "| collectives | MiB in them |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for x in plans:
        sizes, every = x["bytes"], x["collectives"].values()
        shown.append(
            f"| {x['name']} | {x['devices']:,} | {x['batch_per_device']} | {_bytes(sizes['parameters'])} | "
            f"{_bytes(sizes['optimiser'])} | {_bytes(sizes['temporary'])} | {x['flops'] / 1e9:,.0f} | "
            f"{sum(y['count'] for y in every):,.0f} | {sum(y['bytes'] for y in every) / 2**20:,.0f} |"
        )
    counts = list(dict.fromkeys(x["devices"] for x in plans))
    shown += [
        "",
        "| system | chip | " + " | ".join(f"{n:,} devices" for n in counts) + " |",
        "|---|---|" + "---|" * len(counts),
    ]
    for name in dict.fromkeys(x["name"] for x in plans):
        for chip in plans[0]["chips"]:
            cells = [_cell(x["chips"].get(chip)) for x in plans if x["name"] == name]
            shown.append(f"| {name} | {chip} | " + " | ".join(cells) + " |")
    return shown


def _cell(x: Mapping[str, Any] | None) -> str:
    """A step's time, the efficiencies and the smallest efficient batches."""
    if x is None:
        return ""
    return (
        f"{_ms(x['step_seconds'])} ms, {x['efficiency']:.0%} / {x['efficiency_overlapped']:.0%}, "
        f"{x['smallest_batch'] or 'none'} / {x['smallest_batch_overlapped'] or 'none'}"
    )


_PARTS = {
    "parameters": "parameters",
    "optimiser": "state of the optimisers",
    "averages": "averages of parameters",
    "others": "statistics, pools and the like",
    "temporary": "activations, gradients and other temporary arrays at their peak (estimate)",
}


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"
