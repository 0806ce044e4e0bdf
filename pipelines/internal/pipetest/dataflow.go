package pipetest

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const stagingBucket = "bucket"

// storage stands in for Google's, which the translation asks about the staging
// bucket, and returns what it was asked for.
func storage(t *testing.T) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.Method+" "+r.URL.Path)
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Compact(slices.Clone(paths))
	}
}

// DryRunDataflow has binary translate its pipeline for Dataflow, without a network:
// whatever is not the storage above goes to a proxy that does not exist. It
// returns what was logged; see [Logged].
func DryRunDataflow(t *testing.T, binary string, env []string, args ...string) (log string) {
	t.Helper()
	url, asked := storage(t)
	env = append([]string{"HOME=" + t.TempDir(), "STORAGE_EMULATOR_HOST=" + url,
		"HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1", "NO_PROXY=127.0.0.1", "GOOGLE_APPLICATION_CREDENTIALS=", "GOOGLE_CLOUD_PROJECT="}, env...)
	got := Run(t, binary, env, append(args, "--runner", "dataflow", "--dry_run", "--project", "project", "--region", "europe-west1",
		"--staging_location", "gs://"+stagingBucket+"/staging", "--verbose")...)
	if got.Status != 0 {
		t.Fatalf("status %d: %s", got.Status, got.Stderr)
	}
	if diff := cmp.Diff([]string{"GET /storage/v1/b/" + stagingBucket}, asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	return got.Stdout + got.Stderr
}

// Logged returns the message of the log that begins as given.
func Logged(t *testing.T, log, begin string) string {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)msg=("(?:[^"\\]|\\.)*")`).FindAllStringSubmatch(log, -1) {
		if text, err := strconv.Unquote(m[1]); err == nil && strings.HasPrefix(text, begin) {
			return text
		}
	}
	t.Fatalf("no message begins with %q:\n%s", begin, log)
	return ""
}
