/*
 * config_load_fuzz.c - any text is a configuration or is refused with a reason, and what is printed
 * of a configuration loads again to the same, without the secrets that went in.
 */
#include "settings.h"

#include <spangate/base/log.h>
#include <spangate/base/mem.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64 * 1024, PRINT_MAX = 64 << 20 };

static void set_up(void)
{
    static bool done;
    if (done) {
        return;
    }
    done = true;
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    (void)setenv("STATE_DIRECTORY", "/state", 1);
    (void)setenv("A", "value", 1);
    (void)setenv("B", "${env:A}-${env:A}", 1);
    (void)setenv("C", "{a: [1, ${env:A}]}", 1);
    (void)setenv("D", "${env:D}", 1);
    (void)setenv("E", "[${env:E}, ${env:E}]", 1);
}

/* NULL when refused. */
static struct settings *load(const char *text)
{
    struct settings *settings = NULL;
    struct error err = {0};
    char *report = NULL;
    char *source = mem_printf("yaml:%s", text);

    bool ok = settings_load(&settings, (const char *const[]){source}, 1, NULL, 0, &report, &err);
    free(source);
    assert(ok == (settings != NULL));
    assert(ok == (report == NULL));
    assert(ok || (err.code != ERR_NONE && err.message[0] != '\0' && report[0] != '\0'));
    free(report);
    return settings;
}

static char *print(const struct settings *settings)
{
    struct strbuf out;
    strbuf_init(&out, PRINT_MAX);
    settings_print(settings, &out);
    assert(!out.overflow);
    return strbuf_take(&out);
}

static void check(const struct settings *s)
{
    uint64_t receivers =
        s->receiver_count == 64 ? UINT64_MAX : (UINT64_C(1) << s->receiver_count) - 1;
    uint64_t exporters =
        s->exporter_count == 64 ? UINT64_MAX : (UINT64_C(1) << s->exporter_count) - 1;

    assert(s->data_dir != NULL && s->data_dir[0] != '\0');
    assert(s->pipeline_count > 0 && s->pipeline_count <= 32);
    for (size_t i = 0; i < s->pipeline_count; i++) {
        assert(s->pipelines[i].receivers != 0 && (s->pipelines[i].receivers & ~receivers) == 0);
        assert(s->pipelines[i].exporters != 0 && (s->pipelines[i].exporters & ~exporters) == 0);
    }
    for (size_t i = 0; i < s->exporter_count; i++) {
        const struct exporter_settings *e = &s->exporters[i];
        assert(e->driver == NULL || (e->items_min > 0 && e->items_min <= e->items_max));
        assert(e->driver == NULL || (e->bytes_max > 0 && e->driver_settings != NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Files of this machine are no input: what they hold would change from run to run. */
    if (size > TEXT_MAX || memchr(data, '\0', size) != NULL ||
        memmem(data, size, "file", strlen("file")) != NULL) {
        return 0;
    }
    set_up();
    char *text = mem_strndup(data, size);
    struct settings *settings = load(text);
    free(text);
    if (settings == NULL) {
        return 0;
    }
    check(settings);
    char *once = print(settings);
    settings_free(settings);
    struct settings *again = load(once);
    assert(again != NULL);
    char *twice = print(again);
    assert(strcmp(once, twice) == 0);
    settings_free(again);
    free(once);
    free(twice);
    return 0;
}
