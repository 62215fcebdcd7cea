# shellcheck shell=sh disable=SC2154 # lib.sh and bootstrap.sh set what begins with kong_ and bootstrap_
# Compares an environment with what the scripts make, after lib.sh and bootstrap.sh. Each difference is a line; one JSON
# document on stdout has them all.

verify_differences=
verify_not_compared=
verify_known=' '
verify_networks=0
verify_volumes=0
verify_images=0
verify_containers=0
verify_entities=0
verify_routes=0
verify_tries=10
verify_asked=0
verify_requests=

# verify_differs WHAT
verify_differs() {
    bootstrap_tell "differs: $1"
    kong_escape "$1"
    verify_differences="${verify_differences:+$verify_differences,}$kong_escaped"
}

# verify_leaves_out WHAT
verify_leaves_out() {
    bootstrap_tell "not compared: $1"
    kong_escape "$1"
    verify_not_compared="${verify_not_compared:+$verify_not_compared,}$kong_escaped"
}

# verify_network NAME DRIVER
verify_network() {
    if verify_found=$(docker network inspect --format '{{.Driver}}' "$1" 2>/dev/null); then
        verify_networks=$((verify_networks + 1))
        [ "$verify_found" = "$2" ] || verify_differs "network $1 has the driver $verify_found, not $2"
    else
        verify_differs "network $1 is missing"
    fi
}

# verify_volume NAME DRIVER
verify_volume() {
    if verify_found=$(docker volume inspect --format '{{.Driver}}' "$1" 2>/dev/null); then
        verify_volumes=$((verify_volumes + 1))
        [ "$verify_found" = "$2" ] || verify_differs "volume $1 has the driver $verify_found, not $2"
    else
        verify_differs "volume $1 is missing"
    fi
    if docker container inspect --format . "pipeline-fill-$1" >/dev/null 2>&1; then
        verify_differs "volume $1 has only a part of its files"
    fi
}

# verify_image REFERENCE
verify_image() {
    if docker image inspect --format . "$1" >/dev/null 2>&1; then
        verify_images=$((verify_images + 1))
    else
        verify_differs "image $1 is missing"
    fi
}

# verify_container NAME CALL
verify_container() {
    verify_known="$verify_known$1 "
    case "
$bootstrap_listing" in
    *"
/$1 "*) ;;
    *)
        verify_differs "container $1 is missing"
        return 0
        ;;
    esac
    verify_containers=$((verify_containers + 1))
    verify_line="
$bootstrap_listing"
    verify_line=${verify_line#*"
/$1 "}
    read -r verify_state verify_health verify_code verify_once verify_call _ <<END
${verify_line%%"
"*}
END
    case $verify_state/$verify_health in
    running/healthy | running/-) ;;
    running/*) verify_differs "container $1 is $verify_health" ;;
    exited/*)
        [ "$verify_once/$verify_code" = true/0 ] || verify_differs "container $1 does not run: exited with $verify_code"
        ;;
    *) verify_differs "container $1 does not run: $verify_state" ;;
    esac
    case $verify_call in
    "$2") ;;
    -) verify_leaves_out "container $1 in detail: it was not made by these scripts" ;;
    *) verify_differs "container $1 was made from another call than this folder's" ;;
    esac
}

# verify_others: what the environment has and the scripts have not.
verify_others() {
    while read -r verify_name _; do
        case $verify_known in
        *" ${verify_name#/} "*) ;;
        *) [ -z "$verify_name" ] || verify_differs "container ${verify_name#/} is in no script" ;;
        esac
    done <<END
$bootstrap_listing
END
}

# verify_entity PATH LABEL: the gateway has it. They are asked for together, over one connection.
verify_entity() {
    verify_asked=$((verify_asked + 1))
    eval "verify_path_$verify_asked=\$1 verify_label_$verify_asked=\$2"
    verify_requests="$verify_requests$kong_options
output = \"/dev/null\"
url = \"$kong_quoted_url$1\"
write-out = \"$verify_asked:%{http_code}\\n\"
next
"
    if [ "$verify_asked" -ge "$kong_together" ]; then
        verify_entities_now
    fi
}

# verify_entities_now: asks for those that wait.
verify_entities_now() {
    verify_answers=
    if [ "$verify_asked" != 0 ]; then
        verify_answers=$(printf '%s' "${verify_requests%next?}" | curl --disable --config - 2>/dev/null) || :
    fi
    for verify_one in $verify_answers; do
        eval "verify_label=\$verify_label_${verify_one%:*}"
        verify_asked=$((verify_asked - 1))
        case ${verify_one#*:} in
        200) verify_entities=$((verify_entities + 1)) ;;
        404) verify_differs "the gateway has no $verify_label" ;;
        *) verify_differs "the gateway answers ${verify_one#*:} for $verify_label" ;;
        esac
    done
    if [ "$verify_asked" != 0 ]; then
        kong_stop 5 "the gateway gave no answer for $verify_asked entities" 'Look whether it runs; then run this file again.'
    fi
    verify_requests=
}

# verify_route LABEL METHOD PATH HOST STACK: a request reaches the stack. A Kong takes its time until every worker knows
# a route.
verify_route() {
    if [ -z "${KONG_PROXY_URL:-}" ]; then
        return 0
    fi
    verify_count=0
    while :; do
        verify_answer=$(curl --disable --silent --show-error --globoff --noproxy '*' --max-time 10 --request "$2" \
            ${4:+--header "Host: $4"} --write-out '\n%{http_code}' "${KONG_PROXY_URL%/}$3" 2>&1) || :
        verify_status=${verify_answer##*"
"}
        case $verify_answer in
        *'"stack"'*"\"$5\""*)
            verify_routes=$((verify_routes + 1))
            return 0
            ;;
        *'"stack"'*) verify_status="$verify_status from another stack" ;;
        esac
        case $verify_status in
        [123]?? | 40[0-35-9] | 4[1-9]?)
            verify_routes=$((verify_routes + 1))
            return 0
            ;;
        esac
        verify_count=$((verify_count + 1))
        [ "$verify_count" -lt "$verify_tries" ] || break
        bootstrap_pause
    done
    verify_differs "route $1: $2 $3 answered $verify_status"
}

# verify_end: the document, and the end.
verify_end() {
    [ -n "${KONG_PROXY_URL:-}" ] || verify_leaves_out 'routes: KONG_PROXY_URL is not set'
    kong_escape "$bootstrap_environment"
    if [ -n "${verify_services:-}" ]; then
        verify_found="\"services\":$verify_services"
    else
        verify_found="\"networks\":$verify_networks,\"volumes\":$verify_volumes,\"images\":$verify_images,\"containers\":$verify_containers"
    fi
    printf '{"schema_version":1,"environment":%s,"found":{%s,"entities":%s,"routes":%s},"differences":[%s],"not_compared":[%s]}\n' \
        "$kong_escaped" "$verify_found" "$verify_entities" "$verify_routes" "$verify_differences" "$verify_not_compared"
    [ -z "$verify_differences" ] || exit 1
}
