package redisio

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// seedSettings are those of the Redis Flink Connector, by what has them.
var seedSettings = map[string][]string{
	"Connection, of source and sinks": {"host", "port", "user", "password", "useTls", "mtlsParameters", "useClusterApi", "otelServiceName"},
	"Source":                          {"topicName", "numPartitions", "consumerGroup", "ackStrategy", "requireAck", "startingId", "errorStreamName", "failedDeserializationStreamName"},
	"Sinks": {"topicName", "numPartitions", "flushOnCheckpoint", "numMessagesToBuffer", "flushIntervalMillis", "errorStreamName",
		"failedSerializationStreamName", "traceConfiguration", "path", "ttlSeconds"},
}

func settingsDoc(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEverySettingOfTheFlinkConnectorIsInTheDocs, with what takes its place.
func TestEverySettingOfTheFlinkConnectorIsInTheDocs(t *testing.T) {
	doc := settingsDoc(t)
	for section, names := range seedSettings {
		_, text, found := strings.Cut(doc, "## "+section+"\n")
		if !found {
			t.Errorf("no section %q", section)
			continue
		}
		text, _, _ = strings.Cut(text, "\n## ")
		for _, name := range names {
			row := ""
			for line := range strings.Lines(text) {
				if cells := strings.Split(line, "|"); len(cells) == 7 && strings.Contains(cells[1], "`"+name+"`") {
					row = strings.TrimSpace(cells[3])
				}
			}
			if row == "" {
				t.Errorf("%s: setting %q has no row that says what takes its place", section, name)
			}
		}
	}
}

// exported are the names that the package has.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				names[n.Name.Name] = true
				return false
			case *ast.TypeSpec:
				names[n.Name.Name] = true
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names[name.Name] = true
				}
			}
			return true
		})
	}
	return names
}

var optionName = regexp.MustCompile("`((?:With|Start|Ack|NoAck|Decode|ParseURL|Write|Read)[A-Za-z]*)[`(]")

func TestEveryOptionInTheDocsExists(t *testing.T) {
	names := exported(t)
	found := optionName.FindAllStringSubmatch(settingsDoc(t), -1)
	for _, m := range found {
		if !names[m[1]] && m[1] != "ReadFromReplicas" && m[1] != "ReadTimeout" && m[1] != "WriteTimeout" { // fields of conn.Config
			t.Errorf("the docs name %s, which the package does not have", m[1])
		}
	}
	if len(found) < 20 {
		t.Errorf("%d names were found in the docs, want at least 20", len(found))
	}
}
