package conn_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/conn"
)

func ExampleParseURL() {
	c, err := conn.ParseURL("rediss://app@redis.example.com/2?password_env=REDIS_PASSWORD")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c)
	// Output: rediss://app@redis.example.com:6379/2?password_env=REDIS_PASSWORD
}

func TestParseURLReadsEveryPart(t *testing.T) {
	for raw, want := range map[string]conn.Config{
		"redis://":                             {Addr: "localhost:6379"},
		"redis:///3":                           {Addr: "localhost:6379", DB: 3},
		"redis://h":                            {Addr: "h:6379"},
		"redis://h/":                           {Addr: "h:6379"},
		"redis://:7000":                        {Addr: "localhost:7000"},
		"REDISS://h:1/15":                      {Addr: "h:1", TLS: true, DB: 15},
		"redis://app@10.0.0.1:65535":           {Addr: "10.0.0.1:65535", Username: "app"},
		"redis://a%40b%3A@h":                   {Addr: "h:6379", Username: "a@b:"},
		"redis://app:@h":                       {Addr: "h:6379", Username: "app"},
		"redis://[::1]":                        {Addr: "[::1]:6379"},
		"redis://[fe80::1]:7":                  {Addr: "[fe80::1]:7"},
		"redis://h?password_env=PW":            {Addr: "h:6379", PasswordEnv: "PW"},
		"redis://h:1/0?password_file=/run/a@b": {Addr: "h:1", PasswordFile: "/run/a@b"},
		"redis-cluster://a:7000,b,[::1]:1":     {Mode: conn.Cluster, Addr: "a:7000,b:6379,[::1]:1"},
		"Rediss-Cluster://":                    {Mode: conn.Cluster, TLS: true, Addr: "localhost:6379"},
		"redis-cluster://app@a/0":              {Mode: conn.Cluster, Addr: "a:6379", Username: "app"},
		"redis-sentinel://a,b:1/my%20main":     {Mode: conn.Sentinel, Addr: "a:26379,b:1", MasterName: "my main"},
		"rediss-sentinel://app@/main/2":        {Mode: conn.Sentinel, TLS: true, Addr: "localhost:26379", MasterName: "main", DB: 2, Username: "app"},
		"redis-sentinel://h/m?sentinel_user=s&sentinel_password_env=S&credentials=aws": {
			Mode: conn.Sentinel, Addr: "h:26379", MasterName: "m", SentinelUsername: "s", SentinelPasswordEnv: "S", Credentials: "aws"},
		"rediss://h?tls_ca=/ca&tls_cert=/crt&tls_key=/k@y&tls_server_name=n&tls_insecure_skip_verify=true": {
			Addr: "h:6379", TLS: true, TLSCA: "/ca", TLSCert: "/crt", TLSKey: "/k@y", TLSServerName: "n", TLSInsecureSkipVerify: true},
		"redis://h?client_name=me&protocol=2&read_from_replicas=1&pool_size=3": {
			Addr: "h:6379", ClientName: "me", Protocol: 2, ReadFromReplicas: true, PoolSize: 3},
		"redis://h?dial_timeout=1s&read_timeout=2s&write_timeout=3s&retry_timeout=4s&retry_min=5ms&retry_max=6ms": {
			Addr: "h:6379", DialTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
			RetryTimeout: 4 * time.Second, RetryMin: 5 * time.Millisecond, RetryMax: 6 * time.Millisecond},
		"redis://h/1?password_file=%2Frun%2Fpw": {Addr: "h:6379", DB: 1, PasswordFile: "/run/pw"},
	} {
		got, err := conn.ParseURL(raw)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", raw, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseURL(%q) (-want +got):\n%s", raw, diff)
		}
	}
}

