package flink_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// TestMistakesAreToldWithinAMinute: Flink itself would try for ever. The time
// counts from when Flink has the job: until then it is the upload of the job
// server's own jars.
func TestMistakesAreToldWithinAMinute(t *testing.T) {
	c := flink(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		parallelism int
		flags       map[string]string
		want        string
	}{
		{"no slots", 9, nil, "the job needs 9, and there are 4"},
		{"no boot program", 1, map[string]string{"environment_type": "PROCESS", "environment_config": `{"command":"/no/boot"}`}, "/no/boot"},
		{"no savepoint", 1, map[string]string{"savepoint_path": "file:///no/savepoint"}, "/no/savepoint"},
		{"checkpoints cannot be written", 1, map[string]string{"state_backend": "filesystem", "state_backend_storage_path": "file://" + file + "/below"}, file},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startRedis(t)
			j := newJob(c, s.Config(), redisio.Topic{Name: "in", Partitions: 2}, tt.parallelism)
			for name, value := range tt.flags {
				j.flags[name] = value
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			begun := time.Now()
			err := j.run(ctx)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that tells of %s", err, tt.want)
			}
			took := time.Since(begun).Round(time.Second)
			if took > 90*time.Second {
				t.Errorf("it took %v", took)
			}
			t.Logf("after %v: %v", took, err)
			eventually(t, "Flink is rid of the job", func() bool { return c.idle(t.Context()) })
		})
	}
}

// idle reports whether no job holds slots.
func (c *cluster) idle(ctx context.Context) bool {
	var o struct {
		Total     int `json:"slots-total"`
		Available int `json:"slots-available"`
	}
	return c.get(ctx, "/overview", &o) == nil && o.Total == o.Available
}
