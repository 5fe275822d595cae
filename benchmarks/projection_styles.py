"""Times projection into W+ against a PyTorch loop over images, to the same cost.

    python -m benchmarks.projection_styles [--workdir=RUN] [--images=16] [--steps=200]

Pictures are drawn objects of 64 px that no run was trained on, the generator StyleGAN2's: a run's, or, without one, a
drawn one of the preset `objects64`. Both sides take so many steps of Adam at 0.1 with the schedule of StyleGAN2's
projector, without its noise, from the same mean style, on the mean squared difference of pixels. The peer projects one
image after the other, as every published code does, by the faster of its two ways of modulating kernels (by
activations, or by a kernel for each example); ours all together, as `launch.project` does.

The last line of the output is one JSON object:

    ratio_loop       ours / the loop, in images per second; the median of turns
    ratio_batched    ours / the peer with all images at once, in images per second
    cost_ours, cost_peer      median costs reached, of which ours may be 2 % more at most
    seconds_ours, seconds_loop, seconds_batched      for one image
    grouped          the peer's way: a kernel for each example
    load_before      the machine's load before the start; above 0.5 the times mean little
"""

import importlib.util
import json
import statistics
import time

from absl import flags

from benchmarks import sides
import jgan
import launch

WORKDIR = flags.DEFINE_string("workdir", "", "A run of stylegan2 at 64 px; empty: drawn weights.")
IMAGES = flags.DEFINE_integer("images", 16, "How many images are projected.", lower_bound=1)
LOOPED = flags.DEFINE_integer("looped", 4, "How many of them the timed loop takes.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 200, "Steps of Adam for each image.", lower_bound=1)
TURNS = flags.DEFINE_integer("turns", 3, "Turns that each side takes.", lower_bound=1)

RATE, RAMP_UP, RAMP_DOWN = 0.1, 0.05, 0.25


def main():
    if importlib.util.find_spec("torch") is None:
        raise jgan.UserError("The peer needs PyTorch: pip install torch==2.13.0.")
    load = sides.prepare()
    ours = sides.Side(ours_side, WORKDIR.value, IMAGES.value, STEPS.value)
    problem = ours.ask("problem")
    peer = sides.Side(peer_side, problem, STEPS.value)
    try:
        report = compare(ours, peer)
    finally:
        ours.close()
        peer.close()
    print(json.dumps({**report, "load_before": load}))


def compare(ours, peer):
    """All figures, from alternating turns."""
    # The parity of the two sides: the same cost at the same styles.
    here, there = ours.ask("cost"), peer.ask("cost")
    if abs(here - there) > 1e-3 * there:
        raise jgan.UserError(f"the two generators differ: cost {here} here, {there} there.")
    grouped = peer.ask("choose")
    ours.ask("project")  # compiles
    times, costs = {"ours": [], "loop": [], "batched": []}, {}
    looped = min(LOOPED.value, IMAGES.value)
    for turn in range(TURNS.value):
        for side in ("ours", "peer") if turn % 2 == 0 else ("peer", "ours"):
            if side == "ours":
                seconds, costs["ours"] = ours.ask("project")
                times["ours"].append(seconds / IMAGES.value)
                continue
            picked = [(turn * looped + k) % IMAGES.value for k in range(looped)]
            found = [peer.ask("project", [k], grouped) for k in picked]
            times["loop"].append(sum(seconds for seconds, _ in found) / looped)
            costs |= {k: cost[0] for k, (_, cost) in zip(picked, found, strict=True)}
            seconds, costs["batched"] = peer.ask("project", list(range(IMAGES.value)), False)
            times["batched"].append(seconds / IMAGES.value)
        print(f"turn {turn + 1}: " + ", ".join(f"{k} {v[-1]:.3f} s" for k, v in times.items()), flush=True)
    picked = [k for k in costs if isinstance(k, int)]
    mine = statistics.median(costs["ours"][k] for k in picked)
    theirs = statistics.median(costs[k] for k in picked)
    if mine > 1.02 * theirs:
        raise jgan.UserError(f"the costs differ: {mine} here and {theirs} there, after as many steps.")

    def ratio(above):
        return statistics.median(a / b for a, b in zip(times[above], times["ours"], strict=True))

    return {
        "ratio_loop": ratio("loop"),
        "ratio_batched": ratio("batched"),
        "cost_ours": mine,
        "cost_peer": theirs,
        **{f"seconds_{name}": statistics.median(taken) for name, taken in times.items()},
        "grouped": grouped,
    }


# The two sides. Their imports stay inside: neither process may carry the other's library.


def ours_side(workdir, number, steps):
    """What our side answers: the problem, the cost at its beginning, and a timed projection of all images."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks import stylegan2_names
    from configs import stylegan2 as presets
    from jgan import trained
    from jgan.data import objects
    from jgan.latent import projection
    from jgan.systems import stylegan2

    if workdir:
        run = trained.load(workdir, latent=True)
        if run.config.system != "stylegan2" or run.config.data.size != 64:
            raise jgan.UserError(f"--workdir={workdir}: the peer is a StyleGAN2 of 64 px.")
        system, weights, config = run.system, run.weights, run.config
        weights = {"params": weights["params"], "stats": weights["stats"]}
    else:
        config = presets.get_config("objects64")
        system = stylegan2.build(config)
        batch = {"images": jnp.zeros((2, 64, 64, 3), jnp.uint8)}
        weights = jax.jit(lambda key: system.init(key, batch).weights())(jax.random.key(0))
    weights = {
        part: {net: weights[part][net] for net in ("mapping", "synthesis")} for part in ("params", "stats")
    }
    drawn = objects.Objects(64, number, seed=987_654)
    targets = jnp.asarray(np.stack([drawn[k] for k in range(number)]), jnp.float32) / 127.5 - 1
    settings = projection.Settings("adam", steps, RATE, ramp_up=RAMP_UP, ramp_down=RAMP_DOWN)

    def space(weights):
        return system.spaces["w_plus"].space(weights, {})

    begin = jax.jit(lambda weights: space(weights).styles.middle())(weights)

    @jax.jit
    def project(weights, targets):
        def one(target):
            return projection.project(space(weights), projection.reconstruction(target), begin, settings).cost

        return jax.vmap(one)(targets)

    def timed():
        begun = time.perf_counter()
        costs = jax.block_until_ready(project(weights, targets))
        return time.perf_counter() - begun, [float(x) for x in costs]

    @jax.jit
    def cost(weights):
        made = space(weights).generate(begin)
        return jnp.mean(jnp.square(made - targets))

    def problem():
        net, noise = jax.tree.map(np.asarray, (weights["params"]["synthesis"], weights["stats"]["synthesis"]))
        named = {name: np.ascontiguousarray(x) for name, x in stylegan2_names.named(net).items()}
        sizes = (
            config.data.size,
            config.mapping.w_dim,
            config.generator.channel_base,
            config.generator.channel_max,
        )
        maps = [noise[b][c] for b in sorted(noise, key=lambda b: int(b[1:])) for c in sorted(noise[b])]
        shape = (*sizes, config.generator.architecture, config.generator.clamp or None)
        return named, shape, maps, np.asarray(begin), np.asarray(targets)

    return {"problem": problem, "cost": lambda: float(cost(weights)), "project": timed}


def peer_side(problem, steps):
    """What the peer answers: the cost at the beginning, its faster way, and timed projections of some images."""
    import math

    import torch

    from benchmarks import peer_stylegan2

    torch.set_num_threads(sides.THREADS)
    named, (size, w_dim, base, most, architecture, clamp), maps, begin, targets = problem
    channels = targets.shape[3]
    net = peer_stylegan2.Synthesis(size, w_dim, channels, base, most, architecture, clamp)
    net.load_state_dict({name: torch.tensor(x) for name, x in named.items()})
    net.requires_grad_(False)
    noise = [torch.tensor(x)[None, None] for x in maps]
    wanted = torch.tensor(targets).permute(0, 3, 1, 2).contiguous()

    def costs(ws, wanted, grouped):
        return ((net(ws, noise, grouped) - wanted) ** 2).mean((1, 2, 3))

    def project(chosen, grouped, steps=steps):
        """(seconds, the lowest cost of each image) of Adam on the images with these numbers, all at once."""
        begun = time.perf_counter()
        ws = torch.tensor(begin).repeat(len(chosen), 1, 1).requires_grad_()
        adam, aims = torch.optim.Adam([ws], RATE), wanted[chosen]
        best = torch.full((len(chosen),), torch.inf)
        for k in range(steps):
            t = k / steps
            down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / RAMP_DOWN))
            adam.param_groups[0]["lr"] = RATE * down * min(1.0, t / RAMP_UP)
            adam.zero_grad(set_to_none=True)
            cost = costs(ws, aims, grouped)
            cost.sum().backward()
            best = torch.minimum(best, cost.detach())
            adam.step()
        return time.perf_counter() - begun, best.tolist()

    def choose():
        """Whether a kernel for each example is the faster way for one image."""
        taken = {}
        for grouped in (False, True):
            project([0], grouped, 5)
            taken[grouped] = project([0], grouped, 20)[0]
        return taken[True] < taken[False]

    def cost():
        with torch.no_grad():
            return float(costs(torch.tensor(begin).repeat(len(wanted), 1, 1), wanted, False).mean())

    return {"cost": cost, "choose": choose, "project": project}


if __name__ == "__main__":
    launch.run(main)
