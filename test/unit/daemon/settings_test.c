/* settings_test.c - from a file to settings: defaults, what maps to what, and what is refused. */
#include "load.h"

#define S UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define MIB (UINT64_C(1) << 20)

static const struct exporter_settings *exporter(const struct settings *s, const char *id)
{
    for (size_t i = 0; i < s->exporter_count; i++) {
        if (strcmp(s->exporters[i].id, id) == 0) {
            return &s->exporters[i];
        }
    }
    fail_msg("no exporter %s", id);
    return NULL;
}

static void without_sources_everything_is_on_on_localhost(void **state)
{
    (void)state;
    struct settings *s = load(NULL, NULL);

    assert_int_equal(s->receiver_count, 1);
    assert_string_equal(s->receivers[0].id, "otlp");
    assert_string_equal(s->receivers[0].grpc.endpoint, "localhost:4317");
    assert_string_equal(s->receivers[0].http.endpoint, "localhost:4318");
    assert_int_equal(s->exporter_count, 1);
    assert_true(s->exporters[0].is_trace_store);
    assert_null(s->exporters[0].driver);
    assert_int_equal(s->pipeline_count, 1);
    assert_string_equal(s->pipelines[0].id, "traces");
    assert_int_equal(s->pipelines[0].receivers, 1);
    assert_int_equal(s->pipelines[0].exporters, 1);
    assert_string_equal(s->query_endpoint, "localhost:16686");
    assert_string_equal(s->health_endpoint, "localhost:13133");
    assert_string_equal(s->metrics_endpoint, "localhost:8888");
    assert_string_equal(s->data_dir, "/var/lib/state-of-test");
    assert_int_equal(s->durability, DURABILITY_SYNC);
    assert_int_equal(s->durability_interval_ns, 100 * MS);
    assert_int_equal(s->memory_limit, 256 * MIB);
    assert_int_equal(s->disk_limit, 10240 * MIB);
    assert_int_equal(s->retention_ns, 72 * 3600 * S);
    assert_int_equal(s->traces.settle_ns, S);
    assert_int_equal(s->traces.idle_ns, 30 * S);
    assert_int_equal(s->traces.max_age_ns, 900 * S);
    assert_int_equal(s->traces.max_spans, 100000);
    assert_int_equal(s->traces.memory_bytes_max, 128 * MIB);
    assert_false(s->finish_on_shutdown);
    assert_int_equal(s->log_level, LOG_LEVEL_INFO);
    assert_int_equal(s->log_format, LOG_FORMAT_TEXT);
    settings_free(s);
}

static void only_our_section_keeps_the_default_pipeline(void **state)
{
    (void)state;
    struct settings *s = load("spangate: {memory_limit: 1GiB}\n", NULL);
    assert_int_equal(s->memory_limit, 1024 * MIB);
    assert_int_equal(s->pipeline_count, 1);
    assert_true(s->exporters[0].is_trace_store);
    settings_free(s);
}

static void set_works_without_a_file(void **state)
{
    struct settings *s = NULL;
    struct error err = {0};
    const char *const sets[] = {"spangate.data_dir=/tmp/x",
                                "receivers.otlp.protocols.http.endpoint=127.0.0.1:0"};
    (void)state;

    assert_true(settings_load(&s, NULL, 0, sets, 2, NULL, &err));
    assert_string_equal(s->data_dir, "/tmp/x");
    assert_string_equal(s->receivers[0].http.endpoint, "127.0.0.1:0");
    assert_true(s->receivers[0].has_grpc);
    settings_free(s);
}

static void the_listen_host_of_the_environment_is_in_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(setenv("SPANGATE_LISTEN_HOST", "0.0.0.0", 1), 0);
    struct settings *s = load(NULL, NULL);
    assert_string_equal(s->receivers[0].grpc.endpoint, "0.0.0.0:4317");
    assert_string_equal(s->health_endpoint, "0.0.0.0:13133");
    assert_string_equal(s->metrics_endpoint, "0.0.0.0:8888");
    assert_string_equal(s->query_endpoint, "localhost:16686");
    settings_free(s);
    assert_int_equal(unsetenv("SPANGATE_LISTEN_HOST"), 0);
}

static void receivers_have_the_collectors_defaults_and_larger_bodies(void **state)
{
    (void)state;
    struct settings *s = load(SMALL, "receivers: {otlp: {protocols: {grpc: , http: }}}\n");
    const struct otlp_http_receiver_settings *http = &s->receivers[0].http;
    const struct otlp_grpc_receiver_settings *grpc = &s->receivers[0].grpc;

    assert_true(s->receivers[0].has_grpc);
    assert_string_equal(http->url_path[OTLP_TRACES], "/v1/traces");
    assert_string_equal(http->url_path[OTLP_METRICS], "/v1/metrics");
    assert_string_equal(http->url_path[OTLP_LOGS], "/v1/logs");
    assert_int_equal(http->max_request_body_size, 64 * MIB);
    assert_int_equal(http->max_json_body_size, 16 * MIB);
    assert_int_equal(http->idle_timeout_ns, 60 * S);
    assert_int_equal(http->cors.allowed_origin_count, 0);
    assert_int_equal(grpc->max_recv_msg_size, 64 * MIB);
    assert_int_equal(grpc->max_concurrent_streams, 1000);
    assert_int_equal(grpc->max_connection_age_ns, 0);
    settings_free(s);
}

