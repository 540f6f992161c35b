/* The serial protocol of MLPerf Tiny around one model: commands end with %, every answer with m-ready. */
#include "protocol.h"
#include "board_model.h"

#include <stddef.h>

#ifndef EDGEDISTILL_BOARD_NAME /* what `name` answers */
#define EDGEDISTILL_BOARD_NAME "unspecified"
#endif
#ifndef EDGEDISTILL_BOARD_MODEL /* what `profile` answers; runners of MLPerf Tiny know ad01, ic01, kws01, vww01 */
#define EDGEDISTILL_BOARD_MODEL MODEL_NAME
#endif
#ifdef EDGEDISTILL_BOARD_UINT8 /* the host sends pixels 0 to 255 where the model takes pixel - 128 */
#define INPUT_TYPE "uint8"
#define FLIPPED 0x80u
#else
#define INPUT_TYPE "int8"
#define FLIPPED 0u
#endif

#define PROFILE "ULPMark for tinyML Firmware V0.0.1" /* runners look for these words */
#define COMMAND_CHARACTERS 80                        /* the longest command, as in MLPerf Tiny's own firmware */
#define WARMUPS 10u                                  /* of `infer N` without a second number */
#define PRINTED 8u                                   /* bytes per line of `db print` */
#define MOST_THOUSANDTHS 2.0e9f                      /* of a result; it is printed as an int32_t */

static int32_t arena[(ARENA_BYTES + 3) / 4];
static uint8_t input[INPUT_BYTES];
static int8_t output[OUTPUT_BYTES];
static size_t loaded;  /* bytes of input so far */
static int is_loading; /* after `db load` */
static int has_output;

static void put(const char *text)
{
    while (*text != '\0') {
        edgedistill_board_put(*text);
        text++;
    }
}

static void put_line(const char *text)
{
    put(text);
    put("\r\n");
}

static void put_number(uint32_t value)
{
    char digits[11];
    size_t at = sizeof digits - 1u;
    digits[at] = '\0';
    do {
        at--;
        digits[at] = (char)('0' + (int)(value % 10u));
        value /= 10u;
    } while (value != 0u);
    put(digits + at);
}

static void put_numbered(const char *before, uint32_t value, const char *after)
{
    put(before);
    put_number(value);
    put_line(after);
}

static void put_byte(uint8_t value)
{
    edgedistill_board_put("0123456789abcdef"[value >> 4]);
    edgedistill_board_put("0123456789abcdef"[value & 15u]);
}

/* With three decimals, as the results of MLPerf Tiny are printed. */
static void put_real(float value)
{
    const float size = (value < 0.0f ? -value : value) * 1000.0f;
    const uint32_t thousandths = (uint32_t)((size < MOST_THOUSANDTHS ? size : MOST_THOUSANDTHS) + 0.5f);
    const uint32_t part = thousandths % 1000u;
    if (value < 0.0f && thousandths != 0u) {
        put("-");
    }
    put_number(thousandths / 1000u);
    put(part < 10u ? ".00" : part < 100u ? ".0" : ".");
    put_number(part);
}

static int same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

/* Cuts the next word off a command; NULL at its end. */
static char *next_word(char **rest)
{
    char *p = *rest;
    char *word;
    while (*p == ' ') {
        p++;
    }
    word = p;
    while (*p != '\0' && *p != ' ') {
        p++;
    }
    if (*p == ' ') {
        *p = '\0';
        p++;
    }
    *rest = p;
    return *word == '\0' ? NULL : word;
}

/* A decimal number below 10^9, or -1. */
static int32_t number(const char *word)
{
    int32_t value = 0;
    int count = 0;
    for (; *word >= '0' && *word <= '9' && count < 9; word++, count++) {
        value = 10 * value + (*word - '0');
    }
    return *word == '\0' && count > 0 ? value : -1;
}

/* A hexadecimal digit, or -1. */
static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void name(char *rest)
{
    (void)rest;
    put_line("m-name-dut-[" EDGEDISTILL_BOARD_NAME "]");
}

static void profile(char *rest)
{
    (void)rest;
    put_line("m-profile-[" PROFILE "]");
    put_line("m-model-[" EDGEDISTILL_BOARD_MODEL "]");
}

static void timestamp(char *rest)
{
    (void)rest;
    put_numbered("m-lap-us-", edgedistill_board_microseconds(), "");
}

static void tensors(char *rest)
{
    (void)rest;
    put_numbered("m-input-[", INPUT_BYTES, "," INPUT_TYPE "]");
    put_numbered("m-output-[", OUTPUT_BYTES, ",int8]");
}

static void db_load(const char *size)
{
    is_loading = 0;
    if (size == NULL) {
        put_line("e-[Command 'db load' requires the # of bytes]");
    } else if (number(size) != (int32_t)INPUT_BYTES) {
        put_numbered("e-[Command 'db load' must be of ", INPUT_BYTES, " bytes]");
    } else {
        loaded = 0;
        is_loading = 1;
        put_numbered("m-[Expecting ", INPUT_BYTES, " bytes]");
    }
}

static void db_print(void)
{
    size_t i;
    for (i = 0; i < loaded; i++) {
        put(i % PRINTED == 0u ? "m-buffer-" : "-");
        put_byte((uint8_t)(input[i] ^ FLIPPED));
        if (i + 1u == loaded || (i + 1u) % PRINTED == 0u) {
            put("\r\n");
        }
    }
}