func TestParseURLNamesWhatIsWrong(t *testing.T) {
	const refusal = "conn: Redis URL: it holds a password, which would travel with the job: take it out and name where the workers find it, " +
		"password_env=NAME or password_file=PATH (or allow it with AllowPasswordToTravel)"
	const at = "conn: Redis URL: there is an @ in an unexpected place: write the special characters of a user as %XX, and leave a password out"
	for raw, want := range map[string]string{
		"":                              "conn: Redis URL: it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://",
		"localhost:6379":                "conn: Redis URL: it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://",
		"u:s3cr3t@h://x":                "conn: Redis URL: it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://",
		"http://h":                      "conn: Redis URL: scheme http is not supported, want redis or rediss, followed by -cluster or -sentinel for these",
		"redis+sentinel://h":            "conn: Redis URL: scheme redis+sentinel is not supported, want redis or rediss, followed by -cluster or -sentinel for these",
		"redis://h:x":                   "conn: Redis URL: the port is not a number from 1 to 65535",
		"redis://h:":                    "conn: Redis URL: the port is not a number from 1 to 65535",
		"redis://h:0":                   "conn: Redis URL: the port is not a number from 1 to 65535",
		"redis://h:65536":               "conn: Redis URL: the port is not a number from 1 to 65535",
		"redis://u:s3cr3t":              "conn: Redis URL: the port is not a number from 1 to 65535",
		"redis://a:1,b:2":               "conn: Redis URL: several hosts are for a cluster (redis-cluster://) or sentinels (redis-sentinel://)",
		"redis-cluster://a:x,b":         "conn: Redis URL: the port is not a number from 1 to 65535",
		"redis-cluster://a,b c":         "conn: Redis URL: the host is not a host name or IP address (an IPv6 address needs brackets)",
		"redis-cluster://h/1":           "conn: Redis URL: a cluster has database 0 only, not 1: leave it out",
		"redis-sentinel://h":            "conn: Redis URL: it does not name the primary as its sentinels do: want redis-sentinel://host:port/NAME",
		"redis-sentinel://h/main/x":     `conn: Redis URL: database "x" is not a number from 0`,
		"redis-ring://h":                "conn: Redis URL: scheme redis-ring is not supported, want redis or rediss, followed by -cluster or -sentinel for these",
		"redis-://h":                    "conn: Redis URL: scheme redis- is not supported, want redis or rediss, followed by -cluster or -sentinel for these",
		"redis-cluster://u:s3cr3t@a,b":  refusal,
		"redis-sentinel://u:s/3@a/m":    at,
		"redis://h?pool_size=many":      "conn: Redis URL: parameter pool_size is not a number",
		"redis://h?read_timeout=5":      "conn: Redis URL: parameter read_timeout is not a time such as 500ms or 5s",
		"redis://h?read_from_replicas=": "conn: Redis URL: parameter read_from_replicas is neither true nor false",
		"redis://::1":                   "conn: Redis URL: the host is not a host name or IP address (an IPv6 address needs brackets)",
		"redis://a b":                   "conn: Redis URL: the host is not a host name or IP address (an IPv6 address needs brackets)",
		"redis://h#x":                   "conn: Redis URL: the host is not a host name or IP address (an IPv6 address needs brackets)",
		"redis://[h]":                   "conn: Redis URL: the host in brackets is not an IPv6 address",
		"redis://[::1":                  "conn: Redis URL: the host in brackets is not an IPv6 address",
		"redis://h/x":                   `conn: Redis URL: database "x" is not a number from 0`,
		"redis://h/-1":                  `conn: Redis URL: database "-1" is not a number from 0`,
		"redis://h/1/2":                 `conn: Redis URL: database "1/2" is not a number from 0`,
		"redis://h?db=1": `conn: Redis URL: parameter "db" is unknown, want one of client_name, credentials, dial_timeout, password_env, password_file, pool_size, ` +
			"protocol, read_from_replicas, read_timeout, retry_max, retry_min, retry_timeout, sentinel_password_env, sentinel_password_file, sentinel_user, " +
			"tls_ca, tls_cert, tls_insecure_skip_verify, tls_key, tls_server_name, write_timeout",
		"redis://h?password_env":                   "conn: Redis URL: parameter password_env has no usable value",
		"redis://h?password_env=A%00":              "conn: Redis URL: parameter password_env has no usable value",
		"redis://h?%zz":                            "conn: Redis URL: what follows the ? is not well formed, want name=value pairs joined by &",
		"redis://%zz@h":                            "conn: Redis URL: user or password holds a % that is not followed by two hexadecimal digits, write it as %25",
		"redis://u:s3cr3t@h":                       refusal,
		"redis://:s3cr3t@h":                        refusal,
		"redis://u:s3/cr3t@h:1":                    at,
		"redis://u:s3?cr3t@h":                      at,
		"redis://u:s3?x=cr3t@h":                    at,
		"redis://u:1?x=cr3t@h":                     at,
		"redis://u:s3?password_env=x@h":            at,
		"redis://h?password=s3cr3t":                refusal,
		"redis://h?password_env=A&password_env=B":  "conn: Redis URL: parameter password_env is given 2 times",
		"redis://h?password_env=A&password_file=B": "conn: Redis URL: give the password once: by environment variable (password_env), by file (password_file), by registered credentials (credentials) or literally",
	} {
		_, err := conn.ParseURL(raw)
		if err == nil {
			t.Errorf("ParseURL(%q) succeeded", raw)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("ParseURL(%q) (-want +got):\n%s", raw, diff)
		}
	}
}

