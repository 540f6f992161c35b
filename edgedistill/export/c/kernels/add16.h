/* ADD on int16: all scales are equal, so it is a sum. y may be a or b. */

static void edge_add16(const int16_t *a, const int16_t *b, int16_t *y, int32_t count, int32_t low, int32_t high)
{
    for (; count > 0; count--) {
        *y++ = edge_clamp16(*a++ + *b++, low, high);
    }
}
