spangate_unit(otlp/json_decode DEPENDS otlp)
spangate_unit(otlp/json_encode DEPENDS otlp)
spangate_unit(otlp/schema DEPENDS otlp)
target_include_directories(otlp_schema_test PRIVATE ${PROJECT_SOURCE_DIR}/src/otlp)

# For test/interop/proto_numbers_test.py.
add_executable(schema_dump ${PROJECT_SOURCE_DIR}/test/support/schema_dump.c)
target_link_libraries(schema_dump PRIVATE spangate_otlp)
target_include_directories(schema_dump PRIVATE ${PROJECT_SOURCE_DIR}/src/otlp)

# protobuf-c as an oracle, generated from proto/. It does not know `optional` of proto3, which on the
# wire is a oneof with one member.
find_program(PROTOC_C protoc-c)
if(PROTOC_C)
    set(oracle ${PROJECT_BINARY_DIR}/oracle)
    set(oracle_protos)
    set(oracle_sources)
    foreach(part common/v1/common resource/v1/resource trace/v1/trace metrics/v1/metrics logs/v1/logs
            collector/trace/v1/trace_service collector/metrics/v1/metrics_service
            collector/logs/v1/logs_service)
        set(name opentelemetry/proto/${part})
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
            ${PROJECT_SOURCE_DIR}/proto/${name}.proto)
        file(READ ${PROJECT_SOURCE_DIR}/proto/${name}.proto text)
        string(REGEX REPLACE "optional (double ([a-z]+) = [0-9]+;)" "oneof optional_\\2 { \\1 }"
            text "${text}")
        file(CONFIGURE OUTPUT ${oracle}/${name}.proto CONTENT "${text}" @ONLY)
        list(APPEND oracle_protos ${oracle}/${name}.proto)
        list(APPEND oracle_sources ${oracle}/${name}.pb-c.c)
    endforeach()
    add_custom_command(OUTPUT ${oracle_sources}
        COMMAND ${PROTOC_C} -I${oracle} --c_out=${oracle} ${oracle_protos}
        DEPENDS ${oracle_protos} VERBATIM)
    set_source_files_properties(${oracle_sources} PROPERTIES COMPILE_OPTIONS -w)
    spangate_unit(otlp/json_oracle DEPENDS otlp THIRD_PARTY PkgConfig::PROTOBUFC
        EXTRA ${oracle_sources})
    target_include_directories(otlp_json_oracle_test SYSTEM PRIVATE ${oracle})
endif()
