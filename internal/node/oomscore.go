package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"redoubt/internal/config"
)

// oomScore is what the kernel is told about which process to kill first when memory
// runs out: oom-score-adj. It matches setOOMScoreAdj.
type oomScore struct {
	path string // of the process's oom_score_adj

	mu    sync.Mutex
	ours  bool // the kernel has a value of ours
	found int  // what was there before
}

// Limits of the kernel.
const (
	leastOOMScore = -1000
	mostOOMScore  = 1000
)

// follow tells the kernel what the settings say for a primary or a replica. With
// oom-score-adj no it gives back what it has found, or touches nothing.
func (o *oomScore) follow(c *config.Settings, replica bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.OOMScoreAdj == config.OOMNo {
		if !o.ours {
			return nil
		}
		o.ours = false
		return o.write(o.found)
	}
	if !o.ours {
		found, err := o.read()
		if err != nil {
			return err
		}
		o.ours, o.found = true, found
	}
	score := c.OOMScores[0]
	if replica {
		score = c.OOMScores[1]
	}
	if c.OOMScoreAdj != config.OOMAbsolute {
		score += o.found
	}
	return o.write(min(max(score, leastOOMScore), mostOOMScore))
}

func (o *oomScore) read() (int, error) {
	text, err := os.ReadFile(o.path)
	if err != nil {
		return 0, fmt.Errorf("Unable to read oom_score_adj: %w", err)
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("Unable to read oom_score_adj: %w", err)
	}
	return score, nil
}

func (o *oomScore) write(score int) error {
	if err := os.WriteFile(o.path, strconv.AppendInt(nil, int64(score), 10), 0o644); err != nil {
		return fmt.Errorf("Failed to set current oom_score_adj: %w", err)
	}
	return nil
}
