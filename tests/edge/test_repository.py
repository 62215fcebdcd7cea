"""The repository on disk: an estate, or a single service without any toolkit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.edge.repository import find_folders, find_root, read_settings_files
from pipeline.errors import BadInput


def write(root: Path, **files: str) -> Path:
    """Files by path, `__` standing for a slash."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def manifest(root: Path, *folders: str) -> Path:
    for folder in folders:
        path = root / folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"uri": "/x"}))
    return root


def test_the_root_is_found_from_any_folder_below(tmp_path: Path) -> None:
    manifest(tmp_path, "services/cities/config/package.json")
    (tmp_path / "invoke.yaml").write_text("")

    for folder in (".", "services", "services/cities", "services/cities/config"):
        assert find_root(tmp_path / folder) == tmp_path


def test_a_repository_begins_where_git_does(tmp_path: Path) -> None:
    manifest(tmp_path, "inner/config/package.json")
    (tmp_path / ".git").mkdir()

    assert find_root(tmp_path / "inner" / "config") == tmp_path


def test_without_git_the_nearest_folder_that_looks_like_a_service_is_the_root(tmp_path: Path) -> None:
    manifest(tmp_path, "cities/package.json")
    (tmp_path / "cities" / "src").mkdir()

    assert find_root(tmp_path / "cities" / "src") == tmp_path / "cities"
    assert find_root(tmp_path) in (tmp_path, *tmp_path.parents)


def test_an_estate_has_the_folders_that_have_a_manifest_in_the_order_of_their_names(tmp_path: Path) -> None:
    manifest(tmp_path, "services/towns/package.json", "services/cities/config/package.json")
    write(tmp_path, services__README="text", services__notes__todo="text")

    found = find_folders(tmp_path, "services", {})

    assert [(one.name, one.shown) for one in found] == [
        ("cities", "services/cities/config/package.json"),
        ("towns", "services/towns/package.json"),
    ]


def test_config_package_json_wins_over_the_one_of_node_beside_it(tmp_path: Path) -> None:
    manifest(tmp_path, "services/cities/config/package.json", "services/cities/package.json")

    assert find_folders(tmp_path, "services", {})[0].shown == "services/cities/config/package.json"


def test_a_folder_that_is_built_but_has_no_manifest_is_refused(tmp_path: Path) -> None:
    write(tmp_path, services__cities__Dockerfile="FROM x")

    with pytest.raises(BadInput, match=r"services/cities has no config/package.json") as refused:
        find_folders(tmp_path, "services", {})

    assert '{ "uri": "/ws/cities" }' in refused.value.hint


def test_a_single_service_is_the_root_itself_named_by_variable_or_folder(tmp_path: Path) -> None:
    root = manifest(tmp_path, "Cities/config/package.json") / "Cities"

    def name(**variables: str) -> str:
        return find_folders(root, "services", variables)[0].name

    assert name() == "cities"
    assert name(CI_PROJECT_NAME="Towns") == "towns"
    assert name(CI_PROJECT_NAME="towns", service_name="villages") == "villages"


def test_a_repository_without_any_service_says_what_one_needs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"neither services/ with services in it nor a config/package.json") as refused:
        find_folders(tmp_path, "services", {})

    assert "uri" in refused.value.hint


def test_settings_are_read_from_two_files_the_machines_own_last(tmp_path: Path) -> None:
    write(tmp_path, **{"invoke.yaml": "run: {dry: true}\npipeline: {registry: a}", "invoke.local.yaml": "pipeline: "})

    assert read_settings_files(tmp_path) == (("invoke.yaml", {"registry": "a"}), ("invoke.local.yaml", None))


def test_no_file_and_an_empty_file_are_no_settings(tmp_path: Path) -> None:
    assert read_settings_files(tmp_path) == ()
    write(tmp_path, **{"invoke.yaml": "# nothing yet\n"})
    assert read_settings_files(tmp_path) == (("invoke.yaml", None),)


@pytest.mark.parametrize("text", ["a: b: c", "- a\n- b", "text", "\tx", "pipeline: *nothing"])
def test_a_settings_file_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    write(tmp_path, **{"invoke.yaml": text})

    with pytest.raises(BadInput, match=r"invoke.yaml"):
        read_settings_files(tmp_path)
