/* CONV_2D: its structure, and the windows of a few output positions unfolded into columns. */

typedef struct {
    const int8_t *weights; /* per pair of channels: four of the first, four of the second, ... */
    const edge_channel_t *channels; /* an even number of them */
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t pad_top, pad_left;
    int32_t depth; /* products per output, filled up to a multiple of four */
    int32_t in_zero, out_zero;
} edge_conv_t;

#define EDGE_WORDS (EDGE_DSP && !EDGE_HELIUM)

#if EDGE_WORDS
/* Columns: per four products the words (0, 2) of all positions, then the words (1, 3). */
typedef edge_word_t edge_column_t;
#define EDGE_POSITIONS 3
#define EDGE_COLUMN(scratch, depth, i) ((edge_column_t *)(void *)(scratch) + (i))

static inline edge_column_t *edge_unfold(edge_column_t *to, const int8_t *x, int32_t count)
{
    for (; count >= 16; count -= 16) {
        const uint32_t a = edge_load(x), b = edge_load(x + 4), c = edge_load(x + 8), d = edge_load(x + 12);
        to[0] = edge_even(a);
        to[3] = edge_odd(a);
        to[6] = edge_even(b);
        to[9] = edge_odd(b);
        to[12] = edge_even(c);
        to[15] = edge_odd(c);
        to[18] = edge_even(d);
        to[21] = edge_odd(d);
        to += 24;
        x += 16;
    }
    for (; count > 0; count -= 4) {
        const uint32_t v = edge_load(x);
        to[0] = edge_even(v);
        to[3] = edge_odd(v);
        to += 6;
        x += 4;
    }
    return to;
}

static inline edge_column_t *edge_fill(edge_column_t *to, int32_t zero, int32_t count)
{
    const uint32_t v = edge_pack(zero, zero);
    for (; count > 0; count -= 4) {
        to[0] = v;
        to[3] = v;
        to += 6;
    }
    return to;
}
#else
/* Columns: the bytes of one position after the other. */
typedef int8_t edge_column_t;
#define EDGE_POSITIONS (EDGE_NEON ? 4 : EDGE_HELIUM ? 3 : 2)
#define EDGE_COLUMN(scratch, depth, i) ((scratch) + (i) * (depth))

static inline edge_column_t *edge_unfold(edge_column_t *to, const int8_t *x, int32_t count)
{
#if EDGE_HELIUM
    const uint32_t rest = (uint32_t)count & 15u;
    const mve_pred16_t which = vctp8q(rest);
    uint32_t n;
    vstrbq_p_s8(to, vldrbq_z_s8(x, which), which);
    x += rest;
    to += rest;
    for (n = (uint32_t)count / 16u; n > 0u; n--) {
        vstrbq_s8(to, vldrbq_s8(x));
        x += 16;
        to += 16;
    }
    return to;
#else
#if EDGE_NEON
    for (; count >= 16; count -= 16) {
        vst1q_s8(to, vld1q_s8(x));
        x += 16;
        to += 16;
    }
    for (; count >= 4; count -= 4) {
        edge_store(to, edge_load(x));
        x += 4;
        to += 4;
    }
#endif
    for (; count > 0; count--) {
        *to++ = *x++;
    }
    return to;
#endif
}

static inline edge_column_t *edge_fill(edge_column_t *to, int32_t zero, int32_t count)
{
#if EDGE_HELIUM
    int32_t i;
    for (i = 0; i < count; i += 16) {
        vstrbq_p_s8(to + i, vdupq_n_s8((int8_t)zero), vctp8q((uint32_t)(count - i)));
    }
    return to + count;
#else
    for (; count > 0; count--) {
        *to++ = (int8_t)zero;
    }
    return to;
#endif
}
#endif

