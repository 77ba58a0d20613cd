package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestTransferCommands: get and put end their flows in good order, although the
// process exits at once.
func TestTransferCommands(t *testing.T) {
	t.Parallel()
	g := serve(t, nil, nil)
	addresses := g.readAddresses(t)
	for via, address := range map[string]string{
		"grpc": addresses.GRPC, "zmq-server": addresses.ZMQServer[0], "zmq-router": addresses.ZMQRouter[0],
	} {
		for did, arguments := range map[string][]string{
			"took 300 messages, 19660800 bytes": {"get", "builtin=generate", "count=300", "size=65536"},
			"gave 300 messages, 19660800 bytes": {"put", "--count=300", "--size=65536", "builtin=dump"},
		} {
			t.Run(via+"/"+arguments[0], func(t *testing.T) {
				arguments = append(arguments, "--via="+via, "--address="+address)
				for range 5 { // an EOT that is lost with the process is lost now and then
					transferOnce(t, g, arguments, did)
				}
			})
		}
	}
}

// completion is the line of a flow that has ended well.
var completion = regexp.MustCompile(`msg="flow ended" .*reason=completed`)

func transferOnce(t *testing.T, g *program, arguments []string, did string) {
	t.Helper()
	completed := func() int { return len(completion.FindAllString(g.log.text(), -1)) }
	ends := completed()
	out, err := gatewayCommand(t, patience, arguments, nil).CombinedOutput()
	if err != nil || !strings.Contains(string(out), did) {
		t.Errorf("gateway %v printed %q (%v), want %q", arguments, out, err, did)
	}
	eventually(t, "the flow ends as completed", func() error {
		if got := completed(); got != ends+1 {
			return fmt.Errorf("%d flows have, want %d:\n%s", got, ends+1, g.log.text())
		}
		return nil
	})
}
