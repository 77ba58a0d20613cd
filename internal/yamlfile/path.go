package yamlfile

import (
	"regexp"
	"strings"
)

// element is a key of an error's beginning, with what is below it, and what ends it.
var element = regexp.MustCompile(`^(?:--)?([A-Za-z][\w-]*(?:\[\d+\])*(?:\.[\w-]+(?:\[\d+\])*)*)(?: \([^)]*\))?(: | is |$)`)

// PathOf is the path with which an error's words begin: routes[0].match of
// "routes[0].match: is no expression", identities[1].limits.max-flows of "identities[1]
// (alice): limits: max-flows: is -1"; empty if they do not begin with one.
func PathOf(words string) string {
	var path []string
	for {
		m := element.FindStringSubmatch(words)
		if m == nil {
			break
		}
		path, words = append(path, m[1]), words[len(m[0]):]
		if m[2] != ": " {
			break
		}
	}
	return strings.Join(path, ".")
}

// Locate adds to an error whose words begin with a path where that stands; an error that
// leads to no place is of the whole file.
func (d *Document) Locate(err error) error {
	if n := d.Find(PathOf(err.Error())); n != nil {
		return d.At(n, err)
	}
	return &Problem{File: d.name, Err: err}
}
