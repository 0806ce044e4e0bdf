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
	} {
		if c.Fingerprint() == plain {
			t.Errorf("%s does not change the fingerprint", name)
		}
	}
	if got := (conn.Config{Password: "s3cr3t"}).Fingerprint(); got != plain {
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
