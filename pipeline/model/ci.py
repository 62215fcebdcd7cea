"""What a GitLab job's variables say of the pipeline that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.errors import BadInput
from pipeline.model.manifest import Manifest
from pipeline.model.secret import Secret

_SECRET = re.compile(r"(?:PASSWORD|PASSWD|TOKEN|SECRET|SECRET_KEY|PRIVATE_KEY)$", re.IGNORECASE)
REVIEW = "review"


def branch_of(variables: Mapping[str, str]) -> str:
    """The branch that a pipeline releases. Empty for a tag and for a merge request, whatever they are called: a tag
    `production` is no branch, and a fork's `master` is not ours."""
    # The child of a merge request's pipeline has another source, and the merge request's number.
    of_a_request = variables.get("CI_PIPELINE_SOURCE") == "merge_request_event" or variables.get("CI_MERGE_REQUEST_IID")
    if variables.get("CI_COMMIT_TAG") or of_a_request:
        return ""
    return variables.get("CI_COMMIT_REF_NAME", "")


def is_fork(variables: Mapping[str, str]) -> bool:
    """Whether the pipeline is for a merge request from another project: it has that project's code, and of ours no
    protected variables."""
    source = variables.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", "")
    return bool(source) and source != variables.get("CI_MERGE_REQUEST_PROJECT_ID", variables.get("CI_PROJECT_ID", ""))


def family(environment: str) -> str:
    """`review` of `review/my-branch`: what its settings stand under, and whose gateway and network it shares."""
    return environment.partition("/")[0]


def entity_name(service: str, environment: str) -> str:
    """What a service is called in a gateway: its own name, with the review's where several share the gateway."""
    return f"{service}.{environment.replace('/', '.')}" if family(environment) == REVIEW else service


def hosts_of(manifest: Manifest, usual: tuple[str, ...], environment: str) -> tuple[str, ...]:
    """What a service's route matches: the manifest's hosts before the settings'. A review has the settings' alone, its
    own, or it would answer for the others. Raises BadInput when it has none."""
    if family(environment) != REVIEW:
        return manifest.pipeline.hosts or usual
    if not usual:
        raise BadInput(
            f"{environment} has no host of its own, and its routes would be those of every review",
            hint="Set KONG_TARGET_HOST, as the template does from PIPELINE_REVIEW_DOMAIN.",
        )
    return usual


def secrets_in(variables: Mapping[str, str]) -> tuple[Secret, ...]:
    """Values of variables that are named like secrets: GitLab masks only those that someone marked."""
    return tuple(Secret(value) for name, value in sorted(variables.items()) if value and _SECRET.search(name))
