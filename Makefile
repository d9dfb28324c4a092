PYTHON ?= python3
READY := .venv/.ready

.PHONY: help setup demo test lint fix clean

help:  ## show this list
	@grep -E "^[a-z]+:.*##" Makefile | sed -E "s/:.*## /\t/"

$(READY): pyproject.toml .ci/setup.sh .ci/constraints.txt .ci/overrides.txt
	PYTHON="$(PYTHON)" bash .ci/setup.sh
	@touch $(READY)

setup: $(READY)  ## make .venv with everything in it (the others call this)

demo: $(READY)  ## refine the embedded sample with real models, offline, into demo-output/
	HF_HUB_OFFLINE=1 .venv/bin/rbic demo --out demo-output

lint: $(READY)  ## style, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test: lint  ## style, types and all tests
	HF_HUB_OFFLINE=1 .venv/bin/python -m pytest -n 2 --dist loadfile

fix: $(READY)  ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:  ## remove the environment and what was built
	rm -rf .venv build dist demo-output .mypy_cache .pytest_cache .ruff_cache
