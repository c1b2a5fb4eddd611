# make demo     a network memorizes random labels, in about a minute
# make test     the tests
# make quick    those that start no process and take no seconds, in under a minute
# make lowest   those, with the lowest versions of libraries that pyproject.toml allows (torch's as installed)
# make fuzz     strange files and options for SECONDS=600, those of SEED again; findings in build/fuzz
# make faults   kills, full disks, closed streams and other faults, of every command that writes: [SEED=0] [COUNT=200]
#               [SECONDS=600] [CLASSES="kills links"]
# make check    ruff, pyright, import-linter
# make bench    ratios against peers measured in one run, the machine's floors beside them
# make mutants  how many one-token mistakes the tests notice, of a sample: [SEED=0] [COUNT=100]; half an hour, after
#               all tests under coverage, unless build/reach is there
# make docs     man pages and completions
# Each sets up .venv first where it is missing.

SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONUNBUFFERED PYTHONPATH
unexport PYTHONDONTWRITEBYTECODE # every process would compile all of gencli again
# 0 is pip's way to say yes: Python compiles what it imports, a fourth of 19,000 files
export PIP_NO_COMPILE := 0

.PHONY: demo test quick lowest fuzz faults check bench docs mutants
.DELETE_ON_ERROR:

demo: .venv/installed
	@$(MAKE) --no-print-directory -f gencli/recipes/demo.mk OUT=build/demo

test: .venv/dev
	pytest -n auto --maxprocesses 4 --dist worksteal

quick: .venv/dev
	pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow"

lowest: .venv/dev
	rm -rf .venv-lowest
	python -m venv .venv-lowest
	python -c 'import sys; print(*(each for each in sys.path if "-packages" in each), sep="\n")' \
	  > $$(echo .venv-lowest/lib/python*/site-packages)/rest.pth
	.venv-lowest/bin/python -m pip install --quiet $$(python -m tests.lowest)
	.venv-lowest/bin/python -m pytest -W ignore::DeprecationWarning -m "not slow" # old libraries with new ones of theirs

SECONDS ?= 600
SEED := $(or $(SEED),$(shell date +%s))

fuzz: .venv/fuzz
	wrong=0; python -m tests.hostile.flips || wrong=1; \
	python -m tests.hostile.guided $$(($(SECONDS) / 5)) $(SEED) || wrong=1; \
	python -W ignore -m tests.hostile $$(($(SECONDS) * 4 / 5)) $(SEED) || wrong=1; exit $$wrong

faults: .venv/dev
	SEED=$(SEED) COUNT=$(COUNT) SECONDS=$(SECONDS) python -m tests.hostile.faults $(CLASSES)

check: .venv/dev
	ruff check .
	ruff format --check .
	pyright
	lint-imports

bench: .venv/dev
	python -m tests.benchmarks

mutants: .venv/dev
	python -m tests.mutants --seed $(SEED) --count $(or $(COUNT),100)

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gencli needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	pip install --quiet --editable .
	touch $@

.venv/dev: .venv/installed
	pip install --quiet --editable '.[dev,bench,export]'
	touch $@

.venv/fuzz: .venv/dev
	pip install --quiet --editable '.[fuzz]'
	touch $@

docs: .venv/dev
	rm -f man/*.1
	python -m gencli.cli.reference
