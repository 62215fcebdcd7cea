"""Connecting as ssh does: keys, agent, ssh_config with what it includes; against Debian's sshd on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.edge.ssh import Access, SshConnection
from pipeline.errors import BadInput, Refused, Unreachable
from tests.hosts.sshd import Sshd, log_in_with, make_key, running_sshd, write_home


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def said(name: str, command: str = "echo hello", feed: bytes = b"") -> list[str]:
    connection = SshConnection(Access(name=name))
    try:
        started = connection.start(["sh", "-c", command], [feed], doing="it was asked")
        lines = [line for out, line in started.lines() if out]
        assert started.code() == 0
        return lines
    finally:
        connection.close()


def test_a_key_in_the_user_s_folder_lets_in(sshd: Sshd) -> None:
    log_in_with(sshd.folder / "user_key")
    sshd.trust()

    assert said(sshd.name) == ["hello"]


def test_a_key_that_ssh_config_names_in_a_file_that_it_includes_lets_in(sshd: Sshd) -> None:
    home = write_home(
        config="Include conf.d/*\nHost other\n  HostName 127.0.0.1\n", known_hosts=f"our-name {sshd.line}\n"
    )
    (home / "conf.d").mkdir()
    (home / "conf.d" / "one").write_text(
        f"Host machine\n  HostName 127.0.0.1\n  Port {sshd.port}\n  HostKeyAlias our-name\n"
        f"  User {sshd.name.partition('@')[0]}\n  IdentityFile {sshd.folder}/user_key\n"
    )

    assert said("machine") == ["hello"]


def test_a_key_that_only_the_agent_has_lets_in(sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sshd.trust()
    agent = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL) as running:
        try:
            while not agent.exists():
                pass
            monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
            subprocess.run(["ssh-add", "-q", str(sshd.folder / "user_key")], check=True, env=os.environ)

            assert said(sshd.name) == ["hello"]
        finally:
            running.terminate()


def test_a_locked_key_without_an_agent_says_what_unlocks_it(sshd: Sshd) -> None:
    sshd.trust()
    make_key(write_home() / "id_ed25519", passphrase="long enough")

    with pytest.raises(Refused, match="the key is locked") as refused:
        said(sshd.name)

    assert "ssh-add" in refused.value.hint


def test_a_user_whom_the_server_does_not_know_is_refused(sshd: Sshd) -> None:
    sshd.trust()
    make_key(write_home() / "id_ed25519")

    with pytest.raises(Refused, match=rf"{sshd.name} does not let us in") as refused:
        said(sshd.name)

    assert f"Try `ssh {sshd.name}`" in refused.value.hint


def test_a_host_that_shows_a_key_of_another_kind_first_is_asked_for_the_known_one(tmp_path: Path) -> None:
    make_key(tmp_path / "more_key", "ed25519")
    with running_sshd(tmp_path, kind="ecdsa", more=f"HostKey {tmp_path}/more_key\n") as server:
        log_in_with(tmp_path / "user_key")
        server.trust()

        assert said(server.name) == ["hello"]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_host_key_are_known_as_well(tmp_path: Path, kind: str) -> None:
    with running_sshd(tmp_path, kind=kind) as server:
        log_in_with(tmp_path / "user_key")
        server.trust()

        assert said(server.name) == ["hello"]


def test_nobody_there_and_a_name_that_is_not_known_are_5() -> None:
    with pytest.raises(Unreachable, match="is not reached"):
        said("root@127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"nowhere\.invalid is not known"):
        said("root@nowhere.invalid")


def test_an_ssh_config_that_makes_no_sense_is_named() -> None:
    write_home(config="Host\x00 = what\nthis is no setting =\n")
    write_home(config="Match nonsense\n  Port x\n")

    with pytest.raises(BadInput, match="ssh/config"):
        said("machine")


def test_what_is_fed_arrives_whole_and_long_lines_come_back(sshd: Sshd) -> None:
    log_in_with(sshd.folder / "user_key")
    sshd.trust()
    feed = b"x" * 3_000_000

    assert len("".join(said(sshd.name, "cat", feed))) == len(feed)
    assert said(sshd.name, "cat >/dev/null; i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")[-1] == "19999"


def test_a_command_that_does_not_read_is_heard_nevertheless(sshd: Sshd) -> None:
    log_in_with(sshd.folder / "user_key")
    sshd.trust()

    assert said(sshd.name, "echo enough", b"x" * 5_000_000) == ["enough"]
