"""What a .gitlab-ci.yml has to keep to beyond GitLab's schema. Each rule is a function; its docstring is the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.model.ci_yaml import Pipeline

_CHANGES = re.compile(r"\b(?:invoke|pipeline)\b.*\b(?:deploy|register|release|rollback|prune|restore|bootstrap)\b")
_REGISTERS = re.compile(r"\b(?:invoke|pipeline)\b.*\b(?:register|release)\b|\bcarl\s+update_api\b")
_SECRET = re.compile(r"(?:PASSWORD|PASSWD|TOKEN|SECRET|PRIVATE_KEY|ACCESS_KEY)$", re.IGNORECASE)
_SAFE_RETRIES = {
    *("runner_system_failure", "stuck_or_timeout_failure", "scheduler_failure", "data_integrity_failure"),
    *("runner_unsupported", "stale_schedule", "job_execution_timeout", "archived_failure", "api_failure"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong, at which key of which job (empty for the file), and what to do."""

    job: str
    key: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{': '.join(part for part in (self.job, self.key) if part)}: {self.what}"


Rule = Callable[[Pipeline], Iterator[Finding]]


def check(pipeline: Pipeline) -> tuple[Finding, ...]:
    """Every finding of every rule, by job."""
    found = [finding for rule in RULES for finding in rule(pipeline)]
    return tuple(sorted(found, key=lambda one: (one.job, one.key, one.what)))


def images_are_pinned(pipeline: Pipeline) -> Iterator[Finding]:
    """`latest` is another image tomorrow: the pipeline of a commit must be the same when it runs again."""
    for name, job in [("", pipeline.keys), ("default", _mapping(pipeline.keys.get("default"))), *_jobs(pipeline)]:
        places = [("image", job.get("image")), *(("services", one) for one in _list(job.get("services")))]
        for key, image in places:
            reference = str(image.get("name", "")) if isinstance(image, Mapping) else str(image or "")
            tag = reference.rpartition("/")[2].partition(":")[2]
            if reference and "$" not in reference and "@" not in reference and tag in ("", "latest"):
                yield Finding(
                    job=name,
                    key=key,
                    what=f"{reference!r} is not pinned",
                    hint="Name a version, or a digest.",
                )


def engines_speak_tls(pipeline: Pipeline) -> Iterator[Finding]:
    """An engine without TLS gives root to whoever reaches its port, other jobs on the runner's network among them."""
    for name, job in _jobs(pipeline):
        variables = _mapping(pipeline.keys.get("variables")) | _mapping(job.get("variables"))
        has_engine = any("dind" in str(one) for one in _list(job.get("services")))
        plain = variables.get("DOCKER_TLS_CERTDIR") == "" or str(variables.get("DOCKER_HOST", "")).endswith(":2375")
        if has_engine and plain:
            yield Finding(
                job=name,
                key="variables",
                what="the engine is reached without TLS",
                hint="DOCKER_TLS_CERTDIR: /certs, DOCKER_HOST: tcp://docker:2376, DOCKER_CERT_PATH: /certs/client.",
            )


def changing_jobs_are_not_interruptible(pipeline: Pipeline) -> Iterator[Finding]:
    """A newer commit would cancel the job in the middle of a deployment."""
    default = _mapping(pipeline.keys.get("default")).get("interruptible", False)
    for name, job in _changing(pipeline):
        if job.get("interruptible", default):
            yield Finding(
                job=name,
                key="interruptible",
                what="a job that changes something should be false",
                hint="Set it to false.",
            )


def changing_jobs_take_turns(pipeline: Pipeline) -> Iterator[Finding]:
    """Two pipelines for one environment: GitLab lets one wait where they share a resource group. The toolkit's lease
    would refuse the second one instead."""
    for name, job in _changing(pipeline):
        if not job.get("resource_group") and _scripts(job, r"\b(?:deploy|register|release)\b"):
            yield Finding(
                job=name,
                key="resource_group",
                what="missing, and the job deploys or registers",
                hint="resource_group: $PIPELINE_ENVIRONMENT, or the environment's name.",
            )


def changing_jobs_are_not_tried_again_blindly(pipeline: Pipeline) -> Iterator[Finding]:
    """A failed check through the gateway is an answer, and not a reason to deploy a second time."""
    for name, job in _changing(pipeline):
        retry = job.get("retry", _mapping(pipeline.keys.get("default")).get("retry"))
        reasons = _list(retry.get("when", "always")) if isinstance(retry, Mapping) else ["always"] if retry else []
        if wrong := sorted({str(one) for one in reasons} - _SAFE_RETRIES):
            yield Finding(
                job=name,
                key="retry",
                what=f"also after {', '.join(wrong)}",
                hint="retry: {max: 2, when: [runner_system_failure, stuck_or_timeout_failure, scheduler_failure]}.",
            )


