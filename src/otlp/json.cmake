set(OTLP_JSON_SOURCES schema.c json_reader.c json_scalar.c json_decode.c json_encode.c)
