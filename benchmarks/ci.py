"""What the pipeline adds to its commands, what the plan of a large estate takes, and what the toolkit's image weighs."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.measure import seconds, show
from tests.builders.engine_support import engine
from tests.end_to_end.estate import ROOT, Environment, Estate
from tests.end_to_end.gitlab_local import IMAGE, GitLab, site

SERVICES = 50


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _plan(Path(folder) / "plan")
        _overhead(Path(folder) / "overhead")
    _image()


def _overhead(folder: Path) -> None:
    """A first release each time, of a commit of its own: by hand (three commands on this machine, the job's engine and
    the same registry), and as a pipeline of three jobs."""
    with site(folder / "site") as here:
        gitlab = GitLab(site=here, estate=Estate(folder / "hello", here.environment, single=True))
        gitlab.adopt()
        by_hand, pipeline, verbs = [], [], ("build", "deploy", "register")
        for number in range(3):
            gitlab.estate.behave(f"by hand {number}")
            start = time.perf_counter()
            for verb in verbs:
                ran = gitlab.as_jobs(
                    verb,
                    DOCKER_HOST=here.engine.host,
                    DOCKER_TLS_VERIFY="1",
                    DOCKER_CERT_PATH=str(here.engine.certificates),
                )
                assert ran.code == 0, str(ran)
            by_hand.append(time.perf_counter() - start)
            gitlab.estate.behave(f"pipeline {number}")
            start = time.perf_counter()
            ran = gitlab.pipeline()
            assert ran.code == 0, str(ran)
            pipeline.append(time.perf_counter() - start)
    show({"three commands by hand": by_hand, "the pipeline, with its runner": pipeline})
    more = min(pipeline) - min(by_hand)
    print(
        f"  the pipeline over its commands, gitlab-ci-local's own work included: {more:.1f} s (limit 10 s) {_judge(more, 10)}"
    )


def _plan(folder: Path) -> None:
    """A branch of which every service is built, and one changed since."""
    environment = Environment()
    try:
        estate = Estate(folder, environment)
        for number in range(SERVICES - 1):
            _another(estate, f"s{number:02}")
        estate.commit("an estate")
        job = {"GITLAB_CI": "true", "CI_COMMIT_REF_NAME": "feature", "CI_COMMIT_REF_SLUG": "feature"}
        built = estate.invoke("build", CI_COMMIT_SHA=estate.git("rev-parse", "HEAD"), **job)
        assert built.code == 0, str(built)
        (estate.folder / "services" / "s07" / "behaviour").write_text("changed")
        estate.commit("one of them")
        job["CI_COMMIT_SHA"] = estate.git("rev-parse", "HEAD")
        words = ("ci.template", "--changed", "--output", "build/changed.gitlab-ci.yml")
        taken = [seconds(lambda: estate.invoke(*words, **job)) for _ in range(3)]
        child = yaml.safe_load(
            (estate.folder / "build" / "changed.gitlab-ci.yml").read_text().replace("!reference", "")
        )
    finally:
        environment.destroy()
        listed = subprocess.run(
            ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"],
            capture_output=True,
            text=True,
            check=True,
        )
        made = [name for name in listed.stdout.split() if name[0] == "s" and name[1:3].isdecimal() and name[3] == ":"]
        subprocess.run(["docker", "image", "rm", "-f", *made], capture_output=True, check=False)
    jobs = [name for name in child if name.startswith("build ")]
    show({f"plan of {SERVICES} services": taken})
    print(f"  build jobs of the child: {', '.join(jobs)} (wanted: one) {'ok' if jobs == ['build s07'] else 'OVER'}")
    print(f"  plan: {min(taken):.2f} s (limit 5 s) {_judge(min(taken), 5)}")


def _another(estate: Estate, name: str) -> None:
    folder = estate.folder / "services" / name
    subprocess.run(["cp", "-r", str(estate.service), str(folder)], check=True)
    manifest = folder / "config" / "package.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"uri": f"/ws/{name}"}))


def _image() -> None:
    with engine() as client:
        whole = client.inspect_image(IMAGE)["Size"]
        local = ROOT / "invoke.local.yaml"
        args = yaml.safe_load(local.read_text())["pipeline"]["build_args"] if local.exists() else {}
        base = client.inspect_image(args.get("PYTHON_IMAGE", "python:3.13-slim"))["Size"]
    listing = ["docker", "run", "--rm", IMAGE, "bash", "-c", "TIMEFORMAT=%R; time invoke --list >/dev/null"]
    shown = [subprocess.run(listing, capture_output=True, text=True, check=True).stderr.strip() for _ in range(5)]
    listed = min(float(text.replace(",", ".")) for text in shown)
    print(f"  invoke --list in the image: {listed:.2f} s (limit 1 s) {_judge(listed, 1)}")
    print(f"  the toolkit's image beyond its base: {(whole - base) / 1e6:.0f} MB (the base: {base / 1e6:.0f} MB)")


def _judge(found: float, limit: float) -> str:
    return "ok" if found <= limit else "OVER"
