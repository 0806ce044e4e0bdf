package redistest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/beamredis/redisio/conn"
)

// ours are the lines of CLIENT LIST about the connections of the code under
// test.
func (s *Server) ours(t testing.TB) (lines []string) {
	t.Helper()
	list, err := s.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(list) {
		if strings.Contains(line, " name="+conn.DefaultClientName+" ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Connections is how many connections the code under test has to the server.
func (s *Server) Connections(t testing.TB) int {
	t.Helper()
	return len(s.ours(t))
}

// CutConnections ends the connections of the code under test.
func (s *Server) CutConnections(t testing.TB) {
	t.Helper()
	for _, line := range s.ours(t) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
		_ = s.Client().ClientKillByFilter(t.Context(), "id", id).Err() // it may have ended by itself
	}
}

// ConnectionBounds is a row of the docs' table of connections.
type ConnectionBounds struct {
	Deployment                                string
	Partitions, Parallelism, Pool, Busy, Idle int
}

// DocumentedConnections reads the rows for a runner out of the file at path.
func DocumentedConnections(t testing.TB, path, runner string) (rows []ConnectionBounds) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		row, ok := strings.CutPrefix(line, "| "+runner+" | ")
		if !ok {
			continue
		}
		var b ConnectionBounds
		if _, err := fmt.Sscan(strings.ReplaceAll(row, "|", " "), &b.Deployment, &b.Partitions, &b.Parallelism, &b.Pool, &b.Busy, &b.Idle); err != nil {
			t.Fatalf("row %q: %v", line, err)
		}
		rows = append(rows, b)
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table of connections for %s", path, runner)
	}
	return rows
}
