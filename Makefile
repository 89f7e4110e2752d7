# `make` lists all targets with a description.

# Commands that the tests need in addition to Go: command=Debian package,package...
TEST_NEEDS := redis-server=redis-server gcc=gcc,libc6-dev curl=curl chromium=chromium

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s

# The benchmarks of `make bench`, the module they are in, and their packages there.
BENCH          ?= Gateway
BENCH_MODULE   ?= e2e
BENCH_PACKAGES ?= ./...

# Every target builds, tests and ships with the Go version of go.mod, also on a machine
# with an older version and GOTOOLCHAIN=local.
export GOTOOLCHAIN := go$(shell sed -n 's/^go //p' go.mod)

# VERSION is linked in by name; -buildvcs would run git again, which fails in a checkout
# of another user.
export GOFLAGS := $(shell go env GOFLAGS) -buildvcs=false

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start gateway and emulator in one process, and print commands to try
	@go build -tags grpcnotrace -o bin/osdemo ./cmd/osdemo && exec bin/osdemo

.PHONY: build
build: ## Build osgate, osemu and osdemo into bin/
	CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/osgate ./cmd/osemu ./cmd/osdemo

# e2e tests processes that are built without the race detector, as users get them. There
# the detector would only see the clients of the tests, and double their CPU time. They
# run alone because their requests have the timeouts of real clients.
.PHONY: test
test: needs ## Run every test, with the race detector where it sees osgate; installs missing programs
	CGO_ENABLED=1 go test -vet=off -race -shuffle=on -count=1 -timeout 20m ./...
	cd e2e && go test -vet=off -shuffle=on -count=1 -timeout 20m .
	cd deploy/observe && go test -vet=off -count=1 -timeout 20m ./...
	cd bench && go test -vet=off -count=1 -timeout 5m ./...

# Commands that `make clients` needs in addition. Its npm packages are in e2e/clients,
# at the versions of package-lock.json.
CLIENT_NEEDS := javac=openjdk-17-jdk-headless node=nodejs npm=npm curl=curl

.PHONY: clients
clients: ## Run real clients with their defaults against osgate; installs missing programs
	@scripts/install-missing $(CLIENT_NEEDS)
	@cd e2e/clients && { test node_modules/.package-lock.json -nt package-lock.json || npm ci; }
	cd e2e && go test -vet=off -tags clients -count=1 -timeout 10m -run TestRealClients

.PHONY: chart
chart: ## Write what is made of other files: variables in the chart's schema, the Kustomize base
	go test -vet=off -count=1 -run TestChartAcceptsEveryVariable ./deploy -update
	cd deploy/charttest && go test -vet=off -count=1 -run TestKustomizeBaseIsTheChart . -update

.PHONY: chart-test
chart-test: needs ## Render chart, Kustomize base and compose file, validate them, and start what they describe
	cd deploy/charttest && go test -vet=off -count=1 -timeout 20m ./...

# Platform of `make image`.
ARCH ?= $(shell go env GOARCH)

.PHONY: image
image: ## Build the images of osgate and osemu for linux/ARCH, without a container engine into bin/images
	@scripts/image $(VERSION) osgate $(ARCH) bin/images/osgate
	@scripts/image $(VERSION) osemu $(ARCH) bin/images/osemu

GORELEASER_VERSION := v2.12.7
CYCLONEDX_VERSION  := v1.10.0

# The configuration of `make packages`.
GORELEASER_CONFIG ?= .goreleaser.yaml

.PHONY: packages
packages: ## Build archives, deb, rpm and SBOM of this commit for all platforms into dist/, by goreleaser
	@tools=$${XDG_CACHE_HOME:-$$HOME/.cache}/osgate-tools; \
	releaser=$$tools/goreleaser-$(GORELEASER_VERSION) lister=$$tools/cyclonedx-gomod-$(CYCLONEDX_VERSION); \
	test -x $$releaser/goreleaser || GOBIN=$$releaser go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION); \
	test -x $$lister/cyclonedx-gomod || GOBIN=$$lister go install -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION); \
	PATH=$$lister:$$PATH PACKAGE_VERSION=0.0.0-$$(git rev-parse --short HEAD) COMMIT_TIMESTAMP=$$(git log -1 --format=%ct) \
	COMMIT_DATE=$$(TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) \
		$$releaser/goreleaser release --snapshot --clean --config $(GORELEASER_CONFIG)

.PHONY: packages-test
packages-test: ## Install, start, upgrade and purge the deb of `make packages` on this machine (needs root)
	go test -vet=off -tags deploy -count=1 -v -run TestDebianPackage ./deploy/packagetest -packages ../../dist

# Commands that `make deploy-test` needs in addition.
DEPLOY_NEEDS := rpm=rpm systemctl=systemd ip=iproute2

.PHONY: deploy-test
deploy-test: image chart-test ## Serve from the images, install under a systemd of its own, upgrade, and chart-test (needs root)
	@scripts/install-missing $(DEPLOY_NEEDS)
	cd e2e && go test -vet=off -tags deploy -count=1 -timeout 30m -v -run 'Versions|RollingUpgrade'
	OSGATE_TEST_VERSION=$(VERSION) OSGATE_TEST_SYSTEMD=$$(scripts/systemd-tools) go test -vet=off -tags deploy -count=1 -timeout 60m -v ./deploy/packagetest

.PHONY: lint
lint: ## Check format, sleeping tests, go.mod, vet and golangci-lint
	@files=$$(gofmt -l .) && test -z "$$files" || { echo "not gofmt-clean (make fmt):" $$files; exit 1; }
	@! grep -rn 'time\.Sleep(' --include='*_test.go' . || { \
		echo "Wait for the event under test instead: a channel, synctest.Wait, or <-time.After in a bubble."; exit 1; }
	go mod tidy -diff
	go mod verify
	go vet ./...
	go vet -tags deploy ./deploy/packagetest
	cd e2e && go mod tidy -diff && go vet ./... && go vet -tags clients,soak,deploy .
	cd deploy/observe && go mod tidy -diff && go vet ./...
	cd deploy/charttest && go mod tidy -diff && go vet ./...
	cd bench && go mod tidy -diff && go vet ./...
	go tool -modfile=tools/go.mod golangci-lint run --allow-parallel-runners --build-tags deploy
	cd e2e && go tool -modfile=../tools/go.mod golangci-lint run --allow-parallel-runners --build-tags clients,soak,deploy

