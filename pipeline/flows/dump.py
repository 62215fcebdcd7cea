"""dump: a gateway is read as a whole, and written as the artifacts that bring it back."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import Failed
from pipeline.gateways.base import Gateway
from pipeline.model.artifact import artifact_paths
from pipeline.model.ci import entity_name
from pipeline.model.deck import deck_file
from pipeline.model.deck_apis import for_deck
from pipeline.model.restore_script import ScriptHeader, only_service, restore_script
from pipeline.model.route import GatewayState, tag_word
from pipeline.model.state_file import state_file


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFile:
    """One restore artifact: its path below the repository and its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What an artifact was made from and by. `version` is the release's (its sha8, with `-dirty` where it is)."""

    tool_version: str
    environment: str
    commit: str
    version: str


def dump(gateway: Gateway) -> GatewayState:
    """All that the gateway holds. Reads only; a second call gives an equal state while nobody writes."""
    return gateway.dump()


def written(state: GatewayState, form: str, origin: Origin, *, file: str, library: str) -> str:
    """The whole gateway in one of the formats: `sh`, `json`, `deck`. No secret is in any of them."""
    if form == "sh":
        return _script(state, "the whole gateway", file, origin, library)
    return deck_file(for_deck(state)) if form == "deck" else state_file(state, tag_word(origin.environment))


def restore_files(
    state: GatewayState, service: str, origin: Origin, *, library: str, folder: str = "artifacts"
) -> tuple[RestoreFile, ...]:
    """The artifacts of one registration: the service's route, the whole gateway, and that in decK's format.

    Pure: same state and origin, same bytes. `library` is pipeline/shell/lib.sh's text. Failed when the state does not
    have the service, because someone removed it since it was registered.
    """
    part = only_service(state, entity_name(service, origin.environment))
    single, whole, deck = artifact_paths(service, origin.version, folder)
    if not (part.of("routes") or part.of("apis")):
        raise Failed(
            f"the gateway has no route of {service} any more: it was removed after its registration",
            hint="Run `invoke register` again, and find out who writes to this gateway.",
        )
    return (
        RestoreFile(path=single, text=_script(part, f"the route of {service}", single, origin, library)),
        RestoreFile(path=whole, text=_script(state, "the whole gateway", whole, origin, library)),
        RestoreFile(path=deck, text=deck_file(for_deck(state))),
    )


def _script(state: GatewayState, subject: str, file: str, origin: Origin, library: str) -> str:
    header = ScriptHeader(
        subject=subject,
        file=file,
        tool_version=origin.tool_version,
        environment=origin.environment,
        commit=origin.commit,
    )
    return restore_script(state, header, library=library)
