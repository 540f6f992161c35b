/* Feeds pictures or recordings of a file to the pre-processing and writes what comes out: a test's other half.
 *
 * A record is six int32_t, kind 0: height, width, channels, out_height, out_width (then the pixels' bytes, and
 * out_channels as the first byte); kind 1: frames, channels, rate_hz, to_hz, length (then doubles). */
#include "preprocess.h"
#include "sound.h"

#include <stdio.h>
#include <stdlib.h>

static void *filled(FILE *from, size_t bytes)
{
    void *data = malloc(bytes + 1);
    if (data == NULL || fread(data, 1, bytes, from) != bytes) {
        exit(3);
    }
    return data;
}

static int picture(FILE *from, FILE *to, const int32_t *h)
{
    uint8_t *data = (uint8_t *)filled(from, (size_t)h[1] * h[2] * h[3] + 1);
    const int32_t out_channels = data[0];
    const size_t size = (size_t)h[4] * h[5] * out_channels;
    edgedistill_picture seen;
    int32_t *scratch = (int32_t *)malloc(
        (size_t)edgedistill_image_scratch(h[1], h[2], h[4], h[5], out_channels) * sizeof(int32_t));
    int8_t *made = (int8_t *)malloc(size);
    int code = 4;
    seen.pixels = &data[1];
    seen.height = h[1];
    seen.width = h[2];
    seen.channels = h[3];
    seen.stride = h[2] * h[3];
    if (scratch != NULL && made != NULL) {
        code = edgedistill_image(&seen, h[4], h[5], out_channels, made, scratch);
        code = code == 0 && fwrite(made, 1, size, to) == size ? 0 : 4;
    }
    free(made);
    free(scratch);
    free(data);
    return code;
}

static int recording(FILE *from, FILE *to, const int32_t *h)
{
    double *samples = (double *)filled(from, (size_t)h[1] * h[2] * sizeof(double));
    int16_t *clip = (int16_t *)malloc((size_t)h[5] * sizeof(int16_t));
    int code = 4;
    if (clip != NULL && edgedistill_sound(samples, h[1], h[2], h[3], h[4], h[5], clip) == 0) {
        code = fwrite(clip, sizeof(int16_t), (size_t)h[5], to) == (size_t)h[5] ? 0 : 4;
    }
    free(clip);
    free(samples);
    return code;
}

int main(int argc, char **argv)
{
    FILE *from, *to;
    int32_t head[6];
    if (argc != 3 || (from = fopen(argv[1], "rb")) == NULL || (to = fopen(argv[2], "wb")) == NULL) {
        return 2;
    }
    while (fread(head, sizeof head, 1, from) == 1) {
        const int code = head[0] == 0 ? picture(from, to, head) : recording(from, to, head);
        if (code != 0) {
            return code;
        }
    }
    return fclose(to) == 0 ? 0 : 5;
}
