"""Settings of one environment: what wins over what, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.dialect import Dialect
from pipeline.model.secret import Secret
from pipeline.model.settings_file import FilePart, merge_files
from pipeline.settings import Settings, choose_environment, make_settings

STAGE = {
    "gateway": {"admin": "https://kong.stage.example:8444", "proxy": "https://stage.example"},
    "platform": {"host": "tcp://docker.stage.example:2376"},
}
FILE = {"environments": {"stage": STAGE, "review/one": {}}}


def read(*contents: object) -> FilePart:
    names = ("invoke.yaml", "invoke.local.yaml")
    return merge_files(tuple(zip(names, contents, strict=False)))


def make(environment: str = "local", content: object = FILE, **variables: str) -> Settings:
    return make_settings(read(content), root="/repository", environment=environment, variables=variables)


def refusal(environment: str = "local", content: object = FILE, **variables: str) -> BadInput:
    with pytest.raises(BadInput) as refused:
        make(environment, content, **variables)
    assert refused.value.hint
    return refused.value


def test_without_any_file_a_laptop_has_a_local_environment() -> None:
    found = make_settings(merge_files(()), root="/r", environment="local", variables={})

    assert (found.gateway.admin, found.gateway.proxy) == ("http://127.0.0.1:8001", "http://127.0.0.1:8000")
    assert (found.services, found.driver, found.upstream) == ("services", "docker", "network")
    assert (found.registry.prefix, found.platform_engine.host, found.in_ci) == ("", "", False)
    assert (found.deploy_timeout, found.verify_timeout, found.settle) == (300, 30, 15)


def test_the_machines_own_file_wins_over_the_repositorys_key_by_key() -> None:
    ours = {"registry": "a", "build_args": {"A": "1", "B": "2"}, "environments": {"stage": STAGE}}
    machines = {"registry": "b", "build_args": {"B": "3"}, "environments": {"stage": {"settle": 1}}}

    found = read(ours, machines)

    assert (found.registry, found.build_args) == ("b", {"A": "1", "B": "3"})
    assert found.environments["stage"].settle == 1
    assert found.environments["stage"].gateway.admin == "https://kong.stage.example:8444"


def test_a_variable_wins_over_a_default_and_the_environments_own_wins_over_the_plain_one() -> None:
    assert make(KONG_ADMIN_URL="http://gateway:8001").gateway.admin == "http://gateway:8001"
    assert make(KONG_ADMIN_TOKEN="a").gateway.token == Secret("a")
    assert make("stage", KONG_ADMIN_TOKEN="a", STAGE_KONG_ADMIN_TOKEN="b").gateway.token == Secret("b")
    assert make("review/one", REVIEW_ONE_KONG_ADMIN_TOKEN="c").gateway.token == Secret("c")
    assert make("review/one", STAGE_KONG_ADMIN_TOKEN="b").gateway.token == Secret("")


def test_an_empty_variable_counts_as_unset() -> None:
    assert make("stage", KONG_ADMIN_TOKEN="a", STAGE_KONG_ADMIN_TOKEN="").gateway.token == Secret("a")


def test_without_an_environment_no_variable_gets_a_prefix() -> None:
    assert make("", _KONG_ADMIN_TOKEN="a").gateway.token == Secret("")


def test_the_names_of_the_first_pipeline_are_accepted() -> None:
    found = make(kong_admin="http://old:8001", kong_cert="/c", kong_key="/k", kong_target_host="a.example,b.example")

    assert (found.gateway.admin, found.gateway.client_cert, found.gateway.client_key) == ("http://old:8001", "/c", "/k")
    assert found.hosts == ("a.example", "b.example")
    assert make(kong_cert="/old", KONG_CLIENT_CERT="/new").gateway.client_cert == "/new"


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("KONG_ADMIN_URL", "https://kong.production.example:8444", "environments.stage.gateway.admin"),
        ("KONG_ADMIN_URL", "https://kong.stage.example:8001", "environments.stage.gateway.admin"),
        ("KONG_PROXY_URL", "http://stage.example", "environments.stage.gateway.proxy"),
        ("STAGE_KONG_ADMIN_URL", "https://other:8444", "environments.stage.gateway.admin"),
        ("kong_admin", "https://other:8444", "environments.stage.gateway.admin"),
        ("PLATFORM_DOCKER_HOST", "tcp://docker.production.example:2376", "environments.stage.platform.host"),
        ("PLATFORM_DOCKER_HOST", "unix:///var/run/docker.sock", "environments.stage.platform.host"),
    ],
)
def test_a_variable_that_names_another_endpoint_than_the_file_is_refused(variable: str, value: str, path: str) -> None:
    found = refusal("stage", **{variable: value})

    assert found.what.startswith(f"{variable} names {value}, but invoke.yaml has ")
    assert found.what.endswith(f" at pipeline.{path}")
    assert found.hint.startswith(f"Unset {variable}")


def test_two_sockets_are_two_endpoints() -> None:
    content = {"environments": {"stage": {"platform": {"host": "unix:///run/one.sock"}}}}

    assert "unix:///run/two.sock" in refusal("stage", content, PLATFORM_DOCKER_HOST="unix:///run/two.sock").what
    assert make("stage", content, PLATFORM_DOCKER_HOST="unix:///run/one.sock").platform_engine.host


@pytest.mark.parametrize("same", ["https://kong.stage.example:8444", "https://Kong.Stage.example:8444/admin/"])
def test_a_variable_that_names_the_files_endpoint_is_taken(same: str) -> None:
    assert make("stage", KONG_ADMIN_URL=same).gateway.admin == same


def test_the_default_port_is_a_port() -> None:
    assert make("stage", KONG_PROXY_URL="https://stage.example:443").gateway.proxy == "https://stage.example:443"


@pytest.mark.parametrize("url", ["kong:8001", "kong.example", "http://", "http://x:port", "http://[x", "/kong", "://x"])
def test_an_endpoint_that_is_no_url_is_refused_with_its_path(url: str) -> None:
    content = {"environments": {"stage": {"gateway": {"admin": url}}}}

    assert f"pipeline.environments.stage.gateway.admin: {url!r} should be a URL" in refusal("stage", content).what
    assert f"KONG_ADMIN_URL: {url!r} should be a URL" in refusal(KONG_ADMIN_URL=url).what


def test_a_password_in_an_endpoint_is_not_shown() -> None:
    found = refusal("stage", KONG_ADMIN_URL="https://admin:hunter2@other:8444")

    assert "hunter2" not in found.what
    assert "https://other:8444" in found.what


def test_the_engine_that_builds_runs_local_stacks_and_no_others() -> None:
    docker = {"DOCKER_HOST": "tcp://dind:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}

    local, review, stage = (make(name, **docker) for name in ("local", "review/one", "stage"))

    assert local.platform_engine == local.build_engine
    assert (local.build_engine.host, local.build_engine.tls_verify) == ("tcp://dind:2376", True)
    assert (review.platform_engine.host, review.platform_engine.cert_path) == ("", "")
    assert stage.platform_engine.host == "tcp://docker.stage.example:2376"


def test_any_value_turns_tls_on_as_for_the_docker_command() -> None:
    assert make(DOCKER_TLS_VERIFY="0").build_engine.tls_verify
    assert not make(DOCKER_TLS_VERIFY="").build_engine.tls_verify


def test_a_platform_pulls_with_the_deploy_token_when_there_is_one() -> None:
    pushing = {"CI_REGISTRY": "r.example", "CI_REGISTRY_USER": "job", "CI_REGISTRY_PASSWORD": "p"}

    assert make(**pushing).pulling == make(**pushing).registry
    found = make(**pushing, CI_DEPLOY_USER="deploy", CI_DEPLOY_PASSWORD="d")
    assert (found.pulling.host, found.pulling.user, found.pulling.password) == ("r.example", "deploy", Secret("d"))
    assert found.registry.user == "job"


def test_the_registrys_prefix_is_the_setting_else_gitlabs() -> None:
    assert make(CI_REGISTRY_IMAGE="r.example/group/").registry.prefix == "r.example/group"
    assert make("local", {"registry": "own.example/x/"}, CI_REGISTRY_IMAGE="r").registry.prefix == "own.example/x"


def test_build_args_of_this_run_win_over_the_files() -> None:
    found = make("local", {"build_args": {"A": "1", "B": "2"}}, PIPELINE_BUILD_ARGS="B=3 C=x=y")

    assert found.build_args == {"A": "1", "B": "3", "C": "x=y"}
    assert "'nonsense' is not NAME=value" in refusal(PIPELINE_BUILD_ARGS="nonsense").what


def test_a_job_of_gitlab_says_who_and_which_pipeline() -> None:
    found = make(GITLAB_CI="true", GITLAB_USER_LOGIN="ada", CI_PIPELINE_IID="12", CI_PIPELINE_URL="https://g/x/-/1")

    assert (found.in_ci, found.actor, found.pipeline_iid, found.pipeline_url) == (True, "ada", 12, "https://g/x/-/1")
    for wrong in ("²", "-1", "x", "1.0"):
        assert "CI_PIPELINE_IID" in refusal(CI_PIPELINE_IID=wrong).what


def test_bytes_that_are_no_text_do_not_get_into_records() -> None:
    assert make(USER="\udcff").actor == "?"


def test_a_services_secret_comes_from_the_environments_own_variable_first() -> None:
    found = make("stage", DB_PASSWORD="a", STAGE_DB_PASSWORD="b", OTHER="")

    assert found.secret("DB_PASSWORD") == Secret("b")
    assert found.secret("OTHER") is found.secret("MISSING") is None


def test_settings_show_no_secret() -> None:
    found = make(KONG_ADMIN_TOKEN="hunter2-a", CI_REGISTRY_PASSWORD="hunter2-b", DB_PASSWORD="hunter2-c")

    assert "hunter2" not in repr(found) + str(found)


@pytest.mark.parametrize(
    ("content", "what", "hint"),
    [
        ({"servces": "x"}, "pipeline.servces is an unknown key", "Did you mean 'services'?"),
        ({"environments": {"a": {}, "b": {"gatewy": {}}}}, "pipeline.environments.b.gatewy is", "'gateway'"),
        ({"environments": {"b": {"gateway": {"admn": ""}}}}, "environments.b.gateway.admn is", "'admin'"),
        ({"environments": {"b": {"settle": "x"}}}, "environments.b.settle: Expected `float`", "docs/contract.md"),
        ({"environments": {"b": {"platform": {"driver": "k8s"}}}}, "environments.b.platform.driver: ", "docs/"),
        ({"environments": {"b": None}}, "environments.b: Expected `object`, got `null`", "docs/contract.md"),
        ([], "pipeline: Expected `object`, got `array`", "docs/contract.md"),
        ({"branches": {"on": 5}}, "pipeline.branches.on: Expected `str`", "docs/contract.md"),
        ({True: "x"}, "pipeline: Expected `str`", "docs/contract.md"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_file_and_path(content: object, what: str, hint: str) -> None:
    for files, name in (((content,), "invoke.yaml"), (({}, content), "invoke.local.yaml")):
        with pytest.raises(BadInput) as refused:
            read(*files)
        assert refused.value.what.startswith(f"{name}: ")
        assert what in refused.value.what
        assert hint in refused.value.hint


def test_a_laptop_works_in_local_whatever_the_branch() -> None:
    for branch in ("master", "production", "feature/x"):
        assert choose_environment(read(FILE), flag=None, branch=branch, in_ci=False) == "local"


@pytest.mark.parametrize(
    ("branch", "wanted"), [("master", "stage"), ("main", "stage"), ("production", "production"), ("feature/x", "")]
)
def test_in_ci_the_branch_says_the_environment_and_a_feature_branch_has_none(branch: str, wanted: str) -> None:
    assert choose_environment(read({}), flag=None, branch=branch, in_ci=True) == wanted


def test_the_file_maps_branches_and_the_flag_wins_over_it() -> None:
    file = read(FILE | {"branches": {"develop": "stage"}})

    assert choose_environment(file, flag=None, branch="develop", in_ci=True) == "stage"
    assert choose_environment(file, flag=None, branch="master", in_ci=True) == ""
    assert choose_environment(file, flag="review/one", branch="develop", in_ci=True) == "review/one"
    assert choose_environment(file, flag="stage", branch="", in_ci=False) == "stage"


def test_an_environment_that_is_not_known_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(BadInput, match=r"the environment 'stagee' is not in invoke.yaml") as refused:
        choose_environment(read(FILE), flag="stagee", branch="", in_ci=False)

    assert "Known: local, production, review/one, stage" in refused.value.hint


@given(st.text(max_size=12))
def test_any_flag_is_a_known_environment_or_refused(flag: str) -> None:
    try:
        found = choose_environment(read(FILE), flag=flag, branch="", in_ci=False)
    except BadInput:
        return
    assert found in ("", "local", "stage", "production", "review/one")


def test_the_gateways_dialect_is_left_to_its_answers_unless_it_is_named() -> None:
    named = {"environments": {"stage": {"gateway": {"dialect": "apis"}}}}

    assert make("stage").dialect is None
    assert make("stage", named).dialect is Dialect.APIS
    assert "gateway.dialect" in refusal("stage", {"environments": {"stage": {"gateway": {"dialect": "x"}}}}).what


RANCHER = {"environments": {"stage": {"platform": {"driver": "rancher", "url": "https://rancher.example:8443"}}}}


def test_a_rancher_is_where_the_file_or_a_variable_says_and_its_keys_come_from_variables() -> None:
    keys = {"STAGE_RANCHER_ACCESS_KEY": "key", "RANCHER_SECRET_KEY": "hunter2", "RANCHER_CA_CERT": "/ca.pem"}

    by_file = make("stage", RANCHER, RANCHER_PROJECT="Default", **keys)
    by_variable = make("review/one", {"environments": {"review/one": {}}}, RANCHER_URL="http://rancher:8080/", **keys)

    assert by_file.driver == by_variable.driver == "rancher"
    assert by_file.rancher is not None
    assert (by_file.rancher.url, by_file.rancher.project) == ("https://rancher.example:8443", "Default")
    assert (by_file.rancher.access_key, by_file.rancher.secret_key) == ("key", Secret("hunter2"))
    assert by_file.rancher.ca_cert == "/ca.pem"
    assert by_variable.rancher is not None
    assert (by_variable.rancher.url, by_variable.rancher.project) == ("http://rancher:8080", "")
    assert "hunter2" not in repr(by_file)


@pytest.mark.parametrize(
    ("url", "base", "project"),
    [
        ("http://rancher:8080/v2-beta", "http://rancher:8080", ""),
        ("http://rancher:8080/v1", "http://rancher:8080", ""),
        ("http://rancher:8080/v2-beta/projects/1a5", "http://rancher:8080", "1a5"),
        ("http://rancher:8080/v2-beta/projects/1a5/schemas", "http://rancher:8080", "1a5"),
        ("http://proxy/rancher//", "http://proxy/rancher", ""),
    ],
)
def test_the_address_of_a_rancher_is_taken_as_its_users_write_it(url: str, base: str, project: str) -> None:
    found = make("stage", {"environments": {"stage": {}}}, RANCHER_URL=url).rancher

    assert found is not None
    assert (found.url, found.project) == (base, project)


def test_a_laptops_own_environment_runs_on_its_engine_whatever_rancher_the_shell_knows() -> None:
    assert make(RANCHER_URL="http://rancher:8080").rancher is None
    assert make("stage", RANCHER_URL="http://rancher:8080").rancher is None


def test_another_rancher_than_the_files_is_refused() -> None:
    assert "RANCHER_URL names http://other" in refusal("stage", RANCHER, RANCHER_URL="http://other").what
    named = {"environments": {"stage": {"platform": {"url": "http://r", "project": "Stage"}}}}
    assert "RANCHER_PROJECT names Production" in refusal("stage", named, RANCHER_PROJECT="Production").what


def test_a_rancher_without_an_address_is_asked_for() -> None:
    told = refusal("stage", {"environments": {"stage": {"platform": {"driver": "rancher"}}}})

    assert "'stage' has no Rancher server" in told.what
    assert "RANCHER_URL" in told.hint


def test_a_key_in_the_address_of_a_rancher_is_refused_and_not_shown() -> None:
    told = refusal("stage", {"environments": {"stage": {}}}, RANCHER_URL="http://key:hunter2@rancher:8080")

    assert "hunter2" not in told.what + told.hint
    assert "RANCHER_SECRET_KEY" in told.hint


def test_ports_that_a_rancher_publishes_are_no_upstream() -> None:
    part = {"platform": {"url": "http://rancher"}, "upstream": "published"}

    assert "not supported on Rancher" in refusal("stage", {"environments": {"stage": part}}).what
