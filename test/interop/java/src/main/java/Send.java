import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.common.AttributesBuilder;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.IdGenerator;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Send SPANS PROTOCOL COMPRESSION ENDPOINT: the fixed spans through the OpenTelemetry Java SDK. */
public final class Send {
  private static Attributes attributes(JsonObject list) {
    AttributesBuilder out = Attributes.builder();
    for (var entry : list.entrySet()) {
      var typed = entry.getValue().getAsJsonObject().entrySet().iterator().next();
      String key = entry.getKey();
      JsonElement value = typed.getValue();
      switch (typed.getKey()) {
        case "string" -> out.put(key, value.getAsString());
        case "int" -> out.put(key, value.getAsLong());
        case "double" -> out.put(key, value.getAsDouble());
        case "bool" -> out.put(key, value.getAsBoolean());
        case "strings" -> {
          List<String> strings = new ArrayList<>();
          value.getAsJsonArray().forEach(one -> strings.add(one.getAsString()));
          out.put(AttributeKey.stringArrayKey(key), strings);
        }
        case "ints" -> {
          List<Long> numbers = new ArrayList<>();
          value.getAsJsonArray().forEach(one -> numbers.add(one.getAsLong()));
          out.put(AttributeKey.longArrayKey(key), numbers);
        }
        default -> throw new IllegalArgumentException(typed.getKey());
      }
    }
    return out.build();
  }

  private static SpanExporter exporter(String protocol, String compression, String endpoint) {
    if (protocol.equals("grpc")) {
      return OtlpGrpcSpanExporter.builder().setEndpoint("http://" + endpoint).setCompression(compression).build();
    }
    return OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").setCompression(compression).build();
  }

  public static void main(String[] args) throws Exception {
    JsonObject fixed = JsonParser.parseString(Files.readString(Path.of(args[0]))).getAsJsonObject();
    var specs = fixed.getAsJsonArray("spans");
    int[] next = {0};
    IdGenerator ids = new IdGenerator() {
      @Override
      public String generateTraceId() {
        return fixed.get("traceId").getAsString();
      }

      @Override
      public String generateSpanId() {
        return specs.get(next[0]++).getAsJsonObject().get("spanId").getAsString();
      }
    };
    SdkTracerProvider provider = SdkTracerProvider.builder()
        .setIdGenerator(ids)
        .setResource(Resource.getDefault().merge(Resource.create(
            Attributes.of(AttributeKey.stringKey("service.name"), fixed.get("service").getAsString()))))
        .build();
    JsonObject scope = fixed.getAsJsonObject("scope");
    Tracer tracer = provider.tracerBuilder(scope.get("name").getAsString())
        .setInstrumentationVersion(scope.get("version").getAsString()).build();

    List<Span> spans = new ArrayList<>();
    for (JsonElement element : specs) {
      JsonObject one = element.getAsJsonObject();
      Context parent = one.get("parent").isJsonNull() ? Context.root()
          : Context.root().with(spans.get(one.get("parent").getAsInt()));
      SpanBuilder builder = tracer.spanBuilder(one.get("name").getAsString()).setParent(parent)
          .setSpanKind(SpanKind.valueOf(one.get("kind").getAsString()))
          .setStartTimestamp(one.get("start").getAsLong(), TimeUnit.NANOSECONDS)
          .setAllAttributes(attributes(one.getAsJsonObject("attributes")));
      for (JsonElement link : one.getAsJsonArray("links")) {
        JsonObject l = link.getAsJsonObject();
        builder.addLink(SpanContext.createFromRemoteParent(l.get("traceId").getAsString(), l.get("spanId").getAsString(),
            TraceFlags.getDefault(), TraceState.getDefault()), attributes(l.getAsJsonObject("attributes")));
      }
      Span span = builder.startSpan();
      for (JsonElement event : one.getAsJsonArray("events")) {
        JsonObject e = event.getAsJsonObject();
        span.addEvent(e.get("name").getAsString(), attributes(e.getAsJsonObject("attributes")),
            e.get("time").getAsLong(), TimeUnit.NANOSECONDS);
      }
      JsonObject status = one.getAsJsonObject("status");
      if (!status.get("code").getAsString().equals("UNSET")) {
        span.setStatus(StatusCode.valueOf(status.get("code").getAsString()), status.get("message").getAsString());
      }
      spans.add(span);
    }
    List<SpanData> ended = new ArrayList<>();
    for (int i = 0; i < spans.size(); i++) {
      spans.get(i).end(specs.get(i).getAsJsonObject().get("end").getAsLong(), TimeUnit.NANOSECONDS);
      ended.add(((ReadableSpan) spans.get(i)).toSpanData());
    }
    SpanExporter exporter = exporter(args[1], args[2], args[3]);
    boolean sent = exporter.export(ended).join(10, TimeUnit.SECONDS).isSuccess();
    exporter.shutdown().join(10, TimeUnit.SECONDS);
    System.exit(sent ? 0 : 1);
  }
}
