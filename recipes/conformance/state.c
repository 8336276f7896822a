/* Does what a program holds in registers outlive switches to another and signals? Cases like those of runner.c, but about what
   processor and kernel do together; a line for each, "NAME<tab>REGISTERS FLAGS XMM MEMORY".

   state [NAME]

   As process 1 it ends the machine afterwards. Each case runs in a process of its own, so that one that dies costs only itself.
   What differs from time to time (how often a clock ticked) is in no hash. Numbers are Linux's for x86-64
   (arch/x86/entry/syscalls/syscall_64.tbl; uapi/asm/ucontext.h and sigcontext.h; uapi/linux/sched.h). */

#include "plain.h"

enum { MMAP = 9, SIGACTION = 13, NANOSLEEP = 35, SETITIMER = 38, GETPID = 39, FORK = 57, EXIT = 60, WAIT = 61,
       KILL = 62, SIGALTSTACK = 131, PRCTL = 157, ARCH_PRCTL = 158, REBOOT = 169, YIELD = 24, SET_AFFINITY = 203,
       GET_AFFINITY = 204 };
enum { SIGILL = 4, SIGTRAP = 5, SIGFPE = 8, SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12, SIGALRM = 14 };
enum { ROUNDS = 8, REGISTERS = 16, XMM = 32, X87 = 4, STACK = 16384 };
#define DEFINED_FLAGS 0xcd5ul

/* The layout is state.S's. Of the stack pointer only how far it moved is kept. */
struct state {
    u64 registers[REGISTERS], xmm[XMM], flags, x87[X87], mxcsr, control;
};
enum { RAX = 0, RCX = 1, RSP = 4, R8 = 8, R11 = 11 };

typedef void (*hold)(struct state *from, struct state *to);

#define HOLD(name) extern void hold_##name(struct state *, struct state *); extern const u8 at_##name[], after_##name[]
HOLD(clock);
HOLD(yield);
HOLD(kill);
HOLD(ud2);
HOLD(int3);
HOLD(divide);
HOLD(load);
HOLD(store);
HOLD(jump);
HOLD(copy);
HOLD(address);
HOLD(float);
extern void clobber(void), restore(void);
extern long spawn(u64 flags, void *stack, void (*function)(void *), void *argument);

/* What the parties of a case share, threads and processes alike. */
struct share {
    volatile u64 stop, left, turns, wrong, hashes[4];
};

struct test {
    const char *name;
    void (*run)(const struct test *);
    hold hold;
    const u8 *at, *after;
    enum { PLAIN, TO_PROCESS, OWN_STACK, IN_A_SIGNAL, OTHER_REGISTERS } how;
    /* Of a fault: its signal, and what r8 must hold. */
    int signal, sets_r8;
    u64 r8;
};

static struct share *share;
static u64 bases[2][2];
static u8 stacks[2][STACK] __attribute__((aligned(16)));

static u64 seed_of(const struct test *test) {
    u64 seed = 0;
    for (const char *c = test->name; *c; c++) seed = seed * 131 + (u8)*c;
    return seed;
}

