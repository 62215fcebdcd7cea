"""Tokens: shown once when they are made, kept as hashes."""

import hashlib
import secrets

from django.core.exceptions import ImproperlyConfigured
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed

from cities.models import Writer

ENVIRONMENT_WRITER = "environment"
_SHORTEST_TOKEN = 20


class TokenAuthentication(authentication.TokenAuthentication):
    """`Authorization: Token …`"""

    def authenticate_credentials(self, key: str) -> tuple[Writer, None]:
        writer = Writer.objects.filter(token_hash=_hash(key)).first()
        if writer is None:
            raise AuthenticationFailed("This token is not valid.")
        return writer, None


def give_token(name: str) -> str:
    """A new token for the writer of that name, who is made when there is none; an older token stops working."""
    token = secrets.token_urlsafe(32)
    Writer.objects.update_or_create(name=name, defaults={"token_hash": _hash(token)})
    return token


def keep_environment_writer(token: str) -> None:
    if len(token) < _SHORTEST_TOKEN:
        raise ImproperlyConfigured(f"CITIES_WRITER_TOKEN is too short: {_SHORTEST_TOKEN} characters or more")
    writer, _ = Writer.objects.get_or_create(name=ENVIRONMENT_WRITER)
    if writer.token_hash != _hash(token):
        writer.token_hash = _hash(token)
        writer.save()


def _hash(token: str) -> str:
    # A long random token needs no slow hash: there is nothing to guess.
    return hashlib.sha256(token.encode()).hexdigest()
