/* A model that does nothing: what an image of it lacks is what the model itself takes of flash. */
#include "model_under_test.h"

int INVOKE(const int8_t *input, int8_t *output, void *arena)
{
    return input == output || arena == input;
}
