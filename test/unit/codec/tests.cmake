spangate_unit(codec/codec DEPENDS codec THIRD_PARTY PkgConfig::LIBDEFLATE PkgConfig::ZSTD)
