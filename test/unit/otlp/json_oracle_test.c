/*
 * json_oracle_test.c - what another implementation of protobuf makes of our bytes.
 *
 * protobuf-c unpacks what the JSON decoder wrote; packing it again gives the canonical bytes, with
 * fields in the order of their numbers and lengths as short as can be. protobuf-c cuts strings at
 * NUL and recurses without a limit, so the inputs here have neither.
 */

#include "json_parts.h"

#include <opentelemetry/proto/collector/logs/v1/logs_service.pb-c.h>
#include <opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>

static const ProtobufCMessageDescriptor *const descriptors[OTLP_SIGNALS] = {
    [OTLP_TRACES] =
        &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor,
    [OTLP_METRICS] =
        &opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor,
    [OTLP_LOGS] =
        &opentelemetry__proto__collector__logs__v1__export_logs_service_request__descriptor,
};

static ProtobufCMessage *unpack(enum otlp_signal signal, struct slice body)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptors[signal], NULL, body.len, body.data);

    assert_non_null(message);
    return message;
}

/* Through protobuf-c and back. */
static struct strbuf canonical(enum otlp_signal signal, struct slice body)
{
    ProtobufCMessage *message = unpack(signal, body);
    struct strbuf out = new_bytes();

    out.len = protobuf_c_message_get_packed_size(message);
    assert_true(strbuf_reserve(&out, 1));
    assert_int_equal(protobuf_c_message_pack(message, (uint8_t *)out.data), out.len);
    protobuf_c_message_free_unpacked(message, NULL);
    return out;
}

static void assert_canonical_hex(enum otlp_signal signal, const char *json, const char *hex)
{
    struct strbuf body = from_json(signal, slice_of(json));
    struct strbuf again = canonical(signal, strbuf_slice(&body));

    assert_hex(strbuf_slice(&again), hex);
    strbuf_deinit(&again);
    strbuf_deinit(&body);
}

/* The same request with members in another order, as the published example has them. */
static void the_order_of_members_does_not_matter(void **state)
{
    (void)state;
    assert_canonical_hex(
        OTLP_TRACES,
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{"
        "\"attributes\":[{\"value\":{\"stringValue\":\"some value\"},\"key\":\"my.span.attr\"}],"
        "\"endTimeUnixNano\":\"1544712661000000000\",\"kind\":2,"
        "\"startTimeUnixNano\":\"1544712660000000000\",\"name\":\"I'm a server span\","
        "\"parentSpanId\":\"EEE19B7EC3C1B173\",\"spanId\":\"EEE19B7EC3C1B174\","
        "\"traceId\":\"5B8EFFF798038103D269B633813FC60C\"}],\"scope\":{\"attributes\":[{"
        "\"key\":\"my.scope.attribute\",\"value\":{\"stringValue\":\"some scope attribute\"}}],"
        "\"version\":\"1.0.0\",\"name\":\"my.library\"}}],\"resource\":{\"attributes\":[{"
        "\"key\":\"service.name\",\"value\":{\"stringValue\":\"my.service\"}}]}}]}",
        golden_hex);
}

static void bytes_from_json_are_canonical(void **state)
{
    (void)state;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        struct strbuf body =
            from_json((enum otlp_signal)signal, slice_of(full_json((enum otlp_signal)signal)));
        struct strbuf again = canonical((enum otlp_signal)signal, strbuf_slice(&body));
        assert_int_equal(again.len, body.len);
        assert_memory_equal(again.data, body.data, body.len);
        strbuf_deinit(&again);
        strbuf_deinit(&body);
    }
}

