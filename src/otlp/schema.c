/*
 * schema.c - the table itself: opentelemetry-proto 1.11, one row a field, by number.
 *
 * test/interop/proto_numbers_test.py compares every row with the published descriptors.
 */
#include "schema.h"

#include <spangate/base/compiler.h>
#include <spangate/otlp/pb.h>
#include <strings.h>

#define ROW(at, n, snake, camel, kind, sub, bits)                                                  \
    [(at)] = {.name = snake,                                                                       \
              .key = "\"" camel "\":",                                                             \
              .name_len = sizeof(snake) - 1,                                                       \
              .key_len = sizeof(camel) + 2,                                                        \
              .number = (n),                                                                       \
              .type = (kind),                                                                      \
              .flags = (bits),                                                                     \
              .of = (sub)}
#define FIELD(n, snake, camel, kind, bits) ROW(n, n, snake, camel, SCHEMA_##kind, 0, bits)
#define ENUM(n, snake, camel, sub) ROW(n, n, snake, camel, SCHEMA_ENUM, ENUM_##sub, 0)
#define MESSAGE(n, snake, camel, sub, bits)                                                        \
    ROW(n, n, snake, camel, SCHEMA_MESSAGE, MESSAGE_##sub, bits)
#define RETIRED(n, snake, camel, sub)                                                              \
    ROW(0, n, snake, camel, SCHEMA_MESSAGE, MESSAGE_##sub, SCHEMA_REPEATED | SCHEMA_RETIRED)

#define REPEATED SCHEMA_REPEATED
#define OPTIONAL SCHEMA_OPTIONAL
#define ONEOF SCHEMA_ONEOF
#define IGNORED SCHEMA_IGNORED

const uint8_t schema_wires[SCHEMA_TYPES] = {
    [SCHEMA_STRING] = PB_BYTES,    [SCHEMA_BYTES] = PB_BYTES,      [SCHEMA_TRACE_ID] = PB_BYTES,
    [SCHEMA_SPAN_ID] = PB_BYTES,   [SCHEMA_BOOL] = PB_VARINT,      [SCHEMA_ENUM] = PB_VARINT,
    [SCHEMA_INT32] = PB_VARINT,    [SCHEMA_SINT32] = PB_VARINT,    [SCHEMA_UINT32] = PB_VARINT,
    [SCHEMA_FIXED32] = PB_FIXED32, [SCHEMA_INT64] = PB_VARINT,     [SCHEMA_UINT64] = PB_VARINT,
    [SCHEMA_FIXED64] = PB_FIXED64, [SCHEMA_SFIXED64] = PB_FIXED64, [SCHEMA_DOUBLE] = PB_FIXED64,
    [SCHEMA_MESSAGE] = PB_BYTES,
};

/* clang-format off */

static const struct schema_field traces_fields[] = {
    MESSAGE(1, "resource_spans", "resourceSpans", RESOURCE_SPANS, REPEATED),
};

static const struct schema_field metrics_fields[] = {
    MESSAGE(1, "resource_metrics", "resourceMetrics", RESOURCE_METRICS, REPEATED),
};

static const struct schema_field logs_fields[] = {
    MESSAGE(1, "resource_logs", "resourceLogs", RESOURCE_LOGS, REPEATED),
};

static const struct schema_field any_value_fields[] = {
    FIELD(1, "string_value", "stringValue", STRING, ONEOF),
    FIELD(2, "bool_value", "boolValue", BOOL, ONEOF),
    FIELD(3, "int_value", "intValue", INT64, ONEOF | SCHEMA_OR_DOUBLE),
    FIELD(4, "double_value", "doubleValue", DOUBLE, ONEOF),
    MESSAGE(5, "array_value", "arrayValue", ARRAY_VALUE, ONEOF),
    MESSAGE(6, "kvlist_value", "kvlistValue", KEY_VALUE_LIST, ONEOF),
    FIELD(7, "bytes_value", "bytesValue", BYTES, ONEOF),
    FIELD(8, "string_value_strindex", "stringValueStrindex", INT32, ONEOF | IGNORED),
};

static const struct schema_field array_value_fields[] = {
    MESSAGE(1, "values", "values", ANY_VALUE, REPEATED),
};

static const struct schema_field key_value_list_fields[] = {
    MESSAGE(1, "values", "values", KEY_VALUE, REPEATED),
};

static const struct schema_field key_value_fields[] = {
    FIELD(1, "key", "key", STRING, 0),
    MESSAGE(2, "value", "value", ANY_VALUE, 0),
    FIELD(3, "key_strindex", "keyStrindex", INT32, IGNORED),
};

static const struct schema_field scope_fields[] = {
    FIELD(1, "name", "name", STRING, 0),
    FIELD(2, "version", "version", STRING, 0),
    MESSAGE(3, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(4, "dropped_attributes_count", "droppedAttributesCount", UINT32, 0),
};

static const struct schema_field entity_ref_fields[] = {
    FIELD(1, "schema_url", "schemaUrl", STRING, 0),
    FIELD(2, "type", "type", STRING, 0),
    FIELD(3, "id_keys", "idKeys", STRING, REPEATED),
    FIELD(4, "description_keys", "descriptionKeys", STRING, REPEATED),
};

static const struct schema_field resource_fields[] = {
    MESSAGE(1, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(2, "dropped_attributes_count", "droppedAttributesCount", UINT32, 0),
    MESSAGE(3, "entity_refs", "entityRefs", ENTITY_REF, REPEATED),
};

static const struct schema_field resource_spans_fields[] = {
    RETIRED(1000, "instrumentation_library_spans", "instrumentationLibrarySpans", LIBRARY_SPANS),
    MESSAGE(1, "resource", "resource", RESOURCE, 0),
    MESSAGE(2, "scope_spans", "scopeSpans", SCOPE_SPANS, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field scope_spans_fields[] = {
    MESSAGE(1, "scope", "scope", SCOPE, 0),
    MESSAGE(2, "spans", "spans", SPAN, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field library_spans_fields[] = {
    MESSAGE(1, "instrumentation_library", "instrumentationLibrary", SCOPE, 0),
    MESSAGE(2, "spans", "spans", SPAN, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field span_fields[] = {
    FIELD(1, "trace_id", "traceId", TRACE_ID, 0),
    FIELD(2, "span_id", "spanId", SPAN_ID, 0),
    FIELD(3, "trace_state", "traceState", STRING, 0),
    FIELD(4, "parent_span_id", "parentSpanId", SPAN_ID, 0),
    FIELD(5, "name", "name", STRING, 0),
    ENUM(6, "kind", "kind", SPAN_KIND),
    FIELD(7, "start_time_unix_nano", "startTimeUnixNano", FIXED64, 0),
    FIELD(8, "end_time_unix_nano", "endTimeUnixNano", FIXED64, 0),
    MESSAGE(9, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(10, "dropped_attributes_count", "droppedAttributesCount", UINT32, 0),
    MESSAGE(11, "events", "events", EVENT, REPEATED),
    FIELD(12, "dropped_events_count", "droppedEventsCount", UINT32, 0),
    MESSAGE(13, "links", "links", LINK, REPEATED),
    FIELD(14, "dropped_links_count", "droppedLinksCount", UINT32, 0),
    MESSAGE(15, "status", "status", STATUS, 0),
    FIELD(16, "flags", "flags", FIXED32, 0),
};

static const struct schema_field event_fields[] = {
    FIELD(1, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    FIELD(2, "name", "name", STRING, 0),
    MESSAGE(3, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(4, "dropped_attributes_count", "droppedAttributesCount", UINT32, 0),
};

static const struct schema_field link_fields[] = {
    FIELD(1, "trace_id", "traceId", TRACE_ID, 0),
    FIELD(2, "span_id", "spanId", SPAN_ID, 0),
    FIELD(3, "trace_state", "traceState", STRING, 0),
    MESSAGE(4, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(5, "dropped_attributes_count", "droppedAttributesCount", UINT32, 0),
    FIELD(6, "flags", "flags", FIXED32, 0),
};

static const struct schema_field status_fields[] = {
    FIELD(2, "message", "message", STRING, 0),
    ENUM(3, "code", "code", STATUS_CODE),
};

static const struct schema_field resource_metrics_fields[] = {
    RETIRED(1000, "instrumentation_library_metrics", "instrumentationLibraryMetrics",
            LIBRARY_METRICS),
    MESSAGE(1, "resource", "resource", RESOURCE, 0),
    MESSAGE(2, "scope_metrics", "scopeMetrics", SCOPE_METRICS, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field scope_metrics_fields[] = {
    MESSAGE(1, "scope", "scope", SCOPE, 0),
    MESSAGE(2, "metrics", "metrics", METRIC, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field library_metrics_fields[] = {
    MESSAGE(1, "instrumentation_library", "instrumentationLibrary", SCOPE, 0),
    MESSAGE(2, "metrics", "metrics", METRIC, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field metric_fields[] = {
    FIELD(1, "name", "name", STRING, 0),
    FIELD(2, "description", "description", STRING, 0),
    FIELD(3, "unit", "unit", STRING, 0),
    MESSAGE(5, "gauge", "gauge", GAUGE, ONEOF),
    MESSAGE(7, "sum", "sum", SUM, ONEOF),
    MESSAGE(9, "histogram", "histogram", HISTOGRAM, ONEOF),
    MESSAGE(10, "exponential_histogram", "exponentialHistogram", EXPONENTIAL_HISTOGRAM, ONEOF),
    MESSAGE(11, "summary", "summary", SUMMARY, ONEOF),
    MESSAGE(12, "metadata", "metadata", KEY_VALUE, REPEATED),
};

static const struct schema_field gauge_fields[] = {
    MESSAGE(1, "data_points", "dataPoints", NUMBER_POINT, REPEATED),
};

static const struct schema_field sum_fields[] = {
    MESSAGE(1, "data_points", "dataPoints", NUMBER_POINT, REPEATED),
    ENUM(2, "aggregation_temporality", "aggregationTemporality", AGGREGATION_TEMPORALITY),
    FIELD(3, "is_monotonic", "isMonotonic", BOOL, 0),
};

static const struct schema_field histogram_fields[] = {
    MESSAGE(1, "data_points", "dataPoints", HISTOGRAM_POINT, REPEATED),
    ENUM(2, "aggregation_temporality", "aggregationTemporality", AGGREGATION_TEMPORALITY),
};

static const struct schema_field exponential_histogram_fields[] = {
    MESSAGE(1, "data_points", "dataPoints", EXPONENTIAL_POINT, REPEATED),
    ENUM(2, "aggregation_temporality", "aggregationTemporality", AGGREGATION_TEMPORALITY),
};

static const struct schema_field summary_fields[] = {
    MESSAGE(1, "data_points", "dataPoints", SUMMARY_POINT, REPEATED),
};

static const struct schema_field number_point_fields[] = {
    FIELD(2, "start_time_unix_nano", "startTimeUnixNano", FIXED64, 0),
    FIELD(3, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    FIELD(4, "as_double", "asDouble", DOUBLE, ONEOF),
    MESSAGE(5, "exemplars", "exemplars", EXEMPLAR, REPEATED),
    FIELD(6, "as_int", "asInt", SFIXED64, ONEOF),
    MESSAGE(7, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(8, "flags", "flags", UINT32, 0),
};

static const struct schema_field histogram_point_fields[] = {
    FIELD(2, "start_time_unix_nano", "startTimeUnixNano", FIXED64, 0),
    FIELD(3, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    FIELD(4, "count", "count", FIXED64, 0),
    FIELD(5, "sum", "sum", DOUBLE, OPTIONAL),
    FIELD(6, "bucket_counts", "bucketCounts", FIXED64, REPEATED),
    FIELD(7, "explicit_bounds", "explicitBounds", DOUBLE, REPEATED),
    MESSAGE(8, "exemplars", "exemplars", EXEMPLAR, REPEATED),
    MESSAGE(9, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(10, "flags", "flags", UINT32, 0),
    FIELD(11, "min", "min", DOUBLE, OPTIONAL),
    FIELD(12, "max", "max", DOUBLE, OPTIONAL),
};

static const struct schema_field exponential_point_fields[] = {
    MESSAGE(1, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(2, "start_time_unix_nano", "startTimeUnixNano", FIXED64, 0),
    FIELD(3, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    FIELD(4, "count", "count", FIXED64, 0),
    FIELD(5, "sum", "sum", DOUBLE, OPTIONAL),
    FIELD(6, "scale", "scale", SINT32, 0),
    FIELD(7, "zero_count", "zeroCount", FIXED64, 0),
    MESSAGE(8, "positive", "positive", BUCKETS, 0),
    MESSAGE(9, "negative", "negative", BUCKETS, 0),
    FIELD(10, "flags", "flags", UINT32, 0),
    MESSAGE(11, "exemplars", "exemplars", EXEMPLAR, REPEATED),
    FIELD(12, "min", "min", DOUBLE, OPTIONAL),
    FIELD(13, "max", "max", DOUBLE, OPTIONAL),
    FIELD(14, "zero_threshold", "zeroThreshold", DOUBLE, 0),
};

static const struct schema_field buckets_fields[] = {
    FIELD(1, "offset", "offset", SINT32, 0),
    FIELD(2, "bucket_counts", "bucketCounts", UINT64, REPEATED),
};

static const struct schema_field summary_point_fields[] = {
    FIELD(2, "start_time_unix_nano", "startTimeUnixNano", FIXED64, 0),
    FIELD(3, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    FIELD(4, "count", "count", FIXED64, 0),
    FIELD(5, "sum", "sum", DOUBLE, 0),
    MESSAGE(6, "quantile_values", "quantileValues", QUANTILE, REPEATED),
    MESSAGE(7, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(8, "flags", "flags", UINT32, 0),
};

static const struct schema_field quantile_fields[] = {
    FIELD(1, "quantile", "quantile", DOUBLE, 0),
    FIELD(2, "value", "value", DOUBLE, 0),
};

static const struct schema_field exemplar_fields[] = {
    FIELD(2, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    FIELD(3, "as_double", "asDouble", DOUBLE, ONEOF),
    FIELD(4, "span_id", "spanId", SPAN_ID, 0),
    FIELD(5, "trace_id", "traceId", TRACE_ID, 0),
    FIELD(6, "as_int", "asInt", SFIXED64, ONEOF),
    MESSAGE(7, "filtered_attributes", "filteredAttributes", KEY_VALUE, REPEATED),
};

static const struct schema_field resource_logs_fields[] = {
    RETIRED(1000, "instrumentation_library_logs", "instrumentationLibraryLogs", LIBRARY_LOGS),
    MESSAGE(1, "resource", "resource", RESOURCE, 0),
    MESSAGE(2, "scope_logs", "scopeLogs", SCOPE_LOGS, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field scope_logs_fields[] = {
    MESSAGE(1, "scope", "scope", SCOPE, 0),
    MESSAGE(2, "log_records", "logRecords", LOG_RECORD, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field library_logs_fields[] = {
    MESSAGE(1, "instrumentation_library", "instrumentationLibrary", SCOPE, 0),
    MESSAGE(2, "log_records", "logRecords", LOG_RECORD, REPEATED),
    FIELD(3, "schema_url", "schemaUrl", STRING, 0),
};

static const struct schema_field log_record_fields[] = {
    FIELD(1, "time_unix_nano", "timeUnixNano", FIXED64, 0),
    ENUM(2, "severity_number", "severityNumber", SEVERITY_NUMBER),
    FIELD(3, "severity_text", "severityText", STRING, 0),
    MESSAGE(5, "body", "body", ANY_VALUE, 0),
    MESSAGE(6, "attributes", "attributes", KEY_VALUE, REPEATED),
    FIELD(7, "dropped_attributes_count", "droppedAttributesCount", UINT32, 0),
    FIELD(8, "flags", "flags", FIXED32, 0),
    FIELD(9, "trace_id", "traceId", TRACE_ID, 0),
    FIELD(10, "span_id", "spanId", SPAN_ID, 0),
    FIELD(11, "observed_time_unix_nano", "observedTimeUnixNano", FIXED64, 0),
    FIELD(12, "event_name", "eventName", STRING, 0),
};

#define OF(id, text, rows, bytes, always_row)                                                      \
    [MESSAGE_##id] = {.name = (text),                                                              \
                      .fields = (rows),                                                            \
                      .field_count = COUNT_OF(rows),                                               \
                      .length_bytes = (bytes),                                                     \
                      .always = (always_row)}

const struct schema_message schema_messages[SCHEMA_MESSAGES] = {
    OF(TRACES, "collector.trace.v1.ExportTraceServiceRequest", traces_fields, 5, 0),
    OF(METRICS, "collector.metrics.v1.ExportMetricsServiceRequest", metrics_fields, 5, 0),
    OF(LOGS, "collector.logs.v1.ExportLogsServiceRequest", logs_fields, 5, 0),
    OF(ANY_VALUE, "common.v1.AnyValue", any_value_fields, 1, 0),
    OF(ARRAY_VALUE, "common.v1.ArrayValue", array_value_fields, 1, 0),
    OF(KEY_VALUE_LIST, "common.v1.KeyValueList", key_value_list_fields, 1, 0),
    OF(KEY_VALUE, "common.v1.KeyValue", key_value_fields, 1, 0),
    OF(SCOPE, "common.v1.InstrumentationScope", scope_fields, 1, 0),
    OF(ENTITY_REF, "common.v1.EntityRef", entity_ref_fields, 1, 0),
    OF(RESOURCE, "resource.v1.Resource", resource_fields, 2, 0),
    OF(RESOURCE_SPANS, "trace.v1.ResourceSpans", resource_spans_fields, 5, 1),
    OF(SCOPE_SPANS, "trace.v1.ScopeSpans", scope_spans_fields, 5, 1),
    OF(LIBRARY_SPANS, "trace.v1.InstrumentationLibrarySpans", library_spans_fields, 5, 1),
    OF(SPAN, "trace.v1.Span", span_fields, 2, 15),
    OF(EVENT, "trace.v1.Span.Event", event_fields, 1, 0),
    OF(LINK, "trace.v1.Span.Link", link_fields, 1, 0),
    OF(STATUS, "trace.v1.Status", status_fields, 1, 0),
    OF(RESOURCE_METRICS, "metrics.v1.ResourceMetrics", resource_metrics_fields, 5, 1),
    OF(SCOPE_METRICS, "metrics.v1.ScopeMetrics", scope_metrics_fields, 5, 1),
    OF(LIBRARY_METRICS, "metrics.v1.InstrumentationLibraryMetrics", library_metrics_fields, 5, 1),
    OF(METRIC, "metrics.v1.Metric", metric_fields, 2, 0),
    OF(GAUGE, "metrics.v1.Gauge", gauge_fields, 1, 0),
    OF(SUM, "metrics.v1.Sum", sum_fields, 1, 0),
    OF(HISTOGRAM, "metrics.v1.Histogram", histogram_fields, 1, 0),
    OF(EXPONENTIAL_HISTOGRAM, "metrics.v1.ExponentialHistogram",
       exponential_histogram_fields, 1, 0),
    OF(SUMMARY, "metrics.v1.Summary", summary_fields, 1, 0),
    OF(NUMBER_POINT, "metrics.v1.NumberDataPoint", number_point_fields, 1, 0),
    OF(HISTOGRAM_POINT, "metrics.v1.HistogramDataPoint", histogram_point_fields, 1, 0),
    OF(EXPONENTIAL_POINT, "metrics.v1.ExponentialHistogramDataPoint",
       exponential_point_fields, 1, 0),
    OF(BUCKETS, "metrics.v1.ExponentialHistogramDataPoint.Buckets", buckets_fields, 1, 0),
    OF(SUMMARY_POINT, "metrics.v1.SummaryDataPoint", summary_point_fields, 1, 0),
    OF(QUANTILE, "metrics.v1.SummaryDataPoint.ValueAtQuantile", quantile_fields, 1, 0),
    OF(EXEMPLAR, "metrics.v1.Exemplar", exemplar_fields, 1, 0),
    OF(RESOURCE_LOGS, "logs.v1.ResourceLogs", resource_logs_fields, 5, 1),
    OF(SCOPE_LOGS, "logs.v1.ScopeLogs", scope_logs_fields, 5, 1),
    OF(LIBRARY_LOGS, "logs.v1.InstrumentationLibraryLogs", library_logs_fields, 5, 1),
    OF(LOG_RECORD, "logs.v1.LogRecord", log_record_fields, 2, 0),
};

static const struct schema_value span_kind_values[] = {
    {"SPAN_KIND_UNSPECIFIED", 0},
    {"SPAN_KIND_INTERNAL", 1},
    {"SPAN_KIND_SERVER", 2},
    {"SPAN_KIND_CLIENT", 3},
    {"SPAN_KIND_PRODUCER", 4},
    {"SPAN_KIND_CONSUMER", 5},
};

static const struct schema_value status_code_values[] = {
    {"STATUS_CODE_UNSET", 0},
    {"STATUS_CODE_OK", 1},
    {"STATUS_CODE_ERROR", 2},
};

static const struct schema_value aggregation_temporality_values[] = {
    {"AGGREGATION_TEMPORALITY_UNSPECIFIED", 0},
    {"AGGREGATION_TEMPORALITY_DELTA", 1},
    {"AGGREGATION_TEMPORALITY_CUMULATIVE", 2},
};

static const struct schema_value severity_number_values[] = {
    {"SEVERITY_NUMBER_UNSPECIFIED", 0},
    {"SEVERITY_NUMBER_TRACE", 1},
    {"SEVERITY_NUMBER_TRACE2", 2},
    {"SEVERITY_NUMBER_TRACE3", 3},
    {"SEVERITY_NUMBER_TRACE4", 4},
    {"SEVERITY_NUMBER_DEBUG", 5},
    {"SEVERITY_NUMBER_DEBUG2", 6},
    {"SEVERITY_NUMBER_DEBUG3", 7},
    {"SEVERITY_NUMBER_DEBUG4", 8},
    {"SEVERITY_NUMBER_INFO", 9},
    {"SEVERITY_NUMBER_INFO2", 10},
    {"SEVERITY_NUMBER_INFO3", 11},
    {"SEVERITY_NUMBER_INFO4", 12},
    {"SEVERITY_NUMBER_WARN", 13},
    {"SEVERITY_NUMBER_WARN2", 14},
    {"SEVERITY_NUMBER_WARN3", 15},
    {"SEVERITY_NUMBER_WARN4", 16},
    {"SEVERITY_NUMBER_ERROR", 17},
    {"SEVERITY_NUMBER_ERROR2", 18},
    {"SEVERITY_NUMBER_ERROR3", 19},
    {"SEVERITY_NUMBER_ERROR4", 20},
    {"SEVERITY_NUMBER_FATAL", 21},
    {"SEVERITY_NUMBER_FATAL2", 22},
    {"SEVERITY_NUMBER_FATAL3", 23},
    {"SEVERITY_NUMBER_FATAL4", 24},
};

const struct schema_enum schema_enums[SCHEMA_ENUMS] = {
    [ENUM_SPAN_KIND] = {"trace.v1.Span.SpanKind", "SPAN_KIND_",
        span_kind_values, COUNT_OF(span_kind_values)},
    [ENUM_STATUS_CODE] = {"trace.v1.Status.StatusCode", "STATUS_CODE_",
        status_code_values, COUNT_OF(status_code_values)},
    [ENUM_AGGREGATION_TEMPORALITY] = {
        "metrics.v1.AggregationTemporality", "AGGREGATION_TEMPORALITY_",
        aggregation_temporality_values, COUNT_OF(aggregation_temporality_values)},
    [ENUM_SEVERITY_NUMBER] = {"logs.v1.SeverityNumber", "SEVERITY_NUMBER_",
        severity_number_values, COUNT_OF(severity_number_values)},
};
/* clang-format on */

const struct schema_field *schema_field_named(const struct schema_message *message,
                                              struct slice name)
{
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        if (field->name == NULL) {
            continue;
        }
        if ((name.len + 3 == field->key_len && memcmp(field->key + 1, name.data, name.len) == 0) ||
            (name.len == field->name_len && memcmp(field->name, name.data, name.len) == 0)) {
            return field;
        }
    }
    return NULL;
}

bool schema_enum_named(const struct schema_enum *type, struct slice name, int32_t *number)
{
    size_t prefix_len = strlen(type->prefix);

    for (size_t i = 0; i < type->value_count; i++) {
        const char *full = type->values[i].name;
        const char *tail = full + prefix_len;
        if ((strlen(full) == name.len &&
             strncasecmp(full, (const char *)name.data, name.len) == 0) ||
            (strlen(tail) == name.len &&
             strncasecmp(tail, (const char *)name.data, name.len) == 0)) {
            *number = type->values[i].number;
            return true;
        }
    }
    return false;
}