func TestPasswordTravelsOnlyWhenAllowed(t *testing.T) {
	const raw = "redis://app:s3%2Fcr3t@h"
	if _, err := conn.ParseURL(raw); err == nil {
		t.Error("a literal password was accepted without being allowed")
	}
	c, err := conn.ParseURL(raw, conn.AllowPasswordToTravel())
	if err != nil {
		t.Fatal(err)
	}
	if c.Password != "s3/cr3t" || c.Username != "app" {
		t.Errorf("user %q, password %q; want app and the decoded password", c.Username, c.Password)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the password that may travel is refused: %v", err)
	}
	if _, err := conn.ParseURL(raw+"?password_env=X", conn.AllowPasswordToTravel()); err == nil {
		t.Error("two passwords were accepted")
	}
}

// FuzzParseURL checks that no input panics, that what is accepted is usable
// and survives JSON and its own text, and that a password never shows in an
// error, wherever its characters make the URL break.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{
		"redis://h:1/0?password_env=A", "rediss://u@[::1]:6379", "redis://", "http://x", "redis://h:x/%zz?%zz", "", "/", "?", "#", "@", "%", ":", "\n", "://",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := conn.ParseURL(text); err == nil {
			checkRoundTrip(t, c)
		}
		const secret = "s3cr3t"
		for _, raw := range []string{
			"redis://u:" + secret + text + "@h:1/0",
			"redis://u:" + text + secret + "@h:1/0",
			"redis://:" + secret + url.PathEscape(text) + "@h" + text,
		} {
			c, err := conn.ParseURL(raw)
			if err == nil {
				// "u:1?password_env=…@h" is a valid URL of another meaning.
				if c.PasswordEnv+c.PasswordFile == "" {
					t.Errorf("ParseURL(%q) accepted a literal password", raw)
				}
			} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
				t.Errorf("ParseURL(%q) repeats the password or breaks the line: %v", raw, err)
			}
			if c, err := conn.ParseURL(raw, conn.AllowPasswordToTravel()); err == nil {
				if strings.Contains(c.String()+fmt.Sprintf("%v %+v %#v", c, c, c)+c.Fingerprint(), secret) && c.Password != "" {
					t.Errorf("printing %q shows the password", raw)
				}
			} else if strings.Contains(err.Error(), secret) {
				t.Errorf("ParseURL(%q, allowed) repeats the password: %v", raw, err)
			}
		}
	})
}

func checkRoundTrip(t *testing.T, c conn.Config) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back conn.Config
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Addr != c.Addr || back.DB != c.DB || back.TLS != c.TLS {
		t.Errorf("JSON turned %v into %v", c, back)
	}
	if c.Username == "" {
		if err := c.Validate(); err != nil {
			t.Errorf("ParseURL accepted what Validate refuses: %v", err)
		}
	}
}
