# The first two commands of the README: `make demo` and `make test`. Both set up what they need.
.DEFAULT_GOAL := help
.PHONY: help setup engine bases demo demo.down test test.fast test.services check format lint types bench lock clean

INVOKE := .venv/bin/invoke

help: ## show this
	@sed -n 's/^\([a-z.]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install the toolkit into .venv
	@scripts/setup

engine: ## make sure that a Docker engine answers
	@scripts/engine start

bases: engine
	@scripts/base-images

demo: setup bases ## build, deploy and register the cities service, and ask it through the gateway
	@scripts/tools curl
	@scripts/demo

demo.down: setup ## stop what the demo left running, its data too
	@scripts/demo down

test: setup bases ## every test, on a real engine
	@scripts/tools shellcheck dash busybox jq curl wget docker-registry git ssh-agent sshd gitlab-ci-local
	@scripts/tests

test.fast: setup ## the tests that need no engine
	.venv/bin/pytest -m 'not engine'

check: setup lint types test ## what CI runs

format: setup ## format the code
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lint: setup
	@scripts/tools shellcheck
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	shellcheck pipeline/shell/*.sh scripts/* .ci/run ci/invoke services/cities/run-tests

types: setup
	.venv/bin/mypy

bench: setup bases ## figures, as ratios in one run
	@scripts/tools git curl busybox sshd docker-registry gitlab-ci-local
	.venv/bin/python -m benchmarks

lock: setup ## pin the requirements anew
	@scripts/lock
