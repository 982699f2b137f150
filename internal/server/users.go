package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/internal/acl"
	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/durable"
	"redoubt/internal/pubsub"
	"redoubt/internal/reason"
	"redoubt/internal/resp"
)

// account is a user as connections are one: its name stays, while ACL SETUSER gives it
// other rules. A user who is deleted and made anew is another account, so that no
// connection of the old one comes to be the new one.
type account struct {
	name  string
	rules atomic.Pointer[acl.User]
	gone  atomic.Bool // deleted
}

func newAccount(u *acl.User) *account {
	a := &account{name: u.Name()}
	a.rules.Store(u)
	return a
}

// open reports whether a connection is this user without having said so: the user
// default, if it is on and needs no password.
func (a *account) open() bool {
	u := a.rules.Load()
	return u.On() && u.NoPass()
}

// users are the accounts of a server. byName is changed with all loops stopped and mu
// held, and read by who has one of the two.
type users struct {
	commands *acl.Commands
	mu       sync.RWMutex
	byName   map[string]*account
	fallback *account // default, which every connection is at first; it always is the same
}

// initUsers makes the users that the settings name. It matches ACLLoadUsersAtStartup.
func (s *Server) initUsers() error {
	cfg := s.config.Current()
	us := &s.users
	us.commands = s.table.ACLCommands()
	us.fallback = newAccount(us.commands.Default())
	us.byName = map[string]*account{acl.DefaultName: us.fallback}
	s.setDefaultPassword(cfg.RequirePass)
	for _, line := range s.config.Lines("user") {
		u, err := us.commands.Change(us.commands.NewUser(line.Args[0], cfg.ACLAllChannels), cfg.ACLAllChannels, line.Args[1:]...)
		var refused *acl.RuleError
		switch {
		case !acl.ValidName(line.Args[0]):
			return errors.New("Spaces not allowed in ACL usernames. Critical error while loading ACLs. Exiting.")
		case errors.As(err, &refused):
			return fmt.Errorf("Error loading ACL rule '%s' for the user named '%s': %w. Critical error while loading ACLs. Exiting.", refused.Rule, line.Args[0], refused.Err)
		case err != nil:
			return err
		}
		us.put(u)
		if !u.On() {
			s.log.Info("The user '" + u.Name() + "' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error.")
		}
	}
	if cfg.ACLFile != "" {
		list, err := s.ReadUsers()
		if err != nil {
			return fmt.Errorf("Aborting Redis startup because of ACL errors: %w", err)
		}
		for _, u := range list {
			us.put(u)
		}
	}
	s.config.UserLines(s.userLines)
	return nil
}

// put gives the account of that name the rules of u; there may be none yet.
func (us *users) put(u *acl.User) {
	if a := us.byName[u.Name()]; a != nil {
		a.rules.Store(u)
		return
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	us.byName[u.Name()] = newAccount(u)
}

// find is for goroutines that have no loop's turn; nil: there is no such user.
func (us *users) find(name string) *account {
	us.mu.RLock()
	defer us.mu.RUnlock()
	return us.byName[name]
}

// remove deletes the account of that name.
func (us *users) remove(name string) {
	us.mu.Lock()
	defer us.mu.Unlock()
	delete(us.byName, name)
}

// setDefaultPassword makes password the only one of the user default.
func (s *Server) setDefaultPassword(password string) {
	a := s.users.fallback
	a.rules.Store(s.users.withPassword(a.rules.Load(), password))
}

// withPassword is u with the only password that is given; "": it needs none. It
// matches ACLUpdateDefaultUserPassword.
func (us *users) withPassword(u *acl.User, password string) *acl.User {
	rules := []string{"resetpass", "nopass"}
	if password != "" {
		rules[1] = ">" + password
	}
	u, err := us.commands.Change(u, false, rules...)
	if err != nil {
		panic("server: a password is refused: " + err.Error())
	}
	return u
}

// userLines is the users as CONFIG REWRITE writes them: none if they have a file of
// their own.
func (s *Server) userLines() (lines []string) {
	if s.config.Current().ACLFile != "" {
		return nil
	}
	for _, u := range s.Users() {
		lines = append(lines, u.String())
	}
	return lines
}

// ACLCommands, User, Users, ReadUsers and WriteUsers are admin.Users'.
func (s *Server) ACLCommands() *acl.Commands { return s.users.commands }

// User finds the user of that name, nil if there is none.
func (s *Server) User(name string) *acl.User {
	if a := s.users.byName[name]; a != nil {
		return a.rules.Load()
	}
	return nil
}

// Users is all of them, by name.
func (s *Server) Users() []*acl.User {
	list := make([]*acl.User, 0, len(s.users.byName))
	for _, a := range s.users.byName {
		list = append(list, a.rules.Load())
	}
	acl.SortByName(list)
	return list
}

// maxUsersBytes bounds the file of users, so that a wrong name does not fill the memory.
const maxUsersBytes = 64 << 20

// ReadUsers reads aclfile. A user default that it does not have is as without a file:
// requirepass, of which Redis thinks no more then, stays its password.
func (s *Server) ReadUsers() ([]*acl.User, error) {
	cfg := s.config.Current()
	info, err := os.Stat(usersPath(cfg))
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	case info.Size() > maxUsersBytes:
		err = fmt.Errorf("larger than %d bytes", maxUsersBytes)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(usersPath(cfg))
	}
	if err != nil {
		return nil, fmt.Errorf("Error loading ACLs, opening file '%s': %s", cfg.ACLFile, reason.System(err))
	}
	list, err := s.users.commands.ReadFile(cfg.ACLFile, string(text), cfg.ACLAllChannels)
	if err == nil && !slices.ContainsFunc(list, func(u *acl.User) bool { return u.Name() == acl.DefaultName }) {
		list = append(list, s.users.withPassword(s.users.commands.Default(), cfg.RequirePass))
	}
	return list, err
}

