# shellcheck shell=bash disable=SC2034  # variables are for those who source this
# Shared by setup and run: where things are cached, and how to say that something is missing.

RIG_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO_DIR=$(cd "$RIG_DIR/../.." && pwd)
CACHE=${PULSEGATE_RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pulsegate-rig}

KERNEL_PACKAGE=linux-source-6.1
# Unpacked below $TOOLS, never installed: this machine's own Bluetooth (if any) is left alone.
GUEST_PACKAGES=(bluez busybox-static)

TOOLS=$CACHE/tools

export PYTHONDONTWRITEBYTECODE=1 # no droppings in the source tree

# skip WHAT...: the rig cannot run here; 77 is the status that test harnesses take for "skipped".
skip() {
    echo "SKIP rig: $*"
    exit 77
}

say() { echo "rig: $*" >&2; }

have() { command -v "$1" >/dev/null; }

# The version apt would fetch, or nothing when apt knows none (no lists, no network, another distribution).
candidate() { apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

# Kernels are kept as linux-SOURCE_VERSION-HASH_OF_OPTIONS.
kernel_options_hash() { grep '^CONFIG' "$RIG_DIR/kernel.config" | sha256sum | cut -c1-12; }

# The newest kernel built with the options of kernel.config, or nothing. Which point release it is does not
# matter: asking apt takes a second, and a new one upstream is no reason to build for minutes before a test.
built_kernel() {
    # shellcheck disable=SC2012  # the names are ours: no blanks
    ls -t "$CACHE"/linux-*-"$(kernel_options_hash)" 2>/dev/null | head -n 1 || true
}

venv_path() { echo "$CACHE/venv-$(sha256sum <"$RIG_DIR/requirements.txt" | cut -c1-12)"; }
