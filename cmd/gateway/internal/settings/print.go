package settings

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// Print writes what is in force, and where each option comes from, as a configuration file:
// with it alone a gateway does the same. Of routes it has the names, as commands may hold
// secrets; of a password in a URL a mark. Options without a value stand in comments.
func (r *Reading) Print(out io.Writer) error {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	group := ""
	for _, name := range r.names {
		o := r.options[name]
		if g := groupOf(o.flag); g != group {
			_, _ = fmt.Fprintf(table, "# %s\n", g)
			group = g
		}
		line, source := r.line(o), o.source
		if source == "" {
			source = "default"
		}
		_, _ = fmt.Fprintf(table, "%s\t# %s\n", line, source)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := out.Write(text.Bytes())
	return err
}

// line is an option as a line of a configuration file.
func (r *Reading) line(o option) string {
	if list, ok := o.flag.Target.Interface().(routeList); ok {
		names := make([]string, len(list.specs))
		for i, spec := range list.specs {
			names[i] = spec.Name
		}
		return "#routes: " + flow(names)
	}
	value := written(shown(o.flag))
	if value == "" {
		return "#" + o.flag.Name + ":"
	}
	return o.flag.Name + ": " + flow(value)
}

// withoutPassword is a URL whose password, and who has it, are not for everybody's eyes.
func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "xxxxx"
	}
	return u.Redacted()
}

// flow is a value in one line of YAML.
func flow(value any) string {
	text, err := yaml.Dump(value, yaml.WithFlowSimpleCollections(), yaml.WithLineWidth(-1))
	if err != nil { // not of what options are
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(string(text))
}

func groupOf(flag *kong.Flag) string {
	if flag.Group == nil {
		return ""
	}
	return flag.Group.Title
}