static void receiver_keys_arrive(void **state)
{
    (void)state;
    struct settings *s =
        load(SMALL,
             "receivers: {otlp: {protocols: {grpc: {endpoint: '[::1]:9', max_recv_msg_size_mib: 4, "
             "max_concurrent_streams: 7, keepalive: {server_parameters: {max_connection_idle: 1s, "
             "max_connection_age: 2s, max_connection_age_grace: 3s, time: 2h}}, "
             "read_buffer_size: 524288, auth: , transport: tcp}, "
             "http: {traces_url_path: /t, max_request_body_size: 1048576, idle_timeout: 5s, "
             "cors: {allowed_origins: ['https://*.a', b], allowed_headers: [x], max_age: 7}}}}}\n");
    const struct otlp_http_receiver_settings *http = &s->receivers[0].http;
    const struct otlp_grpc_receiver_settings *grpc = &s->receivers[0].grpc;

    assert_string_equal(grpc->endpoint, "[::1]:9");
    assert_int_equal(grpc->max_recv_msg_size, 4 * MIB);
    assert_int_equal(grpc->max_concurrent_streams, 7);
    assert_int_equal(grpc->max_connection_idle_ns, S);
    assert_int_equal(grpc->max_connection_age_ns, 2 * S);
    assert_int_equal(grpc->max_connection_age_grace_ns, 3 * S);
    assert_string_equal(http->url_path[OTLP_TRACES], "/t");
    assert_int_equal(http->max_request_body_size, MIB);
    assert_int_equal(http->max_json_body_size, MIB);
    assert_int_equal(http->idle_timeout_ns, 5 * S);
    assert_int_equal(http->cors.allowed_origin_count, 2);
    assert_string_equal(http->cors.allowed_headers[0], "x");
    assert_int_equal(http->cors.max_age_s, 7);
    settings_free(s);
}

static void exporters_have_the_collectors_defaults(void **state)
{
    (void)state;
    struct settings *s =
        load("receivers: {otlp: {protocols: {http: }}}\n"
             "exporters: {otlp_http: {endpoint: 'http://h:1/'}, otlp_grpc: {endpoint: 'h:2'}, "
             "debug: , file: {path: /f}}\n"
             "service: {pipelines: {traces: {receivers: [otlp], exporters: "
             "[otlp_http, otlp_grpc, debug, file]}}}\n",
             NULL);
    const struct exporter_settings *e = exporter(s, "otlp_http");
    const struct otlp_http_settings *http = e->driver_settings;
    const struct otlp_grpc_settings *grpc = exporter(s, "otlp_grpc")->driver_settings;
    const struct debug_settings *debug = exporter(s, "debug")->driver_settings;
    const struct file_settings *file = exporter(s, "file")->driver_settings;

    assert_ptr_equal(e->driver, &otlp_http_driver);
    assert_string_equal(http->endpoint, "http://h:1/");
    assert_null(http->signal_endpoint[OTLP_TRACES]);
    assert_false(http->json);
    assert_int_equal(http->compression, CODEC_GZIP);
    assert_int_equal(http->compression_level, 0);
    assert_int_equal(http->timeout_ns, 30 * S);
    assert_int_equal(http->header_count, 0);
    assert_null(http->proxy_url);
    assert_false(http->tls.insecure_skip_verify);
    assert_string_equal(grpc->endpoint, "h:2");
    assert_int_equal(grpc->compression, CODEC_GZIP);
    assert_int_equal(grpc->timeout_ns, 5 * S);
    assert_false(grpc->tls.insecure);
    assert_int_equal(debug->verbosity, DEBUG_BASIC);
    assert_string_equal(file->path, "/f");
    assert_true(file->json);
    assert_int_equal(file->rotate_bytes, 0);
    assert_true(e->retry.enabled);
    assert_int_equal(e->retry.initial_interval_ns, 5 * S);
    assert_true(e->retry.randomization_factor == 0.5);
    assert_true(e->retry.multiplier == 1.5);
    assert_int_equal(e->retry.max_interval_ns, 30 * S);
    assert_int_equal(e->retry.max_elapsed_ns, 0); /* ours: no limit while the disk has room */
    assert_int_equal(e->items_min, 8192);
    assert_int_equal(e->items_max, 8192);
    assert_int_equal(e->bytes_max, 4 * MIB);
    assert_int_equal(e->linger_ns, 200 * MS);
    assert_false(e->on_accepted);
    settings_free(s);
}

