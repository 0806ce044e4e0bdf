package rdb

import "strings"

// ErrorCode is the first word of the server's error reply in err, such as
// WRONGTYPE; empty if it holds none.
func ErrorCode(err error) string {
	text, ok := reply(err)
	if !ok {
		return ""
	}
	code, _, _ := strings.Cut(strings.TrimPrefix(text, abortReason), " ")
	if code == "" || strings.ContainsFunc(code, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		return "ERR" // RedisJSON's replies may lack the word
	}
	return code
}
