"""SSH: a connection whose host key was checked, and commands that are fed and heard while they run."""

from __future__ import annotations

import logging
import shlex
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.edge.ssh_command import Command
from pipeline.edge.ssh_config import known_of, read_ssh_config
from pipeline.errors import BadInput, Refused, Unreachable
from pipeline.model.host_keys import HostKey, Known, kinds, refuse_key

if TYPE_CHECKING:
    from fabric import Connection
    from paramiko import PKey, SSHClient, Transport

_AGAIN = "Run the same again: it goes on where it stopped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a host is reached: `name` as the user wrote it, pinned fingerprints by host, and patience in seconds: for a
    connection (unless ssh_config says), between two signs of life that are asked for, and without any."""

    name: str
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    connect: int = 15
    alive: float = 10.0
    silent: float = 45.0


class SshConnection:
    """One host, connected to when it is first used. One thread works with it; any may close it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._connection: Connection | None = None
        self._heard = 0.0
        logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it tells in exceptions, too

    def start(self, words: Sequence[str], pieces: Iterable[bytes], *, doing: str, keep_input: bool = False) -> Command:
        """Starts a command and feeds it. Its standard input is closed after the pieces, or left open until
        `end_input`. `doing` says in a failure what the connection was lost in."""
        connection = self._connection or self._open()
        self._connection = connection
        with ssh_errors(self.access.name):
            channel = connection.transport.open_session(timeout=self.access.connect)
            channel.exec_command(shlex.join(words))
        return Command(channel, pieces, self._watch, keep_input=keep_input, lost=self._lost(doing))

    def close(self) -> None:
        """Lets go of it, and of the jump hosts in between. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            for hop in _hops(connection):
                with suppress(OSError, EOFError):
                    hop.client.close()

    def _watch(self) -> None:
        """Drops a connection that shows no sign of life: a reader waits for ever otherwise."""
        if time.monotonic() - self._heard > self.access.silent:
            self.close()

    def _lost(self, doing: str) -> Unreachable:
        return Unreachable(f"{self.access.name}: the connection was lost while {doing}", hint=_AGAIN)

    def _open(self) -> Connection:
        from fabric import Config, Connection

        user, host, port = _parsed(self.access.name)
        with ssh_errors(self.access.name):
            config = Config(
                overrides={"timeouts": {"connect": self.access.connect}}, ssh_config=read_ssh_config(), lazy=True
            )
            connection = Connection(host, user=user, port=port, config=config)
            for hop in _hops(connection):
                self._guard(hop)
            _connect(connection)
        self._heard = time.monotonic()
        threading.Thread(target=self._ask_for_life, args=(connection.transport,), daemon=True).start()
        return connection

    def _guard(self, hop: Connection) -> None:
        """fabric takes any host key, for jump hosts as well: each of them gets our own judgement."""
        pins = self.access.pins.get(hop.original_host) or self.access.pins.get(hop.host, ())
        known = known_of(hop.ssh_config, hop.host, int(hop.port), pins)
        shown = self.access.name if hop.original_host == _parsed(self.access.name)[1] else hop.original_host
        hop.client.set_missing_host_key_policy(_Judge(shown, known))
        patience = self.access.connect
        hop.connect_kwargs = {
            **hop.connect_kwargs,
            "transport_factory": _preferring(known),
            "banner_timeout": patience,
            "auth_timeout": patience,
            "channel_timeout": patience,
        }

    def _ask_for_life(self, transport: Transport) -> None:
        from paramiko.ssh_exception import SSHException

        with suppress(OSError, EOFError, SSHException):  # whoever hears a command tells that it was lost
            while transport.is_active():
                transport.global_request("keepalive@openssh.com", wait=True)  # any answer will do, a refusal as well
                if transport.is_active():
                    self._heard = time.monotonic()
                time.sleep(self.access.alive)


class _Judge:
    """paramiko's policy for keys that it does not know: it is told of none, so it asks about every one."""

    def __init__(self, host: str, known: Known) -> None:
        self._host = host
        self._known = known

    def missing_host_key(self, _client: SSHClient, _hostname: str, key: PKey) -> None:
        refuse_key(self._host, HostKey(kind=key.get_name(), blob=key.asbytes()), self._known)


def _preferring(known: Known) -> Any:
    """A transport that asks the server first for the kinds of key that are known of it."""

    def make(sock: Any, **options: Any) -> Transport:
        from paramiko import Transport

        transport = Transport(sock, **options)
        security = transport.get_security_options()
        first = [kind for kind in kinds(known.keys) if kind in security.key_types]
        security.key_types = [*first, *(kind for kind in security.key_types if kind not in first)]
        return transport

    return make


def _connect(connection: Connection) -> None:
    from paramiko.ssh_exception import AuthenticationException, SSHException

    try:
        connection.open()
    except BaseException as error:
        transports = [hop.client.get_transport() for hop in _hops(connection)]
        hung_up = any(transport is not None and not transport.is_active() for transport in transports)
        for hop in _hops(connection):
            hop.client.close()
        if isinstance(error, AuthenticationException) and hung_up:  # paramiko takes that for a refusal
            raise SSHException("it hung up while we logged in") from error
        raise


def _hops(connection: Connection) -> Iterator[Connection]:
    """The connection, then the jump hosts that it goes through, the nearest to us last."""
    hop: Any = connection
    while hop is not None and not isinstance(hop, str):
        yield hop
        hop = hop.gateway


def _parsed(name: str) -> tuple[str | None, str, int | None]:
    user, _, rest = name.rpartition("@")
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = rest.partition(":")
    return user or None, host, int(port) if port else None


@contextmanager
def ssh_errors(name: str) -> Iterator[None]:
    """paramiko's failures as ours."""
    from paramiko import ssh_exception as ssh

    try:
        yield
    except ssh.PasswordRequiredException as error:
        raise Refused(f"{name}: the key is locked with a passphrase", hint="Give it to the agent: ssh-add.") from error
    except ssh.AuthenticationException as error:
        hint = f"Try `ssh {name}`: an agent, ~/.ssh/id_* and ssh_config's IdentityFile are tried; a password is not."
        raise Refused(f"{name} does not let us in: {error}", hint=hint) from error
    except socket.gaierror as error:
        raise Unreachable(f"{name} is not known: {error.strerror}", hint="Check its name and DNS.") from error
    except ssh.ChannelException as error:
        hint = "Does the jump host reach it? Its AllowTcpForwarding and firewall decide."
        raise Unreachable(f"{name} is not reached: {error}", hint=hint) from error
    except (ssh.SSHException, ssh.NoValidConnectionsError, EOFError, OSError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        raise Unreachable(
            f"{name} is not reached: {why}", hint=f"Does `ssh {name}` get there? Then run the same again."
        ) from error
    except ValueError as error:
        raise BadInput(f"{name}: {error}", hint="Check ssh_config: `ssh -G` shows what it says of the host.") from error