static void exporter_keys_arrive(void **state)
{
    (void)state;
    struct settings *s = load(
        SMALL,
        "exporters:\n"
        "  otlphttp/a: {traces_endpoint: 'https://h/x', encoding: json, compression: zstd, "
        "compression_params: {level: 6}, timeout: 1s, headers: {a: b}, proxy_url: 'http://p', "
        "tls: {ca_file: /ca, cert_file: /c, key_file: /k, server_name_override: n}, "
        "retry_on_failure: {max_elapsed_time: 300s}, "
        "sending_queue: {queue_size: 5, storage: x, batch: {flush_timeout: 1s, min_size: 10, "
        "max_size: 20}}}\n"
        "  otlp/b: {endpoint: 'dns:///b:4317', tls: {insecure: true}, export_on: accepted, "
        "authority: au, user_agent: ua, retry_on_failure: {enabled: false}, "
        "sending_queue: {batch: {sizer: bytes, min_size: 1000, max_size: 2000}}}\n"
        "  file: {path: f, format: proto, create_directory: true, "
        "rotation: {max_megabytes: 2, max_backups: 3}}\n"
        "  otlp_http/c: {endpoint: 'http://c', export_on: accepted, sending_queue: {batch: {}}}\n"
        "  otlp_http/d: {endpoint: 'http://d', export_on: accepted}\n"
        "  nop:\n"
        "service: {pipelines: {traces: {exporters: [otlphttp/a, otlp/b, file, otlp_http/c, "
        "otlp_http/d, nop]}}}\n");
    const struct exporter_settings *a = exporter(s, "otlphttp/a");
    const struct exporter_settings *b = exporter(s, "otlp/b");
    const struct exporter_settings *c = exporter(s, "otlp_http/c");
    const struct otlp_http_settings *http = a->driver_settings;
    const struct otlp_grpc_settings *grpc = b->driver_settings;
    const struct file_settings *file = exporter(s, "file")->driver_settings;

    assert_ptr_equal(a->driver, &otlp_http_driver);
    assert_null(http->endpoint);
    assert_string_equal(http->signal_endpoint[OTLP_TRACES], "https://h/x");
    assert_true(http->json);
    assert_int_equal(http->compression, CODEC_ZSTD);
    assert_int_equal(http->compression_level, 6);
    assert_int_equal(http->timeout_ns, S);
    assert_string_equal(http->headers[0].name, "a");
    assert_string_equal(http->headers[0].value, "b");
    assert_string_equal(http->proxy_url, "http://p");
    assert_string_equal(http->tls.ca_file, "/ca");
    assert_string_equal(http->tls.server_name_override, "n");
    assert_int_equal(a->retry.max_elapsed_ns, 300 * S);
    assert_int_equal(a->linger_ns, S);
    assert_int_equal(a->items_min, 10);
    assert_int_equal(a->items_max, 20);
    assert_ptr_equal(b->driver, &otlp_grpc_driver);
    assert_string_equal(grpc->endpoint, "b:4317");
    assert_true(grpc->tls.insecure);
    assert_string_equal(grpc->authority, "au");
    assert_string_equal(grpc->user_agent, "ua");
    assert_true(b->on_accepted);
    assert_false(b->retry.enabled);
    assert_int_equal(b->bytes_max, 2000);
    assert_true(b->items_max > 100000);
    assert_false(file->json);
    assert_true(file->create_directory);
    assert_int_equal(file->rotate_bytes, 2 * MIB);
    assert_int_equal(file->max_backups, 3);
    assert_int_equal(c->linger_ns, 200 * MS);
    assert_int_equal(c->items_max, 8192);
    assert_true(exporter(s, "otlp_http/d")->linger_ns < 100 * MS);
    assert_null(exporter(s, "nop")->driver);
    assert_false(exporter(s, "nop")->is_trace_store);
    settings_free(s);
}

static void a_batch_processor_sizes_the_exporters_of_its_pipeline(void **state)
{
    (void)state;
    struct settings *s = load(
        SMALL,
        "processors: {batch: {timeout: 5s, send_batch_size: 100, send_batch_max_size: 150}}\n"
        "exporters: {file: {path: f, sending_queue: {batch: {min_size: 1}}}, file/2: {path: g}}\n"
        "service: {pipelines: {traces: {processors: [batch], exporters: [debug, file]}, "
        "traces/2: {receivers: [otlp], exporters: [file/2]}}}\n");
    assert_int_equal(exporter(s, "debug")->linger_ns, 5 * S);
    assert_int_equal(exporter(s, "debug")->items_min, 100);
    assert_int_equal(exporter(s, "debug")->items_max, 150);
    assert_int_equal(exporter(s, "file")->items_min, 1);
    assert_int_equal(exporter(s, "file/2")->items_min, 8192);
    settings_free(s);
}

static void a_batch_processor_without_an_upper_size_keeps_batches_bounded(void **state)
{
    (void)state;
    struct settings *s = load(SMALL, "processors: {batch: {send_batch_size: 20000}}\n"
                                     "service: {pipelines: {traces: {processors: [batch]}}}\n");
    assert_int_equal(exporter(s, "debug")->items_min, 20000);
    assert_int_equal(exporter(s, "debug")->items_max, 20000);
    settings_free(s);
}

static void memory_limiter_sets_the_limit_where_we_have_none(void **state)
{
    (void)state;
    static const char limiter[] =
        "processors: {memory_limiter: {check_interval: 1s, limit_mib: 512, spike_limit_mib: 100}}\n"
        "service: {pipelines: {traces: {processors: [memory_limiter]}}}\n";
    struct settings *s = load(SMALL, limiter);
    assert_int_equal(s->memory_limit, 512 * MIB);
    settings_free(s);

    char *both = mem_printf("%sspangate: {memory_limit: 100MiB}\n", limiter);
    s = load(SMALL, both);
    assert_int_equal(s->memory_limit, 100 * MIB);
    settings_free(s);
    free(both);
}

