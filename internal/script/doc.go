// Package script runs the Lua of EVAL and of functions. It knows nothing of
// connections, slots or keys: what a script asks of the server goes through a
// Host, and what it returns is written as a reply.
//
// A Script is the body of an EVAL, compiled once and named by the SHA1 of its
// text; any number of engines can run it at the same time. A Library is what
// the code of a FUNCTION LOAD registered on one engine: its functions share the
// variables of that code, so they belong to the engine that loaded it.
//
// An Engine has a Lua state for scripts and one for functions, each with its globals (a
// world). One goroutine at a time may use it, for Run, Debug, Load or Call; only Kill and
// Memory may be called by others. Nothing of a run is left in it for the next: globals
// and the libraries are read-only as in Redis 7, KEYS and ARGV are set anew, the
// generator of math.random starts over.
//
//	engine := script.New(script.Config{})
//	s, err := script.Compile(body)             // err is the line for the client
//	result := engine.Run(s, keys, args, host, w) // the reply is in w
//
// A Debugger is a session in which the script stops before a line and a client looks
// at it, for Engine.Debug. The client is a Terminal.
//
// Errors have the texts of Redis 7, "user_script:1: …" with " script: SHA, on
// @user_script:1." behind it, because clients and tests look into them.
package script
