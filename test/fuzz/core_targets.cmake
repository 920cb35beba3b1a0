spangate_fuzz(decode_traces DEPENDS otlp)
spangate_fuzz(backend_answer DEPENDS otlp)
