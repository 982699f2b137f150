package admin

import (
	"crypto/rand"
	"encoding/hex"

	"go.uber.org/zap"

	"redoubt/internal/acl"
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

func (a *Commands) aclRow() *command.Row {
	const open = command.NoScript | command.Loading | command.Stale
	return &command.Row{Name: "acl", Arity: -2, Doc: command.Brief("6.0.0", "server", "Says who may do what."), Sub: []*command.Row{
		serverRow("cat", -2, open, "6.0.0", "Names the categories, or the commands of one.", a.aclCat),
		stopping(serverRow("deluser", -3, open|command.Admin, "6.0.0", "Deletes users and closes their connections.", command.For(a.aclDelUser))),
		serverRow("dryrun", -4, open|command.Admin, "7.0.0", "Tells whether a user may run a command, without running it.", a.aclDryRun),
		serverRow("genpass", -2, open, "6.0.0", "Makes a random password.", aclGenPass),
		serverRow("getuser", 3, open|command.Admin, "6.0.0", "Describes a user.", a.aclGetUser),
		serverRow("help", 2, command.Loading|command.Stale, "6.0.0", "Lists the sub-commands.", aclHelp),
		serverRow("list", 2, open|command.Admin, "6.0.0", "Describes all users as an ACL file does.", a.aclList),
		stopping(serverRow("load", 2, open|command.Admin, "6.0.0", "Reads the users anew from the ACL file.", command.For(a.aclLoad))),
		serverRow("log", -2, open|command.Admin, "6.0.0", "Shows what was denied, or forgets it.", a.aclLog),
		serverRow("save", 2, open|command.Admin, "6.0.0", "Writes the users to the ACL file.", a.aclSave),
		stopping(serverRow("setuser", -3, open|command.Admin, "6.0.0", "Makes a user, or changes its rules.", command.For(a.aclSetUser))),
		serverRow("users", 2, open|command.Admin, "6.0.0", "Names all users.", a.aclUsers),
		serverRow("whoami", 2, open, "6.0.0", "Names the user of the connection.", command.For(aclWhoAmI)),
	}}
}

// aclSyntaxError answers a call that has too many arguments.
func aclSyntaxError(x *command.Ctx) { x.Out.Error(resp.ErrSubcommandSyntax("acl", x.Args[1])) }

func aclStrings(x *command.Ctx, list []string) {
	x.Out.Array(len(list))
	for _, s := range list {
		x.Out.BulkString(s)
	}
}

func (a *Commands) aclCat(x *command.Ctx) {
	switch len(x.Args) {
	case 2:
		aclStrings(x, a.Server.ACLCommands().Categories())
	case 3:
		names, known := a.Server.ACLCommands().InCategory(string(x.Args[2]))
		if !known {
			x.Out.Error(resp.ErrUnknownCategory(x.Args[2]))
			return
		}
		aclStrings(x, names)
	default:
		aclSyntaxError(x)
	}
}

// aclSetUser shows nobody what it was called with, since that may hold passwords.
func (a *Commands) aclSetUser(x *command.Ctx, c Operator) {
	var rules []string
	for i := 2; i < len(x.Args); i++ {
		c.Redact(i)
		rules = append(rules, string(x.Args[i]))
	}
	name, rules := rules[0], rules[1:]
	if !acl.ValidName(name) {
		x.Out.Error(resp.ErrUserName)
		return
	}
	allChannels := a.Settings.Current().ACLAllChannels
	var err error
	c.Stop(func() {
		was, next := a.Server.User(name), (*acl.User)(nil)
		if was == nil {
			was = a.Server.ACLCommands().NewUser(name, allChannels)
		}
		if next, err = a.Server.ACLCommands().Change(was, allChannels, rules...); err == nil {
			c.SetUser(next)
		}
	})
	if err != nil {
		x.Out.Error(resp.Error("ERR " + err.Error()))
		return
	}
	x.Out.OK()
}

func (a *Commands) aclDelUser(x *command.Ctx, c Operator) {
	for _, name := range x.Args[2:] {
		if string(name) == acl.DefaultName {
			x.Out.Error(resp.ErrDefaultUser)
			return
		}
	}
	deleted := int64(0)
	for _, name := range x.Args[2:] {
		if c.DeleteUser(string(name)) {
			deleted++
		}
	}
	x.Out.Int(deleted)
}

func (a *Commands) aclGetUser(x *command.Ctx) {
	u := a.Server.User(string(x.Args[2]))
	if u == nil {
		x.Out.Null()
		return
	}
	out := x.Out
	out.Map(6)
	out.BulkString("flags")
	flags := u.Flags()
	out.Set(len(flags))
	for _, f := range flags {
		out.BulkString(f)
	}
	out.BulkString("passwords")
	aclStrings(x, u.Passwords())
	replySelector(out, u.Root())
	out.BulkString("selectors")
	out.Array(len(u.Selectors()))
	for _, s := range u.Selectors() {
		out.Map(3)
		replySelector(out, s)
	}
}

// replySelector writes three fields.
func replySelector(out *resp.Writer, s *acl.Selector) {
	out.BulkString("commands")
	out.BulkString(s.Commands())
	out.BulkString("keys")
	out.BulkString(s.Keys())
	out.BulkString("channels")
	out.BulkString(s.Channels())
}

func (a *Commands) aclList(x *command.Ctx) {
	var lines []string
	for _, u := range a.Server.Users() {
		lines = append(lines, u.String())
	}
	aclStrings(x, lines)
}

func (a *Commands) aclUsers(x *command.Ctx) {
	var names []string
	for _, u := range a.Server.Users() {
		names = append(names, u.Name())
	}
	aclStrings(x, names)
}

func aclWhoAmI(x *command.Ctx, c Client) { x.Out.BulkString(c.Info().User) }

func (a *Commands) aclLoad(x *command.Ctx, c Operator) {
	if a.Settings.Current().ACLFile == "" {
		x.Out.Error(resp.ErrNoACLFile)
		return
	}
	list, err := a.Server.ReadUsers()
	if err != nil {
		x.Out.Error(resp.Error("ERR " + err.Error()))
		return
	}
	c.ReplaceUsers(list)
	x.Out.OK()
}

func (a *Commands) aclSave(x *command.Ctx) {
	if a.Settings.Current().ACLFile == "" {
		x.Out.Error(resp.ErrNoACLFile)
		return
	}
	if err := a.Server.WriteUsers(); err != nil {
		a.Log.Warn("Writing ACL file for ACL SAVE", zap.Error(err))
		x.Out.Error(resp.ErrACLSave)
		return
	}
	x.Out.OK()
}

// maxPassBits bounds ACL GENPASS, passBits is what it makes if it is not told.
const (
	maxPassBits = 4096
	passBits    = 256
)

func aclGenPass(x *command.Ctx) {
	bits := int64(passBits)
	switch {
	case len(x.Args) > 3:
		aclSyntaxError(x)
		return
	case len(x.Args) == 3:
		var ok bool
		if bits, ok = resp.ParseInt(x.Args[2]); !ok {
			x.Out.Error(resp.ErrNotInteger)
			return
		}
	}
	if bits <= 0 || bits > maxPassBits {
		x.Out.Error(resp.ErrGenPass)
		return
	}
	digits := (bits + 3) / 4
	random := make([]byte, (digits+1)/2)
	_, _ = rand.Read(random) // it never fails
	x.Out.BulkString(hex.EncodeToString(random)[:digits])
}

func (a *Commands) aclLog(x *command.Ctx) {
	n := int64(10)
	switch {
	case len(x.Args) > 3:
		aclSyntaxError(x)
		return
	case len(x.Args) == 3 && resp.EqualFold(x.Args[2], "reset"):
		a.Audit.reset()
		x.Out.OK()
		return
	case len(x.Args) == 3:
		var ok bool
		if n, ok = resp.ParseInt(x.Args[2]); !ok {
			x.Out.Error(resp.ErrNotInteger)
			return
		}
	}
	entries := a.Audit.Newest(int(max(n, 0)))
	x.Out.Array(len(entries))
	now := x.Host.Now()
	for i := range entries {
		replyDenied(x.Out, &entries[i], now)
	}
}

func replyDenied(out *resp.Writer, e *acl.Entry, now int64) {
	text := func(name, value string) {
		out.BulkString(name)
		out.BulkString(value)
	}
	number := func(name string, n int64) {
		out.BulkString(name)
		out.Int(n)
	}
	out.Map(10)
	number("count", e.Count)
	text("reason", e.Reason.String())
	text("context", string(e.Context))
	text("object", e.Object)
	text("username", e.User)
	out.BulkString("age-seconds")
	out.Double(float64(now-e.Updated) / 1000)
	text("client-info", e.Client)
	number("entry-id", e.ID)
	number("timestamp-created", e.Created)
	number("timestamp-last-updated", e.Updated)
}

func (a *Commands) aclDryRun(x *command.Ctx) {
	command.RedactLine(x, 3)
	u := a.Server.User(string(x.Args[2]))
	if u == nil {
		x.Out.Error(resp.ErrDryRunUser(x.Args[2]))
		return
	}
	line := x.Args[3:]
	row, _ := x.Host.Table().Resolve(line)
	switch {
	case row == nil:
		x.Out.Error(resp.ErrDryRunCommand(line[0]))
		return
	case !row.Takes(len(line)):
		x.Out.Error(resp.ErrDryRunArity(row.FullName()))
		return
	}
	call := row.ACLCall(line, true, nil)
	switch why, at := u.Check(&call); why {
	case acl.Allowed:
		x.Out.OK()
	case acl.DeniedCommand:
		x.Out.BulkString("User " + u.Name() + " has no permissions to run the '" + row.FullName() + "' command")
	default:
		x.Out.BulkString("User " + u.Name() + " has no permissions to access the '" + string(line[at]) + "' " + why.String())
	}
}

func aclHelp(x *command.Ctx) {
	command.Help(x, "CAT [<category>]", "    The categories, or the commands of one.",
		"DELUSER <username> [<username> ...]", "    Delete users and close their connections.",
		"DRYRUN <username> <command> [<arg> ...]", "    Whether the user may run this command. It is not run.",
		"GETUSER <username>", "    What the user may do.",
		"GENPASS [<bits>]", "    A random password of 256 bits, or of so many.",
		"LIST", "    All users, as they stand in an ACL file.",
		"LOAD", "    Read the users anew from the ACL file.",
		"LOG [<count> | RESET]", "    What was denied last, or forget it.",
		"SAVE", "    Write the users to the ACL file.",
		"SETUSER <username> <attribute> [<attribute> ...]", "    Make a user, or change its rules.",
		"USERS", "    The names of all users.",
		"WHOAMI", "    The user of this connection.")
}
