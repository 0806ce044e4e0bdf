package conn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/beamredis/redisio/conn"
)

func TestValidateReportsEveryMistakeByItsField(t *testing.T) {
	c := conn.Config{Addr: "h", Username: "app", DB: -1, PoolSize: -2, DialTimeout: -1, ReadTimeout: -1, WriteTimeout: -1}
	err := c.Validate()
	if err == nil {
		t.Fatal("Validate accepted it")
	}
	for _, want := range []string{"Addr", `user "app" has no password`, "DB is -1", "PoolSize is -2", "DialTimeout", "ReadTimeout", "WriteTimeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	two := conn.Config{PasswordEnv: "A", PasswordFile: "b"}
	if two.Validate() == nil {
		t.Error("two sources of the password were accepted")
	}
}

func TestValidateRefusesWhatContradictsItself(t *testing.T) {
	for want, c := range map[string]conn.Config{
		"lists several servers":                     {Addr: "a:1,b:2"},
		`Mode "ring" is unknown`:                    {Mode: "ring"},
		"a cluster has database 0 only":             {Mode: conn.Cluster, DB: 1},
		"MasterName is empty":                       {Mode: conn.Sentinel},
		"for clusters and sentinels, which know":    {ReadFromReplicas: true},
		`MasterName "m" is given`:                   {MasterName: "m"},
		"no sentinel (redis-sentinel://)":           {SentinelPasswordEnv: "A"},
		`user "s" of the sentinels has no password`: {Mode: conn.Sentinel, MasterName: "m", SentinelUsername: "s"},
		"give the sentinels' password once":         {Mode: conn.Sentinel, MasterName: "m", SentinelPasswordEnv: "A", SentinelPasswordFile: "b"},
		"does not ask for it: use rediss://":        {TLSCA: "/ca"},
		"and its key (tls_key)":                     {TLS: true, TLSCert: "/crt"},
		"tls_insecure_skip_verify accepts":          {TLS: true, TLSCA: "/ca", TLSInsecureSkipVerify: true},
		`ClientName "a b" has spaces`:               {ClientName: "a b"},
		"Protocol is 4":                             {Protocol: 4},
		"RetryMax is 1ms, want at least 1s":         {RetryMin: time.Second, RetryMax: time.Millisecond},
		"which name a user of their own":            {Username: "app", Credentials: "x"},
		"give the password once":                    {Credentials: "x", PasswordEnv: "A"},
		"or allow it with PasswordMayTravel":        {Username: "app", Password: "s3cr3t"},
	} {
		err := c.Validate()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%#v: error %v, want one that says %q", c, err, want)
		}
	}
}

func TestStringIsTheURLOfTheConfig(t *testing.T) {
	for _, raw := range []string{
		"redis://default@localhost:6379/0",
		"rediss://app@h:1/3?dial_timeout=2s&password_file=/run/pw&tls_ca=/etc/ca.pem",
		"redis-cluster://default@a:1,b:2?pool_size=4&read_from_replicas=true",
		"rediss-sentinel://default@a:1,[::1]:2/main/1?sentinel_password_env=S&tls_server_name=r%26b",
	} {
		c, err := conn.ParseURL(raw)
		if err != nil {
			t.Errorf("ParseURL(%q): %v", raw, err)
		} else if got := c.String(); got != raw {
			t.Errorf("%q prints as %q", raw, got)
		}
	}
}

func TestRegisteredCredentialsAreFetchedEveryTime(t *testing.T) {
	n, name := 0, t.Name()+time.Now().String() // a name can be registered once
	conn.RegisterCredentials(name, func(context.Context) (conn.Credentials, error) {
		n++
		return conn.Credentials{Password: fmt.Sprint("token", n)}, nil
	})
	c := conn.Config{Credentials: name}
	for _, want := range []string{"token1", "token2"} {
		user, got, err := c.Resolve(t.Context())
		if err != nil || user != "default" || got != want {
			t.Errorf("Resolve = %q, %q, %v; want default and %s", user, got, err, want)
		}
	}
}

var errSealed = errors.New("the vault is sealed")

// registerUnusable registers sources that give nothing good, once.
var registerUnusable = sync.OnceFunc(func() {
	for name, got := range map[string]conn.Credentials{"empty": {}, "expired": {Password: "s3cr3t", ExpiresAt: time.Unix(1, 0)}, "failing": {Password: "s3cr3t"}} {
		conn.RegisterCredentials(name, func(context.Context) (conn.Credentials, error) {
			if name == "failing" {
				return got, errSealed
			}
			return got, nil
		})
	}
})

