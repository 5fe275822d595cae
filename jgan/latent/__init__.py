"""Searching, editing and walking in a latent space: functions of one latent, vectorised by `jax.vmap`."""
