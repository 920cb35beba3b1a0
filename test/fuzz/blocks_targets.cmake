spangate_fuzz(block_load DEPENDS blocks EXTRA ${PROJECT_SOURCE_DIR}/test/support/fs_mem.c)
target_include_directories(block_load_fuzz PRIVATE
    ${PROJECT_SOURCE_DIR}/src/blocks ${PROJECT_SOURCE_DIR}/test/support)
