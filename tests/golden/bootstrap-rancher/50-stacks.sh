#!/bin/sh
# The environment stage, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./rancher.sh
bootstrap_begin stage
kong_needs ALPHA
rancher_open Default
rancher_hosts
bootstrap_stack cities-master-0a1b2c3d services.sh
bootstrap_join_stacks
rancher_wait cities-master-0a1b2c3d
