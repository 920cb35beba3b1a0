spangate_unit(receiver/grpc_message DEPENDS receiver)
target_include_directories(receiver_grpc_message_test PRIVATE ${PROJECT_SOURCE_DIR}/src/receiver)
spangate_unit(receiver/grpc DEPENDS receiver THIRD_PARTY PkgConfig::NGHTTP2
    EXTRA ${PROJECT_SOURCE_DIR}/test/support/h2_peer.c)
