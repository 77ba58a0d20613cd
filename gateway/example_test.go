package gateway_test

import (
	"context"
	"fmt"
	"log"

	zioflow "github.com/zioflow/gateway/clients/go"
	"github.com/zioflow/gateway/gateway"
)

// A program that has a gateway in itself, at ports that are free, and takes a flow
// through it.
func Example() {
	c := gateway.DefaultConfig()
	c.ZMQ.Servers, c.ZMQ.Routers = []string{"tcp://127.0.0.1:*"}, nil
	c.GRPC.Addresses, c.HTTP.Address = []string{"127.0.0.1:0"}, ""
	c.Node.Name = "none" // nobody is to find it by its name
	g, err := gateway.New(c)
	if err != nil {
		log.Print(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Run(ctx) }()

	if err := take(ctx, g.Addresses().GRPC); err != nil {
		log.Print(err)
	}

	stop()
	fmt.Println("stopped:", <-stopped)
	// Output:
	// 3 messages
	// stopped: <nil>
}

// take takes a flow from the built-in generator.
func take(ctx context.Context, address string) error {
	client, err := zioflow.Dial(address)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	messages := 0
	for _, err := range client.GetAll(ctx, zioflow.Bot{Attributes: map[string]any{"builtin": "generate", "count": 3}}) {
		if err != nil {
			return err
		}
		messages++
	}
	fmt.Println(messages, "messages")
	return nil
}
