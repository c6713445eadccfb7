# ClawStaff. `make help` lists what there is; the rules stay short, the work is in hack/.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

TOOL = go tool -modfile=hack/tools/go.mod
LINT = go tool -modfile=$(CURDIR)/hack/lint/go.mod golangci-lint run --config $(CURDIR)/.golangci.yml
HELM = $(TOOL) helm

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build every program into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

.PHONY: generate
generate: ## Regenerate deepcopy, apply configurations, CRDs and the chart's copies of them
	hack/generate

.PHONY: verify
verify: ## Regenerate, and fail when something differs from what is committed
	hack/verify

.PHONY: lint
lint: ## Run the linters, import rules included
	$(LINT) ./...
	cd hack/localcluster && $(LINT) ./...

.PHONY: unit
unit: ## Run the tests that need no cluster (they use a real API server)
	KUBEBUILDER_ASSETS="$$(hack/cluster assets)" go test ./api/... ./cmd/... ./internal/... ./test/bench/... ./test/cel/... ./test/docs/... ./test/mutation/... ./test/truth/...
	go -C hack/localcluster test ./...

.PHONY: test
test: unit test-e2e ## Run all tests; installs and starts what they need

.PHONY: test-e2e
test-e2e: ## Run the journey on a real cluster
	hack/e2e

.PHONY: test-cluster
test-cluster: ## Damage the local cluster in every way and want it back; ends the cluster
	go -C hack/localcluster test -tags recovery -count=1 -timeout 20m ./test/recovery

.PHONY: bench
bench: ## Measure: records per second, revocation, start, memory
	hack/bench

.PHONY: demo
demo: ## Bring up everything and tell the story of one Claw
	hack/demo

.PHONY: images
images: ## Build the images into bin/images/
	hack/images

.PHONY: install
install: ## Install with Helm into the cluster of the current KUBECONFIG
	hack/install

.PHONY: uninstall
uninstall: ## Remove the Helm release; kinds and cages are kept
	$(HELM) uninstall clawstaff-system --namespace clawstaff-system

.PHONY: cluster-up
cluster-up: ## Start the local cluster
	hack/cluster up

.PHONY: cluster-down
cluster-down: ## Stop the local cluster and leave nothing behind
	hack/cluster down
