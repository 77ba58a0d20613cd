package front

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listenerAt is the process that listens at a TCP port, as far as this one may see it: 0
// where it does not, as the other one is somebody else's. The name is printable.
func listenerAt(port int) (pid int, name string) {
	sockets := map[string]bool{} // as a descriptor's link names them
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(table, port, sockets)
	}
	if len(sockets) == 0 {
		return 0, ""
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*") // of which those of others cannot be read
	for _, descriptor := range descriptors {
		if link, err := os.Readlink(descriptor); err == nil && sockets[link] {
			process := filepath.Dir(filepath.Dir(descriptor))
			pid, _ = strconv.Atoi(filepath.Base(process))
			comm, _ := os.ReadFile(filepath.Join(process, "comm"))
			quoted := strconv.QuoteToASCII(strings.TrimSpace(string(comm)))
			return pid, quoted[1 : len(quoted)-1]
		}
	}
	return 0, ""
}

// listening adds the sockets of a table of the kernel's that listen at a port.
func listening(table string, port int, sockets map[string]bool) {
	const local, state, inode = 1, 3, 9 // columns
	const listens = "0A"
	file, err := os.Open(table)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	ending := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > inode && fields[state] == listens && strings.HasSuffix(fields[local], ending) {
			sockets["socket:["+fields[inode]+"]"] = true
		}
	}
}
