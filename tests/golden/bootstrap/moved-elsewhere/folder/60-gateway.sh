#!/bin/sh
# Restores the whole gateway: 1 services, 1 routes.
# From kong 2.8.5, environment stage-2, commit unknown; written by invoke-pipeline.
# Run: KONG_ADMIN_URL=http://127.0.0.1:8001 sh 60-gateway.sh
# Also: KONG_ADMIN_TOKEN; KONG_CLIENT_CERT, KONG_CLIENT_KEY, KONG_CA_CERT (PEM files);
# FORCE=1 writes to a gateway that carries another environment's name.
# shellcheck disable=SC2016

set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
bootstrap_begin stage-2

# The entities:
kong_open stage-2
kong_put /services/00000000-0000-4000-8000-0000000000a1 'services cities' '{"created_at":1700000001,"host":"proxy.cities-master-0a1b2c3d","name":"cities","path":null,"port":80,"protocol":"http","tags":["pipeline","env.stage-2","service.cities","stack.cities-master-0a1b2c3d"]}'
kong_flush
kong_put /routes/00000000-0000-4000-8000-0000000000b1 'routes cities' '{"created_at":1700000001,"hosts":["www.new.example"],"methods":null,"name":"cities","paths":["/ws/cities"],"preserve_host":false,"service":{"id":"00000000-0000-4000-8000-0000000000a1"},"strip_path":false,"tags":["pipeline","env.stage-2","service.cities"]}'
kong_flush
kong_close
