spangate_fuzz(grpc_message DEPENDS receiver)
target_include_directories(grpc_message_fuzz PRIVATE ${PROJECT_SOURCE_DIR}/src/receiver)
