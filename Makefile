# Everything a person or CI runs; each target sets up what it needs first (see tests/testbed/setup.sh).
.DEFAULT_GOAL := help
SHELL := /bin/sh
.SHELLFLAGS := -ec

# An interpreter for .venv, 3.11 or newer.
PYTHON ?= python3
# The Molecule scenario of `make scenario`, and how many `make test` runs at a time (2 at most).
S ?= default
JOBS ?= 2
# The demo's ports on 127.0.0.1.
DEMO_SSH_PORT ?= 8022
DEMO_HTTP_PORT ?= 8080
export PYTHON DEMO_SSH_PORT DEMO_HTTP_PORT
export PATH := $(CURDIR)/.venv/bin:$(PATH)

TOOLS := @sh tests/testbed/setup.sh tools
HOSTS := @sh tests/testbed/setup.sh hosts

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20
	@echo "  make scenario S=redis   (molecule-redis is the same; the folders under molecule/)"

.PHONY: setup
setup: ## Make this machine ready: .venv, podman and what it needs
	$(HOSTS)

.PHONY: demo
demo: ## Bring a host up in a container, run site.yml on it, show the site
	$(HOSTS)
	@.venv/bin/python tests/testbed/demo.py

.PHONY: test
test: ## Lint, unit tests and every Molecule scenario
	$(HOSTS)
	@.venv/bin/python tests/run.py --jobs $(JOBS)

.PHONY: lint
lint: ## ansible-lint, yamllint, ruff, mypy, and whether the tables of variables are current
	$(TOOLS)
	@.venv/bin/python tests/run.py lint

.PHONY: docs
docs: ## Write the tables of variables in READMEs and docs/environment.md from the specs
	$(TOOLS)
	@.venv/bin/python tests/variable_tables.py

.PHONY: unit
unit: ## The unit tests: seconds, no containers
	$(TOOLS)
	@.venv/bin/python tests/run.py unit

.PHONY: scenario
scenario: ## One Molecule scenario, from nothing to verified
	$(HOSTS)
	@.venv/bin/python tests/run.py scenario $(S)

molecule-%:
	@$(MAKE) --no-print-directory scenario S=$*

.PHONY: bench
bench: ## Measure how fast it is, against a shell script and a ping
	$(HOSTS)
	@.venv/bin/python bench/run.py

.PHONY: clean
clean: ## Remove containers, networks, images and .testbed; .venv stays
	@$(PYTHON) tests/testbed/testbed.py clean
