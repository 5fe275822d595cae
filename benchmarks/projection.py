"""Times projection against a PyTorch peer to the same cost, and one gradient step of the latents.

    python -m benchmarks.projection [--workdir=RUN] [--ngf=128] [--images=32]

Pictures are drawn objects of 64 px that no run was trained on, the generator DCGAN's with 4x4 kernels: a run's, or,
without one, a random one whose norms have seen 256 codes. The cost is the mean squared difference of pixels, and
every image has one start, the same on both sides. The peer is iGAN's loop over images (SciPy's L-BFGS-B through a
torch generator, 200 iterations), and Adam on all latents at once. The goal is the loop's median cost; ours and Adam
are each given as many evaluations as they need for it, found before anything is timed. Where Adam does not get there
in 400 steps at any of its rates, it is timed over these 400, and its ratio is a lower bound.

The last line of the output is one JSON object:

    ratio_loop     ours / the loop, in images per second
    ratio_batched  ours / batched Adam, in images per second; at least so much where Adam does not reach the goal
    batched_reached  whether it does
    cost_peer, cost_ours, cost_batched           median costs reached
    evaluations_ours, evaluations_batched        of generator and gradient, each start
    evaluations_loop                             median over images
    step_ratio     ours / torch, in seconds of one value and gradient of the cost of all images
    zoom_ratio     seconds of ours / of the same with optax's zoom line search under vmap, to the goal; with --zoom
    load_before    the machine's load before the start; above 0.5 the times mean little
"""

import importlib.util
import json
import statistics

from absl import flags

from benchmarks import projection_sides
from benchmarks import sides
import jgan
import launch

WORKDIR = flags.DEFINE_string(
    "workdir", "", "A run of dcgan at 64 px with 4x4 kernels; empty: random weights."
)
NGF = flags.DEFINE_integer("ngf", 128, "Width of the random generator.", lower_bound=1)
IMAGES = flags.DEFINE_integer("images", 32, "How many images are projected.", lower_bound=1)
LOOPED = flags.DEFINE_integer("looped", 8, "How many of them the timed loop takes.", lower_bound=1)
TURNS = flags.DEFINE_integer("turns", 5, "Turns that each side takes.", lower_bound=1)
STEP_ONLY = flags.DEFINE_bool("step_only", False, "Only step_ratio: a minute instead of half an hour.")
ZOOM = flags.DEFINE_bool("zoom", False, "Also time optax's zoom line search under vmap (ten minutes more).")


def main():
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("scipy") is None:
        raise jgan.UserError("The peer needs PyTorch and SciPy: pip install torch==2.13.0 scipy.")
    load = sides.prepare()
    ours = sides.Side(projection_sides.ours, WORKDIR.value, NGF.value, IMAGES.value)
    problem = ours.ask("problem")
    peer = sides.Side(projection_sides.peer, problem)
    try:
        report = (steps if STEP_ONLY.value else compare)(ours, peer)
    finally:
        ours.close()
        peer.close()
    print(json.dumps({**report, "load_before": load}))


def steps(ours, peer):
    """The ratio of gradient steps alone."""
    seconds = []
    for turn in range(TURNS.value):
        order = (ours, peer) if turn % 2 == 0 else (peer, ours)
        taken = {side: side.ask("step") for side in order}
        seconds.append((taken[ours], taken[peer]))
        print(f"turn {turn + 1}: step_ours {taken[ours]:.4f} s, step_peer {taken[peer]:.4f} s", flush=True)
    return {
        "step_ratio": statistics.median(a / b for a, b in seconds),
        "step_seconds_ours": statistics.median(a for a, _ in seconds),
        "step_seconds_peer": statistics.median(b for _, b in seconds),
    }


def compare(ours, peer):
    """All figures, from alternating turns."""
    loop = [peer.ask("loop", k) for k in range(IMAGES.value)]
    goal = statistics.median(cost for _, cost, _ in loop)
    print(f"loop: median cost {goal:.5f} after {projection_sides.ITERATIONS} iterations", flush=True)
    # The parity of the two sides: the same cost at the same codes.
    here, there = ours.ask("cost"), peer.ask("cost")
    if abs(here - there) > 1e-4 * there:
        raise jgan.UserError(f"the two generators differ: cost {here} here, {there} there.")
    searches = {"ours": "lockstep"} | ({"zoom": "zoom"} if ZOOM.value else {})
    needed = {name: ours.ask("needed", goal, how) for name, how in searches.items()}
    steps, rate, reached = peer.ask("needed", goal)
    short = "" if reached else " (not reached)"
    print(f"evaluations to the goal: {needed}, Adam {steps} at {rate}{short}", flush=True)
    times = {name: [] for name in ("ours", "zoom", "loop", "batched", "step_ours", "step_peer")}
    costs = {}
    for turn in range(TURNS.value):
        for side in ("ours", "peer") if turn % 2 == 0 else ("peer", "ours"):
            if side == "ours":
                times["step_ours"].append(ours.ask("step"))
                for name, how in searches.items():
                    seconds, costs[name] = ours.ask("project", needed[name], how)
                    times[name].append(seconds / IMAGES.value)
            else:
                times["step_peer"].append(peer.ask("step"))
                picked = range(turn % 2, IMAGES.value, max(1, IMAGES.value // LOOPED.value))
                looped = [peer.ask("loop", k)[0] for k in picked]
                times["loop"].append(sum(looped) / len(looped))
                seconds, costs["batched"] = peer.ask("adam", steps, rate)
                times["batched"].append(seconds / IMAGES.value)
        print(
            f"turn {turn + 1}: " + ", ".join(f"{k} {v[-1]:.4f} s" for k, v in times.items() if v), flush=True
        )

    def ratio(above, below):
        if not (times[above] and times[below]):
            return None
        return statistics.median(a / b for a, b in zip(times[above], times[below], strict=True))

    return {
        "ratio_loop": ratio("loop", "ours"),
        "ratio_batched": ratio("batched", "ours"),
        "batched_reached": reached,
        "step_ratio": ratio("step_ours", "step_peer"),
        "zoom_ratio": ratio("ours", "zoom"),
        "cost_peer": goal,
        "cost_ours": costs["ours"],
        "cost_batched": costs["batched"],
        "evaluations_loop": statistics.median(count for _, _, count in loop),
        "evaluations_ours": needed["ours"],
        "evaluations_batched": steps,
        "step_seconds_ours": statistics.median(times["step_ours"]),
        "step_seconds_peer": statistics.median(times["step_peer"]),
    }


if __name__ == "__main__":
    launch.run(main)
