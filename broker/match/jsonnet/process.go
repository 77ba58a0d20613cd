package jsonnet

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-jsonnet"
)

// processName is under what name the program is started to evaluate a text.
const processName = "zio-gateway-jsonnet"

// init makes this process one that evaluates a text, if it was started for that.
func init() {
	if len(os.Args) == 1 && os.Args[0] == processName {
		syscall.Exit(evaluateInput()) // at once: the race detector would sleep for a second
	}
}

// result is what the process answers.
type result struct{ JSON, Error string }

// evaluateInput evaluates the Source on standard input and answers on standard
// output.
func evaluateInput() (status int) {
	limitProcess()
	debug.SetMemoryLimit(MaxMemory * 3 / 4) // more often rather than more memory
	go watchMemory()
	var source Source
	if err := json.NewDecoder(os.Stdin).Decode(&source); err != nil {
		fmt.Fprintln(os.Stderr, "source:", err)
		return 1
	}
	return answer(evaluate(source))
}

func answer(text string, err error) (status int) {
	r := result{JSON: text}
	switch {
	case err != nil:
		words := strings.Join(strings.Fields(err.Error()), " ")
		if len(words) > maxError {
			words = strings.ToValidUTF8(words[:maxError], "") + "…"
		}
		r = result{Error: words}
	case len(text) > MaxResult:
		r = result{Error: errResult.Error()}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "answer:", err)
		return 1
	}
	return 0
}

// evaluate does what Evaluate is for, with nothing to hold it.
func evaluate(source Source) (text string, err error) {
	vm := jsonnet.MakeVM()
	vm.MaxStack = maxStack
	vm.Importer(noImports{})
	if source.Folder != "" {
		root, err := os.OpenRoot(source.Folder)
		if err != nil {
			return "", err
		}
		defer func() { _ = root.Close() }()
		vm.Importer(&folder{root: root, read: map[string]jsonnet.Contents{}})
	}
	return vm.EvaluateAnonymousSnippet(source.Name, source.Text)
}

// watchMemory ends the process when it uses too much. It looks so often that it
// sees a text that doubles its strings before they are large; limitProcess has the
// system see the rest.
func watchMemory() {
	sample := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	for range time.Tick(5 * time.Millisecond) {
		metrics.Read(sample)
		if sample[0].Value.Uint64()-sample[1].Value.Uint64() > MaxMemory {
			syscall.Exit(answer("", errMemory))
		}
	}
}

// readAll reads up to limit bytes, and one more if there are more.
func readAll(r io.Reader, limit int64) ([]byte, error) { return io.ReadAll(io.LimitReader(r, limit+1)) }
