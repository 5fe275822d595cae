"""The processes of one job: they meet before JAX connects them, and none goes on when another one has ended.

JAX does not tell which process is missing at the start, and aborts, with a stack trace, when heartbeats of one that was
killed stay away. So process 0 calls the roll first, at the coordinator's own port before JAX opens it, and these
connections stay. The operating system closes those of a process that ends for whatever reason, which the others see at
once; a machine that is lost is seen by TCP's keepalive within half a minute. A process that is frozen keeps its
connections, and is for JAX's heartbeats to find.
"""

import os
import re
import selectors
import socket
import sys
import threading
import time

import jgan

HEARTBEAT = 50  # seconds after which JAX takes a process for lost; its own default is 100
STATUS = 75  # exit status of a process that ends because of another one; the system's EX_TEMPFAIL: to be started again

_GRACE = (
    5  # seconds for a process to end by itself, since an error that another one ended with may be its own too
)
_NOTICE = 2  # seconds in which the end of another process is noticed, after it made a computation fail here
_HELLO = re.compile(r"jgan (\d+) (\d+)")


class Fault(Exception):
    """A job that cannot begin or go on because of another process, in one sentence; exit status 75."""


def meet(address: str, count: int, index: int, timeout: float) -> None:
    """Returns when all processes of a job are there, and watches from then on that they stay.

    Args:
        address: HOST:PORT of process 0, which is free again afterwards.
        count: how many processes there are.
        index: of this one.
        timeout: seconds after which those that are missing are told.

    Raises:
        Fault: a process is missing.
        jgan.UserError: flags contradict those of process 0, or the port is in use.
    """
    global _job
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise jgan.UserError(f"--coordinator_address={address}: HOST:PORT would work.")
    if not 0 <= index < count:
        raise jgan.UserError(f"--process_id={index} of --num_processes={count}: 0 to {count - 1} would work.")
    until = time.monotonic() + timeout
    if index:
        links = {0: _answer(host, int(port), count, index, until, timeout)}
    else:
        links = _call(host, int(port), count, until, timeout)
    for link in links.values():
        _keep_alive(link)
    _job = _Job(index, count, links)
    threading.Thread(target=_job.watch, name="processes", daemon=True).start()


def together() -> bool:
    """Whether this process has met others."""
    return _job is not None


def done() -> None:
    """Tells the others that this process has done its work; to be called before it waits for their end."""
    if _job is not None:
        _job.tell("done")


def caused(error: BaseException) -> bool:
    """Whether the end of another process is why an error was raised here; if it was killed, does not return.

    An error that jgan raises on its own account, and not because of another error, is this process's own.
    """
    if _job is None or not _job.news.wait(_NOTICE):
        return False
    if _job.lost:
        threading.Event().wait()  # the watching thread ends this process
    return not isinstance(error, jgan.UserError | jgan.NotFinite | KeyboardInterrupt) or bool(error.__cause__)


def leave(status: int, *, caused: bool = False) -> None:
    """Ends this process, if it has met others, without waiting for them as JAX would; otherwise returns.

    Args:
        status: its exit status.
        caused: it ends because of another process, and says so.
    """
    if _job is None:
        return
    if caused:
        _job.say()
    _job.tell(f"failed {_job.index}")
    _job.leave(status)


class _Job:
    """This process among the others: process 0 has a connection to each, the others have one to process 0."""

    def __init__(self, index: int, count: int, links: dict[int, socket.socket]) -> None:
        self.index, self.count, self.links = index, count, links
        self.news = threading.Event()  # another process has failed or is lost
        self.lost = False
        self._line, self._said = "", threading.Lock()
        self._leaving, self._alone = False, threading.Event()

    def tell(self, line: str) -> None:
        """Sends a line to all processes that this one is connected with."""
        for link in self.links.values():
            try:
                link.sendall(f"{line}\n".encode())
            except OSError:
                pass  # it has ended

    def watch(self) -> None:
        """Reads what the others send, and ends this process if one of them fails or is lost."""
        ended = set()
        with selectors.DefaultSelector() as selector:
            for peer, link in self.links.items():
                link.settimeout(None)
                selector.register(link, selectors.EVENT_READ, peer)
            while selector.get_map():
                for key, _ in selector.select():
                    try:
                        lines = key.fileobj.recv(4096).decode().split("\n")
                    except (OSError, UnicodeDecodeError):
                        lines = [""]
                    if lines == [""]:
                        selector.unregister(key.fileobj)
                        if key.data not in ended:
                            self._end(key.data, lost=True)
                    for what, _, who in (line.partition(" ") for line in lines if line):
                        ended.add(key.data)
                        if what != "done":
                            self._end(int(who), lost=what == "lost")
        self._alone.set()

    def say(self) -> None:
        """Prints the line on the process that ended, once."""
        if self._said.acquire(blocking=False):
            os.write(2, f"error: {self._line}\n".encode())

    def leave(self, status: int) -> None:
        """Ends this process; the first one after the others, since JAX aborts where it cannot reach it any more."""
        self._leaving = True
        sys.stdout.flush()
        if self.index == 0:
            self._alone.wait(_GRACE + _NOTICE)
        os._exit(status)

    def _end(self, who: int, *, lost: bool) -> None:
        """Ends this process because of another one: at once, or when it had time to end by itself."""
        if self._leaving or self.news.is_set():
            return
        how = "has ended without a word" if lost else "has ended with an error, and says why"
        self._line = (
            f"process {who} of {self.count} {how}, so this one ends too; start the job again: a training goes on "
            "from its last checkpoint."
        )
        self.lost = lost
        self.news.set()
        if lost:
            self.say()
        if self.index == 0:
            self.tell(f"{'lost' if lost else 'failed'} {who}")
        threading.Thread(target=self._finish, daemon=True).start()

    def _finish(self) -> None:
        """Ends this process after `_end`, while the watching thread sees the others end."""
        if not self.lost:
            time.sleep(_GRACE)
        self.say()
        self.leave(STATUS)


