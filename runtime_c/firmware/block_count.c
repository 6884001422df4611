/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file block_count.c
 * @brief QEMU plugin: how often each translated block ran, for each phase of a program.
 *
 * A phase ends where a block with the next mark is entered. The arguments mark=STEP:ADDRESS name the
 * marks in the order of their steps; a step may have several places. Lines of the output file:
 * PHASE FIRST LAST COUNT (decimal; the addresses of a block's first and last instruction, because
 * QEMU gives a wrong size to a Thumb instruction before one that crosses a page). Source: QEMU,
 * include/qemu/qemu-plugin.h; what is declared here is the same in all versions of the plugin API,
 * so that no header of QEMU is needed.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define BUCKETS 4096u
#define MAX_MARKS 65536u

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                                  void (*callback)(qemu_plugin_id_t,
                                                                   struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block,
                                                 void (*callback)(unsigned int, void *), int flags,
                                                 void *data);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t, void *), void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block,
                                                        size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);

EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

typedef struct block {
    struct block *next;
    uint64_t first;
    uint64_t last;
    uint64_t count;
    bool has_mark;
} block_t;

typedef struct {
    uint64_t step;
    uint64_t address;
} mark_t;

static block_t *buckets[BUCKETS];
static FILE *output;
static mark_t marks[MAX_MARKS];
static uint32_t mark_count;
static uint64_t phase;

static void end_phase(void)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (block_t *block = buckets[i]; block != NULL; block = block->next) {
            if (block->count != 0) {
                fprintf(output, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", phase,
                        block->first, block->last, block->count);
                block->count = 0;
            }
        }
    }
    phase++;
}

/** The address of a mark of `step` in [first, last]; UINT64_MAX where there is none. */
static uint64_t mark_within(uint64_t step, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < mark_count; i++) {
        if ((marks[i].step == step) && (marks[i].address >= first) && (marks[i].address <= last)) {
            return marks[i].address;
        }
    }
    return UINT64_MAX;
}

static bool has_mark(uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < mark_count; i++) {
        if ((marks[i].address >= first) && (marks[i].address <= last)) {
            return true;
        }
    }
    return false;
}

static block_t *block_of(uint64_t first, uint64_t last)
{
    block_t **const bucket = &buckets[(first >> 1) % BUCKETS];
    block_t *block;

    for (block = *bucket; block != NULL; block = block->next) {
        if ((block->first == first) && (block->last == last)) {
            return block;
        }
    }
    block = calloc(1, sizeof *block);
    if (block == NULL) {
        abort();
    }
    block->next = *bucket;
    block->first = first;
    block->last = last;
    block->has_mark = has_mark(first, last);
    *bucket = block;
    return block;
}

static void on_run(unsigned int cpu, void *data)
{
    block_t *const block = data;

    (void)cpu;
    if (block->has_mark) {
        uint64_t at = mark_within(phase, block->first, block->last);

        while (at != UINT64_MAX) {
            end_phase();
            at = mark_within(phase, at + 1, block->last);
        }
    }
    block->count++;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    const size_t count = qemu_plugin_tb_n_insns(block);
    const uint64_t first = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0));
    const uint64_t last = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, count - 1));

    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_run, 0, block_of(first, last));
}

static void on_end(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    end_phase();
    fclose(output);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "mark=", 5) == 0) {
            char *end;

            if (mark_count == MAX_MARKS) {
                return -1;
            }
            marks[mark_count].step = strtoull(argv[i] + 5, &end, 10);
            marks[mark_count].address = strtoull(end + 1, NULL, 10);
            mark_count++;
        }
        if (strncmp(argv[i], "out=", 4) == 0) {
            output = fopen(argv[i] + 4, "w");
        }
    }
    if (output == NULL) {
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
