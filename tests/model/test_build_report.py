"""The report of a build, as JSON and as GitLab's dotenv."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.build_report import BuildReport, ImageReport, write_dotenv, write_report


def report(*images: ImageReport) -> BuildReport:
    return BuildReport(
        service="cities",
        branch="main",
        commit="c" * 40,
        version="cccccccc",
        stack="cities-main-cccccccc",
        images=images,
    )


IMAGE = ImageReport(
    compose_service="web-app",
    reference="r.example.com/cities-web-app:main-cccccccc",
    action="build",
    reason="1 file differs: views.py",
    fingerprint="f" * 64,
    digest="r.example.com/cities-web-app@sha256:" + "1" * 64,
    id="sha256:2",
    context_bytes=1024,
    steps=9,
    cached_steps=7,
    seconds=1.5,
)


def test_the_json_report_has_a_version_and_every_image() -> None:
    document = json.loads(write_report(report(IMAGE)))

    assert document["schema_version"] == 1
    assert document["images"][0]["cached_steps"] == 7


def test_dotenv_names_say_whose_they_are() -> None:
    other = ImageReport(compose_service="cities", reference="r", action="keep", reason="unchanged", id="sha256:3")
    lines = dict(line.split("=", 1) for line in write_dotenv(report(IMAGE, other)).decode().splitlines())

    assert lines["CITIES_STACK"] == "cities-main-cccccccc"
    assert lines["CITIES_WEB_APP_IMAGE"] == IMAGE.digest
    assert lines["CITIES_WEB_APP_DIGEST"] == "sha256:" + "1" * 64
    assert lines["CITIES_WEB_APP_REASON"] == "1 file differs: views.py"
    assert lines["CITIES_WEB_APP_CACHED_STEPS"] == "7"
    assert lines["CITIES_IMAGE"] == "sha256:3"


def test_the_only_image_of_a_service_bears_its_name_in_dotenv() -> None:
    assert f"CITIES_IMAGE={IMAGE.digest}\n" in write_dotenv(report(IMAGE)).decode()


@given(reason=st.text(), name=st.text(min_size=1, max_size=30))
def test_no_reason_and_no_name_breaks_a_line_or_gives_a_shell_something_to_run(reason: str, name: str) -> None:
    text = write_dotenv(report(ImageReport(compose_service=name, reference="r", action="build", reason=reason)))

    for line in text.decode("ascii").splitlines():
        assert re.fullmatch(r"[A-Z0-9_]+=[^\"'`$\\]*", line)


def test_it_stays_below_what_gitlab_reads() -> None:
    text = write_dotenv(report(*[IMAGE] * 50))

    assert len(text) <= 5 * 1024
    assert text.endswith(b"\n")


def test_a_report_of_kept_images_has_nothing_new() -> None:
    kept = ImageReport(compose_service="app", reference="r", action="keep", reason="unchanged")

    assert not report(kept).changed
    assert report(kept, IMAGE).changed
