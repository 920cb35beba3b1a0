/*
 * intern.h - resources and scopes of the open spans, each kept once and counted.
 *
 * A handle holds one reference for each open span (scopes) or scope (resources); at zero the bytes
 * go. There are never more entries than open spans, and their bytes are accounted, so a sender that
 * makes up a new resource for each span costs what it sends and no more. Envelopes do not move
 * while they are referenced: slices into them may be compared by pointer. Owner: the correlator's
 * thread.
 */
#ifndef SPANGATE_TRACE_INTERN_H
#define SPANGATE_TRACE_INTERN_H

#include "slab.h"
#include "tag_table.h"
#include <spangate/otlp/span.h>

struct interned {
    uint64_t stable_hash; /* hash_stable() of the envelope */
    struct slice envelope;
    struct slice service; /* of a resource */
    uint8_t *memory;      /* envelope, then service */
    uint32_t tag;
    uint32_t refs;
    uint32_t resource; /* of a scope: handle of its resource; SLAB_NONE for a resource */
};

struct intern {
    struct slab slab;
    struct tag_table table;
    struct account *account;
};

void intern_init(struct intern *intern, struct account *account);
void intern_deinit(struct intern *intern);

/* The handle of this scope within its resource, with one more reference. Bytes are copied if new.
 * */
uint32_t intern_scope(struct intern *intern, const struct batch_scope *scope,
                      const struct batch_resource *resource);
void intern_ref(struct intern *intern, uint32_t handle, uint32_t count);
void intern_unref(struct intern *intern, uint32_t handle, uint32_t count);

static inline const struct interned *intern_at(const struct intern *intern, uint32_t handle)
{
    return slab_at(&intern->slab, handle);
}

#endif
