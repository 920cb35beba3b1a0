spangate_fuzz(config_load DEPENDS daemon)
target_include_directories(config_load_fuzz PRIVATE ${PROJECT_SOURCE_DIR}/src/daemon)
