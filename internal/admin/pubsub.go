package admin

import (
	"redoubt/internal/command"
	"redoubt/internal/pubsub"
	"redoubt/internal/resp"
)

func (a *Commands) pubSubRows() []*command.Row {
	return []*command.Row{
		toChannels(command.ChannelsOnly, pubsubRow("subscribe", -2, subscribes, "2.0.0", "Subscribes to channels.", subscribing(pubsub.Channel))),
		pubsubRow("unsubscribe", -1, subscribes, "2.0.0", "Ends subscriptions to channels.", unsubscribing(pubsub.Channel)),
		toChannels(command.PatternsOnly, pubsubRow("psubscribe", -2, subscribes, "2.0.0", "Subscribes to all channels whose names match.", subscribing(pubsub.Pattern))),
		pubsubRow("punsubscribe", -1, subscribes, "2.0.0", "Ends subscriptions to patterns.", unsubscribing(pubsub.Pattern)),
		toChannels(command.ChannelsOnly, shardRow(pubsubRow("ssubscribe", -2, subscribes, "7.0.0", "Subscribes to channels that belong to slots.", subscribing(pubsub.Shard)), -1)),
		shardRow(pubsubRow("sunsubscribe", -1, subscribes, "7.0.0", "Ends subscriptions to channels of slots.", unsubscribing(pubsub.Shard)), -1),
		{Name: "publish", Arity: 3, Flags: command.PubSub | command.Loading | command.Stale | command.Fast | command.MayReplicate | command.Publishes, Channels: command.FirstChannel, Lock: command.LockNone, Run: command.For(publish),
			Doc: command.Brief("2.0.0", "pubsub", "Sends a message to who listens to a channel.")},
		shardRow(&command.Row{Name: "spublish", Arity: 3, Flags: command.PubSub | command.Loading | command.Stale | command.Fast | command.MayReplicate | command.Publishes, Channels: command.FirstChannel, Lock: command.LockNone, Run: command.For(sPublish),
			Doc: command.Brief("7.0.0", "pubsub", "Sends a message to who listens to a channel of a slot.")}, 1),
		{Name: "pubsub", Arity: -2, Doc: command.Brief("2.8.0", "pubsub", "Tells who listens to what."), Sub: []*command.Row{
			pubsubRow("channels", -2, command.Loading|command.Stale, "2.8.0", "Names the channels that somebody listens to.", a.activeChannels(pubsub.Channel)),
			pubsubRow("numsub", -2, command.Loading|command.Stale, "2.8.0", "Counts who listens to each of the channels.", a.numSub(pubsub.Channel)),
			pubsubRow("numpat", 2, command.Loading|command.Stale, "2.8.0", "Counts the patterns that somebody listens to.", a.pubsubNumPat),
			pubsubRow("shardchannels", -2, command.Loading|command.Stale, "7.0.0", "Names the channels of slots that somebody listens to.", a.activeChannels(pubsub.Shard)),
			pubsubRow("shardnumsub", -2, command.Loading|command.Stale, "7.0.0", "Counts who listens to each of the channels of slots.", a.numSub(pubsub.Shard)),
			{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Lock: command.LockNone, Run: pubsubHelp, Doc: command.Brief("6.2.0", "pubsub", "Lists the sub-commands.")},
		}},
	}
}

// subscribes is the flags of the commands that begin and end subscriptions.
const subscribes = command.NoScript | command.Loading | command.Stale | command.WhileSubscribed

func pubsubRow(name string, arity int, flags command.Flags, since, summary string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: flags | command.PubSub, Lock: command.LockNone, Run: run, Doc: command.Brief(since, "pubsub", summary)}
}

// toChannels says which arguments of a row are channels that a user may not be allowed.
func toChannels(use command.ChannelUse, r *command.Row) *command.Row {
	r.Channels = use
	return r
}

// shardRow makes a row's arguments up to last the names by which it is routed.
func shardRow(r *command.Row, last int) *command.Row {
	r.Keys = command.KeysFrom(1, last, 1, command.KeyNotKey)
	r.Flags |= command.OfShards
	return r
}

