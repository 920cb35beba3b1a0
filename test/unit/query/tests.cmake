foreach(name params jaeger api server)
    spangate_unit(query/${name} DEPENDS query otlp trace
        EXTRA ${CMAKE_CURRENT_LIST_DIR}/fake_pipeline.c)
    target_include_directories(query_${name}_test
        PRIVATE ${PROJECT_SOURCE_DIR}/src/query ${CMAKE_CURRENT_LIST_DIR})
endforeach()
