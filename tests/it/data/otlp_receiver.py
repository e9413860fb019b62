"""Receives OTLP over HTTP on 127.0.0.1 and judges it by OpenTelemetry's own definitions: whatever they do not know is
refused with 400. Prints its port, then one line of JSON for each request, with ids in hexadecimal."""

import base64
import http.server
import json
import sys

from google.protobuf import json_format
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = ("traceId", "spanId", "parentSpanId")
KINDS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


def with_ids(value, change):
    """The same with each id changed: OTLP has them in hexadecimal where protobuf has base64."""
    if isinstance(value, dict):
        return {key: change(part) if key in IDS else with_ids(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [with_ids(part, change) for part in value]
    return value


def known(message):
    """Raises where the message has a field that its definition has not."""
    if len(UnknownFieldSet(message)):
        raise ValueError(f"{message.DESCRIPTOR.name} has unknown fields")
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                known(part)


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        media = self.headers["Content-Type"]
        try:
            message = KINDS[self.path]()
            if media == "application/json":
                base64_ids = with_ids(json.loads(body), lambda text: base64.b64encode(bytes.fromhex(text)).decode())
                json_format.Parse(json.dumps(base64_ids), message, ignore_unknown_fields=False)
            elif media == "application/x-protobuf":
                message.ParseFromString(body)
            else:
                raise ValueError(f"media type {media}")
            known(message)
            told = json_format.MessageToDict(message, use_integers_for_enums=True)
            told = with_ids(told, lambda text: base64.b64decode(text).hex())
        except Exception as error:
            told = {"refused": repr(error)}
        line = {"path": self.path, "media": media, "key": self.headers["X-Key"], "body": told}
        print(json.dumps(line), flush=True)
        self.send_response(400 if "refused" in told else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
sys.exit(server.serve_forever())
