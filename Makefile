# Commands for people and for CI. `make test` is the one that must be green.

CARGO ?= cargo
VENV := .venv
# those that are published, in the order of their dependencies
CRATES := llm-exchange llm-translate retry-layer sse-layer breaker-layer fallback-layer cache-layer cost-layer budget-layer

# A test whose server is not there is skipped, and says so; here it fails.
.PHONY: test servers test-rust test-allocations test-sdk test-dashboard test-replicas lint doc alone package msrv deny semver bench fuzz clean

test: servers test-rust test-allocations test-sdk test-dashboard test-replicas

servers:
	.ci/servers

# The second time with the ledgers and stores that need a server or a C compiler.
test-rust:
	$(CARGO) test --workspace
	TEST_SERVERS=required $(CARGO) test -p cost-layer -p cache-layer -p budget-layer --all-features

# A counting allocator is installed for these alone.
test-allocations:
	$(CARGO) test -p retry-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p fallback-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p breaker-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p sse-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p cost-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p budget-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p cache-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p testkit --features count-allocations --test alloc

# The official Python clients against the gateway.
test-sdk: $(VENV)/installed
	$(CARGO) build --bin gateway
	$(VENV)/bin/python examples/sdk/try_gateway.py --gateway "$${CARGO_TARGET_DIR:-target}/debug/gateway"

# The gateway's page in a real browser.
test-dashboard: $(VENV)/installed
	$(CARGO) build --bin gateway
	TEST_SERVERS=required $(VENV)/bin/python examples/dashboard/try_dashboard.py \
		--gateway "$${CARGO_TARGET_DIR:-target}/debug/gateway"

# Three gateways as one, one of them killed.
test-replicas:
	$(CARGO) build --bin gateway --bin fake-provider
	$(CARGO) build -p cost-layer --features hdr --example merge_latencies
	python3 examples/replicas/run.py --target "$${CARGO_TARGET_DIR:-target}/debug"

$(VENV)/installed: examples/sdk/requirements.txt examples/dashboard/requirements.txt
	examples/sdk/setup.sh $(VENV)
	$(VENV)/bin/pip install -q -r examples/dashboard/requirements.txt
	touch $@

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

# The vocabulary first: a crate links to its docs only if they are there.
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -p llm-exchange --no-deps --all-features
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --all-features
	.ci/links "$${CARGO_TARGET_DIR:-target}/doc" $(CRATES)

# Each published crate by itself, with no features and with all.
alone:
	for crate in $(CRATES); do \
		$(CARGO) test -p $$crate --no-default-features || exit 1; \
		$(CARGO) test -p $$crate --all-features || exit 1; \
	done

# What would be published, built from the archives alone.
package:
	$(CARGO) package --all-features $(addprefix --package ,$(CRATES))

# Each crate on the oldest Rust that it promises: its rust-version, or the workspace's.
msrv:
	for crate in $(CRATES); do \
		version=$$(cat $$crate/Cargo.toml Cargo.toml | sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' | head -1); \
		rustup toolchain list | grep -q "^$$version.0" || \
			rustup toolchain install $$version.0 --profile minimal || exit 1; \
		echo "$$crate on Rust $$version"; \
		$(CARGO) +$$version.0 check --all-features --package $$crate || exit 1; \
	done

# Needs cargo-deny. Advisories are asked for where there is a network: cargo deny check advisories
deny:
	$(CARGO) deny check licenses bans sources

# Needs cargo-semver-checks. BASE: the commit to compare with.
BASE ?= main
semver:
	$(CARGO) semver-checks $(addprefix --package ,$(CRATES)) --baseline-rev $(BASE)

bench:
	$(CARGO) bench -p llm-exchange -p llm-translate -p retry-layer -p sse-layer -p fallback-layer -p cost-layer -p cache-layer -p budget-layer -p breaker-layer --benches
	$(CARGO) run -q -p testkit --bin bench-table

# One target for a minute: make fuzz TARGET=sse SECONDS=60 (sse, meter, grpc, ndjson, elements, event_stream, paths,
# errors, streams; make fuzz FUZZED=llm-translate TARGET=translate; make fuzz FUZZED=cache-layer TARGET=entry, canonical,
# embeddings, question; make fuzz FUZZED=cost-layer TARGET=prices_json, prices_csv, latencies, rows). What it finds goes
# into corpus/, seeds/ stays.
FUZZED ?= llm-exchange
TARGET ?= sse
SECONDS ?= 60
fuzz:
	cd $(FUZZED) && mkdir -p fuzz/corpus/$(TARGET) && $(CARGO) +nightly fuzz run $(TARGET) \
		fuzz/corpus/$(TARGET) fuzz/seeds/$(TARGET) -- -max_total_time=$(SECONDS)

clean:
	$(CARGO) clean
	rm -rf $(VENV)
