spangate_unit(export/otlp_http DEPENDS export THIRD_PARTY PkgConfig::OPENSSL)
spangate_unit(export/http_exchange DEPENDS export THIRD_PARTY PkgConfig::OPENSSL)
spangate_unit(export/file DEPENDS export)
spangate_unit(export/debug DEPENDS export)
