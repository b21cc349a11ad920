#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing for: run (build and run), test, check. Root or sudo.
set -eu
run="gcc libc6-dev make pkg-config libuv1-dev libmicrohttpd-dev libsqlite3-dev libpq-dev libssl-dev libseccomp-dev
     libjavascriptcoregtk-4.1-0"
test="postgresql chromium sqlite3 openssl mosquitto fonts-noto-cjk iproute2 nftables"
check="clang clang-format libclang-rt-dev gcovr"
want=""
for set in "$@"; do
    case $set in
        run) want="$want $run" ;;
        test) want="$want $run $test" ;;
        check) want="$want $run $check" ;;
        *) echo "setup.sh: run, test or check" >&2; exit 2 ;;
    esac
done

# Node builds the screens and drives some tests; 18 or later that is there already is used as it is.
node_is_new() { command -v npm >/dev/null && node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null; }
node_is_new || want="$want nodejs npm"

has() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed' && return 0
    # Debian names the sanitizers' runtime after the compiler's version.
    [ "$1" = libclang-rt-dev ] && ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a >/dev/null 2>&1
}
missing=""
for package in $want; do has "$package" || missing="$missing $package"; done
[ -n "$missing" ] || exit 0

as_root=""
[ "$(id -u)" -eq 0 ] || as_root=sudo
echo "installing:$missing"
$as_root apt-get update -qq
real=""
for package in $missing; do
    if [ "$package" = libclang-rt-dev ]; then
        version=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
        package=libclang-rt-$version-dev
    fi
    real="$real $package"
done
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $real >/dev/null
