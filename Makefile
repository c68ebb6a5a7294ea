# Needs Python 3.11 or newer (with venv, on Debian the package python3-venv), make and a package registry. Nothing else:
# every tool comes in its locked version into .venv.

VENV := .venv
BIN := $(VENV)/bin
# Every worker process of the test run may start servers of its own, so more than a few only get in each other's way.
# worksteal: the slow tests stand together, and would be left to one process
PYTEST_ARGS ?= -n 4 --dist worksteal --durations 15
# Its trials wait more than they work: for leases, grace periods and processes that are frozen.
MATRIX_ARGS ?= -n 3
# Of `make chaos`; without a seed, any.
ROTATIONS ?= 2000
SEED ?=

BENCH_ARGS ?=

# In an environment of its own: it needs packages that the project does not.
SBOM_VENV := .venv-sbom

# The clients of other people that `make clients-test` runs: where they are installed, and what tells their versions.
CLIENTS := .clients
PROGRAMS := tests/acceptance/clients/programs

# Of `make fuzz`, with SEED as well: how many inputs for each part, and which part alone.
FUZZ ?= 1000000
PART ?=
GUIDED ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install check format test matrix chaos fuzz demo bench compose-test systemd-test clients clients-test app lock lock-upgrade sbom wheel clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.project ## everything into .venv; afterwards there is .venv/bin/rotator
	@echo "ready: $(BIN)/rotator"

check: install ## lint, format, types, the law of imports, lock files in step with pyproject.toml
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	requirements/lock.sh --check

format: install ## let ruff format the code and repair what it safely can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

test: install ## all tests but matrix, chaos, compose-test, systemd-test and clients-test; PYTEST_ARGS= for other options
	$(BIN)/pytest $(PYTEST_ARGS) --ignore=tests/chaos --ignore=tests/acceptance/clients

matrix: install ## every kill, freeze and fault at every step of the worker; takes half an hour
	$(BIN)/pytest $(MATRIX_ARGS) tests/chaos

chaos: install ## ROTATIONS= rotations while everything around the workers fails at random; SEED= for the same again
	@$(BIN)/python -m tests.chaos_run --rotations $(ROTATIONS) $(if $(SEED),--seed $(SEED))

fuzz: install ## FUZZ= inputs for each part, or PART= alone; SEED= for the same again; GUIDED=yes by coverage
	$(if $(GUIDED),@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt)
	@$(BIN)/python -m tests.fuzz --inputs $(FUZZ) $(if $(PART),--part $(PART)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(GUIDED),--guided)

demo: install ## a rotation from start to end, on this machine, in less than a minute
	@$(BIN)/python -m worker.sandbox.demo

bench: install ## what a rotation costs: tables, a plot and a JSON file in .bench/; BENCH_ARGS=--smoke for a quick look
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

compose-test: install ## docker-compose.yml for real, with podman
	$(BIN)/python -m tests.compose

systemd-test: install app ## the units of config/ for real, in a fresh Debian that systemd has booted
	$(BIN)/python -m tests.systemd

clients: install $(CLIENTS)/.found $(CLIENTS)/.awscli $(CLIENTS)/.node $(CLIENTS)/.go ## the S3 clients for clients-test, into .clients
	@echo "ready: $(CLIENTS)"

clients-test: clients ## other people's S3 clients through 20 rotations, without a failed call; takes four minutes
	$(BIN)/pytest -n0 tests/acceptance/clients

