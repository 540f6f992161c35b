/* Any recording to a clip of an edgedistill keyword student, as in training. C99 with heap and libm. */
#ifndef EDGEDISTILL_SOUND_H
#define EDGEDISTILL_SOUND_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* samples[frames * channels], interleaved, in units of 16 bits, at rate_hz (4000 to 192000), to clip[length] at
 * to_hz. Returns 0, 1 where an argument makes no sense, 2 where there is no memory. */
int edgedistill_sound(const double *samples, int64_t frames, int32_t channels, int32_t rate_hz, int32_t to_hz,
                      int32_t length, int16_t *clip);

#ifdef __cplusplus
}
#endif

#endif
