"""Connections to upstreams: names resolved for each new one, the idle ones kept for a while and told from dead ones."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from dataclasses import dataclass

from pipeline.lab.gateway.channel import Channel

_IDLE_SECONDS = 60.0
_AGE_SECONDS = 10.0
_IDLE_PER_PEER = 64


class Unresolved(Exception):
    """The upstream's name has no address."""


class Unconnected(Exception):
    """No address of the upstream took the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a request goes: a name or address, a port, and whether TLS is spoken there."""

    host: str
    port: int
    secure: bool = False
    shown_as: str = ""

    @property
    def authority(self) -> str:
        """The Host header for it: the port is left out when it is the scheme's own."""
        if self.shown_as:
            return self.shown_as
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


@dataclass(slots=True, kw_only=True)
class Link:
    """A connection to a peer; `fresh` until it has carried a request."""

    peer: Peer
    channel: Channel
    fresh: bool = True
    idle_since: float = 0.0


class Upstreams:
    """Opens and keeps connections.

    A kept one serves for at most ten seconds after it was opened, so that a name that has moved is followed even under
    steady load.
    """

    def __init__(self) -> None:
        self._idle: dict[Peer, list[Link]] = {}
        self._turns = itertools.count()

    def kept(self, peer: Peer) -> Link | None:
        """An idle connection that its peer has not closed, or None."""
        now = asyncio.get_running_loop().time()
        links = self._idle.get(peer, [])
        while links:
            link = links.pop()
            if (
                link.channel.idle
                and now - link.idle_since < _IDLE_SECONDS
                and now - link.channel.opened_at < _AGE_SECONDS
            ):
                link.fresh = False
                link.channel.on_end = None
                return link
            link.channel.abort()
        return None

    def keep(self, link: Link) -> None:
        """Let a later request use a connection that is between two requests."""
        links = self._idle.setdefault(link.peer, [])
        if len(links) >= _IDLE_PER_PEER or not link.channel.idle:
            link.channel.abort()
            return
        link.idle_since = asyncio.get_running_loop().time()
        # A peer that closes while we keep the connection is let go at once, not when the next request finds it.
        link.channel.on_end = link.channel.abort
        links.append(link)

    async def open(self, peer: Peer, seconds: float) -> Link:
        """A new connection, each address of the name tried in turn. Raises Unresolved, Unconnected, TimeoutError."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(peer.host, peer.port, type=1)
        except OSError as error:
            raise Unresolved(peer.host) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        first = next(self._turns) % len(addresses)
        refused: OSError | None = None
        for address in (*addresses[first:], *addresses[:first]):
            try:
                async with asyncio.timeout(seconds):
                    return await self._connect(peer, address)
            except TimeoutError:
                raise
            except OSError as error:
                refused = error
        raise Unconnected(peer.host) from refused

    async def _connect(self, peer: Peer, address: str) -> Link:
        loop = asyncio.get_running_loop()
        secure = _unverified() if peer.secure else None
        _, channel = await loop.create_connection(
            Channel, address, peer.port, ssl=secure, server_hostname=peer.host if secure else None
        )
        return Link(peer=peer, channel=channel)

    def close(self) -> None:
        """Let go of all idle connections."""
        for links in self._idle.values():
            for link in links:
                link.channel.abort()
        self._idle.clear()


def _unverified() -> ssl.SSLContext:
    """Kong does not verify upstreams unless told to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
