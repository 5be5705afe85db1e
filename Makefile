# Commands for people and for CI. `make test` is the one that must be green.

CARGO ?= cargo
VENV := .venv

# A test whose server is not there is skipped, and says so; here it fails.
.PHONY: test servers test-rust test-allocations test-sdk lint doc alone package bench fuzz clean

test: servers test-rust test-allocations test-sdk

servers:
	.ci/servers

# The second time with the ledgers that need a server or a C compiler.
test-rust:
	$(CARGO) test --workspace
	TEST_SERVERS=required $(CARGO) test -p cost-layer -p cache-layer --all-features

# A counting allocator is installed for these alone.
test-allocations:
	$(CARGO) test -p retry-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p fallback-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p sse-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p cost-layer --features testkit/count-allocations --test allocations
	$(CARGO) test -p testkit --features count-allocations --test alloc

# The official Python clients against the gateway.
test-sdk: $(VENV)/installed
	$(CARGO) build --bin gateway
	$(VENV)/bin/python examples/sdk/try_gateway.py --gateway "$${CARGO_TARGET_DIR:-target}/debug/gateway"

$(VENV)/installed: examples/sdk/requirements.txt
	examples/sdk/setup.sh $(VENV)
	touch $@

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --all-features

# Each published crate by itself, with no features and with all.
alone:
	for crate in llm-exchange retry-layer sse-layer breaker-layer fallback-layer cache-layer cost-layer; do \
		$(CARGO) test -p $$crate --no-default-features || exit 1; \
		$(CARGO) test -p $$crate --all-features || exit 1; \
	done

package:
	$(CARGO) package --workspace --exclude testkit --exclude gateway --exclude fake-provider --exclude clients --allow-dirty

bench:
	$(CARGO) bench -p llm-exchange -p retry-layer -p sse-layer -p fallback-layer -p cost-layer --benches
	$(CARGO) run -q -p testkit --bin bench-table

# One target for a minute: make fuzz TARGET=sse (sse, meter, grpc, ndjson, elements, event_stream, paths,
# errors, streams). What it finds goes into corpus/, seeds/ stays.
TARGET ?= sse
fuzz:
	cd llm-exchange && mkdir -p fuzz/corpus/$(TARGET) && $(CARGO) +nightly fuzz run $(TARGET) \
		fuzz/corpus/$(TARGET) fuzz/seeds/$(TARGET) -- -max_total_time=60

clean:
	$(CARGO) clean
	rm -rf $(VENV)
