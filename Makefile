# Everything a developer or operator does with this repository. `make` lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
COUNT    ?= 10
FUZZTIME ?= 30s
BENCH    ?= .
PREFIX   ?= /usr/local
DIST     ?= dist
ARCH     ?= amd64 arm64

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)

# What is shipped is built by a module of its own: it does not choose the versions of
# what is linked. FAST=1 compresses quickly, SNAPSHOT=1 builds what is no release.
comma    := ,
space    := $() $()
RELEASE   = CGO_ENABLED=0 GO='$(GO)' $(GO) run -C release -trimpath . -root '$(CURDIR)' -version '$(VERSION)' $(if $(FAST),-fast) $(if $(SNAPSHOT),-snapshot)
PACKAGES  = $(RELEASE) -snapshot -out '$(abspath $(DIST))' -platforms '$(subst $(space),$(comma),$(ARCH:%=linux/%))'

# Packages with benchmarks, or tests of allocations, which the race detector adds to.
TIMED     = $(shell grep -rlE --include='*_test.go' '^func (Benchmark|Test\w*Alloc)' . | xargs -n 1 dirname | sort -u)

# Packages whose memory requests share: make test has the race detector there, and make prove
# everywhere. All others are built as the program is shipped, so that most of what is linked is
# compiled once. Those whose tests take longest are begun first. The two runs are side by side:
# more than three packages at a time on two processors would make tests wait for each other.
RACED   = ./cache ./handlers ./internal/limit $(shell $(GO) list ./cache/... | grep -v /protocol$$)

# Proofs of fleets and fail-overs take minutes even in their short form, and neither benchmarks
# nor servers for tests are what is shipped: make prove has those.
LATER   = /(proof/(failover|feed|fleet|rolling)|bench/.*|internal/testkit(/.*)?)$$
SHIPPED = ./test ./internal/source/... $(shell $(GO) list ./... | grep -vE '$(LATER)|/(cache|cache/[^p].*|handlers|internal/limit)$$')

# Pinned here and not in go.mod: tools must not choose the versions of what is linked.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
BENCHSTAT   := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

.DEFAULT_GOAL := help
.PHONY: help build run install deb rpm release test servers everything clients formatted check ported race raced shipped prove fuzz bench benchcmp compare openloop inflight chaos failover feed fleet rolling cover lint clean

help: ## this list
	@awk -F ':.*## ' '/^##@ / { printf "%s\n", substr($$0, 5) } /^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run it

build: ## the server, one static binary: ./hearth
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o hearth .

run: build ## build and serve the demo on http://127.0.0.1:8080 (needs only Go)
	./hearth -config config.toml

clean: ## remove what these targets make
	rm -f hearth bench.out coverage.out coverage.html
	rm -rf dist

##@ Test it

test: servers formatted ## tests of all that is shipped, in their short form: the race detector where requests share memory
	@$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target raced shipped

raced:
	$(GO) test -race -p 1 -shuffle=on -timeout 10m $(RACED)

shipped:
	CGO_ENABLED=0 $(GO) test -trimpath -vet=off -shuffle=on -timeout 10m $(SHIPPED)
	CGO_ENABLED=0 $(GO) test -trimpath -vet=off -run Alloc -bench . -benchtime 1x -timeout 5m $(TIMED)

formatted: ## formatting
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "run gofmt on: $$unformatted"; exit 1; fi

check: formatted ## vet, all of it (go test runs a part), and formatting
	$(GO) vet ./...

ported: ## what a release needs besides: the program builds for macOS, the release tool is vetted
	CGO_ENABLED=0 $(GO) vet -C release -trimpath ./...
	CGO_ENABLED=0 GOOS=darwin $(GO) build -trimpath -o /dev/null .

lint: check ported ## staticcheck, all of it (staticcheck.conf says which), and the workflows
	$(GO) run $(STATICCHECK) ./...
	cd release && $(GO) run $(STATICCHECK) ./...
	$(GO) run $(ACTIONLINT)

servers: ## install the servers that tests start, where root and apt-get are
	@./scripts/install-test-servers

everything: ## install also what only make prove starts
	@./scripts/install-test-servers prove

clients: ## install generators of clients, which make prove runs on /openapi.json
	@GO='$(GO)' ./scripts/install-test-clients

