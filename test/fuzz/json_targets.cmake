spangate_fuzz(json_decode DEPENDS otlp)
spangate_fuzz(json_encode DEPENDS otlp)
