# periodclose: closes billing periods. `make help` lists what there is.
#
# Two flavours are built from the same sources: release (what is installed, what whole-program tests
# run) and checked (AddressSanitizer and UBSan, what unit tests run). A module is one folder under
# src/ and include/; it may use the modules to its right in MODULES only (tests/lint checks it).

MODULES := cli stage emit report source run rating table sys core

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build

CC ?= cc
PACKAGES := libcrypto jansson
LIBRARIES := -lcsv -lxxhash
CPPFLAGS += -D_GNU_SOURCE -Iinclude -DPERIODCLOSE_VERSION='"$(VERSION)"'
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
CFLAGS_ALL := -std=c17 -pthread $(WARNINGS) $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
CFLAGS_release := -O2 -g
CFLAGS_checked := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_checked := -fsanitize=address,undefined
LDLIBS_ALL := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) $(LIBRARIES) -pthread

# --- what is built ------------------------------------------------------------------------------

.PHONY: all
all: $(BUILD)/periodclose

# objects of one module in one flavour: $(call objects,FLAVOUR,MODULE)
objects = $(patsubst src/%.c,$(BUILD)/$(1)/%.o,$(wildcard src/$(2)/*.c))

define flavour_rules
$(BUILD)/$(1)/%.o: src/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
$(BUILD)/$(1)/tests/%.o: tests/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) -Itests $$(CFLAGS_ALL) $$(CFLAGS_$(1)) $$(CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(foreach flavour,release checked,$(eval $(call flavour_rules,$(flavour))))

define library_rule
$(BUILD)/$(1)/lib$(2).a: $$(call objects,$(1),$(2))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach flavour,release checked,$(foreach module,$(MODULES),$(eval $(call library_rule,$(flavour),$(module)))))

libraries = $(foreach module,$(2),$(BUILD)/$(1)/lib$(module).a)

$(BUILD)/periodclose: $(call libraries,release,$(MODULES))
	$(CC) $(CFLAGS_release) $(LDFLAGS) -o $@ $(BUILD)/release/cli/main.o $^ $(LDLIBS_ALL)

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
	$$(CC) $$(LDFLAGS_checked) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LDLIBS_ALL)
.PHONY: test-$(1)
test-$(1): $$(call unit_tests,$(1))
	@set -e; for program in $$^; do echo "== $$$$program"; $$$$program; done
endef
$(foreach module,$(MODULES),$(eval $(call module_tests,$(module))))

.PHONY: test-unit
test-unit: $(foreach module,$(MODULES),test-$(module))

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
