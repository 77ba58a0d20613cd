package telemetry

import "time"

// WaitFor has Close wait for the collector so long instead of flushLimit, which on a busy
// machine may be over before spans that are taken have come.
func (t *Traces) WaitFor(limit time.Duration) { t.exporter.flushLimit = limit }
