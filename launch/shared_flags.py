"""Flags that several programs share; `flags.adopt_module_key_flags` makes --help show them."""

from absl import flags

STEP = flags.DEFINE_string("step", "latest", "checkpoint: latest, best or a number")
SEED = flags.DEFINE_integer(
    "seed",
    0,
    "seed of everything that is drawn at random",
    lower_bound=-(2**63),
    upper_bound=2**63 - 1,
)
