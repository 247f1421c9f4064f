# Signpost's own commands. `make` alone lists them.
# Needs a Debian-like system with Python 3.11 or newer and make; everything else is set up by the targets themselves.

VENV ?= .venv
PREFIX ?= /usr/local
DEMO_ARGS ?=
PYTEST_ARGS ?=
TEST_PROCESSES ?= 3
BENCH_ARGS ?=
TORTURE_ARGS ?=
BIN := $(VENV)/bin
SETUP := VENV="$(VENV)" deploy/setup.sh
UNSEEN := $(wildcard ../shared/data/routing_validation.jsonl)  # labelled rows that no model may see, where they are
SOURCES := router channels classifiers config tests $(wildcard benchmarks/*.py benchmarks/*/*.py)

.DEFAULT_GOAL := help
.PHONY: help demo test torture check format bench install embed encoder lock clean

help:  ## List the commands
	@echo "Signpost: every message to the right desk"
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: $(VENV)/.ready-run  ## Run the embedded demo: no account, no other server (DEMO_ARGS=--feed sends sample messages)
	@exec $(BIN)/signpost demo $(DEMO_ARGS)

test: $(VENV)/.ready-dev  ## Run every test (PYTEST_ARGS="-k words" chooses some; TEST_PROCESSES=0: in one process)
	@deploy/test-packages.sh
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile $(PYTEST_ARGS)

torture: $(VENV)/.ready-dev  ## Kill, freeze and starve it for hours, and report in docs/reliability.md (TORTURE_ARGS="--seed 7")
	@deploy/test-packages.sh
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install -q --disable-pip-version-check \
	  --require-hashes -r deploy/fuzzer.lock || echo "There is no fuzzer for this Python and machine: its test is left out."
	@$(BIN)/python -m tests.torture $(TORTURE_ARGS)

check: $(VENV)/.ready-dev  ## Check format, style, types and the bundled corpus
	@echo "Format…" && $(BIN)/ruff format --check --quiet $(SOURCES) || \
	  { echo "Some files aren't formatted: run  make format" >&2; exit 1; }
	@echo "Style…" && $(BIN)/ruff check --quiet $(SOURCES)
	@echo "Types…" && $(BIN)/mypy
	@echo "Corpus…" && $(BIN)/python -m classifiers._corpus_lint $(UNSEEN)

format: $(VENV)/.ready-dev  ## Format the sources
	@$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.ready-dev  ## Measure, and print a JSON object of figures
	@deploy/test-packages.sh >&2
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

install: $(VENV)/.ready-run  ## Set up and put the command `signpost` into PREFIX/bin (default /usr/local)
	@deploy/link.sh "$(BIN)/signpost" "$(PREFIX)/bin"

embed:  ## Add the optional sentence encoder's libraries (docs/howto/embed.md)
	@$(SETUP) embed

encoder: $(VENV)/.ready-run  ## Build the English encoder MiniLM into var/encoders/minilm (downloads 150 MB, once)
	@VENV="$(VENV)" deploy/encoder.sh

lock:  ## Renew the lock files after a change of the dependencies (needs uv)
	@deploy/lock.sh

clean:  ## Remove what the other commands set up; messages and models under var/ stay
	@rm -rf "$(VENV)" dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

# A stamp per set of requirements: made once, and again only when these files change.
$(VENV)/.ready-run: requirements.lock pyproject.toml deploy/setup.sh
	@$(SETUP) run

$(VENV)/.ready-dev: requirements-dev.lock pyproject.toml deploy/setup.sh
	@$(SETUP) dev
