package sdf

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
)

// warnEvery is how often the same kind of warning is logged for a partition.
const warnEvery = 10 * time.Second

// warner logs warnings about one partition without repeating itself.
type warner struct {
	last map[string]time.Time
	held map[string]int
}

func (w *warner) warnf(ctx context.Context, kind, format string, args ...any) {
	if w.last == nil {
		w.last, w.held = map[string]time.Time{}, map[string]int{}
	}
	if time.Since(w.last[kind]) < warnEvery {
		w.held[kind]++
		return
	}
	text := fmt.Sprintf(format, args...)
	if n := w.held[kind]; n > 0 {
		text = fmt.Sprintf("%s (and %d more like it)", text, n)
	}
	w.last[kind], w.held[kind] = time.Now(), 0
	log.Warn(ctx, text)
}