func TestCredentialsThatCannotBeUsedNameThemselves(t *testing.T) {
	registerUnusable()
	for name, want := range map[string]string{
		"unknown": "not registered on this worker", "empty": "no password", "expired": "expired at 1970-01-01T", "failing": "the vault is sealed",
	} {
		_, password, err := conn.Config{Credentials: name}.Resolve(t.Context())
		if err == nil || password != "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%s: password %q, error %v; want one that says %q", name, password, err, want)
		}
	}
	if _, _, err := (conn.Config{Credentials: "failing"}).Resolve(t.Context()); !errors.Is(err, errSealed) {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestCredentialsPrintWithoutTheSecret(t *testing.T) {
	c := conn.Credentials{Username: "app", Password: "s3cr3t"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("login", "as", c)
	if text := fmt.Sprintf("%v %+v %#v %s", c, &c, c, log.String()); strings.Contains(text, "s3cr3t") {
		t.Errorf("printed as %q", text)
	}
}

func TestZeroConfigIsValid(t *testing.T) {
	if err := (conn.Config{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestFingerprintFollowsMeaningNotSpelling(t *testing.T) {
	plain := conn.Config{}.Fingerprint()
	if got := (conn.Config{Addr: "localhost:6379", Username: "default", PoolSize: 16, ReadTimeout: 5 * time.Second}).Fingerprint(); got != plain {
		t.Errorf("defaults written out give %s, left out %s", got, plain)
	}
	for name, c := range map[string]conn.Config{
		"addr": {Addr: "h:1"}, "tls": {TLS: true}, "user": {Username: "u"}, "env": {PasswordEnv: "A"},
		"file": {PasswordFile: "A"}, "db": {DB: 1}, "pool": {PoolSize: 1}, "timeout": {ReadTimeout: 1},
		"mode": {Mode: conn.Cluster}, "certificate": {TLS: true, TLSCert: "c", TLSKey: "k"}, "retries": {RetryTimeout: 1},
	} {
		if c.Fingerprint() == plain {
			t.Errorf("%s does not change the fingerprint", name)
		}
	}
	if got := (conn.Config{Password: "s3cr3t", PasswordMayTravel: true}).Fingerprint(); got != plain {
		t.Error("the password enters the fingerprint, from which it could be guessed")
	}
}

func TestPrintingMasksThePassword(t *testing.T) {
	c := conn.Config{Username: "app", Password: "s3cr3t"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("open", "conn", c)
	for _, text := range []string{c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, &c), log.String()} {
		if strings.Contains(text, "s3cr3t") || !strings.Contains(text, "app:***@localhost:6379") {
			t.Errorf("printed as %q", text)
		}
	}
}

func TestResolveReadsTheSecretEveryTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	for _, password := range []string{"first", "second"} {
		t.Setenv("CONN_TEST_PASSWORD", password)
		if err := os.WriteFile(file, []byte(password+"\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []conn.Config{
			{Username: "app", PasswordEnv: "CONN_TEST_PASSWORD"},
			{Username: "app", PasswordFile: file},
			{Username: "app", Password: password},
		} {
			user, got, err := c.Resolve(t.Context())
			if err != nil || user != "app" || got != password {
				t.Errorf("%v: Resolve = %q, %q, %v; want app and %q", c, user, got, err, password)
			}
		}
	}
	if user, password, err := (conn.Config{}).Resolve(t.Context()); user != "default" || password != "" || err != nil {
		t.Errorf("without a reference: %q, %q, %v; want default and no password", user, password, err)
	}
}

func TestResolveKeepsInnerSpaceAndLines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte(" a\nb \n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, got, err := (conn.Config{PasswordFile: file}).Resolve(t.Context()); got != " a\nb " || err != nil {
		t.Errorf("Resolve = %q, %v", got, err)
	}
}

// waiting calls begun when somebody begins to wait for its end.
type waiting struct {
	context.Context
	begun func()
}

func (w waiting) Done() <-chan struct{} {
	w.begun()
	return w.Context.Done()
}

func TestAnEmptyFileIsReadOnceMore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	reads := 0
	ctx := waiting{t.Context(), func() { reads++; write("new\n") }}
	if _, got, err := (conn.Config{PasswordFile: file}).Resolve(ctx); got != "new" || err != nil || reads != 1 {
		t.Errorf("Resolve = %q, %v, after %d waits; want the password that was written meanwhile", got, err, reads)
	}
	write("\n")
	ctx.begun = func() { reads++ }
	if _, _, err := (conn.Config{PasswordFile: file}).Resolve(ctx); err == nil || !strings.Contains(err.Error(), "is empty") || reads != 2 {
		t.Errorf("error %v after %d waits, want one wait more, and that the file is empty", err, reads)
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	if _, _, err := (conn.Config{PasswordFile: file}).Resolve(waiting{stopped, func() { cancel(enough) }}); !errors.Is(err, enough) {
		t.Errorf("error %v, want the end of the context", err)
	}
}

func TestResolveErrorsNameTheSourceNotTheContent(t *testing.T) {
	dir := t.TempDir()
	missing, empty, huge := filepath.Join(dir, "missing"), filepath.Join(dir, "empty"), filepath.Join(dir, "huge")
	if err := errors.Join(os.WriteFile(empty, []byte("\n"), 0o600), os.WriteFile(huge, bytes.Repeat([]byte("s3cr3t"), 20_000), 0o600)); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]conn.Config{
		"CONN_TEST_UNSET": {PasswordEnv: "CONN_TEST_UNSET"},
		missing:           {PasswordFile: missing},
		empty:             {PasswordFile: empty},
		huge:              {PasswordFile: huge},
		dir:               {PasswordFile: dir},
	} {
		_, _, err := c.Resolve(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%v: error %v, want one that names %s only", c, err, want)
		}
	}
	if _, _, err := (conn.Config{PasswordFile: missing}).Resolve(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := (conn.Config{}).Resolve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve under a cancelled context: %v", err)
	}
}
