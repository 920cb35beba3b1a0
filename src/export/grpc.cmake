set(EXPORT_GRPC_SOURCES otlp_grpc.c grpc_outcome.c)
