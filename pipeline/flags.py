"""What the flags are called that many tasks have, in `--help`."""

from __future__ import annotations

Services = list[str] | None
SERVICE = "the service, again for several (default: every one of the repository)"
ENVIRONMENT = "the environment (default: local; in CI the one that the branch is mapped to)"
FORCE = "go on where it would be unchanged, or where a newer pipeline was there already"
CHECK = "print what would be done, change nothing, exit with 2 when something would change"
BUILDING = {
    "push": "push to the registry, when one is set",
    "no-cache": "build every step anew",
    "jobs": "images built at once (default: one per processor, at most 4)",
    "fail-fast": "stop the other builds when one fails",
}
JSON = "print one JSON document"
JQ = "print what this jq expression makes of the JSON document"
