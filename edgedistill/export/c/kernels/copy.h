/* CONCATENATION, part by part, and outputs that only repeat an input. */

/* rows of count bytes, each pitch bytes after the one before */
static void edge_copy(const int8_t *x, int8_t *y, int32_t rows, int32_t count, int32_t pitch)
{
    int32_t i;
    for (; rows > 0; rows--) {
        for (i = 0; i < count; i++) {
            y[i] = *x++;
        }
        y += pitch;
    }
}
