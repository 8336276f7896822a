/* Loads a state into the machine, lets something happen, and stores what is there then: hold_NAME(from, to), with the
   layout of `struct state` in state.c. Flags are not touched in between. */
#define XMM 128
#define FLAGS 384
#define X87 392
#define MXCSR 424
#define CONTROL 432
#define NOWHERE 0x30000000
#define ARENA 0x20000000

#include "plain.inc"

        .macro enter
        push_kept
        push %rsi
        mov %rsp, 32(%rdi)
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movups XMM + 16 * \n(%rdi), %xmm\n
        .endr
        fninit
        .irp n, 3, 2, 1, 0
        fldl X87 + 8 * \n(%rdi)
        .endr
        fldcw CONTROL(%rdi)
        ldmxcsr MXCSR(%rdi)
        push FLAGS(%rdi)
        popfq
        mov 0(%rdi), %rax
        mov 8(%rdi), %rcx
        mov 16(%rdi), %rdx
        mov 24(%rdi), %rbx
        mov 40(%rdi), %rbp
        mov 48(%rdi), %rsi
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        mov 8 * \n(%rdi), %r\n
        .endr
        mov 56(%rdi), %rdi
        .endm

        /* Handlers know where an instruction that faults is, and where to go on after it. */
        .macro begin name
        .globl hold_\name, at_\name, after_\name
hold_\name:
        enter
at_\name:
        .endm

        .macro end name
after_\name:
        jmp store
        .endm

        .globl clobber, spawn, restore
store:
        push %rax
        mov 8(%rsp), %rax
        pushfq
        pop FLAGS(%rax)
        cld
        mov %rcx, 8(%rax)
        mov %rdx, 16(%rax)
        mov %rbx, 24(%rax)
        mov %rbp, 40(%rax)
        mov %rsi, 48(%rax)
        mov %rdi, 56(%rax)
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        mov %r\n, 8 * \n(%rax)
        .endr
        pop 0(%rax)
        mov %rsp, 32(%rax)
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movups %xmm\n, XMM + 16 * \n(%rax)
        .endr
        stmxcsr MXCSR(%rax)
        fnstcw CONTROL(%rax)
        .irp n, 0, 1, 2, 3
        fstpl X87 + 8 * \n(%rax)
        .endr
        ldmxcsr usual
        fninit
        pop %rsi
        pop_kept
        ret

        begin clock             /* some ten microseconds of a simulated core, which change no flag */
        mov $10000, %ecx
1:      lea -1(%rcx), %rcx
        jrcxz 2f
        jmp 1b
2:
        end clock

        begin yield
        mov $24, %eax
        syscall
        mov $0, %ecx
        mov $0, %r11d
        end yield

        begin kill              /* SIGUSR1, of itself */
        mov $39, %eax
        syscall
        mov %eax, %edi
        mov $10, %esi
        mov $62, %eax
        syscall
        mov $0, %ecx
        mov $0, %r11d
        mov $0, %edi
        end kill

        begin ud2
        ud2
        end ud2

        begin int3
        int3
        end int3

        begin divide
        div %r8d
        end divide

        begin load
        mov NOWHERE, %r9
        end load

        begin store
        mov %r9, NOWHERE + 8
        end store

        begin jump
        jmp *ARENA
        end jump

        begin copy
        movaps ARENA + 8, %xmm3
        end copy

        begin address
        mov (%r8), %r9
        end address

        begin float
        divps %xmm4, %xmm5
        end float

        /* What a handler, or another thread, may do to a machine that is not its own. */
clobber:
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        pcmpeqd %xmm\n, %xmm\n
        .endr
        fninit
        fldz
        fldpi
        ldmxcsr other
        mov $-1, %rax
        mov %rax, %rcx
        mov %rax, %rdx
        mov %rax, %rsi
        mov %rax, %rdi
        mov %rax, %r8
        mov %rax, %r9
        mov %rax, %r10
        mov %rax, %r11
        add %rax, %rcx
        ret

        /* spawn(flags, stack, function, argument): a thread, which ends with the function. */
spawn:
        sub $16, %rsi
        mov %rdx, (%rsi)
        mov %rcx, 8(%rsi)
        xor %edx, %edx
        xor %r10d, %r10d
        xor %r8d, %r8d
        mov $56, %eax
        syscall
        test %rax, %rax
        jz 1f
        ret
1:      xor %ebp, %ebp
        pop %rax
        pop %rdi
        call *%rax
        xor %edi, %edi
        mov $60, %eax
        syscall

        /* Where a handler returns to. */
restore:
        mov $15, %eax
        syscall

        .section .rodata
        .balign 4
usual:  .long 0x1f80
other:  .long 0x7f80

        .section .arena, "aw", @nobits
        .skip 0x3000
        .section .note.GNU-stack, "", @progbits
