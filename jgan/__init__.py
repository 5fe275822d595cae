"""jgan: GAN image translation and latent image manipulation as pure functions on JAX."""

__version__ = "0.1.0"


class UserError(Exception):
    """A mistake of the user, told in one sentence: what was received and what would work.

    Programs print it without a traceback and end with exit status 2.
    """
