package conn

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parameters of a URL that errors and messages name.
const (
	paramEnv          = "password_env"
	paramFile         = "password_file"
	paramSentinelEnv  = "sentinel_password_env"
	paramSentinelFile = "sentinel_password_file"
)

// param is one parameter of a URL: a field of the Config in text.
type param struct {
	get func(*Config) string
	set func(*Config, string) error
}

// params are all parameters by name.
var params = map[string]param{
	paramEnv:                   textParam(func(c *Config) *string { return &c.PasswordEnv }),
	paramFile:                  textParam(func(c *Config) *string { return &c.PasswordFile }),
	"credentials":              textParam(func(c *Config) *string { return &c.Credentials }),
	"sentinel_user":            textParam(func(c *Config) *string { return &c.SentinelUsername }),
	paramSentinelEnv:           textParam(func(c *Config) *string { return &c.SentinelPasswordEnv }),
	paramSentinelFile:          textParam(func(c *Config) *string { return &c.SentinelPasswordFile }),
	"tls_ca":                   textParam(func(c *Config) *string { return &c.TLSCA }),
	"tls_cert":                 textParam(func(c *Config) *string { return &c.TLSCert }),
	"tls_key":                  textParam(func(c *Config) *string { return &c.TLSKey }),
	"tls_server_name":          textParam(func(c *Config) *string { return &c.TLSServerName }),
	"tls_insecure_skip_verify": boolParam(func(c *Config) *bool { return &c.TLSInsecureSkipVerify }),
	"client_name":              textParam(func(c *Config) *string { return &c.ClientName }),
	"protocol":                 intParam(func(c *Config) *int { return &c.Protocol }),
	"read_from_replicas":       boolParam(func(c *Config) *bool { return &c.ReadFromReplicas }),
	"pool_size":                intParam(func(c *Config) *int { return &c.PoolSize }),
	"dial_timeout":             durationParam(func(c *Config) *time.Duration { return &c.DialTimeout }),
	"read_timeout":             durationParam(func(c *Config) *time.Duration { return &c.ReadTimeout }),
	"write_timeout":            durationParam(func(c *Config) *time.Duration { return &c.WriteTimeout }),
	"retry_timeout":            durationParam(func(c *Config) *time.Duration { return &c.RetryTimeout }),
	"retry_min":                durationParam(func(c *Config) *time.Duration { return &c.RetryMin }),
	"retry_max":                durationParam(func(c *Config) *time.Duration { return &c.RetryMax }),
}

func textParam(field func(*Config) *string) param {
	return param{
		get: func(c *Config) string { return *field(c) },
		set: func(c *Config, text string) error {
			if text == "" || strings.ContainsRune(text, 0) {
				return errors.New("has no usable value")
			}
			*field(c) = text
			return nil
		},
	}
}

func boolParam(field func(*Config) *bool) param {
	return param{
		get: func(c *Config) string {
			if *field(c) {
				return "true"
			}
			return ""
		},
		set: func(c *Config, text string) (err error) {
			if *field(c), err = strconv.ParseBool(text); err != nil {
				return errors.New("is neither true nor false")
			}
			return nil
		},
	}
}

func intParam(field func(*Config) *int) param {
	return param{
		get: func(c *Config) string {
			if *field(c) == 0 {
				return ""
			}
			return strconv.Itoa(*field(c))
		},
		set: func(c *Config, text string) (err error) {
			if *field(c), err = strconv.Atoi(text); err != nil {
				return errors.New("is not a number")
			}
			return nil
		},
	}
}

func durationParam(field func(*Config) *time.Duration) param {
	return param{
		get: func(c *Config) string {
			if *field(c) == 0 {
				return ""
			}
			return field(c).String()
		},
		set: func(c *Config, text string) (err error) {
			if *field(c), err = time.ParseDuration(text); err != nil {
				return errors.New("is not a time such as 500ms or 5s")
			}
			return nil
		},
	}
}

func parseQuery(query string, c *Config) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what follows the ? is not well formed, want name=value pairs joined by &")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := c.setParameter(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}

// setParameter does not repeat values: one of them may be a misplaced secret.
func (c *Config) setParameter(name string, values []string) error {
	p, known := params[name]
	switch {
	case name == "password":
		return errors.New(refusal)
	case !known:
		return fmt.Errorf("parameter %q is unknown, want one of %s", name, strings.Join(slices.Sorted(maps.Keys(params)), ", "))
	case len(values) != 1:
		return fmt.Errorf("parameter %s is given %d times", name, len(values))
	}
	if err := p.set(c, values[0]); err != nil {
		return fmt.Errorf("parameter %s %w", name, err)
	}
	return nil
}

// params returns the query of c's URL: what differs from the zero value, in
// the order of the names.
func (c Config) params() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if text := params[name].get(&c); text != "" {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			// A path reads better as it is.
			b.WriteString(name + "=" + strings.ReplaceAll(url.QueryEscape(text), "%2F", "/"))
		}
	}
	return b.String()
}

// hasKnownParameter reports whether query begins with a parameter.
func hasKnownParameter(query string) bool {
	name, _, _ := strings.Cut(query, "=")
	_, known := params[name]
	return known
}