// kindWords are the words of confirmations.
var kindWords = map[pubsub.Kind]struct{ on, off string }{
	pubsub.Channel: {"subscribe", "unsubscribe"},
	pubsub.Pattern: {"psubscribe", "punsubscribe"},
	pubsub.Shard:   {"ssubscribe", "sunsubscribe"},
}

func subscribing(kind pubsub.Kind) command.Handler {
	return command.For(func(x *command.Ctx, c Subscriber) {
		if kind == pubsub.Shard && c.InTransaction() {
			x.Out.Error(resp.ErrSSubscribeDenied) // the older two are let pass for the sake of old clients
			return
		}
		for _, name := range x.Args[1:] {
			c.Subscribe(kind, string(name))
			confirm(c, kindWords[kind].on, name, kind)
		}
	})
}

func unsubscribing(kind pubsub.Kind) command.Handler {
	return command.For(func(x *command.Ctx, c Subscriber) {
		names := x.Args[1:]
		if len(names) == 0 {
			for _, name := range c.Subscriptions(kind) {
				names = append(names, []byte(name))
			}
		}
		for _, name := range names {
			c.Unsubscribe(kind, string(name))
			confirm(c, kindWords[kind].off, name, kind)
		}
		if len(names) == 0 {
			confirm(c, kindWords[kind].off, nil, kind)
		}
	})
}

// confirm tells the client what it is subscribed to now, or is not any more; name
// nil is null. Shard channels are counted apart.
func confirm(c Subscriber, word string, name []byte, kind pubsub.Kind) {
	left := c.CountSubscriptions(kind)
	switch kind {
	case pubsub.Channel:
		left += c.CountSubscriptions(pubsub.Pattern)
	case pubsub.Pattern:
		left += c.CountSubscriptions(pubsub.Channel)
	}
	c.Push(func(w *resp.Writer) {
		w.Push(3)
		w.BulkString(word)
		if name == nil {
			w.Null()
		} else {
			w.Bulk(name)
		}
		w.Int(int64(left))
	})
}

func publish(x *command.Ctx, c Publisher)  { c.Publish(x.Args[1], x.Args[2], false) }
func sPublish(x *command.Ctx, c Publisher) { c.Publish(x.Args[1], x.Args[2], true) }

func (a *Commands) activeChannels(kind pubsub.Kind) command.Handler {
	return func(x *command.Ctx) {
		if len(x.Args) > 3 {
			x.Out.Error(resp.ErrSubcommandSyntax("pubsub", x.Args[1]))
			return
		}
		var patterns []string
		if len(x.Args) == 3 {
			patterns = []string{string(x.Args[2])}
		}
		names := a.PubSub.Active(kind, patterns...)
		x.Out.Array(len(names))
		for _, name := range names {
			x.Out.BulkString(name)
		}
	}
}

func (a *Commands) numSub(kind pubsub.Kind) command.Handler {
	return func(x *command.Ctx) {
		x.Out.Array(2 * (len(x.Args) - 2))
		for _, name := range x.Args[2:] {
			x.Out.Bulk(name)
			x.Out.Int(int64(a.PubSub.Subscribers(kind, string(name))))
		}
	}
}

func (a *Commands) pubsubNumPat(x *command.Ctx) { x.Out.Int(int64(a.PubSub.Len(pubsub.Pattern))) }

func pubsubHelp(x *command.Ctx) {
	command.Help(x, "CHANNELS [<pattern>]", "    The channels with subscribers whose names match, or all.",
		"NUMPAT", "    How many patterns are subscribed to.",
		"NUMSUB [<channel> ...]", "    How many subscribers each of these channels has.",
		"SHARDCHANNELS [<pattern>]", "    The channels of slots with subscribers whose names match, or all.",
		"SHARDNUMSUB [<shardchannel> ...]", "    How many subscribers each of these channels of slots has.")
}
