#!/bin/sh
# The environment stage-2, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
bootstrap_begin stage-2
bootstrap_ready
bootstrap_network pipeline-stage-2 '{"CheckDuplicate":true,"Driver":"bridge","Internal":false,"Labels":{"pipeline.environment":"stage-2"},"Name":"pipeline-stage-2","Options":{}}'