static void json_from_canonical_bytes_is_the_same(void **state)
{
    (void)state;
    for (int signal = 0; signal < OTLP_SIGNALS; signal++) {
        const char *json = full_json((enum otlp_signal)signal);
        struct strbuf body = from_json((enum otlp_signal)signal, slice_of(json));
        struct strbuf again = canonical((enum otlp_signal)signal, strbuf_slice(&body));
        struct strbuf text = to_json((enum otlp_signal)signal, strbuf_slice(&again));
        assert_string_equal(text.data, json);
        strbuf_deinit(&text);
        strbuf_deinit(&again);
        strbuf_deinit(&body);
    }
}

static void a_span_has_the_values_of_its_json(void **state)
{
    (void)state;
    struct strbuf body = from_json(OTLP_TRACES, slice_of(full_trace_json));
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *request =
        (void *)unpack(OTLP_TRACES, strbuf_slice(&body));
    uint8_t trace_id[16];

    assert_int_equal(request->n_resource_spans, 1);
    const Opentelemetry__Proto__Trace__V1__ResourceSpans *rs = request->resource_spans[0];
    assert_string_equal(rs->schema_url, "https://res");
    assert_int_equal(rs->resource->dropped_attributes_count, 1);
    assert_int_equal(rs->resource->attributes[0]->value->value_case,
                     OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE__NOT_SET);
    assert_string_equal(rs->resource->entity_refs[0]->id_keys[0], "service.name");
    assert_string_equal(rs->resource->entity_refs[0]->id_keys[1], "");
    const Opentelemetry__Proto__Trace__V1__ScopeSpans *ss = rs->scope_spans[0];
    assert_string_equal(ss->scope->version, "2");
    assert_null(ss->scope->attributes[0]->value);

    const Opentelemetry__Proto__Trace__V1__Span *span = ss->spans[0];
    assert_true(hex_decode(slice_of(TRACE_ID_TEXT), trace_id, sizeof(trace_id)));
    assert_int_equal(span->trace_id.len, 16);
    assert_memory_equal(span->trace_id.data, trace_id, 16);
    assert_int_equal(span->span_id.len, 8);
    assert_string_equal(span->trace_state, "a=b");
    assert_int_equal(span->parent_span_id.data[7], 8);
    assert_string_equal(span->name, "n");
    assert_int_equal(span->kind,
                     OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_CONSUMER);
    assert_true(span->start_time_unix_nano == UINT64_MAX);
    assert_true(span->end_time_unix_nano == 1);
    assert_true(span->flags == UINT32_MAX);
    assert_int_equal(span->dropped_attributes_count, 2);
    assert_int_equal(span->dropped_events_count, 3);
    assert_int_equal(span->dropped_links_count, 4);
    assert_string_equal(span->status->message, "m");
    assert_int_equal(span->status->code,
                     OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR);
    assert_int_equal(span->n_events, 2);
    assert_true(span->events[0]->time_unix_nano == 5);
    assert_true(span->events[0]->dropped_attributes_count == UINT32_MAX);
    assert_int_equal(span->links[0]->flags, 769);
    assert_string_equal(span->links[0]->trace_state, "t");

    assert_int_equal(span->n_attributes, 7);
    assert_string_equal(span->attributes[0]->value->string_value, "");
    assert_int_equal(span->attributes[1]->value->value_case,
                     OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE);
    assert_int_equal(span->attributes[2]->value->value_case,
                     OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE);
    assert_true(span->attributes[3]->value->double_value == -0.25);
    assert_int_equal(span->attributes[4]->value->array_value->n_values, 3);
    assert_true(span->attributes[4]->value->array_value->values[0]->int_value == -1);
    assert_string_equal(span->attributes[5]->value->kvlist_value->values[0]->key, "k");
    assert_int_equal(span->attributes[6]->value->bytes_value.len, 3);
    assert_memory_equal(span->attributes[6]->value->bytes_value.data, "\1\2\3", 3);
    protobuf_c_message_free_unpacked(&request->base, NULL);
    strbuf_deinit(&body);
}

