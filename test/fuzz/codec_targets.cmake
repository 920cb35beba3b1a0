spangate_fuzz(codec_inflate DEPENDS codec)
