spangate_unit(export/otlp_grpc DEPENDS export)
spangate_unit(export/grpc_outcome DEPENDS export)
target_include_directories(export_grpc_outcome_test PRIVATE ${PROJECT_SOURCE_DIR}/src/export)
