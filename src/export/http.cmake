set(EXPORT_HTTP_SOURCES http_client.c http_outcome.c http_exchange.c otlp_http.c debug.c file.c)
