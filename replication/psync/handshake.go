package psync

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"redoubt/replication"
)

// maxAnnounced is one above the longest address a replica may announce.
const maxAnnounced = 256

// Handshake is what a connection told about itself with REPLCONF, and then
// asked for with PSYNC or SYNC. The server keeps one for each connection that
// sends REPLCONF.
type Handshake struct {
	ListeningPort int    // 0 if not told
	IP            string // announced; empty: that of the connection
	EOF           bool   // capa eof: a transfer may end with a mark
	PSYNC2        bool   // capa psync2: +CONTINUE may name another history
	RDBOnly       bool   // the snapshot is all it wants
	Filtered      bool   // it wants no keys: redis-cli --replica, --functions-rdb

	// Request is that of PSYNC. A connection that sent SYNC has none: it knows
	// no offsets, sends no acknowledgements and is not timed out.
	Request *replication.Request
}

// Set takes in one REPLCONF option with its value. Its errors are for the
// client, without their code ERR. The options ack and getack are not for here:
// an attached replica's connection is no longer the server's. Options of newer
// servers are errors, which their replicas expect and take no notice of.
func (h *Handshake) Set(option, value string) error {
	switch strings.ToLower(option) {
	case "listening-port":
		port, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return errors.New("value is not an integer or out of range")
		}
		h.ListeningPort = int(port)
	case "ip-address":
		if len(value) >= maxAnnounced {
			return fmt.Errorf("REPLCONF ip-address provided by replica instance is too long: %d bytes", len(value))
		}
		h.IP = value
	case "capa":
		h.EOF = h.EOF || strings.EqualFold(value, "eof")
		h.PSYNC2 = h.PSYNC2 || strings.EqualFold(value, "psync2")
	case "rdb-only":
		only, err := strconv.ParseInt(value, 10, 64)
		if err != nil || only < 0 || only > 1 {
			return errors.New("value is out of range, must be between 0 and 1")
		}
		h.RDBOnly = only == 1
	case "rdb-filter-only":
		for _, filter := range strings.Fields(value) {
			if !strings.EqualFold(filter, "functions") {
				return fmt.Errorf("Unsupported rdb-filter-only option: %s", filter)
			}
		}
		h.Filtered = true
	default:
		return fmt.Errorf("Unrecognized REPLCONF option: %s", option)
	}
	return nil
}
