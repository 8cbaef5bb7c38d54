# periodclose: closes billing periods. `make help` lists what there is.
#
# Flavours are built from the same sources: release (what is installed, what whole-program tests
# run), checked (AddressSanitizer and UBSan, what unit tests run), fuzz (clang's libFuzzer on top of
# those), and two that only look for warnings, lint-gcc and lint-clang. A module is one folder under
# src/ and include/; it may use the modules to its right in MODULES only (tests/lint checks it).

MODULES := cli stage emit report source run rating table db sys core

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build

CC ?= cc
PACKAGES := libcrypto jansson libcurl libpq
LIBRARIES := -lcsv -lxxhash
CPPFLAGS += -D_GNU_SOURCE -Iinclude -DPERIODCLOSE_VERSION='"$(VERSION)"'
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow
# Older gcc warns of fields that a designated initialiser leaves out beside a nested one.
ifneq ($(filter 9 10 11,$(shell $(CC) -dumpversion 2>/dev/null | cut -d. -f1)),)
WARNINGS += -Wno-missing-field-initializers
endif
CFLAGS_ALL := -std=c17 -pthread $(WARNINGS) $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PACKAGES) 2>/dev/null))
LDLIBS_ALL := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) $(LIBRARIES) -pthread
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

CC_release := $(CC)
CC_checked := $(CC)
CC_fuzz := clang
CC_lint-gcc := gcc
CC_lint-clang := clang
CFLAGS_release := -O2 -g
# A warning stops our own builds, but not that of somebody with a compiler we have not seen.
CFLAGS_checked := -Werror -O1 -g -fno-omit-frame-pointer $(SANITIZE)
CFLAGS_fuzz := -Werror -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link $(SANITIZE)
CFLAGS_lint-gcc := -Werror -O2
CFLAGS_lint-clang := -Werror -O2
LDFLAGS_checked := -fsanitize=address,undefined
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined

# --- what is built ------------------------------------------------------------------------------

.PHONY: all
all: $(BUILD)/periodclose ## builds build/periodclose

