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
import time

from absl import flags

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

ITERATIONS = 200  # of the loop
MOST = 400  # evaluations that ours and Adam may need
RATES = (0.03, 0.1, 0.3)  # of Adam; the one that is there first counts


def main():
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("scipy") is None:
        raise jgan.UserError("The peer needs PyTorch and SciPy: pip install torch==2.13.0 scipy.")
    load = sides.prepare()
    ours = sides.Side(ours_side, WORKDIR.value, NGF.value, IMAGES.value)
    problem = ours.ask("problem")
    peer = sides.Side(peer_side, problem)
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
    print(f"loop: median cost {goal:.5f} after {ITERATIONS} iterations", flush=True)
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


# The two sides. Their imports stay inside: neither process may carry the other's library.


def ours_side(workdir, ngf, number):
    """What our side answers: the problem, how many evaluations it needs for a cost, and timed projections."""
    import functools

    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from configs import dcgan as dcgan_config
    from jgan import trained
    from jgan.data import objects
    from jgan.latent import projection
    from jgan.systems import dcgan

    if workdir:
        run = trained.load(workdir, latent=True)
        if run.config.system != "dcgan" or run.config.data.size != 64 or run.config.generator.kernel != 4:
            raise jgan.UserError(f"--workdir={workdir}: the peer is a DCGAN of 64 px with 4x4 kernels.")
        system, weights, config = run.system, run.weights, run.config
    else:
        config = dcgan_config.get_config()
        config.generator.ngf = ngf
        system = dcgan.build(config)
        state = jax.jit(system.init)(jax.random.key(0), {"images": jnp.zeros((2, 64, 64, 3), jnp.uint8)})
        state, _ = jax.jit(lambda s, b: system.step(s, b, jax.random.key(1), ("statistics",)))(
            state, {"images": jnp.zeros((256, 64, 64, 3), jnp.uint8)}
        )
        weights = {"params": state.params, "stats": state.stats, "frozen": {}}
    drawn = objects.Objects(64, number, seed=987_654)
    targets = jnp.asarray(np.stack([drawn[k] for k in range(number)]), jnp.float32) / 127.5 - 1
    sample = next(iter(system.spaces.values())).space(weights, {}).sample
    starts = jax.vmap(sample)(jax.random.split(jax.random.key(2), number))

    def cost(weights, target, u):
        space = next(iter(system.spaces.values())).space(weights, {})
        return projection.reconstruction(target)(space.generate(space.bound(u)))

    def lockstep(evaluations, history, weights, targets, starts):
        settings = projection.Settings(evaluations=evaluations, tolerance=0.0)

        def one(target, start):
            space = next(iter(system.spaces.values())).space(weights, {})
            return projection.project(
                space, projection.reconstruction(target), start, settings, history=history
            )

        found = jax.vmap(one)(targets, starts)
        return found.cost, found.history

    def zoom(iterations, history, weights, targets, starts):
        """The same with optax's own line search inside an iteration: each lane waits for the slowest."""
        space = next(iter(system.spaces.values())).space(weights, {})
        minimiser = optax.lbfgs()

        def one(target, start):
            value = functools.partial(cost, weights, target)
            known = optax.value_and_grad_from_state(value)

            def body(carry, _):
                u, state = carry
                f, g = known(u, state=state)
                change, state = minimiser.update(g, state, u, value=f, grad=g, value_fn=value)
                return (optax.apply_updates(u, change), state), f

            u = space.free(start)
            (u, _), past = jax.lax.scan(body, (u, minimiser.init(u)), None, length=iterations)
            past = jax.lax.cummin(past)
            return past[-1], past

        return jax.vmap(one)(targets, starts)

    compiled = {}

    def program(how, length, history):
        if (how, length, history) not in compiled:
            function = {"lockstep": lockstep, "zoom": zoom}[how]
            compiled[how, length, history] = jax.jit(functools.partial(function, length, history))
        return compiled[how, length, history]

    def needed(goal, how):
        """The number of evaluations (of zoom: iterations) after which the median cost is at or below the goal."""
        most = MOST if how == "lockstep" else ITERATIONS
        _, past = program(how, most, True)(weights, targets, starts)
        reached = np.nonzero(np.median(np.asarray(past), 0) <= goal)[0]
        if not len(reached):
            raise jgan.UserError(f"{how} does not reach the loop's cost of {goal} in {most}.")
        return int(reached[0]) + 1

    def timed(length, how):
        ready = program(how, length, False)
        if length not in warm.setdefault(how, set()):
            jax.block_until_ready(ready(weights, targets, starts))
            warm[how].add(length)
        begun = time.perf_counter()
        costs, _ = jax.block_until_ready(ready(weights, targets, starts))
        return time.perf_counter() - begun, float(np.median(np.asarray(costs)))

    warm = {}
    gradient = jax.jit(lambda w, t, u: jax.vmap(jax.value_and_grad(cost, 2), (None, 0, 0))(w, t, u))
    us = jax.vmap(next(iter(system.spaces.values())).space(weights, {}).free)(starts)

    def step(repeats=5):
        jax.block_until_ready(gradient(weights, targets, us))
        begun = time.perf_counter()
        for _ in range(repeats):
            jax.block_until_ready(gradient(weights, targets, us))
        return (time.perf_counter() - begun) / repeats

    def problem():
        net = [jax.tree.map(np.asarray, weights[part]["generator"]) for part in ("params", "stats")]
        bounded = config.latent.prior == "uniform"
        return (*net, config.norm_epsilon, bounded, np.asarray(targets), np.asarray(us))

    return {
        "problem": problem,
        "cost": lambda: float(jnp.mean(gradient(weights, targets, us)[0])),
        "needed": needed,
        "project": timed,
        "step": step,
    }


