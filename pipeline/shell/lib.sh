# shellcheck shell=sh
# Puts entities back into a Kong through its Admin API: a POSIX shell and curl, nothing else. Safe to run twice.
# A value reaches curl through its configuration on stdin, never through its arguments, where ps would show it.
set -eu
LC_ALL=C
export LC_ALL

kong_count=0
kong_refused=0
kong_waiting=0
kong_together=100
kong_method=''

# kong_stop CODE WHAT NEXT: two lines on stderr, and the end. 1 failed, 3 bad input, 4 refused, 5 unreachable.
kong_stop() {
    printf '%s\n%s\n' "$2" "$3" >&2
    exit "$1"
}

# kong_excluded KIND COUNT WHY: says what the gateway had and this file does not.
kong_excluded() {
    printf 'not in this file: %s %s (%s)\n' "$2" "$1" "$3" >&2
}

# kong_needs VARIABLE: a secret that this file wants. kong_may_need VARIABLE: one that it can do without.
# They are taken out of the environment, so that curl's own does not hold them.
kong_needs() {
    kong_may_need "$1"
    if [ -z "$kong_value" ]; then
        kong_missing="${kong_missing:-} $1"
    fi
}

kong_may_need() {
    eval "kong_value=\${$1:-}"
    eval "kong_of_$1=\$kong_value"
    unset "$1"
}

# kong_open ENVIRONMENT: checks the variables, then that a Kong answers and carries no other environment's name.
# An empty ENVIRONMENT takes any gateway.
kong_open() {
    if [ -n "${kong_missing:-}" ]; then
        kong_stop 3 "not set:$kong_missing" 'Set them to the secrets that the top of this file describes.'
    fi
    kong_check_variables
    kong_set_options
    kong_ask GET / ''
    if [ "$kong_status" != 200 ]; then
        kong_stop 1 "$kong_shown_url answered $kong_status: $kong_answer" \
            'Set KONG_ADMIN_URL to the Admin API; KONG_ADMIN_TOKEN or KONG_CLIENT_CERT if it wants them.'
    fi
    case $kong_answer in
    *'"version":'*) ;;
    *) kong_stop 1 "$kong_shown_url is not the Admin API of a Kong" 'Set KONG_ADMIN_URL to the Admin API.' ;;
    esac
    if [ -n "$1" ] && [ "${FORCE:-0}" != 1 ]; then
        kong_refuse_others "$1"
    fi
}

# kong_put PATH LABEL JSON [VARIABLE JSON]...: creates or replaces one entity. JSON is without white space; between two
# pieces stands the value of a variable.
kong_put() {
    kong_path=$1
    kong_label=$2
    shift 2
    kong_join "$@"
    kong_add PUT "$kong_path" '' "$kong_label" "$kong_body"
}

# kong_post COLLECTION ID LABEL JSON [VARIABLE JSON]...: creates one entity, and changes the one of ID when it is there.
# An empty ID: when it is there, that is all.
kong_post() {
    kong_path=$1
    kong_id=$2
    kong_label=$3
    shift 3
    kong_join "$@"
    kong_add POST "$kong_path" "${kong_id:--}" "$kong_label" "$kong_body"
}

# kong_hashed PATH LOOKUP LABEL VARIABLE JSON VARIABLE JSON...: an entity of which the gateway keeps a hash only. With
# VARIABLE set to a new secret it is made anew; else it has to be there already (LOOKUP), or is refused and counted.
kong_hashed() {
    kong_path=$1
    kong_lookup=$2
    kong_label=$3
    kong_name=$4
    shift 4
    eval "kong_value=\${kong_of_$kong_name:-}"
    if [ -n "$kong_value" ]; then
        kong_join "$@"
        kong_add PUT "$kong_path" '' "$kong_label" "$kong_body"
        return 0
    fi
    kong_flush
    kong_ask GET "$kong_lookup" ''
    if [ "$kong_status" != 200 ]; then
        kong_refused=$((kong_refused + 1))
        printf '%s is not restored: the gateway keeps a hash of its secret only\n' "$kong_label" >&2
        printf 'Issue it anew: set %s to a new secret and run this file again.\n' "$kong_name" >&2
    fi
}

