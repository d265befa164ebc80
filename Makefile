# Every target sets up what it needs. `make help` lists them.
PYTHON ?= python3
SCALE ?= tiny
DATA ?=
N ?=
REPO ?=
ANSWERS ?=

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

# Two test processes on two cores: more threads than cores would slow both down.
ONE_THREAD := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
# In a container everybody is root, whom Jupyter refuses unless told otherwise.
AS_ROOT := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)
NO_ANSWERS := $(if $(filter no,$(ANSWERS)),--no-answers)
IN_DATA := $(if $(DATA),--data "$(DATA)")

.DEFAULT_GOAL := help
.PHONY: help run lab present slides session handout release kit site publish test lint notebooks check \
    render experiments results bench reliability matrix clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  make run SCALE=small DATA=path   real data sets, a laptop's minutes"
	@echo "  make render N=00 SCALE=small     one lecture only"

run: .venv/run  ## execute every lecture (SCALE=tiny|small|full, DATA=folder, N=lecture)
	$(BIN)/python -m tools.run --scale $(SCALE) $(IN_DATA) $(N)

lab: .venv/run  ## open the notebooks in JupyterLab, on this machine only
	@# Untrusted, the kept drawings would show as words until their cells run.
	@$(BIN)/python -m nbformat.sign $(wildcard notebooks/*.ipynb notebooks/solutions/*.ipynb) > /dev/null
	$(BIN)/python -m jupyterlab --ip=127.0.0.1 $(AS_ROOT) notebooks

present: SCALE = small
present: .venv/present  ## one lecture's slides, whose code runs (N=04, SCALE, DATA)
	$(BIN)/python -m tools.present --scale $(SCALE) $(IN_DATA) $(N)

slides: .venv/present  ## write the slide decks, each one file for a room without network (N=lecture, ANSWERS=no)
	$(BIN)/python -m tools.slides $(NO_ANSWERS) $(N)

release: .venv/run  ## pack the course for a class: no solutions, no notes
	$(BIN)/python -m tools.release

kit: .venv/dev  ## write poll questions and exams, for the room and for an LMS (N=lecture, ANSWERS=no)
	$(BIN)/python -m tools.kit $(NO_ANSWERS) $(N)

session: .venv/present  ## write the deck of one session of the timetable (N=8, ANSWERS=no)
	$(BIN)/python -m tools.slides $(NO_ANSWERS) --session "$(N)"

handout: .venv/present  ## print slides with notes, and a sheet to learn from, as PDFs (N=07, ANSWERS=no)
	$(BIN)/python -m tools.handout $(NO_ANSWERS) $(N)

site: .venv/site  ## render the website, with the kept outputs and the slides, into build/site
	$(BIN)/python -m tools.website $(N)

publish: .venv/dev  ## write the course's address everywhere (REPO=https://github.com/OWNER/NAME)
	$(BIN)/python -m tools.publish "$(REPO)"

test: .venv/dev lint check  ## lint, unit tests, notebooks up to date, notebooks executed
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 tests
	CNN_COURSE_SCALE=tiny $(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile \
	    --nbval-lax --nbval-current-env notebooks

lint: .venv/dev  ## ruff over the code, the notebooks and their source
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

check: .venv/dev  ## do the notebooks match their source, and their outputs the code?
	$(BIN)/python -m tools.build --check

notebooks: .venv/dev  ## build the notebooks and their solutions from notebooks/source
	$(BIN)/python -m tools.build $(N)

render: SCALE = small
render: .venv/dev  ## execute the notebooks and keep their outputs (SCALE, DATA, N)
	$(BIN)/python -m tools.render --scale $(SCALE) $(IN_DATA) $(N)

experiments: .venv/run  ## train the runs that results/ keeps; a stopped plan goes on (hours)
	$(BIN)/python -m experiments.plan

results: .venv/dev  ## fill the tables of README and website from results/ and the notebooks
	$(BIN)/python -m experiments.leaderboard
	$(BIN)/python -m tools.lectures

reliability: .venv/dev  ## all rounds of what RELIABILITY.md promises
	$(BIN)/python -m pytest tests/reliability --thorough
	$(BIN)/python tests/reliability/report.py

matrix:  ## the tests on every Python here, with the oldest and the newest torch
	$(PYTHON) tests/reliability/matrix.py $(N)

bench: .venv/dev  ## this course beside the decks' loop and others; fills benchmarks/README.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks report

clean:  ## remove the environment and everything built
	rm -rf .venv build .pytest_cache .ruff_cache

.venv/run: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit("The course needs Python 3.10 or later; $(PYTHON) is %d.%d. Try: make $(MAKECMDGOALS) PYTHON=python3.12" % v[:2])'
	@echo "Setting up .venv; torch is large, so the first time takes some minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/present: .venv/run tools/slides/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tools/slides/requirements.txt
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/site: .venv/dev site/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r site/requirements.txt
	@touch $@