/* All of a chunk or nothing, so that the host can send it again. */
static void db_bytes(const char *digits)
{
    size_t i, count = 0;
    for (; digits[count] != '\0'; count++) {
        if (digit(digits[count]) < 0) {
            put_line("e-[Invalid hex digit]");
            return;
        }
    }
    if (count % 2u != 0u) {
        put_line("e-[Insufficient number of hex digits]");
        return;
    }
    if (!is_loading) {
        put_line("e-[Command 'db load' must come first]");
        return;
    }
    for (i = 0; i < count && loaded < sizeof input; i += 2u) {
        const unsigned value = ((unsigned)digit(digits[i]) << 4) | (unsigned)digit(digits[i + 1u]);
        input[loaded] = (uint8_t)(value ^ FLIPPED);
        loaded++;
    }
    if (loaded == sizeof input) {
        is_loading = 0;
        put_line("m-load-done");
    }
}

static void db(char *rest)
{
    const char *const word = next_word(&rest);
    if (word == NULL) {
        put_line("e-[Command 'db' requires a subcommand]");
    } else if (same(word, "load")) {
        db_load(next_word(&rest));
    } else if (same(word, "print")) {
        db_print();
    } else {
        db_bytes(word);
    }
}

static void results(char *rest)
{
    size_t i;
    (void)rest;
    if (!has_output) {
        put_line("e-[Command 'infer' must come first]");
        return;
    }
    put("m-results-[");
    for (i = 0; i < sizeof output; i++) {
        put(i == 0u ? "" : ",");
        put_real(OUTPUT_SCALE * (float)(output[i] - OUTPUT_ZERO_POINT));
    }
    put_line("]");
}

static void outputs(char *rest)
{
    size_t i;
    (void)rest;
    if (!has_output) {
        put_line("e-[Command 'infer' must come first]");
        return;
    }
    put("m-outputs-[");
    for (i = 0; i < sizeof output; i++) {
        put_byte((uint8_t)output[i]);
    }
    put_line("]");
}

static int infer_times(uint32_t count)
{
    int refused = 0;
    for (; count != 0u; count--) {
        refused |= INVOKE((const int8_t *)input, output, arena);
    }
    return refused;
}

static void infer(char *rest)
{
    const char *const first = next_word(&rest);
    const char *const second = next_word(&rest);
    const int32_t count = first == NULL ? 1 : number(first);
    const int32_t warmups = second == NULL ? (int32_t)WARMUPS : number(second);
    uint32_t start, end;
    int refused;
    if (count <= 0) {
        put_line("e-[Inference iterations must be >0]");
        return;
    }
    if (warmups < 0) {
        put_line("e-[Inference warmup must be >=0]");
        return;
    }
    if (loaded != sizeof input) {
        put_numbered("e-[Command 'db' must load ", INPUT_BYTES, " bytes first]");
        return;
    }
    put_numbered("m-warmup-start-", (uint32_t)warmups, "");
    refused = infer_times((uint32_t)warmups);
    put_line("m-warmup-done");
    put_numbered("m-infer-start-", (uint32_t)count, "");
    start = edgedistill_board_microseconds();
    refused |= infer_times((uint32_t)count);
    end = edgedistill_board_microseconds();
    if (refused != 0) {
        put_line("e-[The model refused its input]");
        return;
    }
    put_numbered("m-lap-us-", start, ""); /* only now: sending takes longer than many an inference */
    put_numbered("m-lap-us-", end, "");
    put_line("m-infer-done");
    has_output = 1;
    results(rest);
}

static void help(char *rest);

static const struct {
    const char *name;
    void (*run)(char *rest);
    const char *help;
} commands[] = {
    {"name", name, "the name of this board"},
    {"profile", profile, "firmware and model"},
    {"timestamp", timestamp, "the clock in microseconds"},
    {"db", db, "load N: expect N bytes; HH[HH]*: the next of them; print: those so far"},
    {"infer", infer, "N [W=10]: N inferences that are timed, after W that are not"},
    {"results", results, "the last outputs as real numbers"},
    {"outputs", outputs, "the last outputs as they are: hexadecimal bytes, int8"},
    {"tensors", tensors, "bytes and types of input and output"},
    {"help", help, "these lines"},
};

static void help(char *rest)
{
    size_t i;
    (void)rest;
    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        put(commands[i].name);
        put(" : ");
        put_line(commands[i].help);
    }
}

static void obey(char *command)
{
    char *rest = command;
    const char *const word = next_word(&rest);
    size_t i;
    if (word == NULL) {
        return; /* a host that asks whether somebody is there */
    }
    for (i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (same(word, commands[i].name)) {
            commands[i].run(rest);
            return;
        }
    }
    put("e-[Unknown command: ");
    put(word);
    put_line("]");
}

void edgedistill_protocol_run(void)
{
    char command[COMMAND_CHARACTERS + 1];
    size_t count = 0;
    int byte, too_long = 0;
    put_line("m-timestamp-mode-performance");
    put_line("m-init-done");
    put_line("m-ready");
    for (byte = edgedistill_board_get(); byte >= 0; byte = edgedistill_board_get()) {
        if (byte == '%') {
            command[count] = '\0';
            if (too_long) {
                put_line("e-[Command too long]");
            } else {
                obey(command);
            }
            put_line("m-ready");
            count = 0;
            too_long = 0;
        } else if (byte < ' ') {
            continue; /* a terminal's line ends */
        } else if (count < COMMAND_CHARACTERS) {
            command[count] = (char)(byte < 0x7F ? byte : '?');
            count++;
        } else {
            too_long = 1;
        }
    }
}
