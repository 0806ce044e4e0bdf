package sinks

import (
	"testing"
	"time"
)

// stopwatch adds up the time of one of two contestants.
type stopwatch struct{ total time.Duration }

func (s *stopwatch) time(b *testing.B, f func()) {
	b.Helper()
	start := time.Now()
	f()
	s.total += time.Since(start)
}

func (s *stopwatch) rate(n int) float64 { return float64(n) / s.total.Seconds() }
