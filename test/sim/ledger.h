/*
 * ledger.h - what the clients of the simulated gateway sent, and what they were told.
 *
 * A span is known by its bytes: two spans with the same ids and other bytes are two. A request
 * keeps the numbers of its spans, so that a client can send exactly the same once more.
 */
#ifndef SPANGATE_SIM_LEDGER_H
#define SPANGATE_SIM_LEDGER_H

#include <spangate/base/map.h>
#include <spangate/base/strbuf.h>
#include <spangate/otlp/span.h>

enum { SIM_DESTINATIONS = 4, SIM_SERVICES = 4, SIM_RECEIVERS = 2 };

struct sim_span {
    struct slice raw; /* ours */
    size_t trace;     /* number of its trace */
    unsigned service;
    unsigned receiver;   /* the only one it is sent to */
    size_t request;      /* the latest that it was sent with */
    uint64_t acked_ns;   /* monotonic: when it was answered with "ok" first */
    bool acked;          /* a request with it was answered with "ok" */
    unsigned sent;       /* so often */
    unsigned first_life; /* of the process, when it was sent first */
    uint64_t first_ns;   /* monotonic: when it was sent first */
    uint64_t first_seq;  /* end of the trace log when it was sent first */
    bool may_repeat;     /* sent again when the gateway need not remember it any more */
    /* For the oracle: how often it was found this time, in all and in blocks. */
    unsigned places, in_blocks;
    struct sim_delivery {
        unsigned total;
        unsigned life;    /* of the last delivery… */
        unsigned in_life; /* …and how many in that life */
    } delivered[SIM_DESTINATIONS];
};

struct sim_trace {
    struct trace_id id;
    struct span_id root;
    uint64_t start_ns;
    size_t *spans;
    size_t span_count;
};

enum request_state {
    REQUEST_WAITING, /* sent, no answer yet */
    REQUEST_UNACKED, /* "retry later", or the connection broke */
    REQUEST_ACKED,
};

struct sim_request {
    struct ledger *ledger;
    size_t number;
    enum otlp_signal signal;
    unsigned receiver;
    enum request_state state;
    unsigned answers; /* to the last attempt */
    size_t *spans;    /* traces: numbers of spans */
    size_t span_count;
    size_t invalid; /* spans beside them that must be refused one by one */
    /* logs: the record is known by the number of the request */
    uint64_t acked_ns;
    bool may_be_lost; /* `durability: interval`, and the power went */
    unsigned delivered_life, delivered_in_life, delivered_total;
};

struct ledger {
    struct sim_span **spans; /* their addresses stay */
    size_t span_count;
    struct sim_trace *traces;
    size_t trace_count;
    struct sim_request **requests; /* their addresses stay: they are contexts of replies */
    size_t request_count;
    struct map by_raw;
};

void ledger_init(struct ledger *ledger);
void ledger_deinit(struct ledger *ledger);

const char *ledger_service(unsigned service);

/* A new trace; its id follows from its number. */
size_t ledger_add_trace(struct ledger *ledger, uint64_t start_ns, uint64_t *random);

/*
 * A new span of the trace. `like` SIZE_MAX, or a span of the same trace: then the new one has the
 * same ids and other bytes.
 */
size_t ledger_add_span(struct ledger *ledger, size_t trace, size_t like, unsigned receiver,
                       uint64_t *random);

/* A request of `count` spans (copied). */
struct sim_request *ledger_add_request(struct ledger *ledger, enum otlp_signal signal,
                                       unsigned receiver, const size_t *spans, size_t count,
                                       size_t invalid);

/* The request's body: always the same bytes. */
void ledger_body(const struct ledger *ledger, const struct sim_request *request,
                 struct strbuf *out);

/* NULL: nobody sent that. */
struct sim_span *ledger_find(const struct ledger *ledger, struct slice raw);

/* The number that the log record in a body of logs carries; *at moves behind it. false: no more. */
bool ledger_next_log(struct slice body, size_t *at, size_t *number);

#endif
