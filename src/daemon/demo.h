/* demo.h - one believable trace over four services, as an OTLP/JSON request. */
#ifndef SPANGATE_SRC_DAEMON_DEMO_H
#define SPANGATE_SRC_DAEMON_DEMO_H

#include <spangate/base/strbuf.h>
#include <spangate/otlp/span.h>

/*
 * A checkout that ends at end_ns: frontend calls checkout, which reads a database and fails to
 * charge a card in payments. Span ids are random.
 */
void demo_write(const struct trace_id *trace_id, uint64_t end_ns, struct strbuf *out);

#endif
