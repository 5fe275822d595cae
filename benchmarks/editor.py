"""How soon the editor answers a stroke, and whether many who paint at once are served alike.

    python -m benchmarks.editor [--workdir=RUN] [--sessions=8] [--seconds=300]

Without a run the generator is a random DCGAN of 64 px (ngf 64). The engine is used as the web application uses it:
sessions are updated from another thread, and a client is ready for another frame as soon as it has one. 16 candidates
a session, two cores.

The last line of the output is one JSON object:

    slice_ms              median of a bare step of the optimiser for one session, without the engine
    first_frame_ms        median from the end of a stroke to the first changed frame, one session at rest
    first_frame_ratio     median of first_frame_ms / slice_ms, of pairs taken in turn
    first_frame_busy_ms   the same while candidates still follow the stroke before: a slice begun has to end first
    encode_ms             median of making a frame's bytes, which is not part of the above
    frames_min, frames_max   of a session, with `sessions` painting for `seconds`
    frames_max_over_min   their ratio
    memory_growth_mib     of the process, from a fifth of that time to its end
    load_before           the machine's load before the start; above 0.5 the times mean little
"""

import json
import statistics
import threading
import time

from absl import flags

from benchmarks import sides
import launch

WORKDIR = flags.DEFINE_string("workdir", "", "A run with a latent space; empty: random weights.")
SESSIONS = flags.DEFINE_integer("sessions", 8, "How many paint at once.", lower_bound=1, upper_bound=16)
SECONDS = flags.DEFINE_float("seconds", 300, "How long they paint.", lower_bound=1)
STROKES = flags.DEFINE_integer("strokes", 20, "Strokes whose first frame is timed.", lower_bound=1)

PEN = 0.05  # seconds from one point of a pen to the next
POINTS = 30  # of a stroke


def main():
    load = sides.prepare()
    # Only now: XLA sizes its pool by the cores that are left.
    import numpy as np

    from jgan.serve.device import engine as engine_lib

    run = load_run(WORKDIR.value)
    engine = engine_lib.Engine(run)
    engine.start()
    try:
        wait(lambda: engine.status().state != "loading" and engine.programs.idle(), 600)
        report = first_frames(engine, np.random.default_rng(0))
        report |= together(engine, np.random.default_rng(1))
    finally:
        engine.stop()
    print(json.dumps({**report, "load_before": load}))


def first_frames(engine, rng):
    """Milliseconds of bare slices, from strokes to frames, at rest and while candidates move, and of encoding."""
    from jgan.serve import session as sessions
    from jgan.serve.web import frames

    client, bare = Client(engine, "alone"), bare_slice(engine)
    wait(lambda: client.frame, 60)
    times = {"slice_ms": [], "first_frame_ms": [], "first_frame_busy_ms": [], "encode_ms": []}
    for turn in range(2 * STROKES.value):
        busy = turn >= STROKES.value
        if not busy:
            client.do(sessions.Clear())
            wait(lambda: not client.frame.moving, 60)
            times["slice_ms"].append(statistics.median(bare() for _ in range(3)))
        # A stroke ends at any time, not when a frame has just come.
        time.sleep(rng.uniform(0.2, 0.6))
        before = client.frame.images
        begun = time.perf_counter()
        client.do(stroke(rng))
        wait(lambda: client.frame.version == client.session.drawing.version and client.frame.iteration, 60)
        times["first_frame_busy_ms" if busy else "first_frame_ms"].append(1e3 * (client.at - begun))
        assert client.frame.images.shape != before.shape or (client.frame.images != before).any()
        begun = time.perf_counter()
        frames.encode(client.frame)
        times["encode_ms"].append(1e3 * (time.perf_counter() - begun))
    engine.close("alone")
    ratios = [a / b for a, b in zip(times["first_frame_ms"], times["slice_ms"], strict=True)]
    medians = {name: round(statistics.median(x), 1) for name, x in times.items()}
    return medians | {"first_frame_ratio": round(statistics.median(ratios), 3)}


