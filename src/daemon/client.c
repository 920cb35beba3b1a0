/* client.c - the commands that talk to a running gateway: trace and demo. */
#include "commands.h"
#include "demo.h"
#include "waterfall.h"

#include <spangate/base/clock.h>
#include <spangate/base/mem.h>
#include <spangate/base/random.h>
#include <spangate/base/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 << 20, COLUMNS_DEFAULT = 120 };

#define EXCHANGE_TIMEOUT_NS (30 * NS_PER_S)

/* endpoint + path with one slash between them; release with free(). */
static char *join_url(const char *endpoint, const char *fallback, const char *path)
{
    const char *base = endpoint != NULL ? endpoint : fallback;
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/') {
        len--;
    }
    bool has_scheme = strstr(base, "://") != NULL;
    return mem_printf("%s%.*s%s", has_scheme ? "" : "http://", (int)len, base, path);
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return COLUMNS_DEFAULT;
}

static int show_trace(const struct args *args, struct strbuf *answer)
{
    struct strbuf out;
    struct error err;

    if (args->json || isatty(STDOUT_FILENO) == 0) {
        strbuf_putc(answer, '\n');
        return command_put(answer);
    }
    const char *no_color = getenv("NO_COLOR");
    struct waterfall_style style = {
        .columns = terminal_columns(),
        .color = no_color == NULL || no_color[0] == '\0',
    };
    strbuf_init(&out, ANSWER_MAX);
    int code = EXIT_FAILED;
    if (waterfall_draw(strbuf_slice(answer), &style, &out, &err)) {
        code = command_put(&out);
    } else {
        (void)fprintf(stderr, "spangate: %s\n", err.message);
    }
    strbuf_deinit(&out);
    return code;
}

int cmd_trace(const struct args *args)
{
    struct trace_id id;
    struct strbuf answer;
    struct error err;
    char text[33];
    int status = 0;
    int code = EXIT_FAILED;

    if (!hex_decode(slice_of(args->operand), id.bytes, sizeof(id.bytes))) {
        (void)fprintf(stderr, "spangate: a trace ID is 32 hexadecimal digits\n");
        return EXIT_USAGE;
    }
    hex_encode(id.bytes, sizeof(id.bytes), text);
    char *path = mem_printf("/api/v1/traces/%s", text);
    char *url = join_url(args->endpoint, "http://localhost:16686", path);
    strbuf_init(&answer, ANSWER_MAX);
    if (!http_exchange("GET", url, NULL, (struct slice){0}, EXCHANGE_TIMEOUT_NS, &status, &answer,
                       &err)) {
        (void)fprintf(stderr, "spangate: %s\n", err.message);
    } else if (status == 404) {
        (void)fprintf(stderr, "spangate: trace %s is not known here\n", text);
    } else if (status != 200) {
        (void)fprintf(stderr, "spangate: GET %s: status %d\n", url, status);
    } else {
        code = show_trace(args, &answer);
    }
    strbuf_deinit(&answer);
    free(url);
    free(path);
    return code;
}

int cmd_demo(const struct args *args)
{
    struct trace_id id;
    struct strbuf body;
    struct strbuf answer;
    struct error err;
    char text[33];
    int status = 0;
    int code = EXIT_FAILED;
    char *url = join_url(args->endpoint, "http://localhost:4318", "/v1/traces");

    random_bytes(id.bytes, sizeof(id.bytes));
    hex_encode(id.bytes, sizeof(id.bytes), text);
    strbuf_init(&body, 1 << 20);
    strbuf_init(&answer, 1 << 20);
    demo_write(&id, clock_wall(&clock_system), &body);
    if (!http_exchange("POST", url, "application/json", strbuf_slice(&body), EXCHANGE_TIMEOUT_NS,
                       &status, &answer, &err)) {
        (void)fprintf(stderr, "spangate: %s\n", err.message);
    } else if (status != 200) {
        (void)fprintf(stderr, "spangate: POST %s: status %d\n", url, status);
    } else {
        (void)fprintf(stderr, "sent a trace over four services; one of them fails\n");
        strbuf_clear(&answer);
        strbuf_printf(&answer, "%s\nhttp://localhost:16686/trace/%s\n", text, text);
        code = command_put(&answer);
    }
    strbuf_deinit(&answer);
    strbuf_deinit(&body);
    free(url);
    return code;
}
