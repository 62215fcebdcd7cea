"""GitLab on this machine: gitlab-ci-local runs a rendered pipeline in containers of the toolkit's image. Beside it a job's
engine with TLS, a registry with a password, an engine as platform and the lab gateway: all real."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import yaml

from tests.builders.engine_support import running_registry
from tests.end_to_end.estate import PATIENT, ROOT, Environment, Estate, Ran, free_port
from tests.end_to_end.job_engine import JobEngine, job_engine, through

GITLAB = ROOT / ".tools" / "gitlab-ci-local" / "node_modules" / ".bin" / "gitlab-ci-local"
USERS = "ci:$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # the password is: secret
IMAGE = "invoke-pipeline:lab"
CHILD = "changed.gitlab-ci.yml"
HELPER = "pipeline-test/gitlab-helper:1"
BASE = "pipeline-test/python:1"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

OVERRIDE = {
    # What gitlab-ci-local cannot start here: a privileged container as the job's engine. Another real engine stands in.
    ".pipeline-engine": {"services": [], "variables": {"DOCKER_HOST": "the job's engine"}},
}
"""All that is changed of a rendered pipeline, by an included file. What is given as variables: where things are."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What GitLab's jobs find: an engine that builds, a registry, an engine that runs stacks, a gateway."""

    environment: Environment
    engine: JobEngine
    registry: str
    platform: str
    scratch: Path

    def variables(self) -> dict[str, str]:
        return {
            "GITLAB_CI": "true",  # gitlab-ci-local says false, so that scripts can tell
            "CI_DEFAULT_BRANCH": "master",
            "CI_REGISTRY": self.registry,
            "CI_REGISTRY_IMAGE": f"{self.registry}/estate",
            "CI_REGISTRY_USER": "ci",
            "CI_REGISTRY_PASSWORD": "secret",
            "GITLAB_USER_LOGIN": "somebody",
            "KONG_ADMIN_URL": self.environment.admin,
            "KONG_PROXY_URL": self.environment.proxy,
            "PIPELINE_BUILD_ARGS": f"PYTHON_IMAGE={BASE}",
            "PIPELINE_IMAGE": IMAGE,
            "PIPELINE_PRODUCTION": "false",
            "PIPELINE_ENVIRONMENT": self.environment.name,  # so that a stage of whoever runs the tests is left alone
            "PLATFORM_DOCKER_HOST": self.platform,
        }


