# How programs without a library are made, for build.sh and state.sh, which read this: nothing of the compiler's own goes in,
# vector registers are the cases' alone, and the arena has the address that the assembler files know.

cp "$SOURCE/plain.h" "$SOURCE/plain.inc" .

compile() {
    gcc -O2 -Wall -Werror -ffreestanding -fno-builtin -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
        -fcf-protection=none -mgeneral-regs-only -mno-red-zone -c "$@"
}

link() {
    gcc -static -nostdlib -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--section-start=.arena=0x20000000 "$@"
}
