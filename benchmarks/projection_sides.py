"""The two sides of `benchmarks.projection`.

Their imports stay inside: neither process may carry the other's library.
"""

import time

from benchmarks import sides
import jgan

ITERATIONS = 200  # of the loop
MOST = 400  # evaluations that ours and Adam may need
RATES = (0.03, 0.1, 0.3)  # of Adam; the one that is there first counts


def ours(workdir, ngf, number):
    """What our side answers: the problem, how many evaluations it needs for a cost, and timed projections."""
    import functools

    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from configs import dcgan as dcgan_config
    from jgan.data import objects
    from jgan.latent import projection
    from jgan.systems import dcgan

    if workdir:
        from jgan import trained  # which needs more packages than a machine with an accelerator may have

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


def peer(problem, device="cpu", compiled=False):
    """What the peer answers: one image of the loop, batched Adam, and one gradient step."""
    import numpy as np
    from scipy import optimize
    import torch

    from benchmarks import peer as nets

    if device == "cpu":
        torch.set_num_threads(sides.THREADS)
    else:
        torch.set_float32_matmul_precision("high")  # TF32, as XLA has it
        torch.backends.cudnn.benchmark = True
    params, stats, epsilon, bounded, targets, us = problem
    net = nets.Generator(us.shape[1], params["up_4"]["kernel"].shape[2]).take(params, stats)
    for norm in net.norms:
        norm.eps = epsilon
    net.to(device)
    if compiled:
        net.compile()
    bound = torch.tanh if bounded else (lambda u: u)
    wanted = torch.tensor(targets).permute(0, 3, 1, 2).contiguous().to(device)
    begin = torch.tensor(us).to(device)

    def wait():
        if device != "cpu":
            torch.cuda.synchronize()

    def costs(u, wanted):
        return ((net(bound(u)) - wanted) ** 2).mean((1, 2, 3))

    def loop(k):
        """(seconds, cost, evaluations) of image k."""

        def value(u):
            u = torch.tensor(u[None], dtype=torch.float32, device=device, requires_grad=True)
            cost = costs(u, wanted[k : k + 1]).sum()
            (gradient,) = torch.autograd.grad(cost, u)
            return float(cost.detach()), gradient.cpu().numpy()[0].astype(np.float64)

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
        best = torch.full((len(us),), torch.inf, device=device)
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
        wait()
        begun = time.perf_counter()
        for _ in range(repeats):
            torch.autograd.grad(costs(u, wanted).sum(), u)
        wait()
        return (time.perf_counter() - begun) / repeats

    return {
        "loop": loop,
        "cost": lambda: float(costs(begin, wanted).mean()),
        "needed": needed,
        "adam": lambda steps, rate: descend(steps, rate)[:2],
        "step": step,
    }
