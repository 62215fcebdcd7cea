"""Which of two pipelines is newer: an older one does not replace what a newer one has put there."""

from __future__ import annotations

from pipeline.errors import Refused
from pipeline.model.record import Record

_CHANGING = ("deploy", "register")


def refuse_older(records: tuple[Record, ...], *, verb: str, service: str, branch: str, iid: int, project: str) -> str:
    """Raises Refused when a pipeline of the same project and branch with a higher CI_PIPELINE_IID was here already.

    `iid` is 0 for a run that is no pipeline. What cannot be compared (a laptop with a pipeline, two projects) is not
    refused: the text that comes back says so, empty when there is nothing to say.

    A pipeline that did this verb here before is let in again: somebody asked for it, with GitLab's re-deploy button.
    One that comes late has not been here yet.
    """
    of_branch = [one for one in records if (one.service, one.branch) == (service, branch) and one.verb in _CHANGING]
    again = any(_is_of(record, verb, iid, project) for record in of_branch)
    for record in of_branch if not again else ():
        if iid and record.pipeline_iid > iid and project_of(record.pipeline_url) == project:
            raise Refused(
                f"pipeline {iid} is older than pipeline {record.pipeline_iid}, which has put {record.stack} there",
                hint="Nothing to do if the newer one is meant; `--force` puts the older commit there all the same.",
            )
    last = of_branch[-1] if of_branch else None
    if last is None or (bool(last.pipeline_iid) == bool(iid) and project_of(last.pipeline_url) == project):
        return ""
    return f"{last.stack} was put there by {_source(last)}: which of the two is newer cannot be told"


def _is_of(record: Record, verb: str, iid: int, project: str) -> bool:
    return (
        bool(iid) and (record.verb, record.pipeline_iid) == (verb, iid) and project_of(record.pipeline_url) == project
    )


def project_of(pipeline_url: str) -> str:
    """`https://gitlab.example.com/group/name/-/pipelines/5` → the part before `/-/`."""
    return pipeline_url.partition("/-/")[0]


def _source(record: Record) -> str:
    if record.pipeline_iid:
        return f"pipeline {record.pipeline_iid} of {project_of(record.pipeline_url) or 'some project'}"
    return f"{record.actor or 'somebody'}, outside of a pipeline"
