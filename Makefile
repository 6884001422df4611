# SPDX-License-Identifier: Apache-2.0
# make setup once, then make check before each commit.

PYTHON ?= .venv/bin/python

.PHONY: setup check lint rules format test bench

setup:
	python3 -m venv .venv
	.venv/bin/pip install -c constraints.txt -e '.[dev]'

check: lint
	$(PYTHON) -m pytest -m 'not slow' -n auto

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

rules:
	$(PYTHON) -m pytest -q tests/repo

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test:
	$(PYTHON) -m pytest -n auto

bench:
	$(PYTHON) -m benchmarks
