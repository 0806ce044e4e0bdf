//go:build !unix

package redisserver

import (
	"errors"
	"os"
	"os/exec"
)

var endSignal os.Signal = os.Interrupt

func detach(*exec.Cmd) {}

func suspend(*os.Process) error { return errors.ErrUnsupported }

func wake(*os.Process) error { return errors.ErrUnsupported }
