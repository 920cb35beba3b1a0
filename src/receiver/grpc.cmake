set(RECEIVER_GRPC_SOURCES grpc.c grpc_answer.c grpc_health.c grpc_message.c)
