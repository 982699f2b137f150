package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"redoubt/bus"
	"redoubt/slots"
)

// State is the content of nodes.conf: the nodes that are known, and the epochs
// that must not be forgotten. It is not changed after it has been given out.
type State struct {
	// Version counts the States of one Node; see Effects. It is not saved.
	Version       uint64
	CurrentEpoch  bus.Epoch
	LastVoteEpoch bus.Epoch
	Nodes         []NodeRecord
	// Group names the group of the shard that elects its primary (Settings.Quorum) to which
	// this node belongs; "" if there is none. Redis and Valkey skip it.
	Group string
	// LogID names the log of changes (AppendChanges) that continues the file; 0
	// if there is none. The driver chooses it. Redis and Valkey skip this
	// variable, as they do every variable that they do not know.
	LogID uint64
	// Whole asks for a whole nodes.conf in the place of a change in the log: an
	// administrator who says SAVECONFIG wants to read the file. It is not saved.
	Whole bool
}

// NodeRecord is what nodes.conf and CLUSTER NODES say about a node.
type NodeRecord struct {
	ID        bus.NodeID
	IP        string
	TCPPort   uint16
	TLSPort   uint16
	BusPort   uint16
	Hostname  string
	HumanName string
	// ClientIPv4 and ClientIPv6 are what clients of a family are told; empty:
	// IP. They are not part of nodes.conf.
	ClientIPv4 string
	ClientIPv6 string
	ShardID    string
	Flags      bus.Flags
	Primary    bus.NodeID // empty for a primary
	// PingSent is zero if no PING waits for its PONG.
	PingSent     time.Time
	PongReceived time.Time
	// ConfigEpoch of a replica is its primary's.
	ConfigEpoch bus.Epoch
	Connected   bool
	Slots       *slots.Set // shared: not to be changed
	Migrating   []OpenSlot // of the node itself only
	Importing   []OpenSlot
}

// Append writes the state in the form of Redis 7.2, which 7.0 reads too: a
// line a node as in CLUSTER NODES, with the auxiliary fields after the host
// name, and a line with the variables.
func (s *State) Append(dst []byte) []byte {
	for i := range s.Nodes {
		dst = s.Nodes[i].appendSaved(dst)
	}
	return s.appendVars(dst)
}

func (s *State) appendVars(dst []byte) []byte {
	dst = fmt.Appendf(dst, "vars currentEpoch %d lastVoteEpoch %d", s.CurrentEpoch, s.LastVoteEpoch)
	if s.Group != "" {
		dst = fmt.Appendf(dst, " %s %s", groupVariable, s.Group)
	}
	if s.LogID != 0 {
		dst = fmt.Appendf(dst, " %s %d", logVariable, s.LogID)
	}
	return append(dst, '\n')
}

// logVariable and groupVariable are the names of State.LogID and State.Group in nodes.conf.
const (
	logVariable   = "changesLog"
	groupVariable = "quorumGroup"
)

// appendSaved writes the record as a line of nodes.conf.
func (r *NodeRecord) appendSaved(dst []byte) []byte {
	dst = append(dst, r.ID...)
	dst = r.appendAddress(dst, r.IP, r.TCPPort)
	dst = append(dst, ',')
	dst = append(dst, r.Hostname...)
	dst = fmt.Appendf(dst, ",tls-port=%d", r.TLSPort)
	if fitsLine(r.HumanName) {
		dst = append(append(dst, ",nodename="...), r.HumanName...)
	}
	if r.ShardID != "" {
		dst = append(append(dst, ",shard-id="...), r.ShardID...)
	}
	return append(r.appendRest(dst), '\n')
}

// appendLine writes the record as a line of CLUSTER NODES, without the end of
// the line.
func (r *NodeRecord) appendLine(dst []byte, ip string, port uint16) []byte {
	dst = append(dst, r.ID...)
	dst = r.appendAddress(dst, ip, port)
	if r.Hostname != "" {
		dst = append(append(dst, ','), r.Hostname...)
	}
	return r.appendRest(dst)
}

// fitsLine reports whether a name can stand in a line of nodes.conf. Others may
// announce blanks and what separates fields; such a name is left out, it comes
// again with every PING.
func fitsLine(name string) bool {
	return name != "" && !strings.ContainsAny(name, notInAux+",=") && !strings.ContainsFunc(name, unicode.IsSpace)
}

func (r *NodeRecord) appendAddress(dst []byte, ip string, port uint16) []byte {
	return fmt.Appendf(dst, " %s:%d@%d", ip, port, r.BusPort)
}