static void a_percentage_is_of_the_machines_memory(void **state)
{
    (void)state;
    struct settings *half = load("spangate: {memory_limit: 50%}\n", NULL);
    struct settings *tenth = load("spangate: {memory_limit: 10%}\n", NULL);
    assert_true(half->memory_limit > 4 * tenth->memory_limit);
    assert_true(half->memory_limit < 6 * tenth->memory_limit);
    assert_int_equal(half->memory_limit % MIB, 0);
    settings_free(half);
    settings_free(tenth);
}

static void file_storage_sets_the_data_folder_where_we_have_none(void **state)
{
    (void)state;
    static const char storage[] =
        "extensions: {file_storage: {directory: /d, compaction: {on_start: true}}}\n"
        "service: {extensions: [file_storage]}\n";
    struct settings *s = load(SMALL, storage);
    assert_string_equal(s->data_dir, "/d");
    assert_null(s->health_endpoint);
    settings_free(s);

    char *both = mem_printf("%sspangate: {data_dir: /own}\n", storage);
    s = load(SMALL, both);
    assert_string_equal(s->data_dir, "/own");
    settings_free(s);
    free(both);
}

static void groupbytrace_sets_the_times_that_we_do_not_give(void **state)
{
    (void)state;
    static const char group[] = "processors: {groupbytrace: {wait_duration: 500ms}}\n"
                                "service: {pipelines: {traces: {processors: [groupbytrace]}}}\n";
    struct settings *s = load(SMALL, group);
    assert_int_equal(s->traces.idle_ns, 500 * MS);
    assert_int_equal(s->traces.settle_ns, 500 * MS);
    settings_free(s);

    char *both = mem_printf("%sspangate: {traces: {idle: 9s, settle: 2s}}\n", group);
    s = load(SMALL, both);
    assert_int_equal(s->traces.idle_ns, 9 * S);
    assert_int_equal(s->traces.settle_ns, 2 * S);
    settings_free(s);
    free(both);
}

