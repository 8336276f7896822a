#!/bin/sh
# Builds the program that tries what outlives switches and signals, inside the sandbox.
#
#   SOURCE    directory of state.c, state.S and plain.h
#   out       where to put the program `state`
#
# It has no library, and its arena is where state.S has it.
set -eu

: "${SOURCE:?}" "${out:?}"

cp "$SOURCE/state.c" "$SOURCE/state.S" "$SOURCE/plain.h" .
gcc -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
    -fcf-protection=none -mgeneral-regs-only -mno-red-zone -c state.c -o state-c.o
gcc -c state.S -o state-s.o
gcc -static -nostdlib -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--section-start=.arena=0x20000000 state-c.o \
    state-s.o -o state
install -m 755 state "$out/state"
