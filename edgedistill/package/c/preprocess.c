/* Step by step as edgedistill's package/preprocess.py: a triangle filter in two passes, first across and then down.
 *
 * Weights are computed in double precision. A product is stored before it is added to something (product()), so
 * that no compiler fuses the two into one rounding, which would move a weight. */
#include "preprocess.h"

#define PRECISION_BITS 22
#define HALF (INT32_C(1) << (PRECISION_BITS - 1))
#define MOST 32768 /* of a side, so that nothing below overflows */

#if (-1 >> 1) != -1
#error "this compiler does not shift negative numbers arithmetically"
#endif

static double product(double a, double b)
{
    volatile double rounded = a * b;
    return rounded;
}

/* One axis: inputs size, of which [start, end) becomes out outputs. */
typedef struct {
    int32_t size;
    int32_t out;
    float start;
    double scale;
    double filter_scale;
} axis;

static axis along(int32_t size, int32_t out, double zoom)
{
    axis made;
    const double part = product(zoom, (double)out);
    double start = ((double)size - part) / 2.0;
    double end;
    volatile float first, last, difference;
    if (start < 0.0) {
        start = 0.0;
    }
    end = start + part;
    if (end > (double)size) {
        end = (double)size;
    }
    first = (float)start;
    last = (float)end;
    difference = last - first;
    made.size = size;
    made.out = out;
    made.start = first;
    made.scale = (double)difference / (double)out;
    made.filter_scale = made.scale < 1.0 ? 1.0 : made.scale;
    return made;
}

static int32_t most_taps(const axis *a)
{
    return 2 * ((int32_t)a->filter_scale + 1) + 1;
}

/* The first input of an output, and its weights; how many there are is returned. */
static int32_t weigh(const axis *a, int32_t at, int32_t *first, int32_t *weights)
{
    const double centre = (double)a->start + product((double)at + 0.5, a->scale);
    const double inverse = 1.0 / a->filter_scale;
    int32_t from = (int32_t)(centre - a->filter_scale + 0.5);
    int32_t to = (int32_t)(centre + a->filter_scale + 0.5);
    double total = 0.0;
    int32_t pass, n;
    if (from < 0) {
        from = 0;
    }
    if (to > a->size) {
        to = a->size;
    }
    for (pass = 0; pass < 2; pass++) {
        for (n = from; n < to; n++) {
            double distance = product((double)n - centre + 0.5, inverse);
            double weight;
            if (distance < 0.0) {
                distance = -distance;
            }
            weight = distance < 1.0 ? 1.0 - distance : 0.0;
            if (pass == 0) {
                total += weight;
            } else {
                weights[n - from] = (int32_t)(0.5 + product(weight / total, 4194304.0));
            }
        }
    }
    *first = from;
    return to - from;
}

static int32_t grey(const uint8_t *pixel, int32_t channels)
{
    if (channels < 3) {
        return pixel[0];
    }
    return (19595 * (int32_t)pixel[0] + 38470 * (int32_t)pixel[1] + 7471 * (int32_t)pixel[2] + 32768) >> 16;
}

static int senseless(int32_t height, int32_t width, int32_t out_height, int32_t out_width, int32_t out_channels)
{
    return height < 1 || width < 1 || height > MOST || width > MOST || out_height < 1 || out_width < 1 ||
           out_height > MOST || out_width > MOST || (out_channels != 1 && out_channels != 3);
}

static double zoom_of(int32_t height, int32_t width, int32_t out_height, int32_t out_width)
{
    const double across = (double)width / (double)out_width;
    const double down = (double)height / (double)out_height;
    return across < down ? across : down;
}

int32_t edgedistill_image_scratch(int32_t height, int32_t width, int32_t out_height, int32_t out_width,
                                  int32_t out_channels)
{
    axis across, down;
    double zoom;
    if (senseless(height, width, out_height, out_width, out_channels)) {
        return 0;
    }
    zoom = zoom_of(height, width, out_height, out_width);
    across = along(width, out_width, zoom);
    down = along(height, out_height, zoom);
    return out_width * (2 + most_taps(&across)) + most_taps(&down) + out_width * out_channels;
}

int edgedistill_image(const edgedistill_picture *picture, int32_t out_height, int32_t out_width,
                      int32_t out_channels, int8_t *input, int32_t *scratch)
{
    const int32_t channels = picture->channels;
    const int32_t width = out_width * out_channels;
    axis across, down;
    double zoom;
    int32_t taps, x, y, c;
    int32_t *first, *count, *weights, *weights_down, *sums;
    if (senseless(picture->height, picture->width, out_height, out_width, out_channels) || channels < 1 ||
        channels > 4) {
        return 1;
    }
    zoom = zoom_of(picture->height, picture->width, out_height, out_width);
    across = along(picture->width, out_width, zoom);
    down = along(picture->height, out_height, zoom);
    taps = most_taps(&across);
    first = scratch;
    count = &first[out_width];
    weights = &count[out_width];
    weights_down = &weights[out_width * taps];
    sums = &weights_down[most_taps(&down)];
    for (x = 0; x < out_width; x++) {
        count[x] = weigh(&across, x, &first[x], &weights[x * taps]);
    }
    for (y = 0; y < out_height; y++) {
        int32_t first_row, row;
        const int32_t rows = weigh(&down, y, &first_row, weights_down);
        for (x = 0; x < width; x++) {
            sums[x] = HALF;
        }
        for (row = 0; row < rows; row++) { /* a row that two outputs share is narrowed twice: no rows are kept */
            const uint8_t *line = &picture->pixels[(int64_t)(first_row + row) * picture->stride];
            for (x = 0; x < out_width; x++) {
                for (c = 0; c < out_channels; c++) {
                    const uint8_t *pixel = &line[(int64_t)first[x] * channels];
                    int32_t sum = HALF;
                    int32_t n;
                    for (n = 0; n < count[x]; n++, pixel += channels) {
                        const int32_t value =
                            out_channels == 1 ? grey(pixel, channels) : pixel[channels < 3 ? 0 : c];
                        sum += value * weights[x * taps + n];
                    }
                    sum >>= PRECISION_BITS;
                    sums[x * out_channels + c] += (sum > 255 ? 255 : sum) * weights_down[row];
                }
            }
        }
        for (x = 0; x < width; x++) {
            const int32_t value = sums[x] >> PRECISION_BITS;
            input[(int64_t)y * width + x] = (int8_t)((value > 255 ? 255 : value) - 128);
        }
    }
    return 0;
}
