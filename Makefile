# The front door. `make demo` and `make check` do everything on a fresh Debian 12.
BUILD ?= build
PYTHON ?= /usr/bin/python3
JOBS ?= $(shell nproc)

.PHONY: help setup web build demo demo-setup check check-setup sanitize fuzz bench format clean install bench-setup

help:
	@echo "make demo      set up, build, make a scoliotic phantom and turn its DICOM files into a twin, record a lesson in it, show it"
	@echo "make check     set up, build, run all tests"
	@echo "make build     set up and build; leaves build/fabrica and web/dist"
	@echo "make web       the viewer alone: npm ci and web/dist"
	@echo "make sanitize  all tests under ASan+UBSan, threaded ones under TSan (slow)"
	@echo "make fuzz      every fuzz target for FUZZ_SECONDS (default 1800) each (slow)"
	@echo "make bench     the benchmarks, JSON in out/bench (slow)"
	@echo "make install   installs the program, models and man page (PREFIX=/usr/local)"

setup:
	@tools/setup.sh run build

$(BUILD)/build.ninja:
	@tools/setup.sh run build
	meson setup $(BUILD) --buildtype=debugoptimized

web: setup
	@tools/web.sh

build: setup web $(BUILD)/build.ninja
	ninja -C $(BUILD)

demo-setup:
	@tools/setup.sh run build demo

demo: demo-setup build
	@tools/demo.sh $(BUILD)

check-setup:
	@tools/setup.sh run build check
	@if [ -f tests/interop/package-lock.json ]; then npm ci --prefix tests/interop --no-audit --no-fund --silent; fi

check: check-setup build
	@tools/check.sh $(BUILD)

sanitize: check-setup
	@tools/sanitize.sh

fuzz: setup
	@tools/fuzz.sh

bench-setup:
	@tools/setup.sh run build check train
	@npm ci --prefix bench/engine --ignore-scripts --no-audit --no-fund --silent

bench: bench-setup build
	@tools/bench.sh $(BUILD)

format:
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cc')

install: build
	meson configure $(BUILD) $(if $(PREFIX),-Dprefix=$(PREFIX))
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-asan build-tsan build-fuzz demo out