# objects of one module in one flavour: $(call objects,FLAVOUR,MODULE)
objects = $(patsubst src/%.c,$(BUILD)/$(1)/%.o,$(wildcard src/$(2)/*.c)) \
    $(if $(filter db,$(2)),$(BUILD)/$(1)/db/sql_files.o)

define flavour_rules
$(BUILD)/$(1)/%.o: src/%.c
	@mkdir -p $$(@D)
	$$(CC_$(1)) $$(CPPFLAGS) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/db/sql_files.o: $(BUILD)/generated/sql_files.c
	@mkdir -p $$(@D)
	$$(CC_$(1)) $$(CPPFLAGS) -Isrc/db $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/tests/%.o: tests/%.c
	@mkdir -p $$(@D)
	$$(CC_$(1)) $$(CPPFLAGS) -Itests $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
endef
# The files under sql/ are part of the program. The list is a file of its own, so that a statement
# that is gone is noticed, too.
sql_texts := $(sort $(shell find sql -name '*.sql'))
$(BUILD)/generated/sql_files.list: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(sql_texts) | cmp -s - $@ || printf '%s\n' $(sql_texts) >$@
$(BUILD)/generated/sql_files.c: $(BUILD)/generated/sql_files.list $(sql_texts) src/db/embed_sql.sh
	@src/db/embed_sql.sh $(sql_texts) >$@.new && mv $@.new $@
.PHONY: FORCE
FORCE:

$(foreach flavour,release checked fuzz lint-gcc lint-clang,$(eval $(call flavour_rules,$(flavour))))

define library_rule
$(BUILD)/$(1)/lib$(2).a: $$(call objects,$(1),$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach flavour,release checked fuzz,$(foreach module,$(MODULES),$(eval $(call library_rule,$(flavour),$(module)))))

libraries = $(foreach module,$(2),$(BUILD)/$(1)/lib$(module).a)

$(BUILD)/periodclose: $(call libraries,release,$(MODULES))
	$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $(BUILD)/release/cli/main.o $^ $(LDLIBS_ALL)

# --- first steps --------------------------------------------------------------------------------

.PHONY: deps test-deps
deps: ## installs the Debian packages that building needs, where they are missing
	@deploy/deps.sh build
test-deps: ## installs what tests and lint need on top of that
	@deploy/deps.sh build test

# Two calls of make, because flags come from pkg-config, which deps may have to install first.
.PHONY: demo
demo: deps ## deps, build, then close fixtures/acme and fixtures/focus into build/demo
	@$(MAKE) --no-print-directory $(BUILD)/periodclose
	@deploy/demo.sh $(BUILD)

.PHONY: demo-db
demo-db: test-deps ## the same out of a throw-away PostgreSQL: migrate, ingest, run, into build/demo-db
	@$(MAKE) --no-print-directory $(BUILD)/periodclose
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" deploy/demo-db.sh $(BUILD)

# --- unit tests: tests/MODULE/NAME_test.c is one cmocka program, linked with its module and those
# --- to its right ---------------------------------------------------------------------------------

below = $(if $(filter $(1),$(firstword $(2))),$(2),$(call below,$(1),$(wordlist 2,99,$(2))))
unit_tests = $(patsubst tests/$(1)/%_test.c,$(BUILD)/checked/tests/$(1)/%_test,$(wildcard tests/$(1)/*_test.c))
support := $(BUILD)/checked/tests/libsupport.a
$(support): $(patsubst tests/%.c,$(BUILD)/checked/tests/%.o,$(wildcard tests/support/*.c))
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

define module_tests
$(BUILD)/checked/tests/$(1)/%_test: $(BUILD)/checked/tests/$(1)/%_test.o $$(support) $$(call libraries,checked,$$(call below,$(1),$$(MODULES)))
	$$(CC_checked) $$(LDFLAGS_checked) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LDLIBS_ALL)
.PHONY: test-$(1)
test-$(1): $$(call unit_tests,$(1))
	@set -e; for program in $$^; do echo "== $$$$program"; $$$$program; done
endef
$(foreach module,$(MODULES),$(eval $(call module_tests,$(module))))

# The same for tests of the whole program from inside: they are linked with every module.
$(BUILD)/checked/tests/program/%_test: $(BUILD)/checked/tests/program/%_test.o $(support) $(call libraries,checked,$(MODULES))
	$(CC_checked) $(LDFLAGS_checked) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS_ALL)
.PHONY: test-program
test-program: $(call unit_tests,program)
	@set -e; for program in $^; do echo "== $$program"; $$program; done

.PHONY: test-unit
test-unit: $(foreach module,$(MODULES),test-$(module)) ## unit tests alone; test-MODULE for those of one module

# Writes the tables that other people's readers are tried on.
arrow_sample := $(BUILD)/checked/tests/table/arrow_sample
$(arrow_sample): $(arrow_sample).o $(support) $(call libraries,checked,$(call below,table,$(MODULES)))
	$(CC_checked) $(LDFLAGS_checked) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

# The database module against a server, which tests/program/database.sh starts.
server_check := $(BUILD)/checked/tests/db/server_check
$(server_check): $(server_check).o $(support) $(call libraries,checked,$(call below,db,$(MODULES)))
	$(CC_checked) $(LDFLAGS_checked) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS_ALL)

# --- the simulator of Stripe and Dodo: fast for searches, checked for its own tests ---------------

define simulator_rule
$(BUILD)/$(1)/stripe_sim: $$(patsubst tests/%.c,$(BUILD)/$(1)/tests/%.o,$$(wildcard tests/stripe_sim/*.c)) $$(call libraries,$(1),core)
	$$(CC_$(1)) $$(CFLAGS_$(1)) $$(LDFLAGS_$(1)) $$(LDFLAGS) -o $$@ $$^ -lmicrohttpd -lgnutls $$(LDLIBS_ALL)
endef
$(foreach flavour,release checked,$(eval $(call simulator_rule,$(flavour))))
simulators := $(BUILD)/release/stripe_sim $(BUILD)/checked/stripe_sim

# --- all tests ----------------------------------------------------------------------------------

test_programs := $(foreach module,$(MODULES) program,$(call unit_tests,$(module))) $(arrow_sample) $(simulators) $(server_check) $(BUILD)/faulty_periodclose

.PHONY: test test-programs print-test-programs
test: test-deps ## installs what tests need and runs them all; log in build/test.log
	@MAKE='$(MAKE)' tests/run_all.sh $(BUILD)
test-programs: $(BUILD)/periodclose $(test_programs) $(BUILD)/faulty_periodclose
print-test-programs:
	@printf '%s\n' $(test_programs)

.PHONY: expected
expected: $(BUILD)/periodclose ## rewrites the expected reports of fixtures/ with the reference close
	PATH="$(abspath $(BUILD))/tools/bin:$$PATH" PERIODCLOSE=$(BUILD)/periodclose node tests/reference/expected.mjs

.PHONY: bench
bench: $(BUILD)/periodclose ## measures against DuckDB and a bare libcsv pass
	tests/bench/run.sh $(BUILD)

.PHONY: bench-db
bench-db: test-deps $(BUILD)/periodclose ## measures the database against SQL and COPY in a throw-away cluster
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" tests/bench/db.sh

.PHONY: bench-emit
bench-emit: test-deps $(BUILD)/periodclose ## measures sending against a local server, beside a plain libcurl loop
	@deploy/deps.sh bench
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" PERIODCLOSE=$(BUILD)/periodclose tests/bench/emit.sh

# --- exactly once, by search: the program over a system that dies, against the simulator ----------

SEEDS ?= 500
faulty := $(BUILD)/faulty_periodclose
$(faulty): $(patsubst %,$(BUILD)/release/tests/%.o,program/faulty_main support/fault_sys support/power_cut support/unsynced_files) $(call libraries,release,$(MODULES))
	$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

.PHONY: sim sim-programs
sim-programs: $(faulty) $(BUILD)/release/stripe_sim
sim: test-deps ## bills SEEDS=500 closes through faults, kills and clock jumps: each item exactly once
	@$(MAKE) --no-print-directory sim-programs
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" node tests/emit/search.mjs $(BUILD) --seeds $(SEEDS)
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" tests/support/with_cluster.sh node tests/emit/search_targets.mjs $(BUILD) --seeds $(SEEDS)
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" node tests/emit/search.mjs $(BUILD) --seeds $(SEEDS) --from 40000

.PHONY: encoding
encoding: test-deps $(BUILD)/periodclose ## compares what is sent with what Stripe's own Node client sends
	@$(MAKE) --no-print-directory $(BUILD)/checked/stripe_sim
	@PATH="$(abspath $(BUILD))/tools/bin:$$PATH" node tests/emit/encoding.mjs $(BUILD)/periodclose $(BUILD)/checked/stripe_sim

# --- the protocol of sending, by model ------------------------------------------------------------

.PHONY: model
model: test-deps ## checks the model of sending invoice items exhaustively, and that it can fail
	@tests/model/run.sh $(BUILD)

# --- fuzzing: tests/fuzz/NAME_fuzz.c is one libFuzzer target, tests/fuzz/corpus/NAME its seeds -----

FUZZ_SECONDS ?= 60
fuzz_names := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz_programs := $(patsubst %,$(BUILD)/fuzz/tests/fuzz/%_fuzz,$(fuzz_names))
$(BUILD)/fuzz/tests/fuzz/%_fuzz: $(BUILD)/fuzz/tests/fuzz/%_fuzz.o $(call libraries,fuzz,$(filter-out cli,$(MODULES)))
	$(CC_fuzz) $(LDFLAGS_fuzz) $(LDFLAGS) -o $@ $^ $(LDLIBS_ALL)

.PHONY: fuzz fuzz-programs
fuzz-programs: $(fuzz_programs)
fuzz: test-deps ## fuzzes the readers, FUZZ_SECONDS=60 each
	@$(MAKE) --no-print-directory fuzz-programs
	@tests/fuzz/run.sh $(BUILD) $(FUZZ_SECONDS) $(fuzz_names)

# --- lint ---------------------------------------------------------------------------------------

sources := $(wildcard src/*/*.c)
test_sources := $(wildcard tests/*/*.c)
lint_objects = $(patsubst src/%.c,$(BUILD)/$(1)/%.o,$(sources)) $(patsubst %.c,$(BUILD)/$(1)/%.o,$(test_sources))

.PHONY: lint lint-gcc lint-clang lint-tidy
lint: test-deps ## gcc, clang, clang-tidy, clang-format, shellcheck, include directions, house rules
	@MAKE='$(MAKE)' tests/lint/run.sh $(BUILD)
lint-gcc: $(call lint_objects,lint-gcc)
lint-clang: $(call lint_objects,lint-clang)

# One file at a time, again only when it or a header of it changed (its object then did, too).
$(BUILD)/lint-tidy/%.ok: src/%.c $(BUILD)/lint-clang/%.o .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- $(CPPFLAGS) $(CFLAGS_ALL)
	@touch $@
$(BUILD)/lint-tidy/tests/%.ok: tests/%.c $(BUILD)/lint-clang/tests/%.o .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- $(CPPFLAGS) -Itests $(CFLAGS_ALL)
	@touch $@
lint-tidy: $(patsubst %.o,%.ok,$(subst /lint-clang/,/lint-tidy/,$(call lint_objects,lint-clang)))

# --- installing ---------------------------------------------------------------------------------

INSTALL ?= install
bin_file := $(DESTDIR)$(PREFIX)/bin/periodclose
man_file := $(DESTDIR)$(PREFIX)/share/man/man1/periodclose.1
completion_file := $(DESTDIR)$(PREFIX)/share/bash-completion/completions/periodclose

# The program writes its own man page and completion, so that they cannot fall behind it.
$(BUILD)/periodclose.1: $(BUILD)/periodclose
	@$< help man >$@.new && mv $@.new $@
$(BUILD)/periodclose.bash: $(BUILD)/periodclose
	@$< help completion >$@.new && mv $@.new $@

.PHONY: docs install uninstall
docs: $(BUILD)/periodclose.1 $(BUILD)/periodclose.bash
install: all docs ## installs program, man page and bash completion; takes DESTDIR and PREFIX
	$(INSTALL) -D -m 755 $(BUILD)/periodclose '$(bin_file)'
	$(INSTALL) -D -m 644 $(BUILD)/periodclose.1 '$(man_file)'
	$(INSTALL) -D -m 644 $(BUILD)/periodclose.bash '$(completion_file)'
	@echo "installed; examples for systemd, cron, Kubernetes and Docker are in deploy/"
uninstall: ## removes what install put there
	rm -f '$(bin_file)' '$(man_file)' '$(completion_file)'

# --- the rest -----------------------------------------------------------------------------------

.PHONY: clean help
clean: ## removes build/
	rm -rf $(BUILD)
help: ## lists the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | \
		while IFS="$$(printf '\t')" read -r target text; do printf '  %-12s %s\n' "$$target" "$$text"; done

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
