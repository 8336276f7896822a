#!/bin/sh
# Builds the program that tries what outlives switches and signals, inside the sandbox.
#
#   SOURCE    directory of state.c, state.S and what they include
#   out       where to put the program `state`
#
# It has no library.
set -eu

: "${SOURCE:?}" "${out:?}"

. "$SOURCE/plain.sh"
cp "$SOURCE/state.c" "$SOURCE/state.S" .
compile -Wextra state.c -o state-c.o
gcc -c state.S -o state-s.o
link state-c.o state-s.o -o state
install -m 755 state "$out/state"