static void metrics_have_the_values_of_their_json(void **state)
{
    (void)state;
    struct strbuf body = from_json(OTLP_METRICS, slice_of(full_metrics_json));
    Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest *request =
        (void *)unpack(OTLP_METRICS, strbuf_slice(&body));
    Opentelemetry__Proto__Metrics__V1__Metric **metrics =
        request->resource_metrics[0]->scope_metrics[0]->metrics;

    assert_int_equal(request->resource_metrics[0]->scope_metrics[0]->n_metrics, 5);
    assert_string_equal(metrics[0]->unit, "By");
    assert_true(metrics[0]->metadata[0]->value->bool_value);
    const Opentelemetry__Proto__Metrics__V1__NumberDataPoint *number =
        metrics[0]->gauge->data_points[0];
    assert_int_equal(number->value_case,
                     OPENTELEMETRY__PROTO__METRICS__V1__NUMBER_DATA_POINT__VALUE_AS_DOUBLE);
    assert_true(number->exemplars[0]->as_double == 1.5);
    assert_true(number->exemplars[1]->as_int == -4);
    assert_true(metrics[1]->sum->data_points[0]->as_int == INT64_MIN);
    assert_true(metrics[1]->sum->is_monotonic);
    assert_int_equal(metrics[1]->sum->aggregation_temporality, 2);

    const Opentelemetry__Proto__Metrics__V1__HistogramDataPoint *histogram =
        metrics[2]->histogram->data_points[0];
    assert_true(histogram->count == 3);
    assert_int_equal(histogram->n_bucket_counts, 3);
    assert_true(histogram->bucket_counts[2] == 2);
    assert_true(histogram->explicit_bounds[1] == 2.5);
    assert_int_equal(histogram->optional_sum_case,
                     OPENTELEMETRY__PROTO__METRICS__V1__HISTOGRAM_DATA_POINT__OPTIONAL_SUM_SUM);
    assert_true(histogram->min == -1);
    assert_true(histogram->max > 1.7976931348623157e308);
    assert_int_equal(
        metrics[2]->histogram->data_points[1]->optional_sum_case,
        OPENTELEMETRY__PROTO__METRICS__V1__HISTOGRAM_DATA_POINT__OPTIONAL_SUM__NOT_SET);

    const Opentelemetry__Proto__Metrics__V1__ExponentialHistogramDataPoint *exponential =
        metrics[3]->exponential_histogram->data_points[0];
    assert_int_equal(exponential->scale, -5);
    assert_true(exponential->zero_count == 6);
    assert_int_equal(exponential->positive->offset, INT32_MAX);
    assert_true(exponential->positive->bucket_counts[1] == UINT64_MAX);
    assert_int_equal(exponential->negative->offset, INT32_MIN);
    assert_true(exponential->max == 1e300);
    assert_true(exponential->zero_threshold == 0.001);

    const Opentelemetry__Proto__Metrics__V1__SummaryDataPoint *summary =
        metrics[4]->summary->data_points[0];
    assert_true(summary->sum == 4.5);
    assert_int_equal(summary->n_quantile_values, 2);
    assert_true(summary->quantile_values[0]->quantile == 0.99);
    assert_true(summary->quantile_values[0]->value == -3);
    protobuf_c_message_free_unpacked(&request->base, NULL);
    strbuf_deinit(&body);
}

static void log_records_have_the_values_of_their_json(void **state)
{
    (void)state;
    struct strbuf body = from_json(OTLP_LOGS, slice_of(full_logs_json));
    Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest *request =
        (void *)unpack(OTLP_LOGS, strbuf_slice(&body));
    Opentelemetry__Proto__Logs__V1__LogRecord **records =
        request->resource_logs[0]->scope_logs[0]->log_records;

    assert_int_equal(request->resource_logs[0]->scope_logs[0]->n_log_records, 3);
    assert_int_equal(records[0]->severity_number,
                     OPENTELEMETRY__PROTO__LOGS__V1__SEVERITY_NUMBER__SEVERITY_NUMBER_INFO);
    assert_string_equal(records[0]->severity_text, "INFO");
    assert_string_equal(records[0]->body->kvlist_value->values[0]->value->string_value, "hi");
    assert_true(records[0]->observed_time_unix_nano == 3);
    assert_string_equal(records[0]->event_name, "ev");
    assert_int_equal(records[0]->flags, 1);
    assert_int_equal(records[0]->trace_id.len, 16);
    assert_string_equal(records[1]->body->string_value, "plain");
    assert_null(records[2]->body);
    protobuf_c_message_free_unpacked(&request->base, NULL);
    strbuf_deinit(&body);
}