// WriteUsers writes aclfile.
func (s *Server) WriteUsers() error {
	return durable.ReplaceFile(usersPath(s.config.Current()), acl.Text(s.Users()))
}

func usersPath(cfg *config.Settings) string {
	if filepath.IsAbs(cfg.ACLFile) {
		return cfg.ACLFile
	}
	return filepath.Join(cfg.Dir, cfg.ACLFile)
}

// SetUser makes u the user of its name: admin.Operator. Clients that have subscriptions
// to channels which it may not use any more are closed.
func (c *conn) SetUser(u *acl.User) {
	c.Stop(func() {
		c.changeUser(u)
		c.srv.usersChanged()
	})
}

// changeUser gives the account of that name the rules of u. All loops are stopped.
func (c *conn) changeUser(u *acl.User) {
	s := c.srv
	if a := s.users.byName[u.Name()]; a != nil {
		if keeps := a.rules.Load().ChannelsLost(u); keeps != nil {
			s.eachConn(func(p *conn) {
				if p.user == a && !p.keepsSubscriptions(keeps) {
					c.hangUp(p)
				}
			})
		}
	}
	s.users.put(u)
}

// keepsSubscriptions reports whether keeps is true of all subscriptions.
func (c *conn) keepsSubscriptions(keeps func(name string, isPattern bool) bool) bool {
	for _, kind := range []pubsub.Kind{pubsub.Channel, pubsub.Pattern, pubsub.Shard} {
		for _, name := range c.Subscriptions(kind) {
			if !keeps(name, kind == pubsub.Pattern) {
				return false
			}
		}
	}
	return true
}

// hangUp closes another client, or c itself when it has been answered.
func (c *conn) hangUp(p *conn) {
	if p == c {
		c.CloseAfterReply()
		return
	}
	peer{p, c.home.Load()}.Kill()
}

// DeleteUser deletes a user and closes all its clients: admin.Operator. It reports
// false if there is no such user.
func (c *conn) DeleteUser(name string) (existed bool) {
	s := c.srv
	c.Stop(func() {
		a := s.users.byName[name]
		if existed = a != nil; existed {
			s.users.remove(name)
			c.closeClientsOf(a)
		}
	})
	return existed
}

// ReplaceUsers makes list, which has the user default, all users there are:
// admin.Operator. A user who is in it stays the same one to its clients, with other
// rules, as by SetUser; clients of the others are closed. It matches ACLLoadFromFile
// since Redis 7.4 and Valkey 8: before, it closed the clients of all but default.
func (c *conn) ReplaceUsers(list []*acl.User) {
	us := &c.srv.users
	c.Stop(func() {
		named := make(map[string]bool, len(list))
		for _, u := range list {
			c.changeUser(u)
			named[u.Name()] = true
		}
		for name, a := range us.byName {
			if !named[name] {
				us.remove(name)
				c.closeClientsOf(a)
			}
		}
		c.srv.usersChanged()
	})
}

// closeClientsOf closes the clients of a user who is deleted. Until they are closed
// they are the user default who has not logged in. It matches
// ACLFreeUserAndKillClients.
func (c *conn) closeClientsOf(a *account) {
	a.gone.Store(true)
	c.srv.eachConn(func(p *conn) {
		if p.user == a {
			p.become(c.srv.users.fallback, false)
			c.hangUp(p)
		}
	})
	for _, r := range c.srv.replicas.all() {
		if r.user == a {
			r.Close()
		}
	}
}

// usersChanged has gates look at what users may do now. All loops are stopped.
func (s *Server) usersChanged() {
	s.setCondition(condPassword, !s.users.fallback.open())
	s.eachConn((*conn).followUser)
}

// become makes the connection one of a user. authed: it has logged in, or need not.
func (c *conn) become(a *account, authed bool) {
	c.user, c.authed = a, authed
	c.followUser()
}

