# Two commands for a newcomer: `make run` (a first real result) and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: run test check lint format clean

run: $(INSTALLED)
	$(BIN)/bench run --defense er1 --attack cw --confidence 20

test: $(INSTALLED)
	$(BIN)/pytest

# One thread and one instruction set: training then sums in the baseline's order on x86 processors with AVX2
# (docs/gate.md). A results folder of its own, so that no network trained otherwise is taken for the baseline's.
check: $(INSTALLED)
	OMP_NUM_THREADS=1 MKL_CBWR=AVX2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
	$(BIN)/bench check --baseline results/baselines/ci.json --results-dir build/check --jobs 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv results/runs results/store build/check
