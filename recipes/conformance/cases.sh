#!/bin/sh
# Writes the cases of the conformance test as an assembler file, inside the sandbox.
#
#   SOURCE    directory of generate.py
#   out       where to put cases.S
set -eu

: "${SOURCE:?}" "${out:?}"

python3 -B "$SOURCE/generate.py" >"$out/cases.S"