static u64 chance(u64 *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void prepare(u64 *seed, struct state *state) {
    for (int i = 0; i < REGISTERS; i++) state->registers[i] = chance(seed);
    for (int i = 0; i < XMM; i++) state->xmm[i] = chance(seed);
    /* Doubles of ordinary size, which x87 registers hold exactly. */
    for (int i = 0; i < X87; i++) state->x87[i] = (chance(seed) & 0x800ffffffffffffful) | (1023ul - 16 + (chance(seed) & 31)) << 52;
    state->flags = 0x202 | (chance(seed) & DEFINED_FLAGS);
    /* All exceptions masked; any rounding, and denormals as they come. */
    state->mxcsr = 0x1f80 | (chance(seed) & 0xe040);
    state->control = 0x37f | (chance(seed) & 0xc00);
}

static int differs(const struct state *from, const struct state *to) {
    const u64 *a = (const u64 *)from, *b = (const u64 *)to;
    for (u64 i = 0; i < sizeof *from / 8; i++)
        if (i == (u64)((const u64 *)&from->flags - a) ? (a[i] ^ b[i]) & DEFINED_FLAGS : a[i] != b[i]) return 1;
    return 0;
}

static void keep(struct state *from, struct state *to) {
    to->registers[RSP] -= from->registers[RSP];
    to->flags &= DEFINED_FLAGS;
    u64 *hashes = (u64 *)share->hashes;
    hashes[0] = mix(hashes[0], to->registers, REGISTERS);
    hashes[1] = mix(hashes[1], &to->flags, 1);
    hashes[2] = mix(hashes[2], to->xmm, XMM);
    hashes[2] = mix(hashes[2], &to->mxcsr, 1);
    hashes[3] = mix(hashes[3], to->x87, X87);
    hashes[3] = mix(hashes[3], &to->control, 1);
}

static void note(u64 word) { share->hashes[3] = mix(share->hashes[3], &word, 1); }

/* Each task has segments of its own, with its number in them. */
static void own_segments(u64 who) {
    enum { SET_GS = 0x1001, SET_FS = 0x1002 };
    bases[who][0] = 0x5e90 + who;
    bases[who][1] = 0x5e9f + who;
    system_call(ARCH_PRCTL, SET_FS, (long)&bases[who][0], 0);
    system_call(ARCH_PRCTL, SET_GS, (long)&bases[who][1], 0);
}

static u64 segments(void) {
    u64 fs, gs;
    __asm__ volatile("mov %%fs:0, %0\n\tmov %%gs:0, %1" : "=r"(fs), "=r"(gs));
    return fs << 32 | gs;
}

/* Switches: the other party */

static void other_party(void *argument) {
    const struct test *test = argument;
    struct state from, to;
    u64 seed = ~seed_of(test);
    static const u64 moment[2] = {0, 50000};
    own_segments(1);
    u64 own = segments();
    while (!share->stop) {
        if (test->hold == hold_clock) {
            clobber();
            system_call(NANOSLEEP, (long)moment, 0, 0);
        } else {
            prepare(&seed, &from);
            from.registers[RAX] = from.registers[RCX] = from.registers[R11] = 0;
            hold_yield(&from, &to);
            share->wrong += differs(&from, &to) || segments() != own;
        }
        share->turns++;
    }
    share->left = 1;
}

/* A core is shared only by those who cannot have two. */
static void one_core(void) {
    u64 cores[128] = {0}, one[128] = {0};
    long size = system_call(GET_AFFINITY, 0, sizeof cores, (long)cores);
    for (long i = 0; i < size / 8; i++)
        if (cores[i]) {
            one[i] = cores[i] & -cores[i];
            break;
        }
    system_call(SET_AFFINITY, 0, size, (long)one);
}

static void switches(const struct test *test) {
    enum { THREAD = 0x50f00, DEATH_SIGNAL = 1, SIGKILL = 9 };
    struct state from, to;
    u64 seed = seed_of(test);
    one_core();
    if (test->how != TO_PROCESS) {
        spawn(THREAD, stacks[0] + STACK, other_party, (void *)test);
    } else if (system_call(FORK, 0, 0, 0) == 0) {
        system_call(PRCTL, DEATH_SIGNAL, SIGKILL, 0);
        other_party((void *)test);
        system_call(EXIT, 0, 0, 0);
    }
    own_segments(0);
    for (int round = 0; round < ROUNDS; round++) {
        prepare(&seed, &from);
        from.registers[RCX] = 0;
        if (test->hold == hold_yield) from.registers[RAX] = from.registers[R11] = 0;
        u64 turns = share->turns;
        do test->hold(&from, &to);
        while (share->turns == turns && !differs(&from, &to));
        keep(&from, &to);
        note(segments());
    }
    share->stop = 1;
    while (!share->left) system_call(YIELD, 0, 0, 0);
    note(share->wrong);
}

/* Signals: what a handler does */

struct context {
    u64 flags, link, stack[3], registers[23];
    u8 *floats;
    /* more follows */
};
enum { RIP = 16, EFLAGS = 17, ERROR = 19, TRAP = 20, ADDRESS = 22, PAGE_FAULT = 14 };
/* Where the frame has the registers, by their numbers. */
static const int places[REGISTERS] = {13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7};

static const struct test *current;
static struct state *given, *wanted;
static volatile u64 signals, interrupted;
static u64 frame_in;

static void handler(int signal, void *info, struct context *context) {
    (void)info;
    signals++;
    frame_in = (u64)context;
    u64 *registers = context->registers;
    u64 *xmm = (u64 *)(context->floats + 160);
    interrupted += registers[RIP] >= (u64)at_clock && registers[RIP] < (u64)after_clock;
    if (current->at) {
        /* The machine as it was where it stopped. */
        note((u64)signal);
        note(registers[TRAP]);
        note(registers[ERROR]);
        if (registers[TRAP] == PAGE_FAULT) note(registers[ADDRESS]);
        note(registers[EFLAGS] & DEFINED_FLAGS);
        note(registers[RIP] - (current->hold == hold_jump ? 0 : (u64)current->at));
        for (int i = 0; i < REGISTERS; i++) note(i == RSP ? registers[places[i]] - given->registers[RSP] : registers[places[i]]);
        for (int i = 0; i < XMM; i++) note(xmm[i]);
        registers[RIP] = (u64)current->after;
    }
    if (wanted && signal == SIGUSR1) {
        for (int i = 0; i < REGISTERS; i++)
            if (i != RSP) registers[places[i]] = wanted->registers[i];
        for (int i = 0; i < XMM; i++) xmm[i] = wanted->xmm[i];
        registers[EFLAGS] = (registers[EFLAGS] & ~DEFINED_FLAGS) | (wanted->flags & DEFINED_FLAGS);
        *(u32 *)(context->floats + 24) = (u32)wanted->mxcsr;
        *(u16 *)context->floats = (u16)wanted->control;
    }
    if (current->how == IN_A_SIGNAL && signal == SIGUSR1)
        system_call(KILL, system_call(GETPID, 0, 0, 0), SIGUSR2, 0);
    clobber();
}

static void handle(int signal) {
    enum { SIGINFO = 4, RESTORER = 0x4000000, ONSTACK = 0x8000000 };
    const u64 action[4] = {(u64)handler, SIGINFO | RESTORER | ONSTACK, (u64)restore, 0};
    system_call4(SIGACTION, signal, (long)action, 0, 8);
}

/* An instruction that a processor refuses, and what the handler is told. */
static void faults(const struct test *test) {
    struct state from, to;
    u64 seed = seed_of(test);
    handle(test->signal);
    *(u64 *)0x20000000 = 0x20000800;
    for (int round = 0; round < ROUNDS; round++) {
        prepare(&seed, &from);
        if (test->sets_r8) from.registers[R8] = test->r8;
        if (test->hold == hold_float) {
            from.mxcsr &= ~0x200ul;
            from.xmm[8] = from.xmm[9] = 0;
            from.xmm[10] = from.xmm[11] = 0x3f8000003f800000;
        }
        given = &from;
        test->hold(&from, &to);
        keep(&from, &to);
    }
    note(signals);
}

/* A signal from itself. */
static void kills(const struct test *test) {
    const u64 stack[3] = {(u64)stacks[1], 0, STACK};
    struct state from, to, other;
    u64 seed = seed_of(test);
    handle(SIGUSR1);
    handle(SIGUSR2);
    if (test->how == OWN_STACK) system_call(SIGALTSTACK, (long)stack, 0, 0);
    for (int round = 0; round < ROUNDS; round++) {
        prepare(&seed, &from);
        prepare(&seed, &other);
        given = &from;
        wanted = test->how == OTHER_REGISTERS ? &other : 0;
        test->hold(&from, &to);
        keep(&from, &to);
        note(frame_in - (u64)stacks[1] < STACK);
    }
    note(signals);
}

/* A clock that interrupts the program somewhere in its loop. How long that takes to begin is the machine's secret, so that
   another delay is tried until one fits. */
static void ticks(const struct test *test) {
    enum { MICROSECONDS = 3, SHORTEST = 5, LONGEST = 50000 };
    struct state from, to;
    u64 seed = seed_of(test), delay[4] = {0, 0, 0, SHORTEST};
    handle(SIGALRM);
    for (int round = 0; round < ROUNDS; round++) {
        prepare(&seed, &from);
        from.registers[RCX] = 0;
        u64 before = interrupted;
        for (;;) {
            system_call(SETITIMER, 0, (long)delay, 0);
            test->hold(&from, &to);
            if (interrupted != before || differs(&from, &to)) break;
            delay[MICROSECONDS] = delay[MICROSECONDS] < LONGEST ? 2 * delay[MICROSECONDS] : SHORTEST;
        }
        keep(&from, &to);
    }
}

#define FAULT(text, what, number, ...) \
    {.name = "signal by-fault of " text, .run = faults, .hold = hold_##what, .at = at_##what, .after = after_##what, \
     .signal = number, __VA_ARGS__}
static const struct test tests[] = {
    {.name = "switch by-yield to a thread", .run = switches, .hold = hold_yield},
    {.name = "switch by-yield to a process", .run = switches, .hold = hold_yield, .how = TO_PROCESS},
    {.name = "switch by-clock to a thread", .run = switches, .hold = hold_clock},
    {.name = "switch by-clock to a process", .run = switches, .hold = hold_clock, .how = TO_PROCESS},
    {.name = "signal by-clock", .run = ticks, .hold = hold_clock},
    {.name = "signal by-kill", .run = kills, .hold = hold_kill},
    {.name = "signal by-kill, on its own stack", .run = kills, .hold = hold_kill, .how = OWN_STACK},
    {.name = "signal by-kill, in a signal", .run = kills, .hold = hold_kill, .how = IN_A_SIGNAL},
    {.name = "signal by-kill, with other registers after it", .run = kills, .hold = hold_kill, .how = OTHER_REGISTERS},
    FAULT("ud2", ud2, SIGILL),
    FAULT("int3", int3, SIGTRAP),
    FAULT("a division by zero", divide, SIGFPE, .sets_r8 = 1),
    FAULT("a load from nowhere", load, SIGSEGV),
    FAULT("a store to nowhere", store, SIGSEGV),
    FAULT("a jump to data", jump, SIGSEGV),
    FAULT("a load from no address", address, SIGSEGV, .sets_r8 = 1, .r8 = 1ul << 63),
    FAULT("a misaligned movaps", copy, SIGSEGV),
    FAULT("an unmasked divps by zero", float, SIGFPE),
};

static u64 length(const char *text) {
    u64 count = 0;
    while (text[count]) count++;
    return count;
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static void run(const struct test *test) {
    enum { PROFILE = 2 };
    static const u64 long_enough[4] = {0, 0, 5, 0};
    char line[32] = "\tended by signal ";
    u32 status = 0;
    put(test->name, length(test->name));
    *share = (struct share){.hashes = {1, 2, 3, 4}};
    long child = system_call(FORK, 0, 0, 0);
    if (child == 0) {
        system_call(SETITIMER, PROFILE, (long)long_enough, 0);
        current = test;
        test->run(test);
        system_call(EXIT, 0, 0, 0);
    }
    system_call4(WAIT, child, (long)&status, 0, 0);
    if (status == 0) {
        put_hashes((const u64 *)share->hashes);
    } else {
        u64 used = length(line);
        char *end = hex(line + used, status & 127, 2);
        *end++ = '\n';
        put(line, (u64)(end - line));
    }
}

static void *shared_page(void) {
    enum { READ_WRITE = 3, SHARED_ANONYMOUS = 0x21 };
    register long flags __asm__("r10") = SHARED_ANONYMOUS;
    register long file __asm__("r8") = -1;
    register long offset __asm__("r9") = 0;
    void *page;
    __asm__ volatile("syscall"
                     : "=a"(page)
                     : "a"(MMAP), "D"(0), "S"(4096), "d"(READ_WRITE), "r"(flags), "r"(file), "r"(offset)
                     : "rcx", "r11", "memory");
    return page;
}

/* gem5 calls its processor "Fake gem5 x86_64 CPU", and ends at an opcode that no processor has (m5 exit). */
static void end_machine(void) {
    u32 a = 0x80000002, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (a == 0x656b6146 && b == 0x6d656720) __asm__ volatile(".byte 0x0f, 0x04, 0x21, 0x00" : : "D"(0) : "rax", "memory");
    system_call4(REBOOT, (long)0xfee1dead, 672274793, 0x4321fedc, 0);
}

void run_all(const u64 *stack) {
    static const char end[] = "{\"vsbuild\":1,\"stage\":\"exit\",\"uptime_us\":0,\"code\":0}\n";
    int is_init = system_call(GETPID, 0, 0, 0) == 1;
    const char *only = stack[0] > 1 && !is_init ? (const char *)stack[2] : 0;
    share = shared_page();
    for (u64 i = 0; i < sizeof tests / sizeof *tests; i++)
        if (!only || same(only, tests[i].name)) run(tests + i);
    if (!is_init) system_call(EXIT, 0, 0, 0);
    put(end, sizeof end - 1);
    end_machine();
    for (;;) system_call(YIELD, 0, 0, 0);
}
