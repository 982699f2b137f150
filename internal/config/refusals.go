package config

import (
	"redoubt/internal/acl"
)

// users looks at the lines of users, as far as that can be done without the table of
// commands: the server makes users of them.
func (l *loader) users() error {
	lines, seen := l.config.lines["user"], map[string]bool{}
	for _, line := range lines {
		err := acl.Validate(line.Args[1:]...)
		if seen[line.Args[0]] {
			err = &acl.RuleError{Rule: line.Args[0], Err: acl.ErrDuplicate}
		}
		if err != nil {
			return &FileError{Product: l.product, Line: line, Reason: userDeclaration(err)}
		}
		seen[line.Args[0]] = true
	}
	if len(lines) > 0 && l.settings.ACLFile != "" {
		return &FileError{Product: l.product, Line: l.seen[row("aclfile")], Reason: "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both."}
	}
	return nil
}

// userDeclaration is an error about a line of a user in the words of
// loadServerConfigFromString.
func userDeclaration(err error) string {
	if rule, ok := err.(*acl.RuleError); ok {
		return "Error in user declaration '" + rule.Rule + "': " + rule.Err.Error()
	}
	return "Error in user declaration: " + err.Error()
}

// refusals refuses settings without which the node would be less guarded than
// their author believes.
func (l *loader) refusals() error {
	for _, d := range table {
		if reason := d.refused(l.settings); reason != "" {
			return &FileError{Product: l.product, Line: l.seen[d], Reason: reason}
		}
	}
	if reason := l.settings.quorumRefused(); reason != "" {
		return &FileError{Product: l.product, Line: l.seen[row("durability")], Reason: reason}
	}
	return l.users()
}

// quorumRefused is why durability quorum cannot hold with the other settings, "" if it can.
func (s *Settings) quorumRefused() string {
	switch {
	case s.Durability != DurabilityQuorum:
	case !s.ClusterEnabled:
		return "durability quorum is for nodes of a cluster: it takes cluster-enabled yes"
	case !s.AppendOnly:
		return "durability quorum keeps acknowledged writes on disk: it takes appendonly yes"
	case s.MinReplicasToAck > 0:
		return "with durability quorum replies wait for a majority: min-replicas-to-ack has to be 0"
	}
	return ""
}

// refused is why the value in s must not be in force, "" if it may.
func (d *directive) refused(s *Settings) string {
	if d.refuse == "" || s.text[d.index] == d.def {
		return ""
	}
	return d.refuse
}

// Lacking says what somebody waits for in vain who set a directive to the value
// it has now, "" if nothing is missing.
func (c *Config) Lacking(name string) string {
	d := lookup(name)
	if d == nil || c.Current().text[d.index] == d.def {
		return ""
	}
	return d.lacks
}

// Warnings returns a line for each directive that is set and has no effect here,
// although that has consequences.
func (c *Config) Warnings() (lines []string) {
	for _, d := range table {
		if lacks := c.Lacking(d.name); lacks != "" {
			lines = append(lines, d.name+" has no effect in this version: "+lacks)
		}
	}
	if c.lines["loadmodule"] != nil {
		lines = append(lines, "loadmodule has no effect in this version: no module is loaded, and its commands are unknown")
	}
	return lines
}
