package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxSecretBytes keeps a mistaken path, such as a log or a device, from being
// read whole and sent to the server.
const maxSecretBytes = 64 << 10

// Resolve returns the user and the password as they are now: the environment
// variable or file is read at every call, so that a rotated password is used
// by the next connection. The password is empty if c refers to none. Trailing
// line ends of a file are not part of the password. Errors name the variable
// or the file, never what is in it.
func (c Config) Resolve(ctx context.Context) (user, password string, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", "", err
	}
	c = c.WithDefaults()
	switch {
	case c.PasswordEnv != "":
		password, err = passwordFromEnv(c.PasswordEnv)
	case c.PasswordFile != "":
		password, err = passwordFromFile(c.PasswordFile)
	default:
		password = c.Password
	}
	if err != nil {
		return "", "", err
	}
	return c.Username, password, nil
}

func passwordFromEnv(name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", fmt.Errorf("conn: environment variable %s (password_env) is not set or empty on this worker", name)
	}
	return value, nil
}

func passwordFromFile(path string) (string, error) {
	content, err := readAtMost(path, maxSecretBytes)
	if err != nil {
		return "", fmt.Errorf("conn: password file %s (password_file) cannot be read on this worker: %w", path, bareCause(err))
	}
	password := bytes.TrimRight(content, "\r\n")
	if len(password) == 0 {
		return "", fmt.Errorf("conn: password file %s (password_file) is empty", path)
	}
	return string(password), nil
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return content, nil
}

// bareCause drops the path that package os repeats in its errors.
func bareCause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// onePassword refuses two answers to "where is the password".
func (c Config) onePassword() error {
	given := 0
	for _, source := range []string{c.PasswordEnv, c.PasswordFile, c.Password} {
		if source != "" {
			given++
		}
	}
	if given > 1 {
		return errors.New("give the password once: by environment variable (password_env), by file (password_file) or literally")
	}
	return nil
}

// userHasPassword refuses a user without a password: the client would send no
// AUTH at all and work as the default user, with other rights than the ones
// asked for.
func (c Config) userHasPassword() error {
	if c.Username == DefaultUsername || c.PasswordEnv+c.PasswordFile+c.Password != "" {
		return nil
	}
	return fmt.Errorf("user %q has no password: name it by PasswordEnv (password_env) or PasswordFile (password_file)", c.Username)
}
