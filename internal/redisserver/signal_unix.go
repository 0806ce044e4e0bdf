//go:build unix

package redisserver

import (
	"os"
	"os/exec"
	"syscall"
)

var endSignal os.Signal = syscall.SIGTERM

// detach keeps a terminal's Ctrl-C, which goes to the whole process group,
// from ending the server before the program that uses it has finished.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func suspend(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func wake(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
