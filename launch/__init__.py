"""Programs: each turns its flags into one call. A user's mistake ends in one sentence and exit status 2."""

# ruff: noqa: E402
from launch import huge_pages

huge_pages.start_again()  # before imports that would have to be done twice

import atexit
from collections.abc import Callable
from collections.abc import Iterator
import errno
import gc
import io
import os
import re
import sys
import threading
import traceback
from typing import Any

from absl import app
from absl import flags
from absl import logging

import jgan
from jgan import paths as paths_lib
from launch import compiled
from launch import processes

_CACHE = flags.DEFINE_bool(
    "compilation_cache",
    True,
    "keep compiled programs between starts, in the user's cache folder or in that of JAX_COMPILATION_CACHE_DIR",
)


def run(
    main: Callable[[], None],
    *,
    required: tuple[str, ...] = (),
    runs: tuple[str, ...] = (),
    paths: tuple[str, ...] = (),
    patterns: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    stores: tuple[str, ...] = (),
) -> None:
    """Parses flags, calls `main` and exits: 0 done, 1 a fault, 2 a mistake of the user, 75 because of another process
    of the job, 130 Ctrl-C, 141 nobody reads its output.

    Mistakes that can be recognised without jax are reported before `main` imports it, which takes a second.

    Args:
        main: takes no arguments and reads flags.
        required: flags without which the program cannot run.
        runs: flags that, if they are given, name the directory of a run.
        paths: flags that, if they are given, name a file or folder to be read.
        patterns: those of `paths` that may also be a pattern, such as `DIR/*.arrayrecord`, that fits some file.
        names: flags of configs whose values are names with commas between.
        stores: flags, and fields of configs, whose paths may lie in object stores (gs://, s3://).
    """

    def parse(argv: list[str]) -> list[str]:
        """Parses the flags and refuses what is missing or is not a flag."""
        try:
            rest = flags.FLAGS(with_tuples(argv, names))
            missing = [f"--{name}" for name in required if not flags.FLAGS[name].present]
            if missing:
                _fail(f"{' and '.join(missing)} must be given; --help shows all flags.")
            if "config" in flags.FLAGS and flags.FLAGS["config"].present:
                _ = flags.FLAGS["config"].value.system  # raises the error of a file that could not be loaded
        except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
            _leave_if_unread(error)
            _fail(sentence(error, argv))
        if len(rest) > 1:
            _fail(f"{rest[1]!r} is not a flag: flags begin with --.")
        return rest

    def guarded(_: list[str]) -> None:
        """Calls `main` and turns its errors into sentences and exit statuses."""
        # Names of files that are not UTF-8 are shown with escapes, as Python shows them on stderr.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        logging.set_verbosity(logging.WARNING)
        # The objects that libraries make while they are imported stay alive: searching them for cycles again and again,
        # and once more at the end, would take half a second.
        gc.set_threshold(20_000)
        atexit.register(gc.freeze)
        try:
            _check_stores(stores)
            _check(runs, paths, patterns)
            if _CACHE.value:
                compiled.keep()
            else:
                os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
            main()
            processes.done()
            sys.stdout.flush()
        except Exception as error:
            _leave_if_unread(error)
            if processes.caused(error):
                processes.leave(processes.STATUS, caused=True)
            if known := _known(error):
                _fail(*known)
            if not processes.together():
                raise
            traceback.print_exc()
            processes.leave(1)
        except KeyboardInterrupt:
            _fail("stopped by Ctrl-C.", 130)
        except SystemExit:
            processes.done()
            raise

    # --help shows the flags of the main module alone.
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS["compilation_cache"])
    app.run(guarded, flags_parser=parse)


def goes_with(*flags_given: tuple[flags.FlagHolder, bool, str]) -> None:
    """Refuses a flag that would have no effect with a `jgan.UserError`.

    Args:
        flags_given: (a flag, whether it has an effect beside the others, what it goes with).
    """
    for flag, used, of in flags_given:
        if flag.present and not used:
            raise jgan.UserError(f"--{flag.name} goes with {of} alone.")


