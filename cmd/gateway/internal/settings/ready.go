package settings

import (
	"os"
	"slices"
	"strings"

	"github.com/zioflow/gateway/internal/yamlfile"
)

// ReadyFile is the ready file that a command line names which can't be read as a whole,
// or the environment, or the file, as far as that can be told; empty for none.
func ReadyFile(arguments []string) string {
	if !slices.Contains(arguments, "serve") || slices.Contains(arguments, "--print-config") {
		return ""
	}
	if path := given("ready-file", arguments); path != "" {
		return path
	}
	file := given("config", arguments)
	if file == "" {
		return ""
	}
	document, err := yamlfile.Read(file)
	if err != nil {
		return ""
	}
	for _, key := range document.Keys() {
		if text, err := document.Strings(key.Value); key.Name == "ready-file" && err == nil && len(text) == 1 {
			return text[0]
		}
	}
	return ""
}

// given is the value of an option on the command line, or in the environment.
func given(option string, arguments []string) (value string) {
	value = os.Getenv(Prefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_")))
	for i, argument := range arguments {
		if argument == "--"+option && i+1 < len(arguments) {
			value = arguments[i+1]
		} else if text, found := strings.CutPrefix(argument, "--"+option+"="); found {
			value = text
		}
	}
	return value
}
