/* A unary function as a table of 256 entries. */

static void edge_table(const int8_t *table, const int8_t *x, int8_t *y, int32_t count)
{
    for (; count > 0; count--) {
        *y++ = table[*x++ + 128];
    }
}
