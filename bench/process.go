package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is a running relay: the gateway or a baseline.
type server struct {
	command *exec.Cmd
	http    string // where a gateway answers HTTP; empty for a baseline
}

// startServer starts a program that says on its first line that it is ready,
// and answers that line.
func startServer(path string, arguments ...string) (*server, string, error) {
	s := &server{command: exec.Command(path, arguments...)}
	s.command.Env = settingsFree(os.Environ())
	s.command.Stderr = os.Stderr
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := s.command.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("%s did not become ready: %w", path, err), s.stop())
	}
	return s, strings.TrimSpace(line), nil
}

// settingsFree is an environment without the gateway's settings.
func settingsFree(environment []string) (free []string) {
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "ZIO_GATEWAY_") {
			free = append(free, variable)
		}
	}
	return free
}

// stop kills the process: it has served its purpose.
func (s *server) stop() error {
	if err := s.command.Process.Kill(); err != nil {
		return err
	}
	var killed *exec.ExitError
	if err := s.command.Wait(); !errors.As(err, &killed) {
		return err
	}
	return nil
}

// usage is what a process has used, and holds.
type usage struct {
	cpu       time.Duration // user and system
	mallocs   float64       // heap objects ever allocated; a gateway's only
	rss, peak int64         // bytes
}

func (s *server) usage() (u usage, err error) {
	if u.cpu, err = s.cpu(); err != nil {
		return u, err
	}
	if u.rss, u.peak, err = residentSize(s.command.Process.Pid); err != nil {
		return u, err
	}
	if s.http != "" {
		u.mallocs, err = scrapeMallocs(s.http)
	}
	return u, err
}

// cpu is the user and system time that the process has used.
func (s *server) cpu() (time.Duration, error) {
	// The clock of another process's CPU time, as clock_getcpuclockid has it.
	const schedulerClock = 2
	clock := int32(^s.command.Process.Pid<<3 | schedulerClock)
	var spent unix.Timespec
	if err := unix.ClockGettime(clock, &spent); err != nil {
		return 0, fmt.Errorf("CPU clock of %s: %w", s.command.Path, err)
	}
	return time.Duration(spent.Nano()), nil
}

// resetPeak makes the peak of RSS start anew.
func (s *server) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.command.Process.Pid), []byte("5"), 0)
}

func residentSize(pid int) (rss, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(words[1], 10, 64)
		switch words[0] {
		case "VmRSS:":
			rss = n << 10
		case "VmHWM:":
			peak = n << 10
		}
	}
	if rss == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("no resident size in /proc/%d/status", pid)
	}
	return rss, peak, nil
}

// mallocsMetric counts the heap objects that a Go process has allocated.
const mallocsMetric = "go_memstats_mallocs_total"

var scraper = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func scrapeMallocs(address string) (float64, error) {
	response, err := scraper.Get("http://" + address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, mallocsMetric+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s does not serve %s", address, mallocsMetric)
}

// peerProcess is a running load generator.
type peerProcess struct {
	command *exec.Cmd
	orders  io.WriteCloser
	lines   *bufio.Scanner
	over    bool // has been waited for
}

func startPeer(ctx context.Context, words []string) (*peerProcess, error) {
	p := &peerProcess{command: exec.CommandContext(ctx, words[0], words[1:]...)}
	p.command.Stderr = os.Stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.orders, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	return p, p.command.Start()
}

// expect waits for a line that says just that.
func (p *peerProcess) expect(word string) error {
	if !p.lines.Scan() {
		return fmt.Errorf("%s ended without saying %q", p.command.Path, word)
	}
	if p.lines.Text() != word {
		return fmt.Errorf("%s said %q, want %q", p.command.Path, p.lines.Text(), word)
	}
	return nil
}

// rest answers what else the process prints, until it has ended.
func (p *peerProcess) rest() (lines []string, err error) {
	for p.lines.Scan() {
		lines = append(lines, p.lines.Text())
	}
	p.over = true
	if err := errors.Join(p.lines.Err(), p.command.Wait()); err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(p.command.Args, " "), err)
	}
	return lines, nil
}

// running returns an error if the process has ended by itself.
func (p *peerProcess) running() error {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.command.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil && info.Signo != 0 {
		err = errors.New("has ended too early")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(p.command.Args, " "), err)
	}
	return nil
}

// end kills the process if it is still there.
func (p *peerProcess) end() {
	if !p.over {
		p.over = true
		_ = p.command.Process.Kill() // both fail only if it is gone
		_ = p.command.Wait()
	}
}
