"""Answers gRPC requests whose message is one string with replies that are one string."""

import os
import signal
from concurrent import futures

import grpc
from google.protobuf.wrappers_pb2 import StringValue

GREETER = ("helloworld.Greeter", "SayHello")


def run(answer, *methods):
    """Serves until the container is told to end.

    The messages are HelloRequest and HelloReply of vSwarm: a string in field 1, on the wire the same as protobuf's own
    StringValue.
    """

    def handle(request, _context):
        return StringValue(value=answer(request.value))

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    for service, method in methods:
        handler = grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = os.environ.get("GRPC_PORT") or "50000"
    if server.add_insecure_port("0.0.0.0:" + port) == 0:
        raise SystemExit("port " + port + " is taken")
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    server.start()
    server.wait_for_termination()
