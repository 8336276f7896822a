# Puts the functions in Python beside their bytecode, so that no guest spends simulated time on compiling.
#
# Bytecode says by hash which source it belongs to, and is not compared with it again: no time of a file is in it.
set -eu
mkdir -p "$out"
cp "$SOURCE"/*.py "$out"
export PYTHONHASHSEED=0
python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash -s "$out" -p /srv "$out"
