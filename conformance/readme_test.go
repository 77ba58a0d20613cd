package main_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestReadme runs the README's console blocks as printed, in their terminals and
// their order, against a gateway of its own, and wants to see what is printed
// there. Only what differs by nature may differ: times, ports, ids.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) < 7 {
		t.Fatalf("found only %d console blocks", len(blocks))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	doc := newDocument(ctx, t, root)
	for _, b := range blocks {
		doc.run(b)
	}
}

// TestAdminDocument runs docs/admin.md likewise.
func TestAdminDocument(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "admin.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) < 15 {
		t.Fatalf("found only %d console blocks", len(blocks))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	doc := documentOf(ctx, t, root, serve(t, nil, nil))
	for _, b := range blocks {
		doc.run(b)
	}
}

// block is what one terminal shows at one point of the README.
type block struct {
	terminal string
	command  string // empty where an earlier one goes on printing
	output   []string
}

var fence = regexp.MustCompile("(?s)<!-- terminal (\\d) -->\n```console\n(.*?)```")

func consoleBlocks(text string) []block {
	var blocks []block
	for _, match := range fence.FindAllStringSubmatch(text, -1) {
		b := block{terminal: match[1]}
		lines := strings.Split(strings.TrimSuffix(match[2], "\n"), "\n")
		if command, is := strings.CutPrefix(lines[0], "$ "); is {
			b.command = command
			lines = lines[1:]
		}
		b.output = lines
		blocks = append(blocks, b)
	}
	return blocks
}

// document is a README being followed.
type document struct {
	t         *testing.T
	ctx       context.Context
	root      string
	addresses *strings.Replacer // from the README's to this gateway's
	cids      map[string]string // likewise
	terminals map[string]*terminal
	change    func(*exec.Cmd) // of a command before it is started; nil for nothing
}

// terminal is a running command whose lines are read one by one.
type terminal struct {
	lines chan string
}

func newDocument(ctx context.Context, t *testing.T, root string) *document {
	return documentOf(ctx, t, root, serve(t, []string{"--pending-timeout=10m"}, nil))
}

// documentOf follows a document against this gateway.
func documentOf(ctx context.Context, t *testing.T, root string, gateway *program) *document {
	ready := gateway.readAddresses(t)
	program, err := builtProgram()
	if err != nil {
		t.Fatal(err)
	}
	return &document{
		t: t, ctx: ctx, root: root,
		addresses: strings.NewReplacer(
			"127.0.0.1:7575", ready.GRPC,
			"bin/gateway get --via zmq-server", program+" get --via zmq-server --address "+ready.ZMQServer[0],
			"bin/gateway put --via zmq-server", program+" put --via zmq-server --address "+ready.ZMQServer[0],
			"bin/gateway put --via zmq-router", program+" put --via zmq-router --address "+ready.ZMQRouter[0],
		),
		cids: map[string]string{}, terminals: map[string]*terminal{},
	}
}

func (d *document) run(b block) {
	d.t.Helper()
	if b.command != "" {
		d.terminals[b.terminal] = d.start(b.command)
	}
	shown := d.terminals[b.terminal]
	for _, want := range b.output {
		if passing.MatchString(want) {
			continue
		}
		select {
		case got, ok := <-shown.lines:
			if !ok {
				d.t.Fatalf("terminal %s ended, but the README shows %q", b.terminal, want)
			}
			d.compare(want, got)
		case <-d.ctx.Done():
			d.t.Fatalf("terminal %s never showed %q", b.terminal, want)
		}
	}
}

// start runs a command as a shell would; it is killed when the test ends.
func (d *document) start(command string) *terminal {
	d.t.Helper()
	for printed, actual := range d.cids {
		command = strings.ReplaceAll(command, printed, actual)
	}
	cmd := exec.CommandContext(d.ctx, "bash", "-c", "exec "+d.addresses.Replace(command))
	cmd.Dir = d.root
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what it starts itself
	if d.change != nil {
		d.change(cmd)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	shown := &terminal{lines: make(chan string, 1000)}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(shown.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			if !passing.MatchString(scanner.Text()) {
				shown.lines <- scanner.Text()
			}
		}
	})
	d.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		reader.Wait()
		_ = cmd.Wait()
	})
	return shown
}

var (
	quotedCID = regexp.MustCompile(`"cid": "(\d+)"`)
	// differs is what may differ: after these words, digits and time stamps.
	differs = regexp.MustCompile(`("(?:granule|cid|event|agent|flowId|deadline|identity|version|address|maxBytes|maxFlowBytes|` +
		`started|configured|opened|ended|time|connected|entered|changed|uuid|endpoint|lastDat|lastPay|lastSeen|forGiver|forTaker)": )"[^"]*"|(\\"cid\\":)\d+|(, in ).*|("reason": )"(?:left|closed)"|,$`)
	// passing are lines that are there or not, as the moment has it.
	passing = regexp.MustCompile(`^ *"(?:messagesPerSecond|bytesPerSecond|giverShare|takerShare)": `)
)

func (d *document) compare(want, got string) {
	d.t.Helper()
	if printed := quotedCID.FindStringSubmatch(want); printed != nil {
		if actual := quotedCID.FindStringSubmatch(got); actual != nil {
			d.cids[printed[1]] = actual[1]
		}
	}
	if plain(want) != plain(got) {
		d.t.Errorf("the README shows\n%s\nbut it is\n%s", want, got)
	}
}

func plain(line string) string { return differs.ReplaceAllString(line, "$1$2$3$4…") }
