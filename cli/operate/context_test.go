package operate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zioflow/gateway/cli/exit"
)

// TestContext: commands talk to the gateway that is in use, unless told otherwise by the
// environment, and by the command line before that. It runs alone, as the environment is
// everybody's.
func TestContext(t *testing.T) {
	r, other := newRig(t), newRig(t)
	folder := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", folder)
	command := func(arguments ...string) done { t.Helper(); return run(t.Context(), t, arguments...) }
	at := func(d done, address string) {
		t.Helper()
		d.contains(t, "gateway     1.2.3 at "+address+"\n")
	}
	command("context", "list").columns(t, "no contexts: commands talk to 127.0.0.1:7575, unless told otherwise")
	command("context", "use", "lab").fails(t, exit.NotFound, `there is no such context: "lab"; there are none yet`)
	command("status", "--context", "lab").fails(t, exit.NotFound, `there is no such context: "lab"`)

	token := filepath.Join(folder, "token")
	if err := os.WriteFile(token, []byte("open-sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command("context", "add", "lab", "--address", r.address, "--token-file", token).columns(t, "lab is kept, and in use")
	command("context", "add", "other", "--address", other.address).columns(t, "other is kept; gateway context use other has it be in use")
	command("context", "add", "lab", "--address", "x:1").fails(t, exit.Usage, `there is a context of that name: "lab"; --replace does so`)
	command("context", "add", "far", "--address", "192.0.2.1:1", "--token-file", token).fails(t, exit.Usage, "would cross the network in clear text: give --tls-ca")
	command("context", "add", "ca", "--address", "x:1", "--tls-ca", token).fails(t, exit.Usage, "--tls-ca: there is no certificate in PEM in it")
	command("context").columns(t, "NAME ADDRESS SECURITY SHOWS", "* lab "+r.address+" none token", "other "+other.address+" none")
	if out := command("context", "list", "--json").out; len(out) == 0 || strings.Contains(out, "sesame") {
		t.Errorf("it prints %s", out)
	}

	at(command("status"), r.address)
	at(command("status", "--context", "other"), other.address)
	at(command("status", "--address", other.address), other.address)
	command("context", "use", "other").columns(t, "other is in use")
	at(command("status"), other.address)
	at(command("status", "--context=lab"), r.address)
	command("status", "--context=lab", "--address=x:1").fails(t, exit.Usage, "--context lab and --address x:1 both name a gateway: give one of them")
	t.Setenv("ZIO_GATEWAY_ADDRESS", r.address)
	at(command("status"), r.address)
	at(command("status", "--context=other"), other.address)
	t.Setenv("ZIO_GATEWAY_ADDRESS", "")
	t.Setenv("ZIO_GATEWAY_CONTEXT", "lab")
	at(command("status"), r.address)
	at(command("status", "--address", other.address), other.address)

	t.Setenv("ZIO_GATEWAY_CONTEXT", "")
	command("context", "remove", "other").columns(t, "other is forgotten")
	command("context", "remove", "other").fails(t, exit.NotFound, `there is no such context: "other"; there are ["lab"]`)
	command("context", "use").columns(t, "no context is in use")
}
