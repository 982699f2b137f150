package psync

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"redoubt/replication"
)

const (
	replyBytes = 4 << 10 // a line of the primary; errors can be long
	infoBytes  = 1 << 20 // INFO replication has a line per replica
)

// greet shakes hands as Redis's syncWithMaster does: PING, then AUTH and the REPLCONFs in one go.
func (s *session) greet() error {
	if _, err := s.conn.Write(appendCommand(nil, "PING")); err != nil {
		return err
	}
	reply, err := s.reply()
	if err != nil {
		return err
	}
	// A primary that wants a password first is alive, too.
	if !isStatus(reply) && !hasPrefix(reply, "-NOAUTH", "-NOPERM", "-ERR operation not permitted") {
		return unexpected("Error reply to PING from master: '%s'", reply)
	}
	var out []byte
	var sent []string
	send := func(args ...string) {
		out = appendCommand(out, args...)
		sent = append(sent, args[0])
	}
	me := s.cfg.Identity()
	if me.Password != "" {
		if me.User != "" {
			send("AUTH", me.User, me.Password)
		} else {
			send("AUTH", me.Password)
		}
	}
	send("REPLCONF", "listening-port", strconv.Itoa(me.Port))
	if me.IP != "" {
		send("REPLCONF", "ip-address", me.IP)
	}
	if me.NodeID != "" { // to one of Redis it is an option that it does not know
		send("REPLCONF", "set-cluster-node-id", me.NodeID)
	}
	capas := []string{"REPLCONF", "capa", "eof", "capa", "psync2", "capa", capaPrompt}
	if me.Member {
		capas = append(capas, "capa", capaMember)
	}
	send(capas...)
	if _, err := s.conn.Write(out); err != nil {
		return err
	}
	for _, command := range sent {
		reply, err := s.reply()
		if err != nil {
			return err
		}
		// A primary may not know an option; it must know the password.
		if command == "AUTH" && !isStatus(reply) {
			// An AUTH that the primary does not know would be repeated with its arguments.
			reply, _, _ := bytes.Cut(reply, []byte(", with args"))
			return unexpected("Unable to AUTH to MASTER: %s", reply)
		}
	}
	return nil
}

// upstream asks the primary for INFO replication. ok is false if it does not answer with
// what is needed: the user may have no permission for INFO, and then PSYNC has to do.
func (s *session) upstream() (u replication.Upstream, ok bool, err error) {
	if _, err := s.conn.Write(appendCommand(nil, "INFO", "replication")); err != nil {
		return u, false, err
	}
	header, err := s.reply()
	if err != nil {
		return u, false, err
	}
	if hasPrefix(header, "-", "+") {
		s.link.outage.say("The master does not tell how far it has the stream of this node (%s). If the two have parted, all data have to be copied.", header[1:])
		return u, false, nil
	}
	size, found := bytes.CutPrefix(header, []byte("$"))
	n, err := strconv.Atoi(string(size))
	if !found || err != nil || n < 0 || n > infoBytes {
		return u, false, unexpected("Unexpected reply to INFO from master: %s", header)
	}
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(s.in, text); err != nil {
		return u, false, err
	}
	u, ok = replication.ParseUpstream(string(text))
	return u, ok, nil
}

// ask sends PSYNC with the node's position and reads the answer. Any error is
// a reason to try again later with the same question: a primary whose own
// link is down or which is loading says so (NOMASTERLINK, LOADING), and it is
// the primary that decides on a full resync, by its answer, not an error.
func (s *session) ask(p Position, known bool) (answer, error) {
	id, from := "?", replication.Offset(-1)
	if known {
		id, from = p.History.ID, p.End+1
	}
	question := []string{"PSYNC", id, strconv.FormatInt(int64(from), 10)}
	if known {
		s.link.outage.say("Trying a partial resynchronization (request %s:%d).", id, from)
	}
	told := func(HandoverAnswer) {}
	if h := s.cfg.Handover; h != nil {
		if told = h.Answered; h.Asks() {
			question = append(question, "FAILOVER")
		}
	}
	if n, err := s.conn.Write(appendCommand(nil, question...)); err != nil {
		if n == 0 {
			told(Unsent)
		} else {
			told(Lost)
		}
		return answer{}, err
	}
	for {
		reply, err := s.line()
		if err != nil {
			told(Lost)
			return answer{}, err
		}
		if len(reply) == 0 {
			continue // a keep-alive: the snapshot is not ready yet
		}
		a, ok := parseAnswer(string(reply))
		if !ok || !a.full && !known {
			told(refusal(reply))
			if hasPrefix(reply, "-NOMASTERLINK", "-LOADING") {
				return answer{}, unexpected("Master is currently unable to PSYNC but should be in the future: %s", reply)
			}
			return answer{}, unexpected("Unexpected reply to PSYNC from master: %s", reply)
		}
		told(Accepted)
		return a, nil
	}
}

// refusal is what an error tells that a PSYNC is answered with. A primary says
// NOMASTERLINK, too, while it hands over to yet another node.
func refusal(reply []byte) HandoverAnswer {
	if bytes.HasPrefix(reply, []byte("-NOMASTERLINK ")) && !bytes.Contains(reply, []byte("failing over")) {
		return Unlinked
	}
	return Refused
}

// parseAnswer reads the answer to PSYNC (Redis's slaveTryPartialResynchronization).
func parseAnswer(line string) (answer, bool) {
	words := strings.Fields(line)
	switch {
	case len(words) == 3 && words[0] == "+FULLRESYNC":
		at, err := strconv.ParseInt(words[2], 10, 64)
		return answer{full: true, id: words[1], at: replication.Offset(at)},
			err == nil && at >= 0 && replication.ValidID(words[1])
	case len(words) == 1 && words[0] == "+CONTINUE":
		return answer{}, true
	case len(words) == 2 && words[0] == "+CONTINUE":
		return answer{id: words[1]}, replication.ValidID(words[1])
	}
	return answer{}, false
}

// reply reads the reply to a command: a line that is not empty.
func (s *session) reply() ([]byte, error) {
	for {
		line, err := s.line()
		if err != nil || len(line) > 0 {
			return line, err
		}
	}
}

// line reads a line of the primary and returns it without its end. It is
// valid until more is read.
func (s *session) line() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if len(line) > replyBytes {
		return nil, unexpected("The master has answered with a line of more than %d bytes", replyBytes)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func isStatus(reply []byte) bool { return len(reply) > 0 && reply[0] == '+' }

func hasPrefix(reply []byte, prefixes ...string) bool {
	for _, p := range prefixes {
		if bytes.HasPrefix(reply, []byte(p)) {
			return true
		}
	}
	return false
}
