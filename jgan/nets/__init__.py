"""Architectures. The only package that imports Flax; outside, a net is `init` and `apply`."""
