"""Which of two pipelines is newer: an older one does not replace what a newer one has put there."""

from __future__ import annotations

from pipeline.errors import Refused
from pipeline.model.record import Record

_CHANGING = ("deploy", "register")


def refuse_older(records: tuple[Record, ...], *, service: str, branch: str, iid: int, project: str) -> None:
    """Raises Refused when a pipeline of the same project and branch with a higher CI_PIPELINE_IID was here already.

    What cannot be compared (a run on a laptop, another project) is not refused.
    """
    if not iid:
        return
    for record in records:
        same = (record.service, record.branch) == (service, branch) and record.verb in _CHANGING
        if same and record.pipeline_iid > iid and _project(record.pipeline_url) == project:
            raise Refused(
                f"pipeline {iid} is older than pipeline {record.pipeline_iid}, which has put {record.stack} there",
                hint="Nothing to do if the newer one is meant; `--force` puts the older commit there all the same.",
            )


def project_of(pipeline_url: str) -> str:
    """`https://gitlab.example.com/group/name/-/pipelines/5` → the part before `/-/`."""
    return _project(pipeline_url)


def _project(pipeline_url: str) -> str:
    return pipeline_url.partition("/-/")[0]