// becomeDefault makes the connection what it is when it comes: clientSetDefaultAuth.
func (c *conn) becomeDefault() {
	a := c.srv.users.fallback
	c.become(a, a.open())
}

// followUser keeps what depends on the rules of the connection's user. A user who may
// do everything is no reason to look at any gate.
func (c *conn) followUser() {
	c.conds &^= condUnauthenticated | condRestricted
	if !c.authed {
		c.conds |= condUnauthenticated
	}
	if !c.user.rules.Load().Full() {
		c.conds |= condRestricted
	}
	c.parser.Limits.Unauthenticated = !c.authed && !c.srv.users.fallback.open()
}

// Login is admin.Session's.
func (c *conn) Login(name, password []byte) bool {
	l := c.home.Load()
	a := c.srv.users.byName[string(name)]
	if a == nil || !a.rules.Load().Accepts(password) {
		c.srv.noteDenied(acl.Entry{
			Reason: acl.DeniedAuth, Context: c.context(), Object: string(l.runner.Ctx.Args[0]), User: string(name), Client: c.info(l).String(),
		})
		return false
	}
	c.become(a, true)
	return true
}

// context is where a request of the connection is denied.
func (c *conn) context() acl.Context {
	if c.multi != nil {
		return acl.InMulti
	}
	return acl.TopLevel
}

// noteDenied puts e into ACL LOG.
func (s *Server) noteDenied(e acl.Entry) {
	e.Updated = s.now()
	s.admin.Audit.Add(e, s.config.Current().ACLLogEntries)
}

// check finds whether a user may call a command, and if not why and at which argument.
func (a *account) check(row *command.Row, args [][]byte) (why acl.Reason, at int) {
	u := a.rules.Load()
	if u.Full() {
		return acl.Allowed, 0
	}
	var own [8]acl.Key
	call := row.ACLCall(args, u.LooksAtKeys(), own[:0])
	return u.Check(&call)
}

// readsAllKeys reports whether a user may make a call that reads keys which it does
// not name.
func (a *account) readsAllKeys(row *command.Row, args [][]byte) bool {
	u := a.rules.Load()
	if u.Full() {
		return true
	}
	call := row.ACLCall(args, true, nil)
	return u.CheckUnrestricted(&call, acl.Read)
}

// ReadsAllKeys is command.Restricted's.
func (c *conn) ReadsAllKeys(row *command.Row, args [][]byte) bool {
	return c.user.readsAllKeys(row, args)
}

var (
	_ admin.Users        = (*Server)(nil)
	_ command.Restricted = (*conn)(nil)
	_ command.Restricted = (*scriptHost)(nil)
)

// denied is a call that a user may not make.
type denied struct {
	why  acl.Reason
	user string
	row  *command.Row
	// object is the key or channel that was the reason, or the command.
	object string
}

// deny makes a denied of what check has found.
func (a *account) deny(why acl.Reason, at int, row *command.Row, args [][]byte) denied {
	d := denied{why: why, user: a.name, row: row, object: row.FullName()}
	if why != acl.DeniedCommand {
		d.object = string(args[at])
	}
	return d
}

// note puts it into ACL LOG; client is who has called.
func (d denied) note(s *Server, where acl.Context, client string) {
	s.noteDenied(acl.Entry{Reason: d.why, Context: where, Object: d.object, User: d.user, Client: client})
}

// err is what the caller is told.
func (d denied) err() resp.Error {
	switch d.why {
	case acl.DeniedKey:
		return resp.ErrNoPermKey
	case acl.DeniedChannel:
		return resp.ErrNoPermChannel
	}
	return resp.ErrNoPermCommand(d.user, d.row.FullName())
}

// errInExec is what the caller is told of a command that it was allowed to queue.
func (d denied) errInExec() resp.Error {
	switch d.why {
	case acl.DeniedKey:
		return resp.ErrExecNoKey
	case acl.DeniedChannel:
		return resp.ErrExecNoChannel
	}
	return resp.ErrExecNoCommand
}

// gatePermission asks the rules of the connection's user. It matches ACLCheckAllPerm.
func gatePermission(l *loop, c *conn, q *request) verdict {
	why, at := c.user.check(q.row, q.args)
	if why == acl.Allowed {
		return pass
	}
	d := c.user.deny(why, at, q.row, q.args)
	d.note(l.srv, c.context(), c.info(l).String())
	return q.deny(d.err())
}

// deniesQueued looks once more at a command of a transaction, since the rules may have
// changed after it was queued; "": it may run.
func (l *loop) deniesQueued(c *conn, e *queued) resp.Error {
	if c.conds&condRestricted == 0 {
		return ""
	}
	why, at := c.user.check(e.row, e.args)
	if why == acl.Allowed {
		return ""
	}
	d := c.user.deny(why, at, e.row, e.args)
	d.note(l.srv, acl.InMulti, c.info(l).String())
	return d.errInExec()
}
