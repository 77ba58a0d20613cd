package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/zioflow/gateway/cli/exit"
	zioflow "github.com/zioflow/gateway/clients/go"
)

// tree is a folder with these files, by their paths.
func tree(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, data, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents are the files below a folder.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has its own name meanwhile
		}
		found[filepath.ToSlash(name)] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantFiles(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	got := contents(t, dir)
	for name, data := range want {
		if is, there := got[name]; !there || !bytes.Equal(is, data) {
			t.Errorf("%s: there %t, %d bytes, want %d", name, there, len(is), len(data))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s was not given", name)
	}
}

// TestFiles: a folder that put gives is what get writes, on every way.
func TestFiles(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var array bytes.Buffer
	tensor, err := zioflow.NewTensor([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err == nil {
		err = writeNpy(&array, tensor)
	}
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"run/large": bytes.Repeat([]byte("0123456789"), 12345), "run/empty": nil, "run/below/a b=c ü": []byte("text"),
		"run/array.npy": array.Bytes(), "one.npy": array.Bytes(),
	}
	from := tree(t, files)
	for _, via := range vias {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			to := filepath.Join(t.TempDir(), "new", "folder")
			get := s.command(t, via, "get", "--match=attributes.to == '"+via+"'", "-o", to)
			notes, err := get.StderrPipe()
			if err == nil {
				err = get.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			readUntil(t, notes, "waiting for a flow")
			put := run(t, s.command(t, via, "put", "--chunk=10000", filepath.Join(from, "run"), "to="+via, filepath.Join(from, "one.npy")))
			if put.code != 0 || !strings.Contains(put.out, "gave 17 messages of 5 files") {
				t.Errorf("put printed %+v", put)
			}
			if err := get.Wait(); err != nil {
				t.Errorf("get ended with %v", err)
			}
			wantFiles(t, to, files)
		})
	}
}

// TestStreams: what is read from standard input is what standard output has, and nothing
// else.
func TestStreams(t *testing.T) {
	t.Parallel()
	s := serve(t)
	data := bytes.Repeat([]byte("some text\n"), 100_000)
	for name, words := range map[string][2][]string{
		"bytes": {{"-"}, {"-"}}, "a file": {{"-"}, {"--output=-"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			get := s.command(t, "grpc", "get", append([]string{"--json", "--match=attributes.to == '" + name + "'"}, words[1]...)...)
			var out bytes.Buffer
			get.Stdout = &out
			notes, err := get.StderrPipe()
			if err == nil {
				err = get.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			readUntil(t, notes, "waiting for a flow")
			put := s.command(t, "zmq-router", "put", append([]string{"to=" + name}, words[0]...)...)
			put.Stdin = bytes.NewReader(data)
			if got := run(t, put); got.code != 0 || got.err != "" {
				t.Errorf("put printed %+v", got)
			}
			told, _ := io.ReadAll(notes)
			var r report
			if err := errors.Join(get.Wait(), json.Unmarshal(told, &r)); err != nil || r.Bytes != uint64(len(data)) {
				t.Errorf("get ended with %v and told %s", err, told)
			}
			if !bytes.Equal(out.Bytes(), data) {
				t.Errorf("standard output has %d bytes, want %d", out.Len(), len(data))
			}
		})
	}
}

// TestInterrupted: SIGINT in the middle of a put ends the flow in good order, also where it
// waits for credit or for standard input, and leaves no half of a file.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := serve(t)
	large := filepath.Join(tree(t, map[string][]byte{"large": make([]byte, 1<<20)}), "large")
	for _, via := range vias {
		for what, word := range map[string]string{"without credit": large, "without input": "-"} {
			t.Run(via+" "+what, func(t *testing.T) {
				t.Parallel()
				name := via + word
				flows := s.handle(t, "attributes.to == '"+name+"'", 2)
				put := s.command(t, via, "put", "--chunk=1000", word, "to="+name)
				stdin, err := put.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = stdin.Close() }()
				var out, errs bytes.Buffer
				put.Stdout, put.Stderr = &out, &errs
				if err := put.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := stdin.Write([]byte("typed")); err != nil {
					t.Fatal(err)
				}
				flow := received(t, flows, "the flow")
				defer flow.over()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := flow.taker.Next(ctx); err != nil {
					t.Fatal(err)
				}
				if err := put.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				for err == nil {
					_, err = flow.taker.Next(ctx)
				}
				if !errors.Is(err, io.EOF) {
					t.Errorf("for the taker the flow ended with %v, want in good order", err)
				}
				_ = put.Wait()
				if code := put.ProcessState.ExitCode(); code != 130 || !strings.Contains(errs.String(), "stopped by interrupt") || !strings.Contains(out.String(), "gave ") {
					t.Errorf("the exit code is %d, printed was %q and %q", code, out.String(), errs.String())
				}
			})
		}
	}
}

// TestInterruptedTwice: the second SIGINT does not wait for anybody.
func TestInterruptedTwice(t *testing.T) {
	t.Parallel()
	s := serve(t)
	flows := s.handle(t, "attributes.to == 'stubborn'", 1)
	put := s.command(t, "zmq-server", "put", "--timeout=10m", "--count=5", "to=stubborn")
	notes, err := put.StderrPipe()
	if err == nil {
		err = put.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	flow := received(t, flows, "the flow")
	defer flow.over() // until then no more is taken, so the EOT is not answered
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := flow.taker.Next(ctx); err != nil {
		t.Fatal(err)
	}
	for _, told := range []string{"a second Ctrl-C stops at once", ""} {
		if err := put.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		readUntil(t, notes, told)
	}
	_ = put.Wait()
	if state := put.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() || state.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want by the signal", put.ProcessState)
	}
}

