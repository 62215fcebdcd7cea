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
bootstrap_image_archive sha256:8d485cc54a4c9650abf9eac68c07c419ea0b808c9871c834c72a1bef3a156145 images/1.tar sha-of-images/1.tar
bootstrap_image_archive sha256:d441a847f2924de15f7fa97f67797ff849a923475fa8015065e5f9c6542f7304 images/1.tar sha-of-images/1.tar
