package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// maxSecretBytes keeps a mistaken path, such as a log or a device, from being
// read whole and sent to the server.
const maxSecretBytes = 64 << 10

// Resolve returns the user and the password as they are now: the environment
// variable or file is read at every call, so that a rotated password is used
// by the next connection. The password is empty if c refers to none. Trailing
// line ends of a file are not part of the password. A file that is empty is read
// once more, 100 ms later. Errors name the variable or the file, never what is
// in it.
func (c Config) Resolve(ctx context.Context) (user, password string, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", "", err
	}
	c = c.WithDefaults()
	switch {
	case c.Credentials != "":
		got, err := c.FetchCredentials(ctx)
		return got.Username, got.Password, err
	case c.PasswordEnv != "":
		password, err = fromEnv(paramEnv, c.PasswordEnv)
	case c.PasswordFile != "":
		password, err = fromFile(ctx, paramFile, c.PasswordFile)
	default:
		password = c.Password
	}
	if err != nil {
		return "", "", err
	}
	return c.Username, password, nil
}

// ResolveSentinel returns user and password for the sentinels themselves, as
// [Config.Resolve] does for the servers; both are empty if they want none.
func (c Config) ResolveSentinel(ctx context.Context) (user, password string, err error) {
	switch {
	case c.SentinelPasswordEnv != "":
		password, err = fromEnv(paramSentinelEnv, c.SentinelPasswordEnv)
	case c.SentinelPasswordFile != "":
		password, err = fromFile(ctx, paramSentinelFile, c.SentinelPasswordFile)
	}
	if err != nil {
		return "", "", err
	}
	return c.SentinelUsername, password, nil
}

func fromEnv(param, name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", fmt.Errorf("conn: environment variable %s (%s) is not set or empty on this worker", name, param)
	}
	return value, nil
}

// beingWritten is how long whoever writes a file in place, which empties it
// first, may take for a password.
const beingWritten = 100 * time.Millisecond

func fromFile(ctx context.Context, param, path string) (string, error) {
	password, err := readSecret(path)
	if err == nil && password == "" {
		select {
		case <-time.After(beingWritten):
			password, err = readSecret(path)
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("conn: password file %s (%s) cannot be read on this worker: %w", path, param, bareCause(err))
	case password == "":
		return "", fmt.Errorf("conn: password file %s (%s) is empty", path, param)
	}
	return password, nil
}

func readSecret(path string) (string, error) {
	content, err := readAtMost(path, maxSecretBytes)
	return string(bytes.TrimRight(content, "\r\n")), err
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
