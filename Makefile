# Needs only Python 3.11 or newer and make. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev

.PHONY: help demo up test check format fast browser pooler prove truth guard security-proof bench lock release clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.lock $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(READY) ## everything, with two simulated vendors and a living shop; Ctrl-C stops it
	$(BIN)/tallyhook demo

up: $(READY) ## everything, for the connections configured in the environment or .env
	$(BIN)/tallyhook up

test: $(DEV) ## the whole suite, on SQLite, a real PostgreSQL and a real Valkey
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

fast: $(DEV) ## the tests without real processes
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not journey and not browser and not pgbouncer and not prove"

browser: $(DEV) ## the pages in a real Chromium (needs /usr/bin/chromium and /usr/bin/chromedriver)
	$(BIN)/python -m pytest -m browser tests/browser

pooler: $(DEV) ## Tallyhook through a real PgBouncer (needs /usr/sbin/pgbouncer)
	$(BIN)/python -m pytest -m pgbouncer tests/stores/test_pgbouncer.py

prove: $(DEV) ## the long proof: 1,000 seeds on SQLite, 300 on PostgreSQL, 5 rounds of real processes, every guard
	$(BIN)/tallyhook prove --runs 1000 --processes 5 --hands 2
	$(BIN)/tallyhook prove --runs 300 --database postgresql --hands 2
	$(BIN)/python -m pytest -m prove tests/prove

truth: $(DEV) ## are the reasons and the agreement right? seeded differences of every kind, on both databases
	$(BIN)/python -m app.prove.truth --seeds 120
	$(BIN)/python -m app.prove.truth --seeds 40 --database postgresql

guard: $(READY) ## the guard's experiment: 240 disasters and 312 ordinary lives, by a nightly run and by a poll first
	$(BIN)/tallyhook guard test --hands 2

security-proof: $(DEV) ## take away each guard of SECURITY.md in a copy of the source: do its tests notice?
	$(BIN)/python -m tests.security_proof

check: $(DEV) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV) ## format the code, and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV) ## every benchmark, each with its own baseline (about 10 minutes)
	$(BIN)/python -m tests.bench

LOCK := uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

lock: ## write the lock files: what Tallyhook needs to run, and that plus the development tools (needs uv)
	$(LOCK) --extra clone pyproject.toml -o requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock pyproject.toml -o requirements-dev.lock

release: $(READY) ## build the wheel into dist/, install it in a clean environment, and start the demo from it
	PYTHON=$(PYTHON) .ci/release

clean: ## remove the virtual environment, the built wheel and the demo's data
	rm -rf $(VENV) data dist
