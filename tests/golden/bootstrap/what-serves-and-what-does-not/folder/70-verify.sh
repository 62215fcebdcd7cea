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
verify_image sha256:8d485cc54a4c9650abf9eac68c07c419ea0b808c9871c834c72a1bef3a156145
verify_image sha256:d441a847f2924de15f7fa97f67797ff849a923475fa8015065e5f9c6542f7304
bootstrap_list
verify_container cities-master-0a1b2c3d.app.1-774dc56d d42c5164169aee8b
verify_container cities-master-0a1b2c3d.proxy.1-774dc56d 53aeede7be1b81ae
verify_container cities-master-0a1b2c3d.proxy.2-774dc56d 53aeede7be1b81ae
verify_container worker-master-0a1b2c3d.app.1-4059e373 141a0147baad770c
verify_others
kong_open stage
verify_entity /routes/00000000-0000-4000-8000-0000000000b1 'routes cities'
verify_entity /routes/00000000-0000-4000-8000-0000000000b2 'routes elsewhere'
verify_entity /services/00000000-0000-4000-8000-0000000000a1 'services cities'
verify_entity /services/00000000-0000-4000-8000-0000000000a2 'services elsewhere'
verify_entities_now
verify_route cities OPTIONS /ws/cities '' cities-master-0a1b2c3d
verify_end