def restore_artifacts_stay(pipeline: Pipeline) -> Iterator[Finding]:
    """The script that brings the gateway back is wanted when everything else is gone: years later, perhaps."""
    for name, job in _jobs(pipeline):
        artifacts = _mapping(job.get("artifacts"))
        of_a_review = str(_mapping(job.get("environment")).get("name", "")).startswith("review/")
        if of_a_review or not any(_REGISTERS.search(line) for line in _lines(job)):
            continue
        if not artifacts:
            yield Finding(
                job=name,
                key="artifacts",
                what="missing: the restore scripts are lost with the job",
                hint="artifacts: {paths: [artifacts/], expire_in: never}.",
            )
        elif artifacts.get("expire_in") != "never":
            yield Finding(
                job=name,
                key="artifacts.expire_in",
                what=f"{artifacts.get('expire_in', 'the default')!r}, and restore scripts should never expire",
                hint="Set it to never.",
            )


def secrets_are_not_written_down(pipeline: Pipeline) -> Iterator[Finding]:
    """What stands in the file stands in the repository's history."""
    for name, job in [("", pipeline.keys), *_jobs(pipeline)]:
        for variable, given in _mapping(job.get("variables")).items():
            value = str(given.get("value", "") if isinstance(given, Mapping) else given or "")
            if _SECRET.search(str(variable)) and value and "$" not in value:
                yield Finding(
                    job=name,
                    key=f"variables.{variable}",
                    what="a secret is written down",  # never its value
                    hint="Set it as a masked and protected variable of the project, and take another value.",
                )


def reviews_can_be_stopped(pipeline: Pipeline) -> Iterator[Finding]:
    """A review that nothing stops stays for ever; one whose stop job checks out a deleted branch cannot be stopped."""
    for name, job in _jobs(pipeline):
        environment = _mapping(job.get("environment"))
        starts = environment.get("action", "start") == "start"
        if str(environment.get("name", "")).startswith("review/") and starts and "on_stop" not in environment:
            yield Finding(job=name, key="environment.on_stop", what="missing", hint="Name the job that stops it.")
        if "on_stop" in environment and (wrong := _wrong_stop(pipeline, str(environment["on_stop"]))):
            yield Finding(
                job=name,
                key="environment.on_stop",
                what=wrong,
                hint="That job needs environment: {action: stop} and variables: {GIT_STRATEGY: none}.",
            )


def no_job_runs_twice(pipeline: Pipeline) -> Iterator[Finding]:
    """A job for merge requests and for branches runs twice for each push, unless workflow says which."""
    if "workflow" in pipeline.keys or not pipeline.whole:
        return
    for name, job in _jobs(pipeline):
        conditions = [str(rule.get("if", "")) for rule in _list(job.get("rules")) if isinstance(rule, Mapping)]
        of_requests = any("merge_request_event" in condition and "!=" not in condition for condition in conditions)
        if of_requests and any("CI_COMMIT_BRANCH" in condition or not condition for condition in conditions):
            yield Finding(
                job=name,
                key="rules",
                what="the job runs for the branch and again for its merge request",
                hint="Include our workflow, or say in workflow:rules which of the two pipelines there is.",
            )


def what_is_needed_is_there(pipeline: Pipeline) -> Iterator[Finding]:
    """GitLab refuses the whole pipeline for one name."""
    if not pipeline.whole:
        return
    for name, job in _jobs(pipeline):
        for one in _list(job.get("needs")):
            needed = str(one.get("job", "")) if isinstance(one, Mapping) else str(one)
            elsewhere = isinstance(one, Mapping) and ("pipeline" in one or "project" in one)
            if needed and not elsewhere and needed not in pipeline.running:
                yield Finding(job=name, key="needs", what=f"there is no job {needed!r}", hint="Name one that is there.")


RULES: tuple[Rule, ...] = (
    images_are_pinned,
    engines_speak_tls,
    changing_jobs_are_not_interruptible,
    changing_jobs_take_turns,
    changing_jobs_are_not_tried_again_blindly,
    restore_artifacts_stay,
    secrets_are_not_written_down,
    reviews_can_be_stopped,
    no_job_runs_twice,
    what_is_needed_is_there,
)


def _jobs(pipeline: Pipeline) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from sorted(pipeline.running.items())


def _changing(pipeline: Pipeline) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, job) for name, job in _jobs(pipeline) if any(_CHANGES.search(line) for line in _lines(job)))


def _lines(job: Mapping[str, Any]) -> list[str]:
    return [line for part in _list(job.get("script")) for line in str(part).splitlines()]


def _scripts(job: Mapping[str, Any], words: str) -> bool:
    return any(re.search(words, line) for line in _lines(job))


def _wrong_stop(pipeline: Pipeline, name: str) -> str:
    stop = pipeline.running.get(name)
    if stop is None:
        return f"there is no job {name!r}" if pipeline.whole else ""
    if _mapping(stop.get("environment")).get("action") != "stop":
        return f"{name!r} does not stop it"
    return "" if _mapping(stop.get("variables")).get("GIT_STRATEGY") == "none" else f"{name!r} checks out the branch"


def _mapping(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
