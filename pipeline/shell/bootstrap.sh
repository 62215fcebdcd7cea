# shellcheck shell=sh
# Makes an environment on a Docker engine: a POSIX shell, curl and docker, after lib.sh. What is there already stays.
# The docker command reads; what is written goes to the engine's API, so that no value stands in an argument.

bootstrap_waiting=
bootstrap_running=0
bootstrap_together=4

# bootstrap_begin ENVIRONMENT: its files are as they were written; archives are looked at where they are used.
bootstrap_begin() {
    bootstrap_environment=$1
    if [ "${FORCE:-0}" = 1 ]; then
        return 0
    fi
    if ! command -v sha256sum >/dev/null 2>&1; then
        bootstrap_tell 'there is no sha256sum here: the files were not checked against SHA256SUMS'
        return 0
    fi
    bootstrap_sums=
    while read -r bootstrap_sum bootstrap_file; do
        case $bootstrap_file in
        images/* | data/*) ;;
        *)
            bootstrap_sums="$bootstrap_sums$bootstrap_sum  $bootstrap_file
"
            ;;
        esac
    done <SHA256SUMS
    if ! printf '%s' "$bootstrap_sums" | sha256sum -c --quiet >/dev/null 2>&1; then
        bootstrap_changed=$(printf '%s' "$bootstrap_sums" | sha256sum -c 2>/dev/null) || :
        kong_stop 4 "files are not as SHA256SUMS has them: $(bootstrap_failed "$bootstrap_changed")" \
            'Take the folder anew; FORCE=1 runs it as it is.'
    fi
}

bootstrap_failed() {
    printf '%s\n' "$1" | while IFS= read -r bootstrap_line; do
        case $bootstrap_line in
        *': OK') ;;
        *) printf '%s ' "${bootstrap_line%%: *}" ;;
        esac
    done
}

bootstrap_tell() {
    printf '%s\n' "$1" >&2
}

# bootstrap_ready: what is to be supplied is, and the engine answers.
bootstrap_ready() {
    if [ -n "${kong_missing:-}" ]; then
        kong_stop 3 "not set:$kong_missing" 'variables.env.example says what each is.'
    fi
    command -v curl >/dev/null 2>&1 || kong_stop 3 'curl is missing' 'Run 10-engine.sh, or install curl.'
    command -v docker >/dev/null 2>&1 || kong_stop 3 'docker is missing' 'Run 10-engine.sh, or install docker.'
    if ! engine_version=$(docker version --format '{{.Client.APIVersion}} {{.Server.Version}}' 2>/dev/null); then
        kong_stop 5 "the engine at ${DOCKER_HOST:-the default address} does not answer" 'Start it, or run 10-engine.sh.'
    fi
    engine_version=${engine_version%% *}
    engine_host=${DOCKER_HOST:-}
    if [ -z "$engine_host" ]; then
        engine_host=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || :
        engine_host=${engine_host:-unix:///var/run/docker.sock}
    fi
    case $engine_host in
    unix://*) engine_url="http://localhost/v$engine_version" ;;
    tcp://*)
        engine_url="http://${engine_host#tcp://}/v$engine_version"
        if [ -n "${DOCKER_TLS_VERIFY:-}${DOCKER_CERT_PATH:-}" ]; then
            engine_url="https${engine_url#http}"
            engine_certificates=${DOCKER_CERT_PATH:-$HOME/.docker}
        fi
        ;;
    *) kong_stop 3 "DOCKER_HOST is $engine_host" 'Run this on the machine itself, or use a unix: or tcp: address.' ;;
    esac
}

# engine_curl OPTION...: curl, towards the engine.
engine_curl() {
    case $engine_url in
    http://localhost/*) set -- --unix-socket "${engine_host#unix://}" "$@" ;;
    https://*)
        set -- --cacert "$engine_certificates/ca.pem" --cert "$engine_certificates/cert.pem" \
            --key "$engine_certificates/key.pem" "$@"
        ;;
    esac
    curl --disable --silent --show-error --globoff --noproxy '*' "$@"
}

# engine_ask METHOD PATH BODY: sets engine_status and engine_answer.
engine_ask() {
    if ! engine_answer=$(printf '%s' "$3" | engine_curl --request "$1" --header 'Content-Type: application/json' \
        --header 'Expect:' --data-binary @- --write-out '\n%{http_code}' "$engine_url$2"); then
        kong_stop 5 "the engine gave no answer to $1 ${2%%\?*}" 'Look whether it runs; then run this file again.'
    fi
    engine_status=${engine_answer##*"
"}
    engine_answer=${engine_answer%"
"*}
}

# engine_must WHAT STATUS...: the end, unless the engine answered one of these.
engine_must() {
    engine_what=$1
    shift
    for engine_good in "$@"; do
        if [ "$engine_status" = "$engine_good" ]; then
            return 0
        fi
    done
    kong_stop 1 "$engine_what: the engine answered $engine_status: $engine_answer" \
        'What is before it is done. Mend the cause and run this file again.'
}

# bootstrap_join JSON [VARIABLE JSON]...: sets bootstrap_body; a variable's value stands within a text of the JSON.
bootstrap_join() {
    bootstrap_body=$1
    shift
    while [ $# -gt 1 ]; do
        kong_value=
        eval "kong_value=\${kong_of_$1:-}"
        kong_escape "$kong_value"
        kong_escaped=${kong_escaped#?}
        bootstrap_body=$bootstrap_body${kong_escaped%?}$2
        shift 2
    done
}

# bootstrap_engine LOG_DRIVER LIVE_RESTORE CONFIGURATION: an engine, where there is none.
bootstrap_engine() {
    if bootstrap_answers; then
        if [ "$bootstrap_found" != "$1 $2" ]; then
            bootstrap_tell "this engine has log driver and live restore '$bootstrap_found', where it comes from '$1 $2'"
        fi
        return 0
    fi
    if [ "$(id -u)" != 0 ]; then
        kong_stop 4 'no engine answers here, and installing one needs root' 'Run this as root (sudo -E sh 10-engine.sh).'
    fi
    if ! command -v dockerd >/dev/null 2>&1; then
        bootstrap_install
    fi
    mkdir -p /etc/docker
    if [ ! -e /etc/docker/daemon.json ]; then
        printf '%s\n' "$3" >/etc/docker/daemon.json
    elif [ "$(cat /etc/docker/daemon.json)" != "$3" ]; then
        kong_stop 4 '/etc/docker/daemon.json is there and not as in this file' "Make it $3, or remove it; then run this again."
    fi
    if ! { systemctl restart docker || service docker restart; } >&2; then
        kong_stop 1 'the engine could not be started' 'journalctl -u docker tells why.'
    fi
    bootstrap_tries=0
    until bootstrap_answers; do
        bootstrap_tries=$((bootstrap_tries + 1))
        if [ "$bootstrap_tries" -gt 60 ]; then
            kong_stop 5 'the engine was started and does not answer' 'journalctl -u docker tells why.'
        fi
        sleep 1
    done
}

bootstrap_answers() {
    bootstrap_found=$(docker info --format '{{.LoggingDriver}} {{.LiveRestoreEnabled}}' 2>/dev/null)
}

bootstrap_install() {
    command -v apt-get >/dev/null 2>&1 ||
        kong_stop 1 'there is no docker here and no apt-get' 'Install a Docker engine, then run this file again.'
    bootstrap_tell 'installing docker.io'
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends docker.io iptables curl ca-certificates; } >&2; then
        kong_stop 1 'docker.io could not be installed' 'The lines above are of apt-get.'
    fi
}

# bootstrap_network NAME JSON
bootstrap_network() {
    if bootstrap_owner=$(docker network inspect --format '{{index .Labels "pipeline.environment"}}' "$1" 2>/dev/null); then
        if [ "$bootstrap_owner" != "$bootstrap_environment" ]; then
            kong_stop 4 "there is a network $1 that is not this environment's" "Remove it: docker network rm $1"
        fi
        return 0
    fi
    engine_ask POST /networks/create "$2"
    engine_must "network $1" 201
    bootstrap_tell "network $1: made"
}

# bootstrap_image REFERENCE: by digest, from its registry; an id has to be there.
bootstrap_image() {
    if docker image inspect --format . "$1" >/dev/null 2>&1; then
        return 0
    fi
    case $1 in
    sha256:*) kong_stop 1 "the image $1 is not here" 'It is in no registry: write the scripts with --with-images.' ;;
    esac
    bootstrap_tell "image $1: pulling"
    if [ -n "${kong_of_CI_DEPLOY_USER:-}" ]; then
        bootstrap_pull "$1"
    elif ! bootstrap_said=$(docker pull --quiet "$1" 2>&1); then
        kong_stop 1 "the image $1 could not be pulled: $bootstrap_said" \
            'If it wants a login, set CI_DEPLOY_USER and CI_DEPLOY_PASSWORD. If it is gone, write the scripts --with-images.'
    fi
}

bootstrap_pull() {
    bootstrap_join '{"username":"' CI_DEPLOY_USER '","password":"' CI_DEPLOY_PASSWORD "\",\"serveraddress\":\"${1%%/*}\"}"
    bootstrap_login=$(printf '%s' "$bootstrap_body" | base64 | tr -d '\n' | tr '+/' '-_')
    if ! bootstrap_said=$(printf 'header = "X-Registry-Auth: %s"\n' "$bootstrap_login" |
        engine_curl --config - --request POST "$engine_url/images/create?fromImage=$1"); then
        kong_stop 5 "the engine gave no answer while it pulled $1" 'Look whether it runs; then run this file again.'
    fi
    if ! docker image inspect --format . "$1" >/dev/null 2>&1; then
        kong_stop 1 "the image $1 could not be pulled: ${bootstrap_said##*"
"}" 'Look at CI_DEPLOY_USER and CI_DEPLOY_PASSWORD. If the image is gone, write the scripts --with-images.'
    fi
}

# bootstrap_image_archive ID FILE SHA256
bootstrap_image_archive() {
    if docker image inspect --format . "$1" >/dev/null 2>&1; then
        return 0
    fi
    bootstrap_archive "$2" "$3"
    bootstrap_tell "image $1: loading"
    if ! bootstrap_said=$(docker load --quiet --input "$2" 2>&1); then
        kong_stop 1 "the image $1 could not be loaded from $2: $bootstrap_said" 'Is there room on the disk?'
    fi
    docker image inspect --format . "$1" >/dev/null 2>&1 ||
        kong_stop 1 "$2 was loaded and has no image $1" 'Write the folder anew with --with-images.'
}

# bootstrap_archive FILE SHA256
bootstrap_archive() {
    [ -r "$1" ] || kong_stop 1 "there is no file $1" 'Copy the whole folder.'
    if command -v sha256sum >/dev/null 2>&1; then
        bootstrap_sum=$(sha256sum "$1")
        [ "${bootstrap_sum%% *}" = "$2" ] || kong_stop 4 "$1 is not as it was written" 'Copy it anew.'
    fi
}

# bootstrap_has_volume NAME: whether it is there; the end when it is somebody else's. One without labels was made by hand.
bootstrap_has_volume() {
    bootstrap_owner=$(docker volume inspect --format '{{index .Labels "pipeline.environment"}}' "$1" 2>/dev/null) || return 1
    case $bootstrap_owner in
    '' | "$bootstrap_environment") ;;
    *) kong_stop 4 "the volume $1 belongs to the environment $bootstrap_owner" 'Two names make one: rename one environment.' ;;
    esac
}

# bootstrap_volume NAME JSON
bootstrap_volume() {
    if bootstrap_has_volume "$1"; then
        return 0
    fi
    engine_ask POST /volumes/create "$2"
    engine_must "volume $1" 201
    bootstrap_tell "volume $1: made, empty"
}

# bootstrap_volume_archive NAME FILE SHA256 JSON: a volume and its files. JSON is a container that is never started; the
# engine makes the volume with it. While that container is there, the files are not all in the volume.
bootstrap_volume_archive() {
    bootstrap_filler="pipeline-fill-$1"
    if ! docker container inspect --format . "$bootstrap_filler" >/dev/null 2>&1; then
        if bootstrap_has_volume "$1"; then
            bootstrap_tell "volume $1: there already, its files stay as they are"
            return 0
        fi
    fi
    bootstrap_archive "$2" "$3"
    engine_ask POST "/containers/create?name=$bootstrap_filler" "$4"
    engine_must "volume $1" 201 409
    if ! bootstrap_said=$(engine_curl --fail-with-body --request PUT --header 'Content-Type: application/x-tar' \
        --header 'Expect:' --upload-file "$2" "$engine_url/containers/$bootstrap_filler/archive?path=/archive" 2>&1); then
        kong_stop 1 "the files of the volume $1 could not be written: $bootstrap_said" 'Mend the cause and run this file again.'
    fi
    engine_ask DELETE "/containers/$bootstrap_filler" ''
    engine_must "container $bootstrap_filler" 204 404
    bootstrap_tell "volume $1: made, filled from $2"
}

# bootstrap_stack NAME [FILE]: makes its containers, beside other stacks.
bootstrap_stack() {
    (
        # shellcheck disable=SC1090
        . "./stacks/$1/${2:-containers.sh}"
    ) &
    bootstrap_waiting="$bootstrap_waiting $!"
    bootstrap_running=$((bootstrap_running + 1))
    if [ "$bootstrap_running" -ge "$bootstrap_together" ]; then
        bootstrap_join_stacks
    fi
}

bootstrap_join_stacks() {
    bootstrap_code=0
    for bootstrap_one in $bootstrap_waiting; do
        wait "$bootstrap_one" || bootstrap_code=$?
    done
    bootstrap_waiting=
    bootstrap_running=0
    [ "$bootstrap_code" = 0 ] || exit "$bootstrap_code"
}

# bootstrap_container NAME CALL JSON [VARIABLE JSON]...: a container that runs. CALL is the digest of this call, which the
# container carries: one of the same name that these scripts made from another call is replaced.
bootstrap_container() {
    bootstrap_name=$1
    bootstrap_call=$2
    shift 2
    bootstrap_found=$(docker container inspect --format \
        '{{.State.Status}} {{with index .Config.Labels "pipeline.bootstrap"}}{{.}}{{else}}-{{end}}' \
        "$bootstrap_name" 2>/dev/null) || bootstrap_found=
    if [ -n "$bootstrap_found" ]; then
        bootstrap_owner=$(docker container inspect --format '{{with index .Config.Labels "pipeline.environment"}}{{.}}{{else}}{{index .Config.Labels "pipeline.lab-environment"}}{{end}}' "$bootstrap_name")
        if [ "$bootstrap_owner" != "$bootstrap_environment" ]; then
            kong_stop 4 "there is a container $bootstrap_name that is not this environment's" 'Rename or remove it.'
        fi
    fi
    case $bootstrap_found in
    "running $bootstrap_call" | 'running -') return 0 ;;
    '' | *" $bootstrap_call" | *' -') ;;
    *)
        bootstrap_tell "container $bootstrap_name: made from an older call, made anew"
        docker stop "$bootstrap_name" >/dev/null
        docker rm --volumes "$bootstrap_name" >/dev/null
        bootstrap_found=
        ;;
    esac
    if [ -z "$bootstrap_found" ]; then
        bootstrap_join "$@"
        engine_ask POST "/containers/create?name=$bootstrap_name" "$bootstrap_body"
        engine_must "container $bootstrap_name" 201
    fi
    engine_ask POST "/containers/$bootstrap_name/start" ''
    engine_must "container $bootstrap_name" 204 304
    bootstrap_tell "container $bootstrap_name: started"
}

# bootstrap_list: sets bootstrap_listing, a line for each container of the environment.
bootstrap_list() {
    bootstrap_listing=
    bootstrap_ids=$(docker ps --all --quiet --no-trunc --filter "label=pipeline.environment=$bootstrap_environment")
    if [ -n "$bootstrap_ids" ]; then
        # shellcheck disable=SC2086
        bootstrap_listing=$(docker container inspect --format '{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}} {{.State.ExitCode}} {{with index .Config.Labels "io.rancher.container.start_once"}}{{.}}{{else}}-{{end}} {{with index .Config.Labels "pipeline.bootstrap"}}{{.}}{{else}}-{{end}} {{index .Config.Labels "pipeline.stack"}}' $bootstrap_ids)
    fi
}

# bootstrap_wait: until every container is well, or one cannot become it.
bootstrap_wait() {
    bootstrap_join_stacks
    bootstrap_tries=0
    while :; do
        bootstrap_list
        bootstrap_ill=
        bootstrap_dead=
        while read -r bootstrap_name bootstrap_state bootstrap_health bootstrap_code bootstrap_once _; do
            case $bootstrap_state/$bootstrap_health in
            '/' | running/healthy | running/-) ;;
            exited/* | dead/*)
                if [ "$bootstrap_once/$bootstrap_code" != true/0 ]; then
                    bootstrap_dead="$bootstrap_dead ${bootstrap_name#/} (ended with $bootstrap_code)"
                fi
                ;;
            *) bootstrap_ill="$bootstrap_ill ${bootstrap_name#/} ($bootstrap_state $bootstrap_health)" ;;
            esac
        done <<END
$bootstrap_listing
END
        if [ -z "$bootstrap_ill$bootstrap_dead" ]; then
            return 0
        fi
        bootstrap_tries=$((bootstrap_tries + 1))
        if [ -n "$bootstrap_dead" ] || [ "$bootstrap_tries" -gt "${BOOTSTRAP_WAIT:-300}" ]; then
            kong_stop 1 "not well:$bootstrap_ill$bootstrap_dead" 'docker logs NAME tells more. BOOTSTRAP_WAIT=600 waits longer.'
        fi
        bootstrap_pause
    done
}

# A second, without a command for it: the engine has no event of that kind.
bootstrap_pause() {
    engine_curl --max-time 1 "$engine_url/events?filters=%7B%22event%22%3A%5B%22-%22%5D%7D" >/dev/null 2>&1 || :
}

# bootstrap_gateway: until the Admin API answers.
bootstrap_gateway() {
    bootstrap_tries=0
    until curl --disable --silent --noproxy '*' --output /dev/null --max-time 5 "${KONG_ADMIN_URL:-}"; do
        bootstrap_tries=$((bootstrap_tries + 1))
        if [ "$bootstrap_tries" -gt 60 ]; then
            kong_stop 5 "the gateway at ${KONG_ADMIN_URL:-} does not answer" 'docker logs of its container tells why.'
        fi
        bootstrap_pause
    done
}
