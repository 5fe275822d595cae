"""Two sides of a measurement, each in a process of its own with two threads, that take turns.

One is at work while the other waits, so that whatever else the machine does hits both, and neither process carries
the other's library.
"""

import contextlib
import ctypes
import gc
import multiprocessing
import os
import sys
import threading
import time

from launch import huge_pages

THREADS = 2


def prepare():
    """Returns the machine's load, after it was warned of and the processes to come were given two cores."""
    # They inherit these, and XLA and OpenMP size their pools by them.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    os.environ.update(JAX_PLATFORMS="cpu", OMP_NUM_THREADS=str(THREADS))
    os.environ.update(huge_pages.environment())  # as our programs do; PyTorch's side has them as well
    load = os.getloadavg()[0]
    if load > 0.5:
        print(
            f"warning: the machine is busy (load {load:.1f}); a ratio holds for a quiet one, because PyTorch"
        )
        print("and XLA do not suffer alike from others at work.")
    return load


def steps(run):
    """The answers of a side whose `run(count)` takes so many steps and waits for the last."""

    def seconds_per_step(count):
        start = time.perf_counter()
        run(count)
        return (time.perf_counter() - start) / count

    return {"warm_up": lambda count: count * seconds_per_step(count), "time": seconds_per_step}


def matrix_product(size=2048, repeats=3):
    """FLOP/s of a float32 product of two size x size matrices."""
    import jax
    import jax.numpy as jnp

    product = jax.jit(jnp.matmul)
    x = jax.random.normal(jax.random.key(1), (size, size), jnp.float32)
    jax.block_until_ready(product(x, x))
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(product(x, x))
    return repeats * 2 * size**3 / (time.perf_counter() - start)


class Side:
    """One side in a process of its own; `ask` sends it a request and waits for the answer.

    `make(*arguments, **options)` is called there and returns {request: function}. Where several sides are to be at work
    at once, `send` and `receive` are the two halves of `ask`.
    """

    def __init__(self, make, *arguments, **options):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments, options), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, request, *arguments):
        self.send(request, *arguments)
        return self.receive()

    def send(self, request, *arguments):
        with contextlib.suppress(ConnectionError):  # `receive` tells of it
            self._pipe.send((request, *arguments))

    def receive(self, timeout=None):
        """The next answer; a `TimeoutError` where there is none after so many seconds."""
        try:
            if not self._pipe.poll(timeout):
                raise TimeoutError(f"no answer within {timeout:.0f} s")
            return self._pipe.recv()
        except (EOFError, ConnectionError):
            sys.exit("a side of the benchmark failed; its traceback is above")

    def close(self, patience=10):
        """Ends the process, by force if it is still at work after so many seconds."""
        self._pipe.close()
        self._process.join(patience)
        self._process.kill()


def _serve(pipe, make, arguments, options):
    """Answers requests until the other end closes."""
    answers = make(*arguments, **options) | {"reset_peak": _reset_peak, "peak_mib": _peak_mib}
    while True:
        try:
            request, *rest = pipe.recv()
        except EOFError:
            return
        pipe.send(answers[request](*rest))


def _reset_peak():
    """Sets the peak resident size to the present one, after what warming up left behind is given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    if _status_mib("VmHWM") > 1.05 * _status_mib("VmRSS"):  # a sandbox that does not take it
        threading.Thread(target=_sample, daemon=True).start()


def _peak_mib():
    return max(_samples) if _samples else _status_mib("VmHWM")


_samples = []


def _sample():
    while True:
        _samples.append(_status_mib("VmRSS"))
        time.sleep(0.01)


def _status_mib(name):
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name))
    return round(int(line.split()[1]) / 1024, 1)
