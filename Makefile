# vmgpu: `make help` lists the targets. One file, non-recursive; sources are found by folder.
# V=asan builds everything with AddressSanitizer and UBSan, V=release hardened, small and stripped.
V ?= dev
B := build/$(V)
CC ?= gcc

LAYERS   := lib/base lib/json lib/kube api
PROGRAMS := controller node-daemon cli
BIN_controller := vmgpu-controller
BIN_node-daemon := vmgpu-node
BIN_cli := kubectl-vmgpu

PKGS := libcurl jansson yaml-0.1 openssl libpci libnghttp2 libprotobuf-c
# What compiles nothing, or installs them first.
WITHOUT_LIBRARIES := deps demo demo-down test catalogue cluster-up cluster-down manifests help clean
ifeq ($(shell pkg-config --exists $(PKGS) && echo yes),)
ifneq ($(or $(if $(MAKECMDGOALS),,all),$(filter-out $(WITHOUT_LIBRARIES),$(MAKECMDGOALS))),)
$(error libraries are missing: run `make deps` first)
endif
endif
CPPFLAGS := -D_GNU_SOURCE -Ilib -I. -Ibuild $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wformat=2 -Wimplicit-fallthrough \
	-Wno-missing-field-initializers -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fno-delete-null-pointer-checks \
	-fno-strict-overflow -fno-strict-aliasing -fPIE
CFLAGS_dev := -O1 -g
# what e2e/mutate builds a hundred times; an index beyond its array ends the program
CFLAGS_quick := -O0 -g0 -fsanitize=bounds -fsanitize-undefined-trap-on-error
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_release := -O2 -g0 -flto=2 -ffunction-sections -fdata-sections -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 \
	-ftrivial-auto-var-init=zero -fcf-protection=full
CFLAGS_fuzz := $(filter-out -fsanitize=%,$(CFLAGS_asan)) -fsanitize=fuzzer-no-link,address,undefined
# what the fuzz corpora reach
CFLAGS_cover := -O0 -g -fprofile-instr-generate -fcoverage-mapping
CFLAGS := -std=gnu17 $(WARN) $(HARDEN) $(CFLAGS_$(V))
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
LDFLAGS_cover := -fprofile-instr-generate
LDFLAGS_release := -flto=2 -s -Wl,--gc-sections
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(LDFLAGS_$(V))
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm

# Sources of a folder that are neither tests nor fuzz targets nor main programs.
plain = $(filter-out %_test.c %_fuzz.c %/main.c %/cases_world.c,$(wildcard $(1)/*.c))
objs = $(patsubst %.c,$(B)/%.o,$(1))
lib = $(B)/lib$(subst /,-,$(patsubst lib/%,%,$(1))).a
ALLLIBS = $(call lib,api) $(call lib,lib/kube) $(call lib,lib/json) $(call lib,lib/base)

BINS := $(foreach p,$(PROGRAMS),$(if $(wildcard $(p)/main.c),$(B)/$(BIN_$(p))))
TESTS := $(patsubst %.c,$(B)/%,$(wildcard $(addsuffix /*_test.c,$(LAYERS) $(PROGRAMS))))

.PHONY: all
all: $(BINS) ## build the programs (default)

build/.ok: all $(TESTS)
	@touch $@
.PHONY: build/.ok

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

build/gen/gpu_names.inc: api/gpu_names.awk api/gpu_names.tsv
	@mkdir -p $(@D)
	awk -f $^ >$@.new && mv $@.new $@
$(B)/api/gpu_names.o: build/gen/gpu_names.inc
build/gen/vgpu_types.inc: node-daemon/vgpu_types.awk node-daemon/vgpu_types.tsv
	@mkdir -p $(@D)
	awk -f $^ >$@.new && mv $@.new $@
$(B)/node-daemon/vgpu.o: build/gen/vgpu_types.inc
build/gen/%.pb-c.c build/gen/%.pb-c.h: node-daemon/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=$(<D) --c_out=$(@D) $<
.PRECIOUS: build/gen/%.pb-c.c build/gen/%.pb-c.h
KUBELET_APIS := deviceplugin podresources
$(B)/node-daemon/dpapi.o: $(KUBELET_APIS:%=build/gen/%.pb-c.h)

define layer
$(call lib,$(1)): $(call objs,$(call plain,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS) $(PROGRAMS),$(eval $(call layer,$(l))))
$(call lib,node-daemon): $(KUBELET_APIS:%=$(B)/build/gen/%.pb-c.o)

define program
$(B)/$(BIN_$(1)): $(B)/$(1)/main.o $(call lib,$(1)) $(EXTRA_$(1)) $(ALLLIBS)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
# kubectl-vmgpu renders with the controller's own plans, never a copy of them.
EXTRA_cli = $(call lib,controller)
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# A fuzz target is driven by libFuzzer with V=fuzz CC=clang; else it replays the files that it is given.
REPLAY := $(if $(filter fuzz,$(V)),,$(B)/e2e/fuzz_replay.o)
# What e2e/fuzz.sh asks for: build/fuzz/scan.bin FUZZ=lib/json/scan_fuzz.c
build/fuzz/%.bin: .FORCE
	@$(MAKE) -s V=fuzz CC=clang build/fuzz/$(FUZZ:.c=)
	@cp build/fuzz/$(FUZZ:.c=) $@
.PHONY: .FORCE

# The decode race of `make bench` (FORMAT=json for rows); release flags with V=release.
$(B)/bench/decode: $(B)/e2e/bench/decode.o $(ALLLIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A device plugin on our gRPC, which is held against Go's (e2e/tools/nodekit/grpcwire).
$(B)/e2e/grpc/echo: $(B)/e2e/grpc/echo.o $(call lib,node-daemon) $(ALLLIBS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
# What the node's side counts, against a kernel (e2e/node/fit.sh).
$(B)/e2e/node/fitprobe: $(B)/e2e/node/fitprobe.o $(call lib,node-daemon) $(ALLLIBS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# A test links only its own layer and those below: an upward call fails as an undefined reference.
below_lib/base := lib/base
below_lib/json := lib/json lib/base
below_lib/kube := lib/kube lib/json lib/base
below_api := api lib/kube lib/json lib/base
below_controller := controller api lib/kube lib/json lib/base
below_node-daemon := node-daemon api lib/kube lib/json lib/base
below_cli := cli controller api lib/kube lib/json lib/base
define tests
$(patsubst %.c,$(B)/%,$(wildcard $(1)/*_test.c)): $(B)/$(1)/%_test: $(B)/$(1)/%_test.o $(foreach l,$(below_$(1)),$(call lib,$(l)))
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
$(patsubst %.c,$(B)/%,$(wildcard $(1)/*_fuzz.c)): $(B)/$(1)/%_fuzz: $(B)/$(1)/%_fuzz.o $(REPLAY) $(foreach l,$(below_$(1)),$(call lib,$(l)))
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach l,$(LAYERS) $(PROGRAMS),$(eval $(call tests,$(l))))
$(B)/controller/cases_test $(B)/controller/device_test: $(B)/controller/cases_world.o

# NVIDIA's library as the tests want it, and one that is old.
FAKENVML := $(B)/e2e/node/fakenvml.so $(B)/e2e/node/fakenvml-old.so
$(FAKENVML): e2e/node/fakenvml.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(WARN) -O1 -fPIC -shared -fvisibility=hidden -Wno-missing-prototypes $(if $(findstring -old,$@),-DOLD) -o $@ $<
$(patsubst %,$(B)/node-daemon/%_test,nvml reader telemetry eyes): | $(FAKENVML)

# What vmgpu-node is preloaded with where its writes are to fail (e2e/node/played.c, cutoff.c).
build/played.so build/cutoff.so: build/%.so: e2e/node/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE $(WARN) -O1 -g -fPIC -shared -o $@ $< -ldl

.PHONY: unit
unit: $(TESTS) ## tests that need no cluster
	@for t in $(TESTS); do ./$$t || exit 1; done

.PHONY: build/vmgpu-e2e
build/vmgpu-e2e:
	@cd e2e/tools && CGO_ENABLED=0 go build -trimpath -o ../../$@ .

FUZZERS := $(patsubst %.c,$(B)/%,$(wildcard $(addsuffix /*_fuzz.c,$(LAYERS) $(PROGRAMS))))
.PHONY: tests list-tests fuzzers list-fuzzers
tests: $(TESTS)
list-tests:
	@echo $(TESTS)
fuzzers: $(FUZZERS) # which replay what they are given
list-fuzzers:
	@echo $(FUZZERS)

.PHONY: deps demo demo-down test catalogue faults races idle cluster-up cluster-down images manifests lint fuzz fuzz-cover mutate
deps: ## install what building and testing need (Debian packages)
	@bash e2e/deps.sh --build --test

demo: ## the main job, from nothing: a cluster, a guest with GPUs, the seeds
	@bash e2e/demo.sh

demo-down: ## take the demo away
	@bash e2e/demo-down.sh

test: ## all tests; PARTS="unit tools ..." for some (e2e/test.sh --help)
	@bash e2e/test.sh $(PARTS)

faults: ## one fault at each place: vmgpu-node on a played machine, every scenario, and in shard 1 a real kernel; SHARD=1/4, ONLY=TEXT (e2e/{node-faults,faults,node/faults,node/pairs}.sh --help)
	@rc=0; bash e2e/node-faults.sh || rc=1; bash e2e/faults.sh || rc=1; \
	[ "$${SHARD%%/*}" -gt 1 ] 2>/dev/null || { bash e2e/node/faults.sh || rc=1; bash e2e/node/pairs.sh || rc=1; }; exit $$rc

catalogue: ## what other systems promise or test of nodes, our test of each, and what the last `make test` said of it
	@python3 e2e/catalogue.py

races: ## 50 pods for 8 GPUs, and CYCLES=200 pods that come and go while kubelet and daemon are killed, MOVES=100 changes of a card's name: no device is with two (e2e/races.sh --help)
	@CYCLES=$(or $(CYCLES),200) MOVES=$(or $(MOVES),100) LONG=1 bash e2e/races.sh

STATE ?= build/cluster
cluster-up: ## a control plane of your own in STATE=build/cluster; then: . build/cluster/env
	@bash e2e/cluster/up.sh $(STATE)

cluster-down: ## take it away
	@bash e2e/cluster/down.sh $(STATE)

images: ## build/images/vmgpu-{controller,node}.tar: the chart's images as OCI archives, with what is in them (V=release)
	@V=$(if $(filter command,$(origin V)),$(V),release) bash manifests/images.sh

manifests: ## manifests/install.yaml and the chart's table of values, made from the chart
	@bash manifests/make.sh

lint: ## limits of style, layers, purity of the plans
	@bash e2e/lint.sh

N ?= 100
SEED ?= 1
mutate: ## N=100 random changes of the code, each of which some test must catch; SEED=1, ONLY='/(plan_|scan)'
	@python3 e2e/mutate/mutate.py --count $(N) --seed $(SEED) $(if $(ONLY),--only '$(ONLY)')

idle: ## 1,000 VMs at rest: MINUTES=10 in which nothing may be asked for but Leases (e2e/idle.py --help)
	@python3 e2e/idle.py

fuzz: ## every parser against libFuzzer: 10 million runs of the scanner, a million of each other; T=scan for one, RUNS=N
	@bash e2e/fuzz.sh $(T)

fuzz-cover: ## how many lines of the parsers the fuzz corpora reach
	@bash e2e/fuzz.sh --cover $(T)

.PHONY: bench
bench: ## ours against the Go peer, <= 60 min; QUICK=1: 1,000 objects only; FORMAT=json
	@python3 e2e/bench/bench.py

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find build -name '*.d' 2>/dev/null)
