/* Counts what runs between two reads of firmware's counter, instruction by instruction: a plugin for QEMU.
 *
 * API: QEMU, docs/devel/tcg-plugins ("QEMU TCG Plugins"). What is declared here is the part of it that is used;
 * it is the same in versions 1 (QEMU 4.2 to 8.2) and 2 (from 9.0). Arguments: counter=ADDRESS,out=FILE.
 * A read of the counter begins a region, the next one ends it; neither is in it. The file: "region N", and for
 * each address "ADDRESS executed bytes-read bytes-written", in decimal. */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef API
#error "-DAPI=1 or -DAPI=2: the version that QEMU knows"
#endif
#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum registers { NO_REGISTERS };
enum direction { READ = 1, WRITE, BOTH };
typedef void translated_t(uint64_t id, struct qemu_plugin_tb *block);
typedef void executed_t(unsigned int cpu, void *data);
typedef void accessed_t(unsigned int cpu, uint32_t access, uint64_t address, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_t *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed_t *, enum registers, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, accessed_t *, enum registers, enum direction,
                                      void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
unsigned int qemu_plugin_mem_size_shift(uint32_t access);
bool qemu_plugin_mem_is_store(uint32_t access);

EXPORT int qemu_plugin_version = API;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

/* One instruction, however often it is translated. */
struct site {
    struct site *next;
    uint64_t address;
    uint64_t executed, bytes_read, bytes_written;
};

static struct site *sites;
static FILE *out;
static uint64_t counter;
static unsigned int region;
static bool counting;

static void executed(unsigned int cpu, void *data)
{
    (void)cpu;
    ((struct site *)data)->executed += counting;
}

/* Writes the region that ends, and clears it. */
static void finish_region(void)
{
    struct site *s;
    fprintf(out, "region %u\n", region++);
    for (s = sites; s != NULL; s = s->next) {
        if (s->executed != 0) {
            fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->address, s->executed,
                    s->bytes_read, s->bytes_written);
        }
        s->executed = s->bytes_read = s->bytes_written = 0;
    }
    fflush(out);
}

static void accessed(unsigned int cpu, uint32_t access, uint64_t address, void *data)
{
    struct site *const s = data;
    const bool store = qemu_plugin_mem_is_store(access);
    const uint64_t bytes = UINT64_C(1) << qemu_plugin_mem_size_shift(access);
    (void)cpu;
    if (address == counter && !store) {
        if (counting) {
            s->executed--; /* the read itself */
            finish_region();
        }
        counting = !counting;
    } else if (counting && store) {
        s->bytes_written += bytes;
    } else if (counting) {
        s->bytes_read += bytes;
    }
}

/* That of an address, new if need be. Programs here have a few thousand instructions. */
static struct site *site_at(uint64_t address)
{
    struct site *s = sites;
    while (s != NULL && s->address != address) {
        s = s->next;
    }
    if (s == NULL) {
        s = calloc(1, sizeof *s);
        if (s == NULL) {
            abort();
        }
        s->address = address;
        s->next = sites;
        sites = s;
    }
    return s;
}

static void translated(uint64_t id, struct qemu_plugin_tb *block)
{
    const size_t count = qemu_plugin_tb_n_insns(block);
    size_t i;
    (void)id;
    for (i = 0; i < count; i++) {
        struct qemu_plugin_insn *const instruction = qemu_plugin_tb_get_insn(block, i);
        struct site *const s = site_at(qemu_plugin_insn_vaddr(instruction));
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, NO_REGISTERS, s);
        qemu_plugin_register_vcpu_mem_cb(instruction, accessed, NO_REGISTERS, BOTH, s);
    }
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    int i;
    (void)info;
    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], "counter=", 8) == 0) {
            counter = strtoull(argv[i] + 8, NULL, 0);
        } else if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        }
    }
    if (counter == 0 || out == NULL) {
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