func (r *NodeRecord) appendRest(dst []byte) []byte {
	primary, link := string(r.Primary), "disconnected"
	if primary == "" {
		primary = "-"
	}
	if r.Connected {
		link = "connected"
	}
	dst = fmt.Appendf(dst, " %s %s %d %d %d %s",
		r.Flags, primary, unixMs(r.PingSent), unixMs(r.PongReceived), r.ConfigEpoch, link)
	if r.Slots != nil {
		for _, rg := range r.Slots.Ranges() {
			dst = append(dst, ' ')
			dst = append(dst, rg.String()...)
		}
	}
	for _, o := range r.Migrating {
		dst = fmt.Appendf(dst, " [%d->-%s]", o.Slot, o.Node)
	}
	for _, o := range r.Importing {
		dst = fmt.Appendf(dst, " [%d-<-%s]", o.Slot, o.Node)
	}
	return dst
}

func unixMs(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// errCorrupt is what every fault of a file is about.
var errCorrupt = errors.New("cluster: corrupted cluster config file")

// ParseState reads a nodes.conf of Redis 7.0 and later or Valkey up to 8. In
// files without port fields the port of a line is the TLS port if tls is set.
// Unlike Redis, it skips auxiliary fields that it does not know.
func ParseState(text []byte, tls bool) (*State, error) {
	s := &State{}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		if err := s.parseLine(fields, tls); err != nil {
			return nil, fmt.Errorf("%w: line %q: %w", errCorrupt, abbreviate(line), err)
		}
	}
	return s, s.check()
}

func (s *State) parseLine(fields []string, tls bool) error {
	if fields[0] == "vars" {
		return s.parseVars(fields[1:])
	}
	r, err := parseNode(fields, tls)
	if err == nil {
		s.Nodes = append(s.Nodes, r)
	}
	return err
}

// check refuses a state that names a node twice or has not exactly one node of
// its own.
func (s *State) check() error {
	seen := make(map[bus.NodeID]bool, len(s.Nodes))
	own := 0
	for i := range s.Nodes {
		r := &s.Nodes[i]
		if seen[r.ID] {
			return fmt.Errorf("%w: node %s is there twice", errCorrupt, r.ID)
		}
		seen[r.ID] = true
		if r.Flags.Has(bus.FlagMyself) {
			own++
		}
	}
	if own != 1 {
		return fmt.Errorf("%w: %d lines have the flag myself", errCorrupt, own)
	}
	return nil
}

// abbreviate keeps a line of many slots out of the log.
func abbreviate(line []byte) []byte {
	const most = 120
	return bytes.TrimRight(line[:min(len(line), most)], "\n")
}

func (s *State) parseVars(fields []string) error {
	if len(fields)%2 != 0 {
		return errors.New("a variable has no value")
	}
	s.Group = "" // it is written where there is one
	for i := 0; i < len(fields); i += 2 {
		var set func(value uint64)
		switch name := fields[i]; {
		case strings.EqualFold(name, "currentEpoch"):
			set = func(value uint64) { s.CurrentEpoch = bus.Epoch(value) }
		case strings.EqualFold(name, "lastVoteEpoch"):
			set = func(value uint64) { s.LastVoteEpoch = bus.Epoch(value) }
		case name == logVariable:
			set = func(value uint64) { s.LogID = value }
		case name == groupVariable:
			if !groupName(fields[i+1]) {
				return errors.New("the name of a group is not 40 hexadecimal digits")
			}
			s.Group = fields[i+1]
			continue
		default:
			continue
		}
		value, err := strconv.ParseUint(fields[i+1], 10, 64)
		if err != nil {
			return err
		}
		set(value)
	}
	return nil
}

