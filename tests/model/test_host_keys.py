"""Whose key a host shows: what OpenSSH's own tools write is understood, and nothing is accepted silently."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.errors import BadInput, Refused
from pipeline.model.host_keys import HostKey, Known, kinds, known_keys, parse_pins, refuse_key

OTHER = HostKey(kind="ssh-ed25519", blob=b"another")
FINGERPRINT = "SHA256:" + "a" * 43


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair of ssh-keygen's."""
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture
def line(made: Path) -> str:
    return " ".join(made.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def key(line: str) -> HostKey:
    return known_keys({"f": f"host {line}"}, "host").keys[0]


def test_a_fingerprint_is_the_one_that_ssh_keygen_prints(made: Path, key: HostKey) -> None:
    printed = subprocess.run(["ssh-keygen", "-lf", str(made)], capture_output=True, text=True, check=True).stdout

    assert printed.split()[1] == key.fingerprint


@pytest.mark.parametrize("name", ["example.org", "[example.org]:2222"])
def test_names_that_ssh_keygen_hashed_are_found(tmp_path: Path, line: str, key: HostKey, name: str) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{name} {line}\nother {line}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)

    assert name not in file.read_text()
    assert known_keys({"f": file.read_text()}, name).keys == (key,)
    assert known_keys({"f": file.read_text()}, "example.com").keys == ()


@pytest.mark.parametrize(
    ("names", "name", "found"),
    [
        ("a,b", "b", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org,!a.example.org", "a.example.org", False),
        ("[a]:22", "a", False),
        ("[a]:2222", "[a]:2222", True),
        ("10.0.0.?", "10.0.0.7", True),
        ("A", "a", True),
        ("@cert-authority a", "a", False),
        ("# a", "a", False),
        ("|1|not/base64", "a", False),
    ],
)
def test_names_are_matched_as_openssh_matches_them(line: str, names: str, name: str, found: bool) -> None:
    assert bool(known_keys({"f": f"\n{names} {line}\ngarbage\n"}, name).keys) is found


def test_a_known_key_is_taken_and_another_or_an_unknown_one_is_not(line: str, key: HostKey) -> None:
    known = known_keys({"~/.ssh/known_hosts": f"host {line}"}, "host")

    refuse_key("root@host", key, known)
    with pytest.raises(
        Refused, match=re.escape(f"root@host shows another key than ~/.ssh/known_hosts has: {OTHER}")
    ) as refused:
        refuse_key("root@host", OTHER, known)
    assert key.fingerprint in refused.value.what
    assert "ssh-keygen -R host" in refused.value.hint
    with pytest.raises(Refused, match=r"and it is not in ~/\.ssh/known_hosts") as refused:
        refuse_key("root@host", OTHER, known_keys({"~/.ssh/known_hosts": ""}, "host"))
    assert f"--host-key host={OTHER.fingerprint}" in refused.value.hint
    assert "ssh_host_ed25519_key.pub" in refused.value.hint


def test_a_revoked_key_is_refused_although_it_is_known_and_pinned(line: str, key: HostKey) -> None:
    known = known_keys({"f": f"host {line}\n@revoked * {line}\n"}, "host")

    with pytest.raises(Refused, match="@revoked"):
        refuse_key("host", key, known)


def test_a_pin_wins_over_the_files(line: str, key: HostKey) -> None:
    pinned = Known(keys=(OTHER,), files=("f",), pins=(key.fingerprint,))

    refuse_key("host", key, pinned)
    with pytest.raises(Refused, match="pinned is SHA256"):
        refuse_key("host", OTHER, pinned)


def test_pins_belong_to_a_host_or_to_the_only_one() -> None:
    assert parse_pins([FINGERPRINT], ["root@a:2222"]) == {"a": (FINGERPRINT,)}
    assert parse_pins([f"jump={FINGERPRINT}", f"root@[::1]:22={FINGERPRINT}"], ["x", "y"]) == {
        "jump": (FINGERPRINT,),
        "::1": (FINGERPRINT,),
    }
    with pytest.raises(BadInput, match="does not say whose key it is"):
        parse_pins([FINGERPRINT], ["a", "b"])


@pytest.mark.parametrize("text", ["", "MD5:aa:bb", "SHA256:short", "SHA256:" + "!" * 43, "yes"])
def test_what_is_no_fingerprint_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="is no fingerprint"):
        parse_pins([text], ["a"])


def test_a_server_is_asked_for_a_key_that_is_known() -> None:
    rsa = HostKey(kind="ssh-rsa", blob=b"x")

    assert kinds((rsa, OTHER, rsa)) == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
