/* Any picture to an edgedistill student's input, with the same bytes as in training. C99, no heap, no libm. */
#ifndef EDGEDISTILL_PREPROCESS_H
#define EDGEDISTILL_PREPROCESS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A picture in memory: rows of width * channels bytes, stride bytes apart; 1 channel is grey, 2 grey and alpha,
 * 3 RGB, 4 RGBA. Upright; alpha is ignored, so the colours must not have been multiplied by it. */
typedef struct {
    const uint8_t *pixels;
    int32_t height;
    int32_t width;
    int32_t channels;
    int32_t stride;
} edgedistill_picture;

/* How many int32_t values of scratch edgedistill_image needs; 0 where an argument makes no sense. It grows with
 * the picture's width and height over the student's, as 2 * width + 2 * height / out_height + some rows. */
int32_t edgedistill_image_scratch(int32_t height, int32_t width, int32_t out_height, int32_t out_width,
                                  int32_t out_channels);

/* Centre-crops to the student's aspect ratio, resizes, and writes q = pixel - 128 to
 * input[out_height * out_width * out_channels], channels last. Returns 0, or 1 where an argument makes no sense. */
int edgedistill_image(const edgedistill_picture *picture, int32_t out_height, int32_t out_width,
                      int32_t out_channels, int8_t *input, int32_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
