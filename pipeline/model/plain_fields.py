"""What no version of Kong calls secret in the configurations of common plugins, so that no schema has to be asked."""

from __future__ import annotations

from collections.abc import Mapping

_MAY_HOLD_TEXT = (str, dict, list)
_ACCESS = ("allow", "deny", "whitelist", "blacklist")
_ADMITS = ("anonymous", "realm")
# By the schemas in Kong's source, 0.14 to 3.x. A field that is not named here is judged by the server's own schema.
_PLAIN: Mapping[str, tuple[str, ...]] = {
    "acl": _ACCESS,
    "basic-auth": _ADMITS,
    "bot-detection": _ACCESS,
    "correlation-id": ("header_name", "generator"),
    "cors": ("origins", "methods", "headers", "exposed_headers"),
    "hmac-auth": (*_ADMITS, "algorithms", "enforce_headers"),
    "ip-restriction": _ACCESS,
    "jwt": (*_ADMITS, "uri_param_names", "cookie_names", "header_names", "key_claim_name", "claims_to_verify"),
    "key-auth": (*_ADMITS, "key_names"),
    "proxy-cache": ("request_method", "content_type", "strategy", "vary_query_params", "vary_headers", "memory"),
    "rate-limiting": ("limit_by", "policy", "header_name", "path"),
    "request-size-limiting": ("size_unit",),
    "response-ratelimiting": ("limit_by", "policy", "header_name"),
}


def wants_schema(name: str, config: object) -> bool:
    """Whether a plugin's configuration holds a text of which only the server's schema says if it is secret."""
    if not isinstance(config, dict):
        return False
    plain = _PLAIN.get(name, ())
    for key, value in config.items():
        if value and isinstance(value, _MAY_HOLD_TEXT) and key not in plain and _has_text(value):
            return True
    return False


def _has_text(value: object) -> bool:
    if isinstance(value, str):
        return bool(value)
    if isinstance(value, dict):
        return any(map(_has_text, value.values()))
    return any(map(_has_text, value)) if isinstance(value, list) else False
