"""Whose key a machine shows: fingerprints that were pinned, and the known_hosts files of OpenSSH (sshd(8))."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.errors import BadInput, Refused

_PIN = re.compile(r"(?:(?P<host>[^=]+)=)?(?P<print>SHA256:[A-Za-z0-9+/]{43})=?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A public key: its type and its blob, as both known_hosts and the protocol have them."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a host: the keys it may show, the revoked ones, and where that was looked up."""

    keys: tuple[HostKey, ...]
    revoked: tuple[HostKey, ...] = ()
    files: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


def parse_pins(given: Sequence[str], hosts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`--host-key [HOST=]SHA256:…` by host. HOST is a --host or a jump host; a single --host needs none."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        match = _PIN.fullmatch(text)
        if not match:
            raise BadInput(
                f"--host-key {text!r} is no fingerprint",
                hint="Write HOST=SHA256:…; `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it on the host.",
            )
        if not match["host"] and len(hosts) != 1:
            raise BadInput(
                f"--host-key {text} does not say whose key it is", hint=f"Write HOST={match['print']}, one per host."
            )
        host = bare_name(match["host"] or hosts[0])
        found[host] = (*found.get(host, ()), match["print"])
    return found


def bare_name(host: str) -> str:
    """Without user and port."""
    name = host.rpartition("@")[2]
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def known_keys(files: Mapping[str, str], name: str) -> Known:
    """What the known_hosts files (text by path) say of `name`, which is `host`, or `[host]:port` for another than 22.

    Hashed names, patterns and @revoked are understood; a @cert-authority is not, its lines are left out."""
    keys: list[HostKey] = []
    revoked: list[HostKey] = []
    for text in files.values():
        for marker, names, key in _lines(text):
            if _names(names, name):
                (revoked if marker == "@revoked" else keys).append(key)
    return Known(keys=tuple(keys), revoked=tuple(revoked), files=tuple(files))


def refuse_key(host: str, shown: HostKey, known: Known) -> None:
    """Raises Refused unless the key is one that is known or pinned. A pin wins over the files."""
    again = f"pin it: --host-key {bare_name(host)}={shown.fingerprint}"
    look = f"`ssh-keygen -lf /etc/ssh/ssh_host_{_short(shown.kind)}_key.pub` on the machine's console"
    if shown in known.revoked:
        raise Refused(
            f"{host} shows {shown}, which {known.files[0]} has as @revoked",
            hint="That key is not its own any more: talk to whoever revoked it.",
        )
    if known.pins:
        if shown.fingerprint not in known.pins:
            raise Refused(
                f"{host} shows {shown}; pinned is {' or '.join(known.pins)}",
                hint=f"Compare with {look}; only if it is the same, {again}",
            )
        return
    if shown in known.keys:
        return
    where = " or ".join(known.files) or "any known_hosts"
    if known.keys:
        same = [key for key in known.keys if key.kind == shown.kind] or known.keys
        raise Refused(
            f"{host} shows another key than {where} has: {shown}, not {same[0]}",
            hint="If it was not made anew, somebody stands in between. "
            f"Compare with {look}; then `ssh-keygen -R {bare_name(host)}`, and {again}",
        )
    raise Refused(
        f"{host} shows {shown}, and it is not in {where}",
        hint=f"Compare with {look}; then `ssh {host}` once, or {again}",
    )


def _lines(text: str) -> Iterator[tuple[str, str, HostKey]]:
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        yield marker, words[0], HostKey(kind=words[1], blob=blob)


def _names(names: str, name: str) -> bool:
    if names.startswith("|1|"):
        return _hashed(names, name)
    patterns = names.lower().split(",")
    wanted = name.lower()
    if any(_matches(pattern[1:], wanted) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_matches(pattern, wanted) for pattern in patterns if not pattern.startswith("!"))


def _matches(pattern: str, name: str) -> bool:
    """`*` and `?` only: `[` is a letter in `[host]:port`."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _hashed(names: str, name: str) -> bool:
    try:
        salt, told = (base64.b64decode(part, validate=True) for part in names.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), told)


def _short(kind: str) -> str:
    return next((short for short in ("ed25519", "ecdsa", "rsa") if short in kind), "ed25519")


def kinds(keys: Iterable[HostKey]) -> tuple[str, ...]:
    """The algorithms that a server should be asked for, so that it shows a key that is known."""
    found: list[str] = []
    for key in keys:
        found += ["rsa-sha2-512", "rsa-sha2-256"] if key.kind == "ssh-rsa" else [key.kind]
    return tuple(dict.fromkeys(found))
