# Compiles the functions in Go from Debian's packaged libraries into static programs.
#
# No paths, no build id and no symbols go in: the programs depend on the sources and the toolchain alone.
set -eu
mkdir -p /build/go/src
cp -R "$SOURCE" /build/go/src/functions
export HOME=/build GOCACHE=/build/cache GOPATH=/build/go:/usr/share/gocode GO111MODULE=off
export CGO_ENABLED=0 GOFLAGS="-trimpath -p=$JOBS" GOAMD64=v1
mkdir -p "$out"
for name in aes auth fibonacci; do
    go build -ldflags '-s -w -buildid=' -o "$out/$name" "functions/$name"
done
