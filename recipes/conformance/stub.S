/* From C into a case and back: the whole state of the machine is loaded from and stored to the arena at 0x20000000, with
   absolute addresses only, since no register can be spared. */
#define IN 0x20000000
#define OUT 0x20001000
#define FLAGS 384
#define SCRATCH 0x20000f00
#define TARGET 0x20002000
#define SAVED 0x20002008

#include "plain.inc"

        .globl run_case, leave
run_case:
        push_kept
        mov %rsp, SAVED
        mov %rdi, TARGET
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movups IN + 128 + 16 * \n, %xmm\n
        .endr
        mov $SCRATCH, %rsp
        mov IN + FLAGS, %rax
        push %rax
        popfq
        mov IN + 0, %rax
        mov IN + 8, %rcx
        mov IN + 16, %rdx
        mov IN + 24, %rbx
        mov IN + 32, %rsp
        mov IN + 40, %rbp
        mov IN + 48, %rsi
        mov IN + 56, %rdi
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        mov IN + 8 * \n, %r\n
        .endr
        jmp *TARGET

leave:
        mov %rax, OUT + 0
        mov %rcx, OUT + 8
        mov %rdx, OUT + 16
        mov %rbx, OUT + 24
        mov %rsp, OUT + 32
        mov %rbp, OUT + 40
        mov %rsi, OUT + 48
        mov %rdi, OUT + 56
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        mov %r\n, OUT + 8 * \n
        .endr
        mov SAVED, %rsp
        pushfq
        pop %rax
        mov %rax, OUT + FLAGS
        cld
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movups %xmm\n, OUT + 128 + 16 * \n
        .endr
        pop_kept
        ret

        .section .arena, "aw", @nobits
        .skip 0x3000
        .section .note.GNU-stack, "", @progbits
