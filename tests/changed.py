"""Runs with a part exchanged, for tests of what programs make of it."""


def with_codes(run, **changes):
    """The run with other functions of its default space, such as `judge=None`."""
    name, codes = next(iter(run.system.spaces.items()))
    return run._replace(system=run.system._replace(spaces={name: codes._replace(**changes)}))
