"""Flags that several programs share; `flags.adopt_module_key_flags` makes --help show them."""

from absl import flags

SET = flags.DEFINE_multi_string("set", [], "NAME=VALUE of what the run lets a person set; may be repeated")
STEP = flags.DEFINE_string("step", "latest", "checkpoint: latest, best or a number")
SEED = flags.DEFINE_integer("seed", 0, "seed of everything that is drawn at random")
