package settings

import (
	"errors"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

// section is a group of options.
type section struct {
	Title   string
	Options []described
}

// described is an option as documents have it.
type described struct {
	Name, Variable, Wants, Default, Example, Help string
	Reload, Routes, Repeats                       bool
}

// sections are the options of the only command, in the order of their declaration.
func sections(model *kong.Application) (all []section) {
	for _, flag := range model.Leaves(false)[0].Flags {
		if !isSetting(flag) {
			continue
		}
		if title := groupOf(flag); len(all) == 0 || all[len(all)-1].Title != title {
			all = append(all, section{Title: title})
		}
		last := &all[len(all)-1]
		last.Options = append(last.Options, describe(flag))
	}
	return all
}

func describe(flag *kong.Flag) described {
	d := described{
		Name: flag.Name, Wants: wants(flag), Help: flag.Help, Reload: flag.Tag.Has("reload"), Example: flag.Tag.Get("example"),
		Routes: flag.Name == routesKey,
	}
	switch {
	case flag.Default != "":
		d.Default = flag.Default
	case flag.IsBool():
		d.Default = "false"
	case flag.Name == "insecure":
		d.Default = "none"
	}
	return d
}

// Line is the option in the example file.
func (d described) Line() string {
	value := d.Default
	if value == "" {
		value = d.Example
	}
	return "#" + d.Name + ": " + value
}

// Wrapped is the help in comments of the example file.
func (d described) Wrapped() string {
	var lines []string
	line := "#"
	for word := range strings.FieldsSeq(d.Help) {
		if len(line)+1+len(word) > 88 {
			lines, line = append(lines, line), "#"
		}
		line += " " + word
	}
	return strings.Join(append(lines, line), "\n")
}

// Cell is the help in a table.
func (d described) Cell() string { return strings.ReplaceAll(d.Help, "|", "\\|") }

var documents = template.Must(template.New("reference").Parse(`{{range .}}
### {{.Title}}

| option | takes | default | |
|---|---|---|---|
{{range .Options}}| ` + "`{{.Name}}`" + ` | {{.Wants}} | {{if .Default}}` + "`{{.Default}}`" + `{{end}} | {{.Cell}}{{if .Reload}} *(reload)*{{end}} |
{{end}}{{end}}
`))

var example = template.Must(template.New("example").Parse(`# A configuration file for ` + "`gateway serve --config gateway.yaml`" + `: every option, with its
# default, or with an example where there is none. Take away the # of what is to be different.
#
#   gateway check gateway.yaml                          says what is wrong with it
#   gateway serve --config gateway.yaml --print-config  says what is in force
#
# It is generated, by scripts/gen.sh; docs/configuration.md says more.
{{range .}}
# ==== {{.Title}}
{{range .Options}}
{{.Wrapped}}
{{if .Routes}}#routes:
#- name: raw data
#  match: attributes.stream == 'raw' && direction == 'inject'
#  exec:
#    command: [gateway, get, --via, zmq-server]
#- name: archive
#  match: has(attributes.archive)
#  listener: {name: archivers}
{{else}}{{.Line}}
{{end}}{{end}}{{end}}`))

// The marks between which docs/configuration.md is generated.
const (
	generated = "<!-- generated: from here -->\n"
	byHand    = "<!-- generated: to here -->\n"
)

// Reference is docs/configuration.md with its tables as they have to be; text is what it
// is.
func Reference(text string) (string, error) {
	before, rest, begins := strings.Cut(text, generated)
	_, after, ends := strings.Cut(rest, byHand)
	if !begins || !ends {
		return "", errors.New("the marks of what is generated are not there")
	}
	tables, err := fill(documents)
	return before + generated + tables + byHand + after, err
}

// Example is a configuration file in which every option stands, as a comment.
func Example() (string, error) { return fill(example) }

func fill(t *template.Template) (string, error) {
	var serve struct {
		Serve Serve `cmd:""`
	}
	parser, err := kong.New(&serve, append(Values(), Defaults(), kong.DefaultEnvars("ZIO_GATEWAY"))...)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, sections(parser.Model))
	return out.String(), err
}
