"""Files of secrets: encrypted for those who may read them (age), read back in clear text, revealed for a document."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.edge.files import read_file
from pipeline.errors import BadInput
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import with_hidden

_AGE = b"age-encryption.org/"


def revealed(value: object) -> object:
    """The value with its secrets in clear text, for a document that leaves for where they belong."""
    return with_hidden(value, lambda _, hidden: hidden.reveal() if isinstance(hidden, Secret) else None)


def in_clear(find: Callable[[str], Secret | None]) -> Callable[[str], str | None]:
    """The texts of variables, for a format that may have them anywhere."""

    def text(name: str) -> str | None:
        secret = find(name)
        return None if secret is None else secret.reveal()

    return text


def encrypted(content: bytes, recipients: Sequence[str]) -> bytes:
    """An age file that only the recipients' keys open. Raises BadInput for what is no public key of age's."""
    try:
        import pyrage
    except ImportError as error:
        raise BadInput("pyrage is not installed", hint="`pip install pyrage`, or leave --with-secrets out.") from error
    try:
        keys = [pyrage.x25519.Recipient.from_str(one) for one in recipients]
    except pyrage.RecipientError as error:
        raise BadInput(
            f"age_recipients: {', '.join(recipients)}: {error}", hint="Name public keys, as age-keygen -y shows them."
        ) from error
    return bytes(pyrage.encrypt(content, keys))


def assignments(secrets: Mapping[str, Secret]) -> bytes:
    """`NAME='value'` for each: what a shell reads with `set -a; . FILE`, and read_secrets too."""
    lines = [f"{name}={shlex.quote(secret.reveal())}\n" for name, secret in sorted(secrets.items())]
    return "".join(lines).encode()


def read_secrets(path: Path) -> dict[str, Secret]:
    """The secrets of a decrypted file. Raises BadInput for one that still is encrypted, or holds something else."""
    content = read_file(path, hint="Name the decrypted file of secrets.")
    if content.startswith(_AGE):
        raise BadInput(f"{path} is encrypted", hint=f"Decrypt it first: age -d -i KEY {path} > FILE, and name that.")
    found: dict[str, Secret] = {}
    try:
        words = shlex.split(content.decode(), comments=True)
    except ValueError as error:
        raise BadInput(f"{path} is no file of secrets: {error}", hint="It holds NAME='value' lines.") from error
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise BadInput(f"{path} holds a line that is not NAME='value'", hint="It holds NAME='value' lines only.")
        found[name] = Secret(value)
    return found