/* Copies the kernel's window at (row, column) of the output to t, zero points where it leaves the input. */
#define EDGE_WINDOW(c, x, row, column, t, copy, fill)                                                 \
    do {                                                                                              \
        const int32_t top_ = (row) * (c)->stride_height - (c)->pad_top;                               \
        const int32_t left_ = (column) * (c)->stride_width - (c)->pad_left;                           \
        const int32_t width_ = (c)->kernel_width;                                                     \
        const int32_t channels_ = (c)->in_channels;                                                   \
        const int32_t first_ = edge_least(edge_most(-left_, 0), width_);                              \
        const int32_t last_ = edge_most(edge_least((c)->in_width - left_, width_), first_);           \
        int32_t r_;                                                                                   \
        for (r_ = top_; r_ < top_ + (c)->kernel_height; r_++) {                                       \
            if (r_ < 0 || r_ >= (c)->in_height || first_ == last_) {                                  \
                t = fill(t, (c)->in_zero, width_ * channels_);                                        \
            } else {                                                                                  \
                t = fill(t, (c)->in_zero, first_ * channels_);                                        \
                t = copy(t, (x) + (r_ * (c)->in_width + left_ + first_) * channels_,                  \
                         (last_ - first_) * channels_);                                               \
                t = fill(t, (c)->in_zero, (width_ - last_) * channels_);                              \
            }                                                                                         \
        }                                                                                             \
    } while (0)

#if EDGE_WORDS
static inline int8_t *edge_copy_bytes(int8_t *to, const int8_t *x, int32_t count)
{
    for (; count >= 4; count -= 4) {
        const uint32_t v = edge_load(x);
        __builtin_memcpy(to, &v, 4);
        to += 4;
        x += 4;
    }
    for (; count > 0; count--) {
        *to++ = *x++;
    }
    return to;
}

static inline int8_t *edge_fill_bytes(int8_t *to, int32_t zero, int32_t count)
{
    for (; count > 0; count--) {
        *to++ = (int8_t)zero;
    }
    return to;
}
#endif

static EDGE_NOINLINE void edge_gather(const edge_conv_t *c, const int8_t *x, int32_t row, int32_t column,
                                      int8_t *scratch, int32_t i)
{
    edge_column_t *to = EDGE_COLUMN(scratch, c->depth, i);
#if EDGE_WORDS
    if ((c->in_channels & 3) != 0) { /* words would straddle the rows: bytes first, behind the columns */
        int8_t *const bytes = scratch + 2 * EDGE_POSITIONS * c->depth;
        int8_t *t = bytes;
        EDGE_WINDOW(c, x, row, column, t, edge_copy_bytes, edge_fill_bytes);
        (void)edge_fill_bytes(t, 0, c->depth - (int32_t)(t - bytes));
        (void)edge_unfold(to, bytes, c->depth);
        return;
    }
    EDGE_WINDOW(c, x, row, column, to, edge_unfold, edge_fill);
#else
    edge_column_t *const start = to;
    EDGE_WINDOW(c, x, row, column, to, edge_unfold, edge_fill);
    (void)edge_fill(to, 0, c->depth - (int32_t)(to - start));
#endif
}

/* The columns of count positions of the output in raster order, from p on. */
static const int8_t *edge_columns(const edge_conv_t *c, const int8_t *x, int32_t p, int32_t count, int8_t *scratch)
{
    int32_t row = p / c->out_width;
    int32_t column = p - row * c->out_width;
    int32_t i;
#if EDGE_HELIUM || EDGE_NEON || EDGE_WORDS
    if (c->depth == c->in_channels && c->stride_height == 1 && c->stride_width == 1 &&
        c->out_height == c->in_height && c->out_width == c->in_width) {
        x += p * c->depth; /* a 1x1 kernel without padding: the input is its own columns */
#if !EDGE_WORDS
        return x;
#else
        for (i = 0; i < count; i++) {
            (void)edge_unfold(EDGE_COLUMN(scratch, c->depth, i), x, c->depth);
            x += c->depth;
        }
        return scratch;
#endif
    }
#endif
    for (i = 0; i < count; i++) {
        edge_gather(c, x, row, column, scratch, i);
        column++;
        if (column == c->out_width) {
            column = 0;
            row++;
        }
    }
    return scratch;
}
