set(sink_test_fs
    ${PROJECT_SOURCE_DIR}/test/support/fs_fault.c ${PROJECT_SOURCE_DIR}/test/support/fs_mem.c)
spangate_unit(sink/backoff DEPENDS sink)
spangate_unit(sink/split DEPENDS sink)
spangate_unit(sink/cursor DEPENDS sink EXTRA ${sink_test_fs})
spangate_unit(sink/runner DEPENDS sink EXTRA ${CMAKE_CURRENT_LIST_DIR}/fakes.c ${sink_test_fs})
