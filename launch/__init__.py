"""Programs: thin, flags to one call. A user's mistake ends in one sentence and exit status 2."""

from collections.abc import Callable
import sys

from absl import app
from absl import flags
from absl import logging

import jgan


def run(main: Callable[[], None], *, required: tuple[str, ...] = ()) -> None:
    """Parses flags, calls `main` and exits: 0 done, 1 a fault, 2 a mistake of the user.

    Args:
        main: takes no arguments and reads flags.
        required: flags without which the program cannot run.
    """

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv)
            missing = [f"--{name}" for name in required if not flags.FLAGS[name].value]
            if missing:
                _fail(f"{' and '.join(missing)} must be given; --help tells more.")
            if len(rest) > 1:
                _fail(f"{rest[1]!r} is not a flag: flags begin with --.")
            return rest
        except flags.Error as error:
            _fail(str(error))
        except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
            # ml_collections tells of unknown fields, wrong types and missing files in these.
            _fail(" ".join(str(error.args[0] if error.args else error).split()))

    def guarded(_: list[str]) -> None:
        from jgan import train

        logging.set_verbosity(logging.WARNING)
        try:
            main()
        except jgan.UserError as error:
            _fail(str(error))
        except train.NotFinite as error:
            _fail(str(error), 1)

    app.run(guarded, flags_parser=parse)


def _fail(sentence: str, status: int = 2) -> None:
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    sys.exit(status)
