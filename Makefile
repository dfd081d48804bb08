# Prunella. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 60s
SOAK ?= 20
# packages whose code starts no goroutine, and the one that drives real programs: the race detector sees nothing in them
SINGLE := cmd/prunella|said|match|correlate|diagnose|heal|condition|skill|skill/importer|skill/export|thread/exportgen
# hours of virtual time: ten times as long under the race detector, which sees in the others what it could see in these
LONG := TestADay|TestModel|TestThreeRotations|TestAnIncidentThatGrows|TestAChangeThatIsHeardOfLate
LDFLAGS := -s -w

.PHONY: help build demo test check deps bench tournament fuzz soak clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/prunella (one static file, no cgo)
	@[ -x bin/prunella ] || echo 'building bin/prunella; the first time this takes a few minutes'
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/prunella ./cmd/prunella

demo: build ## break a world of eight services at a key rotation and watch it heal (http://127.0.0.1:7070)
	@bin/prunella demo

deps: ## install what the tests need and this machine lacks (Debian packages)
	@bash .ci/deps

# Most of these tests wait more than they work: more run at once than there are cores.
test: deps check ## run everything: the checks, every test with the race detector, every scenario live
	@$(GO) test -race -p 4 -timeout 12m -skip '$(LONG)' $$($(GO) list ./... | grep -vxE 'prunella/($(SINGLE)|scenarios)')
	@$(GO) test -p 3 -parallel 4 -timeout 12m $$($(GO) list ./... | grep -xE 'prunella/($(SINGLE))')
	@$(GO) test -count=1 -timeout 12m -run '$(LONG)' ./app ./rotation
	@$(GO) test -count=1 -parallel 3 -timeout 12m ./scenarios

check: ## format, vet, staticcheck, dead code, tidy
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted (run gofmt -w):"; echo "$$out"; exit 1; fi
	@$(GO) mod tidy -diff
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...
	@out=$$($(GO) tool deadcode -test ./...); if [ -n "$$out" ]; then echo "dead code:"; echo "$$out"; exit 1; fi

tournament: ## our verifier and issuer beside their peers, in one run: writes docs/tournament.md (about 15 minutes)
	@$(GO) -C bench/rotation mod tidy -diff
	@$(GO) -C bench/rotation vet ./...
	@$(GO) -C bench/rotation test ./...
	@$(GO) run ./bench/rotation --out docs/tournament.md >/dev/null

bench: ## measure matching, diagnosis, intake and storage
	@$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz: ## fuzz every parser of outside bytes, FUZZTIME each (default 60s)
	@set -e; for p in $$($(GO) list ./...); do \
	  dir=$$($(GO) list -f '{{.Dir}}' $$p); \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | awk '{print $$2}'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$p; done; done

soak: ## every live scenario SOAK times with different seeds and worlds (default 20; about 40 minutes), and the long proofs
	@PRUNELLA_SOAK=1 $(GO) test -count=1 -timeout 1h -run 'TestProcess|TestADay' ./cmd/prunella ./app
	@set -o pipefail; PRUNELLA_SOAK=$(SOAK) $(GO) test -v -tags soak -run TestSoak -count=1 -timeout 3h ./scenarios \
	  | grep --line-buffered -vE '^(=== |PASS| +--- PASS)'

clean: ## remove what was built
	@rm -rf bin out
