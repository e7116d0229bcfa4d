# TOROS. `make` alone says what there is.

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
BIN := $(VENV)/bin

# Where `make install` puts things; DESTDIR is put before them all, for packages and images.
DESTDIR ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
LIBDIR := $(PREFIX)/lib/toros
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Optional parts to install, as `make install EXTRAS=postgres`.
EXTRAS ?=
SERVICES := $(notdir $(wildcard systemd/toros-*.service))
# Whether the machine that we install on is this one, and running.
LIVE := $(if $(DESTDIR)$(filter-out /usr /usr/local,$(PREFIX)),,$(wildcard /run/systemd/system))

.PHONY: help night test test-long test-systemd lint docs clean packages
.PHONY: install install-program install-files uninstall

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "TOROS needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@ $(VENV)/.installed

night: $(VENV)/.installed ## Set up and run a simulated night
	$(BIN)/toros night --simulated --replay gw170817

lint: $(VENV)/.installed-dev ## Style, types and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# An Alpaca server that is not ours; its dependencies are not ours either.
$(PEERS)/.installed: Makefile
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check 'alpaca-simulators>=1.3,<2'
	@touch $@

# Most tests wait for processes: some files at a time, each in one worker.
test: lint $(PEERS)/.installed ## Everything that must be green
	ALPACA_SIMULATORS=$(abspath $(PEERS))/bin/alpaca-simulators $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-long: $(VENV)/.installed-dev ## The long runs: thousands of orders, dozens of kill -9
	$(BIN)/python -m pytest -m long -rP

fault-matrix: $(VENV)/.installed-dev ## Play every fault in every state; write its page in docs
	$(BIN)/python -m pytest -m long tests/integration/test_dome_fault_matrix.py

test-systemd: $(VENV)/.installed-dev ## Boot the units in a container of their own (root, Debian)
	tests/systemd/rootfs.sh
	$(BIN)/python -m pytest -m systemd -s

packages: ## Debian packages that tests use, where they are missing (root)
	@missing=; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 \
	  || missing="$$missing postgresql"; \
	command -v funpack >/dev/null || missing="$$missing libcfitsio-bin"; \
	command -v solve-field >/dev/null || missing="$$missing astrometry.net"; \
	ls /usr/share/astrometry/index-tycho2-*.fits >/dev/null 2>&1 \
	  || missing="$$missing astrometry-data-tycho2-10-19"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "Not installed, and their tests are skipped:$$missing"; exit 0; fi; \
	apt-get update -q && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing

install: install-program install-files ## Install for systemd: PREFIX, SYSCONFDIR, DESTDIR, EXTRAS

install-program:
	$(PYTHON) -m venv $(DESTDIR)$(LIBDIR)
	$(DESTDIR)$(LIBDIR)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade \
	  '.$(if $(EXTRAS),[$(EXTRAS)])'
	$(if $(DESTDIR),grep -rlI '$(DESTDIR)' $(DESTDIR)$(LIBDIR)/bin $(DESTDIR)$(LIBDIR)/pyvenv.cfg \
	  | xargs -r sed -i 's|$(DESTDIR)||g')

install-files:
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR)
	sed 's|/usr/local|$(PREFIX)|g; s|/etc/toros|$(SYSCONFDIR)/toros|g' systemd/toros.sh \
	  > $(DESTDIR)$(PREFIX)/bin/toros
	chmod 755 $(DESTDIR)$(PREFIX)/bin/toros
	for unit in toros.target $(SERVICES); do \
	  sed 's|/usr/local|$(PREFIX)|g; s|/etc/toros|$(SYSCONFDIR)/toros|g' systemd/$$unit \
	    > $(DESTDIR)$(UNITDIR)/$$unit && chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; done
	install -D -m 644 systemd/sysusers.d/toros.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/toros.conf
	install -D -m 644 systemd/tmpfiles.d/toros.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/toros.conf
	install -d -m 700 $(DESTDIR)$(SYSCONFDIR)/toros/credentials
	install -d $(DESTDIR)$(LIBDIR)/shipped
	sed 's|/etc/toros/logs/|/var/log/toros/|' etc/toros.conf.yaml \
	  > $(DESTDIR)$(LIBDIR)/shipped/toros.conf.yaml.now
	systemd/install_config.sh $(DESTDIR)$(LIBDIR)/shipped/toros.conf.yaml.now \
	  $(DESTDIR)$(SYSCONFDIR)/toros/toros.conf.yaml $(DESTDIR)$(LIBDIR)/shipped/toros.conf.yaml
	rm $(DESTDIR)$(LIBDIR)/shipped/toros.conf.yaml.now
	systemd/install_config.sh systemd/network.conf \
	  $(DESTDIR)$(SYSCONFDIR)/systemd/system/toros-.service.d/network.conf \
	  $(DESTDIR)$(LIBDIR)/shipped/network.conf
	$(if $(LIVE),systemd-sysusers $(PREFIX)/lib/sysusers.d/toros.conf)
	$(if $(LIVE),systemd-tmpfiles --create $(PREFIX)/lib/tmpfiles.d/toros.conf)
	$(if $(LIVE),systemctl daemon-reload)

uninstall: ## Take the program and its units away; configuration, data and logs stay
	$(if $(LIVE),-systemctl disable --now toros.target $(SERVICES))
	rm -rf $(DESTDIR)$(LIBDIR)
	rm -f $(DESTDIR)$(PREFIX)/bin/toros $(DESTDIR)$(UNITDIR)/toros.target
	rm -f $(addprefix $(DESTDIR)$(UNITDIR)/,$(SERVICES))
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/toros.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/toros.conf
	$(if $(LIVE),systemctl daemon-reload)

docs: $(VENV)/.installed-dev ## The documentation, as HTML in docs/_build
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build

clean: ## Forget what was built
	rm -rf docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
