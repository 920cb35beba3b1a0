foreach(name index runs)
    spangate_unit(index/${name} DEPENDS index THIRD_PARTY PkgConfig::SQLITE)
    target_include_directories(index_${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/src/index)
endforeach()
