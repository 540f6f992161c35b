// The header as C++ sees it.
#include "edgedistill_left.h"
int (*invoke)(const int8_t *, int8_t *, void *) = edgedistill_left_invoke;
