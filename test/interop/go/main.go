// main SPANS PROTOCOL COMPRESSION ENDPOINT: the fixed spans through the OpenTelemetry Go SDK.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type typed map[string]json.RawMessage

type spanSpec struct {
	SpanID     string
	Parent     *int
	Name, Kind string
	Start, End json.Number
	Attributes map[string]typed
	Events     []struct {
		Name       string
		Time       json.Number
		Attributes map[string]typed
	}
	Links []struct {
		TraceID, SpanID string
		Attributes      map[string]typed
	}
	Status struct{ Code, Message string }
}

type fixedSpans struct {
	Service string
	Scope   struct{ Name, Version string }
	TraceID string
	Spans   []spanSpec
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func as[T any](raw json.RawMessage) T {
	var value T
	check(json.Unmarshal(raw, &value))
	return value
}

func attributes(list map[string]typed) []attribute.KeyValue {
	var out []attribute.KeyValue
	for key, value := range list {
		for kind, raw := range value {
			switch kind {
			case "string":
				out = append(out, attribute.String(key, as[string](raw)))
			case "int":
				out = append(out, attribute.Int64(key, as[int64](raw)))
			case "double":
				out = append(out, attribute.Float64(key, as[float64](raw)))
			case "bool":
				out = append(out, attribute.Bool(key, as[bool](raw)))
			case "strings":
				out = append(out, attribute.StringSlice(key, as[[]string](raw)))
			case "ints":
				out = append(out, attribute.Int64Slice(key, as[[]int64](raw)))
			}
		}
	}
	return out
}

func at(ns json.Number) time.Time {
	value, err := ns.Int64()
	check(err)
	return time.Unix(0, value)
}

func traceID(text string) trace.TraceID {
	id, err := trace.TraceIDFromHex(text)
	check(err)
	return id
}

func spanID(text string) trace.SpanID {
	id, err := trace.SpanIDFromHex(text)
	check(err)
	return id
}

type fixedIDs struct {
	spans *fixedSpans
	next  int
}

func (f *fixedIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	return traceID(f.spans.TraceID), f.NewSpanID(ctx, trace.TraceID{})
}

func (f *fixedIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	id := spanID(f.spans.Spans[f.next].SpanID)
	f.next++
	return id
}

func exporter(ctx context.Context, protocol, compression, endpoint string) *otlptrace.Exporter {
	if protocol == "grpc" {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(endpoint), otlptracegrpc.WithInsecure()}
		if compression == "gzip" {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		e, err := otlptracegrpc.New(ctx, options...)
		check(err)
		return e
	}
	mode := otlptracehttp.NoCompression
	if compression == "gzip" {
		mode = otlptracehttp.GzipCompression
	}
	e, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(strings.TrimPrefix(endpoint, "http://")),
		otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(mode))
	check(err)
	return e
}

var kinds = map[string]trace.SpanKind{"INTERNAL": trace.SpanKindInternal, "SERVER": trace.SpanKindServer,
	"CLIENT": trace.SpanKindClient, "PRODUCER": trace.SpanKindProducer, "CONSUMER": trace.SpanKindConsumer}

func main() {
	ctx := context.Background()
	text, err := os.ReadFile(os.Args[1])
	check(err)
	var fixed fixedSpans
	check(json.Unmarshal(text, &fixed))

	e := exporter(ctx, os.Args[2], os.Args[3], os.Args[4])
	collected := &collector{}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(collected),
		sdktrace.WithIDGenerator(&fixedIDs{spans: &fixed}),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", fixed.Service))),
	)
	tracer := provider.Tracer(fixed.Scope.Name, trace.WithInstrumentationVersion(fixed.Scope.Version))
	var contexts []context.Context
	var spans []trace.Span
	for _, one := range fixed.Spans {
		parent := ctx
		if one.Parent != nil {
			parent = contexts[*one.Parent]
		}
		var links []trace.Link
		for _, link := range one.Links {
			links = append(links, trace.Link{
				SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID(link.TraceID), SpanID: spanID(link.SpanID), Remote: true}),
				Attributes:  attributes(link.Attributes),
			})
		}
		spanCtx, span := tracer.Start(parent, one.Name, trace.WithSpanKind(kinds[one.Kind]), trace.WithTimestamp(at(one.Start)),
			trace.WithAttributes(attributes(one.Attributes)...), trace.WithLinks(links...))
		for _, event := range one.Events {
			span.AddEvent(event.Name, trace.WithTimestamp(at(event.Time)), trace.WithAttributes(attributes(event.Attributes)...))
		}
		switch one.Status.Code {
		case "ERROR":
			span.SetStatus(codes.Error, one.Status.Message)
		case "OK":
			span.SetStatus(codes.Ok, "")
		}
		contexts = append(contexts, spanCtx)
		spans = append(spans, span)
	}
	for i, one := range fixed.Spans {
		spans[i].End(trace.WithTimestamp(at(one.End)))
	}
	// One export of all spans, so that its error is ours to report.
	check(e.ExportSpans(ctx, collected.spans))
	check(e.Shutdown(ctx))
}

type collector struct{ spans []sdktrace.ReadOnlySpan }

func (c *collector) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (c *collector) OnEnd(s sdktrace.ReadOnlySpan)                   { c.spans = append(c.spans, s) }
func (c *collector) Shutdown(context.Context) error                  { return nil }
func (c *collector) ForceFlush(context.Context) error                { return nil }
