/*
 * oracle.h - what must hold, at any moment and at rest. A broken promise ends the program.
 */
#ifndef SPANGATE_SIM_ORACLE_H
#define SPANGATE_SIM_ORACLE_H

#include "world.h"

/*
 * At any moment between two turns:
 *   - every acknowledged span is in the gateway, in the bytes it was sent: queued, open, sealed or
 *     stored; or every destination of its pipelines has it and blocks may be dropped;
 *   - it is stored once, and a query sees it once;
 *   - nothing is there that nobody sent, or that was refused in this life;
 *   - the ingest log keeps its limit.
 */
void oracle_look(struct world *world);

/*
 * When nothing is under way any more, all is well and the destinations take everything: what
 * oracle_look() wants, and
 *   - every destination got every acknowledged item of its pipelines;
 *   - accepted + replayed = stored + duplicates: nothing is open;
 *   - the ingest log is empty.
 */
void oracle_rest(struct world *world);

#endif
