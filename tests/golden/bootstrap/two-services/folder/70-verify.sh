#!/bin/sh
# The environment stage, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./verify.sh
bootstrap_begin stage
bootstrap_ready
verify_network pipeline-stage bridge
verify_volume cities-stage-data local
verify_image registry.example/app@sha256:1111111111111111111111111111111111111111111111111111111111111111
verify_image registry.example/proxy@sha256:2222222222222222222222222222222222222222222222222222222222222222
bootstrap_list
verify_container cities-master-0a1b2c3d.app.1-774dc56d 34bf564ff5e5be51
verify_container cities-master-0a1b2c3d.proxy.1-774dc56d 27a285e319e9bce5
verify_container cities-master-0a1b2c3d.proxy.2-774dc56d 27a285e319e9bce5
verify_others
kong_open stage
verify_entity /routes/00000000-0000-4000-8000-0000000000b1 'routes cities'
verify_entity /services/00000000-0000-4000-8000-0000000000a1 'services cities'
verify_entities_now
verify_route cities OPTIONS /ws/cities '' cities-master-0a1b2c3d
verify_end
