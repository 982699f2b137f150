package sentinels

import (
	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
)

// message is what goes over a connection: commands one way, and the other way
// replies and what was published.
type message struct {
	commands [][]string
	setup    bool // nobody waits for the reply to these commands
	reply    *sentinel.Reply
	hello    string // a message on the channel of the hellos
}

// client is a connection as the one who was dialled has it.
type client struct {
	end        *virtual.End[message]
	subscribed bool
	// answers are the replies that are owed. They leave in the order of the
	// requests.
	answers []*answer
	// request takes the commands of one request, and sees to it that the answer
	// is given at some time.
	request func(c *client, commands [][]string, a *answer)
	// gone is told of the end of the connection; may be nil.
	gone func(*client)
}

// answer is a reply that is owed.
type answer struct {
	client *client
	setup  bool
	reply  *sentinel.Reply // nil: not yet
}

// give sends the reply once all earlier ones have been given.
func (a *answer) give(reply sentinel.Reply) {
	a.reply = &reply
	c := a.client
	for len(c.answers) > 0 && c.answers[0].reply != nil {
		first := c.answers[0]
		c.answers = c.answers[1:]
		if !first.setup {
			c.end.Send(message{reply: first.reply})
		}
	}
}

// Opened is part of virtual.Handler.
func (c *client) Opened() {}

// Received is part of virtual.Handler.
func (c *client) Received(m message) {
	a := &answer{client: c, setup: m.setup}
	c.answers = append(c.answers, a)
	c.request(c, m.commands, a)
}

// Closed is part of virtual.Handler.
func (c *client) Closed(virtual.Reason) {
	if c.gone != nil {
		c.gone(c)
	}
}

// What is replied.

func status(text string) sentinel.Reply {
	return sentinel.Reply{Kind: sentinel.ReplyStatus, Text: text}
}

func failure(text string) sentinel.Reply {
	return sentinel.Reply{Kind: sentinel.ReplyError, Text: text}
}

func bulk(text string) sentinel.Reply {
	return sentinel.Reply{Kind: sentinel.ReplyBulk, Text: text}
}

func integer(i int64) sentinel.Reply {
	return sentinel.Reply{Kind: sentinel.ReplyInteger, Integer: i}
}

func array(of ...sentinel.Reply) sentinel.Reply {
	return sentinel.Reply{Kind: sentinel.ReplyArray, Array: of}
}
