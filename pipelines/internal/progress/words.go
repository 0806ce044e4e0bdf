package progress

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate says in words how much was done in d, and how fast that was.
func Rate(n int64, d time.Duration) string {
	perSecond := float64(n) / max(d.Seconds(), 0.001)
	return fmt.Sprintf("%s entries in %.1f s, %s/s", Thousands(n), d.Seconds(), Thousands(int64(perSecond)))
}

// Thousands formats n with a comma after every three digits.
func Thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var sign string
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}
