package node

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync"

	"go.uber.org/zap"

	"redoubt/internal/config"
)

// oomScoreFile is where the kernel keeps how likely its OOM killer takes the process.
const oomScoreFile = "/proc/self/oom_score_adj"

// mostOOMScore is the bound of what the kernel takes, either way.
const mostOOMScore = 1000

// errOOMScore is what a client hears whose CONFIG SET has failed.
var errOOMScore = errors.New("Failed to set current oom_score_adj. Check server logs.")

// oomScore sets how likely the kernel's OOM killer takes the process, as the directive
// oom-score-adj says (Redis's setOOMScoreAdj).
type oomScore struct {
	log  *zap.Logger
	file string // "": oomScoreFile

	mu      sync.Mutex
	changed bool
	base    int // the score before it was changed
}

// follow sets the score for a primary or a replica. With oom-score-adj no it goes back
// to what it was. A failure is logged; the error is for a client.
func (o *oomScore) follow(s *config.Settings, replica bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.set(s, replica); err != nil {
		o.log.Warn("Unable to change oom_score_adj", zap.Error(err))
		return errOOMScore
	}
	return nil
}

func (o *oomScore) set(s *config.Settings, replica bool) error {
	if s.OOMScore == config.OOMScoreOff {
		if !o.changed {
			return nil
		}
		o.changed = false
		return o.write(o.base)
	}
	if !o.changed {
		text, err := os.ReadFile(o.path())
		if err != nil {
			return err
		}
		if o.base, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil {
			return err
		}
	}
	score := s.OOMScores[0]
	if replica {
		score = s.OOMScores[1]
	}
	if s.OOMScore != config.OOMScoreAbsolute {
		score += o.base
	}
	err := o.write(min(max(score, -mostOOMScore), mostOOMScore))
	o.changed = o.changed || err == nil
	return err
}

func (o *oomScore) write(score int) error {
	return os.WriteFile(o.path(), strconv.AppendInt(nil, int64(score), 10), 0)
}

func (o *oomScore) path() string {
	if o.file != "" {
		return o.file
	}
	return oomScoreFile
}