.PHONY: vuln
vuln: ## Fail if osgate can reach a known vulnerability, including Go's standard library
	scripts/vuln ./...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s)
	@set -e; for package in $$(go list ./...); do \
		listed=$$(go test -list '^Fuzz' $$package); \
		for target in $$(echo "$$listed" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

# How long `make soak` records histories.
SOAK ?= 10m

.PHONY: soak
soak: needs ## Check random histories for SOAK (10m), find mutants, count a million requests, check memory
	cd e2e && CGO_ENABLED=1 go test -vet=off -race -tags soak -count=1 -timeout 90m -v \
		-run 'TestHistoriesStayLinearizable|TestRandomHistoriesDetectMutants|TestMemoryStaysWithinItsBound|TestMillionRequestsAreCountedExactly' -soak $(SOAK)

# Settings of `make mutants`: packages, mutants per package (0: all), seed of the
# sample, time limit, number of mutants at the same time, and one file.go or
# file.go:line to restrict it to.
MUTANTS         ?= auth cache ratelimit stats policy proxy regionmap objectstore emulator
MUTANTS_SAMPLE  ?= 60
MUTANTS_SEED    ?= 1
MUTANTS_BOX     ?= 10m
MUTANTS_WORKERS ?= 1
MUTANTS_ONLY    ?=

.PHONY: mutants
mutants: needs ## Change the code of MUTANTS in small ways, and print the changes that no test notices
	go run ./internal/mutants -sample $(MUTANTS_SAMPLE) -seed $(MUTANTS_SEED) -box $(MUTANTS_BOX) -workers $(MUTANTS_WORKERS) \
		-only '$(MUTANTS_ONLY)' $(MUTANTS)

# How long each attack of `make attack` lasts.
ATTACK ?= 10s

.PHONY: attack
attack: needs ## Attack the gateway in each known way for ATTACK (10s), and print the effect on good clients
	cd e2e && go test -vet=off -count=1 -timeout 90m -parallel 1 -v -run TestAttack -attack $(ATTACK)

# How long each fault of `make faults` lasts.
FAULTS ?= 10s

.PHONY: faults
faults: needs ## Let each dependency of the gateway fail in each known way for FAULTS (10s), and print the effect on clients
	cd e2e && go test -vet=off -count=1 -timeout 90m -v -run TestDependencyFaults -faults $(FAULTS)

.PHONY: bench
bench: needs ## Compare bare ReverseProxy, osgate and osgate with cache (BENCH, BENCH_MODULE, BENCH_PACKAGES choose others)
	cd $(BENCH_MODULE) && go test -run '^$$' -bench '$(BENCH)' -benchmem $(BENCH_PACKAGES)

# Commands that `make bench-peers` needs in addition.
PEER_NEEDS := nginx=nginx-extras,lua-nginx-redis wrk=wrk redis-server=redis-server

# Settings of `make bench-peers` (bench/README.md): rounds, seconds of a round,
# connections, scenarios by regular expression, a binary of osgate and one to compare it
# with, folder for the results, page to update.
ROUNDS      ?= 5
SECONDS     ?= 3
CONNECTIONS ?= 32,128
ONLY        ?=
OSGATE      ?=
OSGATE_BASE ?=
OUT         ?= bin/bench
DOCS        ?=

.PHONY: bench-peers
bench-peers: ## Compare osgate with nginx and Lua, a bare ReverseProxy and a bare handler (ROUNDS, SECONDS, ONLY)
	@scripts/install-missing $(PEER_NEEDS)
	cd bench && go build -o ../bin/osbench .
	cd bench && exec ../bin/osbench -rounds $(ROUNDS) -seconds $(SECONDS) -connections $(CONNECTIONS) -only '$(ONLY)' \
		-osgate '$(abspath $(OSGATE))' -osgate-base '$(abspath $(OSGATE_BASE))' -out $(abspath $(OUT)) -docs '$(abspath $(DOCS))'

# Settings of `make bench-compare`: the commit to compare with, benchmarks by regular
# expression, packages, how often each one runs, and for how long.
BASE             ?=
COMPARE          ?= .
COMPARE_PACKAGES ?= ./auth ./cache ./objectstore ./policy ./proxy ./ratelimit ./record ./stats ./telemetry ./internal/redisconn
COMPARE_COUNT    ?= 6
COMPARE_TIME     ?= 0.2s

.PHONY: bench-compare
bench-compare: needs ## Compare the Go benchmarks of this checkout with those of the commit BASE, by benchstat
	@bench/compare '$(BASE)' '$(COMPARE)' '$(COMPARE_COUNT)' '$(COMPARE_TIME)' $(COMPARE_PACKAGES)

# The import path that `make module` gives to the module.
MODULE ?=

.PHONY: module
module: ## Give the Go module and those in its folders another import path (MODULE=example.com/you/osgate)
	@scripts/rename-module '$(MODULE)'

.PHONY: fmt
fmt: ## Format the Go files
	gofmt -w .

.PHONY: clean
clean: ## Remove build results
	rm -rf bin coverage.* e2e/artifacts

.PHONY: needs
needs:
	@scripts/install-missing $(TEST_NEEDS)
