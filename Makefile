# Every target makes ready what it needs (scripts/setup.sh) and can be run on a
# bare Debian machine. The work is done by Go and scripts/, which know what is
# up to date; make only names the ways in.

SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# GOGC is the compiler's, which takes a twentieth less time with some more memory.
.PHONY: build
build: ## build bin/gateway: needs Go alone
	@scripts/setup.sh
	@. scripts/env.sh && CGO_ENABLED=0 GOGC=400 go build -o bin/gateway ./cmd/gateway

.PHONY: cross
cross: ## build it for Linux, macOS and Windows, into bin/cross
	@scripts/setup.sh
	@scripts/cross.sh

.PHONY: dist
dist: ## pack what users install, into dist/
	@scripts/setup.sh dist
	@scripts/dist.sh

.PHONY: run
run: build ## build, then show data moving
	@bash scripts/demo.sh

.PHONY: test
test: build ## run all tests
	@scripts/setup.sh test
	@scripts/test.sh

.PHONY: soak
soak: build ## wear the gateway out: failures, hostility, load (60 min)
	@scripts/setup.sh soak
	@scripts/soak.sh

.PHONY: asan
asan: build ## run the ZeroMQ bridge's tests with the address sanitizer
	@scripts/setup.sh libzmq
	@scripts/asan.sh

.PHONY: bench
bench: ## measure the gateway beside bare relays (20 min; BENCH=short make bench: 3)
	@scripts/setup.sh bench
	@scripts/bench.sh run

.PHONY: bench-compare
bench-compare: ## say what got slower than the committed results
	@scripts/setup.sh bench
	@scripts/bench.sh compare

.PHONY: bench-accept
bench-accept: ## make the last results those that are committed
	@scripts/setup.sh bench
	@scripts/bench.sh accept

.PHONY: lint
lint: ## check style, and the protos against the main branch
	@scripts/setup.sh lint
	@scripts/lint.sh

.PHONY: gen
gen: ## generate code from proto/
	@scripts/setup.sh gen
	@scripts/gen.sh
