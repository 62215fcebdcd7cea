"""A rehearsal of an estate of many stacks, against its containers' own starts. `python -m benchmarks.rehearsal 20`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rollback import until_healthy
from pipeline.edge.library import shell_libraries
from tests.end_to_end.estate import HELLO, Environment, Estate, ask

STACKS = 20
SECOND = """  app:
    build: .
    restart: always
    command: ["python3", "-m", "http.server", "8080"]
"""


def main(stacks: int = STACKS) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment()
        try:
            estate = _estate(Path(folder), environment, stacks)
            own = []
            for container in environment.containers():
                container.stop(timeout=1)
                own.append(_started(container))
            start = time.perf_counter()
            ran = estate.invoke("bootstrap", "--rehearse", "--with-images")
            whole = time.perf_counter() - start
            assert ran.code == 0, ran
            report = json.loads((estate.folder / f"build/bootstrap-{environment.name}/rehearsal.json").read_text())
        finally:
            environment.destroy()
            _forget_images(stacks)
    together = int(re.findall(r"bootstrap_together=(\d+)", "".join(shell_libraries(("bootstrap.sh",)).values()))[0])
    limit = 1.5 * sum(own) / together
    print(f"  {stacks} stacks, {len(own)} containers: {report['rebuilt']}")
    print(f"  their own starts one by one {sum(own):.1f} s, {together} at once")
    print("  " + ", ".join(f"{one['script']} {one['seconds']:.1f}" for one in report["steps"]))
    print(f"  rehearsal {whole:.1f} s (limit {limit:.1f} s) {'ok' if whole <= limit else 'OVER'}")


def _estate(folder: Path, environment: Environment, stacks: int) -> Estate:
    """Services of two containers each, with a plugin, a consumer with a key and a certificate in the gateway."""
    estate = Estate(folder, environment)
    shutil.rmtree(estate.service)
    for number in range(stacks):
        _service(estate, f"s{number:02}")
    estate.settings(settle=0, deploy_timeout=120, verify_timeout=30)
    for words in (("lab.up",), ("build", "deploy", "register")):
        ran = estate.run(estate.command(*words), **estate.variables)
        assert ran.code == 0, ran
    admin = environment.admin
    for number in range(stacks):
        name = f"s{number:02}"
        made = ask(f"{admin}/services/{name}/plugins", "POST", {"name": "correlation-id", "config": {}})
        assert made[0] == 201, made
        assert ask(f"{admin}/consumers", "POST", {"username": name})[0] == 201
        assert ask(f"{admin}/consumers/{name}/key-auth", "POST", {"key": f"key-of-{name}"})[0] == 201
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += [
        "-days",
        "9",
        "-subj",
        "/CN=www.example.com",
        "-keyout",
        str(folder / "key"),
        "-out",
        str(folder / "cert"),
    ]
    subprocess.run(words, check=True, capture_output=True)
    pair = {"cert": (folder / "cert").read_text(), "key": (folder / "key").read_text(), "snis": ["www.example.com"]}
    assert ask(f"{admin}/certificates", "POST", pair)[0] == 201
    return estate


def _service(estate: Estate, name: str) -> None:
    folder = estate.folder / "services" / name
    shutil.copytree(HELLO, folder)
    for file in ("server.py", "config/package.json"):
        path = folder / file
        path.write_text(path.read_text().replace("/ws/hello", f"/ws/{name}"))
    manifest = folder / "config" / "package.json"
    document = json.loads(manifest.read_text())
    # Not so often that the checks of what runs already are all that the machine does.
    document["pipeline"]["health"] = {"path": f"/ws/{name}/health", "interval": 2, "timeout": 3, "retries": 30}
    manifest.write_text(json.dumps(document))
    compose = folder / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("volumes:\n  data", SECOND + "volumes:\n  data"))
    estate.commit(name)


def _started(container) -> float:  # type: ignore[no-untyped-def]
    """Seconds until it is healthy, or runs where it has no check."""
    if container.client.api.inspect_container(container.id)["Config"].get("Healthcheck"):
        return float(until_healthy(container))
    start = time.perf_counter()
    container.start()
    return time.perf_counter() - start


def _forget_images(stacks: int) -> None:
    labels = [f"label=pipeline.service=s{number:02}" for number in range(stacks)]
    for label in labels:
        listed = subprocess.run(["docker", "image", "ls", "-q", "--filter", label], capture_output=True, text=True)
        for one in set(listed.stdout.split()):
            subprocess.run(["docker", "image", "rm", "-f", one], capture_output=True, check=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STACKS)
