# Every target explains itself: `make help` prints what stands behind two hashes.
#
# The environment is .venv, made from the lock files and nothing else; it is made again when they change.
# Settings: PYTHON=python3.12 (which Python makes it), PORTS (see `make demo`), ALLOW_MISSING=1 (see `make test`).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Some machines set it. Then each of the many processes of a test run compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := $(VENV)/.from-requirements.lock
DEV := $(VENV)/.from-requirements-dev.lock
OWN_PIP := $(VENV)/.from-requirements-pip.lock
PIP := $(RUN) -m pip --disable-pip-version-check --no-input
UV = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras

##: Help

.PHONY: help
help: ## List the targets (this)
	@awk -F ':.*## ' '/^##: / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##: The two commands

.PHONY: demo
demo: $(DEMO) ## Run the whole product on this machine, with a partner, the data API and a mailbox; IDP_SERVER__PORT= ASSEMBLY_PORT= SCHOOLBOOKING_PORT= XPORTER_PORT= MAILBOX_PORT= MAILBOX_SMTP_PORT=
	@exec $(RUN) -m idp.demo

.PHONY: test
test: $(DEV) ## [T=tests/oidc] Run all checks, or the tests named; what cannot be checked fails too, unless ALLOW_MISSING=1
	@$(RUN) -m $(if $(T),pytest -q -n auto --dist loadfile $(T),tests.everything)

##: More

.PHONY: demo-reset
demo-reset: $(DEMO) ## Clear the demonstration's data
	@$(RUN) -m idp.demo --reset

.PHONY: check
check: $(DEV) ## Run the quick checks, in three minutes: lint, format, types, import contracts, and the own tests of each package of idp on SQLite
	@$(RUN) -m tests.everything --quick

.PHONY: format
format: $(DEV) ## Format the code as `make check` requires
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: bench
bench: $(DEV) ## [WHAT="costs http fastpaths crowd register growth api events extracts xporter memory start peers"] Measure, ten minutes: compare ratios, not times
	@$(RUN) -m bench $(WHAT)

.PHONY: bench-quick
bench-quick: $(DEV) ## The same, smaller, on SQLite alone and without peers: a minute and a half
	@$(RUN) -m bench --quick $(WHAT)

.PHONY: matrix
matrix: $(DEV) ## Run the mirror of the OpenID conformance plans and write docs/conformance-matrix.md
	@$(RUN) -m pytest -q tests/conformance --matrix docs/conformance-matrix.md

.PHONY: fuzz
fuzz: $(DEV) ## [MINUTES=10] Send malformed input to every endpoint and parser; each finding is printed with its seed
	@$(RUN) -m tests.fuzz.long $(or $(MINUTES),10)

.PHONY: mutants
mutants: $(DEV) ## M="idp.keys.*" [T="tests/keys tests/oidc/test_token.py"] List changes of the code that no test notices, about a second each
	@$(RUN) -m tests.mutants $(or $(M),$(error Say which modules: make mutants M="idp.keys.*")) $(if $(T),--tests $(T))

.PHONY: install
install: $(DEV) ## Make the development environment, and nothing else

.PHONY: lock
lock: $(DEV) ## Resolve the dependencies again, pip included, into the three lock files
	@test -x $(VENV)/bin/uv || $(PIP) install --quiet uv
	@echo pip | $(UV) --upgrade - -o requirements-pip.lock
	@$(UV) --upgrade --group build pyproject.toml -o requirements.lock
	@$(UV) --upgrade --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	@echo "Locked. Run make test before you keep it."

.PHONY: clean
clean: ## Remove the environment and every cache; data in var/ stays
	@rm -rf $(VENV) mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. What is installed for working on it is more than what the demo needs, so it serves both.

$(DEMO): requirements.lock pyproject.toml | $(OWN_PIP)
	@if [ -e $(DEV) ] && [ $(DEV) -nt requirements-dev.lock ]; then lock=requirements-dev.lock; else lock=requirements.lock; fi; \
	$(call from,$$lock)
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml | $(OWN_PIP)
	@$(call from,requirements-dev.lock,--no-compile)
	@touch $@ $(DEMO)

# $(call from,FILE,OPTIONS) installs exactly what FILE names, each package checked against its hash, a line for each;
# then this project itself, from where it is. For working on it, modules are compiled when they are first imported: most
# never are, and compiling them all is more than half of the processor time of an installation.
define from
	echo "Installing what $(1) names into $(VENV) (once, about a minute):"; \
	rm -f $(VENV)/.failed; \
	{ $(PIP) install $(2) --require-hashes --progress-bar off -r $(1) 2>&1 || touch $(VENV)/.failed; } | \
		while read -r word rest; do case "$$word" in \
			Collecting) echo "  $${rest%% *}";; \
			Installing) echo "  unpacking ...";; \
			ERROR*) echo "$$word $$rest";; \
		esac; done; \
	test ! -e $(VENV)/.failed && $(PIP) install --quiet --no-build-isolation --no-deps -e . && echo "Installed."
endef

# pip itself comes first, from its own lock: the one that Python brings may be years old, and those before 23.3 install
# from a lock only while nothing newer is out (pypa/pip issue 9644).
$(OWN_PIP): requirements-pip.lock | $(VENV)/bin/python
	@$(PIP) install --quiet --require-hashes -r requirements-pip.lock
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || \
		{ echo "This needs Python 3.11 or newer, and found none. Install it, or say where it is: make demo PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11 or newer, which this needs: make demo PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "$(PYTHON) could not make an environment. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
