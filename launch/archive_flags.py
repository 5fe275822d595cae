"""The flags of programs that make archives, and which part of one this process makes."""

from typing import Any

from absl import flags

import launch
from launch import process_flags

ARCHIVE = flags.DEFINE_bool(
    "archive",
    False,
    "for very many pictures: results in shards of --output with an index, by any number of processes; the same command "
    "continues, with another number of processes too",
)
SHARD_SIZE = flags.DEFINE_integer(
    "shard_size", None, "pictures in each shard of an archive: 256", lower_bound=1
)

flags.adopt_module_key_flags(process_flags)


def check() -> None:
    """Refuses flags of archives without --archive, and numbers of processes that make no sense.

    Raises:
        jgan.UserError: one sentence.
    """
    of_archives = (SHARD_SIZE, *process_flags.ALL)
    launch.goes_with(*((flag, ARCHIVE.value, "--archive") for flag in of_archives))
    process_flags.check()


def way() -> Any:
    """How the archive is worked on by this process, which is connected with the others if flags say so."""
    process_flags.connect()
    from jgan.programs import archive

    return archive.Way(SHARD_SIZE.value or 0, process_flags.share())
