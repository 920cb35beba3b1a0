/*
 * report.h - what is wrong with a configuration, all of it at once, each with its place.
 *
 * Whoever reads a configuration adds problems (it cannot be used) and warnings (it can) and goes
 * on, so that a person corrects a file once and not ten times. One owner, no lock.
 *
 * Messages do not show a value that came out of an expansion: it may be a secret. Names of
 * components in pipelines are no values.
 */
#ifndef SPANGATE_CONFIG_REPORT_H
#define SPANGATE_CONFIG_REPORT_H

#include <spangate/base/error.h>
#include <spangate/base/strbuf.h>
#include <stdint.h>

/*
 * Where a key or value stands. line and column count from 1; line 0: no place, source may be NULL.
 */
struct config_place {
    const char *source; /* "gateway.yaml", "env:NAME", "--set a.b"; lives as long as the tree */
    uint32_t order;     /* of the source, for sorting */
    uint32_t line, column;
};

enum { CONFIG_PROBLEMS_MAX = 100 }; /* more are counted and not kept */

struct config_finding {
    struct config_place place; /* source is not looked at any more: it is in the text */
    char *text;                /* "gateway.yaml:3:7: …" */
};

struct config_findings {
    struct config_finding *items;
    size_t count; /* kept */
    size_t cap;
    size_t total; /* added */
};

struct config_report {
    struct config_findings problems;
    struct config_findings warnings;
};

void config_report_init(struct config_report *report);
void config_report_deinit(struct config_report *report);

/* "<source>:<line>:<column>: " is put before the text when the place has a line. */
void config_problem(struct config_report *report, struct config_place place, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void config_warning(struct config_report *report, struct config_place place, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Sort findings into the order of the sources: for reading and printing them. */
void config_report_sort(struct config_report *report);

/* All problems in order, one a line, without a newline at the end. */
void config_report_problems(struct config_report *report, struct strbuf *out);

/* true when there are no problems; otherwise err gets the first of them (ERR_INVALID). */
bool config_report_ok(struct config_report *report, struct error *err) MUST_CHECK;

#endif
