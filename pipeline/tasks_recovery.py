"""The command line of recovery: a gateway and an environment are written down, and brought back."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from pipeline.command import TaskWithFile, verb
from pipeline.flags import CHECK, ENVIRONMENT, Services


@task(
    help={"environment": ENVIRONMENT, "format": "sh, json, deck or declarative", "output": "a file; default: stdout"}
    | {"with-secrets": "also write the secrets, encrypted for age_recipients of invoke.yaml"}
)
@verb
def dump(
    c: Context, environment: str | None = None, format: str = "sh", output: str = "", with_secrets: bool = False
) -> int:
    """Write the whole gateway down, as a restore script, JSON, decK's file or Kong's own."""
    from pipeline.verbs import dump as go

    return go.dump(environment, form=format, output=output, with_secrets=with_secrets)


@task(
    klass=TaskWithFile,
    positional=["file"],
    help={
        "file": "a restore script, JSON or decK file",
        "environment": ENVIRONMENT,
        "latest": "take the newest artifact of a whole gateway",
        "exact": "also delete what is ours by its tags and not in the file",
        "all": "with --exact: delete everything that is not in the file",
        "transactional": "put everything back when something fails",
        "keep-going": "go on with the rest when something fails",
        "secrets": "the decrypted file of secrets",
        "force": "write to another environment's gateway all the same",
        "check": CHECK,
    },
)
@verb
def restore(
    c: Context,
    file: str | None = None,
    environment: str | None = None,
    latest: bool = False,
    exact: bool = False,
    all: bool = False,
    transactional: bool = False,
    keep_going: bool = False,
    secrets: str = "",
    force: bool = False,
    check: bool = False,
) -> int:
    """Bring a gateway back from a file: create and change what differs, delete nothing unless told to."""
    from pipeline.verbs import restore as go

    flags = go.Flags(exact, all, transactional, keep_going, secrets, force)
    return go.restore(c, file, environment, latest=latest, check=check, flags=flags)


@task(
    iterable=["host", "host_key"],
    help={
        "environment": ENVIRONMENT,
        "output": "the folder (default: bootstrap/<environment>)",
        "host": "run the folder's scripts on USER@HOST over SSH, again for several; compare what then runs",
        "host-key": "with --host: [HOST=]SHA256:… that it has to show, for several again (default: known_hosts)",
        "again": "with --host: run finished steps, too",
        "jobs": "with --host: hosts worked on at once (default: 8)",
        "remap": "a YAML file: what another place calls by other names",
        "with-images": "carry the images as archives",
        "with-data": "carry the volumes as archives",
        "predecessors": "also write down the stack before each one that serves",
        "commit": "write, commit and push the difference on the branch bootstrap/<environment>",
        "rehearse": "build it here from the scripts alone, ask every route, compare, remove it again",
        "check": CHECK,
    },
)
@verb
def bootstrap(
    c: Context,
    environment: str | None = None,
    output: str = "",
    host: Services = None,
    host_key: Services = None,
    again: bool = False,
    jobs: str = "",
    remap: str = "",
    with_images: bool = False,
    with_data: bool = False,
    predecessors: bool = False,
    commit: bool = False,
    rehearse: bool = False,
    check: bool = False,
) -> int:
    """Write the environment down as scripts that build it anew: from what runs, the same bytes for the same estate."""
    from pipeline.verbs import bootstrap as go

    carried = go.Carried(images=with_images, data=with_data, predecessors=predecessors)
    on = go.OnHosts(names=host or (), keys=host_key or (), again=again, jobs=jobs)
    flags = go.Flags(output=output, remap=remap, commit=commit, rehearse=rehearse, carried=carried, hosts=on)
    return go.bootstrap(c, environment, flags, check=check)
