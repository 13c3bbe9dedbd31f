PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cksum < pyproject.toml | cut -d' ' -f1)

# Tests run side by side, a thread each. More of them than cores would only make browsers miss their time.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')

.PHONY: demo env test test-hosts test-oldest lint bench clean

demo: $(READY)
	$(BIN)/comfyui-ace demo

env: $(READY)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

# The tests that need a ComfyUI, in every one that is found (or that COMFYUI_DIR names), one after the other.
test-hosts: $(READY)
	cd tests && OMP_NUM_THREADS=1 ../$(BIN)/python -m host.harness.hosts -q -n $(JOBS) --dist loadfile

# Loading, sampling, capture and two workflows in the oldest ComfyUI that is found beside a newer one.
test-oldest: $(READY)
	cd tests && OMP_NUM_THREADS=1 ../$(BIN)/python -m host.harness.hosts --oldest -q -n $(JOBS) --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(READY)
	$(BIN)/comfyui-ace benchmark

# torch comes first and alone: any other request of it than this pin would pull in gigabytes of CUDA libraries.
$(READY):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q torch==2.13.0
	$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[test]'
	rm -f $(VENV)/.ready-*
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
