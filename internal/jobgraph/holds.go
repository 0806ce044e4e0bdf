// Package jobgraph looks into serialized pipelines, for tests.
package jobgraph

import (
	"encoding/base64"
	"regexp"
	"strings"
)

var base64Run = regexp.MustCompile(`[A-Za-z0-9+/]{12,}={0,2}`)

// Holds reports whether text has what in it, also within base64, as functions
// are encoded, at any depth.
func Holds(text, what string) bool {
	if strings.Contains(text, what) {
		return true
	}
	for _, run := range base64Run.FindAllString(text, -1) {
		run = strings.TrimRight(run, "=")
		// A run may begin with characters that do not belong to it.
		for skip := range 4 {
			cut := run[skip:]
			inner, err := base64.RawStdEncoding.DecodeString(cut[:len(cut)/4*4])
			if err == nil && Holds(string(inner), what) {
				return true
			}
		}
	}
	return false
}
