#!/bin/sh
# Restores the whole gateway: 1 services, 1 routes.
# From kong 2.8.5, environment stage, commit unknown; written by invoke-pipeline.
# Run: KONG_ADMIN_URL=http://127.0.0.1:8001 sh 60-gateway.sh
# Also: KONG_ADMIN_TOKEN; KONG_CLIENT_CERT, KONG_CLIENT_KEY, KONG_CA_CERT (PEM files);
# FORCE=1 writes to a gateway that carries another environment's name.
# shellcheck disable=SC2016

set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./rancher.sh
bootstrap_begin stage

# The entities:
kong_open stage
kong_put /services/00000000-0000-4000-8000-00000000000a 'services cities' '{"ca_certificates":null,"client_certificate":null,"connect_timeout":60000,"created_at":1600000000,"enabled":true,"host":"proxy.cities-master-0a1b2c3d","name":"cities","path":null,"port":80,"protocol":"http","read_timeout":60000,"retries":5,"tags":null,"tls_verify":null,"tls_verify_depth":null,"write_timeout":60000}'
kong_flush
kong_put /routes/00000000-0000-4000-8000-00000000000b 'routes cities' '{"created_at":1600000000,"destinations":null,"headers":null,"hosts":null,"https_redirect_status_code":426,"methods":null,"name":"cities","path_handling":"v0","paths":["/ws/cities"],"preserve_host":false,"protocols":["http","https"],"regex_priority":0,"request_buffering":true,"response_buffering":true,"service":{"id":"00000000-0000-4000-8000-00000000000a"},"snis":null,"sources":null,"strip_path":true,"tags":null}'
kong_flush
kong_close
