spangate_fuzz(wal_recover DEPENDS wal
    EXTRA ${PROJECT_SOURCE_DIR}/test/support/fs_mem.c)
target_include_directories(wal_recover_fuzz PRIVATE ${PROJECT_SOURCE_DIR}/test/support)
