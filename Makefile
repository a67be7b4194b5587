# Perezvon is built, run and tested from here; `make help` lists what there is.
# Everything works on a Debian 12 machine with Go, make and git: `make run` and
# `make test` install what else they need.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory
.NOTPARALLEL:

# Where Go's own archive puts it, for machines that did not add it to the PATH.
export PATH := $(PATH):/usr/local/go/bin

# How many inputs each fuzz target gets; how often and how long each benchmark,
# and which of them.
FUZZINPUTS ?= 10000
BENCHCOUNT ?= 6
BENCHTIME  ?= 200ms
BENCH      ?= .
# What `make bench` compares with: any earlier bench.out.
OLD        ?= bench/baseline.txt

# How many calls a second `make load` begins, how long each is talked, and how
# long calls are begun.
RATE       ?= 25
HOLD       ?= 2s
DURATION   ?= 10s

# What the tests keep their records in, sqlite unless told: make test STORE=redis
ifdef STORE
export PEREZVON_TEST_STORE := $(STORE)
endif

PROGRAM := bin/perezvon
# Tools have a go.mod of their own, so that nothing of theirs reaches the
# program.
TOOL    := go tool -modfile=tools/go.mod
# Without git, or in a tree that git does not trust, the build goes without the
# revision instead of failing.
VCS     := $(shell git rev-parse HEAD >/dev/null 2>&1 || echo -buildvcs=false)
# Everything but the tests with real peers, which run apart.
UNITS    = $$(go list ./... | grep -Ev '/e2e(/|$$)')

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

## ---- the program

.PHONY: run
run: deps-run build ## build and show a whole callback on this machine
	@$(PROGRAM) demo --once

.PHONY: build
build: go-version ## build bin/perezvon
	@echo "building $(PROGRAM); the first time this takes some minutes"
	@CGO_ENABLED=0 go build $(VCS) -trimpath -o $(PROGRAM) ./cmd/perezvon

## ---- tests

.PHONY: test
test: deps-test lint licences vet fuzz units e2e ## every check there is; this is what CI runs; STORE=redis: with Redis as the store
	@echo "make test: everything passed"

.PHONY: units
units: go-version ## the tests of the packages, under the race detector
	CGO_ENABLED=1 scripts/units $(UNITS)
	go test -count=1 -run '^TestAnHourOfRandomCallsLeavesNothing$$' ./internal/call
	go -C tools test ./...

.PHONY: e2e
e2e: go-version ## tests with real phones, real sockets and a killed server
	go test -count=1 -parallel 3 -timeout 30m ./e2e/...

.PHONY: fuzz
fuzz: go-version ## every fuzz target for a moment: make fuzz FUZZINPUTS=1000000
	@scripts/fuzz $(FUZZINPUTS)

.PHONY: bench
bench: go-version ## benchmarks into bench.out, beside the stored ones: make bench BENCH=Relay OLD=before.out
	go test -p 1 -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count $(BENCHCOUNT) $(UNITS) | tee bench.out
	@$(TOOL) benchstat $(OLD) bench.out

.PHONY: load
load: deps-run build ## what calls cost a whole server: make load RATE=25 HOLD=2s DURATION=10s
	@go run ./bench/load -server $(PROGRAM) -rate $(RATE) -hold $(HOLD) -duration $(DURATION)

.PHONY: cover
cover: go-version ## coverage into bin/cover.html
	@mkdir -p bin
	go test -timeout 5m -coverpkg=./... -coverprofile=bin/cover.out $(UNITS)
	@go tool cover -html=bin/cover.out -o bin/cover.html
	@go tool cover -func=bin/cover.out | tail -n 1

## ---- the tree

.PHONY: lint
lint: go-version ## golangci-lint with the rules of .golangci.yml
	@echo "lint (the first time golangci-lint is compiled, which takes a minute or two)"
	@$(TOOL) golangci-lint run ./...
	@go -C tools tool golangci-lint run --config ../.golangci.yml ./...

.PHONY: fmt
fmt: go-version ## format the tree with gofumpt and goimports
	@$(TOOL) golangci-lint fmt ./...

.PHONY: fix
fix: fmt ## format the tree and mend what golangci-lint can mend by itself
	@$(TOOL) golangci-lint run --fix ./...

.PHONY: vet
vet: go-version
	go vet ./...
	go -C tools vet ./...

.PHONY: licences
licences: go-version ## are the licences of everything linked allowed?
	@CGO_ENABLED=0 go -C tools run ./licences .. ./cmd/perezvon

.PHONY: clean
clean: ## remove what was built
	rm -rf bin bench.out

## ---- what must be there

.PHONY: deps-run
deps-run: go-version ## install what running needs
	@scripts/deps run

.PHONY: deps-test
deps-test: go-version ## install what testing needs
	@scripts/deps test

.PHONY: go-version
go-version:
	@scripts/go-version