func parseNode(fields []string, tls bool) (r NodeRecord, err error) {
	if len(fields) < 8 {
		return r, fmt.Errorf("%d fields, at least 8 are needed", len(fields))
	}
	r = NodeRecord{ID: bus.NodeID(fields[0]), Connected: fields[7] == "connected", Slots: new(slots.Set)}
	if !r.ID.Valid() {
		return r, errors.New("not a node id")
	}
	if err = r.parseAddress(fields[1], tls); err != nil {
		return r, err
	}
	if r.Flags, err = bus.ParseFlags(fields[2]); err != nil {
		return r, err
	}
	if fields[3] != "-" {
		r.Primary = bus.NodeID(fields[3])
		if !r.Primary.Valid() {
			return r, errors.New("the primary is not a node id")
		}
	}
	if r.PingSent, err = parseMs(fields[4]); err != nil {
		return r, err
	}
	if r.PongReceived, err = parseMs(fields[5]); err != nil {
		return r, err
	}
	epoch, err := strconv.ParseUint(fields[6], 10, 64)
	if err != nil {
		return r, err
	}
	r.ConfigEpoch = bus.Epoch(epoch)
	for _, item := range fields[8:] {
		if err = r.parseSlots(item); err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseMs(text string) (time.Time, error) {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms), nil
}

// parseAddress reads ip:port@busport,hostname,name=value…
func (r *NodeRecord) parseAddress(text string, tls bool) error {
	parts := strings.Split(text, ",")
	if len(parts) > 1 {
		r.Hostname = parts[1]
		if !validHostname(r.Hostname) {
			return fmt.Errorf("bad host name %q", r.Hostname)
		}
	}
	colon := strings.LastIndexByte(parts[0], ':')
	if colon < 0 {
		return errors.New("the address has no port")
	}
	r.IP = parts[0][:colon]
	portText, busText, hasBus := strings.Cut(parts[0][colon+1:], "@")
	port, err := parsePort(portText)
	if err != nil {
		return err
	}
	hasTCP, hasTLS, err := r.parseAux(parts[min(len(parts), 2):])
	switch {
	case err != nil:
		return err
	case !hasTCP && (hasTLS || !tls):
		r.TCPPort = port
	case !hasTLS:
		r.TLSPort = port
	}
	if hasBus {
		r.BusPort, err = parsePort(busText)
		return err
	}
	if busPort := int(port) + busPortOffset; busPort <= 65535 {
		r.BusPort = uint16(busPort)
		return nil
	}
	return fmt.Errorf("no bus port, and port %d leaves none", port)
}

// notInAux is what no auxiliary field may have in it.
const notInAux = "!#$%&()*+:;<>?@[]^{|}~\"'"

// parseAux reads the auxiliary fields. It reports which client ports it found.
func (r *NodeRecord) parseAux(parts []string) (hasTCP, hasTLS bool, err error) {
	for _, part := range parts {
		name, value, found := strings.Cut(part, "=")
		if !found || name == "" || strings.ContainsAny(part, notInAux) {
			return false, false, fmt.Errorf("bad auxiliary field %q", part)
		}
		switch name {
		case "shard-id":
			if !bus.NodeID(value).Valid() {
				return false, false, fmt.Errorf("bad shard id %q", value)
			}
			r.ShardID = value
		case "nodename":
			r.HumanName = value
		case "tcp-port":
			r.TCPPort, err = parsePort(value)
			hasTCP = true
		case "tls-port":
			r.TLSPort, err = parsePort(value)
			hasTLS = true
		}
		if err != nil {
			return false, false, err
		}
	}
	return hasTCP, hasTLS, nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err
}

// validHostname accepts what cluster-announce-hostname does, nothing, and what
// else the bus lets others announce.
func validHostname(name string) bool {
	if len(name) > 255 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte("-.:_%", c) < 0 {
			return false
		}
	}
	return true
}

// parseSlots reads 7, 0-5460, [7->-id] or [7-<-id].
func (r *NodeRecord) parseSlots(item string) error {
	if strings.HasPrefix(item, "[") {
		return r.parseOpenSlot(item)
	}
	span, err := parseRange(item)
	if err != nil {
		return err
	}
	r.Slots.AddRange(span)
	return nil
}

// parseRange reads 7 or 0-5460.
func parseRange(text string) (slots.Range, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err := parseSlot(first)
	if err != nil {
		return slots.Range{}, err
	}
	to, err := parseSlot(last)
	return slots.Range{First: from, Last: to}, err
}

func (r *NodeRecord) parseOpenSlot(item string) error {
	body, ok := strings.CutSuffix(item[1:], "]")
	number, arrow, found := strings.Cut(body, "-")
	if !ok || !found || len(arrow) != 2+bus.IDLen || arrow[1] != '-' {
		return fmt.Errorf("bad open slot %q", item)
	}
	s, err := parseSlot(number)
	if err != nil {
		return err
	}
	open := OpenSlot{s, bus.NodeID(arrow[2:])}
	switch {
	case !open.Node.Valid():
		return fmt.Errorf("bad node in open slot %q", item)
	case arrow[0] == '>':
		r.Migrating = append(r.Migrating, open)
	case arrow[0] == '<':
		r.Importing = append(r.Importing, open)
	default:
		return fmt.Errorf("bad open slot %q", item)
	}
	return nil
}

func parseSlot(text string) (slots.Slot, error) {
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, err
	}
	if s := slots.Slot(number); s.Valid() {
		return s, nil
	}
	return 0, fmt.Errorf("slot %d is out of range", number)
}