/* Padded lengths are legal: another reader takes them, and the content is the same. */
static void large_requests_mean_the_same_to_others(void **state)
{
    (void)state;
    struct strbuf text = new_bytes();

    strbuf_append_text(&text, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{}");
    for (int i = 0; i < 3000; i++) {
        strbuf_printf(&text,
                      ",{\"name\":\"span %d\",\"attributes\":[{\"key\":\"k\",\"value\":"
                      "{\"arrayValue\":{\"values\":[{\"intValue\":%d}]}}}]}",
                      i, i);
    }
    strbuf_append_text(&text, "]}]}]}");
    struct strbuf body = from_json(OTLP_TRACES, strbuf_slice(&text));
    struct strbuf again = canonical(OTLP_TRACES, strbuf_slice(&body));
    assert_true(again.len < body.len);
    struct strbuf one = to_json(OTLP_TRACES, strbuf_slice(&body));
    struct strbuf two = to_json(OTLP_TRACES, strbuf_slice(&again));
    assert_string_equal(one.data, two.data);
    strbuf_deinit(&two);
    strbuf_deinit(&one);
    strbuf_deinit(&again);
    strbuf_deinit(&body);
    strbuf_deinit(&text);
}

/*
 * Scattered arrays and the last occurrence: the encoder and protobuf-c agree on any order of
 * fields. Messages in parts are not here: when protobuf-c merges, it forgets enums and members of
 * a oneof.
 */
static void scattered_fields_mean_the_same_to_others(void **state)
{
    (void)state;
    static const char *const spans[] = {
        "4a030a01612a016e4a030a01625a004a030a0163",   /* attributes in three places */
        "2a01612a016230013002",                       /* scalars twice */
        "4a0712050a01611802",                         /* two members of the oneof */
        "4a1312112a040a0218010a01612a040a0218033a00", /* an array, a string, an array, bytes */
    };

    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        uint8_t raw[100];
        size_t len = strlen(spans[i]) / 2;
        struct strbuf body = new_bytes();
        assert_true(hex_decode(slice_of(spans[i]), raw, len));
        size_t resource = pb_begin(&body, 1);
        size_t scope = pb_begin(&body, 2);
        pb_put_bytes(&body, 2, (struct slice){raw, len});
        pb_end(&body, scope);
        pb_end(&body, resource);
        struct strbuf one = to_json(OTLP_TRACES, strbuf_slice(&body));
        struct strbuf again = canonical(OTLP_TRACES, strbuf_slice(&body));
        struct strbuf two = to_json(OTLP_TRACES, strbuf_slice(&again));
        assert_string_equal(one.data, two.data);
        strbuf_deinit(&two);
        strbuf_deinit(&again);
        strbuf_deinit(&one);
        strbuf_deinit(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_members_does_not_matter),
        cmocka_unit_test(bytes_from_json_are_canonical),
        cmocka_unit_test(json_from_canonical_bytes_is_the_same),
        cmocka_unit_test(a_span_has_the_values_of_its_json),
        cmocka_unit_test(metrics_have_the_values_of_their_json),
        cmocka_unit_test(log_records_have_the_values_of_their_json),
        cmocka_unit_test(large_requests_mean_the_same_to_others),
        cmocka_unit_test(scattered_fields_mean_the_same_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
