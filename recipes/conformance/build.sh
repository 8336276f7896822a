#!/bin/sh
# Builds the conformance test's program, inside the sandbox.
#
#   CASES     directory with cases.S, as cases.sh makes it
#   SOURCE    directory of runner.c, stub.S and what they include
#   out       where to put the program `conformance`
#
# It has no library and fixed addresses, which encode.py knows as well.
set -eu

: "${SOURCE:?}" "${CASES:?}" "${out:?}"

. "$SOURCE/plain.sh"
cp "$SOURCE/runner.c" "$SOURCE/stub.S" "$CASES/cases.S" .
compile runner.c -o runner.o
gcc -c stub.S -o stub.o
gcc -c cases.S -o cases.o
link -Wl,--section-start=.cases=0x10000000 runner.o stub.o cases.o -o conformance
install -m 755 conformance "$out/conformance"