// TestInterruptedGet: what is not whole is not written.
func TestInterruptedGet(t *testing.T) {
	t.Parallel()
	s := serve(t)
	to := t.TempDir()
	get := s.command(t, "grpc", "get", "--match=attributes.to == 'get'", "-o", to)
	notes, err := get.StderrPipe()
	if err == nil {
		err = get.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	readUntil(t, notes, "waiting for a flow")
	g := s.dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	giver, err := g.Give(ctx, zioflow.Bot{Attributes: map[string]any{"to": "get"}})
	if err != nil {
		t.Fatal(err)
	}
	whole, half := int64(5), int64(10)
	for _, label := range []fileLabel{{Name: "whole", Size: &whole}, {Name: "half", Size: &half}} {
		if err := giver.Put(ctx, zioflow.Dat{Label: label.label(), Payload: [][]byte{[]byte("12345")}}); err != nil {
			t.Fatal(err)
		}
	}
	for half := false; !half; { // has come
		if ctx.Err() != nil {
			t.Fatal("the half has not come")
		}
		there := contents(t, to)
		for name, data := range there {
			half = half || strings.HasSuffix(name, ".part") && len(data) == 5
		}
		half = half && there["whole"] != nil // otherwise that was its own
	}
	if err := get.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told, _ := io.ReadAll(notes)
	_ = get.Wait()
	if code := get.ProcessState.ExitCode(); code != 143 || !strings.Contains(string(told), "half is not written: 5 of its 10 bytes") {
		t.Errorf("the exit code is %d, told was %s", code, told)
	}
	if err := giver.Close(ctx); err != nil && !errors.Is(err, zioflow.ErrTakerEnded) {
		t.Errorf("for the giver the flow ended with %v", err)
	}
	wantFiles(t, to, map[string][]byte{"whole": []byte("12345")})
}

// TestProgress: a terminal shows how far it is, how fast and for how long; anything else
// shows nothing.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := serve(t)
	put := []string{"--count=3000", "--size=10000", "builtin=dump"}
	if got := run(t, s.command(t, "grpc", "put", put...)); got.err != "" || got.code != 0 {
		t.Errorf("without a terminal it printed %+v", got)
	}
	shownTo := s.command(t, "grpc", "put", put...)
	terminal, err := pty.Start(shownTo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shownTo.Wait() }()
	defer func() { _ = terminal.Close() }()
	shown := readUntil(t, terminal, "gave 3000 messages")
	for _, want := range []string{"put ", "%", "MB/s", "s]", "/30 MB"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the terminal shows %q, want %q in it", shown, want)
		}
	}
}

// TestCodes: a script learns whether it is worth to try again.
func TestCodes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for what, c := range map[string]struct {
		want      exit.Code
		arguments []string
	}{
		"nobody":               {exit.Unreachable, []string{"put", "--address=127.0.0.1:1"}},
		"nobody for ZeroMQ":    {exit.Unreachable, []string{"put", "--via=zmq-router", "--address=tcp://127.0.0.1:1"}},
		"the wrong port":       {exit.Unreachable, []string{"get", "--via=zmq-router", "--address=" + first(s.ZMQServer)}},
		"no expression":        {exit.Usage, []string{"get", "--address=" + s.GRPC, "--match=1 +"}},
		"what is refused":      {exit.Failed, []string{"put", "--address=" + s.GRPC, "builtin=generate", "count=-1"}},
		"what is no file here": {exit.Usage, []string{"put", "--address=" + s.GRPC, "nowhere", "builtin=dump"}},
		"all well":             {exit.Done, []string{"put", "--address=" + s.GRPC, "builtin=dump"}},
	} {
		if got := run(t, command(t, c.arguments...)); got.code != int(c.want) {
			t.Errorf("%s: the exit code is %d, want %d: %s", what, got.code, c.want, got.err)
		}
	}
}

// TestRefusedWords: what makes no sense is said before a gateway is asked.
func TestRefusedWords(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string][]byte{"a/x": nil, "b/x": nil, "no.npy": []byte("text")})
	for want, arguments := range map[string][]string{
		"there is no such file; an attribute has the form NAME=VALUE": {"put", "nowhere"},
		"would both have the name x":                                  {"put", dir + "/a/x", dir + "/b/x"},
		"--count and --size are for test data":                        {"put", "--count=3", dir + "/a/x"},
		`attribute "=3" is not of the form NAME=VALUE`:                {"put", "=3"},
		`attribute "file" is not of the form NAME=VALUE`:              {"get", "file"},
		"--chunk is 0":                         {"put", "--chunk=0", dir + "/a/x"},
		"--npy and --raw exclude each other":   {"put", "--npy", "--raw", dir + "/a/x"},
		"--match and --cid exclude each other": {"get", "--cid=3", "--match=true"},
		"not a directory":                      {"get", "-o", dir + "/a/x"},
	} {
		if got := run(t, command(t, arguments...)); got.code != int(exit.Usage) || !strings.Contains(got.err, want) {
			t.Errorf("%v printed %+v, want %q", arguments, got, want)
		}
	}
}
