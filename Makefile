# Holdfast: everything a fresh Debian 12 (or later) needs, and the work itself. Rust (rustup.rs) and make are assumed.
#
#   make run      build, then open the window on four demo inputs (without a display: a rehearsal under a virtual one)
#   make test     every check CI runs: format, lints, all tests
#   make lint     format and lints only
#   make bench    latency, CPU and memory at reference load, against a bare GStreamer pipeline
#   make torture  the fault tests with their full counts (minutes to hours); as root, or those that need a disk fail
#   make soak     one recording of an hour, then ten minutes of a window full of alerts: memory, descriptors and threads stay
#   make install  into $(DESTDIR)$(PREFIX)
#   make pot      collect the words of the window into po/holdfast.pot
#   make po       the same, then into every translation; says what is still to be translated

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint bench torture soak install pot po

PREFIX ?= /usr/local
CARGO  ?= cargo

# The one list of Debian packages. `scripts/packages` asks for no more than the target at hand needs.
# Headers, and msgfmt and xgettext for the words.
BUILD_PACKAGES := gcc libc6-dev pkg-config gettext \
    libgtk-4-dev libadwaita-1-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
# x264, AAC (libav), RTSP, parsers; icons and a font, or buttons are boxes.
RUN_PACKAGES := gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly \
    gstreamer1.0-libav adwaita-icon-theme fonts-cantarell librsvg2-common
# A window where there is no screen: the display, a session bus for it, and something that takes a picture.
HEADLESS_PACKAGES := xvfb dbus-daemon imagemagick libgl1-mesa-dri
# A second opinion on every file (ffprobe), a real RTSP server, hands and eyes for the window, validators; and what
# provokes faults: disks of our own, a system call that fails or takes long, a clock that jumps, RealtimeKit, a machine that
# is too busy.
TEST_PACKAGES := $(HEADLESS_PACKAGES) ffmpeg python3 python3-gi gir1.2-gst-rtsp-server-1.0 \
    at-spi2-core gir1.2-atspi-2.0 xdotool desktop-file-utils appstream flatpak-builder \
    e2fsprogs btrfs-progs strace faketime rtkit polkitd systemd stress-ng
# gst-launch-1.0, the bare pipeline a worker is measured against.
BENCH_PACKAGES := gstreamer1.0-tools

# What the tests must not lean on: the display, buses and runtime folder of whoever runs them.
CLEAN_ENV := env -u DISPLAY -u WAYLAND_DISPLAY -u DBUS_SESSION_BUS_ADDRESS -u XDG_RUNTIME_DIR

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

run:
	@scripts/packages $(BUILD_PACKAGES) $(RUN_PACKAGES)
	@if [[ -z "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ]]; then scripts/packages $(HEADLESS_PACKAGES); fi
	@$(CARGO) build --release --locked
	@scripts/run-demo "$${CARGO_TARGET_DIR:-target}/release/holdfast"

lint:
	@scripts/packages $(BUILD_PACKAGES)
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings

# The tests come last: what cargo prints at their end is the result of the target. It judges the change at hand, so its
# random histories follow from the commit: another run of the same finds the same, another commit looks elsewhere.
test:
	@scripts/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	seed=$$((16#$$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1))); echo "PROPTEST_RNG_SEED=$$seed"; \
	$(CLEAN_ENV) PROPTEST_RNG_SEED=$$seed $(CARGO) test --locked </dev/null

bench:
	@scripts/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES)
	$(CLEAN_ENV) $(CARGO) bench --locked --bench recorder </dev/null

torture:
	@scripts/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	$(CLEAN_ENV) TORTURE=1 HOLDFAST_NO_SKIP=1 $(CARGO) test --release --locked </dev/null

soak:
	@scripts/packages $(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES)
	$(CLEAN_ENV) HOLDFAST_SOAK_MINUTES=$${HOLDFAST_SOAK_MINUTES:-60} HOLDFAST_SOAK_WINDOW_MINUTES=$${HOLDFAST_SOAK_WINDOW_MINUTES:-10} \
	    $(CARGO) test --release --locked --test it -- --nocapture --test-threads 1 endurance::nothing_grows </dev/null

install:
	@scripts/packages $(BUILD_PACKAGES) $(RUN_PACKAGES)
	@$(CARGO) build --release --locked
	@scripts/install "$${CARGO_TARGET_DIR:-target}/release/holdfast" "$(PREFIX)" "$(DESTDIR)"

pot:
	@scripts/packages gettext
	@scripts/pot po/holdfast.pot

po:
	@scripts/packages gettext
	@scripts/po
