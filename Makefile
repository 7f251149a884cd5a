# The few things a person does here. `make help` lists them.

CARGO   ?= cargo
CC      ?= cc
CXX     ?= c++
PREFIX  ?= /usr/local
DESTDIR ?=

# Where the C side is built; cargo keeps to itself beside it.
OUT     := target/c
WARN    := -Wall -Wextra -Wpedantic -Werror
CFLAGS  ?= -g -O1
ABI     := 1

EXAMPLES := $(patsubst examples-c/%.c,$(OUT)/bin/%,$(wildcard examples-c/*.c))
CTESTS   := $(patsubst tests/c/%.c,$(OUT)/bin/%,$(wildcard tests/c/*.c))
CXXTESTS := $(patsubst tests/cpp/%.cpp,$(OUT)/bin/%,$(wildcard tests/cpp/*.cpp))

PRELOADS := $(patsubst tests/preload/%.c,$(OUT)/preload/%.so,$(wildcard tests/preload/*.c))

.PHONY: help demo test platforms lib static command check-artefacts header fmt lint arm c-programs install clean FORCE

help:
	@echo "make demo      build everything, start the simulator, open a door with the C example, tell the story"
	@echo "make test      the whole suite: lint, header, Rust, C, C++, Python, valgrind"
	@echo "make platforms every verb, endpoint and callback of the four platforms with the test that exercises it"
	@echo "make lib       the shared library, as small as it ships      (target/release/libkiosklink.so)"
	@echo "make static    the static library                            (target/release/libkiosklink.a)"
	@echo "make command   the command kiosklink, small                 (target/release/kiosklink; TARGET=... for a board)"
	@echo "make arm       the ARM builds, run under qemu-user           (TARGET=... for one of them)"
	@echo "make check-artefacts   what the shared library exports, needs and weighs"
	@echo "make install   header and shared library into PREFIX ($(PREFIX)), below DESTDIR"
	@echo "make header    write include/kiosklink.h and abi/exports.txt from the sources"
	@echo "make fmt       format; make lint checks format, clippy, header; make clean removes what was built"

demo:
	@scripts/need demo
	@$(MAKE) --no-print-directory -s $(OUT)/lib/libkiosklink.so $(OUT)/bin/open_door $(OUT)/bin/stock $(OUT)/bin/pickup
	@$(CARGO) build -q -p kiosklink-sim
	@scripts/demo

test:
	@scripts/need test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory c-programs
	@$(CARGO) build -q --workspace
	$(CARGO) test --workspace --features kiosklink/test-hooks

platforms:
	@$(CARGO) run -q -p xtask -- platforms

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy -q --workspace --all-targets --features kiosklink/test-hooks -- -D warnings
	$(CARGO) run -q -p xtask -- header --check
	@scripts/check-tree

header:
	$(CARGO) run -q -p xtask -- header

fmt:
	$(CARGO) fmt --all

lib:
	$(CARGO) rustc -p kiosklink --lib --release --crate-type cdylib

static:
	$(CARGO) rustc -p kiosklink --lib --release --crate-type staticlib

# Static where the target is one for musl.
command:
	$(CARGO) build -p kiosklink-cli --release $(if $(TARGET),--target $(TARGET))

arm:
	@scripts/need arm
	@scripts/arm $(TARGET)

check-artefacts: lib
	@scripts/check-artefact target/release/libkiosklink.so

install: lib
	install -d "$(DESTDIR)$(PREFIX)/include" "$(DESTDIR)$(PREFIX)/lib"
	install -m 644 include/kiosklink.h "$(DESTDIR)$(PREFIX)/include/"
	install -m 755 target/release/libkiosklink.so "$(DESTDIR)$(PREFIX)/lib/libkiosklink.so.$(ABI)"
	ln -sf libkiosklink.so.$(ABI) "$(DESTDIR)$(PREFIX)/lib/libkiosklink.so"

clean:
	$(CARGO) clean

# What tests and examples link: the same code as ships, built fast instead of small. Copied only when it changed, so
# that a second run rebuilds nothing.
c-programs: $(EXAMPLES) $(CTESTS) $(CXXTESTS) $(PRELOADS) $(OUT)/hooks/libkiosklink.so

$(OUT)/lib/libkiosklink.so: FORCE
	@mkdir -p $(OUT)/lib
	@$(CARGO) rustc -q -p kiosklink --lib --crate-type cdylib
	@cmp -s target/debug/libkiosklink.so $@ || cp target/debug/libkiosklink.so $@
	@ln -sf libkiosklink.so $(OUT)/lib/libkiosklink.so.$(ABI)

# With a way to force a panic, for the test of the guard; never shipped, never beside the other.
$(OUT)/hooks/libkiosklink.so: FORCE
	@mkdir -p $(OUT)/hooks
	@$(CARGO) rustc -q -p kiosklink --lib --crate-type cdylib --features test-hooks --target-dir target/hooks
	@cmp -s target/hooks/debug/libkiosklink.so $@ || cp target/hooks/debug/libkiosklink.so $@
	@ln -sf libkiosklink.so $(OUT)/hooks/libkiosklink.so.$(ABI)

$(OUT)/preload/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(filter-out -Wpedantic,$(WARN)) $(CFLAGS) -shared -fPIC $< -o $@ -ldl

LINK = -L$(OUT)/lib -lkiosklink -lpthread -ldl -Wl,-rpath,'$$ORIGIN/../lib'

$(OUT)/bin/%: examples-c/%.c include/kiosklink.h $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_POSIX_C_SOURCE=200809L $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

$(OUT)/bin/%: tests/c/%.c include/kiosklink.h $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

$(OUT)/bin/%: tests/cpp/%.cpp include/kiosklink.h $(OUT)/lib/libkiosklink.so
	@mkdir -p $(@D)
	$(CXX) -std=c++11 $(WARN) $(CFLAGS) -Iinclude $< -o $@ $(LINK)

FORCE:
