# Redoubt. `make` lists the targets.

GO        ?= go
BIN       := bin/redoubt
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X redoubt/internal/version.Build=$(VERSION)
STATIC    := CGO_ENABLED=0
SEEDS     ?= 1000
SOAK      ?= 10m
SEED      ?=
WITHOUT   ?=
FUZZTIME  ?= 20s
TESTS     ?= ./...
CALM      ?= 1h
BENCH     ?=
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build lab test race lint docs sim sim-night sim-large sim-mutants sim-scale fuzz interop partitions guide soak calm chaos chaos-faults bench pgo image compose deb deb-test check clean bench-memory bench-pauses bench-compaction bench-types bench-snapshot bench-sentinels bench-quorum

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

build: ## build the static binary bin/redoubt
	$(STATIC) $(GO) build -pgo=auto -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/redoubt

lab: build ## build, then start six nodes on this machine as one cluster, ready to use
	$(BIN) lab

test: ## pass the tests (real redis-server tests are skipped where it is not installed)
	$(GO) vet ./...
	$(GO) test -vet=off -pgo=off -timeout 20m $(TESTS)
	$(GO) test -vet=off ./internal/server -tls

race: ## the tests under the race detector
	$(GO) test -race -pgo=off -timeout 40m ./...

lint: ## gofmt, vet, staticcheck, and the table of imports
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt: the files above"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test ./internal/lint

docs: ## make docs/config.md, docs/commands.md and the table in docs/metrics.md anew
	$(GO) test ./internal/config -run Documentation -write
	$(GO) test ./internal/metrics -run Documentation -write
	$(GO) test ./internal/node -run CommandsAreDocumented -write

# What is simulated: clusters in cluster/sim, Sentinels in cluster/sim/sentinels. All seeds are
# run of both, or of the one that is named; a single seed is one of clusters otherwise.
OF ?=

sim: ## the simulators of clusters and Sentinels: SEEDS=1000 random runs of each and one of 300 nodes, or SEED=n OF=cluster/sim to replay one
ifeq ($(SEED),)
ifneq ($(OF),cluster/sim/sentinels)
	GOGC=400 $(GO) test ./cluster/sim -count=1 -timeout 20m -run 'Seed|ThreeHundred' -seeds $(SEEDS) -large
endif
ifneq ($(OF),cluster/sim)
	GOGC=400 $(GO) test ./cluster/sim/sentinels -count=1 -timeout 20m -run Seed -seeds $(SEEDS)
endif
else
	$(GO) test ./$(or $(OF),cluster/sim) -count=1 -v -run Seed -seed $(SEED) $(if $(WITHOUT),-without $(WITHOUT))
endif

LARGE      ?= 1
NIGHT      ?= 8h
NIGHT_SEED ?= 0

sim-night: ## random clusters for NIGHT=8h from a random seed on; tells the simulated time, the faults by kind and the states
	GOGC=400 $(GO) test ./cluster/sim -count=1 -timeout 0 -v -run Night -night $(NIGHT) -night-seed $(NIGHT_SEED)

sim-large: ## LARGE=1 simulated clusters of 500 nodes that lose ten primaries each
	GOGC=400 $(GO) test ./cluster/sim -count=1 -timeout 0 -v -run FiveHundred -large-seeds $(LARGE)

sim-mutants: ## sees each law of the simulator fail: takes out of package cluster what it watches over, and runs a seed that finds it
	$(GO) test ./cluster/sim -count=1 -timeout 0 -v -run Mutants -mutants

sim-scale: ## what the cluster bus costs a node among 100, 500 and 1,000: messages, bytes, memory, processor
	$(GO) test ./cluster/sim -count=1 -timeout 20m -run XXX -bench Scale -benchtime 1x

interop: build ## clusters of real redis-server nodes and ours, redis-cli, client libraries, faults
	REDOUBT_BIN=$(CURDIR)/$(BIN) $(GO) test ./interop -count=1 -timeout 20m

FOR ?= 10m

partitions: build ## for FOR=10m random faults of the network and of nodes in network namespaces (needs root); SEED=n repeats the faults
	PARTITIONS=$(FOR) PARTITIONS_SEED=$(SEED) REDOUBT_BIN=$(CURDIR)/$(BIN) $(GO) test ./interop -count=1 -timeout 0 -v -run TestRandomPartitions

soak: ## for SOAK=10m all commands on a primary with replicas of either kind; under the race detector, and as long with checks of memory
	$(GO) build -race -pgo=off -trimpath -o bin/redoubt-race ./cmd/redoubt
	$(STATIC) $(GO) build -tags invariants -pgo=off -trimpath -o bin/redoubt-invariants ./cmd/redoubt
	SOAK=$(SOAK) REDOUBT_BIN=$(CURDIR)/bin/redoubt-race $(GO) test ./interop -count=1 -timeout 0 -v -run TestSoak
	SOAK=$(SOAK) REDOUBT_BIN=$(CURDIR)/bin/redoubt-invariants $(GO) test ./interop -count=1 -timeout 0 -v -run TestSoak

