#!/bin/sh
# The environment stage, written by invoke bootstrap (docs/bootstrap.md).
# shellcheck disable=SC1091,SC2016
set -eu
case $0 in */*) cd -- "${0%/*}/" ;; esac
. ./lib.sh
. ./bootstrap.sh
. ./rancher.sh
bootstrap_begin stage
kong_needs REGISTRY_PASSWORD_REGISTRY_EXAMPLE_5000
rancher_make Default
rancher_registry registry.example:5000 'it'"'"'s me' '{"serverAddress":"registry.example:5000"}' '{"publicValue":"it'"'"'s me","registryId":"' RANCHER_REGISTRY '","secretValue":"' REGISTRY_PASSWORD_REGISTRY_EXAMPLE_5000 '"}'
