# The few commands there are.
PYTHON := .venv/bin/python
NATIVE := $(wildcard cuda/*/*.cpp cuda/*/*.h cuda/include/*/*.h)

.PHONY: help quickstart test long lint format wheel

help:
	@echo "make quickstart   photos of data/sample to a scene"
	@echo "make test         the tests (make long: those that take minutes too)"
	@echo "make lint         what the style tools find; make format changes the files"
	@echo "make wheel        a wheel in dist/"

quickstart:
	./scripts/quickstart.sh

test:
	./scripts/test.sh

long:
	./scripts/test.sh --long

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m pyright
	$(dir $(PYTHON))clang-format --dry-run --Werror $(NATIVE)

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(dir $(PYTHON))clang-format -i $(NATIVE)

wheel:
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .
