"""What a user meets on a bad day: each failure ends with its exit code, two lines, and nothing half done."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable

import pytest

from tests.end_to_end.estate import Estate, Ran, ask, free_port, until

pytestmark = pytest.mark.engine


def last_error(ran: Ran) -> str:
    """The two lines that it ended with; a verb's own progress stands above."""
    lines = ran.err.strip().splitlines()
    assert lines[-2].startswith("error: "), ran
    assert lines[-1].startswith("next:  "), ran
    assert "Traceback" not in ran.err
    return lines[-2]


@pytest.mark.parametrize(
    ("break_it", "code", "words"),
    [
        (lambda estate: (estate.service / "config" / "package.json").write_text("{"), 3, "is not JSON"),
        (
            lambda estate: (estate.service / "config" / "package.json").unlink(),
            3,
            "services/hello has no config/package.json",
        ),
        (lambda estate: estate.manifest(helth={"path": "/"}), 3, "pipeline.helth is an unknown key"),
        (lambda estate: (estate.service / "config/package.json").write_text('{"uri": "ws/x"}'), 3, "uri: 'ws/x'"),
        (lambda estate: (estate.service / "config/package.json").write_text('{"uri": "/w s"}'), 3, "uri: '/w s'"),
        (lambda estate: (estate.service / "Dockerfile").unlink(), 3, "Dockerfile"),
        (lambda estate: (estate.service / "docker-compose.yml").unlink(), 3, "docker-compose.yml"),
        (lambda estate: (estate.service / "docker-compose.yml").write_text("services: ["), 3, "is not YAML"),
        (lambda estate: (estate.folder / "invoke.yaml").write_text("pipeline: {registri: x}"), 3, "registri"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_repository_that_is_wrong_is_refused_before_anything_is_done(
    estate: Estate, break_it: Callable[[Estate], object], code: int, words: str
) -> None:
    break_it(estate)

    ran = estate.run(estate.command("build"))

    assert ran.code == code, ran
    assert words in last_error(ran)


def test_a_compose_key_that_is_not_supported_is_named_with_file_and_service(estate: Estate) -> None:
    path = estate.service / "docker-compose.yml"
    path.write_text(path.read_text().replace("    build: .\n", "    build: .\n    network_mode: host\n"))

    ran = estate.invoke("build", "deploy")

    assert ran.code == 3, ran
    assert "services/hello/docker-compose.yml: services.proxy.network_mode" in last_error(ran)


def test_a_step_that_fails_is_shown_again_with_its_line(estate: Estate) -> None:
    path = estate.service / "Dockerfile"
    path.write_text(path.read_text() + "RUN echo before the end && exit 7\n")

    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 1, ran
    assert "exit 7" in last_error(ran)
    assert "before the end" in ran.err
    assert estate.environment.stacks() == set()


def test_the_engine_and_the_gateway_may_be_unreachable(estate: Estate) -> None:
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    engine = estate.invoke("build", DOCKER_HOST=nowhere)
    settings = estate.folder / "invoke.yaml"
    estate.invoke("build", "deploy")
    settings.write_text(settings.read_text().replace(estate.environment.admin, f"http://127.0.0.1:{free_port()}"))
    gateway = estate.invoke("register")

    assert engine.code == 5, engine
    assert nowhere in last_error(engine)
    assert gateway.code == 5, gateway
    assert "does not answer" in last_error(gateway)


def test_an_exported_address_of_another_gateway_is_refused(estate: Estate) -> None:
    ran = estate.invoke("register", KONG_ADMIN_URL="http://127.0.0.2:8001")

    assert ran.code == 3, ran
    assert "KONG_ADMIN_URL names http://127.0.0.2:8001" in last_error(ran)


@pytest.mark.parametrize("behaviour", ["sick", "exits"])
def test_a_release_that_does_not_get_well_is_removed_and_the_old_one_still_serves(
    estate: Estate, behaviour: str
) -> None:
    estate.invoke("release")
    first = estate.stack
    estate.behave(behaviour)

    ran = estate.invoke("build", "deploy", "register")

    assert ran.code == 1, ran
    assert estate.stack in last_error(ran)
    assert ("503" in ran.err) if behaviour == "sick" else ("told to exit" in ran.err)
    assert estate.environment.stacks() == {first}
    assert estate.ask(method="OPTIONS")[1]["stack"] == first


def test_a_release_that_answers_as_somebody_else_loses_the_route_again(estate: Estate) -> None:
    estate.invoke("release")
    first = estate.stack
    estate.behave("well lies")

    ran = estate.invoke("release")

    assert ran.code == 1, ran
    assert "somebody-else" in last_error(ran)
    assert estate.ask(method="OPTIONS")[1]["stack"] == first


def test_a_first_release_that_lies_leaves_no_route(estate: Estate) -> None:
    estate.behave("well lies")

    ran = estate.invoke("release")

    assert ran.code == 1, ran
    assert estate.ask()[0] == 404
    assert ask(f"{estate.environment.admin}/services")[1]["data"] == []


def test_without_a_proxy_to_ask_it_is_registered_and_says_not_verified(estate: Estate) -> None:
    settings = estate.folder / "invoke.yaml"
    settings.write_text(settings.read_text().replace(estate.environment.proxy, f"http://127.0.0.1:{free_port()}"))

    ran = estate.invoke("release")

    assert ran.code == 1, ran
    assert "not verified" in last_error(ran)
    assert estate.ask(method="OPTIONS")[1]["stack"] == estate.stack
    estate.manifest(verify=False)
    assert estate.invoke("release").code == 0


def test_a_path_that_belongs_to_someone_else_is_refused(estate: Estate) -> None:
    admin = estate.environment.admin
    ask(f"{admin}/services/theirs", "PUT", {"url": "http://127.0.0.1:9"})
    ask(f"{admin}/services/theirs/routes/their-route", "PUT", {"paths": [estate.uri]})

    ran = estate.invoke("release")

    assert ran.code == 4, ran
    assert "their-route" in last_error(ran)
    assert [one["name"] for one in ask(f"{admin}/services")[1]["data"]] == ["theirs"]


def test_the_gateway_of_another_environment_is_refused(estate: Estate) -> None:
    tags = ["pipeline", "env.production", "service.other", "stack.other-production-0a1b2c3d"]
    ask(f"{estate.environment.admin}/services/other", "PUT", {"url": "http://127.0.0.1:9", "tags": tags})
    ask(f"{estate.environment.admin}/services/other/routes/other", "PUT", {"paths": ["/other"], "tags": tags})

    ran = estate.invoke("release")

    assert ran.code == 4, ran
    assert "production" in last_error(ran)


def test_a_port_that_is_taken_is_named_and_nothing_is_left_over(estate: Estate) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = estate.service / "docker-compose.yml"
        path.write_text(
            path.read_text().replace("    build: .\n", f'    build: .\n    ports: ["127.0.0.1:{port}:80"]\n')
        )
        estate.commit("publish a port")

        ran = estate.invoke("build", "deploy")

    assert ran.code == 1, ran
    assert str(port) in last_error(ran)
    assert estate.environment.stacks() == set()


@pytest.mark.parametrize("branch", ['feature/";rm${IFS}-rf${IFS}$HOME;"', "-leading", "日本", "UPPER/Case_and.dots"])
def test_a_hostile_branch_name_is_only_a_name(estate: Estate, branch: str) -> None:
    estate.git("update-ref", f"refs/heads/{branch}", "HEAD")
    estate.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    ran = estate.invoke("release")

    assert ran.code == 0, ran
    assert estate.ask(method="OPTIONS")[1]["branch"] == branch


@pytest.mark.parametrize(
    ("unmake", "words"),
    [
        (lambda estate: estate.git("checkout", "-q", "--detach"), "detached HEAD"),
        (lambda estate: estate.git("checkout", "-q", "--orphan", "new"), "no commit yet"),
        (lambda estate: subprocess.run(["rm", "-rf", estate.folder / ".git"], check=True), "not in a git repository"),
    ],
    ids=["detached", "unborn", "no git"],
)
def test_a_checkout_that_is_no_commit_of_a_branch_is_refused(
    estate: Estate, unmake: Callable[[Estate], object], words: str
) -> None:
    unmake(estate)

    ran = estate.invoke("build")

    assert ran.code == 3, ran
    assert words in last_error(ran)


def test_in_ci_the_variables_say_commit_and_branch_of_a_detached_head(estate: Estate) -> None:
    variables = {
        "GITLAB_CI": "true",
        "CI_COMMIT_SHA": estate.git("rev-parse", "HEAD"),
        "CI_COMMIT_REF_NAME": "feature/x",
    }
    estate.git("checkout", "-q", "--detach")

    built = estate.invoke("build", **variables)
    deployed = estate.run([estate.command()[0], "deploy"], **variables)

    assert built.code == 0, built
    assert deployed.code == 3, deployed
    assert "'feature/x' is mapped to no environment" in last_error(deployed)


def test_two_services_cannot_share_a_uri(estate: Estate) -> None:
    subprocess.run(["cp", "-r", estate.service, estate.folder / "services" / "twin"], check=True)

    ran = estate.invoke("build")

    assert ran.code == 3, ran
    assert "services/twin/config/package.json" in last_error(ran)


def test_one_service_that_fails_does_not_stop_the_others(estate: Estate) -> None:
    twin = estate.folder / "services" / "broken"
    subprocess.run(["cp", "-r", estate.service, twin], check=True)
    (twin / "config" / "package.json").write_text(json.dumps({"uri": "/ws/broken"}))
    (twin / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    estate.commit("a broken twin")

    ran = estate.invoke("build")

    assert ran.code == 1, ran
    assert "1 of 2 services failed: broken" in last_error(ran)
    assert (estate.folder / "build" / "hello" / "artifact.json").exists()
    assert estate.invoke("build", "-s", "hello", "deploy", "register").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deployment_that_is_interrupted_leaves_nothing(estate: Estate, number: signal.Signals) -> None:
    estate.invoke("release")
    first = estate.stack
    estate.behave("sick")
    estate.manifest(health={"path": f"{estate.uri}/health", "interval": 1, "timeout": 1, "retries": 100})
    assert estate.invoke("build").code == 0
    running = estate.start("deploy")
    until(lambda: estate.stack in estate.environment.stacks())

    running.send_signal(number)
    _out, err = running.communicate(timeout=30)

    assert running.returncode == 130, err
    assert "Traceback" not in err
    assert estate.environment.stacks() == {first}
    assert json.loads(estate.invoke("lock", "--json").out)["leases"] == []


def test_a_run_that_is_killed_is_completed_by_the_next(estate: Estate) -> None:
    estate.manifest(health={"path": f"{estate.uri}/health", "interval": 3, "timeout": 1, "retries": 10})
    assert estate.invoke("build").code == 0
    running = estate.start("deploy")
    until(lambda: estate.environment.containers())
    running.kill()
    running.communicate()

    refused = estate.invoke("deploy")
    estate.invoke("lock", "--break")
    ran = estate.invoke("deploy", "register")

    assert refused.code == 4, refused
    assert "is being changed by" in last_error(refused)
    assert ran.code == 0, ran
    assert len(estate.environment.containers()) == 1
    assert estate.ask()[0] == 200


def test_two_runs_at_once_exclude_each_other(estate: Estate) -> None:
    assert estate.invoke("build").code == 0
    runs: list[Ran] = []
    threads = [threading.Thread(target=lambda: runs.append(estate.invoke("deploy"))) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {run.code for run in runs} <= {0, 4}, runs
    assert 0 in {run.code for run in runs}, runs
    assert all("is being changed by" in last_error(run) for run in runs if run.code == 4)
    assert len(estate.environment.containers()) == 1


def test_a_secret_reaches_the_container_and_nothing_else(estate: Estate) -> None:
    value = "s3cr3t-value-of-the-test"
    ran = estate.invoke("build", "deploy", "register", HELLO_TOKEN=value)
    shown = [ran, *(estate.invoke(verb, HELLO_TOKEN=value) for verb in ("status", "logs", "doctor", "dump", "lock"))]

    assert ran.code == 0, ran
    assert estate.ask("/secret")[1] == {"length": len(value)}
    assert [one for one in shown if value in one.out + one.err] == []
    assert "[secret]" in shown[2].out
    files = [path for path in estate.folder.rglob("*") if path.is_file() and value.encode() in path.read_bytes()]
    assert files == []
    (container,) = estate.environment.containers()
    assert value not in json.dumps(container.labels)
    assert value not in json.dumps(estate.environment.engine.api.history(container.image.id))


def test_a_secret_that_is_required_and_missing_is_named(estate: Estate) -> None:
    path = estate.service / "docker-compose.yml"
    path.write_text(path.read_text().replace("${HELLO_TOKEN:-}", "${HELLO_TOKEN}"))
    estate.commit("require it")

    ran = estate.invoke("build", "deploy")

    assert ran.code == 3, ran
    assert "HELLO_TOKEN" in last_error(ran)
