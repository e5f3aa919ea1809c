# Every target sets itself up: a virtual environment in .venv, filled from constraints.txt. A second `make` finds it ready.
#
#   PYTHON=/path/to/python   another Python, 3.11 or newer
#   TORCH=torch==2.13.0      another build of PyTorch; which one a plain name gets is your package index's choice
#   IMAGES=some/folder       `make demo` on your own photos
#   T=tests/selection        `make test` of a part: folders, files, or file::test

PYTHON ?= $(shell for one in python3.11 python3 python; do \
	"$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$one" && break; done)
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready-$(shell { cat constraints.txt pyproject.toml; echo "$(TORCH)"; } | cksum | cut -d' ' -f1)

# Two cores are shared by two test processes, so each takes one.
TEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

.PHONY: help demo up dev test quick lint format docs bench bench-catalog bench-desk bench-suite bench-training bench-evaluation bench-gpu ablations faults nano-base mask-network install chromium

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r target words; do \
		printf '  make %-16s %s\n' "$$target" "$$words"; done

demo: $(READY) ## The whole way on a drawn catalogue, or on IMAGES=some/folder, in under 10 minutes after installation
	@exec $(BIN)/packshot demo $(if $(IMAGES),--images "$(IMAGES)")

up: $(READY) ## The app on ./packshot-data
	@exec $(BIN)/packshot up

# The whole of it starts again, workers too: what runs is what the files say.
dev: $(READY) ## The app on ./packshot-data, started again whenever a file changes
	@exec $(BIN)/watchfiles --ignore-permission-denied --sigint-timeout 20 "$(BIN)/packshot up --no-browser" app workers migrations

# The linters tell what they find, and the tests run all the same; the closing line is pytest's.
test: $(READY) chromium ## Linters and every test; T=path runs a part
ifdef T
	@$(TEST) $(BIN)/python -m pytest $(T)
else
	@status=0; \
	$(MAKE) --no-print-directory lint || status=1; \
	$(TEST) $(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/faults || status=1; \
	exit $$status
endif

quick: $(READY) chromium ## The tests that matter for what was changed, in under 90 seconds
	@$(TEST) $(BIN)/python -m tests.quick

lint: $(READY) ## ruff, mypy, import contracts
	@$(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

docs: $(READY) ## Write docs/files.md and docs/signals.md anew
	@$(BIN)/python docs/list_files.py
	@PYTHONPATH=. $(BIN)/python docs/list_signals.py

# Slow tests: processes killed at chosen and at random moments, full disks, signals. PACKSHOT_KILLS=20 makes it shorter.
faults: $(READY) ## The slow, rough tests: 200 kills of a trainer among them; PACKSHOT_KILLS=20 makes it shorter
	@$(TEST) $(BIN)/python -m pytest tests/faults -p no:randomly -rP

# One benchmark for each promise; those of training take longer and have targets of their own.
BENCH := startup grid intake known_truth run_page
BENCH_CATALOG := sharing take_in quality masks colours signs copies copies_million keep_best same_product alike map similar bulk freeze export
BENCH_TRAINING := training against_diffusers cancel day estimates ranks
BENCH_EVALUATION := sheet_drawing ranking next_pairs peeking
BENCH_DESK := desk annotators caption_races replace captioners claims
define run-benchmarks
	@status=0; \
	for one in $(1); do echo; echo "== $$one"; $(BIN)/python -m "benchmarks.$$one" || status=1; done; \
	exit $$status
endef

bench-suite: $(READY) chromium ## How long the tests take, against those of an earlier commit: a quarter of an hour
	@$(BIN)/python -m benchmarks.suite

bench: $(READY) ## Figures for the promises of the app
	$(call run-benchmarks,$(BENCH))

bench-desk: $(READY) chromium ## Figures for the promises of the desk and its captioners
	$(call run-benchmarks,$(BENCH_DESK))

bench-catalog: $(READY) ## Figures for the promises about photos, beside cleanvision, imagededup and OpenCV
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt cleanvision PyWavelets
	@$(BIN)/python -m pip install --quiet --no-deps imagededup==0.3.3.post2  # its hashes alone; torchvision stays out
	@$(BIN)/python -m benchmarks.grid 1000000 2000000
	$(call run-benchmarks,$(BENCH_CATALOG))

bench-evaluation: $(READY) ## Figures for the promises of comparing checkpoints
	$(call run-benchmarks,$(BENCH_EVALUATION))

bench-training: $(READY) ## Figures for the promises of training
	$(call run-benchmarks,$(BENCH_TRAINING))

# What each training method does to the nano model: about half an hour.
ablations: $(READY) ## What each training method does to the nano model: half an hour
	@$(BIN)/python -m benchmarks.ablations

# Needs a CUDA device; random weights are enough.
bench-gpu: $(READY) ## PRX and a captioner at full size with random weights, on a CUDA device
	@$(BIN)/python -m benchmarks.gpu
	@$(BIN)/python -m benchmarks.gpu_captioner

# The network of the masks, rebuilt from the photos that its card names, and measured beside the one in use.
mask-network: $(READY) ## The network that finds products, trained again: a quarter of an hour, on the photos in ../shared/data
	$(BIN)/python -m benchmarks.mask_training ../shared/data build/mask_network.onnx
	$(BIN)/python -m benchmarks.mask_quantised build/mask_network.onnx build/mask_quick.onnx
	-$(BIN)/python -m benchmarks.masks ../shared/data 150 build/mask_quick.onnx
	@echo "The network is build/mask_quick.onnx; workers/signals/mask_network.onnx is a copy of such a file."

# The shipped base model, rebuilt from nothing: an hour and a half on one core.
nano-base: $(READY) ## The shipped base model, rebuilt: an hour and a half
	$(BIN)/python -m app.demo.base_set build/nano/set
	$(BIN)/python -m workers.families.nano build/nano/untrained
	$(BIN)/python -m workers.finetune workers/recipes/nano_base.yaml build/nano/set/manifest.jsonl build/nano/run
	@echo "The model is in build/nano/run/model; models/nano is a copy of such a folder."

install: $(READY) ## .venv with the pinned versions

$(READY): constraints.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed: install it, or name one with PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; fi
	@echo "Installing into $(VENV); the first time this downloads about 0.9 GB."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "1 of 2: $(TORCH)"
	@$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt "$(TORCH)"
	@echo "2 of 2: everything else"
	@$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e ".[gpu,dev]"
	@# Its MDS reader alone, for the test of exports: the whole of it wants torchvision and an older NumPy.
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps mosaicml-streaming==0.13.0 || echo "mosaicml-streaming is not to be had here: its test will be skipped."
	@rm -f $(VENV)/ready-*
	@touch $@

# The browser tests drive the system's Chromium. Root on Debian gets it installed; with CI=true it has to be there.
chromium:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; \
	then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium for the browser tests."; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq >/dev/null && \
		apt-get install -y -qq --no-install-recommends chromium fonts-liberation >/dev/null && exit 0; fi; \
	if [ "$$CI" = true ]; then echo "CI=true, and there is no Chromium for the browser tests." >&2; exit 1; fi; \
	echo "NOTE: there is no Chromium, so the browser tests are skipped. On Debian: apt-get install chromium" >&2
