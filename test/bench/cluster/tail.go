package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/test/bench/agent/seen"
)

// tail is the end of an agent's log.
type tail struct {
	mu   sync.Mutex
	line seen.Line
	err  error // of reading
	// ended is closed when the log is.
	ended chan struct{}
}

// follow reads an agent's log until it ends.
func (b *Bench) follow(ctx context.Context, claw string) (*tail, error) {
	body, err := b.Kube.CoreV1().Pods(namespace).GetLogs(cage.AgentName(claw)+"-0",
		&corev1.PodLogOptions{Container: cage.ContainerAgent, Follow: true}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("the log of %s: %w", claw, err)
	}
	t := &tail{ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		defer func() { _ = body.Close() }()
		scanner := bufio.NewScanner(body)
		for scanner.Scan() {
			var line seen.Line
			if json.Unmarshal(scanner.Bytes(), &line) != nil {
				continue
			}
			t.mu.Lock()
			t.line = line
			t.mu.Unlock()
			if line.Over {
				return
			}
		}
		t.err = scanner.Err()
	}()
	return t, nil
}

// now is the latest line.
func (t *tail) now() seen.Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line
}

// wait returns the agent's last word.
func (t *tail) wait(ctx context.Context, patience time.Duration) (seen.Line, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-t.ended:
		if line := t.now(); line.Over {
			return line, nil
		}
		return seen.Line{}, errors.Join(fmt.Errorf("the agent's log ended before its last word; the line before is %+v", t.now()), t.err)
	case <-timeout.C:
		return seen.Line{}, fmt.Errorf("the agent still streams: %+v", t.now())
	case <-ctx.Done():
		return seen.Line{}, ctx.Err()
	}
}