# kong_put_legacy COLLECTION LABEL JSON [VARIABLE JSON]...: as kong_put where there are only /apis (Kong 0.10 - 0.14): a
# PUT there replaces the entity of the JSON's id and needs its created_at; for an id that it does not know, a POST makes
# the entity under that id.
kong_put_legacy() {
    kong_path=$1
    kong_label=$2
    shift 2
    kong_join "$@"
    kong_ask PUT "$kong_path" "$kong_body"
    if [ "$kong_status" = 404 ]; then
        kong_ask POST "$kong_path" "$kong_body"
    fi
    case $kong_status in
    200 | 201) kong_count=$((kong_count + 1)) ;;
    404)
        kong_stop 1 "$kong_label could not be restored: the Kong at $kong_shown_url has no $kong_path" \
            'This file is for a Kong from 0.10 to 0.14. For a newer one take the decK file of the artifacts.'
        ;;
    *)
        kong_stop 1 "$kong_label could not be restored: $kong_shown_url$kong_path answered $kong_status: $kong_answer" \
            "$kong_count before it are restored, what follows is not. Mend the cause and run this file again."
        ;;
    esac
}

# kong_close: says how much was restored.
kong_close() {
    kong_flush
    printf 'restored %s entities at %s\n' "$kong_count" "$kong_shown_url"
    if [ "$kong_refused" != 0 ]; then
        kong_stop 1 "$kong_refused entities were refused" 'The lines above say which, and how to issue each anew.'
    fi
}

# kong_join JSON [VARIABLE JSON]...: sets kong_body.
kong_join() {
    kong_body=$1
    kong_hides=
    shift
    while [ $# -gt 1 ]; do
        kong_hides=1
        eval "kong_value=\${kong_of_$1:-}"
        kong_escape "$kong_value"
        kong_body=$kong_body$kong_escaped$2
        shift 2
    done
}

# kong_escape VALUE: sets kong_escaped to VALUE as a JSON text without white space.
kong_escape() {
    kong_rest=$1
    kong_escaped=
    while :; do
        case $kong_rest in
        *[\\\"[:cntrl:]\ ]*) ;;
        *) break ;;
        esac
        kong_head=${kong_rest%%[\\\"[:cntrl:]\ ]*}
        kong_rest=${kong_rest#"$kong_head"}
        kong_one=${kong_rest%"${kong_rest#?}"}
        kong_rest=${kong_rest#?}
        case $kong_one in
        [\\\"]) kong_one="\\$kong_one" ;;
        *) kong_one=$(printf '\\u%04x' "'$kong_one") ;;
        esac
        kong_escaped="$kong_escaped$kong_head$kong_one"
    done
    kong_escaped="\"$kong_escaped$kong_rest\""
}

# kong_add METHOD PATH ID LABEL BODY: one more write; they go by curl together, over one connection.
kong_add() {
    kong_waiting=$((kong_waiting + 1))
    eval "kong_method_$kong_waiting=\$1 kong_path_$kong_waiting=\$2 kong_id_$kong_waiting=\$3"
    eval "kong_label_$kong_waiting=\$4 kong_body_$kong_waiting=\$5 kong_hides_$kong_waiting=\$kong_hides"
    if [ "$kong_waiting" -ge "$kong_together" ]; then
        kong_flush
    fi
}

# kong_flush: sends what waits, several at a time; what follows may refer to it. curl stops at the first error; that one
# is asked again, alone, for its words.
kong_flush() {
    kong_left=
    kong_index=1
    while [ "$kong_index" -le "$kong_waiting" ]; do
        kong_left="$kong_left $kong_index"
        kong_index=$((kong_index + 1))
    done
    while [ -n "$kong_left" ]; do
        kong_build
        kong_answers=$(printf '%s' "$kong_configuration" | curl --disable --config - 2>/dev/null) || :
        kong_failed=
        for kong_one in $kong_answers; do
            kong_index=${kong_one%:*}
            case $kong_one in
            *[!0-9:]* | *:*:*) ;;
            *:200 | *:201)
                kong_left=" $kong_left "
                kong_left="${kong_left%" $kong_index "*} ${kong_left#*" $kong_index "}"
                kong_count=$((kong_count + 1))
                ;;
            *:*) kong_failed=${kong_failed:-$kong_index} ;;
            esac
        done
        for kong_one in $kong_left; do
            kong_failed=${kong_failed:-$kong_one}
        done
        kong_rest=
        for kong_one in $kong_left; do
            if [ "$kong_one" != "$kong_failed" ]; then
                kong_rest="$kong_rest $kong_one"
            fi
        done
        kong_left=$kong_rest
        if [ -n "$kong_failed" ]; then
            kong_alone "$kong_failed"
        fi
    done
    kong_waiting=0
}

# kong_build: sets kong_configuration to that of every write in kong_left.
kong_build() {
    kong_configuration="$kong_global
"
    for kong_index in $kong_left; do
        eval "kong_method=\$kong_method_$kong_index kong_path=\$kong_path_$kong_index kong_body=\$kong_body_$kong_index"
        kong_configuration="$kong_configuration$kong_options
fail
output = \"/dev/null\"
url = \"$kong_quoted_url$kong_path\"
request = \"$kong_method\"
write-out = \"$kong_index:%{http_code}\\n\"
data-binary = $kong_body
next
"
    done
    kong_configuration=${kong_configuration%next?}
}

# kong_alone INDEX: one write, or the end.
kong_alone() {
    eval "kong_method=\$kong_method_$1 kong_path=\$kong_path_$1 kong_id=\$kong_id_$1"
    eval "kong_label=\$kong_label_$1 kong_body=\$kong_body_$1 kong_hides=\$kong_hides_$1"
    kong_ask "$kong_method" "$kong_path" "$kong_body"
    case $kong_method$kong_id$kong_status in
    POST-409) kong_status=200 ;;
    POST-*) ;;
    POST?*40[09]) kong_ask PATCH "$kong_path/$kong_id" "$kong_body" ;;
    esac
    case $kong_status in
    200 | 201) kong_count=$((kong_count + 1)) ;;
    *)
        if [ -n "$kong_hides" ]; then
            # A Kong repeats a key that is taken already.
            kong_answer='(not shown: it may hold the secret)'
        fi
        kong_stop 1 "$kong_label could not be restored: $kong_shown_url$kong_path answered $kong_status: $kong_answer" \
            "$kong_count entities are restored, the others are not. Mend the cause and run this file again."
        ;;
    esac
}

