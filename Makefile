# Few targets; `make help` names them. Needs make and Python 3.11+ (with venv), nothing else.

PYTHON ?= python3
# Flags of `make up`, e.g. make up ARGS="--vehicles 100 --port 8088"; of `make test`, e.g. ARGS="-k ledger"
ARGS =
# Test processes side by side
WORKERS ?= auto
SETUP = $(PYTHON) tools/setup.py
BIN = .venv/bin

.DEFAULT_GOAL = help
.PHONY: help up test check bench properties fuzz chaos

help:
	@echo 'make up     start everything: database, broker, ingest, dashboard, 25 simulated vehicles'
	@echo 'make test   all tests, in Python and TypeScript'
	@echo 'make check  lint, types (Python and TypeScript), import rules'
	@echo 'make bench  all benchmarks, or some: make bench ARGS="broker --seconds 10"'
	@echo 'make properties  the property tests with a fresh seed, which is printed; worth repeating'
	@echo 'make fuzz   a million payloads into ingest, a million packets at the broker; ARGS="--seed N" repeats a run'
	@echo 'make chaos  10,000 steps in which all fails around presence and commands, ARGS="--seed N" likewise;'
	@echo '            then ingest is killed at every await of a batch, and a spool at every byte'
	@echo 'make help   this'
	@echo
	@echo 'Flags go into ARGS: make up ARGS="--vehicles 100", make test ARGS="-k ledger".'
	@echo 'PYTHON names another interpreter: make up PYTHON=python3.13.'

up:
	@$(SETUP) --extra grafana --extra roads python web
	@exec $(BIN)/fleetcell up --link tunnel $(ARGS)

# With bytecode written, whatever the environment wishes: the tests start two hundred processes of these modules.
test:
	@$(SETUP) --extra dev python web system
	@$(SETUP) npm exec -- vitest run
	@exec env PYTHONDONTWRITEBYTECODE= \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check:
	@$(SETUP) --extra dev python web
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(SETUP) npm exec -- tsc --noEmit
	$(BIN)/python -m pytest -q tests/test_import_rules.py tests/test_repository.py

bench:
	@$(SETUP) --extra dev python web
	@exec $(BIN)/python -m benchmarks $(ARGS)

properties:
	@$(SETUP) --extra dev python web system
	@exec $(BIN)/python -m pytest -n $(WORKERS) -m hypothesis --hypothesis-seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') $(ARGS)

fuzz:
	@$(SETUP) --extra dev python web
	$(BIN)/python -m tests.ingest.fuzz $(ARGS)
	@exec $(BIN)/python -m tests.broker.fuzz $(ARGS)

chaos:
	@$(SETUP) --extra dev python
	$(BIN)/python -m tests.ingest.chaos $(ARGS)
	@exec $(BIN)/python -m tests.chaos
