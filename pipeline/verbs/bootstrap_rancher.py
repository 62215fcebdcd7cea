"""--rehearse of an environment on Rancher: a lab Rancher with a key of its own stands in for the server."""

from __future__ import annotations

import secrets

from pipeline.errors import BadInput
from pipeline.flows import bootstrap as flow
from pipeline.model.address import RancherAddress
from pipeline.model.bootstrap_variables import registry_variables
from pipeline.model.inventory import FoundRegistry
from pipeline.model.secret import Secret
from pipeline.platforms.base import Exporter, Platform
from pipeline.verbs.lab import until_it_answers
from pipeline.wiring import Session


class RancherGround:
    """One lab Rancher, on the engine that builds here: its containers are real."""

    def __init__(self, session: Session, environment: str, url: str) -> None:
        self._session = session
        self._environment = environment
        self._address = RancherAddress(
            url=url, access_key=secrets.token_hex(10).upper(), secret_key=Secret(secrets.token_hex(20))
        )

    def start(self, image: str) -> None:
        """Gives back when it answers. Raises Failed when it does not."""
        lab = self._session.bootstrap.lab_rancher(self._address, self._environment)
        lab.up(image)
        hint = "try `invoke lab.up --rancher` by itself."
        until_it_answers(self._session, lab, self.platform, name="the rehearsal's Rancher", hint=hint)

    def platform(self) -> Platform:
        return self._session.bootstrap.rehearsing_at(self._address, self._environment)

    def exporter(self) -> Exporter:
        return self._session.bootstrap.rehearsed_at(self._address, self._environment)

    def supplied(self, written: flow.Written) -> dict[str, Secret | str]:
        """What opens it to the scripts. Raises BadInput for a registry whose password is not known here."""
        passwords = {
            variable: self._password(registry, variable)
            for registry, variable in registry_variables(written.contents.inventory.registries).items()
        }
        address = self._address
        return {
            "RANCHER_URL": address.url,
            "RANCHER_PROJECT": "",
            "RANCHER_ACCESS_KEY": address.access_key,
            "RANCHER_SECRET_KEY": address.secret_key,
            "RANCHER_REGISTER": "no",
            **passwords,
        }

    def _password(self, registry: FoundRegistry, variable: str) -> Secret:
        pulling = self._session.settings.pulling
        if (pulling.host, pulling.user) == (registry.address, registry.user):
            return pulling.password
        given = Secret(self._session.variables.get(variable, ""))
        if not given.reveal():
            raise BadInput(
                f"a rehearsal pulls from {registry.address} as {registry.user}, whose password is not known here",
                hint=f"Set {variable}.",
            )
        self._session.console.mask((given,))
        return given
