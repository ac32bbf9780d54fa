# Everything runs in an own environment in .venv; Python 3.11 or newer is all that has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help install demo demo-check demo-check-crossborder test lint types check bench docs sbom chart-schema lock clean
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; say which with PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

install: $(READY) ## Make the environment from the locked dependencies

demo: $(READY) ## Run affinity domain, Redis and gateway on this machine with sample content
	@$(BIN)/gateway demo

demo-check: $(READY) ## Walk through publish, find and retrieve as an outside client
	@$(BIN)/gateway demo --check

demo-check-crossborder: $(READY) ## The same over three communities, by FHIR, DICOMweb and SOAP
	@$(BIN)/gateway demo --check --communities 3

test: $(READY) ## Run all tests
	@$(BIN)/python -m pytest -n auto

lint: $(READY) ## Style and import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(READY) ## Strict type check
	@$(BIN)/mypy

check: lint types test ## All of the above

bench: $(READY) ## Measure, as ratios within one run
	@$(BIN)/python -m bench

docs: $(READY) ## Build the documentation into dist/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

sbom: $(READY) ## Write the bill of materials of what an image holds (CycloneDX) to dist/sbom.cdx.json
	@rm -rf build/sbom && mkdir -p dist
	@$(PYTHON) -m venv --without-pip build/sbom
	@$(BIN)/python -m pip --python build/sbom/bin/python install --quiet --require-hashes --no-deps -r requirements/runtime.lock
	@$(BIN)/cyclonedx-py environment build/sbom/bin/python --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file dist/sbom.cdx.json
	@rm -rf build/sbom

chart-schema: $(READY) ## Write the schema of the chart's values again, after settings have changed
	@$(BIN)/python -m helm.write_schema

lock: ## Lock the dependencies again, with hashes
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --extra traces pyproject.toml -o requirements/runtime.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --extra dev --extra traces pyproject.toml -o requirements/dev.lock
	@$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate -c requirements/dev.lock requirements/build.in -o requirements/build.lock

clean: ## Remove what was made
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache state
