package command

import (
	"errors"
	"sync"

	"redoubt/internal/resp"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// Serialization is the rows of DUMP and RESTORE.
var Serialization = []*Row{
	{Name: "dump", Arity: 2, Flags: ReadOnly, ACL: CatKeyspace, Keys: OneKey(KeyRO | KeyAccess), Run: dump,
		Doc: Doc{Summary: "Returns the value at a key in the form RESTORE takes.", Since: "2.6.0", Group: "generic", Complexity: "O(N) where N is the size of the value", Tips: []string{"nondeterministic_output"}}},
	{Name: "restore", Arity: -4, Flags: Write | DenyOOM, ACL: CatKeyspace | CatDangerous, Keys: OneKey(KeyOW | KeyUpdate), Run: restore,
		Doc: Doc{Summary: "Creates a key from a value that DUMP returned.", Since: "2.6.0", Group: "generic", Complexity: "O(N) where N is the size of the value"}},
	{Name: "restore-asking", Arity: -4, Flags: Write | DenyOOM | Asking, ACL: CatKeyspace | CatDangerous, Keys: OneKey(KeyOW | KeyUpdate), Run: restore,
		Doc: Doc{Summary: "Is RESTORE for a slot that is being imported; nodes send it to each other.", Since: "3.0.0", Group: "server", System: true, Complexity: "O(N) where N is the size of the value"}},
}

func dump(c *Ctx) {
	e, found := c.Tx.Find(c.Args[1])
	if !found {
		c.Out.Null()
		return
	}
	c.Out.Bulk(AppendDump(nil, e))
}

// encoders are kept because each has the 32 KiB table of a compressor.
var encoders = sync.Pool{New: func() any { return &rdb.Encoder{Compress: true} }}

// AppendDump appends the DUMP payload of a key's value: for DUMP and MIGRATE.
func AppendDump(dst []byte, e storage.Entry) []byte {
	enc := encoders.Get().(*rdb.Encoder)
	defer encoders.Put(enc)
	f, _ := e.Freeze(nil)
	return enc.AppendPayload(dst, &f)
}

// restoreOptions is what may follow RESTORE's payload.
type restoreOptions struct {
	replace, absolute bool
	idle              int64 // seconds; -1 if not given
	freq              int   // -1 if not given
}

func parseRestoreOptions(c *Ctx) (o restoreOptions, ok bool) {
	o.idle, o.freq = -1, -1
	for i := 4; i < len(c.Args); i++ {
		last := i+1 == len(c.Args)
		switch a := c.Args[i]; {
		case is(a, "REPLACE"):
			o.replace = true
		case is(a, "ABSTTL"):
			o.absolute = true
		case is(a, "IDLETIME") && !last && o.freq == -1:
			i++
			n, ok := resp.ParseInt(c.Args[i])
			if !ok {
				c.Out.Error(resp.ErrNotInteger)
				return o, false
			}
			if n < 0 {
				c.Out.Error(resp.ErrRestoreIdle)
				return o, false
			}
			o.idle = n
		case is(a, "FREQ") && !last && o.idle == -1:
			i++
			n, ok := resp.ParseInt(c.Args[i])
			if !ok {
				c.Out.Error(resp.ErrNotInteger)
				return o, false
			}
			if n < 0 || n > 255 {
				c.Out.Error(resp.ErrRestoreFreq)
				return o, false
			}
			o.freq = int(n)
		default:
			c.Out.Error(resp.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// restore matches restoreCommand. A value whose absolute expiry has passed is
// not created, but what REPLACE would have replaced is gone.
func restore(c *Ctx) {
	o, ok := parseRestoreOptions(c)
	if !ok {
		return
	}
	key := c.Args[1]
	_, found := c.Tx.Use(key)
	if found && !o.replace {
		c.Tx.Use(key)
		c.Out.Error(resp.ErrBusyKey)
		return
	}
	at, ok := resp.ParseInt(c.Args[2])
	if !ok {
		c.Out.Error(resp.ErrNotInteger)
		return
	}
	if at < 0 {
		c.Out.Error(resp.ErrRestoreTTL)
		return
	}
	value, err := parsePayload(c, c.Args[3])
	if err != nil {
		c.Out.Error(restoreError(err))
		return
	}
	if at != 0 && !o.absolute {
		if at, ok = expiry(at, 1, c.Tx.Now()); !ok {
			c.Out.Error(resp.ErrExpireTime(c.Row.Name))
			return
		}
	}
	if at != 0 && at <= c.Tx.Now() && !c.Tx.Applying() {
		if found {
			c.Tx.Delete(key)
			c.Tx.Effect(c.serverDel(), key)
			c.Tx.Note(storage.ClassGeneric, "del", key)
		}
		c.Out.OK()
		return
	}
	if err := value.Load(c.Tx, key, at); err != nil {
		// A member is there twice, too far behind its first place for ParsePayload
		// to see it. What the key held is gone, so all of it goes.
		c.Tx.Delete(key)
		c.Tx.Effect(c.serverDel(), key)
		c.Out.Error(restoreError(err))
		return
	}
	c.Tx.CountAs(1)
	if o.idle >= 0 || o.freq >= 0 {
		c.Tx.SetAccess(key, o.idle, o.freq)
	}
	c.Tx.Note(storage.ClassGeneric, "restore", key)
	effectRestore(c, at, o.absolute)
	c.Out.OK()
}

// A payloadHost is a Host that wants to know of payloads that are damaged, and may
// let the checksum be (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
type payloadHost interface {
	AnyChecksum() bool
	// DamagedPayload is told what is wrong with it.
	DamagedPayload(err error)
}

// parsePayload checks a payload. What a stream brings was checked where it came
// from.
func parsePayload(c *Ctx, payload []byte) (rdb.Payload, error) {
	host, ok := c.Host.(payloadHost)
	parse := rdb.ParsePayload
	if c.Tx.Applying() || ok && host.AnyChecksum() {
		parse = rdb.ParseUnsummed
	}
	p, err := parse(payload)
	if ok && errors.Is(err, rdb.ErrCorrupt) {
		host.DamagedPayload(err)
	}
	return p, err
}

// restoreError tells apart what Redis tells apart: a payload that is damaged or
// too new, one that does not hold what it says, and a type not known here.
func restoreError(err error) resp.Error {
	switch {
	case errors.Is(err, rdb.ErrUnsupportedType):
		return resp.Error("ERR " + err.Error())
	case errors.Is(err, rdb.ErrPayload):
		return resp.ErrRestorePayload
	default:
		return resp.ErrRestoreFormat
	}
}

// effectRestore records RESTORE with an absolute expiry; the other options
// stay, and RESTORE-ASKING becomes RESTORE, for a replica is not asked.
func effectRestore(c *Ctx, at int64, absolute bool) {
	effect := append(make([][]byte, 0, len(c.Args)+1), nameRestore, c.Args[1], itoa(at))
	effect = append(effect, c.Args[3:]...)
	if !absolute {
		effect = append(effect, nameAbsTTL)
	}
	c.Tx.Effect(effect...)
}

var (
	nameRestore = []byte("RESTORE")
	nameAbsTTL  = []byte("ABSTTL")
)
