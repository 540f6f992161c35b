/* QUANTIZE between int8 and int16, which may share their first byte. */

/* ratio * (x - zero), from the end, because the answers take more bytes */
static void edge_to_int16(const int8_t *x, int16_t *y, int32_t count, int32_t zero, int32_t ratio)
{
    while (count > 0) {
        count--;
        y[count] = edge_clamp16((x[count] - zero) * ratio, -32768, 32767);
    }
}

static void edge_to_int8(const int16_t *x, int8_t *y, int32_t count, int32_t zero)
{
    for (; count > 0; count--) {
        *y++ = edge_clamp(*x++ + zero);
    }
}
