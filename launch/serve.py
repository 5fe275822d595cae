"""The editor in the browser: python -m launch.serve --workdir=RUN [--translator=RUN2] [--port=8000] [--open]

RUN draws from codes and is painted with; RUN2 translates what is drawn in a second tab. Either may be the only one.
--space=w_plus paints in another one of RUN's spaces, and --directions=FILE of launch.directions has a slider for each
direction. With --train=configs/dcgan.py:editor a run that is not there, or not finished, is trained first, and the page
shows how far it is.

Only this machine is let in, unless --host names another address; that needs --token as well.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import webbrowser

from absl import flags

import jgan
from jgan import paths
import launch
from launch import latent_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_TRANSLATOR = flags.DEFINE_string("translator", "", "directory of a run that translates")
_PORT = flags.DEFINE_integer("port", 8000, "of the server; 0: any that is free", 0, 65535)
_HOST = flags.DEFINE_list(
    "host", ["127.0.0.1"], "address to listen at, then other names the server is known by"
)
_TOKEN = flags.DEFINE_string("token", "", "secret that every request has to show; the page: /?token=SECRET")
_OPEN = flags.DEFINE_bool("open", False, "open the page in a browser")
_DIRECTIONS = flags.DEFINE_string("directions", "", "file of directions, each of which has a slider")
flags.adopt_module_key_flags(latent_flags)
_TRAIN = flags.DEFINE_string(
    "train", "", "configs/FILE.py:PRESET to train the run by, where it is not finished"
)


def main() -> None:
    workdir, translator = _WORKDIR.value, _TRANSLATOR.value
    if _TRAIN.value and not workdir:
        raise jgan.UserError("--workdir must be given: the directory of the run that --train trains.")
    if _TRAIN.value:
        paths.check(workdir, "--workdir", allowed=False)
    if not workdir and not translator:
        raise jgan.UserError("--workdir, --translator or both must be given; --help tells more.")
    if workdir and not _TRAIN.value:
        _draws(workdir)  # to refuse what is no run before anything else
    for flag in (latent_flags.SPACE, _DIRECTIONS):
        if flag.value and (not workdir or not (_TRAIN.value or _draws(workdir))):
            raise jgan.UserError(f"--{flag.name} is of a run that draws from codes: --workdir names none.")
    # Only what is quick to import: the page should be there at once, and the rest comes while it is looked at.
    from jgan.serve.web import access
    from jgan.serve.web import startup
    from jgan.serve.web import training

    if not _HOST.value:
        raise jgan.UserError("--host= names no address: 127.0.0.1 would work.")
    door = access.Door(tuple(_HOST.value), _PORT.value, _TOKEN.value)
    door.check()
    trains = bool(_TRAIN.value) and not training.finished(workdir)
    if trains:
        training.check(_TRAIN.value)
    elif workdir and not _draws(workdir):
        if translator:
            raise jgan.UserError(
                f"--workdir={workdir} is a run that translates, as --translator is: "
                "one that draws from codes would work."
            )
        workdir, translator = "", workdir
    if latent_flags.SPACE.value:
        _check_space(workdir)
    if _DIRECTIONS.value:
        _check_directions(workdir, trains)
    if translator and _draws(translator):
        raise jgan.UserError(
            f"--translator={translator} is a run that makes pictures from codes: one that translates would work."
        )
    with contextlib.closing(_listen(door)) as listening:
        door = door._replace(port=listening.getsockname()[1])
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        run = training.Training(_TRAIN.value, workdir) if trains else None

        def make():
            from jgan.serve.web import app
            from jgan.serve.web import service

            made = service.Service(
                workdir, translator, run, space=latent_flags.SPACE.value, directions=_DIRECTIONS.value
            )
            return app.build(made, door)

        try:
            _serve(startup.Front(door, make), listening, door)
        except KeyboardInterrupt:
            pass  # uvicorn has closed everything, and then tells of it
        finally:
            if run:
                run.stop()


def _draws(workdir: str) -> bool:
    """Whether the run in `workdir` draws from codes; else it translates. `jgan.UserError` where it is no run."""
    from jgan.runs import config as run_config

    return run_config.draws(run_config.read(workdir))


def _check_space(workdir: str) -> None:
    """Refuses a --space that the run, or the one that --train begins, does not have, with a `jgan.UserError`.

    Only a system knows its spaces, and it takes seconds to import: who names no space does not wait for it.
    """
    from jgan import trained
    from jgan.runs import config as run_config
    from jgan.serve.web import training

    if not _TRAIN.value or os.path.exists(os.path.join(workdir, "config.json")):
        config = run_config.read(workdir)
        system = trained.build(config, workdir)
    else:
        config = training.config(_TRAIN.value)
        run_config.check(config, trained.SYSTEMS)
        if "names" in config.data and not config.data.names:
            # Those of a run are known from its data, and its spaces do not depend on them.
            config.data.names = ("0", "1")
        system = trained.SYSTEMS[config.system](config)
    trained.Run(config, 0, system, {}).within(latent_flags.SPACE.value)


def _check_directions(workdir: str, trains: bool) -> None:
    """Refuses a --directions that is no file of directions of the run with a `jgan.UserError`.

    Of a run that is yet to be trained only the file itself is known. The weights are read here and once more while the
    page loads, so that who names no directions does not wait for them.
    """
    if trains:
        from jgan.latent import directions

        directions.space_of(_DIRECTIONS.value)
        return
    from jgan import trained
    from jgan.programs import directions as directions_lib

    run = trained.load(workdir, latent=True).within(latent_flags.SPACE.value)
    directions_lib.load_all(run, _DIRECTIONS.value)


def _listen(door) -> socket.socket:
    """A socket at the door's address; a `jgan.UserError` where there can be none."""
    host = door.hosts[0]
    try:
        found = socket.getaddrinfo(host, door.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise jgan.UserError(f"--host={host} is no address of this machine: 127.0.0.1 would work.") from None
    family, _, _, _, address = found[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise jgan.UserError(
            f"--host={host} --port={door.port} cannot be listened at ({error.strerror}): "
            "another --port would work, or --port=0 for any that is free."
        ) from None
    return listening


def _serve(application, listening: socket.socket, door) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    import uvicorn

    from jgan.serve.web import access

    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="warning",
            ws_max_size=2 * access.MESSAGE_BYTES,  # the server's own check closes with a reason
            ws_per_message_deflate=False,  # pictures are packed already
            server_header=False,
            proxy_headers=False,
            limit_concurrency=256,
            timeout_graceful_shutdown=5,
        )
    )
    address = door.address() + (f"?token={door.token}" if door.token else "")
    print(f"the editor: {address}", flush=True)
    if _OPEN.value:
        # The port listens already: the browser waits until it is answered.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    server.run(sockets=[listening])


if __name__ == "__main__":
    launch.run(
        main,
        runs=("translator",),
        paths=("directions",),
        stores=("workdir", "translator", "directions"),
    )
