package memory

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The files of a control group that say how much memory it may have: in version 2
// a bound and, below it, where the kernel begins to hold processes back; in version
// 1 a bound.
var (
	limitsV2 = []string{"memory.max", "memory.high"}
	limitsV1 = []string{"memory.limit_in_bytes"}
)

// unlimited is what a limit is at least that is none: version 1 writes "no limit"
// as the largest number of whole pages.
const unlimited = 1 << 62

// groupLimit is the smallest limit of the control groups that the process is in,
// and of those around them, as each holds for all within; 0 for none. Both
// versions are looked at: a machine can have both, with the controller in either.
// The root is that of the file system.
func groupLimit(root fs.FS) (limit int64) {
	v2, v1 := groupsOf(read(root, "/proc/self/cgroup"))
	for line := range strings.Lines(read(root, "/proc/self/mountinfo")) {
		m, ok := parseMount(line)
		switch {
		case !ok:
		case m.kind == "cgroup2" && v2 != "":
			limit = smaller(limit, m.limit(root, v2, limitsV2))
		case m.kind == "cgroup" && v1 != "" && slices.Contains(m.options, "memory"):
			limit = smaller(limit, m.limit(root, v1, limitsV1))
		}
	}
	return limit
}

// groupsOf finds the process's groups of either version in /proc/self/cgroup, whose
// lines are hierarchy:controllers:path, 0 and no controller for version 2; "" for
// none.
func groupsOf(text string) (v2, v1 string) {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(parts) < 3:
		case parts[0] == "0" && parts[1] == "":
			v2 = parts[2]
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			v1 = parts[2]
		}
	}
	return v2, v1
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	kind    string   // of file system
	root    string   // the folder in it that is mounted
	point   string   // where
	options []string // the file system's own
}

// unescape undoes what the kernel writes for characters that separate.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// parseMount reads "id parent device root point options [field...] - kind source
// options".
func parseMount(line string) (mount, bool) {
	words := strings.Fields(line)
	dash := slices.Index(words, "-")
	if dash < 6 || len(words) < dash+4 {
		return mount{}, false
	}
	return mount{
		kind: words[dash+1], root: unescape.Replace(words[3]), point: unescape.Replace(words[4]),
		options: strings.Split(words[dash+3], ","),
	}, true
}

// limit is the smallest limit of a group and of those around it, as far as they
// are mounted; 0 for none.
func (m mount) limit(root fs.FS, group string, files []string) (limit int64) {
	for dir := m.folder(group); ; dir = path.Dir(dir) {
		for _, name := range files {
			limit = smaller(limit, parseLimit(read(root, path.Join(dir, name))))
		}
		if len(dir) <= len(m.point) {
			return limit
		}
	}
}

// folder is where a group is. A container may have only its own group mounted, and
// be told another name for it than that which it has there: what is mounted then is
// its own.
func (m mount) folder(group string) string {
	inside, ok := strings.CutPrefix(group, strings.TrimSuffix(m.root, "/"))
	if !ok || inside != "" && inside[0] != '/' || strings.HasPrefix(inside, "/..") {
		inside = ""
	}
	return path.Join(m.point, inside)
}

// parseLimit reads a limit; 0 for none.
func parseLimit(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 || n >= unlimited { // "max"
		return 0
	}
	return n
}

// read is a file's text; "" where it can't be read.
func read(root fs.FS, name string) string {
	text, _ := fs.ReadFile(root, strings.TrimPrefix(path.Clean(name), "/"))
	return string(text)
}
