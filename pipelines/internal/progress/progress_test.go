package progress

import (
	"bytes"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestLinesSayHowFarTheWorkIs(t *testing.T) {
	var out bytes.Buffer
	line(&out, "copying", 100_000, 51_234)
	if got, want := out.String(), "copying: 51,234 of 100,000 (51 %)\n"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}

func TestABufferIsNoTerminal(t *testing.T) {
	if IsTerminal(&bytes.Buffer{}) {
		t.Error("a buffer passes for a terminal")
	}
}

func TestTheBarFitsAnOldTerminal(t *testing.T) {
	var out bytes.Buffer
	bar := newBar(&out, "copying to orders-copy:0-3", 100_000)
	if err := bar.Set64(50_000); err != nil {
		t.Fatal(err)
	}
	frames := strings.Split(strings.ReplaceAll(out.String(), "\x1b[0K", ""), "\r")
	shown := strings.TrimSpace(frames[len(frames)-1])
	if !strings.Contains(shown, "50%") || !strings.Contains(shown, "50000/100000") {
		t.Errorf("bar %q does not say how far the work is", shown)
	}
	const rate = len(", 1000000 entries/s)") // in a test it is beyond reason
	upToCount, _, _ := strings.Cut(shown, ",")
	if n := len([]rune(upToCount)) + rate; n >= 80 {
		t.Errorf("bar of %d columns: %q", n, shown)
	}
}

func TestNothingIsAskedAfterTheEnd(t *testing.T) {
	var asked, after atomic.Int64
	stop := every(time.Millisecond, func() { asked.Add(1) })
	for deadline := time.Now().Add(time.Minute); asked.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("not asked within 5 s")
		}
	}
	stop()
	after.Store(asked.Load())
	for until := time.Now().Add(20 * time.Millisecond); time.Now().Before(until); {
		if asked.Load() != after.Load() {
			t.Fatal("asked after the end")
		}
	}
}

func TestThousandsAreSetApart(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 123_456: "123,456", 1_234_567: "1,234,567", -1234: "-1,234", -123: "-123",
		math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestRatesAreInWords(t *testing.T) {
	if got, want := Rate(100_000, 2500*time.Millisecond), "100,000 entries in 2.5 s, 40,000/s"; got != want {
		t.Errorf("Rate = %q, want %q", got, want)
	}
	if got, want := Rate(0, 0), "0 entries in 0.0 s, 0/s"; got != want {
		t.Errorf("Rate = %q, want %q", got, want)
	}
}
