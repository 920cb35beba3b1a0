spangate_unit(httpd/httpd DEPENDS httpd THIRD_PARTY PkgConfig::MHD)
target_include_directories(httpd_httpd_test PRIVATE ${PROJECT_SOURCE_DIR}/src/httpd)
spangate_unit(httpd/tls DEPENDS httpd THIRD_PARTY PkgConfig::MHD PkgConfig::OPENSSL)
target_include_directories(httpd_tls_test PRIVATE ${PROJECT_SOURCE_DIR}/src/httpd)
