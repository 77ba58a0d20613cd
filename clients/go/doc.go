// Package zioflow opens ZIO flows through a gateway, and handles them.
//
// A flow moves data one way between two sides: its client, which opens it, and
// its handler, which the gateway finds. One side gives, the other takes:
//
//	gateway, err := zioflow.Dial("127.0.0.1:7575")
//	...
//	defer gateway.Close()
//
//	giver, err := gateway.Give(ctx, zioflow.Bot{Credit: 10, Attributes: map[string]any{"stream": "raw"}})
//	...
//	defer giver.Abort() // does nothing after Close
//	for event := range events {
//		if err := giver.Put(ctx, zioflow.Dat{Payload: [][]byte{event}}); err != nil {
//			return err
//		}
//	}
//	return giver.Close(ctx)
//
// [Gateway.Give] and [Gateway.Take] open a flow as client. [Gateway.Handle]
// serves the flows that other clients open. [Gateway.PutAll] and
// [Gateway.GetAll] move a whole sequence in one call.
//
// # Credit
//
// The taker decides how many messages may be under way: it pays credit, and the
// giver spends one for each message. A [Taker] pays by itself as its messages
// are taken, and [Giver.Put] waits until there is credit. So memory stays
// bounded by the credit in the [Bot], all the way through the gateway. A Taker reads
// 1 MiB ahead, and leaves the rest to gRPC.
//
// # Ends
//
// What arrives is always a prefix, without gaps, of what was given. A flow
// completes when both sides have said EOT: then Close answers nil, and Next
// io.EOF. Everything else is an error on both sides: a [*FlowError] where the
// gateway ended the flow, the context's cause where a context did, and a gRPC
// status otherwise.
//
// # Contexts
//
// The context that opens a flow bounds all of it, as it does with any gRPC
// stream: when it ends, so does the flow. The contexts of Put, Next and Close
// bound the one call.
package zioflow
