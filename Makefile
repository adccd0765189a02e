# make help lists what there is to make.

PREFIX ?= /usr/local
DESTDIR ?=
FOR ?=
FUZZTIME ?= 10s
EVENTS ?= 60
SEED ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PROGRAMS := ffkeeperd ffkeeper-shim ffkeeperctl
# The version comes from git describe above; go's own look at git would fail
# where the checkout belongs to somebody else, as it does in many containers.
GO := GOFLAGS="-buildvcs=false $$GOFLAGS" go

.DEFAULT_GOAL := build
.PHONY: build run test test-vm chaos lint bench fuzz man deb rpm install uninstall clean help

build: ## build the programs into bin/
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

run: ## show the keeper at work on example streams; FOR=15s ends by itself
	@packaging/dev/run $(FOR)

test: build ## run every test, with the race detector and on a booted systemd
	@packaging/dev/deps test
# -count=1: Go's cache does not know of the programs that tests build and install.
	@$(GO) run ./packaging/dev/testcount -count=1 -race -p 2 -timeout 8m ./...

test-vm: build ## run the tests that need a kernel of their own, in a virtual machine
	@packaging/dev/deps vm
	@$(GO) build -o bin/vmtest ./packaging/vmtest
	@CGO_ENABLED=0 $(GO) run ./packaging/dev/testcount -count=1 -tags vmtest -timeout 10m \
		-exec "'$(CURDIR)/bin/vmtest'" ./packaging/vmtest/inside

chaos: ## let 60 things happen to the daemon on a booted systemd; EVENTS=60, SEED= as printed
	@packaging/dev/deps test
	@CHAOS_EVENTS=$(EVENTS) CHAOS_SEED=$(SEED) $(GO) test -race -count=1 -v -timeout 30m -run TestChaos ./packaging/chaos

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags vmtest ./packaging/vmtest/...
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags vmtest ./packaging/vmtest/...

bench: build ## measure beside supervisord and print a table
	@packaging/dev/deps bench
	@$(GO) run ./packaging/bench

fuzz: ## run every fuzz target for FUZZTIME=10s
	@packaging/dev/fuzz $(FUZZTIME)

man: ## make the manual pages anew from docs/ and the tables in the code
	$(GO) run ./packaging/man

deb: ## build the package for Debian and its like into dist/
	@packaging/nfpm/package dist '$(VERSION)' deb

rpm: ## build the package for Fedora and its like into dist/
	@packaging/nfpm/package dist '$(VERSION)' rpm

install: $(addprefix bin/,$(PROGRAMS)) ## install what is in bin/ and packaging/; DESTDIR=, PREFIX=/usr/local
	@packaging/dev/install '$(DESTDIR)' '$(PREFIX)'

uninstall: ## remove what install put there; stream files and settings stay
	@packaging/dev/uninstall '$(DESTDIR)' '$(PREFIX)'

# No prerequisites: "sudo make install" installs what "make" built, as root
# often finds no Go.
$(addprefix bin/,$(PROGRAMS)):
	$(MAKE) build

clean: ## remove what was built
	rm -rf bin dist

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 18
