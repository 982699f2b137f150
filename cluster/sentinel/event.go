package sentinel

// LinkID names a connection between driver and Node. A Node numbers the
// connections that it asks for in Effects.Connect; a number is used once.
type LinkID uint64

// RequestID names a Request, within the life of a Node.
type RequestID uint64

// Event is something that happened to the Sentinel. The commands of
// administrators are in command.go.
type Event interface{ isEvent() }

// Tick says that time has passed. The driver steps one when Deadline has been
// reached; earlier ones do no harm.
type Tick struct{}

// LinkUp says that a connection asked for by Effects.Connect stands, and that
// its Setup is on its way.
type LinkUp struct {
	Link LinkID
	// LocalIP is the connection's own address: what a hello says of this
	// Sentinel unless announce-ip is set.
	LocalIP string
}

// LinkDown says that a connection is gone, or could not be made. It is not
// needed for those that the Node closed itself.
type LinkDown struct {
	Link LinkID
	// Refused says that nobody listens there (ECONNREFUSED).
	Refused bool
	// Reason is for the log.
	Reason string
}

// Replied is the answer to a Request. Requests of a connection are answered in
// the order in which they were sent; those of a connection that went down are
// not answered.
type Replied struct {
	Link  LinkID
	ID    RequestID
	Reply Reply
}

// Reply is a reply of an instance. For a Request of several commands it is
// that of the last.
type Reply struct {
	Kind ReplyKind
	// Text is the line of a status or an error, without its sign, or a bulk or
	// verbatim string.
	Text    string
	Integer int64
	Array   []Reply
}

// ReplyKind is the RESP type of a Reply.
type ReplyKind uint8

const (
	ReplyNil ReplyKind = iota
	ReplyStatus
	ReplyError
	ReplyBulk
	ReplyInteger
	ReplyArray
)

// HelloReceived is a message on the channel of the hellos: on a pub/sub
// connection to a master or replica, or, with Link 0, published to this
// Sentinel by another one. The driver passes on messages as they come; what is
// not a hello is ignored. (sentinelReceiveHelloMessages, sentinelPublishCommand)
type HelloReceived struct {
	Link    LinkID
	Payload string
}

// Resolved says to which address a host name resolves; empty if it does not.
// The driver steps one before LinkUp and before a Monitor with a host name,
// whenever the answer is new. It is not needed for IP addresses.
type Resolved struct {
	Host string
	IP   string
}

// Persisted says that the State of that Version, or a later one, is on disk
// for good.
type Persisted struct{ Version uint64 }

// Configure replaces the settings (SENTINEL CONFIG SET, SENTINEL DEBUG).
type Configure struct{ Settings Settings }

func (Tick) isEvent()          {}
func (LinkUp) isEvent()        {}
func (LinkDown) isEvent()      {}
func (Replied) isEvent()       {}
func (HelloReceived) isEvent() {}
func (Resolved) isEvent()      {}
func (Persisted) isEvent()     {}
func (Configure) isEvent()     {}
