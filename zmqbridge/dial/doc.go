// Package dial connects outwards: CLIENT sockets to a SERVER, DEALER sockets to a
// ROUTER, by TCP or a path of this machine, with NULL or CURVE.
//
// A [Conn] goes on connecting until it is closed. Its connections are told apart:
// what was sent on one that broke is never sent again on the next. The calls that
// meet a loss return an [Error] that says what did not leave, and go on doing so
// until the caller asks for the next connection, by [Conn.Next].
//
//	c, err := dial.Dial(ctx, dial.DefaultOptions("tcp://127.0.0.1:5555", zmtp.Client))
//	…
//	for {
//		use(c) // Send and Receive, until one of them returns an error
//		if err := c.Next(ctx); err != nil {
//			return err
//		}
//	}
//
// Messages are lists of parts, as ZeroMQ has them ([Conn.SendParts],
// [Conn.ReceiveParts]), or ZIO's ([Conn.Send], [Conn.Receive]).
//
// Whatever the peer sends is bounded: the size and the parts of a message, how
// many wait to be received, commands and handshakes, and what stands in errors.
// Memory for a large message is taken as its bytes come.
package dial