static void telemetry_sets_log_and_metrics(void **state)
{
    (void)state;
    struct settings *s = load(
        SMALL,
        "service: {telemetry: {logs: {level: DEBUG, encoding: json}, metrics: {level: detailed, "
        "readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1234, "
        "without_units: true}}}}]}}}\n");
    assert_int_equal(s->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(s->log_format, LOG_FORMAT_JSON);
    assert_string_equal(s->metrics_endpoint, "[::1]:1234");
    settings_free(s);
    s = load(SMALL, "service: {telemetry: {metrics: {level: none}}}\n");
    assert_null(s->metrics_endpoint);
    settings_free(s);
    s = load(SMALL, "service: {telemetry: {metrics: {readers: []}}}\n");
    assert_null(s->metrics_endpoint);
    settings_free(s);
}

static void our_section_arrives(void **state)
{
    (void)state;
    struct settings *s =
        load(SMALL, "spangate: {durability: interval, durability_interval: 50ms, disk_limit: 1GiB, "
                    "retention: 1h, query: {endpoint: '0.0.0.0:80', allowed_hosts: [a, b], "
                    "allow_unauthenticated: true}, traces: {max_age: 1m, max_spans: 5, "
                    "finish_on_shutdown: true}}\n");
    assert_int_equal(s->durability, DURABILITY_INTERVAL);
    assert_int_equal(s->durability_interval_ns, 50 * MS);
    assert_int_equal(s->disk_limit, 1024 * MIB);
    assert_int_equal(s->retention_ns, 3600 * S);
    assert_string_equal(s->query_endpoint, "0.0.0.0:80");
    assert_int_equal(s->query_allowed_host_count, 2);
    assert_true(s->query_allow_unauthenticated);
    assert_int_equal(s->traces.max_spans, 5);
    assert_true(s->finish_on_shutdown);
    settings_free(s);
    s = load(SMALL, "spangate: {query: {endpoint: ''}}\n");
    assert_null(s->query_endpoint);
    settings_free(s);
}

static void the_query_port_does_not_leave_loopback_by_accident(void **state)
{
    (void)state;
    refused(SMALL "spangate: {query: {endpoint: '0.0.0.0:16686'}}\n",
            "--config yaml:4:20: spangate: query.endpoint: is open to the network, and whoever "
            "reaches it can read all traces: listen on localhost, ask for credentials with "
            "spangate.query.auth, or set spangate.query.allow_unauthenticated: true");
    refused(SMALL "spangate: {query: {endpoint: ':16686'}}\n",
            "--config yaml:4:20: spangate: query.endpoint: is open to the network, and whoever "
            "reaches it can read all traces: listen on localhost, ask for credentials with "
            "spangate.query.auth, or set spangate.query.allow_unauthenticated: true");
}

static void credentials_or_certificates_let_the_query_port_leave_loopback(void **state)
{
    static const char *const guards[] = {
        "auth: {authenticator: bearertokenauth}",
        "tls: {cert_file: c, key_file: k, client_ca_file: a}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(guards); i++) {
        char *more = mem_printf("extensions: {bearertokenauth: {token: t}}\n"
                                "service: {extensions: [bearertokenauth]}\n"
                                "spangate: {query: {endpoint: '0.0.0.0:16686', %s}}\n",
                                guards[i]);
        struct settings *s = load(SMALL, more);
        assert_string_equal(s->query_endpoint, "0.0.0.0:16686");
        assert_int_equal(s->query_auth != NULL, i == 0);
        assert_int_equal(s->query_tls != NULL, i == 1);
        settings_free(s);
        free(more);
    }
}

static void listeners_get_their_certificates_and_authenticators(void **state)
{
    (void)state;
    struct settings *s = load(
        SMALL,
        "extensions:\n"
        "  bearertokenauth/a: {tokens: [one, two]}\n"
        "  bearertokenauth/b: {header: X-T, scheme: '', token: '${env:HOME}', filename: /t}\n"
        "  basicauth: {htpasswd: {file: /h, inline: 'u:p'}}\n"
        "  apikeyauth: {keys: [k], filename: /k}\n"
        "service: {extensions: [bearertokenauth/a, bearertokenauth/b, basicauth, apikeyauth]}\n"
        "receivers: {otlp: {protocols: {\n"
        "  grpc: {auth: {authenticator: bearertokenauth/b}, tls: {cert_file: /c, key_file: /k, "
        "client_ca_file: /a, min_version: '1.3', reload_interval: 5m}},\n"
        "  http: {auth: {authenticator: apikeyauth}, tls: {cert_file: /c2, key_file: /k2}, "
        "cors: {allowed_origins: [a], allowed_headers: [h]}}}}}\n"
        "spangate: {query: {auth: {authenticator: basicauth}}}\n");
    const struct otlp_grpc_receiver_settings *grpc = &s->receivers[0].grpc;
    const struct otlp_http_receiver_settings *http = &s->receivers[0].http;

    assert_string_equal(grpc->tls->cert_file, "/c");
    assert_string_equal(grpc->tls->key_file, "/k");
    assert_string_equal(grpc->tls->client_ca_file, "/a");
    assert_int_equal(grpc->tls->min_version, TLS_1_3);
    assert_int_equal(grpc->tls->reload_interval_ns, 300 * S);
    assert_string_equal(http->tls->cert_file, "/c2");
    assert_null(http->tls->client_ca_file);
    assert_int_equal(http->tls->min_version, TLS_1_2);
    assert_int_equal(http->tls->reload_interval_ns, 0);
    assert_null(s->query_tls);

    assert_int_equal(grpc->auth->kind, AUTH_BEARER);
    assert_string_equal(grpc->auth->id, "bearertokenauth/b");
    assert_string_equal(grpc->auth->header, "X-T");
    assert_string_equal(grpc->auth->scheme, "");
    assert_string_equal(grpc->auth->file, "/t");
    assert_int_equal(grpc->auth->secret_count, 0); /* the file counts */
    assert_int_equal(http->auth->kind, AUTH_API_KEY);
    assert_string_equal(http->auth->header, "x-api-key");
    assert_int_equal(http->auth->secret_count, 1);
    assert_string_equal(http->auth->secrets[0], "k");
    assert_string_equal(http->auth->file, "/k");
    assert_int_equal(http->cors.allowed_header_count, 2);
    assert_string_equal(http->cors.allowed_headers[1], "x-api-key");
    assert_int_equal(s->query_auth->kind, AUTH_BASIC);
    assert_string_equal(s->query_auth->file, "/h");
    assert_string_equal(s->query_auth->secrets[0], "u:p");
    settings_free(s);
}

static void listeners_name_what_is_wrong_with_their_access(void **state)
{
    static const struct {
        const char *more, *expected;
    } rows[] = {
        {"receivers: {otlp: {protocols: {http: {tls: {cert_file: x}}}}}",
         "receivers::otlp: protocols.http.tls: cert_file and key_file are both required"},
        {"receivers: {otlp: {protocols: {http: {tls: {}}}}}",
         "receivers::otlp: protocols.http.tls: cert_file and key_file are both required"},
        {"receivers: {otlp: {protocols: {http: {auth: {}}}}}",
         "receivers::otlp: protocols.http.auth: authenticator is required"},
        {"receivers: {otlp: {protocols: {http: {auth: {authenticator: x}}}}}",
         "receivers::otlp: protocols.http.auth.authenticator: failed to resolve authenticator "
         "\"x\": authenticator not found"},
        {"extensions: {health_check: }\n"
         "receivers: {otlp: {protocols: {http: {auth: {authenticator: health_check}}}}}",
         "extension \"health_check\" does not check credentials"},
        {"extensions: {apikeyauth: {keys: [x]}}\n"
         "spangate: {query: {auth: {authenticator: apikeyauth}}}",
         "spangate: query.auth.authenticator: extension \"apikeyauth\" is not in "
         "service::extensions"},
        {"extensions: {apikeyauth: {keys: ['']}}",
         "extensions::apikeyauth: keys: entry 1 is empty"},
        {"extensions: {apikeyauth: {header: 'a b', keys: [x]}}",
         "extensions::apikeyauth: header: must be of letters, digits and hyphens"},
        {"extensions: {apikeyauth: }", "extensions::apikeyauth: needs keys or filename"},
        {"extensions: {bearertokenauth: }",
         "extensions::bearertokenauth: needs token, tokens or filename"},
        {"extensions: {bearertokenauth: {token: a, tokens: [b]}}",
         "tokens: either token or tokens should be set, not both"},
        {"extensions: {basicauth: }", "extensions::basicauth: htpasswd: needs file or inline"},
        {"extensions: {basicauth: {htpasswd: {inline: \"a:b\\nc\"}}}",
         "extensions::basicauth: htpasswd.inline: authenticator basicauth: line 2 has no "
         "user:password"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct settings *settings = NULL;
        struct error err = {0};
        char *report = NULL;
        char *more = as_source(rows[i].more);
        assert_false(settings_load(&settings, (const char *const[]){"yaml:" SMALL, more}, 2, NULL,
                                   0, &report, &err));
        if (strstr(report, rows[i].expected) == NULL) {
            fail_msg("expected \"%s\" in:\n%s", rows[i].expected, report);
        }
        free(report);
        free(more);
    }
}

/* The messages that other tools look for, word by word. */
static void the_collectors_messages_are_kept(void **state)
{
    static const struct {
        const char *yaml, *expected;
    } rows[] = {
        {"exporters: {debug: }\nservice: {pipelines: {traces: {receivers: [otlp], exporters: "
         "[debug]}}}\n",
         "no receiver configuration specified in config"},
        {"receivers: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], exporters: "
         "[debug]}}}\n",
         "no exporter configuration specified in config"},
        {"{}\n", "empty configuration file"},
        {"", "empty configuration file"},
        {"receivers: {nop: }\nexporters: {nop: }\n", "service must have at least one pipeline"},
        {SMALL "receivers: {}\n", "mapping key \"receivers\" already defined at line 1"},
        {"receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {exporters: "
         "[nop]}}}\n",
         "service::pipelines::traces: must have at least one receiver"},
        {"receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: "
         "[nop]}}}\n",
         "service::pipelines::traces: must have at least one exporter"},
        {"receivers: {nop: }\nexporters: {nop: }\nprocessors: {batch: }\nservice: {pipelines: "
         "{traces: "
         "{receivers: [nop], processors: [batch, batch], exporters: [nop]}}}\n",
         "service::pipelines::traces: references processor \"batch\" multiple times"},
        {"receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [x], "
         "exporters: [nop]}}}\n",
         "service::pipelines::traces: references receiver \"x\" which is not configured"},
        {"receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], "
         "processors: [y], exporters: [z]}}}\n",
         "service::pipelines::traces: references processor \"y\" which is not configured"},
        {"receivers: {nop: }\nexporters: {nop: }\nservice: {pipelines: {traces/1: {receivers: "
         "[nop], "
         "exporters: [z]}}}\n",
         "service::pipelines::traces/1: references exporter \"z\" which is not configured"},
        {"receivers: {nop: }\nexporters: {nop: }\nservice: {extensions: [q], pipelines: {traces: "
         "{receivers: [nop], exporters: [nop]}}}\n",
         "service::extensions: references extension \"q\" which is not configured"},
        {SMALL "foo: 1\n", "'' has invalid keys: foo"},
        {"receivers: {x: }\nexporters: {nop: }\nservice: {pipelines: {traces: {receivers: [x], "
         "exporters: [nop]}}}\n",
         "'receivers' unknown type: \"x\" for id: \"x\" (valid values: [nop otlp])"},
        {"receivers: {otlp: {protocols: }}\nexporters: {nop: }\nservice: {pipelines: {traces: "
         "{receivers: "
         "[otlp], exporters: [nop]}}}\n",
         "must specify at least one protocol when using the OTLP receiver"},
        {"receivers: {nop: }\nexporters: {otlp_http: }\nservice: {pipelines: {traces: {receivers: "
         "[nop], "
         "exporters: [otlp_http]}}}\n",
         "at least one endpoint must be specified"},
        {"receivers: {nop: }\nexporters: {otlp_grpc: }\nservice: {pipelines: {traces: {receivers: "
         "[nop], "
         "exporters: [otlp_grpc]}}}\n",
         "requires a non-empty \"endpoint\""},
        {"receivers: {nop: }\nexporters: {nop: }\nprocessors: {memory_limiter: }\nservice: "
         "{pipelines: "
         "{traces: {receivers: [nop], processors: [memory_limiter], exporters: [nop]}}}\n",
         "'check_interval' must be greater than zero"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *report = report_of(rows[i].yaml);
        if (strstr(report, rows[i].expected) == NULL) {
            fail_msg("expected \"%s\" in:\n%s", rows[i].expected, report);
        }
        free(report);
    }
}

static void places_are_exact(void **state)
{
    (void)state;
    refused(
        "receivers:\n"
        "  otlp:\n"
        "    protocols:\n"
        "      http:\n"
        "        endpint: localhost:1\n"
        "exporters:\n"
        "  logging:\n"
        "  otlp_http:\n"
        "    endpoint: localhost:4318\n"
        "    timeout: 5\n"
        "processors:\n"
        "  bacth: {}\n"
        "  tail_sampling: {}\n"
        "service:\n"
        "  pipelines:\n"
        "    traces:\n"
        "      receivers: [otlp]\n"
        "      processors: [bacth, tail_sampling]\n"
        "      exporters: [logging, otlp_http, nothing]\n",
        "--config yaml:5:9: receivers::otlp: 'protocols.http' has invalid keys: endpint (did "
        "you mean \"endpoint\"?)\n"
        "--config yaml:7:3: exporters::logging: \"logging\" is not supported by this version "
        "(supported exporters: [debug file nop otlp_grpc otlp_http trace_store]) (did you mean "
        "\"debug\"?)\n"
        "--config yaml:9:5: exporters::otlp_http: endpoint: must begin with http:// or https://\n"
        "--config yaml:10:14: exporters::otlp_http: timeout: expected a duration with its unit, "
        "like 300ms or 1h30m, found \"5\"\n"
        "--config yaml:12:3: 'processors' unknown type: \"bacth\" for id: \"bacth\" (valid "
        "values: [batch groupbytrace memory_limiter]) (did you mean \"batch\"?)\n"
        "--config yaml:13:3: processors::tail_sampling: \"tail_sampling\" is not supported by "
        "this version (supported processors: [batch groupbytrace memory_limiter])\n"
        "--config yaml:19:7: service::pipelines::traces: references exporter \"nothing\" which "
        "is not configured");
}

static void what_is_not_supported_says_so(void **state)
{
    static const struct {
        const char *more, *expected;
    } rows[] = {
        {"receivers: {otlp: {protocols: {grpc: {tls: {cipher_suites: [x]}}}}}",
         "protocols.grpc.tls.cipher_suites: not supported by this version. The TLS library's"},
        {"receivers: {otlp: {protocols: {grpc: {tls: {key_pem: x}}}}}",
         "protocols.grpc.tls.key_pem: not supported by this version. Certificates and keys"},
        {"receivers: {otlp: {protocols: {http: {tls: {min_version: '1.1'}}}}}",
         "protocols.http.tls.min_version: expected one of 1.2, 1.3, found \"1.1\""},
        {"receivers: {otlp: {protocols: {http: {auth: {request_params: [x]}}}}}",
         "protocols.http.auth.request_params: not supported"},
        {"extensions: {basicauth: {client_auth: {username: x}}}",
         "client_auth: not supported by this version. Put the credentials into headers"},
        {"receivers: {otlp: {protocols: {grpc: {transport: unix}}}}",
         "protocols.grpc.transport: not supported"},
        {"receivers: {otlp: {protocols: {http: {middlewares: [{id: x}]}}}}",
         "protocols.http.middlewares: not supported"},
        {"exporters: {debug: {sending_queue: {wait_for_result: true}}}",
         "sending_queue.wait_for_result: not supported"},
        {"exporters: {otlp_http: {endpoint: 'http://x', auth: {authenticator: y}}}",
         "auth: not supported by this version. Put the credentials into headers"},
        {"exporters: {otlp_http: {endpoint: 'http://x', compression: snappy}}",
         "compression: expected one of gzip, zstd, zlib, deflate, none, \"\", found \"snappy\""},
        {"exporters: {otlp_grpc: {endpoint: 'unix:///s'}}",
         "endpoint: this scheme is not supported"},
        {"service: {pipelines: {profiles: {receivers: [otlp], exporters: [debug]}}}",
         "profiles are not supported by this version"},
        {"extensions: {zpages: }",
         "extensions::zpages: \"zpages\" is not supported by this version"},
        {"connectors: {span_metrics: }",
         "connectors::span_metrics: \"span_metrics\" is not supported by this version (supported "
         "connectors: [forward])"},
        {"service: {telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: }}}]}}}",
         "telemetry.metrics.readers.periodic: not supported"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct settings *settings = NULL;
        struct error err = {0};
        char *report = NULL;
        char *more = as_source(rows[i].more);
        assert_false(settings_load(&settings, (const char *const[]){"yaml:" SMALL, more}, 2, NULL,
                                   0, &report, &err));
        if (strstr(report, rows[i].expected) == NULL) {
            fail_msg("expected \"%s\" in:\n%s", rows[i].expected, report);
        }
        free(report);
        free(more);
    }
}

static void ids_follow_the_collectors_rules(void **state)
{
    (void)state;
    refused(
        SMALL "extensions: {/x: , health_check/: , 1a: , 'health_check/a b': }\n",
        "--config yaml:4:14: extensions::/x: in \"/x\" id: the part before / should not be empty\n"
        "--config yaml:4:20: extensions::health_check/: in \"health_check/\" id: the part after / "
        "should not be empty\n"
        "--config yaml:4:37: extensions::1a: in \"1a\" id: invalid character(s) in type \"1a\"\n"
        "--config yaml:4:43: extensions::health_check/a b: in \"health_check/a b\" id: invalid "
        "character(s) in name");
}

static void monoscope_needs_its_key_and_takes_protobuf_uncompressed(void **state)
{
    (void)state;
    static const char head[] =
        "receivers: {nop: }\nservice: {pipelines: {traces: {receivers: [nop], "
        "exporters: [otlp_http]}}}\n";
    char *good =
        mem_printf("%sexporters: {otlp_http: {endpoint: 'http://m:8080', preset: monoscope, "
                   "headers: {X-API-Key: k}}}\n",
                   head);
    struct settings *s = load(good, NULL);
    const struct otlp_http_settings *http = exporter(s, "otlp_http")->driver_settings;
    assert_int_equal(http->compression, CODEC_NONE);
    assert_false(http->json);
    settings_free(s);
    free(good);

    char *keyless = mem_printf("%sexporters: {otlp_http: {endpoint: 'http://m', preset: monoscope, "
                               "encoding: json, compression: gzip, headers: {x-api-key: "
                               "\"${env:NO_SUCH_KEY}\"}}}\n",
                               head);
    char *report = report_of(keyless);
    assert_non_null(strstr(report, "headers: preset monoscope needs the header x-api-key"));
    assert_non_null(strstr(report, "encoding: preset monoscope takes proto only"));
    assert_non_null(strstr(report, "compression: preset monoscope takes none only"));
    free(report);
    free(keyless);
}

static void sending_to_ourselves_is_refused(void **state)
{
    (void)state;
    refused(
        "receivers: {otlp: {protocols: {http: , grpc: {endpoint: '0.0.0.0:4317'}}}}\n"
        "exporters:\n"
        "  otlp_http: {endpoint: 'http://127.0.0.1:4318/'}\n"
        "  otlp_grpc: {endpoint: 'localhost:4317'}\n"
        "  otlp_grpc/fine: {endpoint: 'elsewhere:4317'}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http, otlp_grpc, "
        "otlp_grpc/fine]}}}\n",
        "--config yaml:3:15: exporters::otlp_http: endpoint: is a port of our own receiver: data "
        "would go round and round\n"
        "--config yaml:4:15: exporters::otlp_grpc: endpoint: is a port of our own receiver: data "
        "would go round and round");
}

static void secrets_are_not_in_reports(void **state)
{
    (void)state;
    assert_int_equal(setenv("T_SECRET", "canary-5f1d", 1), 0);
    char *report =
        report_of("receivers: {otlp: {protocols: {http: {endpoint: \"${env:T_SECRET}\"}}}}\n"
                  "exporters:\n"
                  "  otlp_http: {endpoint: \"${env:T_SECRET}\", timeout: \"${env:T_SECRET}\", "
                  "headers: {a: \"${env:T_SECRET}\\x01\"}, compression: \"${env:T_SECRET}\"}\n"
                  "  otlp_grpc: {endpoint: \"${env:T_SECRET}\"}\n"
                  "spangate: {data_dir: [\"${env:T_SECRET}\"], query: {endpoint: "
                  "\"${env:T_SECRET}\"}, memory_limit: \"${env:T_SECRET}\"}\n"
                  "service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: "
                  "{host: \"${env:T_SECRET} x\"}}}}]}}}\n");
    assert_null(strstr(report, "canary"));
    assert_non_null(strstr(report, "protocols.http.endpoint: must be host:port"));
    free(report);
    assert_int_equal(unsetenv("T_SECRET"), 0);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct settings *settings = NULL;
    struct error err = {0};
    char *report = NULL;
    (void)state;
    assert_false(settings_load(&settings, (const char *const[]){"/no/such/file.yaml"}, 1, NULL, 0,
                               &report, &err));
    assert_non_null(strstr(report, "/no/such/file.yaml"));
    free(report);
    assert_false(settings_load(&settings, (const char *const[]){"/no/such/file.yaml"}, 1, NULL, 0,
                               NULL, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_sources_everything_is_on_on_localhost),
        cmocka_unit_test(only_our_section_keeps_the_default_pipeline),
        cmocka_unit_test(set_works_without_a_file),
        cmocka_unit_test(the_listen_host_of_the_environment_is_in_the_defaults),
        cmocka_unit_test(receivers_have_the_collectors_defaults_and_larger_bodies),
        cmocka_unit_test(receiver_keys_arrive),
        cmocka_unit_test(exporters_have_the_collectors_defaults),
        cmocka_unit_test(exporter_keys_arrive),
        cmocka_unit_test(a_batch_processor_sizes_the_exporters_of_its_pipeline),
        cmocka_unit_test(a_batch_processor_without_an_upper_size_keeps_batches_bounded),
        cmocka_unit_test(memory_limiter_sets_the_limit_where_we_have_none),
        cmocka_unit_test(a_percentage_is_of_the_machines_memory),
        cmocka_unit_test(file_storage_sets_the_data_folder_where_we_have_none),
        cmocka_unit_test(groupbytrace_sets_the_times_that_we_do_not_give),
        cmocka_unit_test(telemetry_sets_log_and_metrics),
        cmocka_unit_test(our_section_arrives),
        cmocka_unit_test(the_query_port_does_not_leave_loopback_by_accident),
        cmocka_unit_test(credentials_or_certificates_let_the_query_port_leave_loopback),
        cmocka_unit_test(listeners_get_their_certificates_and_authenticators),
        cmocka_unit_test(listeners_name_what_is_wrong_with_their_access),
        cmocka_unit_test(the_collectors_messages_are_kept),
        cmocka_unit_test(places_are_exact),
        cmocka_unit_test(what_is_not_supported_says_so),
        cmocka_unit_test(ids_follow_the_collectors_rules),
        cmocka_unit_test(monoscope_needs_its_key_and_takes_protobuf_uncompressed),
        cmocka_unit_test(sending_to_ourselves_is_refused),
        cmocka_unit_test(secrets_are_not_in_reports),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
