#!/bin/sh
# The environment stage, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./rancher.sh
. ./verify.sh
bootstrap_begin stage
rancher_open Default
verify_stack cities-master-0a1b2c3d
verify_service cities-master-0a1b2c3d proxy e57016f4c65b9fee
verify_service cities-master-0a1b2c3d app b6eb87f9aebae708
verify_other_stacks pipeline://stage/
verify_leaves_out '1 volumes: they lie on the hosts'
kong_open stage
verify_entity /routes/00000000-0000-4000-8000-00000000000b 'routes cities'
verify_entity /services/00000000-0000-4000-8000-00000000000a 'services cities'
verify_entities_now
verify_route cities OPTIONS /ws/cities '' cities-master-0a1b2c3d
verify_end
