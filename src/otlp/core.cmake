set(OTLP_CORE_SOURCES
    pb.c message.c span_scan.c decode.c check.c span.c writer.c attributes.c any_text.c status.c
    answer_json.c)
