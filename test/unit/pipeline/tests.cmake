foreach(name routes lsn_refs pipeline)
    spangate_unit(pipeline/${name} DEPENDS pipeline)
    target_include_directories(pipeline_${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/src/pipeline)
endforeach()
