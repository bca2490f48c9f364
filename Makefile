# Whatever one does here is a target. Each prepares .venv by itself, once: with uv where there is
# one, else with Python's own venv and pip (`make UV= …` forces the latter).

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(shell command -v uv 2>/dev/null)
INTERPRETERS := python3 python3.14 python3.13 python3.12 python3.11
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)

# ── set-up ───────────────────────────────────────────────────────────────────────────────────
# The stamps are older than pyproject.toml when its dependencies may have changed.

RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development

ifdef UV
INSTALL = "$(UV)" pip install --quiet --python $(PYTHON)
else
INSTALL = $(PYTHON) -m pip install --quiet --disable-pip-version-check
endif

$(PYTHON):
ifdef UV
	"$(UV)" venv --quiet --seed --python '>=3.11' $(VENV)
else
	@for python in $(INTERPRETERS); do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "$$python -m venv $(VENV)"; \
	    $$python -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "error: $$python cannot make virtual environments;" \
	        "install its venv package (Debian: apt install python3-venv) or uv" >&2; \
	    exit 1; \
	done; \
	echo "error: Python 3.11 or newer is needed, and none of these is: $(INTERPRETERS);" \
	    "install one, or uv (https://docs.astral.sh/uv)" >&2; \
	exit 1
endif

$(RUNTIME): pyproject.toml | $(PYTHON)
	@echo "installing the assistant into $(VENV); the first time PyTorch takes a few minutes"
	@$(INSTALL) --editable .
	@touch $@

$(DEVELOPMENT): pyproject.toml | $(PYTHON)
	@echo "installing the assistant and its tools into $(VENV);" \
	    "the first time PyTorch takes a few minutes"
	@$(INSTALL) --editable '.[dev]'
	@touch $(RUNTIME) $@

# ── every day ────────────────────────────────────────────────────────────────────────────────

RECORDINGS := tests/data/recordings
RECOGNIZE := $(PYTHON) -m assistant recognize --events

