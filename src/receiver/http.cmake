set(RECEIVER_HTTP_SOURCES http.c http_body.c http_cors.c)
