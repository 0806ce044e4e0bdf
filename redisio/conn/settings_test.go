package conn

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// documented are the rows of the table of parameters: field and default, by
// name.
func documented(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| parameter | field | default | |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("there is no table of parameters")
	}
	rows := map[string][2]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			break
		}
		rows[strings.Trim(cells[1], " `")] = [2]string{strings.Trim(cells[2], " `"), strings.TrimSpace(cells[3])}
	}
	return rows
}

func TestTheDocsNameEveryParameter(t *testing.T) {
	rows := documented(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(params)), slices.Sorted(maps.Keys(rows))); diff != "" {
		t.Errorf("(-code +docs):\n%s", diff)
	}
}

func TestTheDocsNameFieldsAndDefaults(t *testing.T) {
	defaults := Config{}.WithDefaults()
	for name, row := range documented(t) {
		p, known := params[name]
		if !known || strings.HasPrefix(name, "retry_") && p.get(&defaults) != "" {
			t.Errorf("%s: no parameter, or one with a default that is not that of package rdb", name)
			continue
		}
		want := p.get(&defaults)
		if want == "" {
			want = "none"
		}
		if row[1] != want && !strings.HasPrefix(name, "retry_") {
			t.Errorf("%s: default %q, want %q", name, row[1], want)
		}
		if got := fieldOf(t, name); got != row[0] {
			t.Errorf("%s: field %q, want %q", name, row[0], got)
		}
	}
}

// fieldOf finds the field that a parameter sets.
func fieldOf(t *testing.T, name string) string {
	t.Helper()
	for _, text := range []string{"true", "7", "7s"} {
		var c Config
		if params[name].set(&c, text) != nil {
			continue
		}
		for i := range reflect.TypeFor[Config]().NumField() {
			if !reflect.ValueOf(c).Field(i).IsZero() {
				return reflect.TypeFor[Config]().Field(i).Name
			}
		}
	}
	t.Fatalf("%s takes nothing", name)
	return ""
}
