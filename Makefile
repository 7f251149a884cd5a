# The few things a person does here. `make help` lists them.

CARGO   ?= cargo
CC      ?= cc
CXX     ?= c++
PREFIX  ?= /usr/local
DESTDIR ?=
STRIP   ?= yes

# Where cargo builds, and beside it the C side.
BUILT   := $(patsubst $(CURDIR)/%,%,$(shell CARGO="$(CARGO)" scripts/target-dir))
OUT     := $(BUILT)/c
WARN    := -Wall -Wextra -Wpedantic -Werror
CFLAGS  ?= -g -O1
ABI     := $(shell sed -n 's/^.define KL_ABI_VERSION //p' include/kiosklink.h)

# What `make install` and `make dist` take: this machine's, or what `make arm` made for TARGET. SHIP=folder takes what is
# there, and builds nothing.
ifeq ($(TARGET),)
  SHIP ?= $(BUILT)/ship/host
else
  SHIP ?= $(BUILT)/arm/$(TARGET)
endif

EXAMPLES := $(patsubst examples-c/%.c,$(OUT)/bin/%,$(wildcard examples-c/*.c)) \
            $(patsubst examples-c/%.cpp,$(OUT)/bin/%,$(wildcard examples-c/*.cpp))
CTESTS   := $(patsubst tests/c/%.c,$(OUT)/bin/%,$(wildcard tests/c/*.c))
CXXTESTS := $(patsubst tests/cpp/%.cpp,$(OUT)/bin/%,$(wildcard tests/cpp/*.cpp))

PRELOADS := $(patsubst tests/preload/%.c,$(OUT)/preload/%.so,$(wildcard tests/preload/*.c))

.PHONY: help demo hub hub-test test crashtest soak soak-without oldest model model-mutants disks tsan mutants platforms bench crowd site lib static command check-artefacts header abi-baseline python wheels check-python fmt lint arm c-programs preloads install install-built uninstall dist deb check-ports ship debug-ship clean FORCE

help:
	@echo "make demo      build everything, start the simulator, open a door with the C example, tell the story"
	@echo "make hub       a hub, the simulator and one kiosk: enrolled, a door, a callback, a kill, a stolen kiosk revoked"
	@echo "make hub-test  the hub's own suite: format, clippy, tests over TLS, kills"
	@echo "make test      the whole suite: lint, header, Rust, C, C++, Python, valgrind"
	@echo "make crashtest the examples killed at every step, restarted: no door twice; without a journal they must open twice"
	@echo "make disks     the store on real file systems: cut, filled, shut down, read-only; root only  (FILESYSTEMS=...)"
	@echo "make tsan      threads, jobs, views, cancels and frees at random, everything under ThreadSanitizer  (SECONDS=60 SEED=1)"
	@echo "make oldest    builds everything and tests with Rust 1.85 from Debian 13, which is put into the target folder"
	@echo "make mutants   the code spoiled in some hundred places, one at a time: a test must notice each  (MUTANTS=\"NAME...\")"
	@echo "make soak      20,000 commands on faulty platforms while processes are killed  (SEED=... COMMANDS=...)"
	@echo "make model     the rules for commands in every interleaving of a small world; make model-mutants: without each rule"
	@echo "make soak-without  each fence and rule of proof switched off: soak and crash tester must find it  (FENCES=...)"
	@echo "make crowd     10,000 kiosks at one simulator: its memory, descriptors and threads  (KIOSKS=... RATE=... SECONDS=...)"
	@echo "make platforms every verb, endpoint and callback of the four platforms with the test that exercises it"
	@echo "make bench     kiosklink beside libcurl: docs/bench.md  (BENCH_ORDERS=..., BENCH_RUNS=..., BENCH_DOORS=...)"
	@echo "make site      the documentation as a site with search, by mdBook   ($(BUILT)/site/index.html)"
	@echo "make lib       the shared library, as small as it ships      ($(BUILT)/release/libkiosklink.so)"
	@echo "make static    the static library with only our names global ($(BUILT)/ship/host/libkiosklink.a)"
	@echo "make command   the command kiosklink, small                 ($(BUILT)/ship/host/kiosklink; static with TARGET=... for a board)"
	@echo "make arm       the ARM builds, run under qemu-user           (TARGET=... for one of them)"
	@echo "make check-artefacts   what the libraries export, need and weigh"
	@echo "make install   command, libraries, headers, pkg-config file, CMake package, man pages, completions into PREFIX ($(PREFIX)),"
	@echo "               below DESTDIR (BINDIR=, LIBDIR=, INCLUDEDIR=, DATADIR=, MANDIR=, ZSHDIR=, STRIP=no; TARGET= for what make arm"
	@echo "               built); make uninstall takes them away"
	@echo "make python    the Python package with the shared library inside     (dist/kiosklink-*.whl)"
	@echo "make wheels    wheels for x86-64 (glibc 2.17, musl), ARMv7, AArch64, and of the simulator, each tried  (TARGET=... for one)"
	@echo "make dist      the release tarball of this machine, of TARGET=..., or TARGET=source, in dist/"
	@echo "make deb       Debian's packages of what is committed, looked at by lintian, in dist/"
	@echo "make check-ports   type-checks the library for Android and OpenHarmony, without their NDKs"
	@echo "make header    write include/kiosklink.h, abi/, docs/api.md, docs/man and the Python bindings from the sources"
	@echo "make abi-baseline   promise what abi/layout.json says under this ABI number; for a release"
	@echo "make fmt       format; make lint checks format, clippy, rustdoc, header; make clean removes what was built"

demo:
	@scripts/need demo
	@$(MAKE) --no-print-directory -s $(OUT)/lib/libkiosklink.so $(OUT)/bin/open_door $(OUT)/bin/stock $(OUT)/bin/pickup
	@$(CARGO) build -q -p kiosklink-sim
	@scripts/demo

# A workspace of its own: `make test` does not build it.
hub:
	@scripts/need hub
	@$(CARGO) build -q -p kiosklink-sim
	@cd hub && $(CARGO) build -q --target-dir "$(abspath $(BUILT))/hub"
	@scripts/hub

hub-test:
	@scripts/need hub
	cd hub && $(CARGO) fmt --check
	cd hub && $(CARGO) clippy -q --all-targets --target-dir "$(abspath $(BUILT))/hub" -- -D warnings
	cd hub && $(CARGO) test --target-dir "$(abspath $(BUILT))/hub"

test:
	@scripts/need test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory c-programs
	@$(CARGO) build -q --workspace
	@scripts/check-python
	@scripts/check-header
	$(CARGO) test --workspace --features kiosklink/test-hooks

# Builds everything with the oldest Rust that the README promises, and tests with it. What the lint says depends on the compiler, so it
# is no part of this.
oldest:
	@scripts/need demo
	@scripts/oldest-rust $(CARGO) build -q --workspace --locked
	scripts/oldest-rust $(CARGO) test -q --locked -p kiosklink --features test-hooks --lib --test programs --test yopoint --test journal
	scripts/oldest-rust $(CARGO) test -q --locked -p kiosklink-wire -p kiosklink-cli -p xtask
	scripts/oldest-rust $(CARGO) test -q --locked -p kiosklink-sim --lib --test simulator --test youzan --test dingshang --test zhiyun

# Real file systems that are cut, filled and shut down. Root and loop devices; no part of `make test`.
disks:
	@scripts/disks $(FILESYSTEMS)

# The library with all of Rust's std instrumented. Needs a nightly Rust with rust-src; no part of `make test`, where the same
# program runs for a few seconds over the usual library.
tsan:
	@scripts/tsan $(or $(SECONDS),60) $(or $(SEED),1)

# Which tests would notice? No part of `make test`.
mutants:
	@scripts/mutants $(MUTANTS)

crashtest:
	@scripts/need demo
	@$(MAKE) --no-print-directory -s $(OUT)/lib/libkiosklink.so $(OUT)/bin/open_door $(OUT)/bin/pickup $(OUT)/bin/firmware $(OUT)/bin/kept
	@$(CARGO) build -q -p kiosklink-trials
	@scripts/crashtest

# Each fence and rule of proof switched off in a test build: which of the two programs finds it. Takes half an hour.
soak-without:
	@scripts/need demo
	@$(MAKE) --no-print-directory -s $(OUT)/hooks/libkiosklink.so $(OUT)/bin/open_door $(OUT)/bin/pickup
	@scripts/fences $(FENCES)

soak:
	@$(CARGO) build -q --profile model -p kiosklink-trials
	@$(BUILT)/model/kiosklink-soak $(if $(SEED),--seed $(SEED)) $(if $(COMMANDS),--commands $(COMMANDS))

# Every kiosk a client of the library with a connection of its own. Needs two descriptors for each.
crowd:
	@$(CARGO) build -q --profile model -p kiosklink-trials
	@$(BUILT)/model/kiosklink-crowd $(if $(KIOSKS),--kiosks $(KIOSKS)) $(if $(RATE),--rate $(RATE)) $(if $(SECONDS),--seconds $(SECONDS))

# Every assumption is a knob: nothing with all off, a violation with each turned. A few minutes.
model:
	@$(CARGO) build -q --profile model -p kiosklink-model
	@$(BUILT)/model/kiosklink-model $(if $(ONLY),--only $(ONLY)) $(if $(TRACES),--traces)

# The rules with one fence or proof rule less, each in a build of its own: the model finds every one.
model-mutants:
	@scripts/model-mutants $(ONLY)

platforms:
	@$(CARGO) run -q -p xtask -- platforms

# The library as it ships, and a simulator that is quick enough not to be what is measured. Never part of the tests.
bench: lib
	@scripts/need bench
	$(CARGO) rustc -q -p kiosklink --lib --profile speed --crate-type cdylib
	$(CARGO) build -q --profile simulator -p kiosklink-sim
	@BENCH_ORDERS="$(BENCH_ORDERS)" BENCH_RUNS="$(BENCH_RUNS)" BENCH_DOORS="$(BENCH_DOORS)" scripts/bench

# The site is for reading; what stands in it is tested where it stands.
site:
	@scripts/need site
	@scripts/site

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy -q --workspace --all-targets --features kiosklink/test-hooks -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --no-deps -p kiosklink
	$(CARGO) run -q -p xtask -- header --check
	@python3 python/generate.py --check
	@scripts/check-tree
	@scripts/mutants --check > /dev/null

header:
	$(CARGO) run -q -p xtask -- header
	python3 python/generate.py

# Refuses what would take something back that was promised under the same ABI number.
abi-baseline: header
	$(CARGO) run -q -p xtask -- baseline

fmt:
	$(CARGO) fmt --all

lib:
	$(CARGO) rustc -p kiosklink --lib --release --crate-type cdylib

# Both at once: the link-time optimisation is done once. rustc tells what the archive needs. For another machine, as
# Buildroot and its like build: CARGO_BUILD_TARGET names it as cargo does, CROSS_COMPILE is the prefix of its GNU tools, PROFILE=image
# is a profile that their CARGO_PROFILE_RELEASE_... do not reach.
PROFILE ?= release
RAW := $(BUILT)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)$(PROFILE)
ship:
	$(if $(CARGO_BUILD_TARGET),CARGO_BUILD_TARGET="$(CARGO_BUILD_TARGET)") $(CARGO) rustc --locked -p kiosklink --lib --profile $(PROFILE) \
	  --crate-type cdylib,staticlib -- --print native-static-libs=$(RAW)/native-static-libs
	@STRIP=$(STRIP) scripts/pack $(RAW)/libkiosklink $(SHIP) $(CROSS_COMPILE)

static: ship

# With a TARGET static, for a board.
command:
ifeq ($(TARGET),)
	$(CARGO) build --locked -p kiosklink-cli --release
	@scripts/pack-command $(BUILT)/release/kiosklink $(SHIP) $(if $(filter no,$(STRIP)),,strip)
else
	@scripts/need arm
	@scripts/arm --command $(TARGET)
endif

arm:
	@scripts/need arm
	@scripts/arm $(TARGET)

# Needs no pip and no package index; KIOSKLINK_LIBRARY=... puts another machine's library into the wheel.
python:
	@mkdir -p dist
	python3 python/build_backend.py dist

# All of them, with zig and a std of their own as for boards: TARGET=... for one.
wheels:
	@scripts/need arm
	@scripts/wheels $(TARGET)

check-python:
	@scripts/check-python

check-artefacts: ship
	@scripts/check-artefact $(BUILT)/ship/host/libkiosklink.so.$(ABI)
	@scripts/check-artefact $(BUILT)/ship/host/libkiosklink.a

# Nothing is built for a SHIP that was given, or for a TARGET: make arm has its own rules. install-built never builds.
put = PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" LIBDIR="$(LIBDIR)" INCLUDEDIR="$(INCLUDEDIR)" BINDIR="$(BINDIR)" DATADIR="$(DATADIR)" \
  MANDIR="$(MANDIR)" ZSHDIR="$(ZSHDIR)" scripts/install
install: $(if $(filter $(BUILT)/ship/host,$(SHIP)),ship command)
	@$(put) "$(SHIP)"

install-built:
	@$(put) "$(SHIP)"

uninstall:
	@$(put) --remove

dist:
	@scripts/need dist
	@scripts/dist $(TARGET)

deb:
	@scripts/need deb
	@scripts/deb

# Android and OpenHarmony, as far as that goes without their NDKs.
check-ports:
	@scripts/need ports
	@scripts/check-ports $(TARGET)

clean:
	$(CARGO) clean

# What tests and examples link: the same code as ships, built fast instead of small. Copied only when it changed, so
# that a second run rebuilds nothing.
c-programs: $(EXAMPLES) $(CTESTS) $(CXXTESTS) $(PRELOADS) $(OUT)/hooks/libkiosklink.so

$(OUT)/lib/libkiosklink.so: FORCE
	@mkdir -p $(OUT)/lib
	@$(CARGO) rustc -q -p kiosklink --lib --crate-type cdylib
	@cmp -s $(BUILT)/debug/libkiosklink.so $@ || cp $(BUILT)/debug/libkiosklink.so $@
	@ln -sf libkiosklink.so $(OUT)/lib/libkiosklink.so.$(ABI)

# The same as it is installed, for the test of that.
debug-ship: $(OUT)/lib/libkiosklink.so
	@said=$$($(CARGO) rustc -q -p kiosklink --lib --crate-type staticlib -- \
	  --print native-static-libs=$(BUILT)/debug/native-static-libs 2>&1) || { echo "$$said" >&2; exit 1; }
	@scripts/pack $(BUILT)/debug/libkiosklink $(OUT)/ship
	@$(CARGO) build -q -p kiosklink-cli
	@scripts/pack-command $(BUILT)/debug/kiosklink $(OUT)/ship

# With a way to force a panic, for the test of the guard; never shipped, never beside the other.
$(OUT)/hooks/libkiosklink.so: FORCE
	@mkdir -p $(OUT)/hooks
	@$(CARGO) rustc -q -p kiosklink --lib --crate-type cdylib --features test-hooks --target-dir $(BUILT)/hooks
	@cmp -s $(BUILT)/hooks/debug/libkiosklink.so $@ || cp $(BUILT)/hooks/debug/libkiosklink.so $@
	@ln -sf libkiosklink.so $(OUT)/hooks/libkiosklink.so.$(ABI)

# For the tests of the command, which need no more.
preloads: $(PRELOADS)

$(OUT)/preload/%.so: tests/preload/%.c tests/preload/real.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(filter-out -Wpedantic,$(WARN)) $(CFLAGS) -shared -fPIC $< -o $@ -ldl

LINK = -L$(OUT)/lib -lkiosklink -lpthread -ldl -Wl,-rpath,'$$ORIGIN/../lib'

$(OUT)/bin/%: examples-c/%.c include/kiosklink.h $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_POSIX_C_SOURCE=200809L $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

$(OUT)/bin/%: tests/c/%.c include/kiosklink.h $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

$(OUT)/bin/%: examples-c/%.cpp include/kiosklink.h include/kiosklink.hpp $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CXX) -std=c++11 $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

$(OUT)/bin/%: tests/cpp/%.cpp include/kiosklink.h include/kiosklink.hpp $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CXX) -std=c++11 $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

FORCE:
