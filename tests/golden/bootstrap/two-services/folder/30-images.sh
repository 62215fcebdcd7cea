#!/bin/sh
# The environment stage, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
bootstrap_begin stage
kong_may_need CI_DEPLOY_USER
kong_may_need CI_DEPLOY_PASSWORD
bootstrap_ready
bootstrap_image registry.example/app@sha256:1111111111111111111111111111111111111111111111111111111111111111
bootstrap_image registry.example/proxy@sha256:2222222222222222222222222222222222222222222222222222222222222222
