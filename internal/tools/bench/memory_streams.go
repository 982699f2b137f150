package main

// randomItem appends the fields and values of item i: names of one word, and values
// that nothing can be said of.
func randomItem(a [][]byte, i int) [][]byte {
	return append(a, []byte("first"), letters(5, i, fewBytes), []byte("second"), letters(6, i, fewBytes), []byte("third"), letters(7, i, fewBytes))
}

// loggedItem appends what a sensor or a log has: a name out of some, a number and a
// decimal.
func loggedItem(a [][]byte, i int) [][]byte {
	r := mix(uint64(i))
	tenths := append(append(decimal(int(r>>8%100)), '.'), decimal(int(r>>20%10))...)
	return append(a, []byte("sensor"), append([]byte("sensor-"), decimal(int(r%40))...), []byte("count"), decimal(int(r>>32%100_000)), []byte("value"), tenths)
}

// items returns commands that append items to a stream.
func items(item func(a [][]byte, i int) [][]byte) func(b []byte, i int) []byte {
	var args [16][]byte
	return func(b []byte, i int) []byte {
		return request(b, item(append(args[:0], []byte("XADD"), []byte("large"), []byte("*")), i)...)
	}
}

// memoryStream measures a stream: loaded, and with the first half trimmed off.
func memoryStream(item func(a [][]byte, i int) [][]byte) func(o memoryOptions, n *node) ([]figure, error) {
	return func(o memoryOptions, n *node) ([]figure, error) {
		m := newMeter(n, o.elements)
		m.load(o.elements, items(item))
		m.holds(o.elements, "XLEN large")
		m.rest("loaded")
		m.send(1, func(b []byte, _ int) []byte {
			return request(b, []byte("XTRIM"), []byte("large"), []byte("MAXLEN"), decimal(o.elements/2))
		})
		m.send(o.elements/2, items(item))
		m.holds(o.elements, "XLEN large")
		m.rest("half trimmed off and added again")
		return m.result()
	}
}

// memoryPending measures a stream whose items are all pending with ten consumers.
func memoryPending(o memoryOptions, n *node) ([]figure, error) {
	const count, consumers = 100, 10
	m := newMeter(n, o.elements)
	m.send(1, func(b []byte, _ int) []byte {
		return request(b, []byte("XGROUP"), []byte("CREATE"), []byte("large"), []byte("group"), []byte("0"), []byte("MKSTREAM"))
	})
	m.send(o.elements, items(loggedItem))
	m.rest("before they are delivered")
	m.send(o.elements/count, func(b []byte, i int) []byte {
		return request(b, []byte("XREADGROUP"), []byte("GROUP"), []byte("group"), append([]byte("consumer"), decimal(i%consumers)...),
			[]byte("COUNT"), decimal(count), []byte("STREAMS"), []byte("large"), []byte(">"))
	})
	m.rest("pending with ten consumers")
	return m.result()
}
