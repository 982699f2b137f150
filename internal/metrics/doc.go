// Package metrics serves the numbers of a node or a Sentinel to Prometheus, and says
// over HTTP whether the process works and whether it serves.
//
// A Page is one answer: families of samples in Prometheus's text format. Whoever has
// numbers writes them to it when somebody asks; nothing is registered, and nothing is
// kept between two scrapes. Most numbers are INFO's: Info has the table that turns its
// fields into the names by which redis_exporter serves them, so that dashboards and
// alerts for Redis work without an exporter. Times are histograms that the parts of the
// node keep.
//
// Server is the HTTP side: /metrics for users of the node, /healthz and /readyz for
// everybody. It knows neither users nor the node; it asks functions that it is given.
//
// A scrape stops nobody: what it reads is published anyway, by atomic words and locks
// that are held for a few instructions.
package metrics
