foreach(name correlator storage span_scan view)
    spangate_unit(trace/${name} DEPENDS trace EXTRA ${CMAKE_CURRENT_LIST_DIR}/spans.c)
endforeach()
spangate_unit(trace/filter DEPENDS trace)
