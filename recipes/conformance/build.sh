#!/bin/sh
# Builds the conformance test's program, inside the sandbox.
#
#   CASES     directory with cases.S, as cases.sh makes it
#   SOURCE    directory of runner.c, plain.h and stub.S
#   out       where to put the program `conformance`
#
# It has no library and fixed addresses, which encode.py knows as well.
set -eu

: "${SOURCE:?}" "${CASES:?}" "${out:?}"

cp "$SOURCE/runner.c" "$SOURCE/plain.h" "$SOURCE/stub.S" "$CASES/cases.S" .
gcc -O2 -Wall -Werror -ffreestanding -fno-builtin -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fcf-protection=none -mgeneral-regs-only -mno-red-zone -c runner.c -o runner.o
gcc -c stub.S -o stub.o
gcc -c cases.S -o cases.o
gcc -static -nostdlib -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--section-start=.cases=0x10000000 \
    -Wl,--section-start=.arena=0x20000000 runner.o stub.o cases.o -o conformance
install -m 755 conformance "$out/conformance"
