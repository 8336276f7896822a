// Package serve answers gRPC requests whose message is one string with replies that are one string.
package serve

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Method names one method: a service and what it offers.
type Method struct {
	Service string
	Name    string
}

// The ways in which clients of vSwarm call a function that greets.
var Greeter = Method{"helloworld.Greeter", "SayHello"}

// Run serves until the container is told to end.
//
// The messages are HelloRequest and HelloReply of vSwarm: a string in field 1, on the wire the same as protobuf's
// own StringValue.
func Run(answer func(string) string, methods ...Method) {
	port := os.Getenv("GRPC_PORT")
	if port == "" {
		port = "50000"
	}
	listener, err := net.Listen("tcp", "0.0.0.0:"+port)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	for _, method := range methods {
		server.RegisterService(description(method, answer), nil)
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-ends
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

func description(method Method, answer func(string) string) *grpc.ServiceDesc {
	handler := func(_ interface{}, _ context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
		request := new(wrapperspb.StringValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		return wrapperspb.String(answer(request.GetValue())), nil
	}
	return &grpc.ServiceDesc{
		ServiceName: method.Service,
		HandlerType: (*interface{})(nil),
		Methods:     []grpc.MethodDesc{{MethodName: method.Name, Handler: handler}},
	}
}
