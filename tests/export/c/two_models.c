/* Two models in one program: 0 if both answer alike and refuse a bad arena. */
#include "edgedistill_left.h"
#include "edgedistill_right.h"
#include <stdio.h>

int main(void)
{
    static int32_t arena[EDGEDISTILL_RIGHT_ARENA_BYTES / 4];
    const int8_t x[EDGEDISTILL_LEFT_INPUT_BYTES] = {1};
    int8_t y[2][EDGEDISTILL_LEFT_OUTPUT_BYTES];
    if (edgedistill_left_invoke(x, y[0], arena) != 0 || edgedistill_right_invoke(x, y[1], arena) != 0 ||
        edgedistill_left_invoke(x, y[0], (char *)arena + 1) != -1 || edgedistill_left_invoke(x, y[0], NULL) != -1) {
        return 1;
    }
    printf("%s %d", edgedistill_right_labels[1], y[0][3] == y[1][3]);
    return 0;
}