.PHONY: help run test check lint format docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUNTIME) ## understand the bundled recordings, event by event; nothing is executed
	$(RECOGNIZE) --commands home $(RECORDINGS)/home/*.flac
	$(RECOGNIZE) --commands coffee $(RECORDINGS)/coffee/*.flac
	$(RECOGNIZE) --bundle pt-br --commands home $(RECORDINGS)/casa/*.flac

test: $(DEVELOPMENT) ## run the tests (PYTEST="-k name" for some of them)
	$(PYTHON) -m pytest $(PYTEST)

check: lint test ## everything a change must pass: lint, types and tests

lint: $(DEVELOPMENT) ## ruff's rules and format, mypy --strict
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy

format: $(DEVELOPMENT) ## put imports and format in order
	$(PYTHON) -m ruff check --select I --fix
	$(PYTHON) -m ruff format

docs: $(RUNTIME) ## write docs/cli.md and docs/configuration.md anew from the code
	$(PYTHON) -m typer assistant.cli utils docs --name assistant --output docs/cli.md
	$(PYTHON) scripts/document_configuration.py --output docs/configuration.md

# ── training and figures ─────────────────────────────────────────────────────────────────────

SPEECH_LANGUAGE ?= en-us
GOLDEN ?= $(RECORDINGS)/coffee/3b1a9487.flac
BUNDLE ?= models/$(SPEECH_LANGUAGE)
CACHE ?= cache/$(SPEECH_LANGUAGE)
CHECKPOINTS ?= runs/$(SPEECH_LANGUAGE)
COPIES ?= 1
# Folders of speech in published layouts (see CONTRIBUTING.md), mixed with the manifests.
SPEECH = $(if $(MANIFEST),--manifest $(MANIFEST)) $(if $(LIBRISPEECH),--librispeech $(LIBRISPEECH)) \
    $(if $(COMMON_VOICE),--common-voice $(COMMON_VOICE)) \
    $(if $(SPEECH_COMMANDS),--speech-commands $(SPEECH_COMMANDS))
COMMANDS ?= $(wildcard configs/commands/*.$(firstword $(subst -, ,$(SPEECH_LANGUAGE))).yaml)
PROCESSES ?= $(CORES)
# glibc gives large tensors back to the kernel after every use: that took half of the training time.
MALLOC := MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=8000000000
TORCHRUN = OMP_NUM_THREADS=1 $(MALLOC) $(VENV)/bin/torchrun --standalone --nproc-per-node $(PROCESSES)

# Of few recordings it learns nothing, and all ways of a dictionary are equal.
LISTEN = $(TORCHRUN) scripts/listen_for_ways.py $(SPEECH) --bundle $(BUNDLE)

.PHONY: train train-tiny speech cells benchmark evaluation orders clean

train: speech $(DEVELOPMENT) ## train a bundle: MANIFEST=… LIBRISPEECH=… [NOISE=… ROOMS=… COPIES=1]
	$(TORCHRUN) scripts/extract_features.py $(SPEECH) --output $(CACHE) \
	    --copies $(COPIES) $(if $(NOISE),--noise $(NOISE)) $(if $(ROOMS),--rooms $(ROOMS))
	$(TORCHRUN) scripts/train_acoustic.py --cache $(CACHE) --language $(SPEECH_LANGUAGE) \
	    --checkpoints $(CHECKPOINTS) --bundle $(BUNDLE) $(TRAINING)
	$(MALLOC) $(PYTHON) scripts/build_bank.py --cache $(CACHE) --bundle $(BUNDLE) $(if $(NOISE),--noise $(NOISE))
	-$(if $(wildcard models/pronunciations/$(SPEECH_LANGUAGE).tsv),$(LISTEN))
	$(PYTHON) scripts/make_golden.py $(GOLDEN) --bundle $(BUNDLE)
	@set -e; for file in $(COMMANDS); do \
	    name=$$(basename $$file); name=$${name%%.*}; \
	    echo "assistant train $$file --bundle $(BUNDLE) --output $(BUNDLE)/commands/$$name"; \
	    $(PYTHON) -m assistant train $$file --bundle $(BUNDLE) \
	        --output $(BUNDLE)/commands/$$name; \
	done

train-tiny: $(DEVELOPMENT) ## does training still work? a very small network on bundled recordings
	$(MALLOC) $(PYTHON) scripts/train_tiny.py

speech:
	@test -n "$(strip $(SPEECH))" || { echo "error: say what to train on: make train" \
	    "MANIFEST=<manifest.jsonl>, LIBRISPEECH=<folder>, COMMON_VOICE=<folder> or" \
	    "SPEECH_COMMANDS=<folder>; see CONTRIBUTING.md" >&2; \
	    exit 2; }

cells: $(DEVELOPMENT) ## compare recurrent cells into docs/cells.md (CELLS="its arguments")
	$(MALLOC) $(PYTHON) scripts/compare_cells.py --cache $(CACHE) --bundle $(BUNDLE) $(CELLS)

benchmark: $(RUNTIME) ## measure compute, latency, memory, streams, growth (BENCHMARK="--only compute")
	$(PYTHON) scripts/benchmark.py $(BENCHMARK)

TALK ?= $(MANIFEST)
MINUTES ?= 30
REPORTS := docs/evaluation
# Ours, our halves, and peers; a peer that is not installed says what to install, and ends it.
RECOGNISERS ?= en-us en-us-small graph-alone lstm-alone whisper-base whisper-tiny pocketsphinx
EVALUATE = $(PYTHON) -m assistant evaluate $(ORDERS) --commands coffee --workers $(CORES) \
    --noise $(NOISE) --mixing loudest-frame --snr clean,24,15,6 \
    --negatives $(TALK) --speakers models/en-us/held_out_speakers.txt --negatives-minutes $(MINUTES)

evaluation: orders $(RUNTIME) ## evaluate bundles and peers into docs/evaluation: ORDERS=… NOISE=… TALK=…
	@set -e; for name in $(RECOGNISERS); do \
	    case $$name in en-us*) which="--bundle $$name" ;; *) which="--peer $$name" ;; esac; \
	    echo "$$name"; \
	    $(EVALUATE) $$which --json $(REPORTS)/$$name.json; \
	done
	$(PYTHON) scripts/document_evaluation.py docs/evaluation.md models/en-us/CARD.md \
	    models/en-us-small/CARD.md

orders:
	@test -n "$(strip $(ORDERS))" -a -n "$(strip $(NOISE))" -a -n "$(strip $(TALK))" || { \
	    echo "error: say what to evaluate on: make evaluation ORDERS=<manifest.jsonl>" \
	    "NOISE=<folder> TALK=<manifest.jsonl>; see docs/evaluation.md" >&2; \
	    exit 2; }

clean: ## remove what tools left behind; .venv, cache/, runs/ and models/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find assistant scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
