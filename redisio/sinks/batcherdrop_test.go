package sinks

import (
	"errors"
	"slices"
	"testing"
)

func TestWhatIsDroppedWithItsBundleIsToldOf(t *testing.T) {
	failure := errors.New("failure")
	for name, tt := range map[string]struct {
		opts BatchOptions
		fail func(*batcher[int], *recorder)
		want []int
	}{
		"collected behind a batch that failed": {BatchOptions{}, func(b *batcher[int], r *recorder) {
			addAll(t, b, []int{0}, 1)
			await(t, "the first is under way", func() bool { return r.count() == 1 })
			addAll(t, b, []int{1, 2}, 1)
			r.gate <- failure
			if err := b.Finish(t.Context()); !errors.Is(err, failure) {
				t.Errorf("Finish: %v", err)
			}
		}, []int{1, 2}},
		"added after it": {BatchOptions{}, func(b *batcher[int], r *recorder) {
			addAll(t, b, []int{0}, 1)
			r.gate <- failure
			await(t, "the failure is known", func() bool { return b.Add(1, 1) != nil })
		}, nil}, // as many as were tried
		"of later batches at the bundle's end": {BatchOptions{AtBundleEnd: true, MaxCount: 2}, func(b *batcher[int], r *recorder) {
			addAll(t, b, []int{0, 1, 2, 3, 4}, 1)
			go func() { r.gate <- failure }()
			if err := b.Finish(t.Context()); !errors.Is(err, failure) {
				t.Errorf("Finish: %v", err)
			}
		}, []int{2, 3, 4}},
		"of a bundle that failed elsewhere": {BatchOptions{AtBundleEnd: true}, func(b *batcher[int], _ *recorder) {
			addAll(t, b, []int{0, 1}, 1)
			b.Stop()
		}, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{gate: make(chan error)}
			b := started(t, tt.opts, r)
			var lost []int
			b.lose = func(items []int, attempts int, err error) {
				if attempts != 0 || err == nil {
					t.Errorf("%v: %d attempts, error %v", items, attempts, err)
				}
				lost = append(lost, items...)
			}
			tt.fail(b, r)
			b.Stop()
			if tt.want != nil && !slices.Equal(lost, tt.want) || len(lost) == 0 {
				t.Errorf("it told of %v, want %v", lost, tt.want)
			}
		})
	}
}
