# What one does with a clone of Roomlet. Each target brings what it needs.
#
#   make demo                      a meeting on this machine: hub, appliance, page
#   make test                      every check and every test
#   make test ARGS="-k mute -x"    ARGS goes to the program behind a target: here pytest
#   make setup PYTHON=python3.13   with another Python than Debian's own

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:

ARGS ?=
BIN := .venv/bin
# Tests at once: three for two cores, as they wait more than they compute.
WORKERS ?= $(shell echo $$((($$(nproc) * 3 + 1) / 2)))
# How long `make soak` runs, in seconds.
DURATION ?= 3600

export PYTHON

.PHONY: help
help: ## say what the targets do
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: setup
setup: ## install what running needs: Debian packages, .venv, Python packages
	@scripts/setup
ifeq ($(MAKECMDGOALS),setup)
	@echo "setup: ready; next: make demo"
endif

.PHONY: setup-test
setup-test: setup ## that, and what the tests need
	@scripts/setup --test

# exec: no shell stands between make and the program, which ends by itself on Ctrl-C. To end it
# from a script, signal the whole process group: make passes nothing on.
.PHONY: demo
demo: setup ## hub and one simulated appliance on this machine
	@exec $(BIN)/roomlet demo $(ARGS)

.PHONY: test
test: lint ## every check and every test
	@# Meetings in a browser are heard and seen, so they have the machine to themselves. pytest
	@# says 5 where ARGS leaves nothing to one of the two; of such a second one nothing is shown,
	@# lest the last that is read is that nothing ran.
	@fast=0 e2e=0; \
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not lab and not e2e" $(ARGS) || fast=$$?; \
	if [ $$fast -eq 0 ] || [ $$fast -eq 5 ]; then \
	    $(BIN)/pytest --collect-only -m e2e $(or $(ARGS),tests/e2e) >/dev/null 2>&1 || e2e=$$?; \
	    if [ $$e2e -ne 5 ]; then \
	        e2e=0; $(BIN)/pytest -m e2e $(or $(ARGS),tests/e2e) || e2e=$$?; fi; fi; \
	case "$$fast $$e2e" in "0 0" | "0 5" | "5 0") ;; *) exit 1 ;; esac

.PHONY: test-fast
test-fast: setup-test ## the tests without a browser
	@exec $(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not lab and not e2e" $(ARGS)

.PHONY: coverage
coverage: setup-test ## write docs/coverage.md anew, from a run of the scenarios
	@exec $(BIN)/pytest --write-coverage-table $(ARGS) tests/e2e/scenarios

.PHONY: lab
lab: setup-test ## the tests on virtual hardware, in part in a guest; writes docs/lab-report.md
	@scripts/setup --lab
	@exec $(BIN)/python scripts/lab $(ARGS)

.PHONY: lint
lint: setup-test ## style, types, layers
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: setup-test ## put the code into the house's style
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

.PHONY: bench
bench: setup-test ## one appliance against a browser in the same call
	@exec $(BIN)/python bench/idle_call.py $(ARGS)

.PHONY: bench-hub
bench-hub: setup-test ## what the hub costs with 2 to 12 senders, and with 1 to 24 receivers
	@exec $(BIN)/python bench/hub_scale.py $(ARGS)

.PHONY: bench-mute
bench-mute: setup-test ## how fast a mute is, beside a browser's
	@exec $(BIN)/python bench/mute.py $(ARGS)

.PHONY: pictures
pictures: setup-test ## take the pictures of the pages in docs/images anew, in three minutes
	@exec $(BIN)/python scripts/pictures.py $(ARGS)

.PHONY: soak
soak: setup ## a meeting of DURATION seconds, and a report on it
	@exec $(BIN)/roomlet demo --for $(DURATION) --report - $(ARGS)

.PHONY: fuzz
fuzz: setup-test ## ten thousand rude clients at the hub
	@exec $(BIN)/pytest tests/appliance/hub/test_fuzz.py tests/appliance/hub/test_fuzz_order.py \
		--hypothesis-profile=fuzz -s -o faulthandler_timeout=0 $(ARGS)

.PHONY: fuzz-mute
fuzz-mute: setup-test ## ten thousand orders of events at the lights of microphone and camera
	@exec $(BIN)/pytest tests/appliance/service/test_mute_truth.py \
		tests/appliance/service/test_camera_truth.py --hypothesis-profile=fuzz \
		-o faulthandler_timeout=0 $(ARGS)

.PHONY: soak-devices
soak-devices: export ROOMLET_CYCLES = 100
soak-devices: setup-test ## each device pulled out of a call and put back a hundred times
	@exec $(BIN)/pytest tests/appliance/service/test_hotplug.py -k left_over \
		-o faulthandler_timeout=0 $(ARGS)

# One lock for Python 3.11 to 3.13 on x86-64 and aarch64. To take newer versions: ARGS=--upgrade
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(ARGS)

.PHONY: lock
lock: setup-test ## renew the lock files after a change of pyproject.toml
	@$(LOCK) pyproject.toml -o requirements.lock
	@$(LOCK) --group build -c requirements.lock -o requirements-build.lock
	@$(LOCK) --group dev -c requirements.lock -c requirements-build.lock -o requirements-dev.lock
	@npm install --prefix tests/e2e --package-lock-only

.PHONY: clean
clean: ## remove the environment, caches and what builds leave
	@rm -rf .venv tests/e2e/node_modules build dist htmlcov .coverage \
		.lab .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