# The files of worker/ that apps' machines need; they import nothing but each other and the standard library.
APP_FILES := worker/__init__.py worker/errors.py worker/printable.py worker/secret.py worker/clock.py \
	worker/targets/__init__.py worker/targets/durations.py worker/targets/fields.py worker/targets/receipts.py $(wildcard worker/credentials/*.py)

app: dist/rotator-app.pyz ## one file for apps' machines, which needs nothing but Python 3.11: dist/rotator-app.pyz

# zipapp takes the files sorted, with the times that they have: the same bytes on any machine with this Python. Compiled
# modules lie beside the others: that Python need not compile them at each start, any other does without.
dist/rotator-app.pyz: $(APP_FILES) | $(VENV)/.created
	@rm -rf dist/app && mkdir -p dist/app
	@cp --parents $(APP_FILES) dist/app
	@printf 'import gc\n\ngc.set_threshold(20_000)\nfrom worker.credentials.command import run\n\nrun()\n' > dist/app/__main__.py
	@PYTHONHASHSEED=0 $(BIN)/python -m compileall -q -b -s dist/app --invalidation-mode unchecked-hash dist/app
	@chmod -R u=rwX,go=rX dist/app
	@find dist/app -exec touch -d '2000-01-01T00:00:00Z' {} +
	@TZ=UTC $(BIN)/python -m zipapp dist/app -c -p '/usr/bin/env python3' -o $@
	@chmod a+rx $@
	@rm -rf dist/app
	@echo "ready: $@"

lock: install ## write the lock files anew after a change to pyproject.toml
	requirements/lock.sh

lock-upgrade: install ## the same with the newest versions that pyproject.toml allows
	requirements/lock.sh --upgrade

sbom: $(SBOM_VENV)/.packages ## dist/sbom.cdx.json: what an installed worker is made of, in the form of CycloneDX
	@mkdir -p dist
	$(SBOM_VENV)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-format JSON \
	  --output-file dist/sbom.cdx.json requirements/worker.txt

wheel: install ## dist/*.whl, the same bytes from the same commit, whoever builds it
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --wheel-dir dist .

clean: ## remove what the other targets made here
	rm -rf $(VENV) .venv-* $(CLIENTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Three stamps, so that a change costs only what depends on it.

$(VENV)/.created:
	@PYTHON="$(PYTHON)" sh requirements/venv.sh $(VENV)
	@touch $@

$(VENV)/.packages: requirements/dev.txt $(VENV)/.created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

$(SBOM_VENV)/.packages: requirements/sbom.txt
	@PYTHON="$(PYTHON)" sh requirements/venv.sh $(SBOM_VENV)
	$(SBOM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# What comes from Debian, or with the machine; the rest of them follows.
$(CLIENTS)/.found:
	@for program in rclone restic node npm go; do \
	  command -v $$program >/dev/null || { echo "There is no $$program here: clients-test wants rclone and restic, Node.js 20 with npm, and Go 1.26." >&2; exit 1; }; \
	done
	@mkdir -p $(CLIENTS) && touch $@

# With dependencies that are not the project's: never in its environment.
$(CLIENTS)/.awscli: requirements/awscli.txt | $(CLIENTS)/.found
	@PYTHON="$(PYTHON)" sh requirements/venv.sh $(CLIENTS)/awscli
	$(CLIENTS)/awscli/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

# npm installs beside a package.json; -trimpath leaves this folder's name out of what Go builds.
$(CLIENTS)/.node: $(PROGRAMS)/node/package.json $(PROGRAMS)/node/package-lock.json | $(CLIENTS)/.found
	@mkdir -p $(CLIENTS)/node && cp $^ $(CLIENTS)/node
	npm ci --prefix $(CLIENTS)/node --ignore-scripts --no-fund --no-audit --loglevel=error
	@touch $@

$(CLIENTS)/.go: $(wildcard $(PROGRAMS)/go/*) | $(CLIENTS)/.found
	@mkdir -p $(CLIENTS)/go
	go build -C $(PROGRAMS)/go -mod=readonly -trimpath -buildvcs=false -o $(CURDIR)/$(CLIENTS)/go/clients .
	go build -C $(PROGRAMS)/go -mod=readonly -trimpath -buildvcs=false -o $(CURDIR)/$(CLIENTS)/go/ tool
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.packages
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
