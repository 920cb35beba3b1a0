/* report.c - findings with their places, sorted into the order of the sources. */
#include <spangate/base/mem.h>
#include <spangate/config/report.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FINDING_MAX = 4096 }; /* bytes of one line; longer ones are cut */

void config_report_init(struct config_report *report)
{
    *report = (struct config_report){0};
}

static void findings_deinit(struct config_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].text);
    }
    free(findings->items);
}

void config_report_deinit(struct config_report *report)
{
    findings_deinit(&report->problems);
    findings_deinit(&report->warnings);
    *report = (struct config_report){0};
}

static void add(struct config_findings *findings, struct config_place place, const char *fmt,
                va_list args)
{
    char text[FINDING_MAX];
    size_t len = 0;

    findings->total++;
    if (findings->count == CONFIG_PROBLEMS_MAX) {
        return;
    }
    if (place.line != 0) {
        int n =
            snprintf(text, sizeof(text), "%.1024s:%u:%u: ", place.source, place.line, place.column);
        len = n > 0 ? (size_t)n : 0;
    }
    (void)vsnprintf(text + len, sizeof(text) - len, fmt, args);
    if (findings->count == findings->cap) {
        findings->cap = findings->cap == 0 ? 8 : findings->cap * 2;
        findings->items = mem_realloc(findings->items, findings->cap * sizeof(findings->items[0]));
    }
    findings->items[findings->count++] =
        (struct config_finding){.place = place, .text = mem_strdup(text)};
}

void config_problem(struct config_report *report, struct config_place place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(&report->problems, place, fmt, args);
    va_end(args);
}

void config_warning(struct config_report *report, struct config_place place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(&report->warnings, place, fmt, args);
    va_end(args);
}

static bool is_after(struct config_place a, struct config_place b)
{
    if (a.order != b.order) {
        return a.order > b.order;
    }
    return a.line != b.line ? a.line > b.line : a.column > b.column;
}

/* Stable, so that findings of one place stay in the order they were made. */
static void sort(struct config_findings *findings)
{
    for (size_t i = 1; i < findings->count; i++) {
        struct config_finding finding = findings->items[i];
        size_t at = i;
        while (at > 0 && is_after(findings->items[at - 1].place, finding.place)) {
            findings->items[at] = findings->items[at - 1];
            at--;
        }
        findings->items[at] = finding;
    }
}

void config_report_sort(struct config_report *report)
{
    sort(&report->problems);
    sort(&report->warnings);
}

void config_report_problems(struct config_report *report, struct strbuf *out)
{
    const struct config_findings *problems = &report->problems;

    config_report_sort(report);
    for (size_t i = 0; i < problems->count; i++) {
        if (i > 0) {
            strbuf_putc(out, '\n');
        }
        strbuf_append_text(out, problems->items[i].text);
    }
    if (problems->total > problems->count) {
        strbuf_printf(out, "\nand %zu more", problems->total - problems->count);
    }
}

bool config_report_ok(struct config_report *report, struct error *err)
{
    const struct config_findings *problems = &report->problems;

    if (problems->total == 0) {
        return true;
    }
    config_report_sort(report);
    if (problems->total == 1) {
        return error_set(err, ERR_INVALID, "%s", problems->items[0].text);
    }
    return error_set(err, ERR_INVALID, "%.250s (and %zu more)", problems->items[0].text,
                     problems->total - 1);
}
