/* What programs without a library have in common: they are for machines whose instructions are not to be trusted. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

static inline long system_call4(long number, long a, long b, long c, long d) {
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static inline long system_call(long number, long a, long b, long c) { return system_call4(number, a, b, c, 0); }

static inline void put(const char *text, u64 length) { system_call(1, 1, (long)text, (long)length); }

static inline char *hex(char *at, u64 value, int digits) {
    for (int i = digits; i-- > 0;) *at++ = "0123456789abcdef"[(value >> (4 * i)) & 15];
    return at;
}

static inline u64 mix(u64 hash, volatile const u64 *words, int count) {
    for (int i = 0; i < count; i++) {
        hash = (hash ^ words[i]) * 0x100000001b3;
        hash ^= hash >> 29;
    }
    return hash;
}

/* The end of a case's line: hashes of registers, flags, xmm registers and memory. */
static inline void put_hashes(const u64 *hashes) {
    char line[48], *at = line;
    for (int i = 0; i < 4; i++) {
        *at++ = i == 0 ? '\t' : ' ';
        at = hex(at, hashes[i] ^ hashes[i] >> 32, 8);
    }
    *at++ = '\n';
    put(line, (u64)(at - line));
}
