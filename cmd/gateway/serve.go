package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/zioflow/gateway/cmd/gateway/internal/settings"
	"github.com/zioflow/gateway/gateway"
	"github.com/zioflow/gateway/gateway/config"
	"github.com/zioflow/gateway/internal/logs/async"
	"github.com/zioflow/gateway/internal/memory"
)

// serveCommand runs the gateway.
type serveCommand struct {
	settings.Serve `embed:""`

	PrintConfig bool `help:"Print what is in force, and where it comes from, instead: a configuration file. Secrets are not shown." env:"-" once:"" group:"Addresses"`

	arguments []string          // of the whole command line
	reading   *settings.Reading // of all that was given
	level     slog.LevelVar     `kong:"-"` // LogLevel, until an operator changes it
	log       *async.Queue      // through which everything is logged
}

// config is what the options say.
func (c *serveCommand) config() config.Config {
	s := c.Config()
	s.Level, s.Reread = &c.level, c.reread
	return s
}

// reread returns what the command line, the environment and the file say now.
func (c *serveCommand) reread() (*config.Revision, error) {
	parsed, err := parse(c.arguments)
	if err != nil {
		return nil, err
	}
	next := &parsed.Model.Target.Addr().Interface().(*cli).Serve
	return &config.Revision{
		Config: next.config(),
		Taken:  func() (changes, needRestart []string) { return c.reading.Take(next.reading) },
		Locate: next.reading.Locate,
	}, nil
}

// run brings the gateway up, tells where it is, and serves until the context ends.
func (c *serveCommand) run(ctx context.Context, log *slog.Logger, out io.Writer, hangUps <-chan os.Signal) error {
	if c.ReadyFile != "" {
		if err := dropStale(c.ReadyFile); err != nil {
			return c.reading.Locate(err)
		}
	}
	s := c.config()
	s.Log, s.LogDropped = log, c.log.Dropped
	g, err := gateway.New(s)
	if err != nil {
		return c.reading.Locate(err)
	}
	var written *readyFile
	if c.ReadyFile != "" { // last of all: who finds it finds all there
		if written, err = writeReady(c.ReadyFile, g.Addresses()); err != nil {
			return errors.Join(fmt.Errorf("ready-file: %w", err), g.Stop(context.Background()))
		}
	}
	_, _ = fmt.Fprintln(out, ready(g.Endpoints()))
	tellManager(daemon.SdNotifyReady)
	defer context.AfterFunc(ctx, func() { tellManager(daemon.SdNotifyStopping) })()
	var aside sync.WaitGroup
	defer aside.Wait()
	serving, served := context.WithCancel(context.WithoutCancel(ctx)) // also while it stops
	defer served()
	aside.Go(func() { keepWatchdog(serving, g) })
	ctx, end := context.WithCancel(ctx) // also for a front that has failed
	defer end()
	aside.Go(func() {
		<-ctx.Done()
		if err := written.remove(); err != nil {
			log.Warn("ready file not removed", "error", err)
		}
	})
	aside.Go(func() { memory.ReturnWhenQuiet(ctx) })
	aside.Go(func() {
		for {
			select {
			case <-hangUps:
				tellReloading(func() { _, _ = g.Reload() }) // it logs what came of it
			case <-ctx.Done():
				return
			}
		}
	})
	return g.Run(ctx)
}

// Run serves until SIGINT or SIGTERM; the second one ends the process at once.
// SIGHUP has the configuration read anew; on Windows, which has none, Reload alone
// does, and what ends a console stands for SIGTERM.
func (c *serveCommand) Run() error {
	if c.PrintConfig {
		return c.reading.Print(os.Stdout)
	}
	signals, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	context.AfterFunc(signals, func() {
		stop() // the next signal has its default effect, before anybody is told of this one
		end()
	})
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	survivePipes()
	log := c.openLog()
	defer c.log.Close(flushLog)
	adoptLibraries(log)
	out := async.Open(os.Stdout, nil)
	defer out.Close(flushLog)
	return c.run(ctx, log, out, hangUps)
}
