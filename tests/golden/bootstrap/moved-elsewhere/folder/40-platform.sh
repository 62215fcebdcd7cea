#!/bin/sh
# The environment stage-2, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
bootstrap_begin stage-2
bootstrap_ready
bootstrap_volume cities-stage-2-data '{"Driver":"local","DriverOpts":{},"Labels":{"pipeline.environment":"stage-2","pipeline.service":"cities"},"Name":"cities-stage-2-data"}'