cover: everything ## coverage of all packages by all tests: coverage.html
	$(GO) test -coverpkg=./... -coverprofile=coverage.out -timeout 20m ./...
	$(GO) tool cover -html=coverage.out -o coverage.html
	$(GO) tool cover -func=coverage.out | tail -n 1

race: everything ## the race detector only, COUNT times over
	$(GO) test -race -shuffle=on -timeout 60m -count $(COUNT) ./...

fuzz: servers ## every fuzz target for FUZZTIME (30s)
	FUZZTIME=$(FUZZTIME) GO=$(GO) ./scripts/fuzz

prove: everything clients check ported ## the long forms: everything that is promised, shown (two hours)
	HEARTH_LONG=1 $(GO) test -race -shuffle=on -timeout 60m -count 1 ./...
	CGO_ENABLED=0 HEARTH_LONG=1 $(GO) test -C release -trimpath -timeout 60m -count 1 ./...
	$(GO) run ./proof/failover
	$(GO) run ./proof/feed
	$(GO) run ./proof/fresh
	GO='$(GO)' ./scripts/fresh-root
	HEARTH_LONG=1 $(GO) test -run 'Alloc' -bench . -benchtime 1x -timeout 10m $(TIMED)
	FUZZTIME=60s GO=$(GO) ./scripts/fuzz

chaos: servers ## 10 million reads checked while Redis is killed, frozen, emptied (10 minutes at most; CHAOS='-engine all -reads 1000000')
	$(GO) run ./proof/chaos -reads 10000000 -minutes 10 $(CHAOS)

failover: servers ## what clients see while Redis and databases move, fail over and come back (half an hour; FAILOVER='-short')
	$(GO) run ./proof/failover $(FAILOVER)

feed: servers ## rows changed past all instances while everything is hurt, and what that costs who writes (an hour; FEED='-short')
	$(GO) run ./proof/feed $(FEED)

fleet: servers ## what reaches PostgreSQL behind four instances, counted there (five minutes; FLEET='-short')
	$(GO) run ./proof/fleet $(FLEET)

rolling: servers ## a million requests through HAProxy while every instance is restarted, both ways (three minutes)
	$(GO) run ./proof/rolling $(ROLLING)

##@ Measure it

bench: ## Go benchmarks matching BENCH, COUNT times (10), into bench.out
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 60m ./... | tee bench.out

benchcmp: ## compare two such outputs: make benchcmp OLD=a NEW=b
	$(GO) run $(BENCHSTAT) $(OLD) $(NEW)

compare: build ## Hearth beside its peers, COMPARE='-rounds 5 -rows REGEXP' (a quarter of an hour)
	@./scripts/install-test-servers bench
	$(GO) run ./bench/compare -hearth ./hearth $(COMPARE)
	$(if $(findstring -rows,$(COMPARE)),,$(GO) run ./bench/openloop -hearth ./hearth $(OPENLOOP))

openloop: build ## latencies at 50 and 80 % of capacity, without coordinated omission (four minutes; OPENLOOP='-rounds 5 -servers REGEXP')
	@./scripts/install-test-servers bench
	$(GO) run ./bench/openloop -hearth ./hearth $(OPENLOOP)

inflight: ## 10,000 requests in flight, beside a bare handler (three minutes; INFLIGHT='-rounds 9 -record')
	@./scripts/install-test-servers bench
	$(GO) run ./bench/inflight $(INFLIGHT)

##@ Ship it

install: build ## install the binary below PREFIX (/usr/local), DESTDIR in front of it
	install -D -m 755 hearth $(DESTDIR)$(PREFIX)/bin/hearth

deb: ## Debian packages, dist/hearth_VERSION_ARCH.deb (ARCH='amd64 arm64')
	@$(PACKAGES) -only deb

rpm: ## RPM packages, dist/hearth-VERSION-1.ARCH.rpm (ARCH='amd64 arm64')
	@$(PACKAGES) -only rpm

release: ## all of a tagged version, in dist/VERSION (SIGN='minisign -S -s KEY -m'; SNAPSHOT=1 to try; docs/releasing.md)
	@$(RELEASE) -out '$(abspath $(DIST))/$(VERSION)'
