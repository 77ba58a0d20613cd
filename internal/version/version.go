// Package version is the one place of the version that everything which is released from
// here has: the gateway, the clients and their packages. To release another, change the
// file VERSION and run `make gen`, which writes it to where others read theirs.
package version

import (
	_ "embed"
	"runtime/debug"
	"strings"
)

//go:embed VERSION
var file string

// Number is the release, such as 1.2.3.
var Number = strings.TrimSpace(file)

// revisionLength is how much of a commit's name is shown.
const revisionLength = 12

// Full is Number, with the commit from which the program was built where the Go command
// has recorded it: 1.2.3+0a1b2c3d4e5f, and .dirty behind it if there were changes.
func Full() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Number
	}
	return full(info.Settings)
}

func full(settings []debug.BuildSetting) string {
	var revision, dirty string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = "+" + s.Value[:min(len(s.Value), revisionLength)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".dirty"
		}
	}
	if revision == "" {
		return Number
	}
	return Number + revision + dirty
}
