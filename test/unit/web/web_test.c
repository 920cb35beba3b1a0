/*
 * web_test.c - which file a path of the query port gives.
 */
#include <spangate/web/web.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static bool holds(const struct web_file *file, const char *text)
{
    return memmem(file->content.data, file->content.len, text, strlen(text)) != NULL;
}

static void every_address_of_the_page_gives_the_document(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/",       "/search", "/setup", "/index.html", "/trace/5b8efff798038103d269b633813fc60c",
        "/trace/",
    };
    const struct web_file *document = web_find("/");

    assert_non_null(document);
    assert_string_equal(document->content_type, "text/html; charset=utf-8");
    assert_true(holds(document, "<!doctype html>"));
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_ptr_equal(web_find(paths[i]), document);
    }
}

static void other_paths_give_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",       "index.html", "/trace",  "/app.js/",       "/app.js?x",  "/App.js",
        "/searc", "/search/",   "/setup/", "/../etc/passwd", "/api/trace", "//app.js",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_null(web_find(paths[i]));
    }
}

static void scripts_and_styles_have_their_type(void **state)
{
    (void)state;

    assert_string_equal(web_find("/app.js")->content_type, "text/javascript; charset=utf-8");
    assert_string_equal(web_find("/style.css")->content_type, "text/css; charset=utf-8");
}

/* What the document and its scripts refer to is there, and nothing is cut at a special byte. */
static void every_file_is_whole_and_what_it_imports_is_there(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "/api.js",   "/app.js",    "/dom.js",  "/filters.js", "/format.js",    "/layout.js",
        "/setup.js", "/search.js", "/span.js", "/trace.js",   "/waterfall.js",
    };
    char import[64];

    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        const struct web_file *file = web_find(scripts[i]);
        assert_non_null(file);
        assert_int_equal(file->content.data[file->content.len - 1], '\n');
        const uint8_t *at = file->content.data;
        const uint8_t *end = at + file->content.len;
        while ((at = memmem(at, (size_t)(end - at), "from \"./", 8)) != NULL) {
            const uint8_t *name = at + strlen("from \".");
            const uint8_t *quote = memchr(name, '"', (size_t)(end - name));
            assert_non_null(quote);
            assert_true((size_t)(quote - name) < sizeof(import));
            memcpy(import, name, (size_t)(quote - name));
            import[quote - name] = '\0';
            assert_non_null(web_find(import));
            at = quote;
        }
    }
    assert_true(holds(web_find("/style.css"), "prefers-color-scheme: dark"));
}

/* A first visit reads everything: it stays small without compression. */
static void the_whole_page_is_small(void **state)
{
    (void)state;
    static const char *const files[] = {
        "/",           "/style.css", "/api.js",       "/app.js",    "/dom.js",
        "/filters.js", "/format.js", "/setup.js",     "/layout.js", "/search.js",
        "/span.js",    "/trace.js",  "/waterfall.js",
    };
    size_t bytes = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        bytes += web_find(files[i])->content.len;
    }
    assert_in_range(bytes, 1, 120 * 1024);
}

/* The page's rule: what a span says is only ever set as text. */
static void no_script_makes_markup_from_text(void **state)
{
    (void)state;
    static const char *const scripts[] = {
        "/api.js",   "/app.js",    "/dom.js",  "/filters.js", "/format.js",    "/layout.js",
        "/setup.js", "/search.js", "/span.js", "/trace.js",   "/waterfall.js",
    };
    static const char *const banned[] = {
        "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
    };

    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        for (size_t b = 0; b < sizeof(banned) / sizeof(banned[0]); b++) {
            assert_false(holds(web_find(scripts[i]), banned[b]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_of_the_page_gives_the_document),
        cmocka_unit_test(other_paths_give_nothing),
        cmocka_unit_test(scripts_and_styles_have_their_type),
        cmocka_unit_test(every_file_is_whole_and_what_it_imports_is_there),
        cmocka_unit_test(the_whole_page_is_small),
        cmocka_unit_test(no_script_makes_markup_from_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
