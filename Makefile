# `make run`, `make setup` and `make test` set up all they need; everything else is `ordercast --help`.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
RUNTIME := .venv/.runtime
DEVELOP := .venv/.develop

# Where this is set, as in many containers, every process would compile all our modules again.
export PYTHONDONTWRITEBYTECODE :=

TYPES := $(BIN)/mypy
PAGES := $(BIN)/lint-imports && $(BIN)/ordercast docs --check && $(BIN)/python -m checks.site
# Code 3 says that the advisory service could not be reached: loud, and no pass, but no reason to hold a change up (`make audit` fails on it).
SECURITY := $(BIN)/python -m checks.secrets && $(BIN)/python -m checks.licences --check && { $(BIN)/python -m checks.dependencies || [ $$? = 3 ]; }

.DEFAULT_GOAL := help
.PHONY: help setup run dashboards dagster test torture check style types pages security audit format docs site lock clean browser proxy screenshots

help: ## Show what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(RUNTIME) ## Set up what runs need, as at a merchant; no data

run: $(RUNTIME) ## Set up, simulate a merchant where no store exists, run the whole job
	$(BIN)/ordercast simulate --if-missing
	$(BIN)/ordercast run

dashboards: $(RUNTIME) ## Serve the pages on 127.0.0.1:8501
	$(BIN)/ordercast dashboards

dagster: $(RUNTIME) ## Serve the Dagster UI on 127.0.0.1:3000
	$(BIN)/ordercast dagster

# Tests wait for the disk thousands of times. Where memory serves as one and has room for all they write, they use that.
# Types, import rules, the site, secrets and dependencies are looked at beside the tests, and what they say comes after what those say.
test: $(DEVELOP) browser proxy style ## Set up and run everything that CI runs
	@free=$$(df --output=avail -k /dev/shm 2>/dev/null | tail -1); \
	if [ "$${free:-0}" -gt 8000000 ] && [ -w /dev/shm ]; then \
		TMPDIR=$$(mktemp -d /dev/shm/ordercast-test-XXXXXX) && export TMPDIR && chmod 755 "$$TMPDIR"; \
		trap 'rm -rf "$$TMPDIR"' EXIT; trap 'exit 130' INT TERM; \
	fi; \
	said=$$(mktemp); { $(TYPES) && $(PAGES) && $(SECURITY); } >"$$said" 2>&1 & beside=$$!; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder; tested=$$?; \
	wait $$beside; checked=$$?; cat "$$said"; rm "$$said"; \
	[ $$tested = 0 ] && [ $$checked = 0 ]

torture: $(DEVELOP) ## Run every attack, and fourteen days with the real processes, at full size (hours)
	$(BIN)/python -m pytest tests/attacks tests/deployment --full -n 2 --dist loadfile --no-loadscope-reorder

check: $(DEVELOP) style ## Formatting, lint, types and import rules
	@$(MAKE) --no-print-directory -j 2 types pages

style: $(DEVELOP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(TYPES)

pages:
	$(PAGES)

security: $(DEVELOP) ## Secrets, licences and known vulnerabilities (ruff's S rules are part of the lint)
	$(SECURITY)

audit: $(DEVELOP) ## Known vulnerabilities; fails where nobody can be asked, too
	$(BIN)/python -m checks.dependencies

format: $(DEVELOP) ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DEVELOP) ## Write the generated pages of docs/ anew
	$(BIN)/ordercast docs
	$(BIN)/python -m checks.licences

site: $(DEVELOP) ## Build the documentation in site/, to be opened without network
	$(BIN)/python -m checks.site

lock: $(DEVELOP) ## Resolve all dependencies anew, with hashes
	$(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-annotate -q --upgrade -o requirements-dev.lock
	$(UV) pip compile pyproject.toml -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-annotate -q -o requirements.lock

clean: ## Remove the environment and caches; the store and its history stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache ordercast.egg-info

# The page tests drive a real browser: the machine's, else Debian's, else one that Playwright brings, which needs no root.
BROWSERS := $(CURDIR)/.venv/browsers
browser: $(DEVELOP)
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	} || PLAYWRIGHT_BROWSERS_PATH="$(BROWSERS)" $(BIN)/playwright install chromium >/dev/null 2>&1 || \
		echo "No Chromium could be had: not on PATH, not by apt-get, not by Playwright. The stories in a browser are left out; CI never leaves them out."

# What stands before the pages at a merchant. Without root it cannot be had, and what needs it is left out.
proxy:
	@command -v caddy >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends caddy >/dev/null; \
	} || echo "There is no Caddy on PATH: its configuration is not checked."

screenshots: $(DEVELOP) browser ## Pictures of every page of the newest release: make screenshots TO=FOLDER
	$(BIN)/python -m tests.dashboards.screenshots "$${ORDERCAST_HOME:-.ordercast}" "$(or $(TO),screenshots)"

$(UV): requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@touch $(UV)

$(RUNTIME): $(UV) requirements.lock pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOP): $(UV) requirements-dev.lock pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ $(RUNTIME)
