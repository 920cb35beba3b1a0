include(${CMAKE_CURRENT_LIST_DIR}/http_tests.cmake OPTIONAL)
include(${CMAKE_CURRENT_LIST_DIR}/grpc_tests.cmake OPTIONAL)