kong_check_variables() {
    command -v curl >/dev/null 2>&1 || kong_stop 3 'curl is missing' 'Install curl and run this file again.'
    kong_url=${KONG_ADMIN_URL:-}
    case $kong_url in
    http://?* | https://?*) ;;
    '') kong_stop 3 'KONG_ADMIN_URL is not set' 'Set it to the Admin API, for example http://127.0.0.1:8001.' ;;
    *) kong_stop 3 'KONG_ADMIN_URL is not a URL' 'Set it to the Admin API, for example http://127.0.0.1:8001.' ;;
    esac
    while [ "$kong_url" != "${kong_url%/}" ]; do
        kong_url=${kong_url%/}
    done
    kong_shown_url=$kong_url
    kong_authority=${kong_url#*://}
    kong_authority=${kong_authority%%/*}
    case $kong_authority in
    *@*) kong_shown_url="${kong_url%%://*}://${kong_authority##*@}${kong_url#*://"$kong_authority"}" ;;
    esac
    kong_check_file KONG_CLIENT_CERT "${KONG_CLIENT_CERT:-}"
    kong_check_file KONG_CLIENT_KEY "${KONG_CLIENT_KEY:-}"
    kong_check_file KONG_CA_CERT "${KONG_CA_CERT:-}"
    if [ -n "${KONG_CLIENT_KEY:-}" ] && [ -z "${KONG_CLIENT_CERT:-}" ]; then
        kong_stop 3 'KONG_CLIENT_KEY is set, KONG_CLIENT_CERT is not' 'Set both, or none.'
    fi
}

kong_check_file() {
    if [ -n "$2" ] && [ ! -r "$2" ]; then
        kong_stop 3 "$1: the file $2 cannot be read" "Set $1 to a PEM file, or unset it."
    fi
}

# What every request has in common, as lines of a curl configuration. The token leaves the environment here, so that
# curl's own does not hold it.
kong_set_options() {
    kong_quote "$kong_url"
    kong_quoted_url=$kong_quoted
    kong_options='silent
show-error
globoff
connect-timeout = 10
max-time = 120
retry = 2
noproxy = "*"
header = "Content-Type: application/json"
header = "Accept: application/json"
header = "Expect:"'
    kong_curl=$(curl --version)
    kong_global='fail-early
parallel
parallel-max = 8'
    case $kong_curl in
    'curl '[0-6].* | 'curl 7.'[0-9].* | 'curl 7.'[0-4][0-9].* | 'curl 7.5'[01].*)
        kong_together=1
        kong_global='silent'
        ;;
    'curl 7.5'[0-9].* | 'curl 7.6'[0-5].*) kong_global='fail-early' ;;
    esac
    if [ -n "${KONG_ADMIN_TOKEN:-}" ]; then
        kong_option header "Kong-Admin-Token: $KONG_ADMIN_TOKEN"
        unset KONG_ADMIN_TOKEN
    fi
    if [ -n "${KONG_CLIENT_CERT:-}" ]; then
        kong_option cert "$KONG_CLIENT_CERT"
    fi
    if [ -n "${KONG_CLIENT_KEY:-}" ]; then
        kong_option key "$KONG_CLIENT_KEY"
    fi
    if [ -n "${KONG_CA_CERT:-}" ]; then
        kong_option cacert "$KONG_CA_CERT"
        # Without this a curl built with a folder of CAs trusts those too. GnuTLS fails on a folder that is none.
        case $kong_curl in
        *GnuTLS*) ;;
        *) kong_option capath "$KONG_CA_CERT/none" ;;
        esac
    fi
}

kong_option() {
    kong_quote "$2"
    kong_options="$kong_options
$1 = \"$kong_quoted\""
}

# kong_quote VALUE: sets kong_quoted to VALUE as it stands between quotes in a curl configuration.
kong_quote() {
    kong_rest=$1
    kong_quoted=
    case $kong_rest in
    *'
'*) kong_stop 3 'a KONG_ variable holds a line end' 'Set it without one.' ;;
    esac
    while :; do
        case $kong_rest in
        *[\\\"]*) ;;
        *) break ;;
        esac
        kong_head=${kong_rest%%[\\\"]*}
        kong_rest=${kong_rest#"$kong_head"}
        kong_quoted="$kong_quoted$kong_head\\${kong_rest%"${kong_rest#?}"}"
        kong_rest=${kong_rest#?}
    done
    kong_quoted=$kong_quoted$kong_rest
}

# kong_ask METHOD PATH BODY: sets kong_status and kong_answer; ends everything when there is no answer.
kong_ask() {
    kong_data=
    if [ -n "$3" ]; then
        kong_data="data-binary = $3"
    fi
    if ! kong_answer=$(
        printf '%s\n' "$kong_options" "url = \"$kong_quoted_url$2\"" "request = \"$1\"" \
            'write-out = "\n%{http_code}"' "$kong_data" | curl --disable --config -
    ); then
        kong_stop 5 "$kong_shown_url$2 gave no answer to $1 ($kong_count entities restored so far)" \
            'Check the address, the CA and that the gateway runs; then run this file again.'
    fi
    kong_status=${kong_answer##*"
"}
    kong_answer=${kong_answer%"
"*}
}

# The names of environments are in the tags that this toolkit sets; one page of entities is enough, because no
# registration mixes two environments in one gateway.
kong_refuse_others() {
    kong_ask GET '/services?size=1000&tags=pipeline' ''
    if [ "$kong_status" != 200 ]; then
        kong_stop 1 "$kong_shown_url/services answered $kong_status: $kong_answer" \
            'Look at the gateway; FORCE=1 leaves this check out.'
    fi
    kong_left=$kong_answer
    while :; do
        case $kong_left in
        *'"tags":['*) ;;
        *) break ;;
        esac
        kong_left=${kong_left#*'"tags":['}
        kong_tags=${kong_left%%']'*}
        case $kong_tags in
        *'"env.'*) ;;
        *) continue ;;
        esac
        kong_found=${kong_tags#*'"env.'}
        kong_found=${kong_found%%'"'*}
        if [ "$kong_found" != "$1" ]; then
            kong_stop 4 "the gateway at $kong_shown_url carries the environment $kong_found, this file is for $1" \
                'Set KONG_ADMIN_URL to the right gateway, or FORCE=1 to write to this one all the same.'
        fi
    done
}
