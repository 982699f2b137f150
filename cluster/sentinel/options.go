package sentinel

import (
	"time"
)

// Options are the directives of one master. The zero value is not valid; see
// DefaultOptions.
type Options struct {
	DownAfter       time.Duration // down-after-milliseconds
	FailoverTimeout time.Duration // failover-timeout
	ParallelSyncs   int           // parallel-syncs
	// NotificationScript and ClientReconfigScript are paths; empty: none.
	NotificationScript   string
	ClientReconfigScript string
	AuthUser             string
	AuthPass             string
	// RebootDownAfter is master-reboot-down-after-period; 0: off.
	RebootDownAfter time.Duration
	// RenamedCommands are the rename-command lines.
	RenamedCommands []RenamedCommand
	// FastDown is fast-down (not of Redis): an instance whose host refuses the
	// connection is down at once, and not only after DownAfter. Off by default: a
	// restart refuses connections too.
	FastDown bool
	// ForgetAfter is forget-after-milliseconds (not of Redis): replicas and
	// Sentinels that were down for so long are forgotten; 0, the default, means
	// never. See forget.go for what is never forgotten.
	ForgetAfter time.Duration
}

// RenamedCommand says what a command is called at the instances of a master.
type RenamedCommand struct{ From, To string }

// DefaultOptions are Redis's defaults.
func DefaultOptions() Options {
	return Options{
		DownAfter:       30 * time.Second,
		FailoverTimeout: 180 * time.Second,
		ParallelSyncs:   1,
	}
}

// Option is one option of SENTINEL SET, or one directive of a master in the
// configuration file, with its values.
type Option struct {
	Name   string // in lower case
	Values []string
}

// ParseOptions splits and checks the arguments of SENTINEL SET after the name
// of the master. The errors are those of sentinelSetCommand.
func ParseOptions(args []string) ([]Option, error) { return nil, nil }

// Apply puts a parsed option into o. The option quorum is not one of them: a
// MasterState has it.
func (o *Options) Apply(opt Option) {}
