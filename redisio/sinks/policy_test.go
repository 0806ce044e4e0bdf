package sinks

import (
	"strings"
	"testing"
	"time"
)

func TestDecideWhenToSend(t *testing.T) {
	t0 := time.Unix(1000, 0)
	at := t0.Add
	asItComes := BatchOptions{MaxCount: 100, MaxBytes: 1000}
	everySecond := BatchOptions{MaxCount: 100, MaxBytes: 1000, Interval: time.Second}
	atEnd := BatchOptions{MaxCount: 100, MaxBytes: 1000, AtBundleEnd: true}
	for _, c := range []struct {
		name string
		opts BatchOptions
		now  time.Time
		c    collected
		send bool
		wait time.Duration
	}{
		{"nothing collected waits for ever", asItComes, t0, collected{ending: true}, false, forever},
		{"the first element of an idle sink leaves at once", asItComes, t0, collected{count: 1, idle: true}, true, 0},
		{"a few elements after a batch leave at once", asItComes, t0,
			collected{count: lingerFrom - 1, since: t0, grown: t0}, true, 0},
		{"a stream is given the time to go on", asItComes, t0,
			collected{count: lingerFrom, since: t0, grown: t0}, false, lingerPause},
		{"a stream that pauses is sent", asItComes, at(lingerPause),
			collected{count: 50, since: t0, grown: t0}, true, 0},
		{"a stream that grows is waited for", asItComes, at(3 * lingerPause),
			collected{count: 50, since: t0, grown: at(2*lingerPause + 1)}, false, 1},
		{"patience ends", asItComes, at(lingerMost),
			collected{count: 50, since: t0, grown: at(lingerMost)}, true, 0},
		{"the last wait ends with the patience", asItComes, at(lingerMost - 10),
			collected{count: 50, since: t0, grown: at(lingerMost - 10)}, false, 10},
		{"a full batch leaves", asItComes, t0, collected{count: 100, full: true, since: t0, grown: t0}, true, 0},
		{"the end of the bundle sends", asItComes, t0, collected{count: 50, ending: true, since: t0, grown: t0}, true, 0},
		{"an interval holds even the first element", everySecond, at(400 * time.Millisecond),
			collected{count: 1, idle: true, since: t0}, false, 600 * time.Millisecond},
		{"an interval that is over sends", everySecond, at(time.Second), collected{count: 1, since: t0}, true, 0},
		{"a full batch does not wait for the interval", everySecond, t0, collected{count: 100, full: true, since: t0}, true, 0},
		{"nothing leaves before the bundle ends", atEnd, at(time.Hour), collected{count: 1, idle: true, since: t0}, false, forever},
		{"everything leaves when the bundle ends", atEnd, t0, collected{count: 1, ending: true, since: t0}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			send, wait := c.opts.decide(c.now, c.c)
			if send != c.send || wait != c.wait {
				t.Errorf("decide = %v, %v; want %v, %v", send, wait, c.send, c.wait)
			}
		})
	}
}

func TestFitsByCountAndBytes(t *testing.T) {
	opts := BatchOptions{MaxCount: 3, MaxBytes: 100}
	for _, c := range []struct {
		name               string
		count, bytes, size int
		want               bool
	}{
		{"an empty batch takes an element of any size", 0, 0, 1 << 30, true},
		{"up to the last byte", 2, 90, 10, true},
		{"not a byte more", 2, 90, 11, false},
		{"not an element more", 3, 0, 0, false},
	} {
		if got := opts.fits(c.count, c.bytes, c.size); got != c.want {
			t.Errorf("%s: fits = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestBatchOptionsReportEveryMistake(t *testing.T) {
	err := BatchOptions{MaxCount: -1, MaxBytes: -1, Interval: -1, Deadline: -1}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{"MaxCount", "MaxBytes", "Interval", "Deadline"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error does not name %s: %v", name, err)
		}
	}
	if err := (BatchOptions{Interval: 1, AtBundleEnd: true}).Validate(); err == nil {
		t.Error("Interval together with AtBundleEnd is accepted")
	}
	if err := (BatchOptions{}).Validate(); err != nil {
		t.Errorf("the zero value is refused: %v", err)
	}
}