def with_tuples(argv: list[str], names: tuple[str, ...]) -> list[str]:
    """The arguments with tuples of texts in the place of names with commas between.

    A config would take `a,b` for one name, and `0,1` for numbers. What has quotes or brackets is left as it is.
    """
    made = list(argv)
    for place, argument in enumerate(argv[1:], 1):
        flag, equals, value = argument.partition("=")
        if not equals:  # the value may be the next argument
            flag, value = argv[place - 1], argument
        if flag.startswith("-") and flag.lstrip("-") in names and value[:1] not in ("", "(", "[", "'", '"'):
            parts = tuple(part.strip() for part in value.split(",") if part.strip())
            made[place] = f"{flag}=" * bool(equals) + repr(parts)
    return made


def _check(runs: tuple[str, ...], paths: tuple[str, ...], patterns: tuple[str, ...]) -> None:
    """Refuses flags that do not name a run, a file or a checkpoint with a `jgan.UserError`."""
    if runs:
        from jgan.runs import config as run_config

        for name in runs:
            if flags.FLAGS[name].value:
                run_config.read(flags.FLAGS[name].value)
        if "step" in flags.FLAGS:
            run_config.parse_step(flags.FLAGS["step"].value)
    for name in paths:
        value = flags.FLAGS[name].value
        if value and not paths_lib.exists(value) and not (name in patterns and paths_lib.matching(value)):
            raise jgan.UserError(f"--{name}={value} does not exist.")


def _check_stores(stores: tuple[str, ...]) -> None:
    """Refuses paths in object stores where a program needs a disk, with a `jgan.UserError`."""
    given = {name: flags.FLAGS[name].value for name in flags.FLAGS if flags.FLAGS[name].present}
    if hasattr(given.get("config"), "items"):
        given |= {f"config.{name}": value for name, value in _fields(given.pop("config"))}
    for name, value in given.items():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(one, str) and (name in stores or paths_lib.is_remote(one)):
                paths_lib.check(one, f"--{name}", allowed=name in stores)


def _fields(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields (dotted name, value) of all fields of a config."""
    for name, value in config.items():
        if hasattr(value, "items"):
            yield from ((f"{name}.{below}", x) for below, x in _fields(value))
        else:
            yield name, value


def _known(error: Exception) -> tuple[str, int] | None:
    """(sentence, exit status) of an error that is no fault of the program; None for others."""
    if isinstance(error, jgan.UserError):
        return str(error), 2
    if isinstance(error, OSError):
        sentence = _refused(error)
        return (sentence, 2) if sentence else None
    if isinstance(error, MemoryError):
        return "there is not enough memory for so much at once: smaller numbers would work.", 2
    if isinstance(error, jgan.NotFinite):
        return str(error), 1
    if isinstance(error, processes.Fault):
        return str(error), processes.STATUS
    return None


def _refused(error: OSError) -> str:
    """The sentence on a refusal of the file system; empty for an error that is a fault of the program."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free some space; the same command goes on from what was saved."
    known = (
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
    )
    if error.errno in known and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}."
    return ""


def sentence(error: Exception, argv: list[str]) -> str:
    """The sentence on an error of a flag or config, without the trace that ml_collections puts into its text."""
    text = str(error.args[0] if error.args else error).strip()
    if isinstance(error, (KeyError, AttributeError)):
        name = re.findall(r"\w+", text)[0]  # the names that follow it are suggestions
        flag = next((x for x in argv if x.startswith("--config.") and name in x), f"--config.{name}")
        return f"{flag}: the config has no such field."
    if text.startswith("Could not parse '"):  # a name that no field can have, such as loss.lambda
        return f"--config.{text.split(chr(39))[1]}: the config has no such field."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        config = next((x for x in argv if x.startswith("--config=")), "--config")
        return f"{config}: {lines[-1].removeprefix('ValueError: ')}"
    return text


def _leave_if_unread(error: Exception) -> None:
    """Exits as programs do of which nobody reads the output to its end, as before `| head`: without a word."""
    if not isinstance(error, BrokenPipeError) or processes.together():
        return
    try:
        os.write(sys.stdout.fileno(), b"\n")  # another pipe or socket may have been broken instead
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(141)  # as of a program that SIGPIPE, 13, ended


def _fail(sentence: str, status: int = 2) -> None:
    """Prints a sentence on stderr and exits."""
    print(f"error: {sentence}", file=sys.stderr, flush=True)
    processes.leave(status)
    _exit(status)


def _exit(status: int) -> None:
    """Exits, and waits for no program that is being compiled."""
    if any(thread.name == jgan.COMPILING for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(status)  # sys.exit would wait for the end of a compilation, for up to a minute
    sys.exit(status)
