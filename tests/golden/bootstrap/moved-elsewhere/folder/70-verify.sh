#!/bin/sh
# The environment stage-2, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./verify.sh
bootstrap_begin stage-2
bootstrap_ready
verify_network pipeline-stage-2 bridge
verify_volume cities-stage-2-data local
verify_image registry.new.example/app@sha256:1111111111111111111111111111111111111111111111111111111111111111
verify_image registry.new.example/proxy@sha256:2222222222222222222222222222222222222222222222222222222222222222
bootstrap_list
verify_container cities-master-0a1b2c3d.app.1-7d33291f 9497453146270f6f
verify_container cities-master-0a1b2c3d.proxy.1-7d33291f 6073595650ce6f5c
verify_container cities-master-0a1b2c3d.proxy.2-7d33291f 6073595650ce6f5c
verify_others
kong_open stage-2
verify_entity /routes/00000000-0000-4000-8000-0000000000b1 'routes cities'
verify_entity /services/00000000-0000-4000-8000-0000000000a1 'services cities'
verify_entities_now
verify_route cities OPTIONS /ws/cities www.new.example cities-master-0a1b2c3d
verify_end
