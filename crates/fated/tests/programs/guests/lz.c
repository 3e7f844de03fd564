/* A small LZ77 coder with a hash chain, and its decoder; checks itself on generated text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_BITS = 14, WINDOW = 1 << 15, MIN_MATCH = 4, MAX_MATCH = 255 + MIN_MATCH, CHAIN = 32 };

struct coder {
    int32_t head[1 << HASH_BITS];
    int32_t *previous;
};

static uint32_t hash(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return (v * 2654435761u) >> (32 - HASH_BITS);
}

static size_t match_length(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    size_t n = 0;
    while (b + n < end && n < MAX_MATCH && a[n] == b[n])
        n++;
    return n;
}

static size_t longest(const struct coder *c, const uint8_t *in, size_t at, size_t len, size_t *where)
{
    size_t best = 0;
    int32_t candidate = c->head[hash(in + at)];
    for (int i = 0; i < CHAIN && candidate >= 0 && at - (size_t)candidate < WINDOW; i++) {
        size_t n = match_length(in + candidate, in + at, in + len);
        if (n > best) {
            best = n;
            *where = (size_t)candidate;
        }
        candidate = c->previous[candidate];
    }
    return best;
}

static void insert(struct coder *c, const uint8_t *in, size_t at, size_t len)
{
    if (at + MIN_MATCH > len)
        return;
    uint32_t h = hash(in + at);
    c->previous[at] = c->head[h];
    c->head[h] = (int32_t)at;
}

/* A token is a count of literals, the literals, then a match: length - MIN_MATCH and a distance of 16 bits. */
static size_t encode(const uint8_t *in, size_t len, uint8_t *out)
{
    struct coder *c = malloc(sizeof *c);
    c->previous = malloc(len * sizeof *c->previous);
    for (size_t i = 0; i < 1 << HASH_BITS; i++)
        c->head[i] = -1;
    size_t o = 0, literals = 0;
    for (size_t at = 0; at < len;) {
        size_t where = 0, n = at + MIN_MATCH <= len ? longest(c, in, at, len, &where) : 0;
        if (n < MIN_MATCH && literals < 255 && at + 1 < len) {
            insert(c, in, at++, len);
            literals++;
            continue;
        }
        if (n < MIN_MATCH) { /* the run is full, or the input ends with this literal */
            if (literals < 255) {
                at++;
                literals++;
            }
            out[o++] = (uint8_t)literals;
            memcpy(out + o, in + at - literals, literals);
            o += literals;
            out[o++] = 0;
            out[o++] = 0;
            out[o++] = 0;
            literals = 0;
            continue;
        }
        out[o++] = (uint8_t)literals;
        memcpy(out + o, in + at - literals, literals);
        o += literals;
        out[o++] = (uint8_t)(n - MIN_MATCH);
        out[o++] = (uint8_t)((at - where) & 0xff);
        out[o++] = (uint8_t)((at - where) >> 8);
        literals = 0;
        for (size_t i = 0; i < n; i++)
            insert(c, in, at + i, len);
        at += n;
    }
    free(c->previous);
    free(c);
    return o;
}

static size_t decode(const uint8_t *in, size_t len, uint8_t *out)
{
    size_t o = 0;
    for (size_t i = 0; i < len;) {
        size_t literals = in[i++];
        memcpy(out + o, in + i, literals);
        o += literals;
        i += literals;
        size_t n = in[i] + (size_t)MIN_MATCH, distance = in[i + 1] | (size_t)in[i + 2] << 8;
        i += 3;
        for (; distance && n; n--, o++)
            out[o] = out[o - distance];
    }
    return o;
}

int main(void)
{
    static const char *words[] = { "wait", "child", "clock", "seed", "signal", "pipe", "order", "host" };
    size_t len = 0, size = 1 << 20;
    uint8_t *text = malloc(size + 16), *packed = malloc(2 * size), *back = malloc(size + 512);
    for (uint64_t x = 88172645463325252; len < size;) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        len += (size_t)sprintf((char *)text + len, "%s ", words[x % 8]);
    }
    size_t packed_len = encode(text, len, packed), back_len = decode(packed, packed_len, back);
    printf("%zu -> %zu -> %zu\n", len, packed_len, back_len);
    return back_len != len || memcmp(text, back, len) != 0;
}
