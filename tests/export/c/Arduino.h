/* A stub of Arduino's own header, for tests alone: what self_test.ino uses, printed on a computer's terminal. */
#ifndef ARDUINO_STUB_H
#define ARDUINO_STUB_H

#include <stdio.h>

struct SerialStub {
  void begin(long) {}
  explicit operator bool() const { return true; }
  void print(const char *text) { printf("%s", text); }
  void print(int value) { printf("%d", value); }
  void println(unsigned long value) { printf("%lu\n", value); }
};

static SerialStub Serial;

static inline unsigned long micros() { return 0; }
static inline unsigned long millis() { return 0; }

#endif
