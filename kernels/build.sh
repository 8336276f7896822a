#!/bin/sh
# Builds a Linux kernel from a source tarball and Kconfig fragments, inside the sandbox.
#
#   SOURCE             the tarball, as `linux-source-6.1.tar.xz`
#   FRAGMENTS          files of `CONFIG_NAME=value` lines; where two name the same symbol, the later file wins
#   PATCHES            patches for the source, if any, in the order of their application (`patch -p1`)
#   ARCH               the kernel's own word for the architecture: x86_64
#   JOBS               how many compilers to run at once
#   SOURCE_DATE_EPOCH  the one clock this build may see
#   out                where to put vmlinux, bzImage, config and System.map
#
# The working directory is empty and writable. Neither its path nor JOBS may show in what is made: the kernel is built
# inside its own source tree, where all its paths are relative.
set -eu

: "${SOURCE:?}" "${FRAGMENTS:?}" "${ARCH:?}" "${JOBS:?}" "${SOURCE_DATE_EPOCH:?}" "${out:?}"

export LC_ALL=C TZ=UTC
KBUILD_BUILD_TIMESTAMP=$(date --utc --date="@$SOURCE_DATE_EPOCH")
export KBUILD_BUILD_TIMESTAMP KBUILD_BUILD_VERSION=1 KBUILD_BUILD_USER=vsbuild KBUILD_BUILD_HOST=vsbuild LOCALVERSION=

# Maintainer scripts never ran here, so names that Debian's alternatives would provide don't exist. Of those, the kernel's
# tools insist on `awk`; the others can be named.
mkdir bin linux
ln -s "$(command -v mawk)" bin/awk
PATH=$PWD/bin:$PATH
kmake() { make ARCH="$ARCH" CC=gcc HOSTCC=gcc LEX=flex YACC=bison "$@"; }

tar --extract --file="$SOURCE" --directory=linux --strip-components=1 --no-same-owner
cd linux
for patch in ${PATCHES:-}; do
    patch --strip=1 --fuzz=0 --quiet <"$patch"
done

# Configures from nothing but the fragments. `requests` keeps, for each symbol, who asked last and for what:
# NAME <tab> VALUE <tab> FILE:LINE.
: >requests
for fragment in $FRAGMENTS; do
    awk -v file="${fragment##*/}" '
        /^[ \t]*(#.*)?$/ && !/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { next }
        match($0, /^# CONFIG_[A-Za-z0-9_]+ is not set$/) { print $2 "\tn\t" file ":" FNR; next }
        match($0, /^CONFIG_[A-Za-z0-9_]+=/) {
            print substr($0, 1, RLENGTH - 1) "\t" substr($0, RLENGTH + 1) "\t" file ":" FNR; next
        }
        { print file ":" FNR ": not a line of a Kconfig fragment: " $0 | "cat >&2"; bad = 1 }
        END { exit bad }
    ' "$fragment" >>requests
done
awk -F '\t' '{ last[$1] = $0 } END { for (name in last) print last[name] }' requests | sort >wanted
awk -F '\t' '{ print $1 "=" $2 }' wanted >allconfig
kmake KCONFIG_ALLCONFIG=allconfig allnoconfig >/dev/null

# Kconfig drops in silence what it can't grant; a kernel that lacks what was asked for must not come out of here.
find . -name 'Kconfig*' -type f -exec sed -n 's/^[ \t]*\(menu\)\{0,1\}config[ \t][ \t]*\([A-Za-z0-9_]*\).*/CONFIG_\2/p' {} + |
    sort -u >known
awk -F '\t' '
    FILENAME == "known" { known[$0] = 1; next }
    FILENAME == ".config" {
        if (match($0, /^CONFIG_[A-Za-z0-9_]+=/)) got[substr($0, 1, RLENGTH - 1)] = substr($0, RLENGTH + 1)
        next
    }
    !($1 in known) { print $3 ": " $1 ": this kernel has no such symbol"; bad = 1; next }
    {
        value = $1 in got ? got[$1] : "n"
        if (value == $2) next
        print $3 ": " $1 "=" $2 " was asked for, but it came out as " value \
            (value == "n" ? " (look up what it depends on)" : ""); bad = 1
    }
    END { exit bad }
' known .config wanted >&2 || { echo 'kernel: the configuration is not the one that was asked for' >&2; exit 1; }

kmake --jobs="$JOBS" --silent vmlinux bzImage

# gem5 resolves kernel symbols by the symbol table: it stays. The rest of what strip can take is of no use at run time.
strip --strip-debug --discard-locals --remove-section=.comment -o "$out/vmlinux" vmlinux
cp arch/x86/boot/bzImage "$out/bzImage"
cp .config "$out/config"
cp System.map "$out/System.map"
chmod 644 "$out"/*
