# Two commands: `make demo` builds a student from the built-in teacher; `make test` proves the project.
# `make devices` installs compilers and emulators of microcontrollers and 64-bit Arm (Debian, root); qemu-system-arm holds both; `make test` tries to.
# `make loopback` installs ssh and sshd (Debian, root), by which tests reach this machine as if it were a board; `make test` tries to.
# `make extras` proves what needs TensorFlow, timm or transformers, in an environment of its own (2 GB).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo test devices loopback extras clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/edgedistill build --target android-arm64 --out out/demo

test: $(VENV)/.installed-dev
	.ci/tools
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -c pyproject.toml -n 2 --dist loadfile tests $(PYTEST_ARGS)

devices:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi \
		qemu-user-static gcc-aarch64-linux-gnu g++-aarch64-linux-gnu clang adb iproute2

loopback:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y openssh-client openssh-server

extras: $(VENV)-extras/.installed
	$(VENV)-extras/bin/pytest -c pyproject.toml tests/teachers tests/runners $(PYTEST_ARGS)

clean:
	rm -rf out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find edgedistill tests targets models benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "kept: $(VENV)"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@ $(VENV)/.installed

$(VENV)-extras/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-extras
	$(VENV)-extras/bin/python -m pip install --quiet -e ".[dev,tensorflow,timm,hf]"
	@touch $@
