# Each part of the house names its fuzz targets in a list of its own.
foreach(part core json wal net config blocks codec query)
    include(${CMAKE_CURRENT_LIST_DIR}/${part}_targets.cmake OPTIONAL)
endforeach()
