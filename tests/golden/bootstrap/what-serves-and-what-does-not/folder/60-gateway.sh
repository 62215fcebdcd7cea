#!/bin/sh
# Restores the whole gateway: 2 services, 2 routes.
# From kong 2.8.5, environment stage, commit unknown; written by invoke-pipeline.
# Run: KONG_ADMIN_URL=http://127.0.0.1:8001 sh 60-gateway.sh
# Also: KONG_ADMIN_TOKEN; KONG_CLIENT_CERT, KONG_CLIENT_KEY, KONG_CA_CERT (PEM files);
# FORCE=1 writes to a gateway that carries another environment's name.
# shellcheck disable=SC2016

set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
bootstrap_begin stage

# The entities:
kong_open stage
kong_put /services/00000000-0000-4000-8000-0000000000a1 'services cities' '{"created_at":1700000001,"host":"proxy.cities-master-0a1b2c3d","name":"cities","path":null,"port":80,"protocol":"http","tags":["pipeline","env.stage","service.cities","stack.cities-master-0a1b2c3d"]}'
kong_put /services/00000000-0000-4000-8000-0000000000a2 'services elsewhere' '{"created_at":1700000002,"host":"example.org","name":"elsewhere","path":null,"port":80,"protocol":"http","tags":["pipeline","env.stage","service.elsewhere","stack.org"]}'
kong_flush
kong_put /routes/00000000-0000-4000-8000-0000000000b1 'routes cities' '{"created_at":1700000001,"hosts":null,"methods":null,"name":"cities","paths":["/ws/cities"],"preserve_host":false,"service":{"id":"00000000-0000-4000-8000-0000000000a1"},"strip_path":false,"tags":["pipeline","env.stage","service.cities"]}'
kong_put /routes/00000000-0000-4000-8000-0000000000b2 'routes elsewhere' '{"created_at":1700000002,"hosts":null,"methods":null,"name":"elsewhere","paths":["/out"],"preserve_host":false,"service":{"id":"00000000-0000-4000-8000-0000000000a2"},"strip_path":false,"tags":["pipeline","env.stage","service.elsewhere"]}'
kong_flush
kong_close
