#!/bin/sh
# The environment stage, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./rancher.sh
bootstrap_begin stage
rancher_open Default
rancher_host
