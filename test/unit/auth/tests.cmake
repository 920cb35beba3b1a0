spangate_unit(auth/auth DEPENDS auth)
spangate_unit(auth/htpasswd DEPENDS auth)
target_include_directories(auth_htpasswd_test PRIVATE ${PROJECT_SOURCE_DIR}/src/auth)
