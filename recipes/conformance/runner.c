/* Runs the cases of cases.S: each on a few states of the machine made from its seed, and prints a hash of what came out.

   conformance [FROM [TO [show]]]

   For each case one line, "NAME<tab>REGISTERS FLAGS XMM MEMORY": a hash for each part of the state. The name is written
   before the case runs, so that the last line of a machine that died says what killed it. With "show" the state after every
   run is printed too. It uses no library, because it is for machines whose instructions are not to be trusted. */

#include "plain.h"

enum { REGISTERS = 16, XMM = 32, MEMORY = 32 };

struct state {
    u64 registers[REGISTERS];
    u64 xmm[XMM];
    u64 flags;
};

/* What all of this means to the generator is told in generate.py. */
struct fix {
    u64 slot, keep, set;
};
struct test {
    u64 code, seed, name, length, values, runs, flags, fixes, fix_count;
};

extern const struct test tests[];
extern const u64 test_count;
extern const struct fix fixes[];
extern void run_case(u64 code);

#define IN ((volatile struct state *)0x20000000ul)
#define MEM ((volatile u64 *)0x20000400ul)
#define OUT ((volatile struct state *)0x20001000ul)
#define STACK 0x20000f00ul

static u64 seed;

static u64 chance(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Whole numbers: all kinds, with many near the edges. */
static u64 integer(void) {
    u64 x = chance();
    switch ((x >> 5) & 15) {
    case 0: return x & 0xff;
    case 1: return x & 0xffff;
    case 2: return (u32)x;
    case 3: return -(x & 0xff);
    case 4: return 1ul << (x & 63);
    case 5: return (1ul << (x & 63)) - 1;
    case 6: return (x & 0x8000800080008000) | 0x7f7f7f7f7f7f7f7f;
    case 7: return (long)(int)x;
    default: return x;
    }
}

static u64 f64_edge(u64 x) {
    static const u64 edges[] = {0x0000000000000000, 0x3ff0000000000000, 0x7ff0000000000000, 0x0000000000000001,
                                0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x43e0000000000000};
    return (x & 0x8000000000000000) | edges[(x >> 20) & 7];
}

static u32 f32_edge(u32 x) {
    static const u32 edges[] = {0x00000000, 0x3f800000, 0x7f800000, 0x00000001,
                                0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000};
    return (x & 0x80000000) | edges[(x >> 20) & 7];
}

static u64 f64(u64 values) {
    u64 x = chance();
    u64 ordinary = (x & 0x800fffffffffffff) | ((u64)(1023 - 16 + ((x >> 52) & 31)) << 52);
    switch (values) {
    case 1: return ordinary;
    case 2: return x & 0x100 ? f64_edge(x) : ordinary;
    default: return x & 0x300 ? (x & 0x800fffffffffffff) | 0x7ff0000000000001 : ordinary;
    }
}

static u32 f32(u64 values) {
    u32 x = (u32)(chance() >> 16);
    u32 ordinary = (x & 0x807fffff) | ((127 - 16 + ((x >> 23) & 31)) << 23);
    switch (values) {
    case 4: return ordinary;
    case 5: return x & 0x100 ? f32_edge(x) : ordinary;
    default: return x & 0x300 ? (x & 0x807fffff) | 0x7f800001 : ordinary;
    }
}

static u64 vector(u64 values) {
    if (values == 0) return integer();
    if (values <= 3) return f64(values);
    u64 low = f32(values);
    return low | (u64)f32(values) << 32;
}

/* Words that only have to be told apart: simulated time is dear. */
static void fill(volatile u64 *words, int count) {
    u64 word = chance();
    for (int i = 0; i < count; i++) words[i] = word += 0x9e3779b97f4a7c15;
}

static void prepare(const struct test *test) {
    for (int i = 0; i < REGISTERS; i++) IN->registers[i] = integer();
    IN->registers[4] = STACK;
    IN->flags = 0x202 | (chance() & 0x8d5);
    fill(MEM, MEMORY);
    if (test->values == 7) {
        fill(IN->xmm, XMM);
        for (int i = 12; i < 14; i++) MEM[i] = integer();
    } else {
        for (int i = 0; i < XMM; i++) IN->xmm[i] = vector(test->values);
        for (int i = 12; i < 14; i++) MEM[i] = vector(test->values);
    }
    for (u64 i = 0; i < test->fix_count; i++) {
        const struct fix *fix = fixes + test->fixes + i;
        volatile u64 *slot = fix->slot == 80 ? &IN->flags
                             : fix->slot >= 48 ? &MEM[fix->slot - 48]
                             : fix->slot >= 16 ? &IN->xmm[fix->slot - 16]
                                               : &IN->registers[fix->slot];
        *slot = (*slot & fix->keep) | fix->set;
    }
}

static void show(const char *what, volatile const u64 *words, int count) {
    char line[20];
    put(what, 1);
    for (int i = 0; i < count; i++) {
        line[0] = ' ';
        put(line, (u64)(hex(line + 1, words[i], 16) - line));
    }
    put("\n", 1);
}

static void run(const struct test *test, int shown) {
    u64 hashes[4] = {1, 2, 3, 4};
    put((const char *)test->name, test->length);
    if (shown) put("\n", 1);
    seed = test->seed;
    for (u64 i = 0; i < test->runs; i++) {
        prepare(test);
        if (shown) {
            show("i", IN->registers, REGISTERS);
            show("i", &IN->flags, 1);
            show("i", IN->xmm, XMM);
            show("i", MEM, MEMORY);
        }
        run_case(test->code);
        OUT->flags &= test->flags;
        hashes[0] = mix(hashes[0], OUT->registers, REGISTERS);
        hashes[1] = mix(hashes[1], &OUT->flags, 1);
        hashes[2] = mix(hashes[2], OUT->xmm, XMM);
        hashes[3] = mix(hashes[3], MEM, MEMORY);
        if (shown) {
            show("r", OUT->registers, REGISTERS);
            show("f", &OUT->flags, 1);
            show("x", OUT->xmm, XMM);
            show("m", MEM, MEMORY);
        }
    }
    put_hashes(hashes);
}

static u64 number(const char *text) {
    u64 value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (u64)(*text++ - '0');
    return value;
}

void run_all(const u64 *stack) {
    u64 count = stack[0];
    u64 from = count > 1 ? number((const char *)stack[2]) : 0;
    u64 to = count > 2 ? number((const char *)stack[3]) : test_count;
    for (u64 i = from; i < to && i < test_count; i++) run(tests + i, count > 3);
    put("end\n", 4);
    system_call(231, 0, 0, 0);
}