calm: build ## for CALM=1h a cluster of six is disturbed in all ways that must not cause a failover
	CALM=$(CALM) REDOUBT_BIN=$(CURDIR)/$(BIN) $(GO) test ./interop -count=1 -timeout 0 -v -run TestCalm

EPISODES ?= 100

chaos: build ## EPISODES=100 episodes of faults in clusters with durability quorum, whose clients' histories are judged; SEED=n is the first
	CHAOS=$(EPISODES) CHAOS_SEED=$(SEED) CHAOS_DIR=$(CURDIR)/bin/chaos REDOUBT_BIN=$(CURDIR)/$(BIN) \
		$(GO) test ./interop -count=1 -timeout 0 -v -run 'TestChaos$$'

# What a faulty binary is found within, and which faults it has: all, or FAULT=vote-unsynced.
FOUND_WITHIN ?= 50
FAULT        ?=

chaos-faults: ## sees chaos find a server with each fault of internal/fault, within 50 episodes; FAULT=name is one of them
	$(STATIC) $(GO) build -tags faulty -pgo=off -trimpath -o bin/redoubt-faulty ./cmd/redoubt
	CHAOS_FAULTS=$(FOUND_WITHIN) CHAOS_FAULT=$(FAULT) CHAOS_SEED=$(SEED) CHAOS_DIR=$(CURDIR)/bin/chaos REDOUBT_BIN=$(CURDIR)/bin/redoubt-faulty \
		$(GO) test ./interop -count=1 -timeout 0 -v -run TestChaosFindsFaults

bench: build ## beside redis-server: throughput, CPU, memory; a quick look: BENCH="-rounds 3 -seconds 0.4"
	$(GO) run ./internal/tools/bench -bin $(BIN) $(BENCH)

bench-memory: build ## beside redis-server: bytes per key and element, loading, restarting; BENCH="-keys 500000"
	$(GO) run ./internal/tools/bench memory -bin $(BIN) $(BENCH)

bench-pauses: build ## beside redis-server: loading and deleting 10 M keys at once, 10,000 clients that wait
	$(GO) run ./internal/tools/bench memory -bin $(BIN) -only pauses,blocked $(BENCH)

bench-compaction: build ## beside redis-server: memory and latency after most of 2 GiB were deleted; BENCH="-fill 500"
	$(GO) run ./internal/tools/bench memory -only compaction -bin $(BIN) $(BENCH)

bench-types: build ## beside redis-server: throughput of commands on collections, streams, scripts and others; BENCH="-tests others"
	$(GO) run ./internal/tools/bench types -bin $(BIN) $(BENCH)

bench-snapshot: build ## beside redis-server: throughput and latency during BGSAVE; BENCH="-keys 1000000"
	$(GO) run ./internal/tools/bench snapshot -bin $(BIN) $(BENCH)

bench-sentinels: build ## processor time of three Sentinels that watch 1,000 masters
	$(GO) run ./internal/tools/bench sentinels -bin $(BIN) $(BENCH)

bench-quorum: build ## a shard with durability quorum beside one at everysec, and redis-server with WAIT 1; BENCH="-rounds 3"
	$(GO) run ./internal/tools/bench quorum -bin $(BIN) $(BENCH)

pgo: ## make the profile anew by which the compiler optimizes, cmd/redoubt/default.pgo (needs redis-benchmark)
	scripts/pgo.sh

guide: build ## play the operations guide: with Redoubt alone, with the Sentinels of Redis, and with its nodes (needs haproxy and redis-server)
	scripts/guides.sh

image: build ## the container images, FROM scratch: redoubt:local, redoubt-sentinel:local, and HAProxy's if it is installed; pulls nothing
	mkdir -p bin/data
	docker build -t redoubt:local -f docker/Dockerfile bin
	docker build -t redoubt-sentinel:local -f docker/Dockerfile.sentinel docker
	scripts/haproxy-image.sh

compose: image ## containers: a cluster of six, a primary under Sentinels; kill, pause and cut off nodes under redoubt check
	scripts/compose-lab.sh
	scripts/compose-sentinel.sh

deb: build ## the Debian package bin/redoubt_VERSION_ARCH.deb, by dpkg-deb alone
	packaging/deb/build.sh bin

deb-test: deb ## install, run, upgrade, remove and purge the package, and its units under systemd, in a copy of this machine
	scripts/deb.sh

fuzz: ## run every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) GO=$(GO) scripts/fuzz.sh

check: lint test race ## what a commit must pass

clean: ## remove what was built
	rm -rf bin