_job: _Job | None = None


def _call(host: str, port: int, count: int, until: float, timeout: float) -> dict[int, socket.socket]:
    """{index: connection} of all others, in process 0."""
    links: dict[int, socket.socket] = {}
    with _server(host, port) as server:
        while time.monotonic() < until:
            if len(links) == count - 1:
                links = {
                    index: link for index, link in links.items() if not _has_ended(link)
                }  # to start again
            if len(links) == count - 1:
                break
            server.settimeout(max(until - time.monotonic(), 0.01))
            try:
                link, _ = server.accept()
                link.settimeout(5)
                hello = _HELLO.fullmatch(_line(link))
            except (OSError, UnicodeDecodeError):  # nobody came, or somebody else did
                continue
            if not hello:
                link.close()
                continue
            index, theirs = map(int, hello.groups())
            if theirs != count or index in links and not _has_ended(links[index]):
                told = (
                    f"--num_processes is {count} in process 0" if theirs != count else "there is one already"
                )
                _send(link, f"refused --process_id={index} of --num_processes={theirs}: {told}.")
                link.close()
                continue
            links[index] = link
        missing = sorted(set(range(1, count)) - set(links))
        for link in links.values():
            _send(link, f"missing {','.join(map(str, missing))}" if missing else "all")
    if missing:
        raise Fault(_missing(missing, count, f"{host}:{port}", timeout))
    return links


def _answer(host: str, port: int, count: int, index: int, until: float, timeout: float) -> socket.socket:
    """The connection to process 0, when it has found all others."""
    while time.monotonic() < until:
        try:
            link = socket.create_connection((host, port), timeout=5)
            _send(link, f"jgan {index} {count}")
            link.settimeout(timeout + 10)  # process 0 may have been started last, and waits as long
            what, _, text = _line(link).partition(" ")
        except (OSError, UnicodeDecodeError):  # it is not there yet
            what = text = ""
        if what == "all":
            return link
        if what == "refused":
            raise jgan.UserError(text)
        if what == "missing":
            raise Fault(_missing([int(k) for k in text.split(",")], count, f"{host}:{port}", timeout))
        time.sleep(0.2)
    raise Fault(_missing([0], count, f"{host}:{port}", timeout))


def _missing(missing: list[int], count: int, address: str, timeout: float) -> str:
    """The sentence on processes that did not come."""
    which = f"process{'es' * (len(missing) > 1)} {', '.join(map(str, missing))} of {count}"
    return (
        f"{which} did not come to {address} within {timeout:g} s: start all processes and open this port between them, "
        "or wait longer by --timeout=SECONDS."
    )


def _server(host: str, port: int) -> socket.socket:
    """A socket that listens as JAX's coordinator will: on all interfaces, or on the machine's own alone."""
    try:
        if is_local(host):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=1024)
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        return socket.create_server(("", port), family=family, backlog=1024, dualstack_ipv6=dual)
    except OSError as error:
        raise jgan.UserError(f"process 0 cannot listen at {host}:{port}: {error.strerror}.") from None


def is_local(host: str) -> bool:
    """Whether a host's name is one of the machine itself, which no other machine reaches."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _keep_alive(link: socket.socket) -> None:
    """Has the operating system close a connection to a machine that has not answered for half a minute."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 4),
        ("TCP_USER_TIMEOUT", 30_000),
    ):
        if hasattr(socket, name):  # Linux has all of them
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _has_ended(link: socket.socket) -> bool:
    """Whether the process at the other end has ended, which sends nothing while it waits for the others."""
    link.setblocking(False)
    try:
        return not link.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(link: socket.socket, line: str) -> None:
    """Sends a line; one to a process that has ended meanwhile is lost, which the next use of its connection tells."""
    try:
        link.sendall(f"{line}\n".encode())
    except OSError:
        pass


def _line(link: socket.socket) -> str:
    """The next line that the other end sends; what it sent before it closed the connection otherwise."""
    line = b""
    while (byte := link.recv(1)) not in (b"", b"\n") and len(line) < 500:
        line += byte
    return line.decode()
