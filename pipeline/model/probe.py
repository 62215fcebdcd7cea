"""The manifest's `health` as a line of shell, which a platform runs in the container to learn whether it is well."""

from __future__ import annotations

import shlex

from pipeline.model.manifest import Health

_PYTHON = """import http.client, sys
try:
    c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=float(sys.argv[3]))
    c.request("GET", sys.argv[2])
    r = c.getresponse()
    s = r.status
    r.read(1 << 20)
    why = "" if 200 <= s < 400 else f"the answer is {s}"
except Exception as e:
    why = repr(e)
print(why, end="")
sys.exit(bool(why))"""


def probe_command(health: Health, port: int) -> str:
    """A line of POSIX sh that asks the container's own port with what its image has: curl, wget (GNU's or busybox's) or
    Python. 0 when the answer is 2xx or 3xx; else 1, with the reason on stdout, where an engine's health log has it.

    No proxy is asked. No redirect is followed but by busybox's wget, which cannot help it: the first answer counts.
    """
    url = shlex.quote(f"http://127.0.0.1:{port}{health.path}")
    seconds = max(1, round(health.timeout))
    python = f"{shlex.quote(_PYTHON)} {port} {shlex.quote(health.path)} {seconds}"
    # Debian's busybox has a wget without -T, which crashes on it.
    wget = (
        "case $(wget --help 2>&1) in "
        f"*--max-redirect*) set -- wget --max-redirect=0 -t 1 -T {seconds} ;; "
        f"*-T*) set -- wget -T {seconds} ;; "
        f"*) set -- wget; ! command -v timeout >/dev/null || set -- timeout {seconds} wget ;; esac; "
        'o=$("$@" -S -O /dev/null "$u" 2>&1) || { r=$?; case ${o#*HTTP/1.? } in 3[0-9][0-9]*) ;; '
        '*) [ $r -lt 124 ] || echo "timed out or killed, exit code $r"; echo "$o"; exit 1 ;; esac; }'
    )
    return (
        f"exec 2>&1; u={url}; unset http_proxy HTTP_PROXY all_proxy ALL_PROXY; "
        f'if command -v curl >/dev/null; then curl -qgfsS -m {seconds} -o /dev/null "$u" || exit 1; '
        f"elif command -v wget >/dev/null; then {wget}; "
        f"elif command -v python3 >/dev/null; then python3 -c {python} || exit 1; "
        'else echo "the image has no curl, wget or python3 to probe with"; exit 1; fi'
    )
