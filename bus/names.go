package bus

// Names are texts that messages repeat, ids and addresses of nodes, each once. The zero
// Names is good for use; it is not safe for concurrent use.
type Names struct{ known map[string]string }

// maxNames bounds Names: whoever can speak on the bus can invent ids. More than a few
// texts for each of the thousand nodes that a cluster may have are not worth keeping.
const maxNames = 1 << 13

// Of is b as a string, which is the same for the same bytes.
func (n *Names) Of(b []byte) string {
	if s, found := n.known[string(b)]; found { // does not allocate
		return s
	}
	if n.known == nil || len(n.known) >= maxNames {
		n.known = make(map[string]string)
	}
	s := string(b)
	n.known[s] = s
	return s
}
