"""TLS to an API: whom a connection trusts, what it shows of itself, and what a handshake that failed means."""

from __future__ import annotations

import ssl

from pipeline.edge.http import Access, Lost, Untrusted
from pipeline.errors import BadInput


def tls_context(access: Access) -> ssl.SSLContext:
    """Trusts the CA that is named and no other, or those of the bundle; shows the client certificate. Raises BadInput
    for files that hold no such thing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(access.ca_file or _bundle())
    except (OSError, ssl.SSLError) as error:
        raise BadInput(
            f"the file {access.ca_file} holds no certificate of a CA",
            hint=f"Name the PEM file of the CA that signed the server's certificate ({access.variables}_CA_CERT).",
        ) from error
    if access.client_cert:
        _show(context, access)
    return context


def tls_failure(error: ssl.SSLError, access: Access) -> Lost:
    """What ended a connection, in words that name what to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"certificate verify failed: {error.verify_message}"
        variable = f"{access.variables}_CA_CERT"
        if access.ca_file:
            return Untrusted(words, hint=f"{access.ca_file} ({variable}) should be its CA; no other is trusted.")
        return Untrusted(words, hint=f"Name the CA of the server ({variable}); no other is trusted then.")
    told = (error.reason or "").replace("_", " ").lower()
    words = "it ended the TLS handshake" + (f": {told}" if told and not isinstance(error, ssl.SSLEOFError) else "")
    if access.client_cert:
        return Lost(words, hint=f"It may not accept the certificate {access.client_cert} (KONG_CLIENT_CERT).")
    return Lost(words, hint="The server may want a client certificate (KONG_CLIENT_CERT, KONG_CLIENT_KEY).")


def _bundle() -> str:
    import certifi

    return certifi.where()


def _show(context: ssl.SSLContext, access: Access) -> None:
    """A key with a passphrase is asked for by nobody: a job has no terminal."""
    key = access.client_key
    try:
        context.load_cert_chain(access.client_cert, key or None, password="")
    except (OSError, ssl.SSLError) as error:
        raise BadInput(
            f"the files {access.client_cert} and {key} are no certificate and its key"
            if key
            else f"the file {access.client_cert} holds no certificate with its key",
            hint="Name a PEM certificate (KONG_CLIENT_CERT) and its own key without a passphrase (KONG_CLIENT_KEY).",
        ) from error
