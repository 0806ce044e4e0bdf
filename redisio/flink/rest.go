package flink

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// restClient asks Flink's REST interface what the job server does not tell.
type restClient struct {
	base   string
	http   http.Client
	before map[string]bool // IDs of jobs that were there before
}

func newRESTClient(base string) *restClient {
	return &restClient{base: base, http: http.Client{Timeout: 5 * time.Second}}
}

// overview is what the cluster has.
type overview struct {
	TaskManagers   int `json:"taskmanagers"`
	SlotsTotal     int `json:"slots-total"`
	SlotsAvailable int `json:"slots-available"`
}

func (c *restClient) overview(ctx context.Context) (o overview, err error) {
	err = c.get(ctx, "/overview", &o)
	return o, err
}

// flinkJob is a job as Flink lists it.
type flinkJob struct {
	ID    string `json:"jid"`
	Name  string `json:"name"`
	State string `json:"state"`
	Start int64  `json:"start-time"` // ms since the Unix epoch
	Tasks struct {
		Total       int `json:"total"`
		Running     int `json:"running"`
		Finished    int `json:"finished"`
		Created     int `json:"created"`
		Scheduled   int `json:"scheduled"`
		Initialized int `json:"initializing"`
	} `json:"tasks"`
}

// ended reports whether the job is over.
func (j flinkJob) ended() bool {
	switch j.State {
	case "FINISHED", "FAILED", "CANCELED":
		return true
	}
	return false
}

// runs reports whether every task of the job does its work.
func (j flinkJob) runs() bool {
	return j.State == "RUNNING" && j.Tasks.Total > 0 && j.Tasks.Running+j.Tasks.Finished == j.Tasks.Total
}

func (c *restClient) jobs(ctx context.Context) ([]flinkJob, error) {
	var list struct {
		Jobs []flinkJob `json:"jobs"`
	}
	err := c.get(ctx, "/jobs/overview", &list)
	return list.Jobs, err
}

// passOver makes job leave out the jobs of now, which may have the same name. If
// Flink does not answer, there is nothing to be mistaken for the job either.
func (c *restClient) passOver(ctx context.Context) {
	jobs, _ := c.jobs(ctx)
	c.before = map[string]bool{}
	for _, j := range jobs {
		c.before[j.ID] = true
	}
}

// job returns the latest job of that name; ok is false if there is none.
func (c *restClient) job(ctx context.Context, name string) (job flinkJob, ok bool, err error) {
	jobs, err := c.jobs(ctx)
	for _, j := range jobs {
		if j.Name == name && !c.before[j.ID] && (!ok || j.Start >= job.Start) {
			job, ok = j, true
		}
	}
	return job, ok, err
}

// failure is why the job failed or restarted last; empty if it did not.
func (c *restClient) failure(ctx context.Context, jobID string) string {
	var history struct {
		Root string `json:"root-exception"`
	}
	if c.get(ctx, "/jobs/"+jobID+"/exceptions?maxExceptions=1", &history) != nil {
		return ""
	}
	return rootCauses(history.Root)
}

// cancel asks Flink itself to cancel the job.
func (c *restClient) cancel(ctx context.Context, jobID string) error {
	return c.do(ctx, http.MethodPatch, "/jobs/"+jobID+"?mode=cancel", nil)
}

func (c *restClient) get(ctx context.Context, path string, into any) error {
	return c.do(ctx, http.MethodGet, path, into)
}

func (c *restClient) do(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking Flink's REST at %s: %w", c.base, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking Flink's REST at %s: %w", c.base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // the status says enough
		return fmt.Errorf("asking Flink's REST at %s: %s: %s", c.base, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("asking REST at %s for %s gave no JSON (is it Flink?): %w", c.base, path, err)
	}
	return nil
}

// rootCauses reduces a Java stack trace to its exceptions, outermost first,
// without the names of their classes and without repetitions.
func rootCauses(trace string) string {
	var causes []string
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "at ") || strings.HasPrefix(line, "... ") || strings.HasPrefix(line, "Suppressed: ") {
			continue
		}
		text := withoutClass(strings.TrimPrefix(line, "Caused by: "))
		if text != "" && !contains(causes, text) {
			causes = append(causes, text)
		}
	}
	return strings.Join(causes, ": ")
}

// withoutClass cuts names such as java.io.IOException off the front of text.
func withoutClass(text string) string {
	for {
		name, rest, _ := strings.Cut(text, ": ")
		if strings.ContainsAny(name, " /\"'") || !strings.Contains(name, ".") {
			return text
		}
		text = rest
	}
}

func contains(causes []string, text string) bool {
	for _, c := range causes {
		if strings.Contains(c, text) {
			return true
		}
	}
	return false
}
