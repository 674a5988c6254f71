# Two commands do everything: "make run" and "make test". Each sets up what it needs
# in .venv first. PYTHON=python3.12 chooses a Python (and has an environment of its
# own), T=tests.test_hub a part of the suite, REACTOR=asyncio another event loop.

VENV = .venv
ifneq ($(strip $(PYTHON)),)
VENV = .venv-$(subst /,-,$(PYTHON))
endif

T = tests
REACTOR = uvloop
BIN = $(CURDIR)/$(VENV)/bin
PATHS = PYTHONPATH="$(CURDIR)/platform:$(CURDIR)"
# What ruff and mypy read: of these, what there is.
CHECKED = $(wildcard platform tests examples benchmarks docs twisted workshop)
TYPED = platform/ropewalk tests $(wildcard workshop/*.py benchmarks/*.py docs/*.py) \
	$(wildcard examples/*/*.py examples/*/tests)

help:
	@echo "make run      start the daemon with the demo chat"
	@echo "make test     run the whole suite            (T=tests.test_hub: a part of it)"
	@echo "make lint     check style and formatting     (make format mends it)"
	@echo "make types    check the types"
	@echo "make docs     build the documentation into docs/_build/html"
	@echo "make chaos    cut 10,000 connections of clients (CUTS=300 SEED=7: others)"
	@echo "make bench    measure us beside our peers      (QUICK=1: a glance)"
	@echo "make clean    remove whatever can be made again"
	@echo
	@echo "Each sets up what it needs. PYTHON=python3.12 chooses a Python."

run: $(VENV)/ready-fast
	@cd examples/chat && PYTHONPATH=. exec "$(BIN)/twistd" -n --pidfile= \
		ropewalk --settings ropewalk.toml

test: $(VENV)/ready-test
	@$(PATHS) "$(BIN)/trial" --reactor $(REACTOR) $(strip $(T))

lint: $(VENV)/ready-lint
	@status=0; \
	"$(BIN)/ruff" check $(CHECKED) || status=1; \
	"$(BIN)/ruff" format --check $(CHECKED) || status=1; \
	exit $$status

format: $(VENV)/ready-lint
	@"$(BIN)/ruff" check --fix $(CHECKED)
	@"$(BIN)/ruff" format $(CHECKED)

types: $(VENV)/ready-dev
	@"$(BIN)/mypy" $(TYPED)

docs: $(VENV)/ready-docs
	@$(PATHS) "$(BIN)/sphinx-build" -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Nothing is lost by clients whose connections are cut at random.
chaos: $(VENV)/ready-test
	@$(PATHS) CUTS=$(or $(CUTS),10000) SEED=$(SEED) \
		"$(BIN)/trial" --reactor $(REACTOR) tests.test_chaos

# BENCH="--peers klein,ropewalk --loads plain" chooses; "make bench BENCH=--help".
bench: $(VENV)/ready-bench
	@$(PATHS) "$(BIN)/python" -m benchmarks.run $(if $(QUICK),--quick) $(BENCH)
	@$(if $(QUICK)$(BENCH),,"$(BIN)/python" benchmarks/startup.py)
	@$(if $(QUICK)$(BENCH),,"$(BIN)/python" benchmarks/dispatch.py)

# The tables and pictures of docs/, of the results that are there.
bench-report: $(VENV)/ready-bench
	@$(PATHS) "$(BIN)/python" -m benchmarks.run --report $(BENCH)

clean:
	rm -rf .venv* build dist docs/_build _trial_temp* .mypy_cache .ruff_cache
	rm -rf .pytest_cache .hypothesis platform/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name dropin.cache -type f -exec rm -f {} +

# An environment, with the extra whose name is in the stamp's.
$(VENV)/ready-%: setup.cfg pyproject.toml workshop/environment workshop/build_ropewalk.py \
		$(wildcard platform/ropewalk/*/*.c)
	@sh workshop/environment "$(VENV)" "$*" "$(PYTHON)"
	@touch $@

.PHONY: help run test lint format types docs chaos bench bench-report clean
