// Command rawload is a load generator of native peers that speaks ZMTP on plain
// sockets: what native/load.c is with libzmq, with the same arguments but the
// first, orders and output.
//
// libzmq's own threads and hand-overs would be most of what is measured where
// there are many flows. Here one thread serves many connections; one read takes
// what has come, one write sends all that it causes, and what is read and written
// lies in the same memory again and again. It differs in one more thing: a taker
// pays in portions of a half, not of a quarter.
package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/zioflow/gateway/bench/generator"
)

// run is what all flows share.
type run struct {
	*generator.Meter
	spec    *generator.Spec
	dat     *dat
	flows   []*flow
	loops   []*loop
	opening chan struct{}  // holds a token for each flow that a client is opening the first time
	opened  sync.WaitGroup // flows that are not yet open
	failed  chan error     // takes the first
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("rawload: ")
	debug.SetGCPercent(400) // the generator's own cost is not what is measured
	raiseDescriptors()
	s, err := generator.Parse(os.Args[1:])
	if err == nil {
		err = play(s)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// raiseDescriptors allows as many as there may be: each flow takes one.
func raiseDescriptors() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // too few show when they run out
	}
}

// play opens all flows, and returns when all of them are over or one has failed;
// then the process has to end.
func play(s *generator.Spec) error {
	r, err := newRun(s)
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	for _, l := range r.loops {
		serving.Go(func() { r.fail(l.serve()) })
	}
	done := make(chan struct{})
	go func() {
		serving.Wait()
		close(done)
	}()
	if s.Gives {
		go r.obey()
		go func() {
			r.opened.Wait()
			fmt.Println("open")
		}()
	}
	if err := r.openAll(); err != nil {
		return err
	}
	select {
	case err = <-r.failed:
		return err
	case <-done:
	}
	select {
	case err = <-r.failed: // the last loop's
		return err
	default:
		return r.end()
	}
}

func newRun(s *generator.Spec) (*run, error) {
	r := &run{
		Meter: generator.NewMeter(s.Total()), spec: s, dat: newDat(s.Size),
		opening: make(chan struct{}, generator.Window), failed: make(chan error, 1),
	}
	r.opened.Add(s.Flows)
	// Two generators and what is between them share the processors.
	for range min(s.Flows, max(1, runtime.NumCPU()/4)) {
		l, err := newLoop()
		if err != nil {
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	for i := range s.Flows {
		f := &flow{run: r, pair: uint64(i)}
		r.flows = append(r.flows, f)
		l := r.loops[i%len(r.loops)]
		f.loop, f.place = l, len(l.flows)
		l.flows = append(l.flows, f)
	}
	return r, nil
}

// fail reports an error, if it is one and the first.
func (r *run) fail(err error) {
	if err == nil {
		return
	}
	select {
	case r.failed <- err:
	default:
	}
}

// handler tells whether flows are opened as the driver says.
func (r *run) handler() bool { return r.spec.Gives && r.spec.Gateway }

// openAll opens the flows that nobody else does, a few at a time.
func (r *run) openAll() error {
	if r.handler() {
		return nil
	}
	out := new(outbox)
	for _, f := range r.flows {
		select {
		case r.opening <- struct{}{}:
		case err := <-r.failed:
			return err
		}
		if err := f.open(out, 0); err != nil {
			return err
		}
	}
	return nil
}

// begun reports that a flow is open for the first time.
func (r *run) begun() {
	if !r.handler() {
		<-r.opening
	}
	r.opened.Done()
}

// obey does what the driver orders until there is nothing more.
func (r *run) obey() {
	out := new(outbox)
	opened := make([]bool, len(r.flows))
	r.fail(generator.Obey(os.Stdin, len(r.flows),
		func(i int, cid uint64) error {
			if opened[i] {
				return r.flows[i].again(out, cid)
			}
			opened[i] = true
			return r.flows[i].open(out, cid)
		},
		func() error {
			for _, f := range r.flows {
				if err := f.start(out); err != nil {
					return err
				}
			}
			return nil
		}))
}

// end hangs up when the last EOTs have gone out, and reports what a taker saw.
func (r *run) end() error {
	for _, f := range r.flows {
		if err := f.conn.shut(); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(lingering)
	for _, f := range r.flows {
		f.conn.drain(deadline)
	}
	if r.spec.Gives {
		return nil
	}
	samples := make([][]time.Duration, len(r.flows))
	for i, f := range r.flows {
		samples[i] = f.samples
	}
	return r.Report(os.Stdout, samples...)
}
