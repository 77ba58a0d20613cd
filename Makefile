# Every target makes ready what it needs (scripts/setup.sh) and can be run on a
# bare Debian machine. The work is done by Go and scripts/, which know what is
# up to date; make only names the ways in.

SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/gateway
	@scripts/setup.sh
	@. scripts/env.sh && go build -o bin/gateway ./cmd/gateway

.PHONY: run
run: build ## build, then show data moving
	@. scripts/env.sh && bash scripts/demo.sh

.PHONY: test
test: build ## run all tests
	@scripts/setup.sh test
	@scripts/test.sh

.PHONY: soak
soak: build ## wear the gateway out: failures, hostility, load (20 min)
	@scripts/soak.sh

.PHONY: asan
asan: build ## run the ZeroMQ bridge's tests with the address sanitizer
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
