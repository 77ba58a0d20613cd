package zmtp_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/zioflow/gateway/zmtp"
)

// A ROUTER that lets in only who has a name, and a DEALER without one.
func ExampleHandshake() {
	router := zmtp.NewHandshake(&zmtp.Config{
		Type:     zmtp.Router,
		AsServer: true,
		Authorize: func(p *zmtp.Peer) error {
			if p.Identity == "" {
				return errors.New("a name is needed")
			}
			return nil
		},
	})
	dealer := zmtp.NewHandshake(&zmtp.Config{Type: zmtp.Dealer})

	// What one end returns is what the other is given.
	_, ready, _ := dealer.Receive(router.Start())
	_, reply, err := router.Receive(append(dealer.Start(), ready...))
	fmt.Println(err)
	_, _, err = dealer.Receive(reply)
	fmt.Println(err)

	var refused *zmtp.Error
	fmt.Println(errors.As(err, &refused), refused.Cause)
	// Output:
	// zmtp: the peer is refused: a name is needed
	// zmtp: the peer refuses: "a name is needed"
	// true refused
}

// Under CURVE, commands are sealed as messages are.
func ExampleSession_Seal() {
	sendPing := func(session *zmtp.Session) []byte {
		frame := zmtp.AppendPing(nil, 2*time.Second, nil)
		if session == nil { // NULL
			return frame
		}
		h, n, _ := zmtp.ParseHeader(frame)
		return session.Seal(nil, h, frame[n:])
	}
	fmt.Printf("%q\n", sendPing(nil))
	// Output: "\x04\a\x04PING\x00\x14"
}
