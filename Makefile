# Everything a person types. `make demo` and `make test` set up what they need on a bare machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

# What is compiled is kept, whatever the caller's shell says: each process and each test would be compiled anew.
unexport PYTHONDONTWRITEBYTECODE

# Scratch files in RAM and one worker more than there are cores: a third of the time went into waiting for syncs.
CHECKS = TMPDIR=$$([ -w /dev/shm ] && echo /dev/shm || echo /tmp) \
	$(BIN)/pytest -q -n $$(($$(nproc) + 1)) --dist worksteal

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

packages: ## Debian packages that the demo and the tests need (root)
	@scripts/packages

$(STAMP): requirements-dev.lock pyproject.toml
	@scripts/env $(VENV)
	@touch $@

env: $(STAMP) ## .venv with the kikitori command, from locked dependencies
	@$(BIN)/pybabel -q compile -D kikitori -d cti/locale 2>/dev/null || true

asterisk: ## a working Asterisk >= 18: the host's own, or a root file system of its own
	@scripts/asterisk

demo: packages env asterisk ## real calls, a recorder killed mid-sentence, every claim proved
	@$(BIN)/kikitori demo $(if $(KEEP),--keep)

test: packages env asterisk check ## everything: checks, unit tests, properties, real Asterisk, faults
	@$(BIN)/bandit -q -c pyproject.toml --severity-level medium -r cti recorder retention policies
	@scripts/test-real

check: lint ## format, lint, types, import contracts, unit tests without the thorough ones (under a minute)
	@$(CHECKS) -m "not thorough"

lint: env ## format, lint, types, import contracts
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml >/tmp/.kikitori-contracts.$$$$ || { cat /tmp/.kikitori-contracts.$$$$; rm -f /tmp/.kikitori-contracts.$$$$; exit 1; }; rm -f /tmp/.kikitori-contracts.$$$$

faults: packages env asterisk ## the fault tests over and over (over an hour), and docs/reliability.md
	@scripts/faults

bench: packages env asterisk ## figures for docs/benchmarks.md (medians; quiet machine)
	@scripts/bench

lock: ## renew requirements*.lock from pyproject.toml
	@scripts/lock

messages: env ## collect translatable strings into cti/locale
	@scripts/messages

format: env ## rewrite the code in its format
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

.PHONY: help packages env asterisk demo test check lint faults bench lock messages format
