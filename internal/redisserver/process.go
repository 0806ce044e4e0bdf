package redisserver

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"time"
)

// process is one run of a program. It reaps the program as soon as it ends.
type process struct {
	cmd    *exec.Cmd
	std    bytes.Buffer // what was printed; complete once ended is closed
	ended  chan struct{}
	paused bool
}

func startProcess(name string, args []string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.std, &p.std
	detach(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		// The status says nothing that the signals sent here do not.
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) hasExited() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// output is what the program printed; empty while it runs.
func (p *process) output() string {
	if !p.hasExited() {
		return ""
	}
	return p.std.String()
}

func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	p.paused = false
	return nil
}

func (p *process) stop(timeout time.Duration) error {
	if p.paused {
		// A stopped process would keep the request to end waiting.
		if err := p.resume(); err != nil {
			return err
		}
	}
	if err := p.cmd.Process.Signal(endSignal); err != nil {
		return p.kill()
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(timeout):
		return p.kill()
	}
}

func (p *process) pause() error {
	p.paused = true
	return suspend(p.cmd.Process)
}

func (p *process) resume() error {
	p.paused = false
	return wake(p.cmd.Process)
}
