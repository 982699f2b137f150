package command

import "redoubt/internal/acl"

// ChannelUse says which arguments of a command are channels of pub/sub, for users who
// may use some of them only.
type ChannelUse uint8

const (
	NoChannels   ChannelUse = iota
	FirstChannel            // the first argument (PUBLISH)
	ChannelsOnly            // all arguments (SUBSCRIBE)
	PatternsOnly            // all arguments, as patterns (PSUBSCRIBE)
)

// ACLCommands is the table as rules of users see it. They name commands as streams do,
// so that they mean the same however commands are renamed.
func (t *Table) ACLCommands() *acl.Commands {
	var list []*acl.Command
	known := map[*Row]*acl.Command{}
	for _, r := range t.all {
		cmd := &acl.Command{ID: r.index, Name: r.FullName(), Categories: uint32(r.cats), Parent: known[r.parent]}
		if cmd.Parent != nil {
			cmd.Parent.Sub = append(cmd.Parent.Sub, cmd)
			continue
		}
		known[r] = cmd
		list = append(list, cmd)
	}
	return acl.NewCommands(CategoryNames, list)
}

// ACLCall is a call of the row as the check of permissions sees it; its keys, if they
// are asked for, are appended to keys. Arguments of which it cannot be told where the
// keys are have those that were found: the command refuses them.
func (r *Row) ACLCall(args [][]byte, withKeys bool, keys []acl.Key) acl.Call {
	c := acl.Call{Command: r.index, Always: r.Is(NoAuth), Args: args}
	if withKeys {
		c.Keys = r.appendAccess(keys, args)
	}
	if r.Channels != NoChannels {
		c.FirstChannel, c.EndChannel, c.Patterns = 1, len(args), r.Channels == PatternsOnly
		if r.Channels == FirstChannel {
			c.EndChannel = 2
		}
	}
	return c
}

// access is what of the flags users are allowed or denied. A key that is only looked
// for, or asked for its type or size, needs neither.
func (f KeyFlags) access() (a acl.Access) {
	if f&KeyAccess != 0 {
		a |= acl.Read
	}
	if f&(KeyInsert|KeyUpdate|KeyDelete) != 0 {
		a |= acl.Write
	}
	return a
}

// appendAccess appends the keys of a command line with what is done to each. It
// matches getKeysFromCommandWithSpecs.
func (r *Row) appendAccess(dst []acl.Key, args [][]byte) []acl.Key {
	var own [8]int
	first := len(dst)
	for i := range r.Keys {
		if r.Keys[i].Flags&KeyNotKey != 0 {
			continue
		}
		flags := r.Keys[i].Flags
		if r.Access != nil {
			flags = r.Access(args)
		}
		at, _ := r.Keys[i].appendKeys(own[:0], args)
		for _, p := range at {
			dst = append(dst, acl.Key{At: p, Access: flags.access()})
		}
	}
	if r.FindKeys == nil {
		return dst
	}
	// The specifications only come near: they tell of the keys that are there what is
	// done to them.
	near := dst[first:]
	at, _ := r.FindKeys(own[:0], args)
	exact := make([]acl.Key, len(at))
	for i, p := range at {
		exact[i] = acl.Key{At: p, Access: r.nearAccess(near, i, p, args)}
	}
	return append(dst[:first], exact...)
}

// nearAccess finds in near, where it most likely is the i-th, the key at position p. One
// that is not there is that of a specification which only tells that it may be, or else
// all that is done to any.
func (r *Row) nearAccess(near []acl.Key, i, p int, args [][]byte) acl.Access {
	if i < len(near) && near[i].At == p {
		return near[i].Access
	}
	for _, k := range near {
		if k.At == p {
			return k.Access
		}
	}
	if flags := r.accessOf(args, p); flags != 0 {
		return flags.access()
	}
	var all KeyFlags
	for i := range r.Keys {
		all |= r.Keys[i].Flags
	}
	return all.access()
}
