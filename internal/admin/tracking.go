package admin

import (
	"bytes"
	"slices"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// parseTracking reads what follows ON or OFF; prefixes come as they were given. It
// answers what is wrong.
func parseTracking(x *command.Ctx, c Tracker) (how Tracking, prefixes [][]byte, ok bool) {
	args := x.Args[3:]
	for i := 0; i < len(args); i++ {
		last := i+1 == len(args)
		switch a := args[i]; {
		case resp.EqualFold(a, "redirect") && !last:
			i++
			if how.Redirect != 0 {
				x.Out.Error(resp.ErrOneRedirect)
				return how, nil, false
			}
			id, ok := resp.ParseInt(args[i])
			if !ok {
				x.Out.Error(resp.ErrNotInteger)
				return how, nil, false
			}
			if how.To = c.Receiver(uint64(id)); how.To == nil {
				x.Out.Error(resp.ErrNoRedirect)
				return how, nil, false
			}
			how.Redirect = uint64(id)
		case resp.EqualFold(a, "bcast"):
			how.BCast = true
		case resp.EqualFold(a, "optin"):
			how.OptIn = true
		case resp.EqualFold(a, "optout"):
			how.OptOut = true
		case resp.EqualFold(a, "noloop"):
			how.NoLoop = true
		case resp.EqualFold(a, "prefix") && !last:
			i++
			prefixes = append(prefixes, args[i])
		default:
			x.Out.Error(resp.ErrSyntax)
			return how, nil, false
		}
	}
	return how, prefixes, true
}

// clientTracking is CLIENT TRACKING. It matches the part of clientCommand.
func clientTracking(x *command.Ctx, c Tracker) {
	how, prefixes, ok := parseTracking(x, c)
	if !ok {
		return
	}
	switch {
	case resp.EqualFold(x.Args[2], "on"):
		was := c.Tracking()
		if err := how.refusal(was, prefixes); err != "" {
			x.Out.Error(err)
			return
		}
		if how.BCast {
			how.Prefixes = joinPrefixes(was.Prefixes, prefixes)
		}
		c.Track(how)
	case resp.EqualFold(x.Args[2], "off"):
		c.Untrack()
	default:
		x.Out.Error(resp.ErrSyntax)
		return
	}
	x.Out.OK()
}

// refusal says why a client that is told in one way cannot be told in another.
func (t *Tracking) refusal(was Tracking, prefixes [][]byte) resp.Error {
	switch {
	case !t.BCast && len(prefixes) > 0:
		return resp.ErrPrefixBCast
	case was.On && was.BCast != t.BCast:
		return resp.ErrSwitchBCast
	case t.BCast && (t.OptIn || t.OptOut):
		return resp.ErrOptBCast
	case t.OptIn && t.OptOut:
		return resp.ErrOptBoth
	case t.OptIn && was.OptOut, t.OptOut && was.OptIn:
		return resp.ErrSwitchOpt
	case t.BCast:
		return overlap(was.Prefixes, prefixes)
	}
	return ""
}

// overlap finds prefixes of which one begins with another, so that a key would be told
// of twice. It matches checkPrefixCollisionsOrReply.
func overlap(old []string, prefixes [][]byte) resp.Error {
	begins := func(a, b []byte) bool {
		n := min(len(a), len(b))
		return bytes.Equal(a[:n], b[:n])
	}
	for i, p := range prefixes {
		for _, o := range old {
			if begins([]byte(o), p) {
				return resp.ErrPrefixOverlaps(p, "an existing prefix", []byte(o))
			}
		}
		for _, o := range prefixes[i+1:] {
			if begins(p, o) {
				return resp.ErrPrefixOverlaps(p, "another provided prefix", o)
			}
		}
	}
	return ""
}

// joinPrefixes is all prefixes; one that is empty if none is given.
func joinPrefixes(old []string, prefixes [][]byte) []string {
	all := slices.Clone(old)
	for _, p := range prefixes {
		all = append(all, string(p))
	}
	if len(prefixes) == 0 {
		all = append(all, "")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func clientCaching(x *command.Ctx, c Tracker) {
	how := c.Tracking()
	yes, no := resp.EqualFold(x.Args[2], "yes"), resp.EqualFold(x.Args[2], "no")
	switch {
	case !how.On:
		x.Out.Error(resp.ErrCachingOff)
	case yes && !how.OptIn:
		x.Out.Error(resp.ErrCachingYes)
	case no && !how.OptOut:
		x.Out.Error(resp.ErrCachingNo)
	case !yes && !no:
		x.Out.Error(resp.ErrSyntax)
	default:
		c.SetCaching()
		x.Out.OK()
	}
}

// redirection is CLIENT GETREDIR's number: 0 for the client itself, -1 for nobody.
func (t *Tracking) redirection() int64 {
	if !t.On {
		return -1
	}
	return int64(t.Redirect)
}

func clientGetRedir(x *command.Ctx, c Tracker) {
	how := c.Tracking()
	x.Out.Int(how.redirection())
}

func clientTrackingInfo(x *command.Ctx, c Tracker) {
	how := c.Tracking()
	flags := []string{"off"}
	if how.On {
		flags[0] = "on"
	}
	add := func(on bool, flag string) {
		if on {
			flags = append(flags, flag)
		}
	}
	add(how.BCast, "bcast")
	add(how.OptIn, "optin")
	add(how.OptIn && how.Caching, "caching-yes")
	add(how.OptOut, "optout")
	add(how.OptOut && how.Caching, "caching-no")
	add(how.NoLoop, "noloop")
	add(how.Broken, "broken_redirect")
	w := x.Out
	w.Map(3)
	w.BulkString("flags")
	w.Set(len(flags))
	for _, f := range flags {
		w.BulkString(f)
	}
	w.BulkString("redirect")
	w.Int(how.redirection())
	w.BulkString("prefixes")
	w.Array(len(how.Prefixes))
	for _, p := range how.Prefixes {
		w.BulkString(p)
	}
}
