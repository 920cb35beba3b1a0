set(WAL_SUPPORT ${PROJECT_SOURCE_DIR}/test/unit/wal/wal_support.c
    ${PROJECT_SOURCE_DIR}/test/unit/wal/wal_model.c
    ${PROJECT_SOURCE_DIR}/test/support/fs_mem.c ${PROJECT_SOURCE_DIR}/test/support/fs_fault.c)
foreach(name crash fault format reader recover wal)
    spangate_unit(wal/${name} DEPENDS wal EXTRA ${WAL_SUPPORT})
endforeach()
