package sentinel

import (
	"fmt"
	"strconv"
)

// notify says an event about an instance: what it is, then the formatted text.
// With w nil it is the text alone. The notification script of the master is run
// for warnings. (sentinelEvent)
func (n *Node) notify(level Level, event string, w watched, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if w != nil {
		text = n.describe(w) + text
	}
	n.say(level, event, w, text)
}

// say says an event with a text that does not begin with the instance.
func (n *Node) say(level Level, event string, w watched, text string) {
	n.fx.Notices = append(n.fx.Notices, Notice{Level: level, Type: event, Text: text})
	if level != LevelWarning || w == nil {
		return
	}
	if path := w.of().options.NotificationScript; path != "" {
		n.fx.Scripts = append(n.fx.Scripts, Script{Path: path, Args: []string{event, text}})
	}
}

// describe is how an event names an instance:
//
//	<role> <name> <ip> <port> @ <master name> <master ip> <master port>
//
// without what follows @ for a master.
func (n *Node) describe(w watched) string {
	i, m := w.inst(), w.of()
	a := n.announced(i.addr)
	text := fmt.Sprintf("%s %s %s %d", i.role, i.name, a.Host, a.Port)
	if i.role == RoleMaster {
		return text
	}
	a = n.announced(m.addr)
	return text + fmt.Sprintf(" @ %s %s %d", m.name, a.Host, a.Port)
}

// String is the role as events and flags name it.
func (r Role) String() string {
	switch r {
	case RoleMaster:
		return "master"
	case RoleReplica:
		return "slave"
	}
	return "sentinel"
}

// reconfigureClients runs the client-reconfig-script of a master.
// (sentinelCallClientReconfScript)
func (n *Node) reconfigureClients(m *master, role string, from, to Addr) {
	if m.options.ClientReconfigScript == "" {
		return
	}
	from, to = n.announced(from), n.announced(to)
	n.fx.Scripts = append(n.fx.Scripts, Script{
		Path: m.options.ClientReconfigScript,
		Args: []string{m.name, role, "start", from.Host, port(from), to.Host, port(to)},
	})
}

func port(a Addr) string { return strconv.Itoa(int(a.Port)) }

func (n *Node) log(level Level, format string, args ...any) {
	n.fx.Log = append(n.fx.Log, LogLine{Level: level, Text: fmt.Sprintf(format, args...)})
}
