"""jgan: GAN image translation and latent image manipulation as pure functions on JAX."""

__version__ = "0.1.0"


class UserError(Exception):
    """A mistake of the user, told in one sentence: what was received and what would work.

    Programs print it without a traceback and end with exit status 2.
    """


class NotFinite(Exception):
    """A loss or a parameter became infinite or not a number; the message names the step."""


# The name of a thread that compiles: nothing can stop it, and the end of Python would wait for it.
COMPILING = "compiling the step"