def bare_slice(engine):
    """A function that takes one step for the candidates of one session and returns its milliseconds."""
    import jax
    import numpy as np

    from jgan.latent import candidates

    run, nothing = engine.run, engine.programs.nothing

    def step(weights, state, asked):
        return candidates.steps(run.space(weights), state, asked.constraints, asked.weights, 1)

    step = jax.jit(step)
    state = engine.programs.get("start")(engine.weights, np.uint32([0, 0]))
    jax.block_until_ready(step(engine.weights, state, nothing))

    def timed():
        begun = time.perf_counter()
        jax.block_until_ready(step(engine.weights, state, nothing))
        return 1e3 * (time.perf_counter() - begun)

    return timed


def together(engine, rng):
    """Frames of sessions that all paint without a pause, and what the process grows by."""
    clients = [Client(engine, f"painter {k}") for k in range(SESSIONS.value)]
    wait(lambda: all(client.frame for client in clients), 60)
    begun = time.perf_counter()
    start = memory = None
    for k, client in enumerate(clients):
        client.pen = k * POINTS // len(clients)  # not all lift it at once
    while (passed := time.perf_counter() - begun) < SECONDS.value:
        for client in clients:
            client.paint(rng)
        if memory is None and passed > SECONDS.value / 5:
            memory = resident()
            start = [client.count for client in clients]
        time.sleep(PEN)
    counts = [client.count - first for client, first in zip(clients, start, strict=True)]
    grown = resident() - memory
    print(f"frames in the last {0.8 * SECONDS.value:.0f} s: {counts}", flush=True)
    return {
        "frames_min": min(counts),
        "frames_max": max(counts),
        "frames_max_over_min": round(max(counts) / max(min(counts), 1), 3),
        "memory_growth_mib": round(grown, 1),
    }


class Client:
    """A page: it keeps the last frame and wants the next."""

    def __init__(self, engine, key):
        from jgan.serve import session as sessions

        self.engine, self.key, self.session = engine, key, sessions.Session()
        self.frame, self.at, self.count, self.pen = None, 0.0, 0, 0
        self.drawn = None
        engine.open(key, self.session, self.deliver)

    def deliver(self, frame):
        self.frame, self.at = frame, time.perf_counter()
        self.count += 1
        threading.Timer(0.0, self.engine.ready, (self.key,)).start()  # from another thread, as a page does

    def do(self, event):
        from jgan.serve import session as sessions

        self.session = sessions.reduce(self.session, event)
        self.engine.update(self.key, self.session)

    def paint(self, rng):
        """Moves the pen on by a point; lifts it now and then, and clears a full canvas."""
        from jgan.serve import session as sessions

        if self.drawn is None:
            self.drawn = stroke(rng)
        self.pen = (self.pen + 1) % POINTS
        line = self.drawn.stroke
        if self.pen:
            self.do(sessions.Live(sessions.Stroke(line._replace(points=line.points[: self.pen]))))
            return
        self.do(self.drawn)
        self.drawn = None
        if len(self.session.drawing.strokes) >= 12:
            self.do(sessions.Restart(int(rng.integers(2**32))))


def stroke(rng):
    """A line of one colour somewhere on the canvas."""
    from jgan.latent import document
    from jgan.serve import session as sessions

    a, b = rng.uniform(60, 320, (2, 2))
    points = tuple((float(x), float(y)) for x, y in (a + (b - a) * t / POINTS for t in range(POINTS)))
    return sessions.Stroke(document.Colour(points, 24.0, tuple(map(float, rng.integers(0, 256, 3)))))


def load_run(workdir):
    """The run in a folder, or a random one whose norms have seen 256 codes."""
    import jax
    import jax.numpy as jnp

    from configs import dcgan as dcgan_config
    from jgan import trained
    from jgan.systems import dcgan

    if workdir:
        return trained.load(workdir, latent=True)
    config = dcgan_config.get_config()
    config.data.channels = (3,)
    system = dcgan.build(config)
    state = jax.jit(system.init)(jax.random.key(0), {"images": jnp.zeros((2, 64, 64, 3), jnp.uint8)})
    state, _ = jax.jit(lambda s, b: system.step(s, b, jax.random.key(1), ("statistics",)))(
        state, {"images": jnp.zeros((256, 64, 64, 3), jnp.uint8)}
    )
    weights = {"params": state.params, "stats": state.stats, "frozen": {}}
    return trained.Run(config, config.steps, system, weights)


def wait(true, seconds):
    """Waits until something is true, for so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the engine does not answer.")
        time.sleep(0.001)


def resident():
    """MiB of memory that the process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


if __name__ == "__main__":
    launch.run(main)
