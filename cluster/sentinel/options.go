package sentinel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

func (o *Options) validate() error {
	switch {
	case o.DownAfter <= 0:
		return Error("ERR down-after-milliseconds must be positive")
	case o.FailoverTimeout <= 0:
		return Error("ERR failover-timeout must be positive")
	case o.ParallelSyncs <= 0:
		return Error("ERR parallel-syncs must be positive")
	}
	return nil
}

// Option is one option of SENTINEL SET, or one directive of a master in the
// configuration file, with its values.
type Option struct {
	Name   string // in lower case
	Values []string
}

// optionQuorum is the option that is not one of Options, but of the master.
const optionQuorum = "quorum"

// optionKind is what an option takes and does.
type optionKind struct {
	values int
	least  int64 // of a number
	text   bool  // a text, not a number
	apply  func(o *Options, opt Option)
}

// optionKinds are the options of SENTINEL SET and the directives of a master
// that are spelled alike.
var optionKinds = map[string]optionKind{
	"down-after-milliseconds": {values: 1, least: 1, apply: func(o *Options, opt Option) { o.DownAfter = opt.duration() }},
	"failover-timeout":        {values: 1, least: 1, apply: func(o *Options, opt Option) { o.FailoverTimeout = opt.duration() }},
	"parallel-syncs":          {values: 1, least: 1, apply: func(o *Options, opt Option) { o.ParallelSyncs = int(opt.number(0)) }},
	optionQuorum:              {values: 1, least: 1, apply: func(*Options, Option) {}},
	"master-reboot-down-after-period": {values: 1, apply: func(o *Options, opt Option) {
		o.RebootDownAfter = opt.duration()
	}},
	"forget-after-milliseconds": {values: 1, apply: func(o *Options, opt Option) { o.ForgetAfter = opt.duration() }},
	"fast-down":                 {values: 1, text: true, apply: func(o *Options, opt Option) { o.FastDown = isYes(opt.Values[0]) }},
	"notification-script":       {values: 1, text: true, apply: func(o *Options, opt Option) { o.NotificationScript = opt.Values[0] }},
	"client-reconfig-script": {values: 1, text: true, apply: func(o *Options, opt Option) {
		o.ClientReconfigScript = opt.Values[0]
	}},
	"auth-pass":      {values: 1, text: true, apply: func(o *Options, opt Option) { o.AuthPass = opt.Values[0] }},
	"auth-user":      {values: 1, text: true, apply: func(o *Options, opt Option) { o.AuthUser = opt.Values[0] }},
	"rename-command": {values: 2, text: true, apply: func(o *Options, opt Option) { o.rename(opt.Values[0], opt.Values[1]) }},
}

// ParseOptions splits and checks the arguments of SENTINEL SET after the name
// of the master. The errors are those of sentinelSetCommand.
func ParseOptions(args []string) ([]Option, error) {
	var options []Option
	for len(args) > 0 {
		kind, ok := optionKinds[strings.ToLower(args[0])]
		if !ok || len(args) <= kind.values {
			return nil, unknownOption(args[0])
		}
		o := Option{Name: strings.ToLower(args[0]), Values: slices.Clone(args[1 : 1+kind.values])}
		if err := o.check(); err != nil {
			return nil, err
		}
		options = append(options, o)
		args = args[1+kind.values:]
	}
	return options, nil
}

func unknownOption(name string) Error {
	return Error(fmt.Sprintf("ERR Unknown option or number of arguments for SENTINEL SET '%s'", name))
}

// check reports whether the values of an option are possible. A line break would
// begin another line of the configuration file.
func (o Option) check() error {
	kind, ok := optionKinds[o.Name]
	if !ok || len(o.Values) != kind.values {
		return unknownOption(o.Name)
	}
	for _, v := range o.Values {
		if strings.ContainsAny(v, "\r\n\x00") {
			return o.invalid(v)
		}
	}
	switch v := o.Values[0]; {
	case !kind.text:
		if i, err := strconv.ParseInt(v, 10, 64); err != nil || i < kind.least || i > maxNumber {
			return o.invalid(v)
		}
	case o.Name == "fast-down" && !isYes(v) && !strings.EqualFold(v, "no"):
		return o.invalid(v)
	case o.Name == "rename-command":
		for _, v := range o.Values {
			if v == "" {
				return o.invalid(v)
			}
		}
	}
	return nil
}

// maxNumber keeps a number of milliseconds within a Duration.
const maxNumber = 1 << 43

func (o Option) invalid(value string) Error {
	return Error(fmt.Sprintf("ERR Invalid argument '%s' for SENTINEL SET '%s'", value, o.Name))
}

// Apply puts a parsed option into o. The option quorum is not one of them: a
// MasterState has it.
func (o *Options) Apply(opt Option) {
	if opt.check() == nil {
		optionKinds[opt.Name].apply(o, opt)
	}
}

// rename notes what a command is called; a name that is its own is none.
func (o *Options) rename(from, to string) {
	o.RenamedCommands = slices.DeleteFunc(slices.Clone(o.RenamedCommands), func(r RenamedCommand) bool {
		return strings.EqualFold(r.From, from)
	})
	if !strings.EqualFold(from, to) {
		o.RenamedCommands = append(o.RenamedCommands, RenamedCommand{From: from, To: to})
	}
}

// number is a value that has been checked to be one.
func (o Option) number(i int) int64 {
	v, _ := strconv.ParseInt(o.Values[i], 10, 64)
	return v
}

func (o Option) duration() time.Duration { return time.Duration(o.number(0)) * time.Millisecond }

// describe is what the event +set says of an option.
func (o Option) describe() string {
	values := strings.Join(o.Values, " ")
	if o.Name == "auth-pass" {
		values = "******"
	}
	return " " + o.Name + " " + values
}

func isYes(s string) bool { return strings.EqualFold(s, "yes") }