@dataclass(kw_only=True)
class GitLab:
    """A project whose pipelines run here."""

    site: Site
    estate: Estate
    iid: int = 0

    @property
    def folder(self) -> Path:
        return self.estate.folder

    def adopt(self, *words: str) -> None:
        """`.gitlab-ci.yml` as `invoke ci.template` renders it, and the file with the override; committed."""
        toolkit = str(Path(sys.executable).parent / "pipeline")  # as `invoke` is called where there is no tasks.py
        shown = self.estate.run([toolkit, "ci.template", "--output", ".gitlab-ci.yml", *words])
        assert shown.code == 0, shown
        override = yaml.safe_load(yaml.safe_dump(OVERRIDE))
        override[".pipeline-engine"]["variables"]["DOCKER_HOST"] = self.site.engine.host
        for file, included in (("override.yml", ".gitlab-ci.yml"), ("child.yml", CHILD)):
            (self.folder / file).write_text(yaml.safe_dump({"include": [{"local": included}], **override}))
        settings = yaml.safe_load((self.folder / "invoke.yaml").read_text())
        settings["pipeline"]["branches"] = {"master": self.site.environment.name}
        (self.folder / "invoke.yaml").write_text(yaml.safe_dump(settings))
        for manifest in self.folder.rglob("config/package.json"):
            content = json.loads(manifest.read_text())
            content["pipeline"]["health"] = PATIENT | {"path": f"{content['uri']}/health"}
            manifest.write_text(json.dumps(content))
        (self.folder / ".dockerignore").write_text(".git\n")
        with (self.folder / ".gitignore").open("a") as ignored:
            ignored.write(f"/.gitlab-ci-local/\n/.gitlab-ci-reports/\n/{CHILD}\n")  # gitlab-ci-local's own
        self.estate.git("remote", "add", "origin", "git@gitlab.example.com:group/hello.git")
        self.estate.commit("adopt the pipeline")

    def pipeline(self, *words: str, branch: str = "master", **variables: str) -> Ran:
        """A whole pipeline (or the jobs that are named, with what they need)."""
        self.iid += 1
        return self.again(*words, branch=branch, **variables)

    def again(self, *words: str, branch: str = "master", **variables: str) -> Ran:
        """Jobs of the pipeline that ran last."""
        return self.run(*words, **{**self.site.variables(), **self._own(branch), **variables})

    def _own(self, branch: str) -> dict[str, str]:
        return {
            "CI_PIPELINE_IID": str(self.iid),
            "CI_PIPELINE_URL": f"https://gitlab.example.com/group/hello/-/pipelines/{self.iid}",
            "CI_COMMIT_REF_NAME": branch,
            "CI_COMMIT_REF_SLUG": branch,
            "CI_COMMIT_BRANCH": branch,
        }

    def run(self, *words: str, file: str = "override.yml", **variables: str) -> Ran:
        line = [str(GITLAB), "--file", file, "--home", str(self.site.scratch)]
        line += ["--network", "host", "--helper-image", HELPER, "--pull-policy", "if-not-present"]
        line += ["--volume", f"{self.site.engine.certificates}:/certs/client:ro", "--artifacts-to-source=false"]
        for name, value in variables.items():
            line += ["--variable", f"{name}={value}"]
        environ = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ}
        environ |= {"HOME": str(self.site.scratch), "FORCE_COLOR": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            [*line, *words], cwd=self.folder, env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        return Ran(code=done.returncode, out=_COLOURS.sub("", done.stdout), err=_COLOURS.sub("", done.stderr))

    def expanded(self, **variables: str) -> dict[str, Any]:
        """The pipeline as GitLab would see it, all includes and references filled in."""
        shown = self.run("--preview", **{**self.site.variables(), **variables})
        assert shown.code == 0, shown
        return dict(yaml.safe_load(shown.out.partition("---\n")[2]))

    def child(self, plan: str) -> Ran:
        """The child pipeline that a job has planned. gitlab-ci-local starts one as well, but with the variables that the
        parent's file has in place of those that are given."""
        shutil.copy(self.artifacts(plan) / "build" / CHILD, self.folder / CHILD)
        self.estate.git("add", "--force", CHILD)  # it includes only what git knows
        own = {**self._own("master"), "CI_PIPELINE_SOURCE": "parent_pipeline"}
        return self.run(file="child.yml", **{**self.site.variables(), **own})

    def as_jobs(self, *words: str, **variables: str) -> Ran:
        """The same verbs in one process on this machine, with the variables of a job: quicker than a pipeline."""
        self.iid += 1
        # As GitLab's runner clones, and gitlab-ci-local copies: modes are part of a context.
        subprocess.run(["chmod", "-R", "a+rw", str(self.folder)], check=True)
        given = self.site.variables() | self._own("master") | variables
        return self.estate.invoke(*words, CI_COMMIT_SHA=self.estate.git("rev-parse", "HEAD"), **given)

    def report(self, job: str, name: str) -> Path:
        """A file of `build/` that is a report of the job, where gitlab-ci-local keeps it."""
        found = next(self.artifacts(job).rglob(name), None)
        assert found is not None, f"{job} has no {name}"
        return found

    def artifacts(self, job: str) -> Path:
        return self.folder / ".gitlab-ci-local" / "artifacts" / _folder_of(job)


def _folder_of(job: str) -> str:
    """gitlab-ci-local's name for a job's folder: what is no part of a word, in base64."""
    return re.sub(r"[^\w-]+", lambda found: base64.urlsafe_b64encode(found[0].encode()).decode().rstrip("="), job)


@contextlib.contextmanager
def site(scratch: Path) -> Iterator[Site]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a second engine wants root and ip")
    environment = Environment()
    socket = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or "/var/run/docker.sock"
    with contextlib.ExitStack() as stack:
        stack.callback(environment.destroy)
        lab = Estate(scratch / "lab", environment).invoke("lab.up")
        assert lab.code == 0, lab
        engine = stack.enter_context(job_engine(_made(scratch / "engine")))
        registry = stack.enter_context(running_registry(_made(scratch / "registry"), htpasswd=USERS))
        stack.enter_context(through(registry, registry, namespace=engine.namespace))
        platform = f"127.0.0.1:{free_port()}"
        stack.enter_context(through(platform, socket))
        stack.enter_context(images(environment))
        engine.load(BASE)
        yield Site(
            environment=environment, engine=engine, registry=registry, platform=f"tcp://{platform}", scratch=scratch
        )


@contextlib.contextmanager
def images(environment: Environment) -> Iterator[None]:
    """The helper that gitlab-ci-local copies files with, and a base image that is quick to load and to push."""
    api = environment.engine.api
    api.import_image_from_data(_programs("busybox", "bash", "rsync"), repository=HELPER)
    machine = ROOT / "invoke.local.yaml"
    own = yaml.safe_load(machine.read_text())["pipeline"]["build_args"] if machine.exists() else {}
    whole = api.create_container(own.get("PYTHON_IMAGE", "python:3.13-slim"), command=["none"])["Id"]
    try:
        changes = [f"ENV {one}" for one in api.inspect_container(whole)["Config"]["Env"] or ()]
        slim = _without(api.export(whole), ("usr/share", "var", "usr/include", "usr/lib/python3/dist-packages"))
        api.import_image_from_data(slim, repository=BASE, changes=changes)
        yield
    finally:
        api.remove_container(whole)
        for name in (HELPER, BASE):
            with contextlib.suppress(docker.errors.APIError):
                api.remove_image(name, force=True)


def _programs(*names: str) -> bytes:
    """Programs of this machine with their libraries, and busybox's applets beside them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        added = set()
        for name in names:
            path = shutil.which(name) or name
            needed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout.split()
            for one in {path, *(word for word in needed if word.startswith("/"))} - added:
                place = f"/bin/{name}" if one == path else one
                archive.add(os.path.realpath(one), arcname=place)
                added.add(one)
        for applet in ("sh", "chown", "chmod", "mkdir", "cp", "true"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return content.getvalue()


def _without(stream: Iterable[bytes], left_out: tuple[str, ...]) -> bytes:
    """A file system's tar without what is under these folders."""
    content = io.BytesIO()
    whole = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    with whole, tarfile.open(fileobj=content, mode="w") as kept:
        whole.writelines(stream)
        whole.seek(0)
        with tarfile.open(fileobj=whole) as read:
            for member in read:
                if not member.name.startswith(tuple(f"{folder}/" for folder in left_out)):
                    kept.addfile(member, read.extractfile(member) if member.isreg() else None)
    return content.getvalue()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
