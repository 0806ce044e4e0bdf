package cli

import (
	"fmt"
	"strings"
)

// OfFlag puts the name of a flag before what is wrong with its value; nil stays
// nil.
func OfFlag(name string, err error) error {
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "conn: ")
	return fmt.Errorf("%s: %s", name, strings.TrimPrefix(text, "Redis URL: "))
}

// NotEmpty refuses an empty value of the flag name, which is to hold want.
func NotEmpty(name, value, want string) error {
	if value == "" {
		return fmt.Errorf("%s is empty: want %s", name, want)
	}
	return nil
}

// Positive refuses a value of the flag name below 1.
func Positive(name string, n int) error {
	if n < 1 {
		return fmt.Errorf("%s is %d: want at least 1", name, n)
	}
	return nil
}

// OtherTopic refuses a --sink that is the --source.
func OtherTopic(source, sink string) error {
	if source == sink && source != "" {
		return fmt.Errorf("--source and --sink are both %q: the copy would read what it writes, without end", source)
	}
	return nil
}
