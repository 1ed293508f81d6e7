# Two commands matter: `make run` (figures, a small training run, a notebook) and `make test`.
# They need only python3 with venv, make and git: everything else is installed from requirements.lock.
#
#   make run VENV=      use the current interpreter and install nothing (machines that come with jax)
#   make run FORCE=1    redo results that an earlier run left in results/

VENV ?= .venv
PYTHON ?= python3
FORCE ?=

ifeq ($(strip $(VENV)),)
py := $(PYTHON)
ready :=
else
py := $(VENV)/bin/python
ready := $(VENV)/.installed
endif
force := $(if $(FORCE),--force)

.DELETE_ON_ERROR:
.PHONY: run test lint bench records lab lock clean

run: $(ready)
	$(py) -m experiments.ssl suite quick $(force)
	$(py) -m notebooks 01_infonce_vs_hsic $(force)
	$(py) -m paper_figures $(force)
	$(py) -m experiments.ssl summary
	@echo "Gallery: $(CURDIR)/results/figures/index.html"

test: lint
	$(py) -m pytest -n auto --dist worksteal
	$(py) -m notebooks --fast --force --jobs 2
	$(py) -m paper_figures --fast --force --check

lint: $(ready)
	$(py) -m ruff check .
	$(py) -m ruff format --check .
	$(py) -m basedpyright

# Benchmarks are apart from the tests: they time, and a busy machine must not fail a test.
# PEERS=path/to/python of an environment with tests/benchmarks/peers.lock adds other packages to the tables.
bench: $(ready)
	$(py) -m tests.benchmarks $(if $(PEERS),--peers $(PEERS))

# The committed figures, executed notebooks and run records, remade from scratch.
records: $(ready)
	$(py) -m experiments.ssl suite quick-3-seeds --force --record
	$(py) -m paper_figures --force --record
	$(py) -m paper_figures --fast --force --record
	$(py) -m notebooks --force --record

lab: $(ready)
	$(py) -m ipykernel install --sys-prefix --name kerneldep --display-name "kerneldep"
	$(py) -m jupyterlab notebooks

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(py) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(py) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Exact versions and hashes for every supported Python, without addresses (needs uv).
lock:
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links pyproject.toml --output-file requirements.lock

clean:
	rm -rf results .pytest_cache .ruff_cache
