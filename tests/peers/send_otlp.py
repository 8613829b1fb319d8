"""Sends ten spans, a counter, a histogram and a log record with the OpenTelemetry SDK.

usage: send_otlp.py grpc|http/protobuf ENDPOINT none|gzip
"""

import logging
import sys

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, endpoint, compression = sys.argv[1:4]
if protocol == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    packed = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
    options = {"endpoint": endpoint, "insecure": True, "compression": packed}
    spans, metrics, logs = OTLPSpanExporter(**options), OTLPMetricExporter(**options), OTLPLogExporter(**options)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    packed = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    spans = OTLPSpanExporter(endpoint=endpoint + "/v1/traces", compression=packed)
    # The path of Prometheus' own OTLP door, which Transformers' monitoring set-up uses.
    metrics = OTLPMetricExporter(endpoint=endpoint + "/api/v1/otlp/v1/metrics", compression=packed)
    logs = OTLPLogExporter(endpoint=endpoint + "/v1/logs", compression=packed)

resource = Resource.create({"service.name": "python-sdk"})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(spans))
metering = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(metrics, 60_000)])
recording = LoggerProvider(resource=resource)
recording.add_log_record_processor(BatchLogRecordProcessor(logs))

tracer = tracing.get_tracer("test")
for number in range(10):
    with tracer.start_as_current_span(f"span {number}") as span:
        span.set_attribute("number", number)
        span.add_event("an event", {"key": "value"})
meter = metering.get_meter("test")
meter.create_counter("sdk.counter").add(3, {"kind": "a"})
meter.create_histogram("sdk.histogram", unit="ms").record(12.5)

from opentelemetry.sdk._logs import LoggingHandler

logger = logging.getLogger("sdk")
logger.setLevel(logging.INFO)
logger.addHandler(LoggingHandler(logger_provider=recording))
logger.info("a log line")

failed = not all([tracing.force_flush(), metering.force_flush(), recording.force_flush()])
tracing.shutdown()
metering.shutdown()
recording.shutdown()
sys.exit(failed)
