# shellcheck shell=sh disable=SC2034,SC2154 # lib.sh and bootstrap.sh set, and read, what begins with kong_, bootstrap_, engine_
# Makes an environment on a Rancher 1.6 server (API v2-beta): a POSIX shell and curl, after lib.sh and bootstrap.sh. What
# is there already stays. Of an answer only what the server puts in front is read; all else is asked by its filters.

rancher_tries=0
rancher_soon=10
rancher_state=

# rancher_variables: from the environment, and out of it, so that curl's own does not hold them.
rancher_variables() {
    for rancher_one in RANCHER_URL RANCHER_PROJECT RANCHER_ACCESS_KEY RANCHER_SECRET_KEY RANCHER_CA_CERT; do
        kong_may_need "$rancher_one"
    done
    rancher_url=$kong_of_RANCHER_URL
    case $rancher_url in
    http://?* | https://?*) ;;
    '') kong_missing="${kong_missing:-} RANCHER_URL" ;;
    *) kong_stop 3 'RANCHER_URL is not a URL' 'Set it to the server, for example http://10.0.0.5:8080.' ;;
    esac
    if [ -n "${kong_missing:-}" ]; then
        kong_stop 3 "not set:$kong_missing" 'variables.env.example says what each is.'
    fi
    while [ "$rancher_url" != "${rancher_url%/}" ]; do
        rancher_url=${rancher_url%/}
    done
    case ${rancher_url#*://} in
    *@*) kong_stop 3 'RANCHER_URL holds a login' 'Set RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY instead.' ;;
    esac
    # An address as Rancher shows it to keys: with the version, and maybe with the project.
    for rancher_one in /v2-beta /v1; do
        case $rancher_url in
        *"$rancher_one" | *"$rancher_one"/*)
            rancher_path=${rancher_url##*"$rancher_one"}
            rancher_url=${rancher_url%"$rancher_one"*}
            case $rancher_path in
            /projects/?*)
                rancher_path=${rancher_path#/projects/}
                kong_of_RANCHER_PROJECT=${kong_of_RANCHER_PROJECT:-${rancher_path%%/*}}
                ;;
            esac
            ;;
        esac
    done
    command -v curl >/dev/null 2>&1 || kong_stop 3 'curl is missing' 'Install curl and run this file again.'
    kong_options='silent
show-error
globoff
connect-timeout = 10
max-time = 120
noproxy = "*"
header = "Content-Type: application/json"
header = "Accept: application/json"
header = "Expect:"'
    if [ -n "$kong_of_RANCHER_ACCESS_KEY" ]; then
        kong_option user "$kong_of_RANCHER_ACCESS_KEY:$kong_of_RANCHER_SECRET_KEY"
    fi
    if [ -n "$kong_of_RANCHER_CA_CERT" ]; then
        kong_check_file RANCHER_CA_CERT "$kong_of_RANCHER_CA_CERT"
        kong_option cacert "$kong_of_RANCHER_CA_CERT"
        # As for the gateway (lib.sh): no folder of other CAs.
        case $(curl --version) in
        *GnuTLS*) ;;
        *) kong_option capath "$kong_of_RANCHER_CA_CERT/none" ;;
        esac
    fi
    rancher_options=$kong_options
    rancher_scope=/v2-beta
}

# rancher_curl METHOD PATH: the login travels on one pipe, standard input on another.
rancher_curl() {
    { printf '%s\n' "$rancher_options" | {
        curl --disable --config /dev/fd/3 --request "$1" --data-binary @- --write-out '\n%{http_code}' "$rancher_url$2" <&4
    } 3<&0; } 4<&0
}

# rancher_ask METHOD PATH BODY: sets rancher_status and rancher_answer. A server that is busy is asked again.
rancher_ask() {
    rancher_again=0
    while :; do
        if ! rancher_answer=$(printf '%s' "$3" | rancher_curl "$1" "$2"); then
            kong_stop 5 "Rancher at $rancher_url gave no answer to $1 ${2%%\?*}" \
                'Check RANCHER_URL, the CA and that the server runs; then run this file again.'
        fi
        rancher_status=${rancher_answer##*"
"}
        rancher_answer=${rancher_answer%"
"*}
        # A POST may have been done behind a proxy that lost its answer: the next run looks.
        case $1$rancher_status in
        *409 | *429 | GET50[234] | PUT50[234] | DELETE50[234]) ;;
        *) return 0 ;;
        esac
        rancher_again=$((rancher_again + 1))
        [ "$rancher_again" -le 10 ] || return 0
        rancher_pause
    done
}

# rancher_must WHAT STATUS...: the end, unless the server answered one of these. What was sent is not shown.
rancher_must() {
    rancher_what=$1
    shift
    for rancher_good in "$@"; do
        [ "$rancher_status" != "$rancher_good" ] || return 0
    done
    case $rancher_status in
    401) kong_stop 3 "$rancher_what: Rancher answered 401" 'Check RANCHER_ACCESS_KEY and RANCHER_SECRET_KEY.' ;;
    403 | 405) kong_stop 4 "$rancher_what: the key may not do this" 'Use a key of the project, or of one of its owners.' ;;
    esac
    rancher_code=${rancher_answer#*'"code":"'}
    rancher_field=${rancher_answer#*'"fieldName":"'}
    [ "$rancher_code" != "$rancher_answer" ] || rancher_code=
    [ "$rancher_field" != "$rancher_answer" ] || rancher_field=
    kong_stop 1 "$rancher_what: Rancher answered $rancher_status ${rancher_code%%'"'*} ${rancher_field%%'"'*}" \
        'What is before it is done. Mend the cause and run this file again.'
}

# rancher_first: sets rancher_id to that of a list's first thing, or to nothing.
rancher_first() {
    rancher_id=
    case $rancher_answer in
    *'"data":[{"id":"'*)
        rancher_id=${rancher_answer#*'"data":[{"id":"'}
        rancher_id=${rancher_id%%'"'*}
        ;;
    esac
}

# rancher_find KIND QUERY: the first of what matches and is not gone.
rancher_find() {
    rancher_ask GET "$rancher_scope/$1?limit=1&removed_null=1&$2" ''
    rancher_must "the list of $1" 200
    rancher_first
}

# rancher_state: sets rancher_state to that of the answer's thing, of a list's first one.
rancher_state() {
    rancher_state=${rancher_answer#*'"data":['}
    rancher_state=${rancher_state#*'"state":"'}
    rancher_state=${rancher_state%%'"'*}
}

# rancher_pause [SECONDS]: not every sleep knows parts of a second.
rancher_pause() {
    sleep "${1:-1}" 2>/dev/null || sleep 1
}

# rancher_wait_more WHAT NEXT: a pause, short at first; the end when that was too long.
rancher_wait_more() {
    if [ "$rancher_soon" -gt 0 ]; then
        rancher_soon=$((rancher_soon - 1))
        rancher_pause 0.2
        return 0
    fi
    rancher_tries=$((rancher_tries + 1))
    if [ "$rancher_tries" -gt "${BOOTSTRAP_WAIT:-300}" ]; then
        kong_stop 1 "$1" "$2 BOOTSTRAP_WAIT=600 waits longer."
    fi
    rancher_pause
}

# rancher_open PROJECT: the server answers and has the project. RANCHER_PROJECT names another one.
rancher_open() {
    rancher_variables
    rancher_choose "$1"
    [ -n "$rancher_id" ] || kong_stop 4 "Rancher at $rancher_url has no project ${kong_of_RANCHER_PROJECT:-$1} that this key sees" \
        'Run 40-platform.sh, or set RANCHER_PROJECT.'
}

# rancher_choose PROJECT: sets rancher_id and rancher_scope, where it is there. A project's own key sees that one only.
rancher_choose() {
    rancher_wanted=${kong_of_RANCHER_PROJECT:-$1}
    kong_quote "$rancher_wanted"
    rancher_ask GET /v2-beta/projects ''
    rancher_must 'the list of projects' 200
    case $rancher_answer in
    *'"type":"collection"'*) ;;
    *) kong_stop 1 "$rancher_url is not the API of a Rancher 1.6" 'Set RANCHER_URL to the server itself.' ;;
    esac
    rancher_only=
    rancher_found=
    rancher_left=${rancher_answer#*'"data":['}
    while :; do
        case $rancher_left in
        *'{"id":"1a'*'"type":"project"'*) ;;
        *) break ;;
        esac
        rancher_left=${rancher_left#*'{"id":"1a'}
        rancher_id=1a${rancher_left%%'"'*}
        rancher_name=${rancher_left%%'{"id":"1a'*}
        rancher_name=${rancher_name#*'"name":"'}
        rancher_only="$rancher_only $rancher_id"
        case $rancher_name in
        "$kong_quoted\","*) rancher_found="$rancher_found $rancher_id" ;;
        *) [ "$rancher_wanted" != "$rancher_id" ] || rancher_found=$rancher_id ;;
        esac
    done
    # The key of a project sees that one and can make none: it is meant, however it is called.
    case $kong_of_RANCHER_PROJECT/$rancher_found/$rancher_only/$rancher_answer in
    *'"createTypes":{"project":"'*'"data":['* | */*' '*' '*/*) ;;
    //*) rancher_found=$rancher_only ;;
    esac
    case $rancher_found in
    *' '*' '*) kong_stop 3 "several projects are called $rancher_wanted" "Set RANCHER_PROJECT to an id:$rancher_found" ;;
    esac
    rancher_id=${rancher_found# }
    [ -z "$rancher_id" ] || rancher_scope=/v2-beta/projects/$rancher_id
}

# rancher_make PROJECT: a server, where RANCHER_SERVER_IMAGE says that it is to run here and none answers; the project.
rancher_make() {
    rancher_variables
    rancher_server
    rancher_choose "$1"
    [ -z "$rancher_id" ] || return 0
    kong_escape "$rancher_wanted"
    rancher_ask POST /v2-beta/projects "{\"name\":$kong_escaped}"
    rancher_must "the project $rancher_wanted" 201
    bootstrap_tell "project $rancher_wanted: made"
    rancher_choose "$1"
    [ -n "$rancher_id" ] || kong_stop 1 "the project $rancher_wanted was made and is not seen" 'Use the key of an account.'
    # What is in a project that is not active is refused to everybody (403).
    while :; do
        rancher_ask GET "/v2-beta/projects/$rancher_id" ''
        rancher_must "the project $rancher_wanted" 200
        rancher_state
        [ "$rancher_state" != active ] || return 0
        rancher_wait_more "the project $rancher_wanted is $rancher_state" 'Look at it in Rancher.'
    done
}

rancher_answers() {
    rancher_found=$(printf '' | rancher_curl GET /ping 2>/dev/null) || return 1
    case $rancher_found in
    *"
"[123]?? | *"
"40?) return 0 ;;
    esac
    return 1
}

rancher_server() {
    if rancher_answers; then
        return 0
    fi
    if [ -z "${RANCHER_SERVER_IMAGE:-}" ]; then
        kong_stop 5 "Rancher at $rancher_url does not answer" \
            'Start it; or set RANCHER_SERVER_IMAGE (rancher/server:v1.6.30), and this file starts one on this machine.'
    fi
    bootstrap_ready
    rancher_port=${rancher_url#*://}
    rancher_port=${rancher_port%%/*}
    case $rancher_port in
    *:*) rancher_port=${rancher_port##*:} ;;
    *) rancher_port=80 ;;
    esac
    if ! docker container inspect --format . rancher-server >/dev/null 2>&1; then
        bootstrap_tell "the Rancher server: started from $RANCHER_SERVER_IMAGE; it lets everybody in until its access control is on"
        if ! bootstrap_said=$(docker run --detach --name rancher-server --restart unless-stopped \
            --publish "$rancher_port:8080" --volume rancher-server:/var/lib/mysql "$RANCHER_SERVER_IMAGE" 2>&1); then
            kong_stop 1 "the Rancher server could not be started: $bootstrap_said" 'Mend the cause and run this file again.'
        fi
    else
        docker start rancher-server >/dev/null
    fi
    until rancher_answers; do
        rancher_wait_more "the Rancher server was started and does not answer at $rancher_url" 'docker logs rancher-server tells why.'
    done
}

# rancher_registry ADDRESS USER JSON LOGIN [VARIABLE LOGIN]...: what hosts pull with. A login of another user stays.
rancher_registry() {
    rancher_address=$1
    rancher_user=$2
    rancher_body=$3
    shift 3
    while :; do
        rancher_find registries "serverAddress=$(rancher_word "$rancher_address")&state_ne=removing"
        [ -z "$rancher_id" ] || break
        rancher_ask POST "$rancher_scope/registries" "$rancher_body"
        case $rancher_answer in
        *'"code":"ServerAddressUsed"'*) rancher_status=201 ;;
        esac
        rancher_must "the registry $rancher_address" 201
        rancher_wait_more "the registry $rancher_address was made and is not seen" 'Look at Infrastructure in Rancher.'
    done
    kong_of_RANCHER_REGISTRY=$rancher_id
    bootstrap_join "$@"
    rancher_find registrycredentials "registryId=$rancher_id&publicValue=$(rancher_word "$rancher_user")&state_ne=removing"
    if [ -n "$rancher_id" ]; then
        rancher_ask PUT "$rancher_scope/registrycredentials/$rancher_id" "$bootstrap_body"
        rancher_must "the login of $rancher_user at $rancher_address" 200
        return 0
    fi
    rancher_ask POST "$rancher_scope/registrycredentials" "$bootstrap_body"
    rancher_must "the login of $rancher_user at $rancher_address" 201
    bootstrap_tell "registry $rancher_address: hosts log in as $rancher_user"
}

# rancher_word TEXT: as it stands in a query.
rancher_word() {
    rancher_rest=$1
    rancher_escaped=
    while [ -n "$rancher_rest" ]; do
        rancher_one=${rancher_rest%"${rancher_rest#?}"}
        rancher_rest=${rancher_rest#?}
        case $rancher_one in
        [A-Za-z0-9._~-]) ;;
        *) rancher_one=$(printf '%%%02X' "'$rancher_one") ;;
        esac
        rancher_escaped=$rancher_escaped$rancher_one
    done
    printf '%s' "$rancher_escaped"
}

# rancher_hosts: containers need one.
rancher_hosts() {
    rancher_find hosts state=active
    [ -n "$rancher_id" ] || kong_stop 4 'the project has no active host' 'Run 45-hosts.sh on each machine that is to be one.'
}

# rancher_host: this machine becomes one of the project's, through Rancher's own agent.
rancher_host() {
    if [ "${RANCHER_REGISTER:-}" = no ]; then
        bootstrap_tell 'RANCHER_REGISTER=no: this machine does not become a host'
        return 0
    fi
    bootstrap_ready
    if docker container inspect --format . rancher-agent >/dev/null 2>&1; then
        bootstrap_tell 'this machine is a host already (rancher-agent)'
        return 0
    fi
    rancher_ask POST "$rancher_scope/registrationtokens" '{}'
    rancher_must 'a registration token' 201
    rancher_id=${rancher_answer#*'{"id":"'}
    rancher_id=${rancher_id%%'"'*}
    rancher_state=
    until [ "$rancher_state" = active ]; do
        rancher_wait_more 'the registration token does not become active' 'Look at the host page in Rancher.'
        rancher_find registrationtokens "id=$rancher_id"
        rancher_state
    done
    rancher_agent=${rancher_answer#*'"image":"'}
    rancher_agent=${rancher_agent%%'"'*}
    rancher_script=${rancher_answer#*'"registrationUrl":"'}
    rancher_script=${rancher_script%%'"'*}
    bootstrap_image "$rancher_agent"
    kong_escape "$rancher_script"
    bootstrap_agent="{\"Image\":\"$rancher_agent\",\"Cmd\":[$kong_escaped]"
    if [ -n "${RANCHER_AGENT_IP:-}" ]; then
        kong_escape "CATTLE_AGENT_IP=$RANCHER_AGENT_IP"
        bootstrap_agent="$bootstrap_agent,\"Env\":[$kong_escaped]"
    fi
    bootstrap_agent="$bootstrap_agent,\"HostConfig\":{\"AutoRemove\":true,\"Privileged\":true,\"Binds\":[\"/var/run/docker.sock:/var/run/docker.sock\",\"/var/lib/rancher:/var/lib/rancher\"]}}"
    # The body goes over the engine's socket: the token in it is in no argument.
    rancher_starter=rancher-agent-registration
    engine_ask DELETE "/containers/$rancher_starter?force=true" '' # one that an earlier run could not start
    engine_ask POST "/containers/create?name=$rancher_starter" "$bootstrap_agent"
    engine_must 'the agent' 201
    engine_ask POST "/containers/$rancher_starter/start" ''
    if [ "$engine_status" != 204 ]; then
        bootstrap_said=$engine_answer
        engine_ask DELETE "/containers/$rancher_starter" ''
        kong_stop 1 "Rancher's agent could not be started: $bootstrap_said" 'Mend the cause and run this file again.'
    fi
    rancher_named=$(docker info --format '{{.Name}}')
    while :; do
        rancher_find hosts "state=active&hostname=$(rancher_word "$rancher_named")"
        [ -z "$rancher_id" ] || break
        rancher_wait_more "the host $rancher_named does not become active" 'docker logs rancher-agent tells why.'
    done
    bootstrap_tell "host $rancher_named: registered"
}

# rancher_stack NAME OWNER JSON: sets rancher_stack_id. Refused for one that somebody else made.
rancher_stack() {
    rancher_stack_name=$1
    rancher_tries=0
    rancher_soon=10
    while :; do
        rancher_find stacks "name=$1"
        if [ -z "$rancher_id" ]; then
            rancher_ask POST "$rancher_scope/stacks" "$3"
            rancher_taken "the stack $1" || bootstrap_tell "stack $1: made"
        else
            rancher_state
            case $rancher_state in
            active | upgraded) break ;;
            error | erroring) kong_stop 1 "the stack $1 is $rancher_state" 'Look at it in Rancher; remove it and run this file again.' ;;
            esac
        fi
        rancher_wait_more "the stack $1 is ${rancher_state:-not there}" 'Look at it in Rancher.'
    done
    case $rancher_answer in
    *"\"externalId\":\"$2\""*) ;;
    *) kong_stop 4 "there is a stack $1 that is not this environment's" 'Rename or remove it.' ;;
    esac
    kong_of_RANCHER_STACK=$rancher_id
}

# rancher_taken WHAT: after a POST: whether somebody else has made it in between.
rancher_taken() {
    case $rancher_status$rancher_answer in
    422*'"code":"NotUnique"'*) return 0 ;;
    esac
    rancher_must "$1" 201
    return 1
}

# rancher_service NAME CALL JSON [VARIABLE JSON]...: a service of the stack at work that runs. CALL is the digest of this
# call, a label of its containers: one that these scripts made from another call is replaced.
rancher_service() {
    rancher_service=$1
    rancher_call=$2
    shift 2
    rancher_tries=0
    rancher_soon=10
    while :; do
        rancher_find services "stackId=$kong_of_RANCHER_STACK&name=$rancher_service"
        if [ -z "$rancher_id" ]; then
            bootstrap_join "$@"
            rancher_ask POST "$rancher_scope/services" "$bootstrap_body"
            if ! rancher_taken "the service $rancher_service of $rancher_stack_name"; then
                bootstrap_tell "service $rancher_service of $rancher_stack_name: made"
                return 0
            fi
        else
            rancher_state
            case $rancher_state/$rancher_answer in
            removing/*) ;;
            */*"\"pipeline.bootstrap\":\"$rancher_call\""*) rancher_activate && return 0 ;;
            */*'"pipeline.bootstrap":"'*)
                bootstrap_tell "service $rancher_service of $rancher_stack_name: made from an older call, made anew"
                rancher_ask DELETE "$rancher_scope/services/$rancher_id" ''
                rancher_must "the service $rancher_service of $rancher_stack_name" 200 404 405
                ;;
            *) return 0 ;;
            esac
        fi
        rancher_wait_more "the service $rancher_service of $rancher_stack_name is ${rancher_state:-not there}" 'Look at it in Rancher.'
    done
}

# rancher_activate: of a service that rests. Not done yet while its state does not allow it.
rancher_activate() {
    case $rancher_state in
    inactive) ;;
    deactivating | registering | updating-inactive) return 1 ;;
    *) return 0 ;;
    esac
    rancher_ask POST "$rancher_scope/services/$rancher_id/?action=activate" ''
    case $rancher_answer in
    *'"code":"ActionNotAvailable"'*) return 1 ;;
    esac
    rancher_must "the service $rancher_service of $rancher_stack_name" 202
}

# rancher_ill STACK_ID: whether a service of it is not active, or not healthy; sets rancher_why.
rancher_ill() {
    rancher_why=
    rancher_find services "stackId=$1&state_ne=active&state_ne=upgraded"
    if [ -z "$rancher_id" ]; then
        rancher_find services "stackId=$1&healthState_ne=healthy&healthState_ne=started-once"
    fi
    [ -n "$rancher_id" ] || return 1
    rancher_name=${rancher_answer#*'"baseType":"service","name":"'}
    rancher_state
    rancher_why="${rancher_name%%'"'*} is $rancher_state"
    rancher_note=${rancher_answer##*'"transitioningMessage":"'}
    if [ "$rancher_note" != "$rancher_answer" ]; then
        rancher_why="$rancher_why: ${rancher_note%%'"'*}"
    fi
    return 0
}

# rancher_wait STACK: until all of its services are well.
rancher_wait() {
    rancher_tries=0
    rancher_soon=10
    rancher_find stacks "name=$1"
    rancher_stack_id=$rancher_id
    [ -n "$rancher_id" ] || kong_stop 1 "the stack $1 is gone" 'Run this file again.'
    while rancher_ill "$rancher_stack_id"; do
        rancher_wait_more "the stack $1 is not well: $rancher_why" 'Look at its containers in Rancher.'
    done
}

# What follows compares, with verify.sh.
verify_services=0
verify_stacks=' '

# verify_stack NAME: sets verify_id, for the services that come after it.
verify_stack() {
    verify_stacks="$verify_stacks$1 "
    rancher_find stacks "name=$1"
    verify_id=$rancher_id
    [ -n "$verify_id" ] || verify_differs "stack $1 is missing"
}

# verify_service STACK NAME CALL
verify_service() {
    [ -n "$verify_id" ] || return 0
    rancher_find services "stackId=$verify_id&name=$2"
    if [ -z "$rancher_id" ]; then
        verify_differs "service $2 of $1 is missing"
        return 0
    fi
    verify_services=$((verify_services + 1))
    case $rancher_answer in
    *"\"pipeline.bootstrap\":\"$3\""*) ;;
    *'"pipeline.bootstrap":"'*) verify_differs "service $2 of $1 was made from another call than this folder's" ;;
    *) verify_leaves_out "service $2 of $1 in detail: it was not made by these scripts" ;;
    esac
    rancher_state
    case $rancher_state in
    active | upgraded) ;;
    *) verify_differs "service $2 of $1 is $rancher_state" ;;
    esac
    rancher_find services "id=$rancher_id&healthState_ne=healthy&healthState_ne=started-once"
    [ -z "$rancher_id" ] || verify_differs "service $2 of $1 is not healthy"
}

# verify_other_stacks OWNER: what the environment has and the scripts have not.
verify_other_stacks() {
    verify_marker=
    while :; do
        rancher_ask GET "$rancher_scope/stacks?removed_null=1&state_ne=removing&externalId_prefix=$(rancher_word "$1")${verify_marker:+&marker=$verify_marker}" ''
        rancher_must 'the list of stacks' 200
        verify_left=$rancher_answer
        while :; do
            case $verify_left in
            *'"baseType":"stack","name":"'*) ;;
            *) break ;;
            esac
            verify_left=${verify_left#*'"baseType":"stack","name":"'}
            verify_name=${verify_left%%'"'*}
            case $verify_stacks in
            *" $verify_name "*) ;;
            *) verify_differs "stack $verify_name is in no script" ;;
            esac
        done
        case $rancher_answer in
        *'"pagination":{'*'"next":"'*'"data":['*) ;;
        *) return 0 ;;
        esac
        verify_marker=${rancher_answer#*'"next":"'}
        verify_marker=${verify_marker%%'"'*}
        case $verify_marker in
        *marker=*) ;;
        *) return 0 ;;
        esac
        verify_marker=${verify_marker#*marker=}
        verify_marker=${verify_marker%%'&'*}
    done
}
