"""The flag that names a latent space; `flags.adopt_module_key_flags` makes --help show it."""

from absl import flags

SPACE = flags.DEFINE_string(
    "space", "", "latent space of the run, such as z, w, w_plus, w_plus_noise; empty: the first that it has"
)
