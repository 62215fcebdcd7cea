# shellcheck shell=sh
# What is done on a machine that an environment is built on: a POSIX shell and a Debian's own commands, nothing else.
# It arrives on standard input, with the values of variables and the call at its end: no command line and no file has them.
# Answers are lines of words between tabs.
set -u
PATH=$PATH:/usr/sbin:/sbin
host_tab=$(printf '\t')

# host_say WORD...
host_say() {
    host_line=$1
    shift
    for host_word in "$@"; do host_line=$host_line$host_tab$host_word; done
    printf '%s\n' "$host_line"
}

host_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# host_facts BASE: what is there; nothing is changed. BASE is the folder of one environment.
host_facts() {
    host_say user "$(id -un)"
    host_say system "$(
        ID='' VERSION_ID=''
        # shellcheck disable=SC1091 # the machine has its own
        [ ! -r /etc/os-release ] || . /etc/os-release
        printf '%s %s' "$ID" "$VERSION_ID"
    )"
    for host_tool in tar sha256sum flock setsid df head; do
        command -v "$host_tool" >/dev/null 2>&1 || host_say missing "$host_tool"
    done
    host_root true 2>/dev/null || return 0
    host_say root yes
    host_free /var/lib
    host_free "$1"
    for host_tool in k3s kubelet microk8s crio; do
        command -v "$host_tool" >/dev/null 2>&1 && host_say other "$host_tool"
    done
    if command -v podman >/dev/null 2>&1 && [ -n "$(host_root podman ps --all --quiet 2>/dev/null)" ]; then
        host_say other podman
    fi
    host_engine
    host_root test -d "$1/steps" && host_say begun yes
    # shellcheck disable=SC2016 # the inner shell has its own $1
    host_root sh -c 'cd "$1/steps" 2>/dev/null && for step in *.sh; do [ ! -f "$step" ] || printf "finished\t%s\t%s\n" "$step" "$(cat "$step")"; done' sh "$1"
    return 0
}

# host_free FOLDER: how much room its file system has, by where that is mounted.
host_free() {
    host_folder=$1
    while ! host_root test -d "$host_folder"; do host_folder=$(dirname "$host_folder"); done
    # shellcheck disable=SC2046 # df's columns are the words
    set -- $(host_root df -Pk "$host_folder" 2>/dev/null | tail -n 1)
    [ $# -lt 6 ] || host_say free "$6" "$4"
}

host_engine() {
    command -v docker >/dev/null 2>&1 || return 0
    if ! host_storage=$(host_root timeout 20 docker info --format '{{.DockerRootDir}}' 2>/dev/null); then
        # The command alone is no engine: without a daemon there is nothing that could run.
        if command -v dockerd >/dev/null 2>&1 || [ -S /var/run/docker.sock ]; then host_say engine silent; fi
        return 0
    fi
    host_say engine docker
    [ ! -d "$host_storage" ] || host_free "$host_storage"
    # What another environment of ours runs is foreign as well: its label says so.
    host_root docker ps --all --no-trunc --format "container$host_tab{{.Names}}$host_tab{{.Image}}$host_tab{{.Label \"pipeline.environment\"}}$host_tab{{.Label \"pipeline.ledger-environment\"}}$host_tab{{.Label \"pipeline.lab-environment\"}}$host_tab{{.Label \"io.rancher.container.uuid\"}}"
}

# host_hold BASE RUN NAME: keeps others away until standard input ends. The kernel lets go of a lock whose holder died.
host_hold() {
    host_make "$1" || exit 1
    exec 9>>"$1/lock" || exit 1
    host_tries=0
    while ! flock -n 9; do
        case $(cat "$1/lock") in "$2$host_tab"*) host_say same "$(cut -f 2 "$1/lock")"; exit 0 ;; esac
        host_tries=$((host_tries + 1))
        [ "$host_tries" -lt 5 ] || { host_say other; exit 0; }
        sleep 1
    done
    printf '%s\t%s\n' "$2" "$3" >"$1/lock" || exit 1
    host_say holding
    cat >/dev/null
}

host_make() {
    (umask 077 && mkdir -p "$1/steps")
}

# host_has BASE DIGEST: whether the folder is there, and which of its files is not as it was copied.
host_has() {
    cd "$1/folder-$2" 2>/dev/null || { host_say absent; exit 0; }
    host_sums=$(sha256sum SHA256SUMS)
    [ "${host_sums%% *}" = "$2" ] || host_say changed SHA256SUMS
    sha256sum -c SHA256SUMS 2>/dev/null | while IFS= read -r host_line; do
        case $host_line in *': OK') ;; *) host_say changed "${host_line%: *}" ;; esac
    done
    host_say there
}

# host_put BASE DIGEST: unpacks standard input beside the old folder, checks it, and puts it in that one's place.
host_put() {
    host_make "$1" || exit 1
    cd "$1" || exit 1
    rm -rf new.*
    # However this ends, a half is not left: the connection's end ends it as well.
    trap 'rm -rf "new.$$"' EXIT
    trap 'exit 143' HUP INT TERM
    trap '' PIPE # nobody hears any more: a shell that this kills cleans nothing up
    if ! { (umask 077 && mkdir "new.$$") && tar -x -f - -C "new.$$"; }; then
        host_free "$1" # as it was with the half that goes now
        exit 1
    fi
    (cd "new.$$" && sha256sum -c SHA256SUMS >/dev/null) || exit 1
    host_sums=$(sha256sum "new.$$/SHA256SUMS")
    [ "${host_sums%% *}" = "$2" ] || exit 1
    mv "new.$$" "folder-$2" || exit 1
    for host_folder in folder-*; do
        [ "$host_folder" = "folder-$2" ] || rm -rf "$host_folder"
    done
    host_say put
}

# host_run BASE DIGEST SCRIPT KEY: runs one script in a session of its own, and remembers that it ended well. When
# standard input ends (Ctrl-C, or a lost connection), the script is ended with all that it started.
host_run() {
    unset host_program
    exec 8>>"$1/step.lock" || exit 1
    host_tries=0
    while ! flock -n 8; do # a step whose connection was lost is ending
        host_tries=$((host_tries + 1))
        [ "$host_tries" -lt 20 ] || { printf 'another script is at work here\n' >&2; exit 120; }
        sleep 1
    done
    cd "$1/folder-$2" || exit 1
    exec 3<&0
    setsid sh "./$3" </dev/null 3<&- 8>&- &
    host_child=$!
    { cat >/dev/null; host_end "$host_child"; } <&3 3<&- 8>&- >/dev/null 2>&1 &
    host_watch=$!
    host_code=0
    wait "$host_child" 2>/dev/null || host_code=$? # a shell tells there that it was ended
    [ "$host_code" = 0 ] || host_end "$host_child"
    kill "$host_watch" 2>/dev/null
    [ "$host_code" = 0 ] || exit "$host_code"
    [ -n "$4" ] || exit 0
    printf '%s\n' "$4" >"../steps/$3.new" && mv "../steps/$3.new" "../steps/$3" || exit 1
}

# host_end GROUP: asks, waits five seconds, kills.
host_end() {
    # Right after its start it has no group of its own yet.
    kill -s TERM -- "-$1" 2>/dev/null || kill -s TERM "$1" 2>/dev/null || return 0
    host_tries=0
    while kill -s 0 -- "-$1" 2>/dev/null && [ "$host_tries" -lt 50 ]; do
        host_tries=$((host_tries + 1))
        sleep 0.1
    done
    kill -s KILL -- "-$1" 2>/dev/null
    return 0
}
