"""Which restore scripts go with the releases that they belong to."""

from __future__ import annotations

from pipeline.model.artifact import artifacts_to_remove

NAMES = (
    "createKongApi.cities.0000000a.sh",
    "createKongApi.cities.0000000b.sh",
    "createKongApi.towns.0000000a.sh",
    "createKongApi.0000000a.sh",
    "createKongApi.0000000b-dirty.sh",
    "createKongApi.mine.sh",
    "notes.txt",
)


def test_scripts_of_kept_versions_and_of_other_services_stay() -> None:
    kept = frozenset({"0000000b"})

    assert artifacts_to_remove(NAMES, kept, ("cities",), everything=False) == ("createKongApi.cities.0000000a.sh",)
    assert artifacts_to_remove(NAMES, kept, ("cities", "towns"), everything=True) == (
        "createKongApi.0000000a.sh",
        "createKongApi.0000000b-dirty.sh",
        "createKongApi.cities.0000000a.sh",
        "createKongApi.towns.0000000a.sh",
    )