def peer_side(problem):
    """What the peer answers: one image of the loop, batched Adam, and one gradient step."""
    import numpy as np
    from scipy import optimize
    import torch

    from benchmarks import peer

    torch.set_num_threads(sides.THREADS)
    params, stats, epsilon, bounded, targets, us = problem
    net = peer.Generator(us.shape[1], params["up_4"]["kernel"].shape[2]).take(params, stats)
    for norm in net.norms:
        norm.eps = epsilon
    bound = torch.tanh if bounded else (lambda u: u)
    wanted = torch.tensor(targets).permute(0, 3, 1, 2).contiguous()
    begin = torch.tensor(us)

    def costs(u, wanted):
        return ((net(bound(u)) - wanted) ** 2).mean((1, 2, 3))

    def loop(k):
        """(seconds, cost, evaluations) of image k."""

        def value(u):
            u = torch.tensor(u[None], dtype=torch.float32, requires_grad=True)
            cost = costs(u, wanted[k : k + 1]).sum()
            (gradient,) = torch.autograd.grad(cost, u)
            return float(cost.detach()), gradient.numpy()[0].astype(np.float64)

        begun = time.perf_counter()
        found = optimize.minimize(
            value,
            us[k].astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": ITERATIONS},
            tol=1e-6,
        )
        return time.perf_counter() - begun, float(found.fun), int(found.nfev)

    def descend(steps, rate, goal=-1.0):
        """(seconds, median of the lowest costs, steps taken) of Adam on all latents, until the goal."""
        u = begin.clone().requires_grad_()
        adam = torch.optim.Adam([u], rate)
        best = torch.full((len(us),), torch.inf)
        begun = time.perf_counter()
        for k in range(steps):
            adam.zero_grad(set_to_none=True)
            cost = costs(u, wanted)
            cost.sum().backward()
            best = torch.minimum(best, cost.detach())
            if goal >= 0 and float(best.quantile(0.5)) <= goal:
                steps = k + 1
                break
            adam.step()
        return time.perf_counter() - begun, float(best.quantile(0.5)), steps

    def needed(goal):
        """(steps, learning rate, whether it gets there) of the Adam that is first at the goal, or else the lowest."""
        found = []
        for rate in RATES:
            # Once one is there, the others have as many steps as it took.
            most = min([MOST, *(steps for reached, steps, _, _ in found if reached)])
            _, cost, steps = descend(most, rate, goal)
            found.append((cost <= goal, steps, cost, rate))
        reached, steps, _, rate = min(found, key=lambda x: (not x[0], x[1], x[2]))
        return steps, rate, reached

    def step(repeats=5):
        u = begin.clone().requires_grad_()
        torch.autograd.grad(costs(u, wanted).sum(), u)
        begun = time.perf_counter()
        for _ in range(repeats):
            torch.autograd.grad(costs(u, wanted).sum(), u)
        return (time.perf_counter() - begun) / repeats

    return {
        "loop": loop,
        "cost": lambda: float(costs(begin, wanted).mean()),
        "needed": needed,
        "adam": lambda steps, rate: descend(steps, rate)[:2],
        "step": step,
    }


if __name__ == "__main__":
    launch.run(main)
