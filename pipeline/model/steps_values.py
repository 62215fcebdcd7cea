"""Where the variables that a generated folder wants are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.errors import BadInput
from pipeline.model.secret import Secret
from pipeline.model.steps import Variable

PREFIX = "BOOTSTRAP_"
# They say where something is, as seen from the machine that runs a script. What they are here is about another place:
# this machine's engine, the gateway and the Rancher of the environment that is being copied.
_OF_A_PLACE = {
    *("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "KONG_ADMIN_URL", "KONG_PROXY_URL"),
    *("KONG_CLIENT_CERT", "KONG_CLIENT_KEY", "KONG_CA_CERT", "FORCE"),
    *("RANCHER_URL", "RANCHER_PROJECT", "RANCHER_ACCESS_KEY", "RANCHER_SECRET_KEY", "RANCHER_CA_CERT"),
    *("RANCHER_SERVER_IMAGE", "RANCHER_REGISTER", "RANCHER_AGENT_IP"),
}
_SHOWN = {*_OF_A_PLACE, "BOOTSTRAP_WAIT"} - {"RANCHER_ACCESS_KEY", "RANCHER_SECRET_KEY"}


def sources(name: str, environment: str) -> tuple[str, ...]:
    """The variables here that may hold it, the first that is set wins: `BOOTSTRAP_<NAME>` always, and for what does not
    tell a place the environment's own (`STAGE_<NAME>`) and the plain one."""
    if name in _OF_A_PLACE:
        return (PREFIX + name,)
    own = f"{environment.upper().replace('/', '_').replace('-', '_')}_{name}"
    return (PREFIX + name, own, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The values by the scripts' own names, and those of them that must not be seen in a log: all but places that have
    no password in them."""

    values: Mapping[str, Secret]
    hidden: tuple[Secret, ...]


def find_values(
    variables: Iterable[Variable], environ: Mapping[str, str], environment: str, ask: Callable[[Variable], str] | None
) -> Given:
    """What is set here; `ask` is called for each that has to be supplied and is not. Optional ones that are not set are
    left out. Raises BadInput naming all that are missing when there is nobody to ask."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for variable in variables:
        value = next((environ[name] for name in sources(variable.name, environment) if environ.get(name)), "")
        if not value and variable.required:
            value = ask(variable) if ask else ""
        if value:
            found[variable.name] = value
        elif variable.required:
            missing.append(sources(variable.name, environment)[-1])
    if missing:
        raise BadInput(
            f"not set: {', '.join(missing)}",
            hint="Set them here (variables.env.example says what they are), or run it on a terminal and be asked.",
        )
    return Given(
        values={name: Secret(value) for name, value in found.items()},
        hidden=tuple(Secret(value) for name, value in found.items() if name not in _SHOWN or _has_password(value)),
    )


def _has_password(text: str) -> bool:
    try:
        return urlsplit(text).password is not None
    except ValueError:
        return True
