"""The flag by which a person sets the controls of a run; `flags.adopt_module_key_flags` makes --help show it."""

from absl import flags

SET = flags.DEFINE_multi_string("set", [], "NAME=VALUE of what the run lets a person set; may be repeated")
