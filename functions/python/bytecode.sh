# The bytecode of Python's library and of the packages in the runtime. On Debian, scripts of the packages make it.
set -eu
export PYTHONHASHSEED=0
cp -R "$RUNTIME" /build/runtime
cd /build/runtime
for directory in usr/lib/python3.11 usr/lib/python3; do
    # Some packages ship a source that is meant to be wrong, as a test; it is not imported.
    python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s /build/runtime -p / "$directory" || true
done
find usr/lib -name __pycache__ -type d | sort | while read -r cache; do
    mkdir -p "$out/$cache"
    cp "$cache"/*.pyc "$out/$cache"
done
