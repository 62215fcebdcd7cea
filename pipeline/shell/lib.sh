# shellcheck shell=sh
# Puts entities back into a Kong through its Admin API: a POSIX shell and curl, nothing else. Safe to run twice.
# A value reaches curl through its configuration on stdin, never through its arguments, where ps would show it.
set -eu
LC_ALL=C
export LC_ALL

kong_count=0

# kong_stop CODE WHAT NEXT: two lines on stderr, and the end. 1 failed, 3 bad input, 4 refused, 5 unreachable.
kong_stop() {
    printf '%s\n%s\n' "$2" "$3" >&2
    exit "$1"
}

# kong_not_exported KIND COUNT: says what the gateway had and this file does not.
kong_not_exported() {
    printf 'not in this file: %s %s\n' "$2" "$1" >&2
}

# kong_open ENVIRONMENT: checks the variables, then that a Kong answers and carries no other environment's name.
# An empty ENVIRONMENT takes any gateway.
kong_open() {
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

# kong_put PATH LABEL BODY: creates or replaces one entity. BODY is JSON without white space.
kong_put() {
    kong_ask PUT "$1" "$3"
    case $kong_status in
    200 | 201) kong_count=$((kong_count + 1)) ;;
    *)
        kong_stop 1 "$2 could not be restored: $kong_shown_url$1 answered $kong_status: $kong_answer" \
            "$kong_count before it are restored, what follows is not. Mend the cause and run this file again."
        ;;
    esac
}

# kong_close: says how much was restored.
kong_close() {
    printf 'restored %s entities at %s\n' "$kong_count" "$kong_shown_url"
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
        case $(curl --version) in
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
        curl --disable --config - <<KONG_CONFIGURATION
$kong_options
url = "$kong_quoted_url$2"
request = "$1"
write-out = "\n%{http_code}"
$kong_data
KONG_CONFIGURATION
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
