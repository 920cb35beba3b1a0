include(${CMAKE_CURRENT_LIST_DIR}/core_tests.cmake OPTIONAL)
include(${CMAKE_CURRENT_LIST_DIR}/json_tests.cmake OPTIONAL)
